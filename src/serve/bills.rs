//! Bills between the ledger and the event log: as they are charged, and at a start those that a crash kept from the log.

use crate::budget::journal::{Item, JournalError, scan};
use crate::budget::{BillSink, bill_of, record};
use crate::events::{Bills, EventWriter, EventsError};
use crate::model::event::Event;
use crate::model::storage::Storage;
use std::ops::ControlFlow;

/// How much of what is missing waits for one write, in bytes.
const BLOCK: usize = 1 << 20;

/// Why the bills of a journal could not be written.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The event log cannot be read or written.
    #[error(transparent)]
    Events(#[from] EventsError),
}

impl BillSink for Bills {
    fn take(&mut self, bills: &mut Vec<Event>) {
        self.record(std::mem::take(bills));
    }

    fn durable_lsn(&self) -> u64 {
        self.durable()
    }

    fn overtaken(&mut self) {
        Bills::overtaken(self);
    }
}

/// Writes the event of every bill that a journal holds and a log has not, each once, and makes them durable; returns how
/// many. `last_lsn` is the journal's last record. Nothing may be written to either meanwhile, and the journal must have
/// been opened: what it cuts off never happened.
pub fn restore(notices: &mut EventWriter, journal: &dyn Storage, last_lsn: u64) -> Result<u64, RestoreError> {
    let known = notices.known_bills()?;
    let (mut restored, mut failed) = (0, None);
    scan(journal, known.first_in_question(), |item| {
        // What cannot be read is below a checkpoint, or the journal would not have opened.
        let Item::Record { lsn, payload, .. } = item else { return ControlFlow::Continue(()) };
        if lsn > last_lsn || known.has(lsn) {
            return ControlFlow::Continue(());
        }
        let record = record::Event::read(payload).ok();
        let Some(bill) = record.and_then(|record| bill_of(lsn, &record)) else {
            return ControlFlow::Continue(());
        };
        notices.append(&bill);
        restored += 1;
        if notices.waiting_bytes() >= BLOCK
            && let Err(error) = notices.flush()
        {
            failed = Some(error);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    failed.map_or(Ok(()), Err)?;
    notices.settle(last_lsn, &known)?;
    Ok(restored)
}
