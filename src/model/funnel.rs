//! How far requests got: what the funnel of a line item or an exchange is made of.

use super::ids::{DealId, ExchangeId, LineItemId};
use super::money::Nanos;
use super::no_bid::NoBidReason;

const REASONS: usize = NoBidReason::ALL.len();

/// Where requests ended: for a line item where it got furthest in each, for an exchange where the line item did that got
/// furthest. Few cells have any.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ends(Vec<(u8, u64)>);

impl Ends {
    /// A cell for each of [`NoBidReason::ALL`], in rank order, and one for bids.
    pub const CELLS: usize = REASONS + 1;
    /// The cell of bids.
    pub const BID: u8 = REASONS as u8;

    /// The cell of a reason.
    pub fn cell(reason: NoBidReason) -> u8 {
        reason as u8
    }

    /// Adds requests to a cell; one that does not exist is refused.
    #[must_use]
    pub fn add(&mut self, cell: u8, requests: u64) -> bool {
        if usize::from(cell) >= Ends::CELLS {
            return false;
        }
        if requests > 0 {
            match self.0.binary_search_by_key(&cell, |(cell, _)| *cell) {
                Ok(at) => self.0[at].1 = self.0[at].1.saturating_add(requests),
                Err(at) => self.0.insert(at, (cell, requests)),
            }
        }
        true
    }

    /// Adds all of `more`.
    pub fn merge(&mut self, more: &Ends) {
        for (cell, requests) in &more.0 {
            let exists = self.add(*cell, *requests);
            debug_assert!(exists, "the cells of all are the same");
        }
    }

    /// Requests that ended for a reason.
    pub fn of(&self, reason: NoBidReason) -> u64 {
        self.in_cell(Ends::cell(reason))
    }

    /// Requests with a bid.
    pub fn bids(&self) -> u64 {
        self.in_cell(Ends::BID)
    }

    fn in_cell(&self, cell: u8) -> u64 {
        self.0.binary_search_by_key(&cell, |(cell, _)| *cell).map_or(0, |at| self.0[at].1)
    }

    /// All of them.
    pub fn sum(&self) -> u64 {
        self.0.iter().fold(0, |sum, (_, requests)| sum.saturating_add(*requests))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The cells that any request ended in, with how many did.
    pub fn cells(&self) -> impl Iterator<Item = (u8, u64)> {
        self.0.iter().copied()
    }

    /// The reasons that ended any, in rank order, with how many.
    pub fn reasons(&self) -> impl Iterator<Item = (NoBidReason, u64)> {
        self.cells()
            .filter_map(|(cell, requests)| Some((*NoBidReason::ALL.get(usize::from(cell))?, requests)))
    }
}

/// The requests of an exchange.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ExchangeEnds {
    /// Those that were refused as a whole, [`NoBidReason::NoMatch`] among them: no line item was found.
    pub whole: Ends,
    /// The others, for each of which some line item was found.
    pub found: Ends,
}

impl ExchangeEnds {
    /// All of them.
    pub fn requests(&self) -> u64 {
        self.whole.sum().saturating_add(self.found.sum())
    }

    /// Adds all of `more`.
    pub fn merge(&mut self, more: &ExchangeEnds) {
        self.whole.merge(&more.whole);
        self.found.merge(&more.found);
    }
}

/// What was counted in a stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Exchanges that sent anything.
    pub exchanges: Vec<(ExchangeId, ExchangeEnds)>,
    /// Line items that were found for anything.
    pub line_items: Vec<(LineItemId, Ends)>,
    /// Deals that were offered and that some line item wants: where the one of them ended that got furthest,
    /// [`NoBidReason::NoMatch`] where none was found.
    pub deals: Vec<(DealId, Ends)>,
}

/// What requests that were looked at closely say of line items that were not found for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// How many.
    pub requests: u64,
    /// Why each line item was not found.
    pub missed: Vec<(LineItemId, Ends)>,
}

impl Counted {
    /// Whether nothing was.
    pub fn is_empty(&self) -> bool {
        self.exchanges.is_empty() && self.line_items.is_empty() && self.deals.is_empty()
    }
}

/// What came after the bids of a line item, when it came.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct After {
    /// Bids that were said to have won.
    pub wins: u64,
    /// Bids that were said to have lost.
    pub losses: u64,
    /// Bills that were charged.
    pub billed: u64,
    /// Impressions that were seen.
    pub impressions: u64,
    /// Clicks.
    pub clicks: u64,
    /// Conversions that are its success and follow from its ads.
    pub conversions: u64,
    /// What was charged, in the advertiser's currency.
    pub spend: Nanos,
}
