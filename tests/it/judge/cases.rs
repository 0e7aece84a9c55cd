//! The judge judged: a good answer passes, and each rule catches an answer that breaks it and nothing else.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as loudly as the test")]

use super::read::{field, list, text};
use super::{JudgeContext, effective_floor, judge, lint_pair};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const BASE: &str = "https://track.example/t";

fn url(path: &str, rest: &str) -> String {
    format!("{BASE}/{path}/{}{rest}", "T".repeat(148))
}

fn request() -> Value {
    json!({
        "id": "auction-1",
        "imp": [
            {"id": "1", "banner": {"format": [{"w": 300, "h": 250}, {"w": 320, "h": 50}], "w": 728, "h": 90},
             "bidfloor": 0.5, "bidfloorcur": "USD", "secure": 1,
             "pmp": {"private_auction": 0, "deals": [{"id": "deal-1", "bidfloor": 1.0}]}},
            {"id": "2", "banner": {"w": 300, "h": 250}}
        ],
        "site": {"domain": "news.example", "page": "https://news.example/a"},
        "cur": ["USD", "EUR"]
    })
}

fn response() -> Value {
    let markup = format!(
        r#"<a href="{}"><img src="https://cdn.example/a.png"></a><img src="{}">"#,
        url("c", ""),
        url("i", ".gif")
    );
    json!({
        "id": "auction-1", "bidid": "b", "cur": "USD",
        "seatbid": [{"seat": "seat-1", "bid": [{
            "id": "b-1", "impid": "1", "price": 1.25, "adm": markup, "adomain": ["shop.example"],
            "cid": "5", "crid": "9", "w": 300, "h": 250, "mtype": 1, "cat": ["IAB3-1"], "attr": [2],
            "language": "en", "exp": 120,
            "nurl": url("n", "?p=${AUCTION_PRICE}"), "burl": url("b", "?p=${AUCTION_PRICE}"),
            "lurl": url("l", "?r=${AUCTION_LOSS}&p=${AUCTION_PRICE}")
        }]}]
    })
}

fn context() -> JudgeContext<'static> {
    JudgeContext {
        our_seat: "seat-1",
        rates: BTreeMap::from([("USD", 1.0), ("EUR", 1.25)]),
        public_url: BASE,
        keys: None,
        burl: true,
        lurl: true,
        banner_types: BTreeMap::from([("9".to_owned(), 3)]),
    }
}

/// Judges the good pair after `change(request, response, bid)`.
fn after(change: impl FnOnce(&mut Value, &mut Value)) -> Vec<String> {
    let (mut request, mut response) = (request(), response());
    change(&mut request, &mut response);
    judge(&request, &response, &context())
}

/// Exactly the one violation `expected` (its head) must be found.
fn check(expected: &str, change: impl FnOnce(&mut Value, &mut Value)) {
    let found = after(change);
    assert!(found.len() == 1 && found[0].starts_with(expected), "expected {expected:?}, found {found:?}");
}

/// The same with a change of the first bid only.
fn check_bid(expected: &str, change: impl FnOnce(&mut Value)) {
    check(expected, |_, response| change(&mut response["seatbid"][0]["bid"][0]));
}

/// The same with a change of the request only.
fn check_request(expected: &str, change: impl FnOnce(&mut Value)) {
    check(expected, |request, _| change(request));
}

fn good(change: impl FnOnce(&mut Value, &mut Value)) {
    assert_eq!(after(change), Vec::<String>::new());
}

fn remove(value: &mut Value, name: &str) {
    value.as_object_mut().unwrap().remove(name);
}

#[test]
fn a_good_answer_passes_both_judges() {
    good(|_, _| {});
    assert_eq!(lint_pair(&request().to_string(), &response().to_string()), Vec::<String>::new());
}

#[test]
fn each_form_of_a_no_bid_passes() {
    for answer in [json!({}), json!({"id": "auction-1", "seatbid": []}), json!({"id": "auction-1", "nbr": 2})]
    {
        assert_eq!(judge(&request(), &answer, &context()), Vec::<String>::new());
    }
    assert_eq!(judge(&request(), &json!({"id": "other", "nbr": 2}), &context()).len(), 1);
}

#[test]
fn the_answer_as_a_whole_is_judged() {
    check("id:", |_, response| response["id"] = json!("auction-2"));
    check("id:", |request, _| request["id"] = json!(7));
    good(|request, response| (request["id"], response["id"]) = (json!(7), json!("7")));
    check("bidid:", |_, response| remove(response, "bidid"));
    check("nbr:", |_, response| response["nbr"] = json!(0));
    check("cur:", |request, _| request["cur"] = json!(["EUR"]));
    check("cur:", |request, response| {
        remove(request, "cur");
        response["cur"] = json!("EUR");
    });
    good(|request, response| {
        remove(request, "cur");
        remove(response, "cur");
    });
    check("seat:", |_, response| response["seatbid"][0]["seat"] = json!("seat-2"));
    check_request("wseat:", |request| request["wseat"] = json!(["seat-2"]));
    good(|request, _| request["wseat"] = json!("seat-1"));
    check_request("bseat:", |request| request["bseat"] = json!(["seat-1"]));
    check("seatbid:", |_, response| response["seatbid"][0]["bid"] = json!([]));
    check("group:", |_, response| response["seatbid"][0]["group"] = json!(1));
    check_request("request: several", |request| request["app"] = json!({"bundle": "a"}));
    check_request("request: impressions", |request| request["imp"][1]["id"] = json!(1));
}

#[test]
fn what_must_be_unique_is_judged() {
    let twice = |change: fn(&mut Value)| {
        move |_: &mut Value, response: &mut Value| {
            let mut second = response["seatbid"][0]["bid"][0].clone();
            change(&mut second);
            response["seatbid"][0]["bid"].as_array_mut().unwrap().push(second);
        }
    };
    check("bid.id:", twice(|second| second["impid"] = json!("2")));
    check("impid: two", twice(|second| second["id"] = json!("b-2")));
    good(twice(|second| (second["id"], second["impid"]) = (json!("b-2"), json!("2"))));
    good(twice(|second| (second["id"], second["dealid"]) = (json!("b-2"), json!("deal-1"))));
    check_bid("bid.id:", |bid| remove(bid, "id"));
    check_bid("impid: is no", |bid| bid["impid"] = json!("3"));
}

#[test]
fn the_price_is_judged_against_the_floor_that_counts() {
    check_bid("price:", |bid| bid["price"] = json!("1.25"));
    check("price:", |request, response| {
        remove(&mut request["imp"][0], "bidfloor");
        response["seatbid"][0]["bid"][0]["price"] = json!(0);
    });
    check_bid("bidfloor:", |bid| bid["price"] = json!(0.499999));
    good(|_, response| response["seatbid"][0]["bid"][0]["price"] = json!(0.5));
    check_request("bidfloor:", |request| request["imp"][0]["bidfloor"] = json!("1.250001"));
    check_request("bidfloor:", |request| {
        (request["imp"][0]["bidfloor"], request["imp"][0]["bidfloorcur"]) = (json!(1.1), json!("eur"));
    });
    good(|request, _| {
        (request["imp"][0]["bidfloor"], request["imp"][0]["bidfloorcur"]) = (json!(1.0), json!("EUR"));
    });
    check_request("bidfloor:", |request| request["imp"][0]["bidfloorcur"] = json!("XTS"));
    // 1.25 EUR are 1.5625 USD.
    good(|request, response| {
        response["cur"] = json!("EUR");
        request["imp"][0]["bidfloor"] = json!(1.5625);
    });
    check("bidfloor:", |request, response| {
        response["cur"] = json!("EUR");
        request["imp"][0]["bidfloor"] = json!(1.5626);
    });
}

/// The floor of a bid of so many seconds for an impression's video.
fn check_floor(imp: &Value, deal: Option<&Value>, seconds: u32, expected: (f64, &str)) {
    let (floor, currency) = effective_floor(imp, deal, Some((&imp["video"], seconds)));
    assert_eq!((floor, currency.as_str()), expected, "{imp} {deal:?}");
}

#[test]
fn floors_by_duration_stand_before_the_plain_one() {
    let ranges = json!([
        { "mindur": 1, "maxdur": 15, "bidfloor": 5 }, { "mindur": 16, "maxdur": 30, "bidfloor": 10 }
    ]);
    let imp = |video: Value| json!({ "bidfloor": 1, "bidfloorcur": "EUR", "video": video });
    check_floor(&imp(json!({})), None, 15, (1.0, "EUR"));
    check_floor(&imp(json!({ "mincpmpersec": 0.25 })), None, 30, (7.5, "EUR"));
    let ranged = imp(json!({ "durfloors": ranges }));
    for (seconds, floor) in [(15, 5.0), (16, 10.0), (30, 10.0), (31, 1.0)] {
        check_floor(&ranged, None, seconds, (floor, "EUR"));
    }
    check_floor(&ranged, Some(&json!({ "bidfloor": 2 })), 15, (2.0, "USD"));
    check_floor(&ranged, Some(&json!({ "mincpmpersec": 0.5, "bidfloor": 2 })), 15, (7.5, "USD"));
    check_floor(&ranged, Some(&json!({ "bidfloorcur": "GBP" })), 15, (5.0, "EUR"));
    let odd = json!({ "durfloors": ranges, "bidfloor": "much", "bidfloorcur": "GBP" });
    check_floor(&ranged, Some(&odd), 16, (10.0, "GBP"));
    check_floor(&ranged, Some(&odd), 31, (f64::INFINITY, "GBP"));
}

#[test]
fn deals_are_judged() {
    let on_deal = |change: fn(&mut Value, &mut Value)| {
        move |request: &mut Value, response: &mut Value| {
            let bid = &mut response["seatbid"][0]["bid"][0];
            bid["dealid"] = json!("deal-1");
            change(&mut request["imp"][0], bid);
        }
    };
    good(on_deal(|_, _| {}));
    check("dealid:", on_deal(|_, bid| bid["dealid"] = json!("deal-2")));
    check("private_auction:", |request, _| request["imp"][0]["pmp"]["private_auction"] = json!("1"));
    good(on_deal(|imp, _| imp["pmp"]["private_auction"] = json!(1)));
    // The deal's floor stands in place of the impression's, in its own currency.
    check("bidfloor:", on_deal(|imp, _| imp["pmp"]["deals"][0]["bidfloor"] = json!(1.3)));
    good(on_deal(|imp, _| imp["bidfloor"] = json!(2.0)));
    good(on_deal(|imp, _| {
        imp["bidfloorcur"] = json!("EUR");
        imp["pmp"]["deals"][0]["bidfloor"] = json!(1.25);
    }));
    check(
        "bidfloor:",
        on_deal(|imp, _| {
            remove(&mut imp["pmp"]["deals"][0], "bidfloor");
            imp["bidfloor"] = json!(2.0);
        }),
    );
    check("at:", on_deal(|imp, _| imp["pmp"]["deals"][0]["at"] = json!(3)));
    good(on_deal(|imp, bid| {
        imp["pmp"]["deals"][0]["at"] = json!(3);
        bid["price"] = json!(1.0);
    }));
    check("deal.wseat:", on_deal(|imp, _| imp["pmp"]["deals"][0]["wseat"] = json!(["seat-2"])));
    check("wadomain:", on_deal(|imp, _| imp["pmp"]["deals"][0]["wadomain"] = json!(["other.example"])));
    good(on_deal(|imp, _| imp["pmp"]["deals"][0]["wadomain"] = json!(["SHOP.example"])));
}

#[test]
fn a_banner_may_fill_a_ratio_that_it_names() {
    let flexible = |ratio: Value, bid_ratio: Option<(i64, i64)>| {
        after(|request, response| {
            request["imp"][0]["banner"] = json!({"format": [ratio]});
            if let Some((across, down)) = bid_ratio {
                let bid = &mut response["seatbid"][0]["bid"][0];
                (bid["wratio"], bid["hratio"]) = (json!(across), json!(down));
            }
        })
    };
    let ratio = json!({"wratio": 6, "hratio": 5, "wmin": 300});
    assert_eq!(flexible(ratio.clone(), Some((6, 5))), Vec::<String>::new());
    assert_eq!(flexible(ratio.clone(), None).len(), 1);
    assert_eq!(flexible(ratio, Some((12, 10))).len(), 2);
    assert_eq!(flexible(json!({"wratio": 6, "hratio": 5, "wmin": 301}), Some((6, 5))).len(), 2);
    assert_eq!(flexible(json!({"w": 300, "h": 250}), Some((6, 5))), ["wratio: is not offered"]);
}

#[test]
fn the_banner_is_judged() {
    check_bid("mtype:", |bid| bid["mtype"] = json!(2));
    check_bid("mtype:", |bid| bid["mtype"] = json!(5));
    check_bid("protocol:", |bid| bid["protocol"] = json!(2));
    check_bid("size:", |bid| bid["w"] = json!(301));
    // With a list of formats the banner's own size is not offered.
    check_bid("size:", |bid| (bid["w"], bid["h"]) = (json!(728), json!(90)));
    good(|_, response| response["seatbid"][0]["bid"][0]["impid"] = json!("2"));
    check_request("mtype: banner", |request| {
        remove(&mut request["imp"][0], "banner");
        request["imp"][0]["video"] = json!({});
    });
    check_request("battr:", |request| request["imp"][0]["banner"]["battr"] = json!([1, "2"]));
    check_request("btype:", |request| request["imp"][0]["banner"]["btype"] = json!([3]));
    check_bid("api:", |bid| bid["apis"] = json!([5]));
    good(|request, response| {
        request["imp"][0]["banner"]["api"] = json!([3, 5]);
        response["seatbid"][0]["bid"][0]["apis"] = json!([5]);
    });
}

fn vast(version: &str, inside: &str) -> String {
    format!(r#"<VAST version="{version}"><Ad id="9">{inside}</Ad></VAST>"#)
}

fn film() -> String {
    let files = r#"<MediaFiles><MediaFile type="video/mp4">https://a.example/</MediaFile></MediaFiles>"#;
    let inside = format!(
        "<InLine><Impression>{}</Impression><Creatives><Creative><Linear skipoffset=\"00:00:05\"><Duration>00:00:15\
         </Duration><VideoClicks><ClickThrough>{}</ClickThrough></VideoClicks>{files}</Linear></Creative></Creatives></InLine>",
        url("i", ".gif"),
        url("c", ""),
    );
    vast("3.0", &inside)
}

/// A pair about video.
fn about_video(request: &mut Value, response: &mut Value) {
    request["imp"][1] = json!({"id": "2", "video": {
        "mimes": ["video/webm", "VIDEO/mp4"], "protocols": [2, 3], "minduration": 5, "maxduration": 30, "skip": 0
    }});
    let bid = &mut response["seatbid"][0]["bid"][0];
    (bid["impid"], bid["mtype"], bid["adm"]) = (json!("2"), json!(2), json!(film()));
    (bid["protocol"], bid["dur"], bid["attr"]) = (json!(3), json!(15), json!([16]));
    remove(bid, "w");
    remove(bid, "h");
}

/// A pair about native.
fn about_native(request: &mut Value, response: &mut Value) {
    let asked = json!({"ver": "1.2", "assets": [
        {"id": 1, "required": 1, "title": {"len": 10}},
        {"id": 2, "required": 1, "img": {"type": 3, "wmin": 100, "hmin": 50}},
        {"id": 3, "data": {"type": 1, "len": 5}},
        {"id": 4, "video": {"mimes": ["video/mp4"], "minduration": 5, "maxduration": 30, "protocols": [3]}}
    ], "eventtrackers": [{"event": 1, "methods": [1, 2]}], "privacy": 1});
    request["imp"][1] = json!({"id": "2", "native": {"request": asked.to_string(), "ver": "1.2"}});
    let answer = json!({"ver": "1.2", "assets": [
        {"id": 1, "title": {"text": "ten chars!"}},
        {"id": 2, "img": {"type": 3, "url": "https://a.example/", "w": 100, "h": 50}},
        {"id": 3, "data": {"type": 1, "value": "Acme"}},
        {"id": 4, "video": {"vasttag": film()}}
    ], "link": {"url": url("c", "")}, "privacy": "https://a.example/p",
       "eventtrackers": [{"event": 1, "method": 1, "url": url("i", ".gif")}]});
    let bid = &mut response["seatbid"][0]["bid"][0];
    (bid["impid"], bid["mtype"], bid["adm"]) = (json!("2"), json!(4), json!(answer.to_string()));
    remove(bid, "w");
    remove(bid, "h");
}

#[test]
fn video_and_audio_are_judged() {
    good(about_video);
    let video = |change: fn(&mut Value, &mut Value)| {
        move |request: &mut Value, response: &mut Value| {
            about_video(request, response);
            change(&mut request["imp"][1]["video"], &mut response["seatbid"][0]["bid"][0]);
        }
    };
    let markup = |bid: &mut Value, from: &str, to: &str| {
        bid["adm"] = json!(bid["adm"].as_str().unwrap().replace(from, to));
    };
    check("protocols:", video(|offer, _| offer["protocols"] = json!([2, 7])));
    good(video(|offer, _| remove(offer, "protocols")));
    check("protocol:", video(|_, bid| bid["protocol"] = json!(2)));
    check("mimes:", video(|offer, _| offer["mimes"] = json!(["video/webm"])));
    check("minduration:", video(|offer, _| offer["minduration"] = json!("16")));
    check("maxduration:", video(|offer, _| offer["maxduration"] = json!(14)));
    good(video(|offer, _| (offer["maxduration"], offer["maxextended"]) = (json!(10), json!(5))));
    good(video(|offer, _| (offer["maxduration"], offer["maxextended"]) = (json!(10), json!(-1))));
    check("rqddurs:", video(|offer, _| offer["rqddurs"] = json!([10, 30])));
    good(video(|offer, _| (offer["rqddurs"], offer["maxduration"]) = (json!([15]), json!(10))));
    check("dur:", video(|_, bid| bid["dur"] = json!(20)));
    check("dur: is missing", |request, response| {
        about_video(request, response);
        remove(&mut request["imp"][1]["video"], "minduration");
        remove(&mut response["seatbid"][0]["bid"][0], "dur");
    });
    check("poddur:", video(|offer, _| offer["poddur"] = json!(14)));
    check("slotinpod:", video(|_, bid| bid["slotinpod"] = json!(1)));
    good(video(|offer, bid| (offer["poddur"], bid["slotinpod"]) = (json!(60), json!(1))));
    check("linearity:", video(|offer, _| offer["linearity"] = json!(2)));
    check("attr:", video(|_, bid| bid["attr"] = json!([])));
    good(video(|offer, bid| (offer["skip"], bid["attr"]) = (json!(1), json!([]))));
    check("battr:", video(|offer, _| offer["battr"] = json!([16])));
    check("api:", video(|_, bid| bid["apis"] = json!([7])));
    check("mtype: audio", video(|_, bid| bid["mtype"] = json!(3)));
    for (from, to, expected) in [
        ("</Ad>", "", "adm: is no XML"),
        ("VAST", "DAAST", "adm: is no VAST"),
        ("InLine", "Other", "adm: has no ad"),
        ("\"3.0\"", "\"3.1\"", "adm: has version"),
    ] {
        check(expected, |request, response| {
            about_video(request, response);
            markup(&mut response["seatbid"][0]["bid"][0], from, to);
        });
    }
    check("adm: has no click", |request, response| {
        about_video(request, response);
        markup(&mut response["seatbid"][0]["bid"][0], "/t/c/", "/x/c/");
    });
    good(|request, response| {
        about_video(request, response);
        request["imp"][1]["video"]["protocols"] = json!([6]);
        let inside = format!(
            "<Wrapper><VASTAdTagURI>https://a.example/</VASTAdTagURI><Impression>{}</Impression><Creatives><Creative>\
             <Linear><VideoClicks><ClickTracking>{}</ClickTracking></VideoClicks></Linear></Creative></Creatives></Wrapper>",
            url("i", ".gif"),
            url("e", "?e=click"),
        );
        let bid = &mut response["seatbid"][0]["bid"][0];
        (bid["adm"], bid["protocol"]) = (json!(vast("3.0", &inside)), json!(6));
    });
}

#[test]
fn native_is_judged() {
    good(about_native);
    /// Changes the request inside the request and the answer inside the answer.
    fn native(change: impl FnOnce(&mut Value, &mut Value)) -> impl FnOnce(&mut Value, &mut Value) {
        move |request, response| {
            about_native(request, response);
            let (asked, given) =
                (&mut request["imp"][1]["native"]["request"], &mut response["seatbid"][0]["bid"][0]["adm"]);
            let read = |text: &Value| serde_json::from_str::<Value>(text.as_str().unwrap()).unwrap();
            let (mut inner_asked, mut inner_given) = (read(asked), read(given));
            change(&mut inner_asked, &mut inner_given);
            (*asked, *given) = (json!(inner_asked.to_string()), json!(inner_given.to_string()));
        }
    }
    check(
        "assets: Some(1) is required",
        native(|_, given| drop(given["assets"].as_array_mut().unwrap().remove(0))),
    );
    good(native(|_, given| drop(given["assets"].as_array_mut().unwrap().remove(2))));
    check("assets: Some(9)", native(|_, given| given["assets"][2]["id"] = json!(9)));
    check(
        "assets: Some(3) comes twice",
        native(|_, given| {
            let again = given["assets"][2].clone();
            given["assets"].as_array_mut().unwrap().push(again);
        }),
    );
    check(
        "assets: [\"title\"] fills",
        native(|_, given| given["assets"][2] = json!({"id": 3, "title": {"text": "a"}})),
    );
    check("title: is too long", native(|asked, _| asked["assets"][0]["title"]["len"] = json!(9)));
    check("title: is empty", native(|_, given| given["assets"][0]["title"]["text"] = json!("")));
    check("data: is too long", native(|asked, _| asked["assets"][2]["data"]["len"] = json!(3)));
    check("data: is of", native(|asked, _| asked["assets"][2]["data"]["type"] = json!(2)));
    check("img: is of", native(|asked, _| asked["assets"][1]["img"]["type"] = json!(1)));
    check("img: wmin", native(|asked, _| asked["assets"][1]["img"]["wmin"] = json!(101)));
    check("img: h", native(|asked, _| asked["assets"][1]["img"] = json!({"type": 3, "h": 49})));
    check("protocols:", native(|asked, _| asked["assets"][3]["video"]["protocols"] = json!([2])));
    check("maxduration:", native(|asked, _| asked["assets"][3]["video"]["maxduration"] = json!(10)));
    check(
        "eventtrackers:",
        native(|asked, _| asked["eventtrackers"] = json!([{"event": 1, "methods": [2]}])),
    );
    check(
        "adm: no impression",
        native(|asked, given| {
            asked["eventtrackers"][0]["event"] = json!(2);
            given["eventtrackers"][0]["event"] = json!(2);
        }),
    );
    good(native(|asked, given| {
        remove(asked, "eventtrackers");
        given["imptrackers"] = json!([given["eventtrackers"][0]["url"]]);
        remove(given, "eventtrackers");
    }));
    check("privacy:", native(|asked, _| remove(asked, "privacy")));
    check("adm: stands", native(|asked, _| *asked = json!({"native": asked})));
    good(native(|asked, given| (*asked, *given) = (json!({"native": asked}), json!({"native": given}))));
    good(|request, response| {
        about_native(request, response);
        let object = &mut request["imp"][1]["native"]["request"];
        *object = serde_json::from_str(object.as_str().unwrap()).unwrap();
    });
    check("link:", |request, response| {
        about_native(request, response);
        let adm = &mut response["seatbid"][0]["bid"][0]["adm"];
        *adm = json!(adm.as_str().unwrap().replace("\"link\"", "\"lnik\""));
    });
    check("native.request:", |request, response| {
        about_native(request, response);
        request["imp"][1]["native"]["request"] = json!("{");
    });
}

#[test]
fn block_and_allow_lists_are_judged() {
    check_bid("adomain:", |bid| bid["adomain"] = json!([]));
    check_request("badv:", |request| request["badv"] = json!(["SHOP.example"]));
    check_request("badv:", |request| request["badv"] = json!(["example"]));
    good(|request, _| request["badv"] = json!(["op.example", "www.shop.example", ""]));
    check_request("bcat:", |request| request["bcat"] = json!(["IAB3"]));
    check_request("bcat:", |request| request["bcat"] = json!(["iab3-1"]));
    good(|request, _| request["bcat"] = json!(["IAB3-10", "IAB30", "IAB"]));
    good(|request, _| (request["bcat"], request["cattax"]) = (json!(["IAB3-1"]), json!(7)));
    check_request("acat:", |request| request["acat"] = json!(["IAB4"]));
    good(|request, _| request["acat"] = json!(["IAB3"]));
    check("acat:", |request, response| {
        request["acat"] = json!(["IAB3"]);
        remove(&mut response["seatbid"][0]["bid"][0], "cat");
    });
    check("bapp:", |request, response| {
        request["bapp"] = json!(["com.a"]);
        response["seatbid"][0]["bid"][0]["bundle"] = json!("com.a");
    });
    check_request("wlang:", |request| request["wlang"] = json!(["de"]));
    good(|request, _| request["wlangb"] = json!(["en-GB"]));
    good(|request, response| {
        request["wlang"] = json!(["de"]);
        remove(&mut response["seatbid"][0]["bid"][0], "language");
    });
    check_request("dsa:", |request| request["regs"] = json!({"ext": {"dsa": {"dsarequired": 2}}}));
}

#[test]
fn identity_markup_and_notices_are_judged() {
    for name in ["cid", "crid"] {
        check_bid(name, |bid| remove(bid, name));
    }
    check_bid("exp:", |bid| bid["exp"] = json!(0));
    let text = |bid: &Value, name: &str| bid[name].as_str().unwrap().to_owned();
    check_bid("adm: has no click", |bid| bid["adm"] = json!(text(bid, "adm").replace("/t/c/", "/x/")));
    check_bid("adm: has no impression", |bid| bid["adm"] = json!(text(bid, "adm").replace("/t/i/", "/x/")));
    check_bid("adm: a macro", |bid| bid["adm"] = json!(text(bid, "adm") + "{{WIDTH}}"));
    check_bid("secure: the markup", |bid| {
        bid["adm"] = json!(text(bid, "adm") + "<img src=HTTP://a.example/>")
    });
    good(|_, response| {
        let bid = &mut response["seatbid"][0]["bid"][0];
        bid["adm"] = json!(text(bid, "adm") + "<svg xmlns='http://www.w3.org/2000/svg'></svg>");
    });
    check_bid("token:", |bid| bid["nurl"] = json!(text(bid, "nurl").replacen('T', "", 1)));
    for name in ["nurl", "burl", "lurl"] {
        check_bid(name, |bid| remove(bid, name));
        check_bid(name, |bid| bid[name] = json!("/relative"));
        check_bid(name, |bid| bid[name] = json!(text(bid, name) + "&x=a b"));
        check_bid(name, |bid| bid[name] = json!(text(bid, name).replace("${AUCTION_", "${")));
    }
    let mut not_agreed = context();
    (not_agreed.burl, not_agreed.lurl) = (false, false);
    assert_eq!(judge(&request(), &response(), &not_agreed).len(), 2);
    let mut insecure = context();
    insecure.public_url = "http://track.example/t";
    let answer = response().to_string().replace("https://track", "http://track");
    let found = judge(&request(), &serde_json::from_str(&answer).unwrap(), &insecure);
    assert_eq!(found.len(), 4, "markup and three notices: {found:?}");
}

#[test]
fn the_linter_sees_the_answer_and_not_the_request() {
    let with = |request: Value, response: Value| lint_pair(&request.to_string(), &response.to_string());
    let mut odd = request();
    (odd["id"], odd["imp"][0]["id"]) = (json!(5), json!(1));
    (odd["cur"], odd["tmax"], odd["at"]) = (json!("usd"), json!("abc"), json!("x"));
    let mut answer = response();
    answer["id"] = json!("5");
    assert_eq!(with(odd.clone(), answer.clone()), Vec::<String>::new());
    answer["seatbid"][0]["bid"][0]["impid"] = json!("7");
    assert_eq!(with(odd, answer).len(), 1);
    let mut typed_wrong = response();
    typed_wrong["seatbid"][0]["bid"][0]["price"] = json!("1.25");
    assert_eq!(with(request(), typed_wrong).len(), 1);
    assert_eq!(lint_pair("{", "{}").len(), 1);
}

/// Whatever the corpus asks, a plain answer to it is not blamed for the request's own faults.
#[test]
fn the_linter_blames_no_answer_for_a_request_of_the_corpus() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/openrtb/requests.ndjson");
    let Ok(corpus) = std::fs::read_to_string(path) else {
        eprintln!("SKIPPED: no corpus at {path}");
        return;
    };
    let mut answered = 0;
    for line in corpus.lines() {
        let Ok(record) = serde_json::from_str::<Value>(line) else { continue };
        let request = &record["request"];
        let first = |name: &str, default: &str| {
            list(field(request, name)).first().cloned().unwrap_or(default.to_owned())
        };
        let ids = (text(field(request, "id")), text(request.pointer("/imp/0/id")));
        let (Some(id), Some(impid)) = ids else { continue };
        let banner = request.pointer("/imp/0/banner").is_some_and(Value::is_object);
        let mut ids = super::list_of_ids(request);
        let imps = ids.len();
        ids.sort();
        ids.dedup();
        // A request with equal ids is never answered.
        if !banner || ids.len() != imps {
            continue;
        }
        let mut answer = response();
        (answer["id"], answer["cur"]) = (json!(id), json!(first("cur", "USD").to_ascii_uppercase()));
        answer["seatbid"][0]["seat"] = json!(first("wseat", "seat-1"));
        answer["seatbid"][0]["bid"][0]["impid"] = json!(impid);
        let found = lint_pair(&request.to_string(), &answer.to_string());
        assert_eq!(found, Vec::<String>::new(), "{request}");
        answered += 1;
    }
    assert!(answered > 500, "only {answered} requests of the corpus could be answered");
}
