//! An impression: what it offers, at what floor, how often and when it is shown.

use super::{media, rules};
use crate::cli::check::finding::Findings;
use crate::cli::check::read::{At, Path, int, positive, price, shown};
use crate::cli::check::shape::Check;
use crate::model::money::{Cpm, Currency};
use serde_json::Value;

pub(super) const CHECKS: &[Check] = &[identity, offered, floor, quantity, times];

fn identity(at: &At<'_>, findings: &mut Findings) {
    let number = at.field("id").filter(|id| id.is_number());
    let what = || format!("is {} where a text is specified", number.map_or(String::new(), shown));
    findings.add_if(number.is_some(), &rules::TYPE_LOOSE, &at.path.key("id"), what);
}

fn offered(at: &At<'_>, findings: &mut Findings) {
    let given: Vec<&str> =
        ["banner", "video", "audio", "native"].into_iter().filter(|name| at.field(name).is_some()).collect();
    let nothing = !given.iter().any(|name| media::is_usable(at, name));
    findings.add_if(nothing, &rules::MEDIA_MISSING, at.path, || match given.as_slice() {
        [] => "offers none of banner, video, audio and native".to_owned(),
        given => format!("offers nothing that could be filled: {} is not whole", given.join(", ")),
    });
}

fn floor(at: &At<'_>, findings: &mut Findings) {
    let floor = floor_of(at, "bidfloor", &rules::FLOOR_UNREADABLE, findings);
    let durations = ["video", "audio"].iter().any(|name| {
        let timed = |field: &str| at.field(name).and_then(|medium| medium.get(field)).is_some();
        timed("mincpmpersec") || timed("durfloors")
    });
    let has_deals = at.field("pmp").and_then(|pmp| pmp.get("deals")).is_some();
    let unreadable = |given: &Value| given.as_str().is_none_or(|code| currency_of(code).is_none());
    let Some(given) = at.field("bidfloorcur").filter(|given| unreadable(given)) else { return };
    // An empty text is absent.
    if given.as_str() == Some("") {
        return;
    }
    let matters = (floor.is_some_and(|floor| floor > Cpm(0)) || durations) && !has_deals;
    let rule = if matters { &rules::FLOOR_CURRENCY_UNREADABLE } else { &rules::CURRENCY_ODD };
    findings.add(rule, &at.path.key("bidfloorcur"), format!("is {}, which is no currency", shown(given)));
}

pub(super) fn currency_of(code: &str) -> Option<Currency> {
    Currency::parse(code.trim())
}

/// A floor; an unreadable one is noted by the rule.
pub(super) fn floor_of(
    at: &At<'_>,
    name: &str,
    rule: &'static crate::cli::check::finding::Rule,
    findings: &mut Findings,
) -> Option<Cpm> {
    let given = at.field(name)?;
    let path = at.path.key(name);
    match price(Some(given))? {
        Ok(price) => {
            let loose = given.is_string();
            let what = || format!("is {} where a number is specified", shown(given));
            findings.add_if(loose, &rules::TYPE_LOOSE, &path, what);
            Some(price)
        }
        Err(_) => {
            findings.add(rule, &path, format!("is {}, which is no price", shown(given)));
            None
        }
    }
}

fn quantity(at: &At<'_>, findings: &mut Findings) {
    let Some(qty) = at.field("qty") else { return };
    let readable = match price(qty.get("multiplier").filter(|given| !given.is_null())) {
        Some(Ok(multiplier)) => multiplier > Cpm(0),
        _ => false,
    };
    let path: Path<'_> = at.path.key("qty");
    findings.add_if(!readable, &rules::MULTIPLIER_UNREADABLE, &path, || match qty.get("multiplier") {
        Some(given) => format!("has the multiplier {}", shown(given)),
        None => "has no multiplier".to_owned(),
    });
}

fn times(at: &At<'_>, findings: &mut Findings) {
    if let Some(given) = at.field("exp").filter(|given| positive(Some(given)).is_none()) {
        findings.add(&rules::EXPIRY_ODD, &at.path.key("exp"), format!("is {}", shown(given)));
    }
    let past_1970 = |given: &Value| int(Some(given)).is_some_and(|ms| ms > 0);
    if let Some(given) = at.field("dt").filter(|given| !past_1970(given)) {
        findings.add(&rules::TIME_ODD, &at.path.key("dt"), format!("is {}", shown(given)));
    }
}
