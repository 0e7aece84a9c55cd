//! `outbid-load floor`: what the server costs over a bare HTTP server on the same machine, at the same time.
//!
//! Both run in their own processes on one core, the generator on another; rounds alternate (A B A B), so that what the
//! machine does besides hits both alike, and the figure is the median of the ratios of neighbouring rounds. Each round
//! sends the same bodies in the same order over the same number of connections. Each server lives through all rounds:
//! neither pays for its start.

use crate::bodies::Bodies;
use crate::client::{Billing, Requests, Tally, Until, drive};
use crate::corpus;
use crate::process::{self, Cores, CpuTime};
use crate::report::{Report, Round, Setup};
use crate::servers::{self, RealOptions, Target};
use crate::world::World;
use anyhow::{Context, ensure};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Requests that tell the mean answer before the bare server is started.
const PROBE: u64 = 4_000;

/// Rounds that are not counted, per server.
const WARM_UP: Duration = Duration::from_secs(1);

/// What a round may take beyond its length until its last answer is there.
const GRACE: Duration = Duration::from_secs(10);

/// Options of `outbid-load floor`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct FloorArgs {
    /// Data directory with a world that `outbid seed` wrote.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Send these recorded requests instead of generated ones: one JSON object a line, a bid request or
    /// {"request": …}; four in five get a cookie of the world.
    #[arg(long, value_name = "FILE")]
    corpus: Option<PathBuf>,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Pairs of rounds.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100))]
    pairs: u32,
    /// Length of a round in seconds; the CPU clock is finer than a thousandth of 3 s.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
    round_secs: u64,
    /// Keep-alive connections, one request in flight on each.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1024))]
    connections: u32,
    /// Generated bodies that are sent round and round.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=500_000))]
    bodies: u32,
    /// Bill so many in a thousand bids meanwhile, which counts among the server's CPU; the bare server is sent none.
    #[arg(long, value_name = "PER_MILLE", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=1_000))]
    notices: u64,
    /// Seed of the generated traffic; the world's own seed where it is not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Compare with the real server under this setting, on a copy of the data directory, instead of the bare one: what
    /// the setting costs.
    #[arg(long, value_name = "KEY=VALUE")]
    against: Vec<String>,
    /// A further setting of the server, as `outbid serve --set` takes it.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// The server's program instead of the `outbid` beside this one.
    #[arg(long, hide = true)]
    server_cmd: Option<PathBuf>,
}

/// Measures and prints; an error leaves no process behind.
pub(crate) fn run(args: &FloorArgs) -> anyhow::Result<()> {
    let cores = Cores::choose();
    if let Some(cores) = cores {
        process::pin(cores.generator)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            report = measure(args, cores) => report,
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
            _ = terminate.recv() => Err(anyhow::anyhow!("terminated")),
        }
    })?;
    report.print(args.json)?;
    ensure!(report.is_clean(args.corpus.is_some()), "the server gave answers that do not count: see above");
    Ok(())
}

async fn measure(args: &FloorArgs, cores: Option<Cores>) -> anyhow::Result<Report> {
    let world = World::read(&args.data_dir)?;
    let (requests, skipped) = requests(args, &world)?;
    let logs = Logs::create()?;
    let copy = logs.0.join("data");
    if !args.against.is_empty() {
        copy_of(&args.data_dir, &copy)?;
    }
    let options = RealOptions {
        program: args.server_cmd.as_deref(),
        data_dir: &args.data_dir,
        settings: &args.settings,
    };
    let mut real = servers::start_real(&options, cores, &logs.0).await?;
    let bare_load =
        Load { requests: Arc::new(requests), connections: args.connections as usize, billing: None };
    let billing = (args.notices > 0).then_some(Billing { track: real.track, per_mille: args.notices });
    let load = Load { billing, ..bare_load.clone() };

    let probe = load.send(&mut real.target, Until::Count(PROBE), GRACE * 6).await?;
    let response_bytes = probe.body_bytes.div_ceil(probe.answers().max(1));
    ensure!(response_bytes <= crate::bare::MAX_BYTES, "the mean answer has {response_bytes} bytes");
    let mut bare = match args.against.is_empty() {
        true => servers::start_bare(response_bytes, cores, &logs.0).await?,
        false => {
            let settings = [&args.settings[..], &args.against].concat();
            let options =
                RealOptions { program: args.server_cmd.as_deref(), data_dir: &copy, settings: &settings };
            servers::start_real(&options, cores, &logs.0).await?.target
        }
    };
    bare_load.send(&mut bare, Until::Elapsed(WARM_UP), GRACE).await?;
    load.send(&mut real.target, Until::Elapsed(WARM_UP), GRACE).await?;
    let mut pairs = Vec::new();
    for _ in 0..args.pairs {
        let floor = bare_load.round(&mut bare, args.round_secs).await?;
        pairs.push((floor, load.round(&mut real.target, args.round_secs).await?));
    }
    let setup = Setup {
        cores,
        connections: args.connections,
        round_secs: args.round_secs,
        bodies: args
            .corpus
            .as_ref()
            .map_or_else(|| "generated".to_owned(), |path| path.display().to_string()),
        baseline: match args.against.is_empty() {
            true => "bare".to_owned(),
            false => args.against.join(" "),
        },
        skipped_lines: skipped,
        body_bytes_mean: load.requests.body_bytes_mean,
        response_bytes,
    };
    let survivors = crate::ops::survivors(real.ops).await?;
    Report::new(setup, pairs, survivors)
}

fn requests(args: &FloorArgs, world: &World) -> anyhow::Result<(Requests, usize)> {
    let seed = args.seed.unwrap_or(world.seed);
    let source = Bodies::new(world, seed);
    let (bodies, skipped) = match &args.corpus {
        Some(path) => {
            let corpus = corpus::read(path, &source, seed)?;
            (corpus.bodies, corpus.skipped)
        }
        None => ((0..u64::from(args.bodies)).map(|n| source.body(n)).collect(), 0),
    };
    Ok((Requests::new(&format!("/openrtb2/{}", world.exchange), &bodies)?, skipped))
}

/// What is sent to a server.
#[derive(Clone)]
struct Load {
    requests: Arc<Requests>,
    connections: usize,
    billing: Option<Billing>,
}

impl Load {
    /// Sends, and quotes the server if it died of it.
    async fn send(&self, target: &mut Target, until: Until, limit: Duration) -> anyhow::Result<Tally> {
        let work = drive(target.bid, &self.requests, self.connections, until, self.billing);
        let limit = match until {
            Until::Count(_) => limit,
            Until::Elapsed(length) => length + limit,
        };
        let tally =
            tokio::time::timeout(limit, work).await.with_context(|| format!("no end after {limit:?}"));
        match tally.and_then(|tally| tally) {
            Ok(tally) => Ok(tally),
            Err(error) => {
                // A dying process closes its sockets a moment before it can be waited for.
                tokio::time::sleep(Duration::from_millis(200)).await;
                target.server.check_alive().with_context(|| format!("{error:#}"))?;
                Err(error.context(format!("its last output: {}", target.server.last_output())))
            }
        }
    }

    async fn round(&self, target: &mut Target, secs: u64) -> anyhow::Result<Round> {
        let own_pid = std::process::id();
        let (server_before, own_before) = (target.server.cpu_time()?, CpuTime::of(own_pid)?);
        let tally = self.send(target, Until::Elapsed(Duration::from_secs(secs)), GRACE).await?;
        let server_cpu_ns = target.server.cpu_time()?.since_ns(&server_before);
        let own_cpu_ns = CpuTime::of(own_pid)?.since_ns(&own_before);
        ensure!(tally.answers() > 0 && server_cpu_ns > 0, "a round without a measurable answer");
        Ok(Round { tally, server_cpu_ns, generator_cpu_ns: own_cpu_ns })
    }
}

/// Copies a directory with all that is in it but the lock of whoever serves it.
fn copy_of(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy_of(&entry.path(), &target)?;
        } else if kind.is_file() && entry.file_name() != "lock" {
            std::fs::copy(entry.path(), &target)
                .with_context(|| format!("cannot copy {}", entry.path().display()))?;
        }
    }
    Ok(())
}

/// A directory of its own for the servers' output, removed at the end.
#[derive(Debug)]
pub(crate) struct Logs(pub(crate) PathBuf);

impl Logs {
    pub(crate) fn create() -> anyhow::Result<Logs> {
        let path = std::env::temp_dir().join(format!("outbid-load-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Logs(path))
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        // What is left behind is a few lines of text in the temporary directory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
