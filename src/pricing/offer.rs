//! One offer, term by term, so that explain can show what decide did.

use super::floor::Floor;
use super::multipliers::Factors;
use crate::model::money::{Cpm, Currency};
use crate::model::no_bid::NoBidReason;
use crate::model::rates::Rates;

/// What a line item brings to its price.
#[derive(Clone, Copy, Debug)]
pub struct Pricer {
    /// The price in the advertiser's currency.
    pub bid: Cpm,
    /// Cap in the advertiser's currency.
    pub max_bid: Cpm,
    /// The advertiser's currency.
    pub currency: Currency,
}

/// What surrounds it.
#[derive(Clone, Copy, Debug)]
pub struct OfferInputs<'r> {
    /// The factors that apply.
    pub factors: Factors,
    /// What pacing multiplies the value by, in ppm.
    pub kappa_ppm: i64,
    /// Currency of the bid.
    pub bid_currency: Currency,
    /// The exchange's cap, in the bid's currency.
    pub exchange_cap: Cpm,
    /// The floor that this bid answers to.
    pub floor: Floor,
    /// The deal's price is fixed (`at = 3`): bid exactly the floor.
    pub fixed_price: bool,
    /// The deal is guaranteed: bid at least the floor whatever the impression is worth, below the caps.
    pub guaranteed: bool,
    /// Exchange rates.
    pub rates: &'r Rates,
}

/// An offer with its terms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Offer {
    /// Value × multipliers, in the advertiser's currency.
    pub valued: Cpm,
    /// The same × κ of pacing.
    pub paced: Cpm,
    /// The same after the line item's cap.
    pub capped: Cpm,
    /// The same in the bid's currency after the exchange's cap: what offers are ranked by.
    pub worth: Cpm,
    /// The floor.
    pub floor: Cpm,
    /// What is bid.
    pub price: Cpm,
}

/// Prices one line item for one place of an impression (the open auction or one deal).
pub fn offer(pricer: &Pricer, inputs: &OfferInputs<'_>) -> Result<Offer, (NoBidReason, Option<Offer>)> {
    if let Some(reason) = inputs.factors.excluded_by() {
        return Err((reason, None));
    }
    let valued = pricer.bid.scale_ppm(inputs.factors.product_ppm);
    let paced = valued.scale_ppm(inputs.kappa_ppm);
    let capped = paced.min(pricer.max_bid);
    let converted = inputs.rates.convert_capped(capped, pricer.currency, inputs.bid_currency);
    let worth = converted.ok_or((NoBidReason::Currency, None))?.min(inputs.exchange_cap);
    let floor = inputs.floor.0;
    let worth = if inputs.guaranteed { worth.max(floor.min(cap(pricer, inputs)?)) } else { worth };
    let price = if inputs.fixed_price { floor } else { worth };
    let offer = Offer { valued, paced, capped, worth, floor, price };
    if worth < floor || price == Cpm(0) { Err((NoBidReason::BelowFloor, Some(offer))) } else { Ok(offer) }
}

/// The most that may be bid: the line item's cap and the exchange's.
fn cap(pricer: &Pricer, inputs: &OfferInputs<'_>) -> Result<Cpm, (NoBidReason, Option<Offer>)> {
    let ours = inputs.rates.convert_capped(pricer.max_bid, pricer.currency, inputs.bid_currency);
    Ok(ours.ok_or((NoBidReason::Currency, None))?.min(inputs.exchange_cap))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rates::Rate;
    use proptest::prelude::*;

    fn inputs(rates: &Rates, product_ppm: i64, floor: i64, fixed_price: bool) -> OfferInputs<'_> {
        OfferInputs {
            factors: Factors { by_dimension: [1_000_000; crate::pricing::DIMENSIONS.len()], product_ppm },
            kappa_ppm: 1_000_000,
            bid_currency: Currency::USD,
            exchange_cap: Cpm(50_000_000),
            floor: Floor(Cpm(floor)),
            fixed_price,
            guaranteed: false,
            rates,
        }
    }

    #[test]
    fn a_fixed_price_deal_gets_exactly_its_price() {
        let rates = Rates::new(Currency::USD);
        let pricer = Pricer { bid: Cpm(4_000_000), max_bid: Cpm(6_000_000), currency: Currency::USD };
        assert_eq!(
            offer(&pricer, &inputs(&rates, 1_000_000, 3_210_000, true)).unwrap().price,
            Cpm(3_210_000)
        );
        assert_eq!(
            offer(&pricer, &inputs(&rates, 1_000_000, 4_000_001, true)).unwrap_err().0,
            NoBidReason::BelowFloor
        );
        assert_eq!(
            offer(&pricer, &inputs(&rates, 1_000_000, 4_000_000, false)).unwrap().price,
            Cpm(4_000_000)
        );
    }

    #[test]
    fn a_guaranteed_deal_is_bid_on_up_to_the_cap() {
        let rates = Rates::new(Currency::USD);
        let pricer = Pricer { bid: Cpm(1_000_000), max_bid: Cpm(6_000_000), currency: Currency::USD };
        let at = |floor, fixed| OfferInputs { guaranteed: true, ..inputs(&rates, 1_000_000, floor, fixed) };
        assert_eq!(offer(&pricer, &at(6_000_000, true)).unwrap().price, Cpm(6_000_000));
        assert_eq!(offer(&pricer, &at(6_000_000, false)).unwrap().price, Cpm(6_000_000));
        assert_eq!(offer(&pricer, &at(500_000, true)).unwrap().price, Cpm(500_000));
        assert_eq!(offer(&pricer, &at(500_000, false)).unwrap().price, Cpm(1_000_000));
        assert_eq!(offer(&pricer, &at(6_000_001, true)).unwrap_err().0, NoBidReason::BelowFloor);
    }

    proptest! {
        #[test]
        fn an_offer_is_never_under_the_floor_nor_above_a_cap(
            bid in 0i64..100_000_000, max in 0i64..100_000_000, ppm in 0i64..20_000_000,
            floor in 0i64..100_000_000, rate in 1i64..5_000_000_000, fixed: bool,
        ) {
            let eur = Currency::parse("EUR").unwrap();
            let mut rates = Rates::new(Currency::USD);
            rates.set(eur, Rate(rate));
            let pricer = Pricer { bid: Cpm(bid), max_bid: Cpm(max), currency: eur };
            if let Ok(offer) = offer(&pricer, &inputs(&rates, ppm, floor, fixed)) {
                prop_assert!(offer.price.0 >= floor && offer.price.0 <= 50_000_000);
                let cap = i128::from(max) * i128::from(rate) / 1_000_000_000;
                prop_assert!(i128::from(offer.price.0) <= cap);
            }
        }
    }
}
