//! Looking at a journal that no process has open.
//!
//! Invariant: nothing here changes anything, so it may be run before and after every attempt to mend a journal.

use super::error::{JournalError, Torn, Warning, io_error};
use super::recover::{self, Step, Walk};
use super::{checkpoint, frame, segment};
use crate::model::storage::Storage;

/// Something that stands in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A record.
    Record {
        /// The segment.
        file: &'a str,
        /// Where in it, in bytes.
        offset: u64,
        /// Its number.
        lsn: u64,
        /// What it says.
        payload: &'a [u8],
    },
    /// Bytes that are no record.
    Unreadable {
        /// The segment.
        file: &'a str,
        /// Where in it, in bytes.
        offset: u64,
        /// The record that should be here.
        lsn: u64,
        /// How many bytes, up to the next record or the end of what was written.
        bytes: u64,
    },
}

/// A segment, as [`verify`] sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentReport {
    /// The file.
    pub file: String,
    /// How many records can be read.
    pub records: u64,
    /// The last of them, 0 if there is none.
    pub last_lsn: u64,
    /// How many places cannot be read, a torn end included.
    pub unreadable: u64,
}

/// A checkpoint, as [`verify`] sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointReport {
    /// The file.
    pub file: String,
    /// The record whose state it holds.
    pub lsn: u64,
    /// Its payload's size in bytes, or why it cannot be read.
    pub content: Result<u64, String>,
}

/// What [`verify`] found.
#[derive(Debug)]
pub struct Verdict {
    /// Every segment, also those below the checkpoint, in order.
    pub segments: Vec<SegmentReport>,
    /// Every checkpoint, the newest first.
    pub checkpoints: Vec<CheckpointReport>,
    /// What opening the journal would get over.
    pub warnings: Vec<Warning>,
    /// What opening the journal would cut off.
    pub torn: Option<Torn>,
    /// The last record, or why the journal refuses to open.
    pub opens: Result<u64, JournalError>,
}

/// Shows every record that can be read, and every place that cannot, in order. A segment whose header is unreadable is
/// read as what its name says.
pub fn dump(storage: &dyn Storage, mut visit: impl FnMut(Item<'_>)) -> Result<(), JournalError> {
    let segments = recover::list(storage)?.segments;
    for (index, &first) in segments.iter().enumerate() {
        let file = segment::name(first);
        let bytes = storage.read(&file).map_err(io_error("read", &file))?;
        visit_segment(&file, &bytes, first, segments.get(index + 1).copied(), &mut visit);
    }
    Ok(())
}

fn visit_segment(file: &str, bytes: &[u8], first: u64, next: Option<u64>, visit: &mut impl FnMut(Item<'_>)) {
    if segment::check_header(file, first, bytes).is_err() {
        visit(Item::Unreadable { file, offset: 0, lsn: first, bytes: segment::HEADER as u64 });
    }
    let mut walk = Walk::new(bytes, first, next);
    loop {
        match walk.step() {
            Step::Record { offset, frame, payload } => {
                visit(Item::Record { file, offset: offset as u64, lsn: frame.lsn, payload });
            }
            Step::Bad { offset, lsn } => {
                let found = frame::search(bytes, offset, lsn).next();
                let end = found.map_or_else(|| frame::written(bytes), |(at, _)| at);
                visit(Item::Unreadable { file, offset: offset as u64, lsn, bytes: (end - offset) as u64 });
                match found {
                    Some((at, later)) => walk.resume(at, later.lsn),
                    None => break,
                }
            }
            Step::End { .. } => break,
        }
    }
}

/// Reads everything and says what opening the journal would do.
pub fn verify(storage: &dyn Storage) -> Result<Verdict, JournalError> {
    let listing = recover::list(storage)?;
    let mut segments = Vec::new();
    for (index, &first) in listing.segments.iter().enumerate() {
        let file = segment::name(first);
        let bytes = storage.read(&file).map_err(io_error("read", &file))?;
        let (mut records, mut last_lsn, mut unreadable) = (0, 0, 0);
        let next = listing.segments.get(index + 1).copied();
        visit_segment(&file, &bytes, first, next, &mut |item| match item {
            Item::Record { lsn, .. } => (records, last_lsn) = (records + 1, lsn),
            Item::Unreadable { .. } => unreadable += 1,
        });
        segments.push(SegmentReport { file, records, last_lsn, unreadable });
    }
    let mut checkpoints = Vec::new();
    for &lsn in &listing.checkpoints {
        let content = match checkpoint::read(storage, lsn) {
            Ok(content) => content.map(|payload| payload.len() as u64),
            Err(newer @ JournalError::NewerFormat { .. }) => Err(newer.to_string()),
            Err(other) => return Err(other),
        };
        checkpoints.push(CheckpointReport { file: checkpoint::name(lsn), lsn, content });
    }
    let (warnings, torn, opens) = match recover::survey(storage) {
        Ok(survey) => {
            let last = survey.last_lsn();
            (survey.warnings, survey.torn, Ok(last))
        }
        Err(refusal) => (Vec::new(), None, Err(refusal)),
    };
    Ok(Verdict { segments, checkpoints, warnings, torn, opens })
}
