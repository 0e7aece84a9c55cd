//! Sessions: what they need, and how they end.

use super::{Browser, PASSWORD, login, person, try_login};
use crate::admin::world::{BOOTSTRAP, World};
use hyper::Method;
use serde_json::json;

const MINUTE_MS: u64 = 60_000;

#[test]
fn a_change_needs_the_token_that_other_sites_cannot_read_and_must_not_come_from_one() {
    let world = World::new();
    person(&world, "ada@agency.example", "trader");
    let (ada, other) = (login(&world, "ada@agency.example"), login(&world, "ada@agency.example"));
    let draft = || world.draft("segments", "", "");
    let check = |more: &[(&str, &str)], status: u16| {
        let headers: Vec<(&str, &str)> =
            [("cookie", ada.cookie.as_str())].iter().chain(more).copied().collect();
        let answer = world.send("127.0.0.1", &headers, &Method::POST, "/v1/segments", Some(&draft()));
        assert_eq!(answer.status, status, "{more:?}: {}", answer.body);
        let read = world.send("127.0.0.1", &headers, &Method::GET, "/v1/segments", None);
        assert_eq!(read.status, 200, "{more:?}: {}", read.body);
    };
    let own = ("x-csrf-token", ada.csrf.as_str());
    check(&[], 403);
    check(&[("x-csrf-token", "")], 403);
    check(&[("x-csrf-token", &other.csrf)], 403);
    check(&[own], 201);
    check(&[own, ("sec-fetch-site", "same-origin")], 201);
    check(&[own, ("sec-fetch-site", "none")], 201);
    check(&[own, ("sec-fetch-site", "same-site")], 403);
    check(&[own, ("sec-fetch-site", "cross-site")], 403);
    let host = ("host", "console.agency.example");
    check(&[own, host, ("origin", "https://console.agency.example")], 201);
    check(&[own, host, ("origin", "https://evil.example")], 403);
    check(&[own, host, ("origin", "null")], 403);
    check(&[own, ("origin", "https://console.agency.example")], 403);
    let body = json!({ "email": "ada@agency.example", "password": PASSWORD });
    let headers = [("sec-fetch-site", "cross-site")];
    let elsewhere = world.send("127.0.0.1", &headers, &Method::POST, "/v1/session", Some(&body));
    assert_eq!(elsewhere.status, 403, "nobody is logged in by another site either: {}", elsewhere.body);
    // A key is nothing that a browser sends by itself.
    let headers = [("authorization", format!("Bearer {BOOTSTRAP}")), ("cookie", ada.cookie.clone())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    world.send("127.0.0.1", &headers, &Method::POST, "/v1/segments", Some(&draft())).expect(201);
}

#[test]
fn a_session_ends_twelve_hours_after_it_began_or_an_hour_after_its_last_use() {
    let world = World::new();
    person(&world, "ada@agency.example", "trader");
    let status = |browser: &Browser| browser.get(&world, "/v1/me").status;
    let idle = login(&world, "ada@agency.example");
    world.clock.advance_ms(60 * MINUTE_MS - 1);
    let used = login(&world, "ada@agency.example");
    assert_eq!(status(&idle), 200, "up to the hour");
    world.clock.advance_ms(60 * MINUTE_MS);
    assert_eq!((status(&idle), status(&used)), (401, 401));
    let used = login(&world, "ada@agency.example");
    for _ in 0..14 {
        world.clock.advance_ms(50 * MINUTE_MS);
        assert_eq!(status(&used), 200);
    }
    world.clock.advance_ms(20 * MINUTE_MS - 1);
    assert_eq!(status(&used), 200, "up to twelve hours");
    world.clock.advance_ms(1);
    assert_eq!(status(&used), 401);
    assert_eq!(status(&Browser { cookie: "__Host-outbid=of-nobody".to_owned(), csrf: String::new() }), 401);
    assert_eq!(status(&Browser { cookie: "other=1; __Host-outbid=".to_owned(), csrf: String::new() }), 401);
}

#[test]
fn a_session_ends_with_a_logout_a_new_password_and_its_person() {
    let world = World::new();
    let id = person(&world, "ada@agency.example", "admin");
    let status = |browser: &Browser| browser.get(&world, "/v1/me").status;
    let (first, second) = (login(&world, "ada@agency.example"), login(&world, "ada@agency.example"));
    let out = first.delete(&world, "/v1/session", None);
    assert_eq!(
        out.header("set-cookie"),
        "__Host-outbid=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict"
    );
    assert_eq!((out.status, status(&first), status(&second)), (200, 401, 200));
    let third = login(&world, "ada@agency.example");
    let change = |old: &str, new: &str| {
        second.post(&world, "/v1/me/password", json!({ "old_password": old, "new_password": new }))
    };
    assert_eq!(change("wrong wrong wrong", "another long phrase").status, 403);
    for bad in ["short", "Ada@agency.example", "Password1234", &"x".repeat(257)] {
        let refused = change(PASSWORD, bad).expect(422);
        assert_eq!(refused["errors"][0]["pointer"], "/new_password", "{refused}");
    }
    assert_eq!(change(PASSWORD, "another long phrase").expect(200)["ended_sessions"], 1);
    assert_eq!((status(&second), status(&third)), (200, 401));
    try_login(&world, "ada@agency.example", PASSWORD).expect(401);
    try_login(&world, "ada@agency.example", "another long phrase").expect(201);
    let set = |body: serde_json::Value| {
        world.call(BOOTSTRAP, &Method::PATCH, &format!("/v1/users/{id}"), Some(&body)).expect(200)
    };
    // The clock stands still: what is changed is so at once.
    second.get(&world, "/v1/users").expect(200);
    set(json!({ "role": "analyst" }));
    second.get(&world, "/v1/users").expect(403);
    assert_eq!(second.get(&world, "/v1/me").expect(200)["role"], "analyst");
    set(json!({ "status": "disabled" }));
    assert_eq!(status(&second), 401);
    set(json!({ "status": "active" }));
    assert_eq!(status(&second), 401, "and does not come back");
    let again = super::browser(try_login(&world, "ada@agency.example", "another long phrase"));
    let paused = json!({ "status": "paused" });
    world.call(BOOTSTRAP, &Method::PATCH, "/v1/accounts/1", Some(&paused)).expect(200);
    assert_eq!(status(&again), 403);
}
