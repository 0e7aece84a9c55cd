//! What serving cores read: parts that are rebuilt in the background, each on its own cadence, and published whole.

use super::catalog::Catalog;
use crate::model::clock::Now;
use crate::model::rates::Rates;
use arc_swap::{ArcSwap, Cache};
use parking_lot::Mutex;
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

/// Where snapshots are published, part by part: a part that is published leaves the others as they are.
///
/// Invariant: a core never frees a catalog, which may take a tenth of a second: whoever publishes keeps the one before
/// until nobody else has it ([`SnapshotCell::sweep`]).
#[derive(Debug)]
pub struct SnapshotCell {
    current: Arc<ArcSwap<Snapshot>>,
    /// Catalogs that were published before. Publishing is one at a time.
    retired: Mutex<Vec<Arc<Catalog>>>,
}

impl SnapshotCell {
    /// A cell that shows `snapshot`.
    pub fn new(snapshot: Snapshot) -> SnapshotCell {
        SnapshotCell { current: Arc::new(ArcSwap::from_pointee(snapshot)), retired: Mutex::default() }
    }

    /// Publishes a catalog; requests under way finish on the one they hold.
    pub fn publish_catalog(&self, catalog: Arc<Catalog>) {
        let mut retired = self.retired.lock();
        let before = self.current.load_full();
        self.current.store(Arc::new(Snapshot { catalog, rates: Arc::clone(&before.rates) }));
        retired.push(Arc::clone(&before.catalog));
    }

    /// Publishes exchange rates; of stale ones only their base is used.
    pub fn publish_rates(&self, rates: Arc<Rates>, now: Now) {
        let _one_at_a_time = self.retired.lock();
        let catalog = Arc::clone(&self.current.load().catalog);
        self.current.store(Arc::new(Snapshot::usable(catalog, rates, now)));
    }

    /// Takes rates that have become stale out of use.
    pub fn expire_rates(&self, now: Now) {
        if !self.current.load().rates.is_stale(now.unix_ms) {
            return;
        }
        let _one_at_a_time = self.retired.lock();
        let Snapshot { catalog, rates } = Snapshot::clone(&self.current.load());
        self.current.store(Arc::new(Snapshot::usable(catalog, rates, now)));
    }

    /// Frees, on the caller's thread, the catalogs that nobody uses any more; returns how many are still in use.
    pub fn sweep(&self) -> usize {
        let mut retired = self.retired.lock();
        // Who alone has it cannot be overtaken: it is no longer published, and there is none to copy it from.
        let unused: Vec<_> = retired.extract_if(.., |catalog| Arc::strong_count(catalog) == 1).collect();
        let used = retired.len();
        // Publishing does not wait for what is freed.
        drop(retired);
        drop(unused);
        used
    }

    /// The current snapshot.
    pub fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// A reader for one core: checking for news costs one relaxed load.
    pub fn reader(&self) -> Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>> {
        Cache::new(Arc::clone(&self.current))
    }
}
