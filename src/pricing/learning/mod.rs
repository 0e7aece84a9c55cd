//! Learning from the event log: bids are joined with what became of them, and every few seconds new tables come out, of best
//! bids ([`shading`](super::shading)) and of probabilities ([`prediction`](super::prediction)).
//!
//! ```text
//! bid ──▶ waits, with the features and the place of its moment
//!          ├─ win, bill, impression ─▶ won, at least at its price ──▶ Landscape ─▶ ShadeTable ─┐
//!          ├─ loss ─▶ lost; expired without a word ─▶ silent ────────▲                          ├─▶ Tables
//!          └─ impression · click · conversion ─▶ Trainer ─▶ Models ─────────────────────────────┘
//! ```
//!
//! Invariants: the same events in the same order give the same tables, bit for bit, also over an export and an import in
//! between; memory is bounded, and what was left out for it is counted; nobody's identity is looked at. Deliberately
//! absent: threads, files and clocks, which are `serve`'s.

mod bytes;
mod revenue;
mod tables;
mod waiting;

pub use bytes::StateError;
pub use revenue::Revenues;
pub use tables::{Owner, Seen, Sums, Tables};

use super::market;
use super::prediction::{Joined, OptionsError, Publication, Trainer, TrainerOptions};
use super::shading::{self, Axis, Estimator, Explorer, Landscape, Outcome, ShadeTable, WinCurves};
use crate::model::event::{BidMade, Converted, Event, NoticeEvent, Noticed, What};
use crate::model::ids::{ConversionId, LineItemId};
use crate::model::money::Cpm;
use std::collections::BTreeMap;
use std::sync::Arc;
use waiting::{Heard, Queue, Waiting};

/// Places whose prices are learned, at most; about 1.3 kB each.
const MOST_PLACES: usize = 20_000;
/// A line item is new until so many of its impressions were seen.
const NEW_IMPRESSIONS: u32 = 2_000;
/// Loss codes that speak of prices (OpenRTB 3.0, "Loss Reason Codes"): below the auction's or the deal's floor, lost to a
/// higher bid. The others would have lost at any price.
const PRICE_LOSSES: [u16; 3] = [100, 101, 102];

/// What became of the bids so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Outcomes {
    /// Bids whose outcome is waited for, or was.
    pub bids: u64,
    /// Bids that were not taken up because too many waited.
    pub left_out: u64,
    /// Bids that won.
    pub won: u64,
    /// Wins that said the lowest price that would have won.
    pub won_told: u64,
    /// Bids that lost by their price.
    pub lost: u64,
    /// Losses that said the price that won.
    pub lost_told: u64,
    /// Bids of which nothing was heard.
    pub silent: u64,
    /// Impressions of bids that nobody waits for: too old, left out, or from before the log.
    pub strangers: u64,
}

/// How likely prices are to win.
#[derive(Clone, Debug)]
pub struct Markets {
    /// Where the winner pays its own bid.
    pub first: WinCurves,
    /// Where it pays the next one's, or what was agreed on.
    pub second: WinCurves,
}

impl Markets {
    /// What is known before anything was heard: nothing.
    pub fn unknown() -> Markets {
        let curves = || Landscape::new(Axis::default(), 1).curves(0);
        Markets { first: curves(), second: curves() }
    }

    /// The one of an auction.
    pub fn of(&self, first_price: bool) -> &WinCurves {
        if first_price { &self.first } else { &self.second }
    }
}

/// Learns from events. It belongs to one background thread.
pub struct Learning {
    trainer: Trainer,
    landscape: Landscape,
    /// Prices of auctions whose winner pays the next one's, or what was agreed on: nobody shades there, but forecasts ask.
    second: Landscape,
    /// The table that serves: the next one is not far from it.
    table: Arc<ShadeTable>,
    waiting: Queue,
    revenues: Revenues,
    /// Impressions of each line item, up to [`NEW_IMPRESSIONS`].
    shown: BTreeMap<LineItemId, u32>,
    outcomes: Outcomes,
    /// Something about prices was heard since the last table.
    news: bool,
    /// The same of auctions that nobody shades in.
    second_news: bool,
}

impl Learning {
    /// One that knows nothing and lets at most so many bids wait for their outcome, about 400 bytes each.
    ///
    /// # Errors
    /// Options that cannot be.
    pub fn new(options: TrainerOptions, most_waiting: usize) -> Result<Learning, OptionsError> {
        Ok(Learning {
            trainer: Trainer::new(options)?,
            landscape: Landscape::new(Axis::default(), MOST_PLACES),
            second: Landscape::new(Axis::default(), MOST_PLACES),
            table: Arc::new(ShadeTable::unshaded(Axis::default())),
            waiting: Queue::new(most_waiting),
            revenues: Revenues::default(),
            shown: BTreeMap::new(),
            outcomes: Outcomes::default(),
            news: false,
            second_news: false,
        })
    }

    /// Takes up an event. `is_goal` says whether a conversion of this definition is a success of this line item.
    pub fn take(&mut self, event: &Event, is_goal: impl Fn(LineItemId, ConversionId) -> bool) {
        self.advance(event.at_ms);
        match &event.what {
            What::Bid(bid) => self.bid(bid, event.at_ms),
            What::NoBid(_) => {}
            What::Notice(noticed) => self.notice(noticed, event.at_ms),
            What::Conversion(converted) => self.conversion(converted, event.at_ms, is_goal),
        }
    }

    /// It is this late now: bids whose time is over are silent, clicks and conversions that did not come are not waited for.
    /// Time never goes back.
    pub fn advance(&mut self, now_ms: i64) {
        while let Some(bid) = self.waiting.expired(now_ms) {
            if bid.heard == Heard::Nothing && bid.base_price > Cpm(0) {
                self.outcomes.silent += u64::from(bid.first_price);
                self.learn_price(&bid, shading::Heard::Silent, now_ms);
            }
        }
        self.trainer.advance(now_ms);
    }

    /// Nobody listened for a while, so that the silence of bids that are open says nothing: after a crash, say.
    pub fn forgive_silence(&mut self) {
        self.waiting.forgive();
    }

    fn bid(&mut self, bid: &BidMade, at_ms: i64) {
        if bid.test {
            return;
        }
        let evidence = &bid.evidence;
        let waiting = || Waiting {
            place: market::place(bid.exchange, (bid.media, bid.size), bid.place.inventory, evidence.market),
            price: bid.price,
            base_price: evidence.base_price,
            first_price: evidence.first_price && evidence.base_price > Cpm(0) && bid.price > Cpm(0),
            heard: Heard::Nothing,
            campaign: bid.campaign,
            features: evidence.features.as_slice().into(),
        };
        let until_ms = at_ms.saturating_add(i64::from(evidence.life_s.max(1)) * 1_000);
        match self.waiting.push(bid.id, until_ms, waiting) {
            true => self.outcomes.bids += 1,
            false => self.outcomes.left_out += 1,
        }
    }

    fn notice(&mut self, noticed: &Noticed, at_ms: i64) {
        match noticed.kind {
            NoticeEvent::Click => return self.trainer.click(noticed.bid, at_ms),
            NoticeEvent::Player(_) => return,
            NoticeEvent::Win(_)
            | NoticeEvent::Bill { .. }
            | NoticeEvent::Loss(_)
            | NoticeEvent::Impression => {}
        }
        let shown = matches!(noticed.kind, NoticeEvent::Impression | NoticeEvent::Bill { .. });
        let Some(bid) = self.waiting.get_mut(noticed.bid) else {
            self.outcomes.strangers += u64::from(shown);
            return;
        };
        let features = match shown {
            true => std::mem::take(&mut bid.features),
            false => Box::default(),
        };
        let new = bid.base_price > Cpm(0) && bid.heard == Heard::Nothing;
        let paid = match noticed.kind {
            NoticeEvent::Win(paid) => paid,
            NoticeEvent::Bill { price, .. } => Some(price),
            _ => None,
        };
        // Who pays the next price was told the lowest that would have won.
        let told = if bid.first_price { noticed.min_to_win } else { noticed.min_to_win.or(paid) };
        let min_to_win = told.and_then(|price| bid.in_base(price));
        let heard = match noticed.kind {
            NoticeEvent::Loss(Some(code)) if !PRICE_LOSSES.contains(&code) => None,
            NoticeEvent::Loss(_) => Some(shading::Heard::Lost { min_to_win }),
            _ => Some(shading::Heard::Won { min_to_win }),
        };
        bid.heard = Heard::Outcome;
        let bid = bid.clone();
        if !features.is_empty() {
            let shown = self.shown.entry(noticed.line_item).or_default();
            *shown = (*shown + 1).min(NEW_IMPRESSIONS);
            self.trainer.impression(noticed.bid, at_ms, bid.campaign, features.iter().copied());
        }
        if let Some(heard) = heard.filter(|_| new) {
            match heard {
                _ if !bid.first_price => {}
                shading::Heard::Won { .. } => {
                    self.outcomes.won += 1;
                    self.outcomes.won_told += u64::from(min_to_win.is_some());
                }
                _ => {
                    self.outcomes.lost += 1;
                    self.outcomes.lost_told += u64::from(min_to_win.is_some());
                }
            }
            self.learn_price(&bid, heard, at_ms);
        }
    }

    fn learn_price(&mut self, bid: &Waiting, heard: shading::Heard, at_ms: i64) {
        let outcome = Outcome { place: bid.place, at_ms, bid: bid.base_price, heard };
        if bid.first_price {
            self.landscape.observe(&outcome);
            self.news = true;
        } else {
            self.second.observe(&outcome);
            self.second_news = true;
        }
    }

    fn conversion(
        &mut self,
        converted: &Converted,
        at_ms: i64,
        is_goal: impl Fn(LineItemId, ConversionId) -> bool,
    ) {
        let Some(credit) = &converted.credit else { return };
        if !credit.click || !is_goal(credit.line_item, converted.conversion) {
            return;
        }
        self.trainer.conversion(credit.bid, at_ms);
        if let Some(value) = converted.value {
            self.revenues.add(converted.advertiser, credit.line_item, value);
        }
    }

    /// Works out the best bids anew where anything was heard, or where they were still on their way; returns whether it did.
    pub fn reprice(&mut self, now_ms: i64) -> bool {
        if std::mem::take(&mut self.second_news) {
            self.second.refresh(now_ms);
        }
        let due = std::mem::take(&mut self.news) || self.landscape.is_unsettled();
        if due {
            self.table = Arc::new(self.landscape.rebuild(now_ms, Some(&self.table)));
        }
        due
    }

    /// How likely each price is to win, as of the last [`Learning::reprice`].
    pub fn win_curves(&mut self, now_ms: i64) -> Markets {
        Markets { first: self.landscape.curves(now_ms), second: self.second.curves(now_ms) }
    }

    /// Calibrates and publishes models, unless the guard refuses them.
    pub fn publish_models(&mut self) -> Publication {
        self.trainer.publish()
    }

    /// What serves as of the last [`Learning::reprice`] and [`Learning::publish_models`].
    pub fn tables(&self) -> Tables {
        let models = self.trainer.models();
        let told = self.landscape.whole_estimator() == Estimator::Open;
        Tables {
            shading: Arc::clone(&self.table),
            // Where every price is told, other bids would teach nothing.
            explorer: if told { Explorer { rate_ppm: 0 } } else { Explorer::default() },
            click: models.click,
            conversion: models.conversion,
            revenues: Arc::new(self.revenues.clone()),
            known: Arc::new(
                self.shown
                    .iter()
                    .filter(|(_, shown)| **shown >= NEW_IMPRESSIONS)
                    .map(|(id, _)| *id)
                    .collect(),
            ),
        }
    }

    /// What became of bids.
    pub fn outcomes(&self) -> Outcomes {
        self.outcomes
    }

    /// What became of impressions, clicks and conversions.
    pub fn joined(&self) -> Joined {
        self.trainer.joined()
    }

    /// Rows that were learned, of clicks and of conversions.
    pub fn rows(&self) -> (u64, u64) {
        self.trainer.rows()
    }

    /// Places that have best bids of their own, the whole market included.
    pub fn places(&self) -> usize {
        self.table.places()
    }

    /// Bids that wait for their outcome.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}
