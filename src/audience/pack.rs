//! Writes one shard of the base; [`super::packed`] has the format.

use super::AudienceError;
use super::offsets::Offsets;
use super::packed::*;
use super::record::{NEVER, Record};

/// Bytes of a group before its ids, without its expiry.
const GROUP_HEAD: usize = 2;

/// Packs users that come in the order of their keys.
pub(super) struct Packer {
    geometry: Geometry,
    epoch: u32,
    earliest: u32,
    users: u32,
    memberships: u64,
    offsets: Vec<u32>,
    blob: Vec<u8>,
    /// Of the bucket that is being filled.
    fingerprints: Vec<u8>,
    lengths: Vec<u8>,
    bodies: Vec<u8>,
    scratch: Vec<Record>,
}

impl Packer {
    /// For at most about `users` users, none of whose memberships ends before `epoch` (units).
    pub(super) fn new(shard_bits: u32, shard: usize, users: usize, epoch: u32) -> Packer {
        let geometry = Geometry::for_users(shard_bits, shard, users);
        let mut offsets = Vec::with_capacity(geometry.buckets as usize + 1);
        offsets.push(0);
        Packer {
            geometry,
            epoch,
            earliest: NEVER,
            users: 0,
            memberships: 0,
            offsets,
            blob: Vec::new(),
            fingerprints: Vec::new(),
            lengths: Vec::new(),
            bodies: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Adds a user. Keys ascend, records are sorted by segment and unique; a user without records is left out.
    pub(super) fn push(&mut self, key: u64, records: &[Record]) -> Result<(), AudienceError> {
        if records.is_empty() {
            return Ok(());
        }
        let bucket = self.geometry.bucket_of(key);
        while self.offsets.len() <= bucket {
            self.seal_bucket()?;
        }
        self.fingerprints.extend_from_slice(&fingerprint(key));
        self.scratch.clear();
        self.scratch.extend_from_slice(records);
        let start = self.bodies.len();
        encode(&mut self.scratch, self.epoch, &mut self.bodies);
        self.lengths.push(user_length(self.bodies.len() - start));
        self.users += 1;
        self.memberships += records.len() as u64;
        self.earliest = records.iter().map(|r| r.expiry_units()).fold(self.earliest, u32::min);
        Ok(())
    }

    fn seal_bucket(&mut self) -> Result<(), AudienceError> {
        let shard = self.geometry.shard;
        if !self.fingerprints.is_empty() {
            let count = self.fingerprints.len() / FINGERPRINT;
            let written = u16::try_from(count).map_err(|_| AudienceError::SkewedKeys { shard, count })?;
            self.blob.extend_from_slice(&written.to_le_bytes());
            self.blob.append(&mut self.fingerprints);
            self.blob.append(&mut self.lengths);
            self.blob.append(&mut self.bodies);
        }
        let end = u32::try_from(self.blob.len()).map_err(|_| AudienceError::ShardTooLarge { shard })?;
        self.offsets.push(end);
        Ok(())
    }

    /// The shard.
    pub(super) fn finish(mut self) -> Result<PackedShard, AudienceError> {
        while self.offsets.len() <= self.geometry.buckets as usize {
            self.seal_bucket()?;
        }
        Ok(PackedShard {
            geometry: self.geometry,
            epoch: self.epoch,
            earliest: self.earliest,
            users: self.users,
            memberships: self.memberships,
            offsets: Offsets::pack(&self.offsets),
            blob: self.blob.into_boxed_slice(),
        })
    }
}

/// What all ids of a group have in common besides their expiry.
fn class(record: &Record) -> (u8, bool) {
    (record.provenance(), record.segment() > u32::from(u16::MAX))
}

/// Writes one user's groups. `records` is a non-empty scratch copy and is reordered.
fn encode(records: &mut [Record], epoch: u32, out: &mut Vec<u8>) {
    let order = |record: &Record| (class(record), record.expiry(), record.segment());
    if !records.is_sorted_by_key(order) {
        records.sort_unstable_by_key(order);
    }
    let mut last_head = out.len();
    let mut group = |kind: u8, records: &[Record], out: &mut Vec<u8>| {
        last_head = out.len();
        write_group(kind, records, epoch, out);
    };
    for run in records.chunk_by_mut(|a, b| class(a) == class(b)) {
        let far_from = run.partition_point(|r| r.expiry_units() - epoch <= u32::from(u16::MAX));
        let (near, late) = run.split_at_mut(far_from);
        let (far, never) = late.split_at_mut(late.partition_point(|r| r.expiry() != NEVER));
        let expiries = near.chunk_by(|a, b| a.expiry() == b.expiry()).count();
        if expiries * (GROUP_HEAD + 2) <= GROUP_HEAD + near.len() * 2 {
            near.chunk_by(|a, b| a.expiry() == b.expiry()).for_each(|r| group(EXPIRY_SHARED, r, out));
        } else {
            near.sort_unstable_by_key(|record| record.segment());
            group(EXPIRY_EACH, near, out);
        }
        far.chunk_by(|a, b| a.expiry() == b.expiry()).for_each(|r| group(EXPIRY_FAR, r, out));
        if !never.is_empty() {
            group(EXPIRY_NEVER, never, out);
        }
    }
    out[last_head] &= !MORE;
}

/// Writes a group with MORE set; the caller clears it in the user's last.
fn write_group(kind: u8, records: &[Record], epoch: u32, out: &mut Vec<u8>) {
    let (provenance, wide) = class(&records[0]);
    let long = records.len() > usize::from(u8::MAX);
    let flags = MORE
        | kind << EXPIRY_SHIFT
        | if wide { WIDE } else { 0 }
        | if long { LONG } else { 0 }
        | provenance << PROVENANCE_SHIFT;
    out.push(flags);
    // At most MAX_SEGMENTS_PER_USER ids: the count fits a u16.
    let count = (records.len() as u16).to_le_bytes();
    out.extend_from_slice(if long { &count } else { &count[..1] });
    let relative = |record: &Record| ((record.expiry_units() - epoch) as u16).to_le_bytes();
    match kind {
        EXPIRY_SHARED => out.extend_from_slice(&relative(&records[0])),
        EXPIRY_FAR => out.extend_from_slice(&records[0].expiry_units().to_le_bytes()),
        _ => {}
    }
    for record in records {
        let id = record.segment().to_le_bytes();
        out.extend_from_slice(if wide { &id[..3] } else { &id[..2] });
    }
    if kind == EXPIRY_EACH {
        records.iter().for_each(|record| out.extend_from_slice(&relative(record)));
    }
}
