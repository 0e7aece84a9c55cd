//! Looking at what an editor holds: whether something that was put made a difference, how it is written, who uses it.

use super::super::dump::{self, Inconsistent, Names};
use super::super::{behaviour, lists, safety};
use super::{Before, Editor, Kept, Part, Put, Table, Undo};
use crate::model::behaviour::{Pixel, Source};
use crate::model::exchange::ExchangeProfile;
use crate::model::ids::{AdvertiserId, ConversionId, LineItemId, PixelId, SegmentId};
use crate::model::line_item::LineItem;
use crate::model::list::{Deal, List, ListUse};
use crate::model::taxonomy::Segment;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

impl Editor {
    /// Whether what was put is anything else than what stood there before.
    pub fn has_changed(&self, put: &Put) -> bool {
        fn differs<T: PartialEq>(table: &Table<T>, id: u32, before: Option<&Kept<T>>) -> bool {
            let now = table.get(&id);
            let parts = |kept: &Kept<T>| kept.serves;
            now.map(parts) != before.map(parts)
                || now.map(|kept| &kept.value) != before.map(|kept| &kept.value)
        }
        let Undo { id, before, .. } = &put.undo;
        match before {
            Before::Rates(before) => self.rates != *before,
            Before::Safety(before) => self.safety != *before,
            Before::Exchange(before) => differs(&self.exchanges, *id, before.as_deref()),
            Before::Segment(before) => differs(&self.segments, *id, before.as_ref()),
            Before::Advertiser(before) => differs(&self.advertisers, *id, before.as_ref()),
            Before::Campaign(before) => differs(&self.campaigns, *id, before.as_ref()),
            Before::Creative(before) => differs(&self.creatives, *id, before.as_deref()),
            Before::List(before) => differs(&self.lists, *id, before.as_ref()),
            Before::Deal(before) => differs(&self.deals, *id, before.as_ref()),
            Before::Pixel(before) => differs(&self.pixels, *id, before.as_ref()),
            Before::Conversion(before) => differs(&self.conversions, *id, before.as_ref()),
            Before::LineItem(before) => differs(&self.line_items, *id, before.as_deref()),
        }
    }

    /// An entry as the account file writes it, with all its defaults; `None` where there is none.
    pub fn document(&self, part: Part, id: u32) -> Option<Value> {
        fn value<T>(table: &Table<T>, id: u32) -> Option<&T> {
            table.get(&id).map(|kept| &kept.value)
        }
        fn json(wire: Result<impl Serialize, Inconsistent>) -> Option<Value> {
            serde_json::to_value(wire.ok()?).ok()
        }
        let names = || {
            let exchanges = self.exchanges.values().map(|kept| &kept.value);
            Names::of(exchanges, self.segments.values().map(|kept| &kept.value))
        };
        match part {
            Part::Rates => json(dump::rates(&self.rates)),
            Part::Safety => json(Ok(safety::write(&self.safety))),
            Part::Exchange => json(Ok(dump::exchange(value(&self.exchanges, id)?))),
            Part::Segment => json(dump::segment(value(&self.segments, id)?, &names())),
            Part::Advertiser => json(Ok(dump::advertiser(value(&self.advertisers, id)?))),
            Part::Campaign => json(dump::campaign(value(&self.campaigns, id)?)),
            Part::Creative => json(dump::creative(value(&self.creatives, id)?, &names())),
            Part::List => json(Ok(lists::write_list(value(&self.lists, id)?))),
            Part::Deal => {
                let deal = value(&self.deals, id)?;
                json(names().exchange(&deal.exchange).map(|exchange| lists::write_deal(deal, exchange)))
            }
            Part::Conversion => json(Ok(lists::write_conversion(value(&self.conversions, id)?))),
            Part::Pixel => json(Ok(behaviour::write_pixel(value(&self.pixels, id)?))),
            Part::LineItem => json(dump::line_item(value(&self.line_items, id)?, &names())),
        }
    }

    /// One pixel.
    pub fn pixel(&self, id: u32) -> Option<&Pixel> {
        self.pixels.get(&id).map(|kept| &kept.value)
    }

    /// The line items of an advertiser.
    pub fn line_items_of(&self, advertiser: AdvertiserId) -> impl Iterator<Item = LineItemId> {
        let is_theirs = move |item: &LineItem| {
            let campaign = self.campaigns.get(&item.campaign.0);
            campaign.is_some_and(|campaign| campaign.value.advertiser == advertiser)
        };
        self.line_items
            .values()
            .map(|kept| &kept.value)
            .filter(move |item| is_theirs(item))
            .map(|item| item.id)
    }

    /// One deal.
    pub fn deal(&self, id: u32) -> Option<&Deal> {
        self.deals.get(&id).map(|kept| &kept.value)
    }

    /// Every exchange, and whether it is for serving.
    pub fn exchanges(&self) -> impl Iterator<Item = (&ExchangeProfile, bool)> {
        self.exchanges.values().map(|kept| (&kept.value, kept.serves))
    }

    /// A list that a line item uses, or the deal that stands there as one, as it is now.
    pub fn newest(&self, used: &ListUse) -> Option<Arc<List>> {
        match used.list.exchange {
            Some(_) => self.deals.get(&used.list.id.0).map(|kept| kept.value.as_list()),
            None => self.lists.get(&used.list.id.0).map(|kept| Arc::clone(&kept.value)),
        }
    }

    /// What is for serving and uses a list, a deal, a conversion or a pixel: line items and segments.
    pub fn users(&self, part: Part, id: u32) -> Vec<(Part, u32)> {
        let item_uses = |item: &LineItem| {
            let on_list = |is_deal: bool| {
                let lists = item.targeting.lists.iter();
                lists.map(|used| &used.list).any(|list| list.id.0 == id && list.exchange.is_some() == is_deal)
            };
            match part {
                Part::List => on_list(false),
                Part::Deal => on_list(true),
                Part::Conversion => item.conversions.contains(&ConversionId(id)),
                _ => false,
            }
        };
        let segment_uses = |segment: &Segment| match (&segment.source, part) {
            (Source::Rule(rule), Part::Conversion) => rule.filter.conversions.contains(&ConversionId(id)),
            (Source::Rule(rule), Part::Pixel) => rule.filter.pixels.contains(&PixelId(id)),
            (Source::Rule(rule), Part::Segment) => {
                segment.id.0 != id && rule.filter.categories.contains(&SegmentId(id))
            }
            _ => false,
        };
        let items = self.line_items.iter().filter(|(_, kept)| kept.serves && item_uses(&kept.value));
        let segments = self.segments.iter().filter(|(_, kept)| kept.serves && segment_uses(&kept.value));
        let items = items.map(|(id, _)| (Part::LineItem, *id));
        items.chain(segments.map(|(id, _)| (Part::Segment, *id))).collect()
    }
}
