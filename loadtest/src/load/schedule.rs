//! When requests are meant to be sent: a list of times that is drawn without looking at the answers.
//!
//! Invariant: the times never go back, and the same seed gives the same times. That nothing here knows how the server
//! does is what makes the loop open: a stalled server does not slow down who asks it (Tene, "How NOT to measure
//! latency"; Schroeder, Wierman, Harchol-Balter, "Open versus closed", NSDI 2006).

use crate::market::dice::Dice;
use std::collections::VecDeque;

/// Kind of the random stream.
const STREAM: u64 = u64::from_be_bytes(*b"arrivals");

/// How requests follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Arrivals {
    /// Independently: gaps are exponential, as many independent users make them.
    Poisson,
    /// Evenly.
    Constant,
}

/// A rate and how long it is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Phase {
    /// Requests a second, above 0.
    pub(crate) rate: f64,
    /// Nanoseconds.
    pub(crate) length_ns: u64,
}

/// Times of sending in nanoseconds from the start of a segment, in their order.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    source: Source,
    next: Option<u64>,
}

#[derive(Clone, Debug)]
enum Source {
    Rates(Rates),
    Times(VecDeque<u64>),
}

#[derive(Clone, Debug)]
struct Rates {
    arrivals: Arrivals,
    dice: Dice,
    phases: VecDeque<Phase>,
    /// Start of the first of `phases`.
    phase_start: u64,
    /// The last time that was drawn, as a fraction of a nanosecond matters at high rates.
    at: f64,
    /// Times of this phase so far.
    drawn: u64,
}

impl Schedule {
    /// Phases of a steady rate, one after the other.
    pub(crate) fn of_rates(arrivals: Arrivals, seed: u64, phases: &[Phase]) -> Schedule {
        let rates = Rates {
            arrivals,
            dice: Dice::new(seed, STREAM, 0),
            phases: phases.iter().copied().collect(),
            phase_start: 0,
            at: 0.0,
            drawn: 0,
        };
        Schedule::start(Source::Rates(rates))
    }

    /// Recorded times; they are put in order.
    pub(crate) fn of_times(mut times: Vec<u64>) -> Schedule {
        times.sort_unstable();
        Schedule::start(Source::Times(times.into()))
    }

    fn start(source: Source) -> Schedule {
        let mut schedule = Schedule { source, next: None };
        schedule.pop();
        schedule
    }

    /// The next time; `None` at the end.
    pub(crate) fn peek(&self) -> Option<u64> {
        self.next
    }

    /// Goes on to the time after it.
    pub(crate) fn pop(&mut self) {
        self.next = match &mut self.source {
            Source::Rates(rates) => rates.draw(),
            Source::Times(times) => times.pop_front(),
        };
    }
}

impl Rates {
    fn draw(&mut self) -> Option<u64> {
        loop {
            let phase = *self.phases.front()?;
            let gap = 1e9 / phase.rate;
            let at = match self.arrivals {
                Arrivals::Poisson => self.at - (1.0 - self.dice.unit()).ln() * gap,
                Arrivals::Constant => self.phase_start as f64 + self.drawn as f64 * gap,
            };
            let end = self.phase_start + phase.length_ns;
            if at < end as f64 {
                self.at = at;
                self.drawn += 1;
                return Some(at as u64);
            }
            // Exponential gaps have no memory, so the next phase may start anew at its beginning.
            self.phases.pop_front();
            (self.phase_start, self.at, self.drawn) = (end, end as f64, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn times(mut schedule: Schedule) -> Vec<u64> {
        let mut times = Vec::new();
        while let Some(time) = schedule.peek() {
            times.push(time);
            schedule.pop();
        }
        times
    }

    fn phases(of: &[(f64, u64)]) -> Vec<Phase> {
        of.iter().map(|(rate, seconds)| Phase { rate: *rate, length_ns: seconds * SECOND }).collect()
    }

    #[test]
    fn constant_arrivals_are_evenly_spaced_in_every_phase() {
        let all = times(Schedule::of_rates(Arrivals::Constant, 1, &phases(&[(3.0, 1), (10.0, 2)])));
        assert_eq!(all.len(), 23);
        assert_eq!(all[..4], [0, SECOND / 3, 2 * SECOND / 3, SECOND]);
        assert!(all[3..].windows(2).all(|pair| pair[1] - pair[0] == SECOND / 10));
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_spread_of_their_kind() {
        let draw = |seed| times(Schedule::of_rates(Arrivals::Poisson, seed, &phases(&[(1e4, 2), (1e5, 1)])));
        let all = draw(7);
        assert_eq!(all, draw(7));
        assert_ne!(all, draw(8));
        assert!(all.is_sorted());
        let (slow, fast) = all.split_at(all.partition_point(|time| *time < 2 * SECOND));
        // Five standard deviations of a Poisson count.
        assert!((slow.len() as f64 - 2e4).abs() < 5.0 * 2e4_f64.sqrt(), "{}", slow.len());
        assert!((fast.len() as f64 - 1e5).abs() < 5.0 * 1e5_f64.sqrt(), "{}", fast.len());
        // A gap longer than the mean has probability 1/e.
        let long = slow.windows(2).filter(|pair| pair[1] - pair[0] > SECOND / 10_000).count() as f64;
        let share = long / slow.len() as f64;
        assert!((share - (-1.0_f64).exp()).abs() < 0.02, "{share}");
    }

    #[test]
    fn recorded_times_are_put_in_order() {
        assert_eq!(times(Schedule::of_times(vec![5, 1, 3, 3])), [1, 3, 3, 5]);
        assert!(times(Schedule::of_times(Vec::new())).is_empty());
    }
}
