//! The simulated market as a trial of every run: two hundred seeds without one violation, and nothing that could go
//! wrong left out (trials.md section 9 A).

use outbid::sim::{Count, Outcome, Report, run};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Plays the seeds 1 to `last` on two threads.
fn play(last: u64) -> (Report, Vec<(u64, Outcome)>) {
    let next = AtomicU64::new(1);
    let work = || {
        let (mut sum, mut broken) = (Report::default(), Vec::new());
        loop {
            let seed = next.fetch_add(1, Relaxed);
            if seed > last {
                return (sum, broken);
            }
            let outcome = run(seed, None);
            sum.merge(&outcome.report);
            if outcome.failure.is_some() {
                broken.push((seed, outcome));
            }
        }
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(work);
        let (mut sum, mut broken) = work();
        let (more, found) = other.join().expect("the other half of the seeds plays to its end");
        sum.merge(&more);
        broken.extend(found);
        (sum, broken)
    })
}

#[test]
fn two_hundred_markets_break_nothing_and_meet_everything() {
    let (report, broken) = play(200);
    let failures: Vec<_> =
        broken.iter().filter_map(|(seed, outcome)| Some((seed, outcome.failure.as_ref()?))).collect();
    assert!(failures.is_empty(), "replay with `outbid sim --trace --seed N`: {failures:#?}");
    let missed: Vec<&str> =
        Count::ALL.into_iter().filter(|count| report.get(*count) == 0).map(Count::key).collect();
    assert!(missed.is_empty(), "never met: {missed:?}");
}

#[test]
fn a_seed_replays_step_by_step() {
    for seed in [3, 17, 42] {
        let play = || {
            let lines = std::cell::RefCell::new(Vec::new());
            let outcome = run(seed, Some(&|line| lines.borrow_mut().push(line.to_owned())));
            (outcome, lines.into_inner())
        };
        let (first, again) = (play(), play());
        assert!(first.1.len() > 100 && first == again, "seed {seed} is not the same twice");
        assert_eq!(first.0, run(seed, None), "watching changes nothing");
    }
}
