//! The closed loop: a fixed number of keep-alive connections, each with one request in flight, the next one sent when
//! the answer has been read to its end.
//!
//! It writes prepared bytes and reads answers with as little work as possible, because the generator shares the
//! machine with what it measures. Deliberately absent: pipelining, and chunked answers (they are an error here).

use anyhow::{Context, bail, ensure};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Head and body of requests, ready to be written.
#[derive(Debug)]
pub(crate) struct Requests {
    bytes: Vec<Box<[u8]>>,
    /// Mean length of the bodies.
    pub(crate) body_bytes_mean: f64,
}

impl Requests {
    /// Requests for `path`; the same bytes whichever server they go to.
    pub(crate) fn new(path: &str, bodies: &[String]) -> anyhow::Result<Requests> {
        ensure!(!bodies.is_empty(), "there is nothing to send");
        let request = |body: &String| {
            format!(
                "POST {path} HTTP/1.1\r\nhost: bid.outbid.example\r\ncontent-type: application/json\r\n\
                 x-openrtb-version: 2.6\r\naccept: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
            .into_bytes()
            .into_boxed_slice()
        };
        let total: usize = bodies.iter().map(String::len).sum();
        Ok(Requests {
            bytes: bodies.iter().map(request).collect(),
            body_bytes_mean: total as f64 / bodies.len() as f64,
        })
    }
}

impl Requests {
    /// One of them; they come round and round.
    pub(crate) fn get(&self, number: u64) -> &[u8] {
        &self.bytes[(number % self.bytes.len() as u64) as usize]
    }
}

/// When to stop sending.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// After so many requests.
    Count(u64),
    /// After so long.
    Elapsed(Duration),
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    /// Answers with status 200 that are JSON.
    pub(crate) bids: u64,
    /// Answers with status 204.
    pub(crate) no_bids: u64,
    /// Answers with status 200 that are no JSON.
    pub(crate) unreadable: u64,
    /// Answers with another status.
    pub(crate) others: BTreeMap<u16, u64>,
    /// Billing notices that were answered with 2xx.
    pub(crate) bills: u64,
    /// Billing notices that were answered with another status.
    pub(crate) refused_bills: u64,
    /// Bytes of the answers' bodies.
    pub(crate) body_bytes: u64,
    /// Nanoseconds from the first byte written to the last byte read.
    pub(crate) latency_ns: Histogram<u64>,
    /// From the first request to the last answer.
    pub(crate) elapsed: Duration,
}

impl Tally {
    fn new() -> Tally {
        Tally {
            bids: 0,
            no_bids: 0,
            unreadable: 0,
            others: BTreeMap::new(),
            bills: 0,
            refused_bills: 0,
            body_bytes: 0,
            latency_ns: Histogram::new_with_bounds(1, MAX_LATENCY_NS, 3).expect("the bounds are in order"),
            elapsed: Duration::ZERO,
        }
    }

    /// Every answer, whatever its status.
    pub(crate) fn answers(&self) -> u64 {
        self.bids + self.no_bids + self.unreadable + self.others.values().sum::<u64>()
    }

    /// Adds what another connection or round saw; `elapsed` stays.
    pub(crate) fn add(&mut self, other: &Tally) {
        self.bids += other.bids;
        self.no_bids += other.no_bids;
        self.unreadable += other.unreadable;
        for (status, count) in &other.others {
            *self.others.entry(*status).or_default() += count;
        }
        self.bills += other.bills;
        self.refused_bills += other.refused_bills;
        self.body_bytes += other.body_bytes;
        self.latency_ns.add(&other.latency_ns).expect("all histograms have the same bounds");
    }

    fn record(&mut self, answer: Answer<'_>, latency: Duration) {
        match answer.status {
            200 if serde_json::from_slice::<serde::de::IgnoredAny>(answer.body).is_ok() => self.bids += 1,
            200 => self.unreadable += 1,
            204 => self.no_bids += 1,
            other => *self.others.entry(other).or_default() += 1,
        }
        self.body_bytes += answer.body.len() as u64;
        self.latency_ns.saturating_record(latency.as_nanos() as u64);
    }
}

/// Who bills beside the requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Billing {
    /// The tracking listener.
    pub(crate) track: SocketAddr,
    /// Bids that are billed, of a thousand.
    pub(crate) per_mille: u64,
}

impl Billing {
    /// Whether the bid in answer `number` is billed.
    fn chooses(&self, number: u64) -> bool {
        number.wrapping_mul(self.per_mille) % 1_000 < self.per_mille
    }
}

/// Sends the requests in their order, from the first on, over `connections` connections; starts again at the first
/// when they are used up. With `billing` some of the bids are billed meanwhile, at their own price.
pub(crate) async fn drive(
    address: SocketAddr,
    requests: &Arc<Requests>,
    connections: usize,
    until: Until,
    billing: Option<Billing>,
) -> anyhow::Result<Tally> {
    let mut opened = Vec::new();
    for _ in 0..connections {
        opened.push(Connection::open(address).await?);
    }
    let next = Arc::new(AtomicU64::new(0));
    let start = now();
    let mut tasks = tokio::task::JoinSet::new();
    let mut billers = tokio::task::JoinSet::new();
    let mut bills = Vec::new();
    for _ in 0..if billing.is_some() { BILLERS } else { 0 } {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        bills.push(sender);
        let track = billing.map_or(address, |billing| billing.track);
        billers.spawn(post(Connection::open(track).await?, receiver));
    }
    for (at, connection) in opened.into_iter().enumerate() {
        let bills = billing.map(|billing| (billing, bills[at % bills.len()].clone()));
        tasks.spawn(work(connection, Arc::clone(requests), Arc::clone(&next), until, start, bills));
    }
    // Those who bill end when nobody has a bill for them any more.
    drop(bills);
    // A thread that sleeps must be woken by whoever answers it: an interrupt from core to core, in the server's time, and all the
    // more often the slower the server is. So this one never sleeps.
    let mut awake = tokio::task::JoinSet::new();
    awake.spawn(async {
        loop {
            tokio::task::yield_now().await;
        }
    });
    let mut tally = Tally::new();
    while let Some(done) = tasks.join_next().await {
        tally.add(&done??);
    }
    while let Some(done) = billers.join_next().await {
        tally.add(&done??);
    }
    awake.abort_all();
    tally.elapsed = start.elapsed();
    Ok(tally)
}

/// Sends bills one after the other; gives how many were answered.
async fn post(
    mut connection: Connection,
    mut bills: tokio::sync::mpsc::UnboundedReceiver<String>,
) -> anyhow::Result<Tally> {
    let mut tally = Tally::new();
    while let Some(path) = bills.recv().await {
        let request = format!("GET {path} HTTP/1.1\r\nhost: track.outbid.example\r\n\r\n");
        let answer = connection.exchange(request.as_bytes()).await.context("a bill failed")?;
        match answer.status {
            200..300 => tally.bills += 1,
            _ => tally.refused_bills += 1,
        }
        if answer.closes {
            connection = Connection::open(connection.address).await?;
        }
    }
    Ok(tally)
}

/// Path and query of the first bid's bill at the price that was bid.
fn bill(answer: &[u8]) -> Option<String> {
    let answer: serde_json::Value = serde_json::from_slice(answer).ok()?;
    let bid = answer.pointer("/seatbid/0/bid/0")?;
    let url = bid["burl"].as_str()?.replace("${AUCTION_PRICE}", &bid["price"].to_string());
    let (_, rest) = url.split_once("://")?;
    rest.find('/').map(|at| rest[at..].to_owned())
}

async fn work(
    mut connection: Connection,
    requests: Arc<Requests>,
    next: Arc<AtomicU64>,
    until: Until,
    start: Instant,
    bills: Option<(Billing, tokio::sync::mpsc::UnboundedSender<String>)>,
) -> anyhow::Result<Tally> {
    let mut tally = Tally::new();
    let mut sent_at = start;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let done = match until {
            Until::Count(count) => number >= count,
            Until::Elapsed(limit) => sent_at.duration_since(start) >= limit,
        };
        if done {
            return Ok(tally);
        }
        let bytes = requests.get(number);
        sent_at = now();
        let answer = connection.exchange(bytes).await.with_context(|| format!("request {number} failed"))?;
        let (latency, closes) = (sent_at.elapsed(), answer.closes);
        if let Some((billing, bills)) = &bills
            && answer.status == 200
            && billing.chooses(number)
            && let Some(path) = bill(answer.body)
        {
            // Who would have billed it has failed, and says so itself.
            let _gone = bills.send(path);
        }
        tally.record(answer, latency);
        if closes {
            connection = Connection::open(connection.address).await?;
        }
    }
}

/// The one reading of a clock in this program: it measures the real world, not a replay.
#[allow(clippy::disallowed_methods, reason = "a load generator measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A complete answer, borrowed from the connection's buffer.
pub(crate) struct Answer<'b> {
    pub(crate) status: u16,
    closes: bool,
    body: &'b [u8],
}

/// The head of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    closes: bool,
    head_bytes: usize,
    body_bytes: usize,
}

/// Connections for bills.
const BILLERS: usize = 4;

/// A longer latency counts as this.
const MAX_LATENCY_NS: u64 = 60_000_000_000;

/// The longest answer that is read.
const MAX_ANSWER: usize = 4 << 20;

pub(crate) struct Connection {
    address: SocketAddr,
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Connection> {
        let stream =
            TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Connection { address, stream, buffer: Vec::with_capacity(16 * 1024) })
    }

    pub(crate) async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            self.read().await?;
            if let Some(head) = parse_head(&self.buffer)? {
                break head;
            }
        };
        let length = head.head_bytes + head.body_bytes;
        ensure!(length <= MAX_ANSWER, "the answer has {length} bytes, more than {MAX_ANSWER}");
        while self.buffer.len() < length {
            self.read().await?;
        }
        ensure!(self.buffer.len() == length, "{} bytes follow the answer", self.buffer.len() - length);
        Ok(Answer { status: head.status, closes: head.closes, body: &self.buffer[head.head_bytes..] })
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        let read = self.stream.read_buf(&mut self.buffer).await?;
        ensure!(read > 0, "the server closed the connection after {} bytes of an answer", self.buffer.len());
        Ok(())
    }
}

/// `None` when the head is not complete yet.
fn parse_head(buffer: &[u8]) -> anyhow::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let head_bytes = match response.parse(buffer).context("the answer is no HTTP")? {
        httparse::Status::Complete(bytes) => bytes,
        httparse::Status::Partial if buffer.len() < 64 * 1024 => return Ok(None),
        httparse::Status::Partial => bail!("the answer's head does not end"),
    };
    let status = response.code.context("the answer has no status")?;
    let mut head = Head { status, closes: false, head_bytes, body_bytes: 0 };
    for header in response.headers.iter() {
        let value = || std::str::from_utf8(header.value).unwrap_or_default().trim();
        if header.name.eq_ignore_ascii_case("content-length") {
            head.body_bytes = value().parse().context("content-length is no number")?;
        } else if header.name.eq_ignore_ascii_case("connection") {
            head.closes |= value().eq_ignore_ascii_case("close");
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            bail!("the answer is sent with transfer-encoding {:?}, which is not supported", value());
        }
    }
    Ok(Some(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_when_they_are_complete() {
        let check = |text: &str, expected: Option<(u16, bool, usize)>| {
            let head = parse_head(text.as_bytes()).unwrap();
            assert_eq!(head.map(|head| (head.status, head.closes, head.body_bytes)), expected, "{text:?}");
        };
        check("HTTP/1.1 200 OK\r\ncontent-le", None);
        check("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"id\"", Some((200, false, 12)));
        check("HTTP/1.1 204 No Content\r\nconnection: Close\r\n\r\n", Some((204, true, 0)));
        for odd in [
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            "nonsense\r\n\r\n",
        ] {
            assert!(parse_head(odd.as_bytes()).is_err(), "{odd:?}");
        }
    }

    #[test]
    fn a_bill_is_that_of_the_bid_at_its_price() {
        let answer = br#"{"id":"1","seatbid":[{"bid":[{"price":2.10,"burl":"https://t.example/b/x?p=${AUCTION_PRICE}&c=1"}]}]}"#;
        assert_eq!(bill(answer).as_deref(), Some("/b/x?p=2.1&c=1"));
        assert_eq!(bill(br#"{"id":"1","seatbid":[]}"#), None);
        let billing = Billing { track: SocketAddr::from(([127, 0, 0, 1], 1)), per_mille: 100 };
        assert_eq!((0..10_000).filter(|number| billing.chooses(*number)).count(), 1_000);
    }

    #[test]
    fn answers_are_counted_by_what_they_are() {
        let mut tally = Tally::new();
        for (status, body) in [(200, "{}"), (200, "{"), (204, ""), (400, ""), (400, "x"), (503, "")] {
            let answer = Answer { status, closes: false, body: body.as_bytes() };
            tally.record(answer, Duration::from_micros(3));
        }
        assert_eq!((tally.bids, tally.unreadable, tally.no_bids), (1, 1, 1));
        assert_eq!(tally.others, BTreeMap::from([(400, 2), (503, 1)]));
        assert_eq!((tally.answers(), tally.body_bytes), (6, 4));
        assert_eq!(tally.latency_ns.len(), 6);
        assert_eq!(tally.latency_ns.value_at_quantile(0.5) / 10, 300);
    }
}
