//! Rows 1.12 and 1.15: what the answer says of itself and of each bid, and which reasons have a code.

use super::super::request::plain;
use super::super::run::Server;
use super::super::world::World;
use super::{imp, texts, with};
use outbid::model::account::Account;
use outbid::model::money::Cpm;
use outbid::model::no_bid::NoBidReason;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The answer to the plain request with changes.
fn answer(account: impl FnOnce(&mut Account), request: impl FnOnce(&mut Value)) -> Value {
    let world = World::small(account);
    serde_json::from_str(&Server::new(&world).answer(&world, 1, &plain(request)).unwrap()).unwrap()
}

#[test]
fn row_1_12_the_answer_names_the_request_itself_its_currency_and_its_seat() {
    let answer = answer(|_| {}, with(json!({"id": "auction-7", "cur": ["EUR"]})));
    assert_eq!(answer["id"], "auction-7");
    assert_eq!((&answer["cur"], &answer["seatbid"][0]["seat"]), (&json!("EUR"), &json!("seat-1")));
    let bid = &answer["seatbid"][0]["bid"][0];
    // `${AUCTION_BID_ID}` is our id of the answer.
    assert_eq!(answer["bidid"], bid["id"]);
    assert_eq!((&answer["nbr"], &answer["seatbid"][0]["group"]), (&Value::Null, &Value::Null));
}

#[test]
fn row_1_12_the_price_is_an_exact_decimal_of_the_bids_currency() {
    for (micros, written) in [(2_000_000, "2.000000"), (1, "0.000001"), (1_234_567, "1.234567")] {
        let world = World::small(|account| {
            (account.line_items[0].bid, account.line_items[0].max_bid) = (Cpm(micros), Cpm(micros));
        });
        let answer = Server::new(&world).answer(&world, 1, &plain(|_| {})).unwrap();
        assert!(answer.contains(&format!("\"price\":{written},")), "{answer}");
    }
    let worthless = World::small(|account| account.line_items[0].bid = Cpm(0));
    let none = Server::new(&worthless).answer(&worthless, 1, &plain(|_| {}));
    assert_eq!(none, Err(NoBidReason::BelowFloor));
}

#[test]
fn row_1_12_a_bid_says_by_what_it_is_reviewed() {
    let described = |account: &mut Account| {
        let creative = &mut account.creatives[0];
        (creative.categories, creative.cattax) = (texts(&["1200"]), 8);
        (creative.attributes, creative.api) = (vec![2, 6], Some(7));
        (creative.language, creative.bundle) = (Some("en".to_owned()), Some("com.shop".to_owned()));
        creative.adomain = texts(&["shop.example", "brand.example"]);
    };
    let banner = json!({"banner": {"format": [{"w": 300, "h": 250}], "api": [7]}});
    let answer = answer(described, imp(banner));
    let bid = &answer["seatbid"][0]["bid"][0];
    for (name, expected) in [
        ("impid", json!("1")),
        ("adomain", json!(["shop.example", "brand.example"])),
        ("cid", json!("1")),
        ("crid", json!("1")),
        ("cat", json!(["1200"])),
        ("cattax", json!(8)),
        ("attr", json!([2, 6])),
        ("apis", json!([7])),
        ("api", Value::Null),
        ("language", json!("en")),
        ("bundle", json!("com.shop")),
        ("w", json!(300)),
        ("h", json!(250)),
        ("mtype", json!(1)),
        ("exp", json!(120)),
        ("dealid", Value::Null),
        ("slotinpod", Value::Null),
    ] {
        assert_eq!(bid[name], expected, "{name}");
    }
    for name in ["adm", "nurl", "burl", "lurl"] {
        assert!(bid[name].as_str().is_some_and(|text| !text.is_empty()), "{name}");
    }
}

#[test]
fn row_1_12_the_default_taxonomy_is_not_said_and_another_is() {
    let of = |cattax: u16| {
        move |account: &mut Account| {
            (account.creatives[0].categories, account.creatives[0].cattax) = (texts(&["IAB3"]), cattax);
        }
    };
    let cattax = |value: u16| answer(of(value), |_| {})["seatbid"][0]["bid"][0]["cattax"].clone();
    assert_eq!((cattax(1), cattax(7)), (Value::Null, json!(7)));
}

#[test]
fn row_1_15_no_bid_codes_are_those_of_the_list() {
    let coded: BTreeMap<&str, u16> =
        NoBidReason::ALL.iter().filter_map(|reason| Some((reason.as_str(), reason.nbr()?))).collect();
    let expected = BTreeMap::from([
        ("invalid_request", 2),
        ("no_usable_medium", 2),
        ("crawler", 3),
        ("non_human", 4),
        ("data_centre", 5),
        ("blocked_inventory", 7),
        ("ads_txt", 12),
        ("deadline", 15),
        ("supply_chain", 16),
        ("blocked_seller", 17),
    ]);
    assert_eq!(coded, expected);
    // What the list has no word for has no code: budget, pacing, floor, creative, privacy, category.
    for silent in [
        NoBidReason::Budget,
        NoBidReason::Pacing,
        NoBidReason::BelowFloor,
        NoBidReason::Size,
        NoBidReason::Consent,
        NoBidReason::BlockedCategory,
    ] {
        assert_eq!(silent.nbr(), None, "{}", silent.as_str());
    }
}
