//! What pacing says of each line item at this moment: the only part of a catalog that moves. The pacing thread writes it
//! every few seconds, cores read it, and a rebuilt catalog begins where the one before was.

use super::catalog::Head;
use crate::model::money::PPM;
use crate::pricing::pacing::Level;
use crate::targeting::LineItemIx;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// One line item's: κ in the high half, the share of requests in the low one.
#[derive(Debug)]
pub(super) struct Moving(AtomicU64);

/// The value itself, on every request.
const FREE: Level = Level { kappa_ppm: PPM, pass_ppm: PPM as u32 };

impl Moving {
    /// Goes on from what held until now.
    pub(super) fn from(before: Option<Level>) -> Moving {
        Moving(AtomicU64::new(packed(before.unwrap_or(FREE))))
    }

    /// What holds.
    pub(super) fn get(&self) -> Level {
        let packed = self.0.load(Relaxed);
        Level { kappa_ppm: (packed >> 32) as i64, pass_ppm: packed as u32 }
    }
}

/// See the module. Each level lies beside what else is asked of a candidate first.
#[derive(Clone, Copy, Debug)]
pub struct Levels<'c>(pub(super) &'c [Head]);

impl Levels<'_> {
    /// What holds for a line item.
    pub fn get(&self, ix: LineItemIx) -> Level {
        self.0[ix.0 as usize].level.get()
    }

    /// What holds from now on.
    pub fn set(&self, ix: LineItemIx, level: Level) {
        self.0[ix.0 as usize].level.0.store(packed(level), Relaxed);
    }
}

fn packed(level: Level) -> u64 {
    (level.kappa_ppm.clamp(0, i64::from(u32::MAX)) as u64) << 32 | u64::from(level.pass_ppm)
}
