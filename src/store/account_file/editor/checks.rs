//! What an entry is held to beside its own readers: what was fixed when it was created, and what its kind must be unique in.

use super::super::explain;
use super::super::report::{Code, Finding, Report};
use super::{Editor, Kept, Part};
use crate::model::exchange::ExchangeProfile;
use crate::model::ids::SegmentId;
use crate::model::list::Deal;
use crate::model::money::Currency;
use crate::model::taxonomy::Segment;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::collections::BTreeSet;

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
        value: &Segment,
    ) {
        let part = Part::Segment;
        if let Some(Kept { value: before, .. }) = self.segments.get(&id) {
            fixed(report, part, "key", before.key == value.key);
        }
        if let Some(taken) = taken.filter(|taken| taken.0 != id) {
            at(report, part, "key", Code::Duplicate, format!("is already the key of segment {taken}"));
        }
        let mut above = value.parent.filter(|parent| parent.0 != id);
        // No chain of parents is longer than there are segments.
        for _ in 0..=self.segments.len() {
            above = match above {
                Some(node) if node.0 == id => {
                    let message = "the parents lead round in a circle; make one of them a root";
                    return at(report, part, "parent", Code::Conflict, message.to_owned());
                }
                Some(node) => self.segments.get(&node.0).and_then(|kept| kept.value.parent),
                None => return,
            };
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

/// The entry's JSON in its form; the place of what does not fit is in the error.
pub(super) fn parse<W: DeserializeOwned>(report: &mut Report, part: Part, doc: &str) -> Option<W> {
    let mut reader = serde_json::Deserializer::from_str(doc);
    let why = match serde_path_to_error::deserialize(&mut reader) {
        Ok(wire) => return Some(wire),
        Err(why) => why,
    };
    let mut pointer = match part {
        Part::Rates | Part::Safety => format!("/{}", part.list()),
        _ => format!("/{}/0", part.list()),
    };
    for step in why.path().iter() {
        use serde_path_to_error::Segment::{Enum, Map, Seq, Unknown};
        match step {
            Seq { index } => pointer.push_str(&format!("/{index}")),
            Map { key: name } | Enum { variant: name } => {
                pointer.push_str(&format!("/{}", name.replace('~', "~0").replace('/', "~1")));
            }
            Unknown => {}
        }
    }
    let message = explain(why.inner());
    report.errors.push(Finding { pointer, code: Code::Malformed, message });
    None
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
