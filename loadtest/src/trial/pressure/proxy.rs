//! A proxy between exchange and server that does to bytes what networks do: delays them, lets few through, cuts them
//! into slices, resets connections, swallows everything. The faults are those of Toxiproxy, under its names.
//!
//! Two threads a connection, blocking sockets. It knows nothing of HTTP. A change of the toxics holds for what is read
//! after it, on connections that are open too.

use super::super::dice::Dice;
use super::super::edge::raw;
use super::super::http::now;
use parking_lot::Mutex;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two looks whether the proxy has ended.
const LOOK: Duration = Duration::from_millis(50);

/// A fault, in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Toxic {
    /// None.
    #[default]
    Nothing,
    /// What was read waits so long, and up to so much longer.
    Latency {
        /// At least.
        delay: Duration,
        /// And up to so much more.
        jitter: Duration,
    },
    /// So many bytes a second in each direction.
    Bandwidth {
        /// Bytes.
        bytes_per_s: u64,
    },
    /// Slices of one byte to so many, with a pause after each.
    Slicer {
        /// Longest slice.
        most: u64,
        /// Pause.
        pause: Duration,
    },
    /// After up to so many bytes of one direction both ends are reset.
    ResetPeer {
        /// Bytes at most.
        within: u64,
    },
    /// After up to so many bytes of one direction both ends are closed in good order.
    LimitData {
        /// Bytes at most.
        within: u64,
    },
    /// Nothing passes any more; after so long both ends are closed.
    Timeout {
        /// From the first byte that was swallowed.
        after: Duration,
    },
}

/// What both pumps of a connection share.
struct Shared {
    toxic: Mutex<Toxic>,
    ended: AtomicBool,
    /// Connections that a toxic ended.
    cut: AtomicU64,
}

/// A running proxy; ends with it.
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) at: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens on loopback and passes everything on to `to`.
    pub(crate) fn start(to: SocketAddr, seed: u64) -> anyhow::Result<Proxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let at = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let shared = Shared { toxic: Mutex::default(), ended: false.into(), cut: 0.into() };
        let shared = Arc::new(shared);
        let own = Arc::clone(&shared);
        let acceptor = std::thread::Builder::new().spawn(move || accept(&listener, to, seed, &own))?;
        Ok(Proxy { at, shared, acceptor: Some(acceptor) })
    }

    /// From now on.
    pub(crate) fn set(&self, toxic: Toxic) {
        *self.shared.toxic.lock() = toxic;
    }

    /// Connections that a toxic ended.
    pub(crate) fn cut(&self) -> u64 {
        self.shared.cut.load(SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, SeqCst);
        if let Some(acceptor) = self.acceptor.take() {
            // It has nothing to tell.
            let _ = acceptor.join();
        }
    }
}

fn accept(listener: &TcpListener, to: SocketAddr, seed: u64, shared: &Arc<Shared>) {
    let (mut pumps, mut number) = (Vec::<JoinHandle<()>>::new(), 0);
    while !shared.ended.load(Relaxed) {
        let Ok((here, _)) = listener.accept() else {
            pumps.retain(|pump| !pump.is_finished());
            std::thread::sleep(Duration::from_millis(2));
            continue;
        };
        let Ok(there) = raw::connect(to) else { continue };
        // A listener that does not wait gives sockets that do, but for systems where it does not.
        let whole = here.set_nonblocking(false).and_then(|()| here.set_nodelay(true));
        let (Ok(()), Ok(here_too), Ok(there_too)) = (whole, here.try_clone(), there.try_clone()) else {
            continue;
        };
        let is_reset = Arc::new(AtomicBool::new(false));
        for (from, onto) in [(here, there_too), (there, here_too)] {
            number += 1;
            let (shared, dice, is_reset) =
                (Arc::clone(shared), Dice::new(seed, number), Arc::clone(&is_reset));
            let pump = move || pump(&from, &onto, &shared, dice, &is_reset);
            pumps.extend(std::thread::Builder::new().spawn(pump));
        }
    }
    for pump in pumps {
        // It ends at its next look.
        let _ = pump.join();
    }
}

/// How a direction ended.
enum Over {
    /// The sender has no more to say; the other direction goes on.
    Said,
    /// Both ends go, in good order or by a reset.
    Closed,
    Reset,
}

/// Carries one direction to its end. `is_reset` is the connection's: an end in good order must not overtake a reset.
fn pump(mut from: &TcpStream, mut onto: &TcpStream, shared: &Shared, mut dice: Dice, is_reset: &AtomicBool) {
    let over = match carry(&mut from, &mut onto, shared, &mut dice) {
        Ok(over) => over,
        // One end is gone, and so goes the other.
        Err(_) => Over::Closed,
    };
    let both = [from, onto];
    match over {
        _ if is_reset.load(SeqCst) => (),
        Over::Said => {
            let _gone = onto.shutdown(Shutdown::Write);
        }
        Over::Closed => both.iter().for_each(|end| {
            let _gone = end.shutdown(Shutdown::Both);
        }),
        Over::Reset => {
            is_reset.store(true, SeqCst);
            both.iter().for_each(|end| {
                // With a linger of 0 the last one who drops it resets; the other direction hears of it and does.
                let _gone = socket2::SockRef::from(*end).set_linger(Some(Duration::ZERO));
                let _gone = end.shutdown(Shutdown::Read);
            });
        }
    }
}

fn carry(
    from: &mut &TcpStream,
    onto: &mut &TcpStream,
    shared: &Shared,
    dice: &mut Dice,
) -> std::io::Result<Over> {
    from.set_read_timeout(Some(LOOK))?;
    let (mut chunk, mut passed, mut closes_at) = ([0; 16_384], 0, None);
    // Where a connection is cut is drawn once.
    let cut_at = dice.below(1 << 32);
    loop {
        if shared.ended.load(Relaxed) {
            return Ok(Over::Closed);
        }
        // Whatever the toxic is by then: what follows a gap would be another stream.
        if closes_at.is_some_and(|at| now() >= at) {
            shared.cut.fetch_add(1, SeqCst);
            return Ok(Over::Closed);
        }
        let read = match from.read(&mut chunk) {
            Ok(0) => return Ok(Over::Said),
            Ok(read) => read,
            Err(error) if raw::is_pause(&error) => continue,
            Err(error) => return Err(error),
        };
        let bytes = &chunk[..read];
        let toxic = *shared.toxic.lock();
        match toxic {
            _ if closes_at.is_some() => continue,
            Toxic::Timeout { after } => {
                closes_at = Some(now() + after);
                continue;
            }
            Toxic::Latency { delay, jitter } => {
                let more_us = dice.below(jitter.as_micros() as u64 + 1);
                std::thread::sleep(delay + Duration::from_micros(more_us));
                onto.write_all(bytes)?;
            }
            Toxic::Bandwidth { bytes_per_s } => {
                let each = (bytes_per_s / 100).max(1);
                for piece in bytes.chunks(each as usize) {
                    std::thread::sleep(Duration::from_nanos(
                        1_000_000_000 * piece.len() as u64 / bytes_per_s,
                    ));
                    onto.write_all(piece)?;
                }
            }
            Toxic::Slicer { most, pause } => {
                let mut rest = bytes;
                while !rest.is_empty() {
                    let (piece, more) = rest.split_at((1 + dice.below(most) as usize).min(rest.len()));
                    onto.write_all(piece)?;
                    std::thread::sleep(pause);
                    rest = more;
                }
            }
            Toxic::ResetPeer { within } | Toxic::LimitData { within } => {
                let left = (cut_at % within.max(1)).saturating_sub(passed);
                if left < read as u64 {
                    onto.write_all(&bytes[..left as usize])?;
                    shared.cut.fetch_add(1, SeqCst);
                    return Ok(if matches!(toxic, Toxic::ResetPeer { .. }) {
                        Over::Reset
                    } else {
                        Over::Closed
                    });
                }
                onto.write_all(bytes)?;
            }
            Toxic::Nothing => onto.write_all(bytes)?,
        }
        passed += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// A server that gives every byte back.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let at = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let mut chunk = [0; 4_096];
                    while let Ok(read @ 1..) = stream.read(&mut chunk) {
                        if stream.write_all(&chunk[..read]).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        at
    }

    /// What comes back of `sent` bytes, how it ended, and how long it took.
    fn through(toxic: Toxic, sent: usize) -> (Vec<u8>, raw::End, Duration) {
        let proxy = Proxy::start(echo(), 1).unwrap();
        proxy.set(toxic);
        let mut stream = raw::connect(proxy.at).unwrap();
        let start: Instant = now();
        let bytes: Vec<u8> = (0..sent).map(|n| n as u8).collect();
        stream.write_all(&bytes).unwrap();
        let (mut back, mut chunk) = (Vec::new(), [0; 4_096]);
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let end = loop {
            if back.len() == sent {
                break raw::End::Open;
            }
            match stream.read(&mut chunk) {
                Ok(0) => break raw::End::Closed,
                Ok(read) => back.extend_from_slice(&chunk[..read]),
                Err(error) => {
                    assert!(!raw::is_pause(&error), "{toxic:?}: nothing comes and nothing ends");
                    break raw::End::Reset;
                }
            }
        };
        assert_eq!(back, bytes[..back.len()], "{toxic:?}: what comes is a beginning of what was sent");
        (back, end, start.elapsed())
    }

    #[test]
    fn slow_toxics_keep_every_byte_and_take_their_time() {
        let ms = Duration::from_millis;
        let check = |toxic: Toxic, least: Duration| {
            let (back, end, took) = through(toxic, 2_000);
            assert_eq!((back.len(), end), (2_000, raw::End::Open), "{toxic:?}");
            assert!(took >= least && took < least + ms(4_000), "{toxic:?}: {took:?}");
        };
        check(Toxic::Nothing, ms(0));
        // Once on the way there, once on the way back.
        check(Toxic::Latency { delay: ms(40), jitter: ms(10) }, ms(80));
        check(Toxic::Bandwidth { bytes_per_s: 20_000 }, ms(100));
        check(Toxic::Slicer { most: 100, pause: ms(1) }, ms(20));
    }

    #[test]
    fn cutting_toxics_end_the_connection_each_in_its_way() {
        let (back, end, _) = through(Toxic::LimitData { within: 1_000 }, 2_000);
        assert!(back.len() < 1_000 && end == raw::End::Closed, "{} {end:?}", back.len());
        let (back, end, _) = through(Toxic::ResetPeer { within: 1_000 }, 2_000);
        assert!(back.len() < 1_000 && end == raw::End::Reset, "{} {end:?}", back.len());
        let (back, end, took) = through(Toxic::Timeout { after: Duration::from_millis(150) }, 2_000);
        assert_eq!((back.len(), end), (0, raw::End::Closed));
        assert!(took >= Duration::from_millis(150), "{took:?}");
    }

    #[test]
    fn an_open_connection_feels_a_toxic_that_comes_and_goes() {
        let proxy = Proxy::start(echo(), 1).unwrap();
        let mut stream = raw::connect(proxy.at).unwrap();
        let mut turn = |least_ms| {
            let (start, mut back) = (now(), [0; 3]);
            stream.write_all(b"abc").unwrap();
            stream.read_exact(&mut back).unwrap();
            assert_eq!(&back, b"abc");
            assert!(start.elapsed() >= Duration::from_millis(least_ms));
        };
        turn(0);
        proxy.set(Toxic::Latency { delay: Duration::from_millis(60), jitter: Duration::ZERO });
        turn(120);
        proxy.set(Toxic::Nothing);
        turn(0);
        assert_eq!(proxy.cut(), 0);
    }
}
