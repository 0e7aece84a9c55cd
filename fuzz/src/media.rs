//! Markup and documents around texts that nobody vouches for.

use super::parts;
use outbid::exchange::compile_markup;
use outbid::exchange::macros::{self, MarkupContext, Place, compile};
use outbid::exchange::url::{PublicUrl, UrlForm};
use outbid::model::auction::Size;
use outbid::model::creative::{
    Approvals, Companion, CompiledMarkup, Content, Creative, MediaFile, StreamAd, StreamEvent, StreamSource,
    Template,
};
use outbid::model::ids::{AdvertiserId, BidId, CampaignId, CreativeId, LineItemId};
use roxmltree::Document;

fn show(template: &Template, page: &str) -> String {
    let context = MarkupContext {
        urls: &PublicUrl::parse("https://track.example/t").expect("a good URL"),
        form: UrlForm::PLAIN,
        public_token: "TOKEN-_",
        cachebuster: 77,
        bid: BidId { epoch: 0x10, core: 2, sequence: 0xabc },
        creative: CreativeId(9),
        line_item: LineItemId(8),
        campaign: CampaignId(7),
        size: Size { w: 300, h: 250 },
        place: Place { inventory: page, page },
    };
    let mut out: Vec<u8> = Vec::new();
    macros::render(template, &context, &mut out);
    String::from_utf8(out).expect("encoders write ASCII between UTF-8")
}

/// What gives markup its structure, in order.
fn skeleton(markup: &str) -> String {
    markup.chars().filter(|c| "<>\"'`{}()\n\r".contains(*c)).collect()
}

/// Markup and a page. Markup that is accepted holds any value without a change of its structure.
pub fn expand_macros(data: &[u8]) {
    let [markup, page] = parts(data);
    let Ok(template) = compile(&markup) else { return };
    let (plain, shown) = (show(&template, "x"), show(&template, &page));
    assert_eq!(skeleton(&shown), skeleton(&plain));
    assert_eq!(shown.matches("${").count(), plain.matches("${").count());
    let prepared: String = template.json_literals.concat();
    let read: Result<String, _> = serde_json::from_str(&format!("\"{prepared}\""));
    assert!(read.is_ok(), "literals as JSON: {prepared}");
}

/// The texts of an ad, in the order in which an input gives them.
struct Texts {
    name: String,
    mime: String,
    url: String,
    tracker: String,
    page: String,
}

/// An ad whose shape `bits` decide.
fn creative(bits: u8, texts: &Texts) -> Creative {
    let file = MediaFile {
        url: texts.url.clone(),
        mime: texts.mime.clone(),
        size: Size { w: 640, h: 360 },
        bitrate: (bits & 1 != 0).then_some(900),
        streaming: bits & 2 != 0,
    };
    let companion =
        Companion { size: Size { w: 300, h: 250 }, url: texts.url.clone(), mime: texts.mime.clone() };
    let ad = StreamAd {
        duration_s: u32::from(bits) * 100,
        source: match bits & 4 {
            0 => StreamSource::Files(vec![file.clone(), file]),
            _ => StreamSource::Wrapped { tag: texts.url.clone(), mimes: vec![texts.mime.clone()] },
        },
        linearity: if bits & 8 != 0 { 2 } else { 1 },
        skip_after_s: (bits & 16 != 0).then_some(5),
        companions: vec![companion; usize::from(bits & 32 != 0)],
        trackers: StreamEvent::ALL.map(|event| (event, texts.tracker.clone())).to_vec(),
    };
    Creative {
        frequency: Default::default(),
        id: CreativeId(9),
        advertiser: AdvertiserId(1),
        name: texts.name.clone(),
        content: if bits & 64 != 0 { Content::Audio(ad) } else { Content::Video(ad) },
        click_url: "https://shop.example/".to_owned(),
        landing_domains: Vec::new(),
        adomain: Vec::new(),
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

fn documents(bits: u8, texts: &Texts) -> Option<Vec<String>> {
    match compile_markup(&creative(bits, texts)) {
        Ok(CompiledMarkup::Vast(all)) => {
            Some(all.iter().map(|vast| show(&vast.template, &texts.page)).collect())
        }
        Ok(_) => panic!("a stream is VAST"),
        Err(_) => None,
    }
}

/// Elements with the names of their attributes.
fn shape(document: &Document<'_>) -> Vec<String> {
    let nodes = document.descendants().filter(|node| !node.is_text() && !node.is_root());
    let shown = |node: roxmltree::Node<'_, '_>| {
        let attributes: Vec<&str> = node.attributes().map(|attribute| attribute.name()).collect();
        format!("{:?} {} {attributes:?}", node.node_type(), node.tag_name().name())
    };
    nodes.map(shown).collect()
}

/// A byte that decides the ad's shape, then its texts. Every document is well-formed and has the elements that it has
/// with harmless texts; a title reads back.
pub fn vast_build(data: &[u8]) {
    let Some((&bits, rest)) = data.split_first() else { return };
    let [name, mime, url, tracker, page] = parts(rest);
    let texts = Texts { name, mime, url, tracker, page };
    let x = || "x".to_owned();
    let plain = Texts { name: x(), mime: x(), url: x(), tracker: x(), page: x() };
    let (Some(all), Some(plain)) = (documents(bits, &texts), documents(bits, &plain)) else { return };
    assert_eq!(all.len(), plain.len());
    for (xml, plain) in all.iter().zip(&plain) {
        let document = Document::parse(xml).unwrap_or_else(|why| panic!("{why}: {xml}"));
        assert_eq!(shape(&document), shape(&Document::parse(plain).expect("harmless")), "{xml}");
        let odd = |c: char| c.is_control() || "\u{fffe}\u{ffff}".contains(c);
        let readable: String = texts.name.chars().map(|c| if odd(c) { '\u{fffd}' } else { c }).collect();
        let titles = document.descendants().filter(|node| node.tag_name().name() == "AdTitle");
        titles.for_each(|node| assert_eq!(node.text().unwrap_or_default(), readable));
    }
}
