//! The background work of a server, away from the serving cores: checking caps on open holds, keeping the audience, learning.
//! The ledger has a thread of its own.

use super::funnel::keep_funnel;
use super::keeping::keep_audience;
use super::learning::keep_learning;
use super::state::{Phase, Shared};
use crate::budget::TOKEN_LIFE_S;
use crate::engine::TICK_MS;
use crate::model::exchange::ExchangeProfile;
use crate::model::ids::ExchangeId;
use crate::telemetry::catalogue;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Caps on open holds are checked this often (money.md 2.7).
const TICK: Duration = Duration::from_millis(100);
/// Spending is looked at every so many ticks.
const TICKS_PER_PACING: u64 = TICK_MS as u64 / TICK.as_millis() as u64;
/// Bids that are too old for a notice are forgotten every so many ticks.
const TICKS_PER_FORGETTING: u64 = 600;

/// Runs until the process closes. Blocks: give it a thread of its own.
pub fn maintain(shared: &Arc<Shared>) {
    let people = Arc::clone(shared);
    let keeper =
        std::thread::Builder::new().name("audience".to_owned()).spawn(move || keep_audience(&people));
    if let Err(error) = &keeper {
        tracing::error!(%error, "no thread keeps the audience: its changes are lost at the next stop");
    }
    let learning = Arc::clone(shared);
    let learner =
        std::thread::Builder::new().name("learning".to_owned()).spawn(move || keep_learning(&learning));
    if let Err(error) = &learner {
        tracing::error!(%error, "no thread learns: prices and probabilities stay as they are");
    }
    let counting = Arc::clone(shared);
    let counter = std::thread::Builder::new().name("funnel".to_owned()).spawn(move || keep_funnel(&counting));
    if let Err(error) = &counter {
        tracing::error!(%error, "no thread keeps the funnel: nothing is known of requests without a bid");
    }
    let mut ticks = 0u64;
    while shared.phase() < Phase::Closing {
        std::thread::sleep(TICK);
        ticks += 1;
        let now = shared.clock.now();
        shared.metrics.counter(catalogue::LEDGER_EXPIRED_HOLDS, &[]).absolute(shared.ledger.expired());
        if ticks.is_multiple_of(TICKS_PER_FORGETTING) {
            let oldest_s = (now.unix_s() - i64::from(TOKEN_LIFE_S)).clamp(0, i64::from(u32::MAX)) as u32;
            shared.seen.lock().drop_before(oldest_s);
            shared.played.lock().drop_before(oldest_s);
        }
        if ticks.is_multiple_of(TICKS_PER_PACING) {
            shared.pace();
        }
        check_open_holds(shared);
        shared.snapshots.expire_rates(now);
    }
    // What it counted last is on disk before the process ends.
    if counter.is_ok_and(|counter| counter.join().is_err()) {
        tracing::error!("the thread that keeps the funnel broke");
    }
}

/// Finds the exchanges whose open holds are over their cap.
fn check_open_holds(shared: &Shared) {
    let catalog = Arc::clone(&shared.snapshots.load().catalog);
    let capped: Vec<&ExchangeProfile> =
        catalog.exchanges().iter().filter(|profile| profile.max_open_holds.is_some()).collect();
    if capped.is_empty() {
        return;
    }
    let held = shared.ledger.held_by_exchange();
    let over: BTreeSet<ExchangeId> = capped
        .into_iter()
        .filter(|profile| held.get(&profile.id) > profile.max_open_holds.as_ref())
        .map(|profile| profile.id)
        .collect();
    if **shared.over_open_holds.load() != over {
        tracing::warn!(?over, "exchanges over their cap on open holds changed");
        shared.over_open_holds.store(Arc::new(over));
    }
}
