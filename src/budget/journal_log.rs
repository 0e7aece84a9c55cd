//! The journal as the ledger's [`EventLog`], and the way back from it.

use super::books::{Books, Violation};
use super::journal::{Journal, JournalError, Options, Recovered};
use super::record::{Event, RecordError};
use super::writer::{CommitError, EventLog};
use crate::model::storage::Storage;

/// Why the books cannot be rebuilt from a journal.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The journal does not open.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A record or the checkpoint opens, but means nothing to this version.
    #[error("record {lsn} of the journal: {source}")]
    Record {
        /// Its number; that of the last record below it for a checkpoint.
        lsn: u64,
        /// Why.
        source: RecordError,
    },
    /// The records contradict each other.
    #[error(
        "record {lsn} of the journal breaks {source}; run `outbid ledger verify`, and do not serve on these books"
    )]
    Violation {
        /// Its number.
        lsn: u64,
        /// What it breaks.
        source: Violation,
    },
}

/// An image of the books is written when so many segments have been filled: the time of a restart follows the size of
/// a segment then, and a checkpoint that was made has segments to remove.
const SEGMENTS_PER_CHECKPOINT: u64 = 2;

/// An [`EventLog`] in a directory.
pub struct JournalLog {
    journal: Journal,
    checkpoint_after_bytes: u64,
    since_checkpoint: u64,
    /// Space was short when it was looked at last.
    is_short: bool,
}

impl JournalLog {
    /// Opens the journal of a directory and rebuilds the books.
    pub fn open(storage: Box<dyn Storage>, options: Options) -> Result<(JournalLog, Books), RecoverError> {
        let (journal, recovered) = Journal::open(storage, options)?;
        let checkpoint_after_bytes = options.segment_bytes.saturating_mul(SEGMENTS_PER_CHECKPOINT);
        if let Some(torn) = &recovered.torn {
            tracing::warn!(
                ?torn,
                "the journal's last write was torn and is cut off; it was never answered for"
            );
        }
        for warning in &recovered.warnings {
            tracing::warn!("{warning}");
        }
        let books = rebuild(&recovered)?;
        let since_checkpoint = recovered.records.iter().map(|(_, payload)| payload.len() as u64).sum();
        Ok((JournalLog { journal, checkpoint_after_bytes, since_checkpoint, is_short: false }, books))
    }
}

/// The books that a journal's content amounts to.
pub fn rebuild(recovered: &Recovered) -> Result<Books, RecoverError> {
    let mut books = match &recovered.checkpoint {
        Some((lsn, image)) => {
            Books::from_image(image).map_err(|source| RecoverError::Record { lsn: *lsn, source })?
        }
        None => Books::default(),
    };
    for (lsn, payload) in &recovered.records {
        let event = Event::read(payload).map_err(|source| RecoverError::Record { lsn: *lsn, source })?;
        books.apply(&event).map_err(|source| RecoverError::Violation { lsn: *lsn, source })?;
    }
    Ok(books)
}

impl EventLog for JournalLog {
    fn append(&mut self, event: &[u8]) {
        self.since_checkpoint += event.len() as u64;
        self.journal.append(event);
    }

    fn commit(&mut self) -> Result<(), CommitError> {
        self.journal.commit().map(|_| ()).map_err(commit_error)
    }

    fn checkpoint(&mut self, image: &[u8]) -> Result<(), CommitError> {
        self.journal.checkpoint(image).map_err(commit_error)?;
        self.since_checkpoint = 0;
        Ok(())
    }

    fn bytes_since_checkpoint(&self) -> u64 {
        self.since_checkpoint
    }

    fn checkpoint_after_bytes(&self) -> u64 {
        self.checkpoint_after_bytes
    }

    fn maintain(&mut self) -> bool {
        let filled = self.journal.maintain();
        let is_short = self.journal.is_short_of_space();
        // Told when it changes: this is tried many times a second.
        match filled {
            Err(error) if !self.is_short => {
                tracing::error!(%error, "the journal runs out of space: nothing is leased, bills are refused");
            }
            Ok(()) if self.is_short && !is_short => tracing::info!("the journal has space again"),
            _ => {}
        }
        self.is_short = is_short;
        is_short
    }

    fn durable_lsn(&self) -> u64 {
        self.journal.durable_lsn()
    }
}

fn commit_error(error: JournalError) -> CommitError {
    match error {
        JournalError::NoSpace { .. } => CommitError::NoSpace(error.to_string()),
        _ => CommitError::Failed(error.to_string()),
    }
}
