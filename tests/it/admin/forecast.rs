//! A day of a line item, by the API: of one that there is, of a draft, with changes that are tried; nobody else's.

use super::calls::{Calls as _, JSON, line_item};
use super::site::Site;
use crate::server::Client;
use serde_json::{Value, json};

#[test]
fn a_line_item_and_a_draft_are_forecast_for_their_owner_and_nothing_is_changed() {
    let site = Site::fresh(&[]);
    site.make_all();
    let ask = |path: &str, body: &Value| {
        let reply = site.call("POST", path, &[JSON], &body.to_string());
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    };
    let live = ask("/v1/line_items/1:forecast", &json!({}));
    assert_eq!(live["line_item_id"], "1");
    // No request was sampled yet: nothing is said, and that.
    assert_eq!((&live["n"], &live["avails"], &live["impressions"]), (&json!(0), &json!(0), &Value::Null));
    assert!(live["warnings"][0].as_str().unwrap().contains("no sampled request"), "{live}");
    let draft = ask("/v1/line_items:forecast", &json!({ "line_item": line_item("Draft"), "days": 7 }));
    assert_eq!(draft["line_item_id"], Value::Null);
    let before = site.call("GET", "/v1/line_items/1", &[], "").json();
    let changes = json!({ "name": "Other", "targeting": { "countries": { "include": ["FRA"] } } });
    ask("/v1/line_items/1:forecast", &json!({ "changes": changes, "bids": ["1.00", "2.50"] }));
    assert_eq!(site.call("GET", "/v1/line_items/1", &[], "").json(), before);
    let all = site.call("GET", "/v1/line_items?total=true", &[], "").json();
    assert_eq!(all["total"], 1, "the draft was not kept");
    for (path, body, pointer) in [
        ("/v1/line_items/1:forecast", json!({ "days": 0 }), "/days"),
        ("/v1/line_items/1:forecast", json!({ "days": 8 }), "/days"),
        ("/v1/line_items/1:forecast", json!({ "bids": "1.00" }), "/bids"),
        ("/v1/line_items/1:forecast", json!({ "bids": ["1.00", "-1"] }), "/bids/1"),
        ("/v1/line_items/1:forecast", json!({ "changes": [] }), "/changes"),
        (
            "/v1/line_items/1:forecast",
            json!({ "changes": { "bid": { "amount": "x" } } }),
            "/changes/bid/amount",
        ),
        ("/v1/line_items/1:forecast", json!({ "more": 1 }), "/more"),
        ("/v1/line_items:forecast", json!({}), "/line_item"),
        ("/v1/line_items:forecast", json!({ "line_item": { "name": "x" } }), "/line_item/campaign_id"),
    ] {
        let refused = site.refused(422, "POST", path, &[JSON], &body.to_string());
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
    }
    // Another tenant's line item is not there.
    let made = site.call("POST", "/v1/accounts", &[JSON], &json!({ "name": "Other" }).to_string());
    let account = made.json()["id"].as_str().unwrap().to_owned();
    let key = json!({ "name": "trader", "role": "trader", "account_id": account }).to_string();
    let secret =
        site.call("POST", "/v1/api_keys", &[JSON], &key).json()["secret"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {secret}");
    let headers = [("authorization", bearer.as_str()), JSON];
    let mut client = Client::connect(site.admin);
    for (path, body) in [
        ("/v1/line_items/1:forecast", json!({})),
        ("/v1/line_items/1:forecast", json!({ "changes": { "name": "mine" } })),
    ] {
        let reply = client.send("POST", path, &headers, body.to_string().as_bytes()).unwrap();
        assert_eq!(reply.status, 404, "{}", reply.text());
    }
    let body = json!({ "line_item": line_item("In another's campaign") }).to_string();
    let reply = client.send("POST", "/v1/line_items:forecast", &headers, body.as_bytes()).unwrap();
    assert!((400..500).contains(&reply.status), "{}", reply.text());
}
