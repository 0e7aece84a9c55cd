//! Between the two halves of a load run: whoever drives requests onto the wire and measures them, and whoever plays the
//! exchange behind it (auctions, notices, books).
//!
//! Invariant: nobody here does I/O or reads a clock. Times are distances from the start of the run; the driver says what
//! time it is, sends the notices that are due on connections of its own, and says what came of them.

use std::time::Duration;

/// A bid request that was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent<'s> {
    /// Which of the prepared bodies it was.
    pub(crate) body: u32,
    /// The `id` that was written into it; no two requests of a run have the same.
    pub(crate) request_id: &'s str,
}

/// What came back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered<'a> {
    /// HTTP status.
    pub(crate) status: u16,
    /// Body as it was sent, after any content encoding was undone.
    pub(crate) body: &'a [u8],
    /// Whether `body` is protobuf and not JSON.
    pub(crate) is_protobuf: bool,
    /// From the intended moment of the send to the last byte of the answer.
    pub(crate) latency: Duration,
}

/// A notice to be sent with GET to the tracking listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    /// Names it in [`Counterpart::noticed`]; no two of a run are the same.
    pub(crate) id: u64,
    /// Path and query.
    pub(crate) path: String,
}

/// What came of a notice.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome<'o> {
    /// It was answered; `class` is the header `x-outbid-notice`, or empty.
    Answered { status: u16, class: &'o str },
    /// The connection broke or nothing came in time: the server may have it or not.
    Unanswered,
}

/// Plays the exchange's side of a run.
pub(crate) trait Counterpart {
    /// An answer was read to its end; `now` is that moment.
    fn answered(&mut self, sent: &Sent<'_>, answer: &Answered<'_>, now: Duration);

    /// When the next notice wants to be sent; it may be in the past.
    fn next_due(&self) -> Option<Duration>;

    /// A notice whose time has come.
    fn take_due(&mut self, now: Duration) -> Option<Notice>;

    /// What came of a notice that was taken; it may become due once more.
    fn noticed(&mut self, id: u64, outcome: Outcome<'_>, now: Duration);
}
