//! What stands between a core and an exchange: the ear clock that its holds expire by, the limits that the house set
//! itself (money.md 2.6), and the kill switch (2.7). Written by the ledger, read by every core with plain loads.
//!
//! Silence counts as loss only while we would have heard: the ear clock runs only while notices are accepted, read
//! and made durable and no breaker has tripped. A stopped process, a full disk, a dead tracking listener and a deaf
//! exchange are thereby one rule: no hold expires.

use crate::model::clock::Now;
use crate::model::ids::ExchangeId;
use crate::model::token::HoldFormat;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

/// A tick of the ear clock adds at most this much, however long the process stood still.
const MAX_TICK_NS: u64 = 100_000_000;
/// The tracking listener counts as dead when it was not heard of for this long.
const MAX_SILENCE_NS: u64 = 1_000_000_000;
/// While an exchange is only probed it gets one bid in so many, or one a second if that is more.
const PROBE_EVERY: u64 = 100;
const PROBE_NS: u64 = 1_000_000_000;

/// Whether an exchange may be sent bids.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
#[repr(u8)]
pub enum GateState {
    /// As many as the money allows.
    #[default]
    Open = 0,
    /// Only enough to find out whether its notices come through again.
    Probing = 1,
    /// None: a kill switch.
    Stopped = 2,
}

impl GateState {
    /// The name in metrics and in `ledger show`.
    pub fn as_str(self) -> &'static str {
        match self {
            GateState::Open => "open",
            GateState::Probing => "probing",
            GateState::Stopped => "stopped",
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Gate {
    /// Whose.
    pub exchange: ExchangeId,
    state: AtomicU8,
    heard_ns: AtomicU64,
    /// Holds ever made, and their sum in units.
    bids: AtomicU64,
    held_units: AtomicI64,
    /// It never billed: only so much may be held for it, ever.
    on_trial: AtomicBool,
    trial_units: AtomicI64,
    /// Holds of each format live at least so long, because its bills come late.
    min_life_s: [AtomicU32; HoldFormat::COUNT],
    tried: AtomicU64,
    next_probe_ns: AtomicU64,
}

impl Gate {
    fn new(exchange: ExchangeId, heard_ns: u64) -> Gate {
        Gate {
            exchange,
            state: AtomicU8::new(GateState::Open as u8),
            heard_ns: AtomicU64::new(heard_ns),
            bids: AtomicU64::new(0),
            held_units: AtomicI64::new(0),
            on_trial: AtomicBool::new(false),
            trial_units: AtomicI64::new(0),
            min_life_s: Default::default(),
            tried: AtomicU64::new(0),
            next_probe_ns: AtomicU64::new(0),
        }
    }

    /// Whether bids may be sent.
    pub fn state(&self) -> GateState {
        match self.state.load(Relaxed) {
            0 => GateState::Open,
            1 => GateState::Probing,
            _ => GateState::Stopped,
        }
    }

    pub(super) fn set_state(&self, state: GateState) {
        self.state.store(state as u8, Relaxed);
    }

    /// Seconds heard since the start: what slots of holds are named by.
    pub fn ear_s(&self) -> u32 {
        (self.heard_ns.load(Relaxed) / 1_000_000_000) as u32
    }

    /// How long a hold of this format lives at least, in seconds.
    pub fn min_life_s(&self, format: HoldFormat) -> u32 {
        self.min_life_s[format as usize].load(Relaxed)
    }

    pub(super) fn set_min_life_s(&self, format: usize, seconds: u32) {
        self.min_life_s[format].store(seconds, Relaxed);
    }

    /// Holds ever made, and their sum in units.
    pub(super) fn held(&self) -> (u64, i64) {
        (self.bids.load(Relaxed), self.held_units.load(Relaxed))
    }

    /// Whether one more bid may be sent now. A probe is used up by asking.
    pub(super) fn admits(&self, now: Now) -> bool {
        match self.state() {
            GateState::Open => true,
            GateState::Stopped => false,
            GateState::Probing => {
                let next = self.next_probe_ns.load(Relaxed);
                let due = now.mono_ns >= next;
                let claim = |at| self.next_probe_ns.compare_exchange(next, at, Relaxed, Relaxed).is_ok();
                self.tried.fetch_add(1, Relaxed).is_multiple_of(PROBE_EVERY)
                    || (due && claim(now.mono_ns + PROBE_NS))
            }
        }
    }

    /// Counts a hold of `units`; false where the exchange is on trial and that is more than it is trusted with.
    pub(super) fn count(&self, units: i64) -> bool {
        if self.on_trial.load(Relaxed) {
            let spend = |left: i64| (left >= units).then(|| left - units);
            if self.trial_units.fetch_update(Relaxed, Relaxed, spend).is_err() {
                return false;
            }
        }
        self.bids.fetch_add(1, Relaxed);
        self.held_units.fetch_add(units, Relaxed);
        true
    }

    pub(super) fn set_on_trial(&self, on_trial: bool) {
        self.on_trial.store(on_trial, Relaxed);
    }

    pub(super) fn add_trial(&self, units: i64) {
        self.trial_units.fetch_add(units, Relaxed);
    }

    /// What is left of the trust; `None` once it has billed.
    pub fn trial_left(&self) -> Option<i64> {
        self.on_trial.load(Relaxed).then(|| self.trial_units.load(Relaxed))
    }
}

/// The gates of all exchanges, and what their ear clocks share.
#[derive(Debug, Default)]
pub struct Gates {
    gates: RwLock<BTreeMap<ExchangeId, Arc<Gate>>>,
    /// Heard by the process: where the ear clock of an exchange that is new begins.
    heard_ns: AtomicU64,
    listener_ns: AtomicU64,
    last_tick_ns: AtomicU64,
}

impl Gates {
    /// The gate of an exchange, open until somebody says otherwise.
    pub fn gate(&self, exchange: ExchangeId) -> Arc<Gate> {
        if let Some(gate) = self.gates.read().get(&exchange) {
            return Arc::clone(gate);
        }
        let mut gates = self.gates.write();
        let heard_ns = self.heard_ns.load(Relaxed);
        Arc::clone(gates.entry(exchange).or_insert_with(|| Arc::new(Gate::new(exchange, heard_ns))))
    }

    /// Moves the ear clocks, but for those of exchanges that are `deaf`.
    pub(super) fn hear_for(&self, elapsed_ns: u64, deaf: impl Fn(&Gate) -> bool) {
        let gates = self.gates.read();
        self.heard_ns.fetch_add(elapsed_ns, Relaxed);
        for gate in gates.values().filter(|gate| !deaf(gate)) {
            gate.heard_ns.fetch_add(elapsed_ns, Relaxed);
        }
    }

    /// Seconds heard of the exchange that was heard least.
    pub(super) fn least_ear_s(&self) -> u32 {
        let all = (self.heard_ns.load(Relaxed) / 1_000_000_000) as u32;
        self.gates.read().values().map(|gate| gate.ear_s()).min().unwrap_or(all)
    }

    /// The sum of all ear clocks, in seconds: none of them goes back, so it stands still only as long as all of them do.
    pub(super) fn ears_s(&self) -> u64 {
        self.gates.read().values().map(|gate| u64::from(gate.ear_s())).sum()
    }

    /// Every gate, in the order of the exchanges.
    pub fn all(&self) -> Vec<Arc<Gate>> {
        self.gates.read().values().cloned().collect()
    }

    /// The clocks begin at `now`.
    pub(super) fn start(&self, now: Now) {
        self.last_tick_ns.store(now.mono_ns, Relaxed);
        self.hear(now);
    }

    /// What has passed since the last tick, all of it heard.
    pub(super) fn pass_ns(&self, now: Now) -> u64 {
        now.mono_ns.saturating_sub(self.last_tick_ns.swap(now.mono_ns, Relaxed))
    }

    /// The tracking listener lives: called by its own thread, several times a second.
    pub fn hear(&self, now: Now) {
        self.listener_ns.store(now.mono_ns, Relaxed);
    }

    /// What a tick at `now` adds to the ear clocks. `durable` says whether notices can be written, and were read
    /// without lag. Called by the writer alone.
    pub(super) fn tick_ns(&self, now: Now, durable: bool) -> u64 {
        let last = self.last_tick_ns.swap(now.mono_ns, Relaxed);
        let dead = now.mono_ns.saturating_sub(self.listener_ns.load(Relaxed)) > MAX_SILENCE_NS;
        if durable && !dead { now.mono_ns.saturating_sub(last).min(MAX_TICK_NS) } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Now {
        Now { mono_ns: ms * 1_000_000, unix_ms: 0 }
    }

    #[test]
    fn the_ear_clock_stands_still_while_nothing_can_be_heard() {
        let gates = Gates::default();
        let heard_ns = |from: u64, to: u64, durable: bool, listening: bool| -> u64 {
            let ticks = (from..to).step_by(50).map(|ms| {
                if listening {
                    gates.hear(at(ms));
                }
                gates.tick_ns(at(ms), durable)
            });
            ticks.sum()
        };
        assert_eq!(heard_ns(0, 5_000, true, true), 4_950_000_000);
        assert_eq!(heard_ns(5_000, 9_000, false, true), 0);
        // A stopped process: one tick after 30 s adds a tenth of a second at most.
        gates.hear(at(40_000));
        assert_eq!(gates.tick_ns(at(40_000), true), MAX_TICK_NS);
        // A dead listener is believed in for a second.
        assert!(heard_ns(40_000, 50_000, true, false) <= 1_050_000_000);
    }

    #[test]
    fn probes_are_one_a_second_or_one_in_a_hundred() {
        let gate = Gates::default().gate(ExchangeId(1));
        assert!((0..1_000).all(|_| gate.admits(at(0))));
        gate.set_state(GateState::Probing);
        let slow = (0..100).filter(|s| gate.admits(at(1_000 * s + 5_000))).count();
        assert!((99..=101).contains(&slow), "{slow}");
        let fast = (0..100_000).filter(|_| gate.admits(at(200_000))).count();
        assert!((1_000..=1_001).contains(&fast), "{fast}");
        gate.set_state(GateState::Stopped);
        assert!(!gate.admits(at(900_000)));
    }

    #[test]
    fn trust_is_used_up_by_every_hold_whatever_becomes_of_it() {
        let gate = Gates::default().gate(ExchangeId(1));
        gate.set_on_trial(true);
        gate.add_trial(25);
        assert_eq!((0..10).filter(|_| gate.count(10)).count(), 2);
        assert_eq!((gate.trial_left(), gate.held()), (Some(5), (2, 20)));
        gate.set_on_trial(false);
        assert!(gate.count(10) && gate.trial_left().is_none());
    }
}
