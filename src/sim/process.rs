//! One boot of the process: the stepped ledger over a recorded journal, its cores, and what only lives as long as it
//! does. Dropping it is what a crash does to memory.

use super::tape::{Recorded, Tape};
use crate::budget::journal::{MemoryStorage, Options};
use crate::budget::{
    Books, CoreBudget, Hold, JournalLog, Ledger, Posting, RecoverError, Resolution, Violation,
};
use crate::engine::{self, BidIds};
use crate::model::clock::Now;
use crate::model::ids::{ExchangeId, LeaseId};
use crate::model::token::TokenClaims;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// What the ledger answered to a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Bill(Posting),
    Loss(Resolution),
}

/// One serving core.
pub(super) struct Serving {
    pub(super) engine: engine::Core,
    pub(super) budget: CoreBudget,
}

/// Holds that should be open, by what a bid knows of its own.
#[derive(Default)]
pub(super) struct OpenHolds {
    /// (exchange, slot, number of the bid): the order in which they expire.
    by_slot: BTreeMap<(ExchangeId, u32, usize), (LeaseId, i128)>,
    held: BTreeMap<LeaseId, i128>,
}

impl OpenHolds {
    pub(super) fn open(&mut self, bid: usize, claims: &TokenClaims, hold: i128) {
        self.by_slot.insert(place(bid, claims), (claims.lease, hold));
        *self.held.entry(claims.lease).or_default() += hold;
    }

    pub(super) fn is_open(&self, bid: usize, claims: &TokenClaims) -> bool {
        self.by_slot.contains_key(&place(bid, claims))
    }

    /// Whether it was open.
    pub(super) fn close(&mut self, bid: usize, claims: &TokenClaims) -> bool {
        self.take(place(bid, claims))
    }

    fn take(&mut self, place: (ExchangeId, u32, usize)) -> bool {
        let Some((lease, hold)) = self.by_slot.remove(&place) else { return false };
        if let Some(held) = self.held.get_mut(&lease) {
            *held -= hold;
        }
        true
    }

    /// Closes what ended before its exchange's ear clock.
    pub(super) fn expire(&mut self, exchange: ExchangeId, ear_s: u32) {
        let over: Vec<_> =
            self.by_slot.range((exchange, 0, 0)..(exchange, ear_s, 0)).map(|(place, _)| *place).collect();
        over.into_iter().for_each(|place| {
            self.take(place);
        });
    }

    /// What should be held in a lease.
    pub(super) fn held(&self, lease: LeaseId) -> i128 {
        self.held.get(&lease).copied().unwrap_or(0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_slot.is_empty()
    }
}

fn place(bid: usize, claims: &TokenClaims) -> (ExchangeId, u32, usize) {
    (claims.exchange, claims.bucket.slot, bid)
}

/// How an exchange stood at a tick.
#[derive(Clone, Debug, Default)]
pub(super) struct Ear {
    pub(super) heard_s: u32,
    /// Its notices did not come through, and none has since.
    pub(super) deaf: bool,
    /// It cost the house too much.
    pub(super) over: bool,
    /// It never billed, and what it is trusted with is used up.
    pub(super) mistrusted: bool,
    /// Bids of this process that it has not billed for, oldest first: the second heard at each.
    pub(super) unbilled: VecDeque<u32>,
}

/// See the module.
pub(super) struct Process {
    pub(super) ledger: Arc<Ledger>,
    pub(super) cores: Vec<Serving>,
    pub(super) recorded: Arc<Mutex<Recorded>>,
    /// Answers that came out, by the number of the notice.
    pub(super) replies: Arc<Mutex<Vec<(usize, Told)>>>,
    /// Decided and not yet answered, by the number of the bid.
    pub(super) guards: BTreeMap<usize, Hold>,
    pub(super) open: OpenHolds,
    /// Bids that lost, as far as this process was told.
    pub(super) voided: BTreeSet<usize>,
    /// Notices that were read and are not answered.
    pub(super) in_flight: BTreeSet<usize>,
    /// Nanoseconds that can have been heard at most, of any exchange.
    pub(super) heard_ns: u64,
    pub(super) last_tick_ns: u64,
    pub(super) last_pulse_ns: u64,
    /// How each exchange stood at the last tick.
    pub(super) ears: BTreeMap<ExchangeId, Ear>,
    /// The writer is going to look at what waits.
    pub(super) has_turn: bool,
}

/// A journal that was opened, and what it says.
pub(super) struct Opened {
    pub(super) tape: Tape,
    pub(super) recorded: Arc<Mutex<Recorded>>,
    pub(super) books: Books,
}

/// Reads the journal.
pub(super) fn open(storage: &MemoryStorage, options: Options) -> Result<Opened, RecoverError> {
    let (log, books) = JournalLog::open(Box::new(storage.clone()), options)?;
    let (tape, recorded) = Tape::new(log);
    Ok(Opened { tape, recorded, books })
}

impl Process {
    /// Starts on what the journal said. Nothing is durable yet.
    pub(super) fn start(opened: Opened, epoch: u32, cores: u16, now: Now) -> Result<Process, Violation> {
        let Opened { tape, recorded, books } = opened;
        let ledger = Arc::new(Ledger::stepped(books, Box::new(tape), epoch, cores, now)?);
        let serving = |core| Serving {
            engine: engine::Core::new(BidIds::new(epoch, core)),
            budget: CoreBudget::new(core, Arc::clone(&ledger)),
        };
        Ok(Process {
            cores: (0..cores).map(serving).collect(),
            ledger,
            recorded,
            replies: Arc::default(),
            guards: BTreeMap::new(),
            open: OpenHolds::default(),
            voided: BTreeSet::new(),
            in_flight: BTreeSet::new(),
            heard_ns: 0,
            last_tick_ns: now.mono_ns,
            last_pulse_ns: now.mono_ns,
            ears: BTreeMap::new(),
            has_turn: false,
        })
    }
}
