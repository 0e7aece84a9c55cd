//! A request that is kept without what names the person is decided again as it was, with what was known of the person beside it.

use super::request::plain;
use super::run::{Server, request};
use super::world::{Dice, NOON, USERS, World};
use bumpalo::Bump;
use outbid::audience::AudienceIndex;
use outbid::budget::Ledger;
use outbid::engine::{BidIds, Core, Explanation, Remembered, Request, explain, recognise};
use outbid::exchange::{Limits, parse, sanitise};
use outbid::model::exchange::IpNet;
use outbid::model::no_bid::NoBidReason;
use outbid::privacy::Permissions;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

/// A request as it is explained when it comes, and as it is when only what is kept of it is there.
fn both(world: &World, ledger: &Arc<Ledger>, exchange: u16, body: &[u8]) -> [Explanation; 2] {
    let arena = Bump::new();
    let mut core = Core::new(BidIds::new(0, 0));
    let auction = parse(body, &Limits::default(), &arena).unwrap();
    let asked = request(world, exchange, &auction, NOON, &arena);
    let before = explain(&asked, &mut core, ledger);
    let mut known = before.clone();
    recognise(&asked, &mut core, &mut known);
    let bits = core.last_permissions.map_or(0, |permissions| permissions.bits());
    let clean = sanitise(body, false, world.snapshot.catalog.reads_addresses()).unwrap();
    let (arena, nobody) = (Bump::new(), AudienceIndex::default());
    let auction = parse(&clean, &Limits::default(), &arena).unwrap();
    let found = known.found_segments();
    let remembered = Remembered {
        permissions: Permissions::of_bits(bits),
        known: known.user_known,
        segments: &found,
        refused: &known.refused,
    };
    let again = Request {
        audience: &nobody,
        remembered: Some(&remembered),
        ..request(world, exchange, &auction, NOON, &arena)
    };
    let after = explain(&again, &mut Core::new(BidIds::new(0, 0)), ledger);
    [before, after]
}

/// Says more of the person than decisions may need.
fn tell_all(dice: &mut Dice, body: &[u8]) -> Vec<u8> {
    let mut request: Value = serde_json::from_slice(body).unwrap();
    if dice.chance(2) {
        request["user"]["id"] = "an exchange's id".into();
        request["user"]["eids"] = json!([{ "source": "ids.example", "uids": [{ "id": dice.one(&USERS) }] }]);
        request["user"]["keywords"] = "cars,dogs".into();
        request["user"]["data"] = json!([{ "id": "p", "segment": [{ "id": "7" }], "ext": { "segtax": 4 } }]);
    }
    if dice.chance(3) {
        request["regs"]["us_privacy"] = dice.one(&["1YYN", "1YNN", "1---"]).into();
    }
    if dice.chance(6) {
        request["regs"]["gpp"] = "DBABL~BVQqAAAAAgA.QA".into();
        request["regs"]["gpp_sid"] = json!([7]);
    }
    if dice.chance(6) {
        request["user"]["consent"] = "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA".into();
    }
    if dice.chance(2) {
        let device = &mut request["device"];
        (device["ip"], device["ifa"]) =
            ("203.0.113.77".into(), "6d92078a-8246-4ba4-ae5b-76104861e7dc".into());
        (device["geo"]["lat"], device["geo"]["lon"]) = (50.737_431.into(), 7.098_206.into());
        device["ext"] = json!({ "ifa_type": "aaid" });
        device["ua"] = dice.one(&["Mozilla/5.0 (Linux; Android 14)", "Googlebot/2.1", ""]).into();
    }
    if dice.chance(2) && request["site"].is_object() {
        request["site"]["page"] = "https://news.example/a?user=7".into();
    }
    request.to_string().into_bytes()
}

fn compare(seed: u64, line_items: usize) -> usize {
    let mut dice = Dice::new(seed);
    let mut world = World::random(&mut dice, line_items);
    for profile in &mut world.account.exchanges {
        profile.eid_sources = vec!["ids.example".to_owned()];
    }
    world.account.safety.crawlers = dice.chance(2);
    world.account.segments[3].external =
        vec![outbid::model::taxonomy::ExternalSegment { segtax: 4, provider: None, id: "7".to_owned() }];
    let settings = world.settings;
    let mut world = World::of(world.account, world.members);
    world.settings = settings;
    let ledger = Server::new(&world).ledger;
    let mut of_known = 0;
    for nth in 0..6 {
        let exchange = dice.within(1..4) as u16;
        let plain = dice.request(nth);
        let body = tell_all(&mut dice, &plain);
        let [before, after] = both(&world, &ledger, exchange, &body);
        let verdicts: usize = before.imps.iter().map(|imp| imp.verdicts.len()).sum();
        assert!(verdicts >= line_items, "every line item is asked");
        assert_eq!(format!("{before:#?}"), format!("{after:#?}"), "{}", String::from_utf8_lossy(&body));
        of_known += usize::from(before.user_known);
    }
    of_known
}

#[test]
fn people_who_are_known_come_up() {
    assert!((0..60).map(|seed| compare(seed, 12)).sum::<usize>() > 30);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn what_is_kept_is_decided_as_what_came(seed in any::<u64>(), line_items in 1..40usize) {
        compare(seed, line_items);
    }
}

/// What is told by the address is told by its block: as long as the listed blocks are no smaller.
#[test]
fn rules_of_addresses_look_at_blocks() {
    let body = plain(|request| request["device"]["ip"] = "203.0.113.77".into());
    let check = |block: &str, expected: [Option<NoBidReason>; 2]| {
        let block = IpNet::parse(block).unwrap();
        let world = World::small(|account| account.safety.addresses = vec![block]);
        let ledger = Server::new(&world).ledger;
        assert_eq!(both(&world, &ledger, 1, &body).map(|told| told.no_bid), expected, "{block:?}");
    };
    check("203.0.113.0/24", [Some(NoBidReason::DataCentre); 2]);
    check("203.0.0.0/16", [Some(NoBidReason::DataCentre); 2]);
    check("198.51.100.0/24", [None, None]);
    // Smaller ones are the exception.
    check("203.0.113.77/32", [Some(NoBidReason::DataCentre), None]);
}
