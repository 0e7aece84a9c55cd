//! The register of who was erased, `<dir>/erased.v1`: what keeps somebody forgotten when an older copy of the audience is
//! put back. It lies beside the folder of the audience and not in it, so that whoever puts that folder back leaves the
//! register where it is.
//!
//! ```text
//! file  : "OUTBIDER" · version u32 · check of the identity key u64 · crc32c of these u32
//! entry : key u64 · generation of the log u64 · time in seconds u32 · crc32c of these u32
//! ```
//! An entry with the time 0 erases nobody: it says that a log of this generation was begun. No generation is ever begun
//! twice, also not after an older copy was put back, so that "this base includes the log in which the erasure stands" says
//! that it includes the erasure.
//!
//! Invariant: what [`Erasures::flush`] and then a sync of its file returned `Ok` for is there after a crash. Where a
//! write or a sync failed, nothing is known of the file any more, and the next flush writes all of it anew. Entries are
//! dropped [`KEPT_S`] after the erasure: no backup should be that old.

use super::{AudienceError, IdKey};
use crate::model::ids::UserKey;
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How long an erasure is remembered, in seconds: 400 days.
pub const KEPT_S: u32 = 400 * 86_400;

const MAGIC: &[u8; 8] = b"OUTBIDER";
const VERSION: u32 = 1;
const HEADER: usize = 8 + 4 + 8 + 4;
const ENTRY: usize = 8 + 8 + 4 + 4;
/// Readable for the owner and the group.
const MODE: u32 = 0o640;

/// Somebody who was erased, or with the time 0 a log that was begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Entry {
    key: UserKey,
    generation: u64,
    at_s: u32,
}

impl Entry {
    fn encode(self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        bytes[..8].copy_from_slice(&self.key.0.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.generation.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.at_s.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..20]);
        bytes[20..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// `None` where the bytes are not what was written.
    fn decode(bytes: &[u8; ENTRY]) -> Option<Entry> {
        let (key, rest) = bytes.split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let (at, checksum) = rest.split_first_chunk()?;
        let is_whole = crc32c::crc32c(&bytes[..20]).to_le_bytes() == *checksum;
        let (key, generation) = (UserKey(u64::from_le_bytes(*key)), u64::from_le_bytes(*generation));
        is_whole.then_some(Entry { key, generation, at_s: u32::from_le_bytes(*at) })
    }
}

/// How often each key was erased by the log of each generation.
pub(super) type Replayed = HashMap<(UserKey, u64), u32>;

/// See the module. One caller at a time.
#[derive(Debug)]
pub(super) struct Erasures {
    path: PathBuf,
    header: [u8; HEADER],
    entries: Vec<Entry>,
    /// The first of them that may not be on the disk.
    waiting: usize,
    /// To append to; `None` = the file has to be written anew.
    file: Option<Arc<File>>,
}

impl Erasures {
    /// What lies in `dir`. A torn end is left out: nobody was told of it.
    pub(super) fn read(dir: &Path, key: &IdKey) -> Result<Erasures, AudienceError> {
        let path = dir.join("erased.v1");
        let header = header(key);
        let mut erasures = Erasures { path, header, entries: Vec::new(), waiting: 0, file: None };
        let bytes = match fs::read(&erasures.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(erasures),
            Err(source) => return Err(erasures.io("read", source)),
        };
        let damaged = |what: String| AudienceError::Damaged { path: erasures.path.clone(), what };
        let Some((head, entries)) = bytes.split_at_checked(HEADER) else {
            return Err(damaged("it is shorter than its header".to_owned()));
        };
        if head != header {
            if head[..12] == header[..12] && crc32c::crc32c(&head[..20]).to_le_bytes() == head[20..] {
                return Err(AudienceError::OtherKey { path: erasures.path });
            }
            return Err(damaged("its header is not what was written".to_owned()));
        }
        let (whole, _torn) = entries.as_chunks::<ENTRY>();
        let read: Vec<Option<Entry>> = whole.iter().map(Entry::decode).collect();
        // A crash tears the end; what is broken before something whole no crash explains.
        let good = read.iter().take_while(|entry| entry.is_some()).count();
        if read[good..].iter().any(Option::is_some) {
            return Err(damaged(format!("entry {good} is not what was written")));
        }
        erasures.entries = read.into_iter().flatten().collect();
        Ok(erasures)
    }

    /// The newest generation of a log that was ever begun here.
    pub(super) fn newest_generation(&self) -> Option<u64> {
        self.entries.iter().map(|entry| entry.generation).max()
    }

    /// Everybody who stands here, and when they were erased.
    pub(super) fn people(&self) -> Vec<(UserKey, i64)> {
        let people = self.entries.iter().filter(|entry| entry.at_s > 0);
        people.map(|entry| (entry.key, entry.at_s.into())).collect()
    }

    /// Who has to be erased again, with when it was, from an index whose base includes the logs before `generation`, and
    /// into which logs that erased `replayed` were read.
    pub(super) fn missing(&self, generation: u64, replayed: &Replayed) -> Vec<(UserKey, u32)> {
        let mut last: HashMap<UserKey, (u64, u32, u32)> = HashMap::new();
        for Entry { key, generation, at_s } in self.entries.iter().filter(|entry| entry.at_s > 0) {
            let times = match last.get(key) {
                Some((of, times, _)) if of == generation => times + 1,
                _ => 1,
            };
            last.insert(*key, (*generation, times, *at_s));
        }
        let is_missing = |(key, (of, times, _)): &(UserKey, (u64, u32, u32))| {
            *of >= generation && replayed.get(&(*key, *of)).is_none_or(|seen| seen < times)
        };
        let mut missing: Vec<_> =
            last.into_iter().filter(is_missing).map(|(key, (_, _, at_s))| (key, at_s)).collect();
        missing.sort_unstable_by_key(|(key, _)| *key);
        missing
    }

    /// Notes that a log is begun.
    pub(super) fn begin(&mut self, generation: u64) {
        self.entries.push(Entry { key: UserKey(0), generation, at_s: 0 });
    }

    /// Notes that the log of this generation erases somebody.
    pub(super) fn note(&mut self, key: UserKey, generation: u64, at_s: u32) {
        self.entries.push(Entry { key, generation, at_s: at_s.max(1) });
    }

    /// Drops what is too old at `now_s`. Answers how many.
    pub(super) fn expire(&mut self, now_s: u32) -> usize {
        let is_kept = |entry: &Entry| entry.at_s == 0 || entry.at_s.saturating_add(KEPT_S) > now_s;
        let gone = self.entries.iter().filter(|entry| !is_kept(entry)).count();
        if gone > 0 {
            let newest = self.newest_generation();
            self.entries.retain(|entry| entry.at_s > 0 && is_kept(entry));
            newest.into_iter().for_each(|newest| self.begin(newest));
            (self.waiting, self.file) = (0, None);
        }
        gone
    }

    /// Hands everything to the system; the file to sync, where there was anything.
    pub(super) fn flush(&mut self) -> Result<Option<Arc<File>>, AudienceError> {
        if self.waiting == self.entries.len() {
            return Ok(None);
        }
        let Some(file) = self.file.take() else { return self.write_anew().map(|()| None) };
        let bytes: Vec<u8> = self.entries[self.waiting..].iter().flat_map(|entry| entry.encode()).collect();
        (&*file).write_all(&bytes).map_err(|source| self.io("write", source))?;
        self.waiting = self.entries.len();
        self.file = Some(Arc::clone(&file));
        Ok(Some(file))
    }

    /// Nothing is known of the file any more.
    pub(super) fn fail(&mut self) {
        (self.waiting, self.file) = (0, None);
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes all of it beside its name, flushes and renames it.
    fn write_anew(&mut self) -> Result<(), AudienceError> {
        let temporary = self.path.with_extension("v1.tmp");
        let written = (|| {
            let mut new = OpenOptions::new();
            let mut file = new.write(true).create(true).truncate(true).mode(MODE).open(&temporary)?;
            let mut bytes = self.header.to_vec();
            self.entries.iter().for_each(|entry| bytes.extend_from_slice(&entry.encode()));
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&temporary, &self.path)?;
            if let Some(dir) = self.path.parent() {
                File::open(dir)?.sync_all()?;
            }
            Ok(file)
        })();
        let file = written.map_err(|source| self.io("write", source))?;
        (self.waiting, self.file) = (self.entries.len(), Some(Arc::new(file)));
        Ok(())
    }

    fn io(&self, action: &'static str, source: io::Error) -> AudienceError {
        AudienceError::Io { action, path: self.path.clone(), source }
    }
}

fn header(key: &IdKey) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..20].copy_from_slice(&key.check().to_le_bytes());
    let checksum = crc32c::crc32c(&header[..20]);
    header[20..].copy_from_slice(&checksum.to_le_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: IdKey = IdKey([4; 16]);

    #[test]
    fn what_was_flushed_is_read_back_and_a_torn_end_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let mut erasures = Erasures::read(dir.path(), &KEY).unwrap();
        assert_eq!((erasures.newest_generation(), erasures.flush().unwrap().is_some()), (None, false));
        erasures.begin(3);
        assert!(erasures.flush().unwrap().is_none(), "the first is written and synced as a whole");
        erasures.note(UserKey(7), 3, 1_000);
        assert!(erasures.flush().unwrap().is_some());
        let path = dir.path().join("erased.v1");
        let whole = fs::read(&path).unwrap();
        for cut in HEADER..=whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let again = Erasures::read(dir.path(), &KEY).unwrap();
            assert_eq!(again.entries.len(), (cut - HEADER) / ENTRY, "{cut}");
        }
        let mut broken = whole.clone();
        broken[HEADER + 1] ^= 1;
        fs::write(&path, broken).unwrap();
        assert!(matches!(Erasures::read(dir.path(), &KEY), Err(AudienceError::Damaged { .. })));
        fs::write(&path, whole).unwrap();
        let other = Erasures::read(dir.path(), &IdKey([5; 16])).unwrap_err();
        assert!(matches!(other, AudienceError::OtherKey { .. }), "{other}");
    }

    #[test]
    fn who_is_missing_is_who_neither_the_base_nor_a_log_has_erased_last() {
        let mut erasures = Erasures::read(Path::new("/nowhere"), &KEY).unwrap();
        erasures.note(UserKey(1), 3, 10);
        erasures.note(UserKey(2), 3, 10);
        erasures.note(UserKey(2), 3, 20);
        erasures.note(UserKey(1), 5, 30);
        let check = |generation: u64, replayed: &[((u64, u64), u32)], expected: &[u64]| {
            let replayed: Replayed =
                replayed.iter().map(|((key, of), times)| ((UserKey(*key), *of), *times)).collect();
            let missing = erasures.missing(generation, &replayed);
            let keys: Vec<u64> = missing.iter().map(|(key, _)| key.0).collect();
            assert_eq!(keys, expected, "{generation} {replayed:?}");
        };
        check(6, &[], &[]);
        check(4, &[], &[1]);
        check(4, &[((1, 5), 1)], &[]);
        check(4, &[((1, 3), 1)], &[1]);
        check(3, &[((2, 3), 1)], &[1, 2]);
        check(3, &[((2, 3), 2), ((1, 5), 1)], &[]);
        assert_eq!(erasures.missing(0, &Replayed::new()), [(UserKey(1), 30), (UserKey(2), 20)]);
    }

    #[test]
    fn after_400_days_an_erasure_is_forgotten_and_generations_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let mut erasures = Erasures::read(dir.path(), &KEY).unwrap();
        erasures.begin(9);
        erasures.note(UserKey(1), 9, 1_000);
        erasures.note(UserKey(2), 9, 2_000);
        assert_eq!(erasures.expire(999 + KEPT_S), 0);
        assert_eq!(erasures.expire(1_000 + KEPT_S), 1);
        erasures.flush().unwrap();
        let again = Erasures::read(dir.path(), &KEY).unwrap();
        assert_eq!(again.newest_generation(), Some(9));
        assert_eq!(again.missing(0, &Replayed::new()), [(UserKey(2), 2_000)]);
    }
}
