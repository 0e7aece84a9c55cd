//! Conversions come late: how late, and what a click is worth as an example meanwhile.
//!
//! A conversion that comes at all comes after a time that is exponential with the rate λ of its campaign's bucket, so that
//! F(e) = 1 − e^(−λe) of them have come at the age e (Chapelle, *Modeling Delayed Feedback in Display Advertising*, KDD'14).
//! A click is learned at each of the ages [`MATURITIES_MS`], until it has converted, for what it did since the last one: of
//! those without a conversion at the age e₁, p(F₂ − F₁)/(1 − pF₁) have one at e₂. The gradients of that likelihood by the
//! log-odds of p are those of a positive and of a negative with the weights
//!
//! ```text
//! w⁺ = 1/(1 − pF₁)          w⁻ = (1 − p)(F₂ − F₁)/((1 − pF₁)(1 − pF₂))
//! ```
//!
//! With F₁ = 0, w⁻ = F₂·(1 − p)/(1 − pF₂) = F₂·(1 − q): a click that may still convert, with the probability q, weighs less.
//! Where p is right the gradients of each age add up to nothing by themselves. Were conversions learned when they come
//! and their clicks as negatives long before, only a whole life would add up to nothing: a learner that follows the last
//! hundreds of rows would predict too much whenever traffic falls, and several times too much after it ends.

use super::bytes::{DamagedBytes, Reader, Writer};
use crate::model::ids::CampaignId;

/// Ages at which clicks are learned, and by which conversions are told apart: an hour, a day, a week. What comes at such an
/// age is no more within it. Clicks are forgotten at the last.
pub const MATURITIES_MS: [i64; 3] = [3_600_000, 86_400_000, 7 * 86_400_000];

/// Conversions that a bucket's mean is shrunk by to that of all, and that of all to [`PRIOR_MEAN_MS`].
const SHRINKAGE: f64 = 20.0;
/// Mean delay where nothing is known.
const PRIOR_MEAN_MS: f64 = 12.0 * 3_600_000.0;
const BUCKETS: usize = 256;
/// More than anybody converts; keeps weights within 10.
const MAX_P: f64 = 0.9;

/// Delays of conversions by campaign, in buckets.
#[derive(Clone, PartialEq, Debug)]
pub struct Delays {
    /// Conversions and their delays in milliseconds; the last row is the sum of all.
    sums: Vec<(f64, f64)>,
}

impl Default for Delays {
    fn default() -> Delays {
        Delays { sums: vec![(0.0, 0.0); BUCKETS + 1] }
    }
}

fn bucket(campaign: CampaignId) -> usize {
    (campaign.0.wrapping_mul(0x9e37_79b9) >> 24) as usize
}

/// The mean of an exponential delay of which only what is below `limit` is seen, from the mean of what is seen.
fn untruncated(seen: f64, limit: f64) -> f64 {
    // m = μ − T/(e^(T/μ) − 1) approaches T/2 as μ grows without bounds.
    let most = 4.0 * limit;
    let mut mean = seen;
    for _ in 0..64 {
        let next = (seen + limit / (limit / mean).exp_m1()).min(most);
        if (next - mean).abs() < 1.0 {
            return next;
        }
        mean = next;
    }
    mean
}

impl Delays {
    /// Takes the delay of a conversion within the last of [`MATURITIES_MS`].
    pub fn add(&mut self, campaign: CampaignId, delay_ms: i64) {
        let delay = delay_ms.clamp(1, MATURITIES_MS[2]) as f64;
        for at in [bucket(campaign), BUCKETS] {
            self.sums[at].0 += 1.0;
            self.sums[at].1 += delay;
        }
    }

    /// Mean delay of a conversion of this campaign, in milliseconds.
    pub fn mean_ms(&self, campaign: CampaignId) -> f64 {
        let shrunk = |(count, sum): (f64, f64), parent: f64| (sum + SHRINKAGE * parent) / (count + SHRINKAGE);
        let seen = shrunk(self.sums[bucket(campaign)], shrunk(self.sums[BUCKETS], PRIOR_MEAN_MS));
        untruncated(seen, MATURITIES_MS[2] as f64)
    }

    /// Share of a campaign's conversions that have come at this age of the click.
    pub fn arrived(&self, campaign: CampaignId, age_ms: i64) -> f64 {
        1.0 - (-(age_ms.max(0) as f64) / self.mean_ms(campaign)).exp()
    }

    /// Weights of a click that converts with the probability `p`, as a positive and as a negative, when it is learned for the
    /// time in which the share of conversions that have come rose from `before` to `now`.
    pub fn weights(p: f64, before: f64, now: f64) -> (f64, f64) {
        let p = p.clamp(0.0, MAX_P);
        let still_may = 1.0 - p * before;
        (1.0 / still_may, (1.0 - p) * (now - before).max(0.0) / (still_may * (1.0 - p * now)))
    }

    pub(super) fn write(&self, out: &mut Writer) {
        for (count, sum) in &self.sums {
            out.f64(*count);
            out.f64(*sum);
        }
    }

    pub(super) fn read(input: &mut Reader<'_>) -> Result<Delays, DamagedBytes> {
        let mut delays = Delays::default();
        for row in &mut delays.sums {
            *row = (input.f64()?, input.f64()?);
            if row.0 < 0.0 || row.1 < 0.0 {
                return Err(input.wrong("delays below 0"));
            }
        }
        Ok(delays)
    }
}
