//! Frequency caps: JSON → model and back.

use super::dump::name_of;
use super::report::{Code, Report};
use super::values::Named;
use super::wire::{CapWire, FrequencyWire, PerWire};
use crate::model::frequency::{Cap, Frequency, MAX_CAPS, MAX_WINDOWED, MAX_WITHIN_S};
use std::ops::RangeInclusive;

/// What a cap without a window may allow.
pub(super) const CAP_MAX: RangeInclusive<i64> = 1..=u16::MAX as i64;
/// The most that any unit may be counted.
pub(super) const PER_COUNT: RangeInclusive<i64> = 1..=(MAX_WITHIN_S / 60) as i64;

/// What a window is counted in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unit {
    Minute,
    Hour,
    Day,
    Week,
    Lifetime,
}

impl Unit {
    /// Its seconds; `None` = no window.
    fn seconds(self) -> Option<u32> {
        match self {
            Unit::Minute => Some(60),
            Unit::Hour => Some(3_600),
            Unit::Day => Some(86_400),
            Unit::Week => Some(7 * 86_400),
            Unit::Lifetime => None,
        }
    }

    /// The largest unit that `seconds` are a multiple of, and the multiple.
    fn of(seconds: u32) -> (Unit, u32) {
        let fits =
            |unit: Unit| unit.seconds().filter(|each| seconds.is_multiple_of(*each)).map(|each| (unit, each));
        let found = [Unit::Week, Unit::Day, Unit::Hour, Unit::Minute].into_iter().find_map(fits);
        found.map_or((Unit::Minute, 1), |(unit, each)| (unit, seconds / each))
    }
}

impl Named for Unit {
    const ALL: &'static [(&'static str, Unit)] = &[
        ("minute", Unit::Minute),
        ("hour", Unit::Hour),
        ("day", Unit::Day),
        ("week", Unit::Week),
        ("lifetime", Unit::Lifetime),
    ];
}

/// Reads the caps of one advertiser, campaign, line item or creative.
pub(super) fn read(report: &mut Report, wire: FrequencyWire) -> Frequency {
    if wire.caps.len() > MAX_CAPS {
        let message = format!("{} caps are more than {MAX_CAPS}; leave the weaker ones out", wire.caps.len());
        report.error_at("caps", Code::OutOfRange, message);
    }
    Frequency {
        caps: report.each("caps", wire.caps.into_iter().enumerate(), |report, (_, wire)| cap(report, wire)),
        min_gap_s: report.whole("min_gap_s", wire.min_gap_s, 0..=i64::from(MAX_WITHIN_S)).unwrap_or(0),
        unknown_users: report.named("unknown_users", wire.unknown_users.as_deref()).unwrap_or_default(),
    }
}

fn cap(report: &mut Report, wire: CapWire) -> Cap {
    let max = report.required("max", wire.max);
    let max = report.whole("max", max, CAP_MAX).unwrap_or(1);
    let within_s = report.within("per", |report| per(report, &wire.per));
    if within_s.is_some() && max > MAX_WINDOWED {
        let message =
            format!("{max} impressions in a window are more than {MAX_WINDOWED}; a cap of so many is none");
        report.error_at("max", Code::OutOfRange, message);
    }
    Cap { max, within_s }
}

fn per(report: &mut Report, wire: &PerWire) -> Option<u32> {
    let unit: Option<Unit> = report.named("unit", wire.unit.as_deref());
    let count: Option<u32> = report.whole("count", wire.count, PER_COUNT);
    let Some(each) = unit.unwrap_or(Unit::Lifetime).seconds() else {
        if wire.count.is_some() {
            report.error_at(
                "count",
                Code::Conflict,
                "a lifetime is not counted; give a unit or leave it out",
            );
        }
        return None;
    };
    let within_s = each.checked_mul(count.unwrap_or(1)).filter(|within_s| *within_s <= MAX_WITHIN_S);
    if within_s.is_none() {
        report.error_at("count", Code::OutOfRange, "the window is longer than 90 days; shorten it");
    }
    Some(within_s.unwrap_or(MAX_WITHIN_S))
}

/// The same as JSON.
pub(super) fn write(frequency: &Frequency) -> FrequencyWire {
    if *frequency == Frequency::default() {
        return FrequencyWire::default();
    }
    let cap = |cap: &Cap| {
        let per = cap
            .within_s
            .map(Unit::of)
            .map(|(unit, count)| PerWire { unit: Some(name_of(unit)), count: Some(count.into()) });
        CapWire { max: Some(cap.max.into()), per: per.unwrap_or_default() }
    };
    FrequencyWire {
        caps: frequency.caps.iter().map(cap).collect(),
        min_gap_s: Some(frequency.min_gap_s.into()),
        unknown_users: Some(name_of(frequency.unknown_users)),
    }
}
