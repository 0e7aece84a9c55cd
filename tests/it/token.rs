//! Notice tokens through their public face: what was signed comes back, and nothing else does.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as loudly as the test")]

mod clicks;
mod constant_time;
mod served;
mod server;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use outbid::exchange::token::{
    DEAL_TOKEN_BYTES, DEAL_TOKEN_CHARS, DuplicateKeyId, TOKEN_BYTES, TOKEN_CHARS, TokenClass, TokenError,
    TokenKey, TokenKeys, decode, encode,
};
use outbid::model::ids::{BidId, CreativeId, DealId, ExchangeId, LeaseId, LineItemId, UserKey};
use outbid::model::money::{Cpm, Currency};
use outbid::model::rates::Rate;
use outbid::model::token::{Bucket, TokenClaims};
use proptest::prelude::*;

const CLASSES: [TokenClass; 2] = [TokenClass::Server, TokenClass::Public];

fn key(id: u8) -> TokenKey {
    TokenKey { id, secret: std::array::from_fn(|at| id.wrapping_mul(31).wrapping_add(at as u8)) }
}

fn ring(active: u8, older: &[u8]) -> TokenKeys {
    let older: Vec<TokenKey> = older.iter().map(|id| key(*id)).collect();
    TokenKeys::new(&key(active), &older).unwrap()
}

fn claims() -> TokenClaims {
    TokenClaims {
        exchange: ExchangeId(7),
        bid: BidId { epoch: 1_790_000_000, core: 3, sequence: 42 },
        lease: LeaseId(0x0102_0304_0506_0708),
        bucket: Bucket { class: 5, slot: 14_000_001 },
        line_item: LineItemId(1_001),
        creative: CreativeId(2_002),
        issued_s: 1_790_000_123,
        price: Cpm(1_250_000),
        currency: Currency::parse("EUR").unwrap(),
        rate: Rate(1_080_000_000),
        data_fee: Cpm(50_000),
        platform_ppm: 100_000,
        multiplier_ppm: 1_000_000,
        budget_day: 20_717,
        test: false,
        user: UserKey(0xfeed_beef),
        deal: None,
    }
}

fn on_a_deal() -> TokenClaims {
    TokenClaims { deal: Some(DealId(0x0102_0304)), ..claims() }
}

fn text(claims: &TokenClaims, class: TokenClass, keys: &TokenKeys) -> String {
    let tokens = encode(claims, keys);
    match class {
        TokenClass::Server => tokens.server.as_str().to_owned(),
        TokenClass::Public => tokens.public.as_str().to_owned(),
    }
}

#[test]
fn a_token_has_one_of_two_widths_and_no_spare_bits() {
    let keys = ring(1, &[]);
    for class in CLASSES {
        let check = |claims: &TokenClaims, (bytes, chars): (usize, usize)| {
            let text = text(claims, class, &keys);
            assert_eq!(text.len(), chars);
            assert_eq!(URL_SAFE_NO_PAD.decode(&text).unwrap().len(), bytes);
        };
        check(&claims(), (TOKEN_BYTES, TOKEN_CHARS));
        check(&on_a_deal(), (DEAL_TOKEN_BYTES, DEAL_TOKEN_CHARS));
    }
    assert_eq!((TOKEN_BYTES, TOKEN_CHARS), (111, 148));
    assert_eq!((DEAL_TOKEN_BYTES, DEAL_TOKEN_CHARS), (117, 156));
}

/// A bid in the open auction has the token that it had before deals were told: those out in the world go on. The deal stands
/// between the rest of the body and the tag.
#[test]
fn a_deal_stands_behind_the_rest_of_the_body() {
    let keys = ring(1, &[]);
    let [open, deal] = [claims(), on_a_deal()]
        .map(|claims| URL_SAFE_NO_PAD.decode(text(&claims, TokenClass::Server, &keys)).unwrap());
    assert_eq!((open[0], deal[0]), (0x10, 0x12));
    assert_eq!(open[1..95], deal[1..95]);
    assert_eq!(deal[95..101], [0x01, 0x02, 0x03, 0x04, 0, 0]);
    assert_eq!(
        decode(&text(&on_a_deal(), TokenClass::Public, &keys), TokenClass::Public, &keys),
        Ok(on_a_deal())
    );
}

/// The layout is a contract with tokens already out in the world. The expectation is written out by hand from the
/// table in `exchange::token`, the tags by another implementation: the body in hexadecimal through
/// `xxd -r -p | openssl dgst -sha256 -mac HMAC -macopt hexkey:1f20…3e`.
#[test]
fn the_layout_is_the_documented_one() {
    let raw = URL_SAFE_NO_PAD.decode(text(&claims(), TokenClass::Server, &ring(1, &[]))).unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let body = concat!(
        "10",
        "01",
        "0007", // version and flags, key, exchange
        "6ab13b80",
        "0003",
        "000000000000002a", // bid
        "0102030405060708",
        "0005",
        "00d59f81", // lease, class, slot
        "000003e9",
        "000007d2",
        "6ab13bfb", // line item, creative, issued
        "00000000001312d0",
        "455552",
        "00000000405f7e00", // price, currency, rate
        "000000000000c350",
        "000186a0",
        "00000000000f4240", // data fee, platform, multiplier
        "000050ed",
        "00000000feedbeef", // budget day, user
    );
    assert_eq!(hex(&raw[..95]), body);
    assert_eq!(hex(&raw[95..]), "4932cc6feb1626acb6d8fb84be2f747b");
    let public = URL_SAFE_NO_PAD.decode(text(&claims(), TokenClass::Public, &ring(1, &[]))).unwrap();
    assert_eq!(hex(&public[..95]), body);
    assert_eq!(hex(&public[95..]), "de7f1d9e991a139d400861d857b6f739");
}

/// D2.
#[test]
fn every_flipped_bit_is_rejected() {
    let keys = ring(1, &[2]);
    for class in CLASSES {
        for claims in [claims(), on_a_deal()] {
            let raw = URL_SAFE_NO_PAD.decode(text(&claims, class, &keys)).unwrap();
            for bit in 0..raw.len() * 8 {
                let mut flipped = raw.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let result = decode(&URL_SAFE_NO_PAD.encode(&flipped), class, &keys);
                assert!(result.is_err(), "bit {bit} of a {class:?} token");
            }
        }
    }
}

#[test]
fn a_token_is_refused_on_a_route_of_the_other_class() {
    let keys = ring(1, &[]);
    let check = |made: TokenClass, shown: TokenClass, expected: Result<TokenClaims, TokenError>| {
        assert_eq!(decode(&text(&claims(), made, &keys), shown, &keys), expected, "{made:?} as {shown:?}");
    };
    check(TokenClass::Server, TokenClass::Server, Ok(claims()));
    check(TokenClass::Public, TokenClass::Public, Ok(claims()));
    check(TokenClass::Server, TokenClass::Public, Err(TokenError::BadTag));
    check(TokenClass::Public, TokenClass::Server, Err(TokenError::BadTag));
}

#[test]
fn an_older_key_is_accepted_while_it_is_in_the_ring() {
    let before = text(&claims(), TokenClass::Server, &ring(1, &[]));
    let check = |keys: &TokenKeys, expected: Result<TokenClaims, TokenError>| {
        assert_eq!(decode(&before, TokenClass::Server, keys), expected, "{keys:?}");
    };
    check(&ring(2, &[1]), Ok(claims()));
    check(&ring(3, &[2, 1]), Ok(claims()));
    check(&ring(3, &[2]), Err(TokenError::UnknownKey(1)));
    // The same id with another secret is a forgery, not a rotation.
    let other = TokenKey { id: 1, secret: [9; 32] };
    check(&TokenKeys::new(&other, &[]).unwrap(), Err(TokenError::BadTag));
    assert_eq!(TokenKeys::new(&key(1), &[key(2), key(1)]).unwrap_err(), DuplicateKeyId(1));
}

#[test]
fn one_token_has_one_text() {
    let keys = ring(1, &[]);
    let good = text(&claims(), TokenClass::Server, &keys);
    let check = |text: &str| {
        assert_eq!(decode(text, TokenClass::Server, &keys), Err(TokenError::Malformed), "{text}");
    };
    check("");
    check(&good[..TOKEN_CHARS - 1]);
    check(&format!("{good}A"));
    check(&format!("{good}="));
    check(&format!("{}=", &good[..TOKEN_CHARS - 1]));
    check(&format!("{}==", &good[..TOKEN_CHARS - 2]));
    check(&format!("{} ", &good[..TOKEN_CHARS - 1]));
    check(&format!("{}é", &good[..TOKEN_CHARS - 2]));
    check(&good.replacen(&good[3..4], "+", 1));
    check(&good.replacen(&good[3..4], "/", 1));
    // Every other last character is another token: there are no spare bits to change without changing the bytes.
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let accepted = alphabet.chars().filter(|last| {
        let text = format!("{}{last}", &good[..TOKEN_CHARS - 1]);
        decode(&text, TokenClass::Server, &keys).is_ok()
    });
    assert_eq!(accepted.count(), 1);
}

#[test]
fn an_unknown_version_is_named() {
    let keys = ring(1, &[]);
    let mut raw = URL_SAFE_NO_PAD.decode(text(&claims(), TokenClass::Server, &keys)).unwrap();
    raw[0] = 0x20;
    let result = decode(&URL_SAFE_NO_PAD.encode(&raw), TokenClass::Server, &keys);
    assert_eq!(result, Err(TokenError::UnknownVersion(2)));
}

#[test]
fn neither_keys_nor_tokens_reach_a_log() {
    let keys = ring(1, &[2]);
    assert_eq!(format!("{keys:?}"), "TokenKeys { active: 1, older: [2] }");
    let tokens = encode(&claims(), &keys);
    let shown = format!("{tokens:?}");
    assert!(!shown.contains(&tokens.server.as_str()[..16]) && shown.len() < 120, "{shown}");
}

fn any_claims() -> impl Strategy<Value = TokenClaims> {
    let bid = (any::<u32>(), any::<u16>(), any::<u64>());
    let place = (any::<u16>(), any::<u64>(), any::<u16>(), any::<u32>(), any::<u32>(), any::<u32>());
    let money = (any::<i64>(), "[A-Z]{3}", any::<i64>(), any::<i64>(), any::<u32>(), any::<i64>());
    let rest = (any::<u32>(), any::<u32>(), any::<bool>(), any::<u64>(), any::<Option<u32>>());
    (bid, place, money, rest).prop_map(|(bid, place, money, rest)| TokenClaims {
        exchange: ExchangeId(place.0),
        bid: BidId { epoch: bid.0, core: bid.1, sequence: bid.2 },
        lease: LeaseId(place.1),
        bucket: Bucket { class: place.2, slot: place.3 },
        line_item: LineItemId(place.4),
        creative: CreativeId(place.5),
        issued_s: rest.0,
        price: Cpm(money.0),
        currency: Currency::parse(&money.1).unwrap(),
        rate: Rate(money.2),
        data_fee: Cpm(money.3),
        platform_ppm: money.4,
        multiplier_ppm: money.5,
        budget_day: rest.1,
        test: rest.2,
        user: UserKey(rest.3),
        deal: rest.4.map(DealId),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_was_signed_comes_back(claims in any_claims()) {
        let keys = ring(200, &[1]);
        for class in CLASSES {
            prop_assert_eq!(decode(&text(&claims, class, &keys), class, &keys), Ok(claims));
        }
    }

    #[test]
    fn no_text_is_accepted_that_was_not_signed(text in "[A-Za-z0-9_-]{148}|[A-Za-z0-9_-]{156}|\\PC{0,200}") {
        for class in CLASSES {
            prop_assert!(decode(&text, class, &ring(1, &[])).is_err());
        }
    }
}

#[test]
fn extreme_values_come_back() {
    let keys = ring(255, &[]);
    let extreme = |large: bool| {
        let pick = |low: i64, high: i64| if large { high } else { low };
        let wide = if large { u64::MAX } else { 0 };
        TokenClaims {
            exchange: ExchangeId(wide as u16),
            bid: BidId { epoch: wide as u32, core: wide as u16, sequence: wide },
            lease: LeaseId(wide),
            bucket: Bucket { class: wide as u16, slot: wide as u32 },
            line_item: LineItemId(wide as u32),
            creative: CreativeId(wide as u32),
            issued_s: wide as u32,
            price: Cpm(pick(i64::MIN, i64::MAX)),
            rate: Rate(pick(i64::MIN, i64::MAX)),
            data_fee: Cpm(pick(i64::MIN, i64::MAX)),
            platform_ppm: wide as u32,
            multiplier_ppm: pick(i64::MIN, i64::MAX),
            budget_day: wide as u32,
            test: large,
            user: UserKey(wide),
            deal: large.then_some(DealId(u32::MAX)),
            ..claims()
        }
    };
    for claims in [extreme(false), extreme(true)] {
        for class in CLASSES {
            assert_eq!(decode(&text(&claims, class, &keys), class, &keys), Ok(claims));
        }
    }
}
