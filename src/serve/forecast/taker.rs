//! From sampled requests to what a line item could buy of them: each is decided again on a catalog in which the line item is on.

use crate::audience::{AudienceIndex, IdKey};
use crate::budget::charge;
use crate::engine::LineItemIx;
use crate::engine::learning::Markets;
use crate::engine::{self, BidIds, Catalog, Core, Remembered, Request, Scale, Settings, Snapshot};
use crate::exchange::{self, Limits};
use crate::forecast::{Avail, Chance, Curve, Question, Rules, Spread};
use crate::model::clock::Now;
use crate::model::frequency::Frequency;
use crate::model::ids::LineItemId;
use crate::model::line_item::{PacingMode, Strategy};
use crate::model::mix::splitmix64;
use crate::model::money::{Cpm, PPM};
use crate::model::no_bid::NoBidReason;
use crate::model::sample::SampledRequest;
use crate::privacy::Permissions;
use bumpalo::Bump;
use std::collections::BTreeMap;

/// Steps of pacing's multiplier that are tried, in ppm.
const KAPPAS_PPM: [i64; 11] =
    [50_000, 100_000, 200_000, 300_000, 400_000, 500_000, 600_000, 700_000, 800_000, 900_000, 950_000];
/// The highest multiplier of a line item that spends its budget whatever an outcome costs.
const ANY_PPM: i64 = 100 * PPM;

/// Prices that are tried, in the order of [`Avail::bids`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Steps {
    scales: Vec<Scale>,
    base: usize,
    grid: Vec<usize>,
    pacing: Vec<usize>,
}

impl Steps {
    /// The configured price, those of the curve (as parts of it, in ppm and ascending) and those that pacing can go down to.
    pub fn new(grid_ppm: &[i64], strategy: Strategy, spread: Spread) -> Steps {
        // Where the whole budget is to be spent, the value itself is no bound.
        let most = if strategy.spends_all() { ANY_PPM } else { PPM };
        let scale = |bid_ppm| Scale { bid_ppm, kappa_ppm: most };
        let mut scales = vec![scale(PPM)];
        let mut at = |scale: Scale| match scales.iter().position(|known| *known == scale) {
            Some(known) => known,
            None => {
                scales.push(scale);
                scales.len() - 1
            }
        };
        let grid = grid_ppm.iter().map(|ppm| at(scale(*ppm))).collect();
        let pacing = match spread {
            Spread::Thin => Vec::new(),
            Spread::Lower => {
                let kappas = KAPPAS_PPM.iter().flat_map(|ppm| match strategy.spends_all() {
                    true => vec![ppm / 100, ppm / 10, *ppm, ppm * 10, ppm * 100],
                    false => vec![*ppm],
                });
                let mut kappas: Vec<i64> = kappas.filter(|ppm| *ppm < most).collect();
                kappas.sort_unstable();
                kappas.dedup();
                let lower = kappas.into_iter().map(|kappa_ppm| at(Scale { bid_ppm: PPM, kappa_ppm }));
                lower.chain([0]).collect()
            }
        };
        Steps { scales, base: 0, grid, pacing }
    }
}

/// What happens where a line item's budget does not last.
pub fn spread(strategy: Strategy, mode: PacingMode) -> Spread {
    match (strategy, mode) {
        (Strategy::FixedCpm, _) | (_, PacingMode::Asap) => Spread::Thin,
        _ => Spread::Lower,
    }
}

/// Decides sampled requests again, as if a line item were on and nothing of its own were in its way.
pub struct Taker<'s> {
    snapshot: &'s Snapshot,
    settings: &'s Settings,
    markets: &'s Markets,
    limits: Limits,
    pays: &'s dyn Fn(LineItemId) -> bool,
    ix: LineItemIx,
    steps: Steps,
    core: Core,
    nobody: AudienceIndex,
    key: IdKey,
    arena: Bump,
    /// People of whom one in so many is looked at.
    stride: u32,
    most: usize,
    seen: Vec<Seen>,
    unread: usize,
    largest_nanos: i64,
    curves: Vec<Curve>,
    curve_of: BTreeMap<(bool, usize), usize>,
}

/// What was found.
#[derive(Default)]
pub struct Taken {
    /// Requests that were looked at.
    pub requests: usize,
    /// How many they stand for.
    pub weight: f64,
    /// Requests that could not be read, or whose exchange is gone.
    pub unread: usize,
    /// When the oldest of them came, in Unix milliseconds.
    pub oldest_ms: Option<i64>,
    /// The most that a record stands for.
    pub heaviest: u32,
    /// Impressions that nobody could have bid on, by why.
    pub refused: BTreeMap<NoBidReason, f64>,
    /// Impressions that meet the targeting and get no bid at any price, by why.
    pub ended: BTreeMap<NoBidReason, f64>,
    /// All others by what of the targeting they do not meet ([`Dimensions::bits`](crate::targeting::naive::Dimensions)).
    pub rules: Rules,
    /// What could be bought.
    pub avails: Vec<Avail>,
    /// Where.
    pub curves: Vec<Curve>,
    /// The most that one impression would cost, in nanos of the wallet.
    pub largest_nanos: i64,
}

/// A request that was looked at.
struct Seen {
    person: u64,
    at_ms: i64,
    one_in: u32,
    imps: Vec<Found>,
}

/// What an impression of it is.
enum Found {
    Refused(NoBidReason),
    Failing(u32),
    Ended(NoBidReason),
    Open(Avail),
}

impl<'s> Taker<'s> {
    /// For the line item with this index of the snapshot's catalog; `most` requests are kept in hand. Its pacing's level is set
    /// free: the catalog is not one that serves.
    pub fn new(
        (snapshot, settings): (&'s Snapshot, &'s Settings),
        markets: &'s Markets,
        limits: Limits,
        pays: &'s dyn Fn(LineItemId) -> bool,
        (ix, steps, most): (LineItemIx, Steps, usize),
    ) -> Taker<'s> {
        Taker {
            snapshot,
            settings,
            markets,
            limits,
            pays,
            ix,
            steps,
            core: Core::new(BidIds::new(0, u16::MAX)),
            nobody: AudienceIndex::default(),
            key: IdKey([0; 16]),
            arena: Bump::new(),
            stride: 1,
            most: most.max(1),
            seen: Vec::new(),
            unread: 0,
            largest_nanos: 0,
            curves: Vec::new(),
            curve_of: BTreeMap::new(),
        }
    }

    /// Takes up a request. Where there are more than are kept in hand, half of the people are left out, with all their requests.
    pub fn take(&mut self, sample: &SampledRequest) {
        let person = person_of(sample);
        if !self.is_kept(person) {
            return;
        }
        let mut arena = std::mem::take(&mut self.arena);
        match self.decide(sample, &arena) {
            Some(imps) => {
                self.seen.push(Seen { person, at_ms: sample.at_ms, one_in: sample.one_in.max(1), imps });
            }
            None => self.unread += 1,
        }
        arena.reset();
        self.arena = arena;
        while self.seen.len() > self.most && self.stride < 1 << 20 {
            self.stride *= 2;
            let stride = self.stride;
            self.seen.retain(|seen| is_kept(seen.person, stride));
        }
    }

    fn is_kept(&self, person: u64) -> bool {
        is_kept(person, self.stride)
    }

    /// How many requests are in hand.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether none are.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    fn decide(&mut self, sample: &SampledRequest, arena: &Bump) -> Option<Vec<Found>> {
        let snapshot = self.snapshot;
        let profile = snapshot.catalog.exchange_by_id(sample.exchange)?;
        let limits = self.limits.inflated();
        let parsed = exchange::parse_either(&sample.body, sample.protobuf, &limits, arena);
        let auction = parsed.ok()?;
        let remembered = Remembered {
            permissions: Permissions::of_bits(sample.permissions),
            known: sample.known,
            segments: &sample.segments,
            refused: &sample.refused,
        };
        let request = Request {
            auction: &auction,
            profile,
            snapshot,
            audience: &self.nobody,
            remembered: Some(&remembered),
            frequency: None,
            id_key: &self.key,
            settings: self.settings,
            now: Now { mono_ns: 0, unix_ms: sample.at_ms },
            arena,
        };
        let found = match engine::prospects(&request, &mut self.core, self.ix, self.pays) {
            Err(reason) => auction.imps.iter().map(|_| Found::Refused(reason)).collect(),
            Ok(prospects) => prospects.iter().map(|prospect| self.found(sample, prospect)).collect(),
        };
        Some(found)
    }

    fn found(&mut self, sample: &SampledRequest, prospect: &engine::Prospect) -> Found {
        match &prospect.chance {
            Err(reason) if !prospect.reached => Found::Refused(*reason),
            _ if !prospect.failing.is_empty() => Found::Failing(prospect.failing.bits()),
            Err(reason) => Found::Ended(*reason),
            Ok(chance) => Found::Open(self.avail(sample, chance)),
        }
    }

    fn avail(&mut self, sample: &SampledRequest, chance: &engine::Chance) -> Avail {
        let (rates, table) = (&self.snapshot.rates, &self.snapshot.learned.shading);
        let first_price = chance.market.first_price;
        let curves = self.markets.of(first_price);
        let number = curves.find(chance.place());
        let bids = self.steps.scales.iter().map(|scale| {
            let price = chance.price(*scale, table, rates)?;
            let base = chance.in_base(price, rates)?;
            let paid = match first_price || chance.market.fixed_price {
                true => price.0 as f64,
                false => {
                    let floor = chance.in_base(chance.offer.floor, rates)?;
                    let part = curves.second_price(number, base, floor) / (base.0.max(1)) as f64;
                    price.0 as f64 * part
                }
            };
            let cost = charge(Cpm(paid.round() as i64), &chance.terms)?;
            Some(Chance { win: curves.win(number, base), cost_nanos: cost.0 as f64 })
        });
        let bids: Vec<Option<Chance>> = bids.collect();
        if let Some(cost) =
            chance.price(Scale::ONE, table, rates).and_then(|price| charge(price, &chance.terms))
        {
            self.largest_nanos = self.largest_nanos.max(cost.0);
        }
        let curve = self.curve(first_price, number, curves.find_exchange(chance.place()));
        Avail { at_ms: sample.at_ms, person: sample.person, one_in: sample.one_in.max(1), curve, bids }
    }

    /// The number of a curve in this forecast.
    fn curve(&mut self, first_price: bool, number: usize, exchange: usize) -> usize {
        let curves = self.markets.of(first_price);
        let known = &mut self.curves;
        *self.curve_of.entry((first_price, number)).or_insert_with(|| {
            known.push(Curve {
                outcomes: curves.get(number).outcomes,
                market: exchange * 2 + usize::from(first_price),
                market_outcomes: curves.get(exchange).outcomes,
            });
            known.len() - 1
        })
    }

    /// What was found.
    pub fn finish(self) -> (Taken, Steps) {
        let Taker { seen, stride, unread, largest_nanos, curves, steps, .. } = self;
        let mut taken = Taken { unread, largest_nanos, curves, ..Taken::default() };
        for Seen { at_ms, one_in, imps, .. } in seen {
            let one_in = one_in.saturating_mul(stride);
            let weight = f64::from(one_in);
            taken.requests += 1;
            taken.weight += weight;
            taken.heaviest = taken.heaviest.max(one_in);
            taken.oldest_ms = Some(taken.oldest_ms.map_or(at_ms, |oldest| oldest.min(at_ms)));
            for imp in imps {
                match imp {
                    Found::Refused(reason) => *taken.refused.entry(reason).or_default() += weight,
                    Found::Failing(rules) => taken.rules.add(rules, weight),
                    Found::Ended(reason) => {
                        taken.rules.add(0, weight);
                        *taken.ended.entry(reason).or_default() += weight;
                    }
                    Found::Open(avail) => {
                        taken.rules.add(0, weight);
                        taken.avails.push(Avail { one_in, ..avail });
                    }
                }
            }
        }
        (taken, steps)
    }

    /// The catalog that is asked.
    pub fn catalog(&self) -> &Catalog {
        &self.snapshot.catalog
    }
}

/// Whether somebody is among one in so many, a power of two.
fn is_kept(person: u64, stride: u32) -> bool {
    splitmix64(person) & u64::from(stride - 1) == 0
}

/// Whose a request is; of nobody's each is its own.
fn person_of(sample: &SampledRequest) -> u64 {
    sample.person.unwrap_or_else(|| {
        let bytes =
            sample.body.chunks(8).map(|chunk| chunk.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
        bytes.fold(sample.at_ms as u64, |hash, part| splitmix64(hash ^ part))
    })
}

impl Taken {
    /// The question of a line item in the time of the samples.
    pub fn question<'q>(
        &'q self,
        steps: &Steps,
        (from_ms, until_ms): (i64, i64),
        frequency: &'q [Frequency],
        (budget_nanos, spread): (Option<i64>, Spread),
        seed: u64,
    ) -> Question<'q> {
        Question {
            from_ms,
            until_ms,
            avails: &self.avails,
            curves: &self.curves,
            base: steps.base,
            grid: steps.grid.clone(),
            pacing: steps.pacing.clone(),
            frequency,
            budget_nanos,
            largest_nanos: self.largest_nanos,
            spread,
            seed,
        }
    }
}
