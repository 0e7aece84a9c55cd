//! The description of the API, OpenAPI 3.1: paths from the table of routes, schemas from what the readers say of
//! themselves. It is made once, and what `fields` and `update_mask` may name is looked up in it.

pub(super) mod answers;
mod examples;
mod others;
mod parameters;
mod schemas;

use crate::admin::audience;
use crate::admin::page::Parameters;
use crate::admin::people;
use crate::admin::problem::Problem;
use crate::admin::routes::{Action, ROUTES, Route};
use crate::admin::state::shapes;
use crate::model::suggest::closest;
use schemas::{Way, refer};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

static DOCUMENT: LazyLock<Value> = LazyLock::new(made);

/// The whole document.
pub(super) fn document() -> &'static Value {
    &DOCUMENT
}

/// The members of a schema, each with what is said of it.
pub(super) fn members(schema: &str) -> impl Iterator<Item = (&'static str, &'static Value)> {
    let members = DOCUMENT["components"]["schemas"][schema]["properties"].as_object();
    members.into_iter().flatten().map(|(name, says)| (name.as_str(), says))
}

/// A parameter that names members of a schema, with commas.
pub(super) fn names(
    parameters: &mut Parameters,
    parameter: &str,
    schema: &str,
) -> Result<Option<Vec<String>>, Problem> {
    let Some(given) = parameters.take(parameter) else { return Ok(None) };
    let names: Vec<String> = given.split(',').map(|name| name.trim().to_owned()).collect();
    let known = || members(schema).map(|(name, _)| name);
    match names.iter().find(|name| known().all(|known| known != *name)) {
        None => Ok(Some(names)),
        Some(unknown) => {
            let hint = match closest(unknown, known()) {
                Some(near) => format!("; did you mean {near:?}?"),
                None => format!("; there are {}", known().collect::<Vec<_>>().join(", ")),
            };
            Err(Problem::parameter(parameter, format!("names {unknown:?}, which is no member of this{hint}")))
        }
    }
}

/// The members that a PATCH of something can have.
pub(super) fn patched(noun: &str) -> String {
    Way::Patch.name(noun)
}

fn made() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES.iter() {
        let path = paths.entry(route.path.clone()).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = operation(route);
    }
    let mut schemas = Map::new();
    answers::add(&mut schemas);
    others::add(&mut schemas);
    for shape in shapes() {
        schemas::add(&mut schemas, shape);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "outbid", "version": env!("CARGO_PKG_VERSION"),
            "description": "The control plane. Ids are texts; amounts are exact decimals in quotes with their \
                            currency; moments are RFC 3339.",
        },
        "security": [{ "key": [] }, { "session": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "key": { "type": "http", "scheme": "bearer" },
                "session": {
                    "type": "apiKey", "in": "cookie", "name": "__Host-outbid",
                    "description": "Set by POST /v1/session; all but GET needs X-CSRF-Token beside it.",
                },
            },
            "schemas": schemas,
        },
    })
}

fn operation(route: &Route) -> Value {
    let refused = json!({
        "description": "Refused; the body says why and what to do",
        "content": { "application/problem+json": { "schema": refer("problem") } },
    });
    let (media, schema) = match route.action {
        Action::Docs => ("text/html; charset=utf-8", json!({ "type": "string" })),
        Action::Export | Action::JobResult => ("text/csv; charset=utf-8", json!({ "type": "string" })),
        _ => ("application/json", answer(route)),
    };
    let content = match route.action {
        // In the form that was asked for when the job was.
        Action::Audience(audience::Task::TakeContacts) => json!({
            "text/csv; charset=utf-8": { "schema": schema }, "application/x-ndjson": { "schema": schema },
        }),
        _ => json!({ (media): { "schema": schema } }),
    };
    let status = match route.action {
        Action::Create | Action::CreateAccount | Action::CreateKey | Action::RotateKey | Action::Transact => {
            "201"
        }
        Action::Import => "202",
        Action::People(task) => people::documented(task).0,
        Action::Audience(task) => audience::documented(task).0,
        _ => "200",
    };
    let mut responses = json!({
        (status): { "description": "Done", "content": content }, "default": refused,
    });
    if status == "202" {
        responses["200"] = responses["202"].clone();
    }
    if status == "201" {
        let tried = json!({ "description": "Would be done; with `validate_only`" });
        responses["200"] = tried;
        responses["200"]["content"] = json!({ (media): { "schema": schema } });
    }
    if matches!(route.action, Action::Get | Action::Docs) {
        responses["304"] = json!({ "description": "As it was; with `If-None-Match`" });
    }
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.summary,
        "tags": [tag(route)],
        "x-role": route.role.as_str(),
        "x-scope": route.scope().map(|scope| scope.as_str()),
        "x-platform-only": route.is_platforms(),
        "parameters": parameters::of(route),
        "responses": responses,
    });
    if route.is_open() {
        operation["security"] = json!([]);
    }
    let own = match route.action {
        Action::People(task) => people::documented(task).2.map(|schema| ("application/json", schema)),
        Action::Audience(task) => audience::documented(task).2,
        Action::Import => {
            Some(("text/csv", json!({ "type": "string", "description": "A table, see the guide." })))
        }
        Action::Apply => {
            let said = "An account file, or some of its collections.";
            Some(("application/json", json!({ "type": "object", "description": said })))
        }
        _ => None,
    };
    if let Some((media, schema)) = own {
        let content = json!({ (media): { "schema": schema } });
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    if let Some((media, name)) = body(route) {
        let mut content = json!({ "schema": refer(&name) });
        if let Some(example) = examples::of(&name) {
            content["example"] = example;
        }
        let is_required = !matches!(route.action, Action::RotateKey);
        operation["requestBody"] = json!({ "required": is_required, "content": { (media): content } });
        if matches!(route.action, Action::UploadItems) {
            let lines = json!({ "schema": { "type": "string", "description": "One value a line." } });
            operation["requestBody"]["content"]["text/plain"] = lines;
        }
    }
    operation
}

/// What a route is of, as the reference page groups them.
fn tag(route: &Route) -> &str {
    let below = route.path.trim_start_matches("/v1/").trim_start_matches('/');
    match route.action {
        Action::OpenApi | Action::Docs => "description",
        _ => below.split(['/', ':']).next().unwrap_or(below),
    }
}

fn operation_id(route: &Route) -> String {
    let path: String = route.path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("{}{path}", route.method.as_str().to_ascii_lowercase())
}

/// The content type and the schema of what a route takes.
fn body(route: &Route) -> Option<(&'static str, String)> {
    const JSON: &str = "application/json";
    const MERGE: &str = "application/merge-patch+json";
    let of_shape = |way: Way| route.shape.map(|shape| way.name(shape.noun()));
    Some(match route.action {
        Action::Create => (JSON, of_shape(Way::New)?),
        Action::Patch => (MERGE, of_shape(Way::Patch)?),
        Action::CreateAccount => (JSON, "account_new".to_owned()),
        Action::PatchAccount => (MERGE, "account_patch".to_owned()),
        Action::CreateKey => (JSON, "api_key_new".to_owned()),
        Action::RotateKey => (JSON, "api_key_rotation".to_owned()),
        Action::Transact => (JSON, "transaction_new".to_owned()),
        Action::Bulk => (JSON, "bulk".to_owned()),
        Action::Explain => (JSON, "explanation_new".to_owned()),
        Action::Forecast => (JSON, "forecast_asked".to_owned()),
        Action::ForecastDraft => (JSON, "forecast_draft".to_owned()),
        Action::UploadItems => (JSON, "list_values".to_owned()),
        _ => return None,
    })
}

/// The schema of what a route answers.
fn answer(route: &Route) -> Value {
    let noun = route.shape.map(|shape| shape.noun());
    match route.action {
        Action::List => page(route, refer(noun.unwrap_or_default()), true),
        Action::ListAccounts => page(route, refer("account"), false),
        Action::ListKeys => page(route, refer("api_key"), false),
        Action::ListJobs => page(route, refer("job"), false),
        Action::Import | Action::GetJob | Action::CancelJob => refer("job"),
        Action::Export | Action::JobResult => json!({ "type": "string" }),
        Action::Apply => refer("apply_plan"),
        Action::People(task) => people::documented(task).1,
        Action::Audience(task) => audience::documented(task).1,
        Action::Audit => page(route, refer("audit_entry"), false),
        Action::Transactions => page(route, refer("transaction"), false),
        Action::Items => {
            let mut page = page(route, json!({ "type": "string" }), true);
            page["required"] = json!(["items", "next_page_token", "total"]);
            page
        }
        Action::Create | Action::Get | Action::Patch | Action::SetStatus(_) => {
            refer(noun.unwrap_or_default())
        }
        Action::CreateAccount | Action::GetAccount | Action::PatchAccount => refer("account"),
        Action::CreateKey | Action::GetKey | Action::RevokeKey | Action::RotateKey => refer("api_key"),
        Action::Me => refer("me"),
        Action::OpenApi | Action::Docs => refer("openapi"),
        Action::Transact => refer("transaction"),
        Action::Bulk => refer("bulk_results"),
        Action::UploadItems => refer("list_uploaded"),
        Action::PixelTag => refer("pixel_tag"),
        Action::Funnel => refer("funnel"),
        Action::Alerts => refer("alerts"),
        Action::Explain => refer("explanation"),
        Action::Samples => {
            let mut page = page(route, refer("sample"), false);
            page["properties"]["looked_at"] = json!({
                "type": "integer", "minimum": 0,
                "description": "So many requests were decided again for this page, which may be short or empty and go on; only \
                                with `filter[line_item_id]` and a reason.",
            });
            page["properties"]["looked_until"] =
                answers::maybe("When the last of them came; null where there was none.");
            page
        }
        Action::Sample => refer("sample"),
        Action::Forecast | Action::ForecastDraft => refer("forecast"),
    }
}

fn page(route: &Route, item: Value, counts: bool) -> Value {
    let collection = route.path.rsplit('/').next().unwrap_or_default();
    let said = "Where the next page begins; null is the end.";
    let mut page = json!({
        "type": "object",
        "properties": {
            (collection): { "type": "array", "items": item },
            "next_page_token": { "type": ["string", "null"], "description": said },
        },
        "required": [collection, "next_page_token"],
        "additionalProperties": false,
    });
    if counts {
        page["properties"]["total"] = json!({
            "type": "integer", "minimum": 0, "description": "How many there are on all pages; with `total=true`.",
        });
    }
    page
}
