//! `/v1/me`: what people change about themselves.

use super::super::call::{Call, Reply};
use super::super::problem::{FieldError, Problem};
use super::super::state::Inner;
use super::super::tenants::is_name;
use super::session::take_code;
use super::users::{self, note, own, seen};
use super::{Verdict, passwords, totp};
use crate::store::control::Read;
use crate::store::control::users::{UserChange, UserRow};
use hyper::StatusCode;
use serde_json::json;
use std::sync::Arc;

const JSON: &[&str] = &["application/json"];

pub(super) fn rename(inner: &Arc<Inner>, mut call: Call) -> Result<Reply, Problem> {
    let dry = call.parameters.switch("validate_only")?;
    let object = call.object(&["application/merge-patch+json", "application/json"])?;
    let ([name], []) = super::texts(object, ["name"], [])?;
    if !is_name(&name) {
        let message = "give a name of 1 to 255 characters in one line";
        return Err(Problem::invalid(vec![FieldError::new("/name", "malformed", message)]));
    }
    let ((id, _), who) = (own(&call)?, call.who());
    call.parameters.finish("validate_only")?;
    let row = inner.change_aside(dry, move |tx| {
        let before = seen(tx, id, None)?;
        let after = tx.update_user(id, None, UserChange { name: Some(name), ..UserChange::default() })?;
        if after.version != before.version {
            note(tx, &who, "update", Some(&before), &after)?;
        }
        Ok(after)
    })?;
    Ok(Reply::new(StatusCode::OK, users::view(&row)))
}

pub(super) fn change_password(inner: &Arc<Inner>, call: Call) -> Result<Reply, Problem> {
    let ([old, new], []) = super::texts(call.object(JSON)?, ["old_password", "new_password"], [])?;
    let ((id, session), who) = (own(&call)?, call.who());
    call.parameters.finish("none")?;
    let user = inner.control.read(|read| seen(read, id, None))?;
    passwords::check_field(&new, &user.email, "/new_password").map_err(|why| Problem::invalid(vec![why]))?;
    let attempt = inner.people.attempt(call.peer, Some(&user.email), inner.clock.mono_ns())?;
    if attempt.compare(&old, Some(&user))? == Verdict::Wrong {
        return Err(wrong_password("/old_password"));
    }
    attempt.succeeded();
    let hash = attempt.hash(&new)?;
    let verified = user.clone();
    let ended = inner.change_aside(false, move |tx| {
        let before = unchanged(tx, &verified)?;
        let change = UserChange { password_hash: Some(Some(hash)), ..UserChange::default() };
        let after = tx.update_user(id, None, change)?;
        let ended = tx.end_other_sessions_of(id, &session)?;
        note(tx, &who, "change_password", Some(&before), &after)?;
        Ok(ended)
    })?;
    Ok(Reply::new(StatusCode::OK, json!({ "ended_sessions": ended })))
}

/// The user as it is, if what was compared with it still holds.
fn unchanged(read: &Read<'_>, verified: &UserRow) -> Result<UserRow, Problem> {
    let now = seen(read, verified.id, None)?;
    if now.password_hash == verified.password_hash && now.totp_secret == verified.totp_secret {
        return Ok(now);
    }
    Err(conflict("this was changed meanwhile; look again"))
}

fn wrong_password(pointer: &str) -> Problem {
    let detail = "the password is wrong";
    let errors = vec![FieldError::new(pointer, "conflict", detail)];
    Problem { errors, ..Problem::new(StatusCode::FORBIDDEN, "wrong password", detail) }
}

fn conflict(detail: &str) -> Problem {
    Problem::new(StatusCode::CONFLICT, "conflict", detail)
}

pub(super) fn enrol(inner: &Arc<Inner>, call: Call) -> Result<Reply, Problem> {
    let ((id, _), who) = (own(&call)?, call.who());
    call.parameters.finish("none")?;
    let secret = totp::secret();
    let kept = secret.clone();
    let user = inner.change_aside(false, move |tx| {
        let before = seen(tx, id, None)?;
        if before.totp_secret.is_some() {
            return Err(conflict("a second factor is on already; DELETE /v1/me/totp turns it off first"));
        }
        let change = UserChange { totp_pending: Some(Some(kept)), ..UserChange::default() };
        let after = tx.update_user(id, None, change)?;
        note(tx, &who, "enrol_totp", Some(&before), &after)?;
        Ok(after)
    })?;
    let view = json!({ "secret": totp::base32(&secret), "otpauth_uri": totp::uri(&secret, &user.email) });
    Ok(Reply::new(StatusCode::CREATED, view))
}

pub(super) fn confirm(inner: &Arc<Inner>, call: Call) -> Result<Reply, Problem> {
    let ([code], []) = super::texts(call.object(JSON)?, ["code"], [])?;
    let ((id, _), who) = (own(&call)?, call.who());
    call.parameters.finish("none")?;
    let user = inner.change_aside(false, move |tx| {
        let before = seen(tx, id, None)?;
        let Some(secret) = before.totp_pending.clone() else {
            return Err(conflict("there is no second factor to confirm; POST /v1/me/totp gives one"));
        };
        if !take_code(tx, &before, &secret, &code)? {
            return Err(wrong_code());
        }
        let change =
            UserChange { totp_secret: Some(Some(secret)), totp_pending: Some(None), ..UserChange::default() };
        let after = tx.update_user(id, None, change)?;
        note(tx, &who, "confirm_totp", Some(&before), &after)?;
        Ok(after)
    })?;
    Ok(Reply::new(StatusCode::OK, users::view(&user)))
}

/// Of somebody who is logged in, so that it is no 401.
fn wrong_code() -> Problem {
    let detail = "the code is wrong, or was used before; take the next one";
    let errors = vec![FieldError::new("/code", "conflict", detail)];
    Problem { errors, ..Problem::new(StatusCode::FORBIDDEN, "wrong code", detail) }
}

pub(super) fn remove_factor(inner: &Arc<Inner>, call: Call) -> Result<Reply, Problem> {
    let ([], [password, code]) = super::texts(call.object(JSON)?, [], ["password", "code"])?;
    let ((id, _), who) = (own(&call)?, call.who());
    call.parameters.finish("none")?;
    if password.is_some() == code.is_some() {
        let message = "give the password or a code of the second factor";
        return Err(Problem::invalid(vec![FieldError::new("/password", "missing", message)]));
    }
    let user = inner.control.read(|read| seen(read, id, None))?;
    let attempt = inner.people.attempt(call.peer, Some(&user.email), inner.clock.mono_ns())?;
    if let Some(password) = &password
        && attempt.compare(password, Some(&user))? == Verdict::Wrong
    {
        return Err(wrong_password("/password"));
    }
    let verified = user.clone();
    let removed = inner.change_aside(false, move |tx| {
        let before = unchanged(tx, &verified)?;
        if before.totp_secret.is_none() && before.totp_pending.is_none() {
            return Err(conflict("there is no second factor"));
        }
        if let Some(code) = code {
            let secret = before.totp_secret.clone().ok_or_else(wrong_code)?;
            if !take_code(tx, &before, &secret, &code)? {
                return Err(wrong_code());
            }
        }
        let change =
            UserChange { totp_secret: Some(None), totp_pending: Some(None), ..UserChange::default() };
        let after = tx.update_user(id, None, change)?;
        note(tx, &who, "remove_totp", Some(&before), &after)?;
        Ok(after)
    });
    // Only a wrong code is a failure, of all that can be wrong here.
    if !removed.as_ref().is_err_and(|problem| problem.status == StatusCode::FORBIDDEN) {
        attempt.succeeded();
    }
    Ok(Reply::new(StatusCode::OK, users::view(&removed?)))
}
