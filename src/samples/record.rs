//! A record, and the bytes of many: `mark · version, u8 · length, u32 · CRC-32C of the content, u32 · content`, one after the
//! other, little-endian. The content is a protobuf message, so that fields can be added.

use crate::model::ids::{ExchangeId, LineItemId, SegmentId};
use crate::model::money::Cpm;
use crate::model::no_bid::NoBidReason;
use crate::model::sample::SampledRequest;
use prost::Message;
use siphasher::sip::SipHasher24;
use std::ops::Range;

/// No text in UTF-8 contains it, so that nothing inside a record looks like another one's beginning.
const MARK: [u8; 3] = [0xFF, 0xFE, b'R'];
const VERSION: u8 = 1;
const HEAD: usize = MARK.len() + 1 + 4 + 4;
/// A longer one is none: bodies are shorter by far.
const MOST_BYTES: usize = 4 << 20;

/// A request of the sample, with what it is found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The request.
    pub request: SampledRequest,
    /// Its id.
    pub id: String,
    /// The domain or the bundle of the place, in lower case, as sent otherwise.
    pub place: Option<String>,
    /// Its number in its hour; given when it is kept.
    pub number: u64,
}

impl Record {
    /// Where one of `factor` draws of the hour's requests ends: the same for all requests of a person.
    pub(super) fn is_among(&self, factor: u32) -> bool {
        let draw = self.request.person.unwrap_or_else(|| SipHasher24::new().hash(self.id.as_bytes()));
        draw & u64::from(factor - 1) == 0
    }

    /// Appends the record to `out`.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let content = Row::of(self).encode_to_vec();
        out.extend(MARK);
        out.push(VERSION);
        out.extend((content.len() as u32).to_le_bytes());
        out.extend(crc32c::crc32c(&content).to_le_bytes());
        out.extend(content);
    }
}

/// The records of an hour, as they were read.
#[derive(Debug, Default)]
pub struct Part {
    bytes: Vec<u8>,
    /// Contents whose checksums are right, in the order of the file.
    contents: Vec<Range<usize>>,
    /// Where the last of them ends.
    pub(super) end: usize,
    /// Stretches between them that are none.
    pub(super) damaged: u64,
}

impl Part {
    /// Finds the records in the bytes of a file.
    pub fn of(bytes: Vec<u8>) -> Part {
        let (mut contents, mut damaged, mut end, mut at) = (Vec::new(), 0, 0, 0);
        let mut is_sound = true;
        while at < bytes.len() {
            match frame(&bytes[at..]) {
                Some((length, is_readable)) => {
                    if is_readable {
                        contents.push(at + HEAD..at + HEAD + length);
                    }
                    damaged += u64::from(!is_readable);
                    at += HEAD + length;
                    (end, is_sound) = (at, true);
                }
                None => {
                    damaged += u64::from(is_sound);
                    is_sound = false;
                    let next = memchr::memmem::find(&bytes[at + 1..], &MARK);
                    at = next.map_or(bytes.len(), |ahead| at + 1 + ahead);
                }
            }
        }
        Part { bytes, contents, end, damaged }
    }

    /// The records, the newest first; those that another version wrote are left out.
    pub fn newest_first(&self) -> impl Iterator<Item = Record> {
        self.contents.iter().rev().filter_map(|content| read(&self.bytes[content.clone()]))
    }

    /// The records in the order in which they came.
    pub fn oldest_first(&self) -> impl Iterator<Item = Record> {
        self.contents.iter().filter_map(|content| read(&self.bytes[content.clone()]))
    }

    /// Whether something follows the last record.
    pub(super) fn is_torn(&self) -> bool {
        self.end < self.bytes.len()
    }
}

/// The length of the content of the record that begins here, and whether its version is one that is read here.
fn frame(bytes: &[u8]) -> Option<(usize, bool)> {
    let rest = bytes.strip_prefix(&MARK)?;
    let (version, rest) = rest.split_first()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    // Where a head was written and the rest is zeros, nothing has the checksum of nothing.
    let content = rest.get(..length).filter(|_| (1..=MOST_BYTES).contains(&length))?;
    (crc32c::crc32c(content).to_le_bytes() == *sum).then_some((length, *version == VERSION))
}

fn read(content: &[u8]) -> Option<Record> {
    Row::decode(content).ok()?.record()
}

#[derive(Clone, PartialEq, Message)]
struct Row {
    #[prost(sint64, tag = "1")]
    at_ms: i64,
    #[prost(uint32, tag = "2")]
    exchange: u32,
    #[prost(uint32, tag = "3")]
    one_in: u32,
    #[prost(fixed64, optional, tag = "4")]
    person: Option<u64>,
    #[prost(uint32, tag = "5")]
    permissions: u32,
    #[prost(bool, tag = "6")]
    known: bool,
    #[prost(uint32, repeated, tag = "7")]
    segments: Vec<u32>,
    #[prost(uint32, repeated, tag = "8")]
    refused: Vec<u32>,
    #[prost(bool, tag = "9")]
    protobuf: bool,
    #[prost(bytes = "vec", tag = "10")]
    body: Vec<u8>,
    /// The name of the reason; empty = there are bids.
    #[prost(string, tag = "11")]
    reason: String,
    #[prost(message, repeated, tag = "12")]
    bids: Vec<BidRow>,
    #[prost(string, tag = "13")]
    id: String,
    #[prost(string, optional, tag = "14")]
    place: Option<String>,
    #[prost(uint64, tag = "15")]
    number: u64,
}

#[derive(Clone, PartialEq, Message)]
struct BidRow {
    #[prost(uint32, tag = "1")]
    line_item: u32,
    #[prost(sint64, tag = "2")]
    price: i64,
}

impl Row {
    fn of(record: &Record) -> Row {
        let request = &record.request;
        let bid = |(line_item, price): &(LineItemId, Cpm)| BidRow { line_item: line_item.0, price: price.0 };
        Row {
            at_ms: request.at_ms,
            exchange: u32::from(request.exchange.0),
            one_in: request.one_in,
            person: request.person,
            permissions: u32::from(request.permissions),
            known: request.known,
            segments: request.segments.iter().map(|segment| segment.0).collect(),
            refused: request.refused.iter().map(|segment| segment.0).collect(),
            protobuf: request.protobuf,
            body: request.body.clone(),
            reason: request.outcome.as_ref().err().map_or("", |reason| reason.as_str()).to_owned(),
            bids: request.outcome.iter().flatten().map(bid).collect(),
            id: record.id.clone(),
            place: record.place.clone(),
            number: record.number,
        }
    }

    /// `None` where something in it is not known here.
    fn record(self) -> Option<Record> {
        let ids = |ids: Vec<u32>| ids.into_iter().map(SegmentId).collect();
        let outcome = match self.reason.as_str() {
            "" => Ok(self.bids.iter().map(|bid| (LineItemId(bid.line_item), Cpm(bid.price))).collect()),
            name => Err(NoBidReason::named(name)?),
        };
        Some(Record {
            request: SampledRequest {
                at_ms: self.at_ms,
                exchange: ExchangeId(u16::try_from(self.exchange).ok()?),
                one_in: self.one_in.max(1),
                person: self.person,
                permissions: u16::try_from(self.permissions).ok()?,
                known: self.known,
                segments: ids(self.segments),
                refused: ids(self.refused),
                protobuf: self.protobuf,
                body: self.body,
                outcome,
            },
            id: self.id,
            place: self.place,
            number: self.number,
        })
    }
}
