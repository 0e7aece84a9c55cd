//! The packed index against `DashMap<u64, Box<[u32]>>` with foldhash, on the same users in the same run:
//! `cargo bench --bench audience`.
//!
//! 1,000,000 users × 12 segments, Zipf over 20,000. Exact bytes a user are printed first: those asked of the
//! allocator while the structure is held. `latency` makes each lookup wait for the one before it, `throughput` does
//! not; `uniform` asks for all users alike (the caches' worst case), `zipf` for few users often, `unknown` for
//! strangers. The map has neither expiry nor provenance nor consent to check; the index is asked for all of them.
//!
//! Measured with one membership in twenty under a sensitive node, and with all expiries of a user alike, as a bulk
//! import leaves them; `expiries all different` shows the bytes of the other extreme.

use dashmap::DashMap;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use foldhash::fast::RandomState;
use outbid::audience::{AudienceIndex, Builder, IdKey, IdKind, Keys, Lookup, Membership};
use outbid::model::auction::{Auction, Imp};
use outbid::model::country::Country;
use outbid::model::exchange::GdprDefault;
use outbid::model::ids::{SegmentId, UserKey};
use outbid::model::taxonomy::{Segment, Taxonomy};
use outbid::privacy::{Rules, UseSegments, gate};
use std::sync::LazyLock;

const USERS: u64 = 1_000_000;
const SEGMENTS: u32 = 20_000;
const SEGMENTS_PER_USER: u64 = 12;
const NOW: i64 = 1_800_000_000;
/// Lookups of one measured call; a power of two.
const BATCH: usize = 1_024;

type Map = DashMap<u64, Box<[u32]>, RandomState>;

/// splitmix64.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A rank below `count` with probability about 1 / rank.
fn zipf(seed: u64, count: f64) -> u64 {
    let uniform = (mix(seed) >> 11) as f64 / (1_u64 << 53) as f64;
    (count.powf(uniform) as u64).min(count as u64) - 1
}

/// Twelve different segments, ascending.
fn segments_of(user: u64) -> Vec<u32> {
    let mut segments = Vec::with_capacity(SEGMENTS_PER_USER as usize);
    for draw in 0.. {
        let segment = zipf(mix(user ^ 0x5eed) ^ draw, f64::from(SEGMENTS)) as u32;
        if !segments.contains(&segment) {
            segments.push(segment);
        }
        if segments.len() as u64 == SEGMENTS_PER_USER {
            break;
        }
    }
    segments.sort_unstable();
    segments
}

fn build_index(expiry: impl Fn(u64, u32) -> Option<i64>) -> AudienceIndex {
    let mut builder = Builder::default();
    for user in 0..USERS {
        let memberships = segments_of(user).into_iter().map(|segment| Membership {
            expires_s: expiry(user, segment),
            ..Membership::of(SegmentId(segment))
        });
        builder.push(UserKey(mix(user)), memberships).expect("inside the limits");
    }
    builder.finish().expect("inside the limits")
}

/// Ends within ninety days, the same for all segments of a user.
fn per_user(user: u64, _segment: u32) -> Option<i64> {
    Some(NOW + 86_400 + (mix(user) % (90 * 86_400)) as i64)
}

fn build_map() -> Map {
    let map = Map::default();
    for user in 0..USERS {
        map.insert(mix(user), segments_of(user).into_boxed_slice());
    }
    map
}

static INDEX: LazyLock<AudienceIndex> = LazyLock::new(|| build_index(per_user));
static MAP: LazyLock<Map> = LazyLock::new(build_map);

static TAXONOMY: LazyLock<Taxonomy> = LazyLock::new(|| {
    let node = |id| Segment {
        id: SegmentId(id),
        key: id.to_string(),
        name: String::new(),
        parent: None,
        sensitive: id % 20 == 7,
    };
    Taxonomy::build(&(0..SEGMENTS).map(node).collect::<Vec<_>>()).expect("a list is a forest")
});

fn proof() -> UseSegments {
    let imps = [Imp::default()];
    let mut auction = Auction { imps: &imps, ..Auction::default() };
    auction.device.geo.country = Country::parse("US");
    let opportunity = auction.opportunities().next().expect("one impression");
    gate(&opportunity, &Rules { gdpr_default: GdprDefault::Applies }).segments().expect("nothing forbids it")
}

/// Which users are asked for.
#[derive(Clone, Copy, Debug)]
enum Ask {
    Uniform,
    Zipf,
    Unknown,
}

const ASKS: [Ask; 3] = [Ask::Uniform, Ask::Zipf, Ask::Unknown];

/// As many keys as users, so that they do not all stay in the caches.
fn asked(ask: Ask) -> Vec<u64> {
    let key = |i: u64| match ask {
        Ask::Uniform => mix(mix(i ^ 0xa5c) % USERS),
        Ask::Zipf => mix(zipf(i ^ 0xa5c, USERS as f64).wrapping_mul(0x9e37_79b1) % USERS),
        Ask::Unknown => mix(USERS + 1 + i),
    };
    (0..1 << 20).map(key).collect()
}

/// Runs `BATCH` lookups a call over all asked keys in turn. `chained` lets each key depend on the last answer.
fn run(bencher: Bencher<'_, '_>, ask: Ask, chained: bool, make: impl Fn() -> Box<dyn FnMut(u64) -> usize>) {
    let keys = asked(ask);
    let mut look_up = make();
    let mut start = 0;
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        let mut last = 0;
        for i in start..start + BATCH {
            // The answer's length is below 2²⁰: the sum never changes the place, but the processor cannot know.
            let place = if chained { i + (black_box(last) >> 20) } else { i };
            last = black_box(look_up(keys[place & (keys.len() - 1)]));
        }
        start += BATCH;
    });
}

fn packed() -> Box<dyn FnMut(u64) -> usize> {
    let (proof, mut keys, mut out) = (proof(), Keys::default(), Lookup::default());
    Box::new(move |key| {
        keys.clear();
        keys.push(UserKey(key), IdKind::Cookie);
        INDEX.lookup(&keys, &TAXONOMY, NOW, proof, &mut out);
        out.segments.len()
    })
}

fn dashmap() -> Box<dyn FnMut(u64) -> usize> {
    let mut out: Vec<u32> = Vec::new();
    Box::new(move |key| {
        out.clear();
        if let Some(segments) = MAP.get(&key) {
            out.extend_from_slice(&segments);
        }
        out.len()
    })
}

#[divan::bench(args = ASKS)]
fn latency_packed(bencher: Bencher<'_, '_>, ask: Ask) {
    run(bencher, ask, true, packed);
}

#[divan::bench(args = ASKS)]
fn latency_dashmap(bencher: Bencher<'_, '_>, ask: Ask) {
    run(bencher, ask, true, dashmap);
}

#[divan::bench(args = ASKS)]
fn throughput_packed(bencher: Bencher<'_, '_>, ask: Ask) {
    run(bencher, ask, false, packed);
}

#[divan::bench(args = ASKS)]
fn throughput_dashmap(bencher: Bencher<'_, '_>, ask: Ask) {
    run(bencher, ask, false, dashmap);
}

/// What a writer and a restart cost, in seconds, on a copy of the measured index.
fn print_times(folder: &std::path::Path) {
    let secret = IdKey([1; 16]);
    let timed = |name: &str, work: &mut dyn FnMut()| {
        let start = quanta::Instant::now();
        work();
        eprintln!("{name:<44} {:7.3} s", start.elapsed().as_secs_f64());
    };
    let mut copy = None;
    timed("generate, sort, pack 1 M users", &mut || copy = Some(build_index(per_user)));
    timed("save and flush to disk", &mut || drop(INDEX.save(folder, &secret).expect("the disk has room")));
    timed("load and check", &mut || copy = AudienceIndex::load(folder, &secret).expect("as it was saved"));
    let copy = copy.expect("it was saved");
    let more = Membership::of(SegmentId(SEGMENTS - 1));
    timed("add 100,000 memberships", &mut || {
        (0..100_000).for_each(|user| copy.add(UserKey(mix(user * 7)), more).expect("inside the limits"));
    });
    timed("merge them, all 256 shards", &mut || copy.merge(NOW).expect("inside the limits"));
}

/// Bytes that `build` asked for and still holds, a user.
fn print_bytes<T>(name: &str, build: impl FnOnce() -> T) {
    let mut built = None;
    let held = allocation_counter::measure(|| built = Some(build())).bytes_current;
    eprintln!("{name:<44} {:7.2} bytes a user", held as f64 / USERS as f64);
}

fn main() {
    print_bytes("packed, no expiries", || build_index(|_, _| None));
    print_bytes("packed, expiries all different", || {
        build_index(|user, segment| per_user(user ^ u64::from(segment) << 32, segment))
    });
    print_bytes("packed, one expiry a user (measured below)", || LazyLock::force(&INDEX));
    print_bytes("DashMap<u64, Box<[u32]>>", || LazyLock::force(&MAP));
    eprintln!("{:?}", INDEX.stats());
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    print_times(folder.path());
    divan::main();
}
