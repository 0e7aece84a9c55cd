//! Cost of signing a bid's tokens and of writing an answer: `cargo bench --bench respond`.
#![allow(missing_docs, reason = "a bench has no public face")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot set itself up fails")]

use divan::{Bencher, black_box};
use outbid::exchange::macros::{Place, compile};
use outbid::exchange::respond::{Response, write};
use outbid::exchange::text::push_string;
use outbid::exchange::token::{TokenClass, TokenKey, TokenKeys, decode, encode};
use outbid::exchange::url::PublicUrl;
use outbid::model::auction::Size;
use outbid::model::bid::{Bid, Fill};
use outbid::model::creative::{Approvals, BannerAd, Content, Creative};
use outbid::model::exchange::{
    BillingEvent, ExchangeAuth, ExchangeProfile, GdprDefault, HoldLives, MissingPrice, PriceCodec, PriceUnit,
};
use outbid::model::ids::{
    AdvertiserId, BidId, CampaignId, CreativeId, ExchangeId, LeaseId, LineItemId, UserKey,
};
use outbid::model::money::{Cpm, Currency};
use outbid::model::rates::Rate;
use outbid::model::token::{Bucket, TokenClaims};

fn main() {
    divan::main();
}

const SHORT: &str = "<a href=\"{{CLICK_URL}}\" target=\"_blank\"><img src=\"https://cdn.example/{{CREATIVE_ID}}.png?cb=\
    {{CACHEBUSTER}}\" width=\"{{WIDTH}}\" height=\"{{HEIGHT}}\" alt=\"\"></a>";

/// About 2 KiB, as a tag with a script is.
fn long() -> String {
    let line = "<div class=\"cell\" data-slot=\"a\"><img src=\"https://cdn.example/creative/part.png\" alt=\"part\"></div>\n";
    format!("{}{SHORT}<script>track('{{{{PAGE_URL}}}}', '{{{{INVENTORY}}}}')</script>", line.repeat(18))
}

fn claims() -> TokenClaims {
    TokenClaims {
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
    }
}

fn keys() -> TokenKeys {
    TokenKeys::new(&TokenKey { id: 1, secret: [7; 32] }, &[]).unwrap()
}

fn profile() -> ExchangeProfile {
    ExchangeProfile {
        id: ExchangeId(1),
        name: "demo".to_owned(),
        auth: ExchangeAuth::LoopbackOnly,
        seat: "seat-1".to_owned(),
        currency: Currency::USD,
        price_codec: PriceCodec::Plain,
        price_unit: PriceUnit::Cpm,
        billing_event: BillingEvent::Burl,
        burl_in_browser: false,
        missing_price: MissingPrice::Bid,
        default_at: 1,
        default_tmax_ms: 100,
        max_tmax_ms: 500,
        network_margin_ms: 10,
        holds: HoldLives::default(),
        max_multiplier_ppm: 100_000_000,
        max_cpm: Cpm(100_000_000),
        max_qps: None,
        max_open_holds: None,
        house: outbid::model::exchange::HouseRules::default(),
        max_adm_bytes: 16_384,
        max_url_bytes: 1_024,
        send_nbr: false,
        send_lurl: false,
        seller_system: None,
        open_bids: 1,
        eid_sources: Vec::new(),
        match_user_id: false,
        gdpr_default: GdprDefault::Applies,
        sync_url: None,
        sync_domains: Vec::new(),
    }
}

fn creative() -> Creative {
    Creative {
        frequency: Default::default(),
        id: CreativeId(9),
        advertiser: AdvertiserId(1),
        name: String::new(),
        content: Content::Banner(BannerAd {
            size: Size { w: 300, h: 250 },
            markup: String::new(),
            banner_type: 2,
            expands: Vec::new(),
        }),
        click_url: String::new(),
        landing_domains: Vec::new(),
        adomain: vec!["shop.example".to_owned()],
        categories: vec!["IAB3".to_owned()],
        cattax: 1,
        attributes: Vec::new(),
        api: None,
        language: Some("en".to_owned()),
        bundle: None,
        secure: true,
        approvals: Approvals::default(),
        transparency: None,
    }
}

#[divan::bench]
fn token_encode(bencher: Bencher) {
    let (claims, keys) = (claims(), keys());
    bencher.bench(|| encode(black_box(&claims), &keys));
}

#[divan::bench]
fn token_decode(bencher: Bencher) {
    let keys = keys();
    let token = encode(&claims(), &keys).server;
    bencher.bench(|| decode(black_box(token.as_str()), TokenClass::Server, &keys));
}

#[divan::bench(args = [1, 2])]
fn answer_short_markup(bencher: Bencher, bids: usize) {
    answer(bencher, SHORT, bids);
}

#[divan::bench]
fn answer_long_markup(bencher: Bencher) {
    answer(bencher, &long(), 1);
}

fn answer(bencher: Bencher, markup: &str, count: usize) {
    let (keys, profile, creative, template) = (keys(), profile(), creative(), compile(markup).unwrap());
    let urls = PublicUrl::parse("https://track.example").unwrap();
    let claims = claims();
    let bid = Bid {
        imp_id: "1",
        imp_index: 0,
        id: claims.bid,
        price: claims.price,
        currency: claims.currency,
        creative: &creative,
        fill: Fill::Html(&template),
        size: creative.banner().map(|banner| banner.size),
        flexible: None,
        duration_s: None,
        skips_itself: false,
        slot_in_pod: None,
        transparency: None,
        campaign: CampaignId(5),
        deal_id: None,
        exp_s: 120,
        claims,
        evidence: &outbid::model::event::Evidence::NONE,
    };
    let bids = vec![bid; count];
    let response = Response {
        request_id: "0f0e0d0c-1a2b-3c4d-5e6f-102030405060",
        bids: &bids,
        profile: &profile,
        keys: &keys,
        urls: &urls,
        place: Place { inventory: "news.example", page: "https://news.example/articles/today?ref=home" },
    };
    let mut out = Vec::new();
    bencher.bench_local(|| {
        out.clear();
        write(black_box(&response), &mut out);
        out.len()
    });
}

#[divan::bench]
fn json_string_of_long_markup(bencher: Bencher) {
    let markup = long();
    let mut out = Vec::new();
    bencher.bench_local(|| {
        out.clear();
        push_string(black_box(&markup), &mut out);
        out.len()
    });
}
