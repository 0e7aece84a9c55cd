//! What a bid holds and what a bill charges (money.md 2.1):
//! charge = ⌊media⌋ + ⌊data fee⌋ + ⌊platform share · media⌋; a hold is the same sum at the full bid price with each
//! part rounded up, so that a charge at or below the bid price never exceeds its hold.

use crate::model::money::{Cpm, Nanos, PPM};
use crate::model::rates::Rate;
use crate::model::token::TokenClaims;

/// What turns a price into money of the wallet; frozen at the bid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terms {
    /// Nano-units of the wallet's currency for one unit of the bid's currency.
    pub rate: Rate,
    /// Data fee per thousand impressions, in the wallet's currency.
    pub data_fee: Cpm,
    /// Platform share of the media cost, parts per million.
    pub platform_ppm: i64,
    /// Impressions that one play counts for, in millionths (`imp.qty.multiplier`).
    pub multiplier_ppm: i64,
}

/// What a billing notice asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bill {
    /// The clearing price in the bid's currency.
    pub price: Cpm,
    /// `${AUCTION_MULTIPLIER}` in millionths; `None` where the notice has none, then the token's stands.
    pub multiplier_ppm: Option<i64>,
    /// The lowest price that would have won, where the notice says it (`${AUCTION_MIN_TO_WIN}`). No charge depends on it:
    /// it is for the event log.
    pub min_to_win: Option<Cpm>,
}

impl Bill {
    /// A bill at `price` that says nothing else.
    pub fn at(price: Cpm) -> Bill {
        Bill { price, multiplier_ppm: None, min_to_win: None }
    }

    /// What the bill comes to under the terms of its bid. It may exceed the hold; what leaves the range of [`Nanos`]
    /// is the most that it can hold, because the house's books must show a mad bill rather than lose it.
    pub fn asked(&self, terms: &Terms) -> Nanos {
        self.asked_parts(terms).and_then(|parts| parts.total()).unwrap_or(Nanos(i64::MAX))
    }

    /// The parts of what the bill comes to; `None` where no number holds it.
    pub fn asked_parts(&self, terms: &Terms) -> Option<Parts> {
        let multiplier_ppm = self.multiplier_ppm.unwrap_or(terms.multiplier_ppm);
        charge_parts(self.price, &Terms { multiplier_ppm, ..*terms })
    }
}

impl Terms {
    /// The terms that a token froze.
    pub fn of(claims: &TokenClaims) -> Terms {
        Terms {
            rate: claims.rate,
            data_fee: claims.data_fee,
            platform_ppm: i64::from(claims.platform_ppm),
            multiplier_ppm: claims.multiplier_ppm,
        }
    }
}

/// What a charge is made of; each part has its own account.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Parts {
    /// Owed to the exchange.
    pub media: i64,
    /// The data fee.
    pub data: i64,
    /// The platform's share.
    pub platform: i64,
}

impl Parts {
    /// The sum; `None` when it leaves the range of [`Nanos`].
    pub fn total(&self) -> Option<Nanos> {
        self.media.checked_add(self.data)?.checked_add(self.platform).map(Nanos)
    }
}

/// What to hold for a bid at `price`: each part rounded up. `None` when the sum leaves the range of [`Nanos`].
pub fn hold_for(price: Cpm, terms: &Terms) -> Option<Nanos> {
    hold_parts(price, terms)?.total()
}

/// The parts of a hold.
pub(super) fn hold_parts(price: Cpm, terms: &Terms) -> Option<Parts> {
    parts(price, terms, |numerator, denominator| {
        // What 64 bits hold needs no division of 128, which costs many times as much.
        if let (Ok(numerator), Ok(denominator)) = (u64::try_from(numerator), u64::try_from(denominator)) {
            return i128::from(numerator.div_ceil(denominator));
        }
        numerator.div_euclid(denominator) + i128::from(numerator.rem_euclid(denominator) != 0)
    })
}

/// What a bill at `price` costs: each part rounded down. `None` when the sum leaves the range of [`Nanos`].
pub fn charge(price: Cpm, terms: &Terms) -> Option<Nanos> {
    charge_parts(price, terms)?.total()
}

/// The parts of a charge.
pub(super) fn charge_parts(price: Cpm, terms: &Terms) -> Option<Parts> {
    parts(price, terms, i128::div_euclid)
}

/// One CPM micro is one nano per impression, so media = price · rate / 10⁹ · multiplier / 10⁶, rounded once.
fn parts(price: Cpm, terms: &Terms, divide: impl Fn(i128, i128) -> i128) -> Option<Parts> {
    let plays = i128::from(terms.multiplier_ppm);
    let ppm = i128::from(PPM);
    let media_scaled = i128::from(price.0) * i128::from(terms.rate.0);
    let media = match plays == ppm {
        true => divide(media_scaled, 1_000_000_000),
        false => divide(media_scaled.checked_mul(plays)?, 1_000_000_000 * ppm),
    };
    let data = divide(i128::from(terms.data_fee.0) * plays, ppm);
    let platform = divide(media.checked_mul(i128::from(terms.platform_ppm))?, ppm);
    let small = |part: i128| i64::try_from(part).ok();
    Some(Parts { media: small(media)?, data: small(data)?, platform: small(platform)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: Terms = Terms { rate: Rate::ONE, data_fee: Cpm(0), platform_ppm: 0, multiplier_ppm: PPM };

    #[test]
    fn one_cpm_micro_is_one_nano_an_impression() {
        assert_eq!(charge(Cpm(2_500_000), &PLAIN), Some(Nanos(2_500_000)));
        let fees = Terms { data_fee: Cpm(500_000), platform_ppm: 100_000, ..PLAIN };
        assert_eq!(charge(Cpm(2_500_000), &fees), Some(Nanos(2_500_000 + 500_000 + 250_000)));
        let play = Terms { multiplier_ppm: 4_200_000, ..PLAIN };
        assert_eq!(charge(Cpm(1_000_000), &play), Some(Nanos(4_200_000)));
        assert_eq!(charge(Cpm::MAX, &Terms { multiplier_ppm: i64::MAX, ..PLAIN }), None);
    }

    #[test]
    fn a_bill_counts_by_its_own_multiplier_or_the_token_s() {
        let terms = Terms { data_fee: Cpm(1_000_000), multiplier_ppm: 2 * PPM, ..PLAIN };
        let check = |multiplier_ppm, price, expected| {
            assert_eq!(Bill { multiplier_ppm, ..Bill::at(Cpm(price)) }.asked(&terms), Nanos(expected));
        };
        check(None, 3_000_000, 8_000_000);
        check(Some(PPM / 2), 3_000_000, 2_000_000);
        check(Some(3 * PPM), 0, 3_000_000);
        check(Some(i64::MAX), Cpm::MAX.0, i64::MAX);
    }

    proptest! {
        #[test]
        fn a_charge_at_or_below_the_bid_never_exceeds_the_hold(
            bid in 0i64..10_000_000_000, part in 0u64..=1_000_000, rate in 1i64..5_000_000_000,
            fee in 0i64..10_000_000, ppm in 0i64..=1_000_000, plays in 1i64..50_000_000,
        ) {
            let terms = Terms { rate: Rate(rate), data_fee: Cpm(fee), platform_ppm: ppm, multiplier_ppm: plays };
            let paid = (i128::from(bid) * i128::from(part) / 1_000_000) as i64;
            prop_assert!(charge(Cpm(paid), &terms).unwrap() <= hold_for(Cpm(bid), &terms).unwrap());
        }
    }
}
