//! One row of a table as a change of one resource.
//!
//! Invariant: a row that is refused has changed nothing, so the next one is looked at as if it had not been there.

use super::cells::{self, Cell, Leaf};
use super::columns::{self, Column, Holds};
use crate::admin::call::Who;
use crate::admin::crud::{self, Applied, MASK, Op, secrets};
use crate::admin::problem::{FieldError, Problem};
use crate::admin::shape::Shape;
use crate::admin::state::Puts;
use crate::store::control::{Kind, Read, Row, Status, Write};
use csv::ByteRecord;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Before an external id where an id could stand.
const EXTERNAL: &str = "ext:";

/// Reads the rows of one file.
pub(super) struct Rows {
    pub(super) shape: &'static Shape,
    /// The tenant that everything belongs to.
    pub(super) account: u32,
    /// Those of the file, in its order.
    pub(super) columns: Vec<Column>,
    /// Those that a file can have.
    pub(super) known: Vec<Column>,
    pub(super) who: Who,
    /// Which resources the file has named, a bit each, by the upper bits of their ids: those may lie anywhere.
    pub(super) seen: HashMap<u32, u64>,
}

/// What is wrong with a row, or odd about it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RowError {
    /// Empty where it is the row as a whole.
    pub(super) column: String,
    pub(super) code: &'static str,
    pub(super) message: String,
}

/// What a row has done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Outcome {
    Created,
    Changed,
    Unchanged,
}

/// A row that was taken.
pub(super) struct Taken {
    pub(super) id: u32,
    pub(super) external_id: Option<String>,
    pub(super) outcome: Outcome,
    pub(super) warnings: Vec<RowError>,
}

/// A row as it was sent.
#[derive(Default)]
struct Sent {
    id: Option<Name>,
    version: Option<u64>,
    currency: Option<String>,
    /// Columns by their places, with what shall stand there; `None` takes it away.
    cells: Vec<(usize, Option<Value>)>,
    external_id: Option<String>,
}

/// How a resource is called.
#[derive(Clone, Debug)]
enum Name {
    Id(u32),
    External(String),
}

/// Why a row was not taken.
pub(super) enum Refusal {
    /// It is wrong.
    Row(Vec<RowError>),
    /// The server cannot go on.
    Server(Problem),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Refusal {
        Refusal::Server(problem)
    }
}

impl Rows {
    /// Does what a record says.
    pub(super) fn take(
        &mut self,
        tx: &mut Write<'_>,
        puts: &mut Puts<'_>,
        record: &ByteRecord,
    ) -> Result<Taken, Refusal> {
        let mut errors = Vec::new();
        let sent = self.read(record, &mut errors);
        let Some(sent) = sent else { return Err(Refusal::Row(errors)) };
        let current = self.find(tx, &sent, &mut errors)?;
        let mut object = current.as_ref().map_or_else(Map::new, |row| self.shape.editable(row));
        self.fill(tx, &mut object, &sent, &mut errors)?;
        self.keep_secrets(current.as_ref(), &mut object, &mut errors);
        self.check_currency(puts, &object, &sent, &mut errors);
        if !errors.is_empty() {
            self.look_further(object, &mut errors);
            return Err(Refusal::Row(errors));
        }
        let before = current.as_ref().map(|row| row.version);
        let op = match current {
            Some(current) => Ok(Op::edit(self.shape, current, object)),
            None => Op::create(self.shape, Some(self.account), object),
        };
        let mark = puts.mark();
        let done = op.and_then(|op| op.apply(tx, puts, &self.who));
        let Applied { row, warnings, .. } = done.map_err(|problem| {
            puts.undo_to(mark);
            self.refused(problem)
        })?;
        self.note(row.id);
        let outcome = match before {
            None => Outcome::Created,
            Some(version) if version == row.version => Outcome::Unchanged,
            Some(_) => Outcome::Changed,
        };
        let warnings = warnings.into_iter().map(|warning| self.error(warning)).collect();
        Ok(Taken { id: row.id, external_id: row.external_id, outcome, warnings })
    }

    /// Takes the cells apart; `None` where the record is none of this table.
    fn read(&self, record: &ByteRecord, errors: &mut Vec<RowError>) -> Option<Sent> {
        if record.len() != self.columns.len() {
            let message = format!("has {} cells, and the header {}", record.len(), self.columns.len());
            errors.push(RowError { column: String::new(), code: "ragged", message });
            return None;
        }
        let mut sent = Sent::default();
        for (at, (column, bytes)) in self.columns.iter().zip(record).enumerate() {
            if bytes.is_empty() {
                continue;
            }
            let fail = |code, message: String| RowError { column: column.name.clone(), code, message };
            let Ok(text) = std::str::from_utf8(bytes) else {
                errors.push(fail("encoding", "is not UTF-8; save the file as UTF-8".to_owned()));
                continue;
            };
            if text.contains('\0') {
                errors.push(fail("malformed", "has a NUL in it; take it out".to_owned()));
                continue;
            }
            if let Err(message) = cell(&mut sent, at, &column.holds, text) {
                errors.push(fail("malformed", message));
            }
            let other = self.account.to_string();
            if column.holds == Holds::Account && text.trim() != other {
                errors.push(fail("conflict", format!("this file is taken into account {other}")));
            }
        }
        Some(sent)
    }

    /// The row that a record is about, if there is one already.
    fn find(&self, tx: &Read<'_>, sent: &Sent, errors: &mut Vec<RowError>) -> Result<Option<Row>, Refusal> {
        let mut fail = |column: &str, code, message| {
            errors.push(RowError { column: column.to_owned(), code, message });
        };
        let by_name = |name: &str| {
            tx.by_external_id(self.shape.kind, self.account, name).map_err(|why| Refusal::Server(why.into()))
        };
        let id = match (&sent.id, &sent.external_id) {
            (Some(Name::Id(id)), _) => Some(*id),
            (Some(Name::External(name)), _) | (None, Some(name)) => by_name(name)?,
            (None, None) => None,
        };
        if let (Some(Name::External(name)), Some(other)) = (&sent.id, &sent.external_id)
            && name != other
            && id.is_none()
        {
            let message = format!("nothing is called {name:?}, and it shall not be called that either");
            fail("id", "conflict", message);
        }
        let row = match id {
            Some(id) => tx.get(self.shape.kind, id).map_err(|why| Refusal::Server(why.into()))?,
            None => None,
        };
        let row = row.filter(|row| row.account == self.account);
        match (&row, id, sent.version) {
            (None, Some(id), _) => {
                let noun = self.shape.noun();
                let message = format!("there is no {noun} {id}; leave the cell empty to make a new one");
                fail("id", "unknown_reference", message);
            }
            (None, None, Some(_)) => {
                let message = "this row makes something new, which has no version; leave the cell empty";
                fail("version", "conflict", message.to_owned());
            }
            (Some(row), ..) if self.has_seen(row.id) => {
                let column = if sent.id.is_some() { "id" } else { "external_id" };
                let message = format!("an earlier row of this file is about {} {} too", row.kind, row.id);
                fail(column, "duplicate", message);
            }
            (Some(row), _, Some(version)) if version != row.version => {
                let message = format!(
                    "it has version {} by now, and the file was made from {version}; export it again",
                    row.version
                );
                fail("version", "changed", message);
            }
            _ => {}
        }
        Ok(row)
    }

    /// Puts the cells into the document.
    fn fill(
        &self,
        tx: &Read<'_>,
        object: &mut Map<String, Value>,
        sent: &Sent,
        errors: &mut Vec<RowError>,
    ) -> Result<(), Refusal> {
        if let (Some(Name::External(name)), None) = (&sent.id, &sent.external_id) {
            object.insert("external_id".to_owned(), name.as_str().into());
        }
        for (at, value) in &sent.cells {
            let column = &self.columns[*at];
            let mut value = value.clone();
            let mut resolve = |text: &mut Value, kind: Kind| {
                let Some(name) = text.as_str().and_then(|text| text.strip_prefix(EXTERNAL)) else {
                    return Ok(());
                };
                let found = tx.by_external_id(kind, self.account, name);
                match found.map_err(|why| Refusal::Server(why.into()))? {
                    Some(id) => *text = id.to_string().into(),
                    None => {
                        let message = format!("there is no {kind} with the external id {name:?}");
                        let column = column.name.clone();
                        errors.push(RowError { column, code: "unknown_reference", message });
                    }
                }
                Ok::<(), Refusal>(())
            };
            match &column.holds {
                Holds::Parent => {
                    let above = self.shape.parent.zip(self.shape.kind.parent());
                    let Some(((outside, _), kind)) = above else { continue };
                    if let Some(text) = &mut value {
                        resolve(text, kind)?;
                    }
                    columns::set(object, &[outside], value);
                }
                Holds::Member { path, .. } => {
                    if let Some((member, kind)) = columns::reference(self.shape, path) {
                        let entries = value.as_mut().and_then(Value::as_array_mut).into_iter().flatten();
                        for text in entries.filter_map(|entry| entry.get_mut(member)) {
                            resolve(text, kind)?;
                        }
                    }
                    columns::set(object, path, value);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What stands for a secret leaves the secret as it is.
    fn keep_secrets(
        &self,
        current: Option<&Row>,
        object: &mut Map<String, Value>,
        errors: &mut Vec<RowError>,
    ) {
        let before = current.map(|row| self.shape.editable(row)).unwrap_or_default();
        for path in secrets(self.shape.kind) {
            if columns::get(object, path).and_then(Value::as_str) != Some(MASK) {
                continue;
            }
            let known = columns::get(&before, path).cloned();
            if known.is_none() {
                let message = "stands for a secret that is not here; write the secret itself".to_owned();
                let column = columns::at(&self.known, &format!("/{}", path.join("/"))).into_owned();
                errors.push(RowError { column, code: "missing", message });
            }
            columns::set(object, path, known);
        }
    }

    fn check_currency(
        &self,
        puts: &Puts<'_>,
        object: &Map<String, Value>,
        sent: &Sent,
        errors: &mut Vec<RowError>,
    ) {
        let Some(given) = &sent.currency else { return };
        let parent = self.shape.parent.and_then(|(outside, _)| object.get(outside)?.as_str()?.parse().ok());
        let currency = crud::currency_of(self.shape, puts.editor, parent, object);
        if let Some(currency) = currency.filter(|currency| currency.as_str() != given) {
            let message = format!("the amounts are in {currency}, which a table cannot change");
            errors.push(RowError { column: "currency".to_owned(), code: "conflict", message });
        }
    }

    /// What else is wrong with a row that is refused already, as far as that can be said without its bad cells.
    fn look_further(&self, object: Map<String, Value>, errors: &mut Vec<RowError>) {
        // Of what is not known by its name, nothing is known to be missing.
        if errors.iter().any(|error| error.column == "id") {
            return;
        }
        let found = self.shape.read(object, Status::Draft).errors;
        for error in found.into_iter().map(|error| self.error(error)) {
            if !errors.iter().any(|known| known.column == error.column) {
                errors.push(error);
            }
        }
    }

    fn refused(&self, problem: Problem) -> Refusal {
        if problem.status.is_server_error() {
            return Refusal::Server(problem);
        }
        if problem.errors.is_empty() {
            let message = problem.detail;
            return Refusal::Row(vec![RowError { column: String::new(), code: "refused", message }]);
        }
        Refusal::Row(problem.errors.into_iter().map(|error| self.error(error)).collect())
    }

    fn error(&self, FieldError { pointer, code, message }: FieldError) -> RowError {
        RowError { column: columns::at(&self.known, &pointer).into_owned(), code, message }
    }

    fn has_seen(&self, id: u32) -> bool {
        self.seen.get(&(id / 64)).is_some_and(|word| word >> (id % 64) & 1 == 1)
    }

    fn note(&mut self, id: u32) {
        *self.seen.entry(id / 64).or_default() |= 1 << (id % 64);
    }
}

/// Reads one cell that is not empty into its place.
fn cell(sent: &mut Sent, at: usize, holds: &Holds, text: &str) -> Result<(), String> {
    let leaf = match holds {
        Holds::Member { leaf, .. } => *leaf,
        _ => Leaf::Text,
    };
    let read = cells::read(leaf, text)?;
    let text = match (&read, holds) {
        (Cell::Empty, _) => return Ok(()),
        (_, Holds::Member { .. }) => "",
        (Cell::Clear, Holds::Parent) => return Err("cannot be cleared; write what it belongs to".to_owned()),
        (Cell::Clear, _) => return Ok(()),
        (Cell::Value(value), _) => value.as_str().unwrap_or_default().trim(),
    };
    match holds {
        Holds::Id => sent.id = Some(name(text)?),
        Holds::Version | Holds::Etag => {
            let number = text.trim_matches('"').parse().map_err(|_| format!("{text:?} is no version"))?;
            sent.version = Some(number);
        }
        Holds::Currency => sent.currency = Some(text.to_owned()),
        Holds::Account => {}
        Holds::Parent => sent.cells.push((at, Some(text.into()))),
        Holds::Member { path, .. } => {
            let value = match read {
                Cell::Value(value) => Some(value),
                _ => None,
            };
            if path == &["external_id"] {
                sent.external_id = value.as_ref().and_then(Value::as_str).map(str::to_owned);
            }
            sent.cells.push((at, value));
        }
    }
    Ok(())
}

fn name(text: &str) -> Result<Name, String> {
    if let Some(name) = text.strip_prefix(EXTERNAL) {
        return Ok(Name::External(name.to_owned()));
    }
    let id = text.parse().ok().filter(|id| *id > 0);
    id.map(Name::Id)
        .ok_or_else(|| format!("{text:?} is no id; give a number, or {EXTERNAL} and an external id"))
}
