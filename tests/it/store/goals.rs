//! What line items pay for: what each goal takes and needs, and that writing loses nothing.

use super::account_file::{check, minimal, one, parse, rewritten, set};
use outbid::model::line_item::{LineItem, Strategy};
use outbid::model::money::Cpm;
use outbid::store::account_file::{Code, Finding};
use proptest::prelude::*;
use serde_json::{Value, json};

const BID: &str = "/line_items/0/bid";

/// The minimal account with this bid, a conversion that is worked for, a budget that is spread, and a cap.
fn with(bid: &Value) -> Value {
    let mut account = minimal();
    let conversions = json!([{ "id": "5", "advertiser": "1", "name": "Order", "click_window_h": 24 }]);
    set(&mut account, "/conversions", conversions);
    set(&mut account, "/line_items/0/conversion_ids", json!(["5"]));
    set(&mut account, "/line_items/0/budget", json!({ "daily": "50.00" }));
    set(&mut account, "/line_items/0/pacing", json!({ "mode": "even" }));
    set(&mut account, "/line_items/0/frequency", json!({ "caps": [{ "max": 3 }] }));
    set(&mut account, BID, bid.clone());
    account
}

fn read(bid: &Value) -> LineItem {
    let loaded = parse(&with(bid)).unwrap_or_else(|why| panic!("{bid}: {why}"));
    assert_eq!(loaded.warnings, [], "{bid}");
    assert_eq!(rewritten(&loaded.account), loaded.account, "{bid}");
    loaded.account.line_items[0].clone()
}

#[test]
fn each_goal_is_read_as_what_a_thousand_outcomes_are_worth() {
    for (strategy, amount, expected, bid) in [
        ("fixed_cpm", Some("2.50"), Strategy::FixedCpm, 2_500_000),
        ("max_cpm", Some("2.50"), Strategy::MaxCpm, 2_500_000),
        ("reach", Some("2.50"), Strategy::Reach, 2_500_000),
        ("max_cpc", Some("0.50"), Strategy::MaxCpc, 500_000_000),
        ("target_cpc", Some("1000"), Strategy::TargetCpc, 1_000_000_000_000),
        ("target_cpa", Some("100000"), Strategy::TargetCpa, 100_000_000_000_000),
        ("target_cpa", Some("0.000000001"), Strategy::TargetCpa, 1),
        ("target_roas", Some("4.0"), Strategy::TargetRoas, 4_000_000),
        ("target_roas", Some("0.01"), Strategy::TargetRoas, 10_000),
        ("target_roas", Some("1000"), Strategy::TargetRoas, 1_000_000_000),
        ("max_clicks", None, Strategy::MaxClicks, 800_000_000),
        ("max_conversions", None, Strategy::MaxConversions, 80_000_000_000),
    ] {
        let mut given = json!({ "strategy": strategy, "max": "8.00", "min": "0.10" });
        if let Some(amount) = amount {
            given["amount"] = amount.into();
        }
        let item = read(&given);
        assert_eq!((item.strategy, item.bid), (expected, Cpm(bid)), "{given}");
        assert_eq!((item.max_bid, item.min_bid), (Cpm(8_000_000), Cpm(100_000)), "{given}");
        assert_eq!(item.shading, expected != Strategy::FixedCpm, "{given}");
    }
    let plain = read(&json!({ "strategy": "reach", "amount": "2.50", "shading": false }));
    assert_eq!((plain.max_bid, plain.min_bid, plain.shading), (Cpm(2_500_000), Cpm(0), false));
}

#[test]
fn amounts_have_limits_of_their_own() {
    let amount = |strategy: &str, amount: &str, code, text: &str| {
        let account = with(&json!({ "strategy": strategy, "amount": amount, "max": "8.00" }));
        let error = only(refused(&account));
        assert_eq!((error.pointer.as_str(), error.code), ("/line_items/0/bid/amount", code), "{error}");
        assert!(error.message.contains(text), "{error}");
    };
    amount(
        "max_cpc",
        "1000.000000001",
        Code::OutOfRange,
        "1000.000000001 for a click is too much; give at most 1000",
    );
    amount("target_cpc", "0.0000000001", Code::Malformed, "at most 9 decimals");
    amount("target_cpa", "100000.01", Code::OutOfRange, "for a conversion is too much");
    amount("target_cpa", "0", Code::OutOfRange, "more than 0");
    amount("target_roas", "0.009999", Code::OutOfRange, "give 0.01 to 1000");
    amount("target_roas", "1000.1", Code::Malformed, "from 0 to 1000");
    amount("max_clicks", "1.00", Code::Conflict, "leave this out");
    amount("max_conversions", "1.00", Code::Conflict, "leave this out");
}

#[test]
fn a_bid_that_nothing_bounds_needs_a_maximum_and_a_minimum_lies_below_it() {
    let bid = |bid: Value| [(BID, bid)];
    let place = |member: &str| format!("{BID}/{member}");
    let click = json!({ "strategy": "max_cpc", "amount": "0.50" });
    check(&bid(click), &place("max"), Code::Missing, "nothing else bounds what max_cpc bids");
    let nothing = json!({ "strategy": "max_cpc", "amount": "0.50", "max": "0" });
    check(&bid(nothing), &place("max"), Code::OutOfRange, "more than 0");
    let high = json!({ "strategy": "max_cpc", "amount": "0.50", "max": "8.00", "min": "8.01" });
    check(&bid(high), &place("min"), Code::Conflict, "8.01 is more than the most that is bid (8.00)");
    let above = json!({ "strategy": "max_cpm", "amount": "2.00", "min": "2.01" });
    check(&bid(above), &place("min"), Code::Conflict, "lower it");
    let fixed = json!({ "amount": "2.00", "shading": true });
    check(&bid(fixed), &place("shading"), Code::Conflict, "a fixed price is bid as it is");
    let unknown = json!({ "strategy": "max_cpcc", "amount": "2.00", "shading": true });
    check(&bid(unknown), &place("strategy"), Code::Malformed, "did you mean \"max_cpc\"?");
    one(&place("min"), json!("cheap"), Code::Malformed, "a price per thousand");
}

#[test]
fn conversions_budgets_and_caps_are_asked_for_where_a_goal_lives_on_them() {
    for strategy in ["target_cpa", "target_roas"] {
        let mut account = with(&json!({ "strategy": strategy, "amount": "4.00", "max": "8.00" }));
        set(&mut account, "/line_items/0/conversion_ids", json!([]));
        let error = only(refused(&account));
        assert_eq!((error.pointer.as_str(), error.code), ("/line_items/0/conversion_ids", Code::Missing));
        assert!(error.message.contains(strategy), "{error}");
    }
    for strategy in ["max_clicks", "max_conversions"] {
        let whole = with(&json!({ "strategy": strategy, "max": "8.00" }));
        let mut account = whole.clone();
        set(&mut account, "/line_items/0/pacing", json!({}));
        let error = only(refused(&account));
        assert_eq!((error.pointer.as_str(), error.code), ("/line_items/0/pacing/mode", Code::Conflict));
        assert!(error.message.contains("give even or ahead"), "{error}");

        // A day's budget is no budget of the flight; that of the campaign is as good as its own.
        account = whole.clone();
        set(&mut account, "/line_items/0/pacing/period", json!("flight"));
        let warning = only(parse(&account).unwrap().warnings);
        assert_eq!(warning.pointer, "/line_items/0/budget");
        assert!(warning.message.contains("no lifetime budget here or at the campaign"), "{warning}");
        set(&mut account, "/campaigns/0/budget", json!({ "lifetime": "900.00" }));
        assert_eq!(parse(&account).unwrap().warnings, []);
    }
    let mut account = with(&json!({ "strategy": "reach", "amount": "2.00" }));
    set(&mut account, "/line_items/0/frequency", json!({}));
    let warning = only(parse(&account).unwrap().warnings);
    assert_eq!(warning.pointer, "/line_items/0/frequency");
    assert!(warning.message.contains("the same people"), "{warning}");
    for above in ["/campaigns/0/frequency", "/advertisers/0/frequency"] {
        let mut capped = account.clone();
        set(&mut capped, above, json!({ "min_gap_s": 600 }));
        assert_eq!(parse(&capped).unwrap().warnings, [], "{above}");
    }
}

#[test]
fn factors_by_position_and_by_how_often_it_was_seen_are_ranges_of_their_own() {
    let at = |dimension: &str, value: Value| {
        let pair = json!([{ "value": value, "factor": "1.5" }]);
        let mut account = with(&json!({ "strategy": "max_cpm", "amount": "2.00", "max": "9.00" }));
        set(&mut account, "/line_items/0/multipliers", json!({ dimension: pair }));
        account
    };
    let read = parse(&at("frequencies", json!({ "to": 3 }))).unwrap().account;
    let range = read.line_items[0].multipliers.frequencies[0];
    assert_eq!((range.0.from, range.0.to, range.1), (0, Some(3), 1_500_000));
    assert_eq!(rewritten(&read), read);
    let place = |dimension: &str| format!("/line_items/0/multipliers/{dimension}/0/value");
    for (account, pointer, code) in [
        (at("positions", json!(8)), place("positions"), Code::OutOfRange),
        (at("frequencies", json!({ "from": 5, "to": 4 })), place("frequencies") + "/to", Code::Conflict),
        (at("frequencies", json!({ "from": 1_001 })), place("frequencies") + "/from", Code::OutOfRange),
    ] {
        let error = only(refused(&account));
        assert_eq!((error.pointer, error.code), (pointer, code));
    }
}

fn refused(account: &Value) -> Vec<Finding> {
    match parse(account) {
        Err(outbid::store::account_file::AccountErrors::Invalid { errors, .. }) => errors,
        other => panic!("{other:?}"),
    }
}

fn only(findings: Vec<Finding>) -> Finding {
    assert_eq!(findings.len(), 1, "{findings:#?}");
    findings[0].clone()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_amount_of_any_goal_survives_writing(
        nth in 0usize..9, cpc in 1i64..=1_000_000_000_000, cpa in 1i64..=100_000_000_000_000,
        roas in 10_000i64..=1_000_000_000, max in 1i64..=Cpm::MAX.0, min in 0i64..1_000_000, shading: bool,
    ) {
        let mut account = parse(&with(&json!({ "amount": "1.00" }))).unwrap().account;
        let item = &mut account.line_items[0];
        (item.strategy, item.bid) = [
            (Strategy::FixedCpm, max), (Strategy::MaxCpm, max), (Strategy::Reach, max), (Strategy::MaxCpc, cpc),
            (Strategy::TargetCpc, cpc), (Strategy::TargetCpa, cpa), (Strategy::TargetRoas, roas),
            (Strategy::MaxClicks, max * 100), (Strategy::MaxConversions, max * 10_000),
        ].map(|(strategy, bid)| (strategy, Cpm(bid)))[nth];
        (item.max_bid, item.min_bid) = (Cpm(max), Cpm(min.min(max)));
        item.shading = shading && item.strategy != Strategy::FixedCpm;
        prop_assert_eq!(rewritten(&account), account);
    }
}
