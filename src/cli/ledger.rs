//! `outbid ledger show|verify|export`: what the journal adds up to.
//!
//! All of them only read and take no lock, so that they work beside a running server. The books are rebuilt from the
//! files alone ([`replay`]); nothing is asked of a server unless `verify --url` compares the two.

mod export;
mod remote;
mod replay;
mod show;
mod verify;

use super::{Common, Failure};
use crate::budget::file_storage::FileStorage;
use crate::serve::ledger_view::Names;
use crate::store::account_file;
use anyhow::Context;
use std::path::Path;

/// What to do with the books.
#[derive(Debug, clap::Subcommand)]
pub(super) enum What {
    /// Shows accounts, house, exchanges, kill switches and money in doubt; also beside a running server.
    Show(show::ShowArguments),
    /// Rebuilds the books and says whether they add up: with themselves, with the checkpoints, and with a server.
    Verify(verify::VerifyArguments),
    /// Lists every charge, late charge, stale memo and adjustment, one a row, as it stands in the journal.
    Export(export::ExportArguments),
}

pub(super) fn run(common: &Common, what: &What) -> Result<(), Failure> {
    match what {
        What::Show(arguments) => show::run(common, arguments),
        What::Verify(arguments) => verify::run(common, arguments),
        What::Export(arguments) => export::run(common, arguments),
    }
}

/// The journal of a data directory, to be read.
fn storage(root: &Path) -> Result<FileStorage, Failure> {
    let ledger = root.join("ledger");
    Ok(FileStorage::open(&ledger).with_context(|| format!("cannot look into {}", ledger.display()))?)
}

/// What the account file calls things. Money must be shown even where that file is broken, so numbers do without.
fn names(root: &Path) -> Names {
    match account_file::read(&root.join("account.json")) {
        Ok(loaded) => Names::of_account(&loaded.account),
        Err(error) => {
            eprintln!("outbid: no names, only numbers: {error}");
            Names::default()
        }
    }
}
