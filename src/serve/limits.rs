//! Limits of the edge: connections in all and per peer, requests a second per exchange, and overload seen as the time
//! that ready work waits.

use parking_lot::Mutex;
use std::cell::Cell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// Open connections of one listener.
#[derive(Debug)]
pub(super) struct Connections {
    open: AtomicUsize,
    max: usize,
    max_per_ip: usize,
    by_ip: Mutex<HashMap<IpAddr, usize>>,
    refused: Refused,
    gauge: metrics::Gauge,
}

/// Where refused connections are counted.
#[derive(Debug)]
pub(super) struct Refused {
    /// Too many in all.
    pub(super) total: metrics::Counter,
    /// Too many of one peer.
    pub(super) per_ip: metrics::Counter,
}

/// Holds a connection's place until it ends.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    connections: Arc<Connections>,
    ip: IpAddr,
}

impl Connections {
    pub(super) fn new(
        max: usize,
        max_per_ip: usize,
        refused: Refused,
        gauge: metrics::Gauge,
    ) -> Arc<Connections> {
        let (open, by_ip) = (AtomicUsize::new(0), Mutex::default());
        Arc::new(Connections { open, max, max_per_ip, by_ip, refused, gauge })
    }

    /// A place for a connection from `ip`, or `None` when it must be closed.
    pub(super) fn admit(self: &Arc<Self>, ip: IpAddr) -> Option<ConnectionSlot> {
        if self.open.load(Relaxed) >= self.max {
            self.refused.total.increment(1);
            return None;
        }
        let mut by_ip = self.by_ip.lock();
        let count = by_ip.entry(ip).or_insert(0);
        if *count >= self.max_per_ip {
            self.refused.per_ip.increment(1);
            return None;
        }
        *count += 1;
        self.gauge.set(self.open.fetch_add(1, Relaxed) as f64 + 1.0);
        Some(ConnectionSlot { connections: Arc::clone(self), ip })
    }

    /// How many are open.
    pub(super) fn open(&self) -> usize {
        self.open.load(Relaxed)
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let connections = &self.connections;
        let mut by_ip = connections.by_ip.lock();
        if let Some(count) = by_ip.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                by_ip.remove(&self.ip);
            }
        }
        connections.gauge.set(connections.open.fetch_sub(1, Relaxed) as f64 - 1.0);
    }
}

/// A place among the requests in flight; given back on drop, also when the request is cancelled.
#[derive(Debug)]
pub(super) struct InFlight<'s>(&'s AtomicUsize);

impl<'s> InFlight<'s> {
    pub(super) fn enter(count: &'s AtomicUsize, max: usize) -> Option<InFlight<'s>> {
        let before = count.fetch_add(1, Relaxed);
        let place = InFlight(count);
        (before < max).then_some(place)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Memory of bodies that come in more than one piece, over all threads.
#[derive(Debug)]
pub(super) struct BodyRoom {
    used: AtomicUsize,
    max: usize,
}

/// So much of it; given back on drop, also when the request is cancelled.
#[derive(Debug)]
pub(super) struct BodyPlace<'r>(&'r BodyRoom, usize);

impl BodyRoom {
    /// Room for `max` bytes.
    pub(super) fn new(max: usize) -> BodyRoom {
        BodyRoom { used: AtomicUsize::new(0), max }
    }

    /// A place of no bytes, to grow.
    pub(super) fn place(&self) -> BodyPlace<'_> {
        BodyPlace(self, 0)
    }
}

impl BodyPlace<'_> {
    /// Makes it `bytes` long; false, and as it was, where there is no room.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.1);
        if self.0.used.fetch_add(more, Relaxed).saturating_add(more) > self.0.max {
            self.0.used.fetch_sub(more, Relaxed);
            return false;
        }
        self.1 += more;
        true
    }
}

impl Drop for BodyPlace<'_> {
    fn drop(&mut self) {
        self.0.used.fetch_sub(self.1, Relaxed);
    }
}

/// Overload of one core. A heartbeat measures how late ready work is looked at, as CoDel measures the sojourn time of a queue
/// (Nichols and Jacobson 2012): one late beat is a burst, late beats for a whole window are overload. From then on a share of the
/// requests is answered unread, which grows with the lateness from nothing at the target to all at twice the target, as RED drops
/// (Floyd and Jacobson 1993). All or nothing would swing: a refusal costs a third of a bid, so while everything is refused the
/// queue empties at once, and what could have been answered in time is gone.
#[derive(Debug)]
pub(super) struct Overload {
    target_ns: u64,
    window_ns: u64,
    late_since_ns: Cell<Option<u64>>,
    /// How late the last beat came; 0 while there is no overload.
    waited_ns: Cell<u64>,
    /// What is owed of a refusal, in millionths.
    owed_ppm: Cell<u64>,
}

impl Overload {
    /// A core that is not overloaded.
    pub(super) fn new(target: Duration, window: Duration) -> Overload {
        let ns = |span: Duration| span.as_nanos() as u64;
        Overload {
            target_ns: ns(target),
            window_ns: ns(window),
            late_since_ns: Cell::default(),
            waited_ns: Cell::default(),
            owed_ppm: Cell::default(),
        }
    }

    /// Records one heartbeat that came `lag_ns` late at `now_ns`.
    pub(super) fn beat(&self, now_ns: u64, lag_ns: u64) {
        let late = lag_ns > self.target_ns;
        let since = self.late_since_ns.get().unwrap_or(now_ns.saturating_sub(lag_ns));
        self.late_since_ns.set(late.then_some(since));
        let is_overload = late && now_ns.saturating_sub(since) >= self.window_ns;
        self.waited_ns.set(if is_overload { lag_ns } else { 0 });
    }

    /// How long requests wait before they are looked at, in nanoseconds; 0 without overload.
    pub(super) fn waited_ns(&self) -> u64 {
        self.waited_ns.get()
    }

    /// Whether the request that comes now must be shed.
    pub(super) fn sheds(&self) -> bool {
        const ALL: u64 = 1_000_000;
        let beyond_ns = self.waited_ns.get().saturating_sub(self.target_ns).min(self.target_ns);
        let owed = self.owed_ppm.get() + beyond_ns * ALL / self.target_ns;
        self.owed_ppm.set(if owed >= ALL { owed - ALL } else { owed });
        owed >= ALL
    }
}

/// A token bucket of requests a second, on one core.
#[derive(Debug)]
pub(super) struct RateCap {
    /// Micro-requests that may still pass.
    tokens: u64,
    last_ns: u64,
}

impl Default for RateCap {
    /// A full bucket: the first requests after a start are not too many.
    fn default() -> RateCap {
        RateCap { tokens: u64::MAX, last_ns: 0 }
    }
}

impl RateCap {
    /// Whether one more request may pass under `per_second` on this core; a burst of 100 ms is allowed.
    pub(super) fn allow(&mut self, now_ns: u64, per_second: u64) -> bool {
        const REQUEST: u64 = 1_000_000;
        let burst = (per_second / 10).max(1) * REQUEST;
        let elapsed_us = now_ns.saturating_sub(self.last_ns) / 1_000;
        let earned = elapsed_us.saturating_mul(per_second);
        if elapsed_us > 0 {
            self.last_ns = now_ns;
        }
        self.tokens = self.tokens.saturating_add(earned).min(burst);
        let allowed = self.tokens >= REQUEST;
        self.tokens -= if allowed { REQUEST } else { 0 };
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_late_beat_is_a_burst_and_a_late_window_is_overload() {
        let ms = 1_000_000;
        let overload = Overload::new(Duration::from_millis(2), Duration::from_millis(20));
        let shed = || (0..1_000).filter(|_| overload.sheds()).count();
        overload.beat(5 * ms, 4 * ms);
        assert_eq!((shed(), overload.waited_ns()), (0, 0));
        overload.beat(22 * ms, 5 * ms);
        assert_eq!((shed(), overload.waited_ns()), (1_000, 5 * ms));
        overload.beat(23 * ms, 0);
        assert_eq!((shed(), overload.waited_ns()), (0, 0));
    }

    #[test]
    fn more_is_shed_the_later_work_is_looked_at() {
        let overload = Overload::new(Duration::from_millis(20), Duration::from_millis(1));
        for (lag_us, expected) in [(20_000, 0), (21_000, 50), (30_000, 500), (39_000, 950), (90_000, 1_000)] {
            overload.beat(10_000_000_000, lag_us * 1_000);
            let shed = (0..1_000).filter(|_| overload.sheds()).count();
            assert!(shed.abs_diff(expected) <= 1, "{shed} of 1,000 at {lag_us} µs");
        }
    }

    #[test]
    fn bodies_share_their_room_and_give_it_back() {
        let room = BodyRoom::new(10);
        let (mut one, mut other) = (room.place(), room.place());
        assert!(one.grow(6) && other.grow(4) && !other.grow(5) && one.grow(6));
        drop(one);
        assert!(other.grow(10) && !other.grow(11));
        drop(other);
        assert!(room.place().grow(10));
        assert_eq!(room.used.load(Relaxed), 0);
    }

    #[test]
    fn the_rate_cap_lets_its_rate_through_and_no_more() {
        let mut cap = RateCap::default();
        let passed = (0..20_000u64).filter(|i| cap.allow(1_000_000_000 + i * 100_000, 1_000)).count();
        assert!((1_950..=2_150).contains(&passed), "{passed} of 2 s at 1,000 a second");
        let mut slow = RateCap::default();
        assert_eq!((0..10).map(|us| slow.allow(us * 1_000, 1)).filter(|allowed| *allowed).count(), 1);
    }
}
