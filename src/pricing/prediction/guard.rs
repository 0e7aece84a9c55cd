//! Progressive validation (Blum, Kalai and Langford, COLT'99): each event is predicted before it is learned, by the learner
//! and by the model that serves. A snapshot is refused whose normalised entropy over the last events is more than 1 % above
//! that of the model that serves; the first one, where it is more than 1 % above that of predicting the mean rate.

use super::bytes::{DamagedBytes, Reader, Writer};
use super::measure::entropy;
use std::collections::VecDeque;

/// A snapshot may be so much worse.
const TOLERANCE: f64 = 1.01;
/// Fewer events or clicks than these say nothing.
const LEAST_EVENTS: usize = 1_000;
const LEAST_CLICKS: f64 = 10.0;

/// Losses of one event.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Event {
    candidate: f32,
    /// `None` = nothing served: the loss of the mean rate, which is known at the end only.
    served: Option<f32>,
    clicks: f32,
    shown: f32,
}

/// What a guard says of a snapshot.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Verdict {
    /// Normalised entropy of what would be published.
    pub candidate: f64,
    /// Normalised entropy of what serves, on the same events; 1 where nothing does.
    pub served: f64,
    /// Events that both were judged by.
    pub events: usize,
    /// Whether there were enough of them to say anything.
    pub is_enough: bool,
    /// Whether it may be published.
    pub accepted: bool,
}

/// Judges snapshots by the last events.
#[derive(Clone, PartialEq, Debug)]
pub struct Guard {
    recent: VecDeque<Event>,
    capacity: usize,
}

impl Guard {
    /// Judges by so many events.
    pub fn new(capacity: usize) -> Guard {
        Guard { recent: VecDeque::new(), capacity: capacity.max(1) }
    }

    /// Takes the predictions of an event, made before it was learned, and its outcome: `shown` impressions, all clicked or
    /// none.
    pub fn add(&mut self, candidate: f64, served: Option<f64>, clicked: bool, shown: f64) {
        if self.recent.len() == self.capacity {
            self.recent.pop_front();
        }
        let loss = |p: f64| (super::measure::loss(p, clicked) * shown) as f32;
        self.recent.push_back(Event {
            candidate: loss(candidate),
            served: served.map(loss),
            clicks: if clicked { shown as f32 } else { 0.0 },
            shown: shown as f32,
        });
    }

    /// Judges what would be published now.
    pub fn judge(&self) -> Verdict {
        let sum = |part: fn(&Event) -> f32| self.recent.iter().map(|e| f64::from(part(e))).sum::<f64>();
        let (shown, clicks) = (sum(|e| e.shown), sum(|e| e.clicks));
        let mean = entropy(clicks / shown.max(f64::MIN_POSITIVE));
        let served = |e: &Event| e.served.map_or(f64::from(e.shown) * mean, f64::from);
        let served = self.recent.iter().map(served).sum::<f64>() / (shown * mean);
        let candidate = sum(|e| e.candidate) / (shown * mean);
        let events = self.recent.len();
        let is_enough = events >= LEAST_EVENTS.min(self.capacity) && clicks >= LEAST_CLICKS && mean > 0.0;
        // A comparison with what is no number is false: it is refused.
        let accepted = is_enough && candidate <= served * TOLERANCE;
        Verdict { candidate, served, events, is_enough, accepted }
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.u32(self.recent.len() as u32);
        for event in &self.recent {
            out.f32(event.candidate);
            out.f32(event.served.unwrap_or(-1.0));
            out.f32(event.clicks);
            out.f32(event.shown);
        }
    }

    pub(super) fn read(mut self, input: &mut Reader<'_>) -> Result<Guard, DamagedBytes> {
        for _ in 0..input.count(16)? {
            let [candidate, served, clicks, shown] = [input.f32()?, input.f32()?, input.f32()?, input.f32()?];
            let served = (served >= 0.0).then_some(served);
            self.recent.push_back(Event { candidate, served, clicks, shown });
        }
        if self.recent.len() > self.capacity {
            return Err(input.wrong("more events than there is room for"));
        }
        Ok(self)
    }
}
