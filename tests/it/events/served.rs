//! What a server records, read back by the command.

use crate::server::{Server, Setup, good_request};
use outbid::events::{EventLog, EventReader, Item, LogName, Logs, Options, Retention, Veil};
use outbid::model::clock::Clock;
use outbid::model::event::{Event, NoticeEvent, Noticed, What};
use outbid::model::ids::UserKey;
use outbid::model::money::Cpm;
use outbid::telemetry::clock::SystemClock;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

const KEEP: Retention = Retention { segment_bytes: 1 << 20, keep_bytes: u64::MAX, keep_ms: i64::MAX };
/// Rings that a writer that has to wait for the machine does not let run full.
const OPTIONS: Options = Options { bids: KEEP, notices: KEEP, ring: 4_096 };

/// An event log in `dir`/events, for one core.
pub(crate) fn event_log(dir: &Path) -> EventLog {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    EventLog::start(&dir.join("events"), OPTIONS, 1, clock).unwrap().0
}

/// A server of the demo's account that keeps its events in `dir`/events.
fn server(dir: &Path) -> Server {
    Setup::demo().events(event_log(dir)).start()
}

/// Waits until so many records are there.
fn records(dir: &Path, log: LogName, count: usize) -> Vec<Event> {
    let mut reader = EventReader::open(&log.dir(&dir.join("events")), 1);
    let mut found = Vec::new();
    for _ in 0..500 {
        while let Some(item) = reader.next().unwrap() {
            let Item::Event(_, event) = item else { panic!("{item:?}") };
            found.push(event);
        }
        if found.len() >= count {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(found.len(), count, "{found:#?}");
    found
}

fn command(dir: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outbid"));
    let output = command.arg("events").args(arguments).arg("--data").arg(dir).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_bid_a_no_bid_and_every_notice_that_counts_are_recorded_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path());
    let bid = server.only_bid("demo", &good_request("a"));
    let mut nobody = good_request("b");
    nobody["wseat"] = "other".into();
    assert_eq!(server.bid("demo", &nobody).status, 204);
    let events = records(dir.path(), LogName::Bids, 2);
    let What::Bid(made) = events[0].what else { panic!("{events:?}") };
    assert_eq!(made.id.to_string(), bid["id"].as_str().unwrap());
    assert_eq!(made.creative.to_string(), bid["crid"].as_str().unwrap());
    assert_eq!(made.price.to_string().parse::<f64>().unwrap(), bid["price"].as_f64().unwrap());
    let What::NoBid(refused) = events[1].what else { panic!("{events:?}") };
    assert_eq!(refused.reason.as_str(), "seat");

    let notice = |url: &str| {
        server.track("GET", &url.replace("${AUCTION_PRICE}", "0.5").replace("${AUCTION_CURRENCY}", "USD"))
    };
    for _ in 0..2 {
        assert_eq!(notice(bid["nurl"].as_str().unwrap()).status, 204);
        assert_eq!(notice(bid["burl"].as_str().unwrap()).status, 204);
        for kind in ["/i/", "/c/"] {
            let adm = bid["adm"].as_str().unwrap();
            let at = adm.find(kind).unwrap();
            let start = adm[..at].rfind("http").unwrap();
            let end = at + adm[at..].find(['"', '\'', '&', '\\']).unwrap();
            assert!(notice(&adm[start..end]).status < 400, "{}", &adm[start..end]);
        }
    }
    let events = records(dir.path(), LogName::Notices, 4);
    let kinds: Vec<_> = events.iter().map(|event| event.what.kind().as_str()).collect();
    assert_eq!(kinds, ["win", "bill", "impression", "click"]);
    for event in &events {
        let What::Notice(noticed) = event.what else { panic!("{event:?}") };
        assert_eq!(
            (noticed.bid, noticed.line_item, noticed.creative),
            (made.id, made.line_item, made.creative)
        );
        if let NoticeEvent::Bill { charged, price, lsn } = noticed.kind {
            assert!(price == Cpm(500_000) && lsn > 0, "{noticed:?}");
            assert!(charged.0 >= 500_000, "{charged}");
        }
    }
    let total = |kind: &str| server.metric(&format!("outbid_events_total{{kind=\"{kind}\"}}"));
    assert_eq!(
        ["bid", "no_bid", "win", "bill", "impression", "click", "loss"].map(total),
        [1, 1, 1, 1, 1, 1, 0]
    );
    assert_eq!(server.metric("outbid_events_failed"), 0);

    let (code, shown, _) = command(dir.path(), &["cat"]);
    let lines: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((code, lines.len()), (Some(0), 6));
    assert!(
        lines.iter().filter(|line| line["kind"] != "no_bid").all(|line| line["bid"] == bid["id"]),
        "{shown}"
    );
    let (_, clicks, _) = command(dir.path(), &["cat", "--kind", "click,bill", "-n", "1"]);
    assert!(clicks.contains("\"kind\":\"bill\"") && clicks.lines().count() == 1, "{clicks}");
    let (code, stat, _) = command(dir.path(), &["stat", "--json"]);
    let stat: Value = serde_json::from_str(&stat).unwrap();
    assert_eq!(
        (code, &stat["notices"]["records"]["click"], &stat["bids"]["faults"]),
        (Some(0), &1.into(), &Value::Array(vec![]))
    );
}

#[test]
fn damage_is_named_and_ends_with_4() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path());
    for request in ["a", "b"] {
        server.only_bid("demo", &good_request(request));
        std::thread::sleep(Duration::from_millis(60));
    }
    records(dir.path(), LogName::Bids, 2);
    assert_eq!(command(dir.path(), &["verify"]).0, Some(0));
    let segment = dir.path().join("events/bids").join("events-00000000000000000001.events");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[32 + 25] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let (code, said, errors) = command(dir.path(), &["verify"]);
    assert_eq!(code, Some(4), "{said}{errors}");
    assert!(
        said.contains("events-00000000000000000001.events at byte 32")
            && said.contains("records 1 to 1 are gone"),
        "{said}"
    );
    let nowhere = command(&dir.path().join("none"), &["stat"]);
    assert!(nowhere.0 == Some(1) && nowhere.2.contains("--data DIR"), "{nowhere:?}");
}

#[test]
fn a_full_ring_drops_and_never_waits_and_a_confirmed_notice_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let (log, _, thread) = EventLog::start(dir.path(), OPTIONS, 1, clock).unwrap();
    let ring = log.ring(0);
    let kept = (0..10_000).filter(|number| ring.push(super::click(*number))).count();
    assert!((64..10_000).contains(&kept), "{kept}");
    let (sender, receiver) = mpsc::channel();
    for number in 1..=100 {
        let sender = sender.clone();
        let confirm = Box::new(move |kept| sender.send((number, kept)).unwrap());
        log.record(super::click(number), Some(confirm));
    }
    for expected in 1..=100 {
        assert_eq!(receiver.recv().unwrap(), (expected, true));
        if expected == 1 {
            assert!(!super::numbers(&LogName::Notices.dir(dir.path())).is_empty());
        }
    }
    log.record(super::click(101), None);
    log.end();
    thread.join().unwrap();
    assert_eq!(super::numbers(&LogName::Notices.dir(dir.path())), (1..=101).collect::<Vec<_>>());
    let bids = EventReader::open(&LogName::Bids.dir(dir.path()), 1);
    let mut bids = bids;
    let count = std::iter::from_fn(|| bids.next().unwrap()).count();
    assert_eq!(count, kept);
    // After the end nothing is kept, and whoever asks is told.
    let (sender, receiver) = mpsc::channel();
    log.record(super::click(102), Some(Box::new(move |kept| sender.send(kept).unwrap())));
    assert!(!receiver.recv().unwrap());
}

#[test]
fn what_came_is_what_was_written_or_lost_where_a_log_fails() {
    let dir = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    // A new segment for nearly every write.
    let tiny = Retention { segment_bytes: 64, ..KEEP };
    let options = Options { bids: tiny, notices: tiny, ring: 4_096 };
    let (log, _, thread) = EventLog::start(dir.path(), options, 1, clock).unwrap();
    let (ring, bills) = (log.ring(0), log.bills());
    let count = |counts: &dyn Fn(&EventLog) -> Vec<u64>| counts(&log).iter().sum::<u64>();
    let written = |log: &EventLog| log.written().map(|(_, count)| count).collect();
    let lost = |log: &EventLog| log.lost().map(|(_, count)| count).collect();
    let mut came = 0;
    let mut come = |times: u64| {
        for number in 0..times {
            assert!(ring.push(super::click(number)));
            log.record(super::click(number), None);
            bills.record(vec![super::click(number), super::click(number)]);
            came += 4;
        }
    };
    come(20);
    crate::server::until("all is written", || count(&written) == 80);
    assert_eq!((count(&lost), log.is_failed()), (0, false));
    // No segment can be begun any more.
    std::fs::remove_dir_all(dir.path()).unwrap();
    for _ in 0..20 {
        come(5);
        std::thread::sleep(Duration::from_millis(5));
    }
    crate::server::until("the log has failed", || log.is_failed());
    come(5);
    log.end();
    thread.join().unwrap();
    log.record(super::click(1), None);
    bills.record(vec![super::click(1)]);
    assert_eq!(count(&written) + count(&lost), came + 2);
    assert!(count(&written) >= 80 && count(&lost) >= 20, "{} lost", count(&lost));
}

#[test]
fn who_follows_the_log_sees_a_bill_within_a_second() {
    use std::io::{BufRead, BufReader};
    let clock = SystemClock::new();
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path());
    let mut follow = Command::new(env!("CARGO_BIN_EXE_outbid"));
    follow.args(["events", "cat", "--follow", "--kind", "bill", "--data"]).arg(dir.path());
    let mut follow = follow.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    // The first one waits for the command to start; a busy machine may be late once or twice.
    let took = (0..6).map(|number| {
        let bid = server.only_bid("demo", &good_request(&format!("f{number}")));
        let url = bid["burl"].as_str().unwrap();
        assert_eq!(server.track("GET", &url.replace("${AUCTION_PRICE}", "0.5")).status, 204);
        let charged_ns = clock.mono_ns();
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!((&line["kind"], &line["bid"]), (&"bill".into(), &bid["id"]));
        assert!(line["journal_lsn"].as_u64().unwrap() > 0, "{line}");
        Duration::from_nanos(clock.mono_ns() - charged_ns)
    });
    let best = took.skip(1).min().unwrap();
    follow.kill().unwrap();
    follow.wait().unwrap();
    assert!(best < Duration::from_secs(1), "{best:?}");
}

#[test]
fn nobody_can_tell_whose_the_records_of_somebody_forgotten_were() {
    let dir = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let (mut logs, _) = Logs::open(&dir.path().join("events"), OPTIONS).unwrap();
    let keys = dir.path().join("keys");
    std::fs::create_dir(&keys).unwrap();
    logs.cover_by(Veil::open(&keys, clock.now().unix_ms).unwrap());
    let (log, thread) = logs.start(1, Arc::clone(&clock)).unwrap();
    let people = [UserKey(0x1111_2222_3333_4444), UserKey(0x9999_8888_7777_6666)];
    let click_of = |user: UserKey| {
        let Event { at_ms, what: What::Notice(noticed) } = super::click(1) else {
            panic!("a click is a notice")
        };
        Event { at_ms, what: What::Notice(Noticed { user, ..noticed }) }
    };
    people.iter().for_each(|user| log.record(click_of(*user), None));
    let named: Vec<UserKey> = (records(dir.path(), LogName::Notices, 2).iter())
        .map(|event| match event.what {
            What::Notice(noticed) => noticed.user,
            _ => panic!("{event:?}"),
        })
        .collect();
    let names = || {
        let veil = Veil::open(&keys, clock.now().unix_ms).unwrap();
        people.map(|user| veil.cover(user))
    };
    assert_eq!(names()[..], named[..], "who has the keys can follow somebody");
    assert!(people.iter().all(|user| !named.contains(user)));
    log.forget(&[people[0]]).unwrap();
    assert_ne!(names()[0], named[0]);
    assert_eq!(names()[1], named[1], "others keep theirs");
    log.end();
    thread.join().unwrap();
    let bytes: Vec<u8> = std::fs::read_dir(dir.path().join("events/notices"))
        .unwrap()
        .flat_map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .collect();
    for user in people {
        assert!(!bytes.windows(8).any(|window| window == user.0.to_le_bytes()), "{user} is in the log");
    }
}
