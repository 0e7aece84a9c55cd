//! `Native` and the request inside it: `NativeRequest`, `Asset`, `Title`, `Image`, `Video`, `Data`, `EventTrackers` of
//! OpenRTB Native 1.2.

use super::dice::{Dice, Object};
use serde_json::{Value, json};

pub(super) fn native(dice: &mut Dice) -> Value {
    let request = request(dice);
    // The wrapper of Native 1.0, which many still write.
    let wrapped = dice.chance(8);
    let request = if wrapped { json!({ "native": request }) } else { request };
    Object::of(dice)
        .must("request", |_| request.to_string())
        .may(70, "ver", |d| if wrapped { "1.0" } else { d.pick(&["1.1", "1.2"]) })
        .may(25, "api", |d| d.ints(1..=9, 4))
        .may(20, "battr", |d| d.ints(1..=17, 6))
        .ext()
}

fn request(dice: &mut Dice) -> Value {
    Object::of(dice)
        .may(80, "ver", |d| d.pick(&["1.1", "1.2"]))
        .may(5, "layout", |d| d.range(1..=7))
        .may(5, "adunit", |d| d.range(1..=5))
        .add(70, |o| {
            let context = o.dice.range(1..=3);
            o.must("context", |_| context).may(60, "contextsubtype", |d| context * 10 + d.range(0..=2))
        })
        .may(60, "plcmttype", |d| d.range(1..=4))
        .may(50, "plcmtcnt", |d| d.count(1..=4))
        .may(30, "seq", |d| d.range(0..=9))
        .must("assets", assets)
        .may(20, "aurlsupport", Dice::flag)
        .may(20, "durlsupport", Dice::flag)
        .may(50, "eventtrackers", |d| d.several(1..=3, tracker))
        .may(30, "privacy", Dice::flag)
        .ext()
}

/// Assets with ids of their own.
fn assets(dice: &mut Dice) -> Vec<Value> {
    let mut assets = dice.several(1..=5, asset);
    let first = dice.range(0..=1_000);
    for (id, asset) in (first..).zip(&mut assets) {
        asset["id"] = json!(id);
    }
    assets
}

fn asset(dice: &mut Dice) -> Value {
    // What we have is asked for more often than what we have not.
    let (name, make, required): (_, fn(&mut Dice) -> Value, _) = match dice.below(10) {
        0..4 => ("title", title, 60),
        4..7 => ("img", image, 50),
        7..9 => ("data", data, 30),
        _ => ("video", video, 20),
    };
    Object::of(dice).may(70, "required", |d| d.flag_of(required)).must(name, make).ext()
}

fn title(dice: &mut Dice) -> Value {
    Object::of(dice)
        .must("len", |d| if d.chance(85) { d.pick(&[25, 50, 90, 140]) } else { d.count(1..=24) })
        .ext()
}

fn image(dice: &mut Dice) -> Value {
    let side = |d: &mut Dice, exact| if d.chance(80) { exact } else { d.count(1..=2_000) };
    Object::of(dice)
        .may(70, "type", |d| if d.chance(95) { d.pick(&[1, 3, 3]) } else { d.listed(1..=3) })
        .one(
            90,
            |o| o.must("w", |d| side(d, 1_200)).must("h", |d| side(d, 627)),
            |o| o.must("wmin", |d| d.count(1..=300)).must("hmin", |d| d.count(1..=250)),
        )
        .may(30, "mimes", |d| d.some(&["image/png", "image/jpeg", "image/gif"], 3))
        .ext()
}

fn data(dice: &mut Dice) -> Value {
    Object::of(dice)
        .must("type", |d| if d.chance(70) { d.pick(&[1, 2, 12]) } else { d.listed(1..=12) })
        .may(60, "len", |d| d.count(5..=200))
        .ext()
}

fn video(dice: &mut Dice) -> Value {
    Object::of(dice)
        .must("mimes", |d| d.some(&["video/mp4", "video/webm"], 2))
        .must("minduration", |d| d.range(1..=10))
        .must("maxduration", |d| d.count(11..=60))
        .must("protocols", |d| d.some(&[2, 3, 7, 11, 5], 4))
        .ext()
}

fn tracker(dice: &mut Dice) -> Value {
    Object::of(dice).must("event", |d| d.listed(1..=4)).must("methods", |d| d.ints(1..=2, 2)).ext()
}
