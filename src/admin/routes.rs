//! The table of routes. Requests are matched against it and the description of the API is written from it.

use super::alerts;
use super::api_keys;
use super::apply;
use super::audience;
use super::audit;
use super::auth::{Role, Scope};
use super::bulk;
use super::call::{Call, Reply};
use super::crud;
use super::download::Loaded;
use super::explain;
use super::forecast;
use super::funnel;
use super::jobs;
use super::lists;
use super::money;
use super::openapi;
use super::people;
use super::pixels;
use super::problem::Problem;
use super::samples;
use super::shape::Shape;
use super::sheets;
use super::state::{Inner, shapes};
use super::tenants;
use crate::store::control::{Kind, Status};
use hyper::{Method, StatusCode};
use serde_json::json;
use std::sync::{Arc, LazyLock};

/// What a route does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Action {
    List,
    Create,
    Get,
    Patch,
    /// Sets the status; DELETE archives.
    SetStatus(Status),
    Me,
    ListAccounts,
    CreateAccount,
    GetAccount,
    PatchAccount,
    ListKeys,
    CreateKey,
    GetKey,
    RevokeKey,
    RotateKey,
    OpenApi,
    Docs,
    Audit,
    Alerts,
    Transactions,
    Transact,
    Bulk,
    Items,
    UploadItems,
    PixelTag,
    Funnel,
    Explain,
    Samples,
    Sample,
    Forecast,
    ForecastDraft,
    Apply,
    People(people::Task),
    Audience(audience::Task),
    Export,
    Import,
    ListJobs,
    GetJob,
    CancelJob,
    JobResult,
}

/// One method of one path.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) method: Method,
    /// `{id}` stands for an id.
    pub(super) path: String,
    pub(super) action: Action,
    pub(super) shape: Option<&'static Shape>,
    /// Who may.
    pub(super) role: Role,
    /// What it does, for the description.
    pub(super) summary: String,
}

impl Route {
    /// Whether it changes what belongs to the platform, so that no tenant may take it.
    pub(super) fn is_platforms(&self) -> bool {
        match self.action {
            Action::CreateAccount | Action::PatchAccount => true,
            Action::Audience(task) => task.is_platforms(),
            Action::Create | Action::Patch | Action::SetStatus(_) | Action::Import => {
                self.shape.is_some_and(|shape| shape.is_shared)
            }
            _ => false,
        }
    }
}

impl Route {
    /// Whether it is for everybody, also for those who have yet to say who they are.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.action, Action::Docs) || matches!(self.action, Action::People(task) if task.is_open())
    }

    /// Whether its body may be longer than what is kept in memory.
    pub(super) fn takes_long_bodies(&self) -> bool {
        matches!(self.action, Action::Import | Action::Audience(audience::Task::Upload))
    }

    /// Whether it is answered with a job.
    pub(super) fn begins_job(&self) -> bool {
        use audience::Task::{Activate, Expand, LoadContacts};
        self.takes_long_bodies() || matches!(self.action, Action::Audience(Expand | LoadContacts | Activate))
    }

    /// What a key must be for; `None` where every key will do.
    pub(super) fn scope(&self) -> Option<Scope> {
        match self.action {
            Action::Me | Action::OpenApi | Action::Docs => None,
            Action::People(task) if task.is_open() || task.is_own() => None,
            Action::Transact => Some(Scope::Money),
            Action::Explain | Action::Forecast | Action::ForecastDraft => Some(Scope::Read),
            Action::Audience(task) if task.is_reading() => Some(Scope::Read),
            _ if self.role >= Role::Admin => Some(Scope::Admin),
            _ if self.method == Method::GET => Some(Scope::Read),
            _ => Some(Scope::Write),
        }
    }
}

pub(super) static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| {
    let mut routes = Vec::new();
    let mut add = |method: Method, path: String, action, shape, role, summary: String| {
        routes.push(Route { method, path, action, shape, role, summary });
    };
    add(
        Method::GET,
        "/openapi.json".into(),
        Action::OpenApi,
        None,
        Role::AdvertiserViewer,
        "This description".into(),
    );
    let summary = "This description, as a page for people".into();
    add(Method::GET, "/docs".into(), Action::Docs, None, Role::AdvertiserViewer, summary);
    add(
        Method::GET,
        "/v1/me".into(),
        Action::Me,
        None,
        Role::AdvertiserViewer,
        "Who calls, and what it may".into(),
    );
    let summary = "Who changed what, newest first".into();
    add(Method::GET, "/v1/audit".into(), Action::Audit, None, Role::Analyst, summary);
    let summary = "What is wrong with line items and exchanges, the worst first".into();
    add(Method::GET, "/v1/alerts".into(), Action::Alerts, None, Role::Analyst, summary);
    let summary = "Sampled requests and how they ended, newest first".into();
    add(Method::GET, "/v1/samples".into(), Action::Samples, None, Role::Analyst, summary);
    let summary = "One sampled request, without what named the person".into();
    add(Method::GET, "/v1/samples/{key}".into(), Action::Sample, None, Role::Analyst, summary);
    let summary = "Many changes in one call, all or none unless `atomic` is false".into();
    add(Method::POST, "/v1/bulk".into(), Action::Bulk, None, Role::Trader, summary);
    let summary =
        "Make what there is what an account file says, all of it or nothing; shows the plan first".into();
    add(Method::POST, "/v1/apply".into(), Action::Apply, None, Role::Trader, summary);
    let summary = "What was paid in, newest first".into();
    add(Method::GET, "/v1/transactions".into(), Action::Transactions, None, Role::Analyst, summary);
    let summary = "Move money into a wallet, or out of it".into();
    add(Method::POST, "/v1/transactions".into(), Action::Transact, None, Role::Admin, summary);
    for (method, path, action, role, summary) in [
        (
            Method::GET,
            "/v1/accounts",
            Action::ListAccounts,
            Role::Analyst,
            "The accounts that the caller may see",
        ),
        (Method::POST, "/v1/accounts", Action::CreateAccount, Role::Admin, "Make an account"),
        (Method::GET, "/v1/accounts/{id}", Action::GetAccount, Role::Analyst, "One account"),
        (
            Method::PATCH,
            "/v1/accounts/{id}",
            Action::PatchAccount,
            Role::Admin,
            "Change an account by a merge patch; paused, nothing of it serves and its keys are refused",
        ),
        (
            Method::GET,
            "/v1/jobs",
            Action::ListJobs,
            Role::Analyst,
            "What is worked on in the background, newest first",
        ),
        (Method::GET, "/v1/jobs/{id}", Action::GetJob, Role::Analyst, "One job"),
        (Method::POST, "/v1/jobs/{id}:cancel", Action::CancelJob, Role::Trader, "End a job soon"),
        (
            Method::GET,
            "/v1/jobs/{id}/result",
            Action::JobResult,
            Role::Analyst,
            "What became of each row, as a table",
        ),
        (Method::GET, "/v1/api_keys", Action::ListKeys, Role::Admin, "The API keys, without their secrets"),
        (
            Method::POST,
            "/v1/api_keys",
            Action::CreateKey,
            Role::Admin,
            "Make an API key; its secret is shown once",
        ),
        (Method::GET, "/v1/api_keys/{id}", Action::GetKey, Role::Admin, "One API key, without its secret"),
        (Method::DELETE, "/v1/api_keys/{id}", Action::RevokeKey, Role::Admin, "Revoke an API key, at once"),
        (
            Method::POST,
            "/v1/api_keys/{id}:rotate",
            Action::RotateKey,
            Role::Admin,
            "Make an API key that takes the place of another one, which ends after an overlap",
        ),
    ] {
        add(method, path.into(), action, None, role, summary.into());
    }
    for (method, path, task, role, summary) in people::ROUTES {
        add(method.clone(), (*path).into(), Action::People(*task), None, *role, (*summary).into());
    }
    for (method, path, task, role, summary) in audience::ROUTES {
        let shape = if task.is_of_segments() { Shape::of(Kind::Segment) } else { None };
        add(method.clone(), (*path).into(), Action::Audience(*task), shape, *role, (*summary).into());
    }
    for shape in shapes() {
        let (all, noun) = (format!("/v1/{}", shape.collection), shape.noun());
        let writer = if shape.is_shared { Role::Admin } else { Role::Trader };
        let it = Some(shape);
        let of_advertisers = matches!(
            shape.kind,
            Kind::Advertiser
                | Kind::Campaign
                | Kind::LineItem
                | Kind::Creative
                | Kind::Conversion
                | Kind::Pixel
        );
        let reader = if of_advertisers { Role::AdvertiserViewer } else { Role::Analyst };
        if shape.is_singleton() {
            add(Method::GET, all.clone(), Action::Get, it, Role::Analyst, format!("The {noun}"));
            add(Method::PATCH, all, Action::Patch, it, writer, format!("Change the {noun}"));
            continue;
        }
        let one = format!("{all}/{{id}}");
        add(Method::GET, all.clone(), Action::List, it, reader, format!("A page of {}", shape.collection));
        add(Method::POST, all.clone(), Action::Create, it, writer, format!("Make a {noun}"));
        add(Method::GET, one.clone(), Action::Get, it, reader, format!("One {noun}"));
        add(
            Method::PATCH,
            one.clone(),
            Action::Patch,
            it,
            writer,
            format!("Change a {noun} by a merge patch"),
        );
        let export = format!("/v1/exports/{}.csv", shape.collection);
        add(Method::GET, export, Action::Export, it, reader, format!("All {} as a table", shape.collection));
        let import = format!("/v1/imports/{}", shape.collection);
        let summary = format!("Make and change {} by a table; answered with a job", shape.collection);
        add(Method::POST, import, Action::Import, it, writer, summary);
        let archive = Action::SetStatus(Status::Archived);
        add(Method::DELETE, one.clone(), archive, it, writer, format!("Archive a {noun}; its reports stay"));
        if shape.kind == Kind::List {
            let items = format!("{one}/items");
            let summary = "What stands on a list, in order".to_owned();
            add(Method::GET, items.clone(), Action::Items, it, reader, summary);
            let summary = "Put values on a list, take them off, or replace them all".to_owned();
            add(Method::POST, format!("{items}:upload"), Action::UploadItems, it, writer, summary);
        }
        if explain::KINDS.contains(&shape.kind) {
            let summary = format!("What would become of a request with the {noun}, and why");
            add(Method::POST, format!("{one}:explain"), Action::Explain, it, reader, summary);
        }
        if shape.kind == forecast::KIND {
            let summary =
                format!("What a day of the {noun} would bring, with changes that are tried or without");
            add(Method::POST, format!("{one}:forecast"), Action::Forecast, it, reader, summary);
            let summary = format!("What a day of a {noun} that is posted would bring; nothing is made");
            add(Method::POST, format!("{all}:forecast"), Action::ForecastDraft, it, writer, summary);
        }
        if funnel::KINDS.contains(&shape.kind) {
            let summary = format!("How far requests got with a {noun}, and why no further");
            add(Method::GET, format!("{one}/funnel"), Action::Funnel, it, reader, summary);
        }
        if shape.kind == Kind::Pixel {
            let summary = "Ready-made tags for pages and servers".to_owned();
            add(Method::GET, format!("{one}/tag"), Action::PixelTag, it, Role::Analyst, summary);
        }
        for (verb, status) in [("activate", Status::Active), ("pause", Status::Paused)] {
            let summary = format!("{}{} a {noun}", verb[..1].to_uppercase(), &verb[1..]);
            add(Method::POST, format!("{one}:{verb}"), Action::SetStatus(status), it, writer, summary);
        }
    }
    routes
});

/// What a path leads to.
pub(super) enum Found {
    Route(&'static Route, Option<u32>),
    /// The path exists, and takes these methods.
    OtherMethods(String),
    Nothing,
}

/// Looks a call up.
pub(super) fn find(method: &Method, path: &str) -> Found {
    let mut others: Vec<&str> = Vec::new();
    for route in ROUTES.iter() {
        if let Some(id) = matches(&route.path, path) {
            if route.method == *method {
                return Found::Route(route, id);
            }
            others.push(route.method.as_str());
        }
    }
    if others.is_empty() { Found::Nothing } else { Found::OtherMethods(others.join(", ")) }
}

/// Whether a path is one of the template's, and its id.
fn matches(template: &str, path: &str) -> Option<Option<u32>> {
    if let Some((before, _)) = template.split_once("{key}") {
        let is_key = |key: &str| !key.is_empty() && !key.contains('/');
        return path.strip_prefix(before).filter(|key| is_key(key)).map(|_| None);
    }
    let Some((before, after)) = template.split_once("{id}") else {
        return (template == path).then_some(None);
    };
    let id = path.strip_prefix(before)?.strip_suffix(after)?;
    let is_plain = !id.is_empty() && !id.starts_with('0') && id.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { id.parse().ok().map(Some) } else { None }
}

/// Does what a route is for.
pub(super) fn load(inner: &Arc<Inner>, route: &'static Route, call: Call) -> Result<Loaded, Problem> {
    match (route.action, route.shape) {
        (Action::Export, Some(shape)) => sheets::export(inner, shape, call).map(Loaded::Download),
        (Action::Audience(audience::Task::TakeContacts), _) => {
            audience::download(inner, call).map(Loaded::Download)
        }
        (Action::JobResult, _) => jobs::result(inner, call).map(Loaded::Download),
        _ => run(inner, route, call).map(Loaded::Reply),
    }
}

fn run(inner: &Arc<Inner>, route: &'static Route, call: Call) -> Result<Reply, Problem> {
    match (route.action, route.shape) {
        (Action::People(task), _) => people::run(inner, task, call),
        (Action::Audience(task), _) => audience::run(inner, task, call),
        (Action::Me, _) if call.actor.person.is_some() => people::me(inner, &call),
        (Action::Me, _) => {
            let role = call.actor.role.as_str();
            let account = call.actor.account.map(|account| account.to_string());
            let scopes: Vec<&str> = call.actor.scopes.iter().map(|scope| scope.as_str()).collect();
            let key = call.actor.key.map(|key| key.to_string());
            let view = json!({
                "name": call.actor.name, "role": role, "account_id": account, "api_key_id": key, "scopes": scopes,
                "user_id": null,
            });
            Ok(Reply::new(StatusCode::OK, view))
        }
        (Action::OpenApi, _) => Ok(Reply::new(StatusCode::OK, openapi::document().clone())),
        (Action::Audit, _) => audit::list(inner, call),
        (Action::Alerts, _) => alerts::list(inner, call),
        (Action::Transactions, _) => money::list(inner, call),
        (Action::Bulk, _) => bulk::run(inner, call),
        (Action::Apply, _) => apply::run(inner, call),
        (Action::Items, _) => lists::items(inner, call),
        (Action::UploadItems, _) => lists::upload(inner, call),
        (Action::PixelTag, _) => pixels::tag(inner, call),
        (Action::Explain, Some(shape)) => explain::run(inner, shape, call),
        (Action::Samples, _) => samples::list(inner, call),
        (Action::Sample, _) => samples::get(inner, call),
        (Action::Forecast, Some(shape)) => forecast::live(inner, shape, call),
        (Action::ForecastDraft, Some(shape)) => forecast::draft(inner, shape, call),
        (Action::Funnel, Some(shape)) => funnel::show(inner, shape, call),
        (Action::Transact, _) => money::transact(inner, call),
        (Action::ListAccounts, _) => tenants::list(inner, call),
        (Action::CreateAccount, _) => tenants::create(inner, call),
        (Action::GetAccount, _) => tenants::get(inner, call),
        (Action::PatchAccount, _) => tenants::patch(inner, call),
        (Action::ListKeys, _) => api_keys::list(inner, call),
        (Action::CreateKey, _) => api_keys::create(inner, call),
        (Action::GetKey, _) => api_keys::get(inner, call),
        (Action::RevokeKey, _) => api_keys::revoke(inner, call),
        (Action::RotateKey, _) => api_keys::rotate(inner, call),
        (Action::List, Some(shape)) => crud::list(inner, shape, call),
        (Action::Create, Some(shape)) => crud::create(inner, shape, call),
        (Action::Get, Some(shape)) => crud::get(inner, shape, call),
        (Action::Patch, Some(shape)) => crud::patch(inner, shape, call),
        (Action::SetStatus(status), Some(shape)) => crud::set_status(inner, shape, status, call),
        (Action::Import, Some(shape)) => sheets::start(inner, shape, call),
        (Action::ListJobs, _) => jobs::list(inner, call),
        (Action::GetJob, _) => jobs::get(inner, call),
        (Action::CancelJob, _) => jobs::cancel(inner, call),
        (Action::Export | Action::JobResult, _) => Err(Problem::not_found("such reply")),
        (Action::Docs, _) => unreachable!("the page is answered before anybody is asked who it is"),
        (_, None) => Err(Problem::not_found("such resource")),
    }
}
