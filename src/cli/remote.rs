//! Calls of a running server's admin API, for the commands that are its clients.

use super::{Common, Failure, boot};
use anyhow::{Context, anyhow};
use serde_json::Value;
use std::io::{Read, Write};
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

    fn exchange(&self, method: &str, path: &str, body: Option<(&str, &[u8])>) -> anyhow::Result<Answered> {
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
        let mut raw = Vec::new();
        stream.read_to_end(&mut raw)?;
        let end = raw.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.ok_or_else(|| anyhow!("the answer is no HTTP"))?;
        let head = String::from_utf8_lossy(&raw[..end]);
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| anyhow!("the answer is no HTTP"))?;
        let body = match &raw[end + 4..] {
            [] => Value::Null,
            body => serde_json::from_slice(body).context("the answer is no JSON")?,
        };
        Ok(Answered { status, body })
    }
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
