//! What the API works on: the store, the editor that mirrors it, and whoever has to hear of a change.

use super::audience;
use super::auth::{self, Actor, Scope};
use super::call::{Call, Reply};
use super::docs;
use super::download::{Downloads, Loaded};
pub(super) use super::filled::{fill, in_order, put_all, put_row, shapes};
use super::idempotent;
use super::jobs::{self, JobOptions, Jobs};
use super::keyring::{self, Keyring};
use super::limits::{Buckets, Rate, Taken};
use super::page::Parameters;
use super::people::{self, People};
use super::problem::Problem;
pub(super) use super::puts::{Puts, Tried};
use super::routes::{self, Action, Found, Route};
use super::status::Serving;
use super::tenants;
use crate::config::{Config, Secret};
use crate::model::account::Account;
use crate::model::clock::Clock;
use crate::model::ids::AdvertiserId;
use crate::serve::{Api, ApiAnswer, ApiBody, ApiFigures, ApiHead, ApiRequest, Caller, Receive, Spool};
use crate::store::account_file::Editor;
use crate::store::control::{Control, ControlError, Kind, Query, Write, WriteError};
use arc_swap::ArcSwapOption;
use bytes::Bytes;
use hyper::header::{
    ALLOW, AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use hyper::{Method, StatusCode};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::fs::File;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the API is made of.
pub struct Setup {
    /// The store.
    pub control: Control,
    /// The key of the first administrator.
    pub bootstrap_key: Option<Secret>,
    /// What the time is.
    pub clock: Arc<dyn Clock>,
    /// Called after a change was committed; takes up the newest account soon, and never waits.
    pub published: Box<dyn Fn() + Send + Sync>,
    /// What serves, for the status of things.
    pub serving: Box<dyn Serving>,
    /// Who is in which segment.
    pub people: audience::PeopleSource,
    /// How often a key may call.
    pub rate: Rate,
    /// Where bids are asked for: beyond loopback every exchange needs a secret.
    pub bid_listener: SocketAddr,
    /// `track.public_url`, under which pixels take events.
    pub public_url: String,
    /// What is worked on in the background.
    pub jobs: JobOptions,
}

/// The API. A cheap handle.
#[derive(Clone)]
pub struct Admin(pub(super) Arc<Inner>);

/// See [`Admin`].
pub(super) struct Inner {
    pub(super) control: Control,
    pub(super) editor: Mutex<Editor>,
    bootstrap_key: ArcSwapOption<Secret>,
    pub(super) clock: Arc<dyn Clock>,
    published: Box<dyn Fn() + Send + Sync>,
    pub(super) serving: Box<dyn Serving>,
    pub(super) people_kept: audience::PeopleSource,
    pub(super) counts: audience::Counts,
    pub(super) keyring: Keyring,
    pub(super) people: People,
    buckets: Buckets,
    pub(super) bid_listener: SocketAddr,
    pub(super) public_url: String,
    pub(super) jobs: Jobs,
    downloads: Downloads,
    requests: AtomicU64,
}

/// Why the API cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store.
    #[error(transparent)]
    Store(#[from] ControlError),
    /// A stored document is none that this program reads.
    #[error("the control database holds {kind} {id}, which cannot be read: {what}; restore it from a backup")]
    Stored {
        /// Of what kind.
        kind: Kind,
        /// Which one.
        id: u32,
        /// What is wrong with it.
        what: String,
    },
    /// An account that was to be taken in has errors.
    #[error("the account was not taken in: {0}")]
    Import(String),
    /// A thread of it.
    #[error("the thread of the jobs cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

impl Admin {
    /// Opens the API on a database; an empty one gets what every account has.
    pub fn new(setup: Setup) -> Result<Admin, StartError> {
        let Setup {
            control,
            bootstrap_key,
            clock,
            published,
            serving,
            people,
            rate,
            bid_listener,
            public_url,
            jobs,
        } = setup;
        let is_empty = control.read(|read| Ok::<bool, ControlError>(read.get(Kind::Rates, 1)?.is_none()))?;
        if is_empty {
            super::import::import(&control, "{\"rates\": {\"base\": \"USD\"}}")?;
        }
        tenants::open(&control)?;
        let editor = Mutex::new(fill(&control)?);
        let requests = AtomicU64::new(0);
        let (keyring, buckets) = (Keyring::default(), Buckets::new(rate));
        let (jobs, queue) = Jobs::open(&control, clock.now().unix_ms, jobs)?;
        let inner = Arc::new(Inner {
            control,
            editor,
            bootstrap_key: ArcSwapOption::new(bootstrap_key.map(Arc::new)),
            clock,
            published,
            serving,
            people_kept: people,
            counts: audience::Counts::default(),
            keyring,
            people: People::default(),
            buckets,
            bid_listener,
            public_url,
            jobs,
            downloads: Downloads::default(),
            requests,
        });
        jobs::work(&inner, queue)?;
        Ok(Admin(inner))
    }

    /// Ends the job that runs and writes what was only kept in memory: when keys were used last. To be called at the end.
    pub fn close(&self) {
        self.0.jobs.stop();
        self.0.keyring.note(&self.0.control);
    }

    /// Removes what is over, as its own thread does from time to time: files of jobs, kept answers, sessions.
    pub fn tidy(&self) {
        jobs::tidy(&self.0);
    }

    /// Follows another configuration: the first key, and how often keys may call.
    pub fn take_up(&self, config: &Config) {
        self.0.bootstrap_key.store(config.admin.bootstrap_key.clone().map(Arc::new));
        self.0.buckets.set(Rate { per_s: config.admin.rate_per_s, burst: config.admin.burst });
    }

    /// The newest account, for the publisher.
    pub fn account(&self) -> Account {
        self.0.editor.lock().account()
    }
}

impl Inner {
    /// Runs `work` in one transaction together with what it puts into the editor: both, or neither.
    pub(super) fn change<T: Send + 'static>(
        self: &Arc<Inner>,
        work: impl FnOnce(&mut Write<'_>, &mut Puts<'_>) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let done = self.change_unpublished(work)?;
        self.publish();
        Ok(done)
    }

    /// The same without telling anybody, for who has more to change and tells at the end.
    pub(super) fn change_unpublished<T: Send + 'static>(
        self: &Arc<Inner>,
        work: impl FnOnce(&mut Write<'_>, &mut Puts<'_>) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let inner = Arc::clone(self);
        let done = self.control.write(move |tx| {
            let mut editor = inner.editor.lock();
            let mut puts = Puts::on(&mut editor, &inner, false);
            let result = work(tx, &mut puts);
            if result.is_err() {
                puts.undo_to(0);
            }
            result
        });
        self.settle(done)
    }

    /// The same for a change that takes long: it works on a copy of the editor, so that whoever reads is answered
    /// meanwhile, and nobody sees any of it before all of it is done. Other writers wait.
    pub(super) fn change_apart<T: Send + 'static>(
        self: &Arc<Inner>,
        work: impl FnOnce(&mut Write<'_>, &mut Puts<'_>) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let inner = Arc::clone(self);
        let done = self.control.write(move |tx| {
            // Only this thread ever changes the editor, so the copy is still its like when it takes its place.
            let mut editor = inner.editor.lock().clone();
            let mut puts = Puts::on(&mut editor, &inner, true);
            let result = work(tx, &mut puts);
            if result.is_ok() {
                std::mem::swap(&mut *inner.editor.lock(), &mut editor);
            }
            result
        });
        let done = self.settle(done)?;
        self.publish();
        Ok(done)
    }

    /// Runs `work` in a transaction that changes nothing which serves, kept unless it is only tried.
    pub(super) fn change_aside<T: Clone + Send + 'static>(
        &self,
        dry: bool,
        work: impl FnOnce(&mut Write<'_>) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let tried = Tried::new(dry);
        let inside = tried.clone();
        let done = self.control.write(move |tx| work(tx).and_then(|value| inside.keep(value)));
        tried.settle(done.map_err(Problem::from))
    }

    /// Tells whoever serves that there is something new.
    pub(super) fn publish(&self) {
        (self.published)();
    }

    /// Ends a change: the editor holds what the database holds.
    fn settle<T>(&self, done: Result<T, WriteError<Problem>>) -> Result<T, Problem> {
        // It was put, and then not committed; or nobody knows how far it came.
        if let Err(WriteError::Store(_) | WriteError::Panicked { .. }) = &done {
            self.fill_again();
        }
        done.map_err(Problem::from)
    }

    fn fill_again(&self) {
        match fill(&self.control) {
            Ok(editor) => *self.editor.lock() = editor,
            Err(error) => {
                tracing::error!(%error, "the account in memory may be ahead of the database; restart")
            }
        }
    }

    /// Who calls: a program by its key, else a person by the session. `changes` says that the call is one that other
    /// sites must not be able to cause.
    fn recognise(&self, headers: &HeaderMap, peer: SocketAddr, changes: bool) -> Result<Actor, Problem> {
        if !headers.contains_key(AUTHORIZATION)
            && let Some(token) = people::cookie(headers)
        {
            return people::recognise(self, token, headers, changes);
        }
        let (shown, now_ns) = (keyring::shown(headers)?, self.clock.mono_ns());
        self.people.may_show(peer, shown, now_ns)?;
        let bootstrap = self.bootstrap_key.load();
        let known = self.keyring.recognise(&self.control, &*self.clock, bootstrap.as_deref(), shown, peer)?;
        self.people.shown(peer, shown, known.is_some(), now_ns);
        known.ok_or_else(keyring::unknown)
    }

    /// Who calls a route, if it may; notes in `limit` how much more it may call.
    fn admit(
        &self,
        route: &Route,
        request: &ApiRequest,
        limit: &mut Option<Taken>,
    ) -> Result<Actor, Problem> {
        if route.is_open() {
            return Ok(Actor::nobody());
        }
        let actor = self.recognise(&request.headers, request.peer, route.method != Method::GET)?;
        let taken = self.buckets.take(actor.bucket(), self.clock.mono_ns());
        *limit = Some(taken);
        if taken.retry_after_s.is_some() {
            return Err(too_many(taken.retry_after_s));
        }
        auth::require(&actor, route)?;
        Ok(actor)
    }

    /// What somebody may do on the paths that the server answers itself.
    fn caller(&self, headers: &HeaderMap, peer: SocketAddr) -> Caller {
        let request_id = self.request_id();
        let refused = |problem: &Problem| finish(refusal(problem, &request_id, ""), &request_id);
        let known = self.recognise(headers, peer, true).and_then(|actor| {
            let own = if actor.has(Scope::Read) { self.advertisers_of(&actor)? } else { BTreeSet::new() };
            Ok((actor, own))
        });
        match known {
            Ok((actor, _)) if auth::is_operator(&actor) => Caller::Operator,
            Ok((actor, own)) => {
                let refused = refused(&auth::no_operator(&actor));
                if actor.has(Scope::Read) { Caller::Reader(own, refused) } else { Caller::Refused(refused) }
            }
            Err(problem) => Caller::Refused(refused(&problem)),
        }
    }

    /// The advertisers that somebody may see.
    fn advertisers_of(&self, actor: &Actor) -> Result<BTreeSet<AdvertiserId>, Problem> {
        if let Some(own) = &actor.advertisers {
            return Ok(own.iter().map(|id| AdvertiserId(*id)).collect());
        }
        let query = Query { account: actor.account, limit: usize::MAX, ..Query::of(Kind::Advertiser) };
        let rows = self.control.read(|read| read.list(&query).map_err(Problem::from))?;
        Ok(rows.into_iter().map(|row| AdvertiserId(row.id)).collect())
    }

    /// Another id of a request.
    fn request_id(&self) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        format!("req_{:x}_{number:x}", self.clock.now().unix_ms)
    }

    /// Where the body of a call goes that may be longer than what is kept in memory, see [`Api::receive`].
    fn receive(&self, head: &ApiHead) -> Receive {
        let route = match routes::find(&head.method, head.uri.path()) {
            Found::Route(route, _) if route.takes_long_bodies() => route,
            _ => return Receive::Memory,
        };
        let may =
            self.recognise(&head.headers, head.peer, true).and_then(|actor| auth::require(&actor, route));
        let file = may.and_then(|()| jobs::spool(&self.jobs.options));
        let max_bytes = self.jobs.options.import_bytes;
        match file {
            Ok(file) => Receive::Spool(Spool { file, max_bytes }),
            Err(problem) => {
                let request_id = self.request_id();
                Receive::Refused(finish(refusal(&problem, &request_id, head.uri.path()), &request_id))
            }
        }
    }

    /// The whole answer to a call.
    fn answer(self: &Arc<Inner>, request: ApiRequest, spool: Option<File>) -> Option<ApiAnswer> {
        // What a HEAD is answered is a GET's head; its body the connection leaves out.
        let method = if request.method == Method::HEAD { Method::GET } else { request.method.clone() };
        let found = routes::find(&method, request.uri.path());
        let request_id = self.request_id();
        let mut download = None;
        let instance = request.uri.path().to_owned();
        let reply = match found {
            Found::Nothing => return None,
            Found::OtherMethods(methods) => {
                let detail = format!("{instance} takes {methods}");
                let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed", detail);
                refusal(&problem, &request_id, &instance).with(ALLOW, methods)
            }
            // No key, and no JSON.
            Found::Route(Route { action: Action::Docs, .. }, _) => {
                return Some(docs::answer(&request.headers, &request_id));
            }
            Found::Route(route, id) => {
                let mut limit = None;
                let query = request.uri.query().unwrap_or("");
                let called = self.admit(route, &request, &mut limit).and_then(|actor| {
                    idempotent::refuse_where_not_taken(route, &request.headers)?;
                    let mut parameters = Parameters::parse(query)?;
                    let account = tenants::worked_in(&actor, &mut parameters)?;
                    let (request_id, path, query) = (request_id.clone(), instance.clone(), query.to_owned());
                    let ApiRequest { method, headers, body, peer, .. } = request;
                    let call = Call {
                        actor,
                        account,
                        request_id,
                        parameters,
                        headers,
                        body,
                        spool,
                        id,
                        method,
                        path,
                        query,
                        peer,
                    };
                    match routes::load(self, route, call)? {
                        Loaded::Reply(reply) => Ok(reply),
                        Loaded::Download(found) => {
                            let reply = found.reply();
                            download = Some(self.downloads.begin(found)?);
                            Ok(reply)
                        }
                    }
                });
                let mut reply = called.unwrap_or_else(|problem| refusal(&problem, &request_id, &instance));
                reply.headers.extend(limit.iter().flat_map(|taken| taken.headers()));
                reply
            }
        };
        let mut answer = finish(reply, &request_id);
        if let Some(body) = download {
            *answer.body_mut() = body;
        }
        Some(answer)
    }
}

fn too_many(retry_after_s: Option<u64>) -> Problem {
    let detail =
        "this key calls too often; see the headers RateLimit-Limit, RateLimit-Remaining and Retry-After";
    Problem { retry_after_s, ..Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many calls", detail) }
}

fn refusal(problem: &Problem, request_id: &str, instance: &str) -> Reply {
    let mut reply = Reply::new(problem.status, problem.view(request_id, instance))
        .with(CONTENT_TYPE, "application/problem+json");
    if problem.status == StatusCode::UNAUTHORIZED {
        reply = reply.with(WWW_AUTHENTICATE, "Bearer");
    }
    if let Some(version) = problem.current_version {
        reply = reply.with(ETAG, super::shape::etag(version));
    }
    if let Some(seconds) = problem.retry_after_s {
        reply = reply.with(RETRY_AFTER, seconds.to_string());
    }
    reply
}

fn finish(reply: Reply, request_id: &str) -> ApiAnswer {
    let Reply { status, body, headers } = reply;
    let body = body.map_or_else(Bytes::new, |body| Bytes::from(format!("{body}\n")));
    let mut answer = hyper::Response::new(ApiBody::from(body));
    *answer.status_mut() = status;
    let own = answer.headers_mut();
    own.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    own.insert(HeaderName::from_static("cache-control"), HeaderValue::from_static("no-store"));
    let request_id = (HeaderName::from_static("x-request-id"), request_id.to_owned());
    for (name, value) in headers.into_iter().chain([request_id]) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            own.insert(name, value);
        }
    }
    answer
}

impl Api for Admin {
    fn receive(&self, head: ApiHead) -> Pin<Box<dyn Future<Output = Receive> + Send>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            // Only some paths need a look at the store.
            if head.method != hyper::Method::POST {
                return Receive::Memory;
            }
            let received = tokio::task::spawn_blocking(move || inner.receive(&head)).await;
            received.unwrap_or_else(|error| {
                tracing::error!(%error, "the admin API panicked");
                let detail = "this is a fault of the server; its log says more";
                let problem = Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error", detail);
                Receive::Refused(finish(refusal(&problem, "", ""), ""))
            })
        })
    }

    fn handle(
        &self,
        request: ApiRequest,
        spool: Option<File>,
    ) -> Pin<Box<dyn Future<Output = Option<ApiAnswer>> + Send>> {
        let inner = Arc::clone(&self.0);
        let path = request.uri.path().to_owned();
        Box::pin(async move {
            if inner.keyring.is_due(inner.clock.mono_ns()) {
                let inner = Arc::clone(&inner);
                // Nobody waits for it: it is lost with its task at the worst.
                drop(tokio::task::spawn_blocking(move || inner.keyring.note(&inner.control)));
            }
            // The store blocks its caller for as long as the disk takes.
            let answered = tokio::task::spawn_blocking(move || inner.answer(request, spool)).await;
            answered.unwrap_or_else(|error| {
                tracing::error!(%error, path, "the admin API panicked");
                let detail = "this is a fault of the server; its log says more";
                let problem = Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error", detail);
                Some(finish(refusal(&problem, "", &path), ""))
            })
        })
    }

    fn caller(&self, headers: HeaderMap, peer: SocketAddr) -> Pin<Box<dyn Future<Output = Caller> + Send>> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let known = tokio::task::spawn_blocking(move || inner.caller(&headers, peer)).await;
            known.unwrap_or_else(|error| {
                tracing::error!(%error, "the admin API panicked");
                let detail = "this is a fault of the server; its log says more";
                let problem = Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error", detail);
                Caller::Refused(finish(refusal(&problem, "", ""), ""))
            })
        })
    }

    fn figures(&self) -> ApiFigures {
        self.0.people.figures()
    }
}
