//! How long large tables take, and what memory.

use super::begin;
use crate::admin::calls::{Bare, control};
use outbid::model::clock::Clock;
use outbid::telemetry::clock::SystemClock;
use serde_json::json;

/// A number of `/proc/self/status` in MiB.
fn memory(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1_024.0
}

/// `cargo test --release --test it admin::csv::figures -- --ignored --nocapture`
#[test]
#[ignore = "measures; a minute"]
fn figures_of_one_and_two_hundred_thousand_rows() {
    let dir = tempfile::tempdir().unwrap();
    let bare = Bare::open(control(&dir.path().join("control.db")));
    begin(&bare, "/v1/imports/advertisers", "external_id,name,currency\nacme,Acme,USD\n", "wait=60");
    begin(
        &bare,
        "/v1/imports/campaigns",
        "external_id,name,advertiser_id\nspring,Spring,ext:acme\n",
        "wait=60",
    );
    let header = "external_id,campaign_id,name,bid.strategy,bid.amount,bid.max,budget.daily,targeting.countries.include,\
                  targeting.sizes.include,targeting.domains.exclude\n";
    let table = |from: u32, count: u32, price: &str| {
        let mut table = header.to_owned();
        for n in from..from + count {
            table.push_str(&format!(
                "line-{n},ext:spring,Line item {n},fixed_cpm,{price},{price},25.00,DE;FR;IT,300x250;728x90,bad{n}.example\n"
            ));
        }
        table
    };
    for (what, query, from, count, price) in [
        ("trial of new rows", "?validate_only=true", 0, 100_000, "2.50"),
        ("new rows", "", 0, 100_000, "2.50"),
        ("the same rows again", "", 0, 100_000, "2.50"),
        ("changed rows", "", 0, 100_000, "2.75"),
        ("new rows, each for itself", "?mode=partial", 100_000, 100_000, "2.50"),
        ("trial of changed rows", "?validate_only=true", 0, 100_000, "2.80"),
        ("trial of changed rows", "?validate_only=true", 0, 200_000, "2.80"),
    ] {
        let table = table(from, count, price);
        let bytes = table.len();
        let before = memory("VmRSS:");
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        let clock = SystemClock::new();
        let begun_ns = clock.mono_ns();
        let job = begin(&bare, &format!("/v1/imports/line_items{query}"), &table, "wait=60");
        let took = (clock.mono_ns() - begun_ns) as f64 / 1e9;
        assert_eq!((&job["state"], &job["rows"]), (&json!("succeeded"), &json!(count)), "{job:#}");
        eprintln!(
            "{count} rows ({:.0} MiB), {what}: {took:.1} s, memory {before:.0} MiB before, {:.0} MiB at most, {:.0} MiB after",
            bytes as f64 / 1e6,
            memory("VmHWM:"),
            memory("VmRSS:"),
        );
        assert!(count > 100_000 || took < 10.0, "{what}: {took} s");
    }
}
