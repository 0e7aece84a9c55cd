//! What a person did on an advertiser's pages, and which segments that puts them in.
//!
//! Invariant: whose events count is always said ([`ActionFilter::advertisers`]): what people do at one advertiser never
//! moves the segments of another, unless somebody who may use both says so.

use super::ids::{AdvertiserId, ConversionId, PixelId, SegmentId};
use super::money::Nanos;

/// Most events that a [`Rule`] may ask for: the times of that many are kept.
pub const MAX_COUNT: u8 = 16;

/// What somebody did.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Action {
    /// Looked at something.
    View,
    /// Searched for something.
    Search,
    /// Put something into a cart.
    Cart,
    /// Bought something.
    Purchase,
    /// Did what a definition of a conversion says.
    Conversion,
    /// Something that has a name of its own.
    Custom,
}

impl Action {
    /// All of them, each at the place that it has as a number.
    pub const ALL: [Action; 6] =
        [Action::View, Action::Search, Action::Cart, Action::Purchase, Action::Conversion, Action::Custom];

    /// Its name in events, rules and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::View => "view",
            Action::Search => "search",
            Action::Cart => "cart",
            Action::Purchase => "purchase",
            Action::Conversion => "conversion",
            Action::Custom => "custom",
        }
    }

    /// The one of this name.
    pub fn parse(name: &str) -> Option<Action> {
        Action::ALL.into_iter().find(|action| action.as_str() == name)
    }
}

/// Which events are meant. Empty lists restrict nothing, except that of the advertisers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ActionFilter {
    /// Whose events; never empty.
    pub advertisers: Vec<AdvertiserId>,
    /// From these pixels.
    pub pixels: Vec<PixelId>,
    /// Of these kinds.
    pub actions: Vec<Action>,
    /// Custom events of these names, in lower case.
    pub names: Vec<String>,
    /// With any of these words or phrases among the event's keywords, in lower case: whole words in this order.
    pub keywords: Vec<String>,
    /// Of a category at or under any of these nodes.
    pub categories: Vec<SegmentId>,
    /// By any of these definitions.
    pub conversions: Vec<ConversionId>,
    /// Worth at least this, in the advertiser's currency.
    pub min_value: Option<Nanos>,
}

/// "Did this at least so often within such a time".
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Did what.
    pub filter: ActionFilter,
    /// How often, 1 to [`MAX_COUNT`].
    pub at_least: u8,
    /// Within how many seconds.
    pub within_s: u32,
}

/// Interest in a node: every event adds its weight, and the sum halves every [`Interest::half_life_s`]. Events of the
/// node's own category and of every category under it count.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interest {
    /// Whose events count; never empty.
    pub advertisers: Vec<AdvertiserId>,
    /// Seconds in which a score falls to its half.
    pub half_life_s: u32,
    /// The score from which somebody is in the segment, in thousandths.
    pub threshold_milli: u32,
    /// What an event adds, in thousandths, at the place of its [`Action`].
    pub weights_milli: [u32; Action::ALL.len()],
}

impl Interest {
    /// The usual weights: a search says more than a look, a cart more than a search. A purchase ends most interests, so
    /// it adds nothing unless somebody says otherwise.
    pub const WEIGHTS_MILLI: [u32; Action::ALL.len()] = [1_000, 3_000, 5_000, 0, 1_000, 1_000];
}

/// Where a customer of an advertiser stands: recency, frequency and monetary value of their purchases, each cut into
/// fifths of all customers (RFM; Hughes, "Strategic Database Marketing", 1994).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Tier {
    /// The first purchase was within the time that counts as recent, and there is no other.
    New,
    /// Bought within the time that counts as recent.
    Active,
    /// Among the most valuable fifth of those who are not lost: by frequency and value together.
    Loyal,
    /// Longer ago than recent, and not yet lost.
    Lapsing,
    /// Longer ago than the time after which a customer counts as lost.
    Lost,
}

impl Tier {
    /// All of them, each at the place that it has as a number.
    pub const ALL: [Tier; 5] = [Tier::New, Tier::Active, Tier::Loyal, Tier::Lapsing, Tier::Lost];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Tier::New => "new",
            Tier::Active => "active",
            Tier::Loyal => "loyal",
            Tier::Lapsing => "lapsing",
            Tier::Lost => "lost",
        }
    }
}

/// Customers of one advertiser in one tier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Customers {
    /// Whose customers.
    pub advertiser: AdvertiserId,
    /// In which tier.
    pub tier: Tier,
    /// Purchases within so many seconds are recent.
    pub recent_s: u32,
    /// After so many seconds without a purchase a customer is lost; more than [`Customers::recent_s`].
    pub lost_s: u32,
}

/// How people come into a segment, besides being put there by lists.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Source {
    /// In no other way.
    #[default]
    Listed,
    /// By what they did.
    Rule(Rule),
    /// By what they are interested in.
    Interest(Interest),
    /// As customers.
    Customers(Customers),
}

/// Where an advertiser's pages and servers report events.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pixel {
    /// Its id, part of its URL.
    pub id: PixelId,
    /// Whose pages it is on.
    pub advertiser: AdvertiserId,
    /// For people.
    pub name: String,
    /// Origins (`https://shop.example`) whose pages may report, in lower case; empty = none may, only servers.
    pub origins: Vec<String>,
    /// Events a second that are taken from browsers.
    pub per_second: u32,
    /// What servers sign their events with; `None` = servers may not report.
    pub secret: Option<super::secret::Key256>,
    /// Whether it takes anything.
    pub active: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_and_tiers_stand_at_their_numbers_under_names_of_their_own() {
        for (at, action) in Action::ALL.into_iter().enumerate() {
            assert_eq!(action as usize, at);
            assert_eq!(Action::parse(action.as_str()), Some(action));
        }
        for (at, tier) in Tier::ALL.into_iter().enumerate() {
            assert_eq!(tier as usize, at);
            assert_eq!(Tier::ALL.iter().filter(|other| other.as_str() == tier.as_str()).count(), 1);
        }
        assert_eq!(Action::parse("Search"), None);
    }
}
