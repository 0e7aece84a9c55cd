//! What an impression is worth and what to offer for it. The order of terms is fixed (pricing.md 2e):
//! value × multipliers → × κ of pacing → cap at the line item's maximum → into the bid's currency → cap of the exchange →
//! floor.
//!
//! Invariant: an offer is never under the floor and never above any cap; every step is integer arithmetic that rounds
//! against the bidder's own interest only where the exchange could otherwise reject the bid (floors round up, bids
//! down). [`pacing`] and [`shading`] steer with floats in the background and hand out integers; [`prediction`] learns what an
//! impression is worth by clicks and conversions. Deliberately absent for now: the wires from shading and prediction into
//! offers; their places are before the floor and before the multipliers.

mod floor;
mod multipliers;
mod offer;
pub mod pacing;
pub mod prediction;
pub mod shading;
mod value;

pub use floor::{Floor, FloorError, FloorInputs};
pub use multipliers::{CompiledMultipliers, DIMENSIONS, Factors, PriceFacts};
pub use offer::{Offer, OfferInputs, Pricer, offer};
pub use value::{Predicted, value};
