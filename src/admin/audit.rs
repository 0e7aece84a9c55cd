//! Who changed what: one record a change, written in the transaction of the change.

use super::call::{Call, Reply, Who};
use super::page::{Parameters, cut, page_size, page_token};
use super::problem::Problem;
use super::state::Inner;
use crate::store::control::audit::{Actor, ActorKind, AuditQuery, Entry, NewEntry, Source, diff};
use crate::store::control::{Kind, Row, Write};
use hyper::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;

/// What a list may be asked.
pub(super) const PARAMETERS: &[&str] =
    &["page_size", "page_token", "filter[kind]", "filter[resource_id]", "filter[action]", "from", "to"];

/// Kinds of things that have records and are no resources.
pub(super) const OTHER_KINDS: [&str; 4] = ["account", "user", "api_key", "person"];

/// Notes a change of a row; `masked` shows a row without its secrets.
pub(super) fn note(
    tx: &mut Write<'_>,
    who: &Who,
    action: &str,
    before: Option<&Row>,
    after: &Row,
    masked: impl Fn(&Row) -> Value,
) -> Result<(), Problem> {
    let (before, now) = (before.map_or_else(|| json!({}), &masked), masked(after));
    let about = About {
        kind: after.kind.as_str(),
        id: after.id,
        account: after.account,
        version: Some(after.version),
    };
    record(tx, who, action, &about, (&before, &now))
}

/// What a record is about.
pub(super) struct About {
    /// A resource's kind or one of [`OTHER_KINDS`].
    pub(super) kind: &'static str,
    /// 0 where it has none: people have no ids here.
    pub(super) id: u32,
    /// The tenant that sees it.
    pub(super) account: u32,
    /// The version that it has now, where it has any.
    pub(super) version: Option<u64>,
}

/// Notes that something which was `before` is `after` now.
pub(super) fn record(
    tx: &mut Write<'_>,
    who: &Who,
    action: &str,
    about: &About,
    (before, after): (&Value, &Value),
) -> Result<(), Problem> {
    let (before, changed) = diff(before, after);
    let (kind, id) = match &who.actor.person {
        Some(person) => (ActorKind::User, Some(person.id)),
        None => (ActorKind::Key, who.actor.key),
    };
    let source = match who.source {
        Source::Api if who.actor.person.is_some() => Source::Ui,
        other => other,
    };
    let actor = Actor { kind, id, display: who.actor.name.clone() };
    tx.add_audit(&NewEntry {
        account: about.account,
        actor,
        source,
        request_id: Some(who.request_id.clone()),
        action: action.to_owned(),
        kind: about.kind.to_owned(),
        resource: (about.id > 0).then_some(about.id),
        version_after: about.version,
        before,
        after: changed,
    })?;
    Ok(())
}

/// The same where the command line did it.
pub(super) fn record_of_command_line(
    tx: &mut Write<'_>,
    action: &str,
    about: &About,
    (before, after): (&Value, &Value),
) -> Result<(), Problem> {
    let (before, after) = diff(before, after);
    tx.add_audit(&NewEntry {
        account: about.account,
        actor: Actor { kind: ActorKind::System, id: None, display: "command line".to_owned() },
        source: Source::Cli,
        request_id: None,
        action: action.to_owned(),
        kind: about.kind.to_owned(),
        resource: Some(about.id),
        version_after: about.version,
        before,
        after,
    })?;
    Ok(())
}

/// A page of the records.
pub(super) fn list(inner: &Arc<Inner>, mut call: Call) -> Result<Reply, Problem> {
    let parameters = &mut call.parameters;
    let size = page_size(parameters)?;
    let kind = parameters.take("filter[kind]");
    let is_unknown = |kind: &&str| Kind::parse(kind).is_none() && !OTHER_KINDS.contains(kind);
    if let Some(kind) = kind.as_deref().filter(is_unknown) {
        return Err(Problem::parameter("filter[kind]", format!("is no kind of resource: {kind:?}")));
    }
    let name = "filter[resource_id]";
    let resource = parameters.take(name);
    let resource =
        resource.map(|id| id.parse().map_err(|_| Problem::parameter(name, "is an id"))).transpose()?;
    let query = AuditQuery {
        account: call.account,
        kind,
        resource,
        actor: None,
        action: parameters.take("filter[action]"),
        from_ms: moment(parameters, "from")?,
        to_ms: moment(parameters, "to")?,
        after: page_token(parameters)?,
        limit: size + 1,
    };
    call.parameters.finish(&PARAMETERS.join(", "))?;
    let mut entries = inner.control.read(|read| read.audit(&query).map_err(Problem::from))?;
    let next = cut(&mut entries, size, |last| query.cursor(last));
    let items: Vec<Value> = entries.iter().map(view).collect();
    Ok(Reply::new(StatusCode::OK, json!({ "audit": items, "next_page_token": next })))
}

fn moment(parameters: &mut Parameters, name: &str) -> Result<Option<i64>, Problem> {
    let Some(text) = parameters.take(name) else { return Ok(None) };
    let moment = text.parse::<jiff::Timestamp>();
    let message = "is a moment with its offset such as 2026-03-01T00:00:00Z (RFC 3339)";
    moment.map(|moment| Some(moment.as_millisecond())).map_err(|_| Problem::parameter(name, message))
}

fn view(Entry { id, at_ms, entry }: &Entry) -> Value {
    json!({
        "id": id.to_string(), "at": super::shape::moment(*at_ms), "actor": entry.actor.display,
        "actor_kind": entry.actor.kind.as_str(), "actor_id": entry.actor.id.map(|id| id.to_string()),
        "source": entry.source.as_str(), "request_id": entry.request_id, "action": entry.action,
        "kind": entry.kind, "resource_id": entry.resource.map(|id| id.to_string()),
        "version": entry.version_after, "before": entry.before, "after": entry.after,
    })
}
