//! The exchange: bids over keep-alive connections as fast as they are answered, and bills for a share of them: at
//! once, late, twice at the same time, again later, again with another price, and again whenever one was not answered.

use super::account::{self, EXCHANGE, LINES, Line};
use super::book::{Answered, Bill, Book};
use super::dice::Dice;
use super::http::{Client, Reply, now};
use super::server::Site;
use anyhow::Context;
use parking_lot::{Condvar, Mutex};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How hard the exchange pushes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pressure {
    /// Connections that ask for bids, each with one request in flight.
    pub(crate) bidders: u64,
    /// Bid requests a second over all of them; 0: as many as are answered.
    pub(crate) asks_per_s: u64,
    /// Connections that notices go over.
    pub(crate) notifiers: u64,
    /// New bills a second.
    pub(crate) bills_per_s: u64,
    /// Longest delay of a bill.
    pub(crate) max_delay: Duration,
}

/// A send that waits for its moment.
struct Job {
    due: Instant,
    number: u64,
    bill: Arc<Bill>,
    /// Sent although it was answered for.
    duplicate: bool,
    other_price: bool,
}

impl Ord for Job {
    fn cmp(&self, other: &Job) -> std::cmp::Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

impl PartialOrd for Job {
    fn partial_cmp(&self, other: &Job) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Job {
    fn eq(&self, other: &Job) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Job {}

/// What all threads of the exchange share.
pub(crate) struct Shared {
    pub(crate) site: Site,
    pub(crate) book: Book,
    pressure: Pressure,
    seed: u64,
    /// Whether bids are asked for.
    bidding: AtomicBool,
    ended: AtomicBool,
    /// Answers with a bid of the purse that has money, and with a bid of any.
    pub(crate) deep_bids: AtomicU64,
    pub(crate) bids: AtomicU64,
    /// Answers without one.
    pub(crate) no_bids: AtomicU64,
    start: Instant,
    next_bill_ns: AtomicU64,
    jobs: Mutex<BinaryHeap<Reverse<Job>>>,
    news: Condvar,
    numbers: AtomicU64,
    /// Jobs that are taken and not yet done.
    busy: AtomicU64,
    /// How long each answered notice took from the moment at which it was due, in microseconds; filled while somebody
    /// asks for it.
    pub(crate) latencies_us: Mutex<Option<Vec<u32>>>,
}

/// The running exchange; ends with it.
pub(crate) struct Exchange {
    pub(crate) shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Exchange {
    /// Starts to ask for bids and to bill.
    pub(crate) fn start(site: &Site, pressure: Pressure, seed: u64) -> anyhow::Result<Exchange> {
        let shared = Arc::new(Shared {
            site: site.clone(),
            book: Book::default(),
            pressure,
            seed,
            bidding: true.into(),
            ended: false.into(),
            deep_bids: 0.into(),
            bids: 0.into(),
            no_bids: 0.into(),
            start: now(),
            next_bill_ns: 0.into(),
            jobs: Mutex::default(),
            news: Condvar::new(),
            numbers: 0.into(),
            busy: 0.into(),
            latencies_us: Mutex::new(None),
        });
        let mut threads = Vec::new();
        for who in 0..pressure.bidders {
            let shared = Arc::clone(&shared);
            threads.push(std::thread::Builder::new().spawn(move || shared.ask(who)).context("thread")?);
        }
        for who in 0..pressure.notifiers {
            let shared = Arc::clone(&shared);
            threads.push(
                std::thread::Builder::new().spawn(move || shared.notify(1_000 + who)).context("thread")?,
            );
        }
        Ok(Exchange { shared, threads })
    }

    /// Stops asking for bids and waits until every bill is answered for good.
    pub(crate) fn quiesce(&self, limit: Duration) -> anyhow::Result<()> {
        self.shared.bidding.store(false, SeqCst);
        let start = now();
        while start.elapsed() < limit {
            // A bidder that was on its way has come by then.
            std::thread::sleep(Duration::from_millis(200));
            let jobs = self.shared.jobs.lock();
            if jobs.is_empty() && self.shared.busy.load(SeqCst) == 0 {
                return Ok(());
            }
        }
        anyhow::bail!("bills are still unanswered after {limit:?}")
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.shared.bidding.store(false, SeqCst);
        {
            // Under the lock, so that nobody looks before and waits after.
            let _jobs = self.shared.jobs.lock();
            self.shared.ended.store(true, SeqCst);
            self.shared.news.notify_all();
        }
        for thread in self.threads.drain(..) {
            // It has told the book whatever there is to tell.
            let _ = thread.join();
        }
    }
}

/// A bid as it was answered.
pub(crate) struct Offer {
    /// Path and query of its `burl`, macros in place.
    pub(crate) burl: String,
}

impl Offer {
    /// Reads an answer with one bid.
    pub(crate) fn read(reply: &Reply, line: &Line) -> anyhow::Result<Offer> {
        let answer: serde_json::Value = serde_json::from_slice(&reply.body)?;
        let bid = &answer["seatbid"][0]["bid"][0];
        let price = bid["price"].to_string();
        let price: f64 = price.parse().with_context(|| format!("no price in {answer}"))?;
        anyhow::ensure!((price * 1e6).round() as i64 == line.bid, "{price} is not the bid of {line:?}");
        let burl = bid["burl"].as_str().context("no burl")?;
        let path =
            burl.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| rest[at..].to_owned()));
        Ok(Offer { burl: path.context("burl has no path")? })
    }

    /// The notice at a price in nanos an impression, every other macro as an exchange fills it.
    pub(crate) fn notice(&self, price: i64) -> String {
        let mut url = self.burl.replace("${AUCTION_PRICE}", &account::cpm(price));
        url = url.replace("${AUCTION_CURRENCY}", "USD");
        while let Some(at) = url.find("${") {
            let end = url[at..].find('}').map_or(url.len(), |end| at + end + 1);
            url.replace_range(at..end, "");
        }
        url
    }
}

impl Shared {
    /// One bidder.
    fn ask(&self, who: u64) {
        let mut dice = Dice::new(self.seed, who);
        let mut client = Client::new(self.site.at[0]);
        let every = Duration::from_nanos(
            (1_000_000_000 * self.pressure.bidders).checked_div(self.pressure.asks_per_s).unwrap_or(0),
        );
        let mut next = now();
        let mut count = 0u64;
        while !self.ended.load(Relaxed) {
            // What a dead server missed is not made up for: the rate before and after must be one.
            next = (next + every).max(now() - every);
            std::thread::sleep(next.saturating_duration_since(now()));
            if !self.bidding.load(Relaxed) {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            }
            let line = match dice.below(10) {
                0 => &LINES[1],
                1 => &LINES[2],
                _ => &LINES[0],
            };
            count += 1;
            match client.bid(EXCHANGE, &account::request(line, &format!("{who}-{count}"))) {
                Ok(reply) if reply.status == 200 => {
                    self.bids.fetch_add(1, Relaxed);
                    self.deep_bids.fetch_add(u64::from(line.id == 1), Relaxed);
                    if self.is_bill_due() {
                        self.bill(&reply, line, &mut dice);
                    }
                }
                Ok(reply) if reply.status == 204 => {
                    self.no_bids.fetch_add(1, Relaxed);
                }
                Ok(reply) => self.book.fault(format!("a good bid request is answered {}", reply.status)),
                // The server is down: the bid is lost, and was never known.
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Whether the next bill's moment has come.
    fn is_bill_due(&self) -> bool {
        let every_ns = 1_000_000_000 / self.pressure.bills_per_s.max(1);
        let now_ns = self.start.elapsed().as_nanos() as u64;
        let next = self.next_bill_ns.load(Relaxed);
        // What was missed while the server was down is caught up for a tenth of a second.
        let after = next.max(now_ns.saturating_sub(100_000_000)) + every_ns;
        now_ns >= next && self.next_bill_ns.compare_exchange(next, after, Relaxed, Relaxed).is_ok()
    }

    fn bill(&self, reply: &Reply, line: &Line, dice: &mut Dice) {
        let offer = match Offer::read(reply, line) {
            Ok(offer) => offer,
            Err(error) => return self.book.fault(format!("an answer with a bid is wrong: {error:#}")),
        };
        let price = match dice.below(100) {
            0 => line.bid + 1 + dice.below(line.bid as u64) as i64,
            1..50 => line.bid,
            _ => line.bid / 2 + dice.below(line.bid as u64 / 2) as i64,
        };
        let bill = Bill::new(offer.notice(price), offer.notice(price / 2 + 1), line, price);
        let delayed = dice.chance(500);
        let delay_ms = if delayed { dice.below(self.pressure.max_delay.as_millis() as u64 + 1) } else { 0 };
        let due = now() + Duration::from_millis(delay_ms);
        // Some come over two connections at the same moment.
        let twins = 1 + u32::from(dice.chance(30));
        self.book.open(&bill, twins);
        for _ in 0..twins {
            self.push(due, &bill, false, false);
        }
    }

    fn push(&self, due: Instant, bill: &Arc<Bill>, duplicate: bool, other_price: bool) {
        let number = self.numbers.fetch_add(1, Relaxed);
        let job = Job { due, number, bill: Arc::clone(bill), duplicate, other_price };
        self.jobs.lock().push(Reverse(job));
        self.news.notify_one();
    }

    /// One connection for notices.
    fn notify(&self, who: u64) {
        let mut dice = Dice::new(self.seed, who);
        let mut client = Client::new(self.site.at[1]);
        while let Some(job) = self.next_job() {
            let path = if job.other_price { &job.bill.other_path } else { &job.bill.path };
            let reply = client.get(path, "");
            if let (Ok(reply), Some(latencies)) = (&reply, &mut *self.latencies_us.lock())
                && reply.status == 204
            {
                latencies.push(job.due.elapsed().as_micros().min(u128::from(u32::MAX)) as u32);
            }
            let answered = match (&reply, job.duplicate) {
                (Ok(reply), true) => self.book.duplicate(&job.bill, reply.status, &reply.class),
                (Ok(reply), false) => self.book.answer(&job.bill, reply.status, Some(&reply.class)),
                (Err(_), false) if !client.sent => Answered::Again,
                (Err(_), true) => Answered::Again,
                (Err(_), false) => self.book.answer(&job.bill, 0, None),
            };
            if answered == Answered::Again {
                let due = now() + Duration::from_millis(50 + dice.below(200));
                self.push(due, &job.bill, job.duplicate, job.other_price);
            } else if !job.duplicate && dice.chance(100) {
                // An exchange that is not sure sends it again, now or after the next crash.
                let due = now() + Duration::from_millis(dice.below(6_000));
                self.push(due, &job.bill, true, dice.chance(300));
            }
            self.busy.fetch_sub(1, SeqCst);
        }
    }

    /// The next job when it is due, counted as busy; `None` at the end.
    fn next_job(&self) -> Option<Job> {
        let mut jobs = self.jobs.lock();
        loop {
            if self.ended.load(SeqCst) {
                return None;
            }
            let wait = match jobs.peek() {
                None => Duration::from_secs(10),
                Some(Reverse(job)) => job.due.saturating_duration_since(now()),
            };
            if wait.is_zero() {
                self.busy.fetch_add(1, SeqCst);
                return jobs.pop().map(|Reverse(job)| job);
            }
            self.news.wait_for(&mut jobs, wait);
        }
    }
}
