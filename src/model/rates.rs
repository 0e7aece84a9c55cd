//! Exchange rates as a frozen table. A rate is an integer (nano-units of the base currency for one unit of the
//! currency), so that a conversion is exact up to one stated rounding and replays to the same number.

use super::money::{Cpm, Currency, Nanos};
use std::collections::BTreeMap;

/// Nano-units of the table's base currency that one unit of a currency is worth.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Rate(pub i64);

impl Rate {
    /// The rate of a currency to itself.
    pub const ONE: Rate = Rate(1_000_000_000);

    /// What an amount is worth in the currency that this rate leads to, rounded down, at most what [`Nanos`] holds;
    /// `None` for a rate that is not positive.
    pub fn amount(self, of: Nanos) -> Option<Nanos> {
        let scaled = i128::from(of.0) * i128::from(self.0) / 1_000_000_000;
        (self.0 > 0).then(|| Nanos(scaled.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64))
    }
}

/// A table of rates against one base currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rates {
    base: Currency,
    rates: BTreeMap<Currency, Rate>,
    age: Option<Age>,
}

/// When a table was right, and for how long it may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age {
    /// When its rates were observed, in milliseconds since the Unix epoch.
    pub as_of_ms: i64,
    /// Seconds after which they are stale.
    pub max_s: u32,
}

/// Which way a conversion that does not come out even is rounded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Round {
    /// Toward zero: bids.
    Down,
    /// Away from zero: floors.
    Up,
}

impl Rates {
    /// A table that knows only its base.
    pub fn new(base: Currency) -> Rates {
        Rates { base, rates: BTreeMap::from([(base, Rate::ONE)]), age: None }
    }

    /// Adds or replaces a currency; a rate that is not positive, or one of the base itself, is refused.
    pub fn set(&mut self, currency: Currency, rate: Rate) -> bool {
        let accepted = rate.0 > 0 && currency != self.base;
        if accepted {
            self.rates.insert(currency, rate);
        }
        accepted
    }

    /// Says how old the rates are; without it they never become stale.
    pub fn set_age(&mut self, age: Option<Age>) {
        self.age = age;
    }

    /// How old the rates are, where that was said.
    pub fn age(&self) -> Option<Age> {
        self.age
    }

    /// Whether the rates are too old to convert anything by.
    pub fn is_stale(&self, unix_ms: i64) -> bool {
        self.age.is_some_and(|age| unix_ms - age.as_of_ms > i64::from(age.max_s) * 1_000)
    }

    /// What is left of a stale table: its base, which is worth itself.
    pub fn without_others(&self) -> Rates {
        Rates::new(self.base)
    }

    /// The currency that every rate is against.
    pub fn base(&self) -> Currency {
        self.base
    }

    /// Every known currency with its rate, the base with 1 among them, in the order of their codes.
    pub fn iter(&self) -> impl Iterator<Item = (Currency, Rate)> + '_ {
        self.rates.iter().map(|(currency, rate)| (*currency, *rate))
    }

    /// The rate of one currency, if it is known.
    pub fn get(&self, currency: Currency) -> Option<Rate> {
        if currency == self.base { Some(Rate::ONE) } else { self.rates.get(&currency).copied() }
    }

    /// The factor from one currency into another in nano-units of `to` for one unit of `from`, rounded down: what
    /// a token freezes.
    pub fn cross(&self, from: Currency, to: Currency) -> Option<Rate> {
        if from == to {
            return Some(Rate::ONE);
        }
        let cross = i128::from(self.get(from)?.0) * 1_000_000_000 / i128::from(self.get(to)?.0);
        i64::try_from(cross).ok().filter(|r| *r > 0).map(Rate)
    }

    /// Converts a bid or a cap: rounded down, and what leaves the range of a price counts as [`Cpm::MAX`], because a
    /// million units per thousand is little in some currencies. `None` when either currency is unknown.
    pub fn convert_capped(&self, price: Cpm, from: Currency, to: Currency) -> Option<Cpm> {
        self.get(from).and(self.get(to))?;
        Some(self.convert(price, from, to, Round::Down).unwrap_or(Cpm::MAX))
    }

    /// Converts a price; `None` when either currency is unknown or the result leaves the range of a price.
    pub fn convert(&self, price: Cpm, from: Currency, to: Currency, round: Round) -> Option<Cpm> {
        if from == to {
            return Some(price);
        }
        let (worth, denominator) = (self.get(from)?.0, self.get(to)?.0);
        // Prices of every day need no division of 128 bits, which costs many times as much.
        if let Some(numerator @ 0..) = price.0.checked_mul(worth) {
            let up = round == Round::Up && numerator % denominator != 0;
            let micros = numerator / denominator + i64::from(up);
            return (micros <= Cpm::MAX.0).then_some(Cpm(micros));
        }
        let numerator = i128::from(price.0) * i128::from(worth);
        let denominator = i128::from(denominator);
        let quotient = numerator.div_euclid(denominator);
        let up = round == Round::Up && numerator.rem_euclid(denominator) != 0;
        let micros = quotient + i128::from(up);
        (micros <= i128::from(Cpm::MAX.0)).then_some(Cpm(micros as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_rounds_up_and_a_bid_rounds_down() {
        let eur = Currency::parse("eur").unwrap();
        let mut rates = Rates::new(Currency::USD);
        assert!(rates.set(eur, Rate(1_080_000_000)));
        assert_eq!(rates.convert(Cpm(1_000_001), Currency::USD, eur, Round::Up), Some(Cpm(925_927)));
        assert_eq!(rates.convert(Cpm(1_000_001), Currency::USD, eur, Round::Down), Some(Cpm(925_926)));
        assert_eq!(rates.convert(Cpm(5), eur, Currency::parse("JPY").unwrap(), Round::Up), None);
        assert!(!rates.set(Currency::USD, Rate(2)));
    }

    #[test]
    fn stale_rates_convert_nothing() {
        let eur = Currency::parse("EUR").unwrap();
        let mut rates = Rates::new(Currency::USD);
        rates.set(eur, Rate(1_080_000_000));
        assert!(!rates.is_stale(i64::MAX));
        rates.set_age(Some(Age { as_of_ms: 5_000, max_s: 60 }));
        assert!(!rates.is_stale(65_000) && rates.is_stale(65_001));
        let left = rates.without_others();
        assert!(left.get(eur).is_none() && left.get(Currency::USD).is_some() && !left.is_stale(i64::MAX));
    }

    #[test]
    fn a_cap_in_a_small_currency_is_the_largest_price_and_not_unknown() {
        let vnd = Currency::parse("VND").unwrap();
        let mut rates = Rates::new(Currency::USD);
        assert!(rates.set(vnd, Rate(40_000)));
        let hundred = Cpm(100_000_000);
        assert_eq!(rates.convert(hundred, Currency::USD, vnd, Round::Down), None);
        assert_eq!(rates.convert_capped(hundred, Currency::USD, vnd), Some(Cpm::MAX));
        assert_eq!(rates.convert_capped(Cpm(2_000_000), Currency::USD, vnd), Some(Cpm(50_000_000_000)));
        assert_eq!(rates.convert_capped(hundred, Currency::USD, Currency::parse("JPY").unwrap()), None);
    }
}
