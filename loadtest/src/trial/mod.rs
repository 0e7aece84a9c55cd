//! `outbid-load trial`: what may happen to a server's process, disk and network, done to the real binary, with the
//! exchange's own books beside the server's.
//!
//! Threads and blocking sockets, so that the program's own tests can compile this folder as it is. Nothing here knows
//! the engine: an account file is written, HTTP is spoken, processes are killed.

pub(crate) mod account;
pub(crate) mod book;
pub(crate) mod dice;
pub(crate) mod disk;
pub(crate) mod edge;
pub(crate) mod good;
pub(crate) mod http;
pub(crate) mod kill9;
pub(crate) mod latency;
pub(crate) mod load;
pub(crate) mod pressure;
pub(crate) mod server;
pub(crate) mod stop;
pub(crate) mod sync;
pub(crate) mod table;

use anyhow::Context;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

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

#[derive(Clone, Debug, clap::Subcommand)]
enum What {
    /// Send what hostile and broken clients send: slow, endless, ambiguous, half.
    Edge {
        /// These alone; default: all.
        #[arg(long, value_delimiter = ',', value_name = "E1,E3")]
        only: Vec<edge::Which>,
        /// Seconds of slow connections in E1 and E2, with as many calm ones between them.
        #[arg(long, default_value_t = 60)]
        secs: u64,
    },
    /// Kill the server with SIGKILL under load, over and over, and hold its books against the exchange's.
    Kill9 {
        /// How often.
        #[arg(long, default_value_t = 200)]
        cycles: u32,
        /// Stop after the last cycle, without waiting for the end of doubt to spend the rest.
        #[arg(long)]
        short: bool,
    },
    /// Stop the server for longer than holds live: none may expire.
    Stop {
        /// How often.
        #[arg(long, default_value_t = 1)]
        times: u32,
        /// For how many seconds each time.
        #[arg(long, default_value_t = 30)]
        seconds: u64,
    },
    /// Fill the disk up; wants --data-dir on a small file system of its own.
    Disk,
    /// Measure bills at full load beside the disk's own syncs.
    Latency {
        /// For how many seconds.
        #[arg(long, default_value_t = 30)]
        seconds: u64,
    },
    /// Let the server have no more descriptors, and no more memory.
    Resources,
    /// End the server under load, alone and behind a proxy.
    Drain,
    /// Let one exchange ask as fast as it is answered.
    Flood,
    /// Put a bad network between exchange and server.
    Proxy,
    /// Watch the system calls of one bill: written, synced, then answered. Wants strace.
    SyncOrder,
    /// Let syncs and writes of the journal fail. Wants strace.
    SyncFails,
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
    let log = server::log_path(args.seed);
    one(args, &program, &dir, &mut say)
        .with_context(|| format!("seed {}, the servers' log is {}", args.seed, log.display()))?;
    // It is not there where the trial did not begin.
    let _ = std::fs::remove_file(&log);
    if args.data_dir.is_none() {
        std::fs::remove_dir_all(&own)?;
    }
    Ok(())
}

fn one(args: &TrialArgs, program: &Path, dir: &Path, say: &mut dyn FnMut(String)) -> anyhow::Result<()> {
    let seed = args.seed;
    match &args.what {
        What::Edge { only, secs } => edge::run(program, dir, (only, Duration::from_secs(*secs)), seed, say),
        What::Kill9 { cycles, short } => kill9::run(
            program,
            dir,
            &kill9::Options { cycles: *cycles, seed, to_the_end: !*short, timed: true },
            say,
        ),
        What::Stop { times, seconds } => {
            stop::run(program, dir, (*times, Duration::from_secs(*seconds)), seed, say)
        }
        What::Disk => disk::run(program, dir, seed, say),
        What::Resources => pressure::resources::run(program, dir, seed, say),
        What::Drain => pressure::drain::run(program, dir, seed, say),
        What::Flood => pressure::flood::run(program, dir, seed, say),
        What::Proxy => pressure::proxied::run(program, dir, seed, say),
        What::Latency { seconds } => latency::run(program, dir, Duration::from_secs(*seconds), seed, say),
        What::SyncOrder | What::SyncFails if !sync::has_strace() => anyhow::bail!("strace is not installed"),
        What::SyncOrder => sync::order(program, dir, seed, say),
        What::SyncFails => sync::fails(program, dir, seed, say),
    }
}
