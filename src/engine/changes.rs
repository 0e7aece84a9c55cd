//! What differs between a catalog and the next account, or the next catalog: what a running server has to do about it.

use super::catalog::Catalog;
use crate::budget::Funding;
use crate::model::account::Account;
use crate::model::exchange::ExchangeProfile;
use crate::model::ids::LineItemId;
use crate::model::money::Nanos;

/// The line items of an account beside those of the catalog before it, by what is said of themselves.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tally {
    /// New.
    pub added: usize,
    /// Known, and something of them is different.
    pub changed: usize,
    /// No more.
    pub removed: usize,
    /// As they were.
    pub unchanged: usize,
}

/// Whether `all` are those that stand in `sorted`, where each id is there once.
fn is_by_id<T: PartialEq, K: Ord>(sorted: &[T], all: &[T], id: impl Fn(&T) -> K) -> bool {
    let is_there = |one: &T| {
        let place = sorted.binary_search_by_key(&id(one), &id);
        place.is_ok_and(|place| sorted[place] == *one)
    };
    sorted.len() == all.len() && all.iter().all(is_there)
}

impl Catalog {
    /// Whether compiling this account would give the same catalog: all but its rates is as it was.
    pub fn is_of(&self, account: &Account) -> bool {
        let Account {
            rates: _,
            // What line items use of them stands in their targeting.
            lists: _,
            deals: _,
            conversions,
            pixels,
            exchanges,
            advertisers,
            campaigns,
            line_items,
            creatives,
            segments,
            safety,
            category_maps,
        } = account;
        self.exchanges == *exchanges
            && self.advertisers == *advertisers
            && self.campaigns == *campaigns
            && self.line_items.iter().map(|line| &line.item).eq(line_items)
            && self.creatives.iter().map(|entry| &entry.creative).eq(creatives)
            && self.ground.segments == *segments
            && self.ground.safety == *safety
            && self.ground.category_maps == *category_maps
            && is_by_id(&self.ground.pixels, pixels, |pixel| pixel.id)
            && is_by_id(&self.ground.conversions, conversions, |conversion| conversion.id)
    }

    /// How the account's line items differ from these.
    pub fn tally(&self, account: &Account) -> Tally {
        let mut tally = Tally::default();
        for item in &account.line_items {
            match self.line_item_ix(item.id).map(|ix| &self.line_item(ix).item) {
                None => tally.added += 1,
                Some(known) if known == item => tally.unchanged += 1,
                Some(_) => tally.changed += 1,
            }
        }
        tally.removed = self.line_items.len() - tally.changed - tally.unchanged;
        tally
    }

    /// What the ledger must be told of, when this catalog follows `before`: where money comes from that is new or
    /// different. One line item tells the version in any case, so that a restart knows it.
    pub fn funding_since(&self, before: &Catalog) -> Vec<(Funding, Nanos)> {
        let is_news = |(funding, largest_hold): &(Funding, Nanos)| {
            let known = before.line_item_ix(funding.line_item).map(|ix| before.line_item(ix));
            let known = known.map(|line| before.funding_of(line));
            known.is_none_or(|(known, hold)| !known.says_as(funding) || hold != *largest_hold)
        };
        let mut news: Vec<(Funding, Nanos)> = self.funding().filter(is_news).collect();
        if news.is_empty() {
            news.extend(self.funding().next());
        }
        news
    }

    /// The line items of `before` that are no more.
    pub fn left_since(&self, before: &Catalog) -> Vec<LineItemId> {
        let ids = before.line_items.iter().map(|line| line.item.id);
        ids.filter(|id| self.line_item_ix(*id).is_none()).collect()
    }

    /// The profiles that this catalog knows and `exchanges` does not.
    pub(super) fn departed_from(&self, exchanges: &[ExchangeProfile]) -> Vec<ExchangeProfile> {
        let known = self.exchanges.iter().chain(&self.departed);
        known.filter(|known| exchanges.iter().all(|profile| profile.id != known.id)).cloned().collect()
    }
}
