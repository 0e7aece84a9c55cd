//! What becomes of a bid out there: lost, won, shown, billed; when, how often, at what price, and whether anybody
//! hears of it.

use super::dice::Dice;
use super::plan::{Plan, Trouble};
use super::wire::{Price, Says};
use super::world::Manners;
use crate::exchange::NoticeKind;
use crate::model::exchange::{BillingEvent, ExchangeProfile};
use crate::model::token::TokenClaims;

const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3_600 * SECOND;

/// A notice that an exchange is going to send.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    /// After the bid, in nanoseconds.
    pub(super) after_ns: u64,
    pub(super) kind: NoticeKind,
    pub(super) says: Says,
    /// The price makes no sense.
    pub(super) is_odd: bool,
}

/// Everything that will be sent for one bid, in no order.
pub(super) fn fate(
    dice: &mut Dice,
    plan: &Plan,
    profile: &ExchangeProfile,
    manners: &Manners,
    claims: &TokenClaims,
) -> Vec<Planned> {
    let mut planned = Vec::new();
    let bills = match profile.billing_event {
        BillingEvent::Nurl => NoticeKind::Win,
        BillingEvent::Burl => NoticeKind::Billing,
        BillingEvent::Impression => NoticeKind::Impression,
    };
    let auction_ns = SECOND / 20 + dice.below(SECOND / 5);
    let plain = |after_ns, kind, micros| Planned { after_ns, kind, says: Says::price(micros), is_odd: false };
    let loss = |after_ns| plain(after_ns, NoticeKind::Loss, 0);
    let won = dice.percent(manners.wins);
    if !won {
        if dice.percent(80) {
            planned.push(loss(auction_ns + dice.wait(SECOND / 2)));
        }
        if plan.has(Trouble::Echo) && dice.once_in(20) {
            planned.push(loss(auction_ns + dice.wait(3 * SECOND)));
        }
    }
    let shown = won && dice.percent(manners.shows);
    // A contradiction: billed although it lost.
    let billed = shown || (!won && plan.has(Trouble::Echo) && dice.once_in(25));
    if billed {
        let after_ns = auction_ns + bill_delay(dice, plan, manners);
        let (says, is_odd) = clearing(dice, plan, profile, manners, claims);
        if bills != NoticeKind::Win {
            planned.push(plain(auction_ns, NoticeKind::Win, claims.price.0));
        }
        planned.push(Planned { after_ns, kind: bills, says: says.clone(), is_odd });
        if plan.has(Trouble::Echo) {
            for _ in 0..dice.one(&[0, 0, 0, 1, 1, 2, 4]) {
                let other = dice.once_in(4);
                let (says, is_odd) = match other {
                    true => clearing(dice, plan, profile, manners, claims),
                    false => (says.clone(), is_odd),
                };
                let after_ns = match dice.below(3) {
                    0 => after_ns,
                    1 => after_ns + dice.wait(SECOND / 10),
                    _ => auction_ns + bill_delay(dice, plan, manners),
                };
                planned.push(Planned { after_ns, kind: bills, says, is_odd });
            }
            if dice.once_in(10) {
                // Told lost as well, before, with or after the bill.
                planned.push(loss(dice.one(&[auction_ns, after_ns, after_ns + SECOND])));
            }
        }
    }
    planned.retain(|_| !dice.percent(manners.loses));
    planned
}

/// From the auction to the bill.
fn bill_delay(dice: &mut Dice, plan: &Plan, manners: &Manners) -> u64 {
    let usual = dice.wait(manners.bill_ms * SECOND / 1_000);
    if !plan.has(Trouble::SlowBill) {
        return usual;
    }
    match dice.below(40) {
        // About when holds end.
        0..4 => usual + dice.below(120 * SECOND),
        4 | 5 => HOUR + dice.below(2 * HOUR),
        // About as old as a token may be.
        6 => 4 * HOUR - 60 * SECOND + dice.below(120 * SECOND),
        7 => 4 * HOUR + dice.below(4 * HOUR),
        _ => usual,
    }
}

/// The price of a bill, and whether it makes no sense.
fn clearing(
    dice: &mut Dice,
    plan: &Plan,
    profile: &ExchangeProfile,
    manners: &Manners,
    claims: &TokenClaims,
) -> (Says, bool) {
    let bid = claims.price.0;
    if plan.has(Trouble::OddPrice) && dice.below(1_000) < manners.odd {
        return (odd(dice, bid, claims.multiplier_ppm), true);
    }
    let micros = match manners.first_price {
        true => bid,
        false => bid - dice.below(bid as u64 / 2 + 1) as i64,
    };
    let told = dice.percent(50).then_some(claims.multiplier_ppm);
    // Half an impression less was played than was asked for.
    let fewer = dice.once_in(10).then_some(claims.multiplier_ppm / 2);
    let multiplier_ppm = if profile.bills_in_public() { None } else { fewer.or(told) };
    (Says { price: Price::Micros(micros), multiplier_ppm, other_currency: false }, false)
}

fn odd(dice: &mut Dice, bid: i64, multiplier_ppm: i64) -> Says {
    let price = match dice.below(8) {
        0 => Price::Micros(bid + 1),
        1 => Price::Micros(bid * 2),
        2 => Price::Micros(bid * 1_000),
        3 => Price::Micros(bid / 1_000),
        4 => Price::Micros(0),
        5 => Price::Micros(bid),
        6 => Price::Text(""),
        _ => Price::Text(dice.one(&["NaN", "-1", "${AUCTION_PRICE}", "AUDIT", "1e999", "1,5"])),
    };
    let multiplier_ppm = match dice.below(4) {
        0 => Some(multiplier_ppm * 3),
        1 => Some(multiplier_ppm + 1),
        _ => None,
    };
    Says { price, multiplier_ppm, other_currency: dice.once_in(8) }
}
