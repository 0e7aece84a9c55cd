//! One blocking keep-alive connection: a request, its whole answer. A server that dies in between is an error, and
//! then nothing is known of what it did.

use anyhow::{Context, bail, ensure};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Longer than a stopped process is stopped for.
const PATIENCE: Duration = Duration::from_secs(60);

/// The one reading of a clock in these trials: they measure the real world.
#[allow(clippy::disallowed_methods, reason = "a trial of real processes measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// `x-outbid-notice`.
    pub(crate) class: String,
    pub(crate) body: Vec<u8>,
}

/// One connection, opened when it is first needed.
#[derive(Debug)]
pub(crate) struct Client {
    to: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
    /// Whether any byte of the last request may have left.
    pub(crate) sent: bool,
}

impl Client {
    /// Nothing happens yet.
    pub(crate) fn new(to: SocketAddr) -> Client {
        Client { to, stream: None, buffer: Vec::new(), sent: false }
    }

    /// Whether the next request goes over a connection that is there already.
    pub(crate) fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    /// Posts a bid request.
    pub(crate) fn bid(&mut self, exchange: &str, body: &str) -> anyhow::Result<Reply> {
        let to = self.to;
        let length = body.len();
        self.send(&format!(
            "POST /openrtb2/{exchange} HTTP/1.1\r\nhost: {to}\r\ncontent-type: application/json\r\n\
             x-openrtb-version: 2.6\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
    }

    /// Gets a path; `header` is a whole line with its end, or nothing.
    pub(crate) fn get(&mut self, path: &str, header: &str) -> anyhow::Result<Reply> {
        let to = self.to;
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: {to}\r\n{header}\r\n"))
    }

    fn send(&mut self, request: &str) -> anyhow::Result<Reply> {
        let reply = self.exchange(request);
        if reply.is_err() {
            self.stream = None;
        }
        reply
    }

    fn exchange(&mut self, request: &str) -> anyhow::Result<Reply> {
        self.sent = false;
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let stream = TcpStream::connect_timeout(&self.to, PATIENCE)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                none.insert(stream)
            }
        };
        self.sent = true;
        stream.write_all(request.as_bytes())?;
        self.buffer.clear();
        let mut chunk = [0; 16_384];
        loop {
            let read = stream.read(&mut chunk)?;
            ensure!(read > 0, "the connection ended within an answer");
            self.buffer.extend_from_slice(&chunk[..read]);
            if let Some((mut reply, head, length, closes)) = parse(&self.buffer)?
                && self.buffer.len() >= head + length
            {
                ensure!(self.buffer.len() == head + length, "more than one answer");
                reply.body = self.buffer[head..].to_vec();
                if closes {
                    self.stream = None;
                }
                return Ok(reply);
            }
        }
    }
}

/// Status and class, length of the head and of the body, and whether the connection closes.
fn parse(bytes: &[u8]) -> anyhow::Result<Option<(Reply, usize, usize, bool)>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end])?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.get(9..12)).context("no status")?;
    let mut reply = Reply { status: status.parse()?, ..Reply::default() };
    let (mut length, mut closes) = (0, false);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse()?,
            "x-outbid-notice" => value.clone_into(&mut reply.class),
            "connection" => closes |= value.eq_ignore_ascii_case("close"),
            "transfer-encoding" => bail!("an answer of unknown length"),
            _ => {}
        }
    }
    Ok(Some((reply, end + 4, length, closes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_s_head_says_its_class_and_length() {
        let text = b"HTTP/1.1 204 No Content\r\nX-Outbid-Notice: late\r\nconnection: close\r\n\r\n";
        let (reply, head, length, closes) = parse(text).unwrap().unwrap();
        assert_eq!(
            (reply.status, reply.class.as_str(), head, length, closes),
            (204, "late", text.len(), 0, true)
        );
        assert!(parse(b"HTTP/1.1 200 OK\r\ncontent-le").unwrap().is_none());
        assert!(parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }
}
