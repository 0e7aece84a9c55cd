//! One serving core's side of the books: its leases, and when it may ask the ledger for more.

use super::days::BudgetDay;
use super::lease::{Hold, HoldRequest, HoldSource, Lease};
use super::ledger::Ledger;
use crate::model::clock::Now;
use crate::model::ids::{LeaseId, LineItemId};
use crate::model::no_bid::NoBidReason;
use std::collections::HashMap;
use std::sync::Arc;

/// How long a core that was refused waits before it asks for as much again. Doubles with each refusal up to
/// [`MAX_RETRY_NS`], because the answer costs a look at every lease under the lock that all cores share.
const MIN_RETRY_NS: u64 = 20_000_000;
/// Longest wait of a core that is refused again and again.
const MAX_RETRY_NS: u64 = 640_000_000;

/// One core's leases: the [`HoldSource`] of a serving core.
#[derive(Debug)]
pub struct CoreBudget {
    core: u16,
    ledger: Arc<Ledger>,
    leases: HashMap<LineItemId, CoreLease, foldhash::fast::RandomState>,
}

#[derive(Debug)]
struct CoreLease {
    lease: Arc<Lease>,
    /// When the budget day was last looked at, in whole seconds.
    checked_s: i64,
    refusal: Option<Refusal>,
}

/// What the ledger refused last.
#[derive(Clone, Copy, Debug)]
struct Refusal {
    /// Less may still fit, so it is asked for at once.
    amount: i64,
    /// As much or more is not asked for before this.
    until_ns: u64,
    waited_ns: u64,
}

impl CoreLease {
    fn may_ask(&self, amount: i64, now: Now) -> bool {
        self.refusal.is_none_or(|refusal| amount < refusal.amount || now.mono_ns >= refusal.until_ns)
    }

    fn note_refusal(&mut self, amount: i64, now: Now) {
        let waited_ns = match self.refusal {
            Some(refusal) if now.mono_ns >= refusal.until_ns => (2 * refusal.waited_ns).min(MAX_RETRY_NS),
            Some(refusal) => refusal.waited_ns,
            None => MIN_RETRY_NS,
        };
        self.refusal = Some(Refusal { amount, until_ns: now.mono_ns + waited_ns, waited_ns });
    }
}

impl CoreBudget {
    /// The leases of `core`, none yet.
    pub fn new(core: u16, ledger: Arc<Ledger>) -> CoreBudget {
        CoreBudget { core, ledger, leases: HashMap::default() }
    }

    /// The core's lease for a line item today; a lease of a past day is closed and replaced.
    fn lease(&mut self, line_item: LineItemId, now: Now) -> Option<&mut CoreLease> {
        let second = now.unix_s();
        let stale = match self.leases.get(&line_item) {
            None => true,
            Some(entry) if entry.checked_s == second => false,
            Some(entry) => self.ledger.day(line_item, now) != Some(entry.lease.day),
        };
        if stale {
            if let Some(old) = self.leases.remove(&line_item) {
                old.lease.close();
            }
            let lease = self.ledger.open(self.core, line_item, now)?;
            self.leases.insert(line_item, CoreLease { lease, checked_s: second, refusal: None });
        }
        let entry = self.leases.get_mut(&line_item)?;
        entry.checked_s = second;
        Some(entry)
    }
}

impl HoldSource for CoreBudget {
    type Hold = Hold;

    fn try_hold(&mut self, request: &HoldRequest) -> Result<(Hold, LeaseId, BudgetDay), NoBidReason> {
        let (amount, now) = (request.amount.0, request.now);
        if amount < 1 {
            return Err(NoBidReason::Budget);
        }
        let ledger = Arc::clone(&self.ledger);
        let entry = self.lease(request.line_item, now).ok_or(NoBidReason::Budget)?;
        let mut hold = Hold::take(&entry.lease, amount, request.bucket);
        if hold.is_none() && entry.may_ask(amount, now) {
            hold = ledger.grant(&entry.lease, request);
            match hold {
                Some(_) => entry.refusal = None,
                None => entry.note_refusal(amount, now),
            }
        }
        hold.map(|hold| (hold, entry.lease.id, entry.lease.day)).ok_or(NoBidReason::Budget)
    }
}
