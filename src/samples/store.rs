//! The files of the sample: one an hour, which records are appended to; when it is a day old it is written once more, thinner.

use super::keys::Keys;
use super::query::Query;
use super::record::{Part, Record};
use crate::model::ids::UserKey;
use crate::model::storage::{Storage, replace};
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// Records are kept for so many seconds, thin ones of older hours among them.
pub(super) const KEPT_S: i64 = 7 * 86_400;
/// An hour that began so many seconds ago is thinned.
const FULL_S: i64 = 25 * 3_600;
const HOUR_S: i64 = 3_600;
/// Records of an hour that was thinned, about.
const THIN: usize = 512;
const MOST_FACTOR: u32 = 1 << 16;
/// One hour takes this share of the room at most.
const HOURS_FULL: u64 = 8;
const DRAFT: &str = "samples.tmp";
const KEYS: &str = "keys.v1";
const FULL_NAME: &str = "full-";
const THIN_NAME: &str = "thin-";
const SUFFIX: &str = ".v1";

/// Why records cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum SamplesError {
    /// The disk refuses.
    #[error("the files of the sample: {0}")]
    Io(#[from] io::Error),
}

/// What the files take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Bytes of all files.
    pub bytes: u64,
    /// Stretches of files that could not be read, of those that were looked at.
    pub damaged: u64,
}

/// See the module. One caller at a time.
pub struct Samples {
    /// `None` = nothing is kept.
    storage: Option<Box<dyn Storage>>,
    /// By the second in which they begin.
    hours: BTreeMap<i64, Hour>,
    keys: Keys,
    most_bytes: u64,
}

#[derive(Clone, Debug, Default)]
struct Hour {
    is_thin: bool,
    bytes: u64,
    /// The number of the next record, once its file was looked into.
    next: Option<u64>,
    damaged: u64,
    is_dirty: bool,
    /// A sync of its file failed.
    is_doubtful: bool,
}

impl Hour {
    fn name(&self, start_s: i64) -> String {
        name(self.is_thin, start_s)
    }

    /// After a failed write: what of it is there is found out before the next one.
    fn look_again(&mut self, storage: &dyn Storage, start_s: i64) {
        (self.next, self.is_dirty) = (None, true);
        self.bytes = storage.size(&self.name(start_s)).unwrap_or(self.bytes);
    }
}

impl Samples {
    /// One that keeps nothing.
    pub fn none() -> Samples {
        Samples { storage: None, hours: BTreeMap::new(), keys: Keys::new(0), most_bytes: 0 }
    }

    /// The one that is kept in `storage`, in `most_bytes` at most. Where the keys are lost nobody could be erased
    /// any more, so all records go.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn open(storage: Box<dyn Storage>, most_bytes: u64, now_s: i64) -> Result<Samples, SamplesError> {
        let names = storage.list()?;
        let known = if names.iter().any(|name| name == KEYS) { Some(storage.read(KEYS)?) } else { None };
        let known = known.as_deref().and_then(Keys::of_bytes);
        let mut hours = BTreeMap::new();
        // What takes an hour's place is there for good before that goes.
        storage.sync_dir()?;
        for (name, (is_thin, start_s)) in names.iter().filter_map(|name| Some((name, parse(name)?))) {
            let is_twice = !is_thin && names.contains(&self::name(true, start_s));
            if known.is_none() || is_twice {
                storage.remove(name)?;
                continue;
            }
            let bytes = storage.size(name)?;
            // What the process before wrote may not be durable yet.
            hours.insert(start_s, Hour { is_thin, bytes, is_dirty: !is_thin, ..Hour::default() });
        }
        let keys = match known {
            Some(keys) => keys,
            None => {
                let keys = Keys::new(now_s);
                replace(&*storage, DRAFT, KEYS, &keys.to_bytes())?;
                keys
            }
        };
        Ok(Samples { storage: Some(storage), hours, keys, most_bytes })
    }

    /// Whether anything is kept.
    pub fn is_kept(&self) -> bool {
        self.storage.is_some()
    }

    /// What the files take.
    pub fn room(&self) -> Room {
        let damaged = self.hours.values().map(|hour| hour.damaged).sum();
        Room { bytes: self.bytes(), damaged }
    }

    fn bytes(&self) -> u64 {
        self.hours.values().map(|hour| hour.bytes).sum()
    }

    /// What a person is called in records that are written now.
    pub fn cover(&self, person: UserKey) -> u64 {
        self.keys.cover(person)
    }

    /// Appends records, of which each gets its number, to the files of their hours. Returns how many: those of an hour that takes more
    /// than an eighth of the room are left out. Not durable before [`Samples::sync`].
    ///
    /// # Errors
    /// The disk refuses; records of the hour that it refused and of later ones are not kept.
    pub fn append(&mut self, records: Vec<Record>) -> Result<u64, SamplesError> {
        if self.storage.is_none() {
            return Ok(0);
        }
        let mut by_hour: BTreeMap<i64, Vec<Record>> = BTreeMap::new();
        for record in records {
            let start_s = record.request.at_ms.div_euclid(HOUR_S * 1_000) * HOUR_S;
            by_hour.entry(start_s).or_default().push(record);
        }
        let mut kept = 0;
        for (start_s, records) in by_hour {
            kept += self.append_to(start_s, records)?;
        }
        self.bound()?;
        Ok(kept)
    }

    fn append_to(&mut self, start_s: i64, records: Vec<Record>) -> Result<u64, SamplesError> {
        let Some(mut number) = self.end_of(start_s)? else { return Ok(0) };
        let (Some(storage), Some(hour)) = (&self.storage, self.hours.get_mut(&start_s)) else { return Ok(0) };
        let (mut bytes, mut kept) = (Vec::new(), 0);
        for mut record in records {
            let before = bytes.len();
            record.number = number;
            record.write(&mut bytes);
            if hour.bytes + bytes.len() as u64 > self.most_bytes / HOURS_FULL {
                bytes.truncate(before);
                break;
            }
            (number, kept) = (number + 1, kept + 1);
        }
        if kept > 0 {
            let written =
                storage.open(&hour.name(start_s)).and_then(|mut file| file.write_at(hour.bytes, &bytes));
            if let Err(error) = written {
                hour.look_again(&**storage, start_s);
                return Err(error.into());
            }
            (hour.next, hour.is_dirty) = (Some(number), true);
            hour.bytes += bytes.len() as u64;
        }
        Ok(kept)
    }

    /// The number of the next record of an hour, whose file there is from now on, without a torn end; `None` where nothing is
    /// appended any more.
    fn end_of(&mut self, start_s: i64) -> Result<Option<u64>, SamplesError> {
        let Some(storage) = &self.storage else { return Ok(None) };
        let Some(hour) = self.hours.get_mut(&start_s) else {
            storage.create(&name(false, start_s), 0)?;
            storage.sync_dir()?;
            self.hours.insert(start_s, Hour { next: Some(0), ..Hour::default() });
            return Ok(Some(0));
        };
        if hour.is_thin || hour.next.is_some() {
            return Ok(hour.next.filter(|_| !hour.is_thin));
        }
        let part = Part::of(storage.read(&hour.name(start_s))?);
        let next = part.newest_first().next().map_or(0, |record| record.number + 1);
        if part.is_torn() {
            let cut = storage.open(&hour.name(start_s)).and_then(|mut file| {
                file.set_len(part.end as u64)?;
                file.sync()
            });
            if let Err(error) = cut {
                (hour.is_dirty, hour.is_doubtful) = (true, true);
                return Err(error.into());
            }
            tracing::warn!(hour = start_s, "cut a torn end off an hour of the sample");
        }
        (hour.next, hour.bytes) = (Some(next), part.end as u64);
        Ok(hour.next)
    }

    /// Drops the oldest hours while all of them take more than they may.
    fn bound(&mut self) -> Result<(), SamplesError> {
        while self.bytes() > self.most_bytes {
            let Some(oldest) = self.hours.keys().next().copied() else { break };
            self.drop_hour(oldest)?;
        }
        Ok(())
    }

    fn drop_hour(&mut self, start_s: i64) -> Result<(), SamplesError> {
        if let (Some(storage), Some(hour)) = (&self.storage, self.hours.get(&start_s)) {
            match storage.remove(&hour.name(start_s)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => drop(self.hours.remove(&start_s)),
            }
        }
        Ok(())
    }

    /// Makes what was appended durable.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn sync(&mut self) -> Result<(), SamplesError> {
        let Some(storage) = &self.storage else { return Ok(()) };
        let mut is_any = false;
        for (start_s, hour) in self.hours.iter_mut().filter(|(_, hour)| hour.is_dirty) {
            is_any = true;
            let name = hour.name(*start_s);
            if hour.is_doubtful {
                // What a sync failed on counts as written from then on: only another file makes it durable.
                replace(&**storage, DRAFT, &name, &storage.read(&name)?)?;
                hour.is_doubtful = false;
            } else if let Err(error) = storage.open(&name).and_then(|mut file| file.sync()) {
                hour.is_doubtful = true;
                return Err(error.into());
            }
        }
        if is_any {
            // A file that took another one's place may not have it for good yet.
            storage.sync_dir()?;
            self.hours.values_mut().for_each(|hour| hour.is_dirty = false);
        }
        Ok(())
    }

    /// Forgets hours that are too old, thins those that are a day old, and replaces the key when it is time: now and then.
    ///
    /// # Errors
    /// The disk refuses; the rest is done at the next call.
    pub fn tidy(&mut self, now_s: i64) -> Result<(), SamplesError> {
        let Some(storage) = &self.storage else { return Ok(()) };
        let names: Vec<i64> = self.hours.keys().copied().collect();
        if let Some(keys) = self.keys.next(now_s) {
            replace(&**storage, DRAFT, KEYS, &keys.to_bytes())?;
            self.keys = keys;
        }
        for start_s in names {
            if start_s + KEPT_S <= now_s {
                self.drop_hour(start_s)?;
            } else if start_s + FULL_S <= now_s && self.hours.get(&start_s).is_some_and(|hour| !hour.is_thin)
            {
                self.thin(start_s)?;
            }
        }
        Ok(())
    }

    /// Leaves about 512 records of an hour, with all requests of whoever stays; each stands for as many more.
    fn thin(&mut self, start_s: i64) -> Result<(), SamplesError> {
        let (Some(storage), Some(hour)) = (&self.storage, self.hours.get_mut(&start_s)) else {
            return Ok(());
        };
        let part = Part::of(storage.read(&hour.name(start_s))?);
        hour.damaged = part.damaged;
        let mut records: Vec<Record> = part.oldest_first().collect();
        let mut factor = 1;
        while records.len() > THIN && factor < MOST_FACTOR {
            factor *= 2;
            records.retain(|record| record.is_among(factor));
        }
        for record in &mut records {
            record.request.one_in = record.request.one_in.saturating_mul(factor);
        }
        let bytes = bytes_of(&records);
        replace(&**storage, DRAFT, &name(true, start_s), &bytes)?;
        let full = hour.name(start_s);
        *hour = Hour { is_thin: true, bytes: bytes.len() as u64, damaged: hour.damaged, ..Hour::default() };
        storage.remove(&full)?;
        Ok(())
    }

    /// Removes all records of these people, durably. Returns how many.
    ///
    /// # Errors
    /// The disk refuses; hours that were not reached keep theirs. The same call again goes on.
    pub fn erase(&mut self, people: &[UserKey]) -> Result<u64, SamplesError> {
        let names: BTreeSet<u64> = people.iter().flat_map(|person| self.keys.names(*person)).collect();
        let Some(storage) = self.storage.as_ref().filter(|_| !names.is_empty()) else { return Ok(0) };
        self.clear(&**storage)?;
        let mut erased = 0;
        for (start_s, hour) in &mut self.hours {
            let part = Part::of(storage.read(&hour.name(*start_s))?);
            let is_theirs =
                |record: &Record| record.request.person.is_some_and(|person| names.contains(&person));
            let (theirs, others): (Vec<Record>, Vec<Record>) = part.oldest_first().partition(is_theirs);
            if theirs.is_empty() {
                continue;
            }
            let bytes = bytes_of(&others);
            if let Err(error) = replace(&**storage, DRAFT, &hour.name(*start_s), &bytes) {
                hour.look_again(&**storage, *start_s);
                return Err(error.into());
            }
            let next = theirs.last().into_iter().chain(others.last()).map(|record| record.number + 1).max();
            (hour.bytes, hour.next) = (bytes.len() as u64, hour.next.max(next));
            (hour.is_dirty, hour.is_doubtful) = (false, false);
            erased += theirs.len() as u64;
        }
        Ok(erased)
    }

    /// Removes for good what a failed replacement left beside the files of the hours: people may be in it who are erased.
    fn clear(&self, storage: &dyn Storage) -> Result<(), SamplesError> {
        let is_left = |name: &String| match parse(name) {
            Some((is_thin, start_s)) => self.hours.get(&start_s).is_none_or(|hour| hour.is_thin != is_thin),
            None => name == DRAFT,
        };
        let left: Vec<String> = storage.list()?.into_iter().filter(is_left).collect();
        for name in &left {
            storage.remove(name)?;
        }
        if left.is_empty() { Ok(()) } else { Ok(storage.sync_dir()?) }
    }

    /// The hours that hold something of a time in Unix milliseconds, the newest first.
    pub fn hours(&self, from_ms: i64, until_ms: i64) -> Vec<i64> {
        let begins = |start_s: i64| start_s.saturating_mul(1_000);
        let is_asked = |start_s: &i64| begins(*start_s) < until_ms && begins(start_s + HOUR_S) > from_ms;
        self.hours.keys().rev().copied().filter(is_asked).collect()
    }

    /// The records of an hour; `None` where there is none, or none that can be read.
    pub fn read(&mut self, start_s: i64) -> Option<Part> {
        let (storage, hour) = (self.storage.as_ref()?, self.hours.get_mut(&start_s)?);
        match storage.read(&hour.name(start_s)) {
            Ok(bytes) => {
                let part = Part::of(bytes);
                hour.damaged = part.damaged;
                Some(part)
            }
            Err(error) => {
                tracing::warn!(hour = start_s, %error, "an hour of the sample cannot be read; it is passed over");
                hour.damaged = 1;
                None
            }
        }
    }

    /// What is looked for.
    pub fn search(&mut self, query: &Query) -> super::Found {
        let hours = self.hours(query.from_ms, query.until_ms);
        query.run(&hours, |start_s| self.read(start_s))
    }
}

fn bytes_of(records: &[Record]) -> Vec<u8> {
    let mut bytes = Vec::new();
    records.iter().for_each(|record| record.write(&mut bytes));
    bytes
}

fn name(is_thin: bool, start_s: i64) -> String {
    format!("{}{start_s}{SUFFIX}", if is_thin { THIN_NAME } else { FULL_NAME })
}

fn parse(given: &str) -> Option<(bool, i64)> {
    let is_thin = given.starts_with(THIN_NAME);
    let start_s: i64 = given
        .strip_suffix(SUFFIX)?
        .strip_prefix(if is_thin { THIN_NAME } else { FULL_NAME })?
        .parse()
        .ok()?;
    // Nothing else is one of ours.
    (start_s.rem_euclid(HOUR_S) == 0 && name(is_thin, start_s) == given).then_some((is_thin, start_s))
}
