//! Good traffic beside something bad: bid requests at a steady rate, each answer looked at.
//!
//! An exchange sends whatever the server is busy with, so a latency counts from when a request was due where its
//! connection still waited for the one before.

use super::account::{self, EXCHANGE, LINES, UNIT};
use super::http::{Client, now};
use super::server::Site;
use super::table::{Moved, Verdict};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A site as a configuration without adjustments serves, on one core; only the drain's grace is short.
pub(crate) fn site(program: &Path, dir: &Path, seed: u64) -> anyhow::Result<Site> {
    let plan = account::Plan { budgets: [500 * UNIT; 3], dear: false, hold_s: 3 };
    let site = Site::prepare(program, dir, &plan, seed)?;
    // Of what stands in a trial's site already, the last one given counts.
    Ok(site.set("engine.cores=1").set("ledger.segment_bytes=1048576"))
}

/// The value of one sample of `/metrics`, name and labels as it writes them; 0 where it is not there.
pub(crate) fn metric(site: &Site, sample: &str) -> anyhow::Result<f64> {
    let reply = Client::new(site.at[3]).get("/metrics", "")?;
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    let value = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    Ok(value.map_or(Ok(0.0), str::parse)?)
}

/// How much good traffic, and for whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Good<'g> {
    /// The bid listener, or what stands in front of it.
    pub(crate) to: SocketAddr,
    /// The exchange that asks.
    pub(crate) exchange: &'g str,
    /// Requests a second.
    pub(crate) rate: u64,
    /// Keep-alive connections.
    pub(crate) connections: u64,
}

/// What came of a stretch of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stretch {
    /// Of every answer, in microseconds.
    pub(crate) latencies_us: Vec<u32>,
    /// Answers with a bid, and without.
    pub(crate) bids: u64,
    pub(crate) no_bids: u64,
    /// Other statuses.
    pub(crate) others: BTreeMap<u16, u64>,
    /// Requests without an answer.
    pub(crate) broken: u64,
}

impl<'g> Good<'g> {
    /// 500 a second over 8 connections, of the exchange of the trials.
    pub(crate) fn at(to: SocketAddr) -> Good<'g> {
        Good { to, exchange: EXCHANGE, rate: 500, connections: 8 }
    }

    /// Asks while `work` is done.
    pub(crate) fn during<T>(&self, work: impl FnOnce() -> T) -> (Stretch, T) {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let stop = AtomicBool::new(false);
        let every = Duration::from_nanos(1_000_000_000 * self.connections / self.rate.max(1));
        let ask = |who: u64| {
            let (mut client, mut seen) = (Client::new(self.to), Stretch::default());
            let mut due = now() + every.mul_f64(who as f64 / self.connections as f64);
            while !stop.load(Relaxed) {
                let wait = due.saturating_duration_since(now());
                std::thread::sleep(wait);
                let from = if wait.is_zero() { due } else { now() };
                let body = account::request(&LINES[0], &format!("good-{}", NUMBERS.fetch_add(1, Relaxed)));
                match client.bid(self.exchange, &body) {
                    Ok(reply) => {
                        seen.latencies_us.push(from.elapsed().as_micros().min(u128::from(u32::MAX)) as u32);
                        match reply.status {
                            200 => seen.bids += 1,
                            204 => seen.no_bids += 1,
                            other => *seen.others.entry(other).or_default() += 1,
                        }
                    }
                    Err(_) => {
                        seen.broken += 1;
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
                due += every;
            }
            seen
        };
        std::thread::scope(|scope| {
            let askers: Vec<_> = (0..self.connections).map(|who| scope.spawn(move || ask(who))).collect();
            let done = work();
            stop.store(true, Relaxed);
            let mut all = Stretch::default();
            for asker in askers {
                match asker.join() {
                    Ok(seen) => all.add(&seen),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            (all, done)
        })
    }

    /// Asks for so long, with nothing beside.
    pub(crate) fn calm(&self, time: Duration) -> Stretch {
        self.during(|| std::thread::sleep(time)).0
    }
}

impl Stretch {
    /// Adds what another stretch saw.
    pub(crate) fn add(&mut self, other: &Stretch) {
        self.latencies_us.extend(&other.latencies_us);
        self.bids += other.bids;
        self.no_bids += other.no_bids;
        self.broken += other.broken;
        for (status, count) in &other.others {
            *self.others.entry(*status).or_default() += count;
        }
    }

    /// Whatever was asked.
    pub(crate) fn asked(&self) -> u64 {
        self.bids + self.no_bids + self.broken + self.others.values().sum::<u64>()
    }

    /// Requests whose answer is neither 200 nor 204, or missing.
    pub(crate) fn failed(&self) -> u64 {
        self.broken + self.others.values().sum::<u64>()
    }

    /// The latency below which so many per mille lie, in microseconds: nearest rank.
    pub(crate) fn quantile_us(&self, per_mille: usize) -> u32 {
        let mut sorted = self.latencies_us.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * per_mille).div_ceil(1_000);
        sorted.get(rank.max(1) - 1).copied().unwrap_or(0)
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let (p50, p99) = (self.quantile_us(500), self.quantile_us(990));
        format!("p50 {p50} µs, p99 {p99} µs of {}", self.latencies_us.len())
    }
}

/// Two kinds of stretches, taken in turn, so that what drifts meets both.
#[derive(Clone, Debug, Default)]
pub(crate) struct InTurn {
    /// Nothing beside: the odd ones and the even ones.
    calm: [Stretch; 2],
    /// With the fault beside.
    beside: Stretch,
    turns: usize,
}

impl InTurn {
    /// Adds a calm stretch and the one after it.
    pub(crate) fn add(&mut self, calm: &Stretch, beside: &Stretch) {
        self.calm[self.turns % 2].add(calm);
        self.beside.add(beside);
        self.turns += 1;
    }

    /// All calm ones.
    pub(crate) fn calm(&self) -> Stretch {
        let mut all = self.calm[0].clone();
        all.add(&self.calm[1]);
        all
    }

    /// All others.
    pub(crate) fn beside(&self) -> &Stretch {
        &self.beside
    }

    /// How p99 moved and how far the calm halves lie apart, both in percent, and what follows for a limit of `most`.
    pub(crate) fn judge(&self, most: f64) -> (String, Verdict) {
        let p99 = |stretch: &Stretch| f64::from(stretch.quantile_us(990).max(1));
        let calm = self.calm();
        let halves = [0, 1].map(|half| if self.turns < 2 { p99(&calm) } else { p99(&self.calm[half]) });
        let Moved { percent, noise, verdict } = Moved::of(p99(&calm), halves, p99(&self.beside), most);
        let text = format!(
            "p99 {percent:+.0} % ({} calm; {} beside); calm halves lie {noise:.0} % apart",
            calm.text(),
            self.beside.text()
        );
        (text, verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(p99_us: u32) -> Stretch {
        let mut latencies_us = vec![10; 980];
        latencies_us.extend([p99_us; 20]);
        Stretch { bids: 1_000, latencies_us, ..Stretch::default() }
    }

    #[test]
    fn a_move_is_held_against_its_limit_and_against_the_noise() {
        let check = |calm: [u32; 2], beside: u32, expected: Verdict| {
            let mut turns = InTurn::default();
            for calm in calm {
                turns.add(&stretch(calm), &stretch(beside));
            }
            let (text, verdict) = turns.judge(10.0);
            assert_eq!(verdict, expected, "{text}");
        };
        check([100, 100], 109, Verdict::Pass);
        check([100, 100], 50, Verdict::Pass);
        check([100, 100], 120, Verdict::Fail);
        check([100, 130], 125, Verdict::Noise);
        check([100, 130], 150, Verdict::Fail);
    }

    #[test]
    fn quantiles_are_nearest_ranks() {
        let latencies_us = (1..=1_000).rev().collect();
        let stretch = Stretch { latencies_us, ..Stretch::default() };
        assert_eq!(
            (stretch.quantile_us(990), stretch.quantile_us(500), stretch.quantile_us(0)),
            (990, 500, 1)
        );
        assert_eq!(Stretch::default().quantile_us(990), 0);
    }
}
