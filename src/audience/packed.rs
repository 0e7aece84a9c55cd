//! One shard of the base: every user whose key begins with the shard's number, packed and immutable.
//!
//! ```text
//! key      = shard (top S bits) · position            buckets are equal intervals of positions
//! offsets  : bucket + 1 → blob, see `offsets.rs`
//! bucket   : n u16 · n × fingerprint (6 bytes, the key's low 48 bits) · n × length u8 · n × user
//!            (empty: no byte at all)
//! length   : bytes of the user; 255 = as many or more, its groups have to be walked
//! user     : groups, all but the last with MORE
//! group    : flags u8 · count u8 (u16 with LONG) · expiry (none | u16 | u32) · count × id u16 (u24 with WIDE)
//!            · with EACH: count × expiry u16
//! flags    : MORE 1 bit · expiry kind 2 bits · WIDE 1 · LONG 1 · provenance 3
//! ```
//! Memberships of a user that share provenance and expiry share one group, so that both cost a few bytes a user and
//! not a few bytes a membership; where expiries all differ they stand beside the ids. u16 expiries count units from
//! the shard's `epoch`.
//!
//! Invariant: a bucket never spans more than 2⁴⁸ keys, so that bucket and fingerprint together *are* the 64-bit key.
//! An unknown identifier matches only when its whole 64-bit hash equals one of the n stored: n / 2⁶⁴, for 10 million
//! users 5.4 × 10⁻¹³ a key (the limit, 10⁻⁹, would be reached at 1.8 × 10¹⁰ users). It also lets a rebuild choose
//! the number of buckets anew.

use super::offsets::Offsets;
use super::record::{NEVER, PROVENANCE_BITS, Record};

pub(super) const MORE: u8 = 1;
pub(super) const EXPIRY_SHIFT: u32 = 1;
pub(super) const EXPIRY_MASK: u8 = 0b11;
pub(super) const EXPIRY_NEVER: u8 = 0;
pub(super) const EXPIRY_SHARED: u8 = 1;
pub(super) const EXPIRY_EACH: u8 = 2;
pub(super) const EXPIRY_FAR: u8 = 3;
pub(super) const WIDE: u8 = 1 << 3;
pub(super) const LONG: u8 = 1 << 4;
pub(super) const PROVENANCE_SHIFT: u32 = 5;
const _: () = assert!(PROVENANCE_SHIFT + PROVENANCE_BITS == u8::BITS);

/// Bytes of a fingerprint.
pub(super) const FINGERPRINT: usize = 6;
const FINGERPRINT_BITS: u32 = 48;
const FINGERPRINT_MASK: u64 = (1 << FINGERPRINT_BITS) - 1;

/// Users in a bucket on average. Fewer would spend more on offsets than they save in lines of the cache: what is found
/// lies in a bucket of four, on 3.2 lines. With two, strangers were answered a quarter faster and members a tenth slower.
const USERS_PER_BUCKET: u32 = 3;

/// What stands for the length of a user of this many bytes or more.
pub(super) const LONG_USER: u8 = u8::MAX;

/// Bytes of the number of users that a bucket begins with.
const COUNT: usize = size_of::<u16>();
/// Users of a bucket that are looked at all at once; of three on average, one bucket in 80 that is asked for has more.
const SLOTS: usize = 8;
/// As many bytes as `SLOTS` users' fingerprints and lengths are read from.
const HEAD: usize = COUNT + SLOTS * (FINGERPRINT + 1) + 1;

/// Largest logarithm of the number of shards.
pub(super) const MAX_SHARD_BITS: u32 = 12;

/// The shard that `key` belongs to.
pub(super) fn shard_of(key: u64, shard_bits: u32) -> usize {
    if shard_bits == 0 { 0 } else { (key >> (u64::BITS - shard_bits)) as usize }
}

/// Which keys a shard holds and how it cuts them into buckets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub(super) shard_bits: u32,
    pub(super) shard: usize,
    /// 0 for an empty shard.
    pub(super) buckets: u32,
}

impl Geometry {
    /// Enough buckets for `users`, and so many that fingerprints stay exact.
    pub(super) fn for_users(shard_bits: u32, shard: usize, users: usize) -> Geometry {
        let exact = 1 << (u64::BITS - FINGERPRINT_BITS - shard_bits);
        let wanted = (users.min(u32::MAX as usize) as u32).div_ceil(USERS_PER_BUCKET);
        Geometry { shard_bits, shard, buckets: if users == 0 { 0 } else { wanted.max(exact) } }
    }

    /// The bucket of a key of this shard.
    pub(super) fn bucket_of(&self, key: u64) -> usize {
        let position = key << self.shard_bits;
        ((u128::from(position) * u128::from(self.buckets)) >> 64) as usize
    }

    /// The one key of `bucket` with this fingerprint.
    fn key_of(&self, bucket: usize, fingerprint: u64) -> u64 {
        let first_position = ((bucket as u128) << 64).div_ceil(u128::from(self.buckets.max(1)));
        let first_offset = (first_position as u64).div_ceil(1 << self.shard_bits);
        let first = if self.shard_bits == 0 {
            first_offset
        } else {
            ((self.shard as u64) << (u64::BITS - self.shard_bits)) | first_offset
        };
        let candidate = (first & !FINGERPRINT_MASK) | fingerprint;
        if candidate < first { candidate.wrapping_add(1 << FINGERPRINT_BITS) } else { candidate }
    }
}

/// The part of a key that a bucket stores.
pub(super) fn fingerprint(key: u64) -> [u8; FINGERPRINT] {
    let [a, b, c, d, e, f, ..] = key.to_le_bytes();
    [a, b, c, d, e, f]
}

/// One shard of the base.
#[derive(Debug)]
pub(super) struct PackedShard {
    pub(super) geometry: Geometry,
    /// u16 expiries count from here, in units.
    pub(super) epoch: u32,
    /// The first expiry in the shard, in units; [`NEVER`] = none.
    pub(super) earliest: u32,
    pub(super) users: u32,
    pub(super) memberships: u64,
    pub(super) offsets: Offsets,
    pub(super) blob: Box<[u8]>,
}

impl PackedShard {
    /// A shard without users.
    pub(super) fn empty(shard_bits: u32, shard: usize) -> PackedShard {
        PackedShard {
            geometry: Geometry { shard_bits, shard, buckets: 0 },
            epoch: 0,
            earliest: NEVER,
            users: 0,
            memberships: 0,
            offsets: Offsets::pack(&[0]),
            blob: Box::new([]),
        }
    }

    /// Where the bucket lies that would hold `key`: one access to the offsets, none to the blob.
    #[inline]
    pub(super) fn locate(&self, key: u64) -> Place {
        if self.geometry.buckets == 0 {
            return Place::default();
        }
        let bucket = self.geometry.bucket_of(key);
        Place { from: self.offsets.at(bucket), to: self.offsets.at(bucket + 1) }
    }

    /// Reads what [`PackedShard::locate`] would read.
    #[inline]
    pub(super) fn read_offset(&self, key: u64) -> u32 {
        if self.geometry.buckets == 0 { 0 } else { self.offsets.at(self.geometry.bucket_of(key)) as u32 }
    }

    /// Loads a byte of each cache line that a bucket of usual size covers. None of these loads waits for another, while
    /// reading the bucket finds out line by line where to go on: one miss of the memory instead of up to three.
    #[inline]
    pub(super) fn request(&self, place: Place) {
        std::hint::black_box(read_lines(self.bucket(place)));
    }

    /// The bytes of a bucket.
    #[inline]
    pub(super) fn bucket(&self, place: Place) -> &[u8] {
        self.blob.get(place.from..place.to).unwrap_or_default()
    }

    fn bucket_at(&self, bucket: usize) -> &[u8] {
        let (from, to) = (self.offsets.at(bucket), self.offsets.at(bucket + 1));
        &self.blob[from..to]
    }

    /// The user's groups, if the user is known.
    pub(super) fn find(&self, key: u64) -> Option<User<'_>> {
        self.find_at(self.locate(key), key)
    }

    /// The same, when it is known where.
    #[inline]
    pub(super) fn find_at(&self, place: Place, key: u64) -> Option<User<'_>> {
        // What follows an empty bucket is another one's.
        if place.from >= place.to {
            return None;
        }
        User::find(self.blob.get(place.from..)?, key, self.epoch)
    }

    /// Every user in the order of keys. Stops early where the bytes make no sense, which [`PackedShard::check`]
    /// turns into an error.
    pub(super) fn users(&self) -> Users<'_> {
        let bucket = Bucket { fingerprints: &[], lengths: &[], bodies: &[] };
        Users { shard: self, next_bucket: 0, bucket }
    }

    /// Walks everything that came from a file: whatever passes can be read without meeting a malformed byte.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let buckets = self.geometry.buckets as usize;
        let exact = Geometry::for_users(self.geometry.shard_bits, self.geometry.shard, 1).buckets;
        if self.offsets.len() != buckets + 1 || (buckets > 0 && self.geometry.buckets < exact) {
            return Err("wrong number of buckets");
        }
        let ends = (self.offsets.at(0), self.offsets.at(buckets));
        if !self.offsets.iter().is_sorted() || ends != (0, self.blob.len()) {
            return Err("bucket offsets do not fit the records");
        }
        let (mut users, mut memberships, mut read, mut last) = (0, 0, 0, None);
        for (key, user) in self.users() {
            if last >= Some(key) || shard_of(key, self.geometry.shard_bits) != self.geometry.shard {
                return Err("users are not in order");
            }
            last = Some(key);
            users += 1;
            read += FINGERPRINT + 1 + user.groups.len();
            memberships += user.count() as u64;
        }
        let offsets = self.offsets.iter();
        let occupied = offsets.clone().zip(offsets.skip(1)).filter(|(from, to)| from != to).count();
        if (users, memberships, read + 2 * occupied) != (self.users, self.memberships, self.blob.len()) {
            return Err("records cannot be read to the end");
        }
        Ok(())
    }

    /// Bytes of the bucket offsets.
    pub(super) fn offset_bytes(&self) -> usize {
        self.offsets.bytes()
    }
}

/// See [`PackedShard::request`].
#[inline]
pub(super) fn read_lines(bucket: &[u8]) -> u8 {
    const LINE: usize = 64;
    let Some(last) = bucket.len().checked_sub(1) else { return 0 };
    [0, LINE, 2 * LINE, last].into_iter().fold(0, |read, at| read ^ bucket[at.min(last)])
}

/// Where a bucket lies in the blob.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    from: usize,
    to: usize,
}

/// A bucket taken apart.
struct Bucket<'s> {
    fingerprints: &'s [[u8; FINGERPRINT]],
    lengths: &'s [u8],
    bodies: &'s [u8],
}

impl<'s> Bucket<'s> {
    fn split(bucket: &'s [u8]) -> Option<Bucket<'s>> {
        let (count, rest) = bucket.split_first_chunk()?;
        let count = usize::from(u16::from_le_bytes(*count));
        let (fingerprints, rest) = rest.split_at_checked(count * FINGERPRINT)?;
        let (lengths, bodies) = rest.split_at_checked(count)?;
        Some(Bucket { fingerprints: fingerprints.as_chunks().0, lengths, bodies })
    }
}

/// Iterator of [`PackedShard::users`].
pub(super) struct Users<'s> {
    shard: &'s PackedShard,
    next_bucket: usize,
    bucket: Bucket<'s>,
}

impl<'s> Iterator for Users<'s> {
    type Item = (u64, User<'s>);

    fn next(&mut self) -> Option<(u64, User<'s>)> {
        while self.bucket.fingerprints.is_empty() {
            if self.next_bucket + 1 >= self.shard.offsets.len() {
                return None;
            }
            if let Some(bucket) = Bucket::split(self.shard.bucket_at(self.next_bucket)) {
                self.bucket = bucket;
            }
            self.next_bucket += 1;
        }
        let Bucket { fingerprints, lengths, bodies } = &mut self.bucket;
        let (fingerprint, other_fingerprints) = fingerprints.split_first()?;
        let (length, other_lengths) = lengths.split_first()?;
        let start = *bodies;
        skip_user(bodies, self.shard.epoch)?;
        let groups = &start[..start.len() - bodies.len()];
        if *length != user_length(groups.len()) {
            return None;
        }
        (*fingerprints, *lengths) = (other_fingerprints, other_lengths);
        let [a, b, c, d, e, f] = *fingerprint;
        let key =
            self.shard.geometry.key_of(self.next_bucket - 1, u64::from_le_bytes([a, b, c, d, e, f, 0, 0]));
        Some((key, User { groups, epoch: self.shard.epoch }))
    }
}

/// How a bucket states the length of a user.
pub(super) fn user_length(bytes: usize) -> u8 {
    bytes.min(usize::from(LONG_USER)) as u8
}

/// One user's groups; what follows in the bucket may hang on behind.
#[derive(Clone, Copy)]
pub(super) struct User<'s> {
    groups: &'s [u8],
    epoch: u32,
}

impl<'s> User<'s> {
    /// Looks for `key` in its bucket, which reaches on to the end of the blob. Where the user stands among its
    /// neighbours is chance, so that is worked out without a branch: a wrong guess would hold up everything behind it
    /// until the bucket has come from memory, and lookups could not overlap.
    #[inline]
    fn find(bucket: &'s [u8], key: u64, epoch: u32) -> Option<User<'s>> {
        let Some(head) = bucket.first_chunk::<HEAD>() else { return User::find_slowly(bucket, key, epoch) };
        let count = usize::from(u16::from_le_bytes([head[0], head[1]]));
        if count > SLOTS {
            return User::find_slowly(bucket, key, epoch);
        }
        let mut matches = 0;
        for slot in 0..SLOTS {
            let stored = u64_at(head, COUNT + slot * FINGERPRINT);
            matches |= u32::from((stored ^ key) & FINGERPRINT_MASK == 0) << slot;
        }
        matches &= (1 << count) - 1;
        if matches == 0 {
            return None;
        }
        let place = matches.trailing_zeros();
        let lengths = u64_at(head, COUNT + count * FINGERPRINT);
        // The lengths of those before: none for the first, whose shift would be of all bits.
        let before = lengths & !(u64::MAX << (place * u8::BITS));
        if has_byte_of_ones(before) {
            return User::find_slowly(bucket, key, epoch);
        }
        let groups = bucket.get(COUNT + count * (FINGERPRINT + 1) + sum_of_bytes(before)..)?;
        Some(User { groups, epoch })
    }

    /// The same, step by step: buckets at the end of the blob, and those that are unusually full or have unusually long
    /// users.
    #[cold]
    fn find_slowly(bucket: &'s [u8], key: u64, epoch: u32) -> Option<User<'s>> {
        let Bucket { fingerprints, mut bodies, .. } = Bucket::split(bucket)?;
        let wanted = fingerprint(key);
        let place = fingerprints.iter().position(|stored| *stored == wanted)?;
        for _ in 0..place {
            skip_user(&mut bodies, epoch)?;
        }
        Some(User { groups: bodies, epoch })
    }

    /// The user's groups.
    pub(super) fn groups(&self) -> impl Iterator<Item = Group<'s>> + use<'s> {
        let (mut bytes, epoch, mut more) = (self.groups, self.epoch, true);
        std::iter::from_fn(move || {
            let group = if more { Group::read(&mut bytes, epoch) } else { None }?;
            more = group.flags & MORE != 0;
            Some(group)
        })
    }

    /// Calls `f` with every membership that is live at `now` (units), group by group.
    pub(super) fn for_each_live(&self, now: u32, mut f: impl FnMut(Record)) {
        self.groups().for_each(|group| group.for_each_live(now, &mut f));
    }

    fn count(&self) -> usize {
        self.groups().map(|group| group.ids.len() / group.id_width()).sum()
    }
}

fn u64_at(head: &[u8; HEAD], at: usize) -> u64 {
    head[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Whether some byte is 255, [`LONG_USER`]: whether some byte of the complement is 0.
fn has_byte_of_ones(bytes: u64) -> bool {
    (!bytes).wrapping_sub(0x0101_0101_0101_0101) & bytes & 0x8080_8080_8080_8080 != 0
}

/// The sum of the eight bytes.
fn sum_of_bytes(bytes: u64) -> usize {
    const LANES: u64 = 0x00ff_00ff_00ff_00ff;
    let pairs = (bytes & LANES) + ((bytes >> u8::BITS) & LANES);
    (pairs.wrapping_mul(0x0001_0001_0001_0001) >> 48) as usize
}

fn skip_user(bytes: &mut &[u8], epoch: u32) -> Option<()> {
    while Group::read(bytes, epoch)?.flags & MORE != 0 {}
    Some(())
}

/// Memberships that share provenance, width of id and, unless `each` is filled, expiry.
pub(super) struct Group<'s> {
    flags: u8,
    epoch: u32,
    /// In units; of no meaning where `each` is filled.
    expiry: u32,
    ids: &'s [u8],
    /// u16 expiries, one an id.
    each: &'s [u8],
}

impl<'s> Group<'s> {
    fn read(bytes: &mut &'s [u8], epoch: u32) -> Option<Group<'s>> {
        let flags = take::<1>(bytes)?[0];
        let count = if flags & LONG == 0 {
            usize::from(take::<1>(bytes)?[0])
        } else {
            usize::from(u16::from_le_bytes(*take(bytes)?))
        };
        let kind = (flags >> EXPIRY_SHIFT) & EXPIRY_MASK;
        let expiry = match kind {
            EXPIRY_SHARED => epoch.saturating_add(u32::from(u16::from_le_bytes(*take(bytes)?))),
            EXPIRY_FAR => u32::from_le_bytes(*take(bytes)?),
            _ => NEVER,
        };
        let width = if flags & WIDE == 0 { 2 } else { 3 };
        let (ids, rest) = bytes.split_at_checked(count * width)?;
        let (each, rest) = rest.split_at_checked(if kind == EXPIRY_EACH { count * 2 } else { 0 })?;
        *bytes = rest;
        Some(Group { flags, epoch, expiry, ids, each })
    }

    fn id_width(&self) -> usize {
        if self.flags & WIDE == 0 { 2 } else { 3 }
    }

    /// Whether all memberships carry explicit consent.
    pub(super) fn explicit_consent(&self) -> bool {
        Record::new(0, NEVER, self.flags >> PROVENANCE_SHIFT).explicit_consent()
    }

    /// The two-byte ids, ascending, of a group that is live at `now` (units) as a whole, which is nearly every one;
    /// `None` where memberships have to be looked at one by one.
    pub(super) fn live_ids(&self, now: u32) -> Option<&'s [[u8; 2]]> {
        let alike = self.flags & WIDE == 0 && self.each.is_empty() && self.expiry > now;
        alike.then_some(self.ids.as_chunks().0)
    }

    /// Calls `f` with every membership that is live at `now` (units).
    pub(super) fn for_each_live(&self, now: u32, f: &mut impl FnMut(Record)) {
        let provenance = self.flags >> PROVENANCE_SHIFT;
        let expiries = self.each.as_chunks().0;
        let mut emit = |place: usize, segment: u32| {
            let expiry = match expiries.get(place) {
                Some(relative) => self.epoch.saturating_add(u32::from(u16::from_le_bytes(*relative))),
                None => self.expiry,
            };
            if expiry > now {
                f(Record::packed(segment, expiry, provenance));
            }
        };
        if self.flags & WIDE == 0 {
            for (place, id) in self.ids.as_chunks().0.iter().enumerate() {
                emit(place, u32::from(u16::from_le_bytes(*id)));
            }
        } else {
            for (place, [low, middle, high]) in self.ids.as_chunks().0.iter().enumerate() {
                emit(place, u32::from_le_bytes([*low, *middle, *high, 0]));
            }
        }
    }
}

fn take<'s, const N: usize>(bytes: &mut &'s [u8]) -> Option<&'s [u8; N]> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::super::pack::Packer;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// Full buckets, long users before short ones, buckets at the end of the blob.
        #[test]
        fn everybody_is_found_with_what_was_packed_and_nobody_else(
            users in prop::collection::btree_map(
                (0..3_u64, 0..40_u64).prop_map(|(bucket, user)| bucket << FINGERPRINT_BITS | user << 40 | user),
                prop_oneof![9 => 1..14_u32, 1 => 100..200_u32],
                0..40,
            ),
            strangers in prop::collection::vec((0..4_u64, 0..40_u64), 20),
        ) {
            let records = |key: u64, count: u32| (0..count).map(move |i| Record::new(i * 3 + key as u32 % 3, NEVER, 0));
            let mut packer = Packer::new(0, 0, users.len(), 0);
            for (key, count) in &users {
                packer.push(*key, &records(*key, *count).collect::<Vec<_>>()).unwrap();
            }
            let shard = packer.finish().unwrap();
            prop_assert_eq!(shard.check(), Ok(()));
            let found = |key: u64| {
                let mut found = Vec::new();
                shard.find(key)?.for_each_live(0, |record| found.push(record));
                Some(found)
            };
            for (key, count) in &users {
                prop_assert_eq!(found(*key), Some(records(*key, *count).collect()));
            }
            for (bucket, user) in strangers {
                let key = bucket << FINGERPRINT_BITS | user << 40 | user;
                prop_assert_eq!(found(key).is_some(), users.contains_key(&key));
            }
            let walked: BTreeMap<u64, u32> =
                shard.users().map(|(key, user)| (key, user.count() as u32)).collect();
            prop_assert_eq!(walked, users);
        }

        #[test]
        fn bucket_and_fingerprint_give_the_key_back(
            key: u64, shard_bits in 0..=MAX_SHARD_BITS, users in 1..100_000_000_usize,
        ) {
            let shard = shard_of(key, shard_bits);
            let geometry = Geometry::for_users(shard_bits, shard, users);
            let bucket = geometry.bucket_of(key);
            prop_assert!(bucket < geometry.buckets as usize);
            let [a, b, c, d, e, f] = fingerprint(key);
            let stored = u64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
            prop_assert_eq!(geometry.key_of(bucket, stored), key);
        }
    }
}
