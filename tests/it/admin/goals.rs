//! What line items pay for, as the API takes and shows it.

use super::calls::{ANY_VERSION, Bare, Calls, JSON, MERGE, line_item};
use serde_json::{Value, json};

fn filled() -> Bare {
    let bare = Bare::in_memory();
    bare.make_all();
    bare.make("conversions", &json!({ "name": "Order", "advertiser_id": "1", "status": "active" }));
    bare
}

fn with(bid: Value, more: Value) -> Value {
    let mut item = line_item("goal");
    item["bid"] = bid;
    item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    item
}

fn warned(shown: &Value) -> Vec<&str> {
    let warnings = shown["warnings"].as_array().into_iter().flatten();
    warnings.map(|warning| warning["pointer"].as_str().unwrap()).collect()
}

#[test]
fn amounts_are_money_but_for_a_return() {
    let bare = filled();
    let dollars = |amount: &str| json!({ "amount": amount, "currency": "USD" });
    let click = json!({ "strategy": "max_cpc", "amount": dollars("0.50"), "max": "8.00", "min": { "micros": 100_000 } });
    let made = bare.make("line_items", &with(click, json!({})));
    let expected = json!({
        "strategy": "max_cpc", "amount": dollars("0.50"), "max": dollars("8.00"), "min": dollars("0.100000"),
    });
    assert_eq!(made["bid"], expected);

    let work = json!({ "conversion_ids": ["1"] });
    let returned = json!({ "strategy": "target_roas", "amount": "4.0", "max": "8.00" });
    let made = bare.make("line_items", &with(returned, work.clone()));
    let expected = json!({ "strategy": "target_roas", "amount": "4.0", "max": dollars("8.00") });
    assert_eq!(made["bid"], expected);
    let money = json!({ "strategy": "target_roas", "amount": dollars("4.0"), "max": "8.00" });
    let refused = bare.refused(422, "POST", "/v1/line_items", &[JSON], &with(money, work).to_string());
    assert_eq!(refused["errors"].as_array().unwrap().len(), 1, "{refused}");
    assert_eq!(refused["errors"][0]["pointer"], "/bid/amount");
    assert!(refused["errors"][0]["message"].as_str().unwrap().contains("no money"), "{refused}");
    // What was a return becomes money with its strategy.
    let path = format!("/v1/line_items/{}", made["id"].as_str().unwrap());
    let changed = bare.patch(&path, &json!({ "bid": { "strategy": "target_cpa", "amount": "20.00" } }));
    assert_eq!(changed["bid"]["amount"], dollars("20.00"));
    let patch = json!({ "bid": { "strategy": "max_conversions" } }).to_string();
    let refused = bare.refused(422, "PATCH", &path, &[MERGE, ANY_VERSION], &patch);
    let mut pointers: Vec<&str> = refused["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/bid/amount", "/pacing/mode"]);
    let patch = json!({
        "bid": { "strategy": "max_conversions", "amount": null }, "pacing": { "mode": "even" },
        "budget": { "daily": "10.00" },
    });
    let changed = bare.patch(&path, &patch);
    assert_eq!(warned(&changed), Vec::<&str>::new());
    assert_eq!(changed["bid"], json!({ "strategy": "max_conversions", "max": dollars("8.00") }));
}

#[test]
fn what_a_goal_lives_on_may_stand_above_it() {
    let bare = filled();
    let clicks = json!({ "strategy": "max_clicks", "max": "8.00" });
    let made = bare.make("line_items", &with(clicks, json!({ "pacing": { "mode": "even" } })));
    assert_eq!(warned(&made), ["/budget"]);
    let reach = json!({ "strategy": "reach", "amount": "2.00" });
    let reached = bare.make("line_items", &with(reach, json!({})));
    assert_eq!(warned(&reached), ["/frequency"]);
    bare.patch(
        "/v1/campaigns/1",
        &json!({ "budget": { "daily": "50.00" }, "frequency": { "caps": [{ "max": 3, "per": { "unit": "day" } }] } }),
    );
    for id in [&made["id"], &reached["id"]] {
        let path = format!("/v1/line_items/{}", id.as_str().unwrap());
        let again = bare.patch(&path, &json!({ "name": format!("again {id}") }));
        assert_eq!(warned(&again), Vec::<&str>::new(), "{again}");
    }
    // The campaign may lose them again, and the account is read at the next start all the same.
    bare.patch("/v1/campaigns/1", &json!({ "budget": null, "frequency": null }));
    assert_eq!(bare.admin.account().line_items.len(), 3);
}

#[test]
fn a_small_budget_buys_what_is_paid_by_the_click() {
    let bare = filled();
    let click = json!({ "strategy": "max_cpc", "amount": "1000.00", "max": "8000.00" });
    let made = bare.make("line_items", &with(click, json!({ "budget": { "daily": "0.01" } })));
    assert_eq!(warned(&made), Vec::<&str>::new());
    let least = json!({ "strategy": "max_cpc", "amount": "1000.00", "max": "8000.00", "min": "100.00" });
    let made = bare.make("line_items", &with(least, json!({ "budget": { "daily": "0.01" } })));
    assert_eq!(warned(&made), ["/budget/daily"]);
}

#[test]
fn tables_have_the_members_of_a_bid() {
    let bare = filled();
    let click =
        json!({ "strategy": "max_cpc", "amount": "0.50", "max": "8.00", "min": "0.10", "shading": false });
    bare.make("line_items", &with(click, json!({ "external_id": "click" })));
    let table =
        bare.call("GET", "/v1/exports/line_items.csv?fields=external_id,bid&filter[status]=active", &[], "");
    let text = table.text();
    let mut rows = text.lines();
    assert_eq!(
        rows.next(),
        Some("external_id,bid.strategy,bid.amount,bid.max,bid.min,bid.shading"),
        "{text}"
    );
    assert!(rows.any(|row| row == "click,max_cpc,0.50,8.00,0.10,false"), "{text}");
    let changed = "external_id,bid.min,bid.shading\nclick,0.20,true\n";
    let reply = bare.call(
        "POST",
        "/v1/imports/line_items",
        &[("content-type", "text/csv"), ("prefer", "wait=60")],
        changed,
    );
    assert_eq!(reply.status, 200, "{}", reply.text());
    let shown = bare.admin.account().line_items.into_iter().find(|item| item.name == "goal").unwrap();
    assert_eq!((shown.min_bid.0, shown.shading), (200_000, true));
}
