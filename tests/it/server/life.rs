//! The life of a server: readiness, drain, the operations and admin listeners.

use super::{ADMIN_KEY, Client, Server, Setup, good_request, until};
use outbid::serve::Phase;
use outbid::telemetry::catalogue::{self, CATALOGUE, MetricKind};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::Duration;

/// In the catalogue, and not exported yet: what they tell is not measured yet. Whoever measures it takes the name
/// out of here.
const NOT_YET: [&str; 1] = [catalogue::HTTP_ERRORS.name];
/// Exported from their first event on.
const AT_FIRST_EVENT: [&str; 32] = [
    catalogue::FUNNEL_FAILURES.name,
    // Of the thread that keeps the sample, which `outbid serve` starts.
    catalogue::SAMPLES_KEPT.name,
    catalogue::SAMPLES_LEFT_OUT.name,
    catalogue::SAMPLES_BYTES.name,
    catalogue::SAMPLES_DAMAGED.name,
    catalogue::SAMPLES_ONE_IN.name,
    catalogue::FREQUENCY_LOG_FAILURES.name,
    catalogue::AUDIENCE_LOG_FAILURES.name,
    catalogue::PERSON_EVENTS.name,
    catalogue::SYNCS.name,
    // Of a control plane, which these servers have not.
    catalogue::ADMIN_LOGINS.name,
    catalogue::ADMIN_PASSWORD_HASHES.name,
    catalogue::ADMIN_WRONG_KEYS.name,
    // Of a publisher, which `outbid serve` starts.
    catalogue::ACCOUNT_RELOADS.name,
    catalogue::CATALOG_BUILD.name,
    catalogue::ACCOUNT_RELOAD_SUCCESS.name,
    catalogue::ACCOUNT_RELOAD_TIME.name,
    // Of who watches the configuration file, likewise.
    catalogue::CONFIG_RELOAD_SUCCESS.name,
    catalogue::CONFIG_RELOAD_TIME.name,
    catalogue::CONFIG_RESTART_NEEDED.name,
    // Of the thread that learns, which `outbid serve` starts.
    catalogue::LEARNING_OUTCOMES.name,
    catalogue::LEARNING_ROWS.name,
    catalogue::LEARNING_MODELS.name,
    catalogue::LEARNING_WAITING.name,
    catalogue::LEARNING_PLACES.name,
    catalogue::LEARNING_JOIN_RATIO.name,
    catalogue::EVENTS_UNCONFIRMED.name,
    catalogue::LEDGER_EXPIRED_HOLDS.name,
    catalogue::LOSSES.name,
    catalogue::NOTICES.name,
    catalogue::PLAYER_EVENTS.name,
    catalogue::BILLING_FLAGS.name,
];

#[test]
fn the_metrics_are_those_of_the_catalogue() {
    let dir = tempfile::tempdir().unwrap();
    let server = Setup::demo().events(crate::events::event_log(dir.path())).start();
    server.bid("demo", &good_request("m"));
    let reply = server.ops("/metrics");
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4"));
    let text = reply.text();
    let exported = |name: &str| {
        let is_sample = |line: &str| {
            let rest = line.strip_prefix(name).map(|rest| {
                ["_bucket", "_sum", "_count"].iter().find_map(|end| rest.strip_prefix(end)).unwrap_or(rest)
            });
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
        };
        text.lines().any(is_sample)
    };
    for def in CATALOGUE {
        let expected = !NOT_YET.contains(&def.name) && !AT_FIRST_EVENT.contains(&def.name);
        assert_eq!(exported(def.name), expected, "{}", def.name);
    }
    for part in ["records", "offsets", "shards", "overlay", "filter", "links"] {
        assert!(exported(&format!("outbid_audience_bytes{{part=\"{part}\"}}")), "{part}");
    }
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    for name in families {
        assert!(CATALOGUE.iter().any(|def| def.name == name), "{name} is not in the catalogue");
    }
    for def in CATALOGUE.iter().filter(|def| def.kind == MetricKind::Histogram) {
        let buckets = text.lines().filter(|line| line.starts_with(&format!("{}_bucket", def.name)));
        let counts: Vec<u64> =
            buckets.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
        assert!(counts.len() > 5 && counts.is_sorted(), "{}: {counts:?}", def.name);
    }
}

#[test]
fn the_operations_listener_says_how_it_is() {
    let server = Setup::demo().start();
    assert_eq!((server.ops("/healthz").status, server.ops("/healthz").text()), (200, "ok\n"));
    let ready = server.ops("/readyz");
    assert_eq!((ready.status, &ready.json()["ready"]), (200, &true.into()));
    assert_eq!(server.metric("outbid_ready"), 1);
    assert!(server.ops("/version").json()["version"].is_string());
    assert_eq!(server.ops("/nothing").status, 404);
    let post = Client::connect(server.at.ops).send("POST", "/readyz", &[], b"").unwrap();
    assert_eq!(post.status, 405);
}

#[test]
fn the_balances_are_shown_to_the_key_only() {
    let server = Setup::demo().start();
    let mut admin = Client::connect(server.at.admin);
    let mut ask = |method: &str, path: &str, authorization: Option<&str>| {
        let headers: Vec<_> = authorization.map(|value| ("authorization", value)).into_iter().collect();
        admin.send(method, path, &headers, b"").unwrap()
    };
    let key = format!("Bearer {ADMIN_KEY}");
    for wrong in
        [None, Some(""), Some("Bearer "), Some(ADMIN_KEY), Some("Bearer x"), Some(&key[..key.len() - 1])]
    {
        for path in ["/v1/balances", "/", "/nothing"] {
            let reply = ask("GET", path, wrong);
            assert_eq!((reply.status, reply.header("content-type")), (401, Some("application/problem+json")));
            assert_eq!(reply.json()["status"], 401, "{wrong:?}");
        }
    }
    assert_eq!(ask("GET", "/v1/balances", Some(&key)).status, 200);
    assert_eq!(ask("DELETE", "/v1/balances", Some(&key)).status, 405);
    assert_eq!(ask("GET", "/nothing", Some(&key)).status, 404);
}

/// Asks for bids until the server says that an answer was the last one; counts the answers before and after the
/// server said that it drains. Every request must be answered.
fn ask_until_the_last(at: SocketAddr, request: &str, drained: &AtomicBool, counts: &[AtomicU32; 2]) {
    let mut client = Client::connect(at);
    loop {
        let reply = client.bid("demo", request.as_bytes()).expect("a request that was sent is answered");
        // A busy machine may be late with the money for a bid; an answer it is all the same.
        assert!([200, 204].contains(&reply.status), "{reply:?}");
        counts[usize::from(drained.load(SeqCst))].fetch_add(1, SeqCst);
        if reply.closes() {
            return assert!(client.is_closed());
        }
    }
}

/// Sends half a request, and the rest when the server has been closing for a while: it was in flight.
fn ask_slowly(server: &Server, request: &str) {
    let mut client = server.exchange();
    let head =
        format!("POST /openrtb2/demo HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", request.len());
    client.raw(&[head.as_bytes(), &request.as_bytes()[..5]].concat()).unwrap();
    until("the server closes", || server.shared.phase() == Phase::Closing);
    std::thread::sleep(Duration::from_millis(400));
    client.raw(&request.as_bytes()[5..]).unwrap();
    let reply = client.reply_to("POST").unwrap();
    // It may have taken longer than a decision may; it is answered all the same.
    assert!([200, 204].contains(&reply.status) && reply.closes(), "{reply:?}");
    assert!(client.is_closed());
}

#[test]
fn a_drain_says_so_first_answers_all_the_while_and_loses_no_answer() {
    let mut server =
        Setup::demo().set("server.drain_grace_ms=1500").set("server.drain_timeout_ms=20000").start();
    let running = server.running.take().unwrap();
    let (server, request) = (server, good_request("d").to_string());
    let (drained, counts) = (AtomicBool::new(false), [AtomicU32::new(0), AtomicU32::new(0)]);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| ask_until_the_last(server.at.bid, &request, &drained, &counts));
        }
        scope.spawn(|| ask_slowly(&server, &request));
        until("requests are answered", || counts[0].load(SeqCst) > 100);
        scope.spawn(|| {
            until("the server drains", || server.shared.phase() == Phase::Draining);
            drained.store(true, SeqCst);
            let ready = server.ops("/readyz");
            assert_eq!((ready.status, &ready.json()["ready"]), (503, &false.into()));
            server.only_bid("demo", &good_request("new connection"));
        });
        assert_eq!(super::block_on(running.drain()), 0, "connections that did not end");
    });
    let counts = counts.map(|count| count.load(SeqCst));
    eprintln!("drain: {counts:?} answers before and after 503, none lost");
    assert!(counts[1] > 0, "{counts:?}");
    assert!(std::net::TcpStream::connect(server.at.bid).is_err(), "the listener is closed");
    assert!(server.shared.metrics().render().lines().any(|line| line == "outbid_panics_total 0"));
}

#[test]
fn holds_expire_in_the_background_and_their_money_comes_back() {
    let server = Setup::demo()
        .account(|account| {
            let holds = &mut account.exchanges[0].holds;
            (holds.web_banner_s, holds.grace_s) = (1, 0);
        })
        .start();
    let shared = std::sync::Arc::clone(&server.shared);
    let background = std::thread::spawn(move || outbid::serve::maintain(&shared));
    let held = || server.shared.ledger().held_by_exchange().values().map(|held| held.0).sum::<i64>();
    server.only_bid("demo", &good_request("e"));
    assert!(held() > 0);
    until("the hold expires", || held() == 0);
    until("it is counted", || server.metric("outbid_ledger_expired_holds_total") == 1);
    drop(server);
    background.join().unwrap();
}
