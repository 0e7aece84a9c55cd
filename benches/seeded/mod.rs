//! The seeded world inside this process, and the steps of a bid on it one by one: what `decide` and `instructions`
//! measure. 10,000 line items and 20,000 segments as in the world that the README's figures are taken on, but 100,000
//! users: the index finds one among few as it does among many, and a small world is built in a second.
//!
//! Invariant: the world, the requests and the clock are the same in every run, and every step does what the server
//! does. The requests are those of `outbid-load`, whose market and bodies the two benches compile from their sources.

use crate::bodies::Bodies;
use bumpalo::Bump;
use outbid::audience::{self, AudienceIndex, Builder, IdKey, Keys, Lookup, Membership};
use outbid::budget::frequency::FrequencyTable;
use outbid::budget::{Books, CoreBudget, Hold, Ledger, NoLog, RunawayRule};
use outbid::cli::seed::{self, Memberships, WorldParams, dice};
use outbid::config::{self, Sources};
use outbid::engine::funnel::{Table, Tally, Writer};
use outbid::engine::learning::{LearnerOptions, Learning, Tables, TrainerOptions};
use outbid::engine::{
    self, BidIds, Catalog, Core, Deadline, Decision, NoObserver, Observer, Rejection, Request, Settings,
    Snapshot, SnapshotCell, Times,
};
use outbid::exchange::respond::{self, Response};
use outbid::exchange::{self, Limits, Place, PublicUrl, TokenKey, TokenKeys};
use outbid::model::account::Account;
use outbid::model::auction::{Auction, Imp};
use outbid::model::clock::{Clock, FixedClock, Now};
use outbid::model::event::{self, BidMade, Event, NoticeEvent, Noticed, What};
use outbid::model::exchange::ExchangeProfile;
use outbid::model::ids::SegmentId;
use outbid::model::line_item::Predicts;
use outbid::model::money::{Cpm, Nanos};
use outbid::model::no_bid::NoBidReason;
use outbid::pricing::{Factors, Offer};
use outbid::privacy;
use outbid::serve::{Shared, SharedParts};
use outbid::targeting::{Facts, LineItemIx, Scratch};
use outbid::telemetry::clock::SystemClock;
use outbid::telemetry::metrics::Metrics;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// The sizes of the world.
pub(crate) const PARAMS: WorldParams =
    WorldParams { users: 100_000, segments: 20_000, line_items: 10_000, seed: 1, pricing: false };

/// Requests that each step is measured on.
pub(crate) const REQUESTS: usize = 1_000;

/// Survivors of the impressions that are measured apart: about the world's median, and about its 99 % quantile.
const SURVIVORS: [RangeInclusive<usize>; 2] = [15..=17, 56..=72];

/// Wednesday, 17 June 2026, 15:00 UTC: a working day everywhere in the world's markets.
const NOW: Now = Now { mono_ns: 1_000_000_000_000, unix_ms: 1_781_708_400_000 };

/// What the steps read.
struct World {
    snapshot: Snapshot,
    audience: AudienceIndex,
    id_key: IdKey,
    token_keys: TokenKeys,
    urls: PublicUrl,
    settings: Settings,
    clock: FixedClock,
    ledger: Arc<Ledger>,
    bodies: Vec<String>,
    /// Of a world with frequency caps.
    frequency: Option<FrequencyTable>,
}

impl World {
    fn new(params: &WorldParams, change: fn(&mut Account)) -> World {
        let mut account = seed::account(params);
        change(&mut account);
        let rates = Arc::new(account.rates.clone());
        let catalog = Arc::new(
            Catalog::compile(account, 1, &exchange::compile_markup).expect("the seeded account is valid"),
        );
        let ledger = Ledger::in_memory(1, 1, NOW);
        ledger
            .configure(catalog.funding().collect(), NOW)
            .expect("an account without history may be anything");
        let id_key = IdKey([7; 16]);
        let active = TokenKey { id: 1, secret: [9; 32] };
        let urls = PublicUrl::parse("https://track.example").expect("a URL");
        let world = crate::world::World::parse(&seed::world_json(params)).expect("both know version 1");
        let bodies = Bodies::new(&world, params.seed);
        let mut world = World {
            frequency: params.pricing.then(|| FrequencyTable::in_memory(1 << 20)),
            audience: audience(params, &id_key),
            snapshot: Snapshot { catalog, rates, learned: Arc::default() },
            token_keys: TokenKeys::new(&active, &[]).expect("one key has one id"),
            settings: Settings {
                seed: 1,
                tracking_is_https: urls.is_secure(),
                max_candidates: 256,
                max_charge: Nanos(i64::MAX),
                max_cpm: Cpm::MAX,
                privacy: outbid::privacy::Policy::default(),
            },
            urls,
            id_key,
            clock: FixedClock::at(NOW),
            ledger: Arc::new(ledger),
            bodies: (0..REQUESTS as u64).map(|n| bodies.body(n)).collect(),
        };
        if params.pricing {
            world.snapshot.learned = Arc::new(world.learned());
        }
        world
    }

    /// What is learned where the requests come twenty times, every bid wins and one in fifty is clicked.
    fn learned(&self) -> Tables {
        const ROUNDS: u64 = 20;
        let click = LearnerOptions { bits: 20, ..TrainerOptions::default().click };
        let options = TrainerOptions { click, ..TrainerOptions::default() };
        let mut learning = Learning::new(options, 1 << 20).expect("the options are within their ranges");
        let (mut core, mut arena) = (Core::new(BidIds::new(9, 0)), Bump::new());
        // Of its own: leases that this core takes would be missed by the one that is measured.
        let ledger = Ledger::in_memory(1, 1, NOW);
        let funding = self.snapshot.catalog.funding().collect();
        ledger.configure(funding, NOW).expect("an account without history may be anything");
        let mut budget = CoreBudget::new(0, Arc::new(ledger));
        for n in 0..ROUNDS * REQUESTS as u64 {
            arena.reset();
            let at_ms = NOW.unix_ms + n as i64 * 10;
            let body = self.bodies[n as usize % REQUESTS].as_bytes();
            let auction =
                exchange::parse(body, &Limits::default(), &arena).expect("generated bodies are valid");
            let request = self.request(&auction, &arena);
            let Ok(made) =
                engine::decide(&request, &mut core, &mut budget, &Deadline::never(), &mut NoObserver)
            else {
                continue;
            };
            for bid in &made.bids {
                let record = BidMade::of(bid, event::Place::of(&auction));
                let notice = |kind| {
                    What::Notice(Noticed {
                        kind,
                        bid: record.id,
                        exchange: record.exchange,
                        line_item: record.line_item,
                        creative: record.creative,
                        user: record.user,
                        after_s: 0,
                        min_to_win: None,
                    })
                };
                let clicked = n.is_multiple_of(50).then(|| notice(NoticeEvent::Click));
                let events = [What::Bid(record), notice(NoticeEvent::Impression)].into_iter().chain(clicked);
                events.for_each(|what| learning.take(&Event { at_ms, what }, |_, _| true));
            }
        }
        let end_ms = NOW.unix_ms + 86_400_000;
        learning.advance(end_ms);
        learning.reprice(end_ms);
        let verdict = learning.publish_models().click;
        assert!(verdict.accepted, "{verdict:?}");
        learning.tables()
    }

    fn profile(&self) -> &ExchangeProfile {
        &self.snapshot.catalog.exchanges()[0]
    }

    fn request<'r>(&'r self, auction: &'r Auction<'r>, arena: &'r Bump) -> Request<'r> {
        Request {
            auction,
            profile: self.profile(),
            snapshot: &self.snapshot,
            audience: &self.audience,
            remembered: None,
            frequency: self.frequency.as_ref(),
            id_key: &self.id_key,
            settings: &self.settings,
            now: self.clock.now(),
            arena,
        }
    }

    fn response<'r>(&'r self, auction: &'r Auction<'r>, decision: &'r Decision<'r, Hold>) -> Response<'r> {
        Response {
            request_id: auction.id,
            bids: &decision.bids,
            profile: self.profile(),
            keys: &self.token_keys,
            urls: &self.urls,
            place: Place::of(&auction.channel),
        }
    }
}

/// A server of the world that listens on any port of loopback, and the requests for it.
pub(crate) fn server(params: &WorldParams) -> anyhow::Result<(Arc<Shared>, Vec<String>)> {
    let sets = ["bid", "track", "admin", "ops"].map(|name| format!("listen.{name}=127.0.0.1:0"));
    let public = "track.public_url=https://track.example".to_owned();
    let sets = sets.into_iter().chain(["engine.cores=1".to_owned(), public]).collect();
    let config = config::load(Sources { file: None, env: std::iter::empty(), sets });
    let config = config.map_err(|errors| anyhow::anyhow!("{errors}"))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let World { snapshot, audience, id_key, token_keys, urls, settings, bodies, .. } =
        World::new(params, |_| ());
    let now = clock.now();
    // The world's own ledger keeps its books in memory, by another clock.
    let (ledger, _writer) = Ledger::start(Books::default(), Box::new(NoLog), 1, 1, Arc::clone(&clock))?;
    let terms = snapshot.catalog.exchange_terms().collect();
    ledger.configure_exchanges(terms, Arc::clone(&snapshot.rates), RunawayRule::default(), now);
    ledger
        .configure_all(snapshot.catalog.funding().collect(), now)
        .map_err(|why| anyhow::anyhow!("{why}"))?;
    let shared = Shared::new(SharedParts {
        metrics: Metrics::new(1, "bench", now.unix_s()),
        snapshots: SnapshotCell::new(snapshot),
        audience: outbid::audience::Store::in_memory(audience, id_key),
        frequency: Arc::new(outbid::budget::frequency::FrequencyTable::in_memory(1 << 20)),
        contacts: outbid::contacts::Contacts::in_memory(),
        pacing: Default::default(),
        funnels: Default::default(),
        samples: Default::default(),
        learner: Default::default(),
        ledger: Arc::new(ledger),
        events: None,
        token_keys,
        public_url: urls,
        clock,
        wall: None,
        config,
        settings,
    });
    Ok((Arc::new(shared), bodies))
}

fn audience(params: &WorldParams, key: &IdKey) -> AudienceIndex {
    let memberships = Memberships::new(params);
    let mut builder = Builder::default();
    for user in 0..params.users {
        let cookie = key.cookie(&dice::cookie(params.seed, user));
        builder.push(cookie, memberships.of(user).map(Membership::of)).expect("inside the limits");
    }
    builder.finish().expect("inside the limits")
}

/// What decisions look at, for each impression that gets so far.
#[derive(Clone, Copy, serde::Serialize)]
pub(crate) struct Impressions {
    /// Such impressions of a request.
    pub(crate) a_request: f64,
    /// Line items that the index found.
    pub(crate) survivors: f64,
    pub(crate) survivors_median: usize,
    pub(crate) survivors_99: usize,
    /// Those of them whose value rests on a prediction.
    pub(crate) predicted: f64,
    /// Those of which more was asked than an upper bound.
    pub(crate) looked_at: f64,
    pub(crate) bids: f64,
}

/// Counts them.
struct Watched<'c> {
    catalog: &'c Catalog,
    survivors: Vec<usize>,
    predicted: usize,
    looked: usize,
    /// In the request at hand.
    looked_at: BTreeSet<(usize, LineItemIx)>,
}

impl<'c> Watched<'c> {
    fn of(catalog: &'c Catalog) -> Watched<'c> {
        Watched { catalog, survivors: Vec::new(), predicted: 0, looked: 0, looked_at: BTreeSet::new() }
    }
}

impl Observer for Watched<'_> {
    fn candidates(&mut self, _: usize, found: &[LineItemIx]) {
        let predicts =
            |ix: &&LineItemIx| self.catalog.line_item(**ix).item.strategy.predicts() != Predicts::Nothing;
        self.predicted += found.iter().filter(predicts).count();
        self.survivors.push(found.len());
    }

    fn rejected(&mut self, imp: usize, line_item: LineItemIx, rejection: &Rejection<'_>) {
        use NoBidReason::{Deal, Flight, Inactive, LostInternal, Pacing};
        // Those are told before anybody looks closely.
        if !matches!(rejection.reason, Inactive | Flight | Pacing | LostInternal | Deal) {
            self.looked_at.insert((imp, line_item));
        }
    }

    fn offered(&mut self, imp: usize, line_item: LineItemIx, _: Option<&str>, _: &Offer, _: &Factors) {
        self.looked_at.insert((imp, line_item));
    }
}

/// One serving core with its world, every request parsed and decided once: nothing is cold.
pub(crate) struct Bench {
    world: &'static World,
    auctions: Vec<Auction<'static>>,
    decisions: Vec<Result<Decision<'static, Hold>, NoBidReason>>,
    found: Vec<Found>,
    /// Requests for one impression with so many survivors, by [`SURVIVORS`].
    single: [Vec<Auction<'static>>; SURVIVORS.len()],
    core: Core,
    budget: CoreBudget,
    scratch: Scratch,
    keys: Keys,
    lookup: Lookup,
    permitted: bool,
    arena: Bump,
    written: Vec<u8>,
    tally: Tally,
    writer: Writer,
}

/// What the look-up of one request found, kept for the steps behind it.
struct Found {
    permitted: bool,
    segments: Vec<SegmentId>,
}

impl Bench {
    /// The world that the README's counts are of.
    pub(crate) fn new() -> Bench {
        Bench::of(&PARAMS)
    }

    /// That of other parameters.
    pub(crate) fn of(params: &WorldParams) -> Bench {
        Bench::changed(params, |_| ())
    }

    /// A world with pricing where no cap of a price holds back those that pay by outcomes, so that all of them are predicted.
    pub(crate) fn uncapped() -> Bench {
        Bench::changed(&WorldParams { pricing: true, ..PARAMS }, |account| {
            let items = account.line_items.iter_mut();
            let predicted = items.filter(|item| item.strategy.predicts() != Predicts::Nothing);
            predicted.for_each(|item| item.max_bid = Cpm(item.max_bid.0 * 100));
        })
    }

    /// Builds a world and warms up. What the steps borrow lives until the process ends.
    fn changed(params: &WorldParams, change: fn(&mut Account)) -> Bench {
        let world: &'static World = Box::leak(Box::new(World::new(params, change)));
        let kept: &'static Bump = Box::leak(Box::new(Bump::new()));
        let parsed = world.bodies.iter().map(|body| {
            exchange::parse(body.as_bytes(), &Limits::default(), kept).expect("generated bodies are valid")
        });
        let mut bench = Bench {
            auctions: parsed.collect(),
            decisions: Vec::new(),
            found: Vec::new(),
            single: Default::default(),
            core: Core::new(BidIds::new(1, 0)),
            budget: CoreBudget::new(0, Arc::clone(&world.ledger)),
            scratch: Scratch::new(),
            keys: Keys::default(),
            lookup: Lookup::default(),
            permitted: false,
            arena: Bump::with_capacity(256 << 10),
            written: Vec::with_capacity(256 << 10),
            tally: Tally::default(),
            writer: Writer::new(Arc::new(Table::new(&world.snapshot.catalog, 1)), 0),
            world,
        };
        for n in 0..REQUESTS {
            bench.lookup(n);
            let (permitted, segments) = (bench.permitted, bench.lookup.segments.clone());
            bench.found.push(Found { permitted, segments });
            // The decisions that `respond` writes; all other steps use an arena that is reset.
            let auction: &'static Auction<'static> = Box::leak(Box::new(bench.auctions[n].clone()));
            let request = world.request(auction, kept);
            let deadline = Deadline::never();
            let (core, budget) = (&mut bench.core, &mut bench.budget);
            bench.decisions.push(engine::decide(&request, core, budget, &deadline, &mut NoObserver));
        }
        (0..REQUESTS).for_each(|n| {
            bench.matching(n);
            bench.line(n);
            bench.take_apart(n);
        });
        (0..REQUESTS).for_each(|n| {
            bench.decide_16(n);
            bench.decide_64(n);
            bench.decide_counted(n);
        });
        bench
    }

    /// Keeps the impressions of a request that have about as many survivors as are measured, each as a request of its own.
    fn take_apart(&mut self, n: usize) {
        let imps: &'static [Imp<'static>] = self.auctions[n].imps;
        for imp in imps {
            let survivors = self.matching_of(n, std::slice::from_ref(imp));
            if let Some(at) = SURVIVORS.iter().position(|about| about.contains(&survivors)) {
                let auction = Auction { imps: std::slice::from_ref(imp), ..self.auctions[n].clone() };
                self.single[at].push(auction);
            }
        }
    }

    /// How many of the requests are bid on.
    pub(crate) fn bid_requests(&self) -> usize {
        self.decisions.iter().filter(|decision| decision.is_ok()).count()
    }

    /// Impressions' surviving candidates at that quantile.
    pub(crate) fn survivors(&mut self, quantile: f64) -> usize {
        let mut counts: Vec<usize> = (0..REQUESTS).map(|n| self.matching(n)).collect();
        counts.sort_unstable();
        counts[((REQUESTS - 1) as f64 * quantile) as usize]
    }

    /// What a decision looks at, over all requests.
    pub(crate) fn impressions(&mut self) -> Impressions {
        let mut watched = Watched::of(&self.world.snapshot.catalog);
        let mut bids = 0;
        for n in 0..REQUESTS {
            self.arena.reset();
            let request = self.world.request(&self.auctions[n], &self.arena);
            let (core, budget) = (&mut self.core, &mut self.budget);
            let decided = engine::decide(&request, core, budget, &Deadline::never(), &mut watched);
            bids += decided.map_or(0, |decision| decision.bids.len());
            watched.looked += watched.looked_at.len();
            watched.looked_at.clear();
        }
        let mut survivors = watched.survivors;
        survivors.sort_unstable();
        let each = |sum: usize| sum as f64 / survivors.len() as f64;
        Impressions {
            a_request: survivors.len() as f64 / REQUESTS as f64,
            survivors: each(survivors.iter().sum()),
            survivors_median: survivors[survivors.len() / 2],
            survivors_99: survivors[survivors.len() * 99 / 100],
            predicted: each(watched.predicted),
            looked_at: each(watched.looked),
            bids: each(bids),
        }
    }

    /// Mean length of a body in bytes.
    pub(crate) fn body_bytes_mean(&self) -> usize {
        self.world.bodies.iter().map(String::len).sum::<usize>() / REQUESTS
    }

    /// Reads body `n`.
    #[inline(never)]
    pub(crate) fn parse(&mut self, n: usize) -> usize {
        self.arena.reset();
        let body = self.world.bodies[n].as_bytes();
        exchange::parse(body, &Limits::default(), &self.arena).map_or(0, |auction| auction.imps.len())
    }

    /// Privacy gate, keys of the user, segments.
    #[inline(never)]
    pub(crate) fn lookup(&mut self, n: usize) -> usize {
        let (world, auction) = (self.world, &self.auctions[n]);
        let Some(opportunity) = auction.opportunities().next() else { return 0 };
        let rules =
            privacy::Rules { gdpr_default: world.profile().gdpr_default, policy: privacy::Policy::default() };
        let permissions = privacy::gate(&opportunity, &rules);
        self.keys.clear();
        self.lookup.clear();
        if let Some(proof) = permissions.ids() {
            audience::keys(auction, world.profile(), &world.id_key, proof, &mut self.keys);
        }
        self.permitted = permissions.segments().is_some();
        if let Some(proof) = permissions.segments() {
            let (taxonomy, now_s) = (world.snapshot.catalog.taxonomy(), NOW.unix_s());
            world.audience.lookup(&self.keys, taxonomy, now_s, proof, &mut self.lookup);
        }
        self.lookup.segments.len()
    }

    /// The line items that fit each impression.
    #[inline(never)]
    pub(crate) fn matching(&mut self, n: usize) -> usize {
        self.matching_of(n, self.auctions[n].imps)
    }

    fn matching_of(&mut self, n: usize, imps: &[Imp<'_>]) -> usize {
        let (auction, found) = (&self.auctions[n], &self.found[n]);
        let facts = Facts {
            exchange: self.world.profile().id,
            auction,
            user_permitted: found.permitted,
            segments: &found.segments,
            os: auction.device.os,
            browser: None,
            unix_s: NOW.unix_s(),
        };
        let matcher = self.world.snapshot.catalog.matcher();
        matcher.request(&facts, &mut self.scratch);
        imps.iter().map(|imp| matcher.candidates(imp, &mut self.scratch).len()).sum()
    }

    /// The whole decision on a parsed request, holds kept as for an answer that goes out.
    #[inline(never)]
    pub(crate) fn decide(&mut self, n: usize) -> usize {
        Self::decide_on(self.world, &self.auctions[n], &mut self.arena, &mut self.core, &mut self.budget)
    }

    /// The same for one impression with about 16 survivors.
    #[inline(never)]
    pub(crate) fn decide_16(&mut self, n: usize) -> usize {
        let auction = &self.single[0][n % self.single[0].len()];
        Self::decide_on(self.world, auction, &mut self.arena, &mut self.core, &mut self.budget)
    }

    /// And for one with about 64.
    #[inline(never)]
    pub(crate) fn decide_64(&mut self, n: usize) -> usize {
        let auction = &self.single[1][n % self.single[1].len()];
        Self::decide_on(self.world, auction, &mut self.arena, &mut self.core, &mut self.budget)
    }

    /// What is decided of request `n`, to the last digit: who is changed to be faster must decide the same.
    pub(crate) fn decided(&mut self, n: usize) -> String {
        self.arena.reset();
        let request = self.world.request(&self.auctions[n], &self.arena);
        let (core, budget) = (&mut self.core, &mut self.budget);
        let decided = engine::decide(&request, core, budget, &Deadline::never(), &mut NoObserver);
        format!("{:?}", decided.map(|decision| decision.bids))
    }

    fn decide_on(
        world: &World,
        auction: &Auction<'static>,
        arena: &mut Bump,
        core: &mut Core,
        budget: &mut CoreBudget,
    ) -> usize {
        arena.reset();
        let request = world.request(auction, arena);
        let deadline = Deadline::new(&world.clock, Times::at(NOW.mono_ns), None, request.profile, 1_000);
        let decided = engine::decide(&request, core, budget, &deadline, &mut NoObserver);
        decided.map_or(0, |decision| {
            decision.holds.into_iter().for_each(Hold::keep);
            decision.bids.len()
        })
    }

    /// The same, counted for the funnel.
    pub(crate) fn decide_counted(&mut self, n: usize) -> usize {
        self.arena.reset();
        let auction = &self.auctions[n];
        let request = self.world.request(auction, &self.arena);
        let deadline = Deadline::new(&self.world.clock, Times::at(NOW.mono_ns), None, request.profile, 1_000);
        let watch = &mut self.tally.watch();
        let decided = engine::decide(&request, &mut self.core, &mut self.budget, &deadline, watch);
        self.tally.commit(&self.writer, (0, auction), decided.as_ref().err().copied(), false);
        decided.map_or(0, |decision| {
            decision.holds.into_iter().for_each(Hold::keep);
            decision.bids.len()
        })
    }

    /// The answer to a decided request, tokens signed; nothing where there is no bid.
    #[inline(never)]
    pub(crate) fn respond(&mut self, n: usize) -> usize {
        self.written.clear();
        let Ok(decision) = &self.decisions[n] else { return 0 };
        let response = self.world.response(&self.auctions[n], decision);
        respond::write(&response, &mut self.written).bids
    }

    /// From body to answer.
    #[inline(never)]
    pub(crate) fn line(&mut self, n: usize) -> usize {
        self.arena.reset();
        self.written.clear();
        let body = self.world.bodies[n].as_bytes();
        let Ok(auction) = exchange::parse(body, &Limits::default(), &self.arena) else { return 0 };
        let request = self.world.request(&auction, &self.arena);
        let clock = &self.world.clock;
        let deadline = Deadline::new(clock, Times::at(NOW.mono_ns), auction.tmax_ms, request.profile, 1_000);
        let decided = engine::decide(&request, &mut self.core, &mut self.budget, &deadline, &mut NoObserver);
        let Ok(decision) = decided else { return 0 };
        let bids = respond::write(&self.world.response(&auction, &decision), &mut self.written).bids;
        decision.holds.into_iter().for_each(Hold::keep);
        bids
    }
}
