//! The read path: keys of a request → segments that may be used.
//!
//! Order: match table, overlay, then the base. The overlay is asked first because a merge publishes the new base
//! before it drops an overlay entry: who finds no entry finds its content in the base. All buckets that the keys
//! lead to are located before any is read, so that their cache misses overlap.

use super::identity::{IdKind, Keys, MAX_KEYS};
use super::index::AudienceIndex;
use super::packed::User;
use super::record::{Record, units};
use crate::model::ids::{SegmentId, UserKey};
use crate::model::taxonomy::Taxonomy;
use crate::privacy::UseSegments;

/// What is known of a request's user. Reuse one per core: its vectors keep their capacity.
#[derive(Clone, Debug, Default)]
pub struct Lookup {
    /// Segments that may be used: of all the user's keys together, live, ascending, each once.
    pub segments: Vec<SegmentId>,
    /// Sensitive segments of the user that may not be used, because no key's membership carries explicit consent;
    /// ascending, each once. For explain and counters only.
    pub refused: Vec<SegmentId>,
    /// Some key has a live membership, refused ones included.
    pub known: bool,
    /// The most trusted key, whether anything is known of it or not: an exchange's id stands as the cookie it is
    /// linked to, or for itself. `None` = the request names the user in no way.
    pub primary: Option<UserKey>,
}

impl Lookup {
    /// Back to "nothing is known", keeping the capacity.
    pub fn clear(&mut self) {
        self.segments.clear();
        self.refused.clear();
        self.known = false;
        self.primary = None;
    }

    fn take(&mut self, record: Record, taxonomy: &Taxonomy) {
        let segment = SegmentId(record.segment());
        if record.explicit_consent() || !taxonomy.is_sensitive(segment) {
            self.segments.push(segment);
        } else {
            self.refused.push(segment);
        }
    }

    fn finish(&mut self) {
        self.known = !self.segments.is_empty() || !self.refused.is_empty();
        sort_once(&mut self.segments);
        sort_once(&mut self.refused);
        let segments = &self.segments;
        self.refused.retain(|refused| segments.binary_search(refused).is_err());
    }
}

/// Loads a byte of each cache line that a bucket of usual size covers. None of these loads waits for another, while
/// reading the bucket finds out line by line where to go on: one miss of the memory instead of up to four.
fn request(bucket: &[u8]) {
    const LINE: usize = 64;
    if let Some(last) = bucket.len().checked_sub(1) {
        let lines: [u8; 5] = std::array::from_fn(|line| bucket[last.min(line * LINE)]);
        std::hint::black_box(lines);
    }
}

/// One group of one key is sorted already.
fn sort_once(segments: &mut Vec<SegmentId>) {
    if !segments.is_sorted_by(|a, b| a < b) {
        segments.sort_unstable();
        segments.dedup();
    }
}

impl AudienceIndex {
    /// Collects what the index knows of the user with these `keys` at `now_unix_s` into `out`, which is cleared
    /// first. Sensitive memberships without explicit consent go to `out.refused`. Allocates only to grow `out`.
    pub fn lookup(
        &self,
        keys: &Keys,
        taxonomy: &Taxonomy,
        now_unix_s: i64,
        _proof: UseSegments,
        out: &mut Lookup,
    ) {
        out.clear();
        let now = units(now_unix_s);
        let mut pending = [UserKey(0); MAX_KEYS];
        let mut waiting = 0;
        for (key, kind) in keys.as_slice() {
            let linked = if *kind == IdKind::Matched { self.links.cookie(*key, now) } else { Some(*key) };
            out.primary = out.primary.or(linked).or(Some(*key));
            // A request often names one cookie twice, as `buyeruid` and through the match table.
            if let Some(key) = linked.filter(|key| !pending[..waiting].contains(key)) {
                pending[waiting] = key;
                waiting += 1;
            }
        }
        let mut unchanged = 0;
        for place in 0..waiting {
            let key = pending[place];
            let changed = self.overlay.with(key, |records| {
                let live = records.iter().filter(|record| record.expiry() > now);
                live.for_each(|record| out.take(*record, taxonomy));
            });
            if changed.is_none() {
                pending[unchanged] = key;
                unchanged += 1;
            }
        }
        self.read_base(&pending[..unchanged], now, |record| out.take(record, taxonomy));
        out.finish();
    }

    fn read_base(&self, keys: &[UserKey], now: u32, mut take: impl FnMut(Record)) {
        let shards: [_; MAX_KEYS] = std::array::from_fn(|i| keys.get(i).map(|key| self.shard(*key).load()));
        let buckets: [&[u8]; MAX_KEYS] = std::array::from_fn(|i| match (keys.get(i), &shards[i]) {
            (Some(key), Some(shard)) => shard.bucket(key.0),
            _ => &[],
        });
        buckets[..keys.len()].iter().for_each(|bucket| request(bucket));
        for ((key, shard), bucket) in keys.iter().zip(shards.iter().flatten()).zip(buckets) {
            if let Some(user) = User::find(bucket, key.0, shard.epoch) {
                user.for_each_live(now, &mut take);
            }
        }
    }
}
