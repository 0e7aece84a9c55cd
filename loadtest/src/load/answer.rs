//! What an answer is, by its own bytes: a bid, no bid, or nothing that can be read.

use super::measure::{ErrorKind, Verdict};
use std::io::Read;

/// The longest answer after its compression is undone.
const MAX_PLAIN: u64 = 16 << 20;

/// Field number of `seatbid` in the protobuf form of a response (`proto/openrtb.proto`).
const SEATBID: u64 = 2;

/// Undoes gzip into `plain`; `None` if it is none, or too long.
pub(crate) fn unpack<'p>(sent: &[u8], plain: &'p mut Vec<u8>) -> Option<&'p [u8]> {
    plain.clear();
    let read = flate2::read::GzDecoder::new(sent).take(MAX_PLAIN + 1).read_to_end(plain).ok()?;
    (read as u64 <= MAX_PLAIN).then_some(plain)
}

/// Judges a status and a body; `None` = a body whose compression could not be undone. A 200 must hold something whole;
/// it is a bid unless it is an object without `seatbid`.
pub(crate) fn judge(status: u16, body: Option<&[u8]>, is_protobuf: bool) -> Verdict {
    match (status, body) {
        (204, _) => Verdict::NoBid,
        (200, Some(body)) if is_protobuf => match has_field(body, SEATBID) {
            Some(true) => Verdict::Bid,
            Some(false) => Verdict::NoBid,
            None => Verdict::Error(ErrorKind::Unreadable),
        },
        (200, Some(body)) => {
            if serde_json::from_slice::<serde::de::IgnoredAny>(body).is_err() {
                Verdict::Error(ErrorKind::Unreadable)
            } else if body.trim_ascii_start().first() == Some(&b'{') && !contains(body, b"\"seatbid\"") {
                Verdict::NoBid
            } else {
                Verdict::Bid
            }
        }
        (200, None) => Verdict::Error(ErrorKind::Unreadable),
        (500.., _) => Verdict::Error(ErrorKind::ServerError),
        _ => Verdict::Error(ErrorKind::OddStatus),
    }
}

fn contains(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|window| window == wanted)
}

/// Whether a protobuf message has a field; `None` where its bytes are no whole message.
fn has_field(mut bytes: &[u8], wanted: u64) -> Option<bool> {
    let mut has = false;
    while !bytes.is_empty() {
        let (key, rest) = varint(bytes)?;
        has |= key >> 3 == wanted;
        bytes = match key & 7 {
            0 => varint(rest)?.1,
            1 => rest.get(8..)?,
            2 => {
                let (length, rest) = varint(rest)?;
                rest.get(usize::try_from(length).ok()?..)?
            }
            5 => rest.get(4..)?,
            _ => return None,
        };
    }
    Some(has)
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f).checked_shl(7 * at as u32)?;
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_what_their_bytes_say() {
        let unreadable = Verdict::Error(ErrorKind::Unreadable);
        let check = |status, body: &[u8], is_protobuf, expected| {
            assert_eq!(judge(status, Some(body), is_protobuf), expected, "{status} {body:?}");
        };
        check(200, br#"{"id":"a","seatbid":[{"bid":[]}]}"#, false, Verdict::Bid);
        check(200, b"\"xxx\"", false, Verdict::Bid);
        check(200, br#" {"id":"a","nbr":2}"#, false, Verdict::NoBid);
        check(200, br#"{"id":"a""#, false, unreadable);
        check(200, b"", false, unreadable);
        check(204, b"", false, Verdict::NoBid);
        check(400, b"", false, Verdict::Error(ErrorKind::OddStatus));
        check(503, b"", false, Verdict::Error(ErrorKind::ServerError));
        check(200, &[0x0a, 1, b'a', 0x12, 2, 8, 1], true, Verdict::Bid);
        check(200, &[0x0a, 1, b'a', 0x28, 0x96, 1], true, Verdict::NoBid);
        check(200, &[0x0a, 9, b'a'], true, unreadable);
        check(200, &[0x0b], true, unreadable);
        assert_eq!(judge(200, None, false), unreadable);
    }
}
