//! Why each line item did or did not bid: the same [`decide`] with a recorder. It holds no money and signs nothing.
//! Line items that the index never visited get their reason from the naive evaluator.

mod not_found;
mod peek;
mod whole;
mod words;

use super::context::{Core, Request};
use super::deadline::Deadline;
use super::decide::{decide, look_up};
use super::observer::{Market, Observer, Rejection};
use crate::audience::Lookup;
use crate::budget::Ledger;
use crate::model::auction::{Imp, Size};
use crate::model::bid::Bid;
use crate::model::ids::{CreativeId, LineItemId, SegmentId};
use crate::model::money::{Cpm, Currency};
use crate::model::no_bid::NoBidReason;
use crate::model::targeting::MediaType;
use crate::pricing::{Factors, Offer};
use crate::privacy::{Permissions, Restriction};
use crate::targeting::LineItemIx;
use not_found::{Known, not_found, reason_not_found};
use peek::Peek;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use words::{Scene, Told};

/// What happened to one request.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    /// Why the user's data was not used, if it was not.
    pub restriction: Option<Restriction>,
    /// The user was found in the audience index.
    pub user_known: bool,
    /// Segments that counted.
    pub segments: Vec<SegmentId>,
    /// Those of them that the request itself names, in `user.data`, whether the user is stored in them or not.
    pub provided: Vec<SegmentId>,
    /// Sensitive segments that did not count, for want of explicit consent.
    pub refused: Vec<SegmentId>,
    /// Why the whole request gets no bid; `None` when it gets one.
    pub no_bid: Option<NoBidReason>,
    /// Each impression.
    pub imps: Vec<ImpExplanation>,
    /// What would be answered, in the order of the impressions.
    pub bids: Vec<ExplainedBid>,
}

impl Explanation {
    /// The segments that the index found, without those that the request names, which are read from it again.
    pub fn found_segments(&self) -> Vec<SegmentId> {
        let is_found = |segment: &&SegmentId| self.provided.binary_search(segment).is_err();
        self.segments.iter().filter(is_found).copied().collect()
    }
}

/// A bid that would be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedBid {
    /// Position of the impression in the request.
    pub imp: usize,
    /// Whose bid it is.
    pub line_item: LineItemId,
    /// What would be shown.
    pub creative: CreativeId,
    /// As what.
    pub medium: MediaType,
    /// In this size, of banners and of video that has one.
    pub size: Option<Size>,
    /// For this many seconds, of video and audio.
    pub duration_s: Option<u32>,
    /// At this price.
    pub price: Cpm,
    /// In this currency.
    pub currency: Currency,
    /// On this deal; `None` = in the open auction.
    pub deal: Option<String>,
}

impl ExplainedBid {
    fn of(bid: &Bid<'_>) -> ExplainedBid {
        ExplainedBid {
            imp: bid.imp_index,
            line_item: bid.claims.line_item,
            creative: bid.creative.id,
            medium: bid.creative.media_type(),
            size: bid.size,
            duration_s: bid.duration_s,
            price: bid.price,
            currency: bid.currency,
            deal: bid.deal_id.map(str::to_owned),
        }
    }
}

/// What happened to one impression.
#[derive(Clone, Debug)]
pub struct ImpExplanation {
    /// `imp.id`.
    pub id: String,
    /// Why it gets no bid; `None` when it gets one, or when the request ended before it.
    pub no_bid: Option<NoBidReason>,
    /// Line items that the index found, ascending by dense index.
    pub candidates: Vec<LineItemIx>,
    /// Every line item of the catalog, those that got furthest first.
    pub verdicts: Vec<LineItemVerdict>,
}

/// What happened to one line item on one impression.
#[derive(Clone, Debug)]
pub struct LineItemVerdict {
    /// The line item.
    pub line_item: LineItemId,
    /// Why it does not bid; `None` when it does.
    pub reason: Option<NoBidReason>,
    /// What of the reason it was, such as the dimension of targeting or whose budget; `""` = the reason says it all.
    pub aspect: &'static str,
    /// The values compared, in words.
    pub detail: String,
    /// Its price, term by term, where it got that far.
    pub priced: Option<Priced>,
}

/// A price with its terms.
#[derive(Clone, Debug)]
pub struct Priced {
    /// The deal it was for; `None` = open auction.
    pub deal: Option<String>,
    /// The terms.
    pub offer: Offer,
    /// The factors; `None` where the offer failed before they were reported.
    pub factors: Option<Factors>,
    /// The most that may be bid on the exchange, in the currency of the offer.
    pub exchange_cap: Option<Cpm>,
}

/// Explains one request; `ledger` is looked at, not moved.
pub fn explain(request: &Request<'_>, core: &mut Core, ledger: &Ledger) -> Explanation {
    explain_some(request, core, ledger, &|_| true)
}

/// The same with the verdicts on some line items alone.
pub fn explain_some(
    request: &Request<'_>,
    core: &mut Core,
    ledger: &Ledger,
    wanted: &dyn Fn(LineItemId) -> bool,
) -> Explanation {
    let mut recorder = Recorder::default();
    let mut peek = Peek::new(ledger, request.catalog());
    let deadline = Deadline::unless_hopeless(request.auction.tmax_ms, request.profile);
    let decided = decide(request, core, &mut peek, &deadline, &mut recorder);
    let mut explanation = recorder.explanation;
    tell_provided(request, &mut explanation);
    explanation.no_bid = decided.as_ref().err().copied();
    explanation.bids =
        decided.iter().flat_map(|decision| decision.bids.iter().map(ExplainedBid::of)).collect();
    drop(decided);
    for (position, imp) in request.auction.imps.iter().enumerate() {
        let mut seen = recorder.imps.remove(&position).unwrap_or_default();
        // What rules out the whole impression or request comes before anything that a line item could meet.
        let rules_out =
            |reason: &NoBidReason| *reason < NoBidReason::NoMatch || *reason == NoBidReason::Deadline;
        let blocked = seen.no_bid.or(explanation.no_bid).filter(rules_out);
        let blocked = blocked.map(|reason| (reason, whole::told(request, core, imp, reason)));
        let line_items = request.catalog().line_items();
        let mut verdicts: Vec<LineItemVerdict> = (0u32..line_items.len() as u32)
            .filter(|ix| wanted(line_items[*ix as usize].item.id))
            .map(|ix| match (&blocked, seen.line_items.remove(&ix)) {
                (Some((reason, told)), _) => verdict(request, LineItemIx(ix), (*reason, told.clone())),
                (None, Some(tries)) => {
                    tried(&Scene { request, core, imp, peek: &peek }, LineItemIx(ix), tries)
                }
                (None, None) => unvisited(request, core, imp, LineItemIx(ix), &seen.candidates),
            })
            .collect();
        // No reason (a bid) first, then by how far it got; the sort is stable, so the catalog's order stands.
        verdicts.sort_by_key(|v| (v.reason.is_some(), Reverse(v.reason)));
        let (id, no_bid, candidates) = (imp.id.to_owned(), seen.no_bid, seen.candidates);
        explanation.imps.push(ImpExplanation { id, no_bid, candidates, verdicts });
    }
    explanation
}

/// Looks up, of a request that was refused before anybody was looked up, what was known of the person, so that it can be
/// decided again on an account that does not refuse it.
pub fn recognise(request: &Request<'_>, core: &mut Core, explanation: &mut Explanation) {
    if core.last_permissions.is_some() {
        return;
    }
    let mut recorder = Recorder::default();
    look_up(request, core, &mut recorder);
    let Explanation { restriction, user_known, segments, refused, .. } = recorder.explanation;
    (explanation.restriction, explanation.user_known) = (restriction, user_known);
    (explanation.segments, explanation.refused) = (segments, refused);
    tell_provided(request, explanation);
}

/// Notes which segments the request itself names.
fn tell_provided(request: &Request<'_>, explanation: &mut Explanation) {
    if explanation.restriction.is_none() {
        explanation.provided = request.catalog().external.meant(request.auction.user.segments).collect();
        explanation.provided.sort_unstable();
        explanation.provided.dedup();
    }
}

/// Why the index does not find line items for a request, of each the reason that it got furthest with; the same that [`explain`]
/// says, without its words. Returns whether line items were looked for at all: where the whole request is refused nobody has
/// a reason of their own, and nothing is told. Costs about 0.1 µs for each line item and impression.
pub fn missed(
    request: &Request<'_>,
    core: &mut Core,
    ledger: &Ledger,
    mut tell: impl FnMut(LineItemIx, NoBidReason),
) -> bool {
    let mut seen = Candidates::default();
    let mut peek = Peek::new(ledger, request.catalog());
    let _decided = decide(request, core, &mut peek, &Deadline::never(), &mut seen);
    if seen.imps.is_empty() {
        return false;
    }
    seen.found.sort_unstable();
    let families = core.families.resolve(&request.auction.device);
    let known = Known { lookup: &core.lookup, user_permitted: core.user_permitted, families };
    for ix in (0..request.catalog().line_items().len() as u32).map(LineItemIx) {
        if seen.found.binary_search(&ix.0).is_ok() {
            continue;
        }
        let imps = seen.imps.iter().map(|at| &request.auction.imps[*at]);
        let furthest = imps.map(|imp| reason_not_found(request, &known, imp, ix)).max();
        tell(ix, furthest.unwrap_or(NoBidReason::NoMatch));
    }
    true
}

#[derive(Default)]
struct Candidates {
    /// The impressions that line items were looked for.
    imps: Vec<usize>,
    found: Vec<u32>,
}

impl Observer for Candidates {
    fn candidates(&mut self, imp: usize, found: &[LineItemIx]) {
        self.imps.push(imp);
        self.found.extend(found.iter().map(|ix| ix.0));
    }
}

#[derive(Default)]
struct Recorder {
    explanation: Explanation,
    imps: BTreeMap<usize, SeenImp>,
}

#[derive(Default)]
struct SeenImp {
    candidates: Vec<LineItemIx>,
    no_bid: Option<NoBidReason>,
    line_items: BTreeMap<u32, Vec<Try>>,
}

/// What became of a line item in one place of an impression.
struct Try {
    deal: Option<String>,
    /// `None` = it was chosen.
    reason: Option<NoBidReason>,
    offer: Option<Offer>,
    factors: Option<Factors>,
    exchange_cap: Option<Cpm>,
}

impl Recorder {
    /// The entry of a line item in a place, made on the first look.
    fn place(&mut self, imp: usize, ix: LineItemIx, deal: Option<&str>) -> &mut Try {
        let tries = self.imps.entry(imp).or_default().line_items.entry(ix.0).or_default();
        let known = tries.iter().position(|at| at.deal.as_deref() == deal);
        let at = known.unwrap_or_else(|| {
            let deal = deal.map(str::to_owned);
            tries.push(Try { deal, reason: None, offer: None, factors: None, exchange_cap: None });
            tries.len() - 1
        });
        &mut tries[at]
    }
}

impl Observer for Recorder {
    const EXHAUSTIVE: bool = true;

    fn permissions(&mut self, permissions: &Permissions) {
        self.explanation.restriction = permissions.restriction();
    }

    fn audience(&mut self, lookup: &Lookup) {
        self.explanation.user_known = lookup.known;
        self.explanation.segments = lookup.segments.clone();
        self.explanation.refused = lookup.refused.clone();
    }

    fn candidates(&mut self, imp: usize, found: &[LineItemIx]) {
        self.imps.entry(imp).or_default().candidates = found.to_vec();
    }

    fn rejected(&mut self, imp: usize, ix: LineItemIx, rejection: &Rejection<'_>) {
        let place = self.place(imp, ix, rejection.deal);
        place.reason = Some(rejection.reason);
        place.offer = place.offer.or(rejection.offer.copied());
    }

    fn asked(&mut self, imp: usize, ix: LineItemIx, deal: Option<&str>, _: &Offer, market: &Market) {
        self.place(imp, ix, deal).exchange_cap = Some(market.exchange_cap);
    }

    fn offered(&mut self, imp: usize, ix: LineItemIx, deal: Option<&str>, offer: &Offer, factors: &Factors) {
        let place = self.place(imp, ix, deal);
        // Unless it is chosen, or its money cannot be held, another one beat it.
        (place.reason, place.offer) = (Some(NoBidReason::LostInternal), Some(*offer));
        place.factors = Some(*factors);
    }

    fn chosen(&mut self, imp: usize, ix: LineItemIx, deal: Option<&str>) {
        self.place(imp, ix, deal).reason = None;
    }

    fn no_bid(&mut self, imp: usize, reason: NoBidReason) {
        self.imps.entry(imp).or_default().no_bid = Some(reason);
    }
}

fn verdict(request: &Request<'_>, ix: LineItemIx, (reason, told): (NoBidReason, Told)) -> LineItemVerdict {
    let line_item = request.catalog().line_item(ix).item.id;
    let (aspect, detail) = told;
    LineItemVerdict { line_item, reason: Some(reason), aspect, detail, priced: None }
}

/// The verdict on a line item that was asked, in one place or more: the one in which it got furthest.
fn tried(scene: &Scene<'_, '_>, ix: LineItemIx, tries: Vec<Try>) -> LineItemVerdict {
    let line_item = scene.request.catalog().line_item(ix).item.id;
    let furthest = tries.into_iter().max_by_key(|at| (at.reason.is_none(), at.reason));
    let Some(place) = furthest else {
        return verdict(scene.request, ix, (NoBidReason::NoMatch, Told::default()));
    };
    let (aspect, detail) = scene.told(ix, &place);
    let Try { deal, reason, offer, factors, exchange_cap } = place;
    let priced = offer.map(|offer| Priced { deal, offer, factors, exchange_cap });
    LineItemVerdict { line_item, reason, aspect, detail, priced }
}

/// The verdict on a line item that was not asked: the naive evaluator says why, unless the index did find it.
fn unvisited(
    request: &Request<'_>,
    core: &mut Core,
    imp: &Imp<'_>,
    ix: LineItemIx,
    candidates: &[LineItemIx],
) -> LineItemVerdict {
    let why = if candidates.contains(&ix) {
        (NoBidReason::LostInternal, ("", "its campaign bids on this impression already".to_owned()))
    } else {
        not_found(request, core, imp, ix)
    };
    verdict(request, ix, why)
}
