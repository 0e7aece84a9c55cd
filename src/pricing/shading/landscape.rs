//! What outcomes say about the price that wins, place by place.

use super::axis::{Axis, BINS};
use super::estimate::{self, CELLS, Cells, Censored};
use super::place::{LEVELS, Place, ROOT};
use super::table::{Row, ShadeTable};
use super::wins::WinCurves;
use crate::model::money::Cpm;
use std::collections::HashMap;

/// After this time an outcome counts half.
const HALF_LIFE_MS: f64 = 6.0 * 3_600_000.0;
/// Counts grow by this many doublings before they are brought down again.
const MOST_DOUBLINGS: f64 = 40.0;
/// Prices must have come with this share of wins and of losses before they alone are believed.
const COVERED: f32 = 0.95;
/// A place has a row of its own from so many outcomes on.
const ROW_OUTCOMES: f32 = 50.0;
/// A place with fewer is forgotten.
const KEPT_OUTCOMES: f32 = 1.0;
/// A place is estimated again when this part of its outcomes is new, and at least so many.
const NEWS: f32 = 0.02;
const FEWEST_NEWS: f32 = 5.0;
/// What prices are before anything was seen: anything on the axis, with the weight of so many outcomes.
const IGNORANCE: f32 = 1.0;

/// What became of a bid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// It won; `min_to_win` is the price that would have done, where the exchange says it (`AUCTION_MIN_TO_WIN`), or
    /// what was paid where the auction is of second price.
    Won {
        /// That price.
        min_to_win: Option<Cpm>,
    },
    /// A loss notice came.
    Lost {
        /// The price that would have won, where the notice says it.
        min_to_win: Option<Cpm>,
    },
    /// Nothing was heard until the bid expired, which is a loss without a price.
    Silent,
}

/// A bid and what became of it. Bids that may still be answered are not outcomes yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Where the impression was offered.
    pub place: Place,
    /// When this was learned, Unix milliseconds.
    pub at_ms: i64,
    /// What was bid.
    pub bid: Cpm,
    /// What became of it.
    pub heard: Heard,
}

/// Which prices an estimate is made from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Estimator {
    /// All prices that were told.
    Open,
    /// Wins and losses, and the prices of wins where they were told. A price that mostly arrives with wins makes every
    /// auction look cheap: bids fall, auctions are lost, and nobody hears of it.
    Censored,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bucket {
    pub(super) key: u64,
    /// Index of the next wider place's bucket; the market's own for the market.
    pub(super) parent: u32,
    pub(super) level: u8,
    pub(super) counts: Counts,
    /// The last estimate, where the next one begins.
    pub(super) density: Cells,
    /// The weight of what was heard since then.
    pub(super) unheeded: f32,
    /// Whether the bids in the last table were the best ones, not only on their way there.
    pub(super) settled: bool,
}

/// Decayed counts by bin; see [`Censored`] for the last three.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Counts {
    /// Prices that were told, of won and lost auctions.
    pub(super) prices: Cells,
    pub(super) told: Cells,
    pub(super) won: Cells,
    pub(super) lost: Cells,
    pub(super) sums: Sums,
}

/// Sums of the counts, so that nobody adds up bins to see whether there is anything to do.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub(super) struct Sums {
    pub(super) told: f32,
    pub(super) won: f32,
    pub(super) lost: f32,
    /// Losses whose price was told, for the coverage.
    pub(super) losses_told: f32,
}

impl Counts {
    const NONE: Counts = Counts {
        prices: [0.0; CELLS],
        told: [0.0; CELLS],
        won: [0.0; CELLS],
        lost: [0.0; CELLS],
        sums: Sums { told: 0.0, won: 0.0, lost: 0.0, losses_told: 0.0 },
    };

    fn add(&mut self, axis: &Axis, outcome: &Outcome, weight: f32) {
        let price = match outcome.heard {
            Heard::Won { min_to_win: Some(price) } => {
                self.told[axis.bin(price.min(outcome.bid))] += weight;
                self.sums.told += weight;
                Some(price)
            }
            Heard::Won { min_to_win: None } => {
                at_edges(&mut self.won, axis, outcome.bid, weight);
                self.sums.won += weight;
                None
            }
            Heard::Lost { .. } | Heard::Silent => {
                let price = if let Heard::Lost { min_to_win } = outcome.heard { min_to_win } else { None };
                at_edges(&mut self.lost, axis, outcome.bid, weight);
                self.sums.lost += weight;
                self.sums.losses_told += if price.is_some() { weight } else { 0.0 };
                price
            }
        };
        if let Some(price) = price {
            self.prices[axis.bin(price)] += weight;
        }
    }

    pub(super) fn outcomes(&self) -> f32 {
        self.sums.told + self.sums.won + self.sums.lost
    }

    /// The rule of [`Estimator`]: prices alone where they are told of nearly all wins and nearly all losses.
    fn estimator(&self) -> Estimator {
        let Sums { told, won, lost, losses_told } = self.sums;
        match told >= COVERED * (told + won) && losses_told >= COVERED * lost {
            true => Estimator::Open,
            false => Estimator::Censored,
        }
    }

    fn scale(&mut self, by: f32) {
        for cells in [&mut self.prices, &mut self.told, &mut self.won, &mut self.lost] {
            cells.iter_mut().for_each(|cell| *cell *= by);
        }
        let Sums { told, won, lost, losses_told } = &mut self.sums;
        [told, won, lost, losses_told].into_iter().for_each(|sum| *sum *= by);
    }

    fn scaled(&self, by: f32) -> Counts {
        let mut counts = self.clone();
        counts.scale(by);
        counts
    }
}

/// Counts a bid at the two edges around it, more at the nearer one, because what is estimated is linear in between.
fn at_edges(counts: &mut Cells, axis: &Axis, bid: Cpm, weight: f32) {
    let (bin, within) = axis.place(bid);
    let upper = weight * within as f32;
    counts[bin] += weight - upper;
    if let Some(count) = counts.get_mut(bin + 1) {
        *count += upper;
    }
}

impl Bucket {
    fn add(&mut self, axis: &Axis, outcome: &Outcome, weight: f32) {
        self.counts.add(axis, outcome, weight);
        self.unheeded += weight;
    }

    /// Whether enough was heard to estimate again, of outcomes that weigh `now` each.
    fn is_due(&self, now: f32) -> bool {
        self.unheeded >= (NEWS * self.counts.outcomes()).max(FEWEST_NEWS * now)
    }
}

/// The learner. It belongs to one background thread; what serves is the [`ShadeTable`] it builds.
#[derive(Clone, Debug, PartialEq)]
pub struct Landscape {
    pub(super) axis: Axis,
    /// Newer outcomes weigh more instead of older ones less, so that nothing is swept: an outcome at `base_ms` weighs 1.
    pub(super) base_ms: Option<i64>,
    pub(super) buckets: Vec<Bucket>,
    pub(super) by_key: HashMap<u64, u32>,
    pub(super) most_buckets: usize,
    pub(super) refused: u64,
    /// The bids of the last table are still on their way to the best ones.
    pub(super) unsettled: bool,
}

impl Landscape {
    /// A learner over a price axis that holds at most so many places, about 1.3 kB each. Outcomes in places beyond that
    /// count for the wider places they lie in.
    pub fn new(axis: Axis, most_places: usize) -> Landscape {
        let market = Bucket {
            key: ROOT,
            parent: 0,
            level: 0,
            counts: Counts::NONE,
            density: [1.0 / CELLS as f32; CELLS],
            unheeded: 0.0,
            settled: false,
        };
        Landscape {
            axis,
            base_ms: None,
            buckets: vec![market],
            by_key: HashMap::from([(ROOT, 0)]),
            most_buckets: most_places.max(1),
            refused: 0,
            unsettled: false,
        }
    }

    /// The price axis.
    pub fn axis(&self) -> &Axis {
        &self.axis
    }

    /// Places that are held, the whole market included.
    pub fn places(&self) -> usize {
        self.buckets.len()
    }

    /// Places that were not taken up because there were too many, once for each outcome in them.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Takes up an outcome.
    pub fn observe(&mut self, outcome: &Outcome) {
        let weight = self.weight(outcome.at_ms);
        self.buckets[0].add(&self.axis, outcome, weight);
        let mut parent = 0;
        for (at, key) in outcome.place.keys.into_iter().enumerate() {
            let Some(bucket) = self.bucket(key, parent, at as u8 + 1) else {
                self.refused += 1;
                return;
            };
            self.buckets[bucket as usize].add(&self.axis, outcome, weight);
            parent = bucket;
        }
    }

    fn bucket(&mut self, key: u64, parent: u32, level: u8) -> Option<u32> {
        if let Some(found) = self.by_key.get(&key) {
            return Some(*found);
        }
        if self.buckets.len() >= self.most_buckets {
            return None;
        }
        let (number, density) = (self.buckets.len() as u32, self.buckets[parent as usize].density);
        let counts = Counts::NONE;
        self.buckets.push(Bucket { key, parent, level, counts, density, unheeded: 0.0, settled: false });
        self.by_key.insert(key, number);
        Some(number)
    }

    /// How much an outcome of `at_ms` weighs; brings all counts down before weights grow out of their type.
    fn weight(&mut self, at_ms: i64) -> f32 {
        let base = *self.base_ms.get_or_insert(at_ms);
        let doublings = (at_ms - base) as f64 / HALF_LIFE_MS;
        if doublings <= MOST_DOUBLINGS {
            return doublings.max(-MOST_DOUBLINGS).exp2() as f32;
        }
        let down = (-doublings).exp2() as f32;
        self.buckets.iter_mut().for_each(|bucket| {
            bucket.counts.scale(down);
            bucket.unheeded *= down;
        });
        self.base_ms = Some(at_ms);
        1.0
    }

    /// Which estimator an exchange's outcomes allow, or the whole market's where nothing is known of it.
    pub fn estimator(&self, place: &Place) -> Estimator {
        let exchange = self.by_key.get(&place.keys[0]).copied().unwrap_or(0);
        self.buckets[exchange as usize].counts.estimator()
    }

    /// The same for all exchanges together.
    pub fn whole_estimator(&self) -> Estimator {
        self.buckets[0].counts.estimator()
    }

    /// Whether the bids of the last table are still on their way to the best ones, so that another
    /// [`Landscape::rebuild`] would change them without news.
    pub fn is_unsettled(&self) -> bool {
        self.unsettled
    }

    /// Builds the table of best bids as of `now_ms`, not more than a tenth away from the one before, and forgets places
    /// that nothing was heard of for days. Places without news keep their bids. Without enough outcomes in all, the
    /// table bids the value.
    pub fn rebuild(&mut self, now_ms: i64, before: Option<&ShadeTable>) -> ShadeTable {
        self.forget(now_ms);
        let now = self.weight(now_ms);
        let mut rows: Vec<(u64, Row)> = Vec::new();
        // The row that each bucket had in the table before, or the nearest wider one.
        let mut old: Vec<Option<&Row>> = Vec::with_capacity(self.buckets.len());
        // By exchange, because its coverage decides for all its places.
        let mut rules: Vec<Estimator> = Vec::with_capacity(self.buckets.len());
        self.unsettled = false;
        for at in 0..self.buckets.len() {
            let bucket = &self.buckets[at];
            let (above, level) = (bucket.parent as usize, bucket.level);
            let own = before.and_then(|before| before.row_of(bucket.key));
            old.push(own.or(if level == 0 { None } else { old[above] }));
            rules.push(if level <= 1 { bucket.counts.estimator() } else { rules[above] });
            if let Some(own) = own.filter(|_| bucket.settled && !bucket.is_due(now)) {
                rows.push((bucket.key, *own));
                continue;
            }
            if bucket.is_due(now) {
                let density = self.density(at, rules[at], now);
                self.buckets[at].density = density;
                self.buckets[at].unheeded = 0.0;
            }
            let bucket = &mut self.buckets[at];
            if bucket.counts.outcomes() >= ROW_OUTCOMES * now {
                let best = estimate::best_bids(&self.axis, &bucket.density);
                let (row, settled) = match old[at] {
                    Some(old) => Row::near(&self.axis, &best, &bucket.density, old),
                    None => (Row::new(&self.axis, &best), true),
                };
                bucket.settled = settled;
                self.unsettled |= !settled;
                rows.push((bucket.key, row));
            }
        }
        ShadeTable::build(self.axis.clone(), rows)
    }

    /// How likely each price is to win, as of the last estimate: see [`Landscape::rebuild`] and [`Landscape::refresh`].
    pub fn curves(&mut self, now_ms: i64) -> WinCurves {
        let now = self.weight(now_ms);
        WinCurves::of(self, now)
    }

    /// Estimates again where there is news, without a table of best bids: of a market whose prices nobody shades.
    pub fn refresh(&mut self, now_ms: i64) {
        self.forget(now_ms);
        let now = self.weight(now_ms);
        let mut rules: Vec<Estimator> = Vec::with_capacity(self.buckets.len());
        for at in 0..self.buckets.len() {
            let bucket = &self.buckets[at];
            let above = bucket.parent as usize;
            rules.push(if bucket.level <= 1 { bucket.counts.estimator() } else { rules[above] });
            if bucket.is_due(now) {
                let density = self.density(at, rules[at], now);
                self.buckets[at].density = density;
                self.buckets[at].unheeded = 0.0;
            }
        }
    }

    /// A bucket's distribution by its own outcomes and the wider place's distribution.
    fn density(&self, at: usize, rule: Estimator, now: f32) -> Cells {
        let bucket = &self.buckets[at];
        let counts = bucket.counts.scaled(1.0 / now);
        let parent = match bucket.level {
            0 => [IGNORANCE / CELLS as f32; CELLS],
            _ => self.buckets[bucket.parent as usize].density,
        };
        match rule {
            Estimator::Open => estimate::open(&counts.prices, &parent),
            Estimator::Censored => {
                let seen = Censored { told: &counts.told, won: &counts.won, lost: &counts.lost };
                estimate::censored(&seen, &parent, &bucket.density)
            }
        }
    }

    /// Drops places whose outcomes have faded, narrow ones first because wide ones have at least as many.
    fn forget(&mut self, now_ms: i64) {
        let now = self.weight(now_ms);
        let keeps =
            |bucket: &Bucket| bucket.level == 0 || bucket.counts.outcomes() >= KEPT_OUTCOMES * now / 16.0;
        if self.buckets.iter().all(keeps) {
            return;
        }
        // Where each one goes. They stay in the same memory, because all of them are tens of megabytes.
        let mut moved: Vec<u32> = Vec::with_capacity(self.buckets.len());
        let mut count = 0;
        for bucket in &self.buckets {
            moved.push(count);
            count += u32::from(keeps(bucket));
        }
        self.buckets.retain_mut(|bucket| {
            bucket.parent = moved[bucket.parent as usize];
            keeps(bucket)
        });
        self.by_key.clear();
        self.by_key.extend(self.buckets.iter().enumerate().map(|(at, bucket)| (bucket.key, at as u32)));
    }

    /// The estimated probability that a bid wins in a place, as of the last [`Landscape::rebuild`].
    pub fn win_probability(&self, place: &Place, bid: Cpm) -> f64 {
        let found = place.keys.iter().rev().find_map(|key| self.by_key.get(key));
        let (bin, within) = self.axis.place(bid);
        estimate::below(&self.buckets[found.copied().unwrap_or(0) as usize].density, bin.min(BINS), within)
    }
}

const _: () = assert!(LEVELS < u8::MAX as usize, "levels are kept in a byte");
