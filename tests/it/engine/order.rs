//! The same request, snapshot, hold state, seed and clock give the same bytes; the order of numbers decides nothing.

use super::request::plain;
use super::run::Server;
use super::world::{Dice, World, campaign, line_item};
use outbid::model::no_bid::NoBidReason;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// The answers to a few requests in a row, and the books after them.
fn answers(seed: u64) -> (Vec<Result<String, NoBidReason>>, String) {
    let mut dice = Dice::new(seed);
    let world = World::random(&mut dice, 25);
    let mut server = Server::new(&world);
    let mut answers = Vec::new();
    for nth in 0..5 {
        let (exchange, body) = (dice.within(1..4) as u16, dice.request(nth));
        server.now.mono_ns += 300_000_000;
        answers.push(server.answer(&world, exchange, &body));
    }
    (answers, format!("{:?} {:?}", server.ledger.balances(), server.ledger.audit()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_same_inputs_give_the_same_bytes(seed: u64) {
        prop_assert_eq!(answers(seed), answers(seed));
    }
}

/// Two equal line items of two campaigns.
fn rivals() -> World {
    World::small(|account| {
        account.campaigns.push(campaign(2, 1));
        account.line_items.push(line_item(2, 2, 2_000_000));
    })
}

fn winner(world: &World, id: &str) -> u32 {
    let body = plain(|request| request["id"] = id.into());
    Server::new(world).bids(world, &body).unwrap()[0].line_item
}

#[test]
fn equal_offers_share_the_impressions() {
    let world = rivals();
    let wins = (0..400).filter(|id| winner(&world, &id.to_string()) == 1).count();
    assert!((140..260).contains(&wins), "{wins} of 400");
}

#[test]
fn another_seed_draws_otherwise() {
    let mut world = rivals();
    let mut draws = |seed: u64| {
        world.settings.seed = seed;
        (0..32).map(|id| winner(&world, &id.to_string())).collect::<Vec<_>>()
    };
    let different: BTreeSet<Vec<u32>> = (0..8).map(&mut draws).collect();
    assert_eq!(different.len(), 8);
}

#[test]
fn creatives_rotate_by_their_weights() {
    use super::world::creative;
    use outbid::model::ids::CreativeId;
    use outbid::model::line_item::{Condition, CreativeAssignment};
    let world = World::small(|account| {
        account.creatives.push(creative(2, 1));
        account.line_items[0].creatives = [(1, 3), (2, 1)]
            .map(|(id, weight)| CreativeAssignment {
                creative: CreativeId(id),
                weight,
                when: Condition::default(),
            })
            .to_vec();
    });
    let mut server = Server::new(&world);
    let first = (0..800).filter(|id| {
        let body = plain(|request| request["id"] = id.to_string().into());
        server.decide(&world, 1, &body, |_, decided| decided.unwrap().bids[0].creative.id == CreativeId(1))
    });
    let first = first.count();
    assert!((540..660).contains(&first), "{first} of 800");
}

#[test]
fn more_candidates_than_may_be_priced_never_cost_a_deal_its_bid() {
    let mut world = World::small(|account| {
        for id in 2..40 {
            account.campaigns.push(campaign(id, 1));
            account.line_items.push(line_item(id, id, 9_000_000 + i64::from(id)));
        }
        account.line_items[0].targeting.deals.include = vec!["d1".to_owned()];
    });
    world.settings.max_candidates = 4;
    let body = plain(|request| {
        request["imp"][0]["pmp"] = serde_json::json!({"deals": [{"id": "d1", "bidfloor": 1}]});
    });
    let bids = Server::new(&world).bids(&world, &body).unwrap();
    let told: Vec<(u32, Option<&str>)> =
        bids.iter().map(|bid| (bid.line_item, bid.deal.as_deref())).collect();
    assert_eq!(told, [(1, Some("d1")), (39, None)]);
}
