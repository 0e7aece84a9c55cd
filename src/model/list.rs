//! Lists of domains, apps, places, deals or addresses that many line items refer to, deals that were agreed on, and what
//! counts as a conversion.
//!
//! Invariant: the values of a list are in the form in which targeting compares them, ascending, each once.

use super::ids::{AdvertiserId, ConversionId, DealId, ExchangeId, ListId};
use super::money::{Cpm, Nanos};
use std::sync::Arc;

/// The dimension of targeting in which a list's values count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ListKind {
    /// Domains of sites, with their subdomains.
    Domain,
    /// App bundles.
    Bundle,
    /// `publisher.id` values.
    Publisher,
    /// Regions as `us-ca`.
    Region,
    /// `device.geo.metro`.
    Metro,
    /// Cities as `berlin` or `de:berlin`.
    City,
    /// Postal codes as `10115` or `de:10115`.
    Zip,
    /// Keywords of the content or the user.
    Keyword,
    /// Deal ids, in their exact spelling.
    Deal,
    /// Address blocks of devices.
    Address,
}

/// A list. Line items share its values, however many they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Its id; that of the deal where it stands for one.
    pub id: ListId,
    /// For people.
    pub name: String,
    /// Where its values count.
    pub kind: ListKind,
    /// The only exchange on which they count; `None` = all.
    pub exchange: Option<ExchangeId>,
    /// See the module.
    pub values: Vec<String>,
}

/// A list as a line item uses it: its values count as if the line item listed them itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListUse {
    /// The list.
    pub list: Arc<List>,
    /// Whether its values are excluded; otherwise they are included.
    pub excluded: bool,
}

/// A deal: an agreement with an exchange under an id of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deal {
    /// Its id here.
    pub id: DealId,
    /// For people.
    pub name: String,
    /// With whom.
    pub exchange: ExchangeId,
    /// `pmp.deals.id`, in its exact spelling.
    pub deal: String,
    /// The agreed price in the exchange's currency, for who writes a bid; what is asked in the request is what counts.
    pub price: Option<Cpm>,
    /// Whether delivery is guaranteed.
    pub guaranteed: bool,
    /// Whether line items bid on it.
    pub active: bool,
}

impl Deal {
    /// The deal as targeting looks at it: without a value while it is not active, so that nothing meets it.
    pub fn as_list(&self) -> Arc<List> {
        let values = if self.active { vec![self.deal.clone()] } else { Vec::new() };
        let (id, exchange) = (ListId(self.id.0), Some(self.exchange));
        Arc::new(List { id, name: self.name.clone(), kind: ListKind::Deal, exchange, values })
    }
}

/// How many conversions of one user after one ad count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counting {
    /// The first.
    One,
    /// All.
    Every,
}

/// What counts as a conversion of an advertiser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// Its id.
    pub id: ConversionId,
    /// Whose it is.
    pub advertiser: AdvertiserId,
    /// For people.
    pub name: String,
    /// How long after a click it is that click's, in hours.
    pub click_window_h: u32,
    /// How long after an impression it is that impression's, in hours; 0 = never.
    pub view_window_h: u32,
    /// How many count.
    pub counting: Counting,
    /// What one is worth where the event says nothing, in the advertiser's currency.
    pub value: Option<Nanos>,
    /// Whether it is counted at all.
    pub active: bool,
}
