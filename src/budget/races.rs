//! Every order in which threads can meet on one lease, tried by loom: `cargo test --features loom --lib races`.
//!
//! What must hold in all of them: an amount is in one place, so what was granted is what is free, held, charged and
//! given back together, and nobody spends what somebody else took back.

use super::days::BudgetDay;
use super::lease::{Bar, Hold, Lease};
use crate::model::ids::{ExchangeId, LeaseId, LineItemId};
use crate::model::token::{Bucket, HoldFormat};
use loom::sync::atomic::{AtomicI64, Ordering::AcqRel, Ordering::Acquire, Ordering::Release};
use loom::thread;
use std::sync::Arc;

const HOLD: i64 = 10;

fn lease(free: i64) -> Arc<Lease> {
    let lease = Lease::new(LeaseId(1), LineItemId(1), BudgetDay(1), i64::MAX, Arc::default());
    lease.add_free(free);
    Arc::new(lease)
}

fn bucket() -> Bucket {
    Bucket::new(ExchangeId(1), HoldFormat::WebBanner, 5)
}

/// What the ledger does when the slot's time is over.
fn expire(lease: &Lease) {
    let (_, amount) = lease.expire(|_| 6);
    lease.add_free(amount);
}

fn sum(lease: &Lease) -> i64 {
    lease.free() + lease.held()
}

#[test]
fn money_for_one_is_held_by_one() {
    loom::model(|| {
        let lease = lease(HOLD + HOLD - 1);
        let other = {
            let lease = Arc::clone(&lease);
            thread::spawn(move || lease.hold(HOLD, bucket()))
        };
        let mine = lease.hold(HOLD, bucket());
        assert!(mine ^ other.join().unwrap());
        assert_eq!((lease.free(), lease.held()), (HOLD - 1, HOLD));
    });
}

#[test]
fn a_bill_and_the_end_of_a_slot_do_not_both_get_the_money() {
    loom::model(|| {
        let lease = lease(HOLD);
        assert!(lease.hold(HOLD, bucket()));
        let clock = {
            let lease = Arc::clone(&lease);
            thread::spawn(move || expire(&lease))
        };
        let posted = lease.take_held(HOLD, bucket());
        clock.join().unwrap();
        assert_eq!(sum(&lease), if posted { 0 } else { HOLD });
    });
}

#[test]
fn a_bill_and_a_loss_do_not_both_get_the_money() {
    loom::model(|| {
        let lease = lease(HOLD);
        assert!(lease.hold(HOLD, bucket()));
        let loss = {
            let lease = Arc::clone(&lease);
            thread::spawn(move || {
                if lease.take_held(HOLD, bucket()) {
                    lease.add_free(HOLD);
                }
            })
        };
        let posted = lease.take_held(HOLD, bucket());
        loss.join().unwrap();
        assert_eq!(sum(&lease), if posted { 0 } else { HOLD });
    });
}

#[test]
fn an_answer_that_never_went_out_gives_back_once_beside_the_clock() {
    loom::model(|| {
        let lease = lease(HOLD);
        let hold = Hold::take(&lease, HOLD, bucket());
        let clock = {
            let lease = Arc::clone(&lease);
            thread::spawn(move || expire(&lease))
        };
        drop(hold);
        clock.join().unwrap();
        assert_eq!((lease.free(), lease.held()), (HOLD, 0));
    });
}

#[test]
fn what_is_taken_back_is_not_held_as_well() {
    loom::model(|| {
        let lease = lease(HOLD);
        let bid = {
            let lease = Arc::clone(&lease);
            thread::spawn(move || lease.hold(HOLD, bucket()))
        };
        let back = lease.take_free();
        let held = bid.join().unwrap();
        assert_eq!(back + sum(&lease), HOLD);
        assert_eq!(held, back == 0);
    });
}

#[test]
fn a_recall_beside_a_bid_that_gives_up_loses_nothing() {
    loom::model(|| {
        let lease = lease(2 * HOLD);
        let bid = {
            let lease = Arc::clone(&lease);
            thread::spawn(move || drop(Hold::take(&lease, HOLD, bucket())))
        };
        let back = lease.take_free();
        bid.join().unwrap();
        assert_eq!(back + lease.take_free(), 2 * HOLD);
        assert_eq!(lease.held(), 0);
    });
}

#[test]
fn behind_a_bar_and_a_recall_only_older_holds_live() {
    loom::model(|| {
        let lease = lease(2 * HOLD);
        let bid = {
            let lease = Arc::clone(&lease);
            thread::spawn(move || lease.hold(HOLD, bucket()))
        };
        lease.bar(Bar::OverBudget, true);
        let back = lease.take_free();
        let held = bid.join().unwrap();
        // What a bid put back when it saw the bar is found by the next look.
        assert_eq!(back + lease.take_free(), if held { HOLD } else { 2 * HOLD });
        assert_eq!(lease.held(), if held { HOLD } else { 0 });
        lease.add_free(HOLD);
        assert!(!lease.hold(HOLD, bucket()), "barred, so nothing more is held");
    });
}

#[test]
fn midnight_beside_a_bill_and_a_bid() {
    loom::model(|| {
        let lease = lease(HOLD);
        assert!(lease.hold(HOLD / 2, bucket()));
        let bid = {
            let lease = Arc::clone(&lease);
            thread::spawn(move || lease.hold(HOLD / 2, bucket()))
        };
        let bill = {
            let lease = Arc::clone(&lease);
            thread::spawn(move || lease.take_held(HOLD / 2, bucket()))
        };
        lease.bar(Bar::Closed, true);
        let back = lease.take_free();
        let (held, posted) = (bid.join().unwrap(), bill.join().unwrap());
        assert!(posted, "something of its size is in the slot whatever happens");
        let (rest, still_held) = (lease.take_free(), lease.held());
        assert_eq!(back + rest + still_held, HOLD / 2);
        assert_eq!(still_held, if held { HOLD / 2 } else { 0 });
    });
}

/// What is not done: `free` as a difference of other counters, each of which is right by itself.
#[derive(Default)]
struct Derived {
    granted: AtomicI64,
    returned: AtomicI64,
    posted: AtomicI64,
    held: AtomicI64,
}

impl Derived {
    fn new() -> Arc<Derived> {
        let derived = Derived::default();
        derived.granted.store(HOLD, Release);
        Arc::new(derived)
    }

    fn free(&self) -> i64 {
        let spent = self.returned.load(Acquire) + self.posted.load(Acquire) + self.held.load(Acquire);
        self.granted.load(Acquire) - spent
    }

    fn hold(&self, amount: i64) -> bool {
        let fits = self.free() >= amount;
        if fits {
            self.held.fetch_add(amount, AcqRel);
        }
        fits
    }
}

#[test]
#[should_panic(expected = "held and given back")]
fn a_derived_free_is_held_and_given_back_at_once() {
    loom::model(|| {
        let lease = Derived::new();
        let bid = {
            let lease = Arc::clone(&lease);
            thread::spawn(move || lease.hold(HOLD))
        };
        let back = lease.free();
        lease.returned.fetch_add(back, AcqRel);
        let held = bid.join().unwrap();
        assert!(!(held && back == HOLD), "held and given back");
    });
}

#[test]
#[should_panic(expected = "spent twice")]
fn a_derived_free_spends_a_bill_twice_between_two_counters() {
    loom::model(|| {
        let lease = Derived::new();
        assert!(lease.hold(HOLD));
        let bill = {
            let lease = Arc::clone(&lease);
            // The hold ends, the charge begins: between the two the money looks free.
            thread::spawn(move || {
                lease.held.fetch_sub(HOLD, AcqRel);
                lease.posted.fetch_add(HOLD, AcqRel);
            })
        };
        let again = lease.hold(HOLD);
        bill.join().unwrap();
        assert!(!again, "spent twice");
    });
}
