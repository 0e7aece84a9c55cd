//! The demo's ads beside banners: a film and a spot for the ear in the lengths that publishers ask for, assets for feeds,
//! and screens in the street.

use super::world::{SITE, creative_of, line_item};
use crate::model::auction::Size;
use crate::model::creative::{
    BannerAd, Companion, Content, Creative, MediaFile, NativeAd, NativeImage, StreamAd, StreamSource,
};
use crate::model::ids::{CampaignId, CreativeId, LineItemId};
use crate::model::line_item::{ChannelKind, Condition, CreativeAssignment, LineItem, Multipliers};
use crate::model::targeting::Targeting;

/// The campaign of these line items.
pub(super) const CAMPAIGN: CampaignId = CampaignId(3);

/// Key of the creatives and name of each line item.
pub(super) const NAMES: [(&str, &str); 4] = [
    ("film", "Before the film"),
    ("spot", "Between the songs"),
    ("feed", "In the feed"),
    ("street", "Screens in the street"),
];

/// Adds the creatives and gives the line items, whose ids begin at 101.
pub(super) fn add(creatives: &mut Vec<Creative>) -> Vec<LineItem> {
    let contents = [
        FILM_S.map(|seconds| Content::Video(film(seconds, &WIDE))).to_vec(),
        SPOT_S.map(|seconds| Content::Audio(spot(seconds))).to_vec(),
        vec![Content::Native(feed())],
        vec![
            poster(1080, 1920),
            poster(1920, 1080),
            Content::Video(StreamAd {
                // Nobody can skip a street.
                skip_after_s: None,
                companions: Vec::new(),
                ..film(10, &TALL)
            }),
        ],
    ];
    let bids = [6_500_000, 3_200_000, 2_800_000, 9_000_000];
    let line_items =
        (101..).zip(NAMES).zip(contents).zip(bids).map(|(((id, (key, name)), contents), bid)| {
            let assigned = contents.into_iter().map(|content| {
                let id = CreativeId(creatives.len() as u32 + 1);
                let weight = weight(&content);
                creatives.push(creative_of(id, format!("{key} {}", title(&content)), key, content));
                CreativeAssignment { creative: id, weight, when: Condition::default() }
            });
            let assigned = assigned.collect();
            let item = line_item(LineItemId(id), name, bid, Targeting::default(), multipliers(key), assigned);
            LineItem { campaign: CAMPAIGN, ..item }
        });
    line_items.collect()
}

/// What fits a street is for no other place: a factor of nothing.
fn multipliers(key: &str) -> Multipliers {
    let channels = match key {
        "street" => vec![(ChannelKind::Site, 0), (ChannelKind::App, 0)],
        _ => vec![(ChannelKind::Dooh, 0)],
    };
    Multipliers { channels, ..Multipliers::default() }
}

fn title(content: &Content) -> String {
    match content {
        Content::Banner(ad) => ad.size.to_string(),
        Content::Video(ad) | Content::Audio(ad) => format!("{} s", ad.duration_s),
        Content::Native(_) => "assets".to_owned(),
    }
}

/// What takes longer than anybody watches unasked is for those who ask for it.
fn weight(content: &Content) -> u32 {
    match content {
        Content::Video(ad) | Content::Audio(ad) if ad.duration_s > 30 => 1,
        _ => 20,
    }
}

/// Lengths of the film in seconds: from the bumper to the whole story.
const FILM_S: [u32; 5] = [6, 15, 30, 60, 120];
/// Lengths of the spot in seconds.
const SPOT_S: [u32; 2] = [15, 30];

/// Width and height in pixels, kilobits a second.
const WIDE: [(u16, u16, u32); 3] = [(1920, 1080, 4_500), (1280, 720, 2_000), (640, 360, 800)];
const TALL: [(u16, u16, u32); 2] = [(1080, 1920, 4_500), (720, 1280, 2_000)];

fn film(duration_s: u32, qualities: &[(u16, u16, u32)]) -> StreamAd {
    let file = |(w, h, bitrate): &(u16, u16, u32)| MediaFile {
        url: format!("https://cdn.{SITE}/film/{duration_s}s-{w}x{h}.mp4"),
        mime: "video/mp4".to_owned(),
        size: Size { w: *w, h: *h },
        bitrate: Some(*bitrate),
        streaming: false,
    };
    StreamAd {
        duration_s,
        source: StreamSource::Files(qualities.iter().map(file).collect()),
        linearity: 1,
        skip_after_s: (duration_s > 15).then_some(5),
        companions: vec![Companion {
            size: Size { w: 300, h: 250 },
            url: format!("https://cdn.{SITE}/film/end-300x250.png"),
            mime: "image/png".to_owned(),
        }],
        trackers: Vec::new(),
    }
}

fn spot(duration_s: u32) -> StreamAd {
    let file = |mime: &str, ending: &str, bitrate| MediaFile {
        url: format!("https://cdn.{SITE}/spot/{duration_s}s.{ending}"),
        mime: mime.to_owned(),
        size: Size::default(),
        bitrate: Some(bitrate),
        streaming: false,
    };
    let files = vec![file("audio/mpeg", "mp3", 192), file("audio/mp4", "m4a", 128)];
    StreamAd { duration_s, source: StreamSource::Files(files), linearity: 1, ..StreamAd::default() }
}

fn feed() -> NativeAd {
    let image = |kind, w, h, name: &str| NativeImage {
        kind,
        size: Size { w, h },
        url: format!("https://cdn.{SITE}/feed/{name}.png"),
        mime: "image/png".to_owned(),
    };
    let texts = [
        (1, "Harbour Mutual"),
        (2, "Home, health and those you love: one policy, four minutes, no forms to print."),
        (2, "One policy for all you love"),
        (12, "Get a quote"),
    ];
    NativeAd {
        titles: vec![
            "Insured in four minutes, without a single form".to_owned(),
            "Insured in four minutes".to_owned(),
        ],
        images: vec![
            image(3, 1200, 627, "main"),
            image(3, 600, 600, "square"),
            image(3, 300, 250, "small"),
            image(3, 180, 120, "thumbnail"),
            image(1, 80, 80, "icon"),
            image(1, 512, 512, "logo"),
        ],
        data: texts.map(|(kind, text)| (kind, text.to_owned())).to_vec(),
        video: Some(StreamAd { companions: Vec::new(), ..film(15, &WIDE) }),
        fallback_url: None,
        privacy_url: Some(format!("https://www.{SITE}/privacy")),
        pixels: Vec::new(),
    }
}

/// A still for a screen in the street. Nobody clicks it; the link is there because screens also stand in shops.
fn poster(w: u16, h: u16) -> Content {
    let markup = format!(
        "<a href=\"{{{{CLICK_URL}}}}\"><img src=\"https://cdn.{SITE}/street/{w}x{h}.png\" width=\"{{{{WIDTH}}}}\" \
         height=\"{{{{HEIGHT}}}}\" alt=\"Insured before the lights turn green\"></a>"
    );
    Content::Banner(BannerAd { size: Size { w, h }, markup, banner_type: 2, expands: Vec::new() })
}
