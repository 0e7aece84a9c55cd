//! Reading and changing resources, the same for every kind.

use super::audit;
use super::auth::{Actor, Role};
use super::call::{Call, Reply, Who, is_known};
use super::idempotent::{self, Once};
use super::lists;
use super::merge::merge;
use super::openapi;
use super::page::{ListCall, cut, fields};
use super::problem::{FieldError, Problem};
use super::rules::{
    check_parent, plain_money, refuse_changed, refuse_errors, refuse_in_use, refuse_status, take_read_only,
};
use super::shape::{Draft, OUTSIDE, Shape, etag};
use super::state::{Inner, Puts, Tried};
use super::status::Look;
use super::tenants;
use crate::model::money::Currency;
use crate::store::account_file::Editor;
use crate::store::control::{Change, ControlError, Kind, New, Read, Row, Status, Write};
use hyper::header::{ETAG, HeaderName, LINK, LOCATION};
use hyper::{Method, StatusCode};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// What is shown in the place of a secret.
pub(super) const MASK: &str = "********";

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

pub(super) fn list(inner: &Arc<Inner>, shape: &'static Shape, call: Call) -> Result<Reply, Problem> {
    let asked = ListCall::read(shape, scope(shape, call.account), call.parameters.clone())?;
    let mut query = asked.query;
    query.advertisers = call.actor.advertisers.clone();
    let size = query.limit;
    query.limit = size + 1;
    let (mut rows, total) = inner.control.read(|read| {
        let rows = read.list(&query)?;
        let total = asked.total.then(|| read.count(&query)).transpose()?;
        Ok::<_, Problem>((rows, total))
    })?;
    let next = cut(&mut rows, size, |last| query.cursor(last));
    let editor = inner.editor.lock();
    let look = Look::at(inner, &editor, &rows);
    let items: Vec<Value> = rows
        .iter()
        .map(|row| only(view_for(&call.actor, &look, &editor, shape, row), asked.fields.as_deref()))
        .collect();
    let mut body = json!({ (shape.collection): items, "next_page_token": next });
    if let Some(total) = total {
        body["total"] = total.into();
    }
    let reply = Reply::new(StatusCode::OK, body);
    Ok(match next {
        Some(next) => {
            let address = call.parameters.next_page(shape.collection, &next);
            reply.with(LINK, format!("<{address}>; rel=\"next\""))
        }
        None => reply,
    })
}

pub(super) fn get(inner: &Arc<Inner>, shape: &'static Shape, mut call: Call) -> Result<Reply, Problem> {
    let fields = fields(&mut call.parameters, shape.noun())?;
    let id = id_of(shape, call.id);
    let account = scope(shape, call.account);
    call.parameters.finish("fields")?;
    let seen = |read: &Read<'_>| tenants::seen_by(&call.actor, read, row_of(read, shape, id, account)?);
    let row = inner.control.read(seen)?;
    if is_known(&call.headers, row.version) {
        let unchanged = Reply { status: StatusCode::NOT_MODIFIED, body: None, headers: Vec::new() };
        return Ok(unchanged.with(ETAG, etag(row.version)));
    }
    let editor = inner.editor.lock();
    let look = Look::at(inner, &editor, std::slice::from_ref(&row));
    let view = view_for(&call.actor, &look, &editor, shape, &row);
    Ok(Reply::new(StatusCode::OK, only(view, fields.as_deref())).with(ETAG, etag(row.version)))
}

pub(super) fn create(inner: &Arc<Inner>, shape: &'static Shape, mut call: Call) -> Result<Reply, Problem> {
    let dry = call.parameters.switch("validate_only")?;
    let object = call.object(&[JSON])?;
    let once = idempotent::of(&call)?;
    let (op, who) = (Op::create(shape, call.account, object)?, call.who());
    call.parameters.finish("validate_only")?;
    let own = Arc::clone(inner);
    change(inner, dry, once, move |tx, puts| op.run(&own, tx, puts, &who, dry))
}

pub(super) fn patch(inner: &Arc<Inner>, shape: &'static Shape, mut call: Call) -> Result<Reply, Problem> {
    let dry = call.parameters.switch("validate_only")?;
    let mask = openapi::names(&mut call.parameters, "update_mask", &openapi::patched(shape.noun()))?;
    let mut object = call.object(&[MERGE_PATCH, JSON])?;
    if let Some(mask) = mask {
        object.retain(|name, _| mask.contains(name));
    }
    let op = Op::patch(shape, call.id, call.account, call.if_match()?, object)?;
    let who = call.who();
    call.parameters.finish("validate_only, update_mask")?;
    let own = Arc::clone(inner);
    change(inner, dry, None, move |tx, puts| op.run(&own, tx, puts, &who, dry))
}

pub(super) fn set_status(
    inner: &Arc<Inner>,
    shape: &'static Shape,
    status: Status,
    mut call: Call,
) -> Result<Reply, Problem> {
    let dry = call.parameters.switch("validate_only")?;
    let (_, version) = call.if_match()?;
    let once = if call.method == Method::POST { idempotent::of(&call)? } else { None };
    let (op, who) = (Op::set_status(shape, call.id, call.account, version, status), call.who());
    call.parameters.finish("validate_only")?;
    let own = Arc::clone(inner);
    change(inner, dry, once, move |tx, puts| op.run(&own, tx, puts, &who, dry))
}

/// One change of a resource, as far as it can be checked before its transaction.
pub(super) struct Op {
    shape: &'static Shape,
    /// The tenant that is worked in.
    account: Option<u32>,
    what: What,
}

enum What {
    Create { draft: Draft },
    Patch { id: u32, version: Option<u64>, object: Map<String, Value>, errors: Vec<FieldError> },
    SetStatus { id: u32, version: Option<u64>, status: Status },
    Edit { current: Box<Row>, object: Map<String, Value> },
}

/// What an operation has done.
pub(super) struct Applied {
    pub(super) row: Row,
    pub(super) warnings: Vec<FieldError>,
    pub(super) is_new: bool,
}

impl Op {
    /// A new resource from the document that was sent.
    pub(super) fn create(
        shape: &'static Shape,
        account: Option<u32>,
        mut object: Map<String, Value>,
    ) -> Result<Op, Problem> {
        let account = tenants::named(shape, account, &mut object)?;
        let read_only = take_read_only(shape, &mut object);
        if shape.kind == Kind::Advertiser {
            object.insert("wallet".to_owned(), "0".into());
        }
        let default = if shape.serves_at_once() { Status::Active } else { Status::Draft };
        let mut draft = shape.read(object, default);
        draft.errors.extend(read_only);
        Ok(Op { shape, account, what: What::Create { draft } })
    }

    /// A merge patch; `expected` says whether the caller named a version, and which.
    pub(super) fn patch(
        shape: &'static Shape,
        id: Option<u32>,
        account: Option<u32>,
        (expects, version): (bool, Option<u64>),
        mut object: Map<String, Value>,
    ) -> Result<Op, Problem> {
        let errors = take_read_only(shape, &mut object);
        forget_masks(shape, &mut object);
        if !expects && let Some(guarded) = shape.guarded.iter().find(|name| object.contains_key(**name)) {
            let detail = format!(
                "a change of {guarded} needs `If-Match` with the `etag` of the version that you have seen, so that \
                 nobody's change is lost"
            );
            return Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, "precondition required", detail));
        }
        let (id, account) = (id_of(shape, id), scope(shape, account));
        Ok(Op { shape, account, what: What::Patch { id, version, object, errors } })
    }

    /// Another status.
    pub(super) fn set_status(
        shape: &'static Shape,
        id: Option<u32>,
        account: Option<u32>,
        version: Option<u64>,
        status: Status,
    ) -> Op {
        let (id, account) = (id_of(shape, id), scope(shape, account));
        Op { shape, account, what: What::SetStatus { id, version, status } }
    }

    /// The resource `current`, which was read in this transaction, with these members and no others.
    pub(super) fn edit(shape: &'static Shape, current: Row, object: Map<String, Value>) -> Op {
        let account = Some(current.account);
        Op { shape, account, what: What::Edit { current: Box::new(current), object } }
    }

    /// Does it; the answer is that of the call which would do it alone.
    pub(super) fn run(
        self,
        inner: &Inner,
        tx: &mut Write<'_>,
        puts: &mut Puts<'_>,
        who: &Who,
        dry: bool,
    ) -> Result<Reply, Problem> {
        let shape = self.shape;
        let Applied { row, warnings, is_new } = self.apply(tx, puts, who)?;
        let status = if is_new && !dry { StatusCode::CREATED } else { StatusCode::OK };
        let reply = written(inner, puts.editor, shape, status, &row, warnings);
        if status == StatusCode::CREATED {
            return Ok(reply.with(LOCATION, format!("/v1/{}/{}", shape.collection, row.id)));
        }
        Ok(reply)
    }

    /// Does it without an answer. What it refuses has left nothing in the transaction; what it put into the editor before it
    /// refused, its caller takes back.
    pub(super) fn apply(
        self,
        tx: &mut Write<'_>,
        puts: &mut Puts<'_>,
        who: &Who,
    ) -> Result<Applied, Problem> {
        let Op { shape, account, what } = self;
        let is_new = matches!(what, What::Create { .. });
        let (row, warnings) = match what {
            What::Create { draft } => insert(tx, puts, shape, account, who, (None, draft))?,
            What::Patch { id, version, object, errors } => {
                let current = row_of(tx, shape, id, account)?;
                refuse_changed(&current, version)?;
                let mut whole = Value::Object(shape.view(&current, None));
                merge(&mut whole, &Value::Object(object));
                let Value::Object(whole) = whole else {
                    unreachable!("an object merged with an object is one")
                };
                let mut draft = shape.read(whole, current.status);
                draft.errors.extend(errors);
                update(tx, puts, shape, (who, "update"), &current, draft)?
            }
            What::Edit { current, object } => {
                let draft = shape.read(object, current.status);
                update(tx, puts, shape, (who, "update"), &current, draft)?
            }
            What::SetStatus { id, version, status } => {
                let current = row_of(tx, shape, id, account)?;
                refuse_changed(&current, version)?;
                let whole = shape.view(&current, None);
                let draft = shape.read(whole, current.status);
                let action = match status {
                    Status::Archived => "archive",
                    Status::Paused => "pause",
                    Status::Active | Status::Draft => "activate",
                };
                let draft = Draft { status, ..draft };
                update(tx, puts, shape, (who, action), &current, draft)?
            }
        };
        Ok(Applied { row, warnings, is_new })
    }
}

/// Makes a resource, with an id that was asked for or the next one.
pub(super) fn insert(
    tx: &mut Write<'_>,
    puts: &mut Puts<'_>,
    shape: &'static Shape,
    account: Option<u32>,
    who: &Who,
    (id, mut draft): (Option<u32>, Draft),
) -> Result<(Row, Vec<FieldError>), Problem> {
    let account = tenants::of_new(tx, shape, account, draft.parent)?;
    draft.errors.extend(check_parent(tx, shape, account, draft.parent)?);
    plain_money(shape, puts.editor, &mut draft);
    refuse_errors(puts, shape, account, 0, &mut draft)?;
    let Draft { name, external_id, status, parent, mut doc, errors: _ } = draft;
    let items = if shape.kind == Kind::List { doc.remove("items") } else { None };
    let doc = Value::Object(doc).to_string();
    // The editor looks first, so that what it refuses was never written.
    let now_ms = tx.now_ms();
    let coming = Row {
        kind: shape.kind,
        id: id.map_or_else(|| tx.coming_id(shape.kind), Ok)?,
        account,
        parent,
        name,
        external_id,
        status,
        version: 1,
        created_ms: now_ms,
        updated_ms: now_ms,
        doc,
    };
    let warnings = puts.put(shape, &coming)?;
    let Row { kind, id, name, external_id, doc, .. } = coming;
    let row = tx.insert(New { kind, id: Some(id), account, parent, name, external_id, status, doc })?;
    if let Some(items) = items {
        lists::fill(tx, puts, &row, items)?;
    }
    audit::note(tx, who, "create", None, &row, |row| masked(shape, row))?;
    Ok((row, warnings))
}

/// Runs `work` in one transaction, which is kept unless it is only tried. With a key it runs once: whoever comes again is
/// answered what was answered then.
pub(super) fn change(
    inner: &Arc<Inner>,
    dry: bool,
    once: Option<Once>,
    work: impl FnOnce(&mut Write<'_>, &mut Puts<'_>) -> Result<Reply, Problem> + Send + 'static,
) -> Result<Reply, Problem> {
    let once = once.filter(|_| !dry);
    let tried = Tried::new(dry);
    let inside = tried.clone();
    let done = inner.change(move |tx, puts| {
        if let Some(before) = once.as_ref().map(|once| once.begin(tx)).transpose()?.flatten() {
            return Err(inside.without_a_trace(before));
        }
        let reply = work(tx, puts)?;
        if let Some(once) = &once {
            once.finish(tx, &reply)?;
        }
        inside.keep(reply)
    });
    tried.settle(done)
}

fn update(
    tx: &mut Write<'_>,
    puts: &mut Puts<'_>,
    shape: &'static Shape,
    (who, action): (&Who, &str),
    current: &Row,
    mut draft: Draft,
) -> Result<(Row, Vec<FieldError>), Problem> {
    prepare(tx, puts, shape, current, &mut draft)?;
    write(tx, puts, shape, (who, action), current, draft)
}

/// The same where it makes a difference to anybody: defaults that are written out make none.
pub(super) fn update_if_changed(
    tx: &mut Write<'_>,
    puts: &mut Puts<'_>,
    shape: &'static Shape,
    who: &Who,
    current: &Row,
    mut draft: Draft,
) -> Result<Option<(Row, Vec<FieldError>)>, Problem> {
    prepare(tx, puts, shape, current, &mut draft)?;
    let Draft { name, external_id, status, parent, doc, errors: _ } = &draft;
    let next = Row {
        parent: *parent,
        name: name.clone(),
        external_id: external_id.clone(),
        status: *status,
        doc: Value::Object(doc.clone()).to_string(),
        ..current.clone()
    };
    let was: Map<String, Value> = serde_json::from_str(&current.doc).unwrap_or_default();
    let is_same_outside = (next.status, &next.external_id) == (current.status, &current.external_id)
        && OUTSIDE.iter().all(|name| was.get(*name) == doc.get(*name));
    if is_same_outside && !puts.would_change(shape, &next)? {
        return Ok(None);
    }
    write(tx, puts, shape, (who, "update"), current, draft).map(Some)
}

/// Holds a draft of a change to everything that it must be.
fn prepare(
    tx: &Write<'_>,
    puts: &mut Puts<'_>,
    shape: &'static Shape,
    current: &Row,
    draft: &mut Draft,
) -> Result<(), Problem> {
    refuse_status(current.status, draft.status)?;
    if draft.status == Status::Archived && current.status != Status::Archived {
        refuse_in_use(puts.editor, shape, current.id)?;
    }
    if shape.kind == Kind::List && draft.doc.remove("items").is_some() {
        let message = "changes by POST /v1/lists/{id}/items:upload; leave it out";
        draft.errors.push(FieldError::new("/items", "read_only", message));
    }
    if draft.parent != current.parent {
        draft.errors.extend(check_parent(tx, shape, current.account, draft.parent)?);
    }
    plain_money(shape, puts.editor, draft);
    refuse_errors(puts, shape, current.account, current.id, draft)
}

fn write(
    tx: &mut Write<'_>,
    puts: &mut Puts<'_>,
    shape: &'static Shape,
    (who, action): (&Who, &str),
    current: &Row,
    draft: Draft,
) -> Result<(Row, Vec<FieldError>), Problem> {
    let change = Change {
        name: Some(draft.name),
        status: Some(draft.status),
        external_id: Some(draft.external_id),
        parent: Some(draft.parent),
        doc: Some(Value::Object(draft.doc).to_string()),
    };
    let warnings = puts.put(shape, &change.clone().applied_to(current))?;
    let row = tx.update(shape.kind, current.id, Some(current.version), change)?;
    if row.version != current.version {
        audit::note(tx, who, action, Some(current), &row, |row| masked(shape, row))?;
    }
    Ok((row, warnings))
}

/// A row as records keep it: without secrets, and without what differs with every change.
pub(super) fn masked(shape: &Shape, row: &Row) -> Value {
    let mut view = shape.view(row, None);
    mask(shape, &mut view);
    for name in ["etag", "updated_at", "version"] {
        view.remove(name);
    }
    Value::Object(view)
}

/// The currency of a resource's amounts.
pub(super) fn currency_of(
    shape: &Shape,
    editor: &Editor,
    parent: Option<u32>,
    doc: &Map<String, Value>,
) -> Option<Currency> {
    let own = || doc.get("currency").and_then(Value::as_str).and_then(Currency::parse);
    match shape.kind {
        // As the readers take it where nothing is said.
        Kind::Advertiser => own().or_else(|| Some(editor.base())),
        Kind::Exchange => own().or(Some(Currency::USD)),
        Kind::Campaign | Kind::Conversion => editor.advertiser(parent?).map(|advertiser| advertiser.currency),
        Kind::LineItem => {
            let advertiser = editor.campaign(parent?)?.advertiser;
            editor.advertiser(advertiser.0).map(|advertiser| advertiser.currency)
        }
        Kind::Deal => {
            let exchange = doc.get("exchange").and_then(Value::as_str)?;
            editor.exchange_named(exchange).map(|profile| profile.currency)
        }
        _ => None,
    }
}

/// The row as the API shows it.
fn view(look: &Look<'_>, editor: &Editor, shape: &Shape, row: &Row) -> Map<String, Value> {
    let doc: Map<String, Value> = serde_json::from_str(&row.doc).unwrap_or_default();
    let mut view = shape.view(row, currency_of(shape, editor, row.parent, &doc));
    mask(shape, &mut view);
    if let (Kind::List, Some(list)) = (shape.kind, editor.list(row.id)) {
        view.insert("item_count".into(), list.values.len().into());
    }
    if let Some(status) = look.of(row) {
        if let (Kind::LineItem, Some((health, alerts))) = (shape.kind, look.health(row.id, &status)) {
            view.insert("health".into(), health.as_str().into());
            let codes: Vec<&str> = alerts.iter().map(|alert| alert.code).collect();
            view.insert("alerts".into(), codes.into());
        }
        let (effective, reasons) = status;
        view.insert("effective_status".into(), effective.into());
        view.insert("status_reasons".into(), reasons.into());
    }
    view
}

/// The row as the caller may see it: the fees are no business of who only looks at an advertiser.
fn view_for(actor: &Actor, look: &Look<'_>, editor: &Editor, shape: &Shape, row: &Row) -> Map<String, Value> {
    let mut view = view(look, editor, shape, row);
    if actor.role == Role::AdvertiserViewer {
        view.retain(|name, _| !["data_fee", "platform_share"].contains(&name.as_str()));
    }
    view
}

/// Where what is of a kind has secrets.
pub(super) fn secrets(kind: Kind) -> &'static [&'static [&'static str]] {
    match kind {
        Kind::Exchange => &[
            &["auth", "secret"],
            &["price_codec", "encryption_key"],
            &["price_codec", "integrity_key"],
            &["price_codec", "key"],
        ],
        Kind::Pixel => &[&["secret"]],
        _ => &[],
    }
}

/// The members among which a path ends, and the name of its end.
fn end<'o>(
    object: &'o mut Map<String, Value>,
    path: &[&'static str],
) -> Option<(&'o mut Map<String, Value>, &'static str)> {
    let (last, above) = path.split_last()?;
    let inside = above.iter().try_fold(object, |object, name| object.get_mut(*name)?.as_object_mut())?;
    Some((inside, last))
}

/// Secrets go in and never come out.
pub(super) fn mask(shape: &Shape, view: &mut Map<String, Value>) {
    for path in secrets(shape.kind) {
        if let Some(secret) = end(view, path).and_then(|(members, name)| members.get_mut(name)) {
            *secret = MASK.into();
        }
    }
}

/// What stands for a secret leaves the secret as it is: who sends back what was shown changes nothing.
fn forget_masks(shape: &Shape, patch: &mut Map<String, Value>) {
    for path in secrets(shape.kind) {
        if let Some((members, name)) = end(patch, path)
            && members.get(name).is_some_and(|value| value == MASK)
        {
            members.remove(name);
        }
    }
}

fn only(view: Map<String, Value>, fields: Option<&[String]>) -> Value {
    let Some(fields) = fields else { return Value::Object(view) };
    view.into_iter().filter(|(name, _)| fields.iter().any(|field| field == name)).collect()
}

fn written(
    inner: &Inner,
    editor: &Editor,
    shape: &Shape,
    status: StatusCode,
    row: &Row,
    warnings: Vec<FieldError>,
) -> Reply {
    let look = Look::at(inner, editor, std::slice::from_ref(row));
    let mut view = view(&look, editor, shape, row);
    if !warnings.is_empty() {
        view.insert("warnings".into(), warnings.iter().map(FieldError::view).collect());
    }
    let reply = Reply::new(status, Value::Object(view));
    reply.with(ETAG, etag(row.version)).with(HeaderName::from_static("accept-patch"), MERGE_PATCH)
}

/// The tenant whose rows may be seen by who works in `account`; `None` is all of them.
pub(super) fn scope(shape: &Shape, account: Option<u32>) -> Option<u32> {
    if shape.is_shared { Some(tenants::PLATFORM) } else { account }
}

fn id_of(shape: &Shape, id: Option<u32>) -> u32 {
    if shape.is_singleton() { 1 } else { id.unwrap_or(0) }
}

/// The row, if the caller may see it: what belongs to somebody else does not exist.
pub(super) fn row_of(read: &Read<'_>, shape: &Shape, id: u32, account: Option<u32>) -> Result<Row, Problem> {
    let row = read.get(shape.kind, id).map_err(|why: ControlError| Problem::from(why))?;
    let row = row.filter(|row| account.is_none_or(|account| account == row.account));
    row.ok_or_else(|| Problem::not_found(&format!("{} {id}", shape.noun())))
}
