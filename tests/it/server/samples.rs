//! What is kept of requests: who is chosen is chosen with every request, what is kept names nobody, and who is erased is gone from
//! it, over HTTP.

use super::customers::Desk;
use super::people::LISTED;
use super::{Server, Setup, good_request};
use crate::protobuf::Both;
use crate::protobuf::schema::Schema;
use outbid::model::no_bid::NoBidReason;
use outbid::model::sample::SampledRequest;
use outbid::samples::{Asked, Query, Record};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;

fn server(home: &Path, options: &[&str]) -> Server {
    let setup = Setup::demo().home(home).set("samples.per_second=64");
    options.iter().fold(setup, |setup, option| setup.set(option)).start()
}

fn all() -> Query {
    Query::all(i64::MIN, i64::MAX)
}

/// Takes up what was chosen; one look may end before all buffers are empty.
fn drain(server: &Server) {
    for _ in 0..32 {
        server.shared.keep_samples().unwrap();
    }
}

/// What is kept, the oldest first.
fn kept(server: &Server) -> Vec<Record> {
    drain(server);
    server.shared.samples(&all()).records.into_iter().rev().map(|(_, record)| record).collect()
}

/// Everything that lies in a folder, and below it.
fn on_disk(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        all.extend(if path.is_dir() { on_disk(&path) } else { std::fs::read(&path).unwrap() });
    }
    all
}

fn with_user(id: &str, user: Value) -> Value {
    let mut request = good_request(id);
    (request["user"], request["regs"]) = (user, json!({ "gdpr": 0 }));
    request
}

#[test]
fn what_is_kept_is_what_came_without_who_it_was() {
    let home = tempfile::tempdir().unwrap();
    let server = server(home.path(), &[]);
    let secrets = [
        "cookie-of-ann",
        "uid-at-exchange",
        "id-of-a-partner",
        "6d92078a-8246-4ba4",
        "203.0.113.77",
        "2001:db8:aa:bb",
        "19741",
    ];
    let mut request = with_user(
        "first",
        json!({
            "id": "uid-at-exchange", "buyeruid": "cookie-of-ann", "customdata": "cookie-of-ann", "yob": 19741,
            "eids": [{ "source": "x.example", "uids": [{ "id": "id-of-a-partner" }] }],
            "ext": { "eids": [{ "source": "x.example", "uids": [{ "id": "id-of-a-partner" }] }] },
        }),
    );
    request["device"]["ip"] = "203.0.113.77".into();
    request["device"]["ipv6"] = "2001:db8:aa:bb:cc::1".into();
    request["device"]["ifa"] = "6d92078a-8246-4ba4-ae5b-76104861e7dc".into();
    request["site"]["page"] = "https://news.example/a?u=cookie-of-ann".into();
    request["site"]["domain"] = "news.example/?u=cookie-of-ann".into();
    request["imp"][0]["ext"] = json!({ "uid": "cookie-of-ann" });
    let bids = server.bid("demo", &request).status == 200;
    // The same person in protobuf, a child, somebody whom the law protects, a test, and one that cannot be read.
    request["id"] = "second".into();
    let protobuf = Both::of(&Schema::load(), &request).protobuf;
    let headers = [("content-type", "application/x-protobuf")];
    let answer = server.exchange().send("POST", "/openrtb2/demo", &headers, &protobuf).unwrap();
    assert_eq!(answer.status == 200, bids);
    let mut child = with_user("child", json!({ "buyeruid": "cookie-of-ann" }));
    child["regs"]["coppa"] = 1.into();
    server.bid("demo", &child);
    let mut protected = with_user("protected", json!({ "buyeruid": "cookie-of-ann" }));
    protected["regs"]["gdpr"] = 1.into();
    server.bid("demo", &protected);
    let mut dear = with_user("dear", json!({ "buyeruid": "cookie-of-bob" }));
    dear["imp"][0]["bidfloor"] = 900.into();
    assert_eq!(server.bid("demo", &dear).status, 204);
    let mut test = with_user("test", json!({}));
    test["test"] = 1.into();
    server.bid("demo", &test);
    assert_eq!(server.bid("demo", &json!({ "id": "x" })).status, 400);
    let records = kept(&server);
    let ids: Vec<&str> = records.iter().map(|record| record.id.as_str()).collect();
    assert_eq!(ids, ["first", "second", "child", "protected", "dear"]);
    let of = |at: usize| &records[at].request;
    assert_eq!(of(0).outcome.is_ok(), bids);
    assert!(bids && of(0).outcome == of(1).outcome, "{:?}", of(1).outcome);
    assert!(of(0).person.is_some() && of(0).person == of(1).person, "one person, both encodings");
    assert_eq!([of(0).protobuf, of(1).protobuf], [false, true]);
    assert_eq!([of(2).person, of(3).person], [None, None], "nobody may be told");
    assert!(of(4).person.is_some() && of(4).person != of(0).person);
    let too_dear = Err(NoBidReason::BelowFloor);
    assert_eq!(of(4).outcome, too_dear);
    assert!(records.iter().all(|r| r.request.one_in == 1
        && r.place.as_deref().is_some_and(|place| place.starts_with("news.example"))));
    let below_floor = Query { outcome: Some(Asked::NoBid(NoBidReason::BelowFloor)), ..all() };
    assert_eq!(server.shared.samples(&below_floor).records[0].1.id, "dear");
    server.shared.save_samples().unwrap();
    let lies = on_disk(&home.path().join("samples"));
    assert!(
        memchr::memmem::find(&lies, b"news.example").is_some(),
        "what is looked for is looked for rightly"
    );
    for secret in secrets {
        assert!(memchr::memmem::find(&lies, secret.as_bytes()).is_none(), "{secret} lies on the disk");
    }
    // For who forecasts: the same, until they have enough.
    let mut seen: Vec<SampledRequest> = Vec::new();
    server.shared.sampled(i64::MIN, i64::MAX, &mut |request| {
        seen.push(request);
        if seen.len() == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(seen, records.iter().rev().take(3).map(|r| r.request.clone()).collect::<Vec<_>>());
    assert_eq!(server.metric("outbid_samples_kept_total"), 5);
    assert_eq!(server.metric("outbid_samples_one_in"), 1);
}

#[test]
fn segments_that_counted_are_kept_for_deciding_again() {
    let home = tempfile::tempdir().unwrap();
    let desk = Desk::bidding_for(LISTED, Some(home.path()));
    desk.upload(LISTED, "consent=given", "text/csv", "cookie\nann\n");
    let server = &desk.shop.server;
    server.bid("demo", &with_user("1", json!({ "buyeruid": "ann" })));
    server.bid("demo", &with_user("2", json!({ "buyeruid": "bob" })));
    let told = |record: &Record| (record.request.known, record.request.segments.clone());
    let records = kept(server);
    assert_eq!(records.iter().map(told).collect::<Vec<_>>(), [(true, vec![LISTED]), (false, Vec::new())]);
    assert!(records[0].request.outcome.is_ok(), "{:?}", records[0]);
}

#[test]
fn people_are_chosen_not_requests() {
    let home = tempfile::tempdir().unwrap();
    let server = server(home.path(), &["samples.min_one_in=4"]);
    let mut sent = BTreeMap::new();
    for round in 0..3 {
        for person in 0..60 {
            let id = format!("{round}-{person}");
            server.bid("demo", &with_user(&id, json!({ "buyeruid": format!("cookie {person}") })));
            sent.insert(id, person);
            if person % 20 == 0 {
                drain(&server);
            }
        }
    }
    let records = kept(&server);
    let chosen: BTreeSet<i32> = records.iter().map(|record| sent[&record.id]).collect();
    assert!((5..=30).contains(&chosen.len()), "one in four of 60: {chosen:?}");
    assert_eq!(records.len(), 3 * chosen.len(), "with every request");
    assert!(records.iter().all(|record| record.request.one_in == 4));
    let people: BTreeSet<Option<u64>> = records.iter().map(|record| record.request.person).collect();
    assert_eq!((people.len(), people.contains(&None)), (chosen.len(), false));
    // After a restart they are the same.
    drop(server);
    let server = self::server(home.path(), &["samples.min_one_in=4"]);
    for person in 0..60 {
        server.bid(
            "demo",
            &with_user(&format!("again-{person}"), json!({ "buyeruid": format!("cookie {person}") })),
        );
        if person % 20 == 0 {
            drain(&server);
        }
    }
    let again: BTreeSet<Option<u64>> = (kept(&server).iter().filter(|record| record.id.starts_with("again")))
        .map(|record| record.request.person)
        .collect();
    assert_eq!(again, people);
}

#[test]
fn what_finds_no_room_is_left_out_and_counted() {
    let home = tempfile::tempdir().unwrap();
    let server = server(home.path(), &["samples.per_second=1"]);
    let mut long = good_request("long");
    long["ext"] = json!({ "padding": "x".repeat(70_000) });
    server.bid("demo", &long);
    for nth in 0..50 {
        server.bid("demo", &good_request(&format!("r{nth}")));
    }
    drain(&server);
    let of = |reason: &str| server.metric(&format!("outbid_samples_left_out_total{{reason=\"{reason}\"}}"));
    assert_eq!((of("too_long"), of("no_buffer")), (1, 18));
    assert_eq!(server.metric("outbid_samples_kept_total"), 32);
    assert!(server.metric("outbid_samples_one_in") >= 16, "fewer are chosen from now on");
    assert!(server.metric("outbid_samples_bytes") > 0);
    // Switched off, nobody is chosen.
    let (home, none) = (tempfile::tempdir().unwrap(), "samples.per_second=0");
    let server = self::server(home.path(), &[none]);
    server.bid("demo", &good_request("r"));
    assert!(kept(&server).is_empty());
    assert!(on_disk(&home.path().join("samples")).is_empty());
}

#[test]
fn who_is_erased_is_gone_from_the_sample_and_from_what_waits() {
    let home = tempfile::tempdir().unwrap();
    let desk = Desk::bidding_for(LISTED, Some(home.path()));
    let server = &desk.shop.server;
    let ask = |id: &str, cookie: &str| server.bid("demo", &with_user(id, json!({ "buyeruid": cookie })));
    ask("ann 1", "ann");
    ask("bob 1", "bob");
    assert_eq!(kept(server).len(), 2);
    ask("ann 2", "ann");
    // One is kept, one waits.
    desk.ask("erase", &json!([{ "type": "cookie", "value": "ann" }]));
    let ids = |records: Vec<Record>| records.into_iter().map(|record| record.id).collect::<Vec<_>>();
    assert_eq!(ids(kept(server)), ["bob 1"]);
    server.shared.save_samples().unwrap();
    let lies = on_disk(&home.path().join("samples"));
    assert!(memchr::memmem::find(&lies, b"bob 1").is_some());
    assert!(
        memchr::memmem::find(&lies, b"ann 1").is_none() && memchr::memmem::find(&lies, b"ann 2").is_none()
    );
    ask("ann 3", "ann");
    assert_eq!(ids(kept(server)), ["bob 1", "ann 3"], "who comes back is new");
}
