//! The controller of one line item: dual descent on the logarithm of κ, the multiplier on every value.
//!
//! With λ = 1/κ this is mirror descent with the entropy map on the dual of the budget (Balseiro, Lu, Mirrokni, *The Best
//! of Many Worlds*, 2023), with the spend plan as its allocation per period.

use super::goal::GoalLoop;
use super::plan::SpendPlan;
use crate::model::money::{Nanos, PPM};

/// A step at full error: κ moves by 22 %.
const STEP: f64 = 0.2;
/// A step that was halved never gets below this.
const SMALLEST_STEP: f64 = 0.05;
/// Steps are doubled up to this many times while the error stays clipped on one side.
const LARGEST_BOOST: f64 = 4.0;
/// A window is long enough when it should have, or has, spent this many average prices.
const WINS: f64 = 20.0;
/// Errors are relative to at least this many average prices, so that one dear win is no alarm.
const QUIET_WINS: f64 = 3.0;
/// Where it is not known what an impression costs, a window ends after this part of the longest.
const BLIND_PART: i64 = 5;
/// Share of requests that a line item without any history answers in its first minutes.
const SLOW_PASS: f64 = 0.1;
const LOWEST_PASS: f64 = 0.01;
/// How much faster than planned a line item that spends ahead may be.
const AHEAD: f64 = 1.2;

/// How the budget is spread over its period.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// As planned.
    Even,
    /// Up to a fifth ahead of the plan.
    Ahead,
    /// As soon as possible: the highest multiplier, no plan.
    Asap,
}

/// What a line item asks of its controller.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Settings {
    /// How the budget is spread.
    pub pace: Pace,
    /// The budget of the plan's period, for [`Pace::Ahead`].
    pub budget: Nanos,
    /// The lowest multiplier; below it requests are passed over instead.
    pub kappa_min: f64,
    /// The highest: 1 where the value is a maximum, more where the budget shall be spent.
    pub kappa_max: f64,
    /// The shortest time between two steps, in milliseconds: 10 s.
    pub shortest_ms: i64,
    /// The longest, where there is little to judge by: 5 minutes. Also how long a slow start takes.
    pub longest_ms: i64,
}

impl Settings {
    /// A budget spent as planned under a maximum value.
    pub fn even(budget: Nanos) -> Settings {
        Settings {
            pace: Pace::Even,
            budget,
            kappa_min: 0.05,
            kappa_max: 1.0,
            shortest_ms: 10_000,
            longest_ms: 300_000,
        }
    }
}

/// What a tick is told, all of it in the budget's currency.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// Unix time in milliseconds.
    pub now_ms: i64,
    /// What was charged since the period's start; only grows.
    pub spent: Nanos,
    /// What open bids are expected to cost: Σ of win probability × bid. It lets the controller react before notices.
    pub open_expected: Nanos,
    /// What may still be charged, open bids not taken off.
    pub left: Nanos,
    /// What an impression costs on average; 0 where nothing is known.
    pub average_price: Nanos,
    /// Share of offers since the last tick whose value × κ was under the floor, in ppm.
    pub below_floor_ppm: u32,
}

/// What the bid path reads: two integers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Level {
    /// The multiplier on the value, in ppm.
    pub kappa_ppm: i64,
    /// The share of requests to look at, in ppm; 1,000,000 unless κ is at its lowest or the line item is new.
    pub pass_ppm: u32,
}

/// Where a controller begins.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Start {
    /// A κ that was right before: of this time yesterday, or of line items like this one.
    Warm(f64),
    /// Nothing is known: half the value, on a tenth of the requests for the first minutes.
    Cold,
}

/// The state of one line item's controller. Plain values: it is copied, kept and read back whole.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Pacer {
    pub(super) ln_kappa: f64,
    pub(super) pass: f64,
    pub(super) step: f64,
    pub(super) boost: f64,
    /// The directions of the last five errors, newest in the lowest bit, and how many there were.
    pub(super) signs: u8,
    pub(super) steps: u8,
    /// Clipped errors in a row on one side.
    pub(super) clipped: i8,
    pub(super) slow_until_ms: i64,
    pub(super) window: Window,
    pub(super) goal: Option<GoalLoop>,
}

/// What is being judged: since when, and what was spent and left then.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Window {
    pub(super) since_ms: i64,
    pub(super) committed: i64,
    pub(super) left: i64,
}

impl Pacer {
    /// A controller at the start of a period, or of a line item's life.
    pub fn new(start: Start, facts: &Facts, settings: &Settings) -> Pacer {
        let (kappa, pass, slow_until_ms) = match start {
            Start::Warm(kappa) => (kappa, 1.0, i64::MIN),
            Start::Cold => (0.5, SLOW_PASS, facts.now_ms + settings.longest_ms),
        };
        let kappa = if kappa.is_finite() { kappa } else { 0.5 };
        let (low, high) = range(settings);
        Pacer {
            ln_kappa: kappa.clamp(low, high).ln(),
            pass,
            step: STEP,
            boost: 1.0,
            signs: 0,
            steps: 0,
            clipped: 0,
            slow_until_ms,
            window: Window::opened(facts),
            goal: None,
        }
    }

    /// The same with a second multiplier for a goal of CPA or ROAS; tick it through [`Pacer::goal_mut`].
    pub fn with_goal(self, goal: GoalLoop) -> Pacer {
        Pacer { goal: Some(goal), ..self }
    }

    /// The second multiplier's loop.
    pub fn goal_mut(&mut self) -> Option<&mut GoalLoop> {
        self.goal.as_mut()
    }

    /// The budget's own multiplier: what tomorrow's controller may begin with.
    pub fn kappa(&self) -> f64 {
        self.ln_kappa.exp()
    }

    /// Goes on after a restart: κ stays, and what is judged begins now, because nobody watched in between.
    pub fn resume(&mut self, facts: &Facts) {
        self.window = Window::opened(facts);
    }

    /// Begins the next period: κ stays, what was spent begins again.
    pub fn next_period(&mut self, facts: &Facts) {
        self.resume(facts);
    }

    /// Looks at what was spent and moves κ if it is time. Cheap enough for thousands of line items every 10 s:
    /// allocates nothing, and most calls end at the first comparison.
    pub fn tick(&mut self, plan: &SpendPlan, facts: &Facts, settings: &Settings) -> Level {
        if settings.pace == Pace::Asap {
            self.ln_kappa = range(settings).1.ln();
            self.pass = 1.0;
            self.window = Window::opened(facts);
            return self.level();
        }
        if facts.now_ms >= self.slow_until_ms && self.slow_until_ms != i64::MIN {
            self.slow_until_ms = i64::MIN;
            self.pass = 1.0;
            self.window = Window::opened(facts);
        }
        let elapsed_ms = facts.now_ms - self.window.since_ms;
        if elapsed_ms < settings.shortest_ms.max(1) {
            return self.level();
        }
        let price = facts.average_price.0.max(0) as f64;
        let share = plan.share(self.window.since_ms, facts.now_ms);
        let tail = (facts.left.0 as f64) < WINS * price;
        if share <= 0.0 || tail {
            // A closed hour, the time after the plan's end, or the last few impressions: nothing to steer by.
            self.window = Window::opened(facts);
            return self.level();
        }
        let target = self.window.left as f64 * share * ahead(plan, facts, settings);
        let spent = (committed(facts) - self.window.committed).max(0) as f64;
        let enough = match price > 0.0 {
            true => target.max(spent) >= WINS * price || elapsed_ms >= settings.longest_ms,
            false => elapsed_ms >= settings.longest_ms / BLIND_PART,
        };
        if enough {
            let scale = target.max(QUIET_WINS * price).max(1.0);
            self.correct(((target - spent) / scale).clamp(-1.0, 1.0), facts, settings);
            self.window = Window::opened(facts);
        }
        self.level()
    }

    /// One step by an error between −1, which is twice the target or more, and 1, which is nothing spent.
    fn correct(&mut self, error: f64, facts: &Facts, settings: &Settings) {
        self.remember(error);
        let slow = facts.now_ms < self.slow_until_ms;
        let bound_by_goal = self.goal.is_some_and(|goal| goal.ln_m < self.ln_kappa);
        if error > 0.0 && (slow || bound_by_goal) {
            // What is missing is not for want of κ; raising it would only have to be undone.
            return;
        }
        let (low, high) = (range(settings).0.ln(), range(settings).1.ln());
        let under_floor = i64::from(facts.below_floor_ppm) > PPM / 2;
        let throttles = error < 0.0 && (under_floor || self.ln_kappa <= low);
        if !slow && (throttles || (error > 0.0 && self.pass < 1.0)) {
            self.pass = (self.pass * (1.0 + 0.1 * error.signum())).clamp(LOWEST_PASS, 1.0);
            return;
        }
        self.ln_kappa = (self.ln_kappa + self.step * self.boost * error).clamp(low, high);
    }

    /// Makes steps smaller where errors swing, and larger where they stay clipped on one side.
    fn remember(&mut self, error: f64) {
        self.signs = (self.signs << 1) | u8::from(error > 0.0);
        self.steps = self.steps.saturating_add(1);
        let known = u32::from(self.steps.min(5)).saturating_sub(1);
        let swings = ((self.signs ^ (self.signs >> 1)) & ((1u8 << known) - 1)).count_ones();
        self.step = match swings {
            3.. => (self.step / 2.0).max(SMALLEST_STEP),
            _ => (self.step * 1.1).min(STEP),
        };
        self.clipped = match error {
            _ if error >= 1.0 => self.clipped.max(0).saturating_add(1),
            _ if error <= -1.0 => self.clipped.min(0).saturating_sub(1),
            _ => 0,
        };
        self.boost = match self.clipped.unsigned_abs() {
            0 => 1.0,
            1 | 2 => self.boost,
            _ => (self.boost * 2.0).min(LARGEST_BOOST),
        };
    }

    /// What the bid path reads now.
    pub fn level(&self) -> Level {
        let goal = self.goal.map_or(f64::INFINITY, |goal| goal.ln_m);
        let kappa = self.ln_kappa.min(goal).exp();
        let pass = (self.pass * PPM as f64).round() as u32;
        Level { kappa_ppm: ((kappa * PPM as f64).round() as i64).max(1), pass_ppm: pass }
    }
}

/// The lowest and the highest multiplier, in order and above 0 whatever was configured.
fn range(settings: &Settings) -> (f64, f64) {
    let low = settings.kappa_min.max(1e-6);
    (low, settings.kappa_max.clamp(low, 1e6))
}

fn committed(facts: &Facts) -> i64 {
    facts.spent.0.saturating_add(facts.open_expected.0)
}

/// Who spends ahead aims a fifth higher as long as less than a fifth more than planned is spent.
fn ahead(plan: &SpendPlan, facts: &Facts, settings: &Settings) -> f64 {
    let planned = settings.budget.0 as f64 * plan.done(facts.now_ms);
    match settings.pace {
        Pace::Ahead if (committed(facts) as f64) < AHEAD * planned => AHEAD,
        _ => 1.0,
    }
}

impl Window {
    fn opened(facts: &Facts) -> Window {
        let left = facts.left.0.saturating_sub(facts.open_expected.0).max(0);
        Window { since_ms: facts.now_ms, committed: committed(facts), left }
    }
}
