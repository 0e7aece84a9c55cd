//! Banner, video and audio: whether they can be filled, and what of their terms excludes what.

use super::imp::floor_of;
use super::{native, rules};
use crate::cli::check::finding::Findings;
use crate::cli::check::read::{At, field, int, list, objects, positive, price, shown, texts};
use crate::cli::check::shape::Check;
use crate::model::money::Cpm;
use serde_json::Value;

pub(super) const BANNER: &[Check] = &[sizes];
pub(super) const STREAM: &[Check] = &[stream];
/// The checks of video and audio that an impression offers; the video of a native asset says less.
const OFFERED: &[Check] = &[mimes, durations, rates, skipping, floors, pods];

/// Whether a medium of an impression counts as offered.
pub(super) fn is_usable(imp: &At<'_>, name: &str) -> bool {
    let Some(medium) = imp.field(name).filter(|medium| medium.is_object()) else { return false };
    match name {
        "video" | "audio" => !texts(field(medium, "mimes")).is_empty(),
        "native" => native::is_usable(medium),
        _ => true,
    }
}

/// The sides of a size, where both are from 1 up.
fn size(value: &Value, w: &str, h: &str) -> Option<(i64, i64)> {
    let side = |name: &str| int(field(value, name)).filter(|side| (1..=i64::from(u16::MAX)).contains(side));
    side(w).zip(side(h))
}

fn sizes(at: &At<'_>, findings: &mut Findings) {
    let listed: Vec<(i64, i64)> =
        objects(at.field("format")).filter_map(|(_, format)| size(format, "w", "h")).collect();
    let mut flexible = false;
    for (index, format) in objects(at.field("format")) {
        let ratio = size(format, "wratio", "hratio").is_some();
        flexible |= ratio;
        if !ratio && size(format, "w", "h").is_none() {
            let path = at.path.key("format");
            findings.add(&rules::FORMAT_ODD, &path.index(index), "has neither a size in pixels nor a ratio");
        }
    }
    let own = size(at.value, "w", "h");
    // A companion's place needs no size of its own.
    let of_imp = at.outer.is_some_and(|outer| outer.message == "Imp");
    let nothing = of_imp && listed.is_empty() && !flexible && own.is_none();
    findings.add_if(nothing, &rules::SIZE_MISSING, at.path, || "has no size");
    if let Some((w, h)) = own.filter(|own| !listed.is_empty() && !listed.contains(own)) {
        findings.add(
            &rules::SIZE_NOT_LISTED,
            at.path,
            format!("has w and h {w}x{h}, which format does not list"),
        );
    }
}

fn stream(at: &At<'_>, findings: &mut Findings) {
    if at.outer.is_some_and(|outer| outer.message == "Imp") {
        OFFERED.iter().for_each(|check| check(at, findings));
    }
}

fn mimes(at: &At<'_>, findings: &mut Findings) {
    let path = at.path.key("mimes");
    let given = texts(at.field("mimes"));
    findings.add_if(given.is_empty(), &rules::MIMES_MISSING, &path, || match at.field("mimes") {
        Some(given) => format!("is {} and names no content type", shown(given)),
        None => "is missing".to_owned(),
    });
    if let Some(odd) = given.iter().find(|mime| !mime.contains('/')) {
        findings.add(&rules::MIME_ODD, &path, format!("has {odd:?}, which is no content type"));
    }
}

fn durations(at: &At<'_>, findings: &mut Findings) {
    let exact = list(at.field("rqddurs"));
    let path = at.path.key("rqddurs");
    if let Some(odd) = exact.iter().find(|seconds| positive(Some(seconds)).is_none()) {
        findings.add(&rules::DURATION_UNREADABLE, &path, format!("has {}, which is no duration", shown(odd)));
    }
    let range = ["minduration", "maxduration"].into_iter().find(|name| at.field(name).is_some());
    if let Some(range) = range.filter(|_| !exact.is_empty()) {
        findings.add(&rules::DURATIONS_BOTH, &path, format!("stands beside {range}"));
    }
    crossed(at, ("minduration", "maxduration"), &rules::DURATIONS_CROSSED, findings);
}

/// Two ends of a range the wrong way round.
fn crossed(
    at: &At<'_>,
    (least, most): (&str, &str),
    rule: &'static crate::cli::check::finding::Rule,
    findings: &mut Findings,
) {
    let ends = positive(at.field(least)).zip(positive(at.field(most)));
    if let Some((from, to)) = ends.filter(|(from, to)| from > to) {
        findings.add(rule, &at.path.key(least), format!("is {from}, above {most} {to}"));
    }
}

fn rates(at: &At<'_>, findings: &mut Findings) {
    crossed(at, ("minbitrate", "maxbitrate"), &rules::BITRATES_CROSSED, findings);
}

fn skipping(at: &At<'_>, findings: &mut Findings) {
    let timed = ["skipmin", "skipafter"].into_iter().find(|name| positive(at.field(name)).is_some());
    if let Some(timed) = timed.filter(|_| at.field("skip").is_none()) {
        findings.add(&rules::SKIP_UNSAID, &at.path.key(timed), "is given without skip");
    }
}

fn floors(at: &At<'_>, findings: &mut Findings) {
    timed_floors(at, &rules::FLOOR_UNREADABLE, findings);
}

/// `mincpmpersec` and `durfloors` of a medium or a deal.
pub(super) fn timed_floors(
    at: &At<'_>,
    rule: &'static crate::cli::check::finding::Rule,
    findings: &mut Findings,
) {
    let a_second = floor_of(at, "mincpmpersec", rule, findings);
    let Some(given) = at.field("durfloors") else { return };
    let path = at.path.key("durfloors");
    let Some(ranges) = given.as_array() else {
        return findings.add(rule, &path, format!("is {} where a list is specified", shown(given)));
    };
    for (index, range) in ranges.iter().enumerate().filter(|(_, range)| !range.is_null()) {
        if let Some(what) = unreadable_range(range) {
            findings.add(rule, &path.index(index), what);
        }
    }
    let both = a_second.is_some_and(|floor| floor > Cpm(0)) && !ranges.is_empty();
    findings.add_if(both, &rules::FLOORS_BOTH, &path, || "stands beside mincpmpersec");
}

/// Why a floor by duration cannot be met.
fn unreadable_range(range: &Value) -> Option<String> {
    if !range.is_object() {
        return Some(format!("is {} where an object is specified", shown(range)));
    }
    let bound = |name: &&&str| field(range, name).is_some_and(|given| int(Some(given)).is_none_or(|s| s < 0));
    if let Some(name) = ["mindur", "maxdur"].iter().find(bound) {
        return Some(format!("has the {name} {}", shown(&range[*name])));
    }
    let floor = price(field(range, "bidfloor"))?;
    floor.is_err().then(|| format!("has the bidfloor {}", shown(&range["bidfloor"])))
}

/// A range of `durfloors` in which nothing lies.
pub(super) fn duration_range(at: &At<'_>, findings: &mut Findings) {
    crossed(at, ("mindur", "maxdur"), &rules::FLOOR_RANGE_CROSSED, findings);
}

fn pods(at: &At<'_>, findings: &mut Findings) {
    let dynamic = positive(at.field("poddur")).is_some();
    let placed = ["podseq", "slotinpod", "poddur"].into_iter().find(|name| at.field(name).is_some());
    if let Some(name) = placed.filter(|_| at.field("podid").is_none()) {
        findings.add(&rules::POD_WITHOUT_ID, &at.path.key(name), "is given without podid");
    }
    let alone = at.field("maxseq").is_some() && !dynamic;
    findings.add_if(alone, &rules::POD_COUNT_ALONE, &at.path.key("maxseq"), || "is given without poddur");
}
