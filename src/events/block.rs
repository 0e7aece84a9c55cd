//! The bytes of a segment, little-endian: `"outbidEV" ‖ version:u32 ‖ crc32c:u32 ‖ first:u64 ‖ bills:u64`, then blocks of
//! `length:u32 ‖ crc32c:u32 ‖ first:u64 ‖ count:u32 ‖ payload`. A block holds the records of one write, each with its
//! length before it; `first` is the number of its first record, `length` that of the payload. A checksum covers all
//! that follows it.
//!
//! `bills` is a number of the ledger's journal: every bill up to it, and none above it, stands in older segments.
//! Version 1 has no such number, and no bill that names its record of the journal.

/// Length of the header that is written.
pub(super) const SEGMENT_HEADER: usize = 32;
/// Length of the header of version 1, and of what every header begins with.
pub(super) const SHORT_HEADER: usize = 24;
/// In place of `bills`: not known, older segments must be asked.
pub(super) const UNSETTLED: u64 = u64::MAX;
pub(super) const BLOCK_HEADER: usize = 20;
/// Longest payload of a block: a length beyond it is no length.
pub(super) const MAX_PAYLOAD: usize = 16 << 20;

const MAGIC: &[u8; 8] = b"outbidEV";
const VERSION: u32 = 2;
const SUFFIX: &str = ".events";
const PREFIX: &str = "events-";

/// The name of the segment that begins with record `first`.
pub(super) fn name(first: u64) -> String {
    format!("{PREFIX}{first:020}{SUFFIX}")
}

/// The number in a segment's name; `None` of another file's name.
pub(super) fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}

/// The first bytes of a segment.
pub(super) fn segment_header(first: u64, bills: u64) -> [u8; SEGMENT_HEADER] {
    let mut header = [0; SEGMENT_HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[16..24].copy_from_slice(&first.to_le_bytes());
    header[24..].copy_from_slice(&bills.to_le_bytes());
    let crc = crc32c::crc32c(&header[16..]);
    header[12..16].copy_from_slice(&crc.to_le_bytes());
    header
}

/// What a segment's header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    /// Where the blocks begin.
    pub(super) size: usize,
    /// See the module.
    pub(super) bills: u64,
}

/// Why there is no header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum NoHeader {
    /// The bytes end before it does.
    Short,
    /// A later version wrote it.
    Newer(u32),
    /// It is damaged.
    Wrong(&'static str),
}

impl std::fmt::Display for NoHeader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NoHeader::Short => f.write_str("it is shorter than its header"),
            NoHeader::Newer(found) => {
                write!(f, "it has format version {found}, this program reads {VERSION}; use a newer program")
            }
            NoHeader::Wrong(what) => f.write_str(what),
        }
    }
}

/// Reads the header of the segment that begins with record `first`.
pub(super) fn read_header(bytes: &[u8], first: u64) -> Result<Header, NoHeader> {
    let start = bytes.get(..SHORT_HEADER).ok_or(NoHeader::Short)?;
    if &start[..8] != MAGIC {
        return Err(NoHeader::Wrong("it does not begin as a segment of events"));
    }
    let short = |at: usize| u32::from_le_bytes(*start[at..].first_chunk().expect("inside the header"));
    let size = match short(8) {
        1 => SHORT_HEADER,
        VERSION => SEGMENT_HEADER,
        0 => return Err(NoHeader::Wrong("its header has no version")),
        newer => return Err(NoHeader::Newer(newer)),
    };
    let header = bytes.get(..size).ok_or(NoHeader::Short)?;
    if crc32c::crc32c(&header[16..]) != short(12) || header[16..24] != first.to_le_bytes() {
        return Err(NoHeader::Wrong("its header does not go with its name"));
    }
    let bills = header[24..].first_chunk().map_or(0, |bills| u64::from_le_bytes(*bills));
    Ok(Header { size, bills })
}

/// A block as it lies in a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'b> {
    pub(super) first: u64,
    pub(super) count: u32,
    pub(super) payload: &'b [u8],
}

impl Block<'_> {
    /// How many bytes it takes.
    pub(super) fn size(&self) -> usize {
        BLOCK_HEADER + self.payload.len()
    }

    /// The number of the record after its last.
    pub(super) fn end(&self) -> u64 {
        self.first + u64::from(self.count)
    }
}

/// Writes the header of a block into the room in front of its payload.
pub(super) fn seal(block: &mut [u8], first: u64, count: u32) {
    let length = (block.len() - BLOCK_HEADER) as u32;
    block[..4].copy_from_slice(&length.to_le_bytes());
    block[8..16].copy_from_slice(&first.to_le_bytes());
    block[16..BLOCK_HEADER].copy_from_slice(&count.to_le_bytes());
    let crc = crc32c::crc32c(&block[8..]);
    block[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// Why there is no block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NoBlock {
    /// The bytes end before it does: it may still be written.
    Short,
    /// Its checksum, length or count is wrong.
    Wrong,
}

/// The block at the beginning of `bytes`, whose first record must be `expected` or, where that is `None`, any.
pub(super) fn read(bytes: &[u8], expected: Option<u64>) -> Result<Block<'_>, NoBlock> {
    let header = bytes.get(..BLOCK_HEADER).ok_or(NoBlock::Short)?;
    let short = |at: usize| u32::from_le_bytes(*header[at..].first_chunk().expect("inside the header"));
    let length = short(0) as usize;
    if length == 0 || length > MAX_PAYLOAD {
        return Err(NoBlock::Wrong);
    }
    let whole = bytes.get(..BLOCK_HEADER + length).ok_or(NoBlock::Short)?;
    let first = u64::from_le_bytes(*header[8..].first_chunk().expect("inside the header"));
    let count = short(16);
    let right = crc32c::crc32c(&whole[8..]) == short(4) && count > 0;
    if !right
        || expected.is_some_and(|expected| expected != first)
        || first.checked_add(count.into()).is_none()
    {
        return Err(NoBlock::Wrong);
    }
    Ok(Block { first, count, payload: &whole[BLOCK_HEADER..] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_bit_anywhere_is_seen() {
        let mut block = [&[0; BLOCK_HEADER], &b"payload"[..]].concat();
        seal(&mut block, 7, 2);
        assert_eq!(
            read(&block, Some(7)).map(|b| (b.first, b.end(), b.payload)).unwrap(),
            (7, 9, &b"payload"[..])
        );
        assert_eq!(read(&block, Some(8)).unwrap_err(), NoBlock::Wrong);
        for cut in 0..block.len() {
            assert_eq!(read(&block[..cut], None).unwrap_err(), NoBlock::Short);
        }
        for bit in 0..block.len() * 8 {
            let mut changed = block.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&changed, None).is_err(), "bit {bit}");
        }
        let header = segment_header(7, 9);
        assert_eq!(read_header(&header, 7), Ok(Header { size: SEGMENT_HEADER, bills: 9 }));
        for bit in 0..header.len() * 8 {
            let mut changed = header;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(read_header(&changed, 7).is_err(), "bit {bit}");
        }
        for cut in 0..header.len() {
            assert_eq!(read_header(&header[..cut], 7), Err(NoHeader::Short));
        }
    }

    #[test]
    fn the_header_of_version_1_is_read_and_that_of_a_later_one_named() {
        let mut old = [0; SHORT_HEADER];
        old[..8].copy_from_slice(MAGIC);
        old[8] = 1;
        old[16] = 7;
        let crc = crc32c::crc32c(&old[16..]);
        old[12..16].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(read_header(&old, 7), Ok(Header { size: SHORT_HEADER, bills: 0 }));
        old[8] = 3;
        assert_eq!(read_header(&old, 7), Err(NoHeader::Newer(3)));
    }

    #[test]
    fn a_name_is_read_back_and_nothing_else_is_one() {
        assert_eq!(parse_name(&name(42)), Some(42));
        for other in
            ["events-1.events", "events-0000000000000000000x.events", "journal-00000000000000000001.wal"]
        {
            assert_eq!(parse_name(other), None);
        }
    }
}
