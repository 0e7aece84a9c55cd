//! Tenants. Account 0 is the platform: it exists from the first day and stands in no list.

use super::error::ControlError;
use super::resource::Status;
use super::sql;
use super::transaction::{Read, Write};
use rusqlite::params;

/// A tenant as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    /// Unique, for ever.
    pub id: u32,
    /// For people.
    pub name: String,
    /// Whether what belongs to it may serve.
    pub status: Status,
    /// 1 when it was made, and one more with each change.
    pub version: u64,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// When it was changed last.
    pub updated_ms: i64,
    /// Its JSON document.
    pub doc: String,
}

/// A tenant to be made.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// The id it must get, as an import has it; the next one otherwise.
    pub id: Option<u32>,
    /// For people.
    pub name: String,
    /// Whether what belongs to it may serve.
    pub status: Status,
    /// Its JSON document.
    pub doc: String,
}

/// What becomes of a tenant; `None` leaves a column as it is.
#[derive(Clone, Debug, Default)]
pub struct AccountChange {
    /// A new name.
    pub name: Option<String>,
    /// A new status.
    pub status: Option<Status>,
    /// A new document, whole.
    pub doc: Option<String>,
}

/// Why a tenant was not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// There is none.
    #[error("there is no account {id}")]
    Missing {
        /// Which one.
        id: u32,
    },
    /// The wanted id is taken.
    #[error("account {id} exists already")]
    Exists {
        /// Which one.
        id: u32,
    },
    /// It was changed since the version that the caller knows.
    #[error("account {} has version {} by now; read it again and repeat the change", current.id, current.version)]
    Conflict {
        /// As it is.
        current: Box<AccountRow>,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] ControlError),
}

macro_rules! columns {
    () => {
        "id, name, status, version, created_ms, updated_ms, doc"
    };
}

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<AccountRow> {
    Ok(AccountRow {
        id: row.get(0)?,
        name: row.get(1)?,
        status: row.get(2)?,
        version: row.get::<_, i64>(3)? as u64,
        created_ms: row.get(4)?,
        updated_ms: row.get(5)?,
        doc: row.get(6)?,
    })
}

impl Read<'_> {
    /// The tenant, if there is one; 0 is the platform.
    pub fn account(&self, id: u32) -> Result<Option<AccountRow>, ControlError> {
        const SQL: &str = concat!("SELECT ", columns!(), " FROM accounts WHERE id = ?1");
        sql::one(self.connection, "read an account", SQL, [id], row)
    }

    /// All tenants in the order of their ids, without the platform.
    pub fn accounts(&self) -> Result<Vec<AccountRow>, ControlError> {
        const SQL: &str = concat!("SELECT ", columns!(), " FROM accounts WHERE id > 0 ORDER BY id");
        sql::many(self.connection, "list accounts", SQL, [], row)
    }
}

impl Write<'_> {
    /// Makes a tenant, with version 1.
    pub fn insert_account(&mut self, new: NewAccount) -> Result<AccountRow, AccountError> {
        if let Some(id) = new.id
            && self.account(id)?.is_some()
        {
            return Err(AccountError::Exists { id });
        }
        const SQL: &str =
            concat!("INSERT INTO accounts VALUES (?1, ?2, ?3, 1, ?4, ?4, ?5) RETURNING ", columns!());
        let params = params![new.id, new.name, new.status, self.now_ms(), new.doc];
        let made = sql::only(self.connection, "add an account", SQL, params, row)?;
        self.serves();
        Ok(made)
    }

    /// Changes a tenant, if it still has the version that the caller expects. Where nothing differs, the version stays.
    pub fn update_account(
        &mut self,
        id: u32,
        expected_version: Option<u64>,
        change: AccountChange,
    ) -> Result<AccountRow, AccountError> {
        let current = self.account(id)?.ok_or(AccountError::Missing { id })?;
        if expected_version.is_some_and(|expected| expected != current.version) {
            return Err(AccountError::Conflict { current: Box::new(current) });
        }
        let mut next = current.clone();
        next.name = change.name.unwrap_or(next.name);
        next.status = change.status.unwrap_or(next.status);
        next.doc = change.doc.unwrap_or(next.doc);
        if next == current {
            return Ok(current);
        }
        next.version += 1;
        next.updated_ms = self.now_ms();
        const SQL: &str = "UPDATE accounts SET name = ?2, status = ?3, version = ?4, updated_ms = ?5, doc = ?6 \
             WHERE id = ?1";
        let params = params![id, next.name, next.status, next.version as i64, next.updated_ms, next.doc];
        sql::run(self.connection, "change an account", SQL, params)?;
        self.serves();
        Ok(next)
    }
}
