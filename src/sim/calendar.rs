//! Which local date it is for every advertiser, as somebody with a calendar on the wall would say (money.md 2.7): no
//! midnights are computed, dates are only looked at and compared.

use jiff::{Timestamp, Unit, civil::date, tz::TimeZone};
use std::collections::BTreeMap;

/// One advertiser's calendar.
#[derive(Clone, Debug)]
struct Page {
    zone: String,
    day: u32,
    /// The zone of an edit, with the date there when it was seen.
    next: Option<(String, u32)>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Calendar {
    pages: BTreeMap<u32, Page>,
}

impl Calendar {
    /// What is known after a restart: the day that was reached, in the zone it was reached in.
    pub(super) fn resume(&mut self, advertiser: u32, zone: &str, day: u32) {
        self.pages.insert(advertiser, Page { zone: zone.to_owned(), day, next: None });
    }

    /// An advertiser's zone is set at `unix_ms`.
    pub(super) fn set_zone(&mut self, advertiser: u32, zone: &str, unix_ms: i64) {
        let Some(page) = self.pages.get_mut(&advertiser) else {
            let page = Page { zone: zone.to_owned(), day: local_date(zone, unix_ms), next: None };
            self.pages.insert(advertiser, page);
            return;
        };
        let now = page.next.as_ref().map_or(&page.zone, |(next, _)| next);
        if now != zone {
            // The day under way is looked at first: it may be over.
            page.turn(unix_ms);
            page.next = Some((zone.to_owned(), local_date(zone, unix_ms)));
        }
    }

    /// Looks at every calendar.
    pub(super) fn turn(&mut self, unix_ms: i64) {
        self.pages.values_mut().for_each(|page| page.turn(unix_ms));
    }

    /// The ledger began a day: by the reading, of those that it may have gone by, that shows it.
    pub(super) fn begin(&mut self, advertiser: u32, day: u32, readings: [i64; 2]) {
        let reading = readings.into_iter().find(|reading| self.day_at(advertiser, *reading) == Some(day));
        if let (Some(page), Some(reading)) = (self.pages.get_mut(&advertiser), reading) {
            page.turn(reading);
        }
    }

    /// The date of an advertiser if somebody looked now.
    pub(super) fn day_at(&self, advertiser: u32, unix_ms: i64) -> Option<u32> {
        let mut page = self.pages.get(&advertiser)?.clone();
        page.turn(unix_ms);
        Some(page.day)
    }
}

impl Page {
    fn turn(&mut self, unix_ms: i64) {
        match &self.next {
            None => self.day = self.day.max(local_date(&self.zone, unix_ms)),
            Some((zone, seen)) => {
                let date = local_date(zone, unix_ms);
                if date > self.day.max(*seen) {
                    (self.zone, self.day, self.next) = (zone.clone(), date, None);
                }
            }
        }
    }
}

/// The date on the wall, as days since 1970-01-01.
fn local_date(zone: &str, unix_ms: i64) -> u32 {
    let instant = Timestamp::from_millisecond(unix_ms).expect("the simulator stays within the calendar");
    let zone = TimeZone::get(zone).expect("the world uses known zones");
    let span = date(1970, 1, 1).until((Unit::Day, zone.to_datetime(instant).date()));
    span.expect("dates can be subtracted").get_days() as u32
}
