//! People: who may log in to the console, their sessions, passwords and second factors.
//!
//! A person shows an e-mail address, a password and, where one is set up, a code of a second factor; the answer sets a
//! cookie, which stands for the session from then on. Calls that change something show a second token beside it, which
//! other sites cannot read (see [`session`]). Programs have keys instead, see [`super::keyring`].
//!
//! Invariant: passwords, tokens and secrets of second factors are in no record, log line or later answer; the store has
//! hashes of all but the last. Every change by or to a person is recorded in its own transaction. A session is looked
//! up at each call together with its person, so that what an administrator changes is so at once.
//!
//! Deliberately absent: a mail server. Whoever invites somebody passes the token on.

mod guard;
mod hashing;
mod invites;
mod issue;
mod me;
mod passwords;
mod schema;
mod session;
mod totp;
mod users;

pub use issue::{PersonRequest, add_person, disable_person, invite_person, set_password};

pub(super) use schema::{documented, schemas};
pub(super) use session::{cookie, recognise};

use super::auth::{Role, refused};
use super::call::{Call, Reply};
use super::problem::{FieldError, Problem};
use super::state::Inner;
use crate::serve::ApiFigures;
use crate::store::control::users::{UserError, UserRow};
use guard::{Guard, Of, network};
use hashing::{Busy, Hasher, Verdict};
use hyper::{Method, StatusCode};
use serde_json::{Map, Value};
use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a route of people does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Task {
    Login,
    Logout,
    Accept,
    Rename,
    ChangePassword,
    Enrol,
    Confirm,
    RemoveFactor,
    List,
    Invite,
    Get,
    Change,
}

impl Task {
    /// Whether it is for those who have yet to say who they are.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Task::Login | Task::Accept)
    }

    /// Whether it is for people who are logged in, about themselves.
    pub(super) fn is_own(self) -> bool {
        use Task::{ChangePassword, Confirm, Enrol, Logout, RemoveFactor, Rename};
        matches!(self, Logout | Rename | ChangePassword | Enrol | Confirm | RemoveFactor)
    }
}

/// Method, path, what it does, who may, in words.
pub(super) const ROUTES: &[(Method, &str, Task, Role, &str)] = &[
    (Method::POST, "/v1/session", Task::Login, Role::AdvertiserViewer, "Log in; the answer sets a cookie"),
    (Method::DELETE, "/v1/session", Task::Logout, Role::AdvertiserViewer, "Log out"),
    (
        Method::POST,
        "/v1/invites:accept",
        Task::Accept,
        Role::AdvertiserViewer,
        "Choose a name and a password with an invitation's token",
    ),
    (Method::PATCH, "/v1/me", Task::Rename, Role::AdvertiserViewer, "Change one's own name"),
    (
        Method::POST,
        "/v1/me/password",
        Task::ChangePassword,
        Role::AdvertiserViewer,
        "Change one's own password; ends the other sessions",
    ),
    (
        Method::POST,
        "/v1/me/totp",
        Task::Enrol,
        Role::AdvertiserViewer,
        "Begin with a second factor; its secret is shown once",
    ),
    (
        Method::POST,
        "/v1/me/totp:confirm",
        Task::Confirm,
        Role::AdvertiserViewer,
        "Turn the second factor on with a code of it",
    ),
    (
        Method::DELETE,
        "/v1/me/totp",
        Task::RemoveFactor,
        Role::AdvertiserViewer,
        "Turn the second factor off with the password or a code",
    ),
    (Method::GET, "/v1/users", Task::List, Role::Admin, "The people who may log in"),
    (
        Method::POST,
        "/v1/users/invite",
        Task::Invite,
        Role::Admin,
        "Invite somebody, or again; the token is shown once and lasts 72 hours",
    ),
    (Method::GET, "/v1/users/{id}", Task::Get, Role::Admin, "One person"),
    (
        Method::PATCH,
        "/v1/users/{id}",
        Task::Change,
        Role::Admin,
        "Change a person's name, role, advertisers or status; disabled, all sessions end",
    ),
];

/// Does what a route is for.
pub(super) fn run(inner: &Arc<Inner>, task: Task, call: Call) -> Result<Reply, Problem> {
    if task.is_own() && call.actor.person.is_none() {
        let detail =
            "this is for people who are logged in, about themselves; an API key has nothing of the kind";
        return Err(refused(detail.to_owned()));
    }
    match task {
        Task::Login => session::login(inner, call),
        Task::Logout => session::logout(inner, call),
        Task::Accept => invites::accept(inner, call),
        Task::Rename => me::rename(inner, call),
        Task::ChangePassword => me::change_password(inner, call),
        Task::Enrol => me::enrol(inner, call),
        Task::Confirm => me::confirm(inner, call),
        Task::RemoveFactor => me::remove_factor(inner, call),
        Task::List => users::list(inner, call),
        Task::Invite => invites::invite(inner, call),
        Task::Get => users::get(inner, call),
        Task::Change => users::change(inner, call),
    }
}

/// Who calls, with what a person's console needs.
pub(super) fn me(inner: &Arc<Inner>, call: &Call) -> Result<Reply, Problem> {
    session::me(inner, call)
}

/// What the API keeps in memory about those who want to come in.
#[derive(Default)]
pub(super) struct People {
    pub(super) guard: Guard,
    hasher: Hasher,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    accepted: AtomicU64,
    refused: AtomicU64,
    slowed: AtomicU64,
    busy: AtomicU64,
    keys_refused: AtomicU64,
    keys_slowed: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl People {
    /// What was counted since the start.
    pub(super) fn figures(&self) -> ApiFigures {
        let Counts { accepted, refused, slowed, busy, keys_refused, keys_slowed } = &self.counts;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ApiFigures {
            logins_accepted: read(accepted),
            logins_refused: read(refused),
            logins_slowed: read(slowed),
            logins_busy: read(busy),
            keys_refused: read(keys_refused),
            keys_slowed: read(keys_slowed),
            password_hashes: self.hasher.worked_out(),
        }
    }

    /// Looks whether a key may be looked up that was shown by an address.
    pub(super) fn may_show(&self, peer: SocketAddr, key: &[u8], now_ns: u64) -> Result<(), Problem> {
        let from = network(peer.ip());
        let Some(retry_after_s) = self.guard.blocked(Of::Address(from), now_ns) else { return Ok(()) };
        if self.guard.trusts(from, key) {
            return Ok(());
        }
        count(&self.counts.keys_slowed);
        Err(too_often(retry_after_s))
    }

    /// Notes whether a key was one that is known.
    pub(super) fn shown(&self, peer: SocketAddr, key: &[u8], is_known: bool, now_ns: u64) {
        let from = network(peer.ip());
        if is_known {
            self.guard.trust(from, key);
        } else {
            self.guard.failed(Of::Address(from), now_ns);
            count(&self.counts.keys_refused);
        }
    }

    /// Begins an attempt to show something that is known to one person: refused where there were too many that
    /// failed. It is counted as one that fails until [`Attempt::succeeded`].
    fn attempt<'p>(
        &'p self,
        peer: SocketAddr,
        email: Option<&'p str>,
        now_ns: u64,
    ) -> Result<Attempt<'p>, Problem> {
        let from = network(peer.ip());
        let by_email = email.map(|email| match self.guard.trusts(from, email.as_bytes()) {
            true => Of::Known(from, email),
            false => Of::Email(email),
        });
        let counted = [Some(Of::Address(from)), by_email];
        let waits = counted.into_iter().flatten().filter_map(|of| self.guard.blocked(of, now_ns));
        if let Some(retry_after_s) = waits.max() {
            count(&self.counts.slowed);
            return Err(too_often(retry_after_s));
        }
        counted.into_iter().flatten().for_each(|of| self.guard.failed(of, now_ns));
        Ok(Attempt { people: self, from, email, counted: Cell::new(counted) })
    }
}

/// Somebody tries to show who they are. What was counted stays unless it turns out right.
struct Attempt<'p> {
    people: &'p People,
    from: IpAddr,
    email: Option<&'p str>,
    /// What is still counted against it.
    counted: Cell<[Option<Of<'p>>; 2]>,
}

impl Attempt<'_> {
    /// Whether a password is that of a user, who may be nobody; one hash is worked out in any case.
    fn compare(&self, password: &str, user: Option<&UserRow>) -> Result<Verdict, Problem> {
        let stored = user.and_then(|user| user.password_hash.as_deref());
        self.unless_busy(self.people.hasher.compare(password, stored))
    }

    /// A new password's hash.
    fn hash(&self, password: &str) -> Result<String, Problem> {
        self.unless_busy(self.people.hasher.hash(password))
    }

    fn unless_busy<T>(&self, done: Result<T, Busy>) -> Result<T, Problem> {
        done.map_err(|Busy| {
            count(&self.people.counts.busy);
            // Nothing was said about what was shown.
            self.forgive();
            let detail = "many passwords are looked at right now; come again in a moment";
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail);
            Problem { retry_after_s: Some(1), ..problem }
        })
    }

    fn forgive(&self) {
        self.counted.take().into_iter().flatten().for_each(|of| self.people.guard.forgive(of));
    }

    /// What was shown is right.
    fn succeeded(&self) {
        self.forgive();
        if let Some(email) = self.email {
            self.people.guard.trust(self.from, email.as_bytes());
        }
    }
}

fn too_often(retry_after_s: u64) -> Problem {
    let detail = "too many attempts have failed; come again after the seconds of Retry-After";
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many failures", detail);
    Problem { retry_after_s: Some(retry_after_s), ..problem }
}

/// The texts of a body that knows no other members: those that must be there, then those that may.
fn texts<const N: usize, const M: usize>(
    mut object: Map<String, Value>,
    needed: [&str; N],
    optional: [&str; M],
) -> Result<([String; N], [Option<String>; M]), Problem> {
    let mut errors = Vec::new();
    let mut take = |name: &str, is_needed: bool| match object.remove(name) {
        Some(Value::String(text)) => Some(text),
        None | Some(Value::Null) if !is_needed => None,
        None | Some(Value::Null) => {
            errors.push(FieldError::new(format!("/{name}"), "missing", "is missing; add it"));
            None
        }
        Some(_) => {
            errors.push(FieldError::new(format!("/{name}"), "malformed", "give a text in quotes"));
            None
        }
    };
    let given = needed.map(|name| take(name, true).unwrap_or_default());
    let maybe = optional.map(|name| take(name, false));
    let known = needed.iter().chain(&optional).copied().collect::<Vec<_>>().join(", ");
    for name in object.keys() {
        let message = format!("is not known here; there are {known}");
        errors.push(FieldError::new(format!("/{name}"), "malformed", message));
    }
    if errors.is_empty() { Ok((given, maybe)) } else { Err(Problem::invalid(errors)) }
}

impl From<UserError> for Problem {
    fn from(why: UserError) -> Problem {
        let detail = why.to_string();
        match why {
            UserError::Store(why) => why.into(),
            UserError::Missing { id } => Problem::not_found(&format!("user {id}")),
            UserError::NoAccount { .. } => {
                Problem::invalid(vec![FieldError::new("/account_id", "unknown_reference", detail)])
            }
            UserError::EmailTaken { .. } => {
                let errors = vec![FieldError::new("/email", "duplicate", detail.clone())];
                Problem { errors, ..Problem::new(StatusCode::CONFLICT, "conflict", detail) }
            }
            UserError::Conflict { current } => Problem {
                current_version: Some(current.version),
                ..Problem::new(StatusCode::PRECONDITION_FAILED, "changed meanwhile", detail)
            },
        }
    }
}
