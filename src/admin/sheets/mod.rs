//! Resources as tables (CSV): everything that a list shows goes out, and comes back in.
//!
//! Invariant: a row is written by the same code that answers a JSON call ([`super::crud::Op`]), so no rule stands here a
//! second time; and what [`export`] writes, [`import`] reads back as what it was, see [`cells`].
//!
//! The parts: [`columns`] says what a table of a kind has, from the structs that read entries; [`cells`] what stands in
//! them; [`file`] reads records and refuses what is no table; [`row`] makes a change of a record; [`import`] runs all of
//! them as one job.
//!
//! Deliberately absent: guessing of separators, encodings and date formats. A file that is something else is refused with
//! what it seems to be.

mod cells;
mod columns;
mod export;
mod file;
pub(super) mod import;
mod row;

pub(super) use export::{PARAMETERS as EXPORT_PARAMETERS, export};
pub(super) use file::{Broken, Table};
pub(super) use import::{
    PARAMETERS as IMPORT_PARAMETERS, preferred_wait, promised, spooled, start, unwritten,
};
