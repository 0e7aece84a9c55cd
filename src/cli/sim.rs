//! `outbid sim`: plays seeded markets against the real ledger and says what broke.

use super::{Failure, output};
use crate::model::clock::Clock;
use crate::sim::{self, Count, Outcome, Report};
use crate::telemetry::clock::SystemClock;
use anyhow::anyhow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Options of `outbid sim`.
#[derive(Debug, clap::Args)]
pub(super) struct SimArguments {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds, one after the other.
    #[arg(long, default_value_t = 1)]
    runs: u64,
    /// The counts as JSON.
    #[arg(long)]
    json: bool,
    /// Prints everything that happens with the first seed.
    #[arg(long)]
    trace: bool,
    /// Plants a bug, or `all` one after the other, and fails where up to 200 seeds do not find it.
    #[cfg(feature = "planted-bugs")]
    #[arg(long, value_name = "BUG")]
    planted: Option<String>,
}

type Failed = Vec<(u64, sim::Failure)>;

/// Runs the command.
pub(super) fn run(arguments: &SimArguments) -> Result<(), Failure> {
    #[cfg(feature = "planted-bugs")]
    if let Some(name) = &arguments.planted {
        return planted::run(name, arguments.seed);
    }
    let clock = SystemClock::new();
    let started_ns = clock.mono_ns();
    let (report, failed) = match arguments.trace {
        true => traced(arguments.seed),
        false => play(arguments.seed, arguments.seed.saturating_add(arguments.runs), false),
    };
    let seconds = (clock.mono_ns() - started_ns) as f64 / 1e9;
    let seeds = if arguments.trace { 1 } else { arguments.runs };
    if arguments.json {
        print_json(seeds, &report, &failed);
    } else {
        print_table(&report);
        let each = seeds as f64 / seconds;
        println!("{seeds} seeds from {} in {seconds:.1} s, {each:.1} a second", arguments.seed);
    }
    if failed.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = failed.iter().map(|(seed, failure)| describe(*seed, failure)).collect();
    let (found, lines) = (failed.len(), lines.join("\n"));
    Err(Failure::Failed(anyhow!("{found} of {seeds} seeds broke something:\n{lines}")))
}

fn describe(seed: u64, failure: &sim::Failure) -> String {
    let sim::Failure { step, at_ms, broken } = failure;
    format!("seed {seed}, step {step}, after {at_ms} ms: {}: {}", broken.rule, broken.detail)
}

fn print_json(seeds: u64, report: &Report, failed: &Failed) {
    let count = |count: &Count| (count.key().to_owned(), report.get(*count).into());
    let counts: serde_json::Map<_, _> = Count::ALL.iter().map(count).collect();
    let failure = |(seed, failure): &(u64, sim::Failure)| {
        let sim::Failure { step, at_ms, broken } = failure;
        serde_json::json!({
            "seed": seed, "step": step, "at_ms": at_ms, "rule": broken.rule, "detail": broken.detail
        })
    };
    let failed: Vec<_> = failed.iter().map(failure).collect();
    println!("{}", serde_json::json!({ "seeds": seeds, "counts": counts, "failed": failed }));
}

fn print_table(report: &Report) {
    let row = |count: &Count| vec![count.name().to_owned(), report.get(*count).to_string()];
    print!("{}", output::table(&["what", "how often"], &Count::ALL.iter().map(row).collect::<Vec<_>>()));
}

fn traced(seed: u64) -> (Report, Failed) {
    let Outcome { report, failure } = sim::run(seed, Some(&|line| println!("{line}")));
    (report, failure.map(|failure| (seed, failure)).into_iter().collect())
}

/// Plays seeds on all cores; what is found does not depend on how many there are, unless the first finding ends it.
fn play(first: u64, end: u64, until_found: bool) -> (Report, Failed) {
    let (next, found) = (AtomicU64::new(first), AtomicBool::new(false));
    let work = || {
        let (mut report, mut failed) = (Report::default(), Vec::new());
        loop {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= end || (until_found && found.load(Relaxed)) {
                return (report, failed);
            }
            let outcome = sim::run(seed, None);
            report.merge(&outcome.report);
            found.fetch_or(outcome.failure.is_some(), Relaxed);
            failed.extend(outcome.failure.map(|failure| (seed, failure)));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (mut report, mut failed) = (Report::default(), Vec::new());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            let (own, found) = worker.join().expect("a run catches its panics");
            report.merge(&own);
            failed.extend(found);
        }
    });
    failed.sort_by_key(|(seed, _)| *seed);
    (report, failed)
}

/// Bugs on purpose.
#[cfg(feature = "planted-bugs")]
mod planted {
    use super::{Failure, play};
    use crate::budget::planted::{Bug, plant};
    use anyhow::anyhow;

    /// A bug must show within so many seeds.
    const SEEDS: u64 = 200;

    pub(super) fn run(name: &str, first: u64) -> Result<(), Failure> {
        let chosen: Vec<Bug> =
            Bug::ALL.into_iter().filter(|bug| name == "all" || bug.as_str() == name).collect();
        if chosen.is_empty() {
            let names = Bug::ALL.map(Bug::as_str).join(", ");
            return Err(Failure::Failed(anyhow!(
                "there is no bug {name:?} to plant; there are {names}, all"
            )));
        }
        let mut missed = Vec::new();
        for bug in chosen {
            plant(Some(bug));
            let (_, failed) = play(first, first + SEEDS, true);
            plant(None);
            match failed.first() {
                Some((seed, failure)) => {
                    println!("{:<20} seed {seed:>4}  {}", bug.as_str(), failure.broken.rule);
                }
                None => {
                    println!("{:<20} not found in {SEEDS} seeds", bug.as_str());
                    missed.push(bug.as_str());
                }
            }
        }
        match missed.is_empty() {
            true => Ok(()),
            false => Err(Failure::Failed(anyhow!("not found: {}", missed.join(", ")))),
        }
    }
}
