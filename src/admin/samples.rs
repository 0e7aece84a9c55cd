//! `GET /v1/samples`: requests of the sample, without what named the person, and how they ended.
//!
//! Which requests one line item was refused for one reason is not kept: that would be a line for each of them in each request. With both
//! `filter[line_item_id]` and `filter[outcome]` the requests are decided again, as `:explain` does, so many in a call.
//!
//! Requests are nobody's: every analyst may read them, as exchanges. A tenant sees of the outcome what is its own: its bids, and
//! reasons that hold whoever would have bid. Whose request it was and which segments counted is for the platform alone.

use super::auth::Actor;
use super::call::{Call, Reply};
use super::crud;
use super::explain;
use super::openapi::answers::{maybe, moment, object, text};
use super::page::{Parameters, page_size};
use super::problem::{FieldError, Problem};
use super::shape::{self, Shape};
use super::state::Inner;
use super::tenants;
use crate::exchange::{Limits, protobuf_as_json};
use crate::model::ids::LineItemId;
use crate::model::no_bid::NoBidReason;
use crate::samples::{Asked, Found, Key, Query, Record};
use crate::store::control::Kind;
use hyper::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;

/// What a list may be asked.
pub(super) const PARAMETERS: &[&str] = &[
    "page_size",
    "page_token",
    "filter[exchange]",
    "filter[request_id]",
    "filter[domain]",
    "filter[outcome]",
    "filter[line_item_id]",
    "from",
    "to",
];
/// What the outcome of a request with bids is called.
const BID: &str = "bid";

/// Whether somebody may know who people are, and what becomes of others' line items.
pub(super) fn knows_people(actor: &Actor) -> bool {
    actor.account.is_none() && actor.advertisers.is_none()
}

/// In a call so many requests are decided again …
const MOST_AGAIN: usize = 512;
/// … until so long has gone by, at one at least: an account of 100,000 line items takes a while for each.
const PATIENCE_NS: u64 = 200_000_000;

/// Whose reason is looked for, in requests that are decided again.
struct Again {
    line_item: LineItemId,
    reason: NoBidReason,
}

impl Again {
    /// What was compared, as `:explain` tells it, in the first impression that it gets no bid on for this reason; `None` where there
    /// is none.
    fn met(&self, inner: &Inner, actor: &Actor, record: &Record) -> Option<Value> {
        let (knows_people, wanted) = (knows_people(actor), |id| id == self.line_item);
        // Its exchange may serve no more: nobody would decide on such a request.
        let told = inner.serving.explain_sampled(&record.request, knows_people, &wanted).ok()?;
        let of_line_item = told.imps.into_iter().flat_map(|imp| imp.line_items);
        let mut met = of_line_item.filter(|verdict| verdict.reason == Some(self.reason));
        met.next().map(|verdict| explain::view(inner, knows_people, verdict)["detail"].take())
    }

    /// A page of them. It may be short, or empty, and go on.
    fn list(&self, inner: &Inner, actor: &Actor, query: &Query) -> Result<Value, Problem> {
        let Found { records, more, .. } =
            inner.serving.samples(&Query { limit: MOST_AGAIN, ..query.clone() });
        let began_ns = inner.clock.mono_ns();
        let (mut rows, mut looked_at, mut last) = (Vec::new(), 0, None);
        for (key, record) in &records {
            let is_over = looked_at > 0 && inner.clock.mono_ns().saturating_sub(began_ns) >= PATIENCE_NS;
            if rows.len() == query.limit || is_over {
                break;
            }
            (looked_at, last) = (looked_at + 1, Some((key.to_string(), record.request.at_ms)));
            if let Some(detail) = self.met(inner, actor, record) {
                let mut row = view(inner, actor, *key, record)?;
                row["detail"] = detail;
                rows.push(row);
            }
        }
        let goes_on = more || looked_at < records.len();
        let (key, at_ms) = last.unzip();
        Ok(json!({
            "samples": rows, "next_page_token": key.filter(|_| goes_on), "looked_at": looked_at,
            "looked_until": at_ms.map(shape::moment),
        }))
    }
}

/// A page of them, the newest first.
pub(super) fn list(inner: &Arc<Inner>, mut call: Call) -> Result<Reply, Problem> {
    let (query, again) = asked(inner, &mut call)?;
    call.parameters.finish(&PARAMETERS.join(", "))?;
    if let Some(again) = again {
        return Ok(Reply::new(StatusCode::OK, again.list(inner, &call.actor, &query)?));
    }
    let Found { records, more, .. } = inner.serving.samples(&query);
    let last = records.last().map(|(key, _)| key.to_string());
    let rows = records.iter().map(|(key, record)| view(inner, &call.actor, *key, record));
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    let body = json!({ "samples": rows, "next_page_token": last.filter(|_| more) });
    Ok(Reply::new(StatusCode::OK, body))
}

/// One, with the request.
pub(super) fn get(inner: &Arc<Inner>, call: Call) -> Result<Reply, Problem> {
    let named = call.path.rsplit('/').next().unwrap_or_default().to_owned();
    call.parameters.finish("none")?;
    let missing = || {
        Problem::not_found(&format!(
            "sample {named}; samples are kept for 7 days, after one day fewer of them"
        ))
    };
    let key: Key = named.parse().map_err(|_| missing())?;
    let record = of_key(inner, key).ok_or_else(missing)?;
    let mut body = view(inner, &call.actor, key, &record)?;
    body["request"] = request_of(&record);
    if knows_people(&call.actor) {
        let ids =
            |ids: &[crate::model::ids::SegmentId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        let request = &record.request;
        body["person"] = json!({
            "hash": request.person.map(|person| format!("{person:016x}")), "known": request.known,
            "segments": ids(&request.segments), "refused_segments": ids(&request.refused),
        });
    }
    Ok(Reply::new(StatusCode::OK, body))
}

/// The record that a key names.
pub(super) fn of_key(inner: &Inner, key: Key) -> Option<Record> {
    let start_ms = key.start_s().checked_mul(1_000)?;
    let after = Key::new(key.start_s(), key.number().checked_add(1)?);
    let query =
        Query { after: Some(after), limit: 1, ..Query::all(start_ms, start_ms.checked_add(3_600_000)?) };
    let found = inner.serving.samples(&query).records.into_iter().next();
    found.filter(|(found, _)| *found == key).map(|(_, record)| record)
}

/// The newest record of a request with this id, or how many were looked at, and for how many requests they stand.
pub(super) fn of_request(inner: &Inner, id: &str, exchange: Option<&str>) -> Result<Record, Problem> {
    let refuse = |pointer, message: String| {
        Err(Problem::invalid(vec![FieldError::new(pointer, "unknown_reference", message)]))
    };
    let exchange = match exchange {
        Some(name) => match inner.editor.lock().exchange_named(name).map(|profile| profile.id) {
            Some(id) => Some(id),
            None => return refuse("/exchange", format!("there is no exchange {name:?}")),
        },
        None => None,
    };
    let query =
        Query { request_id: Some(id.to_owned()), exchange, limit: 1, ..Query::all(i64::MIN, i64::MAX) };
    let found = inner.serving.samples(&query);
    match found.records.into_iter().next() {
        Some((_, record)) => Ok(record),
        None => refuse(
            "/request_id",
            format!(
                "is none of the {} sampled requests, which stand for about {}; post the request itself as `request`, with \
                 `exchange`, or have more sampled (`samples.per_second`)",
                found.looked_at, found.stands_for
            ),
        ),
    }
}

fn asked(inner: &Inner, call: &mut Call) -> Result<(Query, Option<Again>), Problem> {
    let (actor, account, parameters) = (&call.actor, call.account, &mut call.parameters);
    let now_ms = inner.clock.now().unix_ms;
    let until_ms = moment_of(parameters, "to")?.unwrap_or(now_ms + 1);
    let from_ms = moment_of(parameters, "from")?.unwrap_or(until_ms.saturating_sub(86_400_000));
    let mut query = Query { limit: page_size(parameters)?, ..Query::all(from_ms, until_ms) };
    if let Some(token) = parameters.take("page_token") {
        let message = "is none that a list gave; begin again without it";
        query.after = Some(token.parse().map_err(|_| Problem::parameter("page_token", message))?);
    }
    if let Some(name) = parameters.take("filter[exchange]") {
        let known = inner.editor.lock().exchange_named(&name).map(|profile| profile.id);
        let message = || {
            Problem::parameter(
                "filter[exchange]",
                format!("is the name of an exchange; there is no {name:?}"),
            )
        };
        query.exchange = Some(known.ok_or_else(message)?);
    }
    query.request_id = parameters.take("filter[request_id]");
    query.place = parameters.take("filter[domain]");
    let name = "filter[line_item_id]";
    if let Some(id) = parameters.take(name) {
        let id: u32 = id.parse().map_err(|_| Problem::parameter(name, "is an id"))?;
        if !owns(inner, actor, account, LineItemId(id))? {
            return Err(Problem::parameter(name, "is the id of a line item of yours"));
        }
        query.line_item = Some(LineItemId(id));
    }
    if let Some(name) = parameters.take("filter[outcome]") {
        let reason = NoBidReason::named(&name).map(Asked::NoBid);
        let outcome = if name == BID { Some(Asked::Bid) } else { reason };
        // What others do with a request is theirs; what becomes of an own line item is not.
        let may_all = query.line_item.is_some() || knows_people(actor);
        let may = |outcome: &Asked| {
            may_all || matches!(outcome, Asked::NoBid(reason) if *reason < NoBidReason::NoMatch)
        };
        query.outcome = Some(outcome.filter(may).ok_or_else(|| {
            Problem::parameter(
                "filter[outcome]",
                "is `bid` or a reason for no bid; for tenants a reason that holds whoever would have bid, or \
                 `filter[line_item_id]` beside it",
            )
        })?);
    }
    let again = match (query.line_item, query.outcome) {
        (Some(line_item), Some(Asked::NoBid(reason))) => {
            (query.line_item, query.outcome) = (None, None);
            Some(Again { line_item, reason })
        }
        _ => None,
    };
    Ok((query, again))
}

fn moment_of(parameters: &mut Parameters, name: &'static str) -> Result<Option<i64>, Problem> {
    let Some(text) = parameters.take(name) else { return Ok(None) };
    let moment = text.parse::<jiff::Timestamp>();
    let message = "is a moment with its offset such as 2026-03-01T00:00:00Z (RFC 3339)";
    moment.map(|moment| Some(moment.as_millisecond())).map_err(|_| Problem::parameter(name, message))
}

/// Whether somebody may see a line item.
fn owns(inner: &Inner, actor: &Actor, account: Option<u32>, id: LineItemId) -> Result<bool, Problem> {
    let Some(shape) = Shape::of(Kind::LineItem) else { return Ok(false) };
    let seen =
        inner.control.read(|read| tenants::seen_by(actor, read, crud::row_of(read, shape, id.0, account)?));
    match seen {
        Ok(_) => Ok(true),
        Err(problem) if problem.status == StatusCode::NOT_FOUND => Ok(false),
        Err(problem) => Err(problem),
    }
}

/// A request of the sample as somebody may see it.
fn view(inner: &Inner, actor: &Actor, key: Key, record: &Record) -> Result<Value, Problem> {
    let request = &record.request;
    let knows = knows_people(actor);
    let mut bids = Vec::new();
    for (line_item, price) in request.outcome.iter().flatten() {
        if knows || owns(inner, actor, actor.account, *line_item)? {
            bids.push(json!({ "line_item_id": line_item.to_string(), "cpm": price.to_string() }));
        }
    }
    let reason = request.outcome.as_ref().err().filter(|reason| knows || **reason < NoBidReason::NoMatch);
    let exchange =
        inner.editor.lock().exchange(u32::from(request.exchange.0)).map(|(known, _)| known.name.clone());
    Ok(json!({
        "key": key.to_string(), "at": shape::moment(request.at_ms), "request_id": record.id, "exchange": exchange,
        "place": record.place, "one_in": request.one_in, "no_bid": reason.map(|reason| reason.as_str()), "bids": bids,
    }))
}

/// The request as JSON, whatever it came in.
fn request_of(record: &Record) -> Value {
    let limits = Limits { body: usize::MAX, ..Limits::default() };
    let shown = match record.request.protobuf {
        true => protobuf_as_json(&record.request.body, &limits).ok(),
        false => serde_json::from_slice(&record.request.body).ok(),
    };
    shown.unwrap_or(Value::Null)
}

/// A request of the sample; the request itself only where one is asked for.
pub(super) fn schema() -> Value {
    let bid = object(
        json!({ "line_item_id": text("Whose bid."), "cpm": text("The price, in the currency of the request.") }),
        &["line_item_id", "cpm"],
    );
    let list = |said: &str| json!({ "type": "array", "items": { "type": "string" }, "description": said });
    let person = object(
        json!({
            "hash": maybe("Tells requests of one person from others', for two weeks at most; null where nobody can be told."),
            "known": { "type": "boolean", "description": "Whether the audience knew the person." },
            "segments": list("The segments that counted."),
            "refused_segments": list("Sensitive ones that did not."),
        }),
        &["hash", "known", "segments", "refused_segments"],
    );
    object(
        json!({
            "key": text("Names it."), "at": moment("When it came."), "request_id": text("`id` of the request."),
            "exchange": maybe("Who asked."), "place": maybe("The domain, or the bundle of the app."),
            "one_in": { "type": "integer", "minimum": 1, "description": "It stands for so many requests." },
            "no_bid": maybe("Why it got no bid; for tenants only what holds whoever would have bid."),
            "detail": text("Where one line item's reason is looked for: the values that were compared."),
            "bids": { "type": "array", "items": bid, "description": "The bids that it would get; of tenants their own." },
            "request": { "type": ["object", "null"], "description": "The request without what names the person; of one alone." },
            "person": { "anyOf": [person, { "type": "null" }], "description": "For the platform: what was known of the person; of one alone." },
        }),
        &["key", "at", "request_id", "exchange", "place", "one_in", "no_bid", "bids"],
    )
}
