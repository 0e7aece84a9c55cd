//! The open loop: sends requests when they are due over many keep-alive connections, one in flight on each, and reads
//! every answer.
//!
//! One thread with an epoll instance of its own, and no task for a connection: the generator shares the machine with
//! what it measures, and a runtime's timers are a thousand times too coarse for it (1 ms). It sleeps in `epoll_pwait2`,
//! whose limit is in nanoseconds, with the thread's timer slack set to the least, so that it wakes when the next request
//! is due without turning round and round: a generator that burns its core while it waits could not be told from one
//! that cannot keep up. Only the last few microseconds are spent polling.
//!
//! Between slices of [`SLICE`] it lets the runtime that it was called on see signals, and whoever watches take samples.
//!
//! Invariant: a request that is due waits for nothing but a free connection, and that wait counts. Notices go over
//! connections of their own, few at a time, after the bids that are due.

use super::answer;
use super::measure::{ErrorKind, Measured, Moments, Recorder};
use super::partner::Partner;
use super::schedule::Schedule;
use super::traffic::{self, Issued, Traffic};
use super::wire::{Fault, Head, Progress, State, Wire};
use crate::client::now;
use crate::counterpart::{Answered, Outcome, Sent};
use anyhow::Context;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// Between two looks at what else there is to do.
const SLICE: u64 = 50_000_000;
/// Between two looks for requests that are not answered in time.
const CHECK_EVERY: u64 = 10_000_000;
/// Sends between two looks for answers.
const BATCH: usize = 8;
/// Notices between two looks for bids that are due.
const NOTICE_BATCH: usize = 2;
/// A wait that is shorter is spent polling.
const POLL_NS: u64 = 5_000;
/// Events that are taken at once.
const EVENTS: usize = 256;

/// Where and how requests are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// The server's bid listener.
    pub(crate) bid: SocketAddr,
    /// Its tracking listener; needed where there is a counterpart.
    pub(crate) track: Option<SocketAddr>,
    /// Connections for bids, at least 1.
    pub(crate) connections: usize,
    /// Connections for notices.
    pub(crate) notice_connections: usize,
    /// From the actual send; what is not answered then is given up, and its connection with it.
    pub(crate) timeout: Duration,
    /// From the intended time; what found no connection until then is not sent at all.
    pub(crate) max_wait: Duration,
}

/// When requests are sent.
#[derive(Debug)]
pub(crate) enum Pacing {
    /// At these times, whatever the server does.
    Open(Schedule),
    /// Whenever a connection is free.
    Closed,
}

/// A part of a run that is measured by itself.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) pacing: Pacing,
    /// Not counted.
    pub(crate) warm_up: Duration,
    /// Counted, after the warm-up.
    pub(crate) length: Duration,
    /// Of the figures over time.
    pub(crate) interval: Duration,
    /// No more requests than this are in flight at once, however many connections there are.
    pub(crate) most_in_flight: usize,
    /// Whether the histogram of every interval is kept.
    pub(crate) keep_histograms: bool,
}

/// Looks on while a segment runs.
pub(crate) trait Watcher {
    /// The warm-up is over.
    fn begin(&mut self) -> anyhow::Result<()>;
    /// Now and then, `at` after the start of the segment; an error ends the run.
    fn tick(&mut self, at: Duration, so_far: &Measured, in_flight: usize) -> anyhow::Result<()>;
    /// The last request's time has come; answers may still be missing.
    fn end(&mut self) -> anyhow::Result<()>;
}

/// A connection for bids.
#[derive(Debug)]
struct Lane {
    wire: Wire,
    free_since: u64,
    /// The request in flight and its intended and actual time.
    request: Option<(Issued, u64, u64)>,
}

/// A connection for notices.
#[derive(Debug)]
struct NoticeLane {
    wire: Wire,
    /// The notice in flight and when it was sent.
    notice: Option<(u64, u64)>,
}

/// Sends what is due and reads what comes. All times are nanoseconds from the start of the run.
pub(crate) struct Driver<'r> {
    options: Options,
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    start: Instant,
    traffic: Traffic,
    counterpart: Option<&'r mut dyn Partner>,
    lanes: Vec<Lane>,
    /// Lanes that are idle, the longest idle first.
    free: VecDeque<usize>,
    in_flight: usize,
    notice_lanes: Vec<NoticeLane>,
    notice_free: Vec<usize>,
    notice_latency: hdrhistogram::Histogram<u64>,
    notices_unanswered: u64,
    next_check: u64,
    plain: Vec<u8>,
    notice_text: String,
}

/// The segment that runs.
struct Running {
    pacing: Pacing,
    recorder: Recorder,
    /// Its start.
    base: u64,
    /// When no request becomes due any more.
    end: u64,
    most_in_flight: usize,
}

impl Running {
    /// When the next request wants to be sent.
    fn next_due(&self, now: u64) -> Option<u64> {
        match &self.pacing {
            Pacing::Open(schedule) => schedule.peek().map(|time| self.base + time),
            Pacing::Closed => (now < self.end).then_some(now),
        }
    }

    /// The intended time of the request that is due, which is thereby offered.
    fn take_due(&mut self, now: u64) -> Option<u64> {
        let due = self.next_due(now).filter(|due| *due <= now)?;
        if let Pacing::Open(schedule) = &mut self.pacing {
            schedule.pop();
        }
        self.recorder.offered(due - self.base);
        Some(due)
    }
}

impl<'r> Driver<'r> {
    /// Connects. The calling thread's timers become exact.
    pub(crate) fn new(
        options: Options,
        traffic: Traffic,
        counterpart: Option<&'r mut dyn Partner>,
    ) -> anyhow::Result<Driver<'r>> {
        // Where it may not be set, wakes come up to 50 µs late, which the figures show.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let connect = |address, token: usize| {
            Wire::connect(&epoll, address, token as u64)
                .with_context(|| format!("cannot connect to {address}"))
        };
        let mut lanes = Vec::new();
        for token in 0..options.connections {
            lanes.push(Lane { wire: connect(options.bid, token)?, free_since: 0, request: None });
        }
        let mut notice_lanes = Vec::new();
        if let (true, Some(track)) = (counterpart.is_some(), options.track) {
            for token in 0..options.notice_connections {
                notice_lanes.push(NoticeLane { wire: connect(track, lanes.len() + token)?, notice: None });
            }
        }
        Ok(Driver {
            options,
            epoll,
            events: Vec::with_capacity(EVENTS),
            start: now(),
            traffic,
            counterpart,
            free: (0..lanes.len()).collect(),
            lanes,
            in_flight: 0,
            notice_free: (0..notice_lanes.len()).collect(),
            notice_lanes,
            notice_latency: super::measure::histogram(),
            notices_unanswered: 0,
            next_check: 0,
            plain: Vec::new(),
            notice_text: String::new(),
        })
    }

    /// What came of notices so far: the time from sending to the answer, and how many had none.
    pub(crate) fn notices(&self) -> (&hdrhistogram::Histogram<u64>, u64) {
        (&self.notice_latency, self.notices_unanswered)
    }

    /// Runs a segment until its last request is answered or given up.
    pub(crate) async fn run(
        &mut self,
        segment: Segment,
        watcher: &mut dyn Watcher,
    ) -> anyhow::Result<Measured> {
        let base = self.now();
        let warm = base + segment.warm_up.as_nanos() as u64;
        let mut running = Running {
            pacing: segment.pacing,
            recorder: Recorder::new(
                segment.warm_up,
                segment.length,
                segment.interval,
                segment.keep_histograms,
            ),
            base,
            end: warm + segment.length.as_nanos() as u64,
            most_in_flight: segment.most_in_flight,
        };
        let (mut begun, mut ended) = (false, false);
        loop {
            let now = self.now();
            if !begun && now >= warm {
                watcher.begin()?;
                begun = true;
            }
            if !ended && now >= running.end {
                watcher.end()?;
                ended = true;
            }
            if ended && self.in_flight == 0 && running.next_due(now).is_none() {
                return Ok(running.recorder.finish());
            }
            let marks = [(begun, warm), (ended, running.end)];
            let mark = marks.into_iter().filter(|(passed, _)| !passed).map(|(_, at)| at).min();
            self.turn(&mut running, (now + SLICE).min(mark.unwrap_or(u64::MAX)));
            let at = Duration::from_nanos(self.now() - base);
            watcher.tick(at, running.recorder.so_far(), self.in_flight)?;
            tokio::task::yield_now().await;
        }
    }

    /// Lets the exchange hurry and sends the notices that are still to come, for at most `limit`. Whether none is left.
    pub(crate) async fn settle(&mut self, limit: Duration) -> bool {
        let base = self.now();
        if let Some(counterpart) = &mut self.counterpart {
            counterpart.hurry(Duration::from_nanos(base));
        }
        let end = base + limit.as_nanos() as u64;
        let recorder = Recorder::new(Duration::ZERO, limit, limit, false);
        let mut running = Running { pacing: Pacing::Closed, recorder, base, end: 0, most_in_flight: 0 };
        loop {
            let waiting = self.counterpart.as_deref().is_some_and(|other| other.next_due().is_some());
            let idle = !waiting && self.notice_free.len() == self.notice_lanes.len();
            let now = self.now();
            if idle || now >= end {
                return idle;
            }
            self.turn(&mut running, (now + SLICE).min(end));
            tokio::task::yield_now().await;
        }
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Sends and reads until `until`, or until nothing is left of a segment that is over.
    fn turn(&mut self, running: &mut Running, until: u64) {
        loop {
            self.send_bids(running);
            self.send_notices();
            let now = self.now();
            if now >= self.next_check {
                self.next_check = now + CHECK_EVERY;
                self.check(running, now);
            }
            let interval_end = running.base.saturating_add(running.recorder.interval_end());
            if now >= interval_end {
                running.recorder.close_interval();
            }
            let is_done = self.in_flight == 0 && running.next_due(now).is_none() && now >= running.end;
            if now >= until || (is_done && self.counterpart.is_none()) {
                return;
            }
            let wake = until.min(self.next_check).min(interval_end).min(self.next_send(running, now));
            self.wait(wake.saturating_sub(now));
            let mut events = std::mem::take(&mut self.events);
            for event in events.drain(..) {
                let token = event.data.u64() as usize;
                match token.checked_sub(self.lanes.len()) {
                    None => self.on_bid_event(running, token, event.flags),
                    Some(lane) => self.on_notice_event(lane, event.flags),
                }
            }
            self.events = events;
        }
    }

    /// When something can be sent next.
    fn next_send(&self, running: &Running, now: u64) -> u64 {
        let has_room = !self.free.is_empty() && self.in_flight < running.most_in_flight;
        let bid = if has_room { running.next_due(now) } else { None };
        let due = self.counterpart.as_deref().and_then(|counterpart| counterpart.next_due());
        let notice = due.filter(|_| !self.notice_free.is_empty()).map(|due| due.as_nanos() as u64);
        bid.unwrap_or(u64::MAX).min(notice.unwrap_or(u64::MAX))
    }

    fn wait(&mut self, ns: u64) {
        let ns = if ns <= POLL_NS { 0 } else { ns };
        let limit = Timespec { tv_sec: (ns / 1_000_000_000) as i64, tv_nsec: (ns % 1_000_000_000) as i64 };
        // Interrupted: whoever waits comes again.
        let _ = epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&limit));
    }

    fn send_bids(&mut self, running: &mut Running) {
        for _ in 0..BATCH {
            let Some(&number) = self.free.front().filter(|_| self.in_flight < running.most_in_flight) else {
                return;
            };
            let now = self.now();
            let Some(intended) = running.take_due(now) else { return };
            if now - intended > self.options.max_wait.as_nanos() as u64 {
                self.give_up_unsent(running, intended);
                continue;
            }
            self.free.pop_front();
            let lane = &mut self.lanes[number];
            let (issued, bytes) = self.traffic.issue();
            lane.request = Some((issued, intended, now));
            self.in_flight += 1;
            let (base, possible) = (running.base, lane.free_since.saturating_sub(running.base));
            running.recorder.sent(intended - base, possible, now - base, bytes.len());
            if let Err(fault) = lane.wire.send(&self.epoll, bytes) {
                self.fail(running, number, ErrorKind::Wire(fault), now);
            }
        }
    }

    fn give_up_unsent(&self, running: &mut Running, intended: u64) {
        let (intended, waited) = (intended - running.base, self.options.max_wait.as_nanos() as u64);
        running.recorder.failed(intended, None, intended + waited, ErrorKind::Unsent);
    }

    /// Gives up what waited too long, and opens again what broke.
    fn check(&mut self, running: &mut Running, now: u64) {
        let (timeout, max_wait) =
            (self.options.timeout.as_nanos() as u64, self.options.max_wait.as_nanos() as u64);
        if let Pacing::Open(_) = running.pacing {
            while running.next_due(now).is_some_and(|due| now > due + max_wait) {
                if let Some(intended) = running.take_due(now) {
                    self.give_up_unsent(running, intended);
                }
            }
        }
        for number in 0..self.lanes.len() {
            let lane = &mut self.lanes[number];
            let deadline = lane.request.map(|(_, _, sent)| sent + timeout);
            if deadline.is_some_and(|deadline| now >= deadline) {
                self.fail(running, number, ErrorKind::Timeout, deadline.unwrap_or(now));
            } else if lane.wire.state() == State::Broken && lane.wire.reopen(&self.epoll).is_err() {
                lane.wire.close();
            }
        }
        for number in 0..self.notice_lanes.len() {
            let lane = &mut self.notice_lanes[number];
            if lane.notice.is_some_and(|(_, sent)| now >= sent + timeout) {
                self.fail_notice(number);
            } else if lane.wire.state() == State::Broken && lane.wire.reopen(&self.epoll).is_err() {
                lane.wire.close();
            }
        }
    }

    /// The request on a connection, if there is one, is lost, and the connection with it.
    fn fail(&mut self, running: &mut Running, number: usize, kind: ErrorKind, at: u64) {
        let lane = &mut self.lanes[number];
        if let Some((_, intended, sent)) = lane.request.take() {
            self.in_flight -= 1;
            // What was begun in an earlier segment was waited for there.
            let base = running.base;
            running.recorder.failed(intended - base, Some(sent - base), at - base, kind);
        } else {
            self.free.retain(|free| *free != number);
        }
        self.reopen(running, number);
    }

    fn reopen(&mut self, running: &mut Running, number: usize) {
        running.recorder.reopened();
        let lane = &mut self.lanes[number];
        if lane.wire.reopen(&self.epoll).is_err() {
            lane.wire.close();
        }
    }

    fn on_bid_event(&mut self, running: &mut Running, number: usize, flags: epoll::EventFlags) {
        let progress = self.lanes[number].wire.on_event(&self.epoll, flags);
        match progress {
            Ok(Progress::Nothing) => {}
            Ok(Progress::Connected) => {
                self.lanes[number].free_since = self.now();
                self.free.push_back(number);
            }
            Ok(Progress::Answer(head)) => self.on_answer(running, number, head),
            // A connection that cannot be made is tried again at the next check, not at once.
            Err(Fault::Connect) => self.lanes[number].wire.close(),
            Err(fault) => self.fail(running, number, ErrorKind::Wire(fault), self.now()),
        }
    }

    fn on_answer(&mut self, running: &mut Running, number: usize, head: Head) {
        let done = self.now();
        let lane = &mut self.lanes[number];
        let Some((issued, intended, sent)) = lane.request.take() else { return };
        self.in_flight -= 1;
        let sent_bytes = lane.wire.body(&head);
        let body = match head.is_gzip {
            true => answer::unpack(sent_bytes, &mut self.plain),
            false => Some(sent_bytes),
        };
        let verdict = answer::judge(head.status, body, issued.is_protobuf);
        let base = running.base;
        let moments = Moments { intended: intended - base, sent: sent - base, done: done - base };
        running.recorder.answered(moments, head.status, sent_bytes.len(), verdict, issued.tmax_ns);
        if let Some(counterpart) = &mut self.counterpart {
            let answer = Answered {
                status: head.status,
                body: body.unwrap_or_default(),
                is_protobuf: issued.is_protobuf,
                latency: Duration::from_nanos(done - intended),
            };
            let request = Sent { body: issued.body, request_id: traffic::text(&issued.id) };
            counterpart.answered(&request, &answer, Duration::from_nanos(done));
        }
        if head.closes {
            self.reopen(running, number);
        } else {
            lane.free_since = done;
            self.free.push_back(number);
        }
    }

    fn send_notices(&mut self) {
        for _ in 0..NOTICE_BATCH {
            let Some(counterpart) = &mut self.counterpart else { return };
            let Some(&number) = self.notice_free.last() else { return };
            let now = self.start.elapsed();
            let Some(notice) = counterpart.take_due(now) else { return };
            self.notice_free.pop();
            self.notice_text.clear();
            self.notice_text.push_str("GET ");
            self.notice_text.push_str(&notice.path);
            self.notice_text.push_str(" HTTP/1.1\r\nhost: track.outbid.example\r\n\r\n");
            let lane = &mut self.notice_lanes[number];
            lane.notice = Some((notice.id, now.as_nanos() as u64));
            if lane.wire.send(&self.epoll, self.notice_text.as_bytes()).is_err() {
                self.fail_notice(number);
            }
        }
    }

    fn on_notice_event(&mut self, number: usize, flags: epoll::EventFlags) {
        let now = self.start.elapsed();
        let lane = &mut self.notice_lanes[number];
        match lane.wire.on_event(&self.epoll, flags) {
            Ok(Progress::Nothing) => {}
            Ok(Progress::Connected) => self.notice_free.push(number),
            Ok(Progress::Answer(head)) => {
                if let (Some((id, sent)), Some(counterpart)) = (lane.notice.take(), &mut self.counterpart) {
                    self.notice_latency.saturating_record(now.as_nanos() as u64 - sent);
                    let outcome = Outcome::Answered { status: head.status, class: lane.wire.class(&head) };
                    counterpart.noticed(id, outcome, now);
                }
                match head.closes {
                    true => drop(lane.wire.reopen(&self.epoll)),
                    false => self.notice_free.push(number),
                }
            }
            Err(Fault::Connect) => lane.wire.close(),
            Err(_) => self.fail_notice(number),
        }
    }

    /// Nobody knows what became of the notice on this connection.
    fn fail_notice(&mut self, number: usize) {
        let now = self.start.elapsed();
        let lane = &mut self.notice_lanes[number];
        match lane.notice.take() {
            Some((id, _)) => {
                self.notices_unanswered += 1;
                if let Some(counterpart) = &mut self.counterpart {
                    counterpart.noticed(id, Outcome::Unanswered, now);
                }
            }
            None => self.notice_free.retain(|free| *free != number),
        }
        if lane.wire.reopen(&self.epoll).is_err() {
            lane.wire.close();
        }
    }
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
