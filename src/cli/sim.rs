//! `outbid sim`: plays seeded markets against the real ledger and says what broke.

use super::{Failure, output};
use crate::model::clock::Clock;
use crate::sim::{self, Count, Outcome, Report};
use crate::telemetry::clock::SystemClock;
use anyhow::anyhow;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

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
    /// Prints everything that happens; for one seed.
    #[arg(long)]
    trace: bool,
}

/// Runs the command.
pub(super) fn run(arguments: &SimArguments) -> Result<(), Failure> {
    let clock = SystemClock::new();
    let started_ns = clock.mono_ns();
    let last = arguments.seed.saturating_add(arguments.runs);
    let (report, failed) = match arguments.trace {
        true => traced(arguments.seed),
        false => play(arguments.seed, last),
    };
    let elapsed_s = (clock.mono_ns() - started_ns) as f64 / 1e9;
    let seeds = arguments.runs;
    if arguments.json {
        let counts: serde_json::Map<_, _> =
            Count::ALL.iter().map(|count| (count.key().to_owned(), report.get(*count).into())).collect();
        let failed: Vec<_> = failed.iter().map(|(seed, failure)| describe(*seed, failure)).collect();
        println!("{}", serde_json::json!({ "seeds": seeds, "counts": counts, "failed": failed }));
    } else {
        print_table(&report);
        println!(
            "{seeds} seeds from {} in {elapsed_s:.1} s, {:.1} a second",
            arguments.seed,
            seeds as f64 / elapsed_s
        );
    }
    match failed.len() {
        0 => Ok(()),
        found => {
            let lines: Vec<String> = failed.iter().map(|(seed, failure)| describe(*seed, failure)).collect();
            Err(Failure::Failed(anyhow!("{found} of {seeds} seeds broke something:\n{}", lines.join("\n"))))
        }
    }
}

type Failed = Vec<(u64, sim::Failure)>;

fn describe(seed: u64, failure: &sim::Failure) -> String {
    let sim::Failure { step, at_ms, broken } = failure;
    format!("seed {seed}, step {step}, after {at_ms} ms: {}: {}", broken.rule, broken.detail)
}

fn traced(seed: u64) -> (Report, Failed) {
    let Outcome { report, failure } = sim::run(seed, Some(&|line| println!("{line}")));
    (report, failure.map(|failure| (seed, failure)).into_iter().collect())
}

/// Plays seeds on all cores; what is found does not depend on how many there are.
fn play(first: u64, end: u64) -> (Report, Failed) {
    let next = AtomicU64::new(first);
    let work = || {
        let (mut report, mut failed) = (Report::default(), Vec::new());
        loop {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= end {
                return (report, failed);
            }
            let outcome = sim::run(seed, None);
            report.merge(&outcome.report);
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

fn print_table(report: &Report) {
    let row = |count: &Count| vec![count.name().to_owned(), report.get(*count).to_string()];
    print!("{}", output::table(&["what", "how often"], &Count::ALL.iter().map(row).collect::<Vec<_>>()));
}
