//! The choice for one place of an impression (the open auction or one deal): creative, price, best offer, hold.

use super::catalog::{CatalogCreative, CatalogLineItem};
use super::context::{Core, Request};
use super::creative;
use super::decide::{ImpTerms, Place, Reasons};
use super::observer::Observer;
use crate::budget::{HoldRequest, HoldSource, Terms, hold_for};
use crate::model::auction::{Channel, Deal};
use crate::model::bid::Bid;
use crate::model::ids::UserKey;
use crate::model::line_item::ChannelKind;
use crate::model::no_bid::NoBidReason;
use crate::model::token::TokenClaims;
use crate::pricing::{self, Factors, Offer, OfferInputs, PriceFacts};
use crate::targeting::LineItemIx;

/// `at` of a deal whose `bidfloor` is the agreed price (OpenRTB 2.6 section 3.2.12).
const FIXED_PRICE: i64 = 3;

/// The best offer so far for one place.
pub(super) struct Best<'r> {
    survivor: usize,
    pub(super) line_item: LineItemIx,
    offer: Offer,
    tie: u64,
    creative: &'r CatalogCreative,
}

/// The choice for one place of an impression: the open auction or one deal.
pub(super) struct Choice<'c, 'r, O> {
    pub(super) request: &'c Request<'r>,
    pub(super) place: &'c Place<'r>,
    pub(super) deal: Option<&'r Deal<'r>>,
    pub(super) terms: &'c ImpTerms,
    pub(super) observer: &'c mut O,
    pub(super) reasons: &'c mut Reasons,
}

impl<'r, O: Observer> Choice<'_, 'r, O> {
    /// Scores survivors by falling upper bound until no later one can be better; equal offers are told apart by a
    /// draw, so that no line item wins by its number.
    pub(super) fn best(&mut self, core: &mut Core, taken: &[Bid<'r>]) -> Option<Best<'r>> {
        let mut best: Option<Best<'r>> = None;
        for at in 0..core.survivors.len() {
            let survivor = core.survivors[at];
            if let Some(best) = &best
                && best.offer.worth > survivor.upper
                && !O::EXHAUSTIVE
            {
                break;
            }
            let line = self.request.catalog().line_item(survivor.line_item);
            let campaign = self.request.catalog().campaigns()[line.campaign].id;
            let wanted = self.wants(line) && !taken.iter().any(|bid| bid.campaign == campaign);
            if survivor.out || !wanted {
                continue;
            }
            match self.score(core, line, survivor.line_item) {
                Ok((offer, creative, tie)) => {
                    let better = best.as_ref().is_none_or(|b| (offer.worth, tie) > (b.offer.worth, b.tie));
                    if better {
                        best =
                            Some(Best { survivor: at, line_item: survivor.line_item, offer, tie, creative });
                    }
                }
                Err((reason, offer)) => {
                    self.observer.rejected(self.place.position, survivor.line_item, reason, offer.as_ref());
                    self.reasons.add(reason);
                    // Another deal may have another floor or other rules, so only a last place rules it out for good.
                    core.survivors[at].out = self.deal.is_none();
                }
            }
        }
        best
    }

    /// A line item with deals bids on those only; one without bids in the open auction only.
    fn wants(&self, line: &CatalogLineItem) -> bool {
        let deals = &line.item.targeting.deals.include;
        match self.deal {
            None => deals.is_empty(),
            Some(deal) => deals.iter().any(|id| id == deal.id),
        }
    }

    /// Creative, factors, offer: each or the reason why not.
    #[allow(clippy::type_complexity)] // the three parts of an offer, or a reason with the offer that failed
    fn score(
        &mut self,
        core: &Core,
        line: &CatalogLineItem,
        ix: LineItemIx,
    ) -> Result<(Offer, &'r CatalogCreative, u64), (NoBidReason, Option<Offer>)> {
        let request = self.request;
        let tie = mix(self.terms.seed ^ u64::from(line.item.id.0));
        let creative = creative::pick(line, request, self.place.imp, self.deal, mix(tie));
        let creative = creative.map_err(|reason| (reason, None))?;
        let factors = self.factors(core, line, creative);
        let rates = &request.snapshot.rates;
        let floor = match self.deal {
            None => pricing::imp_floor(self.place.imp, self.place.currency, rates),
            Some(deal) => pricing::deal_floor(deal, self.place.imp, self.place.currency, rates),
        };
        let floor = floor.map_err(|_| (NoBidReason::BelowFloor, None))?;
        let inputs = OfferInputs {
            factors,
            bid_currency: self.place.currency,
            exchange_cap: self.terms.exchange_cap,
            floor,
            fixed_price: self.deal.is_some_and(|deal| deal.at == Some(FIXED_PRICE)),
            rates,
        };
        let offer = pricing::offer(&line.pricer, &inputs)?;
        self.observer.offered(self.place.position, ix, self.deal.map(|d| d.id), &offer, &factors);
        Ok((offer, creative, tie))
    }

    fn factors(&self, core: &Core, line: &CatalogLineItem, creative: &CatalogCreative) -> Factors {
        let auction = self.request.auction;
        line.multipliers.factors(&PriceFacts {
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
            size: creative.creative.size,
            deal: self.deal.map(|deal| deal.id),
            hour_of_week: core.hours.get(line.zone),
        })
    }

    /// Sets the full charge aside and makes the bid.
    pub(super) fn hold<S: HoldSource>(
        &self,
        core: &mut Core,
        holds: &mut S,
        best: &Best<'r>,
    ) -> Result<(Bid<'r>, S::Hold), NoBidReason> {
        let request = self.request;
        let line = request.catalog().line_item(best.line_item);
        let advertiser = &request.catalog().advertisers()[line.advertiser];
        let rate = request.snapshot.rates.cross(self.place.currency, advertiser.currency);
        let terms = Terms {
            rate: rate.ok_or(NoBidReason::Currency)?,
            data_fee: advertiser.data_fee,
            platform_ppm: advertiser.platform_ppm,
            multiplier_ppm: self.terms.multiplier_ppm,
        };
        let amount = hold_for(best.offer.price, &terms).ok_or(NoBidReason::Budget)?;
        let wanted =
            HoldRequest { line_item: line.item.id, amount, bucket: self.terms.bucket, now: request.now };
        let (hold, lease, day) = holds.try_hold(&wanted)?;
        let id = core.bid_ids.next();
        let claims = TokenClaims {
            exchange: request.profile.id,
            bid: id,
            lease,
            bucket: self.terms.bucket,
            line_item: line.item.id,
            creative: best.creative.creative.id,
            issued_s: request.now.unix_s().clamp(0, i64::from(u32::MAX)) as u32,
            price: best.offer.price,
            currency: self.place.currency,
            rate: terms.rate,
            data_fee: terms.data_fee,
            platform_ppm: terms.platform_ppm.clamp(0, i64::from(u32::MAX)) as u32,
            multiplier_ppm: terms.multiplier_ppm,
            budget_day: day.0,
            test: request.auction.test,
            user: core.lookup.primary.unwrap_or(UserKey(0)),
        };
        let bid = Bid {
            imp_id: self.place.imp.id,
            imp_index: self.place.position,
            id,
            price: best.offer.price,
            currency: self.place.currency,
            creative: &best.creative.creative,
            template: &best.creative.template,
            size: best.creative.creative.size,
            campaign: request.catalog().campaigns()[line.campaign].id,
            deal_id: self.deal.map(|deal| deal.id),
            exp_s: self.terms.exp_s,
            claims,
        };
        Ok((bid, hold))
    }

    pub(super) fn reject(&mut self, core: &mut Core, best: &Best<'_>, reason: NoBidReason) {
        self.observer.rejected(self.place.position, best.line_item, reason, Some(&best.offer));
        self.reasons.add(reason);
        core.survivors[best.survivor].out = true;
    }
}

/// SplitMix64's finaliser (Steele, Lea, Flood 2014): spreads a seed over all bits.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
