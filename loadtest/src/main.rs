//! `outbid-load`: plays an ad exchange against an `outbid` server over HTTP and measures it.
//!
//! It imports nothing of the engine: what it knows of a world it reads from the `world.json` that `outbid seed` wrote,
//! and the tables of the seeded market are its own copy. Exit codes: 0 done, 1 failed, 2 wrong use; those of `run` stand in
//! `load`.

mod awake;
mod bare;
mod bodies;
mod client;
mod corpus;
mod counterpart;
mod exchange;
mod floor;
mod json;
mod load;
mod market;
mod ops;
mod process;
mod reload;
mod report;
mod servers;
mod tables;
mod trial;
mod world;

use clap::{Parser, Subcommand};
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// The real server's allocator as well: otherwise the floor would be another one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Plays an ad exchange against an outbid server and measures it.
#[derive(Debug, Parser)]
#[command(name = "outbid-load", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compare the server with a bare HTTP server: CPU per bid request, throughput, latency.
    Floor(floor::FloorArgs),
    /// Print generated bid requests, one a line.
    Bodies {
        /// Data directory with a world that `outbid seed` wrote.
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
        /// How many.
        #[arg(long, default_value_t = 10)]
        count: u64,
        /// Seed of the traffic; the world's own seed where it is not given.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Send bid requests when they are due and measure what an exchange would feel.
    // A script's options may be given anew behind them.
    #[command(args_override_self = true)]
    Run(Box<load::args::RunArgs>),
    /// Compare two results of `run`.
    Compare(load::report::compare::CompareArgs),
    /// Kill, stop and starve the server, and hold its books against the exchange's.
    Trial(trial::TrialArgs),
    /// Measure how long a changed account takes to be served, and what bids feel of it.
    Reload(reload::ReloadArgs),
    /// Hold the books that a run wrote against the ledger of a stopped data directory.
    Audit(exchange::audit::command::AuditArgs),
    /// Play the exchange in a closed loop against a server of one's own, and audit it.
    #[command(hide = true)]
    ExchangeTrial(exchange::trial::TrialArgs),
    /// Measures what bids feel of large imports and of exports.
    Tables(tables::TablesArgs),
    /// Keeps cores busy at the lowest priority until standard input ends: what `run --keep-awake` starts.
    #[command(hide = true, name = awake::COMMAND)]
    KeepAwake {
        /// Which cores.
        cores: Vec<usize>,
    },
    /// The bare server that `floor` compares with.
    #[command(hide = true)]
    FloorServer {
        /// Addresses to listen on.
        #[arg(long, required = true)]
        listen: Vec<SocketAddr>,
        /// Length of every answer.
        #[arg(long, value_parser = clap::value_parser!(u64).range(..=bare::MAX_BYTES))]
        bytes: u64,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Run(args) => return finish(load::run(&args)),
        Command::Compare(args) => load::report::compare::run(&args),
        Command::Floor(args) => floor::run(&args),
        Command::Bodies { data_dir, count, seed } => print_bodies(&data_dir, count, seed),
        Command::Trial(args) => trial::run(&args),
        Command::Reload(args) => reload::run(&args),
        Command::Tables(args) => tables::run(&args),
        Command::Audit(args) => exchange::audit::command::run(&args),
        Command::ExchangeTrial(args) => exchange::trial::run(&args),
        Command::KeepAwake { cores } => awake::spin(cores),
        Command::FloorServer { listen, bytes } => bare::run(&listen, bytes as usize),
    };
    finish(result.map(|()| ExitCode::SUCCESS))
}

fn finish(result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => {
            // Nothing is left to be done if standard error is closed.
            let _ = writeln!(std::io::stderr(), "outbid-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn print_bodies(data_dir: &std::path::Path, count: u64, seed: Option<u64>) -> anyhow::Result<()> {
    let world = world::World::read(data_dir)?;
    let bodies = bodies::Bodies::new(&world, seed.unwrap_or(world.seed));
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for n in 0..count {
        writeln!(out, "{}", bodies.body(n))?;
    }
    out.flush()?;
    Ok(())
}
