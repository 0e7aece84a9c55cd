//! What a run does from its beginning to its end, mode by mode.

mod beside;
mod soak;
mod spike;
mod step;

use super::args::{LoadArgs, Mode, RunArgs};
use super::driver::{Pacing, Segment};
use super::measure::{Interval, Measured};
use super::report::figures::Figures;
use super::runner::{Limits, Runner, Sampling, Stretch};
use super::schedule::{Phase, Schedule};
use super::slo::Check;
use super::traffic::Body;
use serde_json::{Map, Value};
use std::time::Duration;

/// Of figures over time.
const INTERVAL: Duration = Duration::from_secs(1);

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The segment whose figures stand for the run.
    pub(crate) main: Stretch,
    /// Other segments, by name.
    pub(crate) parts: Vec<(String, Figures)>,
    /// Conditions and whether they hold: the mode's own, then the SLO's.
    pub(crate) checks: Vec<Check>,
    /// Why the run counts for nothing.
    pub(crate) invalid: Vec<String>,
    /// What only this mode has, for the JSON.
    pub(crate) extra: Map<String, Value>,
    /// What only this mode has, for the reader.
    pub(crate) notes: Vec<String>,
}

/// What all modes need.
pub(crate) struct Plan<'p> {
    pub(crate) args: &'p RunArgs,
    pub(crate) seed: u64,
    /// When the requests of a corpus were recorded.
    pub(crate) times_ns: &'p [u64],
    pub(crate) bodies: &'p [Body],
    /// Where requests are posted.
    pub(crate) path: &'p str,
    /// Names the run in every id.
    pub(crate) run: u32,
}

impl Plan<'_> {
    fn load(&self) -> &LoadArgs {
        &self.args.load
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            generator_cpu: self.load().generator_cpu_limit / 100.0,
            late: self.load().late_limit / 100.0,
        }
    }

    /// A segment at one rate, warm-up included.
    fn at_rate(&self, rate: f64, seed: u64) -> Segment {
        let length_ns = (self.load().warm_up() + self.load().length()).as_nanos() as u64;
        let schedule = Schedule::of_rates(self.load().arrivals, seed, &[Phase { rate, length_ns }]);
        self.segment(Pacing::Open(schedule))
    }

    fn segment(&self, pacing: Pacing) -> Segment {
        Segment {
            pacing,
            warm_up: self.load().warm_up(),
            length: self.load().length(),
            interval: INTERVAL,
            most_in_flight: usize::MAX,
            keep_histograms: self.args.report.hlog.is_some(),
        }
    }

    fn checks(&self, measured: &Measured) -> Vec<Check> {
        self.load().slo.as_ref().map_or_else(Vec::new, |slo| slo.check(measured))
    }

    /// The outcome of a run of one segment.
    fn outcome(&self, main: Stretch) -> Outcome {
        Outcome {
            checks: self.checks(&main.measured),
            invalid: main.faults(self.limits()),
            main,
            parts: Vec::new(),
            extra: Map::new(),
            notes: Vec::new(),
        }
    }

    /// The recorded requests once, in their own time or evenly.
    fn replay(&self) -> Segment {
        let times: Vec<u64> = match self.times_ns {
            [] => (0..self.bodies.len()).map(|n| (n as f64 * 1e9 / self.load().rate) as u64).collect(),
            times => times.iter().map(|time| (*time as f64 / self.load().speed) as u64).collect(),
        };
        // At least a millisecond, so that a single request is a run.
        let length = times.last().map_or(1, |last| last + 1).max(1_000_000);
        Segment {
            warm_up: Duration::ZERO,
            length: Duration::from_nanos(length),
            ..self.segment(Pacing::Open(Schedule::of_times(times)))
        }
    }
}

/// Runs the mode that was asked for.
pub(crate) async fn run(runner: &mut Runner<'_>, plan: &Plan<'_>) -> anyhow::Result<Outcome> {
    let name = plan.args.mode.name();
    let segment = match plan.args.mode {
        Mode::Rate if plan.load().beside_floor > 0 => {
            return beside::run(runner, plan, plan.load().beside_floor).await;
        }
        Mode::Rate => plan.at_rate(plan.load().rate, plan.seed),
        Mode::Closed => plan.segment(Pacing::Closed),
        Mode::Replay => plan.replay(),
        Mode::Step => return step::run(runner, plan).await,
        Mode::Spike => return spike::run(runner, plan).await,
        Mode::Soak => return soak::run(runner, plan).await,
    };
    Ok(plan.outcome(runner.stretch(name, segment, Sampling::USUAL).await?))
}

/// A check of the mode's own.
fn check(condition: impl Into<String>, holds: bool, measured: String) -> Check {
    Check { condition: condition.into(), holds, measured }
}

/// The middle one, or the higher of the two in the middle; 0 of none.
fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// The intervals that lie wholly in `from..to`, times from the end of the warm-up.
fn within(measured: &Measured, from: Duration, to: Duration) -> &[Interval] {
    let index = |time: Duration| time.as_nanos() as u64 / measured.interval_ns;
    let from_at = (from.as_nanos() as u64).div_ceil(measured.interval_ns) as usize;
    let to_at = (index(to) as usize).min(measured.intervals.len());
    measured.intervals.get(from_at..to_at.max(from_at)).unwrap_or_default()
}
