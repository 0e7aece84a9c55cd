//! Trial C6: sixty hostile payloads in each of six contexts, through whole answers. Here what is rendered is read back
//! by parsers; `scripts/trials hostile-payloads` has the same pages opened by a browser.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as loudly as the test")]

use super::answers::{World, world};
use super::macros::skeleton;
use super::payloads::PAYLOADS;
use super::vast::film;
use outbid::exchange::compile_markup;
use outbid::exchange::macros::{Place, compile};
use outbid::exchange::respond::{Response, write};
use outbid::model::auction::Size;
use outbid::model::bid::{Bid, Fill, FilledAsset, NativeFill};
use outbid::model::creative::{
    CompiledMarkup, Content, NativeAd, NativeImage, StreamAd, StreamEvent, StreamSource, VastTemplate,
};
use outbid::model::money::Cpm;
use roxmltree::Document;
use serde_json::{Value, json};
use std::path::Path;

const TEXT: &str = "<p>a{{PAGE_URL}}b</p><div>${{INVENTORY}}</div><title>{{PAGE_URL}}</title>";
const ATTRIBUTE: &str = "<p title=\"a{{PAGE_URL}}b\">x</p><img alt='&{{INVENTORY}}' title=\"{{PAGE_URL}}\">";
const URL: &str = "<a href=\"{{PAGE_URL}}\">x</a><iframe src='{{PAGE_URL}}'></iframe>\
    <a href='https://a.example/?u={{PAGE_URL}}&i={{INVENTORY}}'>x</a>";
const SCRIPT: &str =
    "<script>first = '{{PAGE_URL}}'; second = \"{{INVENTORY}}\"; third = 'a/*{{PAGE_URL}}/script>';</script>";

/// The contexts by name; of HTML with its markup.
const CONTEXTS: [(&str, &str); 6] = [
    ("HTML text", TEXT),
    ("HTML attribute", ATTRIBUTE),
    ("URL component", URL),
    ("script string", SCRIPT),
    ("VAST", ""),
    ("native", ""),
];

/// What controls are rendered with before a payload takes its place unencoded.
const MARK: &str = "MARK";

/// One payload for each context that does run where nothing is encoded.
const CONTROLS: [&str; 6] = [
    "<img src=x onerror=top.__pwned=1>",
    "\"><img src=x onerror=top.__pwned=1><p title=\"",
    "javascript:top.__pwned=1",
    "';top.__pwned=1;//",
    "<script>top.__pwned=1</script>",
    "<script>top.__pwned=1</script>",
];

/// The ads of all documents whose texts are the payload too: an advertiser's names are no better than a page's.
fn creative(context: &str, payload: &str) -> Content {
    let value_url = "https://t.example/?u={{PAGE_URL}}&i={{INVENTORY}}&p=${AUCTION_PRICE}";
    let mut ad = StreamAd {
        duration_s: 15,
        trackers: StreamEvent::ALL.map(|event| (event, value_url.to_owned())).to_vec(),
        ..film()
    };
    let StreamSource::Files(files) = &mut ad.source else { panic!("a film has files") };
    (files[0].mime, files[0].url) = (payload.to_owned(), value_url.to_owned());
    if context == "VAST" {
        return Content::Video(ad);
    }
    Content::Native(NativeAd {
        titles: vec![payload.to_owned()],
        images: vec![NativeImage {
            kind: 3,
            size: Size { w: 1_200, h: 627 },
            url: payload.to_owned(),
            mime: "image/png".to_owned(),
        }],
        data: vec![(1, payload.to_owned())],
        video: Some(ad),
        fallback_url: Some(payload.to_owned()),
        privacy_url: Some(payload.to_owned()),
        pixels: vec![payload.to_owned()],
    })
}

/// What a publisher reads as `bid.adm`, in every version where there are several.
fn rendered((context, markup): (&str, &str), payload: &str) -> Vec<String> {
    let mut world = world();
    world.profile.max_adm_bytes = 1 << 20;
    if !markup.is_empty() {
        let template = compile(markup).unwrap();
        return vec![adm(&world, Fill::Html(&template), payload)];
    }
    world.creative.name = payload.to_owned();
    world.creative.content = creative(context, payload);
    match compile_markup(&world.creative).unwrap() {
        CompiledMarkup::Vast(all) => all.iter().map(|vast| adm(&world, Fill::Vast(vast), payload)).collect(),
        CompiledMarkup::Native(all) => all.iter().map(|vast| native(&world, vast, payload)).collect(),
        CompiledMarkup::Html(_) => panic!("no banner"),
    }
}

fn native(world: &World, vast: &VastTemplate, payload: &str) -> String {
    let ad = world.creative.native().unwrap();
    let assets = [
        (1, FilledAsset::Title(&ad.titles[0])),
        (2, FilledAsset::Image(&ad.images[0])),
        (3, FilledAsset::Data(1, &ad.data[0].1)),
        (4, FilledAsset::Video(vast)),
    ];
    let fill = NativeFill { wrapped: false, assets: &assets, event_trackers: true, privacy: true };
    adm(world, Fill::Native(fill), payload)
}

fn adm(world: &World, fill: Fill<'_>, payload: &str) -> String {
    let bids = [Bid { fill, ..world.bid("1", 1, Cpm(2_000_000)) }];
    let place = Place { inventory: payload, page: payload };
    let mut out = Vec::new();
    let written = write(&Response { place, ..world.response("auction", &bids) }, &mut out);
    assert_eq!((written.bids, written.skipped), (1, Vec::new()));
    let answer: Value = serde_json::from_slice(&out).unwrap();
    answer["seatbid"][0]["bid"][0]["adm"].as_str().unwrap().to_owned()
}

/// A payload as XML and HTML give it back: characters that they do not have are replaced.
fn readable(payload: &str) -> String {
    let odd = |c: char| c.is_control() || "\u{fffe}\u{ffff}".contains(c);
    payload.chars().map(|c| if odd(c) { '\u{fffd}' } else { c }).collect()
}

/// Elements with their attributes, in order.
fn xml_shape(xml: &str) -> Vec<(String, Vec<String>)> {
    let document = Document::parse(xml).unwrap_or_else(|why| panic!("{why}: {xml}"));
    let shape = |node: roxmltree::Node<'_, '_>| {
        let attributes = node.attributes().map(|attribute| attribute.name().to_owned()).collect();
        (node.tag_name().name().to_owned(), attributes)
    };
    document.descendants().filter(|node| !node.is_text() && !node.is_root()).map(shape).collect()
}

fn check_vast(xml: &str, harmless: &str, payload: &str) {
    assert_eq!(xml_shape(xml), xml_shape(harmless), "{payload:?}");
    let document = Document::parse(xml).unwrap();
    let named = |name: &str| document.descendants().find(|node| node.tag_name().name() == name).unwrap();
    assert_eq!(named("AdTitle").text(), Some(readable(payload).as_str()));
    assert_eq!(named("MediaFile").attribute("type"), Some(readable(payload).as_str()));
    let url = named("MediaFile").text().unwrap();
    let values = url.split(['=', '&']).collect::<Vec<_>>();
    assert!(
        matches!(values[..], ["https://t.example/?u", a, "i", b, "p", "${AUCTION_PRICE}"] if a == b),
        "{url}"
    );
}

/// The keys of objects and the lengths of lists.
fn json_shape(value: &Value) -> Value {
    match value {
        Value::Object(entries) => {
            entries.iter().map(|(key, value)| (key.clone(), json_shape(value))).collect()
        }
        Value::Array(entries) => entries.iter().map(json_shape).collect(),
        Value::String(_) => json!("text"),
        scalar => scalar.clone(),
    }
}

fn check_native(adm: &str, harmless: &str, payload: &str) {
    let read = |adm: &str| serde_json::from_str::<Value>(adm).unwrap();
    let (native, plain) = (read(adm), read(harmless));
    assert_eq!(json_shape(&native), json_shape(&plain), "{payload:?}");
    for at in [
        "/assets/0/title/text",
        "/assets/1/img/url",
        "/assets/2/data/value",
        "/link/fallback",
        "/eventtrackers/1/url",
        "/privacy",
    ] {
        assert_eq!(native.pointer(at), Some(&json!(payload)), "{at}");
    }
    assert_eq!(native["link"]["url"], plain["link"]["url"]);
    let tag = |native: &Value| native["assets"][3]["video"]["vasttag"].as_str().unwrap().to_owned();
    check_vast(&tag(&native), &tag(&plain), payload);
}

#[test]
fn no_hostile_payload_leaves_its_place_in_any_of_six_contexts() {
    for context in CONTEXTS {
        let harmless = rendered(context, "x");
        for payload in PAYLOADS {
            for (adm, plain) in rendered(context, payload).iter().zip(&harmless) {
                match context.0 {
                    "VAST" => check_vast(adm, plain, payload),
                    "native" => check_native(adm, plain, payload),
                    _ => assert_eq!(skeleton(adm), skeleton(plain), "{payload:?}"),
                }
                if context.0 != "native" {
                    assert_eq!(adm.matches("${").count(), plain.matches("${").count(), "{payload:?}");
                }
            }
        }
    }
}

/// The check above must be able to fail.
#[test]
fn an_unencoded_payload_is_seen_to_leave_its_place() {
    for (context, control) in CONTEXTS.into_iter().zip(CONTROLS) {
        let marked = &rendered(context, MARK)[0];
        let broken = unencoded(marked, control);
        let seen = match context.0 {
            "VAST" => xml_shape(&broken) != xml_shape(marked),
            "native" => tag_shape(&broken) != tag_shape(marked),
            // A scheme has no character of structure; that one only a browser can tell.
            "URL component" => broken.contains("href=\"javascript:"),
            _ => skeleton(&broken) != skeleton(marked),
        };
        assert!(seen, "{}", context.0);
    }
}

/// A page in which a control takes the mark's place as it is; of XML the title's, so that it stays well-formed.
fn unencoded(marked: &str, control: &str) -> String {
    match marked.contains("<VAST") {
        true => marked.replace(&format!(">{MARK}<"), &format!(">{control}<")),
        false => marked.replace(MARK, control),
    }
}

fn tag_shape(adm: &str) -> Vec<(String, Vec<String>)> {
    let native: Value = serde_json::from_str(adm).unwrap();
    xml_shape(native["assets"][3]["video"]["vasttag"].as_str().unwrap())
}

/// Leaves all pages in the folder `OUTBID_PAGES` for a browser, with what watches them, where the variable is set.
#[test]
fn the_pages_of_the_browser_trial_are_written_where_asked_for() {
    let Some(folder) = std::env::var_os("OUTBID_PAGES") else { return };
    let newest = |context, payload: &str| rendered(context, payload).swap_remove(0);
    let contexts: Vec<Value> = CONTEXTS
        .into_iter()
        .zip(CONTROLS)
        .map(|(context, control)| {
            let marked = newest(context, MARK);
            let pages = PAYLOADS.map(|payload| {
                json!({
                    "payload": payload,
                    "readable": readable(payload),
                    "adm": newest(context, payload),
                    "unencoded": marked.replace(MARK, payload),
                })
            });
            json!({
                "name": context.0,
                "harmless": newest(context, "x"),
                "control": unencoded(&marked, control),
                "pages": pages.to_vec(),
            })
        })
        .collect();
    let folder = Path::new(&folder);
    std::fs::write(folder.join("pages.js"), format!("const CONTEXTS = {};", Value::from(contexts))).unwrap();
    std::fs::write(folder.join("index.html"), include_str!("browser.html")).unwrap();
}
