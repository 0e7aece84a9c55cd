//! What is spent of a budget and what open bids hold of it, for who shows why something does not serve.
//!
//! Deliberately absent: what the budget is. Who asks knows the configured one, which may be a moment newer than ours.

use super::accounts::AccountKey;
use super::ledger::Ledger;
use super::writer::LedgerWriter;
use crate::model::clock::Now;
use crate::model::ids::{AdvertiserId, CampaignId, LineItemId};
use crate::model::money::Nanos;
use std::collections::{BTreeMap, BTreeSet};

/// One of the accounts of an advertiser; days are those of now.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Purse {
    /// The wallet.
    Wallet,
    /// A campaign over its life.
    Campaign(CampaignId),
    /// A campaign today.
    CampaignToday(CampaignId),
    /// A line item over its life.
    LineItem(LineItemId),
    /// A line item today.
    LineItemToday(LineItemId),
}

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spending {
    /// Charged for good.
    pub posted: Nanos,
    /// Held by open bids, those of an earlier run that may still be billed among them.
    pub held: Nanos,
}

impl LedgerWriter {
    /// What became of each account's money, in the order of `asked`. It goes once through the leases of the advertisers.
    pub fn spending(&mut self, asked: &[(AdvertiserId, Purse)], now: Now) -> Vec<Spending> {
        let keys: Vec<AccountKey> = asked
            .iter()
            .map(|(advertiser, purse)| match *purse {
                Purse::Wallet => AccountKey::Wallet(*advertiser),
                Purse::Campaign(id) => AccountKey::CampaignTotal(id),
                Purse::CampaignToday(id) => AccountKey::CampaignDay(id, self.days.day(*advertiser, now)),
                Purse::LineItem(id) => AccountKey::LineItemTotal(id),
                Purse::LineItemToday(id) => AccountKey::LineItemDay(id, self.days.day(*advertiser, now)),
            })
            .collect();
        // What leases hold ready for the next bid is nobody's yet.
        let mut free: BTreeMap<AccountKey, i64> = keys.iter().map(|key| (*key, 0)).collect();
        let owners: BTreeSet<AdvertiserId> = asked.iter().map(|(advertiser, _)| *advertiser).collect();
        let leases = owners.iter().filter_map(|owner| self.by_advertiser.get(owner)).flatten();
        for live in leases.filter_map(|id| self.live.get(id)) {
            for key in &live.accounts {
                if let Some(sum) = free.get_mut(key) {
                    *sum = sum.saturating_add(live.lease.free());
                }
            }
        }
        keys.iter()
            .map(|key| {
                let balance = self.books().balance(*key);
                let held = balance.leased.0.saturating_sub(free.get(key).copied().unwrap_or(0)).max(0);
                Spending { posted: balance.posted, held: Nanos(held) }
            })
            .collect()
    }
}

impl Ledger {
    /// See [`LedgerWriter::spending`].
    pub fn spending(&self, asked: Vec<(AdvertiserId, Purse)>, now: Now) -> Vec<Spending> {
        let count = asked.len();
        let known = self.attempt(move |writer| Ok(writer.spending(&asked, now)));
        // An error only a scripted ledger has; without a writer nothing is known.
        known.ok().flatten().unwrap_or_else(|| vec![Spending::default(); count])
    }
}
