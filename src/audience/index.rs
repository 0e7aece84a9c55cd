//! The index: packed shards, overlay and match table, and how writes and merges keep them one.

use super::behaviour::Words;
use super::overlay::{Link, Links, Overlay, Records};
use super::pack::Packer;
use super::packed::{PackedShard, shard_of};
use super::record::{At, Membership, Record, expiry_units};
use super::{AudienceError, MAX_SEGMENTS_PER_USER};
use crate::model::ids::{SegmentId, UserKey};
use arc_swap::ArcSwap;
use dashmap::DashMap;
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use std::collections::BTreeSet;
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
    /// The first generation of the log that the file which this was read from does not include.
    generation: AtomicU64,
    /// When orders were reported, by their keys, in seconds.
    pub(super) orders: DashMap<UserKey, u32, RandomState>,
    /// What is kept of behaviour, see `behaviour/traces.rs`.
    pub(super) traces: DashMap<UserKey, Words, RandomState>,
    /// Held while a shard is packed and published, and while a file is written: what the overlay no longer has
    /// must be in the base that is looked at.
    pub(super) merging: Mutex<()>,
}

/// An order counts once in so many seconds: 90 days, the longest time in which a conversion is an ad's.
const ORDER_LIFE_S: u32 = 90 * 86_400;

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
            generation: AtomicU64::new(0),
            orders: DashMap::default(),
            traces: DashMap::default(),
            merging: Mutex::new(()),
        }
    }

    /// The first generation of the log of changes that is not in it already.
    pub(super) fn next_generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    pub(super) fn begin_at(&self, generation: u64) {
        self.generation.store(generation, Relaxed);
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
        self.put(key, Record::from_membership(&membership)?).map(drop)
    }

    /// The same to the second, for what is true for a short while: the user stays in the overlay until then.
    pub fn add_for_now(&self, key: UserKey, membership: Membership) -> Result<(), AudienceError> {
        self.put(key, Record::exact(&membership)?).map(drop)
    }

    /// Answers whether anything is different now.
    pub(super) fn put(&self, key: UserKey, record: Record) -> Result<bool, AudienceError> {
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

    /// Takes the user out of a segment. Seen by the next lookup. Answers whether the user was in it.
    pub fn remove(&self, key: UserKey, segment: SegmentId) -> bool {
        self.replace(key, |records| {
            let kept: Records = records.iter().filter(|r| r.segment() != segment.0).copied().collect();
            (kept.len() < records.len()).then_some(kept)
        })
    }

    /// Forgets the user: all memberships, traces of behaviour, and all rows of the match table and ties that name the
    /// key. Seen by the next lookup; the bytes leave the base with the next merge and the file with the next save. Walks
    /// the whole match table, so it is not for floods.
    pub fn erase(&self, key: UserKey) -> Erased {
        let mut memberships = 0;
        self.replace(key, |records| {
            memberships = records.len() as u64;
            (!records.is_empty()).then(|| Records::from([]))
        });
        let links = (self.links.erase(key) + self.overlay.untie(key)) as u64;
        let traces = u64::from(self.traces.remove(&key).is_some());
        Erased { memberships, links, traces }
    }

    /// Ties a cookie to the key of a hashed address, [`super::IdKey::hashed`], until `expires_s`: from the next lookup on
    /// the cookie is in the segments of the address.
    pub fn tie(&self, cookie: UserKey, hashed: UserKey, expires_s: Option<i64>) {
        self.overlay.tie(cookie, Link { to: hashed, expiry: expiry_units(expires_s) });
    }

    /// Every key that is somebody's together with one of these: what links and ties lead to, from them and back, in order.
    /// Walks both tables once a step.
    pub fn kin(&self, keys: &[UserKey]) -> Vec<UserKey> {
        let pairs: Vec<(UserKey, UserKey)> = (self.links.rows().into_iter())
            .chain(self.overlay.all_ties())
            .map(|(from, link)| (from, link.to))
            .collect();
        let mut found: BTreeSet<UserKey> = keys.iter().copied().collect();
        loop {
            let before = found.len();
            for (from, to) in &pairs {
                match (found.contains(from), found.contains(to)) {
                    (true, false) => drop(found.insert(*to)),
                    (false, true) => drop(found.insert(*from)),
                    _ => {}
                }
            }
            if found.len() == before {
                return found.into_iter().collect();
            }
        }
    }

    /// What is kept of the user's behaviour.
    pub(super) fn traces_of(&self, key: UserKey) -> Option<Words> {
        self.traces.get(&key).map(|words| words.clone())
    }

    /// Keeps this of the user's behaviour; nothing where it is empty.
    pub(super) fn put_traces(&self, key: UserKey, words: Words) {
        if words.is_empty() {
            self.traces.remove(&key);
        } else {
            self.traces.insert(key, words);
        }
    }

    /// Calls `f` with everybody of whose behaviour something is kept. `f` must not touch the index.
    pub(super) fn for_each_trace(&self, mut f: impl FnMut(UserKey, &[u32])) {
        self.traces.iter().for_each(|entry| f(*entry.key(), entry.value()));
    }

    /// Ties an exchange's id of a user, [`super::IdKey::matched`], to our cookie's key until `expires_s` (Unix
    /// seconds, rounded down to [`super::EXPIRY_UNIT_S`]; `None` = for ever), replacing an earlier tie.
    pub fn link(&self, matched: UserKey, cookie: UserKey, expires_s: Option<i64>) {
        self.links.insert(matched, Link { to: cookie, expiry: expiry_units(expires_s) });
    }

    fn replace(&self, key: UserKey, change: impl FnOnce(&[Record]) -> Option<Records>) -> bool {
        let infallible = |records: &[Record]| Ok::<_, std::convert::Infallible>(change(records));
        let Ok(changed) = self.overlay.update(key, || self.base_records(key), infallible);
        changed
    }

    /// What the base holds of the user, sorted by segment, expired ones included.
    pub(super) fn base_records(&self, key: UserKey) -> Vec<Record> {
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
        let now = At::of(now_unix_s);
        let changed = self.overlay.keys(|_| true);
        let mut rest = changed.as_slice();
        for shard in 0..self.shards.len() {
            let here = rest.partition_point(|key| shard_of(key.0, self.shard_bits) == shard);
            let (keys, later) = rest.split_at(here);
            self.fold(shard, keys, now)?;
            rest = later;
        }
        self.links.expire(now.units);
        self.overlay.expire_ties(now.units);
        self.orders.retain(|_, at| at.saturating_add(ORDER_LIFE_S) > now.seconds);
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
        self.fold(shard, &keys, At::of(now_unix_s))?;
        if !keys.is_empty() {
            let _merging = self.merging.lock();
            self.overlay.tidy();
        }
        Ok(())
    }

    /// Packs a shard anew from its base and the entries of `keys`, publishes it, and only then drops the entries,
    /// except those that were written to meanwhile: they still say all that is known of their users. Entries with
    /// memberships that end between two units stay until those have ended.
    fn fold(&self, shard: usize, keys: &[UserKey], now: At) -> Result<(), AudienceError> {
        let _merging = self.merging.lock();
        let base = self.shards[shard].load_full();
        let fits = |records: &Records| {
            records.iter().all(|record| record.is_whole() || record.expiry() <= now.seconds)
        };
        let changes: Vec<(UserKey, Records)> =
            (keys.iter()).filter_map(|key| Some((*key, self.overlay.get(*key).filter(fits)?))).collect();
        if changes.is_empty() && base.earliest > now.units {
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
        now: At,
    ) -> Result<PackedShard, AudienceError> {
        let new = changes.iter().filter(|(key, _)| base.find(key.0).is_none()).count();
        let users = base.users as usize + new;
        let mut packer = Packer::new(self.shard_bits, shard, users, now.units);
        let mut live = Vec::new();
        let mut push_change = |packer: &mut Packer, (key, records): &(UserKey, Records)| {
            live.clear();
            live.extend(records.iter().filter(|record| record.expiry() > now.seconds));
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
            user.for_each_live(now.units, |record| kept.push(record));
            kept.sort_unstable_by_key(|record| record.segment());
            packer.push(key, &kept)?;
        }
        changes.try_for_each(|change| push_change(&mut packer, change))?;
        packer.finish()
    }

    /// Sizes of the parts. Walks shards and overlay: for a status page, not for every request.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats { links: self.links.len() as u64, ..Stats::default() };
        (stats.traced_users, stats.trace_bytes_estimate) =
            self.traces.iter().fold((0, 0), |(users, bytes), e| {
                (users + 1, bytes + TRACE_ENTRY_BYTES + size_of_val(&**e.value()) as u64)
            });
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

/// Key and pointer in a table at ⅔ load, and what the heap adds to a small block.
const TRACE_ENTRY_BYTES: u64 = (size_of::<UserKey>() + size_of::<Words>()) as u64 * 3 / 2 + 8;

/// Key, cookie and end in a table at ⅔ load.
const LINK_BYTES: u64 = (size_of::<UserKey>() + size_of::<Link>()) as u64 * 3 / 2;

/// What an erasure found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Memberships, those that ended included.
    pub memberships: u64,
    /// Rows of the match table and ties.
    pub links: u64,
    /// Users of whose behaviour something was kept: 0 or 1.
    pub traces: u64,
}

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
    /// Users of whose behaviour something is kept.
    pub traced_users: u64,
    /// Bytes of that, estimated.
    pub trace_bytes_estimate: u64,
}

impl Stats {
    /// Exact bytes of the base a user; `None` without users.
    pub fn base_bytes_per_user(&self) -> Option<f64> {
        let bytes = self.blob_bytes + self.offset_bytes + self.shard_bytes;
        (self.base_users > 0).then(|| bytes as f64 / self.base_users as f64)
    }
}
