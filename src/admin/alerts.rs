//! `GET /v1/alerts`: what is wrong with line items, and for the platform with exchanges, from the last hour; the worst first.

use super::call::{Call, Reply};
use super::openapi::answers::{moment, object, text};
use super::problem::Problem;
use super::shape;
use super::state::Inner;
use super::status::Look;
use crate::budget::Stop;
use crate::funnel::{Alert, CODES, ExchangeVitals, PacingHealth, Severity, exchange_alerts};
use crate::store::control::{Kind, Query, Status};
use hyper::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;

/// What may be asked.
pub(super) const PARAMETERS: &[&str] = &["filter[severity]", "filter[code]", "filter[line_item_id]"];

/// Alerts of one answer; of more the worst are shown.
const MOST: usize = 1_000;
/// Line items that are looked at together.
const PAGE: usize = 500;

struct Row {
    kind: Kind,
    id: u32,
    name: String,
    health: Option<PacingHealth>,
    alert: Alert,
}

pub(super) fn list(inner: &Arc<Inner>, mut call: Call) -> Result<Reply, Problem> {
    let severity =
        one_of(&mut call, "filter[severity]", &[Severity::Error, Severity::Warning].map(Severity::as_str))?;
    let code = one_of(&mut call, "filter[code]", &CODES)?;
    let only = call.parameters.take("filter[line_item_id]");
    let only: Option<u32> = only
        .map(|id| id.parse().map_err(|_| Problem::parameter("filter[line_item_id]", "is an id")))
        .transpose()?;
    std::mem::take(&mut call.parameters).finish(&PARAMETERS.join(", "))?;
    let is_asked = |alert: &Alert| {
        severity.as_ref().is_none_or(|severity| alert.severity.as_str() == severity)
            && code.as_ref().is_none_or(|code| alert.code == code)
    };
    let mut rows = line_items(inner, &call, only)?;
    if call.actor.account.is_none() && call.actor.advertisers.is_none() && only.is_none() {
        rows.extend(exchanges(inner)?);
    }
    rows.retain(|row| is_asked(&row.alert));
    rows.sort_by_key(|row| row.alert.severity);
    let found = rows.len();
    rows.truncate(MOST);
    let as_of_s = inner.serving.health().map_or(inner.clock.now().unix_s(), |hour| hour.as_of_s);
    let body = json!({
        "as_of": shape::moment(as_of_s * 1_000), "found": found,
        "alerts": rows.iter().map(view).collect::<Vec<Value>>(),
    });
    Ok(Reply::new(StatusCode::OK, body))
}

fn one_of(call: &mut Call, name: &'static str, known: &[&str]) -> Result<Option<String>, Problem> {
    let Some(value) = call.parameters.take(name) else { return Ok(None) };
    match known.contains(&value.as_str()) {
        true => Ok(Some(value)),
        false => Err(Problem::parameter(name, format!("is one of {}", known.join(", ")))),
    }
}

/// Of all active line items that the caller may see.
fn line_items(inner: &Arc<Inner>, call: &Call, only: Option<u32>) -> Result<Vec<Row>, Problem> {
    let mut query = Query {
        account: call.account,
        advertisers: call.actor.advertisers.clone(),
        statuses: vec![Status::Active],
        ids: only.map(|id| vec![id]),
        limit: PAGE,
        ..Query::of(Kind::LineItem)
    };
    let mut found = Vec::new();
    loop {
        let rows = inner.control.read(|read| Ok::<_, Problem>(read.list(&query)?))?;
        let editor = inner.editor.lock();
        let look = Look::at(inner, &editor, &rows);
        for row in &rows {
            let Some(status) = look.of(row) else { continue };
            let Some((health, alerts)) = look.health(row.id, &status) else { continue };
            let row = |alert| Row {
                kind: Kind::LineItem,
                id: row.id,
                name: row.name.clone(),
                health: Some(health),
                alert,
            };
            found.extend(alerts.into_iter().map(row));
        }
        match rows.last().filter(|_| rows.len() == PAGE) {
            Some(last) => query.after = Some(query.cursor(last)),
            None => return Ok(found),
        }
    }
}

/// Of all active exchanges.
fn exchanges(inner: &Arc<Inner>) -> Result<Vec<Row>, Problem> {
    let Some(hour) = inner.serving.health() else { return Ok(Vec::new()) };
    let stops = inner.serving.stops();
    let editor = inner.editor.lock();
    let serving = editor.exchanges().filter(|(_, serves)| *serves).map(|(profile, _)| profile);
    let alerts = serving.flat_map(|profile| {
        let stopped = stops.contains(&Stop::Exchange(profile.id));
        let vitals = ExchangeVitals { stopped, hour: &hour.hour, now: &hour.now, ended: &hour.ended };
        exchange_alerts(profile.id, &vitals).into_iter().map(|alert| Row {
            kind: Kind::Exchange,
            id: profile.id.0.into(),
            name: profile.name.clone(),
            health: None,
            alert,
        })
    });
    Ok(alerts.collect())
}

fn view(row: &Row) -> Value {
    let Alert { code, severity, message, advice, field } = &row.alert;
    json!({
        "resource_kind": row.kind.as_str(), "resource_id": row.id.to_string(), "name": row.name,
        "health": row.health.map(PacingHealth::as_str), "code": code, "severity": severity.as_str(),
        "message": message, "advice": advice, "field": field,
    })
}

/// How a line item does.
pub(super) fn health_schema() -> Value {
    json!({
        "type": "string", "enum": PacingHealth::ALL.map(PacingHealth::as_str),
        "description": "How its spending goes: at most 99 % of its plan is under pace.",
    })
}

/// The codes of what is wrong with a line item.
pub(super) fn codes_schema() -> Value {
    json!({
        "type": "array", "items": { "type": "string", "enum": CODES },
        "description": "What is wrong with it, by the codes of `/v1/alerts`.",
    })
}

/// What is answered.
pub(super) fn schema() -> Value {
    let mut health = health_schema();
    health["type"] = json!(["string", "null"]);
    health["enum"].as_array_mut().into_iter().for_each(|all| all.push(Value::Null));
    let alert = object(
        json!({
            "resource_kind": { "type": "string", "enum": ["line_item", "exchange"], "description": "What it is about." },
            "resource_id": text("Its number."), "name": text("Its name."), "health": health,
            "code": { "type": "string", "enum": CODES, "description": "What is wrong, for programs." },
            "severity": {
                "type": "string", "enum": ["error", "warning"],
                "description": "An error means that nothing comes of it until somebody acts.",
            },
            "message": text("What is wrong, with its figures."), "advice": text("What to do."),
            "field": text("The member to look at; empty where none would help."),
        }),
        &["resource_kind", "resource_id", "name", "health", "code", "severity", "message", "advice", "field"],
    );
    object(
        json!({
            "as_of": moment("What was counted until then is in it."),
            "found": { "type": "integer", "minimum": 0, "description": "How many there are; at most 1,000 are shown." },
            "alerts": { "type": "array", "items": alert, "description": "The worst first." },
        }),
        &["as_of", "found", "alerts"],
    )
}
