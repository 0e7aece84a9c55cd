//! `POST /v1/bulk`: many operations in one call, as one transaction or each for itself.
//!
//! An operation names a method and a path of this API and brings the body that the call would. `$3` stands for the id of
//! what operation 3 (counted from 0) has made, where an id can stand: in a path, and in members that hold ids. Anywhere
//! else it is a text like any other.

use super::auth;
use super::call::{Call, Reply, Who, version_of};
use super::crud::{self, Op};
use super::idempotent;
use super::problem::{FieldError, Problem};
use super::routes::{self, Action, Found};
use super::state::Inner;
use hyper::{Method, StatusCode};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Operations of one call.
pub(super) const MOST: usize = 1_000;

/// An operation that was understood, before its references are known.
struct Planned {
    route: &'static routes::Route,
    id: Option<u32>,
    /// The operation whose result has the id.
    made_by: Option<usize>,
    version: Option<(bool, Option<u64>)>,
    body: Map<String, Value>,
}

pub(super) fn run(inner: &Arc<Inner>, mut call: Call) -> Result<Reply, Problem> {
    let dry = call.parameters.switch("validate_only")?;
    let mut object = call.object(&["application/json"])?;
    let once = idempotent::of(&call)?;
    let atomic = match object.remove("atomic") {
        None => true,
        Some(Value::Bool(atomic)) => atomic,
        Some(_) => {
            return Err(Problem::invalid(vec![FieldError::new("/atomic", "malformed", "is true or false")]));
        }
    };
    let Some(Value::Array(operations)) = object.remove("operations") else {
        let message = "give a list of operations";
        return Err(Problem::invalid(vec![FieldError::new("/operations", "missing", message)]));
    };
    if operations.len() > MOST {
        let message = format!("has {} operations; at most {MOST} are taken at once", operations.len());
        return Err(Problem::invalid(vec![FieldError::new("/operations", "out_of_range", message)]));
    }
    if let Some(name) = object.keys().next() {
        let message = "is not known; there are atomic and operations";
        return Err(Problem::invalid(vec![FieldError::new(format!("/{name}"), "malformed", message)]));
    }
    let mut planned = Vec::with_capacity(operations.len());
    let (mut errors, mut kinds) = (Vec::new(), BTreeMap::new());
    for (index, operation) in operations.into_iter().enumerate() {
        match plan(&call, operation) {
            Ok(operation) => planned.push(operation),
            Err(problem) => {
                kinds.insert(problem.status.as_u16(), (problem.status, problem.title));
                errors.extend(located(index, problem));
            }
        }
    }
    if !errors.is_empty() {
        let problem = Problem::invalid(errors);
        // What all of them are refused for is what the call is refused for.
        return Err(match (kinds.pop_first(), kinds.is_empty()) {
            (Some((_, (status, title))), true) => Problem { status, title, ..problem },
            _ => problem,
        });
    }
    let (who, account) = (call.who(), call.account);
    call.parameters.finish("validate_only")?;
    if !atomic && once.is_some() {
        let detail = "without `atomic` there is no one thing that a key could keep from being done twice; leave the \
                      Idempotency-Key out, or make it atomic";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "not taken here", detail));
    }
    if !atomic {
        return Ok(apart(inner, planned, &who, account, dry));
    }
    let own = Arc::clone(inner);
    crud::change(inner, dry, once, move |tx, puts| {
        let mut results: Vec<Value> = Vec::with_capacity(planned.len());
        for (index, operation) in planned.into_iter().enumerate() {
            let done = ready(operation, &results, account).and_then(|op| op.run(&own, tx, puts, &who, dry));
            match done {
                Ok(reply) => results.push(result(&reply)),
                Err(problem) => {
                    let (status, title) = (problem.status, problem.title);
                    let errors = located(index, problem);
                    return Err(Problem { status, title, ..Problem::invalid(errors) });
                }
            }
        }
        Ok(Reply::new(StatusCode::OK, json!({ "atomic": true, "results": results })))
    })
}

/// Each operation for itself: what one refuses stops no other, except those that refer to it.
fn apart(inner: &Arc<Inner>, planned: Vec<Planned>, who: &Who, account: Option<u32>, dry: bool) -> Reply {
    let mut results: Vec<Value> = Vec::with_capacity(planned.len());
    for operation in planned {
        let done = ready(operation, &results, account).and_then(|op| {
            let (own, who) = (Arc::clone(inner), who.clone());
            crud::change(inner, dry, None, move |tx, puts| op.run(&own, tx, puts, &who, dry))
        });
        results.push(match done {
            Ok(reply) => result(&reply),
            Err(problem) => json!({
                "status": problem.status.as_u16(), "body": problem.view(&who.request_id, "/v1/bulk"),
            }),
        });
    }
    Reply::new(StatusCode::OK, json!({ "atomic": false, "results": results }))
}

fn result(reply: &Reply) -> Value {
    json!({ "status": reply.status.as_u16(), "body": reply.body })
}

/// What is wrong with an operation, by pointers into the whole call.
fn located(index: usize, problem: Problem) -> Vec<FieldError> {
    if problem.errors.is_empty() {
        let code = match problem.status {
            StatusCode::FORBIDDEN => "not_allowed",
            StatusCode::NOT_FOUND => "not_found",
            StatusCode::CONFLICT => "conflict",
            StatusCode::PRECONDITION_FAILED => "changed",
            StatusCode::PRECONDITION_REQUIRED => "precondition_required",
            _ => "refused",
        };
        return vec![FieldError::new(format!("/operations/{index}"), code, problem.detail)];
    }
    let into = |error: FieldError| {
        let pointer = match error.pointer.strip_prefix("/operations/.") {
            Some(member) => format!("/operations/{index}{member}"),
            None => format!("/operations/{index}/body{}", error.pointer),
        };
        FieldError { pointer, ..error }
    };
    problem.errors.into_iter().map(into).collect()
}

fn plan(call: &Call, operation: Value) -> Result<Planned, Problem> {
    let wrong = |member: &str, message: String| {
        Problem::invalid(vec![FieldError::new(format!("/operations/./{member}"), "malformed", message)])
    };
    let Value::Object(mut operation) = operation else {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid fields",
            "an operation is an object",
        ));
    };
    let mut text = |name: &str| match operation.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong(name, "is a text".to_owned())),
    };
    let (method, path, if_match) = (text("method")?, text("path")?, text("if_match")?);
    let body = match operation.remove("body") {
        None => Map::new(),
        Some(Value::Object(body)) => body,
        Some(_) => return Err(wrong("body", "is an object".to_owned())),
    };
    if let Some(name) = operation.keys().next() {
        return Err(wrong(name, "is not known; there are method, path, if_match, body".to_owned()));
    }
    let method = method.and_then(|method| Method::from_bytes(method.as_bytes()).ok());
    let (Some(method), Some(path)) = (method, path) else {
        return Err(wrong("path", "give the method and the path of a call of this API".to_owned()));
    };
    let made_by = made_in(&path);
    let whole = match made_by {
        Some(number) => path.replacen(&format!("/${number}"), "/1", 1),
        None => path.clone(),
    };
    let (route, id) = match routes::find(&method, &whole) {
        Found::Route(route, id)
            if matches!(route.action, Action::Create | Action::Patch | Action::SetStatus(_)) =>
        {
            (route, id)
        }
        _ => return Err(wrong("path", format!("{method} {path} is no change of a resource"))),
    };
    auth::require(&call.actor, route)?;
    let version = if_match.map(|tag| version_of(&tag)).transpose()?;
    Ok(Planned { route, id, made_by, version, body })
}

/// The operation that `$N` in a path stands for.
fn made_in(path: &str) -> Option<usize> {
    let (_, rest) = path.split_once("/$")?;
    let digits = rest.split_once(|c: char| !c.is_ascii_digit()).map_or(rest, |(digits, _)| digits);
    digits.parse().ok()
}

/// The operation with its references in place.
fn ready(planned: Planned, results: &[Value], account: Option<u32>) -> Result<Op, Problem> {
    let Planned { route, id, made_by, version, body } = planned;
    let id = match made_by {
        Some(number) => made(number, results)?.parse().ok(),
        None => id,
    };
    let mut body = Value::Object(body);
    refer(&mut body, false, results)?;
    let Value::Object(body) = body else { unreachable!("an object stays one") };
    let shape = route.shape.expect("changes of resources have a shape");
    let expected = version.unwrap_or((false, None));
    match route.action {
        Action::Create => Op::create(shape, account, body),
        Action::Patch => Op::patch(shape, id, account, expected, body),
        Action::SetStatus(status) => Ok(Op::set_status(shape, id, account, expected.1, status)),
        other => unreachable!("{other:?} is not planned"),
    }
}

/// Members that hold ids, or lists of them.
const REFERENCES: [&str; 9] = [
    "advertiser_id",
    "advertiser_ids",
    "pixel_ids",
    "campaign_id",
    "creative",
    "deal_ids",
    "conversion_ids",
    "include_lists",
    "exclude_lists",
];

/// Puts ids in the place of `"$N"` where ids can stand.
fn refer(value: &mut Value, is_id: bool, results: &[Value]) -> Result<(), Problem> {
    match value {
        Value::String(text) if is_id => {
            if let Some(number) = text.strip_prefix('$').and_then(|number| number.parse::<usize>().ok()) {
                *text = made(number, results)?;
            }
            Ok(())
        }
        Value::Array(values) => values.iter_mut().try_for_each(|value| refer(value, is_id, results)),
        Value::Object(members) => members
            .iter_mut()
            .try_for_each(|(name, value)| refer(value, REFERENCES.contains(&name.as_str()), results)),
        _ => Ok(()),
    }
}

/// The id of what an operation has made.
fn made(number: usize, results: &[Value]) -> Result<String, Problem> {
    let id = results.get(number).and_then(|result| result["body"]["id"].as_str());
    id.map(str::to_owned).ok_or_else(|| {
        let detail = format!("${number} is no operation before this one that has made something");
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid fields", detail)
    })
}
