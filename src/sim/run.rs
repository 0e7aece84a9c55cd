//! One run: a queue of what happens next, ordered by time, and what is known outside of the process: bids that went
//! out, notices that will come, the control plane's budgets, the disk.

use super::arithmetic::{Due, hold};
use super::calendar::Calendar;
use super::dice::Dice;
use super::plan::{Plan, Trouble};
use super::prices::Prices;
use super::process::Process;
use super::report::{Count, Report};
use super::shadow::{Shadow, require};
use super::world::World;
use super::{Broken, market, wire};
use crate::budget::journal::MemoryStorage;
use crate::budget::record::Event;
use crate::budget::{Books, Funding, GateState, Hold, Stop, Violation};
use crate::engine::{Deadline, NoObserver, Request, Times, decide};
use crate::exchange::{Limits, NoticeKind, parse};
use crate::model::clock::{Clock, Now};
use crate::model::event::{BidMade, Place};
use crate::model::ids::{BidId, ExchangeId};
use crate::model::money::Nanos;
use crate::model::no_bid::NoBidReason;
use crate::model::token::TokenClaims;
use bumpalo::Bump;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

pub(super) const MS: u64 = 1_000_000;
pub(super) const SECOND: u64 = 1_000 * MS;

/// Something that happens at a moment.
#[derive(Debug)]
pub(super) enum What {
    Request,
    Tick,
    /// The writer does what waits.
    Turn,
    Trouble,
    /// A notice is sent.
    Notice(usize),
    /// An answer could not be sent: its hold is dropped.
    LetGo(usize),
    /// The process starts again.
    Boot,
    /// An edit reaches the ledger.
    Apply(Vec<(Funding, Nanos)>),
    /// A trouble is over.
    Over(Over),
}

/// The end of a trouble.
#[derive(Debug)]
pub(super) enum Over {
    FullDisk,
    DeadListener,
    BlackHole(ExchangeId),
    Jump(i64),
    Lag,
    Kill(Stop),
}

/// A bid that was made.
pub(super) struct Bid {
    pub(super) claims: TokenClaims,
    pub(super) hold: i128,
    /// The hold in nanos of the exchange's currency.
    pub(super) units: i128,
    /// What the bills that reached the process come to, answered or not.
    pub(super) sent: Vec<Due>,
    /// What those that were answered with 2xx, and may have been charged, come to.
    pub(super) acked: Vec<Due>,
}

/// A notice that an exchange sends until it is answered.
pub(super) struct Notice {
    pub(super) bid: usize,
    pub(super) kind: NoticeKind,
    pub(super) url: String,
    /// What it may cost, if it bills.
    pub(super) due: Option<Due>,
    pub(super) tries_left: u32,
    pub(super) arrived_ns: u64,
}

/// What a crash is going to be, once the journal meets a fault that was laid for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Laid {
    /// The power fails there.
    PowerFailure,
    /// The disk refuses; the process has to stop.
    BadDisk,
}

/// See the module.
pub(super) struct Run<'w> {
    pub(super) world: &'w World,
    pub(super) plan: Plan,
    pub(super) dice: Dice,
    /// What bids are priced with.
    pub(super) prices: Prices,
    queue: BTreeMap<(u64, u64), What>,
    numbered: u64,
    pub(super) time_ns: u64,
    pub(super) civil_ms: i64,
    jitter_ms: i64,
    pub(super) mono_base_ns: u64,
    /// Nothing that the process does happens before.
    pub(super) frozen_until_ns: u64,
    active_ns: u64,
    pub(super) closing: bool,

    pub(super) storage: MemoryStorage,
    pub(super) process: Option<Process>,
    pub(super) laid: Option<Laid>,
    pub(super) listener_dead: bool,
    pub(super) lags: bool,
    /// The disk takes only so much, or the process has not noticed yet that it takes more again.
    pub(super) disk_full: bool,
    pub(super) capped: bool,
    /// Exchanges whose notices go nowhere; whether they are sent later.
    pub(super) black_holes: BTreeMap<ExchangeId, (u64, bool)>,

    /// The control plane's budgets, and the version of the last edit.
    pub(super) control: Vec<(Funding, Nanos)>,
    pub(super) version: u64,
    /// The largest daily budgets that were in force on a date, by line item.
    pub(super) dailies: BTreeMap<(u32, u32), i128>,
    /// Charged on a date, by line item and the date on the wall at the bid.
    pub(super) by_date: BTreeMap<(u32, u32), i128>,
    pub(super) calendar: Calendar,

    pub(super) bids: Vec<Bid>,
    pub(super) by_id: BTreeMap<BidId, usize>,
    pub(super) notices: Vec<Notice>,
    /// Bills that the house bore in this step for want of room: line item, day, amount.
    pub(super) unroomed: Vec<(u32, u32, i128)>,
    /// Bills and bids of each exchange.
    pub(super) billing: BTreeMap<ExchangeId, (u64, u64)>,
    /// Units ever held for exchanges, and of their bills that were too old.
    pub(super) held_units: BTreeMap<ExchangeId, i128>,
    /// The UTC day on which an exchange had cost the house too much, what was said then that it can come to, and the
    /// units held by then.
    pub(super) house_trips: BTreeMap<ExchangeId, (i64, i128, i128)>,
    /// Units held for exchanges before their first bill.
    pub(super) trusted: BTreeMap<ExchangeId, i128>,
    pub(super) ever_billed: BTreeSet<ExchangeId>,
    /// The latest civil second that the process ever saw.
    pub(super) latest_s: i64,
    /// The latest civil reading in anything that waits for the writer.
    pub(super) peak_ms: i64,
    /// Likewise, since the last tick.
    pub(super) peak_since_tick_ms: i64,

    /// Appended and not durable.
    pub(super) pending: VecDeque<Event>,
    /// What the records say, the pending ones included.
    pub(super) live: Shadow,
    /// What the durable records say.
    pub(super) durable: Shadow,
    /// The same by the ledger's own rules, without any checkpoint.
    pub(super) replayed: Books,
    pub(super) durable_lsn: u64,

    pub(super) report: Report,
    pub(super) step: u64,
    pub(super) trace: Option<&'w dyn Fn(&str)>,
}

impl<'w> Run<'w> {
    pub(super) fn new(world: &'w World, plan: Plan, trace: Option<&'w dyn Fn(&str)>) -> Run<'w> {
        Run {
            dice: Dice::new(plan.seed, 3),
            prices: Prices::new(&plan, world),
            control: world.snapshot.catalog.funding().collect(),
            world,
            plan,
            queue: BTreeMap::new(),
            numbered: 0,
            time_ns: 0,
            civil_ms: 0,
            jitter_ms: 0,
            mono_base_ns: 0,
            frozen_until_ns: 0,
            active_ns: 0,
            closing: false,
            storage: MemoryStorage::new(),
            process: None,
            laid: None,
            listener_dead: false,
            lags: false,
            disk_full: false,
            capped: false,
            black_holes: BTreeMap::new(),
            version: 0,
            dailies: BTreeMap::new(),
            by_date: BTreeMap::new(),
            calendar: Calendar::default(),
            bids: Vec::new(),
            by_id: BTreeMap::new(),
            notices: Vec::new(),
            unroomed: Vec::new(),
            billing: BTreeMap::new(),
            held_units: BTreeMap::new(),
            house_trips: BTreeMap::new(),
            trusted: BTreeMap::new(),
            ever_billed: BTreeSet::new(),
            latest_s: i64::MIN,
            peak_ms: i64::MIN,
            peak_since_tick_ms: i64::MIN,
            pending: VecDeque::new(),
            live: Shadow::default(),
            durable: Shadow::default(),
            replayed: Books::default(),
            durable_lsn: 0,
            report: Report::default(),
            step: 0,
            trace,
        }
    }

    /// The process's clock.
    pub(super) fn now(&self) -> Now {
        let since_start_ms = (self.time_ns / MS) as i64;
        Now {
            mono_ns: self.mono_base_ns + self.time_ns,
            unix_ms: self.plan.start_ms + since_start_ms + self.civil_ms + self.jitter_ms,
        }
    }

    pub(super) fn count(&mut self, count: Count) {
        self.report.add(count, 1);
    }

    /// A line of the trace, where somebody reads it.
    pub(super) fn tell(&self, text: impl FnOnce(&Run<'_>) -> String) {
        if let Some(trace) = self.trace {
            let (seconds, ms) = (self.time_ns / SECOND, self.time_ns / MS % 1_000);
            trace(&format!("{:>7} {seconds:>6}.{ms:03} {}", self.step, text(self)));
        }
    }

    pub(super) fn after(&mut self, delay_ns: u64, what: What) {
        self.at(self.time_ns + delay_ns, what);
    }

    fn at(&mut self, at_ns: u64, what: What) {
        self.numbered += 1;
        self.queue.insert((at_ns, self.numbered), what);
    }

    /// Plays from the first boot to the last bill.
    pub(super) fn play(&mut self) -> Result<(), Broken> {
        self.tell(|run| format!("{:?}", run.plan));
        self.boot()?;
        self.after(0, What::Tick);
        self.after(MS, What::Request);
        self.after(self.plan.trouble_ms * MS, What::Trouble);
        while let Some(((at_ns, _), what)) = self.queue.pop_first() {
            if at_ns < self.frozen_until_ns && waits(&what) {
                self.at(self.frozen_until_ns, what);
                continue;
            }
            self.time_ns = self.time_ns.max(at_ns);
            self.step += 1;
            if self.plan.has(Trouble::Jitter) {
                self.jitter_ms = self.dice.within(-400, 400);
            }
            self.happen(what)?;
            self.check()?;
            if self.active_ns > self.plan.open_ms * MS && !self.closing {
                self.close()?;
            }
        }
        self.finish()?;
        self.report.add(Count::Steps, self.step);
        self.report.add(Count::Seconds, self.time_ns / SECOND);
        Ok(())
    }

    fn happen(&mut self, what: What) -> Result<(), Broken> {
        match what {
            What::Request => {
                if self.closing {
                    return Ok(());
                }
                let next_ns = self.dice.wait(self.plan.request_ms * MS);
                self.after(next_ns, What::Request);
                self.request()
            }
            What::Tick => {
                if self.closing {
                    return Ok(());
                }
                self.active_ns += self.plan.tick_ms * MS;
                self.after(self.plan.tick_ms * MS, What::Tick);
                self.tick()
            }
            What::Turn => self.turn(),
            What::Trouble => {
                if self.closing {
                    return Ok(());
                }
                let next_ns = self.dice.wait(self.plan.trouble_ms * MS);
                self.after(next_ns, What::Trouble);
                self.trouble()
            }
            What::Notice(notice) => {
                self.send(notice)?;
                if self.closing { self.settle() } else { Ok(()) }
            }
            What::LetGo(bid) => {
                self.let_go(bid);
                Ok(())
            }
            What::Boot if self.process.is_none() => self.boot(),
            What::Boot => Ok(()),
            What::Apply(rows) => self.apply(rows),
            What::Over(over) => self.over(over),
        }
    }

    /// An exchange asks for a bid.
    fn request(&mut self) -> Result<(), Broken> {
        let now = self.now();
        let Some(process) = &mut self.process else { return Ok(()) };
        self.report.add(Count::Requests, 1);
        let snapshot = Arc::clone(&self.prices.snapshot);
        let exchanges = self.world.exchanges();
        let profile = &exchanges[self.dice.below(exchanges.len() as u64) as usize];
        let body = &self.world.bodies[self.dice.below(self.world.bodies.len() as u64) as usize];
        let core = self.dice.below(process.cores.len() as u64) as usize;
        let core = &mut process.cores[core];
        let arena = Bump::new();
        let auction = parse(body, &Limits::default(), &arena).expect("the world's requests are good");
        let request = Request {
            auction: &auction,
            profile,
            snapshot: &snapshot,
            audience: &self.world.audience,
            remembered: None,
            frequency: None,
            id_key: &self.world.id_key,
            settings: &self.world.settings,
            now,
            arena: &arena,
        };
        let late = LateClock::default();
        let is_late = self.dice.once_in(50);
        let deadline = match is_late {
            true => Deadline::new(&late, Times::at(0), None, profile, 1_000),
            false => Deadline::never(),
        };
        let decided = decide(&request, &mut core.engine, &mut core.budget, &deadline, &mut NoObserver);
        let mut refused = None;
        let mut records: Vec<BidMade> = Vec::new();
        let made: Vec<(TokenClaims, Hold)> = match decided {
            Ok(decision) => {
                let place = Place::of(&auction);
                records.extend(decision.bids.iter().map(|bid| BidMade::of(bid, place)));
                decision.bids.iter().map(|bid| bid.claims).zip(decision.holds).collect()
            }
            Err(reason) => {
                refused = Some(reason);
                Vec::new()
            }
        };
        if is_late {
            self.count(Count::Deadlines);
            require(made.is_empty(), "deadline", || format!("{} bids past it", made.len()))?;
        }
        let sent = !self.dice.once_in(40);
        if sent {
            records.into_iter().for_each(|bid| self.prices.bid(bid, now.unix_ms));
        }
        let profile = profile.clone();
        if refused == Some(NoBidReason::Breaker) {
            self.note_refusal(profile.id);
        }
        for (claims, guard) in made {
            self.bid(claims, guard, sent, &profile)?;
        }
        self.schedule_turn();
        Ok(())
    }

    /// A breaker refused: where it is the trust before the first bill that is used up, that is a trip.
    fn note_refusal(&mut self, exchange: ExchangeId) {
        let Some(process) = &mut self.process else { return };
        let gate = process.ledger.gates().gate(exchange);
        let ear = process.ears.entry(exchange).or_default();
        let used_up = gate.trial_left().is_some() && gate.state() == GateState::Open;
        self.report.add(Count::TripsTrust, u64::from(used_up && !ear.mistrusted));
        ear.mistrusted = used_up;
    }

    /// A bid was made: it is answered, or its guard lives for a moment and is dropped.
    fn bid(
        &mut self,
        claims: TokenClaims,
        guard: Hold,
        sent: bool,
        profile: &crate::model::exchange::ExchangeProfile,
    ) -> Result<(), Broken> {
        let number = self.bids.len();
        let held = hold(&claims);
        self.tell(|_| {
            format!(
                "bid {number} {} line {} lease {} slot {} hold {held} day {}{}",
                claims.bid,
                claims.line_item,
                claims.lease,
                claims.bucket.slot,
                claims.budget_day,
                if sent { "" } else { " unsent" }
            )
        });
        let units = self.judge_bid(&claims, held, guard.amount())?;
        self.bids.push(Bid { claims, hold: held, units, sent: Vec::new(), acked: Vec::new() });
        self.by_id.insert(claims.bid, number);
        let Some(process) = &mut self.process else { return Ok(()) };
        process.open.open(number, &claims, held);
        if !sent {
            process.guards.insert(number, guard);
            self.count(Count::Unanswered);
            if self.dice.once_in(2) {
                self.let_go(number);
            } else {
                let after_ns = self.dice.below(8 * SECOND);
                self.after(after_ns, What::LetGo(number));
            }
            return Ok(());
        }
        if claims.test {
            // A test is answered, and holds nothing.
            drop(guard);
            process.open.close(number, &claims);
        } else {
            guard.keep();
        }
        self.count(Count::Bids);
        let manners = self.world.manners[self.world.position(claims.exchange)];
        for planned in market::fate(&mut self.dice, &self.plan, profile, &manners, &claims) {
            self.report.add(Count::OddPrices, planned.is_odd.into());
            let due = super::arithmetic::meant(profile, &claims, &planned.says);
            self.notices.push(Notice {
                bid: number,
                kind: planned.kind,
                url: wire::url(self.world, profile, planned.kind, &claims, &planned.says),
                due,
                tries_left: manners.retries,
                arrived_ns: 0,
            });
            self.after(planned.after_ns, What::Notice(self.notices.len() - 1));
        }
        Ok(())
    }

    /// Drops a guard: the answer was never sent.
    fn let_go(&mut self, bid: usize) {
        let Some(process) = &mut self.process else { return };
        if let Some(guard) = process.guards.remove(&bid) {
            drop(guard);
            process.open.close(bid, &self.bids[bid].claims);
        }
    }

    /// The writer will look at what waits.
    pub(super) fn schedule_turn(&mut self) {
        let lag_ms = if self.lags { 3_000 } else { 8 };
        let Some(process) = &mut self.process else { return };
        if !process.has_turn && process.ledger.waiting() > 0 {
            process.has_turn = true;
            let delay_ns = self.dice.below(lag_ms * MS);
            self.after(delay_ns, What::Turn);
        }
    }

    /// The writer does some of what waits, or all of it, and commits, or not yet.
    fn turn(&mut self) -> Result<(), Broken> {
        let Some(process) = &mut self.process else { return Ok(()) };
        process.has_turn = false;
        let waiting = process.ledger.waiting() as u64;
        let some = if self.dice.once_in(3) { self.dice.below(waiting + 1) } else { waiting };
        for _ in 0..some {
            self.do_next()?;
        }
        if !self.dice.once_in(5) {
            self.sync()?;
        }
        self.schedule_turn();
        Ok(())
    }

    /// The next command that waits.
    pub(super) fn do_next(&mut self) -> Result<(), Broken> {
        let now = self.now();
        let Some(process) = &self.process else { return Ok(()) };
        process.ledger.step(now)?;
        self.check()
    }

    /// Does everything and commits it.
    pub(super) fn settle(&mut self) -> Result<(), Broken> {
        while self.process.as_ref().is_some_and(|process| process.ledger.waiting() > 0) {
            self.do_next()?;
        }
        self.sync()
    }
}

/// Whether it is the process that does it.
fn waits(what: &What) -> bool {
    matches!(what, What::Request | What::Tick | What::Turn | What::Trouble | What::LetGo(_) | What::Notice(_))
}

/// A clock by which it is early at the first look and too late at the next.
#[derive(Default)]
struct LateClock(AtomicBool);

impl Clock for LateClock {
    fn now(&self) -> Now {
        let looked = self.0.swap(true, Relaxed);
        Now { mono_ns: if looked { u64::MAX } else { 0 }, unix_ms: 0 }
    }
}

impl From<Violation> for Broken {
    fn from(violation: Violation) -> Broken {
        Broken { rule: violation.invariant, detail: violation.detail }
    }
}
