//! The end of a run: everything that was on its way has arrived, and what the exchanges saw is held against what the
//! ledger says it charged (money.md 2.9).

use super::Broken;
use super::invariants::compare;
use super::run::{Bid, MS, Run};
use super::shadow::require;
use crate::budget::{AccountKey, GateState, Granted, HoldRequest, HoldSource};
use crate::model::ids::{AdvertiserId, BidId};
use crate::model::money::Nanos;
use crate::model::rates::Rate;
use crate::model::token::{HoldFormat, TokenClaims};
use std::collections::BTreeMap;

impl Run<'_> {
    /// After the last notice.
    pub(super) fn finish(&mut self) -> Result<(), Broken> {
        self.settle()?;
        self.check_books()?;
        self.check_history()?;
        if self.dice.once_in(4) {
            self.exhaust()?;
        }
        if self.dice.once_in(4) {
            self.outlive()?;
        }
        Ok(())
    }

    /// A9: every core asks for one line item until nobody gets any more; what is left then is less than one hold.
    fn exhaust(&mut self) -> Result<(), Broken> {
        let Some(template) = self.bids.last().map(|bid| bid.claims) else { return Ok(()) };
        let amount = self.bids.last().map_or(0, |bid| bid.hold) as i64;
        let Some(process) = &self.process else { return Ok(()) };
        let gate = process.ledger.gates().gate(template.exchange);
        if gate.state() != GateState::Open || gate.trial_left().is_some() || !self.live.stops.is_empty() {
            return Ok(());
        }
        let (mut stranded, mut held, mut room) = (0, 0, Some(0));
        let (mut quiet, wide) = (0, i128::from(amount));
        while quiet < 8 && stranded < 24 && held < 3_000 && gate.state() == GateState::Open {
            self.time_ns += 100 * MS;
            self.tick()?;
            let some = self.hold_all(&template, amount);
            self.settle()?;
            held += some;
            room = self.room_now(template.line_item.0)?;
            // A core that was refused waits up to 640 ms before it asks again.
            let is_left = room.is_none_or(|room| room >= wide);
            (stranded, quiet) = if some > 0 {
                (0, 0)
            } else if is_left {
                (stranded + 1, 0)
            } else {
                (0, quiet + 1)
            };
        }
        self.tell(|_| format!("exhausted after {held} more holds of {amount}, with room for {room:?}"));
        require(stranded < 24, "A9 stranded money", || {
            format!(
                "line item {} gets no hold of {amount}, and there is room for {room:?}",
                template.line_item
            )
        })
    }

    /// What a line item could hold today if everything free went to it.
    fn room_now(&self, line_item: u32) -> Result<Option<i128>, Broken> {
        let Some(process) = &self.process else { return Ok(None) };
        let audit = process.ledger.attempt(|writer| Ok(writer.audit()))?.unwrap_or_default();
        let advertiser = self.live.funding.get(&line_item).map_or(0, |fund| fund.advertiser);
        let day = self.calendar.day_at(advertiser, self.now().unix_ms).unwrap_or(0);
        Ok(self.room_with_free(line_item, day, &audit))
    }

    /// What every core can still hold for the line item of `template`, at once.
    fn hold_all(&mut self, template: &TokenClaims, amount: i64) -> usize {
        let now = self.now();
        let Some(process) = &mut self.process else { return 0 };
        let mut made = 0;
        for (core, serving) in (0..).zip(&mut process.cores) {
            for _ in 0..100 {
                let granted = serving.budget.try_hold(&HoldRequest {
                    line_item: template.line_item,
                    amount: Nanos(amount),
                    unit_rate: Rate::ONE,
                    exchange: template.exchange,
                    format: HoldFormat::WebBanner,
                    life_s: 1_000,
                    slot_s: 100,
                    now,
                });
                let Ok(Granted { hold, lease, day, bucket }) = granted else { break };
                let sequence = u64::MAX - self.bids.len() as u64;
                let bid = BidId { epoch: process.ledger.epoch(), core, sequence };
                let claims = TokenClaims { bid, lease, budget_day: day.0, bucket, ..*template };
                process.open.open(self.bids.len(), &claims, amount.into());
                self.bids.push(Bid {
                    claims,
                    hold: amount.into(),
                    units: 0,
                    sent: Vec::new(),
                    acked: Vec::new(),
                });
                hold.keep();
                made += 1;
            }
        }
        made
    }

    /// The live books against the shadow of their records, and against the records alone.
    fn check_books(&mut self) -> Result<(), Broken> {
        let Some(process) = &self.process else { return Ok(()) };
        let books = process.ledger.attempt(|writer| Ok(writer.books().clone()))?;
        let Some(books) = books else { return Ok(()) };
        books.check()?;
        compare(&books, &self.live)?;
        require(self.pending.is_empty(), "history", || "something is not durable at the end".to_owned())?;
        require(books.image() == self.replayed.image(), "I9 crash", || {
            "the books are not their records".to_owned()
        })
    }

    /// Σ over bids with an answer of the least that their notices asked ≤ what was charged ≤ Σ over bids with a
    /// notice of the most; by advertiser, because wallets differ in currency.
    fn check_history(&mut self) -> Result<(), Broken> {
        let mut least: BTreeMap<u32, i128> = BTreeMap::new();
        let mut most: BTreeMap<u32, i128> = BTreeMap::new();
        for bid in &self.bids {
            let owner = self.live.funding.get(&bid.claims.line_item.0).map_or(0, |fund| fund.advertiser);
            let total = |due: &super::arithmetic::Due| due.charge + due.overprice;
            // Whichever came first counts, and not every order is known.
            let low = (!bid.acked.is_empty()).then(|| bid.sent.iter().map(total).min()).flatten();
            *least.entry(owner).or_default() += low.unwrap_or(0);
            *most.entry(owner).or_default() += bid.sent.iter().map(total).max().unwrap_or(0);
        }
        let Some(process) = &self.process else { return Ok(()) };
        let books = process
            .ledger
            .attempt(|writer| Ok((writer.books().balances(), writer.books().house_by().clone())))?;
        let Some((balances, house)) = books else { return Ok(()) };
        for (owner, most) in most {
            let least = least.get(&owner).copied().unwrap_or(0);
            let wallet = balances.get(&AccountKey::Wallet(AdvertiserId(owner)));
            let adjusted = self.live.adjusted.get(&owner).copied().unwrap_or([0; 2]);
            let charged = wallet.map_or(0, |wallet| i128::from(wallet.posted.0)) - adjusted[0];
            let own = house.iter().filter(|((_, advertiser), _)| advertiser.0 == owner);
            let borne: i128 =
                own.map(|(_, h)| i128::from(h.overdelivery.0) + i128::from(h.overprice.0)).sum();
            let actual = charged + borne - adjusted[1];
            let saturated = most >= i128::from(i64::MAX);
            require(saturated || (least..=most).contains(&actual), "history", || {
                format!(
                    "advertiser {owner}: {actual} charged and borne, answered for {least}, asked for {most}"
                )
            })?;
        }
        Ok(())
    }

    /// Time goes on without bids: every hold expires, and what was in doubt comes back.
    fn outlive(&mut self) -> Result<(), Broken> {
        let Some(process) = &self.process else { return Ok(()) };
        let tripped = process.ledger.gates().all().iter().any(|gate| gate.state() != GateState::Open);
        if tripped {
            return Ok(());
        }
        let seconds = u64::from(self.live.max_hold_s).max(1_200) + 125;
        for _ in 0..seconds * 10 {
            self.time_ns += 100 * MS;
            self.tick()?;
        }
        self.settle()?;
        let Some(process) = &self.process else { return Ok(()) };
        if process.ears.values().any(|ear| ear.deaf || ear.over) {
            // Nothing expires as long as an exchange cannot be heard.
            return Ok(());
        }
        let in_doubt = process.ledger.attempt(|writer| Ok(writer.books().in_doubt()))?;
        require(in_doubt.is_none_or(|rest| rest.0 == 0), "in doubt", || {
            format!("{in_doubt:?} is still in doubt after {seconds} s")
        })?;
        require(process.open.is_empty(), "expiry", || format!("holds are open after {seconds} s"))
    }
}
