//! Money on the bid path and behind it: what a bid holds, what a bill charges, and what is left.
//!
//! The contract (`money.md` 2.2–2.4): [`CoreBudget::try_hold`] takes the full charge of a bid out of the core's lease
//! or refuses; an unanswered [`Hold`] releases itself on drop; [`Hold::keep`] leaves it to its bucket, where a bill
//! posts it, a loss voids it, or time expires it. Five accounts must agree to every grant of a lease: wallet,
//! campaign total and day, line item total and day.
//!
//! Invariant: no account is ever charged above its budget, whatever order notices come in; what does not fit goes to
//! the house and is counted. A broken invariant stops the process ([`broken`]).
//!
//! The parts: [`Books`] is the state machine that [`record::Event`]s move; [`LedgerWriter`] decides events, appends
//! them to an [`EventLog`] and lets effects out when they are durable; [`Ledger`] is its face for the rest of the
//! process; [`CoreBudget`] is one core's leases; a [`Gate`] says what an exchange may be sent. Files are behind
//! `model::Storage`, time comes in as values: one seed replays everything.

mod accounts;
mod billed;
mod books;
mod charge;
mod check;
mod core;
mod days;
mod edits;
pub mod file_storage;
pub mod frequency;
mod funding;
mod gate;
mod house;
mod image;
pub mod journal;
mod journal_log;
mod lease;
mod leasing;
mod ledger;
#[cfg_attr(not(feature = "planted-bugs"), allow(dead_code, reason = "only where bugs are planted"))]
pub mod planted;
mod posting;
#[cfg(all(test, feature = "loom"))]
mod races;
pub mod record;
mod seen;
mod spending;
mod summary;
mod sync;
mod traffic;
mod watch;
mod writer;
mod writer_thread;

pub use accounts::{AccountKey, Balance};
pub use billed::{BillSink, Billed, bill_of};
pub use books::{Books, LeaseBook, TOKEN_LIFE_S, Violation};
pub use charge::{Bill, Parts, Terms, charge, hold_for};
pub use core::CoreBudget;
pub use days::{BudgetDay, Days};
pub use edits::EditRefused;
pub use gate::{Gate, GateState, Gates};
pub use house::{ExchangeBook, HouseTotals, Stop};
pub use journal_log::{JournalLog, RecoverError, rebuild};
pub use lease::{Granted, Hold, HoldRequest, HoldSource};
pub use ledger::{Ledger, Standing};
pub use posting::{Posting, Reply, Resolution};
pub use record::Funding;
pub use seen::{Seen, SeenBids};
pub use spending::{Purse, Spending};
pub use summary::CurrencySums;
pub use traffic::Traffic;
pub use watch::{ExchangeReport, ExchangeTerms, RunawayRule};
pub use writer::{CommitError, EventLog, LeaseAudit, LedgerWriter, NoLog};

/// Stops the process: the books no longer add up, and going on could charge somebody wrongly.
///
/// Not a panic, because panics around parsing and markup are caught.
pub fn broken(invariant: &str, detail: &str) -> ! {
    tracing::error!(invariant, detail, "a ledger invariant is broken; stopping the process");
    std::process::abort()
}
