//! What a conversion brings.

use crate::model::ids::{AdvertiserId, LineItemId};
use crate::model::money::Nanos;
use std::collections::BTreeMap;

/// Conversions of its advertiser that a line item's own outweigh by half.
const SHRINK: i128 = 5;

/// Sums of what conversions brought.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Revenues {
    pub(super) by_line_item: BTreeMap<LineItemId, (i64, u64)>,
    pub(super) by_advertiser: BTreeMap<AdvertiserId, (i64, u64)>,
}

impl Revenues {
    /// A conversion brought so much.
    pub fn add(&mut self, advertiser: AdvertiserId, line_item: LineItemId, value: Nanos) {
        let value = value.0.max(0);
        for (sum, count) in [
            self.by_line_item.entry(line_item).or_default(),
            self.by_advertiser.entry(advertiser).or_default(),
        ] {
            *sum = sum.saturating_add(value);
            *count += 1;
        }
    }

    /// What the next one brings, as expected: the mean of the line item, drawn towards that of its advertiser; `None` where
    /// the advertiser has none with a value.
    pub fn expected(&self, advertiser: AdvertiserId, line_item: LineItemId) -> Option<Nanos> {
        let (sum, count) = *self.by_advertiser.get(&advertiser).filter(|(_, count)| *count > 0)?;
        let mean = i128::from(sum) / i128::from(count);
        let (own, many) = self.by_line_item.get(&line_item).copied().unwrap_or_default();
        let drawn = (i128::from(own) + SHRINK * mean) / (i128::from(many) + SHRINK);
        i64::try_from(drawn).ok().map(Nanos)
    }
}
