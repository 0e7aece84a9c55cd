//! Exchange profiles in the account file: who the exchange is, how it writes prices, who may see them.

use super::account_file::{check, minimal, one, parse, set};
use outbid::store::account_file::Code;
use serde_json::{Value, json};

#[test]
fn an_exchange_states_how_it_writes_prices_and_who_it_is() {
    use Code::{Conflict, Malformed, Missing, OutOfRange};
    one("/exchanges/0/price_codec", Value::Null, Missing, "add it");
    one("/exchanges/0/price_codec", json!("rot13"), Malformed, "blowfish_ecb_hex");
    one("/exchanges/0/price_unit", json!("cpi"), Malformed, "cpm, cpm_micros");
    one("/exchanges/0/name", json!("Demo Exchange"), Malformed, "cannot stand in a URL");
    one("/exchanges/0/default_at", json!(3), OutOfRange, "auction type");
    one("/exchanges/0/default_tmax_ms", json!(2_000), Conflict, "must hold");
    let holds = [("/exchanges/0/holds", json!({"video_s": 7_200}))];
    check(&holds, "/exchanges/0/holds/video_s", Conflict, "never bid");

    let auth =
        |value: Value, at: &str, code, text: &str| check(&[("/exchanges/0/auth", value)], at, code, text);
    auth(
        json!({"type": "none"}),
        "/exchanges/0/auth/type",
        Malformed,
        "loopback_only, header, path, addresses",
    );
    auth(json!({"type": "path", "secret": "abc"}), "/exchanges/0/auth/secret", OutOfRange, "at least 16");
    auth(
        json!({"type": "path", "secret": "0123456789abcde/"}),
        "/exchanges/0/auth/secret",
        Malformed,
        "cannot stand",
    );
    auth(
        json!({"type": "header", "secret": "0123456789abcdef"}),
        "/exchanges/0/auth/name",
        Missing,
        "add it",
    );
    auth(json!({"type": "addresses"}), "/exchanges/0/auth/addresses", Missing, "networks");
    auth(
        json!({"type": "addresses", "addresses": ["0.0.0.0/0"]}),
        "/exchanges/0/auth/addresses/0",
        Malformed,
        "not everyone",
    );
    auth(json!({"secret": "0123456789abcdef"}), "/exchanges/0/auth/secret", Conflict, "belongs to the type");
}

#[test]
fn a_price_codec_comes_with_its_keys_and_a_unit_that_fits() {
    use Code::{Conflict, Duplicate, Malformed, Missing, OutOfRange};
    const CODEC: &str = "/exchanges/0/price_codec";
    const KEY: &str = "skU7Ax_NL5pPAFyKdkfZjZz2-VhIN8bjj1rVFOaJ_5o";
    let hmac = |kind: &str| json!({"type": kind, "encryption_key": KEY, "integrity_key": "A".repeat(43)});
    let refused = |field: &str, value: Value, code, text: &str| {
        let mut codec = hmac("google_hmac_sha1");
        codec[field] = value;
        let at = format!("{CODEC}/{field}");
        check(&[(CODEC, codec), ("/exchanges/0/price_unit", json!("cpm_micros"))], &at, code, text);
    };
    for name in ["google_hmac_sha1", "openx_cpi", "blowfish_ecb_hex"] {
        one(CODEC, json!(name), Missing, "needs its keys");
    }
    refused("type", json!("aes"), Malformed, "plain, google_hmac_sha1, openx_cpi, blowfish_ecb_hex");
    refused("encryption_key", Value::Null, Missing, "add it");
    refused("encryption_key", json!("not base64!"), Malformed, "web-safe base64");
    refused("integrity_key", json!("a+/b"), Malformed, "web-safe base64");
    refused("integrity_key", json!("A".repeat(64)), OutOfRange, "has 48 bytes and needs 32");
    refused("integrity_key", json!(KEY), Duplicate, "other one");
    refused("max_age_s", json!(0), OutOfRange, "from 1");
    refused("key", json!("hheehhee"), Conflict, "remove it");
    check(
        &[(CODEC, json!({"type": "blowfish_ecb_hex", "key": "abc"}))],
        &format!("{CODEC}/key"),
        OutOfRange,
        "4 to 56",
    );
    for (kind, unit) in [("google_hmac_sha1", "cpm"), ("openx_cpi", "cpm"), ("openx_cpi", "cpm_micros")] {
        let changes = [(CODEC, hmac(kind)), ("/exchanges/0/price_unit", json!(unit))];
        check(&changes, "/exchanges/0/price_unit", Conflict, "write \"cp");
    }
    // No message and no log repeats a key.
    let mut account = minimal();
    set(&mut account, CODEC, hmac("openx_cpi"));
    set(&mut account, "/exchanges/0/price_unit", json!("cpi_micros"));
    let account = parse(&account).unwrap().account;
    let shown = format!("{:?}", account.exchanges[0]);
    assert!(
        shown.contains("OpenxCpi") && shown.contains("********") && !shown.contains("178, 69"),
        "{shown}"
    );
}

#[test]
fn a_price_that_browsers_see_is_signed_or_not_asked_for() {
    let event = ("/exchanges/0/billing_event", json!("impression"));
    let browser = ("/exchanges/0/burl_in_browser", json!(true));
    let first_price = ("/exchanges/0/default_at", json!(1));
    for (public, at) in [(&event, "billing_event"), (&browser, "burl_in_browser")] {
        let at = format!("/exchanges/0/{at}");
        check(std::slice::from_ref(public), &at, Code::Conflict, "browsers could rewrite the price");
        let mut account = minimal();
        for (at, value) in [public, &first_price] {
            set(&mut account, at, value.clone());
        }
        assert!(parse(&account).unwrap().account.exchanges[0].bills_in_public());
    }
}
