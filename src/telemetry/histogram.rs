//! A histogram of durations with fixed buckets and atomic counters: recording is one addition to a bucket and one to
//! the sum, without a lock, an allocation or a sample kept.
//!
//! Buckets are decimal and log-linear: every decade from 100 ns to 100 s is cut into 90 equal parts (1.0–1.1, 1.1–1.2
//! … 9.9–10.0), 100 ns wide below the first. So the relative error is at most 10 % and on average about 3 %, and every
//! bound that people ask about (200 µs, 1 ms, 80 ms) is the edge of a bucket: a count "at most 1 ms" is exact. A bucket
//! holds its upper edge and not its lower one, as Prometheus' `le` does.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Parts of a decade.
const PARTS: usize = 90;
/// The first decade starts at 10^2 ns.
const FIRST: u32 = 2;
/// The last decade ends at 10^11 ns.
const LAST: u32 = 10;
/// One bucket for up to 100 ns, the decades, one for more than 100 s.
const BUCKETS: usize = 1 + (LAST - FIRST + 1) as usize * PARTS + 1;

/// Counts of durations in nanoseconds. Any number of threads may record; the bid path has one for each core.
#[derive(Debug)]
pub struct Histogram {
    counts: [AtomicU64; BUCKETS],
    sum_ns: AtomicU64,
}

impl Histogram {
    /// An empty histogram (6.5 KB in place).
    pub fn new() -> Histogram {
        Histogram { counts: [const { AtomicU64::new(0) }; BUCKETS], sum_ns: AtomicU64::new(0) }
    }

    /// Counts one duration.
    #[inline]
    pub fn record_ns(&self, ns: u64) {
        self.counts[bucket_of(ns)].fetch_add(1, Relaxed);
        self.sum_ns.fetch_add(ns, Relaxed);
    }

    /// What has been counted so far.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.add(self);
        snapshot
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram::new()
    }
}

/// The bucket whose (lower, upper] holds `ns`.
#[inline]
fn bucket_of(ns: u64) -> usize {
    let below = ns.saturating_sub(1);
    // A match over constants, so that each division is a multiplication.
    let (decade, tenths) = match below {
        0..100 => return 0,
        100..1_000 => (0, below / 10),
        1_000..10_000 => (1, below / 100),
        10_000..100_000 => (2, below / 1_000),
        100_000..1_000_000 => (3, below / 10_000),
        1_000_000..10_000_000 => (4, below / 100_000),
        10_000_000..100_000_000 => (5, below / 1_000_000),
        100_000_000..1_000_000_000 => (6, below / 10_000_000),
        1_000_000_000..10_000_000_000 => (7, below / 100_000_000),
        10_000_000_000..100_000_000_000 => (8, below / 1_000_000_000),
        _ => return BUCKETS - 1,
    };
    1 + decade * PARTS + tenths as usize - 10
}

/// The largest duration of a bucket in nanoseconds; `u64::MAX` for the last.
fn upper_edge_ns(bucket: usize) -> u64 {
    match bucket {
        0 => 100,
        b if b == BUCKETS - 1 => u64::MAX,
        b => {
            let (decade, part) = ((b - 1) / PARTS, (b - 1) % PARTS);
            (part as u64 + 11) * 10u64.pow(FIRST - 1 + decade as u32)
        }
    }
}

/// A histogram at one moment, or several of them added up.
#[derive(Clone, Debug)]
pub struct Snapshot {
    counts: Vec<u64>,
    sum_ns: u64,
}

impl Default for Snapshot {
    fn default() -> Self {
        Snapshot { counts: vec![0; BUCKETS], sum_ns: 0 }
    }
}

impl Snapshot {
    /// Adds what `histogram` has counted.
    pub fn add(&mut self, histogram: &Histogram) {
        for (total, count) in self.counts.iter_mut().zip(histogram.counts.iter()) {
            *total += count.load(Relaxed);
        }
        self.sum_ns = self.sum_ns.wrapping_add(histogram.sum_ns.load(Relaxed));
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum in nanoseconds.
    pub fn sum_ns(&self) -> u64 {
        self.sum_ns
    }

    /// How many were at most `ns`: exact when `ns` is the edge of a bucket, else those of whole buckets.
    pub fn count_at_most(&self, ns: u64) -> u64 {
        (0..BUCKETS).take_while(|b| upper_edge_ns(*b) <= ns).map(|b| self.counts[b]).sum()
    }

    /// The duration in nanoseconds that the share `q` (0–1) does not exceed: the upper edge of its bucket, so at most
    /// 10 % too high and never too low. `None` when nothing was counted; 100 s stands for anything above.
    pub fn quantile_ns(&self, q: f64) -> Option<u64> {
        let count = self.count();
        let rank = ((q.clamp(0.0, 1.0) * count as f64).ceil() as u64).max(1);
        let mut seen = 0;
        (0..BUCKETS)
            .find(|bucket| {
                seen += self.counts[*bucket];
                count > 0 && seen >= rank
            })
            .map(|bucket| upper_edge_ns(bucket.min(BUCKETS - 2)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bounds_that_people_ask_about_are_exact() {
        let histogram = Histogram::new();
        for ns in [1_000_000, 1_000_001, 999_999] {
            histogram.record_ns(ns);
        }
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot.count_at_most(1_000_000), 2);
        assert_eq!((snapshot.count(), snapshot.sum_ns()), (3, 3_000_000));
    }

    #[test]
    fn nothing_counted_has_no_quantile() {
        assert_eq!(Histogram::new().snapshot().quantile_ns(0.5), None);
    }

    #[test]
    fn what_is_longer_than_the_last_decade_is_still_counted() {
        let histogram = Histogram::new();
        histogram.record_ns(u64::MAX);
        assert_eq!(histogram.snapshot().count(), 1);
        assert_eq!(histogram.snapshot().quantile_ns(1.0), Some(100_000_000_000));
    }

    proptest! {
        #[test]
        fn a_duration_is_within_its_bucket_and_a_tenth_of_its_edge(exponent in 0u32..11, mantissa in 1u64..10_000) {
            let ns = (mantissa * 10u64.pow(exponent) / 1_000).min(100_000_000_000);
            let bucket = bucket_of(ns);
            let (lower, upper) = (bucket.checked_sub(1).map_or(0, upper_edge_ns), upper_edge_ns(bucket));
            prop_assert!(ns <= upper && (ns > lower || ns == 0), "{lower} < {ns} <= {upper}");
            prop_assert!(ns <= 100 || (upper - ns) * 10 <= ns, "{ns} in a bucket up to {upper}");
        }

        #[test]
        fn quantiles_agree_with_the_sorted_values(mut values in prop::collection::vec(101u64..50_000_000, 1..200),
                                                 q in 0.0f64..=1.0) {
            let (one, two) = (Histogram::new(), Histogram::new());
            for (index, ns) in values.iter().enumerate() {
                if index % 2 == 0 { one.record_ns(*ns) } else { two.record_ns(*ns) }
            }
            let mut both = one.snapshot();
            both.add(&two);
            values.sort_unstable();
            let rank = ((q * values.len() as f64).ceil() as usize).max(1);
            let exact = values[rank - 1];
            let found = both.quantile_ns(q).unwrap();
            prop_assert!(found >= exact && (found - exact) * 10 <= exact, "{found} for {exact}");
        }
    }
}
