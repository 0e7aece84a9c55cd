//! What people configure of behaviour: rules, interests and customers of segments, names that others have for segments,
//! and pixels; through the account file and through the editor that changes an account entry by entry.

use super::account_file::{check, minimal, one, parse, set};
use outbid::model::behaviour::{Customers, Interest, MAX_COUNT, Source, Tier};
use outbid::model::ids::{AdvertiserId, ConversionId, PixelId, SegmentId};
use outbid::model::secret::Key256;
use outbid::model::taxonomy::ExternalSegment;
use outbid::store::account_file::{Code, Editor, Entry, Finding, Part};
use serde_json::{Value, json};

/// The minimal account with something of everything that a rule refers to, and a second advertiser.
const THINGS: [&str; 4] = ["/advertisers/-", "/conversions", "/pixels", "/segments"];

fn things() -> Vec<(&'static str, Value)> {
    let second = json!({ "id": "2", "name": "Second", "wallet": "0" });
    let conversions = json!([
        { "id": "1", "advertiser": "1", "name": "Order" }, { "id": "2", "advertiser": "2", "name": "Order" },
    ]);
    let pixels = json!([
        { "id": "1", "advertiser": "1", "name": "Shop", "origins": ["https://shop.example"] },
        { "id": "2", "advertiser": "2", "name": "Shop", "origins": ["https://other.example"] },
    ]);
    let segments = json!([{ "id": "1", "key": "shoes" }, { "id": "2", "key": "health", "sensitive": true }]);
    THINGS.into_iter().zip([second, conversions, pixels, segments]).collect()
}

fn with(more: &[(&'static str, Value)]) -> Vec<(&'static str, Value)> {
    things().into_iter().chain(more.iter().cloned()).collect()
}

fn source(member: &str, value: Value) -> Source {
    let mut account = minimal();
    for (at, value) in things() {
        set(&mut account, at, value);
    }
    set(&mut account, "/segments/-", json!({ "id": "9", "key": "buyers", (member): value }));
    parse(&account).unwrap_or_else(|why| panic!("{why}")).account.segments.pop().unwrap().source
}

/// A segment with this member has one error at `pointer` below it.
fn refused(member: &str, value: Value, pointer: &str, code: Code, text: &str) {
    let segment = json!({ "id": "9", "key": "buyers", (member): value });
    check(&with(&[("/segments/-", segment)]), &format!("/segments/2/{member}{pointer}"), code, text);
}

#[test]
fn a_rule_says_whose_events_count_and_has_defaults_for_the_rest() {
    let Source::Rule(rule) = source("rule", json!({ "advertiser_ids": ["2", "1"] })) else { panic!() };
    assert_eq!(rule.filter.advertisers, [AdvertiserId(1), AdvertiserId(2)]);
    assert_eq!((rule.at_least, rule.within_s, rule.filter.min_value), (1, 30 * 86_400, None));
    let whole = json!({
        "advertiser_ids": ["1"], "pixel_ids": ["1"], "conversion_ids": ["1"], "categories": ["shoes", "buyers"],
        "keywords": ["  Running   SHOES ", "running shoes"], "names": ["Newsletter"], "within_s": 60, "at_least": 16,
    });
    let Source::Rule(rule) = source("rule", whole) else { panic!() };
    let filter = rule.filter;
    assert_eq!((filter.pixels, filter.conversions), (vec![PixelId(1)], vec![ConversionId(1)]));
    assert_eq!(filter.categories, [SegmentId(1), SegmentId(9)]);
    assert_eq!(
        (filter.keywords, filter.names),
        (vec!["running shoes".to_owned()], vec!["newsletter".to_owned()])
    );
    assert_eq!((rule.at_least, rule.within_s), (MAX_COUNT, 60));
}

#[test]
fn what_a_rule_names_must_be_there_and_of_its_advertisers() {
    refused("rule", json!({}), "/advertiser_ids", Code::Missing, "whose events");
    refused("rule", json!({ "advertiser_ids": ["7"] }), "/advertiser_ids/0", Code::UnknownReference, "7");
    refused("rule", json!({ "advertiser_ids": ["1", "1"] }), "/advertiser_ids/1", Code::Duplicate, "once");
    let of_one = |more: Value| {
        let mut rule = json!({ "advertiser_ids": ["1"] });
        rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        rule
    };
    let check =
        |more: Value, pointer: &str, code, text: &str| refused("rule", of_one(more), pointer, code, text);
    check(json!({ "pixel_ids": ["2"] }), "/pixel_ids/0", Code::UnknownReference, "of advertiser 2");
    check(json!({ "conversion_ids": ["2"] }), "/conversion_ids/0", Code::UnknownReference, "of advertiser 2");
    check(json!({ "conversion_ids": ["3"] }), "/conversion_ids/0", Code::UnknownReference, "no conversion 3");
    check(
        json!({ "categories": ["shoe"] }),
        "/categories/0",
        Code::UnknownReference,
        "did you mean \"shoes\"",
    );
    check(json!({ "actions": ["buy"] }), "/actions/0", Code::Malformed, "purchase");
    check(json!({ "at_least": 17 }), "/at_least", Code::OutOfRange, "16");
    check(json!({ "within_s": 59 }), "/within_s", Code::OutOfRange, "60");
    check(json!({ "keywords": [" "] }), "/keywords/0", Code::Malformed, "1 to 255");
    check(json!({ "min_value": "-1" }), "/min_value", Code::Malformed, "not negative");
}

#[test]
fn an_interest_has_exact_weights_and_a_threshold_that_can_be_met() {
    let interest =
        json!({ "advertiser_ids": ["1"], "threshold": "4.5", "weights": { "cart": "0.001", "view": "0" } });
    let expected = Interest {
        advertisers: vec![AdvertiserId(1)],
        half_life_s: 7 * 86_400,
        threshold_milli: 4_500,
        weights_milli: [0, 3_000, 1, 0, 1_000, 1_000],
    };
    assert_eq!(source("interest", interest), Source::Interest(expected));
    let check = |threshold: &str, code, text: &str| {
        let interest = json!({ "advertiser_ids": ["1"], "threshold": threshold });
        refused("interest", interest, "/threshold", code, text);
    };
    check("0", Code::OutOfRange, "everybody");
    check("1.0001", Code::Malformed, "3 decimals");
    check("1000000.001", Code::Malformed, "1000000");
    check("many", Code::Malformed, "many");
    let none = json!({ "view": "0", "search": "0", "cart": "0", "conversion": "0", "custom": "0.000" });
    let interest = json!({ "advertiser_ids": ["1"], "threshold": "1", "weights": none });
    refused("interest", interest, "/weights", Code::Conflict, "nobody");
}

#[test]
fn customers_are_lost_later_than_they_are_recent() {
    let of = |advertiser, tier, recent: u32, lost: u32| {
        Source::Customers(Customers { advertiser, tier, recent_s: recent * 86_400, lost_s: lost * 86_400 })
    };
    let found = source("customers", json!({ "advertiser_id": "2", "tier": "loyal" }));
    assert_eq!(found, of(AdvertiserId(2), Tier::Loyal, 90, 365));
    let found = source(
        "customers",
        json!({ "advertiser_id": "1", "tier": "lost", "recent_days": 1, "lost_days": 2 }),
    );
    assert_eq!(found, of(AdvertiserId(1), Tier::Lost, 1, 2));
    let same = json!({ "advertiser_id": "1", "tier": "new", "recent_days": 365 });
    refused("customers", same, "/lost_days", Code::Conflict, "not more than recent_days (365)");
    refused("customers", json!({ "tier": "new" }), "/advertiser_id", Code::Missing, "add it");
    refused("customers", json!({ "advertiser_id": "1" }), "/tier", Code::Missing, "add it");
    let unknown = json!({ "advertiser_id": "1", "tier": "vip" });
    refused("customers", unknown, "/tier", Code::Malformed, "lapsing");
}

#[test]
fn a_segment_has_one_source_and_a_sensitive_one_has_none() {
    let rule = json!({ "advertiser_ids": ["1"] });
    let both = json!({
        "id": "9", "key": "buyers", "rule": rule, "customers": { "advertiser_id": "1", "tier": "new" },
    });
    check(&with(&[("/segments/-", both)]), "/segments/2/customers", Code::Conflict, "beside rule");
    let own = json!({ "id": "9", "key": "buyers", "rule": rule, "sensitive": true });
    check(&with(&[("/segments/-", own)]), "/segments/2/rule", Code::Conflict, "consent");
    // Whatever is above it counts, also where it stands behind it in the file.
    let below = json!({ "id": "9", "key": "a", "parent": "b", "rule": rule });
    let between = json!({ "id": "10", "key": "b", "parent": "health" });
    let changes = with(&[("/segments/-", below), ("/segments/-", between)]);
    check(&changes, "/segments/2/rule", Code::Conflict, "consent");
}

#[test]
fn a_name_that_others_have_means_one_segment() {
    let names = |names: Value| json!({ "id": "9", "key": "buyers", "external": names });
    let four = json!({ "segtax": 4, "id": "607" });
    let mine = json!({ "segtax": 4, "provider": "data.example", "id": "607" });
    let mut account = minimal();
    for (at, value) in with(&[("/segments/-", names(json!([four, mine])))]) {
        set(&mut account, at, value);
    }
    let read = parse(&account).unwrap().account.segments.pop().unwrap().external;
    let expected = |provider: Option<&str>| ExternalSegment {
        segtax: 4,
        provider: provider.map(str::to_owned),
        id: "607".to_owned(),
    };
    assert_eq!(read, [expected(None), expected(Some("data.example"))]);
    let other = json!({ "id": "10", "key": "other", "external": [mine] });
    let both = with(&[("/segments/-", names(json!([four, mine]))), ("/segments/-", other)]);
    check(&both, "/segments/3/external/0/id", Code::Duplicate, "means segment 9");
    let twice = with(&[("/segments/-", names(json!([four, four])))]);
    check(&twice, "/segments/2/external/1/id", Code::Duplicate, "once");
    let none = with(&[("/segments/-", names(json!([{ "segtax": 0, "id": "1" }])))]);
    check(&none, "/segments/2/external/0/segtax", Code::OutOfRange, "from 1");
}

#[test]
fn a_pixel_takes_events_from_origins_and_signed_ones_with_its_secret() {
    let check = |origin: &str, expected: Option<&str>| {
        let pixel = json!({ "id": "3", "advertiser": "1", "name": "Shop", "origins": [origin] });
        let Some(expected) = expected else {
            return one("/pixels", json!([pixel]), Code::Malformed, "is no origin");
        };
        let mut account = minimal();
        set(&mut account, "/pixels", json!([pixel]));
        assert_eq!(parse(&account).unwrap().account.pixels[0].origins, [expected], "{origin}");
    };
    check("https://Shop.Example", Some("https://shop.example"));
    check("https://shop.example:443/", Some("https://shop.example"));
    check("https://shop.example:8443", Some("https://shop.example:8443"));
    check("http://localhost:8080", Some("http://localhost:8080"));
    check("http://127.0.0.1:80", Some("http://127.0.0.1"));
    check("http://[::1]:8080", Some("http://[::1]:8080"));
}

#[test]
fn what_is_no_origin_or_no_secret_is_refused_and_never_repeated() {
    for origin in
        ["http://shop.example", "https://shop.example/a", "https://shop.example?x", "shop.example", "*"]
    {
        let pixel = json!({ "id": "3", "advertiser": "1", "name": "Shop", "origins": [origin] });
        check(&[("/pixels", json!([pixel]))], "/pixels/0/origins/0", Code::Malformed, "is no origin");
    }
    let of = |secret: &str| json!([{ "id": "3", "advertiser": "1", "name": "Shop", "secret": secret }]);
    let hex = "00ff".repeat(16);
    let bytes: Vec<u8> = [0, 255].repeat(16);
    for secret in [
        hex.as_str(),
        &hex.to_uppercase(),
        "AP8A_wD_AP8A_wD_AP8A_wD_AP8A_wD_AP8A_wD_AP8",
        "AP8A/wD/AP8A/wD/AP8A/wD/AP8A/wD/AP8A/wD/AP8=",
    ] {
        let mut account = minimal();
        set(&mut account, "/pixels", of(secret));
        let read = parse(&account).unwrap_or_else(|why| panic!("{secret}: {why}")).account;
        assert_eq!(read.pixels[0].secret.as_ref().map(|key| key.0.to_vec()), Some(bytes.clone()));
        assert_eq!(format!("{:?}", read.pixels[0].secret), "Some(********)");
    }
    for secret in ["", "********", "short-Secret", &hex[2..], &"+f".repeat(32), &"é".repeat(32)] {
        check(&[("/pixels", of(secret))], "/pixels/0/secret", Code::Malformed, "openssl rand -hex 32");
    }
    let key = Key256([7; 32]);
    assert_eq!(format!("{key:?}"), "********");
}

fn put(editor: &mut Editor, part: Part, id: u32, doc: Value) -> Result<(), Vec<Finding>> {
    put_as(editor, part, id, doc, true)
}

fn put_as(
    editor: &mut Editor,
    part: Part,
    id: u32,
    mut doc: Value,
    serves: bool,
) -> Result<(), Vec<Finding>> {
    doc["id"] = id.to_string().into();
    editor.put(&Entry { part, tenant: 1, id, doc: &doc.to_string(), serves }).map(drop)
}

#[track_caller]
fn refusal(put: Result<(), Vec<Finding>>, pointer: &str, text: &str) {
    let errors = put.unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert_eq!(errors[0].pointer, pointer, "{errors:#?}");
    assert!(errors[0].message.contains(text), "{errors:#?}");
}

#[test]
fn nodes_move_between_parents_and_never_round_in_a_circle() {
    let mut editor = Editor::default();
    for (id, parent) in [(1, None), (2, Some("s1")), (3, Some("s2")), (4, None)] {
        put(&mut editor, Part::Segment, id, json!({ "key": format!("s{id}"), "parent": parent })).unwrap();
    }
    put(&mut editor, Part::Segment, 2, json!({ "key": "s2", "parent": "s4" })).unwrap();
    let parents = |editor: &Editor| {
        editor.account().segments.iter().map(|segment| segment.parent.map(|id| id.0)).collect::<Vec<_>>()
    };
    assert_eq!(parents(&editor), [None, Some(4), Some(2), None]);
    refusal(put(&mut editor, Part::Segment, 4, json!({ "key": "s4", "parent": "s3" })), "/parent", "circle");
    assert_eq!(parents(&editor), [None, Some(4), Some(2), None]);
}

#[test]
fn a_segment_becomes_sensitive_only_where_nothing_below_it_is_filled_by_behaviour() {
    let mut editor = Editor::default();
    put(&mut editor, Part::Advertiser, 1, json!({ "name": "A", "wallet": "0" })).unwrap();
    let rule = json!({ "advertiser_ids": ["1"] });
    put(&mut editor, Part::Segment, 1, json!({ "key": "top" })).unwrap();
    put(&mut editor, Part::Segment, 2, json!({ "key": "middle", "parent": "top" })).unwrap();
    put(&mut editor, Part::Segment, 3, json!({ "key": "low", "parent": "middle", "rule": rule })).unwrap();
    put(&mut editor, Part::Segment, 4, json!({ "key": "health", "sensitive": true })).unwrap();
    let sensitive = json!({ "key": "top", "sensitive": true });
    refusal(put(&mut editor, Part::Segment, 1, sensitive.clone()), "/sensitive", "\"low\"");
    let moved = json!({ "key": "middle", "parent": "health" });
    refusal(put(&mut editor, Part::Segment, 2, moved), "/sensitive", "\"low\"");
    let moved = json!({ "key": "low", "parent": "health", "rule": rule });
    refusal(put(&mut editor, Part::Segment, 3, moved), "/rule", "consent");
    let both = json!({ "key": "low", "parent": "middle", "rule": rule, "sensitive": true });
    refusal(put(&mut editor, Part::Segment, 3, both), "/rule", "consent");
    put(&mut editor, Part::Segment, 3, json!({ "key": "low", "parent": "middle" })).unwrap();
    put(&mut editor, Part::Segment, 1, sensitive).unwrap();
    refusal(
        put(&mut editor, Part::Segment, 3, json!({ "key": "low", "parent": "middle", "rule": rule })),
        "/rule",
        "consent",
    );
}

#[test]
fn names_are_free_again_when_their_segment_lets_go_or_is_archived() {
    let mut editor = Editor::default();
    let named = |key: &str| json!({ "key": key, "external": [{ "segtax": 4, "id": "7" }] });
    put(&mut editor, Part::Segment, 1, named("a")).unwrap();
    put(&mut editor, Part::Segment, 1, named("a")).unwrap();
    refusal(put(&mut editor, Part::Segment, 2, named("b")), "/external/0/id", "segment 1");
    // What was refused has taken nothing.
    refusal(put(&mut editor, Part::Segment, 3, named("c")), "/external/0/id", "segment 1");
    put_as(&mut editor, Part::Segment, 1, named("a"), false).unwrap();
    put(&mut editor, Part::Segment, 2, named("b")).unwrap();
    assert_eq!(editor.account().segments[0].external, []);
    put(&mut editor, Part::Segment, 2, json!({ "key": "b" })).unwrap();
    put(&mut editor, Part::Segment, 3, named("c")).unwrap();
}

#[test]
fn what_rules_use_is_known_and_what_is_archived_no_longer_fills() {
    let mut editor = Editor::default();
    put(&mut editor, Part::Advertiser, 1, json!({ "name": "A", "wallet": "0" })).unwrap();
    let pixel = |advertiser: &str| json!({ "name": "Shop", "advertiser": advertiser, "origins": ["https://a.example"] });
    put(&mut editor, Part::Pixel, 5, pixel("1")).unwrap();
    put(&mut editor, Part::Advertiser, 2, json!({ "name": "B", "wallet": "0" })).unwrap();
    refusal(put(&mut editor, Part::Pixel, 5, pixel("2")), "/advertiser", "cannot change");
    let rule = json!({ "advertiser_ids": ["1"], "pixel_ids": ["5"], "categories": ["self"] });
    let segment = json!({ "key": "self", "rule": rule });
    put(&mut editor, Part::Segment, 1, segment.clone()).unwrap();
    assert_eq!(editor.users(Part::Pixel, 5), [(Part::Segment, 1)]);
    assert_eq!(editor.users(Part::Segment, 1), []);
    put_as(&mut editor, Part::Segment, 1, segment, false).unwrap();
    assert_eq!(editor.users(Part::Pixel, 5), []);
    assert_eq!(editor.account().segments[0].source, Source::Listed);
    put_as(&mut editor, Part::Pixel, 5, pixel("1"), false).unwrap();
    assert_eq!(editor.account().pixels, []);
}

#[test]
fn rules_may_name_segments_that_come() {
    let mut editor = Editor::default();
    put(&mut editor, Part::Advertiser, 1, json!({ "name": "A", "wallet": "0" })).unwrap();
    let rule =
        |key: &str, of: &str| json!({ "key": key, "rule": { "advertiser_ids": ["1"], "categories": [of] } });
    refusal(put(&mut editor, Part::Segment, 1, rule("a", "b")), "/rule/categories/0", "no segment \"b\"");
    let coming = [("a", 1), ("b", 2)].map(|(key, id)| (key.to_owned(), SegmentId(id)));
    editor.expect_segments(1, coming.into());
    put(&mut editor, Part::Segment, 1, rule("a", "b")).unwrap();
    put(&mut editor, Part::Segment, 2, rule("b", "a")).unwrap();
    editor.expect_segments(1, [].into());
    put(&mut editor, Part::Segment, 1, rule("a", "b")).unwrap();
    refusal(put(&mut editor, Part::Segment, 3, rule("c", "d")), "/rule/categories/0", "no segment \"d\"");
}
