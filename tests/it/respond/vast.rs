//! VAST documents: well-formed for any text, and in each version the elements of its schema in the schema's order.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as loudly as the test")]

use outbid::exchange::compile_markup;
use outbid::exchange::macros::{self, MarkupContext, Place};
use outbid::exchange::url::{PublicUrl, UrlForm};
use outbid::model::auction::Size;
use outbid::model::creative::{
    Approvals, Companion, CompiledMarkup, Content, Creative, MediaFile, NativeAd, StreamAd, StreamEvent,
    StreamSource, VastTemplate,
};
use outbid::model::ids::{AdvertiserId, BidId, CampaignId, CreativeId, LineItemId};
use proptest::prelude::*;
use roxmltree::{Document, Node};

const INLINE: [i64; 6] = [15, 13, 11, 7, 3, 2];
const WRAPPER: [i64; 6] = [16, 14, 12, 8, 6, 5];

fn version(protocol: i64) -> &'static str {
    match protocol {
        2 | 5 => "2.0",
        3 | 6 => "3.0",
        7 | 8 => "4.0",
        11 | 12 => "4.1",
        13 | 14 => "4.2",
        _ => "4.3",
    }
}

fn is_modern(protocol: i64) -> bool {
    protocol >= 7
}

pub(super) fn film() -> StreamAd {
    let file = |url: &str, w, h, streaming: bool| MediaFile {
        url: url.to_owned(),
        mime: "video/mp4".to_owned(),
        size: Size { w, h },
        bitrate: (!streaming).then_some(900),
        streaming,
    };
    let files = vec![
        file("https://cdn.example/a.mp4?a=1&b={{CACHEBUSTER}}", 640, 360, false),
        file("https://cdn.example/b.mp4", 1280, 720, true),
    ];
    StreamAd {
        duration_s: 3_725,
        source: StreamSource::Files(files),
        linearity: 1,
        skip_after_s: Some(5),
        companions: vec![Companion {
            size: Size { w: 300, h: 250 },
            url: "https://cdn.example/c.png".to_owned(),
            mime: "image/png".to_owned(),
        }],
        trackers: StreamEvent::ALL
            .map(|event| (event, format!("https://t.shop.example/{}?a&b=${{AUCTION_ID}}", event.name())))
            .to_vec(),
    }
}

fn overlay() -> StreamAd {
    StreamAd { linearity: 2, skip_after_s: None, duration_s: 10, ..film() }
}

fn wrapped(ad: StreamAd) -> StreamAd {
    let tag = "https://vast.example/tag?c={{CREATIVE_ID}}&d=[CACHEBUSTING]".to_owned();
    StreamAd { source: StreamSource::Wrapped { tag, mimes: vec!["video/mp4".to_owned()] }, ..ad }
}

fn creative(content: Content) -> Creative {
    Creative {
        frequency: Default::default(),
        id: CreativeId(9),
        advertiser: AdvertiserId(1),
        name: "A <film> & \"more\" ]]> é".to_owned(),
        content,
        click_url: "https://shop.example/".to_owned(),
        landing_domains: vec!["shop.example".to_owned()],
        adomain: vec!["shop.example".to_owned()],
        categories: Vec::new(),
        cattax: 1,
        attributes: Vec::new(),
        api: None,
        language: None,
        bundle: None,
        secure: true,
        approvals: Approvals::default(),
        transparency: None,
    }
}

fn templates(content: Content) -> Vec<VastTemplate> {
    match compile_markup(&creative(content)).unwrap() {
        CompiledMarkup::Vast(templates) | CompiledMarkup::Native(templates) => templates,
        CompiledMarkup::Html(_) => panic!("video is no HTML"),
    }
}

fn render(vast: &VastTemplate) -> String {
    let context = MarkupContext {
        urls: &PublicUrl::parse("https://track.example/t").unwrap(),
        form: UrlForm::PLAIN,
        public_token: "TOKEN",
        cachebuster: 77,
        bid: BidId { epoch: 0x10, core: 2, sequence: 0xabc },
        creative: CreativeId(9),
        line_item: LineItemId(8),
        campaign: CampaignId(7),
        size: Size::default(),
        place: Place { inventory: "news.example", page: "https://news.example/?a&b" },
    };
    let mut out: Vec<u8> = Vec::new();
    macros::render(&vast.template, &context, &mut out);
    String::from_utf8(out).unwrap()
}

/// (parent, the children that a version's schema allows, in its order). `!` marks a child that must be there.
fn schema(protocol: i64, parent: &str) -> &'static [&'static str] {
    let (modern, v2) = (is_modern(protocol), [2, 5].contains(&protocol));
    let wrapper = WRAPPER.contains(&protocol);
    match parent {
        "VAST" => &["!Ad"],
        "Ad" if wrapper => &["!Wrapper"],
        "Ad" => &["!InLine"],
        "InLine" if protocol >= 11 => {
            &["!AdSystem", "Error", "!Impression", "!AdServingId", "!AdTitle", "!Creatives"]
        }
        "InLine" if modern => &["!AdSystem", "Error", "!Impression", "!AdTitle", "!Creatives"],
        "InLine" => &["!AdSystem", "!AdTitle", "Error", "!Impression", "!Creatives"],
        "Wrapper" if modern => &["!AdSystem", "Error", "!Impression", "Creatives", "!VASTAdTagURI"],
        "Wrapper" => &["!AdSystem", "!VASTAdTagURI", "Error", "!Impression", "!Creatives"],
        "Creatives" => &["!Creative"],
        "Creative" if modern && !wrapper => &["!UniversalAdId", "Linear", "NonLinearAds", "CompanionAds"],
        "Creative" => &["Linear", "NonLinearAds", "CompanionAds"],
        "Linear" if wrapper => &["TrackingEvents", "VideoClicks"],
        "Linear" if modern => &["TrackingEvents", "!Duration", "!MediaFiles", "VideoClicks"],
        "Linear" => &["!Duration", "TrackingEvents", "VideoClicks", "!MediaFiles"],
        "TrackingEvents" => &["Tracking"],
        "VideoClicks" if wrapper => &["ClickTracking"],
        "VideoClicks" if modern => &["ClickTracking", "ClickThrough"],
        "VideoClicks" => &["ClickThrough", "ClickTracking"],
        "MediaFiles" => &["!MediaFile"],
        "NonLinearAds" => &["TrackingEvents", "NonLinear"],
        "NonLinear" if wrapper => &["NonLinearClickTracking"],
        "NonLinear" if modern => &["!StaticResource", "NonLinearClickThrough", "NonLinearClickTracking"],
        "NonLinear" if v2 => &["!StaticResource", "NonLinearClickThrough"],
        "NonLinear" => &["!StaticResource", "NonLinearClickTracking", "NonLinearClickThrough"],
        "CompanionAds" => &["Companion"],
        "Companion" => &["!StaticResource", "CompanionClickThrough"],
        _ => &[],
    }
}

/// The attributes that an element must have; no other may stand there but those of the second list.
fn attributes(protocol: i64, name: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match name {
        "VAST" => (&["version"], &[]),
        "Ad" if protocol >= 11 => (&["id"], &["adType"]),
        "Ad" => (&["id"], &[]),
        "Creative" => (&[], &["id", "sequence"]),
        "UniversalAdId" if protocol == 7 => (&["idRegistry", "idValue"], &[]),
        "UniversalAdId" => (&["idRegistry"], &[]),
        "Linear" if [2, 5].contains(&protocol) => (&[], &[]),
        "Linear" => (&[], &["skipoffset"]),
        "Tracking" => (&["event"], &[]),
        "MediaFile" => (&["delivery", "type", "width", "height"], &["bitrate"]),
        "NonLinear" if WRAPPER.contains(&protocol) => (&[], &[]),
        "NonLinear" => (&["width", "height"], &["minSuggestedDuration"]),
        "Companion" => (&["width", "height"], &[]),
        "StaticResource" => (&["creativeType"], &[]),
        _ => (&[], &[]),
    }
}

fn check_element(protocol: i64, node: Node<'_, '_>) {
    let name = node.tag_name().name();
    let namespace = is_modern(protocol).then_some("http://www.iab.com/VAST");
    assert_eq!(node.tag_name().namespace(), namespace, "{protocol} {name}");
    let allowed = schema(protocol, name);
    let children: Vec<&str> =
        node.children().filter(Node::is_element).map(|child| child.tag_name().name()).collect();
    let position = |child: &&str| {
        let at = allowed.iter().position(|entry| entry.trim_start_matches('!') == *child);
        at.unwrap_or_else(|| panic!("{protocol}: {child} is not allowed in {name}"))
    };
    assert!(children.iter().map(position).is_sorted(), "{protocol} {name}: {children:?}");
    for needed in allowed.iter().filter_map(|entry| entry.strip_prefix('!')) {
        assert!(children.contains(&needed), "{protocol}: {name} has no {needed}");
    }
    let many = ["Impression", "Creative", "Tracking", "ClickTracking", "MediaFile", "NonLinear", "Companion"];
    for child in &children {
        let count = children.iter().filter(|other| *other == child).count();
        let unbounded = many.contains(child)
            || *child == "Error" && is_modern(protocol)
            || *child == "NonLinearClickTracking" && !WRAPPER.contains(&protocol);
        assert!(count == 1 || unbounded, "{protocol}: {name} has {count} of {child}");
    }
    let (needed, optional) = attributes(protocol, name);
    let given: Vec<&str> = node.attributes().map(|attribute| attribute.name()).collect();
    for attribute in needed {
        assert!(given.contains(attribute), "{protocol}: {name} has no {attribute}");
    }
    for attribute in given {
        let known = needed.contains(&attribute) || optional.contains(&attribute);
        assert!(known, "{protocol}: {name} has {attribute}");
    }
    node.children().filter(Node::is_element).for_each(|child| check_element(protocol, child));
}

fn texts<'d>(document: &'d Document<'_>, name: &str) -> Vec<&'d str> {
    let all = document.descendants().filter(|node| node.tag_name().name() == name);
    all.map(|node| node.text().unwrap_or_default()).collect()
}

fn tracked<'d>(document: &'d Document<'_>) -> Vec<(&'d str, &'d str)> {
    let all = document.descendants().filter(|node| node.tag_name().name() == "Tracking");
    all.map(|node| (node.attribute("event").unwrap(), node.text().unwrap_or_default())).collect()
}

/// Every document of an ad by its protocol.
fn each(content: Content, protocols: &[i64], check: impl Fn(i64, &Document<'_>)) {
    let templates = templates(content);
    let found: Vec<i64> = templates.iter().map(|template| template.protocol).collect();
    assert_eq!(found, protocols);
    for template in &templates {
        let text = render(template);
        assert!(!text.contains("CDATA"), "{text}");
        let document = Document::parse(&text).unwrap_or_else(|why| panic!("{why}: {text}"));
        let root = document.root_element();
        assert_eq!(root.attribute("version"), Some(version(template.protocol)));
        check_element(template.protocol, root);
        check(template.protocol, &document);
    }
}

fn own(event: &str) -> String {
    format!("https://track.example/t/e/TOKEN?e={event}")
}

fn theirs(event: &str) -> String {
    format!("https://t.shop.example/{event}?a&b=${{AUCTION_ID}}")
}

const OWN_IMPRESSION: &str = "https://track.example/t/i/TOKEN.gif";
const OWN_CLICK: &str = "https://track.example/t/c/TOKEN";

#[test]
fn a_film_is_given_in_every_version_by_its_schema() {
    each(Content::Video(film()), &INLINE, |protocol, document| {
        assert_eq!(texts(document, "AdTitle"), ["A <film> & \"more\" ]]> é"]);
        assert_eq!(texts(document, "Impression"), [OWN_IMPRESSION, &theirs("impression")]);
        let error = format!("{}&c=[ERRORCODE]", own("error"));
        let errors = [error, theirs("error")];
        let expected = if is_modern(protocol) { &errors[..] } else { &errors[..1] };
        assert_eq!(texts(document, "Error"), expected);
        assert_eq!(texts(document, "Duration"), ["01:02:05"]);
        assert_eq!(texts(document, "ClickThrough"), [OWN_CLICK]);
        assert_eq!(texts(document, "ClickTracking"), [theirs("click")]);
        assert_eq!(texts(document, "CompanionClickThrough"), [OWN_CLICK]);
        assert_eq!(texts(document, "StaticResource"), ["https://cdn.example/c.png"]);
        assert_eq!(
            texts(document, "MediaFile"),
            ["https://cdn.example/a.mp4?a=1&b=77", "https://cdn.example/b.mp4"]
        );
        let of_id = if is_modern(protocol) { vec!["9"; 2] } else { Vec::new() };
        assert_eq!(texts(document, "UniversalAdId"), of_id);
        let serving = if protocol >= 11 { vec!["10-2-abc"] } else { Vec::new() };
        assert_eq!(texts(document, "AdServingId"), serving);
        let linear = document.descendants().find(|node| node.tag_name().name() == "Linear").unwrap();
        assert_eq!(linear.attribute("skipoffset"), (protocol > 2).then_some("00:00:05"));
    });
}

#[test]
fn players_report_each_event_to_us_and_to_the_advertiser() {
    let names = [
        ("start", "start"),
        ("firstQuartile", "first_quartile"),
        ("midpoint", "midpoint"),
        ("thirdQuartile", "third_quartile"),
        ("complete", "complete"),
        ("skip", "skip"),
    ];
    let check = |ad: StreamAd, protocols: &[i64]| {
        let skips = ad.linearity == 1;
        each(Content::Video(ad), protocols, |protocol, document| {
            let known =
                names.iter().filter(|(name, _)| *name != "skip" || skips && ![2, 5].contains(&protocol));
            let expected: Vec<(&str, String)> =
                known.flat_map(|(name, event)| [(*name, own(event)), (*name, theirs(event))]).collect();
            let found = tracked(document);
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!((found.0, found.1), (expected.0, expected.1.as_str()), "{protocol}");
            }
        });
    };
    check(film(), &INLINE);
    check(overlay(), &INLINE);
    check(wrapped(film()), &WRAPPER);
    check(wrapped(overlay()), &WRAPPER);
}

#[test]
fn another_servers_ad_is_wrapped_in_every_version_by_its_schema() {
    each(Content::Video(wrapped(film())), &WRAPPER, |_, document| {
        assert_eq!(texts(document, "VASTAdTagURI"), ["https://vast.example/tag?c=9&d=[CACHEBUSTING]"]);
        assert_eq!(texts(document, "Impression"), [OWN_IMPRESSION, &theirs("impression")]);
        assert_eq!(texts(document, "ClickTracking"), [own("click"), theirs("click")]);
        assert_eq!(texts(document, "Companion").len(), 1);
    });
    each(Content::Video(wrapped(overlay())), &WRAPPER, |protocol, document| {
        let expected = [own("click"), theirs("click")];
        let expected = if protocol == 5 { &expected[..0] } else { &expected[..] };
        assert_eq!(texts(document, "NonLinearClickTracking"), expected);
    });
}

#[test]
fn an_overlay_is_given_in_every_version_by_its_schema() {
    each(Content::Video(overlay()), &INLINE, |protocol, document| {
        assert!(texts(document, "Linear").is_empty() && texts(document, "MediaFile").is_empty());
        assert_eq!(texts(document, "NonLinearClickThrough"), [OWN_CLICK; 2]);
        let trackers = vec![theirs("click"); if protocol == 2 { 0 } else { 2 }];
        assert_eq!(texts(document, "NonLinearClickTracking"), trackers);
        let one = document.descendants().find(|node| node.tag_name().name() == "NonLinear").unwrap();
        let size = (one.attribute("width"), one.attribute("height"));
        assert_eq!(size, (Some("640"), Some("360")));
        assert_eq!(one.attribute("minSuggestedDuration"), Some("00:00:10"));
    });
}

#[test]
fn audio_says_so_where_the_version_can() {
    let mut ad = film();
    let StreamSource::Files(files) = &mut ad.source else { panic!("a film has files") };
    files.truncate(1);
    (files[0].mime, files[0].size) = ("audio/mpeg".to_owned(), Size::default());
    each(Content::Audio(ad), &INLINE, |protocol, document| {
        let ad = document.descendants().find(|node| node.tag_name().name() == "Ad").unwrap();
        assert_eq!(ad.attribute("adType"), (protocol >= 11).then_some("audio"));
        let file = document.descendants().find(|node| node.tag_name().name() == "MediaFile").unwrap();
        assert_eq!((file.attribute("width"), file.attribute("height")), (Some("0"), Some("0")));
        assert_eq!(file.attribute("type"), Some("audio/mpeg"));
    });
}

#[test]
fn the_video_of_a_native_ad_is_vast_too() {
    let native = NativeAd { video: Some(film()), ..NativeAd::default() };
    each(Content::Native(native), &INLINE, |_, _| {});
    assert!(templates(Content::Native(NativeAd::default())).is_empty());
}

#[test]
fn a_url_with_a_mistyped_macro_is_refused() {
    let check = |url: &str, expected: &str| {
        let trackers = vec![(StreamEvent::Start, url.to_owned())];
        let why = compile_markup(&creative(Content::Video(StreamAd { trackers, ..film() }))).unwrap_err();
        assert!(why.contains(expected), "{why}");
    };
    check("https://t.example/{{CACHEBUSTR}}", "did you mean {{CACHEBUSTER}}?");
    check("https://t.example/${AUCTION_PRIC}", "did you mean ${AUCTION_PRICE}?");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_leaves_its_place(name in "\\PC{0,30}", odd in any::<String>(), mime in "[ -~]{0,12}") {
        let mut ad = film();
        ad.companions[0].mime = mime.clone();
        let mut creative = creative(Content::Video(ad));
        creative.name = format!("{name}{odd}]]>");
        let CompiledMarkup::Vast(templates) = compile_markup(&creative).unwrap() else {
            panic!("video is VAST")
        };
        for template in &templates {
            let text = render(template);
            let document = Document::parse(&text).unwrap_or_else(|why| panic!("{why}: {text}"));
            check_element(template.protocol, document.root_element());
            let odd = |c: char| c.is_control() || "\u{fffe}\u{ffff}".contains(c);
            let expected: String =
                creative.name.chars().map(|c| if odd(c) { '\u{fffd}' } else { c }).collect();
            prop_assert_eq!(texts(&document, "AdTitle"), [expected.as_str()]);
            let resource = document.descendants().find(|node| node.tag_name().name() == "StaticResource");
            prop_assert_eq!(resource.unwrap().attribute("creativeType"), Some(mime.as_str()));
        }
    }
}
