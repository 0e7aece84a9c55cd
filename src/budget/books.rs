//! The books as a state machine: accounts, leases and charged bids, moved by [`Event`]s only. Replaying the journal
//! gives the same books; nothing here asks for time, storage or a lock.
//!
//! Invariants, asserted on every event for what it touches (money.md 2.8): I1 no grant and no late charge beyond what
//! all five accounts have; I2 granted ≥ returned + posted; I5 a bid is charged at most once; I10 granted, returned,
//! posted and the horizon never fall. A violation is an error that names the event: the caller stops the process.

use super::accounts::{AccountKey, Accounts, Balance};
use super::charge::Parts;
use super::days::BudgetDay;
use super::funding::Fundings;
use super::house::Stop;
use super::house::{DAY_S, ExchangeBook, HouseTotals};
use super::planted::{self, Bug};
use super::record::{self, Event, Funding, epoch_of};
use super::seen::{Seen, SeenBids};
use super::traffic::Traffic;
use crate::model::ids::{AdvertiserId, BidId, ExchangeId, LeaseId, LineItemId};
use crate::model::money::Nanos;
use std::collections::{BTreeMap, BTreeSet};

/// Days of an advertiser that stay known behind the current one. A bill is stale after hours; this leaves room for
/// clocks that are wrong by days.
const DAYS_KEPT: u32 = 7;

/// How old a notice may be before it is stale (money.md 2.4: T_token), in seconds; at least [`LIVES_PER_TOKEN`] times
/// the longest life of a hold.
pub const TOKEN_LIFE_S: u32 = 4 * 3_600;
const LIVES_PER_TOKEN: u32 = 4;

/// What the books know of a lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaseBook {
    /// The core that may spend it.
    pub core: u16,
    /// The line item.
    pub line_item: LineItemId,
    /// The budget day.
    pub day: BudgetDay,
    /// Ever granted.
    pub granted: i64,
    /// Ever returned.
    pub returned: i64,
    /// Ever posted.
    pub posted: i64,
}

impl LeaseBook {
    /// Granted and neither returned nor posted: held by open bids, or ready for the next; after a crash, in doubt.
    pub fn outstanding(&self) -> i64 {
        self.granted - self.returned - self.posted
    }
}

/// An event that the books cannot have gone through: a broken invariant, or a journal of another world.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{invariant}: {detail}")]
pub struct Violation {
    /// Which invariant.
    pub invariant: &'static str,
    /// What happened.
    pub detail: String,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Books {
    pub(super) accounts: Accounts,
    pub(super) funding: Fundings,
    pub(super) leases: BTreeMap<LeaseId, LeaseBook>,
    /// The same by who pays for them.
    pub(super) leases_of: BTreeMap<AdvertiserId, BTreeSet<LeaseId>>,
    /// Each advertiser's date, and the zone that it is a date of.
    pub(super) days: BTreeMap<AdvertiserId, (BudgetDay, String)>,
    pub(super) seen: SeenBids,
    /// By who billed and whose wallet it concerned; advertiser 0 where the line item is unknown.
    pub(super) house: BTreeMap<(ExchangeId, AdvertiserId), HouseTotals>,
    /// Where charges went: the other side of what the wallets posted.
    pub(super) credits: BTreeMap<(ExchangeId, AdvertiserId), Parts>,
    /// Corrections by hand, likewise.
    pub(super) adjusted: BTreeMap<AdvertiserId, i64>,
    pub(super) exchanges: BTreeMap<ExchangeId, ExchangeBook>,
    pub(super) traffic: BTreeMap<ExchangeId, Traffic>,
    pub(super) stops: BTreeSet<Stop>,
    pub(super) epoch: u32,
    /// The longest life that any hold ever had, in seconds of the ear clock.
    pub(super) max_hold_s: u32,
}

impl Books {
    /// The five accounts of a line item on a day; `None` without funding.
    pub fn keys(&self, line_item: LineItemId, day: BudgetDay) -> Option<[AccountKey; 5]> {
        let funding = self.funding.get(line_item)?;
        Some([
            AccountKey::Wallet(funding.advertiser),
            AccountKey::CampaignTotal(funding.campaign),
            AccountKey::CampaignDay(funding.campaign, day),
            AccountKey::LineItemTotal(line_item),
            AccountKey::LineItemDay(line_item, day),
        ])
    }

    /// What the five accounts still allow together; `i64::MAX` where none limits, 0 without funding.
    pub fn available(&self, line_item: LineItemId, day: BudgetDay) -> i64 {
        let Some(keys) = self.keys(line_item, day) else { return 0 };
        let tightest = keys.iter().filter_map(|key| self.allowed(line_item, *key)).min();
        tightest.map_or(i64::MAX, |amount| amount.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
    }

    /// What one of a line item's accounts still allows; `None` = no limit. A day that was never opened here has its
    /// daily budget all the same.
    pub(super) fn allowed(&self, line_item: LineItemId, key: AccountKey) -> Option<i128> {
        if self.accounts.is_known(key) {
            return self.accounts.balance(key).available();
        }
        let funding = self.funding.get(line_item)?;
        let today = self.days.get(&funding.advertiser).map_or(0, |(day, _)| day.0);
        if key.day().is_some_and(|day| day.0 < today.saturating_sub(DAYS_KEPT)) {
            // What was charged on it is forgotten.
            return Some(0);
        }
        let budget = match key {
            AccountKey::CampaignDay(..) => funding.campaign_budget.daily,
            AccountKey::LineItemDay(..) => funding.line_item_budget.daily,
            AccountKey::Wallet(_) | AccountKey::CampaignTotal(_) | AccountKey::LineItemTotal(_) => None,
        };
        budget.map(|budget| i128::from(budget.0))
    }

    /// One account.
    pub fn balance(&self, key: AccountKey) -> Balance {
        self.accounts.balance(key)
    }

    /// Every account that has a budget or a movement, in order.
    pub fn balances(&self) -> BTreeMap<AccountKey, Balance> {
        self.accounts.all().collect()
    }

    /// Every lease with something granted.
    pub fn leases(&self) -> &BTreeMap<LeaseId, LeaseBook> {
        &self.leases
    }

    /// What the house bears, in nanos of each wallet's own currency.
    pub fn house(&self) -> HouseTotals {
        let mut sum = HouseTotals::default();
        self.house.values().for_each(|totals| sum.add(totals));
        sum
    }

    /// What the house bears, by who billed and whose wallet it concerned.
    pub fn house_by(&self) -> &BTreeMap<(ExchangeId, AdvertiserId), HouseTotals> {
        &self.house
    }

    /// Where charges went, by who billed and whose wallet paid.
    pub fn credits(&self) -> &BTreeMap<(ExchangeId, AdvertiserId), Parts> {
        &self.credits
    }

    /// One exchange's book; empty before its first bill or trial.
    pub fn exchange(&self, exchange: ExchangeId) -> ExchangeBook {
        self.exchanges.get(&exchange).copied().unwrap_or_default()
    }

    /// Every exchange that ever billed or was trusted.
    pub fn exchanges(&self) -> &BTreeMap<ExchangeId, ExchangeBook> {
        &self.exchanges
    }

    /// What the journal knows of the traffic with each exchange.
    pub fn traffic(&self) -> &BTreeMap<ExchangeId, Traffic> {
        &self.traffic
    }

    /// How old a notice may be, in seconds.
    pub fn token_life_s(&self) -> u32 {
        TOKEN_LIFE_S.max(self.max_hold_s.saturating_mul(LIVES_PER_TOKEN))
    }

    /// The kill switches that are thrown.
    pub fn stops(&self) -> &BTreeSet<Stop> {
        &self.stops
    }

    /// Where each line item's money comes from.
    pub fn funding(&self) -> &BTreeMap<LineItemId, Funding> {
        self.funding.all()
    }

    /// The newest version that any line item's funding was set by.
    pub fn newest_version(&self) -> u64 {
        self.funding.newest_version()
    }

    /// The longest life that any hold ever had, in seconds of the ear clock.
    pub fn max_hold_s(&self) -> u32 {
        self.max_hold_s
    }

    /// Whether a bid was charged.
    pub fn is_posted(&self, bid: BidId) -> bool {
        self.seen.has(bid, Seen::Posted)
    }

    /// Whether a bid is below the horizon.
    pub fn is_stale(&self, bid: BidId) -> bool {
        self.seen.is_stale(bid)
    }

    /// The epoch that a process at this wall-clock second has to open: above every one that the books have seen.
    pub fn next_epoch(&self, wall_s: i64) -> u32 {
        if planted::is(Bug::SameEpoch) && self.epoch > 0 {
            return self.epoch;
        }
        (wall_s.clamp(0, i64::from(u32::MAX)) as u32).max(self.epoch.saturating_add(1))
    }

    /// The boot epoch of the last [`Event::Boot`].
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Money of leases of earlier boots that may still be billed.
    pub fn in_doubt(&self) -> Nanos {
        let old = self.leases.iter().filter(|(id, _)| epoch_of(**id) < self.epoch);
        Nanos(old.map(|(_, book)| book.outstanding()).sum())
    }

    /// Moves the books by one event.
    pub fn apply(&mut self, event: &Event) -> Result<(), Violation> {
        match event {
            Event::Boot(boot) => self.boot(boot),
            Event::Fund(fund) => self.fund(fund),
            Event::Grant(grant) => self.grant(grant),
            Event::Return(back) => self.give_back(LeaseId(back.lease), back.amount),
            Event::Post(post) => self.post(post),
            Event::Late(late) => self.late(late),
            Event::Stale(stale) => {
                let house = HouseTotals { stale: Nanos(stale.amount), ..HouseTotals::default() };
                self.bear(LineItemId(stale.line_item), &stale.source, &house);
                Ok(())
            }
            Event::Release(release) => {
                let lease = LeaseId(release.lease);
                let rest = self.lease(lease)?.outstanding();
                self.give_back(lease, rest)
            }
            Event::Horizon(horizon) => {
                self.seen.forget_below(horizon.epoch, horizon.core as u16, horizon.sequence);
                Ok(())
            }
            Event::Day(day) => self.day(day),
            Event::Adjust(adjust) => self.adjust(adjust),
            Event::Stop(stop) => self.stop(stop),
            Event::Trial(trial) => {
                let book = self.exchanges.entry(ExchangeId(trial.exchange as u16)).or_default();
                book.trial = book.trial.saturating_add(trial.units);
                Ok(())
            }
            Event::Pardon(pardon) => {
                let book = self.exchanges.entry(ExchangeId(pardon.exchange as u16)).or_default();
                book.pardoned = book.house;
                Ok(())
            }
            Event::Traffic(part) => {
                let life_s = self.token_life_s();
                self.traffic.entry(ExchangeId(part.exchange as u16)).or_default().add(part, life_s);
                Ok(())
            }
            Event::Reach(reach) => {
                self.max_hold_s = self.max_hold_s.max(reach.hold_s);
                Ok(())
            }
        }
    }

    fn stop(&mut self, stop: &record::Stop) -> Result<(), Violation> {
        let what =
            Stop::of(stop).ok_or_else(|| violation("stops", format!("{stop:?} is of no known scope")))?;
        if stop.stopped {
            self.stops.insert(what);
        } else {
            self.stops.remove(&what);
        }
        Ok(())
    }

    fn boot(&mut self, boot: &record::Boot) -> Result<(), Violation> {
        if boot.epoch <= self.epoch && !planted::is(Bug::SameEpoch) {
            return Err(violation("I10 monotone", format!("boot epoch {} after {}", boot.epoch, self.epoch)));
        }
        self.epoch = boot.epoch;
        Ok(())
    }

    fn fund(&mut self, fund: &record::Fund) -> Result<(), Violation> {
        let funding = Funding::try_from(fund).map_err(|error| violation("edits", error.to_string()))?;
        if let Err(detail) = self.funding.may_become(&funding) {
            return Err(violation("edits", detail));
        }
        let accounts = &mut self.accounts;
        accounts.set_budget(AccountKey::Wallet(funding.advertiser), Some(funding.wallet));
        accounts.set_budget(AccountKey::CampaignTotal(funding.campaign), funding.campaign_budget.lifetime);
        accounts.set_budget(AccountKey::LineItemTotal(funding.line_item), funding.line_item_budget.lifetime);
        if let Some((day, _)) = self.days.get(&funding.advertiser) {
            accounts
                .set_budget(AccountKey::CampaignDay(funding.campaign, *day), funding.campaign_budget.daily);
            accounts
                .set_budget(AccountKey::LineItemDay(funding.line_item, *day), funding.line_item_budget.daily);
        }
        self.funding.insert(funding);
        Ok(())
    }

    /// Opens a budget day: its accounts get the daily budgets. A date never goes back.
    fn day(&mut self, begun: &record::Day) -> Result<(), Violation> {
        let (advertiser, day) = (AdvertiserId(begun.advertiser), BudgetDay(begun.day));
        if self.days.get(&advertiser).is_some_and(|(known, _)| *known >= day) {
            return Err(violation("I11 day", format!("advertiser {advertiser}: day {} again", day.0)));
        }
        self.days.insert(advertiser, (day, begun.time_zone.clone()));
        self.forget_days(advertiser, day);
        let mut own: Vec<&Funding> = self.funding.of(advertiser).collect();
        // An edit of a campaign reaches its line items one by one: the newest that came says its budget.
        own.sort_by_key(|funding| (funding.version, funding.line_item));
        for funding in own {
            let (campaign, line_item) = (funding.campaign, funding.line_item);
            self.accounts.set_budget(AccountKey::CampaignDay(campaign, day), funding.campaign_budget.daily);
            self.accounts.set_budget(AccountKey::LineItemDay(line_item, day), funding.line_item_budget.daily);
        }
        Ok(())
    }

    /// Forgets an advertiser's settled leases of other days, and the day accounts that no bill can reach any more, so
    /// that the books do not grow for ever. A lease with nothing outstanding covers nothing: a bill for it is late
    /// whether it is known or not. Looks at what is the advertiser's own, as midnight comes for thousands at once.
    fn forget_days(&mut self, advertiser: AdvertiserId, today: BudgetDay) {
        let leases = &mut self.leases;
        let mut busy = BTreeSet::new();
        self.leases_of.entry(advertiser).or_default().retain(|id| {
            let kept = leases.get(id).filter(|book| book.outstanding() > 0 || book.day == today);
            if let Some(book) = kept {
                busy.insert(book.day);
                return true;
            }
            leases.remove(id);
            false
        });
        let oldest = BudgetDay(today.0.saturating_sub(DAYS_KEPT));
        // Money in doubt keeps its day; parents and children of a day go together.
        let over: Vec<BudgetDay> =
            self.accounts.days_before(oldest).filter(|day| !busy.contains(day)).collect();
        for day in over {
            for funding in self.funding.of(advertiser) {
                self.accounts.forget(AccountKey::CampaignDay(funding.campaign, day));
                self.accounts.forget(AccountKey::LineItemDay(funding.line_item, day));
            }
        }
    }

    /// Puts a lease into the books as an image has it, or as one that is new.
    pub(super) fn open_lease(&mut self, id: LeaseId, book: LeaseBook) {
        if let Some(advertiser) = self.funding.payer(book.line_item) {
            self.leases_of.entry(advertiser).or_default().insert(id);
        }
        self.leases.insert(id, book);
    }

    fn grant(&mut self, grant: &record::Grant) -> Result<(), Violation> {
        let (line_item, day) = (LineItemId(grant.line_item), BudgetDay(grant.day));
        let Some(keys) = self.keys(line_item, day) else {
            return Err(violation(
                "I1 no overspend",
                format!("grant to line item {line_item} without funding"),
            ));
        };
        self.know_day(line_item, &keys);
        if !self.accounts.grant(&keys, Nanos(grant.amount))? {
            return Err(violation(
                "I1 no overspend",
                format!("grant of {} to line item {line_item}", grant.amount),
            ));
        }
        let lease = LeaseId(grant.lease);
        if !self.leases.contains_key(&lease) {
            let core = grant.core as u16;
            self.open_lease(lease, LeaseBook { core, line_item, day, granted: 0, returned: 0, posted: 0 });
        }
        self.lease_mut(lease)?.granted += grant.amount;
        Ok(())
    }

    /// Gives the day accounts their budgets where the day was never opened.
    fn know_day(&mut self, line_item: LineItemId, keys: &[AccountKey; 5]) {
        let Some(funding) = self.funding.get(line_item) else { return };
        for (key, budget) in
            [(keys[2], funding.campaign_budget.daily), (keys[4], funding.line_item_budget.daily)]
        {
            if !self.accounts.is_known(key) {
                self.accounts.set_budget(key, budget);
            }
        }
    }

    fn give_back(&mut self, lease: LeaseId, amount: i64) -> Result<(), Violation> {
        let keys = self.lease_keys(lease)?;
        let book = self.lease_mut(lease)?;
        if amount < 0 || amount > book.outstanding() {
            return Err(violation("I2 lease", format!("{lease} returns {amount}, has {book:?}")));
        }
        book.returned += amount;
        self.accounts.give_back(&keys, Nanos(amount))
    }

    fn post(&mut self, post: &record::Post) -> Result<(), Violation> {
        self.charge_once(post.bid)?;
        let lease = LeaseId(post.lease);
        let keys = self.lease_keys(lease)?;
        let book = self.lease_mut(lease)?;
        let used = post.charge.saturating_add(post.released);
        if post.charge < 0 || post.released < 0 || used > book.outstanding() {
            return Err(violation("I2 lease", format!("{lease} posts {post:?}, has {book:?}")));
        }
        let line_item = book.line_item;
        book.posted += post.charge;
        book.returned += post.released;
        self.accounts.post(&keys, Nanos(post.charge))?;
        self.accounts.give_back(&keys, Nanos(post.released))?;
        self.credit(line_item, post.charge, &post.source);
        let house = HouseTotals { overprice: Nanos(post.overprice), ..HouseTotals::default() };
        self.bear(line_item, &post.source, &house);
        Ok(())
    }

    /// The other side of a charge: what it was made of.
    fn credit(&mut self, line_item: LineItemId, charge: i64, source: &record::Source) {
        let parts = self.credits.entry(self.parties(line_item, source)).or_default();
        parts.media += charge - source.data - source.platform;
        parts.data += source.data;
        parts.platform += source.platform;
    }

    /// What a bill costs the house, and what it says of its exchange.
    fn bear(&mut self, line_item: LineItemId, source: &record::Source, house: &HouseTotals) {
        if *house != HouseTotals::default() {
            self.house.entry(self.parties(line_item, source)).or_default().add(house);
        }
        let book = self.exchanges.entry(ExchangeId(source.exchange as u16)).or_default();
        *book = book.on(source.at_s / DAY_S);
        book.has_billed = true;
        book.spent = book.spent.saturating_add(source.units);
        book.house = book.house.saturating_add(source.house_units);
    }

    fn parties(&self, line_item: LineItemId, source: &record::Source) -> (ExchangeId, AdvertiserId) {
        let advertiser = self.funding.get(line_item).map_or(AdvertiserId(0), |f| f.advertiser);
        (ExchangeId(source.exchange as u16), advertiser)
    }

    fn late(&mut self, late: &record::Late) -> Result<(), Violation> {
        self.charge_once(late.bid)?;
        if late.charge != 0 {
            let (line_item, day) = (LineItemId(late.line_item), BudgetDay(late.day));
            let keys = self.keys(line_item, day);
            if let Some(keys) = &keys {
                self.know_day(line_item, keys);
            }
            let granted = match &keys {
                Some(keys) => self.accounts.grant(keys, Nanos(late.charge))?,
                None => false,
            };
            let Some(keys) = keys.filter(|_| granted) else {
                return Err(violation("I1 no overspend", format!("late charge {late:?}")));
            };
            self.accounts.post(&keys, Nanos(late.charge))?;
            self.credit(line_item, late.charge, &late.source);
        }
        let house = HouseTotals {
            overdelivery: Nanos(late.overdelivery),
            overprice: Nanos(late.overprice),
            stale: Nanos(0),
        };
        self.bear(LineItemId(late.line_item), &late.source, &house);
        Ok(())
    }

    fn adjust(&mut self, adjust: &record::Adjust) -> Result<(), Violation> {
        let Some(keys) = self.keys(LineItemId(adjust.line_item), BudgetDay(0)) else {
            return Err(violation("adjust", format!("line item {} has no funding", adjust.line_item)));
        };
        // Wallet, campaign total, line item total: a day is never credited, and never charged afterwards.
        let totals = [keys[0], keys[1], keys[3]];
        if adjust.amount > 0 {
            if !self.accounts.grant(&totals, Nanos(adjust.amount))? {
                return Err(violation("I1 no overspend", format!("{adjust:?}")));
            }
            self.accounts.post(&totals, Nanos(adjust.amount))?;
        } else {
            let refund = Nanos(adjust.amount.checked_neg().unwrap_or(i64::MAX));
            if adjust.amount == i64::MIN
                || totals.iter().any(|key| self.accounts.balance(*key).posted < refund)
            {
                return Err(violation("adjust", format!("{adjust:?} refunds more than was charged")));
            }
            self.accounts.refund(&totals, refund)?;
        }
        let advertiser = self.parties(LineItemId(adjust.line_item), &record::Source::default()).1;
        *self.adjusted.entry(advertiser).or_default() += adjust.amount;
        let overdelivery = Nanos(adjust.overdelivery);
        let house = HouseTotals { overdelivery, ..HouseTotals::default() };
        self.house.entry((ExchangeId(0), advertiser)).or_default().add(&house);
        Ok(())
    }

    fn charge_once(&mut self, bid: record::Bid) -> Result<(), Violation> {
        let id: BidId = bid.id();
        let new = self.seen.record(id, bid.issued_s, Seen::Posted) || planted::is(Bug::NoDedup);
        if self.seen.is_stale(id) || !new {
            return Err(violation("I5 one resolution", format!("bid {id} is charged again")));
        }
        Ok(())
    }

    fn lease(&self, lease: LeaseId) -> Result<&LeaseBook, Violation> {
        self.leases
            .get(&lease)
            .ok_or_else(|| violation("I2 lease", format!("lease {lease} was never granted")))
    }

    fn lease_mut(&mut self, lease: LeaseId) -> Result<&mut LeaseBook, Violation> {
        self.leases
            .get_mut(&lease)
            .ok_or_else(|| violation("I2 lease", format!("lease {lease} was never granted")))
    }

    pub(super) fn lease_keys(&self, lease: LeaseId) -> Result<[AccountKey; 5], Violation> {
        let book = self.lease(lease)?;
        let missing = || violation("I2 lease", format!("lease {lease} of a line item without funding"));
        self.keys(book.line_item, book.day).ok_or_else(missing)
    }
}

pub(super) fn violation(invariant: &'static str, detail: String) -> Violation {
    Violation { invariant, detail }
}
