//! Whether the time of a refusal tells where a tag is wrong (trial D10), and what notices cost:
//! `cargo bench --bench token`.
//!
//! The first part is a statistic of its own: tokens with the tag wrong in the first and in the last byte take turns, in
//! random order, and Welch's t compares the two. With some millions of refusals |t| below 4.5 is the usual threshold of
//! "no leak seen" (Reparaz, Balasch, Verbauwhede: "Dude, is my code constant time?", 2017). The comparison alone is
//! shown too, beside `==`, because the MAC before it hides a nanosecond.
#![allow(missing_docs, reason = "a bench has no public face")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot set itself up fails")]
#![allow(clippy::print_stdout, reason = "a bench prints")]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use divan::{Bencher, black_box};
use outbid::exchange::price::{self, blowfish, google};
use outbid::exchange::token::{TOKEN_BYTES, TokenKey, TokenKeys, encode, verify};
use outbid::model::clock::Clock;
use outbid::model::exchange::{HmacPriceKeys, PriceCodec, PriceUnit};
use outbid::model::ids::{BidId, CreativeId, ExchangeId, LeaseId, LineItemId, UserKey};
use outbid::model::money::{Cpm, Currency};
use outbid::model::rates::Rate;
use outbid::model::secret::{BlowfishKey, Key256};
use outbid::model::token::{Bucket, TokenClaims};
use outbid::telemetry::clock::SystemClock;
use subtle::ConstantTimeEq;

fn main() {
    // A filter or `--list` is meant for the ordinary benches.
    if !std::env::args().any(|argument| argument == "--list") {
        timing();
    }
    divan::main();
}

fn keys() -> TokenKeys {
    TokenKeys::new(&TokenKey { id: 1, secret: [7; 32] }, &[]).unwrap()
}

fn token() -> String {
    let claims = TokenClaims {
        exchange: ExchangeId(1),
        bid: BidId { epoch: 1_790_000_000, core: 1, sequence: 123_456 },
        lease: LeaseId(3),
        bucket: Bucket { class: 0, slot: 9 },
        line_item: LineItemId(8),
        creative: CreativeId(9),
        issued_s: 1_790_000_000,
        price: Cpm(1_250_000),
        currency: Currency::USD,
        rate: Rate::ONE,
        data_fee: Cpm(0),
        platform_ppm: 0,
        multiplier_ppm: 1_000_000,
        budget_day: 20_717,
        test: false,
        user: UserKey(0),
        deal: None,
    };
    encode(&claims, &keys()).server.as_str().to_owned()
}

fn wrong_at(byte: usize) -> String {
    let mut raw = URL_SAFE_NO_PAD.decode(token()).unwrap();
    raw[TOKEN_BYTES - 16 + byte] ^= 1;
    URL_SAFE_NO_PAD.encode(raw)
}

/// Mean and variance as values come (Welford 1962).
#[derive(Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (value - self.mean);
    }

    fn variance_of_mean(&self) -> f64 {
        self.squares / (self.count - 1.0) / self.count
    }
}

/// Times both inputs in rounds of `calls`, in random order, and prints means and t. Both stand in one buffer, because
/// two addresses alone differ by more than what is looked for. The slowest tenth of the rounds is left out: interrupts,
/// not the code.
fn compare(what: &str, calls: usize, inputs: [&[u8]; 2], mut run: impl FnMut(&[u8])) {
    const ROUNDS: usize = 20_000;
    let clock = SystemClock::new();
    let mut times: [Vec<u64>; 2] = [Vec::new(), Vec::new()];
    let mut buffer = inputs[0].to_vec();
    for round in 0..2 * ROUNDS {
        let which = usize::from(rand::random::<bool>());
        buffer.copy_from_slice(inputs[which]);
        let start_ns = clock.mono_ns();
        (0..calls).for_each(|_| run(black_box(&buffer)));
        let took_ns = clock.mono_ns() - start_ns;
        // The first rounds warm caches and clocks up.
        if round >= ROUNDS / 10 {
            times[which].push(took_ns);
        }
    }
    let [first, last] = times.map(|mut times| {
        times.sort_unstable();
        let mut moments = Moments::default();
        times[..times.len() * 9 / 10].iter().for_each(|ns| moments.add(*ns as f64 / calls as f64));
        moments
    });
    let t = (first.mean - last.mean) / (first.variance_of_mean() + last.variance_of_mean()).sqrt();
    println!("{what:<28} first byte {:>8.2} ns   last byte {:>8.2} ns   t {t:>8.2}", first.mean, last.mean);
}

fn timing() {
    let keys = keys();
    let [first, last] = [wrong_at(0), wrong_at(15)];
    let refuse = |token: &[u8]| {
        let token = std::str::from_utf8(token).unwrap();
        black_box(verify(black_box(token), &keys)).unwrap_err();
    };
    println!("a refusal, by where the tag is wrong");
    compare("verify", 16, [first.as_bytes(), last.as_bytes()], refuse);
    compare("verify, first byte twice", 16, [first.as_bytes(), first.as_bytes()], refuse);
    let right = [0x5au8; 16];
    let [first, last] = [0, 15].map(|at| {
        let mut tag = right;
        tag[at] ^= 1;
        tag
    });
    compare("the comparison: ct_eq", 256, [&first, &last], |tag| {
        black_box(bool::from(black_box(&right[..]).ct_eq(tag)));
    });
    compare("for contrast: byte by byte", 256, [&first, &last], |tag| {
        black_box(black_box(&right[..]).iter().zip(tag).all(|(a, b)| a == b));
    });
    println!();
}

#[divan::bench]
fn verify_good_token(bencher: Bencher) {
    let (keys, token) = (keys(), token());
    bencher.bench_local(|| verify(black_box(&token), &keys).unwrap());
}

#[divan::bench]
fn verify_bad_token(bencher: Bencher) {
    let (keys, token) = (keys(), wrong_at(0));
    bencher.bench_local(|| verify(black_box(&token), &keys).unwrap_err());
}

fn read_price(bencher: Bencher, raw: &str, codec: &PriceCodec, unit: PriceUnit) {
    bencher.bench_local(|| price::read(black_box(raw), codec, unit, 0).unwrap());
}

#[divan::bench]
fn price_plain(bencher: Bencher) {
    read_price(bencher, "1.234567", &PriceCodec::Plain, PriceUnit::Cpm);
}

#[divan::bench]
fn price_google_hmac_sha1(bencher: Bencher) {
    let keys = HmacPriceKeys { encryption: Key256([1; 32]), integrity: Key256([2; 32]), max_age_s: None };
    let text = google::encrypt_price(1_234_567, &[3; 16], &keys);
    read_price(bencher, &text, &PriceCodec::GoogleHmacSha1(keys), PriceUnit::CpmMicros);
}

#[divan::bench]
fn price_blowfish(bencher: Bencher) {
    let key = BlowfishKey::new(b"hheehhee").unwrap();
    let text = blowfish::encrypt("1.234567", &key);
    read_price(bencher, &text, &PriceCodec::BlowfishEcbHex(key), PriceUnit::Cpm);
}
