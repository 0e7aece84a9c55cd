//! Many threads on little money.

use super::books::{Ask, Bidder, NOON, configure, conserved, funding, later, ledger_of};
use outbid::budget::{AccountKey, Bill, Books, Ledger, NoLog, Posting, Resolution};
use outbid::model::clock::Clock;
use outbid::model::ids::AdvertiserId;
use outbid::model::money::Nanos;
use outbid::telemetry::clock::SystemClock;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn books(lines: u32, wallet: i64, cores: u16) -> Arc<Ledger> {
    ledger_of(cores, (1..=lines).map(|line| funding(line, wallet)))
}

#[test]
fn sixty_four_threads_share_one_unit_to_the_last_hold() {
    for (hold, lines) in [(3_333_333, 1), (7_000_001, 8), (400_000_000, 64)] {
        let ledger = books(lines, 1_000_000_000, 64);
        let granted = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for core in 0..64 {
                let (ledger, granted) = (&ledger, &granted);
                scope.spawn(move || {
                    let mut bidder = Bidder::new(core, ledger);
                    // Nothing comes back, so who is refused once has nothing more to hope for.
                    while bidder.answer(Ask::of(1 + u32::from(core) % lines, hold), NOON).is_ok() {
                        granted.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(granted.into_inner(), 1_000_000_000 / hold as u64, "holds of {hold}");
        let held = conserved(&ledger);
        let wallet = held[&AccountKey::Wallet(AdvertiserId(1))];
        assert_eq!(wallet, 1_000_000_000 / hold * hold);
    }
}

/// A8 over the ledger's own thread: cores that never wait still get the last hold, and never one more.
#[test]
fn sixty_four_threads_and_the_ledgers_own_share_one_unit_to_the_last_hold() {
    const HOLD: i64 = 7_000_001;
    let clock = Arc::new(SystemClock::new());
    let started =
        Ledger::start(Books::default(), Box::new(NoLog), 9, 64, Arc::clone(&clock) as Arc<dyn Clock>);
    let ledger = Arc::new(started.unwrap().0);
    configure(&ledger, (1..=8).map(|line| funding(line, 1_000_000_000)), clock.now());
    let granted = AtomicU64::new(0);
    let wanted = 1_000_000_000 / HOLD as u64;
    std::thread::scope(|scope| {
        for core in 0..64 {
            let (ledger, granted, clock) = (&ledger, &granted, &clock);
            scope.spawn(move || {
                let mut bidder = Bidder::new(core, ledger);
                let (mut last, mut since) = (0, clock.now().mono_ns);
                // Until nobody got anything for twice the longest wait between two questions.
                while clock.now().mono_ns - since < 1_300_000_000 {
                    let ask = Ask::of(1 + u32::from(core) % 8, HOLD);
                    if bidder.answer(ask, clock.now()).is_ok() {
                        granted.fetch_add(1, Ordering::Relaxed);
                    }
                    let so_far = granted.load(Ordering::Relaxed);
                    if so_far != last {
                        (last, since) = (so_far, clock.now().mono_ns);
                    }
                    std::thread::sleep(std::time::Duration::from_millis(2));
                }
            });
        }
    });
    assert_eq!(granted.into_inner(), wanted);
    let held = conserved(&ledger)[&AccountKey::Wallet(AdvertiserId(1))];
    assert_eq!(held, wanted as i64 * HOLD);
}

/// A9 and money.md 2.2: little money goes to whoever asks, however unevenly the connections lie on the cores.
#[test]
fn a_thousand_line_items_leave_less_than_the_smallest_hold_of_a_small_wallet() {
    const WALLET: i64 = 400_000_000;
    let ledger = books(1_000, WALLET, 8);
    let mut bidders: Vec<Bidder> = (0..8).map(|core| Bidder::new(core, &ledger)).collect();
    let mut dice = StdRng::seed_from_u64(5);
    let (mut now, mut quiet) = (NOON, 0);
    let (mut held, mut lowest) = (0, i64::MAX);
    while quiet < 40_000 {
        now = later(now, 1);
        // Half of all bids are on one core, a quarter on the next, and so on.
        let core = (dice.random::<u8>().trailing_ones() as usize).min(7);
        let price = [300_000, 700_001, 1_500_000][dice.random_range(0..3)];
        lowest = lowest.min(price);
        match bidders[core].answer(Ask { life_s: 7_000, ..Ask::of(dice.random_range(1..=1_000), price) }, now)
        {
            Ok(_) => (held, quiet) = (held + price, 0),
            Err(_) => quiet += 1,
        }
        if now.mono_ns.is_multiple_of(50_000_000) {
            ledger.tick(now);
        }
    }
    eprintln!("held {held} of {WALLET}, the smallest hold asked for is {lowest}");
    assert!(held <= WALLET && WALLET - held < lowest);
    assert_eq!(conserved(&ledger)[&AccountKey::Wallet(AdvertiserId(1))], held);
}

#[test]
fn bids_notices_and_expiry_at_once_lose_no_money() {
    let ledger = books(4, 50_000_000, 6);
    let (answered, charged) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for core in 0..6 {
            let (ledger, answered, charged) = (&ledger, &answered, &charged);
            scope.spawn(move || {
                let mut bidder = Bidder::new(core, ledger);
                for round in 0..400_u64 {
                    let now = later(NOON, round * 700);
                    let ask = Ask { life_s: 5, ..Ask::of(1 + (core as u32 + round as u32) % 4, 900_001) };
                    let Ok(held) = bidder.bid(ask, now) else { continue };
                    let claims = held.claims;
                    answered.fetch_add(1, Ordering::Relaxed);
                    match round % 8 {
                        0 => drop(held),
                        1 => {
                            held.hold.keep();
                            assert_ne!(ledger.void(&claims), Resolution::Contradictory);
                        }
                        2 => {
                            held.hold.keep();
                            let posted = ledger.post(&claims, Bill::at(claims.price), now);
                            if let Posting::Accepted { charged: paid } | Posting::Late { charged: paid, .. } =
                                posted
                            {
                                charged.fetch_add(paid.0 as u64, Ordering::Relaxed);
                            }
                            assert_eq!(ledger.post(&claims, Bill::at(claims.price), now), Posting::Duplicate);
                        }
                        _ => held.hold.keep(),
                    }
                    if round % 16 == 0 {
                        ledger.tick(now);
                    }
                }
            });
        }
    });
    conserved(&ledger);
    ledger.tick(later(NOON, 400 * 700 + 60_000));
    assert!(conserved(&ledger).values().all(|held| *held == 0));
    let balance = ledger.balance(AccountKey::Wallet(AdvertiserId(1)));
    assert_eq!(balance.posted, Nanos(charged.into_inner() as i64));
    assert!(balance.posted.0 <= 50_000_000);
    assert!(answered.into_inner() > 100);
}
