//! A lease: the right of one core to spend an amount for one line item on one budget day. What is left of it is one
//! atomic, `free`; what open bids hold lies in slots keyed by [`Bucket`], from which a bill, a loss or time takes it.
//!
//! Invariant: an amount is in exactly one place, `free` or one slot or the hands of who moves it, so it is never
//! computed from other counters, which could be read at different moments (money.md 2.2).

use super::days::BudgetDay;
use super::sync::{AtomicBool, AtomicI64, AtomicU8, Mutex};
use crate::model::clock::Now;
use crate::model::ids::{ExchangeId, LeaseId, LineItemId};
use crate::model::money::Nanos;
use crate::model::no_bid::NoBidReason;
use crate::model::rates::Rate;
use crate::model::token::{Bucket, HoldFormat};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// A top-up is asked for when so many holds of the size at hand are left, or a quarter of the last grant.
const LOW_HOLDS: i64 = 8;

/// What a bid asks of the budget.
#[derive(Clone, Copy, Debug)]
pub struct HoldRequest {
    /// The line item.
    pub line_item: LineItemId,
    /// The full charge at the bid price ([`super::hold_for`]).
    pub amount: Nanos,
    /// Nanos of the wallet's currency for one unit of the exchange's: what its limits are counted in.
    pub unit_rate: Rate,
    /// The exchange half of the hold's class.
    pub exchange: ExchangeId,
    /// The format half.
    pub format: HoldFormat,
    /// How long the hold lives, in seconds of the exchange's ear clock.
    pub life_s: u32,
    /// Length of the class's slots in seconds, ≥ 1.
    pub slot_s: u32,
    /// The request's clock reading.
    pub now: Now,
}

impl HoldRequest {
    /// The bucket of a hold that begins at `ear_s` and lives at least `min_life_s`: its slot is named by the second
    /// at which it ends, rounded up.
    pub(super) fn bucket(&self, ear_s: u32, min_life_s: u32) -> Bucket {
        let slot_s = self.slot_s.max(1);
        let life_s = self.life_s.max(min_life_s);
        let ends_s = ear_s.saturating_add(life_s).div_ceil(slot_s).saturating_mul(slot_s);
        Bucket::new(self.exchange, self.format, ends_s)
    }

    /// The amount in units of the exchange's currency.
    pub fn units(&self) -> i64 {
        units(self.amount.0, self.unit_rate)
    }
}

/// An amount of a wallet in nanos of the currency that `rate` nanos of the wallet's buy one unit of; rounded up.
pub(super) fn units(amount: i64, rate: Rate) -> i64 {
    let scaled = i128::from(amount) * 1_000_000_000;
    let rate = i128::from(rate.0.max(1));
    let rounded = scaled.div_euclid(rate) + i128::from(scaled.rem_euclid(rate) != 0);
    rounded.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

/// Money set aside, with what a token must say of it.
#[derive(Debug)]
pub struct Granted<H> {
    /// The guard that releases on drop.
    pub hold: H,
    /// The lease that it came from.
    pub lease: LeaseId,
    /// The budget day that pays.
    pub day: BudgetDay,
    /// Where it lies in the lease.
    pub bucket: Bucket,
}

/// Something that can set money aside for a bid: a core's leases, or a look at the books that moves nothing.
pub trait HoldSource {
    /// The guard that releases on drop.
    type Hold;
    /// Whether anything is moved at all; else it is a look.
    const MOVES: bool = true;

    /// Has the memory fetch what a hold of this line item would look at.
    fn announce(&self, _line_item: LineItemId) {}

    /// Sets `request.amount` aside, or says why not.
    fn try_hold(&mut self, request: &HoldRequest) -> Result<Granted<Self::Hold>, NoBidReason>;
}

/// A core's lease runs dry: it needs at least `need`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) lease: LeaseId,
    pub(super) core: u16,
    pub(super) need: Nanos,
    pub(super) why: Why,
    pub(super) now: Now,
}

/// Why a core asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Why {
    /// There is money for this bid, but little more.
    Low = 0,
    /// There is none for it.
    Empty = 1,
}

/// An ask that was denied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Denied {
    pub(super) amount: i64,
    pub(super) why: Why,
    /// When it was asked for, on the monotonic clock.
    pub(super) at_ns: u64,
}

/// Why a lease may not be spent, though it has money; any number of them at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Bar {
    /// The day is over: what comes back goes to the accounts.
    Closed = 1,
    /// An account is over its budget after a cut: what comes back is no longer this lease's.
    OverBudget = 2,
    /// A kill switch.
    Stopped = 4,
}

/// Leases on their way from the writer to a core.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    flag: std::sync::atomic::AtomicBool,
    leases: parking_lot::Mutex<Vec<(LineItemId, Arc<Lease>)>>,
}

impl Mailbox {
    pub(super) fn put(&self, line_item: LineItemId, lease: Arc<Lease>) {
        self.leases.lock().push((line_item, lease));
        self.flag.store(true, Release);
    }

    /// Takes everything that came; one load where nothing did.
    pub(super) fn drain(&self, mut each: impl FnMut(LineItemId, Arc<Lease>)) {
        if self.flag.load(Relaxed) && self.flag.swap(false, Acquire) {
            self.leases.lock().drain(..).for_each(|(line_item, lease)| each(line_item, lease));
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) id: LeaseId,
    pub(super) line_item: LineItemId,
    pub(super) day: BudgetDay,
    /// When the day ends, in milliseconds since the Unix epoch. Moves with edits of the advertiser's zone.
    ends_ms: std::sync::atomic::AtomicI64,
    free: AtomicI64,
    /// Ever held, released holds included: its growth is the rate that top-ups follow.
    taken: AtomicI64,
    /// A top-up was asked for and not yet decided.
    asked: AtomicBool,
    /// What was asked for last and not granted.
    denied: parking_lot::Mutex<Option<Denied>>,
    has_denied: std::sync::atomic::AtomicBool,
    /// More is asked for when less than this is free.
    low_mark: AtomicI64,
    /// The [`Bar`]s, a bit each.
    bars: AtomicU8,
    /// Few entries (classes × live slots), so a scan beats a map.
    slots: Mutex<Vec<(Bucket, i64)>>,
    /// Counts what came back, for all leases of the advertiser: whoever looked for money in vain need not look again
    /// while it stands still.
    returns: Arc<AtomicU64>,
}

impl Lease {
    pub(super) fn new(
        id: LeaseId,
        line_item: LineItemId,
        day: BudgetDay,
        ends_ms: i64,
        returns: Arc<AtomicU64>,
    ) -> Lease {
        Lease {
            id,
            line_item,
            day,
            ends_ms: ends_ms.into(),
            free: AtomicI64::new(0),
            taken: AtomicI64::new(0),
            asked: AtomicBool::new(false),
            denied: Default::default(),
            has_denied: false.into(),
            low_mark: AtomicI64::new(0),
            bars: AtomicU8::new(0),
            slots: Mutex::default(),
            returns,
        }
    }

    /// Has the memory fetch it.
    pub(super) fn announce(&self) {
        std::hint::black_box((self.id, self.has_denied.load(Relaxed), self.ends_ms.load(Relaxed)));
    }

    /// Whether the lease's day is still going on.
    pub(super) fn is_of(&self, now: Now) -> bool {
        now.unix_ms < self.ends_ms.load(Relaxed)
    }

    pub(super) fn ends_at(&self, unix_ms: i64) {
        self.ends_ms.store(unix_ms, Relaxed);
    }

    /// Whether the caller is the one to ask for a top-up now.
    pub(super) fn may_ask(&self) -> bool {
        !self.asked.swap(true, AcqRel)
    }

    /// The top-up was decided: granted, or denied.
    pub(super) fn answer(&self, denied: Option<Denied>) {
        if denied.is_some() {
            *self.denied.lock() = denied;
            self.has_denied.store(true, Release);
        }
        self.asked.store(false, Release);
    }

    /// What was denied since the last time.
    pub(super) fn take_denied(&self) -> Option<Denied> {
        let news = self.has_denied.load(Relaxed) && self.has_denied.swap(false, Acquire);
        if news { self.denied.lock().take() } else { None }
    }

    /// Sets below what more is asked for.
    pub(super) fn set_low_mark(&self, amount: i64) {
        self.low_mark.store(amount, Relaxed);
    }

    /// Whether so little is free that more should be on its way, for holds of this size.
    pub(super) fn is_low(&self, amount: i64) -> bool {
        let floor = amount.saturating_mul(LOW_HOLDS).max(self.low_mark.load(Relaxed));
        self.free() < floor
    }

    /// Ever held.
    pub(super) fn taken(&self) -> i64 {
        self.taken.load(Relaxed)
    }

    /// Moves `amount` from free into the bucket's slot; false when free has less or may not be spent.
    pub(super) fn hold(&self, amount: i64, bucket: Bucket) -> bool {
        let taken =
            self.free.fetch_update(AcqRel, Acquire, |free| (free >= amount).then(|| free - amount)).is_ok();
        // Looked at after taking: who takes what came back after a bar was set sees the bar too.
        if taken && self.is_barred() {
            self.add_free(amount);
            return false;
        }
        if taken {
            self.taken.fetch_add(amount, Relaxed);
            self.put_held(amount, bucket);
        }
        taken
    }

    fn put_held(&self, amount: i64, bucket: Bucket) {
        let mut slots = self.slots.lock();
        match slots.iter_mut().find(|(b, _)| *b == bucket) {
            Some((_, held)) => *held += amount,
            None => slots.push((bucket, amount)),
        }
    }

    /// Takes `amount` out of the bucket's slot; false when the slot was drained or has less.
    pub(super) fn take_held(&self, amount: i64, bucket: Bucket) -> bool {
        let mut slots = self.slots.lock();
        let Some(at) = slots.iter().position(|(b, held)| *b == bucket && *held >= amount) else {
            return false;
        };
        slots[at].1 -= amount;
        if slots[at].1 == 0 {
            slots.swap_remove(at);
        }
        true
    }

    /// Adds to what is free.
    pub(super) fn add_free(&self, amount: i64) {
        self.free.fetch_add(amount, AcqRel);
        self.returns.fetch_add(1, Relaxed);
    }

    /// Takes everything that is free.
    pub(super) fn take_free(&self) -> i64 {
        self.free.swap(0, AcqRel)
    }

    /// What is free now, for display and for sizing.
    pub(super) fn free(&self) -> i64 {
        self.free.load(Acquire)
    }

    /// Takes the money out of every slot that ended before its exchange's `ear_s`; returns how many did, and the sum.
    pub(super) fn expire(&self, ear_s: impl Fn(ExchangeId) -> u32) -> (u64, i64) {
        let (mut slots, mut sum) = (0, 0);
        self.slots.lock().retain(|(bucket, held)| {
            let keep = bucket.slot >= ear_s(bucket.exchange());
            if !keep {
                (slots, sum) = (slots + 1, sum + *held);
            }
            keep
        });
        (slots, sum)
    }

    /// What every slot holds.
    pub(super) fn held_by_bucket(&self, mut each: impl FnMut(Bucket, i64)) {
        self.slots.lock().iter().for_each(|(bucket, held)| each(*bucket, *held));
    }

    /// What open bids hold.
    pub(super) fn held(&self) -> i64 {
        self.slots.lock().iter().map(|(_, held)| held).sum()
    }

    /// Sets or lifts a bar.
    pub(super) fn bar(&self, bar: Bar, set: bool) {
        if set {
            self.bars.fetch_or(bar as u8, AcqRel);
        } else {
            self.bars.fetch_and(!(bar as u8), AcqRel);
        }
    }

    /// Whether this bar is set.
    pub(super) fn has_bar(&self, bar: Bar) -> bool {
        self.bars.load(Acquire) & bar as u8 != 0
    }

    /// Whether any bar is set.
    pub(super) fn is_barred(&self) -> bool {
        self.bars.load(Acquire) != 0
    }
}

/// Money set aside for one bid. Dropping it gives the money back; [`Hold::keep`] leaves it to its bucket.
#[derive(Debug)]
#[must_use = "dropping a hold releases it"]
pub struct Hold {
    lease: Arc<Lease>,
    amount: i64,
    bucket: Bucket,
    kept: bool,
}

impl Hold {
    pub(super) fn take(lease: &Arc<Lease>, amount: i64, bucket: Bucket) -> Option<Hold> {
        lease.hold(amount, bucket).then(|| Hold { lease: Arc::clone(lease), amount, bucket, kept: false })
    }

    /// The bid was answered: the money now waits for a bill, a loss or its expiry.
    pub fn keep(mut self) {
        self.kept = true;
    }

    /// What is held.
    pub fn amount(&self) -> Nanos {
        Nanos(self.amount)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // A slot that was drained meanwhile has given the money back already.
        if !self.kept && self.lease.take_held(self.amount, self.bucket) {
            self.lease.add_free(self.amount);
        }
    }
}
