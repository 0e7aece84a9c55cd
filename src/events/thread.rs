//! The writer thread of both logs, and the handles that records come by.

use super::log::{EventWriter, Opened, Retention};
use super::{EventsError, LogName};
use crate::model::clock::Clock;
use crate::model::event::{Event, Kind};
use crossbeam_queue::ArrayQueue;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

/// Rings are emptied at least this often.
const TICK: Duration = Duration::from_millis(20);
/// Confirmed records that one sync may cover.
const MAX_GROUP: usize = 4_096;
/// What may wait in memory while the disk takes nothing, in bytes; beyond it bids are dropped and notices refused. It
/// is written as one block.
const MAX_WAITING: usize = 8 << 20;
const _: () = assert!(2 * MAX_WAITING <= super::block::MAX_PAYLOAD);
/// A block of bids is written when it is this long, so that a reader holds little at once.
const BLOCK: usize = 1 << 20;
/// Notices whose record nobody waits for are synced every so many ticks.
const TICKS_PER_SYNC: u64 = 50;
/// Ages and sizes are looked at every so many ticks.
const TICKS_PER_RETENTION: u64 = 500;

/// Called once it is known whether a record survives; by the writer thread, which it must not hold up.
pub type Confirm = Box<dyn FnOnce(bool) + Send>;

/// How events are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Of bids and no-bids.
    pub bids: Retention,
    /// Of notices.
    pub notices: Retention,
    /// Records that a ring has room for.
    pub ring: usize,
}

/// The ring of one serving core.
#[derive(Clone, Debug)]
pub struct Ring(Arc<ArrayQueue<Event>>);

impl Ring {
    /// Never waits: `false` = the ring is full, and the record is dropped.
    pub fn push(&self, event: Event) -> bool {
        self.0.push(event).is_ok()
    }
}

enum Command {
    Record(Event, Option<Confirm>),
    End,
}

/// Counts of one kind of record.
#[derive(Debug, Default)]
struct Counts {
    written: [AtomicU64; Kind::ALL.len()],
    bytes: [AtomicU64; 2],
    segments: [AtomicU64; 2],
    failed: AtomicBool,
}

/// The handle of the event log; shared by all threads.
#[derive(Debug)]
pub struct EventLog {
    rings: Vec<Ring>,
    sender: Sender<Command>,
    counts: Arc<Counts>,
}

impl EventLog {
    /// Opens both logs below `dir` and starts their writer, with a ring for each of `cores`. Returns what was found in
    /// them as well.
    pub fn start(
        dir: &Path,
        options: Options,
        cores: usize,
        clock: Arc<dyn Clock>,
    ) -> Result<(EventLog, [Opened; 2], JoinHandle<()>), EventsError> {
        let (bids, found_bids) = EventWriter::open(&LogName::Bids.dir(dir), options.bids)?;
        let (notices, found_notices) = EventWriter::open(&LogName::Notices.dir(dir), options.notices)?;
        let rings: Vec<Ring> =
            (0..cores).map(|_| Ring(Arc::new(ArrayQueue::new(options.ring.max(1))))).collect();
        let (sender, receiver) = std::sync::mpsc::channel();
        let counts = Arc::new(Counts::default());
        let writer = Writer {
            rings: rings.clone(),
            receiver,
            bids: End { log: bids, failed: false },
            notices: End { log: notices, failed: false },
            counts: Arc::clone(&counts),
            clock,
            confirms: Vec::new(),
        };
        let thread = std::thread::Builder::new().name("events".to_owned()).spawn(move || writer.run());
        let thread = thread.map_err(super::on("start the writer thread of", dir))?;
        Ok((EventLog { rings, sender, counts }, [found_bids, found_notices], thread))
    }

    /// The ring of a serving core.
    ///
    /// # Panics
    /// Where there is no such core.
    pub fn ring(&self, core: usize) -> Ring {
        self.rings[core].clone()
    }

    /// Records a notice. `confirm` is called with `true` when it is durable, with `false` when it is not kept. Without
    /// it nobody waits: the record is with the system at once, and durable within about a second.
    pub fn record(&self, event: Event, confirm: Option<Confirm>) {
        let sent = self.sender.send(Command::Record(event, confirm));
        if let Err(std::sync::mpsc::SendError(Command::Record(_, Some(confirm)))) = sent {
            confirm(false);
        }
    }

    /// Ends the writer once everything that came before is written.
    pub fn end(&self) {
        // It may have ended already.
        let _gone = self.sender.send(Command::End);
    }

    /// How many records of each kind were written since the start, in the order of [`Kind::ALL`].
    pub fn written(&self) -> impl Iterator<Item = (Kind, u64)> + '_ {
        Kind::ALL.into_iter().zip(self.counts.written.iter().map(|count| count.load(Relaxed)))
    }

    /// The size of a log in bytes, and how many segments it has.
    pub fn size(&self, log: LogName) -> (u64, u64) {
        (self.counts.bytes[log as usize].load(Relaxed), self.counts.segments[log as usize].load(Relaxed))
    }

    /// Whether a log gave up, because a sync or a removal failed: nothing more is kept in it until a restart.
    pub fn is_failed(&self) -> bool {
        self.counts.failed.load(Relaxed)
    }
}

/// The writing end of a log, until something happens after which nothing is known of its files.
struct End {
    log: EventWriter,
    failed: bool,
}

impl End {
    fn give_up(&mut self, error: &EventsError) {
        if !std::mem::replace(&mut self.failed, true) {
            tracing::error!(%error, "the event log keeps nothing more; restart when the disk is well");
        }
    }
}

struct Writer {
    rings: Vec<Ring>,
    receiver: Receiver<Command>,
    bids: End,
    notices: End,
    counts: Arc<Counts>,
    clock: Arc<dyn Clock>,
    /// Of notices that are not synced yet.
    confirms: Vec<Confirm>,
}

impl Writer {
    fn run(mut self) {
        let mut ticks = 0u64;
        let mut next_tick_ns = 0;
        loop {
            let ends = match self.receiver.recv_timeout(TICK) {
                Ok(first) => self.group(first),
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            self.commit();
            let now = self.clock.now();
            if now.mono_ns >= next_tick_ns || ends {
                next_tick_ns = now.mono_ns + TICK.as_nanos() as u64;
                self.drain();
                if ticks.is_multiple_of(TICKS_PER_SYNC) {
                    self.sync_notices();
                }
                if ticks.is_multiple_of(TICKS_PER_RETENTION) || ends {
                    self.retain(now.unix_ms);
                }
                ticks += 1;
                self.show();
            }
            if ends {
                self.close();
                return;
            }
        }
    }

    /// Takes what has come; whether to end.
    fn group(&mut self, first: Command) -> bool {
        let (mut next, mut group) = (Some(first), 0);
        while let Some(Command::Record(event, confirm)) = next {
            if self.notices.failed || self.notices.log.waiting_bytes() > MAX_WAITING {
                confirm.into_iter().for_each(|confirm| confirm(false));
            } else {
                self.append(LogName::Notices, &event);
                self.confirms.extend(confirm);
            }
            group += 1;
            next = (group < MAX_GROUP).then(|| self.receiver.try_recv().ok()).flatten();
        }
        matches!(next, Some(Command::End))
    }

    fn append(&mut self, log: LogName, event: &Event) {
        let end = match log {
            LogName::Bids => &mut self.bids,
            LogName::Notices => &mut self.notices,
        };
        end.log.append(event);
        self.counts.written[event.what.kind() as usize].fetch_add(1, Relaxed);
    }

    /// Writes the notices that wait, syncs them where somebody waits for one, and confirms those. Where the disk is
    /// full they go on waiting.
    fn commit(&mut self) {
        if self.notices.failed {
            return;
        }
        let done = match self.notices.log.flush() {
            Ok(()) if self.confirms.is_empty() => Ok(true),
            Ok(()) => self.notices.log.sync().map(|()| true),
            Err(error) if error.source.kind() == std::io::ErrorKind::StorageFull => Ok(false),
            Err(error) => Err(error),
        };
        match done {
            Ok(true) => self.confirms.drain(..).for_each(|confirm| confirm(true)),
            Ok(false) => {}
            Err(error) => {
                self.notices.give_up(&error);
                self.confirms.drain(..).for_each(|confirm| confirm(false));
            }
        }
    }

    fn sync_notices(&mut self) {
        if !self.notices.failed
            && let Err(error) = self.notices.log.sync()
        {
            self.notices.give_up(&error);
        }
    }

    /// Empties the rings and hands their records to the system.
    fn drain(&mut self) {
        for at in 0..self.rings.len() {
            let ring = self.rings[at].clone();
            // What comes meanwhile is for the next time, or a busy core could keep this up for ever.
            for _ in 0..ring.0.len() {
                let Some(event) = ring.0.pop() else { break };
                if self.bids.failed || self.bids.log.waiting_bytes() > MAX_WAITING {
                    continue;
                }
                self.append(LogName::Bids, &event);
                if self.bids.log.waiting_bytes() >= BLOCK {
                    self.flush_bids();
                }
            }
        }
        self.flush_bids();
    }

    fn flush_bids(&mut self) {
        if self.bids.failed {
            return;
        }
        match self.bids.log.flush() {
            Err(error) if error.source.kind() != std::io::ErrorKind::StorageFull => self.bids.give_up(&error),
            _ => {}
        }
    }

    fn retain(&mut self, now_ms: i64) {
        for end in [&mut self.bids, &mut self.notices] {
            if let Err(error) = end.log.retain(now_ms) {
                tracing::warn!(%error, "old events were not removed");
            }
        }
    }

    fn show(&self) {
        for (at, end) in [&self.bids, &self.notices].into_iter().enumerate() {
            self.counts.bytes[at].store(end.log.bytes(), Relaxed);
            self.counts.segments[at].store(end.log.segments() as u64, Relaxed);
        }
        self.counts.failed.store(self.bids.failed || self.notices.failed, Relaxed);
    }

    fn close(&mut self) {
        for end in [&mut self.bids, &mut self.notices] {
            let ended = if end.failed { Ok(()) } else { end.log.flush().and_then(|()| end.log.sync()) };
            if let Err(error) = ended {
                tracing::error!(%error, "the last events are not kept");
            }
        }
        self.confirms.drain(..).for_each(|confirm| confirm(false));
    }
}
