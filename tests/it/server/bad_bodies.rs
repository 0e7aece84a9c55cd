//! Trial C1 over HTTP: every bad and odd body gets the status of the policy's table, and the next good request on the
//! same connection (or on a new one where the server closed it) is answered 200.

use super::{Client, Setup, good_request};
use crate::bad_input::{Expected, cases};
use std::collections::BTreeMap;
use std::time::Duration;

/// The statuses that a body may get; a 5xx never is among them.
fn allowed(expected: Expected) -> &'static [u16] {
    match expected {
        Expected::Status(400) => &[400],
        Expected::Status(413) => &[413],
        Expected::Status(other) => panic!("the table knows no {other}"),
        Expected::RequestFault(_) | Expected::ImpFault(_) => &[204],
        Expected::Fine => &[200, 204],
    }
}

#[test]
fn every_bad_body_gets_its_status_and_a_good_request_is_answered_right_after_it() {
    let server = Setup::demo().start();
    let known = server.known();
    let good = good_request("good").to_string();
    let mut client = server.exchange();
    let mut statuses: BTreeMap<u16, u32> = BTreeMap::new();
    let (mut closed, mut unjudged, cases) = (0, 0, cases());
    for case in &cases {
        let reply = client.bid("demo", &case.body).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        assert!(allowed(case.expected).contains(&reply.status), "{}: {}", case.name, reply.status);
        *statuses.entry(reply.status).or_default() += 1;
        if reply.status == 200 {
            let request = std::str::from_utf8(&case.body).unwrap();
            // The judges read with serde_json, which refuses 1e400 and lone surrogates wherever they stand.
            match serde_json::from_str::<serde_json::Value>(request) {
                Ok(_) => {
                    assert_eq!(known.faults(request, reply.text()), Vec::<String>::new(), "{}", case.name)
                }
                Err(_) => unjudged += 1,
            }
        } else {
            assert!(reply.body.is_empty(), "{}: {} has a body", case.name, reply.status);
        }
        if reply.closes() {
            closed += 1;
            assert_eq!(reply.status, 413, "{}: only a body that is not read ends a connection", case.name);
            assert!(client.is_closed(), "{}", case.name);
            client = server.exchange();
        }
        // A busy machine may be late for one, or late with money for it: then 204 is the right answer, and no other is.
        let statuses = (0..10).map(|tries| {
            std::thread::sleep(Duration::from_millis(20 * tries));
            client.bid("demo", good.as_bytes()).unwrap().status
        });
        let late = statuses.take_while(|status| *status != 200).inspect(|status| assert_eq!(*status, 204));
        assert!(late.count() < 10, "after {}", case.name);
    }
    assert!(cases.len() >= 300);
    let bad = u64::from(statuses[&400]);
    assert_eq!(server.metric(r#"outbid_bid_requests_total{exchange="demo",outcome="bad_request"}"#), bad);
    assert_eq!(server.metric(r#"outbid_bid_requests_total{exchange="demo",outcome="error"}"#), 0);
    assert_eq!(server.metric("outbid_panics_total"), 0);
    eprintln!(
        "{} bodies over HTTP: {statuses:?}, {closed} connections closed, {unjudged} answers unjudged",
        cases.len()
    );
}

#[test]
fn a_bad_body_is_as_bad_when_it_comes_compressed() {
    let server = Setup::demo().start();
    let mut client: Client = server.exchange();
    let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
    // What is over the limit as it is sent is within that of inflated bodies.
    for case in cases().iter().filter(|case| case.expected != Expected::Status(413)).step_by(5) {
        let body = outbid::exchange::deflate(&case.body);
        let reply = client.send("POST", "/openrtb2/demo", &headers, &body).unwrap();
        assert!(allowed(case.expected).contains(&reply.status), "{}: {}", case.name, reply.status);
    }
    assert_eq!(server.metric("outbid_panics_total"), 0);
}
