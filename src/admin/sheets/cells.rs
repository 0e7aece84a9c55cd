//! What stands in a cell of a table, and the value that it means.
//!
//! Invariant: what [`write`] gives, [`read`] reads back as the same value, whatever texts it has, and a program that takes
//! cells for formulas finds none. Nothing is guessed from a cell's look: the column says what it holds.
//!
//! The rules, in the order in which a cell is read:
//! - an empty cell says nothing, and `(clear)` takes a member away;
//! - one `'` at the beginning is taken off, and what follows is as it stands: so an empty text is `'`, a text that begins
//!   with `= + - @`, a tab or a line break gets one, and so does one that begins with `'` or is `(clear)`. Plain numbers
//!   such as -1.5 need none: no program computes anything from them;
//! - lists of texts or numbers are joined by `;`. A `\` before a character makes it an ordinary one; spaces around an entry
//!   do not count. What is no list of non-empty entries is JSON, as everything deeper is.

use serde_json::{Map, Value};

/// Takes a member away.
const CLEAR: &str = "(clear)";

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaf {
    Text,
    Whole,
    Switch,
    /// A text, or JSON.
    Any,
    Texts,
    Wholes,
    /// Objects with this one member where they have no other, written as a list of it.
    Objects(&'static str),
    /// An object or a list, as JSON.
    Json,
}

/// What a cell says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    /// Nothing.
    Empty,
    /// That there shall be none.
    Clear,
    Value(Value),
}

/// The cell for a value.
pub(super) fn write(leaf: Leaf, value: &Value) -> String {
    match (leaf, value) {
        (_, Value::Null) => String::new(),
        (Leaf::Any, Value::String(text)) if text.starts_with(['{', '[']) => format!("'{text}"),
        (_, Value::String(text)) => literal(text),
        (Leaf::Objects(member), Value::Array(entries)) => {
            let only: Option<Vec<&Value>> = entries.iter().map(|entry| only_member(entry, member)).collect();
            only.and_then(joined).unwrap_or_else(|| value.to_string())
        }
        (Leaf::Texts | Leaf::Wholes, Value::Array(entries)) => {
            joined(entries.iter().collect()).unwrap_or_else(|| value.to_string())
        }
        _ => value.to_string(),
    }
}

/// The value of a cell.
///
/// # Errors
/// What is wrong with it and what to do.
pub(super) fn read(leaf: Leaf, cell: &str) -> Result<Cell, String> {
    match cell {
        "" => return Ok(Cell::Empty),
        CLEAR => return Ok(Cell::Clear),
        _ => {}
    }
    let (text, is_literal) = match cell.strip_prefix('\'') {
        Some(rest) => (rest, true),
        None => (cell, false),
    };
    let is_json = !is_literal && text.starts_with(['{', '[']);
    let value = match leaf {
        Leaf::Text => text.into(),
        Leaf::Whole => whole(text)?,
        Leaf::Switch => match text.trim() {
            text if text.eq_ignore_ascii_case("true") => true.into(),
            text if text.eq_ignore_ascii_case("false") => false.into(),
            text => return Err(format!("{text:?} is neither true nor false")),
        },
        Leaf::Any if !is_json => text.into(),
        Leaf::Texts | Leaf::Wholes | Leaf::Objects(_) if is_json => match json(text)? {
            list @ Value::Array(_) => list,
            _ => return Err("give a list".to_owned()),
        },
        Leaf::Texts => split(text).into_iter().map(Value::from).collect(),
        Leaf::Wholes => split(text).iter().map(|text| whole(text)).collect::<Result<_, _>>()?,
        Leaf::Objects(member) => {
            let object = |text: String| Value::Object(Map::from_iter([(member.to_owned(), text.into())]));
            split(text).into_iter().map(object).collect()
        }
        Leaf::Any | Leaf::Json => match json(text)? {
            value @ (Value::Array(_) | Value::Object(_)) => value,
            _ => return Err("give an object {…} or a list […] as JSON".to_owned()),
        },
    };
    Ok(Cell::Value(value))
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|why| format!("is no JSON: {why}"))
}

fn whole(text: &str) -> Result<Value, String> {
    let number = text.trim().parse::<i64>();
    number.map(Value::from).map_err(|_| format!("{text:?} is no whole number"))
}

/// A text as a cell.
fn literal(text: &str) -> String {
    let is_risky = text.starts_with(['\'', '=', '+', '-', '@', '\t', '\r', '\n']) && !is_number(text);
    if text.is_empty() || text == CLEAR || is_risky { format!("'{text}") } else { text.to_owned() }
}

/// Digits with a minus before them or not, and a point between them or not.
fn is_number(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    text.split_once('.').map_or_else(|| digits(text), |(whole, rest)| digits(whole) && digits(rest))
}

fn only_member<'v>(entry: &'v Value, member: &str) -> Option<&'v Value> {
    let object = entry.as_object().filter(|object| object.len() == 1)?;
    object.get(member).filter(|value| value.is_string())
}

/// Texts and numbers as a list; `None` where it could not be told from something else.
fn joined(entries: Vec<&Value>) -> Option<String> {
    let mut cell = String::new();
    for entry in &entries {
        if !cell.is_empty() {
            cell.push(';');
        }
        match entry {
            Value::String(text) if !text.is_empty() => escape(text, &mut cell),
            Value::Number(number) => cell.push_str(&number.to_string()),
            _ => return None,
        }
    }
    let cell = if cell.starts_with(['[', '{']) { format!("\\{cell}") } else { cell };
    (!entries.is_empty()).then(|| literal(&cell))
}

fn escape(text: &str, cell: &mut String) {
    let last = text.len() - text.chars().next_back().map_or(0, char::len_utf8);
    for (at, c) in text.char_indices() {
        if matches!(c, ';' | '\\') || (c == ' ' && (at == 0 || at == last)) {
            cell.push('\\');
        }
        cell.push(c);
    }
}

/// Takes a list apart.
fn split(text: &str) -> Vec<String> {
    let mut entries = Vec::new();
    let (mut entry, mut kept) = (String::new(), 0);
    let mut chars = text.chars();
    let mut is_any = false;
    while let Some(c) = chars.next() {
        is_any = true;
        match c {
            '\\' => {
                entry.push(chars.next().unwrap_or('\\'));
                kept = entry.len();
            }
            ';' => {
                entry.truncate(kept);
                entries.push(std::mem::take(&mut entry));
                kept = 0;
            }
            ' ' if kept == 0 && entry.is_empty() => {}
            ' ' => entry.push(' '),
            c => {
                entry.push(c);
                kept = entry.len();
            }
        }
    }
    entry.truncate(kept);
    if is_any {
        entries.push(entry);
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn values_and_cells_are_what_the_guide_says() {
        let check = |leaf, value: Value, cell: &str| {
            assert_eq!(write(leaf, &value), cell);
            if !value.is_null() {
                assert_eq!(read(leaf, cell), Ok(Cell::Value(value)), "{cell}");
            }
        };
        check(Leaf::Text, json!("Spring, \"final\""), "Spring, \"final\"");
        check(Leaf::Text, Value::Null, "");
        check(Leaf::Text, json!(""), "'");
        check(Leaf::Text, json!("=1+1"), "'=1+1");
        check(Leaf::Text, json!("@here"), "'@here");
        check(Leaf::Text, json!("-1.5"), "-1.5");
        check(Leaf::Text, json!("-1.5.5"), "'-1.5.5");
        check(Leaf::Text, json!("-"), "'-");
        check(Leaf::Text, json!("+49"), "'+49");
        check(Leaf::Text, json!("\t=1"), "'\t=1");
        check(Leaf::Text, json!("'quoted'"), "''quoted'");
        check(Leaf::Text, json!("(clear)"), "'(clear)");
        check(Leaf::Text, json!("[1"), "[1");
        check(Leaf::Whole, json!(-7), "-7");
        check(Leaf::Switch, json!(true), "true");
        check(Leaf::Any, json!("plain"), "plain");
        check(Leaf::Any, json!("{"), "'{");
        check(Leaf::Any, json!({ "type": "plain" }), "{\"type\":\"plain\"}");
        check(Leaf::Texts, json!(["DE", "FR"]), "DE;FR");
        check(Leaf::Texts, json!(["a;b", "c\\d", " e "]), "a\\;b;c\\\\d;\\ e\\ ");
        check(Leaf::Texts, json!([" "]), "\\ ");
        check(Leaf::Texts, json!(["[x]"]), "\\[x]");
        check(Leaf::Texts, json!(["=x", "y"]), "'=x;y");
        check(Leaf::Texts, json!([]), "[]");
        check(Leaf::Texts, json!([""]), "[\"\"]");
        check(Leaf::Texts, json!(["(clear)"]), "'(clear)");
        check(Leaf::Wholes, json!([1, -2]), "1;-2");
        check(Leaf::Wholes, json!([-2, 1]), "'-2;1");
        check(Leaf::Objects("creative"), json!([{ "creative": "5" }, { "creative": "6" }]), "5;6");
        let weighted = json!([{ "creative": "5", "weight": 2 }]);
        check(Leaf::Objects("creative"), weighted, "[{\"creative\":\"5\",\"weight\":2}]");
        check(Leaf::Json, json!({ "team": "north" }), "{\"team\":\"north\"}");
    }

    #[test]
    fn a_cell_is_read_kindly_and_what_it_cannot_be_is_said() {
        assert_eq!(read(Leaf::Text, ""), Ok(Cell::Empty));
        assert_eq!(read(Leaf::Texts, "(clear)"), Ok(Cell::Clear));
        assert_eq!(read(Leaf::Texts, "DE; FR ;IT"), Ok(Cell::Value(json!(["DE", "FR", "IT"]))));
        assert_eq!(read(Leaf::Switch, "TRUE"), Ok(Cell::Value(json!(true))));
        assert_eq!(read(Leaf::Whole, " 7 "), Ok(Cell::Value(json!(7))));
        for (leaf, cell) in [
            (Leaf::Whole, "seven"),
            (Leaf::Whole, "1.5"),
            (Leaf::Switch, "yes"),
            (Leaf::Wholes, "1;x"),
            (Leaf::Texts, "[1"),
            (Leaf::Json, "5"),
            (Leaf::Json, "{"),
        ] {
            assert!(read(leaf, cell).is_err(), "{leaf:?} {cell}");
        }
    }

    fn text() -> impl Strategy<Value = String> {
        "[-=+@'\t\r\n;\\\\ \\[{(clear)\",aé0-9.]{0,6}"
    }

    proptest! {
        #[test]
        fn every_text_and_every_list_comes_back_and_none_is_a_formula(
            one in text(), several in prop::collection::vec(text(), 0..4)
        ) {
            for (leaf, value) in [
                (Leaf::Text, json!(one)),
                (Leaf::Any, json!(one)),
                (Leaf::Texts, json!(several)),
                (Leaf::Json, json!(several)),
                (Leaf::Objects("m"), several.iter().map(|text| json!({ "m": text })).collect()),
            ] {
                let cell = write(leaf, &value);
                prop_assert_eq!(read(leaf, &cell), Ok(Cell::Value(value)), "{}", cell);
                let risky = cell.starts_with(['=', '+', '@', '\t', '\r', '\n']);
                prop_assert!(!risky && (!cell.starts_with('-') || is_number(&cell)), "{}", cell);
            }
        }
    }
}
