//! What an impression is worth to a line item, before multipliers: the amount that is paid for an outcome, times how likely
//! the impression brings it.

use crate::model::line_item::{Predicts, Strategy};
use crate::model::money::{Cpm, Nanos, PPM};

/// Parts per billion, the unit of probabilities.
const PPB: i128 = 1_000_000_000;

/// What an impression is expected to bring.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Predicted {
    /// The probability of a click, in parts per billion.
    pub click_ppb: u32,
    /// The probability of a conversion after a click, in parts per billion.
    pub conversion_ppb: u32,
    /// The expected revenue of one conversion, in the advertiser's currency.
    pub revenue: Nanos,
}

/// The value of an impression in the advertiser's currency: of a line item whose price is given the price; else what `bid`
/// says of an outcome (see [`LineItem::bid`](crate::model::line_item::LineItem::bid)) by its probability. Rounded down, at
/// most [`Cpm::MAX`]; a probability above 1 counts as 1, a negative revenue or bid as 0.
pub fn value(strategy: Strategy, bid: Cpm, predicted: &Predicted) -> Cpm {
    let click = i128::from(predicted.click_ppb).min(PPB);
    let conversion = click * i128::from(predicted.conversion_ppb).min(PPB);
    let bid = i128::from(bid.0.max(0));
    // One CPM micro is one nano for an impression. No product is above 2⁶³ × 10¹⁸ < 2¹²³.
    let value = match (strategy, strategy.predicts()) {
        (_, Predicts::Nothing) => bid,
        (_, Predicts::Clicks) => share(bid, click),
        (Strategy::TargetRoas, Predicts::Conversions) => {
            let revenue = i128::from(predicted.revenue.0.max(0));
            // revenue × p ÷ (bid ÷ 10⁶), in one division.
            (revenue * conversion).checked_div(PPB * PPB / i128::from(PPM) * bid).unwrap_or(0)
        }
        (_, Predicts::Conversions) => bid * conversion / (PPB * PPB),
    };
    Cpm(value.min(i128::from(Cpm::MAX.0)) as i64)
}

/// `amount × ppb ÷ 10⁹`, both from 0 to 2⁶³; without a division of 128 bits where the product has 64, as nearly always.
fn share(amount: i128, ppb: i128) -> i128 {
    match (amount as u64).checked_mul(ppb as u64) {
        Some(product) => i128::from(product / PPB as u64),
        None => amount * ppb / PPB,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    const CPM: [Strategy; 3] = [Strategy::FixedCpm, Strategy::MaxCpm, Strategy::Reach];
    const PREDICTING: [Strategy; 6] = [
        Strategy::MaxCpc,
        Strategy::TargetCpc,
        Strategy::MaxClicks,
        Strategy::TargetCpa,
        Strategy::MaxConversions,
        Strategy::TargetRoas,
    ];

    fn of(strategy: Strategy, bid: i64, click_ppb: u32, conversion_ppb: u32, revenue: i64) -> i64 {
        value(strategy, Cpm(bid), &Predicted { click_ppb, conversion_ppb, revenue: Nanos(revenue) }).0
    }

    #[test]
    fn amounts_become_prices_by_their_probability() {
        // 0.50 for a click, of which one in a thousand impressions brings one: 0.50 CPM.
        assert_eq!(of(Strategy::MaxCpc, 500_000_000, 1_000_000, 7, 7), 500_000);
        // 20.00 for a conversion, one of fifty clicks at the same rate of clicks: 0.40 CPM.
        assert_eq!(of(Strategy::TargetCpa, 20_000_000_000, 1_000_000, 20_000_000, 7), 400_000);
        // The same where each conversion brings 80.00 and four times the cost is asked for.
        assert_eq!(of(Strategy::TargetRoas, 4_000_000, 1_000_000, 20_000_000, 80_000_000_000), 400_000);
        assert_eq!(of(Strategy::TargetRoas, 0, 1_000_000, 20_000_000, 80_000_000_000), 0);
        assert_eq!(of(Strategy::TargetRoas, 4_000_000, 1_000_000, 20_000_000, -1), 0);
    }

    #[test]
    fn the_largest_of_everything_is_the_largest_price() {
        for strategy in CPM.into_iter().chain(PREDICTING).filter(|s| *s != Strategy::TargetRoas) {
            assert_eq!(of(strategy, i64::MAX, u32::MAX, u32::MAX, i64::MAX), Cpm::MAX.0, "{strategy:?}");
        }
        assert_eq!(of(Strategy::TargetRoas, 10_000, u32::MAX, u32::MAX, i64::MAX), Cpm::MAX.0);
        assert_eq!(of(Strategy::TargetRoas, i64::MAX, u32::MAX, u32::MAX, i64::MAX), 1_000_000);
    }

    proptest! {
        #[test]
        fn more_likely_is_worth_no_less_and_never_more_than_the_bid(
            nth in 0usize..6, bid in 0i64..=10_000_000_000_000_000, revenue: i64,
            clicks in (0u32..=1_000_000_000, 0u32..=1_000_000_000),
            conversions in (0u32..=1_000_000_000, 0u32..=1_000_000_000),
        ) {
            let strategy = PREDICTING[nth];
            let low = of(strategy, bid, clicks.0.min(clicks.1), conversions.0.min(conversions.1), revenue);
            let high = of(strategy, bid, clicks.0.max(clicks.1), conversions.0.max(conversions.1), revenue);
            prop_assert!((0..=high).contains(&low));
            if strategy != Strategy::TargetRoas {
                prop_assert!(high <= bid.min(Cpm::MAX.0));
                let certain = of(strategy, bid, 1_000_000_000, 1_000_000_000, revenue);
                prop_assert_eq!(certain, bid.min(Cpm::MAX.0));
            }
        }

        #[test]
        fn a_price_is_its_own_value(
            nth in 0usize..3, bid in 0i64..=1_000_000_000_000, click: u32, conversion: u32, revenue: i64,
        ) {
            prop_assert_eq!(of(CPM[nth], bid, click, conversion, revenue), bid);
        }

        #[test]
        fn a_higher_return_asked_for_is_a_lower_value(
            targets in (10_000i64..=1_000_000_000, 10_000i64..=1_000_000_000), revenue in 0i64..1_000_000_000_000_000,
            click in 0u32..=1_000_000_000, conversion in 0u32..=1_000_000_000,
        ) {
            let at = |target| of(Strategy::TargetRoas, target, click, conversion, revenue);
            prop_assert!(at(targets.0.min(targets.1)) >= at(targets.0.max(targets.1)));
        }
    }
}
