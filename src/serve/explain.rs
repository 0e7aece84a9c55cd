//! Explains a request on what serves this moment, without holding money or signing anything.

use super::state::Shared;
use crate::audience::AudienceIndex;
use crate::engine::{self, BidIds, Core, Explanation, Remembered, Request};
use crate::exchange;
use crate::model::ids::LineItemId;
use crate::model::sample::SampledRequest;
use crate::privacy::Permissions;
use bumpalo::Bump;

/// Why a request cannot be explained.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotExplained {
    /// No such exchange serves.
    #[error("no exchange {0:?} serves; give the name of one that is active")]
    Exchange(String),
    /// It would be refused unread.
    #[error("the request would be answered with status {status}: {why}")]
    Refused {
        /// The status.
        status: u16,
        /// What is wrong with it.
        why: String,
    },
}

fn refused(error: exchange::ParseError) -> NotExplained {
    NotExplained::Refused { status: error.status(), why: error.to_string() }
}

impl Shared {
    /// What would be decided on a request of the exchange with this name, as JSON, and why, for the line items that are `wanted`;
    /// `show` makes something of it. Who may not know people hears what would become of somebody whom nobody knows: the segments
    /// are those that the request names, and nothing was shown before.
    ///
    /// # Errors
    /// There is no such exchange, or the request would be refused unread.
    pub fn explain<R>(
        &self,
        exchange: &str,
        body: &[u8],
        knows_people: bool,
        wanted: &dyn Fn(LineItemId) -> bool,
        show: impl FnOnce(&Explanation) -> R,
    ) -> Result<R, NotExplained> {
        let snapshot = self.snapshots.load();
        let profile = snapshot.catalog.exchange(exchange);
        let profile = profile.ok_or_else(|| NotExplained::Exchange(exchange.to_owned()))?;
        let (arena, nobody) = (Bump::new(), AudienceIndex::default());
        let auction = exchange::parse(body, &self.limits.load(), &arena).map_err(refused)?;
        let request = Request {
            auction: &auction,
            profile,
            snapshot: &snapshot,
            audience: if knows_people { self.audience() } else { &nobody },
            remembered: None,
            frequency: knows_people.then_some(&*self.frequency),
            id_key: self.id_key(),
            settings: &self.settings,
            now: self.clock.now(),
            arena: &arena,
        };
        let mut core = Core::new(BidIds::new(self.ledger.epoch(), u16::MAX));
        Ok(show(&engine::explain_some(&request, &mut core, &self.ledger, wanted)))
    }

    /// The same of a request of the sample, on what serves this moment, with what the privacy gate answered when it came. Who may
    /// know people hears of the segments that counted then; whose request it was nobody knows any more, so that nothing was
    /// shown before.
    ///
    /// # Errors
    /// Its exchange serves no more, or the request would be refused unread by now.
    pub fn explain_sampled<R>(
        &self,
        sampled: &SampledRequest,
        knows_people: bool,
        wanted: &dyn Fn(LineItemId) -> bool,
        show: impl FnOnce(&Explanation) -> R,
    ) -> Result<R, NotExplained> {
        let snapshot = self.snapshots.load();
        let profile = snapshot.catalog.exchange_by_id(sampled.exchange);
        let profile =
            profile.ok_or_else(|| NotExplained::Exchange(format!("number {}", sampled.exchange)))?;
        let (arena, nobody) = (Bump::new(), AudienceIndex::default());
        let limits = self.limits.load().inflated();
        let parsed = exchange::parse_either(&sampled.body, sampled.protobuf, &limits, &arena);
        let auction = parsed.map_err(refused)?;
        let remembered = Remembered {
            permissions: Permissions::of_bits(sampled.permissions),
            known: knows_people && sampled.known,
            segments: if knows_people { &sampled.segments } else { &[] },
            refused: if knows_people { &sampled.refused } else { &[] },
        };
        let request = Request {
            auction: &auction,
            profile,
            snapshot: &snapshot,
            audience: &nobody,
            remembered: Some(&remembered),
            frequency: None,
            id_key: self.id_key(),
            settings: &self.settings,
            now: self.clock.now(),
            arena: &arena,
        };
        let mut core = Core::new(BidIds::new(self.ledger.epoch(), u16::MAX));
        Ok(show(&engine::explain_some(&request, &mut core, &self.ledger, wanted)))
    }
}
