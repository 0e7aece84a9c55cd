//! The decision: one request, one snapshot, one clock reading in; bids with their money held, or a reason, out.
//!
//! The straight line, readable in [`decide`]: privacy gate → audience look-up → matching → eligibility → price →
//! selection → hold. No step goes back, none waits, and after warm-up none allocates.
//!
//! Invariant: the same request, snapshot, hold state, seed and clock give the same decision, bit by bit; what is
//! explained is decided by this very code with a recorder plugged in. Deliberately absent: sockets, JSON, tokens.

mod catalog;
mod changes;
mod choose;
mod compile;
mod context;
mod creative;
mod deadline;
mod decide;
mod device;
mod explain;
mod external;
pub mod funnel;
mod goals;
mod levels;
mod observer;
mod outlook;
mod pod;
mod prospect;
mod safety;
mod snapshot;
mod steering;
mod survivors;

pub use crate::pricing::pacing::Level;
pub use crate::targeting::LineItemIx;
pub use crate::targeting::naive::Dimensions;
pub use catalog::{Catalog, CatalogCreative, CatalogError, CatalogLineItem};
pub use changes::Tally;
pub use compile::CompileMarkup;
pub use context::{BidIds, Core, Remembered, Request, Settings};
pub use creative::Assigned;
pub use deadline::{Deadline, Times};
pub use decide::{Decision, decide};
pub use explain::{
    ExplainedBid, Explanation, ImpExplanation, LineItemVerdict, Priced, explain, explain_some, missed,
    recognise,
};
pub use observer::{Market, NoObserver, Observer, Rejection};
pub use prospect::{Chance, Prospect, Scale, prospects};
pub use snapshot::{Snapshot, SnapshotCell};
pub use steering::{Steering, TICK_MS, Told, Won};

/// What learns the tables that a [`Snapshot`] holds, for whoever runs it in the background.
pub mod learning {
    pub use crate::pricing::learning::{Learning, Markets, Tables};
    pub use crate::pricing::prediction::{LearnerOptions, OptionsError, TrainerOptions};
}
