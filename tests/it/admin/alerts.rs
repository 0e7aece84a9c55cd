//! What is wrong is told over HTTP, to whom it belongs, with what to do.

use super::calls::{Calls, JSON, KEY, creative, line_item, request};
use super::site::Site;
use crate::server::Client;
use serde_json::{Value, json};

#[test]
fn what_is_wrong_is_told_to_whom_it_belongs() {
    let site = Site::fresh(&[]);
    site.make_all();
    let changed = |name: &str, member: &str, value: Value| {
        let mut item = line_item(name);
        item[member] = value;
        site.make("line_items", &item)["id"].as_str().unwrap().to_owned()
    };
    let bare = changed("Without a creative", "creatives", json!([]));
    let far = changed("Far away", "targeting", json!({ "countries": { "include": ["FRA"] } }));
    site.make("accounts", &json!({ "name": "Others" }));
    let mut other = super::calls::advertiser("Rival");
    other["account_id"] = "2".into();
    site.make("advertisers", &other);
    site.make("campaigns", &json!({ "name": "Theirs", "advertiser_id": "2", "status": "active" }));
    let mut theirs = creative("Theirs");
    theirs["advertiser_id"] = "2".into();
    theirs["approval"] = "approved".into();
    site.make("creatives", &theirs);
    let mut theirs = line_item("Theirs");
    (theirs["campaign_id"], theirs["creatives"]) = ("2".into(), json!([{ "creative": "2" }]));
    let theirs = site.make("line_items", &theirs)["id"].as_str().unwrap().to_owned();
    site.until("the first bid", |site| site.price() == Some(2.5));

    // Six of its bids are lost because of the size, the others because somebody pays more.
    let (mut client, mut tracker, mut body) =
        (Client::connect(site.bid), Client::connect(site.track), request());
    body["imp"][0]["pmp"] = Value::Null;
    let mut bids = 0;
    while bids < 40 {
        body["id"] = format!("lost-{bids}").into();
        let reply = client.bid("north", body.to_string().as_bytes()).unwrap();
        if reply.status != 200 {
            std::thread::sleep(std::time::Duration::from_millis(20));
            continue;
        }
        let lurl = reply.json()["seatbid"][0]["bid"][0]["lurl"].as_str().unwrap().to_owned();
        let code = if bids < 6 { "203" } else { "102" };
        let path = lurl.replace("${AUCTION_LOSS}", code);
        let path = &path[path.find("/l/").unwrap()..];
        assert_eq!(tracker.send("GET", path, &[], b"").unwrap().status, 204, "{path}");
        bids += 1;
    }
    let funnel = site.get("/v1/line_items/1/funnel")["total"].clone();
    let lost: Vec<(&str, u64)> = funnel["losses_by_code"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["code"].as_str().unwrap(), row["losses"].as_u64().unwrap()))
        .collect();
    assert_eq!(lost, [("102", 34), ("203", 6)], "{funnel:#}");
    assert_eq!(funnel["losses"], 40);
    let exchange = site.get("/v1/exchanges/1/funnel")["total"].clone();
    assert_eq!(
        (&exchange["losses"], &exchange["losses_by_code"]),
        (&funnel["losses"], &funnel["losses_by_code"])
    );

    // Those that never bid have a thousand requests behind them.
    for nth in 0..1_000 {
        body["id"] = format!("more-{nth}").into();
        body["imp"][0]["bidfloor"] = 99.into();
        client.bid("north", body.to_string().as_bytes()).unwrap();
    }
    let alerts = |key: &str, query: &str| {
        let bearer = format!("Bearer {key}");
        let headers = [("authorization", bearer.as_str())];
        let path = format!("/v1/alerts{query}");
        let reply = Client::connect(site.admin).send("GET", &path, &headers, b"").unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        let told = |row: &Value| {
            let text = |name: &str| row[name].as_str().unwrap().to_owned();
            (text("resource_kind"), text("resource_id"), text("code"))
        };
        reply.json()["alerts"].as_array().unwrap().iter().map(told).collect::<Vec<_>>()
    };
    let row = |id: &str, code: &str| ("line_item".to_owned(), id.to_owned(), code.to_owned());
    site.until("health is looked at again", |_| alerts(KEY, "").contains(&row(&far, "no_bids")));
    let all = alerts(KEY, "");
    assert_eq!(all[0], row(&bare, "not_serving"), "the worst first: {all:?}");
    assert!(all.contains(&row("1", "creative_rejected")), "{all:?}");
    assert!(
        all.contains(&("exchange".to_owned(), "1".to_owned(), "creative_rejected".to_owned())),
        "{all:?}"
    );
    assert!(all.contains(&row(&theirs, "not_serving")), "it has no money: {all:?}");
    let shown = site.get("/v1/line_items/1");
    assert_eq!(
        (&shown["alerts"], &shown["health"]),
        (&json!(["creative_rejected"]), &json!("unknown")),
        "{shown:#}"
    );
    assert_eq!(site.get(&format!("/v1/line_items/{bare}"))["health"], "inactive");

    // A tenant hears of its own, and of no exchange.
    let key = json!({ "name": "theirs", "role": "analyst", "account_id": "2" }).to_string();
    let made = site.call("POST", "/v1/api_keys", &[JSON], &key);
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(alerts(made.json()["secret"].as_str().unwrap(), ""), [row(&theirs, "not_serving")]);

    // Some of them.
    assert_eq!(alerts(KEY, "?filter[code]=no_bids"), [row(&far, "no_bids")]);
    assert_eq!(alerts(KEY, "?filter[line_item_id]=1"), [row("1", "creative_rejected")]);
    assert!(alerts(KEY, "?filter[severity]=error").iter().all(|(_, _, code)| code != "creative_rejected"));
    for query in ["filter[severity]=bad", "filter[code]=bad", "filter[line_item_id]=x", "severity=error"] {
        site.refused(400, "GET", &format!("/v1/alerts?{query}"), &[], "");
    }
}
