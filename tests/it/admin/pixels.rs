//! Pixels and what segments say of behaviour, over the API: references, secrets, tags, tables and applied files.

use super::calls::{Bare, Calls};
use super::world::{BOOTSTRAP, World};
use hyper::Method;
use outbid::model::clock::Clock;
use outbid::store::control::Control;
use outbid::telemetry::clock::SystemClock;
use serde_json::{Value, json};
use std::sync::Arc;

const JSON: (&str, &str) = ("content-type", "application/json");
const MERGE: (&str, &str) = ("content-type", "application/merge-patch+json");
const ANY_VERSION: (&str, &str) = ("if-match", "*");
const SECRET: &str = "9f86d081884c7d659a2feaa0c55ad0159f86d081884c7d659a2feaa0c55ad015";

fn bare() -> Bare {
    let bare = Bare::in_memory();
    bare.make_all();
    bare
}

fn shop() -> Value {
    json!({
        "name": "Shop", "advertiser_id": "1", "origins": ["https://shop.example"], "secret": SECRET,
        "status": "active",
    })
}

/// A refusal with one error.
#[track_caller]
fn refused(bare: &Bare, method: &str, path: &str, body: &Value, pointer: &str, text: &str) {
    let media = if method == "PATCH" { MERGE } else { JSON };
    let problem = bare.refused(422, method, path, &[media, ANY_VERSION], &body.to_string());
    let errors = problem["errors"].as_array().unwrap();
    assert_eq!((errors.len(), &errors[0]["pointer"]), (1, &json!(pointer)), "{problem}");
    assert!(errors[0]["message"].as_str().unwrap().contains(text), "{problem}");
}

#[test]
fn a_pixels_secret_goes_in_and_never_comes_out() {
    let bare = bare();
    let made = bare.make("pixels", &shop());
    assert_eq!((&made["secret"], &made["per_second"]), (&json!("********"), &Value::Null));
    let kept = |bare: &Bare| bare.admin.account().pixels[0].secret.clone().unwrap().0;
    let before = kept(&bare);
    assert_eq!(before[..2], [0x9f, 0x86]);
    // Who writes back what was shown changes nothing of it.
    let changed = bare.patch("/v1/pixels/1", &json!({ "secret": "********", "per_second": 7 }));
    assert_eq!((&changed["secret"], &changed["per_second"]), (&json!("********"), &json!(7)));
    assert_eq!((kept(&bare), bare.admin.account().pixels[0].per_second), (before, 7));
    bare.patch("/v1/pixels/1", &json!({ "secret": "00".repeat(32) }));
    assert_eq!(kept(&bare), [0; 32]);
    bare.patch("/v1/pixels/1", &json!({ "secret": null }));
    assert_eq!(bare.admin.account().pixels[0].secret, None);
    refused(&bare, "PATCH", "/v1/pixels/1", &json!({ "secret": "guess" }), "/secret", "32 bytes");
    let masked = json!({ "name": "n", "advertiser_id": "1", "secret": "********" });
    refused(&bare, "POST", "/v1/pixels", &masked, "/secret", "32 bytes");
    let record = bare.get("/v1/audit").to_string();
    assert!(record.contains("pixel") && !record.contains(SECRET), "{record}");
    let table = bare.call("GET", "/v1/exports/pixels.csv", &[], "");
    assert!(
        table.text().starts_with("id,external_id,account_id,advertiser_id,name,status,version,origins"),
        "{}",
        table.text()
    );
}

#[test]
fn a_pixel_that_is_not_active_takes_nothing_and_an_archived_one_is_gone() {
    let bare = bare();
    bare.make("pixels", &shop());
    let state =
        |bare: &Bare| bare.admin.account().pixels.iter().map(|pixel| pixel.active).collect::<Vec<_>>();
    assert_eq!(state(&bare), [true]);
    for (verb, expected) in [(":pause", &[false][..]), (":activate", &[true])] {
        assert_eq!(bare.call("POST", &format!("/v1/pixels/1{verb}"), &[ANY_VERSION], "").status, 200);
        assert_eq!(state(&bare), expected);
    }
    bare.make("segments", &json!({ "key": "seen", "rule": { "advertiser_ids": ["1"], "pixel_ids": ["1"] } }));
    let problem = bare.refused(409, "DELETE", "/v1/pixels/1", &[], "");
    assert!(problem["detail"].as_str().unwrap().contains("segment 2 uses it"), "{problem}");
    bare.patch("/v1/segments/2", &json!({ "rule": { "pixel_ids": null } }));
    assert_eq!(bare.call("DELETE", "/v1/pixels/1", &[], "").status, 200);
    assert_eq!(state(&bare), [] as [bool; 0]);
}

#[test]
fn tags_report_to_the_public_url_and_pass_on_what_the_page_was_told() {
    let bare = bare();
    bare.make("pixels", &shop());
    let tag = bare.get("/v1/pixels/1/tag");
    let url = "https://t.example/dsp/e/1";
    assert_eq!((&tag["id"], &tag["url"]), (&json!("1"), &json!(url)));
    assert!(tag["img"].as_str().unwrap().contains(&format!("src=\"{url}?t=view\"")), "{tag}");
    let js = tag["js"].as_str().unwrap();
    for part in [
        url,
        "sendBeacon",
        "keepalive",
        "__tcfapi",
        "__gpp",
        "__uspapi",
        "gdpr_consent",
        "gpp_sid",
        "us_privacy",
    ] {
        assert!(js.contains(part), "{part}");
    }
    let server = tag["server"].as_str().unwrap();
    assert!(
        server.contains(url) && server.contains("Outbid-Signature: t=$t,v1=$v1") && !server.contains(SECRET)
    );
    bare.make("pixels", &json!({ "name": "Servers", "advertiser_id": "1", "secret": SECRET }));
    let tag = bare.get("/v1/pixels/2/tag");
    assert_eq!((&tag["img"], &tag["js"], tag["server"].is_string()), (&Value::Null, &Value::Null, true));
    bare.patch("/v1/pixels/1", &json!({ "secret": null }));
    assert_eq!(bare.get("/v1/pixels/1/tag")["server"], Value::Null);
    assert_eq!(bare.refused(404, "GET", "/v1/pixels/9/tag", &[], "")["status"], 404);
}

#[test]
fn the_signature_of_the_servers_tag_is_that_of_its_body() {
    if std::process::Command::new("openssl").arg("version").output().is_err() {
        return eprintln!("skipped: there is no openssl here, and the tag for servers was not run");
    }
    let bare = bare();
    bare.make("pixels", &shop());
    let server = bare.get("/v1/pixels/1/tag")["server"].as_str().unwrap().to_owned();
    // What curl would send, in its place.
    let script = format!("curl() {{ printf '%s\\n' \"$@\"; }}\n{server}");
    let mut shell = std::process::Command::new("sh");
    let said = shell.arg("-c").arg(script).env("OUTBID_PIXEL_SECRET", SECRET).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let header = said.lines().find_map(|line| line.strip_prefix("Outbid-Signature: ")).unwrap();
    let (time, signature) = header.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let body = said.lines().find(|line| line.starts_with('{')).unwrap();
    let key = bare.admin.account().pixels[0].secret.clone().unwrap().0;
    let expected = hmac_sha256(&key, format!("{time}.{body}").as_bytes());
    let expected: String = expected.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(signature, expected);
}

/// RFC 2104, for a key of less than a block.
fn hmac_sha256(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    let pad = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
}

#[test]
fn rules_are_shown_as_they_were_sent_and_held_to_what_there_is() {
    let bare = bare();
    bare.make("pixels", &shop());
    bare.make("advertisers", &json!({ "name": "Another", "currency": "USD" }));
    bare.make("conversions", &json!({ "name": "Theirs", "advertiser_id": "2" }));
    let rule = json!({
        "advertiser_ids": ["1"], "pixel_ids": ["1"], "actions": ["search"], "keywords": ["Running shoes"],
        "min_value": "49.90", "within_s": 1800,
    });
    let sent = json!({ "key": "shoes", "rule": rule, "values": { "price_level": "premium" } });
    let made = bare.make("segments", &sent);
    assert_eq!((&made["rule"], &made["values"]), (&sent["rule"], &sent["values"]));
    let patch = |rule: Value, pointer: &str, text: &str| {
        refused(&bare, "PATCH", "/v1/segments/2", &json!({ "rule": rule }), pointer, text);
    };
    patch(json!({ "conversion_ids": ["1"] }), "/rule/conversion_ids/0", "of advertiser 2");
    patch(json!({ "advertiser_ids": null }), "/rule/advertiser_ids", "whose events");
    patch(json!({ "colour": "red" }), "/rule/colour", "unknown field");
    let both = json!({ "interest": { "advertiser_ids": ["1"], "threshold": "2" } });
    refused(&bare, "PATCH", "/v1/segments/2", &both, "/interest", "beside rule");
    let sensitive = json!({ "sensitive": true });
    refused(&bare, "PATCH", "/v1/segments/2", &sensitive, "/rule", "explicit consent");
    let moved = bare.patch("/v1/segments/2", &json!({ "parent": "crm.buyers", "rule": { "within_s": 60 } }));
    assert_eq!((&moved["parent"], &moved["rule"]["within_s"]), (&json!("crm.buyers"), &json!(60)));
    refused(&bare, "PATCH", "/v1/segments/1", &json!({ "parent": "shoes" }), "/parent", "circle");
    let cleared = bare
        .patch("/v1/segments/2", &json!({ "rule": null, "parent": null, "values": { "price_level": null } }));
    assert_eq!((cleared.get("rule"), cleared.get("parent"), &cleared["values"]), (None, None, &json!({})));
}

#[test]
fn tables_carry_rules_and_names_and_leave_masked_secrets_alone() {
    let world = World::new();
    let advertiser = world.make("advertisers", world.draft("advertisers", "", ""));
    let pixel = json!({ "name": "Shop", "advertiser_id": advertiser, "origins": ["https://a.example"], "secret": SECRET });
    world.make("pixels", pixel);
    let table = |collection: &str| {
        let body = world.get(BOOTSTRAP, &format!("/v1/exports/{collection}.csv")).expect(200);
        body.as_str().unwrap().to_owned()
    };
    let import = |collection: &str, table: &str| {
        let target = format!("/v1/imports/{collection}");
        world.call(BOOTSTRAP, &Method::POST, &target, Some(&table.into())).expect(200)
    };
    let pixels = table("pixels");
    assert!(pixels.contains("********") && !pixels.contains(SECRET), "{pixels}");
    let job = import("pixels", &pixels.replace("https://a.example", "https://b.example"));
    assert_eq!((&job["state"], &job["changed"]), (&json!("succeeded"), &json!(1)), "{job}");
    let kept = &world.admin.account().pixels[0];
    assert_eq!((kept.origins[0].as_str(), kept.secret.is_some()), ("https://b.example", true));
    let job = import(
        "segments",
        "key,rule.advertiser_ids,rule.actions,rule.within_s,values,external\n\
         shoes,1,view;cart,3600,\"{\"\"price_level\"\": \"\"low\"\"}\",\"[{\"\"segtax\"\": 4, \"\"id\"\": \"\"7\"\"}]\"\n",
    );
    assert_eq!((&job["state"], &job["created"]), (&json!("succeeded"), &json!(1)), "{job}");
    let before = table("segments");
    let job = import("segments", &before);
    assert_eq!((&job["state"], &job["unchanged"]), (&json!("succeeded"), &json!(1)), "{job}");
    let shown = world.get(BOOTSTRAP, "/v1/segments/1").expect(200);
    assert_eq!(shown["rule"]["actions"], json!(["view", "cart"]));
    assert_eq!(shown["external"], json!([{ "segtax": 4, "id": "7" }]));
}

#[test]
fn an_applied_file_may_name_segments_before_they_stand_there() {
    let control = Control::in_memory(Arc::new(SystemClock::new()) as Arc<dyn Clock>).unwrap();
    let bare = Bare::open(control.clone());
    bare.make_all();
    let rule = |of: &str| json!({ "advertiser_ids": ["1"], "categories": [of] });
    let file = json!({
        "segments": [
            { "id": "10", "key": "shoes", "rule": rule("shoes.running") },
            { "id": "11", "key": "shoes.running", "parent": "shoes", "rule": rule("shoes") },
        ],
        "pixels": [{ "id": "7", "advertiser": "1", "name": "Shop", "origins": ["https://shop.example"] }],
    });
    let apply = |file: &Value| bare.call("POST", "/v1/apply", &[JSON], &file.to_string());
    let plan = apply(&file);
    assert_eq!((plan.status, &plan.json()["summary"]["create"]), (200, &json!(3)), "{}", plan.text());
    assert_eq!(apply(&file).json()["summary"]["unchanged"], 3);
    // What was only promised is not there.
    let dangling = json!({ "segments": [{ "id": "12", "key": "hats", "rule": rule("hats.straw") }] });
    assert_eq!(apply(&dangling).status, 422);
    refused(
        &bare,
        "PATCH",
        "/v1/segments/10",
        &json!({ "rule": rule("hats") }),
        "/rule/categories/0",
        "no segment",
    );
    // A start reads them back, though they name one another.
    let account = outbid::admin::read_account(&control).unwrap();
    assert_eq!(account, bare.admin.account());
}
