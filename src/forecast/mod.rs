//! What a line item may expect of a day, from sampled requests: avails, reach, impressions and spend with an interval, what other
//! bids would bring, and what its targeting costs.
//!
//! Statistics alone: whoever asks has decided the requests again and says of each impression at which price it would be bid and how
//! likely that wins. People are sampled, not requests, so a person is what varies; each record weighs one over the chance with
//! which it was taken (Horvitz and Thompson 1952). How the interval is made stands in `docs/forecast.md`.
//!
//! Invariant: the same question with the same seed has the same answer. Floats are everywhere, because nothing here decides or
//! charges. Deliberately absent: catalogs, files, clocks.

mod dice;
mod interval;
mod people;
mod reach;
mod rules;

pub use interval::Interval;
pub use reach::unique;
pub use rules::{Relaxation, Removed, Rules};

use crate::model::frequency::Frequency;
use people::People;

/// An impression that a line item could buy.
#[derive(Clone, PartialEq, Debug)]
pub struct Avail {
    /// When, in Unix milliseconds.
    pub at_ms: i64,
    /// Whose; `None` = nobody can be told.
    pub person: Option<u64>,
    /// It stands for so many.
    pub one_in: u32,
    /// Which of the [`Curve`]s its probabilities are from.
    pub curve: usize,
    /// The bid at each step of the question; `None` = none is made at that price.
    pub bids: Vec<Option<Chance>>,
}

/// What a bid has to expect.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Chance {
    /// The probability to win.
    pub win: f64,
    /// What a win costs on average, in nanos of the wallet.
    pub cost_nanos: f64,
}

/// How well the probabilities of one market place are known.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Curve {
    /// Outcomes that it was learned from, each worth less the older it is.
    pub outcomes: f64,
    /// The number of the market around it, which may be wrong for all its places at once.
    pub market: usize,
    /// Outcomes of that market.
    pub market_outcomes: f64,
}

/// What happens where a day's budget does not last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spread {
    /// Impressions are left out at the same price.
    Thin,
    /// The price is lowered until the budget lasts.
    Lower,
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question<'q> {
    /// The samples are from here, in Unix milliseconds…
    pub from_ms: i64,
    /// … until just before here.
    pub until_ms: i64,
    /// The impressions that it could buy at all.
    pub avails: &'q [Avail],
    /// The market places that they name.
    pub curves: &'q [Curve],
    /// The step of [`Avail::bids`] that is as configured.
    pub base: usize,
    /// The steps of the curve that is printed, by rising price.
    pub grid: Vec<usize>,
    /// The steps that pacing can go down to, by rising price and up to the base; empty where it leaves the price alone.
    pub pacing: Vec<usize>,
    /// What holds for each person: of the line item, its campaign, its advertiser.
    pub frequency: &'q [Frequency],
    /// What a day may cost, in nanos of the wallet.
    pub budget_nanos: Option<i64>,
    /// The most that one impression may cost, which is what a budget can leave unspent.
    pub largest_nanos: i64,
    /// What happens where that does not last.
    pub spread: Spread,
    /// Draws come from it.
    pub seed: u64,
}

/// What is answered; all counts are a day's unless something else is said.
#[derive(Clone, PartialEq, Debug)]
pub struct Forecast {
    /// Days that the samples cover.
    pub days: f64,
    /// Impressions in the sample.
    pub sampled: usize,
    /// People in the sample that they are of, requests of nobody counted one by one.
    pub people: usize,
    /// Impressions that it could buy.
    pub avails: f64,
    /// Those that it bids on.
    pub bids: f64,
    /// Unique people among its avails in all the time that the samples cover; approximate.
    pub unique: f64,
    /// People who are shown it at least once in that time.
    pub reached: f64,
    /// Impressions.
    pub impressions: Interval,
    /// Nanos of the wallet.
    pub spend: Interval,
    /// The budget does not last: without it so much would be spent.
    pub unlimited_spend: f64,
    /// Whether the budget ends what is bought.
    pub limited: bool,
    /// Share of bids that win.
    pub win_rate: f64,
    /// The same at other prices, in the order of [`Question::grid`].
    pub curve: Vec<Point>,
    /// Outcomes that the probabilities rest on, on average.
    pub evidence: f64,
}

/// What another price would bring.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Point {
    /// Bids a day.
    pub bids: f64,
    /// Share of them that win.
    pub win_rate: f64,
    /// Impressions a day within caps and budget.
    pub impressions: f64,
    /// Nanos of the wallet a day.
    pub spend: f64,
}

const DAY_MS: f64 = 86_400_000.0;

/// Answers a question.
pub fn forecast(question: &Question<'_>) -> Forecast {
    let days = ((question.until_ms - question.from_ms).max(1)) as f64 / DAY_MS;
    let people = People::of(question);
    let totals = |step: usize| people.totals(step).scaled(1.0 / days);
    let base = totals(question.base);
    let spread = interval::predict(question, &people, days);
    let limited = |step: usize| interval::within_budget(question, &totals, step);
    let (impressions, spend) = limited(question.base);
    let is_limited = question.budget_nanos.is_some_and(|budget| base.spend > budget as f64);
    let reached = match is_limited {
        false => people.reached(question.base, 1.0),
        true => people.reached(question.base, impressions / base.impressions.max(f64::MIN_POSITIVE)),
    };
    let point = |step: &usize| {
        let (all, (impressions, spend)) = (totals(*step), limited(*step));
        Point { bids: all.bids, win_rate: all.win_rate(), impressions, spend }
    };
    let weighted = question.avails.iter().map(|avail| f64::from(avail.one_in));
    let mass: f64 = weighted.clone().sum();
    let evidence: f64 =
        question.avails.iter().zip(weighted).map(|(a, w)| question.curves[a.curve].outcomes * w).sum();
    Forecast {
        days,
        sampled: question.avails.len(),
        people: people.len(),
        avails: mass / days,
        bids: base.bids,
        unique: unique(question.avails.iter().filter_map(|avail| Some((avail.person?, avail.one_in)))),
        reached,
        impressions: spread.impressions.around(impressions),
        spend: spread.spend.around(spend),
        unlimited_spend: base.spend,
        limited: is_limited,
        win_rate: base.win_rate(),
        curve: question.grid.iter().map(point).collect(),
        evidence: if mass > 0.0 { evidence / mass } else { 0.0 },
    }
}

/// The most that what was never seen in a sample may be, with a chance of 95 %: three records' worth (the rule of three), a day.
pub fn upper_bound(one_in: u32, from_ms: i64, until_ms: i64) -> f64 {
    3.0 * f64::from(one_in) * DAY_MS / (until_ms - from_ms).max(1) as f64
}
