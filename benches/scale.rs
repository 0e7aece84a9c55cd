//! What a decision costs as the account grows: 1,000, 10,000 and 100,000 line items beside 1 million users, in one run:
//! `cargo bench --bench scale` (`OUTBID_BENCH_USERS` for fewer, `OUTBID_BENCH_LINE_ITEMS` for one size alone, to be
//! profiled; `--json` for one object).
//!
//! A decision is privacy, lookup, match, price, choose and hold of a parsed request. Each is timed alone, the clock's
//! own 20 to 30 ns included; the mean, which the ratio compares, comes from batches of the sizes in turn, so that what
//! else the machine does hits all of them.
#![allow(clippy::print_stdout, reason = "the table is what the bench is for")]

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

use hdrhistogram::Histogram;
use outbid::cli::seed::WorldParams;
use quanta::Instant;
use seeded::{Bench, PARAMS, REQUESTS};
use std::hint::black_box;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIZES: &[u32] = &[1_000, 10_000, 100_000];
/// The size whose tail has limits.
const MEASURED: u32 = 10_000;
/// Rounds over all requests.
const ROUNDS: usize = 41;

/// One size and what was measured.
struct Size {
    line_items: u32,
    bench: Bench,
    /// Nanoseconds of single decisions.
    singles: Histogram<u64>,
    /// Mean nanoseconds of a decision, by round.
    means: Vec<f64>,
}

impl Size {
    fn new(users: u64, line_items: u32) -> Size {
        eprintln!("building {line_items} line items and {users} users");
        let singles = Histogram::new_with_bounds(1, 1_000_000_000, 3).expect("sound bounds");
        let params = WorldParams { users, line_items, ..PARAMS };
        Size { line_items, bench: Bench::of(&params), singles, means: Vec::new() }
    }

    fn round(&mut self) {
        let began = Instant::now();
        for n in 0..REQUESTS {
            black_box(self.bench.decide(n));
        }
        self.means.push(began.elapsed().as_nanos() as f64 / REQUESTS as f64);
        for n in 0..REQUESTS {
            let began = Instant::now();
            black_box(self.bench.decide(n));
            self.singles.saturating_record(began.elapsed().as_nanos() as u64);
        }
    }

    /// The median round.
    fn mean(&mut self) -> f64 {
        self.means.sort_by(f64::total_cmp);
        self.means[self.means.len() / 2]
    }
}

fn verdict(holds: bool) -> &'static str {
    if holds { "holds" } else { "FAILS" }
}

fn main() {
    let given = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let users = given("OUTBID_BENCH_USERS").unwrap_or(1_000_000);
    let one = given("OUTBID_BENCH_LINE_ITEMS").map(|line_items| [line_items as u32]);
    let asked = one.as_ref().map_or(SIZES, |one| one);
    let mut sizes: Vec<Size> = asked.iter().map(|line_items| Size::new(users, *line_items)).collect();
    for _ in 0..ROUNDS {
        sizes.iter_mut().for_each(Size::round);
    }
    let mut figures = Vec::new();
    for size in &mut sizes {
        let at = |quantile| size.singles.value_at_quantile(quantile) as f64 / 1_000.0;
        let (p50, p99, p999) = (at(0.5), at(0.99), at(0.999));
        let (line_items, mean, bids) = (size.line_items, size.mean() / 1_000.0, size.bench.bid_requests());
        let survivors = [0.5, 0.99].map(|quantile| size.bench.survivors(quantile));
        figures.push((line_items, mean, [p50, p99, p999], survivors, bids));
    }
    let ratio = figures[figures.len() - 1].1 / figures[0].1;
    if std::env::args().any(|argument| argument == "--json") {
        let rows = figures.iter().map(|(line_items, mean, [p50, p99, p999], survivors, bids)| {
            serde_json::json!({"line_items": line_items, "mean_us": mean, "p50_us": p50, "p99_us": p99,
                "p999_us": p999, "survivors_p50": survivors[0], "survivors_p99": survivors[1], "bids": bids})
        });
        println!(
            "{}",
            serde_json::json!({"users": users, "decide": rows.collect::<Vec<_>>(), "ratio": ratio})
        );
        return;
    }
    println!("\n| decide, {users} users | mean | p50 | p99 | p99.9 | survivors p50, p99 | bid on | |");
    println!("|---|---|---|---|---|---|---|---|");
    for (line_items, mean, [p50, p99, p999], survivors, bids) in &figures {
        let limit = match *line_items == MEASURED {
            true => {
                format!("p99 ≤ 100 µs and p99.9 ≤ 1,000 µs: {}", verdict(*p99 <= 100.0 && *p999 <= 1_000.0))
            }
            false => String::new(),
        };
        println!(
            "| {line_items} line items | {mean:.2} µs | {p50:.2} µs | {p99:.2} µs | {p999:.2} µs | {}, {} | {bids} of \
             {REQUESTS} | {limit} |",
            survivors[0], survivors[1]
        );
    }
    if let [first, .., last] = asked {
        println!(
            "\nmean at {last} line items / at {first}: {ratio:.2}, limit 1.5: {}",
            verdict(ratio <= 1.5)
        );
    }
}
