//! What explain says of each reason: what of it was met, and the values that were compared; and that it stops where serving stops.

use super::request::plain;
use super::run::Server;
use super::world::{World, campaign, line_item};
use outbid::budget::Stop;
use outbid::engine::LineItemVerdict;
use outbid::model::account::Account;
use outbid::model::creative::Approval;
use outbid::model::exchange::IpNet;
use outbid::model::ids::{CampaignId, CreativeId, ExchangeId, LineItemId};
use outbid::model::line_item::{Budget, Flight};
use outbid::model::money::{Cpm, Nanos};
use outbid::model::no_bid::NoBidReason::{self, *};
use outbid::model::safety::{Safety, Seller};
use outbid::model::targeting::{Daypart, HourMask, MediaType};
use serde_json::{Value, json};

/// What is said of line item 1 on the first impression of a request of exchange 1.
fn verdict(world: &World, server: &Server, body: &[u8]) -> LineItemVerdict {
    let explanation = server.explain(world, 1, body);
    let mut verdicts = explanation.imps[0].verdicts.iter();
    verdicts.find(|verdict| verdict.line_item == LineItemId(1)).unwrap().clone()
}

#[track_caller]
fn check(
    account: impl FnOnce(&mut Account),
    request: impl FnOnce(&mut Value),
    (reason, aspect): (NoBidReason, &str),
    says: &[&str],
) {
    let world = World::small(account);
    let told = verdict(&world, &Server::new(&world), &plain(request));
    assert_eq!((told.reason, told.aspect), (Some(reason), aspect), "{}", told.detail);
    for part in says {
        assert!(told.detail.contains(part), "{:?} does not say {part:?}", told.detail);
    }
}

fn same(_: &mut Value) {}

fn as_it_is(_: &mut Account) {}

/// Sets fields of the impression.
fn imp(fields: Value) -> impl FnOnce(&mut Value) {
    move |request| {
        fields.as_object().unwrap().iter().for_each(|(key, value)| request["imp"][0][key] = value.clone());
    }
}

#[test]
fn a_request_that_is_refused_as_a_whole_says_by_what() {
    let whole = |reason| (reason, "");
    let set = |key: &'static str, value: Value| move |request: &mut Value| request[key] = value;
    check(as_it_is, set("cur", json!(["GBP"])), whole(Currency), &["`cur` allows GBP", "EUR"]);
    check(
        as_it_is,
        set("bseat", json!(["seat-1"])),
        whole(Seat),
        &["our seat is \"seat-1\"", "`bseat` blocks"],
    );
    check(as_it_is, set("wseat", json!(["x", "y"])), whole(Seat), &["`wseat` allows only x, y"]);
    let twice = |request: &mut Value| {
        let imp = request["imp"][0].clone();
        request["imp"].as_array_mut().unwrap().push(imp);
    };
    check(as_it_is, twice, whole(InvalidRequest), &["two impressions have the id \"1\""]);
    check(as_it_is, set("app", json!({ "bundle": "b" })), whole(InvalidRequest), &["site, app and dooh"]);
    check(as_it_is, imp(json!({ "bidfloor": "x" })), whole(InvalidPrice), &["`bidfloor`"]);
    check(as_it_is, imp(json!({ "banner": null })), whole(NoUsableMedium), &["offers nothing"]);
    check(as_it_is, imp(json!({ "exp": 100_000 })), whole(HoldLife), &["`exp` is 100000 s", "`holds.max_s`"]);
    check(
        as_it_is,
        imp(json!({ "qty": { "multiplier": 100 } })),
        whole(Multiplier),
        &["is 100", "`max_multiplier` is 10"],
    );
    check(
        as_it_is,
        set("tmax", json!(20)),
        (Deadline, "tmax"),
        &["leaves 0 ms", "`network_margin_ms` of 20"],
    );
    let safety = |safety: Safety| move |account: &mut Account| account.safety = safety;
    let blocked = safety(Safety { domains: vec!["news.example".to_owned()], ..Safety::default() });
    let deep = |request: &mut Value| request["site"]["domain"] = "a.news.example".into();
    check(blocked, deep, (BlockedInventory, "domain"), &["\"a.news.example\"", "the entry \"news.example\""]);
    let blocked = safety(Safety { publishers: vec!["p7".to_owned()], ..Safety::default() });
    let of = |request: &mut Value| request["site"]["publisher"] = json!({ "id": "P7" });
    check(blocked, of, (BlockedInventory, "publisher"), &["publisher \"P7\"", "`safety.publishers`"]);
    let range = IpNet::parse("203.0.113.0/24").unwrap();
    let blocked = safety(Safety { addresses: vec![range], ..Safety::default() });
    let from = |request: &mut Value| request["device"]["ip"] = "203.0.113.9".into();
    check(blocked, from, whole(DataCentre), &["address 203.0.113.9", "`safety.addresses`"]);
    let chain = safety(Safety { complete_supply_chain: true, ..Safety::default() });
    check(chain, same, whole(SupplyChain), &["has 0 nodes and `complete` is absent"]);
    let seller = Seller { system: "bad.example".to_owned(), account: None };
    let sellers = safety(Safety { sellers: vec![seller], ..Safety::default() });
    let sold = |request: &mut Value| {
        let nodes = json!([{ "asi": "bad.example", "sid": "4", "hp": 1 }]);
        request["source"] = json!({ "schain": { "complete": 1, "ver": "1.0", "nodes": nodes } });
    };
    check(sellers, sold, whole(BlockedSeller), &["seller \"4\" of \"bad.example\""]);
}

#[test]
fn who_is_not_active_or_in_flight_is_named_with_the_times() {
    check(|a| a.line_items[0].active = false, same, (Inactive, ""), &["the line item is not active"]);
    check(|a| a.campaigns[0].active = false, same, (Inactive, "campaign"), &["campaign 1 is not active"]);
    check(|a| a.advertisers[0].active = false, same, (Inactive, "advertiser"), &["advertiser 1"]);
    let past = Flight { start_ms: Some(0), end_ms: Some(86_400_000) };
    check(
        |a| a.line_items[0].flight = past,
        same,
        (NoBidReason::Flight, ""),
        &["of the line item", "from 1970-01-01T00:00:00Z until 1970-01-02T00:00:00Z; it is 20"],
    );
    check(|a| a.campaigns[0].flight = past, same, (NoBidReason::Flight, "campaign"), &["of campaign 1"]);
    let mut hours = HourMask::NONE;
    (0..3).for_each(|hour| hours.insert(hour));
    let daypart = |hours| {
        move |account: &mut Account| {
            let time_zone = "Asia/Tokyo".to_owned();
            account.line_items[0].targeting.daypart = Some(Daypart { hours, time_zone });
        }
    };
    check(
        daypart(hours),
        same,
        (NoBidReason::Daypart, "daypart"),
        &["wants Mon 00–03 Asia/Tokyo, has ", " 21–22"],
    );
}

#[test]
fn targeting_that_is_missed_names_its_dimension_and_what_is_ours() {
    let geo =
        |account: &mut Account| account.line_items[0].targeting.regions.include = vec!["us-ny".to_owned()];
    let there = |request: &mut Value| request["device"]["geo"]["region"] = "CA".into();
    check(geo, there, (Geo, "region"), &["wants one of us-ny, has CA"]);
    let os = |account: &mut Account| account.line_items[0].targeting.os.include = vec!["ios".to_owned()];
    check(os, same, (Device, "os"), &["wants one of ios"]);
    let private = json!({ "pmp": { "private_auction": 1, "deals": [{ "id": "d1" }] } });
    check(as_it_is, imp(private), (Deal, "private_auction"), &["private auction"]);
    let deal =
        |account: &mut Account| account.line_items[0].targeting.deals.include = vec!["PMP-4712".to_owned()];
    let offered = json!({ "pmp": { "deals": [{ "id": "PMP-4711" }] } });
    check(deal, imp(offered), (Deal, "deal"), &["wants one of PMP-4712, has \"PMP-4711\""]);
    check(deal, same, (Deal, "deal"), &["has no deal"]);
    let closed = json!({ "pmp": { "deals": [{ "id": "PMP-4712", "wseat": ["other"] }] } });
    check(deal, imp(closed), (Deal, "seat"), &["`wseat` allows other", "\"seat-1\""]);
    let rejected = |account: &mut Account| account.creatives[0].approvals.everywhere = Approval::Rejected;
    check(rejected, same, (Format, "no_creative"), &["a creative that is active and approved", "none"]);
    let video =
        |account: &mut Account| account.line_items[0].targeting.formats.include = vec![MediaType::Video];
    check(video, same, (Format, "format"), &["a creative of a targeted medium, has 300x250"]);
}

#[test]
fn a_creative_that_does_not_do_is_named_with_what_forbids_it() {
    let creative = |change: fn(&mut outbid::model::creative::Creative)| {
        move |account: &mut Account| change(&mut account.creatives[0])
    };
    let set = |key: &'static str, value: Value| move |request: &mut Value| request[key] = value;
    check(
        as_it_is,
        set("badv", json!(["shop.example"])),
        (BlockedAdvertiser, ""),
        &["creative 1: `badv` blocks shop.example"],
    );
    check(
        creative(|c| c.categories = vec!["IAB8-5".to_owned()]),
        set("bcat", json!(["IAB8"])),
        (BlockedCategory, ""),
        &["`bcat` blocks IAB8, and its category is IAB8-5"],
    );
    let battr = json!({ "banner": { "format": [{ "w": 300, "h": 250 }], "battr": [3] } });
    check(creative(|c| c.attributes = vec![3]), imp(battr), (BlockedAttribute, ""), &["attribute 3"]);
    check(creative(|c| c.secure = false), imp(json!({ "secure": 1 })), (NotSecure, ""), &["without https"]);
    check(
        creative(|c| c.approvals.exceptions = vec![(ExchangeId(1), Approval::Rejected)]),
        same,
        (CreativeApproval, ""),
        &["creative 1: it is rejected on x1, by its `approvals`"],
    );
    check(
        creative(|c| c.language = Some("fr".to_owned())),
        set("wlang", json!(["de"])),
        (Language, ""),
        &["de"],
    );
    check(
        |account| account.line_items[0].multipliers.device_types = vec![(4, 0)],
        same,
        (Device, "multipliers"),
        &["factor of 0 excludes it (device_type)"],
    );
}

#[test]
fn a_price_under_the_floor_says_which_term_keeps_it_there() {
    let floor = |micros: i64| imp(json!({ "bidfloor": micros as f64 / 1e6 }));
    check(as_it_is, floor(3_000_000), (BelowFloor, ""), &["worth 2.00 < floor 3.00"]);
    check(
        |account| account.exchanges[0].max_cpm = Cpm(1_000_000),
        floor(1_500_000),
        (BelowFloor, "exchange_cap"),
        &["`max_cpm` of exchange x1 caps it at 1.00"],
    );
    check(
        |account| {
            (account.line_items[0].bid, account.line_items[0].max_bid) = (Cpm(9_000_000), Cpm(2_000_000))
        },
        floor(3_000_000),
        (BelowFloor, "max_bid"),
        &["`bid.max` of 2.00 caps 9.00"],
    );
    check(
        |account| account.line_items[0].multipliers.device_types = vec![(4, 500_000)],
        floor(1_500_000),
        (BelowFloor, "factors"),
        &["multipliers make 1.00 of 2.00"],
    );
    check(
        as_it_is,
        imp(json!({ "bidfloor": 1, "bidfloorcur": "GBP" })),
        (BelowFloor, "floor_currency"),
        &["no rate from GBP to USD"],
    );
    check(
        as_it_is,
        imp(json!({ "bidfloor": 1, "bidfloorcur": "pounds" })),
        (BelowFloor, "floor_unreadable"),
        &["`bidfloorcur` cannot be read"],
    );
}

#[test]
fn the_budget_that_has_no_room_is_named_with_what_is_left() {
    let lifetime = |nanos| Budget { lifetime: Some(Nanos(nanos)), daily: None };
    let daily = |nanos| Budget { lifetime: None, daily: Some(Nanos(nanos)) };
    let left = "has 0.001 left";
    check(
        |a| a.advertisers[0].wallet = Nanos(1_000_000),
        same,
        (NoBidReason::Budget, "wallet"),
        &[left, "takes 0.002"],
    );
    check(|a| a.campaigns[0].budget = lifetime(1_000_000), same, (NoBidReason::Budget, "campaign"), &[left]);
    check(
        |a| a.campaigns[0].budget = daily(1_000_000),
        same,
        (NoBidReason::Budget, "campaign_today"),
        &[left],
    );
    check(
        |a| a.line_items[0].budget = lifetime(1_000_000),
        same,
        (NoBidReason::Budget, "line_item"),
        &[left],
    );
    check(
        |a| a.line_items[0].budget = daily(1_000_000),
        same,
        (NoBidReason::Budget, "line_item_today"),
        &[left],
    );
}

#[test]
fn what_stops_serving_stops_the_explanation() {
    let world = World::small(|account| {
        account.campaigns.push(campaign(2, 1));
        account.line_items.push(line_item(2, 2, 1_000_000));
    });
    let body = plain(same);
    for (stop, reason, word) in [
        (Stop::Exchange(ExchangeId(1)), Breaker, "the exchange is stopped"),
        (Stop::Campaign(CampaignId(1)), Inactive, "campaign 1 is stopped by a kill switch"),
        (Stop::All, Breaker, "everything is stopped"),
    ] {
        let mut server = Server::new(&world);
        let ours = |bids: Result<Vec<super::run::Told>, NoBidReason>| {
            bids.is_ok_and(|bids| bids.iter().any(|bid| bid.line_item == 1))
        };
        assert!(ours(server.bids(&world, &body)));
        assert_eq!(verdict(&world, &server, &body).reason, None);
        server.ledger.stop(stop, true);
        assert!(!ours(server.bids(&world, &body)), "{stop:?}");
        let told = verdict(&world, &server, &body);
        assert_eq!((told.reason, told.aspect), (Some(reason), "stopped"), "{stop:?}: {}", told.detail);
        assert!(told.detail.contains(word), "{}", told.detail);
        server.ledger.stop(stop, false);
        assert_eq!(verdict(&world, &server, &body).reason, None);
    }
}

#[test]
fn of_several_creatives_the_one_that_got_furthest_is_named() {
    let world = World::small(|account| {
        let mut second = super::world::creative(2, 1);
        second.approvals.exceptions = vec![(ExchangeId(1), Approval::Pending)];
        account.creatives.push(second);
        account.creatives[0].attributes = vec![3];
        let mut assigned = account.line_items[0].creatives[0].clone();
        assigned.creative = CreativeId(2);
        account.line_items[0].creatives.push(assigned);
    });
    let battr = json!({ "banner": { "format": [{ "w": 300, "h": 250 }], "battr": [3] } });
    let told = verdict(&world, &Server::new(&world), &plain(imp(battr)));
    assert_eq!(told.reason, Some(CreativeApproval));
    assert!(told.detail.contains("creative 2: it is pending on x1"), "{}", told.detail);
}
