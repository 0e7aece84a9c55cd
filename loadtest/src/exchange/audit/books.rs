//! The exchange's own books: every bill that it sent, what was answered, and between which bounds the server's books
//! must lie therefore (money.md 2.9).
//!
//! Invariant: a bill is in the books before its first byte leaves, and its outcome after its answer was read. So what a
//! server says of its books in between lies between the least of the bounds that were read before and the most of those
//! read after.

use crate::exchange::findings::Findings;
use crate::exchange::money::{Charge, amount};
use std::collections::BTreeMap;
use std::fmt;

/// Number of a bill in the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BillId(u32);

/// Where the money of a bill went, as far as answers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// Not answered for good: charged, borne by the house or not known to the server.
    Unknown,
    /// To the campaign.
    Charged,
    /// The house bears it for want of room.
    House,
    /// To one of the two; which one the server's answer was lost with.
    Either,
    /// Too old: a memo of the house.
    Stale,
    /// To nobody: a test.
    Nobody,
}

/// One bid that is billed. Amounts in nanos of the wallet's currency.
#[derive(Clone, Debug)]
pub(crate) struct Bill {
    /// The id of the bid.
    pub(crate) bid: Box<str>,
    pub(crate) campaign: u32,
    pub(crate) amount: Charge,
    pub(crate) outcome: Outcome,
    /// Sends that are not answered for good.
    open: u32,
    /// A send was not answered, or with 503: the server may have charged it.
    unanswered: bool,
    /// Too old when it was answered, and perhaps charged before: it will never be known.
    is_doubtful: bool,
    /// It is a test, and must not be charged.
    is_test: bool,
}

/// What an answer to a bill means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Answered for good.
    Done,
    /// Not at all, or not yet: it must be sent again.
    Again,
}

/// A least and a most amount, in nanos.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) least: i128,
    pub(crate) most: i128,
}

impl Range {
    /// Adds an amount that is there surely, or perhaps.
    pub(crate) fn add(&mut self, amount: i64, is_sure: bool) {
        self.least += if is_sure { i128::from(amount) } else { 0 };
        self.most += i128::from(amount);
    }

    /// Whether an amount lies in it.
    pub(crate) fn has(&self, amount: i128) -> bool {
        (self.least..=self.most).contains(&amount)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.least == self.most {
            true => write!(f, "{}", amount(self.least)),
            false => write!(f, "{} to {}", amount(self.least), amount(self.most)),
        }
    }
}

/// What the server's books must say of a campaign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Charged to the campaign.
    pub(crate) charged: Range,
    /// Borne by the house for want of room.
    pub(crate) overdelivery: Range,
    /// Both together.
    pub(crate) either: Range,
    /// Borne by the house because the price was above the bid.
    pub(crate) overprice: Range,
    /// Memos of the house.
    pub(crate) stale: Range,
}

impl Bounds {
    /// From the least of the one to the most of the other.
    pub(crate) fn between(low: &Bounds, high: &Bounds) -> Bounds {
        let range = |of: fn(&Bounds) -> Range| Range { least: of(low).least, most: of(high).most };
        Bounds {
            charged: range(|bounds| bounds.charged),
            overdelivery: range(|bounds| bounds.overdelivery),
            either: range(|bounds| bounds.either),
            overprice: range(|bounds| bounds.overprice),
            stale: range(|bounds| bounds.stale),
        }
    }

    /// Adds those of another campaign.
    pub(crate) fn join(&mut self, other: &Bounds) {
        let add = |own: &mut Range, other: Range| {
            own.least += other.least;
            own.most += other.most;
        };
        add(&mut self.charged, other.charged);
        add(&mut self.overdelivery, other.overdelivery);
        add(&mut self.either, other.either);
        add(&mut self.overprice, other.overprice);
        add(&mut self.stale, other.stale);
    }

    /// Adds what a bill may have moved.
    pub(crate) fn add(&mut self, amount: Charge, outcome: Outcome) {
        let Charge { charge, over } = amount;
        let (mut to, mut both, mut above, mut memo) = ([None; 2], None, None, None);
        match outcome {
            Outcome::Unknown => {
                (to, both, above, memo) = ([Some(false); 2], Some(false), Some(false), Some(false));
            }
            Outcome::Charged => (to[0], both, above) = (Some(true), Some(true), Some(true)),
            Outcome::House => (to[1], both, above) = (Some(true), Some(true), Some(true)),
            Outcome::Either => (to, both, above) = ([Some(false); 2], Some(true), Some(true)),
            Outcome::Stale => memo = Some(true),
            Outcome::Nobody => {}
        }
        let parts = [
            (&mut self.charged, charge, to[0]),
            (&mut self.overdelivery, charge, to[1]),
            (&mut self.either, charge, both),
            (&mut self.overprice, over, above),
            (&mut self.stale, charge, memo),
        ];
        for (range, amount, is_sure) in parts {
            if let Some(is_sure) = is_sure {
                range.add(amount, is_sure);
            }
        }
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Books {
    bills: Vec<Bill>,
    /// Things that must never happen.
    pub(crate) faults: Findings,
}

impl Books {
    /// A bill that is about to be sent for the first time.
    pub(crate) fn open(&mut self, bid: &str, campaign: u32, amount: Charge, is_test: bool) -> BillId {
        let outcome = if is_test { Outcome::Nobody } else { Outcome::Unknown };
        let id = BillId(u32::try_from(self.bills.len()).expect("fewer than four billion bills in a run"));
        let bill = Bill {
            bid: bid.into(),
            campaign,
            amount,
            outcome,
            open: 0,
            unanswered: false,
            is_doubtful: false,
            is_test,
        };
        self.bills.push(bill);
        id
    }

    /// It is going to be sent once more than it was; called before.
    pub(crate) fn sends(&mut self, id: BillId) {
        self.bills[id.0 as usize].open += 1;
    }

    /// No answer came to one of its sends.
    pub(crate) fn unanswered(&mut self, id: BillId) -> Verdict {
        self.bills[id.0 as usize].unanswered = true;
        Verdict::Again
    }

    /// What the answer to one of its sends says. `class` is empty where the exchange is not told.
    pub(crate) fn answered(&mut self, id: BillId, status: u16, class: &str) -> Verdict {
        let bill = &mut self.bills[id.0 as usize];
        let is_good = matches!(status, 200 | 204 | 302);
        let outcome = match class {
            _ if status == 503 => return self.unanswered(id),
            "unavailable" => return self.unanswered(id),
            "accepted" | "late" if is_good => Some(Outcome::Charged),
            "house" if is_good => Some(Outcome::House),
            "stale" if is_good => Some(Outcome::Stale),
            "test" if is_good && bill.is_test => None,
            "duplicate" if is_good => None,
            "" if is_good => Some(Outcome::Either),
            _ => {
                let bid = bill.bid.clone();
                self.faults
                    .note("bill-refused", || format!("bid {bid}: a good bill is answered {status} {class}"));
                None
            }
        };
        bill.open = bill.open.saturating_sub(1);
        if let Some(outcome) = outcome {
            self.resolve(id, outcome);
        }
        self.settle(id);
        Verdict::Done
    }

    fn resolve(&mut self, id: BillId, outcome: Outcome) {
        let bill = &mut self.bills[id.0 as usize];
        let bid = &bill.bid;
        match (bill.outcome, outcome) {
            // Whether an earlier send without an answer was charged is not known then.
            (Outcome::Unknown, Outcome::Stale) if bill.unanswered => bill.is_doubtful = true,
            (Outcome::Unknown, outcome) => bill.outcome = outcome,
            (_, Outcome::Stale) | (Outcome::Either, Outcome::Either) => {}
            (before, again) => {
                self.faults
                    .note("charged-twice", || format!("I5: bid {bid} was {before:?} and is {again:?} again"));
            }
        }
    }

    /// When the last of its sends is answered and none said where the money went.
    fn settle(&mut self, id: BillId) {
        let bill = &mut self.bills[id.0 as usize];
        if bill.open > 0 || bill.outcome != Outcome::Unknown || bill.is_doubtful {
            return;
        }
        if bill.unanswered {
            bill.outcome = Outcome::Either;
        } else {
            let bid = &bill.bid;
            self.faults.note("only-duplicates", || format!("bid {bid} was only ever answered duplicate"));
        }
    }

    /// A bill that was answered for is sent with another price: nothing may move.
    pub(crate) fn repriced(&mut self, id: BillId, status: u16, class: &str) {
        let bill = &self.bills[id.0 as usize];
        if !matches!((status, class), (503, _) | (_, "duplicate" | "stale" | "test" | "unavailable" | "")) {
            let bid = &bill.bid;
            self.faults.note("duplicate-charged", || {
                format!("I5: bid {bid}: a duplicate is answered {status} {class}")
            });
        }
    }

    /// Bills that are not answered for good.
    pub(crate) fn unsettled(&self) -> usize {
        self.bills.iter().filter(|bill| bill.open > 0).count()
    }

    pub(crate) fn bills(&self) -> &[Bill] {
        &self.bills
    }

    /// By campaign, what the server's books must lie between.
    pub(crate) fn bounds(&self) -> BTreeMap<u32, Bounds> {
        bounds(self.bills.iter().map(|bill| (bill.campaign, bill.amount, bill.outcome)))
    }
}

/// By campaign, what bills may have moved.
pub(crate) fn bounds(bills: impl Iterator<Item = (u32, Charge, Outcome)>) -> BTreeMap<u32, Bounds> {
    let mut bounds: BTreeMap<u32, Bounds> = BTreeMap::new();
    for (campaign, amount, outcome) in bills {
        bounds.entry(campaign).or_default().add(amount, outcome);
    }
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;

    const AMOUNT: Charge = Charge { charge: 100, over: 7 };

    /// What the books say after these answers to one bill that was sent `sends` times: its outcome, and the rules that
    /// were broken.
    fn check(sends: u32, answers: &[(u16, &str)], expected: Outcome, faults: &[&str]) {
        let mut books = Books::default();
        let id = books.open("b", 1, AMOUNT, false);
        (0..sends).for_each(|_| books.sends(id));
        for (status, class) in answers {
            if *status == 0 {
                assert_eq!(books.unanswered(id), Verdict::Again);
            } else {
                books.answered(id, *status, class);
            }
        }
        assert_eq!(books.bills()[0].outcome, expected, "{answers:?}");
        let found: Vec<&str> = books.faults.iter().map(|(rule, ..)| rule).collect();
        assert_eq!(found, faults, "{answers:?}");
    }

    #[test]
    fn answers_say_where_the_money_went() {
        use Outcome::*;
        check(1, &[(204, "accepted")], Charged, &[]);
        check(1, &[(204, "late")], Charged, &[]);
        check(1, &[(204, "house")], House, &[]);
        check(1, &[(204, "stale")], Stale, &[]);
        check(1, &[(204, "")], Either, &[]);
        check(1, &[(0, "")], Unknown, &[]);
        check(1, &[(503, "unavailable")], Unknown, &[]);
        check(1, &[(200, "unavailable"), (200, "accepted")], Charged, &[]);
        check(1, &[(0, ""), (204, "duplicate")], Either, &[]);
        check(1, &[(0, ""), (204, "accepted")], Charged, &[]);
        check(1, &[(0, ""), (204, "stale")], Unknown, &[]);
        check(2, &[(204, "duplicate"), (204, "house")], House, &[]);
        check(2, &[(204, "accepted")], Charged, &[]);
    }

    #[test]
    fn what_must_never_be_answered_is_a_fault() {
        use Outcome::*;
        check(1, &[(204, "duplicate")], Unknown, &["only-duplicates"]);
        check(2, &[(204, "accepted"), (204, "accepted")], Charged, &["charged-twice"]);
        check(2, &[(204, "accepted"), (204, "house")], Charged, &["charged-twice"]);
        check(1, &[(403, "forged")], Unknown, &["bill-refused", "only-duplicates"]);
        check(1, &[(204, "rejected")], Unknown, &["bill-refused", "only-duplicates"]);
        check(1, &[(204, "test")], Unknown, &["bill-refused", "only-duplicates"]);
        check(1, &[(500, "accepted")], Unknown, &["bill-refused", "only-duplicates"]);
    }

    #[test]
    fn a_duplicate_moves_nothing_and_says_so() {
        let mut books = Books::default();
        let id = books.open("b", 1, AMOUNT, false);
        books.sends(id);
        books.answered(id, 204, "accepted");
        books.repriced(id, 204, "duplicate");
        books.repriced(id, 503, "unavailable");
        assert!(books.faults.is_empty());
        books.repriced(id, 204, "accepted");
        assert_eq!(books.faults.count("duplicate-charged"), 1);
    }

    #[test]
    fn bounds_are_exact_where_answers_are() {
        let bounds = |outcome: Outcome| {
            let mut bounds = Bounds::default();
            bounds.add(AMOUNT, outcome);
            [bounds.charged, bounds.overdelivery, bounds.either, bounds.overprice, bounds.stale]
                .map(|range| (range.least, range.most))
        };
        let (none, all, perhaps) = ((0, 0), (100, 100), (0, 100));
        assert_eq!(bounds(Outcome::Charged), [all, none, all, (7, 7), none]);
        assert_eq!(bounds(Outcome::House), [none, all, all, (7, 7), none]);
        assert_eq!(bounds(Outcome::Either), [perhaps, perhaps, all, (7, 7), none]);
        assert_eq!(bounds(Outcome::Unknown), [perhaps, perhaps, perhaps, (0, 7), perhaps]);
        assert_eq!(bounds(Outcome::Stale), [none, none, none, none, all]);
        assert_eq!(bounds(Outcome::Nobody), [none; 5]);
    }
}
