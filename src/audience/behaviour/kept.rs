//! What is kept of somebody as a whole, to be shown to them, and what an advertiser knows of its customers from elsewhere.

use super::plan::Plan;
use super::traces::{self, Customer, Touch, Trace};
use crate::audience::AudienceError;
use crate::audience::record::seconds;
use crate::audience::store::Writer;
use crate::model::ids::{AdvertiserId, SegmentId, UserKey};
use crate::model::money::Nanos;

/// Everything that is kept of what somebody did.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Kept {
    /// Interests with their scores at the moment that was asked for; `None` where the segment is no interest any more.
    pub interests: Vec<(SegmentId, Option<f64>)>,
    /// When the last events were that met a rule, in Unix seconds.
    pub counts: Vec<(SegmentId, Vec<u32>)>,
    /// What was bought.
    pub customers: Vec<Customer>,
    /// Ads that were clicked or seen.
    pub touches: Vec<Touch>,
}

/// What these words say.
pub(in crate::audience) fn kept(words: &[u32], plan: &Plan, now_unix_s: i64) -> Kept {
    let (mut kept, now) = (Kept::default(), seconds(now_unix_s));
    for trace in traces::read(words) {
        match trace {
            Trace::Counted { segment, times } => kept.counts.push((segment, times)),
            Trace::Interest { segment, one_at } => {
                let score = plan.half_life_s(segment).map(|life_s| traces::score(one_at, life_s, now));
                kept.interests.push((segment, score));
            }
            Trace::Customer(customer) => kept.customers.push(customer),
            Trace::Touch(touch) => kept.touches.push(touch),
        }
    }
    kept
}

/// What an advertiser's list says of a customer. What it does not say stays as it is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Purchases {
    /// How many purchases.
    pub count: Option<u32>,
    /// What they were worth together, in the advertiser's currency.
    pub value: Option<Nanos>,
    /// The first one, in Unix seconds.
    pub first_s: Option<i64>,
    /// The last one.
    pub last_s: Option<i64>,
}

impl Writer<'_> {
    /// Takes over what an advertiser knows of a customer, and puts the customer into the tiers of it. Answers whether
    /// anything is different now. Without a last purchase, neither said nor known, nothing is kept.
    ///
    /// # Errors
    /// The user has more memberships than fit.
    pub fn know_customer(
        &mut self,
        key: UserKey,
        advertiser: AdvertiserId,
        said: &Purchases,
        plan: &Plan,
        now_unix_s: i64,
    ) -> Result<bool, AudienceError> {
        let mut traces = traces::read(&self.traces(key));
        let is_theirs = |trace: &Trace| matches!(trace, Trace::Customer(of) if of.advertiser == advertiser);
        let known = match traces.iter().position(is_theirs).map(|at| traces.remove(at)) {
            Some(Trace::Customer(customer)) => Some(customer),
            _ => None,
        };
        let before = known.unwrap_or(Customer { advertiser, purchases: 1, ..Customer::default() });
        let last_s = said.last_s.map_or(before.last_s, seconds);
        if last_s == 0 {
            return Ok(false);
        }
        let first_s = said.first_s.map(seconds).or(known.map(|known| known.first_s)).unwrap_or(last_s);
        let micros = |value: Nanos| u64::try_from(value.0 / 1_000).unwrap_or_default();
        let customer = Customer {
            advertiser,
            first_s: first_s.min(last_s),
            last_s,
            purchases: said.count.unwrap_or(before.purchases),
            value_micros: said.value.map_or(before.value_micros, micros),
        };
        let now = seconds(now_unix_s);
        for (segment, tier) in plan.tiers(advertiser) {
            let is_loyal = self.borders(advertiser).is_loyal(&customer);
            self.place(key, *segment, tier, &customer, is_loyal, now)?;
        }
        if known == Some(customer) {
            return Ok(false);
        }
        traces.push(Trace::Customer(customer));
        self.keep_traces(key, traces::write(&traces));
        Ok(true)
    }
}
