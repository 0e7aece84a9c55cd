//! What is paid in, what is answered twice, what is recorded, and many changes at once.

use super::calls::{Bare, Calls, JSON, advertiser, line_item, problem};
use crate::server::Reply;
use serde_json::{Value, json};

fn pay(bare: &Bare, key: &str, kind: &str, amount: &str) -> Reply {
    let body = json!({
        "advertiser_id": "1", "kind": kind, "amount": { "amount": amount, "currency": "USD" }, "note": "invoice 7",
    });
    bare.call("POST", "/v1/transactions", &[JSON, ("idempotency-key", key)], &body.to_string())
}

fn wallet(bare: &Bare) -> String {
    bare.get("/v1/advertisers/1")["wallet"]["amount"].as_str().unwrap().to_owned()
}

#[test]
fn a_wallet_is_the_sum_of_what_was_paid_in() {
    let bare = Bare::in_memory();
    bare.make("advertisers", &advertiser("Harbour"));
    assert_eq!(wallet(&bare), "0");
    assert_eq!(pay(&bare, "a", "top_up", "100.00").status, 201);
    assert_eq!(pay(&bare, "b", "credit", "0.000000001").status, 201);
    assert_eq!(pay(&bare, "c", "adjustment", "-40").status, 201);
    assert_eq!(wallet(&bare), "60.000000001");
    assert_eq!(bare.admin.account().advertisers[0].wallet.to_string(), "60.000000001");
    let moved = bare.get("/v1/transactions?filter[advertiser_id]=1");
    let amounts: Vec<&Value> =
        moved["transactions"].as_array().unwrap().iter().map(|it| &it["amount"]["amount"]).collect();
    assert_eq!(amounts, ["-40.00", "0.000000001", "100.00"]);
}

#[test]
fn money_moves_once_however_often_the_call_comes() {
    let bare = Bare::in_memory();
    bare.make("advertisers", &advertiser("Harbour"));
    let first = pay(&bare, "a", "top_up", "100.00");
    for _ in 0..3 {
        let again = pay(&bare, "a", "top_up", "100.00");
        assert_eq!((again.status, again.header("idempotent-replayed")), (201, Some("true")));
        assert_eq!(again.json(), first.json());
    }
    assert_eq!(pay(&bare, "a", "top_up", "101.00").status, 422, "the key stands for another call");
    assert_eq!(wallet(&bare), "100.00");
}

#[test]
fn money_that_must_not_move_does_not() {
    let bare = Bare::in_memory();
    bare.make("advertisers", &advertiser("Harbour"));
    pay(&bare, "a", "top_up", "10.00");
    for (kind, amount) in [
        ("top_up", "-1"),
        ("top_up", "0"),
        ("adjustment", "-10.000000001"),
        ("gift", "1"),
        ("top_up", "9223372036"),
    ] {
        let refused = pay(&bare, "b", kind, amount);
        assert_eq!(refused.status, 422, "{kind} {amount}: {}", refused.text());
    }
    let other =
        json!({ "advertiser_id": "1", "kind": "top_up", "amount": { "amount": "1", "currency": "EUR" } });
    let sent = other.to_string();
    bare.refused(422, "POST", "/v1/transactions", &[JSON, ("idempotency-key", "b")], &sent);
    bare.refused(400, "POST", "/v1/transactions", &[JSON], &sent);
    assert_eq!(wallet(&bare), "10.00");
    // What was refused keeps no key.
    assert_eq!(pay(&bare, "b", "top_up", "1.00").status, 201);
}

#[test]
fn an_amount_is_written_as_everywhere_and_has_no_other_members() {
    let bare = Bare::in_memory();
    bare.make("advertisers", &advertiser("Harbour"));
    let check = |number: usize, kind: &str, amount: Value, expected: Result<&str, (&str, &str)>| {
        let body = json!({ "advertiser_id": "1", "kind": kind, "amount": amount }).to_string();
        let key = format!("amount {number}");
        let reply = bare.call("POST", "/v1/transactions", &[JSON, ("idempotency-key", &key)], &body);
        match expected {
            Ok(balance) => {
                assert_eq!(reply.status, 201, "{body}: {}", reply.text());
                assert_eq!(
                    reply.json()["balance"],
                    json!({ "amount": balance, "currency": "USD" }),
                    "{body}"
                );
            }
            Err((pointer, code)) => {
                assert_eq!(reply.status, 422, "{body}: {}", reply.text());
                let error = &reply.json()["errors"][0];
                assert_eq!(
                    (&error["pointer"], &error["code"]),
                    (&pointer.into(), &code.into()),
                    "{body}: {error}"
                );
            }
        }
    };
    let cases = [
        ("top_up", json!({ "amount": "5", "currency": "USD" }), Ok("5.00")),
        ("top_up", json!("2.50"), Ok("7.50")),
        ("top_up", json!({ "micros": 500_000, "currency": "USD" }), Ok("8.00")),
        ("adjustment", json!({ "micros": -1_000_000 }), Ok("7.00")),
        ("top_up", json!({ "amount": "5", "currency": "USD", "x": 1 }), Err(("/amount", "malformed"))),
        ("top_up", json!({ "amount": "5", "currency": "EUR" }), Err(("/amount/currency", "conflict"))),
        ("top_up", json!({ "amount": "5", "currency": 5 }), Err(("/amount/currency", "malformed"))),
        ("top_up", json!({ "amount": "5", "micros": 5 }), Err(("/amount", "malformed"))),
        ("top_up", json!({ "amount": "9223372037" }), Err(("/amount/amount", "out_of_range"))),
        ("top_up", json!({ "amount": "0.0000000001" }), Err(("/amount/amount", "malformed"))),
        ("top_up", json!("0"), Err(("/amount", "out_of_range"))),
        ("top_up", json!("-1"), Err(("/amount", "out_of_range"))),
        ("top_up", json!(5), Err(("/amount", "malformed"))),
        ("top_up", Value::Null, Err(("/amount", "malformed"))),
    ];
    for (number, (kind, amount, expected)) in cases.into_iter().enumerate() {
        check(number, kind, amount, expected);
    }
}

#[test]
fn a_key_stands_for_one_call_with_its_parameters_and_is_never_ignored() {
    let bare = Bare::in_memory();
    bare.make_all();
    bare.make("accounts", &json!({ "name": "second" }));
    bare.make("accounts", &json!({ "name": "third" }));
    bare.make("lists", &json!({ "name": "Good", "type": "domain" }));
    let call = |path: &str, key: &str, body: &Value| {
        bare.call("POST", path, &[JSON, ("idempotency-key", key)], &body.to_string())
    };
    // Another call with the same key is none that comes again.
    let values = json!({ "values": ["a.example"] });
    let (add, remove) = ("/v1/lists/1/items:upload?mode=add", "/v1/lists/1/items:upload?mode=remove");
    let owner = |account: u32| format!("/v1/advertisers?account_id={account}");
    let empty = json!({ "name": "A" });
    for (first, second, body) in [
        (add.to_owned(), remove.to_owned(), &values),
        (owner(2), owner(3), &empty),
        ("/v1/apply".to_owned(), "/v1/apply?prune=true".to_owned(), &json!({})),
        ("/v1/line_items/1:pause".to_owned(), "/v1/line_items/1:activate".to_owned(), &Value::Null),
    ] {
        let key = format!("of {first}");
        let done = call(&first, &key, body);
        assert!(done.status < 300, "{first}: {}", done.text());
        let again = call(&first, &key, body);
        assert_eq!((again.status, again.body.clone()), (done.status, done.body.clone()), "{first}");
        assert_eq!(again.header("idempotent-replayed"), Some("true"), "{first}");
        assert_eq!(again.header("location"), done.header("location"), "{first}");
        let other = call(&second, &key, body);
        assert_eq!(other.status, 422, "{second}: {}", other.text());
    }
    assert_eq!(bare.get("/v1/lists/1/items")["items"], json!(["a.example"]));
    // What makes an account makes one; what shows a secret keeps nothing, and says so.
    let count = |name: &str| bare.get(&format!("/v1/{name}"))[name].as_array().unwrap().len();
    let (accounts, keys) = (count("accounts"), count("api_keys"));
    let made = [0, 1].map(|_| call("/v1/accounts", "a", &json!({ "name": "fourth" })).json()["id"].clone());
    assert_eq!((made[0].clone(), count("accounts")), (made[1].clone(), accounts + 1));
    for (path, body) in [
        ("/v1/api_keys", json!({ "name": "k", "role": "analyst" })),
        ("/v1/api_keys/1:rotate", json!({})),
        ("/v1/users/invite", json!({ "email": "ada@agency.example", "role": "analyst" })),
        ("/v1/invites:accept", json!({})),
        ("/v1/session", json!({})),
        ("/v1/me/totp", json!({})),
    ] {
        let refused = call(path, "b", &body);
        assert_eq!(refused.status, 400, "{path}: {}", refused.text());
        assert!(problem(&refused)["detail"].as_str().unwrap().contains("Idempotency-Key"), "{path}");
    }
    assert_eq!((count("api_keys"), count("users")), (keys, 0));
}

#[test]
fn a_repeated_creation_makes_one_thing() {
    let bare = Bare::in_memory();
    let sent = advertiser("Harbour").to_string();
    let make = || bare.call("POST", "/v1/advertisers", &[JSON, ("idempotency-key", "x")], &sent);
    let (first, again) = (make(), make());
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.json(), again.json());
    assert_eq!(again.header("etag"), first.header("etag"));
    assert_eq!(bare.get("/v1/advertisers?total=true")["total"], 1);
}

#[test]
fn every_change_is_recorded_with_what_it_changed_and_without_secrets() {
    let bare = Bare::in_memory();
    bare.make_all();
    let item = "/v1/line_items/1";
    bare.patch(item, &json!({ "bid": { "amount": "2.00" }, "labels": { "team": "north" } }));
    bare.patch(item, &json!({ "bid": { "amount": "2.00" } }));
    bare.verb(&format!("{item}:pause"));
    let secret = json!({ "auth": { "type": "path", "secret": "a-secret-of-an-exchange" } });
    bare.patch("/v1/exchanges/1", &secret);
    let audit = bare.get("/v1/audit?filter[kind]=line_item&filter[resource_id]=1");
    let found: Vec<(&str, &Value)> = (audit["audit"].as_array().unwrap().iter())
        .map(|it| (it["action"].as_str().unwrap(), &it["after"]))
        .collect();
    assert_eq!(found.len(), 3, "a change of nothing is none: {audit}");
    assert_eq!(found[0], ("pause", &json!({ "status": "paused" })));
    assert_eq!(found[1], ("update", &json!({ "bid": { "amount": "2.00" }, "labels": { "team": "north" } })));
    assert_eq!(found[2].0, "create");
    let all = bare.get("/v1/audit").to_string() + &bare.get("/v1/exchanges/1").to_string();
    assert!(!all.contains("a-secret-of-an-exchange"), "{all}");
}

#[test]
fn what_becomes_of_keys_and_accounts_is_recorded_without_the_secret() {
    let bare = Bare::in_memory();
    let made = bare.make("api_keys", &json!({ "name": "nightly", "role": "trader" }));
    bare.make("accounts", &json!({ "name": "second" }));
    bare.patch("/v1/accounts/2", &json!({ "status": "paused" }));
    bare.call("DELETE", "/v1/api_keys/1", &[], "");
    let audit = bare.get("/v1/audit");
    let found: Vec<String> = (audit["audit"].as_array().unwrap().iter())
        .map(|it| format!("{} {}", it["kind"].as_str().unwrap(), it["action"].as_str().unwrap()))
        .collect();
    assert_eq!(found, ["api_key revoke", "account update", "account create", "api_key create"]);
    assert!(!audit.to_string().contains(made["secret"].as_str().unwrap()), "{audit}");
}

fn bulk(bare: &Bare, body: &Value) -> Reply {
    bare.call("POST", "/v1/bulk", &[JSON], &body.to_string())
}

#[test]
fn a_bulk_call_does_everything_or_nothing_and_refers_to_what_it_makes() {
    let bare = Bare::in_memory();
    bare.make_all();
    let campaign = json!({ "name": "Summer", "advertiser_id": "1", "status": "active" });
    let mut item = line_item("In summer");
    item["campaign_id"] = "$0".into();
    let operations = |item: &Value| {
        json!([
            { "method": "POST", "path": "/v1/campaigns", "body": campaign },
            { "method": "POST", "path": "/v1/line_items", "body": item },
            { "method": "PATCH", "path": "/v1/line_items/1", "if_match": "*", "body": { "bid": { "amount": "1.50" } } },
            { "method": "POST", "path": "/v1/campaigns/1:pause" },
        ])
    };
    let done = bulk(&bare, &json!({ "operations": operations(&item) }));
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(done.json()["results"][1]["body"]["campaign_id"], "2");
    assert_eq!(bare.admin.account().line_items.len(), 2);
    assert_eq!(bare.get("/v1/campaigns/1")["status"], "paused");

    let before = bare.admin.account();
    item["bid"]["amount"] = "x".into();
    let refused = bulk(&bare, &json!({ "operations": operations(&item) }));
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert_eq!(refused.json()["errors"][0]["pointer"], "/operations/1/body/bid/amount");
    assert_eq!(bare.admin.account(), before, "nothing of it happened");

    let apart = bulk(&bare, &json!({ "atomic": false, "operations": operations(&item) }));
    let statuses: Vec<u64> =
        apart.json()["results"].as_array().unwrap().iter().map(|it| it["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [201, 422, 200, 200]);
    // What is no one thing has no key.
    let body = json!({ "atomic": false, "operations": [] }).to_string();
    bare.refused(400, "POST", "/v1/bulk", &[JSON, ("idempotency-key", "a")], &body);
}

#[test]
fn a_bulk_call_is_checked_before_anything_is_done() {
    let bare = Bare::in_memory();
    bare.make_all();
    for (operation, pointer) in [
        (json!({ "method": "GET", "path": "/v1/campaigns" }), "/operations/0/path"),
        (json!({ "method": "POST", "path": "/v1/bulk", "body": {} }), "/operations/0/path"),
        (json!({ "method": "POST", "path": 7 }), "/operations/0/path"),
        (json!({ "method": "POST", "path": "/v1/campaigns", "boddy": {} }), "/operations/0/boddy"),
        (
            json!({ "method": "POST", "path": "/v1/campaigns", "body": { "name": "x", "advertiser_id": "$0" } }),
            "/operations/0",
        ),
    ] {
        let refused = bulk(&bare, &json!({ "operations": [operation] }));
        assert_eq!(refused.status, 422, "{operation}: {}", refused.text());
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer, "{operation}");
    }
    let unguarded =
        json!({ "method": "PATCH", "path": "/v1/line_items/1", "body": { "bid": { "amount": "9" } } });
    assert_eq!(bulk(&bare, &json!({ "operations": [unguarded] })).status, 428);
    assert_eq!(bulk(&bare, &json!({ "operations": vec![json!({}); 1_001] })).status, 422);
}
