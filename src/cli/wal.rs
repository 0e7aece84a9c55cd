//! `outbid wal dump|verify|repair`: looking into a ledger's journal, and mending it.
//!
//! `dump` and `verify` only read and take no lock, so that they work beside a running server; `repair` takes the data
//! directory's lock. All of them say what the journal says, not what it adds up to: the books are the ledger's.

mod dump;
mod event;
mod line;
mod rehearsal;
mod repair;
mod verify;

pub(super) use event::kind;
pub(super) use verify::settled;

use super::boot;
use super::{Common, Failure};
use anyhow::{Context, anyhow};
use std::path::PathBuf;

/// What to do with the journal.
#[derive(Debug, clap::Subcommand)]
pub(super) enum What {
    /// Shows what the journal says, one line a record; also beside a running server.
    Dump(dump::DumpArguments),
    /// Reads everything and says whether a start would take it; exits with 1 where something is to be looked at.
    Verify(verify::VerifyArguments),
    /// Makes a damaged journal open again, keeping every record before the damage and deleting nothing.
    Repair(repair::RepairArguments),
}

/// Where the journal is.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// The data directory; without it, the configured one.
    #[arg(long, visible_alias = "data-dir", value_name = "DIR")]
    data: Option<PathBuf>,
}

pub(super) fn run(common: &Common, what: &What) -> Result<(), Failure> {
    match what {
        What::Dump(arguments) => dump::run(common, arguments),
        What::Verify(arguments) => verify::run(common, arguments),
        What::Repair(arguments) => repair::run(common, arguments),
    }
}

impl Place {
    /// The data directory, which must be one: nothing is created for a mistyped name.
    pub(super) fn root(&self, common: &Common) -> Result<PathBuf, Failure> {
        let root = match &self.data {
            // With a directory named, a broken configuration must not stand in the way.
            Some(root) => root.clone(),
            None => boot::configuration(common, Vec::new())?.data.dir,
        };
        let shown = root.display();
        std::fs::read_dir(&root)
            .with_context(|| format!("cannot read {shown}; name the data directory with --data DIR"))?;
        if root.join("ledger").is_dir() {
            return Ok(root);
        }
        Err(Failure::Failed(anyhow!(
            "{shown} is no data directory, because there is no ledger/ in it; name the directory that `outbid serve` \
             uses with --data DIR"
        )))
    }
}
