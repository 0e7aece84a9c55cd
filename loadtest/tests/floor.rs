//! `outbid-load floor` from the outside, with its own bare server in the place of the real one: same cost on both
//! sides, so the ratio must be near 1.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic like the tests themselves")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

const LOAD: &str = env!("CARGO_BIN_EXE_outbid-load");

const WORLD: &str = r#"{"version":1,"exchange":"load","seed":5,"users":1000,"segments":100,"line_items":10,
    "cookie":"splitmix64-hex","sites":20000,"features":{}}"#;

fn world() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("world.json"), WORLD).unwrap();
    dir
}

/// A program that takes the arguments of `outbid serve` and runs `body` with `$bid`, `$ops` and `$load` set.
fn stub(dir: &Path, body: &str) -> String {
    let path = dir.join("stub.sh");
    let script = format!(
        "#!/bin/sh\nload='{LOAD}'\nfor argument in \"$@\"; do case \"$argument\" in\n\
         listen.bid=*) bid=${{argument#*=}};;\nlisten.ops=*) ops=${{argument#*=}};;\nesac; done\n{body}\n"
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn floor(dir: &Path, server: &str, more: &[&str]) -> Output {
    let fixed = ["floor", "--pairs", "2", "--round-secs", "1", "--bodies", "500", "--server-cmd", server];
    Command::new(LOAD).args(fixed).arg("--data-dir").arg(dir).args(more).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const SAME: &str =
    "echo $$ > \"${0%/*}/pid\"\nexec \"$load\" floor-server --listen $bid --listen $ops --bytes 700";

/// Whether the process that the stub noted is gone.
fn stub_is_gone(dir: &Path) -> bool {
    let pid = std::fs::read_to_string(dir.join("pid")).unwrap();
    !Path::new(&format!("/proc/{}", pid.trim())).exists()
}

#[test]
fn a_server_that_decides_nothing_costs_about_the_floor() {
    let dir = world();
    let server = stub(dir.path(), SAME);
    let output = floor(dir.path(), &server, &["--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    eprintln!("{figures:#}");
    let number = |key: &str| figures[key].as_f64().unwrap_or_else(|| panic!("{key} in {figures}"));
    for key in ["floor_cpu_us", "server_cpu_us", "floor_rps", "server_rps", "server_latency_p99_us"] {
        assert!(number(key) > 0.0, "{key}");
    }
    assert!(number("server_latency_p50_us") > 5.0, "no loopback exchange is faster than that");
    // Short rounds on a machine that does other things: wide bounds.
    assert!((0.5..2.0).contains(&number("cpu_ratio")), "{figures}");
    assert!(number("cpu_ratio_min") <= number("cpu_ratio") && number("cpu_ratio") <= number("cpu_ratio_max"));
    assert_eq!(number("bid_rate"), 1.0);
    assert_eq!(number("response_bytes_mean"), 700.0);
    assert!((1_500.0..3_000.0).contains(&number("body_bytes_mean")));
    assert!(figures["survivors_p50"].is_null() && figures["survivors_p99"].is_null());
    assert!(stub_is_gone(dir.path()));
}

#[test]
fn recorded_requests_are_sent_and_the_table_names_the_conditions() {
    let dir = world();
    let server = stub(dir.path(), SAME);
    let corpus = dir.path().join("corpus.ndjson");
    std::fs::write(&corpus, "{\"request\":{\"id\":\"a\",\"imp\":[{\"id\":\"1\"}]}}\nnothing\n").unwrap();
    let output = floor(dir.path(), &server, &["--corpus", corpus.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    let table = String::from_utf8(output.stdout).unwrap();
    eprintln!("{table}");
    for part in [
        "CPU ratio",
        "bid rate 1.000",
        "p50 unknown",
        "1 lines of the corpus",
        "8 connections",
        "answers 700",
    ] {
        assert!(table.contains(part), "{part} in {table}");
    }
}

#[test]
fn a_server_that_does_not_start_is_an_error_that_quotes_it() {
    let dir = world();
    let server = stub(dir.path(), "echo 'unknown key engine.cores' >&2; exit 3");
    let output = floor(dir.path(), &server, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("unknown key engine.cores"), "{}", stderr(&output));
}

#[test]
fn a_server_that_dies_under_load_is_an_error_and_leaves_nothing_behind() {
    let dir = world();
    let body = SAME.replace("exec ", "sleep 2 && kill $$ & exec ");
    let server = stub(dir.path(), &body);
    let output = floor(dir.path(), &server, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("ended by itself"), "{}", stderr(&output));
    assert!(stub_is_gone(dir.path()));
}

#[test]
fn a_terminated_measurement_leaves_nothing_behind() {
    let dir = world();
    let server = stub(dir.path(), SAME);
    let mut load = Command::new(LOAD)
        .args(["floor", "--round-secs", "60", "--bodies", "100", "--server-cmd", &server, "--data-dir"])
        .arg(dir.path())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_secs(3));
    let pid = load.id().to_string();
    assert!(Command::new("sh").args(["-c", &format!("kill -TERM {pid}")]).status().unwrap().success());
    assert_eq!(load.wait().unwrap().code(), Some(1));
    assert!(stub_is_gone(dir.path()));
    assert!(!std::env::temp_dir().join(format!("outbid-load-{pid}")).exists());
}

#[test]
fn wrong_use_and_missing_worlds_have_their_exit_codes() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Command::new(LOAD).arg("floor").output().unwrap().status.code(), Some(2));
    let output = floor(dir.path(), "true", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("outbid seed"), "{}", stderr(&output));
    assert_eq!(floor(dir.path(), "true", &["--connections", "0"]).status.code(), Some(2));
}

#[test]
fn bodies_are_printed_one_a_line() {
    let dir = world();
    let output =
        Command::new(LOAD).args(["bodies", "--count", "3", "--data-dir"]).arg(dir.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 3);
    for line in text.lines() {
        let body: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(body["imp"].is_array() && body["id"].is_string());
    }
}
