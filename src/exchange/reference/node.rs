//! A JSON tree that forgets nothing, and the rules for single values.

use super::{Limits, ParseError};
use crate::exchange::entries::Entries;
use crate::model::no_bid::NoBidReason;
use bumpalo::Bump;
use serde_json::value::RawValue;
use std::cell::Cell;

/// A JSON value.
pub(super) enum Node {
    Null,
    Bool(bool),
    /// A number, as sent.
    Number(String),
    /// A string; `None` when it holds a lone surrogate.
    Text(Option<String>),
    Array(Vec<Node>),
    /// Every key with its value, in order, repeated ones as well.
    Object(Vec<(String, Node)>),
}

impl Node {
    /// Reads a body, or says what makes it unreadable.
    pub(super) fn parse(body: &[u8], limits: &Limits) -> Result<Node, ParseError> {
        let text = std::str::from_utf8(body)
            .map_err(|e| ParseError::Malformed { offset: e.valid_up_to(), what: "not utf-8" })?;
        let raw: &RawValue = serde_json::from_str(text)
            .map_err(|e| ParseError::Malformed { offset: e.column(), what: "not json" })?;
        check_depth(text, limits.depth.min(Limits::MAX_DEPTH))?;
        Ok(Node::build(raw.get()))
    }

    /// Builds the tree of a text that is known to be JSON and not nested too deep.
    fn build(json: &str) -> Node {
        let json = json.trim_ascii();
        match json.as_bytes()[0] {
            b'n' => Node::Null,
            b't' | b'f' => Node::Bool(json == "true"),
            b'"' => Node::Text(serde_json::from_str(json).ok()),
            b'[' => {
                let entries: Vec<&RawValue> = serde_json::from_str(json).expect("the body was checked");
                Node::Array(entries.iter().map(|raw| Node::build(raw.get())).collect())
            }
            b'{' => {
                let Entries(entries) = serde_json::from_str(json).expect("the body was checked");
                let entry = |&(key, value): &(&RawValue, &RawValue)| {
                    (serde_json::from_str(key.get()).unwrap_or_default(), Node::build(value.get()))
                };
                Node::Object(entries.iter().map(entry).collect())
            }
            _ => Node::Number(json.to_owned()),
        }
    }

    /// The values of a key, in order; none when this is no object.
    pub(super) fn all<'n>(&'n self, key: &'n str) -> impl DoubleEndedIterator<Item = &'n Node> {
        let entries: &[(String, Node)] = if let Node::Object(entries) = self { entries } else { &[] };
        entries.iter().filter(move |(name, _)| name == key).map(|(_, value)| value)
    }

    /// Reads every value of a key; the last one stands, none is the default.
    pub(super) fn read<T: Default>(
        &self,
        key: &str,
        read: impl Fn(&Node) -> Result<T, ParseError>,
    ) -> Result<T, ParseError> {
        let mut found = T::default();
        for value in self.all(key) {
            found = read(value)?;
        }
        Ok(found)
    }

    /// Refuses an object in which one of the keys comes more than once.
    pub(super) fn refuse_repeated(&self, keys: &[&'static str]) -> Result<(), ParseError> {
        match keys.iter().find(|key| self.all(key).count() > 1) {
            Some(field) => Err(ParseError::DuplicateKey { field }),
            None => Ok(()),
        }
    }
}

/// Counts the open brackets of a JSON text.
fn check_depth(text: &str, limit: usize) -> Result<(), ParseError> {
    let (mut depth, mut in_string, mut escaped) = (0, false, false);
    for (offset, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth -= 1,
            _ => {}
        }
        if depth > limit {
            return Err(ParseError::TooDeep { offset, limit });
        }
    }
    Ok(())
}

/// What the reading of one request knows.
pub(super) struct Oracle<'a> {
    arena: &'a Bump,
    pub(super) limits: Limits,
    /// An impression is being read.
    pub(super) in_imp: Cell<bool>,
    /// The fault of the request or of the impression that is being read.
    pub(super) fault: Cell<Option<NoBidReason>>,
}

impl<'a> Oracle<'a> {
    pub(super) fn new(limits: &Limits, arena: &'a Bump) -> Oracle<'a> {
        Oracle { arena, limits: *limits, in_imp: Cell::new(false), fault: Cell::new(None) }
    }

    pub(super) fn keep<T>(&self, items: Vec<T>) -> &'a [T] {
        self.arena.alloc_slice_fill_iter(items)
    }

    pub(super) fn note(&self, reason: NoBidReason) {
        self.fault.set([self.fault.get(), Some(reason)].into_iter().flatten().min());
    }

    pub(super) fn over_limit(&self, what: &'static str, limit: usize) -> Result<(), ParseError> {
        if self.in_imp.get() {
            self.note(NoBidReason::LimitExceeded);
            Ok(())
        } else {
            Err(ParseError::LimitExceeded { field: "request", what, limit })
        }
    }

    /// A string or a number; nothing else, and not the empty string.
    pub(super) fn text(&self, node: &Node) -> Result<Option<&'a str>, ParseError> {
        self.text_up_to(node, self.limits.string)
    }

    pub(super) fn text_up_to(&self, node: &Node, limit: usize) -> Result<Option<&'a str>, ParseError> {
        let Some(text) = as_text(node).filter(|text| !text.is_empty()) else { return Ok(None) };
        if text.len() > limit {
            self.over_limit("string", limit)?;
            return Ok(None);
        }
        Ok(Some(self.arena.alloc_str(text)))
    }

    /// A number, a string that holds one, or a boolean; without its fraction.
    pub(super) fn int(&self, node: &Node) -> Option<i64> {
        let text = match node {
            Node::Bool(true) => "1",
            Node::Bool(false) => "0",
            Node::Number(text) => text,
            Node::Text(Some(text)) => text.trim(),
            _ => return None,
        };
        if let Ok(int) = text.parse::<i64>() {
            return Some(int);
        }
        let float = decimal(text)?.trunc();
        (float > i64::MIN as f64 && float < i64::MAX as f64).then_some(float as i64)
    }

    pub(super) fn flag(&self, node: &Node) -> Option<bool> {
        if let Node::Text(Some(text)) = node {
            match text.trim().to_ascii_lowercase().as_str() {
                "true" => return Some(true),
                "false" => return Some(false),
                _ => {}
            }
        }
        match self.int(node) {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        }
    }

    /// Whether a flag of an object is there and set.
    pub(super) fn is_set(&self, object: &Node, key: &str) -> bool {
        object.all(key).last().and_then(|node| self.flag(node)).unwrap_or(false)
    }

    /// At least 1, at most the largest `u32`, which also stands for all above.
    pub(super) fn positive(&self, node: &Node) -> Option<u32> {
        let value = self.decimal(node)?;
        if value < 1.0 { None } else { Some(value.min(f64::from(u32::MAX)) as u32) }
    }

    /// A number, or a string that holds one.
    pub(super) fn decimal(&self, node: &Node) -> Option<f64> {
        match node {
            Node::Number(text) => decimal(text),
            Node::Text(Some(text)) => decimal(text.trim()),
            _ => None,
        }
    }

    /// Strings that inform.
    pub(super) fn texts(&self, node: &Node) -> Result<Vec<&'a str>, ParseError> {
        let (entries, over, _) = self.entries(node, self.limits.array, |n| as_text(n).map(str::to_owned));
        if over {
            self.over_limit("array", self.limits.array)?;
        }
        Ok(entries.iter().map(|text| self.arena.alloc_str(text) as &str).collect())
    }

    /// Strings that forbid or restrict.
    pub(super) fn rule_texts(&self, node: &Node, limit: usize) -> Result<Vec<&'a str>, ParseError> {
        let (entries, over, unreadable) = self.entries(node, limit, |n| as_text(n).map(str::to_owned));
        self.note_defects(over, unreadable);
        Ok(entries.iter().map(|text| self.arena.alloc_str(text) as &str).collect())
    }

    /// Integers that inform.
    pub(super) fn ints(&self, node: &Node) -> Result<&'a [i64], ParseError> {
        let (entries, over, _) = self.entries(node, self.limits.array, |n| self.int(n));
        if over {
            self.over_limit("array", self.limits.array)?;
        }
        Ok(self.keep(entries))
    }

    /// Integers that forbid.
    pub(super) fn rule_ints(&self, node: &Node) -> Result<&'a [i64], ParseError> {
        let (entries, over, unreadable) = self.entries(node, self.limits.array, |n| self.int(n));
        self.note_defects(over, unreadable);
        Ok(self.keep(entries))
    }

    /// Counts that restrict.
    pub(super) fn rule_counts(&self, node: &Node) -> Result<Vec<u32>, ParseError> {
        let (entries, over, unreadable) = self.entries(node, self.limits.array, |n| self.positive(n));
        self.note_defects(over, unreadable);
        Ok(entries)
    }

    fn note_defects(&self, over: bool, unreadable: bool) {
        if over {
            self.note(NoBidReason::LimitExceeded);
        }
        if unreadable {
            self.note(NoBidReason::InvalidRequest);
        }
    }

    /// The readable entries of a list; whether a limit was passed (then there are none); whether anything was
    /// unreadable.
    fn entries<T>(
        &self,
        node: &Node,
        limit: usize,
        read: impl Fn(&Node) -> Option<T>,
    ) -> (Vec<T>, bool, bool) {
        let pieces: Vec<Node>;
        let all: &[Node] = match node {
            Node::Null => &[],
            Node::Array(entries) => entries,
            Node::Text(Some(text)) => {
                let trimmed = text.split(',').map(str::trim).filter(|piece| !piece.is_empty());
                pieces = trimmed.map(|piece| Node::Text(Some(piece.to_owned()))).collect();
                &pieces
            }
            Node::Number(_) => std::slice::from_ref(node),
            Node::Bool(_) | Node::Object(_) | Node::Text(None) => return (Vec::new(), false, true),
        };
        let too_long = |entry: &Node| as_text(entry).is_some_and(|text| text.len() > self.limits.string);
        let over = all.len() > limit || all.iter().any(too_long);
        // Beyond the limit nothing is looked at, so nothing there is unreadable; nor is what is only too long.
        let looked_at =
            all.iter().take(limit).filter(|entry| !matches!(entry, Node::Null) && !too_long(entry));
        let found: Vec<Option<T>> = looked_at.map(read).collect();
        let unreadable = found.iter().any(Option::is_none);
        (if over { Vec::new() } else { found.into_iter().flatten().collect() }, over, unreadable)
    }
}

fn as_text(node: &Node) -> Option<&str> {
    match node {
        Node::Text(Some(text)) | Node::Number(text) => Some(text),
        _ => None,
    }
}

/// A decimal, infinite when too large; not the words that Rust reads as floats.
fn decimal(text: &str) -> Option<f64> {
    let only_words = text.contains(|c: char| c.is_alphabetic() && !matches!(c, 'e' | 'E'));
    if only_words { None } else { text.parse().ok() }
}
