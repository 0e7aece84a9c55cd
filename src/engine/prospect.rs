//! What one line item could buy of a request: for forecasts, which ask on requests of the past.
//!
//! The request is decided by [`decide`] with everything looked at, on a catalog in which the line item is on. Neither caps nor
//! pacing nor budgets of its own are in its way; other line items of the account are, as far as they could pay. Deliberately
//! absent: whether it wins, which is for who knows the market.

use super::context::{Core, Request};
use super::deadline::Deadline;
use super::decide::{decide, facts};
use super::observer::{Market, Observer, Rejection};
use super::pod;
use crate::budget::{BudgetDay, Granted, HoldRequest, HoldSource, Terms};
use crate::model::ids::{CampaignId, LeaseId, LineItemId};
use crate::model::line_item::Strategy;
use crate::model::money::{Cpm, PPM};
use crate::model::no_bid::NoBidReason;
use crate::model::rates::{Rates, Round};
use crate::model::token::Bucket;
use crate::pricing::shading::{Explorer, Place, ShadeTable};
use crate::pricing::{Factors, Offer, Pricer, ShadeInputs};
use crate::targeting::LineItemIx;
use crate::targeting::naive::{self, Dimensions};
use std::collections::BTreeMap;

/// What one impression is to a line item.
#[derive(Clone, Debug)]
pub struct Prospect {
    /// Position of the impression in the request.
    pub imp: usize,
    /// Line items were looked for: nothing rules the impression out whoever asks.
    pub reached: bool,
    /// The dimensions of its targeting that are not met.
    pub failing: Dimensions,
    /// What it could offer where all are met, or why it makes no offer whatever its price.
    pub chance: Result<Chance, NoBidReason>,
}

/// An offer that can be made at other prices too.
#[derive(Clone, Copy, Debug)]
pub struct Chance {
    /// The offer as configured, unshaded; it may be under its floor.
    pub offer: Offer,
    /// Where and by which rules.
    pub market: Market,
    /// What turns a price into a charge.
    pub terms: Terms,
    /// The worth that another line item of the account offers, which a bid has to exceed; 0 where nobody does.
    pub rival: Cpm,
    /// Whether it was chosen as configured.
    pub chosen: bool,
    pricer: Pricer,
}

/// What is multiplied to ask for other prices, in ppm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scale {
    /// The configured amount. A price given for a thousand takes its cap along.
    pub bid_ppm: i64,
    /// The value, as pacing does.
    pub kappa_ppm: i64,
}

impl Scale {
    /// As configured.
    pub const ONE: Scale = Scale { bid_ppm: PPM, kappa_ppm: PPM };
}

impl Chance {
    /// The price at which it would be bid, in the currency of its market; `None` where it is under the floor or another line item of
    /// the account has more to offer.
    pub fn price(&self, scale: Scale, table: &ShadeTable, rates: &Rates) -> Option<Cpm> {
        let (market, offer, pricer) = (&self.market, &self.offer, &self.pricer);
        // Return on spend is no price: asking for more of it pays less.
        let value = match pricer.strategy {
            Strategy::TargetRoas => {
                let inverse = i128::from(PPM) * i128::from(PPM) / i128::from(scale.bid_ppm.max(1));
                offer.valued.scale_ppm(inverse.min(i128::from(i64::MAX)) as i64)
            }
            _ => offer.valued.scale_ppm(scale.bid_ppm),
        };
        let priced = matches!(pricer.strategy, Strategy::FixedCpm | Strategy::MaxCpm | Strategy::Reach);
        let cap = if priced { pricer.max_bid.scale_ppm(scale.bid_ppm) } else { pricer.max_bid };
        let into = |price| rates.convert_capped(price, pricer.currency, market.currency);
        let most = into(cap)?.min(market.exchange_cap);
        let worth = into(value.scale_ppm(scale.kappa_ppm).min(cap))?.min(market.exchange_cap);
        let worth = if market.guaranteed { worth.max(offer.floor.min(most)) } else { worth };
        let beats = worth > self.rival || (worth == self.rival && self.chosen);
        if worth < offer.floor || worth <= Cpm(0) || !beats {
            return None;
        }
        if market.fixed_price {
            return Some(offer.price);
        }
        let unshaded = Offer { worth, price: worth, ..*offer };
        if !pricer.shading || !market.first_price {
            return Some(worth);
        }
        let inputs = ShadeInputs {
            table,
            explorer: Explorer { rate_ppm: 0 },
            place: market.place,
            currency: market.currency,
            rates,
            draw: 0,
        };
        Some(unshaded.shaded(&inputs).price)
    }

    /// A price of its market in the base currency, in which prices are learned.
    pub fn in_base(&self, price: Cpm, rates: &Rates) -> Option<Cpm> {
        rates.convert(price, self.market.currency, rates.base(), Round::Down)
    }

    /// Where prices of others are learned.
    pub fn place(&self) -> &Place {
        &self.market.place
    }
}

/// What the line item at `ix` could buy of a request, one for each impression; an error where the whole request is refused,
/// whoever asks. `pays` says who of the others has money.
pub fn prospects(
    request: &Request<'_>,
    core: &mut Core,
    ix: LineItemIx,
    pays: &dyn Fn(LineItemId) -> bool,
) -> Result<Vec<Prospect>, NoBidReason> {
    let catalog = request.catalog();
    let line = catalog.line_item(ix);
    let campaign = |other| catalog.head(other).campaign;
    let mut watch = Watch { ix, imps: BTreeMap::new(), campaign: &campaign };
    let mut purse = Purse { own: line.id, pays };
    let decided = decide(request, core, &mut purse, &Deadline::never(), &mut watch);
    if let (Err(reason), true) = (decided, watch.imps.values().all(|seen| !seen.reached)) {
        return Err(reason);
    }
    let families = core.families.resolve(&request.auction.device);
    let facts = facts(request, &core.lookup.segments, core.user_permitted, families);
    let input = line.match_input();
    let advertiser = &catalog.advertisers()[line.advertiser];
    let all = request.auction.imps.iter().enumerate().map(|(position, imp)| {
        let seen = watch.imps.remove(&position).unwrap_or_default();
        if !seen.reached {
            let reason = seen.no_bid.unwrap_or(NoBidReason::InvalidRequest);
            let failing = Dimensions::default();
            return Prospect { imp: position, reached: false, failing, chance: Err(reason) };
        }
        let failing = naive::failures(&input, &facts, imp, catalog.taxonomy());
        let room = |deal: bool| match deal {
            true => 1,
            false => pod::room(imp, request.profile.open_bids),
        };
        let rate = |market: &Market| request.snapshot.rates.cross(market.currency, advertiser.currency);
        let chance = seen.best(line.campaign_id, &room).and_then(|asked| {
            let chance = Chance {
                offer: asked.offer,
                market: asked.market,
                terms: Terms {
                    rate: rate(&asked.market).ok_or(NoBidReason::Currency)?,
                    data_fee: advertiser.data_fee,
                    platform_ppm: advertiser.platform_ppm,
                    multiplier_ppm: asked.market.multiplier_ppm,
                },
                rival: asked.rival,
                chosen: asked.chosen,
                pricer: line.pricer,
            };
            Ok(chance)
        });
        Prospect { imp: position, reached: true, failing, chance }
    });
    Ok(all.collect())
}

/// Everybody's money is there, if there is any.
struct Purse<'p> {
    own: LineItemId,
    pays: &'p dyn Fn(LineItemId) -> bool,
}

impl HoldSource for Purse<'_> {
    type Hold = ();
    const MOVES: bool = false;

    fn try_hold(&mut self, request: &HoldRequest) -> Result<Granted<()>, NoBidReason> {
        match request.line_item == self.own || (self.pays)(request.line_item) {
            true => Ok(Granted { hold: (), lease: LeaseId(0), day: BudgetDay(0), bucket: Bucket::default() }),
            false => Err(NoBidReason::Budget),
        }
    }
}

struct Watch<'w> {
    ix: LineItemIx,
    imps: BTreeMap<usize, Seen>,
    campaign: &'w dyn Fn(LineItemIx) -> CampaignId,
}

#[derive(Default)]
struct Seen {
    /// Line items were looked for.
    reached: bool,
    no_bid: Option<NoBidReason>,
    places: BTreeMap<Option<String>, Spot>,
    /// Why it makes no offer at all: what came furthest.
    refused: Option<NoBidReason>,
}

/// One place of an impression: the open auction or a deal.
#[derive(Default)]
struct Spot {
    asked: Option<(Offer, Market)>,
    refused: Option<NoBidReason>,
    chosen: bool,
    /// What others offer, by line item.
    others: BTreeMap<LineItemIx, (CampaignId, Cpm)>,
}

struct Asked {
    offer: Offer,
    market: Market,
    rival: Cpm,
    chosen: bool,
}

impl Seen {
    /// The place where it offers the most, one that it gets before others; or why there is none.
    fn best(self, own: CampaignId, room: &dyn Fn(bool) -> usize) -> Result<Asked, NoBidReason> {
        let Seen { places, refused, .. } = self;
        let mut why = refused;
        let mut best: Option<Asked> = None;
        for (deal, spot) in places {
            if let Some(reason) = spot.refused.filter(|reason| *reason != NoBidReason::BelowFloor) {
                why = why.max(Some(reason));
                continue;
            }
            let rival = spot.rival(own, room(deal.is_some()));
            let Some((offer, market)) = spot.asked else { continue };
            let asked = Asked { offer, market, rival, chosen: spot.chosen };
            let rank =
                |asked: &Asked| (asked.chosen, asked.offer.worth >= asked.offer.floor, asked.offer.worth);
            if best.as_ref().is_none_or(|best| rank(&asked) > rank(best)) {
                best = Some(asked);
            }
        }
        best.ok_or(why.unwrap_or(NoBidReason::LostInternal))
    }
}

impl Spot {
    /// The worth of the bid that gives way where the place has room for so many: of a campaign the best one counts, and one of its
    /// own campaign stands in the way wherever it offers more.
    fn rival(&self, own: CampaignId, room: usize) -> Cpm {
        let mut best: BTreeMap<CampaignId, Cpm> = BTreeMap::new();
        for (campaign, worth) in self.others.values() {
            let known = best.entry(*campaign).or_default();
            *known = (*known).max(*worth);
        }
        let sibling = best.remove(&own).unwrap_or_default();
        let mut worths: Vec<Cpm> = best.into_values().collect();
        worths.sort_unstable_by(|a, b| b.cmp(a));
        let displaced = room.checked_sub(1).and_then(|last| worths.get(last)).copied();
        sibling.max(displaced.unwrap_or_default())
    }
}

impl Watch<'_> {
    fn spot(&mut self, imp: usize, deal: Option<&str>) -> &mut Spot {
        self.imps.entry(imp).or_default().places.entry(deal.map(str::to_owned)).or_default()
    }
}

impl Observer for Watch<'_> {
    const EXHAUSTIVE: bool = true;

    fn candidates(&mut self, imp: usize, _found: &[LineItemIx]) {
        self.imps.entry(imp).or_default().reached = true;
    }

    fn rejected(&mut self, imp: usize, ix: LineItemIx, rejection: &Rejection<'_>) {
        if ix != self.ix {
            // Whose money is missing stands in nobody's way.
            self.spot(imp, rejection.deal).others.remove(&ix);
            return;
        }
        let furthest = |known: Option<NoBidReason>| known.max(Some(rejection.reason));
        let is_asked = self.spot(imp, rejection.deal).asked.is_some();
        match is_asked {
            true => {
                let spot = self.spot(imp, rejection.deal);
                spot.refused = furthest(spot.refused);
            }
            false => {
                let seen = self.imps.entry(imp).or_default();
                seen.refused = furthest(seen.refused);
            }
        }
    }

    fn asked(&mut self, imp: usize, ix: LineItemIx, deal: Option<&str>, offer: &Offer, market: &Market) {
        if ix == self.ix {
            self.spot(imp, deal).asked = Some((*offer, *market));
        }
    }

    fn offered(&mut self, imp: usize, ix: LineItemIx, deal: Option<&str>, offer: &Offer, _: &Factors) {
        if ix != self.ix {
            let campaign = (self.campaign)(ix);
            self.spot(imp, deal).others.insert(ix, (campaign, offer.worth));
        }
    }

    fn chosen(&mut self, imp: usize, ix: LineItemIx, deal: Option<&str>) {
        if ix == self.ix {
            self.spot(imp, deal).chosen = true;
        }
    }

    fn no_bid(&mut self, imp: usize, reason: NoBidReason) {
        self.imps.entry(imp).or_default().no_bid = Some(reason);
    }
}
