//! What serving cores read: parts that are rebuilt in the background, each on its own cadence, and published whole.

use super::catalog::Catalog;
use crate::model::clock::Now;
use crate::model::rates::Rates;
use arc_swap::{ArcSwap, Cache};
use std::sync::Arc;

/// One consistent view. A request keeps the one it began with.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What people configured, compiled.
    pub catalog: Arc<Catalog>,
    /// Exchange rates.
    pub rates: Arc<Rates>,
}

impl Snapshot {
    /// A snapshot that converts nothing by rates that are stale.
    pub fn usable(catalog: Arc<Catalog>, rates: Arc<Rates>, now: Now) -> Snapshot {
        if !rates.is_stale(now.unix_ms) {
            return Snapshot { catalog, rates };
        }
        tracing::error!("the exchange rates are too old; nothing is converted until rates.as_of is renewed");
        Snapshot { catalog, rates: Arc::new(rates.without_others()) }
    }
}

/// Where snapshots are published.
#[derive(Debug)]
pub struct SnapshotCell(Arc<ArcSwap<Snapshot>>);

impl SnapshotCell {
    /// A cell that shows `snapshot`.
    pub fn new(snapshot: Snapshot) -> SnapshotCell {
        SnapshotCell(Arc::new(ArcSwap::from_pointee(snapshot)))
    }

    /// Publishes a new snapshot; requests under way finish on the one they hold.
    pub fn publish(&self, snapshot: Snapshot) {
        self.0.store(Arc::new(snapshot));
    }

    /// The current snapshot.
    pub fn load(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// A reader for one core: checking for news costs one relaxed load.
    pub fn reader(&self) -> Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>> {
        Cache::new(Arc::clone(&self.0))
    }
}
