//! What the books come to, for people and metrics: sums by currency, because money of two currencies never adds up.
//! Reads only; every sum is made in one walk, so that it may be asked of the writer while it works.

use super::accounts::{AccountKey, Balance};
use super::books::Books;
use super::days::BudgetDay;
use super::house::HouseTotals;
use super::record::epoch_of;
use super::writer::LedgerWriter;
use crate::model::ids::{AdvertiserId, CampaignId};
use crate::model::money::Currency;
use std::collections::{BTreeMap, HashMap};

/// The wallets of one currency together, in its nanos.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CurrencySums {
    /// Charged for good.
    pub posted: i128,
    /// Granted to leases and neither posted nor returned.
    pub leased: i128,
    /// The part of that which leases of earlier boots have: bids before a crash that may still be billed.
    pub in_doubt: i128,
}

impl Books {
    /// Every account that has a budget or a movement, in no order.
    pub fn accounts(&self) -> impl Iterator<Item = (AccountKey, Balance)> + '_ {
        self.accounts.all()
    }

    /// The currency of every wallet.
    pub fn currencies(&self) -> BTreeMap<AdvertiserId, Currency> {
        self.funding.all().values().map(|funding| (funding.advertiser, funding.currency)).collect()
    }

    /// Whose every campaign is.
    pub fn campaigns(&self) -> HashMap<CampaignId, AdvertiserId> {
        self.funding.all().values().map(|funding| (funding.campaign, funding.advertiser)).collect()
    }

    /// The budget day that an advertiser's money is leased for; `None` before its first.
    pub fn day_of(&self, advertiser: AdvertiserId) -> Option<BudgetDay> {
        self.days.get(&advertiser).map(|(day, _)| *day)
    }

    /// Corrections by hand, by whose wallet they concerned: what they added to what is posted.
    pub fn adjusted(&self) -> &BTreeMap<AdvertiserId, i64> {
        &self.adjusted
    }

    /// The wallets, by currency.
    pub fn sums(&self) -> BTreeMap<Currency, CurrencySums> {
        let currencies = self.currencies();
        let mut sums: BTreeMap<Currency, CurrencySums> =
            currencies.values().map(|currency| (*currency, CurrencySums::default())).collect();
        for (key, balance) in self.accounts.all() {
            let AccountKey::Wallet(advertiser) = key else { continue };
            let Some(currency) = currencies.get(&advertiser) else { continue };
            let sum = sums.entry(*currency).or_default();
            sum.posted += i128::from(balance.posted.0);
            sum.leased += i128::from(balance.leased.0);
        }
        for (_, book) in self.leases.iter().filter(|(id, _)| epoch_of(**id) < self.epoch) {
            let Some(funding) = self.funding.get(book.line_item) else { continue };
            sums.entry(funding.currency).or_default().in_doubt += i128::from(book.outstanding());
        }
        sums
    }

    /// What the house bears, by the currency of the wallet that it concerned; `None` where the line item, and with it
    /// the wallet, is unknown.
    pub fn house_by_currency(&self) -> BTreeMap<Option<Currency>, HouseTotals> {
        let currencies = self.currencies();
        let mut sums: BTreeMap<Option<Currency>, HouseTotals> =
            currencies.values().map(|currency| (Some(*currency), HouseTotals::default())).collect();
        for ((_, advertiser), totals) in &self.house {
            sums.entry(currencies.get(advertiser).copied()).or_default().add(totals);
        }
        sums
    }
}

impl LedgerWriter {
    /// What open bids hold, by currency, in its nanos.
    pub fn held_by_currency(&self) -> BTreeMap<Currency, i128> {
        let mut sums: BTreeMap<Currency, i128> = BTreeMap::new();
        for live in self.live.values() {
            let Some(funding) = self.books.funding.get(live.lease.line_item) else { continue };
            *sums.entry(funding.currency).or_default() += i128::from(live.lease.held());
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::record::{Bid, Boot, Event, Fund, Grant, Late, Post, Source};
    use crate::model::ids::BidId;
    use crate::model::money::Nanos;

    fn fund(line_item: u32, currency: &str) -> Event {
        Event::Fund(Fund {
            line_item,
            campaign: line_item,
            advertiser: line_item,
            wallet: 1_000,
            time_zone: "UTC".to_owned(),
            currency: currency.to_owned(),
            ..Fund::default()
        })
    }

    fn bid(sequence: u64) -> Bid {
        Bid::new(BidId { epoch: 1, core: 0, sequence }, 1_790_000_000)
    }

    fn grant(lease: u64, line_item: u32, amount: i64) -> Event {
        Event::Grant(Grant { lease, core: 0, line_item, day: 20_000, amount })
    }

    #[test]
    fn money_of_two_currencies_is_never_added_up() {
        let source = Source { exchange: 1, ..Source::default() };
        let post = Post {
            bid: bid(1),
            lease: 1 << 32 | 1,
            charge: 30,
            released: 0,
            overprice: 4,
            source,
            shown: None,
        };
        let unknown = Late {
            bid: bid(2),
            line_item: 9,
            day: 1,
            charge: 0,
            overdelivery: 6,
            overprice: 0,
            source,
            shown: None,
        };
        let mut books = Books::default();
        for event in [
            Event::Boot(Boot { epoch: 1, unix_ms: 0 }),
            fund(1, "USD"),
            fund(2, "JPY"),
            fund(3, "USD"),
            grant(1 << 32 | 1, 1, 100),
            grant(1 << 32 | 2, 2, 50),
            Event::Post(post),
            Event::Late(unknown),
            Event::Boot(Boot { epoch: 2, unix_ms: 0 }),
            grant(2 << 32 | 1, 3, 7),
        ] {
            books.apply(&event).unwrap();
        }
        let (usd, jpy) = (Currency::USD, Currency::parse("JPY").unwrap());
        let sums = books.sums();
        assert_eq!(sums[&usd], CurrencySums { posted: 30, leased: 77, in_doubt: 70 });
        assert_eq!(sums[&jpy], CurrencySums { posted: 0, leased: 50, in_doubt: 50 });
        let house = books.house_by_currency();
        assert_eq!(house[&Some(usd)].overprice, Nanos(4));
        assert_eq!(house[&Some(jpy)], HouseTotals::default());
        assert_eq!(house[&None].overdelivery, Nanos(6));
    }
}
