//! Bidding below value where the winner pays its own bid: how likely each price is to win ([`Landscape`], learned from
//! outcomes), and the best bid for each value, worked out in advance ([`ShadeTable`]).
//!
//! For a value u, which is already κ × v, the bid is `argmax (u − b)·F(b)`. A fixed multiplier κ makes this the optimum
//! of a first-price auction under a budget as well, so nothing here knows of budgets (pricing.md 2d).
//!
//! Invariants of every table: a higher value never gets a lower bid, no bid is above the value, a best bid below a fifth
//! of the value wins nine times in ten by what was learned, and no bid changes by more than a tenth from one table to the
//! next. Lookups are integers and allocate nothing; learning and building are floats and
//! belong to a background thread. Deliberately absent: floors and caps (the offer's), auctions whose winner pays the
//! second price and deals at a fixed price (the bid is the value; the caller does not ask).

mod axis;
mod bytes;
mod estimate;
mod explore;
mod landscape;
mod place;
mod table;
mod wins;

pub use axis::{Axis, BINS};
pub use bytes::TableError;
pub use explore::{Explored, Explorer};
pub use landscape::{Estimator, Heard, Landscape, Outcome};
pub use place::{LEVELS, Place};
pub use table::{Row, ShadeTable, Shaded};
pub use wins::{WinCurve, WinCurves};
