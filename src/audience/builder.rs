//! Builds an index from scratch, in memory: collect by shard, sort, pack.

use super::index::{AudienceIndex, DEFAULT_SHARD_BITS};
use super::pack::Packer;
use super::packed::{MAX_SHARD_BITS, PackedShard, shard_of};
use super::record::{Membership, NEVER, Record, normalise};
use super::{AudienceError, MAX_SEGMENTS_PER_USER};
use crate::model::ids::UserKey;

/// Collects users for a new [`AudienceIndex`]. Needs 8 bytes a membership and 24 a user until it is finished.
#[derive(Debug)]
pub struct Builder {
    shard_bits: u32,
    shards: Vec<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    /// Key and its range of `records`.
    users: Vec<(u64, std::ops::Range<usize>)>,
    records: Vec<Record>,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder::with_shard_bits(DEFAULT_SHARD_BITS)
    }
}

impl Builder {
    /// For 2^`bits` shards, at most 4,096; more make each merge smaller. The default is 256.
    pub fn with_shard_bits(bits: u32) -> Builder {
        let shard_bits = bits.min(MAX_SHARD_BITS);
        Builder { shard_bits, shards: (0..1 << shard_bits).map(|_| Pending::default()).collect() }
    }

    /// Adds memberships of a user, in any order and in any number of calls; of two of one segment the later stands.
    /// After an error nothing of this call is kept.
    pub fn push(
        &mut self,
        key: UserKey,
        memberships: impl IntoIterator<Item = Membership>,
    ) -> Result<(), AudienceError> {
        let pending = &mut self.shards[shard_of(key.0, self.shard_bits)];
        let start = pending.records.len();
        let appended = memberships.into_iter().try_for_each(|membership| {
            pending.records.push(Record::from_membership(&membership)?);
            Ok(())
        });
        if appended.is_err() {
            pending.records.truncate(start);
        } else {
            pending.users.push((key.0, start..pending.records.len()));
        }
        appended
    }

    /// Sorts and packs on as many threads as the machine has processors. Shards are freed as they are packed.
    pub fn finish(mut self) -> Result<AudienceIndex, AudienceError> {
        let shard_bits = self.shard_bits;
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let each = self.shards.len().div_ceil(workers);
        let packed: Result<Vec<PackedShard>, AudienceError> = std::thread::scope(|scope| {
            let pack_all =
                |(part, shards): (usize, &mut [Pending])| -> Result<Vec<PackedShard>, AudienceError> {
                    let numbered = shards.iter_mut().zip(part * each..);
                    numbered
                        .map(|(pending, shard)| pack(shard_bits, shard, std::mem::take(pending)))
                        .collect()
                };
            let parts: Vec<_> = self.shards.chunks_mut(each).enumerate().collect();
            let threads: Vec<_> = parts.into_iter().map(|part| scope.spawn(move || pack_all(part))).collect();
            let mut all = Vec::new();
            for thread in threads {
                match thread.join() {
                    Ok(packed) => all.append(&mut packed?),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            Ok(all)
        });
        Ok(AudienceIndex::from_shards(shard_bits, packed?.into_iter()))
    }
}

fn pack(shard_bits: u32, shard: usize, mut pending: Pending) -> Result<PackedShard, AudienceError> {
    // Stable, so that what was pushed later comes later.
    pending.users.sort_by_key(|(key, _)| *key);
    let expiries = pending.records.iter().map(|record| record.expiry_units());
    let epoch = expiries.filter(|expiry| *expiry != NEVER).min().unwrap_or(0);
    let mut packer = Packer::new(shard_bits, shard, pending.users.len(), epoch);
    let mut records = Vec::new();
    for parts in pending.users.chunk_by(|a, b| a.0 == b.0) {
        records.clear();
        parts.iter().for_each(|(_, range)| records.extend_from_slice(&pending.records[range.clone()]));
        normalise(&mut records);
        if records.len() > MAX_SEGMENTS_PER_USER {
            return Err(AudienceError::TooManySegments);
        }
        packer.push(parts[0].0, &records)?;
    }
    packer.finish()
}
