//! The control store through its public face: a file that survives, rows with versions, pages, append-only tables.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod access;
mod backup;
mod figures;
mod files;
mod history;
mod items;
mod money;
mod pages;
mod resources;
mod writes;

use outbid::model::clock::{Clock, FixedClock, Now};
use outbid::store::control::{
    Change, ChangeError, Control, ControlError, Kind, New, Row, Status, WriteError,
};
use std::sync::Arc;

/// Noon of some day.
const NOON_MS: i64 = 1_700_000_000_000;

fn clock() -> Arc<FixedClock> {
    Arc::new(FixedClock::at(Now { mono_ns: 0, unix_ms: NOON_MS }))
}

fn store() -> Control {
    Control::in_memory(clock() as Arc<dyn Clock>).unwrap()
}

fn open(path: &std::path::Path) -> Result<Control, ControlError> {
    Control::open(path, clock() as Arc<dyn Clock>)
}

/// An active resource of the platform.
fn new(kind: Kind, name: &str) -> New {
    New {
        kind,
        id: None,
        account: 0,
        parent: None,
        name: name.to_owned(),
        external_id: None,
        status: Status::Active,
        doc: "{}".to_owned(),
    }
}

fn insert(control: &Control, new: New) -> Result<Row, ChangeError> {
    control.write(move |tx| tx.insert(new)).map_err(|why| why.into_refusal().unwrap())
}

fn update(
    control: &Control,
    row: &Row,
    expected: Option<u64>,
    change: Change,
) -> Result<Row, WriteError<ChangeError>> {
    let (kind, id) = (row.kind, row.id);
    control.write(move |tx| tx.update(kind, id, expected, change))
}

fn get(control: &Control, kind: Kind, id: u32) -> Option<Row> {
    control.read(|r| r.get(kind, id)).unwrap()
}

fn renamed(name: &str) -> Change {
    Change { name: Some(name.to_owned()), ..Change::default() }
}
