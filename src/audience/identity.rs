//! From the identifiers of a request to keys, in the order in which they are trusted.
//!
//! Invariant: two identifiers of different kinds never share a key by construction, and without the secret key
//! nobody can compute a cookie's hash or aim cookies at one bucket. Deliberately absent: guessing identities from
//! address and user agent.

use crate::model::auction::Auction;
use crate::model::exchange::ExchangeProfile;
use crate::model::ids::{AdvertiserId, ExchangeId, UserKey};
use crate::privacy::UseIds;
use siphasher::sip::SipHasher24;
use std::fmt;
use std::hash::Hasher;

/// Most identifiers of one request that are looked up; further ones, the least trusted, are left out.
pub const MAX_KEYS: usize = 8;

/// The inferred match method of `eids[].mm` (OpenRTB 2.6 section 3.2.27).
const INFERRED: i64 = 5;

/// Domain of orders, which are no identifiers of users.
const ORDER: u8 = 128;

/// What a key was made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
#[repr(u8)]
pub enum IdKind {
    /// Our own cookie: `user.buyeruid`.
    #[default]
    Cookie = 1,
    /// An exchange's id of the user, `user.id`: found through the match table only.
    Matched = 2,
    /// A third party's id from `user.eids`.
    Eid = 3,
    /// The advertising id of a device, `device.ifa`.
    Device = 4,
    /// The SHA-256 of an email address: found through a tie only.
    Email = 5,
    /// The SHA-256 of a telephone number: found through a tie only.
    Phone = 6,
}

/// The secret under which identifiers are hashed (SipHash-2-4, 128 bits). Changing it makes every stored key useless.
#[derive(Clone, PartialEq, Eq)]
pub struct IdKey(pub [u8; 16]);

impl fmt::Debug for IdKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdKey(secret)")
    }
}

impl IdKey {
    /// The key of one of our cookies, byte for byte.
    pub fn cookie(&self, cookie: &str) -> UserKey {
        let mut hasher = self.hasher(IdKind::Cookie as u8);
        hasher.write(cookie.as_bytes());
        UserKey(hasher.finish())
    }

    /// The key of an exchange's id of a user, byte for byte; [`super::AudienceIndex::link`] ties it to a cookie.
    pub fn matched(&self, exchange: ExchangeId, user_id: &str) -> UserKey {
        let mut hasher = self.hasher(IdKind::Matched as u8);
        hasher.write(&exchange.0.to_le_bytes());
        hasher.write(user_id.as_bytes());
        UserKey(hasher.finish())
    }

    /// The key of a third party's id; the case of `source`, a domain, does not matter.
    pub fn eid(&self, source: &str, id: &str) -> UserKey {
        let mut hasher = self.hasher(IdKind::Eid as u8);
        hasher.write(&(source.len() as u64).to_le_bytes());
        write_lower(&mut hasher, source);
        hasher.write(id.as_bytes());
        UserKey(hasher.finish())
    }

    /// The key of a device's advertising id; case and surrounding blanks do not matter.
    pub fn device(&self, ifa: &str) -> UserKey {
        let mut hasher = self.hasher(IdKind::Device as u8);
        write_lower(&mut hasher, ifa.trim());
        UserKey(hasher.finish())
    }

    /// The key of a hashed address: the SHA-256 of an email address (trimmed, lower case) or of a telephone number
    /// (E.164), of the kind [`IdKind::Email`] or [`IdKind::Phone`]. The digest is hashed once more under the secret,
    /// because who has it can try all addresses.
    pub fn hashed(&self, kind: IdKind, digest: &[u8; 32]) -> UserKey {
        let mut hasher = self.hasher(kind as u8);
        hasher.write(digest);
        UserKey(hasher.finish())
    }

    /// The key of an advertiser's order.
    pub(super) fn order(&self, advertiser: AdvertiserId, order: &str) -> UserKey {
        let mut hasher = self.hasher(ORDER);
        hasher.write(&advertiser.0.to_le_bytes());
        hasher.write(order.as_bytes());
        UserKey(hasher.finish())
    }

    /// Tells two secrets apart without telling either: kept in files, so that one made with another secret is
    /// refused instead of never finding anybody.
    pub(super) fn check(&self) -> u64 {
        self.hasher(0).finish()
    }

    /// The kind comes first, so that equal texts of different kinds differ.
    fn hasher(&self, domain: u8) -> SipHasher24 {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(&[domain]);
        hasher
    }
}

/// Lower-cases ASCII on the way, without a copy on the heap.
fn write_lower(hasher: &mut SipHasher24, text: &str) {
    let mut lower = [0; 64];
    for chunk in text.as_bytes().chunks(lower.len()) {
        let lower = &mut lower[..chunk.len()];
        lower.copy_from_slice(chunk);
        lower.make_ascii_lowercase();
        hasher.write(lower);
    }
}

/// The keys of one request, most trusted first; reusable, no allocation.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    keys: [(UserKey, IdKind); MAX_KEYS],
    len: usize,
}

impl Keys {
    /// The keys with what they were made of, most trusted first.
    pub fn as_slice(&self) -> &[(UserKey, IdKind)] {
        &self.keys[..self.len]
    }

    /// Whether the request names the user in no way that we read.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets all keys.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Adds a key that is trusted less than those before it. One that is there already, or that comes when
    /// [`MAX_KEYS`] are there, is left out.
    pub fn push(&mut self, key: UserKey, kind: IdKind) {
        if self.len < MAX_KEYS && !self.as_slice().contains(&(key, kind)) {
            self.keys[self.len] = (key, kind);
            self.len += 1;
        }
    }
}

/// Writes the keys of the request's user into `out`, in the order of trust: `user.buyeruid`, `user.id` where the
/// profile has a match table, `user.eids` in the profile's order of sources and then in the request's, `device.ifa`.
///
/// Blank identifiers are none. An eid with the match method "inferred" is somebody's guess and is left out; the
/// other methods, absent and unknown ones included, are taken, because the profile names the sources it trusts.
pub fn keys(auction: &Auction<'_>, profile: &ExchangeProfile, key: &IdKey, _proof: UseIds, out: &mut Keys) {
    out.clear();
    if let Some(cookie) = given(auction.user.buyeruid) {
        out.push(key.cookie(cookie), IdKind::Cookie);
    }
    if let Some(user_id) = given(auction.user.id).filter(|_| profile.match_user_id) {
        out.push(key.matched(profile.id, user_id), IdKind::Matched);
    }
    for source in &profile.eid_sources {
        let of_source = auction.user.eids.iter().filter(|eid| eid.source.eq_ignore_ascii_case(source));
        for eid in of_source.filter(|eid| eid.match_method != Some(INFERRED)) {
            if let Some(id) = given(Some(eid.id)) {
                out.push(key.eid(eid.source, id), IdKind::Eid);
            }
        }
    }
    if let Some(ifa) = given(auction.device.ifa) {
        out.push(key.device(ifa), IdKind::Device);
    }
}

fn given(id: Option<&str>) -> Option<&str> {
    id.filter(|id| !id.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fixed for ever: a stored index depends on these values.
    #[test]
    fn the_hash_of_an_identifier_never_changes() {
        let key = IdKey(*b"0123456789abcdef");
        // SipHash-2-4 over the domain byte, the parts and nothing else.
        assert_eq!(key.cookie("abc").0, SipHasher24::new_with_key(&key.0).hash(b"\x01abc"));
        let matched = key.matched(ExchangeId(0x0201), "abc").0;
        assert_eq!(matched, SipHasher24::new_with_key(&key.0).hash(b"\x02\x01\x02abc"));
        let eid = key.eid("ID5-sync.com", "aBc").0;
        assert_eq!(eid, SipHasher24::new_with_key(&key.0).hash(b"\x03\x0c\0\0\0\0\0\0\0id5-sync.comaBc"));
        assert_eq!(key.device(" AB-c ").0, SipHasher24::new_with_key(&key.0).hash(b"\x04ab-c"));
        // The reference vector of SipHash-2-4: key 00..0f, message 00..0e (Aumasson and Bernstein, appendix A).
        let bytes: [u8; 16] = std::array::from_fn(|i| i as u8);
        assert_eq!(SipHasher24::new_with_key(&bytes).hash(&bytes[..15]), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn kinds_exchanges_and_sources_do_not_mix() {
        let key = IdKey([7; 16]);
        let mut keys = vec![
            key.cookie("a"),
            key.matched(ExchangeId(1), "a"),
            key.matched(ExchangeId(2), "a"),
            key.eid("x.com", "a"),
            key.eid("x.co", "ma"),
            key.eid("y.com", "a"),
            key.device("a"),
            IdKey([8; 16]).cookie("a"),
        ];
        let long = "q".repeat(200);
        keys.push(key.eid(&long, "a"));
        assert_eq!(key.eid(&long, "a"), key.eid(&long.to_uppercase(), "a"));
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), 9);
    }

    #[test]
    fn the_secret_is_not_printed() {
        assert_eq!(format!("{:?}", IdKey([9; 16])), "IdKey(secret)");
    }
}
