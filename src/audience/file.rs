//! The index as a file, `<dir>/audience/base.v1`: base, overlay and match table together, so that no crash can pair
//! an old overlay with a new base.
//!
//! ```text
//! file    : "OUTBIDAU" · version u32 · header · one block a shard, in order · overlay · match table · ties · traces · orders
//! block   : tag u32 · length u64 · crc32c of the payload u32 · crc32c of these 16 bytes u32 · payload
//! ```
//! All numbers are little-endian. Every byte is under a checksum or compared with a constant. The file is written
//! beside its name, flushed to the disk and renamed; a crash leaves the old file or the new one.
//!
//! The header names the first generation of the log of changes (`log.rs`) that the file does not include. Version 2 had no
//! generation, ties or traces, and expiries of the overlay in units; it is read as well.

use super::index::AudienceIndex;
use super::offsets::Offsets;
use super::overlay::Link;
use super::packed::{Geometry, MAX_SHARD_BITS, PackedShard};
use super::record::Record;
use super::{AudienceError, IdKey, MAX_SEGMENTS_PER_USER};
use crate::model::ids::UserKey;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"OUTBIDAU";
/// 2: three users a bucket, each with its length. 3: generation, ties, traces, orders, expiries of the overlay in seconds.
const VERSION: u32 = 3;
/// The oldest version that is read.
const OLDEST: u32 = 2;
const FRAME: usize = 20;

const HEADER: u32 = u32::from_le_bytes(*b"HEAD");
const SHARD: u32 = u32::from_le_bytes(*b"SHRD");
const OVERLAY: u32 = u32::from_le_bytes(*b"OVER");
const LINKS: u32 = u32::from_le_bytes(*b"LINK");
const TIES: u32 = u32::from_le_bytes(*b"TIES");
const TRACES: u32 = u32::from_le_bytes(*b"TRAC");
const ORDERS: u32 = u32::from_le_bytes(*b"ORDR");

impl AudienceIndex {
    /// Writes everything to `<dir>/audience/base.v1`, atomically and durably, and answers the path. Lookups and
    /// writes go on; a write that comes meanwhile is in the file or not. Merges wait. `key` is the secret that the
    /// keys were made with: only its check value is written.
    pub fn save(&self, dir: &Path, key: &IdKey) -> Result<PathBuf, AudienceError> {
        self.save_behind(dir, key, self.next_generation())
    }

    /// The same, saying that logs from `generation` on hold what the file may lack.
    pub(super) fn save_behind(
        &self,
        dir: &Path,
        key: &IdKey,
        generation: u64,
    ) -> Result<PathBuf, AudienceError> {
        let folder = dir.join("audience");
        let path = folder.join("base.v1");
        let temporary = folder.join("base.v1.tmp");
        let on = |action, path: &Path| {
            let path = path.to_path_buf();
            move |source| AudienceError::Io { action, path, source }
        };
        let _merging = self.merging.lock();
        fs::create_dir_all(&folder).map_err(on("create", &folder))?;
        let file = File::create(&temporary).map_err(on("create", &temporary))?;
        let mut out = BufWriter::with_capacity(1 << 16, &file);
        self.write_to(&mut out, key, generation)
            .and_then(|()| out.flush())
            .map_err(on("write", &temporary))?;
        drop(out);
        file.sync_all().map_err(on("flush", &temporary))?;
        fs::rename(&temporary, &path).map_err(on("rename", &temporary))?;
        for folder in [folder.as_path(), dir] {
            File::open(folder).and_then(|f| f.sync_all()).map_err(on("flush", folder))?;
        }
        Ok(path)
    }

    /// Reads what [`AudienceIndex::save`] wrote; `None` where there is no file. Everything is checked before
    /// anything is used.
    pub fn load(dir: &Path, key: &IdKey) -> Result<Option<AudienceIndex>, AudienceError> {
        let path = dir.join("audience").join("base.v1");
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(AudienceError::Io { action: "open", path, source }),
        };
        let mut input = BufReader::with_capacity(1 << 16, file);
        read_from(&mut input, key).map(Some).map_err(|fault| match fault {
            Fault::Io(source) => AudienceError::Io { action: "read", path, source },
            Fault::Damaged(what) => AudienceError::Damaged { path, what },
            Fault::Version(found) => AudienceError::Version { path, found, supported: VERSION },
            Fault::OtherKey => AudienceError::OtherKey { path },
        })
    }

    /// With merges held off, the shards stand still and no entry leaves the overlay, so that the order is free.
    fn write_to(&self, out: &mut impl Write, key: &IdKey, generation: u64) -> io::Result<()> {
        out.write_all(MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        let header =
            [&self.shard_bits.to_le_bytes()[..], &key.check().to_le_bytes(), &generation.to_le_bytes()];
        write_block(out, HEADER, &header)?;
        for shard in &self.shards {
            write_shard(out, &shard.load_full())?;
        }
        write_block(out, OVERLAY, &[&self.overlay_bytes()])?;
        write_block(out, LINKS, &[&pairs(&self.links.rows())])?;
        write_block(out, TIES, &[&pairs(&self.overlay.all_ties())])?;
        write_block(out, TRACES, &[&self.trace_bytes()])?;
        let mut orders = Vec::new();
        self.orders.iter().for_each(|entry| {
            orders.extend_from_slice(&entry.key().0.to_le_bytes());
            orders.extend_from_slice(&entry.value().to_le_bytes());
        });
        write_block(out, ORDERS, &[&orders])
    }

    fn trace_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.for_each_trace(|key, words| {
            bytes.extend_from_slice(&key.0.to_le_bytes());
            bytes.extend_from_slice(&(words.len() as u32).to_le_bytes());
            words.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        });
        bytes
    }

    fn overlay_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for key in self.overlay.keys(|_| true) {
            let Some(records) = self.overlay.get(key) else { continue };
            bytes.extend_from_slice(&key.0.to_le_bytes());
            bytes.extend_from_slice(&(records.len() as u32).to_le_bytes());
            records.iter().for_each(|record| bytes.extend_from_slice(&record.bits().to_le_bytes()));
        }
        bytes
    }
}

fn pairs(rows: &[(UserKey, Link)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (from, link) in rows {
        bytes.extend_from_slice(&from.0.to_le_bytes());
        bytes.extend_from_slice(&link.to.0.to_le_bytes());
        bytes.extend_from_slice(&link.expiry.to_le_bytes());
    }
    bytes
}

fn write_block(out: &mut impl Write, tag: u32, parts: &[&[u8]]) -> io::Result<()> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let checksum = parts.iter().fold(0, |checksum, part| crc32c::crc32c_append(checksum, part));
    let mut frame = [0; FRAME];
    frame[..4].copy_from_slice(&tag.to_le_bytes());
    frame[4..12].copy_from_slice(&(length as u64).to_le_bytes());
    frame[12..16].copy_from_slice(&checksum.to_le_bytes());
    let own = crc32c::crc32c(&frame[..16]);
    frame[16..].copy_from_slice(&own.to_le_bytes());
    out.write_all(&frame)?;
    parts.iter().try_for_each(|part| out.write_all(part))
}

fn write_shard(out: &mut impl Write, shard: &PackedShard) -> io::Result<()> {
    let mut head = Vec::with_capacity(32);
    head.extend_from_slice(&(shard.geometry.shard as u32).to_le_bytes());
    head.extend_from_slice(&shard.geometry.buckets.to_le_bytes());
    head.extend_from_slice(&shard.epoch.to_le_bytes());
    head.extend_from_slice(&shard.earliest.to_le_bytes());
    head.extend_from_slice(&shard.users.to_le_bytes());
    head.extend_from_slice(&shard.memberships.to_le_bytes());
    let offsets: Vec<u8> = shard.offsets.iter().flat_map(u32::to_le_bytes).collect();
    write_block(out, SHARD, &[&head, &offsets, &shard.blob])
}

/// Why a stream is no index.
#[derive(Debug)]
enum Fault {
    Io(io::Error),
    Damaged(String),
    Version(u32),
    OtherKey,
}

fn damaged(what: impl Into<String>) -> Fault {
    Fault::Damaged(what.into())
}

fn read_from(input: &mut impl Read, key: &IdKey) -> Result<AudienceIndex, Fault> {
    let mut start = [0; 12];
    read_exact(input, &mut start, "the first bytes")?;
    let mut cursor = Cursor { rest: &start, part: "the first bytes" };
    if cursor.bytes(MAGIC.len())? != MAGIC {
        return Err(damaged("it does not begin like an audience index"));
    }
    let version = cursor.u32()?;
    if !(OLDEST..=VERSION).contains(&version) {
        return Err(Fault::Version(version));
    }
    let header = read_block(input, HEADER, "the header")?;
    let mut cursor = Cursor { rest: &header, part: "the header" };
    let (shard_bits, check) = (cursor.u32()?, cursor.u64()?);
    let generation = if version == OLDEST { 0 } else { cursor.u64()? };
    cursor.end()?;
    if shard_bits > MAX_SHARD_BITS {
        return Err(damaged("the header names too many shards"));
    }
    if check != key.check() {
        return Err(Fault::OtherKey);
    }
    let shards: Result<Vec<PackedShard>, Fault> =
        (0..1 << shard_bits).map(|shard| read_shard(input, shard_bits, shard)).collect();
    let index = AudienceIndex::from_shards(shard_bits, shards?.into_iter());
    index.begin_at(generation);
    read_overlay(&read_block(input, OVERLAY, "the overlay")?, version, &index)?;
    read_pairs(&read_block(input, LINKS, "the match table")?, "the match table", |matched, link| {
        index.links.insert(matched, link);
    })?;
    if version > OLDEST {
        read_pairs(&read_block(input, TIES, "the ties")?, "the ties", |cookie, tie| {
            index.overlay.tie(cookie, tie);
        })?;
        read_traces(&read_block(input, TRACES, "the traces")?, &index)?;
        let orders = read_block(input, ORDERS, "the orders")?;
        let mut cursor = Cursor { rest: &orders, part: "the orders" };
        while !cursor.rest.is_empty() {
            index.orders.insert(UserKey(cursor.u64()?), cursor.u32()?);
        }
    }
    match input.read(&mut [0]).map_err(Fault::Io)? {
        0 => Ok(index),
        _ => Err(damaged("something follows after its end")),
    }
}

fn read_shard(input: &mut impl Read, shard_bits: u32, shard: usize) -> Result<PackedShard, Fault> {
    let part = format!("shard {shard}");
    let payload = read_block(input, SHARD, &part)?;
    let mut cursor = Cursor { rest: &payload, part: &part };
    if cursor.u32()? as usize != shard {
        return Err(damaged(format!("{part} is not in its place")));
    }
    let buckets = cursor.u32()?;
    let (epoch, earliest, users, memberships) = (cursor.u32()?, cursor.u32()?, cursor.u32()?, cursor.u64()?);
    let offsets = cursor.bytes((buckets as usize + 1) * size_of::<u32>())?;
    let offsets: Vec<u32> = offsets.as_chunks().0.iter().map(|offset| u32::from_le_bytes(*offset)).collect();
    let packed = PackedShard {
        geometry: Geometry { shard_bits, shard, buckets },
        epoch,
        earliest,
        users,
        memberships,
        offsets: Offsets::pack(&offsets),
        blob: cursor.rest.into(),
    };
    packed.check().map_err(|what| damaged(format!("{part}: {what}")))?;
    Ok(packed)
}

fn read_overlay(payload: &[u8], version: u32, index: &AudienceIndex) -> Result<(), Fault> {
    let mut cursor = Cursor { rest: payload, part: "the overlay" };
    while !cursor.rest.is_empty() {
        let (key, count) = (UserKey(cursor.u64()?), cursor.u32()? as usize);
        if count > MAX_SEGMENTS_PER_USER {
            return Err(damaged("the overlay has a user with too many segments"));
        }
        let records: Option<Vec<Record>> = cursor
            .bytes(count * size_of::<u64>())?
            .as_chunks()
            .0
            .iter()
            .map(|bits| Record::from_bits(u64::from_le_bytes(*bits)))
            .map(|record| record.map(|record| if version == OLDEST { record.in_seconds() } else { record }))
            .collect();
        match records.filter(|r| r.is_sorted_by(|a, b| a.segment() < b.segment())) {
            Some(records) => index.overlay.restore(key, records),
            None => return Err(damaged("the overlay has a membership that cannot be")),
        }
    }
    Ok(())
}

fn read_pairs(payload: &[u8], part: &str, mut take: impl FnMut(UserKey, Link)) -> Result<(), Fault> {
    let mut cursor = Cursor { rest: payload, part };
    while !cursor.rest.is_empty() {
        let (from, to, expiry) = (UserKey(cursor.u64()?), UserKey(cursor.u64()?), cursor.u32()?);
        take(from, Link { to, expiry });
    }
    Ok(())
}

fn read_traces(payload: &[u8], index: &AudienceIndex) -> Result<(), Fault> {
    let mut cursor = Cursor { rest: payload, part: "the traces" };
    while !cursor.rest.is_empty() {
        let (key, count) = (UserKey(cursor.u64()?), cursor.u32()? as usize);
        let words = cursor.bytes(count.saturating_mul(size_of::<u32>()))?;
        index.put_traces(key, words.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect());
    }
    Ok(())
}

/// Reads a block and checks frame and payload. A wrong length is found before that much memory is asked for.
fn read_block(input: &mut impl Read, tag: u32, part: &str) -> Result<Vec<u8>, Fault> {
    let mut frame = [0; FRAME];
    read_exact(input, &mut frame, part)?;
    let mut cursor = Cursor { rest: &frame, part };
    let (found, length, checksum, own) = (cursor.u32()?, cursor.u64()?, cursor.u32()?, cursor.u32()?);
    if own != crc32c::crc32c(&frame[..16]) {
        return Err(damaged(format!("the checksum of the frame of {part} is wrong")));
    }
    if found != tag {
        return Err(damaged(format!("another block stands where {part} should be")));
    }
    let mut payload = Vec::new();
    input.take(length).read_to_end(&mut payload).map_err(Fault::Io)?;
    if payload.len() as u64 != length {
        return Err(damaged(format!("it ends inside {part}")));
    }
    if checksum != crc32c::crc32c(&payload) {
        return Err(damaged(format!("the checksum of {part} is wrong")));
    }
    Ok(payload)
}

fn read_exact(input: &mut impl Read, bytes: &mut [u8], part: &str) -> Result<(), Fault> {
    input.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged(format!("it ends inside {part}")),
        _ => Fault::Io(error),
    })
}

/// Takes numbers off the front of a payload.
struct Cursor<'b> {
    rest: &'b [u8],
    part: &'b str,
}

impl<'b> Cursor<'b> {
    fn bytes(&mut self, count: usize) -> Result<&'b [u8], Fault> {
        let short = || damaged(format!("{} is too short", self.part));
        let (head, rest) = self.rest.split_at_checked(count).ok_or_else(short)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        Ok(*self.bytes(N)?.first_chunk().expect("N bytes were taken"))
    }

    fn u32(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Fault> {
        self.array().map(u64::from_le_bytes)
    }

    fn end(&self) -> Result<(), Fault> {
        if self.rest.is_empty() { Ok(()) } else { Err(damaged(format!("{} is too long", self.part))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audience::{Builder, Membership};
    use crate::model::ids::SegmentId;

    const KEY: IdKey = IdKey([3; 16]);

    /// A base with users in the first shard, a changed user, an erased one and a link.
    fn small_file() -> Vec<u8> {
        let mut builder = Builder::default();
        let of = |id| Membership { expires_s: Some(1_900_000_000), ..Membership::of(SegmentId(id)) };
        builder.push(UserKey(5), [of(1), of(700_000)]).unwrap();
        builder.push(UserKey(6), [of(2)]).unwrap();
        let index = builder.finish().unwrap();
        index.add(UserKey(5), of(9)).unwrap();
        index.erase(UserKey(6));
        index.link(UserKey(1), UserKey(5), None);
        let mut bytes = Vec::new();
        index.tie(UserKey(5), UserKey(77), Some(1_900_000_000));
        index.put_traces(UserKey(5), Box::new([0x4100_0009, 1_900_000_000]));
        index.write_to(&mut bytes, &KEY, 3).unwrap();
        bytes
    }

    /// As version 2 wrote it: no generation, no ties, traces or orders, expiries of the overlay in quarters of an hour.
    #[test]
    fn a_file_of_the_version_before_is_read() {
        let mut builder = Builder::default();
        builder.push(UserKey(5), [Membership::of(SegmentId(1))]).unwrap();
        let index = builder.finish().unwrap();
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&OLDEST.to_le_bytes());
        let header = [&index.shard_bits.to_le_bytes()[..], &KEY.check().to_le_bytes()];
        write_block(&mut bytes, HEADER, &header).unwrap();
        index.shards.iter().for_each(|shard| write_shard(&mut bytes, &shard.load_full()).unwrap());
        let mut overlay = 6_u64.to_le_bytes().to_vec();
        overlay.extend_from_slice(&1_u32.to_le_bytes());
        overlay.extend_from_slice(&Record::new(2, 2_000_000, 0).bits().to_le_bytes());
        write_block(&mut bytes, OVERLAY, &[&overlay]).unwrap();
        let link = Link { to: UserKey(5), expiry: 2_000_000 };
        write_block(&mut bytes, LINKS, &[&pairs(&[(UserKey(9), link)])]).unwrap();
        let read = read_from(&mut bytes.as_slice(), &KEY).unwrap();
        assert_eq!(read.next_generation(), 0);
        assert_eq!(read.overlay.get(UserKey(6)).unwrap()[..], [Record::new(2, 2_000_000 * 900, 0)]);
        assert_eq!(read.links.rows(), [(UserKey(9), link)]);
        assert_eq!(read.base_records(UserKey(5)).len(), 1);
    }

    #[test]
    fn every_flipped_byte_and_every_missing_tail_is_found() {
        let whole = small_file();
        assert!(read_from(&mut whole.as_slice(), &KEY).is_ok());
        for place in 0..whole.len() {
            for flip in [0x01, 0xff] {
                let mut bytes = whole.clone();
                bytes[place] ^= flip;
                let fault = read_from(&mut bytes.as_slice(), &KEY).map(|_| place).unwrap_err();
                assert!(!matches!(fault, Fault::Io(_) | Fault::OtherKey), "byte {place}: {fault:?}");
            }
            let fault = read_from(&mut &whole[..place], &KEY).map(|_| place).unwrap_err();
            assert!(matches!(fault, Fault::Damaged(_)), "cut at {place}: {fault:?}");
        }
        let longer = [whole.as_slice(), b"x"].concat();
        assert!(matches!(read_from(&mut longer.as_slice(), &KEY), Err(Fault::Damaged(_))));
    }
}
