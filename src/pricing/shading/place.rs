//! Where an impression is offered, from wide to narrow.

use crate::model::mix::splitmix64;

/// Levels below the whole market.
pub const LEVELS: usize = 4;

/// What is known of where an impression is offered, as one key for each level: exchange; with size; with site or app;
/// with slot, deal, floor and block of hours. Prices of a narrow place are estimated from its own outcomes and, where
/// there are few, from those of the next wider one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    pub(super) keys: [u64; LEVELS],
}

impl Place {
    /// A place by numbers of the caller's choosing, one for each level, widest first; equal numbers mean the same only
    /// below the same wider place. Hashes of names will do.
    pub fn new(levels: [u64; LEVELS]) -> Place {
        let mut keys = [0; LEVELS];
        let mut above = ROOT;
        for (at, level) in levels.into_iter().enumerate() {
            above = splitmix64(above ^ splitmix64(level.wrapping_add(at as u64 + 1)));
            // 0 is an empty slot of a table, and the whole market has a key as well.
            keys[at] = if above == 0 || above == ROOT { 1 } else { above };
        }
        Place { keys }
    }

    /// The keys, to be kept.
    pub fn keys(&self) -> &[u64; LEVELS] {
        &self.keys
    }

    /// A place by the keys that were kept of it.
    pub fn from_keys(keys: [u64; LEVELS]) -> Place {
        Place { keys: keys.map(|key| if key == 0 || key == ROOT { 1 } else { key }) }
    }

    /// The exchange alone, where nothing else is known.
    pub fn of_exchange(exchange: u64) -> Place {
        Place::new([exchange, 0, 0, 0])
    }
}

/// The key of the whole market.
pub(super) const ROOT: u64 = 0x6F75_7462_6964_0001;
