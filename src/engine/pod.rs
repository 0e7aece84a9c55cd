//! What may stand beside what: one bid of a campaign for an impression, and in a pod of video or audio as many ads as
//! it has time and slots for, kept apart as the publisher asks (OpenRTB 2.6 implementation guide section 7.6).

use super::creative::Picked;
use crate::model::auction::Imp;
use crate::model::bid::Bid;
use crate::model::creative::Creative;
use crate::model::ids::CampaignId;
use crate::model::media::{Medium, Pod};
use crate::model::no_bid::NoBidReason;

/// AdCOM "Pod Deduplication Settings".
const BY_DOMAIN: i64 = 1;
const BY_CATEGORY: i64 = 2;
const BY_CREATIVE: i64 = 3;
const BY_FILE: i64 = 4;
const NONE: i64 = 5;

/// AdCOM "Slot Position in Pod".
const FIRST: i64 = 1;
const LAST: i64 = -1;
const FIRST_OR_LAST: i64 = 2;

/// A candidate for one place of an impression, the open auction or one deal.
#[derive(Clone, Copy)]
pub(super) struct Candidate<'c, 'r> {
    pub(super) imp_index: usize,
    pub(super) deal: Option<&'r str>,
    /// Bids that the place takes where it is no pod.
    pub(super) room: usize,
    pub(super) campaign: CampaignId,
    pub(super) picked: &'c Picked<'r>,
}

/// Whether a campaign bids for an impression already.
pub(super) fn has_campaign(bids: &[Bid<'_>], imp_index: usize, campaign: CampaignId) -> bool {
    bids.iter().any(|bid| bid.imp_index == imp_index && bid.campaign == campaign)
}

/// Whether a candidate may stand beside the bids of this answer so far.
pub(super) fn admits(
    imps: &[Imp<'_>],
    bids: &[Bid<'_>],
    candidate: &Candidate<'_, '_>,
) -> Result<(), NoBidReason> {
    if has_campaign(bids, candidate.imp_index, candidate.campaign) {
        return Err(NoBidReason::LostInternal);
    }
    if !has_room(bids, candidate) {
        return Err(NoBidReason::LostInternal);
    }
    let Some(pod) = candidate.picked.medium.stream().map(|stream| &stream.pod) else { return Ok(()) };
    let is_here = |bid: &&Bid<'_>| bid.imp_index == candidate.imp_index && is_of_medium(bid, candidate);
    let fits = pod.duration_s.is_none_or(|room_s| {
        let here = || bids.iter().filter(is_here);
        let filled_s: u32 = here().filter_map(|bid| bid.duration_s).sum();
        let slots = match pod.slot {
            FIRST | LAST => 1,
            FIRST_OR_LAST => 2,
            _ => u32::MAX,
        };
        let most = pod.max_ads.unwrap_or(u32::MAX).min(slots);
        here().count() < most as usize && filled_s + candidate.picked.duration_s.unwrap_or(0) <= room_s
    });
    let is_alike = |bid: &Bid<'_>| {
        let Some(other) = pod_of(&imps[bid.imp_index], bid) else { return false };
        let is_beside = is_here(&bid) || (pod.id.is_some() && other.id == pod.id);
        // What either of them asks for holds for both.
        let rules = [pod.dedupe, other.dedupe];
        is_beside && rules.into_iter().any(|rules| are_alike(rules, bid.creative, candidate.picked.creative))
    };
    if fits && !bids.iter().any(is_alike) { Ok(()) } else { Err(NoBidReason::Pod) }
}

/// A place takes as many bids as the exchange does, and beyond that only more ads for one dynamic pod: what else is
/// offered beside the pod stays one bid against the others.
fn has_room(bids: &[Bid<'_>], candidate: &Candidate<'_, '_>) -> bool {
    let here = || bids.iter().filter(|b| b.imp_index == candidate.imp_index && b.deal_id == candidate.deal);
    let shares = || is_dynamic(candidate.picked.medium) && here().all(|bid| is_of_medium(bid, candidate));
    here().count() < candidate.room || shares()
}

fn is_of_medium(bid: &Bid<'_>, candidate: &Candidate<'_, '_>) -> bool {
    bid.creative.media_type() == candidate.picked.medium.media_type()
}

fn is_dynamic(medium: Medium<'_>) -> bool {
    medium.stream().is_some_and(|stream| stream.pod.duration_s.is_some())
}

/// `bid.slotinpod` of the bid after those that the impression has: only dynamic pods know it.
pub(super) fn slot(picked: &Picked<'_>, bids_before: usize) -> Option<i64> {
    let pod = picked.medium.stream()?.pod;
    pod.duration_s?;
    match pod.slot {
        FIRST_OR_LAST => Some(if bids_before == 0 { FIRST } else { LAST }),
        FIRST | LAST => Some(pod.slot),
        _ => None,
    }
}

/// How many bids are looked for in one place of an impression: for a dynamic pod as many as [`admits`] lets through.
pub(super) fn room(imp: &Imp<'_>, otherwise: usize) -> usize {
    if imp.media().any(is_dynamic) { usize::MAX } else { otherwise }
}

fn pod_of<'i>(imp: &'i Imp<'_>, bid: &Bid<'_>) -> Option<&'i Pod<'i>> {
    let stream = imp.media().find(|medium| medium.media_type() == bid.creative.media_type())?.stream()?;
    Some(&stream.pod)
}

fn are_alike(rules: &[i64], one: &Creative, other: &Creative) -> bool {
    let share = |one: &[String], other: &[String]| {
        one.iter().any(|text| other.iter().any(|candidate| candidate.eq_ignore_ascii_case(text)))
    };
    !rules.contains(&NONE)
        && rules.iter().any(|rule| match *rule {
            BY_DOMAIN => share(&one.adomain, &other.adomain),
            BY_CATEGORY => one.cattax == other.cattax && share(&one.categories, &other.categories),
            BY_CREATIVE => one.id == other.id,
            BY_FILE => one.stream().map(|ad| &ad.source) == other.stream().map(|ad| &ad.source),
            _ => false,
        })
}
