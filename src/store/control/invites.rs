//! Invitations: what a user shows to choose the first password.
//!
//! Invariant: only hashes are kept, and a user has at most one; a new one takes the place of the old one. Whether it
//! is still good is the caller's to compare with its clock.

use super::error::ControlError;
use super::sql;
use super::transaction::{Read, Write};
use rusqlite::params;

/// An invitation as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    /// The SHA-256 of what the user was given.
    pub token_hash: [u8; 32],
    /// Who is invited.
    pub user: u32,
    /// When, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// Until when.
    pub expires_ms: i64,
}

fn invite(row: &rusqlite::Row<'_>) -> rusqlite::Result<Invite> {
    Ok(Invite {
        token_hash: row.get(0)?,
        user: row.get(1)?,
        created_ms: row.get(2)?,
        expires_ms: row.get(3)?,
    })
}

impl Read<'_> {
    /// The invitation, if there is one.
    pub fn invite(&self, token_hash: &[u8; 32]) -> Result<Option<Invite>, ControlError> {
        const SQL: &str =
            "SELECT token_hash, user, created_ms, expires_ms FROM invites WHERE token_hash = ?1";
        sql::one(self.connection, "look for an invitation", SQL, [token_hash], invite)
    }

    /// The invitation of a user, if there is one.
    pub fn invite_of(&self, user: u32) -> Result<Option<Invite>, ControlError> {
        const SQL: &str = "SELECT token_hash, user, created_ms, expires_ms FROM invites WHERE user = ?1";
        sql::one(self.connection, "look for an invitation", SQL, [user], invite)
    }
}

impl Write<'_> {
    /// Invites a user until a moment. Earlier invitations are no good any more.
    pub fn insert_invite(
        &mut self,
        user: u32,
        token_hash: &[u8; 32],
        expires_ms: i64,
    ) -> Result<(), ControlError> {
        self.end_invites_of(user)?;
        const SQL: &str = "INSERT INTO invites VALUES (?1, ?2, ?3, ?4)";
        let params = params![token_hash, user, self.now_ms(), expires_ms];
        sql::run(self.connection, "invite a user", SQL, params).map(drop)
    }

    /// Ends the invitation of a user, as its use does; whether there was one.
    pub fn end_invites_of(&mut self, user: u32) -> Result<bool, ControlError> {
        let ended =
            sql::run(self.connection, "end an invitation", "DELETE FROM invites WHERE user = ?1", [user]);
        ended.map(|ended| ended > 0)
    }
}
