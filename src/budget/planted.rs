//! A dozen bugs that this ledger could have had, planted on purpose: a simulator that does not find them would not
//! find others (trials.md section 9). Without the feature `planted-bugs` none of them exists: [`is`] is a constant.

/// A bug that can be planted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Bug {
    /// A bid is charged as often as it is billed.
    NoDedup = 1,
    /// A recall takes what other counters say is free.
    FreeFromCounters,
    /// What a bill leaves of its hold is free before the bill is durable.
    FreeBeforeSync,
    /// A duplicate is answered before the first is durable.
    EarlyDuplicate,
    /// A checkpoint copies what is not durable yet.
    MarksInCheckpoint,
    /// A loss gives back the hold of a bid that was charged.
    LossAfterBill,
    /// What is in doubt comes back while bills may still come.
    EarlyRelease,
    /// A hold is for what the bid is expected to cost.
    HoldExpected,
    /// Days end at midnight in Greenwich.
    WrongMidnight,
    /// A restart forgets which bids are forgotten.
    NoHorizon,
    /// A restart goes on in the epoch of the process before.
    SameEpoch,
    /// Holds expire while nobody can be heard.
    DeafExpiry,
}

impl Bug {
    /// Every bug.
    pub const ALL: [Bug; 12] = [
        Bug::NoDedup,
        Bug::FreeFromCounters,
        Bug::FreeBeforeSync,
        Bug::EarlyDuplicate,
        Bug::MarksInCheckpoint,
        Bug::LossAfterBill,
        Bug::EarlyRelease,
        Bug::HoldExpected,
        Bug::WrongMidnight,
        Bug::NoHorizon,
        Bug::SameEpoch,
        Bug::DeafExpiry,
    ];

    /// The name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Bug::NoDedup => "no-dedup",
            Bug::FreeFromCounters => "free-from-counters",
            Bug::FreeBeforeSync => "free-before-sync",
            Bug::EarlyDuplicate => "early-duplicate",
            Bug::MarksInCheckpoint => "marks-in-checkpoint",
            Bug::LossAfterBill => "loss-after-bill",
            Bug::EarlyRelease => "early-release",
            Bug::HoldExpected => "hold-expected",
            Bug::WrongMidnight => "wrong-midnight",
            Bug::NoHorizon => "no-horizon",
            Bug::SameEpoch => "same-epoch",
            Bug::DeafExpiry => "deaf-expiry",
        }
    }
}

#[cfg(feature = "planted-bugs")]
static PLANTED: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);

/// Plants a bug into the whole process, or takes it out.
#[cfg(feature = "planted-bugs")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.store(bug.map_or(0, |bug| bug as u8), std::sync::atomic::Ordering::SeqCst);
}

/// Whether a bug is planted.
#[cfg(feature = "planted-bugs")]
pub(super) fn is(bug: Bug) -> bool {
    PLANTED.load(std::sync::atomic::Ordering::Relaxed) == bug as u8
}

/// Whether a bug is planted: never, without the feature.
#[cfg(not(feature = "planted-bugs"))]
pub(super) const fn is(_bug: Bug) -> bool {
    false
}
