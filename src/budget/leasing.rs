//! Budget days and leases: how money gets from the five accounts to a core and back (money.md 2.2, 2.7).

use super::books::Violation;
use super::days::BudgetDay;
use super::house::Stop;
use super::lease::{Ask, Bar, Denied, Lease};
use super::ledger::Standing;
use super::planted::{self, Bug};
use super::record::{self, Event};
use super::writer::{Effect, LedgerWriter, Live};
use crate::model::clock::Now;
use crate::model::ids::{AdvertiserId, LeaseId, LineItemId};
use crate::model::money::Nanos;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// A lease is topped up for so long at its rate of holds (money.md 2.2: τ), in nanoseconds.
const TOP_UP_NS: i128 = 2_000_000_000;
/// A top-up is for at least so many holds of the size that is asked for.
const MIN_HOLDS: i64 = 64;
/// The next one is asked for when this part of a grant is left.
const LOW_PART: i64 = 4;

impl LedgerWriter {
    /// Throws or releases a kill switch.
    pub fn stop(&mut self, what: Stop, stopped: bool) -> Result<(), Violation> {
        if self.books.stops().contains(&what) != stopped {
            self.write(Event::Stop(what.record(stopped)))?;
        }
        let ids: Vec<LeaseId> = self.live.keys().copied().collect();
        for id in ids {
            let Some(live) = self.live.get(&id) else { continue };
            let is_stopped = self.is_stopped(live.lease.line_item);
            self.set_bar(id, Bar::Stopped, is_stopped);
            if is_stopped {
                self.recall(id)?;
            }
        }
        self.set_gates();
        Ok(())
    }

    fn is_stopped(&self, line_item: LineItemId) -> bool {
        let stops = self.books.stops();
        let funding = self.books.funding.get(line_item);
        funding.is_some_and(|f| {
            stops.contains(&Stop::Advertiser(f.advertiser)) || stops.contains(&Stop::Campaign(f.campaign))
        })
    }

    /// Begins the budget days that have begun by the clock, and closes the leases of the days before.
    pub(super) fn open_days(&mut self, now: Now) -> Result<(), Violation> {
        let advertisers: Vec<AdvertiserId> = self.advertisers.iter().copied().collect();
        advertisers.into_iter().try_for_each(|advertiser| self.open_day(advertiser, now))
    }

    /// The same for one advertiser.
    pub(super) fn open_day(&mut self, advertiser: AdvertiserId, now: Now) -> Result<(), Violation> {
        let day = self.days.day(advertiser, now);
        if self.books.days.get(&advertiser).is_some_and(|(known, _)| *known >= day) {
            return Ok(());
        }
        let time_zone = self.days.zone_of(advertiser).unwrap_or_default().to_owned();
        self.write(Event::Day(record::Day { advertiser: advertiser.0, day: day.0, time_zone }))?;
        let cores = 0..self.mailboxes.len() as u16;
        let own = self.books.funding.of(advertiser);
        let places = own.flat_map(|funding| cores.clone().map(|core| (funding.line_item, core)));
        let over: Vec<((LineItemId, u16), LeaseId)> =
            places.filter_map(|place| Some((place, *self.current.get(&place)?))).collect();
        // All of yesterday's money comes back before any of today's is given out.
        for (_, id) in &over {
            self.set_bar(*id, Bar::Closed, true);
            self.recall(*id)?;
        }
        over.into_iter().try_for_each(|((line_item, core), _)| self.open_lease(core, line_item, now))
    }

    /// A new lease of today, handed to its core once a first grant is synced. Where the accounts have no share for
    /// everybody it begins empty, and money goes to who asks.
    pub(super) fn open_lease(&mut self, core: u16, line_item: LineItemId, now: Now) -> Result<(), Violation> {
        let Some(advertiser) = self.books.funding.payer(line_item) else {
            return Ok(());
        };
        let Some((day, _)) = self.books.days.get(&advertiser) else { return Ok(()) };
        let day = *day;
        self.opened += 1;
        let id = LeaseId(u64::from(self.books.epoch) << 32 | u64::from(self.opened));
        let Some(accounts) = self.books.keys(line_item, day) else { return Ok(()) };
        let returns = Arc::clone(self.returns.entry(advertiser).or_default());
        let lease = Arc::new(Lease::new(id, line_item, day, self.days.ends_ms(advertiser), returns));
        let live = Live { lease, advertiser, taken: 0, taken_ns: now.mono_ns, lean: false, accounts };
        self.live.insert(id, live);
        let is_stopped = self.is_stopped(line_item);
        self.set_bar(id, Bar::Stopped, is_stopped);
        self.by_advertiser.entry(advertiser).or_default().insert(id);
        self.current.insert((line_item, core), id);
        self.then(Effect::Ready(core, line_item, id));
        let hold = self.largest_hold.get(&line_item).copied().unwrap_or(1);
        let share = self.share(self.books.available(line_item, day));
        if share < hold || is_stopped || self.is_full() {
            return Ok(());
        }
        self.grant(id, core, hold.saturating_mul(MIN_HOLDS).min(share))
    }

    /// What one core may be given of what is available.
    fn share(&self, available: i64) -> i64 {
        available / (2 * self.mailboxes.len().max(1) as i64)
    }

    fn grant(&mut self, id: LeaseId, core: u16, amount: i64) -> Result<(), Violation> {
        let Some(live) = self.live.get(&id) else { return Ok(()) };
        let (line_item, day) = (live.lease.line_item.0, live.lease.day.0);
        let core = u32::from(core);
        self.write(Event::Grant(record::Grant { lease: id.0, core, line_item, day, amount }))?;
        self.then(Effect::Free(id, amount));
        Ok(())
    }

    /// A core's lease runs dry.
    pub(super) fn top_up(&mut self, ask: Ask) -> Result<(), Violation> {
        let Ask { lease: id, core, need: Nanos(need), why, now } = ask;
        let Some(live) = self.live.get(&id) else { return Ok(()) };
        let lease = Arc::clone(&live.lease);
        if !lease.is_of(now) {
            lease.answer(None);
            return self.open_days(now);
        }
        let granted = self.grant_more(&lease, core, need, now)?;
        let denied = Denied { amount: need, why, at_ns: now.mono_ns };
        lease.answer((!granted).then_some(denied));
        Ok(())
    }

    /// Whether there was at least `need` for a lease.
    fn grant_more(&mut self, lease: &Lease, core: u16, need: i64, now: Now) -> Result<bool, Violation> {
        let (id, line_item, day) = (lease.id, lease.line_item, lease.day);
        if self.is_full() || lease.has_bar(Bar::Closed) || lease.has_bar(Bar::Stopped) || need < 1 {
            return Ok(false);
        }
        if lease.has_bar(Bar::OverBudget) {
            self.recall(id)?;
        }
        let lean = self.share(self.books.available(line_item, day)) < need;
        if lean {
            // Nobody keeps more than it needs now; but what could not help is left where it is.
            self.recall(id)?;
            if !self.make_room(line_item, day, need)? {
                return Ok(false);
            }
        }
        let available = self.books.available(line_item, day);
        let amount = if lean { need } else { self.want(id, need, now).min(self.share(available)).max(need) };
        if amount > available {
            return Ok(false);
        }
        if let Some(live) = self.live.get_mut(&id) {
            live.lean = lean;
        }
        lease.bar(Bar::OverBudget, false);
        lease.set_low_mark(if lean { 0 } else { amount / LOW_PART });
        self.grant(id, core, amount)?;
        Ok(true)
    }

    /// What the lease will hold within τ at its rate since the last top-up, and at least some holds.
    fn want(&mut self, id: LeaseId, need: i64, now: Now) -> i64 {
        let floor = need.saturating_mul(MIN_HOLDS);
        let Some(live) = self.live.get_mut(&id) else { return floor };
        let taken = live.lease.taken();
        let held = i128::from(taken - live.taken);
        let elapsed_ns = i128::from(now.mono_ns.saturating_sub(live.taken_ns)).max(1_000_000);
        (live.taken, live.taken_ns) = (taken, now.mono_ns);
        let rate = held * TOP_UP_NS / elapsed_ns;
        floor.max(rate.clamp(0, i128::from(i64::MAX)) as i64)
    }

    /// Whether `amount` is available, after a recall of the advertiser's leases where that is what it takes. A recall
    /// that could not help is not made.
    pub(super) fn make_room(
        &mut self,
        line_item: LineItemId,
        day: BudgetDay,
        amount: i64,
    ) -> Result<bool, Violation> {
        if self.books.available(line_item, day) >= amount {
            return Ok(true);
        }
        let Some(advertiser) = self.books.funding.payer(line_item) else {
            return Ok(false);
        };
        // Read before the leases are: what comes back while they are looked through counts as news.
        let returns = self.returns.get(&advertiser).map_or(0, |count| count.load(Relaxed));
        if let Some((dry, of, seen)) = self.dry.get(&line_item)
            && amount >= *dry
            && (*of, *seen) == (day, returns)
        {
            return Ok(false);
        }
        if self.recallable(line_item, day) < amount {
            self.dry.insert(line_item, (amount, day, returns));
            return Ok(false);
        }
        let Some(wanted) = self.books.keys(line_item, day) else { return Ok(false) };
        let short = wanted.map(|key| {
            let available = self.books.allowed(line_item, key);
            available.is_some_and(|available| available < i128::from(amount)).then_some(key)
        });
        // Only leases that sit on an account which is short. From now on what comes back to them goes on at once.
        let own: Vec<LeaseId> = self.by_advertiser.get(&advertiser).into_iter().flatten().copied().collect();
        for id in own {
            let Some(live) = self.live.get_mut(&id) else { continue };
            if live.accounts.iter().any(|key| short.contains(&Some(*key))) {
                live.lean = true;
                self.recall(id)?;
            }
        }
        Ok(self.books.available(line_item, day) >= amount)
    }

    /// What would be available to a line item if every lease gave back what it has free.
    fn recallable(&self, line_item: LineItemId, day: BudgetDay) -> i64 {
        let room = self.room(line_item, day);
        let tightest = room.iter().flatten().map(|(_, room)| *room).min().unwrap_or(0);
        tightest.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
    }

    /// Each account of a line item with what a bid could still hold of it, wherever that is leased to.
    pub(super) fn room(
        &self,
        line_item: LineItemId,
        day: BudgetDay,
    ) -> Option<[(super::AccountKey, i128); 5]> {
        let keys = self.books.keys(line_item, day)?;
        let advertiser = self.books.funding.get(line_item)?.advertiser;
        let mut free = [0i128; 5];
        for id in self.by_advertiser.get(&advertiser).into_iter().flatten() {
            let Some(live) = self.live.get(id) else { continue };
            let amount = i128::from(live.lease.free());
            (0..5).filter(|at| live.accounts[*at] == keys[*at]).for_each(|at| free[at] += amount);
        }
        Some(std::array::from_fn(|at| {
            let available = self.books.allowed(line_item, keys[at]);
            (keys[at], available.map_or(i128::from(i64::MAX), |available| available + free[at]))
        }))
    }

    /// Takes back what is free of one lease.
    pub(super) fn recall(&mut self, id: LeaseId) -> Result<(), Violation> {
        let Some(live) = self.live.get(&id) else { return Ok(()) };
        let mut amount = live.lease.take_free();
        if planted::is(Bug::FreeFromCounters) {
            amount = self.books.leases.get(&id).map_or(0, |book| book.outstanding() - live.lease.held());
        }
        if amount > 0 {
            self.write(Event::Return(record::Return { lease: id.0, amount }))?;
        }
        Ok(())
    }

    /// Money of a hold that is no longer needed: to the lease, or to the accounts where the lease must not keep it.
    pub(super) fn give_back(&mut self, id: LeaseId, amount: i64) -> Result<(), Violation> {
        let Some(live) = self.live.get(&id) else { return Ok(()) };
        if amount == 0 {
            return Ok(());
        }
        if self.must_return(id) {
            self.write(Event::Return(record::Return { lease: id.0, amount }))
        } else {
            live.lease.add_free(amount);
            Ok(())
        }
    }

    /// Whether what comes back to a lease goes on to the accounts.
    pub(super) fn must_return(&self, id: LeaseId) -> bool {
        self.live.get(&id).is_none_or(|live| live.lean || live.lease.is_barred())
    }

    /// What a line item could still set aside; `None` when it has no funding.
    pub fn standing(&mut self, line_item: LineItemId, now: Now) -> Option<Standing> {
        let advertiser = self.books.funding.get(line_item)?.advertiser;
        let day = self.days.day(advertiser, now);
        let clamp = |room: i128| room.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64;
        let room = self.room(line_item, day)?.map(|(key, room)| (key, Nanos(clamp(room))));
        Some(Standing { room })
    }
}
