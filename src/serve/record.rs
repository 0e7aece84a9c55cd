//! What the event log keeps of bids and notices, made from what is at hand when they are answered.

use super::state::Shared;
use crate::events::Ring;
use crate::model::auction::Auction;
use crate::model::bid::Bid;
use crate::model::event::{BidMade, Event, NoBid, NoticeEvent, Noticed, Place, What};
use crate::model::ids::ExchangeId;
use crate::model::money::Cpm;
use crate::model::no_bid::NoBidReason;
use crate::model::token::TokenClaims;
use crate::telemetry::catalogue;
use crate::telemetry::hot::CoreMetrics;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// A click is answered after this at the latest, whatever the disk does: who clicked is waiting.
const PATIENCE: Duration = Duration::from_millis(250);

/// The bids of one core.
pub(super) struct Recorder {
    ring: Option<Ring>,
    metrics: Arc<CoreMetrics>,
}

impl Recorder {
    pub(super) fn new(shared: &Shared, core: u16, metrics: Arc<CoreMetrics>) -> Recorder {
        Recorder { ring: shared.events.as_ref().map(|log| log.ring(usize::from(core))), metrics }
    }

    /// Bids that are on their way.
    pub(super) fn bids<'b>(
        &self,
        auction: &Auction<'_>,
        bids: impl Iterator<Item = &'b Bid<'b>>,
        at_ms: i64,
    ) {
        let Some(ring) = &self.ring else { return };
        let place = Place::of(auction);
        for bid in bids {
            let what = What::Bid(BidMade::of(bid, place));
            self.push(ring, Event { at_ms, what });
        }
    }

    /// A request without a bid.
    pub(super) fn no_bid(
        &self,
        auction: &Auction<'_>,
        exchange: ExchangeId,
        reason: NoBidReason,
        at_ms: i64,
    ) {
        let Some(ring) = &self.ring else { return };
        let what = What::NoBid(NoBid { exchange, reason, place: Place::of(auction) });
        self.push(ring, Event { at_ms, what });
    }

    fn push(&self, ring: &Ring, event: Event) {
        if !ring.push(event) {
            self.metrics.dropped_events.inc();
        }
    }
}

/// A notice that counted; nobody waits for its record.
pub(super) fn notice(shared: &Shared, kind: NoticeEvent, claims: &TokenClaims, min_to_win: Option<Cpm>) {
    if let Some(log) = &shared.events {
        log.record(noticed(shared, kind, claims, min_to_win), None);
    }
}

/// A click: its record is durable before the answer, as long as the disk answers.
pub(super) async fn click(shared: &Shared, claims: &TokenClaims) {
    let Some(log) = &shared.events else { return };
    let (sender, receiver) = oneshot::channel();
    let confirm = Box::new(move |kept| {
        // Nobody may wait any more.
        let _late = sender.send(kept);
    });
    log.record(noticed(shared, NoticeEvent::Click, claims, None), Some(confirm));
    if !matches!(tokio::time::timeout(PATIENCE, receiver).await, Ok(Ok(true))) {
        shared.metrics.counter(catalogue::EVENTS_UNCONFIRMED, &["click"]).increment(1);
    }
}

fn noticed(shared: &Shared, kind: NoticeEvent, claims: &TokenClaims, min_to_win: Option<Cpm>) -> Event {
    let now = shared.clock.now();
    let after_s = u32::try_from(now.unix_s() - i64::from(claims.issued_s)).unwrap_or(0);
    let what = What::Notice(Noticed::of(kind, claims, after_s, min_to_win));
    Event { at_ms: now.unix_ms, what }
}

/// Shows what the log holds.
pub(super) fn show(shared: &Shared) {
    use crate::events::LogName;
    let Some(log) = &shared.events else { return };
    let metrics = &shared.metrics;
    for (kind, written) in log.written() {
        metrics.counter(catalogue::EVENTS, &[kind.as_str()]).absolute(written);
    }
    for (kind, lost) in log.lost() {
        metrics.counter(catalogue::EVENTS_LOST, &[kind.as_str()]).absolute(lost);
    }
    metrics.counter(catalogue::EVENTS_OVERTAKEN, &[]).absolute(log.overtaken());
    for name in LogName::ALL {
        let (bytes, segments) = log.size(name);
        metrics.gauge(catalogue::EVENTS_BYTES, &[name.as_str()]).set(bytes as f64);
        metrics.gauge(catalogue::EVENTS_SEGMENTS, &[name.as_str()]).set(segments as f64);
    }
    metrics.gauge(catalogue::EVENTS_FAILED, &[]).set(f64::from(u8::from(log.is_failed())));
}
