//! The versions of the database, and what is checked before one is worked with.
//!
//! Invariant: a step that was released is never changed, only followed by another; `user_version` counts the steps
//! that a file has seen, and each is one transaction with its count. A file that is not ours, newer than we are, or
//! broken is refused before anything in it changes.

use super::error::ControlError;
use crate::store::durable;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// The steps, oldest first.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_resources.sql"),
    include_str!("migrations/0002_access.sql"),
    include_str!("migrations/0003_audit.sql"),
    include_str!("migrations/0004_idempotency.sql"),
    include_str!("migrations/0005_money.sql"),
    include_str!("migrations/0006_items.sql"),
    include_str!("migrations/0007_viewers.sql"),
    include_str!("migrations/0008_people.sql"),
    include_str!("migrations/0009_jobs.sql"),
];

/// The version of a database that has seen all steps.
pub const VERSION: i64 = MIGRATIONS.len() as i64;

/// "outb" in a file's header says whose database it is.
const APPLICATION_ID: i64 = 0x6f75_7462;

/// How long a connection waits for another process's lock, as a backup beside a server takes it for a moment.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Prepared statements that a connection keeps.
const STATEMENTS: usize = 128;

/// Memory for pages of one connection. What a large transaction changes beyond it goes to the write-ahead log early.
const CACHE_KIB: i64 = 16 * 1024;

/// A write-ahead log that a large import made longer is cut to so many bytes afterwards.
const LOG_KEPT: i64 = 64 * 1024 * 1024;

/// Opens the file, creating it where there is none, brings it to [`VERSION`] and checks it.
pub(super) fn open(path: &Path) -> Result<Connection, ControlError> {
    create(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(damage(path, "open"))?;
    check(&connection, path)?;
    prepare(&connection, "FULL").map_err(damage(path, "prepare"))?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// Opens a database in memory that connections of this process share by its name.
pub(super) fn open_in_memory(name: &str) -> Result<Connection, ControlError> {
    let mut connection = connect_in_memory(name)?;
    prepare(&connection, "OFF").map_err(ControlError::sqlite("prepare a connection"))?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// Another connection to a database in memory.
pub(super) fn connect_in_memory(name: &str) -> Result<Connection, ControlError> {
    // The memory belongs to the process: every connection must be able to write to share it.
    let uri = format!("file:/{name}?vfs=memdb");
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(uri, flags).map_err(ControlError::sqlite("open a database in memory"))
}

/// Another connection to a file that [`open`] has opened.
pub(super) fn connect(path: &Path) -> Result<Connection, ControlError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags).map_err(damage(path, "open"))
}

/// Makes a connection one that only reads.
pub(super) fn prepare_reader(connection: &Connection) -> rusqlite::Result<()> {
    settings(connection)?;
    connection.pragma_update(None, "query_only", true)
}

fn prepare(connection: &Connection, synchronous: &str) -> rusqlite::Result<()> {
    settings(connection)?;
    // What comes back is the mode that it is in now: a database in memory stays as it is.
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "journal_size_limit", LOG_KEPT)?;
    connection.pragma_update(None, "synchronous", synchronous)
}

fn settings(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(LOCK_WAIT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)
}

/// Creates an empty file that only its owner may read: it holds hashes of passwords and exchanges' secrets. SQLite
/// gives the files beside it the same permission.
pub(super) fn create(path: &Path) -> Result<(), ControlError> {
    let mut options = std::fs::OpenOptions::new();
    match options.write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => durable::sync_dir(durable::parent(path)).map_err(io_error("sync the folder of", path)),
        Err(why) if why.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(why) => Err(io_error("create", path)(why)),
    }
}

/// Refuses a file that is no database, not ours, newer than this program or broken. An empty one is fine.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), ControlError> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let id = number("application_id").map_err(damage(path, "read"))?;
    let version = number("user_version").map_err(damage(path, "read"))?;
    if id == 0 && version == 0 && is_empty(connection).map_err(damage(path, "read"))? {
        return Ok(());
    }
    if id != APPLICATION_ID {
        return Err(ControlError::Foreign { path: path.to_owned(), found: id });
    }
    if version > VERSION {
        return Err(ControlError::Newer { path: path.to_owned(), found: version, known: VERSION });
    }
    let found = connection.pragma_query_value(None, "quick_check", |row| row.get::<_, String>(0));
    match found.map_err(damage(path, "check"))?.as_str() {
        "ok" => Ok(()),
        what => Err(ControlError::Damaged { path: path.to_owned(), what: what.to_owned() }),
    }
}

/// Whether a database has no table at all.
pub(super) fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))
}

/// Runs the steps that the database has not seen.
fn migrate(connection: &mut Connection) -> Result<(), ControlError> {
    const ACTION: &str = "bring the tables up to date";
    let run = |connection: &mut Connection| {
        let seen: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        for (step, sql) in (1..).zip(MIGRATIONS).filter(|(step, _)| *step > seen) {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute_batch(sql)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.pragma_update(None, "user_version", step)?;
            transaction.commit()?;
        }
        Ok(())
    };
    run(connection).map_err(ControlError::sqlite(ACTION))
}

/// For `map_err`: SQLite's refusal to `action` the file, told apart from a file that is damaged.
pub(super) fn damage<'p>(
    path: &'p Path,
    action: &'static str,
) -> impl Fn(rusqlite::Error) -> ControlError + 'p {
    move |why| match why.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => {
            ControlError::Damaged { path: path.to_owned(), what: "it is no SQLite database".to_owned() }
        }
        Some(ErrorCode::DatabaseCorrupt) => {
            ControlError::Damaged { path: path.to_owned(), what: why.to_string() }
        }
        _ => io_error(action, path)(io::Error::other(why)),
    }
}

pub(super) fn io_error<'p>(action: &'static str, path: &'p Path) -> impl Fn(io::Error) -> ControlError + 'p {
    move |source| ControlError::Io { action, path: path.to_owned(), source }
}
