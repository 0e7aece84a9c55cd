//! Budgets that people set and change, and line items that leave the account (money.md 2.7).
//!
//! Invariants: an edit that money cannot follow changes nothing, nor does an older version of one that is known; a cut
//! takes back at once whatever is free below it; what is held may still be charged, but what of it comes back is gone.
//! Every call costs what is edited, not what the account holds, so that a server can do it while it bids.

use super::accounts::AccountKey;
use super::books::Violation;
use super::lease::Bar;
use super::record::{Event, Funding};
use super::writer::LedgerWriter;
use crate::model::clock::Now;
use crate::model::ids::{AdvertiserId, CampaignId, LeaseId, LineItemId};
use crate::model::money::Nanos;
use std::collections::BTreeSet;

/// An edit that money cannot follow; nothing of it was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EditRefused(pub String);

/// What was cut by an edit.
#[derive(Default)]
struct Cuts {
    /// Whose leases are concerned.
    advertisers: BTreeSet<AdvertiserId>,
    wallets: BTreeSet<AdvertiserId>,
    campaigns: BTreeSet<CampaignId>,
    line_items: BTreeSet<LineItemId>,
}

impl Cuts {
    /// `wallet` is its budget by now: the line items of an advertiser say a new one one by one.
    fn note(&mut self, before: &Funding, after: &Funding, wallet: Option<Nanos>) {
        let cut = |before: Option<Nanos>, after: Option<Nanos>| {
            after.unwrap_or(Nanos(i64::MAX)) < before.unwrap_or(Nanos(i64::MAX))
        };
        let (c0, c1) = (before.campaign_budget, after.campaign_budget);
        let (l0, l1) = (before.line_item_budget, after.line_item_budget);
        let had = (self.wallets.len(), self.campaigns.len(), self.line_items.len());
        if cut(wallet, Some(after.wallet)) {
            self.wallets.insert(after.advertiser);
        }
        if cut(c0.lifetime, c1.lifetime) || cut(c0.daily, c1.daily) {
            self.campaigns.insert(after.campaign);
        }
        if cut(l0.lifetime, l1.lifetime) || cut(l0.daily, l1.daily) {
            self.line_items.insert(after.line_item);
        }
        if had != (self.wallets.len(), self.campaigns.len(), self.line_items.len()) {
            self.advertisers.insert(after.advertiser);
        }
    }

    fn concern(&self, funding: &Funding) -> bool {
        self.wallets.contains(&funding.advertiser)
            || self.campaigns.contains(&funding.campaign)
            || self.line_items.contains(&funding.line_item)
    }
}

impl LedgerWriter {
    /// Sets or changes budgets, each with the largest hold that a bid of the line item may ask for. A line item that
    /// is new gets its leases with a first grant; a cut takes back at once whatever is free below it. An edit that
    /// money cannot follow changes nothing, nor does an older version of one that is known.
    pub fn configure(
        &mut self,
        funding: Vec<(Funding, Nanos)>,
        now: Now,
    ) -> Result<Result<(), EditRefused>, Violation> {
        if let Some(detail) = funding.iter().find_map(|(line, _)| self.books.funding.may_become(line).err()) {
            return Ok(Err(EditRefused(detail)));
        }
        // A day that is over keeps the budget that was in force.
        self.open_days(now)?;
        let mut cuts = Cuts::default();
        let touched: BTreeSet<AdvertiserId> = funding.iter().map(|(line, _)| line.advertiser).collect();
        let line_items: Vec<LineItemId> = funding.iter().map(|(line, _)| line.line_item).collect();
        for (line, largest_hold) in funding {
            self.edit(line, largest_hold, &mut cuts)?;
        }
        self.cut(&cuts)?;
        self.watches.plan(&self.books, &self.largest_hold, &touched);
        for advertiser in touched {
            self.open_day(advertiser, now)?;
            let ends_ms = self.days.ends_ms(advertiser);
            let own = self.by_advertiser.get(&advertiser).into_iter().flatten();
            own.filter_map(|id| self.live.get(id)).for_each(|live| live.lease.ends_at(ends_ms));
        }
        for line_item in line_items {
            for core in 0..self.mailboxes.len() as u16 {
                if !self.current.contains_key(&(line_item, core)) {
                    self.open_lease(core, line_item, now)?;
                }
            }
        }
        Ok(Ok(()))
    }

    /// One line item's part of [`LedgerWriter::configure`].
    fn edit(&mut self, mut line: Funding, largest_hold: Nanos, cuts: &mut Cuts) -> Result<(), Violation> {
        self.largest_hold.insert(line.line_item, largest_hold.0.max(1));
        let known = self.books.funding.get(line.line_item);
        if known.is_some_and(|known| line.version < known.version) {
            return Ok(());
        }
        // An edit of a campaign reaches its line items one by one: what a later one said stands.
        if let Some((version, budget)) = self.books.funding.campaign_budget(line.campaign)
            && line.version < version
        {
            line.campaign_budget = budget;
        }
        if let Some(known) = known {
            cuts.note(known, &line, self.books.balance(AccountKey::Wallet(line.advertiser)).budget);
        }
        self.days.set_zone(line.advertiser, &line.time_zone);
        self.advertisers.insert(line.advertiser);
        if known != Some(&line) {
            self.dry.clear();
            self.write(Event::Fund((&line).into()))?;
        }
        Ok(())
    }

    /// The same for all that an account holds when a process begins: what says the same as the books keeps its version,
    /// so that only news is written; one line item says the version in any case, which so never goes back.
    pub fn configure_all(
        &mut self,
        mut funding: Vec<(Funding, Nanos)>,
        now: Now,
    ) -> Result<Result<(), EditRefused>, Violation> {
        for (line, _) in funding.iter_mut().skip(1) {
            if let Some(known) = self.books.funding.get(line.line_item)
                && line.version > known.version
                && line.says_as(known)
            {
                line.version = known.version;
            }
        }
        self.configure(funding, now)
    }

    /// Why money cannot follow these edits, each by itself; empty = it can.
    pub fn refusals(&self, funding: &[(Funding, Nanos)]) -> Vec<EditRefused> {
        let refusal = |(line, _): &(Funding, Nanos)| self.books.funding.may_become(line).err();
        funding.iter().filter_map(refusal).map(EditRefused).collect()
    }

    /// Line items left the account: what their leases have free goes back at once, and later what their open bids still
    /// hold, which may be billed as before. One that comes back gets new leases.
    pub fn retire(&mut self, line_items: &[LineItemId]) -> Result<(), Violation> {
        let mut touched = BTreeSet::new();
        for line_item in line_items {
            touched.extend(self.books.funding.payer(*line_item));
            self.largest_hold.remove(line_item);
            self.dry.remove(line_item);
            for core in 0..self.mailboxes.len() as u16 {
                if let Some(id) = self.current.remove(&(*line_item, core)) {
                    self.set_bar(id, Bar::Closed, true);
                    self.recall(id)?;
                }
            }
        }
        self.watches.plan(&self.books, &self.largest_hold, &touched);
        Ok(())
    }

    /// Sets or lifts a bar of a lease.
    pub(super) fn set_bar(&mut self, id: LeaseId, bar: Bar, set: bool) {
        let Some(live) = self.live.get(&id) else { return };
        live.lease.bar(bar, set);
        if set {
            self.barred.insert(id);
        }
    }

    /// Takes back what is free of every lease that a cut concerns, before anybody looks at what is left: what is held
    /// above a budget may still be charged, but what of it comes back is gone (money.md 2.7).
    fn cut(&mut self, cuts: &Cuts) -> Result<(), Violation> {
        let own =
            cuts.advertisers.iter().filter_map(|advertiser| self.by_advertiser.get(advertiser)).flatten();
        let concerns = |id: &LeaseId| {
            let funding = self.live.get(id).and_then(|live| self.books.funding.get(live.lease.line_item));
            funding.is_some_and(|funding| cuts.concern(funding))
        };
        let concerned: Vec<LeaseId> = own.copied().filter(concerns).collect();
        for id in &concerned {
            self.set_bar(*id, Bar::OverBudget, true);
            self.recall(*id)?;
        }
        for id in concerned {
            let Some(live) = self.live.get(&id) else { continue };
            let over = self.books.available(live.lease.line_item, live.lease.day) < 0;
            self.set_bar(id, Bar::OverBudget, over);
        }
        Ok(())
    }
}
