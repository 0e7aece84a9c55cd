//! No sync is superfluous: each one, left out, loses something in some crash.

use super::*;
use outbid::budget::journal::Fault;
use outbid::model::storage::StorageFile;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A directory whose n-th sync does nothing and says that it went well.
#[derive(Clone)]
struct Skipping {
    inner: MemoryStorage,
    syncs: Arc<AtomicU64>,
    skip: u64,
}

impl Skipping {
    fn skips(&self) -> bool {
        self.syncs.fetch_add(1, Ordering::Relaxed) + 1 == self.skip
    }

    fn wrap(&self, file: Box<dyn StorageFile>) -> Box<dyn StorageFile> {
        Box::new(SkippingFile { inner: file, storage: self.clone() })
    }
}

impl Storage for Skipping {
    fn list(&self) -> io::Result<Vec<String>> {
        self.inner.list()
    }
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.inner.read(name)
    }
    fn create(&self, name: &str, reserve: u64) -> io::Result<Box<dyn StorageFile>> {
        Ok(self.wrap(self.inner.create(name, reserve)?))
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        Ok(self.wrap(self.inner.open(name)?))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }
    fn sync_dir(&self) -> io::Result<()> {
        if self.skips() { Ok(()) } else { self.inner.sync_dir() }
    }
}

struct SkippingFile {
    inner: Box<dyn StorageFile>,
    storage: Skipping,
}

impl StorageFile for SkippingFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.inner.write_at(offset, bytes)
    }
    fn set_len(&mut self, length: u64) -> io::Result<()> {
        self.inner.set_len(length)
    }
    fn sync(&mut self) -> io::Result<()> {
        if self.storage.skips() { Ok(()) } else { self.inner.sync() }
    }
}

/// One run of the script: its syncs, by what they were for, and how it ended.
struct Run {
    storage: Skipping,
    model: Model,
    purposes: BTreeMap<u64, &'static str>,
    /// Nothing is left out and no power fails, so that every step must go as it says.
    whole: bool,
}

impl Run {
    fn new(skip: u64, whole: bool) -> Run {
        let storage = Skipping { inner: MemoryStorage::new(), syncs: Arc::default(), skip };
        Run { storage, model: Model::default(), purposes: BTreeMap::new(), whole }
    }

    /// Does something, and writes down that its syncs were for `purposes`, in this order.
    fn noting<T>(
        &mut self,
        purposes: &[&'static str],
        act: impl FnOnce(&Skipping, &mut Model) -> Result<T, String>,
    ) -> Result<T, String> {
        let before = self.storage.syncs.load(Ordering::Relaxed);
        let outcome = act(&self.storage, &mut self.model)?;
        let made = self.storage.syncs.load(Ordering::Relaxed) - before;
        assert!(!self.whole || made == purposes.len() as u64, "{made} syncs, but {purposes:?}");
        self.purposes.extend((before + 1..).zip(purposes.iter().copied()));
        Ok(outcome)
    }

    /// Opens, commits, rolls, makes checkpoints that remove, and restarts the process twice at bad moments.
    fn script(&mut self) -> Result<(), String> {
        let whole = self.whole;
        let mut journal = self.noting(&["first header", "first name"], open_and_check)?;
        for _ in 0..2 {
            self.noting(&["commit"], |_, model| work(model, &mut journal, 900))?;
        }
        self.noting(&["header", "name", "commit"], |_, model| work(model, &mut journal, 900))?;
        for size in [10, 20] {
            self.noting(&["checkpoint", "checkpoint's name"], |_, model| {
                model.checkpoint(&mut journal).map_err(text)
            })?;
            self.noting(&["commit"], |_, model| work(model, &mut journal, size))?;
        }
        // The sync of a commit fails: the system shows a record that the disk may not have.
        self.noting(&["failed commit"], |storage, model| {
            storage.inner.fail_at(storage.inner.operations() + 2, Fault::Error(ErrorKind::Other));
            model.append(&mut journal, 30);
            let failed = model.commit(&mut journal).is_err();
            assert!(failed || !whole);
            Ok(())
        })?;
        drop(journal);
        let mut journal = self.noting(&["recovered tail", "recovered names, all known"], open_and_check)?;
        // The process ends between the name of a segment and its sync.
        self.noting(&["header", "failed name"], |storage, model| {
            storage.inner.fail_at(storage.inner.operations() + 4, Fault::Error(ErrorKind::Other));
            model.append(&mut journal, 1_200);
            let failed = model.commit(&mut journal).is_err();
            assert!(failed || !whole);
            Ok(())
        })?;
        drop(journal);
        let mut journal = self.noting(&["recovered names"], open_and_check)?;
        self.noting(&["commit"], |_, model| work(model, &mut journal, 40))
    }
}

fn text(why: JournalError) -> String {
    why.to_string()
}

fn open_and_check(storage: &Skipping, model: &mut Model) -> Result<Journal, String> {
    let (journal, recovered) = Journal::open(Box::new(storage.clone()), OPTIONS).map_err(text)?;
    model.check(&recovered)?;
    Ok(journal)
}

fn work(model: &mut Model, journal: &mut Journal, length: usize) -> Result<(), String> {
    model.append(journal, length);
    model.commit(journal).map_err(text)
}

/// Runs the script with a sync left out, lets the power fail at the operation `nth`, and says what was lost.
fn crash_at(nth: u64, seed: u64, skip: u64) -> Result<(), String> {
    let mut run = Run::new(skip, false);
    run.storage.inner.fail_from(nth, Fault::Error(ErrorKind::Other));
    let _ = run.script();
    run.storage.inner.crash(seed);
    let (_, recovered) = open(&run.storage.inner).map_err(text)?;
    run.model.check(&recovered)
}

#[test]
fn every_sync_is_needed() {
    let mut whole = Run::new(0, true);
    whole.script().unwrap();
    let operations = whole.storage.inner.operations();
    let lost = |skip: u64, seeds: u64| {
        (1..=operations + 1)
            .flat_map(|nth| (0..seeds).map(move |seed| (nth, seed)))
            .find_map(|(nth, seed)| crash_at(nth, seed * 7 + nth, skip).err().map(|why| (nth, seed, why)))
    };
    assert_eq!(lost(0, 12), None, "with every sync in its place nothing is lost");
    let superfluous: Vec<&str> = whole
        .purposes
        .iter()
        .filter(|(skip, _)| lost(**skip, 48).is_none())
        .map(|(_, purpose)| *purpose)
        .collect();
    // Recovery syncs names without knowing whether the process before it came to do so. Here it had; the script's
    // other restart shows the opposite case.
    assert_eq!(superfluous, ["recovered names, all known"]);
}
