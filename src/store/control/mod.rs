//! The control store: what people configured, who they are, what they did, and the money they moved. One SQLite file
//! in the data directory.
//!
//! Invariant: what a write transaction did is there as a whole and durable before its caller hears of it, or not at
//! all; one thread writes, in the order of asking. Reads see one moment and never wait for a write. A row's version
//! grows by one with each change, ids are never used twice, and what is append-only (audit, transactions) is so by
//! triggers in the file, whoever opens it.
//!
//! The parts: [`resource`]s of every kind with their documents, [`query`] for pages of them and [`change`]; [`items`] of
//! lists; [`jobs`] in the background; [`accounts`], [`users`] and their [`invites`], [`keys`] and sessions; the history in
//! [`audit`]; [`money`] by people's hands, the
//! [`outbox`] through which others hear of changes, and [`idempotency`] of requests; [`backup`].
//!
//! Deliberately absent: what a document says (callers validate it and read it), permissions, passwords' hashing,
//! the ledger. No async runtime: calls block their thread, for a write as long as the disk takes to sync.

pub mod accounts;
pub mod audit;
pub mod backup;
pub mod change;
pub mod cursor;
pub mod error;
pub mod idempotency;
pub mod invites;
pub mod items;
pub mod jobs;
pub mod keys;
pub mod money;
pub mod outbox;
pub mod query;
pub mod resource;
mod schema;
mod sql;
mod transaction;
pub mod users;
mod writer;

pub use change::{Change, ChangeError, New};
pub use cursor::Cursor;
pub use error::{ControlError, WriteError};
pub use query::{Order, Query, SortBy};
pub use resource::{Kind, Row, Status};
pub use schema::VERSION;
pub use transaction::{Read, Write};

use crate::model::clock::Clock;
use parking_lot::Mutex;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use writer::Writer;

/// Connections that are kept open for readers; more are opened while more are needed.
const IDLE_READERS: usize = 4;

/// Writes that may wait for the writer; the next is refused.
const QUEUE: usize = 256;

/// The open store; a cheap handle, and the file is closed with the last of them.
#[derive(Clone)]
pub struct Control {
    inner: Arc<Inner>,
}

struct Inner {
    // Before `readers`: the writer ends first, so that the last connection to close is a reader's and the log is
    // folded into the file then.
    writer: Writer,
    readers: Mutex<Vec<Connection>>,
    place: Place,
    generation: Arc<AtomicU64>,
}

/// Where the database is, so that more connections to it can be made.
enum Place {
    File(PathBuf),
    Memory(String),
}

impl Control {
    /// Opens the database at `path`, creating it or bringing it to this program's version where that is needed. The
    /// caller holds the lock of the data directory.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Control, ControlError> {
        Control::open_with_queue(path, clock, QUEUE)
    }

    /// As [`Control::open`], with another length of the queue of writes.
    pub fn open_with_queue(
        path: &Path,
        clock: Arc<dyn Clock>,
        queue: usize,
    ) -> Result<Control, ControlError> {
        Control::over(schema::open(path)?, Place::File(path.to_owned()), clock, queue)
    }

    /// A store that is gone with its last handle, for tests. Unlike in a file, reads wait for a running write.
    pub fn in_memory(clock: Arc<dyn Clock>) -> Result<Control, ControlError> {
        static NAMES: AtomicU64 = AtomicU64::new(0);
        let name = format!("control-{}", NAMES.fetch_add(1, Ordering::Relaxed));
        Control::over(schema::open_in_memory(&name)?, Place::Memory(name), clock, QUEUE)
    }

    fn over(
        connection: Connection,
        place: Place,
        clock: Arc<dyn Clock>,
        queue: usize,
    ) -> Result<Control, ControlError> {
        let generation = Arc::new(AtomicU64::new(Read::new(&connection).generation()?));
        let writer = Writer::start(connection, clock, Arc::clone(&generation), queue)?;
        let inner = Inner { writer, readers: Mutex::new(Vec::new()), place, generation };
        Ok(Control { inner: Arc::new(inner) })
    }

    /// Runs `work` in a transaction on the writer's thread. Everything it did is durable when this returns its value,
    /// and undone when it refuses or panics. `Busy` when too many wait already. Blocks; never to be called on a
    /// thread that serves.
    pub fn write<T, E, F>(&self, work: F) -> Result<T, WriteError<E>>
    where
        F: FnOnce(&mut Write<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        self.inner.writer.run(work)
    }

    /// Runs `work` on a connection that sees one moment of the database, whatever is written meanwhile. A long one
    /// keeps the write-ahead log from being folded in, so that the log grows.
    pub fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Read<'_>) -> Result<T, E>,
        E: From<ControlError>,
    {
        if self.inner.writer.is_this_thread() {
            return Err(ControlError::Nested.into());
        }
        let idle = self.inner.readers.lock().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.inner.place.connect()?,
        };
        let transaction = connection.transaction().map_err(ControlError::sqlite("begin to read"))?;
        let done = work(&Read::new(&transaction));
        let ended = transaction.finish();
        // A connection that cannot end its transaction would show an old moment to the next reader.
        if ended.is_ok() {
            let mut readers = self.inner.readers.lock();
            if readers.len() < IDLE_READERS {
                readers.push(connection);
            }
        }
        done
    }

    /// How many committed write transactions changed what serves: a resource, an account, a list or a transaction.
    /// One atomic read. [`Read::generation`] says which of them a snapshot holds.
    pub fn generation(&self) -> u64 {
        self.inner.generation.load(Ordering::Acquire)
    }
}

impl Place {
    fn connect(&self) -> Result<Connection, ControlError> {
        let connection = match self {
            Place::File(path) => schema::connect(path)?,
            Place::Memory(name) => schema::connect_in_memory(name)?,
        };
        schema::prepare_reader(&connection).map_err(ControlError::sqlite("prepare a connection"))?;
        Ok(connection)
    }
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("generation", &self.generation()).finish_non_exhaustive()
    }
}
