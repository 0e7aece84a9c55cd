//! Targeting, dayparts and multipliers: JSON → model.

use super::known::{Known, reference_here};
use super::report::{Code, Finding, Report};
use super::values::Named;
use super::wire::{
    AddressesWire, CategoryWire, ConditionWire, DaypartsWire, FactorWire, HoursWire, ListedWire,
    MultipliersWire, PlacementWire, Quoted, RuleWire, SeenWire, TargetingWire,
};
use crate::model::behaviour::Tier;
use crate::model::country::Country;
use crate::model::exchange::IpNet;
use crate::model::ids::{ListId, SegmentId};
use crate::model::line_item::{ChannelKind, Condition, Multipliers, SeenRange};
use crate::model::list::{List, ListKind, ListUse};
use crate::model::targeting::{
    Category, Daypart, HourMask, MediaType, PlacementRules, Rule, SegmentRule, Targeting,
};
use crate::model::url::is_host;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// The days of a week as the file names them, Monday first.
pub(super) const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// The largest factor of one entry; the product of all is clamped far below it.
pub(super) const MAX_FACTOR: i64 = 100;

/// What numbers of AdCOM's lists there are.
pub(super) const DEVICE_TYPES: RangeInclusive<i64> = 1..=8;
pub(super) const CONNECTIONS: RangeInclusive<i64> = 0..=7;
pub(super) const POSITIONS: RangeInclusive<i64> = 0..=7;
/// How many impressions of a campaign are told apart.
pub(super) const SEEN: RangeInclusive<i64> = 0..=1_000;
pub(super) const VIDEO_PLACEMENTS: RangeInclusive<i64> = 1..=4;
pub(super) const PLAYBACK_METHODS: RangeInclusive<i64> = 1..=7;
pub(super) const FEEDS: RangeInclusive<i64> = 1..=3;
pub(super) const NATIVE_CONTEXTS: RangeInclusive<i64> = 1..=65_535;

/// Reads the targeting of a line item whose advertiser lives in `home_zone`.
pub(super) fn read(report: &mut Report, known: &Known, home_zone: &str, wire: TargetingWire) -> Targeting {
    let TargetingWire { audience, .. } = wire;
    let mut segments = |key: &'static str, list: Vec<String>| -> Vec<SegmentId> {
        report.within("audience", |report| {
            let read = report.each(key, list, |report, text| known.segment(report, &text));
            read.into_iter().flatten().collect()
        })
    };
    let segments = SegmentRule {
        all_of: segments("all_of", audience.all_of),
        any_of: segments("any_of", audience.any_of),
        none_of: segments("none_of", audience.none_of),
    };
    let mut lists = Vec::new();
    let uses = &mut Uses { known, lists: &mut lists };
    Targeting {
        exchanges: rule(report, "exchanges", wire.exchanges, |report, name| known.exchange(report, &name)),
        deals: uses.rule(report, "deals", ListKind::Deal, wire.deals),
        formats: rule(report, "formats", wire.formats, |report, name| report.named_here::<MediaType>(&name)),
        sizes: rule(report, "sizes", wire.sizes, |report, text| report.size_here(&text)),
        countries: rule(report, "countries", wire.countries, |report, code| country(report, &code)),
        regions: uses.rule(report, "regions", ListKind::Region, wire.regions),
        metros: uses.rule(report, "metros", ListKind::Metro, wire.metros),
        cities: uses.rule(report, "cities", ListKind::City, wire.cities),
        zips: uses.rule(report, "zips", ListKind::Zip, wire.zips),
        device_types: rule(report, "device_types", wire.device_types, |report, n| {
            report.whole_here(n, DEVICE_TYPES)
        }),
        os: rule(report, "os", wire.os, lower_text),
        browsers: rule(report, "browsers", wire.browsers, lower_text),
        connections: rule(report, "connections", wire.connections, |report, n| {
            report.whole_here(n, CONNECTIONS)
        }),
        carriers: rule(report, "carriers", wire.carriers, lower_text),
        languages: rule(report, "languages", wire.languages, language),
        domains: uses.rule(report, "domains", ListKind::Domain, wire.domains),
        bundles: uses.rule(report, "bundles", ListKind::Bundle, wire.bundles),
        publishers: uses.rule(report, "publishers", ListKind::Publisher, wire.publishers),
        categories: rule(report, "categories", wire.categories, category),
        keywords: uses.rule(report, "keywords", ListKind::Keyword, wire.keywords),
        segments,
        daypart: wire.dayparts.map(|dayparts| report.within("dayparts", |r| daypart(r, home_zone, dayparts))),
        placement: wire.placement.map(|wire| Box::new(report.within("placement", |r| placement(r, wire)))),
        lists: {
            let AddressesWire { include_lists, exclude_lists } = wire.addresses;
            let wire = ListedWire { include_lists, exclude_lists, ..ListedWire::default() };
            uses.rule(report, "addresses", ListKind::Address, wire);
            lists
        },
    }
}

/// The lists that a line item uses.
struct Uses<'u> {
    known: &'u Known,
    lists: &'u mut Vec<ListUse>,
}

impl Uses<'_> {
    /// A rule whose values may stand on lists.
    fn rule(
        &mut self,
        report: &mut Report,
        key: &'static str,
        kind: ListKind,
        wire: ListedWire,
    ) -> Rule<String> {
        let ListedWire { include, exclude, include_lists, exclude_lists } = wire;
        report.within(key, |report| {
            for (key, ids, excluded) in
                [("include_lists", include_lists, false), ("exclude_lists", exclude_lists, true)]
            {
                let lists = report.list(key, ids, |report, id| self.list(report, kind, &id));
                self.lists.extend(lists.into_iter().map(|list| ListUse { list, excluded }));
            }
        });
        rule(report, key, RuleWire { include, exclude }, |report, text| value(report, kind, text))
    }

    fn list(&self, report: &mut Report, kind: ListKind, id: &Quoted) -> Option<Arc<List>> {
        let (id, list) = reference_here(report, "list", id, &self.known.lists, ListId)?;
        if list.kind != kind {
            let (has, wants) = (list.kind.name(), kind.name());
            report.error(Code::Conflict, format!("list {id} is of type {has}; this takes type {wants}"));
        }
        if list.values.is_empty() {
            let pointer = report.pointer(None);
            let message = format!("list {id} has no values, so that nothing is on it");
            report.warnings.push(Finding { pointer, code: Code::Suspicious, message });
        }
        Some(Arc::clone(list))
    }
}

/// A value of a dimension in the form in which it is compared.
pub(super) fn value(report: &mut Report, kind: ListKind, text: String) -> Option<String> {
    match kind {
        ListKind::Domain => domain(report, text),
        ListKind::Region => region(report, text),
        ListKind::Deal => exact_text(report, text),
        // As it is written shortest.
        ListKind::Address => address(report, &text).map(|block| format!("{}/{}", block.addr, block.prefix)),
        ListKind::Bundle
        | ListKind::Publisher
        | ListKind::Metro
        | ListKind::City
        | ListKind::Zip
        | ListKind::Keyword => lower_text(report, text),
    }
}

/// An address block.
pub(super) fn address(report: &mut Report, text: &str) -> Option<IpNet> {
    let block = IpNet::parse(text.trim());
    if block.is_none() {
        let message =
            format!("{text:?} is no address; give one such as \"192.0.2.0/24\" or \"2001:db8::/32\"");
        report.error(Code::Malformed, message);
    }
    block
}

fn placement(report: &mut Report, wire: PlacementWire) -> PlacementRules {
    let mut numbers = |key, wire, bounds: RangeInclusive<i64>| {
        rule(report, key, wire, |r, n| r.whole_here(n, bounds.clone()))
    };
    PlacementRules {
        positions: numbers("positions", wire.positions, POSITIONS),
        video_placements: numbers("video_placements", wire.video_placements, VIDEO_PLACEMENTS),
        playback_methods: numbers("playback_methods", wire.playback_methods, PLAYBACK_METHODS),
        feeds: numbers("feeds", wire.feeds, FEEDS),
        native_contexts: numbers("native_contexts", wire.native_contexts, NATIVE_CONTEXTS),
        starts: rule(report, "starts", wire.starts, |report, name| report.named_here(&name)),
        interstitial: wire.interstitial,
        rewarded: wire.rewarded,
        client_trackers: wire.client_trackers.unwrap_or(false),
        max_refreshes: report.whole("max_refreshes", wire.max_refreshes, 0..=i64::from(u32::MAX)),
        min_refresh_s: report.whole("min_refresh_s", wire.min_refresh_s, 1..=i64::from(u32::MAX)),
    }
}

/// Reads the multipliers of a line item.
pub(super) fn multipliers(report: &mut Report, known: &Known, wire: MultipliersWire) -> Multipliers {
    Multipliers {
        segments: factors(report, "segments", wire.segments, |report, key| known.segment(report, &key)),
        value_tiers: factors(report, "value_tiers", wire.value_tiers, |report, name| {
            report.named_here::<Tier>(&name)
        }),
        exchanges: factors(report, "exchanges", wire.exchanges, |report, name| known.exchange(report, &name)),
        countries: factors(report, "countries", wire.countries, |report, code| country(report, &code)),
        device_types: factors(report, "device_types", wire.device_types, |report, n| {
            report.whole_here(n, DEVICE_TYPES)
        }),
        channels: factors(report, "channels", wire.channels, |report, name| {
            report.named_here::<ChannelKind>(&name)
        }),
        sizes: factors(report, "sizes", wire.sizes, |report, text| report.size_here(&text)),
        deals: factors(report, "deals", wire.deals, exact_text),
        hours: factors(report, "hours", wire.hours, |report, list| {
            let mut mask = HourMask::NONE;
            for (index, hours) in list.into_iter().enumerate() {
                report.within(index, |report| add_hours(report, hours, &mut mask));
            }
            Some(mask)
        }),
        positions: factors(report, "positions", wire.positions, |report, n| report.whole_here(n, POSITIONS)),
        frequencies: factors(report, "frequencies", wire.frequencies, seen),
    }
}

/// How often something was seen.
fn seen(report: &mut Report, wire: SeenWire) -> Option<SeenRange> {
    let from = report.whole("from", wire.from, SEEN).unwrap_or(0);
    let to: Option<u32> = report.whole("to", wire.to, SEEN);
    if let Some(to) = to
        && to < from
    {
        let message = format!("{to} is less than from ({from}), so that nothing is in between; raise it");
        report.error_at("to", Code::Conflict, message);
    }
    Some(SeenRange { from, to })
}

/// Reads for whom, where and when a creative is meant.
pub(super) fn condition(report: &mut Report, known: &Known, wire: ConditionWire) -> Condition {
    let mut mask = HourMask::NONE;
    let timed = !wire.hours.is_empty();
    report.list("hours", wire.hours, |report, hours| {
        add_hours(report, hours, &mut mask);
        Some(())
    });
    Condition {
        segments: report.list("segments", wire.segments, |report, key| known.segment(report, &key)),
        countries: report.list("countries", wire.countries, |report, code| country(report, &code)),
        regions: report.list("regions", wire.regions, region),
        hours: timed.then_some(mask),
    }
}

fn rule<W, T>(
    report: &mut Report,
    key: &'static str,
    wire: RuleWire<W>,
    mut read: impl FnMut(&mut Report, W) -> Option<T>,
) -> Rule<T> {
    if wire.include.is_empty() && wire.exclude.is_empty() {
        return Rule::default();
    }
    report.within(key, |report| Rule {
        include: report.each("include", wire.include, &mut read).into_iter().flatten().collect(),
        exclude: report.each("exclude", wire.exclude, &mut read).into_iter().flatten().collect(),
    })
}

fn factors<W, T>(
    report: &mut Report,
    key: &'static str,
    wire: Vec<FactorWire<W>>,
    mut read: impl FnMut(&mut Report, W) -> Option<T>,
) -> Vec<(T, i64)> {
    if wire.is_empty() {
        return Vec::new();
    }
    let pairs = report.each(key, wire, |report, pair| {
        let value = report.within("value", |report| read(report, pair.value));
        let factor = report.factor("factor", Some(&pair.factor), MAX_FACTOR);
        value.zip(factor)
    });
    pairs.into_iter().flatten().collect()
}

fn exact_text(report: &mut Report, text: String) -> Option<String> {
    if text.trim().is_empty() || text.trim() != text || text.len() > 1_024 {
        report.error(
            Code::Malformed,
            format!("{text:?} cannot match; give 1 to 1024 bytes without spaces around them"),
        );
    }
    Some(text)
}

/// Texts are compared without case, so they are kept in lower case.
fn lower_text(report: &mut Report, text: String) -> Option<String> {
    exact_text(report, text.to_ascii_lowercase())
}

fn country(report: &mut Report, code: &str) -> Option<Country> {
    let country = Country::parse(code);
    if country.is_none() {
        report.error(
            Code::Malformed,
            format!("{code:?} is no country; give an ISO 3166 code such as \"DE\" or \"DEU\""),
        );
    }
    country
}

fn region(report: &mut Report, text: String) -> Option<String> {
    let is_region = text.split_once('-').is_some_and(|(place, part)| {
        place.len() == 2 && Country::parse(place).is_some() && part.bytes().all(|b| b.is_ascii_alphanumeric())
    });
    if !is_region {
        report.error(
            Code::Malformed,
            format!("{text:?} is no region; give an ISO 3166-2 code such as \"US-CA\""),
        );
    }
    lower_text(report, text)
}

fn language(report: &mut Report, text: String) -> Option<String> {
    let is_tag = text.split('-').enumerate().all(|(index, part)| {
        let length = if index == 0 { 2..=3 } else { 1..=8 };
        length.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
    });
    if !is_tag {
        report.error(
            Code::Malformed,
            format!("{text:?} is no language; give a code such as \"en\" or \"pt-BR\""),
        );
    }
    Some(text.to_ascii_lowercase())
}

/// A host name, in lower case.
pub(super) fn domain(report: &mut Report, text: String) -> Option<String> {
    let domain = text.to_ascii_lowercase();
    if !is_host(&domain) {
        report.error(
            Code::Malformed,
            format!("{text:?} is no domain; give a host such as \"example.com\", without https:// or a path"),
        );
    }
    Some(domain)
}

fn category(report: &mut Report, wire: CategoryWire) -> Option<Category> {
    let cattax = report.whole("cattax", wire.cattax.or(Some(1)), 1..=i64::from(u16::MAX));
    let id = report.required("id", wire.id)?;
    if id.trim().is_empty() || (cattax == Some(1) && !id.starts_with("IAB")) {
        let message = format!(
            "{id:?} is no category of this taxonomy; in cattax 1 they look like \"IAB2\" or \"IAB2-3\""
        );
        report.error_at("id", Code::Malformed, message);
    }
    Some(Category { cattax: cattax?, id })
}

fn daypart(report: &mut Report, home_zone: &str, wire: DaypartsWire) -> Daypart {
    let time_zone = match wire.time_zone.as_deref() {
        None => home_zone.to_owned(),
        Some(name) => report.time_zone("time_zone", Some(name)).unwrap_or_default(),
    };
    let mask = |report: &mut Report, key, list: Vec<HoursWire>| {
        let mut mask = HourMask::NONE;
        report.each(key, list, |report, hours| add_hours(report, hours, &mut mask));
        mask
    };
    let everything = wire.include.is_empty();
    let included = mask(report, "include", wire.include);
    let included = if everything { HourMask::ALL } else { included };
    let excluded = mask(report, "exclude", wire.exclude);
    let hours = HourMask(std::array::from_fn(|word| included.0[word] & !excluded.0[word]));
    if hours == HourMask::NONE {
        report.warn_at("include", "no hour of the week is left; the line item never serves");
    }
    Daypart { hours, time_zone }
}

fn add_hours(report: &mut Report, wire: HoursWire, mask: &mut HourMask) {
    let day = report.required("day", wire.day).and_then(|name| {
        let day = DAYS.iter().position(|day| *day == name);
        if day.is_none() {
            report.error_at(
                "day",
                Code::Malformed,
                format!("{name:?} is no day; use one of {}", DAYS.join(", ")),
            );
        }
        day
    });
    let start = report.required("start", wire.start);
    let start: Option<usize> = report.whole("start", start, 0..=23);
    let end = report.required("end", wire.end);
    let end: Option<usize> = report.whole("end", end, 1..=24);
    let (Some(day), Some(start), Some(end)) = (day, start, end) else { return };
    if end <= start {
        let message =
            format!("{end} is not after start ({start}); for hours across midnight write two entries");
        report.error_at("end", Code::Conflict, message);
    }
    (start..end).for_each(|hour| mask.insert(day * 24 + hour));
}

/// The hours of a mask as the file writes them, the runs of each day.
pub(super) fn hours_of(mask: HourMask) -> Vec<HoursWire> {
    let mut runs = Vec::new();
    for (day, name) in DAYS.iter().enumerate() {
        let mut hour = 0;
        while hour < 24 {
            let start = hour;
            while hour < 24 && mask.contains(day * 24 + hour) {
                hour += 1;
            }
            if hour > start {
                let day = Some((*name).to_owned());
                runs.push(HoursWire { day, start: Some(start as i64), end: Some(hour as i64) });
            }
            hour += 1;
        }
    }
    runs
}
