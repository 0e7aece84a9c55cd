//! How far requests got: what the funnel of a line item or an exchange is made of.

use super::ids::{DealId, ExchangeId, LineItemId};
use super::money::Nanos;
use super::no_bid::NoBidReason;
use std::collections::BTreeMap;

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

    /// Forgets them all and keeps the room.
    pub fn clear(&mut self) {
        self.0.clear();
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
    /// Why each line item was not found; of one that was found in all of them there may be nothing.
    pub missed: Vec<(LineItemId, Ends)>,
}

impl Counted {
    /// Whether nothing was.
    pub fn is_empty(&self) -> bool {
        self.exchanges.is_empty() && self.line_items.is_empty() && self.deals.is_empty()
    }
}

/// What came after bids, when it came.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct After {
    /// Bids that were said to have won.
    pub wins: u64,
    /// Bids that were said to have lost.
    pub losses: u64,
    /// The same by code ([`Loss`]), ascending; those that lost without a word of why are under [`Loss::UNTOLD`].
    pub lost: Vec<(Loss, u64)>,
    /// Bills that were charged.
    pub billed: u64,
    /// Impressions that were seen.
    pub impressions: u64,
    /// Clicks.
    pub clicks: u64,
    /// Conversions that are its success and follow from its ads.
    pub conversions: u64,
    /// What was charged, in the advertiser's currency; of an exchange or a deal nothing, as its advertisers may have
    /// several.
    pub spend: Nanos,
}

impl After {
    /// Counts losses for a reason.
    pub fn lose(&mut self, why: Loss, losses: u64) {
        self.losses = self.losses.saturating_add(losses);
        self.add_lost(why, losses);
    }

    fn add_lost(&mut self, why: Loss, losses: u64) {
        match self.lost.binary_search_by_key(&why, |(why, _)| *why) {
            Ok(at) => self.lost[at].1 = self.lost[at].1.saturating_add(losses),
            Err(at) => self.lost.insert(at, (why, losses)),
        }
    }

    /// Losses for the reasons that are meant.
    pub fn lost_by(&self, is_meant: impl Fn(Loss) -> bool) -> u64 {
        let meant = self.lost.iter().filter(|(why, _)| is_meant(*why));
        meant.fold(0, |sum, (_, losses)| sum.saturating_add(*losses))
    }

    /// Adds all of `more`.
    pub fn merge(&mut self, more: &After) {
        let counts = [
            (&mut self.wins, more.wins),
            (&mut self.losses, more.losses),
            (&mut self.billed, more.billed),
            (&mut self.impressions, more.impressions),
            (&mut self.clicks, more.clicks),
            (&mut self.conversions, more.conversions),
        ];
        counts.into_iter().for_each(|(count, more)| *count = count.saturating_add(more));
        self.spend.0 = self.spend.0.saturating_add(more.spend.0);
        more.lost.iter().for_each(|(why, losses)| self.add_lost(*why, *losses));
    }
}

/// Why a bid was lost, as `${AUCTION_LOSS}` says it (OpenRTB 3.0, "Loss Reason Codes", which 2.6 uses): few values, whatever an
/// exchange sends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Loss(u16);

impl Loss {
    /// Nobody said why.
    pub const UNTOLD: Loss = Loss(u16::MAX);
    /// A code that no list has.
    const UNKNOWN: Loss = Loss(499);
    /// Any of an exchange's own codes.
    const EXCHANGE: Loss = Loss(500);

    /// By its code.
    pub fn of(code: Option<u16>) -> Loss {
        match code {
            None => Loss::UNTOLD,
            Some(500..) => Loss::EXCHANGE,
            Some(code @ (0..=10 | 100..=104 | 200..=215)) => Loss(code),
            Some(_) => Loss::UNKNOWN,
        }
    }

    /// As a number that [`Loss::of_number`] reads again.
    pub fn number(self) -> u16 {
        self.0
    }

    /// What [`Loss::number`] wrote.
    pub fn of_number(number: u16) -> Loss {
        if number == u16::MAX { Loss::UNTOLD } else { Loss::of(Some(number)) }
    }

    /// Its label: the code, or what it is in place of one.
    pub fn label(self) -> String {
        match self {
            Loss::UNTOLD => "none".to_owned(),
            Loss::EXCHANGE => "exchange".to_owned(),
            Loss::UNKNOWN => "unknown".to_owned(),
            Loss(code) => code.to_string(),
        }
    }

    /// The bid itself was at fault, and somebody here should look: the answer was broken, or the ad was one that the request
    /// or the exchange does not take.
    pub fn is_our_fault(self) -> bool {
        self.is_our_bug() || self.is_creative()
    }

    /// The answer was broken.
    pub fn is_our_bug(self) -> bool {
        matches!(self.0, 3..=10)
    }

    /// The ad was filtered.
    pub fn is_creative(self) -> bool {
        matches!(self.0, 200..=215)
    }

    /// It came too late.
    pub fn is_too_late(self) -> bool {
        self.0 == 2
    }
}

/// What came after bids in a stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// By line item.
    pub line_items: BTreeMap<LineItemId, After>,
    /// By exchange.
    pub exchanges: BTreeMap<ExchangeId, After>,
    /// By deal.
    pub deals: BTreeMap<DealId, After>,
}

impl Followed {
    /// Whether nothing did.
    pub fn is_empty(&self) -> bool {
        self.line_items.is_empty() && self.exchanges.is_empty() && self.deals.is_empty()
    }
}

/// How far a budget of the day is spent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// The budget of the day.
    pub budget: Nanos,
    /// What the plan asks for by now.
    pub planned: Nanos,
    /// What was spent.
    pub spent: Nanos,
}

impl Progress {
    /// Parts of 1,000 that are spent of what is planned.
    pub fn of_plan_permille(self) -> i64 {
        let permille = i128::from(self.spent.0) * 1_000 / i128::from(self.planned.0.max(1));
        i64::try_from(permille).unwrap_or(i64::MAX)
    }

    /// Parts of 1,000 of the budget that are planned by now.
    pub fn planned_permille(self) -> i64 {
        let permille = i128::from(self.planned.0) * 1_000 / i128::from(self.budget.0.max(1));
        i64::try_from(permille).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_of_the_list_has_its_label_and_the_rest_share_theirs() {
        let check = |code: Option<u16>, expected: &str| {
            let loss = Loss::of(code);
            assert_eq!(loss.label(), expected);
            assert_eq!(Loss::of_number(loss.number()), loss);
        };
        for code in (0..=10).chain(100..=104).chain(200..=215) {
            check(Some(code), &code.to_string());
        }
        for code in [11, 99, 105, 216, 499] {
            check(Some(code), "unknown");
        }
        check(Some(500), "exchange");
        check(Some(u16::MAX), "exchange");
        check(None, "none");
    }

    #[test]
    fn our_faults_are_told_from_prices_that_lost() {
        let at_fault: Vec<u16> = (0..1_000).filter(|code| Loss::of(Some(*code)).is_our_fault()).collect();
        let expected: Vec<u16> = (3..=10).chain(200..=215).collect();
        assert_eq!(at_fault, expected);
    }
}
