//! One shard of the base: every user whose key begins with the shard's number, packed and immutable.
//!
//! ```text
//! key      = shard (top S bits) · position            buckets are equal intervals of positions
//! offsets  : u32 per bucket + 1 → blob
//! bucket   : n u16 · n × fingerprint (6 bytes, the key's low 48 bits) · n × user     (empty: no byte at all)
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

/// Users in a bucket on average; fewer would spend more on offsets than they save in scanning.
const USERS_PER_BUCKET: u32 = 5;

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
    pub(super) offsets: Box<[u32]>,
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
            offsets: Box::new([0]),
            blob: Box::new([]),
        }
    }

    /// The bytes of the bucket that would hold `key`: one access to the offsets, none to the blob.
    pub(super) fn bucket(&self, key: u64) -> &[u8] {
        if self.geometry.buckets == 0 {
            return &[];
        }
        self.bucket_at(self.geometry.bucket_of(key))
    }

    fn bucket_at(&self, bucket: usize) -> &[u8] {
        let (from, to) = (self.offsets[bucket] as usize, self.offsets[bucket + 1] as usize);
        &self.blob[from..to]
    }

    /// The user's groups, if the user is known.
    pub(super) fn find(&self, key: u64) -> Option<User<'_>> {
        User::find(self.bucket(key), key, self.epoch)
    }

    /// Every user in the order of keys. Stops early where the bytes make no sense, which [`PackedShard::check`]
    /// turns into an error.
    pub(super) fn users(&self) -> Users<'_> {
        Users { shard: self, next_bucket: 0, fingerprints: &[], bodies: &[] }
    }

    /// Walks everything that came from a file: whatever passes can be read without meeting a malformed byte.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let buckets = self.geometry.buckets as usize;
        let exact = Geometry::for_users(self.geometry.shard_bits, self.geometry.shard, 1).buckets;
        if self.offsets.len() != buckets + 1 || (buckets > 0 && self.geometry.buckets < exact) {
            return Err("wrong number of buckets");
        }
        let ends = (self.offsets[0], self.offsets[buckets] as usize);
        if !self.offsets.is_sorted() || ends != (0, self.blob.len()) {
            return Err("bucket offsets do not fit the records");
        }
        let (mut users, mut memberships, mut read, mut last) = (0, 0, 0, None);
        for (key, user) in self.users() {
            if last >= Some(key) || shard_of(key, self.geometry.shard_bits) != self.geometry.shard {
                return Err("users are not in order");
            }
            last = Some(key);
            users += 1;
            read += FINGERPRINT + user.groups.len();
            memberships += user.count() as u64;
        }
        let occupied = self.offsets.windows(2).filter(|pair| pair[0] != pair[1]).count();
        if (users, memberships, read + 2 * occupied) != (self.users, self.memberships, self.blob.len()) {
            return Err("records cannot be read to the end");
        }
        Ok(())
    }

    /// Bytes of the bucket offsets.
    pub(super) fn offset_bytes(&self) -> usize {
        size_of_val(&*self.offsets)
    }
}

/// Splits a bucket into fingerprints and users' groups.
fn split_bucket(bucket: &[u8]) -> Option<(&[[u8; FINGERPRINT]], &[u8])> {
    let (count, rest) = bucket.split_first_chunk()?;
    let (fingerprints, bodies) =
        rest.split_at_checked(usize::from(u16::from_le_bytes(*count)) * FINGERPRINT)?;
    Some((fingerprints.as_chunks().0, bodies))
}

/// Iterator of [`PackedShard::users`].
pub(super) struct Users<'s> {
    shard: &'s PackedShard,
    next_bucket: usize,
    fingerprints: &'s [[u8; FINGERPRINT]],
    bodies: &'s [u8],
}

impl<'s> Iterator for Users<'s> {
    type Item = (u64, User<'s>);

    fn next(&mut self) -> Option<(u64, User<'s>)> {
        while self.fingerprints.is_empty() {
            if self.next_bucket + 1 >= self.shard.offsets.len() {
                return None;
            }
            if let Some((fingerprints, bodies)) = split_bucket(self.shard.bucket_at(self.next_bucket)) {
                (self.fingerprints, self.bodies) = (fingerprints, bodies);
            }
            self.next_bucket += 1;
        }
        let (fingerprint, rest) = self.fingerprints.split_first()?;
        self.fingerprints = rest;
        let start = self.bodies;
        skip_user(&mut self.bodies, self.shard.epoch)?;
        let groups = &start[..start.len() - self.bodies.len()];
        let [a, b, c, d, e, f] = *fingerprint;
        let key =
            self.shard.geometry.key_of(self.next_bucket - 1, u64::from_le_bytes([a, b, c, d, e, f, 0, 0]));
        Some((key, User { groups, epoch: self.shard.epoch }))
    }
}

/// One user's groups; what follows in the bucket may hang on behind.
#[derive(Clone, Copy)]
pub(super) struct User<'s> {
    groups: &'s [u8],
    epoch: u32,
}

impl<'s> User<'s> {
    /// Looks for `key` in its bucket.
    pub(super) fn find(bucket: &'s [u8], key: u64, epoch: u32) -> Option<User<'s>> {
        let (fingerprints, mut bodies) = split_bucket(bucket)?;
        let wanted = fingerprint(key);
        let place = fingerprints.iter().position(|stored| *stored == wanted)?;
        for _ in 0..place {
            skip_user(&mut bodies, epoch)?;
        }
        Some(User { groups: bodies, epoch })
    }

    /// Calls `f` with every membership that is live at `now` (units), group by group.
    pub(super) fn for_each_live(&self, now: u32, mut f: impl FnMut(Record)) {
        let mut bytes = self.groups;
        while let Some(group) = Group::read(&mut bytes, self.epoch) {
            group.for_each_live(now, self.epoch, &mut f);
            if group.flags & MORE == 0 {
                return;
            }
        }
    }

    fn count(&self) -> usize {
        let mut bytes = self.groups;
        let mut count = 0;
        while let Some(group) = Group::read(&mut bytes, self.epoch) {
            count += group.ids.len() / group.id_width();
            if group.flags & MORE == 0 {
                break;
            }
        }
        count
    }
}

fn skip_user(bytes: &mut &[u8], epoch: u32) -> Option<()> {
    while Group::read(bytes, epoch)?.flags & MORE != 0 {}
    Some(())
}

/// Memberships that share provenance, width of id and, unless `each` is filled, expiry.
struct Group<'s> {
    flags: u8,
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
        Some(Group { flags, expiry, ids, each })
    }

    fn id_width(&self) -> usize {
        if self.flags & WIDE == 0 { 2 } else { 3 }
    }

    fn for_each_live(&self, now: u32, epoch: u32, f: &mut impl FnMut(Record)) {
        let provenance = self.flags >> PROVENANCE_SHIFT;
        let expiries = self.each.as_chunks().0;
        let mut emit = |place: usize, segment: u32| {
            let expiry = match expiries.get(place) {
                Some(relative) => epoch.saturating_add(u32::from(u16::from_le_bytes(*relative))),
                None => self.expiry,
            };
            if expiry > now {
                f(Record::new(segment, expiry, provenance));
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
    use super::*;
    use proptest::prelude::*;

    proptest! {
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
