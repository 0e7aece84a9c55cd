//! Keeps spending on plan: every few seconds it tells [`Steering`] what was spent, and keeps its state on disk, so that a
//! restart in mid-day goes on where it was.

use super::notice::Delivery;
use super::state::Shared;
use crate::engine::{Steering, Told, Won};
use crate::model::ids::LineItemId;
use crate::model::line_item::{LineItem, Strategy};
use crate::model::money::Nanos;
use crate::model::storage::Storage;
use crate::telemetry::catalogue;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;

const FILE: &str = "pacing.v1";
const DRAFT: &str = "pacing.tmp";

/// See the module.
pub struct Pacing(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    steering: Steering,
    storage: Option<Box<dyn Storage>>,
    failed: bool,
}

impl Default for Pacing {
    /// One that is not kept over a restart.
    fn default() -> Pacing {
        Pacing(Mutex::new(Kept::default()))
    }
}

impl Pacing {
    /// The one that is kept in `storage`. What cannot be read there is passed over with a warning: money does not depend
    /// on it, and every controller finds its level again within minutes.
    ///
    /// # Errors
    /// The disk refuses to be read.
    pub fn open(storage: Box<dyn Storage>) -> io::Result<Pacing> {
        let mut kept = Kept { storage: None, ..Kept::default() };
        if storage.list()?.iter().any(|name| name == FILE) {
            match Steering::from_bytes(&storage.read(FILE)?) {
                Ok(steering) => kept.steering = steering,
                Err(error) => tracing::warn!(%error, "{FILE} is not read; pacing begins anew"),
            }
        }
        kept.storage = Some(storage);
        Ok(Pacing(Mutex::new(kept)))
    }
}

impl Kept {
    /// Writes the state; the last whole one stays where a write fails.
    fn save(&self) -> io::Result<()> {
        let Some(storage) = &self.storage else { return Ok(()) };
        let bytes = self.steering.to_bytes();
        let mut file = storage.create(DRAFT, 0)?;
        file.write_at(0, &bytes)?;
        file.sync()?;
        storage.rename(DRAFT, FILE)?;
        storage.sync_dir()
    }
}

/// What pacing is told of a line item. What conversions a spend brought is not known here yet, so that targets of theirs
/// are not steered.
fn won(item: Option<&LineItem>, delivery: &Delivery) -> Won {
    let Delivery { billed, spend, losses, .. } = *delivery;
    let won = Won { billed, spend, losses, ..Won::default() };
    match item {
        Some(item) if item.strategy == Strategy::TargetCpc => {
            // A bid of a CPC is that many nanos for a click.
            let clicks = i64::try_from(delivery.clicks).unwrap_or(i64::MAX);
            let goal_allowed = Nanos(clicks.saturating_mul(item.bid.0));
            Won { goal_spent: spend, goal_allowed, goal_outcomes: delivery.clicks, ..won }
        }
        _ => won,
    }
}

impl Shared {
    /// Looks at what was spent and sets the levels of all line items. Blocks while the ledger answers and the disk writes.
    pub fn pace(&self) {
        let kept = &mut *self.pacing.0.lock();
        let catalog = Arc::clone(&self.snapshots.load().catalog);
        let won = |line_item: LineItemId| {
            let delivery = self.delivery.get(&line_item).map(|delivery| *delivery).unwrap_or_default();
            let item = catalog.line_item_ix(line_item).map(|ix| &catalog.line_item(ix).item);
            won(item, &delivery)
        };
        let told = Told {
            catalog: &catalog,
            ledger: &self.ledger,
            requests: self.metrics.decision_latency().count(),
            won: &won,
            now: self.clock.now(),
        };
        kept.steering.tick(&told);
        let figures = kept.steering.figures();
        self.metrics.gauge(catalogue::PACING_CONTROLLERS, &["paced"]).set(figures.controllers as f64);
        self.metrics.gauge(catalogue::PACING_CONTROLLERS, &["throttled"]).set(figures.throttled as f64);
        match kept.save() {
            Ok(()) => kept.failed = false,
            Err(error) if !kept.failed => {
                tracing::error!(%error, "the state of pacing is not on the disk; a restart would begin it anew");
                kept.failed = true;
            }
            Err(_) => {}
        }
    }
}
