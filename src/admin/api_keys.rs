//! `/v1/api_keys`: keys of programs. A secret is shown once, when its key is made; the store has its hash.
//!
//! Invariant: nobody gives a key more than it has itself: no higher role, no further scope, no other tenant.

use super::audit::{self, About};
use super::auth::{Actor, Role, Scope, refused};
use super::call::{Call, Reply, Who};
use super::key_request::{KeyRequest, secret};
use super::page::{fields, page_of};
use super::problem::{FieldError, Problem};
use super::shape::moment;
use super::state::Inner;
use super::tenants::{self, PLATFORM};
use crate::store::control::keys::{KeyRow, NewKey};
use crate::store::control::{Read, Write};
use hyper::StatusCode;
use hyper::header::LOCATION;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// How long a replaced key goes on, in seconds, where nothing else is asked for; and at most.
pub(super) const OVERLAP_S: i64 = 24 * 3_600;
pub(super) const MAX_OVERLAP_S: i64 = 30 * 24 * 3_600;

pub(super) fn list(inner: &Arc<Inner>, call: Call) -> Result<Reply, Problem> {
    let rows = inner.control.read(|read| read.keys(call.account))?;
    page_of("api_keys", rows.iter().map(|row| (row.id, view(inner, row))), call.parameters)
}

pub(super) fn get(inner: &Arc<Inner>, mut call: Call) -> Result<Reply, Problem> {
    let fields = fields(&mut call.parameters, "api_key")?;
    let (id, own) = (call.id.unwrap_or(0), call.account);
    call.parameters.finish("fields")?;
    let row = inner.control.read(|read| seen(read, id, own))?;
    let mut view = view(inner, &row);
    if let (Some(fields), Value::Object(view)) = (fields, &mut view) {
        view.retain(|name, _| fields.contains(name));
    }
    Ok(Reply::new(StatusCode::OK, view))
}

pub(super) fn create(inner: &Arc<Inner>, mut call: Call) -> Result<Reply, Problem> {
    let dry = call.parameters.switch("validate_only")?;
    let mut object = call.object(&["application/json"])?;
    let (account, who) = (account_of(&call, &mut object)?, call.who());
    call.parameters.finish("validate_only")?;
    let request = read(account, object)?;
    let actor = call.actor;
    let made = write(inner, dry, move |tx| {
        request.check(tx, tx.now_ms()).map_err(Problem::invalid)?;
        may_grant(&actor, &request.role, &request.scopes)?;
        let (secret, new) = request.new_key();
        let row = tx.insert_key(new)?;
        note(tx, &who, "create", &row)?;
        Ok((row, secret))
    })?;
    Ok(answer(inner, dry, made))
}

pub(super) fn revoke(inner: &Arc<Inner>, mut call: Call) -> Result<Reply, Problem> {
    let dry = call.parameters.switch("validate_only")?;
    let (id, own, who, actor) = (call.id.unwrap_or(0), call.account, call.who(), call.actor);
    call.parameters.finish("validate_only")?;
    let row = write(inner, dry, move |tx| {
        let row = seen(tx, id, own)?;
        // Taking away is always less than giving, whatever the scopes.
        if Role::parse(&row.role).is_some_and(|role| role > actor.role) {
            return Err(refused(format!("the key {id} has the role {}, which is above yours", row.role)));
        }
        tx.revoke_key(id)?;
        let revoked = seen(tx, id, own)?;
        note(tx, &who, "revoke", &revoked)?;
        Ok(revoked)
    })?;
    Ok(Reply::new(StatusCode::OK, view(inner, &row)))
}

pub(super) fn rotate(inner: &Arc<Inner>, mut call: Call) -> Result<Reply, Problem> {
    let dry = call.parameters.switch("validate_only")?;
    let mut object = match call.body.is_empty() {
        true => Map::new(),
        false => call.object(&["application/json"])?,
    };
    let (id, own, who, actor) = (call.id.unwrap_or(0), call.account, call.who(), call.actor);
    call.parameters.finish("validate_only")?;
    let overlap = object.remove("overlap_s");
    let overlap_s = overlap.map_or(Some(OVERLAP_S), |given| given.as_i64());
    let overlap_s = overlap_s.filter(|seconds| (0..=MAX_OVERLAP_S).contains(seconds)).ok_or_else(|| {
        let message = format!("is a whole number of seconds from 0 to {MAX_OVERLAP_S}");
        Problem::invalid(vec![FieldError::new("/overlap_s", "out_of_range", message)])
    })?;
    if let Some(name) = object.keys().next() {
        let error = FieldError::new(format!("/{name}"), "malformed", "is not known here; there is overlap_s");
        return Err(Problem::invalid(vec![error]));
    }
    let made = write(inner, dry, move |tx| {
        let made = succeed(tx, &seen(tx, id, own)?, &actor, overlap_s)?;
        note(tx, &who, "rotate", &made.0)?;
        Ok(made)
    })?;
    Ok(answer(inner, dry, made))
}

/// Records what became of a key: whose it is and what it may, never its secret.
fn note(tx: &mut Write<'_>, who: &Who, action: &str, row: &KeyRow) -> Result<(), Problem> {
    let KeyRow { id, account, name, prefix, last4, role, scopes, addresses, replaces, .. } = row;
    let about = About { kind: "api_key", id: *id, account: account.unwrap_or(PLATFORM), version: None };
    let after = json!({
        "name": name, "prefix": prefix, "last4": last4, "role": role, "scopes": scopes, "addresses": addresses,
        "replaces_id": replaces,
    });
    audit::record(tx, who, action, &about, (&json!({}), &after))
}

/// Makes a key that takes the place of `old`, which ends after the overlap.
fn succeed(
    tx: &mut Write<'_>,
    old: &KeyRow,
    actor: &Actor,
    overlap_s: i64,
) -> Result<(KeyRow, String), Problem> {
    let conflict = |detail| Err(Problem::new(StatusCode::CONFLICT, "conflict", detail));
    let now_ms = tx.now_ms();
    may_grant(actor, &old.role, &old.scopes)?;
    if old.state(now_ms) != "active" {
        return conflict(format!("the key {} is {}; make a new one", old.id, old.state(now_ms)));
    }
    let keys = tx.keys(old.account)?;
    if let Some(next) = keys.iter().find(|key| key.replaces == Some(old.id) && key.revoked_ms.is_none()) {
        return conflict(format!("the key {} takes its place already; rotate or revoke that one", next.id));
    }
    let secret = secret();
    // As long again as it was made for.
    let expires_ms = old.expires_ms.map(|expires| now_ms + (expires - old.created_ms));
    let old_end = old.expires_ms.unwrap_or(i64::MAX).min(now_ms + overlap_s * 1_000);
    tx.expire_key(old.id, old_end)?;
    let KeyRow { account, name, role, scopes, addresses, advertisers, .. } = old.clone();
    let made = tx.insert_key(NewKey {
        account,
        name,
        prefix: secret.prefix(),
        last4: secret.last4(),
        hash: secret.hash(),
        role,
        scopes,
        addresses,
        advertisers,
        expires_ms,
        replaces: Some(old.id),
    })?;
    Ok((made, secret.0))
}

/// The account of a new key; `None` is the platform. It takes the members that say so out.
pub(super) fn account_of(call: &Call, object: &mut Map<String, Value>) -> Result<Option<u32>, Problem> {
    let is_platforms = match object.remove("platform") {
        None | Some(Value::Bool(false)) => false,
        Some(Value::Bool(true)) => true,
        Some(_) => {
            let error = FieldError::new("/platform", "malformed", "is true or false");
            return Err(Problem::invalid(vec![error]));
        }
    };
    let named = tenants::named_account(call.account, object)?;
    match (is_platforms, named) {
        (false, named) => Ok(Some(named.unwrap_or(tenants::DEFAULT))),
        (true, None) => Ok(None),
        (true, Some(_)) => {
            let message =
                "a key is the platform's or an account's; only the platform's own keys may make the first";
            Err(Problem::invalid(vec![FieldError::new("/platform", "conflict", message)]))
        }
    }
}

/// The rest of a key that is asked for.
fn read(account: Option<u32>, mut object: Map<String, Value>) -> Result<KeyRequest, Problem> {
    let mut errors = Vec::new();
    let mut text = |object: &mut Map<String, Value>, name: &str, code: &'static str| match object.remove(name)
    {
        Some(Value::String(text)) => Some(text),
        None | Some(Value::Null) if code.is_empty() => None,
        None | Some(Value::Null) => {
            errors.push(FieldError::new(format!("/{name}"), code, "is missing; add it"));
            None
        }
        Some(_) => {
            errors.push(FieldError::new(format!("/{name}"), "malformed", "give a text in quotes"));
            None
        }
    };
    let name = text(&mut object, "name", "missing").unwrap_or_default();
    let role = text(&mut object, "role", "missing").unwrap_or_default();
    let expires = text(&mut object, "expires_at", "");
    let expires_ms = expires.and_then(|text| match text.parse::<jiff::Timestamp>() {
        Ok(moment) => Some(moment.as_millisecond()),
        Err(_) => {
            let message = "give a moment such as 2027-01-01T00:00:00Z";
            errors.push(FieldError::new("/expires_at", "malformed", message));
            None
        }
    });
    let mut texts = |object: &mut Map<String, Value>, name: &str| -> Vec<String> {
        let list = match object.remove(name) {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(list)) => list,
            Some(_) => vec![Value::Null],
        };
        let texts: Option<Vec<String>> =
            list.into_iter().map(|value| value.as_str().map(str::to_owned)).collect();
        texts.unwrap_or_else(|| {
            errors.push(FieldError::new(format!("/{name}"), "malformed", "give a list of texts"));
            Vec::new()
        })
    };
    let scopes = texts(&mut object, "scopes");
    let addresses = texts(&mut object, "addresses");
    let advertisers = texts(&mut object, "advertiser_ids");
    let ids: Option<Vec<u32>> = advertisers.iter().map(|id| id.parse().ok()).collect();
    if ids.is_none() {
        errors.push(FieldError::new(
            "/advertiser_ids",
            "malformed",
            "give the ids of advertisers, in quotes",
        ));
    }
    for name in object.keys() {
        let message = "is not known here; there are name, role, account_id, platform, scopes, addresses, \
                       advertiser_ids and expires_at";
        errors.push(FieldError::new(format!("/{name}"), "malformed", message));
    }
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let advertisers = ids.unwrap_or_default();
    Ok(KeyRequest { account, name, role, scopes, addresses, advertisers, expires_ms })
}

fn may_grant(actor: &Actor, role: &str, scopes: &[String]) -> Result<(), Problem> {
    let read: Option<Vec<Scope>> = scopes.iter().map(|scope| Scope::parse(scope)).collect();
    if let (Some(role), Some(scopes)) = (Role::parse(role), read)
        && actor.may_grant(role, &scopes)
    {
        return Ok(());
    }
    Err(refused(format!(
        "{} has not the role {role} or not these scopes, so it cannot give them",
        actor.name
    )))
}

/// Runs `work` in a transaction; what is known of keys is looked up again afterwards.
fn write<T: Clone + Send + 'static>(
    inner: &Arc<Inner>,
    dry: bool,
    work: impl FnOnce(&mut Write<'_>) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let done = inner.change_aside(dry, work);
    // Also after a failure: nobody knows how far it came.
    inner.keyring.forget();
    done
}

fn seen(read: &Read<'_>, id: u32, own: Option<u32>) -> Result<KeyRow, Problem> {
    let row = read.key(id)?.filter(|row| own.is_none() || row.account == own);
    row.ok_or_else(|| Problem::not_found(&format!("API key {id}")))
}

fn answer(inner: &Inner, dry: bool, (row, secret): (KeyRow, String)) -> Reply {
    let mut view = view(inner, &row);
    if dry {
        return Reply::new(StatusCode::OK, view);
    }
    view["secret"] = secret.into();
    let location = format!("/v1/api_keys/{}", row.id);
    Reply::new(StatusCode::CREATED, view).with(LOCATION, location)
}

fn view(inner: &Inner, row: &KeyRow) -> Value {
    let ids = |ids: &[u32]| ids.iter().map(u32::to_string).collect::<Vec<_>>();
    let used_ms = inner.keyring.last_used_ms(row.id).max(row.last_used_ms);
    json!({
        "id": row.id.to_string(), "account_id": row.account.map(|id| id.to_string()), "name": row.name,
        "prefix": row.prefix, "last4": row.last4, "role": row.role, "scopes": row.scopes,
        "addresses": row.addresses, "advertiser_ids": ids(&row.advertisers),
        "status": row.state(inner.clock.now().unix_ms), "expires_at": row.expires_ms.map(moment),
        "revoked_at": row.revoked_ms.map(moment), "replaces_id": row.replaces.map(|id| id.to_string()),
        "created_at": moment(row.created_ms), "last_used_at": used_ms.map(moment),
    })
}
