//! People who may log in. Hashing, roles' meanings and rules about who may do what are the caller's.

use super::error::ControlError;
use super::sql::{self, names};
use super::transaction::{Read, Write};
use rusqlite::params;

names! {
    /// Whether a user may log in.
    UserStatus {
        /// Asked to join, without a password so far.
        Invited = "invited",
        /// May log in.
        Active = "active",
        /// May not any more.
        Disabled = "disabled",
    }
}

/// A user as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct UserRow {
    /// Unique, for ever.
    pub id: u32,
    /// The tenant; `None` is the platform.
    pub account: Option<u32>,
    /// In lower case, unique in the whole store.
    pub email: String,
    /// For people.
    pub name: String,
    /// A role's name, as the API knows it.
    pub role: String,
    /// The advertisers that a limited role may see.
    pub advertisers: Vec<u32>,
    /// A password's hash with its parameters, as the API wrote it.
    pub password_hash: Option<String>,
    /// The secret of the second factor.
    pub totp_secret: Option<Vec<u8>>,
    /// The secret of a second factor that the user has not confirmed yet.
    pub totp_pending: Option<Vec<u8>>,
    /// The last time step of which a code was taken, see [`Write::totp_used`].
    pub totp_step: Option<i64>,
    /// Whether it may log in.
    pub status: UserStatus,
    /// 1 when it was made, and one more with each change.
    pub version: u64,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// When it was changed last.
    pub updated_ms: i64,
    /// When it logged in last.
    pub last_login_ms: Option<i64>,
}

impl std::fmt::Debug for UserRow {
    /// Without the secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let UserRow { id, account, email, role, status, version, .. } = self;
        f.debug_struct("UserRow")
            .field("id", id)
            .field("account", account)
            .field("email", email)
            .field("role", role)
            .field("status", status)
            .field("version", version)
            .finish_non_exhaustive()
    }
}

/// A user to be made.
#[derive(Clone)]
pub struct NewUser {
    /// The tenant; `None` is the platform.
    pub account: Option<u32>,
    /// In any case.
    pub email: String,
    /// For people.
    pub name: String,
    /// A role's name.
    pub role: String,
    /// The advertisers that a limited role may see.
    pub advertisers: Vec<u32>,
    /// A password's hash.
    pub password_hash: Option<String>,
    /// Whether it may log in.
    pub status: UserStatus,
}

/// What becomes of a user; `None` leaves a column as it is.
#[derive(Clone, Default)]
pub struct UserChange {
    /// Another address.
    pub email: Option<String>,
    /// A new name.
    pub name: Option<String>,
    /// Another role.
    pub role: Option<String>,
    /// Other advertisers.
    pub advertisers: Option<Vec<u32>>,
    /// Another password's hash, or none any more.
    pub password_hash: Option<Option<String>>,
    /// Another secret of the second factor, or none any more.
    pub totp_secret: Option<Option<Vec<u8>>>,
    /// Another secret that is to be confirmed, or none any more.
    pub totp_pending: Option<Option<Vec<u8>>>,
    /// A new status.
    pub status: Option<UserStatus>,
}

/// Why a user was not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// There is none.
    #[error("there is no user {id}")]
    Missing {
        /// Which one.
        id: u32,
    },
    /// The address is another user's.
    #[error("a user has the address {email} already")]
    EmailTaken {
        /// The address, in lower case.
        email: String,
    },
    /// The tenant does not exist.
    #[error("there is no account {account} for a user")]
    NoAccount {
        /// The tenant that was named.
        account: u32,
    },
    /// It was changed since the version that the caller knows.
    #[error("user {} has version {} by now; read it again and repeat the change", current.id, current.version)]
    Conflict {
        /// As it is.
        current: Box<UserRow>,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] ControlError),
}

macro_rules! columns {
    () => {
        "id, account, email, name, role, advertisers, password_hash, totp_secret, status, version, created_ms, \
         updated_ms, last_login_ms, totp_pending, totp_step"
    };
}

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<UserRow> {
    Ok(UserRow {
        id: row.get(0)?,
        account: row.get(1)?,
        email: row.get(2)?,
        name: row.get(3)?,
        role: row.get(4)?,
        advertisers: sql::from_json(row, 5)?,
        password_hash: row.get(6)?,
        totp_secret: row.get(7)?,
        status: row.get(8)?,
        version: row.get::<_, i64>(9)? as u64,
        created_ms: row.get(10)?,
        updated_ms: row.get(11)?,
        last_login_ms: row.get(12)?,
        totp_pending: row.get(13)?,
        totp_step: row.get(14)?,
    })
}

impl Read<'_> {
    /// The user, if there is one.
    pub fn user(&self, id: u32) -> Result<Option<UserRow>, ControlError> {
        const SQL: &str = concat!("SELECT ", columns!(), " FROM users WHERE id = ?1");
        sql::one(self.connection, "read a user", SQL, [id], row)
    }

    /// The user with this address, in any case.
    pub fn user_by_email(&self, email: &str) -> Result<Option<UserRow>, ControlError> {
        const SQL: &str = concat!("SELECT ", columns!(), " FROM users WHERE email = ?1");
        sql::one(self.connection, "look for a user", SQL, [email.to_lowercase()], row)
    }

    /// The users of one tenant, or all of them and the platform's.
    pub fn users(&self, account: Option<u32>) -> Result<Vec<UserRow>, ControlError> {
        const SQL: &str =
            concat!("SELECT ", columns!(), " FROM users WHERE ?1 IS NULL OR account = ?1 ORDER BY id");
        sql::many(self.connection, "list users", SQL, [account], row)
    }
}

impl Write<'_> {
    /// Makes a user, with version 1.
    pub fn insert_user(&mut self, new: NewUser) -> Result<UserRow, UserError> {
        let email = new.email.to_lowercase();
        if let Some(account) = new.account
            && self.account(account)?.is_none()
        {
            return Err(UserError::NoAccount { account });
        }
        if self.user_by_email(&email)?.is_some() {
            return Err(UserError::EmailTaken { email });
        }
        const SQL: &str = concat!(
            "INSERT INTO users (account, email, name, role, advertisers, password_hash, status, version, \
             created_ms, updated_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, ?8, ?8) RETURNING ",
            columns!()
        );
        let advertisers = sql::to_json(&new.advertisers);
        let params = params![
            new.account,
            email,
            new.name,
            new.role,
            advertisers,
            new.password_hash,
            new.status,
            self.now_ms()
        ];
        Ok(sql::only(self.connection, "add a user", SQL, params, row)?)
    }

    /// Changes a user, if it still has the version that the caller expects. Where nothing differs, the version stays.
    pub fn update_user(
        &mut self,
        id: u32,
        expected_version: Option<u64>,
        change: UserChange,
    ) -> Result<UserRow, UserError> {
        let current = self.user(id)?.ok_or(UserError::Missing { id })?;
        if expected_version.is_some_and(|expected| expected != current.version) {
            return Err(UserError::Conflict { current: Box::new(current) });
        }
        let mut next = current.clone();
        next.email = change.email.map_or(next.email, |email| email.to_lowercase());
        next.name = change.name.unwrap_or(next.name);
        next.role = change.role.unwrap_or(next.role);
        next.advertisers = change.advertisers.unwrap_or(next.advertisers);
        next.password_hash = change.password_hash.unwrap_or(next.password_hash);
        next.totp_secret = change.totp_secret.unwrap_or(next.totp_secret);
        next.totp_pending = change.totp_pending.unwrap_or(next.totp_pending);
        next.status = change.status.unwrap_or(next.status);
        if next == current {
            return Ok(current);
        }
        if next.email != current.email && self.user_by_email(&next.email)?.is_some() {
            return Err(UserError::EmailTaken { email: next.email });
        }
        next.version += 1;
        next.updated_ms = self.now_ms();
        const SQL: &str = "UPDATE users SET email = ?2, name = ?3, role = ?4, advertisers = ?5, password_hash = ?6, \
             totp_secret = ?7, status = ?8, version = ?9, updated_ms = ?10, totp_pending = ?11 WHERE id = ?1";
        let params = params![
            id,
            next.email,
            next.name,
            next.role,
            sql::to_json(&next.advertisers),
            next.password_hash,
            next.totp_secret,
            next.status,
            next.version as i64,
            next.updated_ms,
            next.totp_pending
        ];
        sql::run(self.connection, "change a user", SQL, params)?;
        Ok(next)
    }

    /// Notes that a user logged in now. This is no change: the version stays.
    pub fn user_logged_in(&mut self, id: u32) -> Result<(), ControlError> {
        const SQL: &str = "UPDATE users SET last_login_ms = ?2 WHERE id = ?1";
        sql::run(self.connection, "note a login", SQL, params![id, self.now_ms()]).map(drop)
    }

    /// Takes a code of the second factor, by the time step that it is of, so that none is taken twice; whether it was
    /// later than the last one. This is no change: the version stays.
    pub fn totp_used(&mut self, id: u32, step: i64) -> Result<bool, ControlError> {
        const SQL: &str =
            "UPDATE users SET totp_step = ?2 WHERE id = ?1 AND (totp_step IS NULL OR totp_step < ?2)";
        Ok(sql::run(self.connection, "take a code", SQL, params![id, step])? > 0)
    }
}
