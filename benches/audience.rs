//! The audience index at its full size, beside the `DashMap<u64, Box<[u32]>>` that it has to beat, on the same users in
//! the same run: `cargo bench --bench audience` prints every figure with its limit (`OUTBID_BENCH_USERS`, by default 10
//! million; `--json` for one object).
//!
//! Ratios come from batches of both in turn, so that what else the machine does hits both. `latency` makes each lookup
//! wait for the last segment of the one before it; `one by one` does not, and a lookup's instructions fill the processor's
//! window, so that their waits for memory do not overlap; `throughput` looks users up as whoever has many of them does,
//! announcing some before looking those up. The map has no such call. The map has neither expiry nor provenance nor consent to check; the
//! index is asked for all of them. Bytes are those of the index's own account. What is measured besides building and
//! saving is the saved index in a fresh process, as a restarted server has it: there its memory is in one piece, and
//! resident bytes are those that the process grows by.

#![allow(clippy::print_stdout, reason = "the table is what the bench is for")]

mod people;

use hdrhistogram::Histogram;
use outbid::audience::{AudienceIndex, Builder, IdKey, IdKind, Keys, Lookup, Membership};
use outbid::model::ids::{SegmentId, UserKey};
use outbid::model::taxonomy::Taxonomy;
use outbid::privacy::UseSegments;
use people::{Ask, Ends, Map, NOW, mix};
use quanta::Instant;
use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SECRET: IdKey = IdKey([1; 16]);
/// Lookups of one measured batch.
const BATCH: usize = 16_384;
/// Batches of each kind; medians are printed.
const ROUNDS: usize = 31;
/// Names the folder to the child process, which loads.
const CHILD: &str = "OUTBID_BENCH_LOAD";

/// A figure, and the most or least that it should be.
struct Row {
    what: String,
    value: f64,
    unit: &'static str,
    limit: Option<(&'static str, f64)>,
}

#[derive(Default)]
struct Table(Vec<Row>);

impl Table {
    fn add(&mut self, what: &str, value: f64, unit: &'static str, limit: Option<(&'static str, f64)>) {
        eprintln!("{what}: {value:.2} {unit}");
        self.0.push(Row { what: what.to_owned(), value, unit, limit });
    }

    fn most(&mut self, what: &str, value: f64, unit: &'static str, limit: f64) {
        self.add(what, value, unit, Some(("≤", limit)));
    }

    fn print(&self) {
        println!("\n| audience index | figure | limit | |\n|---|---|---|---|");
        for Row { what, value, unit, limit } in &self.0 {
            let (limit, verdict) = match limit {
                Some((sign, limit)) => {
                    let holds = if *sign == "≤" { value <= limit } else { value >= limit };
                    (format!("{sign} {limit}"), if holds { "holds" } else { "FAILS" })
                }
                None => (String::new(), ""),
            };
            println!("| {what} | {value:.2} {unit} | {limit} | {verdict} |");
        }
    }

    fn print_json(&self) {
        let entry = |row: &Row| {
            serde_json::json!({"what": row.what, "value": row.value, "unit": row.unit,
                "limit": row.limit.map(|(sign, limit)| format!("{sign} {limit}"))})
        };
        println!("{}", serde_json::json!({"audience": self.0.iter().map(entry).collect::<Vec<_>>()}));
    }
}

/// Builds the index of `users`; the seconds are those of collecting, sorting and packing alone, not of making users up.
fn build(users: u64, ends: Ends) -> (AudienceIndex, Duration) {
    const CHUNK: u64 = 100_000;
    let mut builder = Builder::default();
    let mut spent = Duration::ZERO;
    let mut chunk: Vec<(UserKey, Vec<Membership>)> = Vec::new();
    for first in (0..users).step_by(CHUNK as usize) {
        let own = first..users.min(first + CHUNK);
        chunk.clear();
        chunk.extend(own.map(|user| (UserKey(mix(user)), people::memberships(user, ends).collect())));
        let start = Instant::now();
        for (key, memberships) in &chunk {
            builder.push(*key, memberships.iter().copied()).expect("inside the limits");
        }
        spent += start.elapsed();
    }
    let start = Instant::now();
    let index = builder.finish().expect("inside the limits");
    (index, spent + start.elapsed())
}

/// How one lookup follows another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// Which key comes next depends on the answer before.
    Chained,
    /// It does not.
    OneByOne,
    /// Nor does it here, and [`GROUP`] of them are announced before they are looked up.
    Announced,
}

/// Lookups that are announced together: as many as a processor has misses in flight.
const GROUP: usize = 16;

trait LookUp {
    /// The last segment of a user, 0 for a stranger.
    fn look_up(&mut self, key: u64) -> u32;

    /// Looks up [`GROUP`] keys that are known together.
    fn look_up_group(&mut self, keys: &[u64; GROUP]) {
        for key in keys {
            black_box(self.look_up(*key));
        }
    }
}

/// Looks keys up, `BATCH` a call, going on where the call before stopped. Answers nanoseconds a lookup.
fn batch(keys: &[u64], start: usize, pace: Pace, index: &mut impl LookUp) -> f64 {
    let key = |i: usize| keys[i & (keys.len() - 1)];
    let began = Instant::now();
    match pace {
        Pace::Chained => {
            let mut last = 0;
            for i in start..start + BATCH {
                // A segment's number is below 2²⁰: the sum never changes the place, but the processor cannot know.
                last = black_box(index.look_up(key(i + (black_box(last) >> 20) as usize)));
            }
        }
        Pace::OneByOne => (start..start + BATCH).for_each(|i| {
            black_box(index.look_up(key(i)));
        }),
        Pace::Announced => {
            for first in (start..start + BATCH).step_by(GROUP) {
                index.look_up_group(&std::array::from_fn(|at| key(first + at)));
            }
        }
    }
    began.elapsed().as_nanos() as f64 / BATCH as f64
}

/// Lookups as the decision makes them.
struct Packed<'i> {
    index: &'i AudienceIndex,
    taxonomy: &'i Taxonomy,
    proof: UseSegments,
    keys: Keys,
    group: [Keys; GROUP],
    out: Lookup,
}

impl<'i> Packed<'i> {
    fn new(index: &'i AudienceIndex, taxonomy: &'i Taxonomy) -> Packed<'i> {
        let (keys, group, out) = (Keys::default(), Default::default(), Lookup::default());
        Packed { index, taxonomy, proof: people::proof(), keys, group, out }
    }
}

fn name(keys: &mut Keys, key: u64) {
    keys.clear();
    keys.push(UserKey(key), IdKind::Cookie);
}

impl LookUp for Packed<'_> {
    fn look_up(&mut self, key: u64) -> u32 {
        name(&mut self.keys, key);
        self.index.lookup(&self.keys, self.taxonomy, NOW, self.proof, &mut self.out);
        self.out.segments.last().map_or(0, |segment| segment.0)
    }

    fn look_up_group(&mut self, keys: &[u64; GROUP]) {
        self.group.iter_mut().zip(keys).for_each(|(named, key)| name(named, *key));
        self.index.announce(&self.group, &mut self.out);
        for keys in &self.group {
            self.index.lookup(keys, self.taxonomy, NOW, self.proof, &mut self.out);
            black_box(self.out.segments.last());
        }
    }
}

struct Mapped<'m> {
    map: &'m Map,
    out: Vec<u32>,
}

impl LookUp for Mapped<'_> {
    fn look_up(&mut self, key: u64) -> u32 {
        self.out.clear();
        if let Some(segments) = self.map.get(&key) {
            self.out.extend_from_slice(&segments);
        }
        self.out.last().copied().unwrap_or(0)
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn compare(table: &mut Table, users: u64, index: &AudienceIndex, map: &Map, taxonomy: &Taxonomy) {
    const PACES: [(Pace, &str, Option<f64>); 3] = [
        (Pace::Chained, "latency", Some(0.8)),
        (Pace::OneByOne, "one by one", None),
        (Pace::Announced, "throughput", Some(1.3)),
    ];
    for ask in [Ask::Uniform, Ask::Zipf, Ask::Unknown] {
        let keys = people::asked(ask, users);
        for (pace, name, limit) in PACES {
            let (mut packed, mut mapped) = (Packed::new(index, taxonomy), Mapped { map, out: Vec::new() });
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for round in 0..ROUNDS {
                ours.push(batch(&keys, 2 * round * BATCH, pace, &mut packed));
                theirs.push(batch(&keys, (2 * round + 1) * BATCH, pace, &mut mapped));
            }
            let (ours, theirs) = (median(&mut ours), median(&mut theirs));
            let what = format!("{name}, {ask:?}: {ours:.0} ns, DashMap {theirs:.0} ns").to_lowercase();
            // The limits are those of users that are known.
            let limit = limit.filter(|_| ask != Ask::Unknown).map(|limit| ("≤", limit));
            table.add(&what, ours / theirs, "×", limit);
        }
    }
}

/// Lookups one by one for as long as `go_on` says; nanoseconds, the clock's own included.
fn tail(keys: &[u64], index: &mut impl LookUp, go_on: impl Fn(usize) -> bool) -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1, 1_000_000_000, 3).expect("sound bounds");
    let mut i = 0;
    while go_on(i) {
        let start = Instant::now();
        black_box(index.look_up(keys[i & (keys.len() - 1)]));
        histogram.saturating_record(start.elapsed().as_nanos() as u64);
        i += 1;
    }
    histogram
}

/// One core writes and merges without a pause while another looks up.
fn disturbed(table: &mut Table, users: u64, index: &AudienceIndex, taxonomy: &Taxonomy) {
    let keys = people::asked(Ask::Uniform, users);
    let mut packed = Packed::new(index, taxonomy);
    let idle = tail(&keys, &mut packed, |i| i < 2_000_000);
    let done = AtomicBool::new(false);
    let (busy, writes) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut writes = 0_u64;
            for round in 0..3 {
                for i in 0..100_000 {
                    let user = UserKey(mix(mix(writes ^ 0xbeef) % users));
                    let segment = SegmentId((i % 20_000) as u32);
                    index.add(user, Membership::of(segment)).expect("inside the limits");
                    writes += 1;
                }
                index.merge(NOW + round).expect("inside the limits");
            }
            done.store(true, Relaxed);
            writes
        });
        let busy = tail(&keys, &mut packed, |_| !done.load(Relaxed));
        (busy, writer.join().expect("the writer ends well"))
    });
    let (idle_p99, busy_p99) = (idle.value_at_quantile(0.99), busy.value_at_quantile(0.99));
    let what = format!(
        "p99 beside {writes} writes and 3 merges: {busy_p99} ns of {} lookups, idle {idle_p99} ns",
        busy.len()
    );
    table.most(&what, busy_p99 as f64 / idle_p99 as f64, "×", 2.0);
    let (idle_tail, busy_tail) = (idle.value_at_quantile(0.999), busy.value_at_quantile(0.999));
    table.add(
        &format!("p99.9 likewise: {busy_tail} ns, idle {idle_tail} ns"),
        busy_tail as f64 / idle_tail as f64,
        "×",
        None,
    );
}

fn updates(table: &mut Table, users: u64, index: &AudienceIndex) {
    const WRITES: u64 = 1_000_000;
    let start = Instant::now();
    for i in 0..WRITES {
        let user = UserKey(mix(mix(i ^ 0xadd) % users));
        index.add(user, Membership::of(SegmentId((i % 20_000) as u32))).expect("inside the limits");
    }
    let rate = WRITES as f64 / start.elapsed().as_secs_f64();
    table.add("overlay updates a second on one core", rate, "1/s", Some(("≥", 500_000.0)));
    let start = Instant::now();
    index.merge(NOW).expect("inside the limits");
    table.add("merging them", start.elapsed().as_secs_f64(), "s", None);
}

/// Strangers, and strangers who share the stored 48 bits with somebody.
fn false_matches(table: &mut Table, users: u64, index: &AudienceIndex, taxonomy: &Taxonomy) {
    const STRANGERS: u64 = 20_000_000;
    let mut packed = Packed::new(index, taxonomy);
    let random = (0..STRANGERS).filter(|i| packed.look_up(mix(users + 1 + i)) > 0).count();
    let near = (0..STRANGERS).filter(|i| packed.look_up(mix(i % users) ^ (1 << (48 + i % 16))) > 0).count();
    let what = format!("false matches of {STRANGERS} strangers and as many whose 48 low bits somebody has");
    table.most(&what, (random + near) as f64, "", 0.0);
    let bound = users as f64 / 2_f64.powi(64);
    table.most("false match of a stranger, users / 2⁶⁴, × 10⁹", bound * 1e9, "", 1.0);
}

/// Resident bytes of this process.
fn resident() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<f64>().ok().map(|kib| kib * 1_024.0)
}

/// What a restarted server finds: a fresh process that loads the saved index, and everything that is asked of it.
fn restarted(folder: &Path, users: u64) -> Table {
    let mut table = Table::default();
    let before = resident().unwrap_or(f64::NAN);
    let start = Instant::now();
    let index = AudienceIndex::load(folder, &SECRET).expect("as it was saved").expect("it was saved");
    table.most("loading and checking after a restart", start.elapsed().as_secs_f64(), "s", 5.0);
    let grown = resident().unwrap_or(f64::NAN) - before;
    table.most("resident bytes a user after a restart", grown / users as f64, "B", 64.0);
    let taxonomy = people::taxonomy();
    let map = Map::default();
    for user in 0..users {
        map.insert(mix(user), people::segments_of(user).into());
    }
    compare(&mut table, users, &index, &map, &taxonomy);
    drop(map);
    false_matches(&mut table, users, &index, &taxonomy);
    disturbed(&mut table, users, &index, &taxonomy);
    updates(&mut table, users, &index);
    table
}

/// Bytes, building and saving.
fn built(folder: &Path, users: u64) -> Table {
    let mut table = Table::default();
    for (ends, name) in [(Ends::Never, "no expiries"), (Ends::Apart, "all expiries different")] {
        let bytes = build(users.min(1_000_000), ends).0.stats().base_bytes_per_user().unwrap_or(f64::NAN);
        table.add(&format!("exact bytes a user, {name}"), bytes, "B", None);
    }
    let (index, seconds) = build(users, Ends::Together);
    let bytes = index.stats().base_bytes_per_user().unwrap_or(f64::NAN);
    table.most(&format!("exact bytes a user, {users} users × 12, one expiry a user"), bytes, "B", 40.0);
    table.most("collecting, sorting and packing", seconds.as_secs_f64(), "s", 10.0);
    let start = Instant::now();
    index.save(folder, &SECRET).expect("the disk has room");
    table.add("saving, flushed to the disk", start.elapsed().as_secs_f64(), "s", None);
    table
}

fn main() {
    let users =
        std::env::var("OUTBID_BENCH_USERS").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000_000);
    let json = std::env::args().any(|argument| argument == "--json");
    let print = |table: &Table| if json { table.print_json() } else { table.print() };
    if let Some(folder) = std::env::var_os(CHILD) {
        return print(&restarted(Path::new(&folder), users));
    }
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    print(&built(folder.path(), users));
    let own = std::env::current_exe().expect("this program has a name");
    let ended =
        std::process::Command::new(own).args(std::env::args().skip(1)).env(CHILD, folder.path()).status();
    assert!(ended.expect("it can be started").success(), "the process that loads the index failed");
}
