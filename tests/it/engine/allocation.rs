//! After warm-up parsing, deciding and answering allocate nothing for a plain banner, and hardly anything otherwise.

use super::request::plain;
use super::run::Server;
use super::world::{Dice, World};
use bumpalo::Bump;
use outbid::budget::Hold;
use outbid::engine::{Deadline, NoObserver, Request, decide};
use outbid::exchange::respond::{self, Response};
use outbid::exchange::{Limits, Place, parse};
use outbid::model::taxonomy::ExternalSegment;
use serde_json::json;

/// Allocations of a request after the same core has seen it before, the clock moving on; and how many bids it got.
/// Where answers are not kept, no budget runs out and no line item needs its first lease in the middle.
fn allocations(world: &World, body: &[u8], keep: bool) -> (u64, usize) {
    let mut server = Server::new(world);
    let mut arena = Bump::new();
    let mut out = Vec::new();
    let (mut most, mut bids) = (0, 0);
    for round in 0..40 {
        arena.reset();
        out.clear();
        server.now.mono_ns += 10_000_000;
        server.now.unix_ms += 10;
        let measured =
            allocation_counter::measure(|| bids = line(world, &mut server, body, &arena, &mut out, keep));
        // By then a core has asked for its second grant, which lasts for two seconds; the ledger works elsewhere.
        if round >= 12 {
            most = most.max(measured.count_total);
        }
    }
    (most, bids)
}

/// The straight line of one request: parse, decide, write, keep.
fn line(
    world: &World,
    server: &mut Server,
    body: &[u8],
    arena: &Bump,
    out: &mut Vec<u8>,
    keep: bool,
) -> usize {
    let auction = parse(body, &Limits::default(), arena).unwrap();
    let request = Request {
        auction: &auction,
        profile: world.profile(1),
        snapshot: &world.snapshot,
        audience: &world.audience,
        remembered: None,
        frequency: None,
        id_key: &world.id_key,
        settings: &world.settings,
        now: server.now,
        arena,
    };
    let (core, budget) = (&mut server.core, &mut server.budget);
    let Ok(decision) = decide(&request, core, budget, &Deadline::never(), &mut NoObserver) else { return 0 };
    let response = Response {
        request_id: auction.id,
        bids: &decision.bids,
        profile: request.profile,
        keys: &world.keys,
        urls: &world.urls,
        place: Place::of(&auction.channel),
    };
    let written = respond::write(&response, out);
    if keep {
        decision.holds.into_iter().for_each(Hold::keep);
    }
    written.bids
}

#[test]
fn a_plain_banner_request_allocates_nothing() {
    let world = World::small(|_| {});
    let (count, bids) = allocations(&world, &plain(|_| {}), true);
    assert_eq!((count, bids), (0, 1));
    let agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148";
    let body = plain(|request| request["device"] = json!({"ua": agent, "geo": {"country": "USA"}}));
    assert_eq!(allocations(&world, &body, true), (0, 1));
}

#[test]
fn any_other_request_allocates_hardly_anything() {
    let world = World::small(|account| account.line_items[0].targeting.deals.include = vec!["d1".to_owned()]);
    let body = plain(|request| {
        request["id"] = json!("with \"escapes\" \u{2028}");
        request["imp"][0]["pmp"] =
            json!({"private_auction": 1, "deals": [{"id": "d1", "at": 3, "bidfloor": 1.5}]});
        request["user"]["eids"] = json!([{"source": "x.example", "uids": [{"id": "1"}, {"id": "2"}]}]);
        request["bcat"] = json!((0..200).map(|n| format!("IAB{n}")).collect::<Vec<_>>());
    });
    let (count, bids) = allocations(&world, &body, true);
    assert!(count <= 3 && bids == 1, "{count} allocations, {bids} bids");
    let mut dice = Dice::new(21);
    let (mut most, mut answered) = (0, 0);
    for nth in 0..60 {
        let world = World::random(&mut dice, 40);
        let (count, bids) = allocations(&world, &dice.request(nth), false);
        most = most.max(count);
        answered += usize::from(bids > 0);
    }
    assert!(most <= 3, "{most} allocations");
    assert!(answered > 10, "{answered} answered");
}

#[test]
fn what_a_request_says_of_its_user_costs_no_allocation() {
    let world = World::small(|account| {
        let name = |id: u32| ExternalSegment { segtax: 4, provider: None, id: id.to_string() };
        account.segments[0].external = (0..500).map(name).collect();
        account.line_items[0].targeting.segments.any_of = vec![account.segments[0].id];
    });
    let said: Vec<_> = (0..100).map(|id| json!({ "id": id.to_string() })).collect();
    let data = json!([{ "name": "data.example", "segment": said, "ext": { "segtax": 4 } }]);
    let (count, bids) = allocations(&world, &plain(|request| request["user"]["data"] = data), true);
    assert!(count <= 3 && bids == 1, "{count} allocations, {bids} bids");
}

#[test]
fn the_counter_counts() {
    let measured = allocation_counter::measure(|| drop(std::hint::black_box(vec![1_u8; 9])));
    assert_eq!(measured.count_total, 1);
}
