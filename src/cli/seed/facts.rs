//! What the seeded market and the world that is made for it have in common: inventory, places, sizes, categories. No
//! person and no company stands behind any of it; every domain lies under `.example` (RFC 2606).
//!
//! `outbid-load` imports nothing of this crate and holds the same tables in `loadtest/src/market/facts.rs`;
//! `tests/it/seed.rs` compares the two value by value.

/// Name of the exchange in the bid URL and in `world.json`.
pub const EXCHANGE: &str = "load";

/// Web sites, by rank from 1: visits follow Zipf.
pub const SITES: u64 = 20_000;

/// The domain of a site.
pub fn site_domain(rank: u64) -> String {
    format!("site-{rank}.example")
}

/// The domain of an advertiser.
pub fn brand_domain(number: u64) -> String {
    format!("brand-{number}.example")
}

/// Content categories, codes of IAB Content Taxonomy 1.0 (`cattax` 1).
#[rustfmt::skip]
pub const CATEGORIES: [&str; 20] = [
    "IAB1", "IAB2", "IAB3", "IAB4", "IAB5", "IAB6", "IAB8", "IAB9", "IAB10", "IAB12",
    "IAB13", "IAB15", "IAB16", "IAB17", "IAB18", "IAB19", "IAB20", "IAB21", "IAB22", "IAB23",
];

/// A place: country in alpha-3, region without the country, weight per mille.
pub type Place = (&'static str, &'static str, u32);

/// Where visitors are.
#[rustfmt::skip]
pub const PLACES: [Place; 22] = [
    ("USA", "CA", 150), ("USA", "TX", 110), ("USA", "FL", 90), ("USA", "NY", 90), ("USA", "PA", 50), ("USA", "IL", 55),
    ("USA", "OH", 50), ("USA", "GA", 50), ("USA", "NC", 50), ("USA", "MI", 45), ("USA", "NJ", 40), ("USA", "WA", 40),
    ("USA", "AZ", 30), ("USA", "MA", 30), ("CAN", "ON", 35), ("CAN", "QC", 15), ("GBR", "ENG", 20), ("DEU", "BE", 15),
    ("MEX", "CMX", 15), ("BRA", "SP", 10), ("AUS", "NSW", 5), ("JPN", "13", 5),
];

/// Banner sizes, and in how many of a thousand campaigns there is a creative of it.
#[rustfmt::skip]
pub const SIZES: [((u16, u16), u32); 8] = [
    ((300, 250), 900), ((320, 50), 700), ((728, 90), 700), ((160, 600), 350),
    ((300, 600), 350), ((970, 250), 300), ((336, 280), 200), ((320, 100), 250),
];
