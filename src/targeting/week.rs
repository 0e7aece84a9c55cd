//! The hour of the week in named time zones: 0 is Monday 00:00–01:00, half-open, 167 the last hour of Sunday.
//!
//! Invariant: an hour is derived from the zone's offset at that instant, so that the repeated hour of an autumn night
//! counts twice and the missing hour of a spring night never. [`Hours`] recomputes only when a local hour has ended
//! or an offset has changed in one of the zones, which costs the hot path two comparisons.

use crate::model::targeting::HourMask;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::HashMap;

/// Why a zone is unusable.
#[derive(Debug, thiserror::Error)]
#[error("the time zone database does not have {name:?}: {source}")]
pub struct ZoneError {
    /// The name as configured.
    pub name: String,
    /// What the database says.
    pub source: jiff::Error,
}

/// A zone inside one [`Zones`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ZoneIx(u32);

/// The hour of the week (0–167) in a named zone by the civil calendar, resolved anew each time; `None` = no such zone.
/// For explaining; [`Hours`] is for serving.
pub fn civil_hour_of_week(name: &str, unix_s: i64) -> Option<usize> {
    let local = instant(unix_s).to_zoned(TimeZone::get(name).ok()?);
    Some(local.weekday().to_monday_zero_offset() as usize * 24 + local.hour() as usize)
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// An hour of the week for people: `Mon 09–10`.
pub fn hour_of(hour: usize) -> String {
    let of_day = hour % 24;
    format!("{} {of_day:02}–{:02}", DAYS[hour / 24 % 7], of_day + 1)
}

/// Hours of the week for people: `Mon–Fri 09–17, Sat 10–12`. Days in a row with the same hours are told together.
pub fn readable(hours: &HourMask) -> String {
    let of_day = |day: usize| {
        let mut spans: Vec<(usize, usize)> = Vec::new();
        for hour in (0..24).filter(|hour| hours.contains(day * 24 + hour)) {
            match spans.last_mut() {
                Some((_, end)) if *end == hour => *end += 1,
                _ => spans.push((hour, hour + 1)),
            }
        }
        spans.iter().map(|(from, to)| format!("{from:02}–{to:02}")).collect::<Vec<_>>().join(" and ")
    };
    let mut rows: Vec<(usize, usize, String)> = Vec::new();
    for (day, told) in (0..7).map(|day| (day, of_day(day))).filter(|(_, told)| !told.is_empty()) {
        match rows.last_mut() {
            Some((_, last, same)) if *last + 1 == day && *same == told => *last = day,
            _ => rows.push((day, day, told)),
        }
    }
    let row = |(from, to, told): &(usize, usize, String)| match from == to {
        true => format!("{} {told}", DAYS[*from]),
        false => format!("{}–{} {told}", DAYS[*from], DAYS[*to]),
    };
    match rows.is_empty() {
        true => "no hour".to_owned(),
        false => rows.iter().map(row).collect::<Vec<_>>().join(", "),
    }
}

fn instant(unix_s: i64) -> Timestamp {
    let (min, max) = (Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    Timestamp::from_second(unix_s.clamp(min, max)).expect("clamped to the range of timestamps")
}

/// Distinct zones, resolved once.
#[derive(Clone, Debug, Default)]
pub struct Zones {
    zones: Vec<TimeZone>,
    by_name: HashMap<String, ZoneIx>,
}

impl Zones {
    /// Resolves an IANA name and numbers it; a name given again gets its first number.
    pub fn add(&mut self, name: &str) -> Result<ZoneIx, ZoneError> {
        if let Some(known) = self.by_name.get(name) {
            return Ok(*known);
        }
        let zone = TimeZone::get(name).map_err(|source| ZoneError { name: name.to_owned(), source })?;
        let ix = ZoneIx(self.zones.len() as u32);
        self.zones.push(zone);
        self.by_name.insert(name.to_owned(), ix);
        Ok(ix)
    }
}

/// The current hour of the week in each zone of one [`Zones`].
#[derive(Clone, Debug, Default)]
pub struct Hours {
    /// The hours are right for `from_s..until_s`, seconds since the Unix epoch.
    from_s: i64,
    until_s: i64,
    hours: Vec<u8>,
}

impl Hours {
    /// Forgets everything, so that the next refresh may use other zones.
    pub fn reset(&mut self) {
        (self.from_s, self.until_s) = (0, 0);
        self.hours.clear();
    }

    /// Makes the hours right for `unix_s`. `zones` must be the same until [`Hours::reset`].
    pub fn refresh(&mut self, zones: &Zones, unix_s: i64) {
        if unix_s >= self.from_s && unix_s < self.until_s {
            return;
        }
        (self.from_s, self.until_s) = (unix_s, i64::MAX);
        self.hours.clear();
        for zone in &zones.zones {
            let (hour, until_s) = hour_and_end(zone, unix_s);
            self.hours.push(hour);
            self.until_s = self.until_s.min(until_s);
        }
    }

    /// The hour of the week (0–167) in a zone, as of the last refresh.
    pub fn get(&self, zone: ZoneIx) -> usize {
        usize::from(self.hours[zone.0 as usize])
    }
}

/// The hour of the week (0–167) in a zone at an instant, and the first second at which it may be another.
fn hour_and_end(zone: &TimeZone, unix_s: i64) -> (u8, i64) {
    /// The Unix epoch was a Thursday, 00:00 in UTC.
    const EPOCH_HOUR: i64 = 3 * 24;
    let instant = instant(unix_s);
    let local_s = unix_s.saturating_add(i64::from(zone.to_offset(instant).seconds()));
    let hour = (local_s.div_euclid(3600) + EPOCH_HOUR).rem_euclid(168);
    let hour_end_s = unix_s.saturating_add(3600 - local_s.rem_euclid(3600));
    let offset_end_s =
        zone.following(instant).next().map_or(i64::MAX, |change| change.timestamp().as_second());
    (hour as u8, hour_end_s.min(offset_end_s))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Walks two weeks around `civil` (local) in steps of five minutes and compares the cached hour with the civil
    /// calendar of the time zone library.
    fn check_weeks_around(zone: &str, civil: &str) {
        let mut zones = Zones::default();
        let ix = zones.add(zone).unwrap();
        let tz = TimeZone::get(zone).unwrap();
        let middle = civil.parse::<jiff::civil::DateTime>().unwrap().to_zoned(tz).unwrap();
        let middle = middle.timestamp().as_second();
        let mut hours = Hours::default();
        for unix_s in (middle - 7 * 86_400..middle + 7 * 86_400).step_by(300) {
            hours.refresh(&zones, unix_s);
            assert_eq!(Some(hours.get(ix)), civil_hour_of_week(zone, unix_s), "{zone} at {unix_s}");
        }
    }

    #[test]
    fn the_cached_hour_follows_the_civil_calendar_through_offset_changes() {
        for (zone, around) in [
            ("Europe/Berlin", "2026-03-29T04:00"),
            ("Europe/Berlin", "2026-10-25T04:00"),
            ("America/New_York", "2026-03-08T04:00"),
            ("America/New_York", "2026-11-01T04:00"),
            ("Australia/Lord_Howe", "2026-04-05T04:00"),
            ("Australia/Lord_Howe", "2026-10-04T04:00"),
            ("Asia/Kolkata", "2026-03-29T04:00"),
            ("Asia/Kathmandu", "2026-03-29T04:00"),
            ("Pacific/Tongatapu", "2026-03-29T04:00"),
            ("Pacific/Auckland", "2026-04-05T04:00"),
            ("UTC", "1969-12-31T23:00"),
        ] {
            check_weeks_around(zone, around);
        }
    }

    #[test]
    fn hours_are_told_as_people_write_them() {
        let mut hours = HourMask::NONE;
        assert_eq!(readable(&hours), "no hour");
        (0..5).flat_map(|day| (9..17).map(move |hour| day * 24 + hour)).for_each(|hour| hours.insert(hour));
        [144, 150, 151].into_iter().for_each(|hour| hours.insert(hour));
        assert_eq!(readable(&hours), "Mon–Fri 09–17, Sun 00–01 and 06–08");
        assert_eq!(readable(&HourMask::ALL), "Mon–Sun 00–24");
        assert_eq!((hour_of(0), hour_of(167)), ("Mon 00–01".to_owned(), "Sun 23–24".to_owned()));
    }

    #[test]
    fn a_clock_that_steps_back_is_followed() {
        let mut zones = Zones::default();
        let (berlin, kolkata) = (zones.add("Europe/Berlin").unwrap(), zones.add("Asia/Kolkata").unwrap());
        assert_eq!(zones.add("Europe/Berlin").unwrap(), berlin);
        let mut hours = Hours::default();
        // Thursday 1970-01-01 12:40 UTC: 13:40 in Berlin, 18:10 in Kolkata.
        for (unix_s, expected) in [(45_600, (85, 90)), (0, (73, 77)), (45_600, (85, 90))] {
            hours.refresh(&zones, unix_s);
            assert_eq!((hours.get(berlin), hours.get(kolkata)), expected);
        }
        hours.refresh(&zones, i64::MAX);
        hours.refresh(&zones, i64::MIN);
    }

    #[test]
    fn an_unknown_zone_is_refused_by_name() {
        let error = Zones::default().add("Europe/Atlantis").unwrap_err();
        assert!(error.to_string().contains("Europe/Atlantis"), "{error}");
    }
}
