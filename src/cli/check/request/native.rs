//! The native object and the request inside it.

use super::{SHAPE, rules};
use crate::cli::check::finding::Findings;
use crate::cli::check::read::{At, field, flag, int, shown, text, texts};
use crate::cli::check::shape::Check;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashSet;

pub(super) const CHECKS: &[Check] = &[embedded];
pub(super) const REQUEST: &[Check] = &[assets];
pub(super) const ASSET: &[Check] = &[kind];

/// More assets than the bidder compares with one another.
const MAX_ASSETS: usize = 64;
const KINDS: [&str; 4] = ["title", "img", "video", "data"];

/// A native request, as an object or from its text.
fn read(given: Option<&Value>) -> Option<Cow<'_, Value>> {
    match given? {
        object @ Value::Object(_) => Some(Cow::Borrowed(object)),
        Value::String(text) => {
            serde_json::from_str(text).ok().filter(Value::is_object).map(Cow::<Value>::Owned)
        }
        _ => None,
    }
}

/// What asks for the assets: inside the wrapper of 1.0, where there is one.
fn unwrapped(request: &Value) -> &Value {
    field(request, "native").filter(|inner| inner.is_object()).unwrap_or(request)
}

/// Whether a native object counts as offered.
pub(super) fn is_usable(native: &Value) -> bool {
    ["request", "request_native"]
        .into_iter()
        .any(|name| read(field(native, name)).is_some_and(|request| answerable(unwrapped(&request)).is_ok()))
}

/// Why a native request cannot be answered.
enum Unanswerable {
    Count(usize),
    Twice(i64),
}

fn answerable(request: &Value) -> Result<(), Unanswerable> {
    let entries = field(request, "assets").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let id = |asset: &Value| int(field(asset, "id"));
    let required = |asset: &Value| flag(field(asset, "required")) == Some(true);
    let objects = entries.iter().filter(|asset| asset.is_object());
    let ids: Vec<i64> = objects.filter_map(|asset| id(asset).or(required(asset).then_some(0))).collect();
    if !(1..=MAX_ASSETS).contains(&ids.len()) {
        return Err(Unanswerable::Count(ids.len()));
    }
    let mut seen = HashSet::new();
    ids.into_iter().find(|id| !seen.insert(*id)).map_or(Ok(()), |id| Err(Unanswerable::Twice(id)))
}

/// The request inside, with everything in it.
fn embedded(at: &At<'_>, findings: &mut Findings) {
    let given = at.field("request");
    let path = at.path.key("request");
    let Some(request) = read(given) else {
        // In protobuf the request may be a message of its own, which the walk enters by itself.
        if given.is_some() || at.field("request_native").is_none() {
            let what = given.map_or("is missing".to_owned(), |given| match given.as_str() {
                Some(text) => format!("is {}, which is no JSON object", shown(&text.into())),
                None => format!("is {}", shown(given)),
            });
            findings.add(&rules::NATIVE_UNREADABLE, &path, what);
        }
        return;
    };
    let object = given.is_some_and(Value::is_object);
    findings.add_if(object, &rules::NATIVE_OBJECT, &path, || "is an object");
    let inner = unwrapped(&request);
    if std::ptr::eq(inner, &*request) {
        return SHAPE
            .walk(&At { message: "NativeRequest", value: inner, path: &path, outer: Some(at) }, findings);
    }
    findings.add(&rules::NATIVE_WRAPPED, &path, "stands inside {\"native\": …}");
    let path = path.key("native");
    SHAPE.walk(&At { message: "NativeRequest", value: inner, path: &path, outer: Some(at) }, findings);
}

fn assets(at: &At<'_>, findings: &mut Findings) {
    let path = at.path.key("assets");
    match answerable(at.value) {
        Ok(()) => {}
        Err(Unanswerable::Count(count)) => {
            let what = if count == 0 { "asks for nothing".to_owned() } else { format!("has {count} assets") };
            findings.add(&rules::ASSETS_MISSING, &path, what);
        }
        Err(Unanswerable::Twice(id)) => {
            findings.add(&rules::ASSET_ID_TWICE, &path, format!("has more than one asset with the id {id}"));
        }
    }
}

fn kind(at: &At<'_>, findings: &mut Findings) {
    let id = int(at.field("id"));
    findings.add_if(id.is_none(), &rules::ASSET_ID_MISSING, &at.path.key("id"), || {
        at.field("id").map_or("is missing".to_owned(), |id| format!("is {}", shown(id)))
    });
    let kinds: Vec<&str> =
        KINDS.into_iter().filter(|kind| at.field(kind).is_some_and(Value::is_object)).collect();
    findings.add_if(kinds.len() != 1, &rules::ASSET_KIND_ODD, at.path, || match kinds.as_slice() {
        [] => "is none of title, img, video and data".to_owned(),
        kinds => format!("is {} at once", kinds.join(" and ")),
    });
    if let Some(video) = at.field("video").filter(|video| video.is_object()) {
        let absent = |name: &&str| match *name {
            "mimes" | "protocols" => texts(field(video, name)).is_empty(),
            name => text(field(video, name)).is_none(),
        };
        let missing: Vec<&str> =
            ["mimes", "minduration", "maxduration", "protocols"].into_iter().filter(absent).collect();
        findings.add_if(!missing.is_empty(), &rules::ASSET_VIDEO_ODD, &at.path.key("video"), || {
            format!("has no {}", missing.join(", "))
        });
    }
}
