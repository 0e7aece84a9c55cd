//! What an impression is worth and what to offer for it. The order of terms is fixed (pricing.md 2e):
//! value × multipliers → cap at the line item's maximum → into the bid's currency → cap of the exchange → floor.
//!
//! Invariant: an offer is never under the floor and never above any cap; every step is integer arithmetic that rounds
//! against the bidder's own interest only where the exchange could otherwise reject the bid (floors round up, bids
//! down). [`pacing`] and [`shading`] steer with floats in the
//! background and hand out integers. Deliberately absent for now: prediction, and the wires from both into offers; their
//! place is between multipliers and cap.

mod floor;
mod multipliers;
mod offer;
pub mod pacing;
pub mod shading;

pub use floor::{Floor, FloorError, FloorInputs};
pub use multipliers::{CompiledMultipliers, DIMENSIONS, Factors, PriceFacts};
pub use offer::{Offer, OfferInputs, Pricer, offer};
