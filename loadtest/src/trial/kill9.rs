//! Trial B1: `kill -9` at a random moment under load, again and again. After every cycle the server's books are held
//! against what the exchange was answered; after the last one the budgets are run down to the end.

use super::account::{self, EXCHANGE, LINES, Line, Plan, Purse, UNIT};
use super::book::Bill;
use super::dice::Dice;
use super::http::{Client, now};
use super::load::{Exchange, Offer, Pressure, Shared};
use super::server::{Server, Site};
use anyhow::{Context, bail, ensure};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// The bid rate counts as back when so many per mille of the former rate are seen over [`WINDOW`].
const BACK_PER_MILLE: u64 = 900;
const WINDOW: Duration = Duration::from_millis(400);
/// What is asked for: ready, and back at the former rate.
const TARGET: Duration = Duration::from_secs(5);
/// Bills of a cycle.
const LEAST_BILLS: u64 = 1_000;
/// A cycle that has not billed enough by then goes on without.
const LONGEST_CYCLE: Duration = Duration::from_secs(20);
/// What the purses with little money get at each restart, in nanos.
const MORE: i64 = UNIT;
/// After the longest hold, an exchange may retry for so long: then doubt ends (money.md 2.5).
const RETRY: Duration = Duration::from_secs(120);

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Crashes.
    pub(crate) cycles: u32,
    /// What chance derives from.
    pub(crate) seed: u64,
    /// Wait for the end of doubt, and spend the rest.
    pub(crate) to_the_end: bool,
    /// Whether a slow machine is a failure. Money always is.
    pub(crate) timed: bool,
}

/// What one cycle showed.
#[derive(Clone, Copy, Debug)]
struct Cycle {
    /// From the start of the process to `/readyz` 200.
    ready: Duration,
    /// From the kill to the former bid rate.
    back: Option<Duration>,
    /// Bids a second before the kill.
    rate: f64,
    billed: u64,
    /// What the restarted server stated as in doubt, in nanos.
    in_doubt: i64,
}

/// Runs the trial; prints a line a cycle and a summary.
pub(crate) fn run(
    program: &Path,
    dir: &Path,
    options: &Options,
    say: &mut dyn FnMut(String),
) -> anyhow::Result<()> {
    let cycles = i64::from(options.cycles);
    // The deep purse has more than crashes lock up; the others get so little more at each restart that they are at
    // their end in every cycle.
    let plan = Plan { budgets: [(500 + 60 * cycles) * UNIT, MORE, MORE], dear: false, hold_s: 3 };
    let site = Site::prepare(program, dir, &plan, options.seed)?;
    // Small segments, so that crashes meet checkpoints and rotations too.
    let site = site.set("ledger.segment_bytes=1048576");
    let pressure = Pressure {
        bidders: 6,
        asks_per_s: 6_000,
        notifiers: 24,
        bills_per_s: 1_000,
        max_delay: Duration::from_secs(6),
    };
    let mut server = site.start()?;
    let exchange = Exchange::start(&site, pressure, options.seed)?;
    let mut trial =
        Trial { site, plan, shared: Arc::clone(&exchange.shared), dice: Dice::new(options.seed, 9) };
    let mut cycles = Vec::new();
    for number in 1..=options.cycles {
        let cycle =
            trial.cycle(&mut server).with_context(|| format!("cycle {number}, seed {}", options.seed))?;
        say(cycle.line(number));
        cycles.push(cycle);
        trial.stop_at_fault(options.seed)?;
    }
    exchange.quiesce(Duration::from_secs(60))?;
    trial.check_settled()?;
    trial.stop_at_fault(options.seed)?;
    if options.to_the_end {
        trial.end(&mut server, say)?;
        trial.stop_at_fault(options.seed)?;
    }
    summary(&cycles, &trial.shared, say);
    judge(&cycles, options)
}

impl Cycle {
    fn line(&self, number: u32) -> String {
        let back = self.back.map_or("never".to_owned(), |back| format!("{} ms", back.as_millis()));
        format!(
            "cycle {number:>3}: ready {:>4} ms, rate back after {back}, {:>6.0} bids/s before, {:>5} billed, {} in doubt",
            self.ready.as_millis(),
            self.rate,
            self.billed,
            account::cpm(self.in_doubt / 1_000),
        )
    }
}

struct Trial {
    site: Site,
    plan: Plan,
    shared: Arc<Shared>,
    dice: Dice,
}

impl Trial {
    /// Runs under load, kills, restarts, and waits for the former rate.
    fn cycle(&mut self, server: &mut Server) -> anyhow::Result<Cycle> {
        let billed_before = self.shared.book.counts.billed();
        let (from, bids) = (now(), self.deep_bids());
        let length = Duration::from_millis(1_000 + self.dice.below(1_500));
        loop {
            std::thread::sleep(length.saturating_sub(from.elapsed()).max(Duration::from_millis(20)));
            let enough = self.shared.book.counts.billed() - billed_before >= LEAST_BILLS;
            if enough || from.elapsed() > LONGEST_CYCLE {
                break;
            }
        }
        let rate = (self.deep_bids() - bids) as f64 / from.elapsed().as_secs_f64();
        self.compare()?;
        let billed = self.shared.book.counts.billed() - billed_before;
        let killed = now();
        self.restart(server)?;
        self.compare()?;
        let back = self.wait_for_rate(rate, killed);
        Ok(Cycle { ready: server.ready_in, back, rate, billed, in_doubt: server.stated_in_doubt() })
    }

    /// Kills the server, adds to the purses with little money, and starts it again.
    fn restart(&mut self, server: &mut Server) -> anyhow::Result<()> {
        server.kill()?;
        for purse in [Purse::Tight, Purse::Daily] {
            self.plan.budgets[purse as usize] += MORE;
        }
        self.site.edit(&self.plan)?;
        *server = self.site.start()?;
        Ok(())
    }

    fn deep_bids(&self) -> u64 {
        self.shared.deep_bids.load(SeqCst)
    }

    /// Waits until the bid rate is back, for twice as long as it may take; how long after the kill it was.
    fn wait_for_rate(&self, rate: f64, killed: Instant) -> Option<Duration> {
        let mut seen: Vec<(Instant, u64)> = Vec::new();
        while killed.elapsed() < TARGET * 2 {
            let (at, count) = (now(), self.deep_bids());
            seen.retain(|(then, _)| at.duration_since(*then) <= WINDOW);
            if let Some((first, earlier)) = seen.first()
                && at.duration_since(*first) >= WINDOW * 9 / 10
            {
                let window_rate = (count - earlier) as f64 / at.duration_since(*first).as_secs_f64();
                if window_rate * 1_000.0 >= rate * BACK_PER_MILLE as f64 {
                    return Some(at.duration_since(killed));
                }
            }
            seen.push((at, count));
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }

    /// Holds the books against the exchange's own, while everything goes on.
    fn compare(&self) -> anyhow::Result<()> {
        let floor = self.shared.book.floor();
        let shown = self.site.balances()?;
        self.shared.book.check(&floor, &shown, &self.plan.budgets);
        Ok(())
    }

    fn check_settled(&self) -> anyhow::Result<()> {
        self.compare()?;
        self.shared.book.check_settled(&self.site.balances()?);
        Ok(())
    }

    fn stop_at_fault(&self, seed: u64) -> anyhow::Result<()> {
        let faults = self.shared.book.faults();
        ensure!(faults.is_empty(), "seed {seed}:\n  {}", faults.join("\n  "));
        Ok(())
    }

    /// After one more crash: spends everything that is not in doubt, waits for the end of doubt, and spends that too.
    fn end(&mut self, server: &mut Server, say: &mut dyn FnMut(String)) -> anyhow::Result<()> {
        self.plan.dear = true;
        self.restart(server)?;
        let stated = server.stated_in_doubt();
        let start = now();
        self.run_down()?;
        let unspent = self.unspent()?;
        let least_hold: i64 = LINES[..3].iter().map(Line::hold).sum();
        say(format!(
            "run down in {} s: {} unspent, {} stated in doubt",
            start.elapsed().as_secs(),
            account::cpm(unspent / 1_000),
            account::cpm(stated / 1_000)
        ));
        ensure!(
            unspent <= stated + least_hold,
            "{unspent} nanos are unspent, only {stated} were stated in doubt"
        );
        let wait = RETRY + Duration::from_secs(u64::from(self.plan.hold_s));
        std::thread::sleep(wait.saturating_sub(start.elapsed()));
        // The ear clock stands still whenever the process does, so it may be behind this one.
        let limit = now() + wait;
        while self.leased()? > least_hold && now() < limit {
            std::thread::sleep(Duration::from_secs(1));
        }
        self.run_down()?;
        let unspent = self.unspent()?;
        say(format!("after the end of doubt: {} unspent", account::cpm(unspent / 1_000)));
        ensure!(unspent <= least_hold, "{unspent} nanos never came back from doubt");
        self.check_settled()
    }

    fn leased(&self) -> anyhow::Result<i64> {
        Ok(self.site.balances()?.wallets.iter().map(|(_, _, leased)| leased).sum())
    }

    /// What the purses' budgets still have.
    fn unspent(&self) -> anyhow::Result<i64> {
        let shown = self.site.balances()?;
        Ok(Purse::ALL
            .iter()
            .map(|purse| self.plan.budgets[*purse as usize] - shown.wallets[*purse as usize].1)
            .sum())
    }

    /// Bids and bills, the dear line items first, until nobody has bid for longer than a hold lives.
    fn run_down(&self) -> anyhow::Result<()> {
        let quiet = Duration::from_secs(u64::from(self.plan.hold_s) + 3);
        self.run_down_once(quiet)
    }

    fn run_down_once(&self, quiet: Duration) -> anyhow::Result<()> {
        let results: Vec<anyhow::Result<()>> = std::thread::scope(|scope| {
            let hands: Vec<_> = (0..24usize)
                .map(|hand| {
                    scope.spawn(move || {
                        let own = [LINES[3 + hand % 3], LINES[hand % 3]];
                        own.iter().try_for_each(|line| self.spend(line, hand, quiet))
                    })
                })
                .collect();
            hands
                .into_iter()
                .map(|hand| hand.join().unwrap_or_else(|_| bail!("a hand has panicked")))
                .collect()
        });
        results.into_iter().collect()
    }

    /// Bids on one line item and bills at once, until it has not bid for `quiet`.
    fn spend(&self, line: &Line, hand: usize, quiet: Duration) -> anyhow::Result<()> {
        let [bid, track, ..] = self.site.at;
        let (mut bids, mut track) = (Client::new(bid), Client::new(track));
        let (mut last, mut count) = (now(), 0u64);
        while last.elapsed() < quiet {
            count += 1;
            let reply = bids.bid(EXCHANGE, &account::request(line, &format!("end-{hand}-{count}")))?;
            if reply.status != 200 {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            }
            last = now();
            let path = Offer::read(&reply, line)?.notice(line.bid);
            let bill = Bill::new(path, String::new(), line, line.bid);
            self.shared.book.open(&bill, 1);
            let reply = track.get(&bill.path, "")?;
            self.shared.book.answer(&bill, reply.status, Some(&reply.class));
        }
        Ok(())
    }
}

/// The value at a quantile of sorted values.
fn at<T: Copy>(sorted: &[T], per_mille: usize) -> Option<T> {
    sorted.get((sorted.len() * per_mille / 1_000).min(sorted.len().saturating_sub(1))).copied()
}

fn summary(cycles: &[Cycle], shared: &Shared, say: &mut dyn FnMut(String)) {
    let mut row = |name: &str, mut values: Vec<u128>, unit: &str| {
        values.sort_unstable();
        if let (Some(least), Some(middle), Some(most)) = (values.first(), at(&values, 500), values.last()) {
            say(format!("| {name} | {least} {unit} | {middle} {unit} | {most} {unit} |"));
        }
    };
    row("restart to ready", cycles.iter().map(|c| c.ready.as_millis()).collect(), "ms");
    row(
        "kill to 90 % of the bid rate",
        cycles.iter().filter_map(|c| c.back).map(|b| b.as_millis()).collect(),
        "ms",
    );
    row("bids a second before the kill", cycles.iter().map(|c| c.rate as u128).collect(), "");
    row("bills of a cycle", cycles.iter().map(|c| u128::from(c.billed)).collect(), "");
    let counts = &shared.book.counts;
    let of = |count: &std::sync::atomic::AtomicU64| count.load(SeqCst);
    say(format!(
        "{} cycles: {} accepted, {} late, {} to the house, {} duplicates ignored, {} unanswered sends of which {} had \
         been charged, {} refused with 503; {} bids, {} no bids",
        cycles.len(),
        of(&counts.accepted),
        of(&counts.late),
        of(&counts.house),
        of(&counts.duplicate),
        of(&counts.unanswered),
        of(&counts.recovered),
        of(&counts.refused),
        shared.bids.load(SeqCst),
        shared.no_bids.load(SeqCst),
    ));
}

/// The limits of time.
fn judge(cycles: &[Cycle], options: &Options) -> anyhow::Result<()> {
    if !options.timed {
        return Ok(());
    }
    let late = |time: Option<Duration>| time.is_none_or(|time| time > TARGET);
    for (number, cycle) in cycles.iter().enumerate() {
        let number = number + 1;
        ensure!(
            !late(Some(cycle.ready)),
            "cycle {number} was ready after {:?}, limit {TARGET:?}",
            cycle.ready
        );
        ensure!(
            !late(cycle.back),
            "cycle {number}: the bid rate was back after {:?}, limit {TARGET:?}",
            cycle.back
        );
        ensure!(
            cycle.billed >= LEAST_BILLS,
            "cycle {number} billed {}, fewer than {LEAST_BILLS}",
            cycle.billed
        );
    }
    Ok(())
}
