//! What holds between the parts of the books (money.md 2.8): looked at as a whole, for checkpoints, `ledger verify` and
//! the simulator. What one event can break is asserted where it is applied, in `books`.

use super::accounts::AccountKey;
use super::books::{Books, Violation, violation};
use crate::model::ids::AdvertiserId;
use std::collections::{BTreeMap, HashMap};

impl Books {
    /// Checks everything that holds between the parts: leases against accounts (I2, I3), charges against what they
    /// paid for (I3), children against parents (I4). For checkpoints, `ledger verify` and the simulator.
    pub fn check(&self) -> Result<(), Violation> {
        self.check_leases()?;
        self.check_tree()?;
        let mut credited: BTreeMap<AdvertiserId, i128> = BTreeMap::new();
        for ((_, advertiser), parts) in &self.credits {
            let sum = i128::from(parts.media) + i128::from(parts.data) + i128::from(parts.platform);
            *credited.entry(*advertiser).or_default() += sum;
        }
        for (advertiser, amount) in &self.adjusted {
            *credited.entry(*advertiser).or_default() += i128::from(*amount);
        }
        for (key, balance) in self.accounts.all() {
            let AccountKey::Wallet(advertiser) = key else { continue };
            let credited = credited.remove(&advertiser).unwrap_or(0);
            if i128::from(balance.posted.0) != credited {
                let detail = format!("{key:?} was debited {}, others credited {credited}", balance.posted.0);
                return Err(violation("I3 conservation", detail));
            }
        }
        match credited.into_iter().find(|(_, sum)| *sum != 0) {
            Some((advertiser, sum)) => {
                let detail = format!("{sum} was credited from advertiser {advertiser}, who has no wallet");
                Err(violation("I3 conservation", detail))
            }
            None => Ok(()),
        }
    }

    fn check_leases(&self) -> Result<(), Violation> {
        let mut leased: HashMap<AccountKey, i128> = HashMap::new();
        for (id, book) in &self.leases {
            if book.outstanding() < 0 {
                return Err(violation("I2 lease", format!("{id}: {book:?}")));
            }
            for key in self.lease_keys(*id)? {
                *leased.entry(key).or_default() += i128::from(book.outstanding());
            }
        }
        for (key, balance) in self.accounts.all() {
            let expected = leased.get(&key).copied().unwrap_or(0);
            if i128::from(balance.leased.0) != expected {
                let detail = format!("{key:?} leases {balance:?}, leases say {expected}");
                return Err(violation("I3 conservation", detail));
            }
        }
        Ok(())
    }

    fn check_tree(&self) -> Result<(), Violation> {
        let mut parents: BTreeMap<AccountKey, i128> = BTreeMap::new();
        for (key, balance) in self.accounts.all() {
            let line_item = match key {
                AccountKey::LineItemTotal(id) | AccountKey::LineItemDay(id, _) => id,
                _ => continue,
            };
            let Some(funding) = self.funding.get(line_item) else { continue };
            let posted = i128::from(balance.posted.0);
            if let AccountKey::LineItemDay(_, day) = key {
                *parents.entry(AccountKey::CampaignDay(funding.campaign, day)).or_default() += posted;
            } else {
                *parents.entry(AccountKey::CampaignTotal(funding.campaign)).or_default() += posted;
                *parents.entry(AccountKey::Wallet(funding.advertiser)).or_default() += posted;
            }
        }
        for (parent, sum) in parents {
            let posted = i128::from(self.accounts.balance(parent).posted.0);
            if posted != sum {
                let detail = format!("{parent:?} posted {posted}, its line items {sum}");
                return Err(violation("I4 tree", detail));
            }
        }
        Ok(())
    }
}
