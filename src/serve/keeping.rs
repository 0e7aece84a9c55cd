//! Keeping the audience and what people were shown: its log is synced, its overlay folded into the base, tiers of customers are moved, and the whole
//! is saved when the log has grown or somebody was erased.

use super::state::{Phase, Shared};
use crate::audience::SYNC_EVERY_MS;
use crate::telemetry::catalogue;
use std::sync::Arc;
use std::time::Duration;

/// One shard of the index is merged every so many ticks of [`SYNC_EVERY_MS`].
const TICKS_PER_MERGE: u64 = 10;
/// Tiers are looked at every so many ticks: once a minute.
const TICKS_PER_SWEEP: u64 = 600;
/// The whole is saved when the log has this many bytes.
const LOG_BYTES: u64 = 64 << 20;
/// After a save that failed, the next try comes so many ticks later.
const TICKS_AFTER_FAILURE: u64 = 600;

/// Runs until the process closes, and then syncs once more. Blocks: give it a thread of its own.
pub(super) fn keep_audience(shared: &Arc<Shared>) {
    std::thread::scope(|scope| {
        let slow = std::thread::Builder::new().name("audience-base".to_owned());
        if let Err(error) = slow.spawn_scoped(scope, || keep_base(shared)) {
            tracing::error!(%error, "no thread folds the audience; its overlay grows");
        }
        let (mut failed, mut shown_failed) = (false, false);
        loop {
            let closing = shared.phase() >= Phase::Closing;
            match shared.frequency.sync() {
                Ok(()) => shown_failed = false,
                Err(error) if !shown_failed => {
                    tracing::error!(%error, "counted impressions are not on the disk until they are saved anew");
                    shown_failed = true;
                    shared.metrics.counter(catalogue::FREQUENCY_LOG_FAILURES, &[]).increment(1);
                }
                Err(_) => {}
            }
            match shared.people().sync() {
                Ok(()) => failed = false,
                Err(error) if !failed => {
                    tracing::error!(%error, "changes of the audience are not on the disk until it is saved anew");
                    failed = true;
                    shared.metrics.counter(catalogue::AUDIENCE_LOG_FAILURES, &[]).increment(1);
                }
                Err(_) => {}
            }
            if closing {
                return;
            }
            std::thread::sleep(Duration::from_millis(SYNC_EVERY_MS));
        }
    });
}

/// What takes long: merges, sweeps, saves.
fn keep_base(shared: &Shared) {
    if let Err(error) = rustix::process::nice(10) {
        tracing::debug!(%error, "the audience is kept at the usual priority");
    }
    let (mut ticks, mut not_before, mut shown_not_before) = (0u64, 0, 0);
    while shared.phase() < Phase::Closing {
        std::thread::sleep(Duration::from_millis(SYNC_EVERY_MS));
        ticks += 1;
        let now_s = shared.clock.now().unix_s();
        let people = shared.people();
        if ticks.is_multiple_of(TICKS_PER_MERGE) {
            let index = people.index();
            let shard = (ticks / TICKS_PER_MERGE) as usize % index.shard_count();
            if let Err(error) = index.merge_shard(shard, now_s) {
                tracing::warn!(%error, shard, "an audience shard was not merged; its overlay stays");
            }
        }
        if ticks.is_multiple_of(TICKS_PER_SWEEP) {
            let plan = Arc::clone(shared.snapshots.load().catalog.behaviour());
            people.expire_erasures(now_s);
            let swept = people.sweep(&plan, now_s);
            if swept.refused > 0 {
                tracing::warn!(refused = swept.refused, "customers have too many segments for their tiers");
            }
        }
        if ticks.is_multiple_of(TICKS_PER_SWEEP) {
            shared.frequency.expire(now_s.clamp(0, i64::from(u32::MAX)) as u32);
        }
        if shared.frequency.wants_save()
            && ticks >= shown_not_before
            && let Err(error) = shared.frequency.save()
        {
            tracing::error!(%error, "how often people were shown what was not saved; its log grows");
            shown_not_before = ticks + TICKS_AFTER_FAILURE;
        }
        let due = people.logged_bytes() > LOG_BYTES || people.wants_save();
        if due && ticks >= not_before {
            let saved = people.index().merge(now_s).and_then(|()| people.save());
            if let Err(error) = saved {
                tracing::error!(%error, "the audience was not saved; its log grows");
                not_before = ticks + TICKS_AFTER_FAILURE;
            }
        }
    }
}
