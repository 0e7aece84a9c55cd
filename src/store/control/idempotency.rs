//! Requests that may come twice and must act once.
//!
//! Invariant: an answer is kept with the effect that it tells of, in one transaction, so that there is never one
//! without the other. `InFlight` is what a second request sees where the effect needs several transactions; where it
//! needs one, `begin` and `finish` stand in it and a refusal forgets the key.

use super::error::ControlError;
use super::sql;
use super::transaction::Write;
use rusqlite::params;

/// How long a key stands for its request.
pub const KEPT_MS: i64 = 24 * 3600 * 1000;

/// What a request with a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// The first one: do it, then [`Write::finish_idempotent`].
    New,
    /// Done before, and this was the answer.
    Replay(Answer),
    /// The first one is still being worked on.
    InFlight,
    /// The key was used for another request.
    Mismatch,
}

/// What is answered again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body, as it was.
    pub body: Vec<u8>,
}

impl Write<'_> {
    /// Takes a key for a request, or says what became of the one before. `scope` keeps the keys of different clients
    /// apart; `request_hash` is a hash of everything that makes two requests the same.
    pub fn begin_idempotent(
        &mut self,
        scope: &str,
        key: &str,
        request_hash: &[u8; 32],
    ) -> Result<Begun, ControlError> {
        const ACTION: &str = "take an idempotency key";
        const GONE: &str = "DELETE FROM idempotency WHERE scope = ?1 AND key = ?2 AND created_ms <= ?3";
        sql::run(self.connection, ACTION, GONE, params![scope, key, self.now_ms() - KEPT_MS])?;
        const SQL: &str = "SELECT request_hash, status, body FROM idempotency WHERE scope = ?1 AND key = ?2";
        let before = sql::one(self.connection, ACTION, SQL, params![scope, key], |row| {
            Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, Option<u16>>(1)?, row.get::<_, Option<Vec<u8>>>(2)?))
        })?;
        match before {
            Some((hash, ..)) if hash != *request_hash => Ok(Begun::Mismatch),
            Some((_, Some(status), Some(body))) => Ok(Begun::Replay(Answer { status, body })),
            Some(_) => Ok(Begun::InFlight),
            None => {
                const SQL: &str = "INSERT INTO idempotency (scope, key, request_hash, created_ms) \
                     VALUES (?1, ?2, ?3, ?4)";
                sql::run(self.connection, ACTION, SQL, params![scope, key, request_hash, self.now_ms()])?;
                Ok(Begun::New)
            }
        }
    }

    /// Keeps the answer of a request that began; whether it had, and was not finished before.
    pub fn finish_idempotent(
        &mut self,
        scope: &str,
        key: &str,
        answer: &Answer,
    ) -> Result<bool, ControlError> {
        const SQL: &str = "UPDATE idempotency SET status = ?3, body = ?4 \
             WHERE scope = ?1 AND key = ?2 AND status IS NULL";
        let params = params![scope, key, answer.status, answer.body];
        Ok(sql::run(self.connection, "keep an answer", SQL, params)? > 0)
    }

    /// Gives a key back whose request began in another transaction and had no effect; whether it had begun.
    pub fn abandon_idempotent(&mut self, scope: &str, key: &str) -> Result<bool, ControlError> {
        const SQL: &str = "DELETE FROM idempotency WHERE scope = ?1 AND key = ?2 AND status IS NULL";
        Ok(sql::run(self.connection, "give an idempotency key back", SQL, params![scope, key])? > 0)
    }

    /// Removes keys whose time is over, the oldest first; how many there were, at most `most`.
    pub fn sweep_idempotent(&mut self, most: u32) -> Result<usize, ControlError> {
        const SQL: &str = "DELETE FROM idempotency WHERE rowid IN (SELECT rowid FROM idempotency \
             WHERE created_ms <= ?1 ORDER BY created_ms LIMIT ?2)";
        sql::run(self.connection, "remove old idempotency keys", SQL, params![self.now_ms() - KEPT_MS, most])
    }
}
