//! What the exchange tells of a bid: win, bill, loss, and what a browser fires of the markup; when, how often, and what
//! goes wrong with it.

use super::account::BillingEvent;
use super::auction::{Ending, Room};
use super::audit::books::{BillId, Books};
use super::counts::Counts;
use super::landscape::{log_normal, number_of};
use super::links::{self, Macros, Tracker};
use super::mail::{Kind, Letter, Mail, Role};
use super::profile::Profile;
use crate::market::dice::Dice;
use std::time::Duration;

/// Kind of the random stream.
const STREAM: u64 = u64::from_be_bytes(*b"x.notice");

/// Deviation of the logarithm of delays.
const SPREAD: f64 = 0.8;

/// Sends the notices of one answer.
pub(crate) struct Sender<'s> {
    pub(crate) seed: u64,
    pub(crate) profile: &'s Profile,
    pub(crate) room: &'s Room<'s>,
    pub(crate) mail: &'s mut Mail,
    pub(crate) books: &'s mut Books,
    pub(crate) counts: &'s mut Counts,
    pub(crate) now: Duration,
}

impl Sender<'_> {
    /// Tells what became of a bid.
    pub(crate) fn tell(self, ending: &Ending<'_>) {
        let bid = number_of(self.room.request_id) ^ number_of(&ending.bid.id).rotate_left(17);
        let mut dice = Dice::new(self.seed, STREAM, bid);
        let mut teller = Teller { sender: self, ending, dice: &mut dice };
        match ending.paid {
            Some(paid) => teller.won(paid),
            None => teller.lost(),
        }
    }
}

struct Teller<'t, 's> {
    sender: Sender<'s>,
    ending: &'t Ending<'t>,
    dice: &'t mut Dice,
}

/// A bill as it will be sent.
struct Billing {
    id: BillId,
    path: String,
    /// The same with another price, for later.
    repriced: Option<String>,
}

impl Teller<'_, '_> {
    fn macros(&self, price: Option<i64>, loss: u32) -> Macros<'_> {
        let (room, ending) = (self.sender.room, self.ending);
        Macros {
            auction: room.request_id,
            bidid: &room.answer.bidid,
            imp: &ending.imp.id,
            seat: ending.seat,
            creative: &ending.bid.crid,
            currency: room.answer.currency(),
            unit: room.account.contract.unit,
            price,
            bid: ending.price,
            min_to_win: Some(ending.min_to_win),
            loss,
            plays: ending.imp.plays,
            at_ms: self.sender.now.as_millis(),
        }
    }

    /// Path and query of a URL, filled in; `None` for what is no URL.
    fn path(&self, url: &str, price: Option<i64>, loss: u32) -> Option<String> {
        links::split(url).map(|(_, path)| self.macros(price, loss).fill(path))
    }

    /// A delay around `median_ms`, now and then in the tail.
    fn delay(&mut self, median_ms: u64) -> Duration {
        let profile = self.sender.profile;
        if profile.tail_s > 0 && self.dice.chance(profile.tail) {
            return Duration::from_millis(self.dice.below(profile.tail_s * 1_000 + 1));
        }
        if !profile.spread {
            return Duration::from_millis(median_ms);
        }
        Duration::from_micros((median_ms as f64 * 1_000.0 * log_normal(self.dice, SPREAD)) as u64)
    }

    fn put(&mut self, after: Duration, kind: Kind, role: Role, path: String) {
        self.sender.mail.put(self.sender.now + after, Letter { kind, role, path, sends: 0 });
    }

    /// Tells something that no money depends on; it may be lost, or come twice.
    fn telling(&mut self, after: Duration, kind: Kind, path: Option<String>) {
        let Some(path) = path else { return };
        if self.dice.chance(self.sender.profile.notices_lost) {
            return;
        }
        if self.dice.chance(self.sender.profile.duplicated) {
            let again = self.delay(self.sender.profile.bill_delay_ms);
            self.put(after + again, kind, Role::Telling, path.clone());
        }
        self.put(after, kind, Role::Telling, path);
    }

    fn lost(&mut self) {
        let (loss, min_to_win) = (self.ending.loss, self.ending.min_to_win);
        if self.dice.chance(self.sender.profile.losses_told) {
            let path = self.path(&self.ending.bid.lurl, Some(min_to_win), loss);
            let after = self.delay(self.sender.profile.bill_delay_ms / 4);
            self.telling(after, Kind::Loss, path);
        }
    }

    fn won(&mut self, paid: i64) {
        let profile = *self.sender.profile;
        let room = self.sender.room;
        let billing_event = room.account.contract.billing;
        let found = self.trackers();
        let pixel =
            found.iter().find(|(tracker, _)| *tracker == Tracker::Impression).map(|(_, path)| path.as_str());
        let bill_url = match billing_event {
            BillingEvent::Nurl => links::split(&self.ending.bid.nurl).map(|(_, path)| path),
            BillingEvent::Burl => links::split(&self.ending.bid.burl).map(|(_, path)| path),
            BillingEvent::Impression => pixel,
        };
        let quick_ms = profile.bill_delay_ms / 4;
        if billing_event != BillingEvent::Nurl {
            let path = self.path(&self.ending.bid.nurl, Some(paid), 0);
            let after = self.delay(quick_ms);
            self.telling(after, Kind::Win, path);
        }
        let billed_after = self.delay(profile.bill_delay_ms);
        let is_lost = self.dice.chance(profile.bills_lost);
        self.sender.counts.bills_lost += u64::from(is_lost);
        if let Some(url) = bill_url.filter(|_| !is_lost)
            && let Some(billing) = self.billing(paid, url)
        {
            self.bill(billed_after, billing);
        }
        if self.dice.chance(profile.contradicted) {
            let after = self.delay(profile.bill_delay_ms);
            let path = self.path(&self.ending.bid.lurl, Some(paid), 1);
            self.telling(after, Kind::Loss, path);
        }
        self.shown(billed_after, &found, billing_event);
    }

    /// What the browser fires.
    fn shown(&mut self, billed_after: Duration, found: &[(Tracker, String)], billing: BillingEvent) {
        let profile = *self.sender.profile;
        if !self.dice.chance(profile.shown) {
            return;
        }
        let is_clicked = self.dice.chance(profile.clicked);
        let shown_after = billed_after + self.delay(profile.bill_delay_ms / 4);
        for (tracker, path) in found {
            let filled = self.macros(None, 0).fill(path);
            let (kind, after) = match tracker {
                Tracker::Impression if billing == BillingEvent::Impression => continue,
                Tracker::Impression => (Kind::Impression, shown_after),
                Tracker::Click if is_clicked => {
                    (Kind::Click, shown_after + self.delay(profile.bill_delay_ms * 5))
                }
                Tracker::Click => continue,
                Tracker::Event if path.contains("=error") || path.contains("=click") => continue,
                Tracker::Event => (Kind::Event, shown_after + self.delay(profile.bill_delay_ms * 5)),
            };
            self.telling(after, kind, Some(filled));
        }
    }

    /// Our links in the markup.
    fn trackers(&self) -> Vec<(Tracker, String)> {
        let bid = self.ending.bid;
        let urls = [&bid.burl, &bid.nurl, &bid.lurl];
        let Some((origin, _)) = urls.into_iter().find_map(|url| links::split(url)) else { return Vec::new() };
        let texts = bid.adm.texts().unwrap_or_default();
        texts.iter().flat_map(|text| links::trackers(text, origin)).collect()
    }

    /// The bill of a bid that was won for `paid`, entered into the books; `None` where nobody knows who would pay.
    fn billing(&mut self, paid: i64, url: &str) -> Option<Billing> {
        let (room, profile) = (self.sender.room, *self.sender.profile);
        let (contract, bid) = (&room.account.contract, self.ending.bid);
        let campaign = bid.cid.parse().ok()?;
        let terms = room.account.terms(campaign, room.answer.currency())?;
        let own = self.ending.price;
        let price = if self.dice.chance(profile.overpriced) {
            Some(own + 1 + self.dice.below(own.unsigned_abs()) as i64)
        } else if contract.missing_is_bid && self.dice.chance(profile.unpriced) {
            None
        } else {
            Some(paid)
        };
        let counted = if contract.bills_at_bid() { own } else { price.unwrap_or(own) };
        let amount = terms.bill(own, counted, self.ending.imp.plays)?;
        let is_repriced = self.dice.chance(profile.repriced);
        let repriced = is_repriced.then(|| self.macros(Some(own / 2 + 1), 0).fill(url));
        let path = self.macros(price, 0).fill(url);
        let id = self.sender.books.open(&bid.id, campaign, amount, false);
        Some(Billing { id, path, repriced })
    }

    fn bill(&mut self, after: Duration, billing: Billing) {
        let Billing { id, path, repriced } = billing;
        if self.dice.chance(self.sender.profile.duplicated) {
            let again = self.dice.chance(500).then(|| self.delay(self.sender.profile.bill_delay_ms));
            self.sender.books.sends(id);
            self.put(after + again.unwrap_or_default(), Kind::Bill, Role::Billing(id, None), path.clone());
        }
        self.sender.books.sends(id);
        self.put(after, Kind::Bill, Role::Billing(id, repriced), path);
    }
}
