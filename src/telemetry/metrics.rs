//! The registry of one process: cold metrics through handles of the `metrics` crate, the cores' hot counters, and the
//! text that Prometheus reads.
//!
//! The exporter of `metrics` keeps every histogram sample until it is drained, so no duration goes through it: all of
//! them are [`Histogram`]s of our own. Cold counters and gauges are registered once, and their handles kept; each is an
//! `Arc` to one atomic. The recorder is a field and not the process's global one, so that several registries can live
//! side by side.

use super::catalogue::{self, CATALOGUE, MetricDef, MetricKind};
use super::histogram::{Histogram, Snapshot};
use super::hot::{CoreMetrics, EXCHANGE_SLOTS, ExchangeSlot, Outcome, ParseError, Shed};
use crate::model::no_bid::NoBidReason;
use crate::model::restriction::Restriction;
use metrics::{Counter, Gauge, Key, Label, Level, Metadata, Recorder, SharedString};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use parking_lot::Mutex;
use std::fmt::Write as _;
use std::sync::Arc;

/// Upper bounds of exported buckets in nanoseconds; each is the edge of a bucket of [`Histogram`], so they are exact.
const BOUNDS_NS: [u64; 15] = [
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    80_000_000,
    100_000_000,
    200_000_000,
    1_000_000_000,
    5_000_000_000,
];

/// All metrics of one process.
pub struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    cores: Vec<Arc<CoreMetrics>>,
    /// Names by slot; slot 0 is everyone without one.
    exchanges: Mutex<Vec<String>>,
    notice_latency: Histogram,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").field("cores", &self.cores.len()).finish_non_exhaustive()
    }
}

impl Metrics {
    /// A registry for `cores` serving cores of the version `version`, started at `started_unix_s`.
    pub fn new(cores: usize, version: &str, started_unix_s: i64) -> Metrics {
        let recorder = PrometheusBuilder::new().build_recorder();
        for def in CATALOGUE {
            let help = SharedString::const_str(def.help);
            match def.kind {
                MetricKind::Counter => recorder.describe_counter(def.name.into(), None, help),
                MetricKind::Gauge => recorder.describe_gauge(def.name.into(), None, help),
                MetricKind::Histogram | MetricKind::Summary => {}
            }
        }
        let metrics = Metrics {
            handle: recorder.handle(),
            recorder,
            cores: (0..cores).map(|_| Arc::new(CoreMetrics::new())).collect(),
            exchanges: Mutex::new(vec!["other".to_owned()]),
            notice_latency: Histogram::new(),
        };
        metrics.gauge(catalogue::BUILD_INFO, &[version]).set(1);
        metrics.gauge(catalogue::START_TIME, &[]).set(started_unix_s as f64);
        metrics.gauge(catalogue::SERVING_CORES, &[]).set(cores as f64);
        metrics
    }

    /// The counters of one serving core.
    ///
    /// # Panics
    /// When `core` is not below the number that the registry was made for.
    pub fn core(&self, core: usize) -> Arc<CoreMetrics> {
        Arc::clone(&self.cores[core])
    }

    /// The place of an exchange's counters on every core. Asked for when a catalog is built, never on the bid path;
    /// the same name always has the same slot. When all slots are taken, the shared one.
    pub fn exchange_slot(&self, name: &str) -> ExchangeSlot {
        let mut names = self.exchanges.lock();
        let known = names.iter().position(|n| n == name);
        ExchangeSlot::new(known.unwrap_or_else(|| {
            if names.len() < EXCHANGE_SLOTS {
                names.push(name.to_owned());
                names.len() - 1
            } else {
                0
            }
        }))
    }

    /// A handle to a cold counter, to be kept by whoever counts.
    ///
    /// # Panics
    /// When `def` is no counter or has not as many labels as `values`: both are errors of the program.
    pub fn counter(&self, def: MetricDef, values: &[&str]) -> Counter {
        assert_eq!(def.kind, MetricKind::Counter, "{} is no counter", def.name);
        self.recorder.register_counter(&key(def, values), &metadata())
    }

    /// A handle to a gauge, to be kept by whoever sets it.
    ///
    /// # Panics
    /// When `def` is no gauge or has not as many labels as `values`: both are errors of the program.
    pub fn gauge(&self, def: MetricDef, values: &[&str]) -> Gauge {
        assert_eq!(def.kind, MetricKind::Gauge, "{} is no gauge", def.name);
        self.recorder.register_gauge(&key(def, values), &metadata())
    }

    /// Where the tracking side records how long notices take.
    pub fn notice_latency(&self) -> &Histogram {
        &self.notice_latency
    }

    /// How many serving cores there are.
    pub fn cores(&self) -> usize {
        self.cores.len()
    }

    /// The bid latency of all cores together.
    pub fn bid_latency(&self) -> Snapshot {
        self.merged(|core| &core.bid_latency)
    }

    /// The decision latency of all cores together.
    pub fn decision_latency(&self) -> Snapshot {
        self.merged(|core| &core.decision_latency)
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> String {
        let mut out = self.handle.render();
        self.render_exchanges(&mut out);
        let total = |of: &dyn Fn(&CoreMetrics) -> u64| self.cores.iter().map(|core| of(core)).sum::<u64>();
        family(&mut out, catalogue::NO_BIDS);
        for reason in NoBidReason::ALL {
            let count = total(&|core| core.no_bid(reason).get());
            line(&mut out, catalogue::NO_BIDS, &[reason.as_str()], count);
        }
        family(&mut out, catalogue::PRIVACY);
        for restriction in Restriction::ALL.into_iter().map(Some).chain([None]) {
            let count = total(&|core| core.restriction(restriction).get());
            let word = restriction.map_or("none", Restriction::as_str);
            line(&mut out, catalogue::PRIVACY, &[word], count);
        }
        family(&mut out, catalogue::PRIVACY_IGNORED);
        let ignored = total(&|core| core.us_privacy_ignored.get());
        line(&mut out, catalogue::PRIVACY_IGNORED, &["us_privacy"], ignored);
        family(&mut out, catalogue::SHED);
        for reason in Shed::ALL {
            line(&mut out, catalogue::SHED, &[reason.as_str()], total(&|core| core.shed(*reason).get()));
        }
        for (def, count) in [
            (catalogue::PANICS, total(&|core| core.panics.get())),
            (catalogue::DROPPED_EVENTS, total(&|core| core.dropped_events.get())),
            (catalogue::LEDGER_REFUSED_HOLDS, total(&|core| core.refused_holds.get())),
        ] {
            family(&mut out, def);
            line(&mut out, def, &[], count);
        }
        self.render_survivors(&mut out);
        histogram(&mut out, catalogue::BID_LATENCY, &self.bid_latency());
        histogram(&mut out, catalogue::DECISION_LATENCY, &self.decision_latency());
        histogram(&mut out, catalogue::NOTICE_LATENCY, &self.notice_latency.snapshot());
        out
    }

    fn render_exchanges(&self, out: &mut String) {
        let names = self.exchanges.lock().clone();
        let total = |slot: usize, of: &dyn Fn(&super::hot::ExchangeCounts) -> u64| {
            self.cores.iter().map(|core| of(core.exchange(ExchangeSlot::new(slot)))).sum::<u64>()
        };
        family(out, catalogue::BID_REQUESTS);
        for (slot, name) in names.iter().enumerate() {
            for outcome in Outcome::ALL {
                let count = total(slot, &|counts| counts.outcome(*outcome).get());
                line(out, catalogue::BID_REQUESTS, &[name, outcome.as_str()], count);
            }
        }
        family(out, catalogue::BIDS);
        for (slot, name) in names.iter().enumerate() {
            line(out, catalogue::BIDS, &[name], total(slot, &|counts| counts.bids.get()));
        }
        family(out, catalogue::PARSE_ERRORS);
        for (slot, name) in names.iter().enumerate() {
            for kind in ParseError::ALL {
                let count = total(slot, &|counts| counts.parse_error(*kind).get());
                line(out, catalogue::PARSE_ERRORS, &[name, kind.as_str()], count);
            }
        }
    }

    fn render_survivors(&self, out: &mut String) {
        let mut sums = [0u64; 257];
        self.cores.iter().for_each(|core| core.survivors.add_to(&mut sums));
        let impressions: u64 = sums.iter().sum();
        family(out, catalogue::SURVIVORS);
        for (label, per_mille) in [("0.5", 500), ("0.9", 900), ("0.99", 990)] {
            let rank = (impressions * per_mille).div_ceil(1_000);
            let mut seen = 0;
            let found = sums.iter().position(|count| {
                seen += count;
                seen >= rank.max(1)
            });
            if let Some(survivors) = found {
                let _ = writeln!(out, "{}{{quantile=\"{label}\"}} {survivors}", catalogue::SURVIVORS.name);
            }
        }
        let total: u64 = (0u64..).zip(&sums).map(|(survivors, count)| survivors * count).sum();
        let _ = writeln!(out, "{0}_sum {total}\n{0}_count {impressions}", catalogue::SURVIVORS.name);
    }

    fn merged(&self, of: impl Fn(&CoreMetrics) -> &Histogram) -> Snapshot {
        let mut sum = Snapshot::default();
        self.cores.iter().for_each(|core| sum.add(of(core)));
        sum
    }
}

fn metadata() -> Metadata<'static> {
    Metadata::new("outbid", Level::INFO, None)
}

fn key(def: MetricDef, values: &[&str]) -> Key {
    assert_eq!(def.labels.len(), values.len(), "{} has the labels {:?}", def.name, def.labels);
    let labels = def.labels.iter().zip(values).map(|(name, value)| Label::new(*name, (*value).to_owned()));
    Key::from_parts(def.name, labels.collect::<Vec<_>>())
}

/// The two lines that begin a metric.
fn family(out: &mut String, def: MetricDef) {
    let kind = match def.kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram => "histogram",
        MetricKind::Summary => "summary",
    };
    let _ = write!(out, "# HELP {0} {1}\n# TYPE {0} {kind}\n", def.name, def.help);
}

fn line(out: &mut String, def: MetricDef, values: &[&str], count: u64) {
    out.push_str(def.name);
    for (index, (name, value)) in def.labels.iter().zip(values).enumerate() {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(out, "{}{name}=\"{value}\"", if index == 0 { '{' } else { ',' });
    }
    let _ = writeln!(out, "{} {count}", if def.labels.is_empty() { "" } else { "}" });
}

fn histogram(out: &mut String, def: MetricDef, snapshot: &Snapshot) {
    family(out, def);
    let seconds = |ns: u64| ns as f64 / 1e9;
    for bound in BOUNDS_NS {
        let count = snapshot.count_at_most(bound);
        let _ = writeln!(out, "{}_bucket{{le=\"{}\"}} {count}", def.name, seconds(bound));
    }
    let count = snapshot.count();
    let _ = writeln!(out, "{0}_bucket{{le=\"+Inf\"}} {count}", def.name);
    let _ = writeln!(out, "{0}_sum {1}\n{0}_count {count}", def.name, seconds(snapshot.sum_ns()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::histogram::Snapshot as Counts;

    fn has(text: &str, expected: &str) {
        assert!(text.lines().any(|line| line == expected), "no line {expected:?} in\n{text}");
    }

    #[test]
    fn cores_are_added_up_and_cold_metrics_stand_beside_them() {
        let metrics = Metrics::new(2, "1.2.3", 1_700_000_000);
        let slot = metrics.exchange_slot("demo");
        assert_eq!(slot, metrics.exchange_slot("demo"));
        for core in [metrics.core(0), metrics.core(1)] {
            core.exchange(slot).outcome(Outcome::Bid).inc();
            core.exchange(slot).bids.add(3);
            core.no_bid(NoBidReason::Budget).inc();
            core.restriction(Some(Restriction::TcfPurpose)).inc();
            core.bid_latency.record_ns(1_000_000);
            core.bid_latency.record_ns(1_000_001);
        }
        metrics.counter(catalogue::NOTICES, &["win", "accepted"]).increment(7);
        metrics.notice_latency().record_ns(3_000_000);
        let text = metrics.render();
        has(&text, "outbid_build_info{version=\"1.2.3\"} 1");
        has(&text, "outbid_bid_requests_total{exchange=\"demo\",outcome=\"bid\"} 2");
        has(&text, "outbid_bids_total{exchange=\"demo\"} 6");
        has(&text, "outbid_no_bids_total{reason=\"budget\"} 2");
        has(&text, "outbid_privacy_requests_total{restriction=\"tcf_purpose\"} 2");
        has(&text, "outbid_privacy_requests_total{restriction=\"none\"} 0");
        has(&text, "outbid_bid_latency_seconds_bucket{le=\"0.001\"} 2");
        has(&text, "outbid_bid_latency_seconds_bucket{le=\"0.002\"} 4");
        has(&text, "outbid_bid_latency_seconds_count 4");
        has(&text, "outbid_notice_latency_seconds_bucket{le=\"0.005\"} 1");
        has(&text, "outbid_notices_total{kind=\"win\",outcome=\"accepted\"} 7");
        has(&text, "# TYPE outbid_notices_total counter");
    }

    #[test]
    fn no_family_appears_twice_and_all_are_in_the_catalogue() {
        let metrics = Metrics::new(1, "0", 0);
        for def in CATALOGUE.iter().filter(|def| def.kind == MetricKind::Gauge) {
            let values: Vec<_> = def.labels.iter().map(|_| "x").collect();
            metrics.gauge(*def, &values).set(1);
        }
        let text = metrics.render();
        let mut seen: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        for family in &seen {
            let name = family.split(' ').next().unwrap();
            assert!(CATALOGUE.iter().any(|def| def.name == name), "{name}");
        }
        let families = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), families);
    }

    #[test]
    fn names_follow_the_conventions() {
        for def in CATALOGUE {
            let name = def.name;
            assert!(name.starts_with("outbid_"), "{name}");
            assert_eq!(name.ends_with("_total"), def.kind == MetricKind::Counter, "{name}");
            assert!(def.kind != MetricKind::Histogram || name.ends_with("_seconds"), "{name}");
            assert!(!def.labels.iter().any(|l| ["line_item", "user", "campaign"].contains(l)), "{name}");
        }
    }

    #[test]
    fn an_exchange_without_a_slot_is_counted_as_other() {
        let metrics = Metrics::new(1, "0", 0);
        for index in 1..EXCHANGE_SLOTS {
            assert_ne!(metrics.exchange_slot(&format!("x{index}")), ExchangeSlot::default());
        }
        assert_eq!(metrics.exchange_slot("one too many"), ExchangeSlot::default());
    }

    #[test]
    fn exported_bounds_are_edges_of_buckets() {
        for bound in BOUNDS_NS {
            let histogram = Histogram::new();
            histogram.record_ns(bound);
            histogram.record_ns(bound + 1);
            let counts: Counts = histogram.snapshot();
            assert_eq!(counts.count_at_most(bound), 1, "{bound}");
        }
    }
}
