//! What others must hear of: the ledger of edits and money, customers' servers of events. A row is written in the
//! transaction of what caused it, and stays until its receiver has it.
//!
//! Invariant: rows are seen in the order of their ids, and every row is seen until it is done. A receiver therefore
//! may see one twice and must know it again by its id, or by what its payload says.

use super::error::ControlError;
use super::sql;
use super::transaction::{Read, Write};
use rusqlite::params;

/// A message that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Ascending, never used again.
    pub id: i64,
    /// Who must hear it.
    pub topic: String,
    /// What, as JSON.
    pub payload: String,
    /// When it was written, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// How often it was tried in vain.
    pub attempts: u32,
}

impl Read<'_> {
    /// The messages that are not done, behind the id `after` (0 for all), oldest first.
    pub fn outbox_pending(&self, after: i64, limit: usize) -> Result<Vec<Message>, ControlError> {
        const SQL: &str = "SELECT id, topic, payload, created_ms, attempts FROM outbox INDEXED BY outbox_pending \
             WHERE done_ms IS NULL AND id > ?1 ORDER BY id LIMIT ?2";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        sql::many(self.connection, "read the outbox", SQL, params![after, limit], |row| {
            Ok(Message {
                id: row.get(0)?,
                topic: row.get(1)?,
                payload: row.get(2)?,
                created_ms: row.get(3)?,
                attempts: row.get(4)?,
            })
        })
    }
}

impl Write<'_> {
    /// Writes a message; its id.
    pub fn outbox_add(&mut self, topic: &str, payload: &str) -> Result<i64, ControlError> {
        const SQL: &str = "INSERT INTO outbox (topic, payload, created_ms) VALUES (?1, ?2, ?3) RETURNING id";
        let params = params![topic, payload, self.now_ms()];
        sql::only(self.connection, "write to the outbox", SQL, params, |row| row.get(0))
    }

    /// Notes that a receiver has a message; whether it was waiting.
    pub fn outbox_done(&mut self, id: i64) -> Result<bool, ControlError> {
        const SQL: &str = "UPDATE outbox SET done_ms = ?2 WHERE id = ?1 AND done_ms IS NULL";
        Ok(sql::run(self.connection, "tick a message off", SQL, params![id, self.now_ms()])? > 0)
    }

    /// Notes that a message was tried in vain; whether it is waiting.
    pub fn outbox_failed(&mut self, id: i64) -> Result<bool, ControlError> {
        const SQL: &str = "UPDATE outbox SET attempts = attempts + 1 WHERE id = ?1 AND done_ms IS NULL";
        Ok(sql::run(self.connection, "count an attempt", SQL, [id])? > 0)
    }

    /// Removes what was done before a moment; how many messages there were.
    pub fn sweep_outbox(&mut self, done_before_ms: i64) -> Result<usize, ControlError> {
        const SQL: &str = "DELETE FROM outbox WHERE done_ms < ?1";
        sql::run(self.connection, "remove old messages", SQL, [done_before_ms])
    }
}
