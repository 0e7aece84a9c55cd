//! Trials E1 and E2: many connections that send one byte a second, of a head that never ends, or of a body. Who does
//! that must not be felt by those who send whole requests, and must be gone within seconds.

use super::super::account::EXCHANGE;
use super::super::good::{Good, InTurn};
use super::super::http::now;
use super::super::table::{Row, Table};
use super::raw;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Connections.
const SOCKETS: usize = 500;
/// A connection may live so long.
const LONGEST: Duration = Duration::from_secs(6);
/// Of the slow ones and of the calm between them; longer than a slow head is waited for.
const STRETCH: Duration = Duration::from_secs(10);
/// p99 of good traffic may move by so many percent.
const MOST_MOVED: f64 = 10.0;
/// The slow ones take turns: each hundredth comes and sends at its hundredth of the second.
const TURNS: usize = 100;
/// A tenth of them is looked at in each turn.
const LOOKED_AT: usize = 10;

/// What is sent slowly.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Slow {
    /// The head.
    Head,
    /// The body, after a whole head.
    Body,
}

/// What became of the slow connections.
#[derive(Clone, Debug, Default)]
struct Lives {
    /// Ended by the server.
    ended: u64,
    longest: Duration,
}

/// Runs the trial for `time` of slow connections, calm stretches between them.
pub(crate) fn run(to: SocketAddr, slow: Slow, time: Duration, table: &mut Table<'_>) -> anyhow::Result<()> {
    let (trial, what) = match slow {
        Slow::Head => ("E1", "head"),
        Slow::Body => ("E2", "body"),
    };
    let good = Good::at(to);
    good.calm(Duration::from_secs(1));
    let (mut turns, mut lives) = (InTurn::default(), Lives::default());
    let count = time.as_secs().div_ceil(STRETCH.as_secs()).max(2);
    for _ in 0..count {
        let calm = good.calm(STRETCH);
        let stop = AtomicBool::new(false);
        let (beside, seen) = good.during(|| {
            std::thread::scope(|scope| {
                let hand = scope.spawn(|| press(to, slow, &stop));
                std::thread::sleep(STRETCH);
                stop.store(true, Relaxed);
                hand.join()
            })
        });
        let seen = seen.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        lives.ended += seen.ended;
        lives.longest = lives.longest.max(seen.longest);
        turns.add(&calm, &beside);
    }
    let seconds = count * STRETCH.as_secs();
    let (figure, verdict) = turns.judge(MOST_MOVED);
    let (what, limit) = (
        format!("{SOCKETS} sockets × 1 byte/s of {what}, {seconds} s: good traffic"),
        "p99 +10 %".to_owned(),
    );
    table.row(Row { trial, what, figure, limit, verdict });
    let failed = turns.beside().failed();
    table.check(trial, "good requests that fail beside it", failed.to_string(), "0", failed == 0);
    let figure = format!("{} ended, the oldest after {:.2} s", lives.ended, lives.longest.as_secs_f64());
    table.check(
        trial,
        "slow sockets are closed",
        figure,
        "≤ 6 s",
        lives.ended > 0 && lives.longest <= LONGEST,
    );
    Ok(())
}

/// A slow connection.
struct Drip {
    stream: TcpStream,
    since: Instant,
    sent: usize,
}

impl Drip {
    fn open(to: SocketAddr, slow: Slow) -> std::io::Result<Drip> {
        let mut stream = raw::connect(to)?;
        if slow == Slow::Body {
            let head = format!(
                "POST /openrtb2/{EXCHANGE} HTTP/1.1\r\nhost: {to}\r\ncontent-type: application/json\r\n\
                 content-length: 100000\r\n\r\n"
            );
            stream.write_all(head.as_bytes())?;
        }
        stream.set_nonblocking(true)?;
        Ok(Drip { stream, since: now(), sent: 0 })
    }

    /// One more byte; an error shows at the next look.
    fn drip(&mut self, slow: Slow) {
        const HEAD: &[u8] = b"POST /openrtb2/trial HTTP/1.1\r\nhost: x\r\nx-slow: ";
        let byte = match slow {
            Slow::Head => HEAD.get(self.sent).copied().unwrap_or(b'a'),
            Slow::Body => b' ',
        };
        self.sent += self.stream.write(&[byte]).unwrap_or(0);
    }

    /// Whether the server has ended it; what it says before that is not looked at.
    fn is_over(&mut self) -> bool {
        let mut chunk = [0; 512];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return true,
                Ok(_) => (),
                Err(error) if raw::is_pause(&error) => return false,
                Err(_) => return true,
            }
        }
    }
}

/// Keeps all sockets open and dripping until told to stop; who is closed comes back at the next look. They come one
/// after the other in the first second, and so they are closed.
fn press(to: SocketAddr, slow: Slow, stop: &AtomicBool) -> anyhow::Result<Lives> {
    let mut drips: Vec<Option<Drip>> = (0..SOCKETS).map(|_| None).collect();
    let mut lives = Lives::default();
    let (mut next, mut turn) = (now(), 0);
    while !stop.load(Relaxed) {
        for (number, place) in drips.iter_mut().enumerate() {
            let (sends, is_seen) = (number % TURNS == turn % TURNS, number % LOOKED_AT == turn % LOOKED_AT);
            let Some(drip) = place else {
                if sends {
                    *place = Some(Drip::open(to, slow)?);
                }
                continue;
            };
            if is_seen && drip.is_over() {
                lives.ended += 1;
                lives.longest = lives.longest.max(drip.since.elapsed());
                *drip = Drip::open(to, slow)?;
            } else if sends {
                drip.drip(slow);
            }
        }
        turn += 1;
        next += Duration::from_secs(1) / TURNS as u32;
        std::thread::sleep(next.saturating_duration_since(now()));
    }
    // The ones that are still open have lived this long at least.
    for drip in drips.iter_mut().flatten() {
        if !drip.is_over() {
            lives.longest = lives.longest.max(drip.since.elapsed());
        }
    }
    Ok(lives)
}
