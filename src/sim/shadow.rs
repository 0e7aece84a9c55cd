//! The books once more, kept from the journal's records alone and without a line of the ledger's own code: what every
//! account was charged and has leased, by addition. It refuses what the ledger should never have written.

use super::Broken;
use crate::budget::record::{self, Event, Fund};
use crate::budget::{AccountKey, BudgetDay};
use crate::model::ids::{AdvertiserId, BidId, CampaignId, LeaseId, LineItemId};
use std::collections::{BTreeMap, BTreeSet};

/// One account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) budget: Option<i128>,
    pub(super) posted: i128,
    pub(super) leased: i128,
}

impl Account {
    /// What a grant or a charge may still take; `None` = no limit.
    pub(super) fn room(&self) -> Option<i128> {
        self.budget.map(|budget| budget - self.posted - self.leased)
    }
}

/// One lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) line_item: u32,
    pub(super) day: u32,
    pub(super) granted: i128,
    pub(super) returned: i128,
    pub(super) posted: i128,
}

impl Lease {
    pub(super) fn outstanding(&self) -> i128 {
        self.granted - self.returned - self.posted
    }
}

/// What a bill came to in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Charged {
    /// To the campaign.
    pub(super) charge: i128,
    /// To the house for want of room.
    pub(super) overdelivery: i128,
    /// To the house because it exceeded the hold.
    pub(super) overprice: i128,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Shadow {
    pub(super) epoch: u32,
    pub(super) funding: BTreeMap<u32, Fund>,
    /// By advertiser: the date, and the zone it is a date of.
    pub(super) days: BTreeMap<u32, (u32, String)>,
    pub(super) accounts: BTreeMap<AccountKey, Account>,
    pub(super) leases: BTreeMap<LeaseId, Lease>,
    pub(super) charged: BTreeMap<BidId, Charged>,
    /// By epoch and core: every sequence below is stale.
    pub(super) horizons: BTreeMap<(u32, u16), u64>,
    /// By exchange and advertiser: overdelivery, overprice, stale.
    pub(super) house: BTreeMap<(u16, u32), [i128; 3]>,
    /// By advertiser: what corrections added to its wallet, and to the house.
    pub(super) adjusted: BTreeMap<u32, [i128; 2]>,
    pub(super) stops: BTreeSet<(u32, u32)>,
    pub(super) max_hold_s: u32,
    /// When the traffic with an exchange was last written down, by exchange, in seconds since the Unix epoch.
    pub(super) told_s: BTreeMap<u16, u32>,
}

impl Shadow {
    /// Takes one record in.
    pub(super) fn apply(&mut self, event: &Event) -> Result<(), Broken> {
        match event {
            Event::Boot(boot) => {
                let rises = boot.epoch > self.epoch;
                let last = std::mem::replace(&mut self.epoch, boot.epoch);
                require(rises, "epochs rise", || format!("{} after {last}", boot.epoch))
            }
            Event::Fund(fund) => self.fund(fund),
            Event::Day(day) => self.day(day),
            Event::Grant(grant) => self.grant(grant),
            Event::Return(back) => self.give_back(LeaseId(back.lease), back.amount.into()),
            Event::Release(release) => {
                let lease = LeaseId(release.lease);
                let rest = self.leases.get(&lease).map_or(0, Lease::outstanding);
                self.give_back(lease, rest)
            }
            Event::Post(post) => self.post(post),
            Event::Late(late) => self.late(late),
            Event::Stale(stale) => {
                self.bear(stale.line_item, &stale.source, [0, 0, stale.amount.into()]);
                Ok(())
            }
            Event::Horizon(horizon) => {
                let known = self.horizons.entry((horizon.epoch, horizon.core as u16)).or_default();
                let rises = horizon.sequence > *known;
                *known = horizon.sequence.max(*known);
                require(rises, "I10 monotone", || format!("{horizon:?} after {known}"))
            }
            Event::Adjust(adjust) => self.adjust(adjust),
            Event::Stop(stop) => {
                let what = (stop.scope, stop.id);
                if stop.stopped {
                    self.stops.insert(what)
                } else {
                    self.stops.remove(&what)
                };
                Ok(())
            }
            Event::Reach(reach) => {
                self.max_hold_s = self.max_hold_s.max(reach.hold_s);
                Ok(())
            }
            Event::Traffic(part) => {
                self.told_s.insert(part.exchange as u16, part.at_s);
                Ok(())
            }
            Event::Trial(_) | Event::Pardon(_) => Ok(()),
        }
    }

    /// The five accounts of a line item on a day.
    pub(super) fn keys(&self, line_item: u32, day: u32) -> Option<[AccountKey; 5]> {
        let fund = self.funding.get(&line_item)?;
        let (campaign, line_item, day) = (CampaignId(fund.campaign), LineItemId(line_item), BudgetDay(day));
        Some([
            AccountKey::Wallet(AdvertiserId(fund.advertiser)),
            AccountKey::CampaignTotal(campaign),
            AccountKey::CampaignDay(campaign, day),
            AccountKey::LineItemTotal(line_item),
            AccountKey::LineItemDay(line_item, day),
        ])
    }

    /// What all five accounts have room for; `None` = no limit.
    pub(super) fn room(&self, line_item: u32, day: u32) -> Option<i128> {
        let keys = self.keys(line_item, day)?;
        keys.iter().filter_map(|key| self.account(line_item, *key).room()).min()
    }

    /// An account as it is, or as it would begin.
    pub(super) fn account(&self, line_item: u32, key: AccountKey) -> Account {
        let new = || Account { budget: self.daily(line_item, key), ..Account::default() };
        self.accounts.get(&key).copied().unwrap_or_else(new)
    }

    fn daily(&self, line_item: u32, key: AccountKey) -> Option<i128> {
        let fund = self.funding.get(&line_item)?;
        match key {
            AccountKey::CampaignDay(..) => fund.campaign_daily.map(i128::from),
            AccountKey::LineItemDay(..) => fund.line_item_daily.map(i128::from),
            _ => None,
        }
    }

    fn set_budget(&mut self, key: AccountKey, budget: Option<i64>) {
        self.accounts.entry(key).or_default().budget = budget.map(i128::from);
    }

    fn fund(&mut self, fund: &Fund) -> Result<(), Broken> {
        let known = self.funding.get(&fund.line_item);
        let newer = known.is_none_or(|known| fund.version >= known.version);
        require(newer, "edits", || format!("{fund:?} replaces {known:?}"))?;
        let moved = known.is_some_and(|k| {
            (k.campaign, k.advertiser, &k.currency) != (fund.campaign, fund.advertiser, &fund.currency)
        });
        require(!moved, "edits", || format!("{fund:?} moves money of {known:?}"))?;
        for sibling in self.funding.values_mut().filter(|known| known.campaign == fund.campaign) {
            (sibling.campaign_lifetime, sibling.campaign_daily) =
                (fund.campaign_lifetime, fund.campaign_daily);
        }
        self.funding.insert(fund.line_item, fund.clone());
        let day = self.days.get(&fund.advertiser).map(|(day, _)| *day);
        let Some(keys) = self.keys(fund.line_item, day.unwrap_or(0)) else { return Ok(()) };
        self.set_budget(keys[0], Some(fund.wallet));
        self.set_budget(keys[1], fund.campaign_lifetime);
        self.set_budget(keys[3], fund.line_item_lifetime);
        if day.is_some() {
            self.set_budget(keys[2], fund.campaign_daily);
            self.set_budget(keys[4], fund.line_item_daily);
        }
        Ok(())
    }

    fn day(&mut self, day: &record::Day) -> Result<(), Broken> {
        let last = self.days.insert(day.advertiser, (day.day, day.time_zone.clone()));
        require(last.as_ref().is_none_or(|(last, _)| *last < day.day), "I11 day", || {
            format!("{day:?} after {last:?}")
        })?;
        let own = self.funding.values().filter(|fund| fund.advertiser == day.advertiser);
        let mut own: Vec<Fund> = own.cloned().collect();
        own.sort_by_key(|fund| (fund.version, fund.line_item));
        for fund in own {
            let Some(keys) = self.keys(fund.line_item, day.day) else { continue };
            self.set_budget(keys[2], fund.campaign_daily);
            self.set_budget(keys[4], fund.line_item_daily);
        }
        Ok(())
    }

    fn grant(&mut self, grant: &record::Grant) -> Result<(), Broken> {
        let amount = i128::from(grant.amount);
        self.take(grant.line_item, grant.day, amount, "grant")?;
        require(grant.lease >> 32 == u64::from(self.epoch), "leases are of their boot", || {
            format!("{grant:?}")
        })?;
        let opened = Lease { line_item: grant.line_item, day: grant.day, ..Lease::default() };
        let lease = self.leases.entry(LeaseId(grant.lease)).or_insert(opened);
        let same = (lease.line_item, lease.day) == (grant.line_item, grant.day);
        lease.granted += amount;
        require(same && amount > 0, "I2 lease", || format!("{grant:?} goes to {lease:?}"))
    }

    /// I1: moves into the leased sums of all five accounts what all of them have room for.
    fn take(&mut self, line_item: u32, day: u32, amount: i128, what: &str) -> Result<(), Broken> {
        let room = self.room(line_item, day);
        let keys = self.keys(line_item, day).ok_or_else(|| no_funding(line_item))?;
        require(room.is_none_or(|room| room >= amount), "I1 no overspend", || {
            let accounts = keys.map(|key| (key, self.account(line_item, key)));
            format!("a {what} of {amount} where there is room for {room:?}: {accounts:?}")
        })?;
        for key in keys {
            let account = self.account(line_item, key);
            self.accounts.insert(key, Account { leased: account.leased + amount, ..account });
        }
        Ok(())
    }

    fn give_back(&mut self, id: LeaseId, amount: i128) -> Result<(), Broken> {
        let lease = self.leases.get_mut(&id).ok_or_else(|| unknown(id))?;
        lease.returned += amount;
        let lease = *lease;
        require(amount >= 0 && lease.outstanding() >= 0, "I2 lease", || {
            format!("lease {id} gives back {amount}, then {lease:?}")
        })?;
        self.move_leased(&lease, amount, 0)
    }

    /// Takes out of the leased sums, and adds to what is posted.
    fn move_leased(&mut self, lease: &Lease, amount: i128, posted: i128) -> Result<(), Broken> {
        let keys = self.keys(lease.line_item, lease.day).ok_or_else(|| no_funding(lease.line_item))?;
        for key in keys {
            let account = self.accounts.entry(key).or_default();
            account.leased -= amount;
            account.posted += posted;
            let account = *account;
            require(account.leased >= 0, "I3 conservation", || format!("{key:?} shows {account:?}"))?;
        }
        Ok(())
    }

    fn once(&mut self, bid: BidId, charged: Charged) -> Result<(), Broken> {
        let stale = self.horizons.get(&(bid.epoch, bid.core)).is_some_and(|first| bid.sequence < *first);
        require(!stale, "I5 one resolution", || format!("bid {bid} is charged below the horizon"))?;
        let before = self.charged.insert(bid, charged);
        require(before.is_none(), "I5 one resolution", || {
            format!("bid {bid} is charged {charged:?} after {before:?}")
        })
    }

    fn post(&mut self, post: &record::Post) -> Result<(), Broken> {
        let (charge, overprice) = (i128::from(post.charge), i128::from(post.overprice));
        self.once(post.bid.id(), Charged { charge, overdelivery: 0, overprice })?;
        let id = LeaseId(post.lease);
        let released = i128::from(post.released);
        let lease = self.leases.get_mut(&id).ok_or_else(|| unknown(id))?;
        lease.posted += charge;
        lease.returned += released;
        let lease = *lease;
        let lawful = charge >= 0 && released >= 0 && overprice >= 0 && lease.outstanding() >= 0;
        require(lawful, "I2 lease", || format!("{post:?} leaves {lease:?}"))?;
        self.move_leased(&lease, charge + released, charge)?;
        self.bear(lease.line_item, &post.source, [0, overprice, 0]);
        Ok(())
    }

    fn late(&mut self, late: &record::Late) -> Result<(), Broken> {
        let (charge, overdelivery) = (i128::from(late.charge), i128::from(late.overdelivery));
        let overprice = i128::from(late.overprice);
        self.once(late.bid.id(), Charged { charge, overdelivery, overprice })?;
        let lawful = charge >= 0 && overdelivery >= 0 && overprice >= 0 && (charge == 0 || overdelivery == 0);
        require(lawful, "I6 bound", || format!("{late:?}"))?;
        if charge > 0 {
            self.take(late.line_item, late.day, charge, "late charge")?;
            let lease = Lease { line_item: late.line_item, day: late.day, ..Lease::default() };
            self.move_leased(&lease, charge, charge)?;
        }
        let room = self.room(late.line_item, late.day);
        require(overdelivery == 0 || room.is_some_and(|room| room < overdelivery), "late bills", || {
            format!("{late:?} goes to the house, though the accounts have room for {room:?}")
        })?;
        self.bear(late.line_item, &late.source, [overdelivery, overprice, 0]);
        Ok(())
    }

    fn adjust(&mut self, adjust: &record::Adjust) -> Result<(), Broken> {
        let amount = i128::from(adjust.amount);
        let keys = self.keys(adjust.line_item, 0).ok_or_else(|| no_funding(adjust.line_item))?;
        // A day is never credited, and never charged afterwards.
        for key in [keys[0], keys[1], keys[3]] {
            let account = self.accounts.entry(key).or_default();
            let fits = amount <= 0 || account.room().is_none_or(|room| room >= amount);
            account.posted += amount;
            let account = *account;
            require(fits && account.posted >= 0, "I1 no overspend", || {
                format!("{adjust:?} leaves {account:?}")
            })?;
        }
        let source = record::Source::default();
        let overdelivery = i128::from(adjust.overdelivery);
        self.house_of(adjust.line_item, &source)[0] += overdelivery;
        let advertiser = self.funding.get(&adjust.line_item).map_or(0, |fund| fund.advertiser);
        let adjusted = self.adjusted.entry(advertiser).or_default();
        *adjusted = [adjusted[0] + amount, adjusted[1] + overdelivery];
        Ok(())
    }

    fn bear(&mut self, line_item: u32, source: &record::Source, amounts: [i128; 3]) {
        let house = self.house_of(line_item, source);
        house.iter_mut().zip(amounts).for_each(|(sum, amount)| *sum += amount);
    }

    fn house_of(&mut self, line_item: u32, source: &record::Source) -> &mut [i128; 3] {
        let advertiser = self.funding.get(&line_item).map_or(0, |fund| fund.advertiser);
        self.house.entry((source.exchange as u16, advertiser)).or_default()
    }
}

fn no_funding(line_item: u32) -> Broken {
    Broken { rule: "I1 no overspend", detail: format!("line item {line_item} has no funding") }
}

fn unknown(lease: LeaseId) -> Broken {
    Broken { rule: "I2 lease", detail: format!("lease {lease} was never granted") }
}

/// A rule that must hold.
pub(super) fn require(
    holds: bool,
    rule: &'static str,
    detail: impl FnOnce() -> String,
) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken { rule, detail: detail() }) }
}
