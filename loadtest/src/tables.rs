//! `outbid-load tables`: what bids feel of a large import and of exports that never end.
//!
//! A seeded world with a control database is served; requests come at a steady rate, as `outbid-load reload` sends them.
//! Each round measures for a while in peace, during the import of a table, in peace again, and so on: beside exports one
//! after another, and beside somebody who reads a list page by page. This is trial F3 of the specification; with
//! `--judge` it ends with the verdict on each kind, over all rounds.

use crate::bodies::Bodies;
use crate::client::{Requests, now};
use crate::floor::Logs;
use crate::reload::Load;
use crate::servers::{self, RealOptions};
use crate::trial::table::{Moved, Row, Table};
use crate::world::World;
use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

/// The key of the admin listener.
const KEY: &str = "the key of one measurement";
/// Bodies that are sent round and round.
const BODIES: u64 = 5_000;
/// The longest page of a list.
const FIRST_PAGE: &str = "/v1/line_items?page_size=1000";
/// Bytes of a row.
const ROW: usize = 1_000;

/// Options of `outbid-load tables`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct TablesArgs {
    /// Where a world is made; it must not be there yet.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Line items of the world.
    #[arg(long, default_value_t = 10_000)]
    line_items: u64,
    /// Megabytes of each table.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=250))]
    megabytes: u64,
    /// Rounds.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Bid requests a second.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: u64,
    /// Keep-alive connections.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=1_024))]
    connections: u64,
    /// End with a table of what each kind of work did to p99, and fail where that is more than 10 %.
    #[arg(long)]
    judge: bool,
    /// Seconds of each measurement that nothing else ends.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    secs: u64,
}

/// Measures and prints; an error leaves no process behind.
pub(crate) fn run(args: &TablesArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(args))
}

async fn measure(args: &TablesArgs) -> anyhow::Result<()> {
    let program = servers::beside_this("outbid")?;
    ensure!(!args.data_dir.exists(), "{} is there already", args.data_dir.display());
    let items = args.line_items.to_string();
    make(&program, &args.data_dir, &["seed", "--quiet", "--users", "10000", "--line-items", &items])?;
    make(&program, &args.data_dir, &["init", "--quiet"])?;
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
    let calm = || tokio::time::sleep(Duration::from_secs(args.secs));
    load.during(calm()).await?;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{} line items, {} requests a second, one serving core, tables of {} MB\n",
        args.line_items, args.rate, args.megabytes
    )?;
    writeln!(out, "| beside | took | bid p50, p99 before | during | p99 |\n|---|---|---|---|---|")?;
    let admin = real.admin;
    let mut kinds: Vec<Kind> = Vec::new();
    for round in 0..args.rounds {
        let table = table(args.megabytes, round);
        for (what, query) in [("a trial of an import", "?validate_only=true"), ("an import", "")] {
            let (before, ()) = load.during(calm()).await?;
            let (path, body) = (format!("/v1/imports/line_items{query}"), table.clone());
            let begun = now();
            let work = tokio::task::spawn_blocking(move || import(admin, &path, &body));
            let (during, job) = load.during(work).await?;
            let rows = job??;
            writeln!(out, "{}", row(&format!("{what}, {rows} rows"), begun.elapsed(), &before, &during))?;
            Kind::add(&mut kinds, what, &before, &during)?;
        }
        let (before, ()) = load.during(calm()).await?;
        let (begun, until) = (now(), Duration::from_secs(args.secs));
        let work = tokio::task::spawn_blocking(move || exports(admin, until));
        let (during, count) = load.during(work).await?;
        let (count, bytes) = count??;
        let what = format!("{count} exports, {} MB", bytes / 1_000_000);
        writeln!(out, "{}", row(&what, begun.elapsed(), &before, &during))?;
        Kind::add(&mut kinds, "exports", &before, &during)?;
        let (before, ()) = load.during(calm()).await?;
        let begun = now();
        let work = tokio::task::spawn_blocking(move || listing(admin, until));
        let (during, pages) = load.during(work).await?;
        let what = format!("{} pages of a list", pages??);
        writeln!(out, "{}", row(&what, begun.elapsed(), &before, &during))?;
        Kind::add(&mut kinds, "a list, page by page", &before, &during)?;
    }
    if !args.judge {
        return Ok(());
    }
    let mut say = |line: String| {
        // Who closed standard output does not want to know.
        let _ = writeln!(std::io::stdout(), "{line}");
    };
    say(String::new());
    let mut table = Table::new(&mut say);
    kinds.iter().for_each(|kind| table.row(kind.row()));
    table.end()
}

/// p99 of bids may move by so many percent.
const MOST_MOVED: f64 = 10.0;

/// One kind of work over all rounds: the calm stretches before it, in two halves, and those beside it.
struct Kind {
    name: &'static str,
    calm: [Histogram<u64>; 2],
    beside: Histogram<u64>,
    rounds: usize,
}

impl Kind {
    fn add(
        kinds: &mut Vec<Kind>,
        name: &'static str,
        calm: &Histogram<u64>,
        beside: &Histogram<u64>,
    ) -> anyhow::Result<()> {
        let Some(kind) = kinds.iter_mut().find(|kind| kind.name == name) else {
            let none = Histogram::new_from(calm);
            kinds.push(Kind { name, calm: [calm.clone(), none], beside: beside.clone(), rounds: 1 });
            return Ok(());
        };
        kind.calm[kind.rounds % 2].add(calm)?;
        kind.beside.add(beside)?;
        kind.rounds += 1;
        Ok(())
    }

    fn row(&self) -> Row {
        let p99 = |of: &Histogram<u64>| of.value_at_quantile(0.99).max(1) as f64;
        let mut calm = self.calm[0].clone();
        // Both have the same bounds.
        let _same = calm.add(&self.calm[1]);
        let halves = [0, 1].map(|half| if self.rounds < 2 { p99(&calm) } else { p99(&self.calm[half]) });
        let Moved { percent, noise, verdict } = Moved::of(p99(&calm), halves, p99(&self.beside), MOST_MOVED);
        let figure = format!(
            "p99 {percent:+.0} % ({:.0} µs of {} calm, {:.0} µs of {} beside); calm halves lie {noise:.0} % apart",
            p99(&calm) / 1e3,
            calm.len(),
            p99(&self.beside) / 1e3,
            self.beside.len()
        );
        let what = format!("bids beside {}", self.name);
        Row { trial: "F3", what, figure, limit: "p99 +10 %".to_owned(), verdict }
    }
}

fn make(program: &Path, data_dir: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = std::process::Command::new(program);
    command.args(arguments).arg("--data-dir").arg(data_dir).stdout(Stdio::null());
    let status = command.status().with_context(|| format!("cannot start {}", program.display()))?;
    ensure!(status.success(), "outbid {} ended with {status}", arguments[0]);
    Ok(())
}

/// Line items that no request fits, the same ones in every round, each time with another note.
fn table(megabytes: u64, round: u32) -> Vec<u8> {
    let rows = usize::try_from(megabytes * 1_000_000).unwrap_or(usize::MAX) / ROW;
    let mut table = String::with_capacity(rows * (ROW + 16));
    table.push_str("external_id,campaign_id,name,status,bid.strategy,bid.amount,bid.max,targeting.domains.include,notes\n");
    for number in 0..rows {
        let start = table.len();
        let _written = write!(
            table,
            "table-{number},1,Line item {number} of a table,paused,fixed_cpm,2.50,2.75,site{number}.example,round {round} "
        );
        while table.len() - start < ROW - 1 {
            table.push('x');
        }
        table.push('\n');
    }
    table.into_bytes()
}

/// Sends a table and waits for the end of its job; how many rows it had.
fn import(to: SocketAddr, path: &str, table: &[u8]) -> anyhow::Result<u64> {
    let mut answer = call(to, "POST", path, table)?;
    loop {
        let job: serde_json::Value = serde_json::from_slice(&answer).context("a job is no JSON")?;
        match job["state"].as_str() {
            Some("succeeded") => return job["rows"].as_u64().context("a job without rows"),
            Some("queued" | "running") => std::thread::sleep(Duration::from_millis(100)),
            _ => anyhow::bail!("the import ended otherwise: {job}"),
        }
        answer = call(to, "GET", &format!("/v1/jobs/{}", job["id"].as_str().unwrap_or_default()), b"")?;
    }
}

/// Exports again and again; how many, and how many bytes came.
fn exports(to: SocketAddr, until: Duration) -> anyhow::Result<(u64, u64)> {
    let begun = now();
    let (mut count, mut bytes) = (0, 0);
    while begun.elapsed() < until {
        bytes += call(to, "GET", "/v1/exports/line_items.csv", b"")?.len() as u64;
        count += 1;
    }
    Ok((count, bytes))
}

/// Reads a list page by page, from its beginning again at its end; how many pages.
fn listing(to: SocketAddr, until: Duration) -> anyhow::Result<u64> {
    let (begun, mut pages, mut path) = (now(), 0, FIRST_PAGE.to_owned());
    while begun.elapsed() < until {
        let page: serde_json::Value = serde_json::from_slice(&call(to, "GET", &path, b"")?)?;
        path = match page["next_page_token"].as_str() {
            Some(token) => format!("{FIRST_PAGE}&page_token={token}"),
            None => FIRST_PAGE.to_owned(),
        };
        pages += 1;
    }
    Ok(pages)
}

/// A call on a thread of its own, so that the requests of others are sent in time: the body of a good answer.
fn call(to: SocketAddr, method: &str, path: &str, body: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(to)?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {to}\r\nauthorization: Bearer {KEY}\r\ncontent-type: text/csv\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end =
        answer.windows(4).position(|window| window == b"\r\n\r\n").context("the answer is no HTTP")? + 4;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).unwrap_or_default();
    let body = answer.split_off(end);
    ensure!(status.starts_with('2'), "{method} {path}: {status} {}", String::from_utf8_lossy(&body));
    Ok(body)
}

fn row(what: &str, took: Duration, before: &Histogram<u64>, during: &Histogram<u64>) -> String {
    let at = |histogram: &Histogram<u64>, quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
    let both = |of: &Histogram<u64>| format!("{:.0} µs, {:.0} µs ({})", at(of, 0.5), at(of, 0.99), of.len());
    let moved = 100.0 * (at(during, 0.99) / at(before, 0.99) - 1.0);
    format!("| {what} | {:.1} s | {} | {} | {moved:+.0} % |", took.as_secs_f64(), both(before), both(during))
}
