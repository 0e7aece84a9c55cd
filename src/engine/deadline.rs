//! The moment after which an answer is worth nothing. Compared in ticks at fixed points: a tokio timer is 1 ms
//! coarse, as long as the whole budget.

use crate::model::clock::Clock;
use crate::model::exchange::ExchangeProfile;

/// A deadline on the monotonic clock.
#[derive(Clone, Copy)]
pub struct Deadline<'c> {
    clock: Option<&'c dyn Clock>,
    at_ns: u64,
}

/// When a request came.
#[derive(Clone, Copy)]
pub struct Times {
    /// When it was looked at, on the monotonic clock.
    pub arrived_ns: u64,
    /// How long it had waited before that, as far as is known.
    pub waited_ns: u64,
}

impl Times {
    /// Looked at as soon as it came.
    pub fn at(arrived_ns: u64) -> Times {
        Times { arrived_ns, waited_ns: 0 }
    }
}

impl<'c> Deadline<'c> {
    /// The earlier of the engine's own budget and what `tmax` leaves: `tmax` includes the network both ways
    /// (OpenRTB 2.6 section 3.2.1), so the profile's margin comes off it first, and what the request has waited unseen.
    pub fn new(
        clock: &'c dyn Clock,
        Times { arrived_ns, waited_ns }: Times,
        tmax_ms: Option<u32>,
        profile: &ExchangeProfile,
        engine_budget_us: u32,
    ) -> Deadline<'c> {
        let left_ns = (u64::from(left_ms(tmax_ms, profile)) * 1_000_000).saturating_sub(waited_ns);
        let budget_ns = u64::from(engine_budget_us) * 1_000;
        Deadline { clock: Some(clock), at_ns: arrived_ns + left_ns.min(budget_ns) }
    }

    /// For replays and explanations: never passed.
    pub fn never() -> Deadline<'static> {
        Deadline { clock: None, at_ns: u64::MAX }
    }

    /// For explanations, where time itself does not count: passed where `tmax` leaves none at all.
    pub(super) fn unless_hopeless(tmax_ms: Option<u32>, profile: &ExchangeProfile) -> Deadline<'static> {
        Deadline { clock: None, at_ns: if left_ms(tmax_ms, profile) == 0 { 0 } else { u64::MAX } }
    }

    /// Whether it is too late.
    pub fn passed(&self) -> bool {
        self.clock.map_or(self.at_ns == 0, |clock| clock.mono_ns() >= self.at_ns)
    }
}

/// What `tmax` leaves for the decision once the network's part is taken off, in milliseconds.
pub(super) fn left_ms(tmax_ms: Option<u32>, profile: &ExchangeProfile) -> u32 {
    let tmax_ms = tmax_ms.unwrap_or(profile.default_tmax_ms).min(profile.max_tmax_ms);
    tmax_ms.saturating_sub(profile.network_margin_ms)
}
