//! How often each person was shown what, so that no cap is passed (pricing.md 2f): by user key and [`Scope`], the times of
//! the last impressions, their number in all, and the bids that may still become one.
//!
//! Instead of counters by hour and day the times themselves are kept, as many as the largest cap allows: windows slide
//! exactly, whatever their length, and a cap of three impressions takes twelve bytes.
//!
//! Invariant: [`FrequencyTable::begin`] judges and adds under one lock, so that bids at the same moment never count a
//! person's last impression twice; what it added is taken back by a drop of its guard, a loss, or the end of its life
//! ([`FrequencyTable::open_life_s`]). Only a win that comes after that can pass a cap; it is counted apart.
//!
//! What was counted is in a log ([`log`]) within [`SYNC_EVERY_MS`] of its bill; open bids are not, as a restart ends them.

mod delay;
mod log;
mod rules;

pub use delay::FIRST_GUESS_S;
pub use log::FrequencyError;
pub use rules::{Reached, Rules, Scope};

use crate::model::ids::{BidId, CampaignId, ExchangeId, UserKey};
use crate::model::storage::Storage;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use delay::Delays;
use foldhash::fast::FixedState;
use log::Log;
use parking_lot::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// How often somebody should call [`FrequencyTable::sync`], in milliseconds.
pub const SYNC_EVERY_MS: u64 = 100;

/// So many that what is done to one of them all at once keeps no bid waiting.
const SHARDS: usize = 1_024;

/// Why a bid may not be shown to this person now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// A cap is reached, with the bids that are still open.
    Capped,
    /// As many people are kept as may be, and this one is not among them.
    Full,
}

/// An impression that was billed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Show {
    /// Who was shown it.
    pub user: UserKey,
    /// The bid that it came of.
    pub bid: BidId,
    /// Where that was made.
    pub exchange: ExchangeId,
    /// When, in seconds since the Unix epoch.
    pub issued_s: u32,
    /// When it was billed, likewise.
    pub at_s: u32,
}

/// What happened since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// People of whom something is kept.
    pub users: u64,
    /// Impressions that came after their bid was taken for lost, and so passed a cap.
    pub late: u64,
    /// Bids refused because as many people are kept as may be.
    pub full: u64,
}

/// See the module.
#[derive(Debug)]
pub struct FrequencyTable {
    people: DashMap<UserKey, Person, FixedState>,
    max_users: u64,
    users: AtomicU64,
    late: AtomicU64,
    full: AtomicU64,
    delays: Delays,
    log: Option<Mutex<Log>>,
}

/// What is kept of one person.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Person {
    shown: Vec<Shown>,
    open: Vec<Open>,
}

/// Impressions of one scope.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Shown {
    scope: Scope,
    /// All that were counted.
    total: u32,
    /// Seconds after the last one until which this is kept.
    keep_s: u32,
    /// Seconds since the Unix epoch of the last ones, the newest last.
    times: Vec<u32>,
}

/// A bid that may still become an impression.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Open {
    scope: Scope,
    bid: BidId,
    at_s: u32,
    /// From here on it is taken for lost.
    until_s: u32,
}

/// What one core has read of one person, until the next request: see [`FrequencyTable::look`].
#[derive(Clone, Debug, Default)]
pub struct Seen {
    user: Option<UserKey>,
    now_s: u32,
    /// Scope, total, and where its times end; they begin where those of the one before end.
    shown: Vec<(Scope, u32, usize)>,
    times: Vec<u32>,
    open: Vec<(Scope, u32)>,
}

impl Seen {
    /// Forgets who it was about: nobody whom one can tell apart.
    pub fn clear(&mut self) {
        self.user = None;
        self.shown.clear();
        self.times.clear();
        self.open.clear();
    }

    /// How often the person was shown something of a campaign, and how many seconds ago last; `None` where nobody counts
    /// that: `rules` are those of the line item.
    pub fn shown(&self, campaign: CampaignId, rules: &[Rules]) -> Option<(u32, Option<u32>)> {
        if Seen::counts(campaign, rules) { self.of_campaign(campaign) } else { None }
    }

    /// Whether these rules of a line item count what is shown of its campaign.
    pub fn counts(campaign: CampaignId, rules: &[Rules]) -> bool {
        rules.iter().any(|rules| rules.scope == Scope::from(campaign))
    }

    /// The same of a campaign that is counted.
    pub fn of_campaign(&self, campaign: CampaignId) -> Option<(u32, Option<u32>)> {
        let scope = Scope::from(campaign);
        self.user?;
        let Some(at) = self.shown.iter().position(|(known, ..)| *known == scope) else {
            return Some((0, None));
        };
        let (_, total, end) = self.shown[at];
        let from = at.checked_sub(1).map_or(0, |before| self.shown[before].2);
        let last = self.times[from..end].last();
        Some((total, last.map(|last| self.now_s.saturating_sub(*last))))
    }

    /// Whether one more impression stays within these caps.
    pub fn allows(&self, rules: &Rules) -> bool {
        if self.user.is_none() {
            return rules.serves_unknown();
        }
        let (total, times) = self.times_of(rules);
        rules.allow(total, times, self.open_of(rules), self.now_s)
    }

    /// The cap that forbids one more impression; `None` where none does, or nobody can tell whose it would be.
    pub fn reached(&self, rules: &Rules) -> Option<Reached> {
        self.user?;
        let (total, times) = self.times_of(rules);
        rules.reached(total, times, self.open_of(rules), self.now_s)
    }

    fn times_of(&self, rules: &Rules) -> (u32, &[u32]) {
        let at = self.shown.iter().position(|(scope, ..)| *scope == rules.scope);
        at.map_or((0, &[][..]), |at| {
            let from = at.checked_sub(1).map_or(0, |before| self.shown[before].2);
            (self.shown[at].1, &self.times[from..self.shown[at].2])
        })
    }

    fn open_of(&self, rules: &Rules) -> impl Iterator<Item = u32> + Clone {
        let scope = rules.scope;
        self.open.iter().filter(move |(known, _)| *known == scope).map(|(_, at)| *at)
    }
}

/// Takes what [`FrequencyTable::begin`] added back when it is dropped, unless the bid was answered.
#[derive(Debug)]
pub struct Pending<'t> {
    table: &'t FrequencyTable,
    user: UserKey,
    bid: BidId,
    kept: bool,
}

impl Pending<'_> {
    /// The bid was answered: from here on an impression, a loss or time ends it.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.table.end(self.user, self.bid);
        }
    }
}

impl Person {
    fn allows(&self, rules: &Rules, now_s: u32) -> bool {
        let shown = self.shown.iter().find(|shown| shown.scope == rules.scope);
        let (total, times) = shown.map_or((0, &[][..]), |shown| (shown.total, &shown.times[..]));
        let live = |open: &&Open| open.scope == rules.scope && open.until_s > now_s;
        rules.allow(total, times, self.open.iter().filter(live).map(|open| open.at_s), now_s)
    }

    /// Counts one impression and returns what is now true of its scope.
    fn count(&mut self, rules: &Rules, at_s: u32) -> &Shown {
        let at = self.shown.iter().position(|shown| shown.scope == rules.scope).unwrap_or_else(|| {
            let fresh = Shown { scope: rules.scope, total: 0, keep_s: rules.keep_s, times: Vec::new() };
            self.shown.push(fresh);
            self.shown.len() - 1
        });
        let shown = &mut self.shown[at];
        shown.total = shown.total.saturating_add(1);
        shown.keep_s = rules.keep_s;
        let place = shown.times.partition_point(|time| *time <= at_s);
        shown.times.insert(place, at_s);
        let surplus = shown.times.len().saturating_sub(rules.keep);
        shown.times.drain(..surplus);
        shown
    }

    /// Whether nothing of it matters any more.
    fn expire(&mut self, now_s: u32) -> bool {
        self.open.retain(|open| open.until_s > now_s);
        let until = |shown: &Shown| shown.times.last().map_or(0, |last| last.saturating_add(shown.keep_s));
        self.shown.retain(|shown| until(shown) > now_s);
        self.shown.is_empty() && self.open.is_empty()
    }
}

impl FrequencyTable {
    /// A table of at most so many people that is not kept over a restart.
    pub fn in_memory(max_users: u64) -> FrequencyTable {
        FrequencyTable {
            people: DashMap::with_capacity_and_hasher_and_shard_amount(0, FixedState::default(), SHARDS),
            max_users,
            users: AtomicU64::new(0),
            late: AtomicU64::new(0),
            full: AtomicU64::new(0),
            delays: Delays::default(),
            log: None,
        }
    }

    /// The table that is kept in `storage`, with what was counted before; `now_s` is seconds since the Unix epoch.
    ///
    /// # Errors
    /// What cannot be read or is damaged, by file; nothing is thrown away.
    pub fn open(
        max_users: u64,
        storage: Box<dyn Storage>,
        now_s: u32,
    ) -> Result<FrequencyTable, FrequencyError> {
        let mut table = FrequencyTable::in_memory(max_users);
        let log = log::read(storage, |user, change| table.replay(user, change, now_s))?;
        table.users = AtomicU64::new(table.people.len() as u64);
        table.log = Some(Mutex::new(log));
        table.save()?;
        Ok(table)
    }

    fn replay(&self, user: UserKey, change: log::Change, now_s: u32) {
        match change {
            log::Change::Shown(shown) => {
                let mut person = self.people.entry(user).or_default();
                person.shown.retain(|known| known.scope != shown.scope);
                person.shown.push(shown);
                if person.expire(now_s) {
                    drop(person);
                    self.people.remove(&user);
                }
            }
            log::Change::Erased => {
                self.people.remove(&user);
            }
        }
    }

    /// Reads what is known of a person at `now_s` into `seen`, which then answers for one request.
    pub fn look(&self, user: Option<UserKey>, now_s: u32, seen: &mut Seen) {
        seen.clear();
        (seen.user, seen.now_s) = (user, now_s);
        let Some(person) = user.and_then(|user| self.people.get(&user)) else { return };
        for shown in &person.shown {
            seen.times.extend_from_slice(&shown.times);
            seen.shown.push((shown.scope, shown.total, seen.times.len()));
        }
        let live = person.open.iter().filter(|open| open.until_s > now_s);
        seen.open.extend(live.map(|open| (open.scope, open.at_s)));
    }

    /// Adds a bid that may become an impression in each of these scopes, if every cap still allows one. `None` where nobody
    /// is told apart: nothing is counted, and the rules say whether that will do.
    pub fn begin<'r>(
        &self,
        user: Option<UserKey>,
        rules: impl Iterator<Item = &'r Rules> + Clone,
        bid: BidId,
        now_s: u32,
        life_s: u32,
    ) -> Result<Option<Pending<'_>>, Refused> {
        let Some(user) = user else {
            let allowed = rules.clone().all(Rules::serves_unknown);
            return if allowed { Ok(None) } else { Err(Refused::Capped) };
        };
        if rules.clone().next().is_none() {
            return Ok(None);
        }
        let mut person = match self.people.entry(user) {
            Entry::Occupied(known) => known.into_ref(),
            Entry::Vacant(_) if self.users.load(Relaxed) >= self.max_users => {
                if rules.clone().all(Rules::only_counts) {
                    return Ok(None);
                }
                self.full.fetch_add(1, Relaxed);
                return Err(Refused::Full);
            }
            Entry::Vacant(vacant) => {
                self.users.fetch_add(1, Relaxed);
                vacant.insert(Person::default())
            }
        };
        person.open.retain(|open| open.until_s > now_s);
        if !rules.clone().all(|rules| person.allows(rules, now_s)) {
            return Err(Refused::Capped);
        }
        let until_s = now_s.saturating_add(life_s.max(1));
        person.open.extend(rules.map(|rules| Open { scope: rules.scope, bid, at_s: now_s, until_s }));
        Ok(Some(Pending { table: self, user, bid, kept: false }))
    }

    /// The bid will be no impression: it lost, or was never answered.
    pub fn end(&self, user: UserKey, bid: BidId) {
        if let Some(mut person) = self.people.get_mut(&user) {
            person.open.retain(|open| open.bid != bid);
        }
    }

    /// An impression of these scopes was billed: told once per bid, which the ledger sees to. Counted whether or not the bid
    /// was still open; where it was not and a cap is passed, that is counted as late.
    pub fn count<'r>(&self, show: &Show, rules: impl Iterator<Item = &'r Rules> + Clone) {
        let Show { user, bid, exchange, issued_s, at_s: now_s } = *show;
        self.delays.learn(exchange, now_s.saturating_sub(issued_s));
        if rules.clone().next().is_none() {
            return;
        }
        let mut person = self.people.entry(user).or_insert_with(|| {
            self.users.fetch_add(1, Relaxed);
            Person::default()
        });
        let was_open = person.open.iter().any(|open| open.bid == bid && open.until_s > now_s);
        person.open.retain(|open| open.bid != bid);
        if !was_open && !rules.clone().all(|rules| person.allows(rules, now_s)) {
            self.late.fetch_add(1, Relaxed);
        }
        for rules in rules {
            let shown = person.count(rules, now_s);
            if let Some(log) = &self.log {
                log.lock().shown(user, shown);
            }
        }
    }

    /// How long a bid to this exchange counts as an impression that may still come, in seconds: the 99.9 % quantile of the
    /// delays of its bills, [`FIRST_GUESS_S`] until enough came.
    pub fn open_life_s(&self, exchange: ExchangeId) -> u32 {
        self.delays.life_s(exchange)
    }

    /// Forgets a person; whether there was anything.
    pub fn erase(&self, user: UserKey) -> bool {
        let Some((_, _)) = self.people.remove(&user) else { return false };
        self.users.fetch_sub(1, Relaxed);
        if let Some(log) = &self.log {
            log.lock().erased(user);
        }
        true
    }

    /// What is kept of a person: scope, impressions in all, and the seconds of the last ones.
    pub fn export(&self, user: UserKey) -> Vec<(Scope, u32, Vec<u32>)> {
        let Some(person) = self.people.get(&user) else { return Vec::new() };
        person.shown.iter().map(|shown| (shown.scope, shown.total, shown.times.clone())).collect()
    }

    /// Lets go of open bids that are taken for lost and of impressions that no cap asks for.
    pub fn expire(&self, now_s: u32) {
        self.people.retain(|_, person| {
            let gone = person.expire(now_s);
            self.users.fetch_sub(u64::from(gone), Relaxed);
            !gone
        });
    }

    /// What happened.
    pub fn counts(&self) -> Counts {
        Counts {
            users: self.users.load(Relaxed),
            late: self.late.load(Relaxed),
            full: self.full.load(Relaxed),
        }
    }

    /// Makes what was counted so far durable.
    ///
    /// # Errors
    /// What the disk said; from then on nothing is written until [`FrequencyTable::save`] begins another file.
    pub fn sync(&self) -> Result<(), FrequencyError> {
        let Some(log) = &self.log else { return Ok(()) };
        let Some((mut file, bytes)) = log.lock().take_to_sync() else { return Ok(()) };
        // Beside the lock: who counts an impression never waits for the disk.
        let written = file.append(&bytes);
        log.lock().synced(file, written)
    }

    /// Whether the log has grown or holds somebody who was erased: time to [`FrequencyTable::save`].
    pub fn wants_save(&self) -> bool {
        self.log.as_ref().is_some_and(|log| log.lock().wants_save())
    }

    /// Writes everything anew and drops the files before: what was erased is on the disk no more.
    ///
    /// # Errors
    /// What the disk said; the files before stay and are read at the next start.
    pub fn save(&self) -> Result<(), FrequencyError> {
        let Some(log) = &self.log else { return Ok(()) };
        let mut saving = log.lock().begin_save()?;
        // Impressions that are counted from here on are in the new log as well, and say what is true, so that it does no
        // harm if the walk sees some of them.
        for person in &self.people {
            for shown in &person.shown {
                saving.put(*person.key(), shown)?;
            }
        }
        saving.finish()?;
        log.lock().end_save(saving)
    }
}
