//! The one thread that writes. Closures come to it through a bounded queue, and each is one transaction.
//!
//! Invariant: the thread outlives every closure, whatever it does; the answer is sent after the commit.

use super::error::{ControlError, WriteError};
use super::transaction::Write;
use crate::model::clock::Clock;
use rusqlite::{Connection, TransactionBehavior};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::{JoinHandle, ThreadId};

type Job = Box<dyn FnOnce(&mut Bench) + Send>;

/// What every job works with.
struct Bench {
    connection: Connection,
    clock: Arc<dyn Clock>,
    generation: Arc<AtomicU64>,
}

/// The handle of the thread; dropping it lets the waiting jobs end and the thread with them.
pub(super) struct Writer {
    jobs: Option<SyncSender<Job>>,
    queue: usize,
    thread: Option<JoinHandle<()>>,
    id: ThreadId,
}

impl Writer {
    /// Starts the thread on `connection`.
    pub(super) fn start(
        connection: Connection,
        clock: Arc<dyn Clock>,
        generation: Arc<AtomicU64>,
        queue: usize,
    ) -> Result<Writer, ControlError> {
        let (jobs, waiting) = sync_channel::<Job>(queue);
        let mut bench = Bench { connection, clock, generation };
        let thread = std::thread::Builder::new().name("control-writer".to_owned()).spawn(move || {
            // Bids come first: an import of 100,000 rows is done here.
            if let Err(error) = rustix::process::nice(10) {
                tracing::debug!(%error, "the writer of the control store keeps its priority");
            }
            for job in waiting {
                job(&mut bench);
            }
        });
        let thread = thread.map_err(|_| ControlError::NoWriter)?;
        Ok(Writer { jobs: Some(jobs), queue, id: thread.thread().id(), thread: Some(thread) })
    }

    /// Whether the caller is a job.
    pub(super) fn is_this_thread(&self) -> bool {
        std::thread::current().id() == self.id
    }

    /// See [`super::Control::write`].
    pub(super) fn run<T, E, F>(&self, work: F) -> Result<T, WriteError<E>>
    where
        F: FnOnce(&mut Write<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        if self.is_this_thread() {
            return Err(ControlError::Nested.into());
        }
        let (answer, answered) = sync_channel(1);
        let job: Job = Box::new(move |bench| {
            // A caller that is gone has no use for the answer; what was done stays done.
            let _ = answer.send(bench.transact(work));
        });
        let jobs = self.jobs.as_ref().ok_or(ControlError::NoWriter)?;
        match jobs.try_send(job) {
            Ok(()) => answered.recv().unwrap_or(Err(ControlError::NoWriter.into())),
            Err(TrySendError::Full(_)) => Err(WriteError::Busy { waiting: self.queue }),
            Err(TrySendError::Disconnected(_)) => Err(ControlError::NoWriter.into()),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        // The last handle may be dropped by a job, which cannot wait for its own thread.
        if let Some(thread) = self.thread.take().filter(|_| !self.is_this_thread()) {
            let _ = thread.join();
        }
    }
}

impl Bench {
    /// One transaction, from its begin to the commit or the rollback.
    fn transact<T, E>(
        &mut self,
        work: impl FnOnce(&mut Write<'_>) -> Result<T, E>,
    ) -> Result<T, WriteError<E>> {
        let now_ms = self.clock.now().unix_ms;
        let begun = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = begun.map_err(ControlError::sqlite("begin a write"))?;
        let mut write = Write::new(&transaction, now_ms);
        // The closure's captures die with it and the database rolls back: nothing half-changed is seen afterwards.
        let done = catch_unwind(AssertUnwindSafe(|| work(&mut write)));
        let value = match done {
            Ok(Ok(value)) => value,
            Ok(Err(refusal)) => {
                drop(transaction);
                return Err(WriteError::Refused(refusal));
            }
            Err(panic) => {
                drop(transaction);
                return Err(WriteError::Panicked { message: message(panic.as_ref()) });
            }
        };
        let grown = write.seal()?;
        transaction.commit().map_err(ControlError::sqlite("commit a write"))?;
        if let Some(generation) = grown {
            self.generation.store(generation, Ordering::Release);
        }
        Ok(value)
    }
}

/// What a panic was given to say.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
