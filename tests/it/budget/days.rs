//! Trials A5 and B8: no clock and no edit of a zone opens a date's budget twice or takes a date back.
//!
//! The naive model knows offsets from UTC and nothing of midnights: it looks at the local date of every tick.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use outbid::budget::{BudgetDay, Days};
use outbid::model::civil::CivilClock;
use outbid::model::clock::{Clock, Now};
use outbid::model::ids::AdvertiserId;
use outbid::telemetry::clock::{SystemClock, TimeSource};
use proptest::prelude::*;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

const WHO: AdvertiserId = AdvertiserId(1);

fn ms(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

fn at(unix_ms: i64) -> Now {
    Now { mono_ns: 0, unix_ms }
}

fn local_day(zone: &TimeZone, unix_ms: i64) -> u32 {
    let offset = zone.to_offset(Timestamp::from_millisecond(unix_ms).unwrap());
    (unix_ms + i64::from(offset.seconds()) * SECOND).div_euclid(DAY) as u32
}

/// The rules of money.md 2.7, tick by tick.
struct Naive {
    zone: String,
    day: u32,
    /// The zone to come, and the date that its midnight must be later than.
    edit: Option<(String, u32)>,
}

impl Naive {
    fn new(zone: &str, unix_ms: i64) -> Naive {
        let day = local_day(&TimeZone::get(zone).unwrap(), unix_ms);
        Naive { zone: zone.to_owned(), day, edit: None }
    }

    fn tick(&mut self, unix_ms: i64) -> u32 {
        if let Some((zone, after)) = self.edit.clone()
            && local_day(&TimeZone::get(&zone).unwrap(), unix_ms) > after
        {
            self.zone = zone;
            self.edit = None;
        }
        if self.edit.is_none() {
            self.day = self.day.max(local_day(&TimeZone::get(&self.zone).unwrap(), unix_ms));
        }
        self.day
    }

    /// An edit seen by the tick at `unix_ms`.
    fn edit(&mut self, zone: &str, unix_ms: i64) {
        let wanted = self.edit.as_ref().map_or(&self.zone, |(zone, _)| zone);
        if wanted != zone {
            self.tick(unix_ms);
            let there = local_day(&TimeZone::get(zone).unwrap(), unix_ms);
            self.edit = Some((zone.to_owned(), self.day.max(there)));
        }
    }
}

/// The days of an advertiser beside the model, and every date that was ever begun.
struct Trial {
    days: Days,
    naive: Naive,
    wanted: String,
    begun: Vec<u32>,
}

impl Trial {
    fn new(zone: &str, unix_ms: i64) -> Trial {
        let mut days = Days::new();
        assert!(days.set_zone(WHO, zone));
        Trial { days, naive: Naive::new(zone, unix_ms), wanted: zone.to_owned(), begun: Vec::new() }
    }

    fn tick(&mut self, unix_ms: i64) -> u32 {
        let expected = self.naive.tick(unix_ms);
        let day = self.days.day(WHO, at(unix_ms)).0;
        let time = Timestamp::from_millisecond(unix_ms).unwrap();
        assert_eq!(day, expected, "{time} in {}, then {:?}", self.naive.zone, self.naive.edit);
        assert_eq!(self.days.zone_of(WHO), Some(&*self.naive.zone), "{time}");
        match self.begun.last() {
            Some(last) if *last == day => {}
            Some(last) => {
                // Increasing, so no date comes twice.
                assert!(*last < day, "{time}: {day} after {last}");
                self.begun.push(day);
            }
            None => self.begun.push(day),
        }
        day
    }

    fn edit(&mut self, zone: &str, unix_ms: i64) {
        assert!(self.days.set_zone(WHO, zone));
        self.wanted = zone.to_owned();
        self.naive.edit(zone, unix_ms);
        self.tick(unix_ms);
    }

    /// A new process, told what the old one had reached, that then reads its configuration.
    fn restart(&mut self, unix_ms: i64) {
        let (zone, day) = (self.days.zone_of(WHO).unwrap().to_owned(), *self.begun.last().unwrap());
        self.days = Days::new();
        self.days.not_before(WHO, BudgetDay(day));
        assert_eq!(self.days.day(WHO, at(unix_ms)), BudgetDay(day));
        self.days.set_zone(WHO, &zone);
        self.days.set_zone(WHO, &self.wanted);
        self.naive.edit = None;
        self.naive.tick(unix_ms);
        self.naive.edit(&self.wanted.clone(), unix_ms);
        self.tick(unix_ms);
    }

    /// Ticks from `from` to `to`.
    fn run(&mut self, from: i64, to: i64, every: i64) {
        (0..=(to - from) / every).for_each(|n| {
            self.tick(from + n * every);
        });
    }

    fn length(&self) -> usize {
        self.begun.len()
    }
}

/// Both changes of a year for each zone, and what is odd about it.
const CHANGES: [(&str, &str, &str); 16] = [
    ("America/New_York", "2026-03-08T07:00:00Z", "an hour, at two"),
    ("America/New_York", "2026-11-01T06:00:00Z", ""),
    ("Europe/Berlin", "2026-03-29T01:00:00Z", "an hour, at one UTC"),
    ("Europe/Berlin", "2026-10-25T01:00:00Z", ""),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z", "half an hour"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00Z", ""),
    ("America/Sao_Paulo", "2018-11-04T03:00:00Z", "midnight is skipped"),
    ("America/Sao_Paulo", "2018-02-18T02:00:00Z", "the hour before midnight comes twice"),
    ("America/Havana", "2026-03-08T05:00:00Z", "midnight is skipped"),
    ("America/Havana", "2026-11-01T05:00:00Z", "midnight comes twice"),
    ("America/St_Johns", "2010-03-14T03:31:00Z", "a minute after midnight"),
    ("America/St_Johns", "2010-11-07T02:31:00Z", "midnight comes twice, the date goes back for an hour"),
    ("Pacific/Apia", "2011-12-30T10:00:00Z", "no 30 December 2011"),
    ("Pacific/Apia", "2011-09-24T14:00:00Z", "an hour"),
    ("Africa/Cairo", "2026-04-23T22:00:00Z", "midnight is skipped"),
    ("Africa/Cairo", "2026-10-29T21:00:00Z", "the hour before midnight comes twice"),
];

#[test]
fn a5_days_change_at_local_midnight_through_changes_of_the_clocks() {
    for (zone, change, about) in CHANGES {
        let change = ms(change);
        let tz = TimeZone::get(zone).unwrap();
        let offset = |unix_ms| tz.to_offset(Timestamp::from_millisecond(unix_ms).unwrap());
        assert_ne!(offset(change - SECOND), offset(change), "{zone} {about}");
        // Each second of the hours around the change and the midnights beside it, each ten seconds of two days.
        let mut trial = Trial::new(zone, change - 2 * DAY);
        trial.run(change - 2 * DAY, change - 2 * HOUR, 10 * SECOND);
        trial.run(change - 2 * HOUR, change + 2 * HOUR, SECOND);
        trial.run(change + 2 * HOUR, change + 2 * DAY, 10 * SECOND);
        assert!((4..=6).contains(&trial.length()), "{zone} {about}: {:?}", trial.begun);
    }
}

#[test]
fn a5_a_skipped_date_is_no_day() {
    let mut trial = Trial::new("Pacific/Apia", ms("2011-12-29T00:00:00Z"));
    trial.run(ms("2011-12-29T00:00:00Z"), ms("2012-01-01T00:00:00Z"), MINUTE);
    let date = |text: &str| (ms(text) / DAY) as u32;
    let expected =
        ["2011-12-28T00:00:00Z", "2011-12-29T00:00:00Z", "2011-12-31T00:00:00Z", "2012-01-01T00:00:00Z"];
    assert_eq!(trial.begun, expected.map(date));
}

#[test]
fn a5_a_clock_that_moves_opens_no_date_twice() {
    // Moved by so much for so long, from each quarter of an hour of a day on.
    let moves =
        [(-HOUR, HOUR), (-HOUR, 30 * HOUR), (DAY, 10 * MINUTE), (DAY, 30 * HOUR), (-3 * DAY, 2 * DAY)];
    for zone in ["UTC", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kolkata"] {
        for (by, lasting) in moves {
            for quarter in 0..96 {
                let start = ms("2026-03-30T00:00:00Z");
                let moved = start + quarter * 15 * MINUTE;
                let mut trial = Trial::new(zone, start);
                trial.run(start, moved, 5 * MINUTE);
                trial.run(moved + by, moved + by + lasting, 5 * MINUTE);
                trial.run(moved + lasting, start + 5 * DAY, 5 * MINUTE);
                assert_eq!(*trial.begun.last().unwrap() - trial.begun[0], 5);
                assert!(trial.length() <= 6);
            }
        }
    }
}

#[test]
fn a5_a_leap_second_and_jitter_at_midnight_change_the_day_once() {
    for zone in ["UTC", "Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "Pacific/Kiritimati"] {
        let start = ms("2016-12-31T00:00:00Z");
        let mut trial = Trial::new(zone, start);
        for second in 0..86_400 + 3_600 {
            let now = start + second * SECOND;
            // Each second comes twice, as the last one of a leap day does, with a wild one in between.
            trial.tick(now + 999);
            trial.tick(now + (second % 7 - 3) * 700);
            trial.tick(now);
        }
        assert!((2..=3).contains(&trial.length()), "{zone}: {:?}", trial.begun);
    }
}

const EAST: &str = "Pacific/Kiritimati";
const WEST: &str = "Pacific/Pago_Pago";

#[test]
fn a5_an_edit_over_the_date_line_waits_for_a_new_midnight_of_a_later_date() {
    // Kiritimati is at UTC+14, Pago Pago at UTC-11: their midnights are 10:00 and 11:00 UTC.
    let check = |from: &str, to: &str, edited: &str, ends: &str, days: i64| {
        let mut trial = Trial::new(from, ms(edited));
        let before = trial.tick(ms(edited));
        trial.edit(to, ms(edited));
        trial.run(ms(edited), ms(ends) - SECOND, SECOND);
        assert_eq!((trial.begun.len(), trial.days.zone_of(WHO)), (1, Some(from)), "{from} to {to}, {edited}");
        assert_eq!(i64::from(trial.tick(ms(ends)) - before), days, "{from} to {to}, {edited}");
        assert_eq!(trial.days.zone_of(WHO), Some(to));
        trial.run(ms(ends), ms(ends) + 3 * DAY - SECOND, MINUTE);
        assert_eq!(trial.begun.len(), 4);
    };
    // Westward the new zone begins the same date once more, or even the one before: up to two days in one.
    check(EAST, WEST, "2026-05-06T09:59:59Z", "2026-05-07T11:00:00Z", 1);
    check(EAST, WEST, "2026-05-06T10:00:00Z", "2026-05-08T11:00:00Z", 1);
    check(EAST, WEST, "2026-05-06T10:30:00Z", "2026-05-08T11:00:00Z", 1);
    check(EAST, WEST, "2026-05-06T11:00:00Z", "2026-05-08T11:00:00Z", 1);
    // Eastward it is there already: the dates between never come.
    check(WEST, EAST, "2026-05-06T09:59:59Z", "2026-05-06T10:00:00Z", 2);
    check(WEST, EAST, "2026-05-06T10:00:00Z", "2026-05-07T10:00:00Z", 3);
    check(WEST, EAST, "2026-05-06T10:59:59Z", "2026-05-07T10:00:00Z", 3);
    check(WEST, EAST, "2026-05-06T11:00:00Z", "2026-05-07T10:00:00Z", 2);
}

#[test]
fn a5_edits_in_the_hour_around_midnight_and_back_again_open_no_date_twice() {
    for (from, to) in [(EAST, WEST), (WEST, EAST), (EAST, EAST), ("UTC", EAST), (WEST, "UTC")] {
        for edited in (0..=180).map(|minute| ms("2026-05-06T09:00:00Z") + minute * MINUTE) {
            for back in [MINUTE, HOUR, 25 * HOUR] {
                let start = edited - DAY;
                let mut trial = Trial::new(from, start);
                trial.run(start, edited, 10 * MINUTE);
                trial.edit(to, edited);
                trial.run(edited, edited + back, 10 * MINUTE);
                trial.edit(from, edited + back);
                trial.run(edited + back, edited + back + 4 * DAY, 10 * MINUTE);
                assert_eq!(trial.days.zone_of(WHO), Some(from));
            }
        }
    }
}

#[test]
fn a5_the_same_zone_again_and_an_edit_that_nobody_saw_change_nothing() {
    let noon = ms("2026-05-06T12:00:00Z");
    let mut days = Days::new();
    assert_eq!(days.zone_of(WHO), None);
    assert_eq!(days.day(WHO, at(noon)), BudgetDay(0));
    days.set_zone(WHO, EAST);
    let day = days.day(WHO, at(noon)).0;
    assert!(days.set_zone(WHO, WEST) && days.set_zone(WHO, EAST) && days.set_zone(WHO, EAST));
    assert!(!days.set_zone(WHO, "Mars/Olympus"));
    assert_eq!(days.day(WHO, at(ms("2026-05-07T09:59:59Z"))).0, day);
    assert_eq!(days.day(WHO, at(ms("2026-05-07T10:00:00Z"))).0, day + 1);
}

#[test]
fn a5_a_restart_goes_on_with_the_date_that_was_reached() {
    let noon = ms("2026-05-06T12:00:00Z");
    let today = (noon / DAY) as u32;
    let check = |reached: u32, clock: i64, expected: u32| {
        for zone_first in [true, false] {
            let mut days = Days::new();
            if zone_first {
                days.set_zone(WHO, "UTC");
            }
            days.not_before(WHO, BudgetDay(reached));
            days.not_before(WHO, BudgetDay(reached / 2));
            days.set_zone(WHO, "UTC");
            assert_eq!(days.day(WHO, at(clock)), BudgetDay(expected));
        }
    };
    check(today, noon, today);
    check(today - 9, noon, today);
    // The clock is set back while the process is down.
    check(today, noon - 3 * DAY, today);
    check(today + 400, noon, today + 400);
    check(today + 400, noon + 401 * DAY, today + 401);
    // A date that no calendar holds stands for ever, and breaks nothing.
    check(u32::MAX, noon, u32::MAX);
    check(u32::MAX, i64::MAX, u32::MAX);

    let mut days = Days::new();
    days.set_zone(WHO, "UTC");
    days.day(WHO, at(noon));
    days.not_before(WHO, BudgetDay(today + 2));
    let told = [0, 1, 2, 3].map(|later| days.day(WHO, at(noon + later * DAY)).0 - today);
    assert_eq!(told, [2, 2, 2, 3]);
}

#[derive(Clone, Debug)]
enum Event {
    /// So much time passes, in one tick.
    Pass(i64),
    /// The clock is moved.
    Move(i64),
    Edit(&'static str),
    Restart,
}

/// None where the date itself goes back: that a restart within such an hour shows the new zone half an hour earlier or
/// later changes no date, but the model would see it. `CHANGES` has one.
const ZONES: [&str; 8] = [
    EAST,
    WEST,
    "UTC",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/New_York",
    "America/Sao_Paulo",
    "Africa/Cairo",
];

fn event() -> impl Strategy<Value = Event> {
    let passed = prop_oneof![4 => 1..MINUTE, 4 => MINUTE..HOUR, 3 => HOUR..12 * HOUR, 1 => DAY..3 * DAY];
    let moved = prop_oneof![Just(-HOUR), Just(DAY), Just(-DAY), -2 * SECOND..2 * SECOND, -2 * HOUR..2 * HOUR];
    prop_oneof![
        16 => passed.prop_map(Event::Pass),
        3 => moved.prop_map(Event::Move),
        2 => proptest::sample::select(&ZONES[..]).prop_map(Event::Edit),
        2 => Just(Event::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a5_whatever_clocks_edits_and_restarts_do_no_date_comes_twice_or_goes_back(
        zone in proptest::sample::select(&ZONES[..]),
        change in proptest::sample::select(&CHANGES[..]),
        before in 0..3 * DAY,
        events in proptest::collection::vec(event(), 1..120),
    ) {
        let mut now = ms(change.1) - before;
        let mut trial = Trial::new(zone, now);
        trial.tick(now);
        for event in events {
            match event {
                Event::Pass(passed) => now += passed,
                Event::Move(moved) => now += moved,
                Event::Edit(zone) => trial.edit(zone, now),
                Event::Restart => trial.restart(now),
            }
            trial.tick(now);
        }
    }
}

/// Midnight in UTC, which the tests of both clocks run over.
const MIDNIGHT: &str = "2026-05-07T00:00:00Z";

/// What the wall clock of a test shows beside the time that has really passed: (from the minute, off by).
type Walls<'a> = &'a [(i64, i64)];

/// When the days changed, in minutes from the start, and by how many dates.
type Changes = Vec<(i64, u32)>;

fn off(walls: Walls<'_>, passed_ms: i64) -> i64 {
    walls.iter().rev().find(|(from, _)| passed_ms >= from * MINUTE).map_or(0, |(_, off)| *off)
}

/// One hour before midnight until `minutes` later, with `read` telling civil time each second.
fn changes(minutes: i64, mut read: impl FnMut(i64) -> i64) -> Changes {
    let mut days = Days::new();
    days.set_zone(WHO, "UTC");
    let mut day = days.day(WHO, at(read(0)));
    let mut changes = Vec::new();
    for passed_ms in (0..=minutes * 60).map(|second| second * SECOND) {
        let today = days.day(WHO, at(read(passed_ms)));
        assert!(today >= day);
        if today > day {
            changes.push((passed_ms / MINUTE, today.0 - day.0));
        }
        day = today;
    }
    changes
}

/// Steps of the wall clock, and when the days may change: one hour before midnight, for three days.
const STEPS: [(Walls<'static>, &[(i64, u32)]); 9] = [
    (&[], &[(60, 1), (1_500, 1), (2_940, 1)]),
    // A day ahead for nine minutes.
    (&[(20, DAY), (29, 0)], &[(60, 1), (1_500, 1), (2_940, 1)]),
    (&[(55, DAY), (64, 0)], &[(60, 1), (1_500, 1), (2_940, 1)]),
    // Ahead for good: adopted after ten minutes. The day that it began is as long as the clocks say.
    (&[(20, DAY)], &[(30, 1), (60, 1), (1_500, 1), (2_940, 1)]),
    // A day behind: tomorrow's budget was begun before the step was believed, so there is none for a day.
    (&[(55, -DAY)], &[(60, 1), (2_940, 1)]),
    // An hour behind, for good, in time to move midnight; then too late.
    (&[(20, -HOUR)], &[(120, 1), (1_560, 1), (3_000, 1)]),
    (&[(61, -HOUR)], &[(60, 1), (1_560, 1), (3_000, 1)]),
    // Half a minute ahead is followed, and slewed away long before midnight; so is a leap second.
    (&[(20, 30 * SECOND)], &[(59, 1), (1_499, 1), (2_939, 1)]),
    (&[(60, -SECOND)], &[(60, 1), (1_500, 1), (2_940, 1)]),
];

#[test]
fn a5_a_wall_clock_that_steps_changes_no_day_before_it_has_lasted_ten_minutes() {
    for (walls, expected) in STEPS {
        let start = ms(MIDNIGHT) - HOUR;
        let mut clock = CivilClock::starting(0, start);
        let found = changes(3_001, |passed_ms| {
            let mono_ns = passed_ms as u64 * 1_000_000;
            clock.observe(mono_ns, start + passed_ms + off(walls, passed_ms));
            clock.unix_ms(mono_ns)
        });
        assert_eq!(found, expected, "{walls:?}");
    }
}

/// The clocks of a machine, as a test moves them.
#[derive(Default)]
struct Script {
    mono_ns: AtomicU64,
    wall_ms: AtomicI64,
}

impl TimeSource for &Script {
    fn mono_ns(&self) -> u64 {
        self.mono_ns.load(Ordering::Relaxed)
    }

    fn wall_ms(&self) -> i64 {
        self.wall_ms.load(Ordering::Relaxed)
    }
}

#[test]
fn b8_a_server_clock_under_a_wall_that_jumps_keeps_its_days() {
    for (walls, expected) in STEPS {
        let start = ms(MIDNIGHT) - HOUR;
        let script = Script::default();
        script.wall_ms.store(start, Ordering::Relaxed);
        let clock = SystemClock::reading(&script);
        let found = changes(3_001, |passed_ms| {
            script.mono_ns.store(passed_ms as u64 * 1_000_000, Ordering::Relaxed);
            script.wall_ms.store(start + passed_ms + off(walls, passed_ms), Ordering::Relaxed);
            clock.now().unix_ms
        });
        assert_eq!(found, expected, "{walls:?}");
        assert_eq!(clock.pending_step_ms(), None);
    }
}

#[test]
fn b8_an_operator_who_adopts_a_step_begins_the_day_at_once() {
    let start = ms(MIDNIGHT) - HOUR;
    let script = Script::default();
    script.wall_ms.store(start, Ordering::Relaxed);
    let clock = SystemClock::reading(&script);
    let mut days = Days::new();
    days.set_zone(WHO, "UTC");
    let today = days.day(WHO, clock.now());
    script.wall_ms.store(start + 2 * HOUR, Ordering::Relaxed);
    assert_eq!(days.day(WHO, clock.now()), today);
    assert_eq!(clock.adopt_step(), Some(2 * HOUR));
    assert_eq!(days.day(WHO, clock.now()).0, today.0 + 1);
    script.wall_ms.store(start, Ordering::Relaxed);
    assert_eq!((clock.adopt_step(), clock.now().unix_ms), (Some(-2 * HOUR), start));
    assert_eq!(days.day(WHO, clock.now()).0, today.0 + 1);
}
