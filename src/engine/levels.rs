//! What pacing says of each line item at this moment: the only part of a catalog that moves. The pacing thread writes it
//! every few seconds, cores read it, and a rebuilt catalog begins where the one before was.

use super::catalog::CatalogLineItem;
use crate::model::money::PPM;
use crate::pricing::pacing::Level;
use crate::targeting::LineItemIx;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// See the module: κ in the high half of each number, the share of requests in the low one.
#[derive(Debug)]
pub struct Levels(Box<[AtomicU64]>);

/// The value itself, on every request.
const FREE: Level = Level { kappa_ppm: PPM, pass_ppm: PPM as u32 };

impl Levels {
    /// Of these line items; `before` says what held until now.
    pub(super) fn new(
        line_items: &[CatalogLineItem],
        before: impl Fn(&CatalogLineItem) -> Option<Level>,
    ) -> Levels {
        let cell = |line: &CatalogLineItem| AtomicU64::new(packed(before(line).unwrap_or(FREE)));
        Levels(line_items.iter().map(cell).collect())
    }

    /// What holds for a line item.
    pub fn get(&self, ix: LineItemIx) -> Level {
        let packed = self.0[ix.0 as usize].load(Relaxed);
        Level { kappa_ppm: (packed >> 32) as i64, pass_ppm: packed as u32 }
    }

    /// What holds from now on.
    pub fn set(&self, ix: LineItemIx, level: Level) {
        self.0[ix.0 as usize].store(packed(level), Relaxed);
    }
}

fn packed(level: Level) -> u64 {
    (level.kappa_ppm.clamp(0, i64::from(u32::MAX)) as u64) << 32 | u64::from(level.pass_ppm)
}
