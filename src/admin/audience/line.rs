//! The rows of a customer list, as CSV or as one JSON object a line.
//!
//! Invariant: one row is in memory at a time, and none is longer than [`MAX_LINE`] or what a table's may have.

use crate::admin::sheets::{Broken, Table};
use crate::model::suggest::closest;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Read};

/// Longest line of JSON, in bytes.
const MAX_LINE: u64 = 1 << 20;

/// The columns of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub(super) enum Column {
    Cookie,
    Ifa,
    Email,
    Phone,
    Eid,
    EidSource,
    TtlDays,
    ExpiresAt,
    Segments,
    Purchases,
    Spend,
    FirstPurchaseAt,
    LastPurchaseAt,
}

pub(super) const NAMES: [&str; 13] = [
    "cookie",
    "ifa",
    "email_sha256",
    "phone_sha256",
    "eid",
    "eid_source",
    "ttl_days",
    "expires_at",
    "segments",
    "purchases",
    "spend",
    "first_purchase_at",
    "last_purchase_at",
];

/// The cells of a row, trimmed, by [`Column`]; empty where nothing is said.
pub(super) type Cells<'r> = [Cow<'r, str>; NAMES.len()];

/// What is wrong with a row. It never repeats what the row says: that may be somebody's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) column: &'static str,
    pub(super) code: &'static str,
    pub(super) message: Cow<'static, str>,
}

impl Fault {
    pub(super) fn new(
        column: &'static str,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Fault {
        Fault { column, code, message: message.into() }
    }
}

/// A row with its numbers.
pub(super) struct Line<'r> {
    /// 1 is the first one.
    pub(super) row: u64,
    /// In which line of the file it begins, from 1.
    pub(super) line: u64,
    pub(super) cells: Result<Cells<'r>, Fault>,
}

/// In which form a list comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    Csv,
    Json,
}

impl Form {
    /// The one that a content type names.
    pub(super) fn of(media: &str) -> Option<Form> {
        match media.to_ascii_lowercase().as_str() {
            "text/csv" => Some(Form::Csv),
            "application/x-ndjson" => Some(Form::Json),
            _ => None,
        }
    }
}

/// The names of the columns that a list may have, no more than [`NAMES`] are.
pub(super) type Names = &'static [&'static str];

/// A list that is read.
pub(super) enum Lines<R: Read> {
    /// With the column of each place.
    Csv(Table<BufReader<R>>, Vec<usize>, Names),
    Json(JsonLines<R>),
}

pub(super) struct JsonLines<R> {
    reader: BufReader<R>,
    names: Names,
    buffer: Vec<u8>,
    row: u64,
    line: u64,
}

impl<R: Read> Lines<R> {
    /// Begins with a file, which is read from where it stands. Reads the names of the columns, where it has them.
    pub(super) fn begin(form: Form, known: Names, file: R) -> Result<Lines<R>, Broken> {
        let reader = BufReader::with_capacity(64 << 10, file);
        if form == Form::Json {
            return Ok(Lines::Json(JsonLines { reader, names: known, buffer: Vec::new(), row: 0, line: 0 }));
        }
        let mut table = Table::new(reader);
        let names = table.header()?;
        let broken = |code, message: String| Broken { row: 0, line: 1, code, message };
        let mut places = Vec::new();
        for (at, name) in names.iter().enumerate() {
            match known.iter().position(|known| known == name) {
                // What is no name of a column may be somebody's address: a table without its first line.
                None => {
                    let near =
                        closest(name, known.iter().copied()).map(|near| format!("; did you mean {near:?}?"));
                    let hint = near.unwrap_or_else(|| format!("; there are {}", known.join(", ")));
                    let message = format!("column {} has a name that is not known{hint}", at + 1);
                    return Err(broken("unknown_column", message));
                }
                Some(place) if places.contains(&place) => {
                    return Err(broken("duplicate", format!("column {name:?} is there twice")));
                }
                Some(place) => places.push(place),
            }
        }
        Ok(Lines::Csv(table, places, known))
    }

    /// Whether the list has any of these columns; of JSON nobody knows before its end.
    pub(super) fn has_any(&self, columns: &[Column]) -> bool {
        match self {
            Lines::Csv(_, places, _) => columns.iter().any(|column| places.contains(&(*column as usize))),
            Lines::Json(_) => false,
        }
    }

    /// The next row; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, Broken> {
        match self {
            Lines::Csv(table, places, names) => {
                let Some(record) = table.next()? else { return Ok(None) };
                let cells = if record.cells.len() == places.len() {
                    let mut cells = Cells::default();
                    let wrong =
                        places.iter().zip(record.cells).find_map(|(place, bytes)| match std::str::from_utf8(
                            bytes,
                        ) {
                            Ok(text) => {
                                cells[*place] = Cow::Borrowed(text.trim());
                                None
                            }
                            Err(_) => Some(Fault::new(names[*place], "encoding", "is not UTF-8")),
                        });
                    wrong.map_or(Ok(cells), Err)
                } else {
                    let message = "has another number of cells than the first line";
                    Err(Fault::new("", "ragged", message))
                };
                Ok(Some(Line { row: record.row, line: record.line, cells }))
            }
            Lines::Json(lines) => lines.next(),
        }
    }
}

impl<R: Read> JsonLines<R> {
    fn next(&mut self) -> Result<Option<Line<'_>>, Broken> {
        loop {
            self.buffer.clear();
            let broken =
                |line: u64, row: u64, message: String| Broken { row, line, code: "malformed", message };
            let read = Read::by_ref(&mut self.reader).take(MAX_LINE).read_until(b'\n', &mut self.buffer);
            let read = read.map_err(|why: io::Error| broken(self.line + 1, self.row + 1, why.to_string()))?;
            if read == 0 {
                return Ok(None);
            }
            self.line += 1;
            if read as u64 == MAX_LINE && self.buffer.last() != Some(&b'\n') {
                return Err(broken(self.line, self.row + 1, "a line is longer than 1 MiB".to_owned()));
            }
            let start = if self.line == 1 { self.buffer.strip_prefix(b"\xef\xbb\xbf") } else { None };
            let is_blank = start.unwrap_or(&self.buffer).trim_ascii().is_empty();
            if !is_blank {
                break;
            }
        }
        self.row += 1;
        let bytes = self.buffer.trim_ascii();
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let cells = match serde_json::from_slice::<Map<String, Value>>(bytes) {
            Ok(object) => cells_of(self.names, object),
            // What serde says of it repeats a part of it.
            Err(_) => Err(Fault::new("", "malformed", "is no JSON object on one line")),
        };
        Ok(Some(Line { row: self.row, line: self.line, cells }))
    }
}

fn cells_of(names: Names, object: Map<String, Value>) -> Result<Cells<'static>, Fault> {
    let mut cells = Cells::default();
    for (name, value) in object {
        let place = names.iter().position(|known| *known == name);
        let place = place.ok_or_else(|| {
            let message = format!("has a member that is not known; there are {}", names.join(", "));
            Fault::new("", "unknown_column", message)
        })?;
        let wrong = || Fault::new(names[place], "malformed", "is neither a text nor a number");
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            Value::Array(items) if names[place] == NAMES[Column::Segments as usize] => {
                let keys: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
                keys.ok_or_else(wrong)?.join(";")
            }
            _ => return Err(wrong()),
        };
        cells[place] = Cow::Owned(text);
    }
    Ok(cells)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, Write};

    fn check(form: Form, text: &str, expected: &[Result<&[(Column, &str)], &str>]) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.rewind().unwrap();
        let mut lines = Lines::begin(form, &NAMES, file).unwrap();
        for (at, expected) in expected.iter().enumerate() {
            let line = lines.next().unwrap().unwrap();
            assert_eq!(line.row, at as u64 + 1);
            match (line.cells, expected) {
                (Ok(cells), Ok(said)) => {
                    let mut wanted = Cells::default();
                    said.iter().for_each(|(column, text)| wanted[*column as usize] = Cow::Borrowed(text));
                    assert_eq!(cells, wanted, "{text}");
                }
                (Err(fault), Err(code)) => assert_eq!(fault.code, *code, "{text}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
        assert!(lines.next().unwrap().is_none(), "{text}");
    }

    #[test]
    fn rows_come_from_both_forms_and_bad_ones_do_not_end_the_list() {
        use Column::{Cookie, Segments, TtlDays};
        let rows: &[Result<&[(Column, &str)], &str>] =
            &[Ok(&[(Cookie, "a"), (TtlDays, "30")]), Err("ragged"), Ok(&[(Cookie, "b")])];
        check(Form::Csv, "cookie,ttl_days\n a ,30\nx\nb,\n", rows);
        let rows: &[Result<&[(Column, &str)], &str>] = &[
            Ok(&[(Cookie, "a"), (TtlDays, "30")]),
            Err("malformed"),
            Err("unknown_column"),
            Err("malformed"),
            Ok(&[(Cookie, "b"), (Segments, "x;y")]),
        ];
        let text = "\u{feff}{\"cookie\":\"a\",\"ttl_days\":30,\"ifa\":null}\n\nx\n{\"email\":\"x\"}\n\
                    {\"cookie\":true}\n{\"cookie\":\"b\",\"segments\":[\"x\",\"y\"]}";
        check(Form::Json, text, rows);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"someone@example.com\n").unwrap();
        file.rewind().unwrap();
        let broken = Lines::begin(Form::Csv, &NAMES, file).err().unwrap();
        assert!(!broken.message.contains("someone"), "{broken}");
    }
}
