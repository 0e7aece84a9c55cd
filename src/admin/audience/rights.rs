//! What people may ask: to be forgotten, and to see what is kept of them.
//!
//! Both find, from any of somebody's identifiers, the others that links and ties lead to. The record of such a call says
//! that somebody was erased or shown and how much it was, and never who.

use super::member::{bytes_of_hex, refuse_raw};
use super::{People, unkept};
use crate::admin::audit;
use crate::admin::call::{Call, Reply, Who};
use crate::admin::problem::{FieldError, Problem};
use crate::admin::shape::moment;
use crate::admin::state::Inner;
use crate::admin::tenants;
use crate::audience::{IdKey, IdKind, Kept, Membership, Origin};
use crate::model::ids::UserKey;
use crate::model::money::Nanos;
use crate::serve::ForgottenEverywhere;
use hyper::StatusCode;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Sorts of identifiers.
pub(super) const TYPES: [&str; 6] = ["cookie", "ifa", "email_sha256", "phone_sha256", "eid", "exchange"];
/// Most identifiers of one call.
pub(super) const MAX_IDS: usize = 100;

/// `POST /v1/people:erase`.
pub(super) fn erase(inner: &Arc<Inner>, call: Call) -> Result<Reply, Problem> {
    let People { store, forget, .. } = super::people(inner)?;
    let keys = keys(inner, store.id_key(), &call)?;
    let who = call.who();
    call.parameters.finish("no parameter")?;
    let now = inner.clock.now();
    let ForgottenEverywhere { people, contacts } = forget(&keys).map_err(|why| unkept(&why))?;
    inner.counts.forget();
    let receipt = json!({
        "id": format!("erasure-{}", who.request_id), "erased_at": moment(now.unix_ms), "keys": people.keys,
        "memberships": people.erased.memberships, "links": people.erased.links, "traces": people.erased.traces,
        "contacts": contacts,
    });
    record(inner, who, "erase", &receipt)?;
    Ok(Reply::new(StatusCode::OK, receipt))
}

/// `POST /v1/people:export`.
pub(super) fn export(inner: &Arc<Inner>, call: Call) -> Result<Reply, Problem> {
    let People { store, plan, contacts, frequency, .. } = super::people(inner)?;
    let keys = keys(inner, store.id_key(), &call)?;
    let who = call.who();
    call.parameters.finish("no parameter")?;
    let now = inner.clock.now();
    let kin = store.index().kin(&keys);
    let mut shown = Shown::new(inner);
    for key in &kin {
        for membership in store.index().memberships(*key, now.unix_s()) {
            shown.membership(&membership);
        }
        shown.kept(&store.kept_of(*key, &plan, now.unix_s()));
        shown.impressions.extend(frequency.export(*key).into_iter().map(|(scope, total, times)| {
            let (level, id) = scope.parts();
            let last: Vec<Value> = times.iter().map(|at| seconds((*at).into())).collect();
            json!({ "of": level, "id": id.to_string(), "impressions": total, "last": last })
        }));
    }
    // Of the identifiers that were brought along alone: an address that they are tied to may be another person's.
    let mut reached = Vec::new();
    for key in &keys {
        let own = contacts.of(*key).map_err(|why| unread(&why))?;
        reached.extend(own.into_iter().map(|of| {
            json!({
                "account_id": of.account.to_string(), "channel": of.channel.as_str(),
                "consent": if of.is_given { "given" } else { "withdrawn" }, "consent_at": seconds(of.at_s),
                "expires_at": of.expires_s.map(seconds),
            })
        }));
    }
    let ties = store.index().ties_among(&kin);
    let kinds = [
        ("exchange_id", ties.exchange_ids),
        ("hashed_address", ties.addresses),
        ("browser_or_device", ties.devices),
    ];
    let links: Vec<Value> = (kinds.iter().filter(|(_, count)| *count > 0))
        .map(|(kind, count)| json!({ "kind": kind, "count": count }))
        .collect();
    let Shown { segments, interests, counts, customers, touches, impressions, .. } = shown;
    let (many, kept) = (segments.len(), interests.len() + counts.len() + customers.len() + touches.len());
    record(
        inner,
        who,
        "export",
        &json!({ "keys": kin.len(), "memberships": many, "traces": kept, "contacts": reached.len() }),
    )?;
    let body = json!({
        "exported_at": moment(now.unix_ms), "segments": segments, "interests": interests, "counts": counts,
        "customers": customers, "touches": touches, "impressions": impressions, "links": links,
        "contacts": reached,
    });
    Ok(Reply::new(StatusCode::OK, body))
}

/// What is shown of somebody.
struct Shown {
    names: HashMap<u32, (u32, String)>,
    segments: Vec<Value>,
    interests: Vec<Value>,
    counts: Vec<Value>,
    customers: Vec<Value>,
    touches: Vec<Value>,
    /// Counted for frequency caps.
    impressions: Vec<Value>,
}

impl Shown {
    fn new(inner: &Inner) -> Shown {
        let editor = inner.editor.lock();
        Shown {
            names: editor.segments().map(|(of, segment)| (segment.id.0, (of, segment.key.clone()))).collect(),
            segments: Vec::new(),
            interests: Vec::new(),
            counts: Vec::new(),
            customers: Vec::new(),
            touches: Vec::new(),
            impressions: Vec::new(),
        }
    }

    /// A segment by its id, its key, and the account that it belongs to.
    fn named(&self, id: u32) -> Map<String, Value> {
        let (account, key) = match self.names.get(&id) {
            Some((account, key)) => (Some(account.to_string()), Some(key.clone())),
            None => (None, None),
        };
        let named =
            [("segment_id", json!(id.to_string())), ("key", json!(key)), ("account_id", json!(account))];
        named.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn membership(&mut self, membership: &Membership) {
        let origin = match membership.origin {
            Origin::FirstParty => "first_party",
            Origin::Partner => "partner",
            Origin::Observed => "observed",
            Origin::Inferred => "inferred",
        };
        let mut shown = self.named(membership.segment.0);
        shown.insert("expires_at".to_owned(), membership.expires_s.map(seconds).into());
        shown.insert("origin".to_owned(), origin.into());
        shown.insert("explicit_consent".to_owned(), membership.explicit_consent.into());
        self.segments.push(shown.into());
    }

    fn kept(&mut self, kept: &Kept) {
        for (segment, score) in &kept.interests {
            let mut shown = self.named(segment.0);
            let score = score.map(|score| (score * 1e3).round() / 1e3);
            shown.insert("score".to_owned(), json!(score));
            self.interests.push(shown.into());
        }
        for (segment, times) in &kept.counts {
            let mut shown = self.named(segment.0);
            shown.insert("at".to_owned(), times.iter().map(|at| seconds((*at).into())).collect());
            self.counts.push(shown.into());
        }
        for customer in &kept.customers {
            let spend = i64::try_from(customer.value_micros).unwrap_or(i64::MAX).saturating_mul(1_000);
            self.customers.push(json!({
                "advertiser_id": customer.advertiser.to_string(), "purchases": customer.purchases,
                "spend": Nanos(spend).to_string(), "first_purchase_at": seconds(customer.first_s.into()),
                "last_purchase_at": seconds(customer.last_s.into()),
            }));
        }
        for touch in &kept.touches {
            self.touches.push(json!({
                "line_item_id": touch.line_item.to_string(), "creative_id": touch.creative.to_string(),
                "clicked": touch.click, "at": seconds(touch.at_s.into()),
            }));
        }
    }
}

pub(super) fn unread(why: &dyn std::fmt::Display) -> Problem {
    tracing::error!(%why, "the contacts cannot be read");
    let detail = "the contacts cannot be read; the server's log says more";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the store failed", detail)
}

pub(super) fn seconds(at_s: i64) -> Value {
    moment(at_s.saturating_mul(1_000))
}

/// Records that it was done, and not to whom.
fn record(inner: &Inner, who: Who, action: &'static str, what: &Value) -> Result<(), Problem> {
    let about = audit::About { kind: "person", id: 0, account: tenants::PLATFORM, version: None };
    let what = what.clone();
    inner.change_aside(false, move |tx| audit::record(tx, &who, action, &about, (&json!({}), &what)))
}

/// The keys of a body `{"ids": [{"type": "cookie", "value": "…"}]}`.
fn keys(inner: &Inner, id_key: &IdKey, call: &Call) -> Result<Vec<UserKey>, Problem> {
    let mut object = call.object(&["application/json"])?;
    let given = object.remove("ids");
    let refuse = |pointer: &str, code, message: &str| {
        Err(Problem::invalid(vec![FieldError::new(pointer, code, message)]))
    };
    if !object.is_empty() {
        return refuse("", "malformed", "has a member that is not known; there is ids");
    }
    let Some(Value::Array(ids)) = given else {
        return refuse(
            "/ids",
            "missing",
            "is a list of identifiers, {\"type\": \"cookie\", \"value\": \"…\"}",
        );
    };
    if !(1..=MAX_IDS).contains(&ids.len()) {
        return refuse("/ids", "out_of_range", "has 1 to 100 identifiers of one person");
    }
    let (mut keys, mut errors) = (Vec::new(), Vec::new());
    for (at, id) in ids.iter().enumerate() {
        match key(inner, id_key, id) {
            Ok(key) => keys.push(key),
            Err((member, code, message)) => {
                errors.push(FieldError::new(format!("/ids/{at}{member}"), code, message));
            }
        }
    }
    if errors.is_empty() { Ok(keys) } else { Err(Problem::invalid(errors)) }
}

type Wrong = (&'static str, &'static str, String);

/// The key of one identifier; what is wrong with it does not repeat it.
fn key(inner: &Inner, id_key: &IdKey, id: &Value) -> Result<UserKey, Wrong> {
    let wrong = |member, code, message: &str| Err((member, code, message.to_owned()));
    let members: Option<BTreeMap<&str, &str>> = id.as_object().and_then(|object| {
        object.iter().map(|(name, value)| Some((name.as_str(), value.as_str()?.trim()))).collect()
    });
    let Some(mut members) = members else {
        return wrong("", "malformed", "is an object of texts: type, value, and source or exchange");
    };
    let sort = members.remove("type").unwrap_or_default();
    let value = members.remove("value").unwrap_or_default();
    let (source, exchange) = (members.remove("source"), members.remove("exchange"));
    if !members.is_empty() {
        return wrong(
            "",
            "malformed",
            "has a member that is not known; there are type, value, source, exchange",
        );
    }
    if !TYPES.contains(&sort) {
        return Err(("/type", "malformed", format!("is one of {}", TYPES.join(", "))));
    }
    if value.is_empty() {
        return wrong("/value", "missing", "is the identifier");
    }
    let column = if sort.ends_with("sha256") { "sha256" } else { "value" };
    refuse_raw(column, value).map_err(|fault| ("/value", fault.code, fault.message.into_owned()))?;
    if source.is_some() != (sort == "eid") {
        return wrong("/source", "malformed", "goes with the type eid, and is the domain of who made it");
    }
    if exchange.is_some() != (sort == "exchange") {
        return wrong(
            "/exchange",
            "malformed",
            "goes with the type exchange, and is the name of the exchange",
        );
    }
    let hashed = |kind| match bytes_of_hex(value) {
        Some(digest) => Ok(id_key.hashed(kind, &digest)),
        None => wrong("/value", "malformed", "is no SHA-256 in 64 hex digits"),
    };
    match (sort, source, exchange) {
        ("cookie", ..) => Ok(id_key.cookie(value)),
        ("ifa", ..) => Ok(id_key.device(value)),
        ("email_sha256", ..) => hashed(IdKind::Email),
        ("phone_sha256", ..) => hashed(IdKind::Phone),
        (_, Some(source), _) => Ok(id_key.eid(source, value)),
        (_, _, exchange) => {
            let id = inner.editor.lock().exchange_named(exchange.unwrap_or_default()).map(|known| known.id);
            match id {
                Some(id) => Ok(id_key.matched(id, value)),
                None => wrong("/exchange", "unknown_reference", "is the name of no exchange here"),
            }
        }
    }
}
