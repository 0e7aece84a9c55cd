//! Trials A3, A4, A7, A11 and A12 told as stories, beside the seeds of the simulator that meet them in passing.

use super::books::{Ask, Bidder, NOON, configure, conserved, funding, later, ledger_of};
use outbid::budget::{
    AccountKey, Bill, Books, ExchangeReport, ExchangeTerms, Funding, GateState, Ledger, NoLog, Posting,
    RunawayRule,
};
use outbid::model::clock::{Clock, Now};
use outbid::model::ids::{AdvertiserId, ExchangeId};
use outbid::model::money::{Cpm, Currency, Nanos};
use outbid::model::rates::Rates;
use outbid::model::token::TokenClaims;
use outbid::telemetry::clock::SystemClock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

const PRICE: i64 = 1_000_000;

fn charged(ledger: &Ledger) -> i64 {
    ledger.balance(AccountKey::Wallet(AdvertiserId(1))).posted.0
}

/// A3: grants that do not come for half a minute, and then come twice over. No bid is made from a grant that is not
/// synced, what was asked for in vain does not pile up, and bids are back at once.
#[test]
fn a3_bids_wait_for_delayed_grants_and_go_on_when_they_come() {
    const WALLET: i64 = 1_000 * PRICE;
    let ledger = Arc::new(Ledger::stepped(Books::default(), Box::new(NoLog), 9, 2, NOON).unwrap());
    configure(&ledger, [funding(1, WALLET)], NOON);
    let mut bidders = [0, 1].map(|core| Bidder::new(core, &ledger));
    let mut now = NOON;
    let mut made = 0;
    let mut round = |now: Now| -> usize {
        bidders.iter_mut().map(|bidder| usize::from(bidder.answer(Ask::of(1, PRICE), now).is_ok())).sum()
    };
    // A first grant is for the smallest hold there is, so everything waits for the ledger from the beginning.
    for _ in 0..300 {
        now = later(now, 100);
        made += round(now);
    }
    assert_eq!(made, 0);
    assert!(ledger.waiting() <= 4, "{} asks pile up", ledger.waiting());
    while ledger.step(now).unwrap() {}
    assert_eq!(round(now), 0, "a grant is no money before it is synced");
    ledger.sync().unwrap();
    let healed = now;
    while round(now) == 0 {
        now = later(now, 1);
        while ledger.step(now).unwrap() {}
        ledger.sync().unwrap();
    }
    let took_ms = (now.mono_ns - healed.mono_ns) / 1_000_000;
    eprintln!("bids are back {took_ms} ms after the grants");
    assert!(took_ms <= 2 * 5_000);
    let held = conserved(&ledger)[&AccountKey::Wallet(AdvertiserId(1))];
    assert!(held <= WALLET, "{held}");
}

/// A4: a wallet is cut to nothing under four cores that bid as fast as they can. When the edit returns, no bid is made
/// any more, and what is charged in the end is within the largest budget there was.
#[test]
fn a4_a_cut_takes_effect_before_the_edit_returns() {
    const WALLET: i64 = 1_000_000_000_000;
    let clock = Arc::new(SystemClock::new());
    let started =
        Ledger::start(Books::default(), Box::new(NoLog), 9, 4, Arc::clone(&clock) as Arc<dyn Clock>);
    let ledger = Arc::new(started.unwrap().0);
    configure(&ledger, [funding(1, WALLET)], clock.now());
    let (last_ns, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let (asked_ns, done_ns) = std::thread::scope(|scope| {
        for core in 0..4 {
            let (ledger, clock, last_ns, stop) = (&ledger, &clock, &last_ns, &stop);
            scope.spawn(move || {
                let mut bidder = Bidder::new(core, ledger);
                while !stop.load(Relaxed) {
                    let now = clock.now();
                    if bidder.answer(Ask::of(1, 1_000), now).is_ok() {
                        last_ns.fetch_max(now.mono_ns, Relaxed);
                    }
                }
            });
        }
        std::thread::sleep(Duration::from_millis(200));
        let asked_ns = clock.mono_ns();
        configure(&ledger, [funding(1, 0)], clock.now());
        let done_ns = clock.mono_ns();
        std::thread::sleep(Duration::from_millis(200));
        stop.store(true, Relaxed);
        (asked_ns, done_ns)
    });
    let last_ns = last_ns.into_inner();
    eprintln!(
        "the cut took {} µs, the last bid began {} µs into it",
        (done_ns - asked_ns) / 1_000,
        last_ns.saturating_sub(asked_ns) / 1_000
    );
    assert!(last_ns > 0 && last_ns <= done_ns, "a bid began {} ns after the edit", last_ns - done_ns);
    assert!(done_ns - asked_ns < 1_000_000_000);
    let balance = ledger.balance(AccountKey::Wallet(AdvertiserId(1)));
    assert!(balance.posted.0 + balance.leased.0 <= WALLET, "{balance:?}");
    assert_eq!(
        conserved(&ledger)[&AccountKey::Wallet(AdvertiserId(1))],
        balance.leased.0,
        "only open bids are left"
    );
}

/// A7: bills after the end of a campaign. What was held when it ended is charged, what had expired is the house's, and
/// neither is charged twice.
#[test]
fn a7_a_bill_after_the_campaign_s_end_is_charged_to_what_was_held_or_to_the_house() {
    let ended = |line: Funding| Funding { wallet: Nanos(0), ..line };
    let ledger = ledger_of(1, [funding(1, 3 * PRICE)]);
    let mut bidder = Bidder::new(0, &ledger);
    let expired = bidder.answer(Ask { life_s: 10, ..Ask::of(1, PRICE) }, NOON).unwrap();
    let held = bidder.answer(Ask { life_s: 600, ..Ask::of(1, PRICE) }, NOON).unwrap();
    let end = later(NOON, 60_000);
    ledger.tick(end);
    configure(&ledger, [ended(funding(1, 0))], end);
    let bill = |claims: &TokenClaims| ledger.post(claims, Bill::at(claims.price), later(end, 5_000));
    assert_eq!(bill(&held), Posting::Accepted { charged: Nanos(PRICE) });
    assert_eq!(bill(&expired), Posting::Late { charged: Nanos(0), house: Nanos(PRICE) });
    assert_eq!((bill(&held), bill(&expired)), (Posting::Duplicate, Posting::Duplicate));
    assert_eq!((charged(&ledger), ledger.house().overdelivery), (PRICE, Nanos(PRICE)));
    conserved(&ledger);
}

/// What may happen to one bid.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Happens {
    Bill(i64),
    Loss,
    Expiry,
}

/// All orders of `left`, each after `done`.
fn orders(done: &mut Vec<Happens>, left: &[Happens], each: &mut impl FnMut(&[Happens])) {
    if left.is_empty() {
        each(done);
    }
    for at in 0..left.len() {
        let mut rest = left.to_vec();
        done.push(rest.remove(at));
        orders(done, &rest, each);
        done.pop();
    }
}

/// A12: three bills of different prices, two losses and the hold's end, in all 720 orders, with and without somebody
/// who takes every nano that comes back. The first bill counts and no other does; the wallet is never overdrawn.
#[test]
fn a12_bills_and_losses_in_every_order_charge_the_first_bill_once() {
    use Happens::{Bill as Billed, Expiry, Loss};
    let all = [Billed(PRICE), Billed(PRICE / 2), Billed(3 * PRICE), Loss, Loss, Expiry];
    let mut counts = [0; 3];
    orders(&mut Vec::new(), &all, &mut |order| {
        for rival in [false, true] {
            let ledger = ledger_of(2, [funding(1, PRICE)]);
            let (mut bidder, mut thief) = (Bidder::new(0, &ledger), Bidder::new(1, &ledger));
            let bid = bidder.answer(Ask::of(1, PRICE), NOON).unwrap();
            let (mut now, mut first, mut gone, mut stolen) = (NOON, None, false, 0);
            for happens in order {
                now = later(now, 1_000);
                match *happens {
                    Loss => {
                        ledger.void(&bid);
                    }
                    Expiry => {
                        now = later(now, 200_000);
                        ledger.tick(now);
                    }
                    Billed(price) => {
                        let posting = ledger.post(&bid, Bill::at(Cpm(price)), now);
                        let due = Nanos(price.min(PRICE));
                        let room = charged(&ledger) + due.0 <= PRICE;
                        match (first, gone) {
                            (Some(_), _) => assert_eq!(posting, Posting::Duplicate, "{order:?}"),
                            (None, false) => {
                                assert_eq!(posting, Posting::Accepted { charged: due }, "{order:?}")
                            }
                            (None, true) => {
                                let Posting::Late { charged, house } = posting else { panic!("{posting:?}") };
                                assert_eq!(charged.0 + house.0, due.0, "{order:?}");
                                assert!(house == Nanos(0) || charged == Nanos(0), "{order:?}");
                                assert!(room || charged == due || stolen > 0, "{order:?}: {posting:?}");
                            }
                        }
                        counts[usize::from(gone) + usize::from(gone && stolen > 0)] +=
                            u32::from(first.is_none());
                        first.get_or_insert(price);
                    }
                }
                gone |= !matches!(happens, Billed(_));
                let greedy = Ask { life_s: 7_000, ..Ask::of(1, PRICE / 2) };
                while rival && let Ok(taken) = thief.answer(greedy, later(now, 700)) {
                    ledger.post(&taken, Bill::at(taken.price), now);
                    stolen += taken.price.0;
                }
            }
            let first = first.unwrap();
            let house = ledger.house();
            assert_eq!(house.overprice.0, (first - PRICE).max(0), "{order:?}");
            assert_eq!(charged(&ledger) + house.overdelivery.0, stolen + first.min(PRICE), "{order:?}");
            assert!(charged(&ledger) <= PRICE, "{order:?}");
            conserved(&ledger);
        }
    });
    assert!(counts.iter().all(|count| *count > 50), "accepted, late, and late beside a rival: {counts:?}");
}

/// What became of the notices that an exchange sent into the black hole.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Fate {
    /// They come when it ends.
    Delivered,
    /// They come ten minutes after it has ended.
    Later,
    /// They never come.
    Lost,
}

/// An exchange on a ledger of its own: a bid every 100 ms, each billed after two seconds.
struct Exchange {
    ledger: Arc<Ledger>,
    bidder: Bidder,
    now: Now,
    due: Vec<(u64, TokenClaims)>,
    bids: u64,
}

impl Exchange {
    fn start() -> Exchange {
        let ledger = Arc::new(Ledger::in_memory(9, 1, NOON));
        let terms = ExchangeTerms {
            id: ExchangeId(1),
            currency: Currency::USD,
            first_trust: None,
            house_day_max: Some(Nanos(20 * PRICE)),
            deaf_check: true,
            lives_s: [120; 4],
            max_hold_s: 7_200,
        };
        let rates = Arc::new(Rates::new(Currency::USD));
        ledger.configure_exchanges(vec![terms], rates, RunawayRule::default(), NOON);
        configure(&ledger, [funding(1, 100_000 * PRICE)], NOON);
        let bidder = Bidder::new(0, &ledger);
        Exchange { ledger, bidder, now: NOON, due: Vec::new(), bids: 0 }
    }

    fn report(&self) -> ExchangeReport {
        self.ledger.exchange_reports(self.now).remove(0)
    }

    fn bill(&self, claims: &TokenClaims) -> Posting {
        self.ledger.post(claims, Bill::at(claims.price), self.now)
    }

    /// So many seconds. Bills that are due come, or are kept by `hole`.
    fn pass(&mut self, seconds: u64, hole: &mut Option<Vec<TokenClaims>>) {
        for step in 0..seconds * 10 {
            self.now = later(self.now, 100);
            if step % 10 == 0 {
                self.ledger.tick(self.now);
            }
            if let Ok(claims) = self.bidder.answer(Ask::of(1, PRICE), self.now) {
                self.due.push((self.now.mono_ns + 2_000_000_000, claims));
                self.bids += 1;
            }
            let now_ns = self.now.mono_ns;
            let ripe: Vec<_> =
                self.due.extract_if(.., |(at, _)| *at <= now_ns).map(|(_, claims)| claims).collect();
            match hole {
                Some(hole) => hole.extend(ripe),
                None => ripe.iter().for_each(|claims| {
                    self.bill(claims);
                }),
            }
        }
    }
}

/// A11: for ten minutes no notice comes through; then they are delivered, delivered late, or lost.
#[test]
fn a11_a_black_hole_of_ten_minutes_costs_the_house_its_bound_at_most_and_ends_by_itself() {
    for fate in [Fate::Delivered, Fate::Later, Fate::Lost] {
        let mut exchange = Exchange::start();
        exchange.pass(120, &mut None);
        assert_eq!(exchange.report().state, GateState::Open);
        let before = exchange.bids;
        let mut hole = Some(Vec::new());
        exchange.pass(30, &mut hole);
        let noticed = exchange.report();
        assert!(noticed.is_deaf && noticed.state == GateState::Probing, "{noticed:?}");
        let probed = exchange.bids;
        exchange.pass(570, &mut hole);
        let probes = exchange.bids - probed;
        assert!((500..=650).contains(&probes), "{probes} probes in 570 s of 5,700 requests");
        let (bound, kept) = (exchange.report().bound, hole.take().unwrap());
        let deliver = |exchange: &Exchange| -> Vec<Posting> {
            kept.iter().map(|claims| exchange.bill(claims)).collect()
        };
        match fate {
            Fate::Delivered => {
                let postings = deliver(&exchange);
                // Nothing expired while nobody could be heard.
                assert!(postings.iter().all(|p| matches!(p, Posting::Accepted { .. })), "{postings:?}");
            }
            Fate::Later | Fate::Lost => {}
        }
        exchange.pass(10, &mut None);
        assert_eq!(exchange.report().state, GateState::Open, "the probes found the way back: {fate:?}");
        exchange.pass(590, &mut None);
        if fate == Fate::Later {
            assert!(deliver(&exchange).iter().all(|p| matches!(p, Posting::Late { .. })));
        }
        let charges = (exchange.bids - exchange.due.len() as u64) as i64;
        let lost = if fate == Fate::Lost { kept.len() as i64 } else { 0 };
        assert_eq!(charged(&exchange.ledger), (charges - lost) * PRICE, "{fate:?}");
        assert!(exchange.report().house_today <= bound, "{fate:?}");
        assert!(kept.len() as u64 >= exchange.bids.min(before) / 4, "{} bids fell into the hole", kept.len());
        conserved(&exchange.ledger);
    }
}
