//! The learner against a naive one, features, and the table that serves.

use super::log::{features, log, row_features};
use outbid::model::ids::{AdvertiserId, CampaignId, CreativeId, ExchangeId, LineItemId, SegmentId};
use outbid::pricing::prediction::{
    Calibration, Context, ContextFacts, Crosses, Learner, LearnerOptions, Level, OfferFacts, OfferKeys,
    Probability, Scores, numeric_bin, text_feature,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Algorithm 1 of the paper as it stands there, with maps instead of a table.
#[derive(Default)]
struct Naive {
    z: BTreeMap<Option<u32>, f64>,
    n: BTreeMap<Option<u32>, f64>,
}

impl Naive {
    fn weight(&self, options: &LearnerOptions, feature: Option<u32>) -> f64 {
        let at = |map: &BTreeMap<Option<u32>, f64>| map.get(&feature).copied().unwrap_or(0.0);
        let (z, n) = (at(&self.z), at(&self.n));
        // The bias, `None`, is not regularised.
        let (l1, l2) = if feature.is_none() { (0.0, 0.0) } else { (options.l1, options.l2) };
        if z.abs() <= l1 {
            return 0.0;
        }
        -(z - z.signum() * l1) / ((options.beta + n.sqrt()) / options.alpha + l2)
    }

    fn learn(&mut self, options: &LearnerOptions, features: &[u32], y: bool, weight: f64) -> f64 {
        let all: Vec<Option<u32>> =
            [None].into_iter().chain(features.iter().map(|feature| Some(*feature))).collect();
        let weights: Vec<f64> = all.iter().map(|feature| self.weight(options, *feature)).collect();
        let logit: f64 = weights.iter().sum();
        let g = (1.0 / (1.0 + (-logit).exp()) - f64::from(u8::from(y))) * weight;
        for (feature, w) in all.into_iter().zip(weights) {
            let n = self.n.entry(feature).or_default();
            let sigma = ((*n + g * g).sqrt() - n.sqrt()) / options.alpha;
            *n += g * g;
            *self.z.entry(feature).or_default() += g - sigma * w;
        }
        logit
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_learner_is_the_algorithm_of_the_paper(
        rows in prop::collection::vec(
            (prop::collection::vec(0_u32..256, 0..8), any::<bool>(), prop::sample::select(vec![1.0, 0.25, 10.0])),
            1..200,
        ),
        alpha in 0.01..1.0_f64,
        beta in 0.1..4.0_f64,
        l1 in prop::sample::select(vec![0.0, 0.5]),
        l2 in 0.0..10.0_f64,
    ) {
        let options = LearnerOptions { alpha, beta, l1, l2, bits: 8, min_count: 1 };
        let (mut learner, mut naive) = (Learner::new(options).unwrap(), Naive::default());
        for (features, y, weight) in &rows {
            let (found, expected) =
                (learner.learn(features, *y, *weight), naive.learn(&options, features, *y, *weight));
            prop_assert!((found - expected).abs() < 1e-9 * (1.0 + expected.abs()), "{found} {expected}");
        }
        prop_assert_eq!(learner.rows(), rows.len() as u64);
    }
}

#[test]
fn a_parameter_that_cannot_be_is_named() {
    let check = |change: fn(&mut LearnerOptions), expected: &str| {
        let mut options = LearnerOptions::default();
        change(&mut options);
        assert_eq!(Learner::new(options).unwrap_err().to_string(), expected);
    };
    check(|o| o.alpha = 0.0, "alpha is 0; it must be above 0 and at most 100");
    check(|o| o.beta = f64::NAN, "beta is NaN; it must be above 0");
    check(|o| o.l1 = -1.0, "l1 is -1; it must be 0 or more");
    check(|o| o.l2 = f64::INFINITY, "l2 is inf; it must be 0 or more");
    check(|o| o.bits = 25, "bits is 25; it must be from 8 to 24");
}

#[test]
fn a_row_is_predicted_before_it_is_learned() {
    let mut learner = Learner::new(LearnerOptions { bits: 8, ..LearnerOptions::default() }).unwrap();
    for at in 0..50_u32 {
        let row = [at % 7, at % 5];
        let before = learner.logit(&row);
        let mut other = learner.clone();
        // To the last bits: sums are made in another order.
        assert!((other.learn(&row, true, 1.0) - before).abs() < 1e-12);
        assert!((learner.learn(&row, false, 1.0) - before).abs() < 1e-12);
    }
}

#[test]
fn a_late_click_undoes_the_early_negative() {
    // One of four is clicked, and every click is first learned as a negative.
    let options = LearnerOptions { bits: 8, ..LearnerOptions::default() };
    let mut learner = Learner::new(options).unwrap();
    for at in 0..8_000_u32 {
        learner.learn(&[at % 3], false, 1.0);
        if at % 4 == 0 {
            learner.learn_late_positive(&[at % 3], 1.0);
        }
    }
    for feature in 0..3 {
        let p = 1.0 / (1.0 + (-learner.logit(&[feature])).exp());
        assert!((0.2..0.3).contains(&p), "{feature}: {p}");
    }
}

#[test]
fn a_feature_that_comes_once_gets_no_weight() {
    let options = LearnerOptions { bits: 12, min_count: 3, ..LearnerOptions::default() };
    let mut learner = Learner::new(options).unwrap();
    (0..50).for_each(|feature| {
        learner.learn(&[feature * 61], true, 1.0);
    });
    assert_eq!(learner.non_zeros(), 0);
    (0..3).for_each(|_| {
        learner.learn(&[7], true, 1.0);
    });
    assert_eq!(learner.non_zeros(), 1);
}

#[test]
fn features_are_the_same_for_ever() {
    // Kept models name their slots by these numbers. This one was reckoned apart, from the description.
    assert_eq!(text_feature("site=example.org"), 922_923_454);
    assert_eq!([0.0, 1.0, 10.0, 1_000.0, 1e6].map(numeric_bin), [0, 0, 5, 47, 190]);
}

#[test]
fn what_is_not_known_is_no_feature_and_too_much_is_left_out() {
    let segments: Vec<SegmentId> = (0..100).map(SegmentId).collect();
    let bare = ContextFacts {
        exchange: ExchangeId(1),
        site: 0,
        slot: None,
        size: None,
        format: None,
        position: None,
        country: None,
        region: None,
        hour_of_week: 167,
        device_type: None,
        os: Some(""),
        browser: None,
        connection: None,
        segments: &[],
    };
    let mut context = Context::default();
    context.fill(&bare);
    assert_eq!(context.features().len(), 4, "exchange, hour, day, hour on the exchange");
    let keys = OfferKeys::new(AdvertiserId(1), CampaignId(2), LineItemId(3), CreativeId(4));
    let mut crosses = Crosses::default();
    crosses.fill(&context, &OfferFacts { keys, frequency: None, recency_s: None });
    assert_eq!(crosses.features().len(), 5, "campaign, its hour, advertiser, line item, creative");
    context.fill(&ContextFacts { segments: &segments, slot: Some("a-long-name-of-a-place"), ..bare });
    assert_eq!(context.features().len(), 4 + 1 + 32);
    let all: BTreeSet<&u32> = context.features().iter().collect();
    assert_eq!(all.len(), context.features().len());
    crosses.fill(&context, &OfferFacts { keys, frequency: Some(u32::MAX), recency_s: Some(u32::MAX) });
    let all: BTreeSet<&u32> = crosses.features().iter().collect();
    assert_eq!(all.len(), crosses.features().len());
}

#[test]
fn values_are_spread_over_the_slots() {
    // As many different places as by chance: n·(1 − e^−1) of n values in n places, ± 4 standard deviations.
    let check = |name: &str, places: Vec<u32>| {
        let count = places.len() as f64;
        let expected = count * (1.0 - (-1.0_f64).exp());
        let found = places.into_iter().collect::<BTreeSet<u32>>().len() as f64;
        assert!((found - expected).abs() < 4.0 * (0.1 * count).sqrt(), "{name}: {found} {expected}");
    };
    let all = 0..65_536_u32;
    let slot = |feature: u32| feature & 0xffff;
    check("texts", all.clone().map(|at| slot(text_feature(&format!("C7={at:08x}")))).collect());
    let mut row = log(1, -3.0).next().unwrap();
    let mut segment = |id: u32| {
        row.segments = vec![SegmentId(id)];
        slot(*features(&row).0.features().last().unwrap())
    };
    check("segments", all.clone().map(&mut segment).collect());
    check("every 1,024th segment", all.clone().map(|at| segment(at << 10)).collect());
    let mut place = |at: u32| {
        row.slot = format!("s{at}");
        slot(features(&row).0.features()[5])
    };
    check("places", all.map(&mut place).collect());
    // Blocks of 128 neighbouring slots.
    let block = |campaign: u32| {
        row.campaign = CampaignId(campaign);
        slot(features(&row).1.features()[0]) / 128
    };
    check("campaigns", (1..=512).map(block).collect());
}

#[test]
fn the_table_predicts_what_the_learner_does() {
    let mut learner = Learner::new(LearnerOptions { bits: 16, ..LearnerOptions::default() }).unwrap();
    for row in log(5, -2.0).take(5_000) {
        learner.learn(&row_features(&row), row.clicked_after_ms.is_some(), 1.0);
    }
    let model = learner.snapshot(Calibration::default(), &Level::default(), 7);
    assert_eq!((model.rows(), model.until_ms()), (5_000, 7));
    let logit = |p: Probability| (p.as_f64() / (1.0 - p.as_f64())).ln();
    let (mut unseen, mut squares, mut sum) = (0.0, 0.0, 0.0);
    for (number, row) in log(5, -2.0).skip(5_000).take(500).enumerate() {
        let (context, crosses) = features(&row);
        let all = row_features(&row);
        let p = model.predict(model.context_sum(&context), &crosses, row.campaign);
        assert_eq!(p, model.predict_row(&all, row.campaign));
        assert!((logit(p) - learner.logit(&all)).abs() < 0.002, "{} {}", logit(p), learner.logit(&all));
        // Less certain of what was never seen.
        let mut other = row.clone();
        (other.campaign, other.creative) = (CampaignId(1_000_000), CreativeId(1_000_000));
        let (_, new) = features(&other);
        let variance = f64::from(model.variance(&context, &new));
        unseen += (variance - f64::from(model.variance(&context, &crosses))) / 500.0;
        // Draws by count are about what is predicted for the candidate itself, on both sides of it.
        let mean = model.predict(model.context_sum(&context), &new, other.campaign);
        let draw = |at: u64| model.sample(&context, &new, other.campaign, number as u64 * 64 + at);
        let draws: Vec<Probability> = (0..64).map(draw).collect();
        assert!(draws.iter().any(|p| *p > mean) && draws.iter().any(|p| *p < mean), "{mean:?} {draws:?}");
        for p in &draws {
            let off = (logit(*p) - logit(mean)) / variance.sqrt();
            (sum, squares) = (sum + off / 32_000.0, squares + off * off / 32_000.0);
        }
        assert_eq!(draw(9), draw(9));
    }
    assert!(unseen > 0.2, "{unseen}");
    // 32,000 draws of mean 0 and variance 1.
    assert!(sum.abs() < 0.03 && (squares - 1.0_f64).abs() < 0.03, "{sum} {squares}");
}

#[test]
fn scores_are_those_of_the_definitions() {
    let mut scores = Scores::default();
    assert_eq!((scores.auc(), scores.logloss(), scores.calibration()), (None, None, None));
    for (p, y) in [(0.1, false), (0.4, false), (0.35, true), (0.8, true), (0.4, true)] {
        scores.add(p, y);
    }
    // Pairs: 0.35 beats one of two, 0.8 both, 0.4 one and a half.
    assert_eq!(scores.auc(), Some(4.5 / 6.0));
    let loss = -(0.9_f64.ln() + 0.6_f64.ln() + 0.35_f64.ln() + 0.8_f64.ln() + 0.4_f64.ln()) / 5.0;
    assert!((scores.logloss().unwrap() - loss).abs() < 1e-12);
    let entropy = -(0.6 * 0.6_f64.ln() + 0.4 * 0.4_f64.ln());
    assert!((scores.normalised_entropy().unwrap() - loss / entropy).abs() < 1e-12);
    assert!((scores.calibration().unwrap() - 2.05 / 3.0).abs() < 1e-12);
    assert_eq!(scores.deciles().iter().map(|decile| decile.rows).sum::<usize>(), 5);
}
