//! The steps of a bid and the whole line, in time, on the seeded world: `cargo bench --bench decide`.
//!
//! An iteration is one request, and a sample goes over all of them, so that means are means over the same mix.
//! `decide` contains `lookup` and `matching`; `line` is parse, decide and respond together.

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

use divan::{Bencher, black_box};
use outbid::cli::seed::WorldParams;
use seeded::{Bench, PARAMS, REQUESTS};
use std::cell::RefCell;
use std::thread::LocalKey;

thread_local! {
    static BENCH: RefCell<Bench> = RefCell::new(Bench::new());
    static PRICED: RefCell<Bench> = RefCell::new(Bench::of(&WorldParams { pricing: true, ..PARAMS }));
}

fn main() {
    divan::main();
}

fn run(bencher: Bencher<'_, '_>, step: fn(&mut Bench, usize) -> usize) {
    run_in(&BENCH, bencher, step);
}

fn run_in(
    world: &'static LocalKey<RefCell<Bench>>,
    bencher: Bencher<'_, '_>,
    step: fn(&mut Bench, usize) -> usize,
) {
    world.with_borrow_mut(|bench| {
        let mut n = 0;
        bencher.bench_local(|| {
            n = if n + 1 == REQUESTS { 0 } else { n + 1 };
            black_box(step(bench, black_box(n)))
        });
    });
}

#[divan::bench(sample_size = 1_000, sample_count = 100)]
fn parse(bencher: Bencher<'_, '_>) {
    run(bencher, Bench::parse);
}

#[divan::bench(sample_size = 1_000, sample_count = 100)]
fn lookup(bencher: Bencher<'_, '_>) {
    run(bencher, Bench::lookup);
}

#[divan::bench(sample_size = 1_000, sample_count = 100)]
fn matching(bencher: Bencher<'_, '_>) {
    run(bencher, Bench::matching);
}

#[divan::bench(sample_size = 1_000, sample_count = 100)]
fn decide(bencher: Bencher<'_, '_>) {
    run(bencher, Bench::decide);
}

#[divan::bench(sample_size = 1_000, sample_count = 100)]
fn respond(bencher: Bencher<'_, '_>) {
    run(bencher, Bench::respond);
}

#[divan::bench(sample_size = 1_000, sample_count = 100)]
fn line(bencher: Bencher<'_, '_>) {
    run(bencher, Bench::line);
}

/// The same decision where half of the line items pay by clicks or conversions, three in ten have frequency caps, and
/// prices are shaded: what it takes longer than `decide` is what pricing adds.
#[divan::bench(sample_size = 1_000, sample_count = 100)]
fn decide_priced(bencher: Bencher<'_, '_>) {
    run_in(&PRICED, bencher, Bench::decide);
}

/// Both for one impression with 15 to 17 survivors, the world's median.
#[divan::bench(sample_size = 1_000, sample_count = 100)]
fn decide_16(bencher: Bencher<'_, '_>) {
    run(bencher, Bench::decide_16);
}

#[divan::bench(sample_size = 1_000, sample_count = 100)]
fn decide_16_priced(bencher: Bencher<'_, '_>) {
    run_in(&PRICED, bencher, Bench::decide_16);
}

/// Both for one with 56 to 72.
#[divan::bench(sample_size = 1_000, sample_count = 100)]
fn decide_64(bencher: Bencher<'_, '_>) {
    run(bencher, Bench::decide_64);
}

#[divan::bench(sample_size = 1_000, sample_count = 100)]
fn decide_64_priced(bencher: Bencher<'_, '_>) {
    run_in(&PRICED, bencher, Bench::decide_64);
}
