//! What the exchange remembers of its bills, and the inequality that the server's books must satisfy (money.md 2.9):
//! what was answered for is charged, and nothing is charged that was not sent.
//!
//! Invariant: a bill enters `sent` before its first byte leaves, and `charged` or `house` after its answer was read.
//! So books that are asked for in between lie between the `charged` read before and the `sent` read after.

use super::account::{Line, Purse};
use super::server::Balances;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::SeqCst};

/// One bid that is billed.
#[derive(Debug)]
pub(crate) struct Bill {
    /// Path and query, price filled in.
    pub(crate) path: String,
    /// The same with another price, for a later duplicate that must be ignored.
    pub(crate) other_path: String,
    /// Who pays.
    pub(crate) purse: Purse,
    /// What the campaign owes: what the notified price asks for, at most the hold.
    pub(crate) charge: i64,
    /// What the house bears because the price is above the bid.
    pub(crate) over: i64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Sends that are not yet answered for good.
    open: u32,
    /// A send was not answered, or with 503: the server may have charged it.
    unanswered: bool,
    /// Answers accepted, late or house.
    charged: u32,
    settled: bool,
}

impl Bill {
    /// A bill of a bid on `line` at `price` nanos an impression.
    pub(crate) fn new(path: String, other_path: String, line: &Line, price: i64) -> Arc<Bill> {
        let asked = Line::asked(price);
        let charge = asked.min(line.hold());
        let (purse, state) = (line.purse, Mutex::default());
        Arc::new(Bill { path, other_path, purse, charge, over: asked - charge, state })
    }
}

/// What was surely charged at one moment, in nanos.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floor {
    /// By purse: to the campaign.
    charged: [i64; 3],
    /// By purse: to the house instead.
    house: [i64; 3],
    /// To whomever, the house's excess included.
    all: i64,
}

/// How often each thing happened.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) accepted: AtomicU64,
    pub(crate) late: AtomicU64,
    pub(crate) house: AtomicU64,
    /// Duplicates that were meant.
    pub(crate) duplicate: AtomicU64,
    /// Bills that had no answer or 503 at first, and that the server had.
    pub(crate) recovered: AtomicU64,
    /// Sends without an answer.
    pub(crate) unanswered: AtomicU64,
    /// 503: the exchange shall come again.
    pub(crate) refused: AtomicU64,
}

impl Counts {
    /// Bills answered as charged to somebody.
    pub(crate) fn billed(&self) -> u64 {
        [&self.accepted, &self.late, &self.house, &self.recovered]
            .map(|count| count.load(SeqCst))
            .iter()
            .sum()
    }
}

/// See the module. Amounts in nanos.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// By purse: the charges of all bills ever sent.
    sent: [AtomicI64; 3],
    /// By purse: those that were answered as charged to the campaign.
    charged: [AtomicI64; 3],
    /// By purse: charges that the house took.
    house: [AtomicI64; 3],
    /// By purse: charges of settled bills that the campaign or the house has, and only the server knows which.
    either: [AtomicI64; 3],
    /// The house's excess: of all bills ever sent, and of those answered for.
    over_sent: AtomicI64,
    over_acked: AtomicI64,
    pub(crate) counts: Counts,
    faults: Mutex<Vec<String>>,
}

/// What an answer to a bill means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answered {
    /// For good.
    Done,
    /// Not at all, or not yet: it must be sent again.
    Again,
}

impl Book {
    /// Notes something that must never happen.
    pub(crate) fn fault(&self, fault: String) {
        let mut faults = self.faults.lock();
        if faults.len() < 20 {
            faults.push(fault);
        }
    }

    /// What went wrong so far.
    pub(crate) fn faults(&self) -> Vec<String> {
        self.faults.lock().clone()
    }

    /// A new bill is about to be sent by `sends` hands.
    pub(crate) fn open(&self, bill: &Bill, sends: u32) {
        bill.state.lock().open = sends;
        self.sent[bill.purse as usize].fetch_add(bill.charge, SeqCst);
        self.over_sent.fetch_add(bill.over, SeqCst);
    }

    /// What an answer says of a bill; `None`: there was none.
    pub(crate) fn answer(&self, bill: &Bill, status: u16, class: Option<&str>) -> Answered {
        let mut state = bill.state.lock();
        let at = bill.purse as usize;
        match (status, class) {
            (_, None) => {
                state.unanswered = true;
                self.counts.unanswered.fetch_add(1, SeqCst);
                return Answered::Again;
            }
            (503, _) => {
                // It may be decided already, and wait for its space.
                state.unanswered = true;
                self.counts.refused.fetch_add(1, SeqCst);
                return Answered::Again;
            }
            (204, Some(class @ ("accepted" | "late" | "house"))) => {
                let (place, count) = match class {
                    "accepted" => (&self.charged, &self.counts.accepted),
                    "late" => (&self.charged, &self.counts.late),
                    _ => (&self.house, &self.counts.house),
                };
                count.fetch_add(1, SeqCst);
                state.charged += 1;
                if state.charged > 1 || state.settled {
                    self.fault(format!("I5: charged twice: {} is {class} again", bill.path));
                }
                place[at].fetch_add(bill.charge, SeqCst);
                self.over_acked.fetch_add(bill.over, SeqCst);
            }
            (204, Some("duplicate")) => {}
            (status, Some(class)) => {
                self.fault(format!("a good bill is answered {status} {class}: {}", bill.path))
            }
        }
        state.open -= 1;
        if state.open == 0 {
            self.settle(bill, &mut state);
        }
        Answered::Done
    }

    fn settle(&self, bill: &Bill, state: &mut State) {
        state.settled = true;
        if state.charged > 0 {
            return;
        }
        if !state.unanswered {
            return self.fault(format!("only ever answered duplicate: {}", bill.path));
        }
        self.counts.recovered.fetch_add(1, SeqCst);
        self.either[bill.purse as usize].fetch_add(bill.charge, SeqCst);
        self.over_acked.fetch_add(bill.over, SeqCst);
    }

    /// A bill that was answered for is sent once more: nothing may move.
    pub(crate) fn duplicate(&self, bill: &Bill, status: u16, class: &str) -> Answered {
        match (status, class) {
            (503, _) => return Answered::Again,
            (204, "duplicate") => {
                self.counts.duplicate.fetch_add(1, SeqCst);
            }
            (status, class) => {
                self.fault(format!("I5: a duplicate is answered {status} {class}: {}", bill.path));
            }
        }
        Answered::Done
    }

    /// What is surely charged at this moment.
    pub(crate) fn floor(&self) -> Floor {
        let read = |amounts: &[AtomicI64; 3]| [0, 1, 2].map(|at| amounts[at].load(SeqCst));
        let (charged, house, either) = (read(&self.charged), read(&self.house), read(&self.either));
        let all = charged.iter().chain(&house).chain(&either).sum::<i64>() + self.over_acked.load(SeqCst);
        Floor { charged, house, all }
    }

    /// Holds books, which were asked for after `floor` was read, against what is known now.
    pub(crate) fn check(&self, floor: &Floor, shown: &Balances, budgets: &[i64; 3]) {
        let mut all = shown.house;
        let mut sent_all = self.over_sent.load(SeqCst);
        for purse in Purse::ALL {
            let at = purse as usize;
            let (wallet, spent, leased) = shown.wallets[at];
            let sent = self.sent[at].load(SeqCst);
            // What the house took is not in the wallet.
            let most = sent - floor.house[at];
            all += spent;
            sent_all += sent;
            if spent < floor.charged[at] {
                let lost = floor.charged[at] - spent;
                self.fault(format!(
                    "I8: {lost} nanos of {} were answered for and are not charged",
                    purse.name()
                ));
            }
            if spent > most {
                self.fault(format!("{} is charged {spent} nanos, only {most} were ever sent", purse.name()));
            }
            if spent > budgets[at] {
                self.fault(format!("P1: {} spent {spent} nanos of {}", purse.name(), budgets[at]));
            }
            if spent + leased > wallet {
                self.fault(format!("I1: {} has {spent} spent and {leased} leased of {wallet}", purse.name()));
            }
        }
        if all < floor.all {
            self.fault(format!("2.9: {all} nanos are booked, {} were answered for", floor.all));
        }
        if all > sent_all {
            self.fault(format!("2.9: {all} nanos are booked, only {sent_all} were ever sent"));
        }
        if shown.stale != 0 {
            self.fault(format!("{} nanos are stale, and no bill is old", shown.stale));
        }
    }

    /// When every bill is settled: what is booked equals what was sent, to the nano.
    pub(crate) fn check_settled(&self, shown: &Balances) {
        let floor = self.floor();
        let booked = shown.house + shown.wallets.iter().map(|(_, spent, _)| spent).sum::<i64>();
        let sent = self.sent.iter().map(|sent| sent.load(SeqCst)).sum::<i64>() + self.over_sent.load(SeqCst);
        if (booked, floor.all) != (sent, sent) {
            self.fault(format!("2.9: {booked} nanos are booked, {} answered for, {sent} sent", floor.all));
        }
        for purse in Purse::ALL {
            let at = purse as usize;
            let spent = shown.wallets[at].1;
            let most = floor.charged[at] + self.either[at].load(SeqCst);
            if spent < floor.charged[at] || spent > most {
                let least = floor.charged[at];
                self.fault(format!("{} spent {spent} nanos, not {least} to {most}", purse.name()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::account::LINES;
    use super::*;

    const PRICE: i64 = 500_000;
    const CHARGE: i64 = 675_000;
    const BUDGETS: [i64; 3] = [10 * CHARGE; 3];

    /// A bill of the deep purse that was sent by `sends` hands.
    fn sent(book: &Book, sends: u32) -> Arc<Bill> {
        let bill = Bill::new("/b/x".to_owned(), String::new(), &LINES[0], PRICE);
        book.open(&bill, sends);
        bill
    }

    fn shown(spent: i64, leased: i64, house: i64) -> Balances {
        let wallet = 10 * CHARGE;
        Balances { wallets: [(wallet, spent, leased), (wallet, 0, 0), (wallet, 0, 0)], house, stale: 0 }
    }

    /// What the books of a server say that was asked after these answers: nothing, or a fault with this in it.
    fn check(answers: &[(u16, Option<&str>)], shown: &Balances, expected: Option<&str>) {
        let book = Book::default();
        let bill = sent(&book, 1);
        for (status, class) in answers {
            book.answer(&bill, *status, *class);
        }
        let floor = book.floor();
        book.check(&floor, shown, &BUDGETS);
        match expected {
            None => assert_eq!(book.faults(), [""; 0]),
            Some(expected) => assert!(book.faults().concat().contains(expected), "{:?}", book.faults()),
        }
    }

    #[test]
    fn what_was_answered_for_must_be_charged_and_nothing_else() {
        let accepted = [(204, Some("accepted"))];
        check(&accepted, &shown(CHARGE, 0, 0), None);
        check(&accepted, &shown(0, 0, 0), Some("I8"));
        check(&accepted, &shown(CHARGE + 1, 0, 0), Some("only"));
        check(&accepted, &shown(CHARGE, 10 * CHARGE, 0), Some("I1"));
        check(&accepted, &shown(11 * CHARGE, 0, 0), Some("P1"));
        check(&[(204, Some("house"))], &shown(0, 0, CHARGE), None);
        check(&[(204, Some("house"))], &shown(CHARGE, 0, CHARGE), Some("2.9"));
        check(&[(204, Some("stale"))], &shown(0, 0, 0), Some("204 stale"));
        check(&[(403, Some("forged"))], &shown(0, 0, 0), Some("403 forged"));
    }

    #[test]
    fn a_bill_without_an_answer_may_be_charged_or_not_until_it_is_answered() {
        for lost in [(0, None), (503, Some("unavailable"))] {
            check(&[lost], &shown(0, 0, 0), None);
            check(&[lost], &shown(CHARGE, 0, 0), None);
            check(&[lost, (204, Some("duplicate"))], &shown(CHARGE, 0, 0), None);
            check(&[lost, (204, Some("duplicate"))], &shown(0, 0, CHARGE), None);
            check(&[lost, (204, Some("duplicate"))], &shown(0, 0, 0), Some("2.9"));
        }
        check(&[(204, Some("duplicate"))], &shown(CHARGE, 0, 0), Some("only ever answered duplicate"));
    }

    #[test]
    fn of_two_sends_at_once_one_is_charged() {
        let check = |classes: [&str; 2], expected: usize| {
            let book = Book::default();
            let bill = sent(&book, 2);
            for class in classes {
                book.answer(&bill, 204, Some(class));
            }
            assert_eq!(book.faults().len(), expected, "{classes:?}: {:?}", book.faults());
        };
        check(["accepted", "duplicate"], 0);
        check(["duplicate", "late"], 0);
        check(["accepted", "accepted"], 1);
        check(["duplicate", "duplicate"], 1);
    }

    #[test]
    fn a_duplicate_moves_nothing_and_says_so() {
        let book = Book::default();
        let bill = sent(&book, 1);
        book.answer(&bill, 204, Some("accepted"));
        assert_eq!(book.duplicate(&bill, 204, "duplicate"), Answered::Done);
        assert_eq!(book.duplicate(&bill, 503, "unavailable"), Answered::Again);
        assert_eq!(book.faults().len(), 0);
        book.duplicate(&bill, 204, "accepted");
        assert!(book.faults().concat().contains("I5"));
        book.check_settled(&shown(CHARGE, 0, 0));
        assert_eq!(book.faults().len(), 1);
        book.check_settled(&shown(2 * CHARGE, 0, 0));
        assert!(book.faults().len() > 1);
    }
}
