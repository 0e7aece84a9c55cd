//! The markup as a whole: that there is some, of the medium that the bid names, in an offered size, and without http
//! where https is asked for.

use super::bid::Bid;
use super::rules;
use crate::cli::check::finding::Findings;
use crate::cli::check::read::{field, flag, int, objects};
use serde_json::Value;

/// Names of XML vocabularies: nobody fetches them.
const VOCABULARIES: [&str; 3] = ["www.w3.org/", "www.iab.com/vast", "www.iab.net/vast"];

pub(super) fn check(bid: &Bid<'_>, findings: &mut Findings) {
    let path = bid.path.key("adm");
    let Some(markup) = bid.markup() else {
        // In protobuf a native answer may be a message of its own.
        if bid.field("adm_native").is_none() {
            let by_notice = bid.text("nurl").is_some();
            let rule = if by_notice { &rules::MARKUP_BY_NOTICE } else { &rules::MARKUP_MISSING };
            findings.add(rule, &path, "is missing");
        }
        return;
    };
    let looks = looks_like(markup);
    let other = match bid.medium {
        Some("banner") => looks == "VAST" || looks == "a native answer",
        Some("video" | "audio") => looks != "VAST",
        Some("native") => looks == "VAST" || looks == "HTML",
        _ => false,
    };
    findings.add_if(other, &rules::MARKUP_OTHER, &path, || {
        format!("looks like {looks} and is said to be {}", bid.medium.unwrap_or_default())
    });
    let secure = bid.imp.is_some_and(|imp| flag(field(imp, "secure")) == Some(true));
    if let Some(url) = first_insecure(markup).filter(|_| secure) {
        findings.add(&rules::INSECURE, &path, format!("names {url}"));
    }
    if bid.medium == Some("banner") {
        size(bid, findings);
    }
}

fn looks_like(markup: &str) -> &'static str {
    let head = markup.trim_start().trim_start_matches('\u{feff}');
    let begins = |with: &str| head.get(..with.len()).is_some_and(|head| head.eq_ignore_ascii_case(with));
    let vast = ["<VAST ", "<VAST>", "<VAST/"].iter().any(|tag| markup.contains(tag));
    match () {
        () if begins("<?xml") || begins("<vast") || (vast && begins("<!--")) => "VAST",
        () if begins("{") && serde_json::from_str::<Value>(head).is_ok() => "a native answer",
        () => "HTML",
    }
}

/// The first URL of http that would be fetched. JSON may write its slashes with a backslash.
fn first_insecure(markup: &str) -> Option<String> {
    let plain = markup.replace("\\/", "/");
    let lower = plain.to_ascii_lowercase();
    let fetched =
        |at: &usize| !VOCABULARIES.iter().any(|name| lower[at + "http://".len()..].starts_with(name));
    let at = lower.match_indices("http://").map(|(at, _)| at).find(fetched)?;
    let end = plain[at..].find(|c: char| c.is_whitespace() || "\"'<>)\\".contains(c));
    Some(plain[at..at + end.unwrap_or(plain.len() - at)].chars().take(80).collect())
}

fn size(bid: &Bid<'_>, findings: &mut Findings) {
    let Some(offer) = bid.offer() else { return };
    let sides = |value: &Value, w: &str, h: &str| {
        Some((int(field(value, w))?, int(field(value, h))?)).filter(|(w, h)| *w > 0 && *h > 0)
    };
    let formats: Vec<&Value> = objects(field(offer, "format")).map(|(_, format)| format).collect();
    let mut sizes: Vec<(i64, i64)> = formats.iter().filter_map(|format| sides(format, "w", "h")).collect();
    let ratios: Vec<(i64, i64)> =
        formats.iter().filter_map(|format| sides(format, "wratio", "hratio")).collect();
    if formats.is_empty() {
        sizes.extend(sides(offer, "w", "h"));
    }
    if sizes.is_empty() && ratios.is_empty() {
        return;
    }
    let in_ratio =
        |w: i64, h: i64| ratios.iter().any(|(wide, high)| w.checked_mul(*high) == h.checked_mul(*wide));
    match (sides(bid.value, "w", "h"), sides(bid.value, "wratio", "hratio")) {
        (Some((w, h)), _) if !sizes.contains(&(w, h)) && !in_ratio(w, h) => {
            let what = format!("has {w}x{h}, which is not offered");
            findings.add(&rules::SIZE_NOT_OFFERED, bid.path, what);
        }
        (None, Some((w, h))) if !in_ratio(w, h) => {
            let what = format!("has the ratio {w}:{h}, which is not offered");
            findings.add(&rules::SIZE_NOT_OFFERED, bid.path, what);
        }
        (None, None) => findings.add(&rules::SIZE_UNSAID, bid.path, "has no w and h"),
        _ => {}
    }
}
