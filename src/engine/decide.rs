//! The inner line: one function a step, one reason a rejection.

use super::choose::Choice;
use super::context::{Core, Request};
use super::deadline::Deadline;
use super::observer::Observer;
use super::pod;
use super::survivors;
use crate::audience;
use crate::budget::HoldSource;
use crate::budget::frequency::Pending;
use crate::model::auction::{Channel, Deal, Imp};
use crate::model::bid::Bid;
use crate::model::ids::SegmentId;
use crate::model::money::{Cpm, Currency};
use crate::model::no_bid::NoBidReason;
use crate::model::targeting::MediaType;
use crate::model::token::HoldFormat;
use crate::privacy;
use crate::targeting::Facts;
use bumpalo::collections::Vec as ArenaVec;
use std::hash::BuildHasher;

/// All bids of one answer, in the order of the impressions, never none; beside each the guard of its money, which
/// releases it unless it is kept.
#[derive(Debug)]
pub struct Decision<'r, H> {
    /// What to answer.
    pub bids: ArenaVec<'r, Bid<'r>>,
    /// `holds[i]` guards the money of `bids[i]`.
    pub holds: ArenaVec<'r, H>,
    /// `shows[i]` guards what `bids[i]` counts for frequency caps, if anything.
    pub shows: ArenaVec<'r, Option<Pending<'r>>>,
}

/// Decides one request. An error is the reason for the whole request: the first in rank order of what its
/// impressions met. Past the deadline the answer is [`NoBidReason::Deadline`] and nothing stays held.
pub fn decide<'r, S: HoldSource, O: Observer>(
    request: &Request<'r>,
    core: &mut Core,
    holds: &mut S,
    deadline: &Deadline<'_>,
    observer: &mut O,
) -> Result<Decision<'r, S::Hold>, NoBidReason> {
    core.last_survivors.clear();
    core.last_permissions = None;
    let currency = preflight(request, core)?;
    look_up(request, core, observer);
    if core.last_permissions.is_some_and(|permissions| !permissions.context()) {
        return Err(NoBidReason::Consent);
    }
    refresh_hours(request, core);
    match_request(request, core);
    if deadline.passed() {
        return Err(NoBidReason::Deadline);
    }
    let arena = request.arena;
    let mut decision = Decision {
        bids: ArenaVec::new_in(arena),
        holds: ArenaVec::new_in(arena),
        shows: ArenaVec::new_in(arena),
    };
    let mut reason: Option<NoBidReason> = None;
    for (position, imp) in request.auction.imps.iter().enumerate() {
        let before = decision.bids.len();
        let place = Place { position, imp, currency };
        let met = decide_imp(request, core, holds, observer, &place, &mut decision);
        if decision.bids.len() == before {
            observer.no_bid(position, met);
            reason = Some(reason.map_or(met, |r| r.min(met)));
        }
    }
    if deadline.passed() {
        return Err(NoBidReason::Deadline);
    }
    if decision.bids.is_empty() { Err(reason.unwrap_or(NoBidReason::InvalidRequest)) } else { Ok(decision) }
}

/// What rules out the whole request; else the currency to bid in.
fn preflight(request: &Request<'_>, core: &mut Core) -> Result<Currency, NoBidReason> {
    let (auction, profile) = (request.auction, request.profile);
    if let Some(fault) = auction.fault {
        return Err(fault);
    }
    if let Some(refusal) = request.catalog().safety().refuses(auction, profile, &mut core.families) {
        return Err(refusal);
    }
    let currency = bid_currency(request).ok_or(NoBidReason::Currency)?;
    let seat = profile.seat.as_str();
    let allowed = auction.wseat.is_empty() || auction.wseat.contains(&seat);
    if !allowed || auction.bseat.contains(&seat) { Err(NoBidReason::Seat) } else { Ok(currency) }
}

/// The profile's currency where the request allows it, else the first allowed one that has a rate. An absent `cur`
/// means USD (market convention, OpenRTB 2.6 section 3.2.1).
pub(super) fn bid_currency(request: &Request<'_>) -> Option<Currency> {
    let rates = &request.snapshot.rates;
    let preferred = request.profile.currency;
    let implied = [Currency::USD];
    let allowed = if request.auction.cur_given { request.auction.cur } else { &implied };
    let usable = |currency: &&Currency| rates.get(**currency).is_some();
    allowed.iter().filter(usable).find(|c| **c == preferred).or_else(|| allowed.iter().find(usable)).copied()
}

/// Privacy gate, then who the user is and which segments, each as far as it permits.
pub(super) fn look_up<O: Observer>(request: &Request<'_>, core: &mut Core, observer: &mut O) {
    core.keys.clear();
    core.lookup.clear();
    core.segment_entries.clear();
    core.user_permitted = false;
    core.counts_shows = false;
    let Some(opportunity) = request.auction.opportunities().next() else { return };
    let permissions = match request.remembered {
        None => privacy::gate(&opportunity, &rules(request)),
        Some(remembered) => remembered.permissions,
    };
    core.last_permissions = Some(permissions);
    observer.permissions(&permissions);
    if let Some(proof) = permissions.ids() {
        audience::keys(request.auction, request.profile, request.id_key, proof, &mut core.keys);
        request.audience.identify(&core.keys, request.now.unix_s(), proof, &mut core.lookup);
    }
    count_shows(request, core);
    core.user_permitted = permissions.segments().is_some();
    if let Some(proof) = permissions.segments() {
        let taxonomy = request.catalog().taxonomy();
        match request.remembered {
            None => {
                request.audience.lookup(&core.keys, taxonomy, request.now.unix_s(), proof, &mut core.lookup)
            }
            Some(remembered) => {
                core.lookup.remember(remembered.known, remembered.segments, remembered.refused)
            }
        }
        add_provided(request, &mut core.lookup.segments);
        let entry = |segment| taxonomy.interval(segment).map(|(entry, _)| entry);
        core.segment_entries.extend(core.lookup.segments.iter().filter_map(|s| entry(*s)));
        core.segment_entries.sort_unstable();
    }
    observer.audience(&core.lookup);
}

/// Looks up what the person was shown, where anything is capped and this request counts.
fn count_shows(request: &Request<'_>, core: &mut Core) {
    let table = request.frequency.filter(|_| request.catalog().caps && !request.auction.test);
    core.counts_shows = table.is_some();
    if let Some(table) = table {
        table.look(core.lookup.primary, request.now.second(), &mut core.seen);
    }
}

/// The rules of the privacy gate for one request.
pub(super) fn rules(request: &Request<'_>) -> privacy::Rules {
    privacy::Rules { gdpr_default: request.profile.gdpr_default, policy: request.settings.privacy }
}

/// What the request itself says of the user, joined with `segments`, which ascend.
fn add_provided(request: &Request<'_>, segments: &mut Vec<SegmentId>) {
    let names = &request.catalog().external;
    let said = request.auction.user.segments;
    if names.is_empty() || said.is_empty() {
        return;
    }
    let known = segments.len();
    segments.extend(names.meant(said));
    if segments.len() > known {
        segments.sort_unstable();
        segments.dedup();
    }
}

/// The hour of the week in each advertiser's zone, for the hour multipliers.
fn refresh_hours(request: &Request<'_>, core: &mut Core) {
    let catalog = request.catalog();
    if core.hours_of != catalog.version {
        core.hours.reset();
        core.hours_of = catalog.version;
    }
    core.hours.refresh(catalog.zones(), request.now.unix_s());
}

/// The request-level half of matching.
fn match_request(request: &Request<'_>, core: &mut Core) {
    core.face(request);
    let families = core.families.resolve(&request.auction.device);
    let facts = facts(request, &core.lookup.segments, core.user_permitted, families);
    request.catalog().matcher().request(&facts, &mut core.scratch);
}

/// What targeting looks at.
pub(super) fn facts<'f>(
    request: &Request<'f>,
    segments: &'f [SegmentId],
    user_permitted: bool,
    (os, browser): (Option<&'f str>, Option<&'f str>),
) -> Facts<'f> {
    let (exchange, auction, unix_s) = (request.profile.id, request.auction, request.now.unix_s());
    Facts { exchange, auction, user_permitted, segments, os, browser, unix_s }
}

/// One impression and the currency of the answer.
pub(super) struct Place<'r> {
    pub(super) position: usize,
    pub(super) imp: &'r Imp<'r>,
    pub(super) currency: Currency,
}

/// Bids for one impression: the best for each deal and the best in the open auction, as many as the profile says, each
/// from another campaign. Deal bids and open bids are never weighed against each other (implementation guide section
/// 7.3). Returns the reason to report if it adds none.
fn decide_imp<'r, S: HoldSource, O: Observer>(
    request: &Request<'r>,
    core: &mut Core,
    holds: &mut S,
    observer: &mut O,
    place: &Place<'r>,
    decision: &mut Decision<'r, S::Hold>,
) -> NoBidReason {
    let terms = match imp_terms(request, place) {
        Ok(terms) => terms,
        Err(reason) => return reason,
    };
    let mut reasons = Reasons { first: NoBidReason::NoMatch, any: false };
    core.turn_to_next();
    survivors::collect(request, core, observer, place, terms.seed, &mut reasons);
    let first_bid = decision.bids.len();
    // Without a survivor that has deals there is nothing to ask on any deal.
    let deals = if core.survivors.with_deals.is_empty() { &[] } else { place.imp.deals };
    for deal in deals.iter().map(Some).chain([None]) {
        let mut choice = Choice::new(request, place, deal, &terms, observer, &mut reasons);
        if !deal_open_to_us(request, place.imp, deal) {
            choice.refuse_deal(core);
            continue;
        }
        choice.announce(core, holds);
        let mut room = pod::room(place.imp, choice.room);
        while room > 0
            && let Some(best) = choice.best(core, &decision.bids)
        {
            match choice.hold(core, holds, &best, decision.bids.len() - first_bid) {
                Ok((bid, hold, show)) => {
                    choice.observer.chosen(place.position, best.line_item, deal.map(|d| d.id));
                    decision.bids.push(bid);
                    decision.holds.push(hold);
                    decision.shows.push(show);
                    room -= 1;
                }
                Err(reason) => choice.reject(&best, reason),
            }
        }
    }
    reasons.first
}

/// The first reason in rank order that was met.
pub(super) struct Reasons {
    first: NoBidReason,
    any: bool,
}

impl Reasons {
    pub(super) fn add(&mut self, reason: NoBidReason) {
        self.first = if self.any { self.first.min(reason) } else { reason };
        self.any = true;
    }
}

/// What holds for every offer on one impression.
pub(super) struct ImpTerms {
    pub(super) multiplier_ppm: i64,
    pub(super) exchange_cap: Cpm,
    /// Draws of this impression derive from it.
    pub(super) seed: u64,
}

fn imp_terms(request: &Request<'_>, place: &Place<'_>) -> Result<ImpTerms, NoBidReason> {
    let (imp, profile) = (place.imp, request.profile);
    if let Some(fault) = imp.fault {
        return Err(fault);
    }
    let multiplier = imp.multiplier_ppm.filter(|m| (1..=profile.max_multiplier_ppm).contains(m));
    let multiplier_ppm = multiplier.ok_or(NoBidReason::Multiplier)?;
    if !imp.media().any(|medium| hold_life(request, imp, medium.media_type()).is_ok()) {
        return Err(NoBidReason::HoldLife);
    }
    let rates = &request.snapshot.rates;
    let exchange_cap = rates.convert_capped(profile.max_cpm, profile.currency, place.currency);
    let everywhere = rates.convert_capped(request.settings.max_cpm, rates.base(), place.currency);
    let exchange_cap = exchange_cap.min(everywhere).ok_or(NoBidReason::Currency)?;
    let hasher = foldhash::quality::FixedState::with_seed(request.settings.seed);
    let seed = hasher.hash_one((request.auction.id, imp.id));
    Ok(ImpTerms { multiplier_ppm, exchange_cap, seed })
}

/// How long a bid stands and its money is held, in seconds.
#[derive(Clone, Copy)]
pub(super) struct HoldLife {
    /// `bid.exp`.
    pub(super) exp_s: u32,
    pub(super) format: HoldFormat,
    pub(super) life_s: u32,
    pub(super) slot_s: u32,
}

/// Life of a hold (money.md 2.3): max(imp.exp, the time until `imp.dt`, the profile's default for the format) + grace,
/// in slots of a 32nd of the default.
pub(super) fn hold_life(
    request: &Request<'_>,
    imp: &Imp<'_>,
    medium: MediaType,
) -> Result<HoldLife, NoBidReason> {
    let lives = &request.profile.holds;
    let is_app = matches!(request.auction.channel, Channel::App(_));
    let (format, default_s) = match medium {
        MediaType::Video | MediaType::Audio => (HoldFormat::Stream, lives.video_s),
        MediaType::Native if is_app => (HoldFormat::AppInterstitial, lives.app_interstitial_s),
        MediaType::Banner if is_app && imp.interstitial => {
            (HoldFormat::AppInterstitial, lives.app_interstitial_s)
        }
        MediaType::Banner if is_app => (HoldFormat::AppBanner, lives.app_banner_s),
        MediaType::Banner | MediaType::Native => (HoldFormat::WebBanner, lives.web_banner_s),
    };
    let until_shown_s = (imp.shown_ms(request.now.unix_ms) - request.now.unix_ms + 999) / 1_000;
    let until_shown_s = u32::try_from(until_shown_s).map_err(|_| NoBidReason::HoldLife)?;
    let exp_s = default_s.max(imp.exp_s.unwrap_or(0)).max(until_shown_s);
    let life_s =
        exp_s.checked_add(lives.grace_s).filter(|s| *s <= lives.max_s).ok_or(NoBidReason::HoldLife)?;
    Ok(HoldLife { exp_s, format, life_s, slot_s: default_s.div_ceil(32).max(1) })
}

/// Whether we may bid here at all: open auction (`deal` is none) or one deal. A deal that is listed twice has no
/// certain terms and is not bid on.
fn deal_open_to_us(request: &Request<'_>, imp: &Imp<'_>, deal: Option<&Deal<'_>>) -> bool {
    match deal {
        None => !imp.private_auction,
        Some(deal) => {
            let listed = imp.deals.iter().filter(|other| other.id == deal.id).count();
            listed == 1 && (deal.wseat.is_empty() || deal.wseat.contains(&request.profile.seat.as_str()))
        }
    }
}
