//! Deals: whether one can be bid on, and at what price.

use super::imp::{currency_of, floor_of};
use super::{media, rules};
use crate::cli::check::finding::Findings;
use crate::cli::check::read::{At, field, flag, int, objects, shown, text};
use crate::cli::check::shape::Check;
use crate::model::money::Cpm;

pub(super) const DEAL: &[Check] = &[identity, price];

/// `pmp`: a private auction needs a deal, and each deal terms that are certain.
pub(super) fn private(at: &At<'_>, findings: &mut Findings) {
    let ids: Vec<String> =
        objects(at.field("deals")).filter_map(|(_, deal)| text(field(deal, "id"))).collect();
    let private = flag(at.field("private_auction")) == Some(true);
    findings.add_if(
        private && ids.is_empty(),
        &rules::PRIVATE_WITHOUT_DEALS,
        at.path,
        || "allows bids on deals alone and lists none",
    );
    for (index, deal) in objects(at.field("deals")) {
        let id = text(field(deal, "id"));
        if id.is_some_and(|id| ids.iter().filter(|other| **other == id).count() > 1) {
            let path = at.path.key("deals");
            findings.add(&rules::DEAL_TWICE, &path.index(index), "has an id that comes more than once");
        }
    }
}

fn identity(at: &At<'_>, findings: &mut Findings) {
    let path = at.path.key("id");
    match at.field("id") {
        None => findings.add(&rules::DEAL_ID_MISSING, &path, "is missing"),
        Some(id) if text(Some(id)).is_none() => {
            findings.add(&rules::DEAL_ID_MISSING, &path, format!("is {}", shown(id)));
        }
        Some(_) => {}
    }
}

fn price(at: &At<'_>, findings: &mut Findings) {
    let floor = floor_of(at, "bidfloor", &rules::DEAL_FLOOR_UNREADABLE, findings);
    media::timed_floors(at, &rules::DEAL_FLOOR_UNREADABLE, findings);
    let timed = ["mincpmpersec", "durfloors"].into_iter().any(|name| at.field(name).is_some());
    let has_floor = timed || floor.is_some_and(|floor| floor > Cpm(0));
    let path = at.path.key("bidfloorcur");
    match at.field("bidfloorcur").filter(|given| given.as_str() != Some("")) {
        Some(given) if given.as_str().is_none_or(|code| currency_of(code).is_none()) => {
            let rule = if has_floor { &rules::DEAL_CURRENCY_UNREADABLE } else { &rules::CURRENCY_ODD };
            findings.add(rule, &path, format!("is {}, which is no currency", shown(given)));
        }
        None if has_floor => {
            let of_imp = at.within("Imp").and_then(|imp| text(imp.field("bidfloorcur")));
            let other = of_imp.filter(|code| !code.eq_ignore_ascii_case("USD"));
            findings.add(
                &rules::DEAL_CURRENCY_UNSAID,
                &path,
                match other {
                    Some(code) => {
                        format!("is missing: the floor is in USD and not in the impression's {code}")
                    }
                    None => "is missing: the floor is in USD".to_owned(),
                },
            );
        }
        _ => {}
    }
    let fixed = int(at.field("at")) == Some(3);
    let no_price = at.field("bidfloor").is_none() || floor == Some(Cpm(0));
    findings.add_if(
        fixed && no_price && !timed,
        &rules::DEAL_PRICE_MISSING,
        at.path,
        || "has a fixed price (at 3) and no bidfloor that would be it",
    );
}
