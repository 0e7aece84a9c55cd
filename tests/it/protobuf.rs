//! Protobuf: the schema is the published one, a request means the same as in JSON, and so does an answer.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

pub(crate) mod schema;

use crate::parse::differential::{Seeded, any_imp, any_value, corpus, keys, mutate, tokens};
use bumpalo::Bump;
use outbid::exchange::{Limits, encode_answer, parse, parse_protobuf};
use outbid::model::auction::Channel;
use outbid::model::no_bid::NoBidReason;
use proptest::prelude::*;
use schema::Schema;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// Mutated versions of every corpus line.
const MUTATIONS: u64 = 20;

/// A request in both encodings.
pub(crate) struct Both {
    pub(crate) json: Vec<u8>,
    pub(crate) protobuf: Vec<u8>,
}

impl Both {
    /// What of a request both encodings can say.
    pub(crate) fn of(schema: &Schema, request: &Value) -> Both {
        let mut protobuf = Vec::new();
        let json = schema.encode("BidRequest", request, &mut protobuf);
        Both { json: json.to_string().into_bytes(), protobuf }
    }

    /// The auction, or the status of the refusal, from each.
    fn outcomes(&self, limits: &Limits) -> [Result<String, u16>; 2] {
        let arena = Bump::new();
        let shown = |auction| format!("{auction:?}");
        [
            parse(&self.json, limits, &arena).map(shown).map_err(|e| e.status()),
            parse_protobuf(&self.protobuf, limits, &arena).map(shown).map_err(|e| e.status()),
        ]
    }
}

#[track_caller]
fn assert_agree(schema: &Schema, request: &Value, limits: &Limits) -> bool {
    let both = Both::of(schema, request);
    let [json, protobuf] = both.outcomes(limits);
    assert_eq!(json, protobuf, "on {}", String::from_utf8_lossy(&both.json));
    json.is_ok()
}

#[test]
fn the_schema_has_the_numbers_and_types_of_the_published_one() {
    let schema = Schema::load();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/openrtb/fields.tsv");
    let Ok(table) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: no table of fields at {}; the schema was compared with nothing", path.display());
        return;
    };
    let mut compared = 0;
    for row in table.lines().skip(1) {
        let columns: Vec<&str> = row.split('\t').collect();
        let [object, name, number, kind, repeated] = [0, 1, 6, 7, 8].map(|at| columns[at]);
        // Native has several messages of one name; they are compared by what the request and the answer carry.
        let of_native =
            ["Asset", "Title", "Image", "Data", "EventTrackers", "EventTracker", "Link"].contains(&object);
        let (Some(fields), Ok(number)) = (schema.0.get(object), number.parse::<u64>()) else { continue };
        let Some(field) = fields.iter().find(|field| field.name == name) else {
            // Extensions that nobody reads, and the fields that native's messages have under the same name.
            assert!(
                of_native || name == "ext" || object.ends_with(".Ext") || name == "vasttag",
                "{object}.{name}"
            );
            continue;
        };
        let kind = if kind == "Dooh" { "DOOH" } else { kind };
        if name != "ext" {
            let here = (field.number, field.kind.as_str(), field.repeated.to_string().to_lowercase());
            assert_eq!(here, (number, kind, repeated.to_lowercase()), "{object}.{name}");
        }
        assert_eq!(field.packed, field.repeated && field.kind == "int32", "{object}.{name}");
        compared += 1;
    }
    assert!(compared > 400, "{compared}");
}

#[test]
fn every_field_of_a_request_is_the_same_in_both_encodings() {
    let schema = Schema::load();
    let request: Value = serde_json::from_str(include_str!("protobuf/request.json")).unwrap();
    let both = Both::of(&schema, &request);
    let [json, protobuf] = both.outcomes(&Limits::default());
    let shown = json.unwrap();
    assert_eq!(Ok(&shown), protobuf.as_ref());
    // Whatever a message can say is said somewhere: a field that neither reader takes would be absent everywhere.
    let named = |marker: &str| -> BTreeSet<&str> {
        shown.match_indices(marker).map(|(at, _)| shown[..at].rsplit(' ').next().unwrap()).collect()
    };
    let nowhere: Vec<&str> = named(": None").difference(&named(": Some(")).copied().collect();
    // A screen has neither bundle nor page nor partner, the schema no taxonomy of segments, the request no fault.
    assert_eq!(nowhere, ["bundle", "fault", "inventory_partner_domain", "page", "taxonomy"], "{shown}");
}

#[test]
fn the_corpus_and_its_mutations_mean_the_same_in_both_encodings() {
    let (schema, mut accepted, mut compared) = (Schema::load(), 0, 0);
    for (line, body) in (0u64..).zip(corpus()) {
        let found = tokens(body.as_bytes());
        let mutated = (0..MUTATIONS)
            .map(|n| mutate(body.as_bytes(), &found, &mut Seeded(line << 32 | 0xb0f << 16 | n)));
        for body in std::iter::once(body.clone().into_bytes()).chain(mutated) {
            let Ok(request) = serde_json::from_slice::<Value>(&body) else { continue };
            accepted += usize::from(assert_agree(&schema, &request, &Limits::default()));
            compared += 1;
        }
    }
    eprintln!("{compared} requests compared in both encodings, {accepted} of them readable");
}

#[test]
fn limits_are_the_same_in_both_encodings() {
    let schema = Schema::load();
    let limits = Limits {
        imps: 3,
        deals: 2,
        string: 10,
        native_request: 20,
        array: 4,
        block_list: 6,
        ..Limits::default()
    };
    let list = |entry: Value, count: usize| Value::from(vec![entry; count]);
    let with =
        |field: &str, value: Value| json!({ "id": "r", "imp": [{ "id": "1", "banner": {} }], field: value });
    let with_imp =
        |field: &str, value: Value| json!({ "id": "r", "imp": [{ "id": "1", "banner": {}, field: value }] });
    let check = |request: Value, readable: bool, faults: [Option<NoBidReason>; 2]| {
        assert_eq!(assert_agree(&schema, &request, &limits), readable, "{request}");
        if readable {
            let (arena, both) = (Bump::new(), Both::of(&schema, &request));
            let auction = parse_protobuf(&both.protobuf, &limits, &arena).unwrap();
            assert_eq!([auction.fault, auction.imps[0].fault], faults, "{request}");
        }
    };
    let over = Some(NoBidReason::LimitExceeded);
    check(with("site", json!({ "cat": list(json!("c"), 4) })), true, [None, None]);
    check(with("site", json!({ "cat": list(json!("c"), 5) })), false, [None, None]);
    check(with("site", json!({ "keywords": "a,b,c,d,e" })), false, [None, None]);
    check(with("user", json!({ "id": "12345678901" })), false, [None, None]);
    check(with("user", json!({ "data": [{ "segment": list(json!({}), 5) }] })), false, [None, None]);
    check(with("user", json!({ "eids": list(json!({}), 5) })), false, [None, None]);
    check(with("source", json!({ "schain": { "nodes": list(json!({}), 5) } })), false, [None, None]);
    check(with("device", json!({ "sua": { "browsers": list(json!({}), 5) } })), false, [None, None]);
    check(with("bcat", list(json!("x"), 6)), true, [None, None]);
    check(with("bcat", list(json!("x"), 7)), true, [over, None]);
    check(with("badv", json!(["12345678901"])), true, [over, None]);
    check(with("wseat", list(json!("x"), 5)), true, [over, None]);
    check(with_imp("tagid", json!("12345678901")), true, [None, over]);
    check(with_imp("pmp", json!({ "deals": list(json!({ "id": "d" }), 3) })), true, [None, over]);
    check(with_imp("video", json!({ "rqddurs": list(json!(15), 5) })), true, [None, over]);
    check(with_imp("video", json!({ "rqddurs": [15, 0] })), true, [None, Some(NoBidReason::InvalidRequest)]);
    check(with_imp("video", json!({ "durfloors": list(json!({}), 5) })), true, [None, over]);
    check(with_imp("video", json!({ "companionad": list(json!({}), 5) })), true, [None, over]);
    check(with_imp("audio", json!({ "battr": list(json!(1), 5) })), true, [None, over]);
    check(with_imp("banner", json!({ "format": list(json!({}), 5) })), true, [None, over]);
    check(with_imp("native", json!({ "request": "{                   }" })), true, [None, over]);
    check(
        with_imp("native", json!({ "request": { "assets": list(json!({ "id": 1 }), 5) } })),
        true,
        [None, over],
    );
    let price = Some(NoBidReason::InvalidPrice);
    for unreadable in [json!(-0.5), json!(1e300)] {
        check(with_imp("bidfloor", unreadable.clone()), true, [None, price]);
        check(with_imp("audio", json!({ "mincpmpersec": unreadable })), true, [None, price]);
    }
    check(with_imp("video", json!({ "durfloors": [{ "mindur": -1 }] })), true, [None, price]);
    for (count, readable) in [(3, true), (4, false)] {
        check(
            json!({ "id": "r", "imp": list(json!({ "banner": {} }), count) }),
            readable,
            [None, Some(NoBidReason::InvalidRequest)],
        );
    }
    check(json!({ "imp": [{}] }), false, [None, None]);
    check(json!({ "id": "r" }), false, [None, None]);
}

#[test]
fn what_only_protobuf_can_say_is_defined_as_well() {
    let schema = Schema::load();
    let read = |bytes: &[u8], look: &dyn Fn(Result<outbid::model::auction::Auction<'_>, u16>)| {
        let arena = Bump::new();
        look(parse_protobuf(bytes, &Limits::default(), &arena).map_err(|e| e.status()));
    };
    // Two places: on the wire the last would silently win.
    let both =
        Both::of(&schema, &json!({ "id": "r", "imp": [{ "id": "1", "banner": {} }], "site": {}, "app": {} }));
    read(&both.protobuf, &|auction| {
        let auction = auction.unwrap();
        assert_eq!(auction.fault, Some(NoBidReason::InvalidRequest));
        assert!(matches!(auction.channel, Channel::Site(_)));
    });
    // Numbers that JSON has no form for.
    for floor in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX] {
        let imp = [b"\x0a\x011\x12\x00\x41".as_slice(), &floor.to_le_bytes()].concat();
        let request = [b"\x0a\x01r\x12".as_slice(), &[imp.len() as u8], &imp].concat();
        read(&request, &|auction| {
            assert_eq!(auction.unwrap().imps[0].fault, Some(NoBidReason::InvalidPrice))
        });
    }
    // Unknown fields are passed over; packed and unpacked numbers are one.
    let imp = b"\x0a\x011\x12\x04\x50\x05\x50\x07";
    let request = [b"\x0a\x01r\xc2\x3e\x03ext\x12".as_slice(), &[imp.len() as u8], imp].concat();
    read(&request, &|auction| {
        assert_eq!(auction.unwrap().imps[0].banner.as_ref().unwrap().api, [5, 7]);
    });
    read(b"", &|auction| assert_eq!(auction.map(|_| ()), Err(400)));
    read(b"\x0a\x02\xff\xfe", &|auction| assert_eq!(auction.map(|_| ()), Err(400), "not UTF-8"));
    read(&[0x0b; 4_096], &|auction| assert_eq!(auction.map(|_| ()), Err(400), "nested groups"));
    read(&[0x0b; 200_000], &|auction| assert_eq!(auction.map(|_| ()), Err(400), "nested groups"));
    read(&vec![0; 300_000], &|auction| assert_eq!(auction.map(|_| ()), Err(413)));
}

/// A value for every field of a message, each another one.
fn full(schema: &Schema, message: &str, next: &mut i64) -> Value {
    let of = |field: &schema::Field, next: &mut i64| {
        *next += 1;
        match field.kind.as_str() {
            "string" => json!(format!("é\"{next}")),
            "int32" => json!(*next),
            "bool" => json!(true),
            "double" => json!(*next as f64 + 0.25),
            other => {
                let nested = format!("{message}.{other}");
                let name = if schema.0.contains_key(&nested) { nested } else { other.to_owned() };
                full(schema, &name, next)
            }
        }
    };
    let fields = schema.0[message].iter().filter(|field| field.name != "adm_native");
    let pairs = fields.map(|field| {
        let value = of(field, next);
        (field.name.clone(), if field.repeated { json!([value, of(field, next)]) } else { value })
    });
    pairs.collect()
}

#[test]
fn an_answer_says_the_same_in_both_encodings_to_the_last_field() {
    let schema = Schema::load();
    let answer = full(&schema, "BidResponse", &mut 0);
    assert_eq!(
        answer["seatbid"][1]["bid"][1]["ext"]["dsa"]["transparency"][1]["dsaparams"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    for answer in [
        answer,
        json!({ "id": "r", "nbr": 2 }),
        json!({ "id": "r", "seatbid": [{ "bid": [{ "price": 0.000001 }] }] }),
    ] {
        let (arena, mut out) = (Bump::new(), Vec::new());
        encode_answer(answer.to_string().as_bytes(), &arena, &mut out);
        assert_eq!(schema.decode("BidResponse", &out), answer);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn generated_requests_mean_the_same_in_both_encodings(
        fields in proptest::collection::hash_map(keys(), any_value(), 0..10),
        imps in proptest::collection::vec(prop_oneof![any_imp(), any_value()], 1..4),
    ) {
        let mut request = Value::from_iter(fields);
        request["id"] = json!("r");
        request["imp"] = imps.into();
        let both = Both::of(&Schema::load(), &request);
        let [json, protobuf] = both.outcomes(&Limits::default());
        prop_assert_eq!(json, protobuf, "on {}", String::from_utf8_lossy(&both.json));
    }

    /// Any bytes, and any damage to a message, are read or refused; never anything else.
    #[test]
    fn damaged_messages_are_read_or_refused(imp in any_imp(), at in any::<proptest::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = Both::of(&Schema::load(), &json!({ "id": "r", "imp": [imp] })).protobuf;
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        let arena = Bump::new();
        if let Err(error) = parse_protobuf(&bytes, &Limits::default(), &arena) {
            prop_assert_eq!(error.status(), 400);
        }
    }
}
