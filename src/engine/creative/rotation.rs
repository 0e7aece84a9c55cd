//! For whom, where and when a creative of a line item is meant, compiled for the bid path.

use crate::model::auction::Geo;
use crate::model::country::Country;
use crate::model::line_item::CreativeAssignment;
use crate::model::targeting::{Fit, HourMask};
use crate::model::taxonomy::{Taxonomy, any_within};
use crate::targeting;

/// A creative of a line item inside one catalog.
#[derive(Clone, Debug)]
pub struct Assigned {
    /// Position of the creative in the catalog.
    pub position: usize,
    /// Relative share of rotation.
    pub weight: u32,
    /// What the creative fills: most are passed over for that, and need not be looked at.
    pub fit: Fit,
    /// `None` = it is for everybody.
    pub(in crate::engine) when: Option<Box<CompiledCondition>>,
}

/// A [`Condition`](crate::model::line_item::Condition) with tree nodes as intervals.
#[derive(Clone, Debug)]
pub(in crate::engine) struct CompiledCondition {
    segments: Vec<(u32, u32)>,
    needs_segments: bool,
    countries: Vec<Country>,
    regions: Vec<String>,
    hours: Option<HourMask>,
}

/// What conditions look at.
#[derive(Clone, Copy)]
pub(in crate::engine) struct Audience<'f> {
    /// Entry numbers of the user's segments in the taxonomy, ascending.
    pub(in crate::engine) segment_entries: &'f [u32],
    pub(in crate::engine) geo: &'f Geo<'f>,
    /// Hour of the week in the advertiser's zone.
    pub(in crate::engine) hour: usize,
}

impl Assigned {
    /// Tree nodes that the taxonomy does not know are never held.
    pub(in crate::engine) fn compile(
        position: usize,
        fit: Fit,
        assignment: &CreativeAssignment,
        tree: &Taxonomy,
    ) -> Assigned {
        let CreativeAssignment { weight, when, .. } = assignment;
        let compiled = || CompiledCondition {
            segments: when.segments.iter().filter_map(|node| tree.interval(*node)).collect(),
            needs_segments: !when.segments.is_empty(),
            countries: when.countries.clone(),
            regions: when.regions.clone(),
            hours: when.hours,
        };
        Assigned { position, weight: *weight, fit, when: (!when.is_empty()).then(|| Box::new(compiled())) }
    }
}

impl CompiledCondition {
    pub(in crate::engine) fn holds(&self, audience: &Audience<'_>) -> bool {
        let is_held = |node: &(u32, u32)| any_within(audience.segment_entries, *node);
        let geo = audience.geo;
        (!self.needs_segments || self.segments.iter().any(is_held))
            && (self.countries.is_empty()
                || geo.country.is_some_and(|country| self.countries.contains(&country)))
            && (self.regions.is_empty()
                || self.regions.iter().any(|region| targeting::is_in_region(geo, region)))
            && self.hours.is_none_or(|hours| hours.contains(audience.hour))
    }
}
