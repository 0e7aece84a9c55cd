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

/// Holds a table's claims; what fails is in the error.
fn claims(
    seed: u64,
    trial: impl FnOnce(&trial::server::Site, &mut trial::table::Table<'_>) -> anyhow::Result<()>,
) {
    run(seed, |dir, say| {
        let site = trial::good::site(program(), dir, seed)?;
        let mut server = site.start()?;
        let mut table = trial::table::Table::new(say);
        trial(&site, &mut table)?;
        table.end()?;
        trial::edge::is_well(&site, &mut server)
    });
}

#[test]
fn requests_with_two_ends_are_refused_or_read_once() {
    claims(15, trial::edge::desync);
}

#[test]
fn neither_port_speaks_anything_but_http_1_1() {
    claims(16, trial::edge::heads::h2);
}

#[test]
fn a_drain_under_load_loses_no_request() {
    run(17, |dir, say| {
        let mut table = trial::table::Table::new(say);
        trial::pressure::drain::under_load(program(), dir, 17, 1, &mut table)?;
        table.end()
    });
}

#[test]
fn a_server_with_few_descriptors_goes_on_and_is_well_after_it() {
    run(18, |dir, say| {
        let mut table = trial::table::Table::new(say);
        trial::pressure::resources::descriptors(program(), dir, 18, &mut table)?;
        table.end()
    });
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
