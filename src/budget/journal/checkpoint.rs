//! A checkpoint file: `magic ‖ format version:u32 ‖ crc32c:u32 ‖ lsn:u64 ‖ len:u64 ‖ payload`, little-endian; the
//! checksum covers everything but itself. It holds the state after the record `lsn`, and its name bears that number.
//!
//! Invariant: a file that bears a checkpoint's name was whole and synced before it got the name, so that a crash leaves
//! either the whole file or none.

use super::error::{JournalError, io_error};
use super::segment;
use crate::model::storage::Storage;
use std::io;

const HEADER: usize = 32;
const VERSION: u32 = 1;
const MAGIC: &[u8; 8] = b"outbidCP";

/// The name under which a checkpoint is written, before it gets its own.
pub(super) const TEMPORARY: &str = "checkpoint.tmp";

/// The name of the checkpoint of the state after `lsn`.
pub(super) fn name(lsn: u64) -> String {
    format!("checkpoint-{lsn:020}.ckpt")
}

/// The lsn in a checkpoint's name; `None` of another file's name.
pub(super) fn parse_name(name: &str) -> Option<u64> {
    segment::numbered(name, "checkpoint-", ".ckpt")
}

/// A checkpoint's size, in bytes.
pub(super) fn size(payload: &[u8]) -> u64 {
    (HEADER + payload.len()) as u64
}

/// Writes a checkpoint, durably; on an error it may be there or not, but never in part.
pub(super) fn write(
    storage: &dyn Storage,
    lsn: u64,
    payload: &[u8],
) -> Result<(), (&'static str, io::Error)> {
    let mut file = storage.create(TEMPORARY, size(payload)).map_err(|why| ("create", why))?;
    file.write_at(0, &header(lsn, payload)).map_err(|why| ("write", why))?;
    file.write_at(HEADER as u64, payload).map_err(|why| ("write", why))?;
    file.sync().map_err(|why| ("sync", why))?;
    drop(file);
    storage.rename(TEMPORARY, &name(lsn)).map_err(|why| ("rename", why))?;
    storage.sync_dir().map_err(|why| ("sync the directory of", why))
}

/// The payload of the checkpoint `file`, or `Err(why)` inside where it is unreadable as such.
pub(super) fn read(storage: &dyn Storage, lsn: u64) -> Result<Result<Vec<u8>, String>, JournalError> {
    let file = name(lsn);
    let mut bytes = storage.read(&file).map_err(io_error("read", &file))?;
    match check(&bytes, lsn) {
        Ok(()) => {
            bytes.drain(..HEADER);
            Ok(Ok(bytes))
        }
        Err(Unreadable::Newer(found)) => Err(JournalError::NewerFormat { file, found, known: VERSION }),
        Err(Unreadable::Because(why)) => Ok(Err(why)),
    }
}

enum Unreadable {
    Newer(u32),
    Because(String),
}

fn check(bytes: &[u8], lsn: u64) -> Result<(), Unreadable> {
    let because = |why: &str| Err(Unreadable::Because(why.to_owned()));
    let Some((header, payload)) = bytes.split_first_chunk::<HEADER>() else {
        return because("it is shorter than a header");
    };
    let number = |at: usize| u64::from_le_bytes(*header[at..].first_chunk().expect("inside the header"));
    let short = |at: usize| u32::from_le_bytes(*header[at..].first_chunk().expect("inside the header"));
    if &header[..8] != MAGIC {
        return because("it does not begin as a checkpoint");
    }
    if short(12) != checksum(header, payload) {
        return because("its checksum does not match");
    }
    if short(8) > VERSION {
        return Err(Unreadable::Newer(short(8)));
    }
    if number(16) != lsn {
        return because(&format!("it is the content of {}", name(number(16))));
    }
    if number(24) != payload.len() as u64 {
        return because("its length does not match");
    }
    Ok(())
}

fn header(lsn: u64, payload: &[u8]) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[16..24].copy_from_slice(&lsn.to_le_bytes());
    header[24..].copy_from_slice(&(payload.len() as u64).to_le_bytes());
    let crc = checksum(&header, payload);
    header[12..16].copy_from_slice(&crc.to_le_bytes());
    header
}

fn checksum(header: &[u8; HEADER], payload: &[u8]) -> u32 {
    let crc = crc32c::crc32c_append(crc32c::crc32c(&header[..12]), &header[16..]);
    crc32c::crc32c_append(crc, payload)
}
