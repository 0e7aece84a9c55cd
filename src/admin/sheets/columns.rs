//! The columns of a kind's table: one for each member that holds a value or a list of values, by its path with dots.

use super::cells::Leaf;
use crate::admin::auth::Role;
use crate::admin::shape::Shape;
use crate::store::account_file::{Form, Member, members};
use crate::store::control::Kind;
use serde_json::{Map, Value};

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) holds: Holds,
}

/// What a column is for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Holds {
    /// The resource itself: a number, or `ext:` and its external id.
    Id,
    /// Which version the writer of the table has seen.
    Version,
    /// The same as an entity tag.
    Etag,
    /// The tenant; only compared.
    Account,
    /// Of the row's amounts; only compared.
    Currency,
    /// The resource above.
    Parent,
    /// A member.
    Member { path: Vec<&'static str>, leaf: Leaf },
}

/// References in lists of objects: of which kind, in which list, by which member.
const REFERENCES: [(Kind, &str, &str, Kind); 1] = [(Kind::LineItem, "creatives", "creative", Kind::Creative)];

/// The reference that a list's objects have.
pub(super) fn reference(shape: &Shape, path: &[&str]) -> Option<(&'static str, Kind)> {
    let found = REFERENCES.iter().find(|(kind, list, ..)| *kind == shape.kind && path == [*list]);
    found.map(|(_, _, member, target)| (*member, *target))
}

/// What an advertiser's viewers do not see, as elsewhere.
const FEES: [&str; 2] = ["data_fee", "platform_share"];

/// The columns of an export, in their order.
pub(super) fn of(shape: &Shape, role: Role) -> Vec<Column> {
    let column = |name: &str, holds| Column { name: name.to_owned(), holds };
    let member = |name: &'static str, leaf| column(name, Holds::Member { path: vec![name], leaf });
    let mut columns = vec![column("id", Holds::Id), member("external_id", Leaf::Text)];
    if !shape.is_shared {
        columns.push(column("account_id", Holds::Account));
    }
    if let Some((outside, _)) = shape.parent {
        columns.push(column(outside, Holds::Parent));
    }
    columns.extend([member("name", Leaf::Text), member("status", Leaf::Text)]);
    columns.push(column("version", Holds::Version));
    let has_currency = matches!(shape.kind, Kind::Campaign | Kind::LineItem);
    if has_currency {
        columns.push(column("currency", Holds::Currency));
    }
    let mut path = Vec::new();
    flatten(shape, &members(shape.part), &mut path, &mut columns);
    columns.extend([member("notes", Leaf::Text), member("labels", Leaf::Json)]);
    if role == Role::AdvertiserViewer {
        columns.retain(|column| !FEES.contains(&column.name.as_str()));
    }
    columns
}

/// All columns that an import takes.
pub(super) fn known(shape: &Shape) -> Vec<Column> {
    let mut columns = of(shape, Role::Owner);
    columns.push(Column { name: "etag".to_owned(), holds: Holds::Etag });
    columns
}

fn flatten(shape: &Shape, members: &[Member], path: &mut Vec<&'static str>, columns: &mut Vec<Column>) {
    for Member { name, form } in members {
        let inside = shape.parent.map(|(_, inside)| inside);
        let is_common = ["id", "name", "status", "wallet"].contains(name) || inside == Some(*name);
        if path.is_empty() && is_common {
            continue;
        }
        path.push(name);
        let leaf = match form {
            Form::Object(members) => {
                flatten(shape, members, path, columns);
                None
            }
            Form::Text => Some(Leaf::Text),
            Form::Whole => Some(Leaf::Whole),
            Form::Switch => Some(Leaf::Switch),
            Form::Any => Some(Leaf::Any),
            Form::Texts => Some(Leaf::Json),
            Form::List(inner) => Some(match **inner {
                Form::Text => Leaf::Texts,
                Form::Whole => Leaf::Wholes,
                _ => reference(shape, path).map_or(Leaf::Json, |(member, _)| Leaf::Objects(member)),
            }),
        };
        if let Some(leaf) = leaf {
            columns.push(Column { name: path.join("."), holds: Holds::Member { path: path.clone(), leaf } });
        }
        path.pop();
    }
}

/// The columns that `fields` asks for: by their names, or by what stands before a dot in them.
pub(super) fn chosen(columns: Vec<Column>, fields: Option<&[String]>) -> Result<Vec<Column>, String> {
    let Some(fields) = fields else { return Ok(columns) };
    let is_of = |column: &Column, field: &str| {
        column.name.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let mut chosen: Vec<Column> = Vec::new();
    for field in fields {
        let before = chosen.len();
        chosen.extend(columns.iter().filter(|column| is_of(column, field)).cloned());
        if chosen.len() == before {
            return Err(format!("names {field:?}, which is no column here"));
        }
    }
    let mut names: Vec<&str> = chosen.iter().map(|column| column.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(twice) => Err(format!("names {:?} twice", twice[0])),
        None => Ok(chosen),
    }
}

/// The column that a pointer into the document leads to, whether the table has it or not; the pointer itself with dots
/// where none does.
pub(super) fn at<'c>(columns: &'c [Column], pointer: &str) -> std::borrow::Cow<'c, str> {
    let dotted: Vec<String> =
        pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
    for length in (1..=dotted.len()).rev() {
        let name = dotted[..length].join(".");
        if let Some(column) = columns.iter().find(|column| column.name == name) {
            return column.name.as_str().into();
        }
    }
    dotted.join(".").into()
}

/// The value at a path.
pub(super) fn get<'v>(object: &'v Map<String, Value>, path: &[&str]) -> Option<&'v Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(object.get(*first)?, |value, name| value.get(name))
}

/// Puts a value at a path, or takes away what is there.
pub(super) fn set(object: &mut Map<String, Value>, path: &[&str], value: Option<Value>) {
    match (path, value) {
        ([], _) => {}
        ([name], Some(value)) => drop(object.insert((*name).to_owned(), value)),
        ([name], None) => drop(object.remove(*name)),
        ([name, rest @ ..], value) => {
            if value.is_none() && !object.get(*name).is_some_and(Value::is_object) {
                return;
            }
            let inner = object.entry(*name).or_insert(Value::Null);
            if !inner.is_object() {
                *inner = Value::Object(Map::new());
            }
            if let Value::Object(inner) = inner {
                set(inner, rest, value);
            }
        }
    }
}
