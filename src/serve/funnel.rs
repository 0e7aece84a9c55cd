//! The funnel of a running server: the tables that its cores count in, emptied every second into minutes, hours and days; and the
//! sample that says why line items were not found.
//!
//! One request in 256 is in the sample, chosen by its id. Cores copy its bytes into buffers that are there already, and where none is
//! free it is left out; it is looked at a moment later by a thread of low priority, for two milliseconds of each second: where one
//! look at an account of many line items takes longer, there are fewer looks. So the sample costs the same however many requests
//! come and line items there are, and every estimate says from how many it is made.

use super::buffers::Buffers;
use super::health::Hour;
use super::samples::Keeper;
use super::state::{Phase, Shared};
use crate::engine::funnel::{Table, Writer};
use crate::engine::{self, BidIds, Catalog, Core, Request};
use crate::exchange;
use crate::funnel::{Funnel, FunnelError, Span, Step, Whose, joined};
use crate::model::clock::Now;
use crate::model::funnel::{After, Counted, Ends, Followed, Sample};
use crate::model::ids::{ExchangeId, LineItemId};
use crate::model::money::Nanos;
use crate::model::storage::Storage;
use crate::model::token::TokenClaims;
use crate::telemetry::catalogue;
use bumpalo::Bump;
use foldhash::quality::FixedState;
use parking_lot::Mutex;
use std::hash::BuildHasher;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// The sample is looked at this often …
const TICK: Duration = Duration::from_millis(1_000);
/// (a stop waits for a part of that) …
const SLICES: u32 = 10;
/// … the tables are emptied every so many ticks, when a minute is over, and whenever somebody asks …
const TICKS_PER_COUNT: u64 = 10;
/// … and the minute at hand is written this often, in ticks: a crash costs what came since.
const TICKS_PER_SAVE: u64 = 10;
/// One request in so many is in the sample.
const ONE_IN: u64 = 256;
/// Keeps the choice of the sample apart from other draws by a request's id.
const SALT: u64 = 0x6675_6E6E_656C_0000;
/// Requests of the sample that may wait to be looked at, …
const BUFFERS: usize = 16;
/// … each no longer than this.
const BUFFER_BYTES: usize = 64 << 10;
/// The sample is looked at for so long in every tick, over time.
const PATIENCE: Duration = Duration::from_millis(2);

/// See the module.
pub struct Funnels {
    /// One for each catalog that a core may still serve from.
    tables: Mutex<Vec<Arc<Table>>>,
    kept: Mutex<Funnel>,
    /// What came after bids since it was taken up last.
    followed: Mutex<Followed>,
    /// What health was judged by last.
    pub(super) health: Mutex<Option<Arc<Hour>>>,
    samples: Buffers<Sampled>,
}

impl Default for Funnels {
    /// One that is not kept over a restart.
    fn default() -> Funnels {
        Funnels::of(Funnel::in_memory())
    }
}

impl Funnels {
    /// The one that is kept in `storage`.
    ///
    /// # Errors
    /// The disk refuses to be listed.
    pub fn open(storage: Box<dyn Storage>) -> Result<Funnels, FunnelError> {
        Funnel::open(storage).map(Funnels::of)
    }

    fn of(funnel: Funnel) -> Funnels {
        Funnels {
            tables: Mutex::default(),
            kept: Mutex::new(funnel),
            followed: Mutex::default(),
            health: Mutex::default(),
            samples: Buffers::new(BUFFERS, BUFFER_BYTES),
        }
    }

    /// Makes the table of a catalog before cores serve from it, so that none of them has to.
    pub(super) fn prepare(&self, catalog: &Catalog, cores: usize) -> Arc<Table> {
        let known = |tables: &[Arc<Table>]| tables.iter().find(|t| t.version() == catalog.version).cloned();
        if let Some(table) = known(&self.tables.lock()) {
            return table;
        }
        let table = Arc::new(Table::new(catalog, cores));
        let mut tables = self.tables.lock();
        if let Some(table) = known(&tables) {
            return table;
        }
        tables.push(Arc::clone(&table));
        table
    }

    /// Where a core counts what it decides on a catalog.
    pub(super) fn writer(&self, catalog: &Catalog, core: usize, cores: usize) -> Writer {
        Writer::new(self.prepare(catalog, cores), core)
    }

    /// Counts what came of a bid.
    pub(super) fn follow(&self, claims: &TokenClaims, after: &After) {
        let followed = &mut *self.followed.lock();
        followed.line_items.entry(claims.line_item).or_default().merge(after);
        let after = After { spend: Nanos(0), ..after.clone() };
        followed.exchanges.entry(claims.exchange).or_default().merge(&after);
        if let Some(deal) = claims.deal {
            followed.deals.entry(deal).or_default().merge(&after);
        }
    }

    /// Counts a conversion that follows from an ad of a line item. Which exchange and deal the ad was on is not kept with what
    /// people saw.
    pub(super) fn convert(&self, line_item: LineItemId) {
        let after = After { conversions: 1, ..After::default() };
        self.followed.lock().line_items.entry(line_item).or_default().merge(&after);
    }

    /// Empties all tables; those of catalogs that nobody serves from any more go.
    fn drain(&self, current: u64) -> Vec<Counted> {
        let tables = {
            let mut tables = self.tables.lock();
            // Who alone has a table takes it out of the list before it is emptied: nobody can come to write in it after that.
            let is_over = |table: &mut Arc<Table>| table.version() < current && Arc::strong_count(table) == 1;
            let over: Vec<Arc<Table>> = tables.extract_if(.., is_over).collect();
            [over, tables.clone()].concat()
        };
        tables.iter().map(|table| table.drain()).collect()
    }
}

/// What is known of a request that waits as it came, after it was inflated.
struct Sampled {
    protobuf: bool,
    exchange: ExchangeId,
    now: Now,
}

impl Funnels {
    /// Takes a request into the sample, if it is one of those that are. Allocates nothing.
    pub(super) fn offer(&self, id: &str, (body, protobuf): (&[u8], bool), exchange: ExchangeId, now: Now) {
        let is_in = FixedState::with_seed(SALT).hash_one(id).is_multiple_of(ONE_IN);
        if is_in {
            let _left_out = self.samples.put(body, Sampled { protobuf, exchange, now });
        }
    }
}

/// Looks at the requests of the sample closely.
pub struct Sampler {
    core: Core,
    arena: Bump,
    /// What was seen of the line items of a catalog, one after the other; empty between two looks, and never given back.
    missed: Missed,
    /// What looks took beyond the time that they had: no other look is taken until as much has gone by.
    owed_ns: u64,
}

#[derive(Default)]
struct Missed {
    version: Option<u64>,
    sample: Sample,
}

impl Missed {
    /// Makes room for the line items of a catalog; what was seen of those of another one goes to `kept`.
    fn begin(&mut self, catalog: &Catalog, kept: &Mutex<Funnel>) {
        if self.version != Some(catalog.version) {
            self.take_up(kept);
            self.version = Some(catalog.version);
            let ids = catalog.line_items().iter().map(|line| line.item.id);
            self.sample.missed = ids.map(|id| (id, Ends::default())).collect();
        }
    }

    fn take_up(&mut self, kept: &Mutex<Funnel>) {
        if self.sample.requests > 0 {
            kept.lock().sample(&self.sample);
            self.sample.requests = 0;
            self.sample.missed.iter_mut().for_each(|(_, ends)| ends.clear());
        }
    }
}

impl Sampler {
    /// One with nothing in hand.
    pub fn new(shared: &Shared) -> Sampler {
        let core = Core::new(BidIds::new(shared.ledger.epoch(), u16::MAX));
        Sampler { core, arena: Bump::new(), missed: Missed::default(), owed_ns: 0 }
    }

    /// Looks at the requests that were taken so far, as long as `patience` lasts; the rest waits for the next time, and keeps its
    /// buffers from others meanwhile. A look that takes longer takes the time of the next calls. Returns how many it looked at.
    pub fn look(&mut self, shared: &Shared, patience: Duration) -> u64 {
        let samples = &shared.funnels.samples;
        let mono_ns = || shared.clock.mono_ns();
        let given_ns = patience.as_nanos() as u64;
        let Some(left_ns) = given_ns.checked_sub(self.owed_ns) else {
            self.owed_ns -= given_ns;
            return 0;
        };
        let (began_ns, mut requests) = (mono_ns(), 0);
        for _ in 0..BUFFERS {
            if requests > 0 && mono_ns() - began_ns >= left_ns {
                break;
            }
            let Some((body, sampled)) = samples.take() else { break };
            let is_looked_for = self.look_at(shared, (&body, &sampled));
            requests += u64::from(is_looked_for);
            self.missed.sample.requests += u64::from(is_looked_for);
            samples.give_back(body);
        }
        self.missed.take_up(&shared.funnels.kept);
        self.owed_ns = (mono_ns() - began_ns).saturating_sub(left_ns);
        requests
    }

    /// Answers whether line items were looked for in it.
    fn look_at(&mut self, shared: &Shared, (body, sampled): (&[u8], &Sampled)) -> bool {
        self.arena.reset();
        let snapshot = shared.snapshots.load();
        self.missed.begin(&snapshot.catalog, &shared.funnels.kept);
        let Some(profile) = snapshot.catalog.exchange_by_id(sampled.exchange) else { return false };
        let limits = **shared.limits.load();
        let parsed = exchange::parse_either(body, sampled.protobuf, &limits.inflated(), &self.arena);
        let Ok(auction) = parsed else { return false };
        let request = Request {
            auction: &auction,
            profile,
            snapshot: &snapshot,
            audience: shared.audience(),
            remembered: None,
            frequency: Some(&shared.frequency),
            id_key: shared.id_key(),
            settings: &shared.settings,
            now: sampled.now,
            arena: &self.arena,
        };
        let missed = &mut self.missed.sample.missed;
        !auction.test
            && engine::missed(&request, &mut self.core, &shared.ledger, |ix, reason| {
                let exists = missed[ix.0 as usize].1.add(Ends::cell(reason), 1);
                debug_assert!(exists, "every reason has a cell");
            })
    }
}

impl Shared {
    /// Takes up what was counted until now.
    ///
    /// # Errors
    /// What is over cannot be written to disk. It is tried again the next time; nothing is forgotten meanwhile.
    pub fn count_funnel(&self) -> Result<(), FunnelError> {
        let kept = &mut *self.funnels.kept.lock();
        let now_s = self.clock.now().unix_s();
        let current = self.snapshots.load().catalog.version;
        let followed = std::mem::take(&mut *self.funnels.followed.lock());
        let mut result = kept.count(now_s, &Counted::default(), &followed);
        for counted in self.funnels.drain(current) {
            result = kept.count(now_s, &counted, &Followed::default()).and(result);
        }
        result
    }

    /// Writes the minute at hand to disk.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn save_funnel(&self) -> Result<(), FunnelError> {
        self.funnels.kept.lock().save()
    }

    /// What was counted of somebody from `from_s` until before `until_s`, in Unix seconds, up to this moment. Others count on
    /// meanwhile.
    ///
    /// # Errors
    /// The disk refuses to be written.
    pub fn funnel(
        &self,
        step: Step,
        (from_s, until_s): (i64, i64),
        whose: Whose,
    ) -> Result<Vec<Span>, FunnelError> {
        self.count_funnel()?;
        let kept = &self.funnels.kept;
        let parts = kept.lock().parts(step, from_s, until_s);
        let spans = parts.into_iter().filter_map(|part| kept.lock().part(part, whose)).collect();
        Ok(joined(step, spans))
    }
}

/// Runs until the process closes, and then takes up and writes what is left. Blocks: give it a thread of its own.
pub(super) fn keep_funnel(shared: &Shared) {
    if let Err(error) = rustix::process::nice(10) {
        tracing::debug!(%error, "the funnel is kept at the usual priority");
    }
    let (mut ticks, mut minute_then, mut failed, mut samples_failed) = (0u64, 0, false, false);
    let (mut sampler, mut keeper) = (Sampler::new(shared), Keeper::new(shared));
    loop {
        let closing = shared.phase() >= Phase::Closing;
        ticks += 1;
        let minute = shared.clock.now().unix_s().div_euclid(60);
        let is_over = std::mem::replace(&mut minute_then, minute) != minute;
        let mut done = match closing || is_over || ticks.is_multiple_of(TICKS_PER_COUNT) {
            true => shared.count_funnel(),
            false => Ok(()),
        };
        // A request that breaks the reader costs its own place in the sample, as it costs its own answer where it is served.
        if catch_unwind(AssertUnwindSafe(|| sampler.look(shared, PATIENCE))).is_err() {
            sampler = Sampler::new(shared);
        }
        let mut kept = catch_unwind(AssertUnwindSafe(|| keeper.look(shared))).unwrap_or_else(|_| {
            keeper = Keeper::new(shared);
            Ok(())
        });
        if closing || ticks.is_multiple_of(TICKS_PER_SAVE) {
            done = shared.save_funnel().and(done);
            kept = shared.save_samples().and(kept);
        }
        match kept {
            Ok(()) => samples_failed = false,
            Err(error) if !samples_failed => {
                tracing::error!(%error, "sampled requests are lost until the disk takes them again");
                samples_failed = true;
            }
            Err(_) => {}
        }
        match done {
            Ok(()) => failed = false,
            Err(error) if !failed => {
                tracing::error!(%error, "the funnel is kept in memory only until the disk takes it again");
                failed = true;
                shared.metrics.counter(catalogue::FUNNEL_FAILURES, &[]).increment(1);
            }
            Err(_) => {}
        }
        if closing {
            return;
        }
        for _ in 0..SLICES {
            if shared.phase() < Phase::Closing {
                std::thread::sleep(TICK / SLICES);
            }
        }
    }
}
