//! Budget days: the civil days of an advertiser's time zone. A bill is charged to the day of its bid.
//!
//! Invariant: an advertiser's date never goes back, whatever the clock does, so no date comes twice and a date's budget
//! is there once (I11). A day ends with the first moment at which a later local date begins. It may have any length: a
//! date that the clock, ahead of itself, had reached too early lasts until the next one really comes.
//!
//! An edited zone takes effect at the first midnight of the new zone, after the edit is seen, that begins a date later
//! than the one under way; until then the day under way goes on. So no edit ends a day early to open the next budget.
//!
//! Deliberately absent: what is journalled of this, and when. A ledger that keeps [`Days::zone_of`] with the day, and
//! says both again ([`Days::set_zone`], [`Days::not_before`]) before it sets the configured zone, goes on as if it had
//! not stopped, except that an edit under way counts from then.

use super::planted::{self, Bug};
use crate::model::clock::Now;
use crate::model::ids::AdvertiserId;
use jiff::{
    Span, Timestamp, ToSpan,
    civil::Date,
    tz::{AmbiguousOffset, TimeZone},
};
use std::collections::HashMap;

/// A local date as days since 1970-01-01.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct BudgetDay(pub u32);

/// Which budget day it is for every advertiser, with the moment at which that ends.
#[derive(Debug)]
pub struct Days {
    calendars: HashMap<AdvertiserId, Calendar>,
}

/// One advertiser's days.
#[derive(Debug)]
struct Calendar {
    /// Whose dates are counted; none until the first is set.
    zone: Option<TimeZone>,
    /// Takes the place of `zone` when the day ends.
    next: Option<TimeZone>,
    /// Set since the day was last asked for.
    edit: Option<TimeZone>,
    day: BudgetDay,
    ends_ms: i64,
}

impl Days {
    /// Nobody yet.
    pub fn new() -> Days {
        Days { calendars: HashMap::new() }
    }

    /// Sets an advertiser's time zone: the first one at once, a later one from the midnight that the module describes,
    /// counted from the next call of [`Days::day`]. The zone that is set already changes nothing. Returns false, and
    /// changes nothing, when the name is unknown.
    pub fn set_zone(&mut self, advertiser: AdvertiserId, name: &str) -> bool {
        let name = if planted::is(Bug::WrongMidnight) { "UTC" } else { name };
        let Ok(zone) = TimeZone::get(name) else { return false };
        let calendar = self.calendars.entry(advertiser).or_default();
        match calendar.next.as_ref().or(calendar.zone.as_ref()) {
            None => calendar.zone = Some(zone),
            // Also an edit that was taken back before anyone asked for the day.
            Some(seen) if *seen == zone => calendar.edit = None,
            Some(_) => calendar.edit = Some(zone),
        }
        true
    }

    /// The zone whose dates are counted, by its name in the tz database; an edit shows when it has taken effect. `None`
    /// before the first [`Days::set_zone`].
    pub fn zone_of(&self, advertiser: AdvertiserId) -> Option<&str> {
        self.calendars.get(&advertiser)?.zone.as_ref()?.iana_name()
    }

    /// Takes over what an earlier process had reached: [`Days::day`] never returns less from now on.
    pub fn not_before(&mut self, advertiser: AdvertiserId, day: BudgetDay) {
        let calendar = self.calendars.entry(advertiser).or_default();
        calendar.day = calendar.day.max(day);
    }

    /// The advertiser's budget day at `now`. Without a zone it is the earliest that [`Days::not_before`] allows.
    pub fn day(&mut self, advertiser: AdvertiserId, now: Now) -> BudgetDay {
        self.calendars.get_mut(&advertiser).map_or(BudgetDay(0), |calendar| calendar.day(now.unix_ms))
    }

    /// When the day that [`Days::day`] last returned ends, in milliseconds since the Unix epoch; `i64::MAX` without a
    /// zone.
    pub fn ends_ms(&self, advertiser: AdvertiserId) -> i64 {
        self.calendars.get(&advertiser).map_or(i64::MAX, |calendar| calendar.ends_ms)
    }
}

impl Default for Days {
    fn default() -> Self {
        Days::new()
    }
}

impl Default for Calendar {
    fn default() -> Self {
        Calendar { zone: None, next: None, edit: None, day: BudgetDay(0), ends_ms: i64::MIN }
    }
}

impl Calendar {
    fn day(&mut self, unix_ms: i64) -> BudgetDay {
        if unix_ms >= self.ends_ms {
            self.begin_day(unix_ms);
        }
        // An edit that is seen while the clock shows a time outside the calendar is seen again later.
        if let Some(edit) = &self.edit
            && let Some(ends_ms) = next_midnight(edit, unix_ms, self.day)
        {
            self.ends_ms = ends_ms;
            self.next = self.edit.take();
        }
        self.day
    }

    fn begin_day(&mut self, unix_ms: i64) {
        if let Some(next) = self.next.take() {
            self.zone = Some(next);
        }
        let Some(zone) = &self.zone else { return };
        // A clock that shows a time outside the calendar is not believed.
        let Some(date) = local_date(zone, unix_ms) else { return };
        self.day = self.day.max(day_of(date));
        self.ends_ms = next_midnight(zone, unix_ms, self.day).unwrap_or(i64::MAX);
    }
}

const EPOCH: Date = Date::constant(1970, 1, 1);

fn local_date(zone: &TimeZone, unix_ms: i64) -> Option<Date> {
    Some(zone.to_datetime(Timestamp::from_millisecond(unix_ms).ok()?).date())
}

fn day_of(date: Date) -> BudgetDay {
    let days = EPOCH.until((jiff::Unit::Day, date)).map_or(0, |span| span.get_days());
    BudgetDay(days.max(0) as u32)
}

/// The first instant after `unix_ms` at which a local date begins that is later than the one there and later than `day`.
/// `None` where the calendar ends.
fn next_midnight(zone: &TimeZone, unix_ms: i64, day: BudgetDay) -> Option<i64> {
    let reached = EPOCH.checked_add(Span::new().try_days(day.0).ok()?).ok()?;
    let date = local_date(zone, unix_ms)?.max(reached).tomorrow().ok()?;
    let midnight = zone.to_ambiguous_timestamp(date.at(0, 0, 0, 0));
    let begins = match midnight.offset() {
        AmbiguousOffset::Unambiguous { .. } => midnight.compatible().ok()?,
        // The clocks are put back over midnight, which comes twice: the first one may be past.
        AmbiguousOffset::Fold { .. } => {
            let first = midnight.earlier().ok()?;
            if first.as_millisecond() > unix_ms { first } else { midnight.later().ok()? }
        }
        // The clocks are put forward over midnight, or over a whole day: the date, or a later one, begins there.
        AmbiguousOffset::Gap { .. } => {
            let after = midnight.later().ok()?.checked_add(1.second()).ok()?;
            zone.preceding(after).next()?.timestamp()
        }
    };
    Some(begins.as_millisecond())
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

    #[test]
    fn a_date_begins_with_its_first_moment_where_clocks_change_at_midnight() {
        let check = |zone: &str, now: &str, expected: &str| {
            let zone = TimeZone::get(zone).or_else(|_| TimeZone::posix(zone)).unwrap();
            let now = at(now).unix_ms;
            assert_eq!(next_midnight(&zone, now, BudgetDay(0)), Some(at(expected).unix_ms), "{zone:?}");
        };
        // Midnight is skipped: as the first moment, and (as in Toronto until 1945) in the middle of what is skipped.
        check("America/Sao_Paulo", "2018-11-03T12:00:00Z", "2018-11-04T03:00:00Z");
        check("EST5EDT,M3.5.0/23:30,M10.5.0/0", "2026-03-29T12:00:00Z", "2026-03-30T04:30:00Z");
        // Midnight comes twice: before the first and between the two.
        check("America/Havana", "2026-10-31T12:00:00Z", "2026-11-01T04:00:00Z");
        check("America/St_Johns", "2010-11-06T12:00:00Z", "2010-11-07T02:30:00Z");
        check("America/St_Johns", "2010-11-07T02:32:00Z", "2010-11-07T03:30:00Z");
        // A whole day is skipped.
        check("Pacific/Apia", "2011-12-29T20:00:00Z", "2011-12-30T10:00:00Z");
    }
}
