//! The demo's account: an insurer that speaks to people by what is happening in their lives, each group with its own
//! message and its own price, plus a line item for everybody else and one for each medium that is no banner.

use super::media;
use crate::audience::Membership;
use crate::model::account::Account;
use crate::model::auction::Size;
use crate::model::creative::{Approvals, BannerAd, Content, Creative};
use crate::model::exchange::*;
use crate::model::ids::*;
use crate::model::line_item::*;
use crate::model::mix::splitmix64;
use crate::model::money::{Cpm, Currency, Nanos, PPM};
use crate::model::rates::{Rate, Rates};
use crate::model::safety::Safety;
use crate::model::targeting::{SegmentRule, Targeting};
use crate::model::taxonomy::Segment;

/// Users with a cookie.
pub const USERS: u64 = 200_000;
/// The line item for everybody else.
pub const CATCH_ALL: LineItemId = LineItemId(100);
/// The insurer's domain.
pub(super) const SITE: &str = "harbour-mutual.example";

/// A group of people that the insurer has something to say to.
pub struct Persona {
    /// Key below its group, and part of the creative's address.
    pub key: &'static str,
    /// For people.
    pub name: &'static str,
    /// Group of the tree.
    group: Group,
    /// What the ad says.
    message: &'static str,
    /// CPM in micros of USD.
    bid: i64,
    /// Users in a thousand.
    per_mille: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    Family,
    Health,
    Work,
    Means,
}

impl Group {
    const ALL: [(Group, &'static str, &'static str); 4] = [
        (Group::Family, "family", "Family"),
        (Group::Health, "health", "Health"),
        (Group::Work, "work", "Work"),
        (Group::Means, "means", "Means"),
    ];
}

/// The personas; a persona's segment id is its position plus 10.
pub const PERSONAS: [Persona; 12] = [
    persona(
        "divorced_parents",
        "Divorced parents with a child",
        Group::Family,
        "One income, full cover for two",
        5_200_000,
        40,
    ),
    persona(
        "business_owners",
        "Business owners",
        Group::Work,
        "Your business insured like your home",
        7_500_000,
        55,
    ),
    persona("new_mothers", "New mothers", Group::Family, "The first year, looked after", 6_100_000, 30),
    persona("officials", "Officials", Group::Work, "Add to what the state provides", 3_300_000, 60),
    persona("sudden_money", "People with sudden money", Group::Means, "Keep what came to you", 8_400_000, 8),
    persona(
        "long_lived_white_collars",
        "Long-lived families and white collars",
        Group::Health,
        "Plan for ninety, live today",
        4_100_000,
        90,
    ),
    persona("wealthy", "The wealthy", Group::Means, "Private cover, one person to call", 9_600_000, 15),
    persona(
        "childrens_savings",
        "Children's savings",
        Group::Family,
        "Their first thousand, on us",
        3_900_000,
        70,
    ),
    persona(
        "serious_illness",
        "Families near serious illness",
        Group::Health,
        "When it is close, be covered",
        6_800_000,
        20,
    ),
    persona("remarried", "Remarried families", Group::Family, "Two families, one policy", 4_700_000, 35),
    persona("hazardous_jobs", "Hazardous jobs", Group::Work, "Cover that climbs with you", 4_400_000, 45),
    persona("comfortable", "Comfortable households", Group::Means, "Well off, well insured", 2_900_000, 160),
];

const fn persona(
    key: &'static str,
    name: &'static str,
    group: Group,
    message: &'static str,
    bid: i64,
    per_mille: u64,
) -> Persona {
    Persona { key, name, group, message, bid, per_mille }
}

impl Persona {
    /// Whether it touches health or family, so that membership needs explicit consent.
    pub fn is_sensitive(&self) -> bool {
        matches!(self.group, Group::Family | Group::Health)
    }
}

/// The segment of the persona at a position of [`PERSONAS`].
pub fn segment(position: usize) -> SegmentId {
    SegmentId(10 + position as u32)
}

/// The cookie of a user.
pub fn cookie(user: u64) -> String {
    format!("demo-{:016x}", splitmix64(user))
}

/// The personas of a user: by the shares of [`PERSONAS`], each drawn on its own, none expiring. Those that are
/// sensitive carry explicit consent where the user's number is even.
pub fn memberships(user: u64) -> impl Iterator<Item = Membership> {
    let consent = user.is_multiple_of(2);
    PERSONAS.iter().enumerate().filter_map(move |(position, persona)| {
        let draw = splitmix64(user.wrapping_mul(64).wrapping_add(position as u64 + 1)) % 1_000;
        (draw < persona.per_mille).then(|| Membership {
            explicit_consent: consent && persona.is_sensitive(),
            ..Membership::of(segment(position))
        })
    })
}

/// The first user in exactly one persona, with or without explicit consent.
pub fn user_only_in(position: usize, consent: bool) -> Option<u64> {
    (0..USERS).filter(|user| user.is_multiple_of(2) == consent).find(|user| {
        let mut segments = memberships(*user).map(|m| m.segment);
        segments.next() == Some(segment(position)) && segments.next().is_none()
    })
}

/// The whole account.
pub fn account() -> Account {
    let mut rates = Rates::new(Currency::USD);
    for (code, nanos) in RATES {
        let currency = Currency::parse(code).expect("the table holds currency codes");
        rates.set(currency, Rate(nanos));
    }
    let mut creatives = Vec::new();
    let mut line_items = Vec::new();
    for (position, persona) in PERSONAS.iter().enumerate() {
        let id = LineItemId(position as u32 + 1);
        let sizes = [(300, 250), (728, 90), (320, 50), (160, 600)];
        let assigned = add_creatives(&mut creatives, persona.key, persona.message, &sizes);
        let segments = SegmentRule { any_of: vec![segment(position)], ..SegmentRule::default() };
        let targeting = Targeting { segments, ..Targeting::default() };
        let multipliers = Multipliers {
            channels: vec![(ChannelKind::App, 900_000)],
            sizes: vec![(Size { w: 728, h: 90 }, 1_100_000)],
            ..Multipliers::default()
        };
        line_items.push(line_item(id, persona.name, persona.bid, targeting, multipliers, assigned));
    }
    let assigned = add_creatives(&mut creatives, "everyone", "Insured in four minutes", &COMMON_SIZES);
    let catch_all = line_item(
        CATCH_ALL,
        "Everyone else",
        // Above the floor of two dollars that real traffic often asks, below what any persona is worth.
        2_100_000,
        Targeting::default(),
        Multipliers::default(),
        assigned,
    );
    line_items.push(LineItem { campaign: CampaignId(2), ..catch_all });
    line_items.extend(media::add(&mut creatives));
    Account {
        safety: Safety::default(),
        lists: Vec::new(),
        deals: Vec::new(),
        conversions: Vec::new(),
        pixels: Vec::new(),
        category_maps: Vec::new(),
        rates,
        exchanges: vec![exchange(1, "demo", 1), exchange(2, "demo2", 2)],
        advertisers: vec![Advertiser {
            frequency: Default::default(),
            id: AdvertiserId(1),
            name: "Harbour Mutual Insurance".to_owned(),
            currency: Currency::USD,
            time_zone: "America/New_York".to_owned(),
            wallet: units(50_000),
            data_fee: Cpm(150_000),
            platform_ppm: 50_000,
            active: true,
        }],
        campaigns: vec![
            campaign(1, "Moments of life", 20_000, 2_000),
            campaign(2, "Everyone", 20_000, 1_000),
            campaign(media::CAMPAIGN.0, "Beyond banners", 10_000, 1_000),
        ],
        line_items,
        creatives,
        segments: segments(),
    }
}

/// Sizes in pixels that the catch-all line item has a creative for: the common ones of web and apps.
const COMMON_SIZES: [(u16, u16); 36] = [
    (300, 250),
    (728, 90),
    (320, 50),
    (160, 600),
    (300, 600),
    (970, 250),
    (336, 280),
    (468, 60),
    (320, 100),
    (970, 90),
    (300, 50),
    (120, 600),
    (250, 250),
    (200, 200),
    (320, 480),
    (480, 320),
    (300, 100),
    (234, 60),
    (180, 150),
    (125, 125),
    (300, 1050),
    (640, 480),
    (320, 250),
    (300, 300),
    (600, 300),
    (300, 150),
    (728, 250),
    (980, 120),
    (980, 240),
    (360, 640),
    (375, 667),
    (320, 568),
    (768, 1024),
    (1024, 768),
    (1080, 1920),
    (1920, 1080),
];

/// US dollars, in nanos, for one unit; fixed, so that the demo replays.
const RATES: [(&str, i64); 10] = [
    ("EUR", 1_080_000_000),
    ("GBP", 1_270_000_000),
    ("JPY", 6_700_000),
    ("CHF", 1_130_000_000),
    ("CAD", 730_000_000),
    ("AUD", 660_000_000),
    ("SEK", 95_000_000),
    ("MXN", 54_000_000),
    ("BRL", 185_000_000),
    ("INR", 12_000_000),
];

fn units(amount: i64) -> Nanos {
    Nanos(amount * 1_000_000_000)
}

fn campaign(id: u32, name: &str, lifetime: i64, daily: i64) -> Campaign {
    Campaign {
        frequency: Default::default(),
        id: CampaignId(id),
        advertiser: AdvertiserId(1),
        name: name.to_owned(),
        budget: Budget { lifetime: Some(units(lifetime)), daily: Some(units(daily)) },
        flight: Flight::default(),
        active: true,
    }
}

/// A line item of the first campaign that bids at most twice its price.
pub(super) fn line_item(
    id: LineItemId,
    name: &str,
    bid: i64,
    targeting: Targeting,
    multipliers: Multipliers,
    creatives: Vec<CreativeAssignment>,
) -> LineItem {
    LineItem {
        frequency: Default::default(),
        strategy: Default::default(),
        pacing: Default::default(),
        conversions: Vec::new(),
        id,
        campaign: CampaignId(1),
        name: name.to_owned(),
        budget: Budget { lifetime: Some(units(10_000)), daily: Some(units(500)) },
        flight: Flight::default(),
        active: true,
        bid: Cpm(bid),
        max_bid: Cpm(bid * 2),
        min_bid: Cpm(0),
        shading: false,
        multipliers,
        targeting,
        creatives,
    }
}

/// A creative per size, with ids counted on.
fn add_creatives(
    creatives: &mut Vec<Creative>,
    key: &str,
    message: &str,
    sizes: &[(u16, u16)],
) -> Vec<CreativeAssignment> {
    let mut assigned = Vec::with_capacity(sizes.len());
    for (w, h) in sizes {
        let id = CreativeId(creatives.len() as u32 + 1);
        creatives.push(creative(id, key, message, Size { w: *w, h: *h }));
        assigned.push(CreativeAssignment { creative: id, weight: 1, when: Condition::default() });
    }
    assigned
}

fn creative(id: CreativeId, key: &str, message: &str, size: Size) -> Creative {
    let markup = format!(
        "<a href=\"{{{{CLICK_URL}}}}\" target=\"_blank\" rel=\"noopener\">\
         <img src=\"https://cdn.{SITE}/{key}/{size}.png?c={{{{CACHEBUSTER}}}}\" width=\"{{{{WIDTH}}}}\" \
         height=\"{{{{HEIGHT}}}}\" alt=\"{message}\" style=\"border:0\"></a>\
         <img src=\"{{{{IMPRESSION_URL}}}}\" width=\"1\" height=\"1\" alt=\"\">"
    );
    let banner = BannerAd { size, markup, banner_type: 2, expands: Vec::new() };
    creative_of(id, format!("{key} {size}"), key, Content::Banner(banner))
}

/// A creative of the insurer that leads to its page of this key.
pub(super) fn creative_of(id: CreativeId, name: String, key: &str, content: Content) -> Creative {
    Creative {
        frequency: Default::default(),
        id,
        advertiser: AdvertiserId(1),
        name,
        content,
        click_url: format!("https://www.{SITE}/{key}"),
        landing_domains: vec![format!("www.{SITE}")],
        adomain: vec![SITE.to_owned()],
        categories: vec!["IAB13-6".to_owned()],
        cattax: 1,
        attributes: Vec::new(),
        api: None,
        language: Some("en".to_owned()),
        bundle: None,
        secure: true,
        approvals: Approvals::default(),
        transparency: None,
    }
}

fn exchange(id: u16, name: &str, at: i64) -> ExchangeProfile {
    ExchangeProfile {
        id: ExchangeId(id),
        name: name.to_owned(),
        auth: ExchangeAuth::LoopbackOnly,
        seat: "harbour".to_owned(),
        currency: Currency::USD,
        price_codec: PriceCodec::Plain,
        price_unit: PriceUnit::Cpm,
        billing_event: BillingEvent::Burl,
        burl_in_browser: false,
        missing_price: MissingPrice::Bid,
        default_at: at,
        default_tmax_ms: 120,
        max_tmax_ms: 1_000,
        network_margin_ms: 0,
        holds: HoldLives::default(),
        max_multiplier_ppm: 100 * PPM,
        max_cpm: Cpm(50_000_000),
        max_qps: None,
        max_open_holds: None,
        house: HouseRules::LOOPBACK,
        max_adm_bytes: 65_536,
        max_url_bytes: 2_048,
        send_nbr: false,
        send_lurl: true,
        seller_system: None,
        open_bids: 1,
        eid_sources: vec!["harbour-mutual.example".to_owned()],
        match_user_id: false,
        gdpr_default: GdprDefault::Applies,
        sync_url: None,
        sync_domains: Vec::new(),
    }
}

/// The classification tree: persona → group → persona. Family and health are sensitive, and so is all below them.
fn segments() -> Vec<Segment> {
    let node = |id: u32, key: String, name: &str, parent: Option<u32>, sensitive: bool| Segment {
        id: SegmentId(id),
        key,
        name: name.to_owned(),
        parent: parent.map(SegmentId),
        sensitive,
        ..Segment::default()
    };
    let mut segments = vec![node(1, "persona".to_owned(), "Persona", None, false)];
    for (position, (group, key, name)) in Group::ALL.iter().enumerate() {
        let sensitive = matches!(group, Group::Family | Group::Health);
        segments.push(node(2 + position as u32, format!("persona.{key}"), name, Some(1), sensitive));
    }
    for (position, persona) in PERSONAS.iter().enumerate() {
        let group = Group::ALL.iter().position(|(group, ..)| *group == persona.group).unwrap_or(0);
        let key = format!("persona.{}.{}", Group::ALL[group].1, persona.key);
        segments.push(node(
            segment(position).0,
            key,
            persona.name,
            Some(2 + group as u32),
            persona.is_sensitive(),
        ));
    }
    segments
}
