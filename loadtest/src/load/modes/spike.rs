//! `spike` (trial F1): calm at half of what the server can do, then more than it can, then calm again.
//!
//! What it can do is found first, by a closed run with few requests in flight: with many of them a server that sheds by
//! waiting time is beyond what it can do already. Goodput is bids that came within the
//! exchange's time from the intended moment on: a server that sheds everything answers fast and is worth nothing.

use super::{Outcome, Plan, check, middle, within};
use crate::load::driver::{Pacing, Segment};
use crate::load::measure::{ErrorKind, Interval, Measured, share};
use crate::load::report::figures::Figures;
use crate::load::runner::{Runner, Sampling, Stretch};
use crate::load::schedule::{Phase, Schedule};
use crate::load::site::Footprint;
use crate::load::slo::show_us;
use anyhow::ensure;
use serde_json::json;
use std::time::Duration;

/// In flight in the closed run: enough to keep a core busy, too few to wait for long.
const SATURATING: usize = 16;
/// Of its core: a server that is busy for less was kept from it, or not asked enough.
const SATURATED: f64 = 0.9;
/// Of the figures that recovery is read from.
const FINE: Duration = Duration::from_millis(100);
/// Goodput in the spike over that of the closed run.
const GOODPUT: f64 = 0.9;
/// Growth of memory in and after the spike.
const MEMORY: f64 = 0.10;
/// Until latency is normal again.
const RECOVERY: Duration = Duration::from_secs(1);
/// Normal is up to so many times p99 before, or so many microseconds above it.
const NORMAL: (f64, f64) = (2.0, 1_000.0);
/// So many intervals one after the other must be normal.
const STEADY: usize = 3;

pub(super) async fn run(runner: &mut Runner<'_>, plan: &Plan<'_>) -> anyhow::Result<Outcome> {
    let load = &plan.args.load;
    let closed = Segment { interval: FINE, most_in_flight: SATURATING, ..plan.segment(Pacing::Closed) };
    let closed = runner.stretch("saturation", closed, Sampling::USUAL).await?;
    let saturation = closed.measured.achieved_rps();
    ensure!(saturation > 0.0, "the server answered nothing in the closed run");
    let peak = goodput(&closed.measured.intervals, load.length());
    runner.say(&format!("the server can do {saturation:.0} requests a second, {peak:.0} of them good bids"));

    let part = load.length();
    let phase = |rate, length: Duration| Phase { rate, length_ns: length.as_nanos() as u64 };
    let (calm, high) = (saturation / 2.0, saturation * load.spike_factor);
    let phases = [phase(calm, load.warm_up() + part), phase(high, part), phase(calm, part)];
    let schedule = Schedule::of_rates(load.arrivals, plan.seed, &phases);
    let segment = Segment { length: part * 3, interval: FINE, ..plan.segment(Pacing::Open(schedule)) };
    let stretch = runner.stretch("spike", segment, Sampling { every: FINE, descriptors: false }).await?;

    let spike = Spike::of(&stretch.measured, &stretch.footprints, load.warm_up(), part, peak);
    let mut outcome = plan.outcome(stretch);
    let mut checks = spike.checks(&outcome.main.measured);
    checks.append(&mut outcome.checks);
    outcome.checks = checks;
    outcome.invalid.extend(not_saturated(&closed));
    outcome.notes.push(format!("saturation {saturation:.0} requests a second, spike at {high:.0}"));
    outcome.extra.insert(
        "spike".to_owned(),
        json!({"saturation_rps": saturation, "spike_rps": high,
        "peak_goodput": peak, "goodput": spike.goodput, "goodput_ratio": spike.goodput / peak.max(1e-9),
        "recovery_s": spike.recovery.map(|time| time.as_secs_f64()), "calm_p99_us": spike.calm_p99_us,
        "rss_before_bytes": spike.rss[0], "rss_spike_bytes": spike.rss[1], "rss_after_bytes": spike.rss[2]}),
    );
    outcome.parts.push(("closed".to_owned(), Figures::new(&closed)));
    Ok(outcome)
}

/// Why a closed run did not find what the server can do; `None` where it did, or where nobody knows.
fn not_saturated(closed: &Stretch) -> Option<String> {
    let busy = share(closed.used.server_ns?, closed.used.elapsed_ns);
    (busy < SATURATED).then(|| {
        format!(
            "the closed run kept the server busy for {:.0} % of a core, less than {:.0} %: what it can do is not known",
            100.0 * busy,
            100.0 * SATURATED
        )
    })
}

/// Good bids a second; of a server that never bids, good answers.
fn goodput(intervals: &[Interval], length: Duration) -> f64 {
    let sum = |of: &dyn Fn(&Interval) -> u64| intervals.iter().map(of).sum::<u64>();
    let bids = sum(&|interval| interval.good_bids);
    let good = if bids > 0 { bids } else { sum(&|interval| interval.good) };
    good as f64 / length.as_secs_f64()
}

#[derive(Clone, Debug, PartialEq)]
struct Spike {
    peak: f64,
    goodput: f64,
    calm_p99_us: f64,
    /// From the end of the spike; `None` where it never was normal again.
    recovery: Option<Duration>,
    /// Before, most in the spike, at the end.
    rss: [Option<u64>; 3],
}

impl Spike {
    fn of(measured: &Measured, prints: &[Footprint], warm_up: Duration, part: Duration, peak: f64) -> Spike {
        let calm = within(measured, Duration::ZERO, part);
        let calm_p99_us = middle(calm.iter().map(|interval| interval.latency_us[1]).collect());
        let limit = (calm_p99_us * NORMAL.0).max(calm_p99_us + NORMAL.1);
        let after = within(measured, part * 2, part * 3);
        let is_normal = |interval: &Interval| {
            interval.answers > 0 && interval.errors == 0 && interval.latency_us[1] <= limit
        };
        let first = after.windows(STEADY).position(|intervals| intervals.iter().all(is_normal));
        let rss_in = |from: Duration, to: Duration| {
            let (from, to) = ((warm_up + from).as_secs_f64(), (warm_up + to).as_secs_f64());
            let sizes = prints.iter().filter(move |print| (from..to).contains(&print.at_s));
            sizes.map(|print| print.rss_bytes)
        };
        Spike {
            peak,
            goodput: goodput(within(measured, part, part * 2), part),
            calm_p99_us,
            recovery: first.map(|intervals| FINE * intervals as u32),
            rss: [
                rss_in(Duration::ZERO, part).next_back(),
                rss_in(part, part * 2).max(),
                rss_in(part * 2, Duration::MAX / 2).next_back(),
            ],
        }
    }

    fn checks(&self, measured: &Measured) -> Vec<super::Check> {
        let ratio = self.goodput / self.peak.max(1e-9);
        let server_errors = measured.errors.get(&ErrorKind::ServerError).copied().unwrap_or(0);
        let unanswered = measured.errors.get(&ErrorKind::Timeout).copied().unwrap_or(0);
        let mut checks = vec![
            check(
                format!("goodput in the spike ≥ {:.0} % of the peak", 100.0 * GOODPUT),
                ratio >= GOODPUT,
                format!("{:.1} % ({:.0} of {:.0} a second)", 100.0 * ratio, self.goodput, self.peak),
            ),
            check(
                "every answer within tmax of its sending",
                measured.over_tmax == 0 && unanswered == 0,
                format!("{} later, {unanswered} never", measured.over_tmax),
            ),
            check("no 5xx", server_errors == 0, format!("{server_errors}")),
            check(
                format!("p99 normal again within {} s", RECOVERY.as_secs()),
                self.recovery.is_some_and(|time| time <= RECOVERY),
                match self.recovery {
                    Some(time) => {
                        format!("after {:.1} s (before {})", time.as_secs_f64(), show_us(self.calm_p99_us))
                    }
                    None => "never".to_owned(),
                },
            ),
        ];
        if let [Some(before), Some(spike), Some(after)] = self.rss {
            let growth = spike.max(after) as f64 / before.max(1) as f64 - 1.0;
            let mib = |bytes: u64| bytes / 1_048_576;
            checks.push(check(
                format!("memory +≤ {:.0} %", 100.0 * MEMORY),
                growth <= MEMORY,
                format!("{:+.1} % ({}, {}, {} MiB)", 100.0 * growth, mib(before), mib(spike), mib(after)),
            ));
        }
        checks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::measure::{Moments, Recorder, Verdict};

    /// Requests every millisecond for three seconds, `answer` of the time in milliseconds in milliseconds.
    fn spike(answer: impl Fn(u64) -> u64) -> (Spike, Measured) {
        let second = Duration::from_secs(1);
        let mut recorder = Recorder::new(Duration::ZERO, second * 3, FINE, false);
        let mut done: Vec<(u64, u64)> =
            (0..3_000).map(|at| ((at + answer(at)) * 1_000_000, at * 1_000_000)).collect();
        done.sort_unstable();
        for (done, intended) in done {
            while done >= recorder.interval_end() {
                recorder.close_interval();
            }
            recorder.offered(intended);
            recorder.sent(intended, 0, intended, 10);
            recorder.answered(Moments { intended, sent: intended, done }, 200, 9, Verdict::Bid, 100_000_000);
        }
        let measured = recorder.finish();
        let print = |at: u64, rss_bytes| Footprint { at_s: at as f64 / 10.0, rss_bytes, descriptors: None };
        let prints = [print(2, 100), print(12, 130), print(15, 120), print(28, 105)];
        (Spike::of(&measured, &prints, Duration::ZERO, second, 1_000.0), measured)
    }

    #[test]
    fn what_a_spike_did_is_read_from_its_intervals() {
        let (calm, measured) = spike(|at| if (1_000..2_000).contains(&at) { 3 } else { 1 });
        // The first interval has the last slow ones in it.
        assert_eq!(calm.recovery, Some(FINE));
        assert!((990.0..=1_000.0).contains(&calm.goodput), "{calm:?}");
        assert_eq!(calm.rss, [Some(100), Some(130), Some(105)]);
        let holds: Vec<bool> = calm.checks(&measured).iter().map(|check| check.holds).collect();
        assert_eq!(holds, [true, true, true, true, false]);
    }

    #[test]
    fn a_server_that_stays_slow_has_not_recovered() {
        let (slow, measured) = spike(|at| if (1_000..2_400).contains(&at) { 150 } else { 1 });
        let recovery = slow.recovery.unwrap();
        assert!((400..=700).contains(&recovery.as_millis()), "{recovery:?}");
        assert!(slow.goodput < 5.0, "{slow:?}");
        let failed: Vec<bool> = slow.checks(&measured).iter().map(|check| check.holds).collect();
        assert_eq!(failed[..2], [false, false]);
        assert_eq!(spike(|at| if at >= 1_000 { 50 } else { 1 }).0.recovery, None);
    }
}
