//! What stands on a list: read in pages, put on and taken off by the line.
//!
//! Invariant: the store's items and the values that the editor serves are equal. Every change of them makes a new version
//! of the list.

use super::audit;
use super::call::{Call, Reply, Who, media};
use super::crud;
use super::idempotent;
use super::page::page_size;
use super::problem::{FieldError, Problem};
use super::rules;
use super::shape::{Shape, etag};
use super::state::{Inner, Puts};
use crate::model::list::{List, ListKind};
use crate::store::account_file::{MAX_ITEMS, list_value};
use crate::store::control::items::ItemsError;
use crate::store::control::{Kind, Read, Row, Write};
use hyper::StatusCode;
use hyper::header::ETAG;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What an upload and a look may be asked.
pub(super) const UPLOAD_PARAMETERS: &[&str] = &["mode", "validate_only"];
pub(super) const ITEMS_PARAMETERS: &[&str] = &["page_size", "page_token"];

/// Errors of one upload that are shown.
const MAX_ERRORS: usize = 100;
const TEXT: [&str; 2] = ["text/plain", "text/csv"];

/// What an upload does with the values.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Add,
    Remove,
    Replace,
}

/// `GET /v1/lists/{id}/items`.
pub(super) fn items(inner: &Arc<Inner>, mut call: Call) -> Result<Reply, Problem> {
    let size = page_size(&mut call.parameters)?;
    let after = match call.parameters.take("page_token") {
        None => None,
        Some(token) => match token.strip_prefix("after-") {
            Some(value) => Some(value.to_owned()),
            None => {
                let message = "is none that a list gave; begin again without it";
                return Err(Problem::parameter("page_token", message));
            }
        },
    };
    let (id, account) = (call.id.unwrap_or(0), call.account);
    call.parameters.finish(&ITEMS_PARAMETERS.join(", "))?;
    let (row, mut values, total) = inner.control.read(|read| {
        let row = row_of(read, id, account)?;
        let values = read.items_page(id, after.as_deref(), size + 1)?;
        Ok::<_, Problem>((row, values, read.items_count(id)?))
    })?;
    let more = values.len() > size;
    values.truncate(size);
    let next = values.last().filter(|_| more).map(|last| format!("after-{last}"));
    let body = json!({ "items": values, "next_page_token": next, "total": total });
    Ok(Reply::new(StatusCode::OK, body).with(ETAG, etag(row.version)))
}

/// `POST /v1/lists/{id}/items:upload`.
pub(super) fn upload(inner: &Arc<Inner>, mut call: Call) -> Result<Reply, Problem> {
    let dry = call.parameters.switch("validate_only")?;
    let mode = match call.parameters.take("mode").as_deref() {
        None | Some("add") => Mode::Add,
        Some("remove") => Mode::Remove,
        Some("replace") => Mode::Replace,
        Some(_) => return Err(Problem::parameter("mode", "is add, remove or replace")),
    };
    let sent = sent(&call)?;
    let once = idempotent::of(&call)?;
    let (_, version) = call.if_match()?;
    let (id, account, who) = (call.id.unwrap_or(0), call.account, call.who());
    call.parameters.finish(&UPLOAD_PARAMETERS.join(", "))?;
    crud::change(inner, dry, once, move |tx, puts| {
        let before = row_of(tx, id, account)?;
        rules::refuse_changed(&before, version)?;
        let list = served(puts, id)?;
        let values = read_values(list.kind, &sent)?;
        let (next, changed) = changed(&list, mode, values);
        refuse_too_many(next.len())?;
        let is = next.len();
        let row = if changed == 0 { before } else { write(tx, puts, &who, &list, next, changed)? };
        let etag = etag(row.version);
        let view = json!({
            "id": id.to_string(), "item_count": is, "changed": changed, "version": row.version, "etag": etag,
        });
        Ok(Reply::new(StatusCode::OK, view).with(ETAG, etag))
    })
}

/// Puts the values that came with a new list on it.
pub(super) fn fill(tx: &mut Write<'_>, puts: &mut Puts<'_>, row: &Row, items: Value) -> Result<(), Problem> {
    let list = served(puts, row.id)?;
    let values = values_of(list.kind, items)?;
    store(tx, puts, row.id, values)
}

/// Makes these the values of a list; whether they were others.
pub(super) fn set(
    tx: &mut Write<'_>,
    puts: &mut Puts<'_>,
    who: &Who,
    id: u32,
    items: Value,
) -> Result<bool, Problem> {
    let list = served(puts, id)?;
    let (next, changed) = changed(&list, Mode::Replace, values_of(list.kind, items)?);
    if changed > 0 {
        write(tx, puts, who, &list, next, changed)?;
    }
    Ok(changed > 0)
}

fn served(puts: &Puts<'_>, id: u32) -> Result<Arc<List>, Problem> {
    puts.editor.list(id).map(Arc::clone).ok_or_else(|| Problem::not_found("such list"))
}

/// The values of a document's `items`.
fn values_of(kind: ListKind, items: Value) -> Result<BTreeSet<String>, Problem> {
    let refuse = || Problem::invalid(vec![FieldError::new("/items", "malformed", "is a list of texts")]);
    let Value::Array(items) = items else { return Err(refuse()) };
    let place = |(at, item): (usize, Value)| {
        let text = item.as_str().map(str::to_owned);
        text.map(|text| (format!("/items/{at}"), text))
    };
    let sent: Option<Vec<_>> = items.into_iter().enumerate().map(place).collect();
    let values = read_values(kind, &sent.ok_or_else(refuse)?)?;
    refuse_too_many(values.len())?;
    Ok(values)
}

fn write(
    tx: &mut Write<'_>,
    puts: &mut Puts<'_>,
    who: &Who,
    list: &List,
    next: BTreeSet<String>,
    changed: usize,
) -> Result<Row, Problem> {
    let id = list.id.0;
    let (was, is) =
        (json!({ "item_count": list.values.len() }), json!({ "item_count": next.len(), "changed": changed }));
    store(tx, puts, id, next)?;
    let row = tx.touch(Kind::List, id)?;
    let about = audit::About { kind: "list", id, account: row.account, version: Some(row.version) };
    audit::record(tx, who, "upload", &about, (&was, &is))?;
    Ok(row)
}

fn store(tx: &mut Write<'_>, puts: &mut Puts<'_>, id: u32, values: BTreeSet<String>) -> Result<(), Problem> {
    tx.replace_items(id, &values).map_err(|why| match why {
        ItemsError::Store(why) => Problem::from(why),
        ItemsError::Missing { .. } => Problem::not_found("such list"),
    })?;
    puts.put_values(id, values.into_iter().collect());
    Ok(())
}

/// What a list becomes, and how many values differ.
fn changed(list: &List, mode: Mode, values: BTreeSet<String>) -> (BTreeSet<String>, usize) {
    let before: BTreeSet<String> = list.values.iter().cloned().collect();
    let next: BTreeSet<String> = match mode {
        Mode::Add => before.union(&values).cloned().collect(),
        Mode::Remove => before.difference(&values).cloned().collect(),
        Mode::Replace => values,
    };
    let changed = before.symmetric_difference(&next).count();
    (next, changed)
}

fn refuse_too_many(count: usize) -> Result<(), Problem> {
    if count <= MAX_ITEMS {
        return Ok(());
    }
    let message = format!("would have {count} values; at most {MAX_ITEMS} fit on one list, so make two");
    Err(Problem::invalid(vec![FieldError::new("/items", "out_of_range", message)]))
}

/// The values of an upload with their places: lines of a text, or a JSON object's `values`.
fn sent(call: &Call) -> Result<Vec<(String, String)>, Problem> {
    const JSON: &str = "application/json";
    if media(&call.headers, &[JSON, TEXT[0], TEXT[1]])? == JSON {
        let mut object = call.object(&[JSON])?;
        let values = object.remove("values");
        if let Some(name) = object.keys().next() {
            let message = "is not known; there is values";
            return Err(Problem::invalid(vec![FieldError::new(format!("/{name}"), "malformed", message)]));
        }
        let Some(Value::Array(values)) = values else {
            let message = "give a list of texts";
            return Err(Problem::invalid(vec![FieldError::new("/values", "missing", message)]));
        };
        let read = |(at, value): (usize, Value)| match value {
            Value::String(text) => Ok((format!("/values/{at}"), text)),
            _ => Err(FieldError::new(format!("/values/{at}"), "malformed", "give a text in quotes")),
        };
        let read: Result<Vec<_>, _> = values.into_iter().enumerate().map(read).collect();
        return read.map_err(|error| Problem::invalid(vec![error]));
    }
    let text = std::str::from_utf8(&call.body).map_err(|why| {
        let line = call.body[..why.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        Problem::new(StatusCode::BAD_REQUEST, "malformed text", format!("line {line} is no UTF-8"))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.lines().enumerate().map(|(at, line)| (format!("/lines/{}", at + 1), line.trim()));
    Ok(lines.filter(|(_, line)| !line.is_empty()).map(|(at, line)| (at, line.to_owned())).collect())
}

/// The values in the form in which they are compared; everything that is wrong is in the errors, up to a limit.
fn read_values(kind: ListKind, sent: &[(String, String)]) -> Result<BTreeSet<String>, Problem> {
    let (mut values, mut errors, mut refused) = (BTreeSet::new(), Vec::new(), 0);
    for (pointer, text) in sent {
        match list_value(kind, text) {
            Ok(value) => drop(values.insert(value)),
            Err(_) if errors.len() == MAX_ERRORS => refused += 1,
            Err(message) => errors.push(FieldError::new(pointer.as_str(), "malformed", message)),
        }
    }
    if refused > 0 {
        errors.push(FieldError::new("", "malformed", format!("{refused} more are wrong")));
    }
    if errors.is_empty() { Ok(values) } else { Err(Problem::invalid(errors)) }
}

fn row_of(read: &Read<'_>, id: u32, account: Option<u32>) -> Result<Row, Problem> {
    crud::row_of(read, Shape::of(Kind::List).expect("lists are resources"), id, account)
}
