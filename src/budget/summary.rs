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
        self.funding.values().map(|funding| (funding.advertiser, funding.currency)).collect()
    }

    /// Whose every campaign is.
    pub fn campaigns(&self) -> HashMap<CampaignId, AdvertiserId> {
        self.funding.values().map(|funding| (funding.campaign, funding.advertiser)).collect()
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
            let Some(funding) = self.funding.get(&book.line_item) else { continue };
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
            let Some(funding) = self.books.funding.get(&live.lease.line_item) else { continue };
            *sums.entry(funding.currency).or_default() += i128::from(live.lease.held());
        }
        sums
    }
}
