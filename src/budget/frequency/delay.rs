//! How long after its bid an impression is billed, by exchange: what decides how long a bid without an answer counts as
//! an impression. Longer than that, and a person with one impression left could be bid on only once in the life of a
//! hold; shorter, and two wins could come of it (pricing.md 2f).

use crate::model::ids::ExchangeId;
use dashmap::DashMap;
use foldhash::fast::FixedState;

/// Seconds that are assumed until [`ENOUGH`] bills came.
pub const FIRST_GUESS_S: u32 = 300;
/// Bills before the measured quantile is believed.
const ENOUGH: u64 = 1_000;
/// Counts are halved at this many, so that they follow an exchange that changes.
const HALVE_AT: u64 = 100_000;
/// Bucket `i` holds delays below 1.25^(i + 1) seconds: up to a day and a half in 53 of them.
const BUCKETS: usize = 53;
const RATIO: f64 = 1.25;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Delays {
    by_exchange: DashMap<ExchangeId, Delay, FixedState>,
}

#[derive(Debug)]
struct Delay {
    counts: [u64; BUCKETS],
    total: u64,
    life_s: u32,
}

impl Default for Delay {
    fn default() -> Delay {
        Delay { counts: [0; BUCKETS], total: 0, life_s: FIRST_GUESS_S }
    }
}

impl Delays {
    /// Seconds after which an open bid of this exchange is taken for lost: the 99.9 % quantile.
    pub(super) fn life_s(&self, exchange: ExchangeId) -> u32 {
        self.by_exchange.get(&exchange).map_or(FIRST_GUESS_S, |delay| delay.life_s)
    }

    /// A bill came so many seconds after its bid.
    pub(super) fn learn(&self, exchange: ExchangeId, delay_s: u32) {
        self.by_exchange.entry(exchange).or_default().learn(delay_s);
    }
}

impl Delay {
    fn learn(&mut self, delay_s: u32) {
        let bucket = (f64::from(delay_s.max(1)).ln() / RATIO.ln()) as usize;
        self.counts[bucket.min(BUCKETS - 1)] += 1;
        self.total += 1;
        if self.total >= ENOUGH && self.total.is_multiple_of(256) {
            self.life_s = self.quantile_s();
        }
        if self.total >= HALVE_AT {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total = self.counts.iter().sum();
        }
    }

    /// The upper end of the bucket in which the 99.9 % quantile lies.
    fn quantile_s(&self) -> u32 {
        let beyond = self.total / 1_000;
        let mut above = 0;
        for (bucket, count) in self.counts.iter().enumerate().rev() {
            above += count;
            if above > beyond {
                return RATIO.powi(bucket as i32 + 1).ceil() as u32;
            }
        }
        FIRST_GUESS_S
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_life_of_an_open_bid_follows_the_bills() {
        let delays = Delays::default();
        let here = ExchangeId(1);
        assert_eq!(delays.life_s(here), FIRST_GUESS_S);
        for n in 0..10_240u32 {
            delays.learn(here, if n % 2_000 == 0 { 3_000 } else { 2 + n % 5 });
        }
        let life_s = delays.life_s(here);
        assert!((6..=10).contains(&life_s), "one bill in two thousand is no quantile: {life_s}");
        for n in 0..200_000u32 {
            delays.learn(here, if n % 100 == 0 { 3_000 } else { 4 });
        }
        let life_s = delays.life_s(here);
        assert!((3_000..=3_900).contains(&life_s), "one in a hundred is: {life_s}");
        assert_eq!(delays.life_s(ExchangeId(2)), FIRST_GUESS_S);
    }
}
