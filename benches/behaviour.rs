//! Events of behaviour with everything on: `cargo bench --bench behaviour` prints events a second on one core, the bytes
//! that are kept of a person, and how long a sweep of tiers takes. Rules, interests, tiers, orders, the log and its syncs
//! are those of a server; the network is not in it.

#![allow(clippy::print_stdout, reason = "the table is what the bench is for")]

use outbid::audience::{IdKey, Plan, SYNC_EVERY_MS, Seen, Store};
use outbid::model::behaviour::{Action, ActionFilter, Customers, Interest, Rule, Source, Tier};
use outbid::model::exchange::GdprDefault;
use outbid::model::ids::{AdvertiserId, PixelId, SegmentId};
use outbid::model::money::Nanos;
use outbid::model::taxonomy::{Segment, Taxonomy};
use outbid::privacy::{Policy, Rules, Signals, judge};
use quanta::Instant;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SECRET: IdKey = IdKey([1; 16]);
const START_S: i64 = 1_800_000_000;
const EVENTS: u64 = 2_000_000;
const USERS: u64 = 200_000;
const RULES: u32 = 2_000;
/// Nodes of the tree whose every tenth is an interest.
const NODES: u32 = 2_000;
const ADVERTISER: AdvertiserId = AdvertiserId(1);
/// Events a second that one core has to take.
const LEAST: f64 = 50_000.0;

fn main() {
    let segments = segments();
    let taxonomy = Arc::new(Taxonomy::build(&segments).expect("a forest"));
    let plan = Plan::compile(&segments, &taxonomy);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (store, _) = Store::open(dir.path(), SECRET).expect("an empty store");
    let signals = Signals { gdpr: Some(false), ..Signals::default() };
    let rules = Rules { gdpr_default: GdprDefault::Applies, policy: Policy::default() };
    let done = AtomicBool::new(false);
    let taken = std::thread::scope(|scope| {
        let (store, done) = (&store, &done);
        scope.spawn(move || {
            while !done.load(Relaxed) {
                std::thread::sleep(Duration::from_millis(SYNC_EVERY_MS));
                store.sync().expect("the disk takes it");
            }
        });
        let started = Instant::now();
        for number in 0..EVENTS {
            take(store, &plan, number, judge(&signals, &rules).profile().expect("nothing forbids it"));
        }
        let taken = started.elapsed();
        done.store(true, Relaxed);
        taken
    });
    let per_second = EVENTS as f64 / taken.as_secs_f64();
    let verdict = if per_second >= LEAST { "ok" } else { "FAILS" };
    println!("events a second on one core      {per_second:>12.0}   ≥ {LEAST:.0}  {verdict}");
    let stats = store.index().stats();
    let users = stats.traced_users.max(1) as f64;
    println!("people with behaviour            {users:>12.0}");
    println!("bytes of traces a person         {:>12.1}", stats.trace_bytes_estimate as f64 / users);
    println!("memberships in the overlay       {:>12}", stats.overlay_memberships);
    println!("log, bytes an event              {:>12.1}", store.logged_bytes() as f64 / EVENTS as f64);
    let started = Instant::now();
    let swept = store.sweep(&plan, START_S + 200 * 86_400);
    println!("sweep of {} customers, ms {:>19.1}", swept.customers, started.elapsed().as_secs_f64() * 1e3);
}

/// Takes an event of somebody: nine of ten look or search, one buys.
fn take(store: &Store, plan: &Plan, number: u64, proof: outbid::privacy::WriteProfile) {
    let dice = mix(number);
    let key = SECRET.cookie(&(dice % USERS).to_string());
    let buys = dice >> 32 & 15 == 0;
    let keywords = format!("the best word{} of all", dice >> 40 & 4_095);
    let category = plan.category(ADVERTISER, &format!("node.{}", dice >> 20 & 2_047));
    let order = format!("order-{number}");
    let at_s = START_S + (number / 50_000) as i64;
    let seen = Seen {
        advertiser: ADVERTISER,
        pixel: PixelId(1),
        action: if buys {
            Action::Purchase
        } else {
            [Action::View, Action::Search][(dice >> 36 & 1) as usize]
        },
        name: "",
        keywords: &keywords,
        category,
        conversion: None,
        value: buys.then_some(Nanos(19_900_000_000)),
        at_s,
    };
    let moved = store.write(|writer| {
        if buys && writer.is_new_order(ADVERTISER, &order) {
            writer.note_order(ADVERTISER, &order, at_s);
        }
        writer.observe(key, &seen, plan, proof)
    });
    assert!(moved.is_ok(), "nobody has too many segments");
}

fn segments() -> Vec<Segment> {
    let advertisers = vec![ADVERTISER];
    let mut all = Vec::new();
    let mut add = |key: String, parent: Option<SegmentId>, source: Source| {
        let id = SegmentId(all.len() as u32 + 1);
        all.push(Segment { id, name: key.clone(), key, parent, source, ..Segment::default() });
    };
    for number in 0..NODES {
        let interest = Interest {
            advertisers: advertisers.clone(),
            half_life_s: 7 * 86_400,
            threshold_milli: 3_000,
            weights_milli: Interest::WEIGHTS_MILLI,
        };
        let parent = (number > 0).then(|| SegmentId(number / 10 + 1));
        let source = if number % 10 == 0 { Source::Interest(interest) } else { Source::Listed };
        add(format!("node.{number}"), parent, source);
    }
    for number in 0..RULES {
        let filter = ActionFilter {
            advertisers: advertisers.clone(),
            actions: vec![Action::Search],
            keywords: vec![format!("word{number}"), format!("best word{}", number + RULES)],
            ..ActionFilter::default()
        };
        add(format!("rule.{number}"), None, Source::Rule(Rule { filter, at_least: 2, within_s: 7 * 86_400 }));
    }
    for tier in Tier::ALL {
        let customers =
            Customers { advertiser: ADVERTISER, tier, recent_s: 90 * 86_400, lost_s: 365 * 86_400 };
        add(format!("tier.{}", tier.as_str()), None, Source::Customers(customers));
    }
    all
}

/// splitmix64.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
