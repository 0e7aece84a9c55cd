//! `/v1/jobs`: what is known of jobs, and ending them.

use super::report::{ACTIVATION, EXPANSION, Report};
use crate::admin::call::{Call, Reply};
use crate::admin::download::{CSV, Download};
use crate::admin::page::{cut, page_size, page_token};
use crate::admin::problem::Problem;
use crate::admin::state::Inner;
use crate::contacts::Channel;
use crate::store::control::jobs::{JobQuery, JobRow, JobState};
use hyper::StatusCode;
use serde_json::{Value, json};
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What a list may be asked.
pub(in crate::admin) const PARAMETERS: &[&str] = &["page_size", "page_token"];

/// What is shown of a job.
pub(in crate::admin) fn schema() -> Value {
    let (text, count) = (json!({ "type": "string" }), json!({ "type": "integer", "minimum": 0 }));
    let moment = json!({ "type": ["string", "null"], "format": "date-time" });
    let maybe = json!({ "type": ["string", "null"] });
    let error = json!({
        "type": "object",
        "properties": { "row": count, "line": count, "column": text, "code": text, "message": text },
        "required": ["row", "line", "column", "code", "message"],
    });
    let states: Vec<&str> = JobState::ALL.iter().map(|state| state.as_str()).collect();
    json!({
        "type": "object",
        "properties": {
            "id": text, "account_id": text, "kind": text, "collection": text, "state": { "enum": states },
            "validate_only": { "type": "boolean" }, "mode": { "enum": ["atomic", "partial", "add", "remove", "replace"] }, "created_by": text,
            "request_id": text, "created_at": moment, "finished_at": moment, "rows": count, "created": count,
            "changed": count, "unchanged": count, "refused": count, "reason": maybe,
            "added": count, "removed": count, "matched": count, "match_rate": { "type": ["number", "null"] },
            "segment_id": text, "target_id": maybe, "size": count, "ttl_days": count, "replace": { "type": "boolean" },
            "expansion": { "$ref": "#/components/schemas/expansion" },
            "channel": { "enum": Channel::ALL.map(Channel::as_str) }, "format": { "enum": ["csv", "ndjson"] },
            "purpose": text, "list": { "$ref": "#/components/schemas/contact_list" }, "advertiser_id": maybe, "consent": { "enum": ["given", "explicit"] },
            "errors": { "type": "array", "items": error },
        },
        "required": ["id", "state", "collection", "rows", "errors"],
    })
}

/// A job as it is now.
pub(in crate::admin) fn view(inner: &Inner, row: &JobRow) -> Value {
    match inner.jobs.live(row.id) {
        Some(live) => live.report(|report| report.view(row)),
        None => Report::of(row).view(row),
    }
}

/// The job of a call, if it is of its account.
pub(in crate::admin) fn row_of(inner: &Inner, call: &Call) -> Result<JobRow, Problem> {
    let (id, account) = (call.id.unwrap_or(0), call.account);
    // One that waits has no row yet; one that ends meanwhile has one by then.
    let waits = inner.jobs.live(id).map(|live| live.row.clone());
    let row = inner.control.read(|read| read.job(id))?.or(waits);
    let row = row.filter(|row| account.is_none_or(|account| account == row.account));
    row.ok_or_else(|| Problem::not_found(&format!("job {id}")))
}

pub(in crate::admin) fn list(inner: &Arc<Inner>, mut call: Call) -> Result<Reply, Problem> {
    let size = page_size(&mut call.parameters)?;
    let query = JobQuery { account: call.account, after: page_token(&mut call.parameters)?, limit: size + 1 };
    call.parameters.finish(&PARAMETERS.join(", "))?;
    let waiting = inner.jobs.all_live();
    let written = inner.control.read(|read| read.jobs(&query).map_err(Problem::from))?;
    // Those without a row stand behind all that have one, so that they come first.
    let is_new = |row: &&JobRow| query.asks_for(row) && written.iter().all(|other| other.id < row.id);
    let mut rows: Vec<JobRow> = waiting.iter().map(|live| &live.row).filter(is_new).cloned().collect();
    rows.extend(written);
    rows.truncate(size + 1);
    let next = cut(&mut rows, size, |last| query.cursor(last));
    let items: Vec<Value> = rows.iter().map(|row| view(inner, row)).collect();
    Ok(Reply::new(StatusCode::OK, json!({ "jobs": items, "next_page_token": next })))
}

pub(in crate::admin) fn get(inner: &Arc<Inner>, call: Call) -> Result<Reply, Problem> {
    let row = row_of(inner, &call)?;
    call.parameters.finish("account_id")?;
    Ok(Reply::new(StatusCode::OK, view(inner, &row)))
}

/// Ends a job soon: one that runs behind the row that it is at. One that has ended stays as it ended.
pub(in crate::admin) fn cancel(inner: &Arc<Inner>, call: Call) -> Result<Reply, Problem> {
    let row = row_of(inner, &call)?;
    call.parameters.finish("account_id")?;
    if let Some(live) = inner.jobs.live(row.id) {
        live.cancel.store(true, Ordering::Relaxed);
    }
    Ok(Reply::new(StatusCode::OK, view(inner, &row)))
}

pub(in crate::admin) fn result(inner: &Arc<Inner>, call: Call) -> Result<Download, Problem> {
    let row = row_of(inner, &call)?;
    call.parameters.finish("account_id")?;
    let id = row.id;
    if [EXPANSION, ACTIVATION].contains(&row.kind.as_str()) {
        let detail = format!("job {id} has no table of rows; what it found stands in the job itself");
        return Err(Problem::new(StatusCode::NOT_FOUND, "not found", detail));
    }
    if !row.state.has_ended() {
        let detail = format!("job {id} has not ended; its result comes then");
        let early = Problem::new(StatusCode::CONFLICT, "not finished", detail);
        return Err(Problem { retry_after_s: Some(1), ..early });
    }
    let file = match File::open(inner.jobs.result_file(id)) {
        Ok(file) if row.state != JobState::Expired => file,
        _ => return Err(Problem::not_found(&format!("result of job {id} any more"))),
    };
    let write = move |out: &mut dyn io::Write| io::copy(&mut io::BufReader::new(file), out).map(drop);
    Ok(Download { name: format!("job-{id}-result.csv"), media: CSV, write: Box::new(write) })
}
