//! Why the demo's line item for everybody else may not be shown in an impression: read from the JSON alone, by rules
//! written down a second time, so that the engine is not measured by its own yardstick. What is left over is what a
//! bidder with this account should bid on.

use crate::judge::read::{currency, field, flag, list, number, numbers, text};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What the line item for everybody else brings.
pub(crate) struct Offer {
    /// Sizes of its creatives.
    pub(crate) sizes: BTreeSet<(i64, i64)>,
    /// CPM in US dollars.
    pub(crate) price: f64,
    /// US dollars for one unit of each currency that has a rate.
    pub(crate) rates: BTreeMap<String, f64>,
    pub(crate) seat: &'static str,
    pub(crate) domain: &'static str,
    pub(crate) category: &'static str,
    pub(crate) language: &'static str,
    pub(crate) banner_type: i64,
    /// Seconds that money is held at most, beyond what the request asks for.
    pub(crate) max_exp_s: f64,
    /// Largest `qty.multiplier`.
    pub(crate) max_multiplier: f64,
}

/// Why none of the request's banners may be filled: the reason of the banner that fails last in the order of the
/// checks. `Ok` when one may be.
pub(crate) fn may_fill(request: &Value, offer: &Offer) -> Result<(), &'static str> {
    of_request(request, offer)?;
    let imps = field(request, "imp").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let each = imps.iter().filter(|imp| field(imp, "banner").is_some_and(Value::is_object));
    let mut furthest: Option<(usize, &'static str)> = None;
    for imp in each {
        match of_imp(request, imp, offer) {
            None => return Ok(()),
            Some(failed) if furthest.is_none_or(|(step, _)| step < failed.0) => furthest = Some(failed),
            Some(_) => {}
        }
    }
    Err(furthest.map_or("no banner", |(_, reason)| reason))
}

/// Whether the request offers a banner at all.
pub(crate) fn has_banner(request: &Value) -> bool {
    let imps = field(request, "imp").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    imps.iter().any(|imp| field(imp, "banner").is_some_and(Value::is_object))
}

fn of_request(request: &Value, offer: &Offer) -> Result<(), &'static str> {
    let channels =
        ["site", "app", "dooh"].iter().filter(|name| field(request, name).is_some_and(Value::is_object));
    let imps = field(request, "imp").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let ids: Vec<String> = imps.iter().filter_map(|imp| text(field(imp, "id"))).collect();
    let allowed = list(field(request, "cur"));
    let rated = |code: &String| offer.rates.contains_key(&code.trim().to_ascii_uppercase());
    let (wseat, bseat) = (list(field(request, "wseat")), list(field(request, "bseat")));
    let dsa = number(request.pointer("/regs/ext/dsa/dsarequired"));
    let checks = [
        (channels.count() > 1, "several of site, app and dooh"),
        (ids.iter().collect::<BTreeSet<_>>().len() != ids.len(), "equal impression ids"),
        (!allowed.is_empty() && !allowed.iter().any(rated), "no allowed currency has a rate"),
        (!wseat.is_empty() && !wseat.iter().any(|seat| seat == offer.seat), "wseat: the seat is not in it"),
        (bseat.iter().any(|seat| seat == offer.seat), "bseat: the seat is in it"),
        (dsa == Some(2.0) || dsa == Some(3.0), "a DSA object is required"),
    ];
    checks.iter().find(|(failed, _)| *failed).map_or(Ok(()), |(_, reason)| Err(*reason))
}

/// The first check that an impression fails, with its place in the order.
fn of_imp(request: &Value, imp: &Value, offer: &Offer) -> Option<(usize, &'static str)> {
    let banner = field(imp, "banner")?;
    let sizes = sizes(banner);
    let mimes = list(field(banner, "mimes"));
    let exp = number(field(imp, "exp")).unwrap_or(0.0);
    let checks = [
        (text(field(imp, "id")).is_none_or(|id| id.is_empty()), "the impression has no id"),
        (sizes.is_empty(), "no size at all"),
        (!sizes.iter().any(|size| offer.sizes.contains(size)), "no creative of an offered size"),
        (!languages_allow(request, offer), "wlang: the language is not in it"),
        (!categories_allow(request, offer), "bcat or acat: insurance is blocked or not in it"),
        (
            list(field(request, "badv")).iter().any(|domain| is_under(offer.domain, domain)),
            "badv: the advertiser is in it",
        ),
        (
            numbers(field(banner, "btype")).contains(&offer.banner_type),
            "btype: banners of markup are blocked",
        ),
        (!mimes.is_empty() && !mimes.iter().any(|mime| is_html(mime)), "mimes: HTML is not in it"),
        (flag(imp.pointer("/pmp/private_auction")) == Some(true), "private auction without a deal of ours"),
        (!multiplier_allows(imp, offer), "qty.multiplier is unusable or too large"),
        (exp > offer.max_exp_s, "exp is longer than money is held"),
        (!floor_allows(imp, offer), "the floor is above the price, or unreadable"),
    ];
    checks.iter().enumerate().find(|(_, (failed, _))| *failed).map(|(step, (_, reason))| (step, *reason))
}

/// Whole sizes in pixels, of `format` where it has any, else of the banner itself.
fn sizes(banner: &Value) -> BTreeSet<(i64, i64)> {
    let size = |value: &Value| {
        let side = |name| number(field(value, name)).filter(|side| *side >= 1.0 && side.fract() == 0.0);
        Some((side("w")? as i64, side("h")? as i64))
    };
    let formats = field(banner, "format").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let listed: BTreeSet<_> = formats.iter().filter_map(size).collect();
    if listed.is_empty() { size(banner).into_iter().collect() } else { listed }
}

fn languages_allow(request: &Value, offer: &Offer) -> bool {
    let allowed = [list(field(request, "wlang")), list(field(request, "wlangb"))].concat();
    let primary =
        |tag: &String| tag.split('-').next().unwrap_or_default().eq_ignore_ascii_case(offer.language);
    allowed.is_empty() || allowed.iter().any(primary)
}

fn categories_allow(request: &Value, offer: &Offer) -> bool {
    let (blocked, allowed) = (list(field(request, "bcat")), list(field(request, "acat")));
    if blocked.is_empty() && allowed.is_empty() {
        return true;
    }
    // Categories of another taxonomy cannot be compared with ours.
    if number(field(request, "cattax")).unwrap_or(1.0) != 1.0 {
        return false;
    }
    let (parent, _) = offer.category.split_once('-').unwrap();
    let names = |code: &String| [parent, offer.category].iter().any(|ours| code.eq_ignore_ascii_case(ours));
    !blocked.iter().any(names) && (allowed.is_empty() || allowed.iter().any(names))
}

fn is_under(domain: &str, parent: &str) -> bool {
    let parent = parent.trim().trim_end_matches('.').to_ascii_lowercase();
    !parent.is_empty() && (domain == parent || domain.ends_with(&format!(".{parent}")))
}

fn is_html(mime: &str) -> bool {
    mime.trim().to_ascii_lowercase().starts_with("text/html")
}

fn multiplier_allows(imp: &Value, offer: &Offer) -> bool {
    let Some(qty) = field(imp, "qty") else { return true };
    number(field(qty, "multiplier"))
        .is_some_and(|multiplier| multiplier > 0.0 && multiplier <= offer.max_multiplier)
}

/// Whether the price reaches the floor. It does not where the floor is negative or no number, or where its currency
/// has no rate.
fn floor_allows(imp: &Value, offer: &Offer) -> bool {
    let Some(given) = field(imp, "bidfloor") else { return true };
    let Some(floor) = number(Some(given)).filter(|floor| *floor >= 0.0) else { return false };
    let rate = offer.rates.get(&currency(field(imp, "bidfloorcur")));
    floor == 0.0 || rate.is_some_and(|rate| floor * rate <= offer.price)
}
