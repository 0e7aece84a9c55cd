//! Prices on 64 bins that grow by a constant factor.

use crate::model::money::Cpm;

/// How many bins an axis has; what lies above the last is a bin of its own.
pub const BINS: usize = 64;

const Q16: i64 = 1 << 16;

/// A price axis. Where a price lies is found in integers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Axis {
    /// Lower ends of the bins, and the upper end of the last, ascending.
    edges: Box<[i64; BINS + 1]>,
    low_q16: i64,
    /// Bins per doubling, in 1/65,536.
    per_octave_q16: i64,
}

impl Default for Axis {
    /// 0.01 to 100.00 CPM.
    fn default() -> Axis {
        Axis::new(Cpm(10_000), Cpm(100_000_000))
    }
}

impl Axis {
    /// An axis from `low` to `high`. An axis that would be too narrow for 64 bins of whole micros is widened upwards.
    pub fn new(low: Cpm, high: Cpm) -> Axis {
        let low = low.0.clamp(64, Cpm::MAX.0 / 1_000_000);
        let high = high.0.clamp(low.saturating_mul(4), Cpm::MAX.0);
        let factor = (high as f64 / low as f64).powf(1.0 / BINS as f64);
        let mut edges = Box::new([low; BINS + 1]);
        for at in 1..=BINS {
            let exact = (low as f64 * factor.powi(at as i32)).round() as i64;
            edges[at] = exact.max(edges[at - 1] + 1);
        }
        Axis::over(edges)
    }

    /// An axis over given edges.
    fn over(edges: Box<[i64; BINS + 1]>) -> Axis {
        let low_q16 = log2_q16(edges[0]);
        let octaves = (log2_q16(edges[BINS]) - low_q16).max(1);
        Axis { low_q16, per_octave_q16: (BINS as i64 * Q16 * Q16) / octaves, edges }
    }

    /// An axis over the edges of another, as they were kept; `None` where they do not ascend.
    pub(super) fn from_edges(edges: Box<[i64; BINS + 1]>) -> Option<Axis> {
        let sound = edges[0] > 0
            && edges[BINS] <= 2 * Cpm::MAX.0
            && edges[BINS] >= 2 * edges[0]
            && edges.is_sorted_by(|a, b| a < b);
        sound.then(|| Axis::over(edges))
    }

    /// The ends of the bins, ascending, one more than there are bins.
    pub fn edges(&self) -> &[i64; BINS + 1] {
        &self.edges
    }

    /// The bin of a price: 0 also below the axis, [`BINS`] above it.
    pub fn bin(&self, price: Cpm) -> usize {
        let into = log2_q16(price.0.max(1)) - self.low_q16;
        // At most two off, because the logarithm is approximate.
        let guess = (into * self.per_octave_q16) >> 32;
        let mut bin = guess.clamp(0, BINS as i64) as usize;
        while bin > 0 && price.0 < self.edges[bin] {
            bin -= 1;
        }
        while bin < BINS && price.0 >= self.edges[bin + 1] {
            bin += 1;
        }
        bin
    }

    /// The bin of a price and how far into it the price lies, from 0 to 1.
    pub(super) fn place(&self, price: Cpm) -> (usize, f64) {
        let bin = self.bin(price);
        if bin == BINS || price.0 <= self.edges[0] {
            return (bin, 0.0);
        }
        let (from, to) = (self.edges[bin] as f64, self.edges[bin + 1] as f64);
        (bin, ((price.0 as f64 / from).ln() / (to / from).ln()).clamp(0.0, 1.0))
    }
}

/// The binary logarithm of a positive number in 1/65,536, within 1 %.
fn log2_q16(x: i64) -> i64 {
    let x = x.max(1) as u64;
    let whole = 63 - i64::from(x.leading_zeros());
    let fraction = if whole >= 16 { x >> (whole - 16) } else { x << (16 - whole) } as i64 - Q16;
    // log₂(1 + f) ≈ f + 0.3466·f·(1 − f).
    whole * Q16 + fraction + ((fraction * (Q16 - fraction)) >> 16) * 22_713 / Q16
}
