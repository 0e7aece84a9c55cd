//! The figures of a segment, as they stand in the JSON result. Times in microseconds.

use crate::load::measure::{quantile_us, share};
use crate::load::own::Own;
use crate::load::runner::Stretch;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;

/// What was offered, achieved and measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figures {
    /// Seconds without the warm-up.
    pub(crate) secs: f64,
    pub(crate) offered: u64,
    pub(crate) offered_rps: f64,
    pub(crate) sent: u64,
    pub(crate) answers: u64,
    pub(crate) achieved_rps: f64,
    /// Achieved over offered.
    pub(crate) achieved: f64,
    pub(crate) bids: u64,
    pub(crate) no_bids: u64,
    /// Bids over answers.
    pub(crate) bid_rate: f64,
    /// Answers 200 and 204 within the exchange's time from the intended moment on.
    pub(crate) good: u64,
    /// Answers later than the exchange's time after they were sent.
    pub(crate) over_tmax: u64,
    pub(crate) errors: BTreeMap<&'static str, u64>,
    /// Errors over offered.
    pub(crate) error_rate: f64,
    /// Answers by HTTP status.
    pub(crate) statuses: BTreeMap<u16, u64>,
    pub(crate) late_sends: u64,
    pub(crate) late_send_share: f64,
    pub(crate) latest_send_us: f64,
    pub(crate) reopened_connections: u64,
    pub(crate) request_bytes_mean: f64,
    pub(crate) answer_bytes_mean: f64,
    /// From the intended moment of sending: what an exchange feels.
    pub(crate) latency_us: Latency,
    /// From the actual moment of sending: without the waits that a slow server causes.
    pub(crate) latency_from_send_us: Latency,
    /// Of the generator's core.
    pub(crate) generator_cpu_share: f64,
    pub(crate) generator_cpu_us_per_request: f64,
    /// Of the time that was measured: how long the generator was kept from its core.
    pub(crate) generator_waited_share: f64,
    pub(crate) server_cpu_share: Option<f64>,
    /// User and system time of the whole process over answers.
    pub(crate) server_cpu_us_per_answer: Option<f64>,
    pub(crate) server_rss_bytes: Option<u64>,
    /// What the server says of itself, warm-up included.
    pub(crate) server: Option<Own>,
}

/// Percentiles of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Latency {
    pub(crate) count: u64,
    pub(crate) mean: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) p9999: f64,
    pub(crate) max: f64,
}

impl Latency {
    /// Of nanoseconds.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Latency {
        let at = |quantile| rounded(quantile_us(histogram, quantile));
        Latency {
            count: histogram.len(),
            mean: rounded(histogram.mean() / 1_000.0),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            p9999: at(0.9999),
            max: at(1.0),
        }
    }
}

impl Figures {
    /// Of one segment.
    pub(crate) fn new(stretch: &Stretch) -> Figures {
        let (measured, used) = (&stretch.measured, &stretch.used);
        let answers = measured.answers();
        let per = |ns: u64, count: u64| rounded(share(ns, count) / 1_000.0);
        Figures {
            secs: rounded(measured.length_ns as f64 / 1e9),
            offered: measured.offered,
            offered_rps: rounded(measured.offered_rps()),
            sent: measured.sent,
            answers,
            achieved_rps: rounded(measured.achieved_rps()),
            achieved: fine(measured.achieved()),
            bids: measured.bids,
            no_bids: measured.no_bids,
            bid_rate: fine(measured.bid_rate()),
            good: measured.good,
            over_tmax: measured.over_tmax,
            errors: measured.errors.iter().map(|(kind, count)| (kind.name(), *count)).collect(),
            error_rate: fine(measured.error_rate()),
            statuses: measured.statuses.clone(),
            late_sends: measured.late_sends,
            late_send_share: fine(measured.late_share()),
            latest_send_us: rounded(measured.latest_send_ns as f64 / 1_000.0),
            reopened_connections: measured.reopened,
            request_bytes_mean: rounded(share(measured.request_bytes, measured.sent)),
            answer_bytes_mean: rounded(share(measured.answer_bytes, answers)),
            latency_us: Latency::of(&measured.latency_ns),
            latency_from_send_us: Latency::of(&measured.from_send_ns),
            generator_cpu_share: fine(stretch.generator_share()),
            generator_cpu_us_per_request: per(used.generator_ns, measured.sent),
            generator_waited_share: fine(share(used.generator_waited_ns, used.elapsed_ns)),
            server_cpu_share: used.server_ns.map(|ns| fine(share(ns, used.elapsed_ns))),
            server_cpu_us_per_answer: used.server_ns.map(|ns| per(ns, answers)),
            server_rss_bytes: stretch.footprints.last().map(|footprint| footprint.rss_bytes),
            server: stretch.own.clone(),
        }
    }
}

/// To the thousandth: more digits would pretend.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

/// Of shares: to the millionth, since a tenth of a percent decides.
pub(crate) fn fine(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}
