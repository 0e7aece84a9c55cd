//! The writer's thread: takes commands as they come, commits what came while the last commit was syncing, ticks.
//!
//! A part of a budget that a core asks for ahead waits up to 10 ms for others, so that one sync covers them: a core that is
//! busy asks for some hundred a second, each of which would otherwise cost a sync of its own. Nobody waits for these, while
//! a bill, and a core that has nothing left, are never held up.

use super::lease::{Ask, Why};
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

/// How long a part of a budget that was asked for ahead waits for others.
const AHEAD: Duration = Duration::from_millis(10);

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

    /// Does `first` and everything else that waits already, in the order in which it came; returns whether to end.
    fn group(&mut self, first: Command) -> bool {
        let mut ahead = Vec::new();
        let mut urgent = self.first_urgent(first, &mut ahead);
        let now = self.clock.now();
        let mut done = ahead.len();
        for command in ahead {
            must(command.run(&mut self.writer, now));
        }
        while let Some(command) = urgent {
            if matches!(command, Command::End) {
                return true;
            }
            must(command.run(&mut self.writer, now));
            done += 1;
            urgent = (done < MAX_GROUP).then(|| self.receiver.try_recv().ok()).flatten();
        }
        false
    }

    /// Lets what was asked for ahead wait in `ahead`, until something comes that somebody waits for, which is returned, or
    /// until it has waited long enough.
    fn first_urgent(&self, first: Command, ahead: &mut Vec<Command>) -> Option<Command> {
        let due_ns = self.clock.now().mono_ns + AHEAD.as_nanos() as u64;
        let mut next = first;
        loop {
            match next {
                Command::Ask(Ask { why: Why::Low, .. }) if ahead.len() < MAX_GROUP => ahead.push(next),
                urgent => return Some(urgent),
            }
            let left_ns = due_ns.checked_sub(self.clock.now().mono_ns)?;
            next = self.receiver.recv_timeout(Duration::from_nanos(left_ns)).ok()?;
        }
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
