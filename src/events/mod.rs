//! The event log: what happened, for learners, reports and explanations.
//!
//! ```text
//! serving cores ── ring each ─┐  may drop when full, counted     ┌─ events/bids/     no sync
//!                             ├──▶ one writer thread ────────────┤
//! notices ──────── channel ───┘  durable before it is confirmed  └─ events/notices/  synced
//! ```
//!
//! Two logs of one form, because their promises differ: a sync of the few notices must not wait for the many bids that
//! were written since the last one. Each is a directory of segments with numbered, checksummed records
//! (`proto/events.proto`); the oldest segments go when a log passes its size or they pass their age.
//!
//! Invariants: a record that was confirmed is read back after any crash, at its number; numbers never come twice; a
//! damaged or torn place costs the records in it and no others. Money is not here: the ledger's journal has it.
//!
//! Records name people by hashes that can be made meaningless one by one ([`Veil`]).
//!
//! Deliberately absent: who reads (readers keep their own place), several machines, compression.

mod bills;
mod block;
mod fields;
mod log;
mod message;
mod reader;
mod thread;
mod veil;
mod wire;

pub use bills::KnownBills;
pub use log::{EventWriter, Opened, Retention};
pub use reader::{EventReader, Item, SegmentStat, segments};
pub use thread::{Bills, Confirm, EventLog, Logs, Options, Ring};
pub use veil::{PERIOD_MS, Veil};

use std::path::{Path, PathBuf};

/// Which of the two logs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LogName {
    /// Bids and no-bids: records may be missing.
    Bids,
    /// Notices: none is missing.
    Notices,
}

impl LogName {
    /// Both.
    pub const ALL: [LogName; 2] = [LogName::Bids, LogName::Notices];

    /// The name of its directory.
    pub fn as_str(self) -> &'static str {
        match self {
            LogName::Bids => "bids",
            LogName::Notices => "notices",
        }
    }

    /// Its directory below that of the events.
    pub fn dir(self, events: &Path) -> PathBuf {
        events.join(self.as_str())
    }
}

/// A file operation that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct EventsError {
    /// What was tried.
    pub action: &'static str,
    /// On what.
    pub path: PathBuf,
    /// Why not.
    pub source: std::io::Error,
}

/// Adds what was tried on what.
fn on(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> EventsError {
    let path = path.to_owned();
    move |source| EventsError { action, path, source }
}
