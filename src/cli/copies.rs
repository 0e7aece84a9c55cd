//! `outbid export`, `backup` and `restore`: an account on its way out of a data directory, and back.

use super::boot;
use super::{Common, Failure};
use crate::admin;
use crate::model::account::Account;
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
    /// The account whose things are written; needed where several have some.
    #[arg(long, value_name = "ID")]
    account: Option<u32>,
    /// The file to write, or `-` for the standard output; it holds the exchanges' secrets, and only its owner may read it.
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
    let ExportArguments { data_dir, account, to } = arguments;
    boot::require_account(data_dir)?;
    let data = DataDir::open_read_only(data_dir).map_err(|error| Failure::Failed(error.into()))?;
    let config = boot::configuration(common, Vec::new())?;
    let account = match data.control_file().exists() {
        true => tenant(&data, *account)?,
        false => boot::stored_account(&data, &config)?,
    };
    if to.as_os_str() == "-" {
        let text = account_file::text(&account).map_err(|error| anyhow!("{error}"))?;
        println!("{text}");
        return Ok(());
    }
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

/// The things of one account: a file has no word for whose they are.
fn tenant(data: &DataDir, wanted: Option<u32>) -> Result<Account, Failure> {
    let damaged = |error: admin::StartError| Failure::Damaged(error.into());
    let control = boot::open_control(data, Arc::new(SystemClock::new()))?;
    let owners = admin::owners(&control).map_err(damaged)?;
    let id = match (wanted, &owners[..]) {
        (Some(wanted), _) => wanted,
        (None, []) => 1,
        (None, [(only, _)]) => *only,
        (None, several) => {
            let names: Vec<String> = several.iter().map(|(id, name)| format!("{id} ({name:?})")).collect();
            return Err(Failure::Usage(format!(
                "the directory has the things of accounts {}: give --account ID, or copy all of it by `outbid backup`",
                names.join(", ")
            )));
        }
    };
    let named = control.read(|read| read.account(id)).map_err(|error| Failure::Damaged(error.into()))?;
    if named.is_none_or(|named| named.id == 0) {
        return Err(Failure::Usage(format!("there is no account {id}")));
    }
    let account = admin::read_account_of(&control, id).map_err(damaged)?;
    Ok(boot::with_maps(account, data)?)
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
