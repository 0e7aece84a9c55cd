//! What the API sees of the server that runs beside it.

use super::explain;
use crate::admin::{Explained, Serving};
use crate::budget::{Purse, Spending, Standing, Stop};
use crate::funnel::{FunnelError, Span, Step, Whose};
use crate::model::clock::Clock;
use crate::model::ids::{AdvertiserId, LineItemId};
use crate::model::sample::SampledRequest;
use crate::samples::{Found, Query};
use crate::serve::forecast::{Asked, NotForecast, Told};
use crate::serve::{Hour, NotExplained, Shared};
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock, Weak};

/// What the API may ask of the server; nothing before that is there.
pub(super) struct Served {
    shared: Arc<OnceLock<Weak<Shared>>>,
    clock: Arc<dyn Clock>,
}

impl Served {
    /// Of a server that is there once it is put into `shared`.
    pub(super) fn new(shared: Arc<OnceLock<Weak<Shared>>>, clock: Arc<dyn Clock>) -> Served {
        Served { shared, clock }
    }

    fn shared(&self) -> Option<Arc<Shared>> {
        self.shared.get().and_then(Weak::upgrade)
    }
}

impl Serving for Served {
    fn spending(&self, asked: Vec<(AdvertiserId, Purse)>) -> Option<Vec<Spending>> {
        self.shared().map(|shared| shared.ledger().spending(asked, self.clock.now()))
    }

    fn stops(&self) -> BTreeSet<Stop> {
        self.shared().map(|shared| shared.ledger().stops()).unwrap_or_default()
    }

    fn explain(
        &self,
        exchange: &str,
        request: &[u8],
        knows_people: bool,
        wanted: &dyn Fn(LineItemId) -> bool,
    ) -> Result<Explained, NotExplained> {
        let Some(shared) = self.shared() else { return Ok(Explained::default()) };
        shared.explain(exchange, request, knows_people, wanted, explain::told)
    }

    fn explain_sampled(
        &self,
        sampled: &SampledRequest,
        knows_people: bool,
        wanted: &dyn Fn(LineItemId) -> bool,
    ) -> Result<Explained, NotExplained> {
        let Some(shared) = self.shared() else { return Ok(Explained::default()) };
        shared.explain_sampled(sampled, knows_people, wanted, explain::told)
    }

    fn samples(&self, query: &Query) -> Found {
        self.shared().map_or_else(Found::default, |shared| shared.samples(query))
    }

    fn standing(&self, line_item: LineItemId) -> Option<Standing> {
        self.shared()?.ledger().standing(line_item, self.clock.now())
    }

    fn funnel(&self, step: Step, time: (i64, i64), whose: Whose) -> Result<Vec<Span>, FunnelError> {
        self.shared().map_or(Ok(Vec::new()), |shared| shared.funnel(step, time, whose))
    }

    fn health(&self) -> Option<Arc<Hour>> {
        let hour = self.shared()?.health();
        hour.inspect_err(|error| tracing::warn!(%error, "nobody's health is known")).ok()
    }

    fn forecast(&self, asked: Asked) -> Result<Option<Told>, NotForecast> {
        self.shared().map(|shared| shared.forecast(asked)).transpose()
    }

    fn has_audience(&self) -> Option<bool> {
        let stats = self.shared()?.audience().stats();
        Some(stats.base_memberships + stats.overlay_memberships > 0)
    }
}
