//! The seeded market: exchanges, users, notices, crashes, disks and clocks, all drawn from one number, that drive the
//! real engine and the real ledger in process (trials.md section 9, A1–A12).
//!
//! A seed decides everything: there is no clock, no thread and no order of a hash map in any decision, so that a seed
//! that finds something finds it again on any machine. After every step the ledger is held against what must hold
//! (money.md 2.8) and against a second set of books that is kept from the journal's records alone ([`shadow`]); at the
//! end, against what the exchanges saw (money.md 2.9). Nothing of the ledger's arithmetic is used for that.
//!
//! Deliberately absent: threads (loom and the stress tests have those), sockets, and everything about bids that is
//! not money; [`auctions`] makes logs for what is priced.

mod arithmetic;
pub mod auctions;
mod calendar;
pub mod clicks;
mod dice;
mod faults;
mod history;
mod invariants;
mod market;
mod notices;
mod plan;
mod prices;
mod process;
mod report;
mod run;
mod shadow;
mod tape;
mod wire;
mod world;

pub use report::{Count, Report};

use plan::Plan;
use run::Run;
use std::panic::{AssertUnwindSafe, catch_unwind};
use world::World;

/// What became of one seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What it met until its end, or until something broke.
    pub report: Report,
    /// What broke, if anything did.
    pub failure: Option<Failure>,
}

/// Where a run broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The step, counted from 1.
    pub step: u64,
    /// Simulated time since the start, in milliseconds.
    pub at_ms: u64,
    /// What broke.
    pub broken: Broken,
}

/// Plays one seed to its end or until something breaks. `trace` is given a line for everything that happens.
pub fn run(seed: u64, trace: Option<&dyn Fn(&str)>) -> Outcome {
    let plan = Plan::new(seed);
    let world = World::new(&plan);
    let mut run = Run::new(&world, plan, trace);
    let played = catch_unwind(AssertUnwindSafe(|| run.play()));
    let broken = match played {
        Ok(Ok(())) => None,
        Ok(Err(broken)) => Some(broken),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Some(Broken { rule: "panic", detail: text.unwrap_or_default() })
        }
    };
    let failure = broken.map(|broken| Failure { step: run.step, at_ms: run.time_ns / run::MS, broken });
    Outcome { report: run.report, failure }
}

/// Something that must never happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which rule.
    pub rule: &'static str,
    /// What happened.
    pub detail: String,
}
