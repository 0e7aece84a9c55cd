//! What a line item wants to be shown to. Semantics (tested against the naive evaluator):
//! no targeting on a dimension = eligible for every value, known or unknown; an include list is not met by a request
//! that lacks the field; exclude beats include; an empty include list is no restriction; a tree node includes its
//! descendants; dayparts are half-open and in a named time zone.

use super::auction::Size;
use super::country::Country;
use super::ids::{DealId, ExchangeId, SegmentId};
use super::list::{List, ListKind, ListUse};

/// Include and exclude lists of one dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule<T> {
    /// At least one must match; empty = no restriction.
    pub include: Vec<T>,
    /// None may match; beats `include`.
    pub exclude: Vec<T>,
}

impl<T> Default for Rule<T> {
    fn default() -> Self {
        Rule { include: Vec::new(), exclude: Vec::new() }
    }
}

impl<T: PartialEq> Rule<T> {
    /// Whether a value meets the rule.
    pub fn accepts(&self, value: &T) -> bool {
        !self.exclude.contains(value) && (self.include.is_empty() || self.include.contains(value))
    }
}

impl<T> Rule<T> {
    /// Whether the rule restricts nothing.
    pub fn is_empty(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }
}

/// A medium (the number is OpenRTB's `mtype`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum MediaType {
    /// `banner`.
    Banner = 1,
    /// `video`.
    Video = 2,
    /// `audio`.
    Audio = 3,
    /// `native`.
    Native = 4,
}

impl std::fmt::Display for MediaType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            MediaType::Banner => "banner",
            MediaType::Video => "video",
            MediaType::Audio => "audio",
            MediaType::Native => "native",
        })
    }
}

/// What of an impression a creative can fill, as far as the index knows: a banner of this size, or a medium whose
/// terms are looked at when a creative is chosen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Fit {
    /// A banner.
    Banner(Size),
    /// Video.
    Video,
    /// Audio.
    Audio,
    /// Native.
    Native,
}

impl Fit {
    /// The medium.
    pub fn media_type(self) -> MediaType {
        match self {
            Fit::Banner(_) => MediaType::Banner,
            Fit::Video => MediaType::Video,
            Fit::Audio => MediaType::Audio,
            Fit::Native => MediaType::Native,
        }
    }
}

impl std::fmt::Display for Fit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fit::Banner(size) => size.fmt(f),
            other => other.media_type().fmt(f),
        }
    }
}

/// A content category in a taxonomy (`cattax`, AdCOM "Category Taxonomies"). A node of IAB Content 1.0 (`cattax` 1)
/// includes its descendants by its code: `IAB2` includes `IAB2-3`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Category {
    /// Taxonomy.
    pub cattax: u16,
    /// Id in it.
    pub id: String,
}

impl std::fmt::Display for Category {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.cattax, self.id)
    }
}

/// Audience segments or tree nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentRule {
    /// Every one must be held (a node is held when it or a descendant is).
    pub all_of: Vec<SegmentId>,
    /// At least one must be held; empty = no restriction.
    pub any_of: Vec<SegmentId>,
    /// None may be held; beats the others.
    pub none_of: Vec<SegmentId>,
}

impl SegmentRule {
    /// Whether the rule restricts nothing.
    pub fn is_empty(&self) -> bool {
        self.all_of.is_empty() && self.any_of.is_empty() && self.none_of.is_empty()
    }

    /// The nodes of which one or all must be held.
    pub fn wanted(&self) -> Vec<SegmentId> {
        [&self.all_of[..], &self.any_of].concat()
    }

    /// Whether the rule needs to know the user's segments to be met.
    pub fn needs_user(&self) -> bool {
        !self.all_of.is_empty() || !self.any_of.is_empty()
    }
}

/// The 168 hours of a week as a bit set; hour 0 is Monday 00:00–01:00 in the daypart's zone, half-open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct HourMask(pub [u64; 3]);

impl HourMask {
    /// Hours in a week.
    pub const HOURS: usize = 168;
    /// No hour.
    pub const NONE: HourMask = HourMask([0; 3]);
    /// Every hour.
    pub const ALL: HourMask = HourMask([u64::MAX, u64::MAX, (1 << 40) - 1]);

    /// Adds one hour of the week (0–167); others are ignored.
    pub fn insert(&mut self, hour: usize) {
        if hour < Self::HOURS {
            self.0[hour / 64] |= 1 << (hour % 64);
        }
    }

    /// Whether the hour of the week is in the set.
    pub fn contains(&self, hour: usize) -> bool {
        hour < Self::HOURS && self.0[hour / 64] >> (hour % 64) & 1 == 1
    }
}

/// Hours of the week in a named time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daypart {
    /// Hours in which to serve: what is included less what is excluded.
    pub hours: HourMask,
    /// IANA name, checked when the account is loaded.
    pub time_zone: String,
}

/// Everything that a line item can target. Texts are compared case-insensitively (ASCII) and are stored in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targeting {
    /// Exchanges.
    pub exchanges: Rule<ExchangeId>,
    /// Deal ids (case-sensitive): with an include list the line item bids only on those deals.
    pub deals: Rule<String>,
    /// Media.
    pub formats: Rule<MediaType>,
    /// Offered sizes of banners; other media do not answer to it.
    pub sizes: Rule<Size>,
    /// `device.geo.country`.
    pub countries: Rule<Country>,
    /// Regions as `us-ca`; a request may say `CA` with its country or `US-CA`.
    pub regions: Rule<String>,
    /// `device.geo.metro`.
    pub metros: Rule<String>,
    /// Cities as `berlin`, or with their country as `de:berlin`.
    pub cities: Rule<String>,
    /// Postal codes as `10115`, or with their country as `de:10115`.
    pub zips: Rule<String>,
    /// `devicetype` numbers. A target of 1 (mobile or tablet) accepts 4 and 5 as well.
    pub device_types: Rule<i64>,
    /// Operating systems (`android`, `ios`, `windows` …).
    pub os: Rule<String>,
    /// Browser families (`chrome`, `safari`, `firefox`, `edge` …).
    pub browsers: Rule<String>,
    /// `connectiontype` numbers.
    pub connections: Rule<i64>,
    /// `carrier` names or `mccmnc` codes.
    pub carriers: Rule<String>,
    /// Device languages: `en` accepts `en-US`, `en-us` only itself.
    pub languages: Rule<String>,
    /// Site domains; `example.com` accepts its subdomains.
    pub domains: Rule<String>,
    /// App bundles (compared case-insensitively).
    pub bundles: Rule<String>,
    /// `publisher.id` values.
    pub publishers: Rule<String>,
    /// Content categories.
    pub categories: Rule<Category>,
    /// Keywords of the content or the user.
    pub keywords: Rule<String>,
    /// Audience.
    pub segments: SegmentRule,
    /// Hours of the week; `None` = always.
    pub daypart: Option<Daypart>,
    /// Kinds of placement; `None` = any.
    pub placement: Option<Box<PlacementRules>>,
    /// Lists whose values count beside those that the rules above list themselves.
    pub lists: Vec<ListUse>,
}

impl Targeting {
    /// The included or the excluded lists of a dimension.
    pub fn lists_of(&self, kind: ListKind, excluded: bool) -> impl Iterator<Item = &List> {
        let own = self.lists.iter().filter(move |used| used.list.kind == kind && used.excluded == excluded);
        own.map(|used| &*used.list)
    }

    /// Whether only deals are bid on.
    pub fn wants_deals(&self) -> bool {
        !self.deals.include.is_empty() || self.lists_of(ListKind::Deal, false).next().is_some()
    }

    /// Whether a deal of an exchange is one of those that are bid on.
    pub fn wants_deal(&self, exchange: ExchangeId, deal: &str) -> bool {
        self.deals.include.iter().any(|id| id == deal) || self.deal_list(exchange, deal).is_some()
    }

    /// The deal of the account that a deal of an exchange is here: none where it is wanted by its text alone.
    pub fn deal_of(&self, exchange: ExchangeId, deal: &str) -> Option<DealId> {
        self.deal_list(exchange, deal).map(|list| DealId(list.id.0))
    }

    fn deal_list(&self, exchange: ExchangeId, deal: &str) -> Option<&List> {
        self.lists_of(ListKind::Deal, false).find(|list| {
            list.exchange.is_none_or(|only| only == exchange)
                && list.values.binary_search_by(|value| value.as_str().cmp(deal)).is_ok()
        })
    }
}

/// What kind of placement an ad may be shown in. A rule is looked at for media that have its field, the others do not
/// answer to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlacementRules {
    /// `pos` of banner and video (AdCOM "Placement Positions").
    pub positions: Rule<i64>,
    /// `plcmt` of video (AdCOM "Plcmt Subtypes - Video"); never read from the deprecated `placement`.
    pub video_placements: Rule<i64>,
    /// When video or audio starts, by `startdelay`.
    pub starts: Rule<StreamStart>,
    /// The first `playbackmethod` of video, which is what will be used (AdCOM "Playback Methods").
    pub playback_methods: Rule<i64>,
    /// `feed` of audio (AdCOM "Feed Types").
    pub feeds: Rule<i64>,
    /// `context` of native (Native 1.2 section 7.1).
    pub native_contexts: Rule<i64>,
    /// `instl`: `Some(false)` = no interstitials, `Some(true)` = nothing else.
    pub interstitial: Option<bool>,
    /// `rwdd`: likewise for ads that are watched for a reward.
    pub rewarded: Option<bool>,
    /// `ssai` is not 3: a device, and not a server in its place, fetches the trackers.
    pub client_trackers: bool,
    /// Where a place refreshes itself: it was refreshed at most this often. A place that does not say how often is not
    /// taken then.
    pub max_refreshes: Option<u32>,
    /// Where a place refreshes itself: an ad stays at least this many seconds.
    pub min_refresh_s: Option<u32>,
}

/// When video or audio starts within the content: `startdelay` by its kind (AdCOM "Start Delay Modes").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum StreamStart {
    /// 0: before it.
    PreRoll,
    /// −1, or the second at which it starts.
    MidRoll,
    /// −2: after it.
    PostRoll,
}

impl StreamStart {
    /// The kind of a `startdelay`; `None` = a value that is not known.
    pub fn of(start_delay: i64) -> Option<StreamStart> {
        match start_delay {
            0 => Some(StreamStart::PreRoll),
            -1 | 1.. => Some(StreamStart::MidRoll),
            -2 => Some(StreamStart::PostRoll),
            _ => None,
        }
    }
}
