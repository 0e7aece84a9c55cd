//! `outbid check openrtb`: each rule has an example that breaks it and one that does not, errors are what the engine
//! refuses, and our own answers are clean.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod answers;
mod command;
mod corpus;
mod protobuf;
mod requests;

use outbid::cli::check::{Finding, rules};
use serde_json::Value;
use std::collections::BTreeSet;

/// A rule, where it is broken, and the changes that break it and that do not: `/pointer=json`, or `/pointer` to remove,
/// separated by ` ; `.
type Case = (&'static str, &'static str, &'static str, &'static str);

/// A value with changes.
fn changed(base: &Value, changes: &str) -> Value {
    let mut value = base.clone();
    for change in changes.split(" ; ").filter(|change| !change.is_empty()) {
        let (pointer, new) = match change.split_once('=') {
            Some((pointer, json)) => {
                (pointer, Some(serde_json::from_str(json).unwrap_or_else(|why| panic!("{json}: {why}"))))
            }
            None => (change, None),
        };
        let (outer, key) = pointer.rsplit_once('/').expect("a pointer");
        let outer = value.pointer_mut(outer).unwrap_or_else(|| panic!("nothing at {outer}"));
        match (outer, new) {
            (Value::Array(list), Some(new)) if key == "-" => list.push(new),
            (Value::Array(list), Some(new)) => list[key.parse::<usize>().unwrap()] = new,
            (Value::Object(object), Some(new)) => _ = object.insert(key.to_owned(), new),
            (Value::Object(object), None) => assert!(object.remove(key).is_some(), "{pointer} is not there"),
            (other, new) => panic!("{change}: {other} {new:?}"),
        }
    }
    value
}

/// Findings as they are compared: code and path.
fn told(findings: &[Finding]) -> Vec<(&'static str, &str)> {
    findings.iter().map(|finding| (finding.rule.code, finding.path.as_str())).collect()
}

#[test]
fn every_rule_has_an_example() {
    let mut shown: BTreeSet<&str> = requests::CASES.iter().chain(answers::CASES).map(|case| case.0).collect();
    shown.extend(requests::BODIES.iter().map(|(code, _)| *code));
    shown.extend(answers::BODIES.iter().map(|(code, _)| *code));
    let known: BTreeSet<&str> = rules().map(|rule| rule.code).collect();
    assert_eq!(shown, known);
    assert_eq!(known.len(), rules().count(), "a code stands for one rule");
}

#[test]
fn a_rule_says_where_it_is_written_down_why_it_matters_and_what_to_do() {
    for rule in rules() {
        for text in [rule.why, rule.advice] {
            assert!(
                text.ends_with('.') && text.starts_with(|c: char| !c.is_whitespace()),
                "{}: {text}",
                rule.code
            );
        }
        assert!(
            !rule.section.is_empty()
                && rule.code.chars().all(|c| c.is_ascii_lowercase() || "-.0123456789".contains(c))
        );
    }
}
