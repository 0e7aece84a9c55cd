//! The commands. Data goes to stdout, logs to stderr; every error says what, where and what to do.
//!
//! Exit codes (product.md section 8): 0 ok, 1 failure, 2 usage, 3 configuration invalid, 4 data damaged.
#![allow(clippy::print_stdout)] // stdout is what commands are for

mod api_keys;
mod apply;
pub mod backtest;
mod boot;
pub mod check;
mod config_watch;
mod copies;
pub mod demo;
mod events;
mod explain;
mod forecast;
mod init;
mod keys;
mod ledger;
mod output;
mod reload;
mod remote;
pub mod seed;
mod seed_command;
mod segment;
mod serve;
mod served;
mod sim;
mod taxonomy;
mod users;
mod wal;
mod why;
mod world;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// A real-time bidding engine: OpenRTB in, a priced bid out, exact money.
#[derive(Debug, Parser)]
#[command(name = "outbid", version, arg_required_else_help = true)]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, clap::Args)]
pub struct Common {
    /// Configuration file; without it, ./outbid.toml where there is one.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Sets one option, such as `listen.bid=127.0.0.1:9000`; beats environment and file. Repeatable.
    #[arg(long = "set", global = true, value_name = "SECTION.KEY=VALUE")]
    pub sets: Vec<String>,
    /// Fewer words: only warnings are logged.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// More words: `-v` logs debug, `-vv` everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Begins an account in a data directory, to be filled through the admin API.
    Init(init::InitArguments),
    /// Makes what a running server has what an account file says, and shows the plan first.
    Apply(apply::ApplyArguments),
    /// Writes the account of a data directory as an account file, which `outbid init` reads.
    Export(copies::ExportArguments),
    /// Copies the control database of a data directory, also beside a running server.
    Backup(copies::BackupArguments),
    /// Puts a copy of the control database in its place; no server may run on it.
    Restore(copies::RestoreArguments),
    /// Answers bid requests and notices on a data directory.
    Serve,
    /// Sets up an insurer's account, shows the whole journey of an impression, then keeps serving.
    Demo(demo::DemoArguments),
    /// Checks a file and says what is wrong with it.
    Check {
        #[command(subcommand)]
        what: check::What,
    },
    /// Says of every line item why it bids on a request, or why not.
    Explain(explain::ExplainArguments),
    /// Says what a day of a line item of a running server would bring.
    Forecast(forecast::ForecastArguments),
    /// Imports mappings between category taxonomies.
    Taxonomy {
        #[command(subcommand)]
        what: taxonomy::What,
    },
    /// Makes the world that speed is measured in.
    Seed(seed_command::SeedArguments),
    /// Puts customer lists into segments of a running server, finds similar people, writes lists for use elsewhere, counts.
    Segment {
        #[command(subcommand)]
        what: segment::What,
    },
    /// Shows what the ledger adds up to, verifies it, exports it.
    Ledger {
        #[command(subcommand)]
        what: ledger::What,
    },
    /// Makes, lists and revokes API keys; changes the keys that notice URLs are signed with.
    Keys {
        #[command(subcommand)]
        what: keys::What,
    },
    /// Makes, lists and disables people who may log in; sets passwords.
    User {
        #[command(subcommand)]
        what: users::What,
    },
    /// Looks into the ledger's journal, or mends it.
    Wal {
        #[command(subcommand)]
        what: wal::What,
    },
    /// Shows what happened: bids, no-bids, notices.
    Events {
        #[command(subcommand)]
        task: events::Task,
    },
    /// Plays the pricing code over logs, one's own or drawn from a seed: pacing, shading, prediction, and what they must reach.
    Backtest {
        #[command(subcommand)]
        what: backtest::What,
    },
    /// Says how far requests got with a line item of a running server, why no further, and what to do.
    Why(why::WhyArguments),
    /// Plays seeded markets with crashes, faults and late bills against the ledger.
    Sim(sim::SimArguments),
    /// Prints the version.
    Version {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Why a command failed, as an exit code.
#[derive(Debug)]
pub enum Failure {
    /// 1: it did not work.
    Failed(anyhow::Error),
    /// 2: what was asked for needs another option.
    Usage(String),
    /// 3: the configuration is invalid.
    Config(String),
    /// 4: data on disk is damaged.
    Damaged(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        Failure::Failed(error)
    }
}

/// Runs the command line.
pub fn run(arguments: Arguments) -> ExitCode {
    let Arguments { common, command } = arguments;
    let done = match command {
        Command::Init(arguments) => init::run(&common, &arguments),
        Command::Apply(arguments) => apply::run(&common, &arguments),
        Command::Export(arguments) => copies::export(&common, &arguments),
        Command::Backup(arguments) => copies::backup(&arguments),
        Command::Restore(arguments) => copies::restore(&arguments),
        Command::Serve => serve::run(&common),
        Command::Demo(arguments) => demo::run(&common, &arguments),
        Command::Check { what } => check::run(&common, &what),
        Command::Explain(arguments) => explain::run(&common, &arguments),
        Command::Forecast(arguments) => forecast::run(&common, &arguments),
        Command::Taxonomy { what } => taxonomy::run(&common, &what),
        Command::Seed(arguments) => seed_command::run(&common, &arguments),
        Command::Segment { what } => segment::run(&common, &what),
        Command::Why(arguments) => why::run(&common, &arguments),
        Command::Ledger { what } => ledger::run(&common, &what),
        Command::Keys { what } => keys::run(&common, &what),
        Command::User { what } => users::run(&common, &what),
        Command::Wal { what } => wal::run(&common, &what),
        Command::Events { task } => events::run(&common, &task),
        Command::Backtest { what } => backtest::run(&what),
        Command::Sim(arguments) => sim::run(&arguments),
        Command::Version { json } => {
            output::version(json);
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Failed(error)) => fail(1, &format!("{error:#}")),
        Err(Failure::Usage(message)) => fail(2, &message),
        Err(Failure::Config(errors)) => fail(3, &errors),
        Err(Failure::Damaged(error)) => fail(4, &format!("{error:#}")),
    }
}

fn fail(code: u8, message: &str) -> ExitCode {
    eprintln!("outbid: {message}");
    ExitCode::from(code)
}
