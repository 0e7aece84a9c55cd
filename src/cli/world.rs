//! What a request can be decided on without a server: the account and audience of a data directory, or the demo's. The
//! books are in memory and begin full; nothing that is decided here holds money, and nothing is written.

use super::{Failure, boot, demo};
use crate::audience::{AudienceIndex, IdKey};
use crate::budget::Ledger;
use crate::config::Config;
use crate::engine::{self, BidIds, Core, Explanation, Request, Settings, Snapshot};
use crate::model::account::Account;
use crate::model::auction::Auction;
use crate::model::clock::Clock;
use crate::model::exchange::ExchangeProfile;
use crate::model::money::{Cpm, Nanos};
use crate::privacy::Policy;
use crate::serve::privacy_policy;
use crate::store::data_dir::DataDir;
use crate::telemetry::clock::SystemClock;
use anyhow::anyhow;
use bumpalo::Bump;
use std::sync::Arc;

/// An account with its audience.
pub(super) struct World {
    pub(super) snapshot: Snapshot,
    audience: AudienceIndex,
    id_key: IdKey,
    ledger: Ledger,
    settings: Settings,
    clock: SystemClock,
}

impl World {
    /// The demo's, or that of the data directory. It is only read, without a lock, so that a running server can be asked
    /// about.
    pub(super) fn open(config: &Config, demo: bool) -> Result<World, Failure> {
        if demo { World::demo() } else { World::stored(config) }
    }

    fn stored(config: &Config) -> Result<World, Failure> {
        boot::require_account(&config.data.dir)?;
        let data =
            DataDir::open_read_only(&config.data.dir).map_err(|error| Failure::Failed(error.into()))?;
        let account = boot::stored_account(&data, config)?;
        let id_key = boot::id_key(&data)?;
        let audience = boot::audience(&data, &id_key)?;
        let policy = privacy_policy(&config.privacy);
        let mut world = World::of(account, audience, id_key, config.track.public_url.is_https(), policy)?;
        world.snapshot.learned = Arc::new(boot::learned(&data, config)?);
        Ok(world)
    }

    /// The demo's, whose URLs are https.
    pub(super) fn demo() -> Result<World, Failure> {
        let id_key = IdKey([0; 16]);
        let audience = demo::audience(&id_key)?;
        World::of(demo::account(), audience, id_key, true, Policy::default())
    }

    fn of(
        account: Account,
        audience: AudienceIndex,
        id_key: IdKey,
        tracking_is_https: bool,
        privacy: Policy,
    ) -> Result<World, Failure> {
        let rates = Arc::new(account.rates.clone());
        let catalog = Arc::new(boot::compile(account, 1)?);
        let clock = SystemClock::new();
        let now = clock.now();
        let ledger = Ledger::in_memory(1, 1, now);
        let funded = ledger.configure(catalog.funding().collect(), now);
        funded.map_err(|refused| Failure::Failed(refused.into()))?;
        let settings = Settings {
            seed: 0,
            tracking_is_https,
            max_candidates: 256,
            max_charge: Nanos(i64::MAX),
            max_cpm: Cpm::MAX,
            privacy,
        };
        Ok(World {
            snapshot: Snapshot { catalog, rates, learned: Arc::default() },
            audience,
            id_key,
            ledger,
            settings,
            clock,
        })
    }

    /// The exchange of a name; the account's first where none is named.
    pub(super) fn exchange(&self, name: Option<&str>) -> Result<&ExchangeProfile, Failure> {
        let exchanges = self.snapshot.catalog.exchanges();
        let found = exchanges.iter().find(|profile| name.is_none_or(|name| profile.name == name));
        found.ok_or_else(|| {
            let known: Vec<&str> = exchanges.iter().map(|profile| profile.name.as_str()).collect();
            let (wanted, known) = (name.unwrap_or("at all"), known.join(", "));
            Failure::Failed(anyhow!("there is no exchange {wanted:?}; there are: {known}"))
        })
    }

    /// A request of an exchange, as it would be decided now.
    pub(super) fn request<'r>(
        &'r self,
        auction: &'r Auction<'r>,
        profile: &'r ExchangeProfile,
        arena: &'r Bump,
    ) -> Request<'r> {
        Request {
            auction,
            profile,
            snapshot: &self.snapshot,
            audience: &self.audience,
            remembered: None,
            frequency: None,
            id_key: &self.id_key,
            settings: &self.settings,
            now: self.clock.now(),
            arena,
        }
    }

    /// What would be decided, and why.
    pub(super) fn explain(&self, request: &Request<'_>) -> Explanation {
        engine::explain(request, &mut Core::new(BidIds::new(0, 0)), &self.ledger)
    }
}
