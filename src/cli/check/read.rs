//! Reading JSON as the bidder reads it: numbers as texts, texts as numbers, one thing for a list. The rules are those of
//! `exchange::json`, for values that are already in a tree.

use crate::model::money::Cpm;
use serde_json::Value;
use std::fmt;

/// Where something stands, as a chain back to the root.
#[derive(Clone, Copy)]
pub(super) enum Path<'p> {
    Root,
    Key(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
}

impl<'p> Path<'p> {
    pub(super) fn key(&'p self, key: &'p str) -> Path<'p> {
        Path::Key(self, key)
    }

    pub(super) fn index(&'p self, index: usize) -> Path<'p> {
        Path::Index(self, index)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Key(Path::Root, key) => f.write_str(key),
            Path::Key(outer, key) => write!(f, "{outer}.{key}"),
            Path::Index(outer, index) => write!(f, "{outer}[{index}]"),
        }
    }
}

/// An object that is being looked at, with those around it.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    /// Its name in the schema.
    pub(super) message: &'static str,
    pub(super) value: &'a Value,
    pub(super) path: &'a Path<'a>,
    pub(super) outer: Option<&'a At<'a>>,
}

impl<'a> At<'a> {
    /// A field that is there: `null` is not.
    pub(super) fn field(&self, name: &str) -> Option<&'a Value> {
        field(self.value, name)
    }

    /// The nearest object of a name around this one.
    pub(super) fn within(&self, message: &str) -> Option<&'a At<'a>> {
        let outer = self.outer?;
        if outer.message == message { Some(outer) } else { outer.within(message) }
    }
}

/// A field that is there: `null` is not.
pub(super) fn field<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    value.get(name).filter(|found| !found.is_null())
}

/// What lies at the end of a chain of fields.
pub(super) fn at<'v>(value: &'v Value, names: &[&str]) -> Option<&'v Value> {
    names.iter().try_fold(value, |value, name| field(value, name))
}

/// A text, or a number as its text; an empty one is absent.
pub(super) fn text(value: Option<&Value>) -> Option<String> {
    let text = match value? {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    Some(text).filter(|text| !text.is_empty())
}

/// A number or a text that holds one; its fraction is cut off.
pub(super) fn int(value: Option<&Value>) -> Option<i64> {
    let text = match value? {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        Value::Bool(flag) => return Some(i64::from(*flag)),
        _ => return None,
    };
    let cut = || decimal(&text).filter(|float| float.abs() < i64::MAX as f64).map(|float| float as i64);
    text.parse().ok().or_else(cut)
}

/// A finite number, or a text that holds one.
pub(super) fn number(value: Option<&Value>) -> Option<f64> {
    let text = match value? {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    decimal(&text).filter(|number| number.is_finite())
}

/// Infinite when too large.
fn decimal(text: &str) -> Option<f64> {
    let is_decimal = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    is_decimal.then(|| text.parse().ok())?
}

/// What is counted or measured from 1 up; what is too large for the type counts as its maximum.
pub(super) fn positive(value: Option<&Value>) -> Option<u32> {
    let text = match value? {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    let whole: i64 = text.parse().ok().or_else(|| decimal(&text).map(|float| float as i64))?;
    (whole > 0).then(|| u32::try_from(whole).unwrap_or(u32::MAX))
}

/// A flag as 0 or 1, a boolean, or the text of either.
pub(super) fn flag(value: Option<&Value>) -> Option<bool> {
    match value? {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) if text.trim().eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.trim().eq_ignore_ascii_case("false") => Some(false),
        other => match int(Some(other)) {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
    }
}

/// A list: an array, or one number, or a text with commas; `null` entries are left out.
pub(super) fn list(value: Option<&Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(entries)) => entries.iter().filter(|entry| !entry.is_null()).cloned().collect(),
        Some(Value::String(text)) => {
            text.split(',').map(str::trim).filter(|piece| !piece.is_empty()).map(Value::from).collect()
        }
        Some(Value::Null) | None => Vec::new(),
        Some(other) => vec![other.clone()],
    }
}

/// The texts of a list.
pub(super) fn texts(value: Option<&Value>) -> Vec<String> {
    let text = |entry: &Value| match entry {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    list(value).iter().filter_map(text).collect()
}

/// The whole numbers of a list.
pub(super) fn ints(value: Option<&Value>) -> Vec<i64> {
    list(value).iter().filter_map(|entry| int(Some(entry))).collect()
}

/// A price in CPM micros, rounded up: a finite decimal from 0 up. `None` = absent, `Some(Err)` = unreadable.
pub(super) fn price(value: Option<&Value>) -> Option<Result<Cpm, Unreadable>> {
    let text = match value? {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return Some(Err(Unreadable)),
    };
    Some(Cpm::parse_decimal(&text, true).ok_or(Unreadable))
}

/// A value that is there and means nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unreadable;

/// The objects of a list.
pub(super) fn objects(value: Option<&Value>) -> impl Iterator<Item = (usize, &Value)> {
    let entries = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    entries.iter().enumerate().filter(|(_, entry)| entry.is_object())
}

/// A value as a person sees it: short, on one line.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Array(entries) => format!("a list of {}", entries.len()),
        Value::Object(_) => "an object".to_owned(),
        other => {
            let text = other.to_string();
            match text.char_indices().nth(60) {
                Some((at, _)) => format!("{}…", &text[..at]),
                None => text,
            }
        }
    }
}
