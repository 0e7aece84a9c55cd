//! Mending a journal that refuses to open, at the operator's word.
//!
//! Invariant: nothing is deleted: what is cut away lies beside the journal in files whose names say where it was, and
//! a crash in the middle leaves a journal that refuses to open still, or opens as repaired. Records that were answered
//! for are lost, so the caller opens a new boot epoch and says what is missing.

use super::error::{JournalError, Problem, io_error};
use super::reserve::Spare;
use super::{begin, checkpoint, frame, recover, segment};
use crate::model::storage::Storage;

/// What [`repair`] set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside {
    /// The file it was in.
    pub file: String,
    /// Where in it, in bytes; 0 = all of it.
    pub offset: u64,
    /// How much, in bytes.
    pub bytes: u64,
    /// The file it is in now.
    pub moved_to: String,
}

/// What [`repair`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repair {
    /// The damage, in the words of the refusal, in the order it was met.
    pub damage: Vec<String>,
    /// What was cut away.
    pub aside: Vec<Aside>,
    /// The last record that the journal knows of now; the next one is one more.
    pub last_lsn: u64,
}

/// Makes a damaged journal open again, keeping every record before the damage; `None`: it opens as it is.
///
/// A header whose records are sound is written anew. A file under a wrong name and a journal whose beginning only two
/// unreadable checkpoints hold are refused as before: the first is mended by renaming, the second by a backup.
pub fn repair(storage: &dyn Storage) -> Result<Option<Repair>, JournalError> {
    let mut done = Repair::default();
    loop {
        let damage = match recover::survey(storage) {
            Ok(survey) => {
                done.last_lsn = survey.last_lsn();
                return Ok((!done.damage.is_empty()).then_some(done));
            }
            Err(damage) => damage,
        };
        let words = damage.to_string();
        // Every step takes something away, so that the same damage twice means that it cannot be mended.
        if done.damage.contains(&words) {
            return Err(damage);
        }
        mend(storage, damage, &mut done.aside)?;
        storage.sync_dir().map_err(io_error("sync", "the journal's directory"))?;
        done.damage.push(words);
    }
}

fn mend(storage: &dyn Storage, damage: JournalError, aside: &mut Vec<Aside>) -> Result<(), JournalError> {
    let JournalError::Damaged { file, offset, lsn, problem } = &damage else { return Err(damage) };
    let listing = recover::list(storage)?;
    match problem {
        Problem::Swapped { .. } => Err(damage),
        Problem::Checkpoints { older } if listing.segments.first() == Some(&1) => {
            move_aside(storage, file, aside)?;
            move_aside(storage, older, aside)
        }
        Problem::Checkpoints { .. } => Err(damage),
        Problem::Header => {
            if write_header(storage, file, *lsn)? {
                return Ok(());
            }
            move_segments_aside(storage, &listing, *lsn, aside)
        }
        Problem::Missing if !listing.names.contains(file) => {
            move_segments_aside(storage, &listing, *lsn, aside)?;
            begin_at(storage, *lsn)
        }
        Problem::Ends { checkpoint } if checkpoint::read(storage, *checkpoint)?.is_err() => {
            move_aside(storage, &checkpoint::name(*checkpoint), aside)
        }
        Problem::Ends { checkpoint } => {
            cut_tail(storage, file, *offset, aside)?;
            begin_at(storage, checkpoint + 1)
        }
        Problem::Record { .. } | Problem::Missing => {
            cut_tail(storage, file, *offset, aside)?;
            let behind = segment::parse_name(file).map_or(*lsn, |first| first + 1);
            move_segments_aside(storage, &listing, behind, aside)
        }
    }
}

/// Writes a segment's header anew, if the first record shows that its name is right.
fn write_header(storage: &dyn Storage, file: &str, first_lsn: u64) -> Result<bool, JournalError> {
    let bytes = storage.read(file).map_err(io_error("read", file))?;
    let sound = frame::read(&bytes, segment::HEADER).is_some_and(|frame| frame.lsn == first_lsn);
    if sound {
        let mut open = storage.open(file).map_err(io_error("open", file))?;
        open.write_at(0, &segment::header(first_lsn)).map_err(io_error("write", file))?;
        open.sync().map_err(io_error("sync", file))?;
    }
    Ok(sound)
}

/// Copies what stands behind `offset` aside, durably, and then zeroes it.
fn cut_tail(
    storage: &dyn Storage,
    file: &str,
    offset: u64,
    aside: &mut Vec<Aside>,
) -> Result<(), JournalError> {
    let bytes = storage.read(file).map_err(io_error("read", file))?;
    let tail = &bytes[offset as usize..frame::written(&bytes).max(offset as usize)];
    if tail.is_empty() {
        return Ok(());
    }
    let moved_to = free_name(storage, file, offset)?;
    let mut copy = storage.create(&moved_to, tail.len() as u64).map_err(io_error("create", &moved_to))?;
    copy.write_at(0, tail).map_err(io_error("write", &moved_to))?;
    copy.sync().map_err(io_error("sync", &moved_to))?;
    storage.sync_dir().map_err(io_error("sync the directory of", &moved_to))?;
    let mut open = storage.open(file).map_err(io_error("open", file))?;
    open.write_at(offset, &vec![0; tail.len()]).map_err(io_error("write", file))?;
    open.sync().map_err(io_error("sync", file))?;
    aside.push(Aside { file: file.to_owned(), offset, bytes: tail.len() as u64, moved_to });
    Ok(())
}

/// Moves the segments that begin with `from` or later aside, the last one first: what is left of them in a crash still
/// shows that something is missing in front of it.
fn move_segments_aside(
    storage: &dyn Storage,
    listing: &recover::Listing,
    from: u64,
    aside: &mut Vec<Aside>,
) -> Result<(), JournalError> {
    for &first in listing.segments.iter().rev().take_while(|&&first| first >= from) {
        move_aside(storage, &segment::name(first), aside)?;
    }
    Ok(())
}

fn move_aside(storage: &dyn Storage, file: &str, aside: &mut Vec<Aside>) -> Result<(), JournalError> {
    let bytes = storage.read(file).map_err(io_error("read", file))?.len() as u64;
    let moved_to = free_name(storage, file, 0)?;
    storage.rename(file, &moved_to).map_err(io_error("rename", file))?;
    aside.push(Aside { file: file.to_owned(), offset: 0, bytes, moved_to });
    Ok(())
}

/// A name for what is moved aside that nothing bears yet, because an earlier repair may have left some.
fn free_name(storage: &dyn Storage, file: &str, offset: u64) -> Result<String, JournalError> {
    let names = recover::list(storage)?.names;
    let first = format!("{file}.damaged-{offset}");
    let mut others = (2..).map(|n| format!("{first}-{n}"));
    let free = if names.contains(&first) { others.find(|name| !names.contains(name)) } else { None };
    Ok(free.unwrap_or(first))
}

/// Begins an empty segment.
fn begin_at(storage: &dyn Storage, first_lsn: u64) -> Result<(), JournalError> {
    let name = "journal-spare-0.wal".to_owned();
    let file = storage.create(&name, 0).map_err(io_error("create", &name))?;
    begin(storage, &mut Spare { name, file }, first_lsn)
}
