//! `soak` (trial B12): one rate for long. Memory and descriptors must be flat and latency must not drift: what leaks
//! slowly is seen by nothing shorter.

use super::{Outcome, Plan, check, middle};
use crate::load::measure::quantile_us;
use crate::load::runner::{Runner, Sampling};
use crate::load::site::Footprint;
use serde_json::json;
use std::time::Duration;

/// Growth of memory over the run, by the fitted line, that still counts as flat.
const MEMORY_GROWTH: f64 = 0.02;
/// Between the middles of the first and the last third.
const DESCRIPTOR_GROWTH: f64 = 2.0;
/// Of p99 from the first third to the last.
const DRIFT: f64 = 0.10;
/// Samples over the run.
const SAMPLES: u32 = 600;

pub(super) async fn run(runner: &mut Runner<'_>, plan: &Plan<'_>) -> anyhow::Result<Outcome> {
    let load = &plan.args.load;
    let every = (load.length() / SAMPLES).clamp(Duration::from_millis(200), Duration::from_secs(10));
    let sampling = Sampling { every, descriptors: true };
    let stretch = runner.stretch("soak", plan.at_rate(load.rate, plan.seed), sampling).await?;
    let [first, last] = stretch.measured.thirds_ns.each_ref().map(|third| quantile_us(third, 0.99));
    let drift = if first > 0.0 { last / first - 1.0 } else { 0.0 };
    let mut outcome = plan.outcome(stretch);
    let mut checks = vec![check(
        format!("p99 of the last third < {:.0} % above the first", 100.0 * DRIFT),
        drift < DRIFT,
        format!("{:+.1} % ({first:.0} to {last:.0} µs)", 100.0 * drift),
    )];
    let footprints = &outcome.main.footprints;
    let mut soak = json!({"p99_first_third_us": first, "p99_last_third_us": last, "p99_drift": drift});
    if let Some(growth) = Growth::of(footprints) {
        checks.push(check(
            format!("memory grows by < {:.0} % over the run", 100.0 * MEMORY_GROWTH),
            growth.memory < MEMORY_GROWTH,
            format!(
                "{:+.2} %, {:+.1} MiB an hour",
                100.0 * growth.memory,
                growth.bytes_per_s * 3_600.0 / 1_048_576.0
            ),
        ));
        checks.push(check(
            "descriptors are flat",
            growth.descriptors <= DESCRIPTOR_GROWTH,
            format!("{:+.0} from the first third to the last", growth.descriptors),
        ));
        soak["memory_growth"] = json!(growth.memory);
        soak["rss_bytes_per_hour"] = json!(growth.bytes_per_s * 3_600.0);
        soak["descriptor_growth"] = json!(growth.descriptors);
    } else {
        outcome.notes.push("the server's memory is not known: give --server-pid".to_owned());
    }
    soak["footprints"] = json!(footprints);
    checks.append(&mut outcome.checks);
    outcome.checks = checks;
    outcome.extra.insert("soak".to_owned(), soak);
    Ok(outcome)
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Growth {
    /// Of memory over the run, in units of its mean.
    memory: f64,
    bytes_per_s: f64,
    descriptors: f64,
}

impl Growth {
    /// By the least squares' line through memory; `None` of fewer than three samples.
    fn of(samples: &[Footprint]) -> Option<Growth> {
        if samples.len() < 3 {
            return None;
        }
        let count = samples.len() as f64;
        let mean = |of: &dyn Fn(&Footprint) -> f64| samples.iter().map(of).sum::<f64>() / count;
        let (at, rss) = (mean(&|sample| sample.at_s), mean(&|sample| sample.rss_bytes as f64));
        let product = mean(&|sample| (sample.at_s - at) * (sample.rss_bytes as f64 - rss));
        let square = mean(&|sample| (sample.at_s - at).powi(2));
        let bytes_per_s = if square > 0.0 { product / square } else { 0.0 };
        let length = samples[samples.len() - 1].at_s - samples[0].at_s;
        let third = samples.len() / 3;
        let descriptors = |part: &[Footprint]| {
            middle(part.iter().filter_map(|sample| sample.descriptors).map(|count| count as f64).collect())
        };
        Some(Growth {
            memory: bytes_per_s * length / rss.max(1.0),
            bytes_per_s,
            descriptors: descriptors(&samples[samples.len() - third..]) - descriptors(&samples[..third]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(of: impl Fn(u64) -> (u64, u64)) -> Vec<Footprint> {
        let sample = |at: u64| {
            let (rss_bytes, descriptors) = of(at);
            Footprint { at_s: at as f64, rss_bytes, descriptors: Some(descriptors) }
        };
        (0..31).map(sample).collect()
    }

    #[test]
    fn a_leak_is_told_from_noise() {
        let growth = Growth::of(&samples(|at| (1_000_000 + at * 10_000, 50 + at))).unwrap();
        assert!((growth.bytes_per_s - 10_000.0).abs() < 1e-6, "{growth:?}");
        assert!((growth.memory - 300_000.0 / 1_150_000.0).abs() < 1e-9, "{growth:?}");
        assert!((growth.descriptors - 21.0).abs() < 1.1, "{growth:?}");
        let noise = Growth::of(&samples(|at| (1_000_000 + at * 7_919 % 13 * 1_000, 50 + at % 2))).unwrap();
        assert!(noise.memory.abs() < MEMORY_GROWTH && noise.descriptors <= DESCRIPTOR_GROWTH, "{noise:?}");
        assert_eq!(Growth::of(&samples(|_| (1, 1))[..2]), None);
    }
}
