//! A few bids on purpose beside the best one, so that the learner hears what other prices would have brought.

use crate::model::money::{Cpm, PPM};

/// exp(0.3·z) in ppm at the middles of sixteen equal parts of the normal distribution.
const FACTORS_PPM: [i64; 16] = [
    571_884, 673_408, 738_601, 792_212, 840_516, 886_322, 931_312, 976_751, 1_023_803, 1_073_754, 1_128_258,
    1_189_746, 1_262_289, 1_353_910, 1_484_983, 1_748_607,
];

/// How often is explored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Explorer {
    /// Share of bids, in ppm.
    pub rate_ppm: u32,
}

impl Default for Explorer {
    /// One bid in forty.
    fn default() -> Explorer {
        Explorer { rate_ppm: 25_000 }
    }
}

/// What came of a draw.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Explored {
    /// What to bid.
    pub bid: Cpm,
    /// What the best bid was multiplied by, in ppm: 1,000,000 where nothing was explored.
    pub factor_ppm: i64,
    /// How likely this factor was to be drawn, in parts per billion, to be kept beside the bid: who learns from what
    /// happened weighs by its inverse.
    pub propensity_ppb: u32,
}

impl Explorer {
    /// The bid for a draw of 64 random bits. An explored bid stays below the value, and
    /// above a fifth of it where the best bid does.
    pub fn explore(&self, best: Cpm, value: Cpm, draw: u64) -> Explored {
        let rate = i64::from(self.rate_ppm.min(PPM as u32));
        // 32 bits decide whether, four others how far.
        let point = ((draw >> 32) * PPM as u64) >> 32;
        if point as i64 >= rate {
            let propensity_ppb = ((PPM - rate) * 1000) as u32;
            return Explored { bid: best, factor_ppm: PPM, propensity_ppb };
        }
        let factor_ppm = FACTORS_PPM[(draw & 15) as usize];
        let low = value.scale_ppm(PPM / 5).min(best);
        let bid = best.scale_ppm(factor_ppm).max(low).min(value);
        Explored { bid, factor_ppm, propensity_ppb: (rate * 1000 / 16) as u32 }
    }
}
