//! `outbid demo`: an insurer's account on a fresh data directory, the journey of an impression from request to click,
//! and then a server to play with.

mod client;
mod journey;
mod media;
mod samples;
pub mod world;

pub(super) use world::account;

use super::serve::until_signal;
use super::{Common, Failure};
use super::{boot, reload};
use crate::audience::{AudienceIndex, Builder, IdKey};
use crate::serve::{Addresses, Shared};
use crate::store::account_file;
use crate::store::data_dir::DataDir;
use anyhow::{Context, anyhow};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the tracking URLs of the demo begin with. Nothing is there: it stands for the https address that production
/// has in front of `listen.track`, because impressions that ask for https are only bid on with one.
pub(super) const PUBLIC_URL: &str = "https://track.outbid.example";

/// How to show it.
#[derive(Debug, clap::Args)]
pub(super) struct DemoArguments {
    /// Keep the demo's data here; default: a temporary directory that goes when the demo ends.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Make the journey once on free ports and exit: 0, or 1 with what failed.
    #[arg(long)]
    check: bool,
}

pub(super) fn run(common: &Common, arguments: &DemoArguments) -> Result<(), Failure> {
    let temporary = TemporaryDir::new();
    let dir = arguments.data_dir.clone().unwrap_or_else(|| temporary.0.clone());
    let mut presets = vec![
        format!("track.public_url={PUBLIC_URL}"),
        format!("admin.bootstrap_key={}", random_key()),
        "server.drain_grace_ms=0".to_owned(),
        "ledger.segment_bytes=1048576".to_owned(),
        "log.level=warn".to_owned(),
        // A laptop that is busy compiling must still show bids; the answer's deadline is the exchange's tmax.
        "engine.budget_us=50000".to_owned(),
    ];
    if arguments.check {
        let listeners = ["bid", "track", "admin", "ops"];
        presets.extend(listeners.iter().map(|name| format!("listen.{name}=127.0.0.1:0")));
    }
    let mut config = boot::configuration(common, presets)?;
    config.data.dir = dir;
    boot::start_log(&config)?;
    let data = DataDir::open(&config.data.dir).map_err(|error| Failure::Failed(error.into()))?;
    prepare(&data)?;
    let key = config.admin.bootstrap_key.clone();
    let booted = boot::shared(config, &data)?;
    let shared = Arc::clone(&booted.shared);
    // Without SIGHUP, which a terminal that is closed sends: a demo ends with it.
    reload::watch(&booted, &data, false).context("publisher")?;
    introduce(&shared, data.root());
    let served = until_signal(&shared, |running| {
        let failed = journey::travel(&shared, &running.addresses)?;
        if !failed.is_empty() {
            return Err(Failure::Failed(anyhow!("the journey failed:\n  {}", failed.join("\n  "))));
        }
        if arguments.check {
            println!("\ncheck passed: every step did what it should");
            return Ok(false);
        }
        invite(&running.addresses, data.root(), key.as_ref().map(|key| key.expose()).unwrap_or_default())?;
        Ok(true)
    });
    booted.close();
    served
}

/// Writes the account and the audience, unless this directory has them from before.
fn prepare(data: &DataDir) -> Result<(), Failure> {
    if !data.account_file().exists() {
        account_file::write(&account(), &data.account_file()).map_err(|error| anyhow!("{error}"))?;
    }
    let key = boot::id_key(data)?;
    let stored = AudienceIndex::load(data.root(), &key).map_err(|error| Failure::Damaged(error.into()))?;
    if stored.is_none() {
        audience(&key)?.save(data.root(), &key).context("audience")?;
    }
    Ok(())
}

/// The demo's users with their personas.
pub(super) fn audience(key: &IdKey) -> Result<AudienceIndex, Failure> {
    let mut builder = Builder::default();
    for user in 0..world::USERS {
        builder.push(key.cookie(&world::cookie(user)), world::memberships(user)).context("audience")?;
    }
    Ok(builder.finish().context("audience")?)
}

fn introduce(shared: &Shared, root: &Path) {
    let catalog = Arc::clone(&shared.snapshots().load().catalog);
    let names: Vec<&str> = catalog.exchanges().iter().map(|profile| profile.name.as_str()).collect();
    println!(
        "outbid demo: {}, an insurer that speaks to people by what happens in their lives",
        catalog.advertisers()[0].name
    );
    println!("  data       {}", root.display());
    println!("  exchanges  {}", names.join(", "));
    println!(
        "  line items {} ({} personas, each with its own message and price, one for everybody else, and {} for video, \
         audio, feeds and streets)",
        catalog.line_items().len(),
        world::PERSONAS.len(),
        media::NAMES.len(),
    );
    println!("  creatives  {}", catalog.creatives().len());
    println!(
        "  users      {} cookies with {} memberships",
        world::USERS,
        shared.audience().stats().base_memberships
    );
    println!(
        "  sensitive  personas of family and health count only with the user's explicit consent on record\n"
    );
}

fn invite(at: &Addresses, root: &Path, key: &str) -> Result<(), Failure> {
    let request = root.join("request.json");
    let body = samples::request("try-it", &samples::Sample::wealthy_on_a_site());
    std::fs::write(&request, format!("{body:#}\n"))
        .with_context(|| format!("cannot write {}", request.display()))?;
    let program =
        std::env::current_exe().map_or_else(|_| "outbid".to_owned(), |path| path.display().to_string());
    let (request, root) = (request.display(), root.display());
    println!("\nserving; paste these, stop with ctrl-c:\n");
    println!("  curl -s -H 'content-type: application/json' -d @{request} http://{}/openrtb2/demo", at.bid);
    println!("  {program} explain {request} --set data.dir={root} --set track.public_url={PUBLIC_URL}");
    println!(
        "  # a bid's nurl, burl and lurl begin with {PUBLIC_URL}; here they answer at http://{}:",
        at.track
    );
    println!(
        "  curl -s -H 'content-type: application/json' -d @{request} http://{}/openrtb2/demo | grep -o '\"burl\":\"[^\"]*' | cut -d'\"' -f4 \\\n    \
         | sed 's|{PUBLIC_URL}|http://{}|; s|${{AUCTION_PRICE}}|4.20|; s|${{[A-Z_]*}}||g' | xargs curl -si",
        at.bid, at.track
    );
    println!("  curl -s -H 'authorization: Bearer {key}' http://{}/v1/balances", at.admin);
    println!("  curl -s http://{}/metrics", at.ops);
    println!("  curl -s http://{}/readyz", at.ops);
    Ok(())
}

/// 32 hex digits that nobody else knows.
fn random_key() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// A directory that goes when the demo ends.
struct TemporaryDir(PathBuf);

impl TemporaryDir {
    fn new() -> TemporaryDir {
        TemporaryDir(std::env::temp_dir().join(format!(
            "outbid-demo-{}-{:08x}",
            std::process::id(),
            rand::random::<u32>()
        )))
    }
}

impl Drop for TemporaryDir {
    fn drop(&mut self) {
        // It was never made when --data-dir was given.
        if let Err(error) = std::fs::remove_dir_all(&self.0)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            eprintln!("outbid: {} stays behind: {error}", self.0.display());
        }
    }
}
