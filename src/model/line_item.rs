//! Advertisers, campaigns and line items as configured.

use super::behaviour::Tier;
use super::frequency::Frequency;
use super::ids::{AdvertiserId, CampaignId, ConversionId, CreativeId, LineItemId};
use super::money::{Cpm, Currency, Nanos};
use super::targeting::{HourMask, Targeting};
use super::{auction::Size, country::Country, ids::ExchangeId, ids::SegmentId};

/// Who pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertiser {
    /// Stable id.
    pub id: AdvertiserId,
    /// For people.
    pub name: String,
    /// Currency of the wallet and of every amount below it.
    pub currency: Currency,
    /// IANA time zone: budget days are its civil days.
    pub time_zone: String,
    /// The money in the wallet.
    pub wallet: Nanos,
    /// Data fee per thousand impressions.
    pub data_fee: Cpm,
    /// Platform share of the media cost in parts per million.
    pub platform_ppm: i64,
    /// How often one person may be shown anything of it.
    pub frequency: Frequency,
    /// Whether it may serve.
    pub active: bool,
}

/// A limit on spend; `None` is no limit at this level (a wallet always is one).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Over the whole life.
    pub lifetime: Option<Nanos>,
    /// Per civil day of the advertiser's zone.
    pub daily: Option<Nanos>,
}

/// When something may serve: half-open, milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flight {
    /// First moment; `None` = since ever.
    pub start_ms: Option<i64>,
    /// First moment after; `None` = for ever.
    pub end_ms: Option<i64>,
}

impl Flight {
    /// Whether `unix_ms` lies in the flight.
    pub fn contains(&self, unix_ms: i64) -> bool {
        self.start_ms.is_none_or(|s| unix_ms >= s) && self.end_ms.is_none_or(|e| unix_ms < e)
    }
}

/// A campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Campaign {
    /// Stable id.
    pub id: CampaignId,
    /// Owner.
    pub advertiser: AdvertiserId,
    /// For people.
    pub name: String,
    /// Spend limits.
    pub budget: Budget,
    /// How often one person may be shown anything of it.
    pub frequency: Frequency,
    /// When it may serve.
    pub flight: Flight,
    /// Whether it may serve.
    pub active: bool,
}

/// How a line item's price is found: what is paid for, and what pacing may make of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Strategy {
    /// The price, changed by nothing but multipliers: what does not fit the plan of spending is left out.
    #[default]
    FixedCpm,
    /// At most the price: less where that spends the budget as planned as well.
    MaxCpm,
    /// At most an amount for a click, whatever the impressions cost that bring it.
    MaxCpc,
    /// An amount for a click on average.
    TargetCpc,
    /// An amount for a conversion on average.
    TargetCpa,
    /// Revenue of conversions by what they cost, on average.
    TargetRoas,
    /// As many clicks as the budget buys.
    MaxClicks,
    /// As many conversions as the budget buys.
    MaxConversions,
    /// As many people as possible, each as often as the caps allow, at most at the price.
    Reach,
}

/// What must be predicted to know what an impression is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Predicts {
    /// Nothing: the price is given.
    Nothing,
    /// Whether it is clicked.
    Clicks,
    /// Whether it is clicked and what the click leads to.
    Conversions,
}

impl Strategy {
    /// What its value rests on.
    pub fn predicts(self) -> Predicts {
        match self {
            Strategy::FixedCpm | Strategy::MaxCpm | Strategy::Reach => Predicts::Nothing,
            Strategy::MaxCpc | Strategy::TargetCpc | Strategy::MaxClicks => Predicts::Clicks,
            Strategy::TargetCpa | Strategy::TargetRoas | Strategy::MaxConversions => Predicts::Conversions,
        }
    }

    /// Whether it is steered towards what was paid for each outcome.
    pub fn has_target(self) -> bool {
        matches!(self, Strategy::TargetCpc | Strategy::TargetCpa | Strategy::TargetRoas)
    }

    /// Whether the whole budget is to be spent, whatever an outcome costs then; no amount is given.
    pub fn spends_all(self) -> bool {
        matches!(self, Strategy::MaxClicks | Strategy::MaxConversions)
    }
}

/// How the money is spread over the time that it is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PacingMode {
    /// As soon as there is something to buy.
    #[default]
    Asap,
    /// As traffic comes, so that the money ends with the time.
    Even,
    /// The same, up to a fifth ahead of it.
    Ahead,
}

/// The time that the money is spread over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PacingPeriod {
    /// Each day's budget over the day.
    #[default]
    Daily,
    /// The budget of the whole life over the flight.
    Flight,
}

/// How a line item spends its budget.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pacing {
    /// How.
    pub mode: PacingMode,
    /// Over which time.
    pub period: PacingPeriod,
}

/// A line item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineItem {
    /// Stable id.
    pub id: LineItemId,
    /// Owner.
    pub campaign: CampaignId,
    /// For people.
    pub name: String,
    /// Spend limits below the campaign's.
    pub budget: Budget,
    /// When it may serve.
    pub flight: Flight,
    /// Whether it may serve.
    pub active: bool,
    /// How its price is found.
    pub strategy: Strategy,
    /// What a thousand impressions are worth that all bring what is paid for, in the advertiser's currency and before
    /// multipliers: the price of [`Strategy::FixedCpm`], [`Strategy::MaxCpm`] and [`Strategy::Reach`], a thousand times
    /// the amount for a click or a conversion (500.00 for 0.50). Of [`Strategy::TargetRoas`] it is no price but the ratio of
    /// revenue to cost in millionths. `pricing::value` makes a price of it.
    pub bid: Cpm,
    /// Never bid above this.
    pub max_bid: Cpm,
    /// Never bid below this, but leave the impression; 0 = no minimum.
    pub min_bid: Cpm,
    /// Whether less may be bid where less wins as well; never of [`Strategy::FixedCpm`], whose price is the price.
    pub shading: bool,
    /// How it spends its budget.
    pub pacing: Pacing,
    /// How often one person may be shown it.
    pub frequency: Frequency,
    /// Price differences by audience, time, place, device, channel.
    pub multipliers: Multipliers,
    /// Whom to reach.
    pub targeting: Targeting,
    /// Creatives to choose from, with weights.
    pub creatives: Vec<CreativeAssignment>,
    /// What counts as its success.
    pub conversions: Vec<ConversionId>,
}

/// A creative of a line item. Where creatives with a condition fit, those rotate by their weights and the ones without
/// a condition wait: each group is shown its own ad, everybody else the general ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreativeAssignment {
    /// The creative.
    pub creative: CreativeId,
    /// Relative share of rotation, ≥ 1.
    pub weight: u32,
    /// For whom, where and when it is meant; empty = for everybody.
    pub when: Condition,
}

/// For whom, where and when a creative is meant: everything that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// At least one must be held (a tree node is held when it or a descendant is); empty = anybody.
    pub segments: Vec<SegmentId>,
    /// One of these countries; empty = anywhere.
    pub countries: Vec<Country>,
    /// One of these regions as `us-ca`; empty = anywhere.
    pub regions: Vec<String>,
    /// In one of these hours of the week in the advertiser's zone; `None` = always.
    pub hours: Option<HourMask>,
}

impl Condition {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
            && self.countries.is_empty()
            && self.regions.is_empty()
            && self.hours.is_none()
    }
}

/// Where an ad is shown, as a price dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChannelKind {
    /// A web site.
    Site,
    /// An app.
    App,
    /// Digital out of home.
    Dooh,
}

/// How often somebody has seen something: both bounds count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenRange {
    /// At least so many times.
    pub from: u32,
    /// At most so many; `None` = any more.
    pub to: Option<u32>,
}

impl SeenRange {
    /// Whether so many times are in it.
    pub fn contains(&self, times: u32) -> bool {
        times >= self.from && self.to.is_none_or(|to| times <= to)
    }
}

/// Factors in parts per million by dimension: the largest matching factor within a dimension, the product across
/// dimensions; 0 excludes; a dimension without a match counts 1. The product is clamped to 0.05–20.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Multipliers {
    /// By audience segment or tree node.
    pub segments: Vec<(SegmentId, i64)>,
    /// By where the person stands as a customer of the line item's advertiser.
    pub value_tiers: Vec<(Tier, i64)>,
    /// By exchange.
    pub exchanges: Vec<(ExchangeId, i64)>,
    /// By country.
    pub countries: Vec<(Country, i64)>,
    /// By `devicetype`.
    pub device_types: Vec<(i64, i64)>,
    /// By channel.
    pub channels: Vec<(ChannelKind, i64)>,
    /// By offered size of the creative.
    pub sizes: Vec<(Size, i64)>,
    /// By deal id.
    pub deals: Vec<(String, i64)>,
    /// By hour of the week in the advertiser's zone.
    pub hours: Vec<(HourMask, i64)>,
    /// By `pos` of the impression, as AdCOM numbers positions.
    pub positions: Vec<(i64, i64)>,
    /// By how often the person has seen the campaign.
    pub frequencies: Vec<(SeenRange, i64)>,
}
