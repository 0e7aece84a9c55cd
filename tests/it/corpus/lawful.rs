//! Why nothing of what the demo brings for a medium may be shown in an impression: read from the JSON alone, by rules
//! written down a second time, so that the engine is not measured by its own yardstick. What is left over is what a
//! bidder with this account should bid on.
//!
//! Only the account is taken as it is: sizes, files and assets of the ads, prices, rates, the exchange's terms.

mod banner;
mod native;
mod stream;

use crate::judge::effective_floor;
use crate::judge::read::{field, flag, list, number, text};
use outbid::model::account::Account;
use outbid::model::creative::Content;
use outbid::model::line_item::{ChannelKind, LineItem};
use outbid::model::targeting::{MediaType, Targeting};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What the demo brings for one medium.
pub(crate) struct Offer {
    /// Name of the medium's object.
    pub(crate) medium: &'static str,
    lines: Vec<Line>,
    /// US dollars for one unit of each currency that has a rate.
    rates: BTreeMap<String, f64>,
    seat: &'static str,
    domain: &'static str,
    category: &'static str,
    language: &'static str,
    /// Seconds that money is held at most, beyond what the request asks for.
    max_exp_s: f64,
    /// Largest `qty.multiplier`.
    max_multiplier: f64,
    now_ms: f64,
}

/// A line item for everybody.
struct Line {
    /// CPM in US dollars.
    price: f64,
    /// Places that it is not for.
    not_in: Vec<&'static str>,
    ads: Vec<Content>,
}

/// Whether a condition of the medium is broken, and what to say of it then.
type Check = (bool, &'static str);

/// The media in the order of their numbers, with the names of their objects.
pub(crate) const MEDIA: [(MediaType, &str); 4] = [
    (MediaType::Banner, "banner"),
    (MediaType::Video, "video"),
    (MediaType::Audio, "audio"),
    (MediaType::Native, "native"),
];

/// Leaves of an account what it brings for one medium: the line items for everybody that have ads of it, with these ads.
pub(crate) fn keep_only(account: &mut Account, medium: MediaType) {
    let of_medium: BTreeSet<_> =
        account.creatives.iter().filter(|c| c.media_type() == medium).map(|creative| creative.id).collect();
    for line in &mut account.line_items {
        line.creatives.retain(|assigned| of_medium.contains(&assigned.creative));
    }
    account.line_items.retain(|line| line.targeting == Targeting::default() && !line.creatives.is_empty());
}

impl Offer {
    /// What an account brings of which [`keep_only`] left one medium.
    pub(crate) fn of(account: &Account, (medium, name): (MediaType, &'static str), now_ms: i64) -> Offer {
        let content = |id| &account.creatives.iter().find(|creative| creative.id == id).unwrap().content;
        let line = |line: &LineItem| Line {
            price: line.bid.0 as f64 / 1e6,
            not_in: line.multipliers.channels.iter().filter(|(_, ppm)| *ppm == 0).map(channel).collect(),
            ads: line.creatives.iter().map(|assigned| content(assigned.creative).clone()).collect(),
        };
        let lines: Vec<Line> = account.line_items.iter().map(line).collect();
        assert!(!lines.is_empty(), "the demo has nothing for {medium:?}");
        let profile = &account.exchanges[0];
        Offer {
            medium: name,
            lines,
            rates: account.rates.iter().map(|(code, rate)| (code.to_string(), rate.0 as f64 / 1e9)).collect(),
            seat: "harbour",
            domain: "harbour-mutual.example",
            category: "IAB13-6",
            language: "en",
            max_exp_s: f64::from(profile.holds.max_s - profile.holds.grace_s),
            max_multiplier: profile.max_multiplier_ppm as f64 / 1e6,
            now_ms: now_ms as f64,
        }
    }
}

fn channel((kind, _): &(ChannelKind, i64)) -> &'static str {
    match kind {
        ChannelKind::Site => "site",
        ChannelKind::App => "app",
        ChannelKind::Dooh => "dooh",
    }
}

/// The impressions that offer a medium.
pub(crate) fn offering<'v>(request: &'v Value, medium: &str) -> impl Iterator<Item = &'v Value> {
    imps(request).iter().filter(move |imp| field(imp, medium).is_some_and(Value::is_object))
}

/// Why nothing may be shown in any of the request's impressions: the reason of the impression and the ad that fail
/// last in the order of the checks. `Ok` when something may be.
pub(crate) fn may_fill(request: &Value, offer: &Offer) -> Result<(), &'static str> {
    of_request(request, offer)?;
    let mut furthest: Option<(usize, &'static str)> = None;
    for imp in offering(request, offer.medium) {
        let ads = offer.lines.iter().flat_map(|line| line.ads.iter().map(move |ad| (line, ad)));
        for (line, ad) in ads {
            match of_imp(request, imp, offer, line, ad) {
                None => return Ok(()),
                Some(failed) if furthest.is_none_or(|(step, _)| step < failed.0) => furthest = Some(failed),
                Some(_) => {}
            }
        }
    }
    Err(furthest.map_or("the medium is not offered", |(_, reason)| reason))
}

fn imps(request: &Value) -> &[Value] {
    field(request, "imp").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The place that is on sale, by the name of its object.
fn places(request: &Value) -> Vec<&'static str> {
    let given = |name: &&str| field(request, name).is_some_and(Value::is_object);
    ["site", "app", "dooh"].into_iter().filter(given).collect()
}

fn of_request(request: &Value, offer: &Offer) -> Result<(), &'static str> {
    let ids: Vec<String> = imps(request).iter().filter_map(|imp| text(field(imp, "id"))).collect();
    let allowed = list(field(request, "cur"));
    let rated = |code: &String| offer.rates.contains_key(&code.trim().to_ascii_uppercase());
    let (wseat, bseat) = (list(field(request, "wseat")), list(field(request, "bseat")));
    let dsa = number(request.pointer("/regs/ext/dsa/dsarequired"));
    let checks = [
        (places(request).len() > 1, "several of site, app and dooh"),
        (ids.iter().collect::<BTreeSet<_>>().len() != ids.len(), "equal impression ids"),
        (!allowed.is_empty() && !allowed.iter().any(rated), "no allowed currency has a rate"),
        (!wseat.is_empty() && !wseat.iter().any(|seat| seat == offer.seat), "wseat: the seat is not in it"),
        (bseat.iter().any(|seat| seat == offer.seat), "bseat: the seat is in it"),
        (dsa == Some(2.0) || dsa == Some(3.0), "a DSA object is required"),
    ];
    checks.iter().find(|(failed, _)| *failed).map_or(Ok(()), |(_, reason)| Err(*reason))
}

/// The first check that an ad fails in an impression, with its place in the order.
fn of_imp(
    request: &Value,
    imp: &Value,
    offer: &Offer,
    line: &Line,
    ad: &Content,
) -> Option<(usize, &'static str)> {
    let object = field(imp, offer.medium)?;
    let (of_medium, seconds) = match ad {
        Content::Banner(ad) => (banner::checks(object, ad), None),
        Content::Video(ad) | Content::Audio(ad) => (stream::checks(object, ad), Some(ad.duration_s)),
        Content::Native(ad) => (native::checks(object, ad), None),
    };
    let exp = number(field(imp, "exp")).unwrap_or(0.0);
    let shown_in_s = (number(field(imp, "dt")).unwrap_or(0.0) - offer.now_ms) / 1_000.0;
    let before = [
        (text(field(imp, "id")).is_none_or(|id| id.is_empty()), "the impression has no id"),
        (
            places(request).iter().any(|place| line.not_in.contains(place)),
            "the line item is not for this kind of place",
        ),
    ];
    let after = [
        (!languages_allow(request, offer), "wlang: the language is not in it"),
        (!categories_allow(request, offer), "bcat or acat: insurance is blocked or not in it"),
        (
            list(field(request, "badv")).iter().any(|domain| is_under(offer.domain, domain)),
            "badv: the advertiser is in it",
        ),
        (flag(imp.pointer("/pmp/private_auction")) == Some(true), "private auction without a deal of ours"),
        (!multiplier_allows(imp, offer), "qty.multiplier is unusable or too large"),
        (exp.max(shown_in_s) > offer.max_exp_s, "exp or dt: longer than money is held"),
        (
            !floor_allows(imp, object, seconds, line.price, offer),
            "the floor is above the price, or unreadable",
        ),
    ];
    let mut checks = before.into_iter().chain(of_medium).chain(after).enumerate();
    checks.find(|(_, (failed, _))| *failed).map(|(step, (_, reason))| (step, reason))
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

/// Whether a list of content types has this one, whatever its case and parameters.
fn has_mime(mimes: &[String], ours: &str) -> bool {
    let plain = |mime: &String| mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    mimes.iter().any(|mime| plain(mime) == ours)
}

/// A number that says something: sizes, times and rates of 0 and below are how sellers write "not given".
fn given(object: &Value, name: &str) -> Option<f64> {
    number(field(object, name)).filter(|number| *number > 0.0)
}

fn multiplier_allows(imp: &Value, offer: &Offer) -> bool {
    let Some(qty) = field(imp, "qty") else { return true };
    number(field(qty, "multiplier"))
        .is_some_and(|multiplier| multiplier > 0.0 && multiplier <= offer.max_multiplier)
}

/// Whether the price reaches the floor. It does not where the floor is negative or no number, or where its currency
/// has no rate.
fn floor_allows(imp: &Value, object: &Value, seconds: Option<u32>, price: f64, offer: &Offer) -> bool {
    let (floor, currency) = effective_floor(imp, None, seconds.map(|seconds| (object, seconds)));
    floor == 0.0 || floor > 0.0 && offer.rates.get(&currency).is_some_and(|rate| floor * rate <= price)
}
