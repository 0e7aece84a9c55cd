//! The decision as a whole: requests as JSON text through the parser, random accounts, and rules written down a second
//! time to hold it to.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as loudly as the test")]

mod allocation;
mod deadline;
mod explained;
mod funnel;
mod goals;
mod media;
mod mistakes;
mod model;
mod order;
mod placement;
mod privacy;
mod provided;
mod request;
mod rows;
mod run;
mod safety;
mod sampled;
mod selection;
mod told;
pub(crate) mod world;
