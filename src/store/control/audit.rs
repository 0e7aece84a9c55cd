//! The history: who changed what, when, from where.
//!
//! Invariant: an entry is written in the transaction of the change that it tells of, and never changes; entries go
//! only from the old end, by [`Write::forget_audit`]. Triggers in the file see to both. What may not be read by
//! everyone who reads the history (secrets, hashes) is left out by the caller.

use super::cursor::{Cursor, SortKey, fingerprint};
use super::error::ControlError;
use super::sql::{self, Statement, names};
use super::transaction::{Read, Write};
use rusqlite::params;
use serde_json::{Map, Value};

names! {
    /// What someone who changes things is.
    ActorKind {
        /// A person.
        User = "user",
        /// A program with a key.
        Key = "key",
        /// The server itself, or its command line.
        System = "system",
    }
}

names! {
    /// By which way a change came.
    Source {
        /// A program, by the API.
        Api = "api",
        /// A person, in the console.
        Ui = "ui",
        /// An import.
        Csv = "csv",
        /// The command line.
        Cli = "cli",
        /// The server itself.
        System = "system",
    }
}

/// Who changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// What it is.
    pub kind: ActorKind,
    /// Its id among users or keys.
    pub id: Option<u32>,
    /// As it was called then.
    pub display: String,
}

/// An entry to be written.
#[derive(Clone, Debug)]
pub struct NewEntry {
    /// The tenant that it concerns.
    pub account: u32,
    /// Who did it.
    pub actor: Actor,
    /// By which way.
    pub source: Source,
    /// The request's id.
    pub request_id: Option<String>,
    /// What was done, such as `update`.
    pub action: String,
    /// To what: a resource's kind, or `user`, `account`, `api_key`.
    pub kind: String,
    /// To which one.
    pub resource: Option<u32>,
    /// Its version afterwards.
    pub version_after: Option<u64>,
    /// What it was, see [`diff`].
    pub before: Value,
    /// What it became.
    pub after: Value,
}

/// An entry as it is stored.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Ascending, never used again.
    pub id: i64,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// What.
    pub entry: NewEntry,
}

/// Which entries, newest first.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// Of one tenant.
    pub account: Option<u32>,
    /// Of one kind of thing.
    pub kind: Option<String>,
    /// Of one thing of that kind.
    pub resource: Option<u32>,
    /// By one actor: its kind and id.
    pub actor: Option<(ActorKind, Option<u32>)>,
    /// Of one action.
    pub action: Option<String>,
    /// Not before this moment.
    pub from_ms: Option<i64>,
    /// Before this moment.
    pub to_ms: Option<i64>,
    /// Behind the last entry of the page before.
    pub after: Option<Cursor>,
    /// At most so many.
    pub limit: usize,
}

impl AuditQuery {
    /// The cursor behind `entry`, the last one of a page of this query.
    pub fn cursor(&self, entry: &Entry) -> Cursor {
        Cursor::new(self.fingerprint(), SortKey::Number(entry.at_ms), entry.id)
    }

    fn fingerprint(&self) -> [u8; 8] {
        let AuditQuery { account, kind, resource, actor, action, from_ms, to_ms, after: _, limit: _ } = self;
        fingerprint(&format!(
            "audit {account:?} {kind:?} {resource:?} {actor:?} {action:?} {from_ms:?} {to_ms:?}"
        ))
    }
}

/// What differs between two JSON values: of objects only the members that do, on each side those it has, and so on
/// inside them; anything else whole. Equal values give two empty objects.
pub fn diff(before: &Value, after: &Value) -> (Value, Value) {
    match (before, after) {
        _ if before == after => (Value::Object(Map::new()), Value::Object(Map::new())),
        (Value::Object(old), Value::Object(new)) => {
            let (mut gone, mut come) = (Map::new(), Map::new());
            for (name, was) in old {
                match new.get(name) {
                    Some(is) if is == was => {}
                    Some(is) => {
                        let (was, is) = diff(was, is);
                        gone.insert(name.clone(), was);
                        come.insert(name.clone(), is);
                    }
                    None => drop(gone.insert(name.clone(), was.clone())),
                }
            }
            let added = new.iter().filter(|(name, _)| !old.contains_key(*name));
            come.extend(added.map(|(name, is)| (name.clone(), is.clone())));
            (Value::Object(gone), Value::Object(come))
        }
        _ => (before.clone(), after.clone()),
    }
}

fn entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<Entry> {
    let json = |column: usize| {
        serde_json::from_str(row.get_ref(column)?.as_str()?).map_err(|why| {
            rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(why))
        })
    };
    Ok(Entry {
        id: row.get(0)?,
        at_ms: row.get(1)?,
        entry: NewEntry {
            account: row.get(2)?,
            actor: Actor { kind: row.get(3)?, id: row.get(4)?, display: row.get(5)? },
            source: row.get(6)?,
            request_id: row.get(7)?,
            action: row.get(8)?,
            kind: row.get(9)?,
            resource: row.get(10)?,
            version_after: row.get::<_, Option<i64>>(11)?.map(|version| version as u64),
            before: json(12)?,
            after: json(13)?,
        },
    })
}

impl Read<'_> {
    /// One page of the history, newest first.
    pub fn audit(&self, query: &AuditQuery) -> Result<Vec<Entry>, ControlError> {
        const ALL: &str = "SELECT id, at_ms, account, actor_kind, actor, actor_name, source, request_id, action, \
             kind, resource, version_after, before, after FROM audit WHERE 1";
        let mut sql = Statement::new(ALL.to_owned());
        // One index serves a page; a `+` keeps the others out of the choice.
        let one = query.resource.is_some();
        if let Some(account) = query.account {
            let narrow = one || query.actor.is_some();
            sql.and(if narrow { "+account = ?" } else { "account = ?" }, account);
        }
        if let Some(kind) = &query.kind {
            sql.and(if one { "kind = ?" } else { "+kind = ?" }, kind);
        }
        if let Some(resource) = query.resource {
            sql.and("resource = ?", resource);
        }
        if let Some((kind, id)) = &query.actor {
            sql.and(if one { "+actor_kind = ?" } else { "actor_kind = ?" }, kind);
            sql.and("actor IS ?", id);
        }
        if let Some(action) = &query.action {
            sql.and("action = ?", action);
        }
        if let Some(from_ms) = query.from_ms {
            sql.and("at_ms >= ?", from_ms);
        }
        if let Some(to_ms) = query.to_ms {
            sql.and("at_ms < ?", to_ms);
        }
        if let Some(after) = &query.after {
            after.check(query.fingerprint())?;
            sql.and("(at_ms, id) < (?, ?)", &after.at);
            sql.value(after.id);
        }
        sql.text.push_str(" ORDER BY at_ms DESC, id DESC LIMIT ?");
        sql.value(i64::try_from(query.limit).unwrap_or(i64::MAX));
        sql::many(self.connection, "list the history", &sql.text, sql.params(), entry)
    }
}

impl Write<'_> {
    /// Writes an entry; its id.
    pub fn add_audit(&mut self, new: &NewEntry) -> Result<i64, ControlError> {
        const SQL: &str = "INSERT INTO audit (at_ms, account, actor_kind, actor, actor_name, source, request_id, \
             action, kind, resource, version_after, before, after) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) RETURNING id";
        let params = params![
            self.now_ms(),
            new.account,
            new.actor.kind,
            new.actor.id,
            new.actor.display,
            new.source,
            new.request_id,
            new.action,
            new.kind,
            new.resource,
            new.version_after.map(|version| version as i64),
            new.before.to_string(),
            new.after.to_string()
        ];
        sql::only(self.connection, "write the history", SQL, params, |row| row.get(0))
    }

    /// Removes the entries from before a moment, at most `limit` of them; how many there were. The moment only ever
    /// moves forward.
    pub fn forget_audit(&mut self, before_ms: i64, limit: usize) -> Result<usize, ControlError> {
        const ACTION: &str = "remove old history";
        const OPEN: &str = "UPDATE audit_retention SET before_ms = max(before_ms, ?1)";
        sql::run(self.connection, ACTION, OPEN, [before_ms])?;
        const SQL: &str = "DELETE FROM audit WHERE id IN \
             (SELECT id FROM audit WHERE at_ms < ?1 ORDER BY at_ms, id LIMIT ?2)";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        sql::run(self.connection, ACTION, SQL, params![before_ms, limit])
    }
}
