//! Every way in which a call can be wrong, and that whoever made it is told where and what to do.

use super::calls::{ANY_VERSION, Bare, Calls, KEY, MERGE, problem};
use serde_json::{Value, json};

const JSON: (&str, &str) = ("content-type", "application/json");

fn filled() -> Bare {
    let bare = Bare::in_memory();
    bare.make_all();
    bare
}

/// The pointers of a refusal.
fn pointers(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"].as_array().into_iter().flatten();
    errors.map(|error| error["pointer"].as_str().unwrap()).collect()
}

#[test]
fn a_wrong_field_is_named_by_its_pointer_and_changes_nothing() {
    let bare = filled();
    let check = |path: &str, body: Value, expected: &[(&str, &str)]| {
        let before = bare.get(path);
        let refused = bare.refused(422, "PATCH", path, &[MERGE, ANY_VERSION], &body.to_string());
        let errors = refused["errors"].as_array().unwrap();
        let mut found: Vec<(&str, &str)> = errors
            .iter()
            .map(|error| (error["pointer"].as_str().unwrap(), error["code"].as_str().unwrap()))
            .collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{path} {body}");
        assert_eq!(bare.get(path), before);
    };
    const ITEM: &str = "/v1/line_items/1";
    check(ITEM, json!({ "nope": 1 }), &[("/nope", "malformed")]);
    check(ITEM, json!({ "bid": { "nope": 1 } }), &[("/bid/nope", "malformed")]);
    check(ITEM, json!({ "bid": { "amount": 3 } }), &[("/bid/amount", "malformed")]);
    check(ITEM, json!({ "bid": { "amount": "three" } }), &[("/bid/amount", "malformed")]);
    check(
        ITEM,
        json!({ "creatives": [{ "creative": "77" }] }),
        &[("/creatives/0/creative", "unknown_reference")],
    );
    check(
        ITEM,
        json!({ "bid": { "amount": "x" }, "budget": { "daily": "-1" }, "flight": { "end_at": "soon" } }),
        &[("/bid/amount", "malformed"), ("/budget/daily", "malformed"), ("/flight/end_at", "malformed")],
    );
    check(
        ITEM,
        json!({ "name": 7, "status": "x", "campaign_id": "z", "labels": { "a/b": 1 }, "notes": [] }),
        &[
            ("/campaign_id", "malformed"),
            ("/labels/a~1b", "malformed"),
            ("/name", "malformed"),
            ("/notes", "malformed"),
            ("/status", "malformed"),
        ],
    );
    let euros = json!({ "amount": "3.00", "currency": "EUR" });
    check(
        ITEM,
        json!({ "bid": { "amount": euros, "max": euros } }),
        &[("/bid/amount", "conflict"), ("/bid/max", "conflict")],
    );
    check(ITEM, json!({ "bid": { "amount": { "amount": 3 } } }), &[("/bid/amount", "malformed")]);
    check(ITEM, json!({ "bid": { "amount": { "micros": -1 } } }), &[("/bid/amount", "malformed")]);
    check(ITEM, json!({ "bid": null }), &[("/bid/amount", "missing")]);
    // Common members, amounts, types, names and values are all told at once.
    check(
        ITEM,
        json!({
            "id": "1", "name": 7, "labels": [], "bid": { "amount": 3, "max": euros, "colour": 1 },
            "flight": { "end_at": "soon" }, "budget": { "daily": false }, "zzz": {},
            "targeting": { "device_types": { "include": [4, "x", 5, [], 99] } },
        }),
        &[
            ("/bid/amount", "malformed"),
            ("/bid/colour", "malformed"),
            ("/bid/max", "conflict"),
            ("/budget/daily", "malformed"),
            ("/id", "read_only"),
            ("/labels", "malformed"),
            ("/name", "malformed"),
            ("/targeting/device_types/include/1", "malformed"),
            ("/targeting/device_types/include/3", "malformed"),
            ("/zzz", "malformed"),
        ],
    );
    check(
        ITEM,
        json!({ "zzz": 1, "flight": { "end_at": "soon" }, "creatives": [{ "creative": "77" }], "bid": 3 }),
        &[
            ("/bid", "malformed"),
            ("/creatives/0/creative", "unknown_reference"),
            ("/flight/end_at", "malformed"),
            ("/zzz", "malformed"),
        ],
    );
    check(ITEM, json!({ "name": null }), &[("/name", "missing")]);
    check(ITEM, json!({ "name": "two\nlines" }), &[("/name", "malformed")]);
    check(ITEM, json!({ "campaign_id": "9" }), &[("/campaign_id", "unknown_reference")]);
    check(
        ITEM,
        json!({ "id": "1", "etag": "\"1\"", "effective_status": "serving" }),
        &[("/effective_status", "read_only"), ("/etag", "read_only"), ("/id", "read_only")],
    );
    check("/v1/advertisers/1", json!({ "wallet": euros }), &[("/wallet", "read_only")]);
    check("/v1/advertisers/1", json!({ "data_fee": euros }), &[("/data_fee", "conflict")]);
    check("/v1/advertisers/1", json!({ "time_zone": "Asia/Tokyo" }), &[("/time_zone", "conflict")]);
    check("/v1/segments/1", json!({ "key": "other" }), &[("/key", "conflict")]);
    check("/v1/exchanges/1", json!({ "name": "south" }), &[("/name", "conflict")]);
    check(
        "/v1/rates",
        json!({ "others": [{ "currency": "EUR", "rate": "x" }] }),
        &[("/others/0/rate", "malformed")],
    );
    check("/v1/rates", json!({ "base": "EUR" }), &[("/others", "conflict")]);
    check("/v1/safety", json!({ "addresses": ["nowhere"] }), &[("/addresses/0", "malformed")]);
}

#[test]
fn a_reference_by_its_name_in_the_account_file_is_refused() {
    let bare = filled();
    for (path, body, pointer) in [
        ("/v1/line_items/1", json!({ "campaign": "1" }), "/campaign"),
        ("/v1/campaigns/1", json!({ "advertiser": "1" }), "/advertiser"),
        ("/v1/creatives/1", json!({ "advertiser": "1" }), "/advertiser"),
    ] {
        let refused = bare.refused(422, "PATCH", path, &[MERGE, ANY_VERSION], &body.to_string());
        assert_eq!(pointers(&refused), [pointer]);
    }
}

#[test]
fn a_name_that_is_not_known_is_answered_by_those_that_callers_write() {
    let bare = filled();
    for (member, expected) in [("zzz", "`campaign_id`"), ("campaing", "\"campaign_id\"")] {
        let body = json!({ member: "1" }).to_string();
        let refused = bare.refused(422, "PATCH", "/v1/line_items/1", &[MERGE, ANY_VERSION], &body);
        let message = refused["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn what_there_is_one_of_has_neither_name_nor_status() {
    let bare = filled();
    for path in ["/v1/rates", "/v1/safety"] {
        for body in [json!({ "name": "x" }), json!({ "status": "archived" }), json!({ "external_id": "x" })] {
            let refused = bare.refused(422, "PATCH", path, &[MERGE, ANY_VERSION], &body.to_string());
            let (member, _) = body.as_object().unwrap().iter().next().unwrap();
            assert_eq!(pointers(&refused), [format!("/{member}")]);
        }
    }
}

#[test]
fn what_a_resource_rests_on_must_be_there() {
    let bare = filled();
    let check = |collection: &str, body: Value, expected: &[&str]| {
        let refused = bare.refused(422, "POST", &format!("/v1/{collection}"), &[JSON], &body.to_string());
        let mut found = pointers(&refused);
        found.sort_unstable();
        assert_eq!(found, expected, "{body}");
    };
    check("line_items", json!({}), &["/bid/amount", "/campaign_id", "/name"]);
    check("line_items", json!({ "name": "x", "campaign_id": "9" }), &["/bid/amount", "/campaign_id"]);
    check("campaigns", json!({ "name": "x" }), &["/advertiser_id"]);
    check("segments", json!({ "key": "crm.buyers" }), &["/key"]);
    check("segments", json!({ "key": "x", "parent": "y" }), &["/parent"]);
    check("exchanges", json!({ "name": "x" }), &["/price_codec", "/price_unit"]);
    bare.call("DELETE", "/v1/campaigns/1", &[], "");
    check("line_items", super::calls::line_item("late"), &["/campaign_id"]);
    let taken = json!({ "name": "a", "external_id": "crm-1", "currency": "USD", "time_zone": "UTC" });
    bare.make("advertisers", &taken);
    let refused = bare.refused(409, "POST", "/v1/advertisers", &[JSON], &taken.to_string());
    assert_eq!(pointers(&refused), ["/external_id"]);
}

#[test]
fn a_parameter_that_is_not_understood_is_refused() {
    let bare = filled();
    for (path, name) in [
        ("/v1/line_items?filter[colour]=red", "?filter[colour]"),
        ("/v1/line_items?filter[status]=green", "?filter[status]"),
        ("/v1/line_items?filter[campaign_id]=x", "?filter[campaign_id]"),
        ("/v1/line_items?filter[advertiser_id]=1", "?filter[advertiser_id]"),
        ("/v1/line_items?filter[id]=1,x", "?filter[id]"),
        ("/v1/line_items?page_size=0", "?page_size"),
        ("/v1/line_items?page_size=1001", "?page_size"),
        ("/v1/line_items?page_token=AAAA", "?page_token"),
        ("/v1/line_items?sort=colour", "?sort"),
        ("/v1/line_items?total=yes", "?total"),
        ("/v1/line_items?q=a&q=b", "?q"),
        ("/v1/line_items/1?colour=red", "?colour"),
    ] {
        assert_eq!(pointers(&bare.refused(400, "GET", path, &[], "")), [name], "{path}");
    }
    let headers = [MERGE, ANY_VERSION];
    let refused = bare.refused(400, "PATCH", "/v1/line_items/1?validate_only=maybe", &headers, "{}");
    assert_eq!(pointers(&refused), ["?validate_only"]);
}

#[test]
fn a_call_that_is_no_call_of_the_api_says_what_would_be() {
    let bare = filled();
    bare.refused(404, "GET", "/v1/line_items/99", &[], "");
    bare.refused(404, "PATCH", "/v1/line_items/99", &[MERGE, ANY_VERSION], "{}");
    for path in ["/v1/nothing", "/v1/line_items/01", "/v1/line_items/x", "/v1/line_items/4294967296"] {
        assert!(bare.raw("GET", path, &[], b"").is_none(), "{path}");
    }
    let reply = bare.call("DELETE", "/v1/rates", &[], "");
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, PATCH")));
    problem(&reply);
    for body in ["", "{", "[]", "7", "{\"a\":1}x"] {
        bare.refused(400, "POST", "/v1/line_items", &[JSON], body);
    }
    bare.refused(400, "PATCH", "/v1/line_items/1", &[MERGE, ("if-match", "3")], "{}");
    bare.refused(400, "PATCH", "/v1/line_items/1", &[MERGE, ("if-match", "W/\"3\"")], "{}");
    bare.refused(412, "PATCH", "/v1/line_items/1", &[MERGE, ("if-match", "\"7\"")], "{}");
    for media in ["text/plain", "", "application/xml"] {
        bare.refused(415, "POST", "/v1/line_items", &[("content-type", media)], "{}");
    }
    bare.refused(415, "POST", "/v1/line_items", &[MERGE], "{}");
    let key = format!("Bearer {KEY}x");
    for headers in [&[][..], &[("authorization", key.as_str())], &[("authorization", KEY)]] {
        let reply = bare.raw("GET", "/v1/line_items", headers, b"").unwrap();
        assert_eq!(reply.status, 401);
        problem(&reply);
    }
}

#[test]
fn what_money_and_status_a_change_touches_needs_the_version_seen() {
    let bare = filled();
    for (path, body) in [
        ("/v1/line_items/1", r#"{ "bid": { "max": "9.00" } }"#),
        ("/v1/line_items/1", r#"{ "budget": null }"#),
        ("/v1/line_items/1", r#"{ "status": "paused" }"#),
        ("/v1/campaigns/1", r#"{ "budget": { "daily": "5.00" } }"#),
        ("/v1/creatives/1", r#"{ "status": "paused" }"#),
        ("/v1/exchanges/1", r#"{ "status": "paused" }"#),
    ] {
        bare.refused(428, "PATCH", path, &[MERGE], body);
        assert_eq!(bare.call("PATCH", path, &[MERGE, ("if-match", "\"1\"")], body).status.max(412), 412);
    }
    assert_eq!(bare.call("PATCH", "/v1/line_items/1", &[MERGE], r#"{ "notes": "free" }"#).status, 200);
}

#[test]
fn a_merge_patch_removes_by_null_and_a_mask_narrows_it() {
    let bare = filled();
    let item = "/v1/line_items/1";
    bare.patch(
        item,
        &json!({ "targeting": { "countries": { "include": ["DEU"] }, "os": { "exclude": ["ios"] } } }),
    );
    let shown = bare.patch(item, &json!({ "targeting": { "countries": null } }));
    assert_eq!(shown["targeting"], json!({ "os": { "exclude": ["ios"] } }));
    let shown = bare.patch(item, &json!({ "targeting": null, "external_id": "crm-7" }));
    assert_eq!((shown.get("targeting"), &shown["external_id"]), (None, &"crm-7".into()));
    assert_eq!(bare.patch(item, &json!({ "external_id": null }))["external_id"], Value::Null);
    let path = format!("{item}?update_mask=notes");
    let shown = bare.patch(&path, &json!({ "notes": "new", "name": "not this" }));
    assert_eq!((&shown["notes"], &shown["name"]), (&"new".into(), &"Everyone".into()));
}

#[test]
fn secrets_are_taken_and_not_shown() {
    let bare = Bare::in_memory();
    let secret = "s3cret-s3cret-s3cret-s3cret-s3cret";
    let mut exchange = super::calls::exchange("north");
    exchange["auth"] = json!({ "type": "header", "name": "x-key", "secret": secret });
    exchange["price_codec"] = json!({ "type": "blowfish_ecb_hex", "key": "hheehhee" });
    let made = bare.make("exchanges", &exchange);
    let changed = bare.patch("/v1/exchanges/1", &json!({ "seat": "other" }));
    let listed = bare.get("/v1/exchanges");
    for shown in [&made, &changed, &listed["exchanges"][0]] {
        assert_eq!(
            (&shown["auth"]["secret"], &shown["price_codec"]["key"]),
            (&"********".into(), &"********".into())
        );
    }
    let kept = &bare.admin.account().exchanges[0];
    assert!(format!("{:?}", kept.price_codec) != format!("{:?}", outbid::model::exchange::PriceCodec::Plain));
    // Whoever sends back what was shown does not make a secret of the mask.
    let refused =
        bare.call("PATCH", "/v1/exchanges/1", &[MERGE], &json!({ "auth": made["auth"] }).to_string());
    assert!(
        refused.status == 422 || bare.admin.account().exchanges[0].auth == kept.auth,
        "{}",
        refused.text()
    );
}
