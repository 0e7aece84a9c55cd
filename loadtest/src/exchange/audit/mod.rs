//! Whether the server's books are those of the exchange.

pub(crate) mod books;
pub(crate) mod command;
pub(crate) mod file;
pub(crate) mod ledger;
pub(crate) mod records;
pub(crate) mod verdict;
