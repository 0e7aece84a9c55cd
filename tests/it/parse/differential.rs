//! Trial C3: the reader and its oracle accept the same bodies and see the same auction in them.

use super::{Bump, Limits, parse, parse_reference};
use proptest::prelude::*;
use serde_json::value::RawValue;
use std::path::Path;

/// Mutated versions of every corpus line.
const MUTATIONS: u64 = 300;

/// What both must agree on: the auction to the last field, or the status of the refusal.
fn outcomes(body: &[u8], limits: &Limits) -> [Result<String, u16>; 2] {
    let arena = Bump::new();
    let ours = parse(body, limits, &arena).map(|auction| format!("{auction:?}")).map_err(|e| e.status());
    let theirs =
        parse_reference(body, limits, &arena).map(|auction| format!("{auction:?}")).map_err(|e| e.status());
    [ours, theirs]
}

pub(super) fn assert_agree(body: &[u8], limits: &Limits) -> bool {
    let [ours, theirs] = outcomes(body, limits);
    assert_eq!(ours, theirs, "on {}", String::from_utf8_lossy(body));
    ours.is_ok()
}

/// The bodies of the corpus, as sent; none, said aloud, where it is not there.
pub(crate) fn corpus() -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct Line<'a> {
        #[serde(borrow)]
        request: &'a RawValue,
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/openrtb/requests.ndjson");
    let Ok(lines) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: no corpus at {}; nothing real was compared", path.display());
        return Vec::new();
    };
    let body =
        |line| serde_json::from_str::<Line<'_>>(line).expect("the corpus is JSON").request.get().to_owned();
    lines.lines().map(body).collect()
}

/// The native requests of the corpus, as text, broken ones as well.
fn native_corpus() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/openrtb/native_requests.ndjson");
    let Ok(lines) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: no native corpus at {}; nothing real was compared", path.display());
        return Vec::new();
    };
    let text = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).expect("the corpus is JSON");
        match &line["value"] {
            serde_json::Value::String(text) => text.clone(),
            object => object.to_string(),
        }
    };
    lines.lines().map(text).collect()
}

/// A small seeded generator (splitmix64): the trials repeat from their seed alone.
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

/// Offsets of the tokens of a JSON text.
pub(crate) fn tokens(body: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < body.len() {
        let end = match body[at] {
            b'"' => {
                let mut end = at + 1;
                while end < body.len() && body[end] != b'"' {
                    end += 1 + usize::from(body[end] == b'\\');
                }
                (end + 1).min(body.len())
            }
            b'{' | b'}' | b'[' | b']' | b',' | b':' | b' ' => at + 1,
            _ => {
                body[at..].iter().position(|b| b"{}[],: \"".contains(b)).map_or(body.len(), |n| at + n.max(1))
            }
        };
        found.push(at..end);
        at = end;
    }
    found
}

/// Values and fragments that readers disagree about.
#[rustfmt::skip]
const ODD: &[&str] = &[
    "null", "true", "false", "0", "1", "2", "-1", "-0", "1.0", "1.5", "1e2", "1e400", "-1e400", "1e-400", "01", "1.", "+1", "NaN",
    "Infinity", "9007199254740993", "99999999999999999999", "4294967296", "0.0000001", "\"\"", "\"0\"", "\"1\"", "\"1.5\"", "\"true\"",
    "\" 7 \"", "\"nan\"", "\"inf\"", "\"USD\"", "\"usa\"", "\"a,b , ,c\"", "\"\\ud800\"", "\"\\ud83d\\ude00\"", "\"\\udc00\\ud800\"",
    "\"\\u0000\"", "\"\\/\\n\"", "\"\\x\"", "\"é\"", "\"\\u00e9\"", "[]", "{}", "[null]", "[{}]", "[[]]", "[1,\"2\",true,null,{}]",
    "[\"a\",\"b\"]", "{\"id\":\"x\"}", "{\"w\":1,\"h\":2}", "[", "]", "{", "}", ",", ":", "\"id\"", "\"imp\"", "\"ext\"", "\"eids\"",
    "\"bidfloor\"", "\"keywords\"", "\"kwarray\"", "\"mimes\"", "\"gdpr\"", "\"format\"", "\"w\"", "\"h\"", "\"site\"", "\"app\"",
    "\"video\"", "\"audio\"", "\"native\"", "\"request\"", "\"assets\"", "\"durfloors\"", "\"mincpmpersec\"", "\"rqddurs\"", "\"dt\"",
    "\"companionad\"", "\"wratio\"", "\"hratio\"", "\"{\\\"assets\\\":[{\\\"id\\\":1}]}\"", "{\"banner\":[{}]}", "[{\"mindur\":5,\"bidfloor\":1}]",
];

pub(crate) fn mutate(body: &[u8], tokens: &[std::ops::Range<usize>], random: &mut Seeded) -> Vec<u8> {
    let mut out = body.to_vec();
    let token = |random: &mut Seeded| tokens[random.below(tokens.len())].clone();
    match random.below(8) {
        0 => {
            let at = random.below(out.len());
            out[at] ^= 1 << random.below(8);
        }
        1 => {
            let at = random.below(out.len());
            out[at] = b"{}[]\",:\\0-1eEu\n\0\x80"[random.below(17)];
        }
        2 => out.truncate(random.below(body.len())),
        3 => {
            let (one, two) = (token(random), token(random));
            let (first, second) = if one.start <= two.start { (one, two) } else { (two, one) };
            if first.end <= second.start {
                out = [
                    &body[..first.start],
                    &body[second.clone()],
                    &body[first.end..second.start],
                    &body[first],
                    &body[second.end..],
                ]
                .concat();
            }
        }
        4 => {
            let range = token(random);
            out.drain(range);
        }
        // The most telling one, hence thrice: a token becomes another kind of value or another key.
        _ => {
            let range = token(random);
            out.splice(range, ODD[random.below(ODD.len())].bytes());
        }
    }
    out
}

#[test]
fn the_reader_and_its_oracle_agree_on_the_corpus() {
    let corpus = corpus();
    let accepted = corpus.iter().filter(|body| assert_agree(body.as_bytes(), &Limits::default())).count();
    eprintln!("{accepted} of {} corpus requests are readable", corpus.len());
}

#[test]
fn the_reader_and_its_oracle_agree_on_mutated_requests() {
    let mut bodies = corpus();
    bodies.push(super::request(r#","site":{"page":"https://a.example/","cat":["IAB1"]},"user":{"ext":{"eids":[{"source":"s","uids":[{"id":"u"}]}]}}"#));
    let mut accepted = 0;
    for (line, body) in bodies.iter().enumerate() {
        let tokens = tokens(body.as_bytes());
        for mutation in 0..MUTATIONS {
            let mut random = Seeded((line as u64) << 32 | mutation);
            let mut mutated = mutate(body.as_bytes(), &tokens, &mut random);
            if random.below(3) == 0 && !mutated.is_empty() {
                mutated = mutate(&mutated, &self::tokens(&mutated), &mut random);
            }
            accepted += usize::from(assert_agree(&mutated, &Limits::default()));
        }
    }
    eprintln!("{} mutated requests compared, {accepted} of them readable", bodies.len() as u64 * MUTATIONS);
}

#[test]
fn the_reader_and_its_oracle_agree_on_native_requests_and_their_mutations() {
    let (mut offered, mut compared) = (0, 0);
    let corpus = native_corpus();
    for (line, text) in corpus.iter().enumerate() {
        let mut texts = vec![text.clone()];
        let tokens = tokens(text.as_bytes());
        for mutation in 0..if text.is_empty() { 0 } else { MUTATIONS } {
            let mut random = Seeded((line as u64) << 32 | mutation);
            let mutated = mutate(text.as_bytes(), &tokens, &mut random);
            texts.push(String::from_utf8_lossy(&mutated).into_owned());
        }
        for text in texts {
            let string = serde_json::to_string(&text).expect("text");
            let [as_string, as_object] = [&string, &text].map(|request| {
                super::request_with_imp(&format!(",\"native\":{{\"request\":{request}}}")).into_bytes()
            });
            assert!(assert_agree(&as_string, &Limits::default()), "{text}");
            assert_agree(&as_object, &Limits::default());
            let arena = Bump::new();
            let auction = parse(&as_string, &Limits::default(), &arena).unwrap();
            offered += usize::from(auction.imps[0].native.is_some());
            compared += 1;
        }
    }
    assert!(corpus.is_empty() || offered > 0, "none of {compared} native requests is offered");
    eprintln!("{compared} native requests compared, {offered} of them offered");
}

/// JSON of any shape, with keys that the reader knows among others.
pub(crate) fn any_value() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i64..400).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0.0..20.0f64).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[a-z0-9.,:/-]{0,12}".prop_map(Value::from),
    ];
    scalar.prop_recursive(5, 48, 6, |inner| {
        let key =
            prop_oneof![4 => proptest::sample::select(KEYS).prop_map(str::to_owned), 1 => any::<String>()];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::hash_map(key, inner, 0..8).prop_map(Value::from_iter),
        ]
    })
}

#[rustfmt::skip]
const KEYS: &[&str] = &[
    "id", "imp", "at", "cur", "tmax", "test", "site", "app", "dooh", "device", "user", "regs", "source", "ext", "bcat", "badv", "wseat",
    "banner", "video", "native", "request", "mimes", "format", "w", "h", "battr", "bidfloor", "bidfloorcur", "secure", "exp", "qty",
    "multiplier", "pmp", "deals", "wadomain", "cat", "keywords", "kwarray", "content", "language", "publisher", "page", "domain", "geo",
    "country", "ua", "sua", "browsers", "platform", "brand", "ifa", "eids", "uids", "atype", "mm", "consent", "gdpr", "gpp", "gpp_sid",
    "gpc", "dsa", "dsarequired", "us_privacy", "schain", "complete", "nodes", "asi", "sid", "cattax", "audio", "wratio", "hratio", "wmin",
    "expdir", "vcm", "minduration", "maxduration", "rqddurs", "maxextended", "protocols", "startdelay", "plcmt", "linearity", "skip",
    "skipmin", "skipafter", "minbitrate", "boxingallowed", "playbackmethod", "playbackend", "delivery", "companionad", "companiontype",
    "feed", "stitched", "nvol", "podid", "podseq", "slotinpod", "poddur", "maxseq", "poddedupe", "mincpmpersec", "durfloors", "mindur",
    "maxdur", "request_native", "assets", "required", "title", "len", "img", "type", "data", "eventtrackers", "event", "methods",
    "context", "contextsubtype", "plcmttype", "plcmtcnt", "privacy", "ver", "api", "dt", "ssai", "inventorypartnerdomain", "venuetype",
    "venuetypeid", "venuetypetax", "venuetax", "pubrender", "datatopub", "hp", "fd", "pchain", "lat", "lon", "accuracy", "segment", "segtax",
    "name", "refresh", "count", "refsettings", "minint", "rwdd",
];

/// The name of a field, most of them read.
pub(crate) fn keys() -> impl Strategy<Value = String> {
    proptest::sample::select(KEYS).prop_map(str::to_owned)
}

/// Writes JSON with some characters escaped although they need not be, and some white space.
fn encode(value: &serde_json::Value, random: &mut Seeded, out: &mut String) {
    use serde_json::Value;
    if random.below(8) == 0 {
        out.push_str([" ", "\n", "\t\r", "  "][random.below(4)]);
    }
    match value {
        Value::String(text) => encode_string(text, random, out),
        Value::Array(entries) => {
            out.push('[');
            for (at, entry) in entries.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                encode(entry, random, out);
            }
            out.push(']');
        }
        Value::Object(entries) => {
            out.push('{');
            for (at, (key, entry)) in entries.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                encode_string(key, random, out);
                out.push(':');
                encode(entry, random, out);
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

fn encode_string(text: &str, random: &mut Seeded, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        if c < ' ' || c == '"' || c == '\\' || random.below(16) == 0 {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out.push('"');
}

/// The keys of one object, each with a value that often suits one of them.
fn object_of(keys: &'static [&'static str]) -> impl Strategy<Value = serde_json::Value> {
    use serde_json::{Value, json};
    let value = prop_oneof![
        2 => (-2i64..70_000).prop_map(Value::from),
        1 => proptest::sample::select(vec![
            json!(0.5), json!("7"), json!(true), json!(1e12), json!("x"), json!(["a/b"]), json!([1, 2]), json!(null),
            json!([{"mindur": 5, "maxdur": 15, "bidfloor": 2.5}]), json!([{"bidfloor": -1}]), json!({"len": 25}),
            json!([{"w": 300, "h": 250}, {"wratio": 16, "hratio": 9}]), json!({"banner": [{"w": 1, "h": 2}]}),
            json!({"type": 3, "wmin": 1}), json!({"mimes": ["v"], "protocols": [2]}), json!([[1]]), json!("1,2"),
            json!([{"id": 1, "title": {"len": 5}}]), json!([{"event": 1, "methods": [1, 2]}]),
        ]),
        1 => any_value(),
    ];
    proptest::collection::hash_map(proptest::sample::select(keys), value, 0..12)
        .prop_map(|fields| fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

#[rustfmt::skip]
const STREAM_KEYS: &[&str] = &[
    "mimes", "minduration", "maxduration", "rqddurs", "maxextended", "protocols", "w", "h", "startdelay", "plcmt", "linearity", "skip",
    "skipmin", "skipafter", "battr", "minbitrate", "maxbitrate", "boxingallowed", "playbackmethod", "playbackend", "delivery", "pos",
    "companionad", "companiontype", "api", "feed", "stitched", "nvol", "podid", "podseq", "slotinpod", "poddur", "maxseq", "poddedupe",
    "mincpmpersec", "durfloors", "sequence", "placement",
];

#[rustfmt::skip]
const NATIVE_KEYS: &[&str] = &[
    "ver", "assets", "eventtrackers", "context", "contextsubtype", "plcmttype", "plcmtcnt", "privacy", "native",
];

#[rustfmt::skip]
const ASSET_KEYS: &[&str] = &["id", "required", "title", "img", "video", "data"];

/// An impression whose media are likely to be read.
pub(crate) fn any_imp() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::{Value, json};
    let assets = proptest::collection::vec(object_of(ASSET_KEYS), 0..4);
    let native = (object_of(NATIVE_KEYS), assets, 0..4).prop_map(|(mut request, assets, form)| {
        request["assets"] = assets.into();
        match form {
            0 => json!({ "request": request.to_string(), "battr": [1] }),
            1 => json!({ "request": request, "ver": "1.1" }),
            2 => json!({ "request": json!({ "native": request }).to_string() }),
            _ => json!({ "request_native": request, "api": [7] }),
        }
    });
    let banner =
        object_of(&["format", "w", "h", "btype", "battr", "mimes", "api", "pos", "expdir", "vcm", "id"]);
    let deal =
        object_of(&["id", "bidfloor", "bidfloorcur", "at", "mincpmpersec", "durfloors", "wseat", "guar"]);
    let own = object_of(&["bidfloor", "dt", "ssai", "exp", "secure", "qty", "instl", "refresh", "rwdd"]);
    let mimes = |mut stream: Value| {
        stream["mimes"] = json!(["video/mp4", "audio/mp4"]);
        stream
    };
    let stream = || prop_oneof![3 => object_of(STREAM_KEYS).prop_map(mimes), 1 => object_of(STREAM_KEYS)];
    (own, banner, stream(), stream(), native, deal).prop_map(
        |(mut imp, banner, video, audio, native, deal)| {
            imp["id"] = json!("1");
            (imp["banner"], imp["video"], imp["audio"], imp["native"]) = (banner, video, audio, native);
            imp["pmp"] = json!({ "deals": [deal] });
            imp
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Trial C7, the reader's half: any text anywhere, any kind of value anywhere.
    #[test]
    fn the_reader_and_its_oracle_agree_on_generated_requests(
        fields in proptest::collection::hash_map(proptest::sample::select(KEYS), any_value(), 0..10),
        imps in proptest::collection::vec(any_value(), 1..4),
        id in any::<String>(),
        seed in any::<u64>(),
    ) {
        let mut request = serde_json::Map::from_iter(fields.into_iter().map(|(key, value)| (key.to_owned(), value)));
        request.insert("id".to_owned(), id.clone().into());
        request.insert("imp".to_owned(), imps.into());
        let mut body = String::new();
        encode(&request.into(), &mut Seeded(seed), &mut body);
        let [ours, theirs] = outcomes(body.as_bytes(), &Limits::default());
        prop_assert_eq!(&ours, &theirs, "on {}", &body);
        let arena = Bump::new();
        if let Ok(auction) = parse(body.as_bytes(), &Limits::default(), &arena) {
            prop_assert_eq!(auction.id, &id);
        }
    }

    #[test]
    fn the_reader_and_its_oracle_agree_on_generated_media(imp in any_imp(), seed in any::<u64>()) {
        let request = serde_json::json!({ "id": "r", "imp": [imp] });
        let mut body = String::new();
        encode(&request, &mut Seeded(seed), &mut body);
        let [ours, theirs] = outcomes(body.as_bytes(), &Limits::default());
        prop_assert_eq!(&ours, &theirs, "on {}", &body);
    }
}
