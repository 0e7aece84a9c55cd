//! The funnel counts what was decided: each request once, for every line item where it got furthest.

use super::run::{Server, request};
use super::world::{Dice, World};
use bumpalo::Bump;
use outbid::budget::CoreBudget;
use outbid::engine::funnel::{Table, Tally, Writer};
use outbid::engine::{BidIds, Core, Deadline, Explanation, decide, missed};
use outbid::exchange::{Limits, parse};
use outbid::model::auction::Auction;
use outbid::model::funnel::{Counted, Ends};
use outbid::model::ids::LineItemId;
use outbid::model::no_bid::NoBidReason;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// One core that counts.
struct Counter {
    tally: Tally,
    writer: Writer,
}

impl Counter {
    fn new(table: &Arc<Table>, core: usize) -> Counter {
        Counter { tally: Tally::default(), writer: Writer::new(Arc::clone(table), core) }
    }

    /// Decides a request and counts it; returns why it got no bid, or the line items that bid.
    fn count(
        &mut self,
        world: &World,
        server: &mut Server,
        exchange: u16,
        auction: &Auction<'_>,
    ) -> Result<BTreeSet<LineItemId>, NoBidReason> {
        let arena = Bump::new();
        let request = request(world, exchange, auction, server.now, &arena);
        let (core, budget) = (&mut server.core, &mut server.budget);
        let decided = decide(&request, core, budget, &Deadline::never(), &mut self.tally.watch());
        let told = match &decided {
            Ok(decision) => Ok(decision.bids.iter().map(|bid| bid.claims.line_item).collect()),
            Err(reason) => Err(*reason),
        };
        drop(decided);
        let position = world.snapshot.catalog.exchanges().iter().position(|e| e.id.0 == exchange).unwrap();
        self.tally.commit(&self.writer, (position, auction), told.as_ref().err().copied(), false);
        told
    }
}

/// Where each line item that was found for any impression may have ended, by what is explained.
fn explained(world: &World, explanation: &Explanation) -> BTreeMap<LineItemId, NoBidReason> {
    let mut furthest = BTreeMap::new();
    for imp in &explanation.imps {
        for ix in &imp.candidates {
            let id = world.snapshot.catalog.line_item(*ix).item.id;
            let verdict = imp.verdicts.iter().find(|verdict| verdict.line_item == id).unwrap();
            let Some(reason) = verdict.reason else { continue };
            let known = furthest.entry(id).or_insert(reason);
            *known = reason.max(*known);
        }
    }
    furthest
}

fn only_cell(ends: &Ends) -> u8 {
    let cells: Vec<(u8, u64)> = ends.cells().collect();
    assert!(matches!(cells[..], [(_, 1)]), "{cells:?}");
    cells[0].0
}

fn compare(seed: u64, line_items: usize) {
    let mut dice = Dice::new(seed);
    let world = World::random(&mut dice, line_items);
    let table = Arc::new(Table::new(&world.snapshot.catalog, 2));
    let mut server = Server::new(&world);
    let mut counter = Counter::new(&table, 1);
    for nth in 0..5 {
        let (exchange, body) = (dice.within(1..4) as u16, dice.request(nth));
        // A core that has just returned a lease asks for another one a moment later.
        server.now.mono_ns += 1_000_000_000;
        let arena = Bump::new();
        let auction = parse(&body, &Limits::default(), &arena).unwrap();
        let explanation = server.explain(&world, exchange, &body);
        let told = counter.count(&world, &mut server, exchange, &auction);
        let Counted { exchanges, line_items, deals: _ } = table.drain();
        if auction.test {
            assert!(exchanges.is_empty() && line_items.is_empty());
            continue;
        }
        let [(id, ends)] = &exchanges[..] else { panic!("{exchanges:?}") };
        assert_eq!((id.0, ends.requests()), (exchange, 1));
        let found: BTreeSet<LineItemId> = (explanation.imps.iter())
            .flat_map(|imp| imp.candidates.iter().map(|ix| world.snapshot.catalog.line_item(*ix).item.id))
            .collect();
        let counted: BTreeSet<LineItemId> = line_items.iter().map(|(id, _)| *id).collect();
        assert_eq!(counted, found);
        if found.is_empty() {
            assert_eq!(ends.whole.of(told.unwrap_err()), 1);
            continue;
        }
        let bids = told.unwrap_or_default();
        let may_be = explained(&world, &explanation);
        let has_deals = |id: LineItemId| {
            world.account.line_items.iter().any(|line| line.id == id && line.targeting.wants_deals())
        };
        let mut furthest = 0;
        for (id, ends) in &line_items {
            let cell = only_cell(ends);
            furthest = furthest.max(cell);
            match (cell, bids.contains(id)) {
                (Ends::BID, true) => {}
                // Nobody looks closer at whom another one beats anyway.
                (beaten, false) if beaten == Ends::cell(NoBidReason::LostInternal) => {}
                // On several deals only one of those that were looked at counts.
                (cell, false) if has_deals(*id) => {
                    assert!(may_be.get(id).is_none_or(|reason| cell <= Ends::cell(*reason)), "{id}: {cell}");
                }
                (cell, false) => assert_eq!(Some(cell), may_be.get(id).copied().map(Ends::cell), "{id}"),
                (cell, true) => panic!("{id} bids, and counts in cell {cell}"),
            }
        }
        assert_eq!(only_cell(&ends.found), furthest);
    }
}

/// Why line items were not found is what is explained.
fn compare_missed(seed: u64, line_items: usize) {
    let mut dice = Dice::new(seed);
    let world = World::random(&mut dice, line_items);
    let server = Server::new(&world);
    for nth in 0..3 {
        let (exchange, body) = (dice.within(1..4) as u16, dice.request(nth));
        let arena = Bump::new();
        let auction = parse(&body, &Limits::default(), &arena).unwrap();
        let request = request(&world, exchange, &auction, server.now, &arena);
        let mut told = BTreeMap::new();
        let mut core = Core::new(BidIds::new(0, 0));
        let looked = missed(&request, &mut core, &server.ledger, |ix, reason| {
            assert!(told.insert(world.snapshot.catalog.line_item(ix).item.id, reason).is_none());
        });
        let explanation = server.explain(&world, exchange, &body);
        let refused = |reason: Option<NoBidReason>| reason.is_some_and(|r| r < NoBidReason::NoMatch);
        let open: Vec<_> = explanation.imps.iter().filter(|imp| !refused(imp.no_bid)).collect();
        if refused(explanation.no_bid) && explanation.imps.iter().all(|imp| imp.no_bid.is_none()) || !looked {
            assert!(told.is_empty());
            continue;
        }
        let found: BTreeSet<LineItemId> = (open.iter())
            .flat_map(|imp| imp.candidates.iter().map(|ix| world.snapshot.catalog.line_item(*ix).item.id))
            .collect();
        for line in &world.account.line_items {
            let verdict = |id| {
                let all = open.iter().flat_map(|imp| &imp.verdicts);
                all.filter(|verdict| verdict.line_item == id).filter_map(|verdict| verdict.reason).max()
            };
            let expected = if found.contains(&line.id) { None } else { verdict(line.id) };
            assert_eq!(told.get(&line.id).copied(), expected, "{}", line.id);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_line_item_counts_where_it_got_furthest(seed: u64, line_items in 0..30_usize) {
        compare(seed, line_items);
    }

    #[test]
    fn a_sample_tells_what_is_explained(seed: u64, line_items in 0..30_usize) {
        compare_missed(seed, line_items);
    }
}

/// In every drain, while four cores count: all requests of a line item are refused, not found or found.
#[test]
fn every_drain_adds_up_under_concurrent_load() {
    const CORES: u64 = 4;
    const REQUESTS: u64 = 3_000;
    let world = World::random(&mut Dice::new(5), 25);
    let table = Arc::new(Table::new(&world.snapshot.catalog, CORES as usize));
    let ledger = world.ledger();
    let running = AtomicBool::new(true);
    let (mut requests, mut drains, mut of_line_items) = (0, 0, 0);
    let mut check = |counted: &Counted| {
        let all: u64 = counted.exchanges.iter().map(|(_, ends)| ends.requests()).sum();
        let found: u64 = counted.exchanges.iter().map(|(_, ends)| ends.found.sum()).sum();
        for (id, ends) in &counted.line_items {
            assert!(ends.sum() <= found, "{id}: {} of {found}", ends.sum());
        }
        let most = counted.line_items.iter().map(|(_, ends)| ends.sum()).max().unwrap_or(0);
        assert_eq!(most > 0, found > 0);
        of_line_items += counted.line_items.iter().map(|(_, ends)| ends.sum()).sum::<u64>();
        requests += all;
        drains += u64::from(all > 0);
    };
    let expected = std::thread::scope(|scope| {
        let cores: Vec<_> = (0..CORES)
            .map(|core| {
                let (world, table, ledger) = (&world, &table, &ledger);
                scope.spawn(move || {
                    let mut server = Server {
                        core: Core::new(BidIds::new(9, core as u16)),
                        budget: CoreBudget::new(core as u16, Arc::clone(ledger)),
                        ledger: Arc::clone(ledger),
                        now: super::world::NOON,
                    };
                    let mut counter = Counter::new(table, core as usize);
                    let mut dice = Dice::new(core);
                    let mut counted = 0;
                    for nth in 0..REQUESTS {
                        let body = dice.request(nth as usize % 40);
                        let arena = Bump::new();
                        let auction = parse(&body, &Limits::default(), &arena).unwrap();
                        counted += u64::from(!auction.test);
                        let _told = counter.count(world, &mut server, 1 + (nth % 3) as u16, &auction);
                    }
                    counter.writer.flush(&mut counter.tally);
                    counted
                })
            })
            .collect();
        let drainer = scope.spawn(|| {
            while running.load(Relaxed) {
                check(&table.drain());
            }
            check(&table.drain());
        });
        let expected: u64 = cores.into_iter().map(|core| core.join().unwrap()).sum();
        running.store(false, Relaxed);
        drainer.join().unwrap();
        expected
    });
    assert_eq!(requests, expected);
    assert!(drains > 10 && of_line_items > requests, "{drains} drains, {of_line_items} ends");
}

#[test]
fn counting_allocates_nothing() {
    let world = World::random(&mut Dice::new(5), 25);
    let table = Arc::new(Table::new(&world.snapshot.catalog, 2));
    let mut server = Server::new(&world);
    let mut counter = Counter::new(&table, 1);
    let mut dice = Dice::new(5);
    for nth in 0..50 {
        let body = dice.request(nth);
        let arena = Bump::new();
        let auction = parse(&body, &Limits::default(), &arena).unwrap();
        let mut most = 0;
        for round in 0..3 {
            let arena = Bump::with_capacity(1 << 20);
            let request = request(&world, 1, &auction, server.now, &arena);
            let (core, budget) = (&mut server.core, &mut server.budget);
            let (tally, writer) = (&mut counter.tally, &counter.writer);
            let refused = decide(&request, core, budget, &Deadline::never(), &mut tally.watch()).err();
            let measured =
                allocation_counter::measure(|| tally.commit(writer, (0, &auction), refused, false));
            most = if round == 0 { 0 } else { most.max(measured.count_total) };
        }
        assert_eq!(most, 0, "request {nth}");
    }
}
