//! Statements, prepared once a connection, with their errors named.

use super::error::ControlError;
use rusqlite::{Connection, OptionalExtension, Params, Row};

/// Runs a statement that returns nothing; how many rows it changed.
pub(super) fn run(
    connection: &Connection,
    action: &'static str,
    sql: &str,
    params: impl Params,
) -> Result<usize, ControlError> {
    let changed = connection.prepare_cached(sql).and_then(|mut statement| statement.execute(params));
    changed.map_err(ControlError::sqlite(action))
}

/// The first row of an answer, if there is one.
pub(super) fn one<T>(
    connection: &Connection,
    action: &'static str,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, ControlError> {
    let found = connection.prepare_cached(sql).and_then(|mut s| s.query_row(params, read).optional());
    found.map_err(ControlError::sqlite(action))
}

/// All rows of an answer.
pub(super) fn many<T>(
    connection: &Connection,
    action: &'static str,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, ControlError> {
    let found = connection.prepare_cached(sql).and_then(|mut s| s.query_map(params, read)?.collect());
    found.map_err(ControlError::sqlite(action))
}
