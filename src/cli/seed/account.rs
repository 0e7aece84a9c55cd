//! The account of the measuring world: one exchange, advertisers with deep but finite wallets, campaigns of ten line
//! items each.

use super::dice::Dice;
use super::targeting::Targets;
use super::{WorldParams, audience, creatives, facts, pricing};
use crate::model::account::Account;
use crate::model::country::Country;
use crate::model::creative::Creative;
use crate::model::exchange::{
    BillingEvent, ExchangeAuth, ExchangeProfile, GdprDefault, HoldLives, HouseRules, MissingPrice,
    PriceCodec, PriceUnit,
};
use crate::model::ids::{AdvertiserId, CampaignId, ExchangeId, LineItemId, SegmentId};
use crate::model::line_item::{
    Advertiser, Budget, Campaign, ChannelKind, Condition, CreativeAssignment, Flight, LineItem, Multipliers,
};
use crate::model::money::{Cpm, Currency, Nanos, PPM};
use crate::model::rates::Rates;
use crate::model::safety::Safety;
use crate::model::targeting::HourMask;

/// Line items of a campaign.
const LINE_ITEMS_PER_CAMPAIGN: u32 = 10;

/// Campaigns of an advertiser.
const CAMPAIGNS_PER_ADVERTISER: u32 = 10;

/// Creatives that a line item rotates at most.
const CREATIVES_PER_LINE_ITEM: usize = 4;

/// Kind of the random stream.
const STREAM: u64 = u64::from_be_bytes(*b"accounts");

/// Money that no measuring run exhausts although its bids are never billed and hold their charge until they expire:
/// 100,000 bids a second at 0.01 USD for 310 s are 310,000 USD over all advertisers together. Finite, and the sum over
/// the 10,000 advertisers of the largest world stays within an `i64` of nanos.
const WALLET_USD: i64 = 400_000;

/// The account for checked parameters: the exchange `load`, and everything that it can be sold.
pub fn account(params: &WorldParams) -> Account {
    let campaign_count = params.line_items.div_ceil(LINE_ITEMS_PER_CAMPAIGN);
    let targets = Targets::new(params);
    let (mut line_items, mut all_creatives) = (Vec::new(), Vec::new());
    for number in 1..=campaign_count {
        let mut dice = Dice::new(params.seed, STREAM, u64::from(number));
        let first = all_creatives.len() as u32 + 1;
        let own = creatives::for_campaign(advertiser_of(number), first, &mut dice);
        let from = (number - 1) * LINE_ITEMS_PER_CAMPAIGN + 1;
        let to = (from + LINE_ITEMS_PER_CAMPAIGN).min(params.line_items + 1);
        line_items.extend((from..to).map(|id| line_item(id, number, &own, &targets, &mut dice)));
        all_creatives.extend(own);
    }
    let mut account = Account {
        safety: Safety::default(),
        lists: Vec::new(),
        deals: Vec::new(),
        conversions: Vec::new(),
        pixels: Vec::new(),
        category_maps: Vec::new(),
        rates: Rates::new(Currency::USD),
        exchanges: vec![exchange()],
        advertisers: (1..=campaign_count.div_ceil(CAMPAIGNS_PER_ADVERTISER)).map(advertiser).collect(),
        campaigns: (1..=campaign_count).map(campaign).collect(),
        line_items,
        creatives: all_creatives,
        segments: audience::segments(params),
    };
    if params.pricing {
        pricing::apply(&mut account, params.seed);
    }
    account
}

/// First price, US dollars, plain CPM, no secret: only for a listener on loopback, and without a binding cap.
fn exchange() -> ExchangeProfile {
    ExchangeProfile {
        id: ExchangeId(1),
        name: facts::EXCHANGE.to_owned(),
        auth: ExchangeAuth::LoopbackOnly,
        seat: "outbid".to_owned(),
        currency: Currency::USD,
        price_codec: PriceCodec::Plain,
        price_unit: PriceUnit::Cpm,
        billing_event: BillingEvent::Burl,
        burl_in_browser: false,
        missing_price: MissingPrice::Bid,
        default_at: 1,
        default_tmax_ms: 150,
        max_tmax_ms: 1_000,
        network_margin_ms: 20,
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
        eid_sources: Vec::new(),
        match_user_id: false,
        gdpr_default: GdprDefault::Applies,
        sync_url: None,
        sync_domains: Vec::new(),
    }
}

fn usd(amount: i64) -> Nanos {
    Nanos(amount * 1_000_000_000)
}

fn advertiser(number: u32) -> Advertiser {
    Advertiser {
        frequency: Default::default(),
        id: AdvertiserId(number),
        name: format!("Brand {number}"),
        currency: Currency::USD,
        time_zone: "America/New_York".to_owned(),
        wallet: usd(WALLET_USD),
        data_fee: Cpm(if number.is_multiple_of(4) { 250_000 } else { 0 }),
        platform_ppm: 100_000,
        active: true,
    }
}

fn advertiser_of(campaign: u32) -> AdvertiserId {
    AdvertiserId((campaign - 1) / CAMPAIGNS_PER_ADVERTISER + 1)
}

fn campaign(number: u32) -> Campaign {
    Campaign {
        frequency: Default::default(),
        id: CampaignId(number),
        advertiser: advertiser_of(number),
        name: format!("Campaign {number}"),
        budget: Budget { lifetime: Some(usd(WALLET_USD)), daily: Some(usd(WALLET_USD / 2)) },
        flight: FLIGHT,
        active: true,
    }
}

/// 2020 to 2100: always on, but a bound to check.
const FLIGHT: Flight = Flight { start_ms: Some(1_577_836_800_000), end_ms: Some(4_102_444_800_000) };

fn line_item(id: u32, campaign: u32, own: &[Creative], targets: &Targets, d: &mut Dice) -> LineItem {
    // 0.80 to 6.00 USD CPM in cents, low prices more often than high ones.
    let cents = 80 + d.below(521).min(d.below(521));
    let bid = Cpm(cents as i64 * 10_000);
    let first = d.below(own.len() as u64) as usize;
    let rotation = own.iter().cycle().skip(first).take(own.len().min(CREATIVES_PER_LINE_ITEM));
    let creatives = rotation
        .map(|creative| CreativeAssignment {
            creative: creative.id,
            weight: 1 + d.below(4) as u32,
            when: Condition::default(),
        })
        .collect();
    let targeting = targets.draw(d);
    LineItem {
        frequency: Default::default(),
        strategy: Default::default(),
        pacing: Default::default(),
        conversions: Vec::new(),
        id: LineItemId(id),
        campaign: CampaignId(campaign),
        name: format!("Line item {id}"),
        budget: Budget { lifetime: Some(usd(WALLET_USD / 2)), daily: Some(usd(WALLET_USD / 4)) },
        flight: FLIGHT,
        active: true,
        bid,
        max_bid: bid.scale_ppm(2 * PPM),
        min_bid: Cpm(0),
        shading: false,
        multipliers: multipliers(&targeting.segments.any_of, d),
        targeting,
        creatives,
    }
}

/// Four line items in ten have a price by audience, place, device, channel or hour. None excludes: that is targeting.
fn multipliers(audience: &[SegmentId], d: &mut Dice) -> Multipliers {
    let mut multipliers = Multipliers::default();
    if !d.chance(400) {
        return multipliers;
    }
    let factor = |d: &mut Dice| 700_000 + d.below(61) as i64 * 10_000;
    match d.below(5) {
        0 => multipliers.segments = audience.iter().map(|segment| (*segment, factor(d))).collect(),
        1 => {
            let countries = ["US", "CA"].map(|code| Country::parse(code).expect("both are in ISO 3166-1"));
            multipliers.countries = countries.map(|country| (country, factor(d))).to_vec();
        }
        2 => multipliers.device_types = [2, 4, 5].map(|device| (device, factor(d))).to_vec(),
        3 => {
            multipliers.channels =
                [ChannelKind::Site, ChannelKind::App].map(|kind| (kind, factor(d))).to_vec()
        }
        _ => {
            let mut evenings = HourMask::NONE;
            (0..7).flat_map(|day| (18..23).map(move |hour| day * 24 + hour)).for_each(|h| evenings.insert(h));
            multipliers.hours = vec![(evenings, factor(d))];
        }
    }
    multipliers
}
