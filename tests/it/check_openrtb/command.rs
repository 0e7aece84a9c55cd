//! The command as people and scripts run it: exit status, words, JSON.

use super::{answers, requests};
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

fn run(arguments: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_outbid"))
        .args(["check", "openrtb"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The keys of an object, in the order of the alphabet.
fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_exit_status_is_0_without_errors_and_warnings_fail_only_when_asked() {
    let check = |arguments: &[&str], stdin: &str, status: i32, stderr: &str| {
        let output = run(arguments, stdin);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", out(&output));
        assert!(String::from_utf8_lossy(&output.stderr).contains(stderr), "{output:?}");
    };
    let good = requests::good().to_string();
    let odd = r#"{"id":"1","imp":[{"id":"1","banner":{"w":300,"h":250}}]}"#;
    check(&["-"], &good, 0, "");
    check(&["-", "--strict"], &good, 0, "");
    check(&["-"], odd, 0, "");
    check(&["-", "--strict"], odd, 1, "1 of 1 have warnings, which --strict forbids");
    check(&["-"], "{}", 1, "1 of 1 have errors");
    check(&["-"], "", 1, "holds nothing to check");
    check(&["/nowhere/at/all.json"], "", 1, "cannot read /nowhere/at/all.json");
    check(
        &["-", "--exchange", "nobody", "--demo"],
        &good,
        1,
        "there is no exchange \"nobody\"; there are: demo, demo2",
    );
}

#[test]
fn findings_are_told_in_words_path_first() {
    let output = run(&["-"], r#"{"id":"a","site":{},"imp":[{"id":"1","video":{}}]}"#);
    let text = out(&output);
    let expected = [
        "-:1: request \"a\"",
        "  imp[0]  error: offers nothing that could be filled: video is not whole [media-missing]",
        "      Nothing can be shown, so that the impression is not bid on. Offer one of banner, video, audio and native \
         that can be filled. (OpenRTB 2.6 section 3.2.4)",
        "  imp[0].video.mimes  error: is missing [mimes-missing]",
    ];
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(&lines[..4], expected, "{text}");
    assert_eq!(lines.last(), Some(&"-: 1 checked, 1 with errors, 0 with warnings"));
}

#[test]
fn an_answer_is_told_with_its_loss_code() {
    let pair = super::changed(&answers::good(), "/a/seatbid/0/bid/0/price=0.5");
    let record = json!({"request": pair["q"], "response": pair["a"]}).to_string();
    let text = out(&run(&["-"], &record));
    assert!(text.contains("-:1: pair \"r1\"\n  seatbid[0].bid[0].price  error in the response: is 0.50 USD, the floor 1.00 [below-floor]"), "{text}");
    assert!(text.contains("loss code 100"), "{text}");
}

#[test]
fn the_json_has_the_documented_shape() {
    let pair = answers::good();
    let lines = [
        requests::good().to_string(),
        json!({"request": {"id": 5, "imp": []}}).to_string(),
        json!({"request": pair["q"], "response": {"id": "x", "nbr": 99}}).to_string(),
        json!({"id": "r1", "seatbid": []}).to_string(),
    ];
    let output = run(&["-", "--json", "--demo", "--top", "2"], &lines.join("\n"));
    let text = out(&output);
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len(), lines.len());
    for (record, (kind, id)) in
        records.iter().zip([("request", "r1"), ("request", "5"), ("pair", "r1"), ("response", "r1")])
    {
        assert_eq!(keys(record), ["bidder", "errors", "file", "findings", "id", "kind", "line", "warnings"]);
        assert_eq!((record["kind"].as_str(), record["id"].as_str()), (Some(kind), Some(id)));
        for finding in record["findings"].as_array().unwrap() {
            assert_eq!(
                keys(finding),
                ["code", "do", "loss", "of", "path", "section", "severity", "what", "why"]
            );
        }
    }
    assert_eq!(records[2]["findings"][0]["of"], "response");
    assert_eq!((records[2]["errors"].clone(), records[2]["line"].clone()), (json!(1), json!(3)));
    assert_eq!((&records[1]["bidder"], &records[3]["bidder"]), (&Value::Null, &Value::Null));
    let bidder = &records[0]["bidder"];
    assert_eq!(keys(bidder), ["exchange", "imps", "no_bid", "restriction"]);
    for imp in bidder["imps"].as_array().unwrap() {
        assert_eq!(keys(imp), ["bids", "id", "line_items", "no_bid", "reasons"]);
        assert!(imp["line_items"].as_array().unwrap().len() <= 2);
        for bid in imp["bids"].as_array().unwrap() {
            assert_eq!(
                keys(bid),
                ["creative", "currency", "deal", "duration_s", "line_item", "medium", "price", "size"]
            );
        }
    }
}

#[test]
fn the_bidder_says_what_it_would_bid_and_why_the_rest_does_not() {
    let request = json!({
        "id": "1", "at": 1, "site": {"domain": "news.example"}, "device": {"geo": {"country": "USA"}},
        "regs": {"gdpr": 0},
        "imp": [
            {"id": "shown", "banner": {"w": 300, "h": 250}},
            {"id": "dear", "bidfloor": 900, "banner": {"w": 300, "h": 250}},
        ],
    });
    let output = run(&["-", "--demo", "--top", "0"], &request.to_string());
    let text = out(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("  on exchange \"demo\" the bidder\n    would bid "), "{text}");
    assert!(text.contains(" CPM on impression \"shown\" with banner creative "), "{text}");
    assert!(text.contains("does not bid on impression \"dear\": no line item does"), "{text}");
    assert!(text.contains("line items that do not: "), "{text}");
    assert!(text.contains(" below_floor"), "{text}");
}

#[test]
fn an_account_on_disk_is_asked_and_nothing_is_written_to_it() {
    let dir = TempDir::new().unwrap();
    let data = format!("data.dir={}", dir.path().display());
    let none = run(&["-", "--exchange", "demo", "--set", &data], &requests::good().to_string());
    assert_eq!(none.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&none.stderr).contains("holds no account;"));
    let made = Command::new(env!("CARGO_BIN_EXE_outbid"))
        .args(["seed", "--data-dir", dir.path().to_str().unwrap(), "--users", "50", "--segments", "64"])
        .args(["--line-items", "5", "--seed", "1"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let before = snapshot(&dir);
    let asked = run(&["-", "--exchange", "load", "--set", &data], &requests::good().to_string());
    assert!(out(&asked).contains("on exchange \"load\" the bidder"), "{asked:?}");
    assert_eq!(snapshot(&dir), before);
}

/// Every file below a directory, with its length.
fn snapshot(dir: &TempDir) -> Vec<(std::path::PathBuf, u64)> {
    let (mut found, mut open) = (Vec::new(), vec![dir.path().to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.path() {
                path if path.is_dir() => open.push(path),
                path => found.push((path, entry.metadata().unwrap().len())),
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_protobuf_file_is_known_by_its_ending() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("request.pb");
    let mut message = Vec::new();
    crate::protobuf::schema::Schema::load().encode("BidRequest", &requests::good(), &mut message);
    std::fs::write(&file, &message).unwrap();
    let output = run(&[file.to_str().unwrap(), "--strict"], "");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(run(&[file.to_str().unwrap(), "--format", "json"], "").status.code(), Some(1));
}
