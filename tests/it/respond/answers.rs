//! Written answers: valid JSON for any text, equal to what serde_json would write, good before both judges.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as loudly as the test")]

use crate::judge::{JudgeContext, judge, lint_pair};
use outbid::exchange::macros::{self, Place, compile};
use outbid::exchange::respond::{RespondError, Response, Skipped, write, write_no_bid};
use outbid::exchange::text::push_string;
use outbid::exchange::token::{self, TokenKey, TokenKeys};
use outbid::exchange::url::{NoticeKind, PublicUrl, UrlForm};
use outbid::model::auction::Size;
use outbid::model::bid::{Bid, Fill};
use outbid::model::creative::{Approvals, BannerAd, Content, Creative, Template};
use outbid::model::exchange::{
    BillingEvent, ExchangeAuth, ExchangeProfile, GdprDefault, HmacPriceKeys, HoldLives, HouseRules,
    MissingPrice, PriceCodec, PriceUnit,
};
use outbid::model::ids::{
    AdvertiserId, BidId, CampaignId, CreativeId, ExchangeId, LeaseId, LineItemId, UserKey,
};
use outbid::model::media::FlexibleSize;
use outbid::model::money::{Cpm, Currency};
use outbid::model::rates::Rate;
use outbid::model::token::{Bucket, TokenClaims};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const MARKUP: &str = "<a href=\"{{CLICK_URL}}\" target=\"_blank\"><img src=\"https://cdn.example/{{CREATIVE_ID}}.png?cb=\
    {{CACHEBUSTER}}&d={{INVENTORY}}\" width=\"{{WIDTH}}\" height=\"{{HEIGHT}}\" alt=\"é \\ ad\"></a>\n<script>track('{{PAGE_URL}}')</script>";

/// Everything that an answer borrows.
pub(super) struct World {
    pub(super) profile: ExchangeProfile,
    pub(super) keys: TokenKeys,
    pub(super) urls: PublicUrl,
    pub(super) creative: Creative,
    template: Template,
}

pub(super) fn world() -> World {
    World {
        profile: ExchangeProfile {
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
            house: HouseRules::default(),
            max_adm_bytes: 16_384,
            max_url_bytes: 1_024,
            send_nbr: false,
            send_lurl: true,
            seller_system: None,
            open_bids: 1,
            eid_sources: Vec::new(),
            match_user_id: false,
            gdpr_default: GdprDefault::Applies,
            sync_url: None,
            sync_domains: Vec::new(),
        },
        keys: TokenKeys::new(&TokenKey { id: 1, secret: [7; 32] }, &[]).unwrap(),
        urls: PublicUrl::parse("https://track.example/t").unwrap(),
        creative: Creative {
            frequency: Default::default(),
            id: CreativeId(9),
            advertiser: AdvertiserId(1),
            name: "leader".to_owned(),
            content: Content::Banner(BannerAd {
                size: Size { w: 300, h: 250 },
                markup: MARKUP.to_owned(),
                banner_type: 3,
                expands: Vec::new(),
            }),
            click_url: "https://shop.example/".to_owned(),
            landing_domains: vec!["shop.example".to_owned()],
            adomain: vec!["shop.example".to_owned(), "brand.example".to_owned()],
            categories: vec!["IAB3".to_owned(), "IAB3-1".to_owned()],
            cattax: 1,
            attributes: vec![2, 17],
            api: Some(7),
            language: Some("en".to_owned()),
            bundle: None,
            secure: true,
            approvals: Approvals::default(),
            transparency: None,
        },
        template: compile(MARKUP).unwrap(),
    }
}

fn claims(sequence: u64, price: Cpm) -> TokenClaims {
    TokenClaims {
        exchange: ExchangeId(1),
        bid: BidId { epoch: 0x6ab1_3b80, core: 1, sequence },
        lease: LeaseId(3),
        bucket: Bucket { class: 0, slot: 9 },
        line_item: LineItemId(8),
        creative: CreativeId(9),
        issued_s: 1_790_000_000,
        price,
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

impl World {
    pub(super) fn bid<'r>(&'r self, imp_id: &'r str, sequence: u64, price: Cpm) -> Bid<'r> {
        let claims = claims(sequence, price);
        Bid {
            imp_id,
            imp_index: 0,
            id: claims.bid,
            price,
            currency: claims.currency,
            creative: &self.creative,
            fill: Fill::Html(&self.template),
            size: self.creative.banner().map(|banner| banner.size),
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
        }
    }

    /// What an exchange knows of this bidder.
    pub(super) fn judge(&self) -> JudgeContext<'_> {
        JudgeContext {
            our_seat: "seat-1",
            rates: BTreeMap::from([("USD", 1.0)]),
            public_url: "https://track.example/t",
            keys: Some(&self.keys),
            burl: true,
            lurl: true,
            banner_types: BTreeMap::from([("9".to_owned(), 3)]),
        }
    }

    pub(super) fn response<'r>(&'r self, request_id: &'r str, bids: &'r [Bid<'r>]) -> Response<'r> {
        Response {
            request_id,
            bids,
            profile: &self.profile,
            keys: &self.keys,
            urls: &self.urls,
            place: Place {
                inventory: "news.example",
                page: "https://news.example/a?b='c'&d=${AUCTION_PRICE}",
            },
        }
    }

    pub(super) fn written(&self, request_id: &str, bids: &[Bid<'_>]) -> Value {
        let mut out = Vec::new();
        let written = write(&self.response(request_id, bids), &mut out);
        assert_eq!((written.bids, written.skipped), (bids.len(), Vec::new()));
        serde_json::from_slice(&out)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&out)))
    }

    /// The same answer, built as a value from the specification's field list.
    fn expected(&self, request_id: &str, bids: &[Bid<'_>]) -> Value {
        let of = |bid: &Bid<'_>| {
            let tokens = token::encode(&bid.claims, &self.keys);
            let url = |kind| self.urls.pieces(kind, tokens.server.as_str(), UrlForm::PLAIN).concat();
            let context = macros::MarkupContext {
                form: UrlForm::PLAIN,
                urls: &self.urls,
                public_token: tokens.public.as_str(),
                cachebuster: 0,
                bid: bid.id,
                creative: bid.creative.id,
                line_item: bid.claims.line_item,
                campaign: bid.campaign,
                size: bid.size.unwrap(),
                place: self.response(request_id, bids).place,
            };
            let mut markup: Vec<u8> = Vec::new();
            let Fill::Html(template) = bid.fill else { panic!("a banner is HTML") };
            macros::render(template, &context, &mut markup);
            let optional = [
                ("dealid", bid.deal_id.map(Value::from)),
                ("wratio", bid.flexible.map(|ratio| ratio.w_ratio.into())),
                ("hratio", bid.flexible.map(|ratio| ratio.h_ratio.into())),
                ("cat", (!bid.creative.categories.is_empty()).then(|| json!(bid.creative.categories))),
                ("cattax", (bid.creative.cattax != 1).then(|| json!(bid.creative.cattax))),
                ("attr", (!bid.creative.attributes.is_empty()).then(|| json!(bid.creative.attributes))),
                ("apis", bid.creative.api.map(|api| json!([api]))),
                ("language", bid.creative.language.clone().map(Value::from)),
                ("bundle", bid.creative.bundle.clone().map(Value::from)),
                (
                    "burl",
                    (self.profile.billing_event == BillingEvent::Burl)
                        .then(|| url(NoticeKind::Billing).into()),
                ),
                ("lurl", self.profile.send_lurl.then(|| url(NoticeKind::Loss).into())),
            ];
            let mut value = json!({
                "id": bid.id.to_string(), "impid": bid.imp_id, "price": bid.price.0 as f64 / 1e6,
                "adm": String::from_utf8(markup).unwrap(), "adomain": bid.creative.adomain,
                "cid": bid.campaign.to_string(), "crid": bid.creative.id.to_string(),
                "w": bid.size.unwrap().w, "h": bid.size.unwrap().h, "mtype": 1, "exp": bid.exp_s, "nurl": url(NoticeKind::Win),
            });
            let object = value.as_object_mut().unwrap();
            object.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
            value
        };
        json!({
            "id": request_id, "bidid": bids[0].id.to_string(), "cur": bids[0].currency.as_str(),
            "seatbid": [{"seat": self.profile.seat, "bid": bids.iter().map(of).collect::<Vec<_>>()}],
        })
    }
}

/// The number that differs from bid to bid is not foretold by the expectation.
fn without_cachebuster(mut answer: Value) -> Value {
    for bid in answer["seatbid"][0]["bid"].as_array_mut().unwrap() {
        let markup = bid["adm"].as_str().unwrap();
        if let Some((head, tail)) = markup.split_once("cb=") {
            let rest = tail.trim_start_matches(|c: char| c.is_ascii_digit());
            bid["adm"] = json!(format!("{head}cb={rest}"));
        }
    }
    answer
}

#[test]
fn an_answer_is_what_serde_json_would_write() {
    let check = |world: World, change: fn(&mut Bid<'_>)| {
        let mut bids = [world.bid("1", 1, Cpm(1_250_000)), world.bid("imp \"2\"", 0xabcd_ef01_2345, Cpm(1))];
        change(&mut bids[1]);
        let answer = world.written("auction", &bids);
        assert_eq!(without_cachebuster(answer), without_cachebuster(world.expected("auction", &bids)));
    };
    check(world(), |_| {});
    check(world(), |bid| bid.deal_id = Some("deal-é\u{2028}"));
    check(world(), |bid| bid.flexible = Some(FlexibleSize { w_ratio: 6, h_ratio: 5, w_min: 1 }));
    let mut bare = world();
    bare.creative.categories.clear();
    bare.creative.attributes.clear();
    (bare.creative.api, bare.creative.language) = (None, None);
    bare.creative.bundle = Some("com.shop".to_owned());
    bare.creative.cattax = 7;
    bare.profile.billing_event = BillingEvent::Impression;
    bare.profile.send_lurl = false;
    check(bare, |_| {});
}

/// The exchange must find its price macro in the pixel, in every place that a pixel can stand in.
#[test]
fn a_pixel_that_books_the_spend_asks_for_the_encrypted_price() {
    let key = |byte: u8| outbid::model::secret::Key256([byte; 32]);
    let mut world = world();
    world.profile.billing_event = BillingEvent::Impression;
    let keys = HmacPriceKeys { encryption: key(1), integrity: key(2), max_age_s: None };
    let markup = "<img src=\"{{IMPRESSION_URL}}\"><img src=\"https://v.example/?then={{IMPRESSION_URL}}\">\
                  <script>fire('{{IMPRESSION_URL}}')</script>";
    world.template = compile(markup).unwrap();
    let pixels = |world: &World, price: &str| {
        let answer = world.written("auction", &[world.bid("1", 1, Cpm(1_000_000))]);
        let markup = answer["seatbid"][0]["bid"][0]["adm"].as_str().unwrap().to_owned();
        markup.matches(price).count()
    };
    assert_eq!(pixels(&world, "${"), 0, "a plain price would be a browser's to write");
    world.profile.price_codec = PriceCodec::GoogleHmacSha1(keys.clone());
    assert_eq!(pixels(&world, "p&#x3D;${AUCTION_PRICE}\""), 1);
    assert_eq!(pixels(&world, "p%3D${AUCTION_PRICE}\""), 1);
    assert_eq!(pixels(&world, "p\\u003D${AUCTION_PRICE}')"), 1);
    world.profile.price_codec = PriceCodec::OpenxCpi(keys);
    assert_eq!(pixels(&world, "${AUCTION_PRICE:OXCRYPT}"), 3);
}

/// The answer byte for byte, tokens and markup shortened: whoever changes a byte on the wire sees it here.
#[test]
fn an_answer_has_the_documented_bytes() {
    let world = world();
    let mut bid = world.bid("1", 0x2a, Cpm(1_250_000));
    bid.deal_id = Some("deal-1");
    let mut out = b"kept".to_vec();
    write(&world.response("auction-1", &[bid]), &mut out);
    let tokens = token::encode(&bid.claims, &world.keys);
    let text = String::from_utf8(out).unwrap();
    let text = text.replace(tokens.server.as_str(), "SERVER").replace(tokens.public.as_str(), "PUBLIC");
    let expected = concat!(
        r#"kept{"id":"auction-1","bidid":"6ab13b80-1-2a","cur":"USD","seatbid":[{"seat":"seat-1","bid":["#,
        r#"{"id":"6ab13b80-1-2a","impid":"1","price":1.250000,"#,
        r#""adm":"<a href=\"https://track.example/t/c/PUBLIC\" target=\"_blank\">"#,
        r#"<img src=\"https://cdn.example/9.png?cb=CACHEBUSTER&d=news.example\" "#,
        r#"width=\"300\" height=\"250\" alt=\"é \\ ad\"></a>\n"#,
        r#"<script>track('https:\\u002F\\u002Fnews.example\\u002Fa\\u003Fb\\u003D\\u0027c\\u0027\\u0026d\\u003D"#,
        r#"\\u0024\\u007BAUCTION_PRICE\\u007D')</script>"#,
        r#"<img src=\"https://track.example/t/i/PUBLIC.gif\" width=\"1\" height=\"1\" alt=\"\" style=\"display:none\">","#,
        r#""adomain":["shop.example","brand.example"],"cid":"5","crid":"9","w":300,"h":250,"mtype":1,"#,
        r#""cat":["IAB3","IAB3-1"],"attr":[2,17],"apis":[7],"language":"en","exp":120,"dealid":"deal-1","#,
        r#""nurl":"https://track.example/t/n/SERVER?p=${AUCTION_PRICE}&c=${AUCTION_CURRENCY}"#,
        r#"&m=${AUCTION_MULTIPLIER}&b=${AUCTION_MBR}&w=${AUCTION_MIN_TO_WIN}","#,
        r#""burl":"https://track.example/t/b/SERVER?p=${AUCTION_PRICE}&c=${AUCTION_CURRENCY}&m=${AUCTION_MULTIPLIER}","#,
        r#""lurl":"https://track.example/t/l/SERVER?r=${AUCTION_LOSS}&p=${AUCTION_PRICE}&c=${AUCTION_CURRENCY}"#,
        r#"&w=${AUCTION_MIN_TO_WIN}"}]}]}"#,
    );
    let (head, tail) = expected.split_once("CACHEBUSTER").unwrap();
    assert_eq!(&text[..head.len()], head);
    let rest = text[head.len()..].trim_start_matches(|c: char| c.is_ascii_digit());
    assert_eq!(rest, tail);
}

#[test]
fn an_answer_is_good_before_both_judges() {
    let world = world();
    let request = json!({
        "id": "a\u{2028}\"\u{1}é", "at": 1, "tmax": 120,
        "imp": [
            {"id": "1", "secure": 1, "bidfloor": 1.25, "bidfloorcur": "USD",
             "banner": {"format": [{"w": 300, "h": 250}], "api": [7]}},
            {"id": "2", "banner": {"w": 300, "h": 250, "api": [3, 7]},
             "pmp": {"private_auction": 1, "deals": [{"id": "d", "bidfloor": 2.0, "bidfloorcur": "USD", "at": 3}]}}
        ],
        "site": {"domain": "news.example", "page": "https://news.example/a"}
    });
    let mut bids = [world.bid("1", 1, Cpm(1_250_000)), world.bid("2", 2, Cpm(2_000_000))];
    bids[1].deal_id = Some("d");
    let answer = world.written(request["id"].as_str().unwrap(), &bids);
    let context = world.judge();
    assert_eq!(judge(&request, &answer, &context), Vec::<String>::new());
    assert_eq!(lint_pair(&request.to_string(), &answer.to_string()), Vec::<String>::new());
    // The judge reads the tokens: with another ring none of the ten is ours.
    let other = TokenKeys::new(&TokenKey { id: 1, secret: [8; 32] }, &[]).unwrap();
    let found = judge(&request, &answer, &JudgeContext { keys: Some(&other), ..context });
    assert_eq!(found.len(), 10, "{found:?}");
}

#[test]
fn an_answer_without_bids_gives_its_reason() {
    let mut out = Vec::new();
    write_no_bid("a\"\u{7}", 2, &mut out);
    assert_eq!(String::from_utf8(out.clone()).unwrap(), r#"{"id":"a\"\u0007","nbr":2}"#);
    assert_eq!(
        lint_pair(&json!({"id": "a\"\u{7}"}).to_string(), std::str::from_utf8(&out).unwrap()),
        Vec::<String>::new()
    );
}

#[test]
fn a_bid_over_a_limit_is_named_and_the_others_are_written() {
    let (small, large) = (world(), {
        let mut large = world();
        large.template = compile(&"x".repeat(20_000)).unwrap();
        large
    });
    let bids = [
        large.bid("1", 1, Cpm(5)),
        small.bid("2", 2, Cpm(6)),
        large.bid("3", 3, Cpm(7)),
        small.bid("4", 4, Cpm(0)),
    ];
    let mut out = Vec::new();
    let written = write(&small.response("a", &bids), &mut out);
    assert_eq!(written.bids, 1);
    let answer: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(answer["seatbid"][0]["bid"].as_array().unwrap().len(), 1);
    assert_eq!(answer["seatbid"][0]["bid"][0]["impid"], "2");
    let long = |bid| match written.skipped.iter().find(|skipped| skipped.bid == bid) {
        Some(Skipped { why: RespondError::MarkupTooLong { bytes, limit: 16_384 }, .. }) => *bytes > 20_000,
        _ => false,
    };
    assert!(long(0) && long(2), "{written:?}");
    assert_eq!(written.skipped[2], Skipped { bid: 3, why: RespondError::Price { micros: 0 } });
}

#[test]
fn the_limit_counts_the_markup_as_the_exchange_reads_it() {
    let mut world = world();
    let answer = world.written("a", &[world.bid("1", 1, Cpm(5))]);
    let bytes = answer["seatbid"][0]["bid"][0]["adm"].as_str().unwrap().len() as u32;
    world.profile.max_adm_bytes = bytes;
    world.written("a", &[world.bid("1", 1, Cpm(5))]);
    world.profile.max_adm_bytes = bytes - 1;
    let mut out = b"kept".to_vec();
    let written = write(&world.response("a", &[world.bid("1", 1, Cpm(5))]), &mut out);
    assert_eq!((written.bids, out.as_slice()), (0, &b"kept"[..]));
}

#[test]
fn a_template_without_prepared_literals_gives_the_same_answer() {
    let prepared = world();
    let mut bare = world();
    assert!(!bare.template.json_literals.is_empty());
    bare.template.json_literals.clear();
    let written = |world: &World| {
        let mut out = Vec::new();
        write(&world.response("a", &[world.bid("1", 1, Cpm(5))]), &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(written(&prepared), written(&bare));
}

#[test]
fn a_url_over_the_limit_leaves_no_bid() {
    let mut world = world();
    let longest = world.urls.notice_bytes(NoticeKind::Win, UrlForm::PLAIN) as u32;
    world.profile.max_url_bytes = longest;
    world.written("a", &[world.bid("1", 1, Cpm(5))]);
    world.profile.max_url_bytes = longest - 1;
    let mut out = Vec::new();
    let written = write(&world.response("a", &[world.bid("1", 1, Cpm(5))]), &mut out);
    let why = RespondError::UrlTooLong { bytes: longest as usize, limit: longest - 1 };
    assert_eq!((written.bids, written.skipped), (0, vec![Skipped { bid: 0, why }]));
    assert!(out.is_empty());
    assert_eq!(write(&world.response("a", &[]), &mut out), Default::default());
}

#[test]
fn a_second_answer_into_the_same_buffer_allocates_nothing() {
    let world = world();
    let bids = [world.bid("1", 1, Cpm(1_250_000)), world.bid("2", 2, Cpm(2_000_000))];
    let response = world.response("auction-1", &bids);
    let mut out = Vec::new();
    write(&response, &mut out);
    let first = out.clone();
    out.clear();
    let counted = allocation_counter::measure(|| {
        write(&response, &mut out);
    });
    assert_eq!(counted.count_total, 0);
    assert_eq!(out, first);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_becomes_the_same_text_in_json(text in "\\PC{0,40}|[\\x00-\\x7f\"\\\\\u{2020}-\u{2030}é]{0,60}") {
        let mut out = Vec::new();
        push_string(&text, &mut out);
        prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        let controls = out.iter().any(|b| *b < 0x20);
        let written = String::from_utf8(out).unwrap();
        let separators = written.contains(['\u{2028}', '\u{2029}']);
        prop_assert!(!controls && !separators);
    }

    #[test]
    fn hostile_requests_leave_the_answer_valid(id in any::<String>(), imp in any::<String>(), deal in any::<String>(), page in any::<String>()) {
        let world = world();
        let mut bid = world.bid(&imp, 1, Cpm(1));
        bid.deal_id = Some(&deal);
        let bids = [bid];
        let response = Response { place: Place { inventory: &page, page: &page }, ..world.response(&id, &bids) };
        let mut out = Vec::new();
        write(&response, &mut out);
        let answer: Value = serde_json::from_slice(&out).unwrap();
        let written = &answer["seatbid"][0]["bid"][0];
        prop_assert_eq!(&answer["id"], &json!(id));
        prop_assert_eq!((&written["impid"], &written["dealid"]), (&json!(imp), &json!(deal)));
        let exchange_macro = written["adm"].as_str().unwrap().contains("${");
        prop_assert!(!exchange_macro);
    }
}
