//! Every limit has a defined answer, and a warm reader does not allocate.

use super::differential::assert_agree;
use super::{Bump, Limits, ParseError, parse, request, request_with_imp};
use outbid::exchange::inflate;
use outbid::model::no_bid::NoBidReason::{self, LimitExceeded};

/// Limits that a short body can pass.
fn small() -> Limits {
    Limits { imps: 3, deals: 2, string: 10, native_request: 20, array: 4, block_list: 6, ..Limits::default() }
}

fn repeated(entry: &str, count: usize) -> String {
    format!("[{}]", vec![entry; count].join(","))
}

/// Reads with small limits: the faults of the request and of the first impression, or the status.
#[track_caller]
fn check(body: &str, expected: Result<[Option<NoBidReason>; 2], u16>) {
    assert_agree(body.as_bytes(), &small());
    let arena = Bump::new();
    let found =
        parse(body.as_bytes(), &small(), &arena).map(|auction| [auction.fault, auction.imps[0].fault]);
    assert_eq!(found.map_err(|e| e.status()), expected, "{body}");
}

#[test]
fn a_limit_outside_the_impressions_refuses_the_request() {
    let fine = Ok([None, None]);
    for (within, over) in [
        (
            format!(",\"site\":{{\"cat\":{}}}", repeated("1", 4)),
            format!(",\"site\":{{\"cat\":{}}}", repeated("1", 5)),
        ),
        (",\"site\":{\"page\":\"1234567890\"}".into(), ",\"site\":{\"page\":\"12345678901\"}".into()),
        (
            ",\"device\":{\"ua\":\"\\u00e9\\u00e9\\u00e9\\u00e9\\u00e9\"}".into(),
            ",\"device\":{\"ua\":\"éééééé\"}".into(),
        ),
        (format!(",\"cur\":{}", repeated("\"USD\"", 4)), format!(",\"cur\":{}", repeated("\"USD\"", 5))),
        (
            format!(",\"user\":{{\"eids\":{}}}", repeated("{}", 4)),
            format!(",\"user\":{{\"ext\":{{\"eids\":{}}}}}", repeated("{}", 5)),
        ),
        (
            format!(",\"source\":{{\"schain\":{{\"nodes\":{}}}}}", repeated("{}", 4)),
            format!(",\"source\":{{\"schain\":{{\"nodes\":{}}}}}", repeated("{}", 5)),
        ),
        (
            format!(",\"regs\":{{\"gpp_sid\":{}}}", repeated("7", 4)),
            ",\"regs\":{\"gpp_sid\":\"1,2,3,4,5\"}".into(),
        ),
        (
            format!(",\"user\":{{\"data\":{}}}", repeated("{}", 4)),
            format!(",\"user\":{{\"data\":{}}}", repeated("{}", 5)),
        ),
        (
            format!(",\"user\":{{\"data\":[{{\"segment\":{}}}]}}", repeated("{}", 4)),
            format!(",\"user\":{{\"data\":[{{\"segment\":{}}}]}}", repeated("{}", 5)),
        ),
        (",\"user\":{\"id\":1234567890}".into(), ",\"user\":{\"id\":12345678901}".into()),
    ] {
        check(&request(&within), fine);
        check(&request(&over), Err(400));
    }
    let imps = |count| {
        format!("{{\"id\":\"r\",\"imp\":[{}]}}", vec!["{\"id\":\"\",\"banner\":{}}"; count].join(","))
    };
    check(&imps(3), Ok([None, Some(NoBidReason::InvalidRequest)]));
    check(&imps(4), Err(400));
}

#[test]
fn a_limit_inside_an_impression_drops_that_impression() {
    let dropped = Ok([None, Some(LimitExceeded)]);
    check(
        &request_with_imp(&format!(",\"pmp\":{{\"deals\":{}}}", repeated("{\"id\":\"d\"}", 2))),
        Ok([None, None]),
    );
    for over in [
        format!(",\"pmp\":{{\"deals\":{}}}", repeated("{\"id\":\"d\"}", 3)),
        ",\"tagid\":\"12345678901\"".into(),
        format!(",\"banner\":{{\"format\":{}}}", repeated("{\"w\":1,\"h\":1}", 5)),
        format!(",\"banner\":{{\"battr\":{}}}", repeated("1", 5)),
        format!(",\"banner\":{{\"btype\":{}}}", repeated("1", 5)),
        format!(",\"banner\":{{\"api\":{}}}", repeated("1", 5)),
        format!(",\"video\":{{\"mimes\":{}}}", repeated("\"v\"", 5)),
        ",\"native\":{\"request\":\"{                    \"}".into(),
        format!(",\"pmp\":{{\"deals\":[{{\"id\":\"d\",\"wseat\":{}}}]}}", repeated("\"s\"", 5)),
        format!(",\"pmp\":{{\"deals\":[{{\"id\":\"d\",\"durfloors\":{}}}]}}", repeated("{}", 5)),
        format!(",\"video\":{{\"durfloors\":{}}}", repeated("{\"bidfloor\":1}", 5)),
        format!(",\"video\":{{\"battr\":{}}}", repeated("1", 5)),
        format!(",\"video\":{{\"rqddurs\":{}}}", repeated("15", 5)),
        format!(",\"video\":{{\"protocols\":{}}}", repeated("2", 5)),
        format!(",\"video\":{{\"poddedupe\":{}}}", repeated("2", 5)),
        ",\"audio\":{\"podid\":\"12345678901\"}".into(),
        format!(",\"audio\":{{\"companionad\":{}}}", repeated("{}", 5)),
        format!(",\"audio\":{{\"companionad\":{{\"banner\":{}}}}}", repeated("{}", 5)),
        format!(",\"audio\":{{\"companionad\":[{{\"battr\":{}}}]}}", repeated("1", 5)),
        format!(",\"native\":{{\"battr\":{}}}", repeated("1", 5)),
        format!(",\"native\":{{\"request\":{{\"assets\":{}}}}}", repeated("{\"id\":1}", 5)),
        format!(",\"native\":{{\"request\":{{\"eventtrackers\":{}}}}}", repeated("{}", 5)),
        ",\"native\":{\"request\":{\"eventtrackers\":[{\"methods\":\"1,1,1,1,1\"}]}}".into(),
        ",\"native\":{\"request\":{\"ver\":\"12345678901\"}}".into(),
        ",\"native\":{\"request\":{\"assets\":[{\"img\":{\"mimes\":\"a,a,a,a,a\"}}]}}".into(),
        ",\"native\":{\"request\":\"{\\\"ver\\\":12345678901}\"}".into(),
    ] {
        check(&request_with_imp(&over), dropped);
    }
}

#[test]
fn a_rule_over_its_limit_is_never_cut_short() {
    for rule in ["bcat", "badv", "bapp"] {
        check(&request(&format!(",\"{rule}\":{}", repeated("\"x\"", 6))), Ok([None, None]));
        check(&request(&format!(",\"{rule}\":{}", repeated("\"x\"", 7))), Ok([Some(LimitExceeded), None]));
        check(&request(&format!(",\"{rule}\":[\"12345678901\"]")), Ok([Some(LimitExceeded), None]));
    }
    for rule in ["acat", "wseat", "bseat", "wlang", "wlangb"] {
        check(&request(&format!(",\"{rule}\":{}", repeated("\"x\"", 4))), Ok([None, None]));
        check(&request(&format!(",\"{rule}\":{}", repeated("\"x\"", 5))), Ok([Some(LimitExceeded), None]));
        check(&request(&format!(",\"{rule}\":\"a,b,c,d,e\"")), Ok([Some(LimitExceeded), None]));
    }
}

#[test]
fn what_nobody_reads_has_no_limit_but_the_body() {
    let long = "x".repeat(100_000);
    check(
        &request(&format!(",\"ext\":{{\"a\":\"{long}\",\"b\":{}}}", repeated("1", 5_000))),
        Ok([None, None]),
    );
    let body = request(&format!(",\"ext\":\"{}\"", "x".repeat(300_000)));
    let arena = Bump::new();
    let error = parse(body.as_bytes(), &Limits::default(), &arena).unwrap_err();
    assert_eq!((error, error.status()), (ParseError::TooLarge { bytes: body.len(), limit: 256 << 10 }, 413));
    assert!(parse(body.as_bytes(), &Limits::default().inflated(), &arena).is_ok());
}

#[test]
fn nesting_is_refused_before_it_costs_anything() {
    let at_depth = |depth: usize| {
        let inner = depth - 1;
        request(&format!(",\"ext\":{}{}", "[".repeat(inner), "]".repeat(inner)))
    };
    for (depth, accepted) in [(32, true), (33, false), (128, false), (10_000, false)] {
        let body = at_depth(depth);
        assert_eq!(assert_agree(body.as_bytes(), &Limits::default()), accepted, "depth {depth}");
    }
    let objects = request(&format!(",\"user\":{}1{}", "{\"ext\":".repeat(40), "}".repeat(40)));
    let arena = Bump::new();
    let refused = parse(objects.as_bytes(), &Limits::default(), &arena).unwrap_err();
    assert!(matches!(refused, ParseError::TooDeep { limit: 32, .. }), "{refused}");
    for hostile in ["[".repeat(200_000), request(&format!(",\"ext\":{}", "{\"a\":[".repeat(30_000)))] {
        let refused = parse(hostile.as_bytes(), &Limits::default(), &arena).unwrap_err();
        assert!(matches!(refused, ParseError::TooDeep { .. }), "{refused}");
    }
}

#[test]
fn nesting_under_gzip_is_refused_alike() {
    use std::io::Write;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all("[".repeat(1_000_000).as_bytes()).unwrap();
    let body = gzip.finish().unwrap();
    let mut inflated = Vec::new();
    let limits = Limits::default().inflated();
    inflate(&body, limits.body, &mut inflated).unwrap();
    assert_eq!(inflated.len(), 1_000_000);
    let arena = Bump::new();
    assert_eq!(parse(&inflated, &limits, &arena).unwrap_err(), ParseError::TooDeep { offset: 32, limit: 32 });
}

#[test]
fn a_warm_reader_allocates_nothing() {
    let escapes = request(
        r#","site":{"page":"https:\/\/a.example\/","keywords":"a,b\u002cc"},"device":{"ua":"\"x\""}"#,
    );
    let many = format!(
        "{{\"id\":\"r\",\"imp\":[{}]}}",
        vec!["{\"id\":\"1\",\"banner\":{\"w\":1,\"h\":1}}"; 64].join(",")
    );
    let banner = include_str!("../../../benches/parse/banner.json");
    let media = request_with_imp(
        r#","video":{"mimes":["video/mp4"],"protocols":[2,3],"companionad":[{"w":300,"h":250}],"durfloors":[{"mindur":5,"bidfloor":1}]},"audio":{"mimes":["audio/mp4"],"rqddurs":[15,30],"podid":"p"},"native":{"request":"{\"ver\":\"1.2\",\"assets\":[{\"id\":1,\"title\":{\"len\":25}},{\"id\":2,\"img\":{\"mimes\":[\"image\/png\"]}}],\"eventtrackers\":[{\"event\":1,\"methods\":[1,2]}]}"}"#,
    );
    for body in [banner, &escapes, &many, &media] {
        let mut arena = Bump::new();
        let limits = Limits::default();
        // An arena keeps its largest chunk: the second pass may still ask for one, the third has it.
        for _ in 0..2 {
            assert!(parse(body.as_bytes(), &limits, &arena).is_ok());
            arena.reset();
        }
        let warm = allocation_counter::measure(|| {
            assert!(parse(body.as_bytes(), &limits, &arena).is_ok());
        });
        assert_eq!(warm.count_total, 0, "{body}");
    }
}
