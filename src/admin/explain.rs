//! `POST /v1/line_items/{id}:explain`, and the same of an advertiser: what would become of a request that is posted, on what serves
//! this moment; nothing is held, and nothing is counted.
//!
//! Who is asked about is the caller's own: of other tenants' line items nothing is said but that another one offered more. Nor may
//! a tenant find out what is known of people, whose ids anybody could post: it hears what would become of somebody whom nobody
//! knows, in the segments that the request itself names. Only the platform hears of the person.

use super::call::{Call, Reply};
use super::crud;
use super::problem::{FieldError, Problem};
use super::shape::Shape;
use super::state::Inner;
use super::tenants;
use crate::funnel::advice;
use crate::model::ids::{AdvertiserId, LineItemId};
use crate::model::no_bid::NoBidReason;
use crate::serve::NotExplained;
use crate::store::control::Kind;
use hyper::StatusCode;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The kinds of resources that requests are explained for.
pub(super) const KINDS: [Kind; 2] = [Kind::LineItem, Kind::Advertiser];

pub(super) fn run(inner: &Arc<Inner>, shape: &'static Shape, call: Call) -> Result<Reply, Problem> {
    let mut object = call.object(&["application/json"])?;
    let (id, account) = (call.id.unwrap_or(0), call.account);
    call.parameters.finish("")?;
    inner
        .control
        .read(|read| tenants::seen_by(&call.actor, read, crud::row_of(read, shape, id, account)?))?;
    let exchange = match object.remove("exchange") {
        Some(Value::String(name)) => Ok(name),
        _ => Err(FieldError::new(
            "/exchange",
            "missing",
            "is the name of the exchange that would ask".to_owned(),
        )),
    };
    let request = match object.remove("request") {
        Some(request @ Value::Object(_)) => Ok(request),
        _ => Err(FieldError::new(
            "/request",
            "missing",
            "is a bid request (OpenRTB 2.6) as an object".to_owned(),
        )),
    };
    let unknown = object.keys().map(|name| {
        let message = "is not known here; give `exchange` and `request`".to_owned();
        FieldError::new(format!("/{name}"), "unknown", message)
    });
    let (exchange, request) = match (exchange, request, unknown.collect::<Vec<_>>()) {
        (Ok(exchange), Ok(request), unknown) if unknown.is_empty() => (exchange, request),
        (exchange, request, mut errors) => {
            errors.extend(exchange.err().into_iter().chain(request.err()));
            return Err(Problem::invalid(errors));
        }
    };
    let asked: BTreeSet<LineItemId> = {
        let editor = inner.editor.lock();
        match shape.kind {
            Kind::LineItem => BTreeSet::from([LineItemId(id)]),
            _ => editor.line_items_of(AdvertiserId(id)).collect(),
        }
    };
    let knows_people = call.actor.account.is_none() && call.actor.advertisers.is_none();
    let wanted = |id| asked.contains(&id);
    let told = inner.serving.explain(&exchange, request.to_string().as_bytes(), knows_people, &wanted);
    let told = told.map_err(|why| {
        let (pointer, code) = match why {
            NotExplained::Exchange(_) => ("/exchange", "unknown_reference"),
            NotExplained::Refused { .. } => ("/request", "refused"),
        };
        Problem::invalid(vec![FieldError::new(pointer, code, why.to_string())])
    })?;
    let imps = told.imps.into_iter().map(|imp| {
        json!({
            "id": imp.id, "no_bid": as_a_whole(imp.no_bid),
            "line_items": imp.line_items.into_iter().map(view).collect::<Vec<_>>(),
        })
    });
    let body = json!({
        "exchange": exchange, "no_bid": as_a_whole(told.no_bid), "imps": imps.collect::<Vec<_>>(),
    });
    Ok(Reply::new(StatusCode::OK, body))
}

/// What would become of a request.
#[derive(Clone, Debug, Default)]
pub struct Explained {
    /// Why the whole request gets no bid; `None` where it gets one.
    pub no_bid: Option<NoBidReason>,
    /// Its impressions.
    pub imps: Vec<ExplainedImp>,
}

/// What would become of an impression.
#[derive(Clone, Debug)]
pub struct ExplainedImp {
    /// `imp.id`.
    pub id: String,
    /// Why it gets no bid.
    pub no_bid: Option<NoBidReason>,
    /// The line items that were asked about, those that got furthest first.
    pub line_items: Vec<ExplainedLineItem>,
}

/// What would become of a line item.
#[derive(Clone, Debug)]
pub struct ExplainedLineItem {
    /// Which.
    pub line_item: LineItemId,
    /// Why it does not bid; `None` where it does.
    pub reason: Option<NoBidReason>,
    /// The values compared, in words.
    pub detail: String,
    /// Its price, term by term, where it got that far.
    pub priced: Value,
}

/// Why a request or an impression gets no bid, whoever would have bid; what others would have done is theirs.
fn as_a_whole(reason: Option<NoBidReason>) -> Option<&'static str> {
    reason.filter(|reason| *reason < NoBidReason::NoMatch).map(NoBidReason::as_str)
}

fn view(verdict: ExplainedLineItem) -> Value {
    let advice = verdict.reason.map(advice);
    json!({
        "line_item_id": verdict.line_item.0.to_string(), "bids": verdict.reason.is_none(),
        "reason": verdict.reason.map(NoBidReason::as_str), "stage": advice.map(|advice| advice.stage),
        "title": advice.map(|advice| advice.title), "advice": advice.map(|advice| advice.advice),
        "field": advice.map(|advice| advice.field), "detail": verdict.detail, "price": verdict.priced,
    })
}

/// What is posted.
pub(super) fn asked_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "exchange": { "type": "string", "description": "The exchange that would ask, by its name." },
            "request": { "type": "object", "description": "A bid request (OpenRTB 2.6)." },
        },
        "required": ["exchange", "request"],
        "additionalProperties": false,
    })
}

/// What is answered.
pub(super) fn schema() -> Value {
    let maybe = |said: &str| json!({ "type": ["string", "null"], "description": said });
    let verdict = json!({
        "type": "object",
        "properties": {
            "line_item_id": { "type": "string", "description": "The line item." },
            "bids": { "type": "boolean", "description": "Whether it would bid." },
            "reason": maybe("Why not."), "stage": maybe("The stage of the funnel."), "title": maybe("What happened."),
            "advice": maybe("What to do."), "field": maybe("The member to look at."),
            "detail": { "type": "string", "description": "The values that were compared." },
            "price": { "type": ["object", "null"], "description": "The price term by term, where it got that far." },
        },
        "required": ["line_item_id", "bids", "reason", "stage", "title", "advice", "field", "detail", "price"],
        "additionalProperties": false,
    });
    let imp = json!({
        "type": "object",
        "properties": {
            "id": { "type": "string", "description": "The impression." }, "no_bid": maybe("Why it gets no bid, whoever would have bid."),
            "line_items": { "type": "array", "items": verdict, "description": "Those that got furthest first." },
        },
        "required": ["id", "no_bid", "line_items"],
        "additionalProperties": false,
    });
    json!({
        "type": "object",
        "properties": {
            "exchange": { "type": "string", "description": "The exchange." },
            "no_bid": maybe("Why the whole request gets no bid, whoever would have bid."),
            "imps": { "type": "array", "items": imp, "description": "The impressions of the request." },
        },
        "required": ["exchange", "no_bid", "imps"],
        "additionalProperties": false,
    })
}
