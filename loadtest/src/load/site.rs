//! The server that is measured: one that is started for the run, or one that runs already. And how much of the machine
//! it and the generator use.

use super::args::TargetArgs;
use crate::floor::Logs;
use crate::process::{Cores, CpuTime, Server};
use crate::servers::{self, RealOptions};
use crate::world::World;
use anyhow::Context;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// Size of a page of memory in `/proc`.
const PAGE_BYTES: u64 = 4_096;

/// A server and where it listens.
#[derive(Debug)]
pub(crate) struct Site {
    /// Its process, if it was started here; it ends with the site.
    server: Option<Server>,
    pid: Option<u32>,
    pub(crate) bid: SocketAddr,
    pub(crate) track: Option<SocketAddr>,
    pub(crate) ops: Option<SocketAddr>,
    /// Cores, where the two sides have their own.
    pub(crate) cores: Option<Cores>,
    logs: Option<Logs>,
}

/// The world that a server serves.
pub(crate) fn world(args: &TargetArgs) -> anyhow::Result<World> {
    let given = args.data_dir.as_deref().or(args.world.as_deref()).context("no world is given")?;
    let dir = if given.is_file() { given.parent().unwrap_or(Path::new("")) } else { given };
    World::read(dir)
}

impl Site {
    /// Starts the server, with `settings` before those that were given, or takes the one that runs.
    pub(crate) async fn open(
        args: &TargetArgs,
        cores: Option<Cores>,
        settings: &[String],
    ) -> anyhow::Result<Site> {
        if let Some(bid) = args.bid {
            let pid = args.server_pid;
            return Ok(Site {
                server: None,
                pid,
                bid,
                track: args.track,
                ops: args.ops,
                cores: None,
                logs: None,
            });
        }
        let data_dir = args.data_dir.as_deref().context("neither a data directory nor a server is given")?;
        let logs = Logs::create()?;
        let settings = [settings, &args.settings].concat();
        let options = RealOptions { program: args.server_cmd.as_deref(), data_dir, settings: &settings };
        let real = servers::start_real(&options, cores, &logs.0).await?;
        Ok(Site {
            pid: Some(real.target.server.pid()),
            server: Some(real.target.server),
            bid: real.target.bid,
            track: Some(real.track),
            ops: Some(real.ops),
            cores,
            logs: Some(logs),
        })
    }

    /// A bare server that answers `bytes` bytes, on the core of a server that was started here.
    pub(crate) async fn bare(bytes: u64, beside: &Site) -> anyhow::Result<Site> {
        let logs = beside.logs.as_ref().context("the server was not started for this run")?;
        let target = servers::start_bare(bytes, beside.cores, &logs.0).await?;
        Ok(Site {
            pid: Some(target.server.pid()),
            server: Some(target.server),
            bid: target.bid,
            track: None,
            ops: None,
            cores: beside.cores,
            logs: None,
        })
    }

    /// An error if the server that was started here is gone.
    pub(crate) fn check_alive(&mut self) -> anyhow::Result<()> {
        self.server.as_mut().map_or(Ok(()), Server::check_alive)
    }

    /// A reading of both sides' CPU time.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        Ok(Usage {
            generator: CpuTime::of(std::process::id())?,
            generator_waited_ns: waited_ns()?,
            server: self.pid.map(CpuTime::of).transpose().context("cannot read the server's CPU time")?,
        })
    }

    /// Memory and, where they are wanted, descriptors of the server; `None` where its process is not known.
    /// Counting a thousand descriptors takes long enough to delay sends, so they are not counted often.
    pub(crate) fn footprint(&self, at: Duration, descriptors: bool) -> anyhow::Result<Option<Footprint>> {
        let Some(pid) = self.pid else { return Ok(None) };
        let statm = std::fs::read_to_string(format!("/proc/{pid}/statm"))?;
        let pages: u64 = statm.split(' ').nth(1).context("statm is too short")?.parse()?;
        let count = || std::fs::read_dir(format!("/proc/{pid}/fd")).map(|entries| entries.count() as u64);
        let descriptors = if descriptors { Some(count()?) } else { None };
        Ok(Some(Footprint { at_s: at.as_secs_f64(), rss_bytes: pages * PAGE_BYTES, descriptors }))
    }
}

/// A reading of CPU time.
#[derive(Clone, Debug)]
pub(crate) struct Usage {
    generator: CpuTime,
    /// How long the generator could have run and was kept from its core, since its start.
    generator_waited_ns: u64,
    server: Option<CpuTime>,
}

/// What two readings say of the time between them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Used {
    /// Nanoseconds.
    pub(crate) generator_ns: u64,
    /// Nanoseconds that the generator waited for its core, which others used.
    pub(crate) generator_waited_ns: u64,
    /// Nanoseconds; `None` where its process is not known.
    pub(crate) server_ns: Option<u64>,
    /// From the first reading to the second.
    pub(crate) elapsed_ns: u64,
}

impl Used {
    /// Of two stretches together.
    pub(crate) fn plus(&self, other: &Used) -> Used {
        Used {
            generator_ns: self.generator_ns + other.generator_ns,
            generator_waited_ns: self.generator_waited_ns + other.generator_waited_ns,
            server_ns: self.server_ns.zip(other.server_ns).map(|(own, other)| own + other),
            elapsed_ns: self.elapsed_ns + other.elapsed_ns,
        }
    }
}

impl Usage {
    /// What was used since `earlier`, which was read `elapsed` before.
    pub(crate) fn since(&self, earlier: &Usage, elapsed: Duration) -> Used {
        Used {
            generator_ns: self.generator.since_ns(&earlier.generator),
            generator_waited_ns: self.generator_waited_ns - earlier.generator_waited_ns,
            server_ns: self
                .server
                .as_ref()
                .zip(earlier.server.as_ref())
                .map(|(now, then)| now.since_ns(then)),
            elapsed_ns: elapsed.as_nanos() as u64,
        }
    }
}

/// The server's memory and descriptors at a moment.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub(crate) struct Footprint {
    /// Seconds from the start of the segment.
    pub(crate) at_s: f64,
    /// Resident memory.
    pub(crate) rss_bytes: u64,
    /// Open descriptors, where they were counted.
    pub(crate) descriptors: Option<u64>,
}

/// The second figure of `/proc/self/schedstat`: nanoseconds on the run queue; 0 where the kernel does not keep it.
fn waited_ns() -> anyhow::Result<u64> {
    let Ok(text) = std::fs::read_to_string("/proc/self/schedstat") else { return Ok(0) };
    let figure = text.split_whitespace().nth(1);
    figure.map_or(Ok(0), |figure| figure.parse().context("schedstat holds no number"))
}

/// The machine that a figure was taken on.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Machine {
    cpu: String,
    cpus: usize,
    kernel: String,
    /// Core of the server and of the generator; `null` where they may share one.
    server_core: Option<usize>,
    generator_core: Option<usize>,
    /// Where server and generator meet.
    network: &'static str,
    /// This program's version.
    version: &'static str,
    /// Of the working directory, where it is a checkout.
    commit: Option<String>,
}

impl Machine {
    /// Asks the system.
    pub(crate) fn read(site: &Site) -> Machine {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let kernel = rustix::system::uname();
        Machine {
            cpu: model.map_or("unknown", |(_, name)| name).trim().to_owned(),
            // This process may use one of them only, so it is not asked what it may use.
            cpus: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            kernel: format!("{} {}", kernel.sysname().to_string_lossy(), kernel.release().to_string_lossy()),
            server_core: site.cores.map(|cores| cores.server),
            generator_core: site.cores.map(|cores| cores.generator),
            network: if site.bid.ip().is_loopback() { "loopback" } else { "network" },
            version: env!("CARGO_PKG_VERSION"),
            commit: commit(Path::new(".")),
        }
    }
}

/// The commit that is checked out in `dir`, read from its `.git` directory.
fn commit(dir: &Path) -> Option<String> {
    let git = dir.join(".git");
    let head = std::fs::read_to_string(git.join("HEAD")).ok()?;
    let commit = match head.trim().strip_prefix("ref: ") {
        Some(name) => std::fs::read_to_string(git.join(name)).ok().or_else(|| {
            let packed = std::fs::read_to_string(git.join("packed-refs")).ok()?;
            packed.lines().find_map(|line| line.strip_suffix(name).map(str::to_owned))
        })?,
        None => head,
    };
    let commit = commit.trim().to_owned();
    (commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(commit)
}
