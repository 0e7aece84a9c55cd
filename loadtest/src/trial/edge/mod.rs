//! `outbid-load trial edge`: what hostile and broken clients do to the listeners, E1 to E7 of the specification. The
//! server is the real binary with its own defaults, on one core; each trial has one of its own.

pub(crate) mod broken;
pub(crate) mod desync;
pub(crate) mod heads;
pub(crate) mod idle;
pub(crate) mod raw;
pub(crate) mod slow;

use super::account::{self, EXCHANGE, LINES};
use super::good;
use super::http::Client;
use super::server::{Server, Site};
use super::table::Table;
use anyhow::ensure;
use std::path::Path;
use std::time::Duration;

/// One of the trials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "UPPER")]
pub(crate) enum Which {
    /// Heads that come a byte a second.
    E1,
    /// Bodies that do.
    E2,
    /// Requests with two ends.
    E3,
    /// Heads that are too much.
    E4,
    /// HTTP/2.
    E5,
    /// Idle connections.
    E6,
    /// Connections that break.
    E7,
}

/// Runs those that are asked for, in their order.
pub(crate) fn run(
    program: &Path,
    dir: &Path,
    (only, slow): (&[Which], Duration),
    seed: u64,
    say: &mut dyn FnMut(String),
) -> anyhow::Result<()> {
    use Which::{E1, E2, E3, E4, E5, E6, E7};
    idle::raise_descriptors();
    let mut table = Table::new(say);
    for (which, name) in [(E1, "E1"), (E2, "E2"), (E3, "E3"), (E4, "E4"), (E5, "E5"), (E6, "E6"), (E7, "E7")]
    {
        if only.is_empty() || only.contains(&which) {
            let outcome = one(which, program, &dir.join(name), slow, seed, &mut table);
            table.carried(name, outcome);
        }
    }
    table.end()
}

fn one(
    which: Which,
    program: &Path,
    dir: &Path,
    slow: Duration,
    seed: u64,
    table: &mut Table<'_>,
) -> anyhow::Result<()> {
    let site = good::site(program, dir, seed)?;
    let mut server = site.start()?;
    match which {
        Which::E1 => slow::run(site.at[0], slow::Slow::Head, slow, table)?,
        Which::E2 => slow::run(site.at[0], slow::Slow::Body, slow, table)?,
        Which::E3 => desync(&site, table)?,
        Which::E4 => heads::bombs(&site, &server, table)?,
        Which::E5 => heads::h2(&site, table)?,
        Which::E6 => idle::run(&site, &server, table)?,
        Which::E7 => broken::run(&site, &server, table)?,
    }
    is_well(&site, &mut server)
}

/// E3: a row for each payload that does not pass, and one for all that do.
pub(crate) fn desync(site: &Site, table: &mut Table<'_>) -> anyhow::Result<()> {
    let outcomes = desync::run(site.at[0], site.at[1])?;
    let (mut right, count) = (0, outcomes.len());
    for (name, outcome) in outcomes {
        match outcome {
            Ok(_) => right += 1,
            Err(why) => table.check("E3", name, why, "refused, or read once", false),
        }
    }
    let figure = format!("{right} of {count}");
    table.check("E3", "payloads refused, or read once as the RFC says", figure, "all", right == count);
    Ok(())
}

/// A good request is answered, nothing has panicked, and the process ends when it is told to.
pub(crate) fn is_well(site: &Site, server: &mut Server) -> anyhow::Result<()> {
    let reply = Client::new(site.at[0]).bid(EXCHANGE, &account::request(&LINES[0], "well"))?;
    ensure!(matches!(reply.status, 200 | 204), "a good request after it is answered {}", reply.status);
    let panics = good::metric(site, "outbid_panics_total")?;
    ensure!(panics == 0.0, "{panics} panics; it said: {}", server.said());
    server.stop()
}
