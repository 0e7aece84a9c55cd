//! `outbid export`, `backup` and `restore`: an account on its way out of a data directory, and back.

use super::boot;
use super::{Common, Failure};
use crate::store::account_file;
use crate::store::control::backup as copy;
use crate::store::data_dir::DataDir;
use crate::telemetry::clock::SystemClock;
use anyhow::anyhow;
use std::path::PathBuf;
use std::sync::Arc;

/// What to write where.
#[derive(Debug, clap::Args)]
pub(super) struct ExportArguments {
    /// The data directory; a server may run on it.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// The file to write; it holds the exchanges' secrets, and only its owner may read it.
    #[arg(value_name = "FILE")]
    to: PathBuf,
}

/// What to copy where.
#[derive(Debug, clap::Args)]
pub(super) struct BackupArguments {
    /// The data directory; a server may run on it.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// The file to write.
    #[arg(value_name = "FILE")]
    to: PathBuf,
}

/// What to put back.
#[derive(Debug, clap::Args)]
pub(super) struct RestoreArguments {
    /// The copy.
    #[arg(value_name = "FILE")]
    from: PathBuf,
    /// The data directory; no server may run on it.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
}

pub(super) fn export(common: &Common, arguments: &ExportArguments) -> Result<(), Failure> {
    let ExportArguments { data_dir, to } = arguments;
    boot::require_account(data_dir)?;
    let data = DataDir::open_read_only(data_dir).map_err(|error| Failure::Failed(error.into()))?;
    let config = boot::configuration(common, Vec::new())?;
    let account = boot::stored_account(&data, &config)?;
    account_file::write(&account, to).map_err(|error| anyhow!("{error}"))?;
    println!(
        "{}: {} advertisers, {} campaigns, {} line items, {} creatives, {} segments",
        to.display(),
        account.advertisers.len(),
        account.campaigns.len(),
        account.line_items.len(),
        account.creatives.len(),
        account.segments.len(),
    );
    Ok(())
}

pub(super) fn backup(arguments: &BackupArguments) -> Result<(), Failure> {
    let BackupArguments { data_dir, to } = arguments;
    let data = DataDir::open_read_only(data_dir).map_err(|error| Failure::Failed(error.into()))?;
    let path = data.control_file();
    if !path.exists() {
        let detail = "there is no control database; begin one with `outbid init`";
        return Err(Failure::Failed(anyhow!("{}: {detail}", path.display())));
    }
    let control = boot::open_control(&data, Arc::new(SystemClock::new()))?;
    control.backup(to).map_err(|error| Failure::Failed(error.into()))?;
    println!("{} is a checked copy of {}", to.display(), path.display());
    Ok(())
}

pub(super) fn restore(arguments: &RestoreArguments) -> Result<(), Failure> {
    let RestoreArguments { from, data_dir } = arguments;
    // Its lock says that no server runs on it.
    let data = DataDir::open(data_dir).map_err(|error| Failure::Failed(error.into()))?;
    let path = data.control_file();
    copy::restore(from, &path).map_err(|error| Failure::Failed(error.into()))?;
    println!("{} is what {} was", path.display(), from.display());
    println!(
        "what was spent stays as the ledger knows it; money that was paid in since the copy has to be paid in again"
    );
    Ok(())
}
