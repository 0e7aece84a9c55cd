//! A sample of bid requests, kept for a day to look into, and thinner for a week to forecast from.
//!
//! ```text
//! cores ── one person in 2^n ──▶ buffers ─ sanitised, decided once more ─▶ Samples: a file an hour ─▶ thinner ones
//! ```
//!
//! Invariants: whom a record is of is a keyed hash alone, and the key is gone when the last record under it is; a record says for
//! how many requests it stands; all files together are never larger than they may be. What is damaged is passed over and
//! counted. A crash costs what came since the last [`Samples::sync`]. Deliberately absent: wire formats; who calls has taken
//! out of a body what names the person.

mod keys;
mod query;
mod rate;
mod record;
mod store;

pub use query::{Asked, Found, Key, Query};
pub use rate::Rate;
pub use record::{Part, Record};
pub use store::{Room, Samples, SamplesError};
