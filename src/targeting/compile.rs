//! Plans → [`Matcher`].
//!
//! A line item takes one *slot* per term of its anchor, so that the slots of a term lie side by side and are tested
//! 64 at a time; a line item with a long anchor (an allow list of ten thousand domains) takes one slot that all its
//! terms point to. Over the slots stand the bit sets of the broad dimensions, one for every targeted value. What is
//! left becomes clauses that are tested line item by line item.

use super::dim::Dim;
use super::matcher::{Clause, Entry, Matcher, Postings, Residual, Rows, Slot};
use super::plan::{self, Plan};
use super::terms::{Term, Terms};
use super::week::{ZoneIx, Zones};
use super::{CompileError, LineItemIx, MatchInput};
use crate::model::list::ListKind;
use crate::model::targeting::HourMask;
use crate::model::taxonomy::Taxonomy;
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

/// Slots that one line item may take.
const MAX_COPIES: usize = 4;

/// A broad dimension with more targeted values than this is tested by clauses instead: bit sets for values that
/// somebody made up by the thousand would take more memory than they are worth.
const MAX_ROWS: usize = 256;

impl Matcher {
    /// Builds the index of one catalog; `LineItemIx(i)` is `inputs[i]`. Cost: about 5 µs a line item.
    pub fn compile(inputs: &[MatchInput<'_>], taxonomy: &Taxonomy) -> Result<Matcher, CompileError> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let limit = u32::MAX as usize / MAX_COPIES;
        if inputs.len() > limit {
            return Err(CompileError::TooManyLineItems { found: inputs.len(), limit });
        }
        let (mut terms, mut zones) = (Terms::default(), Zones::default());
        let plans = plan_all(inputs, &mut terms, &mut zones)?;
        let breadth = terms.link(taxonomy);
        let anchors: Vec<Option<usize>> = plans.iter().map(|plan| plan.anchor(&breadth)).collect();
        let layout = Layout::of(&plans, &anchors, terms.len());
        let (rows, has_rows) = build_rows(&plans, &layout.plan_of_slot, &terms);
        let mut residue = Residue::default();
        let mut residuals: Vec<Option<Residual>> = vec![None; plans.len()];
        let slot = |at: &u32| {
            let at = *at as usize;
            let residual =
                residuals[at].get_or_insert_with(|| residue.add(&plans[at], anchors[at], &has_rows));
            Slot { line_item: plans[at].line_item, residual: *residual }
        };
        let slots = layout.plan_of_slot.iter().map(slot).collect();
        Ok(Matcher {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            line_items: inputs.len(),
            slots,
            postings: layout.postings,
            rows: rows.by_word(),
            clauses: residue.clauses,
            clause_terms: residue.terms,
            dayparts: residue.dayparts,
            terms,
            zones,
            reads_addresses: inputs.iter().any(reads_addresses),
        })
    }
}

fn reads_addresses(input: &MatchInput<'_>) -> bool {
    input.targeting.lists.iter().any(|used| used.list.kind == ListKind::Address)
}

fn plan_all(
    inputs: &[MatchInput<'_>],
    terms: &mut Terms,
    zones: &mut Zones,
) -> Result<Vec<Plan>, CompileError> {
    let mut plans = Vec::with_capacity(inputs.len());
    for (at, input) in inputs.iter().enumerate() {
        let line_item = LineItemIx(at as u32);
        let plan = plan::plan(line_item, input, terms, zones)
            .map_err(|source| CompileError::TimeZone { line_item, source })?;
        plans.extend(plan);
    }
    Ok(plans)
}

/// Which slot is whose, and which terms lead to which slots.
struct Layout {
    /// By slot, the position in the plans.
    plan_of_slot: Vec<u32>,
    postings: Postings,
}

impl Layout {
    /// The slots of line items without an anchor are found under the number after the last term.
    fn of(plans: &[Plan], anchors: &[Option<usize>], terms: usize) -> Layout {
        let always = terms as Term;
        let mut copied: Vec<(Term, u32)> = Vec::new();
        let mut shared: Vec<(u32, &[Term])> = Vec::new();
        for (at, (plan, anchor)) in plans.iter().zip(anchors).enumerate() {
            let at = at as u32;
            match anchor.map(|clause| plan.clauses[clause].terms.as_slice()) {
                None => copied.push((always, at)),
                Some(terms) if terms.len() <= MAX_COPIES => {
                    copied.extend(terms.iter().map(|term| (*term, at)));
                }
                Some(terms) => shared.push((at, terms)),
            }
        }
        copied.sort_unstable();
        let mut plan_of_slot = Vec::with_capacity(copied.len() + shared.len());
        let mut places: Vec<(Term, u32)> = Vec::with_capacity(copied.len());
        for (term, plan) in copied {
            places.push((term, plan_of_slot.len() as u32));
            plan_of_slot.push(plan);
        }
        for (plan, terms) in shared {
            places.extend(terms.iter().map(|term| (*term, plan_of_slot.len() as u32)));
            plan_of_slot.push(plan);
        }
        places.sort_unstable();
        Layout { plan_of_slot, postings: postings(&places, terms + 1) }
    }
}

/// `places`: (term, slot), ascending.
fn postings(places: &[(Term, u32)], terms: usize) -> Postings {
    let mut postings = Postings { starts: Vec::with_capacity(terms + 1), entries: Vec::new() };
    postings.starts.push(0);
    let mut rest = places;
    for term in 0..terms as Term {
        let of_term = rest.partition_point(|(other, _)| *other == term);
        let (own, others) = rest.split_at(of_term);
        for word in own.chunk_by(|a, b| a.1 / 64 == b.1 / 64) {
            let mask = word.iter().fold(0, |mask, (_, slot)| mask | 1 << (slot % 64));
            postings.entries.push(Entry { mask, word: word[0].1 / 64 });
        }
        postings.starts.push(postings.entries.len() as u32);
        rest = others;
    }
    postings
}

/// Builds the bit sets of the broad dimensions and of the sizes; says by dimension whether it has them.
fn build_rows(plans: &[Plan], plan_of_slot: &[u32], terms: &Terms) -> (Rows, [bool; Dim::COUNT]) {
    let mut slots_of_plan = vec![Vec::new(); plans.len()];
    for (slot, plan) in plan_of_slot.iter().enumerate() {
        slots_of_plan[*plan as usize].push(slot as u32);
    }
    let mut rows = Rows::new(plan_of_slot.len(), terms.len());
    let mut has_rows = [false; Dim::COUNT];
    for dim in Dim::BROAD.into_iter().chain([Dim::Fit]) {
        let implications = terms.implications(dim);
        if implications.is_empty() || implications.len() > MAX_ROWS {
            continue;
        }
        has_rows[dim as usize] = true;
        let of_dim = |plan: &Plan, negated: bool| -> Vec<Term> {
            let clauses = plan.clauses.iter().filter(|c| c.dim == dim && c.negated == negated);
            clauses.flat_map(|clause| clause.terms.iter().copied()).collect()
        };
        let wanted: Vec<(Vec<Term>, Vec<Term>)> =
            plans.iter().map(|plan| (of_dim(plan, false), of_dim(plan, true))).collect();
        // The row for values that nobody targets: whoever has an include list does not take them.
        let other = rows.push_full();
        for ((include, _), slots) in wanted.iter().zip(&slots_of_plan) {
            if !include.is_empty() {
                slots.iter().for_each(|slot| rows.clear(other, *slot));
            }
        }
        if dim < Dim::FIRST_OF_IMP {
            rows.other[dim as usize] = other;
        }
        let mut accepting: HashMap<Term, Vec<u32>> = HashMap::new();
        for (term, implied) in implications {
            let row = rows.push_copy(other);
            rows.of_term[term as usize] = row;
            for term in implied {
                accepting.entry(term).or_default().push(row);
            }
        }
        for ((include, exclude), slots) in wanted.iter().zip(&slots_of_plan) {
            for row in include.iter().filter_map(|term| accepting.get(term)).flatten() {
                slots.iter().for_each(|slot| rows.set(*row, *slot));
            }
            for row in exclude.iter().filter_map(|term| accepting.get(term)).flatten() {
                slots.iter().for_each(|slot| rows.clear(*row, *slot));
            }
        }
    }
    (rows, has_rows)
}

/// What has to be tested line item by line item. Lists that several line items share are kept once.
#[derive(Default)]
struct Residue {
    clauses: Vec<Clause>,
    terms: Vec<Term>,
    known: HashMap<Vec<Term>, u32>,
    dayparts: Vec<(ZoneIx, HourMask)>,
    known_dayparts: HashMap<(ZoneIx, HourMask), NonZeroU32>,
}

impl Residue {
    fn add(&mut self, plan: &Plan, anchor: Option<usize>, has_rows: &[bool; Dim::COUNT]) -> Residual {
        let first_clause = self.clauses.len() as u32;
        for (at, clause) in plan.clauses.iter().enumerate() {
            if Some(at) == anchor || has_rows[clause.dim as usize] {
                continue;
            }
            let start = match (&clause.terms[..], self.known.get(&clause.terms)) {
                ([only], _) => *only,
                (_, Some(known)) => *known,
                (_, None) => {
                    let at = self.terms.len() as u32;
                    self.terms.extend(&clause.terms);
                    self.known.insert(clause.terms.clone(), at);
                    at
                }
            };
            let (dim, negated) = (clause.dim, clause.negated);
            self.clauses.push(Clause { dim, negated, start, len: clause.terms.len() as u32 });
        }
        let daypart = plan.daypart.map(|daypart| {
            *self.known_dayparts.entry(daypart).or_insert_with(|| {
                self.dayparts.push(daypart);
                NonZeroU32::new(self.dayparts.len() as u32).expect("there is one at least")
            })
        });
        Residual { first_clause, clauses: self.clauses.len() as u32 - first_clause, daypart }
    }
}
