//! Civil time that a budget day can rely on (money.md 2.7): the wall clock's reading at the start, carried on by
//! monotonic time. The rule is pure: [`CivilClock`] is fed readings of both clocks and asks no operating system.
//!
//! A wall clock within [`STEP_MS`] of civil time is followed by slewing, at most one second in ten. So civil time
//! neither jumps nor goes back for the small corrections of a machine's life (NTP, a leap second, an inexact counter);
//! a wall clock that runs wild in steps however small bends time by a tenth at most, and what it is further ahead or
//! behind is a step; and a reading torn by a thread that was stopped between the two clocks costs milliseconds.
//!
//! A wall clock further away has stepped. Civil time goes on as before until the wall has agreed with itself for
//! [`AGREEMENT_NS`], or until an operator adopts the step.
//!
//! Invariant: civil time goes back only where a step back is adopted. It does go back then, because standing still for
//! the length of the step would stop every age, expiry and daypart; that a date comes only once is for the budget days
//! to keep. Deliberately absent: any judgement of the first reading, which has nothing to be compared with.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// A wall clock at most this far from civil time is followed; further away it has stepped.
pub const STEP_MS: i64 = 60_000;
/// A step is adopted when the wall has agreed with itself for so much monotonic time.
pub const AGREEMENT_NS: u64 = 600_000_000_000;
/// Readings agree when they put the wall clock within this of where the step was first seen.
const TOLERANCE_MS: u64 = 2_000;
/// A reading vouches for at most the minute before it: a few readings far apart prove nothing of the time between.
const VOUCHED_NS: u64 = 60_000_000_000;
/// Following, civil time bends by at most one part in so many.
const SLEW: u64 = 10;
const NS_PER_MS: u64 = 1_000_000;

/// Civil time between two adopted steps, to be read by any number of threads: it never goes back on any of them.
#[derive(Debug)]
pub struct CivilTime {
    /// Civil time less monotonic time.
    offset_ms: AtomicI64,
    /// The latest time that anyone was told. A correction backwards lets time stand at it for a moment.
    reached_ms: AtomicI64,
}

impl CivilTime {
    fn starting(offset_ms: i64) -> CivilTime {
        CivilTime { offset_ms: offset_ms.into(), reached_ms: i64::MIN.into() }
    }

    /// Civil time in milliseconds since the Unix epoch, at a monotonic time that was read a moment ago.
    pub fn unix_ms(&self, mono_ns: u64) -> i64 {
        let now = millis(mono_ns).saturating_add(self.offset_ms.load(Ordering::Relaxed));
        let reached = self.reached_ms.load(Ordering::Relaxed);
        // Written once a millisecond at most, so that threads do not fight over the line.
        if now <= reached { reached } else { self.reached_ms.fetch_max(now, Ordering::Relaxed).max(now) }
    }
}

/// The rule by which civil time heeds the wall clock.
#[derive(Debug)]
pub struct CivilClock {
    time: Arc<CivilTime>,
    read_ns: u64,
    slewed_ns: u64,
    waiting: Option<Step>,
}

/// A step of the wall clock that waits. Offsets are wall time less monotonic time.
#[derive(Debug)]
struct Step {
    first_ms: i64,
    latest_ms: i64,
    agreed_ns: u64,
}

impl CivilClock {
    /// Civil time that begins at a wall clock's reading, taken at monotonic time `mono_ns`.
    pub fn starting(mono_ns: u64, wall_ms: i64) -> CivilClock {
        let time = Arc::new(CivilTime::starting(wall_ms.saturating_sub(millis(mono_ns))));
        CivilClock { time, read_ns: mono_ns, slewed_ns: mono_ns, waiting: None }
    }

    /// Civil time as it runs now, to be shared with the threads that read it. Another one runs after a step is adopted:
    /// a thread that still holds the old one is told the old time.
    pub fn time(&self) -> &Arc<CivilTime> {
        &self.time
    }

    /// Civil time in milliseconds since the Unix epoch.
    pub fn unix_ms(&self, mono_ns: u64) -> i64 {
        self.time.unix_ms(mono_ns)
    }

    /// Takes a reading of both clocks; several a minute are wanted. Returns the step in milliseconds if this reading is
    /// the one that makes it adopted.
    pub fn observe(&mut self, mono_ns: u64, wall_ms: i64) -> Option<i64> {
        let vouched_ns = mono_ns.saturating_sub(self.read_ns).min(VOUCHED_NS);
        self.read_ns = self.read_ns.max(mono_ns);
        let wall_offset_ms = wall_ms.saturating_sub(millis(mono_ns));
        let ahead_ms = wall_offset_ms.saturating_sub(self.offset_ms());
        if ahead_ms.unsigned_abs() <= STEP_MS.unsigned_abs() {
            self.waiting = None;
            self.follow(ahead_ms);
            return None;
        }
        self.slewed_ns = self.read_ns;
        match &mut self.waiting {
            Some(step) if step.first_ms.abs_diff(wall_offset_ms) <= TOLERANCE_MS => {
                step.latest_ms = wall_offset_ms;
                step.agreed_ns += vouched_ns;
                if step.agreed_ns >= AGREEMENT_NS { self.adopt() } else { None }
            }
            waiting => {
                *waiting = Some(Step { first_ms: wall_offset_ms, latest_ms: wall_offset_ms, agreed_ns: 0 });
                None
            }
        }
    }

    /// The step that waits, in milliseconds: how far the wall clock was ahead (or, below zero, behind) when last read.
    pub fn pending_step_ms(&self) -> Option<i64> {
        self.waiting.as_ref().map(|step| step.latest_ms.saturating_sub(self.offset_ms()))
    }

    /// Adopts the step that waits, at an operator's word. Returns it in milliseconds; `None` when none waits.
    pub fn adopt(&mut self) -> Option<i64> {
        let step_ms = self.pending_step_ms()?;
        let step = self.waiting.take()?;
        self.time = Arc::new(CivilTime::starting(step.latest_ms));
        Some(step_ms)
    }

    fn follow(&mut self, ahead_ms: i64) {
        let since_ns = self.read_ns.saturating_sub(self.slewed_ns).min(VOUCHED_NS);
        let most_ms = millis(since_ns / SLEW);
        // Readings in quick succession save up until they are worth a millisecond.
        if most_ms > 0 {
            self.time.offset_ms.fetch_add(ahead_ms.clamp(-most_ms, most_ms), Ordering::Relaxed);
            self.slewed_ns = self.read_ns;
        }
    }

    fn offset_ms(&self) -> i64 {
        self.time.offset_ms.load(Ordering::Relaxed)
    }
}

fn millis(ns: u64) -> i64 {
    (ns / NS_PER_MS) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: i64 = 1_000;
    const MINUTE: i64 = 60 * SECOND;
    const DAY: i64 = 1_440 * MINUTE;
    const START_MS: i64 = 1_778_068_800_000;

    /// A clock with a wall beside it that is `off_ms` away from the time that has really passed.
    struct Run {
        clock: CivilClock,
        mono_ms: i64,
        off_ms: i64,
    }

    impl Run {
        fn new() -> Run {
            Run { clock: CivilClock::starting(0, START_MS), mono_ms: 0, off_ms: 0 }
        }

        /// Lets `ms` pass and reads the clocks once.
        fn read_after(&mut self, ms: i64) -> Option<i64> {
            self.mono_ms += ms;
            self.clock.observe(self.mono_ns(), START_MS + self.mono_ms + self.off_ms)
        }

        /// Lets `ms` pass with a reading each second; returns when a step was adopted and which.
        fn pass(&mut self, ms: i64) -> Vec<(i64, i64)> {
            let seconds = 0..ms / SECOND;
            seconds.filter_map(|_| self.read_after(SECOND).map(|step| (self.mono_ms, step))).collect()
        }

        fn mono_ns(&self) -> u64 {
            self.mono_ms as u64 * NS_PER_MS
        }

        /// How far civil time is ahead of the time that has really passed.
        fn civil_off_ms(&self) -> i64 {
            self.clock.unix_ms(self.mono_ns()) - START_MS - self.mono_ms
        }
    }

    #[test]
    fn a_small_difference_is_slewed_away_at_a_second_in_ten() {
        let check = |off_ms: i64| {
            let mut run = Run::new();
            run.off_ms = off_ms;
            assert!(run.pass(100 * SECOND).is_empty());
            assert_eq!(run.civil_off_ms(), off_ms.clamp(-10 * SECOND, 10 * SECOND), "{off_ms}");
            run.pass(500 * SECOND);
            assert_eq!(run.civil_off_ms(), off_ms);
            assert_eq!(run.clock.pending_step_ms(), None);
        };
        [0, 1, -1, 999, -5 * SECOND, 10 * SECOND, 37 * SECOND, STEP_MS, -STEP_MS].into_iter().for_each(check);
    }

    #[test]
    fn readings_in_quick_succession_slew_too() {
        let mut run = Run::new();
        run.off_ms = 500;
        (0..1_000).for_each(|_| assert_eq!(run.read_after(3), None));
        assert!((250..=300).contains(&run.civil_off_ms()), "{}", run.civil_off_ms());
    }

    #[test]
    fn a_step_is_adopted_after_ten_minutes_of_agreement_and_not_a_second_earlier() {
        let check = |step_ms: i64| {
            let mut run = Run::new();
            run.pass(MINUTE);
            run.off_ms = step_ms;
            // The first reading finds it, and six hundred more vouch for it.
            assert!(run.pass(600 * SECOND).is_empty(), "{step_ms}");
            assert_eq!((run.civil_off_ms(), run.clock.pending_step_ms()), (0, Some(step_ms)));
            assert_eq!(run.pass(SECOND), [(661 * SECOND, step_ms)]);
            assert_eq!((run.civil_off_ms(), run.clock.pending_step_ms()), (step_ms, None));
        };
        [STEP_MS + 1, -STEP_MS - 1, DAY, -DAY, 60 * MINUTE, -60 * MINUTE].into_iter().for_each(check);
    }

    #[test]
    fn a_step_that_is_taken_back_in_time_leaves_nothing() {
        let mut run = Run::new();
        for _ in 0..5 {
            run.off_ms = DAY;
            assert!(run.pass(9 * MINUTE).is_empty());
            run.off_ms = 0;
            assert!(run.pass(SECOND).is_empty());
            assert_eq!((run.civil_off_ms(), run.clock.pending_step_ms()), (0, None));
        }
    }

    #[test]
    fn a_wall_that_disagrees_with_itself_is_never_adopted() {
        let mut run = Run::new();
        for n in 0..600 {
            run.off_ms = DAY + (n % 3) * 3 * SECOND;
            assert!(run.pass(20 * SECOND).is_empty());
        }
        assert_eq!(run.civil_off_ms(), 0);
        // Wandering by a second is agreement.
        let adopted = (0..31).flat_map(|n| {
            run.off_ms = 2 * DAY + (n % 2) * SECOND;
            run.pass(20 * SECOND)
        });
        assert_eq!(adopted.count(), 1);
    }

    #[test]
    fn a_wall_that_runs_away_in_small_steps_bends_time_by_a_tenth_at_most() {
        let mut run = Run::new();
        for _ in 0..3_600 {
            run.off_ms += 30 * SECOND;
            assert!(run.pass(SECOND).is_empty());
        }
        assert!((0..=SECOND).contains(&run.civil_off_ms()), "{}", run.civil_off_ms());
        assert!(run.clock.pending_step_ms().is_some());
    }

    #[test]
    fn two_readings_far_apart_do_not_agree_about_the_time_between() {
        let mut run = Run::new();
        run.off_ms = DAY;
        for minutes in [20, 20, 20, 1, 1, 1, 1, 1, 1, 1] {
            assert_eq!(run.read_after(minutes * MINUTE), None);
        }
        assert_eq!(run.read_after(MINUTE), Some(DAY));
    }

    #[test]
    fn an_operator_adopts_a_step_at_once() {
        let mut run = Run::new();
        assert_eq!(run.clock.adopt(), None);
        run.off_ms = -DAY;
        run.pass(3 * SECOND);
        assert_eq!(run.clock.adopt(), Some(-DAY));
        assert_eq!(run.civil_off_ms(), -DAY);
        assert_eq!(run.clock.adopt(), None);
        assert!(run.pass(20 * MINUTE).is_empty());
    }

    #[test]
    fn readings_at_the_end_of_the_world_overflow_nothing() {
        for wall in [i64::MIN, i64::MAX, 0] {
            let mut clock = CivilClock::starting(u64::MAX, wall);
            for other in [i64::MAX, i64::MIN] {
                for mono in [0, u64::MAX] {
                    clock.observe(mono, other);
                    clock.unix_ms(mono);
                    clock.pending_step_ms();
                    clock.adopt();
                }
            }
        }
    }

    /// What happens between two readings: how long it takes, and how the wall clock is moved.
    fn events() -> impl Strategy<Value = Vec<(i64, i64)>> {
        let gap = prop_oneof![4 => 1..2_000i64, 4 => 1_000..60_000i64, 1 => 60_000..2_000_000i64];
        let moved = prop_oneof![
            24 => Just(0),
            6 => -3..=3i64,
            2 => -70_000..=70_000i64,
            1 => prop_oneof![Just(DAY), Just(-DAY), Just(60 * MINUTE), Just(-60 * MINUTE)],
        ];
        proptest::collection::vec((gap, moved), 1..400)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn civil_time_goes_back_only_by_adoption_and_a_step_is_adopted_only_on_agreement(events in events()) {
            let mut run = Run::new();
            let (mut told, mut offset) = (run.clock.unix_ms(0), run.clock.offset_ms());
            // Every reading so far: when, and how far the wall was ahead.
            let mut readings: Vec<(i64, i64)> = Vec::new();
            for (gap_ms, moved_ms) in events {
                let before_ms = run.mono_ms;
                // Just before the reading, then just after it.
                let late = run.clock.unix_ms((run.mono_ms + gap_ms) as u64 * NS_PER_MS);
                prop_assert!(late >= told);
                told = late;
                run.off_ms += moved_ms;
                let adopted = run.read_after(gap_ms);
                readings.push((run.mono_ms, run.off_ms));
                let lately = readings.iter().filter(|(at, _)| *at >= run.mono_ms - 10 * MINUTE);
                let agree = |within: i64| lately.clone().all(|(_, off)| (off - run.off_ms).abs() <= within);
                if let Some(step) = adopted {
                    prop_assert!(step.abs() > STEP_MS && agree(2 * TOLERANCE_MS as i64));
                    prop_assert_eq!(run.civil_off_ms(), run.off_ms);
                } else {
                    let now = run.clock.unix_ms(run.mono_ns());
                    prop_assert!(now >= told);
                    let bent = (run.clock.offset_ms() - offset).abs();
                    prop_assert!(bent <= (run.mono_ms - before_ms).min(MINUTE) / 10 + 1, "{bent}");
                }
                told = run.clock.unix_ms(run.mono_ns());
                offset = run.clock.offset_ms();
            }
        }

        #[test]
        fn whatever_was_before_a_steady_wall_is_civil_time_after_eleven_minutes(events in events()) {
            let mut run = Run::new();
            for (gap_ms, moved_ms) in events {
                run.off_ms += moved_ms;
                run.read_after(gap_ms);
            }
            run.pass(11 * MINUTE);
            prop_assert_eq!(run.civil_off_ms(), run.off_ms);
        }
    }
}
