//! Runs the real thing: body → parser → decision → written answer.

use super::world::{NOON, World};
use bumpalo::Bump;
use outbid::budget::{CoreBudget, Hold, Ledger};
use outbid::engine::{
    BidIds, Core, Deadline, Decision, Explanation, NoObserver, Observer, Request, decide, explain,
};
use outbid::exchange::respond::{self, Response};
use outbid::exchange::{Limits, Place, parse};
use outbid::model::auction::Auction;
use outbid::model::bid::Bid;
use outbid::model::clock::Now;
use outbid::model::no_bid::NoBidReason;
use outbid::targeting::LineItemIx;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What one core keeps, and the clock.
pub(super) struct Server {
    pub(super) core: Core,
    pub(super) budget: CoreBudget,
    pub(super) ledger: Arc<Ledger>,
    pub(super) now: Now,
}

impl Server {
    /// Core 1 on fresh books.
    pub(super) fn new(world: &World) -> Server {
        let ledger = world.ledger();
        let budget = CoreBudget::new(1, Arc::clone(&ledger));
        Server { core: Core::new(BidIds::new(9, 1)), budget, ledger, now: NOON }
    }

    /// Decides a request of the exchange with this id and shows the outcome; what `show` does not keep is released.
    pub(super) fn decide<R>(
        &mut self,
        world: &World,
        exchange: u16,
        body: &[u8],
        show: impl FnOnce(&Auction<'_>, Result<Decision<'_, Hold>, NoBidReason>) -> R,
    ) -> R {
        self.observe(world, exchange, body, &mut NoObserver, &Deadline::never(), show)
    }

    pub(super) fn observe<R, O: Observer>(
        &mut self,
        world: &World,
        exchange: u16,
        body: &[u8],
        observer: &mut O,
        deadline: &Deadline<'_>,
        show: impl FnOnce(&Auction<'_>, Result<Decision<'_, Hold>, NoBidReason>) -> R,
    ) -> R {
        let arena = Bump::new();
        let auction = parse(body, &Limits::default(), &arena).unwrap();
        let request = request(world, exchange, &auction, self.now, &arena);
        let decided = decide(&request, &mut self.core, &mut self.budget, deadline, observer);
        show(&auction, decided)
    }

    /// The bids, with their money released.
    pub(super) fn bids(&mut self, world: &World, body: &[u8]) -> Result<Vec<Told>, NoBidReason> {
        self.decide(world, 1, body, |_, decided| Ok(decided?.bids.iter().map(Told::of).collect()))
    }

    /// The answer as it is written, byte for byte, or the reason for none; its holds stay.
    pub(super) fn answer(
        &mut self,
        world: &World,
        exchange: u16,
        body: &[u8],
    ) -> Result<String, NoBidReason> {
        self.decide(world, exchange, body, |auction, decided| {
            let decision = decided?;
            let mut out = Vec::new();
            let response = Response {
                request_id: auction.id,
                bids: &decision.bids,
                profile: world.profile(exchange),
                keys: &world.keys,
                urls: &world.urls,
                place: Place::of(&auction.channel),
            };
            let written = respond::write(&response, &mut out);
            assert_eq!((written.bids, written.skipped.len()), (decision.bids.len(), 0));
            decision.holds.into_iter().for_each(Hold::keep);
            Ok(String::from_utf8(out).unwrap())
        })
    }

    pub(super) fn explain(&self, world: &World, exchange: u16, body: &[u8]) -> Explanation {
        let arena = Bump::new();
        let auction = parse(body, &Limits::default(), &arena).unwrap();
        let request = request(world, exchange, &auction, self.now, &arena);
        explain(&request, &mut Core::new(BidIds::new(0, 0)), &self.ledger)
    }

    /// Per account: what is posted, what is free in leases, what is held. Checks on the way that the leases and the
    /// accounts agree.
    pub(super) fn held(&self) -> i64 {
        let audit = self.ledger.audit();
        for lease in &audit {
            let outstanding = lease.granted.0 - lease.returned.0 - lease.posted.0;
            assert_eq!(outstanding, lease.free.0 + lease.held.0, "{lease:?}");
        }
        for (key, balance) in self.ledger.balances() {
            let leases = audit.iter().filter(|lease| lease.accounts.contains(&key));
            let leased: i64 = leases.map(|l| l.granted.0 - l.returned.0 - l.posted.0).sum();
            assert_eq!(balance.leased.0, leased, "{key:?}");
        }
        let held: i64 = audit.iter().map(|lease| lease.held.0).sum();
        let by_exchange: i64 = self.ledger.held_by_exchange().values().map(|held| held.0).sum();
        assert_eq!(held, by_exchange);
        held
    }
}

pub(super) fn request<'r>(
    world: &'r World,
    exchange: u16,
    auction: &'r Auction<'r>,
    now: Now,
    arena: &'r Bump,
) -> Request<'r> {
    Request {
        auction,
        profile: world.profile(exchange),
        snapshot: &world.snapshot,
        audience: &world.audience,
        remembered: None,
        frequency: None,
        id_key: &world.id_key,
        settings: &world.settings,
        now,
        arena,
    }
}

/// A bid without what it borrows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Told {
    pub(super) imp: String,
    pub(super) line_item: u32,
    pub(super) deal: Option<String>,
    pub(super) micros: i64,
}

impl Told {
    pub(super) fn of(bid: &Bid<'_>) -> Told {
        Told {
            imp: bid.imp_id.to_owned(),
            line_item: bid.claims.line_item.0,
            deal: bid.deal_id.map(str::to_owned),
            micros: bid.price.0,
        }
    }
}

/// Keeps what the index found, per impression.
#[derive(Debug, Default)]
pub(super) struct Found(pub(super) BTreeMap<usize, Vec<LineItemIx>>);

impl Observer for Found {
    fn candidates(&mut self, imp: usize, found: &[LineItemIx]) {
        assert!(self.0.insert(imp, found.to_vec()).is_none(), "an impression is matched once");
    }
}
