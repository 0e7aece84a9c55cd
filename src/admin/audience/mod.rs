//! People in segments: customer lists that are put into them, people like those of one, how many are in them, how they can be
//! reached elsewhere, and what people may ask of whoever keeps something about them.
//!
//! Whoever is meant comes as an identifier and is known by its key from then on ([`crate::audience::IdKey`]); no
//! identifier reaches a record, a log line or an answer, not even that of a row which is refused.
//!
//! Invariant: what is answered as done (the end of an upload, the receipt of an erasure) is on the disk by then. People
//! belong to the platform and not to one of its accounts: their keys are the same for all of them. So an account says
//! who is in its own segments, and only the platform erases and exports.
//!
//! Deliberately absent: hashing of raw addresses. Who has them hashes them, and nothing else is taken.

mod activate;
mod contacts;
mod count;
mod expand;
mod line;
mod member;
mod rights;
mod schema;
mod upload;

pub(super) use count::Counts;
pub(super) use schema::{documented, schemas};

use super::auth::Role;
use super::call::{Call, Reply};
use super::download::Download;
use super::problem::Problem;
use super::state::Inner;
use crate::audience::{Plan, Store};
use crate::budget::frequency::FrequencyTable;
use crate::contacts::Contacts;
use crate::model::ids::UserKey;
use crate::serve::{ForgottenEverywhere, NotForgotten};
use hyper::{Method, StatusCode};
use std::sync::Arc;

/// The people of a running server.
#[derive(Clone)]
pub struct People {
    /// Where they are kept.
    pub store: Arc<Store>,
    /// Rules, interests and tiers, as the server follows them.
    pub plan: Arc<Plan>,
    /// How they can be reached elsewhere.
    pub contacts: Arc<Contacts>,
    /// How often they were shown what.
    pub frequency: Arc<FrequencyTable>,
    /// Forgets whose keys these are, in everything that is kept, durably.
    pub forget: Forget,
}

/// Forgets people; an error where a disk refuses.
pub type Forget = Arc<dyn Fn(&[UserKey]) -> Result<ForgottenEverywhere, NotForgotten> + Send + Sync>;

/// Gives the people of the running server; `None` while there is none.
pub type PeopleSource = Box<dyn Fn() -> Option<People> + Send + Sync>;

/// What a route of people in segments does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Task {
    Upload,
    Expand,
    LoadContacts,
    Activate,
    TakeContacts,
    Stats,
    Overlap,
    Erase,
    Export,
}

impl Task {
    /// Whether no account may, but only the platform.
    pub(super) fn is_platforms(self) -> bool {
        matches!(self, Task::Erase | Task::Export)
    }

    /// Whether it only looks.
    pub(super) fn is_reading(self) -> bool {
        matches!(self, Task::Stats | Task::Overlap)
    }

    /// Whether it is about one segment or several, and so within an account.
    pub(super) fn is_of_segments(self) -> bool {
        matches!(self, Task::Upload | Task::Expand | Task::Activate | Task::Stats | Task::Overlap)
    }
}

/// Method, path, what it does, who may, in words.
pub(super) const ROUTES: &[(Method, &str, Task, Role, &str)] = &[
    (
        Method::POST,
        "/v1/segments/{id}/members:upload",
        Task::Upload,
        Role::Trader,
        "Put the people of a list into a segment, or take them out; answered with a job",
    ),
    (
        Method::POST,
        "/v1/segments/{id}:expand",
        Task::Expand,
        Role::Trader,
        "Find people like those of a segment and put them into another one; answered with a job",
    ),
    (
        Method::POST,
        "/v1/contacts:upload",
        Task::LoadContacts,
        Role::Admin,
        "Say how people can be reached outside of ads and that they agree, or that they do not; answered with a job",
    ),
    (
        Method::POST,
        "/v1/segments/{id}/contacts:export",
        Task::Activate,
        Role::Admin,
        "Choose the people of a segment who agree to be reached in a channel; answered with a job",
    ),
    (
        Method::POST,
        "/v1/jobs/{id}/contacts:download",
        Task::TakeContacts,
        Role::Admin,
        "Take the list of such a job, once",
    ),
    (
        Method::GET,
        "/v1/segments/{id}/stats",
        Task::Stats,
        Role::Analyst,
        "How many are in a segment, as counted within the last minute or so",
    ),
    (
        Method::POST,
        "/v1/segments:overlap",
        Task::Overlap,
        Role::Analyst,
        "How many are in each two of some segments",
    ),
    (
        Method::POST,
        "/v1/people:erase",
        Task::Erase,
        Role::Admin,
        "Forget somebody for good; answered with a receipt",
    ),
    (Method::POST, "/v1/people:export", Task::Export, Role::Admin, "Everything that is kept of somebody"),
];

/// Does what a route is for.
pub(super) fn run(inner: &Arc<Inner>, task: Task, call: Call) -> Result<Reply, Problem> {
    match task {
        Task::Upload => upload::start(inner, call),
        Task::Expand => expand::start(inner, call),
        Task::LoadContacts => contacts::start(inner, call),
        Task::Activate => activate::start(inner, call),
        Task::TakeContacts => Err(Problem::not_found("such reply")),
        Task::Stats => count::stats(inner, call),
        Task::Overlap => count::overlap(inner, call),
        Task::Erase => rights::erase(inner, call),
        Task::Export => rights::export(inner, call),
    }
}

/// Takes the list of a job.
pub(super) fn download(inner: &Arc<Inner>, call: Call) -> Result<Download, Problem> {
    activate::take(inner, call)
}

/// Removes what is over of the contacts.
pub(super) fn tidy(inner: &Inner) {
    let Some(People { contacts, .. }) = (inner.people_kept)() else { return };
    if let Err(why) = contacts.tidy(inner.clock.now().unix_s()) {
        tracing::warn!(%why, "contacts that are over were not removed");
    }
}

/// The people of the server.
fn people(inner: &Inner) -> Result<People, Problem> {
    (inner.people_kept)().ok_or_else(|| {
        let detail = "people are kept by the server, which is not ready yet; come again";
        let early = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not ready", detail);
        Problem { retry_after_s: Some(1), ..early }
    })
}

/// What the disk refuses.
fn unkept(why: &dyn std::fmt::Display) -> Problem {
    tracing::error!(%why, "the audience cannot be written");
    let detail =
        "the disk refuses, so this may not outlive a restart; the server's log says more. Send it again";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not durable", detail)
}
