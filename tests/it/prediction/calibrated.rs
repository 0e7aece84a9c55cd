//! Calibration finds what is wrong with predictions; the guard finds models that have become worse.

use super::log::{events, features, log, options, tell};
use outbid::model::ids::CampaignId;
use outbid::pricing::prediction::{Calibrator, Guard, Level, Scores, Trainer};

/// Uniform draws from 0 to 1, the same for ever.
fn draws(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// A calibrator that saw predictions whose truth is `truth` of their log-odds and campaign.
fn seen(isotonic: bool, truth: impl Fn(f64, u32) -> f64) -> Calibrator {
    let mut calibrator = Calibrator::new(100_000, isotonic);
    let mut draw = draws(9);
    // The first half of all does not count.
    for at in 0..120_000_u32 {
        let (logit, campaign) = (-5.0 + 4.0 * draw(), at % 10);
        let clicked = draw() < sigmoid(truth(logit, campaign));
        calibrator.add(0, CampaignId(campaign), logit, f64::from(u8::from(clicked)), 1.0);
    }
    calibrator
}

#[test]
fn intercept_and_slope_are_found() {
    let check = |a: f64, b: f64, expected: (f64, f64)| {
        let (intercept, slope) = seen(false, |logit, _| a + b * logit).fit(0).line();
        let near = |found: f32, expected: f64| (f64::from(found) - expected).abs() < 0.1;
        assert!(near(slope, expected.1), "{b}: {slope}");
        // At the middle of the log-odds.
        let middle = f64::from(intercept) - 3.0 * f64::from(slope);
        assert!((middle - (expected.0 - 3.0 * expected.1)).abs() < 0.1, "{a}: {middle}");
    };
    check(0.0, 1.0, (0.0, 1.0));
    check(0.4, 0.8, (0.4, 0.8));
    check(-0.5, 1.2, (-0.5, 1.2));
    // A slope is never trusted beyond its bounds.
    assert_eq!(seen(false, |logit, _| 3.0 + 2.5 * logit).fit(0).line().1, 1.5);
    assert_eq!(seen(false, |logit, _| -2.0 + 0.1 * logit).fit(0).line().1, 0.5);
}

#[test]
fn a_campaign_gets_its_own_intercept_as_far_as_its_clicks_bear_it() {
    let fitted = seen(false, |logit, campaign| if campaign == 3 { logit + 0.5 } else { logit }).fit(0);
    let of = |campaign| f64::from(fitted.of_campaign(CampaignId(campaign)));
    assert!((0.25..0.6).contains(&(of(3) - of(4))), "{} {}", of(3), of(4));
    assert_eq!(of(77), 0.0);
    // Twice the clicks that were expected, and few of both, are not yet twice as many, if they are anything.
    let mut calibrator = Calibrator::new(10_000, false);
    for at in 0..2_000_u32 {
        let is_new = at % 10 == 9;
        let (campaign, clicked) = if is_new { (2, at % 100 == 99) } else { (1, at % 20 == 0) };
        calibrator.add(0, CampaignId(campaign), sigmoid_inverse(0.05), f64::from(u8::from(clicked)), 1.0);
    }
    let new = f64::from(calibrator.fit(0).of_campaign(CampaignId(2)));
    assert!((0.0..0.35).contains(&new), "{new}");
}

fn sigmoid_inverse(p: f64) -> f64 {
    (p / (1.0 - p)).ln()
}

#[test]
fn the_isotonic_part_follows_what_no_line_can() {
    // Nobody below −3 is ever more likely than at −3.
    let truth = |logit: f64, _| logit.max(-3.0);
    let (line, bent) = (seen(false, truth).fit(0), seen(true, truth).fit(0));
    let miss = |c: &outbid::pricing::prediction::Calibration| {
        let at = |logit: f32| f64::from(c.apply(logit, CampaignId(99)) - logit.max(-3.0)).abs();
        [-4.8, -4.0, -3.2, -2.5, -1.5].into_iter().map(at).fold(0.0, f64::max)
    };
    assert!(miss(&bent) < 0.2 && miss(&bent) < miss(&line), "{} {}", miss(&bent), miss(&line));
    let rising: Vec<f32> = (-60..20).map(|at| bent.apply(at as f32 / 10.0, CampaignId(99))).collect();
    assert!(rising.is_sorted(), "{rising:?}");
    // Too few clicks for two bins leave the line.
    let mut few = Calibrator::new(1_000, true);
    (0..1_000_u32).for_each(|at| few.add(0, CampaignId(1), -3.0, f64::from(u8::from(at % 20 == 0)), 1.0));
    assert!(
        (few.fit(0).apply(-1.0, CampaignId(9)) - few.fit(0).apply(-2.0, CampaignId(9)) - 1.0).abs() < 0.2
    );
}

#[test]
fn what_is_older_than_a_day_does_not_count() {
    let calibrator = seen(false, |logit, _| logit + 1.0);
    assert!(calibrator.fit(86_399_999).line().0 > 0.5);
    assert_eq!(calibrator.fit(86_400_000).line(), (0.0, 1.0));
}

#[test]
fn a_level_makes_the_sum_right() {
    let mut level = Level::default();
    (0..60_000_u32).for_each(|at| level.add(&[at], CampaignId(1), f64::from(u8::from(at % 50 == 0)), 1.0));
    let p = 0.02_f64;
    let (right, high) = (sigmoid_inverse(p) as f32, sigmoid_inverse(p * 1.3) as f32);
    assert!(level.fit(|_, _| right).abs() < 0.02);
    assert!((level.fit(|_, _| high) - (right - high)).abs() < 0.02);
    assert_eq!(Level::default().fit(|_, _| 0.0), 0.0);
}

#[test]
fn a_level_is_that_of_all_rows_also_where_they_come_in_turns() {
    // Of twenty rows ten are clicked half of the time and ten one time in ten, always in the same order. Both parts are
    // predicted right, so that there is nothing to add; one row in so many would tell of one of them only.
    let mut level = Level::default();
    for at in 0..40_000_u32 {
        let clicked = if at % 2 == 1 { at % 4 == 1 } else { at % 20 == 0 };
        level.add(&[at % 2], CampaignId(1), f64::from(u8::from(clicked)), 1.0);
    }
    let truth = |features: &[u32], _| sigmoid_inverse([0.1, 0.5][features[0] as usize]) as f32;
    let found = level.fit(truth);
    assert!(found.abs() < 0.05, "{found}");
}

#[test]
fn predictions_as_served_are_near_the_truth() {
    let mut trainer = Trainer::new(options()).unwrap();
    let events = events(log(8, -2.0), 60_000);
    let (mut expected, mut found, mut scores) = (0.0, 0.0, Scores::default());
    for (at, part) in events.chunks(2_000).enumerate() {
        if let Some(model) = trainer.publish().models.click.filter(|_| at > 15) {
            for (_, what) in part {
                let super::log::Happened::Impression(row) = what else { continue };
                let (context, crosses) = features(row);
                let p = model.predict(model.context_sum(&context), &crosses, row.campaign).as_f64();
                found += p;
                expected += row.click_truth;
                scores.add(p, row.clicked_after_ms.is_some());
            }
        }
        tell(&mut trainer, part);
    }
    let ratio = found / expected;
    assert!((0.95..1.05).contains(&ratio), "{ratio}");
    assert!(scores.auc().unwrap() > 0.66, "{:?}", scores.auc());
}

#[test]
fn the_guard_takes_what_is_better_and_refuses_what_is_worse() {
    let judged = |candidate: f64, served: Option<f64>| {
        let mut guard = Guard::new(5_000);
        (0..8_000_u32).for_each(|at| {
            let clicked = at % 10 == 0;
            guard.add(candidate, served, clicked, 1.0);
        });
        guard.judge()
    };
    assert!(judged(0.1, Some(0.2)).accepted);
    assert!(!judged(0.2, Some(0.1)).accepted);
    // Within one of a hundred.
    assert!(judged(0.101, Some(0.1)).accepted);
    assert!(judged(0.1, None).accepted && (judged(0.1, None).served - 1.0).abs() < 1e-9);
    assert!(!judged(0.3, None).accepted, "worse than the mean rate");
    assert!(!judged(f64::NAN, Some(0.1)).accepted);
    assert_eq!(judged(0.1, None).events, 5_000);
    let mut few = Guard::new(5_000);
    (0..999).for_each(|at| few.add(0.1, None, at % 10 == 0, 1.0));
    assert!(!few.judge().is_enough && !few.judge().accepted);
}

#[test]
fn a_learner_that_was_told_nonsense_is_not_published_until_it_has_recovered() {
    use super::log::Happened::{Click, Impression};
    let mut trainer = Trainer::new(options()).unwrap();
    let events = events(log(6, -2.0), 45_000);
    let (good, rest) = events.split_at(events.len() * 4 / 9);
    let (bad, good_again) = rest.split_at(rest.len() / 5);
    for part in good.chunks(3_000) {
        tell(&mut trainer, part);
        trainer.publish();
    }
    let kept = trainer.models().click.unwrap();
    // Clicks where nobody clicked, none where somebody did. By these labels alone whoever believes them is better than
    // whoever does not, and the guard knows no others; by the right ones that follow he is worse.
    for (at_ms, what) in bad {
        if let Impression(row) = what {
            tell(&mut trainer, &[(*at_ms, what.clone())]);
            if row.clicked_after_ms.is_none() && row.click_truth < 0.1 {
                trainer.click(row.bid, *at_ms);
            }
        }
    }
    let right_from_ms = good_again[0].0;
    let is_right =
        |(_, what): &&(i64, super::log::Happened)| !matches!(what, Click(row) if row.at_ms < right_from_ms);
    let good_again: Vec<_> = good_again.iter().filter(is_right).cloned().collect();
    let (soon, later) = good_again.split_at(6_500);
    tell(&mut trainer, soon);
    let refused = trainer.publish();
    assert!(!refused.click.accepted && refused.click.is_enough, "{:?}", refused.click);
    assert_eq!(refused.models.click.unwrap(), kept);
    let mut served = Vec::new();
    for part in later.chunks(2_000) {
        tell(&mut trainer, part);
        served.push(trainer.publish().click.accepted);
    }
    assert!(served.is_sorted() && served.starts_with(&[false]) && served.ends_with(&[true]), "{served:?}");
}
