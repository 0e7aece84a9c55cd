//! Inflates a gzip body (RFC 1952) within a hard cap, without trusting anything that it says about itself.
//!
//! Exactly one member is accepted: further members and any other bytes after it are refused, because no exchange
//! sends them and two readers could disagree on what the request is. The checksum and the length are verified.
//!
//! Invariant: no more than the cap is ever inflated into memory, so that a bomb costs the time of the cap and no
//! more, whatever it would inflate to. Deliberately absent: deflate, br and stacked encodings.

use flate2::write::GzEncoder;
use flate2::{Compression, Crc, Decompress, FlushDecompress, Status};
use std::cell::RefCell;
use std::io::Write as _;

/// Inflated bytes that are always allowed, whatever the ratio.
const RATIO_SLACK: usize = 1 << 20;
/// Inflated bytes that one compressed byte may stand for, above the slack.
const MAX_RATIO: usize = 100;
/// Room that is made at a time, at least.
const STEP: usize = 16 << 10;

/// Why a compressed body is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    /// It does not begin as gzip does.
    #[error("the body is not gzip")]
    NotGzip,
    /// It ends before its end mark.
    #[error("the gzip body ends early")]
    Truncated,
    /// Its data, checksum or length is wrong.
    #[error("the gzip body is corrupt: {0}")]
    Corrupt(&'static str),
    /// Something follows the first member.
    #[error("{bytes} bytes follow the gzip body")]
    TrailingBytes {
        /// How many.
        bytes: usize,
    },
    /// It inflates to more than allowed.
    #[error("the body inflates to more than {limit} bytes")]
    TooLarge {
        /// The limit that was passed: the cap, or what the ratio allows.
        limit: usize,
    },
}

impl InflateError {
    /// The status that answers it: 413 when it inflates to too much, 400 otherwise.
    pub fn status(&self) -> u16 {
        match self {
            InflateError::TooLarge { .. } => 413,
            _ => 400,
        }
    }
}

/// A decompressor to keep: its window and tables (some 40 KB) are allocated once.
pub struct Inflater {
    raw: Decompress,
}

impl Default for Inflater {
    fn default() -> Inflater {
        Inflater::new()
    }
}

impl Inflater {
    /// A decompressor, ready for any number of bodies.
    pub fn new() -> Inflater {
        Inflater { raw: Decompress::new(false) }
    }

    /// Inflates `body` into `out`, which is emptied first and holds nothing of use after an error. `max_bytes` caps
    /// the result; above the first MiB no more than a hundred times the body is inflated either.
    pub fn inflate(&mut self, body: &[u8], max_bytes: usize, out: &mut Vec<u8>) -> Result<(), InflateError> {
        out.clear();
        let header = header_len(body)?;
        let data = body.get(header..).ok_or(InflateError::Truncated)?;
        let limit = max_bytes.min(body.len().saturating_mul(MAX_RATIO).saturating_add(RATIO_SLACK));
        let used = self.deflate(data, limit, out)?;
        let (trailer, after) = data[used..].split_at_checked(8).ok_or(InflateError::Truncated)?;
        let word =
            |at: usize| u32::from_le_bytes([trailer[at], trailer[at + 1], trailer[at + 2], trailer[at + 3]]);
        let mut crc = Crc::new();
        crc.update(out);
        if word(0) != crc.sum() {
            return Err(InflateError::Corrupt("the checksum differs"));
        }
        // The trailer holds the length modulo 2^32; the cap keeps it below.
        if word(4) != crc.amount() {
            return Err(InflateError::Corrupt("the length differs"));
        }
        if !after.is_empty() {
            return Err(InflateError::TrailingBytes { bytes: after.len() });
        }
        Ok(())
    }

    /// Inflates one deflate stream; gives how many bytes of `data` it took.
    fn deflate(&mut self, data: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<usize, InflateError> {
        self.raw.reset(false);
        loop {
            let before = (self.raw.total_in(), out.len());
            if out.len() == out.capacity() {
                // Fourfold, so that the buffers outgrown on the way add up to a third of the last one. One byte above
                // the limit tells "more" from "just enough"; it comes with the last step, because a step of its own
                // would copy everything once more.
                let (room, left) = ((3 * out.len()).max(STEP), limit + 1 - out.len());
                out.reserve_exact(if room + STEP > left { left } else { room });
            }
            let status = self
                .raw
                .decompress_vec(&data[before.0 as usize..], out, FlushDecompress::None)
                .map_err(|_| InflateError::Corrupt("bad deflate data"))?;
            let stuck = before == (self.raw.total_in(), out.len());
            if out.len() > limit {
                return Err(InflateError::TooLarge { limit });
            }
            match status {
                Status::StreamEnd => return Ok(self.raw.total_in() as usize),
                Status::Ok | Status::BufError if stuck => return Err(InflateError::Truncated),
                Status::Ok | Status::BufError => {}
            }
        }
    }
}

/// Inflates with a decompressor that the thread keeps; see [`Inflater::inflate`].
pub fn inflate(body: &[u8], max_bytes: usize, out: &mut Vec<u8>) -> Result<(), InflateError> {
    thread_local! {
        static INFLATER: RefCell<Inflater> = RefCell::new(Inflater::new());
    }
    INFLATER.with_borrow_mut(|inflater| inflater.inflate(body, max_bytes, out))
}

/// Compresses an answer as one gzip member, at the level that costs least: answers are small and soon read.
pub fn deflate(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 2), Compression::fast());
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    written.expect("writing to memory does not fail")
}

/// The length of a gzip header with its optional fields (RFC 1952 section 2.3).
fn header_len(body: &[u8]) -> Result<usize, InflateError> {
    const HCRC: u8 = 2;
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    if !body.starts_with(&[0x1f, 0x8b]) {
        return Err(if body.len() < 2 { InflateError::Truncated } else { InflateError::NotGzip });
    }
    let fixed = body.first_chunk::<10>().ok_or(InflateError::Truncated)?;
    let (method, flags) = (fixed[2], fixed[3]);
    if method != 8 || flags & 0xe0 != 0 {
        return Err(InflateError::NotGzip);
    }
    let mut at = fixed.len();
    if flags & EXTRA != 0 {
        let length = body.get(at..at + 2).ok_or(InflateError::Truncated)?;
        at += 2 + usize::from(u16::from_le_bytes([length[0], length[1]]));
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let rest = body.get(at..).ok_or(InflateError::Truncated)?;
            at += memchr::memchr(0, rest).ok_or(InflateError::Truncated)? + 1;
        }
    }
    Ok(at + if flags & HCRC != 0 { 2 } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, GzBuilder, write::GzEncoder};
    use std::io::Write;

    const CAP: usize = 1 << 20;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn check(body: &[u8], expected: Result<&[u8], InflateError>) {
        let mut out = b"left over".to_vec();
        let result = inflate(body, CAP, &mut out).map(|()| out.as_slice());
        assert_eq!(result, expected);
    }

    #[test]
    fn one_member_is_inflated_with_every_kind_of_header() {
        for data in [&b""[..], b"{}", &[b'x'; 100_000], &vec![b'['; 1_000_000], &vec![b'y'; CAP]] {
            check(&gzip(data), Ok(data));
        }
        let mut encoder = GzBuilder::new()
            .filename("bid.json")
            .comment("a comment")
            .extra(vec![1, 2, 3])
            .mtime(7)
            .write(Vec::new(), Compression::fast());
        encoder.write_all(b"{\"id\":1}").unwrap();
        check(&encoder.finish().unwrap(), Ok(b"{\"id\":1}"));
    }

    #[test]
    fn whatever_is_not_one_whole_member_is_refused() {
        let good = gzip(&b"{\"id\":\"1\"}".repeat(50));
        for cut in 0..good.len() {
            check(&good[..cut], Err(InflateError::Truncated));
        }
        check(b"{\"id\":\"1\"}", Err(InflateError::NotGzip));
        check(&[0x1f, 0x8b, 7, 0, 0, 0, 0, 0, 0, 0], Err(InflateError::NotGzip));
        check(&[0x1f, 0x8b, 8, 0x80, 0, 0, 0, 0, 0, 0], Err(InflateError::NotGzip));
        check(&[good.clone(), b"!".to_vec()].concat(), Err(InflateError::TrailingBytes { bytes: 1 }));
        let twice = [good.clone(), good.clone()].concat();
        check(&twice, Err(InflateError::TrailingBytes { bytes: good.len() }));
        let mut checksum = good.clone();
        checksum[good.len() - 8] ^= 1;
        check(&checksum, Err(InflateError::Corrupt("the checksum differs")));
        let mut length = good.clone();
        length[good.len() - 1] ^= 1;
        check(&length, Err(InflateError::Corrupt("the length differs")));
        check(&[&good[..10], &[0xff; 40][..]].concat(), Err(InflateError::Corrupt("bad deflate data")));
    }

    #[test]
    fn a_changed_byte_never_gives_other_content() {
        let content = b"{\"id\":\"1\",\"imp\":[]}".repeat(8);
        let good = gzip(&content);
        let mut out = Vec::new();
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                // Time stamp and system in the header carry no content.
                if inflate(&bad, CAP, &mut out).is_ok() {
                    assert_eq!(out, content, "byte {at} bit {bit}");
                }
            }
        }
    }

    #[test]
    fn a_bomb_stops_at_the_cap() {
        let bomb = gzip(&vec![b' '; 200 << 20]);
        assert!((190 << 10..220 << 10).contains(&bomb.len()), "{} bytes", bomb.len());
        let mut out = Vec::new();
        let error = inflate(&bomb, CAP, &mut out).unwrap_err();
        assert_eq!((error, error.status()), (InflateError::TooLarge { limit: CAP }, 413));
        assert!(out.capacity() <= CAP + 1, "{}", out.capacity());
        check(&gzip(&vec![b' '; CAP + 1]), Err(InflateError::TooLarge { limit: CAP }));
    }

    #[test]
    fn a_kept_decompressor_and_buffer_allocate_nothing() {
        let body = gzip(&b"{\"id\":\"1\"}".repeat(400));
        let (mut inflater, mut out) = (Inflater::new(), Vec::new());
        inflater.inflate(&body, CAP, &mut out).unwrap();
        let again = allocation_counter::measure(|| inflater.inflate(&body, CAP, &mut out).unwrap());
        assert_eq!(again.count_total, 0);
    }
}
