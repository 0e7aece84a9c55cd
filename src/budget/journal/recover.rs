//! Reading a journal back: which checkpoint, which records behind it, where it ends, and whether what cannot be read
//! is the torn last write of a crash or damage to something that was durable.
//!
//! Invariant: [`survey`] changes nothing and never returns a content that differs from what was committed, except that
//! records of the last commit, never answered for, may be there or not. What is unreadable is
//! - harmless, where the checkpoint has it already (a [`Warning`]);
//! - damage, where anything proves that it was durable: a record of a later commit, a later segment, a checkpoint; or
//!   where records of its own commit stand behind it and no whole sector is missing in between, which is how a crash
//!   tears a write, but not how a bit flips;
//! - else torn: [`heal`] cuts it off.
//!
//! What it cannot see: a tail that was zeroed exactly from a record's start, with nothing later to prove it.

use super::error::{JournalError, Problem, Torn, Warning, io_error, refused};
use super::frame::{self, Frame};
use super::{checkpoint, segment};
use crate::model::storage::Storage;

/// The journal's files.
pub(super) struct Listing {
    /// First lsns, ascending.
    pub(super) segments: Vec<u64>,
    /// Lsns, the newest first.
    pub(super) checkpoints: Vec<u64>,
    /// Every name.
    pub(super) names: Vec<String>,
}

/// Lists the journal's files.
pub(super) fn list(storage: &dyn Storage) -> Result<Listing, JournalError> {
    let names = storage.list().map_err(io_error("list", "the journal's directory"))?;
    let mut segments: Vec<u64> = names.iter().filter_map(|name| segment::parse_name(name)).collect();
    let mut checkpoints: Vec<u64> = names.iter().filter_map(|name| checkpoint::parse_name(name)).collect();
    segments.sort_unstable();
    checkpoints.sort_unstable_by(|a, b| b.cmp(a));
    Ok(Listing { segments, checkpoints, names })
}

/// One step through a segment.
pub(super) enum Step<'a> {
    /// A valid record.
    Record { offset: usize, frame: Frame<'a>, payload: &'a [u8] },
    /// Bytes that are no valid record, where `lsn` should be. The walk stays here until it is resumed.
    Bad { offset: usize, lsn: u64 },
    /// The end: the next record would be `lsn`. `sealed`: the end mark says that another segment follows.
    End { offset: usize, lsn: u64, sealed: bool },
}

/// A walk through the records of one segment.
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    expected: u64,
    limit: Option<u64>,
}

impl<'a> Walk<'a> {
    /// Starts behind the header of a segment that begins with `first`. What stands at and behind the record `limit`,
    /// the first of the next segment, is the rest of a write that found no space here and was made there.
    pub(super) fn new(bytes: &'a [u8], first: u64, limit: Option<u64>) -> Walk<'a> {
        Walk { bytes, at: segment::HEADER, expected: first, limit }
    }

    /// The next step.
    pub(super) fn step(&mut self) -> Step<'a> {
        let (offset, lsn) = (self.at, self.expected);
        if self.limit == Some(lsn) {
            return Step::End { offset, lsn, sealed: false };
        }
        match frame::read(self.bytes, offset).filter(|frame| frame.lsn == lsn) {
            Some(frame) => match frame.payload {
                Some(payload) => {
                    (self.at, self.expected) = (frame.end, lsn + 1);
                    Step::Record { offset, frame, payload }
                }
                None => Step::End { offset, lsn, sealed: true },
            },
            None if frame::written(self.bytes) <= offset => Step::End { offset, lsn, sealed: false },
            None => Step::Bad { offset, lsn },
        }
    }

    /// Goes on at a frame that was found behind a bad one.
    pub(super) fn resume(&mut self, offset: usize, lsn: u64) {
        (self.at, self.expected) = (offset, lsn);
    }
}

/// What a journal holds.
pub(super) struct Survey {
    /// The checkpoint to start from.
    pub(super) checkpoint: Option<(u64, Vec<u8>)>,
    /// The records behind it.
    pub(super) records: Vec<(u64, Vec<u8>)>,
    /// What was got over.
    pub(super) warnings: Vec<Warning>,
    /// The torn last write.
    pub(super) torn: Option<Torn>,
    /// Where to go on; `None` of an empty directory.
    pub(super) tail: Option<Tail>,
    /// The files it was read from.
    pub(super) listing: Listing,
}

impl Survey {
    /// The number of the last record, 0 if there is none.
    pub(super) fn last_lsn(&self) -> u64 {
        self.tail.as_ref().map_or(0, |tail| tail.next_lsn - 1)
    }
}

/// The end of the last segment.
pub(super) struct Tail {
    /// The segment.
    pub(super) file: String,
    /// Where the next record goes, in bytes.
    pub(super) offset: u64,
    /// Its number.
    pub(super) next_lsn: u64,
    /// The last commit's bytes, up to `offset`: nothing proves that they are on the disk and not only in the cache of
    /// a system whose sync failed.
    pub(super) commit: Vec<u8>,
}

/// Reads a journal without changing it.
pub(super) fn survey(storage: &dyn Storage) -> Result<Survey, JournalError> {
    let listing = list(storage)?;
    let mut warnings = Vec::new();
    let checkpoint = choose_checkpoint(storage, &listing, &mut warnings)?;
    let base = checkpoint.as_ref().map_or(0, |(lsn, _)| *lsn);
    let mut scan = Scan {
        base,
        // A checkpoint's mere name proves its records, because it was named after they were durable.
        reach: listing.checkpoints.first().copied().unwrap_or(0),
        records: Vec::new(),
        warnings,
        torn: None,
        tail: None,
    };
    let begin = listing.segments.iter().rposition(|&first| first <= base + 1);
    let empty = listing.segments.is_empty() && listing.checkpoints.is_empty();
    match begin {
        Some(begin) => {
            for (index, &first) in listing.segments.iter().enumerate().skip(begin) {
                scan.segment(storage, first, listing.segments.get(index + 1).copied())?;
            }
        }
        None if empty => {}
        None => {
            let (file, lsn) = (segment::name(base + 1), base + 1);
            return Err(JournalError::Damaged { file, offset: 0, lsn, problem: Problem::Missing });
        }
    }
    let Scan { records, warnings, torn, tail, .. } = scan;
    Ok(Survey { checkpoint, records, warnings, torn, tail, listing })
}

/// The newest checkpoint that can be read, going back at most one generation. The generation before the first is the
/// empty state, from which the whole journal is replayed.
fn choose_checkpoint(
    storage: &dyn Storage,
    listing: &Listing,
    warnings: &mut Vec<Warning>,
) -> Result<Option<(u64, Vec<u8>)>, JournalError> {
    let Some(&newest) = listing.checkpoints.first() else { return Ok(None) };
    match checkpoint::read(storage, newest)? {
        Ok(payload) => return Ok(Some((newest, payload))),
        Err(why) => warnings.push(Warning::CheckpointUnreadable { file: checkpoint::name(newest), why }),
    }
    let Some(&older) = listing.checkpoints.get(1) else { return Ok(None) };
    match checkpoint::read(storage, older)? {
        Ok(payload) => Ok(Some((older, payload))),
        Err(_) => Err(JournalError::Damaged {
            file: checkpoint::name(newest),
            offset: 0,
            lsn: newest,
            problem: Problem::Checkpoints { older: checkpoint::name(older) },
        }),
    }
}

struct Scan {
    /// The state is known up to here.
    base: u64,
    /// Records up to here are known to have been durable.
    reach: u64,
    records: Vec<(u64, Vec<u8>)>,
    warnings: Vec<Warning>,
    torn: Option<Torn>,
    tail: Option<Tail>,
}

/// An unreadable place, and what is known around it.
struct Bad<'a> {
    file: &'a str,
    bytes: &'a [u8],
    offset: usize,
    lsn: u64,
    /// Where the commit of the record before it begins.
    commit_at: usize,
    /// The next segment.
    next: Option<u64>,
}

impl Bad<'_> {
    fn damaged(&self, problem: Problem) -> JournalError {
        damaged(self.file, self.offset, self.lsn, problem)
    }
}

fn damaged(file: &str, offset: usize, lsn: u64, problem: Problem) -> JournalError {
    JournalError::Damaged { file: file.to_owned(), offset: offset as u64, lsn, problem }
}

impl Scan {
    fn segment(&mut self, storage: &dyn Storage, first: u64, next: Option<u64>) -> Result<(), JournalError> {
        let file = segment::name(first);
        let bytes = storage.read(&file).map_err(io_error("read", &file))?;
        segment::check_header(&file, first, &bytes)?;
        let mut commit_at = segment::HEADER;
        let mut walk = Walk::new(&bytes, first, next);
        let (end, next_lsn, sealed) = loop {
            match walk.step() {
                Step::Record { offset, frame, payload } => {
                    if frame.nth == 0 {
                        commit_at = offset;
                    }
                    if frame.lsn > self.base {
                        self.records.push((frame.lsn, payload.to_vec()));
                    }
                }
                Step::Bad { offset, lsn } => {
                    match self.judge(&Bad { file: &file, bytes: &bytes, offset, lsn, commit_at, next })? {
                        Some((at, lsn)) => {
                            commit_at = at;
                            walk.resume(at, lsn);
                        }
                        None => break (offset, lsn, false),
                    }
                }
                Step::End { offset, lsn, sealed } => break (offset, lsn, sealed),
            }
        };
        match next {
            Some(next) if next == next_lsn => return Ok(()),
            Some(next) if !sealed => {
                let proof = segment::name(next);
                return Err(damaged(&file, end, next_lsn, Problem::Record { proof }));
            }
            _ if sealed => return Err(damaged(&file, end, next_lsn, Problem::Missing)),
            _ => {}
        }
        if next_lsn <= self.reach {
            return Err(damaged(&file, end, next_lsn, Problem::Ends { checkpoint: self.reach }));
        }
        let commit = bytes[commit_at..end].to_vec();
        self.tail = Some(Tail { file, offset: end as u64, next_lsn, commit });
        Ok(())
    }

    /// Where to go on behind an unreadable place that does no harm; `None`: it is torn, and the journal ends here.
    fn judge(&mut self, bad: &Bad<'_>) -> Result<Option<(usize, u64)>, JournalError> {
        let mut same_commit = None;
        for (at, later) in frame::search(bad.bytes, bad.offset, bad.lsn) {
            if bad.lsn <= self.base && later.lsn <= self.base + 1 {
                self.warnings.push(Warning::DamageBelowCheckpoint {
                    file: bad.file.to_owned(),
                    offset: bad.offset as u64,
                    lsn: bad.lsn,
                });
                return Ok(Some((at, later.lsn)));
            }
            if later.lsn == bad.lsn || later.commit_start() > bad.lsn {
                let proof = format!("record {} at offset {at}", later.lsn);
                return Err(bad.damaged(Problem::Record { proof }));
            }
            same_commit.get_or_insert((at, later));
        }
        if let Some(next) = bad.next {
            return Err(bad.damaged(Problem::Record { proof: segment::name(next) }));
        }
        if bad.lsn <= self.reach {
            return Err(bad.damaged(Problem::Ends { checkpoint: self.reach }));
        }
        if let Some((at, later)) = same_commit {
            let start = if later.commit_start() == bad.lsn { bad.offset } else { bad.commit_at };
            if !frame::sector_missing(bad.bytes, start, bad.offset, at) {
                let proof = format!("record {} of the same commit at offset {at}", later.lsn);
                return Err(bad.damaged(Problem::Record { proof }));
            }
        }
        let bytes = (frame::written(bad.bytes) - bad.offset) as u64;
        self.torn = Some(Torn { file: bad.file.to_owned(), offset: bad.offset as u64, bytes });
        Ok(None)
    }
}

/// Makes durable what [`survey`] found, before anybody acts on it: the last commit is written once more, because
/// after a failed sync the cache may hold what the disk does not and no later sync would write it; the torn part is
/// zeroed; names that a process made and did not live to sync are synced.
pub(super) fn heal(storage: &dyn Storage, survey: &Survey) -> Result<(), JournalError> {
    let Some(tail) = &survey.tail else { return Ok(()) };
    let torn = survey.torn.as_ref().map_or(0, |torn| torn.bytes as usize);
    if !tail.commit.is_empty() || torn > 0 {
        let mut bytes = tail.commit.clone();
        bytes.resize(bytes.len() + torn, 0);
        let mut file = storage.open(&tail.file).map_err(io_error("open", &tail.file))?;
        let start = tail.offset - tail.commit.len() as u64;
        let needed = bytes.len() as u64;
        file.write_at(start, &bytes).map_err(|why| refused("write", &tail.file, needed, why))?;
        file.sync().map_err(io_error("sync", &tail.file))?;
    }
    storage.sync_dir().map_err(io_error("sync the directory of", &tail.file))
}
