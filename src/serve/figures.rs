//! The ledger's figures, and the admin API's, for metrics and readiness: one look at the writer, however many figures there are, without
//! waiting for a commit. A journal without space, or a disk that does not answer, must not silence the scrape.

use super::admin::ApiFigures;
use super::state::Shared;
use crate::budget::{CurrencySums, ExchangeReport, GateState, HouseTotals, LedgerWriter, Stop};
use crate::engine::Catalog;
use crate::model::clock::Now;
use crate::model::ids::ExchangeId;
use crate::model::money::{Currency, Nanos};
use crate::telemetry::catalogue;
use crate::telemetry::metrics::Metrics;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a scrape waits for the ledger; then it shows what the last one saw.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the writer showed.
pub(super) struct Figures {
    pub(super) sums: BTreeMap<Currency, CurrencySums>,
    held: BTreeMap<Currency, i128>,
    house: BTreeMap<Option<Currency>, HouseTotals>,
    exchanges: Vec<ExchangeReport>,
    /// Kill switches of all, exchanges, advertisers, campaigns.
    stops: [u32; 4],
    runaways: u64,
    lsn: u64,
    full: bool,
}

impl Figures {
    /// Looks at the ledger; `None` where it does not answer in time.
    pub(super) async fn look(shared: &Arc<Shared>) -> Option<Figures> {
        let shared = Arc::clone(shared);
        // The ledger's thread answers between two commits: no serving thread waits for a disk.
        let look = tokio::task::spawn_blocking(move || {
            let now = shared.clock.now();
            shared.ledger.attempt(move |writer| Ok(Figures::of(writer, now))).ok().flatten()
        });
        tokio::time::timeout(PATIENCE, look).await.ok()?.ok()?
    }

    fn of(writer: &LedgerWriter, now: Now) -> Figures {
        let books = writer.books();
        let mut stops = [0; 4];
        for stop in books.stops() {
            let scope = match stop {
                Stop::All => 0,
                Stop::Exchange(_) => 1,
                Stop::Advertiser(_) => 2,
                Stop::Campaign(_) => 3,
            };
            stops[scope] += 1;
        }
        Figures {
            sums: books.sums(),
            held: writer.held_by_currency(),
            house: books.house_by_currency(),
            exchanges: writer.exchange_reports(now),
            stops,
            runaways: writer.runaways(),
            lsn: writer.durable_lsn(),
            full: writer.is_full(),
        }
    }

    /// Sets the metrics.
    pub(super) fn export(&self, metrics: &Metrics, catalog: &Catalog) {
        let gauge = |def, labels: &[&str], value: f64| metrics.gauge(def, labels).set(value);
        for (currency, sums) in &self.sums {
            let labels = [currency.as_str()];
            gauge(catalogue::LEDGER_GRANTED, &labels, sums.leased as f64);
            gauge(catalogue::LEDGER_POSTED, &labels, sums.posted as f64);
            gauge(catalogue::LEDGER_IN_DOUBT, &labels, sums.in_doubt as f64);
            let held = self.held.get(currency).copied().unwrap_or(0);
            gauge(catalogue::LEDGER_HELD, &labels, held as f64);
        }
        for (currency, totals) in &self.house {
            let currency = currency.as_ref().map_or("unknown", Currency::as_str);
            let HouseTotals { overdelivery, overprice, stale } = *totals;
            for (account, amount) in
                [("overdelivery", overdelivery), ("overprice", overprice), ("stale", stale)]
            {
                gauge(catalogue::LEDGER_HOUSE, &[account, currency], amount.0 as f64);
            }
        }
        for (scope, count) in ["all", "exchange", "advertiser", "campaign"].into_iter().zip(self.stops) {
            gauge(catalogue::LEDGER_KILL_SWITCHES, &[scope], f64::from(count));
        }
        metrics.counter(catalogue::LEDGER_RUNAWAYS, &[]).absolute(self.runaways);
        gauge(catalogue::LEDGER_LSN, &[], self.lsn as f64);
        gauge(catalogue::LEDGER_JOURNAL_FULL, &[], flag(self.full));
        for report in &self.exchanges {
            // A contract stays with the ledger when its exchange has left the catalog.
            if let Some(profile) = catalog.exchange_by_id(report.exchange) {
                export_exchange(report, &profile.name, profile.currency, metrics);
            }
        }
    }
}

/// What the API counts of those who want to come in.
pub(super) fn export_api(api: ApiFigures, metrics: &Metrics) {
    for (outcome, count) in [
        ("accepted", api.logins_accepted),
        ("refused", api.logins_refused),
        ("slowed", api.logins_slowed),
        ("busy", api.logins_busy),
    ] {
        metrics.counter(catalogue::ADMIN_LOGINS, &[outcome]).absolute(count);
    }
    for (outcome, count) in [("refused", api.keys_refused), ("slowed", api.keys_slowed)] {
        metrics.counter(catalogue::ADMIN_WRONG_KEYS, &[outcome]).absolute(count);
    }
    metrics.counter(catalogue::ADMIN_PASSWORD_HASHES, &[]).absolute(api.password_hashes);
}

fn export_exchange(report: &ExchangeReport, name: &str, currency: Currency, metrics: &Metrics) {
    let gauge = |def, labels: &[&str], value: f64| metrics.gauge(def, labels).set(value);
    for state in [GateState::Open, GateState::Probing, GateState::Stopped] {
        gauge(catalogue::EXCHANGE_GATE, &[name, state.as_str()], flag(report.state == state));
    }
    gauge(catalogue::EXCHANGE_DEAF, &[name], flag(report.is_deaf));
    gauge(catalogue::EXCHANGE_ON_TRIAL, &[name], flag(report.trial_left.is_some()));
    for (def, amount) in [
        (catalogue::EXCHANGE_TRIAL_LEFT, report.trial_left.unwrap_or_default()),
        (catalogue::EXCHANGE_HOUSE_TODAY, report.house_today),
        (catalogue::EXCHANGE_HOUSE_LIMIT, report.house_limit),
        (catalogue::EXCHANGE_HOUSE_BOUND, report.bound),
    ] {
        gauge(def, &[name, currency.as_str()], amount.0 as f64);
    }
    metrics.counter(catalogue::EXCHANGE_TRIPS, &[name]).absolute(report.trips);
    metrics.counter(catalogue::EXCHANGE_EAR, &[name]).absolute(u64::from(report.ear_s));
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// What the writer shows for `GET /v1/ledger`, all of it at one record.
pub(super) struct Whole {
    /// The last durable record.
    pub(super) lsn: u64,
    /// The books at exactly that record.
    pub(super) image: Vec<u8>,
    pub(super) held: BTreeMap<Currency, i128>,
    pub(super) held_by_exchange: BTreeMap<ExchangeId, Nanos>,
    pub(super) exchanges: Vec<ExchangeReport>,
    pub(super) runaways: u64,
    pub(super) full: bool,
}

impl Whole {
    /// Only right after a commit: then nothing is decided that is not durable.
    pub(super) fn of(writer: &LedgerWriter, now: Now) -> Whole {
        Whole {
            lsn: writer.durable_lsn(),
            image: writer.books().image(),
            held: writer.held_by_currency(),
            held_by_exchange: writer.held_by_exchange(),
            exchanges: writer.exchange_reports(now),
            runaways: writer.runaways(),
            full: writer.is_full(),
        }
    }
}
