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
//! First form: everything lives in memory, so a crash forgets it. The journal, durable leases, recovery, the ear
//! clock and the breakers come with the money issue behind this same contract.

mod accounts;
mod charge;
mod core;
mod days;
pub mod file_storage;
pub mod journal;
mod lease;
mod ledger;
pub mod record;
mod seen;

pub use accounts::{AccountKey, Balance};
pub use charge::{Bill, Terms, charge, hold_for};
pub use core::CoreBudget;
pub use days::{BudgetDay, Days};
pub use lease::{Hold, HoldRequest, HoldSource};
pub use ledger::{Funding, HouseTotals, LeaseAudit, Ledger, Posting, Resolution, Standing};
pub use seen::{Seen, SeenBids};

/// Stops the process: the books no longer add up, and going on could charge somebody wrongly.
///
/// Not a panic, because panics around parsing and markup are caught.
pub fn broken(invariant: &str, detail: &str) -> ! {
    tracing::error!(invariant, detail, "a ledger invariant is broken; stopping the process");
    std::process::abort()
}
