//! What share of a budget should be spent by when.

/// When a budget runs, in Unix milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Period {
    /// Its first millisecond.
    pub starts_ms: i64,
    /// One past its last millisecond.
    pub ends_ms: i64,
    /// How long before the end the plan is fulfilled, so that the last bids can bill before it: pricing.md 2b asks for
    /// three times the life of a hold divided by the win rate.
    pub early_ms: i64,
}

impl Period {
    fn length_ms(&self) -> i64 {
        (self.ends_ms - self.starts_ms).max(1)
    }

    /// The middle of part `slot` of `slots`, in Unix milliseconds: where hours of the week are looked up, so that a day
    /// of 23 or 25 hours has its hours in the right places.
    pub fn middle_ms(&self, slot: usize, slots: usize) -> i64 {
        let part = (2 * slot as i128 + 1) * i128::from(self.length_ms()) / (2 * slots.max(1) as i128);
        self.starts_ms + part as i64
    }
}

/// The whole, in the units of [`SpendPlan`]'s cumulative shares.
const ONE: f64 = 1e9;

/// The cumulative share of a budget over its period, 0 at the start and 1 at the end, linear within a slot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpendPlan {
    period: Period,
    /// Share in parts per billion at the end of each slot.
    ends: Box<[u32]>,
}

impl SpendPlan {
    /// A plan in the shape of `weight(slot)`, which is how much there is to buy in a slot: traffic by its worth, 0 in
    /// hours that are closed, multiplied where an hour shall have more. The scale of the weights means nothing.
    /// Weights that are negative or not finite count as 0; where all are 0, the plan is even.
    ///
    /// `slots` is 288 for a day (five minutes each) and as many times that for a flight of days.
    pub fn new(period: Period, slots: usize, weight: impl Fn(usize) -> f64) -> SpendPlan {
        let slots = slots.max(1);
        let length = period.length_ms() as f64;
        let stop = (length - period.early_ms.max(0) as f64).max(length / 2.0);
        // The part of a slot that lies before the plan's end.
        let open = |slot: usize| {
            let (from, to) = (slot as f64, (slot + 1) as f64);
            let last = stop / length * slots as f64;
            (last.min(to) - from).max(0.0)
        };
        let usable = |weight: f64| if weight.is_finite() { weight.max(0.0) } else { 0.0 };
        let sum: f64 = (0..slots).map(|slot| usable(weight(slot)) * open(slot)).sum();
        let even: f64 = (0..slots).map(open).sum();
        let mut done = 0.0;
        let ends = (0..slots).map(|slot| {
            done += match sum > 0.0 {
                true => usable(weight(slot)) * open(slot) / sum,
                false => open(slot) / even,
            };
            (done.min(1.0) * ONE).round() as u32
        });
        let mut ends: Box<[u32]> = ends.collect();
        // What rounding lost belongs to the last slot that had any weight, or a plan would never be fulfilled.
        let last = ends.last().copied().unwrap_or_default();
        ends.iter_mut().rev().take_while(|end| **end == last).for_each(|end| *end = ONE as u32);
        SpendPlan { period, ends }
    }

    /// Plans the rest of the period anew from slot `from` on, in the shape of `weight(slot)`; what was planned until
    /// then stays. Allocates nothing.
    pub fn revise(&mut self, from: usize, weight: impl Fn(usize) -> f64) {
        let start = if from == 0 { 0 } else { self.ends.get(from - 1).copied().unwrap_or(ONE as u32) };
        let usable = |weight: f64| if weight.is_finite() { weight.max(0.0) } else { 0.0 };
        let slots = self.ends.len();
        let sum: f64 = (from..slots).map(|slot| usable(weight(slot))).sum();
        if sum <= 0.0 {
            return;
        }
        let (mut done, left) = (0.0, ONE - f64::from(start));
        for (slot, end) in self.ends.iter_mut().enumerate().skip(from) {
            done += usable(weight(slot)) / sum;
            *end = start + (left * done.min(1.0)).round() as u32;
        }
        if let Some(last) = self.ends.last_mut() {
            *last = ONE as u32;
        }
    }

    /// How many slots the period has.
    pub fn slots(&self) -> usize {
        self.ends.len()
    }

    /// The period it is for.
    pub fn period(&self) -> Period {
        self.period
    }

    /// The share that should be spent at `at_ms`, from 0 to 1; 0 before the period and 1 after it.
    pub fn done(&self, at_ms: i64) -> f64 {
        let into = at_ms.saturating_sub(self.period.starts_ms);
        if into <= 0 {
            return 0.0;
        }
        let place = into as f64 / self.period.length_ms() as f64 * self.ends.len() as f64;
        let slot = place as usize;
        let Some(end) = self.ends.get(slot) else { return 1.0 };
        let before = if slot == 0 { 0 } else { self.ends[slot - 1] };
        let within = place - slot as f64;
        (f64::from(before) + f64::from(end - before) * within) / ONE
    }

    /// The share of what is left at `from_ms` that should be spent until `to_ms`, from 0 to 1; 1 where the plan ends in
    /// between, 0 where nothing is left to plan.
    pub fn share(&self, from_ms: i64, to_ms: i64) -> f64 {
        let (from, to) = (self.done(from_ms), self.done(to_ms));
        let left = 1.0 - from;
        if left <= 1.0 / ONE { 0.0 } else { ((to - from) / left).clamp(0.0, 1.0) }
    }
}

/// What a flight's budget allows today: `left` by today's part of the weights of all days that remain, today's first.
/// Rounded down; all of it on the last day, nothing where there is no day or today has no weight.
pub fn budget_of_day(left: crate::model::money::Nanos, days: &[f64]) -> crate::model::money::Nanos {
    use crate::model::money::Nanos;
    let usable = |weight: &f64| if weight.is_finite() { weight.max(0.0) } else { 0.0 };
    let (today, sum) = (days.first().map_or(0.0, usable), days.iter().map(usable).sum::<f64>());
    match days {
        _ if left.0 <= 0 || sum <= 0.0 => Nanos(0),
        [_] => left,
        _ => Nanos(((left.0 as f64 * (today / sum)).floor() as i64).min(left.0)),
    }
}
