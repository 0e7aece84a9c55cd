//! Reading JSON as it is sent, not as it is specified: numbers as texts, texts as numbers, one thing for a list.

use serde_json::Value;

/// A field that is there: `null` is not.
pub(crate) fn field<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    value.get(name).filter(|found| !found.is_null())
}

/// A text, or a number as its text.
pub(crate) fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A finite number, or a text that is one.
pub(crate) fn number(value: Option<&Value>) -> Option<f64> {
    let number = match value? {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

/// A flag as a boolean, 0 or 1, or the text of one.
pub(crate) fn flag(value: Option<&Value>) -> Option<bool> {
    match value? {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) if text == "true" || text == "false" => Some(text == "true"),
        other => number(Some(other)).map(|number| number != 0.0),
    }
}

/// A list of texts; a single value is a list of one.
pub(crate) fn list(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(items)) => items.iter().filter_map(|item| text(Some(item))).collect(),
        other => text(other).into_iter().collect(),
    }
}

/// A list of whole numbers.
pub(crate) fn numbers(value: Option<&Value>) -> Vec<i64> {
    match value {
        Some(Value::Array(items)) => {
            items.iter().filter_map(|item| number(Some(item))).map(|n| n as i64).collect()
        }
        other => number(other).map(|n| n as i64).into_iter().collect(),
    }
}

/// A currency code in upper case; absent = USD.
pub(crate) fn currency(value: Option<&Value>) -> String {
    text(value).unwrap_or_else(|| "USD".to_owned()).to_ascii_uppercase()
}
