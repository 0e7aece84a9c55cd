//! Jobs that wait, jobs that a crash cuts off, and when they ended.

use super::super::calls::{Bare, Calls, KEY, control};
use super::super::site::Site;
use super::super::world::{BOOTSTRAP, World};
use super::{begin, ended, rows};
use outbid::store::control::ControlError;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::channel;
use std::time::Duration;

fn table(count: usize) -> String {
    ["key\n".to_owned()].into_iter().chain((0..count).map(|n| format!("k{n}\n"))).collect()
}

#[test]
fn a_job_is_promised_while_the_writer_is_busy_and_more_than_wait_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let control = control(&dir.path().join("control.db"));
    let bare = Bare::open(control.clone());
    let ((began, is_held), (go, goes)) = (channel(), channel::<()>());
    let writer = std::thread::spawn(move || {
        control.write(move |_| {
            began.send(()).unwrap();
            goes.recv().unwrap();
            Ok::<(), ControlError>(())
        })
    });
    is_held.recv().unwrap();
    let target = "/v1/imports/segments?mode=partial";
    let one = |n: usize| begin(&bare, target, &format!("key\nk{n}\n"), "wait=0")["id"].clone();
    let ids: Vec<Value> = (0..9).map(one).collect();
    let key = format!("Bearer {KEY}");
    let headers = [("authorization", key.as_str()), ("content-type", "text/csv")];
    let tenth = bare.raw("POST", target, &headers, b"key\nk\n").unwrap();
    assert_eq!((tenth.status, tenth.header("retry-after")), (503, Some("10")), "{}", tenth.text());
    // They are there, page by page, though none has a row yet.
    let listed = || {
        let (mut listed, mut path) = (Vec::new(), "/v1/jobs?page_size=4".to_owned());
        loop {
            let page = bare.get(&path);
            listed.extend(page["jobs"].as_array().unwrap().iter().map(|job| job["id"].clone()));
            let Some(next) = page["next_page_token"].as_str() else { return listed };
            path = format!("/v1/jobs?page_size=4&page_token={next}");
        }
    };
    let newest_first: Vec<Value> = ids.iter().rev().cloned().collect();
    assert_eq!(listed(), newest_first);
    let last = ids[8].as_str().unwrap();
    assert_eq!(bare.get(&format!("/v1/jobs/{last}"))["state"], "queued");
    assert_eq!(bare.call("GET", &format!("/v1/jobs/{last}/result"), &[], "").status, 409);
    assert_eq!(bare.call("POST", &format!("/v1/jobs/{last}:cancel"), &[], "").status, 200);
    go.send(()).unwrap();
    writer.join().unwrap().unwrap();
    for id in &ids {
        let job = ended(&bare, id.as_str().unwrap());
        let state = if id == last { "cancelled" } else { "succeeded" };
        assert_eq!(job["state"], state, "{job:#}");
    }
    assert_eq!(listed(), newest_first);
    let left = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    assert!(!left.into_iter().any(|path| path.extension().is_some_and(|ending| ending == "waits")));
}

/// The outcomes of a result's rows, and whether each line is whole.
fn outcomes(site: &Site, id: &str) -> Vec<String> {
    // Before there were pieces, the end of the connection was the end of an answer.
    let head = format!("GET /v1/jobs/{id}/result HTTP/1.0\r\nauthorization: Bearer {KEY}\r\n\r\n");
    let mut stream = TcpStream::connect(site.admin).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, table) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.0 200"), "{head}");
    rows(table)
        .into_iter()
        .map(|row| {
            assert_eq!(row.len(), 8, "{row:?}");
            row[4].clone()
        })
        .collect()
}

#[test]
fn after_a_crash_every_promised_job_is_known_and_results_tell_of_what_was_kept() {
    let mut site = Site::fresh(&[]);
    let headers = [("content-type", "text/csv")];
    let import = |site: &Site, mode: &str| {
        let reply = site.call("POST", &format!("/v1/imports/segments?mode={mode}"), &headers, &table(60_000));
        assert_eq!(reply.status, 202, "{}", reply.text());
        reply.json()["id"].as_str().unwrap().to_owned()
    };
    let job = |site: &Site, id: &str| site.get(&format!("/v1/jobs/{id}"));
    let has_rows = |site: &Site, id: &str, count: u64| {
        site.until("some rows", |site| job(site, id)["rows"].as_u64().unwrap() >= count);
    };
    let (whole, waits) = (import(&site, "atomic"), import(&site, "partial"));
    has_rows(&site, &whole, 2_000);
    site.crash();
    let shown = job(&site, &whole);
    assert_eq!((&shown["state"], &shown["created"]), (&json!("failed"), &json!(0)), "{shown:#}");
    let became = outcomes(&site, &whole);
    assert!(became.iter().all(|outcome| outcome == "not_kept"), "{:?}", became.first());
    let shown = job(&site, &waits);
    assert_eq!(shown["state"], "failed", "{shown:#}");
    assert!(shown["reason"].as_str().unwrap().contains("before it had begun"), "{shown:#}");
    assert_eq!(site.get("/v1/segments")["segments"], json!([]));

    let partly = import(&site, "partial");
    assert_eq!(partly.parse::<u32>().unwrap(), waits.parse::<u32>().unwrap() + 1, "ids are given once");
    has_rows(&site, &partly, 2_000);
    site.crash();
    let shown = job(&site, &partly);
    assert_eq!(shown["state"], "failed", "{shown:#}");
    let kept = shown["created"].as_u64().unwrap();
    assert_eq!(site.get("/v1/segments?total=true&page_size=1")["total"], kept);
    let became = outcomes(&site, &partly);
    let created = became.iter().filter(|outcome| *outcome == "created").count() as u64;
    assert_eq!((created, became.last().map(String::as_str)), (kept, Some("not_kept")));
}

#[test]
fn a_job_ended_when_it_ended_and_says_where_rows_were_refused() {
    let dir = tempfile::tempdir().unwrap();
    let bare = Bare::open(control(&dir.path().join("control.db")));
    let job = begin(&bare, "/v1/imports/segments", &table(3_000), "wait=60");
    assert_eq!(job["state"], "succeeded", "{job:#}");
    let moment = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let begun = moment(&bare.get("/v1/segments/1")["created_at"]);
    assert!(moment(&job["finished_at"]) > begun, "{job:#}");
    let partial = |table: &str| begin(&bare, "/v1/imports/segments?mode=partial", table, "wait=60");
    let some = partial("key\nnew\nk1\n");
    assert_eq!((&some["state"], &some["reason"].is_string()), (&json!("succeeded"), &true), "{some:#}");
    let none = partial("key\nk1\nk2\n");
    assert_eq!(none["state"], "failed", "{none:#}");
    assert!(none["reason"].as_str().unwrap().starts_with("2 of 2 rows were refused"), "{none:#}");
}

#[test]
fn answers_are_kept_for_a_day_and_no_longer() {
    let world = World::new();
    let advertiser = world.make("advertisers", world.draft("advertisers", "", ""));
    let hours = |count: u64| world.clock.advance_ms(Duration::from_secs(count * 3_600).as_millis() as u64);
    let left = || world.control.write(|tx| tx.sweep_idempotent(10)).unwrap();
    let pay = || {
        world.post(BOOTSTRAP, "/v1/transactions", world.draft("transactions", &advertiser, "")).expect(201)
    };
    pay();
    hours(25);
    assert_eq!(left(), 1, "nobody has removed it");
    pay();
    hours(23);
    pay();
    world.admin.tidy();
    hours(2);
    world.admin.tidy();
    assert_eq!(left(), 0, "the older one is gone, and the other one not over yet");
    hours(23);
    assert_eq!(left(), 1);
}
