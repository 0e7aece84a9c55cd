//! Where the ad is shown, to whom, and what the law says of it.

use super::rules;
use crate::cli::check::finding::Findings;
use crate::cli::check::read::{At, Path, at as dig, field, flag, int, number, objects, shown, text, texts};
use crate::cli::check::shape::Check;
use crate::model::country::Country;
use serde_json::Value;
use std::net::{Ipv4Addr, Ipv6Addr};

pub(super) const DEVICE: &[Check] = &[language, address, identifier];
pub(super) const GEO: &[Check] = &[country, position];
pub(super) const USER: &[Check] = &[keywords, moved_of_user, consent];
pub(super) const REGS: &[Check] = &[moved_of_regs, consent_missing, gpp, us_privacy, gpc];

pub(super) fn keywords(at: &At<'_>, findings: &mut Findings) {
    let both = at.field("keywords").is_some() && at.field("kwarray").is_some();
    findings.add_if(both, &rules::KEYWORDS_BOTH, &at.path.key("kwarray"), || "stands beside keywords");
}

pub(super) fn language(at: &At<'_>, findings: &mut Findings) {
    let both = at.field("language").is_some() && at.field("langb").is_some();
    findings.add_if(both, &rules::LANGUAGE_BOTH, &at.path.key("langb"), || "stands beside language");
}

/// A screen out of home: known by its place, watched by nobody in particular.
pub(super) fn screen(at: &At<'_>, findings: &mut Findings) {
    let Some(request) = at.outer else { return };
    let geo = |name: &str| number(dig(request.value, &["device", "geo", name]));
    let placed = geo("lat").is_some() && geo("lon").is_some();
    findings.add_if(
        !placed,
        &rules::SCREEN_WITHOUT_PLACE,
        at.path,
        || "stands without device.geo.lat and lon",
    );
    let ifa = text(dig(request.value, &["device", "ifa"]));
    findings.add_if(ifa.is_some(), &rules::SCREEN_WITH_PERSON, at.path, || "stands beside device.ifa");
}

fn country(at: &At<'_>, findings: &mut Findings) {
    let Some(given) = text(at.field("country")) else { return };
    let path = at.path.key("country");
    match (Country::parse(&given), given.trim().len()) {
        (None, _) => findings.add(&rules::COUNTRY_ODD, &path, format!("is {given:?}, which is no country")),
        (Some(country), 2) => {
            let what = format!("is {given:?} in alpha-2; in alpha-3 it is {:?}", country.alpha3());
            findings.add(&rules::COUNTRY_ODD, &path, what);
        }
        _ => {}
    }
}

fn position(at: &At<'_>, findings: &mut Findings) {
    let lines = [("lat", 90.0), ("lon", 180.0)];
    for (name, limit) in lines {
        if let Some(far) = number(at.field(name)).filter(|degrees| degrees.abs() > limit) {
            findings.add(&rules::POSITION_ODD, &at.path.key(name), format!("is {far}, beyond ±{limit}"));
        }
    }
    let [lat, lon] = lines.map(|(name, _)| at.field(name).is_some());
    if lat != lon {
        let (here, there) = if lat { ("lat", "lon") } else { ("lon", "lat") };
        findings.add(&rules::POSITION_ODD, &at.path.key(here), format!("is given without {there}"));
    }
}

/// `ip` and `ipv6`; the last part may be cut off or masked.
fn address(at: &At<'_>, findings: &mut Findings) {
    let masked = |given: &str| given.replace(['x', 'X', '*'], "0");
    let v4 = |given: &str| masked(given).parse::<Ipv4Addr>().is_ok();
    let v6 = |given: &str| masked(given).parse::<Ipv6Addr>().is_ok();
    let mut judge = |name: &str, fits: bool, given: &str| {
        findings.add_if(!fits, &rules::ADDRESS_ODD, &at.path.key(name), || format!("is {given:?}"));
    };
    if let Some(given) = text(at.field("ip")) {
        judge("ip", v4(given.trim()), &given);
    }
    if let Some(given) = text(at.field("ipv6")) {
        judge("ipv6", v6(given.trim()), &given);
    }
}

fn identifier(at: &At<'_>, findings: &mut Findings) {
    let none = |ifa: &String| ifa.bytes().all(|b| matches!(b, b'0' | b'-'));
    if let Some(ifa) = text(at.field("ifa")).filter(none) {
        findings.add(&rules::IFA_EMPTY, &at.path.key("ifa"), format!("is {ifa:?}"));
    }
}

/// A signal in the place that version 2.5 had for it, which is `ext` of the same object.
fn moved(at: &At<'_>, name: &str, findings: &mut Findings) {
    let Some(old) = at.field("ext").and_then(|ext| field(ext, name)) else { return };
    let ext = at.path.key("ext");
    let path: Path<'_> = ext.key(name);
    match at.field(name) {
        None => {
            findings.add(&rules::MOVED, &path, format!("belongs at {} since version 2.6", at.path.key(name)))
        }
        Some(new) if says(new) != says(old) && name != "eids" => {
            let what = format!("is {}, but {} is {}", shown(old), at.path.key(name), shown(new));
            findings.add(&rules::CONTRADICTION, &path, what);
        }
        Some(_) => {}
    }
}

/// A value without the differences of type that nobody means.
fn says(value: &Value) -> String {
    match flag(Some(value)) {
        Some(flag) => i32::from(flag).to_string(),
        None => text(Some(value)).unwrap_or_else(|| value.to_string()),
    }
}

fn moved_of_user(at: &At<'_>, findings: &mut Findings) {
    ["consent", "eids"].into_iter().for_each(|name| moved(at, name, findings));
}

fn moved_of_regs(at: &At<'_>, findings: &mut Findings) {
    ["gdpr", "us_privacy", "gpp", "gpp_sid"].into_iter().for_each(|name| moved(at, name, findings));
}

/// A value in either place, the one of 2.6 first.
fn either<'v>(object: &'v Value, name: &str) -> Option<&'v Value> {
    field(object, name).or_else(|| dig(object, &["ext", name]))
}

/// The TCF string. Version 2 of it begins with a C.
fn consent(at: &At<'_>, findings: &mut Findings) {
    let Some(given) = text(either(at.value, "consent")) else { return };
    let core = given.split('.').next().unwrap_or_default();
    let is_tcf =
        core.starts_with('C') && core.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    findings.add_if(!is_tcf, &rules::CONSENT_ODD, &at.path.key("consent"), || {
        format!("is {}", shown(&given.clone().into()))
    });
}

/// Where GDPR applies somebody must have been asked.
fn consent_missing(at: &At<'_>, findings: &mut Findings) {
    let user = at.outer.and_then(|request| request.field("user"));
    let applies = flag(either(at.value, "gdpr")) == Some(true);
    let missing = user.and_then(|user| text(either(user, "consent"))).is_none();
    findings.add_if(
        applies && missing,
        &rules::CONSENT_MISSING,
        &at.path.key("gdpr"),
        || "is 1 while user.consent is missing",
    );
}

fn gpp(at: &At<'_>, findings: &mut Findings) {
    let (gpp, sections) = (text(either(at.value, "gpp")), either(at.value, "gpp_sid"));
    let sections = texts(sections);
    let path = at.path.key("gpp");
    match gpp {
        Some(given) => {
            findings.add_if(!given.starts_with('D'), &rules::GPP_ODD, &path, || {
                format!("is {}", shown(&given.clone().into()))
            });
            findings.add_if(sections.is_empty(), &rules::GPP_UNSCOPED, &path, || "is given without gpp_sid");
        }
        // Section -1 says that none applies.
        None => {
            let applies = sections.iter().any(|section| !section.starts_with('-') && section != "0");
            findings.add_if(applies, &rules::GPP_MISSING, &at.path.key("gpp_sid"), || "is given without gpp");
        }
    }
}

fn us_privacy(at: &At<'_>, findings: &mut Findings) {
    let Some(given) = text(either(at.value, "us_privacy")) else { return };
    let well_formed = match given.as_bytes() {
        [b'1', rest @ ..] => rest.len() == 3 && rest.iter().all(|c| b"YNyn-".contains(c)),
        _ => false,
    };
    findings
        .add_if(!well_formed, &rules::US_PRIVACY_ODD, &at.path.key("us_privacy"), || format!("is {given:?}"));
}

fn gpc(at: &At<'_>, findings: &mut Findings) {
    let Some(given) = dig(at.value, &["ext", "gpc"]) else { return };
    let said = given.as_str().is_some_and(|gpc| gpc == "1" || gpc == "0");
    let ext = at.path.key("ext");
    findings.add_if(!said, &rules::GPC_ODD, &ext.key("gpc"), || format!("is {}", shown(given)));
}

pub(super) fn source(at: &At<'_>, findings: &mut Findings) {
    moved(at, "schain", findings);
}

pub(super) fn chain(at: &At<'_>, findings: &mut Findings) {
    let complete = flag(at.field("complete")) == Some(true);
    findings.add_if(!complete, &rules::CHAIN_INCOMPLETE, &at.path.key("complete"), || {
        at.field("complete").map_or("is missing".to_owned(), |given| format!("is {}", shown(given)))
    });
    let nodes = objects(at.field("nodes")).count();
    findings.add_if(nodes == 0, &rules::CHAIN_INCOMPLETE, &at.path.key("nodes"), || "names no seller");
}

pub(super) fn chain_node(at: &At<'_>, findings: &mut Findings) {
    let missing = ["asi", "sid"].into_iter().find(|name| text(at.field(name)).is_none());
    if let Some(missing) = missing {
        findings.add(&rules::CHAIN_NODE_ODD, at.path, format!("has no {missing}"));
    }
}

pub(super) fn identifiers(at: &At<'_>, findings: &mut Findings) {
    let source = text(at.field("source"));
    findings.add_if(source.is_none(), &rules::EID_ODD, &at.path.key("source"), || "is missing");
    let uids = at.path.key("uids");
    let nameless = objects(at.field("uids")).find(|(_, uid)| text(field(uid, "id")).is_none());
    if let Some((index, _)) = nameless {
        findings.add(&rules::EID_ODD, &uids.index(index), "has no id");
    }
    let none = at.field("uids").and_then(Value::as_array).is_none_or(Vec::is_empty);
    findings.add_if(none, &rules::EID_ODD, &uids, || "names no identifier");
}

pub(super) fn segment(at: &At<'_>, findings: &mut Findings) {
    let unnamed = text(at.field("id")).is_none() && int(at.field("id")).is_none();
    findings.add_if(unnamed, &rules::SEGMENT_ODD, at.path, || "has no id");
}
