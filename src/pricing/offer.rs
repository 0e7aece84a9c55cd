//! One offer, term by term, so that explain can show what decide did.

use super::floor::Floor;
use super::multipliers::Factors;
use super::shading::{self, Explorer, ShadeTable};
use super::value::{Predicted, value};
use crate::model::line_item::{LineItem, Strategy};
use crate::model::money::{Cpm, Currency, PPM};
use crate::model::no_bid::NoBidReason;
use crate::model::rates::{Rates, Round};

/// What a line item brings to its price.
#[derive(Clone, Copy, Debug)]
pub struct Pricer {
    /// What is paid for.
    pub strategy: Strategy,
    /// What it is worth in the advertiser's currency, see [`LineItem::bid`].
    pub bid: Cpm,
    /// Cap in the advertiser's currency.
    pub max_bid: Cpm,
    /// Below this no offer is made, in the advertiser's currency.
    pub min_bid: Cpm,
    /// Whether less may be bid where less wins as well.
    pub shading: bool,
    /// The advertiser's currency.
    pub currency: Currency,
}

impl Pricer {
    /// The pricer of a line item whose advertiser pays in `currency`.
    pub fn of(item: &LineItem, currency: Currency) -> Pricer {
        Pricer {
            strategy: item.strategy,
            bid: item.bid,
            max_bid: item.max_bid,
            min_bid: item.min_bid,
            shading: item.shading && item.strategy != Strategy::FixedCpm,
            currency,
        }
    }
}

/// What surrounds it.
#[derive(Clone, Copy, Debug)]
pub struct OfferInputs<'r> {
    /// What is expected of the impression, where its value rests on that.
    pub predicted: Predicted,
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
    /// What is expected of the impression; zeros where nothing was asked.
    pub predicted: Predicted,
    /// The value before multipliers, in the advertiser's currency.
    pub base_value: Cpm,
    /// Value × multipliers.
    pub valued: Cpm,
    /// The same × κ of pacing.
    pub paced: Cpm,
    /// The same after the line item's cap.
    pub capped: Cpm,
    /// The same in the bid's currency after the exchange's cap: what offers are ranked by.
    pub worth: Cpm,
    /// The floor, or the line item's minimum where that is more.
    pub floor: Cpm,
    /// What is bid: the worth, less where that wins as well ([`Offer::shaded`]).
    pub price: Cpm,
    /// How likely the best bid is to win, in ppm; 0 where nothing is known or the price was not shaded.
    pub win_ppm: u32,
    /// What the best bid was multiplied by to learn what other prices bring, in ppm.
    pub explored_ppm: i64,
    /// How likely that was to be drawn, in parts per billion; 0 where nothing was drawn.
    pub propensity_ppb: u32,
}

/// Where and how a price is shaded.
#[derive(Clone, Copy, Debug)]
pub struct ShadeInputs<'r> {
    /// The best bids that were learned, in the base currency of `rates`.
    pub table: &'r ShadeTable,
    /// How often another one is tried.
    pub explorer: Explorer,
    /// Where the impression is offered.
    pub place: shading::Place,
    /// Currency of the bid.
    pub currency: Currency,
    /// Exchange rates.
    pub rates: &'r Rates,
    /// Uniform bits, the same for the same request.
    pub draw: u64,
}

impl Offer {
    /// The same offer at the best price for its worth, which is never above it nor below the floor. Where nothing is known
    /// of a place, the worth is the price.
    pub fn shaded(self, inputs: &ShadeInputs<'_>) -> Offer {
        let base = inputs.rates.base();
        let value = inputs.rates.convert(self.worth, inputs.currency, base, Round::Down);
        let Some(value) = value.filter(|value| *value > Cpm(0)) else { return self };
        let Some(row) = inputs.table.find(&inputs.place) else { return self };
        let best = inputs.table.bid(row, value);
        let explored = inputs.explorer.explore(best.bid, value, inputs.draw);
        // As far below the worth as the bid is below the value.
        let price = match self.worth.0.checked_mul(explored.bid.0) {
            _ if self.worth == value => explored.bid.0,
            Some(product) => product / value.0,
            None => (i128::from(self.worth.0) * i128::from(explored.bid.0) / i128::from(value.0)) as i64,
        };
        Offer {
            price: Cpm(price).clamp(self.floor.max(Cpm(1)), self.worth),
            win_ppm: best.win_ppm,
            explored_ppm: explored.factor_ppm,
            propensity_ppb: explored.propensity_ppb,
            ..self
        }
    }
}

/// Prices one line item for one place of an impression (the open auction or one deal).
pub fn offer(pricer: &Pricer, inputs: &OfferInputs<'_>) -> Result<Offer, (NoBidReason, Option<Offer>)> {
    if let Some(reason) = inputs.factors.excluded_by() {
        return Err((reason, None));
    }
    let base_value = value(pricer.strategy, pricer.bid, &inputs.predicted);
    let valued = base_value.scale_ppm(inputs.factors.product_ppm);
    let paced = valued.scale_ppm(inputs.kappa_ppm);
    let capped = paced.min(pricer.max_bid);
    let converted = inputs.rates.convert_capped(capped, pricer.currency, inputs.bid_currency);
    let worth = converted.ok_or((NoBidReason::Currency, None))?.min(inputs.exchange_cap);
    let least = inputs.rates.convert(pricer.min_bid, pricer.currency, inputs.bid_currency, Round::Up);
    let least = least.ok_or((NoBidReason::Currency, None))?;
    // An agreed price is bid or not, but never raised.
    let (asked, floor) = (inputs.floor.0, inputs.floor.0.max(least));
    let worth = if inputs.guaranteed { worth.max(floor.min(cap(pricer, inputs)?)) } else { worth };
    let price = if inputs.fixed_price { asked } else { worth };
    let offer = Offer {
        predicted: inputs.predicted,
        base_value,
        valued,
        paced,
        capped,
        worth,
        floor,
        price,
        win_ppm: 0,
        explored_ppm: PPM,
        propensity_ppb: 0,
    };
    if worth < floor || price < floor || price == Cpm(0) {
        Err((NoBidReason::BelowFloor, Some(offer)))
    } else {
        Ok(offer)
    }
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
    use proptest::prelude::{prop_assert, proptest};

    fn inputs(rates: &Rates, product_ppm: i64, floor: i64, fixed_price: bool) -> OfferInputs<'_> {
        OfferInputs {
            predicted: Predicted::default(),
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

    fn pricer(bid: Cpm, max_bid: Cpm, currency: Currency) -> Pricer {
        let strategy = Strategy::MaxCpm;
        Pricer { strategy, bid, max_bid, min_bid: Cpm(0), shading: true, currency }
    }

    #[test]
    fn a_fixed_price_deal_gets_exactly_its_price() {
        let rates = Rates::new(Currency::USD);
        let pricer = pricer(Cpm(4_000_000), Cpm(6_000_000), Currency::USD);
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
        let pricer = pricer(Cpm(1_000_000), Cpm(6_000_000), Currency::USD);
        let at = |floor, fixed| OfferInputs { guaranteed: true, ..inputs(&rates, 1_000_000, floor, fixed) };
        assert_eq!(offer(&pricer, &at(6_000_000, true)).unwrap().price, Cpm(6_000_000));
        assert_eq!(offer(&pricer, &at(6_000_000, false)).unwrap().price, Cpm(6_000_000));
        assert_eq!(offer(&pricer, &at(500_000, true)).unwrap().price, Cpm(500_000));
        assert_eq!(offer(&pricer, &at(500_000, false)).unwrap().price, Cpm(1_000_000));
        assert_eq!(offer(&pricer, &at(6_000_001, true)).unwrap_err().0, NoBidReason::BelowFloor);
    }

    #[test]
    fn a_minimum_is_a_floor_of_the_line_items_own() {
        let rates = Rates::new(Currency::USD);
        let least =
            Pricer { min_bid: Cpm(3_000_000), ..pricer(Cpm(4_000_000), Cpm(6_000_000), Currency::USD) };
        let at = |ppm, floor, fixed| offer(&least, &inputs(&rates, ppm, floor, fixed));
        assert_eq!(at(1_000_000, 1_000_000, false).unwrap().floor, Cpm(3_000_000));
        assert_eq!(at(700_000, 1_000_000, false).unwrap_err().0, NoBidReason::BelowFloor);
        assert_eq!(at(1_000_000, 3_500_000, true).unwrap().price, Cpm(3_500_000));
        assert_eq!(at(1_000_000, 2_999_999, true).unwrap_err().0, NoBidReason::BelowFloor);
    }

    #[test]
    fn what_pays_by_clicks_is_worth_what_they_are_likely_to_bring() {
        let rates = Rates::new(Currency::USD);
        let clicks =
            Pricer { strategy: Strategy::MaxCpc, ..pricer(Cpm(500_000_000), Cpm(6_000_000), Currency::USD) };
        let at = |click_ppb| {
            let predicted = Predicted { click_ppb, ..Predicted::default() };
            offer(&clicks, &OfferInputs { predicted, ..inputs(&rates, 2_000_000, 0, false) })
        };
        assert_eq!(at(2_000_000).unwrap().price, Cpm(2_000_000));
        assert_eq!(at(100_000_000).unwrap().price, Cpm(6_000_000));
        assert_eq!(at(0).unwrap_err().0, NoBidReason::BelowFloor);
    }

    /// A market whose price is always 2.00.
    fn learned(place: &shading::Place) -> ShadeTable {
        let mut landscape = shading::Landscape::new(shading::Axis::default(), 100);
        for at_ms in 0..1_000 {
            let min_to_win = Some(Cpm(2_000_000));
            let heard = shading::Heard::Won { min_to_win };
            landscape.observe(&shading::Outcome { place: *place, at_ms, bid: Cpm(5_000_000), heard });
        }
        landscape.rebuild(1_000, None)
    }

    #[test]
    fn a_price_is_shaded_to_what_wins_and_never_below_the_floor() {
        let eur = Currency::parse("EUR").unwrap();
        let mut rates = Rates::new(Currency::USD);
        rates.set(eur, Rate(2_000_000_000));
        let place = shading::Place::of_exchange(1);
        let table = learned(&place);
        let shade = |worth: i64, floor: i64, currency: Currency, place| {
            let pricer = pricer(Cpm(worth), Cpm(worth), currency);
            let inputs = OfferInputs { bid_currency: currency, ..inputs(&rates, 1_000_000, floor, false) };
            let explorer = Explorer { rate_ppm: 0 };
            let market = ShadeInputs { table: &table, explorer, place, currency, rates: &rates, draw: 1 };
            offer(&pricer, &inputs).unwrap().shaded(&market)
        };
        let dollars = shade(6_000_000, 100_000, Currency::USD, place).price.0;
        assert!((2_000_000..2_400_000).contains(&dollars), "{dollars}");
        assert_eq!(shade(6_000_000, 3_000_000, Currency::USD, place).price, Cpm(3_000_000));
        // What is worth less than what wins there is no better at its whole worth.
        let hopeless = shade(1_000_000, 100_000, Currency::USD, place);
        assert!(
            (100_000..1_000_000).contains(&hopeless.price.0) && hopeless.win_ppm < 50_000,
            "{hopeless:?}"
        );
        // The same market in euros, of which one is two dollars: prices are learned in the base currency.
        let euros = shade(3_000_000, 50_000, eur, place).price.0;
        assert!((euros * 2 - dollars).abs() <= 2, "{euros} {dollars}");
    }

    proptest! {
        #[test]
        fn a_shaded_price_lies_between_floor_and_worth(
            worth in 1i64..40_000_000, floor in 0i64..40_000_000, draw: u64, rate_ppm in 0u32..1_000_000,
        ) {
            let rates = Rates::new(Currency::USD);
            let place = shading::Place::of_exchange(1);
            let table = learned(&place);
            let inputs = inputs(&rates, 1_000_000, floor.min(worth), false);
            let made = offer(&pricer(Cpm(worth), Cpm(worth), Currency::USD), &inputs).unwrap();
            let explorer = Explorer { rate_ppm };
            let market =
                ShadeInputs { table: &table, explorer, place, currency: Currency::USD, rates: &rates, draw };
            let price = made.shaded(&market).price;
            prop_assert!(price >= made.floor && price <= made.worth && price > Cpm(0));
        }

        #[test]
        fn an_offer_is_never_under_the_floor_nor_above_a_cap(
            bid in 0i64..100_000_000, max in 0i64..100_000_000, ppm in 0i64..20_000_000,
            floor in 0i64..100_000_000, rate in 1i64..5_000_000_000, fixed: bool,
        ) {
            let eur = Currency::parse("EUR").unwrap();
            let mut rates = Rates::new(Currency::USD);
            rates.set(eur, Rate(rate));
            let pricer = pricer(Cpm(bid), Cpm(max), eur);
            if let Ok(offer) = offer(&pricer, &inputs(&rates, ppm, floor, fixed)) {
                prop_assert!(offer.price.0 >= floor && offer.price.0 <= 50_000_000);
                let cap = i128::from(max) * i128::from(rate) / 1_000_000_000;
                prop_assert!(i128::from(offer.price.0) <= cap);
            }
        }
    }
}
