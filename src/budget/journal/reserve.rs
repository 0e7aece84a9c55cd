//! Space set aside ahead, so that a disk that fills up is noticed while the journal still has room: the next segments,
//! and an emergency file that is given up for a checkpoint, which lets old segments go.
//!
//! Invariant: nothing durable depends on these files. What cannot be set aside is tried again, and only reported.

use super::error::{JournalError, io_error, refused};
use super::{Options, checkpoint};
use crate::model::storage::{Fill, Storage, StorageFile};
use std::collections::VecDeque;

/// The name of the emergency file.
pub(super) const EMERGENCY: &str = "emergency.reserve";

const SPARE: &str = "journal-spare-";

/// A file that waits to become a segment.
pub(super) struct Spare {
    /// Its present name.
    pub(super) name: String,
    /// The open file, so that becoming a segment needs no new descriptor.
    pub(super) file: Box<dyn StorageFile>,
}

/// What is set aside.
pub(super) struct Reserve {
    spares: VecDeque<Spare>,
    wanted: usize,
    segment_bytes: u64,
    emergency_bytes: u64,
    emergency: bool,
    named: u64,
    /// Nobody waits while a journal opens; later everybody would.
    fill: Fill,
}

impl Reserve {
    /// Begins with nothing, removing what an earlier process had set aside.
    pub(super) fn start(
        storage: &dyn Storage,
        names: &[String],
        options: Options,
    ) -> Result<Reserve, JournalError> {
        for name in names.iter().filter(|name| name.starts_with(SPARE) || *name == checkpoint::TEMPORARY) {
            storage.remove(name).map_err(io_error("remove", name))?;
        }
        Ok(Reserve {
            spares: VecDeque::new(),
            wanted: options.spare_segments,
            segment_bytes: options.segment_bytes,
            emergency_bytes: options.emergency_bytes,
            emergency: options.emergency_bytes == 0,
            named: 0,
            fill: Fill::Now,
        })
    }

    /// From here on somebody waits for the journal.
    pub(super) fn opened(&mut self) {
        self.fill = Fill::Beside;
    }

    /// Whether everything is set aside.
    pub(super) fn is_complete(&self) -> bool {
        self.emergency && self.spares.len() >= self.wanted
    }

    /// Sets aside what is missing, as far as there is space.
    pub(super) fn fill(&mut self, storage: &dyn Storage) -> Result<(), JournalError> {
        while self.spares.len() < self.wanted {
            let spare = self.create(storage)?;
            self.spares.push_back(spare);
        }
        if !self.emergency {
            let created = storage.create(EMERGENCY, self.emergency_bytes);
            created.map_err(|why| refused("create", EMERGENCY, self.emergency_bytes, why))?;
            self.emergency = true;
        }
        Ok(())
    }

    /// A file for the next segment.
    pub(super) fn take(&mut self, storage: &dyn Storage) -> Result<Spare, JournalError> {
        self.spares.pop_front().map_or_else(|| self.create(storage), Ok)
    }

    /// Puts back a file that could not be used for want of space.
    pub(super) fn put_back(&mut self, spare: Spare) {
        self.spares.push_front(spare);
    }

    /// Gives up the emergency file; whether there was one.
    pub(super) fn release(&mut self, storage: &dyn Storage) -> bool {
        let there = self.emergency && self.emergency_bytes > 0;
        if there {
            self.emergency = storage.remove(EMERGENCY).is_err();
        }
        there && !self.emergency
    }

    fn create(&mut self, storage: &dyn Storage) -> Result<Spare, JournalError> {
        let name = format!("{SPARE}{}.wal", self.named);
        let file = storage.create(&name, self.segment_bytes).and_then(|mut file| {
            file.fill(self.fill)?;
            Ok(file)
        });
        let file = file.map_err(|why| refused("create", &name, self.segment_bytes, why))?;
        self.named += 1;
        Ok(Spare { name, file })
    }
}
