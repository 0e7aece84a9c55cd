//! A small market from a seed: people who come more or less often, sites with prices of their own, two exchanges, rivals of the same
//! account. A day of it is played through the engine, the ledger and the table of frequencies.

use crate::engine::world::{NOON, SIZES, World, advertiser, campaign, creative, line_item, profile, rates};
use bumpalo::Bump;
use outbid::budget::frequency::{FrequencyTable, Show};
use outbid::budget::{Bill, CoreBudget, Hold, Ledger};
use outbid::engine::{BidIds, Core, Deadline, NoObserver, Request, Snapshot, Steering, Told, Won, decide};
use outbid::exchange::{Limits, parse};
use outbid::forecast::Spread;
use outbid::model::account::Account;
use outbid::model::clock::Now;
use outbid::model::event::{BidMade, Event, NoticeEvent, Noticed, Place, What};
use outbid::model::exchange::GdprDefault;
use outbid::model::frequency::{Cap, Frequency};
use outbid::model::ids::{CampaignId, ExchangeId, LineItemId};
use outbid::model::line_item::{LineItem, Pacing, PacingMode, PacingPeriod, Strategy};
use outbid::model::mix::splitmix64;
use outbid::model::money::{Cpm, Nanos};
use outbid::model::no_bid::NoBidReason;
use outbid::model::sample::SampledRequest;
use outbid::model::targeting::Rule;
use outbid::pricing::learning::{Learning, Markets};
use outbid::pricing::prediction::{LearnerOptions, TrainerOptions};
use outbid::serve::forecast::{Steps, Taken, Taker};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The line item that is forecast.
pub(super) const OURS: LineItemId = LineItemId(100);
/// 2026-05-07, midnight in UTC: the day that is forecast. The market is learned on the day before.
pub(super) const DAY_MS: i64 = NOON.unix_ms + 43_200_000;
const LENGTH_MS: i64 = 86_400_000;

/// An impression that is offered.
#[derive(Clone)]
pub(super) struct Offered {
    pub(super) at_ms: i64,
    pub(super) exchange: u16,
    pub(super) person: Option<u64>,
    pub(super) body: String,
    /// The lowest bid that wins is just above this.
    market: i64,
    floor: i64,
}

/// A market with an account in it.
pub(super) struct Market {
    seed: u64,
    pub(super) world: World,
    requests: usize,
    /// About what wins where little is asked.
    level: i64,
    /// Prices of lost auctions are told as well.
    pub(super) tells_losses: bool,
}

/// What a day brought our line item.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Came {
    pub(super) impressions: u64,
    pub(super) spend: i64,
    pub(super) people: u64,
}

const SITES: [&str; 6] = ["a.example", "b.example", "c.example", "d.example", "e.example", "f.example"];
const CITIES: [&str; 4] = ["berlin", "austin", "boston", "denver"];
const DEVICES: [i64; 3] = [2, 4, 5];

fn options() -> TrainerOptions {
    let small = LearnerOptions { bits: 8, min_count: 1, ..LearnerOptions::default() };
    TrainerOptions { click: small, conversion: small, guard_events: 50, ..TrainerOptions::default() }
}

/// Rivals bid each on other devices in other cities, so that prices of every height are heard of.
fn rival(nth: usize, level: i64) -> LineItem {
    const PERCENT: [i64; 12] = [80, 250, 500, 100, 300, 600, 130, 360, 40, 160, 430, 200];
    let mut line = line_item(nth as u32 + 1, 2, level * PERCENT[nth] / 100);
    line.targeting.device_types = Rule { include: vec![DEVICES[nth % 3]], exclude: Vec::new() };
    line.targeting.cities = Rule { include: vec![CITIES[nth / 3].to_owned()], exclude: Vec::new() };
    line
}

impl Market {
    /// A market with so many requests a day.
    pub(super) fn new(seed: u64, requests: usize) -> Market {
        let mut dice = StdRng::seed_from_u64(seed);
        let level = 400_000 * 2i64.pow(dice.random_range(0..3));
        let strategy = if dice.random_ratio(1, 2) { Strategy::FixedCpm } else { Strategy::MaxCpm };
        let mut ours = line_item(OURS.0, 1, level * dice.random_range(2..7));
        ours.strategy = strategy;
        ours.shading = strategy == Strategy::MaxCpm;
        ours.max_bid = ours.bid;
        if dice.random_ratio(1, 3) {
            ours.frequency.caps = vec![Cap { max: dice.random_range(1..4), within_s: Some(86_400) }];
        }
        if dice.random_ratio(1, 4) {
            ours.frequency.min_gap_s = 3_600;
        }
        if dice.random_ratio(1, 2) {
            let sites = SITES.iter().filter(|_| dice.random_ratio(2, 3)).map(|site| (*site).to_owned());
            ours.targeting.domains = Rule { include: sites.collect(), exclude: Vec::new() };
        }
        if dice.random_ratio(1, 3) {
            ours.targeting.cities = Rule { include: vec![], exclude: vec!["boston".to_owned()] };
        }
        if dice.random_ratio(1, 4) {
            ours.budget.daily = Some(Nanos(level * dice.random_range(80..400)));
            if dice.random_ratio(1, 2) {
                ours.pacing = Pacing { mode: PacingMode::Even, period: PacingPeriod::Daily };
            }
        }
        let world = World::small(|account| {
            account.rates = rates();
            account.exchanges = vec![profile(1), profile(2)];
            for exchange in &mut account.exchanges {
                exchange.gdpr_default = GdprDefault::UnknownIsOutside;
                exchange.default_at = i64::from(exchange.id.0);
            }
            account.advertisers = vec![advertiser(1)];
            account.campaigns = vec![campaign(1, 1), campaign(2, 1)];
            account.creatives = vec![creative(1, 1)];
            let rivals = (0..12).map(|nth| rival(nth, level));
            account.line_items = rivals.chain([ours]).collect();
        });
        Market { seed, world, requests, level, tells_losses: dice.random_ratio(1, 2) }
    }

    /// The line item that is forecast.
    pub(super) fn ours(&self) -> &LineItem {
        self.world.account.line_items.iter().find(|line| line.id == OURS).unwrap()
    }

    /// The same market with another account.
    pub(super) fn with(&self, change: impl FnOnce(&mut Account)) -> World {
        let mut account = self.world.account.clone();
        change(&mut account);
        World::of(account, BTreeMap::new())
    }

    /// A day's requests in the order of time.
    pub(super) fn day(&self, number: u64) -> Vec<Offered> {
        let mut sites = StdRng::seed_from_u64(self.seed ^ 0x5174);
        let levels: Vec<f64> =
            SITES.iter().map(|_| self.level as f64 * sites.random_range(0.6..2.4)).collect();
        let mut dice = StdRng::seed_from_u64(splitmix64(self.seed ^ number));
        let people = self.requests / 4;
        // The n-th person comes in proportion to n to the power of -0.7.
        let activity: Vec<f64> = (1..=people).map(|n| (n as f64).powf(-0.7)).collect();
        let mut sums = activity.clone();
        for at in 1..sums.len() {
            sums[at] += sums[at - 1];
        }
        let all = sums[sums.len() - 1];
        let start_ms = DAY_MS + (number as i64 - 1) * LENGTH_MS;
        let mut day: Vec<Offered> = (0..self.requests)
            .map(|id| {
                let drawn = dice.random_range(0.0..all);
                let nth = sums.partition_point(|sum| *sum < drawn) as u64;
                let person = (!dice.random_ratio(1, 10)).then_some(nth);
                // More in the evening than at night.
                let hour = (dice.random_range(0.0..24.0f64) + dice.random_range(0.0..24.0f64)) / 2.0 + 4.0;
                let at_ms = start_ms + (hour.rem_euclid(24.0) * 3_600_000.0) as i64;
                let site = (dice.random_range(0.0..1.0f64).powi(2) * SITES.len() as f64) as usize;
                let noise: f64 = (0..6).map(|_| dice.random_range(-1.0..1.0f64)).sum::<f64>() * 0.3;
                let market = (levels[site] * noise.exp()) as i64;
                let floor = if dice.random_ratio(1, 2) { (levels[site] * 0.4) as i64 } else { 0 };
                let user = person.map_or_else(String::new, |nth| format!(r#""buyeruid":"p{nth}""#));
                let body = format!(
                    r#"{{"id":"r{number}-{id}","at":{at},"imp":[{{"id":"1","banner":{{"w":{w},"h":{h}}},"bidfloor":{floor}}}],"site":{{"domain":"{site}"}},"device":{{"devicetype":{device},"geo":{{"country":"USA","city":"{city}"}}}},"user":{{{user}}}}}"#,
                    at = 1 + id % 2,
                    w = SIZES[0].w,
                    h = SIZES[0].h,
                    floor = floor as f64 / 1e6,
                    site = SITES[site],
                    device = DEVICES[dice.random_range(0..3)],
                    city = CITIES[dice.random_range(0..4)],
                );
                let person = person.map(|nth| splitmix64(nth ^ self.seed));
                Offered { at_ms, exchange: 1 + (id % 2) as u16, person, body, market, floor }
            })
            .collect();
        day.sort_by_key(|offered| offered.at_ms);
        day
    }

    /// What prices were like on the day before, without our line item; and the tables that came of it.
    pub(super) fn learn(&self) -> (Snapshot, Markets) {
        let world = self.with(|account| account.line_items.retain(|line| line.id != OURS));
        let mut learning = Learning::new(options(), 100_000).unwrap();
        let mut priced_ms = 0;
        play(&world, &world.snapshot, &self.day(0), self.tells_losses, &mut |event| {
            learning.take(&event, |_, _| true);
            if event.at_ms - priced_ms >= 600_000 {
                learning.reprice(event.at_ms);
                priced_ms = event.at_ms;
            }
        });
        learning.advance(DAY_MS);
        while learning.reprice(DAY_MS) {}
        let learned = Arc::new(learning.tables());
        (Snapshot { learned, ..self.world.snapshot.clone() }, learning.win_curves(DAY_MS))
    }

    /// A sample of a day by person, as it would be kept.
    pub(super) fn sample(&self, day: &[Offered], one_in: u32) -> Vec<SampledRequest> {
        let mut core = Core::new(BidIds::new(1, 1));
        let chosen = |offered: &&Offered| {
            let name =
                offered.person.unwrap_or_else(|| splitmix64(offered.at_ms as u64 ^ offered.market as u64));
            splitmix64(name ^ 0xABCD ^ self.seed).is_multiple_of(u64::from(one_in))
        };
        let keep = |offered: &Offered| {
            let arena = Bump::new();
            let auction = parse(offered.body.as_bytes(), &Limits::default(), &arena).unwrap();
            let request = request(&self.world, &self.world.snapshot, offered, &auction, None, &arena);
            let _decided = decide(&request, &mut core, &mut Nothing, &Deadline::never(), &mut NoObserver);
            let body = match offered.body.find(r#""user":"#) {
                Some(at) => format!(r#"{}"user":{{}}}}"#, &offered.body[..at]),
                None => offered.body.clone(),
            };
            SampledRequest {
                at_ms: offered.at_ms,
                exchange: ExchangeId(offered.exchange),
                one_in,
                person: offered.person,
                permissions: core.last_permissions.unwrap().bits(),
                known: false,
                segments: Vec::new(),
                refused: Vec::new(),
                protobuf: false,
                body: body.into_bytes(),
                outcome: Err(NoBidReason::NoMatch),
            }
        };
        day.iter().filter(chosen).map(keep).collect()
    }

    /// Runs a day with our line item.
    pub(super) fn run(&self, snapshot: &Snapshot, day: &[Offered]) -> Came {
        play(&self.world, snapshot, day, false, &mut |_| {})
    }
}

/// Holds nothing and says no.
struct Nothing;

impl outbid::budget::HoldSource for Nothing {
    type Hold = ();
    fn try_hold(
        &mut self,
        _: &outbid::budget::HoldRequest,
    ) -> Result<outbid::budget::Granted<()>, NoBidReason> {
        Err(NoBidReason::Budget)
    }
}

fn request<'r>(
    world: &'r World,
    snapshot: &'r Snapshot,
    offered: &Offered,
    auction: &'r outbid::model::auction::Auction<'r>,
    frequency: Option<&'r FrequencyTable>,
    arena: &'r Bump,
) -> Request<'r> {
    Request {
        auction,
        profile: world.profile(offered.exchange),
        snapshot,
        audience: &world.audience,
        remembered: None,
        frequency,
        id_key: &world.id_key,
        settings: &world.settings,
        now: at(offered.at_ms),
        arena,
    }
}

fn at(unix_ms: i64) -> Now {
    let since_ms = unix_ms - DAY_MS + 2 * LENGTH_MS;
    Now { mono_ns: since_ms as u64 * 1_000_000, unix_ms }
}

/// Plays a day: every bid is answered at once.
fn play(
    world: &World,
    snapshot: &Snapshot,
    day: &[Offered],
    tells_losses: bool,
    tell: &mut dyn FnMut(Event),
) -> Came {
    let start = at(day[0].at_ms.div_euclid(LENGTH_MS) * LENGTH_MS);
    let ledger = Arc::new(Ledger::in_memory(9, 2, start));
    ledger.configure(world.snapshot.catalog.funding().collect(), start).unwrap();
    let mut budget = CoreBudget::new(1, Arc::clone(&ledger));
    let mut core = Core::new(BidIds::new(9, 1));
    let frequency = FrequencyTable::in_memory(1_000_000);
    let (mut came, mut people) = (Came::default(), std::collections::BTreeSet::new());
    let mut steering = Steering::default();
    let won = Cell::new(Won::default());
    let mut ticked_ms = start.unix_ms;
    let mut arena = Bump::new();
    let is_paced = world.account.line_items.iter().any(|line| line.pacing.mode != PacingMode::Asap);
    for (number, offered) in day.iter().enumerate() {
        while ticked_ms + 60_000 <= offered.at_ms {
            ticked_ms += 60_000;
            ledger.tick(at(ticked_ms));
            if is_paced {
                steering.tick(&Told {
                    catalog: &snapshot.catalog,
                    ledger: &ledger,
                    requests: number as u64,
                    won: &|id| if id == OURS { won.get() } else { Won::default() },
                    now: at(ticked_ms),
                });
            }
        }
        arena.reset();
        let now = at(offered.at_ms);
        let auction = parse(offered.body.as_bytes(), &Limits::default(), &arena).unwrap();
        let request = request(world, snapshot, offered, &auction, Some(&frequency), &arena);
        let decided = decide(&request, &mut core, &mut budget, &Deadline::never(), &mut NoObserver);
        let Ok(decision) = decided else { continue };
        decision.holds.into_iter().for_each(Hold::keep);
        decision.shows.into_iter().flatten().for_each(|show| show.keep());
        for bid in &decision.bids {
            tell(Event { at_ms: offered.at_ms, what: What::Bid(BidMade::of(bid, Place::of(&auction))) });
            let claims = &bid.claims;
            let wins = bid.price.0 > offered.market;
            let paid = match bid.evidence.first_price {
                true => bid.price,
                false => Cpm(offered.market.max(offered.floor)),
            };
            let told = Some(Cpm(offered.market.max(offered.floor).max(1)));
            let min_to_win = told.filter(|_| tells_losses);
            let kind = match wins {
                true => NoticeEvent::Bill { charged: Nanos(1), price: paid, lsn: 1 },
                false => NoticeEvent::Loss(Some(102)),
            };
            let at_ms = offered.at_ms + 500;
            tell(Event { at_ms, what: What::Notice(Noticed::of(kind, claims, 0, min_to_win)) });
            let is_ours = claims.line_item == OURS;
            if !wins {
                ledger.void(claims);
                frequency.end(claims.user, claims.bid);
                let known = won.get();
                won.set(Won { losses: known.losses + u64::from(is_ours), ..known });
                continue;
            }
            let before = ledger.balance(outbid::budget::AccountKey::LineItemTotal(OURS)).posted.0;
            ledger.post(claims, Bill::at(paid), now);
            let show = Show {
                user: claims.user,
                bid: claims.bid,
                exchange: claims.exchange,
                issued_s: claims.issued_s,
                at_s: now.second(),
            };
            frequency.count(&show, snapshot.catalog.capped_by(claims.line_item, claims.creative));
            if is_ours {
                let charged =
                    ledger.balance(outbid::budget::AccountKey::LineItemTotal(OURS)).posted.0 - before;
                came.impressions += 1;
                came.spend += charged;
                people.extend(offered.person);
                let known = won.get();
                let spend = Nanos(known.spend.0 + charged);
                won.set(Won { billed: known.billed + 1, spend, ..known });
            }
        }
    }
    came.people = people.len() as u64;
    came
}

/// What our line item's people may be shown, of every level.
pub(super) fn frequencies(world: &World) -> Vec<Frequency> {
    let line = world.account.line_items.iter().find(|line| line.id == OURS).unwrap();
    let campaign = world.account.campaigns.iter().find(|known| known.id == CampaignId(1)).unwrap();
    vec![line.frequency.clone(), campaign.frequency.clone(), world.account.advertisers[0].frequency.clone()]
}

/// All requests of a day decided again in a world; steps: as configured, and three times the price.
pub(super) fn sampled(market: &Market, world: &World) -> Taken {
    let prices = Markets::unknown();
    let line = world.snapshot.catalog.line_item_ix(OURS).unwrap();
    let strategy = world.snapshot.catalog.line_item(line).item.strategy;
    let steps = Steps::new(&[3_000_000], strategy, Spread::Thin);
    let settings = (&world.snapshot, &world.settings);
    let mut taker = Taker::new(settings, &prices, Limits::default(), &|_| true, (line, steps, 20_000));
    market.sample(&market.day(1), 1).iter().for_each(|kept| taker.take(kept));
    taker.finish().0
}
