//! Keeps spending on plan: every few seconds it tells [`Steering`] what was spent, and keeps its state on disk, so that a
//! restart in mid-day goes on where it was.

use super::notice::Delivery;
use super::state::Shared;
use crate::budget::Purse;
use crate::engine::{Steering, Told, Won};
use crate::model::funnel::Progress;
use crate::model::ids::LineItemId;
use crate::model::line_item::{LineItem, Strategy};
use crate::model::money::{Nanos, PPM};
use crate::model::storage::{Storage, replace};
use crate::telemetry::catalogue;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

const FILE: &str = "pacing.v1";
const DRAFT: &str = "pacing.tmp";

/// See the module.
pub struct Pacing(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    steering: Steering,
    /// Of line items with a target.
    spends: BTreeMap<LineItemId, Spends>,
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

    /// Puts a state into `storage` for [`Pacing::open`] to begin with.
    ///
    /// # Errors
    /// The disk refuses to be written.
    pub fn write(steering: Steering, storage: Box<dyn Storage>) -> io::Result<()> {
        Kept { steering, storage: Some(storage), ..Kept::default() }.save()
    }
}

impl Kept {
    /// Writes the state; the last whole one stays where a write fails.
    fn save(&self) -> io::Result<()> {
        let Some(storage) = &self.storage else { return Ok(()) };
        replace(&**storage, DRAFT, FILE, &self.steering.to_bytes())
    }
}

/// What a line item had spent by when, so that conversions are held against the spend that they are of: they come later.
#[derive(Debug, Default)]
struct Spends(VecDeque<(i64, Nanos)>);

/// One sample of it so often …
const SAMPLE_MS: i64 = 5 * 60_000;
/// … and so many of them: a week.
const SAMPLES: usize = 7 * 24 * 12;

impl Spends {
    fn note(&mut self, now_ms: i64, spend: Nanos) {
        if self.0.back().is_none_or(|(at_ms, _)| now_ms - at_ms >= SAMPLE_MS) {
            if self.0.len() == SAMPLES {
                self.0.pop_front();
            }
            self.0.push_back((now_ms, spend));
        }
    }

    /// What was spent by then; before the first sample nothing.
    fn by(&self, at_ms: i64) -> Nanos {
        let known = self.0.partition_point(|(sampled_ms, _)| *sampled_ms <= at_ms);
        known.checked_sub(1).map_or(Nanos(0), |last| self.0[last].1)
    }
}

/// What pacing is told of a line item. Clicks come within seconds; conversions are held against what was spent as long ago as
/// they take to come on average, so that what is young looks neither dear nor cheap.
fn won(item: Option<&LineItem>, delivery: &Delivery, spends: &Spends, now_ms: i64) -> Won {
    let Delivery { billed, spend, losses, .. } = *delivery;
    let won = Won { billed, spend, losses, ..Won::default() };
    let Some(item) = item else { return won };
    let times = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    // A bid of a CPC or a CPA is that many nanos for one; that of a ROAS is its ratio in millionths.
    let (goal_outcomes, goal_allowed) = match item.strategy {
        Strategy::TargetCpc => (delivery.clicks, times(delivery.clicks).saturating_mul(item.bid.0)),
        Strategy::TargetCpa => (delivery.conversions, times(delivery.conversions).saturating_mul(item.bid.0)),
        Strategy::TargetRoas => {
            let allowed = i128::from(delivery.revenue.0) * i128::from(PPM) / i128::from(item.bid.0.max(1));
            (delivery.conversions, i64::try_from(allowed).unwrap_or(i64::MAX))
        }
        _ => return won,
    };
    let delay_s = match item.strategy {
        Strategy::TargetCpc => 0,
        _ => delivery.conversion_delay_s.checked_div(delivery.conversions).unwrap_or(FIRST_DELAY_S),
    };
    let goal_spent = if delay_s == 0 { spend } else { spends.by(now_ms - times(delay_s) * 1_000) };
    Won { goal_spent, goal_allowed: Nanos(goal_allowed), goal_outcomes, ..won }
}

/// Conversions take so long to come while none has.
const FIRST_DELAY_S: u64 = 3_600;

impl Shared {
    /// How far the budgets that are spread were spent when [`Shared::pace`] looked last.
    pub(super) fn progress(&self) -> BTreeMap<Purse, Progress> {
        self.pacing.0.lock().steering.progress().collect()
    }

    /// Looks at what was spent and sets the levels of all line items. Blocks while the ledger answers and the disk writes.
    pub fn pace(&self) {
        let kept = &mut *self.pacing.0.lock();
        let catalog = Arc::clone(&self.snapshots.load().catalog);
        let now = self.clock.now();
        let delivery =
            |line_item| self.delivery.get(&line_item).map(|delivery| *delivery).unwrap_or_default();
        let targets = catalog.line_items().iter().filter(|line| line.item.strategy.has_target());
        let mut before = std::mem::take(&mut kept.spends);
        for line in targets {
            let mut spends = before.remove(&line.item.id).unwrap_or_default();
            spends.note(now.unix_ms, delivery(line.item.id).spend);
            kept.spends.insert(line.item.id, spends);
        }
        let (none, spends) = (Spends::default(), &kept.spends);
        let won = |line_item: LineItemId| {
            let item = catalog.line_item_ix(line_item).map(|ix| &catalog.line_item(ix).item);
            let spends = spends.get(&line_item).unwrap_or(&none);
            won(item, &delivery(line_item), spends, now.unix_ms)
        };
        let told = Told {
            catalog: &catalog,
            ledger: &self.ledger,
            requests: self.metrics.decision_latency().count(),
            won: &won,
            now,
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
