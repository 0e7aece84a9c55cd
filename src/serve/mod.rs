//! The HTTP edge: listeners, threads, limits, drain. Four listeners (bids, tracking, admin, operations) on threads of
//! their own, so that none can delay the bids; one thread and one current-thread runtime per serving core.
//!
//! Invariant: no queue of ours. What cannot be answered in time is answered 204 at once and counted. Between parsing
//! and answering there is no `.await` ([`bid`]). Deliberately absent: TLS and HTTP/2; they end in front of this
//! process.

mod account_api;
mod admin;
mod auth;
mod bid;
mod billing;
mod bills;
mod body;
mod buffers;
mod conversion;
mod descriptors;
mod explain;
mod figures;
pub mod forecast;
mod funnel;
mod health;
mod holds;
mod http;
mod keeping;
mod learning;
mod ledger_api;
pub(crate) mod ledger_view;
mod limits;
mod maintenance;
mod notice;
mod ops;
mod pacing;
mod person;
mod privacy;
mod publish;
mod record;
mod runtime;
mod samples;
mod state;

pub use admin::{Api, ApiAnswer, ApiBody, ApiFigures, ApiHead, ApiRequest, Caller, PIECES, Receive, Spool};
pub use bills::{RestoreError, restore};
pub use explain::NotExplained;
pub use funnel::{Funnels, Sampler};
pub use health::Hour;
pub use learning::{Learner, LearningOptions, kept_tables};
pub use maintenance::maintain;
pub use notice::Delivery;
pub use pacing::Pacing;
pub use privacy::privacy_policy;
pub use publish::{AccountSource, Published, Reason, Refused, publisher};
pub use runtime::{Addresses, Running, ServeError, is_open_to_anyone, start};
pub use samples::SampleLog;
pub use state::{ForgottenEverywhere, NotForgotten, Phase, Shared, SharedParts, runaway_rule};
