//! Where segments get people from, what others call them, and pixels: JSON ↔ model.
//!
//! Invariant: events move the segments of those advertisers only that a rule names. What a rule refers to belongs to
//! them, and no rule fills a segment that needs explicit consent: to be observed is not to consent.

use super::dump::{Inconsistent, Names, name_of, quoted, status};
use super::known::{Known, Uniques, reference, reference_here};
use super::report::{Code, Report};
use super::wire::{
    ExternalWire, InterestWeightsWire, PixelWire, Quoted, SegmentCustomersWire, SegmentInterestWire,
    SegmentRuleWire,
};
use crate::model::behaviour::{
    Action, ActionFilter, Customers, Interest, MAX_COUNT, Pixel, Rule, Source, Tier,
};
use crate::model::ids::{AdvertiserId, ConversionId, PixelId, SegmentId};
use crate::model::money::Cpm;
use crate::model::secret::Key256;
use crate::model::taxonomy::{ExternalSegment, Segment, Taxonomy};
use crate::model::url::HttpUrl;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::collections::{BTreeMap, HashMap};
use std::fmt::{Display, Write};
use std::hash::Hash;
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// The members that say how people come into a segment; one of them at most.
pub(super) const SOURCES: [&str; 3] = ["rule", "interest", "customers"];

/// How many names others may have for a segment, texts it may have, and advertisers a rule may name.
pub(super) const EXTERNALS: usize = 1_000;
const VALUES: usize = 100;
pub(super) const ADVERTISERS: usize = 1_000;
/// Words and phrases of a rule, and the length of each.
pub(super) const MOST_WORDS: usize = 200;
pub(super) const MAX_TEXTS: usize = 255;
/// Characters of the name of a text.
const MAX_VALUE_NAME: usize = 64;

pub(super) const SEGTAX: RangeInclusive<i64> = 1..=i32::MAX as i64;
pub(super) const AT_LEAST: RangeInclusive<i64> = 1..=MAX_COUNT as i64;
/// A minute to a year: what is older is forgotten.
pub(super) const SECONDS: RangeInclusive<i64> = 60..=365 * DAY_S as i64;
pub(super) const WITHIN_S: u32 = 30 * DAY_S;
pub(super) const HALF_LIFE_S: u32 = 7 * DAY_S;
pub(super) const DAYS: RangeInclusive<i64> = 1..=3_650;
pub(super) const RECENT_DAYS: u32 = 90;
pub(super) const LOST_DAYS: u32 = 365;
const DAY_S: u32 = 86_400;

/// A score in thousandths, and the most that one event adds.
const MAX_THRESHOLD: u32 = 1_000_000_000;
const MAX_WEIGHT: u32 = 1_000_000;

pub(super) const ORIGINS: usize = 64;
pub(super) const PER_SECOND: RangeInclusive<i64> = 1..=100_000;
pub(super) const USUAL_PER_SECOND: u32 = 100;

/// A source as a file has it.
type Written = (Option<SegmentRuleWire>, Option<SegmentInterestWire>, Option<SegmentCustomersWire>);

/// Reads how people come into a segment.
pub(super) fn source(report: &mut Report, known: &Known, (rule, interest, customers): Written) -> Source {
    let given = [rule.is_some(), interest.is_some(), customers.is_some()];
    let mut names = SOURCES.into_iter().zip(given).filter(|(_, is_given)| *is_given).map(|(name, _)| name);
    if let (Some(first), Some(second)) = (names.next(), names.next()) {
        let message = format!("stands beside {first}; a segment has one of {}", SOURCES.join(", "));
        report.error_at(second, Code::Conflict, message);
    }
    match (rule, interest, customers) {
        (Some(wire), ..) => Source::Rule(report.within("rule", |report| read_rule(report, known, wire))),
        (_, Some(wire), _) => {
            Source::Interest(report.within("interest", |report| read_interest(report, known, wire)))
        }
        (.., Some(wire)) => {
            Source::Customers(report.within("customers", |report| read_customers(report, known, &wire)))
        }
        (None, None, None) => Source::Listed,
    }
}

/// The member that a source stands in.
fn member(source: &Source) -> Option<&'static str> {
    match source {
        Source::Listed => None,
        Source::Rule(_) => Some(SOURCES[0]),
        Source::Interest(_) => Some(SOURCES[1]),
        Source::Customers(_) => Some(SOURCES[2]),
    }
}

/// Where a segment that needs explicit consent says how people come into it, and why it must not.
pub(super) fn sensitive_source(segment: &Segment) -> Option<(&'static str, String)> {
    let message = "the segment, or one above it, is sensitive: membership needs explicit consent, which nobody gives \
                   by what they do; fill it by lists";
    member(&segment.source).map(|member| (member, message.to_owned()))
}

/// Refuses sources of segments that are sensitive in their tree.
pub(super) fn refuse_sensitive(report: &mut Report, tree: &Taxonomy, segments: &[Segment]) {
    report.within("segments", |report| {
        for (index, segment) in segments.iter().enumerate().filter(|(_, s)| tree.is_sensitive(s.id)) {
            if let Some((member, message)) = sensitive_source(segment) {
                report.within(index, |report| report.error_at(member, Code::Conflict, message));
            }
        }
    });
}

fn read_rule(report: &mut Report, known: &Known, wire: SegmentRuleWire) -> Rule {
    let advertisers = advertisers(report, known, wire.advertiser_ids);
    let pixels =
        owned(report, ("pixel_ids", "pixel"), wire.pixel_ids, (&known.pixels, PixelId), &advertisers);
    let conversions = owned(
        report,
        ("conversion_ids", "conversion"),
        wire.conversion_ids,
        (&known.conversions, ConversionId),
        &advertisers,
    );
    let actions: Vec<Action> = report.list("actions", wire.actions, |report, name| report.named_here(&name));
    let names = words(report, "names", wire.names);
    for (key, is_given, action) in [
        ("names", !names.is_empty(), Action::Custom),
        ("conversion_ids", !conversions.is_empty(), Action::Conversion),
    ] {
        if is_given && !actions.is_empty() && !actions.contains(&action) {
            let name = action.as_str();
            report
                .warn_at(key, format!("only {name} events have one, which actions leaves out; add {name:?}"));
        }
    }
    Rule {
        filter: ActionFilter {
            advertisers,
            pixels,
            actions: in_order(actions),
            names,
            keywords: words(report, "keywords", wire.keywords),
            categories: report
                .list("categories", wire.categories, |report, key| known.category(report, &key)),
            conversions,
            min_value: report.amount("min_value", wire.min_value.as_ref()),
        },
        at_least: report.whole("at_least", wire.at_least, AT_LEAST).unwrap_or(1),
        within_s: report.whole("within_s", wire.within_s, SECONDS).unwrap_or(WITHIN_S),
    }
}

fn read_interest(report: &mut Report, known: &Known, wire: SegmentInterestWire) -> Interest {
    let threshold = report.required("threshold", wire.threshold.as_ref());
    let threshold = thousandths(report, "threshold", threshold, MAX_THRESHOLD);
    if threshold == Some(0) {
        report.error_at("threshold", Code::OutOfRange, "with 0 everybody would be in it; give more than 0");
    }
    let weights_milli = report.within("weights", |report| read_weights(report, &wire.weights));
    if weights_milli.iter().all(|weight| *weight == 0) {
        report.error_at("weights", Code::Conflict, "are all 0, so nobody would ever be in it; raise one");
    }
    Interest {
        advertisers: advertisers(report, known, wire.advertiser_ids),
        half_life_s: report.whole("half_life_s", wire.half_life_s, SECONDS).unwrap_or(HALF_LIFE_S),
        threshold_milli: threshold.unwrap_or(1),
        weights_milli,
    }
}

fn read_weights(report: &mut Report, wire: &InterestWeightsWire) -> [u32; Action::ALL.len()] {
    let InterestWeightsWire { view, search, cart, purchase, conversion, custom } = wire;
    let mut weights = Interest::WEIGHTS_MILLI;
    for (action, given) in [
        (Action::View, view),
        (Action::Search, search),
        (Action::Cart, cart),
        (Action::Purchase, purchase),
        (Action::Conversion, conversion),
        (Action::Custom, custom),
    ] {
        if let Some(weight) = thousandths(report, action.as_str(), given.as_ref(), MAX_WEIGHT) {
            weights[action as usize] = weight;
        }
    }
    weights
}

fn read_customers(report: &mut Report, known: &Known, wire: &SegmentCustomersWire) -> Customers {
    let advertiser =
        reference(report, "advertiser_id", wire.advertiser_id.as_ref(), &known.advertisers, AdvertiserId);
    let tier = report.required("tier", wire.tier.as_deref());
    let recent = report.whole("recent_days", wire.recent_days, DAYS).unwrap_or(RECENT_DAYS);
    let lost = report.whole("lost_days", wire.lost_days, DAYS).unwrap_or(LOST_DAYS);
    if lost <= recent {
        let message =
            format!("{lost} is not more than recent_days ({recent}); who is lost bought before that");
        report.error_at("lost_days", Code::Conflict, message);
    }
    Customers {
        advertiser: advertiser.map(|(id, _)| id).unwrap_or_default(),
        tier: report.named("tier", tier).unwrap_or(Tier::Active),
        recent_s: recent * DAY_S,
        lost_s: lost * DAY_S,
    }
}

/// Whose events count: at least one, each once.
fn advertisers(report: &mut Report, known: &Known, ids: Vec<Quoted>) -> Vec<AdvertiserId> {
    if ids.is_empty() {
        report.error_at("advertiser_ids", Code::Missing, "is missing; say whose events count");
    }
    if ids.len() > ADVERTISERS {
        let message = format!("has {} entries; at most {ADVERTISERS} are allowed", ids.len());
        report.error_at("advertiser_ids", Code::OutOfRange, message);
    }
    let mut read = Vec::with_capacity(ids.len());
    report.list("advertiser_ids", ids, |report, id| {
        let (id, _) = reference_here(report, "advertiser", &id, &known.advertisers, AdvertiserId)?;
        note_once(report, &mut read, id);
        Some(())
    });
    in_order(read)
}

/// Things by their ids, with their owners, where these exist.
type Owners<I> = HashMap<I, Option<AdvertiserId>>;

/// Things of one of these advertisers, each once.
fn owned<I: Copy + Eq + Ord + Hash + Display>(
    report: &mut Report,
    (key, what): (&'static str, &str),
    ids: Vec<Quoted>,
    (known, id_of): (&Owners<I>, fn(u32) -> I),
    advertisers: &[AdvertiserId],
) -> Vec<I> {
    let mut read = Vec::with_capacity(ids.len());
    report.list(key, ids, |report, id| {
        let (id, owner) = reference_here(report, what, &id, known, id_of)?;
        // Where no advertiser could be read, that is what is wrong.
        if let Some(owner) = owner.filter(|owner| !advertisers.is_empty() && !advertisers.contains(owner)) {
            let message = format!("{what} {id} is of advertiser {owner}, which advertiser_ids does not name");
            report.error(Code::UnknownReference, message);
        }
        note_once(report, &mut read, id);
        Some(())
    });
    in_order(read)
}

fn note_once<I: PartialEq>(report: &mut Report, read: &mut Vec<I>, id: I) {
    if read.contains(&id) {
        report.error(Code::Duplicate, "is named already; once is enough");
    }
    read.push(id);
}

fn in_order<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort_unstable();
    values.dedup();
    values
}

/// Words and phrases in lower case with one space between words, ascending, each once.
fn words(report: &mut Report, key: &'static str, texts: Vec<String>) -> Vec<String> {
    if texts.len() > MOST_WORDS {
        let message = format!("has {} entries; at most {MOST_WORDS} are allowed", texts.len());
        report.error_at(key, Code::OutOfRange, message);
    }
    let read = report.list(key, texts, |report, text| {
        let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
        if words.is_empty() || text.chars().count() > MAX_TEXTS {
            report.error(Code::Malformed, format!("give 1 to {MAX_TEXTS} characters"));
            return None;
        }
        Some(words.join(" "))
    });
    in_order(read)
}

/// A decimal ≥ 0 with at most 3 places, in thousandths, if the field is there.
fn thousandths(report: &mut Report, key: &'static str, text: Option<&Quoted>, most: u32) -> Option<u32> {
    let text = text?.0.as_str();
    let exact = Cpm::parse_decimal(text, false).zip(Cpm::parse_decimal(text, true));
    let exact = exact.filter(|(down, up)| down == up && down.0 % 1_000 == 0);
    let read = exact.and_then(|(micros, _)| u32::try_from(micros.0 / 1_000).ok()).filter(|n| *n <= most);
    if read.is_none() {
        let what = format!("a number such as \"2.5\": from 0 to {}, at most 3 decimals", most / 1_000);
        report.error_at(key, Code::Malformed, format!("{text:?} is not {what}"));
    }
    read
}

/// A number of thousandths.
fn decimal(milli: u32) -> Option<Quoted> {
    Some(Quoted(format!("{}.{:03}", milli / 1_000, milli % 1_000)))
}

/// What else is said of a segment.
pub(super) fn values(report: &mut Report, texts: BTreeMap<String, String>) -> BTreeMap<String, String> {
    if texts.len() > VALUES {
        let message = format!("has {} members; at most {VALUES} are allowed", texts.len());
        report.error_at("values", Code::OutOfRange, message);
    }
    for (name, text) in &texts {
        let is_name =
            (1..=MAX_VALUE_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        if !is_name {
            let message = format!("{name:?}: a name has 1 to {MAX_VALUE_NAME} characters in one line");
            report.error_at("values", Code::Malformed, message);
        }
        if text.chars().count() > MAX_TEXTS {
            let message = format!("{name:?} has more than {MAX_TEXTS} characters; shorten it");
            report.error_at("values", Code::OutOfRange, message);
        }
    }
    texts
}

/// What others call a segment; no two segments share one.
pub(super) fn external(
    report: &mut Report,
    known: &mut Known,
    id: SegmentId,
    wires: Vec<ExternalWire>,
) -> Vec<ExternalSegment> {
    if wires.len() > EXTERNALS {
        let message = format!("has {} entries; at most {EXTERNALS} are allowed", wires.len());
        report.error_at("external", Code::OutOfRange, message);
    }
    let mut read: Vec<ExternalSegment> = Vec::with_capacity(wires.len());
    report.each("external", wires, |report, wire| {
        let segtax = report.required("segtax", wire.segtax);
        let segtax = report.whole("segtax", segtax, SEGTAX);
        let given = report.required("id", wire.id);
        let text = |report: &mut Report, key, text: Option<String>| {
            let fits = |text: &String| (1..=1_024).contains(&text.chars().count());
            if text.as_ref().is_some_and(|text| !fits(text)) {
                report.error_at(key, Code::Malformed, "give 1 to 1024 characters");
            }
            text
        };
        let (given, provider) = (text(report, "id", given), text(report, "provider", wire.provider));
        let (Some(segtax), Some(given)) = (segtax, given) else { return };
        let name = ExternalSegment { segtax, provider, id: given };
        let owner = *known.external.entry(name.clone()).or_insert(id);
        if owner != id {
            report.error_at(
                "id",
                Code::Duplicate,
                format!("means segment {owner} already; name it in one place"),
            );
        } else if read.contains(&name) {
            report.error_at("id", Code::Duplicate, "is named already; once is enough");
        }
        read.push(name);
    });
    read
}

/// Reads all pixels.
pub(super) fn pixels(report: &mut Report, known: &mut Known, wires: Vec<PixelWire>) -> Vec<Pixel> {
    let mut uniques = Uniques::new("pixels");
    report.each("pixels", wires.into_iter().enumerate(), |report, (index, wire)| {
        let id = report.id("id", wire.id.as_ref(), u32::MAX);
        uniques.id(report, id, index);
        let owner =
            reference(report, "advertiser", wire.advertiser.as_ref(), &known.advertisers, AdvertiserId);
        let owner = owner.map(|(id, _)| id);
        let name = report.name("name", wire.name).unwrap_or_default();
        uniques.name(report, (owner, name.clone()), index);
        let id = PixelId(id.unwrap_or_default());
        known.pixels.insert(id, owner);
        if wire.origins.len() > ORIGINS {
            let message = format!("has {} entries; at most {ORIGINS} are allowed", wire.origins.len());
            report.error_at("origins", Code::OutOfRange, message);
        }
        let secret = wire.secret.and_then(|text| secret(report, &text));
        if wire.origins.is_empty() && secret.is_none() {
            report.warn_at("origins", "without origins no page may report, and without a secret no server");
        }
        Pixel {
            id,
            advertiser: owner.unwrap_or_default(),
            name,
            origins: in_order(report.list("origins", wire.origins, |report, text| origin(report, &text))),
            per_second: report.whole("per_second", wire.per_second, PER_SECOND).unwrap_or(USUAL_PER_SECOND),
            secret,
            active: report.status(wire.status.as_deref()),
        }
    })
}

/// An origin as browsers send it: in lower case, without the scheme's own port.
fn origin(report: &mut Report, text: &str) -> Option<String> {
    let origin = text.strip_suffix('/').unwrap_or(text).to_ascii_lowercase();
    let parsed = HttpUrl::parse(&origin).ok().filter(|url| {
        let authority = origin.split_once("://").map_or("", |(_, rest)| rest);
        !authority.contains(['/', '?', '#']) && (url.is_https() || is_loopback(url.host()))
    });
    let Some(url) = parsed else {
        let what =
            "is no origin such as \"https://shop.example\"; give scheme and host (http only of loopback)";
        report.error(Code::Malformed, format!("{text:?} {what}"));
        return None;
    };
    let own_port = if url.is_https() { ":443" } else { ":80" };
    Some(origin.strip_suffix(own_port).unwrap_or(&origin).to_owned())
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or(host == "localhost" || host.ends_with(".localhost"), |address| address.is_loopback())
}

/// Never repeats the secret.
fn secret(report: &mut Report, text: &str) -> Option<Key256> {
    let bytes = match text.len() {
        64 => text.as_bytes().chunks(2).map(hex_byte).collect(),
        _ => {
            let text = text.trim_end_matches('=');
            STANDARD_NO_PAD.decode(text).or_else(|_| URL_SAFE_NO_PAD.decode(text)).ok()
        }
    };
    let key = bytes.and_then(|bytes: Vec<u8>| <[u8; 32]>::try_from(bytes).ok());
    if key.is_none() {
        let message =
            "is not 32 bytes as 64 hexadecimal digits or base64; make one with `openssl rand -hex 32`";
        report.error_at("secret", Code::Malformed, message);
    }
    key.map(Key256)
}

/// The byte that two hexadecimal digits stand for.
fn hex_byte(digits: &[u8]) -> Option<u8> {
    let value = |digit: &u8| char::from(*digit).to_digit(16);
    digits.iter().try_fold(0, |byte, digit| Some(byte << 4 | value(digit)? as u8))
}

/// A source for a file.
pub(super) fn write_source(source: &Source, names: &Names<'_>) -> Result<Written, Inconsistent> {
    Ok(match source {
        Source::Listed => (None, None, None),
        Source::Rule(rule) => (Some(write_rule(rule, names)?), None, None),
        Source::Interest(interest) => (None, Some(write_interest(interest)), None),
        Source::Customers(customers) => (None, None, Some(write_customers(customers)?)),
    })
}

fn ids<T: Display>(ids: &[T]) -> Vec<Quoted> {
    ids.iter().filter_map(quoted).collect()
}

fn write_rule(rule: &Rule, names: &Names<'_>) -> Result<SegmentRuleWire, Inconsistent> {
    let ActionFilter { advertisers, pixels, actions, names: custom, keywords, .. } = &rule.filter;
    let categories = rule.filter.categories.iter().map(|id| names.segment(id)).collect::<Result<_, _>>()?;
    Ok(SegmentRuleWire {
        advertiser_ids: ids(advertisers),
        pixel_ids: ids(pixels),
        actions: actions.iter().map(|action| name_of(*action)).collect(),
        names: custom.clone(),
        keywords: keywords.clone(),
        categories,
        conversion_ids: ids(&rule.filter.conversions),
        min_value: rule.filter.min_value.and_then(quoted),
        at_least: Some(rule.at_least.into()),
        within_s: Some(rule.within_s.into()),
    })
}

fn write_interest(interest: &Interest) -> SegmentInterestWire {
    let weight = |action: Action| decimal(interest.weights_milli[action as usize]);
    SegmentInterestWire {
        advertiser_ids: ids(&interest.advertisers),
        half_life_s: Some(interest.half_life_s.into()),
        threshold: decimal(interest.threshold_milli),
        weights: InterestWeightsWire {
            view: weight(Action::View),
            search: weight(Action::Search),
            cart: weight(Action::Cart),
            purchase: weight(Action::Purchase),
            conversion: weight(Action::Conversion),
            custom: weight(Action::Custom),
        },
    }
}

fn write_customers(customers: &Customers) -> Result<SegmentCustomersWire, Inconsistent> {
    let days = |seconds: u32| match seconds % DAY_S {
        0 => Ok(Some(i64::from(seconds / DAY_S))),
        _ => Err(Inconsistent::Days(seconds)),
    };
    Ok(SegmentCustomersWire {
        advertiser_id: quoted(customers.advertiser),
        tier: Some(name_of(customers.tier)),
        recent_days: days(customers.recent_s)?,
        lost_days: days(customers.lost_s)?,
    })
}

/// Another name of a segment for a file.
pub(super) fn write_external(external: &ExternalSegment) -> ExternalWire {
    let ExternalSegment { segtax, provider, id } = external;
    ExternalWire { segtax: Some((*segtax).into()), provider: provider.clone(), id: Some(id.clone()) }
}

/// A pixel for a file.
pub(super) fn write_pixel(pixel: &Pixel) -> PixelWire {
    let hex = |key: &Key256| {
        key.0.iter().fold(String::with_capacity(64), |mut hex, byte| {
            // Writing to a text cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    };
    PixelWire {
        id: quoted(pixel.id),
        advertiser: quoted(pixel.advertiser),
        name: Some(pixel.name.clone()),
        status: status(pixel.active),
        origins: pixel.origins.clone(),
        per_second: Some(pixel.per_second.into()),
        secret: pixel.secret.as_ref().map(hex),
    }
}
