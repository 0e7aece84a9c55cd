//! Exchange profiles and rates: JSON → model.
//!
//! Everything has a default but the price's codec and unit: units differ from exchange to exchange by factors of a
//! thousand and a million, so they are stated and never guessed (money.md 3.1).

use super::known::{Known, Uniques};
use super::price_codec;
use super::report::{Code, Report};
use super::values::Named;
use super::wire::{AuthWire, ExchangeWire, HoldsWire, HouseWire, RatesWire};
use crate::model::exchange::{
    BillingEvent, ExchangeAuth, ExchangeProfile, GdprDefault, HoldLives, HouseRules, IpNet, MissingPrice,
    PriceCodec, PriceUnit, UID_MACRO,
};
use crate::model::ids::ExchangeId;
use crate::model::money::{Cpm, Currency};
use crate::model::rates::{Age, Rate, Rates};
use crate::model::token::Bucket;
use crate::model::url::HttpUrl;
use std::ops::RangeInclusive;

/// Shortest secret of an exchange; the ones that people invent are shorter.
pub(super) const MIN_SECRET: usize = 16;
/// The ways in which an exchange proves who it is.
pub(super) const AUTH_TYPES: [&str; 4] = ["loopback_only", "header", "path", "addresses"];

/// Bounds, of which some are of days and weeks.
pub(super) const RATE_AGE_H: RangeInclusive<i64> = 1..=24 * 366;
pub(super) const TMAX_MS: RangeInclusive<i64> = 1..=86_400_000;
pub(super) const MARGIN_MS: RangeInclusive<i64> = 0..=86_400_000;
pub(super) const HOLD_S: RangeInclusive<i64> = 1..=604_800;
pub(super) const QPS: RangeInclusive<i64> = 1..=u32::MAX as i64;
pub(super) const ADM_BYTES: RangeInclusive<i64> = 256..=16_777_216;
pub(super) const URL_BYTES: RangeInclusive<i64> = 512..=65_536;
pub(super) const OPEN_BIDS: RangeInclusive<i64> = 1..=10;
pub(super) const MAX_MULTIPLIER: i64 = 100_000;

impl Named for PriceUnit {
    const ALL: &'static [(&'static str, PriceUnit)] = &[
        ("cpm", PriceUnit::Cpm),
        ("cpm_micros", PriceUnit::CpmMicros),
        ("cpi_micros", PriceUnit::CpiMicros),
    ];
}

impl Named for BillingEvent {
    const ALL: &'static [(&'static str, BillingEvent)] = &[
        ("burl", BillingEvent::Burl),
        ("impression", BillingEvent::Impression),
        ("nurl", BillingEvent::Nurl),
    ];
}

impl Named for MissingPrice {
    const ALL: &'static [(&'static str, MissingPrice)] =
        &[("bid", MissingPrice::Bid), ("reject", MissingPrice::Reject)];
}

impl Named for GdprDefault {
    const ALL: &'static [(&'static str, GdprDefault)] =
        &[("applies", GdprDefault::Applies), ("unknown_is_outside", GdprDefault::UnknownIsOutside)];
}

/// Rates are used for so many hours after `as_of` where the file does not say: a long weekend.
pub(super) const DEFAULT_RATE_AGE_H: i64 = 96;

/// Reads the table of rates.
pub(super) fn rates(report: &mut Report, wire: RatesWire) -> Rates {
    let base = report.currency("base", wire.base.as_deref()).unwrap_or(Currency::USD);
    let mut rates = Rates::new(base);
    let max_age_h = report.whole("max_age_h", wire.max_age_h, RATE_AGE_H).unwrap_or(DEFAULT_RATE_AGE_H);
    let as_of_ms = report.moment("as_of", wire.as_of.as_deref());
    rates.set_age(as_of_ms.map(|as_of_ms| Age { as_of_ms, max_s: (max_age_h * 3_600) as u32 }));
    report.each("others", wire.others, |report, wire| {
        let currency = report.required("currency", wire.currency);
        let currency = report.currency("currency", currency.as_deref());
        let rate = report.required("rate", wire.rate);
        let rate = report.amount("rate", rate.as_ref());
        let (Some(currency), Some(rate)) = (currency, rate) else { return };
        if rates.get(currency).is_some() {
            report.error_at(
                "currency",
                Code::Duplicate,
                format!("{currency} has a rate already; remove one"),
            );
        } else if !rates.set(currency, Rate(rate.0)) {
            report.error_at(
                "rate",
                Code::OutOfRange,
                format!("one {currency} must be worth more than nothing in {base}"),
            );
        }
    });
    rates
}

/// Reads all profiles and remembers their names.
pub(super) fn read_all(
    report: &mut Report,
    known: &mut Known,
    rates: &Rates,
    wires: Vec<ExchangeWire>,
) -> Vec<ExchangeProfile> {
    let mut uniques = Uniques::new("exchanges");
    let indexed = wires.into_iter().enumerate();
    report.each("exchanges", indexed, |report, (index, wire)| {
        let id = report.id("id", wire.id.as_ref(), u32::from(Bucket::MAX_EXCHANGE.0));
        uniques.id(report, id, index);
        let name = url_name(report, wire.name.clone());
        if let Some(name) = &name {
            uniques.key(report, "name", name.clone(), index);
        }
        let id = ExchangeId(u16::try_from(id.unwrap_or_default()).expect("the id fits a hold class"));
        known.exchanges.extend(name.clone().map(|name| (name, id)));
        profile(report, rates, id, name.unwrap_or_default(), wire)
    })
}

/// What is missing or refused becomes some default, so that the other fields are read too; the report keeps the account
/// from being used.
fn profile(
    report: &mut Report,
    rates: &Rates,
    id: ExchangeId,
    name: String,
    wire: ExchangeWire,
) -> ExchangeProfile {
    let given_currency = report.currency("currency", wire.currency.as_deref());
    let currency = given_currency.unwrap_or(Currency::USD);
    if rates.get(currency).is_none() {
        report.error_at(
            "currency",
            Code::UnknownReference,
            format!("{currency} has no rate; add it to /rates/others"),
        );
    }
    if wire.max_cpm.is_none() && currency != Currency::USD {
        report
            .warn_at("max_cpm", format!("is not given, so nothing above 100.00 {currency} is ever bid here"));
    }
    let times = times(report, &wire);
    let price_codec = price_codec::read(report, wire.price_codec);
    let price_unit = report.required("price_unit", wire.price_unit);
    let price_unit = report.named("price_unit", price_unit.as_deref());
    if let (Some(codec), Some(unit)) = (&price_codec, price_unit) {
        price_codec::check_unit(report, codec, unit);
    }
    let default_at = default_at(report, wire.default_at);
    let burl_in_browser = wire.burl_in_browser.unwrap_or(false);
    let event = wire.billing_event.as_deref();
    let billing_event = billing(report, event, burl_in_browser, price_codec.as_ref(), default_at);
    let auth = report.within("auth", |report| auth(report, wire.auth));
    let on_loopback = auth == ExchangeAuth::LoopbackOnly;
    let house = report.within("house", |report| house(report, &wire.house, on_loopback));
    ExchangeProfile {
        id,
        name,
        auth,
        seat: seat(report, wire.seat),
        currency,
        price_codec: price_codec.unwrap_or(PriceCodec::Plain),
        price_unit: price_unit.unwrap_or(PriceUnit::Cpm),
        billing_event,
        burl_in_browser,
        missing_price: report
            .named("missing_price", wire.missing_price.as_deref())
            .unwrap_or(MissingPrice::Bid),
        default_at,
        default_tmax_ms: times.default_tmax_ms,
        max_tmax_ms: times.max_tmax_ms,
        network_margin_ms: times.network_margin_ms,
        holds: report.within("holds", |report| holds(report, &wire.holds)),
        max_multiplier_ppm: report
            .factor("max_multiplier", wire.max_multiplier.as_ref(), MAX_MULTIPLIER)
            .unwrap_or(100_000_000),
        max_cpm: report.price("max_cpm", wire.max_cpm.as_ref()).unwrap_or(Cpm(100_000_000)),
        max_qps: report.whole("max_qps", wire.max_qps, QPS),
        max_open_holds: report.amount("max_open_holds", wire.max_open_holds.as_ref()),
        house,
        max_adm_bytes: report.whole("max_adm_bytes", wire.max_adm_bytes, ADM_BYTES).unwrap_or(65_536),
        max_url_bytes: report.whole("max_url_bytes", wire.max_url_bytes, URL_BYTES).unwrap_or(2_048),
        send_nbr: wire.send_nbr.unwrap_or(false),
        send_lurl: wire.send_lurl.unwrap_or(true),
        seller_system: wire.seller_system.and_then(|system| {
            report.within("seller_system", |report| super::targeting::domain(report, system))
        }),
        open_bids: report.whole("open_bids", wire.open_bids, OPEN_BIDS).unwrap_or(1) as usize,
        eid_sources: domains(report, "eid_sources", wire.eid_sources),
        match_user_id: wire.match_user_id.unwrap_or(false),
        gdpr_default: report
            .named("gdpr_default", wire.gdpr_default.as_deref())
            .unwrap_or(GdprDefault::Applies),
        sync_url: sync_url(report, wire.sync_url),
        sync_domains: domains(report, "sync_domains", wire.sync_domains),
    }
}

/// An https address with a place for our uid.
fn sync_url(report: &mut Report, url: Option<String>) -> Option<String> {
    let url = url?;
    let plain = HttpUrl::parse(&url.replace(UID_MACRO, "uid"));
    if !plain.is_ok_and(|plain| plain.is_https()) || !url.contains(UID_MACRO) {
        let message =
            format!("is no https address with {UID_MACRO} in it; say where the exchange takes our uid");
        report.error_at("sync_url", Code::Malformed, message);
        return None;
    }
    Some(url)
}

fn house(report: &mut Report, wire: &HouseWire, on_loopback: bool) -> HouseRules {
    let (trusted, deaf_check) = (wire.trusted.unwrap_or(false), wire.deaf_check.unwrap_or(true));
    for (key, is_off) in [("trusted", trusted), ("deaf_check", !deaf_check)] {
        if is_off && !on_loopback {
            let why = "is allowed only for an exchange whose auth is loopback_only: without it one whose notices never \
                       come could be sent bids without end";
            report.error_at(key, Code::Conflict, why.to_owned());
        }
    }
    let first_trust = report.amount("first_trust", wire.first_trust.as_ref());
    let rules = HouseRules::default();
    HouseRules {
        first_trust: if trusted { None } else { first_trust.or(rules.first_trust) },
        day_max: report.amount("day_max", wire.day_max.as_ref()),
        deaf_check,
    }
}

struct Times {
    default_tmax_ms: u32,
    max_tmax_ms: u32,
    network_margin_ms: u32,
}

fn times(report: &mut Report, wire: &ExchangeWire) -> Times {
    let max_tmax_ms = report.whole("max_tmax_ms", wire.max_tmax_ms, TMAX_MS).unwrap_or(1_000);
    let default_tmax_ms = report.whole("default_tmax_ms", wire.default_tmax_ms, TMAX_MS).unwrap_or(100);
    let network_margin_ms =
        report.whole("network_margin_ms", wire.network_margin_ms, MARGIN_MS).unwrap_or(20);
    if default_tmax_ms > max_tmax_ms || network_margin_ms >= default_tmax_ms {
        let message =
            "network_margin_ms < default_tmax_ms ≤ max_tmax_ms must hold, else no answer is ever in time";
        report.error_at("default_tmax_ms", Code::Conflict, message);
    }
    Times { default_tmax_ms, max_tmax_ms, network_margin_ms }
}

/// The name stands in URLs and labels.
fn url_name(report: &mut Report, name: Option<String>) -> Option<String> {
    let name = report.required("name", name)?;
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if name.is_empty() || name.len() > 64 || !name.bytes().all(is_plain) || name == "other" {
        let message = format!(
            "{name:?} cannot stand in a URL or is taken; give 1 to 64 lower-case letters, digits, hyphens, underscores"
        );
        report.error_at("name", Code::Malformed, message);
    }
    Some(name)
}

fn seat(report: &mut Report, seat: Option<String>) -> String {
    let seat = seat.unwrap_or_else(|| "outbid".to_owned());
    if seat.is_empty() || seat.len() > 64 || seat.chars().any(|c| c.is_control()) {
        report.error_at(
            "seat",
            Code::Malformed,
            "give the seat id that the exchange assigned, 1 to 64 bytes",
        );
    }
    seat
}

/// The event that books the spend, and whether `burl` is a browser's. A URL that browsers see needs a price that they
/// cannot write, or no price: then the bid's own stands, which is what a first price is (money.md 2.4).
fn billing(
    report: &mut Report,
    event: Option<&str>,
    in_browser: bool,
    codec: Option<&PriceCodec>,
    at: i64,
) -> BillingEvent {
    let event = report.named("billing_event", event).unwrap_or(BillingEvent::Burl);
    if event == BillingEvent::Nurl {
        report.warn_at(
            "billing_event",
            "a win notice is not an impression; use burl where the exchange has it",
        );
    }
    let key = match event {
        BillingEvent::Impression => "billing_event",
        BillingEvent::Burl if in_browser => "burl_in_browser",
        _ => return event,
    };
    if at != 1 && codec.is_some_and(|codec| !codec.is_authenticated()) {
        let message = "browsers could rewrite the price; use price_codec google_hmac_sha1 or openx_cpi, or default_at 1 \
                       (first price), where the bid's own price is charged";
        report.error_at(key, Code::Conflict, message);
    }
    event
}

fn default_at(report: &mut Report, at: Option<i64>) -> i64 {
    let at = at.unwrap_or(2);
    if !matches!(at, 1 | 2 | 500..) {
        let message = format!(
            "{at} is no auction type; use 1 (first price), 2 (second price) or the exchange's own from 500"
        );
        report.error_at("default_at", Code::OutOfRange, message);
    }
    at
}

fn auth(report: &mut Report, wire: AuthWire) -> ExchangeAuth {
    let kind = wire.r#type.as_deref().unwrap_or("loopback_only");
    let given = [
        ("name", wire.name.is_some(), "header"),
        ("secret", wire.secret.is_some() && kind != "path", "header"),
        ("addresses", !wire.addresses.is_empty(), "addresses"),
    ];
    for (key, _, owner) in given.into_iter().filter(|(_, is_given, owner)| *is_given && *owner != kind) {
        report.error_at(
            key,
            Code::Conflict,
            format!("belongs to the type {owner:?} and not to {kind:?}; remove one"),
        );
    }
    match kind {
        "loopback_only" => ExchangeAuth::LoopbackOnly,
        "header" => ExchangeAuth::Header {
            name: header_name(report, wire.name),
            secret: secret(report, wire.secret, |b| (b' '..=b'~').contains(&b)),
        },
        "path" => ExchangeAuth::PathSecret(secret(report, wire.secret, |b| {
            b.is_ascii_alphanumeric() || b == b'-' || b == b'_'
        })),
        "addresses" => ExchangeAuth::Addresses(networks(report, wire.addresses)),
        other => {
            let message = format!("{other:?} is not known; use one of {}", AUTH_TYPES.join(", "));
            report.error_at("type", Code::Malformed, message);
            ExchangeAuth::LoopbackOnly
        }
    }
}

fn header_name(report: &mut Report, name: Option<String>) -> String {
    let name = report.required("name", name).unwrap_or_else(|| "x".to_owned()).to_ascii_lowercase();
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    {
        report.error_at("name", Code::Malformed, format!("{name:?} is no HTTP header name"));
    }
    name
}

/// Never repeats the secret.
fn secret(report: &mut Report, secret: Option<String>, is_allowed: impl Fn(u8) -> bool) -> String {
    let Some(secret) = report.required("secret", secret) else { return String::new() };
    if secret.len() < MIN_SECRET {
        let length = secret.len();
        report.error_at(
            "secret",
            Code::OutOfRange,
            format!("has {length} bytes; give at least {MIN_SECRET} random ones"),
        );
    } else if !secret.bytes().all(is_allowed) || secret.trim() != secret {
        report.error_at(
            "secret",
            Code::Malformed,
            "has a character that cannot stand there; use letters and digits",
        );
    }
    secret
}

fn networks(report: &mut Report, addresses: Vec<String>) -> Vec<IpNet> {
    if addresses.is_empty() {
        report.error_at("addresses", Code::Missing, "is missing or empty; list the exchange's networks");
    }
    let read = report.each("addresses", addresses, |report, text| {
        let net = IpNet::parse(&text);
        if net.is_none_or(|net| net.prefix == 0) {
            let message =
                format!("{text:?} is no address or network such as \"192.0.2.0/24\" (and not everyone: /0)");
            report.error(Code::Malformed, message);
        }
        net
    });
    read.into_iter().flatten().collect()
}

fn holds(report: &mut Report, wire: &HoldsWire) -> HoldLives {
    let default = HoldLives::default();
    let mut seconds = |key, value, default| report.whole(key, value, HOLD_S).unwrap_or(default);
    let lives = HoldLives {
        web_banner_s: seconds("web_banner_s", wire.web_banner_s, default.web_banner_s),
        app_banner_s: seconds("app_banner_s", wire.app_banner_s, default.app_banner_s),
        app_interstitial_s: seconds(
            "app_interstitial_s",
            wire.app_interstitial_s,
            default.app_interstitial_s,
        ),
        video_s: seconds("video_s", wire.video_s, default.video_s),
        grace_s: seconds("grace_s", wire.grace_s, default.grace_s),
        max_s: seconds("max_s", wire.max_s, default.max_s),
    };
    for (key, life) in [
        ("web_banner_s", lives.web_banner_s),
        ("app_banner_s", lives.app_banner_s),
        ("app_interstitial_s", lives.app_interstitial_s),
        ("video_s", lives.video_s),
    ] {
        if life.saturating_add(lives.grace_s) > lives.max_s {
            let message = format!(
                "{life} s and the grace are more than max_s ({}), so it would never bid",
                lives.max_s
            );
            report.error_at(key, Code::Conflict, message);
        }
    }
    lives
}

fn domains(report: &mut Report, key: &'static str, sources: Vec<String>) -> Vec<String> {
    let read = report.each(key, sources, super::targeting::domain);
    read.into_iter().flatten().collect()
}
