//! What serving cores read: parts that are rebuilt in the background, each on its own cadence, and published whole.

use super::catalog::Catalog;
use crate::model::clock::Now;
use crate::model::rates::Rates;
use crate::pricing::learning::Tables;
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
    /// What was learned: best bids and probabilities.
    pub learned: Arc<Tables>,
}

impl Snapshot {
    /// A snapshot of an account of which nothing was learned so far; it converts nothing by rates that are stale.
    pub fn usable(catalog: Arc<Catalog>, rates: Arc<Rates>, now: Now) -> Snapshot {
        Snapshot { catalog, rates: usable(rates, now), learned: Arc::default() }
    }
}

/// Of stale rates only their base.
fn usable(rates: Arc<Rates>, now: Now) -> Arc<Rates> {
    if !rates.is_stale(now.unix_ms) {
        return rates;
    }
    tracing::error!("the exchange rates are too old; nothing is converted until rates.as_of is renewed");
    Arc::new(rates.without_others())
}

/// Where snapshots are published, part by part: a part that is published leaves the others as they are.
///
/// Invariant: a core never frees a catalog, which may take a tenth of a second, nor a large table: whoever publishes keeps
/// the one before until nobody else has it ([`SnapshotCell::sweep`]).
#[derive(Debug)]
pub struct SnapshotCell {
    current: Arc<ArcSwap<Snapshot>>,
    /// What was published before. Publishing is one at a time.
    retired: Mutex<Vec<Retired>>,
}

#[derive(Debug)]
enum Retired {
    Catalog(Arc<Catalog>),
    Learned(Arc<Tables>),
}

impl Retired {
    fn is_unused(&self) -> bool {
        // Who alone has it cannot be overtaken: it is no longer published, and there is none to copy it from.
        match self {
            Retired::Catalog(catalog) => Arc::strong_count(catalog) == 1,
            Retired::Learned(tables) => Arc::strong_count(tables) == 1,
        }
    }
}

impl SnapshotCell {
    /// A cell that shows `snapshot`.
    pub fn new(snapshot: Snapshot) -> SnapshotCell {
        SnapshotCell { current: Arc::new(ArcSwap::from_pointee(snapshot)), retired: Mutex::default() }
    }

    /// Publishes a catalog; requests under way finish on the one they hold.
    pub fn publish_catalog(&self, catalog: Arc<Catalog>) {
        self.publish(|before| {
            let retired = Retired::Catalog(Arc::clone(&before.catalog));
            (Snapshot { catalog, ..before.clone() }, Some(retired))
        });
    }

    /// Publishes exchange rates; of stale ones only their base is used.
    pub fn publish_rates(&self, rates: Arc<Rates>, now: Now) {
        self.publish(|before| (Snapshot { rates: usable(rates, now), ..before.clone() }, None));
    }

    /// Publishes what was learned.
    pub fn publish_learned(&self, learned: Arc<Tables>) {
        self.publish(|before| {
            let retired = Retired::Learned(Arc::clone(&before.learned));
            (Snapshot { learned, ..before.clone() }, Some(retired))
        });
    }

    /// Takes rates that have become stale out of use.
    pub fn expire_rates(&self, now: Now) {
        if self.current.load().rates.is_stale(now.unix_ms) {
            self.publish(|before| {
                (Snapshot { rates: usable(Arc::clone(&before.rates), now), ..before.clone() }, None)
            });
        }
    }

    /// Replaces one part; what comes back beside it is kept until nobody uses it.
    fn publish(&self, change: impl FnOnce(&Snapshot) -> (Snapshot, Option<Retired>)) {
        let mut retired = self.retired.lock();
        let (snapshot, old) = change(&self.current.load());
        self.current.store(Arc::new(snapshot));
        retired.extend(old);
    }

    /// Frees, on the caller's thread, the catalogs and tables that nobody uses any more; returns how many catalogs are still
    /// in use.
    pub fn sweep(&self) -> usize {
        let mut retired = self.retired.lock();
        let unused: Vec<_> = retired.extract_if(.., |part| part.is_unused()).collect();
        let used = retired.iter().filter(|part| matches!(part, Retired::Catalog(_))).count();
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
