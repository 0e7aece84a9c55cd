//! The view of a run while it runs, on standard error: on a terminal lines that are drawn over, otherwise a plain line
//! now and then.
//!
//! Written by hand and not with a crate for progress bars: three lines of figures are no bar, and drawing must cost the
//! generator's core next to nothing.

use crate::load::measure::Measured;
use crate::load::slo::show_us;
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// Between two drawings on a terminal, and elsewhere.
const REDRAW: Duration = Duration::from_millis(500);
const LINE: Duration = Duration::from_secs(10);

/// Draws.
#[derive(Debug)]
pub(crate) struct Live {
    is_quiet: bool,
    is_terminal: bool,
    name: String,
    warm_up: Duration,
    total: Duration,
    next: Duration,
    /// At the last drawing: when, answers, offered.
    last: (Duration, u64, u64),
    /// Lines on the terminal that the next drawing replaces.
    drawn: usize,
}

impl Live {
    /// Nothing is drawn if `is_quiet`.
    pub(crate) fn new(is_quiet: bool) -> Live {
        Live {
            is_quiet,
            is_terminal: std::io::stderr().is_terminal(),
            name: String::new(),
            warm_up: Duration::ZERO,
            total: Duration::ZERO,
            next: Duration::ZERO,
            last: (Duration::ZERO, 0, 0),
            drawn: 0,
        }
    }

    /// A segment begins.
    pub(crate) fn begin(&mut self, name: &str, warm_up: Duration, length: Duration) {
        name.clone_into(&mut self.name);
        (self.warm_up, self.total) = (warm_up, warm_up + length);
        self.next = if self.is_terminal { Duration::ZERO } else { LINE };
        self.last = (warm_up, 0, 0);
    }

    /// A line that stays.
    pub(crate) fn say(&mut self, line: &str) {
        if !self.is_quiet {
            self.write(&format!("{line}\n"), 0);
        }
    }

    /// Draws if it is time.
    pub(crate) fn show(&mut self, at: Duration, so_far: &Measured, in_flight: usize) {
        if self.is_quiet || at < self.next {
            return;
        }
        self.next = at + if self.is_terminal { REDRAW } else { LINE };
        let (lines, text) = self.text(at, so_far, in_flight);
        self.last = (at, so_far.answers(), so_far.offered);
        self.write(&text, lines);
    }

    /// The segment is over.
    pub(crate) fn end(&mut self) {
        if !self.is_quiet && self.is_terminal {
            self.write("", 0);
        }
    }

    fn text(&self, at: Duration, so_far: &Measured, in_flight: usize) -> (usize, String) {
        let (seconds, total) = (at.as_secs_f64(), self.total.as_secs_f64());
        if at < self.warm_up {
            return (1, format!("{}  warming up  {seconds:.1} of {total:.1} s\n", self.name));
        }
        let (then, answers, offered) = self.last;
        let since = at.saturating_sub(then).as_secs_f64().max(1e-3);
        let rate = |now: u64, before: u64| (now - before) as f64 / since;
        let of = |quantile| show_us(so_far.latency_us(quantile));
        let errors: Vec<String> =
            so_far.errors.iter().map(|(kind, count)| format!("{} {count}", kind.name())).collect();
        let errors = if errors.is_empty() { "none".to_owned() } else { errors.join(", ") };
        let head = format!(
            "{}  {seconds:.1} of {total:.1} s  offered {:.0}/s  answered {:.0}/s  in flight {in_flight}  bids {:.1} %",
            self.name,
            rate(so_far.offered, offered),
            rate(so_far.answers(), answers),
            100.0 * so_far.bid_rate(),
        );
        let latency = format!(
            "p50 {}  p90 {}  p99 {}  p99.9 {}  max {}",
            of(0.5),
            of(0.9),
            of(0.99),
            of(0.999),
            of(1.0)
        );
        let faults = format!("errors {errors}  late sends {}", so_far.late_sends);
        match self.is_terminal {
            true => (3, format!("{head}\n  {latency}\n  {faults}\n")),
            false => (1, format!("{head}  {latency}  {faults}\n")),
        }
    }

    fn write(&mut self, text: &str, lines: usize) {
        let mut err = std::io::stderr().lock();
        let wipe = match (self.is_terminal, self.drawn) {
            // Up so many lines, and clear to the end of the screen.
            (true, drawn @ 1..) => format!("\x1b[{drawn}A\x1b[J"),
            _ => String::new(),
        };
        // Nothing is left to be done if standard error is closed.
        let _ = write!(err, "{wipe}{text}");
        self.drawn = if self.is_terminal { lines } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::measure::{ErrorKind, Moments, Recorder, Verdict};

    #[test]
    fn the_view_says_what_was_asked_answered_and_missed() {
        let second = Duration::from_secs(1);
        let mut recorder = Recorder::new(Duration::ZERO, second, second, false);
        for intended in [0, 1_000] {
            recorder.offered(intended);
            recorder.sent(intended, 0, intended, 10);
        }
        let moments = Moments { intended: 0, sent: 0, done: 2_000_000 };
        recorder.answered(moments, 200, 5, Verdict::Bid, 1);
        recorder.failed(1_000, Some(1_000), 5_001_000, ErrorKind::Timeout);
        let mut live = Live { is_terminal: true, ..Live::new(false) };
        live.begin("rate", Duration::ZERO, second);
        let (lines, text) = live.text(second, recorder.so_far(), 3);
        assert_eq!(lines, text.lines().count());
        for part in
            ["rate", "offered 2/s", "answered 1/s", "in flight 3", "bids 100.0 %", "timeout 1", "2.00 ms"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        live.begin("rate", second, second);
        assert!(live.text(Duration::ZERO, recorder.so_far(), 0).1.contains("warming up"));
    }
}
