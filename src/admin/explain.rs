//! `POST /v1/line_items/{id}:explain`, and the same of an advertiser: what would become of a request that is posted, on what serves
//! this moment; nothing is held, and nothing is counted.
//!
//! Who is asked about is the caller's own: of other tenants' line items nothing is said but that another one offered more. Nor may
//! a tenant find out what is known of people, whose ids anybody could post: it hears what would become of somebody whom nobody
//! knows, in the segments that the request itself names. Only the platform hears of the person. The same holds for a request of the
//! sample, whoever it was of.

use super::call::{Call, Reply};
use super::crud;
use super::problem::{FieldError, Problem};
use super::samples;
use super::shape::Shape;
use super::state::Inner;
use super::status::Look;
use super::tenants;
use crate::budget::AccountKey;
use crate::funnel::advice_on;
use crate::model::ids::{AdvertiserId, LineItemId};
use crate::model::no_bid::NoBidReason;
use crate::samples::Record;
use crate::serve::NotExplained;
use crate::store::control::Kind;
use hyper::StatusCode;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
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
    let about = About::read(inner, &mut object)?;
    let asked: BTreeSet<LineItemId> = {
        let editor = inner.editor.lock();
        match shape.kind {
            Kind::LineItem => BTreeSet::from([LineItemId(id)]),
            _ => editor.line_items_of(AdvertiserId(id)).collect(),
        }
    };
    let knows_people = samples::knows_people(&call.actor);
    let wanted = |id| asked.contains(&id);
    let told = match &about {
        About::Posted { exchange, request } => {
            inner.serving.explain(exchange, request.to_string().as_bytes(), knows_people, &wanted)
        }
        About::Sampled(record) => inner.serving.explain_sampled(&record.request, knows_people, &wanted),
    };
    let told = told.map_err(|why| {
        let (pointer, code) = match (&about, &why) {
            (About::Sampled(_), _) => ("", "refused"),
            (_, NotExplained::Exchange(_)) => ("/exchange", "unknown_reference"),
            (_, NotExplained::Refused { .. }) => ("/request", "refused"),
        };
        Problem::invalid(vec![FieldError::new(pointer, code, why.to_string())])
    })?;
    let exchange = match about {
        About::Posted { exchange, .. } => Some(exchange),
        About::Sampled(record) => {
            let editor = inner.editor.lock();
            editor.exchange(u32::from(record.request.exchange.0)).map(|(known, _)| known.name.clone())
        }
    };
    let budgets: BTreeMap<LineItemId, Value> = asked.iter().map(|id| (*id, budget(inner, *id))).collect();
    let imps = told.imps.into_iter().map(|imp| {
        let line_items = imp.line_items.into_iter().map(|verdict| {
            let id = verdict.line_item;
            let mut row = view(inner, knows_people, verdict);
            row["budget"] = budgets.get(&id).cloned().unwrap_or_default();
            row["caps"] = caps(inner, id);
            row
        });
        json!({ "id": imp.id, "no_bid": as_a_whole(imp.no_bid), "line_items": line_items.collect::<Vec<_>>() })
    });
    let imps: Vec<Value> = imps.collect();
    let body = json!({
        "headline": headline(&imps, shape.kind == Kind::LineItem, asked.len()), "exchange": exchange,
        "no_bid": as_a_whole(told.no_bid), "imps": imps,
    });
    Ok(Reply::new(StatusCode::OK, body))
}

/// The first line: what would become of the line item, or of the line item of the advertiser that gets furthest.
fn headline(imps: &[Value], is_one: bool, asked: usize) -> String {
    let rows = || {
        imps.iter()
            .flat_map(|imp| imp["line_items"].as_array().into_iter().flatten().map(move |row| (imp, row)))
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let who = |row: &Value| match is_one {
        true => String::new(),
        false => format!("line item {}: ", text(&row["line_item_id"])),
    };
    if imps.is_empty() {
        return "nobody serves here, so that nothing can be said of a request; ask the process that does"
            .to_owned();
    }
    let bidders: BTreeSet<String> =
        rows().filter(|(_, row)| row["bids"] == true).map(|(_, row)| text(&row["line_item_id"])).collect();
    if let Some((imp, row)) = rows().find(|(_, row)| row["bids"] == true) {
        let count =
            if is_one { String::new() } else { format!("{} of {asked} line items bid; ", bidders.len()) };
        return format!(
            "{count}{}bids {} on impression {}",
            who(row),
            text(&row["price"]["price"]),
            imp["id"]
        );
    }
    // Of several impressions the one in which somebody got furthest; each has those first that did.
    let rank = |row: &Value| {
        let reason = NoBidReason::ALL.into_iter().find(|reason| row["reason"] == reason.as_str());
        reason.map_or(0, |reason| reason as usize)
    };
    let Some((_, row)) = rows().max_by_key(|(_, row)| rank(row)) else {
        return match is_one {
            true => "it is not among what serves: it is archived, or was made a moment ago".to_owned(),
            false => "the advertiser has no line item that serves".to_owned(),
        };
    };
    format!(
        "{}{}: {} ({}); {}",
        who(row),
        text(&row["reason"]),
        text(&row["title"]),
        text(&row["detail"]),
        text(&row["advice"])
    )
}

/// Why nothing of a line item may be shown, where that is so.
fn without_creative(inner: &Inner, id: LineItemId) -> Option<String> {
    let editor = inner.editor.lock();
    Look::at(inner, &editor, &[]).without_creative(id.0)
}

/// Which request is asked about.
enum About {
    Posted { exchange: String, request: Value },
    Sampled(Box<Record>),
}

impl About {
    fn read(inner: &Inner, object: &mut Map<String, Value>) -> Result<About, Problem> {
        let mut errors = Vec::new();
        let mut text = |name: &str| match object.remove(name) {
            None => None,
            Some(Value::String(text)) => Some(text),
            Some(_) => {
                errors.push(FieldError::new(format!("/{name}"), "malformed", "is a text".to_owned()));
                None
            }
        };
        let (exchange, sample, id) = (text("exchange"), text("sample"), text("request_id"));
        let request = object.remove("request");
        errors.extend(object.keys().map(|name| {
            let message =
                "is not known here; give `exchange` and `request`, or `sample`, or `request_id`".to_owned();
            FieldError::new(format!("/{name}"), "unknown", message)
        }));
        let mut missing = |pointer: &str, message: &str| {
            if errors.iter().all(|error| error.pointer != pointer) {
                errors.push(FieldError::new(pointer, "missing", message.to_owned()));
            }
        };
        if [request.is_some(), sample.is_some(), id.is_some()]
            .into_iter()
            .filter(|is_given| *is_given)
            .count()
            > 1
        {
            missing(
                "",
                "one of `request`, `sample` and `request_id` is enough; which of them is meant nobody could say",
            );
        } else if sample.is_some() && exchange.is_some() {
            missing("/exchange", "is known of a sampled request; leave it out");
        } else if sample.is_none() && id.is_none() {
            if exchange.is_none() {
                missing("/exchange", "is the name of the exchange that would ask");
            }
            if !matches!(request, Some(Value::Object(_))) {
                missing(
                    "/request",
                    "is a bid request (OpenRTB 2.6) as an object; `sample` or `request_id` name one of the sample",
                );
            }
        }
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        match (sample, id) {
            (Some(key), _) => {
                let found = key.parse().ok().and_then(|key| samples::of_key(inner, key));
                let message = "is the `key` of no sampled request; they are kept for 7 days, after one day fewer of them";
                let missing = || FieldError::new("/sample", "unknown_reference", message.to_owned());
                Ok(About::Sampled(Box::new(found.ok_or_else(|| Problem::invalid(vec![missing()]))?)))
            }
            (None, Some(id)) => samples::of_request(inner, &id, exchange.as_deref())
                .map(|record| About::Sampled(Box::new(record))),
            (None, None) => Ok(About::Posted {
                exchange: exchange.unwrap_or_default(),
                request: request.unwrap_or_default(),
            }),
        }
    }
}

/// What is left of the budgets that a line item spends from; null where one has no limit.
fn budget(inner: &Inner, id: LineItemId) -> Value {
    let Some(standing) = inner.serving.standing(id) else { return Value::Null };
    let mut left = json!({
        "wallet": null, "campaign": null, "campaign_today": null, "line_item": null, "line_item_today": null,
    });
    for (key, room) in standing.room {
        let name = match key {
            AccountKey::Wallet(_) => "wallet",
            AccountKey::CampaignTotal(_) => "campaign",
            AccountKey::CampaignDay(..) => "campaign_today",
            AccountKey::LineItemTotal(_) => "line_item",
            AccountKey::LineItemDay(..) => "line_item_today",
        };
        if room.0 < i64::MAX {
            left[name] = room.to_string().into();
        }
    }
    left
}

/// How often one person may be shown something of a line item, its campaign and its advertiser.
fn caps(inner: &Inner, id: LineItemId) -> Value {
    let editor = inner.editor.lock();
    let line_item = editor.line_item(id.0);
    let campaign = line_item.and_then(|item| editor.campaign(item.campaign.0));
    let advertiser = campaign.and_then(|campaign| editor.advertiser(campaign.advertiser.0));
    let levels = [
        ("line_item", line_item.map(|item| &item.frequency)),
        ("campaign", campaign.map(|campaign| &campaign.frequency)),
        ("advertiser", advertiser.map(|advertiser| &advertiser.frequency)),
    ];
    let of = levels.into_iter().filter_map(|(level, frequency)| Some((level, frequency?)));
    let rows = of.flat_map(|(level, frequency)| {
        frequency.caps.iter().map(move |cap| json!({ "of": level, "max": cap.max, "within_s": cap.within_s }))
    });
    rows.collect::<Vec<Value>>().into()
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
    /// What of the reason it was; `""` = the reason says it all.
    pub aspect: &'static str,
    /// The values compared, in words.
    pub detail: String,
    /// Its price, term by term, where it got that far.
    pub priced: Value,
}

/// Why a request or an impression gets no bid, whoever would have bid; what others would have done is theirs.
fn as_a_whole(reason: Option<NoBidReason>) -> Option<&'static str> {
    let is_whole = |reason: &NoBidReason| *reason < NoBidReason::NoMatch || *reason == NoBidReason::Deadline;
    reason.filter(is_whole).map(NoBidReason::as_str)
}

/// What would become of a line item, as somebody may hear it who knows people or does not.
pub(super) fn view(inner: &Inner, knows_people: bool, verdict: ExplainedLineItem) -> Value {
    let advice = verdict.reason.map(|reason| advice_on(reason, verdict.aspect));
    let without_creative = || without_creative(inner, verdict.line_item);
    let detail = match (verdict.aspect == "no_creative").then(without_creative).flatten() {
        // What an exchange is trusted with is between it and the platform.
        _ if !knows_people && verdict.reason == Some(NoBidReason::Breaker) => {
            advice.map(|advice| advice.title.to_owned()).unwrap_or_default()
        }
        Some(why) => format!("{}: {why}", verdict.detail),
        None => verdict.detail,
    };
    json!({
        "line_item_id": verdict.line_item.0.to_string(), "bids": verdict.reason.is_none(),
        "reason": verdict.reason.map(NoBidReason::as_str), "stage": advice.map(|advice| advice.stage),
        "title": advice.map(|advice| advice.title), "advice": advice.map(|advice| advice.advice),
        "field": advice.map(|advice| advice.field), "detail": detail, "price": verdict.priced,
    })
}

/// What is posted.
pub(super) fn asked_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "exchange": {
                "type": "string",
                "description": "The exchange that would ask, by its name; beside `request_id` only where two exchanges have one of this id.",
            },
            "request": { "type": "object", "description": "A bid request (OpenRTB 2.6); needs `exchange`." },
            "sample": { "type": "string", "description": "Instead of it the `key` of a sampled request." },
            "request_id": { "type": "string", "description": "Or the `id` of a request that was sampled; the newest counts." },
        },
        "oneOf": [
            { "required": ["exchange", "request"], "properties": { "sample": false, "request_id": false } },
            { "required": ["sample"], "properties": { "exchange": false, "request": false, "request_id": false } },
            { "required": ["request_id"], "properties": { "request": false, "sample": false } },
        ],
        "additionalProperties": false,
    })
}

/// What is answered.
pub(super) fn schema() -> Value {
    let maybe = |said: &str| json!({ "type": ["string", "null"], "description": said });
    let budget = json!({
        "type": "object",
        "properties": {
            "wallet": maybe("Of the advertiser's wallet."), "campaign": maybe("Of the campaign; null is no limit."),
            "campaign_today": maybe("Of the campaign today."), "line_item": maybe("Of the line item."),
            "line_item_today": maybe("Of the line item today."),
        },
        "required": ["wallet", "campaign", "campaign_today", "line_item", "line_item_today"],
        "additionalProperties": false,
    });
    let cap = json!({
        "type": "object",
        "properties": {
            "of": { "type": "string", "enum": ["line_item", "campaign", "advertiser"], "description": "Whose cap." },
            "max": { "type": "integer", "description": "So many impressions at most …" },
            "within_s": { "type": ["integer", "null"], "description": "… within so many seconds; null is for ever." },
        },
        "required": ["of", "max", "within_s"],
        "additionalProperties": false,
    });
    let verdict = json!({
        "type": "object",
        "properties": {
            "line_item_id": { "type": "string", "description": "The line item." },
            "bids": { "type": "boolean", "description": "Whether it would bid." },
            "reason": maybe("Why not."), "stage": maybe("The stage of the funnel."), "title": maybe("What happened."),
            "advice": maybe("What to do."), "field": maybe("The member to look at."),
            "detail": { "type": "string", "description": "The values that were compared." },
            "price": { "type": ["object", "null"], "description": "The price term by term, where it got that far." },
            "budget": { "anyOf": [budget, { "type": "null" }], "description": "What a bid could still hold, in the advertiser's currency." },
            "caps": { "type": "array", "items": cap, "description": "How often one person may be shown it." },
        },
        "required": [
            "line_item_id", "bids", "reason", "stage", "title", "advice", "field", "detail", "price", "budget", "caps",
        ],
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
            "headline": {
                "type": "string",
                "description": "What would become of the line item, or of the one of the advertiser that gets furthest, and what to do.",
            },
            "exchange": maybe("The exchange."),
            "no_bid": maybe("Why the whole request gets no bid, whoever would have bid."),
            "imps": { "type": "array", "items": imp, "description": "The impressions of the request." },
        },
        "required": ["headline", "exchange", "no_bid", "imps"],
        "additionalProperties": false,
    })
}
