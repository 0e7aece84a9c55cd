//! Notices between the market and the process: sent, lost, sent again; and what the answer to each must be.

use super::Broken;
use super::plan::Trouble;
use super::process::{Process, Told};
use super::report::Count;
use super::run::{MS, Run, SECOND, What};
use super::shadow::require;
use super::wire::{self, Heard};
use crate::budget::{Posting, Resolution};
use crate::exchange::NoticeKind;
use crate::model::exchange::BillingEvent;
use crate::model::money::Nanos;
use std::sync::Arc;

impl Run<'_> {
    /// An exchange sends a notice.
    pub(super) fn send(&mut self, number: usize) -> Result<(), Broken> {
        let exchange = self.bids[self.notices[number].bid].claims.exchange;
        if let Some((until_ns, later)) = self.black_holes.get(&exchange).copied() {
            if later {
                let after_ns = until_ns.saturating_sub(self.time_ns) + self.dice.below(60 * SECOND);
                self.after(after_ns, What::Notice(number));
            }
            return Ok(());
        }
        if self.process.is_none() || self.listener_dead {
            self.send_again(number);
            return Ok(());
        }
        let notice = &self.notices[number];
        let claims = self.bids[notice.bid].claims;
        let read = wire::claims(self.world, &notice.url);
        require(read == Some((notice.kind, claims)), "tokens", || {
            format!("{} reads as {read:?}", notice.url)
        })?;
        let at_ms = self.now().unix_ms;
        self.prices.notice(self.notices[number].kind, &claims, at_ms);
        match self.notices[number].kind {
            NoticeKind::Loss => {
                self.lose(number);
                Ok(())
            }
            kind if self.bills(number, kind) => self.bill(number),
            // Feedback, without money.
            _ => Ok(()),
        }
    }

    fn bills(&self, number: usize, kind: NoticeKind) -> bool {
        let exchange = self.bids[self.notices[number].bid].claims.exchange;
        let profile = &self.world.exchanges()[self.world.position(exchange)];
        match profile.billing_event {
            BillingEvent::Nurl => kind == NoticeKind::Win,
            BillingEvent::Burl => kind == NoticeKind::Billing,
            BillingEvent::Impression => kind == NoticeKind::Impression,
        }
    }

    fn bill(&mut self, number: usize) -> Result<(), Broken> {
        let now = self.now();
        self.count(Count::Bills);
        let notice = &self.notices[number];
        let heard = wire::read(self.world, &notice.url, now.unix_s());
        let (due, url) = (notice.due, notice.url.clone());
        let bid = notice.bid;
        let (claims, bill) = match heard {
            Some(Heard::Charge(claims, bill)) => (claims, bill),
            Some(Heard::Refuse) => {
                self.count(Count::Refused);
                return require(due.is_none(), "A6 prices", || {
                    format!("{url} is refused, and means {due:?}")
                });
            }
            Some(Heard::Audit) => {
                self.count(Count::Tests);
                return require(due.is_none(), "A6 prices", || format!("{url} is a test, and means {due:?}"));
            }
            None => return Err(Broken { rule: "tokens", detail: format!("{url} is no notice of ours") }),
        };
        require(due.is_some() || claims.test, "A6 prices", || format!("{url} bills {bill:?}"))?;
        self.bids[bid].sent.extend(due);
        if due.is_some_and(|due| due.overprice > 0) {
            self.count(Count::Overprice);
        }
        self.notices[number].arrived_ns = now.mono_ns;
        self.tell(|run| format!("bill {number} of bid {bid} {} {due:?}", run.bids[bid].claims.bid));
        let Some(process) = &mut self.process else { return Ok(()) };
        process.in_flight.insert(number);
        let replies = Arc::clone(&process.replies);
        let reply = Box::new(move |posting| replies.lock().push((number, Told::Bill(posting))));
        process.ledger.post_then(&claims, bill, now, reply);
        self.schedule_turn();
        Ok(())
    }

    fn lose(&mut self, number: usize) {
        self.tell(|run| format!("loss {number} of bid {}", run.notices[number].bid));
        let claims = self.bids[self.notices[number].bid].claims;
        let Some(process) = &mut self.process else { return };
        process.in_flight.insert(number);
        let replies = Arc::clone(&process.replies);
        process.ledger.void_then(&claims, move |done| replies.lock().push((number, Told::Loss(done))));
        self.schedule_turn();
    }

    /// It was not answered, or not with 2xx.
    pub(super) fn send_again(&mut self, number: usize) {
        let notice = &mut self.notices[number];
        if notice.kind == NoticeKind::Loss || (notice.tries_left == 0 && !self.closing) {
            return;
        }
        notice.tries_left = notice.tries_left.saturating_sub(1);
        self.count(Count::Retries);
        let after_ns = 500 * MS + self.dice.below(12 * SECOND);
        self.after(after_ns, What::Notice(number));
    }

    /// Answers that came out since the last look.
    pub(super) fn hear_answers(&mut self) -> Result<(), Broken> {
        let Some(process) = &mut self.process else { return Ok(()) };
        let replies = std::mem::take(&mut *process.replies.lock());
        for (number, told) in replies {
            if let Some(process) = &mut self.process {
                process.in_flight.remove(&number);
            }
            self.tell(|run| format!("notice {number} of bid {} is told {told:?}", run.notices[number].bid));
            match told {
                Told::Bill(posting) => self.judge_answer(number, posting)?,
                Told::Loss(resolution) => self.judge_loss(number, resolution)?,
            }
        }
        Ok(())
    }

    /// I8: an answer about money is about something durable; and it says what the bill comes to.
    fn judge_answer(&mut self, number: usize, posting: Posting) -> Result<(), Broken> {
        let notice = &self.notices[number];
        let (bid, due) = (notice.bid, notice.due);
        let claims = self.bids[bid].claims;
        let durable = self.durable.charged.get(&claims.bid).copied();
        let is_durable = |what: &str| {
            require(durable.is_some(), "I8 durable", || {
                format!("bid {} is answered {what} before anything of it is durable", claims.bid)
            })
        };
        let wrong = |what: String| Err(Broken { rule: "answers", detail: what });
        match posting {
            Posting::Accepted { charged } => {
                self.count(Count::Accepted);
                is_durable("accepted")?;
                let expected = due.map(|due| due.charge);
                if expected != Some(i128::from(charged.0)) {
                    return wrong(format!("bid {} is charged {charged}, due {due:?}", claims.bid));
                }
            }
            Posting::Late { charged, house } => {
                self.count(if house == Nanos(0) { Count::Late } else { Count::House });
                is_durable("late")?;
                let expected = due.map(|due| due.charge);
                if expected != Some(i128::from(charged.0) + i128::from(house.0)) {
                    return wrong(format!("bid {} costs {charged} and {house}, due {due:?}", claims.bid));
                }
            }
            Posting::Duplicate => {
                self.count(Count::Duplicates);
                is_durable("duplicate")?;
            }
            Posting::Stale => {
                self.count(Count::Stale);
                let age_s = self.latest_s - i64::from(claims.issued_s);
                let below = self.durable.horizons.get(&(claims.bid.epoch, claims.bid.core));
                let is_below = below.is_some_and(|first| claims.bid.sequence < *first);
                let is_old = is_below || age_s > i64::from(self.token_life_s());
                return require(is_old, "stale bills", || {
                    format!("bid {} is only {age_s} s old", claims.bid)
                });
            }
            Posting::Test => {
                self.count(Count::Tests);
                return require(claims.test, "tests", || format!("bid {} was no test", claims.bid));
            }
            Posting::Unavailable => {
                self.count(Count::Unavailable);
                self.send_again(number);
                let troubled = self.disk_full || self.laid.is_some();
                return require(troubled, "availability", || {
                    format!("bid {} is answered 503, though nothing ails the disk", claims.bid)
                });
            }
        }
        self.bids[bid].acked.extend(due);
        // Now and then the answer gets lost on its way.
        if self.plan.has(Trouble::Echo) && self.dice.once_in(15) {
            self.send_again(number);
        }
        Ok(())
    }

    fn judge_loss(&mut self, number: usize, resolution: Resolution) -> Result<(), Broken> {
        let bid = self.notices[number].bid;
        let claims = self.bids[bid].claims;
        let charged = self.live.charged.contains_key(&claims.bid);
        // Where the clock jumps, bids are forgotten beside those that it shows as too old.
        let age_s = self.latest_s - i64::from(claims.issued_s);
        let old = age_s > i64::from(self.token_life_s()) || self.plan.has(Trouble::Jump);
        let Some(process) = &mut self.process else { return Ok(()) };
        let known = process.voided.contains(&bid);
        let expected = match (charged, known) {
            _ if claims.test => Resolution::Ignored,
            (true, _) => Resolution::Contradictory,
            (_, true) => Resolution::Duplicate,
            _ if process.open.is_open(bid, &claims) => Resolution::Voided,
            _ => Resolution::Duplicate,
        };
        let right = resolution == expected || (old && resolution == Resolution::Ignored);
        if resolution != Resolution::Ignored && !charged {
            process.voided.insert(bid);
        }
        if resolution == Resolution::Voided {
            process.open.close(bid, &claims);
            self.count(Count::Losses);
        }
        if resolution == Resolution::Contradictory {
            self.count(Count::Contradictions);
        }
        require(right, "losses", || format!("bid {} is told {resolution:?}, not {expected:?}", claims.bid))
    }

    /// How old a bill may be, in seconds (money.md 2.4).
    pub(super) fn token_life_s(&self) -> u32 {
        (4 * 3_600).max(4 * self.live.max_hold_s)
    }
}

impl Process {
    /// Everything that was read and will not be answered any more.
    pub(super) fn unanswered(&self) -> Vec<usize> {
        self.in_flight.iter().copied().collect()
    }
}
