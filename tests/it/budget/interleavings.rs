//! Random orders of bids, answers, bills, losses, time, midnights and budget changes against a plain model.

use super::books::{Ask, Bidder, Held, NOON, accounts, budgets, configure, conserved, funding, later};
use outbid::budget::{AccountKey, Bill, BudgetDay, Funding, HouseTotals, Ledger, Posting, Resolution};
use outbid::model::clock::Now;
use outbid::model::ids::{AdvertiserId, BidId, CampaignId, ExchangeId};
use outbid::model::line_item::Budget;
use outbid::model::money::{Cpm, Nanos};
use outbid::model::token::TokenClaims;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const ZONES: [&str; 3] = ["UTC", "America/New_York", "Asia/Kolkata"];
const STALE_MS: i64 = 4 * 3_600_000;

/// A bid that was answered.
struct Bid {
    claims: TokenClaims,
    hold: i64,
    posted: bool,
    voided: bool,
    expired: bool,
}

impl Bid {
    fn is_open(&self) -> bool {
        !self.posted && !self.voided && !self.expired
    }
}

struct Run {
    dice: StdRng,
    ledger: Arc<Ledger>,
    lines: Vec<Funding>,
    bidders: Vec<Bidder>,
    now: Now,
    guards: Vec<Held>,
    bids: Vec<Bid>,
    /// What the model says is charged.
    posted: BTreeMap<AccountKey, i64>,
    house: HouseTotals,
    /// Bids with a stale bill.
    told: BTreeSet<BidId>,
    /// The largest budget that each account ever had; absent = none at some time.
    largest: BTreeMap<AccountKey, Option<i64>>,
    /// The daily budgets that were in force last on each day.
    daily: BTreeMap<AccountKey, Option<Nanos>>,
    /// Posted and leased after the last step.
    exposed: BTreeMap<AccountKey, i64>,
    /// When a core was last refused for a line item.
    refused_ns: BTreeMap<(usize, u32), u64>,
    tally: Tally,
}

/// What a run met.
#[derive(Debug, Default)]
struct Tally {
    held: usize,
    refused: usize,
    accepted: usize,
    late: usize,
    house: usize,
    duplicate: usize,
    stale: usize,
    voided: usize,
    cuts: usize,
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut dice = StdRng::seed_from_u64(seed);
        let cores = dice.random_range(1..=4_usize);
        let ledger = Arc::new(Ledger::in_memory(9, cores as u16, NOON));
        let zones: [&str; 2] = std::array::from_fn(|_| ZONES[dice.random_range(0..3)]);
        let lines: Vec<Funding> = (1..=dice.random_range(1..=5_u32))
            .map(|line| {
                let campaign = dice.random_range(1..=3_u32);
                let advertiser = 1 + campaign % 2;
                let time_zone = zones[advertiser as usize - 1].to_owned();
                let (campaign, advertiser) = (CampaignId(campaign), AdvertiserId(advertiser));
                Funding { campaign, advertiser, time_zone, ..funding(line, 0) }
            })
            .collect();
        let bidders = (0..cores).map(|core| Bidder::new(core as u16, &ledger)).collect();
        let mut run = Run {
            dice,
            ledger,
            lines,
            bidders,
            now: NOON,
            guards: Vec::new(),
            bids: Vec::new(),
            posted: BTreeMap::new(),
            house: HouseTotals::default(),
            told: BTreeSet::new(),
            largest: BTreeMap::new(),
            daily: BTreeMap::new(),
            exposed: BTreeMap::new(),
            refused_ns: BTreeMap::new(),
            tally: Tally::default(),
        };
        run.configure();
        run
    }

    /// New budgets for everything: from nothing over the price of a few bids to plenty.
    fn configure(&mut self) {
        let dice = &mut self.dice;
        let mut some = |of: i64| match dice.random_range(0..6) {
            0 => 0,
            1 | 2 => of * 100,
            _ => dice.random_range(0..of * 6),
        };
        let mut wallets: BTreeMap<AdvertiserId, Nanos> = BTreeMap::new();
        let mut campaigns: BTreeMap<CampaignId, Budget> = BTreeMap::new();
        for line in &mut self.lines {
            line.wallet = *wallets.entry(line.advertiser).or_insert_with(|| Nanos(some(8_000_000)));
            let mut limit = |of: i64| {
                let amount = some(of);
                (amount % 3 != 0).then_some(Nanos(amount))
            };
            let mut budget = || Budget { lifetime: limit(6_000_000), daily: limit(3_000_000) };
            line.campaign_budget = *campaigns.entry(line.campaign).or_insert_with(&mut budget);
            line.line_item_budget = budget();
        }
        configure(&self.ledger, self.lines.clone(), self.now);
        self.tally.cuts += 1;
    }

    fn note_budgets(&mut self) {
        for line in self.lines.clone() {
            let keys = accounts(&line, self.day(&line));
            let all = keys.into_iter().zip(budgets(&line));
            self.daily.extend(
                all.filter(|(key, _)| {
                    matches!(key, AccountKey::CampaignDay(..) | AccountKey::LineItemDay(..))
                }),
            );
        }
    }

    fn step(&mut self) {
        match self.dice.random_range(0..100) {
            0..40 => self.hold(),
            40..52 => self.let_go(),
            52..74 => self.bill(),
            74..84 => self.lose(),
            84..92 => self.wait(),
            92..98 => self.tick(),
            _ => {
                self.configure();
                // A cut may leave an account over its budget; from here on it may not get worse.
                self.expose();
            }
        }
        self.note_budgets();
        self.check();
    }

    /// The civil date by the calendar, not by the ledger.
    fn day(&self, line: &Funding) -> BudgetDay {
        let instant = jiff::Timestamp::from_millisecond(self.now.unix_ms).unwrap();
        let date = instant.in_tz(&line.time_zone).unwrap().date();
        let epoch = jiff::civil::date(1970, 1, 1);
        BudgetDay(epoch.until((jiff::Unit::Day, date)).unwrap().get_days() as u32)
    }

    /// What the budgets leave to a line item on a day: less what is charged and what open bids hold.
    fn room(&self, line: &Funding, day: BudgetDay) -> i64 {
        let keys = accounts(line, day);
        let held = |key: &AccountKey| -> i64 {
            let of = |claims: &TokenClaims, amount: i64| {
                let line = self.line(claims.line_item.0);
                if accounts(line, BudgetDay(claims.budget_day)).contains(key) { amount } else { 0 }
            };
            let open = self.bids.iter().filter(|bid| bid.is_open()).map(|bid| of(&bid.claims, bid.hold));
            let guarded = self.guards.iter().map(|held| of(&held.claims, held.hold.amount().0));
            open.chain(guarded).sum()
        };
        let rooms = keys.iter().zip(budgets(line)).filter_map(|(key, budget)| {
            let budget = self.daily.get(key).copied().unwrap_or(budget);
            Some(budget?.0 - self.posted.get(key).copied().unwrap_or(0) - held(key))
        });
        rooms.min().unwrap()
    }

    fn line(&self, id: u32) -> &Funding {
        &self.lines[id as usize - 1]
    }

    fn ask(&mut self) -> Ask {
        let dice = &mut self.dice;
        Ask {
            line_item: dice.random_range(1..=self.lines.len() as u32),
            price: [1, 300_000, 700_001, 1_500_000][dice.random_range(0..4)],
            fee: [0, 0, 333_333][dice.random_range(0..3)],
            platform_ppm: [0, 70_001][dice.random_range(0..2)],
            life_s: [2, 30, 600, 7_200][dice.random_range(0..4)],
        }
    }

    fn hold(&mut self) {
        let (ask, core) = (self.ask(), self.dice.random_range(0..self.bidders.len()));
        let line = self.line(ask.line_item).clone();
        let day = self.day(&line);
        let room = self.room(&line, day);
        let asker = (core, ask.line_item);
        match self.bidders[core].bid(ask, self.now) {
            Ok(held) => {
                assert!(ask.amount().0 <= room, "held {} of {room}", ask.amount());
                assert_eq!(held.claims.budget_day, day.0);
                self.guards.push(held);
                self.tally.held += 1;
            }
            Err(_) => {
                // A core that was refused may wait up to 640 ms before it asks again.
                let waits = self.refused_ns.get(&asker).is_some_and(|at| self.now.mono_ns - at < 640_000_000);
                assert!(waits || room < ask.amount().0, "refused {} of {room}", ask.amount());
                if !waits {
                    self.refused_ns.insert(asker, self.now.mono_ns);
                }
                self.tally.refused += 1;
            }
        }
    }

    /// Answers some bids and drops others.
    fn let_go(&mut self) {
        for held in std::mem::take(&mut self.guards) {
            if self.dice.random_ratio(3, 4) {
                let hold = held.hold.amount().0;
                held.hold.keep();
                self.bids.push(Bid {
                    claims: held.claims,
                    hold,
                    posted: false,
                    voided: false,
                    expired: false,
                });
            }
        }
    }

    fn bill(&mut self) {
        if self.bids.is_empty() {
            return;
        }
        let at = self.dice.random_range(0..self.bids.len());
        let (claims, hold, open) = (self.bids[at].claims, self.bids[at].hold, self.bids[at].is_open());
        let bid_price = claims.price.0;
        let price =
            Cpm([bid_price, bid_price / 2, 0, bid_price + 1, bid_price * 3][self.dice.random_range(0..5)]);
        let asked = outbid::budget::charge(price, &outbid::budget::Terms::of(&claims)).unwrap().0;
        let charged = asked.min(hold);
        assert!(charged <= hold && (price.0 > bid_price || asked <= hold));
        let line = self.line(claims.line_item.0).clone();
        let day = BudgetDay(claims.budget_day);
        let room = self.room(&line, day);
        let old = self.now.unix_ms.div_euclid(1000) - i64::from(claims.issued_s) > STALE_MS / 1000;
        let was_posted = self.bids[at].posted;
        let posting = self.ledger.post(&claims, Bill::at(price), self.now);
        match posting {
            Posting::Duplicate => {
                assert!(was_posted);
                self.tally.duplicate += 1;
                return;
            }
            Posting::Stale => {
                assert!(old);
                // Written down the first time; again only when that is long ago.
                let moved = self.ledger.house().stale.0 - self.house.stale.0;
                let first = self.told.insert(claims.bid);
                assert!(moved == charged || (moved == 0 && !first));
                self.house.stale.0 += moved;
                self.tally.stale += 1;
                return;
            }
            Posting::Accepted { charged: paid } => {
                assert!(open && paid.0 == charged && !old && !was_posted);
                self.tally.accepted += 1;
            }
            Posting::Late { charged: paid, house: Nanos(0) } => {
                // A bill of nothing needs no room.
                assert!(!open && !was_posted && (charged <= room || charged == 0) && paid.0 == charged);
                self.tally.late += 1;
            }
            Posting::Late { charged: paid, house } => {
                assert!(!open && !was_posted && charged > room);
                assert_eq!((paid, house), (Nanos(0), Nanos(charged)));
                self.house.overdelivery.0 += charged;
                self.tally.house += 1;
            }
            Posting::Test | Posting::Unavailable => panic!("no bid is a test, no disk is full"),
        }
        self.house.overprice.0 += asked - charged;
        self.bids[at].posted = true;
        if !matches!(posting, Posting::Late { charged: Nanos(0), .. }) {
            for key in accounts(&line, day) {
                *self.posted.entry(key).or_default() += charged;
            }
        }
    }

    fn lose(&mut self) {
        if self.bids.is_empty() {
            return;
        }
        let at = self.dice.random_range(0..self.bids.len());
        let bid = &mut self.bids[at];
        let expected = match (bid.posted, bid.is_open()) {
            (true, _) => Resolution::Contradictory,
            (false, true) => Resolution::Voided,
            (false, false) => Resolution::Duplicate,
        };
        let resolution = self.ledger.void(&bid.claims);
        let old = self.now.unix_ms - i64::from(bid.claims.issued_s) * 1000 > STALE_MS;
        // What is too old to be known is ignored.
        assert!(
            resolution == expected || (old && resolution == Resolution::Ignored),
            "{resolution:?} {expected:?}"
        );
        bid.voided |=
            resolution == Resolution::Voided || (resolution == Resolution::Duplicate && !bid.posted);
        self.tally.voided += usize::from(resolution == Resolution::Voided);
    }

    /// Requests end within a millisecond, so no guard outlives a step of the clock.
    fn wait(&mut self) {
        self.let_go();
        let ms = [1, 30, 700, 5_000, 60_000, 3_600_000, 9_000_000][self.dice.random_range(0..7)];
        self.now = later(self.now, ms);
    }

    fn tick(&mut self) {
        self.let_go();
        self.ledger.tick(self.now);
        let now_s = self.ledger.gates().gate(ExchangeId(1)).ear_s();
        self.bids.iter_mut().filter(|bid| bid.claims.bucket.slot < now_s).for_each(|bid| bid.expired = true);
    }

    fn expose(&mut self) {
        let exposed = self.ledger.balances().into_iter().map(|(key, b)| (key, b.posted.0 + b.leased.0));
        self.exposed = exposed.collect();
    }

    fn check(&mut self) {
        conserved(&self.ledger);
        assert_eq!(self.ledger.house(), self.house);
        for (key, balance) in self.ledger.balances() {
            assert_eq!(balance.posted.0, self.posted.get(&key).copied().unwrap_or(0), "{key:?}");
            let exposed = balance.posted.0 + balance.leased.0;
            let over = balance.budget.is_some_and(|budget| exposed > budget.0);
            let before = self.exposed.get(&key).copied().unwrap_or(0);
            assert!(!over || exposed <= before, "{key:?} went up while over its budget: {balance:?}");
            let budget = balance.budget.map(|budget| budget.0);
            let largest = self.largest.entry(key).or_insert(budget);
            *largest = (*largest).zip(budget).map(|(a, b)| a.max(b));
            assert!(largest.is_none_or(|most| balance.posted.0 <= most), "P1: {key:?} {balance:?}");
        }
        self.expose();
    }

    /// After quiescence: all money is back or charged, and endless demand leaves less than the smallest hold asked for.
    fn finish(&mut self) {
        self.let_go();
        self.now = later(self.now, 8_000_000);
        self.tick();
        self.check();
        assert!(conserved(&self.ledger).values().all(|held| *held == 0), "something stays held");
        let asks: Vec<Ask> = (1..=self.lines.len() as u32).map(|line| Ask::of(line, 100_003)).collect();
        // Few enough to be quick: the rest is spent in one bid.
        for line in 1..=self.lines.len() as u32 {
            self.now = later(self.now, 1_000);
            let rest = self.room(self.line(line), self.day(self.line(line))) - 10 * 100_003;
            if rest > 0 {
                let held = self.bidders[0].bid(Ask::of(line, rest), self.now).expect("there is room");
                self.guards.push(held);
            }
        }
        loop {
            self.now = later(self.now, 1_000);
            let mut any = false;
            for ask in &asks {
                for bidder in &mut self.bidders {
                    if let Ok(held) = bidder.bid(*ask, self.now) {
                        self.guards.push(held);
                        any = true;
                    }
                }
            }
            if !any {
                break;
            }
        }
        for ask in &asks {
            let line = self.line(ask.line_item);
            assert!(self.room(line, self.day(line)) < ask.amount().0, "money lies idle");
        }
        conserved(&self.ledger);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_books_agree_with_the_model_in_any_order(seed: u64) {
        let mut run = Run::new(seed);
        (0..150).for_each(|_| run.step());
        run.finish();
    }
}

#[test]
fn the_interleavings_meet_every_case() {
    let mut sum = Tally::default();
    for seed in 0..60 {
        let mut run = Run::new(seed);
        (0..300).for_each(|_| run.step());
        let met = run.tally;
        sum.held += met.held;
        sum.refused += met.refused;
        sum.accepted += met.accepted;
        sum.late += met.late;
        sum.house += met.house;
        sum.duplicate += met.duplicate;
        sum.stale += met.stale;
        sum.voided += met.voided;
        sum.cuts += met.cuts;
    }
    let counts = [
        sum.held,
        sum.refused,
        sum.accepted,
        sum.late,
        sum.house,
        sum.duplicate,
        sum.stale,
        sum.voided,
        sum.cuts,
    ];
    assert!(counts.iter().all(|count| *count > 40), "{sum:?}");
}
