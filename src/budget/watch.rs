//! What bounds the house (money.md 2.6, 2.7): trust before the first bill, deafness, the house's costs of a day, late
//! bills that make holds live longer, and spending that runs away. Decided by the writer at its ticks and at bills,
//! felt by the cores through the [`Gate`].
//!
//! All amounts here are units: nanos of the exchange's own currency.

use super::books::{Books, Violation};
use super::gate::{Gate, GateState, Gates};
use super::house::{DAY_S, ExchangeBook, Stop};
use super::planted::{self, Bug};
use super::record::{self, Event, Funding};
use super::traffic::Traffic;
use super::writer::{Effect, LedgerWriter};
use crate::model::clock::Now;
use crate::model::ids::{AdvertiserId, ExchangeId, LineItemId};
use crate::model::money::{Currency, Nanos};
use crate::model::rates::{Rate, Rates};
use crate::model::token::{HoldFormat, TokenClaims};
use hdrhistogram::Histogram;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// One unit of a currency.
const UNIT: i64 = 1_000_000_000;
/// What the house bears in a day at most: this share of the day before, in millionths, and at least so many units.
const HOUSE_SHARE_PPM: i128 = 5_000;
const HOUSE_AT_LEAST: i64 = 10 * UNIT;
/// An exchange is deaf when so many bills were expected since its last one.
const EXPECTED_BILLS: u64 = 30;
/// The rate of bills is taken over about so many bids.
const RATE_WINDOW: u64 = 200_000;
/// Trust is written to the journal in so many parts, so that a crash forgets one at most.
const TRIAL_PARTS: i64 = 10;
/// Delays of bills count for the life of holds from so many bills on.
const MIN_DELAYS: u64 = 1_000;
/// Longest delay that is told apart, in seconds.
const MAX_DELAY_S: u64 = 4 * 3_600;

/// The house's contract with one exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeTerms {
    /// Whose.
    pub id: ExchangeId,
    /// Its currency: what units are nanos of.
    pub currency: Currency,
    /// Everything ever held for it before its first bill is at most this; `None` = it is trusted from the start.
    pub first_trust: Option<Nanos>,
    /// What the house bears of it in a day; `None` = 0.5 % of what was spent the day before, at least 10 units.
    pub house_day_max: Option<Nanos>,
    /// Whether silence means that its notices do not come through.
    pub deaf_check: bool,
    /// Lives of holds by [`HoldFormat`], in seconds.
    pub lives_s: [u32; HoldFormat::COUNT],
    /// The longest life of a hold, in seconds.
    pub max_hold_s: u32,
}

/// When spending counts as running away (money.md 2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunawayRule {
    /// Times the planned spend of a minute; 20 of the largest charges come on top.
    pub factor: i64,
    /// Whether it also stops the advertiser.
    pub stops: bool,
}

impl Default for RunawayRule {
    fn default() -> Self {
        RunawayRule { factor: 10, stops: false }
    }
}

/// How one exchange stands, for metrics and for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeReport {
    /// Whose.
    pub exchange: ExchangeId,
    /// Whether it may be sent bids.
    pub state: GateState,
    /// Its notices do not come through.
    pub is_deaf: bool,
    /// The house's costs of the day reached their limit.
    pub is_over_house_limit: bool,
    /// What is left of the trust before its first bill; `None` once it billed.
    pub trial_left: Option<Nanos>,
    /// Borne by the house today, pardoned costs left out.
    pub house_today: Nanos,
    /// The limit of that.
    pub house_limit: Nanos,
    /// The most that the house may have borne of it in the end: the limit, or what it is over that already, and
    /// everything held within a token's life.
    pub bound: Nanos,
    /// Seconds heard since the start.
    pub ear_s: u32,
    /// How often its breakers tripped since the start.
    pub trips: u64,
    /// The delay of its bills that 99.9 % do not exceed, by [`HoldFormat`], in seconds; 0 = too few yet.
    pub bill_delay_s: [u32; HoldFormat::COUNT],
}

struct Watch {
    terms: ExchangeTerms,
    gate: Arc<Gate>,
    delays: [Histogram<u32>; HoldFormat::COUNT],
    is_deaf: bool,
    is_over: bool,
    trips: u64,
    /// (ear second, holds ever made by then), the oldest first.
    bids: VecDeque<(u32, u64)>,
    /// Those of earlier processes that the rate counts.
    before: u64,
    /// Holds made so long ago that their bills should have come.
    ripe: u64,
    /// Holds ever made by the last bill, and where the rate's window begins.
    made_at_bill: u64,
    window_from: u64,
    /// Bills within the window.
    bills: u64,
    /// (minute of the monotonic clock, units held in those before), the oldest first.
    held: VecDeque<(i64, i64)>,
    /// Minute of the last of these, and the units ever held by then.
    sampled: (i64, i64),
    /// What the journal knows of the rate of bills.
    told: (u64, u64, u64),
}

impl Watch {
    /// A watch that goes on where the journal stopped.
    fn new(terms: ExchangeTerms, gate: Arc<Gate>, traffic: &Traffic, now: Now) -> Watch {
        // Two digits are enough for seconds.
        let delays =
            || Histogram::new_with_max(MAX_DELAY_S, 2).expect("two digits and a maximum above 1 are allowed");
        let minute = minute_of(now);
        let aged = |(at_s, units): (u32, i64)| (minute - (now.unix_s() - i64::from(at_s)).max(0) / 60, units);
        let before = traffic.bids() + traffic.silent();
        Watch {
            terms,
            delays: std::array::from_fn(|_| delays()),
            is_deaf: false,
            is_over: false,
            trips: 0,
            bids: VecDeque::new(),
            before,
            ripe: before,
            made_at_bill: traffic.bids(),
            window_from: 0,
            bills: traffic.bills(),
            held: traffic.held().map(aged).collect(),
            sampled: (minute, gate.held().1),
            told: (traffic.bids(), traffic.bills(), traffic.silent()),
            gate,
        }
    }

    /// A verified bill came for a bid of this age.
    fn billed(&mut self, format: usize, age_s: i64) {
        let age_s = u64::try_from(age_s).unwrap_or(0).min(MAX_DELAY_S);
        if let Some(delays) = self.delays.get_mut(format) {
            delays.saturating_record(age_s);
        }
        self.is_deaf = false;
        self.bills += 1;
        self.made_at_bill = self.made();
        if self.made_at_bill - self.window_from > RATE_WINDOW {
            self.window_from = self.made_at_bill - RATE_WINDOW / 2;
            self.bills = self.bills.div_ceil(2);
        }
    }

    /// Holds ever made, those of earlier processes that the rate counts included.
    fn made(&self) -> u64 {
        self.before + self.gate.held().0
    }

    /// Holds made since the last bill whose bills should have come.
    fn silent(&self) -> u64 {
        self.ripe.saturating_sub(self.made_at_bill)
    }

    /// After how many seconds a bill should have come.
    fn patience_s(&self) -> u32 {
        let measured: u64 = self.delays.iter().map(Histogram::len).sum();
        if measured < EXPECTED_BILLS {
            return self.terms.lives_s.iter().copied().max().unwrap_or(0);
        }
        let slowest = self.delays.iter().map(|delays| delays.value_at_quantile(0.99)).max();
        slowest.unwrap_or(0) as u32 + 1
    }

    /// Counts the holds whose bills should have come by now.
    fn ripen(&mut self) {
        let (ear_s, bids) = (self.gate.ear_s(), self.made());
        match self.bids.back_mut() {
            Some((second, newest)) if *second == ear_s => *newest = bids,
            _ => self.bids.push_back((ear_s, bids)),
        }
        let Some(ripe_s) = ear_s.checked_sub(self.patience_s()) else { return };
        while let Some((second, bids)) = self.bids.front().copied()
            && second <= ripe_s
        {
            self.ripe = self.ripe.max(bids);
            self.bids.pop_front();
        }
    }

    /// Bills that should have come since the last one.
    fn expected(&self) -> u64 {
        let window = (self.made_at_bill - self.window_from).max(1);
        let expected = u128::from(self.silent()) * u128::from(self.bills) / u128::from(window);
        u64::try_from(expected).unwrap_or(u64::MAX)
    }

    fn house_limit(&self, book: &ExchangeBook) -> i64 {
        let share = (i128::from(book.spent_before) * HOUSE_SHARE_PPM / 1_000_000) as i64;
        self.terms.house_day_max.map_or(share.max(HOUSE_AT_LEAST), |max| max.0)
    }

    /// Remembers what was held, a minute at a time, as far back as a token lives; returns what the journal has to know
    /// of it.
    fn sample(&mut self, now: Now, token_life_s: u32) -> Option<record::Traffic> {
        let (minute, ever) = (minute_of(now), self.gate.held().1);
        let oldest = minute - i64::from(token_life_s / 60) - 1;
        self.held.retain(|(at, _)| *at >= oldest);
        if self.sampled.0 == minute {
            return None;
        }
        let units = ever - self.sampled.1;
        self.sampled = (minute, ever);
        if units > 0 {
            self.held.push_back((minute, units));
        }
        let (bids, silent) = (self.made_at_bill - self.window_from, self.silent());
        let rate = (bids, self.bills, silent);
        let changed = std::mem::replace(&mut self.told, rate) != rate || units > 0;
        changed.then(|| record::Traffic {
            exchange: u32::from(self.terms.id.0),
            at_s: now.second(),
            units,
            bids,
            bills: self.bills,
            silent,
        })
    }

    fn held_within_token_life(&self) -> i64 {
        let sampled: i64 = self.held.iter().map(|(_, units)| *units).sum();
        sampled + self.gate.held().1 - self.sampled.1
    }

    /// Holds live at least twice as long as the slowest bills take, within the profile's maximum.
    fn stretch(&self) {
        for (format, delays) in self.delays.iter().enumerate().filter(|(_, d)| d.len() >= MIN_DELAYS) {
            let twice = 2 * delays.value_at_quantile(0.999) as u32;
            self.gate.set_min_life_s(format, twice.min(self.terms.max_hold_s));
        }
    }

    fn report(&self, book: &ExchangeBook) -> ExchangeReport {
        let limit = self.house_limit(book);
        let borne = book.house - book.pardoned;
        let delay = |delays: &Histogram<u32>| match delays.len() {
            0..MIN_DELAYS => 0,
            _ => delays.value_at_quantile(0.999) as u32,
        };
        ExchangeReport {
            exchange: self.terms.id,
            state: self.gate.state(),
            is_deaf: self.is_deaf,
            is_over_house_limit: self.is_over,
            trial_left: self.gate.trial_left().map(Nanos),
            house_today: Nanos(borne),
            house_limit: Nanos(limit),
            bound: Nanos(limit.max(borne).saturating_add(self.held_within_token_life())),
            ear_s: self.gate.ear_s(),
            trips: self.trips,
            bill_delay_s: std::array::from_fn(|format| delay(&self.delays[format])),
        }
    }
}

/// What one advertiser may spend in a minute, and did.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    /// More than this in a minute runs away; 0 = nothing is planned, so nothing can.
    limit: i64,
    minute: u64,
    spent: i64,
    alarmed: bool,
}

/// Everything that is watched.
#[derive(Default)]
pub(super) struct Watches {
    gates: Arc<Gates>,
    by_exchange: BTreeMap<ExchangeId, Watch>,
    rates: Option<Arc<Rates>>,
    rule: RunawayRule,
    paces: BTreeMap<AdvertiserId, Pace>,
    /// Advertisers whose spending ran away since the last tick.
    ran_away: Vec<AdvertiserId>,
    runaways: u64,
}

impl Watches {
    pub(super) fn over(gates: Arc<Gates>) -> Watches {
        Watches { gates, ..Watches::default() }
    }

    /// Moves the ear clocks of all exchanges whose breaker has not tripped.
    pub(super) fn hear_for(&mut self, elapsed_ns: u64) {
        let tripped = |gate: &Gate| {
            let watch = self.by_exchange.get(&gate.exchange);
            watch.is_some_and(|watch| watch.is_deaf || watch.is_over) && !planted::is(Bug::DeafExpiry)
        };
        self.gates.hear_for(elapsed_ns, tripped);
    }

    pub(super) fn ear_s(&self, exchange: ExchangeId) -> u32 {
        self.gates.gate(exchange).ear_s()
    }

    pub(super) fn least_ear_s(&self) -> u32 {
        self.gates.least_ear_s()
    }

    /// Nanos of the wallet's currency for one unit of the exchange's; without a rate of today the one that the bid
    /// froze.
    pub(super) fn unit_rate(
        &self,
        exchange: ExchangeId,
        wallet: Option<Currency>,
        claims: &TokenClaims,
    ) -> Rate {
        self.units_of(exchange, wallet).unwrap_or(claims.rate)
    }

    /// Nanos of the wallet's currency for one unit of the exchange's, where both are known.
    fn units_of(&self, exchange: ExchangeId, wallet: Option<Currency>) -> Option<Rate> {
        let units = self.by_exchange.get(&exchange).map(|watch| watch.terms.currency);
        self.rates.as_ref().and_then(|rates| rates.cross(units?, wallet?))
    }

    /// A verified bill came.
    pub(super) fn billed(&mut self, claims: &TokenClaims, age_s: i64) {
        if let Some(watch) = self.by_exchange.get_mut(&claims.exchange) {
            watch.billed(claims.bucket.format(), age_s);
        }
    }

    /// Money was charged to an advertiser.
    pub(super) fn spent(&mut self, funding: Option<&Funding>, charged: i64, now: Now) {
        let Some(advertiser) = funding.map(|funding| funding.advertiser) else { return };
        let Some(pace) = self.paces.get_mut(&advertiser) else { return };
        let minute = now.mono_ns / 60_000_000_000;
        if pace.minute != minute {
            (pace.minute, pace.spent, pace.alarmed) = (minute, 0, false);
        }
        pace.spent = pace.spent.saturating_add(charged);
        if pace.limit > 0 && pace.spent > pace.limit && !pace.alarmed {
            pace.alarmed = true;
            self.runaways += 1;
            self.ran_away.push(advertiser);
            let (spent, limit) = (Nanos(pace.spent), Nanos(pace.limit));
            tracing::error!(%advertiser, %spent, %limit, "spending of this minute runs away");
        }
    }

    /// Sets what each of these advertisers plans to spend in a minute: the daily budgets over the day of the campaigns
    /// whose line items are in the account, with the largest hold of each.
    pub(super) fn plan(
        &mut self,
        books: &Books,
        largest_hold: &BTreeMap<LineItemId, i64>,
        advertisers: &BTreeSet<AdvertiserId>,
    ) {
        for advertiser in advertisers {
            let (mut daily, mut largest) = (BTreeMap::new(), 0);
            for funding in books.funding.of(*advertiser) {
                let Some(hold) = largest_hold.get(&funding.line_item) else { continue };
                daily.insert(funding.campaign, funding.campaign_budget.daily.map_or(0, |daily| daily.0));
                largest = largest.max(*hold);
            }
            let plan = daily.values().map(|daily| i128::from(*daily)).sum::<i128>() / 1_440;
            let limit = plan * i128::from(self.rule.factor) + 20 * i128::from(largest);
            let limit = if plan == 0 { 0 } else { i64::try_from(limit).unwrap_or(i64::MAX) };
            self.paces.entry(*advertiser).or_default().limit = limit;
        }
    }

    /// How every configured exchange stands.
    pub(super) fn report(&self, books: &Books, now: Now) -> Vec<ExchangeReport> {
        let day = day_of(now);
        self.by_exchange.values().map(|watch| watch.report(&books.exchange(watch.terms.id).on(day))).collect()
    }

    pub(super) fn runaways(&self) -> u64 {
        self.runaways
    }
}

/// The minute of the monotonic clock.
fn minute_of(now: Now) -> i64 {
    (now.mono_ns / 60_000_000_000) as i64
}

/// The UTC day, in days since 1970-01-01.
fn day_of(now: Now) -> u32 {
    now.second() / DAY_S
}

impl LedgerWriter {
    /// Sets the house's contracts with the exchanges, and the rates that turn wallets' money into their units.
    pub fn configure_exchanges(
        &mut self,
        terms: Vec<ExchangeTerms>,
        rates: Arc<Rates>,
        rule: RunawayRule,
        now: Now,
    ) -> Result<(), Violation> {
        let hold_s = terms.iter().map(|terms| terms.max_hold_s).max().unwrap_or(0);
        if hold_s > self.books.max_hold_s {
            self.write(Event::Reach(record::Reach { hold_s }))?;
        }
        self.watches.rates = Some(rates);
        self.watches.rule = rule;
        for terms in terms {
            let gate = self.gates.gate(terms.id);
            match self.watches.by_exchange.get_mut(&terms.id) {
                Some(watch) => watch.terms = terms,
                None => {
                    let traffic = self.books.traffic.get(&terms.id).cloned().unwrap_or_default();
                    self.watches.by_exchange.insert(terms.id, Watch::new(terms, gate, &traffic, now));
                }
            }
        }
        self.watch(now)
    }

    /// Looks at every exchange: trust, deafness, the house's costs, lives of holds.
    pub(super) fn watch(&mut self, now: Now) -> Result<(), Violation> {
        let day = day_of(now);
        let token_life_s = self.token_life_s();
        let (mut trials, mut parts) = (Vec::new(), Vec::new());
        for (id, watch) in &mut self.watches.by_exchange {
            let book = self.books.exchange(*id).on(day);
            let first_trust = watch.terms.first_trust.filter(|_| !book.has_billed);
            watch.gate.set_on_trial(first_trust.is_some());
            if let Some(Nanos(trust)) = first_trust {
                let part = (trust / TRIAL_PARTS).max(1).min(trust - book.trial);
                if part > 0 && watch.gate.trial_left().is_some_and(|left| left < part) {
                    trials.push((*id, part));
                }
            }
            watch.ripen();
            parts.extend(watch.sample(now, token_life_s));
            watch.stretch();
            let deaf = watch.terms.deaf_check && book.has_billed && watch.expected() >= EXPECTED_BILLS;
            let over = book.house - book.pardoned >= watch.house_limit(&book);
            if deaf && !watch.is_deaf {
                let expected = watch.expected();
                tracing::error!(exchange = %id, expected, "no bill where many were expected; only probing");
            }
            if over && !watch.is_over {
                let (borne, limit) = (Nanos(book.house), Nanos(watch.house_limit(&book)));
                tracing::error!(exchange = %id, %borne, %limit, "the house bears no more today; only probing");
            }
            watch.trips += u64::from(deaf && !watch.is_deaf) + u64::from(over && !watch.is_over);
            (watch.is_deaf, watch.is_over) = (watch.is_deaf || deaf, over);
        }
        for (exchange, units) in trials {
            self.write(Event::Trial(record::Trial { exchange: u32::from(exchange.0), units }))?;
            self.then(Effect::Trust(exchange, units));
        }
        for part in parts {
            self.write(Event::Traffic(part))?;
        }
        for advertiser in std::mem::take(&mut self.watches.ran_away) {
            if self.watches.rule.stops {
                self.stop(Stop::Advertiser(advertiser), true)?;
            }
        }
        self.set_gates();
        Ok(())
    }

    /// Lets every core know who may be sent bids.
    pub(super) fn set_gates(&mut self) {
        let stops = self.books.stops();
        let all = stops.contains(&Stop::All);
        for gate in self.gates.all() {
            let watch = self.watches.by_exchange.get(&gate.exchange);
            let tripped = watch.is_some_and(|watch| watch.is_deaf || watch.is_over);
            gate.set_state(match (all || stops.contains(&Stop::Exchange(gate.exchange)), tripped) {
                (true, _) => GateState::Stopped,
                (false, true) => GateState::Probing,
                (false, false) => GateState::Open,
            });
        }
    }

    /// An operator lets an exchange go on after its house costs had stopped it.
    pub fn pardon(&mut self, exchange: ExchangeId, now: Now) -> Result<(), Violation> {
        self.write(Event::Pardon(record::Pardon { exchange: u32::from(exchange.0) }))?;
        self.watch(now)
    }

    /// How every configured exchange stands.
    pub fn exchange_reports(&self, now: Now) -> Vec<ExchangeReport> {
        self.watches.report(&self.books, now)
    }

    /// How often an advertiser's spending ran away since the start.
    pub fn runaways(&self) -> u64 {
        self.watches.runaways()
    }

    /// What open bids hold, by exchange, in units.
    pub fn held_by_exchange(&self) -> BTreeMap<ExchangeId, Nanos> {
        let mut sums: BTreeMap<ExchangeId, Nanos> = BTreeMap::new();
        for live in self.live.values() {
            let currency = self.books.funding().get(&live.lease.line_item).map(|f| f.currency);
            live.lease.held_by_bucket(|bucket, held| {
                let exchange = bucket.exchange();
                let rate = self.watches.units_of(exchange, currency).unwrap_or(Rate::ONE);
                let sum = sums.entry(exchange).or_default();
                sum.0 = sum.0.saturating_add(super::lease::units(held, rate));
            });
        }
        sums
    }
}
