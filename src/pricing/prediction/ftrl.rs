//! FTRL-proximal logistic regression with a learning rate for each coordinate (McMahan et al., *Ad Click Prediction: a
//! View from the Trenches*, KDD'13, algorithm 1):
//!
//! ```text
//! wᵢ = 0 if |zᵢ| ≤ L1, else −(zᵢ − sgn(zᵢ)·L1) / ((β + √nᵢ)/α + L2)
//! p  = 1 / (1 + exp(−Σ wᵢ))         g = (p − y)·weight
//! σᵢ = (√(nᵢ + g²) − √nᵢ)/α         zᵢ += g − σᵢ·wᵢ         nᵢ += g²
//! ```
//!
//! z and n are f64: with rare clicks most gradients are some thousandths, which an f32 of a frequent feature would round
//! to nothing or to twice as much. The bias is a coordinate of its own, without regularisation.

use super::bytes::{DamagedBytes, Kind, Reader, Writer};
use super::calibration::Calibration;
use super::inclusion::Sketch;
use super::level::Level;
use super::model::Model;
use super::options::{LearnerOptions, OptionsError};

const KIND: Kind = Kind { magic: *b"outbidLR", what: "state of a learner", version: 1 };
/// No weight of a row moves a coordinate further.
const MAX_WEIGHT: f64 = 1e6;
/// Beyond this a probability is as good as 0 or 1.
const MAX_LOGIT: f64 = 35.0;

/// 1 / (1 + e⁻ˣ).
pub(super) fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit.clamp(-MAX_LOGIT, MAX_LOGIT)).exp())
}

/// z and n of a coordinate.
type Coordinate = [f64; 2];

/// A learner.
#[derive(Clone, Debug)]
pub struct Learner {
    options: LearnerOptions,
    table: Vec<Coordinate>,
    bias: Coordinate,
    sketch: Option<Sketch>,
    rows: u64,
    /// Slots and weights of the row that is being learned.
    row: Vec<(usize, f64)>,
}

impl Learner {
    /// A learner that knows nothing.
    pub fn new(options: LearnerOptions) -> Result<Learner, OptionsError> {
        options.check()?;
        Ok(Learner {
            options,
            table: vec![[0.0; 2]; 1 << options.bits],
            bias: [0.0; 2],
            sketch: (options.min_count > 1).then(|| Sketch::new(options.bits)),
            rows: 0,
            row: Vec::new(),
        })
    }

    /// Its parameters.
    pub fn options(&self) -> &LearnerOptions {
        &self.options
    }

    /// Rows that were learned.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Coordinates with a weight.
    pub fn non_zeros(&self) -> usize {
        self.table.iter().filter(|at| self.weight(at) != 0.0).count()
    }

    fn slot(&self, feature: u32) -> usize {
        feature as usize & (self.table.len() - 1)
    }

    fn weight(&self, [z, n]: &Coordinate) -> f64 {
        let LearnerOptions { alpha, beta, l1, l2, .. } = self.options;
        if z.abs() <= l1 { 0.0 } else { -(z - z.signum() * l1) / ((beta + n.sqrt()) / alpha + l2) }
    }

    fn bias_weight(&self) -> f64 {
        let [z, n] = self.bias;
        -z * self.options.alpha / (self.options.beta + n.sqrt())
    }

    /// The log-odds of a row. A feature that comes twice counts twice.
    pub fn logit(&self, features: &[u32]) -> f64 {
        let weight = |feature: &u32| self.weight(&self.table[self.slot(*feature)]);
        self.bias_weight() + features.iter().map(weight).sum::<f64>()
    }

    /// Learns a row of this weight; answers the log-odds that it was given before.
    pub fn learn(&mut self, features: &[u32], label: bool, weight: f64) -> f64 {
        let (weight, label) = (weight.clamp(0.0, MAX_WEIGHT), f64::from(u8::from(label)));
        self.step(features, |p| (p - label) * weight)
    }

    /// Learns that a row which was learned as a negative is a positive: the positive has the weight 1/(1 − p), so that its
    /// gradient is −1, which takes back the early negative's p and adds p − 1. With p as it was then this is exactly the
    /// row as it should have been; the idea is that of the fake negative weighted loss (Ktena et al., RecSys'19), whose
    /// weights are for rows that are *all* learned as negatives first.
    pub fn learn_late_positive(&mut self, features: &[u32], weight: f64) -> f64 {
        self.step(features, |_| -weight.clamp(0.0, MAX_WEIGHT))
    }

    fn step(&mut self, features: &[u32], gradient: impl FnOnce(f64) -> f64) -> f64 {
        let mut row = std::mem::take(&mut self.row);
        row.clear();
        let bias = self.bias_weight();
        let mut logit = bias;
        for feature in features {
            let slot = self.slot(*feature);
            let weight = self.weight(&self.table[slot]);
            logit += weight;
            let counted = self.sketch.as_mut().is_none_or(|s| s.count(*feature) >= self.options.min_count);
            if counted {
                row.push((slot, weight));
            }
        }
        let g = gradient(sigmoid(logit));
        let alpha = self.options.alpha;
        move_by(&mut self.bias, bias, g, alpha);
        for (slot, weight) in &row {
            move_by(&mut self.table[*slot], *weight, g, alpha);
        }
        self.rows += 1;
        self.row = row;
        logit
    }

    /// The table that serves, as far as this learner has come, with its level set by the last rows.
    pub fn snapshot(&self, calibration: Calibration, level: &Level, until_ms: i64) -> Model {
        let weights: Vec<f64> = self.table.iter().map(|at| self.weight(at)).collect();
        let counts = self.table.iter().map(|[_, n]| *n);
        let bias = self.bias_weight();
        Model::build(&self.options, bias, &weights, counts, calibration, self.rows, until_ms).levelled(level)
    }

    /// Its state.
    pub fn export(&self) -> Vec<u8> {
        let mut out = Writer::new(KIND);
        let LearnerOptions { alpha, beta, l1, l2, bits, min_count } = self.options;
        [alpha, beta, l1, l2].iter().for_each(|value| out.f64(*value));
        out.u8(bits);
        out.u8(min_count);
        out.u64(self.rows);
        self.bias.iter().for_each(|value| out.f64(*value));
        let empty = |slot: usize| self.table[slot] == [0.0; 2];
        out.runs(self.table.len(), empty, |out, slot| {
            self.table[slot].iter().for_each(|value| out.f64(*value));
        });
        if let Some(sketch) = &self.sketch {
            let counters = sketch.counters();
            out.runs(counters.len(), |at| counters[at] == 0, |out, at| out.u8(counters[at]));
        }
        out.finish()
    }

    /// A learner with this state.
    pub fn import(bytes: &[u8]) -> Result<Learner, DamagedBytes> {
        let mut input = Reader::open(KIND, bytes)?;
        let [alpha, beta, l1, l2] = [input.f64()?, input.f64()?, input.f64()?, input.f64()?];
        let (bits, min_count) = (input.u8()?, input.u8()?);
        let options = LearnerOptions { alpha, beta, l1, l2, bits, min_count };
        let mut learner = Learner::new(options).map_err(|why| input.wrong_options(why))?;
        learner.rows = input.u64()?;
        learner.bias = coordinate(&mut input)?;
        let table = &mut learner.table;
        input.runs(table.len(), |input, slot| {
            table[slot] = coordinate(input)?;
            Ok(())
        })?;
        if let Some(sketch) = &mut learner.sketch {
            let counters = sketch.counters_mut();
            input.runs(counters.len(), |input, at| {
                counters[at] = input.u8()?;
                Ok(())
            })?;
        }
        input.end()?;
        Ok(learner)
    }
}

fn move_by([z, n]: &mut Coordinate, weight: f64, g: f64, alpha: f64) {
    let grown = *n + g * g;
    let sigma = (grown.sqrt() - n.sqrt()) / alpha;
    *z += g - sigma * weight;
    *n = grown;
}

fn coordinate(input: &mut Reader<'_>) -> Result<Coordinate, DamagedBytes> {
    let (z, n) = (input.f64()?, input.f64()?);
    if n < 0.0 { Err(input.wrong("a sum of squares below 0")) } else { Ok([z, n]) }
}
