//! Pure values and traits that every other module speaks: no I/O, no wire formats, no clock of its own.
//!
//! Invariant: `model` imports nothing of this crate, so that a value means the same in the parser, the matcher,
//! the ledger and the simulator. What is deliberately absent: serde derives for wire formats (they live in
//! `exchange` and `store`), and any behaviour that needs a lock, a file or a socket.

pub mod account;
pub mod address;
pub mod auction;
pub mod behaviour;
pub mod bid;
pub mod category;
pub mod civil;
pub mod clock;
pub mod country;
pub mod creative;
pub mod event;
pub mod exchange;
pub mod frequency;
pub mod funnel;
pub mod ids;
pub mod line_item;
pub mod list;
pub mod media;
pub mod mix;
pub mod money;
pub mod no_bid;
pub mod rates;
pub mod restriction;
pub mod safety;
pub mod sample;
pub mod secret;
pub mod storage;
pub mod suggest;
pub mod targeting;
pub mod taxonomy;
pub mod token;
pub mod url;
