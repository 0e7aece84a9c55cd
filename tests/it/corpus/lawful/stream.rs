//! What a film or a spot needs (OpenRTB 2.6 sections 3.2.7 and 3.2.8).

use super::{Check, given, has_mime};
use crate::judge::read::{field, flag, list, number, numbers};
use outbid::model::creative::{MediaFile, StreamAd, StreamSource};
use serde_json::Value;

/// VAST 2.0 to 4.3 that are no wrappers.
pub(super) const PROTOCOLS: [i64; 6] = [2, 3, 7, 11, 13, 15];
/// The attribute of an ad with a skip button of its own.
const SKIPPABLE: i64 = 16;

pub(super) fn checks(object: &Value, ad: &StreamAd) -> Vec<Check> {
    let StreamSource::Files(files) = &ad.source else { panic!("the demo plays files of its own") };
    let mimes = list(field(object, "mimes"));
    let protocols = numbers(field(object, "protocols"));
    // One file has to do in every respect.
    let known: Vec<&MediaFile> = files.iter().filter(|file| has_mime(&mimes, &file.mime)).collect();
    let delivered = filter(&known, |file| is_delivered(object, file));
    let carried = filter(&delivered, |file| is_within_bitrates(object, file));
    let shaped = filter(&carried, |file| has_shape(object, file));
    let linearity = number(field(object, "linearity"));
    let skips = ad.skip_after_s.is_some() && flag(field(object, "skip")) != Some(true);
    let blocked = numbers(field(object, "battr"));
    vec![
        (mimes.is_empty(), "mimes: none, and they are required"),
        (known.is_empty(), "mimes: no type of ours"),
        (
            !protocols.is_empty() && !PROTOCOLS.iter().any(|ours| protocols.contains(ours)),
            "protocols: no VAST from 2.0 on",
        ),
        (linearity.is_some_and(|wanted| wanted as i64 != ad.linearity), "linearity: overlays only"),
        (!lasts(object, f64::from(ad.duration_s)), "no creative of an allowed duration"),
        (given(object, "poddur").is_some_and(|pod| f64::from(ad.duration_s) > pod), "poddur: no time for it"),
        (delivered.is_empty(), "delivery: streaming only"),
        (carried.is_empty(), "bitrate: no file within the bounds"),
        (shaped.is_empty(), "boxingallowed: no file of the player's shape"),
        (skips && blocked.contains(&SKIPPABLE), "battr: skip buttons are blocked"),
    ]
}

fn filter<'f>(files: &[&'f MediaFile], fits: impl Fn(&MediaFile) -> bool) -> Vec<&'f MediaFile> {
    files.iter().copied().filter(|file| fits(file)).collect()
}

/// One of `rqddurs`, else from `minduration` to `maxduration` and what may be played beyond it.
fn lasts(object: &Value, seconds: f64) -> bool {
    let exact = numbers(field(object, "rqddurs"));
    if !exact.is_empty() {
        return exact.contains(&(seconds as i64));
    }
    let beyond = number(field(object, "maxextended")).unwrap_or(0.0);
    let most = given(object, "maxduration").filter(|_| beyond >= 0.0);
    given(object, "minduration").is_none_or(|least| seconds >= least)
        && most.is_none_or(|most| seconds <= most + beyond)
}

/// `delivery`: 1 streaming, everything else downloads.
fn is_delivered(object: &Value, file: &MediaFile) -> bool {
    let ways = numbers(field(object, "delivery"));
    ways.is_empty() || ways.iter().any(|way| (*way == 1) == file.streaming)
}

fn is_within_bitrates(object: &Value, file: &MediaFile) -> bool {
    let Some(ours) = file.bitrate.map(f64::from) else { return true };
    given(object, "minbitrate").is_none_or(|least| ours >= least)
        && given(object, "maxbitrate").is_none_or(|most| ours <= most)
}

/// The same shape as the player, within a hundredth, where it may not be letter-boxed.
fn has_shape(object: &Value, file: &MediaFile) -> bool {
    let boxing = flag(field(object, "boxingallowed")).unwrap_or(true);
    let (Some(w), Some(h)) = (given(object, "w"), given(object, "h")) else { return true };
    let ratio = f64::from(file.size.w) / f64::from(file.size.h) / (w / h);
    boxing || (ratio - 1.0).abs() <= 0.01
}
