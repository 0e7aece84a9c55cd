//! What the process tells about itself, and the one place that asks the operating system for the time.
//!
//! Invariant: nothing here is needed to decide or to charge; a reader of a metric never makes the bid path wait. The
//! bid path only adds to its own core's counters ([`hot`]); everything else goes through the cold registry of
//! [`metrics`]. Deliberately absent: an HTTP server (`serve` answers `/metrics` with [`metrics::Metrics::render`]) and
//! global state (every [`metrics::Metrics`] is a value, so that tests and simulations run many side by side).

pub mod catalogue;
pub mod clock;
pub mod histogram;
pub mod hot;
pub mod log;
pub mod metrics;
