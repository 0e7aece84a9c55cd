//! Small things that callers meet: headers, bodies, references, who may see what, and what is odd.

use super::calls::{ANY_VERSION, Bare, Calls, JSON, KEY, MERGE, line_item};
use super::site::Site;
use crate::server::{Client, Reply};
use serde_json::{Value, json};

fn codes(reply: &Reply) -> Vec<(String, String)> {
    let body = reply.json();
    let errors = body["errors"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    errors.map(|error| (text(&error["pointer"]), text(&error["code"]))).collect()
}

#[test]
fn a_reference_in_bulk_stands_where_an_id_can_and_refusals_keep_their_kind() {
    let bare = Bare::in_memory();
    bare.make_all();
    let bulk = |key: &str, operations: Value| {
        let bearer = format!("Bearer {key}");
        let headers = [("authorization", bearer.as_str()), JSON];
        let body = json!({ "operations": operations }).to_string();
        bare.raw("POST", "/v1/bulk", &headers, body.as_bytes()).unwrap()
    };
    let campaign =
        json!({ "name": "$100", "notes": "$0", "advertiser_id": "1", "labels": { "campaign_id": "x" } });
    let item = json!({ "name": "$0", "campaign_id": "$0", "bid": { "amount": "1" }, "creatives": [{ "creative": "1" }] });
    let done = bulk(
        KEY,
        json!([
            { "method": "POST", "path": "/v1/campaigns", "body": campaign },
            { "method": "POST", "path": "/v1/line_items", "body": item },
            { "method": "POST", "path": "/v1/campaigns/$0:activate" },
            { "method": "PATCH", "path": "/v1/line_items/$1", "if_match": "*", "body": { "notes": "$1" } },
        ]),
    );
    assert_eq!(done.status, 200, "{}", done.text());
    let bodies: Vec<Value> =
        done.json()["results"].as_array().unwrap().iter().map(|it| it["body"].clone()).collect();
    assert_eq!((&bodies[0]["name"], &bodies[0]["notes"]), (&json!("$100"), &json!("$0")));
    assert_eq!((&bodies[1]["name"], &bodies[1]["campaign_id"]), (&json!("$0"), &bodies[0]["id"]));
    assert_eq!((&bodies[2]["id"], &bodies[2]["status"]), (&bodies[0]["id"], &json!("active")));
    assert_eq!((&bodies[3]["id"], &bodies[3]["notes"]), (&bodies[1]["id"], &json!("$1")));
    let lost = bulk(KEY, json!([{ "method": "POST", "path": "/v1/campaigns/$0:activate" }]));
    assert_eq!(lost.status, 422, "{}", lost.text());

    let key = |role: &str| {
        let made = bare.make("api_keys", &json!({ "name": role, "role": role, "account_id": "1" }));
        made["secret"].as_str().unwrap().to_owned()
    };
    let trader = key("trader");
    let make = json!({ "method": "POST", "path": "/v1/exchanges", "body": {} });
    let refused = bulk(&trader, json!([make]));
    assert_eq!(
        (refused.status, codes(&refused)),
        (403, vec![("/operations/0".to_owned(), "not_allowed".to_owned())])
    );
    let gone = bulk(KEY, json!([{ "method": "POST", "path": "/v1/campaigns/99:pause" }]));
    assert_eq!(
        (gone.status, codes(&gone)),
        (404, vec![("/operations/0".to_owned(), "not_found".to_owned())])
    );
    let old = json!({ "method": "PATCH", "path": "/v1/campaigns/1", "if_match": "\"77\"", "body": { "name": "x" } });
    let old = bulk(KEY, json!([old]));
    assert_eq!((old.status, codes(&old)), (412, vec![("/operations/0".to_owned(), "changed".to_owned())]));
}

#[test]
fn headers_and_bodies_are_read_as_their_standards_say() {
    let bare = Bare::in_memory();
    bare.make_all();
    let get = |tag: &str| bare.call("GET", "/v1/campaigns/1", &[("if-none-match", tag)], "").status;
    let etag = bare.get("/v1/campaigns/1")["etag"].as_str().unwrap().to_owned();
    for (tag, status) in [
        (etag.clone(), 304),
        (format!("W/{etag}"), 304),
        ("*".to_owned(), 304),
        (format!("\"77\", W/{etag}"), 304),
        ("\"77\", \"78\"".to_owned(), 200),
    ] {
        assert_eq!(get(&tag), status, "{tag}");
    }
    let body = json!({ "name": "A", "currency": "USD" }).to_string();
    let post = |headers: &[(&str, &str)], body: &str| bare.call("POST", "/v1/advertisers", headers, body);
    for (headers, status) in [
        (vec![("content-type", "application/json; charset=UTF-8")], 201),
        (vec![JSON, ("content-encoding", "identity")], 201),
        (vec![("content-type", "application/json; charset=latin1")], 415),
        (vec![JSON, ("content-encoding", "gzip")], 415),
        (vec![("content-type", "text/json")], 415),
    ] {
        let reply = post(&headers, &body);
        assert_eq!(reply.status, status, "{headers:?}: {}", reply.text());
    }
    let twice = post(&[JSON], r#"{"name": "A", "currency": "USD", "name": "B"}"#);
    assert_eq!(twice.status, 400, "{}", twice.text());
    assert!(twice.text().contains("\\\"name\\\" is there twice"), "{}", twice.text());
    for media in ["text/plain; charset=latin1", "application/xml"] {
        bare.make("lists", &json!({ "name": media, "type": "domain" }));
        let reply = bare.call("POST", "/v1/lists/1/items:upload", &[("content-type", media)], "a.example\n");
        assert_eq!(reply.status, 415, "{media}: {}", reply.text());
    }
    assert_eq!(bare.call("HEAD", "/v1/campaigns/1", &[], "").status, 200);
    assert_eq!(bare.call("HEAD", "/v1/campaigns/99", &[], "").status, 404);
    assert_eq!(bare.call("HEAD", "/v1/bulk", &[], "").status, 405);
    // What is wrong is said without the names of our types.
    let item = "/v1/line_items/1";
    for (sent, code) in [
        (json!({ "bid": "2.50" }), "malformed"),
        (json!({ "flight": 5 }), "malformed"),
        (json!({ "creatives": {} }), "malformed"),
        (json!({ "budget": { "daily": "9223372037" } }), "out_of_range"),
    ] {
        let reply = bare.call("PATCH", item, &[MERGE, ANY_VERSION], &sent.to_string());
        assert_eq!(reply.status, 422, "{sent}: {}", reply.text());
        assert!(codes(&reply).iter().any(|(_, own)| own == code), "{sent}: {}", reply.text());
        assert!(
            !["Wire", "struct", "enum"].iter().any(|ours| reply.text().contains(ours)),
            "{}",
            reply.text()
        );
    }
    let refused = bare.call("POST", "/v1/accounts", &[JSON], r#"{"name": "x", "id": "9", "version": 3}"#);
    let expected = ["/id", "/version"].map(|name| (name.to_owned(), "read_only".to_owned()));
    assert_eq!((refused.status, codes(&refused)), (422, expected.to_vec()));
}

#[test]
fn what_is_probably_not_meant_is_said() {
    let bare = Bare::in_memory();
    bare.make_all();
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(3);
    let warned = |path: &str, patch: Value| -> Vec<String> {
        let shown = bare.patch(&format!("{path}?validate_only=true"), &patch);
        let warnings = shown["warnings"].as_array().into_iter().flatten();
        warnings.map(|warning| warning["pointer"].as_str().unwrap().to_owned()).collect()
    };
    let (item, campaign) = ("/v1/line_items/1", "/v1/campaigns/1");
    for (path, patch, pointers) in [
        (item, json!({ "flight": { "end_at": soon.to_string() } }), vec!["/flight/end_at"]),
        (campaign, json!({ "flight": { "end_at": soon.to_string() } }), vec!["/flight/end_at"]),
        (campaign, json!({ "flight": { "end_at": "2020-01-01T00:00:00Z" } }), vec!["/flight/end_at"]),
        (item, json!({ "flight": { "end_at": "2120-01-01T00:00:00Z" } }), vec![]),
        (item, json!({ "budget": { "lifetime": "10", "daily": "20" } }), vec!["/budget/daily"]),
        (campaign, json!({ "budget": { "lifetime": "10", "daily": "20" } }), vec!["/budget/daily"]),
        (item, json!({ "budget": { "lifetime": "0.0024" } }), vec!["/budget/lifetime"]),
        (item, json!({ "budget": { "daily": "0.0024" } }), vec!["/budget/daily"]),
        (item, json!({ "budget": { "lifetime": "0.0025", "daily": "0.0025" } }), vec![]),
    ] {
        assert_eq!(warned(path, patch.clone()), pointers, "{path} {patch}");
    }
    // With somebody who serves it is known that nobody is in any segment.
    let site = Site::fresh(&[]);
    site.make_all();
    let mut sent = line_item("Buyers");
    sent["targeting"] = json!({ "audience": { "any_of": ["crm.buyers"] } });
    let made = site.make("line_items", &sent);
    assert_eq!(made["warnings"][0]["pointer"], "/targeting/audience", "{made:#}");
}

#[test]
fn the_server_s_own_paths_tell_a_stranger_from_one_who_may_not() {
    let site = Site::fresh(&[]);
    site.make_all();
    site.make("accounts", &json!({ "name": "second" }));
    let make = |account: &str, role: &str| {
        let body = json!({ "name": role, "role": role, "account_id": account });
        site.make("api_keys", &body)["secret"].as_str().unwrap().to_owned()
    };
    let get = |key: &str, path: &str| {
        let key = format!("Bearer {key}");
        Client::connect(site.admin).send("GET", path, &[("authorization", key.as_str())], b"").unwrap()
    };
    site.until("the account is served", |site| site.price() == Some(2.5));
    let (own, other) = (make("1", "owner"), make("2", "analyst"));
    for path in ["/v1/ledger", "/v1/kill_switches", "/v1/nothing/at/all:pardon"] {
        let status = if path.contains("nothing") { 404 } else { 403 };
        assert_eq!(get(&own, path).status, status, "{path}");
    }
    let refused = get(&own, "/v1/ledger");
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.contains("role admin of the platform") && detail.contains("owner of account 1"),
        "{detail}"
    );
    assert_eq!(get("nobody's", "/v1/ledger").status, 401);
    assert_eq!(get("nobody's", "/v1/balances").status, 401);
    let shown = get(&own, "/v1/balances").json();
    assert_eq!((&shown["advertisers"][0]["id"], shown.get("house")), (&json!("1"), None), "{shown:#}");
    assert_eq!([&shown["campaigns"][0]["id"], &shown["line_items"][0]["id"]], ["1", "1"]);
    let nothing = json!({ "advertisers": [], "campaigns": [], "line_items": [] });
    assert_eq!(get(&other, "/v1/balances").json(), nothing);
    assert!(get(KEY, "/v1/balances").json()["house"].is_object());

    // The kill switches are there beside the API, and the status names them.
    let throw = |stopped: bool| {
        let body = json!({ "stopped": stopped }).to_string();
        assert_eq!(site.call("PUT", "/v1/kill_switches/all", &[JSON], &body).status, 200);
    };
    throw(true);
    site.until("everything stops", |site| site.price().is_none());
    let item = site.get("/v1/line_items/1");
    assert_eq!(item["effective_status"], "paused_parent", "{item:#}");
    assert!(item["status_reasons"][0].as_str().unwrap().contains("kill switch"), "{item:#}");
    throw(false);
    site.until("it goes on", |site| site.price() == Some(2.5));
}
