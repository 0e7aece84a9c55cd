//! The description of the API, OpenAPI 3.1, written from the table of routes.

use super::apply;
use super::audit;
use super::auth::{Role, Scope};
use super::bulk;
use super::jobs;
use super::lists;
use super::money;
use super::people;
use super::routes::{Action, ROUTES, Route};
use super::shape::{READ_ONLY, Shape};
use super::sheets;
use super::state::shapes;
use serde_json::{Map, Value, json};

/// The whole document.
pub(super) fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES.iter() {
        let path = paths.entry(route.path.clone()).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = operation(route);
    }
    let mut schemas = Map::new();
    for shape in shapes() {
        schemas.insert(shape.noun().to_owned(), schema(shape));
    }
    schemas.insert("account".to_owned(), account());
    schemas.insert("api_key".to_owned(), api_key());
    schemas.insert("job".to_owned(), jobs::schema());
    schemas.insert("problem".to_owned(), problem());
    schemas.extend(people::schemas().map(|(name, schema)| (name.to_owned(), schema)));
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
    let noun = noun(route);
    let resource = noun.map(|noun| json!({ "$ref": format!("#/components/schemas/{noun}") }));
    let (status, schema) = match route.action {
        Action::Create | Action::CreateAccount | Action::CreateKey | Action::RotateKey => {
            ("201", resource.clone().unwrap_or(Value::Bool(true)))
        }
        Action::List | Action::ListAccounts | Action::ListKeys | Action::ListJobs => ("200", page(route)),
        Action::Import => ("202", resource.clone().unwrap_or(Value::Bool(true))),
        Action::Export | Action::JobResult => ("200", json!({ "type": "string" })),
        Action::GetJob | Action::CancelJob => ("200", resource.clone().unwrap_or(Value::Bool(true))),
        Action::Apply => ("200", apply::schema()),
        Action::Transact => ("201", json!({ "type": "object" })),
        Action::Me => ("200", json!({ "$ref": "#/components/schemas/me" })),
        Action::People(task) => {
            let (status, schema, ..) = people::documented(task);
            (status, schema)
        }
        Action::Items
        | Action::UploadItems
        | Action::OpenApi
        | Action::Audit
        | Action::Transactions
        | Action::Bulk => ("200", json!({ "type": "object" })),
        Action::Get
        | Action::Patch
        | Action::SetStatus(_)
        | Action::GetAccount
        | Action::GetKey
        | Action::RevokeKey
        | Action::PatchAccount => ("200", resource.clone().unwrap_or(Value::Bool(true))),
    };
    let refused = json!({
        "description": "Refused; the body says why and what to do",
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/problem" } } },
    });
    let is_table = matches!(route.action, Action::Export | Action::JobResult);
    let media = if is_table { "text/csv" } else { "application/json" };
    let answered = json!({ "description": "Done", "content": { (media): { "schema": schema } } });
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.summary,
        "x-role": route.role.as_str(),
        "x-scope": route.scope().map(|scope| scope.as_str()),
        "x-platform-only": route.is_platforms(),
        "parameters": parameters(route),
        "responses": { (status): answered, "default": refused },
    });
    if matches!(route.action, Action::Import) {
        let content = json!({ "text/csv": { "schema": { "type": "string" } } });
        operation["requestBody"] = json!({ "required": true, "content": content });
        operation["responses"]["200"] = operation["responses"]["202"].clone();
    }
    let body = match route.action {
        Action::Create | Action::CreateAccount | Action::CreateKey => Some("application/json"),
        Action::Patch | Action::PatchAccount => Some("application/merge-patch+json"),
        _ => None,
    };
    let own = match route.action {
        Action::Transact => Some(money::schema()),
        Action::Bulk => Some(bulk::schema()),
        Action::UploadItems => Some(lists::schema()),
        Action::Apply => Some(json!({ "type": "object" })),
        Action::People(task) => people::documented(task).2,
        _ => None,
    };
    if let Some(schema) = own {
        let content = json!({ "application/json": { "schema": schema } });
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    if let (Some(content_type), Some(resource)) = (body, resource) {
        operation["requestBody"] =
            json!({ "required": true, "content": { (content_type): { "schema": resource } } });
    }
    if route.is_open() {
        operation["security"] = json!([]);
    }
    operation
}

fn operation_id(route: &Route) -> String {
    let path: String = route.path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("{}{path}", route.method.as_str().to_ascii_lowercase())
}

fn parameters(route: &Route) -> Vec<Value> {
    let text = |place: &str, name: &str| json!({ "name": name, "in": place, "required": place == "path", "schema": { "type": "string" } });
    let mut parameters = Vec::new();
    if route.path.contains("{id}") {
        parameters.push(text("path", "id"));
    }
    let queries: &[&str] = match route.action {
        Action::List => &[
            "page_size",
            "page_token",
            "sort",
            "q",
            "total",
            "fields",
            "filter[status]",
            "filter[id]",
            "filter[external_id]",
        ],
        Action::Get | Action::GetAccount | Action::GetKey => &["fields"],
        Action::ListAccounts | Action::ListKeys => &["page_size", "page_token"],
        Action::ListJobs => jobs::PARAMETERS,
        Action::Export => sheets::EXPORT_PARAMETERS,
        Action::Import => sheets::IMPORT_PARAMETERS,
        Action::GetJob | Action::CancelJob | Action::JobResult => &[],
        Action::Create
        | Action::SetStatus(_)
        | Action::CreateAccount
        | Action::PatchAccount
        | Action::CreateKey
        | Action::RevokeKey
        | Action::RotateKey => &["validate_only"],
        Action::Patch => &["validate_only", "update_mask"],
        Action::Audit => audit::PARAMETERS,
        Action::Transactions => money::PARAMETERS,
        Action::Transact | Action::Bulk => &["validate_only"],
        Action::Apply => apply::PARAMETERS,
        Action::Items => lists::ITEMS_PARAMETERS,
        Action::UploadItems => lists::UPLOAD_PARAMETERS,
        Action::Me | Action::OpenApi => &[],
        Action::People(task) => people::documented(task).3,
    };
    parameters.extend(queries.iter().map(|name| text("query", name)));
    if let (Action::List | Action::Export, Some((outside, _))) =
        (route.action, route.shape.and_then(|shape| shape.parent))
    {
        parameters.push(text("query", &format!("filter[{outside}]")));
    }
    if matches!(route.action, Action::Create | Action::Transact | Action::Bulk) {
        let mut key = text("header", "Idempotency-Key");
        key["required"] = matches!(route.action, Action::Transact).into();
        parameters.push(key);
    }
    if matches!(route.action, Action::Import) {
        parameters.push(text("header", "Prefer"));
    }
    if route.shape.is_some_and(|shape| !shape.is_shared) {
        parameters.push(text("query", "account_id"));
    }
    if matches!(route.action, Action::Patch | Action::SetStatus(_) | Action::PatchAccount) {
        parameters.push(text("header", "If-Match"));
    }
    parameters
}

/// What a route is about, where it is about something that has a schema.
fn noun(route: &Route) -> Option<&'static str> {
    match route.action {
        Action::ListAccounts | Action::CreateAccount | Action::GetAccount | Action::PatchAccount => {
            Some("account")
        }
        Action::ListKeys | Action::CreateKey | Action::GetKey | Action::RevokeKey | Action::RotateKey => {
            Some("api_key")
        }
        Action::Import | Action::ListJobs | Action::GetJob | Action::CancelJob => Some("job"),
        _ => route.shape.map(Shape::noun),
    }
}

fn page(route: &Route) -> Value {
    let Some(noun) = noun(route) else { return Value::Bool(true) };
    let collection = route.path.trim_start_matches("/v1/");
    let items = json!({ "$ref": format!("#/components/schemas/{noun}") });
    json!({
        "type": "object",
        "properties": {
            (collection): { "type": "array", "items": items },
            "next_page_token": { "type": ["string", "null"] },
            "total": { "type": "integer" },
        },
        "required": [collection, "next_page_token"],
    })
}

/// The members that every resource has; those of its own are described in the guide, and read strictly.
fn schema(shape: &Shape) -> Value {
    let text = json!({ "type": "string" });
    let maybe = json!({ "type": ["string", "null"] });
    let mut members = Map::new();
    if !shape.is_singleton() {
        members.insert("id".into(), text.clone());
        members.insert("name".into(), json!({ "type": "string", "minLength": 1, "maxLength": 255 }));
        members.insert("external_id".into(), maybe);
        members.insert("status".into(), json!({ "enum": ["draft", "active", "paused", "archived"] }));
    }
    if !shape.is_shared {
        members.insert("account_id".into(), text.clone());
    }
    if let Some((outside, _)) = shape.parent {
        members.insert(outside.into(), text.clone());
    }
    members.insert("notes".into(), text.clone());
    members.insert("labels".into(), json!({ "type": "object", "additionalProperties": text }));
    members.insert("version".into(), json!({ "type": "integer", "minimum": 1 }));
    members.insert("status_reasons".into(), json!({ "type": "array", "items": text }));
    for name in ["etag", "effective_status"] {
        members.insert(name.into(), text.clone());
    }
    for name in ["created_at", "updated_at"] {
        members.insert(name.into(), json!({ "type": "string", "format": "date-time" }));
    }
    for name in READ_ONLY.into_iter().filter(|name| *name != "account_id") {
        if let Some(Value::Object(member)) = members.get_mut(name) {
            member.insert("readOnly".into(), true.into());
        }
    }
    json!({ "type": "object", "properties": members })
}

fn account() -> Value {
    let text = json!({ "type": "string" });
    let fixed = json!({ "type": "string", "readOnly": true });
    json!({
        "type": "object",
        "properties": {
            "id": fixed, "name": { "type": "string", "minLength": 1, "maxLength": 255 },
            "status": { "enum": ["active", "paused"] }, "notes": text,
            "labels": { "type": "object", "additionalProperties": text },
            "version": { "type": "integer", "readOnly": true }, "etag": fixed, "created_at": fixed, "updated_at": fixed,
        },
        "required": ["name"],
    })
}

fn api_key() -> Value {
    let fixed = json!({ "type": ["string", "null"], "readOnly": true });
    let texts = json!({ "type": "array", "items": { "type": "string" } });
    let roles = Role::ALL.map(Role::as_str);
    let scopes = Scope::ALL.map(Scope::as_str);
    json!({
        "type": "object",
        "properties": {
            "id": fixed, "name": { "type": "string", "minLength": 1, "maxLength": 255 }, "role": { "enum": roles },
            "account_id": { "type": ["string", "null"] }, "platform": { "type": "boolean", "writeOnly": true },
            "scopes": { "type": "array", "items": { "enum": scopes } }, "addresses": texts,
            "advertiser_ids": texts, "expires_at": { "type": ["string", "null"], "format": "date-time" },
            "secret": { "type": "string", "readOnly": true, "description": "In the answer that makes the key only" },
            "prefix": fixed, "last4": fixed, "status": { "enum": ["active", "expired", "revoked"], "readOnly": true },
            "revoked_at": fixed, "replaces_id": fixed, "created_at": fixed, "last_used_at": fixed,
        },
        "required": ["name", "role"],
    })
}

fn problem() -> Value {
    let text = json!({ "type": "string" });
    let error = json!({
        "type": "object",
        "properties": { "pointer": text, "code": text, "message": text },
        "required": ["pointer", "code", "message"],
    });
    json!({
        "type": "object",
        "properties": {
            "type": text, "title": text, "status": { "type": "integer" }, "detail": text, "instance": text,
            "request_id": text, "errors": { "type": "array", "items": error },
        },
        "required": ["type", "title", "status", "detail"],
    })
}
