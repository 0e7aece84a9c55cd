//! `POST /v1/imports/{collection}`: a table as one job.
//!
//! All rows or none are one transaction, which works on a copy of the account in memory: calls that read are answered
//! meanwhile from what was there, and calls that write wait. Rows that are kept for themselves are committed some at a
//! time, so that other writers come in between. A trial is the first of these, undone at its end.
//!
//! Invariant: one record is in memory at a time; what grows is a bit a resource, and the account itself.

use super::columns::{self, Column};
use super::file::{Broken, Table};
use super::row::{Outcome, Refusal, RowError, Rows, Taken};
use crate::admin::call::{Call, Reply, media};
use crate::admin::crud::scope;
use crate::admin::jobs::{Counts, End, Line, Live, ResultFile, spool, view};
use crate::admin::problem::Problem;
use crate::admin::shape::Shape;
use crate::admin::state::{Inner, Puts};
use crate::admin::tenants;
use crate::model::suggest::closest;
use crate::store::control::Write;
use crate::store::control::audit::Source;
use crate::store::control::jobs::{JobState, NewJob};
use csv::ByteRecord;
use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderName, LOCATION};
use parking_lot::Mutex;
use serde_json::json;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Seek, Write as _};
use std::sync::Arc;
use std::time::Duration;

/// What an import may be asked.
pub(in crate::admin) const PARAMETERS: &[&str] = &["validate_only", "mode"];

/// Rows that are committed at once where each is kept for itself.
const CHUNK: u64 = 400;

/// How long a call waits for its job at most.
const LONGEST_WAIT_S: u64 = 60;

/// How a table is taken in.
#[derive(Clone, Copy)]
struct How {
    /// Nothing is kept.
    dry: bool,
    /// All rows or none.
    atomic: bool,
}

pub(in crate::admin) fn start(
    inner: &Arc<Inner>,
    shape: &'static Shape,
    mut call: Call,
) -> Result<Reply, Problem> {
    let dry = call.parameters.switch("validate_only")?;
    let atomic = match call.parameters.take("mode").as_deref() {
        None | Some("atomic") => true,
        Some("partial") => false,
        Some(_) => return Err(Problem::parameter("mode", "is atomic or partial")),
    };
    let (how, wait) = (How { dry, atomic }, check_headers(&call.headers)?);
    let who = crate::admin::call::Who { source: Source::Csv, ..call.who() };
    call.parameters.finish(&PARAMETERS.join(", "))?;
    let account = scope(shape, call.account).unwrap_or(tenants::DEFAULT);
    if inner.control.read(|read| read.account(account))?.is_none() {
        return Err(Problem::not_found(&format!("account {account}")));
    }
    let file = match call.spool {
        Some(file) => file,
        None => spooled(inner, &call.body)?,
    };
    let new = NewJob {
        account,
        kind: "import",
        collection: shape.collection,
        options: json!({ "validate_only": dry, "mode": if atomic { "atomic" } else { "partial" } })
            .to_string(),
        actor: who.actor.name.clone(),
        request_id: who.request_id.clone(),
        outcome: "{}".to_owned(),
    };
    let rows =
        Rows { shape, account, columns: Vec::new(), known: columns::known(shape), who, seen: HashMap::new() };
    let work = move |inner: &Arc<Inner>, live: &Arc<Live>| match begin(inner, live, file, rows, how) {
        Ok(run) => run.run(inner, how),
        Err(end) => end,
    };
    let live = inner.jobs.begin(inner.clock.now().unix_ms, new, Box::new(work))?;
    promised(inner, &live, wait)
}

/// The answer to a call that began a job: 200 where it ended within as many seconds as the caller wants to wait, 202
/// otherwise.
pub(in crate::admin) fn promised(inner: &Inner, live: &Live, wait: Option<u64>) -> Result<Reply, Problem> {
    live.wait(Duration::from_secs(wait.unwrap_or(0)));
    let row = inner.control.read(|read| read.job(live.id))?.unwrap_or_else(|| live.row.clone());
    let status = if row.state.has_ended() { StatusCode::OK } else { StatusCode::ACCEPTED };
    let reply = Reply::new(status, view(inner, &row)).with(LOCATION, format!("/v1/jobs/{}", row.id));
    Ok(match wait {
        Some(wait) => reply.with(HeaderName::from_static("preference-applied"), format!("wait={wait}")),
        None => reply,
    })
}

/// Refuses what is no table; how long the caller wants to wait.
fn check_headers(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    media(headers, &["text/csv"])?;
    Ok(preferred_wait(headers))
}

/// How long the caller wants to wait for the end of a job (RFC 7240), in seconds.
pub(in crate::admin) fn preferred_wait(headers: &HeaderMap) -> Option<u64> {
    let preferences = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let wait = preferences.flat_map(|value| value.split([',', ';'])).find_map(|preference| {
        let (name, value) = preference.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("wait")
            .then(|| value.trim().trim_matches('"').parse::<u64>().ok())?
    });
    wait.map(|wait| wait.min(LONGEST_WAIT_S))
}

/// A body that is in memory as a file.
pub(in crate::admin) fn spooled(inner: &Inner, body: &[u8]) -> Result<File, Problem> {
    let mut file = spool(&inner.jobs.options)?;
    file.write_all(body).map_err(|why| unwritten(&why))?;
    Ok(file)
}

pub(in crate::admin) fn unwritten(why: &io::Error) -> Problem {
    tracing::error!(%why, "a file of a job cannot be written");
    let detail = "the server cannot write the files of the job; its log says more";
    Problem::new(StatusCode::INSUFFICIENT_STORAGE, "no place", detail)
}

/// An import under way.
struct Run {
    table: Table<BufReader<File>>,
    rows: Rows,
    result: ResultFile,
    live: Arc<Live>,
    dry: bool,
    /// Why it ended before its time, or with nothing kept.
    end: Option<End>,
}

/// Reads the header. What is wrong with it ends the job.
fn begin(inner: &Inner, live: &Arc<Live>, mut file: File, mut rows: Rows, how: How) -> Result<Run, End> {
    let failed = |why: io::Error| End { state: JobState::Failed, reason: Some(unwritten(&why).detail) };
    file.rewind().map_err(failed)?;
    let mut table = Table::new(BufReader::with_capacity(64 << 10, file));
    let mut result = ResultFile::create(inner.jobs.result_file(live.id)).map_err(failed)?;
    let named = match table.header() {
        Ok(names) => named(&names, &rows.known),
        Err(broken) => Err(vec![RowError::of(&broken)]),
    };
    match named {
        Ok(columns) => rows.columns = columns,
        Err(errors) => {
            for error in &errors {
                let RowError { column, code, message } = error;
                let line = Line { line: 1, outcome: "refused", column, code, message, ..Line::default() };
                live.report(|report| report.error(&line));
                result.write(&line).map_err(failed)?;
            }
            result.finish(true).map_err(failed)?;
            let first = errors.first().map_or_else(String::new, RowError::words);
            let reason = Some(format!("the first line does not name the columns of this table: {first}"));
            return Err(End { state: JobState::Failed, reason });
        }
    }
    Ok(Run { table, rows, result, live: Arc::clone(live), dry: how.dry, end: None })
}

/// The columns that a file's first line names.
fn named(names: &[String], known: &[Column]) -> Result<Vec<Column>, Vec<RowError>> {
    let (mut columns, mut errors) = (Vec::<Column>::new(), Vec::new());
    for (at, name) in names.iter().enumerate() {
        let mut fail = |code, message: String| errors.push(RowError { column: name.clone(), code, message });
        match known.iter().find(|column| column.name == *name) {
            _ if names[..at].contains(name) => fail("duplicate", format!("column {name:?} is there twice")),
            Some(column) => columns.push(column.clone()),
            None if name.is_empty() => fail("missing", format!("column {} has no name", at + 1)),
            None => {
                let near = closest(name, known.iter().map(|column| column.name.as_str()));
                let hint = near.map_or_else(
                    || "an export of this collection names those that there are".to_owned(),
                    |near| format!("did you mean {near:?}?"),
                );
                fail("unknown_column", format!("column {name:?} is not known; {hint}"));
            }
        }
    }
    if errors.is_empty() { Ok(columns) } else { Err(errors) }
}

impl RowError {
    fn of(broken: &Broken) -> RowError {
        RowError { column: String::new(), code: broken.code, message: broken.message.clone() }
    }

    fn words(&self) -> String {
        if self.column.is_empty() {
            self.message.clone()
        } else {
            format!("{}: {}", self.column, self.message)
        }
    }
}

/// What a transaction that is not to be kept ends with; nobody is shown it.
fn not_kept() -> Problem {
    Problem::new(StatusCode::OK, "not kept", "nothing was changed")
}

impl Run {
    fn run(self, inner: &Arc<Inner>, how: How) -> End {
        if how.atomic || how.dry { self.whole(inner, how) } else { self.partly(inner) }
    }

    /// All of it in one transaction.
    fn whole(self, inner: &Arc<Inner>, how: How) -> End {
        let shared = Arc::new(Mutex::new(Some(self)));
        let (inside, clock) = (Arc::clone(&shared), Arc::clone(&inner.clock));
        let done = inner.change_apart(move |tx, puts| {
            let mut slot = inside.lock();
            let run = slot.as_mut().ok_or_else(not_kept)?;
            while run.rows_of(tx, puts, u64::MAX)? {}
            run.judge(how);
            if run.end.is_some() {
                return Err(not_kept());
            }
            // With the rows, so that a crash does not leave them without a job that says so.
            let outcome = run.live.report(|report| report.ended(success()));
            run.result.flush().map_err(|why| unwritten(&why))?;
            tx.end_job(run.live.id, JobState::Succeeded, &outcome, clock.now().unix_ms)?;
            Ok(())
        });
        let Some(run) = shared.lock().take() else { return fault() };
        let (end, is_kept) = match (run.end, done) {
            (Some(end), _) => (end, false),
            (None, Ok(())) => (success(), true),
            (None, Err(problem)) => (End { state: JobState::Failed, reason: Some(problem.detail) }, false),
        };
        if !is_kept && !how.dry {
            run.live.report(|report| report.counts.undo());
        }
        finished(run.result, is_kept || how.dry, end)
    }

    /// Says how a job ends whose rows were all looked at.
    fn judge(&mut self, how: How) {
        let counts = self.live.report(|report| report.counts);
        if self.end.is_some() {
            return;
        }
        if counts.refused > 0 && how.atomic {
            let reason = format!(
                "{} of {} rows were refused, so none was kept; mend them, or send mode=partial",
                counts.refused, counts.rows
            );
            self.end = Some(End { state: JobState::Failed, reason: Some(reason) });
        } else if how.dry {
            self.end = Some(success());
        }
    }

    /// Some rows at a time, each for itself.
    fn partly(self, inner: &Arc<Inner>) -> End {
        let shared = Arc::new(Mutex::new(Some(self)));
        let lost = loop {
            let inside = Arc::clone(&shared);
            let before = shared.lock().as_ref().map(|run| run.live.report(|report| report.counts));
            let done = inner.change_unpublished(move |tx, puts| {
                let mut slot = inside.lock();
                let run = slot.as_mut().ok_or_else(not_kept)?;
                let more = run.rows_of(tx, puts, CHUNK)?;
                let outcome = run.live.report(|report| report.outcome());
                run.result.flush().map_err(|why| unwritten(&why))?;
                tx.update_job(run.live.id, JobState::Running, &outcome)?;
                Ok(more)
            });
            match (done, before) {
                (Ok(true), _) => {}
                (Ok(false), _) => break None,
                (Err(problem), before) => {
                    break Some((before.unwrap_or_default(), problem));
                }
            }
        };
        inner.publish();
        let Some(run) = shared.lock().take() else { return fault() };
        // The last rows were not kept after all.
        if let Some((before, problem)) = lost {
            run.live.report(|report| report.counts = before);
            if let Err(why) = run.result.finish_behind(before.rows, &problem.detail) {
                tracing::warn!(%why, "the result of an import is not complete");
            }
            return End { state: JobState::Failed, reason: Some(problem.detail) };
        }
        let end = run.end.unwrap_or_else(|| partly_done(run.live.report(|report| report.counts)));
        finished(run.result, true, end)
    }

    /// Takes at most so many rows; whether there may be more.
    fn rows_of(&mut self, tx: &mut Write<'_>, puts: &mut Puts<'_>, most: u64) -> Result<bool, Problem> {
        let Run { table, rows, result, live, dry, end } = self;
        for _ in 0..most {
            if let Some(stop) = live.is_to_end() {
                *end = Some(stop);
                return Ok(false);
            }
            let record = match table.next() {
                Ok(Some(record)) => record,
                Ok(None) => return Ok(false),
                Err(broken) => {
                    let error = RowError::of(&broken);
                    let place = (broken.row, broken.line, None);
                    note(live, result, rows, place, Err(&[error])).map_err(|why| unwritten(&why))?;
                    let reason = Some(format!("row {}, line {}: {broken}", broken.row, broken.line));
                    *end = Some(End { state: JobState::Failed, reason });
                    return Ok(false);
                }
            };
            let taken = rows.take(tx, puts, record.cells);
            let place = (record.row, record.line, Some(record.cells));
            let noted = match taken {
                Ok(taken) => note(live, result, rows, place, Ok((&taken, *dry))),
                Err(Refusal::Row(errors)) => note(live, result, rows, place, Err(&errors)),
                Err(Refusal::Server(problem)) => return Err(problem),
            };
            noted.map_err(|why| unwritten(&why))?;
            puts.settle();
        }
        Ok(true)
    }
}

/// Notes what became of a row.
fn note(
    live: &Live,
    result: &mut ResultFile,
    rows: &Rows,
    (row, line, cells): (u64, u64, Option<&ByteRecord>),
    became: Result<(&Taken, bool), &[RowError]>,
) -> io::Result<()> {
    let sent = |name: &str| {
        let at = rows.columns.iter().position(|column| column.name == name);
        let cell = at.and_then(|at| cells?.get(at)).unwrap_or_default();
        String::from_utf8_lossy(cell).into_owned()
    };
    match became {
        Ok((taken, dry)) => {
            let outcome = live.report(|report| {
                report.counts.rows += 1;
                let (count, name) = match taken.outcome {
                    Outcome::Created => (&mut report.counts.created, "created"),
                    Outcome::Changed => (&mut report.counts.changed, "changed"),
                    Outcome::Unchanged => (&mut report.counts.unchanged, "unchanged"),
                };
                *count += 1;
                name
            });
            // What is only tried gets no id.
            let is_made = !(dry && taken.outcome == Outcome::Created);
            let id = if is_made { taken.id.to_string() } else { String::new() };
            let external_id = taken.external_id.as_deref().unwrap_or_default();
            let whole = Line { row, line, id: &id, external_id, outcome, ..Line::default() };
            result.write(&whole)?;
            for RowError { column, code, message } in &taken.warnings {
                result.write(&Line { outcome: "warning", column, code, message, ..whole })?;
            }
        }
        Err(errors) => {
            let (id, external_id) = (sent("id"), sent("external_id"));
            live.report(|report| {
                report.counts.rows += 1;
                report.counts.refused += 1;
            });
            for RowError { column, code, message } in errors {
                let outcome = "refused";
                let (id, external_id) = (id.as_str(), external_id.as_str());
                let line = Line { row, line, id, external_id, outcome, column, code, message };
                live.report(|report| report.error(&line));
                result.write(&line)?;
            }
        }
    }
    Ok(())
}

/// How a file ends whose rows were each kept or refused.
fn partly_done(counts: Counts) -> End {
    let Counts { rows, refused, .. } = counts;
    if refused == 0 {
        return success();
    }
    let state = if refused == rows { JobState::Failed } else { JobState::Succeeded };
    let reason = format!("{refused} of {rows} rows were refused; mend those and send them again");
    End { state, reason: Some(reason) }
}

fn success() -> End {
    End { state: JobState::Succeeded, reason: None }
}

fn fault() -> End {
    let reason = "this is a fault of the server; its log says more".to_owned();
    End { state: JobState::Failed, reason: Some(reason) }
}

/// Ends a job with its result written.
fn finished(result: ResultFile, is_kept: bool, end: End) -> End {
    if let Err(why) = result.finish(is_kept) {
        tracing::warn!(%why, "the result of an import is not complete");
    }
    end
}
