//! Floors by precedence (OpenRTB 2.6 implementation guide section 7.11): a bid on a deal answers to the deal's floor,
//! any other to the impression's. A deal's currency never inherits the impression's.

use crate::model::auction::{Deal, Imp};
use crate::model::money::{Cpm, Currency};
use crate::model::rates::{Rates, Round};

/// A floor in the bid's currency, rounded up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Floor(pub Cpm);

/// Why a floor cannot be met by any bid.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FloorError {
    /// The floor itself or its currency could not be read.
    #[error("the floor or its currency is not readable")]
    Unreadable,
    /// There is no rate between the floor's currency and the bid's.
    #[error("no rate from {from} to {to}")]
    NoRate {
        /// Currency of the floor.
        from: Currency,
        /// Currency of the bid.
        to: Currency,
    },
}

/// The open-market floor of an impression.
pub fn imp_floor(imp: &Imp<'_>, bid_currency: Currency, rates: &Rates) -> Result<Floor, FloorError> {
    if imp.bid_floor == Cpm(0) {
        return Ok(Floor(Cpm(0)));
    }
    convert(imp.bid_floor, imp.bid_floor_cur, bid_currency, rates)
}

/// The floor of a deal; where the deal has none, the impression's stands (precedence 1 → 3).
pub fn deal_floor(
    deal: &Deal<'_>,
    imp: &Imp<'_>,
    bid_currency: Currency,
    rates: &Rates,
) -> Result<Floor, FloorError> {
    match deal.bid_floor.ok_or(FloorError::Unreadable)? {
        Cpm(0) => imp_floor(imp, bid_currency, rates),
        floor => convert(floor, deal.bid_floor_cur, bid_currency, rates),
    }
}

/// The agreed price of a deal with `at = 3`: its `bidfloor` and nothing else (OpenRTB 2.6 section 3.2.12). A deal
/// without one has no agreed price, which is 0 here and no bid.
pub fn agreed_price(deal: &Deal<'_>, bid_currency: Currency, rates: &Rates) -> Result<Floor, FloorError> {
    match deal.bid_floor.ok_or(FloorError::Unreadable)? {
        Cpm(0) => Ok(Floor(Cpm(0))),
        price => convert(price, deal.bid_floor_cur, bid_currency, rates),
    }
}

fn convert(floor: Cpm, from: Option<Currency>, to: Currency, rates: &Rates) -> Result<Floor, FloorError> {
    let from = from.ok_or(FloorError::Unreadable)?;
    rates.convert(floor, from, to, Round::Up).map(Floor).ok_or(FloorError::NoRate { from, to })
}
