//! Clicks find their impressions and conversions their clicks, within bounds, and late ones are learned for what they
//! are.

use super::log::{events, log, options, row_features, tell};
use outbid::model::ids::{BidId, CampaignId};
use outbid::pricing::prediction::{Delays, Joined, MATURITIES_MS, Trainer, TrainerOptions};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const CAMPAIGN: CampaignId = CampaignId(1);

fn bid(sequence: u64) -> BidId {
    BidId { epoch: 1, core: 2, sequence }
}

fn trainer(change: impl FnOnce(&mut TrainerOptions)) -> Trainer {
    let mut options = options();
    change(&mut options);
    Trainer::new(options).unwrap()
}

/// A trainer that saw impressions 0 to 9, one a minute.
fn ten(change: impl FnOnce(&mut TrainerOptions)) -> Trainer {
    let mut trainer = trainer(change);
    for at in 0..10 {
        trainer.impression(bid(at), at as i64 * MINUTE, CAMPAIGN, [at as u32]);
    }
    trainer
}

#[test]
fn an_impression_is_learned_when_its_wait_is_over_clicked_or_not() {
    let mut trainer = ten(|_| {});
    trainer.click(bid(0), 10 * MINUTE);
    trainer.advance(20 * MINUTE - 1);
    assert_eq!(trainer.rows().0, 0);
    trainer.advance(20 * MINUTE);
    assert_eq!(trainer.rows().0, 1);
    trainer.advance(29 * MINUTE);
    assert_eq!(trainer.rows().0, 10);
    let joined = trainer.joined();
    assert_eq!((joined.impressions, joined.clicks, joined.negatives), (10, 1, 9));
    assert_eq!(joined.join_rate(), Some(1.0));
}

#[test]
fn a_click_finds_its_impression_in_time_late_and_never() {
    let mut trainer = ten(|_| {});
    trainer.click(bid(3), 3 * MINUTE);
    trainer.click(bid(3), 4 * MINUTE);
    trainer.click(bid(4), 2 * HOUR);
    trainer.click(bid(4), 2 * HOUR);
    // The impression is forgotten six hours after it was shown.
    trainer.click(bid(5), 5 * MINUTE + 6 * HOUR);
    trainer.click(bid(99), 7 * HOUR);
    trainer.advance(8 * HOUR);
    let expected = Joined {
        impressions: 10,
        negatives: 9,
        clicks: 1,
        late_clicks: 1,
        repeated_clicks: 2,
        lost_clicks: 2,
        ..Joined::default()
    };
    assert_eq!(trainer.joined(), expected);
    assert_eq!(trainer.joined().join_rate(), Some(0.5));
    // Ten impressions, one correction.
    assert_eq!(trainer.rows().0, 11);
    assert_eq!(trainer.remembered().0, 0);
}

#[test]
fn a_click_that_is_recorded_before_its_impression_waits_for_it() {
    let mut trainer = trainer(|_| {});
    trainer.click(bid(1), 10);
    trainer.click(bid(1), 11);
    trainer.impression(bid(1), 12, CAMPAIGN, [1]);
    trainer.impression(bid(1), 13, CAMPAIGN, [1]);
    trainer.click(bid(2), 14);
    trainer.advance(HOUR);
    trainer.impression(bid(2), HOUR, CAMPAIGN, [2]);
    let joined = trainer.joined();
    assert_eq!((joined.clicks, joined.repeated_clicks, joined.lost_clicks), (1, 1, 1));
    assert_eq!((joined.impressions, joined.repeated_impressions), (2, 1));
}

#[test]
fn who_is_pushed_out_is_learned_and_counted() {
    let mut trainer = ten(|options| options.max_impressions = 4);
    assert_eq!(trainer.remembered().0, 4);
    assert_eq!((trainer.joined().pushed_out, trainer.joined().negatives), (6, 6));
    trainer.click(bid(0), 10 * MINUTE);
    trainer.click(bid(9), 10 * MINUTE);
    trainer.advance(HOUR);
    let joined = trainer.joined();
    assert_eq!((joined.clicks, joined.lost_clicks, joined.negatives), (1, 1, 9));

    let mut trainer = ten(|options| options.max_clicks = 2);
    (0..5).for_each(|at| trainer.click(bid(at), 10 * MINUTE));
    assert_eq!((trainer.joined().pushed_out_clicks, trainer.remembered().1), (3, 2));
    assert_eq!(trainer.rows().1, 3, "learned as clicks without conversion, of little weight");
    trainer.conversion(bid(0), 11 * MINUTE);
    trainer.conversion(bid(4), 11 * MINUTE);
    assert_eq!((trainer.joined().lost_conversions, trainer.joined().conversions), (1, [1, 0, 0]));
}

#[test]
fn conversions_are_told_apart_by_age() {
    let mut trainer = ten(|_| {});
    (0..6).for_each(|at| trainer.click(bid(at), 10 * MINUTE));
    let after = |delay_ms: i64| 10 * MINUTE + delay_ms;
    // What comes at the end of an hour, a day or a week comes after it, as everywhere: no age counts twice.
    trainer.conversion(bid(5), after(MATURITIES_MS[0] - 1));
    assert_eq!(trainer.rows().1, 0, "the hour is not over");
    trainer.conversion(bid(0), after(MATURITIES_MS[0]));
    assert_eq!(trainer.rows().1, 6, "an hour is over for all");
    trainer.conversion(bid(0), after(2 * HOUR));
    trainer.conversion(bid(1), after(20 * HOUR));
    trainer.advance(after(MATURITIES_MS[1] - 1));
    assert_eq!(trainer.rows().1, 6, "what came is learned when its day is over");
    trainer.conversion(bid(2), after(100 * HOUR));
    assert_eq!(trainer.rows().1, 6 + 5, "who converted within the hour is done");
    trainer.conversion(bid(3), after(MATURITIES_MS[2]));
    assert_eq!(trainer.rows().1, 6 + 5 + 3, "who converted within the day as well");
    trainer.conversion(bid(77), after(MATURITIES_MS[2]));
    let joined = trainer.joined();
    assert_eq!(joined.conversions, [1, 2, 1]);
    assert_eq!((joined.repeated_conversions, joined.lost_conversions), (1, 2));
    assert_eq!(trainer.remembered().1, 0);
}

#[test]
fn negatives_that_are_left_out_are_made_up_for() {
    let ratio = |seed: u64| {
        let of = |one_in: u32| {
            let mut trainer = trainer(|options| options.negatives_one_in = one_in);
            tell(&mut trainer, &events(log(seed, -2.0), 15_000));
            trainer.advance(i64::MAX / 2);
            let joined = trainer.joined();
            assert_eq!(joined.impressions, joined.negatives + joined.clicks + joined.sampled_out);
            (joined, trainer.publish().models.click.unwrap())
        };
        let ((all, every), (some, sampled)) = (of(1), of(4));
        assert!(some.negatives * 3 < all.negatives && some.sampled_out > 0, "{some:?}");
        let sum = |model: &outbid::pricing::prediction::Model| -> f64 {
            let rows = log(seed, -2.0).skip(15_000).take(2_000);
            rows.map(|row| model.predict_row(&row_features(&row), row.campaign).as_f64()).sum()
        };
        sum(&sampled) / sum(&every)
    };
    // A level is found on some thousand rows: a single log may be 10 % off by chance, no more than that; the mean of four
    // says whether anything pulls one way. Levels that forget what a row of weight 4 did to itself make it 1.14.
    let ratios = [12, 13, 14, 15].map(ratio);
    assert!(ratios.iter().all(|ratio| (0.85..1.15).contains(ratio)), "{ratios:?}");
    let mean = ratios.iter().sum::<f64>() / 4.0;
    assert!((0.94..1.06).contains(&mean), "{mean} {ratios:?}");
}

#[test]
fn the_mean_delay_is_found_though_only_a_week_is_seen() {
    let mut delays = Delays::default();
    let mean_ms = 3.0 * 24.0 * HOUR as f64;
    let mut seen = 0;
    for at in 0..20_000 {
        let delay_ms = -(1.0 - (f64::from(at) + 0.5) / 20_000.0).ln() * mean_ms;
        if delay_ms <= MATURITIES_MS[2] as f64 {
            delays.add(CAMPAIGN, delay_ms as i64);
            seen += 1;
        }
    }
    assert!(seen < 19_000);
    let found = delays.mean_ms(CAMPAIGN) / mean_ms;
    assert!((0.95..1.05).contains(&found), "{found}");
    let day = delays.arrived(CAMPAIGN, 24 * HOUR);
    assert!((day - (1.0 - (-1.0_f64 / 3.0).exp())).abs() < 0.02, "{day}");
    assert_eq!(delays.arrived(CAMPAIGN, -5), 0.0);
    // Nothing is known of this one but what is of all.
    assert!((delays.mean_ms(CampaignId(999)) / mean_ms - 1.0).abs() < 0.05);
}

#[test]
fn a_click_that_may_still_convert_weighs_less() {
    assert_eq!(Delays::weights(0.2, 0.0, 1.0), (1.0, 1.0), "nothing comes after it");
    assert_eq!(Delays::weights(0.2, 0.0, 0.0).1, 0.0, "nothing can have come");
    let negative = |at: u32| Delays::weights(0.3, 0.0, f64::from(at) / 10.0).1;
    let rising: Vec<f64> = (0..=10).map(negative).collect();
    assert!(rising.is_sorted(), "{rising:?}");
    // In expectation nothing moves at any age where p is right, and too high a p falls, too low a one rises.
    for (p, before, now) in [(0.1, 0.0, 0.3), (0.1, 0.3, 0.8), (0.5, 0.8, 0.9), (0.02, 0.0, 1.0)] {
        let converts = p * (now - before) / (1.0 - p * before);
        let drift = |guess: f64| {
            let (positive, negative) = Delays::weights(guess, before, now);
            converts * positive * (guess - 1.0) + (1.0 - converts) * negative * guess
        };
        assert!(drift(p).abs() < 1e-12, "{p} {before} {now}: {}", drift(p));
        assert!(drift(p * 1.5) > 0.0 && drift(p / 1.5) < 0.0, "{p} {before} {now}");
    }
}

#[test]
fn conversions_that_come_late_are_predicted_in_full() {
    let mut trainer = trainer(|_| {});
    let log = log(20, 0.5);
    let events = events(log.clone(), 40_000);
    let rows: Vec<_> = log.skip(40_000).take(3_000).collect();
    let ratio = |trainer: &mut Trainer| {
        let model = trainer.publish().models.conversion.unwrap();
        let (mut found, mut expected, mut within_an_hour) = (0.0, 0.0, 0.0);
        for row in &rows {
            found += model.predict_row(&row_features(row), row.campaign).as_f64();
            expected += row.conversion_truth;
            within_an_hour += row.conversion_truth * trainer.delays().arrived(row.campaign, HOUR);
        }
        assert!(within_an_hour / expected < 0.4, "who takes an hour for all would predict that share");
        found / expected
    };
    // Impressions end after four days; what converted from then on comes alone.
    let start_ms = events[0].0;
    let (mut told, mut found) = (0, Vec::new());
    for hours in [60, 84, 108, 132, 200, 10_000] {
        let until = events.partition_point(|(at_ms, _)| *at_ms < start_ms + hours * HOUR);
        tell(&mut trainer, &events[told..until]);
        told = until;
        found.push(ratio(&mut trainer));
    }
    assert_eq!(told, events.len());
    assert!(found.iter().all(|ratio| (0.8..1.25).contains(ratio)), "{found:?}");
}

#[test]
fn options_out_of_range_are_named() {
    let check = |change: fn(&mut TrainerOptions), expected: &str| {
        let mut options = options();
        change(&mut options);
        let error = Trainer::new(options).map(|_| ()).unwrap_err().to_string();
        assert_eq!(error, expected);
    };
    check(|o| o.wait_ms = MINUTE, "the wait for a click in minutes is 1; it must be from 10 to 30");
    check(|o| o.late_ms = 0, "the time for late clicks in hours is 0; it must be from the wait to 7 days");
    check(|o| o.negatives_one_in = 0, "the sampling of negatives is 0; it must be from 1 to 10,000,000");
    check(|o| o.conversion.alpha = -1.0, "alpha is -1; it must be above 0 and at most 100");
}
