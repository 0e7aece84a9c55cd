//! Trials B9 and F7: SIGTERM under load. Whatever was asked is answered; connections end with an answer that says so;
//! the process ends in time, whoever hangs on to it, and at once when it is told twice. F7 is the same behind a proxy
//! that keeps connections, with a second server beside it.
//!
//! The clients behave as a load balancer does: from the moment at which `/readyz` says 503 they open no connection, and
//! use those that are open until they are told that one was the last.

use super::super::account::{self, EXCHANGE, LINES, Plan, UNIT};
use super::super::edge::raw::{self, End};
use super::super::good::Good;
use super::super::http::{Client, now};
use super::super::load::Offer;
use super::super::server::{Server, Site};
use super::super::table::Table;
use super::balancer::Balancer;
use anyhow::{Context, ensure};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::time::Duration;

/// `/readyz` says 503 for so long before connections are closed.
const GRACE: Duration = Duration::from_millis(1_500);
/// And this is the end.
const DEADLINE: Duration = Duration::from_secs(6);
/// Beyond the deadline the process has files to close.
const CLOSING: Duration = Duration::from_secs(2);
/// Drains under load.
const ROUNDS: u64 = 5;
/// Restarts behind the proxy.
const RESTARTS: usize = 4;

/// Runs both.
pub(crate) fn run(program: &Path, dir: &Path, seed: u64, say: &mut dyn FnMut(String)) -> anyhow::Result<()> {
    let mut table = Table::new(say);
    let outcome = under_load(program, &dir.join("load"), seed, ROUNDS, &mut table);
    table.carried("B9", outcome);
    let outcome = stubborn(program, &dir.join("stubborn"), seed, &mut table);
    table.carried("B9", outcome);
    let outcome = behind_a_proxy(program, dir, seed, &mut table);
    table.carried("F7", outcome);
    table.end()
}

fn site(program: &Path, dir: &Path, seed: u64) -> anyhow::Result<Site> {
    let plan = Plan { budgets: [500 * UNIT; 3], dear: false, hold_s: 3 };
    let site = Site::prepare(program, dir, &plan, seed)?.set("ledger.segment_bytes=1048576");
    let site = site.set(&format!("server.drain_grace_ms={}", GRACE.as_millis()));
    Ok(site.set(&format!("server.drain_timeout_ms={}", DEADLINE.as_millis())))
}

/// What the clients of one drain saw.
#[derive(Default)]
struct Seen {
    /// Answers before and after `/readyz` said 503.
    answers: [AtomicU64; 2],
    bills: AtomicU64,
    /// Connections that ended with an answer which said so.
    told: AtomicU64,
    /// What must not be, by kind.
    failed: Mutex<BTreeMap<String, u64>>,
    /// `/readyz` says 503.
    drains: AtomicBool,
}

impl Seen {
    fn fail(&self, what: String) {
        *self.failed.lock().entry(what).or_default() += 1;
    }

    fn answered(&self) {
        self.answers[usize::from(self.drains.load(SeqCst))].fetch_add(1, SeqCst);
    }
}

/// B9: drains under load.
pub(crate) fn under_load(
    program: &Path,
    dir: &Path,
    seed: u64,
    rounds: u64,
    table: &mut Table<'_>,
) -> anyhow::Result<()> {
    let site = site(program, dir, seed)?;
    let (seen, mut longest) = (Seen::default(), Duration::ZERO);
    for round in 0..rounds {
        let mut server = site.start()?;
        seen.drains.store(false, SeqCst);
        let (signalled, ended) = (AtomicBool::new(false), AtomicBool::new(false));
        let code = std::thread::scope(|scope| {
            for who in 0..8 {
                let (site, seen, ended) = (&site, &seen, &ended);
                scope.spawn(move || steady(site, seen, ended, round * 100 + who));
            }
            for _ in 0..2 {
                scope.spawn(|| fresh(&site, &seen));
            }
            scope.spawn(|| half_sent(&site, &seen, &signalled));
            scope.spawn(|| watch(&site, &seen, &ended));
            std::thread::sleep(Duration::from_secs(1));
            let outcome = server.signal("TERM");
            signalled.store(true, SeqCst);
            let start = now();
            let code = outcome.and_then(|()| server.wait_end(DEADLINE + CLOSING));
            longest = longest.max(start.elapsed());
            ended.store(true, SeqCst);
            // Whoever waits for it sees it.
            seen.drains.store(true, SeqCst);
            code
        })?;
        ensure!(code == Some(0), "the server ended with {code:?}; it said: {}", server.said());
    }
    let count = |count: &AtomicU64| count.load(SeqCst);
    let [before, after] = [count(&seen.answers[0]), count(&seen.answers[1])];
    let (bills, told) = (count(&seen.bills), count(&seen.told));
    let failed = seen.failed.lock().clone();
    let figure = format!(
        "{failed:?} of {before} before and {after} after 503, {bills} bills; {told} connections told"
    );
    let is_right = failed.is_empty() && before > 0 && after > 0 && bills > 0 && told > 0;
    table.check(
        "B9",
        format!("{rounds} drains under load: requests that fail, resets"),
        figure,
        "0",
        is_right,
    );
    let figure = format!("exit 0, {:.2} s at most", longest.as_secs_f64());
    table.check("B9", "drains under load: end", figure, format!("{DEADLINE:?}"), longest <= DEADLINE);
    Ok(())
}

/// Asks over connections that stay open, and bills some of its bids.
fn steady(site: &Site, seen: &Seen, ended: &AtomicBool, who: u64) {
    let (mut bids, mut notices) = (Client::new(site.at[0]), Client::new(site.at[1]));
    for number in 0u64.. {
        let (drains, is_open) = (seen.drains.load(SeqCst), bids.is_open());
        if ended.load(SeqCst) || (drains && !is_open) {
            return;
        }
        match bids.bid(EXCHANGE, &account::request(&LINES[0], &format!("{who}-{number}"))) {
            Ok(reply) if matches!(reply.status, 200 | 204) => {
                seen.answered();
                seen.told.fetch_add(u64::from(!bids.is_open()), SeqCst);
                let may_notify = notices.is_open() || !seen.drains.load(SeqCst);
                if reply.status == 200 && number % 5 == 0 && may_notify {
                    bill(&mut notices, &reply, seen);
                }
            }
            Ok(reply) => seen.fail(format!("a bid request is answered {}", reply.status)),
            Err(error) => {
                // A connection that was opened just before the end of the grace is the client's lateness.
                seen.fail(format!("a bid request (open before: {is_open}, 503 seen: {drains}): {error:#}"));
            }
        }
        std::thread::sleep(Duration::from_millis(4));
    }
}

fn bill(notices: &mut Client, reply: &super::super::http::Reply, seen: &Seen) {
    let line = &LINES[0];
    let outcome = Offer::read(reply, line).and_then(|offer| notices.get(&offer.notice(line.bid), ""));
    match outcome {
        Ok(reply) if reply.class == "accepted" => {
            seen.bills.fetch_add(1, SeqCst);
            seen.told.fetch_add(u64::from(!notices.is_open()), SeqCst);
        }
        Ok(reply) => seen.fail(format!("a bill is answered {} {}", reply.status, reply.class)),
        Err(error) => seen.fail(format!("a bill: {error:#}")),
    }
}

/// A new connection for each request, until `/readyz` says 503.
fn fresh(site: &Site, seen: &Seen) {
    while !seen.drains.load(SeqCst) {
        match Client::new(site.at[0]).bid(EXCHANGE, &account::request(&LINES[0], "fresh")) {
            Ok(reply) if matches!(reply.status, 200 | 204) => seen.answered(),
            Ok(reply) => seen.fail(format!("a request on a new connection is answered {}", reply.status)),
            Err(error) => seen.fail(format!("a request on a new connection: {error:#}")),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Half of a request before connections are closed, the other half after: it was in flight.
fn half_sent(site: &Site, seen: &Seen, signalled: &AtomicBool) {
    let body = account::request(&LINES[0], "half");
    let head = format!(
        "POST /openrtb2/{EXCHANGE} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{}",
        body.len(),
        &body[..20]
    );
    while !signalled.load(SeqCst) {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(GRACE.saturating_sub(Duration::from_millis(250)));
    let mut streams: Vec<TcpStream> = (0..10).filter_map(|_| raw::connect(site.at[0]).ok()).collect();
    streams.iter_mut().for_each(|stream| raw::send(stream, head.as_bytes()));
    std::thread::sleep(Duration::from_millis(750));
    for mut stream in streams {
        raw::send(&mut stream, &body.as_bytes()[20..]);
        let heard = raw::listen(&mut stream, Duration::from_secs(2));
        let answers =
            heard.as_ref().map_err(ToString::to_string).and_then(|heard| raw::answers(&heard.bytes));
        match (answers.as_deref(), heard.map(|heard| heard.end)) {
            (Ok([200 | 204]), Ok(End::Closed)) => seen.answered(),
            (answers, end) => seen.fail(format!("a request that was half sent: {answers:?} {end:?}")),
        }
    }
}

/// What a load balancer does: asks how the server is, ten times a second.
fn watch(site: &Site, seen: &Seen, ended: &AtomicBool) {
    while !ended.load(Relaxed) && !seen.drains.load(SeqCst) {
        let ready = site.readyz().is_ok_and(|reply| reply.status == 200);
        if !ready {
            seen.drains.store(true, SeqCst);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// B9: requests that never end do not keep the process, and a second signal ends it at once.
fn stubborn(program: &Path, dir: &Path, seed: u64, table: &mut Table<'_>) -> anyhow::Result<()> {
    let patient =
        |site: Site| site.set("server.body_timeout_ms=600000").set("server.header_timeout_ms=600000");
    let site = patient(site(program, dir, seed)?);
    for (name, twice) in [("50 requests that never end", false), ("a second SIGTERM", true)] {
        let mut server = site.start()?;
        let mut hanging = Vec::new();
        for number in 0..50 {
            let mut stream = raw::connect(site.at[number % 2])?;
            raw::send(
                &mut stream,
                b"POST /openrtb2/trial HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{",
            );
            hanging.push(stream);
        }
        std::thread::sleep(Duration::from_millis(300));
        server.signal("TERM")?;
        let mut start = now();
        if twice {
            std::thread::sleep(Duration::from_millis(500));
            ensure!(site.readyz()?.status == 503, "/readyz is not 503 while the server drains");
            server.signal("TERM")?;
            start = now();
        }
        let code = server.wait_end(DEADLINE + CLOSING)?;
        let (took, said) = (start.elapsed(), server.said());
        let figure = format!("exit {code:?} after {:.2} s", took.as_secs_f64());
        match twice {
            false => table.check(
                "B9",
                name,
                figure,
                format!("0, ≤ {DEADLINE:?} (+ {CLOSING:?} to close files)"),
                code == Some(0) && took <= DEADLINE + CLOSING,
            ),
            true => table.check(
                "B9",
                name,
                figure,
                "not 0, ≤ 1 s",
                code != Some(0) && took <= Duration::from_secs(1) && said.contains("second signal"),
            ),
        }
    }
    Ok(())
}

/// F7: two servers behind a proxy, restarted in turn.
fn behind_a_proxy(program: &Path, dir: &Path, seed: u64, table: &mut Table<'_>) -> anyhow::Result<()> {
    let sites = [site(program, &dir.join("one"), seed)?, site(program, &dir.join("two"), seed + 1)?];
    let mut servers: Vec<Server> = sites.iter().map(Site::start).collect::<Result<_, _>>()?;
    let proxy = Balancer::start(&[(sites[0].at[0], sites[0].at[3]), (sites[1].at[0], sites[1].at[3])])?;
    let good = Good { rate: 1_000, connections: 16, ..Good::at(proxy.at) };
    let (seen, outcome) = good.during(|| -> anyhow::Result<Duration> {
        let mut longest = Duration::ZERO;
        for restart in 0..RESTARTS {
            let at = restart % 2;
            std::thread::sleep(Duration::from_secs(1));
            let start = now();
            servers[at].stop().with_context(|| format!("restart {restart}"))?;
            longest = longest.max(start.elapsed());
            servers[at] = sites[at].start()?;
            std::thread::sleep(Duration::from_millis(500));
        }
        Ok(longest)
    });
    let longest = outcome?;
    let (lost, nowhere) = proxy.lost();
    let figure = format!(
        "{} failed of {} requests ({} with a bid, {:?}); {lost} lost by a server, {nowhere} with no server ready",
        seen.failed(),
        seen.asked(),
        seen.bids,
        seen.others
    );
    let is_right = seen.failed() == 0 && lost + nowhere == 0 && seen.bids > 0;
    table.check(
        "F7",
        format!("{RESTARTS} restarts in turn behind a keep-alive proxy"),
        figure,
        "0 failed",
        is_right,
    );
    let figure = format!("exit 0, {:.2} s at most", longest.as_secs_f64());
    table.check("F7", "drains behind it: end", figure, format!("{DEADLINE:?}"), longest <= DEADLINE);
    for server in &mut servers {
        server.stop()?;
    }
    Ok(())
}
