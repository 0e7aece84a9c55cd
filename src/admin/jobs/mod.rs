//! What is worked on in the background, one job after the other: its row in the store, its files beside it, and what is
//! known of it while it runs.
//!
//! Invariant: a job ends once. What it kept and that it ended are told by one transaction where the work is one; after a
//! restart a job that had not ended is failed and says so. Files of jobs are gone after [`KEPT_MS`] or behind
//! [`KEPT_JOBS`] newer ones, and a body that was spooled has no name, so the system removes it whatever happens.
//!
//! Deliberately absent: jobs that go on after a restart, and several at once: they would only share the one writer.

mod api;
mod report;
mod spool;

pub(super) use api::{PARAMETERS, cancel, get, list, result, schema, view};
pub(super) use report::{Counts, Line, Report, ResultFile};
pub(super) use spool::spool;

use super::problem::Problem;
use super::state::{Inner, StartError};
use crate::store::control::jobs::{JobRow, JobState, NewJob};
use crate::store::control::{Control, ControlError, WriteError};
use hyper::StatusCode;
use parking_lot::{Condvar, Mutex};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Weak};
use std::time::Duration;

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
        let open = control.read(|read| read.open_jobs())?;
        if !open.is_empty() {
            control
                .write(move |tx| {
                    open.iter().try_for_each(|job| {
                        let mut report = Report::of(job);
                        report.end(End {
                            state: JobState::Failed,
                            reason: Some(
                                "the server was stopped before it had ended; what is counted here was kept"
                                    .to_owned(),
                            ),
                        });
                        tx.update_job(job.id, JobState::Failed, &report.outcome())
                    })
                })
                .map_err(failed)?;
        }
        expire(control, &options, now_ms).map_err(failed)?;
        let (waiting, queue) = channel();
        let jobs = Jobs {
            options,
            waiting,
            count: Arc::default(),
            live: Mutex::default(),
            stopping: Arc::default(),
        };
        Ok((jobs, Queue(queue)))
    }

    /// Begins a job, or refuses it where too many wait.
    pub(super) fn begin(
        &self,
        control: &Control,
        new: NewJob,
        work: Work,
    ) -> Result<(JobRow, Arc<Live>), Problem> {
        let place = Place::take(&self.count)?;
        let row = control.write(move |tx| tx.insert_job(new).map_err(Problem::from))?;
        let live = Arc::new(Live {
            id: row.id,
            cancel: AtomicBool::new(false),
            stopping: Arc::clone(&self.stopping),
            report: Mutex::new(Report::of(&row)),
            ended: Condvar::new(),
        });
        self.live.lock().insert(row.id, Arc::clone(&live));
        let work: Work = Box::new(move |inner, live| {
            let _place = place;
            work(inner, live)
        });
        let sent = self.waiting.send((Arc::clone(&live), work));
        sent.map_err(|_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the server stops"))?;
        Ok((row, live))
    }

    /// The job, if it has not ended.
    pub(super) fn live(&self, id: u32) -> Option<Arc<Live>> {
        self.live.lock().get(&id).cloned()
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
        for (live, work) in queue.0 {
            let Some(inner) = inner.upgrade() else { return };
            run_one(&inner, &live, work);
        }
    };
    std::thread::Builder::new().name("jobs".to_owned()).spawn(run).map(drop)
}

fn run_one(inner: &Arc<Inner>, live: &Arc<Live>, work: Work) {
    let end = live.is_to_end().unwrap_or_else(|| {
        live.report(|report| report.state = JobState::Running);
        let id = live.id;
        let outcome = live.report(|report| report.outcome());
        let told = inner.control.write(move |tx| tx.update_job(id, JobState::Running, &outcome));
        if let Err(why) = told {
            let why: WriteError<ControlError> = why;
            tracing::warn!(%why, id, "the job's row does not say that it runs");
        }
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(inner, live)));
        done.unwrap_or_else(|_| {
            tracing::error!(id, "a job panicked");
            End {
                state: JobState::Failed,
                reason: Some("this is a fault of the server; its log says more".to_owned()),
            }
        })
    });
    let mut report = live.report(|report| report.clone());
    report.end(end);
    let (id, state, outcome) = (live.id, report.state, report.outcome());
    let told = inner.control.write(move |tx| tx.update_job(id, state, &outcome));
    if let Err(why) = told {
        let why: WriteError<ControlError> = why;
        tracing::error!(%why, id, "the end of a job was not written");
    }
    inner.jobs.live.lock().remove(&id);
    live.report(|known| *known = report);
    live.ended.notify_all();
    if let Err(why) = expire(&inner.control, &inner.jobs.options, inner.clock.now().unix_ms) {
        tracing::warn!(%why, "old jobs were not removed");
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
