//! The exchange against a real server in a closed loop: blocking connections for bids and for notices, the server's
//! books asked for meanwhile, and the audit when it has stopped. For trying the exchange itself; figures of speed are
//! not its business.

use super::audit::command::{self, Report};
use super::audit::file::File;
use super::audit::ledger::{self, Before, Shown, Tool};
use super::audit::verdict::{self, Difference};
use super::profile::ProfileArgs;
use super::{Exchange, Options, account, asked::Asked};
use crate::bodies::Bodies;
use crate::corpus;
use crate::counterpart::{Answered, Counterpart, Outcome, Sent};
use crate::process::Server;
use crate::trial::http::{Client, now};
use crate::world::World;
use anyhow::{Context, bail, ensure};
use parking_lot::Mutex;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// The key of `admin.bootstrap_key`.
const KEY: &str = "the key of the exchange's trial";
/// Bodies that are made; they come round with other ids.
const BODIES: u64 = 20_000;
/// How long open notices may take to be answered after the last request.
const SETTLE_LIMIT: Duration = Duration::from_secs(300);
/// Nobody sleeps longer than this when there may be something to send.
const PATIENCE: Duration = Duration::from_millis(5);
/// Between two looks at the books of the running server.
const LOOK: Duration = Duration::from_secs(2);

/// Options of `exchange-trial`.
#[derive(Debug, clap::Args)]
pub(crate) struct TrialArgs {
    /// Data directory with a world that `outbid seed` wrote; it is written to.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// The server; without it, `outbid` beside this program.
    #[arg(long, value_name = "PROGRAM")]
    server_cmd: Option<PathBuf>,
    /// Real requests, one a line, instead of generated ones.
    #[arg(long, value_name = "FILE")]
    corpus: Option<PathBuf>,
    /// Bid requests.
    #[arg(long, default_value_t = 100_000)]
    requests: u64,
    /// Ask for second-price auctions.
    #[arg(long)]
    second_price: bool,
    /// Seed of the traffic, the rivals and the notices.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Answers that are judged, of a thousand.
    #[arg(long, default_value_t = 1_000, value_name = "PER_MILLE")]
    validate: u64,
    /// Connections for bid requests.
    #[arg(long, default_value_t = 2)]
    bidders: u64,
    /// Connections for notices.
    #[arg(long, default_value_t = 32)]
    notifiers: u64,
    /// Kill the server so often (SIGKILL), and start it again.
    #[arg(long, default_value_t = 0)]
    kills: u64,
    /// Write the books of the run.
    #[arg(long, value_name = "FILE")]
    books: Option<PathBuf>,
    /// Further settings of the server.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    #[command(flatten)]
    profile: ProfileArgs,
}

/// What the threads share.
struct Shared<'a> {
    args: &'a TrialArgs,
    exchange: Mutex<Exchange>,
    name: String,
    bodies: Vec<String>,
    at: Addresses,
    start: Instant,
    next: AtomicU64,
    ended: AtomicBool,
    /// What was found while the server ran.
    differences: Mutex<Vec<Difference>>,
    looks: AtomicU64,
}

#[derive(Clone, Copy)]
struct Addresses {
    bid: SocketAddr,
    track: SocketAddr,
    admin: SocketAddr,
    ops: SocketAddr,
}

/// Runs the trial; an error where anything is wrong.
pub(crate) fn run(args: &TrialArgs) -> anyhow::Result<()> {
    let world = World::read(&args.data_dir)?;
    let tool =
        Tool { program: ledger::program(args.server_cmd.as_deref())?, data_dir: args.data_dir.clone() };
    let account = account::parse(&tool.account_text()?, &world.exchange)?;
    let before = tool.show()?.before();
    let bodies = bodies(args, &Bodies::new(&world, args.seed))?;
    let asked: Vec<Asked> = bodies.iter().map(|body| Asked::read(body)).collect::<anyhow::Result<_>>()?;
    let options = Options { seed: args.seed, profile: args.profile.profile(), validate: args.validate };
    let logs = std::env::temp_dir().join(format!("outbid-exchange-trial-{}.log", std::process::id()));
    let at = Addresses::free()?;
    let server = start(args, &tool, at, &logs)?;
    let shared = Shared {
        args,
        exchange: Mutex::new(Exchange::new(options, account, asked)),
        name: world.exchange,
        bodies,
        at,
        start: now(),
        next: AtomicU64::new(0),
        ended: AtomicBool::new(false),
        differences: Mutex::default(),
        looks: AtomicU64::new(0),
    };
    let server = Mutex::new(Some(server));
    let played = shared.play(&before, || {
        let mut server = server.lock();
        if let Some(server) = server.take() {
            server.kill()?;
        }
        *server = Some(start(args, &tool, at, &logs)?);
        Ok(())
    });
    // Its end is the ledger's: what is in the directory is all there is.
    drop(server);
    played.with_context(|| format!("the server's output is in {}", logs.display()))?;
    let file = File::of(&shared.name, &before, &shared.exchange.lock().books);
    if let Some(path) = &args.books {
        file.write(path)?;
    }
    let mut report = command::audit(&tool, shared.exchange.lock().account(), &file)?;
    report.differences.splice(0..0, shared.differences.lock().drain(..));
    shared.report(&report)?;
    // The log is of interest only where something failed.
    Ok(std::fs::remove_file(&logs)?)
}

/// What is sent; each begins with its id.
fn bodies(args: &TrialArgs, generated: &Bodies) -> anyhow::Result<Vec<String>> {
    let Some(corpus) = &args.corpus else {
        let own = (0..args.requests.min(BODIES)).map(|n| generated.body(n));
        let at = if args.second_price { "\"at\":2," } else { "\"at\":1," };
        return Ok(own.map(|body| body.replacen("\"at\":1,", at, 1)).collect());
    };
    let read = corpus::read(corpus, generated, args.seed)?;
    let id_first = |body: &String| -> anyhow::Result<String> {
        let mut request: serde_json::Map<String, serde_json::Value> = serde_json::from_str(body)?;
        request.remove("id");
        if args.second_price {
            request.insert("at".to_owned(), 2.into());
        }
        let rest = serde_json::Value::Object(request).to_string();
        Ok(format!("{{\"id\":\"\",{}", &rest[1..]))
    };
    read.bodies.iter().map(id_first).collect()
}

impl Addresses {
    /// Ports of loopback that were free a moment ago.
    fn free() -> anyhow::Result<Addresses> {
        let mut taken = Vec::new();
        for _ in 0..4 {
            taken.push(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on loopback")?);
        }
        let port = |index: usize| taken[index].local_addr();
        Ok(Addresses { bid: port(0)?, track: port(1)?, admin: port(2)?, ops: port(3)? })
    }
}

fn start(args: &TrialArgs, tool: &Tool, at: Addresses, logs: &std::path::Path) -> anyhow::Result<Server> {
    let mut command = Command::new(&tool.program);
    command.arg("serve");
    let own = [
        format!("data.dir={}", args.data_dir.display()),
        format!("listen.bid={}", at.bid),
        format!("listen.track={}", at.track),
        format!("listen.admin={}", at.admin),
        format!("listen.ops={}", at.ops),
        // Without https the server may not bid on impressions that ask for it; notices take the path alone.
        "track.public_url=https://track.example".to_owned(),
        format!("admin.bootstrap_key={KEY}"),
        "server.drain_grace_ms=0".to_owned(),
    ];
    for setting in own.iter().chain(&args.sets) {
        command.args(["--set", setting]);
    }
    let mut server = Server::start("server", command, None, logs)?;
    let begun = now();
    while begun.elapsed() < Duration::from_secs(300) {
        server.check_alive()?;
        if Client::new(at.ops).get("/readyz", "").is_ok_and(|reply| reply.status == 200) {
            return Ok(server);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("not ready; its last output: {}", server.last_output())
}

impl Shared<'_> {
    fn play(&self, before: &Before, kill: impl Fn() -> anyhow::Result<()> + Send) -> anyhow::Result<()> {
        std::thread::scope(|scope| {
            let killer = scope.spawn(|| self.kill(kill));
            let bidders: Vec<_> = (0..self.args.bidders).map(|_| scope.spawn(|| self.bid())).collect();
            let notifiers: Vec<_> = (0..self.args.notifiers).map(|_| scope.spawn(|| self.notify())).collect();
            let looker = scope.spawn(|| self.watch(before));
            let mut done = Ok(());
            for bidder in bidders {
                done = done.and(bidder.join().expect("a bidder does not panic"));
            }
            done = done.and(killer.join().expect("the killer does not panic"));
            let last = now();
            self.exchange.lock().hurry(self.start.elapsed());
            while done.is_ok() && self.exchange.lock().open_notices() > 0 && last.elapsed() < SETTLE_LIMIT {
                std::thread::sleep(Duration::from_millis(20));
            }
            self.ended.store(true, SeqCst);
            for notifier in notifiers {
                notifier.join().expect("a notifier does not panic");
            }
            done.and(looker.join().expect("the watch does not panic"))?;
            // Once more, when nothing is open.
            self.look(before)
        })
    }

    /// Kills the server when its share of the requests was sent.
    fn kill(&self, kill: impl Fn() -> anyhow::Result<()>) -> anyhow::Result<()> {
        for nth in 1..=self.args.kills {
            while self.next.load(SeqCst) < self.args.requests * nth / (self.args.kills + 1) {
                std::thread::sleep(Duration::from_millis(1));
            }
            kill()?;
        }
        Ok(())
    }

    fn bid(&self) -> anyhow::Result<()> {
        let mut client = Client::new(self.at.bid);
        loop {
            let number = self.next.fetch_add(1, SeqCst);
            if number >= self.args.requests {
                return Ok(());
            }
            let index = number % self.bodies.len() as u64;
            let request_id = format!("t-{number}");
            let body = with_id(&self.bodies[index as usize], &request_id);
            let sent_at = now();
            let reply = match client.bid(&self.name, &body) {
                Ok(reply) => reply,
                // The bid is lost, and was never known.
                Err(_) if self.args.kills > 0 => {
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                }
                Err(why) => return Err(why),
            };
            let answer = Answered {
                status: reply.status,
                body: &reply.body,
                is_protobuf: false,
                latency: sent_at.elapsed(),
            };
            let sent = Sent { body: index as u32, request_id: &request_id };
            self.exchange.lock().answered(&sent, &answer, self.start.elapsed());
        }
    }

    fn notify(&self) {
        let mut client = Client::new(self.at.track);
        while !self.ended.load(SeqCst) {
            let notice = self.exchange.lock().take_due(self.start.elapsed());
            let Some(notice) = notice else {
                let due = self.exchange.lock().next_due();
                let wait = due.map_or(PATIENCE, |due| due.saturating_sub(self.start.elapsed()));
                std::thread::sleep(wait.clamp(Duration::from_millis(1), PATIENCE));
                continue;
            };
            let reply = client.get(&notice.path, "");
            let outcome = match &reply {
                Ok(reply) => Outcome::Answered { status: reply.status, class: &reply.class },
                Err(_) => Outcome::Unanswered,
            };
            self.exchange.lock().noticed(notice.id, outcome, self.start.elapsed());
        }
    }

    fn watch(&self, before: &Before) -> anyhow::Result<()> {
        while !self.ended.load(SeqCst) {
            self.look(before)?;
            let begun = now();
            while begun.elapsed() < LOOK && !self.ended.load(SeqCst) {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// Holds what the running server shows against what is known before and after it is asked.
    fn look(&self, before: &Before) -> anyhow::Result<()> {
        let least = self.exchange.lock().books.bounds();
        let header = format!("authorization: Bearer {KEY}\r\n");
        let reply = match Client::new(self.at.admin).get("/v1/ledger", &header) {
            Err(_) if self.args.kills > 0 => return Ok(()),
            reply => reply?,
        };
        ensure!(reply.status == 200, "/v1/ledger answers {}", reply.status);
        let shown = Shown::read(&serde_json::from_slice(&reply.body)?)?;
        let exchange = self.exchange.lock();
        let most = exchange.books.bounds();
        let found = verdict::whole(exchange.account(), before, (&least, &most), &shown);
        self.differences.lock().extend(found);
        self.looks.fetch_add(1, SeqCst);
        Ok(())
    }

    fn report(&self, report: &Report) -> anyhow::Result<()> {
        let exchange = self.exchange.lock();
        let mut out = std::io::stdout().lock();
        writeln!(out, "{:#}", exchange.json())?;
        writeln!(out, "elapsed {:?}, looks {}", self.start.elapsed(), self.looks.load(SeqCst))?;
        command::print(report, &mut out)?;
        let differences = report.differences.len();
        ensure!(exchange.is_clean(), "answers broke rules, or notices were answered as they must not be");
        ensure!(exchange.books.unsettled() == 0, "bills are not answered for");
        ensure!(differences == 0, "the ledger differs from the exchange's books in {differences} places");
        Ok(())
    }
}

/// A generated body with another id; it begins with its own.
fn with_id(body: &str, id: &str) -> String {
    let rest = body.strip_prefix("{\"id\":\"").and_then(|rest| rest.split_once('"'));
    let (_, rest) = rest.expect("a generated body begins with its id");
    format!("{{\"id\":\"{id}\"{rest}")
}
