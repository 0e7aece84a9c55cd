//! Spending on plan: what share of the budget may be gone by when ([`SpendPlan`], from a [`TrafficShape`]), and the
//! multiplier on every value that keeps the spending there ([`Pacer`]).
//!
//! Two findings decide the design (pricing.md 2a). A plan is a shape of the day and never a count of requests: a
//! controller that divides what is left by a forecast count is ruined by a 30 % error of that count, one that uses the
//! share of the day that is left does not notice it. And the multiplier is the only dual variable: bids are shaded from
//! `u = κ·v` afterwards, so pacing and shading do not fight.
//!
//! Invariant: floats steer here and decide no money. A [`Level`] is integers, and whether a bid may be made is the
//! ledger's answer alone. Deliberately absent: clocks, threads and storage; who ticks passes the time in, and state
//! goes in and out as bytes.

mod bytes;
mod goal;
mod pacer;
mod plan;
mod shape;

pub use bytes::StateError;
pub use goal::{GoalFacts, GoalLoop};
pub use pacer::{Facts, Level, Pace, Pacer, Settings, Start};
pub use plan::{Period, SpendPlan, budget_of_day};
pub use shape::{SLOTS, TrafficShape};
