//! The writer's thread: takes commands as they come, commits what came while the last commit was syncing, ticks.

use super::ledger::{Command, Signals, after_commit, must};
use super::writer::{CommitError, LedgerWriter};
use crate::model::clock::Clock;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// How often the writer does its periodic work.
const TICK: Duration = Duration::from_millis(50);
/// Commands that one commit may cover.
const MAX_GROUP: usize = 4_096;

/// See the module.
pub(super) struct WriterThread {
    pub(super) writer: LedgerWriter,
    pub(super) receiver: Receiver<Command>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) signals: Arc<Signals>,
}

impl WriterThread {
    /// Runs until [`Command::End`] or until nobody can send any more.
    pub(super) fn run(mut self) {
        let mut next_tick_ns = 0;
        loop {
            let ends = match self.receiver.recv_timeout(TICK) {
                Ok(first) => self.group(first),
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            let now = self.clock.now();
            let ticks = now.mono_ns >= next_tick_ns || ends;
            if ticks {
                next_tick_ns = now.mono_ns + TICK.as_nanos() as u64;
                let expired = must(self.writer.tick(now));
                self.signals.expired.fetch_add(expired, Relaxed);
            }
            if ends {
                must(self.writer.close());
            }
            self.commit();
            if ticks {
                self.maintain(if ends { 1 } else { self.writer.checkpoint_after_bytes() });
            }
            if ends {
                return;
            }
        }
    }

    /// Does `first` and everything else that waits already; returns whether to end.
    fn group(&mut self, first: Command) -> bool {
        let now = self.clock.now();
        let mut next = Some(first);
        let mut done = 0;
        while let Some(command) = next {
            if matches!(command, Command::End) {
                return true;
            }
            must(command.run(&mut self.writer, now));
            done += 1;
            next = (done < MAX_GROUP).then(|| self.receiver.try_recv().ok()).flatten();
        }
        false
    }

    fn commit(&mut self) {
        if self.writer.is_dirty() {
            after_commit(self.writer.commit());
        }
        self.signals.full.store(self.writer.is_full(), Relaxed);
    }

    fn maintain(&mut self, after_bytes: u64) {
        match self.writer.maintain(after_bytes) {
            Ok(()) => {}
            Err(CommitError::Broken(violation)) => super::broken(violation.invariant, &violation.detail),
            Err(error) => tracing::warn!(%error, "no checkpoint was written; the journal goes on growing"),
        }
        self.signals.full.store(self.writer.is_full(), Relaxed);
    }
}
