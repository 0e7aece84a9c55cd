//! What is predicted, a click or a conversion: its learner with what watches over it.

use super::bytes::{DamagedBytes, Reader, Writer};
use super::calibration::{Calibration, Calibrator};
use super::ftrl::{Learner, sigmoid};
use super::guard::{Guard, Verdict};
use super::level::Level;
use super::model::Model;
use super::options::{LearnerOptions, OptionsError, TrainerOptions};
use crate::model::ids::CampaignId;
use std::sync::Arc;

/// A row that is learned.
#[derive(Clone, Copy)]
pub(super) struct Example<'f> {
    pub(super) at_ms: i64,
    pub(super) campaign: CampaignId,
    pub(super) features: &'f [u32],
}

pub(super) struct Target {
    learner: Learner,
    calibrator: Calibrator,
    level: Level,
    /// Of the last time that anything was published or refused.
    calibration: Calibration,
    guard: Guard,
    served: Option<Arc<Model>>,
}

impl Target {
    pub(super) fn new(options: LearnerOptions, all: &TrainerOptions) -> Result<Target, OptionsError> {
        Ok(Target {
            learner: Learner::new(options)?,
            calibrator: Calibrator::new(all.calibration_events, all.isotonic),
            level: Level::default(),
            calibration: Calibration::default(),
            guard: Guard::new(all.guard_events),
            served: None,
        })
    }

    pub(super) fn rows(&self) -> u64 {
        self.learner.rows()
    }

    /// The probability as it would be published now.
    pub(super) fn predict(&self, features: &[u32], campaign: CampaignId) -> f64 {
        let logit = self.learner.logit(features);
        sigmoid(f64::from(self.calibration.apply(logit as f32, campaign)))
    }

    /// Judges what was predicted, then learns.
    pub(super) fn learn(&mut self, example: Example<'_>, label: bool, weight: f64) {
        let Example { at_ms, campaign, features } = example;
        let logit = self.learner.learn(features, label, weight);
        let candidate = sigmoid(f64::from(self.calibration.apply(logit as f32, campaign)));
        let served = self.served.as_ref().map(|model| model.predict_row(features, campaign).as_f64());
        self.guard.add(candidate, served, label, weight);
        let clicks = if label { weight } else { 0.0 };
        self.calibrator.add(at_ms, campaign, logit, clicks, weight);
        let moved = || self.learner.logit(features) - logit;
        self.level.add_moved(features, campaign, clicks, weight, moved);
    }

    /// A click of an impression that was learned as a negative.
    pub(super) fn learn_late(&mut self, example: Example<'_>) {
        let logit = self.learner.learn_late_positive(example.features, 1.0);
        self.calibrator.add(example.at_ms, example.campaign, logit, 1.0, 0.0);
        let moved = || self.learner.logit(example.features) - logit;
        self.level.add_moved(example.features, example.campaign, 1.0, 0.0, moved);
    }

    /// Calibrates anew, and puts what was learned in the place of what serves, unless the guard refuses.
    pub(super) fn publish(&mut self, now_ms: i64) -> (Verdict, Option<Arc<Model>>) {
        let verdict = self.guard.judge();
        self.calibration = self.calibrator.fit(now_ms);
        if !verdict.accepted {
            return (verdict, None);
        }
        let model = Arc::new(self.learner.snapshot(self.calibration.clone(), &self.level, now_ms));
        self.served = Some(Arc::clone(&model));
        (verdict, Some(model))
    }

    pub(super) fn served(&self) -> Option<&Arc<Model>> {
        self.served.as_ref()
    }

    pub(super) fn write(&self, out: &mut Writer) {
        write_nested(out, &self.learner.export());
        self.calibrator.write(out);
        self.level.write(out);
        self.calibration.write(out);
        self.guard.write(out);
        out.u8(u8::from(self.served.is_some()));
        if let Some(model) = &self.served {
            write_nested(out, &model.export());
        }
    }

    pub(super) fn read(mut self, input: &mut Reader<'_>) -> Result<Target, DamagedBytes> {
        let learner = Learner::import(read_nested(input)?)?;
        if learner.options() != self.learner.options() {
            return Err(input.wrong("a learner with other parameters"));
        }
        self.learner = learner;
        self.calibrator = self.calibrator.read(input)?;
        self.level = Level::read(input)?;
        self.calibration = Calibration::read(input)?;
        self.guard = self.guard.read(input)?;
        self.served = match input.u8()? {
            0 => None,
            _ => Some(Arc::new(Model::import(read_nested(input)?)?)),
        };
        Ok(self)
    }
}

fn write_nested(out: &mut Writer, bytes: &[u8]) {
    out.u32(bytes.len() as u32);
    out.bytes(bytes);
}

fn read_nested<'b>(input: &mut Reader<'b>) -> Result<&'b [u8], DamagedBytes> {
    let length = input.count(1)?;
    input.take(length)
}
