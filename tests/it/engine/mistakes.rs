//! The twelve things that bidders get wrong most often (openrtb.md 1.17), as far as a decision is concerned, and a few
//! that this engine got wrong once.

use super::request::plain;
use super::run::{Server, Told};
use super::world::{World, campaign, creative, currency, line_item, profile};
use outbid::audience::Membership;
use outbid::budget::AccountKey;
use outbid::engine::{Deadline, NoObserver, Times};
use outbid::model::account::Account;
use outbid::model::clock::FixedClock;
use outbid::model::exchange::ExchangeProfile;
use outbid::model::ids::{AdvertiserId, SegmentId};
use outbid::model::money::{Cpm, Nanos};
use outbid::model::no_bid::NoBidReason;
use outbid::model::rates::Rate;
use outbid::model::targeting::SegmentRule;
use serde_json::{Value, json};

/// Line item 1 bids 2.00 in the open auction.
fn decide(
    account: impl FnOnce(&mut Account),
    request: impl FnOnce(&mut Value),
) -> Result<Vec<Told>, NoBidReason> {
    let world = World::small(account);
    Server::new(&world).bids(&world, &plain(request))
}

/// The price of the only bid, in micros.
fn check(
    account: impl FnOnce(&mut Account),
    request: impl FnOnce(&mut Value),
    expected: Result<i64, NoBidReason>,
) {
    let bids = decide(account, request).map(|bids| {
        assert_eq!(bids.len(), 1, "{bids:?}");
        bids[0].micros
    });
    assert_eq!(bids, expected);
}

/// Line item 1 is for the deal `d1`.
fn on_d1(account: &mut Account) {
    account.line_items[0].targeting.deals.include = vec!["d1".to_owned()];
}

fn deal(request: &mut Value, terms: Value) {
    request["imp"][0]["pmp"] = json!({"deals": [terms]});
}

#[test]
fn mistake_1_an_absent_auction_type_is_no_first_price() {
    for at in [json!(1), json!(2), json!(500), Value::Null, json!("2")] {
        check(|_| {}, |r| r["at"] = at, Ok(2_000_000));
    }
}

#[test]
fn mistake_3_a_deals_floor_is_in_dollars_whatever_the_impression_says() {
    let in_euros = |r: &mut Value| r["imp"][0]["bidfloorcur"] = json!("EUR");
    // 1.90 EUR would be 2.052 USD.
    check(
        on_d1,
        |r| {
            in_euros(r);
            deal(r, json!({"id": "d1", "bidfloor": 1.9}));
        },
        Ok(2_000_000),
    );
    check(
        on_d1,
        |r| deal(r, json!({"id": "d1", "bidfloor": 1.9, "bidfloorcur": "EUR"})),
        Err(NoBidReason::BelowFloor),
    );
    // A deal without a floor answers to the impression's, in the impression's currency.
    let without = |floor: f64| {
        move |r: &mut Value| {
            in_euros(r);
            r["imp"][0]["bidfloor"] = json!(floor);
            deal(r, json!({"id": "d1"}));
        }
    };
    check(on_d1, without(1.85), Ok(2_000_000));
    check(on_d1, without(1.9), Err(NoBidReason::BelowFloor));
}

#[test]
fn mistake_4_no_open_bid_into_a_private_auction() {
    let private = |r: &mut Value| r["imp"][0]["pmp"] = json!({"private_auction": 1, "deals": [{"id": "d1"}]});
    check(|_| {}, private, Err(NoBidReason::NoMatch));
    check(on_d1, private, Ok(2_000_000));
    check(|_| {}, |r| r["imp"][0]["pmp"] = json!({"private_auction": 1}), Err(NoBidReason::NoMatch));
    check(
        |_| {},
        |r| r["imp"][0]["pmp"] = json!({"private_auction": 0, "deals": [{"id": "d1"}]}),
        Ok(2_000_000),
    );
}

#[test]
fn mistake_5_formats_are_the_sizes_and_width_and_height_only_stand_in() {
    let banner = |banner: Value| move |r: &mut Value| r["imp"][0]["banner"] = banner;
    check(
        |_| {},
        banner(json!({"w": 728, "h": 90, "format": [{"w": 970, "h": 250}, {"w": 300, "h": 250}]})),
        Ok(2_000_000),
    );
    check(
        |_| {},
        banner(json!({"w": 300, "h": 250, "format": [{"w": 728, "h": 90}]})),
        Err(NoBidReason::NoMatch),
    );
    check(|_| {}, banner(json!({"w": 300, "h": 250})), Ok(2_000_000));
    check(|_| {}, banner(json!({})), Err(NoBidReason::NoMatch));
}

#[test]
fn mistake_6_identifiers_are_read_where_either_version_puts_them() {
    let mut account = World::small(|_| {}).account;
    account.exchanges[0].eid_sources = vec!["id.example".to_owned()];
    account.line_items[0].targeting.segments =
        SegmentRule { any_of: vec![SegmentId(4)], ..SegmentRule::default() };
    let world = World::of(account, Default::default());
    world.audience.add(world.id_key.eid("id.example", "abc"), Membership::of(SegmentId(4))).unwrap();
    let eids = json!([{"source": "ID.example", "uids": [{"id": "abc"}]}]);
    for user in [json!({"eids": eids}), json!({"ext": {"eids": eids}})] {
        assert!(Server::new(&world).bids(&world, &plain(|r| r["user"] = user)).is_ok());
    }
    let other = json!({"eids": [{"source": "other.example", "uids": [{"id": "abc"}]}]});
    assert_eq!(Server::new(&world).bids(&world, &plain(|r| r["user"] = other)), Err(NoBidReason::NoMatch));
}

#[test]
fn mistake_7_ids_come_back_as_they_came() {
    let world = World::small(|_| {});
    for (id, imp, echoed) in [
        (json!("ä\"\\\u{2028}/\u{0}"), json!("imp é"), ("ä\"\\\u{2028}/\u{0}", "imp é")),
        (json!(12345678901234567890u64), json!(7), ("12345678901234567890", "7")),
        (json!(" 1 "), json!("0001"), (" 1 ", "0001")),
    ] {
        let body = plain(|r| (r["id"], r["imp"][0]["id"]) = (id, imp));
        let answer: Value =
            serde_json::from_str(&Server::new(&world).answer(&world, 1, &body).unwrap()).unwrap();
        let given =
            (answer["id"].as_str().unwrap(), answer["seatbid"][0]["bid"][0]["impid"].as_str().unwrap());
        assert_eq!(given, echoed);
    }
    // Also where they stand as numbers that no float could hold.
    let body = String::from_utf8(plain(|_| {}))
        .unwrap()
        .replace("\"id\":\"r\"", "\"id\":123456789012345678901234567890");
    let answer = Server::new(&world).answer(&world, 1, body.as_bytes()).unwrap();
    assert!(answer.starts_with("{\"id\":\"123456789012345678901234567890\""), "{answer}");
}

#[test]
fn mistake_8_categories_of_two_taxonomies_are_not_compared() {
    let with = |cattax: u16, categories: &'static [&'static str]| {
        move |account: &mut Account| {
            account.creatives[0].cattax = cattax;
            account.creatives[0].categories = categories.iter().map(|c| (*c).to_owned()).collect();
        }
    };
    let request =
        |cattax: i64, bcat: Value| move |r: &mut Value| (r["cattax"], r["bcat"]) = (json!(cattax), bcat);
    check(with(1, &["IAB25-3"]), |r| r["bcat"] = json!(["IAB25"]), Err(NoBidReason::BlockedCategory));
    check(with(1, &["IAB25-3"]), |r| r["bcat"] = json!(["IAB2", "IAB25-31"]), Ok(2_000_000));
    check(with(1, &["IAB25-3"]), |r| r["bcat"] = json!([" iab25-3 "]), Err(NoBidReason::BlockedCategory));
    check(with(7, &["25"]), request(7, json!(["2"])), Ok(2_000_000));
    check(with(7, &["25"]), request(7, json!(["25"])), Err(NoBidReason::BlockedCategory));
    // The same text in another taxonomy means something else: neither blocked by it nor proven to be allowed.
    check(with(7, &["25"]), |r| r["bcat"] = json!(["26"]), Err(NoBidReason::BlockedCategory));
    check(with(1, &["IAB25"]), request(7, json!(["26"])), Err(NoBidReason::BlockedCategory));
    check(with(7, &["25"]), |_| {}, Ok(2_000_000));
}

#[test]
fn mistake_9_a_quantity_multiplies_the_hold() {
    let check = |qty: Value, expected: i64| {
        let world = World::small(|account| account.advertisers[0].data_fee = Cpm(100_000));
        let body = plain(|r| r["imp"][0]["qty"] = qty);
        let mut server = Server::new(&world);
        let held = server.decide(&world, 1, &body, |_, decided| {
            let decision = decided.unwrap();
            assert_eq!(
                decision.bids[0].price,
                Cpm(2_000_000),
                "the price is per thousand, whatever the quantity"
            );
            decision.holds[0].amount()
        });
        assert_eq!(held, Nanos(expected));
    };
    check(Value::Null, 2_100_000);
    check(json!({"multiplier": 2.5}), 5_250_000);
    check(json!({"multiplier": 0.0000001}), 3);
    let too_much = plain(|r| r["imp"][0]["qty"] = json!({"multiplier": 10.000001}));
    let world = World::small(|_| {});
    assert_eq!(Server::new(&world).bids(&world, &too_much), Err(NoBidReason::Multiplier));
}

#[test]
fn mistake_10_what_the_network_takes_of_tmax_is_not_ours() {
    let world = World::small(|_| {});
    let late = |tmax: i64| {
        let mut server = Server::new(&world);
        let clock = FixedClock::at(server.now);
        let deadline = Deadline::new(
            &clock,
            Times::at(server.now.mono_ns),
            u32::try_from(tmax).ok(),
            world.profile(1),
            1_000,
        );
        let body = plain(|r| r["tmax"] = json!(tmax));
        server.observe(&world, 1, &body, &mut NoObserver, &deadline, |_, decided| decided.err())
    };
    assert_eq!((late(20), late(21)), (Some(NoBidReason::Deadline), None));
}

#[test]
fn mistake_11_loose_types_decide_the_same() {
    let strict = |r: &mut Value| {
        r["imp"][0]["secure"] = json!(1);
        r["imp"][0]["bidfloor"] = json!(1.5);
        r["imp"][0]["pmp"] =
            json!({"private_auction": 1, "deals": [{"id": "12", "at": 3, "bidfloor": 1.75}]});
        r["device"]["lmt"] = json!(0);
    };
    let loose = |r: &mut Value| {
        r["imp"][0]["banner"]["format"] = json!([{"w": "300", "h": 250.0}]);
        r["imp"][0]["secure"] = json!(true);
        r["imp"][0]["bidfloor"] = json!("1.5");
        r["imp"][0]["pmp"] =
            json!({"private_auction": true, "deals": [{"id": 12, "at": "3", "bidfloor": "1.75"}]});
        r["device"]["lmt"] = json!("0");
        r["device"]["devicetype"] = json!("4");
        r["at"] = json!("1");
        r["test"] = json!(false);
    };
    let line = |account: &mut Account| account.line_items[0].targeting.deals.include = vec!["12".to_owned()];
    assert_eq!(decide(line, strict), decide(line, loose));
    check(line, loose, Ok(1_750_000));
}

#[test]
fn mistake_12_a_test_says_so_in_its_token_and_its_money_is_free_at_once() {
    let world = World::small(|_| {});
    let mut server = Server::new(&world);
    let claims = server.decide(&world, 1, &plain(|r| r["test"] = json!(1)), |auction, decided| {
        assert!(auction.test);
        decided.unwrap().bids[0].claims
    });
    assert!(claims.test);
    assert_eq!(server.held(), 0);
    assert_eq!(
        server.ledger.post(&claims, outbid::budget::Bill::at(claims.price), server.now),
        outbid::budget::Posting::Test
    );
    assert_eq!(server.ledger.void(&claims), outbid::budget::Resolution::Ignored);
    assert_eq!(server.ledger.balance(AccountKey::Wallet(AdvertiserId(1))).posted, Nanos(0));
}

#[test]
fn a_fixed_price_is_the_deals_own_and_nothing_else() {
    let fixed = |floor: Value| {
        move |r: &mut Value| {
            r["imp"][0]["bidfloor"] = json!(0.5);
            deal(r, json!({"id": "d1", "at": 3, "bidfloor": floor}));
        }
    };
    check(on_d1, fixed(json!(1.234567)), Ok(1_234_567));
    check(on_d1, fixed(json!(2.0)), Ok(2_000_000));
    check(on_d1, fixed(json!(2.000001)), Err(NoBidReason::BelowFloor));
    // Without an agreed price there is nothing to bid: the impression's floor is no agreement.
    check(on_d1, fixed(Value::Null), Err(NoBidReason::BelowFloor));
}

#[test]
fn a_floor_is_met_by_equality_and_never_by_rounding() {
    let floor = |floor: Value, code: &'static str| {
        move |r: &mut Value| {
            (r["imp"][0]["bidfloor"], r["imp"][0]["bidfloorcur"]) = (floor, json!(code));
        }
    };
    check(|_| {}, floor(json!(2), "USD"), Ok(2_000_000));
    check(|_| {}, floor(json!("2.0000001"), "USD"), Err(NoBidReason::BelowFloor));
    // 2.00 USD are 1.851851… EUR.
    check(|_| {}, floor(json!(1.851851), "EUR"), Ok(2_000_000));
    check(|_| {}, floor(json!(1.851852), "EUR"), Err(NoBidReason::BelowFloor));
    check(|_| {}, floor(json!(0.01), "GBP"), Err(NoBidReason::BelowFloor));
    check(|_| {}, floor(json!(0), "GBP"), Ok(2_000_000));
    check(|_| {}, floor(json!(0.01), "??"), Err(NoBidReason::BelowFloor));
}

#[test]
fn a_deal_listed_twice_has_no_certain_terms() {
    let twice = |r: &mut Value| {
        r["imp"][0]["pmp"] = json!({"deals": [{"id": "d1", "bidfloor": 1}, {"id": "d1", "bidfloor": 1.5}]});
    };
    check(on_d1, twice, Err(NoBidReason::Deal));
}

#[test]
fn each_deal_and_the_open_auction_get_a_bid_from_another_campaign() {
    let account = |account: &mut Account| {
        for id in 2..=4 {
            account.campaigns.push(campaign(id, 1));
            account.line_items.push(line_item(id, id, 1_000_000 * i64::from(id)));
        }
        // Line items 2 and 3 want d2; 3 and 4 share a campaign, 4 is open.
        account.line_items[3].campaign = account.line_items[2].campaign;
        on_d1(account);
        for at in [1, 2] {
            account.line_items[at].targeting.deals.include = vec!["d2".to_owned()];
        }
        account.campaigns.push(campaign(5, 1));
        account.line_items.push(line_item(5, 5, 500_000));
    };
    let bids = decide(account, |r| {
        r["imp"][0]["pmp"] = json!({"deals": [{"id": "d2"}, {"id": "d3"}, {"id": "d1"}]});
    });
    let told: Vec<(u32, Option<String>)> =
        bids.unwrap().into_iter().map(|bid| (bid.line_item, bid.deal)).collect();
    assert_eq!(told, [(3, Some("d2".to_owned())), (1, Some("d1".to_owned())), (5, None)]);
}

#[test]
fn a_dear_deal_that_cannot_be_paid_does_not_cost_a_cheap_one() {
    let account = |account: &mut Account| {
        account.advertisers[0].wallet = Nanos(1_500_000);
        account.line_items[0].targeting.deals.include = vec!["d1".to_owned(), "d2".to_owned()];
    };
    let deals =
        json!({"deals": [{"id": "d1", "at": 3, "bidfloor": 1.9}, {"id": "d2", "at": 3, "bidfloor": 1.1}]});
    let bids = decide(account, |r| r["imp"][0]["pmp"] = deals).unwrap();
    let expected = Told { imp: "1".to_owned(), line_item: 1, deal: Some("d2".to_owned()), micros: 1_100_000 };
    assert_eq!(bids, [expected]);
}

#[test]
fn a_cap_is_no_obstacle_in_a_currency_of_small_units() {
    let dong = |account: &mut Account| {
        assert!(account.rates.set(currency("VND"), Rate(40_000)));
    };
    // 2.00 USD are 50,000 dong; the exchange's 100.00 USD would be 2,500,000, more than a price can say.
    check(dong, |r| r["cur"] = json!(["VND"]), Ok(50_000_000_000));
}

#[test]
fn the_seat_must_be_wanted_and_not_barred() {
    check(|_| {}, |r| r["wseat"] = json!(["seat-1", "x"]), Ok(2_000_000));
    check(|_| {}, |r| r["wseat"] = json!(["x"]), Err(NoBidReason::Seat));
    check(
        |_| {},
        |r| (r["wseat"], r["bseat"]) = (json!(["seat-1"]), json!(["seat-1"])),
        Err(NoBidReason::Seat),
    );
    check(
        on_d1,
        |r| deal(r, json!({"id": "d1", "wadomain": ["bank.example"]})),
        Err(NoBidReason::BlockedAdvertiser),
    );
    check(
        on_d1,
        |r| deal(r, json!({"id": "d1", "wadomain": ["shop.example"], "wseat": ["seat-1"]})),
        Ok(2_000_000),
    );
}

#[test]
fn a_bid_that_must_declare_its_transparency_is_not_made() {
    let dsa =
        |required: i64| move |r: &mut Value| r["regs"] = json!({"ext": {"dsa": {"dsarequired": required}}});
    for required in [0, 1] {
        check(|_| {}, dsa(required), Ok(2_000_000));
    }
    for required in [2, 3] {
        check(|_| {}, dsa(required), Err(NoBidReason::Unsupported));
    }
}

#[test]
fn a_bid_declares_its_transparency_where_it_is_wanted() {
    use outbid::model::creative::Transparency;
    let declared = |renders: bool| {
        World::small(|account| {
            account.creatives[0].transparency = Some(Transparency {
                behalf: "Brand \"A\"".to_owned(),
                paid: "Agency".to_owned(),
                renders,
                domain: "dsp.example".to_owned(),
                parameters: vec![1, 2],
            });
        })
    };
    let answer = |world: &World, dsa: Value| {
        let body = plain(|request| request["regs"] = json!({ "ext": { "dsa": dsa } }));
        let answer = Server::new(world).answer(world, 1, &body)?;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        Ok(answer.pointer("/seatbid/0/bid/0/ext/dsa").cloned())
    };
    let world = declared(true);
    let said = json!({
        "behalf": "Brand \"A\"", "paid": "Agency", "adrender": 1,
        "transparency": [{"domain": "dsp.example", "dsaparams": [1, 2]}]
    });
    for required in [1, 2, 3] {
        assert_eq!(answer(&world, json!({"dsarequired": required, "pubrender": 0})), Ok(Some(said.clone())));
    }
    assert_eq!(answer(&world, json!({"dsarequired": 0})), Ok(None));
    // A publisher who cannot show it needs an ad that does.
    let world = declared(false);
    assert!(answer(&world, json!({"dsarequired": 2, "pubrender": 1})).unwrap().is_some());
    let cannot = answer(&world, json!({"dsarequired": 2, "pubrender": 0}));
    assert_eq!(cannot, Err(NoBidReason::Unsupported));
}

#[test]
fn a_size_with_a_factor_of_0_is_left_to_the_other_creatives() {
    use super::world::SIZES;
    use outbid::model::ids::CreativeId;
    use outbid::model::line_item::{Condition, CreativeAssignment};
    let world = World::small(|account| {
        let mut wide = creative(2, 1);
        wide.content = super::world::banner(SIZES[1], 2);
        account.creatives.push(wide);
        account.line_items[0].creatives = [1, 2]
            .map(|id| CreativeAssignment { creative: CreativeId(id), weight: 1, when: Condition::default() })
            .to_vec();
        account.line_items[0].multipliers.sizes = vec![(SIZES[0], 0)];
    });
    for id in 0..32 {
        let body = plain(|r| {
            r["id"] = json!(id.to_string());
            r["imp"][0]["banner"]["format"] = json!([{"w": 300, "h": 250}, {"w": 728, "h": 90}]);
        });
        let size = Server::new(&world).decide(&world, 1, &body, |_, decided| decided.unwrap().bids[0].size);
        assert_eq!(size, Some(SIZES[1]));
    }
    assert_eq!(Server::new(&world).bids(&world, &plain(|_| {})), Err(NoBidReason::Size));
}

#[test]
fn the_exchanges_cap_binds_in_its_own_currency() {
    let capped = |account: &mut Account| {
        let euros = ExchangeProfile { currency: currency("EUR"), max_cpm: Cpm(1_000_000), ..profile(1) };
        account.exchanges = vec![euros];
    };
    check(capped, |r| r["cur"] = json!(["USD"]), Ok(1_080_000));
    check(capped, |r| r["cur"] = json!(["USD", "EUR"]), Ok(1_000_000));
}

#[test]
fn a_charge_above_the_largest_is_not_made_and_no_price_is_above_the_largest_anywhere() {
    let decided = |change: fn(&mut World)| {
        let mut world = World::small(|_| {});
        change(&mut world);
        let mut server = Server::new(&world);
        server.decide(&world, 1, &plain(|_| {}), |_, decided| {
            decided.map(|decision| decision.bids.iter().map(|bid| bid.price).collect::<Vec<_>>())
        })
    };
    assert_eq!(decided(|_| {}), Ok(vec![Cpm(2_000_000)]));
    assert_eq!(decided(|world| world.settings.max_charge = Nanos(2_000_000)), Ok(vec![Cpm(2_000_000)]));
    assert_eq!(
        decided(|world| world.settings.max_charge = Nanos(1_999_999)),
        Err(NoBidReason::LimitExceeded)
    );
    assert_eq!(decided(|world| world.settings.max_cpm = Cpm(1_400_000)), Ok(vec![Cpm(1_400_000)]));
}
