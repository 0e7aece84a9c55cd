//! What a bid holds and what a bill may cost, written down a second time from money.md 2.1, in wide numbers.

use super::wire::{Price, Says};
use crate::model::exchange::{ExchangeProfile, MissingPrice};
use crate::model::token::TokenClaims;

/// What a bill comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// To the campaign, or to the house where there is no room.
    pub(super) charge: i128,
    /// To the house, because it exceeds the hold.
    pub(super) overprice: i128,
}

/// ⌈media⌉ + ⌈data fee⌉ + ⌈platform share of the media⌉ at the bid price.
pub(super) fn hold(claims: &TokenClaims) -> i128 {
    sum(claims, claims.price.0, claims.multiplier_ppm, |dividend, divisor| (dividend + divisor - 1) / divisor)
}

/// What a bill at a price and multiplier comes to.
fn due(claims: &TokenClaims, micros: i64, multiplier_ppm: i64) -> Due {
    let asked = sum(claims, micros, multiplier_ppm, |dividend, divisor| dividend / divisor);
    // The books hold no more than 64 bits.
    let asked = asked.min(i128::from(i64::MAX));
    let charge = asked.min(hold(claims));
    Due { charge, overprice: asked - charge }
}

fn sum(claims: &TokenClaims, micros: i64, multiplier_ppm: i64, divide: impl Fn(i128, i128) -> i128) -> i128 {
    let million = 1_000_000;
    let plays = i128::from(multiplier_ppm);
    let media = divide(i128::from(micros) * i128::from(claims.rate.0) * plays, 1_000_000_000 * million);
    let data = divide(i128::from(claims.data_fee.0) * plays, million);
    let platform = divide(media * i128::from(claims.platform_ppm), million);
    media + data + platform
}

/// What a billing notice may cost under its profile's rules (money.md 2.4); `None` = nothing, it is refused, a test
/// rendering or of a test bid.
pub(super) fn meant(profile: &ExchangeProfile, claims: &TokenClaims, says: &Says) -> Option<Due> {
    let at_bid = due(claims, claims.price.0, claims.multiplier_ppm);
    if claims.test {
        return None;
    }
    if profile.bills_in_public() {
        return Some(at_bid);
    }
    match says.price {
        Price::Text("AUDIT") => None,
        Price::Micros(micros) if (0..=1_000_000_000_000).contains(&micros) && !says.other_currency => {
            Some(due(claims, micros, says.multiplier_ppm.unwrap_or(claims.multiplier_ppm)))
        }
        _ if profile.missing_price == MissingPrice::Bid => Some(at_bid),
        _ => None,
    }
}
