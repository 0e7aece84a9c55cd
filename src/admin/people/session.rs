//! Sessions: logging in, being recognised by the cookie, logging out.
//!
//! The cookie holds 256 random bits, of which the store has the SHA-256. Beside it every call that changes something
//! shows a token that is derived from the cookie's, so that the console can have it again from `GET /v1/me` while other
//! sites, which can neither read answers nor the cookie, cannot make it. Where browsers say from which site a call comes,
//! that is looked at too. `SameSite=Strict` suffices because the console is one page, which asks after it was loaded.
//!
//! A session ends [`LIFE_MS`] after it began, or when it was not used for [`IDLE_MS`]; that it is used is noted at most
//! once in [`NOTE_MS`], so that its end may come so much earlier.

use super::super::auth::{Actor, Person, Role, refused};
use super::super::call::{Call, Reply, Who};
use super::super::problem::Problem;
use super::super::shape::moment;
use super::super::state::Inner;
use super::users::{self, note};
use super::{Verdict, count, totp};
use crate::store::control::audit::Source;
use crate::store::control::keys::Session;
use crate::store::control::users::{UserChange, UserRow, UserStatus};
use crate::store::control::{ControlError, Status, Write, WriteError};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use hyper::StatusCode;
use hyper::header::{COOKIE, HOST, HeaderMap, ORIGIN, SET_COOKIE};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use subtle::ConstantTimeEq;

const LIFE_MS: i64 = 12 * 3_600_000;
const IDLE_MS: i64 = 3_600_000;
const NOTE_MS: i64 = 60_000;

/// The prefix makes browsers refuse it without `Secure` and from other hosts.
const NAME: &str = "__Host-outbid";
const CSRF: &str = "x-csrf-token";
const SITE: &str = "sec-fetch-site";

/// What the cookie holds, if there is one.
pub(in crate::admin) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(';')).find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == NAME).then_some(value)
    })
}

/// What must be shown beside a cookie's token.
fn csrf(token: &str) -> String {
    let mut mac =
        <Hmac<Sha256> as KeyInit>::new_from_slice(token.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(b"outbid csrf");
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}

/// Whose session it is. `changes` says that the call is one that other sites must not be able to cause.
pub(in crate::admin) fn recognise(
    inner: &Inner,
    token: &str,
    headers: &HeaderMap,
    changes: bool,
) -> Result<Actor, Problem> {
    let hash: [u8; 32] = Sha256::digest(token).into();
    let found = inner.control.read(|read| {
        let Some(session) = read.session(&hash)? else { return Ok(None) };
        let Some(user) = read.user(session.user)? else { return Ok(None) };
        let account = user.account.map(|id| read.account(id)).transpose()?.flatten();
        Ok::<_, ControlError>(Some((session, user, account.map(|account| account.status))))
    })?;
    let now_ms = inner.clock.now().unix_ms;
    let is_good =
        |session: &Session, user: &UserRow| session.expires_ms > now_ms && user.status == UserStatus::Active;
    let Some((session, user, account)) = found.filter(|(session, user, _)| is_good(session, user)) else {
        let detail = "this session is over; log in again with POST /v1/session";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "no session", detail));
    };
    if user.account.is_some() && account != Some(Status::Active) {
        return Err(refused(format!("the account {} is paused", user.account.unwrap_or_default())));
    }
    if changes {
        check_site(headers)?;
        let shown = headers.get(CSRF).map_or(&b""[..], |value| value.as_bytes());
        if !bool::from(Sha256::digest(shown)[..].ct_eq(&session.csrf_hash)) {
            let detail = "send `X-CSRF-Token` with the `csrf_token` of POST /v1/session or GET /v1/me";
            return Err(refused(detail.to_owned()));
        }
    }
    let Some(role) = Role::parse(&user.role) else {
        return Err(refused(format!("the user {} has a role that this version does not know", user.id)));
    };
    if now_ms - session.seen_ms >= NOTE_MS {
        note_use(inner, &session, now_ms);
    }
    Ok(actor(&user, role, hash))
}

fn actor(user: &UserRow, role: Role, session: [u8; 32]) -> Actor {
    Actor {
        name: user.name.clone(),
        key: None,
        person: Some(Person { id: user.id, session }),
        account: user.account,
        role,
        scopes: Vec::new(),
        advertisers: (role == Role::AdvertiserViewer).then(|| user.advertisers.clone()),
    }
}

/// Somebody who has no session so far, for the record of that.
pub(super) fn new_actor(user: &UserRow) -> Actor {
    actor(user, Role::parse(&user.role).unwrap_or(Role::AdvertiserViewer), [0; 32])
}

fn note_use(inner: &Inner, session: &Session, now_ms: i64) {
    let (hash, end_ms) = (session.token_hash, (session.created_ms + LIFE_MS).min(now_ms + IDLE_MS));
    let noted = inner.control.write(move |tx| tx.touch_session(&hash, end_ms));
    if let Err(error) = noted as Result<bool, WriteError<ControlError>> {
        // It goes on until the end that it had; the next call tries again.
        tracing::warn!(%error, "that a session was used could not be noted");
    }
}

/// Refuses what a browser says another site has caused.
fn check_site(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    let is_own_site = text(SITE).is_none_or(|site| site == "same-origin" || site == "none");
    let host = text(HOST.as_str());
    let is_own_origin = text(ORIGIN.as_str()).is_none_or(|origin| {
        // Which scheme it was a proxy in front of us knows alone.
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        authority.is_some() && authority == host
    });
    if is_own_site && is_own_origin {
        return Ok(());
    }
    Err(refused("this call comes from another site, which a session is not good for".to_owned()))
}

/// `POST /v1/session`.
pub(super) fn login(inner: &Arc<Inner>, call: Call) -> Result<Reply, Problem> {
    check_site(&call.headers)?;
    let ([email, password], [code]) =
        super::texts(call.object(&["application/json"])?, ["email", "password"], ["totp"])?;
    let email = email.trim().to_lowercase();
    let request_id = call.request_id.clone();
    call.parameters.finish("none")?;
    let people = &inner.people;
    let attempt = people.attempt(call.peer, Some(&email), inner.clock.mono_ns())?;
    let found = inner.control.read(|read| read.user_by_email(&email))?;
    let user = found.filter(|user| user.status == UserStatus::Active);
    let verdict = attempt.compare(&password, user.as_ref())?;
    let (Some(user), Verdict::Right | Verdict::Outdated) = (user, verdict) else {
        count(&people.counts.refused);
        let detail = "the e-mail address or the password is wrong, or this person may not log in";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "not logged in", detail));
    };
    if user.totp_secret.is_some() && code.is_none() {
        attempt.succeeded();
        let detail = "the password is right; send `totp` with the code that your second factor shows too";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "second factor needed", detail));
    }
    let rehashed = match verdict {
        Verdict::Outdated => Some(attempt.hash(&password)?),
        _ => None,
    };
    let begun = begin(inner, user, code, rehashed, request_id);
    match begun {
        Ok(reply) => {
            attempt.succeeded();
            count(&people.counts.accepted);
            Ok(reply)
        }
        Err(problem) => {
            count(&people.counts.refused);
            Err(problem)
        }
    }
}

/// Begins a session of a user whose password was right.
fn begin(
    inner: &Arc<Inner>,
    user: UserRow,
    code: Option<String>,
    rehashed: Option<String>,
    request_id: String,
) -> Result<Reply, Problem> {
    let bits: [u8; 32] = rand::random();
    let token = URL_SAFE_NO_PAD.encode(bits);
    let (hash, csrf_hash) = (Sha256::digest(&token).into(), Sha256::digest(csrf(&token)).into());
    let begun = inner.control.write(move |tx| {
        // What was looked at may have changed since.
        let now = tx.user(user.id)?;
        let now = now.filter(|now| now.status == UserStatus::Active && now.version == user.version);
        let mut user = now.ok_or_else(|| {
            let detail = "this person was changed just now; log in again";
            Problem::new(StatusCode::UNAUTHORIZED, "not logged in", detail)
        })?;
        if let Some(secret) = &user.totp_secret
            && !take_code(tx, &user, secret, code.as_deref().unwrap_or(""))?
        {
            let detail = "the code of the second factor is wrong, or was used before; take the next one";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "wrong code", detail));
        }
        if rehashed.is_some() {
            let change = UserChange { password_hash: Some(rehashed), ..UserChange::default() };
            user = tx.update_user(user.id, None, change)?;
        }
        let now_ms = tx.now_ms();
        tx.sweep_sessions()?;
        let session = Session {
            token_hash: hash,
            user: user.id,
            csrf_hash,
            created_ms: now_ms,
            expires_ms: now_ms + IDLE_MS,
            seen_ms: now_ms,
        };
        tx.insert_session(&session)?;
        tx.user_logged_in(user.id)?;
        let who = Who { actor: new_actor(&user), request_id, source: Source::Api };
        note(tx, &who, "login", None, &user)?;
        Ok((user, session))
    });
    let (user, session) = begun.map_err(Problem::from)?;
    let set =
        format!("{NAME}={token}; Path=/; Max-Age={}; Secure; HttpOnly; SameSite=Strict", LIFE_MS / 1_000);
    Ok(Reply::new(StatusCode::CREATED, view(&user, &session, &token)).with(SET_COOKIE, set))
}

/// Takes a code of a user's second factor, once; whether it was a good one.
pub(super) fn take_code(
    tx: &mut Write<'_>,
    user: &UserRow,
    secret: &[u8],
    code: &str,
) -> Result<bool, ControlError> {
    match totp::step_of(secret, code, tx.now_ms()) {
        Some(step) => tx.totp_used(user.id, step),
        None => Ok(false),
    }
}

/// `DELETE /v1/session`.
pub(super) fn logout(inner: &Arc<Inner>, call: Call) -> Result<Reply, Problem> {
    let who = call.who();
    let (id, session) = users::own(&call)?;
    call.parameters.finish("none")?;
    let ended = inner.control.write(move |tx| {
        let user = users::seen(tx, id, None)?;
        tx.end_session(&session)?;
        note(tx, &who, "logout", None, &user)
    });
    ended.map_err(Problem::from)?;
    let unset = format!("{NAME}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict");
    Ok(Reply::new(StatusCode::OK, json!({ "ended": true })).with(SET_COOKIE, unset))
}

/// `GET /v1/me` of a person.
pub(super) fn me(inner: &Arc<Inner>, call: &Call) -> Result<Reply, Problem> {
    let (id, session) = users::own(call)?;
    let (user, session) = inner.control.read(|read| {
        let session = read.session(&session)?.ok_or_else(|| Problem::not_found("session"))?;
        Ok::<_, Problem>((users::seen(read, id, None)?, session))
    })?;
    let token = cookie(&call.headers).unwrap_or_default();
    Ok(Reply::new(StatusCode::OK, view(&user, &session, token)))
}

fn view(user: &UserRow, session: &Session, token: &str) -> Value {
    let advertisers: Vec<String> = user.advertisers.iter().map(u32::to_string).collect();
    json!({
        "name": user.name, "role": user.role, "account_id": user.account.map(|id| id.to_string()),
        "api_key_id": null, "scopes": [], "user_id": user.id.to_string(), "email": user.email,
        "advertiser_ids": advertisers, "totp_enabled": user.totp_secret.is_some(),
        "csrf_token": csrf(token), "session": {
            "created_at": moment(session.created_ms), "idle_until": moment(session.expires_ms),
            "expires_at": moment(session.created_ms + LIFE_MS),
        },
    })
}
