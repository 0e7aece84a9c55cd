//! One integration binary: a file per behaviour, because each file in `tests/` would be linked apart.

mod audience;
mod bad_input;
mod budget;
mod check_openrtb;
mod config;
mod corpus;
mod engine;
mod events;
mod fuzz;
mod journal;
mod judge;
mod ledger_tools;
mod parse;
mod price;
mod process;
mod protobuf;
mod respond;
mod seed;
mod server;
mod sim;
mod store;
mod targeting;
mod tidy;
mod token;
mod valid;
mod wal;
