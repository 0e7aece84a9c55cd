//! Late is never: past the deadline there is no answer and nothing stays held; and what is not answered is released.

use super::request::plain;
use super::run::Server;
use super::world::{Dice, NOON, World};
use outbid::engine::{Deadline, NoObserver, Times};
use outbid::model::clock::{Clock, Now};
use outbid::model::no_bid::NoBidReason;
use std::sync::atomic::{AtomicU64, Ordering};

/// Stands still for some readings, then jumps a second ahead.
struct Jumping {
    readings: AtomicU64,
    jumps_at: u64,
}

impl Clock for Jumping {
    fn now(&self) -> Now {
        let late = self.readings.fetch_add(1, Ordering::Relaxed) >= self.jumps_at;
        Now { mono_ns: NOON.mono_ns + u64::from(late) * 1_000_000_000, ..NOON }
    }
}

/// Decides under a clock that jumps at its `nth` reading: the reason, and whether the outer line's look after writing
/// finds the answer late.
fn decide_late(world: &World, server: &mut Server, body: &[u8], nth: u64) -> (Option<NoBidReason>, bool) {
    let clock = Jumping { readings: AtomicU64::new(0), jumps_at: nth };
    let profile = world.profile(1);
    let deadline = Deadline::new(&clock, Times::at(NOON.mono_ns), Some(100), profile, 1_000);
    server.observe(world, 1, body, &mut NoObserver, &deadline, |_, decided| {
        (decided.as_ref().err().copied(), deadline.passed())
    })
}

#[test]
fn a_clock_that_jumps_at_any_check_leaves_no_bid_and_nothing_held() {
    let mut dice = Dice::new(11);
    let (mut late, mut answered) = (0, 0);
    for round in 0..200 {
        let world = World::random(&mut dice, 30);
        let body = dice.request(round);
        let bids = Server::new(&world).bids(&world, &body);
        for nth in 0..3 {
            let mut server = Server::new(&world);
            let (reason, late_after) = decide_late(&world, &mut server, &body, nth);
            assert_eq!(server.held(), 0, "check {nth}");
            match (nth, reason) {
                // What rules out the whole request does so before the first look at the clock.
                (0 | 1, Some(NoBidReason::Deadline)) => late += 1,
                (0 | 1, Some(reason)) => assert_eq!(bids, Err(reason)),
                (0 | 1, None) => panic!("answered late: {bids:?}"),
                (_, reason) => {
                    assert_eq!(reason, bids.as_ref().err().copied());
                    assert!(late_after || reason.is_some());
                    answered += usize::from(reason.is_none());
                }
            }
        }
    }
    assert!(late > 150 && answered > 40, "{late} late, {answered} answered");
}

#[test]
fn the_deadline_is_the_engines_budget_or_what_tmax_leaves() {
    let world = World::small(|_| {});
    let profile = world.profile(1);
    let check = |tmax_ms: Option<u32>, budget_us: u32, last_us: u64| {
        for (us, passed) in [(last_us.saturating_sub(1), last_us == 0), (last_us, true)] {
            let clock = outbid::model::clock::FixedClock::at(Now { mono_ns: 7_000 + us * 1_000, unix_ms: 0 });
            let deadline = Deadline::new(&clock, Times::at(7_000), tmax_ms, profile, budget_us);
            assert_eq!(deadline.passed(), passed, "{tmax_ms:?} {budget_us} at {us} µs");
        }
    };
    check(Some(100), 1_000, 1_000);
    // tmax includes the network: 20 ms are its own.
    check(Some(21), 5_000, 1_000);
    check(Some(20), 5_000, 0);
    check(None, 1_000_000, 80_000);
    check(Some(4_000_000_000), u32::MAX, 980_000);
}

#[test]
fn what_a_request_waited_unseen_comes_off_tmax_and_not_off_the_engines_budget() {
    let world = World::small(|_| {});
    let profile = world.profile(1);
    let clock = outbid::model::clock::FixedClock::at(Now { mono_ns: 7_000, unix_ms: 0 });
    // Of 100 ms the network has 20.
    for (waited_us, passed) in [(0, false), (79_999, false), (80_000, true), (u64::MAX / 1_000, true)] {
        let times = Times { arrived_ns: 7_000, waited_ns: waited_us * 1_000 };
        let deadline = Deadline::new(&clock, times, Some(100), profile, 1_000);
        assert_eq!(deadline.passed(), passed, "after {waited_us} µs");
    }
    for (after_ns, passed) in [(999_999, false), (1_000_000, true)] {
        let clock = outbid::model::clock::FixedClock::at(Now { mono_ns: 7_000 + after_ns, unix_ms: 0 });
        let times = Times { arrived_ns: 7_000, waited_ns: 70_000_000 };
        assert_eq!(Deadline::new(&clock, times, Some(100), profile, 1_000).passed(), passed);
    }
}

#[test]
fn what_is_not_answered_is_free_again_to_the_last_nano() {
    let world = World::small(|_| {});
    let mut server = Server::new(&world);
    let bids = server.bids(&world, &plain(|_| {}));
    let before = (server.ledger.balances(), server.ledger.audit());
    assert!(bids.is_ok() && before.1[0].free.0 > 0);
    for _ in 0..100 {
        assert_eq!(server.bids(&world, &plain(|_| {})), bids);
        assert_eq!((server.ledger.balances(), server.ledger.audit()), before);
    }
    // In random worlds the rest may move from lease to lease, but what was possible once stays possible.
    let mut dice = Dice::new(12);
    let mut answered = 0;
    for round in 0..200 {
        let world = World::random(&mut dice, 30);
        let mut server = Server::new(&world);
        let body = dice.request(round);
        let bids = server.bids(&world, &body);
        assert_eq!(server.held(), 0);
        server.now.mono_ns += 1_000_000_000;
        assert_eq!(server.bids(&world, &body), bids);
        assert_eq!(server.held(), 0);
        answered += usize::from(bids.is_ok());
    }
    assert!(answered > 30, "{answered}");
}

#[test]
fn a_panic_while_an_answer_is_written_releases_its_money() {
    let world = World::small(|_| {});
    let mut server = Server::new(&world);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        server.decide(&world, 1, &plain(|_| {}), |_, decided| {
            assert_eq!(decided.unwrap().bids.len(), 1);
            std::panic::resume_unwind(Box::new("markup"));
        })
    }));
    assert!(caught.is_err());
    assert_eq!(server.held(), 0);
    assert_eq!(server.bids(&world, &plain(|_| {})).unwrap().len(), 1);
}
