//! Accounts: who owns what. Account 0 is the platform itself, which has the exchanges, the rates and the safety rules;
//! everything else belongs to one account, and what belongs to another one does not exist for the caller.
//!
//! Invariant: a resource is of the account of its parent, and stays there.

use super::audit::{self, About};
use super::auth::Actor;
use super::call::{Call, Reply};
use super::crud;
use super::idempotent;
use super::page::{Parameters, fields, page_of};
use super::problem::{FieldError, Problem};
use super::shape::{Shape, check_outside, etag, moment};
use super::state::{Inner, StartError, Tried};
use crate::store::control::accounts::{AccountChange, AccountError, AccountRow, NewAccount};
use crate::store::control::{Control, ControlError, Read, Row, Status, Write, WriteError};
use hyper::StatusCode;
use hyper::header::{ETAG, LOCATION};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The owner of what belongs to nobody in particular.
pub(super) const PLATFORM: u32 = 0;
/// The account that is there from the beginning, for everybody who needs only one.
pub(super) const DEFAULT: u32 = 1;

/// What the server writes and a caller may send back all the same.
const READ_ONLY: [&str; 5] = ["id", "version", "etag", "created_at", "updated_at"];

/// Makes [`DEFAULT`] where it is not there.
pub(super) fn ensure_default(tx: &mut Write<'_>) -> Result<(), StartError> {
    if tx.account(DEFAULT)?.is_some() {
        return Ok(());
    }
    let name = "default".to_owned();
    let new = NewAccount { id: Some(DEFAULT), name, status: Status::Active, doc: "{}".to_owned() };
    tx.insert_account(new).map(drop).map_err(|why| StartError::Import(why.to_string()))
}

/// The same for a database that an earlier version has begun.
pub(super) fn open(control: &Control) -> Result<(), StartError> {
    let is_there = control.read(|read| Ok::<bool, ControlError>(read.account(DEFAULT)?.is_some()))?;
    if is_there {
        return Ok(());
    }
    control.write(ensure_default).map_err(|why| match why {
        WriteError::Refused(why) => why,
        WriteError::Store(why) => why.into(),
        other => StartError::Import(other.to_string()),
    })
}

/// The tenant that a call works in: the caller's own, or the one that `account_id` names for the platform.
pub(super) fn worked_in(actor: &Actor, parameters: &mut Parameters) -> Result<Option<u32>, Problem> {
    let Some(named) = parameters.take("account_id") else { return Ok(actor.account) };
    let id = parse(&named).ok_or_else(|| Problem::parameter("account_id", "is the id of an account"))?;
    match actor.account {
        Some(own) if own != id => Err(Problem::not_found(&format!("account {id}"))),
        _ => Ok(Some(id)),
    }
}

/// The account that a new resource is to be in, as far as the call says: its member `account_id`, which is taken out,
/// or the account that is worked in.
pub(super) fn named(
    shape: &Shape,
    within: Option<u32>,
    object: &mut Map<String, Value>,
) -> Result<Option<u32>, Problem> {
    if shape.is_shared { Ok(Some(PLATFORM)) } else { named_account(within, object) }
}

/// The same for what is no resource.
pub(super) fn named_account(
    within: Option<u32>,
    object: &mut Map<String, Value>,
) -> Result<Option<u32>, Problem> {
    let member = match object.remove("account_id") {
        None | Some(Value::Null) => return Ok(within),
        Some(member) => member,
    };
    let refuse =
        |code, message: String| Problem::invalid(vec![FieldError::new("/account_id", code, message)]);
    let id = member.as_str().and_then(parse);
    let id = id.ok_or_else(|| refuse("malformed", "give the `id` of an account, in quotes".to_owned()))?;
    match within {
        Some(within) if within != id => Err(refuse("unknown_reference", nobody(id))),
        _ => Ok(Some(id)),
    }
}

/// The account of a new resource: the one that was named, else its parent's, else [`DEFAULT`].
pub(super) fn of_new(
    read: &Read<'_>,
    shape: &Shape,
    named: Option<u32>,
    parent: Option<u32>,
) -> Result<u32, Problem> {
    if let Some(id) = named {
        if read.account(id)?.is_some() {
            return Ok(id);
        }
        return Err(Problem::invalid(vec![FieldError::new("/account_id", "unknown_reference", nobody(id))]));
    }
    let above = match (shape.kind.parent(), parent) {
        (Some(kind), Some(parent)) => read.get(kind, parent)?,
        _ => None,
    };
    Ok(above.map_or(DEFAULT, |row| row.account))
}

/// The row, if it belongs to an advertiser that the caller may see.
pub(super) fn seen_by(actor: &Actor, read: &Read<'_>, row: Row) -> Result<Row, Problem> {
    let Some(advertisers) = &actor.advertisers else { return Ok(row) };
    match read.advertiser_of(&row)? {
        Some(advertiser) if advertisers.contains(&advertiser) => Ok(row),
        _ => Err(Problem::not_found(&format!("{} {}", row.kind, row.id))),
    }
}

fn parse(text: &str) -> Option<u32> {
    text.parse().ok().filter(|id| *id != PLATFORM)
}

fn nobody(id: u32) -> String {
    format!("there is no account {id}, or it is not yours; make it or change this")
}

pub(super) fn list(inner: &Arc<Inner>, call: Call) -> Result<Reply, Problem> {
    let own = call.account;
    let rows = inner.control.read(|read| read.accounts())?;
    let rows = rows.into_iter().filter(|row| own.is_none_or(|own| own == row.id));
    page_of("accounts", rows.map(|row| (row.id, view(&row))), call.parameters)
}

pub(super) fn get(inner: &Arc<Inner>, mut call: Call) -> Result<Reply, Problem> {
    let fields = fields(&mut call.parameters, "account")?;
    let (id, own) = (call.id.unwrap_or(PLATFORM), call.account);
    call.parameters.finish("fields")?;
    let row = inner.control.read(|read| seen(read, id, own))?;
    let Value::Object(mut view) = view(&row) else { unreachable!("a view is an object") };
    if let Some(fields) = fields {
        view.retain(|name, _| fields.contains(name));
    }
    Ok(Reply::new(StatusCode::OK, Value::Object(view)).with(ETAG, etag(row.version)))
}

pub(super) fn create(inner: &Arc<Inner>, mut call: Call) -> Result<Reply, Problem> {
    let dry = call.parameters.switch("validate_only")?;
    let mut object = call.object(&["application/json"])?;
    let (who, once) = (call.who(), idempotent::of(&call)?);
    call.parameters.finish("validate_only")?;
    let read_only: Vec<FieldError> = READ_ONLY
        .iter()
        .filter(|name| object.remove(**name).is_some_and(|value| !value.is_null()))
        .map(|name| {
            FieldError::new(format!("/{name}"), "read_only", "is written by the server; leave it out")
        })
        .collect();
    if !read_only.is_empty() {
        return Err(Problem::invalid(read_only));
    }
    let Draft { name, status, doc } = Draft::read(object, Status::Active)?;
    crud::change(inner, dry, once, move |tx, _| {
        let row = tx.insert_account(NewAccount { id: None, name, status, doc })?;
        audit::record(tx, &who, "create", &about(&row), (&json!({}), &recorded(&row)))?;
        if dry {
            return Ok(Reply::new(StatusCode::OK, view(&row)));
        }
        let reply = Reply::new(StatusCode::CREATED, view(&row)).with(ETAG, etag(row.version));
        Ok(reply.with(LOCATION, format!("/v1/accounts/{}", row.id)))
    })
}

fn about(row: &AccountRow) -> About {
    About { kind: "account", id: row.id, account: row.id, version: Some(row.version) }
}

/// As records keep it.
fn recorded(row: &AccountRow) -> Value {
    json!({ "name": row.name, "status": row.status.as_str() })
}

pub(super) fn patch(inner: &Arc<Inner>, mut call: Call) -> Result<Reply, Problem> {
    let dry = call.parameters.switch("validate_only")?;
    let patch = call.object(&["application/merge-patch+json", "application/json"])?;
    let (expects, version) = call.if_match()?;
    if !expects && patch.contains_key("status") {
        let detail = "a change of status needs `If-Match` with the `etag` of the version that you have seen";
        return Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, "precondition required", detail));
    }
    let (id, own, who) = (call.id.unwrap_or(PLATFORM), call.account, call.who());
    call.parameters.finish("validate_only")?;
    let tried = Tried::new(dry);
    let inside = tried.clone();
    let changed = inner.change(move |tx, puts| {
        let current = seen(tx, id, own)?;
        let mut whole = view(&current);
        super::merge::merge(&mut whole, &Value::Object(patch));
        let Value::Object(whole) = whole else { unreachable!("an object merged with an object is one") };
        let Draft { name, status, doc } = Draft::read(whole, current.status)?;
        let change = AccountChange { name: Some(name), status: Some(status), doc: Some(doc) };
        let row = tx.update_account(id, version, change)?;
        if row.version != current.version {
            let states = (&recorded(&current), &recorded(&row));
            audit::record(tx, &who, "update", &about(&row), states)?;
        }
        let row = inside.keep(row)?;
        // The last step: after it nothing of this transaction is refused.
        puts.editor.stop_tenant(id, row.status != Status::Active);
        Ok(row)
    });
    // Its keys may be good again, or no good any more.
    inner.keyring.forget();
    let row = tried.settle(changed)?;
    Ok(Reply::new(StatusCode::OK, view(&row)).with(ETAG, etag(row.version)))
}

fn seen(read: &Read<'_>, id: u32, own: Option<u32>) -> Result<AccountRow, Problem> {
    let row = read.account(id)?.filter(|row| row.id != PLATFORM && own.is_none_or(|own| own == row.id));
    row.ok_or_else(|| Problem::not_found(&format!("account {id}")))
}

fn view(row: &AccountRow) -> Value {
    let mut view = json!({
        "id": row.id.to_string(), "name": row.name, "status": row.status.as_str(), "version": row.version,
        "etag": etag(row.version), "created_at": moment(row.created_ms), "updated_at": moment(row.updated_ms),
    });
    if let (Value::Object(view), Ok(Value::Object(doc))) = (&mut view, serde_json::from_str(&row.doc)) {
        view.extend(doc);
    }
    view
}

/// An account as it was sent, or as a patch has made it.
struct Draft {
    name: String,
    status: Status,
    doc: String,
}

impl Draft {
    fn read(mut object: Map<String, Value>, default: Status) -> Result<Draft, Problem> {
        let mut errors = Vec::new();
        READ_ONLY.iter().for_each(|name| drop(object.remove(*name)));
        let name = match object.remove("name") {
            Some(Value::String(name)) if is_name(&name) => name,
            None => {
                errors.push(FieldError::new("/name", "missing", "is missing; add it"));
                String::new()
            }
            Some(_) => {
                let message = "give a name of 1 to 255 characters in one line";
                errors.push(FieldError::new("/name", "malformed", message));
                String::new()
            }
        };
        let status = match object.remove("status") {
            None => Some(default),
            Some(text) => text.as_str().and_then(Status::parse),
        };
        let status = status.filter(|status| matches!(status, Status::Active | Status::Paused));
        if status.is_none() {
            errors.push(FieldError::new("/status", "malformed", "is active or paused"));
        }
        check_outside(&object, &mut errors);
        for name in object.keys().filter(|name| !["notes", "labels"].contains(&name.as_str())) {
            let message = "is not known here; there are name, status, notes and labels";
            errors.push(FieldError::new(format!("/{name}"), "malformed", message));
        }
        match status {
            Some(status) if errors.is_empty() => {
                Ok(Draft { name, status, doc: Value::Object(object).to_string() })
            }
            _ => Err(Problem::invalid(errors)),
        }
    }
}

/// Whether a text can be a name of something.
pub(super) fn is_name(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= 255 && !text.chars().any(char::is_control)
}

impl From<AccountError> for Problem {
    fn from(why: AccountError) -> Problem {
        let detail = why.to_string();
        match why {
            AccountError::Store(why) => why.into(),
            AccountError::Missing { id } => Problem::not_found(&format!("account {id}")),
            AccountError::Exists { .. } => Problem::new(StatusCode::CONFLICT, "conflict", detail),
            AccountError::Conflict { current } => Problem {
                current_version: Some(current.version),
                ..Problem::new(StatusCode::PRECONDITION_FAILED, "changed meanwhile", detail)
            },
        }
    }
}
