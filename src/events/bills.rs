//! Which bills a log has, found by reading back as far as a segment says what stands in front of it.
//!
//! A crash of the machine may keep a later block of the last second and lose an earlier one, so between the last segment's
//! beginning and its end each bill is known by itself. A bill is named by its record of the ledger's journal.

use super::EventsError;
use super::block::UNSETTLED;
use super::log::{bills_of, list};
use std::collections::HashSet;
use std::path::Path;

/// The bills that a log has.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KnownBills {
    /// All up to this one.
    through: u64,
    /// And these.
    beyond: HashSet<u64>,
}

impl KnownBills {
    pub(super) fn of(dir: &Path) -> Result<KnownBills, EventsError> {
        let mut known = KnownBills::default();
        for (first, path) in list(dir)?.into_iter().rev() {
            // What cannot be read is read by nobody: its bills are missing.
            let Some((before, bills)) = bills_of(&path, first)? else { continue };
            known.beyond.extend(bills);
            if before != UNSETTLED {
                known.through = before;
                break;
            }
        }
        Ok(known)
    }

    /// Whether the bill of this record of the journal is there.
    pub fn has(&self, lsn: u64) -> bool {
        lsn <= self.through || self.beyond.contains(&lsn)
    }

    /// The first record of the journal whose bill may be missing.
    pub fn first_in_question(&self) -> u64 {
        self.through.saturating_add(1)
    }

    /// Whether there are bills above a record of the journal: where that is its last one, it was cut back since.
    pub(super) fn goes_beyond(&self, lsn: u64) -> bool {
        self.through > lsn || self.beyond.iter().any(|known| *known > lsn)
    }
}
