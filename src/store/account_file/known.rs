//! What the file defines so far: ids, names and owners, for finding duplicates and resolving references.

use super::report::{Code, Report};
use super::wire::Quoted;
use crate::model::ids::{
    AdvertiserId, CampaignId, ConversionId, CreativeId, DealId, ExchangeId, ListId, PixelId, SegmentId,
};
use crate::model::line_item::{Advertiser, Budget, Campaign};
use crate::model::list::List;
use crate::model::suggest::closest;
use crate::model::taxonomy::{ExternalSegment, Segment};
use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;
use std::sync::Arc;

/// Everything that can be referred to.
#[derive(Clone, Default)]
pub(super) struct Known {
    pub(super) exchanges: HashMap<String, ExchangeId>,
    pub(super) segments: HashMap<String, SegmentId>,
    pub(super) advertisers: HashMap<AdvertiserId, KnownAdvertiser>,
    pub(super) campaigns: HashMap<CampaignId, KnownCampaign>,
    /// With their owners, where these exist.
    pub(super) creatives: HashMap<CreativeId, Option<AdvertiserId>>,
    pub(super) lists: HashMap<ListId, Arc<List>>,
    /// As targeting looks at them.
    pub(super) deals: HashMap<DealId, Arc<List>>,
    /// With their owners, where these exist.
    pub(super) conversions: HashMap<ConversionId, Option<AdvertiserId>>,
    /// With their owners, where these exist.
    pub(super) pixels: HashMap<PixelId, Option<AdvertiserId>>,
    /// What others call segments.
    pub(super) external: HashMap<ExternalSegment, SegmentId>,
    /// Segments by key that will be there when all of it is read; rules may name them already.
    pub(super) coming: HashMap<String, SegmentId>,
}

/// What line items look at of an advertiser.
#[derive(Clone)]
pub(super) struct KnownAdvertiser {
    pub(super) time_zone: String,
    /// It says how often one person is shown anything of it.
    pub(super) is_capped: bool,
}

impl KnownAdvertiser {
    pub(super) fn of(advertiser: &Advertiser) -> KnownAdvertiser {
        let is_capped = !advertiser.frequency.is_empty();
        KnownAdvertiser { time_zone: advertiser.time_zone.clone(), is_capped }
    }
}

/// What line items look at of a campaign.
#[derive(Clone, Copy)]
pub(super) struct KnownCampaign {
    /// Where it exists.
    pub(super) owner: Option<AdvertiserId>,
    pub(super) budget: Budget,
    /// It says how often one person is shown anything of it.
    pub(super) is_capped: bool,
}

impl KnownCampaign {
    pub(super) fn of(campaign: &Campaign, owner: Option<AdvertiserId>) -> KnownCampaign {
        KnownCampaign { owner, budget: campaign.budget, is_capped: !campaign.frequency.is_empty() }
    }
}

impl Known {
    /// A reference to an exchange by its name, at the current place.
    pub(super) fn exchange(&self, report: &mut Report, name: &str) -> Option<ExchangeId> {
        named(report, "exchange", &self.exchanges, name)
    }

    /// A reference to a segment by its key, at the current place.
    pub(super) fn segment(&self, report: &mut Report, key: &str) -> Option<SegmentId> {
        named(report, "segment", &self.segments, key)
    }
}

impl Known {
    /// Frees the names that others have for a segment.
    pub(super) fn forget_external(&mut self, segment: Option<&Segment>) {
        let Some(segment) = segment else { return };
        for name in &segment.external {
            if self.external.get(name) == Some(&segment.id) {
                self.external.remove(name);
            }
        }
    }

    /// A reference to a segment as the category of events, which may come later, at the current place.
    pub(super) fn category(&self, report: &mut Report, key: &str) -> Option<SegmentId> {
        self.coming.get(key).copied().or_else(|| self.segment(report, key))
    }
}

fn named<T: Copy>(report: &mut Report, kind: &str, known: &HashMap<String, T>, name: &str) -> Option<T> {
    let found = known.get(name).copied();
    if found.is_none() {
        // A million segments are not searched for a likeness for each of thousands of mistakes.
        let near = if known.len() <= 10_000 { closest(name, known.keys().map(String::as_str)) } else { None };
        let hint = near
            .map_or_else(|| "define it or remove this".to_owned(), |near| format!("did you mean {near:?}?"));
        report.error(Code::UnknownReference, format!("there is no {kind} {name:?}; {hint}"));
    }
    found
}

/// A reference by id; what is known of its target is given back with it.
pub(super) fn reference<'k, I, T>(
    report: &mut Report,
    key: &'static str,
    text: Option<&Quoted>,
    known: &'k HashMap<I, T>,
    id: impl FnOnce(u32) -> I,
) -> Option<(I, &'k T)>
where
    I: Eq + Hash + Copy + Display,
{
    let id = id(report.id(key, text, u32::MAX)?);
    let found = known.get(&id);
    if found.is_none() {
        report.error_at(
            key,
            Code::UnknownReference,
            format!("there is no {key} {id}; define it or change this"),
        );
    }
    Some((id, found?))
}

/// A reference by id at the current place.
pub(super) fn reference_here<'k, I, T>(
    report: &mut Report,
    what: &str,
    text: &Quoted,
    known: &'k HashMap<I, T>,
    id: impl FnOnce(u32) -> I,
) -> Option<(I, &'k T)>
where
    I: Eq + Hash + Copy + Display,
{
    let id = id(report.id_here(text, u32::MAX)?);
    let found = known.get(&id);
    if found.is_none() {
        report.error(Code::UnknownReference, format!("there is no {what} {id}; define it or remove this"));
    }
    Some((id, found?))
}

/// Finds ids and names that are used twice, and remembers where they stood first.
pub(super) struct Unique<K> {
    first: HashMap<K, usize>,
}

impl<K: Eq + Hash> Unique<K> {
    pub(super) fn new() -> Unique<K> {
        Unique { first: HashMap::new() }
    }

    /// Notes `value`, which stands at `index`; where it stood before, if it is not new.
    pub(super) fn note(&mut self, value: K, index: usize) -> Option<usize> {
        match self.first.entry(value) {
            std::collections::hash_map::Entry::Occupied(before) => Some(*before.get()),
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(index);
                None
            }
        }
    }
}

/// Ids and names of one list of the file. An id twice is an error; so is a name by which others refer to it, while
/// two line items of one campaign may share a name that only people read.
pub(super) struct Uniques<N> {
    list: &'static str,
    ids: Unique<u32>,
    names: Unique<N>,
}

impl<N: Eq + Hash> Uniques<N> {
    pub(super) fn new(list: &'static str) -> Uniques<N> {
        Uniques { list, ids: Unique::new(), names: Unique::new() }
    }

    /// Notes the id of the entry at `index`.
    pub(super) fn id(&mut self, report: &mut Report, id: Option<u32>, index: usize) {
        let before = id.and_then(|id| self.ids.note(id, index));
        if let Some(before) = before {
            report.error_at("id", Code::Duplicate, format!("is already the id of /{}/{before}", self.list));
        }
    }

    /// Notes a name that others refer to by.
    pub(super) fn key(&mut self, report: &mut Report, key: &'static str, name: N, index: usize) {
        if let Some(before) = self.names.note(name, index) {
            let message = format!("is already the {key} of /{}/{before}", self.list);
            report.error_at(key, Code::Duplicate, message);
        }
    }

    /// Notes a name for people, with whatever it must be unique in.
    pub(super) fn name(&mut self, report: &mut Report, name: N, index: usize) {
        if let Some(before) = self.names.note(name, index) {
            report.warn_at("name", format!("is also the name of /{}/{before}", self.list));
        }
    }
}
