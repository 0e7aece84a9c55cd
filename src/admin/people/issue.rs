//! People by the command line: whoever may write the data directory may do this, so that nobody is locked out for good.

use super::super::audit;
use super::super::key_request::IssueError;
use super::super::problem::Problem;
use super::hashing::{Busy, Hasher};
use super::invites::Invited;
use super::passwords;
use super::users::{about, keeps_an_owner, recorded};
use crate::store::control::users::{UserChange, UserRow, UserStatus};
use crate::store::control::{Control, Read, Write, WriteError};
use serde_json::json;

/// A person who shall be able to log in.
#[derive(Clone, Debug, Default)]
pub struct PersonRequest {
    /// The account; `None` is the platform.
    pub account: Option<u32>,
    /// What is logged in with.
    pub email: String,
    /// owner, admin, trader, analyst or advertiser_viewer.
    pub role: String,
    /// What an advertiser_viewer sees.
    pub advertisers: Vec<u32>,
}

impl PersonRequest {
    fn invited(self) -> Invited {
        let PersonRequest { account, email, role, advertisers } = self;
        Invited { account, email, role, advertisers }
    }
}

/// Invites somebody; the row, the token, which nobody can ask for again, and until when it is good, in milliseconds
/// since the Unix epoch.
pub fn invite_person(
    control: &Control,
    request: PersonRequest,
) -> Result<(UserRow, String, i64), IssueError> {
    write(control, move |tx| {
        let made = request.invited().place(tx, None)?;
        note(tx, "invite", None, &made.0)?;
        Ok(made)
    })
}

/// Makes somebody who may log in at once.
pub fn add_person(control: &Control, request: PersonRequest, password: &str) -> Result<UserRow, IssueError> {
    let hash = hashed(password, &request.email)?;
    write(control, move |tx| {
        let invited = request.invited();
        invited.check(tx)?;
        let row = tx.insert_user(invited.into_new(Some(hash), UserStatus::Active))?;
        note(tx, "create", None, &row)?;
        Ok(row)
    })
}

/// Disables somebody: no session is good any more.
pub fn disable_person(control: &Control, email: &str) -> Result<UserRow, IssueError> {
    let email = email.to_owned();
    write(control, move |tx| {
        let before = find(tx, &email)?;
        let status = Some(UserStatus::Disabled);
        let after = tx.update_user(before.id, None, UserChange { status, ..UserChange::default() })?;
        tx.end_sessions_of(before.id)?;
        tx.end_invites_of(before.id)?;
        keeps_an_owner(tx, &before, &after)?;
        note(tx, "update", Some(&before), &after)?;
        Ok(after)
    })
}

/// Gives somebody another password, and takes the second factor off where that is asked for: for who has lost them. All
/// sessions end; who was disabled or invited is active again.
pub fn set_password(
    control: &Control,
    email: &str,
    password: &str,
    removes_factor: bool,
) -> Result<UserRow, IssueError> {
    let hash = hashed(password, email)?;
    let email = email.to_owned();
    write(control, move |tx| {
        let before = find(tx, &email)?;
        let change = UserChange {
            password_hash: Some(Some(hash)),
            status: Some(UserStatus::Active),
            totp_secret: removes_factor.then_some(None),
            totp_pending: removes_factor.then_some(None),
            ..UserChange::default()
        };
        let after = tx.update_user(before.id, None, change)?;
        tx.end_sessions_of(before.id)?;
        tx.end_invites_of(before.id)?;
        note(tx, "change_password", Some(&before), &after)?;
        Ok(after)
    })
}

fn hashed(password: &str, email: &str) -> Result<String, IssueError> {
    passwords::check(password, email).map_err(IssueError::Invalid)?;
    let hash = Hasher::default().hash(password);
    hash.map_err(|Busy| IssueError::Store("there is no memory for the password's hash".to_owned()))
}

fn find(read: &Read<'_>, email: &str) -> Result<UserRow, Problem> {
    read.user_by_email(email)?.ok_or_else(|| Problem::not_found(&format!("user {email}")))
}

fn note(tx: &mut Write<'_>, action: &str, before: Option<&UserRow>, after: &UserRow) -> Result<(), Problem> {
    let states = (&before.map_or_else(|| json!({}), recorded), &recorded(after));
    audit::record_of_command_line(tx, action, &about(after), states)
}

fn write<T: Send + 'static>(
    control: &Control,
    work: impl FnOnce(&mut Write<'_>) -> Result<T, Problem> + Send + 'static,
) -> Result<T, IssueError> {
    control.write(work).map_err(|why: WriteError<Problem>| match why {
        WriteError::Refused(problem) if problem.status.is_server_error() => IssueError::Store(problem.detail),
        WriteError::Refused(problem) => {
            let words = problem.errors.iter().map(|error| format!("{}: {}", error.pointer, error.message));
            let words: Vec<String> = words.collect();
            IssueError::Invalid(if words.is_empty() { problem.detail } else { words.join("; ") })
        }
        other => IssueError::Store(other.to_string()),
    })
}
