//! How far the numbers of a day may be from what is expected.
//!
//! A replicate takes each sampled person as often as a Poisson draw says (the bootstrap over people), moves the probabilities to win
//! as far as they may be wrong, and adds what chance makes of a day's auctions. The interval holds what 90 in 100 replicates bring.

use super::dice::Dice;
use super::people::{People, Totals};
use super::{Question, Spread};

/// Days that are drawn.
const REPLICATES: usize = 1_000;
/// Left out below and above.
const TAIL: f64 = 0.05;
/// Outcomes that a curve is worth before it has any of its own: what is learned of the wider place.
const LENT: f64 = 3.0;
/// Below so many impressions a day.
const FEW: f64 = 30.0;
/// How far a market may move from one day to the next, as a part of what it brings.
const DRIFT: f64 = 0.02;

/// What is expected, and between what 90 days in 100 should lie.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Interval {
    /// Expected.
    pub expected: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    fn of(mut drawn: Vec<f64>) -> Interval {
        drawn.sort_by(f64::total_cmp);
        let at = |part: f64| drawn[((drawn.len() - 1) as f64 * part).round() as usize];
        Interval { expected: at(0.5), low: at(TAIL), high: at(1.0 - TAIL) }
    }

    /// The same around another expectation.
    pub(super) fn around(self, expected: f64) -> Interval {
        Interval { expected, low: self.low.min(expected), high: self.high.max(expected) }
    }
}

pub(super) struct Predicted {
    pub(super) impressions: Interval,
    pub(super) spend: Interval,
}

/// How much the base brings more where the probabilities of a curve are one standard error too low.
struct Doubt {
    by_curve: Vec<(f64, f64)>,
    by_market: Vec<(f64, f64)>,
}

impl Doubt {
    fn of(question: &Question<'_>, people: &People) -> Doubt {
        let markets = question.curves.iter().map(|curve| curve.market + 1).max().unwrap_or(0);
        let mut doubt =
            Doubt { by_curve: vec![(0.0, 0.0); question.curves.len()], by_market: vec![(0.0, 0.0); markets] };
        for person in people.iter() {
            for avail in person.avails.iter().map(|at| &question.avails[*at]) {
                let Some(chance) = avail.bids[question.base] else { continue };
                let curve = &question.curves[avail.curve];
                let wrong = |outcomes: f64| {
                    let n = outcomes + LENT;
                    // Laplace's, so that what always won is not certain to.
                    let win = (n * chance.win + 0.5) / (n + 1.0);
                    f64::from(avail.one_in) * person.kept * (win * (1.0 - win) / n).sqrt()
                };
                let add = |sum: &mut (f64, f64), by: f64| {
                    sum.0 += by;
                    sum.1 += by * chance.cost_nanos;
                };
                add(&mut doubt.by_curve[avail.curve], wrong(curve.outcomes));
                add(&mut doubt.by_market[curve.market], wrong(curve.market_outcomes));
            }
        }
        doubt
    }

    /// How much more a replicate brings.
    fn draw(&self, dice: &mut Dice) -> (f64, f64) {
        let (mut impressions, mut spend) = (0.0, 0.0);
        for (by_impressions, by_spend) in self.by_curve.iter().chain(&self.by_market) {
            let z = dice.normal();
            impressions += z * by_impressions;
            spend += z * by_spend;
        }
        (impressions, spend)
    }
}

/// Draws days.
pub(super) fn predict(question: &Question<'_>, people: &People, days: f64) -> Predicted {
    let mut dice = Dice::new(question.seed, u64::MAX);
    let base = people.totals(question.base);
    let doubt = Doubt::of(question, people);
    // Steps that a budget is looked for at, the base last.
    let steps: Vec<usize> = match question.budget_nanos {
        Some(_) if !question.pacing.is_empty() => question.pacing.clone(),
        _ => vec![question.base],
    };
    // Few impressions come one by one, which is chance enough; so is who comes on a day, of people like those in the sample.
    let is_few = base.impressions / days < FEW;
    let auctions = if is_few { 0.0 } else { 1.0 };
    let of_person = |all: f64, weight: f64, variance: f64| all * all / weight + auctions * variance;
    let (mut variance, mut spend_variance) = (0.0, 0.0);
    for person in people.iter() {
        let Totals { impressions, spend, .. } = person.steps[question.base];
        variance += of_person(impressions, person.weight, person.variance);
        spend_variance += of_person(spend, person.weight, person.spend_variance);
    }
    let (mut impressions, mut spend) = (Vec::with_capacity(REPLICATES), Vec::with_capacity(REPLICATES));
    let mut sums = vec![(0.0, 0.0); steps.len()];
    for _ in 0..REPLICATES {
        sums.fill((0.0, 0.0));
        for person in people.iter() {
            let times = dice.poisson(1.0);
            if times == 0.0 {
                continue;
            }
            for (sum, step) in sums.iter_mut().zip(&steps) {
                let totals = &person.steps[*step];
                sum.0 += times * totals.impressions;
                sum.1 += times * totals.spend;
            }
        }
        let (more, dearer) = doubt.draw(&mut dice);
        let drift = (DRIFT * dice.normal()).exp();
        let (chance, rest) = (dice.normal(), dice.normal());
        let factor = |more: f64, all: f64| if all > 0.0 { (more / all).exp() * drift } else { drift };
        let (by, dear_by) = (factor(more, base.impressions), factor(dearer, base.spend));
        // What chance makes of one day, of impressions and of their cost, which mostly move together.
        let luck = chance * (variance / days).sqrt();
        let dear_luck = (chance * 0.95 + rest * 0.31) * (spend_variance / days).sqrt();
        let day = |step: usize| {
            let (all, cost) = sums[step];
            let part = if base.impressions > 0.0 { all / base.impressions } else { 0.0 };
            let impressions = (all * by / days + luck * part.min(1.0).sqrt()).max(0.0);
            let spend = (cost * dear_by / days + dear_luck * part.min(1.0).sqrt()).max(0.0);
            Totals { impressions, spend, ..Totals::default() }
        };
        let places: Vec<usize> = (0..steps.len()).collect();
        let inner = Budgeted {
            budget: question.budget_nanos.map(|budget| {
                // The last impression did not fit.
                (budget as f64 - dice.even() * 2.0 * question.largest_nanos as f64).max(0.0)
            }),
            lower: question.spread == Spread::Lower && steps.len() > 1,
            pacing: &places,
        };
        let (shown, cost) = inner.at(&day, steps.len() - 1);
        let came = if is_few { dice.poisson(shown) } else { shown };
        impressions.push(came);
        spend.push(if shown > 0.0 { cost * came / shown } else { 0.0 });
    }
    Predicted { impressions: Interval::of(impressions), spend: Interval::of(spend) }
}

/// Impressions and spend of a step within the budget of the question.
pub(super) fn within_budget(
    question: &Question<'_>,
    day: &dyn Fn(usize) -> Totals,
    step: usize,
) -> (f64, f64) {
    let is_paced = question.spread == Spread::Lower && question.pacing.len() > 1;
    Budgeted {
        budget: question.budget_nanos.map(|budget| budget as f64),
        // A lower bid than the one that is configured is not paced here.
        lower: is_paced && (step == question.base || day(step).spend >= day(question.base).spend),
        pacing: &question.pacing,
    }
    .at(day, step)
}

struct Budgeted<'b> {
    budget: Option<f64>,
    lower: bool,
    /// Steps that pacing can go down to, by rising price.
    pacing: &'b [usize],
}

impl Budgeted<'_> {
    /// Impressions and spend of a step where there is no more money than that.
    fn at(&self, day: &dyn Fn(usize) -> Totals, step: usize) -> (f64, f64) {
        let Totals { impressions, spend, .. } = day(step);
        let Some(budget) = self.budget.filter(|budget| spend > *budget) else { return (impressions, spend) };
        let thinned = |all: &Totals| (all.impressions * budget / all.spend, budget);
        if !self.lower {
            return thinned(&day(step));
        }
        // Between the dearest step that the budget pays and the next one.
        let mut above = day(step);
        for lower in self.pacing.iter().rev().filter(|lower| **lower != step).map(|lower| day(*lower)) {
            if lower.spend <= budget {
                let part = (budget - lower.spend) / (above.spend - lower.spend).max(f64::MIN_POSITIVE);
                return (
                    lower.impressions + part.clamp(0.0, 1.0) * (above.impressions - lower.impressions),
                    budget,
                );
            }
            above = lower;
        }
        thinned(&above)
    }
}
