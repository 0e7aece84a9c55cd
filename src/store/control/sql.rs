//! Statements, prepared once a connection, with their errors named; columns that hold lists and names.

use super::error::ControlError;
use rusqlite::types::ToSql;
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

/// The one row of an answer that always has one, as that of `INSERT … RETURNING`.
pub(super) fn only<T>(
    connection: &Connection,
    action: &'static str,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<T, ControlError> {
    let found = connection.prepare_cached(sql).and_then(|mut statement| statement.query_row(params, read));
    found.map_err(ControlError::sqlite(action))
}

/// A statement that is put together from the filters of a query, with its parameters in their order.
pub(super) struct Statement<'q> {
    /// The text so far.
    pub(super) text: String,
    values: Vec<Box<dyn ToSql + 'q>>,
}

impl<'q> Statement<'q> {
    /// Begins with a text that has no parameter.
    pub(super) fn new(text: String) -> Statement<'q> {
        Statement { text, values: Vec::new() }
    }

    /// The next parameter.
    pub(super) fn value(&mut self, value: impl ToSql + 'q) {
        self.values.push(Box::new(value));
    }

    /// Another condition, with one parameter.
    pub(super) fn and(&mut self, condition: &str, value: impl ToSql + 'q) {
        self.text.push_str(" AND ");
        self.text.push_str(condition);
        self.value(value);
    }

    /// Another condition: the column has one of the values.
    pub(super) fn within(&mut self, column: &str, values: impl ExactSizeIterator<Item = impl ToSql + 'q>) {
        let marks = vec!["?"; values.len()].join(", ");
        self.text.push_str(&format!(" AND {column} IN ({marks})"));
        values.for_each(|value| self.value(value));
    }

    /// The parameters so far.
    pub(super) fn params(&self) -> impl Params {
        rusqlite::params_from_iter(&self.values)
    }
}

/// A list of small values as the JSON text of a column.
pub(super) fn to_json<T: serde::Serialize>(values: &[T]) -> String {
    serde_json::to_string(values).expect("numbers and texts are always JSON")
}

/// Reads the JSON list of a column back.
pub(super) fn from_json<T: serde::de::DeserializeOwned>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<Vec<T>> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|why| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(why))
    })
}

/// An enum whose values have names in the database and the API.
macro_rules! names {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// All of them.
            pub const ALL: &[$name] = &[$($name::$variant,)+];

            /// The name in the database and in the API.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }

            /// Reads [`Self::as_str`]'s text back.
            pub fn parse(text: &str) -> Option<$name> {
                match text { $($text => Some($name::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl rusqlite::types::ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
                Ok(rusqlite::types::ToSqlOutput::Borrowed(rusqlite::types::ValueRef::Text(self.as_str().as_bytes())))
            }
        }

        impl rusqlite::types::FromSql for $name {
            fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<$name> {
                $name::parse(value.as_str()?).ok_or(rusqlite::types::FromSqlError::InvalidType)
            }
        }
    };
}
pub(super) use names;
