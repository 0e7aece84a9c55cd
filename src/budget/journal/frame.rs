//! One record as bytes: `len:u32 ‖ crc32c:u32 ‖ lsn:u64 ‖ nth:u32 ‖ payload`, little-endian. The checksum covers
//! everything but itself. `len` 0 is what was never written; [`SEAL`] closes a segment whose successor exists.
//!
//! `nth` is the record's place in its commit, from 0. A commit begins only after the one before it was synced, so a
//! valid frame *proves* that every record up to `lsn − nth − 1` was on the disk: this is what tells a damaged middle
//! from a torn last write, whose blocks the disk may have taken in any order.
//!
//! Invariant: a frame that reads as valid was written by [`encode`] or [`seal`], up to the strength of the checksum.

/// Bytes in front of a payload.
pub(super) const HEADER: usize = 20;

/// The longest payload of a record, in bytes. A length above it is damage, so that a flipped bit cannot make recovery
/// checksum the rest of the segment as one record.
pub const MAX_PAYLOAD: usize = 1 << 20;

/// The `len` of the mark that ends a full segment.
const SEAL: u32 = u32::MAX;

/// What a disk writes whole or not at all, in bytes: the smallest sector there is.
const SECTOR: usize = 512;

/// A valid frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    /// The record's number; of a seal, the number of the next segment's first record.
    pub(super) lsn: u64,
    /// The place in its commit.
    pub(super) nth: u32,
    /// What the record says; `None` of a seal.
    pub(super) payload: Option<&'a [u8]>,
    /// Where the next frame begins.
    pub(super) end: usize,
}

impl Frame<'_> {
    /// The lsn of the commit's first record: all before it was synced when this frame was written.
    pub(super) fn commit_start(&self) -> u64 {
        self.lsn - u64::from(self.nth)
    }
}

/// Appends a record's frame to `buffer`.
pub(super) fn encode(buffer: &mut Vec<u8>, lsn: u64, nth: u32, payload: &[u8]) {
    let len = u32::try_from(payload.len()).expect("checked by the caller against MAX_PAYLOAD");
    let header = header(len, lsn, nth, payload);
    buffer.extend_from_slice(&header);
    buffer.extend_from_slice(payload);
}

/// The mark that closes a segment: the next segment begins with `next_lsn` and is durable.
pub(super) fn seal(next_lsn: u64) -> [u8; HEADER] {
    header(SEAL, next_lsn, 0, &[])
}

fn header(len: u32, lsn: u64, nth: u32, payload: &[u8]) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&len.to_le_bytes());
    header[8..16].copy_from_slice(&lsn.to_le_bytes());
    header[16..].copy_from_slice(&nth.to_le_bytes());
    let crc = checksum(&header, payload);
    header[4..8].copy_from_slice(&crc.to_le_bytes());
    header
}

fn checksum(header: &[u8; HEADER], payload: &[u8]) -> u32 {
    let crc = crc32c::crc32c_append(crc32c::crc32c(&header[..4]), &header[8..]);
    crc32c::crc32c_append(crc, payload)
}

/// The valid frame at `offset`, if there is one.
pub(super) fn read(bytes: &[u8], offset: usize) -> Option<Frame<'_>> {
    let header: &[u8; HEADER] = bytes.get(offset..)?.first_chunk()?;
    let len = u32::from_le_bytes(*header.first_chunk()?);
    let start = offset + HEADER;
    let payload = match len {
        0 => return None,
        SEAL => &[][..],
        _ if len as usize > MAX_PAYLOAD => return None,
        _ => bytes.get(start..start + len as usize)?,
    };
    let crc = u32::from_le_bytes(*header[4..].first_chunk()?);
    let lsn = u64::from_le_bytes(*header[8..].first_chunk()?);
    let nth = u32::from_le_bytes(*header[16..].first_chunk()?);
    if u64::from(nth) >= lsn || crc != checksum(header, payload) {
        return None;
    }
    let payload = (len != SEAL).then_some(payload);
    Some(Frame { lsn, nth, payload, end: start + payload.map_or(0, <[u8]>::len) })
}

/// Where what was ever written ends: behind the last byte that is not zero.
pub(super) fn written(bytes: &[u8]) -> usize {
    const ZEROS: [u8; 4_096] = [0; 4_096];
    // Most of a segment is zeros, and whole blocks of them compare fast.
    let block = bytes.chunks(ZEROS.len()).rposition(|block| *block != ZEROS[..block.len()]);
    let end = block.map_or(0, |index| ((index + 1) * ZEROS.len()).min(bytes.len()));
    bytes[..end].iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)
}

/// The valid frames behind a bad one, with their offsets, found byte by byte. Taken for frames are only those whose
/// lsn is `expected` or later, but not so late that their predecessors had no room in between.
pub(super) fn search(bytes: &[u8], bad: usize, expected: u64) -> impl Iterator<Item = (usize, Frame<'_>)> {
    let end = written(bytes);
    let mut at = bad + 1;
    std::iter::from_fn(move || {
        while at < end {
            let offset = at;
            let room = ((offset - bad) / HEADER) as u64;
            // The number first: it is cheap, and hardly any stray byte passes it.
            let plausible =
                lsn_at(bytes, offset).is_some_and(|lsn| lsn >= expected && lsn - expected <= room);
            match plausible.then(|| read(bytes, offset)).flatten() {
                Some(frame) => {
                    at = frame.end;
                    return Some((offset, frame));
                }
                None => at += 1,
            }
        }
        None
    })
}

fn lsn_at(bytes: &[u8], offset: usize) -> Option<u64> {
    bytes.get(offset + 8..)?.first_chunk().map(|lsn| u64::from_le_bytes(*lsn))
}

/// Whether the write that began at `start` left out a whole sector between `from` and `to`, which a disk may do when
/// the power fails. What was never written reads as zeros; a record never does for so long.
pub(super) fn sector_missing(bytes: &[u8], start: usize, from: usize, to: usize) -> bool {
    let to = to.min(bytes.len());
    (from / SECTOR..to.div_ceil(SECTOR)).any(|sector| {
        let begin = (sector * SECTOR).max(start);
        let end = (sector * SECTOR + SECTOR).min(bytes.len());
        begin < end && bytes[begin..end].iter().all(|&byte| byte == 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(&mut bytes, 7, 0, b"first");
        encode(&mut bytes, 8, 1, b"second");
        bytes
    }

    #[test]
    fn what_is_written_reads_back() {
        let bytes = two();
        let first = read(&bytes, 0).unwrap();
        assert_eq!((first.lsn, first.nth, first.payload), (7, 0, Some(&b"first"[..])));
        let second = read(&bytes, first.end).unwrap();
        assert_eq!((second.lsn, second.commit_start(), second.payload), (8, 7, Some(&b"second"[..])));
        assert_eq!(second.end, bytes.len());
        let mark = seal(9);
        assert_eq!(read(&mark, 0), Some(Frame { lsn: 9, nth: 0, payload: None, end: HEADER }));
    }

    #[test]
    fn no_flipped_bit_and_no_cut_reads_as_valid() {
        let bytes = two();
        let first = read(&bytes, 0).unwrap().end;
        for bit in 0..first * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&flipped, 0), None, "bit {bit}");
        }
        for length in 0..first {
            assert_eq!(read(&bytes[..length], 0), None, "{length} bytes");
        }
        assert_eq!(read(&[0; 64], 0), None);
        assert_eq!(read(&bytes, bytes.len() + 5), None);
    }

    #[test]
    fn a_search_finds_the_next_frame_but_none_from_elsewhere() {
        let mut bytes = two();
        let second = read(&bytes, 0).unwrap().end;
        bytes[4] ^= 1;
        let found: Vec<_> = search(&bytes, 0, 7).map(|(offset, frame)| (offset, frame.lsn)).collect();
        assert_eq!(found, [(second, 8)]);
        assert_eq!(search(&bytes, 0, 9).count(), 0, "older than what is looked for");
        assert_eq!(search(&bytes, 0, 2).count(), 0, "six records in front of it had no room");
    }

    #[test]
    fn the_end_of_what_was_written_is_the_last_byte_that_is_not_zero() {
        for at in [0, 1, 4_095, 4_096, 8_191, 9_999] {
            let mut bytes = vec![0; 10_000];
            assert_eq!(written(&bytes), 0);
            bytes[at] = 1;
            assert_eq!(written(&bytes), at + 1);
            bytes[0] = 1;
            assert_eq!(written(&bytes), at + 1);
        }
    }

    #[test]
    fn a_missing_sector_is_told_from_a_flipped_bit() {
        let check = |zero: std::ops::Range<usize>, expected: bool| {
            let mut bytes = vec![7_u8; 2_048];
            bytes[zero.clone()].fill(0);
            assert_eq!(sector_missing(&bytes, 100, 300, 1_500), expected, "{zero:?} is zero");
        };
        check(600..601, false);
        check(512..1_023, false);
        check(512..1_024, true);
        check(100..512, true); // The first sector holds older records up to the write's start.
        check(101..512, false);
        check(1_536..2_048, false); // Behind the gap.
    }
}
