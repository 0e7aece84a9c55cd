//! Asks a running server's admin listener for its ledger.

use crate::cli::{Common, Failure, boot};
use anyhow::{Context, anyhow};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Longer than a server waits for its own journal.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a running server is asked.
#[derive(Debug, clap::Args)]
pub(super) struct At {
    /// The admin listener of the server that runs on this directory.
    #[arg(long, value_name = "http://HOST:PORT")]
    url: Option<String>,
    /// The key of its admin API; without it, the configured admin.bootstrap_key.
    #[arg(long, value_name = "KEY", requires = "url")]
    key: Option<String>,
}

impl At {
    /// Whether a server was named.
    pub(super) fn is_given(&self) -> bool {
        self.url.is_some()
    }

    /// Asks the server.
    pub(super) fn ask(&self, common: &Common) -> Result<Remote, Failure> {
        let url = self.url.as_deref().unwrap_or_default();
        let key = match &self.key {
            Some(key) => key.clone(),
            None => boot::configuration(common, Vec::new())?
                .admin
                .bootstrap_key
                .map(|key| key.expose().to_owned())
                .ok_or_else(|| Failure::Usage("--url needs --key KEY, or admin.bootstrap_key".to_owned()))?,
        };
        ask(url, &key)
    }
}

/// What `GET /v1/ledger` said.
pub(super) struct Remote {
    /// The last durable record.
    pub(super) lsn: u64,
    /// The hash of the books' image at that record.
    pub(super) sha256: String,
    /// Everything.
    pub(super) shown: Value,
}

/// Asks the server at `url`, which is `http://HOST:PORT`.
fn ask(url: &str, key: &str) -> Result<Remote, Failure> {
    let Some(authority) = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/')) else {
        return Err(Failure::Usage(format!("--url {url:?} is not like http://127.0.0.1:9002")));
    };
    let shown = get(authority, key).with_context(|| {
        format!("cannot ask {url}; is it the address of listen.admin, and does the server run?")
    })?;
    let lsn =
        shown["lsn"].as_u64().ok_or_else(|| anyhow!("{url} answered without a record number: {shown}"))?;
    let Some(sha256) = shown["sha256"].as_str().map(str::to_owned) else {
        return Err(Failure::Failed(anyhow!(
            "the server at {url} has records that are not durable, because its journal has no space; free some and \
             run this again"
        )));
    };
    Ok(Remote { lsn, sha256, shown })
}

fn get(authority: &str, key: &str) -> anyhow::Result<Value> {
    let to = authority.to_socket_addrs()?.next().ok_or_else(|| anyhow!("{authority} has no address"))?;
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = format!(
        "GET /v1/ledger HTTP/1.1\r\nhost: {authority}\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw)?;
    let end = raw.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.ok_or_else(|| anyhow!("the answer is no HTTP"))?;
    let head = String::from_utf8_lossy(&raw[..end]).into_owned();
    let body = &raw[end + 4..];
    if head.split(' ').nth(1) != Some("200") {
        let status = head.lines().next().unwrap_or_default().to_owned();
        return Err(anyhow!("{status}: {}", String::from_utf8_lossy(body).trim()));
    }
    serde_json::from_slice(body).context("the answer is no JSON")
}
