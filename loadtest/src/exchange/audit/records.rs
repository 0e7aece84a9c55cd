//! The records of a ledger one by one: every bill once, for its amount, on its campaign, and nothing else; and whether
//! the ledger's accounts are what its records add up to.

use super::books::Outcome;
use super::file::Billed;
use super::ledger::{Before, Entry, House, Shown};
use super::verdict::Difference;
use crate::exchange::account::Account;
use crate::exchange::money::{Charge, amount};
use std::collections::{BTreeMap, HashMap};

/// An account: kind, id, day.
type Key = (String, u32, Option<String>);

/// See the module.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    account: &'a Account,
    before: &'a Before,
    bills: &'a [Billed],
    by_bid: HashMap<&'a str, usize>,
    seen: Vec<bool>,
    /// Records up to here were replaced by their sums.
    base: u64,
    has_adjustments: bool,
    sums: BTreeMap<Key, i128>,
    /// Records that were read.
    pub(crate) count: u64,
    differences: Vec<Difference>,
}

impl<'a> Records<'a> {
    pub(crate) fn new(account: &'a Account, before: &'a Before, bills: &'a [Billed]) -> Records<'a> {
        let mut records = Records {
            account,
            before,
            bills,
            by_bid: HashMap::with_capacity(bills.len()),
            seen: vec![false; bills.len()],
            base: 0,
            has_adjustments: false,
            sums: BTreeMap::new(),
            count: 0,
            differences: Vec::new(),
        };
        for (index, bill) in bills.iter().enumerate() {
            if records.by_bid.insert(&bill.bid, index).is_some() {
                records.note("bid-twice", format!("bid {} was answered twice, and billed twice", bill.bid));
            }
        }
        records
    }

    fn note(&mut self, rule: &'static str, what: String) {
        self.differences.push(Difference { rule, what });
    }

    /// The next record.
    pub(crate) fn add(&mut self, entry: &Entry) {
        self.count += 1;
        let parts: i128 = entry.parts.iter().map(|part| i128::from(*part)).sum();
        if parts != i128::from(entry.charge) {
            let (lsn, charge) = (entry.lsn, amount(entry.charge.into()));
            self.note("parts", format!("record {lsn} charges {charge}, its parts are {}", amount(parts)));
        }
        match entry.kind.as_str() {
            "opening" => self.base = self.base.max(entry.lsn),
            "adjustment" => self.has_adjustments = true,
            _ => {
                self.sum(entry);
                if entry.lsn > self.before.lsn {
                    self.of_run(entry);
                }
            }
        }
    }

    fn sum(&mut self, entry: &Entry) {
        let charge = i128::from(entry.charge);
        let owner = |campaign: u32| self.account.campaigns.get(&campaign).map(|campaign| campaign.advertiser);
        let wallet = entry.campaign.and_then(owner).map(|advertiser| ("wallet", advertiser, None));
        let campaign = entry.campaign.map(|id| ("campaign", id, None));
        let campaign_day = entry.campaign.map(|id| ("campaign_day", id, entry.day.clone()));
        let line_item = entry.line_item.map(|id| ("line_item", id, None));
        let line_item_day = entry.line_item.map(|id| ("line_item_day", id, entry.day.clone()));
        for (kind, id, day) in
            [wallet, campaign, campaign_day, line_item, line_item_day].into_iter().flatten()
        {
            *self.sums.entry((kind.to_owned(), id, day)).or_default() += charge;
        }
    }

    /// A record of the run that is audited.
    fn of_run(&mut self, entry: &Entry) {
        let (lsn, bid) = (entry.lsn, &entry.bid);
        let Some(index) = self.by_bid.get(bid.as_str()).copied() else {
            let charge = amount(entry.charge.into());
            return self.note(
                "not-billed",
                format!("record {lsn} charges {charge} for bid {bid}, which was never billed"),
            );
        };
        if std::mem::replace(&mut self.seen[index], true) {
            self.note("twice", format!("I5: record {lsn} books bid {bid} once more"));
        }
        let bill = &self.bills[index];
        let Charge { charge, over } = bill.amount;
        let House { overdelivery, overprice, stale } = entry.house;
        let is_stale = entry.kind == "stale";
        let expected = match (is_stale, overdelivery > 0) {
            (true, _) => [0, 0, 0, charge],
            (false, true) => [0, charge, over, 0],
            (false, false) => [charge, 0, over, 0],
        };
        if [entry.charge, overdelivery, overprice, stale] != expected {
            let money = |nanos: i64| amount(nanos.into());
            let found = [entry.charge, overdelivery, overprice, stale].map(money).join(", ");
            let expected = expected.map(money).join(", ");
            self.note(
                "amount",
                format!(
                    "record {lsn}, bid {bid}, campaign {}: charge, overdelivery, overprice, stale are {found}, \
                     and were billed as {expected}",
                    bill.campaign
                ),
            );
        }
        if entry.campaign.is_some_and(|campaign| campaign != bill.campaign) {
            let (found, own) = (entry.campaign.unwrap_or(0), bill.campaign);
            self.note(
                "other-campaign",
                format!("record {lsn} charges campaign {found} for bid {bid} of campaign {own}"),
            );
        }
        let is_said = match bill.outcome {
            Outcome::Unknown => true,
            Outcome::Either => !is_stale,
            Outcome::Charged => !is_stale && overdelivery == 0,
            Outcome::House => !is_stale && (overdelivery > 0 || charge == 0),
            Outcome::Stale => is_stale,
            Outcome::Nobody => false,
        };
        if !is_said {
            let (kind, outcome) = (&entry.kind, bill.outcome);
            self.note(
                "answered-otherwise",
                format!("record {lsn} is {kind}, and the answer for bid {bid} was {outcome:?}"),
            );
        }
    }

    /// What is missing, and whether the accounts are the sums of the records.
    pub(crate) fn finish(mut self, shown: &Shown) -> Vec<Difference> {
        // Records that a checkpoint replaced cannot be looked at one by one.
        if self.base <= self.before.lsn {
            let bills = self.bills;
            for (bill, _) in bills.iter().zip(self.seen.clone()).filter(|(_, seen)| !seen) {
                let must = matches!(
                    bill.outcome,
                    Outcome::Charged | Outcome::House | Outcome::Either | Outcome::Stale
                );
                if must {
                    let (bid, campaign, outcome) = (&bill.bid, bill.campaign, bill.outcome);
                    let charge = amount(bill.amount.charge.into());
                    let what =
                        format!("I8: bid {bid} of campaign {campaign}, {charge}, was answered {outcome:?}");
                    self.note("missing", format!("{what}, and has no record"));
                }
            }
        }
        if self.base == 0 && !self.has_adjustments {
            self.accounts(shown);
        }
        self.differences
    }

    fn accounts(&mut self, shown: &Shown) {
        let mut sums = std::mem::take(&mut self.sums);
        for row in &shown.rows {
            let sum = sums.remove(&(row.kind.clone(), row.id, row.day.clone())).unwrap_or(0);
            // Whom a campaign belonged to that has left the account is not known.
            let is_known = row.kind != "wallet" || self.account.advertisers.contains_key(&row.id);
            if sum != i128::from(row.posted) && is_known {
                let day = row.day.as_deref().map_or(String::new(), |day| format!(" {day}"));
                let posted = amount(row.posted.into());
                let what = format!("{} {}{day} shows {posted}", row.kind, row.id);
                self.note("accounts", format!("{what}, its records come to {}", amount(sum)));
            }
        }
        for ((kind, id, _), sum) in sums.into_iter().filter(|(_, sum)| *sum != 0) {
            self.note(
                "accounts",
                format!("records charge {} to {kind} {id}, which is not shown", amount(sum)),
            );
        }
    }
}
