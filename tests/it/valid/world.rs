//! The demo's account with what random requests could not reach else: deals, rivals for the slots of a pod, and money
//! without end.

use outbid::model::account::Account;
use outbid::model::ids::{CampaignId, LineItemId};
use outbid::model::line_item::{Budget, Campaign, LineItem};
use outbid::model::money::{Cpm, Nanos};
use outbid::model::targeting::Targeting;

/// Deals that the account has line items for.
pub(super) const DEALS: [&str; 2] = ["gold", "pg/é \"1\""];

pub(super) fn enlarge(account: &mut Account) {
    account.advertisers[0].wallet = Nanos(1_000_000_000 * 1_000_000_000);
    let pattern = account.campaigns[0].clone();
    let campaign = |id: u32| Campaign { id: CampaignId(id), name: format!("More {id}"), ..pattern.clone() };
    account.campaigns.extend([4, 5, 6].map(campaign));
    let everybody: Vec<LineItem> =
        account.line_items.iter().filter(|line| line.targeting == Targeting::default()).cloned().collect();
    for line in &everybody {
        // Within each campaign of its own, because a campaign does not bid against itself.
        for (more, price) in [(4, 900_000), (5, 800_000), (6, 700_000)] {
            let mut line = LineItem {
                id: LineItemId(more * 1_000 + line.id.0),
                campaign: CampaignId(more),
                bid: Cpm(line.bid.scale_ppm(price).0),
                ..line.clone()
            };
            if more == 4 {
                line.targeting.deals.include = DEALS.map(str::to_owned).to_vec();
            }
            account.line_items.push(line);
        }
    }
    for campaign in &mut account.campaigns {
        campaign.budget = Budget::default();
    }
    for line in &mut account.line_items {
        line.budget = Budget::default();
    }
}
