//! What can be referred to: names and owners by id, kept equal to what the tables hold.

use super::super::known::{Known, KnownAdvertiser, KnownCampaign};
use super::{Editor, Part, Table};
use crate::model::exchange::ExchangeProfile;
use crate::model::ids::{
    AdvertiserId, CampaignId, ConversionId, CreativeId, DealId, ExchangeId, ListId, PixelId, SegmentId,
};
use std::collections::HashMap;
use std::sync::Arc;

/// What a tenant can refer to.
pub(super) fn known<'t>(
    tenants: &'t mut HashMap<u32, Known>,
    exchanges: &Table<ExchangeProfile>,
    tenant: u32,
) -> &'t mut Known {
    tenants.entry(tenant).or_insert_with(|| Known {
        exchanges: exchanges.values().map(|kept| (kept.value.name.clone(), kept.value.id)).collect(),
        ..Known::default()
    })
}

impl Editor {
    /// Says which segments, by key, will be there when all of what is put now is: rules may name them before they are put.
    /// Whoever says so puts them all, or takes everything back, and ends by saying that none comes.
    pub fn expect_segments(&mut self, tenant: u32, coming: HashMap<String, SegmentId>) {
        known(&mut self.tenants, &self.exchanges, tenant).coming = coming;
    }

    /// Makes what can be referred to what the tables hold.
    pub(super) fn name_again(&mut self, part: Part, tenant: u32, id: u32) {
        match part {
            Part::Exchange => return self.name_exchanges(),
            Part::Segment => return self.name_segments(tenant),
            _ => {}
        }
        let Some(known) = self.tenants.get_mut(&tenant) else { return };
        match part {
            Part::Advertiser => match self.advertisers.get(&id) {
                Some(kept) => {
                    let advertiser = KnownAdvertiser::of(&kept.value);
                    drop(known.advertisers.insert(AdvertiserId(id), advertiser));
                }
                None => drop(known.advertisers.remove(&AdvertiserId(id))),
            },
            Part::Campaign => match self.campaigns.get(&id) {
                Some(kept) => {
                    let campaign = KnownCampaign::of(&kept.value, Some(kept.value.advertiser));
                    known.campaigns.insert(CampaignId(id), campaign);
                }
                None => drop(known.campaigns.remove(&CampaignId(id))),
            },
            Part::Creative => match self.creatives.get(&id) {
                Some(kept) => drop(known.creatives.insert(CreativeId(id), Some(kept.value.advertiser))),
                None => drop(known.creatives.remove(&CreativeId(id))),
            },
            Part::List => match self.lists.get(&id) {
                Some(kept) => drop(known.lists.insert(ListId(id), Arc::clone(&kept.value))),
                None => drop(known.lists.remove(&ListId(id))),
            },
            Part::Deal => match self.deals.get(&id) {
                Some(kept) => drop(known.deals.insert(DealId(id), kept.value.as_list())),
                None => drop(known.deals.remove(&DealId(id))),
            },
            Part::Conversion => match self.conversions.get(&id) {
                Some(kept) => {
                    known.conversions.insert(ConversionId(id), Some(kept.value.advertiser));
                }
                None => drop(known.conversions.remove(&ConversionId(id))),
            },
            Part::Pixel => match self.pixels.get(&id) {
                Some(kept) => drop(known.pixels.insert(PixelId(id), Some(kept.value.advertiser))),
                None => drop(known.pixels.remove(&PixelId(id))),
            },
            Part::Rates | Part::Safety | Part::Exchange | Part::Segment | Part::LineItem => {}
        }
    }

    pub(super) fn name_exchanges(&mut self) {
        let names: HashMap<String, ExchangeId> =
            self.exchanges.values().map(|kept| (kept.value.name.clone(), kept.value.id)).collect();
        self.tenants.values_mut().for_each(|known| known.exchanges.clone_from(&names));
    }

    pub(super) fn name_segments(&mut self, tenant: u32) {
        let own = || self.segments.values().filter(|kept| kept.tenant == tenant);
        let keys = own().map(|kept| (kept.value.key.clone(), kept.value.id)).collect();
        let serving = own().filter(|kept| kept.serves).map(|kept| &kept.value);
        let external = serving
            .flat_map(|segment| segment.external.iter().map(|name| (name.clone(), segment.id)))
            .collect();
        if let Some(known) = self.tenants.get_mut(&tenant) {
            known.segments = keys;
            known.external = external;
        }
    }
}
