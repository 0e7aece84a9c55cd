//! `outbid serve` as a child process that trials kill, stop and ask.
//!
//! Invariant: a [`Server`] that goes out of scope is killed, and a stopped one is continued first. Its ports lie below
//! those that the system gives to outgoing connections: a client that knocks at a dead server's port could otherwise
//! be given that very port and answer itself.

use super::account::{self, ADMIN_KEY, LINES, Plan, Purse};
use super::http::{Client, Reply, now};
use anyhow::{Context, bail, ensure};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A start that takes longer has failed.
const START_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);
/// Listeners are placed in here.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Where everything of a trial is.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// The program.
    pub(crate) program: PathBuf,
    /// The data directory.
    pub(crate) dir: PathBuf,
    /// What the servers say, one after the other.
    pub(crate) log: PathBuf,
    /// Bid, track, admin, operations.
    pub(crate) at: [SocketAddr; 4],
    /// Further `key=value` settings.
    pub(crate) sets: Vec<String>,
    /// What the program is started under, with its arguments.
    pub(crate) wrapper: Vec<String>,
}

impl Site {
    /// Prepares a data directory with the account of the trials.
    pub(crate) fn prepare(program: &Path, dir: &Path, plan: &Plan, seed: u64) -> anyhow::Result<Site> {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let file = dir.join("account.json");
        ensure!(!file.exists(), "{} is there already: trials need a directory of their own", file.display());
        write_account(dir, plan)?;
        let log = log_path(seed);
        std::fs::write(&log, "")?;
        let sets = ["engine.cores=2", "engine.budget_us=1000000", "server.queue_shed_ms=10000"];
        let sets = sets.into_iter().map(str::to_owned);
        let sets =
            sets.chain(["server.queue_shed_window_ms=60000", "server.drain_grace_ms=0"].map(str::to_owned));
        let (program, dir) = (program.to_owned(), dir.to_owned());
        Ok(Site { program, dir, log, at: free_ports(seed)?, sets: sets.collect(), wrapper: Vec::new() })
    }

    /// Changes the account; the next start reads it.
    pub(crate) fn edit(&self, plan: &Plan) -> anyhow::Result<()> {
        write_account(&self.dir, plan)
    }

    /// Sets one option.
    pub(crate) fn set(mut self, option: &str) -> Site {
        self.sets.push(option.to_owned());
        self
    }

    /// The command that serves.
    pub(crate) fn command(&self) -> anyhow::Result<Command> {
        let mut command = match self.wrapper.split_first() {
            Some((wrapper, arguments)) => {
                let mut command = Command::new(wrapper);
                command.args(arguments).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        command.arg("serve");
        let names = ["bid", "track", "admin", "ops"];
        let listen = names.iter().zip(self.at).map(|(name, at)| format!("listen.{name}={at}"));
        let own = [
            format!("data.dir={}", self.dir.display()),
            format!("track.public_url=http://{}", self.at[1]),
            format!("admin.bootstrap_key={ADMIN_KEY}"),
        ];
        for setting in listen.chain(own).chain(self.sets.iter().cloned()) {
            command.args(["--set", &setting]);
        }
        let log = std::fs::OpenOptions::new().append(true).open(&self.log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }

    /// Starts the server and waits until it is ready.
    pub(crate) fn start(&self) -> anyhow::Result<Server> {
        let mut server = self.spawn()?;
        server.ready_in = server.wait_ready(START_LIMIT)?;
        Ok(server)
    }

    /// Starts the server, whatever becomes of it.
    pub(crate) fn spawn(&self) -> anyhow::Result<Server> {
        let log_from = std::fs::metadata(&self.log)?.len() as usize;
        let child =
            self.command()?.spawn().with_context(|| format!("cannot start {}", self.program.display()))?;
        Ok(Server { child, site: self.clone(), log_from, ready_in: Duration::ZERO })
    }

    /// `GET /readyz`.
    pub(crate) fn readyz(&self) -> anyhow::Result<Reply> {
        Client::new(self.at[3]).get("/readyz", "")
    }

    /// Asks the server for its books.
    pub(crate) fn balances(&self) -> anyhow::Result<Balances> {
        let header = format!("authorization: Bearer {ADMIN_KEY}\r\n");
        let reply = Client::new(self.at[2]).get("/v1/balances", &header)?;
        ensure!(reply.status == 200, "/v1/balances answers {}", reply.status);
        Balances::read(&serde_json::from_slice(&reply.body)?)
    }
}

/// Where the servers of a trial write to: outside the data directory, so that a full disk does not silence them.
pub(crate) fn log_path(seed: u64) -> PathBuf {
    std::env::temp_dir().join(format!("outbid-trial-{}-{seed}.log", std::process::id()))
}

fn write_account(dir: &Path, plan: &Plan) -> anyhow::Result<()> {
    let text = format!("{:#}\n", account::account(plan));
    std::fs::write(dir.join("account.json"), text)
        .with_context(|| format!("cannot write to {}", dir.display()))
}

/// Four ports that were free a moment ago.
fn free_ports(seed: u64) -> anyhow::Result<[SocketAddr; 4]> {
    let width = PORTS.end - PORTS.start;
    let first = (u64::from(std::process::id()) * 97 + seed * 13) % u64::from(width);
    let mut found = Vec::new();
    for n in 0..width {
        let port = PORTS.start + (first as u16 + n) % width;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            found.push(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        }
        if let Ok(four) = <[SocketAddr; 4]>::try_from(found.as_slice()) {
            return Ok(four);
        }
    }
    bail!("no free ports on loopback in {PORTS:?}")
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    site: Site,
    log_from: usize,
    /// From its start until `/readyz` said 200.
    pub(crate) ready_in: Duration,
}

impl Server {
    /// Waits for `/readyz` to say 200; how long it took.
    pub(crate) fn wait_ready(&mut self, limit: Duration) -> anyhow::Result<Duration> {
        let start = now();
        while start.elapsed() < limit {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended by itself ({status}); it said: {}", self.said());
            }
            if self.site.readyz().is_ok_and(|reply| reply.status == 200) {
                return Ok(start.elapsed());
            }
            std::thread::sleep(POLL);
        }
        bail!("not ready after {limit:?}; it said: {}", self.said())
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its memory in RAM, in bytes.
    pub(crate) fn rss_bytes(&self) -> anyhow::Result<u64> {
        self.memory("VmRSS:")
    }

    /// The most address space that it ever had, in bytes.
    pub(crate) fn address_space_bytes(&self) -> anyhow::Result<u64> {
        self.memory("VmPeak:")
    }

    fn memory(&self, field: &str) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let kib = status.lines().find_map(|line| line.strip_prefix(field)?.split_whitespace().next());
        Ok(kib.with_context(|| format!("no {field}"))?.parse::<u64>()? * 1_024)
    }

    /// Its open descriptors.
    pub(crate) fn descriptors(&self) -> anyhow::Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.pid()))?.count())
    }

    /// What this process wrote so far.
    pub(crate) fn said(&self) -> String {
        let text = std::fs::read(&self.site.log).unwrap_or_default();
        String::from_utf8_lossy(text.get(self.log_from..).unwrap_or_default()).into_owned()
    }

    /// The money in doubt that it stated at its start, in nanos.
    pub(crate) fn stated_in_doubt(&self) -> i64 {
        let said = self.said();
        let value = said.split_once("in_doubt=").and_then(|(_, rest)| rest.split_whitespace().next());
        value.and_then(nanos).unwrap_or(0)
    }

    /// SIGKILL, and its end.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// A signal by name; what the standard library cannot send.
    pub(crate) fn signal(&self, name: &str) -> anyhow::Result<()> {
        let command = format!("kill -{name} {}", self.pid());
        let status = Command::new("sh").args(["-c", &command]).status()?;
        ensure!(status.success(), "{command} failed");
        Ok(())
    }

    /// Waits for it to end by itself; its exit code.
    pub(crate) fn wait_end(&mut self, limit: Duration) -> anyhow::Result<Option<i32>> {
        let start = now();
        while start.elapsed() < limit {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.code());
            }
            std::thread::sleep(POLL);
        }
        bail!("the server still runs after {limit:?}")
    }

    /// SIGTERM, and a clean end.
    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        self.signal("TERM")?;
        let code = self.wait_end(START_LIMIT)?;
        ensure!(code == Some(0), "the server ended with {code:?}; it said: {}", self.said());
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGKILL ends a stopped process too. An error means that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An exact decimal in nanos.
fn nanos(text: &str) -> Option<i64> {
    let (units, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction: i64 = format!("{fraction:0<9}").parse().ok()?;
    Some(units.parse::<i64>().ok()? * account::UNIT + fraction)
}

/// The books as the server shows them, in nanos.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Balances {
    /// By purse: budget of the wallet, spent, leased.
    pub(crate) wallets: [(i64, i64, i64); 3],
    /// What the house bears: overdelivery and overprice.
    pub(crate) house: i64,
    /// Of that, and not counted in it: stale bills.
    pub(crate) stale: i64,
}

impl Balances {
    fn read(books: &Value) -> anyhow::Result<Balances> {
        let amount = |value: &Value| {
            value.as_str().and_then(nanos).with_context(|| format!("{value} is no amount of money"))
        };
        let mut read = Balances::default();
        for purse in Purse::ALL {
            let at = purse as usize;
            let (wallet, campaign) =
                (&books["advertisers"][at]["wallet"], &books["campaigns"][at]["lifetime"]);
            let spent = amount(&wallet["spent"])?;
            read.wallets[at] = (amount(&wallet["budget"])?, spent, amount(&wallet["leased"])?);
            ensure!(
                amount(&campaign["spent"])? == spent,
                "I4: campaign and wallet of {purse:?} differ: {books}"
            );
            let mut below = 0;
            for (line, shown) in LINES.iter().zip(books["line_items"].as_array().context("no line items")?) {
                if line.purse == purse {
                    below += amount(&shown["lifetime"]["spent"])?;
                }
            }
            ensure!(below == spent, "I4: line items of {purse:?} spent {below}, its wallet {spent}: {books}");
        }
        let house = &books["house"];
        read.house = amount(&house["overdelivery"])? + amount(&house["overprice"])?;
        read.stale = amount(&house["stale"])?;
        Ok(read)
    }
}
