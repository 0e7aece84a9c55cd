//! Native ads: JSON → model.

use super::super::known::Unique;
use super::super::report::{Code, Report};
use super::super::values::SizeWire;
use super::super::wire::{CreativeWire, DataWire, ImageWire, NameOrNumber};
use super::{is_plain, stream, unique};
use crate::model::creative::{NativeAd, NativeImage};
use crate::model::targeting::MediaType;

/// Image asset types of Native 1.2 section 7.5 by name.
pub(in super::super) const IMAGE_KINDS: &[(&str, i64)] = &[("icon", 1), ("main", 3)];

/// Data asset types of Native 1.2 section 7.4 by name.
pub(in super::super) const DATA_TYPES: &[(&str, i64)] = &[
    ("sponsored", 1),
    ("desc", 2),
    ("rating", 3),
    ("likes", 4),
    ("downloads", 5),
    ("price", 6),
    ("saleprice", 7),
    ("phone", 8),
    ("address", 9),
    ("desc2", 10),
    ("displayurl", 11),
    ("ctatext", 12),
];

/// The most characters of a text that any request could ask for.
pub(in super::super) const MAX_TEXT_CHARS: usize = 1_000;

/// Reads the ad at the current place.
pub(super) fn read(report: &mut Report, wire: CreativeWire) -> NativeAd {
    let has_asset = !wire.titles.is_empty() || !wire.images.is_empty() || !wire.data.is_empty();
    if !has_asset && wire.video.is_none() {
        let message = "is missing or empty, and so are images, data and video; a native ad needs an asset";
        report.error_at("titles", Code::Missing, message);
    }
    let mut seen = Unique::new();
    let titles = report.each("titles", wire.titles.into_iter().enumerate(), |report, (index, text)| {
        check_text(report, &text);
        unique(report, &mut seen, text, index)
    });
    let mut seen = Unique::new();
    let images = report.each("images", wire.images.into_iter().enumerate(), |report, (index, wire)| {
        let image = image(report, wire)?;
        unique(report, &mut seen, (image.kind, image.size, image.url.clone()), index)?;
        Some(image)
    });
    let mut seen = Unique::new();
    let data = report.each("data", wire.data.into_iter().enumerate(), |report, (index, wire)| {
        let pair = data(report, wire)?;
        unique(report, &mut seen, pair, index)
    });
    let video = wire.video.map(|video| {
        report.within("video", |report| {
            if video.linearity == Some(2) {
                let message = "the video of a native ad plays in its own place; leave it out";
                report.error_at("linearity", Code::Conflict, message);
            }
            stream::read(report, MediaType::Video, video)
        })
    });
    let fallback_url = link(report, "fallback_url", wire.fallback_url);
    let privacy_url = link(report, "privacy_url", wire.privacy_url);
    let mut seen = Unique::new();
    let pixels = report.each("pixels", wire.pixels.into_iter().enumerate(), |report, (index, url)| {
        literal_url(report, &url);
        unique(report, &mut seen, url, index)
    });
    NativeAd {
        titles: titles.into_iter().flatten().collect(),
        images: images.into_iter().flatten().collect(),
        data: data.into_iter().flatten().collect(),
        video,
        fallback_url,
        privacy_url,
        pixels: pixels.into_iter().flatten().collect(),
    }
}

/// The name that the file uses for an image asset type, or the number.
pub(super) fn image_kind(number: i64) -> NameOrNumber {
    dumped(IMAGE_KINDS, number)
}

/// The name that the file uses for a data asset type, or the number.
pub(super) fn data_type(number: i64) -> NameOrNumber {
    dumped(DATA_TYPES, number)
}

fn dumped(known: &[(&str, i64)], number: i64) -> NameOrNumber {
    match known.iter().find(|(_, value)| *value == number) {
        Some((name, _)) => NameOrNumber::Name((*name).to_owned()),
        None => NameOrNumber::Number(number),
    }
}

fn numbered(
    report: &mut Report,
    key: &'static str,
    given: Option<NameOrNumber>,
    known: &'static [(&'static str, i64)],
) -> Option<i64> {
    let given = report.required(key, given)?;
    report.within(key, |report| match given {
        NameOrNumber::Number(number) => report.whole_here(number, 1..=65_535),
        NameOrNumber::Name(name) => {
            let found = known.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
            if found.is_none() {
                report.unknown_name(&name, known.iter().map(|(known, _)| *known));
            }
            found
        }
    })
}

fn image(report: &mut Report, wire: ImageWire) -> Option<NativeImage> {
    let kind = numbered(report, "kind", wire.kind, IMAGE_KINDS);
    let size = report.size_of(SizeWire { size: wire.size, w: wire.w, h: wire.h });
    let url = report.required("url", wire.url);
    if let Some(url) = &url {
        report.within("url", |report| literal_url(report, url));
    }
    let mime = stream::mime(report, wire.mime);
    if !mime.is_empty() && !mime.starts_with("image/") {
        report.error_at("mime", Code::Conflict, format!("{mime:?} is no image"));
    }
    Some(NativeImage { kind: kind?, size: size?, url: url?, mime })
}

fn data(report: &mut Report, wire: DataWire) -> Option<(i64, String)> {
    let kind = numbered(report, "type", wire.r#type, DATA_TYPES);
    let text = report.required("text", wire.text);
    if let Some(text) = &text {
        report.within("text", |report| check_text(report, text));
    }
    Some((kind?, text?))
}

fn check_text(report: &mut Report, text: &str) {
    let is_odd = text.trim().is_empty() || text.chars().any(char::is_control);
    if is_odd || text.chars().count() > MAX_TEXT_CHARS {
        let what = format!("give 1 to {MAX_TEXT_CHARS} characters in one line");
        report.error(Code::Malformed, format!("{text:?} cannot be shown; {what}"));
    }
}

fn link(report: &mut Report, key: &'static str, url: Option<String>) -> Option<String> {
    let url = url?;
    report.within(key, |report| literal_url(report, &url));
    Some(url)
}

/// A URL that is written as it is: layouts are the publisher's, so there is no markup in which macros would stand.
fn literal_url(report: &mut Report, url: &str) {
    report.url_here(url);
    if url.contains("{{") {
        report.error(Code::Malformed, format!("{url:?} has a macro; the URLs of native ads are fixed"));
    }
}

/// What has the first http URL of an ad, if any has.
pub(super) fn first_plain_url(ad: &NativeAd) -> Option<&'static str> {
    let plain = |url: &Option<String>| url.as_deref().is_some_and(is_plain);
    let own = [
        ("one of the images", ad.images.iter().any(|image| is_plain(&image.url))),
        ("fallback_url", plain(&ad.fallback_url)),
        ("privacy_url", plain(&ad.privacy_url)),
        ("one of the pixels", ad.pixels.iter().any(|url| is_plain(url))),
    ];
    let own = own.into_iter().find_map(|(place, found)| found.then_some(place));
    own.or_else(|| ad.video.as_ref().and_then(stream::first_plain_url))
}
