//! From what happened to models: joins clicks with their impressions and conversions with their clicks, learns them in the
//! order in which their outcome is known, and publishes.
//!
//! An impression waits 20 minutes for its click and is learned then, clicked or not: were clicks learned when they come, the
//! first minutes of each hour and of each new campaign would be learned from clicks alone. For six hours a late click still
//! finds its impression and is learned as a correction. A click is learned after an hour, after a day and after a week, until
//! it has converted, each time for what came since the last (see [`Delays`]). What happens at the moment when something is
//! due comes after it. Time is that of the events: nothing happens between them unless [`Trainer::advance`] says so.
//!
//! Everything is bounded. What is pushed out before its time is learned then for what is known of it, and counted.

use super::bytes::{DamagedBytes, Kind, Reader, Writer};
use super::delay::{Delays, MATURITIES_MS};
use super::features::mix;
use super::guard::Verdict;
use super::join::{Queue, Row, State, read_bid, write_bid};
use super::model::Model;
use super::options::{OptionsError, TrainerOptions};
use super::target::{Example, Target};
use crate::model::ids::{BidId, CampaignId};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

const KIND: Kind = Kind { magic: *b"outbidTR", what: "state of a trainer", version: 2 };
/// Clicks that may wait for their impression, when the records of both come in the wrong order.
const MAX_EARLY: usize = 10_000;

/// What became of the events so far. Where every event is counted: impressions = `negatives` + `clicks` + `sampled_out` +
/// those that still wait without a click.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Joined {
    /// Impressions.
    pub impressions: u64,
    /// Impressions of a bid that was shown already: not taken.
    pub repeated_impressions: u64,
    /// Impressions that were learned without a click.
    pub negatives: u64,
    /// Those that were left out, see [`TrainerOptions::negatives_one_in`].
    pub sampled_out: u64,
    /// Impressions that were pushed out while they waited: learned as negatives before their time.
    pub pushed_out: u64,
    /// Clicks that found their impression in time.
    pub clicks: u64,
    /// Clicks that found it after it was learned as a negative.
    pub late_clicks: u64,
    /// Clicks of a bid that was clicked already: not taken.
    pub repeated_clicks: u64,
    /// Clicks whose impression is not known, and did not come within the wait.
    pub lost_clicks: u64,
    /// Conversions that found their click, within each of [`MATURITIES_MS`].
    pub conversions: [u64; 3],
    /// Further conversions of a click: not taken.
    pub repeated_conversions: u64,
    /// Conversions whose click is not known, or too long ago.
    pub lost_conversions: u64,
    /// Clicks that were pushed out before a week was over.
    pub pushed_out_clicks: u64,
}

impl Joined {
    const FIELDS: usize = 15;

    /// Share of the clicks that found their impression; `None` without clicks.
    pub fn join_rate(&self) -> Option<f64> {
        let found = self.clicks + self.late_clicks;
        let all = found + self.lost_clicks;
        (all > 0).then(|| found as f64 / all as f64)
    }

    fn to_array(self) -> [u64; Joined::FIELDS] {
        let [hour, day, week] = self.conversions;
        [
            self.impressions,
            self.repeated_impressions,
            self.negatives,
            self.sampled_out,
            self.pushed_out,
            self.clicks,
            self.late_clicks,
            self.repeated_clicks,
            self.lost_clicks,
            hour,
            day,
            week,
            self.repeated_conversions,
            self.lost_conversions,
            self.pushed_out_clicks,
        ]
    }

    fn from_array(numbers: [u64; Joined::FIELDS]) -> Joined {
        let [
            impressions,
            repeated_impressions,
            negatives,
            sampled_out,
            pushed_out,
            clicks,
            late_clicks,
            repeated_clicks,
            lost_clicks,
            hour,
            day,
            week,
            repeated_conversions,
            lost_conversions,
            pushed_out_clicks,
        ] = numbers;
        Joined {
            impressions,
            repeated_impressions,
            negatives,
            sampled_out,
            pushed_out,
            clicks,
            late_clicks,
            repeated_clicks,
            lost_clicks,
            conversions: [hour, day, week],
            repeated_conversions,
            lost_conversions,
            pushed_out_clicks,
        }
    }
}

/// The models that serve; `None` = none has been good enough so far.
#[derive(Clone, Debug, Default)]
pub struct Models {
    /// Of clicks.
    pub click: Option<Arc<Model>>,
    /// Of conversions after a click.
    pub conversion: Option<Arc<Model>>,
}

/// What came of publishing.
#[derive(Clone, Debug)]
pub struct Publication {
    /// What serves from now on: the new ones, and the old ones where those were refused.
    pub models: Models,
    /// What the guard said of the model of clicks.
    pub click: Verdict,
    /// What it said of the model of conversions.
    pub conversion: Verdict,
}

/// Learns from events and publishes models.
pub struct Trainer {
    options: TrainerOptions,
    clicks: Target,
    conversions: Target,
    shown: Queue,
    clicked: Queue,
    /// Clicks before their impression, with their time.
    early: VecDeque<(BidId, i64)>,
    early_by_bid: HashMap<BidId, i64, foldhash::fast::RandomState>,
    delays: Delays,
    joined: Joined,
    now_ms: i64,
}

impl Trainer {
    /// A trainer that knows nothing.
    pub fn new(options: TrainerOptions) -> Result<Trainer, OptionsError> {
        options.check()?;
        Ok(Trainer {
            options,
            clicks: Target::new(options.click, &options)?,
            conversions: Target::new(options.conversion, &options)?,
            shown: Queue::new(options.max_impressions, 1),
            clicked: Queue::new(options.max_clicks, MATURITIES_MS.len()),
            early: VecDeque::new(),
            early_by_bid: HashMap::default(),
            delays: Delays::default(),
            joined: Joined::default(),
            now_ms: 0,
        })
    }

    /// What became of the events so far.
    pub fn joined(&self) -> Joined {
        self.joined
    }

    /// Impressions and clicks that are remembered.
    pub fn remembered(&self) -> (usize, usize) {
        (self.shown.len(), self.clicked.len())
    }

    /// Rows that both learners have learned.
    pub fn rows(&self) -> (u64, u64) {
        (self.clicks.rows(), self.conversions.rows())
    }

    /// How late conversions come.
    pub fn delays(&self) -> &Delays {
        &self.delays
    }

    /// An impression was shown; `features` are those of the bid: the context's and the crosses', 64 at most count.
    pub fn impression(
        &mut self,
        bid: BidId,
        at_ms: i64,
        campaign: CampaignId,
        features: impl IntoIterator<Item = u32>,
    ) {
        self.advance(at_ms);
        if self.shown.contains(bid) {
            self.joined.repeated_impressions += 1;
            return;
        }
        self.joined.impressions += 1;
        let features = features.into_iter().take(TrainerOptions::MAX_FEATURES).collect();
        if self.shown.is_full() {
            self.forget_impression();
        }
        self.shown.push(Row { bid, at_ms, campaign, state: State::Open, features });
        if let Some(clicked_ms) = self.early_by_bid.remove(&bid) {
            self.take_click(bid, clicked_ms.max(at_ms));
        }
    }

    /// A bid was clicked.
    pub fn click(&mut self, bid: BidId, at_ms: i64) {
        self.advance(at_ms);
        if self.shown.contains(bid) {
            self.take_click(bid, at_ms);
        } else if self.clicked.contains(bid) || self.early_by_bid.contains_key(&bid) {
            self.joined.repeated_clicks += 1;
        } else {
            if self.early.len() == MAX_EARLY {
                self.forget_early();
            }
            self.early.push_back((bid, at_ms));
            self.early_by_bid.insert(bid, at_ms);
        }
    }

    fn take_click(&mut self, bid: BidId, at_ms: i64) {
        let Some(row) = self.shown.get_mut(bid) else { return };
        if row.state.came() {
            self.joined.repeated_clicks += 1;
            return;
        }
        let click = Row { at_ms, state: State::Open, ..row.clone() };
        if row.state == State::Open {
            row.state = State::Joined;
            self.joined.clicks += 1;
        } else {
            row.state = State::Done;
            let example = Example { at_ms, campaign: row.campaign, features: &row.features };
            self.clicks.learn_late(example);
            self.joined.late_clicks += 1;
        }
        if self.clicked.is_full() {
            self.joined.pushed_out_clicks += 1;
            self.forget_click();
        }
        if !self.clicked.contains(bid) {
            self.clicked.push(click);
        }
    }

    /// A conversion is put down to the click of a bid.
    pub fn conversion(&mut self, bid: BidId, at_ms: i64) {
        self.advance(at_ms);
        let Some(row) = self.clicked.get_mut(bid) else {
            self.joined.lost_conversions += 1;
            return;
        };
        let delay_ms = (at_ms - row.at_ms).max(0);
        let Some(maturity) = MATURITIES_MS.iter().position(|age| delay_ms < *age) else {
            self.joined.lost_conversions += 1;
            return;
        };
        if row.state.came() {
            self.joined.repeated_conversions += 1;
            return;
        }
        row.state = State::Joined;
        self.delays.add(row.campaign, delay_ms);
        self.joined.conversions[maturity] += 1;
    }

    /// It is this late now: what has waited long enough is learned, what is too old is forgotten. Time never goes back.
    pub fn advance(&mut self, now_ms: i64) {
        self.now_ms = self.now_ms.max(now_ms);
        let due_ms = self.now_ms - self.options.wait_ms;
        while let Some(row) = self.shown.next_due(0, due_ms) {
            learn_impression(&self.options, &mut self.clicks, &mut self.joined, row);
        }
        while self.shown.front().is_some_and(|row| row.at_ms <= self.now_ms - self.options.late_ms) {
            self.forget_impression();
        }
        while self.early.front().is_some_and(|(_, at_ms)| *at_ms <= due_ms) {
            self.forget_early();
        }
        for (age, age_ms) in MATURITIES_MS.into_iter().enumerate() {
            while let Some(row) = self.clicked.next_due(age, self.now_ms - age_ms) {
                learn_click(&mut self.conversions, &self.delays, row, age, age_ms);
            }
        }
        while self.clicked.front().is_some_and(|row| row.at_ms <= self.now_ms - MATURITIES_MS[2]) {
            self.forget_click();
        }
    }

    fn forget_impression(&mut self) {
        if let Some((mut row, _)) = self.shown.pop().filter(|(row, _)| row.state.waits()) {
            self.joined.pushed_out += 1;
            learn_impression(&self.options, &mut self.clicks, &mut self.joined, &mut row);
        }
    }

    fn forget_early(&mut self) {
        // Those that found their impression are in the queue only.
        let gone = self.early.pop_front().and_then(|(bid, _)| self.early_by_bid.remove(&bid));
        self.joined.lost_clicks += u64::from(gone.is_some());
    }

    fn forget_click(&mut self) {
        // Who has passed all ages says nothing new.
        let popped = self.clicked.pop().filter(|(row, age)| row.state.waits() && *age < MATURITIES_MS.len());
        if let Some((mut row, age)) = popped {
            let age_ms = self.now_ms - row.at_ms;
            learn_click(&mut self.conversions, &self.delays, &mut row, age, age_ms);
        }
    }

    /// Calibrates anew and takes snapshots of what was learned. The guard may refuse them; then the old ones go on serving.
    pub fn publish(&mut self) -> Publication {
        let (click, _) = self.clicks.publish(self.now_ms);
        let (conversion, _) = self.conversions.publish(self.now_ms);
        Publication { models: self.models(), click, conversion }
    }

    /// What serves.
    pub fn models(&self) -> Models {
        Models { click: self.clicks.served().cloned(), conversion: self.conversions.served().cloned() }
    }

    /// Its whole state, with what serves and what waits: a trainer that goes on from it does as if it had never stopped.
    pub fn export(&self) -> Vec<u8> {
        let mut out = Writer::new(KIND);
        out.i64(self.now_ms);
        self.joined.to_array().iter().for_each(|number| out.u64(*number));
        self.clicks.write(&mut out);
        self.conversions.write(&mut out);
        self.shown.write(&mut out);
        self.clicked.write(&mut out);
        let early: Vec<_> =
            self.early.iter().filter(|(bid, _)| self.early_by_bid.contains_key(bid)).collect();
        out.u32(early.len() as u32);
        for (bid, at_ms) in early {
            write_bid(&mut out, *bid);
            out.i64(*at_ms);
        }
        self.delays.write(&mut out);
        out.finish()
    }

    /// Goes on from a state; `options` are those that it was made with.
    pub fn import(options: TrainerOptions, bytes: &[u8]) -> Result<Trainer, DamagedBytes> {
        let mut input = Reader::open(KIND, bytes)?;
        let mut trainer = Trainer::new(options).map_err(|why| input.wrong_options(why))?;
        trainer.now_ms = input.i64()?;
        let mut numbers = [0; Joined::FIELDS];
        for number in &mut numbers {
            *number = input.u64()?;
        }
        trainer.joined = Joined::from_array(numbers);
        trainer.clicks = trainer.clicks.read(&mut input)?;
        trainer.conversions = trainer.conversions.read(&mut input)?;
        trainer.shown = trainer.shown.read(&mut input)?;
        trainer.clicked = trainer.clicked.read(&mut input)?;
        for _ in 0..input.count(24)? {
            let (bid, at_ms) = (read_bid(&mut input)?, input.i64()?);
            trainer.early.push_back((bid, at_ms));
            trainer.early_by_bid.insert(bid, at_ms);
        }
        trainer.delays = Delays::read(&mut input)?;
        input.end()?;
        Ok(trainer)
    }
}

/// Learns an impression whose wait is over, or that has to go.
fn learn_impression(options: &TrainerOptions, clicks: &mut Target, joined: &mut Joined, row: &mut Row) {
    let example = Example { at_ms: row.at_ms, campaign: row.campaign, features: &row.features };
    if row.state == State::Joined {
        clicks.learn(example, true, 1.0);
        row.state = State::Done;
        return;
    }
    row.state = State::Negative;
    // By the bid, so that who learns the same events again leaves out the same ones.
    let one_in = u64::from(options.negatives_one_in);
    let draw = mix(row.bid.sequence ^ u64::from(row.bid.epoch) << 32 ^ u64::from(row.bid.core) << 48);
    if (u128::from(draw) * u128::from(one_in)) >> 64 != 0 {
        joined.sampled_out += 1;
        return;
    }
    joined.negatives += 1;
    clicks.learn(example, false, one_in as f64);
}

/// Learns a click for what it did between the age before this one and `age_ms`.
fn learn_click(conversions: &mut Target, delays: &Delays, row: &mut Row, age: usize, age_ms: i64) {
    let arrived = |age_ms| delays.arrived(row.campaign, age_ms);
    let before = age.checked_sub(1).map_or(0.0, |last| arrived(MATURITIES_MS[last]));
    let p = conversions.predict(&row.features, row.campaign);
    let (positive, negative) = Delays::weights(p, before, arrived(age_ms));
    let at_ms = row.at_ms.saturating_add(age_ms);
    let example = Example { at_ms, campaign: row.campaign, features: &row.features };
    if row.state == State::Joined {
        conversions.learn(example, true, positive);
        row.state = State::Done;
    } else {
        conversions.learn(example, false, negative);
    }
}
