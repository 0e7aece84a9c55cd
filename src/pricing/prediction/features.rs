//! What predictions look at, as hashed features: the value of a field, salted by the field, folded to 32 bits, of which a
//! table takes the lowest as the number of its slot (Weinberger et al., *Feature Hashing for Large Scale Multitask
//! Learning*, ICML'09; unsigned, as tables are large enough).
//!
//! A request's features are hashed once ([`Context`]); a candidate's ([`Crosses`]) are combined from halves that are there
//! already, and lie together as far as they can, because a candidate costs what its cache misses cost. What crosses a
//! campaign with a field of few values lies in 128 neighbouring slots of the campaign, which the next request finds warm;
//! what crosses an advertiser and its campaigns with one site lies in one cache line. Each such block is turned by a part of
//! its hash: where two blocks share slots, the same value of both seldom does, and no slot of a block is used more than
//! others.
//!
//! A hash is the same on every machine and for ever, because models and states of learners are kept.

use crate::model::auction::Size;
use crate::model::country::Country;
use crate::model::ids::{AdvertiserId, CampaignId, CreativeId, ExchangeId, LineItemId, SegmentId};
use crate::model::mix::{GOLDEN, splitmix64};
use crate::model::targeting::MediaType;

/// Most features of a request.
pub const CONTEXT_MAX: usize = 48;
/// Most features of a candidate.
pub const CROSSES_MAX: usize = 16;
/// Segments that count, the most informative first.
const SEGMENTS_MAX: usize = 32;
/// Slots of a campaign.
const CAMPAIGN_BLOCK: u32 = 128;
/// Slots of an advertiser on a site: a cache line of a table of weights.
const SITE_BLOCK: u32 = 32;

/// The fields that features are made of. The bias is none of them: every row has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Field {
    /// The exchange.
    Exchange,
    /// The site or app.
    Site,
    /// The place on it (`imp.tagid`).
    Slot,
    /// The offered size.
    Size,
    /// The medium.
    Format,
    /// Where on the screen (`pos`).
    Position,
    /// The country.
    Country,
    /// The region within the country.
    Region,
    /// Hour of the day.
    Hour,
    /// Day of the week.
    DayOfWeek,
    /// Hour of the day on one exchange.
    HourExchange,
    /// `device.devicetype`.
    DeviceType,
    /// Family of the operating system.
    Os,
    /// Family of the browser.
    Browser,
    /// `device.connectiontype`.
    Connection,
    /// A segment of the user.
    Segment,
    /// How often the user has seen the campaign, by doublings.
    Frequency,
    /// How long ago the user saw it last, by doublings.
    Recency,
    /// The advertiser.
    Advertiser,
    /// The campaign; alone, by hour, device, frequency, recency, country, line item and creative.
    Campaign,
    /// The campaign and a segment.
    CampaignSegment,
    /// The advertiser on one site; alone, by campaign, and by campaign and place.
    AdvertiserSite,
    /// A `field=value` that came as text.
    Text,
}

const FIELDS: usize = Field::Text as usize + 1;

/// Unrelated numbers for numbers that follow one another: the outputs of splitmix64, by their number.
pub(super) const fn mix(number: u64) -> u64 {
    splitmix64(number.wrapping_mul(GOLDEN))
}

/// One for each field.
const SALTS: [u64; FIELDS] = {
    let (mut salts, mut at) = ([0; FIELDS], 0);
    while at < FIELDS {
        salts[at] = mix(at as u64);
        at += 1;
    }
    salts
};

/// The 128-bit product, folded: each bit of the result hangs on all of both.
const fn fold(a: u64, b: u64) -> u64 {
    let product = (a as u128) * (b as u128);
    (product as u64) ^ (product >> 64) as u64
}

/// Folded twice: once, numbers that follow one another come to lie at even distances, and mostly on one another.
const fn hash(field: Field, value: u64) -> u64 {
    fold(fold(value ^ SALTS[field as usize], 0xd6e8_feb8_6659_fd93), 0x9e37_79b9_7f4a_7c15)
}

/// The features of the numbers of doublings.
const fn by_doublings<const N: usize>(field: Field) -> [u32; N] {
    let (mut features, mut at) = ([0; N], 0);
    while at < N {
        features[at] = feature(hash(field, at as u64));
        at += 1;
    }
    features
}

/// Of frequencies: none, once, 2–3, … 512 times or more.
const FREQUENCIES: [u32; 11] = by_doublings(Field::Frequency);
/// Of recencies in minutes: 0, 1, 2–3, … 17 hours or more.
const RECENCIES: [u32; 12] = by_doublings(Field::Recency);

/// Of two hashes.
const fn cross(field: Field, a: u64, b: u64) -> u64 {
    fold(a ^ SALTS[field as usize], b)
}

/// Feature of a hash: its high half, which hangs on more of the value.
const fn feature(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// Eight bytes at a time, each with these bits set.
fn text(field: Field, text: &str, bits: u64) -> u64 {
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let step =
        |hash: u64, word: &[u8; 8]| fold(hash ^ (u64::from_le_bytes(*word) | bits), 0xd6e8_feb8_6659_fd93);
    let start = fold(text.len() as u64 ^ SALTS[field as usize], 0x9e37_79b9_7f4a_7c15);
    fold(step(words.iter().fold(start, step), &last), 0x9e37_79b9_7f4a_7c15)
}

/// The hash of a text whose letters may be of either case. The bit that tells the cases of ASCII letters apart is set; that
/// this merges a few marks as well does no harm.
fn text_hash(field: Field, value: &str) -> u64 {
    text(field, value, 0x2020_2020_2020_2020)
}

/// The feature of a text such as `site=example.org`, case-sensitive as it stands there.
pub fn text_feature(value: &str) -> u32 {
    feature(text(Field::Text, value, 0))
}

/// The bin of a number ≥ 0: ⌊ln²(1 + x)⌋, so that bins are as wide as what lies in them is rare (the transformation of
/// the winners of Criteo's contest of 2014, "3 Idiots").
pub fn numeric_bin(x: f64) -> u32 {
    x.max(0.0).ln_1p().powi(2) as u32
}

/// The number of binary digits: 0, 1, 2–3, 4–7, …
fn doublings(x: u32) -> u32 {
    u32::BITS - x.leading_zeros()
}

/// What a request says, where known.
#[derive(Clone, Copy, Debug)]
pub struct ContextFacts<'r> {
    /// The exchange.
    pub exchange: ExchangeId,
    /// [`Place::inventory`](crate::model::event::Place): stable hash of the site's domain or the app's bundle; 0 = not known.
    pub site: u64,
    /// `imp.tagid`.
    pub slot: Option<&'r str>,
    /// The size that is offered first.
    pub size: Option<Size>,
    /// The medium.
    pub format: Option<MediaType>,
    /// `pos` of the medium.
    pub position: Option<i64>,
    /// Where the device is.
    pub country: Option<Country>,
    /// `geo.region`.
    pub region: Option<&'r str>,
    /// Hour of the week, 0–167 from Monday midnight, in one zone for all requests.
    pub hour_of_week: u8,
    /// `device.devicetype`.
    pub device_type: Option<i64>,
    /// Family of the operating system.
    pub os: Option<&'r str>,
    /// Family of the browser.
    pub browser: Option<&'r str>,
    /// `device.connectiontype`.
    pub connection: Option<i64>,
    /// The user's segments, the most informative first; 32 count, the first is crossed with the campaign.
    pub segments: &'r [SegmentId],
}

/// The features of a request, in a buffer that is used again.
#[derive(Clone, Debug)]
pub struct Context {
    features: [u32; CONTEXT_MAX],
    len: usize,
    site: u64,
    slot: u64,
    country: u64,
    segment: u64,
    hour: u32,
    /// 1–15; 0 = not known.
    device: u32,
}

impl Default for Context {
    fn default() -> Context {
        Context {
            features: [0; CONTEXT_MAX],
            len: 0,
            site: 0,
            slot: 0,
            country: 0,
            segment: 0,
            hour: 0,
            device: 0,
        }
    }
}

impl Context {
    /// Takes in a request in place of the one before.
    pub fn fill(&mut self, facts: &ContextFacts<'_>) {
        self.len = 0;
        let hour = facts.hour_of_week % 24;
        let exchange = self.add(Field::Exchange, u64::from(facts.exchange.0));
        let hour_hash = self.add(Field::Hour, u64::from(hour));
        self.add(Field::DayOfWeek, u64::from(facts.hour_of_week / 24));
        self.push(cross(Field::HourExchange, hour_hash, exchange));
        self.hour = u32::from(hour);
        self.site = if facts.site == 0 { 0 } else { self.add(Field::Site, facts.site) };
        self.slot = self.add_text(Field::Slot, facts.slot);
        if let Some(size) = facts.size {
            self.add(Field::Size, u64::from(size.w) << 32 | u64::from(size.h));
        }
        if let Some(format) = facts.format {
            self.add(Field::Format, format as u64);
        }
        self.add_number(Field::Position, facts.position);
        let country = facts.country.as_ref().map(Country::as_str);
        self.country = self.add_text(Field::Country, country);
        if let Some(region) = facts.region.filter(|region| !region.is_empty()) {
            self.push(cross(Field::Region, text_hash(Field::Region, region), self.country | 1));
        }
        self.add_number(Field::DeviceType, facts.device_type);
        self.device = facts.device_type.map_or(0, |kind| kind.clamp(0, 14) as u32 + 1);
        self.add_text(Field::Os, facts.os);
        self.add_text(Field::Browser, facts.browser);
        self.add_number(Field::Connection, facts.connection);
        self.segment = 0;
        for segment in facts.segments.iter().take(SEGMENTS_MAX).rev() {
            self.segment = self.add(Field::Segment, u64::from(segment.0));
        }
    }

    fn push(&mut self, hash: u64) {
        self.features[self.len] = feature(hash);
        self.len += 1;
    }

    fn add(&mut self, field: Field, value: u64) -> u64 {
        let hash = hash(field, value);
        self.push(hash);
        hash
    }

    fn add_number(&mut self, field: Field, value: Option<i64>) {
        if let Some(value) = value {
            self.add(field, value as u64);
        }
    }

    fn add_text(&mut self, field: Field, value: Option<&str>) -> u64 {
        let Some(value) = value.filter(|value| !value.is_empty()) else { return 0 };
        let hash = text_hash(field, value);
        self.push(hash);
        hash
    }

    /// The features.
    pub fn features(&self) -> &[u32] {
        &self.features[..self.len]
    }
}

/// Neighbouring slots, turned.
#[derive(Clone, Copy, Debug)]
struct Block {
    first: u32,
    turn: u32,
    /// A power of two.
    slots: u32,
}

impl Block {
    const fn new(hash: u64, slots: u32) -> Block {
        Block { first: feature(hash) & !(slots - 1), turn: hash as u32, slots }
    }

    const fn slot(&self, offset: u32) -> u32 {
        self.first | (offset.wrapping_add(self.turn) & (self.slots - 1))
    }
}

/// The hashes of a creative and what it belongs to: made when an account is compiled, or on the spot.
#[derive(Clone, Copy, Debug)]
pub struct OfferKeys {
    advertiser: u64,
    campaign: u64,
    campaign_id: u32,
    line_item: u32,
    creative: u32,
}

impl OfferKeys {
    /// Hashes of these.
    pub const fn new(
        advertiser: AdvertiserId,
        campaign: CampaignId,
        line_item: LineItemId,
        creative: CreativeId,
    ) -> OfferKeys {
        OfferKeys {
            advertiser: hash(Field::Advertiser, advertiser.0 as u64),
            campaign: hash(Field::Campaign, campaign.0 as u64),
            campaign_id: campaign.0,
            line_item: line_item.0,
            creative: creative.0,
        }
    }
}

/// A candidate for a place.
#[derive(Clone, Copy, Debug)]
pub struct OfferFacts {
    /// Whose it is.
    pub keys: OfferKeys,
    /// How often the user has seen the campaign; `None` = not known.
    pub frequency: Option<u32>,
    /// Seconds since the user saw it last; `None` = never, or not known.
    pub recency_s: Option<u32>,
}

/// The features of a candidate, in a buffer that is used again.
#[derive(Clone, Debug)]
pub struct Crosses {
    features: [u32; CROSSES_MAX],
    len: usize,
}

impl Default for Crosses {
    fn default() -> Crosses {
        Crosses { features: [0; CROSSES_MAX], len: 0 }
    }
}

impl Crosses {
    /// Takes in a candidate in place of the one before.
    pub fn fill(&mut self, context: &Context, offer: &OfferFacts) {
        let keys = &offer.keys;
        self.len = 0;
        // Of the campaign: itself at 0, hours from 1, devices from 25, frequencies from 41, recencies from 52; then countries
        // by hash, and line items and creatives by number, as those of one campaign follow one another.
        let own = Block::new(keys.campaign, CAMPAIGN_BLOCK);
        self.push(own.slot(0));
        self.push(own.slot(1 + context.hour));
        if context.device > 0 {
            self.push(own.slot(25 + context.device));
        }
        if let Some(frequency) = offer.frequency {
            let doublings = doublings(frequency).min(FREQUENCIES.len() as u32 - 1);
            self.push(own.slot(41 + doublings));
            self.push(FREQUENCIES[doublings as usize]);
        }
        if let Some(recency_s) = offer.recency_s {
            let doublings = doublings(recency_s / 60).min(RECENCIES.len() as u32 - 1);
            self.push(own.slot(52 + doublings));
            self.push(RECENCIES[doublings as usize]);
        }
        if context.country != 0 {
            self.push(own.slot(64 + (context.country >> 59) as u32));
        }
        self.push(own.slot(96 + (keys.line_item & 7)));
        self.push(own.slot(104 + keys.creative % 24));
        self.push(feature(keys.advertiser));
        if context.site != 0 {
            let there = Block::new(cross(Field::AdvertiserSite, context.site, keys.advertiser), SITE_BLOCK);
            self.push(there.slot(0));
            self.push(there.slot(1 + keys.campaign_id % 7));
            if context.slot != 0 {
                let place = fold(context.slot, keys.campaign) >> 32;
                self.push(there.slot(8 + (place % 24) as u32));
            }
        }
        if context.segment != 0 {
            self.push(feature(cross(Field::CampaignSegment, context.segment, keys.campaign)));
        }
    }

    fn push(&mut self, feature: u32) {
        self.features[self.len] = feature;
        self.len += 1;
    }

    /// The features.
    pub fn features(&self) -> &[u32] {
        &self.features[..self.len]
    }
}
