//! Rows 1.8 to 1.11: the place, the device, who the person is, what the law says.

use super::super::request::plain;
use super::super::run::Server;
use super::super::world::World;
use super::{check, texts, with};
use outbid::audience::{IdKey, Membership};
use outbid::model::account::Account;
use outbid::model::exchange::GdprDefault;
use outbid::model::ids::{ExchangeId, SegmentId, UserKey};
use outbid::model::no_bid::NoBidReason;
use outbid::model::targeting::{Category, SegmentRule};
use serde_json::{Value, json};

/// Line item 1 is for segment 4; the person behind this key is in it.
fn world(key: impl FnOnce(&IdKey) -> UserKey) -> World {
    let mut account = World::small(|_| {}).account;
    account.exchanges[0].eid_sources = texts(&["id.example"]);
    account.exchanges[0].match_user_id = true;
    account.line_items[0].targeting.segments =
        SegmentRule { any_of: vec![SegmentId(4)], ..SegmentRule::default() };
    let world = World::of(account, Default::default());
    world.audience.add(key(&world.id_key), Membership::of(SegmentId(4))).unwrap();
    world
}

fn is_known(world: &World, fields: Value) -> bool {
    match Server::new(world).bids(world, &plain(with(fields))) {
        Ok(bids) => bids.len() == 1,
        Err(reason) => {
            assert_eq!(reason, NoBidReason::NoMatch);
            false
        }
    }
}

#[test]
fn row_1_10_buyeruid_is_our_cookie_byte_for_byte() {
    let world = world(|key| key.cookie("Cookie-7"));
    assert!(is_known(&world, json!({"user": {"buyeruid": "Cookie-7"}})));
    for other in [json!("cookie-7"), json!(" Cookie-7"), json!(""), Value::Null] {
        assert!(!is_known(&world, json!({"user": {"buyeruid": other}})), "{other}");
    }
    // It is no other identifier.
    assert!(!is_known(&world, json!({"user": {"id": "Cookie-7"}})));
}

#[test]
fn row_1_10_user_id_is_looked_up_in_the_match_table_of_its_exchange() {
    let world = world(|key| key.cookie("ours"));
    let theirs = |exchange: u16| world.id_key.matched(ExchangeId(exchange), "theirs");
    assert!(!is_known(&world, json!({"user": {"id": "theirs"}})));
    // Of another exchange the same text is somebody else.
    world.audience.link(theirs(2), world.id_key.cookie("ours"), None);
    assert!(!is_known(&world, json!({"user": {"id": "theirs"}})));
    world.audience.link(theirs(1), world.id_key.cookie("ours"), None);
    assert!(is_known(&world, json!({"user": {"id": "theirs"}})));
}

#[test]
fn row_1_10_eids_count_by_the_sources_that_are_known_and_not_by_guesses() {
    let world = world(|key| key.eid("id.example", "abc"));
    let eid = |source: &str, mm: Value| json!({"user": {"eids": [{"source": source, "mm": mm, "uids": [{"id": "abc", "atype": 1}]}]}});
    for mm in [Value::Null, json!(0), json!(2), json!(3), json!(4), json!(77)] {
        assert!(is_known(&world, eid("ID.example", mm.clone())), "{mm}");
    }
    // 5 is inferred.
    assert!(!is_known(&world, eid("id.example", json!(5))));
    assert!(!is_known(&world, eid("other.example", json!(3))));
}

#[test]
fn row_1_9_ifa_is_an_id_unless_it_is_empty_or_limited() {
    let ifa = "6D92078A-8246-4BA4-AE5B-76104861E7DC";
    let usa = json!({"country": "USA"});
    let world = world(|key| key.device(ifa));
    assert!(is_known(&world, json!({"user": null, "device": {"ifa": ifa.to_lowercase(), "geo": usa}})));
    assert!(!is_known(&world, json!({"user": null, "device": {"ifa": ifa, "lmt": 1, "geo": usa}})));
    let zeros = "00000000-0000-0000-0000-000000000000";
    let nobody = self::world(|key| key.device(zeros));
    assert!(!is_known(&nobody, json!({"user": null, "device": {"ifa": zeros, "geo": usa}})));
}

#[test]
fn row_1_10_what_the_sender_knows_of_age_and_gender_is_not_looked_at() {
    let user = json!({"yob": 1970, "gender": "F", "customdata": "x", "data": [{"name": "d", "segment": [{"id": "4"}]}]});
    check(|_| {}, with(json!({ "user": user })), Ok(()));
    // Another's segment 4 is not ours.
    let world = world(|key| key.cookie("somebody"));
    assert!(!is_known(&world, json!({ "user": user })));
}

#[test]
fn row_1_10_an_unknown_person_is_bid_on_by_who_asks_for_nobody() {
    check(|_| {}, with(json!({"user": null})), Ok(()));
    let world = world(|key| key.cookie("somebody"));
    assert!(!is_known(&world, json!({"user": null})));
}

#[test]
fn row_1_8_a_screen_is_bid_on_without_a_person() {
    let screen = json!({
        "site": null, "dooh": {"id": "s", "venuetype": ["1"]}, "user": {"buyeruid": "c"},
        "device": {"devicetype": 8, "geo": {"country": "USA", "lat": 40.7, "lon": -74.0}},
    });
    check(|_| {}, with(screen.clone()), Ok(()));
    let world = world(|key| key.cookie("c"));
    assert!(is_known(&world, json!({"user": {"buyeruid": "c"}})));
    assert!(!is_known(&world, screen));
}

#[test]
fn row_1_8_categories_of_the_place_are_compared_in_their_own_taxonomy() {
    let wants = |cattax: u16, id: &'static str| {
        move |account: &mut Account| {
            account.line_items[0].targeting.categories.include = vec![Category { cattax, id: id.to_owned() }];
        }
    };
    let site = |fields: Value| with(json!({ "site": fields }));
    check(wants(1, "IAB2"), site(json!({"cat": ["IAB2-3"]})), Ok(()));
    check(wants(1, "IAB2"), site(json!({"pagecat": ["IAB2"]})), Ok(()));
    check(wants(1, "IAB2"), site(json!({"cat": ["IAB2"], "cattax": 6})), Err(NoBidReason::NoMatch));
    check(wants(6, "483"), site(json!({"cat": ["483"], "cattax": 6})), Ok(()));
    check(wants(6, "483"), site(json!({"cat": ["483"]})), Err(NoBidReason::NoMatch));
}

#[test]
fn row_1_9_the_country_comes_in_two_letters_or_three() {
    let german = |account: &mut Account| {
        account.line_items[0].targeting.countries.include = vec![super::super::world::country("DE")];
    };
    let place = |geo: Value| with(json!({"device": { "geo": geo }}));
    for code in ["DEU", "de", "Deu"] {
        check(german, place(json!({ "country": code })), Ok(()));
    }
    for other in [json!({"country": "AUT"}), json!({"country": "Atlantis"}), json!({})] {
        check(german, place(other), Err(NoBidReason::NoMatch));
    }
}

#[test]
fn row_1_11_an_absent_gdpr_flag_is_unknown_and_the_place_decides() {
    let mut world = world(|key| key.cookie("c"));
    let said = |world: &World, country: Value, regs: Value| {
        is_known(
            world,
            json!({"user": {"buyeruid": "c"}, "device": {"geo": {"country": country}}, "regs": regs}),
        )
    };
    assert!(said(&world, json!("USA"), Value::Null));
    assert!(!said(&world, json!("FRA"), Value::Null));
    assert!(said(&world, json!("FRA"), json!({"gdpr": 0})));
    assert!(!said(&world, json!("USA"), json!({"gdpr": 1})));
    assert!(!said(&world, Value::Null, Value::Null));
    let mut account = world.account.clone();
    account.exchanges[0].gdpr_default = GdprDefault::UnknownIsOutside;
    world = World::of(account, Default::default());
    world.audience.add(world.id_key.cookie("c"), Membership::of(SegmentId(4))).unwrap();
    assert!(said(&world, Value::Null, Value::Null));
    assert!(!said(&world, json!("FRA"), Value::Null));
}

#[test]
fn row_1_11_who_decides_upstream_and_who_was_paid_cost_no_bid() {
    let source = json!({"fd": 1, "tid": "t-1", "pchain": "a:b"});
    check(|_| {}, with(json!({ "source": source })), Ok(()));
}
