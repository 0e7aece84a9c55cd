//! Where the ad would stand: `Site`, `App`, `DOOH`, `Publisher`, `Content`, `Producer`, `Network`, `Channel`.

use super::dice::{Dice, Object};
use super::people::data;
use serde_json::Value;

/// Categories with the taxonomy that they are of; without one they are of IAB Content 1.0.
fn categories<'d>(object: Object<'d>, lists: &[&str]) -> Object<'d> {
    let all = |object: Object<'d>, codes: fn(&mut Dice) -> Vec<String>| {
        lists.iter().fold(object, |object, name| object.may(60, name, codes))
    };
    match object.dice.below(4) {
        0 => all(object, Dice::numbered).must("cattax", |d| d.listed(2..=9)),
        1 => all(object, Dice::categories).must("cattax", |_| 1),
        _ => all(object, Dice::categories),
    }
}

/// What sites and apps have in common.
fn media(object: Object<'_>) -> Object<'_> {
    let object = object
        .may(60, "id", Dice::id)
        .may(60, "name", Dice::text)
        .may(80, "domain", Dice::domain)
        .may(30, "privacypolicy", Dice::flag)
        .may(70, "publisher", publisher)
        .may(35, "content", content)
        .keywords(30)
        .may(15, "inventorypartnerdomain", Dice::domain);
    categories(object, &["cat", "sectioncat", "pagecat"])
}

pub(super) fn site(dice: &mut Dice) -> Value {
    media(Object::of(dice))
        .may(80, "page", Dice::url)
        .may(40, "ref", Dice::url)
        .may(15, "search", Dice::text)
        .may(40, "mobile", Dice::flag)
        .ext()
}

pub(super) fn app(dice: &mut Dice) -> Value {
    media(Object::of(dice))
        .may(90, "bundle", |d| match d.below(2) {
            0 => d.range(100_000_000..=999_999_999).to_string(),
            _ => format!("com.{}.{}", d.code(2..=8), d.code(2..=8)),
        })
        .may(60, "storeurl", Dice::url)
        .may(40, "ver", |d| format!("{}.{}", d.below(20), d.below(100)))
        .may(30, "paid", Dice::flag)
        .ext()
}

pub(super) fn dooh(dice: &mut Dice) -> Value {
    Object::of(dice)
        .may(80, "id", Dice::id)
        .may(60, "name", Dice::text)
        .may(70, "venuetype", |d| d.some(&["transit", "transit.airports", "retail", "outdoor.billboards"], 2))
        .may(60, "venuetypetax", |d| d.range(0..=5))
        .may(70, "publisher", publisher)
        .may(60, "domain", Dice::domain)
        .may(30, "keywords", Dice::words)
        .may(30, "content", content)
        .ext()
}

fn publisher(dice: &mut Dice) -> Value {
    categories(Object::of(dice), &["cat"])
        .may(85, "id", Dice::id)
        .may(60, "name", Dice::text)
        .may(60, "domain", Dice::domain)
        .ext()
}

fn content(dice: &mut Dice) -> Value {
    let object = categories(Object::of(dice), &["cat"])
        .may(60, "id", Dice::id)
        .add(50, series)
        .add(25, music)
        .may(40, "genre", Dice::text)
        .add(40, |o| o.must("genres", |d| d.numbered()).may(50, "gtax", |d| d.listed(1..=9)))
        .may(30, "producer", producer)
        .may(40, "url", Dice::url)
        .may(30, "prodq", |d| d.range(0..=3))
        .may(40, "context", |d| d.range(1..=7))
        .may(30, "contentrating", |d| d.pick(&["PG-13", "TV-MA", "FSK 12"]))
        .may(20, "userrating", |d| format!("{} stars", d.range(1..=5)))
        .may(30, "qagmediarating", |d| d.range(1..=3))
        .keywords(30)
        .language(60);
    broadcast(object)
        .may(60, "len", |d| d.count(5..=10_800))
        .may(30, "embeddable", Dice::flag)
        .may(30, "data", |d| d.several(1..=2, data))
        .may(30, "network", station)
        .may(30, "channel", station)
        .ext_of(15, |o| o.may(60, "feedurls", |d| vec![d.url()]))
}

fn series(object: Object<'_>) -> Object<'_> {
    object
        .may(70, "episode", |d| d.count(1..=400))
        .may(90, "title", Dice::text)
        .may(80, "series", Dice::text)
        .may(60, "season", |d| format!("Season {}", d.range(1..=12)))
}

fn music(object: Object<'_>) -> Object<'_> {
    object
        .may(90, "artist", Dice::text)
        .may(70, "album", Dice::text)
        .may(60, "isrc", |d| format!("US-S1Z-{:02}-{:05}", d.below(100), d.below(100_000)))
}

fn broadcast(object: Object<'_>) -> Object<'_> {
    object
        .may(40, "livestream", Dice::flag)
        .may(20, "realtime", Dice::flag)
        .may(20, "firstbroadcast", Dice::flag)
        .may(30, "sourcerelationship", Dice::flag)
}

fn producer(dice: &mut Dice) -> Value {
    categories(Object::of(dice), &["cat"])
        .may(80, "id", Dice::id)
        .may(80, "name", Dice::text)
        .may(60, "domain", Dice::domain)
        .ext()
}

/// A network or a channel.
fn station(dice: &mut Dice) -> Value {
    Object::of(dice).may(80, "id", Dice::id).may(80, "name", Dice::text).may(60, "domain", Dice::domain).ext()
}
