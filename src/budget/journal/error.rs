//! What can go wrong with the journal, and what the operator can do about it.

use std::io;

/// Why the journal did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk is full. Nothing is lost: what was appended stays buffered, and a later commit may succeed.
    #[error("no space for {file}, {bytes} bytes needed: {source}; free some, and work resumes by itself")]
    NoSpace {
        /// What was to be written.
        file: String,
        /// How much of it, in bytes.
        bytes: u64,
        /// What the storage said.
        source: io::Error,
    },
    /// The storage refused something. Where this came from writing records, the journal has failed for ever.
    #[error("cannot {operation} {file}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        file: String,
        /// What the storage said.
        source: io::Error,
    },
    /// An earlier write or sync failed, and nothing is known of what the disk holds since. It is never retried.
    #[error(
        "the journal has failed before ({reason}); restart the process, which reads what the disk really holds"
    )]
    Failed {
        /// The first failure.
        reason: String,
    },
    /// Something that was durable cannot be read any more.
    #[error("{file} is damaged at offset {offset}, where record {lsn} should be: {problem}")]
    Damaged {
        /// The file.
        file: String,
        /// Where in it, in bytes.
        offset: u64,
        /// The first record that is missing or unreadable.
        lsn: u64,
        /// What is wrong, and what to do.
        problem: Problem,
    },
    /// A newer program wrote this.
    #[error(
        "{file} has format version {found}, and this program reads versions up to {known}; use the newer program"
    )]
    NewerFormat {
        /// The file.
        file: String,
        /// Its version.
        found: u32,
        /// The newest known here.
        known: u32,
    },
}

/// What is wrong with a damaged journal. The text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A record is unreadable, and something later proves that it was durable.
    #[error("the record is unreadable, but {proof} shows that it was written; {REPAIR}")]
    Record {
        /// What proves it.
        proof: String,
    },
    /// A segment does not begin as one.
    #[error("the header is unreadable; {REPAIR}")]
    Header,
    /// A file bears the name of another.
    #[error("this is another segment's content; rename the file to {belongs}, where it belongs")]
    Swapped {
        /// The right name.
        belongs: String,
    },
    /// Records between two segments, or behind the last one, are gone.
    #[error("a segment that begins with this record is missing; put the file back, or {REPAIR}")]
    Missing,
    /// The journal ends before the checkpoint that was made from it.
    #[error("the journal ends here, but a checkpoint holds records up to {checkpoint}; {REPAIR}")]
    Ends {
        /// The checkpoint's lsn.
        checkpoint: u64,
    },
    /// Neither generation of the checkpoint can be read.
    #[error("neither this checkpoint nor {older} can be read; {REPAIR}")]
    Checkpoints {
        /// The older generation's file.
        older: String,
    },
}

/// The advice that every kind of damage ends with.
const REPAIR: &str = "restore a backup, or run `outbid wal repair`, which says what it would cut away";

/// Something recovery found and got over without loss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// The newest checkpoint was unreadable; the generation before it was taken, and more records were replayed.
    CheckpointUnreadable {
        /// Its file.
        file: String,
        /// Why.
        why: String,
    },
    /// Records are unreadable that the checkpoint has already.
    DamageBelowCheckpoint {
        /// The segment.
        file: String,
        /// Where in it, in bytes.
        offset: u64,
        /// The first of the unreadable records.
        lsn: u64,
    },
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CheckpointUnreadable { file, why } => {
                write!(
                    f,
                    "{file} is unreadable ({why}); the generation before it was taken, and nothing is lost"
                )
            }
            Self::DamageBelowCheckpoint { file, offset, lsn } => write!(
                f,
                "{file} is damaged at offset {offset} (record {lsn}); the checkpoint has it, and nothing is lost"
            ),
        }
    }
}

/// A last write that a crash tore. It was never answered for, and was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The segment.
    pub file: String,
    /// Where the torn part begins, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub bytes: u64,
}

impl std::fmt::Display for Torn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ended in a torn write of {} bytes at offset {}", self.file, self.bytes, self.offset)
    }
}

/// Whether a disk, or a quota of it, is full: the one failure that time may heal.
pub(super) fn is_full(why: &io::Error) -> bool {
    matches!(why.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Makes a [`JournalError::Io`] of what a storage said.
pub(super) fn io_error(operation: &'static str, file: &str) -> impl FnOnce(io::Error) -> JournalError {
    let file = file.to_owned();
    move |source| JournalError::Io { operation, file, source }
}

/// [`JournalError::NoSpace`] where that is the reason, else [`JournalError::Io`].
pub(super) fn refused(operation: &'static str, file: &str, bytes: u64, source: io::Error) -> JournalError {
    let file = file.to_owned();
    if is_full(&source) {
        JournalError::NoSpace { file, bytes, source }
    } else {
        JournalError::Io { operation, file, source }
    }
}
