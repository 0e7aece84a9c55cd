//! The statistics alone, against what can be counted.

use outbid::forecast::{Avail, Chance, Curve, Forecast, Question, Spread, forecast, unique, upper_bound};
use outbid::model::frequency::{Cap, Frequency, UnknownUsers};
use outbid::model::mix::splitmix64;
use std::collections::HashSet;

const DAY_MS: i64 = 86_400_000;

fn avail(at_ms: i64, person: Option<u64>, wins: &[f64]) -> Avail {
    let bids = wins.iter().map(|win| Some(Chance { win: *win, cost_nanos: 1_000_000.0 })).collect();
    Avail { at_ms, person, one_in: 4, curve: 0, bids }
}

const KNOWN: [Curve; 1] = [Curve { outcomes: 1e6, market: 0, market_outcomes: 1e6 }];

fn ask(avails: &[Avail], frequency: &[Frequency], change: impl FnOnce(&mut Question<'_>)) -> Forecast {
    let mut question = Question {
        from_ms: 0,
        until_ms: DAY_MS,
        avails,
        curves: &KNOWN,
        base: 0,
        grid: vec![0],
        pacing: Vec::new(),
        frequency,
        budget_nanos: None,
        largest_nanos: 1_000_000,
        spread: Spread::Thin,
        seed: 1,
    };
    change(&mut question);
    forecast(&question)
}

fn capped(max: u16, within_s: Option<u32>, unknown_users: UnknownUsers) -> [Frequency; 1] {
    [Frequency { caps: vec![Cap { max, within_s }], min_gap_s: 0, unknown_users }]
}

#[test]
fn people_are_counted_once_however_dense_the_sample_was() {
    for (people, seed) in [(200u64, 1u64), (5_000, 2), (60_000, 3)] {
        let mut records = Vec::new();
        let mut all = HashSet::new();
        for nth in 0..people {
            let hash = splitmix64(nth ^ seed << 32);
            all.insert(hash);
            // A third comes in the morning alone, a third in the evening alone, a third in both; in the evening the sample is thinner.
            for (comes, one_in) in [(nth % 3 != 0, 2u32), (nth % 3 != 1, 8)] {
                if comes && splitmix64(hash).is_multiple_of(u64::from(one_in)) {
                    records.push((hash, one_in));
                    records.push((hash, one_in));
                }
            }
        }
        let told = unique(records.into_iter());
        let off = told / all.len() as f64 - 1.0;
        assert!(off.abs() < 0.03 + 3.0 / (people as f64 / 8.0).sqrt(), "{people}: {told} of {}", all.len());
    }
    assert_eq!(unique(std::iter::empty()), 0.0);
}

#[test]
fn sums_are_those_of_the_weights() {
    let avails: Vec<Avail> = (0..500).map(|n| avail(n * 1_000, Some(n as u64 / 5), &[0.25])).collect();
    let told = ask(&avails, &[], |_| {});
    assert_eq!((told.avails, told.bids, told.people, told.sampled), (2_000.0, 2_000.0, 100, 500));
    assert!((told.impressions.expected - 500.0).abs() < 1e-6 && (told.win_rate - 0.25).abs() < 1e-9);
    assert!((told.spend.expected - 500.0e6).abs() < 1.0);
    assert!(told.impressions.low < 480.0 && told.impressions.high > 520.0, "{:?}", told.impressions);
    // Of five chances of a quarter each at least one wins in 1 - 0.75^5 of cases, of 400 people.
    assert!((told.reached - 400.0 * (1.0 - 0.75f64.powi(5))).abs() < 1e-6, "{}", told.reached);
    // Over two days it is half as much a day.
    let two = ask(&avails, &[], |question| question.until_ms = 2 * DAY_MS);
    assert!((two.impressions.expected - 250.0).abs() < 1e-6);
}

#[test]
fn caps_hold_for_each_person_and_windows_slide() {
    // Ten chances that always win, one an hour.
    let avails: Vec<Avail> =
        (0..500).map(|n| avail(n % 10 * 3_600_000, Some(n as u64 / 10), &[1.0])).collect();
    let shown = |frequency: &[Frequency]| {
        (ask(&avails, frequency, |_| {}).impressions.expected / 2.0).round() / 100.0
    };
    assert_eq!(shown(&capped(3, None, UnknownUsers::Serve)), 3.0);
    assert_eq!(shown(&capped(3, Some(86_400), UnknownUsers::Serve)), 3.0);
    // One in two hours is every other one.
    assert_eq!(shown(&capped(1, Some(7_200), UnknownUsers::Serve)), 5.0);
    let gap = Frequency { min_gap_s: 10_801, ..Frequency::default() };
    assert_eq!(shown(&[gap]), 3.0, "at hours 0, 4 and 8");
    assert_eq!(shown(&capped(20, None, UnknownUsers::Serve)), 10.0);
    // Nobody's requests are left out where the caps say so.
    let nobody: Vec<Avail> = (0..50).map(|n| avail(n, None, &[1.0])).collect();
    let of = |unknown| ask(&nobody, &capped(1, None, unknown), |_| {}).impressions.expected;
    assert_eq!((of(UnknownUsers::Serve), of(UnknownUsers::Skip)), (200.0, 0.0));
}

#[test]
fn a_higher_price_never_brings_less() {
    let wins = |n: u64| [0.1, 0.2, 0.35, 0.6, 0.9].map(|win: f64| win * (splitmix64(n) % 100) as f64 / 100.0);
    let avails: Vec<Avail> = (0..800)
        .map(|n: u64| avail((splitmix64(n) % 86_400_000) as i64, Some(splitmix64(n ^ 7) % 60), &wins(n)))
        .collect();
    let mut avails = avails;
    avails.sort_by_key(|avail| avail.at_ms);
    for frequency in [vec![], capped(2, Some(20_000), UnknownUsers::Skip).to_vec()] {
        let told = ask(&avails, &frequency, |question| question.grid = (0..5).collect());
        assert!(told.curve.is_sorted_by(|a, b| a.win_rate <= b.win_rate), "{:?}", told.curve);
        assert!(told.curve.is_sorted_by(|a, b| a.impressions <= b.impressions + 1e-9), "{:?}", told.curve);
        assert!(told.curve.is_sorted_by(|a, b| a.spend <= b.spend + 1e-3), "{:?}", told.curve);
    }
}

#[test]
fn a_budget_bounds_what_is_spent_and_pacing_buys_more_for_it() {
    // At half the price half as much is won, at half the cost.
    let mut avails: Vec<Avail> = (0..400).map(|n| avail(n * 1_000, Some(n as u64), &[0.8, 0.4])).collect();
    for avail in &mut avails {
        avail.bids[1] = Some(Chance { win: 0.4, cost_nanos: 500_000.0 });
    }
    let budget = Some(320_000_000);
    let thin = ask(&avails, &[], |question| question.budget_nanos = budget);
    assert!(thin.limited && (thin.impressions.expected - 320.0).abs() < 1e-6, "{:?}", thin.impressions);
    let lower = ask(&avails, &[], |question| {
        (question.budget_nanos, question.pacing, question.spread) = (budget, vec![1, 0], Spread::Lower);
    });
    assert!((lower.impressions.expected - 640.0).abs() < 1e-6, "{:?}", lower.impressions);
    for told in [thin, lower] {
        assert_eq!(told.spend.expected, 320_000_000.0);
        assert!(told.spend.high <= 320_000_000.0 && told.spend.low >= 317_000_000.0, "{:?}", told.spend);
        assert_eq!(told.unlimited_spend, 1_280_000_000.0);
    }
    let ample = ask(&avails, &[], |question| question.budget_nanos = Some(i64::MAX));
    assert!(!ample.limited);
}

#[test]
fn less_evidence_is_a_wider_interval_and_nothing_seen_has_a_bound() {
    let avails: Vec<Avail> = (0..2_000).map(|n| avail(n * 1_000, Some(n as u64), &[0.5])).collect();
    let width = |outcomes: f64| {
        let curves = [Curve { outcomes, market: 0, market_outcomes: outcomes }];
        let told = forecast(&Question {
            curves: &curves,
            from_ms: 0,
            until_ms: DAY_MS,
            avails: &avails,
            base: 0,
            grid: vec![],
            pacing: vec![],
            frequency: &[],
            budget_nanos: None,
            largest_nanos: 1,
            spread: Spread::Thin,
            seed: 3,
        });
        told.impressions.high - told.impressions.low
    };
    let (sure, some, none) = (width(1e6), width(100.0), width(0.0));
    assert!(sure < some && some < none, "{sure} {some} {none}");
    assert_eq!(width(100.0), some, "the same question has the same answer");
    // 0 of n at one in eight: with 95 % at most 3 × 8.
    assert_eq!(upper_bound(8, 0, DAY_MS), 24.0);
    assert_eq!(upper_bound(8, 0, DAY_MS / 2), 48.0);
}
