//! The choice for one place of an impression (the open auction or one deal): creative, price, best offer, hold.

use super::catalog::CatalogLineItem;
use super::context::{Core, Request};
use super::creative::{self, Audience, Draw, Picked};
use super::decide::{ImpTerms, Place, Reasons, hold_life};
use super::observer::{Market, Observer, Rejection};
use super::outlook::{EvidenceOf, is_first_price};
use super::pod::{self, Candidate};
use super::survivors::{self, Survivor, Survivors};
use crate::budget::frequency::Pending;
use crate::budget::{HoldRequest, HoldSource, Terms, hold_for};
use crate::model::auction::{Channel, Deal};
use crate::model::bid::Bid;
use crate::model::ids::UserKey;
use crate::model::line_item::ChannelKind;
use crate::model::mix::splitmix64;
use crate::model::money::Cpm;
use crate::model::no_bid::NoBidReason;
use crate::model::targeting::Fit;
use crate::model::token::TokenClaims;
use crate::pricing::{
    self, Factors, FloorInputs, MarketFacts, Offer, OfferInputs, PriceFacts, ShadeInputs, shading,
};
use crate::targeting::LineItemIx;
use bumpalo::collections::Vec as ArenaVec;

/// `at` of a deal whose `bidfloor` is the agreed price (OpenRTB 2.6 section 3.2.12).
const FIXED_PRICE: i64 = 3;

/// Keeps draws apart from those of pacing, rotation, ties and predictions.
const SHADING: u64 = 0x7368_6164_696E_6700;

/// Why a line item makes no offer, with the offer as far as there was one.
type Refusal = (NoBidReason, Option<Offer>);

/// An offer for one place.
pub(super) struct Best<'r> {
    pub(super) line_item: LineItemIx,
    offer: Offer,
    tie: u64,
    creative: Picked<'r>,
    /// [`pricing::market`] of the offer once it is the best, which is asked twice: for the price and for the record of it.
    market: u64,
}

impl Best<'_> {
    /// What offers are told apart by: equal worths by a draw, so that no line item wins by its number.
    fn rank(&self) -> (Cpm, u64) {
        (self.offer.worth, self.tie)
    }
}

/// The choice for one place of an impression, the open auction or one deal: its offers, best first.
///
/// Survivors are scored by falling upper bound, each once, and only as far as one of them could still be better than
/// the best offer that is left.
pub(super) struct Choice<'c, 'r, O> {
    request: &'c Request<'r>,
    place: &'c Place<'r>,
    deal: Option<&'r Deal<'r>>,
    terms: &'c ImpTerms,
    pub(super) observer: &'c mut O,
    reasons: &'c mut Reasons,
    /// Bids that the place takes where it is no pod.
    pub(super) room: usize,
    /// Survivors of this kind of place that were looked at.
    looked_at: usize,
    /// Offers that were not tried yet.
    offers: ArenaVec<'r, Best<'r>>,
}

impl<'c, 'r, O: Observer> Choice<'c, 'r, O> {
    pub(super) fn new(
        request: &'c Request<'r>,
        place: &'c Place<'r>,
        deal: Option<&'r Deal<'r>>,
        terms: &'c ImpTerms,
        observer: &'c mut O,
        reasons: &'c mut Reasons,
    ) -> Self {
        let offers = ArenaVec::new_in(request.arena);
        let room = if deal.is_some() { 1 } else { request.profile.open_bids };
        Choice { request, place, deal, terms, observer, reasons, room, looked_at: 0, offers }
    }

    /// Takes the best offer that is left and that may stand beside `taken`, the bids of this answer so far.
    pub(super) fn best(&mut self, core: &mut Core, taken: &[Bid<'r>]) -> Option<Best<'r>> {
        loop {
            let best = self.next_best(core, taken)?;
            let candidate = Candidate {
                imp_index: self.place.position,
                deal: self.deal.map(|deal| deal.id),
                room: self.room,
                campaign: self.request.catalog().head(best.line_item).campaign,
                picked: &best.creative,
            };
            match pod::admits(self.request.auction.imps, taken, &candidate) {
                Ok(()) => return Some(self.shaded(core, best)),
                // A campaign does not bid against itself, and that is no defeat.
                Err(NoBidReason::LostInternal) => {}
                Err(reason) => self.reject(&best, reason),
            }
        }
    }

    fn line(&self, best: &Best<'_>) -> &'r CatalogLineItem {
        self.request.catalog().line_item(best.line_item)
    }

    fn next_best(&mut self, core: &mut Core, taken: &[Bid<'r>]) -> Option<Best<'r>> {
        let mut best = (0..self.offers.len()).max_by_key(|at| self.offers[*at].rank());
        loop {
            let least = best.map(|at| self.offers[at].offer.worth).filter(|_| !O::EXHAUSTIVE);
            let Some(survivor) = self.next_survivor(core, least) else { break };
            self.looked_at += 1;
            let campaign = self.request.catalog().head(survivor.line_item).campaign;
            if pod::has_campaign(taken, self.place.position, campaign) {
                continue;
            }
            let line = self.request.catalog().line_item(survivor.line_item);
            if !self.wants(line) {
                continue;
            }
            if core.counts_shows && !line.frequency.iter().all(|rules| core.seen.allows(rules)) {
                self.note(survivor.line_item, NoBidReason::Frequency, None);
                continue;
            }
            match self.score(core, line, &survivor) {
                Ok(offer) => {
                    if best.is_none_or(|at| offer.rank() > self.offers[at].rank()) {
                        best = Some(self.offers.len());
                    }
                    self.offers.push(offer);
                }
                Err((reason, offer)) => self.note(survivor.line_item, reason, offer.as_ref()),
            }
        }
        best.map(|at| self.offers.swap_remove(at))
    }

    /// The best survivor that was not looked at, unless it could offer less than `least`. A line item with deals bids on those
    /// only; one without bids in the open auction only.
    fn next_survivor(&self, core: &mut Core, least: Option<Cpm>) -> Option<Survivor> {
        if self.deal.is_none() {
            return survivors::next_open(self.request, core, self.place, self.terms.seed, least);
        }
        let next = core.survivors.with_deals.get(self.looked_at).copied();
        next.filter(|next| least.is_none_or(|least| least <= next.upper))
    }

    /// Has the memory fetch the first survivors with their creatives, and the money of the very first, which one after the
    /// other would be a wait each: in an account of 100,000 line items they lie anywhere.
    pub(super) fn announce<S: HoldSource>(&self, core: &Core, holds: &S) {
        /// As many are looked at mostly.
        const FIRST: usize = 4;
        const PREDICTED: usize = 7;
        let Survivors { with_deals, open } = &core.survivors;
        // Of a heap the first are the best as well, or nearly.
        let survivors = if self.deal.is_some() { &with_deals[..] } else { open.as_slice() };
        let catalog = self.request.catalog();
        let mut creatives = [None; FIRST];
        let offered = |fit: Fit| match (&self.place.imp.banner, fit) {
            (Some(banner), Fit::Banner(size)) => banner.sizes.contains(&size),
            (None, Fit::Banner(_)) => false,
            _ => true,
        };
        let first = &survivors[..survivors.len().min(FIRST)];
        let lines = || first.iter().map(|survivor| catalog.line_item(survivor.line_item));
        lines().for_each(CatalogLineItem::announce);
        lines().for_each(CatalogLineItem::announce_parts);
        for (line, creative) in lines().zip(&mut creatives) {
            let mut assigned = line.creatives.iter();
            *creative = assigned.find(|assigned| offered(assigned.fit)).map(|assigned| assigned.position);
        }
        for position in creatives.into_iter().flatten() {
            catalog.creatives()[position].announce();
        }
        if let Some(line) = lines().next() {
            holds.announce(line.id);
        }
        // More are predicted than are scored.
        let asked =
            survivors[..survivors.len().min(PREDICTED)].iter().filter(|survivor| survivor.is_unpredicted());
        asked.for_each(|survivor| catalog.prospect(survivor.line_item).announce());
    }

    /// Its money could not be held.
    pub(super) fn reject(&mut self, best: &Best<'_>, reason: NoBidReason) {
        self.note(best.line_item, reason, Some(&best.offer));
    }

    /// The deal is not open to this seat; does nothing for the open auction, which nobody was matched for then.
    pub(super) fn refuse_deal(&mut self, core: &Core) {
        let with_deals = if self.deal.is_some() { &core.survivors.with_deals[..] } else { &[] };
        for survivor in with_deals {
            if self.wants(self.request.catalog().line_item(survivor.line_item)) {
                self.note(survivor.line_item, NoBidReason::Deal, None);
            }
        }
    }

    fn note(&mut self, line_item: LineItemIx, reason: NoBidReason, offer: Option<&Offer>) {
        let rejection = Rejection { reason, deal: self.deal.map(|deal| deal.id), offer };
        self.observer.rejected(self.place.position, line_item, &rejection);
        self.reasons.add(reason);
    }

    fn wants(&self, line: &CatalogLineItem) -> bool {
        self.deal.is_none_or(|deal| line.item.targeting.wants_deal(self.request.profile.id, deal.id))
    }

    /// Creative, factors, offer: each or the reason why not. Where floors ask more of long ads than of short ones, a
    /// creative that falls under its floor gives way to the others of its line item.
    fn score(
        &mut self,
        core: &Core,
        line: &'r CatalogLineItem,
        survivor: &Survivor,
    ) -> Result<Best<'r>, Refusal> {
        let (request, line_item) = (self.request, survivor.line_item);
        let tie = splitmix64(self.terms.seed ^ u64::from(line.id.0));
        let audience = Audience {
            segment_entries: &core.segment_entries,
            geo: &request.auction.device.geo,
            hour: core.hours.get(line.zone),
        };
        let capped = self.capped_creatives(core, line);
        let mut draw = Draw { audience, seed: splitmix64(tie), passed_over: capped };
        let mut first = None;
        loop {
            let creative = match creative::pick(line, request, self.place.imp, self.deal, &draw) {
                Ok(creative) => creative,
                // Another creative would have done, and was shown often enough.
                Err(_) if capped != 0 && first.is_none() => return Err((NoBidReason::Frequency, None)),
                Err(reason) => return Err(first.unwrap_or((reason, None))),
            };
            let floors = FloorInputs {
                imp: self.place.imp,
                deal: self.deal,
                stream: creative.medium.stream().zip(creative.duration_s),
                bid_currency: self.place.currency,
                rates: &request.snapshot.rates,
            };
            match self.offer(core, line, survivor, &creative, &floors) {
                Ok(offer) => return Ok(Best { line_item, offer, tie, creative, market: 0 }),
                Err(refused @ (NoBidReason::BelowFloor, _))
                    if creative.at < 64 && floors.depend_on_duration() =>
                {
                    draw.passed_over |= 1 << creative.at;
                    first = first.or(Some(refused));
                }
                Err(refused) => return Err(refused),
            }
        }
    }

    /// Which creatives of a line item the person was shown often enough, as [`Draw::passed_over`]; those beyond the 64th
    /// are refused when the bid is made.
    fn capped_creatives(&self, core: &Core, line: &CatalogLineItem) -> u64 {
        let creatives = self.request.catalog().creatives();
        let capped = |position: usize| {
            let rules = creatives[position].frequency.as_ref();
            rules.is_some_and(|rules| !core.seen.allows(rules))
        };
        if !core.counts_shows {
            return 0;
        }
        let places = (0u32..64).zip(&line.creatives).filter(|(_, assigned)| capped(assigned.position));
        places.fold(0, |set, (at, _)| set | 1 << at)
    }

    /// Counts the bid for every cap that it falls under, or says that one of them is reached: others may have bid on the same
    /// person since [`Core::seen`] was read, this request's impressions among them.
    fn show<S: HoldSource>(
        &self,
        core: &Core,
        line: &'r CatalogLineItem,
        best: &Best<'r>,
    ) -> Result<Option<Pending<'r>>, NoBidReason> {
        let request = self.request;
        let Some(table) = request.frequency.filter(|_| core.counts_shows && S::MOVES) else {
            return Ok(None);
        };
        let position = line.creatives[best.creative.at].position;
        let rules = line.frequency.iter().chain(&request.catalog().creatives()[position].frequency);
        if rules.clone().next().is_none() {
            return Ok(None);
        }
        let life_s = table.open_life_s(request.profile.id);
        let begun =
            table.begin(core.lookup.primary, rules, core.bid_ids.peek(), request.now.second(), life_s);
        begun.map_err(|_| NoBidReason::Frequency)
    }

    fn offer(
        &mut self,
        core: &Core,
        line: &'r CatalogLineItem,
        survivor: &Survivor,
        creative: &Picked<'r>,
        floors: &FloorInputs<'_>,
    ) -> Result<Offer, Refusal> {
        let line_item = survivor.line_item;
        let factors = self.factors(core, line, creative);
        let fixed_price = self.deal.is_some_and(|deal| deal.at == Some(FIXED_PRICE));
        let floor = if fixed_price { floors.agreed_price() } else { floors.floor() };
        let floor = floor.map_err(|_| (NoBidReason::BelowFloor, None))?;
        let inputs = OfferInputs {
            predicted: survivor.predicted,
            factors,
            kappa_ppm: self.request.catalog().levels().get(line_item).kappa_ppm,
            bid_currency: floors.bid_currency,
            exchange_cap: self.terms.exchange_cap,
            floor,
            fixed_price,
            guaranteed: self.deal.is_some_and(|deal| deal.guaranteed),
            rates: floors.rates,
        };
        let priced = pricing::offer(&line.pricer, &inputs);
        if O::EXHAUSTIVE
            && let Ok(offer) | Err((_, Some(offer))) = &priced
        {
            let market = Market {
                place: self.market_place(core, creative, self.market(offer)),
                first_price: self.is_first_price(),
                fixed_price,
                guaranteed: inputs.guaranteed,
                currency: self.place.currency,
                exchange_cap: self.terms.exchange_cap,
                multiplier_ppm: self.terms.multiplier_ppm,
            };
            let deal = self.deal.map(|deal| deal.id);
            self.observer.asked(self.place.position, line_item, deal, offer, &market);
        }
        let mut offer = priced?;
        if O::EXHAUSTIVE {
            // Who serves needs the price of the best offer alone.
            offer = self.shade(core, line, creative, offer, self.market(&offer));
        }
        self.observer.offered(self.place.position, line_item, self.deal.map(|d| d.id), &offer, &factors);
        Ok(offer)
    }

    /// The best offer at the price at which it is bid.
    fn shaded(&self, core: &Core, best: Best<'r>) -> Best<'r> {
        let market = self.market(&best.offer);
        let offer = self.shade(core, self.line(&best), &best.creative, best.offer, market);
        Best { offer, market, ..best }
    }

    /// Lower where less wins as well: only where the winner pays its own bid and the line item leaves its price open.
    fn shade(
        &self,
        core: &Core,
        line: &CatalogLineItem,
        creative: &Picked<'_>,
        offer: Offer,
        market: u64,
    ) -> Offer {
        if !line.pricer.shading || !self.is_first_price() {
            return offer;
        }
        let (request, tables) = (self.request, &self.request.snapshot.learned);
        offer.shaded(&ShadeInputs {
            table: &tables.shading,
            explorer: tables.explorer,
            place: self.market_place(core, creative, market),
            currency: self.place.currency,
            rates: &request.snapshot.rates,
            draw: self.draw(line, SHADING),
        })
    }

    /// Where prices of others are learned.
    fn market_place(&self, core: &Core, creative: &Picked<'_>, market: u64) -> shading::Place {
        let shape = (creative.medium.media_type(), creative.size);
        pricing::place(self.request.profile.id, shape, core.outlook.inventory(), market)
    }

    fn draw(&self, line: &CatalogLineItem, salt: u64) -> u64 {
        splitmix64(self.terms.seed ^ salt ^ u64::from(line.id.0))
    }

    fn is_first_price(&self) -> bool {
        is_first_price(self.request.auction, self.request.profile, self.deal)
    }

    /// [`pricing::market`] of an offer here.
    fn market(&self, offer: &Offer) -> u64 {
        pricing::market(&MarketFacts {
            slot: self.place.imp.tag_id,
            deal: self.deal.map(|deal| deal.id),
            floor: offer.floor,
            unix_s: self.request.now.unix_s(),
        })
    }

    fn factors(&self, core: &Core, line: &CatalogLineItem, creative: &Picked<'_>) -> Factors {
        let auction = self.request.auction;
        line.multipliers.factors(&PriceFacts {
            position: creative.medium.position(),
            frequency: core.times_shown(line).map(|(times, _)| times),
            segment_entries: &core.segment_entries,
            exchange: self.request.profile.id,
            country: auction.device.geo.country,
            device_type: auction.device.device_type,
            channel: match auction.channel {
                Channel::Unknown => None,
                Channel::Site(_) => Some(ChannelKind::Site),
                Channel::App(_) => Some(ChannelKind::App),
                Channel::Dooh(_) => Some(ChannelKind::Dooh),
            },
            size: creative.size,
            deal: self.deal.map(|deal| deal.id),
            hour_of_week: core.hours.get(line.zone),
        })
    }

    /// Counts the impression for frequency caps, sets the full charge aside and makes the bid.
    pub(super) fn hold<S: HoldSource>(
        &self,
        core: &mut Core,
        holds: &mut S,
        best: &Best<'r>,
        bids_before: usize,
    ) -> Result<(Bid<'r>, S::Hold, Option<Pending<'r>>), NoBidReason> {
        let request = self.request;
        let line = self.line(best);
        let show = self.show::<S>(core, line, best)?;
        let life = hold_life(request, self.place.imp, best.creative.medium.media_type())?;
        let advertiser = &request.catalog().advertisers()[line.advertiser];
        let rate = request.snapshot.rates.cross(self.place.currency, advertiser.currency);
        let terms = Terms {
            rate: rate.ok_or(NoBidReason::Currency)?,
            data_fee: advertiser.data_fee,
            platform_ppm: advertiser.platform_ppm,
            multiplier_ppm: self.terms.multiplier_ppm,
        };
        let amount = hold_for(best.offer.price, &terms).ok_or(NoBidReason::Budget)?;
        let base_rate = request.snapshot.rates.cross(request.snapshot.rates.base(), advertiser.currency);
        let limit = base_rate.and_then(|rate| rate.amount(request.settings.max_charge));
        if limit.is_none_or(|limit| amount > limit) {
            return Err(NoBidReason::LimitExceeded);
        }
        let unit_rate = request.snapshot.rates.cross(request.profile.currency, advertiser.currency);
        let granted = holds.try_hold(&HoldRequest {
            line_item: line.id,
            amount,
            unit_rate: unit_rate.unwrap_or(terms.rate),
            exchange: request.profile.id,
            format: life.format,
            life_s: life.life_s,
            slot_s: life.slot_s,
            now: request.now,
        })?;
        core.foresee(request, self.place.imp);
        let id = core.bid_ids.next();
        let claims = TokenClaims {
            exchange: request.profile.id,
            bid: id,
            lease: granted.lease,
            bucket: granted.bucket,
            line_item: line.id,
            creative: best.creative.creative.id,
            issued_s: request.now.second(),
            price: best.offer.price,
            currency: self.place.currency,
            rate: terms.rate,
            data_fee: terms.data_fee,
            platform_ppm: terms.platform_ppm.clamp(0, i64::from(u32::MAX)) as u32,
            multiplier_ppm: terms.multiplier_ppm,
            budget_day: granted.day.0,
            test: request.auction.test,
            user: core.lookup.primary.unwrap_or(UserKey(0)),
            deal: self.deal.and_then(|deal| line.item.targeting.deal_of(request.profile.id, deal.id)),
        };
        let bid = Bid {
            imp_id: self.place.imp.id,
            imp_index: self.place.position,
            id,
            price: best.offer.price,
            currency: self.place.currency,
            creative: best.creative.creative,
            fill: best.creative.fill,
            size: best.creative.size,
            flexible: best.creative.flexible,
            duration_s: best.creative.duration_s,
            skips_itself: best.creative.skips_itself,
            slot_in_pod: pod::slot(&best.creative, bids_before),
            transparency: (best.creative.creative.transparency.as_ref())
                .filter(|_| matches!(request.auction.regs.dsa.required, Some(1..=3))),
            campaign: line.campaign_id,
            deal_id: self.deal.map(|deal| deal.id),
            exp_s: life.exp_s,
            claims,
            evidence: request.arena.alloc(core.evidence(
                request,
                line,
                best.creative.creative.id,
                &EvidenceOf {
                    offer: &best.offer,
                    currency: self.place.currency,
                    first_price: self.is_first_price(),
                    market: best.market,
                    life_s: life.life_s,
                },
            )),
        };
        Ok((bid, granted.hold, show))
    }
}
