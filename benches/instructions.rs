//! Instructions and allocations of each step of a bid, on the seeded world: `cargo bench --bench instructions`, with
//! `-- --json` for one JSON object. Times move with the machine and its other work; these counts do not.
//!
//! `-- --digest` prints one number for all decisions of each world instead: who makes them faster must not change it.
//! `-- --gate` fails where a step takes over 5 % more instructions than `benches/baselines.json` says, or allocates;
//! `-- --keep` writes what was counted there, for a commit that says why.
//!
//! Instructions are counted by valgrind's callgrind, which this program starts on itself. Each step is a function that
//! is called once and does one step for all requests; callgrind writes its counters out and starts again at zero
//! wherever such a function is entered (`--dump-before`), so each part of its output is one step, and building the
//! world and warming up are in nobody's figure. That needs neither a runner to be installed beside the library
//! (gungraun, iai-callgrind) nor client requests, which are unsafe code; and one run is enough, where the difference of
//! two runs with N and 2 N iterations would build the world once more for every step. Only the names of functions are
//! relied on. Where valgrind is missing, that half is skipped and said to be.
//!
//! The processor that valgrind plays has no SHA instructions and no AVX-512: the HMAC of `respond` is counted on the
//! portable code, which takes many times the instructions of the one that serves.
#![allow(clippy::print_stdout, reason = "figures are what it is for")]

#[path = "../loadtest/src/bodies.rs"]
#[allow(dead_code, unused_imports, reason = "outbid-load uses the rest")]
mod bodies;
#[path = "../loadtest/src/json.rs"]
#[allow(unused_imports, reason = "its tests run with outbid-load's")]
mod json;
#[path = "../loadtest/src/market/mod.rs"]
#[allow(dead_code, unused_imports, reason = "outbid-load uses the rest")]
mod market;
#[allow(dead_code, reason = "each bench uses its part")]
mod seeded;
#[path = "../loadtest/src/world.rs"]
#[allow(dead_code, unused_imports, reason = "outbid-load uses the rest")]
mod world;

use allocation_counter::measure;
use anyhow::{Context, bail, ensure};
use outbid::cli::seed::WorldParams;
use outbid::model::event::stable_hash;
use seeded::{Bench, Impressions, PARAMS, REQUESTS};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;

/// What the process that runs under valgrind is started with.
const COUNTED: &str = "--counted";

/// The world of a step.
#[derive(Clone, Copy)]
enum Which {
    /// Line items bid prices.
    Plain,
    /// With goals, frequency caps, shading and models.
    Priced,
    /// The same where no cap of a price spares a prediction.
    Uncapped,
}

/// A step of a bid.
struct Step {
    name: &'static str,
    about: &'static str,
    world: Which,
    /// One request of it.
    one: fn(&mut Bench, usize) -> usize,
    /// All requests of it, as callgrind sees them.
    counted: fn(&mut Bench),
}

/// Declares the functions that callgrind counts, one a step, and the table of the steps.
macro_rules! steps {
    ($($name:literal, $about:literal, $world:ident, $one:ident, $counted:ident;)*) => {
        $(
            #[inline(never)]
            fn $counted(bench: &mut Bench) {
                for n in 0..REQUESTS {
                    black_box(bench.$one(black_box(n)));
                }
            }
        )*
        const STEPS: &[Step] = &[$(Step {
            name: $name,
            about: $about,
            world: Which::$world,
            one: Bench::$one,
            counted: $counted,
        },)*];
    };
}

steps! {
    "parse", "body to auction", Plain, parse, counted_parse;
    "lookup", "privacy gate, identifiers, segments", Plain, lookup, counted_lookup;
    "match", "line items that fit each impression", Plain, matching, counted_matching;
    "decide", "lookup, match, price, choose, hold; no parse", Plain, decide, counted_decide;
    "decide_counted", "the same, counted for the funnel", Plain, decide_counted, counted_decide_counted;
    "respond", "tokens signed, answer written", Plain, respond, counted_respond;
    "line", "parse, decide, respond", Plain, line, counted_line;
    "decide_priced", "decide with goals, caps, shading and models", Priced, decide, counted_decide_priced;
    "decide_16", "decide, one impression with 15 to 17 survivors", Plain, decide_16, counted_decide_16;
    "decide_16_priced", "the same with pricing", Priced, decide_16, counted_decide_16_priced;
    "decide_64", "decide, one impression with 56 to 72 survivors", Plain, decide_64, counted_decide_64;
    "decide_64_priced", "the same with pricing", Priced, decide_64, counted_decide_64_priced;
    "decide_16_uncapped", "the same where all are predicted", Uncapped, decide_16, counted_decide_16_uncapped;
    "decide_64_uncapped", "the same where all are predicted", Uncapped, decide_64, counted_decide_64_uncapped;
}

/// Ends the last step's part.
#[inline(never)]
fn counted_end() {
    black_box(());
}

/// Allocations of one step over all requests.
#[derive(Clone, Copy, Default, serde::Serialize)]
struct Allocations {
    mean: f64,
    most: u64,
}

/// All figures.
#[derive(serde::Serialize)]
struct Figures {
    requests: usize,
    bid_requests: usize,
    body_bytes_mean: usize,
    /// By step, for one request; `None` where valgrind is missing.
    instructions: Option<BTreeMap<&'static str, u64>>,
    allocations: BTreeMap<&'static str, Allocations>,
    /// What decisions look at in each world: what they cost is to be compared beside it.
    impressions: BTreeMap<&'static str, Impressions>,
}

/// The worlds, each with a ledger of its own: whoever else decided on one would take its leases.
struct Worlds {
    plain: Bench,
    priced: Bench,
    uncapped: Bench,
}

impl Worlds {
    fn new() -> Worlds {
        let priced = Bench::of(&WorldParams { pricing: true, ..PARAMS });
        Worlds { plain: Bench::new(), priced, uncapped: Bench::uncapped() }
    }

    fn of(&mut self, step: &Step) -> &mut Bench {
        match step.world {
            Which::Plain => &mut self.plain,
            Which::Priced => &mut self.priced,
            Which::Uncapped => &mut self.uncapped,
        }
    }

    fn named(&mut self) -> [(&'static str, &mut Bench); 3] {
        let Worlds { plain, priced, uncapped } = self;
        [("plain", plain), ("priced", priced), ("uncapped", uncapped)]
    }
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let mut worlds = Worlds::new();
    if has(COUNTED) {
        STEPS.iter().for_each(|step| (step.counted)(worlds.of(step)));
        counted_end();
        return Ok(());
    }
    if has("--digest") {
        for (name, bench) in worlds.named() {
            let mut digest = 0;
            for n in 0..REQUESTS {
                digest = stable_hash(&format!("{digest:x} {}", bench.decided(n)));
            }
            println!("{name} {digest:016x}");
        }
        return Ok(());
    }
    let figures = Figures {
        requests: REQUESTS,
        bid_requests: worlds.plain.bid_requests(),
        body_bytes_mean: worlds.plain.body_bytes_mean(),
        allocations: STEPS.iter().map(|s| (s.name, allocations(worlds.of(s), s.one))).collect(),
        impressions: worlds.named().into_iter().map(|(name, bench)| (name, bench.impressions())).collect(),
        instructions: instructions()?,
    };
    match has("--json") {
        true => println!("{}", serde_json::to_string(&figures)?),
        false => print_table(&figures),
    }
    let baselines = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/baselines.json");
    if has("--keep") {
        let counted = figures.instructions.as_ref().context("without valgrind there is nothing to keep")?;
        std::fs::write(&baselines, serde_json::to_string_pretty(counted)? + "\n")?;
    }
    if has("--gate") {
        let kept =
            std::fs::read_to_string(&baselines).context("there are no baselines: make them with --keep")?;
        gate(&figures, &serde_json::from_str(&kept)?)?;
    }
    Ok(())
}

/// How many instructions more than the baseline are no failure yet, in percent.
const TOLERANCE: u64 = 5;
/// Allocations of a request that are no failure on average: a core asks the ledger for money now and then.
const SPARE_ALLOCATIONS: f64 = 0.01;

/// Fails with every step that has grown.
fn gate(figures: &Figures, kept: &BTreeMap<String, u64>) -> anyhow::Result<()> {
    let mut grown = Vec::new();
    for (step, Allocations { mean, .. }) in &figures.allocations {
        if *mean > SPARE_ALLOCATIONS {
            grown.push(format!("{step} allocates {mean} times"));
        }
    }
    for step in STEPS {
        let Some(now) = figures.instructions.as_ref().map(|by| by[step.name]) else { continue };
        let before =
            *kept.get(step.name).with_context(|| format!("no baseline of {}: use --keep", step.name))?;
        if now * 100 > before * (100 + TOLERANCE) {
            grown.push(format!("{} takes {now} instructions, {before} before", step.name));
        }
    }
    if !grown.is_empty() {
        bail!("{}", grown.join("; "));
    }
    Ok(())
}

fn allocations(bench: &mut Bench, one: fn(&mut Bench, usize) -> usize) -> Allocations {
    let count = |n| {
        measure(|| {
            black_box(one(bench, n));
        })
        .count_total
    };
    let counts: Vec<u64> = (0..REQUESTS).map(count).collect();
    let mean = counts.iter().sum::<u64>() as f64 / REQUESTS as f64;
    Allocations { mean, most: counts.into_iter().max().unwrap_or(0) }
}

/// Runs this program under callgrind; `None`, said aloud, without valgrind.
fn instructions() -> anyhow::Result<Option<BTreeMap<&'static str, u64>>> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("!! SKIPPED: valgrind is not installed, so instructions are not counted");
        return Ok(None);
    }
    let folder = tempfile::tempdir()?;
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", folder.path().join("part").display()))
        .arg("--dump-before=instructions::counted_*")
        .arg(std::env::current_exe()?)
        .arg(COUNTED)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind failed: {said}");
    let mean = |(at, step): (usize, &Step)| {
        // Part 1 is what came before the first step, part n + 1 is step n.
        let part = folder.path().join(format!("part.{}", at + 2));
        let text =
            std::fs::read_to_string(&part).with_context(|| format!("no part of {}: {said}", step.name))?;
        let total = text.lines().find_map(|line| line.strip_prefix("totals: ")).context("no totals")?;
        Ok((step.name, total.trim().parse::<u64>()? / REQUESTS as u64))
    };
    STEPS.iter().enumerate().map(mean).collect::<anyhow::Result<_>>().map(Some)
}

fn print_table(figures: &Figures) {
    let Figures { requests, bid_requests, body_bytes_mean, instructions, allocations, impressions } = figures;
    println!(
        "{requests} requests of {body_bytes_mean} bytes on average, {bid_requests} of them bid on; for one request:"
    );
    println!("{:<18}{:>14}{:>14}{:>8}   what", "step", "instructions", "allocations", "most");
    for step in STEPS {
        let counted = instructions.as_ref().map_or("skipped".to_owned(), |by| by[step.name].to_string());
        let Allocations { mean, most } = allocations[step.name];
        println!("{:<18}{counted:>14}{mean:>14.3}{most:>8}   {}", step.name, step.about);
    }
    for (world, seen) in impressions {
        println!(
            "{world}: {:.2} impressions a request; for each {:.1} survivors (median {}, 99 % {}), of which {:.1} are \
             predicted, {:.2} looked at closely and {:.2} bid",
            seen.a_request,
            seen.survivors,
            seen.survivors_median,
            seen.survivors_99,
            seen.predicted,
            seen.looked_at,
            seen.bids
        );
    }
}
