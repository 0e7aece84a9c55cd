//! `outbid init`: a data directory with a control database, empty or with what an account file says, and the key of its
//! owner where the configuration has none.

use super::boot;
use super::{Common, Failure};
use crate::admin::{self, KeyRequest};
use crate::store::account_file;
use crate::store::control::Control;
use crate::store::data_dir::DataDir;
use crate::telemetry::clock::SystemClock;
use anyhow::{Context, anyhow};
use std::path::PathBuf;
use std::sync::Arc;

/// Where, and from what.
#[derive(Debug, clap::Args)]
pub(super) struct InitArguments {
    /// The data directory; made where there is none.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// An account file to begin with. Without it, `account.json` of the directory is taken in where there is one.
    #[arg(long, value_name = "FILE")]
    account: Option<PathBuf>,
}

pub(super) fn run(common: &Common, arguments: &InitArguments) -> Result<(), Failure> {
    let InitArguments { data_dir, account } = arguments;
    let has_key = boot::configuration(common, Vec::new())?.admin.bootstrap_key.is_some();
    let data = DataDir::open(data_dir).map_err(|error| Failure::Failed(error.into()))?;
    let path = data.control_file();
    if path.exists() {
        return Err(Failure::Failed(anyhow!("{} is there already; nothing was changed", path.display())));
    }
    let file = account.clone().or_else(|| Some(data.account_file()).filter(|file| file.exists()));
    let text = match &file {
        Some(file) => {
            let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
            // First as a whole, because its errors name the places in the file.
            let checked = account_file::parse(&text, &file.display().to_string());
            checked.map_err(|errors| Failure::Config(errors.to_string()))?;
            text
        }
        None => "{}".to_owned(),
    };
    let control = boot::open_control(&data, Arc::new(SystemClock::new()))?;
    let count = match admin::import(&control, &text) {
        Ok(count) => count,
        Err(error) => {
            drop::<Control>(control);
            // What is left would be taken for an account.
            std::fs::remove_file(&path).with_context(|| path.display().to_string())?;
            return Err(Failure::Failed(error.into()));
        }
    };
    println!("{}: {count} resources", path.display());
    if let Some(file) = file {
        println!("they are those of {}, which is not read any more", file.display());
    }
    if !has_key {
        let (name, role) = ("first owner".to_owned(), "owner".to_owned());
        let request = KeyRequest { name, role, ..KeyRequest::default() };
        let (_, secret) =
            admin::issue_key(&control, request).map_err(|error| Failure::Failed(error.into()))?;
        println!("the key of its owner, which is shown only now: {secret}");
    }
    println!("serve it: outbid serve --set data.dir={}", data.root().display());
    Ok(())
}
