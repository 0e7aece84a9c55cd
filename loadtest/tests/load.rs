//! `outbid-load run` from the outside, against stubs that answer fast, late, never or wrongly.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic like the tests themselves")]

use serde_json::Value;
use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::time::Duration;

const LOAD: &str = env!("CARGO_BIN_EXE_outbid-load");

const WORLD: &str = r#"{"version":1,"exchange":"load","seed":5,"users":1000,"segments":100,"line_items":10,
    "cookie":"splitmix64-hex","sites":20000,"features":{}}"#;

/// The machine may do other things meanwhile: what a test asks for is not whether the generator had its core.
const ANY_GENERATOR: [&str; 4] = ["--generator-cpu-limit", "1000", "--late-limit", "100"];

fn world() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("world.json"), WORLD).unwrap();
    dir
}

/// A request's head and body.
struct Request {
    head: String,
    body: Vec<u8>,
}

/// Reads one; `None` when the connection ends.
fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Request> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(buffer[..end + 4].to_vec()).unwrap();
            let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
            let total = end + 4 + length.parse::<usize>().unwrap();
            if buffer.len() >= total {
                let body = buffer[end + 4..total].to_vec();
                buffer.drain(..total);
                return Some(Request { head, body });
            }
        }
        let mut chunk = [0; 16_384];
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(read) => buffer.extend_from_slice(&chunk[..read]),
        }
    }
}

/// What a stub sends back.
enum Reply {
    Answer(&'static str),
    /// Nothing, for good.
    Silence,
}

const BID: Reply =
    Reply::Answer("HTTP/1.1 200 OK\r\ncontent-length: 25\r\n\r\n{\"id\":\"a\",\"seatbid\":[{}]}");
const NO_BID: Reply = Reply::Answer("HTTP/1.1 204 No Content\r\n\r\n");

/// A server with a thread for each connection, on a port of its own, until the test ends.
fn serve(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), Arc::clone(&answer));
            stream.set_nodelay(true).unwrap();
            std::thread::spawn(move || {
                let mut buffer = Vec::new();
                while let Some(request) = read_request(&mut stream, &mut buffer) {
                    match answer(&request) {
                        Reply::Answer(text) if stream.write_all(text.as_bytes()).is_ok() => {}
                        Reply::Answer(_) => return,
                        Reply::Silence => {}
                    }
                }
            });
        }
    });
    address
}

fn load(dir: &Path, to: SocketAddr, more: &[&str]) -> Output {
    let fixed = ["run", "--quiet", "--bodies", "300", "--warm-up-secs", "0.2", "--secs", "1"];
    Command::new(LOAD)
        .args(fixed)
        .args(["--bid", &to.to_string(), "--world"])
        .arg(dir)
        .args(more)
        .output()
        .unwrap()
}

/// Runs with `--json` on standard output.
fn result(dir: &Path, to: SocketAddr, more: &[&str]) -> (Option<i32>, Value) {
    let output = load(dir, to, &[&["--json"], more].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    let value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{}", stderr(&output)));
    (output.status.code(), value)
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn number(value: &Value, pointer: &str) -> f64 {
    value.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer} in {value:#}"))
}

#[test]
fn the_offered_rate_is_achieved_and_no_two_requests_have_the_same_id() {
    let dir = world();
    let (sender, receiver) = mpsc::channel();
    let to = serve(move |request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        sender.send(body["id"].as_str().unwrap().to_owned()).unwrap();
        if body["imp"].as_array().unwrap().len() == 1 { BID } else { NO_BID }
    });
    let (_, value) =
        result(dir.path(), to, &["--rate", "1000", "--arrivals", "constant", "--connections", "8"]);
    assert_eq!(number(&value, "/figures/offered"), 1_000.0);
    assert_eq!(number(&value, "/figures/answers"), 1_000.0);
    assert!(number(&value, "/figures/achieved") > 0.9, "{value:#}");
    assert_eq!(number(&value, "/figures/error_rate"), 0.0, "{value:#}");
    let bids = number(&value, "/figures/bid_rate");
    assert!((0.7..0.9).contains(&bids), "{bids}");
    let ids: Vec<String> = receiver.try_iter().collect();
    // The warm-up is sent and not counted; the 300 bodies went round.
    assert_eq!(ids.len(), 1_200);
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 1_200);
    assert!(ids.iter().all(|id| id.starts_with(value["traffic"]["run"].as_str().unwrap())));
    let intervals = value["intervals"].as_array().unwrap();
    let offered: f64 = intervals.iter().map(|interval| number(interval, "/offered")).sum();
    assert_eq!(offered, 1_000.0);
}

#[test]
fn a_stall_is_felt_from_the_intended_send_and_hides_from_the_actual_one() {
    let dir = world();
    let count = AtomicU64::new(0);
    let to = serve(move |_| {
        if count.fetch_add(1, SeqCst) == 600 {
            std::thread::sleep(Duration::from_millis(200));
        }
        BID
    });
    // One connection: whatever becomes due in the stall waits for it.
    let (_, value) = result(
        dir.path(),
        to,
        &["--rate", "1000", "--arrivals", "constant", "--connections", "1", "--max-wait-ms", "5000"],
    );
    // 200 of 1,000 requests became due in it, and waited for 100 ms on average.
    assert!(number(&value, "/figures/latency_us/p90") > 50_000.0, "{value:#}");
    assert!(number(&value, "/figures/latency_us/p999") > 190_000.0);
    assert!(number(&value, "/figures/latency_from_send_us/p99") < 50_000.0, "{value:#}");
    assert!(number(&value, "/figures/latency_from_send_us/max") > 190_000.0);
    // They were late by the server's fault, not by the generator's.
    assert!(number(&value, "/figures/late_sends") < 100.0, "{value:#}");
    assert_eq!(number(&value, "/figures/answers"), 1_000.0);
}

#[test]
fn what_is_never_answered_is_a_timeout_and_counts_in_the_latency() {
    let dir = world();
    let count = AtomicU64::new(0);
    let to = serve(move |_| if count.fetch_add(1, SeqCst) % 50 == 49 { Reply::Silence } else { BID });
    let (code, value) = result(
        dir.path(),
        to,
        &[&["--rate", "500", "--timeout-ms", "150", "--slo", "err<1%"], &ANY_GENERATOR[..]].concat(),
    );
    assert_eq!(code, Some(99));
    let timeouts = number(&value, "/figures/errors/timeout");
    assert!((5.0..=20.0).contains(&timeouts), "{timeouts}");
    assert!(number(&value, "/figures/latency_us/p99") >= 150_000.0, "{value:#}");
    assert!(number(&value, "/figures/reopened_connections") >= timeouts);
    assert_eq!(number(&value, "/figures/offered"), number(&value, "/figures/answers") + timeouts);
}

#[test]
fn what_finds_no_connection_in_time_is_not_sent() {
    let dir = world();
    let to = serve(|_| {
        std::thread::sleep(Duration::from_millis(20));
        BID
    });
    // Two connections carry 100 a second.
    let (_, value) = result(dir.path(), to, &["--rate", "400", "--connections", "2", "--max-wait-ms", "50"]);
    let unsent = number(&value, "/figures/errors/unsent");
    assert!((200.0..400.0).contains(&unsent), "{unsent}");
    assert!(number(&value, "/figures/achieved") < 0.5, "{value:#}");
    assert_eq!(number(&value, "/figures/offered"), number(&value, "/figures/sent") + unsent);
}

#[test]
fn answers_that_cannot_count_are_errors_by_kind() {
    let dir = world();
    let count = AtomicU64::new(0);
    let to = serve(move |_| match count.fetch_add(1, SeqCst) % 5 {
        0 => Reply::Answer("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"),
        1 => Reply::Answer("HTTP/1.1 400 Bad\r\ncontent-length: 2\r\n\r\nno"),
        2 => Reply::Answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{]"),
        3 => Reply::Answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        _ => NO_BID,
    });
    let (_, value) = result(dir.path(), to, &["--rate", "500", "--secs", "0.6"]);
    for kind in ["status_5xx", "status_other", "unreadable", "protocol"] {
        assert!(number(&value, &format!("/figures/errors/{kind}")) > 20.0, "{kind} in {value:#}");
    }
    let rate = number(&value, "/figures/error_rate");
    assert!((0.7..0.9).contains(&rate), "{rate}");
    assert_eq!(number(&value, "/figures/bids"), 0.0);
}

#[test]
fn exit_codes_say_held_missed_invalid_and_wrong_use() {
    let dir = world();
    let to = serve(|_| BID);
    let code = |more: &[&str]| {
        load(dir.path(), to, &[&["--rate", "200", "--secs", "0.5"], more].concat()).status.code()
    };
    assert_eq!(code(&[&["--slo", "p50<5s,bids>99%"], &ANY_GENERATOR[..]].concat()), Some(0));
    assert_eq!(code(&[&["--slo", "p50<1us"], &ANY_GENERATOR[..]].concat()), Some(99));
    // No generator uses nothing.
    let idle = ["--generator-cpu-limit", "0.0001"];
    assert_eq!(code(&[&["--slo", "p50<1us"], &idle[..]].concat()), Some(98));
    let output = load(dir.path(), to, &idle);
    assert!(String::from_utf8_lossy(&output.stdout).contains("INVALID: the generator used"), "{output:?}");
    let output = load(dir.path(), to, &["--slo", "p99<1ms,latency<3"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("at character 9"), "{}", stderr(&output));
    assert_eq!(code(&["--mode", "replay"]), Some(1));
    assert_eq!(Command::new(LOAD).args(["run", "--rate", "1"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn every_report_is_written_and_stands_by_itself() {
    let dir = world();
    let to = serve(|_| BID);
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (json, html, hlog, junit) = (file("a.json"), file("a.html"), file("a.hlog"), file("a.xml"));
    let reports = ["--json", &json, "--html", &html, "--hlog", &hlog, "--junit", &junit];
    let slo = ["--rate", "500", "--slo", "p99<9s,err<0.1%,p50<1us"];
    let output = load(dir.path(), to, &[&reports[..], &slo[..], &ANY_GENERATOR[..]].concat());
    assert_eq!(output.status.code(), Some(99), "{}", stderr(&output));
    let table = String::from_utf8(output.stdout).unwrap();
    for part in ["offered", "achieved", "late sends", "from the intended send", "✓ p99<9s", "✗ p50<1us"] {
        assert!(table.contains(part), "{part} in {table}");
    }
    let value: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!(value["schema"], "outbid-load/1");
    for key in [
        "/mode",
        "/valid",
        "/checks/0/holds",
        "/figures/offered_rps",
        "/figures/achieved_rps",
        "/figures/late_sends",
        "/figures/latency_us/p999",
        "/figures/latency_from_send_us/p999",
        "/figures/generator_cpu_share",
        "/environment/cpu",
        "/environment/kernel",
        "/settings/connections",
        "/traffic/body_bytes_mean",
        "/intervals/0/p99_us",
    ] {
        assert!(value.pointer(key).is_some_and(|value| !value.is_null()), "{key} in {value:#}");
    }
    // "HISTF": HdrHistogram's V2 format, deflated, in base64.
    assert!(value["histogram"].as_str().unwrap().starts_with("HISTF"));

    let page = std::fs::read_to_string(&html).unwrap();
    assert!(!page.contains("http") && !page.contains("src=") && !page.contains("@import"), "{page}");
    assert!(
        page.matches("<svg").count() >= 4 && page.matches("<svg").count() == page.matches("</svg>").count()
    );
    for part in
        ["Latency over time", "Latency by percentile", "Requests a second", "Errors a second", "p50&lt;1us"]
    {
        assert!(page.contains(part), "{part}");
    }
    assert!(std::fs::read_to_string(&hlog).unwrap().lines().any(|line| line.contains("HISTF")));
    let junit = std::fs::read_to_string(&junit).unwrap();
    assert_eq!((junit.matches("<testcase").count(), junit.matches("<failure").count()), (4, 1), "{junit}");
    well_formed(&junit);

    let output = Command::new(LOAD).args(["compare", &json, &json]).output().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.lines().any(|line| line.contains("latency_us.p99") && line.ends_with("1.000")), "{table}");
    let other = Command::new(LOAD).args(["compare", &json, &file("world.json")]).output().unwrap();
    assert!(!other.status.success() && stderr(&other).contains("schema"), "{}", stderr(&other));
}

/// Every tag is closed by its own name, in order.
fn well_formed(xml: &str) {
    let mut open = Vec::new();
    for tag in xml.split('<').skip(1) {
        let inside = tag.split('>').next().unwrap();
        let name = inside.trim_start_matches('/').split([' ', '/']).next().unwrap();
        if inside.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{xml}");
        } else if !inside.ends_with('/') && !inside.starts_with('?') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{xml}");
}

#[test]
fn step_finds_what_a_server_can_do() {
    let dir = world();
    let to = serve(|_| {
        std::thread::sleep(Duration::from_millis(5));
        BID
    });
    // Two connections with 5 ms each carry a little under 400 a second.
    let (code, value) = result(
        dir.path(),
        to,
        &[
            &["--mode", "step", "--rate", "150", "--secs", "0.5", "--connections", "2"][..],
            &["--step-precision", "20", "--slo", "p90<60ms,achieved>90%"],
            &ANY_GENERATOR,
        ]
        .concat(),
    );
    assert_eq!(code, Some(0), "{value:#}");
    let rate = number(&value, "/step/highest_rate_that_holds");
    assert!((200.0..440.0).contains(&rate), "{rate}");
    assert!(number(&value, "/step/lowest_rate_that_misses") > rate);
    assert!(value["parts"].as_array().unwrap().len() >= 4);
}

#[test]
fn a_corpus_is_replayed_at_its_own_times() {
    let dir = world();
    let line = |at: u64, id: &str| {
        format!(
            r#"{{"at_ms":{at},"request":{{"at":1,"id":"{id}","imp":[{{"id":"1"}}],"user":{{"yob":1990}}}}}}"#
        )
    };
    let corpus = dir.path().join("corpus.ndjson");
    let lines = [line(5_400, "c"), line(5_000, "a"), "nothing".to_owned(), line(5_100, "b")];
    std::fs::write(&corpus, lines.join("\n")).unwrap();
    let (sender, receiver) = mpsc::channel();
    let to = serve(move |request| {
        #[allow(clippy::disallowed_methods, reason = "a test of real time")]
        let now = std::time::Instant::now();
        sender.send((now, request.body.clone())).unwrap();
        BID
    });
    let replay = ["--mode", "replay", "--corpus", corpus.to_str().unwrap()];
    let (_, value) = result(dir.path(), to, &replay);
    let seen: Vec<_> = receiver.try_iter().collect();
    assert_eq!(seen.len(), 3);
    let after = |at: usize| seen[at].0.duration_since(seen[0].0).as_millis();
    // Intended 100 and 400 ms after the first; each may come late on a busy machine.
    assert!(after(1) < 350 && (150..900).contains(&(after(2) - after(1))), "{} {}", after(1), after(2));
    let body: Value = serde_json::from_slice(&seen[0].1).unwrap();
    assert_eq!((&body["user"]["yob"], body["id"].as_str().unwrap().len()), (&Value::from(1990), 24));
    assert_eq!(number(&value, "/figures/offered"), 3.0);
    assert_eq!(number(&value, "/traffic/skipped_lines"), 1.0);
}

#[test]
fn protobuf_and_compressed_requests_come_in_their_shares() {
    let dir = world();
    let (sender, receiver) = mpsc::channel();
    let to = serve(move |request| {
        let head = &request.head;
        let is_protobuf = head.contains("content-type: application/x-protobuf\r\n");
        let is_gzip = head.contains("content-encoding: gzip\r\n");
        assert_eq!(is_gzip, request.body.starts_with(&[0x1f, 0x8b]));
        let mut body = request.body.clone();
        if is_gzip {
            body.clear();
            flate2::read::GzDecoder::new(&request.body[..]).read_to_end(&mut body).unwrap();
        }
        let id = match is_protobuf {
            true => String::from_utf8(body[2..26].to_vec()).unwrap(),
            false => serde_json::from_slice::<Value>(&body).unwrap()["id"].as_str().unwrap().to_owned(),
        };
        sender.send((is_protobuf, is_gzip, id)).unwrap();
        NO_BID
    });
    let shares = ["--rate", "800", "--protobuf", "500", "--gzip", "250"];
    let (_, value) = result(dir.path(), to, &shares);
    let seen: Vec<(bool, bool, String)> = receiver.try_iter().collect();
    let share = |of: &dyn Fn(&(bool, bool, String)) -> bool| {
        seen.iter().filter(|request| of(request)).count() as f64 / seen.len() as f64
    };
    assert!((0.4..0.6).contains(&share(&|request| request.0)));
    assert!((0.15..0.35).contains(&share(&|request| request.1)));
    assert_eq!(seen.iter().map(|request| &request.2).collect::<HashSet<_>>().len(), seen.len());
    assert_eq!(number(&value, "/figures/error_rate"), 0.0);
}

#[test]
fn a_server_that_decides_nothing_is_no_slower_than_the_floor_beside_it() {
    let dir = world();
    let stub = dir.path().join("stub.sh");
    let script = format!(
        "#!/bin/sh\nfor argument in \"$@\"; do case \"$argument\" in\n\
         listen.bid=*) bid=${{argument#*=}};;\nlisten.ops=*) ops=${{argument#*=}};;\nesac; done\n\
         exec '{LOAD}' floor-server --listen $bid --listen $ops --bytes 700\n"
    );
    std::fs::write(&stub, script).unwrap();
    std::fs::set_permissions(&stub, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let fixed = ["run", "--quiet", "--json", "--bodies", "300", "--warm-up-secs", "0.2", "--secs", "0.8"];
    let output = Command::new(LOAD)
        .args(fixed)
        .args(["--beside-floor", "2", "--rate", "500", "--server-cmd", stub.to_str().unwrap(), "--data-dir"])
        .arg(dir.path())
        .args(ANY_GENERATOR)
        .output()
        .unwrap();
    let value: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    assert_eq!(number(&value, "/beside_floor/answer_bytes"), 700.0);
    assert!(number(&value, "/beside_floor/p99_above_us").abs() < 50_000.0, "{value:#}");
    assert!((0.4..2.5).contains(&number(&value, "/beside_floor/cpu_ratio")), "{value:#}");
    assert!(number(&value, "/figures/server_cpu_us_per_answer") > 1.0);
    assert_eq!(number(&value, "/figures/secs"), 1.6);
    assert_eq!(value["parts"][0]["name"], "bare server");
}

#[test]
fn a_spike_and_a_soak_judge_what_they_are_for() {
    let dir = world();
    let to = serve(|_| {
        std::thread::sleep(Duration::from_millis(4));
        BID
    });
    let pid = std::process::id().to_string();
    let more = ["--connections", "4", "--server-pid", &pid];
    let spike = ["--mode", "spike", "--max-wait-ms", "20"];
    let (code, value) = result(dir.path(), to, &[&spike[..], &more, &ANY_GENERATOR].concat());
    // The stub sleeps, so that a closed run cannot find what it can do.
    assert_eq!(code, Some(98));
    assert!(value["invalid"][0].as_str().unwrap().contains("what it can do is not known"), "{value:#}");
    let saturation = number(&value, "/spike/saturation_rps");
    assert!((300.0..1_000.0).contains(&saturation), "{saturation}");
    let ratio = number(&value, "/spike/goodput_ratio");
    assert!((0.6..1.3).contains(&ratio), "{value:#}");
    assert!(number(&value, "/spike/rss_before_bytes") > 1e6);
    let conditions: Vec<&str> = value["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["condition"].as_str().unwrap())
        .collect();
    for part in ["goodput", "tmax", "5xx", "normal again", "memory"] {
        assert!(conditions.iter().any(|condition| condition.contains(part)), "{part} in {conditions:?}");
    }
    let soak = ["--mode", "soak", "--rate", "200", "--secs", "2"];
    let (_, value) = result(dir.path(), to, &[&soak[..], &more, &ANY_GENERATOR].concat());
    assert!(value["soak"]["footprints"].as_array().unwrap().len() >= 5, "{value:#}");
    assert!(value["soak"]["footprints"][0]["descriptors"].as_u64().unwrap() > 3);
    assert_eq!(value["checks"].as_array().unwrap().len(), 3);
}
