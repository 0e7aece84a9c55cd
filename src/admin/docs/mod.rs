//! `GET /docs`: the reference of the API as one page, made of its description. Nothing on it is from elsewhere, nothing
//! runs on it, and it is the same for everybody, so it needs no key.
//!
//! Invariant: every text from the description passes [`escape`]; the markup is this module's alone.

mod example;

use super::openapi;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue,
    IF_NONE_MATCH, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use crate::serve::{ApiAnswer, ApiBody};

const STYLE: &str = include_str!("style.css");

/// What of an operation stands where.
const METHODS: [&str; 4] = ["get", "post", "patch", "delete"];

/// The page and what is sent with it.
struct Page {
    html: Bytes,
    etag: String,
    policy: String,
}

static PAGE: LazyLock<Page> = LazyLock::new(|| {
    let html = page(openapi::document());
    let etag =
        Sha256::digest(&html).iter().take(8).fold(String::new(), |etag, byte| format!("{etag}{byte:02x}"));
    let style = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    Page { html: Bytes::from(html), etag: format!("\"{etag}\""), policy }
});

/// The page, or that it has not changed.
pub(super) fn answer(headers: &HeaderMap, request_id: &str) -> ApiAnswer {
    let page = &*PAGE;
    let is_known = headers.get(IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == page.etag.as_bytes());
    let body = if is_known { Bytes::new() } else { page.html.clone() };
    let mut answer = hyper::Response::new(ApiBody::from(body));
    if is_known {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    }
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, &page.policy),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (ETAG, &page.etag),
        (HeaderName::from_static("x-request-id"), request_id),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

/// A text as it stands between tags or in a quoted attribute.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// Adds to the page; a `String` takes everything.
macro_rules! put {
    ($page:expr, $($what:tt)+) => { write!($page, $($what)+).expect("a text takes everything") };
}

fn page(document: &Value) -> String {
    let operations = operations(document);
    let schemas = document["components"]["schemas"].as_object();
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>outbid API</title>\
         <style>{STYLE}</style></head>\n<body><nav><p><a href=\"#top\">outbid API</a></p>"
    );
    put!(page, "<ul>");
    for tag in operations.keys() {
        put!(page, "<li><a href=\"#{0}\">{0}</a></li>", escape(tag));
    }
    put!(page, "</ul><p class=\"dim\">Schemas</p><ul>");
    for (name, _) in schemas.into_iter().flatten() {
        put!(page, "<li><a href=\"#schema-{0}\">{0}</a></li>", escape(name));
    }
    let (version, about) = (&document["info"]["version"], &document["info"]["description"]);
    put!(
        page,
        "</ul></nav>\n<main id=\"top\"><h1>outbid API</h1><p class=\"dim\">Version {}. ",
        said(version)
    );
    put!(page, "For programs: <code>/openapi.json</code>.</p><p>{}</p>", said(about));
    put!(page, "<p>Every call but this page has <code>Authorization: Bearer KEY</code>. Refusals are ");
    put!(page, "<a href=\"#schema-problem\">problems</a>, whatever was called.</p>");
    for (tag, routes) in &operations {
        put!(page, "\n<h2 id=\"{0}\">{0}</h2>", escape(tag));
        routes
            .iter()
            .for_each(|(path, method, operation)| route(&mut page, document, path, method, operation));
    }
    put!(page, "\n<h2 id=\"schemas\">Schemas</h2>");
    for (name, schema) in schemas.into_iter().flatten() {
        put!(page, "\n<h3 id=\"schema-{0}\">{0}</h3>", escape(name));
        let alone = type_of(schema);
        if schema["properties"].is_object() {
            members(&mut page, schema);
        } else {
            put!(page, "<p>{alone}</p>");
        }
    }
    page.push_str("</main></body></html>\n");
    page
}

/// Routes by what they are of.
type Operations<'d> = BTreeMap<&'d str, Vec<(&'d str, &'static str, &'d Value)>>;

fn operations(document: &Value) -> Operations<'_> {
    let mut found = Operations::new();
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for method in METHODS {
            let Some(operation) = methods.get(method) else { continue };
            let tag = operation["tags"][0].as_str().unwrap_or_default();
            found.entry(tag).or_default().push((path, method, operation));
        }
    }
    found
}

fn route(page: &mut String, document: &Value, path: &str, method: &str, operation: &Value) {
    let (id, verb) = (said(&operation["operationId"]), method.to_ascii_uppercase());
    put!(page, "\n<h3 id=\"{id}\"><a href=\"#{id}\"><b>{verb}</b>{}</a></h3>", escape(path));
    put!(page, "<p>{}.</p><p class=\"dim\">", said(&operation["summary"]));
    if operation["security"].is_array() {
        put!(page, "No key.");
    } else {
        put!(page, "Role <code>{}</code>", said(&operation["x-role"]));
        if let Some(scope) = operation["x-scope"].as_str() {
            put!(page, ", scope <code>{}</code>", escape(scope));
        }
        put!(page, "{}.", if operation["x-platform-only"] == true { ", of the platform only" } else { "" });
    }
    put!(page, "</p>");
    let parameters = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
    if !parameters.is_empty() {
        put!(page, "<div class=\"wide\"><table><tr><th>parameter</th><th>in</th><th>type</th><th></th></tr>");
        for parameter in parameters {
            let name = said(&parameter["name"]);
            let needed = if parameter["required"] == true { " <b>required</b>" } else { "" };
            put!(page, "<tr><td><code>{name}</code>{needed}</td><td>{}</td>", said(&parameter["in"]));
            let (of, about) = (type_of(&parameter["schema"]), said(&parameter["description"]));
            put!(page, "<td>{of}</td><td>{about}{}</td></tr>", default_of(&parameter["schema"]));
        }
        put!(page, "</table></div>");
    }
    for (media, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
        put!(page, "<p>Takes {} as <code>{}</code>.</p>", type_of(&content["schema"]), escape(media));
    }
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        let of = response["content"].as_object().and_then(|content| content.values().next());
        let of = of.map_or_else(String::new, |content| format!(": {}", type_of(&content["schema"])));
        let about = said(&response["description"]);
        put!(page, "<p><code>{}</code> {about}{of}</p>", escape(status));
    }
    put!(page, "<pre><code>{}</code></pre>", escape(&example::curl(document, path, method, operation)));
}

/// A table of an object's members, and of those of objects in it that have no name.
fn members(page: &mut String, schema: &Value) {
    put!(page, "<div class=\"wide\"><table><tr><th>member</th><th>type</th><th></th></tr>");
    rows(page, schema, "");
    put!(page, "</table></div>");
    let variants = schema["oneOf"].as_array().map_or(&[][..], Vec::as_slice);
    for variant in variants.iter().filter(|variant| variant["title"].is_string()) {
        let (mut needed, mut not) = (Vec::new(), Vec::new());
        needs(variant, "", &mut needed, &mut not);
        let (title, needed) = (said(&variant["title"]), needed.join(", "));
        let not = if not.is_empty() { String::new() } else { format!("; it has no {}", not.join(", ")) };
        put!(page, "<p><b>{title}</b> needs {needed}{not}.</p>");
    }
}

/// What a variant must have and what it has not, by paths.
fn needs(variant: &Value, above: &str, needed: &mut Vec<String>, not: &mut Vec<String>) {
    let code = |name: &str| format!("<code>{above}{}</code>", escape(name));
    let required = variant["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for name in required {
        let member = &variant["properties"][name];
        match member.get("required") {
            Some(_) => needs(member, &format!("{above}{name}."), needed, not),
            None => needed.push(code(name)),
        }
    }
    let members = variant["properties"].as_object().into_iter().flatten();
    not.extend(members.filter(|(_, says)| **says == false).map(|(name, _)| code(name)));
}

fn rows(page: &mut String, schema: &Value, above: &str) {
    let is_required = |name: &str| {
        schema["required"].as_array().is_some_and(|required| required.iter().any(|known| known == name))
    };
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{above}{name}");
        let needed = if is_required(name) { " <b>required</b>" } else { "" };
        put!(page, "<tr><td><code>{}</code>{needed}</td>", escape(&path));
        let about = said(&member["description"]);
        put!(page, "<td>{}</td><td>{about}{}</td></tr>", type_of(member), default_of(member));
        rows(page, member, &format!("{path}."));
        rows(page, &member["items"], &format!("{path}[]."));
        for choice in member["anyOf"].as_array().into_iter().flatten() {
            rows(page, choice, &format!("{path}."));
        }
    }
}

fn default_of(schema: &Value) -> String {
    match schema.get("default") {
        None => String::new(),
        Some(Value::String(text)) => {
            format!(" <span class=\"dim\">Default</span> <code>{}</code>", escape(text))
        }
        Some(other) => {
            format!(" <span class=\"dim\">Default</span> <code>{}</code>", escape(&other.to_string()))
        }
    }
}

/// What a value may be, in words; references are links.
fn type_of(schema: &Value) -> String {
    if let Some(target) = schema["$ref"].as_str() {
        let name = escape(target.rsplit('/').next().unwrap_or_default());
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    let choices = schema["anyOf"].as_array().map_or(&[][..], Vec::as_slice);
    if !choices.is_empty() {
        return choices.iter().map(type_of).collect::<Vec<_>>().join(" or ");
    }
    let mut words = match &schema["type"] {
        Value::String(name) => escape(name),
        Value::Array(names) => names.iter().map(said).collect::<Vec<_>>().join(" or "),
        _ => String::new(),
    };
    if schema["type"] == "array" {
        put!(words, " of {}", type_of(&schema["items"]));
    }
    for name in schema["enum"].as_array().into_iter().flatten().chain(schema.get("const")) {
        put!(words, " <code>{}</code>", said(name));
    }
    match (schema.get("minimum"), schema.get("maximum")) {
        (Some(least), Some(most)) => put!(words, " {least} to {most}"),
        (Some(least), None) => put!(words, " from {least}"),
        _ => {}
    }
    for (rule, about) in [("maxLength", "characters"), ("maxItems", "entries")] {
        if let Some(most) = schema.get(rule) {
            put!(words, ", at most {most} {about}");
        }
    }
    if let Some(example) = schema["examples"].get(0) {
        put!(words, ", such as <code>{}</code>", said(example));
    } else if let Some(format) = schema["format"].as_str() {
        put!(words, " ({})", escape(format));
    }
    if let Some(target) = schema["x-refers-to"].as_str() {
        put!(words, ", of <code>{}</code>", escape(target));
    }
    words
}

/// A text or a number of the description.
fn said(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => escape(text),
        other => escape(&other.to_string()),
    }
}
