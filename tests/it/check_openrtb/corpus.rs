//! Real traffic: nothing panics, an error is what the engine refuses and the other way round, and our own answers are
//! clean.

use super::requests::{errors, is_refused, refuses_something};
use super::told;
use crate::parse::differential::{any_imp, corpus};
use crate::server::Setup;
use outbid::cli::check::{Format, check_request, check_response};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Errors and refusals are the same things.
#[track_caller]
fn assert_errors_are_refusals(body: &[u8]) -> Vec<&'static str> {
    let findings = check_request(body, Format::Json);
    for error in errors(&findings) {
        let (code, path, what) = (error.rule.code, &error.path, &error.what);
        assert!(is_refused(body, error), "{code} at {path}: {what}: {}", String::from_utf8_lossy(body));
    }
    let refused = refuses_something(body);
    assert!(!refused || errors(&findings).next().is_some(), "{}", String::from_utf8_lossy(body));
    findings.iter().map(|finding| finding.rule.code).collect()
}

#[test]
fn an_error_in_real_traffic_is_what_the_engine_refuses() {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let lines = corpus();
    for line in &lines {
        for code in assert_errors_are_refusals(line.as_bytes()) {
            *counts.entry(code).or_default() += 1;
        }
    }
    eprintln!("{} requests: {counts:?}", lines.len());
    // Its own words are found for everything: the engine's reason stands in for none.
    assert_eq!(counts.get("refused"), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn an_error_in_any_impression_is_what_the_engine_refuses(imp in any_imp()) {
        let request = json!({"id": "r", "imp": [imp]});
        assert_errors_are_refusals(request.to_string().as_bytes());
    }

    #[test]
    fn nothing_makes_a_check_panic(body in "\\PC{0,60}", response in crate::parse::differential::any_value()) {
        check_request(body.as_bytes(), Format::Json);
        check_request(body.as_bytes(), Format::Protobuf);
        check_response(body.as_bytes(), Some(&response));
        let answer = json!({"id": "r", "seatbid": [{"bid": [response]}]});
        check_response(answer.to_string().as_bytes(), Some(&json!({"id": "r", "imp": [response]})));
    }
}

#[test]
fn our_own_answers_to_real_traffic_have_no_error() {
    let lines = corpus();
    if lines.is_empty() {
        return;
    }
    let server = Setup::demo().start();
    let (mut answered, mut warned): (usize, BTreeMap<&str, usize>) = (0, BTreeMap::new());
    for exchange in ["demo", "demo2"] {
        let mut client = server.exchange();
        for line in &lines {
            let reply = client.bid(exchange, line.as_bytes()).unwrap();
            if reply.status != 200 {
                continue;
            }
            answered += 1;
            let request: Value = serde_json::from_str(line).unwrap();
            let findings = check_response(reply.text().as_bytes(), Some(&request));
            let wrong: Vec<_> =
                errors(&findings).map(|error| (error.rule.code, &error.path, &error.what)).collect();
            assert!(wrong.is_empty(), "{wrong:?}\n{line}\n{}", reply.text());
            for (code, _) in told(&findings) {
                *warned.entry(code).or_default() += 1;
            }
        }
    }
    eprintln!("{answered} answers without an error; warnings: {warned:?}");
    assert!(answered > 1_000);
}
