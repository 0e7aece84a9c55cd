//! The checks of an answer: alone, and against its request where there is one.
//!
//! Invariant: nothing here asks the engine what it meant; an answer of any bidder is judged as an exchange would.
//! Deliberately absent: what only the exchange knows (its reviews, the types of banners, what was agreed outside).

mod bid;
mod lists;
mod macros;
mod markup;
mod native;
mod price;
pub(super) mod rules;
mod stream;

use super::finding::{Finding, Findings};
use super::read::{At, Path, field, flag, int, objects, shown, text, texts};
use super::shape::{Check, Shape};
use crate::model::money::Currency;
use crate::model::rates::Rates;
use bid::Bid;
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// What an answer is judged with.
#[derive(Clone, Copy)]
pub(super) struct Against<'a> {
    /// The request that it answers.
    pub(super) request: Option<&'a Value>,
    /// Exchange rates, for floors in other currencies.
    pub(super) rates: Option<&'a Rates>,
}

/// Checks the body of an answer.
pub(super) fn check(body: &[u8], against: Against<'_>) -> (Vec<Finding>, Option<Value>) {
    let mut findings = Findings::default();
    // Status 204 has no body.
    if body.is_empty() {
        return (Vec::new(), None);
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(answer @ Value::Object(_)) => {
            whole(&answer, against, &mut findings);
            (findings.finish(), Some(answer))
        }
        Ok(other) => {
            let what = format!("is {} and no object", shown(&other));
            findings.add(&rules::ANSWER_UNREADABLE, &Path::Root, what);
            (findings.finish(), None)
        }
        Err(error) => {
            findings.add(&rules::ANSWER_UNREADABLE, &Path::Root, format!("is no JSON: {error}"));
            (findings.finish(), None)
        }
    }
}

static SHAPE: Shape = Shape {
    loose: &rules::TYPE_LOOSE,
    unreadable: &rules::TYPE_WRONG,
    unreadable_rule: &rules::TYPE_WRONG,
    unknown_field: &rules::FIELD_UNKNOWN,
    unknown_value: &rules::VALUE_UNKNOWN,
    deprecated: &rules::DEPRECATED,
    null: &rules::NULL,
    checks: no_checks,
};

fn no_checks(_: &str) -> &'static [Check] {
    &[]
}

fn whole(answer: &Value, against: Against<'_>, findings: &mut Findings) {
    let root = Path::Root;
    // `{}` is one of the four ways not to bid.
    if answer.as_object().is_some_and(serde_json::Map::is_empty) {
        return;
    }
    SHAPE.walk(&At { message: "BidResponse", value: answer, path: &root, outer: None }, findings);
    identity(answer, against, findings);
    let seats = field(answer, "seatbid");
    let has_bids = objects(seats).any(|(_, seat)| objects(field(seat, "bid")).next().is_some());
    if let Some(nbr) = field(answer, "nbr") {
        let path = root.key("nbr");
        findings.add_if(has_bids, &rules::NBR_WITH_BIDS, &path, || format!("is {} beside bids", shown(nbr)));
        let known = int(Some(nbr)).is_some_and(|nbr| (0..=17).contains(&nbr) || nbr >= 500);
        findings
            .add_if(!known, &rules::NBR_UNKNOWN, &path, || format!("is {}, which is no code", shown(nbr)));
    }
    let cur = currency(answer, against, has_bids, findings);
    let mut seen = Seen::default();
    let list = root.key("seatbid");
    for (index, seat) in objects(seats) {
        let path = list.index(index);
        check_seat(seat, &path, against, findings);
        let bids = path.key("bid");
        for (index, value) in objects(field(seat, "bid")) {
            let path = bids.index(index);
            seen.judge(value, &path, findings);
            let bid = Bid::new(value, &path, seat, cur, against);
            bid.check(findings);
            seen.pods.add(&bid);
        }
    }
    seen.pods.judge(&root, findings);
}

fn identity(answer: &Value, against: Against<'_>, findings: &mut Findings) {
    let path = Path::Key(&Path::Root, "id");
    let Some(id) = text(field(answer, "id")) else {
        return findings.add(&rules::ANSWER_ID_MISSING, &path, "is missing");
    };
    let asked = against.request.and_then(|request| text(field(request, "id")));
    if let Some(asked) = asked.filter(|asked| *asked != id) {
        findings.add(&rules::ANSWER_ID_OTHER, &path, format!("is {id:?}, the request's is {asked:?}"));
    }
}

/// The currency of the bids, where it can be read.
fn currency(
    answer: &Value,
    against: Against<'_>,
    has_bids: bool,
    findings: &mut Findings,
) -> Option<Currency> {
    let path = Path::Key(&Path::Root, "cur");
    let cur = match field(answer, "cur") {
        None => Some(Currency::USD),
        Some(given) => given.as_str().and_then(Currency::parse),
    };
    let Some(cur) = cur else {
        let what = format!("is {}, which is no currency", shown(&answer["cur"]));
        findings.add(&rules::CUR_UNREADABLE, &path, what);
        return None;
    };
    let request = against.request.filter(|_| has_bids)?;
    let given = texts(field(request, "cur"));
    let allowed = if given.is_empty() { vec!["USD".to_owned()] } else { given };
    if !allowed.iter().any(|code| Currency::parse(code.trim()) == Some(cur)) {
        findings.add(&rules::CUR_NOT_ALLOWED, &path, format!("is {cur}; allowed is {}", allowed.join(", ")));
    }
    Some(cur)
}

fn check_seat(seat: &Value, path: &Path<'_>, against: Against<'_>, findings: &mut Findings) {
    let none = objects(field(seat, "bid")).next().is_none();
    findings.add_if(none, &rules::BIDS_MISSING, &path.key("bid"), || "has no bid");
    let name = text(field(seat, "seat"));
    findings.add_if(name.is_none(), &rules::SEAT_MISSING, &path.key("seat"), || "is missing");
    let Some(request) = against.request else { return };
    let name = name.unwrap_or_default();
    let (allowed, blocked) = (texts(field(request, "wseat")), texts(field(request, "bseat")));
    let here = path.key("seat");
    findings.add_if(!allowed.is_empty() && !allowed.contains(&name), &rules::SEAT_NOT_ALLOWED, &here, || {
        format!("is {name:?}; wseat allows {}", allowed.join(", "))
    });
    findings
        .add_if(blocked.contains(&name), &rules::SEAT_BLOCKED, &here, || format!("is {name:?}, in bseat"));
    let grouped = flag(field(seat, "group")) == Some(true);
    let asked = flag(field(request, "allimps")) == Some(true);
    findings.add_if(grouped && !asked, &rules::GROUP_UNASKED, &path.key("group"), || "is 1 without allimps");
}

/// What all bids of an answer share.
#[derive(Default)]
struct Seen {
    ids: HashSet<String>,
    pods: Pods,
}

impl Seen {
    fn judge(&mut self, bid: &Value, path: &Path<'_>, findings: &mut Findings) {
        let here = path.key("id");
        match text(field(bid, "id")) {
            None => findings.add(&rules::BID_ID_MISSING, &here, "is missing"),
            Some(id) => {
                let twice = self.ids.contains(&id);
                findings.add_if(twice, &rules::BID_ID_TWICE, &here, || format!("is {id:?} a second time"));
                self.ids.insert(id);
            }
        }
    }
}

/// What the dynamic pods of a request are filled with, by impression.
#[derive(Default)]
struct Pods(HashMap<String, Pod>);

struct Pod {
    ads: u32,
    seconds: u32,
    most_ads: Option<u32>,
    most_seconds: u32,
}

impl Pods {
    /// A bid on a deal competes with the open ones for the same slot, so that it does not add up.
    fn add(&mut self, bid: &Bid<'_>) {
        let Some((offer, most_seconds)) = bid.dynamic_pod().filter(|_| bid.deal_id.is_none()) else { return };
        let most_ads = super::read::positive(field(offer, "maxseq"));
        let fresh = Pod { ads: 0, seconds: 0, most_ads, most_seconds };
        let pod = self.0.entry(bid.imp_id.clone().unwrap_or_default()).or_insert(fresh);
        pod.ads += 1;
        pod.seconds += bid.seconds().unwrap_or(0);
    }

    fn judge(&self, path: &Path<'_>, findings: &mut Findings) {
        let path = path.key("seatbid");
        for (imp, pod) in &self.0 {
            let Pod { ads, seconds, most_ads, most_seconds } = pod;
            let crowded = most_ads.is_some_and(|most| *ads > most);
            findings.add_if(crowded || seconds > most_seconds, &rules::POD_FULL, &path, || {
                format!("fills the pod of impression {imp:?} with {ads} ads of {seconds} seconds in all")
            });
        }
    }
}
