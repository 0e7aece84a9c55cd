//! One serving core's side of the books: its leases, where it sets money aside without asking anybody, and when it may
//! ask the ledger for more. It never waits for an answer: what was asked for is there for a later bid.

use super::gate::Gate;
use super::lease::{Ask, Bar, Denied, Granted, Hold, HoldRequest, HoldSource, Lease, Mailbox, Why};
use super::ledger::Ledger;
use super::planted::{self, Bug};
use crate::model::clock::Now;
use crate::model::ids::{ExchangeId, LineItemId};
use crate::model::no_bid::NoBidReason;
use std::collections::HashMap;
use std::sync::Arc;

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
    /// The last denial for each [`Why`]: a core that asked ahead in vain may still ask in need.
    refusals: [Option<Refusal>; 2],
}

/// A top-up that was denied.
#[derive(Clone, Copy)]
struct Refusal {
    /// Less may still fit, so it is asked for at once.
    amount: i64,
    /// As much or more is not asked for before this.
    until_ns: u64,
    waited_ns: u64,
}

impl CoreLease {
    fn may_ask(&self, amount: i64, why: Why, now: Now) -> bool {
        let refusal = &self.refusals[why as usize];
        refusal.is_none_or(|refusal| amount < refusal.amount || now.mono_ns >= refusal.until_ns)
    }

    fn note_refusal(&mut self, denied: Denied) {
        let refusal = &mut self.refusals[denied.why as usize];
        let waited_ns = match refusal {
            Some(refusal) if denied.at_ns >= refusal.until_ns => (2 * refusal.waited_ns).min(MAX_RETRY_NS),
            Some(refusal) => refusal.waited_ns,
            None => MIN_RETRY_NS,
        };
        let until_ns = denied.at_ns + waited_ns;
        *refusal = Some(Refusal { amount: denied.amount, until_ns, waited_ns });
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
                leases.insert(line_item, CoreLease { lease, refusals: [None; 2] });
            });
        }
    }
}

impl HoldSource for CoreBudget {
    type Hold = Hold;

    fn announce(&self, line_item: LineItemId) {
        if let Some(entry) = self.leases.get(&line_item) {
            entry.lease.announce();
        }
    }

    fn try_hold(&mut self, request: &HoldRequest) -> Result<Granted<Hold>, NoBidReason> {
        self.collect();
        let (amount, now) = (request.amount.0, request.now);
        if amount < 1 {
            return Err(NoBidReason::Budget);
        }
        let entry = self.leases.get(&request.line_item).ok_or(NoBidReason::Budget)?;
        if !entry.lease.is_of(now) && entry.lease.may_ask() {
            // The first bid of a new day may be there before the ledger's own look at the clock.
            self.ledger.ask(Ask {
                lease: entry.lease.id,
                core: self.core,
                need: request.amount,
                why: Why::Empty,
                now,
            });
            self.collect();
        }
        let entry = self.leases.get_mut(&request.line_item).ok_or(NoBidReason::Budget)?;
        if !entry.lease.is_of(now) {
            return Err(NoBidReason::Budget);
        }
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
        let amount = if planted::is(Bug::HoldExpected) { amount - amount / 5 } else { amount };
        let mut hold = Hold::take(&entry.lease, amount, bucket);
        if hold.is_none() || entry.lease.is_low(amount) {
            if let Some(denied) = entry.lease.take_denied() {
                entry.note_refusal(denied);
            }
            let why = if hold.is_none() { Why::Empty } else { Why::Low };
            if entry.may_ask(amount, why, now) && entry.lease.may_ask() {
                let need = request.amount;
                ledger.ask(Ask { lease: entry.lease.id, core: self.core, need, why, now });
                // Without a thread of its own the ledger has answered by now.
                hold = hold.or_else(|| Hold::take(&entry.lease, amount, bucket));
            }
        }
        let hold = hold.ok_or(NoBidReason::Budget)?;
        if !gate.count(request.units()) {
            return Err(NoBidReason::Breaker);
        }
        if entry.refusals[Why::Empty as usize].is_some() {
            entry.refusals[Why::Empty as usize] = None;
        }
        Ok(Granted { hold, lease: entry.lease.id, day: entry.lease.day, bucket })
    }
}
