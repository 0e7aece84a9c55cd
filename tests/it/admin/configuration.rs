//! B10: a running server follows its configuration file. What is invalid, half-written or gone changes nothing, and no
//! request is dropped meanwhile.

use super::calls::{Calls, KEY, request};
use super::site::{Site, config_of, run};
use crate::server::Client;
use serde_json::json;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

const GOOD: &str = "outbid_config_last_reload_success";
const WAITING: &str = "outbid_config_restart_needed";

fn file(imps: u32, level: &str, more: &str) -> String {
    format!(
        "[admin]\nbootstrap_key = \"{KEY}\"\nrate_per_s = 100000\nburst = 100000\n\n[log]\nlevel = \"{level}\"\n\n\
         [limits]\nimps = {imps}\n{more}"
    )
}

/// The status of a request with two impressions: 400 where one is the most.
fn of_two(site: &Site) -> u16 {
    let mut two = request();
    let mut second = two["imp"][0].clone();
    second["id"] = json!("2");
    two["imp"].as_array_mut().unwrap().push(second);
    Client::connect(site.bid).bid("north", two.to_string().as_bytes()).unwrap().status
}

#[test]
fn a_reload_takes_what_is_valid_and_keeps_what_was_there_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    run(&["init", "--data-dir", dir.path().to_str().unwrap()]);
    let path = config_of(dir.path());
    let write = |text: &str| {
        // As careful editors do.
        let beside = path.with_extension("new");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(&beside, &path).unwrap();
    };
    write(&file(64, "info", ""));
    let site = Site::of(dir, &[]);
    site.make_all();
    site.until("the first bid", |site| site.price() == Some(2.5));
    assert_eq!((of_two(&site), site.metric(GOOD), site.metric(WAITING)), (200, 1.0, 0.0));
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        // Somebody asks all the time, and is always answered.
        scope.spawn(|| {
            let (mut client, body) = (Client::connect(site.bid), request().to_string());
            while !stop.load(SeqCst) {
                let reply = client.bid("north", body.as_bytes()).expect("no request is dropped");
                assert!([200, 204].contains(&reply.status), "{}", reply.text());
                answered.fetch_add(1, SeqCst);
                // Each bid holds money for minutes.
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        });
        let trial = || {
            // By the file alone.
            write(&file(1, "info", ""));
            site.until("one impression at most", |site| of_two(site) == 400);
            // By SIGHUP.
            write(&file(64, "info", ""));
            site.hang_up();
            site.until("many impressions", |site| of_two(site) != 400);
            // Invalid: the file, the line and the key are named, and nothing has changed.
            write(&file(0, "info", "depht = 3\n"));
            site.hang_up();
            site.until("the invalid file", |site| site.metric(GOOD) == 0.0);
            let log = site.log();
            for word in ["outbid.toml:10", "limits.imps", "outbid.toml:11", "depht", "depth"] {
                assert!(log.contains(word), "{word}: {log}");
            }
            assert_ne!(of_two(&site), 400);
            // Half-written: cut where it is still valid by itself, and would take every default behind.
            write(&file(1, "info", ""));
            site.until("one impression at most again", |site| of_two(site) == 400);
            let whole = file(1, "warn", "");
            let cut = whole.find("[limits]").unwrap();
            for end in (cut..=whole.len()).step_by(4).chain([whole.len()]) {
                std::fs::write(&path, &whole[..end]).unwrap();
                std::thread::sleep(std::time::Duration::from_millis(250));
                assert_eq!(of_two(&site), 400, "{:?} was taken up", &whole[..end]);
            }
            site.until("the whole file", |site| of_two(site) == 400 && site.metric(GOOD) == 1.0);
            // Gone.
            std::fs::remove_file(&path).unwrap();
            site.until("the file is gone", |site| site.metric(GOOD) == 0.0);
            assert!(site.log().contains("cannot read"), "{}", site.log());
            assert_eq!(of_two(&site), 400);
            // Back, with something that takes a restart, and another key.
            let other = "another key of the first administrator";
            let text = file(64, "info", "segments = 5\n").replace(KEY, other);
            write(&text);
            site.until("the file is back", |site| of_two(site) != 400);
            site.until("it is counted", |site| site.metric(WAITING) == 1.0);
            assert!(site.log().contains("limits.segments"), "{}", site.log());
            let shown = |key: &str| {
                let header = format!("Bearer {key}");
                let headers = [("authorization", header.as_str())];
                Client::connect(site.admin).send("GET", "/v1/me", &headers, b"").unwrap().status
            };
            assert_eq!((shown(KEY), shown(other)), (401, 200));
        };
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(trial));
        stop.store(true, SeqCst);
        if let Err(why) = done {
            std::panic::resume_unwind(why);
        }
    });
    assert!(answered.load(SeqCst) > 100);
}
