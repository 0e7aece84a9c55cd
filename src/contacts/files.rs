//! The two files: what is sealed, and the keys. They are made together, know each other by a number that was drawn then, and
//! are one database to whoever works with them.

use super::{ContactsError, database};
use rand::TryRng as _;
use rusqlite::{Connection, params};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const VERSION: i64 = 1;
/// Readable for the owner alone.
const MODE: u32 = 0o600;

/// Times are seconds since the Unix epoch, a person is the 64 bits of its key. `state` is 1 for given and 2 for withdrawn,
/// which has nothing sealed.
const CONTACTS: &str = "
    CREATE TABLE pair (id BLOB NOT NULL);
    CREATE TABLE contacts (
        account INTEGER NOT NULL, channel INTEGER NOT NULL, person INTEGER NOT NULL, state INTEGER NOT NULL,
        at_s INTEGER NOT NULL, expires_s INTEGER, written_s INTEGER NOT NULL, sealed BLOB,
        PRIMARY KEY (account, channel, person)
    ) WITHOUT ROWID;
    CREATE INDEX of_person ON contacts (person);
    CREATE TABLE exports (
        job INTEGER PRIMARY KEY, account INTEGER NOT NULL, channel INTEGER NOT NULL, until_s INTEGER NOT NULL,
        taken_s INTEGER
    );
    CREATE TABLE chosen (
        job INTEGER NOT NULL, person INTEGER NOT NULL, PRIMARY KEY (job, person)
    ) WITHOUT ROWID;
    CREATE INDEX chosen_person ON chosen (person);
";
const KEYS: &str = "
    CREATE TABLE secret.pair (id BLOB NOT NULL);
    CREATE TABLE secret.keys (
        person INTEGER NOT NULL, account INTEGER NOT NULL, channel INTEGER NOT NULL, key BLOB NOT NULL,
        PRIMARY KEY (person, account, channel)
    ) WITHOUT ROWID;
";

/// Where the two lie.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub(super) contacts: PathBuf,
    pub(super) keys: PathBuf,
}

impl Places {
    /// In a data directory.
    pub(super) fn of(dir: &Path) -> Places {
        Places { contacts: dir.join("contacts.db"), keys: dir.join("keys/contacts.db") }
    }

    /// Whether there is anything; both files are, or neither.
    pub(super) fn exist(&self) -> Result<bool, ContactsError> {
        let Places { contacts, keys } = self;
        let is_blank = std::fs::metadata(keys).is_ok_and(|about| about.len() == 0);
        if is_blank && !contacts.exists() {
            // It is made first, and a crash came before the other one was.
            return Ok(false);
        }
        let missing = |missing: &PathBuf, there: &PathBuf| ContactsError::Missing {
            missing: missing.clone(),
            there: there.clone(),
        };
        match (contacts.exists(), keys.exists()) {
            (true, false) => Err(missing(keys, contacts)),
            (false, true) => Err(missing(contacts, keys)),
            (both, _) => Ok(both),
        }
    }

    /// Opens what is there.
    pub(super) fn open(&self) -> Result<Connection, ContactsError> {
        let (connection, read) = (self.connect()?, database("read"));
        let version = |of: &str| -> Result<i64, ContactsError> {
            connection.pragma_query_value(Some(of), "user_version", |row| row.get(0)).map_err(&read)
        };
        let versions = (version("main")?, version("secret")?);
        if versions == (0, 0) {
            // A crash came before the tables were made.
            fill(&connection)?;
            return Ok(connection);
        }
        for (found, path) in [(versions.0, &self.contacts), (versions.1, &self.keys)] {
            if found > VERSION {
                let path = path.clone();
                return Err(ContactsError::Version { path, found, supported: VERSION });
            }
        }
        let pair = |of: &str| -> Result<Vec<u8>, ContactsError> {
            connection.query_row(&format!("SELECT id FROM {of}.pair"), [], |row| row.get(0)).map_err(&read)
        };
        if versions != (VERSION, VERSION) || pair("main")? != pair("secret")? {
            let Places { contacts, keys } = self.clone();
            return Err(ContactsError::OtherKeys { contacts, keys });
        }
        Ok(connection)
    }

    /// Makes both.
    pub(super) fn make(&self) -> Result<Connection, ContactsError> {
        for path in [&self.keys, &self.contacts] {
            let made = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(path);
            let durable = made.and_then(|file| {
                file.sync_all()?;
                path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
            });
            durable.map_err(|source| ContactsError::Create { path: path.clone(), source })?;
        }
        let connection = self.connect()?;
        fill(&connection)?;
        Ok(connection)
    }

    fn connect(&self) -> Result<Connection, ContactsError> {
        let connection = Connection::open(&self.contacts).map_err(database("open a file"))?;
        attach(&connection, &self.keys)?;
        Ok(connection)
    }
}

/// Both in memory.
pub(super) fn in_memory() -> Result<Connection, ContactsError> {
    let connection = Connection::open_in_memory().map_err(database("open a file"))?;
    attach(&connection, Path::new(":memory:"))?;
    fill(&connection)?;
    Ok(connection)
}

/// What is removed is overwritten with zeros, and a transaction over both files is one: with a rollback journal, which has
/// gone from the disk, name and all, when the transaction is answered.
fn attach(connection: &Connection, keys: &Path) -> Result<(), ContactsError> {
    let keys = keys.to_string_lossy();
    let done = connection.execute("ATTACH DATABASE ?1 AS secret", params![keys]).and_then(|_| {
        connection.execute_batch(
            "PRAGMA main.journal_mode = DELETE; PRAGMA secret.journal_mode = DELETE; PRAGMA main.synchronous = EXTRA;
             PRAGMA secret.synchronous = EXTRA; PRAGMA main.secure_delete = ON; PRAGMA secret.secure_delete = ON;
             PRAGMA temp_store = MEMORY;",
        )
    });
    done.map_err(database("open a file"))
}

fn fill(connection: &Connection) -> Result<(), ContactsError> {
    let mut id = [0_u8; 16];
    let filled = rand::rngs::SysRng.try_fill_bytes(&mut id);
    filled.map_err(|why| ContactsError::Random(why.to_string()))?;
    let made = || {
        let transaction = connection.unchecked_transaction()?;
        transaction.execute_batch(CONTACTS)?;
        transaction.execute_batch(KEYS)?;
        transaction.execute("INSERT INTO main.pair VALUES (?1)", params![id])?;
        transaction.execute("INSERT INTO secret.pair VALUES (?1)", params![id])?;
        transaction.pragma_update(Some("main"), "user_version", VERSION)?;
        transaction.pragma_update(Some("secret"), "user_version", VERSION)?;
        transaction.commit()
    };
    made().map_err(database("make the tables"))
}
