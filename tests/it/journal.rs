//! The ledger's journal: what was committed comes back, whatever the disk and the power did in between.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod basics;
mod crashes;
mod damage;
mod faults;
mod mending;
mod needed_syncs;

use outbid::budget::journal::{Item, Journal, JournalError, MemoryStorage, Options, Recovered, dump};
use outbid::model::storage::Storage;

/// Small, so that a few records fill a segment.
const OPTIONS: Options = Options { segment_bytes: 2_048, spare_segments: 1, emergency_bytes: 1_024 };

fn open(storage: &MemoryStorage) -> Result<(Journal, Recovered), JournalError> {
    Journal::open(Box::new(storage.clone()), OPTIONS)
}

/// A payload that says which record it is and how long; no two are alike, and none is all zeros.
fn payload(lsn: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![(lsn % 251) as u8 + 1; length.max(8)];
    bytes[..8].copy_from_slice(&(lsn << 16 | length as u64).to_le_bytes());
    bytes
}

/// What the journal must hold: every record that was appended, and how many of them were answered for.
#[derive(Default, Clone, Debug)]
struct Model {
    appended: Vec<Vec<u8>>,
    durable: usize,
    /// The last checkpoint that was promised.
    checkpoint: usize,
}

impl Model {
    fn append(&mut self, journal: &mut Journal, length: usize) {
        let bytes = payload(self.appended.len() as u64 + 1, length);
        let lsn = journal.append(&bytes);
        self.appended.push(bytes);
        assert_eq!(lsn, self.appended.len() as u64);
    }

    fn commit(&mut self, journal: &mut Journal) -> Result<(), JournalError> {
        let durable = journal.commit()?;
        assert_eq!(durable, self.appended.len() as u64);
        self.durable = durable as usize;
        Ok(())
    }

    fn checkpoint(&mut self, journal: &mut Journal) -> Result<(), JournalError> {
        journal.checkpoint(&self.state(self.durable))?;
        self.checkpoint = self.durable;
        Ok(())
    }

    /// The state after `count` records.
    fn state(&self, count: usize) -> Vec<u8> {
        let sum = self.appended[..count].iter().fold(0, |crc, bytes| crc32c::crc32c_append(crc, bytes));
        [vec![b's'; 40], count.to_le_bytes().to_vec(), sum.to_le_bytes().to_vec()].concat()
    }

    /// Compares what came back, and takes it for what must come back from now on: whoever opened the journal acts
    /// on what it said.
    fn check(&mut self, recovered: &Recovered) -> Result<(), String> {
        let base = recovered.checkpoint.as_ref().map_or(0, |(lsn, _)| *lsn as usize);
        if base < self.checkpoint || base > self.appended.len() {
            let (promised, appended) = (self.checkpoint, self.appended.len());
            return Err(format!("a checkpoint at {base}, {promised} promised, {appended} appended"));
        }
        if recovered.checkpoint.as_ref().is_some_and(|(_, state)| *state != self.state(base)) {
            return Err(format!("the checkpoint at {base} says something else"));
        }
        let last = base + recovered.records.len();
        if last < self.durable || last > self.appended.len() {
            return Err(format!(
                "{last} records, {} durable, {} appended",
                self.durable,
                self.appended.len()
            ));
        }
        for (index, (lsn, bytes)) in recovered.records.iter().enumerate() {
            if *lsn as usize != base + index + 1 || *bytes != self.appended[base + index] {
                return Err(format!("record {} came back as {lsn}, or changed", base + index + 1));
            }
        }
        self.appended.truncate(last);
        self.durable = last;
        Ok(())
    }
}

/// A journal of `commits` commits of three records each, closed.
fn written(commits: usize) -> (MemoryStorage, Model) {
    let storage = MemoryStorage::new();
    let (mut journal, _) = open(&storage).unwrap();
    let mut model = Model::default();
    for _ in 0..commits {
        for length in [30, 64, 100] {
            model.append(&mut journal, length);
        }
        model.commit(&mut journal).unwrap();
    }
    (storage, model)
}

/// The names that begin with `prefix`, ascending.
fn names(storage: &MemoryStorage, prefix: &str) -> Vec<String> {
    let mut names = storage.list().unwrap();
    names.retain(|name| name.starts_with(prefix));
    names.sort();
    names
}

/// The segments, in order.
fn segments(storage: &MemoryStorage) -> Vec<String> {
    let mut names = names(storage, "journal-0");
    names.retain(|name| name.ends_with(".wal"));
    names
}

/// A record's place.
#[derive(Clone, Debug)]
struct Place {
    file: String,
    offset: usize,
    end: usize,
    lsn: u64,
}

/// Where every record stands.
fn places(storage: &MemoryStorage) -> Vec<Place> {
    let mut places = Vec::new();
    dump(storage, |item| {
        if let Item::Record { file, offset, lsn, payload } = item {
            let offset = offset as usize;
            places.push(Place { file: file.to_owned(), offset, end: offset + 20 + payload.len(), lsn });
        }
    })
    .unwrap();
    places
}

/// The place that the refusal names.
fn refused_at(outcome: Result<(Journal, Recovered), JournalError>) -> (String, u64, u64) {
    match outcome.map(|(_, recovered)| recovered) {
        Err(JournalError::Damaged { file, offset, lsn, .. }) => (file, offset, lsn),
        other => panic!("not refused as damaged: {other:?}"),
    }
}
