//! Rows 1.3 to 1.5: banners, players, floors.

use super::super::media::{video, video_imp};
use super::super::world::banner;
use super::{check, imp, texts, with};
use outbid::model::account::Account;
use outbid::model::auction::Size;
use outbid::model::creative::{Content, StreamAd};
use outbid::model::no_bid::NoBidReason;
use serde_json::{Value, json};

/// A banner of 300 × 250 with changes.
fn offered(change: Value) -> impl FnOnce(&mut Value) {
    let mut banner = json!({"format": [{"w": 300, "h": 250}]});
    with(change)(&mut banner);
    imp(json!({ "banner": banner }))
}

#[test]
fn row_1_3_blocked_types_attributes_content_types_and_apis_bind_a_banner() {
    // The creative is of type 2.
    check(|_| {}, offered(json!({"btype": [1, 3, 4]})), Ok(()));
    check(|_| {}, offered(json!({"btype": [2]})), Err(NoBidReason::BlockedAttribute));
    let animated = |account: &mut Account| account.creatives[0].attributes = vec![6, 13];
    check(animated, offered(json!({"battr": [1, 6]})), Err(NoBidReason::BlockedAttribute));
    check(animated, offered(json!({"battr": [1]})), Ok(()));
    check(|_| {}, offered(json!({"mimes": ["image/gif"]})), Err(NoBidReason::Unsupported));
    check(|_| {}, offered(json!({"mimes": ["image/gif", "Text/HTML"]})), Ok(()));
    // An API that is not listed is not supported.
    let mraid = |account: &mut Account| account.creatives[0].api = Some(5);
    check(mraid, offered(json!({"api": [3, 5]})), Ok(()));
    check(mraid, offered(json!({"api": [3, 6, 7]})), Err(NoBidReason::Unsupported));
    check(mraid, offered(json!({})), Err(NoBidReason::Unsupported));
}

#[test]
fn row_1_3_where_there_are_formats_they_are_the_sizes() {
    let wide = |account: &mut Account| account.creatives[0].content = banner(Size { w: 728, h: 90 }, 2);
    let both = || offered(json!({"w": 728, "h": 90}));
    check(|_| {}, both(), Ok(()));
    check(wide, both(), Err(NoBidReason::NoMatch));
    check(wide, imp(json!({"banner": {"w": 728, "h": 90}})), Ok(()));
    check(wide, imp(json!({"banner": {"w": 728, "h": 90, "format": []}})), Ok(()));
    // The sides that 2.6 has removed say nothing.
    let removed = json!({"banner": {"wmin": 100, "wmax": 900, "hmin": 50, "hmax": 500}});
    check(wide, imp(removed), Err(NoBidReason::NoMatch));
}

/// Line item 1 has the film of thirty seconds, changed.
fn film(change: impl FnOnce(&mut StreamAd)) -> impl FnOnce(&mut Account) {
    let mut ad = video();
    change(&mut ad);
    move |account| account.creatives[0].content = Content::Video(ad)
}

#[test]
fn row_1_4_exact_durations_beat_the_range() {
    let terms = |rqddurs: Value, min: i64, max: i64| {
        imp(video_imp(json!({"rqddurs": rqddurs, "minduration": min, "maxduration": max})))
    };
    check(film(|_| {}), terms(json!([30]), 5, 15), Ok(()));
    check(film(|_| {}), terms(json!([15]), 5, 60), Err(NoBidReason::Duration));
    check(film(|_| {}), terms(json!([]), 5, 60), Ok(()));
}

#[test]
fn row_1_4_what_a_player_supports_and_blocks_binds() {
    let measured = |account: &mut Account| {
        film(|_| {})(account);
        (account.creatives[0].api, account.creatives[0].attributes) = (Some(7), vec![2]);
    };
    let video = |change: Value| imp(video_imp(change));
    check(measured, video(json!({"api": [2, 7]})), Ok(()));
    check(measured, video(json!({"api": [2]})), Err(NoBidReason::Unsupported));
    check(measured, video(json!({})), Err(NoBidReason::Unsupported));
    check(measured, video(json!({"api": [7], "battr": [2]})), Err(NoBidReason::BlockedAttribute));
    check(measured, video(json!({"api": [7], "battr": [1]})), Ok(()));
}

#[test]
fn row_1_4_what_is_deprecated_says_nothing() {
    for old in [json!({"placement": 3}), json!({"sequence": 9}), json!({"protocol": 9})] {
        check(film(|_| {}), imp(video_imp(old)), Ok(()));
    }
}

#[test]
fn row_1_4_what_only_describes_the_player_costs_no_bid() {
    let described = json!({
        "playbackmethod": [3, 1], "playbackend": 2, "pos": 7, "companiontype": [1, 3],
        "companionad": [{"id": "c", "w": 300, "h": 250, "vcm": 1}], "skip": 1, "skipmin": 16, "skipafter": 5,
        "w": 640, "h": 360,
    });
    check(film(|_| {}), imp(video_imp(described)), Ok(()));
}

#[test]
fn row_1_5_the_deals_floor_comes_first_then_the_mediums_then_the_impressions() {
    let on_deal = |account: &mut Account| {
        film(|_| {})(account);
        account.line_items[0].targeting.deals.include = texts(&["d1"]);
    };
    // The bid is 2.00 for thirty seconds.
    let terms = |of_imp: Value, of_video: Value, of_deal: Value| {
        move |request: &mut Value| {
            imp(video_imp(of_video))(request);
            imp(of_imp)(request);
            let mut deal = json!({"id": "d1"});
            with(of_deal)(&mut deal);
            imp(json!({"pmp": {"deals": [deal]}}))(request);
        }
    };
    let none = || json!({});
    let below = Err(NoBidReason::BelowFloor);
    let dear = || json!({"bidfloor": 50});
    // Whatever stands behind, the deal's own floor is the one: of the second, of its durations, or plain.
    for own in [
        json!({"bidfloor": 2}),
        json!({"bidfloor": 9, "mincpmpersec": 0.06}),
        json!({"bidfloor": 9, "durfloors": [{"mindur": 30, "maxdur": 30, "bidfloor": 2}]}),
    ] {
        check(on_deal, terms(dear(), json!({"mincpmpersec": 5}), own), Ok(()));
    }
    check(on_deal, terms(none(), none(), json!({"mincpmpersec": 0.07})), below);
    // A deal without one answers to the medium's, and where that is silent to the impression's.
    check(on_deal, terms(none(), json!({"mincpmpersec": 0.07}), none()), below);
    check(on_deal, terms(dear(), json!({"mincpmpersec": 0.06}), none()), Ok(()));
    check(on_deal, terms(dear(), json!({"durfloors": [{"maxdur": 15, "bidfloor": 1}]}), none()), below);
    // In the open auction no deal's floor counts.
    let open = terms(json!({"bidfloor": 1}), none(), dear());
    check(film(|_| {}), open, Ok(()));
}

#[test]
fn row_1_2_the_floors_currency_is_that_of_the_mediums_floors_too() {
    let terms = |a_second: f64, currency: Value| {
        move |request: &mut Value| {
            imp(video_imp(json!({ "mincpmpersec": a_second })))(request);
            imp(json!({ "bidfloorcur": currency }))(request);
        }
    };
    // 30 seconds at 0.065 are 1.95: of dollars less than 2.00, of euros more.
    check(film(|_| {}), terms(0.065, Value::Null), Ok(()));
    check(film(|_| {}), terms(0.065, json!("EUR")), Err(NoBidReason::BelowFloor));
    check(film(|_| {}), terms(0.061, json!("EUR")), Ok(()));
}
