//! Looking at what an editor holds: whether something that was put made a difference, how it is written, who uses it.

use super::super::dump::{self, Inconsistent, Names};
use super::super::{lists, safety};
use super::{Before, Editor, Kept, Part, Put, Table, Undo};
use crate::model::ids::ConversionId;
use crate::model::line_item::LineItem;
use serde::Serialize;
use serde_json::Value;

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
            Part::LineItem => json(dump::line_item(value(&self.line_items, id)?, &names())),
        }
    }

    /// The line items for serving that use a list, a deal or a conversion.
    pub fn users(&self, part: Part, id: u32) -> Vec<u32> {
        let uses = |item: &LineItem| {
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
        let serving = self.line_items.iter().filter(|(_, kept)| kept.serves);
        serving.filter(|(_, kept)| uses(&kept.value)).map(|(id, _)| *id).collect()
    }
}
