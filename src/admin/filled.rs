//! Rows of the store as an account in memory: all of them, or one tenant's.

use super::problem::FieldError;
use super::shape::{SHAPES, Shape};
use super::state::StartError;
use super::tenants;
use crate::exchange;
use crate::model::account::Account;
use crate::model::ids::SegmentId;
use crate::store::account_file::{Editor, Entry, Put};
use crate::store::control::{Control, ControlError, Kind, Query, Row, Status};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// The order in which kinds are filled in, each after those that it refers to.
const IN_ORDER: [Kind; 12] = [
    Kind::Rates,
    Kind::Safety,
    Kind::Exchange,
    Kind::Advertiser,
    Kind::Conversion,
    Kind::Pixel,
    Kind::Segment,
    Kind::Campaign,
    Kind::Creative,
    Kind::List,
    Kind::Deal,
    Kind::LineItem,
];

/// The account that a control database holds, read as a start reads it.
pub fn read_account(control: &Control) -> Result<Account, StartError> {
    fill(control).map(|editor| editor.account())
}

/// The same of one tenant, with what belongs to the platform. What is paused with the whole tenant is as it would be
/// without that.
pub fn read_account_of(control: &Control, tenant: u32) -> Result<Account, StartError> {
    fill_with(control, Some(tenant)).map(|editor| editor.account())
}

/// The tenants that own anything, with their names.
pub fn owners(control: &Control) -> Result<Vec<(u32, String)>, StartError> {
    control.read(|read| {
        let mut owners = Vec::new();
        for account in read.accounts()?.into_iter().filter(|account| account.id != tenants::PLATFORM) {
            let mut owns = false;
            for shape in in_order().filter(|shape| !shape.is_shared) {
                let query = Query { account: Some(account.id), limit: 1, ..Query::of(shape.kind) };
                owns |= !read.list(&query)?.is_empty();
            }
            if owns {
                owners.push((account.id, account.name));
            }
        }
        Ok(owners)
    })
}

/// Reads all rows into an editor.
pub(super) fn fill(control: &Control) -> Result<Editor, StartError> {
    fill_with(control, None)
}

/// Reads the rows of one tenant and the platform, or all.
fn fill_with(control: &Control, only: Option<u32>) -> Result<Editor, StartError> {
    let is_wanted = |row: &Row| only.is_none_or(|only| [only, tenants::PLATFORM].contains(&row.account));
    control.read(|read| {
        let mut editor = Editor::default();
        for account in read.accounts()?.into_iter().filter(|_| only.is_none()) {
            editor.stop_tenant(account.id, account.status != Status::Active);
        }
        for shape in in_order() {
            let kind = shape.kind;
            if kind == Kind::Segment {
                // A segment may stand behind its parent.
                let mut rows = Vec::new();
                read.all(kind, |row| {
                    rows.extend(Some(row).filter(is_wanted));
                    Ok::<(), ControlError>(())
                })?;
                put_all(&mut editor, shape, rows).map_err(|(id, what)| StartError::Stored {
                    kind,
                    id,
                    what,
                })?;
                continue;
            }
            read.all(kind, |row| {
                if !is_wanted(&row) {
                    return Ok(());
                }
                let put = put_row(&mut editor, shape, &row);
                put.map(drop).map_err(|what| StartError::Stored { kind, id: row.id, what: words(&what) })?;
                if kind == Kind::List {
                    let mut values = Vec::new();
                    read.items(row.id, |value| {
                        values.push(value.to_owned());
                        Ok::<(), ControlError>(())
                    })?;
                    editor.put_values(row.id, values);
                }
                Ok::<(), StartError>(())
            })?;
        }
        Ok(editor)
    })
}

/// Puts rows that may refer to one another, in whatever order it works.
pub(super) fn put_all(editor: &mut Editor, shape: &Shape, rows: Vec<Row>) -> Result<(), (u32, String)> {
    let mut coming: HashMap<u32, HashMap<String, SegmentId>> = HashMap::new();
    for row in rows.iter().filter(|_| shape.kind == Kind::Segment) {
        let doc: Map<String, Value> = serde_json::from_str(&row.doc).unwrap_or_default();
        if let Some(key) = doc.get("key").and_then(Value::as_str) {
            coming.entry(row.account).or_default().insert(key.to_owned(), SegmentId(row.id));
        }
    }
    let tenants: Vec<u32> = coming.keys().copied().collect();
    coming.into_iter().for_each(|(tenant, coming)| editor.expect_segments(tenant, coming));
    let done = put_until_all_are(editor, shape, rows);
    tenants.into_iter().for_each(|tenant| editor.expect_segments(tenant, HashMap::new()));
    done
}

fn put_until_all_are(editor: &mut Editor, shape: &Shape, mut rows: Vec<Row>) -> Result<(), (u32, String)> {
    while !rows.is_empty() {
        let before = rows.len();
        let mut first = None;
        rows.retain(|row| match put_row(editor, shape, row) {
            Ok(_) => false,
            Err(errors) => {
                first.get_or_insert_with(|| (row.id, words(&errors)));
                true
            }
        });
        if let Some(first) = first.filter(|_| rows.len() == before) {
            return Err(first);
        }
    }
    Ok(())
}

fn words(errors: &[FieldError]) -> String {
    let words: Vec<String> =
        errors.iter().map(|error| format!("{} {}", error.pointer, error.message)).collect();
    words.join("; ")
}

/// Puts a row into the editor; the errors are as the API's caller sees the fields.
pub(super) fn put_row(editor: &mut Editor, shape: &Shape, row: &Row) -> Result<Put, Vec<FieldError>> {
    let doc = shape.entry(row).map_err(|why| vec![FieldError::new("", "malformed", why.to_string())])?;
    let entry = Entry {
        part: shape.part,
        tenant: row.account,
        id: row.id,
        doc: &doc,
        serves: shape.serves(row.status),
    };
    let put = editor.put(&entry);
    let put = put.map_err(|errors| {
        errors.into_iter().map(|finding| shape.outside(FieldError::of(finding))).collect::<Vec<_>>()
    })?;
    // What the editor does not know: whether the markup can be compiled.
    if shape.kind == Kind::Creative
        && let Some((creative, _)) = editor.creative(row.id)
        && let Err(problem) = exchange::compile_markup(creative)
    {
        editor.undo(put);
        return Err(vec![FieldError::new("/markup", "malformed", problem.to_string())]);
    }
    Ok(put)
}

/// The shapes in the order in which they refer to one another.
pub(super) fn in_order() -> impl Iterator<Item = &'static Shape> {
    IN_ORDER.iter().filter_map(|kind| Shape::of(*kind))
}

/// Every shape, for who needs them all.
pub(super) fn shapes() -> impl Iterator<Item = &'static Shape> {
    SHAPES.iter()
}
