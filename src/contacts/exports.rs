//! Lists that somebody takes away: who was chosen for one, and handing it over, once.
//!
//! What is kept of a list is who was chosen, as keyed hashes, and not what is on it: addresses are opened while it is handed
//! over, of those whose consent is in force then.

use super::seal::{self, Whose};
use super::store::{Contacts, GIVEN, channel};
use super::{Channel, ContactsError, database};
use crate::model::ids::UserKey;
use rusqlite::{OptionalExtension, params};

/// What is known of a contact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Held {
    /// Consent is in force.
    Given,
    /// It has ended.
    Ended,
    /// It was withdrawn.
    Withdrawn,
}

/// A list that is being handed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Taken {
    job: u32,
    account: u32,
    channel: Channel,
    now_s: i64,
    /// How many are on it now.
    pub count: u64,
}

/// Why a list is not handed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotTaken {
    /// It was, at this second.
    Before(i64),
    /// It is not there, or not any more.
    Gone,
}

/// Somebody on a list.
#[derive(Clone, PartialEq, Eq)]
pub struct Exported {
    /// Who.
    pub person: UserKey,
    /// Where to reach them.
    pub address: String,
    /// When consent was given, in Unix seconds.
    pub at_s: i64,
    /// When it ends.
    pub expires_s: Option<i64>,
}

impl std::fmt::Debug for Exported {
    /// Without the address.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exported").field("person", &self.person).finish_non_exhaustive()
    }
}

impl Contacts {
    /// Everybody of whom an account knows something in a channel, in order.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn held(
        &self,
        account: u32,
        channel: Channel,
        now_s: i64,
    ) -> Result<Vec<(UserKey, Held)>, ContactsError> {
        let state = self.state();
        let Some(connection) = &state.connection else { return Ok(Vec::new()) };
        let read = || -> rusqlite::Result<Vec<(UserKey, Held)>> {
            let mut statement = connection.prepare_cached(
                "SELECT person, state, expires_s FROM contacts WHERE account = ?1 AND channel = ?2",
            )?;
            let rows = statement.query_map(params![account, channel as u8], |row| {
                let (state, expires_s): (u8, Option<i64>) = (row.get(1)?, row.get(2)?);
                let held = match state {
                    GIVEN if expires_s.is_none_or(|expires_s| expires_s > now_s) => Held::Given,
                    GIVEN => Held::Ended,
                    _ => Held::Withdrawn,
                };
                Ok((UserKey(row.get::<_, i64>(0)?.cast_unsigned()), held))
            })?;
            rows.collect()
        };
        let mut held = read().map_err(database("read"))?;
        held.retain(|(person, _)| !state.unerased.contains(person));
        held.sort_unstable_by_key(|(person, _)| *person);
        Ok(held)
    }

    /// Keeps who was chosen for the list of a job, until `until_s`. Durable when it returns.
    ///
    /// # Errors
    /// A file cannot be made or written.
    pub fn choose(
        &self,
        job: u32,
        (account, channel): (u32, Channel),
        people: &[UserKey],
        until_s: i64,
    ) -> Result<(), ContactsError> {
        let mut state = self.state();
        let connection = state.made()?;
        let mut done = || -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            transaction.execute("DELETE FROM chosen WHERE job = ?1", [job])?;
            transaction.execute(
                "INSERT OR REPLACE INTO exports (job, account, channel, until_s) VALUES (?1, ?2, ?3, ?4)",
                params![job, account, channel as u8, until_s],
            )?;
            {
                let sql = "INSERT OR IGNORE INTO chosen (job, person) VALUES (?1, ?2)";
                let mut statement = transaction.prepare_cached(sql)?;
                for person in people {
                    statement.execute(params![job, person.0.cast_signed()])?;
                }
            }
            transaction.commit()
        };
        done().map_err(database("keep a list"))
    }

    /// Begins to hand the list of a job over, which nobody can do again.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn take(&self, job: u32, now_s: i64) -> Result<Result<Taken, NotTaken>, ContactsError> {
        let mut state = self.state();
        let Some(connection) = &mut state.connection else { return Ok(Err(NotTaken::Gone)) };
        let mut take = || -> rusqlite::Result<Result<Taken, NotTaken>> {
            let transaction = connection.transaction()?;
            let sql = "SELECT account, channel, until_s, taken_s FROM exports WHERE job = ?1";
            let found = transaction.query_row(sql, [job], |row| {
                let (until_s, taken_s): (i64, Option<i64>) = (row.get(2)?, row.get(3)?);
                Ok((row.get::<_, u32>(0)?, channel(row, 1)?, until_s, taken_s))
            });
            let (account, channel) = match found.optional()? {
                Some((.., Some(taken_s))) => return Ok(Err(NotTaken::Before(taken_s))),
                Some((account, channel, until_s, None)) if until_s > now_s => (account, channel),
                _ => return Ok(Err(NotTaken::Gone)),
            };
            let sql = "SELECT count(*) FROM chosen c JOIN contacts k ON k.person = c.person WHERE c.job = ?1
                       AND k.account = ?2 AND k.channel = ?3 AND k.state = 1 AND (k.expires_s IS NULL OR k.expires_s > ?4)";
            let count: i64 =
                transaction.query_row(sql, params![job, account, channel as u8, now_s], |row| row.get(0))?;
            transaction.execute("UPDATE exports SET taken_s = ?2 WHERE job = ?1", params![job, now_s])?;
            transaction.commit()?;
            Ok(Ok(Taken { job, account, channel, now_s, count: count.cast_unsigned() }))
        };
        take().map_err(database("take a list"))
    }

    /// Some people on a list, those behind `after`, and behind whom the next ones are; `None` is the end. Whose consent has gone
    /// since the list was chosen is not among them.
    ///
    /// # Errors
    /// A file cannot be read, or an address cannot be opened.
    pub fn page(
        &self,
        taken: &Taken,
        after: Option<UserKey>,
        limit: usize,
    ) -> Result<(Vec<Exported>, Option<UserKey>), ContactsError> {
        let Taken { job, account, channel, now_s, .. } = *taken;
        let state = self.state();
        let Some(connection) = &state.connection else { return Ok((Vec::new(), None)) };
        type Row = (i64, Vec<u8>, Vec<u8>, i64, Option<i64>);
        let read = || -> rusqlite::Result<Vec<Row>> {
            let mut statement = connection.prepare_cached(
                "SELECT c.person, s.key, k.sealed, k.at_s, k.expires_s FROM chosen c
                 JOIN contacts k ON k.person = c.person AND k.account = ?2 AND k.channel = ?3
                 JOIN keys s ON s.person = c.person AND s.account = ?2 AND s.channel = ?3
                 WHERE c.job = ?1 AND (?5 IS NULL OR c.person > ?5) AND k.state = 1
                 AND (k.expires_s IS NULL OR k.expires_s > ?4) ORDER BY c.person LIMIT ?6",
            )?;
            let (after, limit) = (after.map(|after| after.0.cast_signed()), limit as i64);
            let values = params![job, account, channel as u8, now_s, after, limit];
            let rows = statement.query_map(values, |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
            })?;
            rows.collect()
        };
        let rows = read().map_err(database("read a list"))?;
        let next = if rows.len() < limit { None } else { rows.last() };
        let next = next.map(|(person, ..)| UserKey(person.cast_unsigned()));
        let is_shown = |row: &Row| !state.unerased.contains(&UserKey(row.0.cast_unsigned()));
        let opened = rows.into_iter().filter(is_shown).map(|(person, key, sealed, at_s, expires_s)| {
            let person = UserKey(person.cast_unsigned());
            let address = seal::open(Whose { account, channel, person }, &key, &sealed)?;
            Ok(Exported { person, address, at_s, expires_s })
        });
        Ok((opened.collect::<Result<_, ContactsError>>()?, next))
    }

    /// Forgets who was chosen for a list that was handed over; that it was is known until its time is over.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn forget_list(&self, taken: &Taken) -> Result<(), ContactsError> {
        let state = self.state();
        let Some(connection) = &state.connection else { return Ok(()) };
        let done = connection.execute("DELETE FROM chosen WHERE job = ?1", [taken.job]);
        done.map(drop).map_err(database("forget a list"))
    }
}
