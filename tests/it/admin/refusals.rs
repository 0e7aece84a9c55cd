//! What refuses bids for a while: an exchange that has used up its first trust is told of, and funnels compare times that are
//! equally long.

use super::calls::{Calls, exchange, request};
use super::site::Site;
use crate::server::Client;
use serde_json::{Value, json};

#[test]
fn an_exchange_that_is_trusted_no_further_is_told_of_wherever_somebody_looks() {
    let site = Site::fresh(&[]);
    site.make_all();
    let mut south = exchange("south");
    // For eight bids of 2.50 CPM.
    south["house"] = json!({ "first_trust": { "amount": "0.02", "currency": "USD" } });
    site.make("exchanges", &south);
    site.until("the first bid", |site| site.price() == Some(2.5));
    let asked = json!({ "exchange": "south", "request": request() }).to_string();
    let explain = || site.call("POST", "/v1/line_items/1:explain", &[super::calls::JSON], &asked);
    site.until("the second exchange", |_| explain().status == 200);
    let mut client = Client::connect(site.bid);
    let mut ask = |from: usize, until: usize| {
        (from..until)
            .filter(|nth| {
                let mut body = request();
                body["id"] = format!("south-{nth}").into();
                client.bid("south", body.to_string().as_bytes()).unwrap().status == 200
            })
            .count()
    };
    assert!(ask(0, 40) <= 8, "no more than it is trusted with");
    assert_eq!(ask(40, 140), 0);
    let told = explain().json();
    let row = &told["imps"][0]["line_items"][0];
    assert_eq!((&row["bids"], &row["reason"]), (&json!(false), &json!("breaker")), "{told:#}");
    assert_eq!(row["field"], "exchanges.house.first_trust", "{row:#}");
    assert!(row["detail"].as_str().unwrap().contains("has never billed"), "{row:#}");
    let alerts = || site.get("/v1/alerts?filter[code]=breaker")["alerts"].clone();
    site.until("the alert", |_| alerts().as_array().is_some_and(|all| all.len() == 1));
    let alert = alerts()[0].clone();
    assert_eq!((&alert["resource_kind"], &alert["name"]), (&json!("exchange"), &json!("south")), "{alert:#}");
    assert!(alert["advice"].as_str().unwrap().contains("GET /v1/ledger"), "{alert:#}");
    // Where people are sent there is something to see.
    assert_eq!(site.call("GET", "/v1/ledger", &[], "").status, 200);
    assert_eq!(site.call("GET", "/v1/kill_switches", &[], "").status, 200);
}

#[test]
fn times_that_are_compared_are_equally_long_and_apart() {
    let site = Site::fresh(&[]);
    site.make_all();
    let at = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second();
    let now = at(&site.get("/v1/line_items/1/funnel")["as_of"]);
    for ago_s in [3_600, 3_600 + 90, 7_200, 20 * 3_600] {
        let moment = jiff::Timestamp::from_second(now - ago_s).unwrap();
        let shown = site.get(&format!("/v1/line_items/1/funnel?compare_from={moment}"));
        let (from, to) = (at(&shown["from"]), at(&shown["to"]));
        let (other_from, other_to) = (at(&shown["compare"]["from"]), at(&shown["compare"]["to"]));
        assert_eq!(to - from, other_to - other_from, "{ago_s}: {shown:#}");
        assert!(other_to <= from, "{ago_s}: {shown:#}");
    }
    // What came before it was made is not its own.
    site.until("the first bid", |site| site.price() == Some(2.5));
    let headline = site.get("/v1/line_items/1/funnel")["headline"].clone();
    assert!(headline.as_str().unwrap().contains("requests from before it was made at "), "{headline}");
}
