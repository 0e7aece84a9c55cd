//! What can go wrong with the control store.

use std::io;
use std::path::PathBuf;

/// The store itself failed: the disk, the file, or a value in it. What a caller did wrong is in the errors of the
/// operations.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The operating system refused something.
    #[error(
        "cannot {action} {}: {source}; check that the path is right and that this user may write there",
        path.display()
    )]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is no database, or a broken one.
    #[error("the control database {} is damaged: {what}; restore it from a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The file is a database of another program.
    #[error(
        "{} is a database, but no control database (its application id is {found:#x}); choose another path",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The application id in it.
        found: i64,
    },
    /// A newer version of this program wrote the file.
    #[error(
        "the control database {} has version {found} and this program knows versions up to {known}; \
         run the newer program, or restore a backup from before its migration",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that this program can work with.
        known: i64,
    },
    /// Someone has the database open that would be replaced.
    #[error("the control database {} is in use; stop the server first", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// SQLite refused a statement.
    #[error("cannot {action} in the control database: {source}")]
    Sqlite {
        /// What was tried.
        action: &'static str,
        /// Why not.
        source: rusqlite::Error,
    },
    /// A value in the database is none that this program writes.
    #[error(
        "the control database holds {what}, which no version of this program writes; restore it from a backup"
    )]
    Stored {
        /// What was found, and where.
        what: String,
    },
    /// A cursor came from another query.
    #[error("the page token belongs to another query; begin again from the first page")]
    ForeignCursor,
    /// A transaction was asked for from within a write transaction.
    #[error("a write transaction asked for another one, which would wait for itself; use the one at hand")]
    Nested,
    /// The writer thread is gone, or could not be started.
    #[error("the control store's writer thread does not run; restart the server")]
    NoWriter,
}

impl ControlError {
    /// For `map_err`: SQLite's refusal of `action`.
    pub(super) fn sqlite(action: &'static str) -> impl Fn(rusqlite::Error) -> ControlError {
        move |source| ControlError::Sqlite { action, source }
    }
}

/// Why a write transaction changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum WriteError<E> {
    /// The closure refused: its own error.
    #[error("{0}")]
    Refused(E),
    /// Too many writes wait already.
    #[error("the control store is busy: {waiting} writes wait already; try again")]
    Busy {
        /// The length of the queue.
        waiting: usize,
    },
    /// The closure panicked; everything it did was rolled back.
    #[error("a write panicked and was rolled back: {message}")]
    Panicked {
        /// What the panic said.
        message: String,
    },
    /// The store failed before or after the closure ran.
    #[error(transparent)]
    Store(#[from] ControlError),
}

impl<E: From<ControlError>> WriteError<E> {
    /// The closure's own error, also for what the store answers; `None` for what only this type can say.
    pub fn into_refusal(self) -> Result<E, WriteError<E>> {
        match self {
            WriteError::Refused(refusal) => Ok(refusal),
            WriteError::Store(why) => Ok(why.into()),
            other => Err(other),
        }
    }
}
