//! What the house bears, what an exchange's bills amount to, and what a kill switch stops: values of the books.

use super::record;
use crate::model::ids::{AdvertiserId, CampaignId, ExchangeId};
use crate::model::money::Nanos;

/// A day of the house's limits, in seconds: UTC, because an exchange has no zone of its own.
pub(super) const DAY_S: u32 = 86_400;

/// What the house bears, in nanos of the wallet's currency.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HouseTotals {
    /// Bills that no account had room for.
    pub overdelivery: Nanos,
    /// What exceeded the hold.
    pub overprice: Nanos,
    /// Bills that came too late to be charged.
    pub stale: Nanos,
}

impl HouseTotals {
    pub(super) fn add(&mut self, other: &HouseTotals) {
        let add = |sum: &mut Nanos, more: Nanos| sum.0 = sum.0.saturating_add(more.0);
        add(&mut self.overdelivery, other.overdelivery);
        add(&mut self.overprice, other.overprice);
        add(&mut self.stale, other.stale);
    }
}

/// What the bills of one exchange amount to, in units.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ExchangeBook {
    /// It sent a verified bill at least once.
    pub has_billed: bool,
    /// What it was ever trusted with before that.
    pub trial: i64,
    /// The UTC day of the last bill, in days since 1970-01-01.
    pub day: u32,
    /// Charged on that day.
    pub spent: i64,
    /// Borne by the house on that day.
    pub house: i64,
    /// Charged on the day before.
    pub spent_before: i64,
    /// So much of `house` was pardoned by an operator.
    pub pardoned: i64,
}

impl ExchangeBook {
    /// The book as it reads on `day`: a new day begins with nothing borne.
    pub fn on(&self, day: u32) -> ExchangeBook {
        match day.saturating_sub(self.day) {
            0 => *self,
            gap => ExchangeBook {
                day,
                spent: 0,
                house: 0,
                pardoned: 0,
                spent_before: if gap == 1 { self.spent } else { 0 },
                ..*self
            },
        }
    }
}

/// What a kill switch stops.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stop {
    /// Everything.
    All,
    /// An exchange.
    Exchange(ExchangeId),
    /// An advertiser.
    Advertiser(AdvertiserId),
    /// A campaign.
    Campaign(CampaignId),
}

impl Stop {
    /// The record of throwing or releasing it.
    pub(super) fn record(self, stopped: bool) -> record::Stop {
        let (scope, id) = match self {
            Stop::All => (1, 0),
            Stop::Exchange(id) => (2, u32::from(id.0)),
            Stop::Advertiser(id) => (3, id.0),
            Stop::Campaign(id) => (4, id.0),
        };
        record::Stop { scope, id, stopped }
    }

    pub(super) fn of(stop: &record::Stop) -> Option<Stop> {
        Some(match stop.scope {
            1 => Stop::All,
            2 => Stop::Exchange(ExchangeId(stop.id as u16)),
            3 => Stop::Advertiser(AdvertiserId(stop.id)),
            4 => Stop::Campaign(CampaignId(stop.id)),
            _ => return None,
        })
    }
}
