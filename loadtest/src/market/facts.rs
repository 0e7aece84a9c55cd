//! What is for sale in the seeded market, as tables: inventory, places, devices, sizes, categories. No person and no
//! company stands behind any of it; every domain lies under `.example` (RFC 2606).

/// Web sites, by rank from 1: visits follow Zipf.
pub(crate) const SITES: u64 = 20_000;

/// Apps, by rank from 1: visits follow Zipf.
pub(crate) const APPS: u64 = 2_000;

/// Advertisers' domains that block lists draw from, by number from 1; larger than most worlds have advertisers.
pub(crate) const BRANDS: u64 = 5_000;

/// The domain of a site.
pub(crate) fn site_domain(rank: u64) -> String {
    format!("site-{rank}.example")
}

/// The bundle of an app.
pub(crate) fn app_bundle(rank: u64) -> String {
    format!("com.example.app{rank}")
}

/// The domain of an advertiser.
pub(crate) fn brand_domain(number: u64) -> String {
    format!("brand-{number}.example")
}

/// The content category of a site or an app of this rank.
pub(crate) fn category_of(rank: u64) -> &'static str {
    CATEGORIES[(rank % CATEGORIES.len() as u64) as usize]
}

/// Content categories, codes of IAB Content Taxonomy 1.0 (`cattax` 1).
#[rustfmt::skip]
pub(crate) const CATEGORIES: [&str; 20] = [
    "IAB1", "IAB2", "IAB3", "IAB4", "IAB5", "IAB6", "IAB8", "IAB9", "IAB10", "IAB12",
    "IAB13", "IAB15", "IAB16", "IAB17", "IAB18", "IAB19", "IAB20", "IAB21", "IAB22", "IAB23",
];

/// A place: country in alpha-3, region without the country, weight per mille.
pub(crate) type Place = (&'static str, &'static str, u32);

/// Where visitors are.
#[rustfmt::skip]
pub(crate) const PLACES: [Place; 22] = [
    ("USA", "CA", 150), ("USA", "TX", 110), ("USA", "FL", 90), ("USA", "NY", 90), ("USA", "PA", 50), ("USA", "IL", 55),
    ("USA", "OH", 50), ("USA", "GA", 50), ("USA", "NC", 50), ("USA", "MI", 45), ("USA", "NJ", 40), ("USA", "WA", 40),
    ("USA", "AZ", 30), ("USA", "MA", 30), ("CAN", "ON", 35), ("CAN", "QC", 15), ("GBR", "ENG", 20), ("DEU", "BE", 15),
    ("MEX", "CMX", 15), ("BRA", "SP", 10), ("AUS", "NSW", 5), ("JPN", "13", 5),
];

/// A device: `devicetype`, operating system, browser, weight on the web, weight in apps.
pub(crate) type DeviceKind = (i64, &'static str, &'static str, u32, u32);

/// What visitors hold. Web and app weights each sum to 1,000.
#[rustfmt::skip]
pub(crate) const DEVICES: [DeviceKind; 8] = [
    (4, "Android", "Chrome", 220, 430),
    (4, "iOS", "Safari", 230, 370),
    (2, "Windows", "Chrome", 230, 0),
    (2, "Windows", "Edge", 90, 0),
    (2, "macOS", "Safari", 110, 0),
    (2, "Linux", "Firefox", 30, 0),
    (5, "iOS", "Safari", 80, 120),
    (3, "Tizen", "Samsung Internet", 10, 80),
];

/// Banner sizes, and in how many of a thousand campaigns there is a creative of it.
#[rustfmt::skip]
pub(crate) const SIZES: [((u16, u16), u32); 8] = [
    ((300, 250), 900), ((320, 50), 700), ((728, 90), 700), ((160, 600), 350),
    ((300, 600), 350), ((970, 250), 300), ((336, 280), 200), ((320, 100), 250),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_per_mille() {
        assert_eq!(PLACES.iter().map(|place| place.2).sum::<u32>(), 1_000);
        assert_eq!(DEVICES.iter().map(|device| device.3).sum::<u32>(), 1_000);
        assert_eq!(DEVICES.iter().map(|device| device.4).sum::<u32>(), 1_000);
        assert!(SIZES.iter().all(|size| size.1 <= 1_000));
    }

    /// The server's world is made for these names; a change here must be made there.
    #[test]
    fn names_are_those_of_the_seeded_world() {
        assert_eq!(site_domain(1), "site-1.example");
        assert_eq!(app_bundle(20), "com.example.app20");
        assert_eq!(brand_domain(3), "brand-3.example");
        assert_eq!((category_of(1), category_of(20)), ("IAB2", "IAB1"));
    }
}
