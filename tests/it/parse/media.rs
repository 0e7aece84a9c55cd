//! Banner, video and audio with their pods and floors, and the impression's own time and stitching (OpenRTB 2.6
//! sections 3.2.4 to 3.2.8, 3.2.10, 3.2.35).

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use super::fields::{Plain, check_imp, shown};
use outbid::model::auction::Imp;
use outbid::model::media::{Banner, Stream};
use std::fmt::Debug;

/// Compares what `get` takes from a video with these fields beside its content type.
#[track_caller]
fn check_video<T: Debug>(fields: &str, get: impl Fn(&Stream<'_>) -> T, expected: &str) {
    let fields = format!("\"video\":{{\"mimes\":[\"video/mp4\"],{fields}}}");
    check_imp(&fields, |imp| get(imp.video.as_ref().unwrap()), expected);
}

#[track_caller]
fn check_audio<T: Debug>(fields: &str, get: impl Fn(&Stream<'_>) -> T, expected: &str) {
    let fields = format!("\"audio\":{{\"mimes\":[\"audio/mp4\"],{fields}}}");
    check_imp(&fields, |imp| get(imp.audio.as_ref().unwrap()), expected);
}

/// For fields that video and audio share.
#[track_caller]
fn check_both<T: Debug>(fields: &str, get: impl Fn(&Stream<'_>) -> T, expected: &str) {
    check_video(fields, &get, expected);
    check_audio(fields, &get, expected);
}

#[test]
fn flexible_sizes_are_told_apart_from_sizes_in_pixels() {
    for (format, expected) in [
        (r#"[{"wratio":16,"hratio":9,"wmin":300}]"#, "[] 16:9>=300"),
        (r#"[{"w":300,"h":250},{"wratio":"1","hratio":1.0}]"#, "[300x250] 1:1>=0"),
        (r#"[{"w":300,"h":250,"wratio":6,"hratio":5,"wmin":300}]"#, "[300x250] "),
        (r#"[{"w":300,"wratio":6,"hratio":5,"wmin":-1}]"#, "[] 6:5>=0"),
        (r#"[{"wratio":6,"hratio":5,"wmin":1e9}]"#, "[] 6:5>=65535"),
        (r#"[{"wratio":6,"hratio":0},{"wratio":6},{"hratio":5},{"wratio":65536,"hratio":1}]"#, "[] "),
    ] {
        let get = |imp: &Imp<'_>| {
            let banner = imp.banner.as_ref().unwrap();
            let sizes: Vec<_> = banner.sizes.iter().map(|size| Plain(size.to_string())).collect();
            let flexible =
                banner.flexible.iter().map(|f| format!("{}:{}>={}", f.w_ratio, f.h_ratio, f.w_min));
            Plain(format!("{sizes:?} {}", flexible.collect::<Vec<_>>().join(" ")))
        };
        check_imp(&format!("\"banner\":{{\"format\":{format}}}"), get, expected);
    }
}

#[test]
fn the_rest_of_a_banner_is_read() {
    let banner = |fields: &str, get: fn(&Banner<'_>) -> Plain, expected: &str| {
        check_imp(&format!("\"banner\":{{{fields}}}"), |imp| get(imp.banner.as_ref().unwrap()), expected);
    };
    banner(r#""expdir":[1,"2",3.0,"x"]"#, |b| shown(b.expdir), "[1, 2, 3]");
    banner(r#""vcm":true,"id":7"#, |b| shown((b.vcm, b.id)), r#"(Some(1), Some("7"))"#);
    banner(r#""w":1"#, |b| shown((b.vcm, b.id, b.expdir)), "(None, None, [])");
    banner(r#""mimes":"image/png,image/gif""#, |b| shown(b.mimes), r#"["image/png", "image/gif"]"#);
}

#[test]
fn a_stream_without_more_than_its_content_type_has_the_defaults_of_the_specification() {
    for medium in ["video", "audio"] {
        let fields = format!("\"{medium}\":{{\"mimes\":[\"a/b\"]}}");
        let get = |imp: &Imp<'_>| {
            let stream = imp.video.as_ref().or(imp.audio.as_ref()).unwrap();
            let defaults = Stream { mimes: stream.mimes, boxing: true, ..Stream::default() };
            assert_eq!(format!("{stream:?}"), format!("{defaults:?}"));
            shown(stream.mimes)
        };
        check_imp(&fields, get, r#"["a/b"]"#);
    }
}

#[test]
fn durations_are_counted_in_seconds_from_one_up() {
    let bounds = |s: &Stream<'_>| shown((s.min_duration_s, s.max_duration_s, s.exact_durations_s));
    check_both(r#""minduration":5,"maxduration":30"#, bounds, "(5, Some(30), [])");
    check_both(r#""minduration":"5","maxduration":30.9"#, bounds, "(5, Some(30), [])");
    check_both(r#""minduration":-5,"maxduration":0"#, bounds, "(0, None, [])");
    check_both(r#""minduration":null,"maxduration":1e400"#, bounds, "(0, Some(4294967295), [])");
    check_both(r#""rqddurs":[15,"30",60.0]"#, bounds, "(0, None, [15, 30, 60])");
    check_both(r#""rqddurs":"15,30""#, bounds, "(0, None, [15, 30])");
    check_both(r#""maxextended":-1"#, |s| s.max_extended_s, "Some(-1)");
    // Only these durations fit: what cannot be read in full cannot be obeyed.
    for unreadable in ["[15,\"x\"]", "[0]", "[-15]", "{}", "true", "[true]"] {
        let fields = format!("\"video\":{{\"mimes\":[\"a/b\"],\"rqddurs\":{unreadable}}}");
        check_imp(&fields, |imp| imp.fault, "Some(InvalidRequest)");
    }
}

#[test]
fn what_both_streams_have_is_read_in_both() {
    check_both(r#""protocols":[2,"3",5]"#, |s| shown(s.protocols), "[2, 3, 5]");
    check_both(r#""startdelay":-2"#, |s| s.start_delay, "Some(-2)");
    check_both(r#""startdelay":0"#, |s| s.start_delay, "Some(0)");
    check_both(r#""battr":[1,2],"api":[7]"#, |s| shown((s.battr, s.api)), "([1, 2], [7])");
    check_both(
        r#""minbitrate":300,"maxbitrate":"1500""#,
        |s| shown((s.min_bitrate, s.max_bitrate)),
        "(Some(300), Some(1500))",
    );
    check_both(
        r#""delivery":2,"companiontype":[1,2]"#,
        |s| shown((s.delivery, s.companion_types)),
        "([2], [1, 2])",
    );
    check_imp(r#""video":{"mimes":["a/b"],"battr":["x"]}"#, |imp| imp.fault, "Some(InvalidRequest)");
}

#[test]
fn what_only_video_has_is_not_read_in_audio() {
    let player = r#""w":640,"h":"360","plcmt":1,"linearity":1,"skip":1,"skipmin":16,"skipafter":5,"boxingallowed":0,"playbackmethod":[3,1],"playbackend":1,"pos":7,"poddedupe":[1,3]"#;
    let get = |s: &Stream<'_>| {
        let skip = (s.skip, s.skip_min_s, s.skip_after_s);
        let playback = (s.playback_methods, s.playback_end, s.pos);
        shown(((s.w, s.h, s.plcmt, s.linearity), skip, s.boxing, playback, s.pod.dedupe))
    };
    check_video(
        player,
        get,
        "((Some(640), Some(360), Some(1), Some(1)), (Some(true), 16, 5), false, ([3, 1], Some(1), Some(7)), [1, 3])",
    );
    check_audio(player, get, "((None, None, None, None), (None, 0, 0), true, ([], None, None), [])");
    let sound = |s: &Stream<'_>| (s.feed, s.stitched, s.volume_normalisation);
    check_audio(r#""feed":3,"stitched":"1","nvol":4"#, sound, "(Some(3), Some(true), Some(4))");
    check_video(r#""feed":3,"stitched":"1","nvol":4"#, sound, "(None, None, None)");
}

#[test]
fn absent_is_unknown_in_a_player() {
    for (value, skip, boxing) in [
        ("1", "Some(true)", "true"),
        ("0", "Some(false)", "false"),
        ("null", "None", "true"),
        ("2", "None", "true"),
    ] {
        check_video(&format!("\"skip\":{value}"), |s| s.skip, skip);
        check_video(&format!("\"boxingallowed\":{value}"), |s| s.boxing, boxing);
    }
    for size in ["0", "-1", "65536", "\"wide\""] {
        check_video(&format!("\"w\":{size},\"h\":{size}"), |s| (s.w, s.h), "(None, None)");
    }
    // The deprecated fields say something else than what replaced them.
    check_video(
        r#""placement":1,"sequence":2,"protocol":3"#,
        |s| shown((s.plcmt, s.pod.slot, s.protocols)),
        "(None, 0, [])",
    );
}

#[test]
fn the_pod_of_a_slot_is_read() {
    let pod = |s: &Stream<'_>| shown((s.pod.id, s.pod.sequence, s.pod.slot, s.pod.duration_s, s.pod.max_ads));
    check_both(
        r#""podid":"p","podseq":-1,"slotinpod":2,"poddur":60,"maxseq":4"#,
        pod,
        r#"(Some("p"), -1, 2, Some(60), Some(4))"#,
    );
    check_both(r#""podid":7,"podseq":"1""#, pod, r#"(Some("7"), 1, 0, None, None)"#);
    check_both(r#""poddur":0,"maxseq":-1"#, pod, "(None, 0, 0, None, None)");
}

#[test]
fn companions_stand_in_an_array_or_in_the_object_of_2_5() {
    let sizes = |s: &Stream<'_>| {
        let of = |b: &Banner<'_>| Plain(b.sizes.first().map_or("-".to_owned(), |size| size.to_string()));
        shown(s.companions.iter().map(of).collect::<Vec<_>>())
    };
    let list = r#"[{"w":300,"h":250,"id":"c","vcm":1},null,5,{}]"#;
    check_both(&format!("\"companionad\":{list}"), sizes, "[300x250, -]");
    check_both(&format!("\"companionad\":{{\"banner\":{list}}}"), sizes, "[300x250, -]");
    check_both(r#""companionad":{"banner":{"w":300,"h":250}}"#, sizes, "[]");
    check_both(r#""companionad":{"w":300,"h":250}"#, sizes, "[]");
    check_both(
        &format!("\"companionad\":{list}"),
        |s| shown((s.companions[0].id, s.companions[0].vcm)),
        r#"(Some("c"), Some(1))"#,
    );
}

#[test]
fn floors_of_time_are_exact_or_drop_what_they_price() {
    let floors = |per_second: String, by_duration: Vec<String>| {
        Plain(format!("{per_second} {}", by_duration.join(" ")).trim_end().to_owned())
    };
    for (fields, expected) in [
        (r#""mincpmpersec":0.5"#, "0.50"),
        (r#""mincpmpersec":"0.0000001""#, "0.000001"),
        (
            r#""durfloors":[{"mindur":1,"maxdur":15,"bidfloor":5},{"mindur":16,"bidfloor":10.00}]"#,
            "0.00 1-15:5.00 16-:10.00",
        ),
        (r#""durfloors":[{"maxdur":"15","bidfloor":"5"},null,{}]"#, "0.00 0-15:5.00 0-:0.00"),
        (r#""durfloors":[{"mindur":1e12,"maxdur":15.9}]"#, "0.00 4294967295-15:0.00"),
        (r#""durfloors":null,"mincpmpersec":null"#, "0.00"),
        (r#""durfloors":[]"#, "0.00"),
        (r#""mincpmpersec":-1"#, "unreadable"),
        (r#""mincpmpersec":"cheap""#, "unreadable"),
        (r#""mincpmpersec":{}"#, "unreadable"),
        (r#""durfloors":{}"#, "unreadable"),
        (r#""durfloors":5"#, "unreadable"),
        (r#""durfloors":[5]"#, "unreadable"),
        (r#""durfloors":[{"bidfloor":1},{"bidfloor":-1}]"#, "unreadable"),
        (r#""durfloors":[{"mindur":-1,"bidfloor":1}]"#, "unreadable"),
        (r#""durfloors":[{"maxdur":"long","bidfloor":1}]"#, "unreadable"),
    ] {
        let shown_floor = |f: &outbid::model::media::DurationFloor| {
            format!("{}-{}:{}", f.min_s, f.max_s.map(|s| s.to_string()).unwrap_or_default(), f.floor)
        };
        for medium in ["video", "audio"] {
            let stream = format!("\"{medium}\":{{\"mimes\":[\"a/b\"],{fields}}}");
            let get = |imp: &Imp<'_>| match imp.fault {
                Some(reason) => Plain(format!("{reason:?}")),
                None => {
                    let stream = imp.video.as_ref().or(imp.audio.as_ref()).unwrap();
                    let by_duration = stream.duration_floors.iter().map(shown_floor).collect();
                    floors(stream.min_cpm_per_second.to_string(), by_duration)
                }
            };
            check_imp(&stream, get, &expected.replace("unreadable", "InvalidPrice"));
        }
        // A deal with an unreadable floor is not bid on; the impression may be.
        let deal = format!("\"pmp\":{{\"deals\":[{{\"id\":\"d\",\"bidfloor\":2,{fields}}}]}}");
        let get = |imp: &Imp<'_>| {
            assert_eq!(imp.fault, None);
            let deal = &imp.deals[0];
            let by_duration = deal.duration_floors.iter().map(shown_floor).collect();
            match deal.bid_floor {
                Some(_) => floors(deal.min_cpm_per_second.to_string(), by_duration),
                None => Plain("unreadable".to_owned()),
            }
        };
        check_imp(&deal, get, expected);
    }
}

#[test]
fn the_time_of_showing_and_the_stitching_are_read() {
    for (value, expected) in [
        ("1764000000000", "Some(1764000000000)"),
        ("1764000000000.75", "Some(1764000000000)"),
        ("1.764e12", "Some(1764000000000)"),
        ("\"1764000000000\"", "Some(1764000000000)"),
        ("0", "None"),
        ("-5", "None"),
        ("1e400", "None"),
        ("null", "None"),
    ] {
        check_imp(&format!("\"dt\":{value}"), |imp| imp.shown_at_ms, expected);
    }
    check_imp(r#""ssai":"3""#, |imp| imp.ssai, "Some(3)");
    check_imp(r#""ssai":{}"#, |imp| imp.ssai, "None");
}

#[test]
fn a_place_that_refreshes_itself_says_how_often_and_how_fast() {
    for (value, expected) in [
        ("{}", "Some(Refresh { count: None, min_interval_s: None })"),
        (r#"{"count":0}"#, "Some(Refresh { count: Some(0), min_interval_s: None })"),
        (r#"{"count":"3","ext":{}}"#, "Some(Refresh { count: Some(3), min_interval_s: None })"),
        (r#"{"count":-1}"#, "Some(Refresh { count: None, min_interval_s: None })"),
        (
            r#"{"refsettings":[{"reftype":1,"minint":60},{"minint":"30"},{"reftype":2},7,{"minint":0}]}"#,
            "Some(Refresh { count: None, min_interval_s: Some(30) })",
        ),
        (r#"{"refsettings":{"minint":30}}"#, "Some(Refresh { count: None, min_interval_s: None })"),
        ("[]", "None"),
        ("null", "None"),
    ] {
        check_imp(&format!("\"refresh\":{value}"), |imp| imp.refresh, expected);
    }
}
