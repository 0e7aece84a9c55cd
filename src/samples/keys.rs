//! The keys under which people are hashed in the sample: one for each week, and the last one's while its records are kept.

use crate::model::ids::UserKey;
use siphasher::sip::SipHasher24;

/// A key is replaced after so many seconds: as long as records are kept, so that two keys are enough.
pub(super) const PERIOD_S: i64 = super::store::KEPT_S;
const MARK: &[u8] = b"OUTBIDSK\x01";

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Keys {
    current: Key,
    previous: Option<Key>,
}

#[derive(Clone, PartialEq, Eq)]
struct Key {
    since_s: i64,
    bytes: [u8; 16],
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key(secret, since {})", self.since_s)
    }
}

impl Key {
    fn new(since_s: i64) -> Key {
        Key { since_s, bytes: rand::random() }
    }

    fn hash(&self, person: UserKey) -> u64 {
        SipHasher24::new_with_key(&self.bytes).hash(&person.0.to_le_bytes())
    }
}

impl Keys {
    /// A first key.
    pub(super) fn new(now_s: i64) -> Keys {
        Keys { current: Key::new(now_s), previous: None }
    }

    /// The keys with a new one before them, if it is time for that.
    pub(super) fn next(&self, now_s: i64) -> Option<Keys> {
        let is_due = now_s >= self.current.since_s + PERIOD_S;
        is_due.then(|| Keys { current: Key::new(now_s), previous: Some(self.current.clone()) })
    }

    /// The name of a person in records that are written now.
    pub(super) fn cover(&self, person: UserKey) -> u64 {
        self.current.hash(person)
    }

    /// The names that a person has in records.
    pub(super) fn names(&self, person: UserKey) -> impl Iterator<Item = u64> {
        [Some(&self.current), self.previous.as_ref()].into_iter().flatten().map(move |key| key.hash(person))
    }

    /// `mark · CRC-32C of the rest, u32 · since, i64 · key · the same of the former one`.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut content = Vec::new();
        for key in [Some(&self.current), self.previous.as_ref()].into_iter().flatten() {
            content.extend(key.since_s.to_le_bytes());
            content.extend(key.bytes);
        }
        [MARK, &crc32c::crc32c(&content).to_le_bytes(), &content].concat()
    }

    /// Reads what [`Keys::to_bytes`] wrote.
    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Keys> {
        let (sum, content) = bytes.strip_prefix(MARK)?.split_first_chunk::<4>()?;
        let is_sound = crc32c::crc32c(content).to_le_bytes() == *sum && content.len().is_multiple_of(24);
        let mut keys = content.chunks_exact(24).filter(|_| is_sound).filter_map(|entry| {
            let (since_s, bytes) = entry.split_first_chunk::<8>()?;
            Some(Key { since_s: i64::from_le_bytes(*since_s), bytes: bytes.try_into().ok()? })
        });
        Some(Keys { current: keys.next()?, previous: keys.next() })
    }
}
