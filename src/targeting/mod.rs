//! Which line items may be shown in an impression: configured [`Targeting`] compiled into an index.
//!
//! [`Matcher::compile`] runs when a catalog is built; on the bid path [`Matcher::request`] does the work that all
//! impressions of a request share, and [`Matcher::candidates`] answers for one impression. [`naive`] says the same
//! of one line item by reading its rules one after another, and names the first one that fails.
//!
//! Invariant: the candidates are exactly the line items for which [`naive::matches`] holds (property tests in
//! `tests/it/targeting/`). The rules themselves are stated in [`crate::model::targeting`].
//!
//! Deliberately absent: everything that changes between two builds of a catalog (flights, money, pacing, frequency)
//! and everything that depends on the creative beyond its size (block lists, attributes, kinds of placement). A target of device type 4
//! (phone) does not accept 1 (mobile or tablet).

mod compile;
mod dim;
mod matcher;
pub mod naive;
mod normalise;
mod placement;
mod plan;
mod terms;
pub mod week;

pub use matcher::{Matcher, Scratch};
pub use normalise::addresses;

use crate::model::auction::{Auction, Geo};
use crate::model::ids::{ExchangeId, SegmentId};
use crate::model::targeting::{Fit, Targeting};

/// A line item inside one catalog: its position in the inputs of [`Matcher::compile`]. It means nothing in another
/// catalog; what outlives a rebuild is keyed by `LineItemId`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LineItemIx(pub u32);

/// What the index must know of one line item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MatchInput<'a> {
    /// Whom to reach.
    pub targeting: &'a Targeting,
    /// What its usable creatives fill: only an impression that offers one of these can match. Empty = none.
    pub fits: &'a [Fit],
}

/// What is known when a request is matched.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'r> {
    /// Who asks.
    pub exchange: ExchangeId,
    /// The request.
    pub auction: &'r Auction<'r>,
    /// Whether what is known of the user may be used: without it `segments` and `user.keywords` count as absent.
    pub user_permitted: bool,
    /// Raw memberships of the user, in any order; empty = unknown.
    pub segments: &'r [SegmentId],
    /// Operating system family that the caller resolved; `None` = `device.os` stands.
    pub os: Option<&'r str>,
    /// Browser family that the caller resolved; `None` = unknown.
    pub browser: Option<&'r str>,
    /// Civil time in seconds since the Unix epoch.
    pub unix_s: i64,
}

/// Whether a place lies in a region as targeting lists it, such as `us-ca`.
pub fn is_in_region(geo: &Geo<'_>, listed: &str) -> bool {
    let Some((Some(country), region)) = normalise::region(geo) else { return false };
    listed.split_once('-').is_some_and(|(place, part)| {
        place.eq_ignore_ascii_case(country.as_str()) && part.eq_ignore_ascii_case(region)
    })
}

/// Why a catalog's targeting cannot be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// A daypart names a zone that the time zone database does not have.
    #[error("line item at index {} has a daypart in an unusable time zone: {source}", line_item.0)]
    TimeZone {
        /// The line item.
        line_item: LineItemIx,
        /// The zone and what is wrong with it.
        source: week::ZoneError,
    },
    /// More line items than the index can number.
    #[error("{found} line items are more than the limit of {limit}: split the account")]
    TooManyLineItems {
        /// How many were given.
        found: usize,
        /// How many are allowed.
        limit: usize,
    },
}
