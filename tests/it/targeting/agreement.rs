//! The index finds exactly the line items that the naive evaluator lets through, without allocating.

use super::world::{self, Dice};
use outbid::model::auction::{Auction, Banner, Imp, Size};
use outbid::model::ids::ExchangeId;
use outbid::model::targeting::{Fit, Rule, Targeting};
use outbid::model::taxonomy::Taxonomy;
use outbid::targeting::{Facts, LineItemIx, MatchInput, Matcher, Scratch, naive};
use proptest::prelude::*;

type Catalog = Vec<(Targeting, Vec<Fit>)>;

fn inputs(catalog: &Catalog) -> Vec<MatchInput<'_>> {
    catalog.iter().map(|(targeting, fits)| MatchInput { targeting, fits }).collect()
}

/// Holds the index to the naive evaluator for `requests` requests; returns how many pairs were compared and matched.
fn compare(catalog: &Catalog, dice: &mut Dice, scratch: &mut Scratch, requests: usize) -> (usize, usize) {
    let (taxonomy, inputs) = (world::taxonomy(), inputs(catalog));
    let matcher = Matcher::compile(&inputs, &taxonomy).expect("all zones exist");
    let (mut pairs, mut matched) = (0, 0);
    for _ in 0..requests {
        dice.request(|facts, imps| {
            matcher.request(facts, scratch);
            for imp in imps {
                let found = matcher.candidates(imp, scratch);
                agree(&inputs, facts, imp, &taxonomy, found);
                pairs += inputs.len();
                matched += found.len();
            }
        });
    }
    (pairs, matched)
}

fn agree(
    inputs: &[MatchInput<'_>],
    facts: &Facts<'_>,
    imp: &Imp<'_>,
    taxonomy: &Taxonomy,
    found: &[LineItemIx],
) {
    assert!(found.is_sorted_by(|a, b| a < b), "not strictly ascending: {found:?}");
    for (at, input) in inputs.iter().enumerate() {
        let failure = naive::first_failure(input, facts, imp, taxonomy);
        assert_eq!(naive::matches(input, facts, imp, taxonomy), failure.is_none());
        let indexed = found.binary_search(&LineItemIx(at as u32)).is_ok();
        assert_eq!(indexed, failure.is_none(), "line item {at}: {failure:?}\n{input:?}\n{facts:?}\n{imp:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn the_index_finds_what_the_naive_evaluator_lets_through(seed: u64, line_items in 0..40_usize) {
        let mut dice = Dice::new(seed);
        let mut scratch = Scratch::new();
        // Two catalogs in a row through one scratch, as when a catalog is replaced.
        for size in [line_items, line_items / 2] {
            let catalog: Catalog = (0..size).map(|_| dice.line_item()).collect();
            compare(&catalog, &mut dice, &mut scratch, 6);
        }
    }
}

#[test]
fn a_large_catalog_agrees_and_both_answers_are_frequent() {
    let mut dice = Dice::new(1);
    let catalog: Catalog = (0..3_000).map(|_| dice.line_item()).collect();
    let (pairs, matched) = compare(&catalog, &mut dice, &mut Scratch::new(), 80);
    assert!(pairs > 300_000, "{pairs} pairs");
    let share = matched as f64 / pairs as f64;
    assert!((0.005..0.5).contains(&share), "{matched} of {pairs} pairs matched: the comparison says little");
}

#[test]
fn dimensions_with_too_many_values_for_bit_sets_agree_as_well() {
    let mut dice = Dice::new(2);
    let mut catalog: Catalog = (0..200).map(|_| dice.line_item()).collect();
    let include = |text: String| Rule { include: vec![text], exclude: Vec::new() };
    for i in 0..400_u16 {
        let sizes = vec![Fit::Banner(Size { w: 300, h: 250 }), Fit::Banner(Size { w: i, h: 1 })];
        let targeting = Targeting {
            languages: include(format!("en-x{i}")),
            os: include(format!("os {i}")),
            device_types: Rule { include: vec![i64::from(i)], exclude: Vec::new() },
            exchanges: Rule { include: Vec::new(), exclude: vec![ExchangeId(i + 5)] },
            ..Targeting::default()
        };
        catalog.push((targeting, sizes));
    }
    let (_, matched) = compare(&catalog, &mut dice, &mut Scratch::new(), 200);
    assert!(matched > 0);
    let imps = [Imp {
        banner: Some(Banner { sizes: &[Size { w: 7, h: 1 }], ..Banner::default() }),
        ..Imp::default()
    }];
    let mut auction = Auction { imps: &imps, ..Auction::default() };
    auction.device.language = Some("en-X7-oed");
    auction.device.device_type = Some(7);
    let facts = Facts {
        exchange: ExchangeId(1),
        auction: &auction,
        user_permitted: false,
        segments: &[],
        os: Some("os 7"),
        browser: None,
        unix_s: 0,
    };
    let matcher = Matcher::compile(&inputs(&catalog), &world::taxonomy()).unwrap();
    let mut scratch = Scratch::new();
    matcher.request(&facts, &mut scratch);
    assert_eq!(matcher.candidates(&imps[0], &mut scratch), [LineItemIx(207)]);
}

#[test]
fn long_lists_lead_to_their_line_item_and_are_searched_right() {
    let long = |from: u32, to: u32| (from..to).map(|i| format!("site{i}.example")).collect::<Vec<_>>();
    let allow = Targeting {
        domains: Rule { include: long(0, 5_000), exclude: long(100, 200) },
        ..Targeting::default()
    };
    let block =
        Targeting { domains: Rule { include: Vec::new(), exclude: long(50, 5_000) }, ..Targeting::default() };
    let sizes = [Size { w: 300, h: 250 }];
    let inputs = [&allow, &block]
        .map(|targeting| MatchInput { targeting, fits: &[Fit::Banner(Size { w: 300, h: 250 })] });
    let taxonomy = world::taxonomy();
    let matcher = Matcher::compile(&inputs, &taxonomy).unwrap();
    let mut scratch = Scratch::new();
    let imps = [Imp { banner: Some(Banner { sizes: &sizes, ..Banner::default() }), ..Imp::default() }];
    for (domain, expected) in [
        ("site7.example", &[0, 1][..]),
        ("www.site99.example", &[0]),
        ("site150.example", &[]),
        ("site4999.example", &[0]),
        ("site5000.example", &[1]),
    ] {
        let mut auction = Auction { imps: &imps, ..Auction::default() };
        auction.channel = outbid::model::auction::Channel::Site(outbid::model::auction::Inventory {
            domain: Some(domain),
            ..Default::default()
        });
        let facts = Facts {
            exchange: ExchangeId(1),
            auction: &auction,
            user_permitted: true,
            segments: &[],
            os: None,
            browser: None,
            unix_s: 0,
        };
        matcher.request(&facts, &mut scratch);
        let found = matcher.candidates(&imps[0], &mut scratch);
        assert_eq!(found.iter().map(|ix| ix.0).collect::<Vec<_>>(), expected, "{domain}");
        agree(&inputs, &facts, &imps[0], &taxonomy, found);
    }
}

#[test]
fn a_warm_scratch_allocates_nothing() {
    let mut dice = Dice::new(3);
    let catalog: Catalog = (0..2_000).map(|_| dice.line_item()).collect();
    let matcher = Matcher::compile(&inputs(&catalog), &world::taxonomy()).unwrap();
    let mut scratch = Scratch::new();
    let mut found = 0;
    let mut allocated = [0; 2];
    for round in &mut allocated {
        // The same requests twice; they lie in many hours, so that the hours are recomputed too.
        let mut dice = Dice::new(4);
        for _ in 0..500 {
            dice.request(|facts, imps| {
                let info = allocation_counter::measure(|| {
                    matcher.request(facts, &mut scratch);
                    for imp in imps {
                        found += matcher.candidates(imp, &mut scratch).len();
                    }
                });
                *round += info.count_total;
            });
        }
    }
    assert!(found > 1_000, "only {found} candidates");
    let [cold, warm] = allocated;
    assert!(cold > 0, "the counter does not count");
    assert_eq!(warm, 0);
}

#[test]
#[should_panic(expected = "by the same matcher")]
fn an_impression_without_its_request_is_refused() {
    let matcher = Matcher::compile(&[], &world::taxonomy()).unwrap();
    matcher.candidates(&Imp::default(), &mut Scratch::new());
}

#[test]
fn a_matcher_is_shared_between_cores() {
    fn shared<T: Send + Sync>() {}
    shared::<Matcher>();
    assert!(Matcher::compile(&[], &world::taxonomy()).unwrap().is_empty());
}
