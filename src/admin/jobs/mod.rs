//! What is worked on in the background, one job after the other: its row in the store, its files beside it, and what is
//! known of it while it runs.
//!
//! Invariant: a job that was promised is known, also after a crash, and its id is given once: until it begins it is a note
//! on disk, because the store's one writer may be busy for long with the job before. A job ends once. What it kept and
//! that it ended are told by one transaction where the work is one; after a restart a job that had not ended is failed
//! and says so, and its result tells of what was kept. Files of jobs are gone after [`KEPT_MS`] or behind
//! [`KEPT_JOBS`] newer ones, and a body that was spooled has no name, so the system removes it whatever happens.
//!
//! Deliberately absent: jobs that go on after a restart, and several at once: they would only share the one writer.

mod api;
mod report;
mod spool;

pub(super) use api::{PARAMETERS, cancel, get, list, result, row_of, schema, view};
pub(super) use report::{ACTIVATION, CONTACTS, Counts, EXPANSION, Line, Report, ResultFile, UPLOAD};
pub(super) use spool::spool;

use super::audience;
use super::problem::Problem;
use super::state::{Inner, StartError};
use crate::store::control::jobs::{JobRow, JobState, NewJob};
use crate::store::control::{Control, ControlError, Write, WriteError};
use hyper::StatusCode;
use parking_lot::{Condvar, Mutex};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How often what is over is removed while no job ends.
const TIDY: Duration = Duration::from_secs(60);
/// Kept answers that are removed in one transaction.
const AT_ONCE: u32 = 1_000;
/// Jobs that may wait for the one that runs.
const WAITING: usize = 8;
/// How long the files of a job are kept.
const KEPT_MS: i64 = 7 * 24 * 3_600_000;
/// Of how many jobs files are kept.
const KEPT_JOBS: u32 = 200;
/// How many jobs are known by what they were.
const REMEMBERED: u32 = 10_000;

/// Where jobs have their files, and how much they take.
#[derive(Clone, Debug)]
pub struct JobOptions {
    /// The directory of their files; made where it is missing.
    pub dir: PathBuf,
    /// Longest table that is taken in, in bytes.
    pub import_bytes: u64,
}

/// What a job does: it is handed what it works on and what others may ask of it, and says how it ended.
type Work = Box<dyn FnOnce(&Arc<Inner>, &Arc<Live>) -> End + Send>;

/// How a job ended.
#[derive(Debug)]
pub(super) struct End {
    pub(super) state: JobState,
    /// Why, where it did not do all of it.
    pub(super) reason: Option<String>,
}

/// A job that has not ended.
pub(super) struct Live {
    pub(super) id: u32,
    /// As it was asked for.
    pub(super) row: JobRow,
    cancel: AtomicBool,
    stopping: Arc<AtomicBool>,
    report: Mutex<Report>,
    ended: Condvar,
}

impl Live {
    /// Whether it shall end now, and how.
    pub(super) fn is_to_end(&self) -> Option<End> {
        if self.cancel.load(Ordering::Relaxed) {
            let reason = Some("somebody cancelled it".to_owned());
            return Some(End { state: JobState::Cancelled, reason });
        }
        if self.stopping.load(Ordering::Relaxed) {
            return Some(End { state: JobState::Failed, reason: Some("the server was stopped".to_owned()) });
        }
        None
    }

    /// Changes what is known of it.
    pub(super) fn report<T>(&self, change: impl FnOnce(&mut Report) -> T) -> T {
        change(&mut self.report.lock())
    }

    /// Waits until it has ended.
    pub(super) fn wait(&self, at_most: Duration) {
        let has_ended = |report: &mut Report| !report.state.has_ended();
        self.ended.wait_while_for(&mut self.report.lock(), has_ended, at_most);
    }
}

/// All jobs.
pub(super) struct Jobs {
    pub(super) options: JobOptions,
    waiting: Sender<(Arc<Live>, Work)>,
    count: Arc<AtomicUsize>,
    live: Mutex<BTreeMap<u32, Arc<Live>>>,
    /// The next job's id; held while that is put in the queue, so that ids stand there in their order.
    next: Mutex<u32>,
    stopping: Arc<AtomicBool>,
}

/// The end of the queue that [`work`] reads.
pub(super) struct Queue(Receiver<(Arc<Live>, Work)>);

impl Jobs {
    /// Ends what an earlier run has left, and removes what is too old.
    pub(super) fn open(
        control: &Control,
        now_ms: i64,
        options: JobOptions,
    ) -> Result<(Jobs, Queue), StartError> {
        spool::open(&options.dir)?;
        let noted = spool::noted(&options.dir)?;
        let left: Vec<u32> = noted.iter().map(|row| row.id).collect();
        control.write(move |tx| end_all(tx, noted, now_ms)).map_err(failed)?.iter().try_for_each(
            |ended| {
                let kept = if is_whole(ended) { None } else { Some(Report::of(ended).counts.rows) };
                ResultFile::mend(&options.dir.join(format!("{}.csv", ended.id)), kept, STOPPED)
            },
        )?;
        left.iter().for_each(|id| spool::forget(&options, *id));
        let next = control.read(|read| read.last_job())? + 1;
        expire(control, &options, now_ms).map_err(failed)?;
        let (waiting, queue) = channel();
        let jobs = Jobs {
            options,
            waiting,
            count: Arc::default(),
            live: Mutex::default(),
            next: Mutex::new(next),
            stopping: Arc::default(),
        };
        Ok((jobs, Queue(queue)))
    }

    /// Promises a job, or refuses it where too many wait. It does not wait for the writer of the store.
    pub(super) fn begin(&self, now_ms: i64, new: NewJob, work: Work) -> Result<Arc<Live>, Problem> {
        let place = Place::take(&self.count)?;
        let NewJob { account, kind, collection, options, actor, request_id, outcome } = new;
        let mut next = self.next.lock();
        let row = JobRow {
            id: *next,
            account,
            kind: kind.to_owned(),
            collection: collection.to_owned(),
            options,
            actor,
            request_id,
            state: JobState::Queued,
            created_ms: now_ms,
            finished_ms: None,
            outcome,
        };
        spool::note(&self.options, &row)?;
        *next += 1;
        let live = Arc::new(Live {
            id: row.id,
            cancel: AtomicBool::new(false),
            stopping: Arc::clone(&self.stopping),
            report: Mutex::new(Report::of(&row)),
            row,
            ended: Condvar::new(),
        });
        self.live.lock().insert(live.id, Arc::clone(&live));
        let work: Work = Box::new(move |inner, live| {
            let _place = place;
            work(inner, live)
        });
        let sent = self.waiting.send((Arc::clone(&live), work));
        sent.map_err(|_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the server stops"))?;
        Ok(live)
    }

    /// The job, if it has not ended.
    pub(super) fn live(&self, id: u32) -> Option<Arc<Live>> {
        self.live.lock().get(&id).cloned()
    }

    /// Those that have not ended, newest first.
    pub(super) fn all_live(&self) -> Vec<Arc<Live>> {
        self.live.lock().values().rev().map(Arc::clone).collect()
    }

    /// Makes the job that runs end soon.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Where the result of a job lies.
    pub(super) fn result_file(&self, id: u32) -> PathBuf {
        self.options.dir.join(format!("{id}.csv"))
    }
}

/// A place in the queue, free again when it is dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(count: &Arc<AtomicUsize>) -> Result<Place, Problem> {
        if count.fetch_add(1, Ordering::Relaxed) > WAITING {
            count.fetch_sub(1, Ordering::Relaxed);
            let detail = format!("a job runs and {WAITING} wait already; come again when one has ended");
            let busy = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail);
            return Err(Problem { retry_after_s: Some(10), ..busy });
        }
        Ok(Place(Arc::clone(count)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Starts the thread that does the jobs. It ends with what it works on.
pub(super) fn work(inner: &Arc<Inner>, queue: Queue) -> std::io::Result<()> {
    let inner: Weak<Inner> = Arc::downgrade(inner);
    let run = move || {
        // Bids come first; see the publisher.
        if let Err(error) = rustix::process::nice(10) {
            tracing::debug!(%error, "jobs keep their priority");
        }
        loop {
            let next = queue.0.recv_timeout(TIDY);
            let Some(inner) = inner.upgrade() else { return };
            match next {
                Ok((live, work)) => run_one(&inner, &live, work),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            tidy(&inner);
        }
    };
    std::thread::Builder::new().name("jobs".to_owned()).spawn(run).map(drop)
}

fn run_one(inner: &Arc<Inner>, live: &Arc<Live>, work: Work) {
    let row = |report: &Report, finished_ms: Option<i64>| JobRow {
        state: report.state,
        outcome: report.outcome(),
        finished_ms,
        ..live.row.clone()
    };
    let end = live.is_to_end().unwrap_or_else(|| {
        let begun = live.report(|report| {
            report.state = JobState::Running;
            row(report, None)
        });
        // What it will keep is told together with its row, so that it cannot run without one.
        if let Err(why) = place(inner, begun) {
            tracing::error!(%why, id = live.id, "a job cannot begin");
            let reason = "the server could not begin it; its log says more".to_owned();
            return End { state: JobState::Failed, reason: Some(reason) };
        }
        spool::forget(&inner.jobs.options, live.id);
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(inner, live)));
        done.unwrap_or_else(|_| {
            tracing::error!(id = live.id, "a job panicked");
            End {
                state: JobState::Failed,
                reason: Some("this is a fault of the server; its log says more".to_owned()),
            }
        })
    });
    let has_begun = live.report(|report| report.state != JobState::Queued);
    let mut report = live.report(|report| report.clone());
    report.end(end);
    match place(inner, row(&report, Some(inner.clock.now().unix_ms))) {
        Ok(()) if !has_begun => spool::forget(&inner.jobs.options, live.id),
        Ok(()) => {}
        Err(why) => tracing::error!(%why, id = live.id, "the end of a job was not written"),
    }
    inner.jobs.live.lock().remove(&live.id);
    live.report(|known| *known = report);
    live.ended.notify_all();
}

fn place(inner: &Inner, row: JobRow) -> Result<(), WriteError<ControlError>> {
    inner.control.write(move |tx| tx.place_job(&row))
}

/// What is told of a job that a stop has cut off.
const STOPPED: &str = "the server was stopped before it had ended";

/// Ends the jobs that an earlier run has left, those that were only noted among them; as their rows were.
fn end_all(tx: &mut Write<'_>, noted: Vec<JobRow>, now_ms: i64) -> Result<Vec<JobRow>, ControlError> {
    let fail = |tx: &mut Write<'_>, job: &JobRow, reason: String| {
        let mut report = Report::of(job);
        report.end(End { state: JobState::Failed, reason: Some(reason) });
        let (outcome, finished_ms) = (report.outcome(), Some(now_ms));
        tx.place_job(&JobRow { state: JobState::Failed, outcome, finished_ms, ..job.clone() })
    };
    let open = tx.open_jobs()?;
    for job in &open {
        let kept = match job.kind.as_str() {
            // Their rows are written when they begin and when they end.
            UPLOAD | EXPANSION | CONTACTS | ACTIVATION => {
                "what it had done by then was kept and is not counted here; send it again"
            }
            _ => "what is counted here was kept",
        };
        fail(tx, job, format!("{STOPPED}; {kept}"))?;
    }
    for job in &noted {
        // One that has begun has its row.
        if tx.job(job.id)?.is_none() {
            fail(tx, job, "the server was stopped before it had begun".to_owned())?;
        }
    }
    Ok(open)
}

/// Whether a job keeps all or nothing.
fn is_whole(job: &JobRow) -> bool {
    let options: Value = serde_json::from_str(&job.options).unwrap_or_default();
    options["mode"] != "partial" || options["validate_only"] == true
}

/// Removes what is over: files and rows of jobs, answers that were kept for those who ask again, and sessions.
pub(super) fn tidy(inner: &Inner) {
    if let Err(why) = expire(&inner.control, &inner.jobs.options, inner.clock.now().unix_ms) {
        tracing::warn!(%why, "old jobs were not removed");
    }
    loop {
        match inner.control.write(|tx| tx.sweep_idempotent(AT_ONCE)) {
            // Others get their turn in between.
            Ok(gone) if gone == AT_ONCE as usize => {}
            Ok(_) => break,
            Err(why) => {
                let why: WriteError<ControlError> = why;
                return tracing::warn!(%why, "answers that were kept long enough were not removed");
            }
        }
    }
    audience::tidy(inner);
    if let Err(why) = inner.control.write(|tx| tx.sweep_sessions()) {
        let why: WriteError<ControlError> = why;
        tracing::warn!(%why, "sessions that are over were not removed");
    }
}

/// Removes what is too old.
fn expire(control: &Control, options: &JobOptions, now_ms: i64) -> Result<(), WriteError<ControlError>> {
    let gone = control.write(move |tx| tx.expire_jobs(now_ms - KEPT_MS, KEPT_JOBS, REMEMBERED))?;
    for id in gone {
        // It may never have had one.
        let _gone = std::fs::remove_file(options.dir.join(format!("{id}.csv")));
    }
    Ok(())
}

fn failed(why: WriteError<ControlError>) -> StartError {
    match why {
        WriteError::Refused(why) | WriteError::Store(why) => why.into(),
        other => StartError::Import(other.to_string()),
    }
}
