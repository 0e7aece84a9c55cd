//! Protobuf over HTTP, and the decisions it leads to: those of the same request in JSON.

use super::same_decision::Line;
use super::{Reply, Server, Setup, good_request, request_of};
use crate::parse::differential::corpus;
use crate::protobuf::{Both, schema::Schema};
use bumpalo::Bump;
use outbid::exchange::{encode_answer, inflate, parse, parse_protobuf};
use outbid::model::clock::{FixedClock, Now};
use serde_json::{Value, json};
use std::time::Duration;

fn post(server: &Server, exchange: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    server.exchange().send("POST", &format!("/openrtb2/{exchange}"), headers, body).unwrap()
}

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

#[test]
fn the_type_that_is_received_is_the_type_that_is_sent() {
    let (server, schema) = (Setup::demo().start(), Schema::load());
    let body = Both::of(&schema, &good_request("p")).protobuf;
    for (sent, echoed) in [
        ("application/x-protobuf", "application/x-protobuf"),
        ("application/octet-stream", "application/octet-stream"),
        ("Application/X-Protobuf; messageType=\"x.BidRequest\"", "application/x-protobuf"),
        ("application/octet-stream;x=y", "application/octet-stream"),
    ] {
        let reply = post(&server, "demo", &[("content-type", sent)], &body);
        assert_eq!((reply.status, reply.header("content-type")), (200, Some(echoed)), "{sent}");
        assert_eq!(reply.header("x-openrtb-version"), Some("2.6"));
        let answer = schema.decode("BidResponse", &reply.body);
        assert_eq!((&answer["id"], answer["seatbid"][0]["bid"].as_array().unwrap().len()), (&json!("p"), 1));
    }
    // Without a type it is JSON, which it is not.
    assert_eq!(post(&server, "demo", &[], &body).status, 400);
    assert_eq!(post(&server, "demo", &[PROTOBUF], good_request("j").to_string().as_bytes()).status, 400);
}

#[test]
fn nothing_to_bid_and_what_is_broken_are_answered_as_in_json() {
    let server = Setup::demo().account(|account| account.exchanges[1].send_nbr = true).start();
    let schema = Schema::load();
    let empty = Both::of(&schema, &json!({ "id": "r", "imp": [{ "id": "1" }] })).protobuf;
    let reply = post(&server, "demo", &[PROTOBUF], &empty);
    assert_eq!((reply.status, reply.body.len(), reply.header("content-type")), (204, 0, None));
    let reply = post(&server, "demo2", &[PROTOBUF], &empty);
    assert_eq!((reply.status, reply.header("content-type")), (200, Some(PROTOBUF.1)));
    assert_eq!(schema.decode("BidResponse", &reply.body), json!({ "id": "r", "nbr": 2 }));

    let good = Both::of(&schema, &good_request("whole")).protobuf;
    let mut statuses = std::collections::BTreeMap::<u16, usize>::new();
    for cut in 0..good.len() {
        let reply = post(&server, "demo", &[PROTOBUF], &good[..cut]);
        // Cut between two fields it is a message still, without what comes after.
        let arena = Bump::new();
        let readable = parse_protobuf(&good[..cut], &outbid::exchange::Limits::default(), &arena).is_ok();
        assert_eq!(reply.status == 400, !readable, "cut at {cut}: {}", reply.status);
        assert!(reply.status != 400 || reply.body.is_empty());
        *statuses.entry(reply.status).or_default() += 1;
    }
    assert!(statuses[&400] > good.len() * 9 / 10, "{statuses:?}");
    for garbage in [&b"garbage"[..], &[0xff; 64], b"{}", b"\x0a", b"\x12\x7f"] {
        assert_eq!(post(&server, "demo", &[PROTOBUF], garbage).status, 400, "{garbage:?}");
    }
    assert_eq!(post(&server, "demo", &[PROTOBUF], &good).status, 200);
    assert_eq!(server.metric("outbid_panics_total"), 0);
}

#[test]
fn a_message_may_be_compressed_both_ways() {
    let (server, schema) = (Setup::demo().start(), Schema::load());
    let body = outbid::exchange::deflate(&Both::of(&schema, &good_request("z")).protobuf);
    let headers = [PROTOBUF, ("content-encoding", "gzip"), ("accept-encoding", "gzip")];
    let reply = post(&server, "demo", &headers, &body);
    assert_eq!((reply.status, reply.header("content-encoding")), (200, Some("gzip")));
    let mut plain = Vec::new();
    inflate(&reply.body, 1 << 20, &mut plain).unwrap();
    assert_eq!(schema.decode("BidResponse", &plain)["id"], "z");
}

/// What of an answer does not depend on when it was given.
pub(crate) fn timeless(answer: &Value) -> Vec<Value> {
    let bids =
        answer["seatbid"].as_array().into_iter().flatten().flat_map(|seat| seat["bid"].as_array().unwrap());
    let kept = |bid: &Value| {
        let mut bid = bid.clone();
        for url in ["nurl", "burl", "lurl"] {
            bid.as_object_mut().unwrap().remove(url);
        }
        // Bids are numbered as they are made, and one side may have been asked more often.
        assert!(bid.as_object_mut().unwrap().remove("id").is_some());
        // Tokens are signed over the time.
        let markup = bid["adm"].as_str().unwrap().to_owned();
        bid["adm"] = markup.split('/').filter(|piece| piece.len() < 40).collect::<Vec<_>>().join("/").into();
        bid
    };
    bids.map(kept).collect()
}

#[test]
fn the_same_request_gets_the_same_bid_over_http() {
    let (servers, schema) = ([Setup::demo().start(), Setup::demo().start()], Schema::load());
    let mut requests: Vec<Value> =
        ["business_owners", "wealthy", "officials"].map(|persona| request_of("own", persona, true)).into();
    requests.extend((0..20).map(|n| good_request(&format!("r-{n}"))));
    requests.extend(corpus().iter().step_by(7).map(|body| serde_json::from_str(body).unwrap()));
    let mut bids = 0;
    for request in &requests {
        let both = Both::of(&schema, request);
        for exchange in ["demo", "demo2"] {
            let ask = || {
                let json = post(&servers[0], exchange, &[("content-type", "application/json")], &both.json);
                (json, post(&servers[1], exchange, &[PROTOBUF], &both.protobuf))
            };
            // A busy machine may be late with the money for a bid on one side.
            let mut tries = (0..10).map(|tries| {
                std::thread::sleep(Duration::from_millis(20 * tries));
                ask()
            });
            let alike = tries.find(|(json, protobuf)| json.status == protobuf.status);
            let (json, protobuf) = alike.unwrap_or_else(ask);
            assert_eq!(json.status, protobuf.status, "{request}");
            if json.status == 200 {
                let (ours, theirs) = (schema.decode("BidResponse", &protobuf.body), json.json());
                assert_eq!(timeless(&ours), timeless(&theirs), "{request}");
                bids += timeless(&ours).len();
            }
        }
    }
    assert!(bids >= 40, "{bids}");
    eprintln!("{} requests over HTTP in both encodings, {bids} bids", requests.len());
}

#[test]
fn the_same_request_leads_to_the_same_answer_to_the_last_field() {
    let schema = Schema::load();
    let mut lines = [Line::new(parse), Line::new(parse_protobuf)];
    let clock = FixedClock::at(Now { mono_ns: 5_000_000_000, unix_ms: 1_790_000_000_000 });
    let mut requests: Vec<Value> = corpus().iter().map(|body| serde_json::from_str(body).unwrap()).collect();
    requests
        .extend(["business_owners", "wealthy", "officials"].map(|persona| request_of("own", persona, true)));
    let mut answered = 0;
    for request in &requests {
        let both = Both::of(&schema, request);
        clock.advance_ms(1);
        for exchange in ["demo", "demo2"] {
            let json = lines[0].answer(&both.json, &clock, exchange);
            let protobuf = lines[1].answer(&both.protobuf, &clock, exchange);
            assert_eq!(json, protobuf, "{request}");
            let Some(answer) = json.ok().filter(|answer| !answer.is_empty()) else { continue };
            let (arena, mut encoded) = (Bump::new(), Vec::new());
            encode_answer(&answer, &arena, &mut encoded);
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            assert_eq!(schema.decode("BidResponse", &encoded), answer, "{request}");
            answered += 1;
        }
    }
    assert!(answered >= 3, "{answered}");
    eprintln!("{} requests decided in both encodings, {answered} answers", requests.len());
}
