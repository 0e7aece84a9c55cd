//! Goals, frequency caps, pacing and shading for the measuring world, drawn apart from everything else, so that a world with them
//! has the same line items, creatives and targeting as one without.

use super::dice::Dice;
use crate::model::account::Account;
use crate::model::frequency::{Cap, Frequency, UnknownUsers};
use crate::model::ids::{AdvertiserId, CampaignId, ConversionId};
use crate::model::line_item::{Pacing, PacingMode, PacingPeriod, Strategy};
use crate::model::list::{Conversion, Counting};
use crate::model::money::Cpm;
use std::collections::HashMap;

/// Kind of the random stream.
const STREAM: u64 = u64::from_be_bytes(*b"pricing\0");
const DAY_S: u32 = 86_400;

/// Half of the line items pay by clicks or conversions, three in ten have a frequency cap, all spread their budgets, and all bid less
/// where less wins. What a click or a conversion is worth is what makes an impression worth the old price as long as
/// nothing is known of either.
pub(super) fn apply(account: &mut Account, seed: u64) {
    let owners: HashMap<CampaignId, AdvertiserId> =
        account.campaigns.iter().map(|campaign| (campaign.id, campaign.advertiser)).collect();
    account.conversions = account.advertisers.iter().map(|advertiser| purchase(advertiser.id)).collect();
    for item in &mut account.line_items {
        let d = &mut Dice::new(seed, STREAM, u64::from(item.id.0));
        let (strategy, worth) = match d.below(100) {
            0..35 => (Strategy::MaxCpc, 1_000),
            35..50 => (Strategy::TargetCpa, 100_000),
            _ => (Strategy::MaxCpm, 1),
        };
        item.strategy = strategy;
        item.bid = Cpm(item.bid.0 * worth);
        item.shading = true;
        item.pacing = Pacing { mode: PacingMode::Even, period: PacingPeriod::Daily };
        if strategy == Strategy::TargetCpa {
            item.conversions.extend(owners.get(&item.campaign).map(|owner| ConversionId(owner.0)));
        }
        if d.chance(300) {
            let max = 3 + d.below(10) as u16;
            item.frequency = Frequency {
                caps: vec![Cap { max, within_s: Some(DAY_S) }],
                min_gap_s: 0,
                unknown_users: UnknownUsers::Serve,
            };
        }
    }
}

/// An advertiser's only kind of conversion, under the advertiser's own number.
fn purchase(advertiser: AdvertiserId) -> Conversion {
    Conversion {
        id: ConversionId(advertiser.0),
        advertiser,
        name: "Purchase".to_owned(),
        click_window_h: 168,
        view_window_h: 0,
        counting: Counting::Every,
        value: None,
        active: true,
    }
}
