//! What a native ad needs (OpenRTB Native 1.2 section 4): every required asset, and any at all.

use super::{Check, given, has_mime};
use crate::judge::read::{field, flag, list, number, numbers};
use outbid::model::creative::{NativeAd, NativeImage, StreamSource};
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) fn checks(native: &Value, ad: &NativeAd) -> Vec<Check> {
    let Some(request) = read(native) else { return vec![(true, "native.request: cannot be read")] };
    let assets = field(&request, "assets").and_then(Value::as_array).cloned().unwrap_or_default();
    let id = |asset: &Value| number(field(asset, "id")).map(|id| id as i64);
    let ids: Vec<i64> = assets.iter().filter_map(id).collect();
    let required = |asset: &&Value| flag(field(asset, "required")) == Some(true);
    let missing = assets.iter().filter(required).find_map(|asset| {
        if id(asset).is_none() { Some("a required asset has no id") } else { lacks(asset, ad) }
    });
    let any = assets.iter().any(|asset| id(asset).is_some() && lacks(asset, ad).is_none());
    vec![
        (assets.is_empty(), "native.request: asks for no asset"),
        (ids.is_empty(), "no asset has an id to answer by"),
        (ids.iter().collect::<BTreeSet<_>>().len() != ids.len(), "assets of one id"),
        (missing.is_some(), missing.unwrap_or_default()),
        (!any, "no asset of ours is asked for"),
    ]
}

/// The native request, without the wrapper of 1.0.
fn read(native: &Value) -> Option<Value> {
    let request = match field(native, "request").or(field(native, "request_native"))? {
        Value::String(text) => serde_json::from_str(text).ok()?,
        other => other.clone(),
    };
    let request = field(&request, "native").cloned().unwrap_or(request);
    request.is_object().then_some(request)
}

/// What we do not have for an asset.
fn lacks(asset: &Value, ad: &NativeAd) -> Option<&'static str> {
    let wants = |kind: &str| field(asset, kind).filter(|wanted| wanted.is_object());
    let short = |text: &str, wanted: &Value| {
        given(wanted, "len").is_none_or(|most| text.chars().count() as f64 <= most)
    };
    let (had, reason) = if let Some(title) = wants("title") {
        (ad.titles.iter().any(|text| short(text, title)), "a required title is shorter than ours")
    } else if let Some(img) = wants("img") {
        (ad.images.iter().any(|image| shows(img, image)), "a required image is of no size or type of ours")
    } else if let Some(video) = wants("video") {
        (plays(video, ad), "a required video is not ours")
    } else if let Some(data) = wants("data") {
        let kind = number(field(data, "type")).map(|kind| kind as i64);
        let fits = |(ours, text): &(i64, String)| Some(*ours) == kind && short(text, data);
        (ad.data.iter().any(fits), "a required text is of a type that we have not, or shorter")
    } else {
        (false, "a required asset is of no known kind")
    };
    (!had).then_some(reason)
}

fn shows(wanted: &Value, image: &NativeImage) -> bool {
    let side = |ours: u16, exact: &str, least: &str| match (given(wanted, exact), given(wanted, least)) {
        (_, Some(least)) => f64::from(ours) >= least,
        (Some(exact), None) => f64::from(ours) == exact,
        (None, None) => true,
    };
    let mimes = list(field(wanted, "mimes"));
    number(field(wanted, "type")).is_none_or(|kind| kind as i64 == image.kind)
        && side(image.size.w, "w", "wmin")
        && side(image.size.h, "h", "hmin")
        && (mimes.is_empty() || has_mime(&mimes, &image.mime))
}

fn plays(wanted: &Value, ad: &NativeAd) -> bool {
    let Some(film) = &ad.video else { return false };
    let StreamSource::Files(files) = &film.source else { panic!("the demo plays files of its own") };
    let mimes = list(field(wanted, "mimes"));
    let protocols = numbers(field(wanted, "protocols"));
    let seconds = f64::from(film.duration_s);
    files.iter().any(|file| has_mime(&mimes, &file.mime))
        && (protocols.is_empty() || super::stream::PROTOCOLS.iter().any(|ours| protocols.contains(ours)))
        && given(wanted, "minduration").is_none_or(|least| seconds >= least)
        && given(wanted, "maxduration").is_none_or(|most| seconds <= most)
}
