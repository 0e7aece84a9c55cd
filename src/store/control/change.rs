//! Making and changing resources.
//!
//! Invariant: a row's parent exists, is of the kind that [`Kind::parent`] says and belongs to the same account; an
//! external id stands for one row of its account and kind; an id is given once, and a version once per row.
//!
//! Deliberately absent: deleting (a resource is archived, its reports stay), and rules about which status may follow
//! which.

use super::error::ControlError;
use super::resource::{Kind, Row, Status, fold};
use super::sql;
use super::transaction::{Read, Write};
use rusqlite::params;

/// A resource to be made.
#[derive(Clone, Debug)]
pub struct New {
    /// What it is.
    pub kind: Kind,
    /// The id it must get, as an import has it; the next one otherwise.
    pub id: Option<u32>,
    /// Its tenant.
    pub account: u32,
    /// The id of its parent.
    pub parent: Option<u32>,
    /// For people.
    pub name: String,
    /// The customer's own id for it.
    pub external_id: Option<String>,
    /// Whether it may serve.
    pub status: Status,
    /// Its JSON document, which the caller has validated.
    pub doc: String,
}

/// What becomes of a row; `None` leaves a column as it is.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// A new name.
    pub name: Option<String>,
    /// A new status.
    pub status: Option<Status>,
    /// A new external id, or none any more.
    pub external_id: Option<Option<String>>,
    /// Another parent, or none any more.
    pub parent: Option<Option<u32>>,
    /// A new document, whole.
    pub doc: Option<String>,
}

/// Why a resource was not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is none.
    #[error("there is no {kind} {id}")]
    Missing {
        /// Of what kind.
        kind: Kind,
        /// Which one.
        id: u32,
    },
    /// The row was changed since the version that the caller knows.
    #[error("{} {} has version {} by now; read it again and repeat the change", current.kind, current.id, current.version)]
    Conflict {
        /// The row as it is.
        current: Box<Row>,
    },
    /// The wanted id is taken.
    #[error("{kind} {id} exists already")]
    Exists {
        /// Of what kind.
        kind: Kind,
        /// Which one.
        id: u32,
    },
    /// The external id is another row's.
    #[error("{kind} {by} has the external id {external_id:?} already")]
    ExternalIdTaken {
        /// Of what kind.
        kind: Kind,
        /// Whose it is.
        by: u32,
        /// The external id.
        external_id: String,
    },
    /// The parent does not exist in this account, or the kind has none.
    #[error("{kind} cannot belong to {parent}: its account has no such parent for it")]
    NoParent {
        /// The child's kind.
        kind: Kind,
        /// The parent that was named.
        parent: u32,
    },
    /// The account does not exist, or a singleton was to belong to one.
    #[error("{kind} cannot be made in account {account}, which does not exist or cannot have one")]
    NoAccount {
        /// The kind.
        kind: Kind,
        /// The account that was named.
        account: u32,
    },
    /// 0 was to be an id.
    #[error("a {kind} cannot have the id 0; ids begin at 1")]
    ZeroId {
        /// The kind.
        kind: Kind,
    },
    /// Every id of the kind was given out.
    #[error("no id is left for another {kind}")]
    NoIdLeft {
        /// The kind.
        kind: Kind,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] ControlError),
}

impl Read<'_> {
    /// The resource of a tenant with an external id.
    pub fn by_external_id(
        &self,
        kind: Kind,
        account: u32,
        external_id: &str,
    ) -> Result<Option<u32>, ControlError> {
        const SQL: &str = "SELECT id FROM resource WHERE kind = ?1 AND external_id = ?2 AND account = ?3";
        let params = params![kind, external_id, account];
        sql::one(self.connection, "look for an external id", SQL, params, |row| row.get(0))
    }

    /// The id that [`Write::insert`] would give next: the first one behind the last that is not taken.
    pub fn coming_id(&self, kind: Kind) -> Result<u32, ChangeError> {
        if kind.is_singleton() {
            return Ok(1);
        }
        let mut last = self.last_id(kind)?;
        const SQL: &str = "SELECT 1 FROM resource WHERE kind = ?1 AND id = ?2";
        while last < kind.max_id() {
            last += 1;
            // Each taken id is passed once: the next one that is given out stands behind it.
            let taken = sql::one(self.connection, "look for an id", SQL, params![kind, last], |_| Ok(()))?;
            if taken.is_none() {
                return Ok(last);
            }
        }
        Err(ChangeError::NoIdLeft { kind })
    }

    /// Up to which id every one of a kind was given out; 0 where there was none.
    pub fn last_id(&self, kind: Kind) -> Result<u32, ControlError> {
        const LAST: &str = "SELECT last FROM resource_id WHERE kind = ?1";
        let last = sql::one(self.connection, "read the last id", LAST, [kind], |row| row.get::<_, u32>(0))?;
        Ok(last.unwrap_or(0))
    }
}

impl Change {
    /// The row with the change in it; version and time are as they were.
    pub fn applied_to(self, current: &Row) -> Row {
        apply(current, self)
    }
}

impl Write<'_> {
    /// Makes a resource, with version 1.
    pub fn insert(&mut self, new: New) -> Result<Row, ChangeError> {
        let New { kind, id, account, parent, name, external_id, status, doc } = new;
        self.check_account(kind, account)?;
        self.check_parent(kind, account, parent)?;
        self.check_external(kind, account, None, external_id.as_deref())?;
        let id = self.next_id(kind, id)?;
        let now_ms = self.now_ms();
        let made = Row {
            kind,
            id,
            account,
            parent,
            name,
            external_id,
            status,
            version: 1,
            created_ms: now_ms,
            updated_ms: now_ms,
            doc,
        };
        const SQL: &str = "INSERT INTO resource (kind, id, account, parent, name, folded, external_id, status, \
             version, created_ms, updated_ms, doc) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1, ?9, ?9, ?10)";
        let params = params![
            kind,
            id,
            account,
            parent,
            made.name,
            fold(&made.name),
            made.external_id,
            status,
            now_ms,
            made.doc
        ];
        sql::run(self.connection, "add a resource", SQL, params)?;
        self.serves();
        Ok(made)
    }

    /// Changes a resource, if it still has the version that the caller expects. Where nothing differs from what is
    /// there, nothing happens and the version stays.
    pub fn update(
        &mut self,
        kind: Kind,
        id: u32,
        expected_version: Option<u64>,
        change: Change,
    ) -> Result<Row, ChangeError> {
        let current = self.get(kind, id)?.ok_or(ChangeError::Missing { kind, id })?;
        if expected_version.is_some_and(|expected| expected != current.version) {
            return Err(ChangeError::Conflict { current: Box::new(current) });
        }
        let mut next = apply(&current, change);
        if next == current {
            return Ok(current);
        }
        if next.parent != current.parent {
            self.check_parent(kind, next.account, next.parent)?;
        }
        if next.external_id != current.external_id {
            self.check_external(kind, next.account, Some(id), next.external_id.as_deref())?;
        }
        next.version += 1;
        next.updated_ms = self.now_ms();
        const SQL: &str = "UPDATE resource SET parent = ?3, name = ?4, folded = ?5, external_id = ?6, status = ?7, \
             version = ?8, updated_ms = ?9, doc = ?10 WHERE kind = ?1 AND id = ?2";
        let params = params![
            kind,
            id,
            next.parent,
            next.name,
            fold(&next.name),
            next.external_id,
            next.status,
            next.version as i64,
            next.updated_ms,
            next.doc
        ];
        sql::run(self.connection, "change a resource", SQL, params)?;
        self.serves();
        Ok(next)
    }

    /// Makes a new version of a resource whose row is as it was, because something that belongs to it has changed.
    pub fn touch(&mut self, kind: Kind, id: u32) -> Result<Row, ChangeError> {
        let current = self.get(kind, id)?.ok_or(ChangeError::Missing { kind, id })?;
        let next = Row { version: current.version + 1, updated_ms: self.now_ms(), ..current };
        const SQL: &str = "UPDATE resource SET version = ?3, updated_ms = ?4 WHERE kind = ?1 AND id = ?2";
        let params = params![kind, id, next.version as i64, next.updated_ms];
        sql::run(self.connection, "mark a resource as changed", SQL, params)?;
        self.serves();
        Ok(next)
    }

    fn check_account(&self, kind: Kind, account: u32) -> Result<(), ChangeError> {
        const SQL: &str = "SELECT 1 FROM accounts WHERE id = ?1";
        let known = sql::one(self.connection, "look for an account", SQL, [account], |_| Ok(()))?.is_some();
        let fits = known && (account == 0 || !kind.is_singleton());
        if fits { Ok(()) } else { Err(ChangeError::NoAccount { kind, account }) }
    }

    fn check_parent(&self, kind: Kind, account: u32, parent: Option<u32>) -> Result<(), ChangeError> {
        let Some(parent) = parent else { return Ok(()) };
        const SQL: &str = "SELECT account FROM resource WHERE kind = ?1 AND id = ?2";
        let owner = match kind.parent() {
            Some(of) => sql::one(self.connection, "look for a parent", SQL, params![of, parent], |row| {
                row.get::<_, u32>(0)
            })?,
            None => None,
        };
        if owner == Some(account) { Ok(()) } else { Err(ChangeError::NoParent { kind, parent }) }
    }

    /// Refuses an external id that another row of the account has.
    fn check_external(
        &self,
        kind: Kind,
        account: u32,
        own: Option<u32>,
        external_id: Option<&str>,
    ) -> Result<(), ChangeError> {
        let Some(external_id) = external_id else { return Ok(()) };
        let by = self.by_external_id(kind, account, external_id)?;
        match by.filter(|by| Some(*by) != own) {
            Some(by) => Err(ChangeError::ExternalIdTaken { kind, by, external_id: external_id.to_owned() }),
            None => Ok(()),
        }
    }

    /// The id of a new row. A wanted one may be any that is free: imports bring their ids in any order. It moves what is
    /// given out next only where it would have been next, so that nobody who names ids can use up those of the others.
    fn next_id(&mut self, kind: Kind, wanted: Option<u32>) -> Result<u32, ChangeError> {
        let coming = match self.coming_id(kind) {
            // Then a wanted one may be left all the same.
            Err(ChangeError::NoIdLeft { .. }) => None,
            other => Some(other?),
        };
        let id = match wanted.filter(|_| !kind.is_singleton()) {
            Some(0) => return Err(ChangeError::ZeroId { kind }),
            Some(id) => id,
            None => coming.ok_or(ChangeError::NoIdLeft { kind })?,
        };
        if self.get(kind, id)?.is_some() {
            return Err(ChangeError::Exists { kind, id });
        }
        if coming == Some(id) {
            self.count_ids(kind, id)?;
        }
        Ok(id)
    }

    /// Leaves out ids up to the largest one of an account that comes from elsewhere, for ids that it has used and does not
    /// bring any more. Beyond half of what the kind has nothing is left out: what comes must not use up the rest.
    pub fn leave_out_ids(&mut self, kind: Kind, up_to: u32) -> Result<(), ControlError> {
        if up_to > kind.max_id() / 2 { Ok(()) } else { self.count_ids(kind, up_to) }
    }

    fn count_ids(&mut self, kind: Kind, last: u32) -> Result<(), ControlError> {
        const SQL: &str = "INSERT INTO resource_id VALUES (?1, ?2) \
             ON CONFLICT (kind) DO UPDATE SET last = max(last, excluded.last)";
        sql::run(self.connection, "give out an id", SQL, params![kind, last]).map(drop)
    }
}

/// The row with the change in it; version and time are as they were.
fn apply(current: &Row, change: Change) -> Row {
    let Change { name, status, external_id, parent, doc } = change;
    Row {
        name: name.unwrap_or_else(|| current.name.clone()),
        status: status.unwrap_or(current.status),
        external_id: external_id.unwrap_or_else(|| current.external_id.clone()),
        parent: parent.unwrap_or(current.parent),
        doc: doc.unwrap_or_else(|| current.doc.clone()),
        ..current.clone()
    }
}
