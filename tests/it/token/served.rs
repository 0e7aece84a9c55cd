//! Notices against a running server: what a token and a price are worth there (trials A6, D3–D6).

use super::server::{Server, foreign, key, send};
use outbid::exchange::TokenKeys;
use outbid::exchange::price::google;
use outbid::exchange::token::{self};
use outbid::model::exchange::HmacPriceKeys;
use outbid::model::money::Nanos;
use outbid::model::secret::Key256;
use outbid::model::token::TokenClaims;
use serde_json::{Value, json};

/// 2.00 CPM, the bid of every offer here.
const BID: Nanos = Nanos(2_000_000);

/// The profile of an exchange with encrypted prices.
fn google_profile() -> Value {
    use base64::Engine;
    let key = |byte: u8| base64::engine::general_purpose::URL_SAFE.encode([byte; 32]);
    json!({
        "price_codec": {"type": "google_hmac_sha1", "encryption_key": key(1), "integrity_key": key(2), "max_age_s": 3_600},
        "price_unit": "cpm_micros",
    })
}

fn encrypted(micros: u64, at_s: i64) -> String {
    let keys = HmacPriceKeys { encryption: Key256([1; 32]), integrity: Key256([2; 32]), max_age_s: None };
    let mut iv = *b"time____server-1";
    iv[..4].copy_from_slice(&(at_s as u32).to_be_bytes());
    google::encrypt_price(micros, &iv, &keys)
}

/// One bill of a fresh bid: class, what the wallet pays, what the house pays, flags.
fn check(
    server: &Server,
    values: &[(&str, &str)],
    class: &str,
    charged: Nanos,
    house: Nanos,
    flags: &[&str],
) {
    let before =
        (server.spent(), server.overprice(), flags.iter().map(|f| server.flagged(f)).collect::<Vec<_>>());
    let offer = server.bid();
    let url = offer.with("burl", values);
    let answer = server.fire(&url);
    assert_eq!((answer.status, answer.class()), (204, class), "{values:?}");
    assert_eq!(Nanos(server.spent().0 - before.0.0), charged, "{values:?}");
    assert_eq!(Nanos(server.overprice().0 - before.1.0), house, "{values:?}");
    for (flag, count) in flags.iter().zip(before.2) {
        assert_eq!(server.flagged(flag), count + 1, "{flag} of {values:?}");
    }
}

#[test]
fn a6_no_price_charges_more_than_the_bid_held() {
    let server = Server::start(json!({}));
    let check = |values: &[(&str, &str)], charged: i64, house: i64, flags: &[&str]| {
        check(&server, values, "accepted", Nanos(charged), Nanos(house), flags);
    };
    check(&[("PRICE", "1.5"), ("CURRENCY", "USD"), ("MULTIPLIER", "1")], 1_500_000, 0, &[]);
    check(&[("PRICE", "3")], BID.0, 1_000_000, &["overprice"]);
    check(&[("PRICE", "0")], 0, 0, &["band_low"]);
    check(&[("PRICE", "1500")], BID.0, 1_498_000_000, &["overprice", "band_high"]);
    check(&[("PRICE", "0.0015")], 1_500, 0, &["band_low"]);
    check(&[("PRICE", "1"), ("MULTIPLIER", "0.5")], 500_000, 0, &[]);
    check(&[("PRICE", "2"), ("MULTIPLIER", "3")], BID.0, 2 * BID.0, &["multiplier"]);
    for (text, flag) in [
        ("-1", "price_bad_input"),
        ("NaN", "price_bad_input"),
        ("1,5", "price_bad_input"),
        ("", "price_missing"),
        ("%24%7BAUCTION_PRICE%7D", "price_missing"),
    ] {
        check(&[("PRICE", text)], BID.0, 0, &[flag]);
    }
    check(&[("PRICE", "1"), ("CURRENCY", "EUR")], BID.0, 0, &["currency"]);
}

#[test]
fn a6_a_profile_may_refuse_what_has_no_price() {
    let server = Server::start(json!({"missing_price": "reject"}));
    let offer = server.bid();
    assert_eq!(server.fire(&offer.url("burl", "")).class(), "rejected");
    assert_eq!(server.fire(&offer.with("burl", &[("PRICE", "1"), ("CURRENCY", "EUR")])).class(), "rejected");
    assert_eq!(server.spent(), Nanos(0));
    assert_eq!(server.fire(&offer.url("burl", "1")).class(), "accepted", "a refusal resolves nothing");
    assert_eq!(server.spent(), Nanos(1_000_000));
}

/// A retried odd bill is one alarm.
#[test]
fn a6_a_repeated_alarm_counts_once() {
    let server = Server::start(json!({}));
    let offer = server.bid();
    for class in ["accepted", "duplicate", "duplicate"] {
        assert_eq!(server.fire(&offer.url("burl", "9")).class(), class);
    }
    assert_eq!((server.flagged("overprice"), server.overprice()), (1, Nanos(7_000_000)));
}

/// A6 and D5: `p=0` on a public URL first, and every other price that a browser may invent.
#[test]
fn a6_a_browser_cannot_set_the_price_of_a_public_url() {
    for profile in [json!({"billing_event": "impression"}), json!({"burl_in_browser": true})] {
        let server = Server::start(profile.clone());
        let field = if profile.get("burl_in_browser").is_some() { "burl" } else { "/i/" };
        for (count, query) in (1..).zip(["p=0", "p=0.0001&m=0.0001", "p=1000000", "p=AUDIT", "p=1&c=EUR", ""])
        {
            let raw = server.bid().raw(field);
            let url = format!("{}?{query}", raw.split('?').next().unwrap());
            assert_eq!(server.fire(&url).class(), "accepted", "{url}");
            assert_eq!((server.spent(), server.overprice()), (Nanos(count * BID.0), Nanos(0)), "{query}");
        }
    }
}

#[test]
fn d5_a_tampered_price_charges_at_most_the_hold() {
    let server = Server::start(json!({}));
    let mut total = 0;
    for price in ["0.5", "2", "2.000001", "20", "1000000", "1e5", "9999999"] {
        server.fire(&server.bid().url("burl", price));
        let spent = server.spent().0 - total;
        assert!((0..=BID.0).contains(&spent), "{price} charged {spent}");
        total += spent;
    }
}

#[test]
fn a_burl_for_browsers_has_the_public_token_and_no_lurl() {
    let server = Server::start(json!({"burl_in_browser": true}));
    let offer = server.bid();
    assert!(offer.0.get("lurl").is_none(), "{}", offer.0);
    assert_eq!(offer.token("burl"), offer.token("/i/"));
    assert_ne!(offer.token("burl"), offer.token("nurl"));
    // The server's token bills nothing here, and nobody voids by a loss that was never offered.
    assert_eq!(server.fire(&format!("/b/{}", offer.token("nurl"))).status, 403);
    let loss = server.fire(&format!("/l/{}?r=102", offer.token("nurl")));
    assert_eq!((loss.status, loss.class()), (204, "rejected"));
    assert_eq!(server.fire(&offer.url("burl", "1")).class(), "accepted");
    assert_eq!(server.spent(), BID);

    let server = Server::start(json!({}));
    let offer = server.bid();
    assert_eq!(server.fire(&format!("/b/{}?p=1", offer.token("/i/"))).status, 403);
    assert_eq!(server.fire(&format!("/l/{}?r=1", offer.token("/i/"))).status, 403);
    assert_eq!(server.spent(), Nanos(0));
}

#[test]
fn an_encrypted_price_is_billed_by_burl_and_by_pixel() {
    let now_s = super::server::START_S;
    let server = Server::start(google_profile());
    assert_eq!(server.fire(&server.bid().url("burl", &encrypted(1_700_000, now_s))).class(), "accepted");
    assert_eq!(server.spent(), Nanos(1_700_000));

    let mut by_pixel = google_profile();
    by_pixel["billing_event"] = json!("impression");
    by_pixel["default_at"] = json!(2);
    let server = Server::start(by_pixel);
    let offer = server.bid();
    assert!(offer.raw("/i/").ends_with(".gif?p=${AUCTION_PRICE}"), "{}", offer.raw("/i/"));
    // What a browser sends first neither bills nor blocks the price that the exchange wrote.
    for odd in ["", "0", &encrypted(1, now_s - 3_601), &encrypted(1, now_s + 3_601), "AUDIT"] {
        let answer = server.fire(&offer.url("/i/", odd));
        assert_eq!(answer.status, 200);
        assert!(["rejected", "test"].contains(&answer.class()), "{odd}: {}", answer.class());
    }
    assert_eq!(server.spent(), Nanos(0));
    assert_eq!((server.flagged("price_stale"), server.flagged("price_bad_input")), (2, 1));
    assert_eq!(server.fire(&offer.url("/i/", &encrypted(1_700_000, now_s))).class(), "accepted");
    assert_eq!(server.spent(), Nanos(1_700_000));
}

#[test]
fn openx_gets_its_own_macro_and_counts_impressions() {
    let mut profile = google_profile();
    profile["price_codec"]["type"] = json!("openx_cpi");
    profile["price_unit"] = json!("cpi_micros");
    let server = Server::start(profile);
    let offer = server.bid();
    assert!(offer.raw("burl").contains("?p=${AUCTION_PRICE:OXCRYPT}&"), "{}", offer.raw("burl"));
    let price = encrypted(1_250, super::server::START_S);
    let url = offer.raw("burl").replace("${AUCTION_PRICE:OXCRYPT}", &price);
    assert_eq!(server.fire(&url).class(), "accepted");
    assert_eq!(server.spent(), Nanos(1_250_000));
}

/// D6: a right cipher text is worth nothing without one of our tokens, nor twice with one.
#[test]
fn d6_a_stolen_cipher_text_needs_our_token() {
    let server = Server::start(google_profile());
    let price = encrypted(1_000_000, super::server::START_S);
    let offer = server.bid();
    let token = offer.token("burl");
    for guessed in ["A".repeat(148), "_".repeat(148), token.chars().rev().collect(), String::new()] {
        let answer = server.fire(&format!("/b/{guessed}?p={price}"));
        assert!([403, 404].contains(&answer.status), "{answer:?}");
    }
    assert_eq!(server.spent(), Nanos(0));
    assert_eq!(server.fire(&format!("/b/{token}?p={price}")).class(), "accepted");
    assert_eq!(server.fire(&format!("/b/{token}?p={price}")).class(), "duplicate");
    assert_eq!(server.spent(), Nanos(1_000_000));
}

/// D3: a thousand replays, 16 at a time, post once.
#[test]
fn d3_a_thousand_parallel_replays_post_once() {
    let server = Server::start(json!({}));
    let url = server.bid().url("burl", "1.5");
    let path = url.strip_prefix("https://track.example").unwrap();
    let to = server.track();
    let accepted: usize = std::thread::scope(|scope| {
        let fire = || (0..63).filter(|_| send(to, "GET", path, &[], b"").class() == "accepted").count();
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(fire)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((accepted, server.spent()), (1, Nanos(1_500_000)));
    assert_eq!(server.counter("outbid_notices_total{kind=\"billing\",outcome=\"duplicate\"}"), 16 * 63 - 1);
}

/// D4: stale, from the future, of another class, signed with an old key within and after a rotation.
#[test]
fn d4_only_a_token_of_its_time_class_and_key_is_taken() {
    let ring = TokenKeys::new(&key(2), &[key(1)]).unwrap();
    let server = Server::with_keys(json!({}), ring);
    let offer = server.bid();
    let claims = server.claims(&offer);
    let bill = |token: &str| {
        let answer = server.fire(&format!("/b/{token}?p=1"));
        (answer.status, answer.class().to_owned())
    };
    let class = |name: &str| (204, name.to_owned());
    let signed = |claims: &TokenClaims| server.sign(claims)[0].clone();

    // The only hold goes with the bid's own bill, so that every other one is late or worse.
    assert_eq!(bill(&offer.token("burl")), class("accepted"));
    let issued = |ahead_s: i64, sequence| {
        let issued_s = (i64::from(claims.issued_s) + ahead_s) as u32;
        TokenClaims { issued_s, ..foreign(&claims, sequence) }
    };
    assert_eq!(bill(&signed(&issued(300, 1_001))), class("late"), "our clocks may differ by five minutes");
    assert_eq!(bill(&signed(&issued(301, 1_002))), class("rejected"));
    for path in ["n", "l", "i", "c"] {
        let ahead = issued(301, 1_003);
        let token = &server.sign(&ahead)[usize::from(["i", "c"].contains(&path))];
        assert_eq!(server.fire(&format!("/{path}/{token}")).class(), "rejected", "{path}");
    }
    assert_eq!(bill(&signed(&issued(-4 * 3_600, 1_004))), class("late"));
    assert_eq!(bill(&signed(&issued(-4 * 3_600 - 1, 1_005))), class("stale"));

    assert_eq!(bill(&server.sign(&foreign(&claims, 1_006))[1]).0, 403, "a public token bills nothing");
    let elsewhere = TokenClaims { exchange: outbid::model::ids::ExchangeId(9), ..foreign(&claims, 1_007) };
    let answer = server.fire(&format!("/b/{}?p=1", signed(&elsewhere)));
    assert_eq!((answer.status, answer.class()), (204, ""), "an exchange that is no more: counted, no effect");
    let flagged = "outbid_billing_flags_total{exchange=\"9\",flag=\"no_profile\"} 1\n";
    assert!(server.shared.metrics().render().contains(flagged));

    let with = |id: u8, claims: &TokenClaims| {
        let keys = TokenKeys::new(&key(id), &[]).unwrap();
        token::encode(claims, &keys).server.as_str().to_owned()
    };
    let before = server.spent();
    assert_eq!(bill(&with(1, &foreign(&claims, 1_008))), class("late"), "the key of before the rotation");
    assert_eq!(bill(&with(3, &foreign(&claims, 1_009))).0, 403, "a key that is not in the ring");
    let after = Server::start(json!({}));
    let answer = after.fire(&format!("/b/{}?p=1", with(2, &foreign(&claims, 1_010))));
    assert_eq!(answer.status, 403, "a key that has left the ring");
    assert_eq!((server.spent().0 - before.0, after.spent()), (1_000_000, Nanos(0)));
}

/// D4: a bill that comes after the life of its token.
#[test]
fn d4_a_bill_of_yesterday_is_stale() {
    let server = Server::start(json!({}));
    let offer = server.bid();
    server.advance_s(4 * 3_600 + 1);
    assert_eq!(server.fire(&offer.url("burl", "1")).class(), "stale");
    assert_eq!(server.spent(), Nanos(0));
}
