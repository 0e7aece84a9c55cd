//! Learns from the event log what wins and what is clicked: a thread of low priority reads the log as it grows, publishes new
//! tables every few seconds, and keeps what it knows on disk together with its place in the log. A start goes on from there and
//! reads what was written since, so that a crash costs nothing but the time to read it again.
//!
//! Bids and notices are two logs; they are read as one by their times. A notice waits a moment, because the bid that it is of is
//! written a little later.

use super::state::{Phase, Shared};
use crate::config::{Config, YesNo};
use crate::engine::learning::{LearnerOptions, Learning, Markets, OptionsError, Tables, TrainerOptions};
use crate::events::{EventReader, EventsError, Item, LogName};
use crate::model::event::Event;
use crate::model::ids::{ConversionId, LineItemId};
use crate::model::storage::{Storage, replace};
use crate::telemetry::catalogue;
use parking_lot::Mutex;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The log is looked at this often.
const TICK: Duration = Duration::from_millis(250);
/// Bids are in the log so long after they were made, at the latest.
const LAG_MS: i64 = 1_000;
/// Best bids are worked out anew this often …
const REPRICE_MS: i64 = 5_000;
/// … and models are published.
const PUBLISH_MS: i64 = 30_000;
/// Events that are read before anything else is looked at.
const BATCH: usize = 20_000;

const FILE: &str = "learning.v1";
const DRAFT: &str = "learning.tmp";
/// Before the state in the file: the next bid and the next notice to be read.
const PLACES: usize = 16;

/// How it learns.
#[derive(Clone, Copy, Debug)]
pub struct LearningOptions {
    trainer: TrainerOptions,
    remembered: usize,
    save_every_ms: i64,
}

impl LearningOptions {
    /// As configured; `None` = nothing is to be learned.
    pub fn of(config: &Config) -> Option<LearningOptions> {
        let learning = &config.learning;
        let trainer = TrainerOptions::default();
        let bits = learning.bits.clamp(8, 24) as u8;
        (learning.enabled == YesNo::Yes).then(|| LearningOptions {
            trainer: TrainerOptions {
                click: LearnerOptions { bits, ..trainer.click },
                conversion: LearnerOptions { bits: bits.min(trainer.conversion.bits), ..trainer.conversion },
                max_impressions: learning.remembered,
                max_clicks: learning.remembered,
                ..trainer
            },
            remembered: learning.remembered,
            save_every_ms: i64::from(learning.save_every_s) * 1_000,
        })
    }
}

/// See the module.
pub struct Learner(Mutex<Option<Kept>>);

struct Kept {
    learning: Learning,
    options: LearningOptions,
    bids: Tail,
    notices: Tail,
    storage: Box<dyn Storage>,
    /// Since when this process listens; `None` once it has read up to there.
    listens_from_ms: Option<i64>,
    repriced_ms: i64,
    published_ms: i64,
    saved_ms: i64,
    /// Rows of clicks and of conversions that the last models knew.
    published: (u64, u64),
    failed: bool,
}

/// One of the logs, with the event that comes next.
struct Tail {
    reader: EventReader,
    next: Option<(u64, Event)>,
    /// Its end was met: asking again looks into the directory, which costs more than an event of the other log.
    is_dry: bool,
}

impl Tail {
    fn new(events: &Path, log: LogName, from: u64) -> Tail {
        Tail { reader: EventReader::open(&log.dir(events), from), next: None, is_dry: false }
    }

    /// The event that comes next, as far as was written when the end was met first since [`Tail::look_again`].
    fn peek(&mut self) -> Result<Option<&Event>, EventsError> {
        while self.next.is_none() && !self.is_dry {
            match self.reader.next()? {
                Some(Item::Event(number, event)) => self.next = Some((number, event)),
                // What is gone or damaged was reported by who wrote the log; it is not learned.
                Some(Item::Gap(..) | Item::Damaged { .. }) => {}
                None => self.is_dry = true,
            }
        }
        Ok(self.next.as_ref().map(|(_, event)| event))
    }

    /// More may have been written.
    fn look_again(&mut self) {
        self.is_dry = false;
    }

    /// The number of the first record that was not taken.
    fn place(&self) -> u64 {
        self.next.as_ref().map_or_else(|| self.reader.position(), |(number, _)| *number)
    }
}

impl Default for Learner {
    /// One that learns nothing.
    fn default() -> Learner {
        Learner(Mutex::new(None))
    }
}

impl Learner {
    /// The one that is kept in `storage` and reads the logs below `events`; `now_ms` is when this process begins to listen.
    /// What cannot be read there is passed over with a warning: money does not depend on it, and the logs are read again as far
    /// as they go back.
    ///
    /// # Errors
    /// The disk refuses to be read.
    pub fn open(
        storage: Box<dyn Storage>,
        events: &Path,
        options: LearningOptions,
        now_ms: i64,
    ) -> io::Result<Learner> {
        let fresh = || Learning::new(options.trainer, options.remembered);
        let (places, learning) = match load(&*storage, options)? {
            Some((places, learning)) => (places, Ok(learning)),
            None => ((1, 1), fresh()),
        };
        let learning = learning.map_err(|error: OptionsError| io::Error::other(error))?;
        Ok(Learner(Mutex::new(Some(Kept {
            bids: Tail::new(events, LogName::Bids, places.0),
            notices: Tail::new(events, LogName::Notices, places.1),
            listens_from_ms: Some(now_ms),
            published: learning.rows(),
            repriced_ms: i64::MIN,
            published_ms: now_ms,
            saved_ms: now_ms,
            failed: false,
            storage,
            options,
            learning,
        }))))
    }

    /// How likely prices are to win, as far as was learned until now.
    pub fn markets(&self, now_ms: i64) -> Markets {
        self.0.lock().as_mut().map_or_else(Markets::unknown, |kept| kept.learning.win_curves(now_ms))
    }

    /// What serves at the start.
    pub fn tables(&self) -> Tables {
        self.0.lock().as_ref().map_or_else(Tables::default, |kept| kept.learning.tables())
    }
}

/// The tables that were kept in `storage`: those of a server that may be running.
///
/// # Errors
/// The disk refuses to be read.
pub fn kept_tables(storage: &dyn Storage, options: LearningOptions) -> io::Result<Tables> {
    Ok(load(storage, options)?.map_or_else(Tables::default, |(_, learning)| learning.tables()))
}

fn load(storage: &dyn Storage, options: LearningOptions) -> io::Result<Option<((u64, u64), Learning)>> {
    if !storage.list()?.iter().any(|name| name == FILE) {
        return Ok(None);
    }
    let bytes = storage.read(FILE)?;
    let Some((places, state)) = bytes.split_first_chunk::<PLACES>() else {
        tracing::warn!("{FILE} is cut off; what it knew is learned anew");
        return Ok(None);
    };
    let (bids, notices) = places.split_at(8);
    let number = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
    match Learning::import(options.trainer, options.remembered, state) {
        Ok(learning) => Ok(Some(((number(bids), number(notices)), learning))),
        Err(error) => {
            tracing::warn!(%error, "{FILE} is not read; what it knew is learned anew from the event log");
            Ok(None)
        }
    }
}

impl Kept {
    /// Takes up what was written, as one log by time; returns how many events that were.
    fn read(
        &mut self,
        now_ms: i64,
        is_goal: impl Fn(LineItemId, ConversionId) -> bool,
    ) -> Result<usize, EventsError> {
        let mut taken = 0;
        // Who waits a moment misses nothing that is written from here on: it is younger than the moment.
        self.bids.look_again();
        self.notices.look_again();
        while taken < BATCH {
            let bid_ms = self.bids.peek()?.map(|event| event.at_ms);
            let notice_ms = self.notices.peek()?.map(|event| event.at_ms);
            let tail = match (bid_ms, notice_ms) {
                (Some(bid_ms), notice_ms) if notice_ms.is_none_or(|at_ms| bid_ms <= at_ms) => &mut self.bids,
                (_, Some(at_ms)) if at_ms <= now_ms - LAG_MS => &mut self.notices,
                _ => break,
            };
            // It is long, and is not moved.
            let Some((_, event)) = &tail.next else { break };
            listen(&mut self.listens_from_ms, &mut self.learning, event.at_ms);
            self.learning.take(event, &is_goal);
            tail.next = None;
            taken += 1;
        }
        Ok(taken)
    }

    /// Writes the state; the last whole one stays where a write fails.
    fn save(&self) -> io::Result<()> {
        let mut bytes = self.bids.place().to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.notices.place().to_le_bytes());
        bytes.extend_from_slice(&self.learning.export());
        replace(&*self.storage, DRAFT, FILE, &bytes)
    }
}

/// What stayed silent while nobody listened says nothing.
fn listen(from_ms: &mut Option<i64>, learning: &mut Learning, at_ms: i64) {
    if from_ms.is_some_and(|from_ms| at_ms >= from_ms) {
        *from_ms = None;
        learning.forgive_silence();
    }
}

impl Shared {
    /// Reads what was written to the event log since the last call, publishes what was learned of it where it is time, and keeps
    /// it. Returns whether there is more to read at once. Blocks while the disk reads and writes.
    pub fn learn(&self) -> bool {
        let mut kept = self.learner.0.lock();
        let Some(kept) = kept.as_mut() else { return false };
        let now_ms = self.clock.now().unix_ms;
        let catalog = Arc::clone(&self.snapshots.load().catalog);
        let read = kept.read(now_ms, |line_item, conversion| catalog.is_goal(line_item, conversion));
        if let Err(error) = &read {
            tracing::warn!(%error, "the event log cannot be read; nothing is learned of it for now");
        }
        let more = matches!(read, Ok(BATCH..));
        if !more {
            listen(&mut kept.listens_from_ms, &mut kept.learning, now_ms);
            // Notices of the last moment are not read yet.
            kept.learning.advance(now_ms - LAG_MS);
        }
        self.publish_learned(kept, now_ms);
        if now_ms - kept.saved_ms >= kept.options.save_every_ms {
            self.save_learned(kept, now_ms);
        }
        more
    }

    fn publish_learned(&self, kept: &mut Kept, now_ms: i64) {
        let mut news = false;
        if now_ms.saturating_sub(kept.repriced_ms) >= REPRICE_MS {
            kept.repriced_ms = now_ms;
            news |= kept.learning.reprice(now_ms);
        }
        if now_ms - kept.published_ms >= PUBLISH_MS && kept.learning.rows() != kept.published {
            (kept.published_ms, kept.published) = (now_ms, kept.learning.rows());
            let publication = kept.learning.publish_models();
            for (target, verdict) in [("click", &publication.click), ("conversion", &publication.conversion)]
            {
                let outcome = if verdict.accepted { "published" } else { "refused" };
                self.metrics.counter(catalogue::LEARNING_MODELS, &[target, outcome]).increment(1);
            }
            news = true;
        }
        if news {
            self.snapshots.publish_learned(Arc::new(kept.learning.tables()));
            self.snapshots.sweep();
        }
        self.show_learned(&kept.learning);
    }

    fn show_learned(&self, learning: &Learning) {
        let metrics = &self.metrics;
        let outcomes = learning.outcomes();
        for (outcome, count) in [
            ("won", outcomes.won),
            ("lost", outcomes.lost),
            ("silent", outcomes.silent),
            ("left_out", outcomes.left_out),
            ("stranger", outcomes.strangers),
        ] {
            metrics.counter(catalogue::LEARNING_OUTCOMES, &[outcome]).absolute(count);
        }
        let (clicks, conversions) = learning.rows();
        metrics.counter(catalogue::LEARNING_ROWS, &["click"]).absolute(clicks);
        metrics.counter(catalogue::LEARNING_ROWS, &["conversion"]).absolute(conversions);
        metrics.gauge(catalogue::LEARNING_WAITING, &[]).set(learning.waiting() as f64);
        metrics.gauge(catalogue::LEARNING_PLACES, &[]).set(learning.places() as f64);
        if let Some(rate) = learning.joined().join_rate() {
            metrics.gauge(catalogue::LEARNING_JOIN_RATIO, &[]).set(rate);
        }
    }

    fn save_learned(&self, kept: &mut Kept, now_ms: i64) {
        kept.saved_ms = now_ms;
        match kept.save() {
            Ok(()) => kept.failed = false,
            Err(error) if !kept.failed => {
                tracing::error!(%error, "what was learned is not on the disk; a restart reads it from the event log");
                kept.failed = true;
            }
            Err(_) => {}
        }
    }

    /// Keeps what was learned: before the process ends.
    pub fn keep_learned(&self) {
        if let Some(kept) = self.learner.0.lock().as_mut() {
            self.save_learned(kept, self.clock.now().unix_ms);
        }
    }
}

/// Runs until the process closes. Blocks: give it a thread of its own.
pub(super) fn keep_learning(shared: &Shared) {
    if let Err(error) = rustix::process::nice(10) {
        tracing::debug!(%error, "learning goes on at the usual priority");
    }
    while shared.phase() < Phase::Closing {
        if !shared.learn() {
            std::thread::sleep(TICK);
        }
    }
}
