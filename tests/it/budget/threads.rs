//! Many threads on little money.

use super::books::{Ask, Bidder, NOON, conserved, funding, later, ledger_of};
use outbid::budget::{AccountKey, Bill, Ledger, Posting, Resolution};
use outbid::model::ids::AdvertiserId;
use outbid::model::money::Nanos;
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
