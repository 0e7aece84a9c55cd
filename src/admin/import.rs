//! The text of an account file becomes the rows of an empty database.

use super::money;
use super::shape::Shape;
use super::state::{StartError, in_order, put_all};
use super::tenants;
use crate::store::account_file::{self, Editor};
use crate::store::control::{Control, Kind, New, Row, Status, Write, WriteError};
use serde_json::{Map, Value};

/// Takes the text of an account file into an empty database, in one transaction.
pub fn import(control: &Control, text: &str) -> Result<usize, StartError> {
    let file: Map<String, Value> = serde_json::from_str(text)
        .map_err(|why| StartError::Import(format!("it is no JSON object: {why}")))?;
    let imported = control.write(move |tx| {
        tenants::ensure_default(tx)?;
        let mut editor = Editor::default();
        let mut count = 0;
        for shape in in_order() {
            let entries = match file.get(shape.collection) {
                Some(Value::Array(entries)) => entries.clone(),
                Some(only) => vec![only.clone()],
                None if shape.is_singleton() => vec![Value::Object(Map::new())],
                None => Vec::new(),
            };
            let rows = entries
                .into_iter()
                .map(|entry| insert_entry(tx, shape, entry))
                .collect::<Result<Vec<_>, _>>()?;
            count += rows.len();
            if let Some(last) = rows.iter().map(|row| row.id).max() {
                // What an archive had may be known by its id elsewhere.
                tx.leave_out_ids(shape.kind, last)?;
            }
            put_all(&mut editor, shape, rows).map_err(|(id, what)| StartError::Stored {
                kind: shape.kind,
                id,
                what,
            })?;
        }
        Ok::<usize, StartError>(count)
    });
    imported.map_err(|why| match why {
        WriteError::Refused(why) => why,
        WriteError::Store(why) => why.into(),
        other => StartError::Import(other.to_string()),
    })
}

fn insert_entry(tx: &mut Write<'_>, shape: &Shape, entry: Value) -> Result<Row, StartError> {
    let Value::Object(mut doc) = entry else {
        return Err(StartError::Import(format!("an entry of {} is no object", shape.collection)));
    };
    let text = |value: Option<Value>| value.and_then(|value| value.as_str().map(str::to_owned));
    let id = text(doc.remove("id")).and_then(|id| id.parse().ok());
    let name = text(doc.remove("name")).or_else(|| text(doc.get("key").cloned()));
    let status = if shape.has_status { text(doc.remove("status")) } else { None };
    let status = status.and_then(|text| Status::parse(&text)).unwrap_or(Status::Active);
    let parent = shape.parent.and_then(|(_, inside)| text(doc.remove(inside))).and_then(|id| id.parse().ok());
    // Those of a list stand in a table of their own, in the form in which they are compared.
    let values = match (shape.kind, doc.remove("items")) {
        (Kind::List, Some(Value::Array(items))) => Some(list_values(&doc, items)?),
        (Kind::List, _) => None,
        (_, Some(other)) => {
            doc.insert("items".to_owned(), other);
            None
        }
        (_, None) => None,
    };
    let new = New {
        kind: shape.kind,
        id,
        account: if shape.is_shared { tenants::PLATFORM } else { tenants::DEFAULT },
        parent,
        name: name.unwrap_or_else(|| shape.noun().to_owned()),
        external_id: None,
        status,
        doc: Value::Object(doc).to_string(),
    };
    let failed = |why: String| StartError::Import(format!("{} {id:?}: {why}", shape.noun()));
    let row = tx.insert(new).map_err(|why| failed(why.to_string()))?;
    if let Some(values) = values {
        tx.add_items(row.id, &values).map_err(|why| failed(why.to_string()))?;
    }
    if shape.kind == Kind::Advertiser {
        money::book_import(tx, &row).map_err(StartError::Import)?;
    }
    Ok(row)
}

fn list_values(doc: &Map<String, Value>, items: Vec<Value>) -> Result<Vec<String>, StartError> {
    let wrong = |what: String| StartError::Import(format!("a list: {what}"));
    let kind = doc.get("type").and_then(Value::as_str).unwrap_or_default();
    let kind = account_file::list_kind(kind).ok_or_else(|| wrong(format!("{kind:?} is no type")))?;
    let read = |item: Value| match item {
        Value::String(text) => account_file::list_value(kind, &text).map_err(wrong),
        other => Err(wrong(format!("{other} is no text"))),
    };
    items.into_iter().map(read).collect()
}
