//! Keys of programs, and sessions of people: what a request shows to say who asks.
//!
//! Invariant: only hashes are kept. Whether a key or session is still good is the caller's to compare with its clock:
//! rows come back as they are, revoked and expired ones too.

use super::error::ControlError;
use super::sql;
use super::transaction::{Read, Write};
use rusqlite::params;

/// A key as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// Unique, for ever.
    pub id: u32,
    /// The tenant; `None` is the platform.
    pub account: Option<u32>,
    /// For people.
    pub name: String,
    /// The secret's beginning, for people.
    pub prefix: String,
    /// The secret's end, for people.
    pub last4: String,
    /// The secret's SHA-256.
    pub hash: [u8; 32],
    /// A role's name, as the API knows it.
    pub role: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// From where; empty means anywhere.
    pub addresses: Vec<String>,
    /// The advertisers that a limited role may see.
    pub advertisers: Vec<u32>,
    /// Until when, in milliseconds since the Unix epoch.
    pub expires_ms: Option<i64>,
    /// Since when it is no good any more.
    pub revoked_ms: Option<i64>,
    /// The key whose place it takes.
    pub replaces: Option<u32>,
    /// When it was made.
    pub created_ms: i64,
    /// When it was used last, as far as that was noted.
    pub last_used_ms: Option<i64>,
}

impl KeyRow {
    /// What it is at a moment: `active`, `expired` or `revoked`.
    pub fn state(&self, now_ms: i64) -> &'static str {
        match (self.revoked_ms, self.expires_ms) {
            (Some(_), _) => "revoked",
            (None, Some(expires)) if expires <= now_ms => "expired",
            _ => "active",
        }
    }
}

/// A key to be made.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// The tenant; `None` is the platform.
    pub account: Option<u32>,
    /// For people.
    pub name: String,
    /// The secret's beginning.
    pub prefix: String,
    /// The secret's end.
    pub last4: String,
    /// The secret's SHA-256.
    pub hash: [u8; 32],
    /// A role's name.
    pub role: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// From where; empty means anywhere.
    pub addresses: Vec<String>,
    /// The advertisers that a limited role may see.
    pub advertisers: Vec<u32>,
    /// Until when.
    pub expires_ms: Option<i64>,
    /// The key whose place it takes.
    pub replaces: Option<u32>,
}

/// Someone's session in the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The SHA-256 of what the cookie holds.
    pub token_hash: [u8; 32],
    /// Whose it is.
    pub user: u32,
    /// The SHA-256 of what changes must show beside the cookie.
    pub csrf_hash: [u8; 32],
    /// When it began, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// When it ends.
    pub expires_ms: i64,
    /// When it was used last, as far as that was noted.
    pub seen_ms: i64,
}

macro_rules! columns {
    () => {
        "id, account, name, prefix, last4, hash, role, scopes, addresses, expires_ms, revoked_ms, replaces, \
         created_ms, last_used_ms, advertisers"
    };
}

fn key(row: &rusqlite::Row<'_>) -> rusqlite::Result<KeyRow> {
    Ok(KeyRow {
        id: row.get(0)?,
        account: row.get(1)?,
        name: row.get(2)?,
        prefix: row.get(3)?,
        last4: row.get(4)?,
        hash: row.get(5)?,
        role: row.get(6)?,
        scopes: sql::from_json(row, 7)?,
        addresses: sql::from_json(row, 8)?,
        expires_ms: row.get(9)?,
        revoked_ms: row.get(10)?,
        replaces: row.get(11)?,
        created_ms: row.get(12)?,
        last_used_ms: row.get(13)?,
        advertisers: sql::from_json(row, 14)?,
    })
}

fn session(row: &rusqlite::Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        token_hash: row.get(0)?,
        user: row.get(1)?,
        csrf_hash: row.get(2)?,
        created_ms: row.get(3)?,
        expires_ms: row.get(4)?,
        seen_ms: row.get(5)?,
    })
}

impl Read<'_> {
    /// The key, if there is one.
    pub fn key(&self, id: u32) -> Result<Option<KeyRow>, ControlError> {
        const SQL: &str = concat!("SELECT ", columns!(), " FROM api_keys WHERE id = ?1");
        sql::one(self.connection, "read a key", SQL, [id], key)
    }

    /// The key whose secret has this SHA-256.
    pub fn key_by_hash(&self, hash: &[u8; 32]) -> Result<Option<KeyRow>, ControlError> {
        const SQL: &str = concat!("SELECT ", columns!(), " FROM api_keys WHERE hash = ?1");
        sql::one(self.connection, "look for a key", SQL, [hash], key)
    }

    /// The keys of one tenant, or all of them and the platform's.
    pub fn keys(&self, account: Option<u32>) -> Result<Vec<KeyRow>, ControlError> {
        const SQL: &str =
            concat!("SELECT ", columns!(), " FROM api_keys WHERE ?1 IS NULL OR account = ?1 ORDER BY id");
        sql::many(self.connection, "list keys", SQL, [account], key)
    }

    /// The session, if there is one.
    pub fn session(&self, token_hash: &[u8; 32]) -> Result<Option<Session>, ControlError> {
        const SQL: &str = "SELECT token_hash, user, csrf_hash, created_ms, expires_ms, seen_ms FROM sessions \
             WHERE token_hash = ?1";
        sql::one(self.connection, "look for a session", SQL, [token_hash], session)
    }
}

impl Write<'_> {
    /// Makes a key. Tenant and replaced key must exist, and the hash must be new: secrets are random.
    pub fn insert_key(&mut self, new: NewKey) -> Result<KeyRow, ControlError> {
        const SQL: &str = concat!(
            "INSERT INTO api_keys (account, name, prefix, last4, hash, role, scopes, addresses, expires_ms, \
             replaces, created_ms, advertisers) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
             RETURNING ",
            columns!()
        );
        let params = params![
            new.account,
            new.name,
            new.prefix,
            new.last4,
            new.hash,
            new.role,
            sql::to_json(&new.scopes),
            sql::to_json(&new.addresses),
            new.expires_ms,
            new.replaces,
            self.now_ms(),
            sql::to_json(&new.advertisers)
        ];
        sql::only(self.connection, "add a key", SQL, params, key)
    }

    /// Makes a key no good from now on; whether it was one that was good.
    pub fn revoke_key(&mut self, id: u32) -> Result<bool, ControlError> {
        const SQL: &str = "UPDATE api_keys SET revoked_ms = ?2 WHERE id = ?1 AND revoked_ms IS NULL";
        let changed = sql::run(self.connection, "revoke a key", SQL, params![id, self.now_ms()]);
        changed.map(|changed| changed > 0)
    }

    /// Sets the end of a key, as a rotation does with the old one; whether there is such a key.
    pub fn expire_key(&mut self, id: u32, expires_ms: i64) -> Result<bool, ControlError> {
        const SQL: &str = "UPDATE api_keys SET expires_ms = ?2 WHERE id = ?1";
        let changed = sql::run(self.connection, "set a key's end", SQL, params![id, expires_ms]);
        changed.map(|changed| changed > 0)
    }

    /// Notes when keys were used. Each call costs a sync of the disk: collect them, and note once a minute.
    pub fn keys_used(&mut self, used: &[(u32, i64)]) -> Result<(), ControlError> {
        const SQL: &str =
            "UPDATE api_keys SET last_used_ms = max(coalesce(last_used_ms, ?2), ?2) WHERE id = ?1";
        for (id, at_ms) in used {
            sql::run(self.connection, "note a key's use", SQL, params![id, at_ms])?;
        }
        Ok(())
    }

    /// Begins a session. Its user must exist.
    pub fn insert_session(&mut self, session: &Session) -> Result<(), ControlError> {
        const SQL: &str = "INSERT INTO sessions (token_hash, user, csrf_hash, created_ms, expires_ms, seen_ms) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let Session { token_hash, user, csrf_hash, created_ms, expires_ms, seen_ms } = session;
        let params = params![token_hash, user, csrf_hash, created_ms, expires_ms, seen_ms];
        sql::run(self.connection, "begin a session", SQL, params).map(drop)
    }

    /// Notes that a session was used, and when it ends now; whether there is such a session.
    pub fn touch_session(&mut self, token_hash: &[u8; 32], expires_ms: i64) -> Result<bool, ControlError> {
        const SQL: &str = "UPDATE sessions SET seen_ms = ?2, expires_ms = ?3 WHERE token_hash = ?1";
        let params = params![token_hash, self.now_ms(), expires_ms];
        Ok(sql::run(self.connection, "note a session's use", SQL, params)? > 0)
    }

    /// Ends a session; whether there was one.
    pub fn end_session(&mut self, token_hash: &[u8; 32]) -> Result<bool, ControlError> {
        const SQL: &str = "DELETE FROM sessions WHERE token_hash = ?1";
        Ok(sql::run(self.connection, "end a session", SQL, [token_hash])? > 0)
    }

    /// Ends every session of a user, as a new password does; how many there were.
    pub fn end_sessions_of(&mut self, user: u32) -> Result<usize, ControlError> {
        sql::run(self.connection, "end sessions", "DELETE FROM sessions WHERE user = ?1", [user])
    }

    /// Ends every session of a user but one, as the user's own new password does; how many there were.
    pub fn end_other_sessions_of(&mut self, user: u32, kept: &[u8; 32]) -> Result<usize, ControlError> {
        const SQL: &str = "DELETE FROM sessions WHERE user = ?1 AND token_hash <> ?2";
        sql::run(self.connection, "end sessions", SQL, params![user, kept])
    }

    /// Removes the sessions that have ended by now; how many there were.
    pub fn sweep_sessions(&mut self) -> Result<usize, ControlError> {
        const SQL: &str = "DELETE FROM sessions WHERE expires_ms <= ?1";
        sql::run(self.connection, "remove old sessions", SQL, [self.now_ms()])
    }
}
