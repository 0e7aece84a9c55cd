//! One line item's targeting as clauses over terms, and the choice of the clause through which it is found.

use super::dim::Dim;
use super::terms::{Term, Terms, country_number, fit_number};
use super::week::{ZoneError, ZoneIx, Zones};
use super::{LineItemIx, MatchInput};
use crate::model::ids::SegmentId;
use crate::model::list::ListUse;
use crate::model::targeting::{Fit, HourMask, Rule, Targeting};

/// A condition on one dimension: some term of the list is present, or, negated, none is.
#[derive(Debug)]
pub(super) struct Clause {
    pub(super) dim: Dim,
    pub(super) negated: bool,
    /// Ascending, without repetition, not empty.
    pub(super) terms: Vec<Term>,
}

/// A line item ready to be placed in the index: it matches when all clauses hold and the daypart is open.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) line_item: LineItemIx,
    pub(super) clauses: Vec<Clause>,
    pub(super) daypart: Option<(ZoneIx, HourMask)>,
}

impl Plan {
    /// The clause whose terms lead to the line item, chosen so that few requests do; `None` = every request does.
    /// `breadth` says by term how many raw values have it: the segments under a tree node.
    ///
    /// A deal list always leads: that a private auction looks at deals alone rests on it.
    pub(super) fn anchor(&self, breadth: &[u32]) -> Option<usize> {
        /// Being found through this share of requests is no better than being looked at in all of them.
        const EVERY_REQUEST_PPM: u64 = 900_000;
        let share_ppm = |clause: &Clause| {
            let values: u64 = clause.terms.iter().map(|term| u64::from(breadth[*term as usize])).sum();
            values.saturating_mul(clause.dim.expected_share_ppm())
        };
        let positive = self.clauses.iter().enumerate().filter(|(_, clause)| !clause.negated);
        positive
            .map(|(at, clause)| (share_ppm(clause), at))
            .min()
            .filter(|(share_ppm, _)| *share_ppm < EVERY_REQUEST_PPM)
            .map(|(_, at)| at)
    }
}

/// Numbers the line item's values; `None` = it can never match, because none of its creatives is for anything that it targets.
pub(super) fn plan(
    line_item: LineItemIx,
    input: &MatchInput<'_>,
    terms: &mut Terms,
    zones: &mut Zones,
) -> Result<Option<Plan>, ZoneError> {
    let targeting = input.targeting;
    // The zone is checked even where it does not matter, so that a typing error never waits for another change.
    let daypart = match &targeting.daypart {
        Some(daypart) => Some((zones.add(&daypart.time_zone)?, daypart.hours)),
        None => None,
    };
    let fits = usable_fits(input);
    if fits.is_empty() {
        return Ok(None);
    }
    let mut clauses = Clauses { terms, found: Vec::new() };
    clauses.push(Dim::Fit, false, &fits, |t, fit| t.intern_number(Dim::Fit, fit_number(*fit)));
    clauses.numbers(targeting);
    clauses.texts(targeting);
    clauses.segments(targeting);
    Ok(Some(Plan { line_item, clauses: clauses.found, daypart }))
}

fn usable_fits(input: &MatchInput<'_>) -> Vec<Fit> {
    let Targeting { formats, sizes, .. } = input.targeting;
    let usable = |fit: &&Fit| {
        formats.accepts(&fit.media_type()) && !matches!(fit, Fit::Banner(size) if !sizes.accepts(size))
    };
    input.fits.iter().filter(usable).copied().collect()
}

struct Clauses<'t> {
    terms: &'t mut Terms,
    found: Vec<Clause>,
}

impl Clauses<'_> {
    fn push<T>(&mut self, dim: Dim, negated: bool, values: &[T], term: impl Fn(&mut Terms, &T) -> Term) {
        let terms = values.iter().map(|value| term(self.terms, value)).collect();
        self.push_terms(dim, negated, terms);
    }

    fn push_terms(&mut self, dim: Dim, negated: bool, mut terms: Vec<Term>) {
        if terms.is_empty() {
            return;
        }
        terms.sort_unstable();
        terms.dedup();
        self.found.push(Clause { dim, negated, terms });
    }

    fn rule<T>(&mut self, dim: Dim, rule: &Rule<T>, term: impl Fn(&mut Terms, &T) -> Term) {
        self.push(dim, false, &rule.include, &term);
        self.push(dim, true, &rule.exclude, &term);
    }

    fn numbers(&mut self, targeting: &Targeting) {
        let integer = |dim| move |t: &mut Terms, value: &i64| t.intern_number(dim, value.cast_unsigned());
        self.rule(Dim::Exchange, &targeting.exchanges, |t, id| {
            t.intern_number(Dim::Exchange, u64::from(id.0))
        });
        self.rule(Dim::Country, &targeting.countries, |t, country| {
            t.intern_number(Dim::Country, country_number(*country))
        });
        self.rule(Dim::DeviceType, &targeting.device_types, integer(Dim::DeviceType));
        self.rule(Dim::Connection, &targeting.connections, integer(Dim::Connection));
    }

    fn texts(&mut self, targeting: &Targeting) {
        for (dim, rule) in [
            (Dim::Os, &targeting.os),
            (Dim::Browser, &targeting.browsers),
            (Dim::Language, &targeting.languages),
            (Dim::Region, &targeting.regions),
            (Dim::Metro, &targeting.metros),
            (Dim::City, &targeting.cities),
            (Dim::Zip, &targeting.zips),
            (Dim::Carrier, &targeting.carriers),
            (Dim::Domain, &targeting.domains),
            (Dim::Bundle, &targeting.bundles),
            (Dim::Publisher, &targeting.publishers),
            (Dim::Keyword, &targeting.keywords),
            (Dim::Deal, &targeting.deals),
        ] {
            for (negated, values) in [(false, &rule.include), (true, &rule.exclude)] {
                let mut terms: Vec<Term> =
                    values.iter().map(|text| self.terms.intern_text(dim, text)).collect();
                terms.extend(self.lists(targeting, dim, negated));
                self.push_terms(dim, negated, terms);
            }
        }
        for negated in [false, true] {
            let terms = self.lists(targeting, Dim::Address, negated);
            self.push_terms(Dim::Address, negated, terms);
        }
        self.rule(Dim::Category, &targeting.categories, Terms::intern_category);
    }

    fn lists(&mut self, targeting: &Targeting, dim: Dim, excluded: bool) -> Vec<Term> {
        let own = |used: &&ListUse| Dim::of_list(used.list.kind) == dim && used.excluded == excluded;
        targeting.lists.iter().filter(own).map(|used| self.terms.intern_list(used)).collect()
    }

    fn segments(&mut self, targeting: &Targeting) {
        let term = |t: &mut Terms, id: &SegmentId| t.intern_number(Dim::Segment, u64::from(id.0));
        let segments = &targeting.segments;
        for node in &segments.all_of {
            self.push(Dim::Segment, false, std::slice::from_ref(node), term);
        }
        self.push(Dim::Segment, false, &segments.any_of, term);
        self.push(Dim::Segment, true, &segments.none_of, term);
    }
}
