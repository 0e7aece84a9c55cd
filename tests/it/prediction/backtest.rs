//! `outbid backtest ctr` on logs that are right and logs that are not.

use outbid::cli::backtest::ctr::{Calibrate, test, train};
use outbid::pricing::prediction::{LearnerOptions, Model};
use std::ops::Range;
use std::process::{Command, Output};

const OPTIONS: LearnerOptions =
    LearnerOptions { alpha: 0.1, beta: 1.0, l1: 0.0, l2: 1.0, bits: 16, min_count: 1 };

fn outbid(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_outbid")).args(arguments).output().unwrap()
}

#[test]
fn a_line_that_is_no_row_is_named() {
    let check = |line: &str, expected: &str| {
        let log = format!("{{\"y\":0,\"x\":[\"a=1\"]}}\n\n{line}\n");
        let error = train(OPTIONS, Calibrate::Line, "f", log.as_bytes()).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with("f, line 3, column "), "{line}: {error}");
        assert!(error.contains(expected), "{line}: {error}");
        assert!(error.ends_with(r#"a line is {"y":0 or 1,"x":["field=value",…]}"#), "{error}");
    };
    check("{", ": EOF while parsing an object");
    check(r#"{"y":2,"x":[]}"#, ": y is 2; it must be 0 or 1");
    check(r#"{"y":"1","x":[]}"#, ": invalid type: string \"1\", expected u64");
    check(r#"{"y":true,"x":[]}"#, ": invalid type: boolean `true`, expected u64");
    check(r#"{"x":["a=1"]}"#, ": missing field `y`");
    check(r#"{"y":1}"#, ": missing field `x`");
    check(r#"{"y":1,"x":"a=1"}"#, ": invalid type: string \"a=1\", expected an array of \"field=value\"");
    check(r#"{"y":1,"x":["a=1",7]}"#, ": invalid type: integer `7`, expected a string \"field=value\"");
    check(r#"{"y":1,"x":["a"]}"#, ": \"a\" is no \"field=value\"");
    check(r#"{"y":1,"x":["=a"]}"#, ": \"=a\" is no \"field=value\"");
    check(r#"{"y":1,"x":["a=b"],"p":1.5}"#, ": p is 1.5; it must lie between 0 and 1");
    check(r#"{"y":1,"x":["a=b"]} {}"#, ": trailing characters");
    let many = format!(r#"{{"y":1,"x":[{}"a=b"]}}"#, "\"a=b\",".repeat(4_096));
    check(&many, ": x has more than 4096 values");
    check(&"x".repeat(2_000_000), ": it is longer than 1048576 bytes");
}

#[test]
fn a_log_without_rows_is_refused() {
    let error = train(OPTIONS, Calibrate::Line, "f", "\n \n".as_bytes()).map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with("f holds no rows; a line is "), "{error}");
}

/// A log in which `a=1` is clicked half of the time and `a=0` one time in ten; each row has a number of its own.
fn simple(rows: Range<usize>) -> String {
    let row = |at: usize| {
        let (a, y) = (at % 2, if at % 2 == 1 { at % 4 == 1 } else { at.is_multiple_of(20) });
        format!("{{\"y\":{},\"x\":[\"a={a}\",\"n={}\",\"C=\"]}}\n", u8::from(y), at * 7_919 % 100_003)
    };
    rows.map(row).collect()
}

#[test]
fn labels_of_the_test_are_never_looked_at_before_their_prediction() {
    let trained = train(OPTIONS, Calibrate::Isotonic, "f", simple(0..6_000).as_bytes()).unwrap();
    let log = simple(0..500);
    let flipped: String = log
        .lines()
        .map(|line| line.replace("\"y\":0", "\"y\":9").replace("\"y\":1", "\"y\":0") + "\n")
        .collect();
    let flipped = flipped.replace("\"y\":9", "\"y\":1");
    let as_is = test(&trained.model, "f", log.as_bytes()).unwrap().scores;
    let other = test(&trained.model, "f", flipped.as_bytes()).unwrap().scores;
    let predicted = |scores: &outbid::pricing::prediction::Scores| {
        scores.deciles().iter().map(|decile| decile.predicted).collect::<Vec<f64>>()
    };
    assert_eq!(predicted(&as_is), predicted(&other));
    assert_eq!(as_is.clicks() + other.clicks(), 500);
    // And the rows are predicted one by one: half of them as if the other half were not there.
    let half: String = log.lines().step_by(2).map(|line| line.to_owned() + "\n").collect();
    let half = test(&trained.model, "f", half.as_bytes()).unwrap().scores;
    assert_eq!(half.len(), 250);
    assert!(predicted(&half).iter().all(|p| (0.07..0.14).contains(p)), "{:?}", predicted(&half));
}

#[test]
fn what_is_learned_is_right() {
    let trained = train(OPTIONS, Calibrate::Line, "f", simple(0..20_000).as_bytes()).unwrap();
    // The rows that follow: a row that was learned is known by its number, and ranks better than anything can be known.
    let scores = test(&trained.model, "f", simple(20_000..22_000).as_bytes()).unwrap().scores;
    let calibration = scores.calibration().unwrap();
    assert!((0.97..1.03).contains(&calibration), "{calibration}");
    // The truth's: a click has a=1 five times in six, another row five times in fourteen.
    let truth = 5.0 / 6.0 * 9.0 / 14.0 + (5.0 / 6.0 * 5.0 / 14.0 + 1.0 / 6.0 * 9.0 / 14.0) / 2.0;
    assert!((scores.auc().unwrap() - truth).abs() < 0.02, "{:?} {truth}", scores.auc());
    assert!(scores.normalised_entropy().unwrap() < 0.86);
    let learned = test(&trained.model, "f", simple(0..2_000).as_bytes()).unwrap().scores;
    let calibration = learned.calibration().unwrap();
    assert!((0.97..1.03).contains(&calibration), "{calibration}");
    assert!(learned.auc().unwrap() > truth + 0.1, "{:?}", learned.auc());
    let again = train(OPTIONS, Calibrate::Line, "f", simple(0..20_000).as_bytes()).unwrap();
    assert_eq!(again.model, trained.model);
}

#[test]
fn the_commands_write_learn_save_and_show() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let (log, rest, model, html) = (at("train"), at("test"), at("model"), at("page.html"));
    let clicks = |skip: &str, rows: &str, out: &str| {
        let done = outbid(&["backtest", "clicks", "--skip", skip, "--rows", rows, "--out", out]);
        assert!(done.status.success(), "{done:?}");
    };
    clicks("0", "6000", &log);
    clicks("6000", "2000", &rest);
    let done = outbid(&[
        "backtest", "ctr", "--train", &log, "--test", &rest, "--bits", "18", "--json", "--save", &model,
        "--html", &html,
    ]);
    assert!(done.status.success(), "{done:?}");
    let learned: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    for key in ["auc", "logloss", "normalised_entropy", "calibration", "rows_per_s", "normalised_entropy_gap"]
    {
        assert!(learned[key].is_f64() || learned[key].is_u64(), "{key}: {learned}");
    }
    assert_eq!((&learned["rows"], &learned["train_rows"]), (&2_000.into(), &6_000.into()));
    let page = std::fs::read_to_string(html).unwrap();
    assert!(page.contains("Calibration by tenths") && page.contains("<svg"), "{page}");
    // The saved model says the same.
    assert!(Model::import(&std::fs::read(&model).unwrap()).is_ok());
    let done = outbid(&["backtest", "ctr", "--model", &model, "--test", &rest, "--json"]);
    let read: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&read["auc"], &read["logloss"]), (&learned["auc"], &learned["logloss"]));
    let shown =
        String::from_utf8(outbid(&["backtest", "ctr", "--model", &model, "--test", &rest]).stdout).unwrap();
    assert!(shown.contains("calibration, Σp ÷ Σy") && shown.contains("tenth"), "{shown}");
}

#[test]
fn what_cannot_be_done_is_said_with_its_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("log").display().to_string();
    std::fs::write(&file, "{\"y\":0,\"x\":[\"a=1\"]}\n{\"y\":0,\"x\":[\"a\"]}\n").unwrap();
    let check = |arguments: &[&str], code: i32, expected: &str| {
        let done = outbid(&[&["backtest", "ctr", "--test", &file], arguments].concat());
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(code), "{said}");
        assert!(said.contains(expected), "{said}");
    };
    check(&["--train", &file], 1, "log, line 2, column 15: \"a\" is no \"field=value\"");
    check(&["--train", "/nowhere"], 1, "cannot read /nowhere");
    check(&["--train", &file, "--bits", "40"], 2, "bits is 40; it must be from 8 to 24");
    check(&["--train", &file, "--model", &file], 2, "cannot be used with");
    check(&["--model", &file], 4, "this is no model");
    check(&[], 2, "--train");
}
