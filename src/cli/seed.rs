//! The seeded world for measuring: an account, an audience and the `world.json` that lets `outbid-load` aim at them.
//!
//! Invariant: everything follows from [`WorldParams`] by integer arithmetic and IEEE additions and divisions, so the
//! same parameters give the same world on every machine. Selectivity follows the number of line items: an impression
//! of the seeded market leaves about 16 candidates (99th percentile about 64) at 1,000, 10,000 and 100,000 line
//! items; `tests/it/seed.rs` counts them. Goals, frequency caps, pacing, shading and models are on or off together;
//! `world.json` says which. Deliberately absent: writing files (`store` and `audience` do).

mod account;
mod audience;
mod creatives;
pub mod dice;
pub mod facts;
mod pricing;
mod targeting;

pub use account::account;
pub use audience::{MEMBERSHIPS_PER_USER, Memberships};

/// The sizes of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorldParams {
    /// Users with a cookie and segments, ≥ 1.
    pub users: u64,
    /// Segments that users are in; tree nodes above them come on top. 64 to 800,000.
    pub segments: u32,
    /// Line items, 1 to 1,000,000.
    pub line_items: u32,
    /// Everything random comes from it.
    pub seed: u64,
    /// Half of the line items pay by clicks or conversions, three in ten have a frequency cap, all spread their budgets
    /// and bid less where less wins.
    pub pricing: bool,
}

impl Default for WorldParams {
    /// The world that figures are quoted for.
    fn default() -> Self {
        WorldParams { users: 1_000_000, segments: 20_000, line_items: 10_000, seed: 1, pricing: false }
    }
}

/// Sizes that no world can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} = {given} is outside {min} to {max}: choose a value within")]
pub struct SizeError {
    /// Which size.
    pub what: &'static str,
    /// What was asked for.
    pub given: u64,
    /// The least.
    pub min: u64,
    /// The most.
    pub max: u64,
}

impl WorldParams {
    /// Checks the sizes; the functions of this module take checked parameters only.
    pub fn check(&self) -> Result<(), SizeError> {
        let sizes = [
            ("users", self.users, 1, 1_000_000_000),
            ("segments", u64::from(self.segments), 64, 800_000),
            ("line_items", u64::from(self.line_items), 1, 1_000_000),
        ];
        match sizes.into_iter().find(|(_, given, min, max)| given < min || given > max) {
            Some((what, given, min, max)) => Err(SizeError { what, given, min, max }),
            None => Ok(()),
        }
    }
}

/// The text of `world.json`: what `outbid-load` must know to aim at this world. Version 1; `cookie` names the rule
/// [`dice::cookie`].
pub fn world_json(params: &WorldParams) -> String {
    let world = serde_json::json!({
        "version": 1,
        "exchange": facts::EXCHANGE,
        "seed": params.seed,
        "users": params.users,
        "segments": params.segments,
        "line_items": params.line_items,
        "cookie": "splitmix64-hex",
        "sites": facts::SITES,
        "features": {
            "goals": params.pricing, "frequency_caps": params.pricing, "pacing": params.pricing,
            "shading": params.pricing, "models": params.pricing,
        },
    });
    format!("{world:#}\n")
}
