//! Answers of video, audio and native: every field by medium, any text, and both judges.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as loudly as the test")]

use super::answers::{World, world};
use super::vast::film;
use crate::judge::{judge, lint_pair};
use outbid::exchange::compile_markup;
use outbid::exchange::respond::{RespondError, Skipped, write};
use outbid::model::auction::Size;
use outbid::model::bid::{Bid, Fill, FilledAsset, NativeFill};
use outbid::model::creative::{
    CompiledMarkup, Content, NativeAd, NativeImage, StreamAd, StreamSource, VastTemplate,
};
use outbid::model::money::Cpm;
use proptest::prelude::*;
use serde_json::{Value, json};

/// The world with a creative of this content, and its documents.
fn with(content: Content) -> (World, Vec<VastTemplate>) {
    let mut world = world();
    world.creative.content = content;
    let documents = match compile_markup(&world.creative).unwrap() {
        CompiledMarkup::Vast(documents) | CompiledMarkup::Native(documents) => documents,
        CompiledMarkup::Html(_) => panic!("no banner"),
    };
    (world, documents)
}

fn spot() -> StreamAd {
    let mut ad = StreamAd { duration_s: 15, companions: Vec::new(), ..film() };
    let StreamSource::Files(files) = &mut ad.source else { panic!("a film has files") };
    files.truncate(1);
    (files[0].mime, files[0].size) = ("audio/mpeg".to_owned(), Size::default());
    ad
}

fn stream_bid<'r>(world: &'r World, vast: &'r VastTemplate, dur: u32) -> Bid<'r> {
    let skips_itself = world.creative.stream().is_some_and(|ad| ad.skip_after_s.is_some());
    Bid { fill: Fill::Vast(vast), duration_s: Some(dur), skips_itself, ..world.bid("1", 1, Cpm(2_000_000)) }
}

fn ad() -> NativeAd {
    NativeAd {
        titles: vec!["A \"title\" \\ é\u{2028}".to_owned()],
        images: vec![NativeImage {
            kind: 3,
            size: Size { w: 1_200, h: 627 },
            url: "https://cdn.example/m.png?a=1&b=2".to_owned(),
            mime: "image/png".to_owned(),
        }],
        data: vec![(1, "Acme & <Co>".to_owned())],
        video: Some(StreamAd { duration_s: 15, ..film() }),
        fallback_url: Some("https://shop.example/web".to_owned()),
        privacy_url: Some("https://shop.example/privacy".to_owned()),
        pixels: vec!["https://t.shop.example/n?a&b".to_owned()],
    }
}

/// The assets 1 to 4 of an ad, its video in the document given.
fn assets<'r>(ad: &'r NativeAd, vast: &'r VastTemplate) -> Vec<(i64, FilledAsset<'r>)> {
    let (kind, text) = &ad.data[0];
    vec![
        (1, FilledAsset::Title(&ad.titles[0])),
        (2, FilledAsset::Image(&ad.images[0])),
        (3, FilledAsset::Data(*kind, text)),
        (4, FilledAsset::Video(vast)),
    ]
}

fn native_bid<'r>(world: &'r World, fill: NativeFill<'r>) -> Bid<'r> {
    Bid { fill: Fill::Native(fill), size: None, ..world.bid("1", 1, Cpm(2_000_000)) }
}

fn native_request(wrapped: bool, event_trackers: bool, privacy: bool) -> Value {
    let mut asked = json!({"ver": "1.2", "assets": [
        {"id": 1, "required": 1, "title": {"len": 25}},
        {"id": 2, "required": 1, "img": {"type": 3, "wmin": 600, "hmin": 300}},
        {"id": 3, "required": 0, "data": {"type": 1, "len": 25}},
        {"id": 4, "required": 0, "video": {
            "mimes": ["video/mp4"], "minduration": 5, "maxduration": 30, "protocols": [2, 3, 7]
        }}
    ]});
    if event_trackers {
        asked["eventtrackers"] = json!([{"event": 1, "methods": [1]}]);
    }
    if privacy {
        asked["privacy"] = json!(1);
    }
    let asked = if wrapped { json!({"native": asked}) } else { asked };
    json!({"id": "auction", "at": 1, "site": {"domain": "news.example"}, "imp": [
        {"id": "1", "secure": 1, "native": {"request": asked.to_string(), "ver": "1.2", "api": [7]}}
    ]})
}

/// Both judges, on the one bid of an answer.
fn faults(world: &World, request: &Value, bid: Bid<'_>) -> Vec<String> {
    let answer = world.written("auction", &[bid]);
    let ours = judge(request, &answer, &world.judge());
    [ours, lint_pair(&request.to_string(), &answer.to_string())].concat()
}

#[test]
fn video_is_good_before_both_judges_in_every_version() {
    let (world, documents) = with(Content::Video(StreamAd { duration_s: 15, ..film() }));
    assert_eq!(documents.len(), 6);
    for vast in &documents {
        let request = json!({"id": "auction", "at": 1, "site": {"domain": "news.example"}, "imp": [
            {"id": "1", "secure": 1, "bidfloor": 1.0, "video": {
                "mimes": ["video/mp4"], "protocols": [vast.protocol], "minduration": 5, "maxduration": 30,
                "w": 640, "h": 360, "skip": 0, "linearity": 1, "api": [7]
            }}
        ]});
        let bid = stream_bid(&world, vast, 15);
        assert_eq!(faults(&world, &request, bid), Vec::<String>::new(), "{}", vast.protocol);
    }
}

#[test]
fn audio_is_good_before_both_judges_in_every_version() {
    let (world, documents) = with(Content::Audio(spot()));
    for vast in &documents {
        let request = json!({"id": "auction", "at": 1, "site": {"domain": "news.example"}, "imp": [
            {"id": "1", "secure": 1, "audio": {
                "mimes": ["audio/mpeg"], "protocols": [vast.protocol], "minduration": 5, "maxduration": 30, "api": [7]
            }}
        ]});
        let bid = Bid { size: None, ..stream_bid(&world, vast, 15) };
        assert_eq!(faults(&world, &request, bid), Vec::<String>::new(), "{}", vast.protocol);
    }
}

#[test]
fn native_is_good_before_both_judges_in_every_form() {
    let (world, documents) = with(Content::Native(ad()));
    let vast = documents.iter().find(|vast| vast.protocol == 7).unwrap();
    let ad = world.creative.native().unwrap();
    let assets = assets(ad, vast);
    for bits in 0..8 {
        let [wrapped, event_trackers, privacy] = [1, 2, 4].map(|bit| bits & bit != 0);
        let request = native_request(wrapped, event_trackers, privacy);
        let fill = NativeFill { wrapped, assets: &assets, event_trackers, privacy };
        assert_eq!(faults(&world, &request, native_bid(&world, fill)), Vec::<String>::new(), "{bits}");
    }
}

#[test]
fn a_bid_says_what_its_medium_needs_and_nothing_else() {
    let (world, documents) = with(Content::Video(film()));
    let field = |bid: Bid<'_>, name: &str| world.written("a", &[bid])["seatbid"][0]["bid"][0][name].clone();
    let bid = || Bid { slot_in_pod: Some(-1), ..stream_bid(&world, &documents[1], 3_725) };
    for (name, expected) in [
        ("mtype", json!(2)),
        ("protocol", json!(13)),
        ("dur", json!(3_725)),
        ("slotinpod", json!(-1)),
        ("attr", json!([2, 17, 16])),
        ("apis", json!([7])),
        ("language", json!("en")),
        ("exp", json!(120)),
        ("cat", json!(["IAB3", "IAB3-1"])),
    ] {
        assert_eq!(field(bid(), name), expected, "{name}");
    }
    let without = Bid { size: None, slot_in_pod: None, ..bid() };
    for name in ["w", "h", "slotinpod", "cattax", "bundle"] {
        assert_eq!(field(without, name), Value::Null, "{name}");
    }
    // Where the player skips, the ad's own button is nothing to name; VAST 2.0 knows none.
    assert_eq!(field(Bid { skips_itself: false, ..bid() }, "attr"), json!([2, 17]));
    let oldest = stream_bid(&world, documents.last().unwrap(), 3_725);
    assert_eq!(field(oldest, "attr"), json!([2, 17]));
}

#[test]
fn a_skip_button_that_is_listed_already_is_not_named_twice() {
    let (mut world, documents) = with(Content::Video(film()));
    world.creative.attributes = vec![16];
    let bid = stream_bid(&world, &documents[0], 3_725);
    assert_eq!(world.written("a", &[bid])["seatbid"][0]["bid"][0]["attr"], json!([16]));
    let (mut world, documents) = with(Content::Video(StreamAd { skip_after_s: None, ..film() }));
    world.creative.attributes.clear();
    let bid = stream_bid(&world, &documents[0], 3_725);
    assert_eq!(world.written("a", &[bid])["seatbid"][0]["bid"][0]["attr"], Value::Null);
}

#[test]
fn a_native_answer_has_the_documented_form() {
    let (world, documents) = with(Content::Native(ad()));
    let ad = world.creative.native().unwrap();
    let assets = assets(ad, &documents[0]);
    let fill = NativeFill { wrapped: true, assets: &assets[..3], event_trackers: true, privacy: true };
    let shown = |fill: NativeFill<'_>| {
        let bid = native_bid(&world, fill);
        let answer = world.written("a", &[bid]);
        let adm = answer["seatbid"][0]["bid"][0]["adm"].as_str().unwrap().to_owned();
        let tokens = outbid::exchange::token::encode(&bid.claims, &world.keys);
        serde_json::from_str::<Value>(&adm.replace(tokens.public.as_str(), "TOKEN")).unwrap()
    };
    let pixel = "https://track.example/t/i/TOKEN.gif";
    let mut expected = json!({
        "ver": "1.2",
        "assets": [
            {"id": 1, "title": {"text": "A \"title\" \\ é\u{2028}"}},
            {"id": 2, "img": {"type": 3, "url": "https://cdn.example/m.png?a=1&b=2", "w": 1200, "h": 627}},
            {"id": 3, "data": {"type": 1, "value": "Acme & <Co>"}}
        ],
        "link": {"url": "https://track.example/t/c/TOKEN", "fallback": "https://shop.example/web"},
        "eventtrackers": [
            {"event": 1, "method": 1, "url": pixel},
            {"event": 1, "method": 1, "url": "https://t.shop.example/n?a&b"}
        ],
        "privacy": "https://shop.example/privacy"
    });
    assert_eq!(shown(fill), json!({"native": expected}));
    expected.as_object_mut().unwrap().remove("eventtrackers");
    expected.as_object_mut().unwrap().remove("privacy");
    expected["imptrackers"] = json!([pixel, "https://t.shop.example/n?a&b"]);
    assert_eq!(shown(NativeFill { wrapped: false, event_trackers: false, privacy: false, ..fill }), expected);
}

#[test]
fn a_second_answer_of_any_medium_allocates_nothing() {
    let check = |world: &World, bid: Bid<'_>| {
        let bids = [bid];
        let response = world.response("auction-1", &bids);
        let mut out = Vec::new();
        write(&response, &mut out);
        let first = out.clone();
        out.clear();
        let counted = allocation_counter::measure(|| {
            write(&response, &mut out);
        });
        assert_eq!((counted.count_total, out == first), (0, true));
    };
    let (world, documents) = with(Content::Video(film()));
    check(&world, stream_bid(&world, &documents[0], 3_725));
    let (world, documents) = with(Content::Native(ad()));
    let assets = assets(world.creative.native().unwrap(), &documents[0]);
    let fill = NativeFill { wrapped: false, assets: &assets, event_trackers: true, privacy: true };
    check(&world, native_bid(&world, fill));
}

/// The limit counts what the exchange reads out of the JSON of the answer: for native JSON again, with its escapes.
#[test]
fn a_native_ad_over_the_limit_is_not_answered() {
    let (mut world, documents) = with(Content::Native(ad()));
    let ad = world.creative.native().unwrap().clone();
    let assets = assets(&ad, &documents[0]);
    let fill = NativeFill { wrapped: false, assets: &assets, event_trackers: true, privacy: true };
    let adm = world.written("a", &[native_bid(&world, fill)])["seatbid"][0]["bid"][0]["adm"].clone();
    let bytes = adm.as_str().unwrap().len();
    world.profile.max_adm_bytes = bytes as u32 - 1;
    let bids = [native_bid(&world, fill)];
    let written = write(&world.response("a", &bids), &mut Vec::new());
    let why = RespondError::MarkupTooLong { bytes, limit: bytes as u32 - 1 };
    assert_eq!(written.skipped, [Skipped { bid: 0, why }]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_text_survives_json_in_json(
        title in any::<String>(),
        value in "\\PC{0,20}|[\\x00-\\x7f\"\\\\\u{2020}-\u{2030}é]{0,40}",
        url in "[ -~]{0,30}",
    ) {
        let mut ad = ad();
        ad.titles[0] = title;
        ad.data[0].1 = value;
        ad.images[0].url = url.clone();
        ad.pixels[0] = url.clone();
        ad.fallback_url = Some(url);
        let (world, documents) = with(Content::Native(ad));
        let ad = world.creative.native().unwrap();
        let assets = assets(ad, &documents[0]);
        let fill = NativeFill { wrapped: false, assets: &assets, event_trackers: false, privacy: true };
        let answer = world.written("a", &[native_bid(&world, fill)]);
        let adm = answer["seatbid"][0]["bid"][0]["adm"].as_str().unwrap();
        let inner: Value = serde_json::from_str(adm).unwrap();
        prop_assert_eq!(&inner["assets"][0]["title"]["text"], &json!(ad.titles[0]));
        prop_assert_eq!(&inner["assets"][1]["img"]["url"], &json!(ad.images[0].url));
        prop_assert_eq!(&inner["assets"][2]["data"]["value"], &json!(ad.data[0].1));
        prop_assert_eq!(&inner["imptrackers"][1], &json!(ad.pixels[0]));
        prop_assert_eq!(&inner["link"]["fallback"], &json!(ad.fallback_url));
        let tag = inner["assets"][3]["video"]["vasttag"].as_str().unwrap();
        prop_assert!(roxmltree::Document::parse(tag).is_ok(), "{}", tag);
    }
}
