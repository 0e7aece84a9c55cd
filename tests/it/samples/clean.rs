//! A sanitised request says what decisions read, and nothing of who it was, in both encodings.

use crate::protobuf::Both;
use crate::protobuf::schema::Schema;
use crate::valid::any_request;
use bumpalo::Bump;
use outbid::exchange::{Limits, parse, parse_protobuf, protobuf_as_json, sanitise};
use outbid::model::auction::{Auction, Channel, Geo, Inventory, User};
use serde_json::{Value, json};

const NOW_MS: i64 = 1_790_000_000_000;
const REQUESTS: u64 = 600;

/// What of an auction must not change.
fn lasting<'a>(auction: &Auction<'a>) -> String {
    let mut auction = auction.clone();
    let place = |inventory: &Inventory<'a>| Inventory { page: None, ..inventory.clone() };
    auction.channel = match &auction.channel {
        Channel::Unknown => Channel::Unknown,
        Channel::Site(at) => Channel::Site(place(at)),
        Channel::App(at) => Channel::App(place(at)),
        Channel::Dooh(at) => Channel::Dooh(place(at)),
    };
    auction.user =
        User { keywords: auction.user.keywords, segments: auction.user.segments, ..User::default() };
    auction.device.geo = Geo { lat_micro: None, lon_micro: None, accuracy_m: None, ..auction.device.geo };
    (auction.device.ip, auction.device.ipv6, auction.device.ifa) = (None, None, None);
    (auction.regs.us_privacy, auction.regs.gpp, auction.source.tid) = (None, None, None);
    format!("{auction:#?}")
}

/// Every text and number under members that name a person, whatever stands in them.
fn secrets(request: &Value) -> Vec<String> {
    fn texts(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::String(text) => found.push(text.clone()),
            Value::Array(list) => list.iter().for_each(|value| texts(value, found)),
            Value::Object(members) => members.values().for_each(|value| texts(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    let of_user = ["id", "buyeruid", "gender", "customdata", "consent", "eids", "ext"];
    of_user.iter().for_each(|name| texts(&request["user"][*name], &mut found));
    let of_device =
        ["ip", "ipv6", "ifa", "didsha1", "didmd5", "dpidsha1", "dpidmd5", "macsha1", "macmd5", "ext"];
    of_device.iter().for_each(|name| texts(&request["device"][*name], &mut found));
    ["us_privacy", "gpp"].iter().for_each(|name| texts(&request["regs"][*name], &mut found));
    texts(&request["regs"]["ext"]["us_privacy"], &mut found);
    texts(&request["source"]["tid"], &mut found);
    texts(&request["site"]["search"], &mut found);
    // What is public stands elsewhere too, and shorter ones stand in any text by chance.
    let mut public = request.clone();
    of_user.iter().for_each(|name| public["user"][*name] = Value::Null);
    of_device.iter().for_each(|name| public["device"][*name] = Value::Null);
    ["us_privacy", "gpp"].iter().for_each(|name| public["regs"][*name] = Value::Null);
    public["regs"]["ext"]["us_privacy"] = Value::Null;
    (public["source"]["tid"], public["site"]["search"]) = (Value::Null, Value::Null);
    let public = public.to_string();
    let is_public = |text: &str| {
        let quoted = Value::from(text).to_string();
        public.contains(text) || public.contains(quoted.trim_matches('"'))
    };
    found.retain(|text| text.len() >= 6 && !is_public(text));
    found
}

#[track_caller]
fn assert_silent(clean: &[u8], secrets: &[String]) {
    let text = String::from_utf8_lossy(clean);
    for secret in secrets {
        // As it stands in JSON as well.
        let quoted = Value::from(secret.as_str()).to_string();
        assert!(
            !text.contains(secret.as_str()) && !text.contains(quoted.trim_matches('"')),
            "{secret} in {text}"
        );
    }
}

#[test]
fn whatever_is_asked_decisions_read_the_same_and_ids_are_gone() {
    let (schema, limits, mut said) = (Schema::load(), Limits::default(), 0);
    for number in 0..REQUESTS {
        let request = any_request(number, NOW_MS);
        let body = request.to_string().into_bytes();
        let secrets = secrets(&request);
        said += secrets.len();
        let clean = sanitise(&body, false, false).unwrap();
        let arena = Bump::new();
        let [before, after] = [&body, &clean].map(|body| lasting(&parse(body, &limits, &arena).unwrap()));
        assert_eq!(before, after, "request {number}");
        assert_silent(&clean, &secrets);
        assert_eq!(sanitise(&clean, false, false), Some(clean.clone()), "once is enough");
        let both = Both::of(&schema, &request);
        let clean = sanitise(&both.protobuf, true, false).unwrap();
        let [before, after] =
            [&both.protobuf, &clean].map(|body| lasting(&parse_protobuf(body, &limits, &arena).unwrap()));
        assert_eq!(before, after, "request {number} in protobuf");
        assert_silent(&clean, &secrets);
        assert_eq!(sanitise(&clean, true, false), Some(clean));
    }
    assert!(said > 1_000, "{said}");
}

#[test]
fn of_a_person_and_a_device_only_what_is_listed_stays() {
    let request = json!({
        "id": "r", "imp": [{ "id": "1", "banner": { "w": 300, "h": 250, "ext": { "u": "SECRET" } }, "ext": { "u": "SECRET" } }],
        "site": {
            "id": "s", "domain": "news.example", "page": "https://SECRET:SECRET@news.example/a?u=SECRET#SECRET",
            "ref": "https://search.example/?q=SECRET", "search": "SECRET", "ext": { "u": "SECRET" }, "uid": "SECRET",
            "content": { "url": "https://v.example/1?u=SECRET", "title": "A film", "ext": { "u": "SECRET" } },
            "publisher": { "id": "p", "ext": { "u": "SECRET" } },
        },
        "device": {
            "ua": "Mozilla/5.0", "ip": "203.0.113.77", "ipv6": "2001:db8:1:2:3:4:5:6", "ifa": "SECRET", "dpidsha1": "SECRET",
            "IP": "SECRET", "idfv": "SECRET", "os": { "ifa": "SECRET" }, "make": ["a", { "ifa": "SECRET" }, ["SECRET"]],
            "geo": {
                "country": "DEU", "city": "Bonn", "lat": 50.7374, "lon": "7.0982", "accuracy": 5, "lastfix": 3,
                "ext": { "street": "SECRET" },
            },
            "sua": { "browsers": [{ "brand": "Firefox", "ext": "SECRET" }], "ext": { "u": "SECRET" } }, "ext": { "u": "SECRET" },
        },
        "user": {
            "id": "SECRET", "buyeruid": "SECRET", "yob": 1970, "gender": "F", "customdata": "SECRET", "keywords": "cars,dogs",
            "eids": [{ "source": "x", "uids": [{ "id": "SECRET" }] }], "consent": "SECRET", "geo": { "city": "SECRET" },
            "data": [
                { "id": "d", "segment": [{ "id": "1", "value": "SECRET", "ext": "SECRET" }], "ext": { "segtax": 4, "u": "SECRET" } },
                "SECRET",
            ],
            "ext": { "consent": "SECRET", "eids": [{ "source": "x", "uids": [{ "id": "SECRET" }] }] }, "email": "SECRET",
        },
        "regs": { "gdpr": 1, "gpp": "SECRET", "us_privacy": "SECRET", "ext": { "us_privacy": "SECRET", "gpc": "1", "u": "SECRET" } },
        "source": {
            "tid": "SECRET", "fd": 1, "schain": { "complete": 1, "nodes": [{ "asi": "a", "sid": "1", "ext": "SECRET" }] },
            "ext": { "schain": { "complete": 1, "nodes": [] }, "u": "SECRET" },
        },
        "ext": { "u": "SECRET" }, "uid": "SECRET",
    });
    let expected = json!({
        "id": "r", "imp": [{ "id": "1", "banner": { "w": 300, "h": 250 } }],
        "site": {
            "id": "s", "domain": "news.example", "page": "https://news.example/a", "ref": "https://search.example/",
            "content": { "url": "https://v.example/1", "title": "A film" }, "publisher": { "id": "p" },
        },
        "device": {
            "ua": "Mozilla/5.0", "make": ["a", null, null], "geo": { "country": "DEU", "city": "Bonn", "lat": 50.7, "lon": 7.1 },
            "sua": { "browsers": [{ "brand": "Firefox" }] },
        },
        "user": { "keywords": "cars,dogs", "data": [{ "id": "d", "segment": [{ "id": "1" }], "ext": { "segtax": 4 } }, null] },
        "regs": { "gdpr": 1, "ext": { "gpc": "1" } },
        "source": {
            "fd": 1, "schain": { "complete": 1, "nodes": [{ "asi": "a", "sid": "1" }] },
            "ext": { "schain": { "complete": 1, "nodes": [] } },
        },
    });
    let read = |body: Vec<u8>| serde_json::from_slice::<Value>(&body).unwrap();
    let body = request.to_string();
    assert_eq!(read(sanitise(body.as_bytes(), false, false).unwrap()), expected);
    // Where a rule reads addresses their blocks stay.
    let with_blocks = read(sanitise(body.as_bytes(), false, true).unwrap());
    assert_eq!(
        (&with_blocks["device"]["ip"], &with_blocks["device"]["ipv6"]),
        (&json!("203.0.113.0"), &json!("2001:db8:1::"))
    );
    // The same in protobuf, as far as its schema goes.
    let both = Both::of(&Schema::load(), &request);
    let clean = sanitise(&both.protobuf, true, true).unwrap();
    let shown = protobuf_as_json(&clean, &Limits::default()).unwrap();
    assert!(!shown.to_string().contains("SECRET"), "{shown}");
    assert_eq!(shown["device"]["ip"], "203.0.113.0");
    assert_eq!(shown["device"]["geo"], expected["device"]["geo"]);
    assert_eq!(shown["site"]["page"], "https://news.example/a");
}

#[test]
fn what_is_copied_is_copied_byte_for_byte() {
    let body = br#"{ "id" : "r\u0031", "imp": [ {"id":"1","bidfloor": 0.1234567890123456789, "\u0065xt": {"a":1}} ],
        "us\u0065r": {"\u0069d": "secret", "keywords": "a\ud83d\ude00"}, "at": 1, "at": 2, "device": null, "user": 7 }"#;
    let clean = sanitise(body, false, false).unwrap();
    let expected = r#"{"id" :"#.replace(' ', "");
    let text = String::from_utf8(clean).unwrap();
    assert!(text.starts_with(&expected), "{text}");
    assert_eq!(
        text,
        r#"{"id":"r\u0031","imp":[{"id":"1","bidfloor":0.1234567890123456789}],"us\u0065r":{"keywords":"a\ud83d\ude00"},"at":1,"at":2}"#
    );
    for bad in [&b"{"[..], b"[]", b"7", b"{\"id\":\"\xff\"}", b""] {
        let clean = sanitise(bad, false, false);
        assert!(clean.is_none() || clean.as_deref() == Some(b"[]"), "{bad:?}");
    }
    assert!(sanitise(b"\xff", true, false).is_none());
}

#[test]
fn an_email_address_stays_nowhere_and_the_id_of_the_request_always() {
    let request = json!({
        "id": "r/ann@mail.example", "imp": [{ "id": "1", "tagid": "ann@mail.example", "banner": { "w": 300, "h": 250 } }],
        "site": {
            "domain": "news.example", "page": "https://news.example/leave/ann%40mail.example/now",
            "ref": "https://ann@news.example/ann@mail.example", "name": "Ann (ann@mail.example)", "kwarray": ["a", "ann@mail.example"],
            "content": { "title": "Letters to ann@mail.example", "keywords": "ann@mail.example", "url": "https://v.example/@ann" },
        },
        "user": { "keywords": "cars,ann@mail.example,dogs" }, "device": { "ua": "Mozilla/5.0 ann@mail.example" },
    });
    let expected = json!({
        "id": "r/ann@mail.example", "imp": [{ "id": "1", "tagid": "***", "banner": { "w": 300, "h": 250 } }],
        "site": {
            "domain": "news.example", "page": "https://news.example/leave/***/now", "ref": "https://news.example/***",
            "name": "Ann (***)", "kwarray": ["a", "***"],
            "content": { "title": "Letters to ***", "keywords": "***", "url": "https://v.example/@ann" },
        },
        "user": { "keywords": "cars,***,dogs" }, "device": { "ua": "Mozilla/5.0 ***" },
    });
    let body = request.to_string();
    let clean = |body: &str| -> Value {
        serde_json::from_slice(&sanitise(body.as_bytes(), false, false).unwrap()).unwrap()
    };
    assert_eq!(clean(&body), expected);
    assert_eq!(clean(&body.replace('@', "\\u0040")), expected, "however the sign is written");
    assert_eq!(clean(r#"{"imp":[{"id":"1","ann@mail.example":1}]}"#), json!({ "imp": [{ "id": "1" }] }));
    // In protobuf, what people write: URLs, names, titles, keywords and agents.
    let both = Both::of(&Schema::load(), &request);
    let shown =
        protobuf_as_json(&sanitise(&both.protobuf, true, false).unwrap(), &Limits::default()).unwrap();
    for pointer in
        ["/site/page", "/site/ref", "/site/name", "/site/kwarray", "/site/content", "/user", "/device"]
    {
        assert_eq!(shown.pointer(pointer), expected.pointer(pointer), "{pointer}");
    }
}
