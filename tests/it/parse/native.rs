//! The native request in all the shapes in which it is sent (OpenRTB Native 1.0 to 1.2).

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use super::fields::{Plain, check_imp, shown};
use super::{read, request_with_imp};
use outbid::model::auction::Imp;
use outbid::model::media::{Native, NativeAssetKind};
use std::fmt::Debug;

/// A native request in each of the ways that it can be embedded.
fn embedded(request: &str) -> [String; 4] {
    let string = serde_json::to_string(request).unwrap();
    let escaped = string.replace('e', "\\u0065").replace('/', "\\/");
    [
        format!("\"native\":{{\"request\":{string}}}"),
        format!("\"native\":{{\"request\":{escaped}}}"),
        format!("\"native\":{{\"request\":{request}}}"),
        format!("\"native\":{{\"request_native\":{request}}}"),
    ]
}

#[track_caller]
fn check<T: Debug>(request: &str, get: impl Fn(&Native<'_>) -> T, expected: &str) {
    for fields in embedded(request) {
        check_imp(&fields, |imp| get(imp.native.as_ref().unwrap()), expected);
    }
}

/// Compares the assets of a request, each as `id`, `!` when required, and its kind.
#[track_caller]
fn check_assets(assets: &str, expected: &str) {
    let get = |native: &Native<'_>| {
        let one = |a: &outbid::model::media::NativeAsset<'_>| {
            let kind = match a.kind {
                NativeAssetKind::Title { len } => format!("title {len}"),
                NativeAssetKind::Image { kind, w, h, w_min, h_min, mimes } => {
                    format!("img {:?} {:?} {mimes:?}", kind, [w, h, w_min, h_min].map(|s| s.unwrap_or(0)))
                }
                NativeAssetKind::Video { mimes, min_duration_s, max_duration_s, protocols } => {
                    format!("video {mimes:?} {min_duration_s}-{max_duration_s:?} {protocols:?}")
                }
                NativeAssetKind::Data { kind, len } => format!("data {kind} {len:?}"),
                NativeAssetKind::Unknown => "unknown".to_owned(),
            };
            format!("{}{} {kind}", a.id, if a.required { "!" } else { "" })
        };
        Plain(native.assets.iter().map(one).collect::<Vec<_>>().join("; "))
    };
    check(&format!("{{\"assets\":{assets}}}"), get, expected);
}

/// Native is not offered, and nothing else is lost by it.
#[track_caller]
fn check_not_offered(native: &str) {
    let fields = format!("\"native\":{native}");
    check_imp(&fields, |imp| (imp.native.is_none(), imp.banner.is_some(), imp.fault), "(true, true, None)");
    check_imp(&format!("\"banner\":null,{fields}"), |imp| imp.fault, "Some(NoUsableMedium)");
}

#[test]
fn every_kind_of_asset_is_read() {
    check_assets(r#"[{"id":1,"required":1,"title":{"len":90}}]"#, "1! title 90");
    check_assets(r#"[{"id":"2","required":true,"title":{"len":"25"}}]"#, "2! title 25");
    check_assets(r#"[{"id":0,"title":{}}]"#, "0 title 4294967295");
    check_assets(
        r#"[{"id":3,"img":{"type":3,"w":1200,"h":627,"wmin":300,"hmin":157,"mimes":["image/jpeg"]}}]"#,
        r#"3 img Some(3) [1200, 627, 300, 157] ["image/jpeg"]"#,
    );
    check_assets(r#"[{"id":3,"img":{"w":0,"wmin":1e6}}]"#, "3 img None [0, 0, 65535, 0] []");
    // A size that no image has is still asked for.
    check_assets(r#"[{"id":3,"img":{"w":2147483647,"h":-1}}]"#, "3 img None [65535, 0, 0, 0] []");
    check_assets(
        r#"[{"id":4,"video":{"mimes":["video/mp4"],"minduration":5,"maxduration":30,"protocols":[2,3]}}]"#,
        r#"4 video ["video/mp4"] 5-Some(30) [2, 3]"#,
    );
    check_assets(
        r#"[{"id":5,"data":{"type":2,"len":140}},{"id":6,"data":{"type":12}}]"#,
        "5 data 2 Some(140); 6 data 12 None",
    );
}

#[test]
fn of_several_kinds_in_one_asset_the_first_of_the_list_stands() {
    check_assets(r#"[{"id":1,"data":{"type":1},"img":{},"title":{"len":5}}]"#, "1 title 5");
    check_assets(
        r#"[{"id":1,"data":{"type":1},"video":{"mimes":["v"]},"img":{}}]"#,
        "1 img None [0, 0, 0, 0] []",
    );
    check_assets(r#"[{"id":1,"data":{"type":1},"video":{"mimes":["v"]}}]"#, r#"1 video ["v"] 0-None []"#);
    // What lacks a field that its kind requires is not of that kind.
    check_assets(r#"[{"id":1,"data":{"type":1},"video":{}}]"#, "1 data 1 None");
    check_assets(r#"[{"id":1,"required":1,"data":{"len":5}}]"#, "1! unknown");
    check_assets(r#"[{"id":1,"title":5},{"id":2}]"#, "1 unknown; 2 unknown");
}

#[test]
fn an_asset_without_an_id_cannot_be_answered() {
    check_assets(
        r#"[{"title":{"len":5}},{"id":"x","img":{}},null,7,{"id":9,"title":{"len":5}}]"#,
        "9 title 5",
    );
    check_assets(r#"[{"required":1,"title":{"len":5}}]"#, "0! unknown");
}

#[test]
fn the_request_around_the_assets_is_read() {
    let asset = r#""assets":[{"id":1,"title":{"len":5}}]"#;
    let all = |n: &Native<'_>| {
        let context = (n.context, n.context_subtype);
        let placement = (n.placement_type, n.placement_count);
        shown((n.ver, n.wrapped, context, placement, n.privacy))
    };
    check(
        &format!(
            r#"{{"ver":"1.2","context":1,"contextsubtype":"11","plcmttype":4,"plcmtcnt":2,"privacy":1,{asset}}}"#
        ),
        all,
        r#"(Some("1.2"), false, (Some(1), Some(11)), (Some(4), 2), true)"#,
    );
    check(
        &format!(r#"{{"ver":1.1,"plcmtcnt":0,{asset}}}"#),
        all,
        r#"(Some("1.1"), false, (None, None), (None, 1), false)"#,
    );
    check(
        &format!(r#"{{"ver":"2","native":{{"ver":"1.0","context":2,{asset}}}}}"#),
        all,
        r#"(Some("1.0"), true, (Some(2), None), (None, 1), false)"#,
    );
    check(&format!(r#"{{"native":null,{asset}}}"#), |n| n.wrapped, "false");
    let trackers = |n: &Native<'_>| {
        Plain(n.trackers.iter().map(|t| format!("{}/{}", t.event, t.method)).collect::<Vec<_>>().join(" "))
    };
    check(
        &format!(
            r#"{{"eventtrackers":[{{"event":1,"methods":[1,"2"]}},{{"event":2,"methods":1}},{{"methods":[1]}},{{"event":3}},5],{asset}}}"#
        ),
        trackers,
        "1/1 1/2 2/1",
    );
}

#[test]
fn the_object_around_the_request_is_read() {
    let get = |imp: &Imp<'_>| {
        let native = imp.native.as_ref().unwrap();
        shown((native.ver, native.api, native.battr))
    };
    let request = r#""request":{"assets":[{"id":1}]}"#;
    check_imp(
        &format!(r#""native":{{"ver":"1.1","api":[3],"battr":[1,2],{request}}}"#),
        get,
        r#"(Some("1.1"), [3], [1, 2])"#,
    );
    check_imp(
        r#""native":{"request":"{\"ver\":\"1.2\",\"assets\":[{\"id\":1}]}","ver":"1.1"}"#,
        get,
        r#"(Some("1.2"), [], [])"#,
    );
    check_imp(&format!("\"native\":{{\"battr\":[{{}}],{request}}}"), |imp| imp.fault, "Some(InvalidRequest)");
    // Of two requests the string, which the specification knows, stands, as far as it can be read.
    let both = |string: &str| {
        format!(r#""native":{{"request_native":{{"assets":[{{"id":2}}]}},"request":"{string}"}}"#)
    };
    let id = |imp: &Imp<'_>| imp.native.as_ref().unwrap().assets[0].id;
    check_imp(&both(r#"{\"assets\":[{\"id\":1}]}"#), id, "1");
    check_imp(&both("broken"), id, "2");
}

#[test]
fn a_native_request_that_cannot_be_read_is_not_offered() {
    for native in [
        "null",
        "5",
        "[]",
        "{}",
        r#"{"request":null}"#,
        r#"{"request":""}"#,
        r#"{"request":" "}"#,
        r#"{"request":"{json string 1}"}"#,
        r#"{"request":"test-native"}"#,
        r#"{"request":"{}"}"#,
        r#"{"request":"[{\"assets\":[{\"id\":1}]}]"}"#,
        r#"{"request":"{\"assets\":[{\"id\":1}]"}"#,
        r#"{"request":"{\"assets\":[{\"id\":1}]} x"}"#,
        r#"{"request":"{\"assets\":[{\"id\":01}]}"}"#,
        // An answer names assets by their ids alone.
        r#"{"request":{"assets":[{"id":1,"title":{"len":9}},{"id":2},{"id":"1","img":{}}]}}"#,
        r#"{"request":"{\"assets\":[{\"id\":1}],\"ver\":\"\n\"}"}"#,
        r#"{"request":"{\"assets\":[]}"}"#,
        r#"{"request":"{\"assets\":{}}"}"#,
        r#"{"request":"{\"assets\":[{\"title\":{}}]}"}"#,
        r#"{"request":"\"{\\\"assets\\\":[{\\\"id\\\":1}]}\""}"#,
        r#"{"request":{"assets":[null]}}"#,
        r#"{"request":{"native":{"native":{"assets":[{"id":1}]}}}}"#,
        r#"{"request":{"native":{},"assets":[{"id":1}]}}"#,
        r#"{"request":[{"assets":[{"id":1}]}]}"#,
        r#"{"request_native":"{"}"#,
    ] {
        check_not_offered(native);
    }
}

#[test]
fn the_nesting_of_the_string_is_limited_on_its_own() {
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
        let request = format!("{{\"assets\":[{{\"id\":1}}],\"ext\":{open}{close}}}");
        format!("\"native\":{{\"request\":{}}}", serde_json::to_string(&request).unwrap())
    };
    check_imp(&nested(32), |imp| imp.native.is_some(), "true");
    for depth in [33, 129, 10_000] {
        check_imp(&nested(depth), |imp| (imp.native.is_some(), imp.fault), "(false, None)");
    }
    // A text inside the text is text.
    let mut text = "{\"assets\":[{\"id\":1}]}".to_owned();
    for _ in 0..6 {
        text = format!("{{\"native\":{}}}", serde_json::to_string(&text).unwrap());
    }
    check_not_offered(&format!("{{\"request\":{}}}", serde_json::to_string(&text).unwrap()));
    // Inside an object, the limit is that of the body.
    let object = format!("\"native\":{{\"request\":{{\"ext\":{}{}}}}}", "[".repeat(30), "]".repeat(30));
    read(&request_with_imp(&format!(",{object}")), |auction| assert_eq!(auction.unwrap_err().status(), 400));
}
