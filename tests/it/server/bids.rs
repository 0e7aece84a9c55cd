//! The bid port as an exchange sees it: connections, headers, compression, personas, tests and load that is shed.

use super::{Client, Server, Setup, good_request, request_of, until};
use outbid::budget::AccountKey;
use outbid::cli::demo::world;
use outbid::exchange::inflate;
use outbid::model::ids::AdvertiserId;
use serde_json::{Value, json};

#[test]
fn one_connection_serves_many_requests_and_each_answer_is_good() {
    let server = Setup::demo().start();
    let known = server.known();
    let mut client = server.exchange();
    for round in 0..50 {
        let request = good_request(&format!("a-{round}")).to_string();
        let reply = client.bid(["demo", "demo2"][round % 2], request.as_bytes()).unwrap();
        assert_eq!((reply.status, reply.closes()), (200, false));
        assert_eq!(reply.header("x-openrtb-version"), Some("2.6"));
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.header("content-encoding"), None);
        assert_eq!(known.faults(&request, reply.text()), Vec::<String>::new());
        assert_eq!(reply.json()["id"], format!("a-{round}"));
    }
    assert_eq!(server.metric("outbid_connections{listener=\"bid\"}"), 1);
    assert_eq!(server.metric(r#"outbid_bids_total{exchange="demo"}"#), 25);
    assert_eq!(server.metric("outbid_bid_latency_seconds_count"), 50);
}

#[test]
fn nothing_to_bid_is_204_without_a_body_and_the_connection_goes_on() {
    let server = Setup::demo().start();
    let mut client = server.exchange();
    for _ in 0..3 {
        let mut request = good_request("dear");
        request["imp"][0]["bidfloor"] = json!(60);
        let reply = client.bid("demo", request.to_string().as_bytes()).unwrap();
        assert_eq!((reply.status, reply.body.len(), reply.closes()), (204, 0, false));
        assert_eq!(reply.header("content-type"), None);
    }
    assert_eq!(server.metric(r#"outbid_no_bids_total{reason="below_floor"}"#), 3);
}

#[test]
fn a_profile_may_ask_for_reasons() {
    let server = Setup::demo().account(|account| account.exchanges[0].send_nbr = true).start();
    let reply = server.bid("demo", &json!({ "id": "r", "imp": [{ "id": "1" }] }));
    assert_eq!((reply.status, reply.json()), (200, json!({ "id": "r", "nbr": 2 })));
    let reply = server.bid("demo2", &json!({ "id": "r", "imp": [{ "id": "1" }] }));
    assert_eq!(reply.status, 204);
}

#[test]
fn an_answer_is_compressed_for_who_accepts_it_and_is_the_same() {
    // Two servers at the same state, so that the same request gets the same bid.
    let servers = [Setup::demo().start(), Setup::demo().start()];
    let request = good_request("zip").to_string();
    let ask = |server: &Server, accepts: &[(&str, &str)]| {
        server.exchange().send("POST", "/openrtb2/demo", accepts, request.as_bytes()).unwrap()
    };
    let plain = ask(&servers[0], &[]);
    let zipped = ask(&servers[1], &[("accept-encoding", "br, gzip;q=0.5")]);
    assert_eq!((plain.header("content-encoding"), zipped.header("content-encoding")), (None, Some("gzip")));
    assert!(zipped.body.len() < plain.body.len());
    let mut inflated = Vec::new();
    inflate(&zipped.body, 1 << 20, &mut inflated).unwrap();
    let without_times = |text: &[u8]| {
        let mut answer: Value = serde_json::from_slice(text).unwrap();
        // Tokens carry the second of the bid and the slot of its hold.
        for name in ["adm", "nurl", "burl", "lurl"] {
            answer["seatbid"][0]["bid"][0][name].take();
        }
        answer
    };
    assert_eq!(without_times(&inflated), without_times(&plain.body));
    assert_eq!(
        servers[1].known().faults(&request, std::str::from_utf8(&inflated).unwrap()),
        Vec::<String>::new()
    );
    for refusal in ["", "identity", "gzip;q=0", "br", "deflate, br"] {
        assert_eq!(
            ask(&servers[0], &[("accept-encoding", refusal)]).header("content-encoding"),
            None,
            "{refusal}"
        );
    }
    let off = Setup::demo().set("server.gzip_min_bytes=0").start();
    assert_eq!(ask(&off, &[("accept-encoding", "gzip")]).header("content-encoding"), None);
}

/// The line item behind the only bid.
fn bidder(server: &Server, exchange: &str, request: &Value) -> String {
    let bid = server.only_bid(exchange, request);
    let creative = bid["crid"].as_str().unwrap().parse().unwrap();
    let snapshot = server.shared.snapshots().load();
    let name =
        &snapshot.catalog.creative_by_id(outbid::model::ids::CreativeId(creative)).unwrap().creative.name;
    name.split(' ').next().unwrap().to_owned()
}

#[test]
fn each_persona_gets_its_own_ad_and_sensitive_ones_only_with_consent() {
    let server = Setup::demo().start();
    for persona in &world::PERSONAS {
        for consent in [false, true] {
            let request = request_of("p", persona.key, consent);
            let expected = if persona.is_sensitive() && !consent { "everyone" } else { persona.key };
            assert_eq!(bidder(&server, "demo", &request), expected, "consent {consent}");
        }
    }
    let mut request = request_of("p", "wealthy", false);
    for signal in
        [json!({"regs": {"gdpr": 1}}), json!({"regs": {"coppa": 1}}), json!({"regs": {"ext": {"gpc": "1"}}})]
    {
        request["regs"] = signal["regs"].clone();
        assert_eq!(bidder(&server, "demo", &request), "everyone", "{signal}");
    }
}

#[test]
fn a_test_request_gets_a_bid_that_holds_nothing() {
    let server = Setup::demo().start();
    let held = || server.shared.ledger().held_by_exchange().values().map(|nanos| nanos.0).sum::<i64>();
    let mut request = good_request("test");
    request["test"] = json!(1);
    let bid = server.only_bid("demo", &request);
    assert_eq!(held(), 0);
    for field in ["nurl", "burl", "lurl"] {
        let url = bid[field].as_str().unwrap().replace("${AUCTION_PRICE}", "1");
        let reply = server.track("GET", &url);
        assert_eq!((reply.status, reply.header("x-outbid-notice")), (204, Some("test")), "{field}");
    }
    assert_eq!(server.shared.ledger().balance(AccountKey::Wallet(AdvertiserId(1))).posted.0, 0);
    request["test"] = json!(0);
    server.only_bid("demo", &request);
    assert!(held() > 0);
}

#[test]
fn over_its_requests_a_second_an_exchange_gets_204_and_the_others_do_not() {
    let server = Setup::demo().account(|account| account.exchanges[0].max_qps = Some(1)).start();
    let request = good_request("q").to_string();
    let mut client: Client = server.exchange();
    let statuses: Vec<u16> =
        (0..20).map(|_| client.bid("demo", request.as_bytes()).unwrap().status).collect();
    let answered = statuses.iter().filter(|status| **status == 200).count();
    assert!((1..=5).contains(&answered), "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 204].contains(status)), "{statuses:?}");
    let shed = (statuses.len() - answered) as u64;
    assert_eq!(server.metric(r#"outbid_shed_total{reason="qps"}"#), shed);
    assert_eq!(server.metric(r#"outbid_bid_requests_total{exchange="demo",outcome="shed"}"#), shed);
    for _ in 0..20 {
        assert_eq!(client.bid("demo2", request.as_bytes()).unwrap().status, 200);
    }
}

#[test]
fn more_requests_at_once_than_allowed_are_shed_and_the_connection_stays_usable() {
    let server = Setup::demo().set("server.max_in_flight=1").start();
    let request = good_request("f").to_string();
    let head =
        format!("POST /openrtb2/demo HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", request.len());
    // The first is being read while the second comes.
    let (mut first, mut second) = (server.exchange(), server.exchange());
    first.raw(&[head.as_bytes(), &request.as_bytes()[..10]].concat()).unwrap();
    until("a request is shed", || {
        assert!([200, 204].contains(&second.bid("demo", request.as_bytes()).unwrap().status));
        server.metric(r#"outbid_shed_total{reason="in_flight"}"#) > 0
    });
    first.raw(&request.as_bytes()[10..]).unwrap();
    assert_eq!(first.reply_to("POST").unwrap().status, 200);
    let reply = second.bid("demo", request.as_bytes()).unwrap();
    assert_eq!((reply.status, reply.closes()), (200, false));
}

#[test]
fn connections_over_the_limit_of_a_peer_are_closed_and_counted() {
    let server = Setup::demo().set("server.max_connections_per_ip=2").start();
    let request = good_request("c").to_string();
    let mut kept = [server.exchange(), server.exchange()];
    for client in &mut kept {
        assert_eq!(client.bid("demo", request.as_bytes()).unwrap().status, 200);
    }
    assert!(server.exchange().is_closed());
    let line = r#"outbid_connections_refused_total{listener="bid",reason="per_ip"}"#;
    assert_eq!(server.metric(line), 1);
    let [first, second] = kept;
    drop(first);
    until("the place is free", || server.metric(r#"outbid_connections{listener="bid"}"#) == 1);
    assert_eq!(server.exchange().bid("demo", request.as_bytes()).unwrap().status, 200);
    drop(second);
}

#[test]
fn a_late_answer_is_no_answer_and_holds_nothing() {
    let server = Setup::demo().account(|account| account.exchanges[0].network_margin_ms = 100).start();
    let mut request = good_request("late");
    request["tmax"] = json!(100);
    assert_eq!(server.bid("demo", &request).status, 204);
    assert_eq!(server.metric(r#"outbid_bid_requests_total{exchange="demo",outcome="deadline"}"#), 1);
    assert!(server.shared.ledger().held_by_exchange().values().all(|held| held.0 == 0));
}

#[test]
fn the_digital_services_act_is_not_answered_for_yet_so_where_it_is_required_there_is_no_bid() {
    let server = Setup::demo().start();
    let check = |required: Value, status: u16| {
        let mut request = good_request("dsa");
        request["regs"] = json!({ "ext": { "dsa": { "dsarequired": required } } });
        assert_eq!(server.bid("demo", &request).status, status, "{required}");
    };
    for required in [json!(2), json!(3), json!("3")] {
        check(required, 204);
    }
    assert_eq!(server.metric(r#"outbid_no_bids_total{reason="unsupported"}"#), 3);
    for optional in [json!(0), json!(1), Value::Null] {
        check(optional, 200);
    }
}

#[test]
fn many_cores_answer_alike() {
    for acceptor in ["reuseport", "balanced"] {
        let server = Setup::demo().set("engine.cores=3").set(&format!("server.acceptor={acceptor}")).start();
        let request = good_request("m").to_string();
        let mut clients: Vec<Client> = (0..12).map(|_| server.exchange()).collect();
        for client in clients.iter_mut().chain(&mut [server.exchange()]) {
            assert_eq!(client.bid("demo", request.as_bytes()).unwrap().status, 200, "{acceptor}");
        }
        assert_eq!(server.metric(r#"outbid_bids_total{exchange="demo"}"#), 13);
    }
}

#[test]
fn what_closes_the_users_data_is_counted_and_so_is_what_counts_for_nothing() {
    let server = Setup::demo().start();
    let mut client = server.exchange();
    for us_privacy in ["1YNN", "1YYN", "2YYN"] {
        let mut request = good_request(us_privacy);
        request["device"]["geo"]["country"] = json!("USA");
        request["regs"] = json!({"gdpr": 0, "us_privacy": us_privacy});
        client.bid("demo", request.to_string().as_bytes()).unwrap();
    }
    let closed =
        |why: &str| server.metric(&format!("outbid_privacy_requests_total{{restriction=\"{why}\"}}"));
    assert_eq!([closed("none"), closed("us_privacy_opt_out"), closed("lmt")], [2, 1, 0]);
    assert_eq!(server.metric("outbid_privacy_ignored_total{signal=\"us_privacy\"}"), 1);
}
