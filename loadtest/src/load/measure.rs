//! What is counted of a segment of a run: how much was asked, what came back, how long it took.
//!
//! Latencies are kept twice: from the intended moment of a request's sending, which is what an exchange feels, and from
//! the actual one, which is what is usually measured and forgets everything that waited for a stalled server. A request
//! without an answer counts with the time that was waited for it, so that failing does not make percentiles better.
//!
//! Invariant: only requests whose intended time lies behind the warm-up are counted.

use super::wire::Fault;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2Serializer};
use std::collections::BTreeMap;
use std::time::Duration;

/// A longer latency counts as this.
const MAX_LATENCY_NS: u64 = 60_000_000_000;

/// A request that leaves later than this after it could have left is late by the generator's own fault.
pub(crate) const LATE_NS: u64 = 1_000_000;

/// Why a request was not answered as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ErrorKind {
    /// Sent, and not answered in time.
    Timeout,
    /// No connection became free in time, so it was never sent.
    Unsent,
    /// The connection failed.
    Wire(Fault),
    /// A status of 500 and above.
    ServerError,
    /// Another status that is neither 200 nor 204.
    OddStatus,
    /// Status 200 with a body that cannot be read.
    Unreadable,
}

impl ErrorKind {
    /// As reports call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            ErrorKind::Timeout => "timeout",
            ErrorKind::Unsent => "unsent",
            ErrorKind::Wire(Fault::Connect) => "connect",
            ErrorKind::Wire(Fault::Closed) => "closed",
            ErrorKind::Wire(Fault::Reset) => "reset",
            ErrorKind::Wire(Fault::Protocol) => "protocol",
            ErrorKind::ServerError => "status_5xx",
            ErrorKind::OddStatus => "status_other",
            ErrorKind::Unreadable => "unreadable",
        }
    }
}

/// The moments of a request, in nanoseconds from the start of its segment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moments {
    /// When it was meant to be sent.
    pub(crate) intended: u64,
    /// When its first byte was written.
    pub(crate) sent: u64,
    /// When the last byte of its answer was read.
    pub(crate) done: u64,
}

/// What an answer was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// With bids.
    Bid,
    /// Without.
    NoBid,
    /// Neither.
    Error(ErrorKind),
}

/// What happened in an interval, by the end of requests; what was offered, by their intended times.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Interval {
    pub(crate) offered: u64,
    pub(crate) answers: u64,
    pub(crate) bids: u64,
    /// Answers 200 or 204 within the exchange's time.
    pub(crate) good: u64,
    /// Those of them with bids.
    pub(crate) good_bids: u64,
    pub(crate) errors: u64,
    /// Microseconds from the intended time: 50th, 99th, 99.9th percentile and the longest; 0 where nothing ended.
    pub(crate) latency_us: [f64; 4],
}

/// Everything that was counted of a segment.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// Nanoseconds that were measured, without the warm-up.
    pub(crate) length_ns: u64,
    pub(crate) offered: u64,
    pub(crate) sent: u64,
    pub(crate) bids: u64,
    pub(crate) no_bids: u64,
    pub(crate) errors: BTreeMap<ErrorKind, u64>,
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// Answers 200 or 204 within the exchange's time, from the intended moment on.
    pub(crate) good: u64,
    /// Answers after the exchange's time, counted from the moment of the actual send.
    pub(crate) over_tmax: u64,
    /// Sends that the generator itself delayed.
    pub(crate) late_sends: u64,
    /// The longest such delay.
    pub(crate) latest_send_ns: u64,
    /// Connections that had to be opened again.
    pub(crate) reopened: u64,
    pub(crate) answer_bytes: u64,
    pub(crate) request_bytes: u64,
    /// From the intended moment.
    pub(crate) latency_ns: Histogram<u64>,
    /// From the actual send; requests that were never sent are not in it.
    pub(crate) from_send_ns: Histogram<u64>,
    /// The first and the last third, by the intended time.
    pub(crate) thirds_ns: [Histogram<u64>; 2],
    /// When the last answer was read, from the start of the segment.
    pub(crate) last_done: u64,
    pub(crate) interval_ns: u64,
    /// From the end of the warm-up on.
    pub(crate) intervals: Vec<Interval>,
    /// Each interval's histogram in the V2 format, where they are wanted.
    pub(crate) encoded: Vec<Vec<u8>>,
}

impl Measured {
    /// Complete answers, whatever they said.
    pub(crate) fn answers(&self) -> u64 {
        self.statuses.values().sum()
    }

    pub(crate) fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Requests a second that were meant to be sent.
    pub(crate) fn offered_rps(&self) -> f64 {
        per_second(self.offered, self.length_ns)
    }

    /// Answers a second, until the last of them.
    pub(crate) fn achieved_rps(&self) -> f64 {
        per_second(self.answers(), self.length_ns.max(self.last_done))
    }

    /// Achieved over offered; 1 where nothing was offered.
    pub(crate) fn achieved(&self) -> f64 {
        if self.offered == 0 { 1.0 } else { self.achieved_rps() / self.offered_rps() }
    }

    /// Errors over offered requests.
    pub(crate) fn error_rate(&self) -> f64 {
        share(self.error_count(), self.offered)
    }

    /// Answers with bids over answers.
    pub(crate) fn bid_rate(&self) -> f64 {
        share(self.bids, self.answers())
    }

    /// Late sends over sends.
    pub(crate) fn late_share(&self) -> f64 {
        share(self.late_sends, self.sent)
    }

    /// A percentile of the latency from the intended time, in microseconds; `quantile` in 0..=1.
    pub(crate) fn latency_us(&self, quantile: f64) -> f64 {
        quantile_us(&self.latency_ns, quantile)
    }
}

impl Measured {
    /// Puts another segment with the same intervals behind this one.
    pub(crate) fn append(&mut self, other: &Measured) {
        self.last_done = self.length_ns.max(self.last_done) + other.length_ns.max(other.last_done);
        self.length_ns += other.length_ns;
        for (own, more) in [
            (&mut self.offered, other.offered),
            (&mut self.sent, other.sent),
            (&mut self.bids, other.bids),
            (&mut self.no_bids, other.no_bids),
            (&mut self.good, other.good),
            (&mut self.over_tmax, other.over_tmax),
            (&mut self.late_sends, other.late_sends),
            (&mut self.reopened, other.reopened),
            (&mut self.answer_bytes, other.answer_bytes),
            (&mut self.request_bytes, other.request_bytes),
        ] {
            *own += more;
        }
        self.latest_send_ns = self.latest_send_ns.max(other.latest_send_ns);
        other.errors.iter().for_each(|(kind, count)| *self.errors.entry(*kind).or_default() += count);
        other.statuses.iter().for_each(|(status, count)| *self.statuses.entry(*status).or_default() += count);
        let [first, last] = &mut self.thirds_ns;
        for (own, more) in [
            (&mut self.latency_ns, &other.latency_ns),
            (&mut self.from_send_ns, &other.from_send_ns),
            (first, &other.thirds_ns[0]),
            (last, &other.thirds_ns[1]),
        ] {
            own.add(more).expect("all histograms have the same bounds");
        }
        self.intervals.extend(other.intervals.iter().cloned());
        self.encoded.extend(other.encoded.iter().cloned());
    }
}

/// `part` of `whole`; 0 of nothing.
pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn per_second(count: u64, ns: u64) -> f64 {
    if ns == 0 { 0.0 } else { count as f64 * 1e9 / ns as f64 }
}

/// A percentile in microseconds.
pub(crate) fn quantile_us(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    histogram.value_at_quantile(quantile) as f64 / 1_000.0
}

/// A histogram of nanoseconds, three digits exact.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MAX_LATENCY_NS, 3).expect("the bounds are in order")
}

/// Counts while a segment runs.
#[derive(Debug)]
pub(crate) struct Recorder {
    warm_up_ns: u64,
    measured: Measured,
    /// Latencies of the interval that runs.
    interval: Histogram<u64>,
    /// Intervals that are over.
    closed: u64,
    encode: bool,
}

impl Recorder {
    /// For a segment of `warm_up` and then `length`; `encode` keeps the histogram of every interval.
    pub(crate) fn new(warm_up: Duration, length: Duration, interval: Duration, encode: bool) -> Recorder {
        let measured = Measured {
            length_ns: length.as_nanos() as u64,
            offered: 0,
            sent: 0,
            bids: 0,
            no_bids: 0,
            errors: BTreeMap::new(),
            statuses: BTreeMap::new(),
            good: 0,
            over_tmax: 0,
            late_sends: 0,
            latest_send_ns: 0,
            reopened: 0,
            answer_bytes: 0,
            request_bytes: 0,
            latency_ns: histogram(),
            from_send_ns: histogram(),
            thirds_ns: [histogram(), histogram()],
            last_done: 0,
            interval_ns: interval.as_nanos().max(1) as u64,
            intervals: Vec::new(),
            encoded: Vec::new(),
        };
        Recorder { warm_up_ns: warm_up.as_nanos() as u64, measured, interval: histogram(), closed: 0, encode }
    }

    /// Whether a request that is meant for this moment counts.
    fn counts(&self, intended: u64) -> bool {
        intended >= self.warm_up_ns
    }

    /// The interval of a moment behind the warm-up; what ends after the last one counts there.
    fn interval_at(&mut self, moment: u64) -> &mut Interval {
        let at = (moment - self.warm_up_ns) / self.measured.interval_ns;
        let at = at.min(self.interval_count() - 1) as usize;
        if self.measured.intervals.len() <= at {
            self.measured.intervals.resize(at + 1, Interval::default());
        }
        &mut self.measured.intervals[at]
    }

    /// A request's time has come.
    pub(crate) fn offered(&mut self, intended: u64) {
        if self.counts(intended) {
            self.measured.offered += 1;
            self.interval_at(intended).offered += 1;
        }
    }

    /// It leaves; `possible` is the first moment at which it could have.
    pub(crate) fn sent(&mut self, intended: u64, possible: u64, sent: u64, bytes: usize) {
        if self.counts(intended) {
            self.measured.sent += 1;
            self.measured.request_bytes += bytes as u64;
            let late = sent.saturating_sub(possible.max(intended));
            self.measured.latest_send_ns = self.measured.latest_send_ns.max(late);
            self.measured.late_sends += u64::from(late > LATE_NS);
        }
    }

    /// Its answer is there; `tmax_ns` is the exchange's time.
    pub(crate) fn answered(
        &mut self,
        at: Moments,
        status: u16,
        bytes: usize,
        verdict: Verdict,
        tmax_ns: u64,
    ) {
        if !self.counts(at.intended) {
            return;
        }
        let latency = at.done.saturating_sub(at.intended);
        let is_good = latency <= tmax_ns && !matches!(verdict, Verdict::Error(_));
        let measured = &mut self.measured;
        *measured.statuses.entry(status).or_default() += 1;
        measured.answer_bytes += bytes as u64;
        measured.last_done = measured.last_done.max(at.done - self.warm_up_ns);
        measured.good += u64::from(is_good);
        measured.over_tmax += u64::from(at.done.saturating_sub(at.sent) > tmax_ns);
        match verdict {
            Verdict::Bid => measured.bids += 1,
            Verdict::NoBid => measured.no_bids += 1,
            Verdict::Error(kind) => *measured.errors.entry(kind).or_default() += 1,
        }
        self.latency(at.intended, latency, Some(at.done.saturating_sub(at.sent)));
        let interval = self.interval_at(at.done);
        interval.answers += 1;
        interval.bids += u64::from(verdict == Verdict::Bid);
        interval.good += u64::from(is_good);
        interval.good_bids += u64::from(is_good && verdict == Verdict::Bid);
        interval.errors += u64::from(matches!(verdict, Verdict::Error(_)));
    }

    /// It will not be answered; `sent` is `None` where it never left.
    pub(crate) fn failed(&mut self, intended: u64, sent: Option<u64>, now: u64, kind: ErrorKind) {
        if !self.counts(intended) {
            return;
        }
        *self.measured.errors.entry(kind).or_default() += 1;
        let waited = now.saturating_sub(intended);
        self.latency(intended, waited, sent.map(|sent| now.saturating_sub(sent)));
        self.interval_at(now).errors += 1;
    }

    /// A connection had to be opened again.
    pub(crate) fn reopened(&mut self) {
        self.measured.reopened += 1;
    }

    fn latency(&mut self, intended: u64, latency: u64, from_send: Option<u64>) {
        self.measured.latency_ns.saturating_record(latency);
        self.interval.saturating_record(latency);
        if let Some(from_send) = from_send {
            self.measured.from_send_ns.saturating_record(from_send);
        }
        let third = (intended - self.warm_up_ns) * 3 / self.measured.length_ns.max(1);
        match third {
            0 => self.measured.thirds_ns[0].saturating_record(latency),
            1 => {}
            _ => self.measured.thirds_ns[1].saturating_record(latency),
        }
    }

    /// Nanoseconds from the start of the segment to the end of the interval that runs. The last one has none: what comes
    /// after the last request belongs to it.
    pub(crate) fn interval_end(&self) -> u64 {
        let next = self.closed + 1;
        if next >= self.interval_count() {
            u64::MAX
        } else {
            self.warm_up_ns + next * self.measured.interval_ns
        }
    }

    fn interval_count(&self) -> u64 {
        self.measured.length_ns.div_ceil(self.measured.interval_ns).max(1)
    }

    /// Closes the interval that runs.
    pub(crate) fn close_interval(&mut self) {
        let start = self.warm_up_ns + self.closed * self.measured.interval_ns;
        let of = |quantile| quantile_us(&self.interval, quantile);
        let latency_us = [of(0.5), of(0.99), of(0.999), of(1.0)];
        self.interval_at(start).latency_us = latency_us;
        if self.encode {
            let mut bytes = Vec::new();
            let encoded = V2Serializer::new().serialize(&self.interval, &mut bytes);
            debug_assert!(encoded.is_ok(), "a vector takes every byte");
            self.measured.encoded.push(bytes);
        }
        self.closed += 1;
        self.interval.reset();
    }

    /// So far.
    pub(crate) fn so_far(&self) -> &Measured {
        &self.measured
    }

    /// The end of the segment.
    pub(crate) fn finish(mut self) -> Measured {
        if !self.interval.is_empty() || self.closed == 0 {
            self.close_interval();
        }
        self.measured
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Requests at 0 to 9 ms after a warm-up of 2 ms and in it; each answered after `took` milliseconds.
    fn recorded(took: u64) -> Recorder {
        let mut recorder = Recorder::new(
            Duration::from_millis(2),
            Duration::from_millis(10),
            Duration::from_millis(4),
            true,
        );
        for intended in (0..12).map(|at| at * MS) {
            recorder.offered(intended);
            recorder.sent(intended, 0, intended + MS / 2, 100);
            let at = Moments { intended, sent: intended + MS / 2, done: intended + took * MS };
            while at.done >= recorder.interval_end() {
                recorder.close_interval();
            }
            recorder.answered(at, 200, 10, Verdict::Bid, 3 * MS);
        }
        recorder
    }

    #[test]
    fn the_warm_up_is_not_counted_and_the_rest_falls_into_its_intervals() {
        let measured = recorded(1).finish();
        assert_eq!((measured.offered, measured.sent, measured.answers(), measured.good), (10, 10, 10, 10));
        let offered: Vec<u64> = measured.intervals.iter().map(|interval| interval.offered).collect();
        let answers: Vec<u64> = measured.intervals.iter().map(|interval| interval.answers).collect();
        assert_eq!((offered, answers), (vec![4, 4, 2], vec![3, 4, 3]));
        assert_eq!((measured.offered_rps(), measured.achieved_rps()), (1_000.0, 1_000.0));
        assert!((measured.latency_us(1.0) - 1_000.0).abs() < 1.0);
        assert!((quantile_us(&measured.from_send_ns, 1.0) - 500.0).abs() < 1.0);
        assert_eq!(measured.thirds_ns.each_ref().map(Histogram::len), [4, 3]);
        let ends: Vec<f64> =
            measured.intervals.iter().map(|interval| interval.latency_us[3].round()).collect();
        assert!(ends.iter().all(|max| (*max - 1_000.0).abs() < 2.0), "{ends:?}");
    }

    #[test]
    fn answers_after_the_end_lower_what_is_achieved_and_after_tmax_what_is_good() {
        let measured = recorded(6).finish();
        assert_eq!((measured.answers(), measured.good, measured.over_tmax), (10, 0, 10));
        // The last was due at 9 ms and came 6 ms later.
        assert!((measured.achieved() - 10.0 / 15.0).abs() < 1e-9, "{}", measured.achieved());
    }

    #[test]
    fn only_what_could_have_left_is_late_by_our_fault() {
        let second = Duration::from_secs(1);
        let mut recorder = Recorder::new(Duration::ZERO, second, second, false);
        recorder.sent(0, 0, LATE_NS, 1);
        recorder.sent(0, 5 * LATE_NS, 6 * LATE_NS, 1);
        assert_eq!(recorder.so_far().late_sends, 0);
        recorder.sent(0, 5 * LATE_NS, 6 * LATE_NS + 1, 1);
        recorder.sent(3 * LATE_NS, 0, 5 * LATE_NS, 1);
        assert_eq!((recorder.so_far().late_sends, recorder.so_far().latest_send_ns), (2, 2 * LATE_NS));
    }

    #[test]
    fn failures_count_in_the_latency_and_unsent_requests_only_from_the_intended_send() {
        let second = Duration::from_secs(1);
        let mut recorder = Recorder::new(Duration::ZERO, second, second, false);
        recorder.failed(MS, Some(2 * MS), 101 * MS, ErrorKind::Timeout);
        recorder.failed(MS, None, 51 * MS, ErrorKind::Unsent);
        let measured = recorder.finish();
        assert_eq!((measured.latency_ns.len(), measured.from_send_ns.len()), (2, 1));
        assert!((measured.latency_us(1.0) - 100_000.0).abs() < 100.0);
        assert_eq!((measured.error_count(), measured.intervals[0].errors), (2, 2));
    }

    #[test]
    fn two_segments_together_have_the_sum_of_everything() {
        let (mut sum, slow) = (recorded(1).finish(), recorded(6).finish());
        sum.append(&slow);
        assert_eq!((sum.offered, sum.answers(), sum.good, sum.intervals.len()), (20, 20, 10, 6));
        assert_eq!((sum.latency_ns.len(), sum.encoded.len()), (20, 6));
        assert!((sum.achieved_rps() - 20.0 / 0.025).abs() < 1e-6, "{}", sum.achieved_rps());
        assert!((sum.latency_us(0.5) - 1_000.0).abs() < 2.0 && (sum.latency_us(1.0) - 6_000.0).abs() < 5.0);
    }
}
