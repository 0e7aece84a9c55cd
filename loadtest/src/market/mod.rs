//! The seeded market that both programs agree on: who visits, where, with what device, and which sizes are for sale.
//!
//! Invariant: `dice` and `facts` say the same as `src/cli/seed/{dice,facts}.rs` of the server, which makes the line
//! items and the audience that these visits are meant for; the server's test `seed` compiles this folder and compares
//! the two value by value. Deliberately absent: anything that knows JSON or HTTP, so that the same visits can be
//! counted against line items without a server.

pub(crate) mod dice;
pub(crate) mod facts;
pub(crate) mod visit;
