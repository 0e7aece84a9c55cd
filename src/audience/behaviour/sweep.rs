//! What time and everybody else's purchases do to a customer's tier, once in a while.

use super::plan::Plan;
use super::traces::{self, Customer, Trace};
use crate::audience::AudienceError;
use crate::audience::store::Store;
use crate::model::ids::{AdvertiserId, UserKey};
use std::collections::HashMap;

/// Customers that are written in one go, so that events come in between.
const AT_ONCE: usize = 256;

/// Where the fifths of an advertiser's customers begin.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Borders {
    /// The least number of purchases in the second to the fifth fifth.
    frequency: [u32; 4],
    /// The least value in them, in millionths.
    value: [u64; 4],
    /// The least rank of the most valuable fifth; `None` = no customer is known.
    loyal: Option<Rank>,
}

/// Fifth by frequency and fifth by value together, 2 to 10; then value and purchases, which tell equals apart.
type Rank = (u8, u64, u32);

impl Borders {
    /// Of these customers.
    pub(super) fn of(customers: &[Customer]) -> Borders {
        let mut frequencies: Vec<u32> = customers.iter().map(|customer| customer.purchases).collect();
        let mut values: Vec<u64> = customers.iter().map(|customer| customer.value_micros).collect();
        frequencies.sort_unstable();
        values.sort_unstable();
        let mut borders = Borders { frequency: fifths(&frequencies), value: fifths(&values), loyal: None };
        let mut ranks: Vec<Rank> = customers.iter().map(|customer| borders.rank(customer)).collect();
        ranks.sort_unstable();
        // At least one customer, and never more than a fifth of five or more.
        let loyal = ranks.len().div_euclid(5).max(usize::from(!ranks.is_empty()));
        borders.loyal = ranks.len().checked_sub(loyal).and_then(|first| ranks.get(first)).copied();
        borders
    }

    fn rank(&self, customer: &Customer) -> Rank {
        let fifth = |above: usize| 1 + above as u8;
        let by_frequency = fifth(self.frequency.iter().filter(|least| customer.purchases >= **least).count());
        let by_value = fifth(self.value.iter().filter(|least| customer.value_micros >= **least).count());
        (by_frequency + by_value, customer.value_micros, customer.purchases)
    }

    /// Whether the customer is among the most valuable fifth.
    pub(super) fn is_loyal(&self, customer: &Customer) -> bool {
        self.loyal.is_some_and(|least| self.rank(customer) >= least)
    }
}

fn fifths<T: Copy + Default>(sorted: &[T]) -> [T; 4] {
    std::array::from_fn(|at| sorted.get((at + 1) * sorted.len() / 5).copied().unwrap_or_default())
}

/// What a sweep did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Swept {
    /// Customers of advertisers whose customers have tiers.
    pub customers: u64,
    /// Customers who have none of what a user may have too much of any more: their tiers could not be kept.
    pub refused: u64,
}

/// Puts every customer into the tiers that are right at `now_unix_s`.
///
/// Costs a walk over everybody with traces and a write for each customer whose tier is different; writes of events
/// come in between.
pub(in crate::audience) fn sweep(store: &Store, plan: &Plan, now_unix_s: i64) -> Swept {
    let now = crate::audience::record::seconds(now_unix_s);
    let mut customers: HashMap<AdvertiserId, Vec<(UserKey, Customer)>> =
        plan.advertisers_with_tiers().map(|advertiser| (advertiser, Vec::new())).collect();
    let mut swept = Swept::default();
    if customers.is_empty() {
        return swept;
    }
    store.index().for_each_trace(|key, words| {
        for trace in traces::read(words) {
            if let Trace::Customer(customer) = trace
                && let Some(all) = customers.get_mut(&customer.advertiser)
            {
                all.push((key, customer));
            }
        }
    });
    for (advertiser, all) in customers {
        swept.customers += all.len() as u64;
        let lost_s = plan.tiers(advertiser).map(|(_, tier)| tier.lost_s).max().unwrap_or_default();
        let alive: Vec<Customer> = (all.iter().map(|(_, customer)| *customer))
            .filter(|customer| customer.last_s.saturating_add(lost_s) > now)
            .collect();
        let borders = Borders::of(&alive);
        store.set_borders(advertiser, borders.clone());
        for some in all.chunks(AT_ONCE) {
            let refused = store.write(|writer| {
                let mut refused = 0;
                for (key, customer) in some {
                    let is_loyal = borders.is_loyal(customer);
                    for (segment, tier) in plan.tiers(advertiser) {
                        // What was bought meanwhile knows better.
                        if writer.customer(*key, advertiser) != Some(*customer) {
                            continue;
                        }
                        let placed: Result<bool, AudienceError> =
                            writer.place(*key, *segment, tier, customer, is_loyal, now);
                        refused += u64::from(placed.is_err());
                    }
                }
                refused
            });
            swept.refused += refused;
        }
    }
    swept
}

impl crate::audience::store::Writer<'_> {
    fn customer(&self, key: UserKey, advertiser: AdvertiserId) -> Option<Customer> {
        traces::read(&self.traces(key)).into_iter().find_map(|trace| match trace {
            Trace::Customer(customer) if customer.advertiser == advertiser => Some(customer),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn customer(purchases: u32, value: u64) -> Customer {
        Customer { purchases, value_micros: value, ..Customer::default() }
    }

    #[test]
    fn a_fifth_is_loyal_and_it_is_the_most_valuable_one() {
        let all: Vec<Customer> = (1..=100).map(|i| customer(1 + i / 10, u64::from(i) * 1_000_000)).collect();
        let borders = Borders::of(&all);
        let loyal: Vec<u64> =
            all.iter().filter(|c| borders.is_loyal(c)).map(|c| c.value_micros / 1_000_000).collect();
        assert_eq!(loyal, (81..=100).collect::<Vec<_>>());
        assert!(!Borders::default().is_loyal(&all[99]), "before anybody is known nobody is loyal");
        assert!(Borders::of(&all[..1]).is_loyal(&all[0]));
    }
}
