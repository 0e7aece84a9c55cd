//! Invitations, and what administrators may do with people.

use super::{PASSWORD, accept, browser, invite, login, person, try_login};
use crate::admin::world::{Answer, BOOTSTRAP, World};
use hyper::Method;
use serde_json::{Value, json};

const HOUR_MS: u64 = 3_600_000;

#[test]
fn an_invitation_is_good_once_and_for_three_days() {
    let world = World::new();
    let (id, token) = invite(&world, "Ada@agency.example", "trader");
    assert!(token.starts_with("outbid_invite_") && token.len() == 14 + 43, "{token}");
    let shown = world.get(BOOTSTRAP, &format!("/v1/users/{id}")).expect(200);
    assert_eq!((&shown["status"], &shown["email"]), (&json!("invited"), &json!("ada@agency.example")));
    assert_eq!(shown.get("invite_token"), None);
    accept(&world, "outbid_invite_wrong", "Ada", PASSWORD).expect(404);
    let refused = accept(&world, &token, "", "short").expect(422);
    assert_eq!(
        (&refused["errors"][0]["pointer"], &refused["errors"][1]["pointer"]),
        (&json!("/name"), &json!("/password"))
    );
    accept(&world, &token, "Ada", "ada@agency.example").expect(422);
    let accepted = accept(&world, &token, "Ada", PASSWORD).expect(200);
    assert_eq!((&accepted["status"], &accepted["name"]), (&json!("active"), &json!("Ada")));
    accept(&world, &token, "Eve", "another long phrase").expect(404);
    login(&world, "ada@agency.example");
    let (bob, first) = invite(&world, "bob@agency.example", "trader");
    let (again, second) = invite(&world, "bob@agency.example", "analyst");
    assert_eq!(bob, again);
    accept(&world, &first, "Bob", PASSWORD).expect(404);
    world.clock.advance_ms(72 * HOUR_MS - 1);
    assert_eq!(accept(&world, &second, "Bob", PASSWORD).expect(200)["role"], "analyst");
    let (_, late) = invite(&world, "late@agency.example", "trader");
    world.clock.advance_ms(72 * HOUR_MS);
    accept(&world, &late, "Late", PASSWORD).expect(404);
    let (_, late) = invite(&world, "late@agency.example", "trader");
    accept(&world, &late, "Late", PASSWORD).expect(200);
    let (gone, token) = invite(&world, "gone@agency.example", "trader");
    let disabled = json!({ "status": "disabled" });
    world.call(BOOTSTRAP, &Method::PATCH, &format!("/v1/users/{gone}"), Some(&disabled)).expect(200);
    accept(&world, &token, "Gone", PASSWORD).expect(404);
    let tried = json!({ "email": "t@agency.example", "role": "trader" });
    let tried = world.post(BOOTSTRAP, "/v1/users/invite?validate_only=true", tried).expect(200);
    assert_eq!(tried.get("invite_token"), None);
    assert_eq!(
        world.get(BOOTSTRAP, "/v1/users?filter[email]=T@agency.example").expect(200)["users"],
        json!([])
    );
}

#[test]
fn every_wrong_field_of_an_invitation_is_named() {
    let world = World::new();
    person(&world, "taken@agency.example", "trader");
    let check = |body: Value, status: u16, pointer: &str| {
        let refused = world.post(BOOTSTRAP, "/v1/users/invite", body).expect(status);
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
    };
    check(json!({ "role": "trader" }), 422, "/email");
    for email in [
        "",
        "a",
        "a@b",
        "@b.example",
        "a@",
        "a b@c.example",
        "a@b@c.example",
        &format!("{}@b.example", "a".repeat(250)),
    ] {
        check(json!({ "email": email, "role": "trader" }), 422, "/email");
    }
    check(json!({ "email": "a@b.example", "role": "king" }), 422, "/role");
    check(json!({ "email": "a@b.example", "role": "advertiser_viewer" }), 422, "/advertiser_ids");
    let viewer = json!({ "email": "a@b.example", "role": "advertiser_viewer", "advertiser_ids": ["9"] });
    check(viewer, 422, "/advertiser_ids/0");
    check(json!({ "email": "a@b.example", "role": "trader", "account_id": "9" }), 422, "/account_id");
    check(json!({ "email": "a@b.example", "role": "trader", "password": "x" }), 422, "/password");
    check(json!({ "email": "Taken@agency.example", "role": "trader" }), 409, "/email");
}

fn patch(world: &World, key: &str, id: &str, body: Value) -> Answer {
    world.call(key, &Method::PATCH, &format!("/v1/users/{id}"), Some(&body))
}

#[test]
fn nobody_gives_a_role_above_the_own_one_or_changes_who_has_one() {
    let world = World::new();
    let owner = person(&world, "owner@agency.example", "owner");
    let trader = person(&world, "trader@agency.example", "trader");
    person(&world, "admin@agency.example", "admin");
    let admin = login(&world, "admin@agency.example");
    let to = |id: &str| format!("/v1/users/{id}");
    let invite = |role: &str| {
        let body = json!({ "email": format!("{}@agency.example", world.number()), "role": role });
        admin.post(&world, "/v1/users/invite", body).status
    };
    assert_eq!(["owner", "admin", "trader"].map(invite), [403, 201, 201]);
    admin.patch(&world, &to(&trader), json!({ "role": "owner" })).expect(403);
    admin.patch(&world, &to(&trader), json!({ "role": "admin" })).expect(200);
    for body in [json!({ "name": "n" }), json!({ "role": "trader" }), json!({ "status": "disabled" })] {
        admin.patch(&world, &to(&owner), body).expect(403);
    }
    // An invitation to be an owner is not turned into one for somebody else's address by inviting again.
    super::invite(&world, "next@agency.example", "owner");
    let again = json!({ "email": "next@agency.example", "role": "trader" });
    admin.post(&world, "/v1/users/invite", again).expect(403);
    // A key for less than its role may cannot make a person, who may all of it.
    let narrow = world.key(json!({ "name": "n", "role": "owner", "scopes": ["admin", "read"] }));
    let body = json!({ "email": "x@agency.example", "role": "analyst" });
    world.post(&narrow, "/v1/users/invite", body).expect(403);
    patch(&world, &narrow, &trader, json!({ "role": "trader" })).expect(403);
    patch(&world, &narrow, &trader, json!({ "name": "Renamed" })).expect(200);
    admin.patch(&world, "/v1/me", json!({ "role": "owner", "name": "n" })).expect(422);
    assert_eq!(admin.patch(&world, "/v1/me", json!({ "name": "Grace" })).expect(200)["name"], "Grace");
}

#[test]
fn the_last_owner_stays_one() {
    let world = World::new();
    let first = person(&world, "first@agency.example", "owner");
    let (second, _) = invite(&world, "second@agency.example", "owner");
    let platform = json!({ "email": "p@platform.example", "role": "owner", "platform": true });
    world.post(BOOTSTRAP, "/v1/users/invite", platform).expect(201);
    for body in [json!({ "role": "admin" }), json!({ "status": "disabled" })] {
        // Neither an invited one nor the platform's counts.
        let refused = patch(&world, BOOTSTRAP, &first, body).expect(409);
        assert!(refused["detail"].as_str().unwrap().contains("last owner"), "{refused}");
    }
    patch(&world, BOOTSTRAP, &second, json!({ "role": "admin" })).expect(200);
    let third = person(&world, "third@agency.example", "owner");
    patch(&world, BOOTSTRAP, &first, json!({ "status": "disabled" })).expect(200);
    patch(&world, BOOTSTRAP, &third, json!({ "status": "disabled" })).expect(409);
    patch(&world, BOOTSTRAP, &third, json!({ "name": "Third" })).expect(200);
}

#[test]
fn a_change_of_role_or_status_needs_the_version_and_makes_sense() {
    let world = World::new();
    let id = person(&world, "ada@agency.example", "trader");
    let target = format!("/v1/users/{id}");
    let key = format!("Bearer {BOOTSTRAP}");
    let send = |tag: Option<&str>, body: Value| {
        let mut headers = vec![("authorization", key.as_str())];
        headers.extend(tag.map(|tag| ("if-match", tag)));
        world.send("127.0.0.1", &headers, &Method::PATCH, &target, Some(&body))
    };
    send(None, json!({ "name": "Ada L." })).expect(200);
    for body in
        [json!({ "role": "analyst" }), json!({ "status": "disabled" }), json!({ "advertiser_ids": [] })]
    {
        send(None, body).expect(428);
    }
    let tag = world.get(BOOTSTRAP, &target).header("etag").to_owned();
    let changed = send(Some(&tag), json!({ "role": "analyst" }));
    assert_ne!(changed.header("etag"), tag);
    changed.expect(200);
    let stale = send(Some(&tag), json!({ "role": "trader" }));
    assert_eq!((stale.status, stale.header("etag")), (412, world.get(BOOTSTRAP, &target).header("etag")));
    for (body, status, pointer) in [
        (json!({ "role": "king" }), 422, "/role"),
        (json!({ "status": "asleep" }), 422, "/status"),
        (json!({ "status": "invited" }), 409, "/status"),
        (json!({ "name": "" }), 422, "/name"),
        (json!({ "email": "new@agency.example" }), 422, "/email"),
        (json!({ "password_hash": "x" }), 422, "/password_hash"),
        (json!({ "role": "advertiser_viewer" }), 422, "/advertiser_ids"),
        (json!({ "advertiser_ids": ["1"] }), 422, "/advertiser_ids"),
    ] {
        let refused = send(Some("*"), body).expect(status);
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
    }
    let (invited, _) = invite(&world, "bob@agency.example", "trader");
    patch(&world, BOOTSTRAP, &invited, json!({ "status": "active" })).expect(409);
    let tried = world.call(
        BOOTSTRAP,
        &Method::PATCH,
        &format!("{target}?validate_only=true"),
        Some(&json!({ "status": "disabled" })),
    );
    assert_eq!(tried.expect(200)["status"], "disabled");
    login(&world, "ada@agency.example");
    let entry =
        &world.get(BOOTSTRAP, "/v1/audit?filter[kind]=user&filter[action]=update").expect(200)["audit"][0];
    assert_eq!(
        (&entry["before"], &entry["after"]),
        (&json!({ "role": "trader" }), &json!({ "role": "analyst" }))
    );
}

#[test]
fn a_viewer_sees_its_advertisers_and_an_accounts_people_only_their_account() {
    let world = World::new();
    let other = world.make("accounts", json!({ "name": "the other one" }));
    let mine = world.make("advertisers", world.draft("advertisers", "", ""));
    world.make("advertisers", world.draft("advertisers", "", ""));
    let body = json!({ "email": "v@agency.example", "role": "advertiser_viewer", "advertiser_ids": [mine] });
    let invited = world.post(BOOTSTRAP, "/v1/users/invite", body).expect(201);
    accept(&world, invited["invite_token"].as_str().unwrap(), "V", PASSWORD).expect(200);
    let viewer = login(&world, "v@agency.example");
    let seen = viewer.get(&world, "/v1/advertisers").expect(200);
    assert_eq!(seen["advertisers"].as_array().unwrap().len(), 1);
    assert_eq!((&seen["advertisers"][0]["id"], seen["advertisers"][0].get("data_fee")), (&json!(mine), None));
    viewer.get(&world, "/v1/users").expect(403);
    person(&world, "owner@agency.example", "owner");
    let body = json!({ "email": "o@elsewhere.example", "role": "owner", "account_id": other });
    let elsewhere = world.post(BOOTSTRAP, "/v1/users/invite", body).expect(201);
    let owner = login(&world, "owner@agency.example");
    let page = owner.get(&world, "/v1/users?page_size=1").expect(200);
    assert_eq!(page["users"].as_array().unwrap().len(), 1);
    let rest = format!("/v1/users?page_token={}", page["next_page_token"].as_str().unwrap());
    let rest = owner.get(&world, &rest).expect(200);
    assert_eq!((rest["users"].as_array().unwrap().len(), &rest["next_page_token"]), (1, &Value::Null));
    let foreign = format!("/v1/users/{}", elsewhere["id"].as_str().unwrap());
    owner.get(&world, &foreign).expect(404);
    owner.patch(&world, &foreign, json!({ "name": "n" })).expect(404);
    owner.get(&world, "/v1/users?account_id=2").expect(404);
    let body = json!({ "email": "y@agency.example", "role": "trader", "account_id": other });
    owner.post(&world, "/v1/users/invite", body).expect(422);
    let taken = json!({ "email": "o@elsewhere.example", "role": "trader" });
    owner.post(&world, "/v1/users/invite", taken).expect(409);
    let filtered = |filter: &str| {
        let page = owner.get(&world, &format!("/v1/users?{filter}")).expect(200);
        page["users"].as_array().unwrap().len()
    };
    assert_eq!((filtered("filter[role]=owner"), filtered("filter[status]=invited")), (1, 0));
    owner.get(&world, "/v1/users?filter[role]=king").expect(400);
    let platform = json!({ "email": "p@platform.example", "role": "admin", "platform": true });
    let platform = world.post(BOOTSTRAP, "/v1/users/invite", platform).expect(201);
    accept(&world, platform["invite_token"].as_str().unwrap(), "P", PASSWORD).expect(200);
    let platform = browser(try_login(&world, "p@platform.example", PASSWORD));
    assert_eq!(platform.get(&world, "/v1/users").expect(200)["users"].as_array().unwrap().len(), 4);
    platform.patch(&world, "/v1/rates", json!({ "notes": "n" })).expect(200);
}
