//! Where each line item's money comes from, with what lies above it: a campaign has one advertiser and one budget,
//! a wallet one currency.
//!
//! Invariants: the line items of a campaign all say its budget; nothing here is ever removed, as bills of a line item
//! that left the account may still come. Every question is answered without a walk over all line items, so that taking
//! up an account costs n log n.

use super::record::Funding;
use crate::model::ids::{AdvertiserId, CampaignId, LineItemId};
use crate::model::line_item::Budget;
use crate::model::money::Currency;
use std::collections::{BTreeMap, BTreeSet};

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Fundings {
    line_items: BTreeMap<LineItemId, Funding>,
    campaigns: BTreeMap<CampaignId, Campaign>,
    wallets: BTreeMap<AdvertiserId, Wallet>,
}

/// What the line items of a campaign have in common.
#[derive(Clone, Debug)]
struct Campaign {
    advertiser: AdvertiserId,
    budget: Budget,
    /// The newest edit that said the budget.
    version: u64,
    line_items: BTreeSet<LineItemId>,
}

/// What the line items of an advertiser have in common.
#[derive(Clone, Debug)]
struct Wallet {
    currency: Currency,
    line_items: BTreeSet<LineItemId>,
}

impl Fundings {
    /// Every line item's, by its number.
    pub(super) fn all(&self) -> &BTreeMap<LineItemId, Funding> {
        &self.line_items
    }

    pub(super) fn get(&self, line_item: LineItemId) -> Option<&Funding> {
        self.line_items.get(&line_item)
    }

    /// The advertiser who pays for a line item.
    pub(super) fn payer(&self, line_item: LineItemId) -> Option<AdvertiserId> {
        self.get(line_item).map(|funding| funding.advertiser)
    }

    /// An advertiser's line items, in order.
    pub(super) fn of(&self, advertiser: AdvertiserId) -> impl Iterator<Item = &Funding> {
        let own = self.wallets.get(&advertiser).into_iter().flat_map(|wallet| &wallet.line_items);
        own.filter_map(|line_item| self.get(*line_item))
    }

    /// A campaign's budget, with the newest version that came with one of its line items.
    pub(super) fn campaign_budget(&self, campaign: CampaignId) -> Option<(u64, Budget)> {
        self.campaigns.get(&campaign).map(|known| (known.version, known.budget))
    }

    /// The newest version of all.
    pub(super) fn newest_version(&self) -> u64 {
        self.campaigns.values().map(|campaign| campaign.version).max().unwrap_or(0)
    }

    /// Takes one up. A campaign has one budget, so its other line items say the new one from now on, also those that
    /// have left the account and would bring their last one back.
    pub(super) fn insert(&mut self, funding: Funding) {
        let campaign = self.campaigns.entry(funding.campaign).or_insert_with(|| Campaign {
            advertiser: funding.advertiser,
            budget: funding.campaign_budget,
            version: 0,
            line_items: BTreeSet::new(),
        });
        campaign.version = campaign.version.max(funding.version);
        if campaign.budget != funding.campaign_budget {
            campaign.budget = funding.campaign_budget;
            for sibling in &campaign.line_items {
                if let Some(sibling) = self.line_items.get_mut(sibling) {
                    sibling.campaign_budget = funding.campaign_budget;
                }
            }
        }
        campaign.line_items.insert(funding.line_item);
        let wallet = self
            .wallets
            .entry(funding.advertiser)
            .or_insert_with(|| Wallet { currency: funding.currency, line_items: BTreeSet::new() });
        wallet.line_items.insert(funding.line_item);
        self.line_items.insert(funding.line_item, funding);
    }

    /// Whether an edit is one that money can follow: a line item never changes its campaign, nor a campaign its
    /// advertiser, nor a wallet its currency (money.md 2.7).
    pub(super) fn may_become(&self, funding: &Funding) -> Result<(), String> {
        let Funding { line_item, campaign, advertiser, currency, .. } = funding;
        if let Some(known) = self.get(*line_item)
            && (known.campaign, known.advertiser) != (*campaign, *advertiser)
        {
            return Err(format!(
                "line item {line_item} belongs to campaign {} of advertiser {} and cannot move to campaign {campaign} \
                 of advertiser {advertiser}; make a new line item there",
                known.campaign, known.advertiser
            ));
        }
        if let Some(known) = self.campaigns.get(campaign)
            && known.advertiser != *advertiser
        {
            return Err(format!(
                "campaign {campaign} belongs to advertiser {} and cannot move to advertiser {advertiser}; make a new \
                 campaign there",
                known.advertiser
            ));
        }
        if let Some(known) = self.wallets.get(advertiser)
            && known.currency != *currency
        {
            return Err(format!(
                "the wallet of advertiser {advertiser} is in {} and cannot change to {currency}; make a new advertiser",
                known.currency
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::money::Nanos;
    use rand::rngs::SmallRng;
    use rand::{RngExt as _, SeedableRng as _};

    /// The same by walks over all that is known.
    #[derive(Default)]
    struct Naive(BTreeMap<LineItemId, Funding>);

    impl Naive {
        fn may_become(&self, new: &Funding) -> bool {
            let own = self.0.get(&new.line_item);
            own.is_none_or(|known| (known.campaign, known.advertiser) == (new.campaign, new.advertiser))
                && self.0.values().all(|known| {
                    (known.campaign != new.campaign || known.advertiser == new.advertiser)
                        && (known.advertiser != new.advertiser || known.currency == new.currency)
                })
        }

        fn insert(&mut self, new: Funding) {
            let siblings = self.0.values_mut().filter(|known| known.campaign == new.campaign);
            siblings.for_each(|known| known.campaign_budget = new.campaign_budget);
            self.0.insert(new.line_item, new);
        }
    }

    #[test]
    fn what_is_indexed_equals_what_a_walk_over_everything_finds() {
        let mut random = SmallRng::seed_from_u64(1);
        let mut refused = 0;
        for _ in 0..200 {
            let (mut fundings, mut naive) = (Fundings::default(), Naive::default());
            for version in 0..30 {
                let line_item = random.random_range(1..12);
                // Mostly a tree of two line items to a campaign and two campaigns to an advertiser.
                let daily = Some(Nanos(random.random_range(0..3)));
                let mut odd = |id: u32| if random.random_ratio(1, 20) { id + 1 } else { id };
                let (campaign, advertiser) = (odd(line_item / 2), odd(line_item / 4));
                let funding = Funding {
                    line_item: LineItemId(line_item),
                    line_item_budget: Budget::default(),
                    campaign: CampaignId(campaign),
                    campaign_budget: Budget { daily, lifetime: None },
                    advertiser: AdvertiserId(advertiser),
                    wallet: Nanos(1),
                    time_zone: "UTC".to_owned(),
                    currency: if odd(0) == 0 { Currency::USD } else { Currency::parse("JPY").unwrap() },
                    version,
                };
                let may = fundings.may_become(&funding);
                assert_eq!(may.is_ok(), naive.may_become(&funding), "{funding:?}: {may:?}");
                if may.is_err() {
                    refused += 1;
                    continue;
                }
                fundings.insert(funding.clone());
                naive.insert(funding);
                assert_eq!(fundings.all(), &naive.0);
                let newest = |of: CampaignId| {
                    let own = naive.0.values().filter(|known| known.campaign == of);
                    own.map(|known| (known.version, known.campaign_budget))
                        .max_by_key(|(version, _)| *version)
                };
                for campaign in (0..8).map(CampaignId) {
                    assert_eq!(fundings.campaign_budget(campaign), newest(campaign));
                }
                assert_eq!(Some(fundings.newest_version()), naive.0.values().map(|f| f.version).max());
                for advertiser in (0..5).map(AdvertiserId) {
                    let own = naive.0.values().filter(|known| known.advertiser == advertiser);
                    assert!(fundings.of(advertiser).eq(own));
                }
            }
        }
        assert!(refused > 100, "{refused}");
    }
}
