//! Calls of a running server's admin API, for the commands that are its clients.

use super::{Common, Failure, boot};
use anyhow::{Context, anyhow};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Longer than a server waits for its own journal.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server, and the key that it is shown.
pub(super) struct Remote {
    authority: String,
    key: String,
}

/// What was answered.
pub(super) struct Answered {
    /// The status code.
    pub(super) status: u16,
    /// The body; null where it is empty.
    pub(super) body: Value,
}

impl Remote {
    /// The server at `url`, which is `http://HOST:PORT`. Without a key the configured `admin.bootstrap_key` is shown.
    pub(super) fn at(common: &Common, url: &str, key: Option<&str>) -> Result<Remote, Failure> {
        let key = match key {
            Some(key) => key.to_owned(),
            None => boot::configuration(common, Vec::new())?
                .admin
                .bootstrap_key
                .map(|key| key.expose().to_owned())
                .ok_or_else(|| Failure::Usage("--url needs --key KEY, or admin.bootstrap_key".to_owned()))?,
        };
        let Some(authority) = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/')) else {
            return Err(Failure::Usage(format!(
                "--url {url:?} is not like http://127.0.0.1:9002; for https call a proxy beside you"
            )));
        };
        if key.chars().any(char::is_control) {
            return Err(Failure::Usage("the key is one line of text".to_owned()));
        }
        Ok(Remote { authority: authority.to_owned(), key })
    }

    /// Makes a call with a JSON body, or none, and waits for the answer.
    pub(super) fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&str>,
    ) -> Result<Answered, anyhow::Error> {
        let Remote { authority, .. } = self;
        let body = body.map(|body| ("application/json", body.as_bytes()));
        self.exchange(method, path, body).with_context(|| {
            format!(
                "cannot ask http://{authority}; is it the address of listen.admin, and does the server run?"
            )
        })
    }

    /// Posts a body of another sort, and waits for the answer.
    pub(super) fn send(&self, path: &str, media: &str, body: &[u8]) -> Result<Answered, anyhow::Error> {
        let Remote { authority, .. } = self;
        self.exchange("POST", path, Some((media, body)))
            .with_context(|| format!("cannot send to http://{authority}; does the server run there?"))
    }

    /// Posts nothing, and writes the answer, which comes piece by piece, to `out`. What is no 200 is told as any refusal.
    pub(super) fn take(&self, path: &str, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut stream = BufReader::new(self.begin("POST", path, Some(("application/json", b"")))?);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head)? == 0 {
                return Err(anyhow!("the answer is no HTTP"));
            }
        }
        let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        if status(&head)? != 200 || !is_chunked {
            let mut raw = head.into_bytes();
            stream.read_to_end(&mut raw)?;
            answered(&raw)?.ok()?;
            return Err(anyhow!("the answer is no list"));
        }
        loop {
            let mut length = String::new();
            stream.read_line(&mut length)?;
            let length = u64::from_str_radix(length.trim(), 16);
            // Where it breaks off there is no last piece of no length.
            let length = length.map_err(|_| anyhow!("the answer broke off; what has come is not all"))?;
            if length == 0 {
                return Ok(out.flush()?);
            }
            let copied = std::io::copy(&mut Read::by_ref(&mut stream).take(length), out)?;
            let mut end = String::new();
            stream.read_line(&mut end)?;
            if copied < length || end != "\r\n" {
                return Err(anyhow!("the answer broke off; what has come is not all"));
            }
        }
    }

    fn exchange(&self, method: &str, path: &str, body: Option<(&str, &[u8])>) -> anyhow::Result<Answered> {
        let mut raw = Vec::new();
        self.begin(method, path, body)?.read_to_end(&mut raw)?;
        answered(&raw)
    }

    /// Sends a call; its answer comes on what is returned.
    fn begin(&self, method: &str, path: &str, body: Option<(&str, &[u8])>) -> anyhow::Result<TcpStream> {
        let Remote { authority, key } = self;
        let to = authority.to_socket_addrs()?.next().ok_or_else(|| anyhow!("{authority} has no address"))?;
        let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let length = body.map_or_else(String::new, |(media, body)| {
            format!("content-type: {media}\r\ncontent-length: {}\r\n", body.len())
        });
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {authority}\r\nauthorization: Bearer {key}\r\n{length}\
             connection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        if let Some((_, body)) = body {
            stream.write_all(body)?;
        }
        Ok(stream)
    }
}

fn answered(raw: &[u8]) -> anyhow::Result<Answered> {
    let end = raw.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.ok_or_else(|| anyhow!("the answer is no HTTP"))?;
    let status = status(&String::from_utf8_lossy(&raw[..end]))?;
    let body = match &raw[end + 4..] {
        [] => Value::Null,
        body => serde_json::from_slice(body).context("the answer is no JSON")?,
    };
    Ok(Answered { status, body })
}

fn status(head: &str) -> anyhow::Result<u16> {
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| anyhow!("the answer is no HTTP"))
}

impl Answered {
    /// The body of a call that worked; else what is wrong, each field on a line.
    pub(super) fn ok(self) -> Result<Value, anyhow::Error> {
        let Answered { status, body } = self;
        if (200..300).contains(&status) {
            return Ok(body);
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let errors = body["errors"].as_array().into_iter().flatten();
        let lines: String = errors
            .map(|error| format!("\n  {}: {}", text(&error["pointer"]), text(&error["message"])))
            .collect();
        Err(anyhow!("{status} {}: {}{lines}", text(&body["title"]), text(&body["detail"])))
    }
}
