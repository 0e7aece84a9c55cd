//! The simulated market against the real engine and ledger: trials A1 to A7, A9, A11 and A12 in one, with crashes.

use outbid::sim::{self, Count, Outcome, Report};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const SEEDS: u64 = 200;

#[test]
fn two_hundred_markets_break_nothing_and_meet_every_trouble() {
    let next = AtomicU64::new(1);
    let work = || {
        let mut report = Report::default();
        loop {
            let seed = next.fetch_add(1, Relaxed);
            if seed > SEEDS {
                return report;
            }
            let Outcome { report: one, failure } = sim::run(seed, None);
            assert!(failure.is_none(), "outbid sim --seed {seed} --runs 1 --trace: {failure:?}");
            report.merge(&one);
        }
    };
    let mut sum = Report::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads.into_iter().for_each(|thread| sum.merge(&thread.join().unwrap()));
    });
    let required = [
        Count::Accepted,
        Count::Late,
        Count::House,
        Count::Duplicates,
        Count::Stale,
        Count::Contradictions,
        Count::Overprice,
        Count::CrashesInside,
        Count::CrashesRecovering,
        Count::LostRecords,
        Count::Checkpoints,
        Count::OldBills,
        Count::Released,
        Count::Horizons,
        Count::Days,
        Count::Moves,
        Count::TripsDeaf,
        Count::TripsHouse,
        Count::TripsTrust,
        Count::Cuts,
        Count::KillSwitches,
        Count::Sleeps,
        Count::ClockJumps,
        Count::FullDisks,
        Count::DeadListeners,
        Count::BlackHoles,
    ];
    for count in required {
        let met = sum.get(count);
        eprintln!("{:<46} {met}", count.name());
        assert!(met > 0, "{} never happened, so nothing is proved of it", count.name());
    }
}

#[test]
fn a_seed_replays_to_the_same_market() {
    for seed in [3, 77] {
        let counts = || Count::ALL.map(|count| sim::run(seed, None).report.get(count));
        assert_eq!(counts(), counts());
    }
}
