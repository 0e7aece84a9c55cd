//! The writing end of one log: records gather in memory, a flush appends them as one block, a sync makes them durable.

use super::bills::KnownBills;
use super::block::{self, BLOCK_HEADER, Header, NoHeader, SEGMENT_HEADER, UNSETTLED};
use super::veil::Veil;
use super::{EventsError, on, wire};
use crate::model::event::Event;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Readable for the owner and the group.
const MODE: u32 = 0o640;

/// How long segments are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retention {
    /// A segment is ended when it passes this many bytes.
    pub segment_bytes: u64,
    /// The oldest segments go while all of them together pass this many bytes.
    pub keep_bytes: u64,
    /// Segments whose last record is older than this go, in milliseconds.
    pub keep_ms: i64,
}

/// What was found when a log was opened.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Opened {
    /// The number that the next record gets; the first of all is 1.
    pub next: u64,
    /// A torn end that was cut off: the segment's name and how many bytes.
    pub torn: Option<(String, u64)>,
    /// The newest segment has a damaged place; it is left as it is, and a new segment was begun behind it.
    pub damaged: Option<String>,
}

/// See the module.
#[derive(Debug)]
pub struct EventWriter {
    dir: PathBuf,
    retention: Retention,
    /// Those that are ended, the oldest first.
    ended: VecDeque<Ended>,
    active: Active,
    /// The number that the next record gets.
    next: u64,
    /// The block of the records that wait for a flush, and how many they are.
    block: Vec<u8>,
    waiting: u32,
    /// The time of the newest record.
    newest_ms: i64,
    unsynced: bool,
    bills: Bills,
    /// Covers who a record is of; without one records say it.
    veil: Option<Arc<Veil>>,
}

/// The last bills that a log has, as records of the ledger's journal.
#[derive(Clone, Copy, Debug)]
struct Bills {
    /// Of those that wait for a flush; 0 = none waits.
    waiting: u64,
    /// All up to it and none above it were flushed; [`UNSETTLED`] until that is known.
    flushed: u64,
    /// Those up to it are synced.
    synced: u64,
}

#[derive(Debug)]
struct Ended {
    first: u64,
    bytes: u64,
    /// The time of its newest record; of one that an earlier process ended, when its file was last written.
    newest_ms: i64,
}

#[derive(Debug)]
struct Active {
    file: File,
    path: PathBuf,
    first: u64,
    header: Header,
    bytes: u64,
}

impl EventWriter {
    /// Opens a log, creating its directory where it is missing. A torn end is cut off; whatever else is wrong is left
    /// where it is, because nothing depends on old records here.
    pub fn open(dir: &Path, retention: Retention) -> Result<(EventWriter, Opened), EventsError> {
        std::fs::create_dir_all(dir).map_err(on("create", dir))?;
        let mut ended: VecDeque<Ended> = VecDeque::new();
        for (first, path) in list(dir)? {
            let about = std::fs::metadata(&path).map_err(on("read", &path))?;
            let modified = about.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
            let newest_ms = modified.map_or(0, |since| since.as_millis() as i64);
            ended.push_back(Ended { first, bytes: about.len(), newest_ms });
        }
        let mut opened = Opened { next: 1, ..Opened::default() };
        let active = match ended.pop_back() {
            None => None,
            Some(last) => {
                let (active, newest) = reopen(dir, &last, &mut opened)?;
                if active.is_none() {
                    ended.push_back(last);
                }
                active.map(|active| (active, newest))
            }
        };
        let (active, newest_ms) = match active {
            Some(active) => active,
            None => (Active::begin(dir, opened.next, UNSETTLED)?, 0),
        };
        let writer = EventWriter {
            dir: dir.to_owned(),
            retention,
            ended,
            active,
            next: opened.next,
            block: vec![0; BLOCK_HEADER],
            waiting: 0,
            newest_ms,
            unsynced: false,
            bills: Bills { waiting: 0, flushed: UNSETTLED, synced: 0 },
            veil: None,
        };
        Ok((writer, opened))
    }

    /// Covers from now on who records are of.
    pub fn cover_by(&mut self, veil: Arc<Veil>) {
        self.veil = Some(veil);
    }

    /// Adds a record in memory and returns its number.
    pub fn append(&mut self, event: &Event) -> u64 {
        let user = self.veil.as_ref().map_or_else(|| event.what.user(), |veil| veil.name_in(event));
        wire::write(event, user, &mut self.block);
        self.waiting += 1;
        self.bills.waiting = event.bill_lsn().unwrap_or(self.bills.waiting);
        self.newest_ms = self.newest_ms.max(event.at_ms);
        self.next += 1;
        self.next - 1
    }

    /// How many bytes wait for a flush.
    pub fn waiting_bytes(&self) -> usize {
        self.block.len() - BLOCK_HEADER
    }

    /// Hands what waits to the system; a reader sees it from then on. After an error it still waits, and the next
    /// attempt writes the same bytes at the same place.
    pub fn flush(&mut self) -> Result<(), EventsError> {
        if self.waiting == 0 {
            return Ok(());
        }
        if !self.active.is_empty() && self.active.bytes >= self.retention.segment_bytes {
            self.roll()?;
        }
        block::seal(&mut self.block, self.next - u64::from(self.waiting), self.waiting);
        let active = &mut self.active;
        active.file.write_all_at(&self.block, active.bytes).map_err(on("write", &active.path))?;
        active.bytes += self.block.len() as u64;
        self.block.truncate(BLOCK_HEADER);
        self.waiting = 0;
        let last_bill = std::mem::take(&mut self.bills.waiting);
        if self.bills.flushed != UNSETTLED && last_bill > 0 {
            self.bills.flushed = last_bill;
        }
        self.unsynced = true;
        Ok(())
    }

    /// Makes everything that was flushed survive a crash of the machine. After an error nothing is known of it, and the
    /// log must not be written any more.
    pub fn sync(&mut self) -> Result<(), EventsError> {
        if self.unsynced {
            self.active.file.sync_data().map_err(on("sync", &self.active.path))?;
            self.unsynced = false;
        }
        if self.bills.flushed != UNSETTLED {
            self.bills.synced = self.bills.flushed;
        }
        Ok(())
    }

    /// Where the bills end that are durable, as a record of the ledger's journal: all up to it are, once
    /// [`EventWriter::settle`] was called.
    pub fn durable_bill(&self) -> u64 {
        self.bills.synced
    }

    /// Which bills the log has, for whoever writes those that it has not. Nothing may wait for a flush.
    pub fn known_bills(&self) -> Result<KnownBills, EventsError> {
        KnownBills::of(&self.dir)
    }

    /// Says that every bill of the ledger's journal up to `lsn`, its last record, has been appended, and none above it.
    /// Makes that durable, so that no later start asks for them again.
    pub fn settle(&mut self, lsn: u64, known: &KnownBills) -> Result<(), EventsError> {
        self.flush()?;
        self.sync()?;
        (self.bills.flushed, self.bills.synced) = (lsn, lsn);
        let is_settled = self.active.header.bills != UNSETTLED && !known.goes_beyond(lsn);
        if is_settled { Ok(()) } else { self.roll() }
    }

    /// Writes the newest segment once more and syncs it: after a sync that failed, nobody knows what the disk holds of
    /// what is read.
    pub fn renew(&mut self) -> Result<(), EventsError> {
        let active = &self.active;
        let bytes = std::fs::read(&active.path).map_err(on("read", &active.path))?;
        active.file.write_all_at(&bytes, 0).map_err(on("write", &active.path))?;
        active.file.sync_all().map_err(on("sync", &active.path))
    }

    /// Removes the segments that are too old or too many; never the one that is written to. Returns how many.
    pub fn retain(&mut self, now_ms: i64) -> Result<usize, EventsError> {
        if let Some(veil) = &self.veil {
            veil.roll(now_ms)?;
        }
        let mut removed = 0;
        let mut all = self.bytes();
        while let Some(oldest) = self.ended.front() {
            let is_old = now_ms.saturating_sub(oldest.newest_ms) > self.retention.keep_ms;
            if !is_old && all <= self.retention.keep_bytes {
                break;
            }
            let path = self.dir.join(block::name(oldest.first));
            match std::fs::remove_file(&path) {
                Err(why) if why.kind() != std::io::ErrorKind::NotFound => {
                    return Err(on("remove", &path)(why));
                }
                _ => {}
            }
            all -= oldest.bytes;
            removed += 1;
            self.ended.pop_front();
        }
        Ok(removed)
    }

    /// The size of all segments, in bytes.
    pub fn bytes(&self) -> u64 {
        self.ended.iter().map(|segment| segment.bytes).sum::<u64>() + self.active.bytes
    }

    /// How many segments there are.
    pub fn segments(&self) -> usize {
        self.ended.len() + 1
    }

    fn roll(&mut self) -> Result<(), EventsError> {
        let first = self.next - u64::from(self.waiting);
        if self.active.is_empty() {
            // It has this name already.
            self.active = Active::begin(&self.dir, first, self.bills.flushed)?;
            return Ok(());
        }
        let begun = Active::begin(&self.dir, first, self.bills.flushed)?;
        // What the old one holds may have been confirmed by nobody yet.
        self.sync()?;
        let old = std::mem::replace(&mut self.active, begun);
        self.ended.push_back(Ended { first: old.first, bytes: old.bytes, newest_ms: self.newest_ms });
        Ok(())
    }
}

impl Active {
    /// A new segment, its name and header durable.
    fn begin(dir: &Path, first: u64, bills: u64) -> Result<Active, EventsError> {
        let path = dir.join(block::name(first));
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(MODE).open(&path);
        let file = file.map_err(on("create", &path))?;
        file.write_all_at(&block::segment_header(first, bills), 0).map_err(on("write", &path))?;
        file.sync_all().map_err(on("sync", &path))?;
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(on("sync", dir))?;
        let header = Header { size: SEGMENT_HEADER, bills };
        Ok(Active { file, path, first, header, bytes: SEGMENT_HEADER as u64 })
    }

    fn is_empty(&self) -> bool {
        self.bytes <= self.header.size as u64
    }
}

/// The segments of a directory, the oldest first.
pub(super) fn list(dir: &Path) -> Result<Vec<(u64, PathBuf)>, EventsError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(on("read", dir))? {
        let name = entry.map_err(on("read", dir))?.file_name();
        if let Some(first) = name.to_str().and_then(block::parse_name) {
            found.push((first, dir.join(name)));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Goes on in the newest segment where that is whole or only torn, and finds the next number and the time of the newest
/// record. `None` = it must be left alone. A segment of a later version is an error: what is in it cannot be told.
fn reopen(dir: &Path, last: &Ended, opened: &mut Opened) -> Result<(Option<Active>, i64), EventsError> {
    let path = dir.join(block::name(last.first));
    let bytes = std::fs::read(&path).map_err(on("read", &path))?;
    let header = match block::read_header(&bytes, last.first) {
        Ok(header) => header,
        Err(newer @ NoHeader::Newer(_)) => {
            return Err(on("read", &path)(std::io::Error::other(newer.to_string())));
        }
        // Torn before the first record: its number was given to nobody.
        Err(NoHeader::Short) => {
            std::fs::remove_file(&path).map_err(on("remove", &path))?;
            opened.next = last.first;
            opened.torn = Some((block::name(last.first), bytes.len() as u64));
            return Ok((Some(Active::begin(dir, last.first, UNSETTLED)?), 0));
        }
        Err(NoHeader::Wrong(_)) => {
            opened.next = last.first.saturating_add(RESERVED);
            opened.damaged = Some(block::name(last.first));
            return Ok((None, 0));
        }
    };
    let mut newest_ms = 0;
    let walked = each_block(&bytes, header.size, last.first, |found| {
        newest_ms = events(found.payload).map(|event| event.at_ms).max().unwrap_or(0).max(newest_ms);
    });
    opened.next = walked.next;
    if walked.is_damaged {
        opened.damaged = Some(block::name(last.first));
        return Ok((None, newest_ms));
    }
    let file = OpenOptions::new().write(true).open(&path).map_err(on("open", &path))?;
    if walked.end < bytes.len() {
        file.set_len(walked.end as u64).and_then(|()| file.sync_all()).map_err(on("cut", &path))?;
        opened.torn = Some((block::name(last.first), (bytes.len() - walked.end) as u64));
    }
    let active = Active { file, path, first: last.first, header, bytes: walked.end as u64 };
    Ok((Some(active), newest_ms))
}

/// What [`each_block`] came upon.
struct Walked {
    /// Where the last whole block ends.
    end: usize,
    /// The number of the record after it.
    next: u64,
    /// Something in front of it is no block.
    is_damaged: bool,
}

/// Shows every whole block of a segment.
fn each_block(bytes: &[u8], start: usize, first: u64, mut visit: impl FnMut(&block::Block<'_>)) -> Walked {
    let mut walked = Walked { end: start, next: first, is_damaged: false };
    while walked.end < bytes.len() {
        let found = match block::read(&bytes[walked.end..], Some(walked.next)) {
            Ok(found) => found,
            // A block behind it shows that this is not where the writing stopped.
            Err(_) => match resume(bytes, walked.end, walked.next) {
                Some((behind, found)) => {
                    (walked.is_damaged, walked.end) = (true, behind);
                    found
                }
                None => break,
            },
        };
        visit(&found);
        (walked.end, walked.next) = (walked.end + found.size(), found.end());
    }
    walked
}

/// More numbers than a segment can have used whose header cannot be read.
const RESERVED: u64 = 1 << 32;

/// The next whole block behind a damaged place, of records from `next` on, and where it begins.
pub(super) fn resume(bytes: &[u8], damaged: usize, next: u64) -> Option<(usize, block::Block<'_>)> {
    (damaged + 1..bytes.len().saturating_sub(BLOCK_HEADER)).find_map(|at| {
        let block = block::read(&bytes[at..], None).ok().filter(|block| block.first >= next)?;
        Some((at, block))
    })
}

fn events(mut payload: &[u8]) -> impl Iterator<Item = Event> {
    std::iter::from_fn(move || if payload.is_empty() { None } else { wire::read(&mut payload) }).flatten()
}

/// The bills of a segment that name their record of the journal, and what its header says of those before it; `None`
/// where the header cannot be read.
pub(super) fn bills_of(path: &Path, first: u64) -> Result<Option<(u64, Vec<u64>)>, EventsError> {
    let bytes = std::fs::read(path).map_err(on("read", path))?;
    let Ok(header) = block::read_header(&bytes, first) else { return Ok(None) };
    let mut bills = Vec::new();
    each_block(&bytes, header.size, first, |found| {
        bills.extend(events(found.payload).filter_map(|event| event.bill_lsn()));
    });
    Ok(Some((header.bills, bills)))
}
