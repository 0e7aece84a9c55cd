//! `POST /v1/apply`: what an account file says becomes what there is, as one transaction.
//!
//! Entries are known by their ids (there is one `rates` and one `safety`). What is the same as before is left alone,
//! whether the file writes its defaults or not; what is not in the file stays, unless `prune=true` archives it, in the
//! collections that the file has. Money is not moved: a wallet is the sum of its transactions.
//!
//! `validate_only=true` gives the plan. Its `plan` is a hash over every step and the versions that it starts from: who
//! sends it back as `?plan=` applies exactly what was shown, or is told that something changed meanwhile.

use super::auth;
use super::call::{Call, Reply, Who};
use super::crud::{self, Op, mask};
use super::idempotent;
use super::lists;
use super::problem::{FieldError, Problem};
use super::routes::{self, Found};
use super::shape::{Draft, Shape};
use super::state::{Inner, Puts, in_order};
use super::tenants;
use crate::model::ids::SegmentId;
use crate::store::control::audit::diff;
use crate::store::control::{Kind, Query, Row, Status, Write};
use hyper::{Method, StatusCode};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// What a call may be asked.
pub(super) const PARAMETERS: &[&str] = &["validate_only", "prune", "plan", "account_id"];

/// Errors of one file that are told.
const MAX_ERRORS: usize = 100;

/// The file, each collection with its shape.
type Sections = Vec<(&'static Shape, Vec<Map<String, Value>>)>;

/// What is asked for.
struct Asked {
    sections: Sections,
    prune: bool,
    plan: Option<String>,
    /// The tenant whose resources are meant.
    account: u32,
    who: Who,
    may_move_money: bool,
}

/// What is done, step by step.
#[derive(Default)]
struct Plan {
    steps: Vec<Value>,
    unchanged: usize,
    errors: Vec<FieldError>,
    warnings: Vec<FieldError>,
}

pub(super) fn run(inner: &Arc<Inner>, mut call: Call) -> Result<Reply, Problem> {
    let dry = call.parameters.switch("validate_only")?;
    let prune = call.parameters.switch("prune")?;
    let plan = call.parameters.take("plan");
    let once = idempotent::of(&call)?;
    let sections = sections(&call)?;
    let account = call.account.unwrap_or(tenants::DEFAULT);
    let may_move_money = auth::require(&call.actor, transactions()).is_ok();
    let asked = Asked { sections, prune, plan, account, who: call.who(), may_move_money };
    call.parameters.finish(&PARAMETERS.join(", "))?;
    let own = Arc::clone(inner);
    crud::change(inner, dry, once, move |tx, puts| {
        let plan = work(&own, tx, puts, &asked)?;
        let hash = plan.hash();
        if let Some(wanted) = asked.plan.filter(|wanted| *wanted != hash) {
            let detail = format!(
                "the plan {wanted} is not what would be done any more (that is {hash}): something was changed \
                 meanwhile, so look at the plan again"
            );
            return Err(Problem::new(StatusCode::CONFLICT, "another plan", detail));
        }
        Ok(Reply::new(StatusCode::OK, plan.view(&hash, dry)))
    })
}

fn transactions() -> &'static routes::Route {
    match routes::find(&Method::POST, "/v1/transactions") {
        Found::Route(route, _) => route,
        _ => unreachable!("the route is in the table"),
    }
}

/// The body's collections in the order in which they refer to one another; each needs what its own calls would.
fn sections(call: &Call) -> Result<Sections, Problem> {
    let mut object = call.object(&["application/json"])?;
    let mut sections = Sections::new();
    let mut errors = Vec::new();
    for shape in in_order() {
        let Some(section) = object.remove(shape.collection) else { continue };
        let path = format!("/v1/{}", shape.collection);
        let method = if shape.is_singleton() { Method::PATCH } else { Method::POST };
        if let Found::Route(route, _) = routes::find(&method, &path) {
            auth::require(&call.actor, route).map_err(|problem| {
                let detail = format!("/{}: {}", shape.collection, problem.detail);
                Problem { detail, ..problem }
            })?;
        }
        let entries = match section {
            Value::Array(entries) if !shape.is_singleton() => entries,
            Value::Object(only) if shape.is_singleton() => vec![Value::Object(only)],
            _ => {
                let message = if shape.is_singleton() {
                    "is an object"
                } else {
                    "is a list of objects, each with its id"
                };
                errors.push(FieldError::new(format!("/{}", shape.collection), "malformed", message));
                continue;
            }
        };
        let mut objects = Vec::with_capacity(entries.len());
        for (at, entry) in entries.into_iter().enumerate() {
            match entry {
                Value::Object(object) => objects.push(object),
                _ => {
                    let pointer = format!("/{}/{at}", shape.collection);
                    errors.push(FieldError::new(pointer, "malformed", "is no object"));
                }
            }
        }
        sections.push((shape, objects));
    }
    let known = || in_order().map(|shape| shape.collection).collect::<Vec<_>>().join(", ");
    for name in object.keys() {
        let message = format!("is no collection of an account file; there are {}", known());
        errors.push(FieldError::new(format!("/{name}"), "malformed", message));
    }
    if errors.is_empty() { Ok(sections) } else { Err(Problem::invalid(errors)) }
}

fn work(inner: &Inner, tx: &mut Write<'_>, puts: &mut Puts<'_>, asked: &Asked) -> Result<Plan, Problem> {
    let mut plan = Plan::default();
    for (shape, entries) in &asked.sections {
        // The file is taken as a whole or not at all, so rules may name segments further down.
        let is_tree = shape.kind == Kind::Segment;
        if is_tree {
            puts.editor.expect_segments(asked.account, coming(entries));
        }
        let done = section(tx, puts, asked, (shape, entries), &mut plan);
        if is_tree {
            puts.editor.expect_segments(asked.account, HashMap::new());
        }
        done?;
    }
    if !plan.errors.is_empty() {
        return Err(Problem::invalid(plan.errors));
    }
    if asked.prune {
        for (shape, entries) in asked.sections.iter().rev().filter(|(shape, _)| !shape.is_singleton()) {
            prune(inner, tx, puts, asked, shape, entries, &mut plan)?;
        }
    }
    Ok(plan)
}

/// The segments of a file by their keys.
fn coming(entries: &[Map<String, Value>]) -> HashMap<String, SegmentId> {
    let text = |entry: &Map<String, Value>, name: &str| Some(entry.get(name)?.as_str()?.to_owned());
    let named = |entry| Some((text(entry, "key")?, SegmentId(text(entry, "id")?.parse().ok()?)));
    entries.iter().filter_map(named).collect()
}

/// Makes the entries of one collection what there is.
fn section(
    tx: &mut Write<'_>,
    puts: &mut Puts<'_>,
    asked: &Asked,
    (shape, entries): (&'static Shape, &[Map<String, Value>]),
    plan: &mut Plan,
) -> Result<(), Problem> {
    let mut seen = HashSet::new();
    for at in order(shape, entries) {
        let place = format!("/{}/{at}", shape.collection);
        let place = if shape.is_singleton() { format!("/{}", shape.collection) } else { place };
        match entry(tx, puts, asked, shape, entries[at].clone(), &mut seen, plan) {
            Ok(warnings) => {
                plan.warnings.extend(warnings.into_iter().map(|error| below(shape, &place, error)))
            }
            Err(problem) if problem.status.is_server_error() => return Err(problem),
            Err(problem) if problem.errors.is_empty() => {
                plan.errors.push(FieldError::new(place, "refused", problem.detail));
            }
            Err(problem) => {
                plan.errors.extend(problem.errors.into_iter().map(|error| below(shape, &place, error)));
            }
        }
        if plan.errors.len() >= MAX_ERRORS {
            return Err(Problem::invalid(std::mem::take(&mut plan.errors)));
        }
    }
    Ok(())
}

/// An error of an entry at its place in the file.
fn below(shape: &Shape, place: &str, error: FieldError) -> FieldError {
    FieldError { pointer: format!("{place}{}", inside_pointer(shape, &error.pointer)), ..error }
}

/// Segments may stand before their parents in a file; nothing else refers to its own kind.
fn order(shape: &Shape, entries: &[Map<String, Value>]) -> Vec<usize> {
    if shape.kind != Kind::Segment {
        return (0..entries.len()).collect();
    }
    let text = |at: usize, name: &str| entries[at].get(name).and_then(Value::as_str);
    let by_key: BTreeMap<&str, usize> =
        (0..entries.len()).filter_map(|at| text(at, "key").map(|key| (key, at))).collect();
    let depth = |at: usize| {
        let above = std::iter::successors(Some(at), |at| by_key.get(text(*at, "parent")?).copied());
        // Round a circle nobody comes to an end; the editor says so.
        above.take(entries.len() + 1).count()
    };
    let mut order: Vec<(usize, usize)> = (0..entries.len()).map(|at| (depth(at), at)).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, at)| at).collect()
}

/// Makes one entry what there is; its warnings.
fn entry(
    tx: &mut Write<'_>,
    puts: &mut Puts<'_>,
    asked: &Asked,
    shape: &'static Shape,
    mut object: Map<String, Value>,
    seen: &mut HashSet<u32>,
    plan: &mut Plan,
) -> Result<Vec<FieldError>, Problem> {
    let id = if shape.is_singleton() { 1 } else { take_id(&mut object)? };
    if !seen.insert(id) {
        return Err(Problem::invalid(vec![FieldError::new("/id", "duplicate", "is there twice; keep one")]));
    }
    let account = if shape.is_shared { tenants::PLATFORM } else { asked.account };
    let current = tx.get(shape.kind, id)?;
    if current.as_ref().is_some_and(|row| row.account != account) {
        let message = "is taken; ids are given out to all accounts together, so choose another one";
        return Err(Problem::invalid(vec![FieldError::new("/id", "conflict", message)]));
    }
    let (wallet, items) = (object.get("wallet").cloned(), object.remove("items"));
    if let Some(row) = &current {
        keep_what_files_do_not_say(shape, row, &mut object);
    }
    if let Some((outside, inside)) = shape.parent
        && let Some(parent) = object.remove(inside)
    {
        object.insert(outside.to_owned(), parent);
    }
    let default = current.as_ref().map_or(Status::Active, |row| row.status);
    let mut draft = shape.read(object, default);
    if let Some(row) = &current {
        draft.status = as_in_files(row.status, draft.status);
    }
    let before = current.as_ref().and_then(|_| puts.editor.document(shape.part, id));
    let mut warnings = wallet_warning(shape, wallet.as_ref(), &mut draft, current.as_ref(), asked);
    let made = match &current {
        Some(row) => crud::update_if_changed(tx, puts, shape, &asked.who, row, draft)?,
        None => Some(crud::insert(tx, puts, shape, Some(account), &asked.who, (Some(id), draft))?),
    };
    if current.is_none() && asked.who.actor.account.is_none() {
        // The platform's file may be all that is left of an account: what else it had may be known by its id elsewhere.
        // A tenant's takes only the ids that it names.
        tx.leave_out_ids(shape.kind, id)?;
    }
    let mut is_changed = made.is_some();
    let version = current.as_ref().map(|row| row.version);
    if let Some((row, more)) = made {
        warnings.extend(more);
        if shape.kind == Kind::Advertiser && current.is_none() && asked.may_move_money {
            super::money::book_import(tx, &row)
                .map_err(|why| Problem::new(StatusCode::CONFLICT, "wallet", why))?;
        }
    }
    if let (Kind::List, Some(items)) = (shape.kind, items) {
        is_changed |= lists::set(tx, puts, &asked.who, id, items)?;
    }
    if !is_changed {
        plan.unchanged += 1;
        return Ok(warnings);
    }
    let after = puts.editor.document(shape.part, id);
    let shown = |document: Option<Value>| match document {
        Some(Value::Object(mut object)) => {
            mask(shape, &mut object);
            Value::Object(object)
        }
        _ => json!({}),
    };
    let (before, after) = diff(&shown(before), &shown(after));
    let action = if version.is_some() { "update" } else { "create" };
    plan.steps.push(json!({
        "action": action, "kind": shape.noun(), "id": id.to_string(), "version": version,
        "name": tx.get(shape.kind, id)?.map(|row| row.name), "before": before, "after": after,
    }));
    Ok(warnings)
}

/// The members that only the API has stay as they are.
fn keep_what_files_do_not_say(shape: &Shape, row: &Row, object: &mut Map<String, Value>) {
    let shown = shape.view(row, None);
    let own = ["notes", "labels", "external_id"];
    let status = (!shape.has_status).then_some("status");
    for name in own.into_iter().chain(status) {
        if let (Some(value), false) = (shown.get(name), object.contains_key(name)) {
            object.insert(name.to_owned(), value.clone());
        }
    }
}

/// A file says "paused" of a draft and of what is archived.
fn as_in_files(was: Status, said: Status) -> Status {
    match (was, said) {
        (Status::Draft | Status::Archived, Status::Paused) => was,
        _ => said,
    }
}

/// Money is moved by transactions alone, except into what an import makes.
fn wallet_warning(
    shape: &Shape,
    wallet: Option<&Value>,
    draft: &mut Draft,
    current: Option<&Row>,
    asked: &Asked,
) -> Vec<FieldError> {
    if shape.kind != Kind::Advertiser {
        return Vec::new();
    }
    let stored = current.and_then(|row| serde_json::from_str::<Map<String, Value>>(&row.doc).ok());
    let has = stored.and_then(|mut doc| doc.remove("wallet"));
    let keeps = match (&has, wallet) {
        (None, Some(wallet)) if asked.may_move_money => wallet.clone(),
        _ => has.unwrap_or_else(|| "0".into()),
    };
    let nanos = |value: &Value| value.as_str().and_then(crate::model::money::Nanos::parse_decimal);
    let differs = wallet.is_some_and(|wallet| nanos(wallet) != nanos(&keeps));
    let message = format!("is {keeps} and stays so; move money by POST /v1/transactions");
    draft.doc.insert("wallet".to_owned(), keeps);
    if differs { vec![FieldError::new("/wallet", "suspicious", message)] } else { Vec::new() }
}

fn take_id(object: &mut Map<String, Value>) -> Result<u32, Problem> {
    let refuse = |code, message: &str| Problem::invalid(vec![FieldError::new("/id", code, message)]);
    let Some(id) = object.remove("id") else {
        return Err(refuse("missing", "is missing; entries of an account file are known by their ids"));
    };
    let id = id.as_str().and_then(|text| text.parse().ok()).filter(|id| *id > 0);
    id.ok_or_else(|| refuse("malformed", "give a whole number from 1 on, in quotes"))
}

/// The place in the file of what the API calls otherwise.
fn inside_pointer(shape: &Shape, pointer: &str) -> String {
    match shape.parent {
        Some((outside, inside)) if pointer == format!("/{outside}") => format!("/{inside}"),
        _ => pointer.to_owned(),
    }
}

/// Archives what the file does not have.
fn prune(
    inner: &Inner,
    tx: &mut Write<'_>,
    puts: &mut Puts<'_>,
    asked: &Asked,
    shape: &'static Shape,
    entries: &[Map<String, Value>],
    plan: &mut Plan,
) -> Result<(), Problem> {
    let account = if shape.is_shared { tenants::PLATFORM } else { asked.account };
    let id = |entry: &Map<String, Value>| entry.get("id")?.as_str()?.parse::<u32>().ok();
    let kept: HashSet<u32> = entries.iter().filter_map(id).collect();
    let statuses = vec![Status::Draft, Status::Active, Status::Paused];
    let query = Query { account: Some(account), statuses, limit: usize::MAX, ..Query::of(shape.kind) };
    for row in tx.list(&query)?.into_iter().filter(|row| !kept.contains(&row.id)) {
        let op = Op::set_status(shape, Some(row.id), Some(account), None, Status::Archived);
        op.run(inner, tx, puts, &asked.who, false).map_err(|problem| {
            let detail = format!("{} {} cannot be archived: {}", shape.noun(), row.id, problem.detail);
            Problem { detail, errors: Vec::new(), ..problem }
        })?;
        plan.steps.push(json!({
            "action": "archive", "kind": shape.noun(), "id": row.id.to_string(), "version": row.version,
            "name": row.name, "before": { "status": row.status.as_str() }, "after": { "status": "archived" },
        }));
    }
    Ok(())
}

impl Plan {
    fn hash(&self) -> String {
        let digest = Sha256::digest(Value::from(self.steps.clone()).to_string());
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    fn view(self, hash: &str, dry: bool) -> Value {
        let count = |action: &str| self.steps.iter().filter(|step| step["action"] == action).count();
        json!({
            "plan": hash, "applied": !dry,
            "summary": {
                "create": count("create"), "update": count("update"), "archive": count("archive"),
                "unchanged": self.unchanged,
            },
            "warnings": self.warnings.iter().map(FieldError::view).collect::<Vec<_>>(),
            "steps": self.steps,
        })
    }
}

/// What is answered.
pub(super) fn schema() -> Value {
    let number = json!({ "type": "integer", "minimum": 0 });
    let text = json!({ "type": "string" });
    let step = json!({
        "type": "object",
        "properties": {
            "action": { "enum": ["create", "update", "archive"] }, "kind": text, "id": text,
            "version": { "type": ["integer", "null"] }, "name": { "type": ["string", "null"] },
            "before": { "type": "object" }, "after": { "type": "object" },
        },
        "required": ["action", "kind", "id", "before", "after"],
    });
    json!({
        "type": "object",
        "properties": {
            "plan": text, "applied": { "type": "boolean" },
            "summary": {
                "type": "object",
                "properties": { "create": number, "update": number, "archive": number, "unchanged": number },
            },
            "warnings": { "type": "array", "items": { "type": "object" } },
            "steps": { "type": "array", "items": step },
        },
        "required": ["plan", "applied", "summary", "steps"],
    })
}
