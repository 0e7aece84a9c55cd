//! `GET /v1/exports/{collection}.csv`: a list as a table.
//!
//! The rows are read in pages, each at a moment of its own: what did not change meanwhile is there once. Nothing is locked
//! while a page is written, and the account in memory only while the currencies of one page are looked up.

use super::cells;
use super::columns::{self, Column, Holds};
use crate::admin::call::Call;
use crate::admin::crud::{currency_of, mask, scope};
use crate::admin::download::{CSV, Download};
use crate::admin::page::ListCall;
use crate::admin::problem::Problem;
use crate::admin::shape::Shape;
use crate::admin::state::Inner;
use crate::model::money::Currency;
use crate::store::control::{ControlError, Query, Row};
use serde_json::{Map, Value};
use std::io::{self, Write};
use std::sync::Arc;

/// Rows that are read at once.
const PAGE: usize = 500;

/// What an export may be asked beside the filter by its parent.
pub(in crate::admin) const PARAMETERS: &[&str] =
    &["sort", "q", "fields", "bom", "filter[status]", "filter[id]", "filter[external_id]"];

pub(in crate::admin) fn export(
    inner: &Arc<Inner>,
    shape: &'static Shape,
    mut call: Call,
) -> Result<Download, Problem> {
    let with_mark = call.parameters.switch("bom")?;
    for paged in ["page_size", "page_token", "total"] {
        if call.parameters.take(paged).is_some() {
            return Err(Problem::parameter(paged, "is of lists; a table has all rows"));
        }
    }
    // Columns are named by their paths, which are more than the members that a list knows.
    let fields = call.parameters.take("fields");
    let fields: Option<Vec<String>> =
        fields.map(|names| names.split(',').map(|name| name.trim().to_owned()).collect());
    let asked = ListCall::read(shape, scope(shape, call.account), call.parameters)?;
    let columns = columns::chosen(columns::of(shape, call.actor.role), fields.as_deref());
    let columns = columns.map_err(|message| Problem::parameter("fields", message))?;
    let mut query = asked.query;
    query.advertisers = call.actor.advertisers;
    query.limit = PAGE;
    let inner = Arc::clone(inner);
    let write = move |out: &mut dyn Write| {
        if with_mark {
            out.write_all("\u{feff}".as_bytes())?;
        }
        let terminator = csv::Terminator::CRLF;
        let mut out = csv::WriterBuilder::new().terminator(terminator).from_writer(out);
        out.write_record(columns.iter().map(|column| &column.name))?;
        write_pages(&inner, shape, &columns, query, &mut out)?;
        out.flush()
    };
    let name = format!("{}.csv", shape.collection);
    Ok(Download { name, media: CSV, write: Box::new(write) })
}

fn write_pages<W: Write>(
    inner: &Inner,
    shape: &Shape,
    columns: &[Column],
    mut query: Query,
    out: &mut csv::Writer<W>,
) -> io::Result<()> {
    let has_currency = columns.iter().any(|column| column.holds == Holds::Currency);
    loop {
        let rows = inner.control.read(|read| read.list(&query)).map_err(|why: ControlError| {
            tracing::error!(%why, "an export cannot be read");
            io::Error::other(why)
        })?;
        let currencies: Vec<Option<Currency>> = match has_currency {
            false => Vec::new(),
            true => {
                let editor = inner.editor.lock();
                let none = Map::new();
                let of = |row: &Row| currency_of(shape, &editor, row.parent, &none);
                rows.iter().map(of).collect()
            }
        };
        for (at, row) in rows.iter().enumerate() {
            let mut object = shape.editable(row);
            mask(shape, &mut object);
            let currency = currencies.get(at).copied().flatten();
            for column in columns {
                out.write_field(cell(column, row, &object, currency))?;
            }
            out.write_record(None::<&[u8]>)?;
        }
        match rows.last().filter(|_| rows.len() == PAGE) {
            Some(last) => query.after = Some(query.cursor(last)),
            None => return Ok(()),
        }
    }
}

fn cell(column: &Column, row: &Row, object: &Map<String, Value>, currency: Option<Currency>) -> String {
    match &column.holds {
        Holds::Id => row.id.to_string(),
        Holds::Version | Holds::Etag => row.version.to_string(),
        Holds::Account => row.account.to_string(),
        Holds::Currency => currency.map(|currency| currency.to_string()).unwrap_or_default(),
        Holds::Parent => row.parent.map(|parent| parent.to_string()).unwrap_or_default(),
        Holds::Member { path, leaf } => match columns::get(object, path) {
            Some(value) => cells::write(*leaf, value),
            None => String::new(),
        },
    }
}
