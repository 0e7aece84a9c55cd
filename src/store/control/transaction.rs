//! What a closure works on. [`Read`] has every question, [`Write`] has those and every change; the operations stand
//! beside the tables that they concern.

use super::error::ControlError;
use super::sql;
use rusqlite::Connection;
use std::ops::Deref;

/// One moment of the database.
pub struct Read<'c> {
    pub(super) connection: &'c Connection,
}

/// A transaction that will be committed or undone as a whole, see [`super::Control::write`]. Sees its own changes.
pub struct Write<'c> {
    read: Read<'c>,
    now_ms: i64,
    serves: bool,
}

impl<'c> Read<'c> {
    pub(super) fn new(connection: &'c Connection) -> Read<'c> {
        Read { connection }
    }

    /// The generation that this moment holds, see [`super::Control::generation`].
    pub fn generation(&self) -> Result<u64, ControlError> {
        let value =
            sql::one(self.connection, "read the generation", "SELECT value FROM generation", [], |row| {
                row.get::<_, i64>(0)
            })?;
        value
            .and_then(|value| u64::try_from(value).ok())
            .ok_or_else(|| ControlError::Stored { what: "no generation, or a negative one".to_owned() })
    }
}

impl<'c> Write<'c> {
    pub(super) fn new(connection: &'c Connection, now_ms: i64) -> Write<'c> {
        Write { read: Read::new(connection), now_ms, serves: false }
    }

    /// The time of this transaction, in milliseconds since the Unix epoch: all its rows carry the same.
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// Notes that this transaction changes what serves.
    pub(super) fn serves(&mut self) {
        self.serves = true;
    }

    /// Counts the transaction, if it changed what serves; the new generation then.
    pub(super) fn seal(self) -> Result<Option<u64>, ControlError> {
        if !self.serves {
            return Ok(None);
        }
        const ACTION: &str = "count a write";
        sql::run(self.connection, ACTION, "UPDATE generation SET value = value + 1", [])?;
        self.generation().map(Some)
    }
}

impl<'c> Deref for Write<'c> {
    type Target = Read<'c>;

    fn deref(&self) -> &Read<'c> {
        &self.read
    }
}
