//! Synthetic logs of auctions whose truth is known, to judge pacing and shading by: values, prices, the shape of the
//! day, drift, and what an exchange says of auctions that were lost.
//!
//! Prices are log-normal around a level of their place with an hourly swing, never under the place's floor; σ within a
//! place and hour is 0.2, of a noisy market 0.45. Click rates are skewed (log-normal with σ = 2.5) or flat (σ = 0.3), and
//! do not depend on prices. A seed makes one log, the same on every machine of one kind.

use super::dice::Dice;
use crate::model::money::Cpm;

/// A row of a log: one auction that could have been won.
#[derive(Clone, Debug, PartialEq)]
pub struct Auction {
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// The lowest bid that would have won.
    pub price: Cpm,
    /// The predicted probability of a click.
    pub pctr: f64,
    /// Whether it was clicked.
    pub click: bool,
    /// Where, from wide to narrow: exchange, size, site, slot.
    pub place: [u64; 4],
}

/// How click rates are spread, and what happens to the market.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Skewed values.
    Skewed,
    /// Values of which one is like the other.
    Flat,
    /// Skewed values; prices rise by half in the course of each day.
    Drift,
    /// Skewed values; prices of one place are spread twice as wide.
    Noisy,
    /// Skewed values; from 14:00 to 16:00 there is twice the traffic.
    Surge,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 5] = [Kind::Skewed, Kind::Flat, Kind::Drift, Kind::Noisy, Kind::Surge];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Skewed => "skewed",
            Kind::Flat => "flat",
            Kind::Drift => "drift",
            Kind::Noisy => "noisy",
            Kind::Surge => "surge",
        }
    }
}

/// What is to be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Market {
    /// Decides everything.
    pub seed: u64,
    /// Decides the places and their levels: logs of one world are days of one market.
    pub world: u64,
    /// What kind of market.
    pub kind: Kind,
    /// The first millisecond, which should be the start of a day.
    pub starts_ms: i64,
    /// How many days.
    pub days: u32,
    /// How many auctions in all.
    pub rows: usize,
}

const DAY_MS: f64 = 86_400_000.0;
/// Parts of a day in which the rate of traffic is constant.
const PARTS: usize = 288;
const EXCHANGES: u64 = 4;
const SIZES: u64 = 3;
const SITES: u64 = 12;
const SLOTS: u64 = 2;

impl Market {
    /// The log, in the order of time.
    pub fn auctions(&self) -> Vec<Auction> {
        let mut dice = Draws(Dice::new(self.seed, 11));
        let times = self.times(&mut dice);
        times.into_iter().map(|at_ms| self.auction(at_ms, &mut dice)).collect()
    }

    /// Arrivals of a Poisson process in the shape of the day, given their number.
    fn times(&self, dice: &mut Draws) -> Vec<i64> {
        let parts = PARTS * self.days.max(1) as usize;
        let mut ends = Vec::with_capacity(parts);
        let mut sum = 0.0;
        for part in 0..parts {
            let hour = (part % PARTS) as f64 / PARTS as f64 * 24.0;
            sum += self.traffic(hour) * (0.08 * dice.normal()).exp();
            ends.push(sum);
        }
        let gaps: Vec<f64> = (0..=self.rows).map(|_| -dice.uniform().ln()).collect();
        let total: f64 = gaps.iter().sum();
        let (mut part, mut done, mut times) = (0, 0.0, Vec::with_capacity(self.rows));
        for gap in &gaps[..self.rows] {
            done += gap / total * sum;
            while part + 1 < parts && ends[part] < done {
                part += 1;
            }
            let from = if part == 0 { 0.0 } else { ends[part - 1] };
            let within = ((done - from) / (ends[part] - from)).min(1.0);
            let at = (part as f64 + within) / PARTS as f64 * DAY_MS;
            times.push(self.starts_ms + at as i64);
        }
        times
    }

    /// The rate of traffic at an hour of the day: little at night, most in the evening.
    pub fn traffic(&self, hour: f64) -> f64 {
        let turn = std::f64::consts::TAU / 24.0;
        let usual = 1.0 + 0.55 * ((hour - 15.0) * turn).cos() + 0.25 * ((hour - 20.5) * 2.0 * turn).cos();
        let surges = self.kind == Kind::Surge && (14.0..16.0).contains(&hour);
        usual.max(0.05) * if surges { 2.0 } else { 1.0 }
    }

    fn auction(&self, at_ms: i64, dice: &mut Draws) -> Auction {
        let exchange = dice.0.below(EXCHANGES);
        let size = dice.0.below(SIZES);
        // A few sites have most of the traffic.
        let site = ((SITES as f64 + 1.0).powf(dice.uniform()) - 1.0) as u64;
        let slot = dice.0.below(SLOTS);
        let into = (at_ms - self.starts_ms) as f64 / DAY_MS;
        let hour = into.fract() * 24.0;

        let interest = match self.kind {
            Kind::Flat => 0.3 * dice.normal(),
            _ => {
                let wanted = dice.uniform() < 0.05;
                2.5 * dice.normal() + if wanted { 1.5 } else { 0.0 }
            }
        };
        let base = if self.kind == Kind::Flat { 0.001 } else { 0.0001 };
        let pctr = (base * (interest + 0.3 * self.level(3, site)).exp()).min(0.5);

        let place_level = 0.25 * self.level(1, exchange)
            + 0.2 * self.level(2, size)
            + 0.35 * self.level(4, site * 16 + exchange)
            + 0.15 * self.level(5, (site * 16 + exchange) * 16 + slot);
        let hourly = 0.15 * ((hour - 19.0) * std::f64::consts::TAU / 24.0).cos();
        let drift = if self.kind == Kind::Drift { 1.5f64.ln() * into.fract() } else { 0.0 };
        let usual = 1.2 * (place_level + hourly + drift).exp();
        let spread = if self.kind == Kind::Noisy { 0.45 } else { 0.2 };
        let price = usual * (spread * dice.normal()).exp();
        let floor = 0.6 * 1.2 * place_level.exp();
        let price = price.max(floor);
        Auction {
            at_ms,
            price: Cpm((price * 1e6) as i64),
            pctr,
            click: dice.uniform() < pctr,
            place: [exchange, size, site, slot],
        }
    }

    /// A draw of the normal distribution that belongs to a place for ever.
    fn level(&self, salt: u64, number: u64) -> f64 {
        Draws(Dice::new(self.world.wrapping_mul(1_000_003) ^ number, salt)).normal()
    }
}

/// What an exchange says of auctions that were lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Coverage {
    /// How many of a hundred losses are told with their price; nothing is heard of the others.
    pub percent: u64,
    /// Decides which.
    pub seed: u64,
}

impl Coverage {
    /// Whether the loss of the auction in row `row` is told.
    pub fn tells(&self, row: usize) -> bool {
        Dice::new(self.seed ^ row as u64, 12).percent(self.percent)
    }
}

/// 64 random bits that belong to a row and a purpose, whatever else was drawn before.
pub fn draw(seed: u64, row: usize, purpose: u64) -> u64 {
    Dice::new(seed.wrapping_mul(0x9E37_79B9) ^ row as u64, purpose).next()
}

/// Draws from distributions of real numbers.
struct Draws(Dice);

impl Draws {
    /// Above 0 and below 1.
    fn uniform(&mut self) -> f64 {
        ((self.0.next() >> 12) as f64 + 0.5) / (1u64 << 52) as f64
    }

    /// Box and Muller's.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}
