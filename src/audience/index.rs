//! The index: packed shards, overlay and match table, and how writes and merges keep them one.

use super::overlay::{Link, Links, Overlay, Records};
use super::pack::Packer;
use super::packed::{PackedShard, shard_of};
use super::record::{Membership, Record, expiry_units, units};
use super::{AudienceError, MAX_SEGMENTS_PER_USER};
use crate::model::ids::{SegmentId, UserKey};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::*};

/// Who belongs to which segment. Shared by all cores: reads take no lock but that of one overlay slot, writes one
/// user's slot, a merge one shard.
pub struct AudienceIndex {
    /// Tells this index from every other one of the process; never 0.
    pub(super) id: u64,
    pub(super) shard_bits: u32,
    pub(super) shards: Box<[ArcSwap<PackedShard>]>,
    /// How often each shard was published: moved after the shard was, and before the overlay drops what is in it.
    versions: Box<[AtomicU32]>,
    pub(super) overlay: Overlay,
    pub(super) links: Links,
    /// Held while a shard is packed and published, and while a file is written: what the overlay no longer has
    /// must be in the base that is looked at.
    pub(super) merging: Mutex<()>,
}

/// Logarithm of the number of shards unless told otherwise: 256, so that a merge of 10 million users holds 1.5 MB
/// twice and not 350.
pub(super) const DEFAULT_SHARD_BITS: u32 = 8;

impl fmt::Debug for AudienceIndex {
    /// What is in it, not the millions themselves.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AudienceIndex").field(&self.stats()).finish()
    }
}

impl Default for AudienceIndex {
    fn default() -> AudienceIndex {
        let shard = |number| PackedShard::empty(DEFAULT_SHARD_BITS, number);
        AudienceIndex::from_shards(DEFAULT_SHARD_BITS, (0..1 << DEFAULT_SHARD_BITS).map(shard))
    }
}

impl AudienceIndex {
    pub(super) fn from_shards(shard_bits: u32, shards: impl Iterator<Item = PackedShard>) -> AudienceIndex {
        static INDEXES: AtomicU64 = AtomicU64::new(1);
        let shards: Box<[_]> = shards.map(ArcSwap::from_pointee).collect();
        AudienceIndex {
            id: INDEXES.fetch_add(1, Relaxed),
            shard_bits,
            versions: shards.iter().map(|_| AtomicU32::new(0)).collect(),
            shards,
            overlay: Overlay::default(),
            links: Links::default(),
            merging: Mutex::new(()),
        }
    }

    /// The number of the shard that a key belongs to.
    pub(super) fn shard_of(&self, key: UserKey) -> usize {
        shard_of(key.0, self.shard_bits)
    }

    /// How often a shard was published.
    pub(super) fn version(&self, shard: usize) -> u32 {
        self.versions[shard].load(Acquire)
    }

    /// A shard with a version that it is not older than.
    pub(super) fn published(&self, shard: usize) -> (u32, Arc<PackedShard>) {
        (self.version(shard), self.shards[shard].load_full())
    }

    /// Adds the user to a segment, or replaces the membership that is there, expiry and consent included. Seen by
    /// the next lookup. Refuses what passes a limit.
    pub fn add(&self, key: UserKey, membership: Membership) -> Result<(), AudienceError> {
        let record = Record::from_membership(&membership)?;
        self.overlay.update(
            key,
            || self.base_records(key),
            |records| {
                let place = records.partition_point(|r| r.segment() < record.segment());
                let rest = &records[place..];
                let replaced = rest.first().filter(|r| r.segment() == record.segment());
                if replaced == Some(&record) {
                    return Ok(None);
                }
                if replaced.is_none() && records.len() >= MAX_SEGMENTS_PER_USER {
                    return Err(AudienceError::TooManySegments);
                }
                let rest = &rest[usize::from(replaced.is_some())..];
                Ok(Some(records[..place].iter().chain([&record]).chain(rest).copied().collect()))
            },
        )
    }

    /// Takes the user out of a segment. Seen by the next lookup; nothing happens where the user is not in it.
    pub fn remove(&self, key: UserKey, segment: SegmentId) {
        self.replace(key, |records| {
            let kept: Records = records.iter().filter(|r| r.segment() != segment.0).copied().collect();
            (kept.len() < records.len()).then_some(kept)
        });
    }

    /// Forgets the user: all memberships and all rows of the match table that name the key. Seen by the next
    /// lookup; the bytes leave the base with the next merge and the file with the next save. Walks the whole match
    /// table, so it is not for floods.
    pub fn erase(&self, key: UserKey) {
        self.replace(key, |records| (!records.is_empty()).then(|| Records::from([])));
        self.links.erase(key);
    }

    /// Ties an exchange's id of a user, [`super::IdKey::matched`], to our cookie's key until `expires_s` (Unix
    /// seconds, rounded down to [`super::EXPIRY_UNIT_S`]; `None` = for ever), replacing an earlier tie.
    pub fn link(&self, matched: UserKey, cookie: UserKey, expires_s: Option<i64>) {
        self.links.insert(matched, Link { cookie, expiry: expiry_units(expires_s) });
    }

    fn replace(&self, key: UserKey, change: impl FnOnce(&[Record]) -> Option<Records>) {
        let infallible = |records: &[Record]| Ok::<_, std::convert::Infallible>(change(records));
        let Ok(()) = self.overlay.update(key, || self.base_records(key), infallible);
    }

    /// What the base holds of the user, sorted by segment, expired ones included.
    fn base_records(&self, key: UserKey) -> Vec<Record> {
        let shard = self.shards[self.shard_of(key)].load();
        let mut records = Vec::new();
        if let Some(user) = shard.find(key.0) {
            user.for_each_live(0, |record| records.push(record));
        }
        records.sort_unstable_by_key(|record| record.segment());
        records
    }

    /// Number of shards.
    pub fn shard_count(&self) -> usize {
        self.shards.len()
    }

    /// Merges every shard in which something changed or ended until `now_unix_s`, one after the other, and drops
    /// the rows of the match table that ended. For a background thread: packs about three million users a
    /// second (`benches/audience.rs`).
    pub fn merge(&self, now_unix_s: i64) -> Result<(), AudienceError> {
        let changed = self.overlay.keys(|_| true);
        let mut rest = changed.as_slice();
        for shard in 0..self.shards.len() {
            let here = rest.partition_point(|key| shard_of(key.0, self.shard_bits) == shard);
            let (keys, later) = rest.split_at(here);
            self.fold(shard, keys, units(now_unix_s))?;
            rest = later;
        }
        self.links.expire(units(now_unix_s));
        if !changed.is_empty() {
            let _merging = self.merging.lock();
            self.overlay.tidy();
        }
        Ok(())
    }

    /// Merges one shard, as [`AudienceIndex::merge`] does. Walks the keys of the whole overlay.
    ///
    /// # Panics
    /// Where `shard` is not below [`AudienceIndex::shard_count`].
    pub fn merge_shard(&self, shard: usize, now_unix_s: i64) -> Result<(), AudienceError> {
        let keys = self.overlay.keys(|key| shard_of(key.0, self.shard_bits) == shard);
        self.fold(shard, &keys, units(now_unix_s))?;
        if !keys.is_empty() {
            let _merging = self.merging.lock();
            self.overlay.tidy();
        }
        Ok(())
    }

    /// Packs a shard anew from its base and the entries of `keys`, publishes it, and only then drops the entries,
    /// except those that were written to meanwhile: they still say all that is known of their users.
    fn fold(&self, shard: usize, keys: &[UserKey], now: u32) -> Result<(), AudienceError> {
        let _merging = self.merging.lock();
        let base = self.shards[shard].load_full();
        let changes: Vec<(UserKey, Records)> =
            keys.iter().filter_map(|key| Some((*key, self.overlay.get(*key)?))).collect();
        if changes.is_empty() && base.earliest > now {
            return Ok(());
        }
        self.shards[shard].store(Arc::new(self.pack_anew(shard, &base, &changes, now)?));
        self.versions[shard].fetch_add(1, Release);
        for (key, merged) in &changes {
            self.overlay.forget(*key, merged);
        }
        Ok(())
    }

    fn pack_anew(
        &self,
        shard: usize,
        base: &PackedShard,
        changes: &[(UserKey, Records)],
        now: u32,
    ) -> Result<PackedShard, AudienceError> {
        let new = changes.iter().filter(|(key, _)| base.find(key.0).is_none()).count();
        let users = base.users as usize + new;
        let mut packer = Packer::new(self.shard_bits, shard, users, now);
        let mut live = Vec::new();
        let mut push_change = |packer: &mut Packer, (key, records): &(UserKey, Records)| {
            live.clear();
            live.extend(records.iter().filter(|record| record.expiry() > now));
            packer.push(key.0, &live)
        };
        let mut changes = changes.iter().peekable();
        let mut kept = Vec::new();
        for (key, user) in base.users() {
            while let Some(change) = changes.next_if(|(changed, _)| changed.0 < key) {
                push_change(&mut packer, change)?;
            }
            if let Some(change) = changes.next_if(|(changed, _)| changed.0 == key) {
                push_change(&mut packer, change)?;
                continue;
            }
            kept.clear();
            user.for_each_live(now, |record| kept.push(record));
            kept.sort_unstable_by_key(|record| record.segment());
            packer.push(key, &kept)?;
        }
        changes.try_for_each(|change| push_change(&mut packer, change))?;
        packer.finish()
    }

    /// Sizes of the parts. Walks shards and overlay: for a status page, not for every request.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats { links: self.links.len() as u64, ..Stats::default() };
        for shard in &self.shards {
            let shard = shard.load();
            stats.base_users += u64::from(shard.users);
            stats.base_memberships += shard.memberships;
            stats.blob_bytes += shard.blob.len() as u64;
            stats.offset_bytes += shard.offset_bytes() as u64;
            stats.shard_bytes += (size_of::<PackedShard>() + size_of::<ArcSwap<PackedShard>>()) as u64;
        }
        let (users, records) = self.overlay.size();
        (stats.overlay_users, stats.overlay_memberships) = (users as u64, records as u64);
        stats.overlay_bytes_estimate = stats.overlay_users * OVERLAY_ENTRY_BYTES
            + stats.overlay_memberships * size_of::<Record>() as u64;
        stats.filter_bytes = self.overlay.filter_bytes() as u64;
        stats.link_bytes_estimate = stats.links * LINK_BYTES;
        stats
    }
}

/// Slot of key and pointer in a table at ⅔ load, counters of the `Arc`, and what an allocator adds.
const OVERLAY_ENTRY_BYTES: u64 = 64;

/// Key, cookie and end in a table at ⅔ load.
const LINK_BYTES: u64 = (size_of::<UserKey>() + size_of::<Link>()) as u64 * 3 / 2;

/// What the index holds and how many bytes it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Users in the base.
    pub base_users: u64,
    /// Memberships in the base, those that ended since the last merge included.
    pub base_memberships: u64,
    /// Fingerprints, counts, ids, expiries and provenance.
    pub blob_bytes: u64,
    /// Bucket offsets.
    pub offset_bytes: u64,
    /// Fixed parts of the shards.
    pub shard_bytes: u64,
    /// Users in the overlay; most of them are in the base as well.
    pub overlay_users: u64,
    /// Memberships in the overlay.
    pub overlay_memberships: u64,
    /// Bytes of the overlay, estimated.
    pub overlay_bytes_estimate: u64,
    /// Bytes of the filter in front of the overlay.
    pub filter_bytes: u64,
    /// Rows of the match table.
    pub links: u64,
    /// Bytes of the match table, estimated.
    pub link_bytes_estimate: u64,
}

impl Stats {
    /// Exact bytes of the base a user; `None` without users.
    pub fn base_bytes_per_user(&self) -> Option<f64> {
        let bytes = self.blob_bytes + self.offset_bytes + self.shard_bytes;
        (self.base_users > 0).then(|| bytes as f64 / self.base_users as f64)
    }
}
