//! One keep-alive connection that never blocks: a request goes out, its whole answer comes in, then the next.
//!
//! Deliberately absent: pipelining, chunked answers (an error here), and any reading of a clock.

use rustix::event::epoll::{self, EventData, EventFlags};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// How long the first connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// The longest answer that is read.
const MAX_ANSWER: usize = 4 << 20;

/// The longest head of an answer.
const MAX_HEAD: usize = 64 << 10;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// No connection could be made.
    Connect,
    /// The server ended the connection in an orderly way before the answer was complete.
    Closed,
    /// The connection broke.
    Reset,
    /// What came is no HTTP/1.1 answer of known length.
    Protocol,
}

/// Where a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Not yet connected.
    Connecting,
    /// May be sent on.
    Idle,
    /// A request is on its way out or its answer on its way in.
    Busy,
    /// Of no use until it is opened again.
    Broken,
}

/// What an event brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing that anybody waits for.
    Nothing,
    /// It is connected now.
    Connected,
    /// The answer is complete.
    Answer(Head),
}

/// The head of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// HTTP status.
    pub(crate) status: u16,
    /// Whether the server will close the connection.
    pub(crate) closes: bool,
    /// Whether the body is compressed with gzip.
    pub(crate) is_gzip: bool,
    /// Where the value of `x-outbid-notice` stands in the head; empty where there is none.
    class: (usize, usize),
    head_bytes: usize,
    body_bytes: usize,
}

/// A connection, registered with an epoll instance under a token.
#[derive(Debug)]
pub(crate) struct Wire {
    address: SocketAddr,
    token: u64,
    stream: Option<TcpStream>,
    state: State,
    /// What of the request could not be written yet.
    unwritten: Vec<u8>,
    buffer: Vec<u8>,
    filled: usize,
    head: Option<Head>,
}

impl Wire {
    /// Connects and waits for it.
    pub(crate) fn connect(epoll: &OwnedFd, address: SocketAddr, token: u64) -> std::io::Result<Wire> {
        let stream = TcpStream::connect_timeout(&address, CONNECT_LIMIT)?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        epoll::add(epoll, &stream, EventData::new_u64(token), EventFlags::IN)?;
        Ok(Wire {
            address,
            token,
            stream: Some(stream),
            state: State::Idle,
            unwritten: Vec::new(),
            buffer: vec![0; 8 << 10],
            filled: 0,
            head: None,
        })
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Closes it, whatever it was doing.
    pub(crate) fn close(&mut self) {
        // The kernel takes a closed socket out of the epoll instance.
        self.stream = None;
        self.state = State::Broken;
        self.unwritten.clear();
        (self.filled, self.head) = (0, None);
    }

    /// Begins to connect anew; does not wait.
    pub(crate) fn reopen(&mut self, epoll: &OwnedFd) -> Result<(), Fault> {
        self.close();
        let opened = (|| {
            let kind = Type::STREAM.nonblocking().cloexec();
            let socket = Socket::new(Domain::for_address(self.address), kind, Some(Protocol::TCP))?;
            socket.set_tcp_nodelay(true)?;
            match socket.connect(&self.address.into()) {
                Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
                    return Err(error);
                }
                _ => {}
            }
            let stream = TcpStream::from(socket);
            epoll::add(epoll, &stream, EventData::new_u64(self.token), EventFlags::IN | EventFlags::OUT)?;
            Ok(stream)
        })();
        match opened {
            Ok(stream) => {
                self.stream = Some(stream);
                self.state = State::Connecting;
                Ok(())
            }
            Err(_) => Err(Fault::Connect),
        }
    }

    /// Sends a request on an idle connection.
    pub(crate) fn send(&mut self, epoll: &OwnedFd, request: &[u8]) -> Result<(), Fault> {
        debug_assert_eq!(self.state, State::Idle);
        let Some(stream) = &mut self.stream else { return Err(Fault::Connect) };
        self.state = State::Busy;
        (self.filled, self.head) = (0, None);
        let written = match stream.write(request) {
            Ok(written) => written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(_) => return Err(Fault::Reset),
        };
        if written < request.len() {
            self.unwritten.extend_from_slice(&request[written..]);
            self.listen_for(epoll, EventFlags::IN | EventFlags::OUT)?;
        }
        Ok(())
    }

    fn listen_for(&self, epoll: &OwnedFd, flags: EventFlags) -> Result<(), Fault> {
        let Some(stream) = &self.stream else { return Err(Fault::Connect) };
        epoll::modify(epoll, stream, EventData::new_u64(self.token), flags).map_err(|_| Fault::Reset)
    }

    /// Does what an event allows. After an answer the connection is idle.
    pub(crate) fn on_event(&mut self, epoll: &OwnedFd, flags: EventFlags) -> Result<Progress, Fault> {
        match self.state {
            State::Connecting => self.on_connected(epoll),
            State::Broken => Ok(Progress::Nothing),
            State::Idle | State::Busy => {
                if flags.contains(EventFlags::OUT) && !self.unwritten.is_empty() {
                    self.write_on(epoll)?;
                }
                if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
                    return self.read_on();
                }
                Ok(Progress::Nothing)
            }
        }
    }

    fn on_connected(&mut self, epoll: &OwnedFd) -> Result<Progress, Fault> {
        let error = self.stream.as_ref().map(TcpStream::take_error);
        if !matches!(error, Some(Ok(None))) {
            return Err(Fault::Connect);
        }
        self.listen_for(epoll, EventFlags::IN)?;
        self.state = State::Idle;
        Ok(Progress::Connected)
    }

    fn write_on(&mut self, epoll: &OwnedFd) -> Result<(), Fault> {
        let Some(stream) = &mut self.stream else { return Err(Fault::Connect) };
        match stream.write(&self.unwritten) {
            Ok(written) => drop(self.unwritten.drain(..written)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return Err(Fault::Reset),
        }
        if self.unwritten.is_empty() { self.listen_for(epoll, EventFlags::IN) } else { Ok(()) }
    }

    fn read_on(&mut self) -> Result<Progress, Fault> {
        let Some(stream) = &mut self.stream else { return Err(Fault::Connect) };
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.filled * 2, 0);
        }
        match stream.read(&mut self.buffer[self.filled..]) {
            Ok(0) => return Err(Fault::Closed),
            Ok(read) => self.filled += read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Progress::Nothing),
            Err(_) => return Err(Fault::Reset),
        }
        if self.state == State::Idle {
            // Nobody asked.
            return Err(Fault::Protocol);
        }
        if self.head.is_none() {
            self.head = parse_head(&self.buffer[..self.filled])?;
        }
        let Some(head) = self.head else { return Ok(Progress::Nothing) };
        let length = head.head_bytes + head.body_bytes;
        match self.filled.cmp(&length) {
            std::cmp::Ordering::Less => {
                if self.buffer.len() < length {
                    self.buffer.resize(length, 0);
                }
                Ok(Progress::Nothing)
            }
            std::cmp::Ordering::Equal if self.unwritten.is_empty() => {
                self.state = State::Idle;
                Ok(Progress::Answer(head))
            }
            // More than was asked for, or an answer to half a request: the connection is out of step.
            _ => Err(Fault::Protocol),
        }
    }

    /// The body of the answer that was just completed.
    pub(crate) fn body(&self, head: &Head) -> &[u8] {
        &self.buffer[head.head_bytes..head.head_bytes + head.body_bytes]
    }

    /// What the answer says of a notice; empty where it says nothing.
    pub(crate) fn class(&self, head: &Head) -> &str {
        std::str::from_utf8(&self.buffer[head.class.0..head.class.1]).unwrap_or_default()
    }
}

/// `None` when the head is not complete yet.
fn parse_head(buffer: &[u8]) -> Result<Option<Head>, Fault> {
    // Clearing many slots for each answer costs more than reading the few that are there.
    match parse_with::<12>(buffer) {
        Err(httparse::Error::TooManyHeaders) => parse_with::<96>(buffer),
        parsed => parsed,
    }
    .map_err(|_| Fault::Protocol)?
    .map_or_else(
        || if buffer.len() < MAX_HEAD { Ok(None) } else { Err(Fault::Protocol) },
        |head| head.map(Some),
    )
}

/// The outer error is that of the text, the inner one that of what it says.
#[allow(clippy::type_complexity, reason = "two callers above")]
fn parse_with<const N: usize>(buffer: &[u8]) -> Result<Option<Result<Head, Fault>>, httparse::Error> {
    let mut headers = [httparse::EMPTY_HEADER; N];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head_bytes) = response.parse(buffer)? else { return Ok(None) };
    let status = response.code.unwrap_or_default();
    let mut head = Head { status, head_bytes, ..Head::default() };
    let mut length = matches!(status, 204 | 304).then_some(0);
    for header in response.headers.iter() {
        let value = header.value.trim_ascii();
        match header.name.len() {
            14 if header.name.eq_ignore_ascii_case("content-length") => {
                length = std::str::from_utf8(value).ok().and_then(|text| text.parse::<usize>().ok());
            }
            10 if header.name.eq_ignore_ascii_case("connection") => {
                head.closes |= value.eq_ignore_ascii_case(b"close");
            }
            16 if header.name.eq_ignore_ascii_case("content-encoding") => {
                head.is_gzip = value.eq_ignore_ascii_case(b"gzip");
            }
            15 if header.name.eq_ignore_ascii_case("x-outbid-notice") => {
                let at = header.value.as_ptr() as usize - buffer.as_ptr() as usize;
                head.class = (at, at + header.value.len());
            }
            17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                return Ok(Some(Err(Fault::Protocol)));
            }
            _ => {}
        }
    }
    Ok(Some(match length {
        Some(length) if length <= MAX_ANSWER => Ok(Head { body_bytes: length, ..head }),
        _ => Err(Fault::Protocol),
    }))
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
        let many = "x: y\r\n".repeat(40);
        check(&format!("HTTP/1.1 503 Busy\r\n{many}content-length:3\r\n\r\n"), Some((503, false, 3)));
        for odd in [
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "nonsense\r\n\r\n",
        ] {
            assert_eq!(parse_head(odd.as_bytes()), Err(Fault::Protocol), "{odd:?}");
        }
    }

    #[test]
    fn the_class_of_a_notice_and_the_encoding_are_found() {
        let text = "HTTP/1.1 200 OK\r\nX-Outbid-Notice: duplicate\r\ncontent-encoding: GZIP\r\ncontent-length: 0\r\n\r\n";
        let head = parse_head(text.as_bytes()).unwrap().unwrap();
        assert_eq!(&text[head.class.0..head.class.1], "duplicate");
        assert!(head.is_gzip);
    }
}
