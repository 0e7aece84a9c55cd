//! The compiled index and what a request does with it.
//!
//! 1. The values of the request become terms (`terms`).
//! 2. Each term leads to slots, 64 at a time; the bit sets of the broad dimensions are ANDed over these words only.
//! 3. Per impression the offered sizes are ANDed, deals add what only they lead to, and the few line items that are
//!    left answer for their daypart and their remaining clauses. They are collected first, then their clauses are
//!    touched, then they are tested: in an index of 100,000 line items each is a wait for memory, and waits that nothing
//!    stands between overlap.
//!
//! Invariant: a [`Matcher`] never changes; everything that a request writes is in the caller's [`Scratch`].

use super::dim::Dim;
use super::terms::{Present, Term, Terms};
use super::week::{Hours, ZoneIx, Zones};
use super::{Facts, LineItemIx};
use crate::model::auction::Imp;
use crate::model::targeting::HourMask;
use std::num::NonZeroU32;

/// The compiled targeting of one catalog: immutable, shared by all cores.
#[derive(Debug)]
pub struct Matcher {
    /// Unique in the process: tells a scratch that the catalog has changed.
    pub(super) id: u64,
    /// How many line items were compiled, those without a slot included.
    pub(super) line_items: usize,
    pub(super) slots: Vec<Slot>,
    /// By term, and after the last one the slots that every request leads to.
    pub(super) postings: Postings,
    pub(super) rows: Rows,
    /// In the order of the slots, so that what one entry leads to lies together.
    pub(super) clauses: Vec<Clause>,
    pub(super) clause_terms: Vec<Term>,
    pub(super) dayparts: Vec<(ZoneIx, HourMask)>,
    pub(super) terms: Terms,
    pub(super) zones: Zones,
    /// Some line item targets addresses.
    pub(super) reads_addresses: bool,
}

/// 64 slots and those of them that a term leads to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) mask: u64,
    pub(super) word: u32,
}

#[derive(Debug)]
pub(super) struct Postings {
    /// By term, where its entries start; one more at the end.
    pub(super) starts: Vec<u32>,
    pub(super) entries: Vec<Entry>,
}

impl Postings {
    fn of(&self, term: Term) -> &[Entry] {
        let (start, end) = (self.starts[term as usize], self.starts[term as usize + 1]);
        &self.entries[start as usize..end as usize]
    }

    /// Has the memory fetch where they begin.
    fn announce(&self, term: Term) {
        let first = self.entries.get(self.starts[term as usize] as usize);
        std::hint::black_box(first.map(|entry| entry.word));
    }

    fn always(&self) -> &[Entry] {
        self.of(self.starts.len() as Term - 2)
    }
}

/// Bit sets over the slots: who accepts a value of a broad dimension, or a size. Row 0 has every slot.
///
/// While they are built, row follows row. On the bid path word follows word, with all rows' bits of the same 64 slots side by
/// side: what is asked of an entry lies on neighbouring lines of the cache, and not on one far apart for each row.
#[derive(Debug)]
pub(super) struct Rows {
    words: usize,
    bits: Vec<u64>,
    /// By term, for dimensions that have rows.
    pub(super) of_term: Vec<u32>,
    /// By broad dimension, for a request without a targeted value; row 0 where there are no rows.
    pub(super) other: [u32; Dim::BROAD.len()],
    count: u32,
}

impl Rows {
    pub(super) fn new(slots: usize, terms: usize) -> Rows {
        let words = slots.div_ceil(64);
        let mut rows =
            Rows { words, bits: Vec::new(), of_term: vec![0; terms], other: [0; Dim::BROAD.len()], count: 0 };
        rows.push_full();
        rows
    }

    pub(super) fn push_full(&mut self) -> u32 {
        self.bits.resize(self.bits.len() + self.words, u64::MAX);
        self.count += 1;
        self.count - 1
    }

    pub(super) fn push_copy(&mut self, row: u32) -> u32 {
        let start = row as usize * self.words;
        self.bits.extend_from_within(start..start + self.words);
        self.count += 1;
        self.count - 1
    }

    pub(super) fn set(&mut self, row: u32, slot: u32) {
        self.bits[row as usize * self.words + slot as usize / 64] |= 1 << (slot % 64);
    }

    pub(super) fn clear(&mut self, row: u32, slot: u32) {
        self.bits[row as usize * self.words + slot as usize / 64] &= !(1 << (slot % 64));
    }

    /// Turns rows of words into words of rows, when all rows are built.
    pub(super) fn by_word(mut self) -> Rows {
        let (words, count) = (self.words, self.count as usize);
        self.bits = (0..words * count).map(|at| self.bits[at % count * words + at / count]).collect();
        self
    }

    /// All rows' bits of one word.
    fn word(&self, word: u32) -> &[u64] {
        &self.bits[word as usize * self.count as usize..][..self.count as usize]
    }

    /// The rows of the request's values, at most one per broad dimension. A value implies the targeted values above it, and
    /// its row was built with them, so the most specific one says it all.
    fn of_request(&self, present: &Present, rows: &mut Vec<u32>) {
        let row = |dim: Dim| match (self.other[dim as usize], present.of(dim).first()) {
            (0, _) => 0,
            (_, Some(term)) => self.of_term[*term as usize],
            (other, None) => other,
        };
        rows.clear();
        rows.extend(Dim::BROAD.into_iter().map(row).filter(|row| *row != 0));
    }

    /// The slots of `entry` that are in all of `rows`.
    fn and(&self, rows: &[u32], entry: Entry) -> u64 {
        let word = self.word(entry.word);
        rows.iter().fold(entry.mask, |mask, row| mask & word[*row as usize])
    }

    /// The slots of `entry` that are in any of `rows`.
    fn any(&self, rows: &[u32], entry: Entry) -> u64 {
        let word = self.word(entry.word);
        entry.mask & rows.iter().fold(0, |any, row| any | word[*row as usize])
    }
}

/// Whose a slot is, and what is left to test when it was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) line_item: LineItemIx,
    pub(super) residual: Residual,
}

/// What the index did not say of a line item.
#[derive(Clone, Copy, Debug)]
pub(super) struct Residual {
    /// The first of its clauses among the matcher's, and how many they are.
    pub(super) first_clause: u32,
    pub(super) clauses: u32,
    /// Its number among the matcher's dayparts, counted from 1.
    pub(super) daypart: Option<NonZeroU32>,
}

/// Four of them a line of the cache.
const _: () = assert!(size_of::<Slot>() == 16);

/// Some of a range of terms is present or, negated, none is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clause {
    pub(super) dim: Dim,
    pub(super) negated: bool,
    /// Where its ascending terms begin in the matcher's `clause_terms`; the term itself where there is one only.
    pub(super) start: u32,
    pub(super) len: u32,
}

/// Memory that requests reuse: one per core. It follows its user from catalog to catalog by itself.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The matcher that it was last used with; 0 = none, or it is in use.
    matcher: u64,
    hours: Hours,
    /// Civil time of the request, in seconds since the Unix epoch.
    unix_s: i64,
    present: Present,
    /// Those of the request's broad dimensions.
    rows: Vec<u32>,
    /// Those of the sizes that the impression offers.
    fits: Vec<u32>,
    /// What is left of the slots after the request's broad dimensions; a word may stand here more than once.
    live: Vec<Entry>,
    /// What the impression's entries lead to.
    hits: Vec<Slot>,
    /// By line item: passed everything; empty between calls.
    passed: Marks,
    found: Vec<LineItemIx>,
}

impl Scratch {
    /// An empty one. It grows to its working size within the first requests.
    pub fn new() -> Scratch {
        Scratch::default()
    }

    /// Starts from nothing where it was last used with another matcher, or where a panic left it half written.
    fn begin(&mut self, matcher: &Matcher) {
        if self.matcher != matcher.id {
            self.hours.reset();
            self.present.resize(matcher.terms.len());
            self.passed.resize(matcher.line_items);
        }
        self.matcher = 0;
    }
}

impl Matcher {
    /// How many line items were compiled, those that can never match included.
    pub fn len(&self) -> usize {
        self.line_items
    }

    /// Whether there are no line items.
    pub fn is_empty(&self) -> bool {
        self.line_items == 0
    }

    /// Whether any line item targets addresses.
    pub fn reads_addresses(&self) -> bool {
        self.reads_addresses
    }

    /// Does the work that all impressions of a request share. Allocates nothing once `scratch` has grown.
    pub fn request(&self, facts: &Facts<'_>, scratch: &mut Scratch) {
        scratch.begin(self);
        scratch.hours.refresh(&self.zones, facts.unix_s);
        scratch.unix_s = facts.unix_s;
        self.terms.resolve_request(facts, &mut scratch.present);
        let Scratch { present, rows, live, .. } = scratch;
        self.rows.of_request(present, rows);
        live.clear();
        present.of_request().iter().for_each(|term| self.postings.announce(*term));
        for term in present.of_request() {
            self.keep_live(self.postings.of(*term), rows, live);
        }
        self.keep_live(self.postings.always(), rows, live);
        scratch.matcher = self.id;
    }

    /// Adds the entries of which something is left. Which those are nobody could guess, so each is written and the next may
    /// take its place: a wrong guess would hold up the entries behind it until its rows have come from memory.
    fn keep_live(&self, entries: &[Entry], rows: &[u32], live: &mut Vec<Entry>) {
        let mut kept = live.len();
        live.resize(kept + entries.len(), Entry { mask: 0, word: 0 });
        for Entry { mask, word } in entries.iter().copied() {
            let mask = self.rows.and(rows, Entry { mask, word });
            live[kept] = Entry { mask, word };
            kept += usize::from(mask != 0);
        }
        live.truncate(kept);
    }

    /// The line items that may be shown in an impression of the request last given to [`Matcher::request`], in
    /// ascending order. Allocates nothing once `scratch` has grown.
    ///
    /// # Panics
    /// When `scratch` was not last used by [`Matcher::request`] of the same matcher.
    pub fn candidates<'s>(&self, imp: &Imp<'_>, scratch: &'s mut Scratch) -> &'s [LineItemIx] {
        assert_eq!(
            scratch.matcher, self.id,
            "a request is matched before its impressions, by the same matcher"
        );
        let Scratch { matcher, hours, unix_s, present, rows, fits, live, hits, passed, found } = scratch;
        *matcher = 0;
        found.clear();
        self.terms.resolve_imp(imp, present);
        let shown_later = imp.shown_at_ms.is_some();
        if shown_later {
            hours.refresh(&self.zones, imp.shown_ms(*unix_s * 1_000).div_euclid(1_000));
        }
        // Every line item fills something: where nothing offered is filled by a creative, nothing can match.
        if !present.of(Dim::Fit).is_empty() {
            fits.clear();
            fits.extend(present.of(Dim::Fit).iter().map(|term| self.rows.of_term[*term as usize]));
            let sieve = Sieve { matcher: self, present, fits, hours };
            hits.clear();
            if !imp.private_auction {
                live.iter().for_each(|entry| sieve.collect(*entry, hits));
            }
            for entry in present.of(Dim::Deal).iter().flat_map(|term| self.postings.of(*term)) {
                sieve.collect(Entry { mask: self.rows.and(rows, *entry), word: entry.word }, hits);
            }
            sieve.announce(hits);
            hits.iter().filter(|hit| sieve.passes(&hit.residual)).for_each(|hit| passed.set(hit.line_item));
            passed.drain_into(found);
        }
        if shown_later {
            hours.refresh(&self.zones, *unix_s);
        }
        *matcher = self.id;
        found
    }
}

/// The tests of one impression.
struct Sieve<'m> {
    matcher: &'m Matcher,
    present: &'m Present,
    /// Rows of the sizes on offer.
    fits: &'m [u32],
    hours: &'m Hours,
}

impl Sieve<'_> {
    /// Collects the slots of an entry that have a creative in some offered size.
    fn collect(&self, entry: Entry, hits: &mut Vec<Slot>) {
        let mut mask = self.matcher.rows.any(self.fits, entry);
        while mask != 0 {
            hits.push(self.matcher.slots[entry.word as usize * 64 + mask.trailing_zeros() as usize]);
            mask &= mask - 1;
        }
    }

    /// Has the memory fetch what the tests of `hits` begin with. Most have no clause, and nothing is fetched for those.
    fn announce(&self, hits: &[Slot]) {
        for Slot { residual, .. } in hits {
            let at = if residual.clauses == 0 { 0 } else { residual.first_clause };
            std::hint::black_box(self.matcher.clauses.get(at as usize).map(|clause| clause.start));
        }
    }

    fn passes(&self, residual: &Residual) -> bool {
        let matcher = self.matcher;
        let open = residual.daypart.is_none_or(|number| {
            let (zone, hours) = &matcher.dayparts[number.get() as usize - 1];
            hours.contains(self.hours.get(*zone))
        });
        let first = residual.first_clause as usize;
        open && matcher.clauses[first..first + residual.clauses as usize]
            .iter()
            .all(|clause| self.holds(clause))
    }

    fn holds(&self, clause: &Clause) -> bool {
        /// A longer list is searched for the request's few values rather than walked through.
        const WALKED: usize = 8;
        let (start, len) = (clause.start as usize, clause.len as usize);
        let hit = if len == 1 {
            self.present.contains(clause.start)
        } else {
            let terms = &self.matcher.clause_terms[start..start + len];
            if len <= WALKED {
                terms.iter().any(|term| self.present.contains(*term))
            } else {
                self.present.of(clause.dim).iter().any(|term| terms.binary_search(term).is_ok())
            }
        };
        hit != clause.negated
    }
}

/// A set of line items that is drained in ascending order: a bit each, and a bit for each word that is not empty.
#[derive(Debug, Default)]
struct Marks {
    words: Vec<u64>,
    used: Vec<u64>,
}

impl Marks {
    fn resize(&mut self, line_items: usize) {
        let words = line_items.div_ceil(64);
        self.words.clear();
        self.words.resize(words, 0);
        self.used.clear();
        self.used.resize(words.div_ceil(64), 0);
    }

    fn set(&mut self, line_item: LineItemIx) {
        let word = line_item.0 / 64;
        self.words[word as usize] |= 1 << (line_item.0 % 64);
        self.used[word as usize / 64] |= 1 << (word % 64);
    }

    fn drain_into(&mut self, found: &mut Vec<LineItemIx>) {
        for (at, used) in self.used.iter_mut().enumerate() {
            while *used != 0 {
                let word = at * 64 + used.trailing_zeros() as usize;
                let mut bits = std::mem::take(&mut self.words[word]);
                while bits != 0 {
                    found.push(LineItemIx(word as u32 * 64 + bits.trailing_zeros()));
                    bits &= bits - 1;
                }
                *used &= *used - 1;
            }
        }
    }
}
