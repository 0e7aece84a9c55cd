//! The counters of the bid path: one [`CoreMetrics`] for each serving core, on cache lines of its own.
//!
//! Invariant: a bid request touches only its own core's struct, with relaxed additions at places known beforehand;
//! no label is looked up, nothing is locked or allocated. An exchange is found by its [`ExchangeSlot`], which the
//! catalog keeps beside the profile. Whoever renders the metrics reads the same words from outside and adds the cores up.

use super::histogram::Histogram;
use crate::model::no_bid::NoBidReason;
use crate::model::restriction::Restriction;
use std::array;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Exchanges that have counters of their own; further ones share slot 0, `other`.
pub const EXCHANGE_SLOTS: usize = 64;

/// A counter.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `n`.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// An enum that is the value of a metric's label.
macro_rules! label {
    ($(#[$about:meta])* $name:ident {$($(#[$doc:meta])* $variant:ident = $text:literal,)+}) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        pub enum $name {$($(#[$doc])* $variant,)+}

        impl $name {
            /// Every value.
            pub const ALL: &[$name] = &[$($name::$variant),+];

            /// The label's text.
            pub fn as_str(self) -> &'static str {
                match self {$($name::$variant => $text,)+}
            }
        }
    };
}

label! {
    /// How a bid request was answered.
    Outcome {
        /// 200 with at least one bid.
        Bid = "bid",
        /// 204, or 200 with `nbr`: nothing to bid.
        NoBid = "no_bid",
        /// 204 unread, see [`Shed`].
        Shed = "shed",
        /// 204 because the answer would have been late.
        Deadline = "deadline",
        /// 400 or 415.
        BadRequest = "bad_request",
        /// 413.
        TooLarge = "too_large",
        /// 401, 403 or 404: not an exchange that we know.
        Unauthorized = "unauthorized",
        /// 204 after a caught panic.
        Error = "error",
    }
}

label! {
    /// Why a bid request was answered 204 without being read.
    Shed {
        /// Requests wait too long before they are looked at.
        Queue = "queue",
        /// Too many at once.
        InFlight = "in_flight",
        /// Over the exchange's requests a second.
        Qps = "qps",
        /// Over the exchange's value of open holds.
        OpenHolds = "open_holds",
        /// All bodies together take as much memory as they may.
        BodyMemory = "body_memory",
        /// The process is going down.
        Draining = "draining",
    }
}

label! {
    /// Why a bid request could not be read.
    ParseError {
        /// No JSON or protobuf.
        Syntax = "syntax",
        /// Nested too deep.
        Depth = "depth",
        /// Not UTF-8.
        Utf8 = "utf8",
        /// JSON, but no bid request.
        Shape = "shape",
        /// Over a limit.
        Limit = "limit",
        /// A content type or encoding that is not supported or does not inflate.
        Encoding = "encoding",
    }
}

/// The place of one exchange's counters, the same on every core; from `Metrics::exchange_slot`. The default is `other`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct ExchangeSlot(u8);

impl ExchangeSlot {
    pub(super) fn new(index: usize) -> ExchangeSlot {
        ExchangeSlot(u8::try_from(index).ok().filter(|i| usize::from(*i) < EXCHANGE_SLOTS).unwrap_or(0))
    }

    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The counters of one exchange on one core.
#[derive(Debug, Default)]
pub struct ExchangeCounts {
    outcomes: [Count; Outcome::ALL.len()],
    parse_errors: [Count; ParseError::ALL.len()],
    /// Bids sent.
    pub bids: Count,
}

impl ExchangeCounts {
    /// The counter of one kind of answer.
    #[inline]
    pub fn outcome(&self, outcome: Outcome) -> &Count {
        &self.outcomes[outcome as usize]
    }

    /// The counter of one kind of unreadable request.
    #[inline]
    pub fn parse_error(&self, kind: ParseError) -> &Count {
        &self.parse_errors[kind as usize]
    }
}

/// How often an impression had how many survivors: exact below 256, the last place counts all above.
#[derive(Debug)]
pub struct SurvivorCounts([Count; 257]);

impl SurvivorCounts {
    const fn new() -> SurvivorCounts {
        SurvivorCounts([const { Count(AtomicU64::new(0)) }; 257])
    }

    /// Counts one impression.
    #[inline]
    pub fn count(&self, survivors: u32) {
        self.0[survivors.min(256) as usize].inc();
    }

    /// How many impressions had each number.
    pub(super) fn add_to(&self, sums: &mut [u64; 257]) {
        sums.iter_mut().zip(&self.0).for_each(|(sum, count)| *sum += count.get());
    }
}

/// The counters of one serving core. Aligned, so that no two cores ever write to one cache line (or to a pair that
/// the processor fetches together).
#[derive(Debug)]
#[repr(align(128))]
pub struct CoreMetrics {
    exchanges: [ExchangeCounts; EXCHANGE_SLOTS],
    no_bids: [Count; NoBidReason::ALL.len()],
    shed: [Count; Shed::ALL.len()],
    /// By restriction, and last by none.
    restrictions: [Count; Restriction::ALL.len() + 1],
    /// US privacy strings that are none.
    pub us_privacy_ignored: Count,
    /// Panics that were caught.
    pub panics: Count,
    /// Records that found their ring full.
    pub dropped_events: Count,
    /// Holds that the core's leases had not enough for.
    pub refused_holds: Count,
    /// Line items that matched, by impression.
    pub survivors: SurvivorCounts,
    /// From the first byte seen to the answer written.
    pub bid_latency: Histogram,
    /// Parse, decide and respond.
    pub decision_latency: Histogram,
}

impl CoreMetrics {
    /// All zero.
    pub fn new() -> CoreMetrics {
        CoreMetrics {
            exchanges: array::from_fn(|_| ExchangeCounts::default()),
            no_bids: array::from_fn(|_| Count::default()),
            shed: array::from_fn(|_| Count::default()),
            restrictions: array::from_fn(|_| Count::default()),
            us_privacy_ignored: Count::default(),
            panics: Count::default(),
            dropped_events: Count::default(),
            refused_holds: Count::default(),
            survivors: SurvivorCounts::new(),
            bid_latency: Histogram::new(),
            decision_latency: Histogram::new(),
        }
    }

    /// The counters of one exchange.
    #[inline]
    pub fn exchange(&self, slot: ExchangeSlot) -> &ExchangeCounts {
        &self.exchanges[slot.index()]
    }

    /// The counter of one reason for not bidding.
    #[inline]
    pub fn no_bid(&self, reason: NoBidReason) -> &Count {
        &self.no_bids[reason as usize]
    }

    /// The counter of one answer of the privacy gate.
    #[inline]
    pub fn restriction(&self, restriction: Option<Restriction>) -> &Count {
        &self.restrictions[restriction.map_or(Restriction::ALL.len(), |restriction| restriction as usize)]
    }

    /// The counter of one reason for shedding.
    #[inline]
    pub fn shed(&self, reason: Shed) -> &Count {
        &self.shed[reason as usize]
    }
}

impl Default for CoreMetrics {
    fn default() -> Self {
        CoreMetrics::new()
    }
}
