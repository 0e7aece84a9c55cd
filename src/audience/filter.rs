//! A set of keys that may say "perhaps" wrongly and "no" never: one bit a key, in two planes so that it can be emptied
//! while it is used.
//!
//! Invariant: a key that is in the map behind the filter has its bit in some plane. Keys go into the active plane while
//! their slot of the map is locked. [`Filter::rebuild`] first makes the empty plane the active one, then walks the map,
//! lock by lock, and puts every key into it: a writer that still saw the old plane has let go of its lock before the walk
//! came by, so its key was met. Only then is the old plane emptied.

use crate::model::ids::UserKey;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::*};

/// Words of a plane: 2²⁰ bits, of which 100,000 keys fill a tenth.
const WORDS: usize = 1 << 14;

/// See the module.
pub(super) struct Filter {
    /// Both planes of a word side by side, on one line of the cache.
    words: Box<[[AtomicU64; 2]; WORDS]>,
    active: AtomicUsize,
}

impl Default for Filter {
    fn default() -> Filter {
        let words: Box<[[AtomicU64; 2]]> = (0..WORDS).map(|_| Default::default()).collect();
        let words = words.try_into().unwrap_or_else(|_| unreachable!("as many as were made"));
        Filter { words, active: AtomicUsize::new(0) }
    }
}

/// Word and bit of a key: its low bits, which no shard or bucket is chosen by.
fn place(key: UserKey) -> (usize, u64) {
    ((key.0 >> u64::BITS.ilog2()) as usize % WORDS, 1 << (key.0 % u64::from(u64::BITS)))
}

impl Filter {
    /// How many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.words)
    }

    /// Whether the key may be there; false is certain.
    #[inline]
    pub(super) fn may_hold(&self, key: UserKey) -> bool {
        let (word, bit) = place(key);
        let [first, second] = &self.words[word];
        (first.load(Acquire) | second.load(Acquire)) & bit != 0
    }

    /// Puts a key in; to be called while its slot of the map is locked.
    pub(super) fn insert(&self, key: UserKey) {
        let (word, bit) = place(key);
        self.words[word][self.active.load(Acquire) % 2].fetch_or(bit, Release);
    }

    /// Forgets every key that `walk` does not name, which walks the map lock by lock. One caller at a time.
    pub(super) fn rebuild(&self, walk: impl FnOnce(&mut dyn FnMut(UserKey))) {
        let old = self.active.load(Acquire) % 2;
        self.active.store(1 - old, Release);
        walk(&mut |key| self.insert(key));
        self.words.iter().for_each(|word| word[old].store(0, Release));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_stay_are_held_through_every_rebuild_and_others_leave() {
        let filter = Filter::default();
        let key = |i: u64| UserKey(i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        (0..1_000).for_each(|i| filter.insert(key(i)));
        for round in 0..3 {
            assert!((0..1_000).all(|i| filter.may_hold(key(i))), "{round}");
            filter.rebuild(|insert| (0..1_000).for_each(|i| insert(key(i))));
        }
        filter.rebuild(|insert| insert(key(7)));
        assert!(filter.may_hold(key(7)));
        let held = (0..1_000).filter(|i| filter.may_hold(key(*i))).count();
        assert_eq!(held, 1, "the others share no bit with it");
    }
}
