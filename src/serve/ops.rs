//! The operations listener: `/healthz` (the process lives), `/readyz` (it may be sent traffic), `/metrics`,
//! `/version`.

use super::figures::{Figures, export_api};
use super::http::{Answer, Handler, answer, empty};
use super::ledger_view::decimal;
use super::state::{Phase, Shared};
use crate::engine::Catalog;
use crate::telemetry::catalogue;
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

/// Answers the operations listener.
pub(super) struct OpsHandler {
    shared: Arc<Shared>,
}

impl OpsHandler {
    pub(super) fn new(shared: Arc<Shared>) -> OpsHandler {
        OpsHandler { shared }
    }

    /// 200 only while serving, with every check by name.
    async fn ready(&self) -> Answer {
        let figures = Figures::look(&self.shared).await;
        let catalog = Arc::clone(&self.shared.snapshots.load().catalog);
        let phase = self.shared.phase();
        let mut checks = serde_json::json!({
            "catalog": format!("version {}, {} line items", catalog.version, catalog.line_items().len()),
            "audience": format!("{} users", self.shared.audience().stats().base_users),
            "ledger": if self.shared.ledger.is_full() {
                "no space for the journal: nothing is leased, bills are refused; free some".to_owned()
            } else {
                format!("boot epoch {}", self.shared.ledger.epoch())
            },
            "phase": format!("{phase:?}").to_lowercase(),
        });
        // For people: neither of them makes the process less ready.
        if let Some(in_doubt) = figures.and_then(|figures| in_doubt(&figures)) {
            checks["in_doubt"] = in_doubt.into();
        }
        if let Some(step_ms) = self.pending_step_ms() {
            let text =
                format!("the wall clock stepped by {step_ms} ms; POST /v1/clock:adopt_step if it is right");
            checks["clock"] = text.into();
        }
        let ready = phase == Phase::Serving && !self.shared.ledger.is_full();
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        json(status, &serde_json::json!({ "ready": ready, "checks": checks }))
    }

    fn pending_step_ms(&self) -> Option<i64> {
        self.shared.wall.as_ref().and_then(|wall| wall.pending_step_ms())
    }

    async fn metrics(&self) -> Answer {
        let figures = Figures::look(&self.shared).await;
        let catalog = Arc::clone(&self.shared.snapshots.load().catalog);
        if let Some(figures) = figures {
            figures.export(&self.shared.metrics, &catalog);
        }
        if let Some(api) = self.shared.api() {
            export_api(api.figures(), &self.shared.metrics);
        }
        self.refresh(&catalog);
        super::record::show(&self.shared);
        answer(StatusCode::OK, "text/plain; version=0.0.4", self.shared.metrics.render())
    }

    /// Gauges that are read off at scrape time.
    fn refresh(&self, catalog: &Catalog) {
        let shared = &*self.shared;
        let active = catalog.line_items().iter().filter(|line| line.active).count();
        let gauge = |def, labels: &[&str], value: f64| shared.metrics.gauge(def, labels).set(value);
        gauge(catalogue::CATALOG_LINE_ITEMS, &["active"], active as f64);
        gauge(catalogue::CATALOG_LINE_ITEMS, &["inactive"], (catalog.line_items().len() - active) as f64);
        gauge(catalogue::READY, &[], f64::from(u8::from(shared.phase() == Phase::Serving)));
        gauge(catalogue::CLOCK_PENDING_STEP, &[], self.pending_step_ms().unwrap_or(0) as f64 / 1e3);
        let stats = shared.audience().stats();
        gauge(catalogue::AUDIENCE_USERS, &[], (stats.base_users + stats.overlay_users) as f64);
        let shown = shared.frequency.counts();
        gauge(catalogue::FREQUENCY_USERS, &[], shown.users as f64);
        shared.metrics.counter(catalogue::FREQUENCY_LATE, &[]).absolute(shown.late);
        shared.metrics.counter(catalogue::FREQUENCY_FULL, &[]).absolute(shown.full);
        for (part, bytes) in [
            ("records", stats.blob_bytes),
            ("offsets", stats.offset_bytes),
            ("shards", stats.shard_bytes),
            ("overlay", stats.overlay_bytes_estimate),
            ("filter", stats.filter_bytes),
            ("links", stats.link_bytes_estimate),
        ] {
            gauge(catalogue::AUDIENCE_BYTES, &[part], bytes as f64);
        }
    }
}

/// What a recovery left in doubt, in words.
fn in_doubt(figures: &Figures) -> Option<String> {
    let doubtful = figures.sums.iter().filter(|(_, sums)| sums.in_doubt != 0);
    let amounts: Vec<String> =
        doubtful.map(|(currency, sums)| format!("{} {currency}", decimal(sums.in_doubt))).collect();
    let amounts = (!amounts.is_empty()).then(|| amounts.join(", "))?;
    Some(format!("{amounts} of bids of earlier runs may still be billed; it returns by itself"))
}

impl Handler for OpsHandler {
    type Body = http_body_util::Full<bytes::Bytes>;

    async fn handle(self: Rc<Self>, request: Request<Incoming>, _peer: SocketAddr) -> Answer {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return empty(StatusCode::METHOD_NOT_ALLOWED);
        }
        match request.uri().path() {
            "/healthz" => answer(StatusCode::OK, "text/plain", "ok\n"),
            "/readyz" => self.ready().await,
            "/metrics" => self.metrics().await,
            "/version" => json(StatusCode::OK, &serde_json::json!({ "version": env!("CARGO_PKG_VERSION") })),
            _ => empty(StatusCode::NOT_FOUND),
        }
    }
}

/// An answer in JSON.
pub(super) fn json(status: StatusCode, value: &serde_json::Value) -> Answer {
    answer(status, "application/json", format!("{value}\n"))
}
