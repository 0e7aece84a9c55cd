//! What may come of an impression: its features, what the models expect of a line item on it, and what is kept of both for
//! those who learn.

use super::catalog::CatalogLineItem;
use super::context::{Core, Request};
use crate::budget::frequency;
use crate::model::auction::{Auction, Deal, Imp};
use crate::model::event::{Evidence, Features, Place};
use crate::model::exchange::ExchangeProfile;
use crate::model::ids::{AdvertiserId, CreativeId, SegmentId};
use crate::model::line_item::Strategy;
use crate::model::mix::splitmix64;
use crate::model::money::{Cpm, Currency};
use crate::pricing::learning::{Owner, Seen, Sums};
use crate::pricing::prediction::{Context, ContextFacts, Crosses, OfferFacts, OfferKeys};
use crate::pricing::{Offer, Predicted, value};

/// `at` of an auction whose winner pays its own bid (OpenRTB 2.6 section 3.2.1).
const FIRST_PRICE: i64 = 1;
/// Segments that predictions look at.
const MOST_SEGMENTS: usize = 32;

/// What all candidates for an impression share, in buffers that are used again.
#[derive(Debug, Default)]
pub(super) struct Outlook {
    context: Context,
    sums: Sums,
    segments: Vec<SegmentId>,
    /// Where the request is from.
    place: Place,
    /// What is above is of the impression at hand.
    is_current: bool,
}

impl Outlook {
    /// [`Place::inventory`] of the request.
    pub(super) fn inventory(&self) -> u64 {
        self.place.inventory
    }
}

impl Core {
    /// Another request, whose user was looked up.
    pub(super) fn face(&mut self, request: &Request<'_>) {
        self.outlook.place = Place::of(request.auction);
    }

    /// Another impression, which is taken in once somebody asks for what may come of it.
    pub(super) fn turn_to_next(&mut self) {
        self.outlook.is_current = false;
    }

    /// Takes in an impression.
    pub(super) fn foresee(&mut self, request: &Request<'_>, imp: &Imp<'_>) {
        let outlook = &mut self.outlook;
        if std::mem::replace(&mut outlook.is_current, true) {
            return;
        }
        let (auction, place) = (request.auction, outlook.place);
        let taxonomy = request.catalog().taxonomy();
        // What is sensitive is nothing to predict from.
        let plain = self.lookup.segments.iter().filter(|segment| !taxonomy.is_sensitive(**segment));
        outlook.segments.clear();
        outlook.segments.extend(plain.take(MOST_SEGMENTS));
        let (os, browser) = self.families.resolve(&auction.device);
        let first = imp.media().next();
        outlook.context.fill(&ContextFacts {
            exchange: request.profile.id,
            site: place.inventory,
            slot: imp.tag_id,
            size: first.and_then(|medium| medium.first_size()),
            format: first.map(|medium| medium.media_type()),
            position: first.and_then(|medium| medium.position()),
            country: place.country,
            region: auction.device.geo.region,
            hour_of_week: hour_of_week(request.now.unix_s()),
            device_type: auction.device.device_type,
            os,
            browser,
            connection: auction.device.connection_type,
            segments: &outlook.segments,
        });
        outlook.sums = request.snapshot.learned.sums(&outlook.context);
    }

    /// How often the person was shown something of a line item's campaign, and how many seconds ago last; `None` where nobody
    /// counts that.
    pub(super) fn times_shown(&self, line: &CatalogLineItem) -> Option<(u32, Option<u32>)> {
        if self.counts_shows { self.seen.shown(line.campaign_id, &line.frequency) } else { None }
    }

    /// The features of a candidate.
    fn crosses(&self, request: &Request<'_>, line: &CatalogLineItem, creative: CreativeId) -> Crosses {
        let owner = owner(request, line);
        let shown = self.times_shown(line);
        let keys = OfferKeys::new(owner.advertiser, owner.campaign, owner.line_item, creative);
        let mut crosses = Crosses::default();
        crosses.fill(&self.outlook.context, &offer_facts(keys, shown));
        crosses
    }

    /// What is expected of a line item whose value rests on it; `seed` is the impression's, so that the same request is expected
    /// the same of.
    pub(super) fn predict(&self, request: &Request<'_>, prospect: &Prospect, seed: u64) -> Predicted {
        /// Keeps these draws apart from those of pacing, rotation, ties and shading.
        const SALT: u64 = 0x6F75_746C_6F6F_6B00;
        let owner = &prospect.owner;
        let counted = self.counts_shows && prospect.counts_campaign;
        let shown = if counted { self.seen.of_campaign(owner.campaign) } else { None };
        let Outlook { context, sums, .. } = &self.outlook;
        let mut crosses = Crosses::default();
        crosses.fill(context, &offer_facts(prospect.keys, shown));
        let draw = splitmix64(seed ^ SALT ^ u64::from(owner.line_item.0));
        let seen = Seen { context, sums: *sums, crosses: &crosses, draw };
        request.snapshot.learned.predict(&seen, owner, prospect.strategy.predicts())
    }

    /// What those who learn should know of a bid.
    pub(super) fn evidence(
        &self,
        request: &Request<'_>,
        line: &CatalogLineItem,
        creative: CreativeId,
        bid: &EvidenceOf<'_>,
    ) -> Evidence {
        let rates = &request.snapshot.rates;
        let base_price = rates.convert_capped(bid.offer.price, bid.currency, rates.base());
        let crosses = self.crosses(request, line, creative);
        let features = self.outlook.context.features().iter().chain(crosses.features()).copied();
        Evidence {
            worth: bid.offer.worth,
            base_price: base_price.unwrap_or_default(),
            first_price: bid.first_price,
            propensity_ppb: bid.offer.propensity_ppb,
            market: bid.market,
            click_ppb: bid.offer.predicted.click_ppb,
            conversion_ppb: bid.offer.predicted.conversion_ppb,
            life_s: bid.life_s,
            features: Features::new(features),
        }
    }
}

/// What an outlook asks of a line item whose value rests on it, all in one place: a line item itself fills many lines of the
/// cache, and most candidates are not looked at closer.
///
/// Of several creatives the first one stands for all: which is shown is drawn after the price is known, and a bound of the price
/// must hold for each. What is learned is the one that was shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prospect {
    keys: OfferKeys,
    owner: Owner,
    strategy: Strategy,
    bid: Cpm,
    upper_ppm: i64,
    counts_campaign: bool,
}

impl Prospect {
    /// Of a line item of this advertiser, whose first creative is `creative`.
    pub(super) fn of(line: &CatalogLineItem, advertiser: AdvertiserId, creative: CreativeId) -> Prospect {
        let item = &line.item;
        Prospect {
            keys: OfferKeys::new(advertiser, item.campaign, item.id, creative),
            owner: Owner {
                advertiser,
                campaign: item.campaign,
                line_item: item.id,
                conversion_value: line.conversion_value,
            },
            strategy: item.strategy,
            bid: item.bid,
            upper_ppm: line.multipliers.upper_ppm(),
            counts_campaign: frequency::Seen::counts(item.campaign, &line.frequency),
        }
    }

    /// Has the memory fetch it.
    pub(super) fn announce(&self) {
        std::hint::black_box((self.bid, self.keys));
    }

    /// No value times multipliers is above this where so much is expected.
    pub(super) fn upper_value(&self, predicted: &Predicted) -> Cpm {
        value(self.strategy, self.bid, predicted).scale_ppm(self.upper_ppm)
    }
}

fn offer_facts(keys: OfferKeys, shown: Option<(u32, Option<u32>)>) -> OfferFacts {
    let (frequency, recency_s) = (shown.map(|(times, _)| times), shown.and_then(|(_, ago_s)| ago_s));
    OfferFacts { keys, frequency, recency_s }
}

/// What [`Core::evidence`] is made of beside the impression.
pub(super) struct EvidenceOf<'o> {
    pub(super) offer: &'o Offer,
    pub(super) currency: Currency,
    pub(super) first_price: bool,
    pub(super) market: u64,
    pub(super) life_s: u32,
}

/// Whether the winner pays its own bid and no price was agreed on.
pub(super) fn is_first_price(
    auction: &Auction<'_>,
    profile: &ExchangeProfile,
    deal: Option<&Deal<'_>>,
) -> bool {
    let at = deal.and_then(|deal| deal.at).or(auction.at).unwrap_or(profile.default_at);
    at == FIRST_PRICE
}

fn owner(request: &Request<'_>, line: &CatalogLineItem) -> Owner {
    Owner {
        advertiser: request.catalog().advertisers()[line.advertiser].id,
        campaign: line.campaign_id,
        line_item: line.id,
        conversion_value: line.conversion_value,
    }
}

/// Of UTC, 0 from Monday midnight; 1970 began on a Thursday.
fn hour_of_week(unix_s: i64) -> u8 {
    (unix_s.div_euclid(3_600) + 72).rem_euclid(168) as u8
}
