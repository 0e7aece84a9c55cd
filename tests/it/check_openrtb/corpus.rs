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

/// An impression with everything that has lists, one field of which is changed.
fn with(place: &str, field: &str, value: &Value) -> Vec<u8> {
    let mut request = json!({"id": "r", "imp": [{
        "id": "1",
        "banner": {"w": 300, "h": 250},
        "video": {"mimes": ["video/mp4"]},
        "audio": {"mimes": ["audio/mp4"]},
        "native": {"request": "{\"assets\":[{\"id\":1,\"title\":{\"len\":25}}]}"},
        "pmp": {"deals": [{"id": "d"}]},
    }]});
    request.pointer_mut(place).unwrap()[field] = value.clone();
    request.to_string().into_bytes()
}

/// Whatever stands where a list belongs, or in one: numbers beyond every type, no numbers, other lists.
#[test]
fn an_error_in_any_list_is_what_the_engine_refuses() {
    let values: Vec<Value> = serde_json::from_str(
        r#"[2.0e39, -3.5e40, 18446744073709551615, 0.5, 0, -1, "2e39", "1e400", "x", "", " , ", "15,1e30", "15,x",
            true, false, {}, [2.0e39], [15, 1e19], [15, -1e19], ["1e400"], [true], [{}], [[15]], [null, 15], [], null]"#,
    )
    .unwrap();
    let check = |place: &str, fields: &str| {
        for field in fields.split(' ') {
            for value in &values {
                assert_errors_are_refusals(&with(place, field, value));
            }
        }
    };
    check("", "cur wseat bseat wlang wlangb acat bcat badv bapp");
    check("/imp/0/banner", "format btype battr mimes api expdir");
    let stream = "mimes rqddurs protocols battr delivery companionad companiontype api durfloors";
    check("/imp/0/video", stream);
    check("/imp/0/audio", stream);
    check("/imp/0/video", "playbackmethod poddedupe");
    check("/imp/0/native", "api battr");
    check("/imp/0/pmp/deals/0", "wseat wadomain durfloors");
}

#[test]
fn a_duration_beyond_every_type_is_the_longest_and_no_error() {
    let check = |value: Value, expected: bool| {
        let body = with("/imp/0/video", "rqddurs", &value);
        let codes = assert_errors_are_refusals(&body);
        assert_eq!(codes.contains(&"rqddurs-unreadable"), expected, "{value}: {codes:?}");
    };
    check(json!(2.0e39), false);
    check(json!([15, 1e19]), false);
    check(json!("15,1e400"), false);
    check(json!(-2.0e39), true);
    check(json!([15, 0.5]), true);
    check(json!("15,x"), true);
    check(json!(true), true);
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
