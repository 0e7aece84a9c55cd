//! What was counted, on disk: `<dir>/frequency/base-<generation>.v1`, everything at one moment, and
//! `changes-<generation>.v1`, what came after it.
//!
//! ```text
//! file    : "OUTBIDFQ" · version u32 · 1 base, 2 changes u32 · generation u64 · crc32c of these u32
//! frame   : length u32 · crc32c of the payload u32 · payload
//! payload : record after record
//! record  : 1 · user u64 · scope u64 · total u32 · kept for u32 · n u16 · n × second u32     what is true of a scope
//!         | 2 · user u64                                                                   nothing is kept of the user
//!         | 3 · records before it u64                                                      the end of a base
//! ```
//! A base of generation g holds what all changes below g say; those of g and above are read after it. A change says what
//! is true afterwards, so that one which the base holds as well does no harm. A changes file is never appended to after a
//! restart; its last frame may be torn by a crash, any other damage is an error.

use super::{Scope, Shown};
use crate::model::ids::UserKey;
use crate::model::storage::{Storage, StorageFile};
use std::io;
use thiserror::Error;

const MAGIC: &[u8; 8] = b"OUTBIDFQ";
const VERSION: u32 = 1;
const HEADER: usize = 8 + 4 + 4 + 8 + 4;
const FRAME: usize = 8;
/// A frame of a base ends when it passes this many bytes.
const FRAME_BYTES: usize = 64 << 10;
/// The log is saved anew when it has this many bytes.
const LOG_BYTES: u64 = 64 << 20;

/// Why the table is not read or written.
#[derive(Debug, Error)]
pub enum FrequencyError {
    /// The disk said no.
    #[error("{file}: {error}")]
    Io {
        /// Within the folder of the table.
        file: String,
        /// What it said.
        error: io::Error,
    },
    /// Not what was written.
    #[error(
        "{file} is damaged at byte {at}: {why}; put a copy of it back, or remove the folder to count from nothing"
    )]
    Damaged {
        /// Within the folder of the table.
        file: String,
        /// Where.
        at: usize,
        /// What was found.
        why: &'static str,
    },
    /// An earlier write failed; a save begins anew.
    #[error("an earlier write of the frequency log failed; it is begun anew")]
    Broken,
}

/// What is true from now on.
pub(super) enum Change {
    Shown(Shown),
    Erased,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Base = 1,
    Changes = 2,
}

impl Kind {
    fn file(self, generation: u64) -> String {
        let name = if self == Kind::Base { "base" } else { "changes" };
        format!("{name}-{generation}.v1")
    }

    fn generation(self, name: &str) -> Option<u64> {
        let prefix = if self == Kind::Base { "base-" } else { "changes-" };
        name.strip_prefix(prefix)?.strip_suffix(".v1")?.parse().ok()
    }
}

/// The log that is being written.
pub(super) struct Log {
    storage: Box<dyn Storage>,
    generation: u64,
    /// Records that no file has yet.
    waiting: Vec<u8>,
    /// `None` before the first save, and while [`Log::take_to_sync`] has given it away.
    file: Option<Appending>,
    bytes: u64,
    has_erasure: bool,
    failed: bool,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("generation", &self.generation).finish_non_exhaustive()
    }
}

/// A file that only grows.
pub(super) struct Appending {
    file: Box<dyn StorageFile>,
    name: String,
    generation: u64,
    at: u64,
}

impl Appending {
    fn create(
        storage: &dyn Storage,
        name: String,
        kind: Kind,
        generation: u64,
    ) -> Result<Appending, FrequencyError> {
        let mut header = Vec::with_capacity(HEADER);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(&(kind as u32).to_le_bytes());
        header.extend_from_slice(&generation.to_le_bytes());
        header.extend_from_slice(&crc32c::crc32c(&header).to_le_bytes());
        let file = storage.create(&name, 0).map_err(|error| failed(&name, error))?;
        let mut appending = Appending { file, name, generation, at: 0 };
        appending.write(&header)?;
        Ok(appending)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), FrequencyError> {
        self.file.write_at(self.at, bytes).map_err(|error| failed(&self.name, error))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn frame(&mut self, payload: &[u8]) -> Result<(), FrequencyError> {
        let mut framed = Vec::with_capacity(FRAME + payload.len());
        framed.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        framed.extend_from_slice(&crc32c::crc32c(payload).to_le_bytes());
        framed.extend_from_slice(payload);
        self.write(&framed)
    }

    /// Adds a frame, durably.
    pub(super) fn append(&mut self, payload: &[u8]) -> Result<(), FrequencyError> {
        self.frame(payload)?;
        self.file.sync().map_err(|error| failed(&self.name, error))
    }
}

fn failed(file: &str, error: io::Error) -> FrequencyError {
    FrequencyError::Io { file: file.to_owned(), error }
}

impl Log {
    /// What is now true of a scope.
    pub(super) fn shown(&mut self, user: UserKey, shown: &Shown) {
        encode(user, shown, &mut self.waiting);
    }

    /// Nothing is kept of a user any more.
    pub(super) fn erased(&mut self, user: UserKey) {
        self.waiting.push(2);
        self.waiting.extend_from_slice(&user.0.to_le_bytes());
        self.has_erasure = true;
    }

    /// What waits, and the file that it belongs in; `None` where nothing waits, or somebody writes already.
    pub(super) fn take_to_sync(&mut self) -> Option<(Appending, Vec<u8>)> {
        if self.waiting.is_empty() || self.failed {
            return None;
        }
        let file = self.file.take()?;
        Some((file, std::mem::take(&mut self.waiting)))
    }

    /// The file is back, with what became of the write.
    pub(super) fn synced(
        &mut self,
        file: Appending,
        written: Result<(), FrequencyError>,
    ) -> Result<(), FrequencyError> {
        // A save may have begun another meanwhile.
        if file.generation == self.generation {
            self.bytes = file.at;
            self.file = Some(file);
            self.failed |= written.is_err();
        }
        written
    }

    pub(super) fn wants_save(&self) -> bool {
        self.bytes > LOG_BYTES || self.has_erasure || self.failed
    }

    /// Begins the next generation: its changes, and a base that somebody fills.
    pub(super) fn begin_save(&mut self) -> Result<Saving, FrequencyError> {
        let generation = self.generation + 1;
        let storage = &*self.storage;
        let changes = Appending::create(storage, Kind::Changes.file(generation), Kind::Changes, generation)?;
        let base = Appending::create(storage, format!("base-{generation}.tmp"), Kind::Base, generation)?;
        storage.sync_dir().map_err(|error| failed(&changes.name, error))?;
        (self.generation, self.bytes, self.file) = (generation, changes.at, Some(changes));
        (self.has_erasure, self.failed) = (false, false);
        Ok(Saving { base, waiting: Vec::new(), records: 0 })
    }

    /// The base is written: it takes its place, and what it replaces goes.
    pub(super) fn end_save(&mut self, saving: Saving) -> Result<(), FrequencyError> {
        let generation = saving.base.generation;
        let (from, to) = (&saving.base.name, Kind::Base.file(generation));
        self.storage.rename(from, &to).map_err(|error| failed(from, error))?;
        self.storage.sync_dir().map_err(|error| failed(&to, error))?;
        for name in self.storage.list().map_err(|error| failed(".", error))? {
            let known = Kind::Base.generation(&name).or(Kind::Changes.generation(&name));
            let is_draft = name.ends_with(".tmp");
            if known.is_some_and(|known| known < generation) || is_draft {
                self.storage.remove(&name).map_err(|error| failed(&name, error))?;
            }
        }
        self.storage.sync_dir().map_err(|error| failed(&to, error))
    }
}

/// A base that is being written.
pub(super) struct Saving {
    base: Appending,
    waiting: Vec<u8>,
    records: u64,
}

impl Saving {
    pub(super) fn put(&mut self, user: UserKey, shown: &Shown) -> Result<(), FrequencyError> {
        encode(user, shown, &mut self.waiting);
        self.records += 1;
        if self.waiting.len() < FRAME_BYTES {
            return Ok(());
        }
        self.base.frame(&self.waiting)?;
        self.waiting.clear();
        Ok(())
    }

    pub(super) fn finish(&mut self) -> Result<(), FrequencyError> {
        self.waiting.push(3);
        self.waiting.extend_from_slice(&self.records.to_le_bytes());
        self.base.append(&self.waiting)
    }
}

fn encode(user: UserKey, shown: &Shown, out: &mut Vec<u8>) {
    out.push(1);
    out.extend_from_slice(&user.0.to_le_bytes());
    out.extend_from_slice(&shown.scope.bits().to_le_bytes());
    out.extend_from_slice(&shown.total.to_le_bytes());
    out.extend_from_slice(&shown.keep_s.to_le_bytes());
    out.extend_from_slice(&(shown.times.len() as u16).to_le_bytes());
    shown.times.iter().for_each(|time| out.extend_from_slice(&time.to_le_bytes()));
}

/// Reads what is kept, change by change, and returns the log that goes on; it is written from the first save on.
pub(super) fn read(
    storage: Box<dyn Storage>,
    mut tell: impl FnMut(UserKey, Change),
) -> Result<Log, FrequencyError> {
    let names = storage.list().map_err(|error| failed(".", error))?;
    let of = |kind: Kind| names.iter().filter_map(move |name| kind.generation(name));
    let base = of(Kind::Base).max();
    if let Some(generation) = base {
        read_file(&*storage, Kind::Base, generation, &mut tell)?;
    }
    let mut changes: Vec<u64> = of(Kind::Changes).filter(|changes| *changes >= base.unwrap_or(0)).collect();
    changes.sort_unstable();
    for generation in &changes {
        read_file(&*storage, Kind::Changes, *generation, &mut tell)?;
    }
    let generation = changes.last().copied().into_iter().chain(base).max().unwrap_or(0);
    Ok(Log {
        storage,
        generation,
        waiting: Vec::new(),
        file: None,
        bytes: 0,
        has_erasure: false,
        failed: false,
    })
}

fn read_file(
    storage: &dyn Storage,
    kind: Kind,
    generation: u64,
    tell: &mut impl FnMut(UserKey, Change),
) -> Result<(), FrequencyError> {
    let file = kind.file(generation);
    let bytes = storage.read(&file).map_err(|error| failed(&file, error))?;
    let damaged = |at, why| FrequencyError::Damaged { file: file.clone(), at, why };
    // A crash may leave a changes file without its header; a base has its name only when it is whole.
    if kind == Kind::Changes && bytes.len() < HEADER {
        return Ok(());
    }
    let header = bytes.get(..HEADER).ok_or_else(|| damaged(0, "it ends within its header"))?;
    let (said, sum) = header.split_at(HEADER - 4);
    let is_ours = said.starts_with(MAGIC)
        && said[12..16] == (kind as u32).to_le_bytes()
        && said[16..24] == generation.to_le_bytes()
        && sum == crc32c::crc32c(said).to_le_bytes();
    if !is_ours {
        return Err(damaged(0, "its header is not one of this file"));
    }
    if said[8..12] != VERSION.to_le_bytes() {
        return Err(damaged(8, "it is of a version that this program does not know"));
    }
    let (mut at, mut records, mut ended) = (HEADER, 0u64, false);
    while at < bytes.len() {
        let rest = &bytes[at..];
        let length =
            rest.first_chunk::<4>().map_or(usize::MAX, |length| u32::from_le_bytes(*length) as usize);
        let end = FRAME.saturating_add(length);
        let payload = rest.get(FRAME..end);
        let sum = rest.get(4..FRAME).and_then(|sum| sum.try_into().ok()).map(u32::from_le_bytes);
        let Some(mut payload) = payload.filter(|payload| Some(crc32c::crc32c(payload)) == sum) else {
            if kind == Kind::Changes && end >= rest.len() {
                return Ok(());
            }
            return Err(damaged(at, "a frame's check does not match"));
        };
        while !payload.is_empty() {
            let here = at + end - payload.len();
            let record = decode(&mut payload).ok_or_else(|| damaged(here, "no record looks like this"))?;
            match record {
                Record::Change(user, change) => tell(user, change),
                Record::End(count) if kind == Kind::Base && count == records => ended = true,
                Record::End(_) => return Err(damaged(here, "its end counts other records than it has")),
            }
            records += 1;
        }
        at += end;
    }
    if kind == Kind::Base && !ended { Err(damaged(at, "it has no end")) } else { Ok(()) }
}

enum Record {
    Change(UserKey, Change),
    End(u64),
}

/// Takes one off the front; `None` where no record looks like this.
fn decode(bytes: &mut &[u8]) -> Option<Record> {
    let [kind] = *take::<1>(bytes)?;
    let first = u64::from_le_bytes(*take(bytes)?);
    Some(match kind {
        1 => {
            let scope = Scope::from_bits(u64::from_le_bytes(*take(bytes)?));
            let total = u32::from_le_bytes(*take(bytes)?);
            let keep_s = u32::from_le_bytes(*take(bytes)?);
            let count = u16::from_le_bytes(*take(bytes)?);
            let mut times = Vec::new();
            for _ in 0..count {
                times.push(u32::from_le_bytes(*take(bytes)?));
            }
            Record::Change(UserKey(first), Change::Shown(Shown { scope, total, keep_s, times }))
        }
        2 => Record::Change(UserKey(first), Change::Erased),
        3 => Record::End(first),
        _ => return None,
    })
}

fn take<'b, const N: usize>(bytes: &mut &'b [u8]) -> Option<&'b [u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(taken)
}
