//! `outbid-load reload`: how long a server takes to take up a changed account, and what its bids feel of that.
//!
//! A seeded world is served; requests come at a steady rate, because that is what an exchange does whatever the server
//! is busy with: a latency counts from when a request was due where the connection was still waiting for the one before.
//! Each round changes the account file, measures for a while without a reload, then during one.

use crate::bodies::Bodies;
use crate::client::{Connection, Requests, now};
use crate::floor::Logs;
use crate::ops;
use crate::servers::{self, RealOptions};
use crate::world::World;
use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use serde_json::Value;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The key of the admin listener.
const KEY: &str = "the key of one measurement";
/// Bodies that are sent round and round.
const BODIES: u64 = 5_000;
/// Every so many line items is changed where few are.
const FEW: usize = 100;

/// Options of `outbid-load reload`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ReloadArgs {
    /// Where a world is made; it must not be there yet.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Line items of the world.
    #[arg(long, default_value_t = 100_000)]
    line_items: u64,
    /// Reloads of each kind.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Bid requests a second.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: u64,
    /// Keep-alive connections.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=1_024))]
    connections: u64,
    /// Seconds without a reload before each.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    calm_secs: u64,
    /// The server's program instead of the `outbid` beside this one.
    #[arg(long, hide = true)]
    server_cmd: Option<PathBuf>,
}

/// Measures and prints; an error leaves no process behind.
pub(crate) fn run(args: &ReloadArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(args))
}

/// What is changed before a reload.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Nothing,
    Few,
    All,
}

impl Change {
    fn name(self) -> &'static str {
        match self {
            Change::Nothing => "nothing",
            Change::Few => "1 % (targeting and budget)",
            Change::All => "all (targeting and budget)",
        }
    }
}

async fn measure(args: &ReloadArgs) -> anyhow::Result<()> {
    let program = match &args.server_cmd {
        Some(program) => program.clone(),
        None => servers::beside_this("outbid")?,
    };
    seed(&program, args)?;
    let file = args.data_dir.join("account.json");
    let mut account: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
    let world = World::read(&args.data_dir)?;
    let bodies = Bodies::new(&world, world.seed);
    let bodies: Vec<String> = (0..BODIES).map(|n| bodies.body(n)).collect();
    let requests = Arc::new(Requests::new(&format!("/openrtb2/{}", world.exchange), &bodies)?);
    let logs = Logs::create()?;
    let options = RealOptions {
        program: Some(&program),
        data_dir: &args.data_dir,
        settings: &[format!("admin.bootstrap_key={KEY}")],
    };
    let real = servers::start_real(&options, None, &logs.0).await?;
    let load = Load { to: real.target.bid, requests, rate: args.rate, connections: args.connections };
    let calm = Duration::from_secs(args.calm_secs);
    load.during(tokio::time::sleep(calm)).await?;
    let mut out = std::io::stdout();
    writeln!(out, "{} line items, {} requests a second, one serving core\n", args.line_items, args.rate)?;
    writeln!(
        out,
        "| changed | line items changed | whole reload | read | compile | ledger | bid p50, p99 before | during | p99 |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|---|")?;
    for change in [Change::Nothing, Change::Few, Change::All] {
        for round in 0..args.rounds {
            edit(&mut account, change, round);
            write(&account, &file)?;
            // What the writing stirred up settles.
            tokio::time::sleep(Duration::from_secs(1)).await;
            let (before, ()) = load.during(tokio::time::sleep(calm)).await?;
            let (during, reply) = load.during(ops::post(real.admin, "/v1/account/reload", KEY)).await?;
            let (status, text) = reply?;
            ensure!(status == 200, "the reload answers {status}: {text}");
            writeln!(out, "{}", row(change, &serde_json::from_str(&text)?, &before, &during)?)?;
        }
    }
    Ok(())
}

fn seed(program: &Path, args: &ReloadArgs) -> anyhow::Result<()> {
    ensure!(!args.data_dir.exists(), "{} is there already", args.data_dir.display());
    let mut command = std::process::Command::new(program);
    command.args(["seed", "--quiet", "--users", "10000", "--line-items", &args.line_items.to_string()]);
    command.arg("--data-dir").arg(&args.data_dir).stdout(std::process::Stdio::null());
    let status = command.status().with_context(|| format!("cannot start {}", program.display()))?;
    ensure!(status.success(), "outbid seed ended with {status}");
    Ok(())
}

/// Changes line items: whom they do not reach, and what a day may cost.
fn edit(account: &mut Value, change: Change, round: u32) {
    let step = match change {
        Change::Nothing => return,
        Change::Few => FEW,
        Change::All => 1,
    };
    let languages = ["tlh", "vo", "eo", "io"];
    let items = account["line_items"].as_array_mut().into_iter().flatten();
    for item in items.step_by(step) {
        let language = languages[round as usize % languages.len()];
        item["targeting"]["languages"] = serde_json::json!({ "exclude": [language] });
        item["budget"]["daily"] = format!("{}.00", 90_000 + round).into();
        item["name"] = format!("round {round} of {}", change.name()).into();
    }
}

fn write(account: &Value, file: &Path) -> anyhow::Result<()> {
    let new = file.with_extension("new");
    let mut out = std::io::BufWriter::new(std::fs::File::create(&new)?);
    serde_json::to_writer_pretty(&mut out, account)?;
    out.flush()?;
    Ok(std::fs::rename(&new, file)?)
}

fn row(
    change: Change,
    said: &Value,
    before: &Histogram<u64>,
    during: &Histogram<u64>,
) -> anyhow::Result<String> {
    let ms = |value: &Value| value.as_u64().map(|ms| format!("{ms} ms")).context("a time is missing");
    let at = |histogram: &Histogram<u64>, quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
    let both = |of: &Histogram<u64>| format!("{:.0} µs, {:.0} µs ({})", at(of, 0.5), at(of, 0.99), of.len());
    let moved = 100.0 * (at(during, 0.99) / at(before, 0.99) - 1.0);
    let steps = &said["steps"];
    Ok(format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {moved:+.0} % |",
        change.name(),
        said["line_items"]["changed"],
        ms(&said["milliseconds"])?,
        ms(&steps["read"])?,
        ms(&steps["compile"])?,
        ms(&steps["ledger"])?,
        both(before),
        both(during),
    ))
}

/// A steady rate of requests.
pub(crate) struct Load {
    /// The bid listener.
    pub(crate) to: SocketAddr,
    /// What is sent, round and round.
    pub(crate) requests: Arc<Requests>,
    /// Requests a second.
    pub(crate) rate: u64,
    /// Keep-alive connections.
    pub(crate) connections: u64,
}

impl Load {
    /// Sends until `work` is done; latencies in nanoseconds, and what came of the work.
    pub(crate) async fn during<T>(
        &self,
        work: impl Future<Output = T>,
    ) -> anyhow::Result<(Histogram<u64>, T)> {
        let (stop, next) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let start = now();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..self.connections {
            let mut connection = Connection::open(self.to).await?;
            let (stop, next, requests) = (Arc::clone(&stop), Arc::clone(&next), Arc::clone(&self.requests));
            let every = Duration::from_secs(1) / u32::try_from(self.rate)?;
            tasks.spawn(async move {
                let mut latency_ns = Histogram::<u64>::new_with_max(60_000_000_000, 3)?;
                while !stop.load(Relaxed) {
                    let number = next.fetch_add(1, Relaxed);
                    let due = start + every * u32::try_from(number)?;
                    let is_late = now() > due;
                    tokio::time::sleep_until(due.into()).await;
                    let sent_at = if is_late { due } else { now() };
                    let status = connection.exchange(requests.get(number)).await?.status;
                    ensure!(status == 200 || status == 204, "a bid request was answered {status}");
                    latency_ns.saturating_record(sent_at.elapsed().as_nanos() as u64);
                }
                Ok(latency_ns)
            });
        }
        let done = work.await;
        stop.store(true, Relaxed);
        let mut all = Histogram::<u64>::new_with_max(60_000_000_000, 3)?;
        while let Some(ended) = tasks.join_next().await {
            all.add(ended??)?;
        }
        Ok((all, done))
    }
}
