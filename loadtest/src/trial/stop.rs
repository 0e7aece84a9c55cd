//! Trial B2: a process that is stopped hears nothing, so no hold may expire for that time. Bids are made, the process
//! is stopped for longer than their holds live, and their bills are charged as if nothing had been. Bids that are left
//! alone for as long while the process runs show that holds do expire.

use super::account::{self, EXCHANGE, LINES, Plan, UNIT};
use super::book::Bill;
use super::http::{Client, now};
use super::load::{Exchange, Offer, Pressure};
use super::server::{Server, Site};
use anyhow::{Context, ensure};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// Life of a hold.
const HOLD_S: u32 = 3;
/// A hold may live on for its slot's rounding and a tick: after so long it is gone.
const GONE: Duration = Duration::from_secs(HOLD_S as u64 + 3);
/// Bids of each kind.
const SAMPLE: u64 = 50;
/// `/readyz` is 200 again so soon after SIGCONT.
const RECOVERY: Duration = Duration::from_secs(5);

/// Runs the trial: the process stops `times` times for `each`, with a moment to breathe in between.
pub(crate) fn run(
    program: &Path,
    dir: &Path,
    (times, each): (u32, Duration),
    seed: u64,
    say: &mut dyn FnMut(String),
) -> anyhow::Result<()> {
    ensure!(each * times > GONE, "{times} × {each:?} is no longer than a hold lives ({GONE:?})");
    let plan = Plan { budgets: [500 * UNIT; 3], dear: false, hold_s: HOLD_S };
    let site = Site::prepare(program, dir, &plan, seed)?.set("ledger.segment_bytes=1048576");
    let server = site.start()?;
    let pressure = Pressure {
        bidders: 2,
        asks_per_s: 500,
        notifiers: 8,
        bills_per_s: 200,
        max_delay: Duration::from_millis(500),
    };
    let exchange = Exchange::start(&site, pressure, seed)?;
    std::thread::sleep(Duration::from_secs(1));

    let held = sample(&site)?;
    for _ in 0..times {
        stand_still(&server, each)?;
        std::thread::sleep(Duration::from_millis(20));
    }
    let continued = now();
    while !site.readyz().is_ok_and(|reply| reply.status == 200) {
        ensure!(continued.elapsed() < RECOVERY, "not ready {RECOVERY:?} after SIGCONT");
    }
    let ready = continued.elapsed();
    let classes = bill(&exchange, &held)?;
    let elapsed = continued.elapsed();
    say(format!(
        "stopped {times} × {each:?} with holds of {HOLD_S} s: ready after {ready:?}, bills after {elapsed:?}: {classes:?}"
    ));
    ensure!(classes.iter().all(|class| class == "accepted"), "holds expired while the process stood still");

    // Time counts only while the ledger was heard to tick, so on a busy machine holds live longer than a watch says.
    let mut alone = GONE;
    loop {
        let left_alone = sample(&site)?;
        std::thread::sleep(alone);
        let classes = bill(&exchange, &left_alone)?;
        say(format!("left alone for {alone:?} while the process ran: {classes:?}"));
        if classes.iter().all(|class| class == "late") {
            break;
        }
        ensure!(alone < 8 * GONE, "holds do not expire, so the trial shows nothing");
        alone *= 2;
    }

    exchange.quiesce(Duration::from_secs(30))?;
    let (book, floor) = (&exchange.shared.book, exchange.shared.book.floor());
    let shown = site.balances()?;
    book.check(&floor, &shown, &plan.budgets);
    book.check_settled(&shown);
    say(format!("{} bills under load, books equal to the nano", book.counts.billed()));
    ensure!(book.faults().is_empty(), "seed {seed}:\n  {}", book.faults().join("\n  "));
    ensure!(book.counts.house.load(SeqCst) == 0, "the house bears {} bills", book.counts.house.load(SeqCst));
    Ok(())
}

fn stand_still(server: &Server, each: Duration) -> anyhow::Result<()> {
    server.signal("STOP")?;
    std::thread::sleep(each);
    server.signal("CONT")
}

/// Bids that are not billed yet.
fn sample(site: &Site) -> anyhow::Result<Vec<Arc<Bill>>> {
    let (mut client, line) = (Client::new(site.at[0]), &LINES[0]);
    let one = |n| {
        let mut ask = || client.bid(EXCHANGE, &account::request(line, &format!("held-{n}")));
        let mut reply = ask()?;
        // A burst may be faster than the next top-up of the core's lease.
        for _ in 0..100 {
            if reply.status == 200 {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
            reply = ask()?;
        }
        ensure!(reply.status == 200, "no bid: {}", reply.status);
        Ok(Bill::new(Offer::read(&reply, line)?.notice(line.bid), String::new(), line, line.bid))
    };
    (0..SAMPLE).map(one).collect()
}

/// Sends the bills; the classes of their answers, each once.
fn bill(exchange: &Exchange, bills: &[Arc<Bill>]) -> anyhow::Result<Vec<String>> {
    let mut client = Client::new(exchange.shared.site.at[1]);
    let mut classes = Vec::new();
    for bill in bills {
        exchange.shared.book.open(bill, 1);
        let reply = client.get(&bill.path, "").context("a bill")?;
        exchange.shared.book.answer(bill, reply.status, Some(&reply.class));
        if !classes.contains(&reply.class) {
            classes.push(reply.class);
        }
    }
    Ok(classes)
}
