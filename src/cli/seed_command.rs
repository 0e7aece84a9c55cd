//! `outbid seed`: writes the measuring world into a data directory.

use super::boot;
use super::seed::{self, Memberships, WorldParams, dice};
use super::{Common, Failure};
use crate::audience::{Builder, Membership};
use crate::budget::file_storage::FileStorage;
use crate::engine::Steering;
use crate::serve::Pacing;
use crate::store::account_file;
use crate::store::data_dir::DataDir;
use anyhow::{Context, anyhow};
use std::path::PathBuf;

/// Sizes of the world.
#[derive(Debug, clap::Args)]
pub(super) struct SeedArguments {
    /// Where to write it.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Users with a cookie.
    #[arg(long, value_name = "N", default_value_t = WorldParams::default().users)]
    users: u64,
    /// Segments that users are in; tree nodes above them come on top.
    #[arg(long, value_name = "S", default_value_t = WorldParams::default().segments)]
    segments: u32,
    /// Line items.
    #[arg(long, value_name = "L", default_value_t = WorldParams::default().line_items)]
    line_items: u32,
    /// Everything random comes from it.
    #[arg(long, value_name = "K", default_value_t = WorldParams::default().seed)]
    seed: u64,
    /// With goals by clicks and conversions, frequency caps, pacing and shading. Pacing begins as after a day that went well,
    /// at the full value on all requests.
    #[arg(long)]
    pricing: bool,
}

pub(super) fn run(_common: &Common, arguments: &SeedArguments) -> Result<(), Failure> {
    let SeedArguments { data_dir, users, segments, line_items, seed, pricing } = arguments;
    let params = WorldParams {
        users: *users,
        segments: *segments,
        line_items: *line_items,
        seed: *seed,
        pricing: *pricing,
    };
    params.check().map_err(|error| anyhow!("{error}"))?;
    let data = DataDir::open(data_dir).map_err(|error| Failure::Failed(error.into()))?;
    let account = seed::account(&params);
    account_file::write(&account, &data.account_file()).map_err(|error| anyhow!("{error}"))?;
    let key = boot::id_key(&data)?;
    let memberships = Memberships::new(&params);
    let mut builder = Builder::default();
    for user in 0..params.users {
        let cookie = key.cookie(&dice::cookie(params.seed, user));
        builder.push(cookie, memberships.of(user).map(Membership::of)).context("audience")?;
    }
    let index = builder.finish().context("audience")?;
    index.save(data.root(), &key).context("audience")?;
    let world = data.world_file();
    std::fs::write(&world, seed::world_json(&params))
        .with_context(|| format!("cannot write {}", world.display()))?;
    if params.pricing {
        let pacing = FileStorage::open(&data.pacing()).context("pacing")?;
        let settled = Steering::settled(&boot::compile(account.clone(), 1)?);
        Pacing::write(settled, Box::new(pacing)).context("pacing")?;
    }
    let stats = index.stats();
    println!(
        "{}: {} line items, {} users in {} memberships ({:.1} bytes a user), exchange {:?}",
        data.root().display(),
        account.line_items.len(),
        stats.base_users,
        stats.base_memberships,
        stats.base_bytes_per_user().unwrap_or(0.0),
        seed::facts::EXCHANGE,
    );
    println!("serve it:   outbid serve --set data.dir={}", data.root().display());
    println!("measure it: outbid-load floor --data-dir {}", data.root().display());
    Ok(())
}
