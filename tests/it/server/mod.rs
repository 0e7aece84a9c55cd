//! The real server in this process: every listener on a free port of loopback, the demo's account, real time. Each
//! trial starts its own, so that counters and books begin at nothing; dropping it closes it and joins its threads.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod any_text;
mod bad_bodies;
mod bids;
mod bombs;
mod client;
mod contacts;
mod customers;
mod expansions;
mod learning;
mod life;
mod media;
mod notices;
mod pacing;
mod people;
mod protobuf;
mod reload;
mod rows;
mod same_decision;
mod samples;
mod transport;

pub(crate) use client::{Client, Reply};
pub(crate) use protobuf::timeless;

use crate::judge::{JudgeContext, judge, lint_pair};
use outbid::audience::{AudienceIndex, Builder, IdKey, Store};
use outbid::budget::file_storage::FileStorage;
use outbid::budget::frequency::FrequencyTable;
use outbid::budget::{Billed, Books, EventLog, Ledger, NoLog, RunawayRule};
use outbid::cli::demo::world;
use outbid::config::{self, Config, Sources};
use outbid::contacts::Contacts;
use outbid::engine::{Catalog, Settings, Snapshot, SnapshotCell};
use outbid::exchange::{PublicUrl, TokenKey, TokenKeys, compile_markup};
use outbid::model::account::Account;
use outbid::model::clock::Clock;
use outbid::model::money::{Cpm, Nanos};
use outbid::serve::{
    self, Addresses, Funnels, Learner, Pacing, Running, SampleLog, ServeError, Shared, SharedParts,
};
use outbid::telemetry::clock::{SystemClock, WallSteps};
use outbid::telemetry::metrics::Metrics;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What every notice, pixel and click URL begins with.
pub(crate) const PUBLIC_URL: &str = "https://track.example/ob";
/// The key of the admin API.
pub(crate) const ADMIN_KEY: &str = "a key that only this test knows";
/// Users of the demo's world that are loaded: enough for one in each persona, soon built.
pub(crate) const USERS: u64 = 4_000;
const EPOCH: u32 = 7;
const KEY: TokenKey = TokenKey { id: 1, secret: [0x5a; 32] };
const ID_KEY: IdKey = IdKey([3; 16]);

/// A server to be.
pub(crate) struct Setup {
    sets: Vec<String>,
    account: Account,
    log: Box<dyn EventLog>,
    wall: Option<Arc<dyn WallSteps>>,
    events: Option<outbid::events::EventLog>,
    clock: Option<Arc<dyn Clock>>,
    home: Option<PathBuf>,
}

impl Setup {
    /// The demo's account. Nothing is shed or late, however busy the machine is: trials of that set it themselves.
    pub(crate) fn demo() -> Setup {
        let sets = [
            "listen.bid=127.0.0.1:0",
            "listen.track=127.0.0.1:0",
            "listen.admin=127.0.0.1:0",
            "listen.ops=127.0.0.1:0",
            "engine.cores=1",
            "engine.budget_us=1000000",
            "server.queue_shed_ms=10000",
            "server.queue_shed_window_ms=60000",
            "server.body_timeout_ms=20000",
            "server.header_timeout_ms=20000",
            "server.drain_grace_ms=0",
            // Hundreds of servers start here; none needs room for a day.
            "ledger.segment_bytes=1048576",
        ];
        let (sets, account) = (sets.map(str::to_owned).into(), world::account());
        let mut setup =
            Setup { sets, account, log: Box::new(NoLog), wall: None, events: None, clock: None, home: None };
        setup.sets.push(format!("track.public_url={PUBLIC_URL}"));
        setup.sets.push(format!("admin.bootstrap_key={ADMIN_KEY}"));
        for profile in &mut setup.account.exchanges {
            (profile.default_tmax_ms, profile.max_tmax_ms) = (60_000, 60_000);
        }
        setup
    }

    /// Sets one option, as `--set` does.
    pub(crate) fn set(mut self, option: &str) -> Setup {
        self.sets.push(option.to_owned());
        self
    }

    /// Changes the account.
    pub(crate) fn account(mut self, change: impl FnOnce(&mut Account)) -> Setup {
        change(&mut self.account);
        self
    }

    /// Takes another journal than one that remembers nothing.
    pub(crate) fn log(mut self, log: Box<dyn EventLog>) -> Setup {
        self.log = log;
        self
    }

    /// Records what happens.
    pub(crate) fn events(mut self, log: outbid::events::EventLog) -> Setup {
        self.events = Some(log);
        self
    }

    /// Takes another clock than the system's.
    pub(crate) fn clock(mut self, clock: Arc<dyn Clock>) -> Setup {
        self.clock = Some(clock);
        self
    }

    /// Keeps the audience in this directory, and begins with what is there.
    pub(crate) fn home(mut self, home: &Path) -> Setup {
        self.home = Some(home.to_owned());
        self
    }

    /// Takes a wall clock that an operator may adopt steps of.
    pub(crate) fn wall(mut self, wall: Arc<dyn WallSteps>) -> Setup {
        self.wall = Some(wall);
        self
    }

    /// What serving needs, put together as the program does it, with keys and epoch that are the same every time.
    fn parts(self, clock: Arc<dyn Clock>) -> SharedParts {
        let sources = Sources { file: None, env: std::iter::empty(), sets: self.sets };
        let config: Config = config::load(sources).unwrap_or_else(|errors| panic!("{errors}"));
        let rates = Arc::new(self.account.rates.clone());
        let catalog = Arc::new(Catalog::compile(self.account, 1, &compile_markup).unwrap());
        let cores = config.engine.serving_cores(1);
        let log: Box<dyn EventLog> = match &self.events {
            Some(events) => Box::new(Billed::new(self.log, Box::new(events.bills()))),
            None => self.log,
        };
        // Its thread ends with the last handle on the ledger.
        let started = Ledger::start(Books::default(), log, EPOCH, cores as u16, Arc::clone(&clock));
        let ledger = Arc::new(started.unwrap().0);
        let rule = RunawayRule::default();
        let terms = catalog.exchange_terms().collect();
        ledger.configure_exchanges(terms, Arc::clone(&rates), rule, clock.now());
        ledger.configure(catalog.funding().collect(), clock.now()).unwrap();
        let public_url = PublicUrl::parse(config.track.public_url.as_str()).unwrap();
        let audience = match &self.home {
            Some(home) => Store::open(home, ID_KEY).unwrap().0,
            None => Store::in_memory(audience(), ID_KEY),
        };
        let settings = Settings {
            seed: 1,
            tracking_is_https: public_url.is_secure(),
            max_candidates: config.engine.max_candidates,
            max_charge: Nanos(i64::MAX),
            max_cpm: Cpm::MAX,
            privacy: outbid::serve::privacy_policy(&config.privacy),
        };
        let frequency = match &self.home {
            Some(home) => {
                let folder = home.join("frequency");
                std::fs::create_dir_all(&folder).unwrap();
                let storage = Box::new(FileStorage::open(&folder).unwrap());
                FrequencyTable::open(1_000, storage, clock.now().unix_s() as u32).unwrap()
            }
            None => FrequencyTable::in_memory(1_000),
        };
        let pacing = match &self.home {
            Some(home) => {
                let folder = home.join("pacing");
                std::fs::create_dir_all(&folder).unwrap();
                Pacing::open(Box::new(FileStorage::open(&folder).unwrap())).unwrap()
            }
            None => Pacing::default(),
        };
        let funnels = match &self.home {
            Some(home) => {
                let folder = home.join("funnel");
                std::fs::create_dir_all(&folder).unwrap();
                Funnels::open(Box::new(FileStorage::open(&folder).unwrap())).unwrap()
            }
            None => Funnels::default(),
        };
        let samples = match &self.home {
            Some(home) => {
                let folder = home.join("samples");
                std::fs::create_dir_all(&folder).unwrap();
                let storage = Box::new(FileStorage::open(&folder).unwrap());
                SampleLog::open(storage, &config.samples, clock.now()).unwrap()
            }
            None => SampleLog::default(),
        };
        let learner = match &self.home {
            Some(home) if self.events.is_some() => {
                let folder = home.join("learning");
                std::fs::create_dir_all(&folder).unwrap();
                let storage = Box::new(FileStorage::open(&folder).unwrap());
                let options = outbid::serve::LearningOptions::of(&config).unwrap();
                Learner::open(storage, &home.join("events"), options, clock.now().unix_ms).unwrap()
            }
            _ => Learner::default(),
        };
        let learned = Arc::new(learner.tables());
        SharedParts {
            learner,
            metrics: Metrics::new(cores, "test", clock.now().unix_s()),
            snapshots: SnapshotCell::new(Snapshot { catalog, rates, learned }),
            contacts: match &self.home {
                Some(home) => {
                    std::fs::create_dir_all(home.join("keys")).unwrap();
                    Contacts::open(home, audience.erased()).unwrap().0
                }
                None => Contacts::in_memory(),
            },
            frequency: Arc::new(frequency),
            audience,
            pacing,
            funnels,
            samples,
            ledger,
            events: self.events,
            token_keys: token_keys(),
            public_url,
            clock,
            wall: self.wall,
            config,
            settings,
        }
    }

    /// Starts it, or says why it may not start.
    pub(crate) fn try_start(self) -> Result<Server, ServeError> {
        let clock = self.clock.clone().unwrap_or_else(|| Arc::new(SystemClock::new()));
        let shared = Arc::new(Shared::new(self.parts(clock)));
        let running = serve::start(Arc::clone(&shared))?;
        Ok(Server { at: running.addresses, shared, running: Some(running) })
    }

    /// Starts it.
    pub(crate) fn start(self) -> Server {
        self.try_start().unwrap_or_else(|error| panic!("{error}"))
    }
}

/// The demo's users, the first of them.
fn audience() -> AudienceIndex {
    let mut builder = Builder::default();
    for user in 0..USERS {
        builder.push(ID_KEY.cookie(&world::cookie(user)), world::memberships(user)).unwrap();
    }
    builder.finish().unwrap()
}

/// The keys of every server here.
pub(crate) fn token_keys() -> TokenKeys {
    TokenKeys::new(&KEY, &[]).unwrap()
}

/// A running server.
pub(crate) struct Server {
    pub(crate) at: Addresses,
    pub(crate) shared: Arc<Shared>,
    running: Option<Running>,
}

impl Server {
    /// A new connection to the bid listener.
    pub(crate) fn exchange(&self) -> Client {
        Client::connect(self.at.bid)
    }

    /// Asks for bids over a connection of its own.
    pub(crate) fn bid(&self, exchange: &str, request: &Value) -> Reply {
        self.exchange().bid(exchange, request.to_string().as_bytes()).unwrap()
    }

    /// Asks for the one bid that must come.
    pub(crate) fn only_bid(&self, exchange: &str, request: &Value) -> Value {
        let reply = self.bid(exchange, request);
        assert_eq!(reply.status, 200, "no bid on {request}");
        let answer = reply.json();
        let bids = answer["seatbid"][0]["bid"].as_array().unwrap();
        assert_eq!(bids.len(), 1, "{answer}");
        bids[0].clone()
    }

    /// Calls a notice, pixel or click URL; what comes after the host is called on the tracking listener.
    pub(crate) fn track(&self, method: &str, url: &str) -> Reply {
        let path = url.strip_prefix("https://track.example").unwrap_or(url);
        Client::connect(self.at.track).send(method, path, &[], b"").unwrap()
    }

    /// Reads from the operations listener.
    pub(crate) fn ops(&self, path: &str) -> Reply {
        Client::connect(self.at.ops).send("GET", path, &[], b"").unwrap()
    }

    /// Asks the admin listener, with its key.
    pub(crate) fn admin(&self, method: &str, path: &str, body: &str) -> Reply {
        admin(self.at.admin, ADMIN_KEY, method, path, body)
    }

    /// The value of one line of `/metrics`; 0 where it is not there yet.
    pub(crate) fn metric(&self, line: &str) -> u64 {
        let reply = self.ops("/metrics");
        let value = reply.text().lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(' ')).unwrap_or("0");
        value.parse::<f64>().unwrap() as u64
    }

    /// What an exchange knows of the demo's bidder.
    pub(crate) fn known(&self) -> Known {
        let snapshot = self.shared.snapshots().load();
        let rates =
            snapshot.rates.iter().map(|(code, rate)| (code.to_string(), rate.0 as f64 / 1e9)).collect();
        Known { keys: token_keys(), rates, snapshot }
    }
}

/// Asks an admin listener.
pub(crate) fn admin(at: SocketAddr, key: &str, method: &str, path: &str, body: &str) -> Reply {
    let key = format!("Bearer {key}");
    Client::connect(at).send(method, path, &[("authorization", &key)], body.as_bytes()).unwrap()
}

/// A notice URL with its macros replaced.
pub(crate) fn notice_url(bid: &Value, field: &str, price: &str) -> String {
    let url = bid[field].as_str().unwrap_or_else(|| panic!("no {field}"));
    let url = url.replace("${AUCTION_PRICE}", price).replace("${AUCTION_CURRENCY}", "USD");
    ["MULTIPLIER", "MBR", "MIN_TO_WIN", "LOSS"]
        .iter()
        .fold(url, |url, name| url.replace(&format!("${{AUCTION_{name}}}"), ""))
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            let abandoned = block_on(running.close(Duration::from_secs(5)));
            if !std::thread::panicking() {
                assert_eq!(abandoned, 0, "connections that did not end");
            }
        }
    }
}

/// What a [`JudgeContext`] borrows from.
pub(crate) struct Known {
    keys: TokenKeys,
    rates: Vec<(String, f64)>,
    snapshot: Arc<Snapshot>,
}

impl Known {
    pub(crate) fn context(&self) -> JudgeContext<'_> {
        let catalog = &self.snapshot.catalog;
        let types = catalog
            .creatives()
            .iter()
            .map(|c| (c.creative.id.to_string(), c.creative.banner().map_or(0, |b| b.banner_type)));
        JudgeContext {
            our_seat: "harbour",
            rates: self.rates.iter().map(|(code, rate)| (code.as_str(), *rate)).collect(),
            public_url: PUBLIC_URL,
            keys: Some(&self.keys),
            burl: true,
            lurl: true,
            banner_types: types.collect(),
        }
    }

    /// What both judges find wrong with an answer; empty = nothing.
    pub(crate) fn faults(&self, request: &str, response: &str) -> Vec<String> {
        let read = |text: &str| {
            serde_json::from_str::<Value>(text).unwrap_or_else(|error| panic!("{error}: {text}"))
        };
        let ours = judge(&read(request), &read(response), &self.context());
        [ours, lint_pair(request, response)].concat()
    }
}

/// Waits until something is so; it has to be within some seconds, also on a machine that compiles beside the tests.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..4_000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{what}: not within 20 s");
}

/// Runs a future of the server's here.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A request that the demo's line item for everybody else bids on.
pub(crate) fn good_request(id: &str) -> Value {
    json!({
        "id": id, "at": 1, "cur": ["USD"],
        "imp": [{
            "id": "1", "secure": 1, "bidfloor": 0.5, "bidfloorcur": "USD",
            "banner": { "format": [{ "w": 300, "h": 250 }] },
        }],
        "site": { "domain": "news.example", "page": "https://news.example/a?b=c" },
        "device": { "ua": "Mozilla/5.0", "geo": { "country": "USA" } },
    })
}

/// The same for a user of the demo who is in this persona and no other, with or without explicit consent.
pub(crate) fn request_of(id: &str, persona: &str, consent: bool) -> Value {
    let position = world::PERSONAS.iter().position(|p| p.key == persona).unwrap();
    let user = world::user_only_in(position, consent).unwrap();
    assert!(user < USERS, "{persona} begins at user {user}");
    let mut request = good_request(id);
    request["user"] = json!({ "buyeruid": world::cookie(user) });
    request
}
