//! A killed process knows again what wins: nothing is kept by it but the event log, which is read anew.

use super::trial::account::{self, EXCHANGE, LINES, Plan, UNIT};
use super::trial::http::{Client, now};
use super::trial::server::{Site, log_path};
use serde_json::{Value, json};
use std::time::Duration;

/// The price that wins.
const WINS: f64 = 3.0;
/// What an impression is worth.
const WORTH: &str = "20.00";

fn bid(client: &mut Client, id: &str) -> Option<Value> {
    let reply = client.bid(EXCHANGE, &account::request(&LINES[0], id)).unwrap();
    let answer = || serde_json::from_slice::<Value>(&reply.body).unwrap();
    (reply.status == 200).then(|| answer()["seatbid"][0]["bid"][0].clone())
}

/// Path and query of a notice, as an exchange sends it that says what would have won.
fn notice(bid: &Value, field: &str) -> String {
    let url = bid[field].as_str().unwrap();
    let path = &url[url.find("://").unwrap() + 3..];
    let mut path = path[path.find('/').unwrap()..].replace("${AUCTION_MIN_TO_WIN}", "3.000000");
    path = path.replace("${AUCTION_PRICE}", &bid["price"].to_string()).replace("${AUCTION_CURRENCY}", "USD");
    while let Some(at) = path.find("${") {
        let end = at + path[at..].find('}').unwrap() + 1;
        path.replace_range(at..end, "");
    }
    path
}

/// The price of the next bid.
fn price(site: &Site, id: &str) -> f64 {
    let mut client = Client::new(site.at[0]);
    for n in 0..500 {
        if let Some(bid) = bid(&mut client, &format!("{id}-{n}")) {
            return bid["price"].as_f64().unwrap();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("no bid on {id}");
}

/// Waits until a price is so, with patience for a machine that compiles beside the test.
fn until(site: &Site, what: &str, is_so: impl Fn(f64) -> bool) -> f64 {
    let started = now();
    let mut last = f64::NAN;
    for n in 0.. {
        last = price(site, &format!("{what}{n}"));
        if is_so(last) {
            return last;
        }
        if started.elapsed() > Duration::from_secs(60) {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    panic!("{what}: {last} after a minute");
}

#[test]
fn a_killed_process_knows_again_what_wins() {
    let (dir, seed) = (tempfile::tempdir().unwrap(), 15);
    let plan = Plan { budgets: [500 * UNIT; 3], dear: false, hold_s: 60 };
    let site = Site::prepare(super::program(), &dir.path().join("data"), &plan, seed).unwrap();
    let mut account = account::account(&plan);
    account["line_items"][0]["bid"] = json!({ "strategy": "max_cpm", "amount": WORTH });
    std::fs::write(site.dir.join("account.json"), account.to_string()).unwrap();
    let mut server = site.start().unwrap();
    let (mut exchange, mut notices) = (Client::new(site.at[0]), Client::new(site.at[1]));
    let mut won = 0;
    for n in 0..2_000 {
        let Some(bid) = bid(&mut exchange, &format!("a{n}")) else {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        if bid["price"].as_f64().unwrap() >= WINS {
            for field in ["nurl", "burl"] {
                assert_eq!(notices.get(&notice(&bid, field), "").unwrap().status, 204);
            }
            won += 1;
        }
        if won == 150 {
            break;
        }
    }
    assert_eq!(won, 150);
    let learned = until(&site, "learned", |price| price < 1.3 * WINS);
    assert!(learned >= 0.95 * WINS, "{learned}");
    server.kill().unwrap();
    assert!(!site.dir.join("learning/learning.v1").exists(), "it was not time to keep anything");

    let _again = site.start().unwrap();
    let again = until(&site, "again", |price| (price / learned - 1.0).abs() <= 0.05);
    eprintln!("before the kill {learned}, after it {again}");
    std::fs::remove_file(log_path(seed)).unwrap();
}
