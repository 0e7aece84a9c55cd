//! The one writer of the books: it decides what happens to money, writes that to the journal, moves the books, and
//! lets effects out (free money of leases, answers to notices) only when the journal is synced.
//!
//! Synchronous and without a clock of its own: a thread drives it in a server ([`super::Ledger`]), a script in tests
//! and in the simulator. The three steps of every command: decide an [`Event`], append and apply it, queue its effect.
//! What it decides is in four files: `edits` (budgets), `leasing` (days, leases), `posting` (bills, losses, corrections) and
//! `watch` (what bounds the house).

use super::accounts::AccountKey;
use super::books::{Books, Violation};
use super::days::{BudgetDay, Days};
use super::gate::Gates;
use super::lease::{Bar, Lease, Mailbox};
use super::planted::{self, Bug};
use super::posting::{Posting, Reply};
use super::record::{self, Event, epoch_of};
use super::seen::SeenBids;
use super::watch::Watches;
use crate::model::clock::Now;
use crate::model::ids::{AdvertiserId, LeaseId, LineItemId};
use crate::model::money::Nanos;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Exchanges go on retrying a bill for this long (money.md 2.5: T_retry), in seconds of the ear clock.
const RETRY_S: u32 = 120;

/// Where events go to survive. What [`EventLog::commit`] returned `Ok` for is durable.
pub trait EventLog: Send {
    /// Buffers one event.
    fn append(&mut self, event: &[u8]);

    /// Makes everything that was appended durable.
    fn commit(&mut self) -> Result<(), CommitError>;

    /// Replaces everything up to the last commit by an image of the books.
    fn checkpoint(&mut self, image: &[u8]) -> Result<(), CommitError>;

    /// How many bytes were appended since the last checkpoint.
    fn bytes_since_checkpoint(&self) -> u64;

    /// After how many bytes an image of the books should replace them.
    fn checkpoint_after_bytes(&self) -> u64 {
        u64::MAX
    }

    /// Whether a checkpoint may replace events now. One that is put off costs space and the time of a restart.
    fn may_checkpoint(&self) -> bool {
        true
    }

    /// Sets space aside ahead of need, away from any commit. Returns whether there is little of it left: what is owed
    /// can still be written, but nothing new should be promised.
    fn maintain(&mut self) -> bool;

    /// The number of the last durable event, 0 where events are not numbered.
    fn durable_lsn(&self) -> u64;
}

/// Why a commit did not become durable.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// There is no space; nothing is lost, and a later commit may succeed.
    #[error("no space left for the journal: {0}")]
    NoSpace(String),
    /// Nothing is known of what was written: the process must stop and recover.
    #[error("the journal failed: {0}")]
    Failed(String),
    /// The books no longer add up; only before a checkpoint.
    #[error(transparent)]
    Broken(Violation),
}

/// An [`EventLog`] that remembers nothing: for explaining, benches and tests of the rules alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLog;

impl EventLog for NoLog {
    fn append(&mut self, _event: &[u8]) {}

    fn commit(&mut self) -> Result<(), CommitError> {
        Ok(())
    }

    fn checkpoint(&mut self, _image: &[u8]) -> Result<(), CommitError> {
        Ok(())
    }

    fn bytes_since_checkpoint(&self) -> u64 {
        0
    }

    fn maintain(&mut self) -> bool {
        false
    }

    fn durable_lsn(&self) -> u64 {
        0
    }
}

/// What happens once the journal is synced.
pub(super) enum Effect {
    Free(LeaseId, i64),
    Trust(crate::model::ids::ExchangeId, i64),
    Answer(Reply, Posting),
    Ready(u16, LineItemId, LeaseId),
    Look(Box<dyn FnOnce(&LedgerWriter) + Send>),
}

/// The writer's side of a lease of this boot.
pub(super) struct Live {
    pub(super) lease: Arc<Lease>,
    pub(super) advertiser: AdvertiserId,
    /// Money ever held, and when, at the last top-up: the rate of holds.
    pub(super) taken: i64,
    pub(super) taken_ns: u64,
    /// The accounts have less than one share for everybody: money goes round one hold at a time.
    pub(super) lean: bool,
    /// Wallet, campaign total and day, line item total and day.
    pub(super) accounts: [AccountKey; 5],
}

/// See the module.
pub struct LedgerWriter {
    pub(super) books: Books,
    log: Box<dyn EventLog>,
    pub(super) live: BTreeMap<LeaseId, Live>,
    /// Live leases by who pays for them.
    pub(super) by_advertiser: BTreeMap<AdvertiserId, BTreeSet<LeaseId>>,
    /// The lease of today for each line item and core.
    pub(super) current: BTreeMap<(LineItemId, u16), LeaseId>,
    pub(super) days: Days,
    /// Everybody who has funding.
    pub(super) advertisers: BTreeSet<AdvertiserId>,
    pub(super) mailboxes: Vec<Arc<Mailbox>>,
    pub(super) gates: Arc<Gates>,
    pub(super) watches: Watches,
    /// Bids that lost. Need not survive a restart, so they are no part of the books.
    pub(super) voided: SeenBids,
    /// Bids whose stale bills were written down, by when that was. No part of the books either: a restart may write
    /// one down again.
    pub(super) stale: SeenBids,
    /// The line items of the account, each with the largest hold that a bid of it may ask for: what its first grant is
    /// measured by. The books also know those that have left.
    pub(super) largest_hold: BTreeMap<LineItemId, i64>,
    /// Counts what came back to the leases of each advertiser.
    pub(super) returns: BTreeMap<AdvertiserId, Arc<AtomicU64>>,
    /// Line items for which all leases were looked through in vain: for what amount and day, and what the count of
    /// returns was.
    pub(super) dry: BTreeMap<LineItemId, (i64, BudgetDay, u64)>,
    pub(super) effects: Vec<Effect>,
    encoded: Vec<u8>,
    pub(super) opened: u32,
    /// The journal has no space, or little: nothing new is decided until it has.
    full: bool,
    dirty: bool,
    /// Leases with a bar: looked at in every tick, whatever the ear clocks say.
    pub(super) barred: BTreeSet<LeaseId>,
    /// The ear clocks when all leases were last looked at.
    ears_s: u64,
    /// A notice was read more than a second after it came, since the last tick.
    pub(super) lagged: bool,
}

impl LedgerWriter {
    /// Opens the books at a new boot epoch. `books` is what the journal gave, or empty ones.
    pub(super) fn open(
        books: Books,
        log: Box<dyn EventLog>,
        epoch: u32,
        mailboxes: Vec<Arc<Mailbox>>,
        gates: Arc<Gates>,
        now: Now,
    ) -> Result<LedgerWriter, Violation> {
        let mut writer = LedgerWriter {
            books,
            log,
            live: BTreeMap::new(),
            by_advertiser: BTreeMap::new(),
            current: BTreeMap::new(),
            days: Days::new(),
            advertisers: BTreeSet::new(),
            mailboxes,
            watches: Watches::over(Arc::clone(&gates)),
            gates,
            voided: SeenBids::default(),
            stale: SeenBids::default(),
            largest_hold: BTreeMap::new(),
            returns: BTreeMap::new(),
            dry: BTreeMap::new(),
            effects: Vec::new(),
            encoded: Vec::new(),
            opened: 0,
            full: false,
            dirty: false,
            barred: BTreeSet::new(),
            ears_s: 0,
            lagged: false,
        };
        for (advertiser, (day, zone)) in &writer.books.days {
            writer.days.set_zone(*advertiser, zone);
            writer.days.not_before(*advertiser, *day);
        }
        for funding in writer.books.funding.all().values() {
            writer.days.set_zone(funding.advertiser, &funding.time_zone);
            writer.advertisers.insert(funding.advertiser);
        }
        writer.gates.start(now);
        writer.write(Event::Boot(record::Boot { epoch, unix_ms: now.unix_ms }))?;
        Ok(writer)
    }

    /// The books, what is not yet synced included.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// Whether the journal has no space for anything new.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Whether there is something to commit.
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// The number of the last durable event.
    pub fn durable_lsn(&self) -> u64 {
        self.log.durable_lsn()
    }

    /// How old a notice may be, in seconds.
    pub fn token_life_s(&self) -> u32 {
        self.books.token_life_s()
    }

    /// Appends and applies one event.
    pub(super) fn write(&mut self, event: Event) -> Result<(), Violation> {
        self.books.apply(&event)?;
        self.note_return(&event);
        event.write_to(&mut self.encoded);
        self.log.append(&self.encoded);
        self.dirty = true;
        Ok(())
    }

    /// Counts what came back to an advertiser's accounts.
    fn note_return(&self, event: &Event) {
        let line_item = |lease: u64| self.books.leases.get(&LeaseId(lease)).map(|book| book.line_item);
        let line_item = match event {
            Event::Return(back) => line_item(back.lease),
            Event::Release(release) => line_item(release.lease),
            Event::Post(post) if post.released > 0 => line_item(post.lease),
            Event::Adjust(adjust) if adjust.amount < 0 => Some(LineItemId(adjust.line_item)),
            _ => None,
        };
        let advertiser = line_item.and_then(|id| self.books.funding.get(id)).map(|f| f.advertiser);
        if let Some(count) = advertiser.and_then(|advertiser| self.returns.get(&advertiser)) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// Queues what happens once everything written so far is synced.
    pub(super) fn then(&mut self, effect: Effect) {
        self.effects.push(effect);
        self.dirty = true;
    }

    /// Shows the writer to `look` once everything written so far is synced.
    pub fn look_later(&mut self, look: Box<dyn FnOnce(&LedgerWriter) + Send>) {
        self.then(Effect::Look(look));
    }

    /// The periodic work: ear clocks, days, expiry, breakers, the end of doubt, forgetting old bids. Returns how many
    /// slots expired.
    pub fn tick(&mut self, now: Now) -> Result<u64, Violation> {
        let lagged = std::mem::take(&mut self.lagged);
        let heard_ns = self.gates.tick_ns(now, !self.full && !lagged);
        self.tick_heard(now, heard_ns)
    }

    /// The same, when so much was heard since the last tick.
    pub(super) fn tick_heard(&mut self, now: Now, heard_ns: u64) -> Result<u64, Violation> {
        self.watches.hear_for(heard_ns);
        if self.full {
            return Ok(0);
        }
        self.open_days(now)?;
        let expired = self.expire()?;
        self.watch(now)?;
        self.end_doubt()?;
        self.forget(now)?;
        Ok(expired)
    }

    /// Takes back what holds that ended have held. Slots end by whole seconds of the ear clocks, so until one of those
    /// has moved nothing can have ended, and nobody looks at thousands of leases: only at those with a bar.
    fn expire(&mut self) -> Result<u64, Violation> {
        let ears_s = self.gates.ears_s();
        let all = ears_s != self.ears_s;
        self.ears_s = ears_s;
        let mut expired = 0;
        let ids: Vec<LeaseId> = match all {
            true => self.live.keys().copied().collect(),
            false => self.barred.iter().copied().collect(),
        };
        for id in ids {
            let Some(live) = self.live.get(&id) else { continue };
            let (slots, amount) = live.lease.expire(|exchange| self.watches.ear_s(exchange));
            expired += slots;
            self.give_back(id, amount)?;
            let Some(live) = self.live.get(&id) else { continue };
            if live.lease.is_barred() {
                // A hold that was undone after the bar was set left its money free.
                self.recall(id)?;
                self.settle(id);
            } else {
                self.barred.remove(&id);
            }
        }
        Ok(expired)
    }

    /// Forgets a lease of a past day that is empty, and lets one go on that a raised budget covers again.
    fn settle(&mut self, id: LeaseId) {
        let Some(live) = self.live.get(&id) else { return };
        let (line_item, day) = (live.lease.line_item, live.lease.day);
        if self.books.available(line_item, day) >= 0 {
            live.lease.bar(Bar::OverBudget, false);
        }
        // Only the books know that nothing is on its way between free and a slot.
        let empty = self.books.leases.get(&id).is_none_or(|book| book.outstanding() == 0);
        if live.lease.has_bar(Bar::Closed) && empty {
            if let Some(own) = self.by_advertiser.get_mut(&live.advertiser) {
                own.remove(&id);
            }
            self.barred.remove(&id);
            self.live.remove(&id);
        }
    }

    /// After the longest hold and the exchanges' retries, unconditionally: the old process cannot hold any more.
    fn end_doubt(&mut self) -> Result<(), Violation> {
        let early = planted::is(Bug::EarlyRelease);
        let hold_s = if early { 0 } else { self.books.max_hold_s };
        if self.watches.least_ear_s() < hold_s.saturating_add(RETRY_S) {
            return Ok(());
        }
        let old = self.books.leases.range(..LeaseId(u64::from(self.books.epoch) << 32));
        let doubtful: Vec<LeaseId> =
            old.filter(|(_, book)| book.outstanding() > 0).map(|(id, _)| *id).collect();
        doubtful.into_iter().try_for_each(|id| self.write(Event::Release(record::Release { lease: id.0 })))
    }

    /// Drops what is known of bids older than a token may be.
    fn forget(&mut self, now: Now) -> Result<(), Violation> {
        let oldest = (now.unix_s() - i64::from(self.token_life_s())).clamp(0, i64::from(u32::MAX)) as u32;
        for (epoch, core, sequence) in self.books.seen.droppable(oldest) {
            let core = u32::from(core);
            self.write(Event::Horizon(record::Horizon { epoch, core, sequence }))?;
        }
        self.voided.drop_before(oldest);
        self.stale.drop_before(oldest);
        Ok(())
    }

    /// Makes everything durable that was decided, then lets its effects out. Where there is no space, notices are
    /// answered [`Posting::Unavailable`], grants wait, and the next commit tries again.
    pub fn commit(&mut self) -> Result<(), CommitError> {
        let committed = self.log.commit();
        self.full = matches!(committed, Err(CommitError::NoSpace(_)));
        self.dirty = committed.is_err();
        let mut waiting = Vec::new();
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Answer(reply, posting) => {
                    reply(if committed.is_ok() { posting } else { Posting::Unavailable });
                }
                other if committed.is_err() => waiting.push(other),
                Effect::Free(id, amount) => {
                    if let Some(live) = self.live.get(&id) {
                        live.lease.add_free(amount);
                    }
                }
                Effect::Trust(exchange, units) => self.gates.gate(exchange).add_trial(units),
                Effect::Ready(core, line_item, id) => {
                    if let (Some(live), Some(mailbox)) =
                        (self.live.get(&id), self.mailboxes.get(usize::from(core)))
                    {
                        mailbox.put(line_item, Arc::clone(&live.lease));
                    }
                }
                Effect::Look(look) => look(self),
            }
        }
        self.effects = waiting;
        committed
    }

    /// After how many bytes of journal an image of the books is worth its writing.
    pub fn checkpoint_after_bytes(&self) -> u64 {
        self.log.checkpoint_after_bytes()
    }

    /// Work for when nobody waits: sets space aside, and writes an image of the books when the journal has grown by
    /// `after_bytes`. Only after a commit.
    pub fn maintain(&mut self, after_bytes: u64) -> Result<(), CommitError> {
        let short = self.log.maintain();
        self.full |= short;
        if !short && !self.dirty {
            self.full = false;
        }
        let torn = self.dirty && !planted::is(Bug::MarksInCheckpoint);
        if torn || self.log.bytes_since_checkpoint() < after_bytes || !self.log.may_checkpoint() {
            return Ok(());
        }
        // What a checkpoint replaces can never be looked at again.
        self.books.check().map_err(CommitError::Broken)?;
        self.log.checkpoint(&self.books.image())
    }

    /// Before a clean end: everything free goes back, so that little stays in doubt.
    pub fn close(&mut self) -> Result<(), Violation> {
        let ids: Vec<LeaseId> = self.live.keys().copied().collect();
        ids.into_iter().try_for_each(|id| self.recall(id))
    }

    /// Whether a lease is of an earlier boot.
    pub(super) fn is_old(&self, lease: LeaseId) -> bool {
        epoch_of(lease) < self.books.epoch
    }

    /// Every lease of this boot as the books and its own counters show it, for audits and tests.
    pub fn audit(&self) -> Vec<LeaseAudit> {
        let audit = |(id, live): (&LeaseId, &Live)| {
            let waiting = self.effects.iter().map(|effect| match effect {
                Effect::Free(of, amount) if of == id => *amount,
                _ => 0,
            });
            let book = self.books.leases.get(id);
            LeaseAudit {
                lease: *id,
                accounts: live.accounts,
                granted: Nanos(book.map_or(0, |b| b.granted)),
                returned: Nanos(book.map_or(0, |b| b.returned)),
                posted: Nanos(book.map_or(0, |b| b.posted)),
                free: Nanos(live.lease.free()),
                held: Nanos(live.lease.held()),
                waiting: Nanos(waiting.sum()),
            }
        };
        // A settled lease of a day that is over is forgotten by the books first.
        let is_known = |(id, live): &(&LeaseId, &Live)| {
            self.books.leases.contains_key(id) || !live.lease.has_bar(Bar::Closed)
        };
        self.live.iter().filter(is_known).map(audit).collect()
    }
}

/// One lease as the books and its own counters show it. While no core holds or releases at the same moment,
/// `granted − returned − posted = free + held + waiting` (I2), and over all leases of an account that sum is what the
/// account shows as leased (I3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaseAudit {
    /// The lease.
    pub lease: LeaseId,
    /// Wallet, campaign total and day, line item total and day.
    pub accounts: [AccountKey; 5],
    /// Moved out of the accounts into the lease.
    pub granted: Nanos,
    /// Moved back.
    pub returned: Nanos,
    /// Charged out of the lease.
    pub posted: Nanos,
    /// Ready for the next bid.
    pub free: Nanos,
    /// Held by open bids.
    pub held: Nanos,
    /// Becomes free with the next commit.
    pub waiting: Nanos,
}
