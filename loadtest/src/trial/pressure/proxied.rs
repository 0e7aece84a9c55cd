//! Trial F5: bids and bills go through a network that delays, slices, cuts and swallows. Nothing crashes, no answer is
//! wrong, every bill is charged once, and as soon as the network is good again so is everything.

use super::super::account::{Plan, UNIT};
use super::super::edge::is_well;
use super::super::good::{self, Good};
use super::super::load::{Exchange, Pressure};
use super::super::server::Site;
use super::super::table::Table;
use super::proxy::{Proxy, Toxic};
use anyhow::{Context, ensure};
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// With each toxic for so long.
const EACH: Duration = Duration::from_secs(5);
const MS: Duration = Duration::from_millis(1);

/// What the network does, one after the other.
const TOXICS: [(&str, Toxic); 8] = [
    ("nothing", Toxic::Nothing),
    (
        "latency of 50 to 150 ms",
        Toxic::Latency { delay: MS.saturating_mul(50), jitter: MS.saturating_mul(100) },
    ),
    ("bandwidth of 16 KB/s", Toxic::Bandwidth { bytes_per_s: 16_000 }),
    ("slicer, 1 to 40 bytes, 1 ms", Toxic::Slicer { most: 40, pause: MS }),
    ("reset_peer within 2,000 bytes", Toxic::ResetPeer { within: 2_000 }),
    ("limit_data within 2,000 bytes", Toxic::LimitData { within: 2_000 }),
    ("timeout after 400 ms", Toxic::Timeout { after: MS.saturating_mul(400) }),
    ("nothing again", Toxic::Nothing),
];

/// Runs the trial.
pub(crate) fn run(program: &Path, dir: &Path, seed: u64, say: &mut dyn FnMut(String)) -> anyhow::Result<()> {
    let mut table = Table::new(say);
    let outcome = through(program, dir, seed, &mut table);
    table.carried("F5", outcome);
    table.end()
}

fn through(program: &Path, dir: &Path, seed: u64, table: &mut Table<'_>) -> anyhow::Result<()> {
    let plan = Plan { budgets: [500 * UNIT; 3], dear: false, hold_s: 3 };
    let site = Site::prepare(program, dir, &plan, seed)?.set("ledger.segment_bytes=1048576");
    let mut server = site.start()?;
    let proxies = [Proxy::start(site.at[0], seed)?, Proxy::start(site.at[1], seed + 1)?];
    let mut seen = site.clone();
    (seen.at[0], seen.at[1]) = (proxies[0].at, proxies[1].at);
    let pressure = Pressure {
        bidders: 8,
        asks_per_s: 1_000,
        notifiers: 16,
        bills_per_s: 300,
        max_delay: Duration::from_millis(500),
    };
    let exchange = Exchange::start(&seen, pressure, seed)?;
    let (shared, book) = (&exchange.shared, &exchange.shared.book);
    for (name, toxic) in TOXICS {
        let counts = || (shared.bids.load(SeqCst) + shared.no_bids.load(SeqCst), book.counts.billed());
        let cut = || proxies.iter().map(|proxy| proxy.cut()).sum::<u64>();
        let (before, cut_before) = (counts(), cut());
        proxies.iter().for_each(|proxy| proxy.set(toxic));
        std::thread::sleep(EACH);
        let (after, cuts) = (counts(), cut() - cut_before);
        let floor = book.floor();
        book.check(&floor, &site.balances()?, &plan.budgets);
        let faults = book.faults();
        let (answers, bills) = (after.0 - before.0, after.1 - before.1);
        let figure =
            format!("{answers} bid answers, {bills} bills, {cuts} connections cut; {} faults", faults.len());
        let passes = toxic == Toxic::Nothing;
        let is_right = faults.is_empty() && (!passes || (answers > 1_000 && bills > 100));
        table.check("F5", name, figure, "no fault; all is well without one", is_right);
        ensure!(faults.is_empty(), "{}", faults.join("\n  "));
    }
    exchange.quiesce(Duration::from_secs(60)).context("after the last toxic")?;
    book.check_settled(&site.balances()?);
    let (faults, counts) = (book.faults(), &book.counts);
    let (unanswered, recovered) = (counts.unanswered.load(SeqCst), counts.recovered.load(SeqCst));
    let figure = format!(
        "{} bills, {unanswered} sends without an answer, {recovered} of them charged before; {} faults {}",
        counts.billed(),
        faults.len(),
        faults.join("; ")
    );
    table.check("F5", "books when all is answered", figure, "equal to the nano", faults.is_empty());
    let good = Good::at(proxies[0].at).calm(Duration::from_secs(1));
    let (figure, failed) = (good.text(), good.failed());
    table.check("F5", "good traffic right after", figure, "all answered", failed == 0);
    let bad = good::metric(&site, "outbid_bid_requests_total{exchange=\"trial\",outcome=\"error\"}")?;
    table.check("F5", "errors of the server", bad.to_string(), "0", bad == 0.0);
    drop(exchange);
    is_well(&site, &mut server)
}
