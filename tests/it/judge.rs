//! The exchange's side: an answer is judged against the request as an exchange would, from the JSON alone.
//!
//! Invariant: nothing here asks the engine what it meant; the request is read anew, odd types included, so that a
//! fault of the parser shows as a violation instead of being shared. Only notice tokens are read with the engine's
//! own code, because nobody else can. Deliberately absent: what a request leaves open (how high to bid, which
//! creative), and faults of the request itself.

mod cases;
mod lint;
mod media;
mod pods;
pub(crate) mod read;
mod rules;

use outbid::exchange::token::TokenKeys;
use read::{field, flag, list, number, text};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) use lint::{lint_pair, lint_request};

/// What an exchange knows about the bidder that it asked.
#[derive(Clone, Debug)]
pub(crate) struct JudgeContext<'a> {
    /// The seat that was agreed.
    pub(crate) our_seat: &'a str,
    /// Value of one unit of each currency in one common currency.
    pub(crate) rates: BTreeMap<&'a str, f64>,
    /// Every notice, pixel and click URL begins so.
    pub(crate) public_url: &'a str,
    /// Reads the tokens; `None` = only their shape is checked.
    pub(crate) keys: Option<&'a TokenKeys>,
    /// `burl` is the billing notice.
    pub(crate) burl: bool,
    /// `lurl` was asked for.
    pub(crate) lurl: bool,
    /// Banner ad type by `crid`, which an exchange knows from its review: see `btype`.
    pub(crate) banner_types: BTreeMap<String, i64>,
}

/// Every rule that `response` breaks as an answer to `request`; empty = a good answer. An answer without bids is
/// good when it is one of the four forms of a no-bid.
pub(crate) fn judge(request: &Value, response: &Value, context: &JudgeContext<'_>) -> Vec<String> {
    let mut violations = Vec::new();
    let seats = field(response, "seatbid").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if response.as_object().is_some_and(|object| object.is_empty()) {
        return violations;
    }
    if text(field(request, "id")) != field(response, "id").and_then(Value::as_str).map(str::to_owned) {
        violations.push("id: is not the request's".to_owned());
    }
    if seats.is_empty() {
        return violations;
    }
    judge_answer(request, response, context, &mut violations);
    let mut seen = Seen::default();
    pods::judge_pods(request, response, &mut violations);
    for seat in seats {
        judge_seat(request, seat, context, &mut violations);
        let bids = field(seat, "bid").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if bids.is_empty() {
            violations.push("seatbid: has no bid".to_owned());
        }
        for bid in bids {
            seen.judge(bid, pods::is_shared(request, bid), &mut violations);
            rules::judge_bid(request, response, bid, context, &mut violations);
        }
    }
    violations
}

/// The answer as a whole: whether there may be one at all, its id and currency.
fn judge_answer(request: &Value, response: &Value, context: &JudgeContext<'_>, violations: &mut Vec<String>) {
    let mut fail = |condition: bool, what: &str| {
        if condition {
            violations.push(what.to_owned());
        }
    };
    fail(field(response, "nbr").is_some(), "nbr: stands beside bids");
    let bidid = field(response, "bidid").and_then(Value::as_str);
    fail(bidid.is_none_or(str::is_empty), "bidid: is missing");
    let cur = read::currency(field(response, "cur"));
    let allowed = list(field(request, "cur"));
    let given = !allowed.is_empty();
    let allowed = if given { allowed } else { vec!["USD".to_owned()] };
    fail(!allowed.iter().any(|code| code.eq_ignore_ascii_case(&cur)), "cur: is not allowed");
    fail(!context.rates.contains_key(cur.as_str()), "cur: has no rate");
    let is_given = |name: &&&str| field(request, name).is_some_and(Value::is_object);
    let channels = ["site", "app", "dooh"].iter().filter(is_given).count();
    fail(channels > 1, "request: several of site, app and dooh are not bid on");
    let imps = list_of_ids(request);
    let distinct: BTreeSet<&String> = imps.iter().collect();
    fail(distinct.len() != imps.len(), "request: impressions with equal ids are not bid on");
}

fn list_of_ids(request: &Value) -> Vec<String> {
    let imps = field(request, "imp").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    imps.iter().filter_map(|imp| text(field(imp, "id"))).collect()
}

fn judge_seat(request: &Value, seat: &Value, context: &JudgeContext<'_>, violations: &mut Vec<String>) {
    let name = field(seat, "seat").and_then(Value::as_str).unwrap_or_default();
    if name != context.our_seat {
        violations.push(format!("seat: {name:?} is not ours"));
    }
    let allowed = list(field(request, "wseat"));
    if !allowed.is_empty() && !allowed.iter().any(|seat| seat == name) {
        violations.push("wseat: the seat is not in it".to_owned());
    }
    if list(field(request, "bseat")).iter().any(|seat| seat == name) {
        violations.push("bseat: the seat is in it".to_owned());
    }
    if flag(field(seat, "group")) == Some(true) && flag(field(request, "allimps")) != Some(true) {
        violations.push("group: only all or nothing was not asked for".to_owned());
    }
}

/// What must not come twice in an answer.
#[derive(Default)]
struct Seen {
    ids: BTreeSet<String>,
    offers: BTreeSet<(String, String)>,
}

impl Seen {
    /// `is_shared`: what the bid is for takes several ads.
    fn judge(&mut self, bid: &Value, is_shared: bool, violations: &mut Vec<String>) {
        let part = |name: &str| field(bid, name).and_then(Value::as_str).unwrap_or_default().to_owned();
        if part("id").is_empty() || !self.ids.insert(part("id")) {
            violations.push("bid.id: is missing or comes twice".to_owned());
        }
        if !is_shared && !self.offers.insert((part("impid"), part("dealid"))) {
            violations.push("impid: two bids for one impression and deal".to_owned());
        }
    }
}

/// The floor that a bid must reach and its currency, by OpenRTB's implementation guide section 7.11: a deal's own
/// floor in its own currency (USD where none is given, never the impression's), else that of the seconds which video
/// or audio takes, else the impression's. `stream` is the object that is bid on and the seconds of the bid.
pub(crate) fn effective_floor(
    imp: &Value,
    deal: Option<&Value>,
    stream: Option<(&Value, u32)>,
) -> (f64, String) {
    let of_deal = deal.and_then(|deal| {
        let timed = stream.and_then(|(_, seconds)| timed_floor(deal, seconds));
        Some((timed.or_else(|| plain_floor(deal))?, read::currency(field(deal, "bidfloorcur"))))
    });
    let of_imp = || {
        let timed = stream.and_then(|(object, seconds)| timed_floor(object, seconds));
        let floor = timed.or_else(|| plain_floor(imp)).unwrap_or(0.0);
        (floor, read::currency(field(imp, "bidfloorcur")))
    };
    of_deal.unwrap_or_else(of_imp)
}

/// `bidfloor`; what cannot be read is a floor that nobody reaches.
fn plain_floor(value: &Value) -> Option<f64> {
    field(value, "bidfloor").map(|floor| number(Some(floor)).unwrap_or(f64::INFINITY))
}

/// The floor of so many seconds: by the second, else of the range in `durfloors` that they are in.
fn timed_floor(value: &Value, seconds: u32) -> Option<f64> {
    if let Some(a_second) = number(field(value, "mincpmpersec")).filter(|floor| *floor != 0.0) {
        return Some(a_second * f64::from(seconds));
    }
    let bound = |range: &Value, name: &str| number(field(range, name));
    let ranges = field(value, "durfloors").and_then(Value::as_array)?;
    let here = ranges.iter().find(|range| {
        bound(range, "mindur").is_none_or(|least| f64::from(seconds) >= least)
            && bound(range, "maxdur").is_none_or(|most| f64::from(seconds) <= most)
    });
    here.map(|range| plain_floor(range).unwrap_or(0.0))
}
