//! What predictions cost: `cargo bench --bench prediction` prints nanoseconds for the part of a request, for each candidate
//! and for both with 16 and 64 of them, each beside its limit, and the rows a second that a learner takes.
//!
//! A table of 2^22 slots filled by 400,000 rows; requests with 12 segments, sites and segments by rank as in the measuring
//! world, candidates of 10,000 campaigns. Requests follow one another without repeating, so that what they share is all that
//! is warm.

#![allow(clippy::print_stdout, reason = "the table is what the bench is for")]

use outbid::model::auction::Size;
use outbid::model::country::Country;
use outbid::model::ids::{AdvertiserId, CampaignId, CreativeId, ExchangeId, LineItemId, SegmentId};
use outbid::model::targeting::MediaType;
use outbid::pricing::prediction::{
    Calibrator, Context, ContextFacts, Crosses, Learner, LearnerOptions, Level, Model, OfferFacts, OfferKeys,
    Probability,
};
use quanta::Instant;
use std::hint::black_box;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROWS: u64 = 400_000;
const REQUESTS: u64 = 4_096;
const CAMPAIGNS: u64 = 10_000;
const COUNTRIES: [&str; 4] = ["US", "DE", "GB", "FR"];

/// A request with its texts.
struct Request {
    slot: String,
    region: String,
    site: u64,
    dice: u64,
    segments: Vec<SegmentId>,
    survivors: Vec<u32>,
}

fn main() {
    let requests: Vec<Request> = (0..REQUESTS).map(|at| request(mix(at))).collect();
    let (learner, learned_per_s) = learn(&requests);
    let mut calibrator = Calibrator::new(CAMPAIGNS as usize * 2, false);
    for at in 0..CAMPAIGNS * 2 {
        let campaign = CampaignId((at % CAMPAIGNS) as u32);
        calibrator.add(0, campaign, -4.0, f64::from(u8::from(at % 50 == 0)), 1.0);
    }
    let model = learner.snapshot(calibrator.fit(0), &Level::default(), 0);
    let keys: Vec<OfferKeys> = (0..CAMPAIGNS * 3).map(keys).collect();
    let mut context = Context::default();
    let mut candidates = Candidates {
        crosses: vec![(Crosses::default(), CampaignId(0)); 64],
        found: vec![Probability::from_logit(0.0); 64],
    };
    let of_request = each(&requests, |request| {
        context.fill(&facts(request));
        black_box(model.context_sum(&context));
    });
    let mut with = |many: usize| {
        each(&requests, |request| score(&model, request, &keys, &mut context, &mut candidates, many))
    };
    let (at_16, at_64) = (with(16), with(64));
    let of_candidate = (at_64 - at_16) / 48.0;
    line("a request's part, ns", of_request, 800.0);
    line("a candidate, ns", of_candidate, 40.0);
    line("request and 16 candidates, ns", at_16, 1_500.0);
    line("request and 64 candidates, ns", at_64, 5_000.0);
    println!("{:<34}{learned_per_s:>12.0}", "rows a second, learned");
    let started = Instant::now();
    black_box(learner.snapshot(calibrator.fit(0), &Level::default(), 0));
    println!("{:<34}{:>12.1}", "snapshot and calibration, ms", started.elapsed().as_secs_f64() * 1e3);
    let started = Instant::now();
    let bytes = learner.export();
    println!("{:<34}{:>12.1}", "state of the learner, ms", started.elapsed().as_secs_f64() * 1e3);
    println!("{:<34}{:>12.1}", "state of the learner, MiB", bytes.len() as f64 / f64::from(1 << 20));
}

fn line(name: &str, measured: f64, limit: f64) {
    let verdict = if measured <= limit { "ok" } else { "FAILS" };
    println!("{name:<34}{measured:>12.1}   ≤ {limit:.0}  {verdict}");
}

/// Nanoseconds for each request: the median of pieces that are short against the time slices of a machine that others use
/// as well.
fn each(requests: &[Request], mut work: impl FnMut(&Request)) -> f64 {
    let mut pieces: Vec<f64> = Vec::new();
    for _ in 0..16 {
        for piece in requests.chunks(32) {
            let started = Instant::now();
            piece.iter().for_each(&mut work);
            pieces.push(started.elapsed().as_secs_f64() * 1e9 / piece.len() as f64);
        }
    }
    pieces.sort_by(f64::total_cmp);
    pieces[pieces.len() / 2]
}

/// Buffers that a core uses again.
struct Candidates {
    crosses: Vec<(Crosses, CampaignId)>,
    found: Vec<Probability>,
}

fn score(
    model: &Model,
    request: &Request,
    keys: &[OfferKeys],
    context: &mut Context,
    candidates: &mut Candidates,
    many: usize,
) {
    context.fill(&facts(request));
    let sum = model.context_sum(context);
    for (at, (crosses, campaign)) in candidates.crosses[..many].iter_mut().enumerate() {
        let dice = request.dice.rotate_left(at as u32);
        let number = request.survivors[at];
        let keys = keys[(number * 3 + dice as u32 % 3) as usize];
        let recency_s = (dice >> 40 & 0xffff) as u32;
        let frequency = Some((dice >> 32 & 7) as u32);
        *campaign = CampaignId(number);
        crosses.fill(context, &OfferFacts { keys, frequency, recency_s: Some(recency_s) });
    }
    model.predict_all(sum, &candidates.crosses[..many], &mut candidates.found);
    black_box(&candidates.found);
}

fn learn(requests: &[Request]) -> (Learner, f64) {
    let mut learner = Learner::new(LearnerOptions::default()).expect("parameters within their ranges");
    let (mut context, mut crosses) = (Context::default(), Crosses::default());
    let mut rows = Vec::new();
    for at in 0..ROWS {
        let dice = mix(at << 20);
        context.fill(&facts(&requests[(dice % REQUESTS) as usize]));
        let keys = keys(skewed(mix(dice), CAMPAIGNS) * 3 + dice % 3);
        crosses.fill(&context, &OfferFacts { keys, frequency: Some(1), recency_s: None });
        rows.push([context.features(), crosses.features()].concat());
    }
    let started = Instant::now();
    for (at, row) in rows.iter().enumerate() {
        learner.learn(row, mix(at as u64).is_multiple_of(50), 1.0);
    }
    (learner, ROWS as f64 / started.elapsed().as_secs_f64())
}

fn keys(number: u64) -> OfferKeys {
    let campaign = (number / 3) as u32;
    OfferKeys::new(
        AdvertiserId(campaign / 5),
        CampaignId(campaign),
        LineItemId(campaign),
        CreativeId(number as u32),
    )
}

fn request(dice: u64) -> Request {
    let site = skewed(dice, 50_000);
    Request {
        slot: format!("{site}-place-{}", dice & 3),
        region: format!("region-{}", dice >> 8 & 15),
        site: mix(site) | 1,
        dice,
        survivors: (0..64).map(|at| skewed(mix(dice ^ at << 40), CAMPAIGNS) as u32).collect(),
        segments: (0..12).map(|at| SegmentId(skewed(mix(dice ^ at << 32), 20_000) as u32)).collect(),
    }
}

fn facts(request: &Request) -> ContextFacts<'_> {
    let dice = request.dice >> 16;
    ContextFacts {
        exchange: ExchangeId((dice % 5) as u16),
        site: request.site,
        slot: Some(&request.slot),
        size: Some(Size { w: [300, 320, 728][(dice % 3) as usize], h: 250 }),
        format: Some(MediaType::Banner),
        position: Some((dice % 7) as i64),
        country: Country::parse(COUNTRIES[(dice % 4) as usize]),
        region: Some(&request.region),
        hour_of_week: (dice % 168) as u8,
        device_type: Some((dice % 8) as i64),
        os: Some(["android", "ios", "windows"][(dice % 3) as usize]),
        browser: Some(["chrome", "safari", "firefox"][(dice % 3) as usize]),
        connection: Some((dice % 6) as i64),
        segments: &request.segments,
    }
}

/// A rank below `bound`, small ones more often: the logarithm is uniform, as by Zipf's law.
fn skewed(dice: u64, bound: u64) -> u64 {
    let uniform = (dice >> 11) as f64 / (1_u64 << 53) as f64;
    (((bound as f64).ln() * uniform).exp() as u64).min(bound) - 1
}

/// splitmix64.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
