//! What is kept on disk for the control side: the declarative account file and the data directory.
//!
//! Invariant: an [`crate::model::account::Account`] that comes out of here is whole: every reference resolves, every
//! amount fits, every zone exists. Deliberately absent: money (the ledger has its own journal), audience data and
//! events, which only get their places in the directory from here; and, in this first form, a control database.

pub mod account_file;
pub mod category_maps;
pub mod data_dir;
mod durable;
