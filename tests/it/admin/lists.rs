//! Lists, deals and conversions: made by calls, used by line items, felt by bids.

use super::calls::{ANY_VERSION, Bare, Calls, JSON, MERGE, control, exchange, request};
use super::site::Site;
use crate::server::Client;
use serde_json::{Value, json};
use std::time::Duration;

const ITEM: &str = "/v1/line_items/1";
const TEXT: (&str, &str) = ("content-type", "text/plain");

fn bare() -> (Bare, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let bare = Bare::open(control(&dir.path().join("control.db")));
    bare.make_all();
    (bare, dir)
}

fn upload(calls: &impl Calls, id: u32, mode: &str, lines: &str) -> Value {
    let path = format!("/v1/lists/{id}/items:upload?mode={mode}");
    let reply = calls.call("POST", &path, &[TEXT], lines);
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

fn targeting(dimension: &str, rule: Value) -> Value {
    json!({ "targeting": { dimension: rule } })
}

/// Bids on a request that `change` has changed, or does not.
fn bids(site: &Site, change: impl FnOnce(&mut Value)) -> bool {
    let mut request = request();
    change(&mut request);
    Client::connect(site.bid).bid("north", request.to_string().as_bytes()).unwrap().status == 200
}

#[test]
fn what_stands_on_a_list_is_bid_on_within_a_second_of_the_upload() {
    let site = Site::fresh(&[]);
    site.make_all();
    site.until("the first bid", |site| site.price().is_some());
    let soon = |what: &str, expected: bool| {
        let after = site.until(what, |site| site.price().is_some() == expected);
        eprintln!("{what:<44} served after {:>6.1} ms", after.as_secs_f64() * 1e3);
        assert!(after < Duration::from_secs(1), "{what}: {after:?}");
    };
    site.make("lists", &json!({ "name": "Good", "type": "domain", "items": ["daily.example"] }));
    let shown = site.patch(ITEM, &targeting("domains", json!({ "include_lists": ["1"] })));
    assert_eq!(shown["targeting"]["domains"]["include_lists"], json!(["1"]));
    soon("a list without the site", false);
    upload(&site, 1, "add", "other.example\nNEWS.example\n");
    soon("the site is on the list", true);
    upload(&site, 1, "remove", "news.example");
    soon("the site is off the list", false);
    site.patch(ITEM, &targeting("domains", json!({ "include_lists": null, "exclude_lists": ["1"] })));
    soon("the list is excluded", true);
    upload(&site, 1, "replace", "example");
    soon("a domain above the site is on it", false);
    site.patch(ITEM, &json!({ "targeting": null }));
    soon("no list", true);
}

#[test]
fn a_line_item_with_deals_bids_on_those_of_their_exchange_and_on_nothing_else() {
    let site = Site::fresh(&[]);
    site.make_all();
    site.make("exchanges", &exchange("south"));
    let deal = |exchange: &str, id: &str| json!({ "name": id, "status": "active", "exchange": exchange, "deal_id": id, "price": "2.00" });
    site.make("deals", &deal("north", "front-page"));
    site.make("deals", &deal("south", "elsewhere"));
    site.until("the first bid", |site| site.price().is_some());
    site.patch(ITEM, &json!({ "deal_ids": ["1", "2"] }));
    site.until("the open auction is left", |site| site.price().is_none());
    let with = |id: &'static str| {
        move |request: &mut Value| {
            request["imp"][0]["pmp"] =
                json!({ "private_auction": 1, "deals": [{ "id": id, "bidfloor": 1.0 }] });
        }
    };
    assert!(bids(&site, with("front-page")));
    assert!(!bids(&site, with("elsewhere")), "that deal was agreed on with another exchange");
    assert!(!bids(&site, with("Front-page")), "deal ids are exact");
    site.verb("/v1/deals/1:pause");
    site.until("the deal pauses", |site| !bids(site, with("front-page")));
    site.verb("/v1/deals/1:activate");
    site.until("the deal is active", |site| bids(site, with("front-page")));
}

#[test]
fn items_are_kept_in_order_each_once_in_pages_and_make_a_new_version() {
    let (bare, dir) = bare();
    let made =
        bare.make("lists", &json!({ "name": "Good", "type": "domain", "items": ["B.example", "a.example"] }));
    assert_eq!(
        (&made["item_count"], &made["version"], &made["status"]),
        (&json!(2), &json!(1), &json!("active"))
    );
    let done = upload(&bare, 1, "add", "\u{feff}c.example\r\n\r\n a.example \nd.example");
    assert_eq!((&done["item_count"], &done["changed"], &done["version"]), (&json!(4), &json!(2), &json!(2)));
    // What changes nothing makes no version.
    assert_eq!(upload(&bare, 1, "add", "a.example")["version"], 2);
    let page = bare.get("/v1/lists/1/items?page_size=3");
    assert_eq!(page["items"], json!(["a.example", "b.example", "c.example"]));
    assert_eq!(page["total"], 4);
    let next = page["next_page_token"].as_str().unwrap();
    let page = bare.get(&format!("/v1/lists/1/items?page_size=3&page_token={next}"));
    assert_eq!((&page["items"], &page["next_page_token"]), (&json!(["d.example"]), &Value::Null));
    // The same for who knew an older version, and for who only tries.
    let path = "/v1/lists/1/items:upload?mode=replace";
    let body = json!({ "values": ["z.example"] }).to_string();
    bare.refused(412, "POST", path, &[JSON, ("if-match", "\"1\"")], &body);
    let tried = bare.call("POST", &format!("{path}&validate_only=true"), &[JSON], &body).json();
    assert_eq!((&tried["item_count"], &tried["changed"]), (&json!(1), &json!(5)));
    assert_eq!(bare.get("/v1/lists/1")["item_count"], 4);
    let audit = bare.get("/v1/audit?filter[kind]=list&filter[action]=upload");
    assert_eq!(audit["audit"][0]["before"]["item_count"], 2, "{audit}");
    assert_eq!(audit["audit"][0]["after"]["item_count"], 4, "{audit}");
    // A start reads what was uploaded.
    drop(bare);
    let again = Bare::open(control(&dir.path().join("control.db")));
    assert_eq!(again.get("/v1/lists/1")["item_count"], 4);
    assert_eq!(again.admin.account().lists[0].values.len(), 4);
}

#[test]
fn what_is_wrong_with_an_upload_is_told_by_the_line_and_changes_nothing() {
    let (bare, _dir) = bare();
    bare.make("lists", &json!({ "name": "Good", "type": "domain" }));
    bare.make("lists", &json!({ "name": "Offices", "type": "address" }));
    let refuse = |id: u32, headers: (&str, &str), body: &str, pointers: &[&str]| {
        let path = format!("/v1/lists/{id}/items:upload");
        let problem = bare.refused(422, "POST", &path, &[headers], body);
        let errors = problem["errors"].as_array().unwrap();
        let found: Vec<&str> = errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect();
        assert_eq!(found, pointers, "{problem}");
    };
    refuse(1, TEXT, "a.example\nhttps://b.example/x\nc.example\nno host", &["/lines/2", "/lines/4"]);
    refuse(1, JSON, r#"{ "values": ["a.example", "b c"] }"#, &["/values/1"]);
    refuse(1, JSON, r#"{ "values": ["a.example", 7] }"#, &["/values/1"]);
    refuse(1, JSON, r#"{ "value": [] }"#, &["/value"]);
    refuse(2, TEXT, "192.0.2.0/24\n192.0.2.0/33", &["/lines/2"]);
    let many: String = (0..500).map(|n| format!("no host {n}\n")).collect();
    let problem = bare.refused(422, "POST", "/v1/lists/1/items:upload", &[TEXT], &many);
    assert_eq!(problem["errors"].as_array().unwrap().len(), 101);
    assert!(problem["errors"][100]["message"].as_str().unwrap().contains("400 more"), "{problem}");
    bare.refused(400, "POST", "/v1/lists/1/items:upload?mode=append", &[TEXT], "");
    bare.refused(415, "POST", "/v1/lists/1/items:upload", &[("content-type", "text/html")], "");
    bare.refused(404, "POST", "/v1/lists/9/items:upload", &[TEXT], "a.example");
    assert_eq!(bare.get("/v1/lists/1")["version"], 1);
    let made = json!({ "name": "Bad", "type": "domain", "items": ["a.example", "b c"] }).to_string();
    let problem = bare.refused(422, "POST", "/v1/lists", &[JSON], &made);
    assert_eq!(problem["errors"][0]["pointer"], "/items/1");
    assert_eq!(bare.get("/v1/lists?q=Bad")["lists"], json!([]));
}

#[test]
fn references_to_lists_deals_and_conversions_are_held_to_what_there_is() {
    let (bare, _dir) = bare();
    bare.make("lists", &json!({ "name": "Apps", "type": "bundle" }));
    bare.make("advertisers", &json!({ "name": "Another", "currency": "USD" }));
    let conversion = |name: &str, advertiser: &str| json!({ "name": name, "advertiser_id": advertiser, "value": "5", "counting": "one" });
    let made = bare.make("conversions", &conversion("Purchase", "1"));
    assert_eq!(made["value"], json!({ "amount": "5", "currency": "USD" }));
    bare.make("conversions", &conversion("Theirs", "2"));
    for (patch, pointer, code) in [
        (
            targeting("domains", json!({ "include_lists": ["1"] })),
            "/targeting/domains/include_lists/0",
            "conflict",
        ),
        (
            targeting("bundles", json!({ "exclude_lists": ["2"] })),
            "/targeting/bundles/exclude_lists/0",
            "unknown_reference",
        ),
        (json!({ "deal_ids": ["4"] }), "/deal_ids/0", "unknown_reference"),
        (json!({ "conversion_ids": ["1", "1"] }), "/conversion_ids/1", "duplicate"),
        (json!({ "conversion_ids": ["2"] }), "/conversion_ids/0", "unknown_reference"),
    ] {
        let problem = bare.refused(422, "PATCH", ITEM, &[MERGE, ANY_VERSION], &patch.to_string());
        let error = &problem["errors"][0];
        assert_eq!(
            (error["pointer"].as_str(), error["code"].as_str()),
            (Some(pointer), Some(code)),
            "{problem}"
        );
    }
    let shown = bare.patch(ITEM, &targeting("bundles", json!({ "include_lists": ["1"] })));
    let warning = &shown["warnings"][0];
    assert_eq!(warning["pointer"], "/targeting/bundles/include_lists/0", "{shown}");
    bare.patch(ITEM, &json!({ "conversion_ids": ["1"] }));
    // What is used stays.
    for path in ["/v1/lists/1", "/v1/conversions/1"] {
        let problem = bare.refused(409, "DELETE", path, &[], "");
        assert!(problem["detail"].as_str().unwrap().contains("line item 1"), "{problem}");
    }
    bare.patch(ITEM, &json!({ "conversion_ids": null, "targeting": null }));
    for path in ["/v1/lists/1", "/v1/conversions/1"] {
        let reply = bare.call("DELETE", path, &[], "");
        assert_eq!((reply.status, &reply.json()["status"]), (200, &json!("archived")));
    }
    // A deal is known by its exchange and the text there.
    let deal = json!({ "name": "One", "exchange": "north", "deal_id": "d", "price": "2.5" });
    assert_eq!(bare.make("deals", &deal)["price"], json!({ "amount": "2.5", "currency": "USD" }));
    let problem = bare.refused(422, "POST", "/v1/deals", &[JSON], &deal.to_string());
    assert_eq!(problem["errors"][0]["pointer"], "/deal_id", "{problem}");
}
