//! The audience as it is kept: the index in memory, and a log on the disk so that its changes survive.
//!
//! Every change goes through [`Store::write`], one writer at a time, and is visible to the next lookup when it returns.
//! Durable it is after [`Store::sync`]: who promises something to somebody (an upload, an erasure) calls it before
//! answering; events are synced by the background every [`SYNC_EVERY_MS`] and a crash may lose those of that time.
//!
//! Invariant: base and logs together always tell the same as the index did when it was last synced.

use super::behaviour::{Borders, Kept, Plan, Swept, Touch, Windows, Words, sweep};
use super::erased::{self, Erasures};
use super::index::Erased;
use super::log::{self, Change, Log, Torn};
use super::overlay::Link;
use super::record::{Membership, Record, expiry_units, seconds};
use super::{AudienceError, AudienceIndex, IdKey};
use crate::model::ids::{AdvertiserId, SegmentId, UserKey};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// How often the background should sync, in milliseconds.
pub const SYNC_EVERY_MS: u64 = 100;

/// See the module.
pub struct Store {
    index: AudienceIndex,
    id_key: IdKey,
    /// Where base and logs lie; `None` = nothing is kept.
    home: Option<PathBuf>,
    /// Held while something is written.
    log: Mutex<Option<Log>>,
    /// Who was erased; locked after the log.
    erasures: Mutex<Option<Erasures>>,
    /// Somebody was erased, or a log failed, since the last save.
    wants_save: AtomicBool,
    /// Held while a save runs.
    saving: Mutex<()>,
    borders: Mutex<HashMap<AdvertiserId, Arc<Borders>>>,
}

/// What was found when a store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Changes that the logs had beyond the base.
    pub replayed: u64,
    /// Bytes of a torn last write, which nobody was promised.
    pub torn_bytes: u64,
    /// Keys that were erased again: an older copy was put back.
    pub erased_again: u64,
}

/// What [`Store::forget`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Keys that are somebody's together.
    pub keys: u64,
    /// What was known under them.
    pub erased: Erased,
}

impl Store {
    /// Around an index that nobody keeps: for demonstrations and tests.
    pub fn in_memory(index: AudienceIndex, id_key: IdKey) -> Store {
        Store {
            index,
            id_key,
            home: None,
            log: Mutex::new(None),
            erasures: Mutex::new(None),
            wants_save: AtomicBool::new(false),
            saving: Mutex::new(()),
            borders: Mutex::default(),
        }
    }

    /// Opens what lies in `<dir>/audience`: the base, and the logs behind it. Begins a log of its own.
    ///
    /// # Errors
    /// A file cannot be read, is damaged, or was made with another identity key.
    pub fn open(dir: &Path, id_key: IdKey) -> Result<(Store, Opened), AudienceError> {
        let Found { index, newest, mut erasures, again, mut opened } = read(dir, &id_key, Torn::Cut)?;
        let folder = dir.join("audience");
        let after = [newest, erasures.newest_generation()].into_iter().flatten().max();
        let next = after.map_or(0, |newest| newest + 1).max(index.next_generation());
        let mut log = Log::begin(&folder, next, &id_key)?;
        erasures.begin(next);
        for (key, at_s) in &again {
            erasures.note(*key, next, *at_s);
            log.append(&Change::Erased(*key));
        }
        opened.erased_again = again.len() as u64;
        let (log, erasures) = (Mutex::new(Some(log)), Mutex::new(Some(erasures)));
        let (home, wants_save) = (Some(dir.to_path_buf()), AtomicBool::new(!again.is_empty()));
        let store = Store { home, log, erasures, wants_save, ..Store::in_memory(index, id_key) };
        store.sync()?;
        Ok((store, opened))
    }

    /// Reads what lies in `<dir>/audience` and changes nothing there, also while a server writes it.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn look(dir: &Path, id_key: &IdKey) -> Result<AudienceIndex, AudienceError> {
        read(dir, id_key, Torn::Leave).map(|found| found.index)
    }

    /// The index, to look up in.
    pub fn index(&self) -> &AudienceIndex {
        &self.index
    }

    /// The secret under which identifiers are hashed.
    pub fn id_key(&self) -> &IdKey {
        &self.id_key
    }

    /// Changes something. The closure must be short: every other writer waits.
    pub fn write<R>(&self, change: impl FnOnce(&mut Writer<'_>) -> R) -> R {
        let mut log = self.log.lock();
        let result = change(&mut Writer { store: self, log: log.as_mut() });
        if let Some(log) = log.as_mut() {
            log.flush_if_large();
        }
        result
    }

    /// Forgets everybody that the keys are of, with every other key that links and ties lead to. Visible at once; durable
    /// after [`Store::sync`], and off the disk after the next save, which this asks for. For [`erased::KEPT_S`] from
    /// `now_unix_s` on they stay forgotten when an older copy of the audience is put back.
    pub fn forget(&self, keys: &[UserKey], now_unix_s: i64) -> Forgotten {
        self.forget_these(self.kin(keys), now_unix_s)
    }

    /// Everybody that the keys are of: these keys, and every other one that links and ties lead to.
    pub fn kin(&self, keys: &[UserKey]) -> Vec<UserKey> {
        self.index.kin(keys)
    }

    /// Forgets these keys and follows none, see [`Store::forget`].
    pub fn forget_these(&self, kin: Vec<UserKey>, now_unix_s: i64) -> Forgotten {
        let mut forgotten = Forgotten { keys: kin.len() as u64, ..Forgotten::default() };
        for key in kin {
            let erased = self.write(|writer| {
                let generation = writer.log.as_ref().map(|log| log.generation());
                if let (Some(generation), Some(erasures)) = (generation, self.erasures.lock().as_mut()) {
                    erasures.note(key, generation, seconds(now_unix_s));
                }
                writer.erase(key)
            });
            forgotten.erased.memberships += erased.memberships;
            forgotten.erased.links += erased.links;
            forgotten.erased.traces += erased.traces;
        }
        forgotten
    }

    /// Makes durable what was written before.
    ///
    /// # Errors
    /// The disk refused. The index has the changes, and they are lost at the next stop unless a [`Store::save`] succeeds.
    pub fn sync(&self) -> Result<(), AudienceError> {
        self.sync_erasures()?;
        let (file, written, generation, path) = match self.log.lock().as_mut() {
            None => return Ok(()),
            Some(log) => match log.take_to_sync().inspect_err(|_| self.wants_save.store(true, Relaxed))? {
                None => return Ok(()),
                Some((file, written)) => (file, written, log.generation(), log.path().to_path_buf()),
            },
        };
        let synced = file.sync_data();
        if let Some(log) = self.log.lock().as_mut().filter(|log| log.generation() == generation) {
            match &synced {
                Ok(()) => log.note_synced(written),
                // After a failed sync nothing is known of the file.
                Err(_) => log.fail(),
            }
        }
        synced.map_err(|source| {
            self.wants_save.store(true, Relaxed);
            AudienceError::Io { action: "flush", path, source }
        })
    }

    /// The register first: who stands there and not in the log is erased by the next start.
    fn sync_erasures(&self) -> Result<(), AudienceError> {
        let (file, path) = match self.erasures.lock().as_mut() {
            None => return Ok(()),
            Some(erasures) => match erasures.flush()? {
                None => return Ok(()),
                Some(file) => (file, erasures.path().to_path_buf()),
            },
        };
        file.sync_data().map_err(|source| {
            if let Some(erasures) = self.erasures.lock().as_mut() {
                erasures.fail();
            }
            AudienceError::Io { action: "flush", path, source }
        })
    }

    /// Drops erasures from the register that are older than [`erased::KEPT_S`]. Answers how many.
    pub fn expire_erasures(&self, now_unix_s: i64) -> usize {
        self.erasures.lock().as_mut().map_or(0, |erasures| erasures.expire(seconds(now_unix_s)))
    }

    /// Who was erased in the last [`erased::KEPT_S`], and when, in Unix seconds; for what else is kept of people.
    pub fn erased(&self) -> Vec<(UserKey, i64)> {
        self.erasures.lock().as_ref().map_or_else(Vec::new, Erasures::people)
    }

    /// Whether a save is due for what it takes off the disk, or for what the log could not take.
    pub fn wants_save(&self) -> bool {
        self.wants_save.load(Relaxed) && self.home.is_some()
    }

    /// Bytes that were logged since the last save.
    pub fn logged_bytes(&self) -> u64 {
        self.log.lock().as_ref().map_or(0, Log::bytes)
    }

    /// Writes the index as a whole and drops the logs that it includes. Writers wait for the end of one log and the beginning of the next.
    ///
    /// # Errors
    /// The disk refused; the old base and all logs are as they were.
    pub fn save(&self) -> Result<(), AudienceError> {
        let Some(home) = &self.home else { return Ok(()) };
        let _saving = self.saving.lock();
        let folder = home.join("audience");
        self.wants_save.store(false, Relaxed);
        let saved = self.save_to(home, &folder);
        if saved.is_err() {
            self.wants_save.store(true, Relaxed);
        }
        saved
    }

    fn save_to(&self, home: &Path, folder: &Path) -> Result<(), AudienceError> {
        let next = {
            let mut log = self.log.lock();
            // What a failed log lost is in the index, so the save heals it; until then nothing more is promised. A log
            // that has a successor must be whole, or the next start refuses it.
            let next = log.as_ref().map_or(0, |log| log.generation() + 1);
            let is_whole = log.as_mut().is_none_or(Log::end);
            let mut begun = Log::begin(folder, next, &self.id_key)?;
            if !is_whole {
                begun.distrust();
            }
            *log = Some(begun);
            if let Some(erasures) = self.erasures.lock().as_mut() {
                erasures.begin(next);
            }
            next
        };
        self.index.save_behind(home, &self.id_key, next)?;
        if let Some(log) = self.log.lock().as_mut() {
            log.trust();
        }
        let old = log::generations(folder)?.into_iter().filter(|generation| *generation < next);
        old.into_iter().try_for_each(|generation| log::remove(folder, generation))
    }

    /// Puts every customer into the right tiers, see [`super::behaviour`].
    pub fn sweep(&self, plan: &Plan, now_unix_s: i64) -> Swept {
        sweep(self, plan, now_unix_s)
    }

    /// How interested a user is in a segment, as a score; `None` where nothing is kept or the segment is no interest.
    pub fn interest(&self, key: UserKey, segment: SegmentId, plan: &Plan, now_unix_s: i64) -> Option<f64> {
        super::behaviour::interest(&self.index.traces_of(key)?, segment, plan, now_unix_s)
    }

    /// What is kept of what somebody did.
    pub fn kept_of(&self, key: UserKey, plan: &Plan, now_unix_s: i64) -> Kept {
        super::behaviour::kept(&self.index.traces_of(key).unwrap_or_default(), plan, now_unix_s)
    }

    /// The ad that a conversion at `now_unix_s` is put down to: the last click within its window that `counts`, and
    /// without one the last impression.
    pub fn credit(
        &self,
        key: UserKey,
        windows: Windows,
        now_unix_s: i64,
        counts: impl Fn(&Touch) -> bool,
    ) -> Option<Touch> {
        super::behaviour::credit(&self.index.traces_of(key)?, windows, now_unix_s, counts)
    }

    pub(super) fn set_borders(&self, advertiser: AdvertiserId, borders: Borders) {
        self.borders.lock().insert(advertiser, Arc::new(borders));
    }
}

/// What lies in a directory.
struct Found {
    index: AudienceIndex,
    /// The newest generation of a log.
    newest: Option<u64>,
    erasures: Erasures,
    /// Who was erased from the index again, and when that was.
    again: Vec<(UserKey, u32)>,
    opened: Opened,
}

/// The base and the logs behind it, without those who were erased since they were written.
fn read(dir: &Path, id_key: &IdKey, torn: Torn) -> Result<Found, AudienceError> {
    let folder = dir.join("audience");
    let index = AudienceIndex::load(dir, id_key)?.unwrap_or_default();
    let generations = log::generations(&folder)?;
    let newest = generations.last().copied();
    let (mut opened, mut replayed_erasures) = (Opened::default(), erased::Replayed::new());
    for generation in generations.into_iter().filter(|generation| *generation >= index.next_generation()) {
        let torn = if Some(generation) == newest { torn } else { Torn::Refuse };
        let replayed = log::replay(&folder, generation, id_key, torn, &index, &mut replayed_erasures)?;
        opened.replayed += replayed.changes;
        opened.torn_bytes += replayed.torn;
    }
    let erasures = Erasures::read(dir, id_key)?;
    let missing = erasures.missing(index.next_generation(), &replayed_erasures);
    let keys: Vec<UserKey> = missing.iter().map(|(key, _)| *key).collect();
    let latest_s = missing.iter().map(|(_, at_s)| *at_s).max().unwrap_or_default();
    // Who the copy ties to somebody who was erased is the same person.
    let kin = if keys.is_empty() { keys } else { index.kin(&keys) };
    let when = |key: &UserKey| {
        missing.binary_search_by_key(key, |(key, _)| *key).map_or(latest_s, |at| missing[at].1)
    };
    let again: Vec<(UserKey, u32)> = kin.iter().map(|key| (*key, when(key))).collect();
    for (key, _) in &again {
        index.erase(*key);
    }
    Ok(Found { index, newest, erasures, again, opened })
}

/// Changes the index and notes it in the log.
pub struct Writer<'s> {
    store: &'s Store,
    log: Option<&'s mut Log>,
}

impl Writer<'_> {
    /// Adds the user to a segment, see [`AudienceIndex::add`].
    pub fn add(&mut self, key: UserKey, membership: Membership) -> Result<(), AudienceError> {
        self.make(Change::Has(key, Record::from_membership(&membership)?)).map(drop)
    }

    /// The same to the second, see [`AudienceIndex::add_for_now`].
    pub fn add_for_now(&mut self, key: UserKey, membership: Membership) -> Result<(), AudienceError> {
        self.make(Change::Has(key, Record::exact(&membership)?)).map(drop)
    }

    /// The same, answering whether anything is different now.
    pub fn set(&mut self, key: UserKey, membership: Membership) -> Result<bool, AudienceError> {
        self.make(Change::Has(key, Record::from_membership(&membership)?))
    }

    /// Takes the user out of a segment. Answers whether the user was in it.
    pub fn remove(&mut self, key: UserKey, segment: SegmentId) -> bool {
        self.make(Change::HasNot(key, segment)).unwrap_or_default()
    }

    /// Ties an exchange's id to a cookie, see [`AudienceIndex::link`].
    pub fn link(&mut self, matched: UserKey, cookie: UserKey, expires_s: Option<i64>) {
        let made = self.make(Change::Linked(matched, Link { to: cookie, expiry: expiry_units(expires_s) }));
        debug_assert!(made.is_ok(), "links have no limit of their own");
    }

    /// Ties a cookie to a hashed address, see [`AudienceIndex::tie`].
    pub fn tie(&mut self, cookie: UserKey, hashed: UserKey, expires_s: Option<i64>) {
        let made = self.make(Change::Tied(cookie, Link { to: hashed, expiry: expiry_units(expires_s) }));
        debug_assert!(made.is_ok(), "ties have no limit of their own");
    }

    /// Forgets a user, see [`AudienceIndex::erase`]. It must outlive everything: call [`Store::sync`] before answering,
    /// and [`Store::save`] soon, which takes the bytes off the disk.
    pub fn erase(&mut self, key: UserKey) -> Erased {
        let erased = self.store.index.erase(key);
        if let Some(log) = self.log.as_mut() {
            log.append(&Change::Erased(key));
        }
        self.store.wants_save.store(true, Relaxed);
        erased
    }

    /// Whether an order of an advertiser was not reported before.
    pub fn is_new_order(&self, advertiser: AdvertiserId, order: &str) -> bool {
        !self.store.index.orders.contains_key(&self.store.id_key.order(advertiser, order))
    }

    /// Notes that an order was reported.
    pub fn note_order(&mut self, advertiser: AdvertiserId, order: &str, at_s: i64) {
        let made = self.make(Change::Ordered(self.store.id_key.order(advertiser, order), seconds(at_s)));
        debug_assert!(made.is_ok(), "orders have no limit of their own");
    }

    pub(super) fn keep_traces(&mut self, key: UserKey, words: Words) {
        let made = self.make(Change::Did(key, words));
        debug_assert!(made.is_ok(), "traces are cut to their limit");
    }

    pub(super) fn traces(&self, key: UserKey) -> Words {
        self.store.index.traces_of(key).unwrap_or_default()
    }

    pub(super) fn borders(&self, advertiser: AdvertiserId) -> Arc<Borders> {
        self.store.borders.lock().get(&advertiser).cloned().unwrap_or_default()
    }

    /// Does it, and notes it where it made a difference.
    fn make(&mut self, change: Change) -> Result<bool, AudienceError> {
        let noted = self.log.is_some().then(|| change.clone());
        let changed = change.apply(&self.store.index)?;
        if let (true, Some(log), Some(change)) = (changed, self.log.as_mut(), noted) {
            log.append(&change);
        }
        Ok(changed)
    }
}
