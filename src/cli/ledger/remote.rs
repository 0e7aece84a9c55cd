//! Asks a running server's admin listener for its ledger.

use crate::cli::{Common, Failure, remote};
use anyhow::{Context, anyhow};
use serde_json::Value;

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
        let shown = remote::Remote::at(common, url, self.key.as_deref())?.call("GET", "/v1/ledger", None)?;
        let shown = shown.ok().with_context(|| format!("cannot ask {url} for its ledger"))?;
        let lsn = shown["lsn"].as_u64();
        let lsn = lsn.ok_or_else(|| anyhow!("{url} answered without a record number: {shown}"))?;
        let Some(sha256) = shown["sha256"].as_str().map(str::to_owned) else {
            return Err(Failure::Failed(anyhow!(
                "the server at {url} has records that are not durable, because its journal has no space; free some \
                 and run this again"
            )));
        };
        Ok(Remote { lsn, sha256, shown })
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
