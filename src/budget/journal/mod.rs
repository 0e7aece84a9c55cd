//! The journal that the ledger stands on: records in numbered order, durable before anybody is answered.
//!
//! One directory behind [`Storage`] holds preallocated segments (`journal-<first lsn>.wal`), two generations of
//! checkpoints (`checkpoint-<lsn>.ckpt`), spare segments and an emergency file. Records are appended to memory and
//! committed together: one write and one sync, whoever waits. A checkpoint is the state after a record, so that older
//! segments can go; recovery is the newest checkpoint plus the records behind it.
//!
//! Invariant: a record whose commit returned `Ok` is read back, unchanged, at its place, after any crash; a journal that
//! cannot promise that refuses to open and names the file and the offset (see `recover.rs`). A failed sync is never
//! retried: from then on the journal refuses everything, because the system may have dropped what it could not write.
//! A full disk is the one failure that heals: what was appended stays buffered, and a later commit writes it.
//!
//! Deliberately absent: threads and timing of group commit (the ledger thread's), the meaning of a payload, the lock of
//! the directory (`store::DataDir`), and a transaction over several records: a crash may keep the first half of a
//! commit that was never answered for.

mod checkpoint;
mod error;
mod frame;
mod inspect;
mod memory_storage;
mod recover;
mod repair;
mod reserve;
mod segment;

pub use error::{JournalError, Problem, Torn, Warning};
pub use frame::MAX_PAYLOAD;
pub use inspect::{
    CheckpointReport, Item, SegmentReport, Verdict, checkpoint_payload, checkpoints, dump, scan, verify,
};
pub use memory_storage::{Fault, MemoryStorage};
pub use repair::{Aside, Repair, repair};

use crate::model::storage::{Storage, StorageFile};
use error::{io_error, is_full, refused};
use reserve::{Reserve, Spare};

/// How a journal uses its directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The size of a segment, in bytes. A commit that is larger gets a larger segment.
    pub segment_bytes: u64,
    /// How many segments are set aside ahead.
    pub spare_segments: usize,
    /// The size of the emergency file, in bytes; about that of a checkpoint. 0 = none.
    pub emergency_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, spare_segments: 2, emergency_bytes: 64 << 20 }
    }
}

/// What was in a journal when it was opened. All of it is durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The checkpoint to start from: its lsn and its payload.
    pub checkpoint: Option<(u64, Vec<u8>)>,
    /// The records behind it, in order, without a gap.
    pub records: Vec<(u64, Vec<u8>)>,
    /// A torn last write, which was cut off.
    pub torn: Option<Torn>,
    /// What was got over without loss; each is worth a look at the disk.
    pub warnings: Vec<Warning>,
}

/// See the module.
pub struct Journal {
    storage: Box<dyn Storage>,
    active: Active,
    segment_bytes: u64,
    reserve: Reserve,
    /// The frames that were appended since the last commit.
    buffer: Vec<u8>,
    buffered: u32,
    last: u64,
    durable: u64,
    /// The checkpoints that can be read, the newest first; at most two.
    generations: Vec<u64>,
    failed: Option<String>,
}

/// The segment that is written to.
struct Active {
    name: String,
    file: Box<dyn StorageFile>,
    offset: u64,
}

impl Active {
    fn of(spare: Spare, first_lsn: u64) -> Active {
        Active { name: segment::name(first_lsn), file: spare.file, offset: segment::HEADER as u64 }
    }
}

impl Journal {
    /// Opens the journal in a directory, or creates one in an empty directory, and hands out what it holds.
    ///
    /// Nothing but a torn last write is changed. [`JournalError::Damaged`] and [`JournalError::NewerFormat`] change
    /// nothing.
    pub fn open(storage: Box<dyn Storage>, options: Options) -> Result<(Journal, Recovered), JournalError> {
        let survey = recover::survey(&*storage)?;
        recover::heal(&*storage, &survey)?;
        let mut reserve = Reserve::start(&*storage, &survey.listing.names, options)?;
        let generations: Vec<u64> = survey.checkpoint.iter().map(|(lsn, _)| *lsn).collect();
        let (active, next_lsn) = match survey.tail {
            Some(tail) => {
                let file = storage.open(&tail.file).map_err(io_error("open", &tail.file))?;
                (Active { name: tail.file, file, offset: tail.offset }, tail.next_lsn)
            }
            None => {
                let mut spare = reserve.take(&*storage)?;
                begin(&*storage, &mut spare, 1)?;
                (Active::of(spare, 1), 1)
            }
        };
        let mut journal = Journal {
            storage,
            active,
            segment_bytes: options.segment_bytes,
            reserve,
            buffer: Vec::new(),
            buffered: 0,
            last: next_lsn - 1,
            durable: next_lsn - 1,
            generations,
            failed: None,
        };
        // Short of space is no reason not to open: what is durable can be read, and notices can wait.
        let _ = journal.maintain();
        journal.reserve.opened();
        let recover::Survey { checkpoint, records, torn, warnings, .. } = survey;
        Ok((journal, Recovered { checkpoint, records, torn, warnings }))
    }

    /// Appends a record of 1 to [`MAX_PAYLOAD`] bytes, in memory, and returns its number: 1 for the first, then one
    /// more each time. Once the journal has failed nothing is kept, and the next commit says so.
    ///
    /// # Panics
    /// If the payload is empty or too long; the ledger's records are neither.
    pub fn append(&mut self, payload: &[u8]) -> u64 {
        assert!(!payload.is_empty() && payload.len() <= MAX_PAYLOAD, "a payload of {} bytes", payload.len());
        self.last += 1;
        if self.failed.is_none() {
            frame::encode(&mut self.buffer, self.last, self.buffered, payload);
            self.buffered = self.buffered.checked_add(1).expect("a commit has fewer than 2^32 records");
        }
        self.last
    }

    /// Makes every appended record durable with one write and one sync, and returns the last durable number.
    ///
    /// After [`JournalError::NoSpace`] the records stay buffered under their numbers, and a later commit writes them:
    /// whoever waits may be told to come again, but they will have happened. After any other error the journal has
    /// failed, unless a new segment's file could not be created, which changed nothing.
    pub fn commit(&mut self) -> Result<u64, JournalError> {
        self.refuse_if_failed()?;
        if self.buffer.is_empty() {
            return Ok(self.durable);
        }
        let bytes = self.buffer.len() as u64;
        let begun = self.active.offset > segment::HEADER as u64;
        if begun && self.active.offset + bytes > self.segment_bytes {
            self.roll()?;
        }
        if let Err(why) = self.active.file.write_at(self.active.offset, &self.buffer) {
            // A part of it may be there. That does no harm, because the next attempt writes the same bytes again.
            let refused = refused("write", &self.active.name, bytes, why);
            return Err(self.failed_unless_full(refused));
        }
        if let Err(why) = self.active.file.sync() {
            let error = io_error("sync", &self.active.name)(why);
            return Err(self.fail(error));
        }
        self.active.offset += bytes;
        self.durable = self.last;
        self.buffer.clear();
        self.buffered = 0;
        Ok(self.durable)
    }

    /// Writes the checkpoint of the state after the last durable record ([`Journal::durable_lsn`]), keeps one more
    /// generation, and removes what neither needs. The emergency file is given up if there is no space otherwise.
    ///
    /// An error leaves the journal as good as before: the older generations stay.
    pub fn checkpoint(&mut self, payload: &[u8]) -> Result<(), JournalError> {
        self.refuse_if_failed()?;
        let lsn = self.durable;
        let mut written = checkpoint::write(&*self.storage, lsn, payload);
        if written.as_ref().is_err_and(|(_, why)| is_full(why)) && self.reserve.release(&*self.storage) {
            written = checkpoint::write(&*self.storage, lsn, payload);
        }
        if let Err((operation, why)) = written {
            // Half a file that nobody reads must not keep the space; it may well be gone already.
            let _ = self.storage.remove(checkpoint::TEMPORARY);
            return Err(refused(operation, &checkpoint::name(lsn), checkpoint::size(payload), why));
        }
        self.generations.retain(|&generation| generation != lsn);
        self.generations.insert(0, lsn);
        self.generations.truncate(2);
        if let Err(why) = self.prune() {
            tracing::warn!(%why, "old files of the journal could not be removed; the next checkpoint tries again");
        }
        Ok(())
    }

    /// Sets aside what is missing of the spare segments and the emergency file; what [`Journal::is_short_of_space`]
    /// says afterwards. Meant to be called now and then, outside a commit: creating a file takes a millisecond.
    pub fn maintain(&mut self) -> Result<(), JournalError> {
        self.refuse_if_failed()?;
        self.reserve.fill(&*self.storage)
    }

    /// Whether something could not be set aside: no more money should be leased until it could, although what is
    /// owed can still be committed.
    pub fn is_short_of_space(&self) -> bool {
        !self.reserve.is_complete()
    }

    /// The number of the last appended record, 0 before the first.
    pub fn last_lsn(&self) -> u64 {
        self.last
    }

    /// The number of the last record that survives a crash, 0 before the first.
    pub fn durable_lsn(&self) -> u64 {
        self.durable
    }

    /// The size of what waits for a commit, in bytes.
    pub fn buffered_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Whether the journal refuses everything for ever, because a write or a sync failed.
    pub fn is_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Goes on in a new segment. Its name is durable before the old one says that it exists.
    fn roll(&mut self) -> Result<(), JournalError> {
        let first_lsn = self.durable + 1;
        let mut spare = self.reserve.take(&*self.storage)?;
        if let Err(error) = begin(&*self.storage, &mut spare, first_lsn) {
            let error = self.failed_unless_full(error);
            if self.failed.is_none() {
                self.reserve.put_back(spare);
            }
            return Err(error);
        }
        // The mark shows only that a segment behind this one is missing, so it is neither synced nor insisted on.
        let _ = self.active.file.write_at(self.active.offset, &frame::seal(first_lsn));
        self.active = Active::of(spare, first_lsn);
        Ok(())
    }

    /// Removes checkpoints that are not among the two generations, and segments wholly below the older one. Which of
    /// the removals survive a crash does not matter.
    fn prune(&self) -> Result<(), JournalError> {
        let listing = recover::list(&*self.storage)?;
        let [_, older] = self.generations[..] else { return Ok(()) };
        let checkpoints = listing.checkpoints.iter().filter(|lsn| !self.generations.contains(lsn));
        let below = listing.segments.windows(2).filter(|pair| pair[1] <= older + 1);
        let names =
            checkpoints.map(|&lsn| checkpoint::name(lsn)).chain(below.map(|pair| segment::name(pair[0])));
        for name in names {
            self.storage.remove(&name).map_err(io_error("remove", &name))?;
        }
        Ok(())
    }

    fn refuse_if_failed(&self) -> Result<(), JournalError> {
        self.failed.clone().map_or(Ok(()), |reason| Err(JournalError::Failed { reason }))
    }

    fn failed_unless_full(&mut self, error: JournalError) -> JournalError {
        if matches!(error, JournalError::NoSpace { .. }) { error } else { self.fail(error) }
    }

    fn fail(&mut self, error: JournalError) -> JournalError {
        self.failed = Some(error.to_string());
        self.buffer = Vec::new();
        error
    }
}

/// Makes a spare file the segment that begins with `first_lsn`. The header is durable before the name, and the name
/// before this returns.
fn begin(storage: &dyn Storage, spare: &mut Spare, first_lsn: u64) -> Result<(), JournalError> {
    let name = segment::name(first_lsn);
    let header = segment::header(first_lsn);
    spare.file.write_at(0, &header).map_err(|why| refused("write", &name, header.len() as u64, why))?;
    spare.file.sync().map_err(io_error("sync", &name))?;
    storage.rename(&spare.name, &name).map_err(|why| refused("rename", &name, 0, why))?;
    storage.sync_dir().map_err(io_error("sync the directory of", &name))
}
