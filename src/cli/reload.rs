//! A running server takes up its account anew: from the control database after every change, from the account file when
//! it is asked to.

use super::boot::{self, Booted, Unread};
use crate::model::account::Account;
use crate::serve::{self, AccountSource, Reason, Refused};
use crate::store::account_file::AccountErrors;
use crate::store::data_dir::DataDir;
use std::sync::Arc;

/// Starts the thread that does it; `hangups` says whether SIGHUP is a request.
pub(super) fn watch(booted: &Booted, data: &DataDir, hangups: bool) -> std::io::Result<()> {
    let source: AccountSource = match booted.admin.clone() {
        Some(admin) => {
            let data = DataDir::open_read_only(data.root()).map_err(std::io::Error::other)?;
            Box::new(move || read(boot::with_maps(admin.account(), &data)))
        }
        None => {
            let (path, limits) = (data.account_file(), boot::account_limits(booted.shared.config()));
            Box::new(move || read(boot::read_account(&path, limits)))
        }
    };
    serve::publisher(&booted.shared, source, Arc::clone(&booted.rates), hangups)
}

fn read(account: Result<Account, Unread>) -> Result<Account, Refused> {
    account.map_err(|unread| match unread {
        Unread::Account(AccountErrors::Invalid { errors, .. }) => {
            let reason = |it: crate::store::account_file::Finding| Reason {
                pointer: it.pointer,
                code: it.code.as_str(),
                message: it.message,
            };
            Refused { errors: errors.into_iter().map(reason).collect() }
        }
        Unread::Account(error @ AccountErrors::Json { .. }) => whole("malformed", error.to_string()),
        Unread::Account(error) => whole("unreadable", error.to_string()),
        Unread::Maps(error) => whole("category_maps", error.to_string()),
    })
}

/// A refusal of the file as a whole.
fn whole(code: &'static str, message: String) -> Refused {
    Reason { pointer: String::new(), code, message }.into()
}
