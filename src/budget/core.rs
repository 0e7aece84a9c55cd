//! One serving core's side of the books: its leases, where it sets money aside without asking anybody, and when it may
//! ask the ledger for more. It never waits for an answer: what was asked for is there for a later bid.

use super::gate::Gate;
use super::lease::{Ask, Bar, Granted, Hold, HoldRequest, HoldSource, Lease, Mailbox};
use super::ledger::Ledger;
use crate::model::clock::Now;
use crate::model::ids::{ExchangeId, LineItemId};
use crate::model::money::Nanos;
use crate::model::no_bid::NoBidReason;
use std::collections::HashMap;
use std::sync::Arc;

/// A top-up is asked for when so many holds of the size at hand are left.
const LOW_HOLDS: i64 = 8;
/// How long a core that was refused waits before it asks for as much again. Doubles with each refusal up to
/// [`MAX_RETRY_NS`], because the answer may cost a look at every lease of the advertiser.
const MIN_RETRY_NS: u64 = 20_000_000;
/// Longest wait of a core that is refused again and again.
const MAX_RETRY_NS: u64 = 640_000_000;

/// One core's leases: the [`HoldSource`] of a serving core.
pub struct CoreBudget {
    core: u16,
    ledger: Arc<Ledger>,
    mailbox: Option<Arc<Mailbox>>,
    leases: HashMap<LineItemId, CoreLease, foldhash::fast::RandomState>,
    gates: HashMap<ExchangeId, Arc<Gate>, foldhash::fast::RandomState>,
}

struct CoreLease {
    lease: Arc<Lease>,
    refusal: Option<Refusal>,
}

/// A hold that the lease had no money for.
#[derive(Clone, Copy)]
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
    /// The leases of `core`; it is handed them by the ledger.
    pub fn new(core: u16, ledger: Arc<Ledger>) -> CoreBudget {
        let mailbox = ledger.mailbox(core);
        CoreBudget { core, mailbox, ledger, leases: HashMap::default(), gates: HashMap::default() }
    }

    fn collect(&mut self) {
        let (leases, mailbox) = (&mut self.leases, &self.mailbox);
        if let Some(mailbox) = mailbox {
            mailbox.drain(|line_item, lease| {
                leases.insert(line_item, CoreLease { lease, refusal: None });
            });
        }
    }
}

impl HoldSource for CoreBudget {
    type Hold = Hold;

    fn try_hold(&mut self, request: &HoldRequest) -> Result<Granted<Hold>, NoBidReason> {
        self.collect();
        let (amount, now) = (request.amount.0, request.now);
        if amount < 1 {
            return Err(NoBidReason::Budget);
        }
        let entry = self.leases.get_mut(&request.line_item).ok_or(NoBidReason::Budget)?;
        if entry.lease.has_bar(Bar::Stopped) {
            return Err(NoBidReason::Inactive);
        }
        let ledger = &self.ledger;
        let gate =
            self.gates.entry(request.exchange).or_insert_with(|| ledger.gates().gate(request.exchange));
        if !gate.admits(now) {
            return Err(NoBidReason::Breaker);
        }
        let bucket = request.bucket(gate.ear_s(), gate.min_life_s(request.format));
        let mut hold = Hold::take(&entry.lease, amount, bucket);
        let low = entry.lease.free() < amount.saturating_mul(LOW_HOLDS);
        if low && entry.may_ask(amount, now) && entry.lease.may_ask() {
            ledger.ask(Ask { lease: entry.lease.id, core: self.core, need: Nanos(amount), now });
            // Without a thread of its own the ledger has answered by now.
            hold = hold.or_else(|| Hold::take(&entry.lease, amount, bucket));
            if hold.is_none() {
                entry.note_refusal(amount, now);
            }
        }
        let hold = hold.ok_or(NoBidReason::Budget)?;
        if !gate.count(request.units()) {
            return Err(NoBidReason::Breaker);
        }
        if entry.refusal.is_some() {
            entry.refusal = None;
        }
        Ok(Granted { hold, lease: entry.lease.id, day: entry.lease.day, bucket })
    }
}
