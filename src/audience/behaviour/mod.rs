//! Behaviour: what a user did → segments that the very next request finds.
//!
//! An event is judged against the [`Plan`] of the account and against the user's traces (`traces.rs`), and moves
//! memberships of the index: "did this n times within w" ends when the n-th newest event is w old, an interest ends when
//! its score has decayed to its threshold, a tier when the next one begins. So nothing needs to be touched again for a
//! membership to end, and a bid reads behaviour as it reads any other segment, at no cost of its own.
//!
//! Tiers also begin by themselves (a customer lapses), and the most valuable fifth moves with everybody's purchases:
//! [`sweep`] does that, once in a while.
//!
//! Deliberately absent: what was searched, seen or bought. Only times, scores and sums are kept.

mod kept;
mod plan;
mod sweep;
mod traces;

pub(super) use kept::kept;
pub use kept::{Kept, Purchases};
pub use plan::Plan;
pub(super) use sweep::sweep;
pub use sweep::{Borders, Swept};
pub(super) use traces::Words;
pub use traces::{Customer, Touch};

use super::AudienceError;
use super::record::{Membership, Origin};
use super::store::Writer;
use crate::model::behaviour::{Action, Customers, Rule, Tier};
use crate::model::ids::{AdvertiserId, ConversionId, PixelId, SegmentId, UserKey};
use crate::model::money::Nanos;
use crate::privacy::WriteProfile;
use traces::Trace;

/// Memberships that last longer than this end on a whole unit of the base, so that their users can be folded into it.
const EXACT_FOR_S: u32 = 24 * 3_600;

/// An event.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Whose pixel it came from.
    pub advertiser: AdvertiserId,
    /// Which.
    pub pixel: PixelId,
    /// What was done.
    pub action: Action,
    /// The name of a custom event, in lower case; empty otherwise.
    pub name: &'a str,
    /// Words that were searched for or describe the page, in lower case.
    pub keywords: &'a str,
    /// The node that it is filed under.
    pub category: Option<SegmentId>,
    /// By which definition it is a conversion.
    pub conversion: Option<ConversionId>,
    /// What it is worth in the advertiser's currency. Only what a server signed says so.
    pub value: Option<Nanos>,
    /// When, in Unix seconds.
    pub at_s: i64,
}

/// What an event moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Moved {
    /// Rules that it met.
    pub rules: u32,
    /// Interests that it added to.
    pub interests: u32,
    /// Memberships that it gave or prolonged.
    pub memberships: u32,
}

impl Writer<'_> {
    /// Takes up what a user did. The next lookup sees it.
    ///
    /// # Errors
    /// A user has more memberships than fit; what was taken up before that stands.
    pub fn observe(
        &mut self,
        key: UserKey,
        seen: &Seen<'_>,
        plan: &Plan,
        _proof: WriteProfile,
    ) -> Result<Moved, AudienceError> {
        let mut moved = Moved::default();
        if plan.is_empty() {
            return Ok(moved);
        }
        let now = super::record::seconds(seen.at_s);
        let mut met = Vec::new();
        plan.rules_met(seen, &mut met);
        let mut traces = traces::read(&self.traces(key));
        let mut changed = false;
        for (segment, rule) in met {
            moved.rules += 1;
            changed |= rule.at_least > 1;
            if let Some(until) = counted(&mut traces, *segment, rule, now) {
                moved.memberships += u32::from(self.give(key, *segment, until, now)?);
            }
        }
        for (segment, interest) in plan.interests_met(seen) {
            let weight = interest.weights_milli[seen.action as usize];
            if weight == 0 {
                continue;
            }
            moved.interests += 1;
            changed = true;
            if let Some(one_at) = interested(&mut traces, *segment, weight, interest.half_life_s, now) {
                let until = traces::falls_to(one_at, interest.threshold_milli, interest.half_life_s);
                moved.memberships += u32::from(self.give(key, *segment, until, now)?);
            }
        }
        if seen.action == Action::Purchase {
            changed = true;
            let customer = bought(&mut traces, seen, now);
            for (segment, customers) in plan.tiers(seen.advertiser) {
                let is_loyal = self.borders(seen.advertiser).is_loyal(&customer);
                moved.memberships +=
                    u32::from(self.place(key, *segment, customers, &customer, is_loyal, now)?);
            }
        }
        if changed {
            self.keep_traces(key, traces::write(&traces));
        }
        Ok(moved)
    }

    /// Notes an ad that the user clicked or saw.
    pub fn touched(&mut self, key: UserKey, touch: Touch) {
        let mut traces = traces::read(&self.traces(key));
        traces::touch(&mut traces, touch);
        self.keep_traces(key, traces::write(&traces));
    }

    /// Makes the user a member until a moment, if that is ahead.
    fn give(
        &mut self,
        key: UserKey,
        segment: SegmentId,
        until: u32,
        now: u32,
    ) -> Result<bool, AudienceError> {
        if until <= now {
            return Ok(false);
        }
        let membership = Membership {
            segment,
            expires_s: Some(i64::from(until)),
            explicit_consent: false,
            origin: Origin::Observed,
        };
        if until - now <= EXACT_FOR_S {
            self.add_for_now(key, membership)
        } else {
            self.add(key, membership)
        }?;
        Ok(true)
    }

    /// Puts a customer into a tier's segment or takes them out. Answers whether they are in.
    fn place(
        &mut self,
        key: UserKey,
        segment: SegmentId,
        tier: &Customers,
        customer: &Customer,
        is_loyal: bool,
        now: u32,
    ) -> Result<bool, AudienceError> {
        let (recent_until, lost_from) =
            (customer.last_s.saturating_add(tier.recent_s), customer.last_s.saturating_add(tier.lost_s));
        let until = match tier.tier {
            Tier::New if customer.purchases == 1 => recent_until,
            Tier::Active => recent_until,
            Tier::Loyal if is_loyal => lost_from,
            Tier::Lapsing if now >= recent_until => lost_from,
            Tier::Lost if now >= lost_from => u32::MAX,
            _ => 0,
        };
        if until == u32::MAX {
            let membership = Membership { origin: Origin::Observed, ..Membership::of(segment) };
            self.add(key, membership)?;
            return Ok(true);
        }
        if !self.give(key, segment, until, now)? {
            self.remove(key, segment);
            return Ok(false);
        }
        Ok(true)
    }
}

/// How long after an ad a conversion may be put down to it, in seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Windows {
    /// After a click.
    pub click_s: u32,
    /// After an impression; 0 = never.
    pub view_s: u32,
}

/// The last click within its window that `counts`, and without one the last impression (last touch).
pub(super) fn credit(
    words: &[u32],
    windows: Windows,
    now_unix_s: i64,
    counts: impl Fn(&Touch) -> bool,
) -> Option<Touch> {
    let now = super::record::seconds(now_unix_s);
    let touches: Vec<Touch> = (traces::read(words).into_iter())
        .filter_map(|trace| if let Trace::Touch(touch) = trace { Some(touch) } else { None })
        .filter(counts)
        .collect();
    let last = |click: bool, window_s: u32| {
        let within =
            |touch: &&Touch| touch.click == click && touch.at_s <= now && now - touch.at_s < window_s;
        touches.iter().filter(within).max_by_key(|touch| touch.at_s).copied()
    };
    last(true, windows.click_s).or_else(|| last(false, windows.view_s))
}

/// The score of an interest among these words.
pub(super) fn interest(words: &[u32], segment: SegmentId, plan: &Plan, now_unix_s: i64) -> Option<f64> {
    let half_life_s = plan.half_life_s(segment)?;
    let now = super::record::seconds(now_unix_s);
    traces::read(words).into_iter().find_map(|trace| match trace {
        Trace::Interest { segment: of, one_at } if of == segment => {
            Some(traces::score(one_at, half_life_s, now))
        }
        _ => None,
    })
}

/// Notes that a rule was met; answers until when its condition holds, where it does.
fn counted(traces: &mut Vec<Trace>, segment: SegmentId, rule: &Rule, now: u32) -> Option<u32> {
    let wanted = usize::from(rule.at_least);
    if wanted <= 1 {
        return Some(now.saturating_add(rule.within_s));
    }
    let at = traces.iter().position(|t| matches!(t, Trace::Counted { segment: of, .. } if *of == segment));
    let mut times = match at.map(|at| traces.remove(at)) {
        Some(Trace::Counted { times, .. }) => times,
        _ => Vec::new(),
    };
    times.retain(|time| time.saturating_add(rule.within_s) > now);
    // Events of several servers come in any order.
    times.insert(times.partition_point(|time| *time <= now), now);
    times.drain(..times.len().saturating_sub(wanted));
    let oldest = times.first().copied().filter(|_| times.len() == wanted);
    traces.push(Trace::Counted { segment, times });
    oldest.map(|oldest| oldest.saturating_add(rule.within_s))
}

/// Adds to an interest; answers when its score will have fallen to 1.
fn interested(
    traces: &mut Vec<Trace>,
    segment: SegmentId,
    weight_milli: u32,
    half_life_s: u32,
    now: u32,
) -> Option<u32> {
    let at = traces.iter().position(|t| matches!(t, Trace::Interest { segment: of, .. } if *of == segment));
    let before = match at.map(|at| traces.remove(at)) {
        Some(Trace::Interest { one_at, .. }) => Some(one_at),
        _ => None,
    };
    let one_at = traces::add_interest(before, weight_milli, half_life_s, now)?;
    traces.push(Trace::Interest { segment, one_at });
    Some(one_at)
}

/// Notes a purchase.
fn bought(traces: &mut Vec<Trace>, seen: &Seen<'_>, now: u32) -> Customer {
    let is_theirs = |trace: &Trace| matches!(trace, Trace::Customer(c) if c.advertiser == seen.advertiser);
    let mut customer = match traces.iter().position(is_theirs).map(|at| traces.remove(at)) {
        Some(Trace::Customer(customer)) => customer,
        _ => Customer { advertiser: seen.advertiser, first_s: now, ..Customer::default() },
    };
    let micros = seen.value.map_or(0, |value| u64::try_from(value.0 / 1_000).unwrap_or_default());
    customer.last_s = customer.last_s.max(now);
    customer.purchases = customer.purchases.saturating_add(1);
    customer.value_micros = customer.value_micros.saturating_add(micros);
    traces.push(Trace::Customer(customer));
    customer
}
