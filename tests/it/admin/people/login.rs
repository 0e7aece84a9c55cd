//! Logging in, and failing to.

use super::{PASSWORD, browser, invite, login, person, records, try_from, try_login};
use crate::admin::world::{BOOTSTRAP, World};
use hyper::Method;
use outbid::serve::Api;
use serde_json::json;

#[test]
fn a_login_sets_a_cookie_that_only_this_host_gets_and_no_script_reads() {
    let world = World::new();
    let id = person(&world, "Ada@Agency.example", "trader");
    let answer = try_login(&world, " ada@agency.EXAMPLE ", PASSWORD);
    let cookie = answer.header("set-cookie").to_owned();
    let (token, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; Max-Age=43200; Secure; HttpOnly; SameSite=Strict");
    assert_eq!(token.strip_prefix("__Host-outbid=").unwrap().len(), 43, "{token}");
    let body = answer.body.clone();
    assert_eq!((&body["user_id"], &body["email"]), (&json!(id), &json!("ada@agency.example")));
    assert_eq!(
        (&body["role"], &body["account_id"], &body["name"]),
        (&json!("trader"), &json!("1"), &json!("Ada"))
    );
    let ada = browser(answer);
    let me = ada.get(&world, "/v1/me").expect(200);
    assert_eq!(me, body, "the console can ask for all of it again");
    ada.get(&world, "/v1/advertisers").expect(200);
    assert!(!me.to_string().contains(&token["__Host-outbid=".len()..]));
    let shown = world.get(BOOTSTRAP, &format!("/v1/users/{id}")).expect(200);
    assert_eq!(shown["last_login_at"], "2023-11-14T22:13:20Z");
    let other = login(&world, "ada@agency.example");
    assert!(other.cookie != ada.cookie && other.csrf != ada.csrf);
}

#[test]
fn whoever_may_not_log_in_gets_one_answer_after_the_same_work() {
    let world = World::new();
    person(&world, "ada@agency.example", "trader");
    invite(&world, "invited@agency.example", "trader");
    let gone = person(&world, "gone@agency.example", "trader");
    let disabled = json!({ "status": "disabled" });
    world.call(BOOTSTRAP, &Method::PATCH, &format!("/v1/users/{gone}"), Some(&disabled)).expect(200);
    let mut answers = Vec::new();
    for (email, password) in [
        ("ada@agency.example", "another long phrase"),
        ("nobody@agency.example", PASSWORD),
        ("invited@agency.example", PASSWORD),
        ("gone@agency.example", PASSWORD),
        ("", ""),
    ] {
        let before = world.admin.figures().password_hashes;
        let answer = try_login(&world, email, password);
        assert_eq!(answer.status, 401, "{email}: {}", answer.body);
        assert!(answer.header("set-cookie").is_empty());
        assert_eq!(world.admin.figures().password_hashes - before, 1, "{email}: one hash, whoever it is");
        answers.push(answer.detail().to_owned());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    let figures = world.admin.figures();
    assert_eq!((figures.logins_refused, figures.logins_accepted), (5, 0));
    for (body, pointer) in [
        (json!({ "email": "ada@agency.example" }), "/password"),
        (json!({ "email": 1, "password": "p" }), "/email"),
        (json!({ "email": "a", "password": "p", "remember": "me" }), "/remember"),
    ] {
        let refused = try_from(&world, "127.0.0.1", body).expect(422);
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
    }
}

#[test]
fn five_wrong_passwords_lock_an_address_out_for_a_minute_but_not_where_its_owner_is_known() {
    let world = World::new();
    person(&world, "ada@agency.example", "trader");
    person(&world, "bob@agency.example", "trader");
    let body = |email: &str, password: &str| json!({ "email": email, "password": password });
    let at = |peer: &str, password: &str| try_from(&world, peer, body("ada@agency.example", password));
    browser(at("10.9.9.9", PASSWORD));
    for n in 0..5 {
        // From everywhere, so that it is not the sender that is counted.
        at(&format!("10.0.0.{n}"), "wrong wrong wrong").expect(401);
    }
    let hashes = world.admin.figures().password_hashes;
    let slowed = at("10.0.0.9", PASSWORD);
    assert_eq!((slowed.status, slowed.header("retry-after")), (429, "60"), "{}", slowed.body);
    let unknown =
        |n: u32| try_from(&world, &format!("10.1.0.{n}"), body("nobody@agency.example", "p")).status;
    assert_eq!((0..6).map(unknown).collect::<Vec<_>>(), [401, 401, 401, 401, 401, 429], "as for who exists");
    assert_eq!(world.admin.figures().password_hashes, hashes + 5, "nothing is worked out for who is slowed");
    assert_eq!(world.admin.figures().logins_slowed, 2);
    browser(at("10.9.9.9", PASSWORD));
    browser(try_from(&world, "10.0.0.9", body("bob@agency.example", PASSWORD)));
    world.clock.advance_ms(59_000);
    at("10.0.0.9", PASSWORD).expect(429);
    world.clock.advance_ms(1_000);
    browser(at("10.0.0.9", PASSWORD));
    browser(at("10.0.0.9", PASSWORD));
}

#[test]
fn twenty_failures_of_any_kind_slow_down_where_they_come_from_but_not_who_was_right_there() {
    let world = World::new();
    let (good, other) = (
        world.key(json!({ "name": "g", "role": "owner" })),
        world.key(json!({ "name": "o", "role": "owner" })),
    );
    let get = |peer: &str, key: &str| world.call_from(peer, Some(key), &Method::GET, "/v1/me", None);
    get("10.0.0.1", &good).expect(200);
    for n in 0..17 {
        get("10.0.0.1", &format!("outbid_live_{n}")).expect(401);
    }
    for email in ["a@b.example", "c@d.example"] {
        try_from(&world, "10.0.0.1", json!({ "email": email, "password": "wrong" })).expect(401);
    }
    let token = json!({ "token": "outbid_invite_x", "name": "n", "password": PASSWORD });
    let accept = || world.send("10.0.0.1", &[], &Method::POST, "/v1/invites:accept", Some(&token));
    accept().expect(404);
    accept().expect(429);
    let slowed = get("10.0.0.1", "outbid_live_more");
    assert_eq!((slowed.status, slowed.header("retry-after")), (429, "10"), "{}", slowed.body);
    get("10.0.0.1", &other).expect(429);
    try_from(&world, "10.0.0.1", json!({ "email": "e@f.example", "password": "wrong" })).expect(429);
    get("10.0.0.1", &good).expect(200);
    get("10.0.0.2", &other).expect(200);
    world.clock.advance_ms(10_000);
    get("10.0.0.1", &other).expect(200);
    let figures = world.admin.figures();
    assert_eq!((figures.keys_refused, figures.keys_slowed), (17, 2));
}

#[test]
fn what_is_secret_is_in_no_answer_and_no_record() {
    let world = World::new();
    let (id, token) = invite(&world, "ada@agency.example", "owner");
    super::accept(&world, &token, "Ada", PASSWORD).expect(200);
    let ada = login(&world, "ada@agency.example");
    let enrolled = ada.call(&world, &Method::POST, "/v1/me/totp", None).expect(201);
    let changed = json!({ "old_password": PASSWORD, "new_password": "another long phrase" });
    ada.post(&world, "/v1/me/password", changed).expect(200);
    let answers = [
        records(&world),
        ada.get(&world, "/v1/me").body.to_string(),
        ada.get(&world, "/v1/users").body.to_string(),
        ada.get(&world, &format!("/v1/users/{id}")).body.to_string(),
    ];
    let cookie = ada.cookie.strip_prefix("__Host-outbid=").unwrap();
    let stored = world.control.read(|read| read.user_by_email("ada@agency.example")).unwrap().unwrap();
    let hash = stored.password_hash.clone().unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    for answer in &answers {
        for secret in
            [PASSWORD, "another long", "argon2", &token, cookie, enrolled["secret"].as_str().unwrap(), &hash]
        {
            assert!(!answer.contains(secret), "{secret} is in {answer}");
        }
    }
    assert!(!format!("{stored:?}").contains("argon2"), "{stored:?}");
    let actions = ["invite", "accept", "login", "enrol_totp", "change_password"];
    for action in actions {
        assert!(answers[0].contains(&format!("\"action\":\"{action}\"")), "{action}: {}", answers[0]);
    }
    let audit = world.get(BOOTSTRAP, "/v1/audit?filter[action]=change_password").expect(200);
    let entry = &audit["audit"][0];
    assert_eq!(
        (&entry["actor"], &entry["actor_kind"], &entry["actor_id"]),
        (&json!("Ada"), &json!("user"), &json!(id))
    );
    assert_eq!(
        (&entry["source"], &entry["kind"], &entry["resource_id"]),
        (&json!("ui"), &json!("user"), &json!(id))
    );
}
