//! `outbid backtest`: what people see, and that nothing is known before it happened.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

struct Outcome {
    code: i32,
    out: String,
    err: String,
}

/// Runs `outbid backtest` in a directory.
fn backtest(dir: &Path, arguments: &[&str]) -> Outcome {
    let output = Command::new(env!("CARGO_BIN_EXE_outbid"))
        .arg("backtest")
        .args(arguments)
        .current_dir(dir)
        .env_clear()
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn json(dir: &Path, arguments: &[&str]) -> Value {
    let outcome = backtest(dir, &[arguments, &["--json"]].concat());
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    serde_json::from_str(&outcome.out).unwrap()
}

/// Two days of a market: `train.csv` and `log.csv`.
fn market(kind: &str, rows: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, seed, day) in [("train.csv", "1", "0"), ("log.csv", "2", "1")] {
        let made = backtest(
            dir.path(),
            &["market", "--kind", kind, "--rows", rows, "--seed", seed, "--day", day, "--out", name],
        );
        assert_eq!(made.code, 0, "{}", made.err);
    }
    dir
}

const PACED: [&str; 7] = ["pacing", "--log", "log.csv", "--train", "train.csv", "--budget-fraction", "0.125"];

#[test]
fn pacing_beats_the_simple_rules_in_both_auctions() {
    let dir = market("skewed", "30000");
    for auction in ["second", "first"] {
        let value = |strategy: &str| {
            let game =
                json(dir.path(), &[&PACED[..], &["--auction", auction, "--strategy", strategy]].concat());
            let number = |key: &str| game[key].as_f64().unwrap();
            assert!(number("spend") <= number("budget"), "{game}");
            assert!(number("value") <= number("clairvoyant_value"), "{game}");
            assert!((0.0..=1.0).contains(&number("unspent_ratio")), "{game}");
            assert!(number("hourly_rms") >= 0.0 && game["clicks"].is_u64(), "{game}");
            assert!(game["clicks_interval"][0].as_u64() <= game["clicks"].as_u64(), "{game}");
            number("value_ratio")
        };
        let ours = value("outbid");
        assert!(ours > value("constant") && ours > value("linear") - 0.005, "{auction}: {ours}");
    }
}

#[test]
fn shading_beats_no_shading_and_the_best_factor() {
    let dir = market("flat", "20000");
    for feedback in ["open", "censored"] {
        let arguments = ["shading", "--log", "log.csv", "--train", "train.csv", "--feedback", feedback];
        let game = json(dir.path(), &arguments);
        let number = |key: &str| game[key].as_f64().unwrap();
        assert!(number("surplus_ratio") > number("best_factor_ratio"), "{feedback}: {game}");
        assert!(number("surplus") < number("oracle_surplus"), "{game}");
    }
}

/// A log with everything but the time of its second half in another order.
fn with_another_future(log: &str) -> String {
    let (head, rows) = log.split_once('\n').unwrap();
    let rows: Vec<&str> = rows.lines().collect();
    let half = rows.len() / 2;
    let row = |at: usize| {
        // The second half backwards; times stay where they are.
        let from = if at < half { at } else { rows.len() - 1 - (at - half) };
        let (time, _) = rows[at].split_once(',').unwrap();
        let (_, rest) = rows[from].split_once(',').unwrap();
        format!("{time},{rest}\n")
    };
    format!("{head}\n{}", (0..rows.len()).map(row).collect::<String>())
}

#[test]
fn another_future_leaves_the_past_as_it_was() {
    let dir = market("skewed", "12000");
    let log = fs::read_to_string(dir.path().join("log.csv")).unwrap();
    fs::write(dir.path().join("other.csv"), with_another_future(&log)).unwrap();
    let strategies = [
        ("outbid", "second", "open"),
        ("outbid", "first", "open"),
        ("outbid", "first", "censored"),
        ("linear", "second", "open"),
        ("constant", "first", "open"),
    ];
    for (strategy, auction, feedback) in strategies {
        for train in [&["--train", "train.csv"][..], &[]] {
            let decisions = |log: &str| {
                let arguments = [
                    &["pacing", "--log", log, "--budget-fraction", "0.2", "--strategy", strategy][..],
                    &["--auction", auction, "--feedback", feedback, "--decisions", "decisions.csv"],
                    train,
                ];
                let outcome = backtest(dir.path(), &arguments.concat());
                assert_eq!(outcome.code, 0, "{}", outcome.err);
                fs::read_to_string(dir.path().join("decisions.csv")).unwrap()
            };
            let (one, other) = (decisions("log.csv"), decisions("other.csv"));
            let past = |text: &str| text.lines().take(6_000).map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(past(&one), past(&other), "{strategy} {auction} {feedback} {train:?}");
            if strategy == "outbid" {
                // The others may have spent all of it before the future begins.
                assert_ne!(one, other, "the future was not another one");
            }
        }
    }
}

#[test]
fn malformed_logs_and_options_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |text: &str, part: &str| {
        fs::write(dir.path().join("bad.csv"), text).unwrap();
        for command in [
            &["pacing", "--log", "bad.csv", "--budget-fraction", "0.5"][..],
            &["shading", "--log", "bad.csv"],
        ] {
            let outcome = backtest(dir.path(), command);
            assert!(outcome.code == 1 && outcome.err.contains(part), "{} {}", outcome.code, outcome.err);
        }
    };
    refused("ts_ms,market_price_cpm,pctr,click\n1,1.0,0.1,0\n2,1.0,0.1\n", "bad.csv: line 3: 3 fields");
    refused("ts_ms,market_price_cpm,pctr,click\n1,1.0,2,0\n", "bad.csv: line 2: pctr is \"2\"");
    refused("1,1.0,0.1,0\n", "bad.csv: line 1: the header is");
    refused("ts_ms,market_price_cpm,pctr,click\n", "bad.csv has no rows");
    let usage = backtest(dir.path(), &["pacing", "--log", "bad.csv", "--budget-fraction", "0"]);
    assert!(usage.code == 2 && usage.err.contains("--budget-fraction is 0"), "{}", usage.err);
    let missing = backtest(dir.path(), &["shading", "--log", "missing.csv"]);
    assert!(missing.code == 1 && missing.err.contains("cannot read missing.csv"), "{}", missing.err);
}

#[test]
fn a_page_needs_nothing_from_elsewhere() {
    let dir = market("skewed", "3000");
    let arguments = [&PACED[..], &["--auction", "first", "--html", "page.html"]].concat();
    let outcome = backtest(dir.path(), &arguments);
    assert!(outcome.code == 0 && outcome.out.contains("value ÷ clairvoyant"), "{}", outcome.err);
    let page = fs::read_to_string(dir.path().join("page.html")).unwrap();
    for part in ["Spend against plan", "Win rate of the place", "<polyline", "<circle"] {
        assert!(page.contains(part), "{part}");
    }
    for part in ["http:", "https:", "<script", "@import", "url("] {
        assert!(!page.contains(part), "{part}");
    }
}

#[test]
fn tiny_and_odd_logs_are_played_to_their_end() {
    let dir = tempfile::tempdir().unwrap();
    let head = "ts_ms,market_price_cpm,pctr,click\n";
    for rows in ["5,1.0,0.1,1\n", "5,0,0,0\n5,0,0,0\n", "0,1,1e-300,0\n9000000000000,999999,1,1\n"] {
        fs::write(dir.path().join("log.csv"), format!("{head}{rows}")).unwrap();
        for auction in ["first", "second"] {
            for strategy in ["outbid", "linear", "constant"] {
                let arguments = ["pacing", "--log", "log.csv", "--budget-fraction", "1"];
                let game = json(
                    dir.path(),
                    &[&arguments[..], &["--auction", auction, "--strategy", strategy]].concat(),
                );
                assert!(game["value_ratio"].is_f64(), "{rows:?} {game}");
            }
        }
        assert!(json(dir.path(), &["shading", "--log", "log.csv"])["surplus_ratio"].is_f64());
    }
}

#[test]
fn what_must_be_reached_is_reached() {
    let dir = tempfile::tempdir().unwrap();
    let outcome = backtest(dir.path(), &["quality", "--part", "auctions", "--rows", "80000"]);
    assert_eq!(outcome.code, 0, "{}{}", outcome.out, outcome.err);
    assert!(outcome.out.lines().count() >= 16, "{}", outcome.out);
}
