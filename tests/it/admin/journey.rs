//! From an empty directory to a served bid by calls of the API alone, and what a change is worth a moment later.

use super::calls::{ANY_VERSION, Calls, MERGE, exchange, line_item, problem};
use super::site::Site;
use crate::server::{Client, notice_url};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Barrier;
use std::time::Duration;

/// How soon a change is served.
const SOON: Duration = Duration::from_secs(1);
const ITEM: &str = "/v1/line_items/1";

/// A site that bids 2.50.
fn bidding() -> Site {
    let site = Site::fresh(&[]);
    site.make_all();
    site.until("the first bid", |site| site.price() == Some(2.5));
    site
}

/// Waits for what a change has to lead to, which has to be soon.
fn soon(site: &Site, what: &str, price: Option<f64>) {
    let after = site.until(what, |site| site.price() == price);
    eprintln!("{what:<44} served after {:>6.1} ms", after.as_secs_f64() * 1e3);
    assert!(after < SOON, "{what}: {after:?}");
}

/// The effective status of the line item, whose reasons have to name `why` if it does not serve.
fn status(site: &Site, effective: &str, why: &str) {
    let shown = site.get(&format!("{ITEM}?fields=effective_status,status_reasons"));
    assert_eq!(shown["effective_status"], effective, "{shown}");
    let reasons = shown["status_reasons"].as_array().unwrap();
    match effective {
        "serving" => assert!(reasons.is_empty(), "{shown}"),
        _ => assert!(reasons.iter().any(|reason| reason.as_str().unwrap().contains(why)), "{why}: {shown}"),
    }
}

#[test]
fn every_change_reaches_the_bid_within_a_second_and_the_status_says_why_it_stopped() {
    let site = bidding();
    status(&site, "serving", "");
    let patch = |what: &str, path: &str, body: Value, price: Option<f64>| {
        site.patch(path, &body);
        soon(&site, what, price);
    };
    patch("a price", ITEM, json!({ "bid": { "amount": "3.10", "max": "3.10" } }), Some(3.1));
    patch("another country", ITEM, json!({ "targeting": { "countries": { "include": ["FRA"] } } }), None);
    status(&site, "serving", "");
    patch("any country", ITEM, json!({ "targeting": { "countries": null } }), Some(3.1));
    let buyers = json!({ "targeting": { "audience": { "any_of": ["crm.buyers"] } } });
    patch("buyers only", ITEM, buyers, None);
    patch("everyone", ITEM, json!({ "targeting": null }), Some(3.1));
    for (what, path, effective, why) in [
        ("the line item", ITEM, "paused", "it is paused; activate it"),
        ("its only creative", "/v1/creatives/1", "no_creative", "activate one"),
        ("its campaign", "/v1/campaigns/1", "paused_parent", "campaign 1 is not active; activate it"),
        ("its advertiser", "/v1/advertisers/1", "paused_parent", "advertiser 1 is not active; activate it"),
    ] {
        site.verb(&format!("{path}:pause"));
        soon(&site, &format!("{what} pauses"), None);
        status(&site, effective, why);
        site.verb(&format!("{path}:activate"));
        soon(&site, &format!("{what} is active"), Some(3.1));
        status(&site, "serving", "");
    }
    patch("no creative", ITEM, json!({ "creatives": null }), None);
    status(&site, "no_creative", "assign one");
    patch("a creative", ITEM, json!({ "creatives": [{ "creative": "1" }] }), Some(3.1));
    patch("a flight that is over", ITEM, json!({ "flight": { "end_at": "2020-01-01T00:00:00Z" } }), None);
    status(&site, "ended", "flight.end_at");
    patch(
        "a flight to come",
        ITEM,
        json!({ "flight": { "start_at": "2120-01-01T00:00:00Z", "end_at": null } }),
        None,
    );
    status(&site, "scheduled", "flight.start_at");
    patch("any time", ITEM, json!({ "flight": null }), Some(3.1));
    site.verb("/v1/exchanges/1:pause");
    let asks = |site: &Site| Client::connect(site.bid).bid("north", b"{}").unwrap().status;
    let after = site.until("the exchange is not known", |site| asks(site) == 404);
    assert!(after < SOON, "{after:?}");
    site.verb("/v1/exchanges/1:activate");
    soon(&site, "the exchange is active", Some(3.1));
}

#[test]
fn a_budget_that_is_spent_stops_the_bids_and_a_raise_brings_them_back() {
    let site = bidding();
    let bid = site.bid().unwrap();
    let url = notice_url(&bid, "burl", "2.50");
    let path = url.splitn(4, '/').nth(3).unwrap();
    let reply = Client::connect(site.track).send("GET", &format!("/{path}"), &[], b"").unwrap();
    assert_eq!(reply.header("x-outbid-notice"), Some("accepted"), "{reply:?}");
    let spend = json!({ "amount": "0.0025", "currency": "USD" });
    for (path, what) in [(ITEM, "its lifetime budget"), ("/v1/campaigns/1", "its campaign's lifetime budget")]
    {
        let shown = site.patch(path, &json!({ "budget": { "lifetime": spend } }));
        assert_eq!(shown["budget"]["lifetime"], spend);
        soon(&site, &format!("{what} is cut to the spend"), None);
        status(&site, "no_budget", what);
        site.patch(path, &json!({ "budget": { "lifetime": "10.00" } }));
        soon(&site, &format!("{what} is raised"), Some(2.5));
        status(&site, "serving", "");
    }
    site.fund(1, "0.0025");
    soon(&site, "the wallet is empty", None);
    status(&site, "no_budget", "wallet");
    site.fund(1, "10.00");
    soon(&site, "the wallet is full", Some(2.5));
    status(&site, "serving", "");
}

#[test]
fn of_a_hundred_who_change_one_version_exactly_one_does() {
    let site = bidding();
    // No name comes twice: who asks for what is there already changes nothing, and is no rival.
    let named = |n: usize, round: usize| format!("by {n} in round {round}");
    let name = |n, round| json!({ "name": named(n, round), "bid": { "max": "9.00" } }).to_string();
    for round in 0..3 {
        let before = site.get(ITEM)["version"].as_u64().unwrap();
        let (seen, together) = (format!("\"{before}\""), Barrier::new(100));
        let replies: Vec<(usize, crate::server::Reply)> = std::thread::scope(|scope| {
            let call = |n: usize| {
                let (site, seen, together) = (&site, &seen, &together);
                scope.spawn(move || {
                    together.wait();
                    // Every tenth has looked at nothing.
                    let guard = [MERGE, ("if-match", seen.as_str())];
                    let guard = if n.is_multiple_of(10) { &guard[..1] } else { &guard };
                    (n, site.call("PATCH", ITEM, guard, &name(n, round)))
                })
            };
            let calls: Vec<_> = (0..100).map(call).collect();
            calls.into_iter().map(|call| call.join().unwrap()).collect()
        });
        let of = |status: u16| replies.iter().filter(|(_, reply)| reply.status == status).count();
        assert_eq!((of(200), of(412), of(428)), (1, 89, 10));
        let (winner, _) = replies.iter().find(|(_, reply)| reply.status == 200).unwrap();
        let after = site.get(ITEM);
        assert_eq!(
            (&after["version"], &after["name"]),
            (&(before + 1).into(), &named(*winner, round).into())
        );
        for (_, reply) in replies.iter().filter(|(_, reply)| reply.status == 412) {
            problem(reply);
            assert_eq!(reply.header("etag"), after["etag"].as_str(), "the version to look at next");
        }
    }
    // Who reads again and repeats is served in the end, each by a version of its own.
    let won: Vec<u64> = std::thread::scope(|scope| {
        let change = |n: usize| {
            let site = &site;
            scope.spawn(move || {
                loop {
                    let seen = site.get(ITEM)["etag"].as_str().unwrap().to_owned();
                    let reply = site.call("PATCH", ITEM, &[MERGE, ("if-match", &seen)], &name(n, 3));
                    match reply.status {
                        200 => break reply.json()["version"].as_u64().unwrap(),
                        412 | 503 => {}
                        status => panic!("{status}: {}", reply.text()),
                    }
                }
            })
        };
        let changes: Vec<_> = (0..20).map(change).collect();
        changes.into_iter().map(|change| change.join().unwrap()).collect()
    });
    assert_eq!(won.iter().collect::<BTreeSet<_>>().len(), 20);
    assert_eq!(won.iter().max(), site.get(ITEM)["version"].as_u64().as_ref());
}

#[test]
fn a_trial_changes_neither_the_database_nor_a_bid_and_the_next_change_works() {
    let site = bidding();
    let before = site.get(ITEM);
    let metric = "outbid_account_reloads_total{outcome=\"published\"}";
    // A bid is there a moment before what brought it is counted.
    let mut published = site.metric(metric);
    site.until("everything before is counted", |site| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        std::mem::replace(&mut published, site.metric(metric)) == published
    });
    let price = json!({ "bid": { "amount": "4.00", "max": "4.00" } });
    let tried = site.patch(&format!("{ITEM}?validate_only=true"), &price);
    assert_eq!(tried["bid"]["amount"]["amount"], "4.00", "what would be is shown");
    assert_eq!(site.verb(&format!("{ITEM}:pause?validate_only=true"))["effective_status"], "paused");
    let body = line_item("Another").to_string();
    let json = [("content-type", "application/json")];
    let made = site.call("POST", "/v1/line_items?validate_only=true", &json, &body);
    assert_eq!((made.status, made.header("location")), (200, None), "{}", made.text());
    let wrong = r#"{ "bid": { "amount": "x" } }"#;
    let path = format!("{ITEM}?validate_only=true");
    let refused = site.refused(422, "PATCH", &path, &[MERGE, ANY_VERSION], wrong);
    assert_eq!(refused["errors"][0]["pointer"], "/bid/amount");
    assert_eq!(site.get(ITEM), before);
    assert_eq!(site.get("/v1/line_items?total=true")["total"], 1);
    assert_eq!((site.price(), site.metric(metric)), (Some(2.5), published));
    let changed = site.patch(ITEM, &price);
    assert_eq!(changed["version"].as_u64(), before["version"].as_u64().map(|version| version + 1));
    soon(&site, "the real change", Some(4.0));
    assert_eq!(site.make("line_items", &line_item("Another"))["id"], "2", "a trial uses up no id");
}

#[test]
fn a_restart_keeps_everything() {
    let mut site = bidding();
    site.patch(
        ITEM,
        &json!({ "bid": { "amount": "3.30", "max": "3.30" }, "notes": "kept", "labels": { "a": "b" } }),
    );
    site.patch("/v1/safety", &json!({ "domains": ["bad.example"] }));
    site.make("creatives", &super::calls::creative("Second"));
    site.call("DELETE", "/v1/creatives/2", &[], "");
    let all = |site: &Site| -> Vec<Value> {
        let lists = [
            "exchanges",
            "advertisers",
            "campaigns",
            "creatives",
            "segments",
            "line_items",
            "rates",
            "safety",
        ];
        lists.iter().map(|list| site.get(&format!("/v1/{list}"))).collect()
    };
    let before = all(&site);
    assert_eq!(before[3]["creatives"][1]["status"], "archived");
    soon(&site, "before the restart", Some(3.3));
    site.restart();
    assert_eq!(all(&site), before);
    site.until("after the restart", |site| site.price() == Some(3.3));
    let third = site.make("creatives", &super::calls::creative("Third"));
    assert_eq!(third["id"], "3", "an id is never used twice");
}

#[test]
fn what_is_taken_back_leaves_what_bids_where_it_was() {
    let site = bidding();
    site.call("DELETE", ITEM, &[], "");
    soon(&site, "archived", None);
    assert_eq!(site.get(ITEM)["effective_status"], "archived");
    let refused = site.refused(409, "POST", &format!("{ITEM}:activate"), &[], "");
    assert_eq!(refused["errors"][0]["pointer"], "/status");
    site.refused(409, "PATCH", ITEM, &[MERGE, ANY_VERSION], r#"{ "status": "active" }"#);
    assert_eq!(site.get(ITEM)["status"], "archived");
    site.make("line_items", &line_item("Its successor"));
    soon(&site, "its successor", Some(2.5));
}

#[test]
fn an_exchange_without_a_secret_is_refused_beyond_loopback() {
    let site = Site::fresh(&["listen.bid=0.0.0.0:0"]);
    let json = [("content-type", "application/json")];
    let open = exchange("north").to_string();
    let refused = site.refused(422, "POST", "/v1/exchanges", &json, &open);
    assert_eq!(refused["errors"][0]["pointer"], "/auth");
    let mut closed = exchange("north");
    closed["auth"] = json!({ "type": "path", "secret": "Zm9vYmFyLWZvb2Jhcl8x" });
    site.make("exchanges", &closed);
    let open = json!({ "auth": { "type": "loopback_only", "secret": null } });
    let refused = site.refused(422, "PATCH", "/v1/exchanges/1", &[MERGE], &open.to_string());
    assert_eq!(refused["errors"][0]["pointer"], "/auth");
    // One that is not served may be what it likes.
    let paused = json!({ "auth": { "type": "loopback_only", "secret": null }, "status": "paused" });
    site.patch("/v1/exchanges/1", &paused);
    site.refused(422, "POST", "/v1/exchanges/1:activate", &[], "");
}

#[test]
fn an_account_that_cannot_be_served_is_told_of_and_what_was_served_is_served_on() {
    let site = bidding();
    let maps = site.path().join("taxonomies");
    std::fs::create_dir(&maps).unwrap();
    std::fs::write(maps.join("1-to-8.tsv"), "no map").unwrap();
    site.patch(ITEM, &json!({ "bid": { "amount": "3.00", "max": "3.00" } }));
    let gauge = "outbid_account_last_reload_success";
    site.until("the gauge says so", |site| site.metric(gauge) == 0.0);
    let reply = site.call("POST", "/v1/account/reload", &[], "");
    assert_eq!((reply.status, &problem(&reply)["errors"][0]["code"]), (422, &"category_maps".into()));
    assert!(site.log().contains("the account was not taken up"));
    assert_eq!((site.price(), site.metric(gauge)), (Some(2.5), 0.0));
    std::fs::remove_dir_all(&maps).unwrap();
    assert_eq!(site.call("POST", "/v1/account/reload", &[], "").status, 200);
    assert_eq!((site.price(), site.metric(gauge)), (Some(3.0), 1.0));
}
