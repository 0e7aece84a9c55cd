//! Real traffic and the test suites of others, against the demo over HTTP: nothing legal is refused, nothing breaks,
//! every bid is one that an exchange would take, and of each medium what the account may lawfully fill is bid on.
//!
//! `cargo test --test it corpus -- --nocapture` prints the figures.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod lawful;

use crate::server::{Server, Setup};
use lawful::{Offer, may_fill};
use outbid::cli::demo::world;
use outbid::exchange::{Limits, parse};
use outbid::model::clock::Clock;
use outbid::telemetry::clock::SystemClock;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::path::Path;

/// Of what may lawfully be filled, this share must be bid on.
const SHARE: f64 = 0.95;

/// One line of the corpus.
struct Line {
    number: usize,
    source: String,
    /// What its source says of it; `None` = nothing.
    source_valid: Option<bool>,
    invalid_scope: Option<String>,
    /// What is sent.
    body: String,
}

/// The corpus; none, said aloud, where it is not there.
fn corpus() -> Vec<Line> {
    #[derive(serde::Deserialize)]
    struct Stored<'a> {
        source: String,
        source_valid: Option<bool>,
        invalid_scope: Option<String>,
        #[serde(borrow)]
        request: &'a RawValue,
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/openrtb/requests.ndjson");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: no corpus at {}; THIS RUN PROVED NOTHING about real requests", path.display());
        return Vec::new();
    };
    let lines = (1..).zip(text.lines()).map(|(number, line)| {
        let stored: Stored<'_> = serde_json::from_str(line).expect("the corpus is JSON");
        let (source, source_valid, invalid_scope) =
            (stored.source, stored.source_valid, stored.invalid_scope);
        // A request that is kept as a string was no JSON object where it was found: it is sent as it was.
        let sent = serde_json::from_str::<String>(stored.request.get());
        let body = sent.unwrap_or_else(|_| stored.request.get().to_owned());
        Line { number, source, source_valid, invalid_scope, body }
    });
    lines.collect()
}

/// How every line was answered by one exchange.
struct Pass {
    /// Status and answer, by line.
    answers: Vec<(u16, String)>,
}

fn send_all(server: &Server, exchange: &str, lines: &[Line]) -> Pass {
    let mut client = server.exchange();
    let mut answer = |line: &Line| {
        let reply = client.bid(exchange, line.body.as_bytes()).unwrap_or_else(|error| {
            panic!("line {}: {error}", line.number);
        });
        assert!(!reply.closes(), "line {}", line.number);
        (reply.status, reply.text().to_owned())
    };
    let mut answers: Vec<(u16, String)> = lines.iter().map(&mut answer).collect();
    // On a busy machine a core may be late with money; who asks again later finds it there.
    for (line, given) in lines.iter().zip(&mut answers).filter(|(_, given)| given.0 == 204) {
        *given = answer(line);
    }
    Pass { answers }
}

/// Why a body is no OpenRTB 2 request, by the policy's table and nothing else; `None` = it is one.
fn must_be_refused(body: &str) -> Option<&'static str> {
    let Ok(request) = serde_json::from_str::<Value>(body) else { return Some("not JSON") };
    let Some(request) = request.as_object() else { return Some("not an object") };
    let id = match request.get("id") {
        Some(Value::String(id)) => !id.is_empty(),
        Some(Value::Number(_)) => true,
        _ => false,
    };
    let imps = request.get("imp").and_then(Value::as_array).is_some_and(|imps| !imps.is_empty());
    match (request.contains_key("openrtb") || request.contains_key("item"), id, imps) {
        (true, _, false) => Some("not an OpenRTB 2 request"),
        (_, false, _) => Some("no id"),
        (_, _, false) => Some("no impressions"),
        _ => None,
    }
}

fn check_statuses(lines: &[Line], pass: &Pass, exchange: &str) {
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    for (line, (status, _)) in lines.iter().zip(&pass.answers) {
        *statuses.entry(*status).or_default() += 1;
        let refused = must_be_refused(&line.body);
        let at = format!("line {} of {}", line.number, line.source);
        assert_eq!(*status == 400, refused.is_some(), "{at}: {status}, {refused:?}: {}", line.body);
        assert!([200, 204, 400].contains(status), "{at}: {status}");
        if *status == 400 {
            assert_ne!(line.source_valid, Some(true), "{at} is legal and was refused");
            let arena = bumpalo::Bump::new();
            let error = parse(line.body.as_bytes(), &Limits::default(), &arena).unwrap_err();
            eprintln!(
                "  400 {at}: {error} ({}; its source says valid: {:?}, {:?})",
                refused.unwrap_or_default(),
                line.source_valid,
                line.invalid_scope
            );
        }
    }
    eprintln!("{exchange}: {} requests, statuses {statuses:?}", lines.len());
}

/// Judges every answer with bids; returns how many there were.
fn check_answers(server: &Server, lines: &[Line], pass: &Pass) -> usize {
    let known = server.known();
    let answered = lines.iter().zip(&pass.answers).filter(|(_, (status, _))| *status == 200);
    let (mut bids, mut wrong) = (0, Vec::new());
    for (line, (_, answer)) in answered {
        bids += 1;
        let faults = known.faults(&line.body, answer);
        if !faults.is_empty() {
            wrong.push(format!("line {}: {faults:?}\n{}\n{answer}", line.number, line.body));
        }
    }
    let shown = wrong.iter().take(5).map(String::as_str).collect::<Vec<_>>().join("\n\n");
    assert!(wrong.is_empty(), "{} answers with faults\n{shown}", wrong.len());
    bids
}

/// Of the requests that offer a medium, those that may be filled and those that were, with the reasons of the rest.
/// The server must have nothing of another medium.
fn check_share(lines: &[Line], pass: &Pass, exchange: &str, offer: &Offer) {
    let medium = offer.medium;
    let (mut offering, mut lawful, mut filled) = (0, 0, 0);
    let mut excluded: BTreeMap<&str, usize> = BTreeMap::new();
    let mut missed = Vec::new();
    for (line, (status, _)) in lines.iter().zip(&pass.answers) {
        let Ok(request) = serde_json::from_str::<Value>(&line.body) else { continue };
        if lawful::offering(&request, medium).next().is_none() {
            assert_ne!(*status, 200, "line {}: a bid without {medium}: {}", line.number, line.body);
            continue;
        }
        offering += 1;
        match (must_be_refused(&line.body).map_or_else(|| may_fill(&request, offer), Err), status) {
            (Ok(()), 200) => (lawful, filled) = (lawful + 1, filled + 1),
            (Ok(()), _) => {
                lawful += 1;
                missed.push(line);
            }
            (Err(reason), status) => {
                assert_ne!(*status, 200, "line {}: {medium} although {reason}: {}", line.number, line.body);
                *excluded.entry(reason).or_default() += 1;
            }
        }
    }
    let count: usize = excluded.values().sum();
    eprintln!("{exchange}, {medium}: {offering} requests offer it; {count} of them cannot be filled:");
    let mut table: Vec<_> = excluded.into_iter().collect();
    table.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    table.iter().for_each(|(reason, count)| eprintln!("  {count:>5}  {reason}"));
    assert!(lawful > 0, "no request offers {medium} that may be filled");
    let share = f64::from(filled) / f64::from(lawful);
    eprintln!("{exchange}, {medium}: {filled} of {lawful} others got a bid of it: {:.2} %", share * 100.0);
    for line in missed.iter().take(20) {
        eprintln!("  missed: line {} of {}: {}", line.number, line.source, line.body);
    }
    assert!(share >= SHARE, "{medium}: {share}");
}

/// Each medium is measured alone: a server that has nothing but the demo's ads of this medium for everybody is asked the
/// whole corpus. A request of several media so counts once for each, and another medium's higher bid hides nothing.
#[test]
fn of_each_medium_in_the_corpus_what_may_be_filled_is_bid_on() {
    let lines = corpus();
    if lines.is_empty() {
        return;
    }
    for medium in lawful::MEDIA {
        let mut account = world::account();
        lawful::keep_only(&mut account, medium.0);
        let now_ms = SystemClock::new().now().unix_ms;
        let offer = Offer::of(&account, medium, now_ms);
        let server = Setup::demo().account(|account| lawful::keep_only(account, medium.0)).start();
        for exchange in ["demo", "demo2"] {
            let pass = send_all(&server, exchange, &lines);
            let bids = check_answers(&server, &lines, &pass);
            check_share(&lines, &pass, exchange, &offer);
            eprintln!("{exchange}, {}: both judges take all {bids} answers with bids", offer.medium);
        }
        assert_eq!(server.metric("outbid_panics_total"), 0);
    }
}

/// With a line item for every medium: nothing legal is refused, nothing breaks, what is bid is taken by both judges, and
/// each medium of real traffic gets bids.
#[test]
fn the_whole_corpus_is_answered_lawfully_and_every_medium_is_bid_on() {
    let lines = corpus();
    if lines.is_empty() {
        return;
    }
    let server = Setup::demo().start();
    for exchange in ["demo", "demo2"] {
        let pass = send_all(&server, exchange, &lines);
        check_statuses(&lines, &pass, exchange);
        let bids = check_answers(&server, &lines, &pass);
        eprintln!("{exchange}: {bids} answers with bids, all taken by both judges");
        let mut by_medium: BTreeMap<i64, usize> = BTreeMap::new();
        for (_, answer) in pass.answers.iter().filter(|(status, _)| *status == 200) {
            let answer: Value = serde_json::from_str(answer).unwrap();
            for bid in answer["seatbid"][0]["bid"].as_array().unwrap() {
                *by_medium.entry(bid["mtype"].as_i64().unwrap()).or_default() += 1;
            }
        }
        eprintln!("{exchange}: bids by mtype: {by_medium:?}");
        assert!([1, 2, 3, 4].iter().all(|mtype| by_medium.get(mtype) > Some(&0)), "{by_medium:?}");
        assert_eq!(
            server.metric(&format!("outbid_bid_requests_total{{exchange=\"{exchange}\",outcome=\"error\"}}")),
            0
        );
    }
    assert_eq!(server.metric("outbid_panics_total"), 0);
}
