//! `outbid`: arguments → command → exit code. Each command lives in `outbid::cli`.

use clap::Parser;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    outbid::cli::run(outbid::cli::Arguments::parse())
}
