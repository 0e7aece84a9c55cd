//! The account file: what is read, what is refused and how, and that writing loses nothing.

use outbid::model::account::Account;
use outbid::model::exchange::{BillingEvent, ExchangeAuth, HoldLives};
use outbid::model::ids::SegmentId;
use outbid::model::line_item::Flight;
use outbid::model::money::{Cpm, Nanos};
use outbid::model::targeting::{Daypart, HourMask};
use outbid::store::account_file::{self, AccountErrors, Code, Limits, Loaded};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The smallest account that can bid.
const MINIMAL: &str = r#"{
  "exchanges": [{"id": "1", "name": "demo", "price_codec": "plain", "price_unit": "cpm"}],
  "advertisers": [{"id": "1", "name": "Acme", "wallet": "1000.00"}],
  "campaigns": [{"id": "10", "advertiser": "1", "name": "Spring"}],
  "creatives": [{
    "id": "1000", "advertiser": "1", "name": "Banner", "size": "300x250",
    "markup": "<a href=\"{CLICK_URL}\"><img src=\"https://cdn.acme.example/b.png\"></a>",
    "click_url": "https://acme.example/spring", "adomain": ["acme.example"]
  }],
  "line_items": [{
    "id": "100", "campaign": "10", "name": "Everywhere",
    "bid": {"amount": "2.50"}, "creatives": [{"creative": "1000"}]
  }]
}"#;

/// Every field of the format at least once, none at its default.
const RICH: &str = include_str!("rich_account.json");

pub(crate) fn minimal() -> Value {
    serde_json::from_str(MINIMAL).unwrap()
}

pub(crate) fn parse(value: &Value) -> Result<Loaded, AccountErrors> {
    account_file::parse(&value.to_string(), "account.json")
}

/// Puts `value` at `pointer`, whose last step may be a new key or one past the end of a list.
pub(crate) fn set(account: &mut Value, pointer: &str, value: Value) {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    match account.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}")) {
        Value::Object(fields) => {
            fields.insert(last.to_owned(), value);
        }
        Value::Array(items) if last == "-" => items.push(value),
        Value::Array(items) => items[last.parse::<usize>().unwrap()] = value,
        other => panic!("{other} has no fields"),
    }
}

/// Changes the minimal account and expects exactly one error, at `pointer`, with `code` and a text.
pub(crate) fn check(changes: &[(&str, Value)], pointer: &str, code: Code, text: &str) {
    let mut account = minimal();
    for (at, value) in changes {
        set(&mut account, at, value.clone());
    }
    match parse(&account) {
        Err(AccountErrors::Invalid { errors, .. }) => {
            assert_eq!(errors.len(), 1, "{changes:?}: {errors:#?}");
            assert_eq!((errors[0].pointer.as_str(), errors[0].code), (pointer, code), "{errors:#?}");
            assert!(errors[0].message.contains(text), "{text:?} not in {errors:#?}");
        }
        other => panic!("{changes:?} gave {other:?}"),
    }
}

pub(crate) fn one(at: &str, value: Value, code: Code, text: &str) {
    check(&[(at, value)], at, code, text);
}

/// Changes the minimal account and expects one warning at `pointer`.
fn warns(changes: &[(&str, Value)], pointer: &str, text: &str) {
    let mut account = minimal();
    for (at, value) in changes {
        set(&mut account, at, value.clone());
    }
    let warnings = parse(&account).unwrap().warnings;
    assert_eq!(warnings.len(), 1, "{changes:?}: {warnings:#?}");
    assert_eq!(warnings[0].pointer, pointer);
    assert!(warnings[0].message.contains(text), "{text:?} not in {warnings:#?}");
}

pub(crate) fn rewritten(account: &Account) -> Account {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("account.json");
    account_file::write(account, &path).unwrap();
    account_file::read(&path)
        .unwrap_or_else(|why| panic!("{why}\n{}", std::fs::read_to_string(&path).unwrap()))
        .account
}

#[test]
fn the_minimal_account_has_sensible_defaults() {
    let Loaded { account, warnings } = account_file::parse(MINIMAL, "account.json").unwrap();
    assert_eq!(warnings, []);
    let exchange = &account.exchanges[0];
    assert_eq!(exchange.auth, ExchangeAuth::LoopbackOnly);
    assert_eq!((exchange.default_at, exchange.billing_event), (2, BillingEvent::Burl));
    assert_eq!(exchange.holds, HoldLives::default());
    assert_eq!((exchange.max_qps, exchange.max_open_holds), (None, None));
    let item = &account.line_items[0];
    assert_eq!((item.bid, item.max_bid, item.active), (Cpm(2_500_000), Cpm(2_500_000), true));
    assert_eq!(item.creatives[0].weight, 1);
    assert_eq!(account.advertisers[0].wallet, Nanos(1_000_000_000_000));
    assert_eq!(account.advertisers[0].time_zone, "UTC");
    let creative = &account.creatives[0];
    assert_eq!(creative.landing_domains, ["acme.example"]);
    assert_eq!(
        (creative.secure, creative.approvals.any(), creative.banner().unwrap().banner_type, creative.cattax),
        (true, true, 2, 1)
    );
    assert_eq!(rewritten(&account), account);
}

#[test]
fn writing_and_reading_a_rich_account_loses_nothing() {
    let Loaded { account, warnings } =
        account_file::parse(RICH, "rich_account.json").unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(warnings, []);
    assert_eq!(rewritten(&account), account);

    // Nothing of the file was ignored: what is written contains it field by field.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("account.json");
    account_file::write(&account, &path).unwrap();
    let written: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let given: Value = serde_json::from_str(RICH).unwrap();
    assert_eq!(written, given, "{written:#}");
}

#[test]
fn dayparts_are_hours_of_a_week_in_a_zone() {
    let mut account = minimal();
    set(&mut account, "/advertisers/0/time_zone", json!("europe/berlin"));
    set(
        &mut account,
        "/line_items/0/targeting",
        json!({"dayparts": {
            "include": [{"day": "mon", "start": 8, "end": 18}, {"day": "sun", "start": 23, "end": 24}],
            "exclude": [{"day": "mon", "start": 12, "end": 13}]
        }}),
    );
    let account = parse(&account).unwrap().account;
    let Daypart { hours, time_zone } = account.line_items[0].targeting.daypart.clone().unwrap();
    assert_eq!(time_zone, "Europe/Berlin");
    let expected: Vec<usize> = (8..12).chain(13..18).chain([6 * 24 + 23]).collect();
    assert_eq!((0..168).filter(|hour| hours.contains(*hour)).collect::<Vec<_>>(), expected);
    assert_eq!(rewritten(&account), account);
}

#[test]
fn all_errors_are_found_at_once_with_their_places() {
    let mut account = minimal();
    set(&mut account, "/exchanges/0/price_unit", Value::Null);
    set(&mut account, "/exchanges/0/missing_price", json!("free"));
    set(&mut account, "/advertisers/0/wallet", json!("-1"));
    set(&mut account, "/line_items/0/bid", json!({"amount": "4", "max": "3.99"}));
    set(
        &mut account,
        "/line_items/0/targeting",
        json!({
            "countries": {"include": ["US", "XQ"]}, "audience": {"none_of": ["persona.welthy"]},
            "dayparts": {"time_zone": "Mars/Base", "include": [{"day": "monday", "start": 8, "end": 25}]}
        }),
    );
    set(&mut account, "/segments", json!([{"id": "1", "key": "persona.wealthy"}]));
    set(
        &mut account,
        "/campaigns/0/flight",
        json!({"start_at": "2026-03-01T00:00:00Z", "end_at": "2026-03-01T01:00:00+01:00"}),
    );
    let text = parse(&account).unwrap_err().to_string();
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    assert_eq!(lines[0], "account.json has 10 errors:");
    for (line, (pointer, what)) in lines[1..].iter().zip([
        ("/exchanges/0/price_unit: ", "is missing"),
        ("/exchanges/0/missing_price: ", "use one of bid, reject"),
        ("/advertisers/0/wallet: ", "\"-1\" is not an amount"),
        ("/campaigns/0/flight/end_at: ", "is not after start_at"),
        ("/line_items/0/bid/max: ", "3.99 is less than amount (4.00)"),
        ("/line_items/0/targeting/audience/none_of/0: ", "did you mean \"persona.wealthy\"?"),
        ("/line_items/0/targeting/countries/include/1: ", "\"XQ\" is no country"),
        ("/line_items/0/targeting/dayparts/time_zone: ", "\"Mars/Base\" is no time zone"),
        ("/line_items/0/targeting/dayparts/include/0/day: ", "\"monday\" is no day"),
        ("/line_items/0/targeting/dayparts/include/0/end: ", "25 is out of range"),
    ]) {
        assert!(line.starts_with(pointer) && line.contains(what), "{pointer}{what} not in\n{text}");
    }
}

#[test]
fn json_that_cannot_be_read_says_where_and_what_was_meant() {
    for (text, expected) in [
        (
            "{\"line_items\": [\n  {\"inlcude\": 1}]}",
            "account.json:2:12: unknown field \"inlcude\", expected",
        ),
        (
            "{\n\"line_itmes\": []}",
            "account.json:2:12: unknown field \"line_itmes\"; did you mean \"line_items\"?",
        ),
        (
            "{\"line_items\": [{\"id\": 12}]}",
            "account.json:1:25: invalid type: integer `12`, expected a number in quotes",
        ),
        ("{\"campaigns\": [}", "account.json:1:16: expected value"),
        ("{\"campaigns\": [], \"campaigns\": []}", "account.json:1:29: duplicate field `campaigns`"),
        ("", "account.json:1:0: EOF while parsing a value"),
    ] {
        let found = account_file::parse(text, "account.json").unwrap_err().to_string().replace('`', "\"");
        assert!(found.starts_with(&expected.replace('`', "\"")), "{expected}\n{found}");
    }
}

#[test]
fn money_is_exact_or_refused() {
    use Code::{Malformed, OutOfRange};
    one("/advertisers/0/wallet", json!("0.0000000001"), Malformed, "at most 9 decimals");
    one("/advertisers/0/wallet", json!("9223372036.854775808"), OutOfRange, "at most 9223372036");
    one("/advertisers/0/wallet", json!("1e400"), OutOfRange, "is not an amount");
    one("/advertisers/0/data_fee", json!("0.0000001"), Malformed, "at most 6 decimals");
    one("/advertisers/0/platform_share", json!("1.01"), Malformed, "from 0 to 1");
    one("/line_items/0/bid/amount", json!("NaN"), Malformed, "a price per thousand");
    one("/line_items/0/bid/amount", json!("1000000.01"), OutOfRange, "at most 1000000");
    one("/line_items/0/bid/amount", json!("0"), OutOfRange, "never wins");
    let budget = [("/line_items/0/budget", json!({"daily": "ten"}))];
    check(&budget, "/line_items/0/budget/daily", Malformed, "is not an amount");
    let factor = [("/line_items/0/multipliers", json!({"countries": [{"value": "US", "factor": "-1"}]}))];
    check(&factor, "/line_items/0/multipliers/countries/0/factor", Malformed, "from 0 to 100");
}

#[test]
fn a_currency_needs_a_rate() {
    let rates = |value| [("/rates", value), ("/advertisers/0/currency", json!("EUR"))];
    let unknown = [("/advertisers/0/currency", json!("EUR"))];
    check(&unknown, "/advertisers/0/currency", Code::UnknownReference, "EUR has no rate");
    let nothing =
        rates(json!({"others": [{"currency": "EUR", "rate": "0"}, {"currency": "EUR", "rate": "1.08"}]}));
    check(&nothing, "/rates/others/0/rate", Code::OutOfRange, "more than nothing");
    let twice =
        rates(json!({"others": [{"currency": "EUR", "rate": "1.08"}, {"currency": "eur", "rate": "1.1"}]}));
    check(&twice, "/rates/others/1/currency", Code::Duplicate, "has a rate already");
    one("/exchanges/0/currency", json!("US$"), Code::Malformed, "three letters");
}

#[test]
fn references_resolve_and_ids_are_unique() {
    use Code::{Duplicate, Malformed, UnknownReference};
    one("/campaigns/0/advertiser", json!("2"), UnknownReference, "there is no advertiser 2");
    one("/line_items/0/campaign", json!("11"), UnknownReference, "there is no campaign 11");
    one("/line_items/0/campaign", json!("010"), Malformed, "is no id");
    one("/line_items/0/campaign", json!("4294967296"), Malformed, "is no id");
    one("/exchanges/0/id", json!("16384"), Malformed, "from 0 to 16383");
    let creatives = [("/line_items/0/creatives", json!([{"creative": "1000"}, {"creative": "1000"}]))];
    check(&creatives, "/line_items/0/creatives/1/creative", Duplicate, "assigned already");
    let elsewhere = [
        ("/advertisers/-", json!({"id": "2", "name": "Other", "wallet": "1"})),
        ("/creatives/0/advertiser", json!("2")),
    ];
    check(
        &elsewhere,
        "/line_items/0/creatives/0/creative",
        UnknownReference,
        "is of advertiser 2, the line item of 1",
    );
    let exchange = json!({"id": "2", "name": "demo", "price_codec": "plain", "price_unit": "cpm"});
    check(&[("/exchanges/-", exchange)], "/exchanges/1/name", Duplicate, "already the name of /exchanges/0");
    let campaign = json!({"id": "10", "advertiser": "1", "name": "Again"});
    check(&[("/campaigns/-", campaign)], "/campaigns/1/id", Duplicate, "already the id of /campaigns/0");
    let exchanges = [("/line_items/0/targeting", json!({"exchanges": {"exclude": ["demos"]}}))];
    check(
        &exchanges,
        "/line_items/0/targeting/exchanges/exclude/0",
        UnknownReference,
        "did you mean \"demo\"?",
    );
}

#[test]
fn segments_form_trees() {
    let segments = |list: Value| [("/segments", list)];
    let circle = segments(json!([
        {"id": "1", "key": "a"}, {"id": "2", "key": "b", "parent": "c"}, {"id": "3", "key": "c", "parent": "b"}
    ]));
    check(&circle, "/segments/1/parent", Code::Conflict, "round in a circle");
    let orphan = segments(json!([{"id": "1", "key": "a", "parent": "nobody"}]));
    check(&orphan, "/segments/0/parent", Code::UnknownReference, "there is no segment \"nobody\"");
    let twice = segments(json!([{"id": "1", "key": "a"}, {"id": "2", "key": "a"}]));
    check(&twice, "/segments/1/key", Code::Duplicate, "already the key of /segments/0");
    let huge = segments(json!([{"id": "16777216", "key": "a"}]));
    check(&huge, "/segments/0/id", Code::Malformed, "from 0 to 16777215");

    let mut account = minimal();
    set(
        &mut account,
        "/segments",
        json!([{"id": "7", "key": "leaf", "parent": "root"}, {"id": "3", "key": "root"}]),
    );
    let read = parse(&account).unwrap().account;
    assert_eq!(read.segments[0].parent, Some(SegmentId(3)), "a parent may come after its child");
}

#[test]
fn a_click_lands_where_it_may() {
    use Code::{Conflict, Malformed};
    for url in [
        "javascript:alert(1)",
        "//evil.example",
        "https:evil.example",
        "https://a@acme.example/",
        "https://acme.example\\@x/",
        "https://acme.example/\r\nX: y",
        "https:///acme.example",
        "ftp://acme.example",
        "https://acme.example:0/",
        "acme.example",
    ] {
        one("/creatives/0/click_url", json!(url), Malformed, "");
    }
    let domains = [("/creatives/0/landing_domains", json!(["www.acme.example", "example"]))];
    check(&domains, "/creatives/0/click_url", Conflict, "\"acme.example\" is not among landing_domains");
    let domains = [("/creatives/0/landing_domains", json!(["acme.example", "https://acme.example"]))];
    check(&domains, "/creatives/0/landing_domains/1", Malformed, "is no domain");
    one("/creatives/0/adomain", json!([]), Code::Missing, "advertiser's domain");
    let plain = [
        ("/creatives/0/markup", json!("<img src='HTTP://x.example/'>")),
        ("/creatives/0/secure", json!(true)),
    ];
    check(&plain, "/creatives/0/secure", Conflict, "http:// URL");
}

#[test]
fn creatives_are_checked_for_size_and_kind() {
    for size in ["300", "300x", "0x250", "300x32768", "300 x 250", "+300x250", "300x250x1"] {
        one("/creatives/0/size", json!(size), Code::Malformed, "is no size");
    }
    one("/creatives/0/format", json!("vidoe"), Code::Malformed, "did you mean \"video\"?");
    one("/creatives/0/banner_type", json!(5), Code::OutOfRange, "from 1 to 4");
    one("/creatives/0/approval", json!("yes"), Code::Malformed, "approved, pending, rejected");
    one("/creatives/0/language", json!("english"), Code::Malformed, "ISO 639-1");
    let weight = [("/line_items/0/creatives/0/weight", json!(0))];
    check(&weight, "/line_items/0/creatives/0/weight", Code::OutOfRange, "from 1");
}

#[test]
fn caps_say_how_often_in_which_time() {
    let at = |path: &str| format!("/line_items/0/frequency{path}");
    let with = |value: Value| vec![("/line_items/0/frequency", value)];
    let cap = |cap: Value| with(json!({ "caps": [cap] }));
    check(&cap(json!({})), &at("/caps/0/max"), Code::Missing, "is missing");
    check(&cap(json!({ "max": 0 })), &at("/caps/0/max"), Code::OutOfRange, "from 1");
    let many = cap(json!({ "max": 101, "per": { "unit": "hour" } }));
    check(&many, &at("/caps/0/max"), Code::OutOfRange, "more than 100");
    let long = cap(json!({ "max": 1, "per": { "unit": "week", "count": 13 } }));
    check(&long, &at("/caps/0/per/count"), Code::OutOfRange, "longer than 90 days");
    let unit = cap(json!({ "max": 1, "per": { "unit": "days" } }));
    check(&unit, &at("/caps/0/per/unit"), Code::Malformed, "did you mean \"day\"?");
    let uncounted = cap(json!({ "max": 1, "per": { "count": 2 } }));
    check(&uncounted, &at("/caps/0/per/count"), Code::Conflict, "a lifetime is not counted");
    let five = with(json!({ "caps": vec![json!({ "max": 1 }); 5] }));
    check(&five, &at("/caps"), Code::OutOfRange, "more than 4");
    check(&with(json!({ "min_gap_s": -1 })), &at("/min_gap_s"), Code::OutOfRange, "from 0");
    check(&with(json!({ "unknown_users": "ask" })), &at("/unknown_users"), Code::Malformed, "skip, serve");
}

#[test]
fn names_that_are_not_known_are_refused() {
    one("/line_items/0/bid/strategy", json!("cheap"), Code::Malformed, "use one of fixed_cpm, max_cpm");
    let status = [("/line_items/0/status", json!("on"))];
    check(&status, "/line_items/0/status", Code::Malformed, "draft, active, paused, archived");
}

#[test]
fn targeting_values_that_can_never_match_are_refused() {
    for (dimension, value) in [
        ("sizes", json!("300*250")),
        ("regions", json!("CA")),
        ("languages", json!("english")),
        ("domains", json!("https://example.com")),
        ("deals", json!(" ")),
        ("keywords", json!("")),
        ("categories", json!({"id": "2"})),
        ("formats", json!("popup")),
        ("device_types", json!(9)),
        ("placement/positions", json!(8)),
        ("placement/video_placements", json!(0)),
        ("placement/starts", json!("preroll")),
    ] {
        let mut account = minimal();
        let rule = json!({"include": [value]});
        let targeting = match dimension.split_once('/') {
            Some((part, dimension)) => json!({part: {dimension: rule}}),
            None => json!({dimension: rule}),
        };
        set(&mut account, "/line_items/0/targeting", targeting);
        let AccountErrors::Invalid { errors, .. } = parse(&account).unwrap_err() else {
            panic!("{dimension}")
        };
        let expected = format!("/line_items/0/targeting/{dimension}/include/0");
        assert!(errors.len() == 1 && errors[0].pointer.starts_with(&expected), "{errors:#?}");
    }
}

#[test]
fn what_is_odd_but_allowed_comes_back_as_a_warning() {
    warns(&[("/line_items/0/creatives", json!([]))], "/line_items/0/creatives", "cannot serve");
    warns(
        &[("/exchanges/0/billing_event", json!("nurl"))],
        "/exchanges/0/billing_event",
        "not an impression",
    );
    let factor = json!({"countries": [{"value": "US", "factor": "1.5"}]});
    warns(&[("/line_items/0/multipliers", factor)], "/line_items/0/multipliers", "no effect");
    let again = json!({"id": "11", "advertiser": "1", "name": "Spring"});
    warns(&[("/campaigns/-", again)], "/campaigns/1/name", "also the name of /campaigns/0");
    let never = json!({"dayparts": {"exclude": [
        {"day": "mon", "start": 0, "end": 24}, {"day": "tue", "start": 0, "end": 24}, {"day": "wed", "start": 0, "end": 24},
        {"day": "thu", "start": 0, "end": 24}, {"day": "fri", "start": 0, "end": 24}, {"day": "sat", "start": 0, "end": 24},
        {"day": "sun", "start": 0, "end": 24}
    ]}});
    warns(&[("/line_items/0/targeting", never)], "/line_items/0/targeting/dayparts/include", "never serves");
}

#[test]
fn an_account_over_its_limits_is_refused() {
    let limits = Limits { line_items: 1, segments: 0 };
    assert!(account_file::parse_within(MINIMAL, "a", limits).is_ok());
    let limits = Limits { line_items: 0, ..limits };
    let text = account_file::parse_within(MINIMAL, "a", limits).unwrap_err().to_string();
    assert!(text.contains("/line_items: has 1 entries; at most 0"), "{text}");
}

#[test]
fn a_long_list_of_errors_is_shortened_for_people_only() {
    let mut account = minimal();
    let item = json!({"id": "x", "campaign": "10", "name": "n", "status": "paused", "bid": {"amount": "1"}});
    set(&mut account, "/line_items", Value::Array(vec![item; 250]));
    let error = parse(&account).unwrap_err();
    assert!(error.to_string().ends_with("… and 150 more"), "{error}");
    assert!(matches!(error, AccountErrors::Invalid { errors, .. } if errors.len() == 250));
}

#[test]
fn files_that_cannot_be_read_or_written_are_named() {
    let account = account_file::parse(MINIMAL, "a").unwrap().account;
    let missing = std::path::Path::new("/nonexistent/account.json");
    let text = account_file::read(missing).unwrap_err().to_string();
    assert!(text.starts_with("cannot read the account file /nonexistent/account.json: "), "{text}");
    let text = account_file::write(&account, missing).unwrap_err().to_string();
    assert!(text.starts_with("cannot write the account file /nonexistent/account.json: "), "{text}");
}

#[test]
fn an_account_that_contradicts_itself_is_not_written() {
    let mut account = account_file::parse(MINIMAL, "a").unwrap().account;
    account.line_items[0].targeting.segments.all_of = vec![SegmentId(5)];
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("account.json");
    let text = account_file::write(&account, &path).unwrap_err().to_string();
    assert!(text.ends_with("there is no segment 5"), "{text}");
    assert!(!path.exists());
}

#[test]
fn the_written_file_is_private_because_it_holds_secrets() {
    use std::os::unix::fs::PermissionsExt;
    let account = account_file::parse(MINIMAL, "a").unwrap().account;
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("account.json");
    account_file::write(&account, &path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 1, "nothing is left beside it");
}

/// The text of an account with `count` line items of a usual shape.
fn account_of(count: u32) -> String {
    let mut account = minimal();
    set(
        &mut account,
        "/segments",
        json!([{"id": "1", "key": "car.buyers"}, {"id": "2", "key": "converted"}]),
    );
    let items = (0..count).map(|index| {
        json!({
            "id": index.to_string(), "campaign": "10", "name": format!("line item {index}"),
            "bid": {"strategy": "fixed_cpm", "amount": "2.50", "max": "4.00"},
            "budget": {"lifetime": "40000.00", "daily": "600.25"},
            "flight": {"start_at": "2026-03-01T00:00:00Z", "end_at": "2026-06-01T00:00:00Z"},
            "targeting": {
                "countries": {"include": ["DE", "AT"]}, "device_types": {"include": [4, 5]},
                "domains": {"exclude": ["bad.example"]},
                "audience": {"any_of": ["car.buyers"], "none_of": ["converted"]},
                "dayparts": {"include": [{"day": "mon", "start": 8, "end": 18}, {"day": "tue", "start": 8, "end": 18}]}
            },
            "multipliers": {"countries": [{"value": "AT", "factor": "1.2"}]},
            "creatives": [{"creative": "1000"}]
        })
    });
    set(&mut account, "/line_items", items.collect());
    account.to_string()
}

/// The bound is generous, because this is a debug build on a shared machine; see the figure it prints.
#[test]
fn a_large_account_loads_in_well_under_a_few_seconds() {
    use outbid::model::clock::Clock;
    let text = account_of(20_000);
    let clock = outbid::telemetry::clock::SystemClock::new();
    let start_ns = clock.mono_ns();
    let loaded = account_file::parse(&text, "large.json").unwrap();
    let took_ms = (clock.mono_ns() - start_ns) / 1_000_000;
    eprintln!("20,000 line items, {} KB: read in {took_ms} ms", text.len() / 1_000);
    assert_eq!((loaded.account.line_items.len(), loaded.warnings.len()), (20_000, 0));
    assert!(took_ms < 5_000, "{took_ms} ms");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_amount_hour_and_moment_survives_writing(
        bid in 1i64..=Cpm::MAX.0,
        extra in 0i64..1_000_000,
        budget in prop::option::of(0i64..=i64::MAX),
        hours in any::<[u64; 3]>(),
        factor in 0i64..=100_000_000,
        start in -60_000_000_000_000i64..200_000_000_000_000,
        name in "[^\\p{C}]{0,40}[A-Za-z]",
    ) {
        let mut account = account_file::parse(MINIMAL, "a").unwrap().account;
        let item = &mut account.line_items[0];
        item.name = name;
        item.bid = Cpm(bid);
        item.max_bid = Cpm((bid + extra).min(Cpm::MAX.0));
        item.budget.daily = budget.map(Nanos);
        item.flight = Flight { start_ms: Some(start), end_ms: Some(start + 1) };
        let hours = HourMask(std::array::from_fn(|word| hours[word] & HourMask::ALL.0[word]));
        item.targeting.daypart = Some(Daypart { hours, time_zone: "Australia/Lord_Howe".to_owned() });
        item.multipliers.hours = vec![(hours, factor)];
        prop_assert_eq!(rewritten(&account), account);
    }
}
