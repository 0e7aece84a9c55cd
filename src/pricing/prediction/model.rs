//! The table that serves: immutable, two bytes a slot, summed in integers.
//!
//! Weights are multiples of one step (the largest weight ÷ 32,767), so that a sum is the same in whatever order it is
//! taken, and a table of 2²² slots is 8 MiB. How uncertain a weight is lies apart in a byte a slot, because only
//! exploration reads it.

use super::bytes::{DamagedBytes, Kind, Reader, Writer};
use super::calibration::Calibration;
use super::features::{Context, Crosses, mix};
use super::level::Level;
use super::options::LearnerOptions;
use crate::model::ids::CampaignId;

const KIND: Kind = Kind { magic: *b"outbidPM", what: "model", version: 1 };
/// Parts of a probability of 1.
const BILLION: u32 = 1_000_000_000;
/// Candidates whose sums are taken together.
const BATCH: usize = 64;
/// Steps of uncertainty in which it halves.
const HALVING: f64 = 8.0;

/// A probability in parts per billion: from 1 to 999,999,999, as nothing is certain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Probability(u32);

impl Probability {
    /// The probability with these log-odds.
    pub fn from_logit(logit: f32) -> Probability {
        let p = 1.0 / (1.0 + (-logit.clamp(-30.0, 30.0)).exp());
        Probability(((p * BILLION as f32) as u32).clamp(1, BILLION - 1))
    }

    /// Parts per billion.
    pub fn ppb(self) -> u32 {
        self.0
    }

    /// As a number from 0 to 1: for people and for measuring, never for money.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / f64::from(BILLION)
    }
}

/// What the features of a request add up to, in steps of the model that it comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ContextSum(i32);

/// A table that serves.
#[derive(Clone, PartialEq, Debug)]
pub struct Model {
    /// A power of two of them.
    weights: Box<[i16]>,
    /// Of each weight: so many eighths of a halving below the uncertainty of a feature that was never seen.
    certainties: Box<[u8]>,
    step: f32,
    bias: f32,
    /// What was added to all log-odds, see [`Level`].
    level: f32,
    /// Variance of the weight of a feature that was never seen.
    unseen: f32,
    calibration: Calibration,
    rows: u64,
    until_ms: i64,
}

impl Model {
    pub(super) fn build(
        options: &LearnerOptions,
        bias: f64,
        weights: &[f64],
        counts: impl Iterator<Item = f64>,
        calibration: Calibration,
        rows: u64,
        until_ms: i64,
    ) -> Model {
        let largest = weights.iter().fold(0.0, |most: f64, weight| most.max(weight.abs()));
        let step = if largest > 0.0 { largest / f64::from(i16::MAX) } else { 1.0 };
        let LearnerOptions { alpha, beta, .. } = *options;
        // McMahan et al. 2013, section 5: the uncertainty of a weight goes with its learning rate α/(β + √n).
        let certainty = |n: f64| (HALVING * ((beta + n.sqrt()) / beta).log2()).min(255.0) as u8;
        Model {
            weights: weights.iter().map(|weight| (weight / step).round() as i16).collect(),
            certainties: counts.map(certainty).collect(),
            step: step as f32,
            bias: bias as f32,
            level: 0.0,
            unseen: (alpha / beta) as f32,
            calibration,
            rows,
            until_ms,
        }
    }

    /// The same with its level set by these rows.
    pub(super) fn levelled(mut self, rows: &Level) -> Model {
        self.level = rows.fit(|features, campaign| self.logit_row(features, campaign));
        self
    }

    #[inline]
    fn sum(&self, features: &[u32]) -> i32 {
        let mask = self.weights.len() - 1;
        features.iter().map(|feature| i32::from(self.weights[*feature as usize & mask])).sum()
    }

    /// What a request adds to the log-odds of all its candidates.
    pub fn context_sum(&self, context: &Context) -> ContextSum {
        ContextSum(self.sum(context.features()))
    }

    /// The probability for a candidate of this campaign.
    pub fn predict(&self, context: ContextSum, crosses: &Crosses, campaign: CampaignId) -> Probability {
        let sum = context.0 + self.sum(crosses.features());
        Probability::from_logit(self.calibrated(sum, campaign))
    }

    /// The probabilities for all candidates of a request, into as many places. All sums are taken before anything is made of
    /// them, so that the processor waits for the cache misses of several candidates at once: one by one a candidate
    /// costs about three times as much.
    ///
    /// # Panics
    /// Where `found` is shorter than `candidates`.
    pub fn predict_all(
        &self,
        context: ContextSum,
        candidates: &[(Crosses, CampaignId)],
        found: &mut [Probability],
    ) {
        let mut sums = [0; BATCH];
        for (batch, found) in candidates.chunks(BATCH).zip(found[..candidates.len()].chunks_mut(BATCH)) {
            for (sum, (crosses, _)) in sums.iter_mut().zip(batch) {
                *sum = context.0 + self.sum(crosses.features());
            }
            for ((sum, (_, campaign)), found) in sums.iter().zip(batch).zip(found) {
                *found = Probability::from_logit(self.calibrated(*sum, *campaign));
            }
        }
    }

    /// The same for features that are all in one place.
    pub fn predict_row(&self, features: &[u32], campaign: CampaignId) -> Probability {
        Probability::from_logit(self.calibrated(self.sum(features), campaign))
    }

    fn calibrated(&self, sum: i32, campaign: CampaignId) -> f32 {
        self.calibration.apply(self.bias + self.step * sum as f32, campaign) + self.level
    }

    /// Log-odds as they are before they are made a probability.
    pub(super) fn logit_row(&self, features: &[u32], campaign: CampaignId) -> f32 {
        self.calibrated(self.sum(features), campaign)
    }

    /// How uncertain the log-odds of a candidate are, as a variance: Σ α/(β + √nᵢ). About 0.1 for each feature that was
    /// never seen.
    pub fn variance(&self, context: &Context, crosses: &Crosses) -> f32 {
        let mask = self.certainties.len() - 1;
        let features = context.features().iter().chain(crosses.features());
        let certainty = features.map(|feature| f32::from(self.certainties[*feature as usize & mask]));
        certainty.map(|certainty| self.unseen * (-certainty / HALVING as f32).exp2()).sum()
    }

    /// A probability that the candidate may have, for exploring by Thompson sampling (Chapelle and Li, NIPS'11). Any number
    /// is a `draw`, a count as well as a hash: the same one gives the same probability, another one an unrelated one.
    pub fn sample(
        &self,
        context: &Context,
        crosses: &Crosses,
        campaign: CampaignId,
        draw: u64,
    ) -> Probability {
        let sum = self.sum(context.features()) + self.sum(crosses.features());
        let deviation = self.variance(context, crosses).sqrt();
        Probability::from_logit(self.calibrated(sum, campaign) + deviation * normal(draw))
    }

    /// Its correction.
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// Rows that it has learned from.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// What it has learned from happened until then, in milliseconds since the Unix epoch.
    pub fn until_ms(&self) -> i64 {
        self.until_ms
    }

    /// Slots that have been learned.
    pub fn used_slots(&self) -> usize {
        self.certainties.iter().filter(|certainty| **certainty > 0).count()
    }

    /// As bytes.
    pub fn export(&self) -> Vec<u8> {
        let mut out = Writer::new(KIND);
        out.u8(self.weights.len().trailing_zeros() as u8);
        [self.step, self.bias, self.level, self.unseen].iter().for_each(|value| out.f32(*value));
        out.u64(self.rows);
        out.i64(self.until_ms);
        let empty = |slot: usize| self.weights[slot] == 0 && self.certainties[slot] == 0;
        out.runs(self.weights.len(), empty, |out, slot| {
            out.bytes(&self.weights[slot].to_le_bytes());
            out.u8(self.certainties[slot]);
        });
        self.calibration.write(&mut out);
        out.finish()
    }

    /// The model that was exported.
    pub fn import(bytes: &[u8]) -> Result<Model, DamagedBytes> {
        let mut input = Reader::open(KIND, bytes)?;
        let bits = input.u8()?;
        let options = LearnerOptions { bits, ..LearnerOptions::default() };
        options.check().map_err(|why| input.wrong_options(why))?;
        let [step, bias, level, unseen] = [input.f32()?, input.f32()?, input.f32()?, input.f32()?];
        if step <= 0.0 || unseen < 0.0 {
            return Err(input.wrong("a step or a variance below 0"));
        }
        let (rows, until_ms) = (input.u64()?, input.i64()?);
        let mut weights = vec![0_i16; 1 << bits].into_boxed_slice();
        let mut certainties = vec![0_u8; 1 << bits].into_boxed_slice();
        input.runs(1 << bits, |input, slot| {
            let weight = input.take(2)?;
            weights[slot] = i16::from_le_bytes([weight[0], weight[1]]);
            certainties[slot] = input.u8()?;
            Ok(())
        })?;
        let calibration = Calibration::read(&mut input)?;
        input.end()?;
        Ok(Model { weights, certainties, step, bias, level, unseen, calibration, rows, until_ms })
    }
}

/// A draw that is about normal: the sum of four uniform ones, scaled to a variance of 1; never beyond ±3.5.
fn normal(draw: u64) -> f32 {
    // Each of the four hangs on all bits: callers draw by numbers of which only some bits differ.
    let parts = mix(draw).to_le_bytes();
    let uniform = |at: usize| f32::from(u16::from_le_bytes([parts[at], parts[at + 1]])) / 65_535.0 - 0.5;
    (uniform(0) + uniform(2) + uniform(4) + uniform(6)) * 3.0_f32.sqrt()
}
