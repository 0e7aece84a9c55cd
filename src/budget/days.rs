//! Budget days: the civil days of an advertiser's time zone. A bill is charged to the day of its bid.

use crate::model::clock::Now;
use crate::model::ids::AdvertiserId;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use std::collections::HashMap;

/// A local date as days since 1970-01-01.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct BudgetDay(pub u32);

/// Which budget day it is for every advertiser, with the moment at which that ends.
#[derive(Debug)]
pub struct Days {
    zones: HashMap<AdvertiserId, Zone>,
}

#[derive(Debug)]
struct Zone {
    zone: TimeZone,
    day: BudgetDay,
    ends_ms: i64,
}

impl Days {
    /// Nobody yet.
    pub fn new() -> Days {
        Days { zones: HashMap::new() }
    }

    /// Sets an advertiser's time zone. Returns false, and changes nothing, when the name is unknown.
    pub fn set_zone(&mut self, advertiser: AdvertiserId, name: &str) -> bool {
        let Ok(zone) = TimeZone::get(name) else { return false };
        let day = self.zones.get(&advertiser).map_or(BudgetDay(0), |z| z.day);
        self.zones.insert(advertiser, Zone { zone, day, ends_ms: i64::MIN });
        true
    }

    /// The advertiser's budget day at `now`. A date never goes back, even when the clock does.
    pub fn day(&mut self, advertiser: AdvertiserId, now: Now) -> BudgetDay {
        let Some(entry) = self.zones.get_mut(&advertiser) else { return BudgetDay(0) };
        if now.unix_ms >= entry.ends_ms {
            let (day, ends_ms) = local_day(&entry.zone, now.unix_ms);
            entry.day = entry.day.max(day);
            entry.ends_ms = ends_ms;
        }
        entry.day
    }
}

impl Default for Days {
    fn default() -> Self {
        Days::new()
    }
}

/// The local date at an instant, and the instant at which the next local date begins.
fn local_day(zone: &TimeZone, unix_ms: i64) -> (BudgetDay, i64) {
    let instant = Timestamp::from_millisecond(unix_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    let date = instant.to_zoned(zone.clone()).date();
    let epoch = Date::constant(1970, 1, 1);
    let days = epoch.until((jiff::Unit::Day, date)).map_or(0, |span| span.get_days());
    // Some zones skip midnight, or a whole day; the first existing moment of a later date ends this one.
    let next = date
        .tomorrow()
        .and_then(|tomorrow| tomorrow.to_zoned(zone.clone()))
        .map_or(i64::MAX, |zoned| zoned.timestamp().as_millisecond());
    (BudgetDay(days.max(0) as u32), next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Now {
        Now { mono_ns: 0, unix_ms: text.parse::<Timestamp>().unwrap().as_millisecond() }
    }

    #[test]
    fn a_day_is_the_advertisers_own_and_never_goes_back() {
        let mut days = Days::new();
        assert!(days.set_zone(AdvertiserId(1), "America/New_York"));
        assert!(!days.set_zone(AdvertiserId(2), "Mars/Olympus"));
        let before = days.day(AdvertiserId(1), at("2026-03-08T04:59:59Z"));
        let after = days.day(AdvertiserId(1), at("2026-03-08T05:00:00Z"));
        assert_eq!(after.0, before.0 + 1);
        // The spring day has 23 hours: local midnight is 04:00 UTC from then on.
        assert_eq!(days.day(AdvertiserId(1), at("2026-03-09T03:59:59Z")), after);
        assert_eq!(days.day(AdvertiserId(1), at("2026-03-09T04:00:00Z")).0, after.0 + 1);
        assert_eq!(days.day(AdvertiserId(1), at("2026-03-07T00:00:00Z")).0, after.0 + 1);
    }
}
