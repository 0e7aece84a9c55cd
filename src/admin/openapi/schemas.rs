//! Schemas of the resources: what an answer shows, what POST takes and what PATCH takes, made of what the account file's
//! forms say of themselves and of the members that every resource has.

use crate::admin::crud::MASK;
use crate::admin::shape::{BID_AMOUNT, MAX_EXTERNAL_ID, Shape};
use crate::admin::{alerts, status};
use crate::store::account_file;
use crate::store::control::{Kind, Status};
use serde_json::{Map, Value, json};

/// Which way a document goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// Shown by an answer.
    Shown,
    /// Sent to make something.
    New,
    /// Sent to change something.
    Patch,
}

impl Way {
    pub(super) const ALL: [Way; 3] = [Way::Shown, Way::New, Way::Patch];

    /// What the names of its schemas end with.
    fn ending(self) -> &'static str {
        match self {
            Way::Shown => "",
            Way::New => "_new",
            Way::Patch => "_patch",
        }
    }

    /// The name of a resource's schema.
    pub(super) fn name(self, noun: &str) -> String {
        format!("{noun}{}", self.ending())
    }
}

/// A reference to a schema of the document.
pub(super) fn refer(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// Puts the schemas of a resource among the others.
pub(super) fn add(schemas: &mut Map<String, Value>, shape: &Shape) {
    for way in Way::ALL {
        let is_made = !shape.is_singleton() || way != Way::New;
        if is_made {
            let mut whole = resource(shape, way);
            if let Some(Value::Object(members)) = whole.get_mut("properties") {
                members.values_mut().for_each(|member| lift(schemas, shape.noun(), way, member));
            }
            schemas.insert(way.name(shape.noun()), whole);
        }
    }
}

fn resource(shape: &Shape, way: Way) -> Value {
    let mut whole = account_file::schema(shape.part);
    let Some(own) = whole.as_object_mut() else { return whole };
    own.remove("title");
    let variants = own.remove("oneOf");
    let Some(Value::Object(mut members)) = own.remove("properties") else { return whole };
    let mut required: Vec<String> = own.remove("required").map_or_else(Vec::new, |names| {
        names.as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
    });
    for inside in ["id", "status"].into_iter().chain(shape.parent.map(|(_, inside)| inside)) {
        let outside = shape.parent.filter(|(_, own)| *own == inside);
        let member = members.remove(inside);
        required.retain(|name| name != inside);
        if let (Some((outside, _)), Some(member)) = (outside, member) {
            members.insert(outside.to_owned(), member);
            required.push(outside.to_owned());
        }
    }
    let written_by_server = if shape.kind == Kind::Advertiser { Some("wallet") } else { None };
    let only_new = if shape.kind == Kind::List { Some("items") } else { None };
    for name in written_by_server
        .filter(|_| way != Way::Shown)
        .into_iter()
        .chain(only_new.filter(|_| way != Way::New))
    {
        members.remove(name);
    }
    let mut place = json!({ "properties": members });
    for pointer in shape.money {
        let path = pointer.replace('/', "/properties/");
        if let Some(amount) = place.pointer_mut(&path) {
            money(amount, way);
            if way == Way::Shown && *pointer == BID_AMOUNT {
                let said = amount["description"].take();
                let ratio = json!({ "type": "string", "description": "Of `target_roas`." });
                *amount = json!({ "anyOf": [refer("money"), ratio], "description": said });
            }
        }
    }
    let Some(Value::Object(mut members)) = place.get_mut("properties").map(Value::take) else { return whole };
    common(shape, way, &mut members, &mut required);
    match way {
        Way::Shown => members.values_mut().for_each(mask),
        Way::New => {}
        Way::Patch => members.values_mut().for_each(loosen),
    }
    own.insert("properties".to_owned(), Value::Object(members));
    if way != Way::Patch && !required.is_empty() {
        own.insert("required".to_owned(), required.into());
    }
    if let (Way::New, Some(variants)) = (way, variants) {
        own.insert("oneOf".to_owned(), variants);
    }
    whole
}

/// Members that every resource has.
fn common(shape: &Shape, way: Way, members: &mut Map<String, Value>, required: &mut Vec<String>) {
    let mut add = |name: &str, is_required: bool, schema: Value| {
        members.insert(name.to_owned(), schema);
        if is_required && !required.iter().any(|known| known == name) {
            required.push(name.to_owned());
        }
    };
    let is_shown = way == Way::Shown;
    if !shape.is_singleton() {
        add("external_id", is_shown, external_id());
        let default = if shape.serves_at_once() { Status::Active } else { Status::Draft };
        let mut status = statuses();
        status["description"] = "Only what is active serves; what is archived stays so.".into();
        if way == Way::New {
            status["default"] = default.as_str().into();
        }
        add("status", is_shown, status);
    }
    add(
        "notes",
        false,
        json!({ "type": "string", "description": "For people; the engine does not know them." }),
    );
    add("labels", false, labels());
    if !shape.is_shared && way != Way::Patch {
        let said = "The account that it belongs to. Default that of the caller, or of what it belongs to.";
        add("account_id", is_shown, id_of("accounts.id", said));
    }
    if !is_shown {
        return;
    }
    if !shape.is_singleton() {
        add("id", true, id_of(&format!("{}.id", shape.collection), "Its number, given by the server."));
        add("name", true, json!({ "type": "string", "minLength": 1, "description": "For people." }));
    }
    for (name, schema) in versioned() {
        add(name, true, schema);
    }
    if status::has_any(shape.kind) {
        add(
            "effective_status",
            true,
            json!({
                "type": "string", "enum": status::EFFECTIVE, "description": "Whether it serves, or the first reason why not.",
            }),
        );
        let said = "All reasons why it does not serve, each with what to do.";
        add(
            "status_reasons",
            true,
            json!({ "type": "array", "items": { "type": "string" }, "description": said }),
        );
    }
    if shape.kind == Kind::LineItem {
        add("health", true, alerts::health_schema());
        add("alerts", true, alerts::codes_schema());
    }
    if shape.kind == Kind::List {
        let said = "How many values stand on it.";
        add("item_count", true, json!({ "type": "integer", "minimum": 0, "description": said }));
    }
    let said = "What is allowed and probably not meant; in answers to changes.";
    add("warnings", false, json!({ "type": "array", "items": refer("field_error"), "description": said }));
}

/// The members that say which version is shown.
pub(super) fn versioned() -> [(&'static str, Value); 4] {
    let moment = |said: &str| json!({ "type": "string", "format": "date-time", "description": said });
    [
        ("version", json!({ "type": "integer", "minimum": 1, "description": "Counts its changes, from 1." })),
        (
            "etag",
            json!({
                "type": "string", "pattern": "^\"[0-9]+\"$", "description": "The version as `If-Match` takes it.",
            }),
        ),
        ("created_at", moment("When it was made.")),
        ("updated_at", moment("When it was changed last.")),
    ]
}

pub(super) fn statuses() -> Value {
    json!({ "type": "string", "enum": Status::ALL.iter().map(|status| status.as_str()).collect::<Vec<_>>() })
}

pub(super) fn labels() -> Value {
    json!({
        "type": "object", "additionalProperties": { "type": "string" },
        "description": "Texts by name, for people and programs; the engine does not know them.",
    })
}

fn external_id() -> Value {
    json!({
        "type": ["string", "null"], "minLength": 1, "maxLength": MAX_EXTERNAL_ID,
        "description": "What it is called elsewhere, once among its kind in an account.",
    })
}

/// The id of something, as a text.
pub(super) fn id_of(target: &str, said: &str) -> Value {
    json!({
        "type": "string", "pattern": "^(0|[1-9][0-9]{0,9})$", "x-refers-to": target, "description": said,
    })
}

/// Makes an amount of a decimal.
fn money(amount: &mut Value, way: Way) {
    let mut named = refer(if way == Way::Shown { "money" } else { "money_given" });
    for kept in ["description", "default"] {
        if let Some(value) = amount.get_mut(kept).map(Value::take) {
            named[kept] = value;
        }
    }
    *amount = named;
}

/// An amount as it is shown, and as it is taken.
pub(super) fn amounts() -> [(&'static str, Value); 2] {
    let decimal = json!({
        "type": "string", "pattern": r"^-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$", "examples": ["2.50"],
        "description": "An exact decimal.",
    });
    let currency = json!({
        "type": "string", "pattern": "^[A-Za-z]{3}$", "examples": ["USD"],
        "description": "Never a choice: that of the advertiser or the exchange.",
    });
    let members = json!({ "amount": decimal, "currency": currency });
    let micros = json!({
        "anyOf": [{ "type": "integer", "minimum": 0, "maximum": 1_000_000_000_000_i64 }, {
            "type": "string", "pattern": "^[0-9]{1,12}$", "examples": ["2500000"],
        }],
        "description": "Millionths of the unit.",
    });
    let object = |members: Value, required: &[&str]| json!({ "type": "object", "properties": members, "required": required, "additionalProperties": false });
    let given = json!([
        object(members.clone(), &["amount"]),
        decimal,
        object(json!({ "micros": micros, "currency": members["currency"] }), &["micros"]),
    ]);
    [("money", object(members, &["amount", "currency"])), ("money_given", json!({ "anyOf": given }))]
}

/// Secrets are shown by a mask.
fn mask(schema: &mut Value) {
    match schema {
        Value::Object(rules) if rules.get("writeOnly") == Some(&Value::Bool(true)) => {
            rules.retain(|rule, _| ["type", "description"].contains(&rule.as_str()));
            rules.insert("const".to_owned(), MASK.into());
        }
        Value::Object(rules) => rules.values_mut().for_each(mask),
        Value::Array(values) => values.iter_mut().for_each(mask),
        _ => {}
    }
}

/// What a merge patch may say in the place of a value: null, or of an object some members.
fn loosen(schema: &mut Value) {
    loosen_members(schema);
    let said = schema.get("description").cloned();
    let is_plain = schema.get("enum").is_none() && schema.get("const").is_none();
    match schema.get("type").and_then(Value::as_str).map(str::to_owned) {
        Some(name) if is_plain => schema["type"] = json!([name, "null"]),
        _ if schema["type"].is_array() => {}
        _ => {
            if let Value::Object(rules) = schema {
                rules.remove("description");
            }
            *schema = json!({ "anyOf": [schema.take(), { "type": "null" }] });
            if let Some(said) = said {
                schema["description"] = said;
            }
        }
    }
}

fn loosen_members(schema: &mut Value) {
    let Value::Object(rules) = schema else { return };
    rules.remove("default");
    if let Some(Value::Array(choices)) = rules.get_mut("anyOf") {
        choices.iter_mut().for_each(loosen_members);
    }
    if let Some(Value::Object(members)) = rules.get_mut("properties") {
        members.values_mut().for_each(loosen);
        rules.remove("required");
    }
    // A label that is null is taken off.
    if let Some(says @ Value::Object(_)) = rules.get_mut("additionalProperties") {
        loosen(says);
    }
}

/// Moves what has a title out among the schemas, and leaves a reference. What has the name already and is the same is
/// not there twice.
fn lift(schemas: &mut Map<String, Value>, noun: &str, way: Way, schema: &mut Value) {
    match schema {
        Value::Object(rules) => {
            rules.values_mut().for_each(|inner| lift(schemas, noun, way, inner));
            let Some(title) = rules.get("title").and_then(Value::as_str).map(str::to_owned) else { return };
            rules.remove("title");
            let said = rules.remove("description");
            let whole = schema.take();
            let choices = [title.clone(), way.name(&title), way.name(&format!("{noun}_{title}"))];
            let name = choices.into_iter().find(|name| schemas.get(name).is_none_or(|known| *known == whole));
            let name = name.expect("a resource has one form of a name");
            *schema = refer(&name);
            if let Some(said) = said {
                schema["description"] = said;
            }
            schemas.insert(name, whole);
        }
        Value::Array(values) => values.iter_mut().for_each(|inner| lift(schemas, noun, way, inner)),
        _ => {}
    }
}
