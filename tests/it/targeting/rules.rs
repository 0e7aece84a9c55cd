//! What each rule means, asked of the naive evaluator and of the index alike.

use outbid::model::auction::{Auction, Banner, Channel, Deal, Imp, Inventory, Size};
use outbid::model::country::Country;
use outbid::model::ids::{ExchangeId, SegmentId};
use outbid::model::media::Stream;
use outbid::model::money::Cpm;
use outbid::model::no_bid::NoBidReason;
use outbid::model::targeting::{Category, Daypart, Fit, HourMask, MediaType, Rule, SegmentRule, Targeting};
use outbid::model::taxonomy::{Segment, Taxonomy};
use outbid::targeting::{CompileError, Facts, LineItemIx, MatchInput, Matcher, Scratch, naive};

const MPU: Size = Size { w: 300, h: 250 };
const LEADERBOARD: Size = Size { w: 728, h: 90 };

/// A request of which nothing is known but that it offers one banner.
struct Request {
    exchange: ExchangeId,
    auction: Auction<'static>,
    imp: Imp<'static>,
    permitted: bool,
    segments: Vec<SegmentId>,
    os: Option<&'static str>,
    browser: Option<&'static str>,
    unix_s: i64,
}

impl Request {
    fn new() -> Request {
        Request {
            exchange: ExchangeId(1),
            auction: Auction::default(),
            imp: Imp { banner: Some(Banner { sizes: &[MPU], ..Banner::default() }), ..Imp::default() },
            permitted: true,
            segments: Vec::new(),
            os: None,
            browser: None,
            unix_s: 0,
        }
    }

    fn site(&mut self, change: impl FnOnce(&mut Inventory<'static>)) {
        let mut inventory = Inventory { cattax: 1, ..Inventory::default() };
        change(&mut inventory);
        self.auction.channel = Channel::Site(inventory);
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            exchange: self.exchange,
            auction: &self.auction,
            user_permitted: self.permitted,
            segments: &self.segments,
            os: self.os,
            browser: self.browser,
            unix_s: self.unix_s,
        }
    }
}

/// 1 → 2 → 3, and 4 apart.
fn taxonomy() -> Taxonomy {
    let node = |id, parent: Option<u32>| Segment {
        id: SegmentId(id),
        key: format!("s{id}"),
        name: String::new(),
        parent: parent.map(SegmentId),
        sensitive: false,
        ..Segment::default()
    };
    Taxonomy::build(&[node(1, None), node(2, Some(1)), node(3, Some(2)), node(4, None)])
        .expect("it is a forest")
}

fn check_sized(
    targeting: &Targeting,
    fits: &[Fit],
    change: impl FnOnce(&mut Request),
    expected: Option<(NoBidReason, &str)>,
) {
    let mut request = Request::new();
    change(&mut request);
    let (facts, taxonomy) = (request.facts(), taxonomy());
    let input = MatchInput { targeting, fits };
    let failure = naive::first_failure(&input, &facts, &request.imp, &taxonomy);
    let found = failure.as_ref().map(|failure| (failure.reason, failure.dimension));
    assert_eq!(found, expected, "{failure:?} with {targeting:?}");
    let matcher = Matcher::compile(&[input], &taxonomy).expect("all zones exist");
    let mut scratch = Scratch::new();
    matcher.request(&facts, &mut scratch);
    let candidates = matcher.candidates(&request.imp, &mut scratch);
    let survivors: &[LineItemIx] = if expected.is_none() { &[LineItemIx(0)] } else { &[] };
    assert_eq!(candidates, survivors, "the index differs with {targeting:?}");
}

/// A line item with a creative of 300x250.
fn check(targeting: &Targeting, change: impl FnOnce(&mut Request), expected: Option<(NoBidReason, &str)>) {
    check_sized(targeting, &[Fit::Banner(MPU)], change, expected);
}

fn include<T: Clone, U: From<T>>(values: &[T]) -> Rule<U> {
    Rule { include: values.iter().cloned().map(U::from).collect(), exclude: Vec::new() }
}

fn exclude<T: Clone, U: From<T>>(values: &[T]) -> Rule<U> {
    Rule { include: Vec::new(), exclude: values.iter().cloned().map(U::from).collect() }
}

fn country(code: &str) -> Country {
    Country::parse(code).expect("a country")
}

#[test]
fn without_targeting_every_banner_of_the_right_size_is_eligible() {
    let all = Targeting::default();
    check(&all, |_| {}, None);
    check(&all, |r| r.auction.device.geo.country = Country::parse("FR"), None);
    check(&all, |r| r.permitted = false, None);
    check(&all, |r| r.imp.banner = None, Some((NoBidReason::Format, "format")));
    check(
        &all,
        |r| (r.imp.banner, r.imp.video) = (None, Some(Stream::default())),
        Some((NoBidReason::Format, "format")),
    );
    let size = Some((NoBidReason::Size, "size"));
    check(&all, |r| r.imp.banner = Some(Banner::default()), size);
    check(&all, |r| r.imp.banner = Some(Banner { sizes: &[LEADERBOARD], ..Banner::default() }), size);
    check(&all, |r| r.imp.banner = Some(Banner { sizes: &[LEADERBOARD, MPU], ..Banner::default() }), None);
    check_sized(&all, &[], |_| {}, Some((NoBidReason::Format, "format")));
}

#[test]
fn a_size_or_format_rule_narrows_what_may_be_served() {
    let size = Some((NoBidReason::Size, "size"));
    let leaderboard = Targeting { sizes: include(&[LEADERBOARD]), ..Targeting::default() };
    let both = |r: &mut Request| {
        r.imp.banner = Some(Banner { sizes: &[MPU, LEADERBOARD], ..Banner::default() });
    };
    check_sized(&leaderboard, &[Fit::Banner(MPU), Fit::Banner(LEADERBOARD)], both, None);
    check_sized(&leaderboard, &[Fit::Banner(MPU), Fit::Banner(LEADERBOARD)], |_| {}, size);
    check_sized(&leaderboard, &[Fit::Banner(MPU)], both, size);
    let no_mpu = Targeting { sizes: exclude(&[MPU]), ..Targeting::default() };
    check_sized(&no_mpu, &[Fit::Banner(MPU), Fit::Banner(LEADERBOARD)], |_| {}, size);
    check_sized(&no_mpu, &[Fit::Banner(MPU), Fit::Banner(LEADERBOARD)], both, None);
    let format = Some((NoBidReason::Format, "format"));
    let formats = |formats| Targeting { formats, ..Targeting::default() };
    check(&formats(include(&[MediaType::Banner, MediaType::Video])), |_| {}, None);
    check(&formats(include(&[MediaType::Video])), |r| r.imp.video = Some(Stream::default()), format);
    check(&formats(exclude(&[MediaType::Banner])), |_| {}, format);
    check(&formats(exclude(&[MediaType::Video])), |r| r.imp.video = Some(Stream::default()), None);
}

#[test]
fn an_include_list_needs_the_field_and_an_exclude_list_beats_it() {
    let geo = Some((NoBidReason::Geo, "country"));
    let countries = |rule| Targeting { countries: rule, ..Targeting::default() };
    let us = countries(include(&[country("US"), country("DE")]));
    check(&us, |_| {}, geo);
    check(&us, |r| r.auction.device.geo.country = Country::parse("DEU"), None);
    check(&us, |r| r.auction.device.geo.country = Country::parse("FR"), geo);
    check(&us, |r| r.auction.user.geo.country = Country::parse("US"), geo);
    let not_us = countries(exclude(&[country("US")]));
    check(&not_us, |_| {}, None);
    check(&not_us, |r| r.auction.device.geo.country = Country::parse("FR"), None);
    check(&not_us, |r| r.auction.device.geo.country = Country::parse("US"), geo);
    let both = countries(Rule { include: vec![country("US")], exclude: vec![country("US")] });
    check(&both, |r| r.auction.device.geo.country = Country::parse("US"), geo);
    let exchanges = Targeting { exchanges: include(&[ExchangeId(2)]), ..Targeting::default() };
    check(&exchanges, |_| {}, Some((NoBidReason::Exchange, "exchange")));
    check(&exchanges, |r| r.exchange = ExchangeId(2), None);
    let wifi = Targeting { connections: include(&[2_i64]), ..Targeting::default() };
    check(&wifi, |_| {}, Some((NoBidReason::Device, "connection")));
    check(&wifi, |r| r.auction.device.connection_type = Some(2), None);
}

#[test]
fn a_place_may_be_named_with_or_without_its_country() {
    let california = Targeting { regions: include(&["us-ca"]), ..Targeting::default() };
    let place = |country: &'static str, region: &'static str| {
        move |r: &mut Request| {
            r.auction.device.geo.country = Country::parse(country);
            r.auction.device.geo.region = Some(region);
        }
    };
    let region = Some((NoBidReason::Geo, "region"));
    for (country, given, expected) in [
        ("US", "CA", None),
        ("USA", "ca", None),
        ("", "US-CA", None),
        ("US", "us-ca", None),
        ("", "CA", region),
        ("DE", "CA", region),
        ("US", "CAL", region),
        ("US", "", region),
    ] {
        check(&california, place(country, given), expected);
    }
    for (listed, city, expected) in [
        ("berlin", "Berlin", None),
        ("de:berlin", " berlin ", None),
        ("us:berlin", "Berlin", Some((NoBidReason::Geo, "city"))),
        ("berlin", "Berlin-Mitte", Some((NoBidReason::Geo, "city"))),
    ] {
        let cities = Targeting { cities: include(&[listed]), ..Targeting::default() };
        check(
            &cities,
            |r| {
                r.auction.device.geo.country = Country::parse("DEU");
                r.auction.device.geo.city = Some(city);
            },
            expected,
        );
    }
    let zips = Targeting { zips: exclude(&["de:10115"]), ..Targeting::default() };
    check(&zips, |r| r.auction.device.geo.zip = Some("10115"), None);
    let in_germany = |r: &mut Request| {
        (r.auction.device.geo.zip, r.auction.device.geo.country) = (Some("10115"), Country::parse("DE"));
    };
    check(&zips, in_germany, Some((NoBidReason::Geo, "zip")));
    let metros = Targeting { metros: include(&["501"]), ..Targeting::default() };
    check(&metros, |r| r.auction.device.geo.metro = Some("501"), None);
    check(&metros, |r| r.auction.device.geo.metro = Some("5012"), Some((NoBidReason::Geo, "metro")));
}

#[test]
fn mobile_or_tablet_accepts_phones_and_tablets_but_not_the_other_way_round() {
    let types = |rule| Targeting { device_types: rule, ..Targeting::default() };
    let refused = Some((NoBidReason::Device, "device_type"));
    for (listed, given, expected) in [
        (1, Some(1), None),
        (1, Some(4), None),
        (1, Some(5), None),
        (1, Some(2), refused),
        (4, Some(1), refused),
        (4, Some(4), None),
        (5, Some(4), refused),
        (99, Some(99), None),
        (1, None, refused),
    ] {
        check(&types(include(&[listed])), |r| r.auction.device.device_type = given, expected);
    }
    check(&types(exclude(&[1_i64])), |r| r.auction.device.device_type = Some(4), refused);
    let mobile_but_no_tablet = types(Rule { include: vec![1], exclude: vec![5] });
    check(&mobile_but_no_tablet, |r| r.auction.device.device_type = Some(5), refused);
    check(&mobile_but_no_tablet, |r| r.auction.device.device_type = Some(4), None);
}

#[test]
fn device_texts_ignore_case_and_resolved_families_come_first() {
    let android = Targeting { os: include(&["android"]), ..Targeting::default() };
    let os = Some((NoBidReason::Device, "os"));
    check(&android, |r| r.auction.device.os = Some("Android"), None);
    check(&android, |r| r.auction.device.os = Some("iOS"), os);
    check(&android, |r| (r.auction.device.os, r.os) = (Some("Linux"), Some("android")), None);
    check(&android, |r| (r.auction.device.os, r.os) = (Some("Android"), Some("linux")), os);
    let chrome = Targeting { browsers: include(&["chrome"]), ..Targeting::default() };
    check(&chrome, |r| r.browser = Some("Chrome"), None);
    check(&chrome, |_| {}, Some((NoBidReason::Device, "browser")));
    let carrier = Targeting { carriers: include(&["verizon", "310-005"]), ..Targeting::default() };
    check(&carrier, |r| r.auction.device.carrier = Some("VERIZON"), None);
    check(&carrier, |r| r.auction.device.mccmnc = Some("310-005"), None);
    check(&carrier, |r| r.auction.device.carrier = Some("Vodafone"), Some((NoBidReason::Device, "carrier")));
}

#[test]
fn a_language_accepts_its_variants() {
    let refused = Some((NoBidReason::Language, "language"));
    for (listed, given, expected) in [
        ("en", "en", None),
        ("en", "en-US", None),
        ("en", "EN_us", None),
        ("en-us", "en-US", None),
        ("en-us", "en", refused),
        ("en-us", "en-GB", refused),
        ("en", "eng", refused),
        ("zh-hans", "zh-Hans-CN", None),
        ("en", "", refused),
    ] {
        let targeting = Targeting { languages: include(&[listed]), ..Targeting::default() };
        check(&targeting, |r| r.auction.device.language = Some(given), expected);
    }
    let not_american = Targeting {
        languages: Rule { include: vec!["en".into()], exclude: vec!["en-us".into()] },
        ..Targeting::default()
    };
    check(&not_american, |r| r.auction.device.language = Some("en-GB"), None);
    check(&not_american, |r| r.auction.device.language = Some("en-US"), refused);
}

#[test]
fn a_domain_accepts_its_subdomains_and_nothing_that_only_looks_alike() {
    let refused = Some((NoBidReason::Inventory, "domain"));
    for (listed, given, expected) in [
        ("example.com", "example.com", None),
        ("example.com", "News.Example.com", None),
        ("example.com", "www.example.com", None),
        ("example.com", "badexample.com", refused),
        ("example.com", "example.com.evil.net", refused),
        ("example.com", "com", refused),
        ("example.com", "https://example.com:8443/path", None),
        ("example.com", "example.com.", None),
        ("www.example.com", "example.com", refused),
        ("https://example.com/", "example.com", None),
        ("example.com", "", refused),
    ] {
        let targeting = Targeting { domains: include(&[listed]), ..Targeting::default() };
        check(&targeting, |r| r.site(|site| site.domain = Some(given)), expected);
        let blocked = Targeting { domains: exclude(&[listed]), ..Targeting::default() };
        let expected = if expected.is_none() { refused } else { None };
        check(&blocked, |r| r.site(|site| site.domain = Some(given)), expected);
    }
    let targeting = Targeting { domains: include(&["example.com"]), ..Targeting::default() };
    let app =
        Inventory { domain: Some("example.com"), bundle: Some("com.Example.App"), ..Inventory::default() };
    check(&targeting, |r| r.auction.channel = Channel::App(app.clone()), refused);
    let bundle = Targeting { bundles: include(&["com.example.app"]), ..Targeting::default() };
    check(&bundle, |r| r.auction.channel = Channel::App(app.clone()), None);
    check(&bundle, |_| {}, Some((NoBidReason::Inventory, "bundle")));
    let publisher = Targeting { publishers: exclude(&["pub-1"]), ..Targeting::default() };
    check(
        &publisher,
        |r| r.site(|site| site.publisher_id = Some("PUB-1")),
        Some((NoBidReason::Inventory, "publisher")),
    );
}

#[test]
fn a_category_of_content_1_0_includes_what_is_below_it_in_its_own_taxonomy_only() {
    let refused = Some((NoBidReason::Inventory, "category"));
    for ((cattax, listed), (given_cattax, given), expected) in [
        ((1, "IAB2"), (1, &["IAB2"][..]), None),
        ((1, "iab2"), (1, &["IAB9", "IAB2-3"]), None),
        ((1, "IAB2"), (1, &["IAB20"]), refused),
        ((1, "IAB2-3"), (1, &["IAB2"]), refused),
        ((1, "IAB2"), (7, &["IAB2"]), refused),
        ((7, "52"), (7, &["52"]), None),
        ((7, "52"), (7, &["52-1"]), refused),
        ((7, "52"), (1, &["52"]), refused),
        ((1, "IAB2"), (1, &[]), refused),
    ] {
        let category = Category { cattax, id: listed.to_owned() };
        let targeting = Targeting { categories: include(&[category]), ..Targeting::default() };
        check(&targeting, |r| r.site(|site| (site.cattax, site.cat) = (given_cattax, given)), expected);
    }
}

#[test]
fn keywords_come_from_the_content_and_where_permitted_from_the_user() {
    let targeting = Targeting { keywords: include(&["golf", "tennis"]), ..Targeting::default() };
    let refused = Some((NoBidReason::Keyword, "keyword"));
    check(&targeting, |r| r.site(|site| site.keywords = &["Cars", " GOLF"]), None);
    check(&targeting, |r| r.site(|site| site.keywords = &["golfing"]), refused);
    check(&targeting, |r| r.auction.user.keywords = &["Tennis"], None);
    check(&targeting, |r| (r.auction.user.keywords, r.permitted) = (&["Tennis"], false), refused);
    let blocked = Targeting { keywords: exclude(&["tennis"]), ..Targeting::default() };
    check(&blocked, |r| r.auction.user.keywords = &["tennis"], refused);
}

#[test]
fn deals_are_told_apart_by_case_and_a_private_auction_is_for_deals_only() {
    const OFFERED: &[Deal<'static>] = &[deal("A"), deal("b")];
    const fn deal(id: &'static str) -> Deal<'static> {
        Deal {
            id,
            bid_floor: None,
            bid_floor_cur: None,
            at: None,
            wseat: &[],
            wadomain: &[],
            guaranteed: false,
            min_cpm_per_second: Cpm(0),
            duration_floors: &[],
        }
    }
    let refused = Some((NoBidReason::Deal, "deal"));
    for (include, exclude, private, expected) in [
        (&["A"][..], &[][..], false, None),
        (&["A"], &[], true, None),
        (&["x", "b"], &[], true, None),
        (&["a", "B"], &[], false, refused),
        (&[], &[], false, None),
        (&[], &[], true, refused),
        (&[], &["A"], false, refused),
        (&[], &["a"], false, None),
        (&["A"], &["b"], false, refused),
    ] {
        let owned = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        let deals = Rule { include: owned(include), exclude: owned(exclude) };
        let targeting = Targeting { deals, ..Targeting::default() };
        check(&targeting, |r| (r.imp.deals, r.imp.private_auction) = (OFFERED, private), expected);
    }
    let wants_deal = Targeting { deals: include(&["A"]), ..Targeting::default() };
    check(&wants_deal, |_| {}, refused);
}

#[test]
fn a_tree_node_is_held_through_its_descendants_and_only_with_permission() {
    let rule = |all: &[u32], any: &[u32], none: &[u32]| {
        let ids = |ids: &[u32]| ids.iter().copied().map(SegmentId).collect();
        let segments = SegmentRule { all_of: ids(all), any_of: ids(any), none_of: ids(none) };
        Targeting { segments, ..Targeting::default() }
    };
    let refused = Some((NoBidReason::Audience, "segment"));
    for (targeting, held, expected) in [
        (rule(&[], &[1], &[]), &[3][..], None),
        (rule(&[], &[3], &[]), &[1], refused),
        (rule(&[], &[4, 2], &[]), &[3], None),
        (rule(&[1, 4], &[], &[]), &[2], refused),
        (rule(&[1, 4], &[], &[]), &[2, 4], None),
        (rule(&[1], &[2], &[3]), &[2], None),
        (rule(&[1], &[2], &[3]), &[2, 3], refused),
        (rule(&[], &[], &[1]), &[3], refused),
        (rule(&[], &[], &[1]), &[], None),
        (rule(&[], &[77], &[]), &[77], None),
        (rule(&[], &[77], &[]), &[1], refused),
    ] {
        let held: Vec<SegmentId> = held.iter().copied().map(SegmentId).collect();
        check(&targeting, |r| r.segments.clone_from(&held), expected);
        let expected = targeting.segments.needs_user().then_some((NoBidReason::Consent, "segment"));
        check(&targeting, |r| (r.segments, r.permitted) = (held, false), expected);
    }
}

#[test]
fn a_daypart_is_half_open_in_its_own_zone_on_both_nights_of_the_year() {
    let only = |hour: usize, zone: &str| {
        let mut hours = HourMask::NONE;
        hours.insert(hour);
        Targeting { daypart: Some(Daypart { hours, time_zone: zone.to_owned() }), ..Targeting::default() }
    };
    const SUNDAY: usize = 6 * 24;
    for (zone, hour, instant, open) in [
        // Monday 2026-06-01 09:00 to 10:00 in Berlin (UTC+2).
        ("Europe/Berlin", 9, "2026-06-01T06:59:59Z", false),
        ("Europe/Berlin", 9, "2026-06-01T07:00:00Z", true),
        ("Europe/Berlin", 9, "2026-06-01T07:59:59Z", true),
        ("Europe/Berlin", 9, "2026-06-01T08:00:00Z", false),
        // Sunday 2026-03-29: 02:00 to 03:00 does not exist.
        ("Europe/Berlin", SUNDAY + 1, "2026-03-29T00:59:59Z", true),
        ("Europe/Berlin", SUNDAY + 2, "2026-03-29T01:00:00Z", false),
        ("Europe/Berlin", SUNDAY + 3, "2026-03-29T01:00:00Z", true),
        // Sunday 2026-10-25: 02:00 to 03:00 comes twice.
        ("Europe/Berlin", SUNDAY + 2, "2026-10-25T00:00:00Z", true),
        ("Europe/Berlin", SUNDAY + 2, "2026-10-25T01:59:59Z", true),
        ("Europe/Berlin", SUNDAY + 3, "2026-10-25T02:00:00Z", true),
        ("America/New_York", SUNDAY + 3, "2026-03-08T07:00:00Z", true),
        ("America/New_York", SUNDAY + 1, "2026-11-01T06:30:00Z", true),
        // Lord Howe moves by half an hour: 02:00 becomes 01:30 on 2026-04-05.
        ("Australia/Lord_Howe", SUNDAY + 1, "2026-04-04T15:29:59Z", true),
        ("Australia/Lord_Howe", SUNDAY + 2, "2026-04-04T15:29:59Z", false),
        ("Australia/Lord_Howe", SUNDAY + 2, "2026-04-04T15:30:00Z", true),
        ("Asia/Kolkata", 0, "2026-05-31T18:30:00Z", true),
        ("Asia/Kolkata", 0, "2026-05-31T18:29:59Z", false),
        // UTC+13: Monday begins on Sunday at 11:00 UTC.
        ("Pacific/Tongatapu", 0, "2026-05-31T11:00:00Z", true),
        ("Pacific/Tongatapu", 0, "2026-05-31T12:00:00Z", false),
        ("UTC", 167, "2026-05-31T23:59:59Z", true),
    ] {
        let unix_s = instant.parse::<jiff::Timestamp>().unwrap().as_second();
        let expected = (!open).then_some((NoBidReason::Daypart, "daypart"));
        check(&only(hour, zone), |r| r.unix_s = unix_s, expected);
    }
}

#[test]
fn of_several_reasons_the_first_in_rank_order_is_reported_with_both_sides() {
    let targeting = Targeting {
        countries: include(&[country("DE")]),
        regions: include(&["de-be"]),
        keywords: include(&["golf"]),
        segments: SegmentRule { any_of: vec![SegmentId(1)], ..SegmentRule::default() },
        ..Targeting::default()
    };
    let mut request = Request::new();
    request.auction.device.geo.country = Country::parse("US");
    let input = MatchInput { targeting: &targeting, fits: &[Fit::Banner(MPU)] };
    let failure = naive::first_failure(&input, &request.facts(), &request.imp, &taxonomy()).unwrap();
    assert_eq!((failure.reason, failure.dimension), (NoBidReason::Geo, "country"));
    assert_eq!((failure.wanted.as_str(), failure.got.as_str()), ("one of DE", "US"));
    request.exchange = ExchangeId(9);
    let targeting = Targeting { exchanges: exclude(&[ExchangeId(9)]), ..targeting };
    let input = MatchInput { targeting: &targeting, fits: &[Fit::Banner(MPU)] };
    let failure = naive::first_failure(&input, &request.facts(), &request.imp, &taxonomy()).unwrap();
    assert_eq!((failure.reason, failure.wanted.as_str()), (NoBidReason::Exchange, "not 9"));
}

#[test]
fn an_unknown_time_zone_names_the_line_item() {
    let daypart = Daypart { hours: HourMask::ALL, time_zone: "Europe/Atlantis".to_owned() };
    let (fine, wrong) = (Targeting::default(), Targeting { daypart: Some(daypart), ..Targeting::default() });
    let inputs = [&fine, &wrong].map(|targeting| MatchInput { targeting, fits: &[Fit::Banner(MPU)] });
    let error = Matcher::compile(&inputs, &taxonomy()).unwrap_err();
    assert!(matches!(error, CompileError::TimeZone { line_item: LineItemIx(1), .. }), "{error}");
    assert!(error.to_string().contains("Europe/Atlantis"), "{error}");
}
