//! The contacts themselves: what lists say of them, who is erased, what is kept of one person.

use super::files::{self, Places};
use super::seal::{self, Whose};
use super::{Channel, ContactsError, database};
use crate::model::ids::UserKey;
use parking_lot::{Mutex, MutexGuard};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::path::Path;

/// How long a consent that ended is remembered, in seconds: 30 days, so that a list can say why somebody is not on it.
const ENDED_KEPT_S: i64 = 30 * 86_400;
/// How long a withdrawal is remembered, in seconds: 400 days, so that no older list brings the contact back.
const WITHDRAWN_KEPT_S: i64 = 400 * 86_400;
/// How often what is over is looked for, in seconds: it is found by walking everything.
const TIDY_S: i64 = 3_600;

pub(super) const GIVEN: u8 = 1;
pub(super) const WITHDRAWN: u8 = 2;

/// See the module. One caller at a time.
#[derive(Debug)]
pub struct Contacts {
    state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    /// `None` until there is a first contact.
    pub(super) connection: Option<Connection>,
    /// Where to make the files; `None` = in memory.
    places: Option<Places>,
    /// Who could not be erased when that was asked; nothing is shown of them.
    pub(super) unerased: Vec<UserKey>,
    /// When what is over was looked for last, in Unix seconds.
    tidied_s: i64,
}

/// What was found when the files were opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Contacts of people who had been erased since: an older copy was put back.
    pub erased_again: u64,
    /// Contacts whose keys had been destroyed since, by a withdrawal or another address; nobody can read them, and they are gone.
    pub without_key: u64,
}

/// What somebody said about being reached.
#[derive(Clone, Copy, Debug)]
pub struct Said<'s> {
    /// Who.
    pub person: UserKey,
    /// In which way.
    pub channel: Channel,
    /// Whether.
    pub consent: Consent<'s>,
    /// When it was said, in Unix seconds.
    pub at_s: i64,
    /// When it ends; `None` = it does not.
    pub expires_s: Option<i64>,
}

/// Whether somebody may be reached.
#[derive(Clone, Copy, Debug)]
pub enum Consent<'s> {
    /// Yes, at this address.
    Given(&'s str),
    /// No, and what was known is destroyed.
    Withdrawn,
}

/// What became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Noted {
    /// There was no such contact.
    Added,
    /// It has another address, time or end.
    Changed,
    /// It is withdrawn from now on.
    Withdrawn,
    /// It was so already, or something newer is known.
    Unchanged,
}

/// A contact of somebody, without its address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shown {
    /// Whose list it was in.
    pub account: u32,
    /// In which way.
    pub channel: Channel,
    /// Whether it was given, and not withdrawn.
    pub is_given: bool,
    /// When that was said, in Unix seconds.
    pub at_s: i64,
    /// When it ends.
    pub expires_s: Option<i64>,
}

impl Contacts {
    /// Contacts that are gone with the value, for demonstrations and tests.
    pub fn in_memory() -> Contacts {
        Contacts {
            state: Mutex::new(State { connection: None, places: None, unerased: Vec::new(), tidied_s: 0 }),
        }
    }

    /// Opens what lies in a data directory, whose lock the caller holds; where nothing does, files are made with the first
    /// contact. `erased` are those who were erased at these seconds: contacts that were written before are erased again, because
    /// they come from an older copy.
    ///
    /// # Errors
    /// One of the files is missing, damaged or of another pair.
    pub fn open(
        dir: &Path,
        erased: impl IntoIterator<Item = (UserKey, i64)>,
    ) -> Result<(Contacts, Opened), ContactsError> {
        let places = Places::of(dir);
        let mut connection = if places.exist()? { Some(places.open()?) } else { None };
        let mut opened = Opened::default();
        if let Some(connection) = &mut connection {
            let again = || -> rusqlite::Result<Opened> {
                let transaction = connection.transaction()?;
                let mut opened = Opened::default();
                for (person, at_s) in erased {
                    opened.erased_again += erase(&transaction, person, Some(at_s))?;
                }
                let without_key = transaction.execute(
                    "DELETE FROM contacts WHERE state = 1 AND NOT EXISTS (SELECT 1 FROM keys k WHERE
                     k.person = contacts.person AND k.account = contacts.account AND k.channel = contacts.channel)",
                    [],
                )?;
                transaction.commit()?;
                Ok(Opened { without_key: without_key as u64, ..opened })
            };
            opened = again().map_err(database("erase"))?;
        }
        let state = State { connection, places: Some(places), unerased: Vec::new(), tidied_s: 0 };
        Ok((Contacts { state: Mutex::new(state) }, opened))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Notes what some people of an account said, all of it or nothing; a trial tells the same and notes nothing. Durable when
    /// it returns.
    ///
    /// # Errors
    /// A file cannot be made or written.
    pub fn note(
        &self,
        account: u32,
        said: &[Said<'_>],
        now_s: i64,
        dry: bool,
    ) -> Result<Vec<Noted>, ContactsError> {
        let mut state = self.state.lock();
        let mut nowhere = None;
        let connection = match &state.connection {
            // A trial makes no files.
            None if dry => nowhere.insert(files::in_memory()?),
            _ => state.made()?,
        };
        let transaction = connection.transaction().map_err(database("begin to write"))?;
        let noted = said.iter().map(|said| note_one(&transaction, account, said, now_s));
        let noted = noted.collect::<Result<Vec<Noted>, ContactsError>>()?;
        if !dry {
            transaction.commit().map_err(database("write"))?;
        }
        Ok(noted)
    }

    /// Erases everything of these people, in every account; how many contacts those were. Durable when it returns. Where a
    /// disk refuses, nothing is shown of them any more all the same, and the next call tries again.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn erase(&self, people: &[UserKey]) -> Result<u64, ContactsError> {
        let mut state = self.state.lock();
        let mut all = std::mem::take(&mut state.unerased);
        all.extend_from_slice(people);
        if all.is_empty() {
            return Ok(0);
        }
        let Some(connection) = &mut state.connection else { return Ok(0) };
        let mut done = || -> rusqlite::Result<u64> {
            let transaction = connection.transaction()?;
            let mut count = 0;
            for person in &all {
                count += erase(&transaction, *person, None)?;
            }
            transaction.commit()?;
            Ok(count)
        };
        let done = done().map_err(database("erase"));
        if done.is_err() {
            state.unerased = all;
        }
        done
    }

    /// What is kept of somebody, by account and channel.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn of(&self, person: UserKey) -> Result<Vec<Shown>, ContactsError> {
        let state = self.state.lock();
        let Some(connection) = state.connection.as_ref().filter(|_| !state.unerased.contains(&person)) else {
            return Ok(Vec::new());
        };
        let read = || -> rusqlite::Result<Vec<Shown>> {
            let mut statement = connection.prepare_cached(
                "SELECT account, channel, state, at_s, expires_s FROM contacts WHERE person = ?1 ORDER BY account, channel",
            )?;
            let rows = statement.query_map([person.0.cast_signed()], |row| {
                let channel = channel(row, 1)?;
                let is_given = row.get::<_, u8>(2)? == GIVEN;
                Ok(Shown {
                    account: row.get(0)?,
                    channel,
                    is_given,
                    at_s: row.get(3)?,
                    expires_s: row.get(4)?,
                })
            })?;
            rows.collect()
        };
        read().map_err(database("read"))
    }

    /// Removes what is over: consents that ended some time ago, withdrawals that no list can be older than, lists that nobody
    /// has taken in time. Who could not be erased is tried again.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn tidy(&self, now_s: i64) -> Result<(), ContactsError> {
        self.erase(&[])?;
        let mut state = self.state.lock();
        if now_s.saturating_sub(state.tidied_s) < TIDY_S {
            return Ok(());
        }
        state.tidied_s = now_s;
        let Some(connection) = &mut state.connection else { return Ok(()) };
        let mut done = || -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            let over = "((state = 1 AND expires_s <= ?1) OR (state = 2 AND at_s <= ?2))";
            let limits = params![now_s - ENDED_KEPT_S, now_s - WITHDRAWN_KEPT_S];
            transaction.execute(
                &format!(
                    "DELETE FROM keys WHERE (person, account, channel) IN
                     (SELECT person, account, channel FROM contacts WHERE {over})"
                ),
                limits,
            )?;
            transaction.execute(&format!("DELETE FROM contacts WHERE {over}"), limits)?;
            let unwanted = "SELECT job FROM exports WHERE until_s <= ?1";
            transaction.execute(&format!("DELETE FROM chosen WHERE job IN ({unwanted})"), [now_s])?;
            transaction.execute("DELETE FROM exports WHERE until_s <= ?1", [now_s])?;
            transaction.commit()
        };
        done().map_err(database("remove what is over"))
    }
}

impl State {
    /// The files, which are made where they are not there.
    pub(super) fn made(&mut self) -> Result<&mut Connection, ContactsError> {
        let connection = match (self.connection.take(), &self.places) {
            (Some(connection), _) => connection,
            (None, Some(places)) => places.make()?,
            (None, None) => files::in_memory()?,
        };
        Ok(self.connection.insert(connection))
    }
}

pub(super) fn channel(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Channel> {
    let number: u8 = row.get(at)?;
    Channel::of(number).ok_or(rusqlite::Error::IntegralValueOutOfRange(at, number.into()))
}

/// What is known of a contact.
struct Known {
    state: u8,
    at_s: i64,
    expires_s: Option<i64>,
    sealed: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
}

fn known(transaction: &Transaction<'_>, whose: Whose) -> rusqlite::Result<Option<Known>> {
    let mut statement = transaction.prepare_cached(
        "SELECT c.state, c.at_s, c.expires_s, c.sealed, k.key FROM contacts c LEFT JOIN keys k
         ON k.person = c.person AND k.account = c.account AND k.channel = c.channel
         WHERE c.account = ?1 AND c.channel = ?2 AND c.person = ?3",
    )?;
    let place = params![whose.account, whose.channel as u8, whose.person.0.cast_signed()];
    let found = statement.query_row(place, |row| {
        let (state, at_s, expires_s) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Known { state, at_s, expires_s, sealed: row.get(3)?, key: row.get(4)? })
    });
    found.optional()
}

fn note_one(
    transaction: &Transaction<'_>,
    account: u32,
    said: &Said<'_>,
    now_s: i64,
) -> Result<Noted, ContactsError> {
    let Said { person, channel, consent, at_s, expires_s } = *said;
    let whose = Whose { account, channel, person };
    let known = known(transaction, whose).map_err(database("read"))?;
    let was_given = known.as_ref().is_some_and(|known| known.state == GIVEN);
    // Of two words of one moment the no counts.
    let is_overtaken = |known: &Known| known.at_s > at_s || (known.at_s == at_s && !was_given);
    if known.as_ref().is_some_and(is_overtaken) {
        return Ok(Noted::Unchanged);
    }
    let Consent::Given(address) = consent else {
        forget_key(transaction, whose).map_err(database("destroy a key"))?;
        let row = Written { state: WITHDRAWN, at_s, expires_s: None, now_s, sealed: None };
        write(transaction, whose, &row).map_err(database("write"))?;
        return Ok(if known.is_some() && !was_given { Noted::Unchanged } else { Noted::Withdrawn });
    };
    let before = match known.as_ref().filter(|_| was_given) {
        Some(Known { sealed: Some(sealed), key: Some(key), .. }) => Some(seal::open(whose, key, sealed)?),
        _ => None,
    };
    let is_same_address = before.as_deref() == Some(address);
    if let Some(known) = known.as_ref().filter(|_| is_same_address)
        && (known.at_s, known.expires_s) == (at_s, expires_s)
    {
        return Ok(Noted::Unchanged);
    }
    let sealed = if is_same_address {
        known.and_then(|known| known.sealed)
    } else {
        let (key, sealed) = seal::seal(whose, address)?;
        keep_key(transaction, whose, &key).map_err(database("keep a key"))?;
        Some(sealed)
    };
    let row = Written { state: GIVEN, at_s, expires_s, now_s, sealed };
    write(transaction, whose, &row).map_err(database("write"))?;
    Ok(if was_given { Noted::Changed } else { Noted::Added })
}

struct Written {
    state: u8,
    at_s: i64,
    expires_s: Option<i64>,
    now_s: i64,
    sealed: Option<Vec<u8>>,
}

fn write(transaction: &Transaction<'_>, whose: Whose, row: &Written) -> rusqlite::Result<()> {
    let Written { state, at_s, expires_s, now_s, sealed } = row;
    let person = whose.person.0.cast_signed();
    let values = params![whose.account, whose.channel as u8, person, state, at_s, expires_s, now_s, sealed];
    let mut statement = transaction.prepare_cached(
        "INSERT OR REPLACE INTO contacts (account, channel, person, state, at_s, expires_s, written_s, sealed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    statement.execute(values).map(drop)
}

fn keep_key(transaction: &Transaction<'_>, whose: Whose, key: &[u8]) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO keys (person, account, channel, key) VALUES (?1, ?2, ?3, ?4)";
    let values = params![whose.person.0.cast_signed(), whose.account, whose.channel as u8, key];
    transaction.prepare_cached(sql)?.execute(values).map(drop)
}

fn forget_key(transaction: &Transaction<'_>, whose: Whose) -> rusqlite::Result<()> {
    let sql = "DELETE FROM keys WHERE person = ?1 AND account = ?2 AND channel = ?3";
    let values = params![whose.person.0.cast_signed(), whose.account, whose.channel as u8];
    transaction.prepare_cached(sql)?.execute(values).map(drop)
}

/// Erases somebody; with a second, what was written until then.
fn erase(transaction: &Transaction<'_>, person: UserKey, until_s: Option<i64>) -> rusqlite::Result<u64> {
    let (person, until_s) = (person.0.cast_signed(), until_s.unwrap_or(i64::MAX));
    let run = |sql: &str| transaction.prepare_cached(sql)?.execute(params![person, until_s]);
    run("DELETE FROM keys WHERE person = ?1 AND (account, channel) IN
         (SELECT account, channel FROM contacts WHERE person = ?1 AND written_s <= ?2)")?;
    let erased = run("DELETE FROM contacts WHERE person = ?1 AND written_s <= ?2")?;
    if erased > 0 {
        transaction.prepare_cached("DELETE FROM chosen WHERE person = ?1")?.execute([person])?;
    }
    Ok(erased as u64)
}
