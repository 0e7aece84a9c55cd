//! What could have been had: bounds that know the whole log, and the best of simple rules. Nothing that bids looks here.

use crate::model::money::{Cpm, Nanos};
use crate::sim::auctions::Auction;

/// Who wins pays the second price, which is the log's, or its own bid.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum AuctionKind {
    Second,
    First,
}

impl AuctionKind {
    /// What a bid that won pays.
    pub(super) fn charge(self, bid: Cpm, price: Cpm) -> Nanos {
        match self {
            AuctionKind::Second => price.per_impression(),
            AuctionKind::First => bid.per_impression(),
        }
    }
}

/// What all auctions of a log would cost at their prices.
pub(super) fn cost_of_all(log: &[Auction]) -> Nanos {
    Nanos(log.iter().map(|auction| auction.price.0).sum())
}

/// The most Σ pCTR that a budget can buy at the log's prices: by pCTR ÷ price, the last one in part.
pub(super) fn clairvoyant(log: &[Auction], budget: Nanos) -> f64 {
    let mut order: Vec<(f64, &Auction)> =
        log.iter().map(|auction| (auction.pctr / auction.price.0.max(1) as f64, auction)).collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut left, mut value) = (budget.0, 0.0);
    for (_, auction) in order {
        if auction.price.0 > left {
            value += auction.pctr * left as f64 / auction.price.0 as f64;
            break;
        }
        left -= auction.price.0;
        value += auction.pctr;
    }
    value
}

/// Σ pCTR that a fixed rule buys until the budget is gone.
fn bought(log: &[Auction], budget: Nanos, kind: AuctionKind, bid: impl Fn(&Auction) -> Cpm) -> f64 {
    let (mut left, mut value) = (budget.0, 0.0);
    for auction in log {
        let bid = bid(auction).0.min(Cpm::MAX.0);
        if bid >= auction.price.0 && bid <= left {
            left -= kind.charge(Cpm(bid), auction.price).0;
            value += auction.pctr;
        }
    }
    value
}

/// The constant with which a rule of one constant buys most of a log, found on a grid and refined around its best.
fn best_constant(around: f64, value: impl Fn(f64) -> f64) -> f64 {
    let (mut best, mut reach) = (around, 1000f64.ln());
    for points in [24, 10, 8, 8] {
        let centre = best;
        let at = |point: i32| centre * (reach * f64::from(point) / f64::from(points)).exp();
        let tried = (-points..=points).map(|point| (at(point), value(at(point))));
        let (found, _) =
            tried.fold((best, value(best)), |best, tried| if tried.1 > best.1 { tried } else { best });
        (best, reach) = (found, reach / f64::from(points) * 1.5);
    }
    best
}

/// The best bid in CPM micros for one unit of pCTR.
pub(super) fn best_linear(log: &[Auction], budget: Nanos, kind: AuctionKind) -> f64 {
    best_constant(break_even(log), |scale| bought(log, budget, kind, |auction| valued(scale, auction.pctr)))
}

/// The best single bid for everything.
pub(super) fn best_flat(log: &[Auction], budget: Nanos, kind: AuctionKind) -> Cpm {
    let mean = cost_of_all(log).0 as f64 / log.len().max(1) as f64;
    let found = best_constant(mean, |bid| bought(log, budget, kind, |_| Cpm(bid as i64)));
    Cpm(found as i64)
}

/// The price of a unit of pCTR at which a whole log breaks even, in CPM micros.
pub(super) fn break_even(log: &[Auction]) -> f64 {
    let clicks: f64 = log.iter().map(|auction| auction.pctr).sum();
    cost_of_all(log).0 as f64 / clicks.max(f64::MIN_POSITIVE)
}

/// A pCTR in money: rounded down, within what a price can be.
pub(super) fn valued(scale: f64, pctr: f64) -> Cpm {
    Cpm((scale * pctr).clamp(0.0, Cpm::MAX.0 as f64) as i64)
}
