//! Time as a value. Nothing below `telemetry` asks an operating system for the time; it gets a [`Now`], so that the
//! same seed and clock replay the same answer.

/// One reading of the clock. All impressions of a request share one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Now {
    /// Monotonic nanoseconds since an arbitrary start.
    pub mono_ns: u64,
    /// Civil time: milliseconds since the Unix epoch.
    pub unix_ms: i64,
}

impl Now {
    /// Civil time in whole seconds since the Unix epoch.
    pub fn unix_s(self) -> i64 {
        self.unix_ms.div_euclid(1000)
    }

    /// The same as it is kept in 32 bits: from 1970 to 2106, the nearest of both beyond them.
    pub fn second(self) -> u32 {
        self.unix_s().clamp(0, i64::from(u32::MAX)) as u32
    }
}

/// Where time comes from: the system clock in a server, a script in tests and the simulator.
pub trait Clock: Send + Sync {
    /// The current reading.
    fn now(&self) -> Now;

    /// Monotonic nanoseconds only: the cheap half of [`Clock::now`], for deadlines.
    fn mono_ns(&self) -> u64 {
        self.now().mono_ns
    }
}

/// A clock that stands still until it is told to move. For tests, `explain` and replays.
#[derive(Debug, Default)]
pub struct FixedClock {
    mono_ns: std::sync::atomic::AtomicU64,
    unix_ms: std::sync::atomic::AtomicI64,
}

impl FixedClock {
    /// A clock that shows `now`.
    pub fn at(now: Now) -> FixedClock {
        FixedClock { mono_ns: now.mono_ns.into(), unix_ms: now.unix_ms.into() }
    }

    /// Moves both times forward by `ms` milliseconds.
    pub fn advance_ms(&self, ms: u64) {
        self.mono_ns.fetch_add(ms * 1_000_000, std::sync::atomic::Ordering::Relaxed);
        self.unix_ms.fetch_add(ms as i64, std::sync::atomic::Ordering::Relaxed);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Now {
        Now {
            mono_ns: self.mono_ns.load(std::sync::atomic::Ordering::Relaxed),
            unix_ms: self.unix_ms.load(std::sync::atomic::Ordering::Relaxed),
        }
    }
}
