//! The declarative account: everything that people configured, as one validated value. `store` reads it from a file
//! (later from the control database); `engine` compiles it into a catalog.

use super::behaviour::Pixel;
use super::category::CategoryMap;
use super::creative::Creative;
use super::exchange::ExchangeProfile;
use super::line_item::{Advertiser, Campaign, LineItem};
use super::list::{Conversion, Deal, List};
use super::rates::Rates;
use super::safety::Safety;
use super::taxonomy::Segment;
use std::sync::Arc;

/// One account's configuration. References between its parts are checked by `store` before it exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Exchange rates.
    pub rates: Rates,
    /// Exchange profiles.
    pub exchanges: Vec<ExchangeProfile>,
    /// Advertisers.
    pub advertisers: Vec<Advertiser>,
    /// Campaigns.
    pub campaigns: Vec<Campaign>,
    /// Line items.
    pub line_items: Vec<LineItem>,
    /// Creatives.
    pub creatives: Vec<Creative>,
    /// Segments and classification trees.
    pub segments: Vec<Segment>,
    /// Lists that line items use; each stands in the targeting of its users as well.
    pub lists: Vec<Arc<List>>,
    /// Deals.
    pub deals: Vec<Deal>,
    /// What counts as a conversion.
    pub conversions: Vec<Conversion>,
    /// Where events are reported.
    pub pixels: Vec<Pixel>,
    /// What is refused for every line item.
    pub safety: Safety,
    /// Mappings between category taxonomies; those of the data directory, which the account file does not hold.
    pub category_maps: Vec<CategoryMap>,
}
