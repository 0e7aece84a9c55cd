//! How far requests got: what the funnel of a line item or an exchange is made of.

use super::ids::{ExchangeId, LineItemId};
use super::money::Nanos;
use super::no_bid::NoBidReason;

const REASONS: usize = NoBidReason::ALL.len();

/// Where requests ended: for a line item where it got furthest in each, for an exchange where the line item did that got
/// furthest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ends([u64; Ends::CELLS]);

impl Default for Ends {
    fn default() -> Ends {
        Ends([0; Ends::CELLS])
    }
}

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
        let Some(count) = self.0.get_mut(usize::from(cell)) else { return false };
        *count = count.saturating_add(requests);
        true
    }

    /// Adds all of `more`.
    pub fn merge(&mut self, more: &Ends) {
        self.0.iter_mut().zip(more.0).for_each(|(count, more)| *count = count.saturating_add(more));
    }

    /// Requests that ended for a reason.
    pub fn of(&self, reason: NoBidReason) -> u64 {
        self.0[reason as usize]
    }

    /// Requests with a bid.
    pub fn bids(&self) -> u64 {
        self.0[usize::from(Ends::BID)]
    }

    /// All of them.
    pub fn sum(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|count| *count == 0)
    }

    /// The cells that any request ended in, with how many did.
    pub fn cells(&self) -> impl Iterator<Item = (u8, u64)> {
        (0u8..).zip(self.0).filter(|(_, count)| *count > 0)
    }

    /// The reasons that ended any, in rank order, with how many.
    pub fn reasons(&self) -> impl Iterator<Item = (NoBidReason, u64)> {
        NoBidReason::ALL.into_iter().zip(self.0).filter(|(_, count)| *count > 0)
    }
}

/// The requests of an exchange.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ExchangeEnds {
    /// Those that were refused as a whole, [`NoBidReason::NoMatch`] among them: no line item was found.
    pub whole: Ends,
    /// The others, for each of which some line item was found.
    pub found: Ends,
}

impl ExchangeEnds {
    /// All of them.
    pub fn requests(&self) -> u64 {
        self.whole.sum() + self.found.sum()
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
    /// Deals that were offered and that some line item wants, by exchange and the exchange's id of the deal: where the line item
    /// ended that got furthest on it, [`NoBidReason::NoMatch`] where none was found for it.
    pub deals: Vec<(ExchangeId, String, Ends)>,
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
