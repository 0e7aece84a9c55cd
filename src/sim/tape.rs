//! The journal with a recorder on it: every record that the ledger appends is written down, and how many of them are
//! durable, so that what survives a crash can be held against what should.

use crate::budget::record::Event;
use crate::budget::{CommitError, EventLog, JournalLog};
use parking_lot::Mutex;
use std::sync::Arc;

/// What was recorded since the process began.
#[derive(Default)]
pub(super) struct Recorded {
    /// Appended and not yet looked at.
    pub(super) fresh: Vec<Event>,
    /// The number of the last record that is durable.
    pub(super) durable_lsn: u64,
    /// Checkpoints written.
    pub(super) checkpoints: u64,
    /// Something was appended that is no record.
    pub(super) garbage: bool,
}

/// See the module.
pub(super) struct Tape {
    log: JournalLog,
    recorded: Arc<Mutex<Recorded>>,
}

impl Tape {
    /// A recorder on a journal that was just opened.
    pub(super) fn new(log: JournalLog) -> (Tape, Arc<Mutex<Recorded>>) {
        let recorded = Recorded { durable_lsn: log.durable_lsn(), ..Recorded::default() };
        let recorded = Arc::new(Mutex::new(recorded));
        (Tape { log, recorded: Arc::clone(&recorded) }, recorded)
    }
}

impl EventLog for Tape {
    fn append(&mut self, event: &[u8]) {
        let mut recorded = self.recorded.lock();
        match Event::read(event) {
            Ok(event) => recorded.fresh.push(event),
            Err(_) => recorded.garbage = true,
        }
        self.log.append(event);
    }

    fn commit(&mut self) -> Result<(), CommitError> {
        let committed = self.log.commit();
        self.recorded.lock().durable_lsn = self.log.durable_lsn();
        committed
    }

    fn checkpoint(&mut self, image: &[u8]) -> Result<(), CommitError> {
        let written = self.log.checkpoint(image);
        self.recorded.lock().checkpoints += u64::from(written.is_ok());
        written
    }

    fn bytes_since_checkpoint(&self) -> u64 {
        self.log.bytes_since_checkpoint()
    }

    fn maintain(&mut self) -> bool {
        self.log.maintain()
    }

    fn durable_lsn(&self) -> u64 {
        self.log.durable_lsn()
    }
}
