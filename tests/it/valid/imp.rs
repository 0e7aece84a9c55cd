//! What is on sale: `Imp`, `Metric`, `Qty`, `Refresh`, `RefSettings`, `Pmp`, `Deal`, `DurFloors`, and the extensions of an
//! impression.

use super::dice::{Dice, Object};
use super::media::{audio, banner, video};
use super::native::native;
use super::world::DEALS;
use serde_json::{Value, json};

/// A millisecond long ago, with a fraction, as the type allows.
const PAST_MS: f64 = 1_764_000_000_000.5;
/// Longer ahead than any hold may live.
const FAR_MS: f64 = 4_102_444_800_000.0;

/// Impressions with ids of their own.
pub(super) fn imps(dice: &mut Dice, now_ms: i64) -> Vec<Value> {
    let count = if dice.chance(3) { dice.range(4..=20) } else { dice.range(1..=2) };
    let mut imps: Vec<Value> = (0..count).map(|_| imp(dice, now_ms)).collect();
    let numbered = dice.chance(70);
    for (at, imp) in (1..).zip(&mut imps) {
        imp["id"] = json!(if numbered { at.to_string() } else { format!("{at}{}", dice.id()) });
    }
    imps
}

fn imp(dice: &mut Dice, now_ms: i64) -> Value {
    let object = media(Object::of(dice))
        .may(20, "metric", |d| d.several(1..=2, metric))
        .may(25, "pmp", pmp)
        .may(20, "displaymanager", Dice::text)
        .may(20, "displaymanagerver", |d| format!("{}.{}", d.below(9), d.below(9)))
        .may(30, "instl", |d| d.flag_of(30))
        .may(60, "tagid", Dice::id)
        .may(60, "bidfloor", Dice::price)
        .may(40, "bidfloorcur", Dice::currency)
        .may(20, "clickbrowser", Dice::flag)
        .may(70, "secure", |d| d.flag_of(90))
        .may(8, "iframebuster", |d| d.texts())
        .may(15, "rwdd", Dice::flag)
        .may(15, "ssai", |d| d.range(0..=3))
        .may(20, "exp", |d| if d.chance(5) { d.count(7_191..=90_000) } else { d.range(1..=7_190) })
        .may(12, "qty", qty)
        .may(8, "dt", |d| match d.below(10) {
            0 => FAR_MS,
            1..5 => PAST_MS,
            _ => (now_ms + d.range(1_000..=6_000_000)) as f64,
        })
        .may(10, "refresh", refresh);
    object.ext_of(30, |o| {
        o.may(50, "gpid", |d| format!("/{}/{}", d.below(99_999), d.code(3..=9)))
            .may(30, "tid", |d| d.hex(32))
            .may(15, "intrinsic", Dice::flag)
            .may(30, "skadn", skadn)
            .may(20, "igs", |d| {
                Object::of(d).must("ae", |d| d.range(0..=3)).may(50, "biddable", Dice::flag).done()
            })
    })
}

/// One medium as a rule, several now and then.
fn media(object: Object<'_>) -> Object<'_> {
    let (several, one) = (object.dice.ints(0..=3, 3), object.dice.pick(&[0, 0, 1, 1, 2, 3]));
    let media = if object.dice.chance(15) { several } else { vec![one] };
    media.into_iter().fold(object, |object, medium| match medium {
        0 => object.must("banner", banner),
        1 => object.must("video", video),
        2 => object.must("audio", audio),
        _ => object.must("native", native),
    })
}

fn metric(dice: &mut Dice) -> Value {
    Object::of(dice)
        .must("type", |d| d.pick(&["viewability", "click_through_rate", "session_depth"]))
        .must("value", Dice::share)
        .may(60, "vendor", |d| d.pick(&["EXCHANGE", "moat.com"]))
        .ext()
}

fn qty(dice: &mut Dice) -> Value {
    Object::of(dice)
        .must("multiplier", |d| match d.below(20) {
            0 => 0.000_001,
            1 => 100.0,
            2 => d.range(101..=100_000) as f64 + 0.5,
            _ => d.range(1..=20_000) as f64 / 1_000.0,
        })
        .may(60, "sourcetype", |d| d.range(0..=3))
        .must("vendor", Dice::domain)
        .ext()
}

fn refresh(dice: &mut Dice) -> Value {
    let settings = |d: &mut Dice| {
        Object::of(d).may(80, "reftype", |d| d.range(0..=3)).may(80, "minint", |d| d.count(5..=600)).ext()
    };
    Object::of(dice)
        .may(90, "refsettings", |d| d.several(1..=2, settings))
        .may(60, "count", |d| d.count(1..=50))
        .ext()
}

fn skadn(dice: &mut Dice) -> Value {
    let ids = |d: &mut Dice| vec![format!("{}.skadnetwork", d.code(10..=10).to_lowercase())];
    let list = |d: &mut Dice| {
        Object::of(d)
            .must("max", |d| d.range(1..=306))
            .may(50, "excl", |d| d.ints(1..=99, 3))
            .may(50, "addl", ids)
            .ext()
    };
    Object::of(dice)
        .one(
            100,
            |o| o.must("version", |d| d.pick(&["2.0", "2.2"])),
            |o| o.must("versions", |d| d.some(&["2.0", "2.2", "3.0", "4.0"], 4)),
        )
        .must("sourceapp", |d| d.range(100_000_000..=999_999_999).to_string())
        .must("skadnetids", ids)
        .may(50, "skadnetlist", list)
        .may(40, "productpage", Dice::flag)
        .may(40, "skoverlay", Dice::flag)
        .ext()
}

fn pmp(dice: &mut Dice) -> Value {
    Object::of(dice).may(60, "private_auction", |d| d.flag_of(25)).may(95, "deals", deals).ext()
}

/// Deals with ids of their own, ours among them as a rule.
fn deals(dice: &mut Dice) -> Vec<Value> {
    let mut deals = dice.several(1..=4, deal);
    let ours = if dice.chance(85) { dice.some(&DEALS, 2) } else { Vec::new() };
    for (at, deal) in deals.iter_mut().enumerate() {
        let known = ours.get(at).map(|id| (*id).to_owned());
        deal["id"] = json!(known.unwrap_or_else(|| format!("{at}/{}", dice.id())));
    }
    deals
}

fn deal(dice: &mut Dice) -> Value {
    Object::of(dice)
        .add(80, |o| floors(o.must("bidfloor", Dice::price), 15))
        .may(50, "bidfloorcur", Dice::currency)
        .may(70, "at", |d| d.range(1..=3))
        .may(15, "wseat", |d| if d.chance(80) { vec!["harbour", "other"] } else { vec!["other"] })
        .may(
            15,
            "wadomain",
            |d| if d.chance(80) { vec!["harbour-mutual.example"] } else { vec!["else.example"] },
        )
        .may(30, "guar", |d| d.flag_of(40))
        .ext()
}

/// One of the two kinds of floors by the second, or none.
pub(super) fn floors(object: Object<'_>, percent: usize) -> Object<'_> {
    object.one(
        percent,
        |o| o.must("mincpmpersec", |d| d.range(0..=150_000) as f64 / 1e6),
        |o| o.must("durfloors", duration_floors),
    )
}

/// Ranges that follow one another; the last may be open.
fn duration_floors(dice: &mut Dice) -> Vec<Value> {
    let (count, mut from) = (dice.range(1..=3), dice.range(0..=10));
    let range = |at| {
        let to = from + dice.range(4..=30);
        let range = Object::of(dice)
            .may(90, "mindur", |_| from)
            .may(if at == count { 60 } else { 100 }, "maxdur", |_| to)
            .may(90, "bidfloor", Dice::price)
            .ext();
        from = to + 1;
        range
    };
    (1..=count).map(range).collect()
}
