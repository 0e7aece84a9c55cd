//! Trial B7: a process that gets no more descriptors, or no more memory. It must not abort; it refuses what it cannot
//! take, goes on with what it has, and is well again by itself when the pressure ends.

use super::super::account::{EXCHANGE, Plan, UNIT};
use super::super::edge::{idle, raw};
use super::super::good::{self, Good};
use super::super::http::now;
use super::super::load::{Exchange, Pressure};
use super::super::server::{Server, Site};
use super::super::table::Table;
use anyhow::{Context, ensure};
use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed, Ordering::SeqCst};
use std::time::Duration;

/// Descriptors of the starved process.
const DESCRIPTORS: u32 = 64;
/// How long it is pressed.
const PRESSED: Duration = Duration::from_secs(6);
/// It must be well again so soon.
const RECOVERY: Duration = Duration::from_secs(5);
/// Connections that the server takes in the trial of memory, and that come.
const TAKEN: usize = 1_000;
const COMING: usize = 1_500;
/// Room that bodies get in it.
const BODIES: u64 = 64 << 20;
/// What a connection may cost besides its body: the longest head, and itself.
const CONNECTION: u64 = 48 << 10;
/// What the process needs besides: answers, the books' files, what the allocator rounds up.
const BESIDES: u64 = 96 << 20;

/// Runs both.
pub(crate) fn run(program: &Path, dir: &Path, seed: u64, say: &mut dyn FnMut(String)) -> anyhow::Result<()> {
    idle::raise_descriptors();
    let mut table = Table::new(say);
    let outcome = descriptors(program, &dir.join("descriptors"), seed, &mut table);
    table.carried("B7", outcome.context("descriptors"));
    let outcome = memory(program, &dir.join("memory"), seed, &mut table);
    table.carried("B7", outcome.context("memory"));
    table.end()
}

/// What starts the server under a limit of the shell's.
fn limited(limit: &str) -> Vec<String> {
    ["sh", "-c", &format!("ulimit {limit}; exec \"$@\""), "sh"].map(str::to_owned).into()
}

/// The half of it that is quick.
pub(crate) fn descriptors(
    program: &Path,
    dir: &Path,
    seed: u64,
    table: &mut Table<'_>,
) -> anyhow::Result<()> {
    let plan = Plan { budgets: [500 * UNIT; 3], dear: false, hold_s: 3 };
    // The smallest segments, so that files are opened all the time.
    let mut site = Site::prepare(program, dir, &plan, seed)?.set("ledger.segment_bytes=65536");
    site = site.set("events.segment_bytes=65536").set("engine.cores=1");
    site.wrapper = limited(&format!("-n {DESCRIPTORS}"));
    let mut server = site.start()?;
    let pressure = Pressure {
        bidders: 1,
        asks_per_s: 1_000,
        notifiers: 1,
        bills_per_s: 300,
        max_delay: Duration::from_millis(200),
    };
    let exchange = Exchange::start(&site, pressure, seed)?;
    std::thread::sleep(Duration::from_secs(2));
    let (shared, start) = (&exchange.shared, now());
    let refused = "outbid_connections_refused_total{listener=\"bid\",reason=\"total\"}";
    let (bids, bills) = (shared.bids.load(SeqCst), shared.book.counts.billed());
    let mut most = 0;
    let mut hanging: Vec<TcpStream> = Vec::new();
    while start.elapsed() < PRESSED {
        // What the server closes, because it says nothing, comes again.
        hanging.clear();
        for number in 0..200 {
            hanging.extend(raw::connect(site.at[number % 4]));
        }
        std::thread::sleep(Duration::from_millis(1_000));
        most = most.max(server.descriptors()?);
    }
    let (bids, bills) = (shared.bids.load(SeqCst) - bids, shared.book.counts.billed() - bills);
    let figure =
        format!("{most} of {DESCRIPTORS} open, {bids} bids and {bills} bills answered in {PRESSED:?}");
    let goes_on = bids > 0 && bills > 0;
    table.check("B7", "no descriptors: goes on with what is open", figure, "> 0 each", goes_on);
    drop(hanging);
    recovered(&site, &mut server, "no descriptors", table)?;
    let refused = good::metric(&site, refused)?;
    table.check(
        "B7",
        "no descriptors: further connections",
        format!("{refused} closed at once"),
        "> 0",
        refused > 0.0,
    );
    exchange.quiesce(Duration::from_secs(30))?;
    shared.book.check_settled(&site.balances()?);
    let faults = shared.book.faults();
    let figure =
        format!("{} bills, {} faults {}", shared.book.counts.billed(), faults.len(), faults.join("; "));
    table.check("B7", "no descriptors: books", figure, "exact", faults.is_empty());
    server.stop()
}

/// Ready, and whoever comes is answered.
fn recovered(site: &Site, server: &mut Server, what: &str, table: &mut Table<'_>) -> anyhow::Result<()> {
    let start = now();
    server.wait_ready(RECOVERY).with_context(|| format!("{what}: after the pressure"))?;
    // A connection that never got its turn holds a place in the kernel's queue until it is taken and seen to be gone.
    let good = Good { connections: 1, ..Good::at(site.at[0]) };
    while good.calm(Duration::from_millis(100)).failed() > 0 {
        ensure!(start.elapsed() < RECOVERY, "{what}: good requests fail {RECOVERY:?} after the pressure");
    }
    let figure = format!("after {} ms", start.elapsed().as_millis());
    table.check("B7", format!("{what}: well again"), figure, format!("{RECOVERY:?}"), true);
    Ok(())
}

fn memory(program: &Path, dir: &Path, seed: u64, table: &mut Table<'_>) -> anyhow::Result<()> {
    let mut site = good::site(program, dir, seed)?;
    for setting in [
        format!("server.max_connections={TAKEN}"),
        format!("server.max_connections_per_ip={TAKEN}"),
        format!("server.body_memory_bytes={BODIES}"),
    ] {
        site = site.set(&setting);
    }
    // Address space that the allocator sets aside beforehand would hide what is used of it.
    site.wrapper = limited("-v unlimited; export MIMALLOC_ARENA_RESERVE=32768");
    let mut server = site.start()?;
    Good::at(site.at[0]).calm(Duration::from_secs(1));
    let calm = server.address_space_bytes()?;
    server.stop()?;
    let limit = calm + TAKEN as u64 * CONNECTION + BODIES + BESIDES;
    site.wrapper = limited(&format!("-v {}; export MIMALLOC_ARENA_RESERVE=32768", limit >> 10));
    let mut server = site.start()?;
    let before = server.rss_bytes()?;
    let stop = AtomicBool::new(false);
    let good = Good { rate: 200, connections: 4, ..Good::at(site.at[0]) };
    let (beside, pressed) = good.during(|| {
        std::thread::scope(|scope| {
            let hand = scope.spawn(|| press(&site, &stop));
            let (start, mut peak) = (now(), 0);
            while start.elapsed() < PRESSED {
                peak = peak.max(server.rss_bytes().unwrap_or(0));
                std::thread::sleep(Duration::from_millis(20));
            }
            stop.store(true, Relaxed);
            let sent = hand.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            sent.map(|sent| (sent, peak))
        })
    });
    let (sent, peak) = pressed?;
    let lives = server.rss_bytes();
    let figure = format!(
        "{} MiB above the {} MiB of before allowed, {} MiB more used in RAM, {sent} MiB of bodies sent, {}",
        (limit - calm) >> 20,
        calm >> 20,
        peak.saturating_sub(before) >> 20,
        if lives.is_ok() { "it lives" } else { "it is gone" }
    );
    table.check(
        "B7",
        format!("no memory: {COMING} bodies of 250 KB at once"),
        figure,
        "no abort",
        lives.is_ok(),
    );
    ensure!(lives.is_ok(), "it said: {}", server.said());
    let (bids, no_bids) = (beside.bids, beside.no_bids);
    let shed = good::metric(&site, "outbid_shed_total{reason=\"body_memory\"}")?;
    let figure =
        format!("{bids} bids, {no_bids} without, {} not answered; {shed} bodies shed", beside.failed());
    table.check(
        "B7",
        "no memory: good traffic beside it",
        figure,
        "some, and bodies are shed",
        bids > 0 && shed > 0.0,
    );
    recovered(&site, &mut server, "no memory", table)?;
    server.stop()
}

/// Sends bodies that stay unfinished for a second, over more connections than are taken; megabytes that were sent.
fn press(site: &Site, stop: &AtomicBool) -> anyhow::Result<usize> {
    let body = " ".repeat(250_000);
    let head = format!("POST /openrtb2/{EXCHANGE} HTTP/1.1\r\nhost: x\r\ncontent-length: 250000\r\n\r\n");
    let whole = head + &body;
    let mut sent = 0;
    while !stop.load(Relaxed) {
        let mut streams = Vec::new();
        for number in 0..COMING {
            let from = Ipv4Addr::new(127, 0, 4, 1 + (number % 2) as u8);
            if let Ok(stream) = raw::connect_from(from, site.at[0]) {
                stream.set_nonblocking(true)?;
                streams.push((stream, 0));
            }
        }
        let start = now();
        while start.elapsed() < Duration::from_millis(900) {
            for (number, (stream, written)) in streams.iter_mut().enumerate() {
                // Every other body stays one byte short.
                let upto = whole.len() - number % 2;
                *written += stream.write(&whole.as_bytes()[*written..upto]).unwrap_or(0);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        sent += streams.iter().map(|(_, written)| written).sum::<usize>();
    }
    Ok(sent >> 20)
}
