//! Floors by precedence (OpenRTB 2.6 implementation guide section 7.11): a bid on a deal answers to the deal's floor,
//! where it has one; else a bid of video or audio to the floor of its duration, where there is one; else to the
//! impression's. A deal's currency never inherits the impression's; floors by duration are in the currency of what
//! surrounds them.

use crate::model::auction::{Deal, Imp};
use crate::model::media::{DurationFloor, Stream};
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
    /// A floor by the second comes to more than any price.
    #[error("{seconds} s at {floor} CPM a second are more than any price")]
    TooHigh {
        /// The floor of a second.
        floor: Cpm,
        /// The duration.
        seconds: u32,
    },
    /// There is no rate between the floor's currency and the bid's.
    #[error("no rate from {from} to {to}")]
    NoRate {
        /// Currency of the floor.
        from: Currency,
        /// Currency of the bid.
        to: Currency,
    },
}

/// What floors depend on.
#[derive(Clone, Copy, Debug)]
pub struct FloorInputs<'r> {
    /// The impression.
    pub imp: &'r Imp<'r>,
    /// The deal that is bid on.
    pub deal: Option<&'r Deal<'r>>,
    /// The video or audio that is offered, and the seconds that the creative takes.
    pub stream: Option<(&'r Stream<'r>, u32)>,
    /// Currency of the bid.
    pub bid_currency: Currency,
    /// Exchange rates.
    pub rates: &'r Rates,
}

impl FloorInputs<'_> {
    /// The floor that a bid answers to.
    pub fn floor(&self) -> Result<Floor, FloorError> {
        match self.of_deal()? {
            Some(floor) => Ok(floor),
            None => self.of_imp(),
        }
    }

    /// The agreed price of a deal with `at = 3`: its floor and nothing else (OpenRTB 2.6 section 3.2.12). A deal without
    /// one has no agreed price, which is 0 here and no bid.
    pub fn agreed_price(&self) -> Result<Floor, FloorError> {
        Ok(self.of_deal()?.unwrap_or(Floor(Cpm(0))))
    }

    /// Whether another duration may mean another floor.
    pub fn depend_on_duration(&self) -> bool {
        let timed = |a_second: Cpm, floors: &[DurationFloor]| a_second > Cpm(0) || !floors.is_empty();
        self.stream.is_some_and(|(stream, _)| {
            timed(stream.min_cpm_per_second, stream.duration_floors)
                || self.deal.is_some_and(|deal| timed(deal.min_cpm_per_second, deal.duration_floors))
        })
    }

    fn of_deal(&self) -> Result<Option<Floor>, FloorError> {
        let Some(deal) = self.deal else { return Ok(None) };
        let plain = deal.bid_floor.ok_or(FloorError::Unreadable)?;
        let timed = self.timed(deal.min_cpm_per_second, deal.duration_floors)?;
        match timed.unwrap_or(plain) {
            Cpm(0) => Ok(None),
            floor => self.convert(floor, deal.bid_floor_cur).map(Some),
        }
    }

    fn of_imp(&self) -> Result<Floor, FloorError> {
        let timed = match self.stream {
            Some((stream, _)) => self.timed(stream.min_cpm_per_second, stream.duration_floors)?,
            None => None,
        };
        match timed.unwrap_or(self.imp.bid_floor) {
            Cpm(0) => Ok(Floor(Cpm(0))),
            floor => self.convert(floor, self.imp.bid_floor_cur),
        }
    }

    /// A floor by duration; `None` where none is given for this one, or the bid takes no time.
    fn timed(&self, a_second: Cpm, floors: &[DurationFloor]) -> Result<Option<Cpm>, FloorError> {
        let Some((_, seconds)) = self.stream else { return Ok(None) };
        if a_second > Cpm(0) {
            let floor =
                a_second.0.checked_mul(i64::from(seconds)).map(Cpm).filter(|floor| *floor <= Cpm::MAX);
            return floor.map(Some).ok_or(FloorError::TooHigh { floor: a_second, seconds });
        }
        let here =
            |range: &&DurationFloor| seconds >= range.min_s && range.max_s.is_none_or(|max| seconds <= max);
        Ok(floors.iter().find(here).map(|range| range.floor))
    }

    fn convert(&self, floor: Cpm, from: Option<Currency>) -> Result<Floor, FloorError> {
        let (from, to) = (from.ok_or(FloorError::Unreadable)?, self.bid_currency);
        let converted = self.rates.convert(floor, from, to, Round::Up);
        converted.map(Floor).ok_or(FloorError::NoRate { from, to })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The floor of a bid of so many seconds in dollars.
    fn check(
        imp: &Imp<'_>,
        deal: Option<&Deal<'_>>,
        stream: Option<(&Stream<'_>, u32)>,
        expected: Result<i64, FloorError>,
    ) {
        let mut rates = Rates::new(Currency::USD);
        rates.set(Currency::parse("EUR").unwrap(), crate::model::rates::Rate(1_100_000_000));
        let inputs = FloorInputs { imp, deal, stream, bid_currency: Currency::USD, rates: &rates };
        assert_eq!(inputs.floor().map(|floor| floor.0.0), expected);
    }

    #[test]
    fn row_1_5_floors_follow_their_precedence_and_keep_their_currency() {
        let eur = Currency::parse("EUR");
        let usd = Some(Currency::USD);
        let imp = Imp { bid_floor: Cpm(1_000_000), bid_floor_cur: eur, ..Imp::default() };
        let ranges = [
            DurationFloor { min_s: 1, max_s: Some(15), floor: Cpm(5_000_000) },
            DurationFloor { min_s: 16, max_s: Some(30), floor: Cpm(10_000_000) },
        ];
        let by_range = Stream { duration_floors: &ranges, ..Stream::default() };
        let by_second = Stream { min_cpm_per_second: Cpm(200_000), ..Stream::default() };
        check(&imp, None, None, Ok(1_100_000));
        check(&imp, None, Some((&Stream::default(), 30)), Ok(1_100_000));
        check(&imp, None, Some((&by_second, 30)), Ok(6_600_000));
        check(&imp, None, Some((&by_range, 15)), Ok(5_500_000));
        check(&imp, None, Some((&by_range, 30)), Ok(11_000_000));
        check(&imp, None, Some((&by_range, 31)), Ok(1_100_000));
        let plain = Deal { bid_floor: Some(Cpm(2_000_000)), bid_floor_cur: usd, ..Deal::default() };
        check(&imp, Some(&plain), Some((&by_second, 30)), Ok(2_000_000));
        let empty = Deal { bid_floor: Some(Cpm(0)), bid_floor_cur: usd, ..Deal::default() };
        check(&imp, Some(&empty), Some((&by_second, 30)), Ok(6_600_000));
        check(&imp, Some(&empty), None, Ok(1_100_000));
        let timed = Deal { min_cpm_per_second: Cpm(100_000), ..empty.clone() };
        check(&imp, Some(&timed), Some((&by_second, 30)), Ok(3_000_000));
        let ranged = Deal { duration_floors: &ranges, ..plain.clone() };
        check(&imp, Some(&ranged), Some((&by_second, 20)), Ok(10_000_000));
        check(&imp, Some(&ranged), Some((&by_second, 60)), Ok(2_000_000));
        let unreadable = Deal { bid_floor: None, ..plain };
        check(&imp, Some(&unreadable), None, Err(FloorError::Unreadable));
        let dear = Stream { min_cpm_per_second: Cpm::MAX, ..Stream::default() };
        check(&imp, None, Some((&dear, 2)), Err(FloorError::TooHigh { floor: Cpm::MAX, seconds: 2 }));
    }
}
