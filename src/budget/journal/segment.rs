//! A segment's name and header: `magic ‖ format version:u32 ‖ crc32c:u32 ‖ first lsn:u64`, little-endian. Later
//! versions keep these 24 bytes as they are, so that an older program can tell a newer file from a damaged one.
//!
//! Invariant: a file that bears a segment's name had a valid, synced header before it got the name. A crash alone can
//! therefore never leave a segment whose header is bad.

use super::error::{JournalError, Problem};

/// Bytes in front of the first record.
pub(super) const HEADER: usize = 24;

/// The format this program writes, and the newest that it reads.
pub(super) const VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"outbidWL";

/// The name of the segment that begins with `first_lsn`.
pub(super) fn name(first_lsn: u64) -> String {
    format!("journal-{first_lsn:020}.wal")
}

/// The first lsn in a segment's name; `None` of another file's name.
pub(super) fn parse_name(name: &str) -> Option<u64> {
    numbered(name, "journal-", ".wal").filter(|&first| first > 0)
}

/// The number in `<prefix><20 digits><suffix>`.
pub(super) fn numbered(name: &str, prefix: &str, suffix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
    let plain = digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// The header of the segment that begins with `first_lsn`.
pub(super) fn header(first_lsn: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[16..].copy_from_slice(&first_lsn.to_le_bytes());
    let crc = checksum(&header);
    header[12..16].copy_from_slice(&crc.to_le_bytes());
    header
}

fn checksum(header: &[u8; HEADER]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&header[..12]), &header[16..])
}

/// Checks that `bytes` begin as the segment `file`, whose name says `first_lsn`, must.
pub(super) fn check_header(file: &str, first_lsn: u64, bytes: &[u8]) -> Result<(), JournalError> {
    let damaged =
        |problem| JournalError::Damaged { file: file.to_owned(), offset: 0, lsn: first_lsn, problem };
    let header: &[u8; HEADER] = bytes.first_chunk().ok_or_else(|| damaged(Problem::Header))?;
    let number = |at: usize| u32::from_le_bytes(*header[at..].first_chunk().expect("inside the header"));
    if &header[..8] != MAGIC || number(12) != checksum(header) {
        return Err(damaged(Problem::Header));
    }
    if number(8) > VERSION {
        return Err(JournalError::NewerFormat { file: file.to_owned(), found: number(8), known: VERSION });
    }
    let first = u64::from_le_bytes(*header[16..].first_chunk().expect("inside the header"));
    if first != first_lsn {
        return Err(damaged(Problem::Swapped { belongs: name(first) }));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_and_nothing_else_is_taken_for_one() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(parse_name(text), expected, "{text}");
        check(&name(1), Some(1));
        check(&name(u64::MAX), Some(u64::MAX));
        check(&name(0), None);
        check("journal-99999999999999999999.wal", None);
        check("journal-+0000000000000000001.wal", None);
        check("journal-1.wal", None);
        check("journal-00000000000000000001.wal.damaged-24", None);
        check("epoch", None);
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_refused() {
        let good = header(42);
        assert!(check_header("f", 42, &good).is_ok());
        for bit in 0..HEADER * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(check_header("f", 42, &bad).is_err(), "bit {bit}");
        }
        assert!(check_header("f", 42, &good[..HEADER - 1]).is_err());
    }

    #[test]
    fn a_swapped_and_a_newer_file_are_named_as_such() {
        let swapped = check_header("f", 42, &header(43)).unwrap_err();
        assert!(swapped.to_string().contains(&name(43)), "{swapped}");
        let mut newer = header(42);
        newer[8] = 2;
        let crc = checksum(&newer);
        newer[12..16].copy_from_slice(&crc.to_le_bytes());
        let refused = check_header("f", 42, &newer).unwrap_err();
        assert!(matches!(refused, JournalError::NewerFormat { found: 2, known: 1, .. }), "{refused}");
    }
}
