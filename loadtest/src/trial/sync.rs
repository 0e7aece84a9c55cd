//! Trials with the system calls in view: that a bill's record is written and synced before its 2xx leaves, and that a
//! sync which fails ends the process by name and loses nothing that was answered for. Both want `strace`.

use super::account::{self, EXCHANGE, LINES, Plan, UNIT};
use super::http::Client;
use super::load::Offer;
use super::server::{Server, Site};
use anyhow::{Context, bail, ensure};
use std::path::Path;
use std::time::Duration;

/// Whether the system calls can be watched here.
pub(crate) fn has_strace() -> bool {
    std::process::Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success())
}

fn site(program: &Path, dir: &Path, seed: u64) -> anyhow::Result<Site> {
    let plan = Plan { budgets: [500 * UNIT; 3], dear: false, hold_s: 60 };
    Ok(Site::prepare(program, dir, &plan, seed)?.set("ledger.segment_bytes=262144"))
}

/// Bids and gives the path of the bill.
fn bid(site: &Site, id: &str) -> anyhow::Result<String> {
    let line = &LINES[0];
    let reply = Client::new(site.at[0]).bid(EXCHANGE, &account::request(line, id))?;
    ensure!(reply.status == 200, "no bid: {}", reply.status);
    Ok(Offer::read(&reply, line)?.notice(line.bid))
}

/// The order of one bill's system calls.
pub(crate) fn order(
    program: &Path,
    dir: &Path,
    seed: u64,
    say: &mut dyn FnMut(String),
) -> anyhow::Result<()> {
    let mut site = site(program, dir, seed)?;
    let trace = dir.join("trace");
    let calls = "trace=read,recvfrom,pwrite64,fdatasync,fsync,write,writev,sendto,sendmsg";
    let trace_text = trace.display().to_string();
    // -D: the server stays our child, and the tracer is the stranger.
    site.wrapper =
        ["strace", "-D", "-f", "-s", "48", "-o", &trace_text, "-e", calls].map(str::to_owned).into();
    let mut server = site.start()?;
    let path = bid(&site, "order")?;
    let reply = Client::new(site.at[1]).get(&path, "")?;
    ensure!((reply.status, reply.class.as_str()) == (204, "accepted"), "the bill is answered {reply:?}");
    server.stop()?;
    let text = std::fs::read_to_string(&trace).with_context(|| trace_text.clone())?;
    for line in steps(&text)? {
        say(line.to_owned());
    }
    Ok(())
}

/// The bill read, its record written, the sync begun and returned, the answer written: the lines of the trace.
fn steps(trace: &str) -> anyhow::Result<[&str; 5]> {
    let mut lines = trace.lines();
    let mut find = |what: &str, is: &dyn Fn(&str) -> bool| {
        lines.find(|line| is(line)).with_context(|| format!("no {what} in its place: the order is broken"))
    };
    let read = find("bill", &|line| line.contains("\"GET /b/"))?;
    let written = find("record", &|line| line.contains("pwrite64("))?;
    let begun = find("sync", &|line| line.contains("fdatasync("))?;
    // One line where nothing came in between, two where other threads went on.
    let returned = if begun.contains("unfinished") {
        let thread = begun.split_whitespace().next().unwrap_or_default();
        find("end of the sync", &|line| line.starts_with(thread) && line.contains("fdatasync resumed"))?
    } else {
        begun
    };
    ensure!(returned.ends_with("= 0"), "the sync failed: {returned}");
    let answered = find("answer", &|line| line.contains("HTTP/1.1 204"))?;
    let answers = trace.lines().filter(|line| line.contains("HTTP/1.1 204")).count();
    ensure!(answers == 1, "{answers} answers where one was asked for");
    Ok([read, written, begun, returned, answered])
}

/// From the `n`-th on, every sync fails: whatever was answered for by then is there after a restart.
pub(crate) fn fails(
    program: &Path,
    dir: &Path,
    seed: u64,
    say: &mut dyn FnMut(String),
) -> anyhow::Result<()> {
    for (call, n) in
        [("fdatasync", 12), ("fdatasync", 13), ("fdatasync", 20), ("pwrite64", 12), ("pwrite64", 25)]
    {
        let dir = dir.join(format!("{call}-{n}"));
        one_failure(program, &dir, seed, (call, n), say)
            .with_context(|| format!("{call} number {n} fails"))?;
    }
    Ok(())
}

fn one_failure(
    program: &Path,
    dir: &Path,
    seed: u64,
    (call, n): (&str, u32),
    say: &mut dyn FnMut(String),
) -> anyhow::Result<()> {
    let mut site = site(program, dir, seed)?;
    let inject = format!("inject={call}:error=EIO:when={n}+");
    let calls = format!("trace={call}");
    site.wrapper =
        ["strace", "-D", "-f", "-o", "/dev/null", "-e", &calls, "-e", &inject].map(str::to_owned).into();
    let mut server = site.spawn()?;
    let mut acked = Vec::new();
    let said = match bill_until_the_end(&site, &mut server, &mut acked) {
        Ok(said) => said,
        Err(error) => bail!("{error:#}; it said: {}", server.said()),
    };
    site.wrapper.clear();
    let server = site.start()?;
    let mut client = Client::new(site.at[1]);
    for path in &acked {
        let reply = client.get(path, "")?;
        ensure!(
            reply.class == "duplicate",
            "a bill that was answered for is {} after the restart",
            reply.class
        );
    }
    let spent = site.balances()?.wallets[0].1;
    let expected = account::Line::asked(LINES[0].bid) * acked.len() as i64;
    let more = (spent - expected) / account::Line::asked(LINES[0].bid);
    ensure!(spent >= expected && more <= 1, "spent {spent}, answered for {expected}");
    say(format!(
        "{call} fails from number {n} on: ended by itself after {} bills ({said}); all there after the restart, and \
         {more} whose answer was lost",
        acked.len()
    ));
    drop(server);
    Ok(())
}

/// Bids and bills one after the other until the process ends; the line in which it says why.
fn bill_until_the_end(site: &Site, server: &mut Server, acked: &mut Vec<String>) -> anyhow::Result<String> {
    if server.wait_ready(Duration::from_secs(30)).is_ok() {
        let mut client = Client::new(site.at[1]);
        for n in 0..10_000 {
            let Ok(path) = bid(site, &n.to_string()) else { break };
            match client.get(&path, "") {
                Ok(reply) if (reply.status, reply.class.as_str()) == (204, "accepted") => acked.push(path),
                Ok(reply) if reply.status != 503 => bail!("a bill is answered {reply:?}"),
                _ => break,
            }
        }
    }
    let code = server.wait_end(Duration::from_secs(30))?;
    ensure!(code != Some(0), "it ended as if nothing had been");
    let said = server.said();
    let named = said.lines().rev().find(|line| line.contains("Input/output error"));
    Ok(named.with_context(|| format!("no error is named: {said}"))?.chars().take(200).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_before_the_sync_s_return_is_seen() {
        let good = "7 recvfrom(9, \"GET /b/x\", 99) = 8\n6 pwrite64(4, \"r\", 1, 0) = 1\n6 fdatasync(4 <unfinished ...>\n\
                    7 read(3, \"\", 1) = 0\n6 <... fdatasync resumed>) = 0\n7 writev(9, [\"HTTP/1.1 204\"], 1) = 12\n";
        assert_eq!(steps(good).unwrap()[4], "7 writev(9, [\"HTTP/1.1 204\"], 1) = 12");
        let mut lines: Vec<&str> = good.lines().collect();
        lines.swap(4, 5);
        assert!(steps(&lines.join("\n")).is_err());
        assert!(steps(&good.replace("resumed>) = 0", "resumed>) = -1 EIO")).is_err());
    }
}
