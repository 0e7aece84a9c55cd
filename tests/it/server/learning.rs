//! What becomes of bids changes the next ones, over HTTP: prices fall to what wins, and what is clicked is worth more.

use super::{Server, Setup, good_request, notice_url, until};
use crate::events::event_log;
use outbid::events::{EventReader, Item, LogName};
use outbid::model::account::Account;
use outbid::model::clock::{Clock, FixedClock, Now};
use outbid::model::event::What;
use outbid::model::line_item::Strategy;
use outbid::model::money::Cpm;
use outbid::model::targeting::SegmentRule;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// A noon in UTC.
const NOON_MS: i64 = 1_800_014_400_000;

struct Market {
    server: Server,
    clock: Arc<FixedClock>,
}

/// The first line item alone, for everybody, at most at 30.00.
fn market(home: &Path, after_ms: i64, change: impl FnOnce(&mut Account)) -> Market {
    let unix_ms = NOON_MS + after_ms;
    let clock = Arc::new(FixedClock::at(Now { mono_ns: 1_000_000_000_000, unix_ms }));
    let setup = Setup::demo().clock(Arc::clone(&clock) as Arc<dyn Clock>).account(|account| {
        account.line_items.truncate(1);
        account.advertisers[0].data_fee = Cpm(0);
        account.advertisers[0].platform_ppm = 0;
        let line = &mut account.line_items[0];
        (line.bid, line.max_bid) = (Cpm(30_000_000), Cpm(30_000_000));
        line.targeting.segments = SegmentRule::default();
        (line.strategy, line.shading) = (Strategy::MaxCpm, true);
        change(account);
    });
    Market { server: setup.home(home).events(event_log(home)).start(), clock }
}

impl Market {
    fn bid(&self, request: &Value) -> Option<Value> {
        let reply = self.server.bid("demo", request);
        (reply.status == 200).then(|| reply.json()["seatbid"][0]["bid"][0].clone())
    }

    fn price(&self, id: &str) -> f64 {
        self.bid(&good_request(id)).unwrap()["price"].as_f64().unwrap()
    }

    /// Bids that win where they are at least at 3.00, and are told so.
    fn auctions(&self, name: &str, count: usize) {
        for n in 0..count {
            let Some(bid) = self.bid(&good_request(&format!("{name}{n}"))) else { continue };
            let price = bid["price"].to_string();
            let url = |field: &str| {
                let url = bid[field].as_str().unwrap().replace("${AUCTION_MIN_TO_WIN}", "3.000000");
                let url = url.replace("${AUCTION_LOSS}", "102");
                notice_url(&serde_json::json!({ field: url }), field, &price)
            };
            match bid["price"].as_f64().unwrap() >= 3.0 {
                true => {
                    // Some exchanges tell with the bill alone.
                    if n % 2 == 0 {
                        assert_eq!(self.server.track("GET", &url("nurl")).status, 204);
                    }
                    assert_eq!(self.server.track("GET", &url("burl")).status, 204);
                }
                false => assert_eq!(self.server.track("GET", &url("lurl")).status, 204),
            }
        }
    }

    /// Lets time pass until everything that was written is learned.
    fn learn(&self, home: &Path) {
        let records = |log: LogName| {
            let mut reader = EventReader::open(&log.dir(&home.join("events")), 1);
            std::iter::from_fn(|| reader.next().unwrap()).count()
        };
        let (mut before, mut same) = ((0, 0), 0);
        // A disk that other tests keep busy may take its time for a sync: nothing new for a second is all of it.
        until("the event log is written", || {
            std::thread::sleep(std::time::Duration::from_millis(60));
            let now = (records(LogName::Bids), records(LogName::Notices));
            same = if std::mem::replace(&mut before, now) == now && now.0 > 0 { same + 1 } else { 0 };
            same == 16
        });
        for _ in 0..40 {
            self.pass(5_000);
            while self.server.shared.learn() {}
        }
        self.settle();
    }

    fn pass(&self, ms: u64) {
        self.clock.advance_ms(ms);
        self.server.shared.ledger().gates().hear(self.clock.now());
    }

    /// The cores take the leap for a long queue and shed, until their next heartbeats, which come in real time.
    fn settle(&self) {
        std::thread::sleep(std::time::Duration::from_millis(25));
    }
}

#[test]
fn a_price_falls_to_what_wins_and_a_restart_knows_it() {
    let home = tempfile::tempdir().unwrap();
    let market_then = market(home.path(), 0, |_| {});
    assert_eq!(market_then.price("first"), 30.0, "nothing is known");
    market_then.auctions("a", 150);
    market_then.learn(home.path());
    let learned = market_then.price("second");
    assert!((3.0..4.0).contains(&learned), "{learned}");
    assert!(market_then.server.metric("outbid_learning_outcomes_total{outcome=\"won\"}") >= 150);
    // Never below a floor, which is another place whose wider one is known.
    let mut dear = good_request("dear");
    dear["imp"][0]["bidfloor"] = 7.5.into();
    assert_eq!(market_then.bid(&dear).unwrap()["price"], 7.5);
    // Where the second price is paid, what it is worth is what is bid.
    let mut second = good_request("second price");
    second["at"] = 2.into();
    assert_eq!(market_then.bid(&second).unwrap()["price"], 30.0);

    // A crash: nothing was kept but the log, which is read again.
    let at_ms = market_then.clock.now().unix_ms - NOON_MS;
    market_then.server.shared.events().unwrap().end();
    drop(market_then);
    let again = market(home.path(), at_ms, |_| {});
    assert_eq!(again.price("third"), 30.0, "it is not read yet");
    again.learn(home.path());
    let read = again.price("fourth");
    assert!((read / learned - 1.0).abs() <= 0.05, "{learned} {read}");

    // Kept: the first bid knows.
    again.server.shared.keep_learned();
    let at_ms = again.clock.now().unix_ms - NOON_MS;
    again.server.shared.events().unwrap().end();
    drop(again);
    let kept = market(home.path(), at_ms, |_| {}).price("fifth");
    assert!((kept / read - 1.0).abs() <= 0.05, "{read} {kept}");
}

#[test]
fn a_fixed_price_is_bid_whatever_was_learned() {
    let home = tempfile::tempdir().unwrap();
    let fixed = market(home.path(), 0, |account| account.line_items[0].strategy = Strategy::FixedCpm);
    fixed.auctions("a", 100);
    fixed.learn(home.path());
    assert_eq!(fixed.price("b"), 30.0);
}

#[test]
fn what_is_clicked_is_worth_more_to_who_pays_by_clicks() {
    let home = tempfile::tempdir().unwrap();
    let clicks = market(home.path(), 0, |account| {
        let line = &mut account.line_items[0];
        // 0.20 for a click, in an auction of second price; not more than 50.00 for a thousand impressions.
        (line.strategy, line.bid, line.max_bid) = (Strategy::MaxCpc, Cpm(200_000_000), Cpm(50_000_000));
    });
    let request = |id: &str, site: &str| {
        let mut request = good_request(id);
        request["at"] = 2.into();
        request["imp"][0]["bidfloor"] = 0.01.into();
        request["site"]["domain"] = site.into();
        request
    };
    let price = |id: &str, site: &str| clicks.bid(&request(id, site)).unwrap()["price"].as_f64().unwrap();
    assert_eq!(price("first", "news.example"), 0.2, "one click in a thousand, as long as nothing is known");
    let mut connection = super::client::Client::connect(clicks.server.at.track);
    let mut notify = |url: &str| {
        let path = url.strip_prefix("https://track.example").unwrap();
        assert!(connection.send("GET", path, &[], b"").unwrap().status < 400);
    };
    for n in 0..1_600 {
        let site = ["news.example", "games.example"][n % 2];
        let bid = clicks.bid(&request(&format!("c{n}"), site)).unwrap();
        let adm = bid["adm"].as_str().unwrap();
        let url = |kind: &str| {
            let at = adm.find(kind).unwrap();
            let start = adm[..at].rfind("http").unwrap();
            let end = at + adm[at..].find(['"', '\'', '&', '\\', '?']).unwrap();
            adm[start..end].to_owned()
        };
        notify(&url("/i/"));
        // One in ten on the one site, one in a hundred on the other.
        if n % 20 == 0 || n % 200 == 1 {
            notify(&url("/c/"));
        }
    }
    clicks.learn(home.path());
    // Twenty minutes are waited for a click.
    clicks.pass(25 * 60_000);
    for _ in 0..10 {
        clicks.pass(31_000);
        while clicks.server.shared.learn() {}
    }
    clicks.settle();
    let (news, games) = (price("n", "news.example"), price("g", "games.example"));
    assert!((12.0..30.0).contains(&news) && (1.0..6.0).contains(&games), "{news} {games}");
    assert!(clicks.server.metric("outbid_learning_models_total{target=\"click\",outcome=\"published\"}") > 0);

    // What was predicted and looked at stands in the log.
    let mut reader = EventReader::open(&LogName::Bids.dir(&home.path().join("events")), 1);
    let first = std::iter::from_fn(|| reader.next().unwrap()).find_map(|item| match item {
        Item::Event(_, event) => match event.what {
            What::Bid(bid) => Some(bid.evidence),
            _ => None,
        },
        _ => None,
    });
    let first = first.unwrap();
    assert_eq!((first.click_ppb, first.worth, first.first_price), (1_000_000, Cpm(200_000), false));
    assert!(first.features.as_slice().len() > 10, "{first:?}");
}
