//! What all threads of the process share.

use super::admin::Api;
use super::funnel::Funnels;
use super::learning::Learner;
use super::limits::BodyRoom;
use super::notice::Delivery;
use super::pacing::Pacing;
use super::publish::Requests;
use super::samples::SampleLog;
use crate::audience::{AudienceIndex, Forgotten, IdKey, Store};
use crate::budget::frequency::FrequencyTable;
use crate::budget::{Ledger, RunawayRule, SeenBids};
use crate::config::{Config, OnRunaway, Secret};
use crate::contacts::Contacts;
use crate::engine::{Settings, SnapshotCell};
use crate::events::EventLog;
use crate::exchange::{Limits, PublicUrl, TokenKeys};
use crate::model::clock::Clock;
use crate::model::ids::{ExchangeId, LineItemId, UserKey};
use crate::telemetry::clock::WallSteps;
use crate::telemetry::metrics::Metrics;
use arc_swap::{ArcSwap, ArcSwapOption};
use dashmap::DashMap;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

/// Where a process is in its life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Phase {
    /// Not yet ready.
    Starting,
    /// Ready.
    Serving,
    /// `/readyz` says 503; everything is still answered, so that load balancers can look elsewhere.
    Draining,
    /// Connections are closed after their current answer.
    Closing,
}

/// Why somebody may come back after a restart.
#[derive(Debug, thiserror::Error)]
pub enum NotForgotten {
    /// The log of the audience.
    #[error(transparent)]
    Audience(#[from] crate::audience::AudienceError),
    /// The log of what was shown.
    #[error(transparent)]
    Frequency(#[from] crate::budget::frequency::FrequencyError),
    /// The keys of the event log.
    #[error(transparent)]
    Events(#[from] crate::events::EventsError),
    /// Addresses for use elsewhere.
    #[error(transparent)]
    Contacts(#[from] crate::contacts::ContactsError),
    /// The sampled requests.
    #[error(transparent)]
    Samples(#[from] crate::samples::SamplesError),
}

/// What was forgotten of somebody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForgottenEverywhere {
    /// In the audience.
    pub people: Forgotten,
    /// Contacts, of all accounts.
    pub contacts: u64,
}

/// The parts that `main` builds.
pub struct SharedParts {
    /// The configuration.
    pub config: Config,
    /// What serving reads.
    pub snapshots: SnapshotCell,
    /// Who belongs to which segment.
    pub audience: Store,
    /// How people can be reached elsewhere.
    pub contacts: Contacts,
    /// The books.
    pub ledger: Arc<Ledger>,
    /// What happened; `None` = nothing is recorded.
    pub events: Option<EventLog>,
    /// How often people were shown what.
    pub frequency: Arc<FrequencyTable>,
    /// What keeps spending on plan.
    pub pacing: Pacing,
    /// How far line items got.
    pub funnels: Funnels,
    /// The sampled requests.
    pub samples: SampleLog,
    /// What learns from the event log.
    pub learner: Learner,
    /// Keys of the notice tokens.
    pub token_keys: TokenKeys,
    /// Base of every notice URL.
    pub public_url: PublicUrl,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The wall clock under it, where it may step.
    pub wall: Option<Arc<dyn WallSteps>>,
    /// Counters.
    pub metrics: Metrics,
    /// Settings of the decision.
    pub settings: Settings,
}

/// See the module.
pub struct Shared {
    pub(crate) config: Config,
    pub(crate) snapshots: SnapshotCell,
    pub(crate) audience: Arc<Store>,
    pub(crate) frequency: Arc<FrequencyTable>,
    contacts: Arc<Contacts>,
    pub(super) pacing: Pacing,
    pub(super) funnels: Funnels,
    pub(super) samples: SampleLog,
    pub(super) learner: Learner,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) events: Option<EventLog>,
    pub(crate) token_keys: ArcSwap<TokenKeys>,
    pub(crate) public_url: PublicUrl,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) wall: Option<Arc<dyn WallSteps>>,
    pub(crate) metrics: Metrics,
    pub(crate) settings: Settings,
    /// These follow the configuration file, see [`Shared::take_up`].
    pub(crate) limits: ArcSwap<Limits>,
    pub(crate) bootstrap_key: ArcSwapOption<Secret>,
    /// Bid requests being read or answered, over all cores.
    pub(crate) in_flight: AtomicUsize,
    /// Memory of bodies that are being read.
    pub(super) body_room: BodyRoom,
    /// Exchanges whose open holds are over their cap; set by maintenance.
    pub(crate) over_open_holds: ArcSwap<BTreeSet<ExchangeId>>,
    /// Which events of each bid were counted.
    pub(crate) seen: Mutex<SeenBids>,
    /// Which player events of each bid were counted; the bits are the notice handler's.
    pub(crate) played: Mutex<SeenBids>,
    /// Delivery by line item since the start.
    pub(crate) delivery: DashMap<LineItemId, Delivery>,
    /// Who takes up changes of the account, where somebody does.
    publisher: OnceLock<Requests>,
    /// Held while a forecast is made.
    pub(super) forecasting: Mutex<()>,
    /// The control plane, where there is one.
    api: OnceLock<Arc<dyn Api>>,
    phase: AtomicU8,
}

impl Shared {
    /// Joins the parts; the process is [`Phase::Starting`].
    pub fn new(parts: SharedParts) -> Shared {
        Shared {
            limits: ArcSwap::from_pointee(limits(&parts.config)),
            body_room: BodyRoom::new(parts.config.server.body_memory_bytes),
            bootstrap_key: ArcSwapOption::new(parts.config.admin.bootstrap_key.clone().map(Arc::new)),
            config: parts.config,
            snapshots: parts.snapshots,
            audience: Arc::new(parts.audience),
            frequency: parts.frequency,
            contacts: Arc::new(parts.contacts),
            pacing: parts.pacing,
            funnels: parts.funnels,
            samples: parts.samples,
            learner: parts.learner,
            ledger: parts.ledger,
            events: parts.events,
            token_keys: ArcSwap::from_pointee(parts.token_keys),
            public_url: parts.public_url,
            clock: parts.clock,
            wall: parts.wall,
            metrics: parts.metrics,
            settings: parts.settings,
            in_flight: AtomicUsize::new(0),
            over_open_holds: ArcSwap::default(),
            seen: Mutex::default(),
            played: Mutex::default(),
            delivery: DashMap::new(),
            publisher: OnceLock::new(),
            forecasting: Mutex::new(()),
            api: OnceLock::new(),
            phase: AtomicU8::new(Phase::Starting as u8),
        }
    }

    /// Where the process is in its life.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            0 => Phase::Starting,
            1 => Phase::Serving,
            2 => Phase::Draining,
            _ => Phase::Closing,
        }
    }

    /// Moves on; never back.
    pub fn enter(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Relaxed);
    }

    /// Follows another configuration as far as that needs no restart: limits of requests, and the first key.
    pub fn take_up(&self, config: &Config) {
        self.limits.store(Arc::new(limits(config)));
        self.bootstrap_key.store(config.admin.bootstrap_key.clone().map(Arc::new));
    }

    /// What the time is.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The configuration of the start.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The books.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// The event log, where one is kept.
    pub fn events(&self) -> Option<&EventLog> {
        self.events.as_ref()
    }

    /// Signs and verifies with another ring from now on. Tokens that are on their way stay good as long as the ring
    /// holds their key.
    pub fn publish_token_keys(&self, keys: TokenKeys) {
        self.token_keys.store(Arc::new(keys));
    }

    /// Changes of the account are taken up by whoever this asks, from now on.
    pub(super) fn accept_accounts(&self, requests: Requests) {
        if self.publisher.set(requests).is_err() {
            tracing::error!("two publishers were started; the first one stands");
        }
    }

    /// Has the newest account taken up soon, without waiting for it.
    pub fn poke_publisher(&self) {
        if let Some(publisher) = self.publisher.get() {
            publisher.poke();
        }
    }

    /// Calls of the admin listener are answered by `api` from now on, as far as the paths are its own.
    pub fn offer_api(&self, api: Arc<dyn Api>) {
        if self.api.set(api).is_err() {
            tracing::error!("two control planes were offered; the first one stands");
        }
    }

    /// The control plane.
    pub(super) fn api(&self) -> Option<&Arc<dyn Api>> {
        self.api.get()
    }

    /// Who takes up changes of the account.
    pub(super) fn publisher(&self) -> Option<&Requests> {
        self.publisher.get()
    }

    /// The audience index.
    pub fn audience(&self) -> &AudienceIndex {
        self.audience.index()
    }

    /// Where the audience is changed.
    pub fn people(&self) -> &Store {
        &self.audience
    }

    /// How often people were shown what.
    pub fn frequency(&self) -> &FrequencyTable {
        &self.frequency
    }

    /// The same, to be kept by who shows it.
    pub fn frequency_kept(&self) -> Arc<FrequencyTable> {
        Arc::clone(&self.frequency)
    }

    /// Forgets everybody that these keys are of, in the audience, in what they were shown, in the contacts, in the event
    /// log and in the sampled requests, durably.
    ///
    /// # Errors
    /// A disk refused. What can be read in memory is forgotten all the same; the same call again tries the disk again.
    pub fn forget(&self, keys: &[UserKey]) -> Result<ForgottenEverywhere, NotForgotten> {
        let kin = self.people().kin(keys);
        let events = self.events.as_ref().map_or(Ok(()), |events| events.forget(&kin));
        let people = self.people().forget_these(kin.clone(), self.clock.now().unix_s());
        // Behind the register of the erased: whoever notes a contact looks there afterwards.
        let contacts = self.contacts.erase(&kin);
        kin.iter().for_each(|key| {
            self.frequency.erase(*key);
        });
        let shown = self.frequency.sync();
        let samples = self.samples.erase(&kin);
        self.people().sync()?;
        shown?;
        events?;
        samples?;
        Ok(ForgottenEverywhere { people, contacts: contacts? })
    }

    /// How people can be reached elsewhere, to be kept by who changes it.
    pub fn contacts(&self) -> Arc<Contacts> {
        Arc::clone(&self.contacts)
    }

    /// The same, to be kept by who changes it.
    pub fn people_kept(&self) -> Arc<Store> {
        Arc::clone(&self.audience)
    }

    /// The secret under which identifiers are hashed.
    pub fn id_key(&self) -> &IdKey {
        self.audience.id_key()
    }

    /// Where snapshots are published.
    pub fn snapshots(&self) -> &SnapshotCell {
        &self.snapshots
    }

    /// The counters.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

fn limits(config: &Config) -> Limits {
    let limits = &config.limits;
    Limits {
        body: limits.body_bytes,
        inflated_body: limits.inflated_bytes,
        depth: limits.depth,
        imps: limits.imps,
        deals: limits.deals,
        string: limits.string_bytes,
        native_request: limits.native_request_bytes,
        array: limits.array_items,
        block_list: limits.block_list_items,
    }
}

/// When spending counts as running away, as configured.
pub fn runaway_rule(config: &Config) -> RunawayRule {
    RunawayRule {
        factor: i64::try_from(config.ledger.runaway_factor).unwrap_or(i64::MAX),
        stops: config.ledger.on_runaway == OnRunaway::Stop,
    }
}
