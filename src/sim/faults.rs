//! Everything that goes wrong around the process: crashes and recoveries, disks, clocks, stops, edits in flight.

use super::calendar::Calendar;
use super::invariants::compare;
use super::plan::Trouble;
use super::process::{self, Process};
use super::report::Count;
use super::run::{Laid, MS, Over, Run, SECOND, What};
use super::shadow::require;
use super::{Broken, world};
use crate::budget::journal::{Fault, JournalError, Options};
use crate::budget::record::Fund;
use crate::budget::{CommitError, Funding, RecoverError, RunawayRule, Stop};
use crate::model::ids::{AdvertiserId, CampaignId, ExchangeId};
use crate::model::money::Nanos;
use std::io::ErrorKind;
use std::sync::Arc;

const HOUR: u64 = 3_600 * SECOND;

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    PowerFailure,
    Killed,
    BadDisk,
    Cleanly,
}

impl Run<'_> {
    /// Starts the process on what is on the disk, as often as it takes.
    pub(super) fn boot(&mut self) -> Result<(), Broken> {
        let options = Options {
            segment_bytes: self.plan.segment_bytes,
            spare_segments: self.plan.spare_segments,
            emergency_bytes: 8_192,
        };
        let opened = loop {
            match process::open(&self.storage, options) {
                Ok(opened) => break opened,
                Err(RecoverError::Journal(JournalError::Io { .. } | JournalError::Failed { .. }))
                    if self.laid.is_some() =>
                {
                    self.count(Count::CrashesRecovering);
                    self.strike();
                }
                Err(RecoverError::Journal(JournalError::NoSpace { .. })) => {
                    self.uncap();
                }
                Err(error) => return Err(Broken { rule: "recovery", detail: error.to_string() }),
            }
        };
        self.judge_recovery(&opened)?;
        self.mono_base_ns = self.dice.below(1 << 50);
        let now = self.now();
        let epoch = opened.books.next_epoch(now.unix_s());
        let process = Process::start(opened, epoch, self.plan.cores, now)?;
        self.prices.restart();
        self.process = Some(process);
        self.tell(|run| format!("boot {epoch}, {} records durable", run.durable_lsn));
        self.count(Count::Recoveries);
        self.take_records()?;
        self.configure()
    }

    /// Sets what the configuration says; only then are bids asked for.
    fn configure(&mut self) -> Result<(), Broken> {
        let now = self.now();
        let Some(process) = &self.process else { return Ok(()) };
        let terms = self.world.snapshot.catalog.exchange_terms().collect();
        let (rates, rule) = (Arc::clone(&self.world.rates), RunawayRule::default());
        process.ledger.attempt(move |writer| writer.configure_exchanges(terms, rates, rule, now))?;
        self.apply(self.control.clone())?;
        self.sync()
    }

    /// What survived is a prefix of what was written, and the books that were rebuilt of it are the same as those of
    /// its records, one by one.
    fn judge_recovery(&mut self, opened: &process::Opened) -> Result<(), Broken> {
        let survived = opened.recorded.lock().durable_lsn;
        let (durable, written) = (self.durable_lsn, self.durable_lsn + self.pending.len() as u64);
        require((durable..=written).contains(&survived), "I9 crash", || {
            format!("{durable} of {written} records were durable, {survived} survived")
        })?;
        self.report.add(Count::TornWrites, u64::from(survived > durable && survived < written));
        self.report.add(Count::LostRecords, written - survived);
        self.advance(survived)?;
        self.pending.clear();
        self.live = self.durable.clone();
        opened.books.check()?;
        compare(&opened.books, &self.durable)?;
        require(opened.books.image() == self.replayed.image(), "I9 crash", || {
            format!(
                "the books after record {survived} are not those of its records:\n{:?}\n{:?}",
                opened.books, self.replayed
            )
        })?;
        self.by_date.clear();
        for (id, charged) in &self.durable.charged {
            let claims = &self.bids[self.by_id[id]].claims;
            *self.by_date.entry((claims.line_item.0, claims.budget_day)).or_default() += charged.charge;
        }
        self.calendar = Calendar::default();
        for (advertiser, (day, zone)) in &self.durable.days {
            self.calendar.resume(*advertiser, zone, *day);
        }
        Ok(())
    }

    /// The process is gone, and with it everything that was not on the disk.
    pub(super) fn end(&mut self, how: End) -> Result<(), Broken> {
        if how == End::Cleanly {
            let Some(process) = &self.process else { return Ok(()) };
            process.ledger.attempt(|writer| writer.close())?;
            self.settle()?;
            if let Some(process) = &self.process {
                process.ledger.attempt(|writer| Ok(writer.maintain(1).is_ok()))?;
            }
        }
        self.take_records()?;
        let Some(process) = self.process.take() else { return Ok(()) };
        self.tell(|_| format!("end: {how:?}"));
        let unanswered = process.unanswered();
        drop(process);
        self.count(match how {
            End::PowerFailure => Count::Crashes,
            End::Killed => Count::Kills,
            End::BadDisk => Count::DiskErrors,
            End::Cleanly => Count::CleanStops,
        });
        if how == End::PowerFailure {
            let seed = self.dice.next();
            self.storage.crash(seed);
        } else {
            self.storage.clear_faults();
        }
        self.laid = None;
        for notice in unanswered {
            self.send_again(notice);
        }
        if self.plan.has(Trouble::CrashInside) && !self.closing && self.dice.once_in(3) {
            self.lay(Laid::PowerFailure, 40);
        }
        let down_ns = match self.dice.below(12) {
            0 => self.dice.below(3 * HOUR),
            1..4 => self.dice.below(60 * SECOND),
            _ => self.dice.below(3 * SECOND),
        };
        let down_ns = if self.closing { 0 } else { down_ns };
        self.frozen_until_ns = self.frozen_until_ns.max(self.time_ns + down_ns);
        self.after(down_ns, What::Boot);
        Ok(())
    }

    /// The fault that was laid is met while nothing runs.
    fn strike(&mut self) {
        if self.laid.take() == Some(Laid::PowerFailure) {
            let seed = self.dice.next();
            self.storage.crash(seed);
        }
        self.storage.clear_faults();
    }

    /// One of the next operations of the journal fails.
    fn lay(&mut self, laid: Laid, within: u64) {
        let nth = self.storage.operations() + 1 + self.dice.below(within);
        let kind = self.dice.one(&[ErrorKind::Other, ErrorKind::Interrupted, ErrorKind::PermissionDenied]);
        match laid {
            Laid::PowerFailure => self.storage.fail_from(nth, Fault::Error(ErrorKind::Other)),
            Laid::BadDisk if self.dice.once_in(4) => self.storage.fail_at(nth, Fault::ShortWrite),
            Laid::BadDisk => self.storage.fail_at(nth, Fault::Error(kind)),
        }
        self.laid = Some(laid);
        self.tell(|_| format!("laid: {laid:?} at operation {nth}"));
    }

    /// The writer commits.
    pub(super) fn sync(&mut self) -> Result<(), Broken> {
        let Some(process) = &self.process else { return Ok(()) };
        let committed = process.ledger.sync();
        self.count(Count::Syncs);
        match committed {
            Ok(()) => self.check(),
            Err(CommitError::NoSpace(_)) => {
                self.tell(|_| "no space".to_owned());
                require(self.disk_full || self.laid.is_some(), "availability", || {
                    "no space on an empty disk".to_owned()
                })?;
                self.check()
            }
            Err(CommitError::Failed(why)) => self.failed(&why),
            Err(CommitError::Broken(violation)) => Err(violation.into()),
        }
    }

    /// Nothing is known of the last commit: the process stops.
    fn failed(&mut self, why: &str) -> Result<(), Broken> {
        self.tell(|_| format!("commit failed: {why}"));
        match self.laid {
            Some(Laid::PowerFailure) => {
                self.count(Count::CrashesInside);
                self.end(End::PowerFailure)
            }
            Some(Laid::BadDisk) => self.end(End::BadDisk),
            None => Err(Broken { rule: "journal", detail: why.to_owned() }),
        }
    }

    /// The ledger's periodic work.
    pub(super) fn tick(&mut self) -> Result<(), Broken> {
        let now = self.now();
        self.prices.tick(now.unix_ms);
        let Some(process) = &mut self.process else { return Ok(()) };
        if !self.listener_dead {
            process.ledger.gates().hear(now);
            process.last_pulse_ns = now.mono_ns;
        }
        let heard_ns = (now.mono_ns - process.last_tick_ns).min(100 * MS);
        process.last_tick_ns = now.mono_ns;
        process.heard_ns += heard_ns;
        let ledger = Arc::clone(&process.ledger);
        let full = ledger.attempt(move |writer| {
            let full = writer.is_full();
            writer.tick(now)?;
            Ok(full)
        })?;
        let full = full.unwrap_or(false);
        if !full {
            self.calendar.turn(now.unix_ms);
        }
        if self.process.as_ref().is_none_or(|process| process.ledger.waiting() == 0) {
            // What a core asked for since the last tick carries the reading of then.
            self.peak_ms = std::mem::replace(&mut self.peak_since_tick_ms, now.unix_ms).max(now.unix_ms);
        }
        let alive = self.process.as_ref().is_some_and(|p| now.mono_ns - p.last_pulse_ns <= SECOND);
        self.check_ears(alive && !full)?;
        self.check()?;
        let early = self.dice.once_in(20);
        if early {
            self.maintain()?;
        }
        if !self.dice.once_in(10) {
            self.sync()?;
        }
        if !early {
            self.maintain()?;
        }
        Ok(())
    }

    /// Sets space aside, and writes a checkpoint when it is time.
    fn maintain(&mut self) -> Result<(), Broken> {
        let bytes = self.plan.checkpoint_bytes;
        let Some(process) = &self.process else { return Ok(()) };
        let before = process.recorded.lock().checkpoints;
        let full = process.ledger.attempt(move |writer| {
            // A checkpoint that could not be written is tried again: the journal only grows.
            let _retried = writer.maintain(bytes);
            Ok(writer.is_full())
        })?;
        let written = process.recorded.lock().checkpoints - before;
        self.report.add(Count::Checkpoints, written);
        if full == Some(false) && !self.capped {
            self.disk_full = false;
        }
        Ok(())
    }

    /// There is space again.
    fn uncap(&mut self) {
        self.storage.set_capacity(None);
        self.capped = false;
    }

    /// Something goes wrong now.
    pub(super) fn trouble(&mut self) -> Result<(), Broken> {
        let kinds = self.plan.troubles();
        let Some(kind) = (!kinds.is_empty()).then(|| self.dice.one(&kinds)) else { return Ok(()) };
        self.tell(|_| format!("trouble: {kind:?}"));
        match kind {
            Trouble::Crash => {
                let how = self.dice.one(&[End::PowerFailure, End::PowerFailure, End::Killed, End::Cleanly]);
                let clean = how != End::Cleanly || self.laid.is_none();
                self.end(if clean { how } else { End::Killed })
            }
            Trouble::CrashInside if self.laid.is_none() => {
                self.lay(Laid::PowerFailure, 10);
                Ok(())
            }
            Trouble::BadDisk if self.laid.is_none() => {
                self.lay(Laid::BadDisk, 8);
                Ok(())
            }
            Trouble::Edit => self.edit(),
            Trouble::Move => self.move_zone(),
            Trouble::Kill => self.kill(),
            Trouble::Adjust => self.adjust(),
            _ => {
                self.begin(kind);
                Ok(())
            }
        }
    }

    /// Troubles that last.
    fn begin(&mut self, kind: Trouble) {
        let dice = &mut self.dice;
        match kind {
            Trouble::FullDisk => {
                let room = dice.below(2 * self.plan.segment_bytes);
                let after_ns = dice.below(20 * SECOND);
                self.storage.set_capacity(Some(self.storage.used() + room));
                self.capped = true;
                self.disk_full = true;
                self.count(Count::FullDisks);
                self.after(after_ns, What::Over(Over::FullDisk));
            }
            Trouble::Stop | Trouble::Sleep => {
                let (count, most) = match kind {
                    Trouble::Stop => (Count::Stops, 30 * SECOND),
                    _ => (Count::Sleeps, 5 * HOUR),
                };
                let for_ns = dice.below(most);
                self.count(count);
                self.frozen_until_ns = self.frozen_until_ns.max(self.time_ns + for_ns);
            }
            Trouble::Jump => {
                let by_ms =
                    dice.one(&[-3_600_000, 86_400_000, 3_600_000, -1_000, 1_000, -86_400_000, 61_000]);
                let back = dice.percent(60);
                let after_ns = SECOND + dice.below(60 * SECOND);
                self.civil_ms += by_ms;
                self.count(Count::ClockJumps);
                if back {
                    self.after(after_ns, What::Over(Over::Jump(by_ms)));
                }
            }
            Trouble::DeadListener => {
                let after_ns = dice.below(15 * SECOND);
                self.listener_dead = true;
                self.count(Count::DeadListeners);
                self.after(after_ns, What::Over(Over::DeadListener));
            }
            Trouble::BlackHole => {
                let exchange = dice.one(self.world.exchanges()).id;
                let (for_ns, later) = (dice.one(&[20, 60, 600]) * SECOND, dice.percent(50));
                self.black_holes.insert(exchange, (self.time_ns + for_ns, later));
                self.count(Count::BlackHoles);
                self.after(for_ns, What::Over(Over::BlackHole(exchange)));
            }
            Trouble::Lag => {
                let after_ns = dice.below(20 * SECOND);
                self.lags = true;
                self.after(after_ns, What::Over(Over::Lag));
            }
            _ => {}
        }
    }

    /// A trouble is over.
    pub(super) fn over(&mut self, over: Over) -> Result<(), Broken> {
        match over {
            Over::FullDisk => self.uncap(),
            Over::DeadListener => self.listener_dead = false,
            Over::BlackHole(exchange) => {
                let over = self.black_holes.get(&exchange).is_some_and(|(until, _)| *until <= self.time_ns);
                if over {
                    self.black_holes.remove(&exchange);
                }
            }
            Over::Jump(by_ms) => self.civil_ms -= by_ms,
            Over::Lag => self.lags = false,
            Over::Kill(what) => self.switch(what, false)?,
        }
        Ok(())
    }

    fn kill(&mut self) -> Result<(), Broken> {
        let what = match self.dice.below(4) {
            0 => Stop::All,
            1 => Stop::Exchange(self.dice.one(self.world.exchanges()).id),
            2 => Stop::Advertiser(self.dice.one(&self.control).0.advertiser),
            _ => Stop::Campaign(self.dice.one(&self.control).0.campaign),
        };
        let after_ns = self.dice.below(20 * SECOND);
        self.count(Count::KillSwitches);
        self.after(after_ns, What::Over(Over::Kill(what)));
        self.switch(what, true)
    }

    /// A person throws or releases a kill switch and waits until that is durable; without a process it is no use.
    fn switch(&mut self, what: Stop, stopped: bool) -> Result<(), Broken> {
        let Some(process) = &self.process else {
            if !stopped {
                self.after(SECOND, What::Over(Over::Kill(what)));
            }
            return Ok(());
        };
        self.tell(|_| format!("{what:?}: {stopped}"));
        process.ledger.attempt(move |writer| writer.stop(what, stopped))?;
        self.check()
    }

    fn adjust(&mut self) -> Result<(), Broken> {
        let now = self.now();
        let line_item = self.dice.one(&self.control).0.line_item;
        let amount = Nanos(self.dice.within(-3_000_000, 2_000_000));
        let Some(process) = &self.process else { return Ok(()) };
        let done = process.ledger.attempt(move |writer| writer.adjust(line_item, amount, now))?;
        if done.flatten().is_some() {
            self.count(Count::Corrections);
        }
        if self.dice.once_in(3) {
            let exchange: ExchangeId = self.dice.one(self.world.exchanges()).id;
            let Some(process) = &self.process else { return Ok(()) };
            process.ledger.attempt(move |writer| writer.pardon(exchange, now))?;
            self.count(Count::Pardons);
            self.look_at_breakers()?;
        }
        self.check()
    }

    /// Somebody changes budgets: a wallet, a campaign's or a line item's.
    fn edit(&mut self) -> Result<(), Broken> {
        if self.dice.once_in(8) {
            return self.forbidden_edit();
        }
        let row = self.dice.one(&self.control).0;
        let (kind, dice) = (self.dice.below(3), &mut self.dice);
        let wallet = Nanos(world::amount(dice, row.currency, 3_000));
        let (campaign, line_item) =
            (world::budget(dice, row.currency, 2_000), world::budget(dice, row.currency, 1_000));
        self.version += 1;
        let version = self.version;
        let changed = self.change(|funding| {
            match kind {
                0 if funding.advertiser == row.advertiser => funding.wallet = wallet,
                1 if funding.campaign == row.campaign => funding.campaign_budget = campaign,
                2 if funding.line_item == row.line_item => funding.line_item_budget = line_item,
                _ => return,
            }
            funding.version = version;
        });
        self.count(Count::Edits);
        self.deliver(changed)
    }

    /// Changes rows of the control plane; returns those.
    fn change(&mut self, change: impl Fn(&mut Funding)) -> Vec<(Funding, Nanos)> {
        let mut changed = Vec::new();
        for (funding, largest) in &mut self.control {
            let before = funding.clone();
            change(funding);
            if *funding != before {
                changed.push((funding.clone(), *largest));
            }
        }
        changed
    }

    /// An edit goes to the ledger at once, or later, by the outbox.
    fn deliver(&mut self, rows: Vec<(Funding, Nanos)>) -> Result<(), Broken> {
        match self.dice.below(5) {
            0 => {
                let after_ns = self.dice.below(20 * SECOND);
                self.after(after_ns, What::Apply(rows));
                Ok(())
            }
            1 => self.apply(self.control.clone()),
            _ => self.apply(rows),
        }
    }

    fn move_zone(&mut self) -> Result<(), Broken> {
        let advertiser: AdvertiserId = self.dice.one(&self.control).0.advertiser;
        let zone = match self.dice.once_in(3) {
            true => self.plan.zone,
            false => self.dice.one(&world::ZONES),
        };
        self.version += 1;
        let version = self.version;
        let changed = self.change(|funding| {
            if funding.advertiser == advertiser {
                funding.time_zone = zone.to_owned();
                funding.version = version;
            }
        });
        self.count(Count::Moves);
        self.deliver(changed)
    }

    /// An edit that money cannot follow is refused and changes nothing.
    fn forbidden_edit(&mut self) -> Result<(), Broken> {
        let now = self.now();
        let (mut row, largest) = self.dice.one(&self.control);
        row.version = self.version + 1;
        match self.dice.once_in(2) {
            true => row.campaign = CampaignId(row.campaign.0 + 1_000),
            false => row.currency = crate::model::money::Currency::parse("CHF").expect("three letters"),
        }
        let Some(process) = &self.process else { return Ok(()) };
        let done = process.ledger.attempt(move |writer| {
            let before = writer.books().image();
            let refused = writer.configure(vec![(row, largest)], now)?.is_err();
            Ok(refused && before == writer.books().image())
        })?;
        self.count(Count::RefusedEdits);
        require(done != Some(false), "edits", || "an edit that money cannot follow was taken".to_owned())?;
        self.check()
    }

    /// Rows of the control plane reach the ledger.
    pub(super) fn apply(&mut self, rows: Vec<(Funding, Nanos)>) -> Result<(), Broken> {
        let now = self.now();
        if self.process.is_none() || rows.is_empty() {
            // The next boot brings everything.
            return Ok(());
        }
        for (row, _) in &rows {
            let known = self.live.funding.get(&row.line_item.0);
            if known.is_some_and(|known| row.version < known.version) {
                self.report.add(Count::StaleEdits, 1);
                continue;
            }
            let lower = |before: Option<i64>, after: Option<Nanos>| {
                after.map_or(i64::MAX, |n| n.0) < before.unwrap_or(i64::MAX)
            };
            let cut = known.is_some_and(|known| {
                row.wallet.0 < known.wallet
                    || lower(known.campaign_lifetime, row.campaign_budget.lifetime)
                    || lower(known.campaign_daily, row.campaign_budget.daily)
                    || lower(known.line_item_lifetime, row.line_item_budget.lifetime)
                    || lower(known.line_item_daily, row.line_item_budget.daily)
            });
            self.report.add(Count::Cuts, cut.into());
            self.calendar.set_zone(row.advertiser.0, &row.time_zone, now.unix_ms);
        }
        self.tell(|_| format!("apply {} rows", rows.len()));
        let sent: Vec<Funding> = rows.iter().map(|(row, _)| row.clone()).collect();
        let Some(process) = &self.process else { return Ok(()) };
        let done = process.ledger.attempt(move |writer| writer.configure(rows, now))?;
        if let Some(Err(refused)) = done {
            return Err(Broken { rule: "edits", detail: refused.to_string() });
        }
        self.calendar.turn(now.unix_ms);
        self.check()?;
        sent.iter().try_for_each(|row| {
            let known = self.live.funding.get(&row.line_item.0);
            require(known.is_some_and(|known| says(known, row)), "edits", || {
                format!("{row:?} became {known:?}")
            })
        })
    }

    /// No more bids and no more trouble: what is on its way arrives.
    pub(super) fn close(&mut self) -> Result<(), Broken> {
        self.closing = true;
        self.uncap();
        self.storage.clear_faults();
        self.laid = None;
        self.black_holes.clear();
        self.listener_dead = false;
        self.lags = false;
        self.frozen_until_ns = 0;
        if self.process.is_none() {
            self.boot()?;
        }
        self.tick()?;
        self.maintain()?;
        self.tell(|_| "closing".to_owned());
        self.settle()
    }
}

/// Whether the ledger's record says what the row said, or is newer.
fn says(known: &Fund, row: &Funding) -> bool {
    let nanos = |amount: Option<Nanos>| amount.map(|nanos| nanos.0);
    let same = (known.campaign, known.advertiser, known.wallet)
        == (row.campaign.0, row.advertiser.0, row.wallet.0)
        && (known.campaign_lifetime, known.campaign_daily)
            == (nanos(row.campaign_budget.lifetime), nanos(row.campaign_budget.daily))
        && (known.line_item_lifetime, known.line_item_daily)
            == (nanos(row.line_item_budget.lifetime), nanos(row.line_item_budget.daily))
        && known.time_zone == row.time_zone;
    known.version > row.version || (known.version == row.version && same)
}
