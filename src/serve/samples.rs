//! The sampled requests: which of them are kept is decided on the cores, everything else on the thread that keeps the funnel.
//!
//! People are chosen, by a hash of who they are; where nobody can be told, or the request forbids to, requests by their ids.
//! On a core this costs a hash and a comparison, and of those that are chosen a copy into a buffer that is there already. A moment
//! later the request is decided once more with a recorder, what names the person is taken out of it, and what is left
//! goes to [`Samples`].
//!
//! Invariant: nothing that names a person reaches the disk; whoever is forgotten is forgotten in what waits as well.

use super::buffers::{Buffers, LeftOut};
use super::state::Shared;
use crate::config;
use crate::engine::{self, BidIds, Catalog, Core, Explanation, Request};
use crate::exchange;
use crate::model::auction::Auction;
use crate::model::clock::Now;
use crate::model::ids::{ExchangeId, LineItemId, UserKey};
use crate::model::money::Cpm;
use crate::model::no_bid::NoBidReason;
use crate::model::sample::SampledRequest;
use crate::model::storage::Storage;
use crate::samples::{Found, Query, Rate, Record, Samples, SamplesError};
use crate::telemetry::catalogue;
use bumpalo::Bump;
use foldhash::quality::FixedState;
use parking_lot::Mutex;
use std::hash::BuildHasher;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Requests that may wait to be looked at, …
const BUFFERS: usize = 32;
/// … each no longer than this.
const BUFFER_BYTES: usize = 64 << 10;
/// Keeps the choice apart from other draws by who somebody is.
const SALT: u64 = 0x7361_6D70_6C65_0000;
/// Requests are looked at for so long in every tick; the rest waits for the next one.
const PATIENCE: Duration = Duration::from_millis(8);

/// See the module.
pub struct SampleLog {
    store: Mutex<Samples>,
    /// Held while requests are on their way from a buffer to the store, so that nobody is forgotten in between.
    at_work: Mutex<()>,
    buffers: Buffers<Chosen>,
    rate: Mutex<Rate>,
    /// Chosen are those whose hash has none of these bits: one less than what a request stands for.
    mask: AtomicU64,
    too_long: AtomicU64,
    no_buffer: AtomicU64,
}

/// What is known of a request that waits.
struct Chosen {
    protobuf: bool,
    exchange: ExchangeId,
    now: Now,
    one_in: u32,
}

impl Default for SampleLog {
    /// One that keeps nothing, and chooses nobody.
    fn default() -> SampleLog {
        SampleLog::of(Samples::none(), Rate::new(1, 1))
    }
}

impl SampleLog {
    /// The one that is kept in `storage`.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn open(
        storage: Box<dyn Storage>,
        config: &config::Samples,
        now: Now,
    ) -> Result<SampleLog, SamplesError> {
        if config.per_second == 0 {
            return Ok(SampleLog::default());
        }
        let samples = Samples::open(storage, config.keep_bytes, now.unix_s())?;
        Ok(SampleLog::of(samples, Rate::new(config.per_second, config.min_one_in)))
    }

    fn of(samples: Samples, rate: Rate) -> SampleLog {
        let mask = if samples.is_kept() { u64::from(rate.one_in()) - 1 } else { u64::MAX };
        SampleLog {
            store: Mutex::new(samples),
            at_work: Mutex::default(),
            buffers: Buffers::new(BUFFERS, BUFFER_BYTES),
            rate: Mutex::new(rate),
            mask: AtomicU64::new(mask),
            too_long: AtomicU64::default(),
            no_buffer: AtomicU64::default(),
        }
    }

    /// Takes a request that was decided into the sample, if it is one of those that are. Allocates nothing.
    pub(super) fn offer(
        &self,
        person: Option<UserKey>,
        auction: &Auction<'_>,
        (body, protobuf): (&[u8], bool),
        exchange: ExchangeId,
        now: Now,
    ) {
        let hasher = FixedState::with_seed(SALT);
        let hash = match person {
            Some(person) => hasher.hash_one(person.0),
            None => hasher.hash_one(auction.id),
        };
        let mask = self.mask.load(Relaxed);
        if hash & mask != 0 || mask == u64::MAX || auction.test {
            return;
        }
        let one_in = (mask + 1) as u32;
        match self.buffers.put(body, Chosen { protobuf, exchange, now, one_in }) {
            Ok(()) => {}
            Err(LeftOut::TooLong) => {
                self.too_long.fetch_add(1, Relaxed);
            }
            Err(LeftOut::NoBuffer) => {
                self.no_buffer.fetch_add(1, Relaxed);
            }
        }
    }

    /// Erases again, from an older copy that was put back, whoever was erased at these Unix seconds. Returns how many records went.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn erase_again(&self, erased: Vec<(UserKey, i64)>, now: Now) -> Result<u64, SamplesError> {
        // Nothing is kept longer, by more than an hour.
        const KEPT_S: i64 = 8 * 86_400;
        let is_new = |at_s: i64| at_s > now.unix_s() - KEPT_S;
        let people: Vec<UserKey> =
            erased.into_iter().filter(|(_, at_s)| is_new(*at_s)).map(|(key, _)| key).collect();
        self.erase(&people)
    }

    /// Erases people who were forgotten, from what waits as well as from the disk. Returns how many records went.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn erase(&self, people: &[UserKey]) -> Result<u64, SamplesError> {
        let _nobody_else = self.at_work.lock();
        // Whose these are is not known before they are decided. There are few, and others come.
        self.buffers.discard();
        self.store.lock().erase(people)
    }
}

/// Takes requests from the buffers to the store.
pub(super) struct Keeper {
    core: Core,
    arena: Bump,
}

impl Keeper {
    /// One with nothing in hand.
    pub(super) fn new(shared: &Shared) -> Keeper {
        Keeper { core: Core::new(BidIds::new(shared.ledger.epoch(), u16::MAX)), arena: Bump::new() }
    }

    /// Keeps what was chosen so far, as far as there is time, and says how many are to be chosen from now on.
    pub(super) fn look(&mut self, shared: &Shared) -> Result<(), SamplesError> {
        let log = &shared.samples;
        let until_ns = shared.clock.mono_ns() + PATIENCE.as_nanos() as u64;
        let lost = |why: &'static str, count: u64| {
            if count > 0 {
                shared.metrics.counter(catalogue::SAMPLES_LEFT_OUT, &[why]).increment(count);
            }
        };
        let nobody_else = log.at_work.lock();
        let (mut came, mut records) = (0, Vec::new());
        // What there is no time for waits for the next look.
        while came < log.buffers.count() as u64
            && (came == 0 || shared.clock.mono_ns() < until_ns)
            && let Some((body, chosen)) = log.buffers.take()
        {
            came += 1;
            records.extend(self.record(shared, &body, &chosen));
            log.buffers.give_back(body);
        }
        lost("unreadable", came - records.len() as u64);
        let mut store = log.store.lock();
        let asked = records.len() as u64;
        let kept = store.append(records);
        let room = store.room();
        drop((store, nobody_else));
        let (no_buffer, too_long) = (log.no_buffer.swap(0, Relaxed), log.too_long.swap(0, Relaxed));
        lost("no_buffer", no_buffer);
        lost("too_long", too_long);
        lost("no_room", asked - *kept.as_ref().unwrap_or(&0));
        let mut rate = log.rate.lock();
        rate.tick(came + no_buffer, no_buffer);
        if log.mask.load(Relaxed) != u64::MAX {
            log.mask.store(u64::from(rate.one_in()) - 1, Relaxed);
        }
        let metrics = &shared.metrics;
        metrics.counter(catalogue::SAMPLES_KEPT, &[]).increment(*kept.as_ref().unwrap_or(&0));
        metrics.gauge(catalogue::SAMPLES_BYTES, &[]).set(room.bytes as f64);
        metrics.gauge(catalogue::SAMPLES_DAMAGED, &[]).set(room.damaged as f64);
        metrics.gauge(catalogue::SAMPLES_ONE_IN, &[]).set(f64::from(rate.one_in()));
        kept.map(drop)
    }

    /// A request as it is kept.
    fn record(&mut self, shared: &Shared, body: &[u8], chosen: &Chosen) -> Option<Record> {
        self.arena.reset();
        let snapshot = shared.snapshots.load();
        let profile = snapshot.catalog.exchange_by_id(chosen.exchange)?;
        let limits = shared.limits.load().inflated();
        let auction = exchange::parse_either(body, chosen.protobuf, &limits, &self.arena).ok()?;
        let request = Request {
            auction: &auction,
            profile,
            snapshot: &snapshot,
            audience: shared.audience(),
            remembered: None,
            frequency: Some(&shared.frequency),
            id_key: shared.id_key(),
            settings: &shared.settings,
            now: chosen.now,
            arena: &self.arena,
        };
        let mut told = engine::explain_some(&request, &mut self.core, &shared.ledger, &|_| false);
        // Who was not looked up before the request was refused was chosen by the request's id, as nobody.
        let person = self.core.person().map(|person| shared.samples.store.lock().cover(person));
        engine::recognise(&request, &mut self.core, &mut told);
        let body = clean(&snapshot.catalog, body, chosen.protobuf)?;
        let arena = Bump::new();
        // A list of identifiers over its limit is a fault of the request, and gone with them.
        let kept = exchange::parse_either(&body, chosen.protobuf, &limits, &arena)
            .ok()
            .filter(|kept| kept.fault == auction.fault)?;
        let place = kept.channel.inventory().and_then(|at| at.bundle.or(at.domain));
        let place = place.map(|place| place.trim().to_lowercase()).filter(|place| !place.is_empty());
        let id = auction.id.to_owned();
        let request = SampledRequest {
            at_ms: chosen.now.unix_ms,
            exchange: chosen.exchange,
            one_in: chosen.one_in,
            person,
            permissions: self.core.last_permissions.map_or(0, |permissions| permissions.bits()),
            known: told.user_known,
            segments: told.found_segments(),
            refused: told.refused.clone(),
            protobuf: chosen.protobuf,
            outcome: outcome(&told),
            body,
        };
        Some(Record { request, id, place, number: 0 })
    }
}

/// A body without what names the person. Blocks of addresses stay where some rule reads addresses.
fn clean(catalog: &Catalog, body: &[u8], protobuf: bool) -> Option<Vec<u8>> {
    exchange::sanitise(body, protobuf, catalog.reads_addresses())
}

fn outcome(told: &Explanation) -> Result<Vec<(LineItemId, Cpm)>, NoBidReason> {
    match told.no_bid {
        Some(reason) => Err(reason),
        None => Ok(told.bids.iter().map(|bid| (bid.line_item, bid.price)).collect()),
    }
}

impl Shared {
    /// The sampled requests.
    pub fn sample_log(&self) -> &SampleLog {
        &self.samples
    }

    /// The sampled requests that are looked for, up to the last second.
    pub fn samples(&self, query: &Query) -> Found {
        let hours = self.samples.store.lock().hours(query.from_ms, query.until_ms);
        query.run(&hours, |start_s| self.samples.store.lock().read(start_s))
    }

    /// Shows the sampled requests of a time in Unix milliseconds, the newest first, until `visit` breaks off. Others go on meanwhile.
    pub fn sampled(
        &self,
        from_ms: i64,
        until_ms: i64,
        visit: &mut dyn FnMut(SampledRequest) -> ControlFlow<()>,
    ) {
        let hours = self.samples.store.lock().hours(from_ms, until_ms);
        for start_s in hours {
            let part = self.samples.store.lock().read(start_s);
            for record in part.iter().flat_map(|part| part.newest_first()) {
                let is_asked = (from_ms..until_ms).contains(&record.request.at_ms);
                if is_asked && visit(record.request).is_break() {
                    return;
                }
            }
        }
    }

    /// Keeps what was chosen for the sample so far, as the thread of the funnel does every second; for tests.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn keep_samples(&self) -> Result<(), SamplesError> {
        Keeper::new(self).look(self)
    }

    /// Makes the sample durable, and forgets what is too old.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn save_samples(&self) -> Result<(), SamplesError> {
        let store = &mut *self.samples.store.lock();
        store.tidy(self.clock.now().unix_s()).and(store.sync())
    }
}
