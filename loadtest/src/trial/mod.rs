//! `outbid-load trial`: what may happen to a server's process and disk, done to the real binary, with the exchange's
//! own books beside the server's.
//!
//! Threads and blocking sockets, so that the program's own tests can compile this folder as it is. Nothing here knows
//! the engine: an account file is written, HTTP is spoken, processes are killed.

pub(crate) mod account;
pub(crate) mod book;
pub(crate) mod dice;
pub(crate) mod http;
pub(crate) mod kill9;
pub(crate) mod load;
pub(crate) mod server;

use std::io::Write;
use std::path::{Path, PathBuf};

/// Options of `outbid-load trial`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct TrialArgs {
    #[command(subcommand)]
    what: What,
    /// What chance derives from.
    #[arg(long, default_value_t = 1, global = true)]
    seed: u64,
    /// Where the data directory is made; default: a directory that goes when the trial succeeds.
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
    /// The server's program instead of the `outbid` beside this one.
    #[arg(long, value_name = "FILE", global = true)]
    program: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, clap::Subcommand)]
enum What {
    /// Kill the server with SIGKILL under load, over and over, and hold its books against the exchange's.
    Kill9 {
        /// How often.
        #[arg(long, default_value_t = 200)]
        cycles: u32,
        /// Stop after the last cycle, without waiting for the end of doubt to spend the rest.
        #[arg(long)]
        short: bool,
    },
}

/// Runs a trial; an error is its failure.
pub(crate) fn run(args: &TrialArgs) -> anyhow::Result<()> {
    let program = match &args.program {
        Some(program) => program.clone(),
        None => std::env::current_exe()?.with_file_name("outbid"),
    };
    let own = std::env::temp_dir().join(format!("outbid-trial-{}", std::process::id()));
    let dir = args.data_dir.clone().unwrap_or_else(|| own.clone());
    let mut say = |line: String| {
        // Who closed standard output does not want to know.
        let _ = writeln!(std::io::stdout(), "{line}");
    };
    one(args, &program, &dir, &mut say)?;
    if args.data_dir.is_none() {
        std::fs::remove_dir_all(&own)?;
    }
    Ok(())
}

fn one(args: &TrialArgs, program: &Path, dir: &Path, say: &mut dyn FnMut(String)) -> anyhow::Result<()> {
    let seed = args.seed;
    match args.what {
        What::Kill9 { cycles, short } => {
            kill9::run(program, dir, &kill9::Options { cycles, seed, to_the_end: !short, timed: true }, say)
        }
    }
}
