//! The reading end of one log: from any number on, following what is written, over damaged places.

use super::block::{self, BLOCK_HEADER, NoBlock, NoHeader, SEGMENT_HEADER};
use super::log::{list, resume};
use super::{EventsError, on, wire};
use crate::model::event::Event;
use std::collections::VecDeque;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What a reader comes upon.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly all of them are events")]
pub enum Item {
    /// A record with its number.
    Event(u64, Event),
    /// Records from the first number to before the second are gone: removed for their age or size, or lost in damage.
    Gap(u64, u64),
    /// Bytes that are no records.
    Damaged {
        /// The segment.
        file: String,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        what: String,
    },
}

/// Reads a log. A second reader, a writer and retention may be at work in the same directory.
#[derive(Debug)]
pub struct EventReader {
    dir: PathBuf,
    /// The number of the next record that is wanted.
    next: u64,
    segment: Option<Open>,
    /// The segment that was last reported for its header.
    unreadable: Option<u64>,
    /// What comes before the records that wait.
    ready: VecDeque<Item>,
    waiting: Records,
}

/// The records of a block that are still to be handed out.
#[derive(Debug, Default)]
struct Records {
    /// The block; behind its payload whatever longer ones left there.
    bytes: Vec<u8>,
    /// Where in it the next record begins, and where the last one ends.
    payload: Range<usize>,
    /// The number of the next one, and the number behind the last.
    numbers: Range<u64>,
    /// Those before this number are passed over.
    wanted: u64,
}

impl Records {
    /// Room for a block of so many bytes, in which nothing waits.
    fn room(&mut self, size: usize) -> &mut [u8] {
        self.numbers = 0..0;
        if self.bytes.len() < size {
            self.bytes.resize(size, 0);
        }
        &mut self.bytes[..size]
    }

    /// The next record that can be read.
    fn next(&mut self) -> Option<(u64, Event)> {
        while let Some(number) = self.numbers.next() {
            let mut rest = &self.bytes[self.payload.clone()];
            let read = wire::read(&mut rest);
            self.payload.start = self.payload.end - rest.len();
            match read {
                Some(Some(event)) if number >= self.wanted => return Some((number, event)),
                Some(_) => {}
                None => self.numbers = 0..0,
            }
        }
        None
    }
}

#[derive(Debug)]
struct Open {
    file: File,
    first: u64,
    offset: u64,
}

impl EventReader {
    /// A reader that begins with record `from`, or with the oldest there is where that one is gone; 0 and 1 are both
    /// the first of all.
    pub fn open(dir: &Path, from: u64) -> EventReader {
        EventReader {
            dir: dir.to_owned(),
            next: from.max(1),
            segment: None,
            unreadable: None,
            ready: VecDeque::new(),
            waiting: Records::default(),
        }
    }

    /// The number of the record after the last one that was handed out.
    pub fn position(&self) -> u64 {
        let ahead = self.ready.iter().find_map(|item| match item {
            Item::Event(from, _) | Item::Gap(from, _) => Some(*from),
            Item::Damaged { .. } => None,
        });
        let Records { numbers, wanted, .. } = &self.waiting;
        let waiting = (!numbers.is_empty()).then_some(numbers.start.max(*wanted));
        ahead.or(waiting).unwrap_or(self.next)
    }

    /// The next item; `None` = nothing more is written so far.
    #[allow(clippy::should_implement_trait, reason = "it fails, and `None` is not its end")]
    pub fn next(&mut self) -> Result<Option<Item>, EventsError> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(Some(item));
            }
            if let Some((number, event)) = self.waiting.next() {
                return Ok(Some(Item::Event(number, event)));
            }
            if self.segment.is_none() && !self.enter()? {
                return Ok(None);
            }
            if !self.read_block()? && !self.leave()? {
                return Ok(None);
            }
        }
    }

    /// Opens the segment that has the wanted record, or else the first one behind it.
    fn enter(&mut self) -> Result<bool, EventsError> {
        let segments = match list(&self.dir) {
            Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            found => found?,
        };
        let behind = segments.partition_point(|(first, _)| *first <= self.next);
        let Some((first, path)) = segments.get(behind.saturating_sub(1)) else { return Ok(false) };
        let file = match File::open(path) {
            // Retention was faster.
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            opened => opened.map_err(on("open", path))?,
        };
        if *first > self.next {
            self.ready.push_back(Item::Gap(self.next, *first));
            self.next = *first;
        }
        let mut header = [0; SEGMENT_HEADER];
        let read = read_at(&file, &mut header, 0).map_err(on("read", path))?;
        let header = block::read_header(&header[..read], *first);
        if let Err(why @ (NoHeader::Newer(_) | NoHeader::Wrong(_))) = &header {
            let what = why.to_string();
            if self.unreadable != Some(*first) {
                self.ready.push_back(Item::Damaged { file: block::name(*first), offset: 0, what });
                self.unreadable = Some(*first);
            }
            // What is in it cannot be told; the next one may.
            if let Some((after, _)) = segments.get(behind) {
                self.ready.push_back(Item::Gap(self.next, *after));
                self.next = *after;
            }
            return Ok(!self.ready.is_empty());
        }
        // One that is too short is still being written; its blocks begin where those of this version do.
        let offset = header.map_or(SEGMENT_HEADER, |header| header.size) as u64;
        self.segment = Some(Open { file, first: *first, offset });
        Ok(true)
    }

    /// Reads the next block of the open segment; `false` = there is none yet.
    fn read_block(&mut self) -> Result<bool, EventsError> {
        let Some(open) = &mut self.segment else { return Ok(true) };
        let path = self.dir.join(block::name(open.first));
        let header = self.waiting.room(BLOCK_HEADER);
        if read_at(&open.file, header, open.offset).map_err(on("read", &path))? < BLOCK_HEADER {
            return Ok(false);
        }
        let length = u32::from_le_bytes(*header.first_chunk().expect("a header is longer")) as usize;
        let mut size = BLOCK_HEADER;
        if (1..=block::MAX_PAYLOAD).contains(&length) {
            let whole = self.waiting.room(BLOCK_HEADER + length);
            size = read_at(&open.file, whole, open.offset).map_err(on("read", &path))?;
        }
        match block::read(&self.waiting.bytes[..size], None) {
            Ok(found) => {
                open.offset += found.size() as u64;
                let (numbers, payload) = (found.first..found.end(), BLOCK_HEADER..found.size());
                self.take(numbers, payload);
                Ok(true)
            }
            // A wrong length may look like a block that is still being written.
            Err(NoBlock::Short | NoBlock::Wrong) => self.pass_damage(&path),
        }
    }

    /// Looks for the next whole block behind a damaged place.
    fn pass_damage(&mut self, path: &Path) -> Result<bool, EventsError> {
        let Some(open) = &mut self.segment else { return Ok(true) };
        let bytes = std::fs::read(path).map_err(on("read", path))?;
        let Some((at, found)) = resume(&bytes, open.offset as usize, self.next) else { return Ok(false) };
        let what = format!("{} bytes are no records", at as u64 - open.offset);
        self.ready.push_back(Item::Damaged { file: block::name(open.first), offset: open.offset, what });
        open.offset = (at + found.size()) as u64;
        let (numbers, payload) = (found.first..found.end(), 0..found.payload.len());
        self.waiting.room(found.payload.len()).copy_from_slice(found.payload);
        self.take(numbers, payload);
        Ok(true)
    }

    /// Hands out the records of a block from `next` on, which was read into its room.
    fn take(&mut self, numbers: Range<u64>, payload: Range<usize>) {
        if numbers.start > self.next {
            self.ready.push_back(Item::Gap(self.next, numbers.start));
            self.next = numbers.start;
        }
        self.waiting.wanted = self.next;
        self.next = self.next.max(numbers.end);
        if self.waiting.wanted < self.next {
            (self.waiting.numbers, self.waiting.payload) = (numbers, payload);
        }
    }

    /// Goes on to the next segment where there is one; what is left of this one is torn then.
    fn leave(&mut self) -> Result<bool, EventsError> {
        let Some(open) = &self.segment else { return Ok(false) };
        let Some((after, _)) = list(&self.dir)?.into_iter().find(|(first, _)| *first > open.first) else {
            return Ok(false);
        };
        // Its last block may have been written between the two looks.
        let path = self.dir.join(block::name(open.first));
        let size = open.file.metadata().map_err(on("read", &path))?.len();
        if size > open.offset {
            let (offset, first) = (open.offset, open.first);
            if self.read_block()? {
                return Ok(true);
            }
            let what = format!("{} bytes at its end are no records", size - offset);
            self.ready.push_back(Item::Damaged { file: block::name(first), offset, what });
        }
        if after > self.next {
            self.ready.push_back(Item::Gap(self.next, after));
            self.next = after;
        }
        self.segment = None;
        Ok(true)
    }
}

/// What one segment holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentStat {
    /// Its name.
    pub file: String,
    /// Its first record.
    pub first: u64,
    /// Its size in bytes.
    pub bytes: u64,
}

/// The segments of a log, the oldest first; none where there is no such directory.
pub fn segments(dir: &Path) -> Result<Vec<SegmentStat>, EventsError> {
    let found = match list(dir) {
        Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        found => found?,
    };
    let stat = |(first, path): (u64, PathBuf)| {
        let bytes = std::fs::metadata(&path).map_err(on("read", &path))?.len();
        Ok(SegmentStat { file: block::name(first), first, bytes })
    };
    found.into_iter().map(stat).collect()
}

/// Reads as much as there is, up to the whole buffer.
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(why) if why.kind() == std::io::ErrorKind::Interrupted => {}
            Err(why) => return Err(why),
        }
    }
    Ok(done)
}
