//! Reading and changing resources, the same for every kind.

use super::call::{Call, Reply};
use super::merge::merge;
use super::page::{ListCall, fields};
use super::problem::{FieldError, Problem};
use super::shape::{Draft, READ_ONLY, Shape, etag};
use super::state::{Inner, Puts};
use super::status;
use crate::model::money::Currency;
use crate::store::account_file::Editor;
use crate::store::control::{Change, ControlError, Kind, New, Read, Row, Status, Write};
use hyper::StatusCode;
use hyper::header::{ETAG, HeaderName, IF_NONE_MATCH, LINK, LOCATION};
use serde_json::{Map, Value, json};
use std::sync::Arc;

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// How a transaction that worked out fine ends without being kept.
enum Outcome {
    Kept(Row, Vec<FieldError>),
    /// `validate_only`.
    Tried(Row, Vec<FieldError>),
}

pub(super) fn list(inner: &Arc<Inner>, shape: &'static Shape, call: Call) -> Result<Reply, Problem> {
    let asked = ListCall::read(shape, scope(shape, &call), call.parameters)?;
    let mut query = asked.query;
    let size = query.limit;
    query.limit = size + 1;
    let (mut rows, total) = inner.control.read(|read| {
        let rows = read.list(&query)?;
        let total = asked.total.then(|| read.count(&query)).transpose()?;
        Ok::<_, Problem>((rows, total))
    })?;
    let next = if rows.len() > size {
        rows.truncate(size);
        rows.last().map(|last| query.cursor(last).encode())
    } else {
        None
    };
    let editor = inner.editor.lock();
    let items: Vec<Value> =
        rows.iter().map(|row| only(view(inner, &editor, shape, row), asked.fields.as_deref())).collect();
    let mut body = json!({ (shape.collection): items, "next_page_token": next });
    if let Some(total) = total {
        body["total"] = total.into();
    }
    let reply = Reply::new(StatusCode::OK, body);
    Ok(match next {
        Some(next) => reply.with(LINK, format!("</v1/{}?page_token={next}>; rel=\"next\"", shape.collection)),
        None => reply,
    })
}

pub(super) fn get(inner: &Arc<Inner>, shape: &'static Shape, mut call: Call) -> Result<Reply, Problem> {
    let fields = fields(&mut call.parameters);
    let known = call.headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let id = id_of(shape, &call);
    let account = scope(shape, &call);
    call.parameters.finish("fields")?;
    let row = inner.control.read(|read| row_of(read, shape, id, account))?;
    if known.is_some_and(|known| known == etag(row.version)) {
        return Ok(Reply { status: StatusCode::NOT_MODIFIED, body: None, headers: Vec::new() });
    }
    let view = view(inner, &inner.editor.lock(), shape, &row);
    Ok(Reply::new(StatusCode::OK, only(view, fields.as_deref())).with(ETAG, etag(row.version)))
}

pub(super) fn create(inner: &Arc<Inner>, shape: &'static Shape, mut call: Call) -> Result<Reply, Problem> {
    let dry = call.parameters.switch("validate_only")?;
    let object = call.object(&[JSON])?;
    refuse_read_only(&object)?;
    let account = scope(shape, &call).unwrap_or(0);
    call.parameters.finish("validate_only")?;
    let default = if shape.kind == Kind::Segment || shape.is_shared { Status::Active } else { Status::Draft };
    let draft = shape.read(object, default).map_err(Problem::invalid)?;
    let made = change(inner, dry, move |tx, puts| {
        let mut draft = draft;
        check_parent(tx, shape, account, draft.parent)?;
        plain_money(shape, puts.editor, &mut draft)?;
        let Draft { name, external_id, status, parent, doc } = draft;
        let doc = Value::Object(doc).to_string();
        let new = New { kind: shape.kind, id: None, account, parent, name, external_id, status, doc };
        let row = tx.insert(new)?;
        let warnings = puts.put(shape, &row)?;
        Ok((row, warnings))
    })?;
    Ok(match made {
        Outcome::Tried(row, warnings) => written(inner, shape, StatusCode::OK, &row, warnings),
        Outcome::Kept(row, warnings) => {
            let location = format!("/v1/{}/{}", shape.collection, row.id);
            written(inner, shape, StatusCode::CREATED, &row, warnings).with(LOCATION, location)
        }
    })
}

pub(super) fn patch(inner: &Arc<Inner>, shape: &'static Shape, mut call: Call) -> Result<Reply, Problem> {
    let dry = call.parameters.switch("validate_only")?;
    let mask = call.parameters.take("update_mask");
    let mut object = call.object(&[MERGE_PATCH, JSON])?;
    if let Some(mask) = mask {
        let masked: Vec<&str> = mask.split(',').map(str::trim).collect();
        object.retain(|name, _| masked.contains(&name.as_str()));
    }
    refuse_read_only(&object)?;
    let (expects, version) = call.if_match()?;
    if !expects && let Some(guarded) = shape.guarded.iter().find(|name| object.contains_key(**name)) {
        let detail = format!(
            "a change of {guarded} needs `If-Match` with the `etag` of the version that you have seen, so that nobody's \
             change is lost"
        );
        return Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, "precondition required", detail));
    }
    let (id, account) = (id_of(shape, &call), scope(shape, &call));
    call.parameters.finish("validate_only, update_mask")?;
    let done = change(inner, dry, move |tx, puts| {
        let current = row_of(tx, shape, id, account)?;
        refuse_changed(&current, version)?;
        let mut whole = Value::Object(shape.view(&current, None));
        merge(&mut whole, &Value::Object(object));
        let Value::Object(whole) = whole else { unreachable!("an object merged with an object is one") };
        let draft = shape.read(whole, current.status).map_err(Problem::invalid)?;
        update(tx, puts, shape, &current, draft)
    })?;
    let (Outcome::Kept(row, warnings) | Outcome::Tried(row, warnings)) = done;
    Ok(written(inner, shape, StatusCode::OK, &row, warnings))
}

pub(super) fn set_status(
    inner: &Arc<Inner>,
    shape: &'static Shape,
    status: Status,
    mut call: Call,
) -> Result<Reply, Problem> {
    let dry = call.parameters.switch("validate_only")?;
    let (_, version) = call.if_match()?;
    let (id, account) = (id_of(shape, &call), scope(shape, &call));
    call.parameters.finish("validate_only")?;
    let done = change(inner, dry, move |tx, puts| {
        let current = row_of(tx, shape, id, account)?;
        refuse_changed(&current, version)?;
        let whole = shape.view(&current, None);
        let draft = shape.read(whole, current.status).map_err(Problem::invalid)?;
        update(tx, puts, shape, &current, Draft { status, ..draft })
    })?;
    let (Outcome::Kept(row, warnings) | Outcome::Tried(row, warnings)) = done;
    Ok(written(inner, shape, StatusCode::OK, &row, warnings))
}

/// Runs `work`; what it did is kept unless it is only tried.
fn change(
    inner: &Arc<Inner>,
    dry: bool,
    work: impl FnOnce(&mut Write<'_>, &mut Puts<'_>) -> Result<(Row, Vec<FieldError>), Problem> + Send + 'static,
) -> Result<Outcome, Problem> {
    let tried: Arc<parking_lot::Mutex<Option<(Row, Vec<FieldError>)>>> = Arc::default();
    let seen = Arc::clone(&tried);
    let kept = inner.change(move |tx, puts| {
        let done = work(tx, puts)?;
        if dry {
            // Whatever the refusal says is not shown: it only keeps the transaction from being committed.
            *seen.lock() = Some(done);
            return Err(Problem::new(StatusCode::OK, "validated", "nothing was changed"));
        }
        Ok(done)
    });
    match (kept, tried.lock().take()) {
        (Ok((row, warnings)), _) => Ok(Outcome::Kept(row, warnings)),
        (Err(_), Some((row, warnings))) => Ok(Outcome::Tried(row, warnings)),
        (Err(problem), None) => Err(problem),
    }
}

fn update(
    tx: &mut Write<'_>,
    puts: &mut Puts<'_>,
    shape: &'static Shape,
    current: &Row,
    mut draft: Draft,
) -> Result<(Row, Vec<FieldError>), Problem> {
    refuse_status(current.status, draft.status)?;
    if draft.parent != current.parent {
        check_parent(tx, shape, current.account, draft.parent)?;
    }
    plain_money(shape, puts.editor, &mut draft)?;
    let change = Change {
        name: Some(draft.name),
        status: Some(draft.status),
        external_id: Some(draft.external_id),
        parent: Some(draft.parent),
        doc: Some(Value::Object(draft.doc).to_string()),
    };
    let row = tx.update(shape.kind, current.id, Some(current.version), change)?;
    let warnings = puts.put(shape, &row)?;
    Ok((row, warnings))
}

/// What may not become what.
fn refuse_status(from: Status, to: Status) -> Result<(), Problem> {
    let message = match (from, to) {
        (from, to) if from == to => return Ok(()),
        (_, Status::Draft) => "what was more than a draft does not become one again; pause it instead",
        (Status::Archived, _) => "what is archived stays so; make a new one",
        _ => return Ok(()),
    };
    let errors = vec![FieldError::new("/status", "conflict", message)];
    Err(Problem { errors, ..Problem::new(StatusCode::CONFLICT, "conflict", message) })
}

fn refuse_read_only(object: &Map<String, Value>) -> Result<(), Problem> {
    let message = "is written by the server alone; leave it out";
    let errors: Vec<FieldError> = (READ_ONLY.iter().filter(|name| object.contains_key(**name)))
        .map(|name| FieldError::new(format!("/{name}"), "read_only", message))
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(Problem::invalid(errors)) }
}

fn refuse_changed(current: &Row, expected: Option<u64>) -> Result<(), Problem> {
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
fn check_parent(read: &Read<'_>, shape: &Shape, account: u32, parent: Option<u32>) -> Result<(), Problem> {
    let (Some((outside, _)), Some(parent)) = (shape.parent, parent) else { return Ok(()) };
    let Some(kind) = shape.kind.parent() else { return Ok(()) };
    let found = read.get(kind, parent)?.filter(|row| row.account == account);
    let refuse = |code, message: String| {
        Err(Problem::invalid(vec![FieldError::new(format!("/{outside}"), code, message)]))
    };
    match found {
        None => refuse("unknown_reference", format!("there is no {kind} {parent}; make it or change this")),
        Some(row) if row.status == Status::Archived => {
            refuse("conflict", format!("{kind} {parent} is archived; nothing can be added to it"))
        }
        Some(_) => Ok(()),
    }
}

fn plain_money(shape: &Shape, editor: &Editor, draft: &mut Draft) -> Result<(), Problem> {
    let currency = currency_of(shape, editor, draft.parent, &draft.doc);
    let mut errors = Vec::new();
    shape.plain_money(&mut draft.doc, currency, &mut errors);
    if errors.is_empty() { Ok(()) } else { Err(Problem::invalid(errors)) }
}

/// The currency of a resource's amounts.
fn currency_of(
    shape: &Shape,
    editor: &Editor,
    parent: Option<u32>,
    doc: &Map<String, Value>,
) -> Option<Currency> {
    let own = || doc.get("currency").and_then(Value::as_str).and_then(Currency::parse);
    match shape.kind {
        Kind::Advertiser | Kind::Exchange => own(),
        Kind::Campaign => editor.advertiser(parent?).map(|advertiser| advertiser.currency),
        Kind::LineItem => {
            let advertiser = editor.campaign(parent?)?.advertiser;
            editor.advertiser(advertiser.0).map(|advertiser| advertiser.currency)
        }
        _ => None,
    }
}

/// The row as the API shows it.
fn view(inner: &Inner, editor: &Editor, shape: &Shape, row: &Row) -> Map<String, Value> {
    let doc: Map<String, Value> = serde_json::from_str(&row.doc).unwrap_or_default();
    let mut view = shape.view(row, currency_of(shape, editor, row.parent, &doc));
    mask(shape, &mut view);
    if let Some((effective, reasons)) = status::of(inner, editor, row) {
        view.insert("effective_status".into(), effective.into());
        view.insert("status_reasons".into(), reasons.into());
    }
    view
}

/// Secrets go in and never come out.
fn mask(shape: &Shape, view: &mut Map<String, Value>) {
    const MASK: &str = "********";
    if shape.kind != Kind::Exchange {
        return;
    }
    for (member, secrets) in
        [("auth", &["secret"][..]), ("price_codec", &["encryption_key", "integrity_key", "key"])]
    {
        let Some(Value::Object(object)) = view.get_mut(member) else { continue };
        for secret in secrets {
            if let Some(value) = object.get_mut(*secret) {
                *value = MASK.into();
            }
        }
    }
}

fn only(view: Map<String, Value>, fields: Option<&[String]>) -> Value {
    let Some(fields) = fields else { return Value::Object(view) };
    view.into_iter().filter(|(name, _)| fields.iter().any(|field| field == name)).collect()
}

fn written(inner: &Inner, shape: &Shape, status: StatusCode, row: &Row, warnings: Vec<FieldError>) -> Reply {
    let mut view = view(inner, &inner.editor.lock(), shape, row);
    if !warnings.is_empty() {
        view.insert("warnings".into(), warnings.iter().map(FieldError::view).collect());
    }
    let reply = Reply::new(status, Value::Object(view));
    reply.with(ETAG, etag(row.version)).with(HeaderName::from_static("accept-patch"), MERGE_PATCH)
}

/// The tenant whose rows a call may see; `None` is all of them.
fn scope(shape: &Shape, call: &Call) -> Option<u32> {
    if shape.is_shared { Some(0) } else { call.actor.account }
}

fn id_of(shape: &Shape, call: &Call) -> u32 {
    if shape.is_singleton() { 1 } else { call.id.unwrap_or(0) }
}

/// The row, if the caller may see it: what belongs to somebody else does not exist.
fn row_of(read: &Read<'_>, shape: &Shape, id: u32, account: Option<u32>) -> Result<Row, Problem> {
    let row = read.get(shape.kind, id).map_err(|why: ControlError| Problem::from(why))?;
    let row = row.filter(|row| account.is_none_or(|account| account == row.account));
    row.ok_or_else(|| Problem::not_found(&format!("{} {id}", shape.noun())))
}
