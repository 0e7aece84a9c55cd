//! What is said of rules, against an account in which they are really dropped.

use super::market::{Market, OURS, sampled};
use outbid::model::line_item::LineItem;
use outbid::model::targeting::{Rule, Targeting};
use outbid::serve::forecast::Taken;
use outbid::targeting::naive::Dimensions;

fn with(market: &Market, change: impl FnOnce(&mut LineItem)) -> Taken {
    let world = market.with(|account| {
        let line = account.line_items.iter_mut().find(|line| line.id == OURS).unwrap();
        change(line);
    });
    sampled(market, &world)
}

fn only<T>(include: Vec<T>) -> Rule<T> {
    Rule { include, exclude: Vec::new() }
}

fn names(rules: u32) -> Vec<&'static str> {
    Dimensions::of_bits(rules).names().collect()
}

/// Two sites, one city, one kind of device.
fn narrow(targeting: &mut Targeting) {
    targeting.domains = only(vec!["b.example".to_owned(), "c.example".to_owned()]);
    targeting.cities = only(vec!["berlin".to_owned(), "austin".to_owned()]);
    targeting.device_types = only(vec![4]);
}

#[test]
fn a_relaxation_brings_what_there_is_without_the_rule() {
    let market = Market::new(11, 1_200);
    let taken = with(&market, |line| narrow(&mut line.targeting));
    let now = taken.rules.avails();
    assert!(now > 20.0, "{now}");
    let relaxations = taken.rules.relaxations();
    assert_eq!(relaxations.len(), 3, "{relaxations:?}");
    assert!(relaxations.is_sorted_by(|a, b| a.avails >= b.avails));
    for relaxation in &relaxations {
        let [name] = names(relaxation.without)[..] else { panic!("{relaxation:?}") };
        let dropped = with(&market, |line| {
            narrow(&mut line.targeting);
            match name {
                "domain" => line.targeting.domains = Rule::default(),
                "city" => line.targeting.cities = Rule::default(),
                "device_type" => line.targeting.device_types = Rule::default(),
                other => panic!("{other}"),
            }
        });
        assert_eq!(relaxation.avails, dropped.rules.avails(), "{name}");
        assert_eq!(relaxation.times, Some(dropped.rules.avails() / now), "{name}");
    }
    // What a rule removes is the other side of it.
    for removed in taken.rules.removed() {
        let relaxation = relaxations.iter().find(|one| one.without == removed.rule).unwrap();
        let share = 1.0 - now / relaxation.avails;
        assert!((removed.share - share).abs() < 1e-12, "{removed:?}");
        assert!(removed.fails >= relaxation.avails - now);
    }
}

#[test]
fn where_no_single_rule_helps_two_are_given_up_together() {
    let market = Market::new(12, 600);
    let taken = with(&market, |line| {
        line.targeting = Targeting::default();
        line.targeting.cities = only(vec!["nowhere".to_owned()]);
        line.targeting.device_types = only(vec![7]);
        line.targeting.domains = only(vec!["a.example".to_owned()]);
    });
    assert_eq!(taken.rules.avails(), 0.0);
    let relaxations = taken.rules.relaxations();
    let [first] = &relaxations[..] else { panic!("{relaxations:?}") };
    let mut found = names(first.without);
    found.sort_unstable();
    assert_eq!((found, first.times), (vec!["city", "device_type"], None));
    let dropped = with(&market, |line| {
        line.targeting = Targeting { domains: only(vec!["a.example".to_owned()]), ..Targeting::default() };
    });
    assert_eq!(first.avails, dropped.rules.avails());
}

#[test]
fn what_another_line_item_takes_is_no_bid() {
    let market = Market::new(13, 600);
    let open = with(&market, |line| line.targeting = Targeting::default());
    let bids = |taken: &Taken| taken.avails.iter().filter(|avail| avail.bids[0].is_some()).count();
    let before = bids(&open);
    let world = market.with(|account| {
        let ours = account.line_items.iter_mut().find(|line| line.id == OURS).unwrap();
        ours.targeting = Targeting::default();
        let worth = ours.bid.0;
        for rival in account.line_items.iter_mut().filter(|line| line.id != OURS) {
            rival.targeting = Targeting::default();
            (rival.bid.0, rival.max_bid.0) = (worth * 2, worth * 2);
        }
    });
    let beaten = sampled(&market, &world);
    assert!(before > 100 && bids(&beaten) == 0, "{before} {}", bids(&beaten));
    assert_eq!(beaten.avails.len(), open.avails.len(), "it would bid at another price");
    // At three times the price it offers the most again.
    assert!(beaten.avails.iter().any(|avail| avail.bids[1].is_some()));
}
