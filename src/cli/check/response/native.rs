//! Native: the answer as a publisher reads it, against the assets that were asked for.

use super::bid::Bid;
use super::rules;
use crate::cli::check::finding::Findings;
use crate::cli::check::read::{Path, field, flag, int, ints, objects, text};
use serde_json::Value;
use std::borrow::Cow;

const KINDS: [&str; 4] = ["title", "img", "video", "data"];

pub(super) fn check(bid: &Bid<'_>, findings: &mut Findings) {
    if bid.medium != Some("native") {
        return;
    }
    let path = bid.path.key("adm");
    let (answer, path) = match (bid.markup(), bid.field("adm_native")) {
        (Some(markup), _) => match serde_json::from_str::<Value>(markup) {
            Ok(answer @ Value::Object(_)) => (Cow::Owned(answer), path),
            Ok(_) => return findings.add(&rules::NATIVE_BROKEN, &path, "is no JSON object"),
            Err(why) => return findings.add(&rules::NATIVE_BROKEN, &path, format!("is no JSON: {why}")),
        },
        (None, Some(answer)) => (Cow::Borrowed(answer), bid.path.key("adm_native")),
        (None, None) => return,
    };
    let request = bid.offer().and_then(asked);
    let (given, wrapped) = unwrapped(&answer);
    let link = text(field(given, "link").and_then(|link| field(link, "url")));
    // Without a request it is not known which of the assets had a link of their own.
    findings.add_if(link.is_none(), &rules::NATIVE_LINK_MISSING, &path, || "has no link.url");
    let Some(request) = request else { return };
    let (asked, asked_wrapped) = unwrapped(&request);
    findings.add_if(wrapped != asked_wrapped, &rules::NATIVE_WRAPPER, &path, || match wrapped {
        true => "stands inside {\"native\": …}, the request does not",
        false => "does not stand inside {\"native\": …}, as the request does",
    });
    assets(asked, given, &path, findings);
    trackers(asked, given, &path, findings);
}

/// The native request of an impression.
fn asked(offer: &Value) -> Option<Cow<'_, Value>> {
    match field(offer, "request").or_else(|| field(offer, "request_native"))? {
        Value::String(text) => serde_json::from_str(text).ok().filter(Value::is_object).map(Cow::Owned),
        object @ Value::Object(_) => Some(Cow::Borrowed(object)),
        _ => None,
    }
}

fn unwrapped(value: &Value) -> (&Value, bool) {
    field(value, "native").filter(|inner| inner.is_object()).map_or((value, false), |inner| (inner, true))
}

fn id(asset: &Value) -> Option<i64> {
    int(field(asset, "id"))
}

fn assets(asked: &Value, given: &Value, path: &Path<'_>, findings: &mut Findings) {
    let list = path.key("assets");
    for (index, asset) in objects(field(given, "assets")) {
        let here = list.index(index);
        let wanted = objects(field(asked, "assets"))
            .find(|(_, wanted)| id(wanted).is_some() && id(wanted) == id(asset));
        match wanted {
            None => findings.add(
                &rules::NATIVE_ASSET_UNKNOWN,
                &here,
                match id(asset) {
                    Some(id) => format!("has the id {id}, which was not asked for"),
                    None => "has no id".to_owned(),
                },
            ),
            Some((_, wanted)) => {
                if let Some(what) = misfit(wanted, asset) {
                    findings.add(&rules::NATIVE_ASSET_ODD, &here, what);
                }
            }
        }
    }
    for (_, wanted) in objects(field(asked, "assets")) {
        let required = flag(field(wanted, "required")) == Some(true);
        let filled = objects(field(given, "assets")).any(|(_, asset)| id(asset) == id(wanted));
        if let Some(id) = id(wanted).filter(|_| required && !filled) {
            findings.add(
                &rules::NATIVE_ASSET_MISSING,
                path,
                format!("does not fill asset {id}, which is required"),
            );
        }
    }
}

/// Why an asset does not fit the place that it is for.
fn misfit(wanted: &Value, given: &Value) -> Option<String> {
    let kind = KINDS.into_iter().find(|kind| field(wanted, kind).is_some())?;
    let Some(filled) = field(given, kind) else { return Some(format!("is no {kind}, which was asked for")) };
    let of = |value: &Value, name: &str| int(field(value, name));
    let wanted = &wanted[kind];
    let words = match kind {
        "title" => text(field(filled, "text")),
        "data" => text(field(filled, "value")),
        "img" => text(field(filled, "url")),
        _ => text(field(filled, "vasttag")),
    };
    let Some(words) = words else { return Some(format!("has a {kind} with nothing in it")) };
    let length = words.chars().count() as i64;
    if let Some(most) = of(wanted, "len").filter(|most| matches!(kind, "title" | "data") && length > *most) {
        return Some(format!("has {length} characters, allowed are {most}"));
    }
    let types = of(wanted, "type").zip(of(filled, "type")).filter(|(wanted, given)| wanted != given);
    if let Some((asked, ours)) = types {
        return Some(format!("is of type {ours}, asked for is {asked}"));
    }
    let sides = [("w", "wmin"), ("h", "hmin")].into_iter().filter(|_| kind == "img");
    sides.into_iter().find_map(|(side, least)| {
        let ours = of(filled, side)?;
        let short = of(wanted, least).filter(|least| ours < *least);
        // A length alone is exact; with a least length the image may be larger.
        let exact = of(wanted, side).filter(|exact| of(wanted, least).is_none() && ours != *exact);
        short.or(exact).map(|wanted| format!("has {side} {ours}, asked for is {wanted}"))
    })
}

/// `imptrackers` are always understood.
fn trackers(asked: &Value, given: &Value, path: &Path<'_>, findings: &mut Findings) {
    let list = path.key("eventtrackers");
    for (index, tracker) in objects(field(given, "eventtrackers")) {
        let (event, method) = (int(field(tracker, "event")), int(field(tracker, "method")));
        let offered = objects(field(asked, "eventtrackers")).any(|(_, offer)| {
            int(field(offer, "event")) == event
                && method.is_some_and(|method| ints(field(offer, "methods")).contains(&method))
        });
        findings.add_if(!offered, &rules::NATIVE_TRACKER_UNASKED, &list.index(index), || {
            let shown = |number: Option<i64>| number.map_or("none".to_owned(), |number| number.to_string());
            format!("tracks event {} by method {}, which was not offered", shown(event), shown(method))
        });
    }
}
