//! What notices do to money: bills, losses, corrections (money.md 2.4).

use super::books::Violation;
use super::charge::{Bill, Parts, Terms, hold_parts};
use super::days::BudgetDay;
use super::lease::units;
use super::planted::{self, Bug};
use super::record::{self, Event};
use super::seen::Seen;
use super::writer::{Effect, LedgerWriter};
use crate::model::clock::Now;
use crate::model::ids::LineItemId;
use crate::model::money::Nanos;
use crate::model::token::TokenClaims;

/// A notice that waited longer than this to be read means that we hear badly, in nanoseconds.
const MAX_LAG_NS: u64 = 1_000_000_000;

/// What a billing notice did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Posting {
    /// Charged; what the hold had more went back.
    Accepted {
        /// The charge.
        charged: Nanos,
    },
    /// The hold was gone: charged if every account had room, else borne by the house.
    Late {
        /// The charge to the campaign.
        charged: Nanos,
        /// What the house bears for want of room.
        house: Nanos,
    },
    /// This bid was charged before; nothing moved.
    Duplicate,
    /// Older than a token may be; nothing moved but a memo of the house.
    Stale,
    /// A test bid; nothing moved.
    Test,
    /// The journal takes nothing now: the exchange must send it again.
    Unavailable,
}

/// What a loss notice did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resolution {
    /// The hold went back.
    Voided,
    /// Told before, or expired before; nothing moved.
    Duplicate,
    /// The bid was charged already: contradictory, nothing moved.
    Contradictory,
    /// A test bid or a stale one; nothing moved.
    Ignored,
}

/// Called with what a notice did, when that is durable.
pub type Reply = Box<dyn FnOnce(Posting) + Send>;

/// A bill with everything that is known of it: what it asks for, and what of that the campaign can owe at most.
struct Due<'c> {
    claims: &'c TokenClaims,
    bid: record::Bid,
    hold: i64,
    /// min(asked, hold).
    charged: i64,
    overprice: i64,
    parts: Parts,
    /// Nanos of the wallet's currency for one unit of the exchange's.
    unit_rate: crate::model::rates::Rate,
    at_s: u32,
    shown: record::Shown,
}

impl Due<'_> {
    /// Where `charged` goes, and what `house` is in units.
    fn source(&self, charged: i64, house: i64) -> record::Source {
        let parts = if charged == 0 { Parts::default() } else { self.parts };
        record::Source {
            exchange: u32::from(self.claims.exchange.0),
            at_s: self.at_s,
            data: parts.data,
            platform: parts.platform,
            units: units(charged, self.unit_rate),
            house_units: units(house, self.unit_rate),
        }
    }
}

impl LedgerWriter {
    /// Charges a bill. `reply` hears of it when it is durable.
    pub fn post(
        &mut self,
        claims: &TokenClaims,
        bill: Bill,
        now: Now,
        reply: Reply,
    ) -> Result<(), Violation> {
        let posting =
            if self.is_full() { Posting::Unavailable } else { self.decide_post(claims, bill, now)? };
        if planted::is(Bug::EarlyDuplicate) && posting == Posting::Duplicate {
            reply(posting);
            return Ok(());
        }
        // A duplicate waits for the commit as well: the first of the two may be in it.
        self.then(Effect::Answer(reply, posting));
        Ok(())
    }

    /// Says that a notice which came at `arrived` is read at `now`.
    pub fn note_lag(&mut self, arrived: Now, now: Now) {
        self.lagged |= now.mono_ns.saturating_sub(arrived.mono_ns) > MAX_LAG_NS;
    }

    fn decide_post(&mut self, claims: &TokenClaims, bill: Bill, now: Now) -> Result<Posting, Violation> {
        if claims.test {
            return Ok(Posting::Test);
        }
        let Some(due) = self.due(claims, bill, now) else {
            // Only a forged token could overflow, and a forged token does not verify.
            return Ok(Posting::Stale);
        };
        if self.books.seen.has(claims.bid, Seen::Posted) && !planted::is(Bug::NoDedup) {
            return Ok(Posting::Duplicate);
        }
        let age_s = now.unix_s() - i64::from(claims.issued_s);
        if self.books.seen.is_stale(claims.bid) || age_s > i64::from(self.token_life_s()) {
            let (bid, amount, line_item) = (due.bid, due.charged, claims.line_item.0);
            let source = due.source(0, amount);
            // Whoever repeats it, now that nobody knows any more what became of the bid, adds nothing to the memo.
            if self.stale.record(claims.bid, due.at_s, Seen::Posted) {
                self.write(Event::Stale(record::Stale { bid, amount, line_item, source }))?;
            }
            return Ok(Posting::Stale);
        }
        self.watches.billed(claims, age_s);
        // Where the clock jumped and came back, losses were forgotten of bids that are young again: whether the hold in
        // the slot is this bid's is not known then.
        let voided = self.voided.has(claims.bid, Seen::Voided) || self.voided.is_stale(claims.bid);
        if !voided && self.post_from_lease(&due)? {
            self.watches.spent(self.books.funding.get(claims.line_item), due.charged, now);
            return Ok(Posting::Accepted { charged: Nanos(due.charged) });
        }
        self.post_late(&due, now)
    }

    fn due<'c>(&self, claims: &'c TokenClaims, bill: Bill, now: Now) -> Option<Due<'c>> {
        let terms = Terms::of(claims);
        let hold_parts = hold_parts(claims.price, &terms)?;
        let hold = hold_parts.total()?.0;
        let asked_parts = bill.asked_parts(&terms);
        let asked = bill.asked(&terms).0;
        let charged = asked.min(hold);
        let parts = asked_parts.filter(|_| asked <= hold).unwrap_or(hold_parts);
        let currency = self.books.funding.get(claims.line_item).map(|f| f.currency);
        let unit_rate = self.watches.unit_rate(claims.exchange, currency, claims);
        Some(Due {
            claims,
            bid: record::Bid::new(claims.bid, claims.issued_s),
            hold,
            charged,
            overprice: asked - charged,
            parts,
            unit_rate,
            at_s: now.second(),
            shown: record::Shown {
                line_item: claims.line_item.0,
                creative: claims.creative.0,
                user: claims.user.0,
                price: bill.price.0,
                at_ms: now.unix_ms.rem_euclid(1_000) as u32,
                min_to_win: bill.min_to_win.map(|price| price.0),
            },
        })
    }

    /// Charges out of the hold, if it is still there.
    fn post_from_lease(&mut self, due: &Due<'_>) -> Result<bool, Violation> {
        let claims = due.claims;
        let rest = due.hold - due.charged;
        let mut post = record::Post {
            bid: due.bid,
            lease: claims.lease.0,
            charge: due.charged,
            released: 0,
            overprice: due.overprice,
            source: due.source(due.charged, due.overprice),
            shown: Some(due.shown),
        };
        if let Some(live) = self.live.get(&claims.lease) {
            if !live.lease.take_held(due.hold, claims.bucket) {
                return Ok(false);
            }
            if self.must_return(claims.lease) {
                post.released = rest;
                self.write(Event::Post(post))?;
            } else {
                self.write(Event::Post(post))?;
                match self.live.get(&claims.lease).filter(|_| planted::is(Bug::FreeBeforeSync)) {
                    Some(live) => live.lease.add_free(rest),
                    None => self.then(Effect::Free(claims.lease, rest)),
                }
            }
            return Ok(true);
        }
        // A lease of an earlier boot: what it has in doubt still covers its holds, whoever asks first.
        let book = self.books.leases.get(&claims.lease);
        let covered = self.is_old(claims.lease) && book.is_some_and(|book| book.outstanding() >= due.hold);
        if covered {
            post.released = rest;
            self.write(Event::Post(post))?;
        }
        Ok(covered)
    }

    /// Charges a bill whose hold is gone, if every account has room; else the house bears it.
    fn post_late(&mut self, due: &Due<'_>, now: Now) -> Result<Posting, Violation> {
        let line_item = due.claims.line_item;
        let day = BudgetDay(due.claims.budget_day);
        let fits = self.make_room(line_item, day, due.charged)?;
        let (charge, house) = if fits { (due.charged, 0) } else { (0, due.charged) };
        self.write(Event::Late(record::Late {
            bid: due.bid,
            line_item: line_item.0,
            day: day.0,
            charge,
            overdelivery: house,
            overprice: due.overprice,
            source: due.source(charge, house.saturating_add(due.overprice)),
            shown: Some(due.shown),
        }))?;
        self.watches.spent(self.books.funding.get(line_item), charge, now);
        Ok(Posting::Late { charged: Nanos(charge), house: Nanos(house) })
    }

    /// Gives back the hold of a bid that lost. Nothing is written: a crash forgets the hold anyway.
    pub fn void(&mut self, claims: &TokenClaims) -> Result<Resolution, Violation> {
        if claims.test || self.books.seen.is_stale(claims.bid) || self.voided.is_stale(claims.bid) {
            return Ok(Resolution::Ignored);
        }
        if self.books.seen.has(claims.bid, Seen::Posted) && !planted::is(Bug::LossAfterBill) {
            return Ok(Resolution::Contradictory);
        }
        if !self.voided.record(claims.bid, claims.issued_s, Seen::Voided) {
            return Ok(Resolution::Duplicate);
        }
        let hold = hold_parts(claims.price, &Terms::of(claims)).and_then(|parts| parts.total());
        let Some(hold) = hold else { return Ok(Resolution::Ignored) };
        match self.live.get(&claims.lease) {
            Some(live) if live.lease.take_held(hold.0, claims.bucket) => {
                self.give_back(claims.lease, hold.0)?;
                Ok(Resolution::Voided)
            }
            _ => Ok(Resolution::Duplicate),
        }
    }

    /// A correction by hand: a refund (negative) or a later charge. What does not fit goes to the house; `None` for a
    /// line item without funding, or a refund of more than was charged.
    pub fn adjust(
        &mut self,
        line_item: LineItemId,
        amount: Nanos,
        now: Now,
    ) -> Result<Option<Posting>, Violation> {
        let Some(keys) = self.books.keys(line_item, BudgetDay(0)) else { return Ok(None) };
        let refund = if amount.0 < 0 { amount.0.checked_neg() } else { Some(0) };
        if refund.is_none_or(|refund| self.books.balance(keys[3]).posted.0 < refund) {
            return Ok(None);
        }
        let advertiser = self.books.funding.payer(line_item);
        let today = advertiser.map_or(BudgetDay(0), |advertiser| self.days.day(advertiser, now));
        let fits = amount.0 <= 0 || self.make_room(line_item, today, amount.0)?;
        let (charged, house) = if fits { (amount, Nanos(0)) } else { (Nanos(0), amount) };
        let (amount, overdelivery) = (charged.0, house.0);
        self.write(Event::Adjust(record::Adjust { line_item: line_item.0, amount, overdelivery }))?;
        Ok(Some(Posting::Late { charged, house }))
    }
}
