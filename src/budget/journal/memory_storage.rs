//! A directory in memory for tests and the simulator: it keeps what was synced apart from what was not, forgets the
//! second in a crash, and fails when told to.
//!
//! Invariant: deterministic: the same calls, faults and seeds give the same content. It is as unkind as a real system
//! may be: unsynced names and sectors survive a crash one by one or not at all, a write that fails has written a part,
//! and after a failed sync the content stays readable, but no later sync writes it (only writing it again does).

use crate::model::storage::{Storage, StorageFile};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

/// What a disk writes whole or not at all, in bytes.
const SECTOR: usize = 512;

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// With an error of this kind; a write has written a part by then.
    Error(io::ErrorKind),
    /// A write writes a part and says so ([`io::ErrorKind::WriteZero`]); other operations succeed.
    ShortWrite,
}

/// A directory in memory. Clones are the same directory, so that a test keeps one while a journal owns another.
#[derive(Clone, Default)]
pub struct MemoryStorage {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    files: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Unsynced changes of names, each of which survives a crash or not: the name, and its file or none.
    renames: Vec<Vec<(String, Option<usize>)>>,
    operations: u64,
    faults: BTreeMap<u64, Fault>,
    faults_from: Option<(u64, Fault)>,
    capacity: Option<u64>,
    /// Counted up by every crash: a handle of an earlier life is dead.
    life: u64,
}

#[derive(Default)]
struct Inode {
    content: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors that differ from the durable ones; `true`: the next sync writes them.
    touched: BTreeMap<usize, bool>,
}

impl MemoryStorage {
    /// An empty directory.
    pub fn new() -> MemoryStorage {
        MemoryStorage::default()
    }

    /// How many operations have been begun, failed ones included. Every call of the two traits is one.
    pub fn operations(&self) -> u64 {
        self.state.lock().operations
    }

    /// Makes the operation `nth` fail, counted from 1 since the directory was made.
    pub fn fail_at(&self, nth: u64, fault: Fault) {
        self.state.lock().faults.insert(nth, fault);
    }

    /// Makes the operation `nth` and all that follow fail.
    pub fn fail_from(&self, nth: u64, fault: Fault) {
        self.state.lock().faults_from = Some((nth, fault));
    }

    /// Makes nothing fail any more.
    pub fn clear_faults(&self) {
        let mut state = self.state.lock();
        state.faults.clear();
        state.faults_from = None;
    }

    /// Refuses to hold more than this many bytes, reserved ones included; `None` = no limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state.lock().capacity = bytes;
    }

    /// The bytes it holds, reserved ones included.
    pub fn used(&self) -> u64 {
        self.state.lock().used()
    }

    /// The power fails: of what was not synced, `seed` decides what survives. Open files are dead afterwards, faults
    /// are cleared. To lose the process only, drop its journal and open another on a clone.
    pub fn crash(&self, seed: u64) {
        let mut state = self.state.lock();
        let mut random = SplitMix(seed);
        let mut names = std::mem::take(&mut state.durable_names);
        for changes in std::mem::take(&mut state.renames) {
            if random.next() & 1 == 0 {
                continue;
            }
            for (name, file) in changes {
                match file {
                    Some(file) => names.insert(name, file),
                    None => names.remove(&name),
                };
            }
        }
        for inode in &mut state.files {
            inode.crash(&mut random);
        }
        state.names = names.clone();
        state.durable_names = names;
        state.life += 1;
        state.faults.clear();
        state.faults_from = None;
    }

    /// Changes a file behind everybody's back, durably, as a broken disk or a careless hand would.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn tamper(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state.lock();
        let file = *state.names.get(name).expect("a file to tamper with");
        let inode = &mut state.files[file];
        change(&mut inode.content);
        inode.durable = inode.content.clone();
        inode.touched.clear();
    }

    /// A directory of its own with the same durable and undurable content, without the faults.
    pub fn copy(&self) -> MemoryStorage {
        let state = self.state.lock();
        let files = state.files.iter().map(|inode| Inode {
            content: inode.content.clone(),
            durable: inode.durable.clone(),
            touched: inode.touched.clone(),
        });
        let copy = State {
            files: files.collect(),
            names: state.names.clone(),
            durable_names: state.durable_names.clone(),
            renames: state.renames.clone(),
            capacity: state.capacity,
            ..State::default()
        };
        MemoryStorage { state: Arc::new(Mutex::new(copy)) }
    }
}

impl State {
    /// Begins an operation: the fault it meets, if any.
    fn begin(&mut self) -> Option<Fault> {
        self.operations += 1;
        let from = self.faults_from.filter(|(nth, _)| self.operations >= *nth).map(|(_, fault)| fault);
        self.faults.get(&self.operations).copied().or(from)
    }

    /// Begins an operation that is no write.
    fn begin_whole(&mut self) -> io::Result<()> {
        match self.begin() {
            Some(Fault::Error(kind)) => Err(kind.into()),
            Some(Fault::ShortWrite) | None => Ok(()),
        }
    }

    fn used(&self) -> u64 {
        let linked: BTreeSet<usize> = self.names.values().copied().collect();
        linked.into_iter().map(|file| self.files[file].content.len() as u64).sum()
    }

    fn room(&self, more: u64) -> io::Result<()> {
        match self.capacity {
            Some(capacity) if self.used() + more > capacity => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }

    fn file(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn link(&mut self, changes: Vec<(String, Option<usize>)>) {
        for (name, file) in &changes {
            match file {
                Some(file) => self.names.insert(name.clone(), *file),
                None => self.names.remove(name),
            };
        }
        self.renames.push(changes);
    }
}

impl Inode {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.content.len() < end {
            self.set_len(end);
        }
        self.content[offset..end].copy_from_slice(bytes);
        self.touch(offset, end);
    }

    fn set_len(&mut self, length: usize) {
        let (low, high) = (self.content.len().min(length), self.content.len().max(length));
        self.content.resize(length, 0);
        // A reservation reads as zeros either way, so only what it cuts off needs remembering.
        self.touch(low, high.min(self.durable.len()).max(low));
    }

    fn touch(&mut self, from: usize, to: usize) {
        for sector in from / SECTOR..to.div_ceil(SECTOR) {
            self.touched.insert(sector, true);
        }
    }

    fn sync(&mut self) {
        self.durable.resize(self.content.len(), 0);
        for sector in self.touched.extract_if(.., |_, dirty| *dirty).map(|(sector, _)| sector) {
            copy_sector(&mut self.durable, &self.content, sector, SECTOR);
        }
    }

    fn crash(&mut self, random: &mut SplitMix) {
        let mode = random.next() % 4;
        let grown = random.next() & 1 == 0;
        let mut after = std::mem::take(&mut self.durable);
        if grown || self.content.len() == after.len() {
            after.resize(self.content.len(), 0);
        }
        let count = self.touched.len() as u64;
        let whole = random.below(count + 1);
        for (index, &sector) in self.touched.keys().enumerate() {
            let kept = match mode {
                0 => 0,
                1 => SECTOR,
                2 if random.next() & 1 == 0 => SECTOR,
                2 => 0,
                _ if (index as u64) < whole => SECTOR,
                _ if index as u64 == whole => random.below(SECTOR as u64) as usize,
                _ => 0,
            };
            copy_sector(&mut after, &self.content, sector, kept);
        }
        self.content = after.clone();
        self.durable = after;
        self.touched.clear();
    }
}

/// Copies the first `kept` bytes of a sector, as far as both sides have it.
fn copy_sector(to: &mut [u8], from: &[u8], sector: usize, kept: usize) {
    let begin = sector * SECTOR;
    let end = (begin + kept).min(to.len()).min(from.len());
    if begin < end {
        to[begin..end].copy_from_slice(&from[begin..end]);
    }
}

impl Storage for MemoryStorage {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut state = self.state.lock();
        state.begin_whole()?;
        Ok(state.names.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut state = self.state.lock();
        state.begin_whole()?;
        let file = state.file(name)?;
        Ok(state.files[file].content.clone())
    }

    fn create(&self, name: &str, reserve: u64) -> io::Result<Box<dyn StorageFile>> {
        let mut state = self.state.lock();
        state.begin_whole()?;
        let old = state.names.get(name).copied();
        let freed = old.map_or(0, |file| state.files[file].content.len() as u64);
        state.room(reserve.saturating_sub(freed))?;
        let file = old.unwrap_or(state.files.len());
        if old.is_none() {
            state.files.push(Inode::default());
            state.link(vec![(name.to_owned(), Some(file))]);
        }
        let inode = &mut state.files[file];
        inode.set_len(0);
        inode.set_len(reserve as usize);
        Ok(self.handle(file, state.life))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let mut state = self.state.lock();
        state.begin_whole()?;
        let file = state.file(name)?;
        Ok(self.handle(file, state.life))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.begin_whole()?;
        let file = state.file(from)?;
        state.link(vec![(from.to_owned(), None), (to.to_owned(), Some(file))]);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.begin_whole()?;
        state.file(name)?;
        state.link(vec![(name.to_owned(), None)]);
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.begin_whole()?;
        state.renames.clear();
        state.durable_names = state.names.clone();
        Ok(())
    }
}

impl MemoryStorage {
    fn handle(&self, file: usize, life: u64) -> Box<dyn StorageFile> {
        Box::new(MemoryFile { state: Arc::clone(&self.state), file, life })
    }
}

struct MemoryFile {
    state: Arc<Mutex<State>>,
    file: usize,
    life: u64,
}

impl MemoryFile {
    fn alive(&self, state: &State) -> io::Result<()> {
        let alive = state.life == self.life;
        if alive { Ok(()) } else { Err(io::Error::other("this file was open in a life before the crash")) }
    }
}

impl StorageFile for MemoryFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        self.alive(&state)?;
        let failed = match state.begin() {
            Some(Fault::Error(kind)) => Some(kind),
            Some(Fault::ShortWrite) => Some(io::ErrorKind::WriteZero),
            None => None,
        };
        let (offset, length) = (offset as usize, state.files[self.file].content.len());
        state.room((offset + bytes.len()).saturating_sub(length) as u64)?;
        // Which part a failing write has written follows from its number, so that a run over all of them meets many.
        let part = state.operations as usize * 61 % (bytes.len() + 1);
        let written = if failed.is_some() { &bytes[..part] } else { bytes };
        state.files[self.file].write(offset, written);
        failed.map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn set_len(&mut self, length: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        self.alive(&state)?;
        state.begin_whole()?;
        let now = state.files[self.file].content.len() as u64;
        state.room(length.saturating_sub(now))?;
        state.files[self.file].set_len(length as usize);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.state.lock();
        self.alive(&state)?;
        let outcome = state.begin_whole();
        let inode = &mut state.files[self.file];
        match outcome {
            Ok(()) => inode.sync(),
            Err(_) => inode.touched.values_mut().for_each(|dirty| *dirty = false),
        }
        outcome
    }
}

/// Steele, Lea and Flood's generator: small, and the same for ever, so that a seed in a bug report stays good.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
