//! Creatives: JSON → model. What they have in common, and banners; the other media have files of their own.

pub(super) mod dump;
pub(super) mod native;
pub(super) mod stream;

use super::frequency;
use super::known::{Known, Unique, Uniques, reference};
use super::report::{Code, Report};
use super::targeting::domain;
use super::wire::{ApprovalWire, CreativeWire, DsaWire, StreamWire};
use crate::model::creative::{Approvals, BannerAd, Content, Creative, Transparency};
use crate::model::ids::{AdvertiserId, CreativeId};
use crate::model::targeting::MediaType;
use crate::model::url::HttpUrl;
use serde_json::value::RawValue;
use std::collections::BTreeSet;

/// Reads all creatives and remembers their ids and owners.
pub(super) fn read_all(report: &mut Report, known: &mut Known, entries: Vec<&RawValue>) -> Vec<Creative> {
    let mut uniques = Uniques::new("creatives");
    report.each("creatives", entries.into_iter().enumerate(), |report, (index, entry)| {
        let wire: CreativeWire = report.json(entry);
        let id = report.id("id", wire.id.as_ref(), u32::MAX);
        uniques.id(report, id, index);
        let owner =
            reference(report, "advertiser", wire.advertiser.as_ref(), &known.advertisers, AdvertiserId);
        let owner = owner.map(|(id, _)| id);
        let advertiser = owner.unwrap_or_default();
        let id = CreativeId(id.unwrap_or_default());
        known.creatives.insert(id, owner);
        let creative = creative(report, known, (id, advertiser), wire);
        uniques.name(report, (advertiser, creative.name.clone()), index);
        creative
    })
}

fn creative(
    report: &mut Report,
    known: &Known,
    (id, advertiser): (CreativeId, AdvertiserId),
    mut wire: CreativeWire,
) -> Creative {
    let medium = report.named("format", Some(wire.format.as_deref().unwrap_or("banner")));
    let name = report.name("name", wire.name.take()).unwrap_or_default();
    let given_click_url = report.required("click_url", wire.click_url.take()).unwrap_or_default();
    let (click_url, landing_domains) =
        landing(report, given_click_url, std::mem::take(&mut wire.landing_domains));
    if wire.adomain.is_empty() {
        report.error_at(
            "adomain",
            Code::Missing,
            "is missing or empty; exchanges want the advertiser's domain",
        );
    }
    let given_secure = wire.secure;
    let adomain = std::mem::take(&mut wire.adomain);
    let categories = categories(report, std::mem::take(&mut wire.iab_categories));
    let attributes = std::mem::take(&mut wire.attributes);
    let frequency = std::mem::take(&mut wire.frequency);
    let creative = Creative {
        id,
        frequency: report.within("frequency", |report| frequency::read(report, frequency)),
        advertiser,
        name,
        secure: false,
        click_url,
        landing_domains,
        adomain: report.each("adomain", adomain, domain).into_iter().flatten().collect(),
        categories,
        cattax: report.whole("cattax", wire.cattax, 1..=i64::from(u16::MAX)).unwrap_or(1),
        attributes: (report.each("attributes", attributes, |r, n| r.whole_here(n, 1..=65_535)).into_iter())
            .flatten()
            .collect(),
        api: report.whole("api", wire.api, 1..=65_535),
        language: language(report, wire.language.take()),
        bundle: wire.bundle.take().filter(|bundle| !bundle.is_empty()),
        approvals: approvals(report, known, wire.approval.take(), std::mem::take(&mut wire.approvals)),
        transparency: wire.dsa.take().map(|dsa| report.within("dsa", |report| transparency(report, dsa))),
        // Of a mistyped medium no field is judged: they would all be foreign to the wrong one.
        content: medium
            .map_or_else(|| Content::Banner(BannerAd::default()), |medium| content(report, medium, wire)),
    };
    Creative { secure: secure(report, given_secure, &creative.content), ..creative }
}

fn content(report: &mut Report, medium: MediaType, wire: CreativeWire) -> Content {
    refuse_foreign(report, medium, &wire);
    match medium {
        MediaType::Banner => Content::Banner(banner(report, wire)),
        MediaType::Video | MediaType::Audio => {
            let fields = StreamWire {
                duration_s: wire.duration_s,
                files: wire.files,
                vast_tag: wire.vast_tag,
                mimes: wire.mimes,
                linearity: wire.linearity,
                skip_after_s: wire.skip_after_s,
                companions: wire.companions,
                trackers: wire.trackers,
            };
            let ad = stream::read(report, medium, fields);
            if medium == MediaType::Audio { Content::Audio(ad) } else { Content::Video(ad) }
        }
        MediaType::Native => Content::Native(native::read(report, wire)),
    }
}

const BANNER: &[MediaType] = &[MediaType::Banner];
const STREAM: &[MediaType] = &[MediaType::Video, MediaType::Audio];
const NATIVE: &[MediaType] = &[MediaType::Native];

/// Whether a creative has some member.
type IsGiven = fn(&CreativeWire) -> bool;

/// Members that creatives of some media have, and the others not.
pub(super) const OF_MEDIA: [(&str, IsGiven, &[MediaType]); 19] = [
    ("size", |wire| wire.size.is_some(), BANNER),
    ("markup", |wire| wire.markup.is_some(), BANNER),
    ("banner_type", |wire| wire.banner_type.is_some(), BANNER),
    ("expands", |wire| !wire.expands.is_empty(), BANNER),
    ("duration_s", |wire| wire.duration_s.is_some(), STREAM),
    ("files", |wire| !wire.files.is_empty(), STREAM),
    ("vast_tag", |wire| wire.vast_tag.is_some(), STREAM),
    ("mimes", |wire| !wire.mimes.is_empty(), STREAM),
    ("linearity", |wire| wire.linearity.is_some(), STREAM),
    ("skip_after_s", |wire| wire.skip_after_s.is_some(), STREAM),
    ("companions", |wire| !wire.companions.is_empty(), STREAM),
    ("trackers", |wire| !wire.trackers.is_empty(), STREAM),
    ("titles", |wire| !wire.titles.is_empty(), NATIVE),
    ("images", |wire| !wire.images.is_empty(), NATIVE),
    ("data", |wire| !wire.data.is_empty(), NATIVE),
    ("video", |wire| wire.video.is_some(), NATIVE),
    ("fallback_url", |wire| wire.fallback_url.is_some(), NATIVE),
    ("privacy_url", |wire| wire.privacy_url.is_some(), NATIVE),
    ("pixels", |wire| !wire.pixels.is_empty(), NATIVE),
];

/// Fields of one medium in a creative of another.
fn refuse_foreign(report: &mut Report, medium: MediaType, wire: &CreativeWire) {
    for (key, is_given, media) in OF_MEDIA {
        if is_given(wire) && !media.contains(&medium) {
            let of = media.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
            let message = format!("is a field of {of}, this is {medium}; remove it or change format");
            report.error_at(key, Code::Conflict, message);
        }
    }
}

fn banner(report: &mut Report, wire: CreativeWire) -> BannerAd {
    let size = report.required("size", wire.size);
    let size = size.and_then(|text| report.within("size", |report| report.size_here(&text)));
    let markup = report.required("markup", wire.markup).unwrap_or_default();
    let mut seen = Unique::new();
    let expands = report.each("expands", wire.expands.into_iter().enumerate(), |report, (index, value)| {
        // AdCOM "Expandable Directions".
        let direction = report.whole_here(value, 1..=6)?;
        unique(report, &mut seen, direction, index)
    });
    BannerAd {
        size: size.unwrap_or_default(),
        banner_type: report
            .whole("banner_type", wire.banner_type, 1..=4)
            .unwrap_or_else(|| banner_type(&markup)),
        markup,
        expands: expands.into_iter().flatten().collect(),
    }
}

/// Gives `value` back; an error at the current place when the list has had it.
fn unique<T: Clone + Eq + std::hash::Hash>(
    report: &mut Report,
    seen: &mut Unique<T>,
    value: T,
    index: usize,
) -> Option<T> {
    if let Some(before) = seen.note(value.clone(), index) {
        report.error(Code::Duplicate, format!("is the same as entry {before}; remove one"));
    }
    Some(value)
}

/// The click URL and where clicks may land; where no domain is listed, only at the URL's own host.
fn landing(report: &mut Report, url: String, domains: Vec<String>) -> (String, Vec<String>) {
    let mut domains: Vec<String> =
        report.each("landing_domains", domains, domain).into_iter().flatten().collect();
    match HttpUrl::parse(&url) {
        Err(_) if url.is_empty() => {}
        Err(why) => report.error_at("click_url", Code::Malformed, format!("{url:?}: {why}")),
        Ok(parsed) if parsed.host().starts_with('[') => {
            report.error_at(
                "click_url",
                Code::Malformed,
                "an IPv6 address is no landing domain; give a host name",
            );
        }
        Ok(parsed) if domains.is_empty() => domains.push(parsed.host().to_ascii_lowercase()),
        Ok(parsed) if parsed.host_is_one_of(&domains) => {}
        Ok(parsed) => {
            let host = parsed.host();
            report.error_at(
                "click_url",
                Code::Conflict,
                format!("the host {host:?} is not among landing_domains; add it"),
            );
        }
    }
    (url, domains)
}

/// Whether an impression that wants https can have it: no URL that an answer would carry is http.
fn secure(report: &mut Report, given: Option<bool>, content: &Content) -> bool {
    let plain = match content {
        Content::Banner(banner) => contains_ignoring_case(&banner.markup, "http://").then_some("the markup"),
        Content::Video(ad) | Content::Audio(ad) => stream::first_plain_url(ad),
        Content::Native(ad) => native::first_plain_url(ad),
    };
    if given == Some(true)
        && let Some(place) = plain
    {
        let message = format!("{place} has an http:// URL; change it to https or say false");
        report.error_at("secure", Code::Conflict, message);
    }
    given.unwrap_or(plain.is_none())
}

/// Whether a URL that was read is http.
fn is_plain(url: &str) -> bool {
    HttpUrl::parse(url).is_ok_and(|url| !url.is_https())
}

/// 3 JavaScript, 4 iframe, else 2 XHTML banner (OpenRTB 2.6, AdCOM "Creative Subtypes - Banner").
fn banner_type(markup: &str) -> i64 {
    match markup {
        text if contains_ignoring_case(text, "<script") => 3,
        text if contains_ignoring_case(text, "<iframe") => 4,
        _ => 2,
    }
}

fn contains_ignoring_case(text: &str, needle: &str) -> bool {
    text.as_bytes().windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle.as_bytes()))
}

fn categories(report: &mut Report, categories: Vec<String>) -> Vec<String> {
    report.each("iab_categories", categories, |report, id| {
        if id.trim().is_empty() || id.trim() != id {
            report.error(Code::Malformed, format!("{id:?} is no category id"));
        }
        id
    })
}

fn language(report: &mut Report, language: Option<String>) -> Option<String> {
    let language = language?.to_ascii_lowercase();
    if language.len() != 2 || !language.bytes().all(|b| b.is_ascii_lowercase()) {
        report.error_at(
            "language",
            Code::Malformed,
            format!("{language:?} is no ISO 639-1 code such as \"en\""),
        );
    }
    Some(language)
}

/// What the ad declares under the Digital Services Act: both names are shown to people, so neither may be missing.
fn transparency(report: &mut Report, wire: DsaWire) -> Transparency {
    let behalf = report.required("behalf", wire.behalf.filter(|name| !name.trim().is_empty()));
    let paid = report.required("paid", wire.paid.filter(|name| !name.trim().is_empty()));
    let domain = wire.domain.and_then(|text| report.within("domain", |report| domain(report, text)));
    let parameters = report.each("parameters", wire.parameters, |report, n| report.whole_here(n, 1..=65_535));
    if domain.is_none() && !parameters.is_empty() {
        report.error_at("domain", Code::Missing, "is missing; parameters are those of a domain");
    }
    Transparency {
        behalf: behalf.unwrap_or_default(),
        paid: paid.unwrap_or_default(),
        renders: wire.renders.unwrap_or(false),
        domain: domain.unwrap_or_default(),
        parameters: parameters.into_iter().flatten().collect(),
    }
}

/// Approved where the field is absent: whoever writes the file owns it.
fn approvals(
    report: &mut Report,
    known: &Known,
    approval: Option<String>,
    exceptions: Vec<ApprovalWire>,
) -> Approvals {
    let everywhere = report.named("approval", approval.as_deref()).unwrap_or_default();
    let mut named = BTreeSet::new();
    let exceptions = report.list("approvals", exceptions, |report, wire| {
        let name = report.required("exchange", wire.exchange)?;
        let exchange = report.within("exchange", |report| known.exchange(report, &name));
        if !named.insert(name) {
            report.error_at("exchange", Code::Duplicate, "is named more than once");
        }
        let approval = report.required("approval", wire.approval);
        exchange.zip(report.named("approval", approval.as_deref()))
    });
    Approvals { everywhere, exceptions }
}
