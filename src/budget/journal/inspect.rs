//! Looking at a journal, also at one that a process has open.
//!
//! Invariant: nothing here changes anything, so it may be run before and after every attempt to mend a journal. Of an
//! open journal the last write may be seen in part, and files that a checkpoint lets go between listing and reading
//! are passed over; only what a second look confirms is a finding.

use super::error::{JournalError, Torn, Warning, io_error};
use super::recover::{self, Step, Walk};
use super::{checkpoint, frame, segment};
use crate::model::storage::Storage;
use std::io;
use std::ops::ControlFlow;

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
    scan(storage, 0, |item| {
        visit(item);
        ControlFlow::Continue(())
    })
}

/// As [`dump`], without the segments that lie wholly below the record `from`, and until `visit` has seen enough. One
/// segment at a time is in memory.
pub fn scan(
    storage: &dyn Storage,
    from: u64,
    mut visit: impl FnMut(Item<'_>) -> ControlFlow<()>,
) -> Result<(), JournalError> {
    let segments = recover::list(storage)?.segments;
    for (index, &first) in segments.iter().enumerate() {
        let next = segments.get(index + 1).copied();
        if next.is_some_and(|next| next <= from) {
            continue;
        }
        let file = segment::name(first);
        let bytes = match storage.read(&file) {
            Ok(bytes) => bytes,
            Err(why) if why.kind() == io::ErrorKind::NotFound => continue,
            Err(why) => return Err(io_error("read", &file)(why)),
        };
        if visit_segment(&file, &bytes, first, next, &mut visit).is_break() {
            break;
        }
    }
    Ok(())
}

fn visit_segment(
    file: &str,
    bytes: &[u8],
    first: u64,
    next: Option<u64>,
    visit: &mut impl FnMut(Item<'_>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    if segment::check_header(file, first, bytes).is_err() {
        visit(Item::Unreadable { file, offset: 0, lsn: first, bytes: segment::HEADER as u64 })?;
    }
    let mut walk = Walk::new(bytes, first, next);
    loop {
        match walk.step() {
            Step::Record { offset, frame, payload } => {
                visit(Item::Record { file, offset: offset as u64, lsn: frame.lsn, payload })?;
            }
            Step::Bad { offset, lsn } => {
                let found = frame::search(bytes, offset, lsn).next();
                let end = found.map_or_else(|| frame::written(bytes), |(at, _)| at);
                visit(Item::Unreadable { file, offset: offset as u64, lsn, bytes: (end - offset) as u64 })?;
                match found {
                    Some((at, later)) => walk.resume(at, later.lsn),
                    None => break,
                }
            }
            Step::End { .. } => break,
        }
    }
    ControlFlow::Continue(())
}

/// Reads every checkpoint, the newest first.
pub fn checkpoints(storage: &dyn Storage) -> Result<Vec<CheckpointReport>, JournalError> {
    let mut reports = Vec::new();
    for lsn in recover::list(storage)?.checkpoints {
        let content = match checkpoint::read(storage, lsn) {
            Ok(content) => content.map(|payload| payload.len() as u64),
            Err(newer @ JournalError::NewerFormat { .. }) => Err(newer.to_string()),
            Err(JournalError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => continue,
            Err(other) => return Err(other),
        };
        reports.push(CheckpointReport { file: checkpoint::name(lsn), lsn, content });
    }
    Ok(reports)
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
        let _never_broken = visit_segment(&file, &bytes, first, next, &mut |item| {
            match item {
                Item::Record { lsn, .. } => (records, last_lsn) = (records + 1, lsn),
                Item::Unreadable { .. } => unreadable += 1,
            }
            ControlFlow::Continue(())
        });
        segments.push(SegmentReport { file, records, last_lsn, unreadable });
    }
    let checkpoints = checkpoints(storage)?;
    let (warnings, torn, opens) = match recover::survey(storage) {
        Ok(survey) => {
            let last = survey.last_lsn();
            (survey.warnings, survey.torn, Ok(last))
        }
        Err(refusal) => (Vec::new(), None, Err(refusal)),
    };
    Ok(Verdict { segments, checkpoints, warnings, torn, opens })
}

/// The payload of the checkpoint at `lsn`; `None` where it cannot be read as one, see [`checkpoints`], or is gone.
pub fn checkpoint_payload(storage: &dyn Storage, lsn: u64) -> Result<Option<Vec<u8>>, JournalError> {
    match checkpoint::read(storage, lsn) {
        Ok(content) => Ok(content.ok()),
        Err(JournalError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(other) => Err(other),
    }
}
