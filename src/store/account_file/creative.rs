//! Creatives: JSON → model.

use super::known::{Known, Uniques, reference};
use super::report::{Code, Report};
use super::targeting::domain;
use super::wire::CreativeWire;
use crate::model::creative::{BannerAd, Content, Creative};
use crate::model::ids::{AdvertiserId, CreativeId};
use crate::model::url::HttpUrl;

/// Reads all creatives and remembers their ids and owners.
pub(super) fn read_all(report: &mut Report, known: &mut Known, wires: Vec<CreativeWire>) -> Vec<Creative> {
    let mut uniques = Uniques::new("creatives");
    report.each("creatives", wires.into_iter().enumerate(), |report, (index, wire)| {
        let id = report.id("id", wire.id.as_ref(), u32::MAX);
        uniques.id(report, id, index);
        let owner =
            reference(report, "advertiser", wire.advertiser.as_ref(), &known.advertisers, AdvertiserId);
        let owner = owner.map(|(id, _)| id);
        let advertiser = owner.unwrap_or_default();
        let id = CreativeId(id.unwrap_or_default());
        known.creatives.insert(id, owner);
        let creative = creative(report, id, advertiser, wire);
        uniques.name(report, (advertiser, creative.name.clone()), index);
        creative
    })
}

fn creative(report: &mut Report, id: CreativeId, advertiser: AdvertiserId, wire: CreativeWire) -> Creative {
    if let Some(other) = wire.format.as_deref().filter(|format| *format != "banner") {
        report.error_at("format", Code::NotSupported, format!("{other:?} is not built yet; only banner is"));
    }
    let name = report.name("name", wire.name).unwrap_or_default();
    let size = report.required("size", wire.size);
    let size = size.and_then(|text| report.within("size", |report| report.size_here(&text)));
    let markup = report.required("markup", wire.markup).unwrap_or_default();
    let given_click_url = report.required("click_url", wire.click_url).unwrap_or_default();
    let (click_url, landing_domains) = landing(report, given_click_url, wire.landing_domains);
    if wire.adomain.is_empty() {
        report.error_at(
            "adomain",
            Code::Missing,
            "is missing or empty; exchanges want the advertiser's domain",
        );
    }
    Creative {
        id,
        advertiser,
        name,
        secure: secure(report, wire.secure, &markup),
        content: Content::Banner(BannerAd {
            size: size.unwrap_or_default(),
            banner_type: report
                .whole("banner_type", wire.banner_type, 1..=4)
                .unwrap_or_else(|| banner_type(&markup)),
            markup,
            expands: Vec::new(),
        }),
        click_url,
        landing_domains,
        adomain: report.each("adomain", wire.adomain, domain).into_iter().flatten().collect(),
        categories: categories(report, wire.iab_categories),
        cattax: report.whole("cattax", wire.cattax, 1..=i64::from(u16::MAX)).unwrap_or(1),
        attributes: (report
            .each("attributes", wire.attributes, |r, n| r.whole_here(n, 1..=65_535))
            .into_iter())
        .flatten()
        .collect(),
        api: report.whole("api", wire.api, 1..=65_535),
        language: language(report, wire.language),
        bundle: wire.bundle.filter(|bundle| !bundle.is_empty()),
        approved: approved(report, wire.approval.as_deref()),
    }
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

fn secure(report: &mut Report, given: Option<bool>, markup: &str) -> bool {
    let is_plain = contains_ignoring_case(markup, "http://");
    if given == Some(true) && is_plain {
        report.error_at(
            "secure",
            Code::Conflict,
            "the markup has an http:// URL; change it to https or say false",
        );
    }
    given.unwrap_or(!is_plain)
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

/// Approved where the field is absent: whoever writes the file owns it.
fn approved(report: &mut Report, approval: Option<&str>) -> bool {
    match approval {
        None | Some("approved") => true,
        Some("pending" | "rejected") => false,
        Some(other) => {
            let message = format!("{other:?} is not known; use one of approved, pending, rejected");
            report.error_at("approval", Code::Malformed, message);
            false
        }
    }
}
