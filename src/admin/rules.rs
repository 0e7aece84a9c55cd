//! What a draft of a resource is held to before it is written, beside what the editor says of it.

use super::crud;
use super::problem::{FieldError, Problem};
use super::shape::{Draft, READ_ONLY, Shape};
use super::state::Puts;
use crate::store::account_file::{Editor, Part};
use crate::store::control::{Kind, Read, Row, Status};
use hyper::StatusCode;
use serde_json::{Map, Value};

/// What may not become what.
pub(super) fn refuse_status(from: Status, to: Status) -> Result<(), Problem> {
    let message = match (from, to) {
        (from, to) if from == to => return Ok(()),
        (_, Status::Draft) => "what was more than a draft does not become one again; pause it instead",
        (Status::Archived, _) => "what is archived stays so; make a new one",
        _ => return Ok(()),
    };
    let errors = vec![FieldError::new("/status", "conflict", message)];
    Err(Problem { errors, ..Problem::new(StatusCode::CONFLICT, "conflict", message) })
}

/// What line items and segments use stays until they do not.
pub(super) fn refuse_in_use(editor: &Editor, shape: &Shape, id: u32) -> Result<(), Problem> {
    let users = editor.users(shape.part, id);
    let Some((part, first)) = users.first() else { return Ok(()) };
    let what = if *part == Part::Segment { "segment" } else { "line item" };
    let more = match users.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let message = format!("{what} {first}{more} uses it; take it out of there first");
    let errors = vec![FieldError::new("/status", "conflict", message.clone())];
    Err(Problem { errors, ..Problem::new(StatusCode::CONFLICT, "in use", message) })
}

/// Refuses a draft that something is wrong with, together with what else would be found.
pub(super) fn refuse_errors(
    puts: &mut Puts<'_>,
    shape: &Shape,
    account: u32,
    id: u32,
    draft: &mut Draft,
) -> Result<(), Problem> {
    if draft.errors.is_empty() {
        return Ok(());
    }
    let mut errors = std::mem::take(&mut draft.errors);
    let row = Row {
        kind: shape.kind,
        id,
        account,
        parent: draft.parent,
        name: draft.name.clone(),
        external_id: None,
        status: draft.status,
        version: 0,
        created_ms: 0,
        updated_ms: 0,
        doc: Value::Object(draft.doc.clone()).to_string(),
    };
    for error in puts.errors_of(shape, &row) {
        let is_known = |known: &FieldError| {
            let below = error.pointer.strip_prefix(&known.pointer);
            below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
        };
        if !errors.iter().any(is_known) {
            errors.push(error);
        }
    }
    Err(Problem::invalid(errors))
}

/// Takes out what only the server writes; each is an error.
pub(super) fn take_read_only(shape: &Shape, object: &mut Map<String, Value>) -> Vec<FieldError> {
    let message = "is written by the server alone; leave it out";
    let mut errors: Vec<FieldError> = (READ_ONLY.iter().filter(|name| object.remove(**name).is_some()))
        .map(|name| FieldError::new(format!("/{name}"), "read_only", message))
        .collect();
    if shape.kind == Kind::Advertiser && object.remove("wallet").is_some() {
        let message = "is the sum of what was paid in; move money by POST /v1/transactions";
        errors.push(FieldError::new("/wallet", "read_only", message));
    }
    errors
}

pub(super) fn refuse_changed(current: &Row, expected: Option<u64>) -> Result<(), Problem> {
    if expected.is_none_or(|expected| expected == current.version) {
        return Ok(());
    }
    let detail = format!(
        "{} {} has version {} by now; read it again and repeat the change",
        current.kind, current.id, current.version
    );
    let current_version = Some(current.version);
    Err(Problem {
        current_version,
        ..Problem::new(StatusCode::PRECONDITION_FAILED, "changed meanwhile", detail)
    })
}

/// The parent must be there, be of the same tenant and not be archived.
pub(super) fn check_parent(
    read: &Read<'_>,
    shape: &Shape,
    account: u32,
    parent: Option<u32>,
) -> Result<Option<FieldError>, Problem> {
    let (Some((outside, _)), Some(parent)) = (shape.parent, parent) else { return Ok(None) };
    let Some(kind) = shape.kind.parent() else { return Ok(None) };
    let found = read.get(kind, parent)?.filter(|row| row.account == account);
    let refuse = |code, message: String| Some(FieldError::new(format!("/{outside}"), code, message));
    Ok(match found {
        None => refuse("unknown_reference", format!("there is no {kind} {parent}; make it or change this")),
        Some(row) if row.status == Status::Archived => {
            refuse("conflict", format!("{kind} {parent} is archived; nothing can be added to it"))
        }
        Some(_) => None,
    })
}

pub(super) fn plain_money(shape: &Shape, editor: &Editor, draft: &mut Draft) {
    let currency = crud::currency_of(shape, editor, draft.parent, &draft.doc);
    shape.plain_money(&mut draft.doc, currency, &mut draft.errors);
}
