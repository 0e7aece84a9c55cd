//! What the description of the API says of people.

use super::super::auth::Role;
use super::{Task, users};
use serde_json::{Map, Value, json};

/// The status of the answer to a task, the answer's schema, that of the body, and what may stand in the query.
pub(in crate::admin) fn documented(
    task: Task,
) -> (&'static str, Value, Option<Value>, &'static [&'static str]) {
    let of = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let texts = |needed: &[&str], optional: &[&str]| {
        let members = needed.iter().chain(optional).map(|name| {
            ((*name).to_owned(), json!({ "type": "string", "writeOnly": name.contains("password") }))
        });
        let members: Map<String, Value> = members.collect();
        Some(json!({
            "type": "object", "properties": members, "required": needed, "additionalProperties": false,
        }))
    };
    let object = |members: Value| json!({ "type": "object", "properties": members });
    let dry: &[&str] = &["validate_only"];
    match task {
        Task::Login => ("201", of("me"), texts(&["email", "password"], &["totp"]), &[]),
        Task::Logout => ("200", object(json!({ "ended": { "type": "boolean" } })), None, &[]),
        Task::Accept => ("200", of("user"), texts(&["token", "name", "password"], &[]), &[]),
        Task::Rename => ("200", of("user"), texts(&["name"], &[]), dry),
        Task::ChangePassword => {
            let ended = object(json!({ "ended_sessions": { "type": "integer" } }));
            ("200", ended, texts(&["old_password", "new_password"], &[]), &[])
        }
        Task::Enrol => {
            let secret = json!({ "secret": { "type": "string" }, "otpauth_uri": { "type": "string" } });
            ("201", object(secret), None, &[])
        }
        Task::Confirm => ("200", of("user"), texts(&["code"], &[]), &[]),
        Task::RemoveFactor => ("200", of("user"), texts(&[], &["password", "code"]), &[]),
        Task::List => {
            let next = json!({ "type": ["string", "null"] });
            let users = json!({ "type": "array", "items": of("user") });
            ("200", object(json!({ "users": users, "next_page_token": next })), None, users::PARAMETERS)
        }
        Task::Invite => ("201", of("user"), Some(invitation()), dry),
        Task::Get => ("200", of("user"), None, &["fields"]),
        Task::Change => ("200", of("user"), Some(change()), dry),
    }
}

fn ids() -> Value {
    json!({ "type": "array", "items": { "type": "string" } })
}

fn invitation() -> Value {
    json!({
        "type": "object",
        "properties": {
            "email": { "type": "string", "format": "email", "examples": ["ada@agency.example"] }, "role": { "enum": Role::ALL.map(Role::as_str) },
            "account_id": { "type": ["string", "null"] }, "platform": { "type": "boolean" },
            "advertiser_ids": ids(),
        },
        "required": ["email", "role"],
        "additionalProperties": false,
    })
}

fn change() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "minLength": 1, "maxLength": 255 },
            "role": { "enum": Role::ALL.map(Role::as_str) }, "advertiser_ids": ids(),
            "status": { "enum": ["active", "disabled"] },
        },
        "additionalProperties": false,
    })
}

/// The schemas that others refer to.
pub(in crate::admin) fn schemas() -> [(&'static str, Value); 2] {
    let text = json!({ "type": "string" });
    let maybe = json!({ "type": ["string", "null"] });
    let moment = json!({ "type": ["string", "null"], "format": "date-time" });
    let roles = json!({ "enum": Role::ALL.map(Role::as_str) });
    let user = json!({
        "type": "object",
        "properties": {
            "id": text, "account_id": maybe, "email": text, "name": text, "role": roles, "advertiser_ids": ids(),
            "status": { "enum": ["invited", "active", "disabled"] }, "totp_enabled": { "type": "boolean" },
            "version": { "type": "integer", "minimum": 1 }, "etag": text, "created_at": moment,
            "updated_at": moment, "last_login_at": moment,
            "invite_token": { "type": "string", "description": "In the answer that invites only" },
            "invite_expires_at": moment,
        },
    });
    let session = json!({
        "type": "object",
        "properties": { "created_at": moment, "idle_until": moment, "expires_at": moment },
    });
    let me = json!({
        "type": "object",
        "properties": {
            "name": text, "role": roles, "account_id": maybe, "api_key_id": maybe, "scopes": ids(),
            "user_id": maybe, "email": text, "advertiser_ids": ids(), "totp_enabled": { "type": "boolean" },
            "csrf_token": text, "session": session,
        },
    });
    [("user", user), ("me", me)]
}
