//! Parameters of learning, with the defaults of pricing.md 2c and 2h.

use super::features::{CONTEXT_MAX, CROSSES_MAX};

/// Fewest bits of a table.
const MIN_BITS: u8 = 8;
/// Most bits of a table: 2²⁴ slots are 256 MiB of a learner's state and 48 MiB of a model.
const MAX_BITS: u8 = 24;

/// Parameters of one learner (McMahan et al., *Ad Click Prediction: a View from the Trenches*, KDD'13).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LearnerOptions {
    /// α: size of a step; > 0.
    pub alpha: f64,
    /// β: what the first steps are made smaller by; > 0.
    pub beta: f64,
    /// L1: a coordinate whose |z| does not exceed it has no weight; ≥ 0.
    pub l1: f64,
    /// L2: pulls weights towards 0; ≥ 0.
    pub l2: f64,
    /// The table has 2^bits slots: 8 to 24.
    pub bits: u8,
    /// A feature is learned from this occurrence on, counted in a sketch that may count too many and never too few;
    /// 0 and 1 = from the first.
    pub min_count: u8,
}

impl Default for LearnerOptions {
    fn default() -> LearnerOptions {
        LearnerOptions { alpha: 0.1, beta: 1.0, l1: 0.0, l2: 1.0, bits: 22, min_count: 1 }
    }
}

/// A parameter that cannot be.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[error("{name} is {value}; it must be {range}")]
pub struct OptionsError {
    /// Which.
    pub name: &'static str,
    /// What it is.
    pub value: f64,
    /// What it must be.
    pub range: &'static str,
}

fn check(name: &'static str, value: f64, holds: bool, range: &'static str) -> Result<(), OptionsError> {
    if holds && value.is_finite() { Ok(()) } else { Err(OptionsError { name, value, range }) }
}

impl LearnerOptions {
    /// Checks the ranges.
    pub fn check(&self) -> Result<(), OptionsError> {
        check("alpha", self.alpha, self.alpha > 0.0 && self.alpha <= 100.0, "above 0 and at most 100")?;
        check("beta", self.beta, self.beta > 0.0, "above 0")?;
        check("l1", self.l1, self.l1 >= 0.0, "0 or more")?;
        check("l2", self.l2, self.l2 >= 0.0, "0 or more")?;
        let bits = (MIN_BITS..=MAX_BITS).contains(&self.bits);
        check("bits", f64::from(self.bits), bits, "from 8 to 24")
    }
}

/// Parameters of a [`Trainer`](super::Trainer).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct TrainerOptions {
    /// The learner of clicks.
    pub click: LearnerOptions,
    /// The learner of conversions after a click.
    pub conversion: LearnerOptions,
    /// An impression waits so long for its click before it counts as not clicked: 10 to 30 minutes.
    pub wait_ms: i64,
    /// A click that comes later than that still finds its impression so long after it was shown.
    pub late_ms: i64,
    /// Most impressions that are remembered, waiting or past it. The oldest is pushed out.
    pub max_impressions: usize,
    /// Most clicks that are remembered, a week at most. The oldest is pushed out.
    pub max_clicks: usize,
    /// One of so many impressions without a click is learned, with so much weight; 1 = all.
    pub negatives_one_in: u32,
    /// Scored events that calibration looks at, none older than a day.
    pub calibration_events: usize,
    /// Whether calibration has its isotonic part.
    pub isotonic: bool,
    /// Scored events that the guard compares models on.
    pub guard_events: usize,
}

impl Default for TrainerOptions {
    fn default() -> TrainerOptions {
        TrainerOptions {
            click: LearnerOptions { l2: 10.0, min_count: 2, ..LearnerOptions::default() },
            conversion: LearnerOptions { bits: 20, ..LearnerOptions::default() },
            wait_ms: 20 * 60_000,
            late_ms: 6 * 3_600_000,
            max_impressions: 500_000,
            max_clicks: 200_000,
            negatives_one_in: 1,
            calibration_events: 200_000,
            isotonic: false,
            guard_events: 50_000,
        }
    }
}

impl TrainerOptions {
    /// Most features of one impression.
    pub const MAX_FEATURES: usize = CONTEXT_MAX + CROSSES_MAX;

    /// Checks the ranges.
    pub fn check(&self) -> Result<(), OptionsError> {
        self.click.check()?;
        self.conversion.check()?;
        let minutes = self.wait_ms as f64 / 60_000.0;
        let waits = (600_000..=1_800_000).contains(&self.wait_ms);
        check("the wait for a click in minutes", minutes, waits, "from 10 to 30")?;
        let late = self.late_ms >= self.wait_ms && self.late_ms <= 7 * 86_400_000;
        let hours = self.late_ms as f64 / 3.6e6;
        check("the time for late clicks in hours", hours, late, "from the wait to 7 days")?;
        let least = |name, value: usize, most: usize| {
            check(name, value as f64, (1..=most).contains(&value), "from 1 to 10,000,000")
        };
        least("the number of impressions that are remembered", self.max_impressions, 10_000_000)?;
        least("the number of clicks that are remembered", self.max_clicks, 10_000_000)?;
        least("the number of events for calibration", self.calibration_events, 10_000_000)?;
        least("the number of events for the guard", self.guard_events, 10_000_000)?;
        least("the sampling of negatives", self.negatives_one_in as usize, 10_000_000)
    }
}
