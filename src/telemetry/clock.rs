//! The system clock: the only code that asks the operating system for the time. Everyone else takes a
//! [`Clock`] or a [`Now`], so that one seed and one scripted clock replay the same answers.

use crate::model::clock::{Clock, Now};

/// Real time: monotonic from the processor's counter, civil from the operating system.
#[derive(Debug, Clone)]
pub struct SystemClock {
    counter: quanta::Clock,
    start: u64,
}

impl SystemClock {
    /// A clock whose monotonic time starts now. Calibrates the counter once, which takes some milliseconds.
    pub fn new() -> SystemClock {
        let counter = quanta::Clock::new();
        let start = counter.raw();
        SystemClock { counter, start }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        #[expect(clippy::disallowed_methods, reason = "this is the clock that the rule points to")]
        let civil = std::time::SystemTime::now();
        let unix_ms = match civil.duration_since(std::time::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
        };
        Now { mono_ns: self.mono_ns(), unix_ms }
    }

    fn mono_ns(&self) -> u64 {
        self.counter.delta_as_nanos(self.start, self.counter.raw())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
