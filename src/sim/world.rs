//! A small world: a few exchanges of different manners, advertisers in different currencies and zones, line items
//! whose budgets last for some bids only, and requests that they meet in.

use super::dice::Dice;
use super::plan::{Plan, Trouble};
use crate::audience::{AudienceIndex, IdKey};
use crate::engine::{Catalog, Settings, Snapshot};
use crate::exchange::{TokenKey, TokenKeys, compile_markup};
use crate::model::account::Account;
use crate::model::auction::Size;
use crate::model::creative::{Approvals, BannerAd, Content, Creative};
use crate::model::exchange::{
    BillingEvent, ExchangeAuth, ExchangeProfile, GdprDefault, HoldLives, HouseRules, MissingPrice,
    PriceCodec, PriceUnit,
};
use crate::model::ids::{AdvertiserId, CampaignId, CreativeId, ExchangeId, LineItemId};
use crate::model::line_item::{
    Advertiser, Budget, Campaign, Condition, CreativeAssignment, Flight, LineItem, Multipliers, Predicts,
    Strategy,
};
use crate::model::money::{Cpm, Currency, Nanos, PPM};
use crate::model::rates::{Rate, Rates};
use crate::model::safety::Safety;
use crate::model::targeting::{Rule, Targeting};
use std::sync::Arc;

const SIZES: [Size; 2] = [Size { w: 300, h: 250 }, Size { w: 728, h: 90 }];
const DOMAINS: [&str; 3] = ["news.example", "blog.example", "shop.example"];
pub(super) const ZONES: [&str; 6] = [
    "UTC",
    "America/New_York",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
];
/// Bids of most line items, CPM micros of dollars: also nanos of one impression.
const BID: i64 = 1_000_000;

/// How the exchange itself behaves; the profile is what we know of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manners {
    /// Bids that win, of a hundred.
    pub(super) wins: u64,
    /// Wins that are shown and billed, of a hundred.
    pub(super) shows: u64,
    /// Clears at the bid.
    pub(super) first_price: bool,
    /// Mean time from the bid to the bill, in milliseconds.
    pub(super) bill_ms: u64,
    /// Notices that get lost on the way, of a hundred.
    pub(super) loses: u64,
    /// How often it sends a notice again that was not answered with 2xx.
    pub(super) retries: u32,
    /// Bills with a price that makes no sense, of a thousand.
    pub(super) odd: u64,
}

/// See the module.
pub(super) struct World {
    pub(super) snapshot: Snapshot,
    pub(super) rates: Arc<Rates>,
    pub(super) audience: AudienceIndex,
    pub(super) id_key: IdKey,
    pub(super) settings: Settings,
    pub(super) keys: TokenKeys,
    /// By the position of the profile in the catalog.
    pub(super) manners: Vec<Manners>,
    /// Requests as exchanges send them.
    pub(super) bodies: Vec<Vec<u8>>,
}

impl World {
    pub(super) fn new(plan: &Plan) -> World {
        let dice = &mut Dice::new(plan.seed, 2);
        let exchanges: Vec<ExchangeProfile> =
            (1..=1 + dice.below(3) as u16).map(|id| exchange(dice, id)).collect();
        let manners = exchanges.iter().map(|_| manners(dice, plan)).collect();
        let advertisers: Vec<Advertiser> =
            (1..=1 + dice.below(3) as u32).map(|id| advertiser(dice, plan, id)).collect();
        let campaigns: Vec<Campaign> = (1..=1 + dice.below(4) as u32)
            .map(|id| {
                let owner = dice.one(&advertisers);
                campaign(dice, id, &owner)
            })
            .collect();
        let priced = &mut Dice::new(plan.seed, 6);
        let line_items: Vec<LineItem> = (1..=1 + dice.below(8) as u32)
            .map(|id| {
                let campaign = dice.one(&campaigns);
                let item = line_item(dice, id, &campaign, &advertisers, exchanges.len() as u16);
                with_goal(priced, item)
            })
            .collect();
        let creatives = advertisers.iter().flat_map(|a| creatives(a.id)).collect();
        let rates = rates();
        let account = Account {
            rates: rates.clone(),
            exchanges,
            advertisers,
            campaigns,
            line_items,
            creatives,
            segments: Vec::new(),
            safety: Safety::default(),
            lists: Vec::new(),
            deals: Vec::new(),
            conversions: Vec::new(),
            pixels: Vec::new(),
            category_maps: Vec::new(),
        };
        let catalog =
            Catalog::compile(account, 1, &compile_markup).expect("the world names only what it has");
        let rates = Arc::new(rates);
        World {
            snapshot: Snapshot {
                catalog: Arc::new(catalog),
                rates: Arc::clone(&rates),
                learned: Arc::default(),
            },
            rates,
            audience: AudienceIndex::default(),
            id_key: IdKey([7; 16]),
            settings: Settings {
                seed: plan.seed,
                tracking_is_https: true,
                max_candidates: 64,
                max_charge: Nanos(i64::MAX),
                max_cpm: Cpm::MAX,
                privacy: crate::privacy::Policy::default(),
            },
            keys: TokenKeys::new(&TokenKey { id: 1, secret: [9; 32] }, &[]).expect("one key has one id"),
            manners,
            bodies: (0..24).map(|number| body(dice, number)).collect(),
        }
    }

    /// The profiles, in the order of the catalog.
    pub(super) fn exchanges(&self) -> &[ExchangeProfile] {
        self.snapshot.catalog.exchanges()
    }

    /// Where an exchange stands in the catalog.
    pub(super) fn position(&self, exchange: ExchangeId) -> usize {
        self.exchanges().iter().position(|profile| profile.id == exchange).expect("it was sent a bid")
    }
}

fn currency(code: &str) -> Currency {
    Currency::parse(code).expect("three letters")
}

fn rates() -> Rates {
    let mut rates = Rates::new(Currency::USD);
    let set = rates.set(currency("EUR"), Rate(1_083_000_001)) && rates.set(currency("JPY"), Rate(6_700_000));
    assert!(set, "rates are positive and not of the base");
    rates
}

fn exchange(dice: &mut Dice, id: u16) -> ExchangeProfile {
    let usd = dice.percent(60);
    let public = dice.percent(20);
    let web_banner_s = dice.one(&[3, 8, 20, 70]);
    let house = HouseRules {
        first_trust: dice.percent(60).then(|| Nanos(dice.within(5, 60) * BID)),
        day_max: dice.percent(60).then(|| Nanos(dice.within(2, 60) * BID)),
        deaf_check: dice.percent(80),
    };
    ExchangeProfile {
        id: ExchangeId(id),
        name: format!("x{id}"),
        auth: ExchangeAuth::LoopbackOnly,
        seat: "seat".to_owned(),
        currency: if usd { Currency::USD } else { currency("EUR") },
        price_codec: PriceCodec::Plain,
        price_unit: dice.one(&[PriceUnit::Cpm, PriceUnit::Cpm, PriceUnit::CpmMicros, PriceUnit::CpiMicros]),
        billing_event: dice.one(&[BillingEvent::Burl, BillingEvent::Burl, BillingEvent::Nurl]),
        burl_in_browser: public,
        missing_price: dice.one(&[MissingPrice::Bid, MissingPrice::Reject]),
        default_at: 1 + i64::from(id % 2),
        default_tmax_ms: 100,
        max_tmax_ms: 1_000,
        network_margin_ms: 20,
        holds: HoldLives {
            web_banner_s,
            app_banner_s: 2 * web_banner_s,
            app_interstitial_s: 3 * web_banner_s,
            video_s: web_banner_s,
            grace_s: dice.one(&[0, 2, 10]),
            max_s: 3 * web_banner_s + dice.one(&[10, 30]),
        },
        max_multiplier_ppm: 10 * PPM,
        max_cpm: Cpm(100 * PPM),
        max_qps: None,
        max_open_holds: None,
        house,
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

fn manners(dice: &mut Dice, plan: &Plan) -> Manners {
    Manners {
        wins: dice.one(&[30, 60, 90]),
        shows: dice.one(&[70, 95, 100]),
        first_price: dice.percent(40),
        bill_ms: dice.one(&[300, 1_500, 4_000, 12_000]),
        loses: dice.one(&[0, 0, 3, 15]),
        retries: dice.one(&[0, 3, 10, 40]),
        odd: if plan.has(Trouble::OddPrice) { dice.one(&[10, 50, 200]) } else { 0 },
    }
}

fn advertiser(dice: &mut Dice, plan: &Plan, id: u32) -> Advertiser {
    let currency = currency(dice.one(&["USD", "USD", "EUR", "JPY"]));
    Advertiser {
        frequency: Default::default(),
        id: AdvertiserId(id),
        name: format!("advertiser {id}"),
        currency,
        time_zone: if id == 1 { plan.zone } else { dice.one(&ZONES) }.to_owned(),
        wallet: Nanos(amount(dice, currency, 3_000)),
        data_fee: Cpm(dice.one(&[0, 0, 33_333]) * scale(currency)),
        platform_ppm: dice.one(&[0, 0, 70_001]),
        active: true,
    }
}

/// What a dollar's worth of nanos is in another currency, about.
fn scale(currency: Currency) -> i64 {
    if currency.as_str() == "JPY" { 150 } else { 1 }
}

/// From nothing over the price of a few bids to the price of `most`.
pub(super) fn amount(dice: &mut Dice, currency: Currency, most: i64) -> i64 {
    let holds = match dice.below(24) {
        0 => 0,
        1 => dice.within(1, 4),
        2..8 => dice.within(5, most / 10 + 5),
        _ => dice.within(most / 10, most),
    };
    // Odd amounts, so that something is always left over.
    (holds * BID + dice.below(BID as u64) as i64) * scale(currency)
}

/// A budget with or without limits.
pub(super) fn budget(dice: &mut Dice, currency: Currency, most: i64) -> Budget {
    let mut limit = |percent, most| dice.percent(percent).then(|| Nanos(amount(dice, currency, most)));
    Budget { lifetime: limit(50, most), daily: limit(60, most / 2) }
}

fn campaign(dice: &mut Dice, id: u32, owner: &Advertiser) -> Campaign {
    Campaign {
        frequency: Default::default(),
        id: CampaignId(id),
        advertiser: owner.id,
        name: format!("campaign {id}"),
        budget: budget(dice, owner.currency, 2_000),
        flight: Flight::default(),
        active: true,
    }
}

fn line_item(
    dice: &mut Dice,
    id: u32,
    campaign: &Campaign,
    advertisers: &[Advertiser],
    exchanges: u16,
) -> LineItem {
    let owner = advertisers.iter().find(|a| a.id == campaign.advertiser).expect("campaigns have owners");
    let bid = Cpm((BID / 4 * dice.within(1, 8) + dice.one(&[0, 1, 77])) * scale(owner.currency));
    let mut targeting = Targeting::default();
    if dice.percent(25) {
        targeting.exchanges.include.push(ExchangeId(dice.within(1, i64::from(exchanges)) as u16));
    }
    if dice.percent(40) {
        let include = vec![dice.one(&DOMAINS).to_owned()];
        targeting.domains = Rule { include, exclude: Vec::new() };
    }
    let first = CreativeId(campaign.advertiser.0 * 10);
    let assigned = match dice.below(3) {
        0 => vec![first],
        1 => vec![CreativeId(first.0 + 1)],
        _ => vec![first, CreativeId(first.0 + 1)],
    };
    LineItem {
        frequency: Default::default(),
        strategy: Default::default(),
        pacing: Default::default(),
        conversions: Vec::new(),
        id: LineItemId(id),
        campaign: campaign.id,
        name: format!("line item {id}"),
        budget: budget(dice, owner.currency, 1_000),
        flight: Flight::default(),
        active: true,
        bid,
        max_bid: bid,
        min_bid: Cpm(0),
        shading: false,
        multipliers: Multipliers::default(),
        targeting,
        creatives: assigned
            .into_iter()
            .map(|creative| CreativeAssignment { creative, weight: 1, when: Condition::default() })
            .collect(),
    }
}

/// The same line item, its price found in one of all ways. What rests on predictions begins at the same price as long as
/// nothing is known.
fn with_goal(dice: &mut Dice, item: LineItem) -> LineItem {
    let strategy = dice.one(&[
        Strategy::FixedCpm,
        Strategy::FixedCpm,
        Strategy::MaxCpm,
        Strategy::MaxCpc,
        Strategy::MaxClicks,
        Strategy::TargetCpa,
    ]);
    let times = match strategy.predicts() {
        Predicts::Nothing => 1,
        Predicts::Clicks => 1_000,
        Predicts::Conversions => 100_000,
    };
    LineItem {
        strategy,
        bid: Cpm(item.bid.0 * times),
        max_bid: Cpm(item.max_bid.0 * dice.within(1, 3)),
        min_bid: Cpm(dice.one(&[0, 0, item.bid.0 / 4])),
        shading: true,
        ..item
    }
}

fn creatives(owner: AdvertiserId) -> impl Iterator<Item = Creative> {
    SIZES.into_iter().zip(0..).map(move |(size, nth)| Creative {
        frequency: Default::default(),
        id: CreativeId(owner.0 * 10 + nth),
        advertiser: owner,
        name: String::new(),
        content: Content::Banner(BannerAd {
            size,
            markup: "<a href=\"{{CLICK_URL}}\"><img src=\"https://cdn.example/1.png\"></a>".to_owned(),
            banner_type: 2,
            expands: Vec::new(),
        }),
        click_url: "https://brand.example/".to_owned(),
        landing_domains: vec!["brand.example".to_owned()],
        adomain: vec!["brand.example".to_owned()],
        categories: Vec::new(),
        cattax: 1,
        attributes: Vec::new(),
        api: None,
        language: None,
        bundle: None,
        secure: true,
        approvals: Approvals::default(),
        transparency: None,
    })
}

/// A request for one to three impressions; one in twelve is a test.
fn body(dice: &mut Dice, number: usize) -> Vec<u8> {
    let imps: Vec<String> = (0..dice.one(&[1, 1, 2, 3]))
        .map(|imp| {
            let Size { w, h } = dice.one(&SIZES);
            let quantity = match dice.below(6) {
                0 => r#","qty":{"multiplier":2.5,"sourcetype":1}"#,
                _ => "",
            };
            let exp = if dice.percent(20) { r#","exp":9"# } else { "" };
            format!(r#"{{"id":"{imp}","banner":{{"w":{w},"h":{h}}},"bidfloor":0.01{quantity}{exp}}}"#)
        })
        .collect();
    let place = match dice.below(4) {
        0 => r#""app":{"bundle":"com.game.example"}"#.to_owned(),
        _ => format!(r#""site":{{"domain":"{}"}}"#, dice.one(&DOMAINS)),
    };
    let test = if number % 12 == 11 { r#","test":1"# } else { "" };
    let currencies = dice.one(&[r#","cur":["USD","EUR"]"#, r#","cur":["EUR"]"#, ""]);
    format!(r#"{{"id":"r{number}","imp":[{}],{place},"at":1{test}{currencies}}}"#, imps.join(","))
        .into_bytes()
}
