//! The system clock: the only code that asks the operating system for the time. Everyone else takes a
//! [`Clock`] or a [`Now`], so that one seed and one scripted clock replay the same answers.
//!
//! Civil time is that of [`CivilClock`]: the wall clock of the machine is read once in [`LOOK_NS`], whoever asks next,
//! and heeded by that rule. All other calls add to the processor's counter, take no lock and wait for nobody.

use crate::model::civil::{CivilClock, CivilTime};
use crate::model::clock::{Clock, Now};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The wall clock is read at most once in so many nanoseconds.
const LOOK_NS: u64 = 100_000_000;

/// The two clocks of a machine. A test has a script in its place.
pub trait TimeSource: Send + Sync {
    /// Monotonic nanoseconds since an arbitrary start.
    fn mono_ns(&self) -> u64;

    /// What the wall clock shows: milliseconds since the Unix epoch, right or wrong.
    fn wall_ms(&self) -> i64;
}

/// A wall clock that may step, and an operator who may say that it is right.
pub trait WallSteps: Send + Sync {
    /// See [`SystemClock::pending_step_ms`].
    fn pending_step_ms(&self) -> Option<i64>;

    /// See [`SystemClock::adopt_step`].
    fn adopt_step(&self) -> Option<i64>;
}

/// The clocks of this machine: the processor's counter, and the operating system's civil time.
#[derive(Debug)]
pub struct Machine {
    counter: quanta::Clock,
    start: u64,
}

impl Machine {
    fn new() -> Machine {
        let counter = quanta::Clock::new();
        let start = counter.raw();
        Machine { counter, start }
    }
}

impl TimeSource for Machine {
    fn mono_ns(&self) -> u64 {
        self.counter.delta_as_nanos(self.start, self.counter.raw())
    }

    fn wall_ms(&self) -> i64 {
        #[expect(clippy::disallowed_methods, reason = "this is the clock that the rule points to")]
        let wall = std::time::SystemTime::now();
        match wall.duration_since(std::time::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
        }
    }
}

/// Real time: monotonic from the processor's counter, civil by the rule of [`CivilClock`]. Make one and share it: two
/// clocks may disagree on a step of the wall clock.
#[derive(Debug)]
pub struct SystemClock<S = Machine> {
    source: S,
    look_due_ns: AtomicU64,
    /// A copy of what `rule` holds, for those who only want to know the time.
    civil: ArcSwap<CivilTime>,
    rule: Mutex<CivilClock>,
}

impl SystemClock {
    /// A clock whose monotonic time starts now. Calibrates the counter once, which takes some milliseconds.
    pub fn new() -> SystemClock {
        SystemClock::reading(Machine::new())
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock::new()
    }
}

impl<S: TimeSource> SystemClock<S> {
    /// A clock that reads `source`. Civil time starts at its wall clock.
    pub fn reading(source: S) -> SystemClock<S> {
        let mono_ns = source.mono_ns();
        let rule = CivilClock::starting(mono_ns, source.wall_ms());
        let civil = ArcSwap::new(Arc::clone(rule.time()));
        SystemClock { source, look_due_ns: (mono_ns + LOOK_NS).into(), civil, rule: Mutex::new(rule) }
    }

    /// The step of the wall clock that waits to be adopted, in milliseconds: what civil time would move by.
    pub fn pending_step_ms(&self) -> Option<i64> {
        let rule = &mut *self.rule.lock();
        self.look(rule);
        rule.pending_step_ms()
    }

    /// Adopts the wall clock's step at once, at an operator's word. Returns the step in milliseconds; `None` when none
    /// waited. A step back moves civil time back; budget days stand still meanwhile.
    pub fn adopt_step(&self) -> Option<i64> {
        let rule = &mut *self.rule.lock();
        self.look(rule);
        let step_ms = rule.adopt()?;
        self.civil.store(Arc::clone(rule.time()));
        tracing::warn!(step_ms, "an operator adopted the step of the wall clock");
        Some(step_ms)
    }

    /// Reads both clocks and lets the rule judge.
    fn look(&self, rule: &mut CivilClock) {
        let waited = rule.pending_step_ms();
        let mono_ns = self.source.mono_ns();
        let adopted = rule.observe(mono_ns, self.source.wall_ms());
        self.look_due_ns.store(mono_ns.saturating_add(LOOK_NS), Ordering::Relaxed);
        if let Some(step_ms) = adopted {
            self.civil.store(Arc::clone(rule.time()));
            tracing::warn!(step_ms, "the wall clock's step has lasted and is adopted");
            return;
        }
        match (waited, rule.pending_step_ms()) {
            (None, Some(step_ms)) => {
                tracing::warn!(
                    step_ms,
                    "the wall clock stepped; civil time goes on without it until it lasts"
                );
            }
            (Some(step_ms), None) => tracing::info!(step_ms, "the wall clock came back from its step"),
            _ => {}
        }
    }

    #[cold]
    fn look_unless_another_does(&self) {
        if let Some(mut rule) = self.rule.try_lock() {
            self.look(&mut rule);
        }
    }
}

impl<S: TimeSource> Clock for SystemClock<S> {
    fn now(&self) -> Now {
        let mono_ns = self.source.mono_ns();
        if mono_ns >= self.look_due_ns.load(Ordering::Relaxed) {
            self.look_unless_another_does();
        }
        Now { mono_ns, unix_ms: self.civil.load().unix_ms(mono_ns) }
    }

    fn mono_ns(&self) -> u64 {
        self.source.mono_ns()
    }
}

impl<S: TimeSource> WallSteps for SystemClock<S> {
    fn pending_step_ms(&self) -> Option<i64> {
        SystemClock::pending_step_ms(self)
    }

    fn adopt_step(&self) -> Option<i64> {
        SystemClock::adopt_step(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicI64;

    const START_MS: i64 = 1_778_068_800_000;
    const DAY_MS: i64 = 86_400_000;

    /// Clocks that show what the test sets, and count how often the wall is looked at.
    #[derive(Debug, Default)]
    struct Script {
        mono_ns: AtomicU64,
        wall_off_ms: AtomicI64,
        looks: AtomicU64,
    }

    impl TimeSource for Script {
        fn mono_ns(&self) -> u64 {
            self.mono_ns.load(Ordering::SeqCst)
        }

        fn wall_ms(&self) -> i64 {
            self.looks.fetch_add(1, Ordering::SeqCst);
            START_MS + (self.mono_ns() / 1_000_000) as i64 + self.wall_off_ms.load(Ordering::SeqCst)
        }
    }

    impl SystemClock<Script> {
        /// Lets time pass, asking for it every `step_ms`.
        fn pass(&self, ms: u64, step_ms: u64) -> Now {
            (0..ms / step_ms).for_each(|_| {
                self.source.mono_ns.fetch_add(step_ms * 1_000_000, Ordering::SeqCst);
                self.now();
            });
            self.now()
        }

        fn move_wall(&self, ms: i64) {
            self.source.wall_off_ms.fetch_add(ms, Ordering::SeqCst);
        }
    }

    #[test]
    fn monotonic_time_advances_with_a_sleep_and_civil_time_is_of_this_century() {
        let clock = SystemClock::new();
        let before = clock.now();
        std::thread::sleep(std::time::Duration::from_millis(5));
        let after = clock.now();
        let slept_ns = after.mono_ns - before.mono_ns;
        assert!((4_500_000..5_000_000_000).contains(&slept_ns), "{slept_ns}");
        assert!(after.unix_ms >= before.unix_ms);
        assert!((1_700_000_000..4_200_000_000).contains(&after.unix_s()), "{}", after.unix_s());
    }

    #[test]
    fn the_wall_is_read_ten_times_a_second_however_often_the_time_is_asked_for() {
        let clock = SystemClock::reading(Script::default());
        clock.pass(10_000, 1);
        assert_eq!(clock.source.looks.load(Ordering::SeqCst), 1 + 100);
    }

    #[test]
    fn a_step_waits_ten_minutes_and_can_be_taken_back_until_then() {
        let clock = SystemClock::reading(Script::default());
        clock.move_wall(DAY_MS);
        assert_eq!(clock.pass(540_000, 50).unix_ms, START_MS + 540_000);
        assert_eq!(clock.pending_step_ms(), Some(DAY_MS));
        clock.move_wall(-DAY_MS);
        assert_eq!(clock.pass(60_000, 50).unix_ms, START_MS + 600_000);
        assert_eq!(clock.pending_step_ms(), None);
        clock.move_wall(-DAY_MS);
        assert_eq!(clock.pass(600_000, 50).unix_ms, START_MS + 1_200_000);
        assert_eq!(clock.pass(200, 50).unix_ms, START_MS + 1_200_200 - DAY_MS);
        assert_eq!(clock.pending_step_ms(), None);
    }

    #[test]
    fn an_operator_sees_a_step_without_traffic_and_adopts_it() {
        let clock = SystemClock::reading(Script::default());
        assert_eq!((clock.pending_step_ms(), clock.adopt_step()), (None, None));
        clock.move_wall(-3_600_000);
        assert_eq!(clock.pending_step_ms(), Some(-3_600_000));
        assert_eq!(clock.now().unix_ms, START_MS);
        assert_eq!(clock.adopt_step(), Some(-3_600_000));
        assert_eq!(clock.now().unix_ms, START_MS - 3_600_000);
        assert_eq!((clock.pending_step_ms(), clock.adopt_step()), (None, None));
    }

    #[test]
    fn what_one_thread_was_told_no_other_thread_is_told_less() {
        let clock = SystemClock::reading(Script::default());
        let told = AtomicI64::new(START_MS);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (clock, told) = (&clock, &told);
                scope.spawn(move || {
                    for n in 0..20_000i64 {
                        clock.source.mono_ns.fetch_add(5_000_000, Ordering::SeqCst);
                        clock.source.wall_off_ms.store((n + thread) % 7 * 8_000 - 24_000, Ordering::SeqCst);
                        let before = told.load(Ordering::SeqCst);
                        let now = clock.now().unix_ms;
                        assert!(now >= before, "{now} after {before}");
                        told.fetch_max(now, Ordering::SeqCst);
                    }
                });
            }
        });
        let passed_ms = 4 * 20_000 * 5;
        assert!((told.into_inner() - START_MS - passed_ms).abs() <= 24_000);
    }
}
