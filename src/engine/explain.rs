//! Why each line item did or did not bid: the same [`decide`] with a recorder. It holds no money and signs nothing.
//! Line items that the index never visited get their reason from the naive evaluator.

use super::context::{Core, Request};
use super::deadline::Deadline;
use super::decide::{decide, facts, preflight};
use super::observer::Observer;
use crate::audience::Lookup;
use crate::budget::{BudgetDay, HoldRequest, HoldSource, Ledger};
use crate::model::auction::Imp;
use crate::model::ids::{LeaseId, LineItemId, SegmentId};
use crate::model::no_bid::NoBidReason;
use crate::pricing::{Factors, Offer};
use crate::privacy::{Permissions, Restriction};
use crate::targeting::{LineItemIx, naive};
use std::collections::BTreeMap;

/// What happened to one request.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    /// Why the user's data was not used, if it was not.
    pub restriction: Option<Restriction>,
    /// The user was found in the audience index.
    pub user_known: bool,
    /// Segments that counted.
    pub segments: Vec<SegmentId>,
    /// Sensitive segments that did not count, for want of explicit consent.
    pub refused: Vec<SegmentId>,
    /// Why the whole request gets no bid; `None` when it gets one.
    pub no_bid: Option<NoBidReason>,
    /// Each impression.
    pub imps: Vec<ImpExplanation>,
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
}

/// Explains one request; `ledger` is looked at, not moved.
pub fn explain(request: &Request<'_>, core: &mut Core, ledger: &Ledger) -> Explanation {
    let mut recorder = Recorder::default();
    let decided = decide(request, core, &mut Peek(ledger), &Deadline::never(), &mut recorder);
    let mut explanation = recorder.explanation;
    explanation.no_bid = decided.as_ref().err().copied();
    drop(decided);
    for (position, imp) in request.auction.imps.iter().enumerate() {
        let mut seen = recorder.imps.remove(&position).unwrap_or_default();
        let mut verdicts: Vec<LineItemVerdict> = (0u32..)
            .zip(request.catalog().line_items())
            .map(|(ix, _)| verdict(request, core, imp, LineItemIx(ix), seen.line_items.remove(&ix)))
            .collect();
        // No reason (a bid) first, then by how far it got; the sort is stable, so the catalog's order stands.
        verdicts.sort_by_key(|v| (v.reason.is_some(), std::cmp::Reverse(v.reason)));
        let id = imp.id.to_owned();
        explanation.imps.push(ImpExplanation {
            id,
            no_bid: seen.no_bid,
            candidates: seen.candidates,
            verdicts,
        });
    }
    explanation
}

/// A look at the books in place of a hold.
struct Peek<'l>(&'l Ledger);

impl HoldSource for Peek<'_> {
    type Hold = ();

    fn try_hold(&mut self, request: &HoldRequest) -> Result<((), LeaseId, BudgetDay), NoBidReason> {
        let standing = self.0.standing(request.line_item, request.now).ok_or(NoBidReason::Budget)?;
        let ready = standing.available.0.max(0).saturating_add(standing.free.0);
        (ready >= request.amount.0).then_some(((), LeaseId(0), BudgetDay(0))).ok_or(NoBidReason::Budget)
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
    line_items: BTreeMap<u32, SeenLineItem>,
}

#[derive(Default)]
struct SeenLineItem {
    rejected: Option<NoBidReason>,
    priced: Option<Priced>,
    chosen: bool,
}

impl Recorder {
    fn line_item(&mut self, imp: usize, ix: LineItemIx) -> &mut SeenLineItem {
        self.imps.entry(imp).or_default().line_items.entry(ix.0).or_default()
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

    fn rejected(&mut self, imp: usize, ix: LineItemIx, reason: NoBidReason, offer: Option<&Offer>) {
        let seen = self.line_item(imp, ix);
        seen.rejected = Some(seen.rejected.map_or(reason, |r| r.min(reason)));
        if let (Some(offer), None) = (offer, &seen.priced) {
            seen.priced = Some(Priced { deal: None, offer: *offer, factors: None });
        }
    }

    fn offered(&mut self, imp: usize, ix: LineItemIx, deal: Option<&str>, offer: &Offer, factors: &Factors) {
        let priced = Priced { deal: deal.map(str::to_owned), offer: *offer, factors: Some(*factors) };
        self.line_item(imp, ix).priced = Some(priced);
    }

    fn chosen(&mut self, imp: usize, ix: LineItemIx, _deal: Option<&str>) {
        self.line_item(imp, ix).chosen = true;
    }

    fn no_bid(&mut self, imp: usize, reason: NoBidReason) {
        self.imps.entry(imp).or_default().no_bid = Some(reason);
    }
}

/// Turns what was seen of a line item into its verdict; asks the naive evaluator where nothing was seen.
fn verdict(
    request: &Request<'_>,
    core: &mut Core,
    imp: &Imp<'_>,
    ix: LineItemIx,
    seen: Option<SeenLineItem>,
) -> LineItemVerdict {
    let line_item = request.catalog().line_item(ix).item.id;
    let Some(seen) = seen else {
        let (reason, detail) = unvisited(request, core, imp, ix);
        return LineItemVerdict { line_item, reason: Some(reason), detail, priced: None };
    };
    let (reason, detail) = match (&seen, &seen.priced) {
        (SeenLineItem { chosen: true, .. }, _) => (None, "bids".to_owned()),
        (SeenLineItem { rejected: Some(reason @ NoBidReason::BelowFloor), .. }, Some(priced)) => {
            (Some(*reason), format!("worth {} < floor {}", priced.offer.worth, priced.offer.floor))
        }
        (SeenLineItem { rejected: Some(reason), .. }, Some(priced)) => {
            (Some(*reason), format!("at price {}", priced.offer.price))
        }
        (SeenLineItem { rejected: Some(reason), .. }, None) => (Some(*reason), String::new()),
        (_, Some(priced)) => {
            (Some(NoBidReason::LostInternal), format!("worth {}, another offered more", priced.offer.worth))
        }
        (_, None) => (Some(NoBidReason::Deal), "no offered deal is open to this seat".to_owned()),
    };
    LineItemVerdict { line_item, reason, detail, priced: seen.priced }
}

/// The reason of a line item that the index did not visit.
fn unvisited(request: &Request<'_>, core: &mut Core, imp: &Imp<'_>, ix: LineItemIx) -> (NoBidReason, String) {
    let catalog = request.catalog();
    let line = catalog.line_item(ix);
    if !line.active {
        return (
            NoBidReason::Inactive,
            "the line item, its campaign or its advertiser is not active".to_owned(),
        );
    }
    let campaign = &catalog.campaigns()[line.campaign];
    let now_ms = request.now.unix_ms;
    if !line.item.flight.contains(now_ms) || !campaign.flight.contains(now_ms) {
        return (NoBidReason::Flight, "outside the flight of the line item or its campaign".to_owned());
    }
    if let Some(fault) = preflight(request).err().or(imp.fault) {
        return (fault, "the request or the impression cannot be bid on".to_owned());
    }
    let families = core.families.resolve(&request.auction.device);
    let user_permitted = core.user_permitted;
    let input = line.match_input();
    let failure_with = |segments: &[SegmentId]| {
        naive::first_failure(
            &input,
            &facts(request, segments, user_permitted, families),
            imp,
            catalog.taxonomy(),
        )
    };
    let Some(failure) = failure_with(&core.lookup.segments) else {
        return (NoBidReason::LostInternal, "matches; the request ended before it was asked".to_owned());
    };
    if failure.reason == NoBidReason::Consent
        && let Some(restriction) = restriction(request)
    {
        return (
            NoBidReason::Consent,
            format!("the user's segments may not be used: {}", restriction.as_str()),
        );
    }
    if failure.reason == NoBidReason::Audience {
        let mut with_refused: Vec<SegmentId> = [&core.lookup.segments[..], &core.lookup.refused].concat();
        with_refused.sort_unstable();
        if failure_with(&with_refused).is_none_or(|f| f.reason != NoBidReason::Audience) {
            let detail = "the user is in a sensitive segment without explicit consent on record".to_owned();
            return (NoBidReason::Consent, detail);
        }
    }
    (failure.reason, format!("{}: wants {}, has {}", failure.dimension, failure.wanted, failure.got))
}

fn restriction(request: &Request<'_>) -> Option<Restriction> {
    let opportunity = request.auction.opportunities().next()?;
    let rules = crate::privacy::Rules { gdpr_default: request.profile.gdpr_default };
    crate::privacy::gate(&opportunity, &rules).restriction()
}
