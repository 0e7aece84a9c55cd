//! An HTTP/1.1 client over one blocking connection that hides nothing: it keeps the connection as long as the server
//! does, sends bytes as they are given, and reads exactly one answer for each request. A server that answers twice
//! would be caught by the next read.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than any answer may take on a machine that compiles beside the tests.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Names in lower case, in the order in which they came.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The value of a header; a header that comes twice is a fault of the server.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found =
            self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let value = found.next();
        assert!(found.next().is_none(), "the header {name} comes twice in {self:?}");
        value
    }

    /// Whether the server closes the connection after this answer.
    pub(crate) fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }
}

/// One connection.
pub(crate) struct Client {
    to: SocketAddr,
    stream: TcpStream,
    /// Read, but not yet part of an answer.
    ahead: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(to: SocketAddr) -> Client {
        let stream = TcpStream::connect(to).unwrap_or_else(|error| panic!("connect {to}: {error}"));
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { to, stream, ahead: Vec::new() }
    }

    /// Sends a request with a body of known length and reads its answer. Headers given here stand beside `host` and
    /// `content-length` only: there is no content type unless it is given.
    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Reply> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.to);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || method == "POST" {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        // One write, as an exchange's client does it.
        self.raw(&[head.as_bytes(), body].concat())?;
        self.reply_to(method)
    }

    /// Posts nothing and takes an answer that comes piece by piece to its end: its status, its content type and all of it.
    pub(crate) fn take(mut self, path: &str, key: &str) -> (u16, String, String) {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: 0\r\n\
             connection: close\r\n\r\n"
        );
        self.raw(head.as_bytes()).unwrap();
        let all = String::from_utf8(self.rest()).unwrap();
        let (head, body) = all.split_once("\r\n\r\n").unwrap();
        let head = head.to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let media = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or_default();
        if !head.contains("transfer-encoding: chunked") {
            return (status, media.to_owned(), body.to_owned());
        }
        let (mut whole, mut rest) = (String::new(), body);
        loop {
            let (length, after) = rest.split_once("\r\n").unwrap();
            let length = usize::from_str_radix(length, 16).unwrap();
            if length == 0 {
                return (status, media.to_owned(), whole);
            }
            whole.push_str(&after[..length]);
            rest = after[length..].strip_prefix("\r\n").unwrap();
        }
    }

    /// Asks for bids as an exchange does.
    pub(crate) fn bid(&mut self, exchange: &str, body: &[u8]) -> io::Result<Reply> {
        let path = format!("/openrtb2/{exchange}");
        self.send("POST", &path, &[("content-type", "application/json"), ("x-openrtb-version", "2.6")], body)
    }

    /// Sends bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish_sending(&mut self) {
        self.stream.shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// Reads one answer to a request of `method`: an answer to HEAD has the headers of a body, and no body.
    pub(crate) fn reply_to(&mut self, method: &str) -> io::Result<Reply> {
        let end = loop {
            match self.ahead.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(end) => break end,
                None => self.read_more()?,
            }
        };
        let head = String::from_utf8(self.ahead[..end].to_vec()).expect("an answer's head is text");
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status in {head:?}"));
        let field = |line: &str| {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("{line:?} is no header"));
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        let mut reply = Reply { status, headers: lines.map(field).collect(), body: Vec::new() };
        assert_eq!(reply.header("transfer-encoding"), None, "every answer has a known length");
        let length = reply.header("content-length").map(|value| value.parse().expect("a length"));
        assert!(status != 204 || length.is_none(), "204 has no length (RFC 9110 section 8.6): {head}");
        let length =
            if status == 204 || method == "HEAD" { 0 } else { length.expect("an answer has a length") };
        while self.ahead.len() < end + 4 + length {
            self.read_more()?;
        }
        reply.body = self.ahead[end + 4..end + 4 + length].to_vec();
        self.ahead.drain(..end + 4 + length);
        Ok(reply)
    }

    /// Everything that comes until the server closes the connection.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.ahead);
        self.stream.read_to_end(&mut rest).unwrap();
        rest
    }

    /// Whether the server closed the connection without another byte.
    pub(crate) fn is_closed(&mut self) -> bool {
        assert!(self.ahead.is_empty(), "more than one answer: {:?}", String::from_utf8_lossy(&self.ahead));
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(0) => true,
            Ok(_) => panic!("more than one answer to a request"),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => true,
            Err(_) => false,
        }
    }

    fn read_more(&mut self) -> io::Result<()> {
        let mut chunk = [0; 16_384];
        match self.stream.read(&mut chunk)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.ahead.extend_from_slice(&chunk[..read]);
                Ok(())
            }
        }
    }
}
