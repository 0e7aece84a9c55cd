//! Trial C1: bad and odd bodies as data, each with the answer that it must get. `cases` is also what the server
//! is tried with over HTTP: 400 and 413 as they stand, 204 where the request or its only impression has a fault.

use bumpalo::Bump;
use outbid::exchange::{Limits, parse, parse_reference};
use outbid::model::no_bid::NoBidReason::{self, *};
use std::collections::HashSet;

/// One body.
pub(crate) struct Case {
    /// What it is about; unique.
    pub(crate) name: String,
    /// The body as it is sent, not compressed.
    pub(crate) body: Vec<u8>,
    /// What must come of it.
    pub(crate) expected: Expected,
}

/// What must come of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Refused with this status.
    Status(u16),
    /// Read, and the whole request gets no bid for this reason: 204.
    RequestFault(NoBidReason),
    /// Read, and its first impression gets no bid for this reason: 204, it is the only one.
    ImpFault(NoBidReason),
    /// Read without a fault: what it gets is the engine's to decide, 200 or 204.
    Fine,
}

use Expected::{Fine, ImpFault, RequestFault, Status};

/// A request with nothing wrong.
pub(crate) const GOOD: &str = r#"{"id":"good","imp":[{"id":"1","banner":{"w":300,"h":250},"bidfloor":0.5}],"site":{"domain":"a.example"},"device":{"ua":"x","geo":{"country":"USA"}}}"#;

/// Every case, in a fixed order.
pub(crate) fn cases() -> Vec<Case> {
    let mut all = Cases(Vec::new());
    all.broken_text();
    all.broken_values();
    all.not_a_request();
    all.repeated_keys();
    all.request_faults();
    all.imp_faults();
    all.odd_but_fine();
    all.limits();
    all.0
}

struct Cases(Vec<Case>);

/// A request with `fields` at its top level.
fn request(fields: &str) -> String {
    format!(r#"{{"id":"r","imp":[{{"id":"1","banner":{{"w":300,"h":250}}}}],{fields}}}"#)
}

/// A request with `fields` in its impression.
fn request_with_imp(fields: &str) -> String {
    format!(r#"{{"id":"r","imp":[{{"id":"1","banner":{{"w":300,"h":250}},{fields}}}]}}"#)
}

impl Cases {
    fn add(&mut self, name: impl Into<String>, body: impl Into<Vec<u8>>, expected: Expected) {
        self.0.push(Case { name: name.into(), body: body.into(), expected });
    }

    /// Not JSON as a text: ends, beginnings, bytes.
    fn broken_text(&mut self) {
        self.add("empty body", "", Status(400));
        self.add("white space only", " \r\n\t", Status(400));
        self.add("byte order mark", format!("\u{feff}{GOOD}"), Status(400));
        self.add("utf-16", GOOD.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>(), Status(400));
        self.add("form encoded", "id=1&imp=1", Status(400));
        self.add("xml", "<request id=\"1\"/>", Status(400));
        self.add("single quotes", GOOD.replace('"', "'"), Status(400));
        self.add("gzip magic", [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3], Status(400));
        for cut in (1..GOOD.len()).step_by(4) {
            self.add(format!("truncated after {cut} bytes"), &GOOD.as_bytes()[..cut], Status(400));
        }
        for tail in ["x", "{}", ",", "]", "}", "\0", "null", "\u{feff}", "//", "\u{a0}"] {
            self.add(format!("good request, then {tail:?}"), format!("{GOOD}{tail}"), Status(400));
        }
        for head in ["x", ",", "\0", "[", "{", "\u{b}", "\u{a0}"] {
            self.add(format!("{head:?}, then a good request"), format!("{head}{GOOD}"), Status(400));
        }
        let bad_utf8: [&[u8]; 9] = [
            b"\x80",
            b"\xff",
            b"\xc0\xaf",
            b"\xe2\x82",
            b"\xed\xa0\x80",
            b"\xf0\x9f\x98",
            b"\xf4\x90\x80\x80",
            b"\xc3",
            b"\xf8\x88\x80\x80\x80",
        ];
        for bytes in bad_utf8 {
            for field in ["name", "ignored"] {
                let [before, after] = [format!("\"site\":{{\"{field}\":\""), "\"}".to_owned()];
                let marked = request(&format!("{before}@{after}"));
                let (head, tail) = marked.split_once('@').expect("the mark is there");
                let body = [head.as_bytes(), bytes, tail.as_bytes()].concat();
                self.add(format!("bytes {bytes:x?} in site.{field}"), body, Status(400));
            }
        }
    }

    /// Not JSON as a value, where it is read and where it is ignored: the answer must not depend on it.
    fn broken_values(&mut self) {
        #[rustfmt::skip]
        let values = [
            "NaN", "Infinity", "-Infinity", "nan", "undefined", "None", "True", "nul", "truee", "01", "-01", "1.", ".5", "+1", "-", "1e", "1e+",
            "1.e3", "0x10", "1_000", "1,5", "--1", "'a'", "\"a", "\"\\x41\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\\"", "\"a\tb\"", "\"a\nb\"",
            "\"\0\"", "\"\u{1f}\"", "[1,]", "[,1]", "[1 2]", "[1}", "{\"a\":1,}", "{\"a\" 1}", "{a:1}", "{1:1}", "{\"a\":}", "{,}", "", "//",
            "/**/1", "[",
        ];
        for value in values {
            self.add(format!("{value:?} in tmax"), request(&format!("\"tmax\":{value}")), Status(400));
            self.add(
                format!("{value:?} in an unknown field"),
                request(&format!("\"x\":{value}")),
                Status(400),
            );
            let floor = request_with_imp(&format!("\"bidfloor\":{value}"));
            self.add(format!("{value:?} in imp.bidfloor"), floor, Status(400));
            let nested = request_with_imp(&format!("\"ext\":{{\"a\":[{{\"b\":{value}}}]}}"));
            self.add(format!("{value:?} deep in imp.ext"), nested, Status(400));
        }
    }

    /// JSON, but no request of OpenRTB 2.
    fn not_a_request(&mut self) {
        for body in [
            "[]",
            "null",
            "true",
            "1",
            "\"id\"",
            "{}",
            "[{\"id\":\"1\"}]",
            "{\"seatbid\":[]}",
            "{\"id\":\"1\"}",
        ] {
            self.add(format!("body {body}"), body, Status(400));
        }
        let imp = r#""imp":[{"id":"1","banner":{"w":300,"h":250}}]"#;
        for id in [
            "null",
            "\"\"",
            "{}",
            "[]",
            "true",
            "[\"a\"]",
            "\"\\ud800\"",
            "\"\\udc00x\"",
            "\"\\ud83d\\u0041\"",
        ] {
            self.add(format!("id {id}"), format!("{{\"id\":{id},{imp}}}"), Status(400));
        }
        self.add("no id", format!("{{{imp}}}"), Status(400));
        self.add("id in another case", format!("{{\"ID\":\"r\",{imp}}}"), Status(400));
        for value in
            ["null", "[]", "{}", "\"1\"", "0", "true", "{\"id\":\"1\",\"banner\":{\"w\":300,\"h\":250}}"]
        {
            self.add(format!("imp {value}"), format!("{{\"id\":\"r\",\"imp\":{value}}}"), Status(400));
        }
        let openrtb3 =
            r#"{"openrtb":{"ver":"3.0","domainspec":"adcom","request":{"id":"r","item":[{"id":"1"}]}}}"#;
        self.add("openrtb 3.0", openrtb3, Status(400));
    }

    /// A key of money or identity twice: two readers could take two values.
    fn repeated_keys(&mut self) {
        for field in ["\"id\":\"r\"", "\"imp\":[]", "\"\\u0069d\":\"other\""] {
            self.add(format!("again {field}"), request(field), Status(400));
        }
        for field in ["\"at\":1", "\"cur\":[\"USD\"]", "\"at\":null"] {
            self.add(format!("twice {field}"), request(&format!("{field},\"x\":1,{field}")), Status(400));
        }
        self.add("imp.id again", request_with_imp("\"id\":\"1\""), Status(400));
        for field in ["\"bidfloor\":1", "\"bidfloor\":null", "\"bidfloorcur\":\"USD\""] {
            self.add(
                format!("twice imp {field}"),
                request_with_imp(&format!("{field},{field}")),
                Status(400),
            );
            let deal = request_with_imp(&format!("\"pmp\":{{\"deals\":[{{\"id\":\"d\",{field},{field}}}]}}"));
            self.add(format!("twice deal {field}"), deal, Status(400));
        }
        for field in
            ["\"tmax\":100", "\"site\":{}", "\"device\":{\"ua\":\"x\"}", "\"ext\":{}", "\"tmax\":\"x\""]
        {
            self.add(format!("twice {field}"), request(&format!("{field},{field}")), Fine);
        }
    }

    /// Answered 204 as a whole.
    fn request_faults(&mut self) {
        let invalid = RequestFault(InvalidRequest);
        for pair in [
            "\"site\":{},\"app\":{}",
            "\"app\":{},\"dooh\":{}",
            "\"site\":{},\"dooh\":{}",
            "\"site\":{},\"app\":{},\"dooh\":{}",
        ] {
            self.add(format!("context {pair}"), request(pair), invalid);
        }
        for second in ["\"1\"", "1", "\"\\u0031\""] {
            let imps = format!(
                r#"[{{"id":"1","banner":{{"w":1,"h":1}}}},{{"id":{second},"banner":{{"w":1,"h":1}}}}]"#
            );
            self.add(format!("imp id 1 and {second}"), format!("{{\"id\":\"r\",\"imp\":{imps}}}"), invalid);
        }
        for rule in ["bcat", "badv", "bapp", "acat", "wseat", "bseat", "wlang", "wlangb"] {
            for value in ["{}", "true", "[\"a\",{}]", "[[\"a\"]]", "[\"\\ud800\"]"] {
                self.add(format!("{rule} {value}"), request(&format!("\"{rule}\":{value}")), invalid);
            }
        }
    }

    /// Answered without a bid on that impression.
    fn imp_faults(&mut self) {
        let banner = r#""banner":{"w":300,"h":250}"#;
        for imp in [
            format!("{{{banner}}}"),
            format!("{{\"id\":null,{banner}}}"),
            format!("{{\"id\":\"\",{banner}}}"),
            format!("{{\"id\":{{}},{banner}}}"),
            format!("{{\"id\":\"\\ud800\",{banner}}}"),
            "{}".to_owned(),
            "null".to_owned(),
            "7".to_owned(),
            "\"imp\"".to_owned(),
            "[]".to_owned(),
            r#"{"id":"1","banner":{"battr":[{}]}}"#.to_owned(),
            r#"{"id":"1","banner":{"btype":true}}"#.to_owned(),
            format!("{{\"id\":\"1\",{banner},\"pmp\":{{\"deals\":[{{\"id\":\"d\",\"wseat\":{{}}}}]}}}}"),
        ] {
            self.add(
                format!("impression {imp}"),
                format!("{{\"id\":\"r\",\"imp\":[{imp}]}}"),
                ImpFault(InvalidRequest),
            );
        }
        for media in [
            "\"x\":1",
            "\"banner\":null",
            "\"banner\":[]",
            "\"banner\":\"300x250\"",
            "\"video\":{}",
            "\"video\":{\"mimes\":[]}",
            "\"video\":{\"mimes\":null}",
            "\"audio\":{\"mimes\":[]}",
            "\"audio\":1",
            "\"native\":{}",
            "\"native\":{\"request\":\"\"}",
            "\"native\":{\"request\":\"{\\ud800}\"}",
            "\"native\":{\"request\":[]}",
            "\"native\":\"{}\"",
        ] {
            let body = format!("{{\"id\":\"r\",\"imp\":[{{\"id\":\"1\",{media}}}]}}");
            self.add(format!("media {media}"), body, ImpFault(NoUsableMedium));
        }
        for floor in [
            "-1",
            "-0.000001",
            "1e400",
            "-1e400",
            "1000000.000001",
            "1e30",
            "\"\"",
            "\"abc\"",
            "\"1.5 USD\"",
            "\"$1\"",
            "\"1,5\"",
            "\"NaN\"",
            "\"Infinity\"",
            "\"-1\"",
            "\"0x1\"",
            "\"1e999\"",
            "true",
            "false",
            "[]",
            "[1]",
            "{}",
            "{\"value\":1}",
            "\"\\ud800\"",
        ] {
            self.add(
                format!("floor {floor}"),
                request_with_imp(&format!("\"bidfloor\":{floor}")),
                ImpFault(InvalidPrice),
            );
        }
    }

    /// Odd, but traffic does it or the specification says to ignore it.
    fn odd_but_fine(&mut self) {
        self.add("good", GOOD, Fine);
        self.add("white space around", format!("\r\n\t {GOOD} \n"), Fine);
        self.add("white space within", GOOD.replace(':', " :\n\t").replace(',', " , "), Fine);
        self.add("escaped keys", GOOD.replace("\"id\"", "\"\\u0069\\u0064\""), Fine);
        for id in [
            "5",
            "-0",
            "1e5",
            "\" \"",
            "\"\\u0000\"",
            "\"\\ud83d\\ude00\"",
            "\"\u{202e}\u{200b}\"",
            "\"<script>\"",
            "\"\\/\\\"\\\\\"",
        ] {
            let body = format!(r#"{{"id":{id},"imp":[{{"id":{id},"banner":{{"w":1,"h":1}}}}]}}"#);
            self.add(format!("ids {id}"), body, Fine);
        }
        for tmax in [
            "0",
            "-1",
            "1000000000",
            "1e400",
            "-1e400",
            "\"100\"",
            "100.5",
            "\"soon\"",
            "null",
            "{}",
            "[]",
            "true",
            "99999999999999999999",
        ] {
            self.add(format!("tmax {tmax}"), request(&format!("\"tmax\":{tmax}")), Fine);
        }
        for floor in [
            "0",
            "-0",
            "-0.0",
            "1e-400",
            "\"1.5\"",
            "\" 1.5 \"",
            "null",
            "1000000",
            "0.00000000000000000000000001",
            "1E+2",
        ] {
            self.add(format!("floor {floor}"), request_with_imp(&format!("\"bidfloor\":{floor}")), Fine);
        }
        for field in [
            "\"at\":9999",
            "\"at\":\"1\"",
            "\"at\":null",
            "\"test\":true",
            "\"cur\":\"USD\"",
            "\"cur\":[\"XXX\"]",
            "\"cur\":{}",
            "\"bcat\":null",
            "\"bcat\":\"IAB25,IAB26\"",
            "\"badv\":[null]",
            "\"badv\":[1]",
            "\"site\":null,\"app\":{}",
            "\"site\":[],\"app\":{}",
            "\"site\":{\"id\":5}",
            "\"device\":\"phone\"",
            "\"device\":{\"geo\":[],\"lmt\":\"1\",\"devicetype\":99,\"ua\":{}}",
            "\"user\":{\"eids\":{},\"ext\":\"x\"}",
            "\"user\":{\"eids\":[null,1,{\"uids\":[{}]}]}",
            "\"regs\":{\"ext\":\"malformed\",\"gdpr\":2}",
            "\"regs\":{\"gpp_sid\":[\"x\"]}",
            "\"source\":{\"schain\":{\"nodes\":[null]}}",
            "\"ext\":\"\\ud800\"",
            "\"ext\":1e400",
            "\"ext\":\"\\udfff\\udfff\"",
            "\"\\ud800\":1",
            "\"unknown\":[[[{}]]]",
            "\"openrtb\":{}",
            "\"allimps\":\"yes\"",
            "\"device\":{\"ua\":\"\\ud800\"}",
            "\"cattax\":99999999",
            "\"\":\"\"",
            "\"user\":{\"keywords\":[\"a\",2,{}]}",
        ] {
            self.add(format!("field {field}"), request(field), Fine);
        }
        for field in [
            "\"secure\":\"1\"",
            "\"secure\":7",
            "\"exp\":-1",
            "\"exp\":1e400",
            "\"instl\":\"x\"",
            "\"qty\":{\"multiplier\":0}",
            "\"qty\":[]",
            "\"pmp\":{\"deals\":{}}",
            "\"pmp\":{\"deals\":[{}]}",
            "\"pmp\":{\"deals\":[{\"id\":\"d\",\"bidfloor\":-1}]}",
            "\"pmp\":\"x\"",
            "\"bidfloorcur\":\"EURO\"",
            "\"bidfloorcur\":null",
            "\"tagid\":{}",
            "\"video\":{\"mimes\":[]}",
            "\"banner\":{}",
            "\"banner\":{\"w\":0,\"h\":2147483648}",
            "\"banner\":{\"format\":[{\"w\":-1,\"h\":1e9},null]}",
            "\"ext\":[1,\"\\ud800\"]",
        ] {
            self.add(format!("imp field {field}"), request_with_imp(field), Fine);
        }
    }

    /// At a limit and over it.
    fn limits(&mut self) {
        let limits = Limits::default();
        let padded = |bytes: usize| format!("{GOOD}{}", " ".repeat(bytes - GOOD.len()));
        self.add("body at its limit", padded(limits.body), Fine);
        self.add("body over its limit", padded(limits.body + 1), Status(413));
        self.add("garbage over the limit of bodies", "x".repeat(limits.body + 1), Status(413));
        let imps = |count: usize| {
            let imp = |at| format!(r#"{{"id":"{at}","banner":{{"w":1,"h":1}}}}"#);
            format!("{{\"id\":\"r\",\"imp\":[{}]}}", (0..count).map(imp).collect::<Vec<_>>().join(","))
        };
        self.add("64 impressions", imps(64), Fine);
        self.add("65 impressions", imps(65), Status(400));
        self.add("4000 impressions", imps(4_000), Status(400));
        let list = |entry: &str, count: usize| format!("[{}]", vec![entry; count].join(","));
        let deals =
            |count| request_with_imp(&format!("\"pmp\":{{\"deals\":{}}}", list("{\"id\":\"d\"}", count)));
        self.add("256 deals", deals(256), Fine);
        self.add("257 deals", deals(257), ImpFault(LimitExceeded));
        self.add("10000 deals", deals(10_000), ImpFault(LimitExceeded));
        for (rule, limit) in [
            ("bcat", 16_384),
            ("badv", 16_384),
            ("bapp", 16_384),
            ("wseat", 1_024),
            ("bseat", 1_024),
            ("acat", 1_024),
            ("wlang", 1_024),
        ] {
            let of = |count| request(&format!("\"{rule}\":{}", list("\"a\"", count)));
            self.add(format!("{rule} at its limit"), of(limit), Fine);
            self.add(format!("{rule} over its limit"), of(limit + 1), RequestFault(LimitExceeded));
            let long = request(&format!("\"{rule}\":[\"{}\"]", "x".repeat(limits.string + 1)));
            self.add(format!("{rule} with a long entry"), long, RequestFault(LimitExceeded));
        }
        for field in ["battr", "btype", "api", "mimes"] {
            let of = |count| request_with_imp(&format!("\"banner\":{{\"{field}\":{}}}", list("1", count)));
            self.add(format!("banner.{field} at its limit"), of(1_024), Fine);
            self.add(format!("banner.{field} over its limit"), of(1_025), ImpFault(LimitExceeded));
        }
        let formats = |count| {
            request_with_imp(&format!("\"banner\":{{\"format\":{}}}", list("{\"w\":1,\"h\":1}", count)))
        };
        self.add("1024 formats", formats(1_024), Fine);
        self.add("1025 formats", formats(1_025), ImpFault(LimitExceeded));
        for (open, close) in
            [("\"site\":{\"page\":", "}"), ("\"user\":{\"buyeruid\":", "}"), ("\"device\":{\"ua\":", "}")]
        {
            let of = |length: usize| request(&format!("{open}\"{}\"{close}", "x".repeat(length)));
            self.add(format!("{open} at its limit"), of(limits.string), Fine);
            self.add(format!("{open} over its limit"), of(limits.string + 1), Status(400));
        }
        let native = |length: usize| {
            request_with_imp(&format!("\"native\":{{\"request\":\"{{{}\"}}", "x".repeat(length)))
        };
        self.add("native.request at its limit", native(limits.native_request - 1), Fine);
        self.add("native.request over its limit", native(limits.native_request), ImpFault(LimitExceeded));
        self.add("cur over its limit", request(&format!("\"cur\":{}", list("\"USD\"", 1_025))), Status(400));
        self.add("long unknown field", request(&format!("\"x\":\"{}\"", "x".repeat(200_000))), Fine);
        for (depth, expected) in
            [(31, Fine), (32, Status(400)), (127, Status(400)), (1_000, Status(400)), (100_000, Status(400))]
        {
            let arrays = request(&format!("\"ext\":{}{}", "[".repeat(depth), "]".repeat(depth)));
            self.add(format!("{depth} arrays in ext"), arrays, expected);
        }
        let objects = request(&format!("\"ext\":{}1{}", "{\"a\":".repeat(5_000), "}".repeat(5_000)));
        self.add("5000 objects in ext", objects, Status(400));
        self.add("200000 open arrays", "[".repeat(200_000), Status(400));
        self.add("open arrays and objects", "[{\"a\":".repeat(30_000), Status(400));
    }
}

fn class_of(body: &[u8]) -> Expected {
    let arena = Bump::new();
    match parse(body, &Limits::default(), &arena) {
        Err(error) => Status(error.status()),
        Ok(auction) => match (auction.fault, auction.imps[0].fault) {
            (Some(reason), _) => RequestFault(reason),
            (None, Some(reason)) => ImpFault(reason),
            (None, None) => Fine,
        },
    }
}

#[test]
fn every_bad_body_gets_its_answer_and_the_next_good_one_is_read() {
    let cases = cases();
    assert!(cases.len() >= 300, "only {} cases", cases.len());
    for case in &cases {
        assert_eq!(class_of(&case.body), case.expected, "{}", case.name);
        assert_eq!(class_of(GOOD.as_bytes()), Fine, "after {}", case.name);
    }
    eprintln!("{} bodies answered as they must be", cases.len());
}

#[test]
fn the_oracle_gives_every_bad_body_the_same_answer() {
    for case in cases() {
        let arena = Bump::new();
        let ours = parse(&case.body, &Limits::default(), &arena).map(|a| format!("{a:?}"));
        let theirs = parse_reference(&case.body, &Limits::default(), &arena).map(|a| format!("{a:?}"));
        assert_eq!(ours.map_err(|e| e.status()), theirs.map_err(|e| e.status()), "{}", case.name);
    }
}

#[test]
fn no_two_cases_are_the_same() {
    let cases = cases();
    let names: HashSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    let bodies: HashSet<&[u8]> = cases.iter().map(|case| case.body.as_slice()).collect();
    assert_eq!((names.len(), bodies.len()), (cases.len(), cases.len()));
}
