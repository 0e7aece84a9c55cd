//! Random valid requests of all objects and fields of the specification, over HTTP in both encodings: they are never
//! refused, most get a bid, every answer is one that an exchange would take, and both encodings get the same.
//!
//! A request is made from a seed and its number, so that a failure repeats: `OUTBID_VALID_SEED` sets the seed,
//! `OUTBID_VALID_RUNS` how many there are. Deliberately absent: what is invalid or odd, see `parse` and `fuzz`, and
//! deadlines, which depend on the machine.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod dice;
mod fields;
mod imp;
mod media;
mod native;
mod people;
mod place;
mod request;
mod world;

use crate::judge::lint_request;
use crate::protobuf::schema::Schema;
use crate::server::{Client, Known, Reply, Server, Setup, timeless};
use dice::Dice;
use fields::{ELSEWHERE, Fields};
use outbid::model::clock::Clock;
use outbid::telemetry::clock::SystemClock;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Requests where `OUTBID_VALID_RUNS` says nothing.
const RUNS: u64 = 2_000;
/// Of all requests, this share must get a bid.
const SHARE: f64 = 0.5;

fn option(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().expect("a whole number"))
}

/// The request of this number, and chance for what else is to be decided about it.
fn made(number: u64, now_ms: i64) -> (Value, Dice) {
    let mut dice = Dice::of(option("OUTBID_VALID_SEED", 1), number);
    (request::request(&mut dice, now_ms), dice)
}

/// The request of this number.
pub(crate) fn any_request(number: u64, now_ms: i64) -> Value {
    made(number, now_ms).0
}

#[test]
fn every_field_of_the_specification_comes_up() {
    let Some(fields) = Fields::load() else { return };
    let mut seen = BTreeSet::new();
    for number in 0..RUNS {
        fields.note("BidRequest", &made(number, 1_790_000_000_000).0, &mut seen);
    }
    let legal = fields.of_requests();
    let missing: Vec<_> = legal.difference(&seen).collect();
    assert!(missing.is_empty(), "in {RUNS} requests never: {missing:?}");
    let illegal: Vec<_> = seen.difference(&legal).collect();
    assert!(illegal.is_empty(), "not of a request: {illegal:?}");
    eprintln!("{RUNS} requests have all {} fields of requests; left out are {ELSEWHERE:?}", legal.len());
}

/// What both encodings say, in the form that protobuf has for it: a native request may be a message of its own.
fn message(schema: &Schema, request: &Value, dice: &mut Dice) -> Vec<u8> {
    let mut request = request.clone();
    for imp in request["imp"].as_array_mut().unwrap() {
        let Some(native) = imp.pointer_mut("/native/request").filter(|_| dice.chance(40)) else { continue };
        let inner: Value = serde_json::from_str(native.as_str().unwrap()).unwrap();
        // The message has no wrapper, so that the answer would have none either.
        if inner.get("native").is_none() {
            *native = inner;
        }
    }
    let mut out = Vec::new();
    schema.encode("BidRequest", &request, &mut out);
    out
}

/// What rtblint takes for an error in a request, because these fields have a place of their own since 2.6; the schema
/// of 2.6 declares them in `ext` all the same, and who speaks to bidders of both versions sends them there.
const IN_EXT: [&str; 5] = [
    "(regs.ext.gdpr)",
    "(regs.ext.us_privacy)",
    "(user.ext.consent)",
    "(user.ext.eids)",
    "(source.ext.schain)",
];

/// The errors in a request.
fn errors(request: &str) -> Vec<String> {
    let is_known = |error: &String| {
        error.starts_with("openrtb.field.moved:") && IN_EXT.iter().any(|path| error.ends_with(path))
    };
    lint_request(request).into_iter().filter(|error| !is_known(error)).collect()
}

/// Faults by their kind: how many there are of it, and the first.
#[derive(Default)]
struct Faults(BTreeMap<String, (usize, String)>);

impl Faults {
    fn add(&mut self, found: &[String], what: impl Fn() -> String) {
        for fault in found {
            let kind = fault.split(':').next().unwrap_or_default().to_owned();
            let (count, _) = self.0.entry(kind).or_insert_with(|| (0, format!("{fault}\n{}", what())));
            *count += 1;
        }
    }

    fn assert_none(&self) {
        for (kind, (count, first)) in &self.0 {
            eprintln!("{count} times {kind}, first {first}\n");
        }
        assert!(
            self.0.is_empty(),
            "{:?}",
            self.0.iter().map(|(kind, (count, _))| (kind, count)).collect::<Vec<_>>()
        );
    }
}

/// What was seen of all answers.
#[derive(Default)]
struct Tally {
    statuses: BTreeMap<u16, u64>,
    bids_by_medium: BTreeMap<i64, u64>,
    on_deals: u64,
    several: u64,
}

impl Tally {
    fn add(&mut self, answer: &Answer) {
        *self.statuses.entry(answer.status).or_default() += 1;
        let bids = answer.body.pointer("/seatbid/0/bid").and_then(Value::as_array).map(Vec::as_slice);
        let bids = bids.unwrap_or_default();
        self.several += u64::from(bids.len() > 1);
        for bid in bids {
            *self.bids_by_medium.entry(bid["mtype"].as_i64().unwrap()).or_default() += 1;
            self.on_deals += u64::from(bid.get("dealid").is_some());
        }
    }

    fn assert_all(&self, runs: u64) {
        let share = self.statuses.get(&200).copied().unwrap_or(0) as f64 / runs as f64;
        eprintln!(
            "{runs} valid requests in both encodings: {:?}, {:.1} % with a bid; bids by mtype {:?}, {} on deals, {} \
             answers with several",
            self.statuses,
            share * 100.0,
            self.bids_by_medium,
            self.on_deals,
            self.several,
        );
        assert!(share >= SHARE, "{share}");
        let media = &self.bids_by_medium;
        assert!([1, 2, 3, 4].iter().all(|mtype| media.contains_key(mtype)), "{media:?}");
        assert!(self.on_deals > 0 && self.several > 0);
    }
}

/// What of the bids does not depend on when they were made: until `imp.dt` it is less long at each moment.
fn decided(request: &Value, answer: &Value) -> Vec<Value> {
    let imps = request["imp"].as_array().unwrap();
    let is_dated = |bid: &Value| imps.iter().any(|imp| imp["id"] == bid["impid"] && imp.get("dt").is_some());
    let mut bids = timeless(answer);
    for bid in bids.iter_mut().filter(|bid| is_dated(bid)) {
        bid.as_object_mut().unwrap().remove("exp");
    }
    bids
}

/// One server for each encoding, with books of its own, so that both are in the same state before each request.
struct Both {
    schema: Schema,
    servers: [Server; 2],
    clients: [Client; 2],
    known: [Known; 2],
}

/// The answer in one encoding.
struct Answer {
    status: u16,
    /// An empty object where there is none.
    body: Value,
}

impl Both {
    fn start() -> Both {
        let servers = [(); 2].map(|()| Setup::demo().account(world::enlarge).start());
        let clients = servers.each_ref().map(Server::exchange);
        let known = servers.each_ref().map(Server::known);
        Both { schema: Schema::load(), servers, clients, known }
    }

    /// The answers to a request as JSON and as protobuf.
    fn ask(&mut self, text: &str, message: &[u8]) -> [Answer; 2] {
        let mut send = |encoding: usize, kind: &str, body: &[u8]| {
            self.clients[encoding].send("POST", "/openrtb2/demo", &[("content-type", kind)], body).unwrap()
        };
        let json = send(0, "application/json", text.as_bytes());
        let protobuf = send(1, "application/x-protobuf", message);
        let body = |reply: &Reply, read: &dyn Fn(&Reply) -> Value| {
            if reply.status == 200 { read(reply) } else { json!({}) }
        };
        [
            Answer { status: json.status, body: body(&json, &Reply::json) },
            Answer {
                status: protobuf.status,
                body: body(&protobuf, &|reply| self.schema.decode("BidResponse", &reply.body)),
            },
        ]
    }

    /// What is wrong with the answers to a request.
    fn faults(&self, request: &Value, text: &str, answers: &[Answer; 2]) -> Vec<String> {
        let mut found = errors(text);
        for (answer, known) in answers.iter().zip(&self.known) {
            match answer.status {
                200 => found.extend(known.faults(text, &answer.body.to_string())),
                204 => {}
                other => found.push(format!("status {other}")),
            }
        }
        if differ(request, answers) {
            found.push(format!("in protobuf: {} {}", answers[1].status, answers[1].body));
        }
        found
    }
}

fn differ(request: &Value, answers: &[Answer; 2]) -> bool {
    let [json, protobuf] = answers.each_ref().map(|answer| (answer.status, decided(request, &answer.body)));
    json != protobuf
}

#[test]
fn they_are_answered_lawfully_and_alike_in_both_encodings() {
    let (runs, now_ms) = (option("OUTBID_VALID_RUNS", RUNS), SystemClock::new().now().unix_ms);
    let (mut both, mut tally, mut wrong) = (Both::start(), Tally::default(), Faults::default());
    let mut asked_again = 0;
    for number in 0..runs {
        let (request, mut dice) = made(number, now_ms);
        let (text, message) = (request.to_string(), message(&both.schema, &request, &mut dice));
        let mut answers = both.ask(&text, &message);
        // Money is lent to a core by another thread: when it comes is no matter of the encoding.
        for _ in 0..3 {
            if !differ(&request, &answers) {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
            asked_again += 1;
            answers = both.ask(&text, &message);
        }
        let found = both.faults(&request, &text, &answers);
        wrong.add(&found, || format!("in request {number}: {text}\n{}", answers[0].body));
        tally.add(&answers[0]);
    }
    for server in &both.servers {
        assert_eq!(server.metric("outbid_panics_total"), 0);
    }
    wrong.assert_none();
    assert!(asked_again <= 1 + runs / 1_000, "{asked_again} of {runs} requests had to be asked again");
    tally.assert_all(runs);
}
