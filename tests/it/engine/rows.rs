//! Rows of the checklist (docs/openrtb.md) that no other test is about, named after them: request, impression, media,
//! person, and the answer.

mod answer;
mod media;
mod person;

use super::request::plain;
use super::run::{self, Server, Told};
use super::world::{World, creative, currency, line_item};
use bumpalo::Bump;
use outbid::budget::{BudgetDay, Granted, HoldRequest, HoldSource};
use outbid::engine::{BidIds, Core, Deadline, NoObserver, decide};
use outbid::exchange::{Limits, parse, parse_protobuf};
use outbid::model::account::Account;
use outbid::model::ids::{CreativeId, LeaseId};
use outbid::model::no_bid::NoBidReason;
use outbid::model::rates::Rate;
use outbid::model::token::Bucket;
use serde_json::{Value, json};

/// The bids on the plain request with changes; line item 1 bids 2.00 for anything.
fn bids(
    account: impl FnOnce(&mut Account),
    request: impl FnOnce(&mut Value),
) -> Result<Vec<Told>, NoBidReason> {
    let world = World::small(account);
    Server::new(&world).bids(&world, &plain(request))
}

/// Whether there is a bid, and why not.
#[track_caller]
fn check(
    account: impl FnOnce(&mut Account),
    request: impl FnOnce(&mut Value),
    expected: Result<(), NoBidReason>,
) {
    assert_eq!(bids(account, request).map(|bids| assert_eq!(bids.len(), 1)), expected);
}

/// Sets these fields of the request.
fn with(fields: Value) -> impl FnOnce(&mut Value) {
    move |request| {
        for (key, value) in fields.as_object().unwrap() {
            request[key] = value.clone();
        }
    }
}

/// Sets these fields of the impression.
fn imp(fields: Value) -> impl FnOnce(&mut Value) {
    move |request| with(fields)(&mut request["imp"][0])
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn row_1_0_unknown_fields_and_unknown_numbers_are_passed_over() {
    let strange = json!({"deep": [{"er": null}], "n": 1e300});
    check(
        |_| {},
        |request| {
            with(json!({"at": 777, "new": strange, "ext": strange, "cattax": 1}))(request);
            with(json!({"devicetype": 99, "connectiontype": -5, "new": strange}))(&mut request["device"]);
            imp(json!({"ssai": 44, "new": strange, "ext": 5}))(request);
            with(json!({"pos": 99, "api": [99], "new": strange}))(&mut request["imp"][0]["banner"]);
            with(json!({"new": strange, "ext": "text"}))(&mut request["user"]);
            with(json!({"new": strange, "content": strange}))(&mut request["site"]);
        },
        Ok(()),
    );
}

#[test]
fn row_1_1_each_impression_is_decided_for_itself_and_equal_ids_refuse_the_request() {
    let two = |second: Value| move |request: &mut Value| request["imp"].as_array_mut().unwrap().push(second);
    let banner = json!({"w": 300, "h": 250});
    let found = |second: Value| {
        bids(|_| {}, two(second)).map(|bids| bids.into_iter().map(|bid| bid.imp).collect::<Vec<_>>())
    };
    assert_eq!(found(json!({"id": "2", "banner": banner})), Ok(texts(&["1", "2"])));
    for unfit in [
        json!({"id": "2", "banner": banner, "bidfloor": 50}),
        json!({"id": "2", "banner": banner, "bidfloor": "x"}),
        json!({"id": "2"}),
        json!({"banner": banner}),
        json!(5),
    ] {
        assert_eq!(found(unfit.clone()), Ok(texts(&["1"])), "{unfit}");
    }
    assert_eq!(found(json!({"id": "1", "banner": banner})), Err(NoBidReason::InvalidRequest));
    assert_eq!(found(json!({"id": 1, "banner": banner})), Err(NoBidReason::InvalidRequest));
}

#[test]
fn row_1_1_one_of_site_app_and_dooh_is_bid_on_and_several_are_not() {
    let place = |site: Value, app: Value, dooh: Value| with(json!({"site": site, "app": app, "dooh": dooh}));
    let (object, none) = (json!({"id": "x"}), Value::Null);
    check(|_| {}, place(object.clone(), none.clone(), none.clone()), Ok(()));
    check(|_| {}, place(none.clone(), object.clone(), none.clone()), Ok(()));
    check(|_| {}, place(none.clone(), none.clone(), object.clone()), Ok(()));
    let several = Err(NoBidReason::InvalidRequest);
    check(|_| {}, place(object.clone(), object.clone(), none.clone()), several);
    check(|_| {}, place(none.clone(), object.clone(), object.clone()), several);
    // None at all is an unknown place: whoever asks for one does not bid.
    check(|_| {}, place(none.clone(), none.clone(), none.clone()), Ok(()));
    let somewhere = |account: &mut Account| {
        account.line_items[0].targeting.domains.include = texts(&["news.example"]);
    };
    check(somewhere, |_| {}, Ok(()));
    check(somewhere, place(none.clone(), none.clone(), none), Err(NoBidReason::NoMatch));
    // On the wire of protobuf the second of them does not win silently either.
    let schema = crate::protobuf::schema::Schema::load();
    let mut message = Vec::new();
    let request: Value =
        serde_json::from_slice(&plain(|request| request["app"] = json!({"bundle": "a"}))).unwrap();
    schema.encode("BidRequest", &request, &mut message);
    let arena = Bump::new();
    let auction = parse_protobuf(&message, &Limits::default(), &arena).unwrap();
    assert_eq!(auction.fault, Some(NoBidReason::InvalidRequest));
}

#[test]
fn row_1_1_cur_says_what_may_be_bid_in() {
    let answered = |cur: Value| {
        let world = World::small(|_| {});
        let body = plain(with(json!({ "cur": cur })));
        let answer: Value = serde_json::from_str(&Server::new(&world).answer(&world, 1, &body)?).unwrap();
        let bid = &answer["seatbid"][0]["bid"][0];
        Ok((answer["cur"].as_str().unwrap().to_owned(), bid["price"].as_f64().unwrap()))
    };
    let usd = || Ok(("USD".to_owned(), 2.0));
    // Absent is USD; what the profile prefers comes before the order of the list.
    for cur in [Value::Null, json!([]), json!(["EUR", "USD"]), json!("usd"), json!(["??", "USD"])] {
        assert_eq!(answered(cur.clone()), usd(), "{cur}");
    }
    assert_eq!(answered(json!(["JPY", "EUR"])), Ok(("JPY".to_owned(), 298.507462)));
    assert_eq!(answered(json!(["GBP"])), Err(NoBidReason::Currency));
    assert_eq!(answered(json!(["US"])), Err(NoBidReason::Currency));
    // Floors are converted before they are compared: 2.00 USD are 1.8518 EUR.
    let floor = |floor: f64| {
        move |request: &mut Value| {
            with(json!({"cur": ["JPY"]}))(request);
            imp(json!({"bidfloor": floor, "bidfloorcur": "EUR"}))(request);
        }
    };
    check(|_| {}, floor(1.85), Ok(()));
    check(|_| {}, floor(1.86), Err(NoBidReason::BelowFloor));
}

#[test]
fn row_1_1_wlang_and_wlangb_allow_languages() {
    let speaks = |language: Option<&'static str>| {
        move |account: &mut Account| account.creatives[0].language = language.map(str::to_owned)
    };
    let refused = Err(NoBidReason::Language);
    check(speaks(Some("en")), with(json!({"wlang": ["de", "en"]})), Ok(()));
    check(speaks(Some("en")), with(json!({"wlang": ["de"]})), refused);
    check(speaks(Some("en")), with(json!({"wlangb": ["en-GB"]})), Ok(()));
    check(speaks(Some("en")), with(json!({"wlangb": ["de-AT"]})), refused);
    check(speaks(Some("en")), with(json!({"wlang": ["fr"], "wlangb": ["EN-us"]})), Ok(()));
    check(speaks(Some("en")), with(json!({"wlang": []})), Ok(()));
    // A creative without a language fits every list.
    check(speaks(None), with(json!({"wlang": ["de"]})), Ok(()));
}

#[test]
fn row_1_1_acat_allows_and_bcat_blocks_a_category_with_all_below_it() {
    let of = |categories: &'static [&'static str]| {
        move |account: &mut Account| account.creatives[0].categories = texts(categories)
    };
    let refused = Err(NoBidReason::BlockedCategory);
    check(of(&["IAB25-3"]), with(json!({"bcat": ["IAB25"]})), refused);
    check(of(&["IAB25"]), with(json!({"bcat": ["IAB25-3"]})), Ok(()));
    check(of(&["IAB2", "IAB25-3"]), with(json!({"bcat": ["iab25-3"]})), refused);
    check(of(&["IAB2-5"]), with(json!({"acat": ["IAB2"]})), Ok(()));
    check(of(&["IAB2-5", "IAB3"]), with(json!({"acat": ["IAB2"]})), refused);
    check(of(&[]), with(json!({"acat": ["IAB2"]})), refused);
    check(of(&[]), with(json!({"bcat": ["IAB2"]})), Ok(()));
    check(of(&["IAB2-5"]), with(json!({"acat": ["IAB2"], "bcat": ["IAB2-5"]})), refused);
}

#[test]
fn row_1_1_badv_blocks_a_domain_and_all_below_it() {
    let of = |domains: &'static [&'static str]| {
        move |account: &mut Account| account.creatives[0].adomain = texts(domains)
    };
    let refused = Err(NoBidReason::BlockedAdvertiser);
    let blocked = || with(json!({"badv": ["x.example", " Shop.Example. "]}));
    check(of(&["shop.example"]), blocked(), refused);
    check(of(&["a.shop.example"]), blocked(), refused);
    check(of(&["fine.example", "shop.example"]), blocked(), refused);
    check(of(&["workshop.example"]), blocked(), Ok(()));
    check(of(&["example"]), blocked(), Ok(()));
}

#[test]
fn row_1_1_bapp_blocks_the_promoted_app_and_not_the_place() {
    let promotes = |bundle: Option<&'static str>| {
        move |account: &mut Account| account.creatives[0].bundle = bundle.map(str::to_owned)
    };
    let blocked = || with(json!({"bapp": ["com.game"]}));
    check(promotes(Some("com.game")), blocked(), Err(NoBidReason::BlockedApp));
    check(promotes(Some("com.games")), blocked(), Ok(()));
    let inside = with(json!({"bapp": ["com.game"], "site": null, "app": {"bundle": "com.game"}}));
    check(promotes(None), inside, Ok(()));
}

#[test]
fn row_1_1_allimps_asks_for_nothing_by_itself() {
    let two = |all: i64| {
        move |request: &mut Value| {
            request["allimps"] = json!(all);
            let second = json!({"id": "2", "bidfloor": 50, "banner": {"w": 300, "h": 250}});
            request["imp"].as_array_mut().unwrap().push(second);
        }
    };
    assert_eq!(bids(|_| {}, two(1)), bids(|_| {}, two(0)));
    assert_eq!(bids(|_| {}, two(1)).unwrap().len(), 1);
}

#[test]
fn row_1_2_an_impression_without_a_medium_is_an_invalid_request() {
    for media in [json!({"banner": null}), json!({"banner": null, "video": {}}), json!({"banner": 5})] {
        check(|_| {}, imp(media), Err(NoBidReason::NoUsableMedium));
    }
    assert_eq!(NoBidReason::NoUsableMedium.nbr(), Some(2));
}

/// Notes how long money would be held.
struct Lives(Vec<u32>);

impl HoldSource for Lives {
    type Hold = ();

    fn try_hold(&mut self, request: &HoldRequest) -> Result<Granted<()>, NoBidReason> {
        self.0.push(request.life_s);
        Ok(Granted { hold: (), lease: LeaseId(0), day: BudgetDay(0), bucket: Bucket::default() })
    }
}

/// `bid.exp`, and the seconds that the bid's money is held.
fn lives(request: impl FnOnce(&mut Value)) -> (u32, u32) {
    let world = World::small(|_| {});
    let (body, arena, mut lives) = (plain(request), Bump::new(), Lives(Vec::new()));
    let auction = parse(&body, &Limits::default(), &arena).unwrap();
    let request = run::request(&world, 1, &auction, super::world::NOON, &arena);
    let mut core = Core::new(BidIds::new(9, 1));
    let decision = decide(&request, &mut core, &mut lives, &Deadline::never(), &mut NoObserver).unwrap();
    (decision.bids[0].exp_s, lives.0[0])
}

#[test]
fn row_1_2_imp_exp_is_the_hold_life() {
    // What the profile says of web banners, and ten seconds of grace.
    assert_eq!(lives(|_| {}), (120, 130));
    assert_eq!(lives(imp(json!({"exp": 600}))), (600, 610));
    assert_eq!(lives(imp(json!({"exp": 60}))), (120, 130));
    assert_eq!(lives(imp(json!({"exp": 0}))), (120, 130));
    // Up to the longest that the profile allows.
    check(|_| {}, imp(json!({"exp": 7_190})), Ok(()));
    check(|_| {}, imp(json!({"exp": 7_191})), Err(NoBidReason::HoldLife));
}

#[test]
fn row_1_2_an_interstitial_needs_a_listed_size_and_is_held_for_longer() {
    check(|_| {}, imp(json!({"instl": 1})), Ok(()));
    let other = imp(json!({"instl": 1, "banner": {"format": [{"w": 1_024, "h": 768}]}}));
    check(|_| {}, other, Err(NoBidReason::NoMatch));
    let app = |instl: i64| {
        move |request: &mut Value| {
            with(json!({"site": null, "app": {"bundle": "a"}}))(request);
            imp(json!({ "instl": instl }))(request);
        }
    };
    assert_eq!((lives(app(0)), lives(app(1))), ((300, 310), (1_800, 1_810)));
}

#[test]
fn row_1_2_secure_wants_https_throughout() {
    let http = |account: &mut Account| account.creatives[0].secure = false;
    let refused = Err(NoBidReason::NotSecure);
    check(|_| {}, imp(json!({"secure": 1})), Ok(()));
    check(http, imp(json!({"secure": 1})), refused);
    check(http, imp(json!({"secure": 0})), Ok(()));
    check(http, imp(json!({"secure": null})), Ok(()));
    // The tracking URLs are part of the markup.
    let mut world = World::small(|_| {});
    world.settings.tracking_is_https = false;
    let bids = |secure: i64| {
        Server::new(&world).bids(&world, &plain(imp(json!({ "secure": secure })))).map(|bids| bids.len())
    };
    assert_eq!((bids(1), bids(0)), (refused.map(|()| 0), Ok(1)));
}

#[test]
fn row_1_2_what_only_informs_costs_no_bid() {
    let informs = json!({
        "rwdd": 1, "ssai": 3, "clickbrowser": 1, "displaymanager": "sdk", "displaymanagerver": "9",
        "iframebuster": ["vendor"], "tagid": "slot-7",
        "metric": [{"type": "viewability", "value": 0.2, "vendor": "v"}],
    });
    check(|_| {}, imp(informs), Ok(()));
}

#[test]
fn row_1_7_a_deal_is_for_the_line_items_that_name_it() {
    let account = |account: &mut Account| {
        account.campaigns.push(super::world::campaign(2, 1));
        account.line_items.push(line_item(2, 2, 3_000_000));
        account.line_items[1].targeting.deals.include = texts(&["d1"]);
    };
    let deals = |deals: Value| imp(json!({"pmp": {"deals": deals}}));
    let told = |list: Value| {
        let bids = bids(account, deals(list)).unwrap();
        bids.into_iter().map(|bid| (bid.line_item, bid.deal)).collect::<Vec<_>>()
    };
    let d1 = || Some("d1".to_owned());
    assert_eq!(told(json!([{"id": "d1"}])), [(2, d1()), (1, None)]);
    // Another deal, or its name in other letters, is none that was agreed.
    assert_eq!(told(json!([{"id": "d2"}])), [(1, None)]);
    assert_eq!(told(json!([{"id": "D1"}])), [(1, None)]);
    assert_eq!(told(json!([])), [(1, None)]);
}

#[test]
fn row_1_7_a_deal_is_never_weighed_against_the_open_auction() {
    let account = |account: &mut Account| {
        account.campaigns.push(super::world::campaign(2, 1));
        account.line_items.push(line_item(2, 2, 90_000_000));
        account.line_items[0].targeting.deals.include = texts(&["d1"]);
        account.creatives.push(creative(2, 1));
        account.line_items[1].creatives[0].creative = CreativeId(2);
        assert!(account.rates.set(currency("GBP"), Rate(1_250_000_000)));
    };
    // The open bid is 45 times as high, and takes nothing from the deal, whose floor is in another currency.
    let cheap = json!({"pmp": {"deals": [{"id": "d1", "bidfloor": 1.6, "bidfloorcur": "GBP"}]}});
    let bids = bids(account, imp(cheap)).unwrap();
    let told: Vec<(u32, i64)> = bids.iter().map(|bid| (bid.line_item, bid.micros)).collect();
    assert_eq!(told, [(1, 2_000_000), (2, 90_000_000)]);
}
