//! Who a record is of, so that it can be forgotten without finding and rewriting the record.
//!
//! The log and its backups never hold the key under which a person is known, but its hash under a key of the time: one
//! of [`BUCKETS`] for each period of 30 days, chosen by the person. Forgetting somebody destroys their keys of all periods.
//! Nobody can tell any more which of the old records were theirs, in the log or in any copy of it. Others of the same
//! bucket, one in 4,096, lose the thread of their old records as well; their new ones have a new key.
//!
//! Invariant: the keys lie apart from the logs (`keys/people-<period>.key`), so a copy of the one is none of the other.

use super::{EventsError, on};
use crate::model::event::{Event, NoticeEvent, Noticed, What};
use crate::model::ids::UserKey;
use parking_lot::Mutex;
use siphasher::sip::SipHasher24;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Keys of a period.
const BUCKETS: usize = 1 << BUCKET_BITS;
const BUCKET_BITS: u32 = 12;
/// A period: 30 days.
pub const PERIOD_MS: i64 = 30 * 86_400_000;
/// Keys of so many periods are kept: 400 days, as long as anything that names a person.
const KEPT: i64 = 14;
const KEY: usize = 16;
const MAGIC: &[u8; 8] = b"OUTBIDVK";
/// Readable for the owner alone.
const MODE: u32 = 0o600;

/// See the module.
#[derive(Debug)]
pub struct Veil {
    home: PathBuf,
    current: Mutex<Keys>,
}

struct Keys {
    period: i64,
    table: Box<[u8]>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("period", &self.period).finish_non_exhaustive()
    }
}

impl Veil {
    /// With the keys in `home`; those of the period of `now_ms` are made where there are none.
    ///
    /// # Errors
    /// A file cannot be read or written, or is damaged.
    pub fn open(home: &Path, now_ms: i64) -> Result<Veil, EventsError> {
        let keys = Keys::open(home, now_ms.div_euclid(PERIOD_MS))?;
        Ok(Veil { home: home.to_owned(), current: Mutex::new(keys) })
    }

    /// The name of a person in the records of the newest period; nobody stays nobody.
    pub fn cover(&self, user: UserKey) -> UserKey {
        if user.0 == 0 { user } else { self.current.lock().cover(user) }
    }

    /// The name in a record as it is written.
    pub(super) fn name_in(&self, event: &Event) -> UserKey {
        match event.what {
            // From the ledger's journal, where the name was covered when the bill came.
            What::Notice(Noticed { kind: NoticeEvent::Bill { .. }, user, .. }) => user,
            What::Bid(_) | What::NoBid(_) | What::Notice(_) | What::Conversion(_) => {
                self.cover(event.what.user())
            }
        }
    }

    /// Goes on to the period of `now_ms`, and removes keys that are too old.
    pub fn roll(&self, now_ms: i64) -> Result<(), EventsError> {
        let period = now_ms.div_euclid(PERIOD_MS);
        if period <= self.current.lock().period {
            return Ok(());
        }
        let keys = Keys::open(&self.home, period)?;
        *self.current.lock() = keys;
        for old in periods(&self.home)?.into_iter().filter(|old| *old <= period - KEPT) {
            let path = path_of(&self.home, old);
            fs::remove_file(&path).map_err(on("remove", &path))?;
        }
        Ok(())
    }

    /// Destroys the keys of these people, durably.
    pub fn forget(&self, users: &[UserKey]) -> Result<(), EventsError> {
        let mut current = self.current.lock();
        for period in periods(&self.home)? {
            let mut keys = Keys::open(&self.home, period)?;
            for user in users.iter().filter(|user| user.0 != 0) {
                let fresh: [u8; KEY] = rand::random();
                keys.table[place(*user)..][..KEY].copy_from_slice(&fresh);
            }
            keys.write(&self.home)?;
            if period == current.period {
                *current = keys;
            }
        }
        Ok(())
    }
}

impl Keys {
    fn open(home: &Path, period: i64) -> Result<Keys, EventsError> {
        let path = path_of(home, period);
        match fs::read(&path) {
            Ok(bytes) => {
                let damaged =
                    || std::io::Error::other("it is no file of keys; restore it, or remove it to begin anew");
                let table = bytes.strip_prefix(MAGIC).filter(|table| table.len() == BUCKETS * KEY);
                let table = table.ok_or_else(damaged).map_err(on("use", &path))?;
                Ok(Keys { period, table: table.into() })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let table = (0..BUCKETS).flat_map(|_| rand::random::<[u8; KEY]>()).collect();
                let keys = Keys { period, table };
                keys.write(home)?;
                Ok(keys)
            }
            Err(error) => Err(on("read", &path)(error)),
        }
    }

    /// Beside its name and then over it: a crash leaves the old keys or the new ones. The old ones' blocks are the
    /// file system's to give out again; who must destroy them there encrypts the disk.
    fn write(&self, home: &Path) -> Result<(), EventsError> {
        let (path, temporary) = (path_of(home, self.period), home.join("people.key.tmp"));
        let written = OpenOptions::new().create(true).truncate(true).write(true).mode(MODE).open(&temporary);
        let written = written.and_then(|mut file| {
            file.write_all(MAGIC)?;
            file.write_all(&self.table)?;
            file.sync_all()
        });
        written.map_err(on("write", &temporary))?;
        fs::rename(&temporary, &path).map_err(on("rename", &temporary))?;
        File::open(home).and_then(|folder| folder.sync_all()).map_err(on("flush", home))
    }

    fn cover(&self, user: UserKey) -> UserKey {
        let key: &[u8; KEY] =
            self.table[place(user)..].first_chunk().expect("a table has a key for each bucket");
        let name = SipHasher24::new_with_key(key).hash(&user.0.to_le_bytes());
        UserKey(name.max(1))
    }
}

fn place(user: UserKey) -> usize {
    (user.0 >> (u64::BITS - BUCKET_BITS)) as usize * KEY
}

fn path_of(home: &Path, period: i64) -> PathBuf {
    home.join(format!("people-{period}.key"))
}

fn periods(home: &Path) -> Result<Vec<i64>, EventsError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(home).map_err(on("list", home))? {
        let name = entry.map_err(on("list", home))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("people-")?.strip_suffix(".key"));
        found.extend(number.and_then(|number| number.parse::<i64>().ok()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_forgotten_has_another_name_in_every_period_and_others_keep_theirs() {
        let home = tempfile::tempdir().unwrap();
        let user = |i: u64| UserKey(i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let veil = Veil::open(home.path(), 0).unwrap();
        let first: Vec<UserKey> = (0..100).map(|i| veil.cover(user(i))).collect();
        assert_eq!(first[0], UserKey(0), "nobody stays nobody");
        assert!((1..100).all(|i| first[i as usize] != user(i)));
        veil.roll(PERIOD_MS).unwrap();
        let second: Vec<UserKey> = (0..100).map(|i| veil.cover(user(i))).collect();
        assert!((1..100).all(|i| first[i] != second[i]), "periods cannot be joined");
        veil.forget(&[user(7)]).unwrap();
        let names = |now_ms: i64| -> Vec<UserKey> {
            let veil = Veil::open(home.path(), now_ms).unwrap();
            (0..100).map(|i| veil.cover(user(i))).collect()
        };
        for (now_ms, before) in [(0, &first), (PERIOD_MS, &second)] {
            let after = names(now_ms);
            let changed: Vec<usize> = (0..100).filter(|i| after[*i] != before[*i]).collect();
            assert_eq!(changed, [7]);
        }
        assert_eq!(veil.cover(user(7)), names(PERIOD_MS)[7]);
        veil.roll(PERIOD_MS * 14).unwrap();
        assert_eq!(periods(home.path()).unwrap().len(), 2, "the first period's keys are gone");
        std::fs::write(path_of(home.path(), 14), b"short").unwrap();
        assert!(Veil::open(home.path(), PERIOD_MS * 14).unwrap_err().to_string().contains("no file of keys"));
    }
}
