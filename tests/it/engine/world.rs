//! Random accounts from small pools, so that line items and requests often meet, and what a decision needs beside one.

use outbid::audience::{AudienceIndex, Builder, IdKey, Membership};
use outbid::budget::Ledger;
use outbid::engine::{Catalog, Settings, Snapshot};
use outbid::exchange::{PublicUrl, TokenKey, TokenKeys, compile_markup};
use outbid::model::account::Account;
use outbid::model::auction::Size;
use outbid::model::behaviour::{Customers, Source, Tier};
use outbid::model::clock::Now;
use outbid::model::country::Country;
use outbid::model::creative::{Approval, Approvals, BannerAd, Content, Creative};
use outbid::model::exchange::{
    BillingEvent, ExchangeAuth, ExchangeProfile, GdprDefault, HoldLives, HouseRules, MissingPrice,
    PriceCodec, PriceUnit,
};
use outbid::model::ids::{AdvertiserId, CampaignId, CreativeId, ExchangeId, LineItemId, SegmentId};
use outbid::model::line_item::{
    Advertiser, Budget, Campaign, ChannelKind, Condition, CreativeAssignment, Flight, LineItem, Multipliers,
    Strategy,
};
use outbid::model::money::{Cpm, Currency, Nanos};
use outbid::model::rates::{Rate, Rates};
use outbid::model::safety::Safety;
use outbid::model::targeting::{Daypart, HourMask, Rule, SegmentRule, Targeting};
use outbid::model::taxonomy::Segment;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const SIZES: [Size; 3] = [Size { w: 300, h: 250 }, Size { w: 728, h: 90 }, Size { w: 320, h: 50 }];
pub(crate) const DEALS: [&str; 3] = ["d1", "d2", "D2"];
pub(crate) const USERS: [&str; 6] = ["u0", "u1", "u2", "u3", "u4", "stranger"];
/// Wednesday 2026-05-06, 12:00 UTC: no zone of the pool is near midnight.
pub(crate) const NOON: Now = Now { mono_ns: 5_000_000_000_000, unix_ms: 1_778_068_800_000 };
const ZONES: [&str; 3] = ["UTC", "Europe/Berlin", "America/New_York"];

pub(crate) fn currency(code: &str) -> Currency {
    Currency::parse(code).unwrap()
}

pub(crate) fn country(code: &str) -> Country {
    Country::parse(code).unwrap()
}

/// Draws, repeatable by seed.
pub(crate) struct Dice(StdRng);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(StdRng::seed_from_u64(seed))
    }

    pub(crate) fn chance(&mut self, one_in: u32) -> bool {
        self.0.random_ratio(1, one_in)
    }

    pub(crate) fn one<T: Clone>(&mut self, pool: &[T]) -> T {
        pool.choose(&mut self.0).expect("pools are not empty").clone()
    }

    /// Up to `most` of a pool, with repetitions.
    pub(crate) fn some<T: Clone>(&mut self, pool: &[T], most: usize) -> Vec<T> {
        (0..self.up_to(most)).map(|_| self.one(pool)).collect()
    }

    pub(crate) fn up_to(&mut self, most: usize) -> usize {
        self.0.random_range(0..=most)
    }

    pub(crate) fn within(&mut self, range: std::ops::Range<i64>) -> i64 {
        self.0.random_range(range)
    }

    fn rule<T: Clone>(&mut self, pool: &[T], one_in: u32) -> Rule<T> {
        let include = if self.chance(one_in) { self.some(pool, 3) } else { Vec::new() };
        let exclude = if self.chance(3 * one_in) { self.some(pool, 1) } else { Vec::new() };
        Rule { include, exclude }
    }

    fn texts(&mut self, pool: &[&str], one_in: u32) -> Rule<String> {
        let Rule { include, exclude } = self.rule(pool, one_in);
        let owned = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect();
        Rule { include: owned(include), exclude: owned(exclude) }
    }
}

/// Everything that a decision reads.
pub(crate) struct World {
    pub(crate) account: Account,
    pub(crate) snapshot: Snapshot,
    pub(crate) audience: AudienceIndex,
    pub(crate) id_key: IdKey,
    /// What the audience was made of: cookie → memberships.
    pub(crate) members: BTreeMap<&'static str, Vec<Membership>>,
    pub(crate) settings: Settings,
    pub(crate) keys: TokenKeys,
    pub(crate) urls: PublicUrl,
}

impl World {
    /// A world around an account.
    pub(crate) fn of(account: Account, members: BTreeMap<&'static str, Vec<Membership>>) -> World {
        let catalog = Arc::new(Catalog::compile(account.clone(), 1, &compile_markup).unwrap());
        let rates = Arc::new(account.rates.clone());
        let id_key = IdKey([3; 16]);
        let mut builder = Builder::default();
        for (cookie, memberships) in &members {
            builder.push(id_key.cookie(cookie), memberships.iter().copied()).unwrap();
        }
        World {
            account,
            snapshot: Snapshot { catalog, rates, learned: Arc::default() },
            audience: builder.finish().unwrap(),
            id_key,
            members,
            settings: Settings {
                seed: 7,
                tracking_is_https: true,
                max_candidates: 256,
                max_charge: Nanos(i64::MAX),
                max_cpm: Cpm::MAX,
                privacy: outbid::privacy::Policy::default(),
            },
            keys: TokenKeys::new(&TokenKey { id: 1, secret: [7; 32] }, &[]).unwrap(),
            urls: PublicUrl::parse("https://track.example").unwrap(),
        }
    }

    /// A random one with up to `line_items` line items.
    pub(crate) fn random(dice: &mut Dice, line_items: usize) -> World {
        let mut world = World::of(dice.account(line_items), dice.members());
        world.settings.tracking_is_https = !dice.chance(8);
        world
    }

    /// One advertiser with a full wallet in dollars, one campaign, and the exchange `test`; whatever a test needs goes
    /// on top.
    pub(crate) fn small(change: impl FnOnce(&mut Account)) -> World {
        let mut account = Account {
            rates: rates(),
            exchanges: vec![profile(1)],
            advertisers: vec![advertiser(1)],
            campaigns: vec![campaign(1, 1)],
            line_items: vec![line_item(1, 1, 2_000_000)],
            creatives: vec![creative(1, 1)],
            segments: segments(),
            safety: Safety::default(),
            lists: Vec::new(),
            deals: Vec::new(),
            conversions: Vec::new(),
            pixels: Vec::new(),
            category_maps: Vec::new(),
        };
        change(&mut account);
        World::of(account, BTreeMap::new())
    }

    /// Fresh books of the account's budgets.
    pub(crate) fn ledger(&self) -> Arc<Ledger> {
        let ledger = Arc::new(Ledger::in_memory(9, 2, NOON));
        ledger.configure(self.snapshot.catalog.funding().collect(), NOON).unwrap();
        ledger
    }

    /// The profile of the exchange with this id.
    pub(crate) fn profile(&self, id: u16) -> &ExchangeProfile {
        self.snapshot.catalog.exchange_by_id(ExchangeId(id)).expect("the exchange exists")
    }
}

/// One euro is 1.08 dollars, one yen 0.0067; pounds have no rate.
pub(crate) fn rates() -> Rates {
    let mut rates = Rates::new(Currency::USD);
    assert!(rates.set(currency("EUR"), Rate(1_080_000_000)) && rates.set(currency("JPY"), Rate(6_700_000)));
    rates
}

/// 1 → {2, 3}, 4, 5; 3 is sensitive, 5 has the loyal customers of advertiser 1.
fn segments() -> Vec<Segment> {
    [(1, None), (2, Some(1)), (3, Some(1)), (4, None), (5, None)].map(segment).to_vec()
}

const LOYAL: Customers =
    Customers { advertiser: AdvertiserId(1), tier: Tier::Loyal, recent_s: 86_400, lost_s: 864_000 };

fn segment((id, parent): (u32, Option<u32>)) -> Segment {
    let (key, name) = (format!("s{id}"), String::new());
    Segment {
        id: SegmentId(id),
        key,
        name,
        parent: parent.map(SegmentId),
        sensitive: id == 3,
        source: if id == 5 { Source::Customers(LOYAL) } else { Source::Listed },
        ..Segment::default()
    }
}

pub(crate) fn profile(id: u16) -> ExchangeProfile {
    ExchangeProfile {
        id: ExchangeId(id),
        name: format!("x{id}"),
        auth: ExchangeAuth::LoopbackOnly,
        seat: format!("seat-{id}"),
        currency: Currency::USD,
        price_codec: PriceCodec::Plain,
        price_unit: PriceUnit::Cpm,
        billing_event: BillingEvent::Burl,
        missing_price: MissingPrice::Bid,
        default_at: 2,
        default_tmax_ms: 100,
        max_tmax_ms: 1_000,
        network_margin_ms: 20,
        holds: HoldLives::default(),
        max_multiplier_ppm: 10_000_000,
        max_cpm: Cpm(100_000_000),
        max_qps: None,
        max_open_holds: None,
        house: HouseRules::LOOPBACK,
        max_adm_bytes: 65_536,
        max_url_bytes: 2_048,
        send_nbr: false,
        send_lurl: true,
        burl_in_browser: false,
        seller_system: None,
        open_bids: 1,
        eid_sources: Vec::new(),
        match_user_id: false,
        gdpr_default: GdprDefault::Applies,
        sync_url: None,
        sync_domains: Vec::new(),
    }
}

pub(crate) fn advertiser(id: u32) -> Advertiser {
    Advertiser {
        frequency: Default::default(),
        id: AdvertiserId(id),
        name: format!("advertiser {id}"),
        currency: Currency::USD,
        time_zone: "UTC".to_owned(),
        wallet: Nanos(1_000_000_000_000),
        data_fee: Cpm(0),
        platform_ppm: 0,
        active: true,
    }
}

pub(crate) fn campaign(id: u32, advertiser: u32) -> Campaign {
    Campaign {
        frequency: Default::default(),
        id: CampaignId(id),
        advertiser: AdvertiserId(advertiser),
        name: format!("campaign {id}"),
        budget: Budget::default(),
        flight: Flight::default(),
        active: true,
    }
}

/// Bids `cpm` for anything with creative 1.
pub(crate) fn line_item(id: u32, campaign: u32, cpm: i64) -> LineItem {
    LineItem {
        frequency: Default::default(),
        strategy: Default::default(),
        pacing: Default::default(),
        conversions: Vec::new(),
        id: LineItemId(id),
        campaign: CampaignId(campaign),
        name: format!("line item {id}"),
        budget: Budget::default(),
        flight: Flight::default(),
        active: true,
        bid: Cpm(cpm),
        max_bid: Cpm(cpm),
        min_bid: Cpm(0),
        shading: false,
        multipliers: Multipliers::default(),
        targeting: Targeting::default(),
        creatives: vec![CreativeAssignment {
            creative: CreativeId(1),
            weight: 1,
            when: Condition::default(),
        }],
    }
}

pub(crate) fn creative(id: u32, advertiser: u32) -> Creative {
    Creative {
        frequency: Default::default(),
        id: CreativeId(id),
        advertiser: AdvertiserId(advertiser),
        name: format!("creative {id}"),
        content: banner(SIZES[0], 2),
        click_url: "https://shop.example/".to_owned(),
        landing_domains: vec!["shop.example".to_owned()],
        adomain: vec!["shop.example".to_owned()],
        categories: Vec::new(),
        cattax: 1,
        attributes: Vec::new(),
        api: None,
        language: None,
        bundle: None,
        secure: true,
        approvals: Approvals::default(),
        transparency: None,
    }
}

/// A banner with a link and an image.
pub(crate) fn banner(size: Size, banner_type: i64) -> Content {
    let markup = "<a href=\"{{CLICK_URL}}\"><img src=\"https://cdn.example/{{CREATIVE_ID}}.png?cb={{CACHEBUSTER}}\"></a>";
    Content::Banner(BannerAd { size, markup: markup.to_owned(), banner_type, expands: Vec::new() })
}

impl Dice {
    fn members(&mut self) -> BTreeMap<&'static str, Vec<Membership>> {
        let mut members = BTreeMap::new();
        for cookie in &USERS[..5] {
            let mut held: Vec<u32> = self.some(&[1, 2, 3, 4, 5], 4);
            held.sort_unstable();
            held.dedup();
            let membership =
                |id| Membership { explicit_consent: self.chance(2), ..Membership::of(SegmentId(id)) };
            members.insert(*cookie, held.into_iter().map(membership).collect());
        }
        members
    }

    fn account(&mut self, line_items: usize) -> Account {
        let advertisers: Vec<Advertiser> =
            (1..=1 + self.up_to(3) as u32).map(|id| self.advertiser(id)).collect();
        let campaigns: Vec<Campaign> = (1..=1 + self.up_to(6) as u32)
            .map(|id| {
                let owner = self.one(&advertisers);
                self.campaign(id, owner.id.0, owner.currency)
            })
            .collect();
        let creatives: Vec<Creative> = advertisers
            .iter()
            .flat_map(|advertiser| (0..4).map(|nth| (advertiser.id.0 * 10 + nth, advertiser.id.0)))
            .map(|(id, owner)| self.creative(id, owner))
            .collect();
        let line_items = (1..=line_items as u32)
            .map(|id| {
                let campaign = self.one(&campaigns);
                let owner = advertisers.iter().find(|a| a.id == campaign.advertiser).unwrap();
                self.line_item(id, &campaign, owner.currency, &creatives)
            })
            .collect();
        let exchanges = (1..=3).map(|id| self.exchange(id)).collect();
        Account {
            rates: rates(),
            exchanges,
            advertisers,
            campaigns,
            line_items,
            creatives,
            segments: segments(),
            safety: Safety::default(),
            lists: Vec::new(),
            deals: Vec::new(),
            conversions: Vec::new(),
            pixels: Vec::new(),
            category_maps: Vec::new(),
        }
    }

    fn exchange(&mut self, id: u16) -> ExchangeProfile {
        ExchangeProfile {
            currency: currency(self.one(&["USD", "USD", "EUR", "JPY"])),
            max_cpm: self.one(&[Cpm(100_000_000), Cpm(100_000_000), Cpm(3_000_000), Cpm(1_000_000_000_000)]),
            max_multiplier_ppm: self.one(&[1_000_000, 10_000_000]),
            holds: HoldLives { max_s: self.one(&[400, 7_200]), ..HoldLives::default() },
            ..profile(id)
        }
    }

    fn advertiser(&mut self, id: u32) -> Advertiser {
        let currency = currency(self.one(&["USD", "EUR", "JPY"]));
        Advertiser {
            currency,
            time_zone: self.one(&ZONES).to_owned(),
            wallet: self.money(currency, 3),
            data_fee: self.one(&[Cpm(0), Cpm(0), Cpm(333_333)]),
            platform_ppm: self.one(&[0, 0, 70_001]),
            active: !self.chance(12),
            ..advertiser(id)
        }
    }

    /// From nothing over the price of a few bids to plenty.
    fn money(&mut self, currency: Currency, one_in: u32) -> Nanos {
        let few = if self.chance(one_in) { self.within(0..40_000_000) } else { 1_000_000_000_000 };
        Nanos(if currency.as_str() == "JPY" { few * 150 } else { few })
    }

    fn budget(&mut self, currency: Currency) -> Budget {
        let mut limit = || self.chance(3).then(|| self.money(currency, 2));
        Budget { lifetime: limit(), daily: limit() }
    }

    fn flight(&mut self) -> Flight {
        let moment = |dice: &mut Dice| {
            let hours = dice.within(-40..40);
            dice.chance(8).then_some(NOON.unix_ms + hours * 3_600_000)
        };
        Flight { start_ms: moment(self), end_ms: moment(self) }
    }

    fn campaign(&mut self, id: u32, owner: u32, currency: Currency) -> Campaign {
        let (budget, flight) = (self.budget(currency), self.flight());
        Campaign { budget, flight, active: !self.chance(15), ..campaign(id, owner) }
    }

    fn creative(&mut self, id: u32, owner: u32) -> Creative {
        let texts = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect();
        let adomain = self.one(&["shop.example", "a.shop.example", "bank.example"]);
        Creative {
            content: banner(self.one(&SIZES), self.one(&[2, 3])),
            adomain: vec![adomain.to_owned()],
            categories: texts(self.some(&["IAB2", "IAB2-3", "IAB25-3"], 2)),
            cattax: self.one(&[1, 1, 1, 7]),
            attributes: self.some(&[1, 6, 13], 1),
            api: self.one(&[None, None, None, Some(5)]),
            language: self.one(&[None, None, Some("en"), Some("de")]).map(str::to_owned),
            bundle: self.one(&[None, None, None, Some("com.game")]).map(str::to_owned),
            secure: !self.chance(5),
            approvals: Approvals {
                everywhere: if self.chance(8) { Approval::Pending } else { Approval::Approved },
                exceptions: (1..=3)
                    .filter(|_| self.chance(16))
                    .map(|id| (ExchangeId(id), Approval::Rejected))
                    .collect(),
            },
            ..creative(id, owner)
        }
    }

    fn line_item(
        &mut self,
        id: u32,
        campaign: &Campaign,
        currency: Currency,
        creatives: &[Creative],
    ) -> LineItem {
        let scale = if currency.as_str() == "JPY" { 150 } else { 1 };
        // Few prices, so that offers are often equal.
        let bid = self.one(&[0, 1, 400_000, 1_000_000, 1_000_000, 2_500_000, 2_500_000, 7_654_321]) * scale;
        let max_bid = bid * self.one(&[1, 1, 2, 10]) / self.one(&[1, 1, 1, 2]);
        let own: Vec<&Creative> = creatives.iter().filter(|c| c.advertiser == campaign.advertiser).collect();
        // What pays by clicks is worth the same as long as nobody knows better than one click in a thousand.
        let (strategy, worth) =
            if id.is_multiple_of(2) { (Strategy::MaxCpc, 1_000) } else { (Strategy::FixedCpm, 1) };
        let multipliers = self.multipliers();
        let mut chosen = self.some(&own, 5);
        if let (false, Some(size)) = (multipliers.sizes.is_empty(), chosen.first().map(|c| c.fit())) {
            // One size, so that the price does not depend on which creative is drawn.
            chosen.retain(|creative| creative.fit() == size);
        }
        chosen.sort_by_key(|creative| creative.id);
        chosen.dedup_by_key(|creative| creative.id);
        let weigh = |c: &&Creative| CreativeAssignment {
            creative: c.id,
            weight: self.within(1..9) as u32,
            when: Condition::default(),
        };
        LineItem {
            conversions: Vec::new(),
            creatives: chosen.iter().map(weigh).collect(),
            budget: self.budget(currency),
            flight: self.flight(),
            active: !self.chance(15),
            strategy,
            bid: Cpm(bid * worth),
            max_bid: Cpm(max_bid),
            min_bid: Cpm(0),
            shading: false,
            multipliers,
            targeting: self.targeting(),
            ..line_item(id, campaign.id.0, 0)
        }
    }

    /// Factors are multiples of a twentieth, at most five dimensions at once: their product is exact in millionths
    /// of a millionth.
    fn multipliers(&mut self) -> Multipliers {
        let countries = ["US", "DE", "CA"].map(country);
        let mut factors = Multipliers::default();
        if self.chance(3) {
            factors.segments = self.factors(&[SegmentId(1), SegmentId(2), SegmentId(4), SegmentId(99)]);
        }
        if self.chance(4) {
            factors.exchanges = self.factors(&[ExchangeId(1), ExchangeId(2), ExchangeId(3)]);
        }
        if self.chance(4) {
            factors.countries = self.factors(&countries);
        }
        match self.up_to(12) {
            0 => factors.device_types = self.factors(&[2, 4]),
            1 => factors.channels = self.factors(&[ChannelKind::Site, ChannelKind::App]),
            2 => factors.sizes = self.factors(&SIZES),
            3 => factors.deals = self.factors(&DEALS.map(str::to_owned)),
            4 => factors.hours = self.factors(&[HourMask::ALL, HourMask::NONE]),
            5 => factors.value_tiers = self.factors(&[Tier::Loyal, Tier::New]),
            _ => {}
        }
        factors
    }

    fn factors<T: Clone>(&mut self, pool: &[T]) -> Vec<(T, i64)> {
        const PPM: [i64; 8] = [0, 500_000, 800_000, 1_000_000, 1_250_000, 1_500_000, 2_000_000, 10_000_000];
        self.some(pool, 2).into_iter().map(|key| (key, self.one(&PPM))).collect()
    }

    fn targeting(&mut self) -> Targeting {
        let segments = [1, 2, 3, 4, 5].map(SegmentId);
        let mut list =
            |one_in, most| if self.chance(one_in) { self.some(&segments, most) } else { Vec::new() };
        let segments = SegmentRule { all_of: list(10, 2), any_of: list(5, 3), none_of: list(10, 1) };
        let daypart = self.chance(8).then(|| Daypart {
            hours: self.one(&[HourMask::ALL, HourMask::NONE, HourMask([u64::MAX, 0, 0])]),
            time_zone: self.one(&ZONES).to_owned(),
        });
        Targeting {
            exchanges: self.rule(&[ExchangeId(1), ExchangeId(2), ExchangeId(3)], 12),
            deals: self.texts(&DEALS, 2),
            sizes: self.rule(&SIZES, 10),
            countries: self.rule(&["US", "DE"].map(country), 10),
            device_types: self.rule(&[1, 2, 4], 12),
            os: self.texts(&["android", "ios"], 12),
            domains: self.texts(&["news.example", "blog.example"], 12),
            segments,
            daypart,
            ..Targeting::default()
        }
    }
}
