//! Trial B3: the disk fills up under load. Bills are refused and not lost, bids end, `/readyz` says why; when space
//! returns everything goes on by itself. Wants a data directory on a small file system of its own.

use super::account::{Plan, UNIT};
use super::http::now;
use super::load::{Exchange, Pressure};
use super::server::Site;
use anyhow::{Context, bail, ensure};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// A file system with more free space than this is not one to fill up.
const MOST_BYTES: u64 = 256 << 20;
const LIMIT: Duration = Duration::from_secs(60);
/// The disk counts as full when nothing was ready for so long.
const STEADY: Duration = Duration::from_secs(3);

/// Runs the trial.
pub(crate) fn run(program: &Path, dir: &Path, seed: u64, say: &mut dyn FnMut(String)) -> anyhow::Result<()> {
    let plan = Plan { budgets: [500 * UNIT; 3], dear: false, hold_s: 3 };
    let site = Site::prepare(program, dir, &plan, seed)?.set("ledger.segment_bytes=262144");
    let mut server = site.start()?;
    let pressure = Pressure {
        bidders: 4,
        asks_per_s: 2_000,
        notifiers: 12,
        bills_per_s: 500,
        max_delay: Duration::from_millis(1_000),
    };
    let exchange = Exchange::start(&site, pressure, seed)?;
    let (shared, book) = (&exchange.shared, &exchange.shared.book);
    std::thread::sleep(Duration::from_secs(2));
    let ballast = fill(dir)?;

    let filled = now();
    let text = wait_full(&site)?;
    say(format!("disk full; /readyz 503 after {:?}: {}", filled.elapsed(), text.trim()));
    ensure!(text.contains("no space"), "/readyz does not say why");
    // What the cores have leased may still be bid with; then there is no more.
    let bids_end = loop {
        let (bids, no_bids) = (shared.bids.load(SeqCst), shared.no_bids.load(SeqCst));
        std::thread::sleep(Duration::from_millis(500));
        if shared.bids.load(SeqCst) == bids && shared.no_bids.load(SeqCst) > no_bids + 100 {
            break filled.elapsed();
        }
        ensure!(filled.elapsed() < LIMIT, "bids go on {LIMIT:?} after the disk is full");
    };
    let refused = book.counts.refused.load(SeqCst);
    say(format!("only 204 after {bids_end:?}; {refused} bills refused with 503 so far, none lost"));
    ensure!(refused > 0, "no bill was refused");
    compare(&site, &exchange, &plan)?;

    server.kill()?;
    let mut again = site.spawn()?;
    std::thread::sleep(Duration::from_secs(2));
    let state = match again.wait_end(Duration::from_millis(100)) {
        Ok(code) => format!("ends with code {code:?}: {}", again.said().lines().last().unwrap_or_default()),
        Err(_) => "stays up and is not ready".to_owned(),
    };
    say(format!("killed and started while the disk is full: {state}"));
    drop(again);

    std::fs::remove_file(&ballast)?;
    let freed = now();
    let server = site.start()?;
    ensure!(server.ready_in < LIMIT, "not ready");
    say(format!("space is back: ready after {:?}", freed.elapsed()));
    resume(&site, &exchange, dir, say)?;
    exchange.quiesce(LIMIT)?;
    compare(&site, &exchange, &plan)?;
    book.check_settled(&site.balances()?);
    say(format!("{} bills, books equal to the nano", book.counts.billed()));
    faults(&exchange)
}

/// Waits until `/readyz` has been 503 for a while: a checkpoint frees old segments, and with their space the journal
/// goes on for a while. What it says then.
fn wait_full(site: &Site) -> anyhow::Result<String> {
    let start = now();
    let mut since = start;
    loop {
        let reply = site.readyz()?;
        if reply.status != 503 {
            since = now();
        } else if since.elapsed() > STEADY {
            return Ok(String::from_utf8_lossy(&reply.body).into_owned());
        }
        ensure!(start.elapsed() < LIMIT, "/readyz is not 503 for {STEADY:?} within {LIMIT:?} of a full disk");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Fills and frees once more, this time without a restart in between.
fn resume(site: &Site, exchange: &Exchange, dir: &Path, say: &mut dyn FnMut(String)) -> anyhow::Result<()> {
    std::thread::sleep(Duration::from_secs(1));
    let ballast = fill(dir)?;
    wait_full(site)?;
    std::fs::remove_file(&ballast)?;
    let freed = now();
    while !site.readyz().is_ok_and(|reply| reply.status == 200) {
        ensure!(freed.elapsed() < LIMIT, "not ready {LIMIT:?} after space came back");
        std::thread::sleep(Duration::from_millis(5));
    }
    let ready = freed.elapsed();
    let bids = exchange.shared.bids.load(SeqCst);
    std::thread::sleep(Duration::from_secs(1));
    let after = exchange.shared.bids.load(SeqCst) - bids;
    say(format!("full again, freed: ready by itself after {ready:?}, {after} bids in the next second"));
    ensure!(after > 100, "bids do not go on");
    Ok(())
}

fn compare(site: &Site, exchange: &Exchange, plan: &Plan) -> anyhow::Result<()> {
    let floor = exchange.shared.book.floor();
    exchange.shared.book.check(&floor, &site.balances()?, &plan.budgets);
    faults(exchange)
}

fn faults(exchange: &Exchange) -> anyhow::Result<()> {
    let faults = exchange.shared.book.faults();
    ensure!(faults.is_empty(), "{}", faults.join("\n  "));
    Ok(())
}

/// Writes a file until not a byte more fits.
fn fill(dir: &Path) -> anyhow::Result<PathBuf> {
    let path = dir.join("ballast");
    let mut file = std::fs::File::create(&path)?;
    let mut written = 0u64;
    for size in [65_536, 4_096, 1] {
        let chunk = vec![0x55; size];
        while file.write_all(&chunk).is_ok() {
            written += size as u64;
            if written > MOST_BYTES {
                // The trial is over before it began; what it wrote must go.
                std::fs::remove_file(&path).context("ballast")?;
                bail!("{} has more than {MOST_BYTES} bytes free: mount a small tmpfs for it", dir.display());
            }
        }
    }
    Ok(path)
}
