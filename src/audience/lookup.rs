//! The read path: keys of a request → segments that may be used.
//!
//! Order: match table, overlay, then the base. The overlay is asked first because a merge publishes the new base
//! before it drops an overlay entry: who finds no entry finds its content in the base. All buckets that the keys
//! lead to are located before any is read, so that their cache misses overlap.

use super::held::Held;
use super::identity::{IdKind, Keys, MAX_KEYS};
use super::index::AudienceIndex;
use super::packed::{Place, read_lines};
use super::record::{At, Record};
use crate::model::ids::{SegmentId, UserKey};
use crate::model::taxonomy::Taxonomy;
use crate::privacy::{UseIds, UseSegments};

/// Hashed addresses that are looked up besides the keys of a request.
const MAX_TIED: usize = 4;

/// Keys that are announced at once: as many as the memory may be asked for.
const ANNOUNCED: usize = 16;

/// What is known of a request's user. Reuse one per core: its vectors keep their capacity.
#[derive(Clone, Debug, Default)]
pub struct Lookup {
    /// Segments that may be used: of all the user's keys together, live, ascending, each once.
    pub segments: Vec<SegmentId>,
    /// Sensitive segments of the user that may not be used, because no key's membership carries explicit consent or
    /// because the request's signals forbid sensitive ones; ascending, each once. For explain and counters only.
    pub refused: Vec<SegmentId>,
    /// Some key has a live membership, refused ones included.
    pub known: bool,
    /// The most trusted key, whether anything is known of it or not: an exchange's id stands as the cookie it is
    /// linked to, or for itself. `None` = the request names the user in no way.
    pub primary: Option<UserKey>,
    /// How many lists that ascend were joined.
    runs: usize,
    held: Held,
}

impl Lookup {
    /// Back to "nothing is known", keeping the capacity.
    pub fn clear(&mut self) {
        self.segments.clear();
        self.refused.clear();
        self.known = false;
        self.primary = None;
        self.runs = 0;
    }

    /// Takes what was found before, in place of looking it up; both lists ascend.
    pub fn remember(&mut self, known: bool, segments: &[SegmentId], refused: &[SegmentId]) {
        self.known = known;
        self.segments.clear();
        self.segments.extend_from_slice(segments);
        self.refused.clear();
        self.refused.extend_from_slice(refused);
    }

    /// Takes what the base holds of a key.
    #[inline]
    fn take_key(&mut self, shard: usize, place: Place, key: UserKey, now: u32, taxonomy: &Taxonomy) {
        let Lookup { held, segments, refused, runs, .. } = self;
        let Some(user) = held.shard(shard).find_at(place, key.0) else { return };
        let mut taken = Taken { segments, refused, taxonomy };
        for group in user.groups() {
            *runs += 1;
            match group.live_ids(now) {
                Some(ids) if group.explicit_consent() => {
                    taken.segments.extend(ids.iter().map(segment_of));
                }
                Some(ids) => taken.take_ids(ids),
                None => group.for_each_live(now, &mut |record| taken.take(record)),
            }
        }
    }

    fn finish(&mut self) {
        self.known = !self.segments.is_empty() || !self.refused.is_empty();
        if self.runs > 1 {
            sort_once(&mut self.segments);
            sort_once(&mut self.refused);
            let segments = &self.segments;
            self.refused.retain(|refused| segments.binary_search(refused).is_err());
        }
    }

    /// Moves every sensitive segment to the refused ones.
    fn refuse_sensitive(&mut self, taxonomy: &Taxonomy) {
        let Lookup { segments, refused, .. } = self;
        let before = refused.len();
        refused.extend(segments.iter().filter(|segment| taxonomy.is_sensitive(**segment)));
        if refused.len() > before {
            segments.retain(|segment| !taxonomy.is_sensitive(*segment));
            refused.sort_unstable();
        }
    }

    /// Lets go of what merges have replaced: for a core that idles, once in a while. Answers how many shards those were.
    pub fn lets_go(&mut self, index: &AudienceIndex) -> usize {
        self.held.refresh_all(index)
    }
}

/// Where segments go.
struct Taken<'l> {
    segments: &'l mut Vec<SegmentId>,
    refused: &'l mut Vec<SegmentId>,
    taxonomy: &'l Taxonomy,
}

impl Taken<'_> {
    /// Takes live memberships without explicit consent. Which of them are sensitive nobody could guess, so each is
    /// written to both lists and stays in one.
    fn take_ids(&mut self, ids: &[[u8; 2]]) {
        let (used, refused) = (self.segments.len(), self.refused.len());
        self.segments.resize(used + ids.len(), SegmentId(0));
        self.refused.resize(refused + ids.len(), SegmentId(0));
        let (mut next_used, mut next_refused) = (used, refused);
        for segment in ids.iter().map(segment_of) {
            self.segments[next_used] = segment;
            self.refused[next_refused] = segment;
            let is_sensitive = usize::from(self.taxonomy.is_sensitive(segment));
            next_used += 1 - is_sensitive;
            next_refused += is_sensitive;
        }
        self.segments.truncate(next_used);
        self.refused.truncate(next_refused);
    }

    fn take(&mut self, record: Record) {
        let segment = SegmentId(record.segment());
        if record.explicit_consent() || !self.taxonomy.is_sensitive(segment) {
            self.segments.push(segment);
        } else {
            self.refused.push(segment);
        }
    }
}

fn segment_of(id: &[u8; 2]) -> SegmentId {
    SegmentId(u16::from_le_bytes(*id).into())
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
    /// first. Sensitive memberships without explicit consent go to `out.refused`, and all sensitive ones where the proof
    /// does not cover them. Allocates only to grow `out`.
    pub fn lookup(
        &self,
        keys: &Keys,
        taxonomy: &Taxonomy,
        now_unix_s: i64,
        proof: UseSegments,
        out: &mut Lookup,
    ) {
        out.clear();
        let now = At::of(now_unix_s);
        match keys.as_slice() {
            // Nearly everybody: one cookie of which nothing changed and that is tied to nothing.
            [(key, kind)] if *kind != IdKind::Matched && !self.overlay.may_hold(*key) => {
                out.primary = Some(*key);
                self.read_one(*key, now, taxonomy, out);
            }
            several => self.look_up_several(several, now, taxonomy, out),
        }
        out.finish();
        if !proof.sensitive() {
            out.refuse_sensitive(taxonomy);
        }
    }

    /// Says in `out`, which is cleared first, who the most trusted key is, and reads nothing else of the user.
    pub fn identify(&self, keys: &Keys, now_unix_s: i64, _proof: UseIds, out: &mut Lookup) {
        out.clear();
        out.primary = keys.as_slice().first().map(|(key, kind)| match kind {
            IdKind::Matched => self.links.cookie(*key, At::of(now_unix_s).units).unwrap_or(*key),
            _ => *key,
        });
    }

    /// Has the memory fetch what lookups of `users` would read of the base, and waits for none of it: whoever looks up many
    /// users announces some of them, then looks those up, and pays for one wait instead of one each. A lookup says the same
    /// with and without it.
    pub fn announce(&self, users: &[Keys], out: &mut Lookup) {
        // Where a partner's id leads is known only to who reads the match table, which is small.
        let known = |(key, kind): &(UserKey, IdKind)| (*kind != IdKind::Matched).then_some(*key);
        let mut keys = users.iter().flat_map(|keys| keys.as_slice().iter().filter_map(known));
        let mut group = [UserKey(0); ANNOUNCED];
        loop {
            let taken = group.iter_mut().zip(&mut keys).map(|(place, key)| *place = key).count();
            if taken == 0 {
                return;
            }
            self.announce_keys(&group[..taken], &mut out.held);
        }
    }

    /// Step by step for all keys, because a step needs what the step before has fetched. Each loop is as short as it can be:
    /// a processor has only so many instructions under way, and with them the loads that wait.
    fn announce_keys(&self, keys: &[UserKey], held: &mut Held) {
        keys.iter().for_each(|key| held.refresh(self, self.shard_of(*key)));
        let mut read = 0;
        for key in keys {
            read ^=
                held.shard(self.shard_of(*key)).read_offset(key.0) ^ u32::from(self.overlay.may_hold(*key));
        }
        let mut buckets: [&[u8]; ANNOUNCED] = [&[]; ANNOUNCED];
        for (bucket, key) in buckets.iter_mut().zip(keys) {
            let shard = held.shard(self.shard_of(*key));
            *bucket = shard.bucket(shard.locate(key.0));
        }
        read = buckets[..keys.len()].iter().fold(read, |read, bucket| read ^ u32::from(read_lines(bucket)));
        std::hint::black_box(read);
    }

    fn look_up_several(&self, keys: &[(UserKey, IdKind)], now: At, taxonomy: &Taxonomy, out: &mut Lookup) {
        let mut pending = [UserKey(0); MAX_KEYS + MAX_TIED];
        let mut waiting = 0;
        for (key, kind) in keys {
            let linked =
                if *kind == IdKind::Matched { self.links.cookie(*key, now.units) } else { Some(*key) };
            out.primary = out.primary.or(linked).or(Some(*key));
            // A request often names one cookie twice, as `buyeruid` and through the match table.
            if let Some(key) = linked.filter(|key| !pending[..waiting].contains(key)) {
                pending[waiting] = key;
                waiting += 1;
            }
        }
        let asked = waiting;
        for place in 0..asked {
            let Some(ties) = self.overlay.may_hold(pending[place]).then(|| self.overlay.ties(pending[place]))
            else {
                continue;
            };
            for tie in ties.iter().flat_map(|ties| ties.iter()).filter(|tie| tie.expiry > now.units) {
                if waiting < pending.len() && !pending[..waiting].contains(&tie.to) {
                    pending[waiting] = tie.to;
                    waiting += 1;
                }
            }
        }
        let mut unchanged = 0;
        for place in 0..waiting {
            let key = pending[place];
            if !self.take_changed(key, now, taxonomy, out) {
                pending[unchanged] = key;
                unchanged += 1;
            }
        }
        match &pending[..unchanged] {
            [] => {}
            [key] => self.read_one(*key, now, taxonomy, out),
            several => self.read_base(several, now, taxonomy, out),
        }
    }

    /// Takes what the overlay says of a key; false where it has nothing to say.
    #[inline]
    fn take_changed(&self, key: UserKey, now: At, taxonomy: &Taxonomy, out: &mut Lookup) -> bool {
        let taken = self.overlay.with(key, |records| {
            out.runs += 1;
            let live = records.iter().filter(|record| record.expiry() > now.seconds);
            let mut taken = Taken { segments: &mut out.segments, refused: &mut out.refused, taxonomy };
            live.for_each(|record| taken.take(*record));
        });
        taken.is_some()
    }

    #[inline]
    fn read_one(&self, key: UserKey, now: At, taxonomy: &Taxonomy, out: &mut Lookup) {
        let shard = self.shard_of(key);
        out.held.refresh(self, shard);
        let place = out.held.shard(shard).locate(key.0);
        out.held.shard(shard).request(place);
        out.take_key(shard, place, key, now.units, taxonomy);
    }

    fn read_base(&self, keys: &[UserKey], now: At, taxonomy: &Taxonomy, out: &mut Lookup) {
        let mut places = [Place::default(); MAX_KEYS + MAX_TIED];
        for (key, place) in keys.iter().zip(&mut places) {
            let shard = self.shard_of(*key);
            out.held.refresh(self, shard);
            *place = out.held.shard(shard).locate(key.0);
        }
        for (key, place) in keys.iter().zip(places) {
            out.held.shard(self.shard_of(*key)).request(place);
        }
        for (key, place) in keys.iter().zip(places) {
            out.take_key(self.shard_of(*key), place, *key, now.units, taxonomy);
        }
    }
}
