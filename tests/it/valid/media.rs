//! Banner, video and audio: `Banner`, `Format`, `Video`, `Audio`.

use super::dice::{Dice, Object};
use super::imp::floors;
use serde_json::{Value, json};

/// Sizes that the demo has.
const SIZES: [(i64, i64); 8] =
    [(300, 250), (728, 90), (320, 50), (160, 600), (300, 600), (970, 250), (1080, 1920), (1920, 1080)];

pub(super) fn banner(dice: &mut Dice) -> Value {
    Object::of(dice)
        .one(97, |o| o.must("format", |d| d.several(1..=4, format)).add(30, |o| size(o, 50)), |o| size(o, 92))
        .may(15, "btype", |d| if d.chance(10) { d.ints(1..=4, 4) } else { d.some(&[1, 3, 4], 3) })
        .may(20, "battr", |d| d.ints(1..=17, 6))
        .may(40, "pos", |d| d.range(0..=7))
        .may(25, "mimes", banner_types)
        .may(30, "topframe", Dice::flag)
        .may(10, "expdir", |d| d.ints(1..=6, 4))
        .may(25, "api", |d| d.ints(1..=9, 4))
        .may(20, "id", Dice::id)
        .ext()
}

fn banner_types(dice: &mut Dice) -> Vec<&'static str> {
    let mut types = dice.some(&["image/png", "image/jpeg", "application/javascript", "image/gif"], 3);
    if dice.chance(90) {
        types.push(dice.pick(&["text/html", "TEXT/HTML; charset=utf-8"]));
    }
    types
}

/// Width and height; so many times in a hundred those of an ad of ours.
fn size(object: Object<'_>, percent: usize) -> Object<'_> {
    let (w, h) = if object.dice.chance(percent) {
        object.dice.pick(&SIZES)
    } else {
        (object.dice.count(1..=4_000), object.dice.count(1..=4_000))
    };
    object.must("w", |_| w).must("h", |_| h)
}

fn format(dice: &mut Dice) -> Value {
    let object = Object::of(dice);
    if object.dice.chance(12) { ratio(object).ext() } else { size(object, 70).ext() }
}

/// A ratio, which stands for all sizes from a width on.
fn ratio(object: Object<'_>) -> Object<'_> {
    let (w, h) = object.dice.pick(&[(6, 5), (16, 9), (9, 16), (4, 1), (1, 1), (364, 45)]);
    object.must("wratio", |_| w).must("hratio", |_| h).may(80, "wmin", |d| d.range(1..=1_200))
}

/// A banner beside a video or audio ad.
fn companion(dice: &mut Dice) -> Value {
    let mut banner = banner(dice);
    if dice.chance(60) {
        banner["vcm"] = json!(dice.flag());
    }
    banner
}

pub(super) fn video(dice: &mut Dice) -> Value {
    let object =
        stream(Object::of(dice), &["video/mp4", "video/webm", "video/3gpp", "application/javascript"])
            .may(70, "w", |d| d.count(200..=3_840))
            .may(70, "h", |d| d.count(100..=2_160))
            .may(8, "placement", |d| d.range(1..=5))
            .may(50, "plcmt", |d| d.range(1..=4))
            .may(50, "linearity", |d| if d.chance(8) { 2 } else { 1 })
            .may(6, "sequence", |d| d.range(1..=8))
            .may(25, "boxingallowed", |d| d.flag_of(70))
            .may(40, "playbackmethod", |d| d.ints(1..=7, 2))
            .may(25, "playbackend", |d| d.range(1..=3))
            .may(40, "pos", |d| d.range(0..=7));
    skipping(object).ext()
}

/// When and how it may be skipped: the times only where it may be.
fn skipping(object: Object<'_>) -> Object<'_> {
    object.one(
        60,
        |o| o.must("skip", |_| 0),
        |o| {
            o.must("skip", |_| 1)
                .may(40, "skipmin", |d| d.range(0..=30))
                .may(40, "skipafter", |d| d.range(0..=15))
        },
    )
}

pub(super) fn audio(dice: &mut Dice) -> Value {
    stream(Object::of(dice), &["audio/mpeg", "audio/mp4", "audio/ogg", "audio/aac"])
        .may(6, "sequence", |d| d.range(1..=8))
        .may(40, "feed", |d| d.range(1..=3))
        .may(40, "stitched", Dice::flag)
        .may(30, "nvol", |d| d.range(0..=4))
        .ext()
}

/// What video and audio have in common; the first of `mimes` is one of ours.
fn stream<'d>(object: Object<'d>, mimes: &[&'static str; 4]) -> Object<'d> {
    let object = object
        .must("mimes", |d| {
            let mut types = d.some(&mimes[1..], 3);
            if d.chance(96) {
                types.insert(0, mimes[0]);
            }
            types
        })
        .one(
            90,
            |o| o.may(80, "minduration", |d| d.range(0..=15)).may(90, "maxduration", |d| d.count(14..=90)),
            |o| o.must("rqddurs", |d| d.some(&[6, 10, 15, 20, 30, 60], 4)),
        )
        .may(50, "startdelay", |d| d.range(-2..=600))
        .may(70, "protocols", protocols)
        .may(20, "battr", |d| d.ints(1..=17, 6))
        .may(20, "maxextended", |d| d.range(-1..=30))
        .add(20, bitrates)
        .may(20, "delivery", |d| if d.chance(10) { vec![1] } else { d.some(&[2, 3, 1], 3) })
        .may(25, "companionad", |d| d.several(1..=2, companion))
        .may(30, "api", |d| d.ints(1..=9, 4))
        .may(20, "companiontype", |d| d.ints(1..=3, 3));
    let (object, kind) = (object.add(25, pod), mimes[0]);
    // Only video says what must not come twice in a pod.
    let object = if kind.starts_with("video") { object.may(12, "poddedupe", dedupe) } else { object };
    floors(object, 25)
}

fn protocols(dice: &mut Dice) -> Vec<i64> {
    match dice.below(20) {
        0 => vec![dice.pick(&[1, 5, 6, 9])],
        1..4 => dice.ints(1..=16, 16),
        _ => dice.some(&[2, 3, 7, 11, 13, 15, 5, 6, 8], 6).into_iter().chain([3]).collect(),
    }
}

fn bitrates(object: Object<'_>) -> Object<'_> {
    object.may(60, "minbitrate", |d| d.range(1..=300)).may(80, "maxbitrate", |d| d.count(100..=6_000))
}

fn dedupe(dice: &mut Dice) -> Vec<i64> {
    if dice.chance(30) { vec![5] } else { dice.ints(1..=4, 4) }
}

/// A place in a pod: one of its slots, or all the time that is left of it.
fn pod(object: Object<'_>) -> Object<'_> {
    object
        .may(80, "podid", |d| d.pick(&["pod-1", "pod-2", "é/1"]))
        .may(40, "podseq", |d| d.range(-1..=1))
        .may(40, "slotinpod", |d| d.range(-1..=2))
        .add(60, |o| o.must("poddur", |d| d.count(15..=180)).may(60, "maxseq", |d| d.count(1..=6)))
}
