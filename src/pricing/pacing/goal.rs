//! The second multiplier: what the goal of a target CPA or ROAS allows, whatever the budget would.

use crate::model::money::Nanos;

/// How long a step waits for conversions to mature, in milliseconds.
const STEP_MS: i64 = 15 * 60 * 1000;
const STEP: f64 = 0.05;
/// Part of the way back to 1 in each step, so that old luck is forgotten.
const REVERSION: f64 = 0.02;
const LOWEST: f64 = 0.1;
const HIGHEST: f64 = 2.0;

/// What matured since the start of the period: both only grow.
#[derive(Clone, Copy, Debug, Default)]
pub struct GoalFacts {
    /// What was paid for the impressions whose conversions can be told by now.
    pub spent: Nanos,
    /// What the goal allows to pay for what they brought: conversions × target CPA, or revenue ÷ target ROAS.
    pub allowed: Nanos,
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

    /// Takes up what matured, at most every 15 minutes; call it as often as you like.
    pub fn tick(&mut self, now_ms: i64, facts: &GoalFacts) {
        if now_ms - self.stepped_ms < STEP_MS {
            return;
        }
        let spent = facts.spent.0.saturating_sub(self.spent).max(0) as f64;
        let allowed = facts.allowed.0.saturating_sub(self.allowed).max(0) as f64;
        (self.stepped_ms, self.spent, self.allowed) = (now_ms, facts.spent.0, facts.allowed.0);
        let error = if spent + allowed > 0.0 { (allowed - spent) / spent.max(allowed) } else { 0.0 };
        self.ln_m = (self.ln_m * (1.0 - REVERSION) + STEP * error).clamp(LOWEST.ln(), HIGHEST.ln());
    }

    /// The multiplier.
    pub fn multiplier(&self) -> f64 {
        self.ln_m.exp()
    }
}
