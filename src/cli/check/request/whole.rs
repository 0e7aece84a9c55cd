//! What the fields of the request itself mean to each other.

use super::rules;
use crate::cli::check::finding::Findings;
use crate::cli::check::read::{At, int, list, positive, shown, text, texts};
use crate::cli::check::shape::Check;
use crate::model::money::Currency;
use serde_json::Value;
use std::collections::HashMap;

pub(super) const CHECKS: &[Check] =
    &[identity, impressions, currencies, channel, time, pairs, taxonomy, domains];

/// `id`, and whether this is OpenRTB 2 at all.
fn identity(at: &At<'_>, findings: &mut Findings) {
    let missing = text(at.value.get("id")).is_none();
    let nothing = imps(at).is_none_or(<[Value]>::is_empty);
    if (missing || nothing) && at.field("openrtb").is_some_and(Value::is_object) {
        findings.add(&rules::OPENRTB_3, &at.path.key("openrtb"), "is the envelope of OpenRTB 3");
        return;
    }
    if missing {
        let what = at.field("id").map_or("is missing".to_owned(), |id| format!("is {}", shown(id)));
        findings.add(&rules::ID_MISSING, &at.path.key("id"), what);
    } else {
        let number = at.field("id").filter(|id| id.is_number());
        let what = || format!("is {} where a text is specified", number.map_or(String::new(), shown));
        findings.add_if(number.is_some(), &rules::TYPE_LOOSE, &at.path.key("id"), what);
    }
}

fn imps<'v>(at: &At<'v>) -> Option<&'v [Value]> {
    at.field("imp")?.as_array().map(Vec::as_slice)
}

fn impressions(at: &At<'_>, findings: &mut Findings) {
    let path = at.path.key("imp");
    let Some(imps) = imps(at).filter(|imps| !imps.is_empty()) else {
        let what = match at.field("imp") {
            Some(Value::Array(_)) => "is empty".to_owned(),
            Some(other) => format!("is {} where a list is specified", shown(other)),
            None => "is missing".to_owned(),
        };
        if !findings.has(&rules::OPENRTB_3) {
            findings.add(&rules::IMPS_MISSING, &path, what);
        }
        return;
    };
    let mut first: HashMap<String, usize> = HashMap::new();
    for (index, imp) in imps.iter().enumerate() {
        let here = path.index(index);
        let Some(id) = text(imp.get("id")) else {
            let what = match imp {
                Value::Object(_) => "has no id".to_owned(),
                other => format!("is {} where an object is specified", shown(other)),
            };
            findings.add(&rules::IMP_ID_MISSING, &here, what);
            continue;
        };
        if let Some(before) = first.get(&id) {
            let what = format!("is {id:?}, as that of imp[{before}]");
            findings.add(&rules::IMP_ID_TWICE, &here.key("id"), what);
        }
        first.entry(id).or_insert(index);
    }
}

/// `cur`: entries that are no currency are left out; with none left nothing can be bid.
fn currencies(at: &At<'_>, findings: &mut Findings) {
    let path = at.path.key("cur");
    let given = list(at.field("cur"));
    let readable = |entry: &&Value| entry.as_str().is_some_and(|code| Currency::parse(code.trim()).is_some());
    if !given.is_empty() && !given.iter().any(|entry| readable(&entry)) {
        let first = shown(&given[0]);
        return findings.add(&rules::CURRENCIES_UNREADABLE, &path, format!("names no currency: {first}"));
    }
    for entry in given.iter().filter(|entry| !readable(entry)) {
        findings.add(&rules::CURRENCY_ODD, &path, format!("has {}, which is no currency", shown(entry)));
    }
    let not_a_list = at.field("cur").filter(|cur| !cur.is_array());
    findings.add_if(not_a_list.is_some(), &rules::TYPE_LOOSE, &path, || "is no list");
}

fn channel(at: &At<'_>, findings: &mut Findings) {
    let is_given = |name: &&&str| at.field(name).is_some_and(Value::is_object);
    let given: Vec<&str> = ["site", "app", "dooh"].iter().filter(is_given).copied().collect();
    match given.as_slice() {
        [] => findings.add(&rules::CHANNEL_MISSING, at.path, "has none of site, app and dooh"),
        [_] => {}
        [.., last] => {
            findings.add(&rules::CHANNELS_SEVERAL, &at.path.key(last), format!("stands beside {}", given[0]));
        }
    }
}

/// `tmax` in milliseconds; more than ten seconds is no auction.
fn time(at: &At<'_>, findings: &mut Findings) {
    const LONGEST_MS: u32 = 10_000;
    let Some(given) = at.field("tmax") else { return };
    let path = at.path.key("tmax");
    match positive(Some(given)) {
        None => findings.add(&rules::TMAX_ODD, &path, format!("is {}", shown(given))),
        Some(ms) if ms > LONGEST_MS => {
            findings.add(&rules::TMAX_ODD, &path, format!("is {} seconds", ms / 1_000));
        }
        Some(_) => {}
    }
}

/// Fields of which one excludes the other.
fn pairs(at: &At<'_>, findings: &mut Findings) {
    for (one, other, rule) in [
        ("wseat", "bseat", &rules::SEATS_BOTH),
        ("wlang", "wlangb", &rules::LANGUAGES_BOTH),
        ("acat", "bcat", &rules::CATEGORIES_BOTH),
    ] {
        let both = !list(at.field(one)).is_empty() && !list(at.field(other)).is_empty();
        findings.add_if(both, rule, &at.path.key(other), || format!("stands beside {one}"));
    }
}

/// Codes of IAB Content 1.0 look like `IAB25-3`; those of every later taxonomy are numbers or short words.
fn taxonomy(at: &At<'_>, findings: &mut Findings) {
    let cattax = int(at.field("cattax")).unwrap_or(1);
    for name in ["acat", "bcat"] {
        let is_content_1 =
            |category: &String| category.trim().get(..3).is_some_and(|head| head.eq_ignore_ascii_case("IAB"));
        let entries = texts(at.field(name));
        let odd = entries.iter().find(|category| is_content_1(category) != (cattax == 1));
        if let Some(odd) = odd.filter(|_| cattax < 500) {
            let what = format!("has {odd:?}, which is no category of taxonomy {cattax}");
            findings.add(&rules::TAXONOMY_ODD, &at.path.key(name), what);
        }
    }
}

fn domains(at: &At<'_>, findings: &mut Findings) {
    let odd = |domain: &&String| {
        let domain = domain.trim();
        !domain.contains('.') || domain.contains(['/', ':', '@', ' ', '?'])
    };
    if let Some(domain) = texts(at.field("badv")).iter().find(odd) {
        findings.add(&rules::DOMAIN_ODD, &at.path.key("badv"), format!("has {domain:?}, which is no domain"));
    }
}
