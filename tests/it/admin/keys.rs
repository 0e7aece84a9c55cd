//! API keys: made, limited, replaced, revoked; and how often they may call.

use super::world::{BOOTSTRAP, NOON_MS, World};
use hyper::Method;
use outbid::admin::Rate;
use outbid::store::control::ControlError;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const DAY_MS: u64 = 24 * 3_600 * 1_000;

fn made(world: &World, body: Value) -> (String, String) {
    let made = world.post(BOOTSTRAP, "/v1/api_keys", body).expect(201);
    (made["id"].as_str().unwrap().to_owned(), made["secret"].as_str().unwrap().to_owned())
}

#[test]
fn a_secret_is_shown_once_and_only_its_hash_is_kept() {
    let world = World::new();
    let (id, secret) = made(&world, json!({ "name": "robot", "role": "trader" }));
    assert!(secret.starts_with("outbid_live_") && secret.len() == 12 + 43, "{secret}");
    let (_, other) = made(&world, json!({ "name": "robot", "role": "trader" }));
    assert_ne!(secret, other);
    let shown = world.get(BOOTSTRAP, &format!("/v1/api_keys/{id}")).expect(200);
    assert_eq!(shown.get("secret"), None);
    assert_eq!(shown["prefix"], secret[..16]);
    assert_eq!(shown["last4"], secret[secret.len() - 4..]);
    assert!(!world.get(BOOTSTRAP, "/v1/api_keys").expect(200).to_string().contains(&secret));
    let hash: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
    let row = world.control.read(|read| read.key_by_hash(&hash)).unwrap().unwrap();
    assert_eq!(row.id.to_string(), id);
    let me = world.get(&secret, "/v1/me").expect(200);
    assert_eq!(me["api_key_id"], id);
    assert_eq!((&me["role"], &me["account_id"]), (&json!("trader"), &json!("1")));
    let used = world.get(BOOTSTRAP, &format!("/v1/api_keys/{id}")).expect(200);
    assert_eq!(used["last_used_at"], "2023-11-14T22:13:20Z");
    assert_eq!(world.control.read(|read| read.key(row.id)).unwrap().unwrap().last_used_ms, None);
    world.admin.close();
    let noted = world.control.read(|read| read.key(row.id)).unwrap().unwrap().last_used_ms;
    assert_eq!(noted, Some(NOON_MS));
    let tried = json!({ "name": "robot", "role": "trader" });
    let tried = world.post(BOOTSTRAP, "/v1/api_keys?validate_only=true", tried).expect(200);
    assert_eq!(tried.get("secret"), None);
    assert_eq!(world.get(BOOTSTRAP, "/v1/api_keys").expect(200)["api_keys"].as_array().unwrap().len(), 2);
}

#[test]
fn every_wrong_field_of_a_new_key_is_named() {
    let world = World::new();
    let check = |body: Value, pointers: &[&str]| {
        let refused = world.post(BOOTSTRAP, "/v1/api_keys", body).expect(422);
        let found: Vec<&str> =
            refused["errors"].as_array().unwrap().iter().map(|e| e["pointer"].as_str().unwrap()).collect();
        assert_eq!(found, pointers, "{refused}");
    };
    check(json!({}), &["/name", "/role"]);
    check(json!({ "name": "", "role": "king", "scopes": ["fly"] }), &["/name", "/role", "/scopes/0"]);
    check(json!({ "name": "k", "role": "owner", "addresses": ["10.0.0.0/33", "::1"] }), &["/addresses/0"]);
    check(json!({ "name": "k", "role": "owner", "expires_at": "tomorrow" }), &["/expires_at"]);
    check(json!({ "name": "k", "role": "owner", "expires_at": "2020-01-01T00:00:00Z" }), &["/expires_at"]);
    check(json!({ "name": "k", "role": "owner", "color": 1 }), &["/color"]);
    check(json!({ "name": "k", "role": "advertiser_viewer" }), &["/advertiser_ids"]);
    check(json!({ "name": "k", "role": "owner", "advertiser_ids": ["1"] }), &["/advertiser_ids"]);
    let viewer = json!({ "name": "k", "role": "advertiser_viewer", "advertiser_ids": ["9"] });
    check(viewer, &["/advertiser_ids/0"]);
    check(json!({ "name": "k", "role": "owner", "account_id": "9" }), &["/account_id"]);
    check(json!({ "name": "k", "role": "owner", "account_id": "1", "platform": true }), &["/platform"]);
}

#[test]
fn a_key_that_is_revoked_expired_elsewhere_or_of_a_paused_account_is_refused_with_the_reason() {
    let world = World::new();
    let refused = |key: &str, status: u16, words: &str| {
        let answer = world.get(key, "/v1/me");
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(answer.detail().contains(words), "{} has no {words:?}", answer.detail());
    };
    refused("outbid_live_nothing", 401, "not known");
    let (id, revoked) = made(&world, json!({ "name": "k", "role": "owner" }));
    world.get(&revoked, "/v1/me").expect(200);
    world.call(BOOTSTRAP, &Method::DELETE, &format!("/v1/api_keys/{id}"), None).expect(200);
    // At once: the clock stands still, so that no memory is old.
    refused(&revoked, 401, "was revoked");
    let expires = json!({ "name": "k", "role": "owner", "expires_at": "2023-11-15T22:13:20Z" });
    let (_, expiring) = made(&world, expires);
    let (_, paused) = made(&world, json!({ "name": "k", "role": "owner" }));
    world.get(&expiring, "/v1/me").expect(200);
    world.get(&paused, "/v1/me").expect(200);
    world.clock.advance_ms(DAY_MS);
    refused(&expiring, 401, "has expired");
    let account = |status: &str| {
        let body = json!({ "status": status });
        world.call(BOOTSTRAP, &Method::PATCH, "/v1/accounts/1", Some(&body)).expect(200)
    };
    account("paused");
    refused(&paused, 403, "account 1 of this API key is paused");
    account("active");
    world.get(&paused, "/v1/me").expect(200);
    let nets = json!({ "name": "k", "role": "owner", "addresses": ["10.1.0.0/16", "2001:db8::/32"] });
    let (_, near) = made(&world, nets);
    for (peer, status) in [
        ("10.1.2.3", 200),
        ("::ffff:10.1.2.3", 200),
        ("2001:db8::1", 200),
        ("10.2.2.3", 403),
        ("127.0.0.1", 403),
    ] {
        let answer = world.call_from(peer, Some(&near), &Method::GET, "/v1/me", None);
        assert_eq!(answer.status, status, "from {peer}: {}", answer.body);
    }
}

#[test]
fn a_key_that_another_process_revokes_is_refused_within_a_second() {
    let world = World::new();
    let (id, key) = made(&world, json!({ "name": "k", "role": "owner" }));
    world.get(&key, "/v1/me").expect(200);
    let id: u32 = id.parse().unwrap();
    world.control.write(move |tx| tx.revoke_key(id).map_err(|why: ControlError| why)).unwrap();
    world.clock.advance_ms(1_000);
    world.get(&key, "/v1/me").expect(401);
}

#[test]
fn a_rotated_key_goes_on_for_the_overlap_and_has_one_successor() {
    let world = World::new();
    let (id, old) = made(&world, json!({ "name": "k", "role": "trader", "scopes": ["read"] }));
    let rotate = |id: &str, body: Option<&Value>| {
        world.call(BOOTSTRAP, &Method::POST, &format!("/v1/api_keys/{id}:rotate"), body)
    };
    rotate(&id, Some(&json!({ "overlap_s": -1 }))).expect(422);
    rotate(&id, Some(&json!({ "overlap": 1 }))).expect(422);
    let next = rotate(&id, None).expect(201);
    assert_eq!((&next["replaces_id"], &next["role"]), (&json!(id), &json!("trader")));
    assert_eq!((&next["scopes"], &next["expires_at"]), (&json!(["read"]), &Value::Null));
    let new = next["secret"].as_str().unwrap();
    rotate(&id, None).expect(409);
    world.clock.advance_ms(DAY_MS - 1);
    world.get(&old, "/v1/me").expect(200);
    world.clock.advance_ms(1);
    world.get(&old, "/v1/me").expect(401);
    world.get(new, "/v1/me").expect(200);
    let now = rotate(next["id"].as_str().unwrap(), Some(&json!({ "overlap_s": 0 }))).expect(201);
    world.get(new, "/v1/me").expect(401);
    world.get(now["secret"].as_str().unwrap(), "/v1/me").expect(200);
}

#[test]
fn nobody_gives_or_takes_what_is_above_them() {
    let world = World::new();
    let (_, admin) = made(&world, json!({ "name": "admin", "role": "admin" }));
    let narrow = json!({ "name": "narrow", "role": "admin", "scopes": ["admin", "read"] });
    let (_, narrow) = made(&world, narrow);
    let (owner, _) = made(&world, json!({ "name": "owner", "role": "owner" }));
    let (wide, _) = made(&world, json!({ "name": "wide", "role": "trader" }));
    let make = |key: &str, body: Value| world.post(key, "/v1/api_keys", body).status;
    assert_eq!(make(&admin, json!({ "name": "k", "role": "owner" })), 403);
    assert_eq!(make(&admin, json!({ "name": "k", "role": "admin" })), 201);
    assert_eq!(make(&admin, json!({ "name": "k", "role": "admin", "platform": true })), 422);
    assert_eq!(make(&narrow, json!({ "name": "k", "role": "trader" })), 403);
    assert_eq!(make(&narrow, json!({ "name": "k", "role": "trader", "scopes": ["write"] })), 403);
    assert_eq!(make(&narrow, json!({ "name": "k", "role": "trader", "scopes": ["read"] })), 201);
    let post = |key: &str, target: String| world.call(key, &Method::POST, &target, None).status;
    assert_eq!(post(&admin, format!("/v1/api_keys/{owner}:rotate")), 403);
    assert_eq!(post(&narrow, format!("/v1/api_keys/{wide}:rotate")), 403);
    let delete = world.call(&admin, &Method::DELETE, &format!("/v1/api_keys/{owner}"), None);
    assert_eq!(delete.status, 403, "{}", delete.body);
}

#[test]
fn a_key_that_calls_too_often_is_told_so_and_how_long_to_wait() {
    let world = World::with_rate(Rate { per_s: 2, burst: 4 });
    let answers: Vec<_> = (0..4).map(|_| world.get(BOOTSTRAP, "/v1/me")).collect();
    for (answer, left) in answers.iter().zip(["3", "2", "1", "0"]) {
        assert_eq!((answer.status, answer.header("ratelimit-remaining")), (200, left));
        assert_eq!(answer.header("ratelimit-limit"), "4");
    }
    assert_eq!(answers[3].header("ratelimit-reset"), "2");
    let refused = world.get(BOOTSTRAP, "/v1/me");
    assert_eq!((refused.status, refused.header("retry-after")), (429, "1"));
    assert_eq!(refused.header("content-type"), "application/problem+json");
    world.clock.advance_ms(500);
    world.get(BOOTSTRAP, "/v1/me").expect(200);
    world.get(BOOTSTRAP, "/v1/me").expect(429);
}

#[test]
fn what_a_paused_account_has_does_not_serve() {
    let world = World::new();
    let id = world.make("advertisers", {
        let mut draft = world.draft("advertisers", "", "");
        draft["status"] = "active".into();
        draft
    });
    let is_active = || world.admin.account().advertisers[0].active;
    assert!(is_active());
    let pause = json!({ "status": "paused" });
    let tried = world.call(BOOTSTRAP, &Method::PATCH, "/v1/accounts/1?validate_only=true", Some(&pause));
    assert_eq!(tried.expect(200)["status"], "paused");
    assert!(is_active(), "it was only tried");
    world.call(BOOTSTRAP, &Method::PATCH, "/v1/accounts/1", Some(&pause)).expect(200);
    assert!(!is_active());
    let shown = world.get(BOOTSTRAP, &format!("/v1/advertisers/{id}")).expect(200);
    assert_eq!(shown["effective_status"], "paused_parent", "{shown}");
}
