//! The price landscape: what the best of the other bidders offers for an impression, and how long things take.
//!
//! Prices are log-normal around a median of their own for each place and size. Invariant: the same seed, request and
//! impression give the same price, whoever asks and in whatever order; the numbers are the same on every machine,
//! because only additions, multiplications and divisions make them.

use crate::market::dice::{Dice, splitmix64};

/// Kinds of the random streams.
const MEDIAN: u64 = u64::from_be_bytes(*b"x.median");
const PRICE: u64 = u64::from_be_bytes(*b"x.rivals");

/// A stable number of a text: FNV-1a, mixed.
pub(crate) fn number_of(text: &str) -> u64 {
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    splitmix64(text.bytes().fold(0xCBF2_9CE4_8422_2325, fnv))
}

/// e to the power of `x`, to seven digits for |x| ≤ 10.
fn exp(x: f64) -> f64 {
    let mut power = 1.0 + x / f64::from(1u32 << 30);
    for _ in 0..30 {
        power *= power;
    }
    power
}

/// A factor that is log-normal around 1: half of them are below; `sigma` is the deviation of its logarithm.
pub(crate) fn log_normal(dice: &mut Dice, sigma: f64) -> f64 {
    // The sum of twelve uniform numbers (Irwin and Hall): mean 6, variance 1.
    let sum: f64 = (0..12).map(|_| dice.unit()).sum();
    exp(sigma * (sum - 6.0))
}

/// What the others bid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Landscape {
    pub(crate) seed: u64,
    /// CPM micros.
    pub(crate) median: i64,
    /// Impressions on which nobody else bids, per mille.
    pub(crate) alone: u64,
}

impl Landscape {
    /// The best price of the others for impression `imp` of a request, in CPM micros; `None` where nobody else bids.
    /// `place` and `size` tell cheap places from dear ones.
    pub(crate) fn rival(&self, request: u64, imp: u64, place: u64, size: (u32, u32)) -> Option<i64> {
        let mut own = Dice::new(self.seed, MEDIAN, place ^ u64::from(size.0) << 32 ^ u64::from(size.1));
        let median = self.median as f64 * log_normal(&mut own, 0.5);
        let mut dice = Dice::new(self.seed, PRICE, request ^ splitmix64(imp));
        if dice.chance(self.alone) {
            return None;
        }
        Some(((median * log_normal(&mut dice, 0.6)) as i64).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_one() {
        for x in [-3.0, -0.5, 0.0, 1.0, 2.5, 6.0] {
            assert!((exp(x) / f64::exp(x) - 1.0).abs() < 1e-6, "{x}: {} {}", exp(x), f64::exp(x));
        }
    }

    #[test]
    fn prices_are_log_normal_and_repeat_for_the_same_request() {
        let landscape = Landscape { seed: 4, median: 1_600_000, alone: 50 };
        let all: Vec<Option<i64>> =
            (0..20_000).map(|n| landscape.rival(splitmix64(n), 0, splitmix64(n % 500), (300, 250))).collect();
        let mut prices: Vec<i64> = all.iter().copied().flatten().collect();
        let alone = all.len() - prices.len();
        assert!((850..1_150).contains(&alone), "{alone} of 20,000 alone");
        prices.sort_unstable();
        let at = |per_mille: usize| prices[prices.len() * per_mille / 1_000];
        assert!((1_450_000..1_750_000).contains(&at(500)), "median {}", at(500));
        // Deviation of the logarithm: √(0.5² + 0.6²) = 0.78, so five sixths are below e^0.78 times the median.
        let ratio = at(841) as f64 / at(500) as f64;
        assert!((2.0..2.4).contains(&ratio), "{ratio}");
        assert_eq!(all[17], landscape.rival(splitmix64(17), 0, splitmix64(17), (300, 250)));
        assert_ne!(
            all[17],
            Landscape { seed: 5, ..landscape }.rival(splitmix64(17), 0, splitmix64(17), (300, 250))
        );
    }
}
