//! Starting the two servers that `floor` compares, each in its own process on loopback.

use crate::ops;
use crate::process::{Cores, Server};
use anyhow::{Context, bail};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long the real server may load its world.
const READY_LIMIT: Duration = Duration::from_secs(300);

/// Between two looks whether a server is ready.
const POLL: Duration = Duration::from_millis(50);

/// A server that answers bid requests.
#[derive(Debug)]
pub(crate) struct Target {
    /// Its process; dropping it ends the server.
    pub(crate) server: Server,
    /// Where it takes bid requests.
    pub(crate) bid: SocketAddr,
}

/// The real server and where it is asked how it is.
#[derive(Debug)]
pub(crate) struct Real {
    /// The server.
    pub(crate) target: Target,
    /// Its tracking listener.
    pub(crate) track: SocketAddr,
    /// Its admin listener.
    pub(crate) admin: SocketAddr,
    /// Its operations listener.
    pub(crate) ops: SocketAddr,
}

/// How the real server is started.
#[derive(Debug)]
pub(crate) struct RealOptions<'o> {
    /// The program; `None` = `outbid` beside this program.
    pub(crate) program: Option<&'o Path>,
    /// Its data directory.
    pub(crate) data_dir: &'o Path,
    /// Further `key=value` settings, given last.
    pub(crate) settings: &'o [String],
}

/// Starts the real server with one serving core and waits until it is ready.
pub(crate) async fn start_real(
    options: &RealOptions<'_>,
    cores: Option<Cores>,
    logs: &Path,
) -> anyhow::Result<Real> {
    let program = match options.program {
        Some(program) => program.to_owned(),
        None => beside_this("outbid")?,
    };
    let [bid, track, admin, ops] = free_addresses()?;
    let mut command = Command::new(program);
    command.arg("serve");
    let settings = [
        format!("data.dir={}", options.data_dir.display()),
        format!("listen.bid={bid}"),
        format!("listen.track={track}"),
        format!("listen.admin={admin}"),
        format!("listen.ops={ops}"),
        // Without https the server may not bid on impressions that ask for it; nothing is ever sent there.
        "track.public_url=https://track.example".to_owned(),
        "engine.cores=1".to_owned(),
    ];
    for setting in settings.iter().chain(options.settings) {
        command.args(["--set", setting]);
    }
    let mut server = Server::start("server", command, cores, &logs.join("server.log"))?;
    wait_until(
        &mut server,
        READY_LIMIT,
        async || matches!(ops::get(ops, "/readyz").await, Ok((status, _)) if status == 200),
    )
    .await?;
    Ok(Real { target: Target { server, bid }, track, admin, ops })
}

/// Starts this program as the bare server that answers `bytes` bytes.
pub(crate) async fn start_bare(bytes: u64, cores: Option<Cores>, logs: &Path) -> anyhow::Result<Target> {
    let [bid] = free_addresses()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["floor-server", "--listen", &bid.to_string(), "--bytes", &bytes.to_string()]);
    let mut server = Server::start("bare server", command, cores, &logs.join("bare.log"))?;
    wait_until(&mut server, Duration::from_secs(10), async || {
        tokio::net::TcpStream::connect(bid).await.is_ok()
    })
    .await?;
    Ok(Target { server, bid })
}

async fn wait_until(
    server: &mut Server,
    limit: Duration,
    ready: impl AsyncFn() -> bool,
) -> anyhow::Result<()> {
    let mut waited = Duration::ZERO;
    while waited < limit {
        server.check_alive()?;
        if ready().await {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
        waited += POLL;
    }
    bail!("not ready after {limit:?}; its last output: {}", server.last_output())
}

/// A program beside this one.
pub(crate) fn beside_this(name: &str) -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe()?;
    let path = this.with_file_name(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if !path.is_file() {
        bail!("{} is not there: build it with `cargo build --release --workspace`", path.display());
    }
    Ok(path)
}

/// Ports of loopback that were free a moment ago, all different.
fn free_addresses<const N: usize>() -> anyhow::Result<[SocketAddr; N]> {
    let mut taken = Vec::new();
    for _ in 0..N {
        taken.push(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on loopback")?);
    }
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for (address, listener) in addresses.iter_mut().zip(&taken) {
        *address = listener.local_addr()?;
    }
    Ok(addresses)
}
