//! Bytes over TCP, and what answers a stream of bytes holds. Nothing here knows what a good request is.

use super::super::http::now;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// How long a connection may take, and one that is stuck.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a connection was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The server ended it.
    Closed,
    /// The server, or its system, reset it.
    Reset,
    /// It is still open.
    Open,
}

/// What came over a connection.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
    /// How it ended.
    pub(crate) end: End,
}

/// A connection.
pub(crate) fn connect(to: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// A connection from another address of loopback, because the server counts connections by address.
pub(crate) fn connect_from(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect_timeout(&to.into(), PATIENCE)?;
    Ok(socket.into())
}

/// Closes a connection with a reset instead of an end (`SO_LINGER` of 0, socket(7)).
pub(crate) fn reset(stream: TcpStream) -> std::io::Result<()> {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))
}

/// Writes all of it, or as much as the server takes.
pub(crate) fn send(stream: &mut TcpStream, bytes: &[u8]) {
    // A server that refuses what it has seen may close before it has all; what it answered can still be read.
    let _ = stream.write_all(bytes);
}

/// Reads until the server closes or nothing came for `quiet`.
pub(crate) fn listen(stream: &mut TcpStream, quiet: Duration) -> std::io::Result<Heard> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 16_384]);
    let mut until = now() + quiet;
    loop {
        let left = until.saturating_duration_since(now());
        if left.is_zero() {
            return Ok(Heard { bytes, end: End::Open });
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(Heard { bytes, end: End::Closed }),
            Ok(read) => {
                bytes.extend_from_slice(&chunk[..read]);
                until = now() + quiet;
            }
            Err(error) if is_pause(&error) => (),
            Err(_) => return Ok(Heard { bytes, end: End::Reset }),
        }
    }
}

/// Whether an error only says that nothing is there yet.
pub(crate) fn is_pause(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}

/// The statuses of the final answers in a stream, read strictly (RFC 9112 sections 4 and 6.3); interim ones (1xx) are
/// left out. An error says what is no answer: trailing bytes are as wrong as a second answer.
pub(crate) fn answers(mut bytes: &[u8]) -> Result<Vec<u16>, String> {
    let mut statuses = Vec::new();
    while !bytes.is_empty() {
        let shown = || String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.ok_or_else(|| format!("an answer without an end of its head: {:?}", shown()))?;
        let head = std::str::from_utf8(&bytes[..end]).map_err(|_| format!("no text: {:?}", shown()))?;
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let is_http = first.starts_with("HTTP/1.1 ") || first.starts_with("HTTP/1.0 ");
        let status = first.get(9..12).filter(|_| is_http).and_then(|status| status.parse::<u16>().ok());
        let status = status.ok_or_else(|| format!("no answer: {:?}", shown()))?;
        let rest = &bytes[end + 4..];
        let length = body_length(status, lines, rest)?;
        if length > rest.len() {
            return Err(format!("a body of {} bytes where {length} were announced", rest.len()));
        }
        if status >= 200 {
            statuses.push(status);
        }
        bytes = &rest[length..];
    }
    Ok(statuses)
}

/// How many bytes of `rest` are the body.
fn body_length<'h>(status: u16, fields: impl Iterator<Item = &'h str>, rest: &[u8]) -> Result<usize, String> {
    let mut length = None;
    for (name, value) in fields.filter_map(|line| line.split_once(':')) {
        match name.to_ascii_lowercase().as_str() {
            "transfer-encoding" => {
                return Err("an answer in chunks, which this server never gives".to_owned());
            }
            "content-length" => {
                let value = value.trim();
                length = Some(value.parse().map_err(|_| format!("content-length: {value}"))?);
            }
            _ => {}
        }
    }
    if matches!(status, 100..=199 | 204 | 304) {
        return Ok(0);
    }
    // Without a length the body is everything until the connection's end.
    Ok(length.unwrap_or(rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BID: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
    const NOTHING: &str = "HTTP/1.1 204 No Content\r\n\r\n";
    const REFUSED: &str = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

    #[test]
    fn a_second_answer_in_a_stream_is_found() {
        let check = |parts: &[&str], expected: &[u16]| {
            assert_eq!(answers(parts.concat().as_bytes()).as_deref(), Ok(expected), "{parts:?}");
        };
        check(&[], &[]);
        check(&[BID], &[200]);
        check(&[BID, BID], &[200, 200]);
        check(&[NOTHING, REFUSED], &[204, 400]);
        check(&[BID, NOTHING, BID], &[200, 204, 200]);
        check(&["HTTP/1.1 100 Continue\r\n\r\n", BID], &[200]);
        // A body that looks like an answer is none.
        let inner = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{BID}", BID.len());
        check(&[&inner], &[200]);
        check(&["HTTP/1.1 200 OK\r\n\r\n", BID], &[200]);
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for (bytes, expected) in [
            ("garbage", "without an end"),
            ("HTTP/2 200\r\n\r\n", "no answer"),
            ("HTTP/1.1 2x0 OK\r\n\r\n", "no answer"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}", "announced"),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "chunks"),
            (&format!("{NOTHING}x"), "without an end"),
        ] {
            let error = answers(bytes.as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{bytes:?}: {error}");
        }
    }

    #[test]
    fn listening_tells_an_end_a_reset_and_silence_apart() {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let to = listener.local_addr().unwrap();
        let check = |serve: &dyn Fn(TcpStream) -> Option<TcpStream>, expected: End| {
            let mut here = connect(to).unwrap();
            let kept = serve(listener.accept().unwrap().0);
            let heard = listen(&mut here, Duration::from_millis(100)).unwrap();
            assert_eq!(heard.end, expected);
            drop(kept);
        };
        check(&|_closed| None, End::Closed);
        check(&Some, End::Open);
        check(
            &|stream| {
                reset(stream).unwrap();
                None
            },
            End::Reset,
        );
    }
}
