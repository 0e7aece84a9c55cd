//! Trial D8: how long a bill takes while bids run at full load, beside how long the disk itself takes for a write and
//! a sync of 4 KiB in the same directory in the same minute.
//!
//! Both count by when they were due: bills come when they come, so a disk that stands still for a second makes a
//! second's bills late, and a probe that waited with it would have seen one late sync.

use super::account::{Plan, UNIT};
use super::http::now;
use super::load::{Exchange, Pressure};
use super::server::Site;
use anyhow::ensure;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// Not measured.
const WARM_UP: Duration = Duration::from_secs(3);
/// So many that a bill never waits for a connection, even while the disk stands still for a second.
const NOTIFIERS: u64 = 500;
/// Between two syncs of the probe: it must not be the load that it measures.
const PROBE_EVERY: Duration = Duration::from_millis(5);
/// Bills may take this long at the 99.9th percentile, or [`FACTOR`] times what the disk takes.
const TARGET_US: u32 = 80_000;
const FACTOR: u32 = 3;

/// Runs the trial for `length`.
pub(crate) fn run(
    program: &Path,
    dir: &Path,
    length: Duration,
    seed: u64,
    say: &mut dyn FnMut(String),
) -> anyhow::Result<()> {
    let plan = Plan { budgets: [50_000 * UNIT; 3], dear: false, hold_s: 3 };
    let site = Site::prepare(program, dir, &plan, seed)?;
    let _server = site.start()?;
    let pressure = Pressure {
        bidders: 8,
        asks_per_s: 0,
        notifiers: NOTIFIERS,
        bills_per_s: 500,
        max_delay: Duration::ZERO,
    };
    let exchange = Exchange::start(&site, pressure, seed)?;
    let shared = &exchange.shared;
    std::thread::sleep(WARM_UP);
    *shared.latencies_us.lock() = Some(Vec::new());
    let bids = shared.bids.load(SeqCst);
    let start = now();
    let mut disk = probe(&site.dir.join("probe"), length)?;
    let elapsed = start.elapsed();
    let mut bills = shared.latencies_us.lock().take().unwrap_or_default();
    let rate = (shared.bids.load(SeqCst) - bids) as f64 / elapsed.as_secs_f64();
    ensure!(shared.book.faults().is_empty(), "{}", shared.book.faults().join("\n  "));
    ensure!(
        bills.len() >= 1_000 && disk.len() >= 1_000,
        "{} bills, {} syncs: too few",
        bills.len(),
        disk.len()
    );
    say(format!(
        "{} s, {rate:.0} bids/s at full load, {} bills, {} syncs",
        elapsed.as_secs(),
        bills.len(),
        disk.len()
    ));
    say("| | p50 | p99 | p99.9 | max |".to_owned());
    let bill = row("bill, from due to 2xx", &mut bills, say);
    let mut by_due = by_due(&disk);
    let sync = row("write and fdatasync of 4 KiB, due every 5 ms", &mut by_due, say);
    row("the same, one after the other", &mut disk, say);
    let target = TARGET_US.max(FACTOR * sync);
    say(format!("p99.9 of a bill {} ms, target {} ms", ms(bill), ms(target)));
    ensure!(bill <= target, "bills are slower than the target");
    Ok(())
}

fn ms(us: u32) -> String {
    format!("{}.{:02}", us / 1_000, us % 1_000 / 10)
}

/// Prints a row; the 99.9th percentile.
fn row(name: &str, values: &mut [u32], say: &mut dyn FnMut(String)) -> u32 {
    values.sort_unstable();
    let at = |per_mille: usize| values[(values.len() * per_mille / 1_000).min(values.len() - 1)];
    let cells = [500, 990, 999, 1_000].map(|per_mille| format!("{} ms", ms(at(per_mille))));
    say(format!("| {name} | {} |", cells.join(" | ")));
    at(999)
}

/// What probes would have taken that came every [`PROBE_EVERY`], whatever the one before did: those that fell into a
/// long one waited for its end.
fn by_due(taken: &[u32]) -> Vec<u32> {
    let every = PROBE_EVERY.as_micros() as u32;
    taken.iter().flat_map(|took| (0..=took / every).map(move |missed| took - missed * every)).collect()
}

/// Writes and syncs 4 KiB again and again; microseconds of each.
fn probe(path: &Path, length: Duration) -> anyhow::Result<Vec<u32>> {
    let file = std::fs::File::create(path)?;
    let block = [0x5a; 4_096];
    // As the journal does it: into space that is there already.
    (0..256u64).try_for_each(|at| file.write_all_at(&block, at * 4_096))?;
    file.sync_all()?;
    let (start, mut taken) = (now(), Vec::new());
    while start.elapsed() < length {
        let began = now();
        file.write_all_at(&block, (taken.len() as u64 % 256) * 4_096)?;
        file.sync_data()?;
        taken.push(began.elapsed().as_micros().min(u128::from(u32::MAX)) as u32);
        std::thread::sleep(PROBE_EVERY);
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_that_stands_still_is_late_for_all_that_came_meanwhile() {
        assert_eq!(by_due(&[100, 4_999, 12_000, 300]), [100, 4_999, 12_000, 7_000, 2_000, 300]);
    }
}
