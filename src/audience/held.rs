//! The shards of the base that one core holds on to, so that a lookup reads them without touching a counter that other
//! cores touch: it compares a version and goes on.
//!
//! Invariant: [`Held::refresh`] gives a shard that is at least as new as the last one that was published before an
//! overlay entry left, when the overlay is asked first. What a merge has replaced is let go of with the next lookup in its
//! shard, or by [`Held::refresh_all`], which a core that idles has to call now and then.

use super::index::AudienceIndex;
use super::packed::PackedShard;
use std::sync::Arc;

/// See the module.
#[derive(Clone, Default)]
pub(super) struct Held {
    /// Whose shards these are; 0 = nobody's.
    index: u64,
    shards: Vec<(u32, Arc<PackedShard>)>,
}

impl Held {
    /// Sees to it that the shard is the newest. `shard` is below the number of the index's shards.
    #[inline]
    pub(super) fn refresh(&mut self, index: &AudienceIndex, shard: usize) {
        let is_newest = self.index == index.id && self.shards[shard].0 == index.version(shard);
        if !is_newest {
            self.take(index, shard);
        }
    }

    #[cold]
    fn take(&mut self, index: &AudienceIndex, shard: usize) {
        if self.index == index.id {
            self.shards[shard] = index.published(shard);
        } else {
            self.shards = (0..index.shard_count()).map(|shard| index.published(shard)).collect();
            self.index = index.id;
        }
    }

    /// A shard that was refreshed.
    #[inline]
    pub(super) fn shard(&self, shard: usize) -> &PackedShard {
        &self.shards[shard].1
    }

    /// Lets go of every shard that has been replaced, and answers how many those were.
    pub(super) fn refresh_all(&mut self, index: &AudienceIndex) -> usize {
        if self.index != index.id {
            let held = self.shards.len();
            *self = Held::default();
            return held;
        }
        let old = |shard: &usize| self.shards[*shard].0 != index.version(*shard);
        let replaced: Vec<usize> = (0..self.shards.len()).filter(old).collect();
        replaced.iter().for_each(|shard| self.take(index, *shard));
        replaced.len()
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Held({} shards)", self.shards.len())
    }
}
