//! Trial E6: connections that are open and ask nothing, in their thousands. What one costs is bounded, others still
//! come in, and they are closed when they have been idle for a while.

use super::super::account::{self, EXCHANGE, LINES};
use super::super::good::{Good, metric};
use super::super::http::now;
use super::super::server::{Server, Site};
use super::super::table::Table;
use super::raw;
use anyhow::{Context, ensure};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// Connections that are wanted.
const WANTED: u64 = 10_000;
/// Descriptors that both sides need besides.
const BESIDES: u64 = 200;
/// The server takes no more of one address (`server.max_connections_per_ip`).
const PER_ADDRESS: u64 = 4_096;
/// Bytes that one may cost: the longest head, and what the connection itself takes.
const MOST_EACH: f64 = 48.0 * 1_024.0;
/// All of them are accepted by then.
const ACCEPTED: Duration = Duration::from_secs(3);
/// Who asks nothing is closed after the time for a head.
const LONGEST: Duration = Duration::from_secs(8);

/// Allows this process, and those that it starts, as many descriptors as the system lets it.
pub(crate) fn raise_descriptors() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // What is not allowed stays as it is, and is said where it matters.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Runs the trial.
pub(crate) fn run(site: &Site, server: &Server, table: &mut Table<'_>) -> anyhow::Result<()> {
    let count = WANTED.min(raise_descriptors().saturating_sub(BESIDES));
    if count < WANTED {
        let figure = format!("only {count} descriptors are allowed here: raise `ulimit -n`");
        table.check("E6", "10,000 connections", figure, "10,000", false);
    }
    one_address(site, table)?;
    for asked in [false, true] {
        let name = if asked { "that asked once" } else { "that never asked" };
        wait_for_none(site)?;
        let before = server.rss_bytes()?;
        let begun = now();
        let mut idle = open(site, count, asked)?;
        let mut open_now = 0.0;
        // The last ones are in the kernel's queue; the first ones are closed soon.
        while open_now < count as f64 && begun.elapsed() < ACCEPTED {
            open_now = metric(site, "outbid_connections{listener=\"bid\"}")?;
        }
        let took = begun.elapsed();
        let each = server.rss_bytes()?.saturating_sub(before) as f64 / count as f64;
        table.check(
            "E6",
            format!("{count} idle connections {name}: memory of each"),
            format!("{:.1} KiB ({open_now} open after {:.1} s)", each / 1_024.0, took.as_secs_f64()),
            format!("{:.0} KiB", MOST_EACH / 1_024.0),
            each <= MOST_EACH && open_now >= count as f64 * 0.9,
        );
        let good = Good { connections: 20, ..Good::at(site.at[0]) }.calm(Duration::from_millis(500));
        let (failed, figure) = (good.failed(), good.text());
        table.check(
            "E6",
            format!("20 new connections beside those {name}"),
            figure,
            "all answered",
            failed == 0,
        );
        let closed = wait_closed(&mut idle, LONGEST);
        let seconds = begun.elapsed().as_secs_f64();
        let figure = match closed {
            true => format!("all closed {seconds:.1} s after the first was opened"),
            false => format!("{} are open after {seconds:.1} s", idle.len()),
        };
        table.check("E6", format!("connections {name} end"), figure, format!("within {LONGEST:?}"), closed);
    }
    Ok(())
}

/// One address alone gets no more than its share, and those of another one still come in.
fn one_address(site: &Site, table: &mut Table<'_>) -> anyhow::Result<()> {
    let refused = "outbid_connections_refused_total{listener=\"bid\",reason=\"per_ip\"}";
    let before = metric(site, refused)?;
    let mut streams = Vec::new();
    for _ in 0..PER_ADDRESS + 100 {
        streams.push(raw::connect_from(Ipv4Addr::new(127, 0, 3, 1), site.at[0])?);
    }
    // The last ones are accepted in their turn.
    std::thread::sleep(Duration::from_millis(500));
    let good = Good { connections: 4, ..Good::at(site.at[0]) }.calm(Duration::from_millis(200));
    let more = metric(site, refused)? - before;
    let figure = format!(
        "{more} refused of {}, {} good answers of another address",
        streams.len(),
        good.bids + good.no_bids
    );
    table.check(
        "E6",
        "4,196 connections of one address",
        figure,
        "100 refused",
        more == 100.0 && good.failed() == 0,
    );
    Ok(())
}

fn wait_for_none(site: &Site) -> anyhow::Result<()> {
    let start = now();
    while metric(site, "outbid_connections{listener=\"bid\"}")? > 0.0 {
        ensure!(start.elapsed() < 2 * LONGEST, "connections of before are open still");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn open(site: &Site, count: u64, asked: bool) -> anyhow::Result<Vec<TcpStream>> {
    let body = account::request(&LINES[0], "idle");
    let length = body.len();
    let request =
        format!("POST /openrtb2/{EXCHANGE} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}");
    let mut streams = Vec::with_capacity(count as usize);
    for number in 0..count {
        let from = Ipv4Addr::new(127, 0, 2, 1 + (number % 10) as u8);
        let mut stream =
            raw::connect_from(from, site.at[0]).with_context(|| format!("connection {number}"))?;
        if asked {
            stream.write_all(request.as_bytes())?;
        }
        streams.push(stream);
    }
    if asked {
        let mut chunk = [0; 8_192];
        for stream in &mut streams {
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            ensure!(stream.read(&mut chunk)? > 0, "a connection is closed before it is answered");
        }
    }
    Ok(streams)
}

/// Waits until the server has closed all of them; the others stay in `streams`.
fn wait_closed(streams: &mut Vec<TcpStream>, limit: Duration) -> bool {
    let start = now();
    // What cannot be set so is not there any more.
    streams.retain(|stream| stream.set_nonblocking(true).is_ok());
    let mut chunk = [0; 512];
    while start.elapsed() < limit {
        streams.retain_mut(|stream| match stream.read(&mut chunk) {
            Ok(0) => false,
            Ok(_) => true,
            Err(error) => raw::is_pause(&error),
        });
        if streams.is_empty() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}
