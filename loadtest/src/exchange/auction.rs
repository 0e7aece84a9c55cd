//! The auction of one request: which bid wins which impression, and at what price.

use super::account::Account;
use super::answer::{Answer, Bid};
use super::asked::{Asked, Imp, Medium};
use super::landscape::{Landscape, number_of};
use super::money::UNIT;

/// What the winner of a second-price auction pays above the next price: a cent of a CPM.
const STEP: i64 = 10_000;

/// Codes of OpenRTB's list of loss reasons.
const BELOW_FLOOR: u32 = 100;
const BELOW_DEAL_FLOOR: u32 = 101;
const LOST_TO_HIGHER: u32 = 102;

/// Where the auction is held: a request and its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room<'r> {
    pub(crate) account: &'r Account,
    pub(crate) asked: &'r Asked,
    pub(crate) request_id: &'r str,
    pub(crate) answer: &'r Answer<'r>,
}

/// What became of a bid. Prices in CPM micros of the bid's currency.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending<'r> {
    pub(crate) seat: &'r str,
    pub(crate) bid: &'r Bid<'r>,
    pub(crate) imp: &'r Imp,
    /// Position of the impression.
    pub(crate) position: usize,
    pub(crate) price: i64,
    /// What the winner pays; `None`: lost.
    pub(crate) paid: Option<i64>,
    /// Why it was lost; 0 for a winner.
    pub(crate) loss: u32,
    /// The lowest price that would have won.
    pub(crate) min_to_win: i64,
}

impl Ending<'_> {
    pub(crate) fn is_won(&self) -> bool {
        self.paid.is_some()
    }
}

impl<'r> Room<'r> {
    /// What became of every bid that can be in an auction: for an impression that is asked for, with a price above 0.
    pub(crate) fn auctions(&self, landscape: &Landscape) -> Vec<Ending<'r>> {
        let mut results = Vec::new();
        for (position, imp) in self.asked.imps.iter().enumerate() {
            let from = results.len();
            let seats = self.answer.seats.iter();
            for (seat, bid) in
                seats.flat_map(|seat| seat.bids.iter().map(move |bid| (seat.seat.as_ref(), bid)))
            {
                if let Some(price) = bid.price.filter(|price| *price > 0 && imp.id == bid.impid) {
                    let (paid, loss, min_to_win) = (None, LOST_TO_HIGHER, price);
                    results.push(Ending { seat, bid, imp, position, price, paid, loss, min_to_win });
                }
            }
            if results.len() > from {
                self.decide(&mut results[from..], landscape);
            }
        }
        results
    }

    /// The highest bid of one impression that reaches its floor wins if it is above what the others bid.
    fn decide(&self, bids: &mut [Ending<'r>], landscape: &Landscape) {
        let (imp, position) = (bids[0].imp, bids[0].position);
        let size = imp.banner.as_ref().and_then(|banner| banner.sizes.first()).copied().unwrap_or_default();
        let rival = landscape.rival(number_of(self.request_id), position as u64, self.asked.place, size);
        let mut best: Option<usize> = None;
        for index in 0..bids.len() {
            let (floor, code) = self.floor(&bids[index]);
            let one = &mut bids[index];
            one.min_to_win = floor.max(rival.map_or(1, |rival| rival + STEP));
            let price = one.price;
            if price < floor {
                one.loss = code;
            } else if rival.is_none_or(|rival| price > rival)
                && best.is_none_or(|best| price > bids[best].price)
            {
                best = Some(index);
            }
        }
        let Some(best) = best else { return };
        let (floor, _) = self.floor(&bids[best]);
        let paid = self.paid(&bids[best], floor, rival);
        let winner = &mut bids[best];
        (winner.paid, winner.loss) = (Some(paid), 0);
        winner.min_to_win = winner.min_to_win.min(winner.price);
    }

    /// What the winner pays above the best of the others and its floor.
    fn paid(&self, winner: &Ending<'_>, floor: i64, rival: Option<i64>) -> i64 {
        let deal = winner.imp.deals.iter().find(|deal| deal.id == winner.bid.dealid);
        let own = deal.and_then(|deal| deal.at).or(self.asked.at);
        match own.unwrap_or(self.account.contract.default_at) {
            2 => floor.max(rival.unwrap_or(0) + STEP).min(winner.price),
            _ => winner.price,
        }
    }

    /// The floor of a bid in its currency, 0 where it cannot be told, and the code for being below.
    fn floor(&self, one: &Ending<'_>) -> (i64, u32) {
        let deal = one.imp.deals.iter().find(|deal| !one.bid.dealid.is_empty() && deal.id == one.bid.dealid);
        let medium = one.bid.mtype.and_then(Medium::of).unwrap_or(Medium::Banner);
        let (floor, code) = match deal {
            Some(deal) => (deal.floor.as_ref(), BELOW_DEAL_FLOOR),
            None => (one.imp.floor_of(medium), BELOW_FLOOR),
        };
        let currency = self.answer.currency();
        let floor = floor.and_then(|floor| {
            let rate = self.account.rate(&floor.currency, currency)?;
            i64::try_from(i128::from(floor.price) * i128::from(rate) / i128::from(UNIT)).ok()
        });
        (floor.unwrap_or(0), code)
    }
}

#[cfg(test)]
mod tests {
    use super::super::account::tests::account;
    use super::*;

    /// Price paid or loss code of each bid on an impression with a floor of 1.00, and a deal `d` with a floor of 3.00.
    fn auction(at: &str, rivals: i64, bids: &[(&str, &str)]) -> Vec<(Option<i64>, u32)> {
        let request = format!(
            r#"{{{at}"imp":[{{"id":"1","bidfloor":1,"banner":{{"w":1,"h":1}},"pmp":{{"deals":[{{"id":"d","bidfloor":3,"at":1}}]}}}}]}}"#
        );
        let bid =
            |(price, deal): &(&str, &str)| format!(r#"{{"impid":"1","price":{price},"dealid":"{deal}"}}"#);
        let bids: Vec<String> = bids.iter().map(bid).collect();
        let answer = format!(r#"{{"id":"r","seatbid":[{{"seat":"s","bid":[{}]}}]}}"#, bids.join(","));
        let asked = Asked::read(&request).unwrap();
        let answer = Answer::read(answer.as_bytes(), false).unwrap();
        let account = account();
        let room = Room { account: &account, asked: &asked, request_id: "r", answer: &answer };
        let landscape = Landscape { seed: 1, median: rivals, alone: if rivals == 0 { 1_000 } else { 0 } };
        room.auctions(&landscape).iter().map(|one| (one.paid, one.loss)).collect()
    }

    #[test]
    fn the_highest_bid_above_floor_and_others_wins_and_pays_by_the_auction_type() {
        let first = r#""at":1,"#;
        let second = r#""at":2,"#;
        assert_eq!(auction(first, 0, &[("1.5", ""), ("2.5", "")]), [(None, 102), (Some(2_500_000), 0)]);
        assert_eq!(auction(second, 0, &[("2.5", "")]), [(Some(1_000_000), 0)]);
        // Without `at` the contract's first price counts.
        assert_eq!(auction("", 0, &[("2.5", "")]), [(Some(2_500_000), 0)]);
        assert_eq!(auction(first, 0, &[("0.9", "")]), [(None, 100)]);
        assert_eq!(auction(first, 0, &[("2.9", "d")]), [(None, 101)]);
        assert_eq!(auction(second, 0, &[("3.5", "d"), ("3.4", "")]), [(Some(3_500_000), 0), (None, 102)]);
        assert_eq!(auction(first, 1_000_000_000, &[("2.5", "")]), [(None, 102)]);
        assert_eq!(auction(first, 0, &[("0", ""), ("-1", "")]), []);
    }

    #[test]
    fn a_second_price_lies_between_the_others_and_the_bid() {
        let rival = Landscape { seed: 1, median: 2_000_000, alone: 0 };
        let rival = rival.rival(number_of("r"), 0, number_of(""), (1, 1)).unwrap();
        let bid = rival + 500_000;
        let text = super::super::money::amount(i128::from(bid) * 1_000);
        let won = auction(r#""at":2,"#, 2_000_000, &[(&text, "")]);
        assert_eq!(won, [(Some((rival + STEP).max(1_000_000)), 0)]);
    }
}
