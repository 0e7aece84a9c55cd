//! The admin API of the ledger, in the server of this process.

use crate::server::{Client, Server, Setup, good_request, notice_url, until};
use outbid::budget::{CommitError, EventLog};
use outbid::model::money::Nanos;
use outbid::telemetry::clock::WallSteps;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

fn bids(server: &Server) -> bool {
    server.bid("demo", &good_request("b")).status == 200
}

#[test]
fn every_route_wants_the_key_its_method_and_something_that_exists() {
    let server = Setup::demo().start();
    let stop = r#"{"stopped": true}"#;
    let check = |method: &str, path: &str, body: &str, status: u16, part: &str| {
        let reply = server.admin(method, path, body);
        assert_eq!((reply.status, reply.json()["status"].as_u64()), (status, Some(status.into())), "{path}");
        assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{path}");
        assert!(reply.text().contains(part), "no {part:?} in {}", reply.text());
    };
    check("POST", "/v1/ledger", "", 405, "GET");
    check("DELETE", "/v1/kill_switches", "", 405, "GET");
    check("POST", "/v1/kill_switches/all", stop, 405, "PUT");
    check("GET", "/v1/exchanges/demo:pardon", "", 405, "POST");
    check("GET", "/v1/clock:adopt_step", "", 405, "POST");
    check("PUT", "/v1/kill_switches/exchange/nobody", stop, 404, "nobody");
    check("PUT", "/v1/kill_switches/exchange/60000", stop, 404, "60000");
    check("PUT", "/v1/kill_switches/advertiser/999", stop, 404, "999");
    check("PUT", "/v1/kill_switches/campaign/x", stop, 404, "no number");
    check("PUT", "/v1/kill_switches/everything", stop, 404, "there are all, exchange");
    check("PUT", "/v1/kill_switches/all/1", stop, 404, "kill switch");
    check("POST", "/v1/exchanges/nobody:pardon", "", 404, "nobody");
    check("POST", "/v1/exchanges/demo:praise", "", 404, "nothing at");
    for body in ["", "{}", "true", r#"{"stopped": 1}"#, "{", &format!("\"{}\"", "x".repeat(5_000))] {
        check("PUT", "/v1/kill_switches/all", body, 400, "stopped");
    }
    check("POST", "/v1/clock:adopt_step", "", 409, "nothing to adopt");
    for path in ["/v1/ledger", "/v1/kill_switches"] {
        assert_eq!(
            Client::connect(server.at.admin).send("GET", path, &[], b"").unwrap().status,
            401,
            "{path}"
        );
    }
    let wrong = [("authorization", "Bearer x")];
    let put = Client::connect(server.at.admin).send("PUT", "/v1/kill_switches/all", &wrong, stop.as_bytes());
    assert_eq!(put.unwrap().status, 401);
    assert!(bids(&server), "nothing of that stopped anything");
}

#[test]
fn a_kill_switch_is_seen_everywhere() {
    let server = Setup::demo().start();
    assert!(bids(&server));
    let gate = |state: &str| format!("outbid_exchange_gate{{exchange=\"demo\",state=\"{state}\"}}");
    assert_eq!((server.metric(&gate("open")), server.metric(&gate("stopped"))), (1, 0));
    assert!(server.metric("outbid_ledger_held_nanos{currency=\"USD\"}") > 0);
    // By number as by name.
    let reply = server.admin("PUT", "/v1/kill_switches/exchange/1", r#"{"stopped": true}"#);
    assert_eq!((reply.status, &reply.json()["name"]), (200, &"demo".into()));
    assert!(!bids(&server));
    assert_eq!((server.metric(&gate("open")), server.metric(&gate("stopped"))), (0, 1));
    assert_eq!(server.metric("outbid_ledger_kill_switches{scope=\"exchange\"}"), 1);
    let shown = server.admin("GET", "/v1/ledger", "").json();
    assert_eq!(shown["kill_switches"][0]["name"], "demo");
    let exchange = &shown["exchanges"][0];
    assert_eq!((&exchange["exchange"], &exchange["state"]), (&"demo".into(), &"stopped".into()));
    assert_ne!(exchange["open_holds"], "0.00");
    assert_eq!(shown["sha256"].as_str().unwrap().len(), 64);
    let sums = &shown["currencies"]["USD"];
    assert_eq!((&sums["posted"], &sums["in_doubt"]), (&"0.00".into(), &"0.00".into()));
    assert_eq!(server.admin("PUT", "/v1/kill_switches/exchange/demo", r#"{"stopped": false}"#).status, 200);
    assert!(bids(&server));
}

#[test]
fn a_pardon_lets_an_exchange_go_on_that_had_cost_the_house_too_much() {
    let server =
        Setup::demo().account(|account| account.exchanges[0].house.day_max = Some(Nanos(1_000))).start();
    let bid = server.only_bid("demo", &good_request("dear"));
    assert_eq!(server.track("GET", &notice_url(&bid, "burl", "500")).status, 204);
    let exchange = || server.admin("GET", "/v1/ledger", "").json()["exchanges"][0].clone();
    until("the house bears no more", || exchange()["state"] == "probing");
    let tripped = exchange();
    assert_eq!((&tripped["over_house_limit"], &tripped["trips"]), (&true.into(), &1.into()), "{tripped}");
    assert_eq!(tripped["house_limit"], "0.000001");
    assert_eq!(server.metric("outbid_exchange_breaker_trips_total{exchange=\"demo\"}"), 1);
    let labels = "{exchange=\"demo\",currency=\"USD\"}";
    assert!(server.metric(&format!("outbid_exchange_house_today_nanos{labels}")) > 1_000);
    assert!(server.metric("outbid_ledger_house_nanos{account=\"overprice\",currency=\"USD\"}") > 1_000);

    let reply = server.admin("POST", "/v1/exchanges/demo:pardon", "");
    assert_eq!((reply.status, &reply.json()["state"]), (200, &"open".into()), "{reply:?}");
    assert_eq!(reply.json()["house_today"], "0.00");
    assert!((0..20).all(|_| bids(&server)));
}

#[test]
fn a_line_item_whose_lease_is_empty_counts_as_a_refused_hold() {
    let server = Setup::demo()
        .account(|account| {
            for line_item in &mut account.line_items {
                line_item.budget.lifetime = Some(Nanos(5_000_000));
            }
        })
        .start();
    let asked = (0..50).filter(|_| !bids(&server)).count();
    assert!(asked > 0);
    assert!(server.metric("outbid_ledger_refused_holds_total") >= asked as u64);
}

/// A wall clock that stepped by an hour.
#[derive(Debug)]
struct Stepped(Mutex<Option<i64>>);

impl WallSteps for Stepped {
    fn pending_step_ms(&self) -> Option<i64> {
        *self.0.lock()
    }

    fn adopt_step(&self) -> Option<i64> {
        self.0.lock().take()
    }
}

#[test]
fn an_operator_sees_the_wall_clocks_step_and_adopts_it() {
    let server = Setup::demo().wall(Arc::new(Stepped(Mutex::new(Some(3_600_000))))).start();
    assert_eq!(server.metric("outbid_clock_pending_step_seconds"), 3_600);
    assert_eq!(server.admin("GET", "/v1/ledger", "").json()["pending_clock_step_ms"], 3_600_000);
    let ready = server.ops("/readyz");
    assert_eq!(ready.status, 200);
    assert!(ready.json()["checks"]["clock"].as_str().unwrap().contains("3600000 ms"));
    let reply = server.admin("POST", "/v1/clock:adopt_step", "");
    assert_eq!((reply.status, &reply.json()["adopted_step_ms"]), (200, &3_600_000.into()));
    assert_eq!(server.admin("POST", "/v1/clock:adopt_step", "").status, 409);
    assert_eq!(server.metric("outbid_clock_pending_step_seconds"), 0);
}

/// A journal on a disk that a test fills.
struct Disk(Arc<AtomicBool>);

impl EventLog for Disk {
    fn append(&mut self, _event: &[u8]) {}

    fn commit(&mut self) -> Result<(), CommitError> {
        if self.0.load(SeqCst) { Err(CommitError::NoSpace("by the test".to_owned())) } else { Ok(()) }
    }

    fn checkpoint(&mut self, _image: &[u8]) -> Result<(), CommitError> {
        Ok(())
    }

    fn bytes_since_checkpoint(&self) -> u64 {
        0
    }

    fn maintain(&mut self) -> bool {
        self.0.load(SeqCst)
    }

    fn durable_lsn(&self) -> u64 {
        7
    }
}

#[test]
fn a_full_disk_neither_hides_the_ledger_nor_holds_up_a_kill_switch() {
    let full = Arc::new(AtomicBool::new(false));
    let server = Setup::demo().log(Box::new(Disk(Arc::clone(&full)))).start();
    assert!(bids(&server));
    full.store(true, SeqCst);
    until("it is full", || server.ops("/readyz").status == 503);
    assert!(server.ops("/readyz").text().contains("free some"));
    let reply = server.admin("PUT", "/v1/kill_switches/all", r#"{"stopped": true}"#);
    assert_eq!((reply.status, reply.header("content-type")), (503, Some("application/problem+json")));
    assert!(reply.text().contains("in effect") && reply.text().contains("no space"), "{}", reply.text());
    assert!(!bids(&server), "it is in effect all the same");
    assert_eq!(server.metric("outbid_ledger_journal_full"), 1);
    let shown = server.admin("GET", "/v1/ledger", "").json();
    assert_eq!((&shown["full"], &shown["sha256"]), (&true.into(), &serde_json::Value::Null));
    assert_eq!(shown["kill_switches"][0]["scope"], "all");
    full.store(false, SeqCst);
    until("there is space", || server.ops("/readyz").status == 200);
    let shown = server.admin("GET", "/v1/ledger", "").json();
    assert_eq!((&shown["lsn"], shown["sha256"].is_string()), (&7.into(), true));
}
