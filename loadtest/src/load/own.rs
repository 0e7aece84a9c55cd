//! What the server says of itself while it is measured: its own histogram of decisions, and what it refused.

use crate::ops;
use serde::Serialize;
use std::net::SocketAddr;

/// A reading of `/metrics`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Reading {
    /// (upper bound in microseconds, how many were at most that) of decisions, ascending.
    buckets: Vec<(f64, u64)>,
    decisions: u64,
    shed: u64,
    deadline: u64,
    panics: u64,
    dropped_events: u64,
}

/// The difference of two readings. Warm-ups are in it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Own {
    /// Parsed, decided and answered, without the network.
    pub(crate) decisions: u64,
    /// Upper bounds of the buckets that hold the percentiles, microseconds; `null` above the last.
    pub(crate) decision_p50_at_most_us: Option<f64>,
    pub(crate) decision_p99_at_most_us: Option<f64>,
    pub(crate) decision_p999_at_most_us: Option<f64>,
    /// Share of decisions within 100 µs and 1 ms.
    pub(crate) within_100_us: f64,
    pub(crate) within_1_ms: f64,
    /// Requests answered 204 unread, because there were too many.
    pub(crate) shed: u64,
    /// Requests answered 204 because their time was over.
    pub(crate) deadline: u64,
    pub(crate) panics: u64,
    pub(crate) dropped_events: u64,
}

impl Reading {
    /// Asks the operations listener; `None` where it does not say.
    pub(crate) async fn take(ops: Option<SocketAddr>) -> Option<Reading> {
        let (status, text) = ops::get(ops?, "/metrics").await.ok()?;
        (status == 200).then(|| Reading::parse(&text))?
    }

    fn parse(text: &str) -> Option<Reading> {
        let mut reading = Reading::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            let (family, labels) = name.split_once('{').unwrap_or((name, ""));
            let count = value as u64;
            match family {
                "outbid_decision_latency_seconds_bucket" => {
                    let le = labels.split("le=\"").nth(1).and_then(|rest| rest.split('"').next());
                    if let Some(seconds) =
                        le.and_then(|le| le.parse::<f64>().ok()).filter(|le| le.is_finite())
                    {
                        reading.buckets.push((seconds * 1e6, count));
                    }
                }
                "outbid_decision_latency_seconds_count" => reading.decisions += count,
                "outbid_shed_total" => reading.shed += count,
                "outbid_bid_requests_total" if labels.contains("\"deadline\"") => reading.deadline += count,
                "outbid_panics_total" => reading.panics += count,
                "outbid_dropped_events_total" => reading.dropped_events += count,
                _ => {}
            }
        }
        reading.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        (!reading.buckets.is_empty()).then_some(reading)
    }

    /// What happened since `earlier`.
    pub(crate) fn since(&self, earlier: &Reading) -> Own {
        let decisions = self.decisions.saturating_sub(earlier.decisions);
        let buckets: Vec<(f64, u64)> = self
            .buckets
            .iter()
            .zip(&earlier.buckets)
            .map(|(now, then)| (now.0, now.1.saturating_sub(then.1)))
            .collect();
        let at_most = |quantile: f64| {
            let wanted = (quantile * decisions as f64).ceil() as u64;
            buckets.iter().find(|bucket| bucket.1 >= wanted.max(1)).map(|bucket| bucket.0.round())
        };
        let within = |us: f64| {
            let bucket = buckets.iter().rev().find(|bucket| bucket.0 <= us * 1.000_001);
            super::measure::share(bucket.map_or(0, |bucket| bucket.1), decisions)
        };
        Own {
            decisions,
            decision_p50_at_most_us: at_most(0.5),
            decision_p99_at_most_us: at_most(0.99),
            decision_p999_at_most_us: at_most(0.999),
            within_100_us: super::report::figures::fine(within(100.0)),
            within_1_ms: super::report::figures::fine(within(1_000.0)),
            shed: self.shed.saturating_sub(earlier.shed),
            deadline: self.deadline.saturating_sub(earlier.deadline),
            panics: self.panics.saturating_sub(earlier.panics),
            dropped_events: self.dropped_events.saturating_sub(earlier.dropped_events),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(counts: [u64; 4], shed: u64) -> Reading {
        let [first, second, third, all] = counts;
        let text = format!(
            "# TYPE outbid_decision_latency_seconds histogram\n\
             outbid_decision_latency_seconds_bucket{{le=\"0.00005\"}} {first}\n\
             outbid_decision_latency_seconds_bucket{{le=\"0.0001\"}} {second}\n\
             outbid_decision_latency_seconds_bucket{{le=\"0.001\"}} {third}\n\
             outbid_decision_latency_seconds_bucket{{le=\"+Inf\"}} {all}\n\
             outbid_decision_latency_seconds_count {all}\n\
             outbid_shed_total{{reason=\"queue\"}} {shed}\noutbid_shed_total{{reason=\"qps\"}} 1\n\
             outbid_bid_requests_total{{exchange=\"load\",outcome=\"deadline\"}} 4\n\
             outbid_bid_requests_total{{exchange=\"load\",outcome=\"bid\"}} 99\n"
        );
        Reading::parse(&text).unwrap()
    }

    #[test]
    fn percentiles_are_those_of_the_time_between_two_readings() {
        let own = reading([1_500, 1_985, 1_999, 2_000], 7).since(&reading([1_000, 1_000, 1_000, 1_000], 2));
        assert_eq!((own.decisions, own.shed, own.deadline), (1_000, 5, 0));
        assert_eq!(own.decision_p50_at_most_us, Some(50.0));
        assert_eq!(own.decision_p99_at_most_us, Some(1_000.0));
        assert_eq!(own.decision_p999_at_most_us, Some(1_000.0));
        assert_eq!((own.within_100_us, own.within_1_ms), (0.985, 0.999));
        let beyond = reading([1_000, 1_000, 1_000, 1_010], 0).since(&reading([1_000; 4], 0));
        assert_eq!(beyond.decision_p50_at_most_us, None);
        assert_eq!(Reading::parse("\"no metrics\""), None);
    }
}
