//! The rules that a paced and shaded bidder is compared with: one constant, learned once, and no plan.

use super::best::{self, valued};
use super::spend::{Decision, Game, Played, Strategy, period, plan};
use crate::model::money::{Cpm, Nanos};
use crate::sim::auctions::Auction;

/// Without a log of before, the constant is learned again at this row and whenever as many rows were seen once more.
const FIRST_LESSON: usize = 200;

/// One of the two constants.
#[derive(Clone, Copy)]
enum Rule {
    Linear(f64),
    Constant(Cpm),
}

impl Rule {
    fn learned(game: &Game<'_>, seen: &[Auction], budget: Nanos) -> Rule {
        match game.strategy {
            Strategy::Constant => Rule::Constant(best::best_flat(seen, budget, game.kind)),
            _ => Rule::Linear(best::best_linear(seen, budget, game.kind)),
        }
    }

    fn bid(self, auction: &Auction) -> Cpm {
        match self {
            Rule::Linear(scale) => valued(scale, auction.pctr),
            Rule::Constant(bid) => bid,
        }
    }
}

/// Plays a log with the constant that was best for as much budget of what was seen: the log of before or, without one,
/// the rows so far. Before anything was seen, 1.00 CPM is bid.
pub(super) fn play(game: &Game<'_>) -> Played {
    let plan = plan(game, None, None);
    let mut rule = match game.train {
        Some(train) => Rule::learned(game, train, game.train_budget),
        None => Rule::Constant(Cpm(1_000_000)),
    };
    let mut next_lesson = if game.train.is_some() { usize::MAX } else { FIRST_LESSON };
    let (mut spent, mut decisions) = (0, Vec::with_capacity(game.log.len()));
    let whole = period(game.log);
    for (row, auction) in game.log.iter().enumerate() {
        if row == next_lesson {
            let passed = (auction.at_ms - whole.starts_ms) as f64 / (whole.ends_ms - whole.starts_ms) as f64;
            let share = Nanos((game.budget.0 as f64 * passed) as i64);
            rule = Rule::learned(game, &game.log[..row], share);
            next_lesson *= 2;
        }
        let bid = rule.bid(auction);
        let bid = if bid.0 > game.budget.0 - spent { Cpm(0) } else { bid };
        let won = bid > Cpm(0) && bid >= auction.price;
        let paid = if won { game.kind.charge(bid, auction.price) } else { Nanos(0) };
        spent += paid.0;
        decisions.push(Decision { bid, won, paid });
    }
    Played { decisions, plan, levels: Vec::new(), landscape: None }
}
