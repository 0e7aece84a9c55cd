//! A lease: the right of one core to spend an amount for one line item on one budget day. What is left of it is one
//! atomic, `free`; what open bids hold lies in slots keyed by [`Bucket`], from which a bill, a loss or time takes it.

use super::days::BudgetDay;
use crate::model::clock::Now;
use crate::model::ids::{LeaseId, LineItemId};
use crate::model::money::Nanos;
use crate::model::no_bid::NoBidReason;
use crate::model::token::Bucket;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::AcqRel, Ordering::Acquire, Ordering::Release};

/// What a bid asks of the budget.
#[derive(Clone, Copy, Debug)]
pub struct HoldRequest {
    /// The line item.
    pub line_item: LineItemId,
    /// The full charge at the bid price ([`super::hold_for`]).
    pub amount: Nanos,
    /// Life class and expiry.
    pub bucket: Bucket,
    /// The request's clock reading.
    pub now: Now,
}

/// Something that can set money aside for a bid: a core's leases, or a look at the books that moves nothing.
pub trait HoldSource {
    /// The guard that releases on drop.
    type Hold;

    /// Sets `request.amount` aside, or says why not. Returns the guard with the lease and the budget day it came from.
    fn try_hold(&mut self, request: &HoldRequest) -> Result<(Self::Hold, LeaseId, BudgetDay), NoBidReason>;
}

/// See the module.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) id: LeaseId,
    pub(super) day: BudgetDay,
    free: AtomicI64,
    /// Set when the day is over: what comes back goes to the accounts.
    closed: AtomicBool,
    /// Set while an account is over its budget after a cut: what comes back is no longer this lease's to spend.
    suspended: AtomicBool,
    /// Few entries (classes × live slots), so a scan beats a map.
    slots: Mutex<Vec<(Bucket, i64)>>,
}

impl Lease {
    pub(super) fn new(id: LeaseId, day: BudgetDay) -> Lease {
        Lease {
            id,
            day,
            free: AtomicI64::new(0),
            closed: AtomicBool::new(false),
            suspended: AtomicBool::new(false),
            slots: Mutex::default(),
        }
    }

    /// Moves `amount` from free into the bucket's slot; false when free has less or is not to be spent.
    fn hold(&self, amount: i64, bucket: Bucket) -> bool {
        let taken =
            self.free.fetch_update(AcqRel, Acquire, |free| (free >= amount).then(|| free - amount)).is_ok();
        // Looked at after taking: who takes what came back after a cut sees the cut too.
        if taken && self.is_suspended() {
            self.add_free(amount);
            return false;
        }
        if taken {
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
    }

    /// Takes everything that is free.
    pub(super) fn take_free(&self) -> i64 {
        self.free.swap(0, AcqRel)
    }

    /// What is free now, for display and for sizing.
    pub(super) fn free(&self) -> i64 {
        self.free.load(Acquire)
    }

    /// Moves every slot that ended before `now_s` (the clock of [`Bucket::slot`]) back to free; returns how many did.
    pub(super) fn expire(&self, now_s: u32) -> u64 {
        let (mut expired, mut slots) = (0, 0);
        self.slots.lock().retain(|(bucket, held)| {
            let keep = bucket.slot >= now_s;
            if !keep {
                expired += *held;
                slots += 1;
            }
            keep
        });
        self.add_free(expired);
        slots
    }

    /// What every slot holds.
    pub(super) fn held_by_bucket(&self, mut each: impl FnMut(Bucket, i64)) {
        self.slots.lock().iter().for_each(|(bucket, held)| each(*bucket, *held));
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Release);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Acquire)
    }

    /// Whether what is free must go back to the accounts before anything is held again.
    pub(super) fn suspend(&self, suspended: bool) {
        self.suspended.store(suspended, Release);
    }

    pub(super) fn is_suspended(&self) -> bool {
        self.suspended.load(Acquire)
    }

    /// What open bids hold, for audits.
    pub(super) fn held(&self) -> i64 {
        self.slots.lock().iter().map(|(_, held)| held).sum()
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

    /// Holds money that was granted for this very bid: it never passes through what is free, where a recall for
    /// somebody else could take it away again.
    pub(super) fn granted(lease: &Arc<Lease>, amount: i64, bucket: Bucket) -> Hold {
        lease.put_held(amount, bucket);
        Hold { lease: Arc::clone(lease), amount, bucket, kept: false }
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
