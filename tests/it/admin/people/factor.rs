//! The second factor.

use super::{Browser, PASSWORD, browser, login, person, try_from};
use crate::admin::world::{Answer, World};
use hmac::{Hmac, KeyInit, Mac};
use hyper::Method;
use serde_json::{Value, json};

/// The code of an authenticator program so many steps from now, worked out apart from the server.
fn code(world: &World, secret: &str, steps: i64) -> String {
    use outbid::model::clock::Clock;
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bits: String = secret.chars().map(|c| format!("{:05b}", ALPHABET.find(c).unwrap())).collect();
    let bytes: Vec<u8> = bits
        .as_bytes()
        .chunks_exact(8)
        .map(|b| u8::from_str_radix(std::str::from_utf8(b).unwrap(), 2).unwrap())
        .collect();
    let step = world.clock.now().unix_ms / 30_000 + steps;
    let mut mac = <Hmac<sha1::Sha1> as KeyInit>::new_from_slice(&bytes).unwrap();
    mac.update(&step.to_be_bytes());
    let mac = mac.finalize().into_bytes();
    let at = usize::from(mac[19] & 15);
    let number = u32::from_be_bytes(mac[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

fn try_with(world: &World, code: Option<&str>) -> Answer {
    let mut body = json!({ "email": "ada@agency.example", "password": PASSWORD });
    if let Some(code) = code {
        body["totp"] = code.into();
    }
    try_from(world, "127.0.0.1", body)
}

fn enrolled(world: &World) -> (Browser, String) {
    person(world, "ada@agency.example", "trader");
    let ada = login(world, "ada@agency.example");
    let begun = ada.call(world, &Method::POST, "/v1/me/totp", None).expect(201);
    let secret = begun["secret"].as_str().unwrap().to_owned();
    let uri = format!("otpauth://totp/outbid:ada%40agency.example?secret={secret}&issuer=outbid");
    assert_eq!(begun["otpauth_uri"], uri);
    (ada, secret)
}

fn confirm(world: &World, ada: &Browser, code: &str) -> Answer {
    ada.post(world, "/v1/me/totp:confirm", json!({ "code": code }))
}

#[test]
fn a_factor_counts_once_it_is_confirmed_and_each_of_its_codes_once() {
    let world = World::new();
    let (ada, secret) = enrolled(&world);
    login(&world, "ada@agency.example");
    confirm(&world, &ada, "000").expect(403);
    assert_eq!(ada.get(&world, "/v1/me").expect(200)["totp_enabled"], false);
    confirm(&world, &ada, &code(&world, &secret, 0)).expect(200);
    assert_eq!(ada.get(&world, "/v1/me").expect(200)["totp_enabled"], true);
    confirm(&world, &ada, &code(&world, &secret, 1)).expect(409);
    ada.call(&world, &Method::POST, "/v1/me/totp", None).expect(409);
    let needed = try_with(&world, None).expect(401);
    assert_eq!(needed["title"], "second factor needed", "{needed}");
    let refused = |steps: i64| {
        let refused = try_with(&world, Some(&code(&world, &secret, steps))).expect(401);
        assert_eq!(refused["title"], "wrong code", "{steps}: {refused}");
    };
    refused(0);
    refused(2);
    refused(-1);
    browser(try_with(&world, Some(&code(&world, &secret, 1))));
    refused(1);
    refused(0);
    world.clock.advance_ms(3_600_000);
    browser(try_with(&world, Some(&code(&world, &secret, -1))));
    browser(try_with(&world, Some(&code(&world, &secret, 0))));
    refused(-1);
    let wrong =
        json!({ "email": "ada@agency.example", "password": "wrong", "totp": code(&world, &secret, 1) });
    assert_eq!(try_from(&world, "127.0.0.1", wrong).expect(401)["title"], "not logged in");
    browser(try_with(&world, Some(&code(&world, &secret, 1))));
}

#[test]
fn wrong_codes_are_slowed_as_wrong_passwords_are() {
    let world = World::new();
    let (ada, secret) = enrolled(&world);
    confirm(&world, &ada, &code(&world, &secret, 0)).expect(200);
    let at = |n: u32, code: &str| {
        let body = json!({ "email": "ada@agency.example", "password": PASSWORD, "totp": code });
        try_from(&world, &format!("10.0.0.{n}"), body).status
    };
    assert_eq!((0..6).map(|n| at(n, "nothing")).collect::<Vec<_>>(), [401, 401, 401, 401, 401, 429]);
}

#[test]
fn a_factor_is_turned_off_by_the_password_or_a_code_and_not_by_the_session_alone() {
    let world = World::new();
    let (ada, secret) = enrolled(&world);
    confirm(&world, &ada, &code(&world, &secret, -1)).expect(200);
    let remove = |body: Value| ada.delete(&world, "/v1/me/totp", Some(body));
    remove(json!({})).expect(422);
    remove(json!({ "password": PASSWORD, "code": "1" })).expect(422);
    remove(json!({ "password": "wrong wrong wrong" })).expect(403);
    remove(json!({ "code": "123" })).expect(403);
    let removed = remove(json!({ "code": code(&world, &secret, 0) })).expect(200);
    assert_eq!(removed["totp_enabled"], false);
    remove(json!({ "password": PASSWORD })).expect(409);
    login(&world, "ada@agency.example");
    let begun = ada.call(&world, &Method::POST, "/v1/me/totp", None).expect(201);
    assert_ne!(begun["secret"], secret);
    confirm(&world, &ada, &code(&world, begun["secret"].as_str().unwrap(), 1)).expect(200);
    remove(json!({ "password": PASSWORD })).expect(200);
    login(&world, "ada@agency.example");
}
