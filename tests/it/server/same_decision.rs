//! Trial C3: whichever reader a request went through, the fast one or its oracle, the answer is the same to the last
//! byte. Both lines see the same requests in the same order with books, ids and clock of their own, so that a
//! difference anywhere would also show in everything after it.

use super::{EPOCH, ID_KEY, Setup, token_keys};
use crate::parse::differential::{Seeded, corpus, mutate, tokens};
use bumpalo::Bump;
use outbid::budget::{AccountKey, CoreBudget, Ledger};
use outbid::engine::{self, BidIds, Core, Deadline, NoObserver, Request, Snapshot};
use outbid::exchange::respond::{self, Response};
use outbid::exchange::{Limits, ParseError, Place, parse, parse_reference};
use outbid::model::auction::Auction;
use outbid::model::clock::{Clock, FixedClock, Now};
use outbid::model::ids::AdvertiserId;
use outbid::model::money::{Cpm, Nanos};
use outbid::serve::{Shared, SharedParts};
use std::sync::Arc;

/// Mutated versions of every corpus line.
const MUTATIONS: u64 = 4;

pub(super) type Read = for<'a> fn(&'a [u8], &Limits, &'a Bump) -> Result<Auction<'a>, ParseError>;

/// One straight line without a socket.
pub(super) struct Line {
    read: Read,
    shared: Shared,
    core: Core,
    budget: CoreBudget,
    snapshot: Arc<Snapshot>,
}

/// What a line makes of a body: the answer, empty for 204, or the status of the refusal.
pub(super) type Outcome = Result<Vec<u8>, u16>;

impl Line {
    pub(super) fn new(read: Read) -> Line {
        let clock = FixedClock::at(Now { mono_ns: 5_000_000_000, unix_ms: 1_790_000_000_000 });
        let now = clock.now();
        let parts = Setup::demo().parts(Arc::new(clock));
        // Without a thread: when one comes to lend more would be part of the answer.
        let ledger = Arc::new(Ledger::in_memory(EPOCH, 1, now));
        ledger.configure(parts.snapshots.load().catalog.funding().collect(), now).unwrap();
        let shared = Shared::new(SharedParts { ledger, ..parts });
        let budget = CoreBudget::new(0, Arc::clone(shared.ledger()));
        let snapshot = shared.snapshots().load();
        Line { read, core: Core::new(BidIds::new(EPOCH, 0)), budget, snapshot, shared }
    }

    pub(super) fn answer(&mut self, body: &[u8], clock: &FixedClock, exchange: &str) -> Outcome {
        let arena = Bump::new();
        let auction = (self.read)(body, &Limits::default(), &arena).map_err(|error| error.status())?;
        let settings = engine::Settings {
            seed: 1,
            tracking_is_https: true,
            max_candidates: 256,
            max_charge: Nanos(i64::MAX),
            max_cpm: Cpm::MAX,
            privacy: outbid::privacy::Policy::default(),
        };
        let profile = self.snapshot.catalog.exchange(exchange).unwrap();
        let request = Request {
            auction: &auction,
            profile,
            snapshot: &self.snapshot,
            audience: self.shared.audience(),
            remembered: None,
            frequency: None,
            id_key: &ID_KEY,
            settings: &settings,
            now: clock.now(),
            arena: &arena,
        };
        let decided =
            engine::decide(&request, &mut self.core, &mut self.budget, &Deadline::never(), &mut NoObserver);
        let Ok(decision) = decided else { return Ok(Vec::new()) };
        let (keys, urls) = (token_keys(), outbid::exchange::PublicUrl::parse(super::PUBLIC_URL).unwrap());
        let place = Place::of(&auction.channel);
        let response = Response {
            request_id: auction.id,
            bids: &decision.bids,
            profile,
            keys: &keys,
            urls: &urls,
            place,
        };
        let mut out = Vec::new();
        let written = respond::write(&response, &mut out);
        assert_eq!(written.bids, decision.bids.len());
        decision.holds.into_iter().for_each(|hold| hold.keep());
        Ok(out)
    }
}

#[test]
fn both_readers_lead_to_the_same_answer_byte_for_byte() {
    let mut lines = [Line::new(parse), Line::new(parse_reference)];
    let clock = FixedClock::at(Now { mono_ns: 5_000_000_000, unix_ms: 1_790_000_000_000 });
    let mut bodies: Vec<Vec<u8>> = corpus().into_iter().map(String::into_bytes).collect();
    bodies.extend(
        ["business_owners", "wealthy", "officials"]
            .map(|persona| super::request_of("own", persona, true).to_string().into_bytes()),
    );
    let (mut answered, mut refused, mut all) = (0, 0, 0);
    let mut check = |body: &[u8]| {
        clock.advance_ms(1);
        for exchange in ["demo", "demo2"] {
            let [ours, theirs] = lines.each_mut().map(|line| line.answer(body, &clock, exchange));
            assert_eq!(ours, theirs, "{}", String::from_utf8_lossy(body));
            all += 1;
            answered += usize::from(ours.as_ref().is_ok_and(|answer| !answer.is_empty()));
            refused += usize::from(ours.is_err());
        }
    };
    for (line, body) in (0u64..).zip(&bodies) {
        check(body);
        let found = tokens(body);
        for mutation in 0..MUTATIONS {
            check(&mutate(body, &found, &mut Seeded(line << 32 | 0xc3 << 16 | mutation)));
        }
    }
    let wallet = AccountKey::Wallet(AdvertiserId(1));
    let [ours, theirs] = lines.each_ref().map(|line| line.shared.ledger().balance(wallet));
    assert_eq!(ours, theirs, "the books");
    assert!(answered >= 6, "{answered}");
    eprintln!("{all} decisions compared on both readers: {answered} with bids, {refused} refused");
}
