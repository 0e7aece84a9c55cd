//! What goes into a decision, and what a core keeps between decisions.

use super::catalog::Catalog;
use super::device::FamilyCache;
use super::outlook::Outlook;
use super::snapshot::Snapshot;
use super::survivors::Survivors;
use crate::audience::{AudienceIndex, IdKey, Keys, Lookup};
use crate::budget::frequency::{FrequencyTable, Seen};
use crate::model::auction::Auction;
use crate::model::clock::Now;
use crate::model::exchange::ExchangeProfile;
use crate::model::ids::{BidId, SegmentId, UserKey};
use crate::model::money::{Cpm, Nanos};
use crate::privacy::{Permissions, Policy};
use crate::targeting::Scratch;
use crate::targeting::week::Hours;
use bumpalo::Bump;

/// Settings of the engine that come from the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Exploration, rotation and ties derive from (seed, request id, impression id).
    pub seed: u64,
    /// Whether `track.public_url` is https: else impressions with `secure = 1` are not bid on.
    pub tracking_is_https: bool,
    /// Most survivors of one impression that are scored, by upper bound; those with deals are counted apart, so that
    /// the open auction never crowds out a deal.
    pub max_candidates: usize,
    /// Largest charge of one bid, in nanos of the rates' base currency (money.md 2.1: `max_charge_per_bid`).
    pub max_charge: Nanos,
    /// Never bid above this anywhere, in the rates' base currency (money.md 2.7).
    pub max_cpm: Cpm,
    /// What consent strings are read by.
    pub privacy: Policy,
}

/// What was known of somebody when a request came: what a request is decided with once more that is kept without what
/// names the person.
#[derive(Clone, Copy, Debug)]
pub struct Remembered<'r> {
    /// What the privacy gate answered.
    pub permissions: Permissions,
    /// Some key had a live membership.
    pub known: bool,
    /// Segments that the index found for the person, ascending; those that the request itself names are read again.
    pub segments: &'r [SegmentId],
    /// Sensitive segments that did not count, ascending.
    pub refused: &'r [SegmentId],
}

/// One request with everything its decision may read.
#[derive(Clone, Copy)]
pub struct Request<'r> {
    /// The parsed request.
    pub auction: &'r Auction<'r>,
    /// The exchange that sent it.
    pub profile: &'r ExchangeProfile,
    /// The snapshot that it is decided on.
    pub snapshot: &'r Snapshot,
    /// Who belongs to which segment.
    pub audience: &'r AudienceIndex,
    /// In place of the privacy gate and of the audience, for a request that is decided once more.
    pub remembered: Option<&'r Remembered<'r>>,
    /// How often people were shown what; `None` where nobody counts.
    pub frequency: Option<&'r FrequencyTable>,
    /// Key of the user hashes.
    pub id_key: &'r IdKey,
    /// Settings.
    pub settings: &'r Settings,
    /// The one clock reading that all impressions share.
    pub now: Now,
    /// Where the decision's bids live.
    pub arena: &'r Bump,
}

impl<'r> Request<'r> {
    /// The catalog of the snapshot.
    pub fn catalog(&self) -> &'r Catalog {
        &self.snapshot.catalog
    }
}

/// Hands out bid ids.
#[derive(Clone, Copy, Debug)]
pub struct BidIds {
    next: BidId,
}

impl BidIds {
    /// Ids of one core from one boot on.
    pub fn new(epoch: u32, core: u16) -> BidIds {
        BidIds { next: BidId { epoch, core, sequence: 0 } }
    }

    /// What [`BidIds::next`] will be.
    pub(super) fn peek(&self) -> BidId {
        self.next
    }

    /// The next id.
    pub(super) fn next(&mut self) -> BidId {
        let id = self.next;
        self.next.sequence += 1;
        id
    }
}

/// What one core reuses from request to request, so that a decision allocates nothing.
pub struct Core {
    pub(super) bid_ids: BidIds,
    pub(super) families: FamilyCache,
    pub(super) scratch: Scratch,
    pub(super) keys: Keys,
    pub(super) lookup: Lookup,
    pub(super) user_permitted: bool,
    /// This request's impressions count for frequency caps, and `seen` says what was shown before.
    pub(super) counts_shows: bool,
    pub(super) seen: Seen,
    pub(super) segment_entries: Vec<u32>,
    /// Of the impression at hand.
    pub(super) survivors: Survivors,
    /// What the candidates for the impression at hand share.
    pub(super) outlook: Outlook,
    pub(super) hours: Hours,
    /// Version of the catalog that the hours belong to.
    pub(super) hours_of: u64,
    /// Survivors per impression since the last look: for the metrics.
    pub last_survivors: Vec<u32>,
    /// What the privacy gate answered to the last request that reached it: for the metrics.
    pub last_permissions: Option<Permissions>,
}

impl Core {
    /// Lets go of what the core holds of an audience that has moved on: now and then, as a core without requests does not
    /// notice by itself.
    pub fn lets_go(&mut self, audience: &AudienceIndex) {
        self.lookup.lets_go(audience);
    }

    /// Whose request was decided last; `None` = nobody can be told, or the request forbids to.
    pub fn person(&self) -> Option<UserKey> {
        self.last_permissions?.ids().and(self.lookup.primary)
    }

    /// A core that gives its bids ids from `bid_ids`.
    pub fn new(bid_ids: BidIds) -> Core {
        Core {
            bid_ids,
            families: FamilyCache::default(),
            scratch: Scratch::default(),
            keys: Keys::default(),
            lookup: Lookup::default(),
            user_permitted: false,
            counts_shows: false,
            seen: Seen::default(),
            segment_entries: Vec::new(),
            survivors: Survivors::default(),
            outlook: Outlook::default(),
            hours: Hours::default(),
            hours_of: 0,
            last_survivors: Vec::new(),
            last_permissions: None,
        }
    }
}
