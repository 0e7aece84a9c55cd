//! What belongs to the platform: exchanges, rates, and what is refused everywhere.

use super::super::exchange::{
    ADM_BYTES, AUTH_TYPES, DEFAULT_RATE_AGE_H, HOLD_S, MARGIN_MS, MAX_MULTIPLIER, MIN_SECRET, OPEN_BIDS, QPS,
    RATE_AGE_H, TMAX_MS, URL_BYTES,
};
use super::super::price_codec::CodecWire;
use super::super::schema::{
    Described, Form, Spec, address, amount, currency, domain, factor, formed, list, moment, one_of,
    one_of_texts, price, text, whole, word,
};
use super::{Absent, Quoted};
use crate::model::exchange::{BillingEvent, GdprDefault, MissingPrice, PriceUnit};
use serde::{Deserialize, Serialize};

wire! {
    SafetyWire {
        /// Domains on which nothing is bid, those below them too.
        domains: Vec<String> = list(domain()),
        /// Apps by bundle in which nothing is bid.
        bundles: Vec<String> = list(word("com.example.game")),
        /// Publishers by id from which nothing is bought.
        publishers: Vec<String> = list(word("pub-12")),
        /// Sellers from whom nothing is bought: a system, or one account of it behind a slash.
        sellers: Vec<String> = list(text().such_as("ssp.example/1234")),
        /// Refuse requests whose supply chain is missing or not complete.
        complete_supply_chain: Option<bool>,
        /// Refuse requests of crawlers that say what they are.
        crawlers: Option<bool>,
        /// Refuse devices that cannot exist, such as an iPhone with Android.
        impossible_devices: Option<bool>,
        /// Addresses and networks of users for whom nothing is bid.
        addresses: Vec<String> = list(address()),
        /// The ads.txt files that are known; on these domains only their sellers may sell.
        ads_txt: Vec<AdsTxtWire>,
    }
    AdsTxtWire {
        /// The domain whose file it is.
        domain: Option<String> = domain().required(),
        /// The lines of the file; comments and variables are passed over.
        lines: Vec<String> = list(text().such_as("ssp.example, 1234, DIRECT")),
    }
    RatesWire {
        /// The currency that rates are given in. Default USD.
        base: Option<String> = currency(),
        /// When the rates were read; without it they have no age.
        as_of: Option<String> = moment(),
        /// Hours after `as_of` for which the rates are used.
        max_age_h: Option<i64> = whole(RATE_AGE_H).default(DEFAULT_RATE_AGE_H),
        /// The rates of the other currencies, each once.
        others: Vec<RateWire>,
    }
    RateWire {
        /// A currency other than the base.
        currency: Option<String> = formed("^[A-Za-z]{3}$", &["EUR"]).required(),
        /// What one unit of it is worth in the base, more than 0, at most 9 decimals.
        rate: Option<Quoted> = factor().required(),
    }
    ExchangeWire {
        /// Its number.
        id: Option<Quoted>,
        /// The name in URLs and labels: lower-case letters, digits, hyphens, underscores; it stays.
        name: Option<String> = formed("^[a-z0-9_-]{1,64}$", &["north"]).required(),
        /// How the exchange proves who it is.
        auth: AuthWire,
        /// The seat id that the exchange gave to the bidder.
        seat: Option<String> = formed("^[^\\u0000-\\u001f\\u007f-\\u009f]{1,64}$", &["4711"]).default("outbid"),
        /// The currency of every amount here and of the bids; it stays. Default USD.
        currency: Option<String> = currency().default("USD"),
        /// How prices in notices are written.
        price_codec: Option<CodecWire> = CodecWire::spec().required(),
        /// What the numbers in notices count: units per thousand, their millionths, or millionths per impression.
        price_unit: Option<String> = one_of::<PriceUnit>().required(),
        /// The notice that books the spend.
        billing_event: Option<String> = one_of::<BillingEvent>().default("burl"),
        /// Whether `burl` is called by browsers, which could rewrite a price.
        burl_in_browser: Option<bool> = bool::spec().default(false),
        /// What a notice without a price is charged: the bid, or it is rejected.
        missing_price: Option<String> = one_of::<MissingPrice>().default("bid"),
        /// The auction type of requests that name none: 1 first price, 2 second price, from 500 the exchange's own.
        default_at: Option<i64> = auction_type(),
        /// Milliseconds that a request without `tmax` gives; above `network_margin_ms`, at most `max_tmax_ms`.
        default_tmax_ms: Option<i64> = whole(TMAX_MS).default(100),
        /// The most milliseconds that any `tmax` counts for.
        max_tmax_ms: Option<i64> = whole(TMAX_MS).default(1_000),
        /// Milliseconds of it that the network takes.
        network_margin_ms: Option<i64> = whole(MARGIN_MS).default(20),
        /// How long money is held for a bid.
        holds: HoldsWire,
        /// The most that all multipliers together may raise a bid, at most 6 decimals.
        max_multiplier: Option<Quoted> = factor().such_as(MAX_MULTIPLIER.to_string()).default("100.00"),
        /// The highest price per thousand that is ever bid here.
        max_cpm: Option<Quoted> = price().default("100.00"),
        /// Requests a second that are worked on; without it all are.
        max_qps: Option<i64> = whole(QPS),
        /// The most money that may be held for open bids at once; without it no limit.
        max_open_holds: Option<Quoted> = amount(),
        /// What the house risks on bills that come late.
        house: HouseWire,
        /// Bytes that the markup of a bid may have.
        max_adm_bytes: Option<i64> = whole(ADM_BYTES).default(65_536),
        /// Bytes that a URL may have.
        max_url_bytes: Option<i64> = whole(URL_BYTES).default(2_048),
        /// Answer with the reason where nothing is bid, and not with 204.
        send_nbr: Option<bool> = bool::spec().default(false),
        /// Send `lurl`, to hear of losses.
        send_lurl: Option<bool> = bool::spec().default(true),
        /// The domain under which the exchange stands in ads.txt and supply chains.
        seller_system: Option<String> = domain(),
        /// Bids that one impression may get.
        open_bids: Option<i64> = whole(OPEN_BIDS).default(1),
        /// Sources of extended ids by which users are found.
        eid_sources: Vec<String> = list(domain()),
        /// Whether `user.id` is an id by which users are found.
        match_user_id: Option<bool> = bool::spec().default(false),
        /// What a request that does not say whether GDPR applies is taken for.
        gdpr_default: Option<String> = one_of::<GdprDefault>().default("applies"),
        /// Where browsers are sent on to when ids are matched, with `${UID}` for our uid.
        sync_url: Option<String> = formed("^https://", &["https://match.exchange.example/sync?dsp=12&uid=${UID}"]),
        /// Hosts to which the exchange may have browsers sent back when ids are matched; each is listed itself.
        sync_domains: Vec<String> = list(domain()),
    }
    HouseWire {
        /// What may be billed late before the exchange has earned trust. Default 10.00.
        first_trust: Option<Quoted> = amount(),
        /// Whether it is trusted from the beginning; for `loopback_only` alone.
        trusted: Option<bool> = bool::spec().default(false),
        /// The most that the house pays a day; without it no limit.
        day_max: Option<Quoted> = amount(),
        /// Stop bidding when no notices come; off for `loopback_only` alone.
        deaf_check: Option<bool> = bool::spec().default(true),
    }
    AuthWire {
        /// A header, a secret in the path, its networks, or nothing beyond being on this machine.
        r#type: Option<String> = one_of_texts(AUTH_TYPES).default("loopback_only"),
        /// The name of the header; with `header`.
        name: Option<String> = formed("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", &["x-exchange-key"]),
        /// At least 16 characters; with `header` or `path`.
        secret: Option<String> = text().at_least(MIN_SECRET).such_as("9f86d081884c7d659a2feaa0c55ad015").secret(),
        /// Networks that it calls from; with `addresses`.
        addresses: Vec<String> = list(address()),
    }
    HoldsWire {
        /// Seconds for banners on the web.
        web_banner_s: Option<i64> = whole(HOLD_S).default(120),
        /// Seconds for banners in apps.
        app_banner_s: Option<i64> = whole(HOLD_S).default(300),
        /// Seconds for interstitials in apps.
        app_interstitial_s: Option<i64> = whole(HOLD_S).default(1_800),
        /// Seconds for video and audio.
        video_s: Option<i64> = whole(HOLD_S).default(600),
        /// Seconds more, for the notice to arrive.
        grace_s: Option<i64> = whole(HOLD_S).default(10),
        /// The most seconds of all; each of the others and the grace are at most this.
        max_s: Option<i64> = whole(HOLD_S).default(7_200),
    }
}

fn auction_type() -> Spec {
    Spec::of(serde_json::json!({
        "type": "integer", "anyOf": [{ "enum": [1, 2] }, { "minimum": 500 }], "default": 2,
    }))
}
