//! `outbid-load run`: an exchange's load on a server, measured the way an exchange feels it.
//!
//! Requests are sent when they are due, whatever the server does (`schedule`, `driver`), each with an id of its own
//! (`traffic`); every answer is read and judged (`answer`), and counted from the moment it was meant to be asked for
//! (`measure`). A run says by itself when it counts for nothing, because the generator could not keep up (`runner`).
//!
//! Invariant: the figures of a run and the reasons to doubt them stand in the same report. Exit codes: 0 done and held,
//! 1 failed, 2 wrong use, [`EXIT_INVALID`], [`EXIT_MISSED`].

mod answer;
pub(crate) mod args;
mod driver;
mod measure;
mod modes;
mod own;
mod partner;
pub(crate) mod report;
mod runner;
mod schedule;
mod site;
mod slo;
mod traffic;
mod wire;

use crate::awake::Awake;
use crate::market::dice::splitmix64;
use crate::process::{self, Cores};
use anyhow::ensure;
use args::{Mode, RunArgs};
use driver::{Driver, Options};
use modes::{Outcome, Plan};
use partner::Partner;
use report::figures::Latency;
use report::live::Live;
use report::{Bodies, Frame, Notices, Report, Settings, unix_time};
use runner::Runner;
use site::{Machine, Site};
use std::process::ExitCode;
use std::time::Duration;
use traffic::Traffic;
use traffic::source::Source;

/// The run counts for nothing.
pub(crate) const EXIT_INVALID: u8 = 98;
/// The run counts, and a condition does not hold.
pub(crate) const EXIT_MISSED: u8 = 99;

/// Connections where none are given.
const CONNECTIONS: u32 = 64;
/// A spike asks many at once; waiting must happen before the server, not in the generator.
const SPIKE_CONNECTIONS: u32 = 1_024;
/// How long an exchange waits for a connection in a spike.
const SPIKE_WAIT_MS: u64 = 20;
/// How long the exchange may take for its last notices after a run.
const SETTLE: Duration = Duration::from_secs(30);

/// Runs, reports, and says with its exit code what came of it.
pub(crate) fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let cores = if args.target.bid.is_some() { None } else { Cores::choose() };
    if let Some(cores) = cores {
        process::pin(cores.generator)?;
    }
    ensure!(
        cores.is_some() || !args.load.keep_awake,
        "--keep-awake is for two cores, and this process may use one: leave it out"
    );
    let _awake = cores.filter(|_| args.load.keep_awake).map(Awake::keep).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (report, outcome) = runtime.block_on(async {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            result = measure(args, cores) => result,
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
            _ = terminate.recv() => Err(anyhow::anyhow!("terminated")),
        }
    })?;
    report.write(&args.report, &outcome.main.measured)?;
    Ok(match (report.valid, report.holds()) {
        (false, _) => ExitCode::from(EXIT_INVALID),
        (true, false) => ExitCode::from(EXIT_MISSED),
        (true, true) => ExitCode::SUCCESS,
    })
}

async fn measure(args: &RunArgs, cores: Option<Cores>) -> anyhow::Result<(Report, Outcome)> {
    let world = site::world(&args.target)?;
    let source = Source::new(&args.traffic, &world)?;
    ensure!(
        args.load.beside_floor == 0 || (args.mode == Mode::Rate && args.target.data_dir.is_some()),
        "--beside-floor is for the mode rate and a server that is started for the run: give --data-dir"
    );
    ensure!(
        args.mode != Mode::Replay || args.traffic.corpus.is_some(),
        "replay sends recorded requests: give --corpus"
    );
    let started = unix_time();
    // The time of the start, so that a server never sees an id of an earlier run again.
    let run = splitmix64(started.as_nanos() as u64 ^ u64::from(std::process::id()) << 40) as u32;
    let path = format!("/openrtb2/{}", world.exchange);
    let traffic = Traffic::new(&path, &source.bodies, run)?;
    let mut partner = partner::partner(args, &world, &source)?;
    let settings_for_it = partner.as_ref().map_or_else(Vec::new, |partner| partner.settings());
    let site = Site::open(&args.target, cores, &settings_for_it).await?;
    let has_notices = partner.is_some();
    ensure!(
        !has_notices || site.track.is_some(),
        "notices need the server's tracking listener: give --track"
    );
    let options = options(args, &site);
    let driver =
        Driver::new(options, traffic, partner.as_deref_mut().map(|partner| partner as &mut dyn Partner))?;
    let environment = Machine::read(&site);
    let mut runner = Runner::new(driver, site, Live::new(args.report.quiet));
    let seed = args.traffic.seed.unwrap_or(world.seed);
    let plan = Plan { args, seed, times_ns: &source.times_ns, bodies: &source.bodies, path: &path, run };
    let mut outcome = modes::run(&mut runner, &plan).await?;
    if has_notices && !runner.driver.settle(SETTLE).await {
        outcome.notes.push(format!("notices were still due {} s after the run", SETTLE.as_secs()));
    }
    let (latency, unanswered) = runner.driver.notices();
    let notices = has_notices.then(|| Notices {
        answered: latency.len(),
        unanswered,
        latency_us: Latency::of(latency),
    });
    // The server started here ends with the runner: what its partner looks at then does not change any more.
    drop(runner);
    if let Some(partner) = &mut partner {
        let findings = partner.finish()?;
        outcome.checks.extend(findings.checks);
        outcome.notes.extend(findings.notes);
        outcome.extra.insert("exchange".to_owned(), findings.json);
    }
    let frame = Frame {
        mode: args.mode.name(),
        started_s: started.as_secs(),
        notices,
        environment,
        settings: settings(args, &options, seed),
        traffic: Bodies::new(args, &source, run),
    };
    Ok((Report::new(&outcome, frame)?, outcome))
}

fn options(args: &RunArgs, site: &Site) -> Options {
    let (load, is_spike) = (&args.load, args.mode == Mode::Spike);
    let connections = load.connections.unwrap_or(if is_spike { SPIKE_CONNECTIONS } else { CONNECTIONS });
    let max_wait = load.max_wait_ms.unwrap_or(if is_spike { SPIKE_WAIT_MS } else { load.timeout_ms });
    Options {
        bid: site.bid,
        track: site.track,
        connections: connections as usize,
        notice_connections: load.notice_connections as usize,
        timeout: Duration::from_millis(load.timeout_ms),
        max_wait: Duration::from_millis(max_wait),
    }
}

fn settings(args: &RunArgs, options: &Options, seed: u64) -> Settings {
    let load = &args.load;
    Settings {
        rate: load.rate,
        secs: load.secs,
        warm_up_secs: load.warm_up_secs,
        arrivals: format!("{:?}", load.arrivals).to_lowercase(),
        connections: options.connections,
        notice_connections: load.notice_connections,
        timeout_ms: load.timeout_ms,
        max_wait_ms: options.max_wait.as_millis() as u64,
        slo: load.slo.as_ref().map(ToString::to_string),
        generator_cpu_limit_percent: load.generator_cpu_limit,
        late_limit_percent: load.late_limit,
        keep_awake: load.keep_awake,
        seed,
        server_settings: args.target.settings.clone(),
    }
}
