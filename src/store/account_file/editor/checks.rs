//! What an entry is held to beside its own readers: what was fixed when it was created, and what its kind must be unique in.

use super::super::behaviour;
use super::super::explain;
use super::super::report::{Code, Finding, Report};
use super::{Editor, Kept, Part};
use crate::model::behaviour::Source;
use crate::model::exchange::ExchangeProfile;
use crate::model::ids::SegmentId;
use crate::model::list::Deal;
use crate::model::money::Currency;
use crate::model::taxonomy;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use serde_path_to_error::Segment;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

impl Editor {
    /// Currencies that a rate is needed for.
    pub(super) fn currencies(&self) -> BTreeSet<Currency> {
        let of_exchanges = self.exchanges.values().map(|kept| kept.value.currency);
        of_exchanges.chain(self.advertisers.values().map(|kept| kept.value.currency)).collect()
    }

    pub(super) fn check_exchange(&self, report: &mut Report, id: u32, value: &ExchangeProfile) {
        let part = Part::Exchange;
        if let Some(Kept { value: before, .. }) = self.exchanges.get(&id) {
            fixed(report, part, "name", before.name == value.name);
            fixed(report, part, "currency", before.currency == value.currency);
        }
        let mut others = self.exchanges.iter().filter(|(other, _)| **other != id);
        if let Some((other, _)) = others.find(|(_, kept)| kept.value.name == value.name) {
            at(report, part, "name", Code::Duplicate, format!("is already the name of exchange {other}"));
        }
    }

    pub(super) fn check_deal(&self, report: &mut Report, tenant: u32, value: &Deal) {
        let part = Part::Deal;
        if let Some(Kept { value: before, .. }) = self.deals.get(&value.id.0) {
            fixed(report, part, "exchange", before.exchange == value.exchange);
        }
        let is_same = |kept: &&Kept<Deal>| {
            let other = &kept.value;
            kept.tenant == tenant
                && kept.serves
                && other.id != value.id
                && (other.exchange, &other.deal) == (value.exchange, &value.deal)
        };
        if let Some(other) = self.deals.values().find(is_same) {
            let message = format!("is already deal {} of this exchange", other.value.id);
            at(report, part, "deal_id", Code::Duplicate, message);
        }
    }

    pub(super) fn check_segment(
        &self,
        report: &mut Report,
        id: u32,
        taken: Option<SegmentId>,
        value: &taxonomy::Segment,
    ) {
        let part = Part::Segment;
        if let Some(Kept { value: before, .. }) = self.segments.get(&id) {
            fixed(report, part, "key", before.key == value.key);
        }
        if let Some(taken) = taken.filter(|taken| taken.0 != id) {
            at(report, part, "key", Code::Duplicate, format!("is already the key of segment {taken}"));
        }
        let mut above = value.parent.filter(|parent| parent.0 != id);
        let mut is_below_sensitive = false;
        // No chain of parents is longer than there are segments.
        for _ in 0..=self.segments.len() {
            let Some(node) = above else { break };
            if node.0 == id {
                let message = "the parents lead round in a circle; make one of them a root";
                return at(report, part, "parent", Code::Conflict, message.to_owned());
            }
            let node = self.segments.get(&node.0).map(|kept| &kept.value);
            is_below_sensitive |= node.is_some_and(|node| node.sensitive);
            above = node.and_then(|node| node.parent);
        }
        // What it says of itself its reader has looked at, where it has no parent.
        if (is_below_sensitive || (value.sensitive && value.parent.is_some()))
            && let Some((member, message)) = behaviour::sensitive_source(value)
        {
            at(report, part, member, Code::Conflict, message);
        }
        if is_below_sensitive || value.sensitive {
            self.check_below_sensitive(report, id);
        }
    }

    /// What lies below a segment that becomes sensitive is filled by lists too.
    fn check_below_sensitive(&self, report: &mut Report, id: u32) {
        // What is new has nothing below it, and an import of a tree looks at nothing twice.
        if !self.segments.contains_key(&id) {
            return;
        }
        let is_below = |segment: &taxonomy::Segment| {
            let parent = |segment: &taxonomy::Segment| segment.parent.and_then(|id| self.segments.get(&id.0));
            let above = std::iter::successors(parent(segment), |kept| parent(&kept.value));
            above.take(self.segments.len()).any(|kept| kept.value.id.0 == id)
        };
        let filled = self.segments.values().filter(|kept| kept.serves).map(|kept| &kept.value);
        let mut filled = filled.filter(|segment| segment.source != Source::Listed && segment.id.0 != id);
        if let Some(found) = filled.find(|segment| is_below(segment)) {
            let message = format!(
                "{:?}, which lies below, is filled by what people do, and that is no consent; take its rule out first",
                found.key
            );
            at(report, Part::Segment, "sensitive", Code::Conflict, message);
        }
    }
}

/// An error at a field of the entry.
pub(super) fn at(report: &mut Report, part: Part, key: &'static str, code: Code, message: String) {
    report.within(part.list(), |report| report.within(0, |report| report.error_at(key, code, message)));
}

/// A field that is what it was when the entry was created.
pub(super) fn fixed(report: &mut Report, part: Part, key: &'static str, is_same: bool) {
    if !is_same {
        let message = "cannot change any more, because other things rest on it; create a new one instead";
        at(report, part, key, Code::Conflict, message.to_owned());
    }
}

/// Misfits of one entry that are told.
const MAX_MISFITS: usize = 100;

/// An entry in its form, and the JSON that it was read from.
pub(super) struct Parsed<'d, W> {
    pub(super) wire: W,
    /// Without what did not fit.
    pub(super) doc: Cow<'d, str>,
}

/// The entry's JSON in its form. Every value that does not fit is an error with its place, and is left out: serde stops at
/// the first one, so it reads again without it.
pub(super) fn parse<'d, W: DeserializeOwned>(
    report: &mut Report,
    part: Part,
    doc: &'d str,
) -> Option<Parsed<'d, W>> {
    let mut reader = serde_json::Deserializer::from_str(doc);
    let first: Result<W, _> = serde_path_to_error::deserialize(&mut reader);
    let mut why = match first {
        Ok(wire) => return Some(Parsed { wire, doc: Cow::Borrowed(doc) }),
        Err(why) => why,
    };
    let root = match part {
        Part::Rates | Part::Safety => format!("/{}", part.list()),
        _ => format!("/{}/0", part.list()),
    };
    let mut rest: Option<Value> = serde_json::from_str(doc).ok();
    let mut gaps = Gaps::default();
    for _ in 0..MAX_MISFITS {
        let steps: Vec<Segment> = why.path().iter().cloned().collect();
        let pointer = gaps.pointer(&root, &steps);
        report.errors.push(Finding { pointer, code: Code::Malformed, message: explain(why.inner()) });
        let taken = rest.as_mut().is_some_and(|rest| gaps.take(&root, rest, &steps));
        let rest = rest.as_ref().filter(|_| taken)?;
        match serde_path_to_error::deserialize(rest) {
            // What else is wrong would be told at the wrong places of a list.
            Ok(_) if !gaps.taken.is_empty() => return None,
            Ok(wire) => return Some(Parsed { wire, doc: Cow::Owned(rest.to_string()) }),
            Err(next) => why = next,
        }
    }
    None
}

/// Where elements of lists were taken out: what comes behind them has smaller indexes than in what was sent.
#[derive(Default)]
struct Gaps {
    /// By the pointer of a list, the places that were taken out of it, as they were when each was taken.
    taken: HashMap<String, Vec<usize>>,
}

impl Gaps {
    /// The place in what was sent.
    fn pointer(&self, root: &str, steps: &[Segment]) -> String {
        let mut pointer = root.to_owned();
        for step in steps {
            let step = match step {
                Segment::Seq { index } => {
                    let gaps = self.taken.get(&pointer).into_iter().flatten().rev();
                    gaps.fold(*index, |index, gap| index + usize::from(*gap <= index)).to_string()
                }
                Segment::Map { key: name } | Segment::Enum { variant: name } => {
                    name.replace('~', "~0").replace('/', "~1")
                }
                Segment::Unknown => continue,
            };
            pointer.push('/');
            pointer.push_str(&step);
        }
        pointer
    }

    /// Takes the value out to which the steps lead, if they lead anywhere.
    fn take(&mut self, root: &str, from: &mut Value, steps: &[Segment]) -> bool {
        let Some((last, above)) = steps.split_last() else { return false };
        let mut place = from;
        for step in above {
            let next = match step {
                Segment::Seq { index } => place.get_mut(*index),
                Segment::Map { key: name } | Segment::Enum { variant: name } => place.get_mut(name),
                Segment::Unknown => Some(place),
            };
            let Some(next) = next else { return false };
            place = next;
        }
        match (last, place) {
            (Segment::Seq { index }, Value::Array(items)) if *index < items.len() => {
                items.remove(*index);
                let list = self.pointer(root, above);
                self.taken.entry(list).or_default().push(*index);
                true
            }
            (Segment::Map { key }, Value::Object(members)) => members.remove(key).is_some(),
            _ => false,
        }
    }
}

pub(super) fn raw<'d>(report: &mut Report, part: Part, doc: &'d str) -> Option<&'d RawValue> {
    match serde_json::from_str(doc) {
        Ok(raw) => Some(raw),
        Err(why) => {
            let pointer = format!("/{}/0", part.list());
            report.errors.push(Finding { pointer, code: Code::Malformed, message: explain(&why) });
            None
        }
    }
}
