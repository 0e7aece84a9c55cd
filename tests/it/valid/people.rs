//! Who is asked for: `Device`, `Geo`, `UserAgent`, `BrandVersion`, `User`, `EID`, `UID`, `Data`, `Segment`.

use super::dice::{Dice, Object};
use outbid::cli::demo::world;
use serde_json::Value;

const AGENTS: [&str; 5] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Mobile Safari/537.36",
    "Roku/DVP-12.5 (12.5.0.4178-AE)",
    "",
];

/// A TC string as the specification's examples have it.
const CONSENT: &str = "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA";

pub(super) fn device(dice: &mut Dice) -> Value {
    Object::of(dice)
        .may(70, "geo", geo)
        .may(40, "dnt", |d| d.flag_of(10))
        .may(40, "lmt", |d| d.flag_of(10))
        .may(80, "ua", |d| d.pick(&AGENTS))
        .may(30, "sua", user_agent)
        .may(60, "ip", |d| format!("{}.{}.{}.0", d.range(1..=223), d.below(256), d.below(256)))
        .may(20, "ipv6", |d| format!("2001:db8:{}::{}", d.hex(4), d.hex(2)))
        .may(60, "devicetype", |d| d.range(1..=8))
        .add(50, hardware)
        .may(40, "js", Dice::flag)
        .may(20, "geofetch", Dice::flag)
        .may(5, "flashver", |_| "32.0")
        .language(60)
        .may(30, "carrier", Dice::text)
        .may(30, "mccmnc", |d| format!("{}-{:03}", d.range(200..=799), d.below(999)))
        .may(50, "connectiontype", |d| d.range(1..=7))
        .may(40, "ifa", |d| format!("{}-{}-{}-{}-{}", d.hex(8), d.hex(4), d.hex(4), d.hex(4), d.hex(12)))
        .add(6, hashes)
        .ext_of(15, |o| {
            o.may(50, "atts", |d| d.range(0..=3))
                .may(50, "ifv", |d| d.hex(32))
                .may(30, "cdep", |d| d.pick(&["treatment_1.1", "label_only_2"]))
                .may(30, "ifa_type", |d| d.pick(&["dpid", "rida", "sessionid"]))
        })
}

fn hardware(object: Object<'_>) -> Object<'_> {
    object
        .may(80, "make", |d| d.pick(&["Apple", "Samsung", "Roku", "Ünknown"]))
        .may(80, "model", |d| d.code(2..=12))
        .may(80, "os", |d| d.pick(&["iOS", "android", "Windows", "tvOS"]))
        .may(70, "osv", |d| format!("{}.{}", d.range(1..=17), d.below(9)))
        .may(40, "hwv", |d| d.code(2..=6))
        .may(60, "h", |d| d.count(240..=4_320))
        .may(60, "w", |d| d.count(240..=7_680))
        .may(40, "ppi", |d| d.count(72..=600))
        .may(40, "pxratio", |d| d.pick(&[0.75, 1.0, 1.5, 2.625, 3.0]))
}

fn hashes(object: Object<'_>) -> Object<'_> {
    ["didsha1", "didmd5", "dpidsha1", "dpidmd5", "macsha1", "macmd5"].into_iter().fold(
        object,
        |object, name| {
            let length = if name.ends_with("md5") { 32 } else { 40 };
            object.may(70, name, |d| d.hex(length))
        },
    )
}

fn user_agent(dice: &mut Dice) -> Value {
    Object::of(dice)
        .may(95, "browsers", |d| d.several(1..=3, brand))
        .may(80, "platform", brand)
        .may(60, "mobile", Dice::flag)
        .may(30, "architecture", |d| d.pick(&["x86", "arm"]))
        .may(30, "bitness", |d| d.pick(&["32", "64"]))
        .may(30, "model", |d| d.code(1..=9))
        .may(60, "source", |d| d.range(0..=3))
        .ext()
}

fn brand(dice: &mut Dice) -> Value {
    Object::of(dice)
        .must("brand", |d| d.pick(&["Chromium", "Not A;Brand", "Windows", "Android", "Google Chrome"]))
        .may(80, "version", |d| d.some(&["126", "0", "6478", "61"], 4))
        .ext()
}

pub(super) fn geo(dice: &mut Dice) -> Value {
    Object::of(dice)
        .add(60, |o| {
            o.must("lat", |d| d.range(-90_000_000..=90_000_000) as f64 / 1e6)
                .must("lon", |d| d.range(-180_000_000..=180_000_000) as f64 / 1e6)
                .may(70, "type", |d| d.range(1..=3))
                .may(40, "accuracy", |d| d.count(1..=50_000))
                .may(40, "lastfix", |d| d.count(0..=86_400))
                .may(40, "ipservice", |d| d.pick(&[1, 2, 3, 4, 511, 512]))
        })
        .may(
            85,
            "country",
            |d| if d.chance(80) { "USA" } else { d.pick(&["CAN", "JPN", "DEU", "GBR", "XKX"]) },
        )
        .may(60, "region", |d| d.pick(&["CA", "NY", "US-WA", "BY"]))
        .may(5, "regionfips104", |d| d.pick(&["US06", "GM02"]))
        .may(30, "metro", |d| d.range(500..=881).to_string())
        .may(40, "city", |d| d.pick(&["New York", "München", "東京"]))
        .may(40, "zip", |d| format!("{:05}", d.below(100_000)))
        .may(40, "utcoffset", |d| d.range(-720..=840))
        .ext()
}

pub(super) fn user(dice: &mut Dice) -> Value {
    let earlier = dice.chance(20);
    Object::of(dice)
        .may(50, "id", Dice::id)
        .may(60, "buyeruid", |d| match d.below(4) {
            0 => d.id(),
            _ => world::cookie(d.below(crate::server::USERS as usize) as u64),
        })
        .may(6, "yob", |d| d.range(1920..=2015))
        .may(6, "gender", |d| d.pick(&["M", "F", "O"]))
        .keywords(30)
        .may(10, "customdata", |d| d.code(1..=60))
        .may(20, "geo", geo)
        .may(35, "data", |d| d.several(1..=3, data))
        .may(25, "consent", |_| CONSENT)
        .may(if earlier { 0 } else { 40 }, "eids", |d| d.several(1..=3, eid))
        .ext_of(20, |o| {
            o.may(if earlier { 90 } else { 0 }, "eids", |d| d.several(1..=3, eid)).may(
                if earlier { 40 } else { 0 },
                "consent",
                |_| CONSENT,
            )
        })
}

fn eid(dice: &mut Dice) -> Value {
    Object::of(dice)
        .may(30, "inserter", Dice::domain)
        .must("source", |d| d.pick(&["harbour-mutual.example", "uidapi.com", "id5-sync.com", "pubcid.org"]))
        .may(30, "matcher", Dice::domain)
        .may(40, "mm", |d| d.listed(0..=5))
        .must("uids", |d| d.several(1..=3, uid))
        .ext()
}

fn uid(dice: &mut Dice) -> Value {
    Object::of(dice).must("id", Dice::id).may(80, "atype", |d| d.listed(1..=3)).ext()
}

pub(super) fn data(dice: &mut Dice) -> Value {
    Object::of(dice)
        .may(60, "id", Dice::id)
        .may(80, "name", Dice::domain)
        .may(15, "cids", |d| vec![d.id(), d.id()])
        .may(90, "segment", |d| d.several(1..=5, segment))
        .ext_of(30, |o| o.may(80, "segtax", |d| d.listed(1..=9)).may(20, "cids", |d| vec![d.id()]))
}

fn segment(dice: &mut Dice) -> Value {
    Object::of(dice)
        .may(90, "id", |d| d.range(1..=1_679).to_string())
        .may(50, "name", Dice::text)
        .may(30, "value", |d| d.pick(&["1", "true", "0.5"]))
        .ext()
}
