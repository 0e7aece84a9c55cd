//! From the bid to the bill and back to the next bid, over HTTP, at a time that the test sets.

use crate::server::{Client, Server, Setup, good_request, notice_url, until};
use outbid::model::account::Account;
use outbid::model::clock::{Clock, FixedClock, Now};
use outbid::model::frequency::{Cap, Frequency, UnknownUsers};
use outbid::model::line_item::SeenRange;
use outbid::model::money::Cpm;
use outbid::model::targeting::SegmentRule;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

const START_MS: i64 = 1_800_000_000_000;
/// What the capped line item bids; the others bid less.
const PRICE: f64 = 30.0;

struct Capped {
    server: Server,
    clock: Arc<FixedClock>,
}

fn per_day(max: u16) -> Frequency {
    Frequency { caps: vec![Cap { max, within_s: Some(86_400) }], ..Frequency::default() }
}

/// The first line item bids 30.00 for anybody, with these caps.
fn capped(home: Option<&Path>, change: impl FnOnce(&mut Account)) -> Capped {
    let clock = Arc::new(FixedClock::at(Now { mono_ns: 1_000_000_000_000, unix_ms: START_MS }));
    let setup = Setup::demo().clock(Arc::clone(&clock) as Arc<dyn Clock>).account(|account| {
        let line = &mut account.line_items[0];
        (line.bid, line.max_bid) = (Cpm(30_000_000), Cpm(60_000_000));
        line.targeting.segments = SegmentRule::default();
        change(account);
    });
    let setup = match home {
        Some(home) => setup.home(home),
        None => setup,
    };
    Capped { server: setup.start(), clock }
}

impl Capped {
    /// The first line item's bid for this user, if it bids; somebody else's bid, or none, does not count.
    fn bid(&self, user: Value) -> Option<Value> {
        let mut request = good_request("caps");
        request["user"] = user;
        self.ask(&request).into_iter().next()
    }

    /// Its bids on a request. Where its money comes late, the others bid: that is asked again.
    fn ask(&self, request: &Value) -> Vec<Value> {
        let (mut ours, mut others) = (Vec::new(), 0);
        until("bids", || {
            let reply = self.server.bid("demo", request);
            if reply.status == 200 {
                let bids = reply.json()["seatbid"][0]["bid"].as_array().unwrap().clone();
                ours = bids.into_iter().filter(|bid| bid["price"].as_f64().unwrap() >= PRICE).collect();
                others += 1;
            } else {
                others += 1;
            }
            !ours.is_empty() || others == 5
        });
        ours
    }

    fn told(&self, bid: &Value, field: &str) {
        let price = bid["price"].to_string();
        assert_eq!(self.server.track("GET", &notice_url(bid, field, &price)).status, 204);
    }
}

fn user(name: &str) -> Value {
    json!({ "buyeruid": name })
}

#[test]
fn a_person_is_shown_it_so_often_and_no_more_until_the_window_has_passed() {
    let world = capped(None, |account| account.line_items[0].frequency = per_day(2));
    let first = world.bid(user("ann")).unwrap();
    world.told(&first, "burl");
    let second = world.bid(user("ann")).unwrap();
    assert_eq!(world.bid(user("ann")), None, "one was shown, one is in flight");
    world.told(&second, "lurl");
    let third = world.bid(user("ann")).expect("what lost is shown to nobody");
    world.told(&third, "burl");
    world.told(&third, "burl");
    assert_eq!(world.bid(user("ann")), None);
    assert!(world.bid(user("bob")).is_some());
    world.clock.advance_ms(86_399_000);
    assert_eq!(world.bid(user("ann")), None);
    world.clock.advance_ms(1_000);
    assert!(world.bid(user("ann")).is_some());
    let frequency = world.server.shared.frequency().counts();
    assert_eq!((frequency.users, frequency.late), (2, 0));
    assert_eq!(world.server.metric("outbid_frequency_users"), 2);
}

#[test]
fn a_campaign_counts_what_all_its_line_items_show() {
    let world = capped(None, |account| {
        let campaign = account.line_items[0].campaign;
        let campaign = account.campaigns.iter_mut().find(|known| known.id == campaign).unwrap();
        campaign.frequency = per_day(1);
        // Another line item of it, with the same price.
        let mut twin = account.line_items[0].clone();
        twin.id = outbid::model::ids::LineItemId(4_000);
        twin.name = "twin".to_owned();
        account.line_items.push(twin);
    });
    assert!(world.bid(user("ann")).is_some());
    assert_eq!(world.bid(user("ann")), None, "neither it nor its twin");
}

#[test]
fn impressions_of_one_request_count_each() {
    let world = capped(None, |account| account.line_items[0].frequency = per_day(2));
    let mut request = good_request("three");
    request["user"] = user("ann");
    let imp = request["imp"][0].clone();
    for id in ["2", "3"] {
        let mut another = imp.clone();
        another["id"] = json!(id);
        request["imp"].as_array_mut().unwrap().push(another);
    }
    assert_eq!(world.ask(&request).len(), 2);
    assert_eq!(world.bid(user("ann")), None);
}

#[test]
fn a_creative_that_was_shown_often_enough_gives_way_to_the_next() {
    let world = capped(None, |account| {
        let assigned = account.line_items[0].creatives[0].creative;
        let shown = account.creatives.iter_mut().find(|known| known.id == assigned).unwrap();
        shown.frequency = per_day(1);
        let mut other = shown.clone();
        other.id = outbid::model::ids::CreativeId(4_000);
        other.name = "the other".to_owned();
        let mut assignment = account.line_items[0].creatives[0].clone();
        assignment.creative = other.id;
        account.creatives.push(other);
        account.line_items[0].creatives = vec![account.line_items[0].creatives[0].clone(), assignment];
    });
    let shown: Vec<String> =
        (0..2).map(|_| world.bid(user("ann")).unwrap()["crid"].as_str().unwrap().to_owned()).collect();
    assert_ne!(shown[0], shown[1]);
    assert_eq!(world.bid(user("ann")), None);
}

#[test]
fn nobody_known_is_nobody_counted() {
    let skip = capped(None, |account| account.line_items[0].frequency = per_day(1));
    assert_eq!(skip.bid(json!({})), None);
    let serve = capped(None, |account| {
        account.line_items[0].frequency = Frequency { unknown_users: UnknownUsers::Serve, ..per_day(1) };
    });
    assert!(serve.bid(json!({})).is_some() && serve.bid(json!({})).is_some());
    // A user who asks not to be followed is nobody either.
    let mut quiet = good_request("quiet");
    quiet["user"] = user("ann");
    quiet["device"]["lmt"] = json!(1);
    assert!(!serve.ask(&quiet).is_empty() && !serve.ask(&quiet).is_empty());
    assert_eq!(serve.server.shared.frequency().counts().users, 0);
}

#[test]
fn a_test_counts_nothing() {
    let world = capped(None, |account| account.line_items[0].frequency = per_day(1));
    let mut request = good_request("test");
    request["user"] = user("ann");
    request["test"] = json!(1);
    for _ in 0..3 {
        assert_eq!(world.ask(&request).len(), 1);
    }
    assert!(world.bid(user("ann")).is_some());
}

#[test]
fn requests_at_the_same_moment_never_show_one_more() {
    let world = capped(None, |account| account.line_items[0].frequency = per_day(3));
    world.bid(user("warm")).unwrap();
    let body = {
        let mut request = good_request("many");
        request["user"] = user("ann");
        request.to_string()
    };
    let shown: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = Client::connect(world.server.at.bid);
                    let answers = (0..25).filter(|_| {
                        let reply = client.bid("demo", body.as_bytes()).unwrap();
                        let price = || reply.json()["seatbid"][0]["bid"][0]["price"].as_f64().unwrap();
                        reply.status == 200 && price() >= PRICE
                    });
                    answers.count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(shown, 3);
}

#[test]
fn a_restart_remembers_and_an_erasure_forgets() {
    let home = tempfile::tempdir().unwrap();
    let caps = |account: &mut Account| account.line_items[0].frequency = per_day(1);
    {
        let world = capped(Some(home.path()), caps);
        let bid = world.bid(user("ann")).unwrap();
        world.told(&bid, "burl");
        assert_eq!(world.bid(user("ann")), None);
        world.server.shared.frequency().sync().unwrap();
    }
    let world = capped(Some(home.path()), caps);
    assert_eq!(world.bid(user("ann")), None, "the bill was counted before the restart");
    let key = world.server.shared.id_key().cookie("ann");
    assert_eq!(world.server.shared.frequency().export(key).len(), 1);
    world.server.shared.forget(&[key]).unwrap();
    assert!(world.server.shared.frequency().export(key).is_empty());
    assert!(world.bid(user("ann")).is_some(), "whoever is forgotten is somebody new");
}

#[test]
fn a_price_follows_how_often_the_campaign_was_seen_without_any_cap() {
    let world = capped(None, |account| {
        let line = &mut account.line_items[0];
        line.max_bid = Cpm(120_000_000);
        let seen = |from, to| SeenRange { from, to };
        line.multipliers.frequencies = vec![(seen(0, Some(0)), 1_500_000), (seen(2, None), 1_200_000)];
        line.multipliers.positions = vec![(1, 1_500_000)];
    });
    let price = |who: Value| world.bid(who).map(|bid| bid["price"].as_f64().unwrap());
    assert_eq!(price(user("ann")), Some(45.0), "who has not seen it");
    for (shown, then) in [(1, 30.0), (2, 36.0), (3, 36.0)] {
        let bid = world.bid(user("ann")).unwrap();
        world.told(&bid, "burl");
        assert_eq!(price(user("ann")), Some(then), "shown {shown} times");
    }
    assert_eq!(price(user("bob")), Some(45.0));
    // Nobody can tell who that is: no factor, and no reason not to bid.
    assert_eq!(price(json!({})), Some(30.0));
    let mut above_the_fold = good_request("position");
    above_the_fold["imp"][0]["banner"]["pos"] = 1.into();
    let bids = world.ask(&above_the_fold);
    assert_eq!(bids[0]["price"].as_f64(), Some(45.0));
}
