//! Spending on plan, for a whole account: each budget that somebody wants spread has a controller, which is told what was
//! spent and says what a line item's value is multiplied by and on how many requests it looks (pricing.md 2a).
//!
//! A line item follows the controller of its own budget and that of its campaign's; the lower level of both counts. All
//! line items of a campaign that spread its budget the same way share a controller, because they share the money.
//! What is spread over a flight is cut into days first: what is left, by the days that are left. How far κ may go is the
//! strategy's to say ([`Range`]); a line item with a target of its outcomes' cost has a slow loop beside it, and the lower
//! of all multipliers counts.
//!
//! State goes in and out as bytes, so that a restart in mid-day goes on where it was. Deliberately absent: clocks,
//! threads and files, which are `serve`'s; and any say in money, which is the ledger's.

use super::catalog::{Catalog, CatalogLineItem};
use super::goals::Goals;
use crate::budget::{Ledger, Purse, Spending};
use crate::model::clock::Now;
use crate::model::funnel::Progress;
use crate::model::ids::{AdvertiserId, CampaignId, LineItemId};
use crate::model::line_item::{Budget, Flight, PacingMode, PacingPeriod, Strategy};
use crate::model::money::{Nanos, PPM};
use crate::model::targeting::HourMask;
use crate::pricing::pacing::{
    Facts, Level, Pace, Pacer, Period, SLOTS, Settings, SpendPlan, Start, StateError, TrafficShape,
    budget_of_day,
};
use crate::targeting::LineItemIx;
use crate::targeting::week::civil_hour_of_week;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// How often somebody should call [`Steering::tick`], in milliseconds.
pub const TICK_MS: i64 = 10_000;

const DAY_MS: i64 = 86_400_000;
const SLOT_MS: i64 = DAY_MS / SLOTS as i64;
/// Bills and losses before a win rate is believed.
const ENOUGH: u64 = 20;
/// The win rate until then.
const FIRST_GUESS: f64 = 0.3;
/// A plan ends at least and at most so long before its day.
const EARLY_MS: (i64, i64) = (5 * 60_000, 2 * 3_600_000);

/// What became of a line item's bids since the start of the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Won {
    /// Bills that were charged.
    pub billed: u64,
    /// What they charged.
    pub spend: Nanos,
    /// Auctions that were lost, as far as anybody said so.
    pub losses: u64,
    /// Of a line item with a target: what was paid for the impressions whose outcomes can be told by now…
    pub goal_spent: Nanos,
    /// … what the target allows for what they brought (clicks × target CPC, conversions × target CPA, revenue ÷ target
    /// ROAS)…
    pub goal_allowed: Nanos,
    /// … and how many outcomes that were. All three only grow; while all are 0, what is bid is the value itself.
    pub goal_outcomes: u64,
}

/// For the metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Figures {
    /// Budgets that are spread.
    pub controllers: usize,
    /// Those of them that leave requests out.
    pub throttled: usize,
}

/// What a tick is told.
pub struct Told<'t> {
    /// Whose levels are set.
    pub catalog: &'t Catalog,
    /// Where the money is.
    pub ledger: &'t Ledger,
    /// Bid requests answered since the start of the process.
    pub requests: u64,
    /// What became of a line item's bids.
    pub won: &'t dyn Fn(LineItemId) -> Won,
    /// The time.
    pub now: Now,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Steering {
    /// Of a day in UTC.
    traffic: TrafficShape,
    /// The UTC day that `traffic` observes.
    day: i64,
    /// Requests that `traffic` knows; `None` before the first tick.
    requests: Option<u64>,
    controllers: BTreeMap<Key, Controller>,
    goals: Goals,
}

/// How far κ may go.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Range {
    /// A fixed price is the price: only requests are left out.
    Fixed,
    /// The value is a maximum.
    Below,
    /// The value is right on average, so that one part of the day may be paid more for than another.
    Around,
    /// Whatever spends the budget.
    Any,
}

impl Range {
    const ALL: [Range; 4] = [Range::Fixed, Range::Below, Range::Around, Range::Any];

    fn of(strategy: Strategy) -> Range {
        match strategy {
            Strategy::FixedCpm => Range::Fixed,
            Strategy::MaxCpm | Strategy::MaxCpc | Strategy::Reach => Range::Below,
            Strategy::TargetCpc | Strategy::TargetCpa | Strategy::TargetRoas => Range::Around,
            Strategy::MaxClicks | Strategy::MaxConversions => Range::Any,
        }
    }

    /// The lowest κ and the highest.
    fn bounds(self) -> (f64, f64) {
        match self {
            Range::Fixed => (1.0, 1.0),
            Range::Below => (0.05, 1.0),
            Range::Around => (0.05, 2.0),
            Range::Any => (1e-4, 100.0),
        }
    }
}

/// Which money is spread in which way.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Key {
    purse: Owner,
    mode: u8,
    flight: bool,
    range: Range,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Owner {
    Campaign(CampaignId),
    LineItem(LineItemId),
}

/// A controller with the day that it steers through.
#[derive(Debug)]
struct Controller {
    pacer: Pacer,
    /// `None` after a restart, until the first tick.
    plan: Option<SpendPlan>,
    day_ms: i64,
    /// Charged when the day began, of a budget that is longer than a day.
    posted_before: Nanos,
    /// Where it stood at the last tick, on the way to its plan.
    progress: Progress,
    /// Met in this tick.
    is_used: bool,
}

impl Controller {
    /// One that has not ticked yet in this process.
    fn new(pacer: Pacer, day_ms: i64, posted_before: Nanos) -> Controller {
        Controller { pacer, plan: None, day_ms, posted_before, progress: Progress::default(), is_used: false }
    }
}

/// One budget to steer, with what surrounds it.
struct Task<'c> {
    key: Key,
    advertiser: AdvertiserId,
    budget: Nanos,
    flight: Flight,
    zone: &'c str,
    /// Whom it is spread over.
    lines: Vec<&'c CatalogLineItem>,
}

impl Key {
    fn asked(&self) -> Purse {
        match (self.purse, self.flight) {
            (Owner::LineItem(id), false) => Purse::LineItemToday(id),
            (Owner::LineItem(id), true) => Purse::LineItem(id),
            (Owner::Campaign(id), false) => Purse::CampaignToday(id),
            (Owner::Campaign(id), true) => Purse::Campaign(id),
        }
    }

    fn to_bytes(self) -> [u8; 8] {
        let (level, id) = match self.purse {
            Owner::Campaign(id) => (0, id.0),
            Owner::LineItem(id) => (1, id.0),
        };
        let [a, b, c, d] = id.to_le_bytes();
        [level, self.mode, self.flight.into(), self.range as u8, a, b, c, d]
    }

    fn from_bytes([level, mode, flight, range, a, b, c, d]: [u8; 8]) -> Result<Key, StateError> {
        let id = u32::from_le_bytes([a, b, c, d]);
        let purse =
            if level == 0 { Owner::Campaign(CampaignId(id)) } else { Owner::LineItem(LineItemId(id)) };
        let range = *Range::ALL.get(usize::from(range)).ok_or(StateError::Range)?;
        Ok(Key { purse, mode, flight: flight != 0, range })
    }

    fn settings(&self, budget: Nanos) -> Settings {
        let pace = if self.mode == PacingMode::Ahead as u8 { Pace::Ahead } else { Pace::Even };
        let (kappa_min, kappa_max) = self.range.bounds();
        Settings { pace, kappa_min, kappa_max, ..Settings::even(budget) }
    }
}

/// The budgets that a line item is steered by: its own, and its campaign's.
fn tasks<'c>(catalog: &'c Catalog, line: &'c CatalogLineItem) -> [Option<Task<'c>>; 2] {
    let (campaign, owner) = (&catalog.campaigns()[line.campaign], &catalog.advertisers()[line.advertiser]);
    let pacing = line.item.pacing;
    let flight = pacing.period == PacingPeriod::Flight;
    let of = move |purse: Owner, budget: Budget, own: Flight| {
        let amount = if flight { budget.lifetime } else { budget.daily };
        let ends = !flight || own.end_ms.is_some();
        let key = Key { purse, mode: pacing.mode as u8, flight, range: Range::of(line.item.strategy) };
        amount.filter(|_| ends && pacing.mode != PacingMode::Asap).map(|budget| Task {
            key,
            advertiser: owner.id,
            budget,
            flight: own,
            zone: &owner.time_zone,
            lines: vec![line],
        })
    };
    let own_flight = Flight {
        start_ms: line.item.flight.start_ms.max(campaign.flight.start_ms),
        end_ms: [line.item.flight.end_ms, campaign.flight.end_ms].into_iter().flatten().min(),
    };
    [
        of(Owner::LineItem(line.item.id), line.item.budget, own_flight),
        of(Owner::Campaign(campaign.id), campaign.budget, campaign.flight),
    ]
}

impl Steering {
    /// That of an account whose budgets last for all of its traffic: every controller at the full value, on all requests.
    /// An account that is new begins slowly instead, because nobody knows yet how fast it would spend.
    pub fn settled(catalog: &Catalog) -> Steering {
        let active = catalog.line_items().iter().filter(|line| line.active);
        let tasks = active.flat_map(|line| tasks(catalog, line)).flatten();
        // Of a day long ago, so that the first tick begins a new one.
        let controller = |task: &Task<'_>| {
            let settings = task.key.settings(task.budget);
            Controller::new(Pacer::new(Start::Warm(1.0), &Facts::default(), &settings), 0, Nanos(0))
        };
        let controllers = tasks.map(|task| (task.key, controller(&task))).collect();
        Steering { controllers, ..Steering::default() }
    }

    /// Looks at what was spent and sets the level of every line item that spreads its budget.
    pub fn tick(&mut self, told: &Told<'_>) {
        self.observe(told.requests, told.now.unix_ms);
        let catalog = told.catalog;
        self.goals.tick(told);
        let lines = (0u32..).map(LineItemIx).zip(catalog.line_items()).filter(|(_, line)| line.active);
        let mut followed: Vec<(LineItemIx, LineItemId, [Option<Key>; 2])> = Vec::new();
        let mut budgets: BTreeMap<Key, Task<'_>> = BTreeMap::new();
        let mut won: BTreeMap<Key, Won> = BTreeMap::new();
        for (ix, line) in lines {
            let tasks = tasks(catalog, line);
            followed.push((
                ix,
                line.item.id,
                tasks.each_ref().map(|task| task.as_ref().map(|task| task.key)),
            ));
            let mut own = None;
            for task in tasks.into_iter().flatten() {
                let own = own.get_or_insert_with(|| (told.won)(line.item.id));
                let all = won.entry(task.key).or_default();
                all.billed += own.billed;
                all.losses += own.losses;
                all.spend.0 = all.spend.0.saturating_add(own.spend.0);
                match budgets.entry(task.key) {
                    Entry::Vacant(fresh) => {
                        fresh.insert(task);
                    }
                    Entry::Occupied(known) => known.into_mut().lines.push(line),
                }
            }
        }
        let asked = budgets.values().map(|task| (task.advertiser, task.key.asked())).collect();
        let spent = told.ledger.spending(asked, told.now);
        let mut levels: BTreeMap<Key, Level> = BTreeMap::new();
        for (task, spending) in budgets.values().zip(spent) {
            let won = won.get(&task.key).copied().unwrap_or_default();
            levels.insert(task.key, self.steer(task, spending, won, told));
        }
        self.controllers.retain(|_, controller| std::mem::take(&mut controller.is_used));
        for (ix, id, keys) in followed {
            let asked = || keys.iter().flatten().filter_map(|key| levels.get(key));
            let goal = self.goals.of(id).map(|goal| (goal.multiplier() * PPM as f64).round() as i64);
            let kappa_ppm = asked().map(|level| level.kappa_ppm).chain(goal).min().unwrap_or(PPM);
            let pass_ppm = asked().map(|level| level.pass_ppm).min().unwrap_or(PPM as u32);
            catalog.levels().set(ix, Level { kappa_ppm, pass_ppm });
        }
    }

    /// Adds the requests since the last tick to the shape of the day.
    fn observe(&mut self, requests: u64, now_ms: i64) {
        let day = now_ms.div_euclid(DAY_MS);
        if self.day != day {
            if self.day != 0 {
                self.traffic.end_day();
            }
            self.day = day;
        }
        let slot = now_ms.rem_euclid(DAY_MS) / SLOT_MS;
        let new = requests.saturating_sub(self.requests.unwrap_or(requests));
        self.traffic.observe(slot as usize, new as f64);
        self.requests = Some(requests);
    }

    /// One budget's level now.
    fn steer(&mut self, task: &Task<'_>, spending: Spending, won: Won, told: &Told<'_>) -> Level {
        let now_ms = told.now.unix_ms;
        let (starts_ms, ends_ms) = day_of(task.zone, now_ms);
        let known = self.controllers.get(&task.key);
        let is_new_day = known.is_none_or(|controller| controller.day_ms != starts_ms);
        let posted_before = match known {
            Some(controller) if !is_new_day => controller.posted_before,
            _ if task.key.flight => spending.posted,
            _ => Nanos(0),
        };
        let spent_today = Nanos(spending.posted.0.saturating_sub(posted_before.0).max(0));
        let budget = match task.key.flight {
            false => task.budget,
            true => today_of(task, posted_before, starts_ms),
        };
        let settings = task.key.settings(budget);
        let rate = win_rate(won);
        let facts = Facts {
            now_ms,
            spent: spent_today,
            open_expected: Nanos((spending.held.0 as f64 * rate) as i64),
            left: Nanos(budget.0.saturating_sub(spent_today.0).max(0)),
            average_price: Nanos(won.spend.0.checked_div(won.billed as i64).unwrap_or(0)),
            below_floor_ppm: 0,
        };
        let period = Period {
            starts_ms: task.flight.start_ms.map_or(starts_ms, |start| start.max(starts_ms)),
            ends_ms: task.flight.end_ms.map_or(ends_ms, |end| end.min(ends_ms)),
            early_ms: early_ms(rate, told.catalog),
        };
        let shape = &self.traffic;
        let controller = self.controllers.entry(task.key).or_insert_with(|| {
            Controller::new(Pacer::new(Start::Cold, &facts, &settings), starts_ms, posted_before)
        });
        if is_new_day {
            controller.pacer.next_period(&facts);
            (controller.day_ms, controller.posted_before, controller.plan) = (starts_ms, posted_before, None);
        }
        let resumed = controller.plan.is_none() && !is_new_day;
        let plan = controller.plan.get_or_insert_with(|| plan(period, shape, task));
        if plan.period().starts_ms != period.starts_ms || plan.period().ends_ms != period.ends_ms {
            // Its flight was changed.
            *plan = self::plan(period, shape, task);
        }
        if resumed {
            controller.pacer.resume(&facts);
        }
        if let Owner::LineItem(id) = task.key.purse
            && let Some(goal) = self.goals.of(id)
        {
            // What the goal forbids to spend is not for want of κ, which would only wind up.
            controller.pacer = controller.pacer.with_goal(*goal);
        }
        controller.is_used = true;
        controller.progress = Progress {
            budget,
            planned: Nanos((budget.0 as f64 * plan.done(now_ms)) as i64),
            spent: Nanos(spent_today.0.saturating_add(facts.open_expected.0)),
        };
        controller.pacer.tick(plan, &facts, &settings)
    }

    /// How far each budget that is spread was spent at the last tick, with what is likely to come of its open bids.
    pub fn progress(&self) -> impl Iterator<Item = (Purse, Progress)> {
        self.controllers.iter().map(|(key, controller)| (key.asked(), controller.progress))
    }

    /// How many controllers there are, and how many of them leave requests out.
    pub fn figures(&self) -> Figures {
        let throttles = |controller: &&Controller| controller.pacer.level().pass_ppm < PPM as u32;
        Figures {
            controllers: self.controllers.len(),
            throttled: self.controllers.values().filter(throttles).count(),
        }
    }

    /// All that a restart must know.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.day.to_le_bytes());
        let mut part = |bytes: &[u8]| {
            out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            out.extend_from_slice(bytes);
        };
        part(&self.traffic.to_bytes());
        part(&self.goals.to_bytes());
        for (key, controller) in &self.controllers {
            let mut entry = key.to_bytes().to_vec();
            entry.extend_from_slice(&controller.day_ms.to_le_bytes());
            entry.extend_from_slice(&controller.posted_before.0.to_le_bytes());
            entry.extend_from_slice(&controller.pacer.to_bytes());
            part(&entry);
        }
        let sum = crc32c::crc32c(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        out
    }

    /// Reads what [`Steering::to_bytes`] wrote.
    ///
    /// # Errors
    /// What is not as it was written.
    pub fn from_bytes(bytes: &[u8]) -> Result<Steering, StateError> {
        let (body, sum) = bytes.split_last_chunk::<4>().ok_or(StateError::Damaged)?;
        let mut rest = body.strip_prefix(MAGIC.as_slice()).ok_or(StateError::Damaged)?;
        if crc32c::crc32c(body).to_le_bytes() != *sum {
            return Err(StateError::Damaged);
        }
        let mut steering = Steering { day: i64::from_le_bytes(*take(&mut rest)?), ..Steering::default() };
        steering.traffic = TrafficShape::from_bytes(part(&mut rest)?)?;
        steering.goals = Goals::from_bytes(part(&mut rest)?)?;
        while !rest.is_empty() {
            let mut entry = part(&mut rest)?;
            let key = Key::from_bytes(*take(&mut entry)?)?;
            let day_ms = i64::from_le_bytes(*take(&mut entry)?);
            let posted_before = Nanos(i64::from_le_bytes(*take(&mut entry)?));
            let pacer = Pacer::from_bytes(entry)?;
            steering.controllers.insert(key, Controller::new(pacer, day_ms, posted_before));
        }
        Ok(steering)
    }
}

const MAGIC: &[u8; 9] = b"OUTBIDPC\x02";

fn take<'b, const N: usize>(bytes: &mut &'b [u8]) -> Result<&'b [u8; N], StateError> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(StateError::Damaged)?;
    *bytes = rest;
    Ok(taken)
}

fn part<'b>(bytes: &mut &'b [u8]) -> Result<&'b [u8], StateError> {
    let length = u32::from_le_bytes(*take(bytes)?) as usize;
    let (taken, rest) = bytes.split_at_checked(length).ok_or(StateError::Damaged)?;
    *bytes = rest;
    Ok(taken)
}

/// The first millisecond of the civil day in this zone, and that of the next.
fn day_of(zone: &str, now_ms: i64) -> (i64, i64) {
    let utc_day = now_ms.div_euclid(DAY_MS) * DAY_MS;
    let civil = || {
        let zone = TimeZone::get(zone).ok()?;
        let today = Timestamp::from_millisecond(now_ms).ok()?.to_zoned(zone).start_of_day().ok()?;
        let tomorrow = today.tomorrow().ok()?.start_of_day().ok()?;
        Some((today.timestamp().as_millisecond(), tomorrow.timestamp().as_millisecond()))
    };
    civil().unwrap_or((utc_day, utc_day + DAY_MS))
}

/// Today's part of a budget that runs over a flight.
fn today_of(task: &Task<'_>, posted_before: Nanos, starts_ms: i64) -> Nanos {
    let left = Nanos(task.budget.0.saturating_sub(posted_before.0));
    let ends_ms = task.flight.end_ms.unwrap_or(starts_ms + DAY_MS);
    let begins_ms = task.flight.start_ms.map_or(starts_ms, |start| start.max(starts_ms));
    let days = ((ends_ms - starts_ms + DAY_MS - 1) / DAY_MS).clamp(1, 3_660);
    let weight = |day: i64| {
        let (from, to) = (starts_ms + day * DAY_MS, starts_ms + (day + 1) * DAY_MS);
        (to.min(ends_ms) - from.max(begins_ms)).max(0) as f64
    };
    budget_of_day(left, &(0..days).map(weight).collect::<Vec<f64>>())
}

fn win_rate(won: Won) -> f64 {
    let known = won.billed + won.losses;
    if known < ENOUGH { FIRST_GUESS } else { (won.billed as f64 / known as f64).clamp(0.01, 1.0) }
}

/// How long before the end the plan is fulfilled: three times the life of a hold by the win rate (pricing.md 2b).
fn early_ms(rate: f64, catalog: &Catalog) -> i64 {
    let life_s = catalog.exchanges().iter().map(|exchange| exchange.holds.web_banner_s).max().unwrap_or(120);
    ((3_000.0 * f64::from(life_s) / rate) as i64).clamp(EARLY_MS.0, EARLY_MS.1)
}

/// The day in the shape of the traffic, with the hours in which nobody serves left out and the others by what is paid more
/// for them.
fn plan(period: Period, shape: &TrafficShape, task: &Task<'_>) -> SpendPlan {
    let shape = shape.shrunk(None);
    SpendPlan::new(period, SLOTS, |slot| {
        let middle_ms = period.middle_ms(slot, SLOTS);
        let traffic = shape[(middle_ms.rem_euclid(DAY_MS) / SLOT_MS) as usize % SLOTS];
        let worth = task.lines.iter().map(|line| worth(line, task.zone, middle_ms / 1_000));
        traffic * worth.fold(0.0, f64::max)
    })
}

/// What a moment is worth to a line item: nothing outside its hours, its factor for the hour within them.
fn worth(line: &CatalogLineItem, zone: &str, unix_s: i64) -> f64 {
    let is_in = |hours: &HourMask, zone: &str| {
        civil_hour_of_week(zone, unix_s).is_some_and(|hour| hours.contains(hour))
    };
    let closed =
        line.item.targeting.daypart.as_ref().is_some_and(|open| !is_in(&open.hours, &open.time_zone));
    let factors = line.item.multipliers.hours.iter().filter(|(hours, _)| is_in(hours, zone));
    let factor = factors.map(|(_, ppm)| *ppm).max().unwrap_or(PPM);
    if closed { 0.0 } else { factor as f64 / PPM as f64 }
}
