//! The measuring world: it is what both programs think it is, a valid account, and as selective as it claims.
//!
//! The market of `outbid-load` is compiled into this test, so that its visits can be counted against the line items by
//! an evaluator that is written as plainly as possible and shares nothing with the real matcher.

use outbid::cli::seed::{self, Memberships, WorldParams, dice, facts, world_json};
use outbid::model::account::Account;
use outbid::model::auction::Size;
use outbid::model::creative::Creative;
use outbid::model::ids::{CreativeId, SegmentId};
use outbid::model::line_item::LineItem;
use outbid::model::money::{Cpm, PPM};
use outbid::model::targeting::{Fit, Targeting};
use outbid::model::taxonomy::Taxonomy;
use std::collections::{BTreeMap, BTreeSet};

#[path = "../../loadtest/src/market/mod.rs"]
#[allow(dead_code, reason = "outbid-load uses the rest")]
mod market;

use market::visit::{Channel, Visit, Visitor, Visits};

fn params(line_items: u32) -> WorldParams {
    WorldParams { line_items, ..WorldParams::default() }
}

#[test]
fn both_programs_share_one_cookie_rule_and_one_set_of_dice() {
    for (seed, i) in [(0, 0), (0, 1), (7, 999_999), (u64::MAX, 123), (3, u64::MAX)] {
        assert_eq!(dice::cookie(seed, i), market::dice::cookie(seed, i));
    }
    let (ours, theirs) = (dice::Zipf::new(3, 10_000), market::dice::Zipf::new(3, 10_000));
    let (mut our_dice, mut their_dice) = (dice::Dice::new(1, 2, 3), market::dice::Dice::new(1, 2, 3));
    for _ in 0..1_000 {
        assert_eq!(ours.draw(&mut our_dice), theirs.draw(&mut their_dice));
    }
}

#[test]
fn both_programs_share_one_set_of_facts() {
    use market::facts as theirs;
    assert_eq!(facts::SITES, theirs::SITES);
    assert_eq!(facts::CATEGORIES, theirs::CATEGORIES);
    assert_eq!(facts::PLACES, theirs::PLACES);
    assert_eq!(facts::SIZES, theirs::SIZES);
    for rank in [1, 19, 20, 20_000] {
        assert_eq!(facts::site_domain(rank), theirs::site_domain(rank));
        assert_eq!(facts::brand_domain(rank), theirs::brand_domain(rank));
    }
}

#[test]
fn world_json_names_the_sizes_and_the_rule() {
    let world: serde_json::Value = serde_json::from_str(&world_json(&params(10_000))).unwrap();
    let expected = serde_json::json!({
        "version": 1, "exchange": "load", "seed": 1, "users": 1_000_000, "segments": 20_000,
        "line_items": 10_000, "cookie": "splitmix64-hex", "sites": 20_000,
        "features": {
            "goals": false, "frequency_caps": false, "pacing": false, "shading": false, "models": false
        }
    });
    assert_eq!(world, expected);
}

#[test]
fn with_pricing_on_half_pay_by_outcomes_and_nothing_else_is_another() {
    let params = WorldParams { segments: 1_000, ..params(2_000) };
    let priced_params = WorldParams { pricing: true, ..params };
    let (plain, priced) = (seed::account(&params), seed::account(&priced_params));
    let world: serde_json::Value = serde_json::from_str(&world_json(&priced_params)).unwrap();
    assert!(world["features"].as_object().unwrap().values().all(|on| on == true), "{world}");
    let share = |is: fn(&outbid::model::line_item::LineItem) -> bool| {
        priced.line_items.iter().filter(|item| is(item)).count() as f64 / priced.line_items.len() as f64
    };
    use outbid::model::line_item::Predicts;
    let outcomes = share(|item| item.strategy.predicts() != Predicts::Nothing);
    assert!((0.45..0.55).contains(&outcomes), "{outcomes}");
    let capped = share(|item| !item.frequency.is_empty());
    assert!((0.26..0.34).contains(&capped), "{capped}");
    let mut same = priced.line_items.clone();
    for (item, before) in same.iter_mut().zip(&plain.line_items) {
        item.strategy = before.strategy;
        item.bid = before.bid;
        item.shading = before.shading;
        item.pacing = before.pacing;
        item.conversions.clear();
        item.frequency = before.frequency.clone();
    }
    assert_eq!(same, plain.line_items);
    // It is written as a file and read again without a complaint.
    let text = outbid::store::account_file::text(&priced).unwrap();
    let read = outbid::store::account_file::parse(&text, "account").unwrap();
    assert_eq!(read.account.line_items, priced.line_items);
}

#[test]
fn a_size_outside_its_limits_is_refused_by_name() {
    let check = |change: fn(&mut WorldParams), expected: Option<&str>| {
        let mut params = WorldParams::default();
        change(&mut params);
        assert_eq!(params.check().err().map(|error| error.what), expected);
    };
    check(|_| {}, None);
    check(|p| p.users = 0, Some("users"));
    check(|p| p.segments = 63, Some("segments"));
    check(|p| p.line_items = 1_000_001, Some("line_items"));
}

#[test]
fn every_user_is_in_twelve_segments_and_popular_ones_are_popular() {
    let params = params(10);
    let memberships = Memberships::new(&params);
    let mut users_in_first = 0;
    for user in 0..2_000 {
        let held: Vec<SegmentId> = memberships.of(user).collect();
        assert_eq!(held.len(), 12);
        assert!(held.is_sorted_by(|a, b| a < b), "{held:?}");
        assert!(held[0].0 >= 1 && held[11].0 <= params.segments);
        assert!(memberships.of(user).eq(held.iter().copied()));
        users_in_first += u32::from(held[0] == SegmentId(1));
    }
    // One draw is rank 1 with 1/H(20,000) = 0.095; twelve draws without repetition miss it about 3 times in 10.
    assert!((1_250..1_550).contains(&users_in_first), "{users_in_first} of 2,000");
}

#[test]
fn the_account_is_whole_and_the_same_for_the_same_seed() {
    let world = WorldParams { segments: 1_000, seed: 9, ..params(1_234) };
    let account = seed::account(&world);
    assert_eq!(account, seed::account(&world));
    assert_ne!(account.line_items, seed::account(&WorldParams { seed: 10, ..world }).line_items);
    assert_eq!(account.line_items.len(), 1_234);
    let taxonomy = Taxonomy::build(&account.segments).unwrap();
    let known: BTreeSet<_> = account.segments.iter().map(|segment| segment.id).collect();
    let campaigns: BTreeMap<_, _> = account.campaigns.iter().map(|c| (c.id, c)).collect();
    let advertisers: BTreeSet<_> = account.advertisers.iter().map(|a| a.id).collect();
    let creatives: BTreeMap<_, _> = account.creatives.iter().map(|c| (c.id, c)).collect();
    assert_eq!(campaigns.len(), account.campaigns.len());
    assert_eq!(creatives.len(), account.creatives.len());
    for line_item in &account.line_items {
        let campaign = campaigns[&line_item.campaign];
        assert!(advertisers.contains(&campaign.advertiser));
        assert!(!line_item.creatives.is_empty());
        for assigned in &line_item.creatives {
            assert_eq!(creatives[&assigned.creative].advertiser, campaign.advertiser);
            assert!(assigned.weight >= 1);
        }
        let rule = &line_item.targeting.segments;
        assert!(rule.any_of.iter().chain(&rule.none_of).all(|segment| known.contains(segment)));
        assert!((Cpm(800_000)..=Cpm(6_000_000)).contains(&line_item.bid), "{}", line_item.bid);
        assert!(line_item.max_bid == line_item.bid.scale_ppm(2 * PPM));
    }
    assert!(!taxonomy.descendants(SegmentId(1_001)).is_empty(), "a root stands above the leaves");
    for advertiser in &account.advertisers {
        assert!(advertiser.wallet.0 > 0);
    }
}

#[test]
fn the_markup_has_every_macro_in_a_quoted_attribute() {
    let account = seed::account(&params(200));
    for creative in &account.creatives {
        let markup = &creative.banner().expect("the world has banners").markup;
        for name in ["CLICK_URL", "IMPRESSION_URL", "CACHEBUSTER"] {
            let macro_text = format!("{{{{{name}}}}}");
            assert!(markup.contains(&macro_text), "{name} in {markup}");
            for (at, _) in markup.match_indices(&macro_text) {
                let quotes = markup[..at].matches('"').count();
                assert_eq!(quotes % 2, 1, "{name} stands outside quotes in {markup}");
            }
        }
        let host =
            creative.click_url.strip_prefix("https://").and_then(|rest| rest.split('/').next()).unwrap();
        assert!(creative.landing_domains.iter().any(|domain| domain == host), "{host}");
        assert!(!markup.contains("http://") && creative.secure);
    }
}

/// Line items of the wanted shape: the shares that the design fixes.
#[test]
fn line_items_have_the_shape_of_real_ones() {
    let account = seed::account(&params(10_000));
    let check = |what: &str, wanted_per_mille: usize, has: fn(&Targeting) -> bool| {
        let seen = account.line_items.iter().filter(|line_item| has(&line_item.targeting)).count() / 10;
        assert!(seen.abs_diff(wanted_per_mille) <= 15, "{what}: {seen} per mille, not {wanted_per_mille}");
    };
    check("an audience", 850, |t| !t.segments.any_of.is_empty());
    check("places", 300, |t| !t.countries.include.is_empty());
    check("devices", 200, |t| !t.device_types.include.is_empty() || !t.os.include.is_empty());
    check("site lists", 150, |t| !t.domains.include.is_empty());
    check("dayparts", 100, |t| t.daypart.is_some());
    check("excluded sites", 100, |t| !t.domains.exclude.is_empty());
}

/// Counts how many line items survive targeting and creative checks, by looking at all of them.
struct Market {
    account: Account,
    parents: BTreeMap<SegmentId, SegmentId>,
    memberships: Memberships,
    creatives: BTreeMap<CreativeId, Creative>,
    visits: Visits,
}

impl Market {
    fn new(params: &WorldParams) -> Market {
        let account = seed::account(params);
        Market {
            parents: account.segments.iter().filter_map(|s| Some((s.id, s.parent?))).collect(),
            memberships: Memberships::new(params),
            creatives: account.creatives.iter().map(|c| (c.id, c.clone())).collect(),
            visits: Visits::new(params.seed, params.users),
            account,
        }
    }

    /// Survivors of each impression of visit `n`.
    fn survivors(&self, n: u64) -> Vec<u64> {
        let (visit, _) = self.visits.draw(n);
        let held: BTreeSet<SegmentId> = match visit.visitor {
            Visitor::Known(user) if visit.privacy.is_open(market::facts::PLACES[visit.place].0) => {
                self.memberships.of(user).flat_map(|segment| self.with_ancestors(segment)).collect()
            }
            _ => BTreeSet::new(),
        };
        let may_use = visit.privacy.is_open(market::facts::PLACES[visit.place].0);
        let hour = (n * 31 % 168) as usize;
        let targeted: Vec<&LineItem> = self
            .account
            .line_items
            .iter()
            .filter(|line_item| audience(&line_item.targeting, &held, may_use))
            .filter(|line_item| matches(&line_item.targeting, &visit, hour))
            .collect();
        let count = |slot| targeted.iter().filter(|item| self.creative(item, &visit, slot)).count() as u64;
        (0..visit.slots.len()).map(count).collect()
    }

    fn with_ancestors(&self, segment: SegmentId) -> impl Iterator<Item = SegmentId> {
        std::iter::successors(Some(segment), |node| self.parents.get(node).copied())
    }

    fn creative(&self, line_item: &LineItem, visit: &Visit, slot: usize) -> bool {
        line_item.creatives.iter().map(|assigned| &self.creatives[&assigned.creative]).any(|creative| {
            let blocked = |category: &usize| market::facts::CATEGORIES[*category] == creative.categories[0];
            let blocked_brand = |brand: &u64| market::facts::brand_domain(*brand) == creative.adomain[0];
            visit.sizes(slot).any(|(w, h)| creative.fit() == Fit::Banner(Size { w, h }))
                && !visit.blocked_categories.iter().any(blocked)
                && !visit.blocked_brands.iter().any(blocked_brand)
        })
    }
}

/// Whether a user who is in `held`, ancestors included, is in the audience.
fn audience(targeting: &Targeting, held: &BTreeSet<SegmentId>, may_use: bool) -> bool {
    let rule = &targeting.segments;
    let holds = |node: &SegmentId| held.contains(node);
    (may_use || !rule.needs_user())
        && (rule.any_of.is_empty() || rule.any_of.iter().any(holds))
        && rule.all_of.iter().all(holds)
        && !rule.none_of.iter().any(holds)
}

/// Everything but audience and creatives.
fn matches(targeting: &Targeting, visit: &Visit, hour: usize) -> bool {
    let (country, region, _) = market::facts::PLACES[visit.place];
    let (device_type, os, ..) = market::facts::DEVICES[visit.device];
    let place = format!("{}-{}", if country == "USA" { "us" } else { "--" }, region.to_ascii_lowercase());
    let (domain, rank) = match visit.channel {
        Channel::Site(rank) => (market::facts::site_domain(rank), rank),
        Channel::App(rank) => (String::new(), rank),
    };
    let category = market::facts::category_of(rank);
    let is_device = |wanted: &i64| *wanted == device_type || (*wanted == 1 && matches!(device_type, 4 | 5));
    let included = |empty: bool, found: bool| empty || found;
    included(targeting.domains.include.is_empty(), targeting.domains.include.contains(&domain))
        && !targeting.domains.exclude.contains(&domain)
        && included(
            targeting.countries.include.is_empty(),
            targeting.countries.include.iter().any(|own| own.alpha3() == country),
        )
        && included(targeting.regions.include.is_empty(), targeting.regions.include.contains(&place))
        && !targeting.regions.exclude.contains(&place)
        && included(
            targeting.device_types.include.is_empty(),
            targeting.device_types.include.iter().any(is_device),
        )
        && !targeting.device_types.exclude.iter().any(is_device)
        && included(
            targeting.os.include.is_empty(),
            targeting.os.include.iter().any(|own| own.eq_ignore_ascii_case(os)),
        )
        && !targeting.categories.exclude.iter().any(|own| own.id == category)
        && targeting.daypart.as_ref().is_none_or(|daypart| daypart.hours.contains(hour))
}

fn check_selectivity(line_items: u32, visits: u64) {
    let market = Market::new(&params(line_items));
    let by_visit: Vec<Vec<u64>> = (0..visits).map(|n| market.survivors(n)).collect();
    let mut by_imp: Vec<u64> = by_visit.iter().flatten().copied().collect();
    by_imp.sort_unstable();
    let quantile = |q: usize| by_imp[(by_imp.len() - 1) * q / 100];
    let (p50, p99, mean) = (quantile(50), quantile(99), by_imp.iter().sum::<u64>() / by_imp.len() as u64);
    let with_candidates = by_visit.iter().filter(|visit| visit.iter().any(|n| *n > 0)).count() as u64;
    let share = 100 * with_candidates / visits;
    eprintln!(
        "{line_items} line items: survivors p10 {} p50 {p50} p90 {} p99 {p99} max {} mean {mean}; {share} % of \
         {visits} visits have one",
        quantile(10),
        quantile(90),
        quantile(100)
    );
    assert!((12..=20).contains(&p50), "p50 {p50}");
    assert!((45..=90).contains(&p99), "p99 {p99}");
    assert!(share >= 70, "{share} %");
}

#[test]
fn about_sixteen_candidates_survive_among_a_thousand_line_items() {
    check_selectivity(1_000, 2_000);
}

#[test]
fn about_sixteen_candidates_survive_among_ten_thousand_line_items() {
    check_selectivity(10_000, 2_000);
}

#[test]
fn about_sixteen_candidates_survive_among_a_hundred_thousand_line_items() {
    check_selectivity(100_000, 600);
}
