//! Trial E7: connections that end in the middle of things: half of them, by a reset, or by speaking TLS to a port that
//! does not. A good request right after each is answered, and nothing stays behind.

use super::super::account::{self, EXCHANGE, LINES};
use super::super::good::metric;
use super::super::http::{Client, now};
use super::super::server::{Server, Site};
use super::super::table::Table;
use super::raw::{self, End};
use anyhow::ensure;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// How often each.
const TIMES: u32 = 200;
const QUIET: Duration = Duration::from_millis(1_500);
/// Descriptors by which the server's files go up and down while it works; connections that stay would be hundreds.
const MOST_FILES: i64 = 8;

/// A ClientHello of TLS 1.2 with its record's head (RFC 5246 section 7.4.1.2), cut off.
const HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\
    \x5a\x1b\x7c\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\
    \x19\x1a\x1b\x20\x00\x0a\x0d\x20bid.example\x00\x00";

/// Runs the trial.
pub(crate) fn run(site: &Site, server: &Server, table: &mut Table<'_>) -> anyhow::Result<()> {
    let body = account::request(&LINES[0], "broken");
    let head = format!(
        "POST /openrtb2/{EXCHANGE} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let whole = format!("{head}{body}");
    let half = &whole[..head.len() + body.len() / 2];
    let (bid, track) = (site.at[0], site.at[1]);
    let descriptors = server.descriptors()?;
    let mut done = |name: &str, to: SocketAddr, fault: &dyn Fn(TcpStream) -> anyhow::Result<String>| {
        let port = if to == bid { "bid" } else { "track" };
        let mut told: Vec<(String, u32)> = Vec::new();
        let mut good = Client::new(bid);
        for number in 0..TIMES {
            let said = fault(raw::connect(to)?)?;
            match told.iter_mut().find(|(known, _)| *known == said) {
                Some((_, count)) => *count += 1,
                None => told.push((said, 1)),
            }
            let reply = good.bid(EXCHANGE, &account::request(&LINES[0], &format!("after-{number}")))?;
            ensure!(
                matches!(reply.status, 200 | 204),
                "{name}: a good request after it is answered {}",
                reply.status
            );
        }
        let told: Vec<String> = told.iter().map(|(said, count)| format!("{said} × {count}")).collect();
        table.check(
            "E7",
            format!("{name} ({port})"),
            told.join(", "),
            "a good request after each is answered",
            true,
        );
        anyhow::Ok(())
    };
    done("half-closed after a whole request", bid, &|mut stream| {
        raw::send(&mut stream, whole.as_bytes());
        stream.shutdown(Shutdown::Write)?;
        told(&mut stream)
    })?;
    done("half-closed in a body", bid, &|mut stream| {
        raw::send(&mut stream, half.as_bytes());
        stream.shutdown(Shutdown::Write)?;
        told(&mut stream)
    })?;
    done("half-closed in a head", bid, &|mut stream| {
        raw::send(&mut stream, &head.as_bytes()[..40]);
        stream.shutdown(Shutdown::Write)?;
        told(&mut stream)
    })?;
    let resets =
        [("nothing", ""), ("half a head", &head[..40]), ("half a body", half), ("a whole request", &whole)];
    for (after, bytes) in resets {
        done(&format!("reset after {after}"), bid, &|mut stream| {
            raw::send(&mut stream, bytes.as_bytes());
            raw::reset(stream)?;
            Ok("reset".to_owned())
        })?;
    }
    let notice = "GET /b/broken HTTP/1.1\r\nhost: x\r\n\r\n";
    done("reset after a notice", track, &|mut stream| {
        raw::send(&mut stream, notice.as_bytes());
        raw::reset(stream)?;
        Ok("reset".to_owned())
    })?;
    for to in [bid, track] {
        done("TLS hello", to, &|mut stream| {
            raw::send(&mut stream, HELLO);
            told(&mut stream)
        })?;
    }
    let start = now();
    let left = loop {
        let more = server.descriptors()? as i64 - descriptors as i64;
        if more <= MOST_FILES || start.elapsed() > Duration::from_secs(10) {
            break more;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let limit = format!("{MOST_FILES}, for files of its own");
    table.check(
        "E7",
        "more descriptors of the server than before",
        left.to_string(),
        limit,
        left <= MOST_FILES,
    );
    let panics = metric(site, "outbid_panics_total")?;
    table.check("E7", "panics", panics.to_string(), "0", panics == 0.0);
    Ok(())
}

fn told(stream: &mut TcpStream) -> anyhow::Result<String> {
    let heard = raw::listen(stream, QUIET)?;
    let statuses = raw::answers(&heard.bytes).map_err(anyhow::Error::msg)?;
    ensure!(statuses.len() <= 1, "{} answers to one request", statuses.len());
    ensure!(heard.end != End::Open, "the connection stays open");
    Ok(format!("{statuses:?} {:?}", heard.end).to_lowercase())
}
