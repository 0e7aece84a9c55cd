//! Explaining is deciding with a recorder: the same survivors, the same bids, one verdict for each line item.

use super::request::plain;
use super::run::{Found, Server, Told};
use super::world::{Dice, World, campaign, line_item};
use outbid::budget::Hold;
use outbid::engine::{Deadline, Explanation, LineItemVerdict};
use outbid::model::line_item::Budget;
use outbid::model::money::Nanos;
use outbid::model::no_bid::NoBidReason;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;

/// Explains and decides a few requests in a row; some answers are kept.
fn compare(seed: u64, line_items: usize) {
    let mut dice = Dice::new(seed);
    let world = World::random(&mut dice, line_items);
    let mut server = Server::new(&world);
    for nth in 0..5 {
        let (exchange, body, keep) = (dice.within(1..4) as u16, dice.request(nth), dice.chance(2));
        server.now.mono_ns += 1_000_000_000;
        let explanation = server.explain(&world, exchange, &body);
        let mut found = Found::default();
        let decided =
            server.observe(&world, exchange, &body, &mut found, &Deadline::never(), |_, decided| {
                let decision = decided?;
                let told: Vec<Told> = decision.bids.iter().map(Told::of).collect();
                if keep {
                    decision.holds.into_iter().for_each(Hold::keep);
                }
                Ok(told)
            });
        assert_eq!(explanation.no_bid, decided.as_ref().err().copied());
        agree(&world, &explanation, &decided.unwrap_or_default(), &found);
    }
}

fn agree(world: &World, explanation: &Explanation, bids: &[Told], found: &Found) {
    let everyone: BTreeSet<u32> = world.account.line_items.iter().map(|line| line.id.0).collect();
    // What rules out the whole request does so before any impression is looked at.
    let reached = !bids.is_empty() || explanation.imps.iter().any(|imp| imp.no_bid.is_some());
    for (at, imp) in explanation.imps.iter().enumerate() {
        assert_eq!(imp.candidates, found.0.get(&at).cloned().unwrap_or_default());
        let judged: BTreeSet<u32> = imp.verdicts.iter().map(|verdict| verdict.line_item.0).collect();
        assert_eq!((imp.verdicts.len(), &judged), (everyone.len(), &everyone));
        assert!(imp.verdicts.is_sorted_by_key(|v| (v.reason.is_some(), std::cmp::Reverse(v.reason))));
        let chosen = imp.verdicts.iter().filter(|verdict| verdict.reason.is_none());
        let mut explained: Vec<Told> = chosen.map(|verdict| told(&imp.id, verdict)).collect();
        let mut decided: Vec<Told> = bids.iter().filter(|bid| bid.imp == imp.id).cloned().collect();
        explained.sort();
        decided.sort();
        assert_eq!(explained, decided);
        assert_eq!(reached && decided.is_empty(), imp.no_bid.is_some());
        assert!(imp.verdicts.iter().all(|verdict| !verdict.detail.is_empty()));
    }
}

fn told(imp: &str, verdict: &LineItemVerdict) -> Told {
    let priced = verdict.priced.as_ref().expect("a bid has a price");
    let (line_item, micros) = (verdict.line_item.0, priced.offer.price.0);
    Told { imp: imp.to_owned(), line_item, deal: priced.deal.clone(), micros }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn an_explanation_tells_what_was_decided(seed: u64, line_items in 0..30_usize) {
        compare(seed, line_items);
    }
}

/// The verdict on a line item for the first impression of a request of exchange 1.
fn check(world: &World, body: &[u8], line_item: u32, expected: NoBidReason, detail: &str) {
    let explanation = Server::new(world).explain(world, 1, body);
    let verdicts = &explanation.imps[0].verdicts;
    let verdict = verdicts.iter().find(|verdict| verdict.line_item.0 == line_item).unwrap();
    assert_eq!(verdict.reason, Some(expected), "{verdict:?}");
    assert!(verdict.detail.contains(detail), "{:?} does not say {detail:?}", verdict.detail);
}

#[test]
fn what_rules_out_the_request_or_the_impression_is_said_of_every_line_item() {
    let world = World::small(|_| {});
    check(&world, &plain(|r| r["cur"] = json!(["GBP"])), 1, NoBidReason::Currency, "allows GBP");
    check(&world, &plain(|r| r["imp"][0]["exp"] = json!(100_000)), 1, NoBidReason::HoldLife, "`exp`");
    let inactive = World::small(|account| account.line_items[0].active = false);
    check(&inactive, &plain(|r| r["cur"] = json!(["GBP"])), 1, NoBidReason::Currency, "allows GBP");
}

#[test]
fn a_line_item_behind_its_own_campaign_lost_to_it() {
    let world = World::small(|account| {
        account.line_items.push(line_item(2, 1, 9_000_000));
        account.line_items[0].targeting.deals.include = vec!["d1".to_owned()];
    });
    let body = plain(|request| request["imp"][0]["pmp"] = json!({"deals": [{"id": "d1"}]}));
    check(&world, &body, 2, NoBidReason::LostInternal, "its campaign bids");
}

#[test]
fn a_deal_that_is_closed_to_our_seat_is_the_reason() {
    let world = World::small(|account| {
        account.line_items[0].targeting.deals.include = vec!["d1".to_owned()];
    });
    let closed = json!({"deals": [{"id": "d1", "wseat": ["other"]}]});
    let body = plain(|request| request["imp"][0]["pmp"] = closed);
    check(&world, &body, 1, NoBidReason::Deal, "not open to this seat");
    assert_eq!(Server::new(&world).bids(&world, &body), Err(NoBidReason::Deal));
}

#[test]
fn the_verdict_is_of_the_place_in_which_a_line_item_got_furthest() {
    let world = World::small(|account| {
        account.campaigns.push(campaign(2, 1));
        account.line_items.push(line_item(2, 2, 9_000_000));
        for line in &mut account.line_items {
            line.targeting.deals.include = vec!["d1".to_owned(), "d2".to_owned()];
        }
        account.line_items[1].targeting.deals.include.remove(0);
    });
    // Line item 1 is under the floor of d1 and loses d2.
    let deals = json!({"deals": [{"id": "d1", "bidfloor": 5}, {"id": "d2", "bidfloor": 1}]});
    let body = plain(|request| request["imp"][0]["pmp"] = deals);
    check(&world, &body, 1, NoBidReason::LostInternal, "worth 2.00, another offered more");
    let only_d1 = json!({"deals": [{"id": "d1", "bidfloor": 5}]});
    let body = plain(|request| request["imp"][0]["pmp"] = only_d1);
    check(&world, &body, 1, NoBidReason::BelowFloor, "worth 2.00 < floor 5.00");
}

#[test]
fn the_last_money_is_explained_once() {
    let world = World::small(|account| {
        account.campaigns[0].budget = Budget { lifetime: None, daily: Some(Nanos(3_000_000)) };
    });
    let body = plain(|request| {
        let mut second = request["imp"][0].clone();
        second["id"] = json!("2");
        request["imp"].as_array_mut().unwrap().push(second);
    });
    let explanation = Server::new(&world).explain(&world, 1, &body);
    let reasons: Vec<Option<NoBidReason>> =
        explanation.imps.iter().map(|imp| imp.verdicts[0].reason).collect();
    assert_eq!(reasons, [None, Some(NoBidReason::Budget)]);
    assert_eq!(Server::new(&world).bids(&world, &body).unwrap().len(), 1);
}

#[test]
fn money_that_another_line_items_lease_has_ready_counts_as_there() {
    let world = World::small(|account| {
        account.advertisers[0].wallet = Nanos(2_500_000);
        account.campaigns.push(campaign(2, 1));
        account.line_items.push(line_item(2, 2, 2_500_000));
    });
    let mut server = Server::new(&world);
    let small = plain(|request| request["imp"][0]["bidfloor"] = json!(2.4));
    // The first decision leaves the whole wallet in the lease of line item 2; line item 1 may then still be explained.
    assert_eq!(server.bids(&world, &small).unwrap()[0].line_item, 2);
    let explanation = server.explain(&world, 1, &small);
    assert_eq!(explanation.no_bid, None);
}

#[test]
fn an_exclusion_names_its_dimension() {
    let world = World::small(|account| {
        account.line_items[0].multipliers.device_types = vec![(4, 0)];
    });
    check(&world, &plain(|_| {}), 1, NoBidReason::Device, "factor of 0");
}

#[test]
fn a_line_item_fails_where_its_last_creative_does() {
    let world = World::small(|account| {
        let mut wide = super::world::creative(2, 1);
        wide.content = super::world::banner(super::world::SIZES[1], 2);
        account.creatives.push(wide);
        let assignment = outbid::model::line_item::CreativeAssignment {
            creative: outbid::model::ids::CreativeId(2),
            weight: 1,
            when: outbid::model::line_item::Condition::default(),
        };
        account.line_items[0].creatives.push(assignment);
    });
    let body = plain(|request| request["badv"] = json!(["shop.example"]));
    check(&world, &body, 1, NoBidReason::BlockedAdvertiser, "no creative passes");
}
