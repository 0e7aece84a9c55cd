//! What an impression is worth and what to offer for it. The order of terms is fixed (pricing.md 2e):
//! value × multipliers → × κ of pacing → cap at the line item's maximum → into the bid's currency → cap of the exchange →
//! shading, not below the floor.
//!
//! Invariant: an offer is never under the floor and never above any cap; every step is integer arithmetic that rounds
//! against the bidder's own interest only where the exchange could otherwise reject the bid (floors round up, bids
//! down). [`pacing`], [`shading`] and [`prediction`] steer and learn with floats in the background and hand out integers;
//! [`learning`] makes the tables of the last two from events. Deliberately absent: threads, files, clocks.

mod floor;
pub mod learning;
mod market;
mod multipliers;
mod offer;
pub mod pacing;
pub mod prediction;
pub mod shading;
mod value;

pub use floor::{Floor, FloorError, FloorInputs};
pub use market::{MarketFacts, market, place};
pub use multipliers::{CompiledMultipliers, DIMENSIONS, Factors, PriceFacts};
pub use offer::{Offer, OfferInputs, Pricer, ShadeInputs, offer};
pub use value::{Predicted, value};
