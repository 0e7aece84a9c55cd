//! Rows of the checklist (docs/openrtb.md) that only HTTP shows, named after them.

use super::{Reply, Server, Setup, good_request, notice_url as url};
use outbid::budget::{AccountKey, Terms, hold_for};
use outbid::model::ids::AdvertiserId;
use outbid::model::money::Cpm;
use outbid::model::rates::Rate;
use outbid::model::safety::Safety;
use serde_json::{Value, json};

fn spent(server: &Server) -> i64 {
    server.shared.ledger().balance(AccountKey::Wallet(AdvertiserId(1))).posted.0
}

fn held(server: &Server) -> i64 {
    server.shared.ledger().held_by_exchange().values().map(|held| held.0).sum()
}

#[track_caller]
fn told(reply: &Reply, class: &str) {
    assert_eq!((reply.status, reply.header("x-outbid-notice")), (204, Some(class)), "{reply:?}");
}

#[test]
fn row_1_0_any_version_is_read_and_answered_with_ours() {
    let server = Setup::demo().start();
    let body = good_request("v").to_string();
    for version in ["2.5", "2.6", "2.3", "3.0", "2.6-202606", "nonsense", ""] {
        let headers = [("content-type", "application/json"), ("x-openrtb-version", version)];
        let reply = server.exchange().send("POST", "/openrtb2/demo", &headers, body.as_bytes()).unwrap();
        assert_eq!((reply.status, reply.header("x-openrtb-version")), (200, Some("2.6")), "{version:?}");
    }
    // Where a field stands decides, not the version that is named: a 2.5 place counts in a request that says 2.6.
    let mut request = good_request("v");
    request["regs"] = json!({"ext": {"dsa": {"dsarequired": 3}, "gdpr": 1}});
    assert_eq!(server.bid("demo", &request).status, 204);
}

#[test]
fn mistake_2_a_win_notice_is_no_spend() {
    let server = Setup::demo().start();
    let bid = server.only_bid("demo", &good_request("w"));
    let before = held(&server);
    for method in ["GET", "POST"] {
        server.track(method, &url(&bid, "nurl", "1.5"));
    }
    assert_eq!((spent(&server), held(&server)), (0, before));
    told(&server.track("GET", &url(&bid, "burl", "1.5")), "accepted");
    assert!(spent(&server) > 0);
}

/// What a bill of this price charges for a play of so many millionths of an impression.
fn charge(price: i64, multiplier_ppm: i64) -> i64 {
    let terms = Terms { rate: Rate::ONE, data_fee: Cpm(150_000), platform_ppm: 50_000, multiplier_ppm };
    hold_for(Cpm(price), &terms).unwrap().0
}

#[test]
fn row_1_13_spend_is_the_price_times_the_multiplier() {
    for (multiplier, ppm) in [(json!(1), 1_000_000), (json!(2.5), 2_500_000), (json!(0.4), 400_000)] {
        let server = Setup::demo().start();
        let mut request = good_request("q");
        request["imp"][0]["qty"] = json!({"multiplier": multiplier, "sourcetype": 1, "vendor": "v"});
        let bid = server.only_bid("demo", &request);
        assert_eq!(held(&server), charge(2_100_000, ppm), "{multiplier}");
        told(&server.track("GET", &url(&bid, "burl", "1.2")), "accepted");
        assert_eq!(spent(&server), charge(1_200_000, ppm), "{multiplier}");
        assert_eq!(held(&server), 0);
    }
}

#[test]
fn row_1_13_a_notice_counts_once_however_it_comes() {
    let server = Setup::demo().start();
    let bid = server.only_bid("demo", &good_request("n"));
    let bill = url(&bid, "burl", "1");
    told(&server.track("POST", &bill), "accepted");
    for method in ["GET", "POST", "GET"] {
        told(&server.track(method, &bill), "duplicate");
    }
    assert_eq!(spent(&server), charge(1_000_000, 1_000_000));
}

#[test]
fn row_1_15_a_reason_with_a_code_is_told_to_who_wants_it() {
    let strict = Safety {
        crawlers: true,
        impossible_devices: true,
        complete_supply_chain: false,
        publishers: vec!["p-1".to_owned()],
        ..Safety::default()
    };
    let server = Setup::demo()
        .account(|account| {
            account.exchanges[0].send_nbr = true;
            account.safety = strict;
        })
        .start();
    let check = |change: &dyn Fn(&mut Value), expected: Option<i64>| {
        let mut request = good_request("r");
        change(&mut request);
        let reply = server.bid("demo", &request);
        match expected {
            Some(nbr) => assert_eq!((reply.status, reply.json()), (200, json!({"id": "r", "nbr": nbr}))),
            None => assert_eq!((reply.status, reply.body.len()), (204, 0)),
        }
    };
    check(&|r| r["app"] = json!({"bundle": "a"}), Some(2));
    check(&|r| r["device"]["ua"] = json!("Googlebot/2.1 (+http://www.google.com/bot.html)"), Some(3));
    check(&|r| r["device"] = json!({"os": "iOS", "devicetype": 2, "geo": {"country": "USA"}}), Some(4));
    check(&|r| r["site"]["publisher"] = json!({"id": "p-1"}), Some(7));
    // The list has no word for these.
    check(&|r| r["imp"][0]["bidfloor"] = json!(90), None);
    check(&|r| r["cur"] = json!(["XXX"]), None);
    check(&|r| r["badv"] = json!(["harbour-mutual.example"]), None);
}

#[test]
fn row_1_16_a_loss_says_why_and_gives_the_money_back() {
    let server = Setup::demo().start();
    for (code, label) in [
        ("102", "102"),
        ("100", "100"),
        ("3", "3"),
        ("205", "205"),
        ("900", "exchange"),
        ("77", "unknown"),
        ("", "none"),
        ("%24%7BAUCTION_LOSS%7D", "none"),
    ] {
        let line = format!("outbid_losses_total{{exchange=\"demo\",code=\"{label}\"}}");
        let before = server.metric(&line);
        let bid = server.only_bid("demo", &good_request("l"));
        assert!(held(&server) > 0);
        let loss = url(&bid, "lurl", "").replace("r=", &format!("r={code}"));
        told(&server.track("GET", &loss), "accepted");
        told(&server.track("GET", &loss), "duplicate");
        assert_eq!((held(&server), spent(&server)), (0, 0), "{code:?}");
        assert_eq!(server.metric(&line), before + 1, "{line}");
    }
    // A test rendering says nothing of losses.
    let bid = server.only_bid("demo", &good_request("l"));
    told(&server.track("GET", &url(&bid, "lurl", "").replace("r=", "r=AUDIT")), "test");
    assert!(held(&server) > 0);
}
