//! Kinds of placement that a line item takes, exchanges that decide about a creative by themselves, and creatives of
//! different lengths under floors by duration.

use super::media::{bids, video, video_imp};
use super::world::creative;
use outbid::model::account::Account;
use outbid::model::creative::{Approval, Approvals, Content, StreamAd};
use outbid::model::ids::{CreativeId, ExchangeId};
use outbid::model::no_bid::NoBidReason;
use outbid::model::targeting::{PlacementRules, Rule, StreamStart};
use serde_json::{Value, json};

const REFUSED: Result<(), NoBidReason> = Err(NoBidReason::Placement);

/// Line item 1 with these rules, a video or else its banner.
fn check(rules: &PlacementRules, imp: Value, expected: Result<(), NoBidReason>) {
    let account = |account: &mut Account| {
        if imp.get("video").is_some() {
            account.creatives[0].content = Content::Video(video());
        }
        account.line_items[0].targeting.placement = Some(Box::new(rules.clone()));
    };
    assert_eq!(bids(account, imp.clone(), |_| ()).map(|_| ()), expected, "{rules:?} {imp}");
}

fn include<T>(values: Vec<T>) -> Rule<T> {
    Rule { include: values, exclude: Vec::new() }
}

fn exclude<T>(values: Vec<T>) -> Rule<T> {
    Rule { include: Vec::new(), exclude: values }
}

fn banner_imp(change: Value) -> Value {
    let mut imp = json!({"banner": {"w": 300, "h": 250}});
    imp.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    imp
}

#[test]
fn row_1_3_a_line_item_says_at_which_positions_it_is_shown() {
    let above = PlacementRules { positions: include(vec![1, 4]), ..PlacementRules::default() };
    let at = |pos: Value| json!({"banner": {"w": 300, "h": 250, "pos": pos}});
    check(&above, at(json!(1)), Ok(()));
    check(&above, at(json!(3)), REFUSED);
    check(&above, at(Value::Null), REFUSED);
    let not_below = PlacementRules { positions: exclude(vec![3]), ..PlacementRules::default() };
    check(&not_below, at(json!(3)), REFUSED);
    check(&not_below, at(Value::Null), Ok(()));
    check(&above, video_imp(json!({"pos": 4})), Ok(()));
    check(&above, video_imp(json!({"pos": 5})), REFUSED);
}

#[test]
fn row_1_4_a_line_item_says_where_and_when_a_video_starts() {
    let instream = PlacementRules { video_placements: include(vec![1]), ..PlacementRules::default() };
    check(&instream, video_imp(json!({"plcmt": 1})), Ok(()));
    check(&instream, video_imp(json!({"plcmt": 2})), REFUSED);
    // The deprecated field says nothing of the new one.
    check(&instream, video_imp(json!({"placement": 1})), REFUSED);
    // A banner has no such field.
    check(&instream, banner_imp(json!({})), Ok(()));
    let early = PlacementRules { starts: include(vec![StreamStart::PreRoll]), ..PlacementRules::default() };
    let late = PlacementRules { starts: include(vec![StreamStart::MidRoll]), ..PlacementRules::default() };
    let after = PlacementRules { starts: exclude(vec![StreamStart::PostRoll]), ..PlacementRules::default() };
    for (delay, fits) in [
        (json!(0), [true, false, true]),
        (json!(-1), [false, true, true]),
        (json!(90), [false, true, true]),
        (json!(-2), [false, false, false]),
        (json!(-7), [false, false, true]),
        (Value::Null, [false, false, true]),
    ] {
        for (rules, fits) in [&early, &late, &after].into_iter().zip(fits) {
            let expected = if fits { Ok(()) } else { REFUSED };
            check(rules, video_imp(json!({ "startdelay": delay })), expected);
        }
    }
    let with_sound = PlacementRules { playback_methods: exclude(vec![2, 6]), ..PlacementRules::default() };
    // The first method is the one that is used.
    check(&with_sound, video_imp(json!({"playbackmethod": [1, 2]})), Ok(()));
    check(&with_sound, video_imp(json!({"playbackmethod": [2, 1]})), REFUSED);
}

#[test]
fn row_1_2_interstitials_and_rewards_are_taken_or_left() {
    let wanted =
        |interstitial, rewarded| PlacementRules { interstitial, rewarded, ..PlacementRules::default() };
    check(&wanted(Some(false), None), banner_imp(json!({"instl": 1})), REFUSED);
    check(&wanted(Some(false), None), banner_imp(json!({"instl": 0})), Ok(()));
    check(&wanted(Some(true), None), banner_imp(json!({"instl": 1})), Ok(()));
    check(&wanted(Some(true), None), banner_imp(json!({})), REFUSED);
    check(&wanted(None, Some(true)), video_imp(json!({})), REFUSED);
    let mut rewarded = video_imp(json!({}));
    rewarded["rwdd"] = json!(1);
    check(&wanted(None, Some(true)), rewarded.clone(), Ok(()));
    check(&wanted(None, Some(false)), rewarded, REFUSED);
}

#[test]
fn row_1_2_ssai_3_means_that_a_server_fetches_the_trackers() {
    let rules = PlacementRules { client_trackers: true, ..PlacementRules::default() };
    check(&rules, banner_imp(json!({"ssai": 3})), REFUSED);
    check(&rules, banner_imp(json!({"ssai": 2})), Ok(()));
    check(&rules, banner_imp(json!({})), Ok(()));
}

#[test]
fn row_1_2_refresh_is_capped_by_its_count_and_its_interval() {
    let rules = |max_refreshes, min_refresh_s| PlacementRules {
        max_refreshes,
        min_refresh_s,
        ..PlacementRules::default()
    };
    let refreshing = |refresh: Value| banner_imp(json!({ "refresh": refresh }));
    check(&rules(Some(0), None), banner_imp(json!({})), Ok(()));
    check(&rules(Some(0), None), refreshing(json!({"count": 0})), Ok(()));
    check(&rules(Some(0), None), refreshing(json!({"count": 1})), REFUSED);
    check(&rules(Some(2), None), refreshing(json!({"count": 2})), Ok(()));
    check(&rules(Some(2), None), refreshing(json!({})), REFUSED);
    let every = |seconds: i64| refreshing(json!({"refsettings": [{"reftype": 1, "minint": seconds}]}));
    check(&rules(None, Some(30)), every(30), Ok(()));
    check(&rules(None, Some(30)), every(29), REFUSED);
    check(&PlacementRules::default(), every(1), Ok(()));
}

#[test]
fn an_exchange_that_rejects_a_creative_is_not_sent_it() {
    let check = |approvals: Approvals, expected| {
        let account = |account: &mut Account| account.creatives[0].approvals = approvals;
        assert_eq!(bids(account, banner_imp(json!({})), |_| ()).map(|_| ()), expected);
    };
    let at = |everywhere, exchange, approval| Approvals {
        everywhere,
        exceptions: vec![(ExchangeId(exchange), approval)],
    };
    check(at(Approval::Approved, 1, Approval::Rejected), Err(NoBidReason::CreativeApproval));
    check(at(Approval::Approved, 2, Approval::Rejected), Ok(()));
    check(at(Approval::Pending, 1, Approval::Approved), Ok(()));
    check(at(Approval::Pending, 2, Approval::Approved), Err(NoBidReason::CreativeApproval));
    let nowhere = Approvals { everywhere: Approval::Rejected, exceptions: Vec::new() };
    check(nowhere, Err(NoBidReason::NoMatch));
}

#[test]
fn row_1_5_a_long_creative_under_its_floor_gives_way_to_a_short_one() {
    // The line item offers 2.00; the long creative is picked nearly always.
    let account = |account: &mut Account| {
        account.creatives[0].content = Content::Video(video());
        let mut short = creative(2, 1);
        short.content = Content::Video(StreamAd { duration_s: 15, ..video() });
        account.creatives.push(short);
        let mut second = account.line_items[0].creatives[0].clone();
        second.creative = CreativeId(2);
        account.line_items[0].creatives[0].weight = 1_000_000;
        account.line_items[0].creatives.push(second);
    };
    let picked = |change: Value| bids(account, video_imp(change), |bid| bid.creative.id.0);
    assert_eq!(picked(json!({})), Ok(vec![1]));
    assert_eq!(picked(json!({"mincpmpersec": 0.06})), Ok(vec![1]));
    assert_eq!(picked(json!({"mincpmpersec": 0.07})), Ok(vec![2]));
    assert_eq!(picked(json!({"mincpmpersec": 0.14})), Err(NoBidReason::BelowFloor));
    let ranges = json!([{"mindur": 1, "maxdur": 15, "bidfloor": 9}, {"mindur": 16, "bidfloor": 2}]);
    assert_eq!(picked(json!({ "durfloors": ranges })), Ok(vec![1]));
    let ranges = json!([{"mindur": 1, "maxdur": 15, "bidfloor": 1}, {"mindur": 16, "bidfloor": 2.01}]);
    assert_eq!(picked(json!({ "durfloors": ranges })), Ok(vec![2]));
}
