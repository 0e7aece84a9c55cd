//! The real binary as a process: killed, stopped, its disk damaged. Short forms of `scripts/trials`; the exchange and
//! its books are those of `outbid-load trial`, compiled into this test.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod damage;
mod learning;

#[path = "../../../loadtest/src/trial/mod.rs"]
#[allow(dead_code, reason = "outbid-load uses the rest")]
mod trial;

use std::path::Path;
use std::time::Duration;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_outbid"))
}

/// Runs a trial in a directory of its own; the servers' log stays where it fails.
fn run(seed: u64, trial: impl FnOnce(&Path, &mut dyn FnMut(String)) -> anyhow::Result<()>) {
    let dir = tempfile::tempdir().unwrap();
    trial(&dir.path().join("data"), &mut |line| eprintln!("{line}")).unwrap();
    std::fs::remove_file(trial::server::log_path(seed)).unwrap();
}

#[test]
fn five_kills_under_load_lose_and_double_nothing() {
    // A machine that compiles beside the test is no measure of time; money is exact on any.
    let options = trial::kill9::Options { cycles: 5, seed: 11, to_the_end: false, timed: false };
    run(options.seed, |dir, say| trial::kill9::run(program(), dir, &options, say));
}

#[test]
fn no_hold_expires_while_the_process_is_stopped() {
    let stops = (7, Duration::from_secs(1));
    run(12, |dir, say| trial::stop::run(program(), dir, stops, 12, say));
}

#[test]
fn a_bill_s_record_is_synced_before_its_answer_leaves() {
    if !trial::sync::has_strace() {
        return eprintln!(
            "SKIPPED: strace is not installed, so nothing is shown about the order of system calls"
        );
    }
    run(13, |dir, say| trial::sync::order(program(), dir, 13, say));
}

#[test]
fn a_sync_that_fails_ends_the_process_by_name_and_loses_nothing() {
    if !trial::sync::has_strace() {
        return eprintln!("SKIPPED: strace is not installed, so no sync of the real binary was made to fail");
    }
    run(14, |dir, say| trial::sync::fails(program(), dir, 14, say));
}
