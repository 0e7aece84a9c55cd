//! A small proxy for HTTP in front of several servers, as stands in front of ours in production: it keeps connections to
//! them open, asks each how it is, and sends new requests to those that are ready. It never sends a request twice, so
//! that whatever a server loses shows.

use super::super::edge::raw;
use super::super::http::Client;
use parking_lot::Mutex;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two looks how a server is.
const CHECK: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(20);

/// A server behind the balancer.
struct Backend {
    to: SocketAddr,
    ops: SocketAddr,
    ready: AtomicBool,
    /// Connections without a request.
    idle: Mutex<Vec<TcpStream>>,
}

struct Shared {
    backends: Vec<Backend>,
    next: AtomicUsize,
    ended: AtomicBool,
    /// Requests that a server did not answer.
    lost: AtomicU64,
    /// Requests that found no server ready.
    nowhere: AtomicU64,
}

/// A running balancer; ends with it.
pub(crate) struct Balancer {
    /// Where it listens.
    pub(crate) at: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Balancer {
    /// Stands before servers, each with its listener and its operations listener.
    pub(crate) fn start(servers: &[(SocketAddr, SocketAddr)]) -> anyhow::Result<Balancer> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let at = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let backend = |&(to, ops)| Backend { to, ops, ready: false.into(), idle: Mutex::default() };
        let shared = Arc::new(Shared {
            backends: servers.iter().map(backend).collect(),
            next: 0.into(),
            ended: false.into(),
            lost: 0.into(),
            nowhere: 0.into(),
        });
        shared.check();
        let (checks, accepts) = (Arc::clone(&shared), Arc::clone(&shared));
        let check = move || {
            while !checks.ended.load(Relaxed) {
                checks.check();
                std::thread::sleep(CHECK);
            }
        };
        let threads = vec![
            std::thread::Builder::new().spawn(check)?,
            std::thread::Builder::new().spawn(move || accept(&listener, &accepts))?,
        ];
        Ok(Balancer { at, shared, threads })
    }

    /// Requests that a server did not answer, and those that found none ready.
    pub(crate) fn lost(&self) -> (u64, u64) {
        (self.shared.lost.load(SeqCst), self.shared.nowhere.load(SeqCst))
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.shared.ended.store(true, SeqCst);
        for thread in self.threads.drain(..) {
            // It has nothing to tell.
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    while !shared.ended.load(Relaxed) {
        match listener.accept() {
            Ok((stream, _)) => {
                let shared = Arc::clone(shared);
                threads.extend(std::thread::Builder::new().spawn(move || {
                    // A client that breaks off is its own business.
                    let _ = shared.serve(stream);
                }));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
    for thread in threads {
        let _ = thread.join();
    }
}

impl Shared {
    /// Asks every server how it is.
    fn check(&self) {
        for backend in &self.backends {
            let ready = Client::new(backend.ops).get("/readyz", "").is_ok_and(|reply| reply.status == 200);
            backend.ready.store(ready, SeqCst);
            if !ready {
                // It is about to close them.
                backend.idle.lock().clear();
            }
        }
    }

    /// One client's connection.
    fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        client.set_nonblocking(false)?;
        client.set_nodelay(true)?;
        client.set_read_timeout(Some(Duration::from_millis(50)))?;
        let (mut request, mut answer) = (Vec::new(), Vec::new());
        while !self.ended.load(Relaxed) {
            match read_message(&mut client, &mut request) {
                Ok(true) => (),
                Ok(false) => return Ok(()),
                Err(error) if raw::is_pause(&error) => continue,
                Err(error) => return Err(error),
            }
            let place = self.next.fetch_add(1, Relaxed);
            let backends =
                (0..self.backends.len()).map(|n| &self.backends[(place + n) % self.backends.len()]);
            let passed = match backends.into_iter().find(|backend| backend.ready.load(SeqCst)) {
                Some(backend) => backend.pass(&request, &mut answer).inspect_err(|_| {
                    self.lost.fetch_add(1, SeqCst);
                }),
                None => {
                    self.nowhere.fetch_add(1, SeqCst);
                    Err(std::io::ErrorKind::NotConnected.into())
                }
            };
            if passed.is_err() {
                answer = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n".to_vec();
            }
            request.clear();
            client.write_all(&answer)?;
        }
        Ok(())
    }
}

impl Backend {
    /// Sends a request over a connection that is open and silent, or a new one, and reads its answer.
    fn pass(&self, request: &[u8], answer: &mut Vec<u8>) -> std::io::Result<()> {
        let kept = loop {
            let Some(stream) = self.idle.lock().pop() else { break None };
            if is_silent(&stream) {
                break Some(stream);
            }
        };
        let mut stream = match kept {
            Some(stream) => stream,
            None => raw::connect(self.to)?,
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request)?;
        answer.clear();
        if !read_message(&mut stream, answer)? {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        // `Connection` is for the next hop alone (RFC 9110 section 7.6.1).
        if !take_field(answer, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            self.idle.lock().push(stream);
        }
        Ok(())
    }
}

/// Open, and nothing came that nobody asked for.
fn is_silent(stream: &TcpStream) -> bool {
    let quiet = stream.set_nonblocking(true).is_ok()
        && stream.peek(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
    quiet && stream.set_nonblocking(false).is_ok()
}

/// Reads one message to its end; what came of it stays in `message` when a read takes too long. False: the connection
/// ended before it.
fn read_message(stream: &mut TcpStream, message: &mut Vec<u8>) -> std::io::Result<bool> {
    let mut chunk = [0; 16_384];
    while !is_whole(message) {
        match stream.read(&mut chunk)? {
            0 if message.is_empty() => return Ok(false),
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => message.extend_from_slice(&chunk[..read]),
        }
    }
    Ok(true)
}

/// Whether a message is there as a whole; the ones that pass here have a `content-length` or no body.
fn is_whole(message: &[u8]) -> bool {
    let Some(end) = message.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&message[..end]);
    let length = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
    let length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = length.filter_map(|(_, value)| value.trim().parse::<usize>().ok()).next().unwrap_or(0);
    message.len() >= end + 4 + length
}

/// Takes a field out of the head; its value.
fn take_field(message: &mut Vec<u8>, name: &str) -> Option<String> {
    let mut at = 0;
    loop {
        let length = message[at..].windows(2).position(|window| window == b"\r\n")?;
        let line = String::from_utf8_lossy(&message[at..at + length]).into_owned();
        match line.split_once(':') {
            Some((field, value)) if field.eq_ignore_ascii_case(name) => {
                message.drain(at..at + length + 2);
                return Some(value.trim().to_owned());
            }
            _ if line.is_empty() => return None,
            _ => at += length + 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_whole_with_its_body_and_its_connection_field_is_taken_out() {
        let mut message = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nConnection: close\r\n\r\nabc".to_vec();
        assert!(is_whole(&message) && !is_whole(&message[..message.len() - 1]) && !is_whole(b"HTTP/1.1 2"));
        assert_eq!(take_field(&mut message, "connection").as_deref(), Some("close"));
        assert_eq!(message, b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc");
        assert_eq!(take_field(&mut message, "connection"), None);
        assert!(is_whole(b"HTTP/1.1 204 No Content\r\n\r\n"));
    }
}
