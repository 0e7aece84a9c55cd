//! Schemas of what is no resource: accounts, keys, records, movements of money, bulk calls, refusals.

use super::schemas::{id_of, labels, refer, versioned};
use crate::admin::api_keys::{MAX_OVERLAP_S, OVERLAP_S};
use crate::admin::audit::OTHER_KINDS;
use crate::admin::auth::{Role, Scope};
use crate::admin::bulk::MOST;
use crate::admin::key_request::{MAX_ADDRESSES, MAX_ADVERTISERS};
use crate::store::account_file::MAX_ITEMS;
use crate::store::control::Kind;
use crate::store::control::audit::Source;
use crate::store::control::money::TransactionKind;
use serde_json::{Map, Value, json};

/// Puts them among the others.
pub(super) fn add(schemas: &mut Map<String, Value>) {
    let own = [
        ("account", account(Some(&["id", "name", "status"]))),
        ("account_new", account(None)),
        ("account_patch", account_patch()),
        ("api_key", api_key()),
        ("api_key_new", api_key_new()),
        ("api_key_rotation", rotation()),
        ("audit_entry", audit_entry()),
        ("bulk", bulk()),
        ("bulk_results", bulk_results()),
        ("field_error", field_error()),
        ("list_values", list_values()),
        ("list_uploaded", list_uploaded()),
        ("openapi", json!({ "type": "object", "required": ["openapi", "info", "paths", "components"] })),
        ("pixel_tag", crate::admin::pixels::schema()),
        ("funnel", crate::admin::funnel::schema()),
        ("alerts", crate::admin::alerts::schema()),
        ("sample", crate::admin::samples::schema()),
        ("forecast", crate::admin::forecast::schema()),
        ("forecast_asked", crate::admin::forecast::asked_schema()),
        ("forecast_draft", crate::admin::forecast::draft_schema()),
        ("explanation", crate::admin::explain::schema()),
        ("explanation_new", crate::admin::explain::asked_schema()),
        ("problem", problem()),
        ("transaction", transaction()),
        ("transaction_new", transaction_new()),
    ];
    schemas.extend(own.map(|(name, schema)| (name.to_owned(), schema)));
    schemas.extend(super::schemas::amounts().map(|(name, schema)| (name.to_owned(), schema)));
}

pub(in crate::admin) fn object(members: Value, required: &[&str]) -> Value {
    json!({ "type": "object", "properties": members, "required": required, "additionalProperties": false })
}

pub(in crate::admin) fn text(said: &str) -> Value {
    json!({ "type": "string", "description": said })
}

pub(in crate::admin) fn maybe(said: &str) -> Value {
    json!({ "type": ["string", "null"], "description": said })
}

pub(in crate::admin) fn moment(said: &str) -> Value {
    json!({ "type": "string", "format": "date-time", "description": said })
}

fn maybe_moment(said: &str) -> Value {
    json!({ "type": ["string", "null"], "format": "date-time", "description": said })
}

fn name() -> Value {
    json!({
        "type": "string", "minLength": 1, "maxLength": 255, "examples": ["Acme"],
        "description": "For people: 1 to 255 characters in one line.",
    })
}

fn one_of(names: impl IntoIterator<Item = &'static str>, said: &str) -> Value {
    json!({ "type": "string", "enum": names.into_iter().collect::<Vec<_>>(), "description": said })
}

fn account(shown: Option<&[&str]>) -> Value {
    let mut members = json!({
        "name": name(), "notes": text("For people."), "labels": labels(),
        "status": one_of(["active", "paused"], "Paused, nothing of it serves and its keys are refused."),
    });
    let Some(shown) = shown else {
        members["status"]["default"] = "active".into();
        return object(members, &["name"]);
    };
    members["id"] = id_of("accounts.id", "Its number, given by the server.");
    let mut required = shown.to_vec();
    for (name, schema) in versioned() {
        members[name] = schema;
        required.push(name);
    }
    object(members, &required)
}

fn account_patch() -> Value {
    let mut patch = account(None);
    if let Some(rules) = patch.as_object_mut() {
        rules.remove("required");
    }
    if let Some(Value::Object(members)) = patch.get_mut("properties") {
        for member in members.values_mut() {
            let said = member["description"].take();
            if let Some(rules) = member.as_object_mut() {
                rules.remove("description");
                rules.remove("default");
            }
            let mut inner = member.take();
            if let Some(Value::Object(texts)) = inner.get_mut("additionalProperties") {
                texts.insert("type".to_owned(), json!(["string", "null"]));
            }
            *member = json!({ "anyOf": [inner, { "type": "null" }], "description": said });
        }
    }
    patch
}

fn roles() -> Value {
    one_of(Role::ALL.map(Role::as_str), "What it may do, each what the ones before it may.")
}

fn scopes() -> Value {
    let known = Scope::ALL.map(Scope::as_str);
    json!({
        "type": "array", "items": { "type": "string", "enum": known },
        "description": "What it may be used for; none is all that the role allows.",
    })
}

fn addresses() -> Value {
    json!({
        "type": "array", "items": { "type": "string", "examples": ["192.0.2.0/24"] }, "maxItems": MAX_ADDRESSES,
        "description": "Addresses and networks that it may be used from; none is everywhere.",
    })
}

fn advertiser_ids() -> Value {
    json!({
        "type": "array", "items": id_of("advertisers.id", "An advertiser of the account."), "maxItems": MAX_ADVERTISERS,
        "description": "What an advertiser_viewer sees; other roles have none.",
    })
}

fn api_key() -> Value {
    let members = json!({
        "id": id_of("api_keys.id", "Its number, given by the server."), "name": name(), "role": roles(),
        "account_id": maybe("Its account; null is the platform."), "scopes": scopes(), "addresses": addresses(),
        "advertiser_ids": advertiser_ids(), "prefix": text("How the secret begins."), "last4": text("How it ends."),
        "status": one_of(["active", "expired", "revoked"], "Whether it may be used."),
        "secret": text("The secret; in the answer that makes the key only."),
        "expires_at": maybe_moment("When it ends; null is never."), "revoked_at": maybe_moment("When it was revoked."),
        "replaces_id": maybe("The key whose place it takes."), "created_at": moment("When it was made."),
        "last_used_at": maybe_moment("When it was used last, to the minute or so."),
    });
    let required = [
        "id",
        "name",
        "role",
        "account_id",
        "scopes",
        "addresses",
        "advertiser_ids",
        "prefix",
        "last4",
        "status",
        "expires_at",
        "revoked_at",
        "replaces_id",
        "created_at",
        "last_used_at",
    ];
    object(members, &required)
}

fn api_key_new() -> Value {
    let expires = json!({
        "type": ["string", "null"], "format": "date-time", "examples": ["2099-01-01T00:00:00Z"],
        "description": "When it ends; without it never.",
    });
    let members = json!({
        "name": name(), "role": roles(), "scopes": scopes(), "addresses": addresses(),
        "advertiser_ids": advertiser_ids(), "expires_at": expires,
        "account_id": id_of("accounts.id", "Its account. Default that of the caller, else the first."),
        "platform": {
            "type": "boolean", "default": false, "description": "A key of the platform, which sees all accounts.",
        },
    });
    let viewer = json!({
        "properties": {
            "role": { "enum": [Role::AdvertiserViewer.as_str()] }, "advertiser_ids": { "minItems": 1 },
            "platform": { "enum": [false] },
        },
        "required": ["advertiser_ids"],
    });
    let others: Vec<&str> =
        Role::ALL.into_iter().filter(|role| *role != Role::AdvertiserViewer).map(Role::as_str).collect();
    let other = json!({ "properties": { "role": { "enum": others }, "advertiser_ids": { "maxItems": 0 } } });
    let mut schema = object(members, &["name", "role"]);
    schema["oneOf"] = json!([viewer, other]);
    schema
}

fn rotation() -> Value {
    let said = "Seconds for which the old key goes on.";
    let seconds = json!({
        "type": "integer", "minimum": 0, "maximum": MAX_OVERLAP_S, "default": OVERLAP_S, "description": said,
    });
    object(json!({ "overlap_s": seconds }), &[])
}

fn audit_entry() -> Value {
    let kinds = Kind::ALL.iter().map(|kind| kind.as_str()).chain(OTHER_KINDS);
    let states = |said: &str| json!({ "type": "object", "description": said });
    let members = json!({
        "id": text("Its number."), "at": moment("When it was."), "actor": text("Who did it, as it was called then."),
        "actor_kind": text("Whether that is a person or a program."), "actor_id": maybe("Its number, where it has one."),
        "source": one_of(Source::ALL.iter().map(|source| source.as_str()), "By which way it came."),
        "request_id": maybe("The call that it came with."), "action": text("What was done, such as update."),
        "kind": one_of(kinds, "What sort of thing it was done to."), "resource_id": maybe("Which of them."),
        "version": { "type": ["integer", "null"], "description": "The version that it has since." },
        "before": states("Members that changed, as they were."), "after": states("The same members since."),
    });
    let required = [
        "id",
        "at",
        "actor",
        "source",
        "request_id",
        "action",
        "kind",
        "resource_id",
        "version",
        "before",
        "after",
    ];
    object(members, &required)
}

fn transaction_kinds() -> Value {
    one_of(
        TransactionKind::ALL.iter().map(|kind| kind.as_str()),
        "Paid by the advertiser, given by the platform, or something put right, which alone may take money out.",
    )
}

fn transaction() -> Value {
    let members = json!({
        "id": text("Its number."), "at": moment("When it was."), "advertiser_id": id_of("advertisers.id", "Whose wallet."),
        "kind": transaction_kinds(), "amount": refer("money"), "note": text("Why."), "actor": text("Who moved it."),
        "balance": refer("money"),
    });
    object(members, &["id", "at", "advertiser_id", "kind", "amount", "note", "actor"])
}

fn transaction_new() -> Value {
    let members = json!({
        "advertiser_id": id_of("advertisers.id", "Whose wallet."), "kind": transaction_kinds(),
        "amount": { "$ref": "#/components/schemas/money", "description": "Not 0; negative in adjustments only." },
        "note": { "type": "string", "maxLength": 1_000, "default": "", "description": "Why." },
    });
    object(members, &["advertiser_id", "kind", "amount"])
}

fn bulk() -> Value {
    let path = json!({
        "type": "string", "description": "The path of a change of a resource, such as /v1/line_items/7:pause.",
        "examples": ["/v1/segments"],
    });
    let said = "What the call would send; \"$0\" in it is the id of what operation 0 has made.";
    let operation = object(
        json!({
            "method": one_of(["POST", "PATCH", "DELETE"], "The method of the call."), "path": path,
            "if_match": {
                "type": "string", "pattern": "^([*]|\"[0-9]+\")$", "examples": ["*"], "description": "Its `If-Match`.",
            },
            "body": { "type": "object", "description": said },
        }),
        &["method", "path"],
    );
    let members = json!({
        "atomic": { "type": "boolean", "default": true, "description": "All or none; false is each for itself." },
        "operations": { "type": "array", "items": operation, "maxItems": MOST, "description": "In this order." },
    });
    object(members, &["operations"])
}

fn bulk_results() -> Value {
    let result = object(
        json!({
            "status": { "type": "integer", "description": "The status that the call would have." },
            "body": { "type": "object", "description": "What it would answer." },
        }),
        &["status", "body"],
    );
    let said = "As it was asked for.";
    let members = json!({
        "atomic": { "type": "boolean", "description": said },
        "results": { "type": "array", "items": result, "description": "One for each operation." },
    });
    object(members, &["atomic", "results"])
}

fn list_values() -> Value {
    let said = "Values as the type of the list has them.";
    let values = json!({
        "type": "array", "items": { "type": "string" }, "maxItems": MAX_ITEMS, "description": said,
    });
    object(json!({ "values": values }), &["values"])
}

fn list_uploaded() -> Value {
    let count = |said: &str| json!({ "type": "integer", "minimum": 0, "description": said });
    let [version, etag, ..] = versioned();
    let members = json!({
        "id": id_of("lists.id", "The list."), "item_count": count("Values on it now."),
        "changed": count("Values that were put on or taken off."), "version": version.1, "etag": etag.1,
    });
    object(members, &["id", "item_count", "changed", "version", "etag"])
}

fn field_error() -> Value {
    let members = json!({
        "pointer": text("The place, as a JSON pointer into what was sent; ?name is a parameter."),
        "code": text("What is wrong, for machines."), "message": text("What is wrong and what to do."),
    });
    object(members, &["pointer", "code", "message"])
}

fn problem() -> Value {
    let members = json!({
        "type": text("about:blank."), "title": text("The sort of problem."),
        "status": { "type": "integer", "minimum": 400, "maximum": 599, "description": "As the answer's own." },
        "detail": text("What happened here, and what to do."), "instance": text("The path."),
        "request_id": text("Of the call, as records and logs have it."),
        "errors": { "type": "array", "items": refer("field_error"), "description": "Every bad field." },
    });
    object(members, &["type", "title", "status", "detail", "instance", "request_id"])
}
