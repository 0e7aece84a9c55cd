//! The exchange behind a load run: it judges answers, holds auctions against a price landscape, sends the notices of
//! what was won and lost, and keeps books of what it billed, which [`audit`] holds against the server's ledger.
//!
//! Invariant: it does no I/O and reads no clock; one seed and the same answers at the same moments give the same
//! auctions, notices and books. Deliberately absent: how requests come to be and get onto the wire.

pub(crate) mod account;
pub(crate) mod answer;
pub(crate) mod asked;
mod auction;
pub(crate) mod audit;
mod check;
pub(crate) mod counts;
pub(crate) mod findings;
mod landscape;
mod links;
mod mail;
mod money;
mod notices;
pub(crate) mod profile;
pub(crate) mod trial;
mod wire;

use crate::counterpart::{Answered, Counterpart, Notice, Outcome, Sent};
use crate::market::dice::Dice;
use account::Account;
use answer::Answer;
use asked::Asked;
use audit::books::{Books, Verdict};
use counts::Counts;
use findings::Findings;
use landscape::{Landscape, number_of};
use mail::{Kind, Letter, Mail, Role};
use profile::Profile;
use serde_json::{Value, json};
use std::time::Duration;

/// Kinds of the random streams.
const JUDGED: u64 = u64::from_be_bytes(*b"x.judged");
const RESENT: u64 = u64::from_be_bytes(*b"x.resent");

/// The first wait before a bill is sent again; it doubles from there.
const RESEND_MS: u64 = 200;
/// It does not double beyond this many times.
const MAX_DOUBLINGS: u32 = 5;

/// What an exchange is made of.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) seed: u64,
    pub(crate) profile: Profile,
    /// Answers that are judged, of a thousand.
    pub(crate) validate: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Exchange {
    options: Options,
    account: Account,
    asked: Vec<Asked>,
    landscape: Landscape,
    mail: Mail,
    /// What was billed.
    pub(crate) books: Books,
    /// What is wrong with answers.
    pub(crate) findings: Findings,
    /// How often each thing happened.
    pub(crate) counts: Counts,
}

impl Exchange {
    /// An exchange that sends the bodies that `asked` was read from.
    pub(crate) fn new(options: Options, account: Account, asked: Vec<Asked>) -> Exchange {
        let Profile { rivals, alone, .. } = options.profile;
        let landscape = Landscape { seed: options.seed, median: rivals, alone };
        Exchange {
            options,
            account,
            asked,
            landscape,
            mail: Mail::default(),
            books: Books::default(),
            findings: Findings::default(),
            counts: Counts::default(),
        }
    }

    /// Notices that wait or are not answered yet.
    pub(crate) fn open_notices(&self) -> usize {
        self.mail.len()
    }

    /// The run ends: what still waits is due at once.
    pub(crate) fn hurry(&mut self, now: Duration) {
        self.mail.hurry(now);
    }

    /// Whether answers, and what was said of notices, were as they must be.
    pub(crate) fn is_clean(&self) -> bool {
        self.findings.is_empty() && self.books.faults.is_empty()
    }

    /// What was played and what was found.
    pub(crate) fn json(&self) -> Value {
        json!({
            "counts": self.counts.json(), "findings": self.findings.json(), "faults": self.books.faults.json(),
            "bills": self.books.bills().len(), "bills_unsettled": self.books.unsettled(),
        })
    }

    /// What the account says of who pays.
    pub(crate) fn account(&self) -> &Account {
        &self.account
    }

    fn bids(&mut self, sent: &Sent<'_>, answer: &Answer<'_>, is_late: bool, now: Duration) {
        let asked = &self.asked[sent.body as usize];
        let mut dice = Dice::new(self.options.seed, JUDGED, number_of(sent.request_id));
        if dice.chance(self.options.validate) {
            self.counts.judged += 1;
            let judge = check::Judge { account: &self.account, asked, request_id: sent.request_id, answer };
            judge.judge(&mut self.findings);
        }
        self.counts.bids += answer.seats.iter().map(|seat| seat.bids.len() as u64).sum::<u64>();
        if is_late {
            // An exchange throws away what comes after its time, and says nothing.
            return;
        }
        let room = auction::Room { account: &self.account, asked, request_id: sent.request_id, answer };
        for ending in room.auctions(&self.landscape) {
            self.counts.auctions += 1;
            self.counts.wins += u64::from(ending.is_won());
            self.counts.won_micros += ending.paid.map_or(0, |paid| paid.unsigned_abs());
            if self.options.profile.sends && !asked.is_test {
                let sender = notices::Sender {
                    seed: self.options.seed,
                    profile: &self.options.profile,
                    room: &room,
                    mail: &mut self.mail,
                    books: &mut self.books,
                    counts: &mut self.counts,
                    now,
                };
                sender.tell(&ending);
            }
        }
    }
}

impl Counterpart for Exchange {
    fn answered(&mut self, sent: &Sent<'_>, answer: &Answered<'_>, now: Duration) {
        self.counts.answers += 1;
        let asked = &self.asked[sent.body as usize];
        let contract = &self.account.contract;
        let tmax_ms = asked.tmax_ms.unwrap_or(contract.default_tmax_ms).min(contract.max_tmax_ms);
        let is_late = answer.latency > Duration::from_millis(tmax_ms);
        self.counts.after_tmax += u64::from(is_late);
        let request = sent.request_id;
        match answer.status {
            200 => match Answer::read(answer.body, answer.is_protobuf) {
                // A reason for not bidding.
                Ok(read) if read.seats.is_empty() && read.nbr.is_some() => {
                    self.counts.no_bids += 1;
                    if read.id != request {
                        self.findings
                            .note("id", || format!("request {request}: the answer's id is {:?}", read.id));
                    }
                }
                Ok(read) => {
                    self.counts.answers_with_bids += 1;
                    self.bids(sent, &read, is_late, now);
                }
                Err(why) => {
                    self.findings.note("unreadable", || {
                        let text = String::from_utf8_lossy(answer.body);
                        format!("request {request}: {why}: {text}")
                    });
                }
            },
            204 => {
                self.counts.no_bids += 1;
                if !answer.body.is_empty() {
                    self.findings.note("no-bid-body", || format!("request {request}: 204 with a body"));
                }
            }
            status => {
                self.counts.refused += 1;
                self.findings.note("status", || format!("request {request} is answered {status}"));
            }
        }
    }

    fn next_due(&self) -> Option<Duration> {
        self.mail.next_due()
    }

    fn take_due(&mut self, now: Duration) -> Option<Notice> {
        let notice = self.mail.take(now)?;
        self.counts.notices_sent += 1;
        Some(notice)
    }

    fn noticed(&mut self, id: u64, outcome: Outcome<'_>, now: Duration) {
        let Some(letter) = self.mail.back(id) else {
            return self.findings.note("notice-id", || format!("notice {id} is not out"));
        };
        self.counts.notice(letter.kind, &outcome);
        let verdict = match (&letter.role, outcome) {
            (Role::Telling, Outcome::Answered { status, class }) => {
                // A pixel with a bad token gets its picture all the same.
                let is_forged = class.is_empty() && self.account.contract.says_class;
                let is_refused = is_forged || matches!(class, "forged" | "unseen");
                let is_good = status == 503 || matches!(status, 200 | 204 | 302) && !is_refused;
                if !is_good {
                    let kind = letter.kind.name();
                    self.findings
                        .note("notice-refused", || format!("a {kind} notice is answered {status} {class}"));
                }
                Verdict::Done
            }
            (Role::Telling, Outcome::Unanswered) => Verdict::Done,
            (Role::Billing(bill, _), Outcome::Answered { status, class }) => {
                self.books.answered(*bill, status, class)
            }
            (Role::Billing(bill, _), Outcome::Unanswered) => self.books.unanswered(*bill),
            (Role::Repricing(bill), Outcome::Answered { status, class }) => {
                self.books.repriced(*bill, status, class);
                Verdict::Done
            }
            (Role::Repricing(_), Outcome::Unanswered) => Verdict::Done,
        };
        match (verdict, letter) {
            (Verdict::Again, letter) => {
                let doublings = letter.sends.saturating_sub(1).min(MAX_DOUBLINGS);
                let wait_ms = RESEND_MS << doublings;
                let jitter_ms = Dice::new(self.options.seed, RESENT, id).below(wait_ms / 2);
                self.mail.put(now + Duration::from_millis(wait_ms + jitter_ms), letter);
            }
            (Verdict::Done, Letter { kind, role: Role::Billing(bill, Some(path)), .. }) => {
                let letter = Letter { kind, role: Role::Repricing(bill), path, sends: 0 };
                self.mail.put(now + Duration::from_millis(self.options.profile.bill_delay_ms), letter);
            }
            (Verdict::Done, _) => {}
        }
    }
}

/// What a notice reports, by its kind.
pub(crate) const KINDS: [Kind; 6] =
    [Kind::Win, Kind::Bill, Kind::Loss, Kind::Impression, Kind::Click, Kind::Event];

#[cfg(test)]
mod tests;
