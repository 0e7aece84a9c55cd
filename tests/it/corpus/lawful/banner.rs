//! What a banner of one size needs.

use super::{Check, has_mime};
use crate::judge::read::{field, list, number, numbers};
use outbid::model::creative::BannerAd;
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) fn checks(banner: &Value, ad: &BannerAd) -> Vec<Check> {
    let sizes = sizes(banner);
    let mimes = list(field(banner, "mimes"));
    vec![
        (sizes.is_empty(), "no size at all"),
        (!sizes.contains(&(ad.size.w.into(), ad.size.h.into())), "no creative of an offered size"),
        (numbers(field(banner, "btype")).contains(&ad.banner_type), "btype: banners of markup are blocked"),
        (!mimes.is_empty() && !has_mime(&mimes, "text/html"), "mimes: HTML is not in it"),
    ]
}

/// Whole sizes in pixels, of `format` where it has any, else of the banner itself.
fn sizes(banner: &Value) -> BTreeSet<(i64, i64)> {
    let size = |value: &Value| {
        let side = |name| number(field(value, name)).filter(|side| *side >= 1.0 && side.fract() == 0.0);
        Some((side("w")? as i64, side("h")? as i64))
    };
    let formats = field(banner, "format").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let listed: BTreeSet<_> = formats.iter().filter_map(size).collect();
    // The demo's sizes are in no ratio of the corpus; a list of ratios is a list all the same.
    let ratios = formats.iter().any(|format| field(format, "wratio").is_some());
    if listed.is_empty() && !ratios { size(banner).into_iter().collect() } else { listed }
}
