//! What of each medium is bid on (openrtb.md 1.2 to 1.7), through the parser and the whole decision.

use super::request::plain;
use super::run::Server;
use super::world::{NOON, World, banner, campaign, country, creative, line_item};
use outbid::model::account::Account;
use outbid::model::auction::Size;
use outbid::model::bid::{Bid, Fill, FilledAsset};
use outbid::model::creative::{Content, MediaFile, NativeAd, NativeImage, StreamAd, StreamSource};
use outbid::model::ids::CreativeId;
use outbid::model::line_item::{Condition, CreativeAssignment};
use outbid::model::money::Cpm;
use outbid::model::no_bid::NoBidReason;
use outbid::model::targeting::{HourMask, MediaType};
use serde_json::{Value, json};

/// Two files of thirty seconds: 1280 × 720 with 2,000 kbit/s as MP4, 640 × 360 with 600 as WebM.
pub(super) fn video() -> StreamAd {
    let file = |w, h, kbps, mime: &str| MediaFile {
        url: format!("https://cdn.example/{w}.{mime}"),
        mime: mime.to_owned(),
        size: Size { w, h },
        bitrate: Some(kbps),
        streaming: false,
    };
    let files = vec![file(1_280, 720, 2_000, "video/mp4"), file(640, 360, 600, "video/webm")];
    StreamAd { duration_s: 30, source: StreamSource::Files(files), linearity: 1, ..StreamAd::default() }
}

fn audio() -> StreamAd {
    let file = MediaFile {
        url: "https://cdn.example/a.mp3".to_owned(),
        mime: "audio/mpeg".to_owned(),
        bitrate: Some(128),
        ..MediaFile::default()
    };
    StreamAd { duration_s: 20, source: StreamSource::Files(vec![file]), linearity: 1, ..StreamAd::default() }
}

fn native() -> NativeAd {
    let image = |kind, w, h, mime: &str| NativeImage {
        kind,
        size: Size { w, h },
        url: format!("https://cdn.example/{w}"),
        mime: mime.to_owned(),
    };
    NativeAd {
        titles: vec!["A title of thirty-one characters".to_owned(), "Short".to_owned()],
        images: vec![image(3, 1_200, 627, "image/jpeg"), image(1, 80, 80, "image/png")],
        data: vec![(1, "Shop".to_owned()), (2, "Words that describe it".to_owned())],
        ..NativeAd::default()
    }
}

/// Line item 1 has this content alone.
fn with(content: Content) -> impl FnOnce(&mut Account) {
    move |account| account.creatives[0].content = content
}

/// What is shown of every bid.
pub(super) fn bids<R>(
    account: impl FnOnce(&mut Account),
    imp: Value,
    show: impl Fn(&Bid<'_>) -> R,
) -> Result<Vec<R>, NoBidReason> {
    let world = World::small(account);
    let body = plain(|request| {
        request["imp"][0] = imp;
        request["imp"][0]["id"] = json!("1");
    });
    Server::new(&world).decide(&world, 1, &body, |_, decided| Ok(decided?.bids.iter().map(show).collect()))
}

fn check(content: Content, imp: Value, expected: Result<(), NoBidReason>) {
    let said = imp.to_string();
    let found = bids(with(content), imp, |_| ()).map(|bids| assert_eq!(bids.len(), 1));
    assert_eq!(found, expected, "{said}");
}

/// The smallest video object that fits, with changes.
pub(super) fn video_imp(change: Value) -> Value {
    let mut offered = json!({"mimes": ["video/mp4"], "protocols": [3, 7], "maxduration": 30});
    offered.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    json!({ "video": offered })
}

fn check_video(change: Value, expected: Result<(), NoBidReason>) {
    check(Content::Video(video()), video_imp(change), expected);
}

#[test]
fn row_1_3_a_banner_fits_a_listed_size_or_a_flexible_one() {
    let check = |format: Value, expected| {
        check(banner_of(300, 250), json!({"banner": {"format": format}}), expected);
    };
    check(json!([{"w": 300, "h": 250}]), Ok(()));
    check(json!([{"w": 320, "h": 50}]), Err(NoBidReason::NoMatch));
    check(json!([{"wratio": 6, "hratio": 5, "wmin": 300}]), Ok(()));
    check(json!([{"wratio": 6, "hratio": 5, "wmin": 301}]), Err(NoBidReason::NoMatch));
    check(json!([{"wratio": 16, "hratio": 9}]), Err(NoBidReason::NoMatch));
}

#[test]
fn row_1_3_a_bid_says_the_ratio_where_only_that_was_offered() {
    let check = |format: Value, expected| {
        let found = bids(with(banner_of(300, 250)), json!({"banner": {"format": format}}), |bid| {
            assert_eq!(bid.size, Some(Size { w: 300, h: 250 }));
            bid.flexible.map(|ratio| (ratio.w_ratio, ratio.h_ratio))
        });
        assert_eq!(found.unwrap(), [expected]);
    };
    check(json!([{"wratio": 16, "hratio": 9}, {"wratio": 12, "hratio": 10, "wmin": 300}]), Some((12, 10)));
    check(json!([{"wratio": 6, "hratio": 5}, {"w": 300, "h": 250}]), None);
}

fn banner_of(w: u16, h: u16) -> Content {
    banner(Size { w, h }, 2)
}

#[test]
fn row_1_3_a_banner_that_expands_needs_the_directions() {
    let mut content = banner_of(300, 250);
    let Content::Banner(ad) = &mut content else { unreachable!() };
    ad.expands = vec![4];
    let imp = |expdir: Value| json!({"banner": {"w": 300, "h": 250, "expdir": expdir}});
    check(content.clone(), imp(json!([3, 4])), Ok(()));
    check(content.clone(), imp(json!([3])), Err(NoBidReason::BlockedAttribute));
    check(content, imp(Value::Null), Err(NoBidReason::BlockedAttribute));
}

#[test]
fn row_1_4_a_video_fits_in_type_duration_and_bitrate() {
    check_video(json!({}), Ok(()));
    check_video(json!({"mimes": ["VIDEO/MP4; codecs=\"avc1\""]}), Ok(()));
    check_video(json!({"mimes": ["video/ogg"]}), Err(NoBidReason::Unsupported));
    check_video(json!({"mimes": []}), Err(NoBidReason::NoUsableMedium));
    check_video(json!({"maxduration": 29}), Err(NoBidReason::Duration));
    check_video(json!({"maxduration": 20, "maxextended": 10}), Ok(()));
    check_video(json!({"maxduration": 20, "maxextended": 9}), Err(NoBidReason::Duration));
    check_video(json!({"maxduration": 20, "maxextended": -1}), Ok(()));
    check_video(json!({"minduration": 31, "maxduration": 60}), Err(NoBidReason::Duration));
    check_video(json!({"rqddurs": [15, 30]}), Ok(()));
    check_video(json!({"rqddurs": [15, 60]}), Err(NoBidReason::Duration));
    check_video(json!({"maxbitrate": 1_500}), Err(NoBidReason::Unsupported));
    check_video(json!({"maxbitrate": 1_500, "mimes": ["video/webm"]}), Ok(()));
    check_video(json!({"minbitrate": 2_001}), Err(NoBidReason::Unsupported));
    check_video(json!({"delivery": [1]}), Err(NoBidReason::Unsupported));
    check_video(json!({"delivery": [1, 2]}), Ok(()));
    check_video(json!({"linearity": 2}), Err(NoBidReason::Format));
    check_video(json!({"linearity": 1}), Ok(()));
    check_video(json!({"boxingallowed": 0, "w": 320, "h": 180}), Ok(()));
    check_video(json!({"boxingallowed": 0, "w": 320, "h": 240}), Err(NoBidReason::Unsupported));
    check_video(json!({"battr": [2]}), Ok(()));
}

#[test]
fn row_1_4_a_video_is_given_in_the_newest_version_that_the_player_knows() {
    let protocol = |protocols: Value, ad: StreamAd| {
        let told = |bid: &Bid<'_>| {
            let Fill::Vast(vast) = bid.fill else { panic!("a video is VAST") };
            (vast.protocol, bid.duration_s, bid.size)
        };
        bids(with(Content::Video(ad)), video_imp(json!({"protocols": protocols})), told)
    };
    let big = Some(Size { w: 1_280, h: 720 });
    assert_eq!(protocol(json!([2, 3, 7]), video()), Ok(vec![(7, Some(30), big)]));
    assert_eq!(protocol(json!([2, 6]), video()), Ok(vec![(2, Some(30), big)]));
    assert_eq!(protocol(json!([5, 6, 8, 9]), video()), Err(NoBidReason::Unsupported));
    assert_eq!(protocol(Value::Null, video()), Ok(vec![(3, Some(30), big)]));
    let source = StreamSource::Wrapped {
        tag: "https://other.example/vast".to_owned(),
        mimes: vec!["video/mp4".to_owned()],
    };
    let wrapper = || StreamAd { source: source.clone(), ..video() };
    assert_eq!(protocol(json!([2, 3, 5, 6]), wrapper()), Ok(vec![(6, Some(30), None)]));
    assert_eq!(protocol(json!([2, 3, 7]), wrapper()), Err(NoBidReason::Unsupported));
}

#[test]
fn row_1_4_a_skip_button_of_its_own_is_an_attribute_that_can_be_blocked() {
    let skipping = || Content::Video(StreamAd { skip_after_s: Some(5), ..video() });
    check(skipping(), video_imp(json!({})), Ok(()));
    check(skipping(), video_imp(json!({"battr": [16]})), Err(NoBidReason::BlockedAttribute));
    check(skipping(), video_imp(json!({"battr": [16], "skip": 1})), Ok(()));
    check_video(json!({"battr": [16]}), Ok(()));
}

#[test]
fn row_1_4_audio_fits_likewise() {
    let check = |change: Value, expected| {
        let mut offered = json!({"mimes": ["audio/mpeg"], "protocols": [7], "maxduration": 30});
        offered.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        check(Content::Audio(audio()), json!({ "audio": offered }), expected);
    };
    check(json!({}), Ok(()));
    check(json!({"maxduration": 19}), Err(NoBidReason::Duration));
    check(json!({"mimes": ["audio/mp4"]}), Err(NoBidReason::Unsupported));
    check(json!({"maxbitrate": 64}), Err(NoBidReason::Unsupported));
    // What is for the eyes is not for the ears.
    super::media::check(Content::Audio(audio()), video_imp(json!({})), Err(NoBidReason::NoMatch));
}

#[test]
fn row_1_5_the_floor_is_that_of_the_creatives_seconds() {
    let check = |imp: Value, expected| check(Content::Video(video()), imp, expected);
    check(video_imp(json!({"mincpmpersec": 0.06})), Ok(()));
    check(video_imp(json!({"mincpmpersec": 0.07})), Err(NoBidReason::BelowFloor));
    let ranges = json!([{"mindur": 1, "maxdur": 15, "bidfloor": 9}, {"mindur": 16, "bidfloor": 2}]);
    check(video_imp(json!({"durfloors": ranges})), Ok(()));
    let ranges = json!([{"mindur": 1, "maxdur": 15, "bidfloor": 1}, {"mindur": 16, "bidfloor": 2.01}]);
    check(video_imp(json!({"durfloors": ranges})), Err(NoBidReason::BelowFloor));
}

/// Asset ids and texts of the native bid.
fn native_bid(request: Value) -> Result<Vec<(i64, String)>, NoBidReason> {
    let show = |bid: &Bid<'_>| {
        let Fill::Native(fill) = bid.fill else { panic!("it is native") };
        let told = |(id, asset): &(i64, FilledAsset<'_>)| {
            let text = match asset {
                FilledAsset::Title(text) => (*text).to_owned(),
                FilledAsset::Data(kind, text) => format!("{kind} {text}"),
                FilledAsset::Image(image) => image.size.to_string(),
                FilledAsset::Video(vast) => vast.protocol.to_string(),
            };
            (*id, text)
        };
        fill.assets.iter().map(told).collect::<Vec<_>>()
    };
    let imp = json!({"native": {"request": request.to_string()}});
    Ok(bids(with(Content::Native(native())), imp, show)?.remove(0))
}

#[test]
fn row_1_6_all_required_assets_are_filled_within_their_limits_or_none() {
    let check = |assets: Value, expected: Result<&[(i64, &str)], NoBidReason>| {
        let expected = expected
            .map(|assets| assets.iter().map(|(id, text)| (*id, (*text).to_owned())).collect::<Vec<_>>());
        assert_eq!(native_bid(json!({"ver": "1.2", "assets": assets.clone()})), expected, "{assets}");
    };
    let title = |id: i64, len: i64| json!({"id": id, "required": 1, "title": {"len": len}});
    check(json!([title(7, 90)]), Ok(&[(7, "A title of thirty-one characters")]));
    check(json!([title(7, 20)]), Ok(&[(7, "Short")]));
    check(json!([title(7, 4)]), Err(NoBidReason::Assets));
    let image = |id: i64, terms: Value| json!({"id": id, "required": 1, "img": terms});
    check(json!([image(1, json!({"type": 3, "wmin": 600, "hmin": 314}))]), Ok(&[(1, "1200x627")]));
    check(json!([image(1, json!({"type": 3, "w": 600, "h": 314}))]), Err(NoBidReason::Assets));
    check(json!([image(1, json!({"type": 1, "w": 80, "h": 80}))]), Ok(&[(1, "80x80")]));
    check(json!([image(1, json!({"type": 1, "mimes": ["image/jpeg"]}))]), Err(NoBidReason::Assets));
    let data =
        |id: i64, kind: i64, required: i64| json!({"id": id, "required": required, "data": {"type": kind}});
    check(json!([data(4, 1, 1), data(5, 2, 1)]), Ok(&[(4, "1 Shop"), (5, "2 Words that describe it")]));
    check(json!([title(7, 90), data(4, 12, 1)]), Err(NoBidReason::Assets));
    check(json!([data(4, 12, 0), title(7, 90)]), Ok(&[(7, "A title of thirty-one characters")]));
    check(json!([data(4, 12, 0)]), Err(NoBidReason::Assets));
    let film = json!({"id": 9, "required": 1, "video": {"mimes": ["video/mp4"], "protocols": [3]}});
    check(json!([film]), Err(NoBidReason::Assets));
}

#[test]
fn row_1_2_of_several_media_the_one_is_bid_on_that_is_stored() {
    let imp = json!({
        "banner": {"w": 320, "h": 50}, "video": video_imp(json!({}))["video"],
        "native": {"request": json!({"assets": [{"id": 1, "title": {"len": 90}}]}).to_string()}
    });
    let media = |content| bids(with(content), imp.clone(), |bid| bid.creative.media_type());
    assert_eq!(media(Content::Video(video())), Ok(vec![MediaType::Video]));
    assert_eq!(media(Content::Native(native())), Ok(vec![MediaType::Native]));
    assert_eq!(media(banner_of(320, 50)), Ok(vec![MediaType::Banner]));
    assert_eq!(media(banner_of(300, 250)), Err(NoBidReason::NoMatch));
    // A line item that is for banners alone does not answer with its video.
    let only_banners = |account: &mut Account| {
        account.creatives[0].content = Content::Video(video());
        account.line_items[0].targeting.formats.include = vec![MediaType::Banner];
    };
    assert_eq!(bids(only_banners, imp.clone(), |_| ()), Err(NoBidReason::NoMatch));
}

/// So many campaigns, each with a line item and a video of its own domain; the n-th bids n dollars.
fn campaigns(seconds: &[u32]) -> impl FnOnce(&mut Account) {
    move |account| {
        (account.campaigns, account.line_items, account.creatives) = (Vec::new(), Vec::new(), Vec::new());
        for (id, seconds) in (1u32..).zip(seconds) {
            account.campaigns.push(campaign(id, 1));
            let mut own = creative(id, 1);
            own.content = Content::Video(StreamAd { duration_s: *seconds, ..video() });
            own.adomain = vec![format!("shop{}.example", id / 2)];
            account.creatives.push(own);
            let mut item = line_item(id, id, i64::from(id) * 1_000_000);
            item.creatives[0].creative = CreativeId(id);
            account.line_items.push(item);
        }
    }
}

#[test]
fn row_1_4_a_dynamic_pod_is_filled_with_what_has_room() {
    let check = |seconds: &[u32], pod: Value, expected: &[(u32, Option<i64>)]| {
        let mut imp = video_imp(json!({"maxduration": 120}));
        imp["video"].as_object_mut().unwrap().extend(pod.as_object().unwrap().clone());
        let show = |bid: &Bid<'_>| (bid.claims.line_item.0, bid.slot_in_pod);
        assert_eq!(bids(campaigns(seconds), imp, show), Ok(expected.to_vec()), "{pod}");
    };
    let all = [(4, None), (3, None), (2, None), (1, None)];
    check(&[15; 4], json!({"poddur": 60}), &all);
    check(&[15; 4], json!({"poddur": 59}), &all[..3]);
    check(&[15; 4], json!({"poddur": 60, "maxseq": 2}), &all[..2]);
    check(&[15, 15, 60, 30], json!({"poddur": 60}), &[(4, None), (2, None), (1, None)]);
    check(&[15; 4], json!({"poddur": 60, "slotinpod": 1}), &[(4, Some(1))]);
    check(&[15; 4], json!({"poddur": 60, "slotinpod": 2}), &[(4, Some(1)), (3, Some(-1))]);
    check(&[15; 4], json!({"poddur": 60, "slotinpod": 2, "maxseq": 1}), &[(4, Some(1))]);
    // 2 and 3 share a domain, so do all their files.
    check(&[15; 4], json!({"poddur": 60, "poddedupe": [1]}), &[(4, None), (3, None), (1, None)]);
    check(&[15; 4], json!({"poddur": 60, "poddedupe": [4]}), &[(4, None)]);
    check(&[15; 4], json!({"poddur": 60, "poddedupe": [1, 5]}), &all);
    // Without a duration of the pod it is one slot, which knows no position.
    check(&[15; 4], json!({"podid": "p", "slotinpod": 1}), &[(4, None)]);
}

#[test]
fn row_1_4_what_is_offered_beside_a_dynamic_pod_stays_one_bid() {
    // Line items 1 to 5, by rising price: three of video, a banner, and this one.
    let account = |last: Content| {
        move |account: &mut Account| {
            campaigns(&[15; 5])(account);
            account.creatives[3].content = banner_of(300, 250);
            account.creatives[4].content = last;
        }
    };
    let mut imp = video_imp(json!({"poddur": 60}));
    imp["banner"] = json!({"w": 300, "h": 250});
    imp["audio"] = json!({"mimes": ["video/mp4"], "poddur": 60});
    let ids = |last: Content| bids(account(last), imp.clone(), |bid| bid.claims.line_item.0);
    assert_eq!(ids(banner_of(300, 250)), Ok(vec![5]));
    // 30 s and twice 15 s fill the pod.
    assert_eq!(ids(Content::Video(video())), Ok(vec![5, 3, 2]));
    assert_eq!(ids(Content::Audio(video())), Ok(vec![5]));
}

#[test]
fn row_1_4_the_slots_of_a_structured_pod_are_kept_apart() {
    let world = World::small(campaigns(&[15; 3]));
    // The rule of either slot holds for both.
    let answer = |pods: [&str; 2]| {
        let both = [0, 1].map(|named| answer_with(&world, pods, named));
        assert_eq!(both[0], both[1], "{pods:?}");
        both[0].clone()
    };
    // 2 and 3 are of one domain.
    assert_eq!(answer(["a", "a"]), [3, 1]);
    assert_eq!(answer(["a", "b"]), [3, 3]);
}

/// The line items that bid for two slots, of which this one says what must not come twice.
fn answer_with(world: &World, pods: [&str; 2], named: usize) -> Vec<u32> {
    let body = plain(|request| {
        request["imp"] = (0..2)
            .map(|n| {
                let rules = if n == named { json!([1]) } else { Value::Null };
                let mut imp = video_imp(json!({"podid": pods[n], "poddedupe": rules}));
                imp["id"] = json!(n.to_string());
                imp
            })
            .collect();
    });
    let bids = Server::new(world).bids(world, &body).unwrap();
    bids.iter().map(|bid| bid.line_item).collect()
}

#[test]
fn row_1_7_deals_are_bid_on_beside_as_many_open_bids_as_the_exchange_takes() {
    let account = |open_bids: usize| {
        move |account: &mut Account| {
            campaigns(&[15; 4])(account);
            account.exchanges[0].open_bids = open_bids;
            account.line_items[0].targeting.deals.include = vec!["d1".to_owned()];
        }
    };
    let mut imp = video_imp(json!({}));
    imp["pmp"] = json!({"deals": [{"id": "d1"}]});
    let show = |bid: &Bid<'_>| (bid.claims.line_item.0, bid.deal_id.map(str::to_owned));
    let deal = (1, Some("d1".to_owned()));
    assert_eq!(bids(account(1), imp.clone(), show), Ok(vec![deal.clone(), (4, None)]));
    assert_eq!(bids(account(2), imp.clone(), show), Ok(vec![deal.clone(), (4, None), (3, None)]));
    assert_eq!(bids(account(9), imp, show), Ok(vec![deal, (4, None), (3, None), (2, None)]));
}

#[test]
fn row_1_7_a_guaranteed_deal_is_bid_on_at_its_price_up_to_the_cap() {
    let price = |max: i64, deal: Value| {
        let account = move |account: &mut Account| {
            account.line_items[0].max_bid = Cpm(max);
            account.line_items[0].targeting.deals.include = vec!["d1".to_owned()];
        };
        let imp = json!({"banner": {"w": 300, "h": 250}, "pmp": {"deals": [deal]}});
        bids(account, imp, |bid| bid.price.0).map(|mut bids| bids.remove(0))
    };
    // The line item's own price is 2.00.
    let guaranteed = |at: i64| json!({"id": "d1", "guar": 1, "at": at, "bidfloor": 5});
    assert_eq!(price(6_000_000, guaranteed(3)), Ok(5_000_000));
    assert_eq!(price(6_000_000, guaranteed(1)), Ok(5_000_000));
    assert_eq!(price(4_999_999, guaranteed(3)), Err(NoBidReason::BelowFloor));
    assert_eq!(price(6_000_000, json!({"id": "d1", "at": 3, "bidfloor": 5})), Err(NoBidReason::BelowFloor));
}

#[test]
fn row_1_2_what_is_shown_later_is_judged_by_then() {
    let in_an_hour = NOON.unix_ms + 3_600_000;
    let flight = |start: i64, end: i64| {
        move |account: &mut Account| {
            account.line_items[0].flight.start_ms = Some(start);
            account.line_items[0].flight.end_ms = Some(end);
        }
    };
    let at = |dt: Value| json!({"banner": {"w": 300, "h": 250}, "dt": dt});
    let show = |bid: &Bid<'_>| bid.exp_s;
    assert_eq!(bids(flight(in_an_hour, in_an_hour + 1), at(json!(in_an_hour)), show), Ok(vec![3_600]));
    assert_eq!(bids(flight(in_an_hour, in_an_hour + 1), at(Value::Null), show), Err(NoBidReason::Flight));
    assert_eq!(bids(flight(0, in_an_hour), at(json!(in_an_hour)), show), Err(NoBidReason::Flight));
    assert_eq!(bids(|_| {}, at(json!(NOON.unix_ms - 1)), show), Ok(vec![120]));
    // No hold lives that long.
    let in_a_day = json!(NOON.unix_ms + 86_400_000);
    assert_eq!(bids(|_| {}, at(in_a_day), show), Err(NoBidReason::HoldLife));
    // Noon on a Wednesday; the line item is for the hour from one on.
    let mut hours = HourMask::NONE;
    hours.insert(2 * 24 + 13);
    let daypart = outbid::model::targeting::Daypart { hours, time_zone: "UTC".to_owned() };
    let account = |account: &mut Account| account.line_items[0].targeting.daypart = Some(daypart.clone());
    assert_eq!(bids(account, at(json!(in_an_hour)), show), Ok(vec![3_600]));
    assert_eq!(bids(account, at(Value::Null), show), Err(NoBidReason::NoMatch));
}

#[test]
fn each_group_is_shown_its_own_creative_and_everybody_else_the_general_one() {
    let shown = |change: &dyn Fn(&mut Vec<CreativeAssignment>)| {
        let account = |account: &mut Account| {
            account.creatives.push(creative(2, 1));
            let mut second = account.line_items[0].creatives[0].clone();
            second.creative = CreativeId(2);
            account.line_items[0].creatives.push(second);
            change(&mut account.line_items[0].creatives);
        };
        let imp = json!({"banner": {"w": 300, "h": 250}});
        bids(account, imp, |bid| bid.creative.id.0).map(|mut bids| bids.remove(0))
    };
    let when = |condition: Condition| {
        move |creatives: &mut Vec<CreativeAssignment>| {
            (creatives[0].weight, creatives[1].weight) = (1_000_000, 1);
            creatives[1].when = condition.clone();
        }
    };
    let in_places = |codes: &[&str]| Condition {
        countries: codes.iter().map(|code| country(code)).collect(),
        ..Condition::default()
    };
    assert_eq!(shown(&when(in_places(&["DE", "US"]))), Ok(2));
    assert_eq!(shown(&when(in_places(&["DE"]))), Ok(1));
    let region = Condition { regions: vec!["us-ca".to_owned()], ..Condition::default() };
    assert_eq!(shown(&when(region)), Ok(1));
    let (mut noon, mut one) = (HourMask::NONE, HourMask::NONE);
    noon.insert(2 * 24 + 12);
    one.insert(2 * 24 + 13);
    let at = |hours| Condition { hours: Some(hours), ..in_places(&["US"]) };
    assert_eq!(shown(&when(at(noon))), Ok(2));
    assert_eq!(shown(&when(at(one))), Ok(1));
}
