//! What is kept on disk for the control side: the control database, the declarative account file and the data
//! directory.
//!
//! Invariant: an [`crate::model::account::Account`] that comes out of here is whole: every reference resolves, every
//! amount fits, every zone exists. Deliberately absent: what money did (the ledger has its own journal), audience data
//! and events, which only get their places in the directory from here.

pub mod account_file;
pub mod category_maps;
pub mod control;
pub mod data_dir;
pub(crate) mod durable;
pub mod taxonomy_file;
