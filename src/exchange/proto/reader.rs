//! What the fields of a message come to: the rules of the `json` module for values that already have a type.

use crate::exchange::parse::{Limits, ParseError};
use crate::model::money::Cpm;
use crate::model::no_bid::NoBidReason;
use bumpalo::Bump;
use bumpalo::collections::{String as ArenaString, Vec as ArenaVec};
use std::fmt::Write;

/// What reading gives.
pub(super) type Read<T> = Result<T, ParseError>;

/// What the reading of one message knows.
pub(super) struct Reader<'a> {
    pub(super) arena: &'a Bump,
    pub(super) limits: Limits,
    /// The top-level field that is being read.
    section: &'static str,
    /// Inside an impression a passed limit is a fault of that impression; outside it ends the reading.
    pub(super) in_imp: bool,
    /// The fault, so far, of the request or, inside an impression, of that impression.
    pub(super) fault: Option<NoBidReason>,
}

/// A list as read: its entries, none where a limit was passed; and that limit.
type List<'a, T> = (&'a [T], Option<(&'static str, usize)>);

impl<'a> Reader<'a> {
    pub(super) fn new(limits: &Limits, arena: &'a Bump) -> Reader<'a> {
        Reader { arena, limits: *limits, section: "request", in_imp: false, fault: None }
    }

    /// Names the top-level field that is read next, for errors.
    pub(super) fn section(&mut self, name: &'static str) -> &mut Self {
        self.section = name;
        self
    }

    /// Notes a reason; the first in rank order stands.
    pub(super) fn note(&mut self, reason: NoBidReason) {
        self.fault = Some(self.fault.map_or(reason, |known| known.min(reason)));
    }

    /// A limit is passed: a fault inside an impression, an error elsewhere.
    fn breach(&mut self, what: &'static str, limit: usize) -> Read<()> {
        if !self.in_imp {
            return Err(ParseError::LimitExceeded { field: self.section, what, limit });
        }
        self.note(NoBidReason::LimitExceeded);
        Ok(())
    }

    /// An empty vector in the arena.
    pub(super) fn vec<T>(&self, capacity: usize) -> ArenaVec<'a, T> {
        ArenaVec::with_capacity_in(capacity, self.arena)
    }

    /// Moves items into the arena.
    pub(super) fn keep<T>(&self, items: impl Iterator<Item = T>) -> &'a [T] {
        let mut kept = self.vec(items.size_hint().0);
        kept.extend(items);
        kept.into_bump_slice()
    }

    /// The parts one after the other.
    pub(super) fn concat<T: Copy>(&self, parts: &[&'a [T]]) -> &'a [T] {
        self.keep(parts.iter().copied().flatten().copied())
    }

    /// Whether an array of messages is short enough to be read; if not, that is noted or the end.
    pub(super) fn is_short<T>(&mut self, entries: &[T], limit: usize) -> Read<bool> {
        if entries.len() > limit {
            self.breach("array", limit)?;
        }
        Ok(entries.len() <= limit)
    }

    /// A text within the limit of strings; an empty one is absent.
    pub(super) fn text(&mut self, text: Option<&str>) -> Read<Option<&'a str>> {
        let limit = self.limits.string;
        self.text_within(text, limit)
    }

    /// A text within a limit of its own.
    pub(super) fn text_within(&mut self, text: Option<&str>, limit: usize) -> Read<Option<&'a str>> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
        if text.len() > limit {
            self.breach("string", limit)?;
            return Ok(None);
        }
        Ok(Some(self.arena.alloc_str(text)))
    }

    /// Texts that inform.
    pub(super) fn texts(&mut self, texts: &[String]) -> Read<&'a [&'a str]> {
        let list = self.text_list(texts.iter().map(String::as_str), self.limits.array);
        self.informative(list)
    }

    /// Texts in one, separated by commas.
    pub(super) fn words(&mut self, text: Option<&str>) -> Read<&'a [&'a str]> {
        let words = text.into_iter().flat_map(|text| text.split(',')).map(str::trim);
        let list = self.text_list(words.filter(|word| !word.is_empty()), self.limits.array);
        self.informative(list)
    }

    /// Texts that forbid or restrict: what is over a limit cannot be obeyed, and is a fault.
    pub(super) fn rule_texts(&mut self, texts: &[String], limit: usize) -> &'a [&'a str] {
        let list = self.text_list(texts.iter().map(String::as_str), limit);
        self.rule(list)
    }

    /// Integers that inform.
    pub(super) fn ints(&mut self, ints: &[i32]) -> Read<&'a [i64]> {
        let list = self.int_list(ints);
        self.informative(list)
    }

    /// Integers that forbid: what is over a limit cannot be obeyed, and is a fault.
    pub(super) fn rule_ints(&mut self, ints: &[i32]) -> &'a [i64] {
        let list = self.int_list(ints);
        self.rule(list)
    }

    /// Numbers from 1 up that restrict: another number cannot be obeyed either.
    pub(super) fn rule_positives(&mut self, ints: &[i32]) -> &'a [u32] {
        if ints.len() > self.limits.array {
            self.note(NoBidReason::LimitExceeded);
        }
        let looked_at = &ints[..ints.len().min(self.limits.array)];
        if looked_at.iter().any(|int| *int < 1) {
            self.note(NoBidReason::InvalidRequest);
        }
        if looked_at.len() < ints.len() {
            return &[];
        }
        self.keep(ints.iter().filter_map(|int| positive(*int)))
    }

    fn informative<T>(&mut self, (items, over): List<'a, T>) -> Read<&'a [T]> {
        if let Some((what, limit)) = over {
            self.breach(what, limit)?;
        }
        Ok(items)
    }

    fn rule<T>(&mut self, (items, over): List<'a, T>) -> &'a [T] {
        if over.is_some() {
            self.note(NoBidReason::LimitExceeded);
        }
        items
    }

    fn text_list<'t>(&self, texts: impl Iterator<Item = &'t str> + Clone, limit: usize) -> List<'a, &'a str> {
        let longest = self.limits.string;
        if texts.clone().nth(limit).is_some() {
            return (&[], Some(("array", limit)));
        }
        if texts.clone().any(|text| text.len() > longest) {
            return (&[], Some(("string", longest)));
        }
        (self.keep(texts.map(|text| self.arena.alloc_str(text) as &str)), None)
    }

    fn int_list(&self, ints: &[i32]) -> List<'a, i64> {
        let limit = self.limits.array;
        match ints.len() > limit {
            true => (&[], Some(("array", limit))),
            false => (self.keep(ints.iter().copied().map(i64::from)), None),
        }
    }

    /// A floor: a price is exact in JSON, so the decimal that this number stands for is what is meant. Absent is 0;
    /// `None` = no price.
    pub(super) fn price(&self, price: Option<f64>) -> Option<Cpm> {
        let Some(price) = price else { return Some(Cpm(0)) };
        let mut decimal = ArenaString::new_in(self.arena);
        write!(decimal, "{price}").ok()?;
        Cpm::parse_decimal(&decimal, true)
    }
}

/// What is counted or measured from 1 up.
pub(super) fn positive(int: i32) -> Option<u32> {
    u32::try_from(int).ok().filter(|count| *count > 0)
}
