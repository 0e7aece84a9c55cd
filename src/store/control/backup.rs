//! Copies of the whole database, taken while it is worked with, and put back while it is not.
//!
//! Invariant: what stands under a copy's name has been read back and found whole; a file that a crash left beside it
//! is never taken for one. A copy holds what the database holds, hashes and secrets among it, and only its owner may
//! read it.

use super::error::ControlError;
use super::schema::{self, damage, io_error};
use super::{Control, Place};
use crate::store::durable;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

impl Control {
    /// Writes a copy of this moment to `to`, replacing what is there. Writes go on meanwhile.
    pub fn backup(&self, to: &Path) -> Result<(), ControlError> {
        if let Place::File(own) = &self.inner.place
            && same_file(own, to)
        {
            let why = io::Error::new(io::ErrorKind::InvalidInput, "it is the database itself");
            return Err(io_error("write a backup to", to)(why));
        }
        let source = self.inner.place.connect()?;
        copy(&source, to)
    }
}

/// Puts a copy in the place of a database that nobody has open; the caller holds the lock of the data directory. The
/// copy is checked first, and what is replaced stays as it was until the copy is whole on the disk. It may be of an
/// older version, which the next opening brings up to date.
pub fn restore(from: &Path, to: &Path) -> Result<(), ControlError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(from, flags).map_err(damage(from, "open"))?;
    schema::check(&source, from)?;
    if schema::is_empty(&source).map_err(damage(from, "read"))? {
        return Err(ControlError::Damaged { path: from.to_owned(), what: "it is empty".to_owned() });
    }
    close_log(to)?;
    copy(&source, to)
}

/// Folds the log of the database into it and takes it out of use, or says that it is in use. What is too damaged for
/// that loses its log, which belongs to no other file.
fn close_log(path: &Path) -> Result<(), ControlError> {
    if path.exists() {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        // Needs the database for itself at once, which tells a running server from none.
        let folded = Connection::open_with_flags(path, flags).and_then(|connection| {
            connection.busy_timeout(Duration::ZERO)?;
            connection.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))
        });
        match folded.as_ref().map_err(rusqlite::Error::sqlite_error_code) {
            Err(Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)) => {
                return Err(ControlError::InUse { path: path.to_owned() });
            }
            Ok(()) | Err(Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt)) => {}
            Err(_) => return folded.map_err(damage(path, "close the log of")),
        }
    }
    for suffix in ["-wal", "-shm", "-journal"] {
        remove(&beside(path, suffix))?;
    }
    Ok(())
}

/// Copies a whole database to a file beside `to`, reads that back, and renames it.
fn copy(source: &Connection, to: &Path) -> Result<(), ControlError> {
    let new = durable::temporary(to);
    for suffix in ["", "-wal", "-shm", "-journal"] {
        remove(&beside(&new, suffix))?;
    }
    schema::create(&new)?;
    {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut target = Connection::open_with_flags(&new, flags).map_err(damage(&new, "open"))?;
        step_all(source, &mut target)?;
        // One file, without a log beside it.
        let mode = target.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()));
        mode.map_err(damage(&new, "finish"))?;
        schema::check(&target, &new)?;
    }
    let synced = File::open(&new).and_then(|file| file.sync_all());
    synced.map_err(io_error("sync", &new))?;
    std::fs::rename(&new, to).map_err(io_error("rename", &new))?;
    durable::sync_dir(durable::parent(to)).map_err(io_error("sync the folder of", to))
}

/// All pages in one step: one moment of the source, whose writers are not held up by a reader.
fn step_all(source: &Connection, target: &mut Connection) -> Result<(), ControlError> {
    const ACTION: &str = "copy the pages";
    let backup = Backup::new(source, target).map_err(ControlError::sqlite(ACTION))?;
    match backup.step(-1).map_err(ControlError::sqlite(ACTION))? {
        StepResult::Done => Ok(()),
        _ => Err(ControlError::Sqlite { action: ACTION, source: rusqlite::Error::InvalidQuery }),
    }
}

fn remove(path: &Path) -> Result<(), ControlError> {
    match std::fs::remove_file(path) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => Err(io_error("remove", path)(why)),
        _ => Ok(()),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

fn same_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}
