//! The driver against servers of these tests, with an exchange that writes down what it is told.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic like the tests themselves")]

use super::*;
use crate::counterpart::{Counterpart, Notice};
use crate::load::partner::Findings;
use crate::load::schedule::{Arrivals, Phase};
use crate::load::traffic::{Body, ID_LENGTH};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Sends one notice for each bid, a little later, and again whenever nothing came back.
#[derive(Default)]
struct Recorder {
    answers: Vec<(u32, String, u16, Vec<u8>, Duration)>,
    due: VecDeque<(Duration, u64)>,
    /// What became of each notice: how often it had no answer, and the answer.
    outcomes: BTreeMap<u64, (u32, Option<(u16, String)>)>,
    hurried: bool,
}

const DELAY: Duration = Duration::from_millis(30);

impl Counterpart for Recorder {
    fn answered(&mut self, sent: &Sent<'_>, answer: &Answered<'_>, now: Duration) {
        let id = self.answers.len() as u64;
        self.answers.push((
            sent.body,
            sent.request_id.to_owned(),
            answer.status,
            answer.body.to_vec(),
            answer.latency,
        ));
        self.due.push_back((now + DELAY, id));
    }

    fn next_due(&self) -> Option<Duration> {
        self.due.front().map(|(due, _)| *due)
    }

    fn take_due(&mut self, now: Duration) -> Option<Notice> {
        let (_, id) = self.due.pop_front_if(|(due, _)| *due <= now)?;
        Some(Notice { id, path: format!("/win?n={id}") })
    }

    fn noticed(&mut self, id: u64, outcome: Outcome<'_>, now: Duration) {
        let entry = self.outcomes.entry(id).or_default();
        match outcome {
            Outcome::Answered { status, class } => entry.1 = Some((status, class.to_owned())),
            Outcome::Unanswered => {
                entry.0 += 1;
                self.due.push_back((now, id));
            }
        }
    }
}

impl Partner for Recorder {
    fn settings(&self) -> Vec<String> {
        Vec::new()
    }

    fn hurry(&mut self, _now: Duration) {
        self.hurried = true;
    }

    fn finish(&mut self) -> anyhow::Result<Findings> {
        Ok(Findings { checks: Vec::new(), json: serde_json::Value::Null, notes: Vec::new() })
    }
}

/// Answers whatever ends with a blank line and `body` bytes with what `answer` says of its number and its first line;
/// empty = the connection is closed.
fn serve(body: usize, answer: impl Fn(u64, &str) -> String + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let count = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for stream in listener.incoming() {
                let (mut stream, count, answer) = (stream.unwrap(), &count, &answer);
                scope.spawn(move || {
                    let (mut seen, mut chunk) = (Vec::new(), [0; 4_096]);
                    while let Ok(read @ 1..) = stream.read(&mut chunk) {
                        seen.extend_from_slice(&chunk[..read]);
                        let Some(head) = seen.windows(4).position(|window| window == b"\r\n\r\n") else {
                            continue;
                        };
                        if seen.len() < head + 4 + body {
                            continue;
                        }
                        let line = String::from_utf8_lossy(&seen).lines().next().unwrap().to_owned();
                        seen.clear();
                        let reply = answer(count.fetch_add(1, SeqCst), &line);
                        if reply.is_empty() || stream.write_all(reply.as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
    });
    address
}

struct Nobody;

impl Watcher for Nobody {
    fn begin(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
    fn tick(&mut self, _: Duration, _: &Measured, _: usize) -> anyhow::Result<()> {
        Ok(())
    }
    fn end(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
}

fn traffic() -> (Traffic, usize) {
    let bytes = format!("{{\"id\":\"{}\"}}", "0".repeat(ID_LENGTH)).into_bytes();
    let length = bytes.len();
    let body = Body { bytes, id_at: 7, is_protobuf: false, is_gzip: false, tmax_ms: 100 };
    (Traffic::new("/openrtb2/load", &[body.clone(), body], 9).unwrap(), length)
}

fn options(bid: SocketAddr, track: SocketAddr) -> Options {
    let second = Duration::from_secs(1);
    Options {
        bid,
        track: Some(track),
        connections: 4,
        notice_connections: 3,
        timeout: second,
        max_wait: second,
    }
}

fn segment(rate: f64, secs: u64) -> Segment {
    let length = Duration::from_secs(secs);
    let phase = Phase { rate, length_ns: length.as_nanos() as u64 };
    Segment {
        pacing: Pacing::Open(Schedule::of_rates(Arrivals::Constant, 1, &[phase])),
        warm_up: Duration::ZERO,
        length,
        interval: length,
        most_in_flight: usize::MAX,
        keep_histograms: false,
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[test]
fn the_exchange_hears_every_answer_and_its_notices_are_sent_until_they_are_answered() {
    let (traffic, length) = traffic();
    let bid = serve(length, |_, _| "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n\"ok\"".to_owned());
    let track = serve(0, |number, line| match number % 10 {
        // One in ten is lost on the way.
        9 => String::new(),
        _ if line.starts_with("GET /win?n=") => {
            "HTTP/1.1 200 OK\r\nx-outbid-notice: accepted\r\ncontent-length: 0\r\n\r\n".to_owned()
        }
        _ => "HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n".to_owned(),
    });
    let mut recorder = Recorder::default();
    let mut driver = Driver::new(options(bid, track), traffic, Some(&mut recorder)).unwrap();
    let (measured, settled) = block_on(async {
        let measured = driver.run(segment(300.0, 1), &mut Nobody).await.unwrap();
        (measured, driver.settle(Duration::from_secs(5)).await)
    });
    assert!(settled);
    let (latency, unanswered) = (driver.notices().0.len(), driver.notices().1);
    assert_eq!((measured.answers(), measured.bids), (300, 300));
    assert_eq!(recorder.answers.len(), 300);
    let ids: BTreeSet<&String> = recorder.answers.iter().map(|answer| &answer.1).collect();
    assert_eq!(ids.len(), 300);
    assert!(recorder.answers.iter().all(|answer| answer.2 == 200 && answer.3 == b"\"ok\""));
    assert_eq!(recorder.answers.iter().filter(|answer| answer.0 == 1).count(), 150);
    assert!(recorder.hurried);
    assert_eq!((recorder.outcomes.len(), latency), (300, 300));
    let accepted = Some((200, "accepted".to_owned()));
    assert!(recorder.outcomes.values().all(|outcome| outcome.1 == accepted));
    let lost: u32 = recorder.outcomes.values().map(|outcome| outcome.0).sum();
    assert!((30..=40).contains(&lost) && u64::from(lost) == unanswered, "{lost} {unanswered}");
}

#[test]
fn notices_that_hang_do_not_delay_bids() {
    let (traffic, length) = traffic();
    let bid = serve(length, |_, _| "HTTP/1.1 204 No Content\r\n\r\n".to_owned());
    let track = serve(0, |_, _| {
        std::thread::sleep(Duration::from_millis(400));
        "HTTP/1.1 204 No Content\r\n\r\n".to_owned()
    });
    let mut recorder = Recorder::default();
    let mut driver = Driver::new(options(bid, track), traffic, Some(&mut recorder)).unwrap();
    let measured = block_on(driver.run(segment(400.0, 1), &mut Nobody)).unwrap();
    assert_eq!((measured.answers(), measured.no_bids, measured.error_count()), (400, 400, 0));
    assert!(measured.latency_us(0.5) < 100_000.0, "{}", measured.latency_us(0.5));
    // Three connections, two notices each at the most: the others wait.
    assert!(driver.notices().0.len() <= 9, "{}", driver.notices().0.len());
    assert!(recorder.due.len() > 300);
}

#[test]
fn no_more_are_in_flight_than_a_segment_allows() {
    let (traffic, length) = traffic();
    let open = std::sync::Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
    let seen = std::sync::Arc::clone(&open);
    let bid = serve(length, move |_, _| {
        seen.1.fetch_max(seen.0.fetch_add(1, SeqCst) + 1, SeqCst);
        std::thread::sleep(Duration::from_millis(3));
        seen.0.fetch_sub(1, SeqCst);
        "HTTP/1.1 204 No Content\r\n\r\n".to_owned()
    });
    let mut driver = Driver::new(options(bid, bid), traffic, None).unwrap();
    let closed = |most_in_flight| Segment {
        pacing: Pacing::Closed,
        length: Duration::from_millis(300),
        most_in_flight,
        ..segment(1.0, 1)
    };
    for (allowed, expected) in [(2, 2), (usize::MAX, 4)] {
        open.1.store(0, SeqCst);
        let measured = block_on(driver.run(closed(allowed), &mut Nobody)).unwrap();
        assert!(measured.answers() > 20, "{}", measured.answers());
        assert_eq!(open.1.load(SeqCst), expected);
    }
}

#[test]
fn a_server_that_comes_back_is_connected_to_again() {
    let (traffic, length) = traffic();
    let bid = serve(length, |number, _| match number {
        50..54 => String::new(),
        _ => "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_owned(),
    });
    let mut driver = Driver::new(options(bid, bid), traffic, None).unwrap();
    let measured = block_on(driver.run(segment(200.0, 1), &mut Nobody)).unwrap();
    assert_eq!(measured.errors.get(&ErrorKind::Wire(Fault::Closed)), Some(&4), "{:?}", measured.errors);
    assert_eq!((measured.answers(), measured.error_count()), (196, 4));
    assert!(measured.reopened >= 200, "{}", measured.reopened);
}
