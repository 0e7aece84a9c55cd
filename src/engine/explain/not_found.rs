//! Why the index did not find a line item: rule by rule, by the naive evaluator.

use super::words::{Told, flight, inactive};
use crate::audience::Lookup;
use crate::engine::context::{Core, Request};
use crate::engine::decide::facts;
use crate::model::auction::Imp;
use crate::model::ids::SegmentId;
use crate::model::no_bid::NoBidReason;
use crate::targeting::{LineItemIx, naive};
use jiff::Timestamp;

/// What the request at hand says of the person and the device, for all line items alike.
pub(super) struct Known<'k> {
    pub(super) lookup: &'k Lookup,
    pub(super) user_permitted: bool,
    /// Operating system and browser.
    pub(super) families: (Option<&'k str>, Option<&'k str>),
}

/// A moment in UTC, to the second, for people.
pub(super) fn moment(unix_ms: i64) -> String {
    let at = Timestamp::from_second(unix_ms.div_euclid(1_000));
    at.map_or_else(|_| format!("{unix_ms} ms"), |at| at.to_string())
}

/// The reason with what was compared.
pub(super) fn not_found(
    request: &Request<'_>,
    core: &mut Core,
    imp: &Imp<'_>,
    ix: LineItemIx,
) -> (NoBidReason, Told) {
    let catalog = request.catalog();
    let line = catalog.line_item(ix);
    if !line.active {
        return (NoBidReason::Inactive, inactive(request, line));
    }
    let campaign = &catalog.campaigns()[line.campaign];
    let now_ms = request.now.unix_ms;
    if !line.item.flight.contains(now_ms) || !campaign.flight.contains(now_ms) {
        return (NoBidReason::Flight, flight(request, line, now_ms));
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
        let told = "its rules are met, but the index did not find it".to_owned();
        return (NoBidReason::NoMatch, ("", told));
    };
    if failure.reason == NoBidReason::Consent
        && let Some(restriction) = core.last_permissions.and_then(|permissions| permissions.restriction())
    {
        let told = format!("the user's segments may not be used: {}", restriction.as_str());
        return (NoBidReason::Consent, ("", told));
    }
    if failure.reason == NoBidReason::Audience {
        let mut with_refused: Vec<SegmentId> = [&core.lookup.segments[..], &core.lookup.refused].concat();
        with_refused.sort_unstable();
        if failure_with(&with_refused).is_none_or(|f| f.reason != NoBidReason::Audience) {
            let told = "the user is in a sensitive segment without explicit consent on record, or the request \
                        forbids sensitive segments";
            return (NoBidReason::Consent, ("", told.to_owned()));
        }
    }
    let told = format!("{}: wants {}, has {}", failure.dimension, failure.wanted, failure.got);
    (failure.reason, (failure.aspect, told))
}

/// The reason of [`not_found`] alone.
pub(super) fn reason_not_found(
    request: &Request<'_>,
    known: &Known<'_>,
    imp: &Imp<'_>,
    ix: LineItemIx,
) -> NoBidReason {
    let catalog = request.catalog();
    let line = catalog.line_item(ix);
    if !line.active {
        return NoBidReason::Inactive;
    }
    let now_ms = request.now.unix_ms;
    if !line.item.flight.contains(now_ms) || !catalog.campaigns()[line.campaign].flight.contains(now_ms) {
        return NoBidReason::Flight;
    }
    let (input, lookup) = (line.match_input(), known.lookup);
    let reason_with = |segments: &[SegmentId]| {
        let facts = facts(request, segments, known.user_permitted, known.families);
        naive::first_reason(&input, &facts, imp, catalog.taxonomy())
    };
    match reason_with(&lookup.segments) {
        Some(NoBidReason::Audience) if !lookup.refused.is_empty() => {
            let mut with_refused = [&lookup.segments[..], &lookup.refused].concat();
            with_refused.sort_unstable();
            match reason_with(&with_refused) {
                Some(NoBidReason::Audience) => NoBidReason::Audience,
                _ => NoBidReason::Consent,
            }
        }
        reason => reason.unwrap_or(NoBidReason::NoMatch),
    }
}
