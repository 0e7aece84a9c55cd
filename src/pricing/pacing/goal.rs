//! The second multiplier: what the goal of a target CPA or ROAS allows, whatever the budget would.

use crate::model::money::Nanos;

/// How long a step waits for conversions to mature, in milliseconds.
const STEP_MS: i64 = 15 * 60 * 1000;
const STEP: f64 = 0.05;
/// Part of the way back to 1 in each step, so that old luck is forgotten.
const REVERSION: f64 = 0.02;
const LOWEST: f64 = 0.1;
const HIGHEST: f64 = 2.0;
/// Outcomes, or what they would have cost, before spending is judged: by fewer chance alone would be followed.
const ENOUGH: i64 = 20;
/// Steps that are made up for at once where it took longer to see enough.
const LARGEST_STEPS: i64 = 8;
/// After so many steps of too little the multiplier goes back instead of waiting on: a day.
const LONGEST_WAIT: i64 = 96;

/// What matured since some moment: what is spent and what is allowed only grow.
#[derive(Clone, Copy, Debug, Default)]
pub struct GoalFacts {
    /// What was paid for the impressions whose conversions can be told by now.
    pub spent: Nanos,
    /// What the goal allows to pay for what they brought: clicks × target CPC, conversions × target CPA, or revenue ÷
    /// target ROAS.
    pub allowed: Nanos,
    /// What it allows for one outcome. `None`: not known yet, so that nothing is judged.
    pub outcome: Option<Nanos>,
}

/// A slow loop of its own. The multiplier that counts is the smaller of the two (Balseiro et al., *A Field Guide for
/// Pacing Budget and ROS Constraints*, 2023).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct GoalLoop {
    pub(super) ln_m: f64,
    pub(super) stepped_ms: i64,
    pub(super) spent: i64,
    pub(super) allowed: i64,
}

impl GoalLoop {
    /// Begins where the goal's own value is bid: a multiplier of 1.
    pub fn new(now_ms: i64) -> GoalLoop {
        GoalLoop { ln_m: 0.0, stepped_ms: now_ms, spent: 0, allowed: 0 }
    }

    /// Judges what comes from here on only: what was counted before began elsewhere, or had another target.
    pub fn resume(&mut self, facts: &GoalFacts) {
        (self.spent, self.allowed) = (facts.spent.0, facts.allowed.0);
    }

    /// Takes up what matured, at most every 15 minutes and when there is enough to judge by; call it as often as you like.
    /// Where nothing matures at all, and after a day of too little, the multiplier goes back towards 1, so that none is
    /// stuck where nothing is won.
    pub fn tick(&mut self, now_ms: i64, facts: &GoalFacts) {
        let steps = now_ms.saturating_sub(self.stepped_ms) / STEP_MS;
        if steps < 1 {
            return;
        }
        let spent = facts.spent.0.saturating_sub(self.spent).max(0);
        let allowed = facts.allowed.0.saturating_sub(self.allowed).max(0);
        let judged = spent.max(allowed);
        let is_enough =
            facts.outcome.is_some_and(|outcome| judged > 0 && judged / ENOUGH >= outcome.0.max(0));
        if !is_enough && judged > 0 && steps < LONGEST_WAIT {
            return;
        }
        let error = if is_enough { (allowed as f64 - spent as f64) / judged as f64 } else { 0.0 };
        let kept = (1.0 - REVERSION).powi(steps.min(LONGEST_WAIT) as i32);
        let moved = STEP * steps.min(LARGEST_STEPS) as f64 * error;
        self.ln_m = (self.ln_m * kept + moved).clamp(LOWEST.ln(), HIGHEST.ln());
        self.stepped_ms = now_ms;
        self.resume(facts);
    }

    /// The multiplier.
    pub fn multiplier(&self) -> f64 {
        self.ln_m.exp()
    }
}
