//! The writer thread of both logs, and the handles that records come by.

use super::log::{EventWriter, Opened, Retention};
use super::veil::Veil;
use super::{EventsError, LogName};
use crate::model::clock::Clock;
use crate::model::event::{Event, Kind};
use crate::model::ids::UserKey;
use crossbeam_queue::ArrayQueue;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

/// Rings are emptied at least this often.
const TICK: Duration = Duration::from_millis(20);
/// What has come is written after so long, with all that comes meanwhile: a thread that is woken for each record costs more than the
/// records, on both sides.
const LINGER: Duration = Duration::from_millis(2);
/// Confirmed records that one sync may cover.
const MAX_GROUP: usize = 4_096;
/// What may wait in memory while the disk takes nothing, in bytes; beyond it bids are dropped and notices refused. It
/// is written as one block.
const MAX_WAITING: usize = 8 << 20;
const _: () = assert!(2 * MAX_WAITING <= super::block::MAX_PAYLOAD);
/// What may wait of bills: they come after everything else is refused, because one that is refused holds up all that
/// follow it.
const MAX_BILLS_WAITING: usize = MAX_WAITING + MAX_WAITING / 2;
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

#[allow(clippy::large_enum_variant, reason = "nearly all of them are records")]
enum Command {
    Record(Event, Option<Confirm>),
    Bills(Vec<Event>),
    End,
}

/// What the thread shows.
#[derive(Debug, Default)]
struct Counts {
    written: [AtomicU64; Kind::ALL.len()],
    /// Came to the thread and were not written.
    lost: [AtomicU64; Kind::ALL.len()],
    durable_bill: AtomicU64,
    /// Checkpoints of the ledger's journal that did not wait for the bills.
    overtaken: AtomicU64,
    bytes: [AtomicU64; 2],
    segments: [AtomicU64; 2],
    failed: AtomicBool,
}

/// Both logs, opened, while nothing new is written to them: the moment to write what is missing.
#[derive(Debug)]
pub struct Logs {
    bids: EventWriter,
    notices: EventWriter,
    ring: usize,
    veil: Option<Arc<Veil>>,
}

impl Logs {
    /// Opens both logs below `dir`. Returns what was found in them as well.
    pub fn open(dir: &Path, options: Options) -> Result<(Logs, [Opened; 2]), EventsError> {
        let (bids, found_bids) = EventWriter::open(&LogName::Bids.dir(dir), options.bids)?;
        let (mut notices, found_notices) = EventWriter::open(&LogName::Notices.dir(dir), options.notices)?;
        notices.renew()?;
        Ok((Logs { bids, notices, ring: options.ring, veil: None }, [found_bids, found_notices]))
    }

    /// Covers from now on who records are of.
    pub fn cover_by(&mut self, veil: Veil) {
        let veil = Arc::new(veil);
        self.bids.cover_by(Arc::clone(&veil));
        self.notices.cover_by(Arc::clone(&veil));
        self.veil = Some(veil);
    }

    /// The log that bills belong to.
    pub fn notices(&mut self) -> &mut EventWriter {
        &mut self.notices
    }

    /// Starts the writer of both, with a ring for each of `cores`.
    pub fn start(self, cores: usize, clock: Arc<dyn Clock>) -> std::io::Result<(EventLog, JoinHandle<()>)> {
        let rings: Vec<Ring> =
            (0..cores).map(|_| Ring(Arc::new(ArrayQueue::new(self.ring.max(1))))).collect();
        let (sender, receiver) = std::sync::mpsc::channel();
        let counts = Arc::new(Counts::default());
        counts.durable_bill.store(self.notices.durable_bill(), Relaxed);
        let veil = self.veil;
        let writer = Writer {
            rings: rings.clone(),
            receiver,
            bids: End::of(self.bids),
            notices: End::of(self.notices),
            counts: Arc::clone(&counts),
            clock,
            confirms: Vec::new(),
            behind: false,
        };
        let thread = std::thread::Builder::new().name("events".to_owned()).spawn(move || writer.run())?;
        Ok((EventLog { rings, sender, counts, veil }, thread))
    }
}

/// The handle by which the ledger hands on its bills.
#[derive(Clone, Debug)]
pub struct Bills {
    sender: Sender<Command>,
    counts: Arc<Counts>,
}

impl Bills {
    /// Records bills, in the order of the ledger's journal over all calls. They are with the system at once, and durable
    /// within about a second. From one that cannot be kept on none is, until a start writes them from the journal.
    pub fn record(&self, bills: Vec<Event>) {
        if let Err(std::sync::mpsc::SendError(Command::Bills(bills))) =
            self.sender.send(Command::Bills(bills))
        {
            bills.iter().for_each(|bill| self.counts.lose(bill.what.kind(), 1));
        }
    }

    /// The last bill that is durable, as a record of the ledger's journal.
    pub fn durable(&self) -> u64 {
        self.counts.durable_bill.load(Relaxed)
    }

    /// Counts a checkpoint that did not wait.
    pub fn overtaken(&self) {
        self.counts.overtaken.fetch_add(1, Relaxed);
    }
}

/// The handle of the event log; shared by all threads.
#[derive(Debug)]
pub struct EventLog {
    rings: Vec<Ring>,
    sender: Sender<Command>,
    counts: Arc<Counts>,
    veil: Option<Arc<Veil>>,
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
        let (logs, found) = Logs::open(dir, options)?;
        let (log, thread) = logs.start(cores, clock).map_err(super::on("start the writer thread of", dir))?;
        Ok((log, found, thread))
    }

    /// A handle for the ledger.
    pub fn bills(&self) -> Bills {
        Bills { sender: self.sender.clone(), counts: Arc::clone(&self.counts) }
    }

    /// The ring of a serving core.
    ///
    /// # Panics
    /// Where there is no such core.
    pub fn ring(&self, core: usize) -> Ring {
        self.rings[core].clone()
    }

    /// Records a notice. `confirm` is called with `true` when it is durable, with `false` when it is not kept. Without
    /// it nobody waits: the record is with the system within milliseconds, and durable within about a second.
    pub fn record(&self, event: Event, confirm: Option<Confirm>) {
        let sent = self.sender.send(Command::Record(event, confirm));
        if let Err(std::sync::mpsc::SendError(Command::Record(event, confirm))) = sent {
            self.counts.lose(event.what.kind(), 1);
            confirm.into_iter().for_each(|confirm| confirm(false));
        }
    }

    /// Makes it impossible to tell which records were of these people, durably; see [`Veil`]. Without a veil the log has
    /// no keys to destroy, and names people until its records are too old.
    pub fn forget(&self, users: &[UserKey]) -> Result<(), EventsError> {
        self.veil.as_ref().map_or(Ok(()), |veil| veil.forget(users))
    }

    /// The name of a person in records that are written now; their key where the log has no veil.
    pub fn cover(&self, user: UserKey) -> UserKey {
        self.veil.as_ref().map_or(user, |veil| veil.cover(user))
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

    /// How many records of each kind came and were not written: a log had failed, or its disk was full for too long.
    /// Together with those that were written and those that a full ring dropped, they are all that came. Bills among them
    /// are written from the ledger's journal at the next start.
    pub fn lost(&self) -> impl Iterator<Item = (Kind, u64)> + '_ {
        Kind::ALL.into_iter().zip(self.counts.lost.iter().map(|count| count.load(Relaxed)))
    }

    /// Checkpoints of the ledger's journal that did not wait for the bills before them.
    pub fn overtaken(&self) -> u64 {
        self.counts.overtaken.load(Relaxed)
    }

    /// The size of a log in bytes, and how many segments it has.
    pub fn size(&self, log: LogName) -> (u64, u64) {
        (self.counts.bytes[log as usize].load(Relaxed), self.counts.segments[log as usize].load(Relaxed))
    }

    /// Whether a log gave up, because a sync or a removal failed: nothing more is kept in it until a restart. Also when
    /// bills alone are not kept any more.
    pub fn is_failed(&self) -> bool {
        self.counts.failed.load(Relaxed)
    }
}

impl Counts {
    fn lose(&self, kind: Kind, count: u64) {
        self.lost[kind as usize].fetch_add(count, Relaxed);
    }
}

/// The writing end of a log, until something happens after which nothing is known of its files.
struct End {
    log: EventWriter,
    failed: bool,
    /// Records that wait for a flush, by kind.
    waiting: [u64; Kind::ALL.len()],
}

impl End {
    fn of(log: EventWriter) -> End {
        End { log, failed: false, waiting: [0; Kind::ALL.len()] }
    }

    fn append(&mut self, event: &Event) {
        self.log.append(event);
        self.waiting[event.what.kind() as usize] += 1;
    }

    /// Hands what waits to the system, and counts it.
    fn flush(&mut self, counts: &Counts) -> Result<(), EventsError> {
        self.log.flush()?;
        for (waited, written) in self.waiting.iter_mut().zip(&counts.written) {
            written.fetch_add(std::mem::take(waited), Relaxed);
        }
        Ok(())
    }

    fn give_up(&mut self, error: &EventsError, counts: &Counts) {
        for (kind, waited) in Kind::ALL.into_iter().zip(&mut self.waiting) {
            counts.lose(kind, std::mem::take(waited));
        }
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
    /// A bill was not kept, so none is that follows it.
    behind: bool,
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
        std::thread::sleep(LINGER);
        while let Some(command) = next {
            match command {
                Command::Record(event, confirm) => self.take_notice(&event, confirm),
                Command::Bills(bills) => bills.iter().for_each(|bill| self.take_bill(bill)),
                Command::End => return true,
            }
            group += 1;
            next = (group < MAX_GROUP).then(|| self.receiver.try_recv().ok()).flatten();
        }
        false
    }

    fn take_notice(&mut self, event: &Event, confirm: Option<Confirm>) {
        if self.notices.failed || self.notices.log.waiting_bytes() > MAX_WAITING {
            self.counts.lose(event.what.kind(), 1);
            confirm.into_iter().for_each(|confirm| confirm(false));
        } else {
            self.notices.append(event);
            self.confirms.extend(confirm);
        }
    }

    fn take_bill(&mut self, bill: &Event) {
        if self.notices.log.waiting_bytes() > MAX_BILLS_WAITING && !std::mem::replace(&mut self.behind, true)
        {
            tracing::error!("the disk of the event log is full: no bill is kept there until a restart");
        }
        if self.behind || self.notices.failed {
            self.counts.lose(bill.what.kind(), 1);
        } else {
            self.notices.append(bill);
        }
    }

    /// Writes the notices that wait, syncs them where somebody waits for one, and confirms those. Where the disk is
    /// full they go on waiting.
    fn commit(&mut self) {
        if self.notices.failed {
            return;
        }
        let done = match self.notices.flush(&self.counts) {
            Ok(()) if self.confirms.is_empty() => Ok(true),
            Ok(()) => self.notices.log.sync().map(|()| true),
            Err(error) if error.source.kind() == std::io::ErrorKind::StorageFull => Ok(false),
            Err(error) => Err(error),
        };
        match done {
            Ok(true) => self.confirms.drain(..).for_each(|confirm| confirm(true)),
            Ok(false) => {}
            Err(error) => {
                self.notices.give_up(&error, &self.counts);
                self.confirms.drain(..).for_each(|confirm| confirm(false));
            }
        }
    }

    fn sync_notices(&mut self) {
        if !self.notices.failed
            && let Err(error) = self.notices.log.sync()
        {
            self.notices.give_up(&error, &self.counts);
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
                    self.counts.lose(event.what.kind(), 1);
                    continue;
                }
                self.bids.append(&event);
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
        match self.bids.flush(&self.counts) {
            Err(error) if error.source.kind() != std::io::ErrorKind::StorageFull => {
                self.bids.give_up(&error, &self.counts);
            }
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
        if !self.notices.failed {
            self.counts.durable_bill.store(self.notices.log.durable_bill(), Relaxed);
        }
        for (at, end) in [&self.bids, &self.notices].into_iter().enumerate() {
            self.counts.bytes[at].store(end.log.bytes(), Relaxed);
            self.counts.segments[at].store(end.log.segments() as u64, Relaxed);
        }
        self.counts.failed.store(self.bids.failed || self.notices.failed || self.behind, Relaxed);
    }

    fn close(&mut self) {
        for end in [&mut self.bids, &mut self.notices] {
            let ended =
                if end.failed { Ok(()) } else { end.flush(&self.counts).and_then(|()| end.log.sync()) };
            if let Err(error) = ended {
                tracing::error!(%error, "the last events are not kept");
                end.give_up(&error, &self.counts);
            }
        }
        self.confirms.drain(..).for_each(|confirm| confirm(false));
    }
}
