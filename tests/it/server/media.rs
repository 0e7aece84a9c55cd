//! Every medium over HTTP: what the demo can fill it fills as asked, both judges agree, and what it cannot it leaves.

use super::{Setup, good_request};
use serde_json::{Value, json};

/// A request for one impression with this medium's object.
fn request(medium: &str, terms: Value) -> Value {
    let mut request = good_request("m");
    let imp = request["imp"][0].as_object_mut().unwrap();
    imp.remove("banner");
    imp.insert(medium.to_owned(), terms);
    request
}

fn video(change: Value) -> Value {
    let mut terms = json!({
        "mimes": ["video/mp4"], "minduration": 5, "maxduration": 30, "protocols": [3, 7], "w": 640, "h": 360,
        "linearity": 1, "skip": 0
    });
    terms.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    request("video", terms)
}

fn audio(change: Value) -> Value {
    let mut terms =
        json!({"mimes": ["audio/mpeg"], "minduration": 5, "maxduration": 30, "protocols": [3, 11]});
    terms.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    request("audio", terms)
}

fn native(assets: Value, more: Value) -> Value {
    let mut inner = json!({"ver": "1.2", "assets": assets});
    inner.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request("native", json!({"request": inner.to_string(), "ver": "1.2"}))
}

#[test]
fn what_can_be_filled_is_filled_as_it_was_asked() {
    let server = Setup::demo().start();
    let known = server.known();
    let check = |request: &Value, expected: Option<i64>| {
        let reply = server.bid("demo", request);
        let Some(mtype) = expected else {
            return assert_eq!(reply.status, 204, "{request}: {}", reply.text());
        };
        assert_eq!(reply.status, 200, "{request}");
        let faults = known.faults(&request.to_string(), reply.text());
        assert_eq!(faults, Vec::<String>::new(), "{request}\n{}", reply.text());
        assert_eq!(reply.json()["seatbid"][0]["bid"][0]["mtype"], mtype, "{request}");
    };
    for protocol in [2, 3, 7, 11, 13, 15] {
        check(&video(json!({"protocols": [protocol]})), Some(2));
        check(&audio(json!({"protocols": [protocol]})), Some(3));
    }
    for terms in [
        json!({"protocols": null}),
        json!({"maxduration": 15}),
        json!({"minduration": 16}),
        json!({"rqddurs": [15]}),
        json!({"rqddurs": [10, 30], "minduration": 0, "maxduration": 0}),
        json!({"maxduration": 6}),
        json!({"minduration": 31, "maxduration": 60}),
        json!({"minduration": 120, "maxduration": 150}),
        json!({"minduration": 7, "maxduration": 14, "maxextended": 1}),
        json!({"minduration": 7, "maxduration": 14, "maxextended": -1}),
        json!({"mimes": ["video/webm", "Video/MP4; codecs=avc1"]}),
        json!({"maxbitrate": 900}),
        json!({"poddur": 60, "maxseq": 3, "podid": "p"}),
        json!({"linearity": null, "skip": null}),
        json!({"skip": 1, "skipafter": 5, "battr": [16], "minduration": 16}),
        json!({"skip": 0, "battr": [16]}),
    ] {
        check(&video(terms), Some(2));
    }
    for terms in [
        json!({"protocols": [9, 10]}),
        json!({"protocols": [5, 6]}),
        json!({"minduration": 7, "maxduration": 14}),
        json!({"rqddurs": [20]}),
        json!({"mimes": ["video/webm"]}),
        json!({"mimes": []}),
        json!({"linearity": 2}),
        json!({"delivery": [1]}),
        json!({"skip": 0, "battr": [16], "minduration": 16}),
        json!({"maxbitrate": 100}),
        json!({"minduration": 15, "maxduration": 30, "poddur": 10}),
    ] {
        check(&video(terms), None);
    }
    check(&audio(json!({"mimes": ["audio/ogg"]})), None);
    check(&audio(json!({"maxduration": 29})), Some(3));
    check(&audio(json!({"maxduration": 14})), None);
    native_cases(&check);
}

fn native_cases(check: &dyn Fn(&Value, Option<i64>)) {
    let title = |len: u32| json!({"id": 1, "required": 1, "title": {"len": len}});
    let data = |kind: u32, len: u32| json!({"id": 3, "required": 1, "data": {"type": kind, "len": len}});
    let image = |w: u32, h: u32| json!({"id": 2, "required": 1, "img": {"type": 3, "wmin": w, "hmin": h}});
    let film = json!({"id": 9, "required": 1, "video": {
        "mimes": ["video/mp4"], "minduration": 1, "maxduration": 15, "protocols": [2, 7]
    }});
    let none = json!({});
    check(&native(json!([title(90)]), none.clone()), Some(4));
    // Two assets of one id cannot be told apart in an answer.
    check(&native(json!([title(25), image(600, 314), data(1, 25), data(12, 15)]), none.clone()), None);
    check(&native(json!([title(25), image(600, 314), data(1, 25), film]), none.clone()), Some(4));
    check(&native(json!([title(22)]), none.clone()), None);
    check(&native(json!([title(90), image(1201, 1)]), none.clone()), None);
    check(&native(json!([title(90), data(3, 25)]), none.clone()), None);
    let optional = json!({"id": 3, "required": 0, "data": {"type": 3}});
    check(&native(json!([title(90), optional]), none.clone()), Some(4));
    let exact = json!({"id": 2, "required": 1, "img": {"type": 1, "w": 80, "h": 80}});
    check(&native(json!([exact]), none), Some(4));
    let trackers = json!({"eventtrackers": [{"event": 1, "methods": [2]}, {"event": 2, "methods": [1]}]});
    check(&native(json!([title(90)]), trackers), Some(4));
    let trackers = json!({"eventtrackers": [{"event": 1, "methods": [1]}], "privacy": 1});
    check(&native(json!([title(90)]), trackers), Some(4));
    let wrapped = json!({"native": {"ver": "1.0", "assets": [title(90)]}}).to_string();
    check(&request("native", json!({"request": wrapped, "ver": "1.0"})), Some(4));
    let object = json!({"ver": "1.2", "assets": [title(90)]});
    check(&request("native", json!({"request": object, "ver": "1.2"})), Some(4));
    check(&request("native", json!({"request": "{", "ver": "1.2"})), None);
}

#[test]
fn an_impression_of_several_media_gets_a_bid_of_one() {
    let server = Setup::demo().start();
    let mut request = video(json!({}));
    request["imp"][0]["banner"] = json!({"w": 300, "h": 250});
    let inner = json!({"ver": "1.2", "assets": [{"id": 1, "required": 1, "title": {"len": 90}}]});
    request["imp"][0]["native"] = json!({"request": inner.to_string()});
    let reply = server.bid("demo", &request);
    assert_eq!(server.known().faults(&request.to_string(), reply.text()), Vec::<String>::new());
    // The film bids most.
    assert_eq!(reply.json()["seatbid"][0]["bid"][0]["mtype"], 2);
}
