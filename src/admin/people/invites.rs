//! Invitations: an administrator names an e-mail address and a role and passes a token on, with which its owner chooses a
//! name and a password.
//!
//! Who was invited and has not accepted may be invited again, also with another role; the earlier token is no good then.

use super::super::api_keys::account_of;
use super::super::auth::Actor;
use super::super::call::{Call, Reply};
use super::super::problem::{FieldError, Problem};
use super::super::shape::moment;
use super::super::state::Inner;
use super::super::tenants::is_name;
use super::users::{self, check_role, ids_of, may_change, may_give, note};
use super::{passwords, session};
use crate::store::control::users::{NewUser, UserChange, UserRow, UserStatus};
use crate::store::control::{Read, Write};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::StatusCode;
use hyper::header::LOCATION;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// How long a token is good.
const LIFE_MS: i64 = 72 * 3_600_000;
/// What every token begins with, for people and for scanners of what was published by mistake.
const BEGINNING: &str = "outbid_invite_";
/// RFC 5321, 4.5.3.1.3, without the angle brackets.
const MAX_EMAIL: usize = 254;

/// Who shall be invited, and as what.
pub(super) struct Invited {
    /// `None` is the platform.
    pub(super) account: Option<u32>,
    pub(super) email: String,
    pub(super) role: String,
    pub(super) advertisers: Vec<u32>,
}

pub(super) fn invite(inner: &Arc<Inner>, mut call: Call) -> Result<Reply, Problem> {
    let dry = call.parameters.switch("validate_only")?;
    let mut object = call.object(&["application/json"])?;
    let account = account_of(&call, &mut object)?;
    let invited = Invited::read(account, object)?;
    let (who, actor) = (call.who(), call.actor);
    call.parameters.finish("validate_only")?;
    let (row, token, expires_ms) = inner.change_aside(dry, move |tx| {
        let made = invited.place(tx, Some(&actor))?;
        note(tx, &who, "invite", None, &made.0)?;
        Ok(made)
    })?;
    let mut view = users::view(&row);
    if dry {
        return Ok(Reply::new(StatusCode::OK, view));
    }
    view["invite_token"] = token.into();
    view["invite_expires_at"] = moment(expires_ms);
    Ok(Reply::new(StatusCode::CREATED, view).with(LOCATION, format!("/v1/users/{}", row.id)))
}

impl Invited {
    fn read(account: Option<u32>, mut object: Map<String, Value>) -> Result<Invited, Problem> {
        let advertisers = match object.remove("advertiser_ids") {
            None | Some(Value::Null) => Some(Vec::new()),
            Some(ids) => ids_of(&ids),
        };
        let ([email, role], []) = super::texts(object, ["email", "role"], [])?;
        let advertisers = advertisers.ok_or_else(|| {
            let message = "give the ids of advertisers, in quotes";
            Problem::invalid(vec![FieldError::new("/advertiser_ids", "malformed", message)])
        })?;
        Ok(Invited { account, email, role, advertisers })
    }

    /// Everything that is wrong with it. `name` is what messages and records call the user so far.
    pub(super) fn check(&self, read: &Read<'_>) -> Result<(), Problem> {
        if !is_email(&self.email) {
            let message = "give an e-mail address such as ada@agency.example";
            return Err(Problem::invalid(vec![FieldError::new("/email", "malformed", message)]));
        }
        check_role(read, self.account, &self.email, &self.role, &self.advertisers)
    }

    /// Makes the user, or takes up who was invited before, and a token. `actor` is who may not give more than it has;
    /// the command line may everything.
    pub(super) fn place(
        self,
        tx: &mut Write<'_>,
        actor: Option<&Actor>,
    ) -> Result<(UserRow, String, i64), Problem> {
        self.check(tx)?;
        if let Some(actor) = actor {
            may_give(actor, &self.role)?;
        }
        let before = tx.user_by_email(&self.email)?;
        let again = before.filter(|user| user.status == UserStatus::Invited && user.account == self.account);
        let user = match again {
            Some(user) => {
                if let Some(actor) = actor {
                    may_change(actor, &user)?;
                }
                let (role, advertisers) = (Some(self.role), Some(self.advertisers));
                tx.update_user(user.id, None, UserChange { role, advertisers, ..UserChange::default() })?
            }
            None => tx.insert_user(self.into_new(None, UserStatus::Invited))?,
        };
        let token = token();
        let expires_ms = tx.now_ms() + LIFE_MS;
        tx.insert_invite(user.id, &Sha256::digest(&token).into(), expires_ms)?;
        Ok((user, token, expires_ms))
    }

    /// The user that it becomes. The name is the address until its owner gives another.
    pub(super) fn into_new(self, password_hash: Option<String>, status: UserStatus) -> NewUser {
        let Invited { account, email, role, advertisers } = self;
        NewUser { account, name: email.clone(), email, role, advertisers, password_hash, status }
    }
}

fn token() -> String {
    let bits: [u8; 32] = rand::random();
    format!("{BEGINNING}{}", URL_SAFE_NO_PAD.encode(bits))
}

/// Whether a text can be an address. Whether it is somebody's the invitation shows.
fn is_email(text: &str) -> bool {
    let is_plain =
        |part: &str| !part.is_empty() && !part.chars().any(|c| c.is_whitespace() || c.is_control());
    text.len() <= MAX_EMAIL
        && text.split_once('@').is_some_and(|(local, domain)| {
            is_plain(local) && is_plain(domain) && !domain.contains('@') && domain.contains('.')
        })
}

/// `POST /v1/invites:accept`.
pub(super) fn accept(inner: &Arc<Inner>, call: Call) -> Result<Reply, Problem> {
    let object = call.object(&["application/json"])?;
    let ([token, name, password], []) = super::texts(object, ["token", "name", "password"], [])?;
    let mut who = call.who();
    call.parameters.finish("none")?;
    let hash: [u8; 32] = Sha256::digest(&token).into();
    let attempt = inner.people.attempt(call.peer, None, inner.clock.mono_ns())?;
    let now_ms = inner.clock.now().unix_ms;
    let user = inner.control.read(|read| invited(read, &hash, now_ms))?;
    attempt.succeeded();
    let mut errors = Vec::new();
    if !is_name(&name) {
        let message = "give a name of 1 to 255 characters in one line";
        errors.push(FieldError::new("/name", "malformed", message));
    }
    errors.extend(passwords::check_field(&password, &user.email, "/password").err());
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let password_hash = Some(Some(attempt.hash(&password)?));
    let row = inner.change_aside(false, move |tx| {
        // Again, because it is good once.
        let before = invited(tx, &hash, tx.now_ms())?;
        let status = Some(UserStatus::Active);
        let change = UserChange { name: Some(name), password_hash, status, ..UserChange::default() };
        let after = tx.update_user(before.id, None, change)?;
        tx.end_invites_of(before.id)?;
        who.actor = session::new_actor(&after);
        note(tx, &who, "accept", Some(&before), &after)?;
        Ok(after)
    })?;
    Ok(Reply::new(StatusCode::OK, users::view(&row)))
}

/// Whom a token invites. What was used, is over or never was gets the same answer.
fn invited(read: &Read<'_>, hash: &[u8; 32], now_ms: i64) -> Result<UserRow, Problem> {
    let gone = || {
        let detail = "there is no such invitation, or it was used or is over; ask for a new one";
        Problem::new(StatusCode::NOT_FOUND, "not found", detail)
    };
    let invite = read.invite(hash)?.filter(|invite| invite.expires_ms > now_ms).ok_or_else(gone)?;
    let user = read.user(invite.user)?;
    user.filter(|user| user.status == UserStatus::Invited).ok_or_else(gone)
}
