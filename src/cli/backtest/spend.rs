//! A log played as one budget's life: the production pacer and shader on the log's own clock, told of each auction only
//! what a bidder would have heard.

use super::best::{self, AuctionKind, valued};
use crate::model::money::{Cpm, Nanos, PPM};
use crate::pricing::pacing::{
    Facts, Level, Pace, Pacer, Period, SLOTS, Settings, SpendPlan, Start, TrafficShape,
};
use crate::pricing::shading::{Axis, Explorer, Heard, Landscape, Outcome, Place, ShadeTable};
use crate::sim::auctions::{Auction, draw};

const DAY_MS: i64 = 86_400_000;
/// How many auctions teach the first guess at what a click costs.
const FIRST_LOOK: usize = 200;
/// The maximum bid in usual prices.
const MAX_BID: f64 = 50.0;
/// How many ticks a table of best bids is used: a minute of a day, so that a backtest takes seconds.
const TABLE_TICKS: i64 = 6;
/// Weight of the newest win in the average price.
const NEWEST_WIN: f64 = 0.02;

/// How bids are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum Strategy {
    /// Paced, and shaded where the winner pays its bid.
    Outbid,
    /// The best multiple of pCTR, as learned.
    Linear,
    /// The best single bid, as learned.
    Constant,
}

/// What a bidder hears of auctions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum Feedback {
    /// The price of every auction it bid in.
    Open,
    /// Whether it won.
    Censored,
}

/// What is played.
#[derive(Clone, Copy, Debug)]
pub(super) struct Game<'l> {
    pub(super) log: &'l [Auction],
    /// A log of before, of which everything is known.
    pub(super) train: Option<&'l [Auction]>,
    pub(super) budget: Nanos,
    /// The budget that would have been as much of the log of before.
    pub(super) train_budget: Nanos,
    pub(super) kind: AuctionKind,
    pub(super) strategy: Strategy,
    pub(super) feedback: Feedback,
    pub(super) plan_tilt: f64,
    pub(super) level_error: f64,
    pub(super) shades: bool,
    pub(super) seed: u64,
}

/// What was done about one auction.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Decision {
    /// 0 where no bid was made.
    pub(super) bid: Cpm,
    /// 0 where it did not win.
    pub(super) paid: Nanos,
    pub(super) won: bool,
}

/// How it went.
#[derive(Clone, Debug)]
pub(super) struct Played {
    pub(super) decisions: Vec<Decision>,
    pub(super) plan: SpendPlan,
    /// (Unix milliseconds, κ) at each change.
    pub(super) levels: Vec<(i64, f64)>,
    /// What was learned of prices, where bids were shaded.
    pub(super) landscape: Option<Landscape>,
}

/// Plays a log to its end.
pub(super) fn play(game: &Game<'_>) -> Played {
    if game.strategy != Strategy::Outbid {
        return super::simple::play(game);
    }
    let mut bidder = Bidder::new(game);
    if let Some(train) = game.train.filter(|train| !train.is_empty()) {
        bidder.learn_from(train);
    }
    let mut levels = Vec::new();
    let decisions = bidder.run(&mut levels);
    let landscape = bidder.shading.map(|shading| shading.landscape);
    Played { decisions, plan: bidder.plan, levels, landscape }
}

/// When the log's budget runs: from its first row to its last.
pub(super) fn period(log: &[Auction]) -> Period {
    let starts_ms = log.first().map_or(0, |auction| auction.at_ms);
    let ends_ms = log.last().map_or(1, |auction| auction.at_ms + 1);
    Period { starts_ms, ends_ms, early_ms: 0 }
}

/// Slots of five minutes; at least 288, so that a short log is planned as a day is.
fn slots(period: Period) -> usize {
    let length = (period.ends_ms - period.starts_ms).max(1);
    ((length + 299_999) / 300_000).clamp(SLOTS as i64, 31 * SLOTS as i64) as usize
}

fn slot_of_day(at_ms: i64) -> usize {
    (at_ms.rem_euclid(DAY_MS) / (DAY_MS / SLOTS as i64)) as usize
}

/// The forecast of the shape: an even one, or that of the log of before, drawn towards its plain traffic, because what
/// one budget would have spent in five minutes is a noisy number. The tilt and the wrong level are put on top.
pub(super) fn plan(
    game: &Game<'_>,
    worth: Option<&TrafficShape>,
    traffic: Option<&TrafficShape>,
) -> SpendPlan {
    let period = period(game.log);
    let slots = slots(period);
    let above = traffic.map(|traffic| traffic.shrunk(None));
    let shape = worth.map(|worth| smoothed(&worth.shrunk(above.as_ref())));
    SpendPlan::new(period, slots, |slot| {
        let usual = shape.as_ref().map_or(1.0, |shape| shape[slot_of_day(period.middle_ms(slot, slots))]);
        let along = (slot as f64 + 0.5) / slots as f64 * 2.0 - 1.0;
        usual * (1.0 + game.plan_tilt * along).max(0.0) * (1.0 + game.level_error)
    })
}

/// The average of half an hour around each slot.
fn smoothed(shape: &[f64; SLOTS]) -> [f64; SLOTS] {
    std::array::from_fn(|slot| (0..7).map(|by| shape[(slot + SLOTS + by - 3) % SLOTS]).sum::<f64>() / 7.0)
}

/// What a bidder knows and has done.
struct Bidder<'l> {
    game: &'l Game<'l>,
    plan: SpendPlan,
    settings: Settings,
    pacer: Pacer,
    level: Level,
    /// CPM micros for one unit of pCTR before κ.
    scale: f64,
    heard: FirstLook,
    /// The line item's maximum bid: nobody bids a hundred times what impressions cost, whatever a click may be worth.
    max_bid: Cpm,
    average_price: f64,
    spent: i64,
    shading: Option<Shading>,
    next_tick_ms: i64,
    next_table_ms: i64,
}

/// Prices and click rates of the first auctions, from which the scale is taken.
#[derive(Clone, Copy, Default)]
struct FirstLook {
    prices: f64,
    pctrs: f64,
    auctions: usize,
}

struct Shading {
    landscape: Landscape,
    table: ShadeTable,
}

impl Shading {
    /// Prices within a factor of 50 of what is usual.
    fn around(usual: f64) -> Shading {
        let usual = usual.clamp(1.0, Cpm::MAX.0 as f64 / 50.0);
        let axis = Axis::new(Cpm((usual / 50.0) as i64), Cpm((usual * 50.0) as i64));
        let landscape = Landscape::new(axis.clone(), 20_000);
        Shading { landscape, table: ShadeTable::unshaded(axis) }
    }
}

impl<'l> Bidder<'l> {
    /// A bidder that knows nothing: an even plan, and a first bid of 1.00 CPM.
    fn new(game: &'l Game<'l>) -> Bidder<'l> {
        let period = period(game.log);
        // A log shorter than a day is a day in small.
        let length = (period.ends_ms - period.starts_ms).clamp(SLOTS as i64, DAY_MS);
        let settings = Settings {
            pace: Pace::Even,
            kappa_min: 1e-4,
            kappa_max: 1e4,
            shortest_ms: 10_000.min(length / 8_640),
            longest_ms: 300_000.min(length / SLOTS as i64),
            ..Settings::even(game.budget)
        };
        let facts = Facts { now_ms: period.starts_ms, left: game.budget, ..Facts::default() };
        let pacer = Pacer::new(Start::Cold, &facts, &settings);
        let first = game.log.first().map_or(1.0, |auction| auction.pctr.max(1e-9));
        Bidder {
            game,
            plan: plan(game, None, None),
            settings,
            pacer,
            level: pacer.level(),
            scale: PPM as f64 / first,
            heard: FirstLook::default(),
            max_bid: Cpm::MAX,
            average_price: 0.0,
            spent: 0,
            shading: None,
            next_tick_ms: period.starts_ms,
            next_table_ms: i64::MIN,
        }
    }

    /// What the log before teaches: what a click costs, where κ was, what prices are, and when there is what to buy.
    fn learn_from(&mut self, train: &[Auction]) {
        let game = self.game;
        let known = FirstLook { auctions: FIRST_LOOK, ..FirstLook::default() };
        let yesterday = Game {
            log: train,
            train: None,
            budget: game.train_budget,
            plan_tilt: 0.0,
            level_error: 0.0,
            ..*game
        };
        let mut before = Bidder { scale: best::break_even(train), heard: known, ..Bidder::new(&yesterday) };
        before.get_to_know(best::cost_of_all(train).0 as f64 / train.len() as f64);
        let mut levels = Vec::new();
        let decisions = before.run(&mut levels);
        let kappa = usual_kappa(train, &decisions, &levels).unwrap_or(before.pacer.kappa());
        let facts = Facts { now_ms: self.next_tick_ms, left: game.budget, ..Facts::default() };
        let (mut worth, mut traffic) = (TrafficShape::default(), TrafficShape::default());
        let mut day = train[0].at_ms.div_euclid(DAY_MS);
        for auction in train {
            if auction.at_ms.div_euclid(DAY_MS) != day {
                day = auction.at_ms.div_euclid(DAY_MS);
                worth.end_day();
                traffic.end_day();
            }
            let slot = slot_of_day(auction.at_ms);
            traffic.observe(slot, 1.0);
            // What a steady κ would have spent.
            let value = valued(before.scale * kappa, auction.pctr);
            let bid = before.shaded(auction, value);
            if bid >= auction.price {
                worth.observe(slot, game.kind.charge(bid, auction.price).0 as f64);
            }
        }
        worth.end_day();
        traffic.end_day();
        self.plan = plan(game, Some(&worth), Some(&traffic));
        self.pacer = Pacer::new(Start::Warm(kappa), &facts, &self.settings);
        self.level = self.pacer.level();
        (self.scale, self.heard, self.average_price) = (before.scale, known, before.average_price);
        (self.shading, self.max_bid) = (before.shading, before.max_bid);
    }

    /// Knows what an impression usually costs: limits bids by it and, where the winner pays its bid, begins to learn
    /// prices around it.
    fn get_to_know(&mut self, usual: f64) {
        self.max_bid = Cpm((usual * MAX_BID).clamp(1.0, Cpm::MAX.0 as f64) as i64);
        if self.game.kind == AuctionKind::First && self.game.shades && self.shading.is_none() {
            self.shading = Some(Shading::around(usual));
        }
    }

    fn shaded(&self, auction: &Auction, value: Cpm) -> Cpm {
        match &self.shading {
            Some(shading) => shading.table.shade(&Place::new(auction.place), value).bid,
            None => value,
        }
    }

    fn run(&mut self, levels: &mut Vec<(i64, f64)>) -> Vec<Decision> {
        let log = self.game.log;
        let mut decisions = Vec::with_capacity(log.len());
        for (row, auction) in log.iter().enumerate() {
            if auction.at_ms >= self.next_tick_ms {
                self.tick(auction.at_ms);
                let kappa = self.level.kappa_ppm as f64 / PPM as f64;
                if levels.last().is_none_or(|(_, last)| *last != kappa) {
                    levels.push((auction.at_ms, kappa));
                }
            }
            let decision = self.decide(row, auction);
            decisions.push(decision);
            if decision.bid > Cpm(0) {
                self.hear(auction, decision);
            }
        }
        decisions
    }

    fn tick(&mut self, now_ms: i64) {
        let facts = Facts {
            now_ms,
            spent: Nanos(self.spent),
            open_expected: Nanos(0),
            left: Nanos(self.game.budget.0 - self.spent),
            average_price: Nanos(self.average_price as i64),
            below_floor_ppm: 0,
        };
        self.level = self.pacer.tick(&self.plan, &facts, &self.settings);
        self.next_tick_ms = now_ms + self.settings.shortest_ms.max(1);
        if let Some(shading) = self.shading.as_mut().filter(|_| now_ms >= self.next_table_ms) {
            shading.table = shading.landscape.rebuild(now_ms, Some(&shading.table));
            self.next_table_ms = now_ms + TABLE_TICKS * self.settings.shortest_ms.max(1);
        }
    }

    fn decide(&self, row: usize, auction: &Auction) -> Decision {
        if draw(self.game.seed, row, 1) % PPM as u64 >= u64::from(self.level.pass_ppm) {
            return Decision::default();
        }
        let value =
            valued(self.scale * self.level.kappa_ppm as f64 / PPM as f64, auction.pctr).min(self.max_bid);
        let mut bid = self.shaded(auction, value);
        if self.shading.is_some() && self.game.feedback == Feedback::Censored {
            bid = Explorer::default().explore(bid, value, draw(self.game.seed, row, 2)).bid;
        }
        // A hold is for the full bid.
        if bid.0 > self.game.budget.0 - self.spent {
            return Decision::default();
        }
        let won = bid > Cpm(0) && bid >= auction.price;
        let paid = if won { self.game.kind.charge(bid, auction.price) } else { Nanos(0) };
        Decision { bid, won, paid }
    }

    /// Takes up what the exchange says of a bid, and nothing else of the row.
    fn hear(&mut self, auction: &Auction, decision: Decision) {
        let Decision { bid, won, paid } = decision;
        if won {
            self.spent += paid.0;
            let newest = if self.average_price > 0.0 { NEWEST_WIN } else { 1.0 };
            self.average_price += newest * (paid.0 as f64 - self.average_price);
        }
        let open = self.game.feedback == Feedback::Open;
        if self.heard.auctions < FIRST_LOOK && (open || won) {
            let price = if open { auction.price.0 } else { paid.0 };
            self.heard.auctions += 1;
            self.heard.prices += price as f64;
            self.heard.pctrs += auction.pctr;
            self.scale = self.heard.prices / self.heard.pctrs.max(f64::MIN_POSITIVE);
            if self.heard.auctions == FIRST_LOOK {
                self.get_to_know(self.heard.prices / FIRST_LOOK as f64);
            }
        }
        if let Some(shading) = &mut self.shading {
            let price = open.then_some(auction.price);
            let heard = match won {
                true => Heard::Won { min_to_win: price },
                false => Heard::Lost { min_to_win: price },
            };
            let (place, at_ms) = (Place::new(auction.place), auction.at_ms);
            shading.landscape.observe(&Outcome { place, at_ms, bid, heard });
        }
    }
}

/// The κ at which yesterday's money was spent: the mean of its logarithm over wins, without the first tenth of them,
/// when it was still looking.
fn usual_kappa(log: &[Auction], decisions: &[Decision], levels: &[(i64, f64)]) -> Option<f64> {
    let wins: Vec<i64> = log
        .iter()
        .zip(decisions)
        .filter(|(_, decision)| decision.won)
        .map(|(auction, _)| auction.at_ms)
        .collect();
    let wins = &wins[wins.len() / 10..];
    let ln_at = |at_ms: &i64| {
        let level = levels.partition_point(|(since, _)| since <= at_ms);
        levels.get(level.saturating_sub(1)).map_or(0.0, |(_, kappa)| kappa.ln())
    };
    (!wins.is_empty()).then(|| (wins.iter().map(ln_at).sum::<f64>() / wins.len() as f64).exp())
}
