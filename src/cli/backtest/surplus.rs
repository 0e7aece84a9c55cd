//! A log played for surplus: every auction of first price, no budget, the production shader told only what a bidder
//! would have heard.

use super::best::{self, valued};
use super::spend::Feedback;
use crate::model::money::{Cpm, PPM};
use crate::pricing::shading::{Axis, Explorer, Heard, Landscape, Outcome, Place, ShadeTable};
use crate::sim::auctions::{Auction, Coverage, draw};

/// How often the table of best bids is built, on the log's clock.
const TABLE_MS: i64 = 60_000;
/// How many auctions teach where prices lie, before the first is shaded.
const FIRST_LOOK: usize = 200;

/// What is played.
#[derive(Clone, Copy, Debug)]
pub(super) struct Game<'l> {
    pub(super) log: &'l [Auction],
    pub(super) train: Option<&'l [Auction]>,
    /// CPM for one unit of pCTR; without it, what breaks even in the log of before, or in what was seen so far.
    pub(super) value_scale: Option<f64>,
    pub(super) feedback: Feedback,
    /// How much of the losses is told, where feedback is open.
    pub(super) coverage: Coverage,
    pub(super) seed: u64,
}

/// One auction and what was done about it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Bid {
    pub(super) value: Cpm,
    pub(super) bid: Cpm,
    pub(super) won: bool,
}

/// How it went.
pub(super) struct Played {
    pub(super) bids: Vec<Bid>,
    pub(super) landscape: Landscape,
}

/// The values of a log's auctions, each known when its auction began. Before anything was seen, 1.00 CPM.
pub(super) fn values(log: &[Auction], train: Option<&[Auction]>, value_scale: Option<f64>) -> Vec<Cpm> {
    let fixed = value_scale.map(|scale| scale * PPM as f64);
    let fixed = fixed.or(train.filter(|train| !train.is_empty()).map(best::break_even));
    let (mut prices, mut pctrs) = (0.0, 0.0);
    let mut value = |auction: &Auction| {
        let so_far = if pctrs > 0.0 { prices / pctrs } else { PPM as f64 / auction.pctr.max(1e-9) };
        prices += auction.price.0 as f64;
        pctrs += auction.pctr;
        valued(fixed.unwrap_or(so_far), auction.pctr)
    };
    log.iter().map(&mut value).collect()
}

/// Plays a log to its end.
pub(super) fn play(game: &Game<'_>) -> Played {
    let own = values(game.log, game.train, game.value_scale);
    let mut shader = match game.train.filter(|train| !train.is_empty()) {
        Some(train) => {
            let usual = best::cost_of_all(train).0 as f64 / train.len() as f64;
            let mut shader = Shader::around(usual, game);
            let scale = game.value_scale.unwrap_or(best::break_even(train) / PPM as f64);
            shader.run(train, &values(train, None, Some(scale)));
            shader
        }
        None => {
            // Prices lie near values, or nothing would be bought; the first auctions are not shaded.
            let first = &own[..own.len().min(FIRST_LOOK)];
            let usual = first.iter().map(|value| value.0 as f64).sum::<f64>() / first.len().max(1) as f64;
            Shader::around(usual, game)
        }
    };
    let bids = shader.run(game.log, &own);
    Played { bids, landscape: shader.landscape }
}

struct Shader<'g> {
    landscape: Landscape,
    table: ShadeTable,
    next_table_ms: i64,
    heard: usize,
    game: &'g Game<'g>,
}

impl<'g> Shader<'g> {
    fn around(usual: f64, game: &'g Game<'g>) -> Shader<'g> {
        let usual = usual.clamp(1.0, Cpm::MAX.0 as f64 / 50.0);
        let axis = Axis::new(Cpm((usual / 50.0) as i64), Cpm((usual * 50.0) as i64));
        let landscape = Landscape::new(axis.clone(), 20_000);
        let table = ShadeTable::unshaded(axis);
        Shader { landscape, table, next_table_ms: i64::MIN, heard: 0, game }
    }

    fn run(&mut self, log: &[Auction], values: &[Cpm]) -> Vec<Bid> {
        let mut bids = Vec::with_capacity(log.len());
        for (row, (auction, value)) in log.iter().zip(values).enumerate() {
            if auction.at_ms >= self.next_table_ms && self.heard >= FIRST_LOOK {
                self.table = self.landscape.rebuild(auction.at_ms, Some(&self.table));
                self.next_table_ms = auction.at_ms + TABLE_MS;
            }
            let place = Place::new(auction.place);
            let mut bid = self.table.shade(&place, *value).bid;
            if self.game.feedback == Feedback::Censored {
                bid = Explorer::default().explore(bid, *value, draw(self.game.seed, row, 2)).bid;
            }
            let won = bid > Cpm(0) && bid >= auction.price;
            bids.push(Bid { value: *value, bid, won });
            self.heard += 1;
            let told = self.game.feedback == Feedback::Open;
            let price = told.then_some(auction.price);
            let heard = match won {
                true => Heard::Won { min_to_win: price },
                false if told && !self.game.coverage.tells(row) => Heard::Silent,
                false => Heard::Lost { min_to_win: price },
            };
            self.landscape.observe(&Outcome { place, at_ms: auction.at_ms, bid, heard });
        }
        bids
    }
}

/// Σ of value − bid over what was won, in CPM micros.
pub(super) fn surplus(bids: &[Bid]) -> i64 {
    bids.iter().filter(|bid| bid.won).map(|bid| bid.value.0 - bid.bid.0).sum()
}

/// Σ of value − price wherever that is positive: what nobody can have who does not know prices.
pub(super) fn oracle(log: &[Auction], values: &[Cpm]) -> i64 {
    log.iter().zip(values).map(|(auction, value)| (value.0 - auction.price.0).max(0)).sum()
}

/// The surplus of bidding one part of every value, in ppm of it.
pub(super) fn of_factor(log: &[Auction], values: &[Cpm], factor_ppm: i64) -> i64 {
    let each = |(auction, value): (&Auction, &Cpm)| {
        let bid = value.scale_ppm(factor_ppm);
        if bid >= auction.price { value.0 - bid.0 } else { 0 }
    };
    log.iter().zip(values).map(each).sum()
}

/// The part of every value, in ppm, that would have been best for this log, known afterwards, and its surplus.
pub(super) fn best_factor(log: &[Auction], values: &[Cpm]) -> (i64, i64) {
    let tried = (1..100).map(|percent| (percent * 10_000, of_factor(log, values, percent * 10_000)));
    tried.max_by_key(|(_, surplus)| *surplus).unwrap_or((PPM, 0))
}
