//! Notices over HTTP: each counts once, charges what was agreed and no more, and a click goes where its creative says.

use super::{Reply, Server, Setup, good_request, notice_url as url};
use outbid::budget::{AccountKey, Terms, hold_for};
use outbid::cli::demo::world::CATCH_ALL;
use outbid::model::exchange::{BillingEvent, ExchangeAuth, MissingPrice};
use outbid::model::ids::AdvertiserId;
use outbid::model::money::{Cpm, Nanos};
use outbid::model::rates::Rate;
use serde_json::Value;

/// What the line item for everybody else bids, as an exchange would write it.
const PRICE: &str = "2.1";
/// The same in millionths.
const MICROS: i64 = 2_100_000;

fn spent(server: &Server) -> i64 {
    server.shared.ledger().balance(AccountKey::Wallet(AdvertiserId(1))).posted.0
}

/// What a bill of this price charges: the media cost, the data fee and the platform's share of an impression.
fn charge(price: i64) -> i64 {
    let terms =
        Terms { rate: Rate::ONE, data_fee: Cpm(150_000), platform_ppm: 50_000, multiplier_ppm: 1_000_000 };
    hold_for(Cpm(price), &terms).unwrap().0
}

/// The URL in the markup that begins with this path.
fn in_markup(bid: &Value, path: &str) -> String {
    let markup = bid["adm"].as_str().unwrap();
    let base = format!("{}{path}", super::PUBLIC_URL);
    let at = markup.find(&base).unwrap_or_else(|| panic!("no {base} in {markup}"));
    markup[at..].split('"').next().unwrap().to_owned()
}

fn check(reply: &Reply, status: u16, class: &str) {
    assert_eq!((reply.status, reply.header("x-outbid-notice")), (status, Some(class)), "{reply:?}");
}

fn a_bid(server: &Server) -> Value {
    let bid = server.only_bid("demo", &good_request("n"));
    assert_eq!(bid["price"].as_f64(), Some(2.1));
    bid
}

#[test]
fn a_won_bid_is_charged_once_by_its_billing_notice() {
    let server = Setup::demo().start();
    let bid = a_bid(&server);
    let win = url(&bid, "nurl", "1.2");
    check(&server.track("GET", &win), 204, "accepted");
    check(&server.track("POST", &win), 204, "duplicate");
    assert_eq!(spent(&server), 0, "a win notice of a profile that bills by burl charges nothing");
    let bill = url(&bid, "burl", "1.2");
    check(&server.track("HEAD", &bill), 204, "unseen");
    check(&server.track("POST", &bill), 204, "accepted");
    assert_eq!(spent(&server), charge(1_200_000));
    check(&server.track("GET", &bill), 204, "duplicate");
    check(&server.track("GET", &url(&bid, "burl", "1.9")), 204, "duplicate");
    check(&server.track("GET", &url(&bid, "lurl", "2")), 204, "rejected");
    assert_eq!(spent(&server), charge(1_200_000));
    for (kind, outcome, count) in [
        ("win", "accepted", 1),
        ("win", "duplicate", 1),
        ("billing", "unseen", 1),
        ("billing", "accepted", 1),
        ("billing", "duplicate", 2),
        ("loss", "rejected", 1),
    ] {
        let line = format!("outbid_notices_total{{kind=\"{kind}\",outcome=\"{outcome}\"}}");
        assert_eq!(server.metric(&line), count, "{line}");
    }
}

#[test]
fn a_loss_gives_the_money_back_and_a_later_bill_is_late() {
    let server = Setup::demo().start();
    let held = || server.shared.ledger().held_by_exchange().values().map(|held| held.0).sum::<i64>();
    let bid = a_bid(&server);
    assert_eq!(held(), charge(MICROS));
    let loss = url(&bid, "lurl", "2").replace("r=", "r=102");
    check(&server.track("GET", &loss), 204, "accepted");
    assert_eq!((held(), spent(&server)), (0, 0));
    check(&server.track("GET", &loss), 204, "duplicate");
    check(&server.track("GET", &url(&bid, "burl", "1")), 204, "late");
    assert_eq!(spent(&server), charge(1_000_000));
}

#[test]
fn a_price_above_the_bid_charges_the_hold_and_the_house_bears_the_rest() {
    let server = Setup::demo().start();
    for (price, charged) in [("1500", MICROS), ("2.100001", MICROS), (PRICE, MICROS), ("0", 0)] {
        let before = spent(&server);
        check(&server.track("GET", &url(&a_bid(&server), "burl", price)), 204, "accepted");
        assert_eq!(spent(&server) - before, charge(charged), "{price}");
    }
    assert!(server.shared.ledger().house().overprice > Nanos(0));
}

#[test]
fn a_bill_without_a_usable_price_costs_what_the_profile_says() {
    let unusable = ["", "${AUCTION_PRICE}", "%24%7BAUCTION_PRICE%7D", "abc", "-1", "NaN", "1e999", "1,5"];
    let server = Setup::demo().start();
    for price in unusable {
        let before = spent(&server);
        check(&server.track("GET", &url(&a_bid(&server), "burl", price)), 204, "accepted");
        assert_eq!(spent(&server) - before, charge(MICROS), "{price}: the bid price");
    }
    let strict =
        Setup::demo().account(|account| account.exchanges[0].missing_price = MissingPrice::Reject).start();
    for price in unusable {
        let bid = a_bid(&strict);
        check(&strict.track("GET", &url(&bid, "burl", price)), 204, "rejected");
        assert_eq!(spent(&strict), 0, "{price}");
    }
}

#[test]
fn a_price_in_another_currency_is_no_usable_price() {
    let server = Setup::demo().start();
    let bill = url(&a_bid(&server), "burl", "0.01").replace("c=USD", "c=JPY");
    check(&server.track("GET", &bill), 204, "accepted");
    assert_eq!(spent(&server), charge(MICROS), "the bid price");
    let strict =
        Setup::demo().account(|account| account.exchanges[0].missing_price = MissingPrice::Reject).start();
    let bill = url(&a_bid(&strict), "burl", "0.01").replace("c=USD", "c=JPY");
    check(&strict.track("GET", &bill), 204, "rejected");
    assert_eq!(spent(&strict), 0);
}

#[test]
fn an_audit_rendering_moves_nothing() {
    let server = Setup::demo().start();
    let bid = a_bid(&server);
    for (field, price) in [("nurl", "AUDIT"), ("burl", "AUDIT"), ("burl", "audit"), ("lurl", "AUDIT")] {
        check(&server.track("GET", &url(&bid, field, price)), 204, "test");
    }
    assert_eq!(spent(&server), 0);
    check(&server.track("GET", &url(&bid, "burl", PRICE)), 204, "accepted");
}

#[test]
fn what_browsers_fire_counts_once_and_a_look_ahead_not_at_all() {
    let server = Setup::demo().start();
    let bid = a_bid(&server);
    let pixel = in_markup(&bid, "/i/");
    let mut browser = super::Client::connect(server.at.track);
    let path = pixel.strip_prefix("https://track.example").unwrap();
    for purpose in [("sec-purpose", "prefetch;prerender"), ("purpose", "prefetch"), ("x-moz", "prefetch")] {
        check(&browser.send("GET", path, &[purpose], b"").unwrap(), 200, "unseen");
    }
    check(&browser.send("HEAD", path, &[], b"").unwrap(), 200, "unseen");
    let reply = browser.send("GET", path, &[], b"").unwrap();
    check(&reply, 200, "accepted");
    assert_eq!(reply.header("content-type"), Some("image/gif"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert!(reply.body.starts_with(b"GIF89a") && reply.body.len() < 64);
    check(&browser.send("GET", path, &[], b"").unwrap(), 200, "duplicate");
    check(
        &browser.send("GET", &format!("//x/{}", path.trim_start_matches('/')), &[], b"").unwrap(),
        200,
        "duplicate",
    );
    assert_eq!(server.metric("outbid_notices_total{kind=\"impression\",outcome=\"mangled\"}"), 1);
    assert_eq!(spent(&server), 0, "a pixel of a profile that bills by burl charges nothing");
    let click = server.track("GET", &in_markup(&bid, "/c/"));
    check(&click, 302, "accepted");
    check(&server.track("GET", &in_markup(&bid, "/c/")), 302, "duplicate");
}

#[test]
fn a_click_goes_to_the_creatives_own_page_whatever_is_asked_for() {
    let server = Setup::demo().start();
    let bid = a_bid(&server);
    let click = in_markup(&bid, "/c/");
    let asked = [
        "",
        "?u=https://evil.example/",
        "?u=//evil.example&url=https%3A%2F%2Fevil.example",
        "?redirect=javascript:alert(1)",
        "?%0d%0aLocation:%20https://evil.example",
        "?p=AUDIT",
    ];
    for query in asked {
        let reply = server.track("GET", &format!("{click}{query}"));
        assert_eq!(reply.status, 302, "{query}");
        assert_eq!(reply.header("location"), Some("https://www.harbour-mutual.example/everyone"), "{query}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer-when-downgrade"));
    }
}

#[test]
fn a_forged_token_moves_nothing_and_learns_nothing() {
    let server = Setup::demo().start();
    let bid = a_bid(&server);
    let bill = url(&bid, "burl", PRICE);
    let path = bill.split('?').next().unwrap();
    let token = path.rsplit('/').next().unwrap();
    let flipped = |at: usize| {
        let mut changed = token.as_bytes().to_vec();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(changed).unwrap()
    };
    let click_token = in_markup(&bid, "/c/").rsplit('/').next().unwrap().to_owned();
    let mut forged: Vec<String> = (0..token.len()).step_by(7).map(flipped).collect();
    forged.extend(["x".to_owned(), token[1..].to_owned(), format!("{token}A"), click_token]);
    for token in &forged {
        for route in ["n", "b", "l"] {
            let reply = server.track("GET", &format!("/{route}/{token}?p=1"));
            assert_eq!(
                (reply.status, reply.body.len(), reply.header("x-outbid-notice")),
                (403, 0, None),
                "{token}"
            );
        }
    }
    // What a server fires does not verify where browsers do.
    for token in forged[..forged.len() - 1].iter().chain([&token.to_owned()]) {
        let pixel = server.track("GET", &format!("/i/{token}.gif"));
        assert_eq!((pixel.status, pixel.header("content-type")), (200, Some("image/gif")), "{token}");
        let click = server.track("GET", &format!("/c/{token}?u=https://evil.example"));
        assert_eq!((click.status, click.header("location")), (404, None), "{token}");
    }
    for path in ["/", "/x/abc", "/b", "/favicon.ico"] {
        assert_eq!(server.track("GET", path).status, 404, "{path}");
    }
    assert_eq!(server.track("DELETE", &bill).status, 405);
    assert_eq!(spent(&server), 0);
    let line = "outbid_notices_total{kind=\"billing\",outcome=\"forged\"}";
    assert_eq!(server.metric(line), forged.len() as u64);
    check(&server.track("GET", &bill), 204, "accepted");
}

#[test]
fn each_billing_event_charges_by_its_own_notice_only() {
    for (event, charging) in
        [(BillingEvent::Burl, "burl"), (BillingEvent::Nurl, "nurl"), (BillingEvent::Impression, "/i/")]
    {
        let server = Setup::demo().account(|account| account.exchanges[0].billing_event = event).start();
        let bid = a_bid(&server);
        assert_eq!(bid["burl"].is_string(), event == BillingEvent::Burl, "{event:?}");
        let fired = ["nurl", "burl", "/i/", "/c/"]
            .into_iter()
            .filter(|name| bid["burl"].is_string() || *name != "burl");
        for name in fired {
            let before = spent(&server);
            // A browser could rewrite the price of a pixel, so that one charges what was bid.
            let (url, price) = match name {
                "nurl" | "burl" => (url(&bid, name, "1"), 1_000_000),
                path => (format!("{}?p=0", in_markup(&bid, path)), MICROS),
            };
            server.track("GET", &url);
            let expected = if name == charging { charge(price) } else { 0 };
            assert_eq!(spent(&server) - before, expected, "{event:?}: {name}");
        }
    }
}

#[test]
fn only_a_profile_for_loopback_is_told_what_became_of_a_notice() {
    let server = Setup::demo()
        .account(|account| account.exchanges[0].auth = ExchangeAuth::PathSecret("s".repeat(16)))
        .start();
    let reply = server.bid(&format!("demo/{}", "s".repeat(16)), &good_request("n"));
    let bid = reply.json()["seatbid"][0]["bid"][0].clone();
    let reply = server.track("GET", &url(&bid, "burl", PRICE));
    assert_eq!((reply.status, reply.header("x-outbid-notice")), (204, None));
    assert_eq!(spent(&server), charge(MICROS));
}

#[test]
fn an_exchange_may_mangle_the_urls_and_is_understood() {
    let server = Setup::demo().start();
    let shapes: [fn(&str) -> String; 4] = [
        |url| url.replace('&', "&amp;"),
        |url| url.replace("/b/", "//b//"),
        |url| url.replace("/ob/b/", "/b/"),
        |url| format!("{url}&x=%00%zz&&="),
    ];
    for shape in shapes {
        let before = spent(&server);
        let mangled = shape(&url(&a_bid(&server), "burl", "0.75"));
        check(&server.track("GET", &mangled), 204, "accepted");
        assert_eq!(spent(&server) - before, charge(750_000), "{mangled}");
    }
}

#[test]
fn delivery_of_a_line_item_adds_up_in_the_balances() {
    let server = Setup::demo().start();
    for round in 0..6 {
        let bid = a_bid(&server);
        server.track("GET", &url(&bid, "nurl", "1"));
        server.track("GET", &in_markup(&bid, "/i/"));
        if round % 2 == 0 {
            server.track("GET", &url(&bid, "burl", "1"));
            server.track("GET", &in_markup(&bid, "/c/"));
        }
    }
    server.track("GET", &url(&a_bid(&server), "lurl", ""));
    let key = format!("Bearer {}", super::ADMIN_KEY);
    let mut admin = super::Client::connect(server.at.admin);
    let reply = admin.send("GET", "/v1/balances", &[("authorization", &key)], b"").unwrap();
    assert_eq!(reply.status, 200);
    let balances = reply.json();
    let lines = balances["line_items"].as_array().unwrap();
    let line = lines.iter().find(|line| line["id"] == CATCH_ALL.to_string()).unwrap();
    let counts =
        ["wins", "billed", "impressions", "clicks", "losses"].map(|name| line[name].as_u64().unwrap());
    assert_eq!(counts, [6, 3, 6, 3, 1]);
    let nanos = |value: &Value| Nanos::parse_decimal(value.as_str().unwrap()).unwrap().0;
    let sum = |list: &str| {
        let each = balances[list].as_array().unwrap().iter();
        each.map(|entry| nanos(&entry["lifetime"]["spent"])).sum::<i64>()
    };
    let wallet = nanos(&balances["advertisers"][0]["wallet"]["spent"]);
    assert_eq!([wallet, sum("campaigns"), sum("line_items")], [3 * charge(1_000_000); 3]);
    assert_eq!(nanos(&balances["house"]["overprice"]), 0);
}

#[test]
fn what_players_report_counts_once_by_event_and_moves_no_money() {
    let server = Setup::demo().start();
    let bid = a_bid(&server);
    let pixel = in_markup(&bid, "/i/");
    let token = pixel.rsplit('/').next().unwrap().trim_end_matches(".gif");
    let mut browser = super::Client::connect(server.at.track);
    let mut fire = |method: &str, query: &str| {
        browser.send(method, &format!("/ob/e/{token}?{query}"), &[], b"").unwrap()
    };
    let names =
        ["start", "first_quartile", "midpoint", "third_quartile", "complete", "skip", "error", "click"];
    for name in names {
        let reply = fire("GET", &format!("e={name}"));
        check(&reply, 200, "accepted");
        assert_eq!(reply.header("content-type"), Some("image/gif"));
        check(&fire("POST", &format!("e={name}&c=402")), 200, "duplicate");
        let line = |outcome| format!("outbid_player_events_total{{event=\"{name}\",outcome=\"{outcome}\"}}");
        assert_eq!([server.metric(&line("accepted")), server.metric(&line("duplicate"))], [1, 1], "{name}");
    }
    check(&fire("HEAD", "e=midpoint"), 200, "unseen");
    // A click that a player reports is the click of the click URL.
    check(&server.track("GET", &in_markup(&bid, "/c/")), 302, "duplicate");
    for odd in ["", "e=", "e=play", "e=impression", "e=%24%7BX%7D", "x=start"] {
        check(&fire("GET", odd), 200, "rejected");
    }
    let line = "outbid_player_events_total{event=\"unknown\",outcome=\"rejected\"}";
    assert_eq!(server.metric(line), 6);
    check(
        &browser.send("GET", pixel.strip_prefix("https://track.example").unwrap(), &[], b"").unwrap(),
        200,
        "accepted",
    );
    let forged = browser.send("GET", "/ob/e/AAAA?e=start", &[], b"").unwrap();
    assert_eq!((forged.status, forged.header("content-type")), (200, Some("image/gif")));
    assert_eq!(spent(&server), 0);
}

#[test]
fn a_test_rendering_of_any_macro_gives_no_money_back() {
    let server = Setup::demo().start();
    let held = || server.shared.ledger().held_by_exchange().values().map(|held| held.0).sum::<i64>();
    let bid = a_bid(&server);
    let before = held();
    let loss = url(&bid, "lurl", "").replace("r=", "r=AUDIT");
    check(&server.track("GET", &loss), 204, "test");
    assert_eq!(held(), before);
}
