//! The accounts that a charge must fit into, and what they know.

use super::books::Violation;
use super::days::BudgetDay;
use crate::model::ids::{AdvertiserId, CampaignId, LineItemId};
use crate::model::money::Nanos;
use std::collections::HashMap;
use std::collections::btree_map::{BTreeMap, Entry};

/// One account.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AccountKey {
    /// The advertiser's wallet.
    Wallet(AdvertiserId),
    /// A campaign over its life.
    CampaignTotal(CampaignId),
    /// A campaign on one local date.
    CampaignDay(CampaignId, BudgetDay),
    /// A line item over its life.
    LineItemTotal(LineItemId),
    /// A line item on one local date.
    LineItemDay(LineItemId, BudgetDay),
}

impl AccountKey {
    /// The date of a day account.
    pub fn day(&self) -> Option<BudgetDay> {
        match self {
            AccountKey::CampaignDay(_, day) | AccountKey::LineItemDay(_, day) => Some(*day),
            AccountKey::Wallet(_) | AccountKey::CampaignTotal(_) | AccountKey::LineItemTotal(_) => None,
        }
    }
}

/// What an account shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Balance {
    /// The budget; `None` = no limit at this level.
    pub budget: Option<Nanos>,
    /// Charged for good.
    pub posted: Nanos,
    /// Granted to leases and neither posted nor returned: held by open bids or ready for the next.
    pub leased: Nanos,
}

impl Balance {
    /// What may still be granted; `None` = no limit at this level. Negative only after a budget was cut.
    pub fn available(&self) -> Option<i128> {
        self.budget.map(|b| i128::from(b.0) - i128::from(self.posted.0) - i128::from(self.leased.0))
    }
}

/// All accounts.
#[derive(Clone, Debug, Default)]
pub(super) struct Accounts {
    balances: HashMap<AccountKey, Balance>,
    /// How many accounts there are of each date.
    days: BTreeMap<BudgetDay, usize>,
}

impl Accounts {
    /// Sets a budget and keeps what the account already knows.
    pub(super) fn set_budget(&mut self, key: AccountKey, budget: Option<Nanos>) {
        self.at(key).budget = budget;
    }

    pub(super) fn is_known(&self, key: AccountKey) -> bool {
        self.balances.contains_key(&key)
    }

    /// Sets an account as an image has it.
    pub(super) fn put(&mut self, key: AccountKey, balance: Balance) {
        *self.at(key) = balance;
    }

    /// The dates before `day` that have accounts.
    pub(super) fn days_before(&self, day: BudgetDay) -> impl Iterator<Item = BudgetDay> + '_ {
        self.days.range(..day).map(|(day, _)| *day)
    }

    /// Forgets an account, where there is one.
    pub(super) fn forget(&mut self, key: AccountKey) {
        if self.balances.remove(&key).is_none() {
            return;
        }
        if let Some(day) = key.day()
            && let Entry::Occupied(mut count) = self.days.entry(day)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    fn at(&mut self, key: AccountKey) -> &mut Balance {
        self.balances.entry(key).or_insert_with(|| {
            if let Some(day) = key.day() {
                *self.days.entry(day).or_default() += 1;
            }
            Balance::default()
        })
    }

    /// Credits what was charged.
    pub(super) fn refund(&mut self, keys: &[AccountKey], amount: Nanos) -> Result<(), Violation> {
        self.each(keys, |balance| balance.posted.0 -= amount.0)
    }

    pub(super) fn balance(&self, key: AccountKey) -> Balance {
        self.balances.get(&key).copied().unwrap_or_default()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (AccountKey, Balance)> + '_ {
        self.balances.iter().map(|(key, balance)| (*key, *balance))
    }

    /// What all of `keys` still allow; [`i64::MAX`] when none limits.
    pub(super) fn available(&self, keys: &[AccountKey]) -> i64 {
        let tightest = keys.iter().filter_map(|key| self.balance(*key).available()).min();
        tightest.map_or(i64::MAX, |amount| amount.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
    }

    /// Moves `amount` into leases on all of `keys`, or on none.
    pub(super) fn grant(&mut self, keys: &[AccountKey], amount: Nanos) -> Result<bool, Violation> {
        if amount.0 < 0 || self.available(keys) < amount.0 {
            return Ok(false);
        }
        self.each(keys, |balance| balance.leased.0 += amount.0)?;
        Ok(true)
    }

    /// Gives `amount` back from leases.
    pub(super) fn give_back(&mut self, keys: &[AccountKey], amount: Nanos) -> Result<(), Violation> {
        self.each(keys, |balance| balance.leased.0 -= amount.0)
    }

    /// Charges `amount` that was leased.
    pub(super) fn post(&mut self, keys: &[AccountKey], amount: Nanos) -> Result<(), Violation> {
        self.each(keys, |balance| {
            balance.leased.0 -= amount.0;
            balance.posted.0 += amount.0;
        })
    }

    fn each(&mut self, keys: &[AccountKey], change: impl Fn(&mut Balance)) -> Result<(), Violation> {
        for key in keys {
            let balance = self.at(*key);
            change(balance);
            if balance.leased.0 < 0 || balance.posted.0 < 0 {
                let detail = format!("{key:?} shows {balance:?}");
                return Err(Violation { invariant: "I2 lease", detail });
            }
        }
        Ok(())
    }
}
