//! `outbid taxonomy map`: mappings between category taxonomies, so that blocked categories in one taxonomy can be
//! compared with a creative's in another.

use super::boot;
use super::{Common, Failure};
use crate::store::category_maps;
use anyhow::anyhow;
use std::path::PathBuf;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub(super) enum What {
    /// Imports a mapping as IAB Tech Lab publishes them; it is used from the next start on.
    Map {
        /// A tab-separated file whose first line names two columns that end with "Unique ID".
        file: PathBuf,
        /// The taxonomy of the first of them, by its `cattax` number.
        #[arg(long)]
        from: u16,
        /// The taxonomy of the second.
        #[arg(long)]
        to: u16,
        /// The data directory; without it, that of the configuration.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
}

pub(super) fn run(common: &Common, what: &What) -> Result<(), Failure> {
    let What::Map { file, from, to, data_dir } = what;
    if from == to {
        return Err(Failure::Usage(format!(
            "--from and --to are both {from}; a taxonomy needs no map to itself"
        )));
    }
    let dir = match data_dir {
        Some(dir) => dir.clone(),
        None => boot::configuration(common, Vec::new())?.data.dir,
    };
    boot::require_account(&dir)?;
    let kept = dir.join("taxonomies");
    let map =
        category_maps::import(file, *from, *to, &kept).map_err(|error| Failure::Failed(anyhow!(error)))?;
    println!(
        "{} pairs of categories from taxonomy {from} to {to} are in {}",
        map.pairs.len(),
        kept.display()
    );
    Ok(())
}
