//! Beside a running server, through a crash, and after a clean end.

use super::*;
use crate::server::until;
use outbid::model::clock::Clock;
use outbid::telemetry::clock::SystemClock;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

#[test]
fn a_servers_memory_equals_its_journal_and_a_crash_changes_nothing_of_what_was_billed() {
    let dir = data_dir();
    let server = Served::start(dir.path());
    for index in 0..20 {
        server.sell(&format!("s{index}"), "1.5");
    }
    server.bid("held").expect("a bid that is never billed");
    server.verify(dir.path()).check(0, &["invariants  hold", "memory      equals the journal at lsn"], &[]);

    let live = server.admin("GET", "/v1/ledger", "").json();
    let wallet = |shown: &Value| shown["accounts"][0].clone();
    assert_eq!((&wallet(&live)["account"], &wallet(&live)["currency"]), (&"wallet".into(), &"USD".into()));
    assert_ne!(live["currencies"]["USD"]["held"], "0.00", "the bid that is never billed");
    let bound = live["exchanges"][0]["bound"].as_str().unwrap();
    server.show(dir.path()).check(
        0,
        &["exchanges now", "gate", "open", "bound", bound, "runaways      0"],
        &[],
    );
    server.kill();

    ledger(dir.path(), &["verify"]).check(0, &["from the empty state", "invariants  hold"], &[]);
    let shown = ledger(dir.path(), &["show", "--json"]).json();
    assert_eq!(wallet(&shown)["posted"], wallet(&live)["posted"]);
    assert_eq!(shown["kill_switches"], serde_json::json!([]));

    // The next process knows nothing of the holds: what was leased is in doubt.
    let server = Served::start(dir.path());
    server.sell("after", "1.5");
    let shown = ledger(dir.path(), &["show", "--json"]).json();
    let in_doubt = shown["currencies"]["USD"]["in_doubt"].as_str().unwrap().to_owned();
    assert_ne!(in_doubt, "0.00");
    ledger(dir.path(), &["show"]).check(0, &[&format!("{in_doubt} of it from earlier boots")], &[]);
    assert_eq!(
        server.admin("GET", "/v1/ledger", "").json()["currencies"]["USD"]["in_doubt"],
        in_doubt.as_str()
    );
    let ready = server.ops("/readyz");
    assert_eq!(ready.status, 200);
    let expected =
        format!("{in_doubt} USD of bids of earlier runs may still be billed; it returns by itself");
    assert_eq!(ready.json()["checks"]["in_doubt"], expected.as_str());
    let metrics = server.ops("/metrics");
    let line = metrics.text().lines().find(|line| line.starts_with("outbid_ledger_in_doubt_nanos")).unwrap();
    assert!(
        line.starts_with("outbid_ledger_in_doubt_nanos{currency=\"USD\"} ") && !line.ends_with(" 0"),
        "{line}"
    );
    server.verify(dir.path()).check(0, &["memory      equals"], &[]);
    server.end();
    ledger(dir.path(), &["verify"]).check(0, &["equals the replay"], &[]);
}

#[test]
fn verify_keeps_up_with_a_server_that_never_rests() {
    let dir = data_dir();
    let server = Served::start(dir.path());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut index = 0;
            while !stop.load(SeqCst) {
                index += 1;
                server.sell(&format!("w{index}"), "1.1");
            }
            eprintln!("{index} sold beside verify");
        });
        let outcomes: Vec<Outcome> = (0..5).map(|_| server.verify(dir.path())).collect();
        stop.store(true, SeqCst);
        for outcome in outcomes {
            outcome.check(0, &["invariants  hold", "memory      equals the journal"], &[]);
        }
    });
}

#[test]
fn a_server_of_another_directory_is_not_taken_for_this_one() {
    let (here, there) = (data_dir(), data_dir());
    let server = Served::start(there.path());
    server.sell("there", "1.5");
    let other = Served::start(here.path());
    other.sell("here", "1.7");
    other.sell("here too", "1.7");
    other.kill();
    server.verify(here.path()).check(1, &["memory      differs"], &["are not those of", "in the server"]);
    let url = format!("http://{}", server.admin);
    let with = |arguments: &[&str]| ledger(there.path(), &[&["verify", "--url"], arguments].concat());
    with(&[&url, "--key", "wrong"]).check(1, &[], &["cannot ask http://", "401", "bootstrap_key"]);
    with(&[&url]).check(2, &[], &["--key KEY"]);
    with(&["ftp://x"]).check(2, &[], &["--key KEY"]);
    with(&["ftp://x", "--key", "k"]).check(2, &[], &["is not like http://"]);
    drop(server);
    with(&[&url, "--key", KEY]).check(1, &[], &["cannot ask http://", "does the server run?"]);
}

#[test]
fn a_kill_switch_stops_bids_in_under_a_second_and_survives_a_crash() {
    let (dir, clock) = (data_dir(), SystemClock::new());
    let mut server = Served::start(dir.path());
    for path in ["/v1/kill_switches/exchange/demo", "/v1/kill_switches/campaign/2", "/v1/kill_switches/all"] {
        assert!(server.bid("before").is_some());
        let asked_ns = clock.mono_ns();
        let reply = server.admin("PUT", path, r#"{"stopped": true}"#);
        assert_eq!((reply.status, &reply.json()["stopped"]), (200, &true.into()), "{reply:?}");
        until("bids stop", || server.bid("stopped").is_none());
        let took_ms = (clock.mono_ns() - asked_ns) / 1_000_000;
        eprintln!("{path}: no bid {took_ms} ms after it was asked for");
        assert!(took_ms < 1_000, "{path} took {took_ms} ms");
        assert!((0..50).all(|_| server.bid("stopped").is_none()), "{path} holds");

        server.kill();
        server = Served::start(dir.path());
        assert!((0..50).all(|_| server.bid("restarted").is_none()), "{path} survives");
        let thrown = server.admin("GET", "/v1/kill_switches", "").json();
        assert_eq!(thrown["kill_switches"].as_array().unwrap().len(), 1, "{thrown}");
        let scope = thrown["kill_switches"][0]["scope"].as_str().unwrap();
        ledger(dir.path(), &["show"]).check(0, &[&format!("kill switches {scope}")], &[]);

        assert_eq!(server.admin("PUT", path, r#"{"stopped": false}"#).status, 200);
        until("bids go on", || server.bid("released").is_some());
    }
}

/// money.md 3.2: rotation without a restart, while tokens are out.
#[test]
fn keys_rotate_under_a_running_server_and_open_bids_are_billed() {
    let dir = data_dir();
    let server = Served::start(dir.path());
    let fire = |bid: &Value| {
        let path = notice_url(bid, "burl", "1.5");
        let path = path.strip_prefix("https://track.example").unwrap().to_owned();
        Client::connect(server.track).send("GET", &path, &[], b"").unwrap().status
    };
    let key_of = |bid: &Value| {
        let url = notice_url(bid, "burl", "1.5");
        let token = url.split("/b/").nth(1).unwrap().split('?').next().unwrap();
        base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, token).unwrap()[1]
    };
    let rotate = |more: &[&str]| {
        let data = dir.path().to_str().unwrap();
        let arguments = ["keys", "rotate", "--data", data];
        let out = binary(&[&arguments[..], more].concat()).output().unwrap();
        (out.status.code(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
    };
    let [first, second] = ["a", "b"].map(|id| server.bid(id).unwrap());
    assert_eq!(key_of(&first), 1);
    assert_eq!(rotate(&[]).0, Some(0));
    until("the new key signs", || key_of(&server.bid("c").unwrap()) == 2);
    assert_eq!((fire(&first), fire(&server.bid("d").unwrap())), (204, 204));
    // Not again while tokens of the first key may be billed, unless it must be.
    let (code, said) = rotate(&[]);
    assert!(code == Some(1) && said.contains("--drop-open-tokens"), "{said}");
    assert_eq!(rotate(&["--drop-open-tokens"]).0, Some(0));
    until("the third key signs", || key_of(&server.bid("e").unwrap()) == 3);
    assert_eq!(fire(&second), 403);
    server.end();
}

/// Waits until the server says that it took up so many accounts.
fn taken_up(server: &Served, outcome: &str, times: u32) {
    let line = format!("outbid_account_reloads_total{{outcome=\"{outcome}\"}} {times}");
    until(&line, || server.ops("/metrics").text().lines().any(|shown| shown == line));
}

fn version(server: &Served) -> u64 {
    let ready = server.ops("/readyz").json();
    let text = ready["checks"]["catalog"].as_str().unwrap().to_owned();
    text.strip_prefix("version ").unwrap().split(',').next().unwrap().parse().unwrap()
}

#[test]
fn edits_of_a_running_server_survive_a_crash_and_versions_never_go_back() {
    let dir = data_dir();
    let path = DataDir::open(dir.path()).unwrap().account_file();
    let edit = |change: &dyn Fn(&mut outbid::model::account::Account)| {
        let mut account = account_file::read(&path).unwrap().account;
        change(&mut account);
        account_file::write(&account, &path).unwrap();
    };
    let mut server = Served::start(dir.path());
    let mut last = version(&server);
    for round in 1..4 {
        server.sell(&format!("r{round}"), "1.5");
        // Nothing of money: the ledger's journal knows the version all the same.
        edit(&|account| account.line_items[0].name.push('x'));
        assert_eq!(server.admin("POST", "/v1/account/reload", "").status, 200);
        edit(&|account| account.advertisers[0].wallet.0 += 1_000_000_000);
        let id = server.child.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
        taken_up(&server, "published", 2);
        assert_eq!(version(&server), last + 2, "two publications");
        server.sell(&format!("s{round}"), "1.5");
        server.kill();
        ledger(dir.path(), &["verify"]).check(0, &["invariants  hold"], &[]);
        server = Served::start(dir.path());
        assert!(version(&server) > last + 2, "above everything that was published");
        last = version(&server);
    }
    server.verify(dir.path()).check(0, &["memory      equals"], &[]);
}
