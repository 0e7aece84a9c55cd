//! What must hold after every step (money.md 2.8), and what every record of the journal must have been written for.

use super::Broken;
use super::plan::Trouble;
use super::process::Process;
use super::report::Count;
use super::run::{Run, SECOND};
use super::shadow::{Shadow, require};
use crate::budget::record::{self, Event};
use crate::budget::{AccountKey, Books, ExchangeReport, GateState, LeaseAudit, Stop};
use crate::model::clock::Now;
use crate::model::ids::{AdvertiserId, BidId, ExchangeId, LeaseId, LineItemId};
use crate::model::money::Nanos;
use crate::model::token::TokenClaims;
use std::collections::{BTreeMap, BTreeSet};

/// The exchanges' retries after a crash, in seconds (money.md 2.5).
const RETRY_S: u64 = 120;

impl Run<'_> {
    /// After every step.
    pub(super) fn check(&mut self) -> Result<(), Broken> {
        let now = self.now();
        self.latest_s = self.latest_s.max(now.unix_s());
        self.peak_ms = self.peak_ms.max(now.unix_ms);
        self.peak_since_tick_ms = self.peak_since_tick_ms.max(now.unix_ms);
        self.take_records()?;
        self.hear_answers()?;
        self.check_leases()
    }

    /// Takes in what the journal recorded since the last look: first what was decided, then what became durable.
    pub(super) fn take_records(&mut self) -> Result<(), Broken> {
        let Some(process) = &self.process else { return Ok(()) };
        let (fresh, durable_lsn, garbage) = {
            let mut recorded = process.recorded.lock();
            (std::mem::take(&mut recorded.fresh), recorded.durable_lsn, recorded.garbage)
        };
        require(!garbage, "journal", || "something was appended that is no record".to_owned())?;
        for event in fresh {
            self.tell(|_| format!("  {event:?}"));
            self.judge_record(&event)?;
            self.live.apply(&event)?;
            self.note_record(&event);
            self.pending.push_back(event);
        }
        self.advance(durable_lsn)
    }

    /// The journal is durable up to here.
    pub(super) fn advance(&mut self, durable_lsn: u64) -> Result<(), Broken> {
        while self.durable_lsn < durable_lsn {
            let Some(event) = self.pending.pop_front() else {
                let detail = format!("{durable_lsn} is durable, {} was written", self.durable_lsn);
                return Err(Broken { rule: "I9 crash", detail });
            };
            self.durable_lsn += 1;
            self.durable.apply(&event)?;
            self.replayed.apply(&event)?;
        }
        Ok(())
    }

    /// A record that was just appended, before it counts.
    fn judge_record(&mut self, event: &Event) -> Result<(), Broken> {
        match event {
            Event::Post(post) => self.judge_post(post),
            Event::Late(late) => self.judge_late(late),
            Event::Horizon(horizon) => self.judge_horizon(horizon),
            Event::Release(release) => self.judge_release(LeaseId(release.lease)),
            Event::Grant(grant) => {
                let fund = self.live.funding.get(&grant.line_item);
                let stopped = fund.is_some_and(|fund| self.is_stopped(fund.advertiser, fund.campaign, None));
                require(!stopped, "kill switches", || format!("{grant:?} to somebody who is stopped"))
            }
            Event::Day(day) => {
                let readings = [self.now().unix_ms, self.peak_ms];
                let walls = readings.map(|reading| self.calendar.day_at(day.advertiser, reading));
                let lawful = walls.contains(&Some(day.day)) || walls.contains(&None);
                require(lawful, "I11 day", || format!("{day:?}, on the wall {walls:?} at {readings:?}"))?;
                self.calendar.begin(day.advertiser, day.day, readings);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn judge_post(&mut self, post: &record::Post) -> Result<(), Broken> {
        let number = self.known(post.bid)?;
        let bid = &self.bids[number];
        let claims = bid.claims;
        let (charge, overprice) = (i128::from(post.charge), i128::from(post.overprice));
        let due = bid.sent.iter().any(|due| (due.charge, due.overprice) == (charge, overprice));
        let rest = bid.hold - charge;
        let released = i128::from(post.released);
        let lawful = due && (released == 0 || released == rest) && post.lease == claims.lease.0;
        require(lawful, "I6 bound", || format!("{post:?} of a hold of {}, due {:?}", bid.hold, bid.sent))?;
        let hold = bid.hold;
        let Some(process) = &mut self.process else { return Ok(()) };
        require(!process.voided.contains(&number), "losses", || format!("{post:?} of a bid that lost"))?;
        if self.live.is_current(claims.lease) {
            let open = process.open.close(number, &claims);
            require(open, "I2 lease", || format!("{post:?}, whose hold is gone"))?;
        } else {
            let doubt = self.live.leases.get(&claims.lease).map_or(0, super::shadow::Lease::outstanding);
            require(doubt >= hold, "I2 lease", || format!("{post:?}, in doubt {doubt}"))?;
            self.report.add(Count::OldBills, 1);
        }
        self.charge_date(&claims, charge)
    }

    fn judge_late(&mut self, late: &record::Late) -> Result<(), Broken> {
        let number = self.known(late.bid)?;
        let bid = &self.bids[number];
        let claims = bid.claims;
        let asked = (i128::from(late.charge) + i128::from(late.overdelivery), i128::from(late.overprice));
        let due = bid.sent.iter().any(|due| (due.charge, due.overprice) == asked);
        let same = (late.line_item, late.day) == (claims.line_item.0, claims.budget_day);
        require(due && same, "I6 bound", || {
            format!("{late:?} of a hold of {}, due {:?}", bid.hold, bid.sent)
        })?;
        let Some(process) = &self.process else { return Ok(()) };
        let covered = if self.live.is_current(claims.lease) {
            process.open.is_open(number, &claims)
        } else {
            let doubt = self.live.leases.get(&claims.lease).map_or(0, super::shadow::Lease::outstanding);
            doubt >= bid.hold
        };
        // Losses are forgotten of bids that the clock shows as older than a bill may be. Where it jumps, bids are not in
        // its order, and young ones are forgotten with them: theirs are late bills then.
        let age_s = self.latest_s - i64::from(claims.issued_s);
        let forgotten = age_s > i64::from(self.token_life_s()) || self.plan.has(Trouble::Jump);
        let lost = process.voided.contains(&number) || forgotten;
        require(!covered || lost, "late bills", || format!("{late:?}, whose hold is there"))?;
        if late.overdelivery > 0 {
            self.unroomed.push((late.line_item, late.day, late.overdelivery.into()));
        }
        self.charge_date(&claims, late.charge.into())
    }

    /// I11, by the date on the wall when the bid was made.
    fn charge_date(&mut self, claims: &TokenClaims, charge: i128) -> Result<(), Broken> {
        let date = (claims.line_item.0, claims.budget_day);
        let sum = self.by_date.entry(date).or_default();
        *sum += charge;
        let (sum, most) = (*sum, self.dailies.get(&date).copied());
        require(most.is_none_or(|most| sum <= most), "I11 day", || {
            format!("line item {} is charged {sum} on day {}, budget {most:?}", date.0, date.1)
        })
    }

    fn known(&self, bid: record::Bid) -> Result<usize, Broken> {
        let known = self.by_id.get(&bid.id()).copied();
        known.ok_or_else(|| Broken { rule: "I5 one resolution", detail: format!("{bid:?} was never made") })
    }

    /// What a process that is gone may still hold comes back only after the longest hold and the exchanges' retries.
    fn judge_release(&mut self, lease: LeaseId) -> Result<(), Broken> {
        let Some(process) = &self.process else { return Ok(()) };
        let heard_s = process.heard_ns / SECOND;
        let needed_s = u64::from(self.live.max_hold_s) + RETRY_S;
        let old = !self.live.is_current(lease);
        require(old && heard_s >= needed_s, "in doubt", || {
            format!("lease {lease} is released after {heard_s} s, needed {needed_s} s")
        })
    }

    /// Only what no bill may come for any more is forgotten; where the clock goes back, bids are not in its order.
    fn judge_horizon(&self, horizon: &record::Horizon) -> Result<(), Broken> {
        let of = |sequence| BidId { epoch: horizon.epoch, core: horizon.core as u16, sequence };
        let mut below = self.by_id.range(of(0)..of(horizon.sequence)).map(|(_, number)| &self.bids[*number]);
        let oldest_s = self.latest_s - i64::from(self.token_life_s());
        let young = below.find(|bid| i64::from(bid.claims.issued_s) > oldest_s);
        let jumps = self.plan.has(Trouble::Jump);
        require(jumps || young.is_none(), "horizon", || {
            format!("{horizon:?} forgets bid {:?}", young.map(|bid| bid.claims.bid))
        })
    }

    fn note_record(&mut self, event: &Event) {
        let count = match event {
            Event::Release(_) => Count::Released,
            Event::Horizon(_) => Count::Horizons,
            Event::Return(_) => Count::Recalls,
            Event::Day(day) => {
                self.note_dailies(day.advertiser);
                Count::Days
            }
            Event::Fund(fund) => {
                self.note_dailies(fund.advertiser);
                return;
            }
            Event::Post(record::Post { source, .. }) | Event::Late(record::Late { source, .. }) => {
                self.note_bill(source);
                return;
            }
            Event::Stale(stale) => {
                let exchange = ExchangeId(stale.source.exchange as u16);
                self.ever_billed.insert(exchange);
                // A memo, and of bids that are older than what is bounded.
                *self.held_units.entry(exchange).or_default() += i128::from(stale.source.house_units);
                return;
            }
            _ => return,
        };
        self.count(count);
    }

    /// Whoever bills can be heard.
    fn note_bill(&mut self, source: &record::Source) {
        let exchange = ExchangeId(source.exchange as u16);
        self.ever_billed.insert(exchange);
        self.billing.entry(exchange).or_default().0 += 1;
        if let Some(ear) = self.process.as_mut().and_then(|process| process.ears.get_mut(&exchange)) {
            ear.deaf = false;
            ear.unbilled.clear();
        }
    }

    /// Remembers the largest daily budget that was in force on a date.
    fn note_dailies(&mut self, advertiser: u32) {
        let Some(day) = self.live.days.get(&advertiser).map(|(day, _)| *day) else { return };
        let own = self.live.funding.values().filter(|fund| fund.advertiser == advertiser);
        for fund in own {
            let limits = [fund.campaign_daily, fund.line_item_daily];
            let daily = limits.into_iter().flatten().map(i128::from).min();
            let most = self.dailies.entry((fund.line_item, day)).or_insert(0);
            *most = (*most).max(daily.unwrap_or(i128::MAX));
        }
    }

    fn is_stopped(&self, advertiser: u32, campaign: u32, exchange: Option<u32>) -> bool {
        let stops = &self.live.stops;
        stops.contains(&(3, advertiser))
            || stops.contains(&(4, campaign))
            || exchange.is_some_and(|exchange| stops.contains(&(1, 0)) || stops.contains(&(2, exchange)))
    }

    /// A bid that was just made.
    pub(super) fn judge_bid(
        &mut self,
        claims: &TokenClaims,
        held: i128,
        guard: Nanos,
    ) -> Result<i128, Broken> {
        require(i128::from(guard.0) == held, "holds", || {
            format!("bid {} holds {guard}, and may cost {held}", claims.bid)
        })?;
        require(!self.by_id.contains_key(&claims.bid), "epochs", || format!("bid id {} again", claims.bid))?;
        let lease = self.durable.leases.get(&claims.lease).copied();
        let backed = lease.is_some_and(|lease| {
            (lease.line_item, lease.day) == (claims.line_item.0, claims.budget_day) && lease.granted >= held
        });
        require(backed, "I8 durable", || format!("bid {} is of lease {lease:?}", claims.bid))?;
        let fund = self.live.funding.get(&claims.line_item.0);
        let (advertiser, campaign) = fund.map_or((0, 0), |fund| (fund.advertiser, fund.campaign));
        let wall = self.calendar.day_at(advertiser, self.now().unix_ms);
        require(wall == Some(claims.budget_day), "I11 day", || {
            format!("bid {} is of day {}, on the wall {wall:?}", claims.bid, claims.budget_day)
        })?;
        let room = self.live.room(claims.line_item.0, claims.budget_day);
        require(room.is_none_or(|room| room >= 0), "cuts", || {
            format!("bid {} of an account that is over its budget by {room:?}", claims.bid)
        })?;
        let stopped = self.is_stopped(advertiser, campaign, Some(claims.exchange.0.into()));
        require(!stopped, "kill switches", || format!("bid {} of {}", claims.bid, claims.line_item))?;
        self.judge_trust(claims, held)
    }

    /// Before its first bill, what was ever held for an exchange is bounded (money.md 2.6).
    /// Returns the hold in units of the exchange's currency.
    fn judge_trust(&mut self, claims: &TokenClaims, held: i128) -> Result<i128, Broken> {
        let profile = &self.world.exchanges()[self.world.position(claims.exchange)];
        let advertisers = self.world.snapshot.catalog.advertisers();
        let owner = self.live.funding.get(&claims.line_item.0).map_or(0, |fund| fund.advertiser);
        let wallet = advertisers.iter().find(|a| a.id.0 == owner).map(|a| a.currency);
        let rate = wallet.and_then(|wallet| self.world.rates.cross(profile.currency, wallet));
        let rate = i128::from(rate.map_or(1, |rate| rate.0));
        let units = (held * 1_000_000_000 + rate - 1) / rate;
        *self.held_units.entry(claims.exchange).or_default() += units;
        self.billing.entry(claims.exchange).or_default().1 += 1;
        if let Some(process) = &mut self.process {
            let heard_s = process.ledger.gates().gate(claims.exchange).ear_s();
            process.ears.entry(claims.exchange).or_default().unbilled.push_back(heard_s);
        }
        let Some(trust) = profile.house.first_trust else { return Ok(units) };
        if self.ever_billed.contains(&claims.exchange) {
            return Ok(units);
        }
        let sum = self.trusted.entry(claims.exchange).or_default();
        *sum += units;
        let sum = *sum;
        require(sum <= i128::from(trust.0), "first trust", || {
            format!("{sum} held for exchange {}, trusted with {trust}", claims.exchange)
        })?;
        Ok(units)
    }

    /// I2 and I8 for every lease of the process, I1 to I4 for the books.
    fn check_leases(&mut self) -> Result<(), Broken> {
        let Some(process) = &self.process else { return Ok(()) };
        let seen = process.ledger.attempt(|writer| {
            writer.books().check()?;
            Ok(writer.audit())
        })?;
        let audit = seen.unwrap_or_default();
        let waiting = self.waiting();
        for lease in &audit {
            self.check_lease(process, lease, waiting.get(&lease.lease).copied().unwrap_or(0))?;
        }
        let unroomed = std::mem::take(&mut self.unroomed);
        unroomed.into_iter().try_for_each(|(line_item, day, amount)| {
            let room = self.room_with_free(line_item, day, &audit);
            require(room.is_some_and(|room| room < amount), "late bills", || {
                format!(
                    "the house bears {amount} for line item {line_item}, with what is free there is {room:?}"
                )
            })
        })
    }

    /// What a line item's accounts have room for, once every lease gives back what it has free; `None` = no limit.
    pub(super) fn room_with_free(&self, line_item: u32, day: u32, audit: &[LeaseAudit]) -> Option<i128> {
        let keys = self.live.keys(line_item, day)?;
        let free = |key: &AccountKey| -> i128 {
            let on = audit.iter().filter(|lease| lease.accounts.contains(key));
            on.map(|lease| i128::from(lease.free.0)).sum()
        };
        let rooms =
            keys.iter().filter_map(|key| Some(self.live.account(line_item, *key).room()? + free(key)));
        rooms.min()
    }

    /// What will be free once the pending records are durable, by lease.
    fn waiting(&self) -> BTreeMap<LeaseId, i128> {
        let mut waiting: BTreeMap<LeaseId, i128> = BTreeMap::new();
        for event in &self.pending {
            let (lease, amount) = match event {
                Event::Grant(grant) => (grant.lease, i128::from(grant.amount)),
                Event::Post(post) => {
                    let hold = self.by_id.get(&post.bid.id()).map_or(0, |number| self.bids[*number].hold);
                    (post.lease, hold - i128::from(post.charge) - i128::from(post.released))
                }
                _ => continue,
            };
            *waiting.entry(LeaseId(lease)).or_default() += amount;
        }
        waiting
    }

    fn check_lease(&self, process: &Process, seen: &LeaseAudit, waiting: i128) -> Result<(), Broken> {
        let wide = |nanos: Nanos| i128::from(nanos.0);
        let known = self.live.leases.get(&seen.lease).copied().unwrap_or_default();
        let told = (wide(seen.granted), wide(seen.returned), wide(seen.posted));
        let sums = (known.granted, known.returned, known.posted);
        require(told == sums, "I2 lease", || format!("{seen:?}, by its records {known:?}"))?;
        require(wide(seen.waiting) == waiting, "I8 durable", || {
            format!("{waiting} is not durable yet, and so much is kept back: {seen:?}")
        })?;
        let held = process.open.held(seen.lease);
        require(wide(seen.held) == held, "I2 lease", || format!("open bids hold {held}: {seen:?}"))?;
        let sum = wide(seen.free) + wide(seen.held) + wide(seen.waiting);
        let lawful = seen.free.0 >= 0 && known.outstanding() == sum;
        require(lawful, "I2 lease", || format!("outstanding {}: {seen:?}", known.outstanding()))
    }

    /// A tick at which so much was heard at most. `could_hear`: the listener lived and the disk was not full.
    pub(super) fn check_ears(&mut self, could_hear: bool) -> Result<(), Broken> {
        let Some(process) = &mut self.process else { return Ok(()) };
        let mut probing = false;
        for gate in process.ledger.gates().all() {
            let ear_s = gate.ear_s();
            probing |= gate.state() != GateState::Open;
            process.open.expire(gate.exchange, ear_s);
            let ear = process.ears.entry(gate.exchange).or_default();
            let before_s = std::mem::replace(&mut ear.heard_s, ear_s);
            let may_move = could_hear && !ear.deaf && !ear.over;
            require(ear_s == before_s || may_move, "ear clock", || {
                format!("exchange {}: {before_s} s to {ear_s} s, though nobody could hear it", gate.exchange)
            })?;
            require(u64::from(ear_s) <= process.heard_ns / SECOND, "ear clock", || {
                format!("exchange {}: {ear_s} s, lived through {} ns", gate.exchange, process.heard_ns)
            })?;
        }
        self.check_deafness()?;
        let Some(process) = &mut self.process else { return Ok(()) };
        if !probing {
            process.ears.values_mut().for_each(|ear| (ear.deaf, ear.over) = (false, false));
            return Ok(());
        }
        self.look_at_breakers()
    }

    /// A11: an exchange that billed for a share of its bids, and now for none of many, is known to be deaf, whatever
    /// happened in between.
    fn check_deafness(&self) -> Result<(), Broken> {
        let Some(process) = &self.process else { return Ok(()) };
        // Where bills come hours late, or the clock jumps, a bill may take longer than any bid is remembered here.
        let slow = [Trouble::SlowBill, Trouble::Jump, Trouble::Sleep, Trouble::Stop, Trouble::DeadListener];
        if slow.into_iter().any(|trouble| self.plan.has(trouble)) {
            return Ok(());
        }
        for (exchange, ear) in &process.ears {
            let profile = &self.world.exchanges()[self.world.position(*exchange)];
            let lives = profile.holds;
            let (billed, made) = self.billing.get(exchange).copied().unwrap_or((0, 0));
            if !profile.house.deaf_check || billed < 20 || ear.deaf {
                continue;
            }
            let patience_s = 3 * lives.web_banner_s + lives.grace_s + 40;
            let ripe_s = ear.heard_s.saturating_sub(patience_s);
            let ripe = ear.unbilled.partition_point(|heard_s| *heard_s < ripe_s) as u64;
            let expected = ripe * billed / made.max(1);
            require(expected < 90, "A11 deaf", || {
                format!(
                    "exchange {exchange}: {expected} bills should have come for {ripe} bids, and it is not deaf"
                )
            })?;
        }
        Ok(())
    }

    pub(super) fn look_at_breakers(&mut self) -> Result<(), Broken> {
        let now = self.now();
        let Some(process) = &mut self.process else { return Ok(()) };
        let reports = process.ledger.attempt(move |writer| Ok(writer.exchange_reports(now)))?;
        let mut costly = Vec::new();
        for report in reports.into_iter().flatten() {
            let ear = process.ears.entry(report.exchange).or_default();
            let (deaf, over) = (report.is_deaf, report.is_over_house_limit);
            self.report.add(Count::TripsDeaf, u64::from(deaf && !ear.deaf));
            self.report.add(Count::TripsHouse, u64::from(over && !ear.over));
            (ear.deaf, ear.over) = (deaf, over);
            costly.push(report);
        }
        costly.iter().try_for_each(|report| self.check_house(report, now))
    }

    /// Units held by earlier processes since the traffic was last written down: a crash forgets those.
    fn forgotten(&self, exchange: ExchangeId) -> i128 {
        let told_s = self.live.told_s.get(&exchange.0).map_or(0, |told_s| i64::from(*told_s) - 1);
        let late = self.bids.iter().filter(|bid| i64::from(bid.claims.issued_s) >= told_s);
        let own =
            late.filter(|bid| bid.claims.exchange == exchange && bid.claims.bid.epoch < self.live.epoch);
        own.map(|bid| bid.units).sum()
    }

    /// What the house bears of an exchange in a day is at most what was said when its breaker tripped, and what was
    /// held since (money.md 2.6). Prices above the bid are not bounded by what is held.
    fn check_house(&mut self, report: &ExchangeReport, now: Now) -> Result<(), Broken> {
        let utc_day = now.unix_s() / 86_400;
        let held = self.held_units.get(&report.exchange).copied().unwrap_or(0);
        let trip = self.house_trips.get(&report.exchange).filter(|trip| trip.0 == utc_day);
        let Some((_, bound, held_then)) = trip.copied() else {
            if report.is_over_house_limit {
                let bound = i128::from(report.bound.0) + self.forgotten(report.exchange);
                self.house_trips.insert(report.exchange, (utc_day, bound, held));
            }
            return Ok(());
        };
        let lawful = i128::from(report.house_today.0) <= bound + held - held_then;
        let beyond = self.plan.has(Trouble::OddPrice) || self.plan.has(Trouble::Jump);
        require(lawful || beyond, "house bound", || {
            format!("{bound} at the trip, {} held since: {report:?}", held - held_then)
        })
    }
}

/// Days that the ledger keeps behind the current one.
const DAYS_KEPT: u32 = 6;

/// The ledger's books against those that were kept beside them.
pub(super) fn compare(books: &Books, shadow: &Shadow) -> Result<(), Broken> {
    let differ = |what: String| Err(Broken { rule: "I9 crash", detail: what });
    for (key, balance) in books.balances() {
        let known = shadow.accounts.get(&key).copied().unwrap_or_default();
        let shown =
            (balance.budget.map(|b| i128::from(b.0)), balance.posted.0.into(), balance.leased.0.into());
        if shown != (known.budget, known.posted, known.leased) {
            return differ(format!("{key:?} shows {balance:?}, by the records {known:?}"));
        }
    }
    let balances = books.balances();
    // Days that no bill can reach any more are forgotten; what they leased is not.
    let forgotten = |key: &AccountKey, leased: i128| {
        let newest = balances.keys().filter_map(AccountKey::day).max();
        leased == 0 && key.day().zip(newest).is_some_and(|(day, newest)| day.0 + DAYS_KEPT < newest.0)
    };
    let missing = shadow.accounts.iter().find(|(key, account)| {
        let is_empty = (account.posted, account.leased) == (0, 0);
        !is_empty && !balances.contains_key(key) && !forgotten(key, account.leased)
    });
    if let Some((key, account)) = missing {
        return differ(format!("{key:?} is missing, by the records {account:?}"));
    }
    for (id, lease) in &shadow.leases {
        let Some(book) = books.leases().get(id) else {
            if lease.outstanding() == 0 {
                continue;
            }
            return differ(format!("lease {id} is missing, by the records {lease:?}"));
        };
        let shown = (i128::from(book.granted), i128::from(book.returned), i128::from(book.posted));
        let same = (book.line_item, book.day.0) == (LineItemId(lease.line_item), lease.day);
        if !same || shown != (lease.granted, lease.returned, lease.posted) {
            return differ(format!("lease {id} shows {book:?}, by the records {lease:?}"));
        }
    }
    for ((exchange, advertiser), known) in &shadow.house {
        let parties = (ExchangeId(*exchange), AdvertiserId(*advertiser));
        let house = books.house_by().get(&parties).copied().unwrap_or_default();
        let shown = [house.overdelivery, house.overprice, house.stale].map(|nanos| i128::from(nanos.0));
        if shown != *known && known.iter().all(|amount| *amount < i128::from(i64::MAX)) {
            return differ(format!("{parties:?}: the house bears {house:?}, by the records {known:?}"));
        }
    }
    for bid in shadow.charged.keys() {
        let stale = shadow.horizons.get(&(bid.epoch, bid.core)).is_some_and(|first| bid.sequence < *first);
        if books.is_stale(*bid) != stale || (!stale && !books.is_posted(*bid)) {
            return differ(format!("bid {bid} was charged; the books forgot it, or its horizon"));
        }
    }
    let stops: BTreeSet<(u32, u32)> = books.stops().iter().map(|stop| scope(*stop)).collect();
    if books.epoch() != shadow.epoch || stops != shadow.stops {
        return differ(format!("epoch {} and {:?}, by the records {shadow:?}", books.epoch(), books.stops()));
    }
    Ok(())
}

/// As the journal names it.
fn scope(stop: Stop) -> (u32, u32) {
    match stop {
        Stop::All => (1, 0),
        Stop::Exchange(id) => (2, id.0.into()),
        Stop::Advertiser(id) => (3, id.0),
        Stop::Campaign(id) => (4, id.0),
    }
}

impl Shadow {
    /// Whether the lease is of the process that runs now.
    pub(super) fn is_current(&self, lease: LeaseId) -> bool {
        lease.0 >> 32 == u64::from(self.epoch)
    }
}
