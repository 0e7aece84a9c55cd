//! `/v1/users`: the people of an account, as its administrators see them.
//!
//! Invariant: nobody gives a role above the own one or changes somebody who has one, and an account that has an owner
//! keeps one.

use super::super::audit::{self, About};
use super::super::auth::{Actor, Role, refused};
use super::super::call::{Call, Reply, Who};
use super::super::key_request::KeyRequest;
use super::super::page::{fields, page_of};
use super::super::problem::{FieldError, Problem};
use super::super::shape::{etag, moment};
use super::super::state::Inner;
use super::super::tenants::{PLATFORM, is_name};
use crate::store::control::users::{UserChange, UserRow, UserStatus};
use crate::store::control::{Read, Write};
use hyper::StatusCode;
use hyper::header::ETAG;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// What a list may be asked.
pub(super) const PARAMETERS: &[&str] =
    &["page_size", "page_token", "filter[status]", "filter[role]", "filter[email]", "account_id"];

/// The id and the session of the person who calls.
pub(super) fn own(call: &Call) -> Result<(u32, [u8; 32]), Problem> {
    let person = call.actor.person.as_ref();
    person.map(|person| (person.id, person.session)).ok_or_else(|| Problem::not_found("session"))
}

/// The user, if the caller may see it.
pub(super) fn seen(read: &Read<'_>, id: u32, own: Option<u32>) -> Result<UserRow, Problem> {
    let row = read.user(id)?.filter(|row| own.is_none() || row.account == own);
    row.ok_or_else(|| Problem::not_found(&format!("user {id}")))
}

pub(super) fn list(inner: &Arc<Inner>, mut call: Call) -> Result<Reply, Problem> {
    let (status, role) = (call.parameters.take("filter[status]"), call.parameters.take("filter[role]"));
    let email = call.parameters.take("filter[email]").map(|email| email.to_lowercase());
    if status.as_deref().is_some_and(|status| UserStatus::parse(status).is_none()) {
        return Err(Problem::parameter("filter[status]", "is invited, active or disabled"));
    }
    if role.as_deref().is_some_and(|role| Role::parse(role).is_none()) {
        let known = Role::ALL.map(Role::as_str).join(", ");
        return Err(Problem::parameter("filter[role]", format!("is one of {known}")));
    }
    let rows = inner.control.read(|read| read.users(call.account))?;
    let fits = |row: &&UserRow| {
        status.as_deref().is_none_or(|status| row.status.as_str() == status)
            && role.as_deref().is_none_or(|role| row.role == role)
            && email.as_deref().is_none_or(|email| row.email == email)
    };
    page_of("users", rows.iter().filter(fits).map(|row| (row.id, view(row))), call.parameters)
}

pub(super) fn get(inner: &Arc<Inner>, mut call: Call) -> Result<Reply, Problem> {
    let fields = fields(&mut call.parameters, "user")?;
    let (id, own) = (call.id.unwrap_or(0), call.account);
    call.parameters.finish("fields")?;
    let row = inner.control.read(|read| seen(read, id, own))?;
    let mut view = view(&row);
    if let (Some(fields), Value::Object(view)) = (fields, &mut view) {
        view.retain(|name, _| fields.contains(name));
    }
    Ok(Reply::new(StatusCode::OK, view).with(ETAG, etag(row.version)))
}

/// What an administrator changes; `None` stays.
struct Patch {
    name: Option<String>,
    role: Option<String>,
    advertisers: Option<Vec<u32>>,
    status: Option<UserStatus>,
}

pub(super) fn change(inner: &Arc<Inner>, mut call: Call) -> Result<Reply, Problem> {
    let dry = call.parameters.switch("validate_only")?;
    let patch = call.object(&["application/merge-patch+json", "application/json"])?;
    let (expects, version) = call.if_match()?;
    let guarded = ["role", "status", "advertiser_ids"];
    if let Some(name) = guarded.into_iter().find(|name| !expects && patch.contains_key(*name)) {
        let detail =
            format!("a change of {name} needs `If-Match` with the `etag` of the version that you have seen");
        return Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, "precondition required", detail));
    }
    let patch = Patch::read(patch)?;
    let (id, own, who, actor) = (call.id.unwrap_or(0), call.account, call.who(), call.actor);
    call.parameters.finish("validate_only")?;
    let row = inner.change_aside(dry, move |tx| {
        let before = seen(tx, id, own)?;
        let change = patch.check(tx, &actor, &before)?;
        let after = tx.update_user(id, version, change)?;
        if after.status == UserStatus::Disabled {
            tx.end_sessions_of(id)?;
            tx.end_invites_of(id)?;
        }
        keeps_an_owner(tx, &before, &after)?;
        if after.version != before.version {
            note(tx, &who, "update", Some(&before), &after)?;
        }
        Ok(after)
    })?;
    Ok(Reply::new(StatusCode::OK, view(&row)).with(ETAG, etag(row.version)))
}

impl Patch {
    fn read(mut object: Map<String, Value>) -> Result<Patch, Problem> {
        let mut errors = Vec::new();
        let mut refuse = |name: &str, message: &str| {
            errors.push(FieldError::new(format!("/{name}"), "malformed", message));
        };
        let name = object.remove("name").map(|name| match name {
            Value::String(name) if is_name(&name) => name,
            _ => {
                refuse("name", "give a name of 1 to 255 characters in one line");
                String::new()
            }
        });
        let role = object.remove("role").map(|role| {
            let role = role.as_str().and_then(Role::parse);
            if role.is_none() {
                refuse("role", "is owner, admin, trader, analyst or advertiser_viewer");
            }
            role.map_or_else(String::new, |role| role.as_str().to_owned())
        });
        let advertisers = object.remove("advertiser_ids").map(|ids| {
            ids_of(&ids).unwrap_or_else(|| {
                refuse("advertiser_ids", "give the ids of advertisers, in quotes");
                Vec::new()
            })
        });
        let status = object.remove("status").and_then(|status| {
            let status = status.as_str().and_then(UserStatus::parse);
            if status.is_none() {
                refuse("status", "is active or disabled");
            }
            status
        });
        for name in object.keys() {
            refuse(name, "is not known here; there are name, role, advertiser_ids and status");
        }
        if errors.is_empty() {
            Ok(Patch { name, role, advertisers, status })
        } else {
            Err(Problem::invalid(errors))
        }
    }

    /// What becomes of a user, if the caller may have it so.
    fn check(self, read: &Read<'_>, actor: &Actor, before: &UserRow) -> Result<UserChange, Problem> {
        may_change(actor, before)?;
        let role = self.role.unwrap_or_else(|| before.role.clone());
        let is_viewer = role == Role::AdvertiserViewer.as_str();
        let kept = if is_viewer { before.advertisers.clone() } else { Vec::new() };
        let advertisers = self.advertisers.unwrap_or(kept);
        if role != before.role || advertisers != before.advertisers {
            may_give(actor, &role)?;
            check_role(read, before.account, &before.email, &role, &advertisers)?;
        }
        let is_accepted = before.password_hash.is_some();
        let conflict = |message: &str| {
            let errors = vec![FieldError::new("/status", "conflict", message)];
            Err(Problem { errors, ..Problem::new(StatusCode::CONFLICT, "conflict", message) })
        };
        match self.status {
            Some(UserStatus::Active) if !is_accepted => {
                return conflict("this person has no password so far; invite again instead");
            }
            Some(UserStatus::Invited) if before.status != UserStatus::Invited => {
                return conflict("is active or disabled; POST /v1/users/invite invites");
            }
            _ => {}
        }
        Ok(UserChange {
            name: self.name,
            role: Some(role),
            advertisers: Some(advertisers),
            status: self.status,
            ..UserChange::default()
        })
    }
}

/// A list of ids in quotes.
pub(super) fn ids_of(value: &Value) -> Option<Vec<u32>> {
    value.as_array()?.iter().map(|id| id.as_str()?.parse().ok()).collect()
}

/// Whether a role fits an account and advertisers; the rules are those of keys.
pub(super) fn check_role(
    read: &Read<'_>,
    account: Option<u32>,
    name: &str,
    role: &str,
    advertisers: &[u32],
) -> Result<(), Problem> {
    let request = KeyRequest {
        account,
        name: name.to_owned(),
        role: role.to_owned(),
        advertisers: advertisers.to_vec(),
        ..KeyRequest::default()
    };
    request.check(read, 0).map_err(Problem::invalid)
}

/// Refuses to give what the caller has not. A person may all that the role may, so that a key for less cannot make one.
pub(super) fn may_give(actor: &Actor, role: &str) -> Result<(), Problem> {
    match Role::parse(role) {
        Some(role) if !actor.may_grant(role, &[]) => Err(refused(format!(
            "{} has not the role {} with all its scopes, so it cannot give it",
            actor.name,
            role.as_str()
        ))),
        // What is no role is named as a field that is wrong.
        _ => Ok(()),
    }
}

/// Refuses to touch somebody above the caller.
pub(super) fn may_change(actor: &Actor, user: &UserRow) -> Result<(), Problem> {
    if Role::parse(&user.role).is_some_and(|role| role > actor.role) {
        return Err(refused(format!(
            "the user {} has the role {}, which is above yours",
            user.id, user.role
        )));
    }
    Ok(())
}

/// Refuses what would leave an account that has an owner without one.
pub(super) fn keeps_an_owner(read: &Read<'_>, before: &UserRow, after: &UserRow) -> Result<(), Problem> {
    let is_owner = |user: &UserRow| user.role == Role::Owner.as_str() && user.status == UserStatus::Active;
    if !is_owner(before) || is_owner(after) {
        return Ok(());
    }
    let all = read.users(before.account)?;
    if all.iter().any(|user| user.account == before.account && is_owner(user)) {
        return Ok(());
    }
    let detail = format!("the user {} is the last owner; make somebody else an owner first", before.id);
    Err(Problem::new(StatusCode::CONFLICT, "conflict", detail))
}

/// Records what became of a user, without anything secret.
pub(super) fn note(
    tx: &mut Write<'_>,
    who: &Who,
    action: &str,
    before: Option<&UserRow>,
    after: &UserRow,
) -> Result<(), Problem> {
    // What did not change it has no states to compare.
    let is_change = before.is_some_and(|before| before.version != after.version) || action == "invite";
    let now = if is_change { recorded(after) } else { json!({}) };
    let before = before.filter(|_| is_change).map_or_else(|| json!({}), recorded);
    audit::record(tx, who, action, &about(after), (&before, &now))
}

pub(super) fn about(row: &UserRow) -> About {
    let account = row.account.unwrap_or(PLATFORM);
    About { kind: "user", id: row.id, account, version: Some(row.version) }
}

/// As records keep a user.
pub(super) fn recorded(row: &UserRow) -> Value {
    let advertisers: Vec<String> = row.advertisers.iter().map(u32::to_string).collect();
    json!({
        "email": row.email, "name": row.name, "role": row.role, "advertiser_ids": advertisers,
        "status": row.status.as_str(), "totp_enabled": row.totp_secret.is_some(),
    })
}

/// As callers see a user.
pub(super) fn view(row: &UserRow) -> Value {
    let mut view = recorded(row);
    let more = json!({
        "id": row.id.to_string(), "account_id": row.account.map(|id| id.to_string()), "version": row.version,
        "etag": etag(row.version), "created_at": moment(row.created_ms), "updated_at": moment(row.updated_ms),
        "last_login_at": row.last_login_ms.map(moment),
    });
    if let (Value::Object(view), Value::Object(more)) = (&mut view, more) {
        view.extend(more);
    }
    view
}
