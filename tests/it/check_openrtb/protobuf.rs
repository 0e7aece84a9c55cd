//! Requests in protobuf: read by the schema's table, checked like the same request in JSON.

use super::{requests, told};
use crate::parse::differential::corpus;
use crate::protobuf::schema::Schema;
use outbid::cli::check::{Format, check_request};
use outbid::exchange::{Limits, protobuf_as_json};
use serde_json::{Value, json};

/// A flag of the schema's own reading is a boolean; in OpenRTB's JSON it is 0 or 1.
fn with_numbers_for_flags(value: &Value) -> Value {
    match value {
        Value::Bool(flag) => json!(i32::from(*flag)),
        Value::Array(entries) => entries.iter().map(with_numbers_for_flags).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (key.clone(), with_numbers_for_flags(value))).collect()
        }
        other => other.clone(),
    }
}

#[test]
fn a_message_is_shown_as_the_json_that_says_the_same() {
    let schema = Schema::load();
    let every_field: Value = serde_json::from_str(include_str!("../protobuf/request.json")).unwrap();
    let of_corpus = corpus();
    let requests = of_corpus.iter().filter_map(|body| serde_json::from_str::<Value>(body).ok());
    let mut compared = 0;
    for request in requests.chain([every_field, requests::good()]).filter(Value::is_object) {
        let mut message = Vec::new();
        schema.encode("BidRequest", &request, &mut message);
        let shown = protobuf_as_json(&message, &Limits { body: usize::MAX, ..Limits::default() }).unwrap();
        assert_eq!(shown, with_numbers_for_flags(&schema.decode("BidRequest", &message)));
        compared += 1;
    }
    eprintln!("{compared} messages shown as JSON");
    assert!(compared > 1);
}

#[test]
fn a_request_in_protobuf_is_checked_as_in_json() {
    let schema = Schema::load();
    let check = |request: &Value, expected: &[(&str, &str)]| {
        let mut message = Vec::new();
        schema.encode("BidRequest", request, &mut message);
        assert_eq!(told(&check_request(&message, Format::Protobuf)), expected);
    };
    check(&requests::good(), &[]);
    check(&json!({"imp": []}), &[("id-missing", "id"), ("imp-missing", "imp"), ("channel-missing", "")]);
    let mut two_channels = requests::good();
    two_channels["app"] = json!({"bundle": "a"});
    check(&two_channels, &[("channels-several", "app")]);
}

#[test]
fn what_is_no_message_is_said_to_be_unreadable() {
    for body in [&b"\xff"[..], b"{}", b"\x0a\x05ab"] {
        let findings = check_request(body, Format::Protobuf);
        assert_eq!(told(&findings), [("unreadable", "")], "{body:?}");
    }
}
