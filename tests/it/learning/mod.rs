//! From events to tables: what became of bids teaches what wins and what is clicked.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use outbid::model::auction::Size;
use outbid::model::event::{
    BidMade, Converted, Credit, Event, Evidence, Features, NoticeEvent, Noticed, Place, What,
};
use outbid::model::ids::{
    AdvertiserId, BidId, CampaignId, ConversionId, CreativeId, ExchangeId, LineItemId, UserKey,
};
use outbid::model::line_item::Predicts;
use outbid::model::money::{Cpm, Currency, Nanos};
use outbid::model::targeting::MediaType;
use outbid::pricing::learning::{Learning, Owner, Seen, Tables};
use outbid::pricing::place;
use outbid::pricing::prediction::{Context, Crosses, LearnerOptions, OfferFacts, OfferKeys, TrainerOptions};
use proptest::prelude::*;

const OWNER: Owner = Owner {
    advertiser: AdvertiserId(1),
    campaign: CampaignId(1),
    line_item: LineItemId(1),
    conversion_value: Nanos(5),
};
const LIFE_S: u32 = 120;
const START_MS: i64 = 1_800_000_000_000;
const MINUTE: i64 = 60_000;

fn options() -> TrainerOptions {
    let small = LearnerOptions { bits: 12, min_count: 1, ..LearnerOptions::default() };
    TrainerOptions { click: small, conversion: small, guard_events: 1_000, ..TrainerOptions::default() }
}

fn learning() -> Learning {
    Learning::new(options(), 10_000).unwrap()
}

fn id(sequence: u64) -> BidId {
    BidId { epoch: 1, core: 0, sequence }
}

fn event(at_ms: i64, what: What) -> Event {
    Event { at_ms: START_MS + at_ms, what }
}

/// A bid of 5.00 in an auction of first price.
fn bid(sequence: u64, at_ms: i64) -> Event {
    bid_with(sequence, at_ms, |_| {})
}

fn bid_with(sequence: u64, at_ms: i64, change: impl FnOnce(&mut BidMade)) -> Event {
    let mut bid = BidMade {
        id: id(sequence),
        exchange: ExchangeId(1),
        campaign: CampaignId(1),
        line_item: LineItemId(1),
        creative: CreativeId(1),
        price: Cpm(5_000_000),
        currency: Currency::USD,
        multiplier_ppm: 1_000_000,
        user: UserKey(0),
        media: MediaType::Banner,
        size: Some(Size { w: 300, h: 250 }),
        duration_s: 0,
        deal: false,
        test: false,
        place: Place { inventory: 77, ..Place::default() },
        evidence: Evidence {
            worth: Cpm(5_000_000),
            base_price: Cpm(5_000_000),
            first_price: true,
            market: 9,
            life_s: LIFE_S,
            features: Features::new([11, 12, 13]),
            ..Evidence::default()
        },
    };
    change(&mut bid);
    event(at_ms, What::Bid(bid))
}

fn notice(kind: NoticeEvent, sequence: u64, at_ms: i64) -> Event {
    notice_with(kind, sequence, at_ms, None)
}

fn notice_with(kind: NoticeEvent, sequence: u64, at_ms: i64, min_to_win: Option<i64>) -> Event {
    event(
        at_ms,
        What::Notice(Noticed {
            kind,
            bid: id(sequence),
            exchange: ExchangeId(1),
            line_item: LineItemId(1),
            creative: CreativeId(1),
            user: UserKey(0),
            after_s: 1,
            min_to_win: min_to_win.map(Cpm),
        }),
    )
}

fn conversion(definition: u32, sequence: u64, at_ms: i64, value: i64) -> Event {
    let credit = Credit {
        bid: id(sequence),
        line_item: LineItemId(1),
        creative: CreativeId(1),
        click: true,
        after_s: 1,
    };
    event(
        at_ms,
        What::Conversion(Converted {
            conversion: ConversionId(definition),
            advertiser: AdvertiserId(1),
            user: UserKey(0),
            value: Some(Nanos(value)),
            credit: Some(credit),
        }),
    )
}

fn take(learning: &mut Learning, events: impl IntoIterator<Item = Event>) {
    events.into_iter().for_each(|event| learning.take(&event, |_, definition| definition == ConversionId(1)));
}

/// What would be bid for a value of 5.00 where the bids were made.
fn price(tables: &Tables) -> i64 {
    let place = place(ExchangeId(1), (MediaType::Banner, Some(Size { w: 300, h: 250 })), 77, 9);
    tables.shading.shade(&place, Cpm(5_000_000)).bid.0
}

fn settled(learning: &mut Learning, mut now_ms: i64) -> i64 {
    while learning.reprice(START_MS + now_ms) {
        now_ms += 5_000;
    }
    price(&learning.tables())
}

#[test]
fn what_wins_is_learned_from_every_kind_of_answer() {
    // The price is 2.00 and always told.
    let mut told = learning();
    for n in 0..400 {
        let at_ms = n as i64 * 100;
        let win = notice_with(NoticeEvent::Win(Some(Cpm(5_000_000))), n, at_ms + 50, Some(2_000_000));
        take(&mut told, [bid(n, at_ms), win]);
    }
    let exact = settled(&mut told, 60_000);
    assert!((2_000_000..2_400_000).contains(&exact), "{exact}");

    // Bids of 1.00 to 4.00: those below 2.00 lose, by notice or in silence, the others win without a price.
    for silent in [false, true] {
        let mut bounds = learning();
        for n in 0..4_000u64 {
            let (at_ms, price) = (n as i64 * 100, 1_000_000 + (n % 31) as i64 * 100_000);
            let made = bid_with(n, at_ms, |bid| {
                bid.price = Cpm(price);
                bid.evidence.base_price = Cpm(price);
            });
            take(&mut bounds, [made]);
            match price >= 2_000_000 {
                true => take(
                    &mut bounds,
                    [notice(
                        NoticeEvent::Bill { charged: Nanos(1), price: Cpm(price), lsn: n },
                        n,
                        at_ms + 50,
                    )],
                ),
                false if silent => {}
                false => take(&mut bounds, [notice(NoticeEvent::Loss(Some(102)), n, at_ms + 50)]),
            }
        }
        bounds.advance(START_MS + 400_000 + i64::from(LIFE_S) * 1_000);
        let outcomes = bounds.outcomes();
        assert_eq!((outcomes.won, outcomes.lost + outcomes.silent), (2_709, 1_291), "{outcomes:?}");
        assert_eq!(outcomes.silent > 0, silent);
        let price = settled(&mut bounds, 600_000);
        assert!((1_800_000..2_700_000).contains(&price), "{price}, silent {silent}");
    }
}

#[test]
fn what_no_price_would_have_changed_is_not_learned_as_one() {
    let mut learning = learning();
    let second_price = bid_with(0, 0, |bid| bid.evidence.first_price = false);
    let test = bid_with(1, 0, |bid| bid.test = true);
    take(&mut learning, [second_price, test, bid(2, 0), bid(3, 0), bid(4, 0)]);
    // A creative that was filtered, then a loss by price and one without a word.
    take(&mut learning, [notice(NoticeEvent::Loss(Some(204)), 2, 10), notice(NoticeEvent::Win(None), 0, 20)]);
    take(&mut learning, [notice(NoticeEvent::Loss(None), 3, 30)]);
    assert_eq!(learning.waiting(), 4);
    learning.advance(START_MS + i64::from(LIFE_S) * 1_000);
    let outcomes = learning.outcomes();
    assert_eq!((outcomes.bids, outcomes.won, outcomes.lost, outcomes.silent), (4, 0, 1, 1), "{outcomes:?}");
    assert_eq!(learning.waiting(), 0);
}

#[test]
fn silence_says_nothing_while_nobody_listened() {
    let mut learning = learning();
    take(&mut learning, [bid(0, 0), bid(1, 0)]);
    learning.forgive_silence();
    take(&mut learning, [bid(2, 1_000), notice(NoticeEvent::Win(None), 1, 2_000)]);
    learning.advance(START_MS + 10 * MINUTE);
    let outcomes = learning.outcomes();
    assert_eq!((outcomes.won, outcomes.silent), (0, 1), "{outcomes:?}");
}

#[test]
fn prices_are_learned_in_the_base_currency() {
    // Bids in a currency of which one unit is half a dollar; the price is 4.00 of them.
    let mut learning = learning();
    for n in 0..400 {
        let at_ms = n as i64 * 100;
        let made = bid_with(n, at_ms, |bid| {
            (bid.price, bid.evidence.base_price) = (Cpm(10_000_000), Cpm(5_000_000));
        });
        take(&mut learning, [made, notice_with(NoticeEvent::Win(None), n, at_ms + 50, Some(4_000_000))]);
    }
    let price = settled(&mut learning, 60_000);
    assert!((2_000_000..2_400_000).contains(&price), "{price}");
}

#[test]
fn impressions_clicks_and_conversions_become_rows() {
    let mut learning = learning();
    for n in 0..4u64 {
        take(&mut learning, [bid(n, 0), notice(NoticeEvent::Impression, n, 1_000)]);
        // The bill of the same impression is not another one.
        let bill = NoticeEvent::Bill { charged: Nanos(1), price: Cpm(1), lsn: n + 1 };
        take(&mut learning, [notice(bill, n, 1_001)]);
    }
    take(&mut learning, [notice(NoticeEvent::Click, 1, 2_000), notice(NoticeEvent::Click, 2, 2_000)]);
    // Another definition is no success of this line item; one of a bid without a click is nobody's.
    let conversions = [(1, 1, 3_000), (7, 2, 3_000), (1, 3, 3_000)];
    take(
        &mut learning,
        conversions.map(|(definition, n, at_ms)| conversion(definition, n, at_ms, 40_000_000_000)),
    );
    take(&mut learning, [notice(NoticeEvent::Impression, 99, 4_000)]);
    learning.advance(START_MS + 2 * 60 * MINUTE);
    let joined = learning.joined();
    assert_eq!((joined.impressions, joined.clicks, joined.lost_clicks), (4, 2, 0), "{joined:?}");
    assert_eq!((joined.conversions[0], joined.lost_conversions), (1, 1), "{joined:?}");
    assert_eq!(learning.rows(), (4, 2));
    assert_eq!(learning.outcomes().strangers, 1);
    let revenue = |line| learning.tables().revenues.expected(AdvertiserId(1), LineItemId(line));
    assert_eq!(revenue(1), Some(Nanos(40_000_000_000)));
    assert_eq!(revenue(2), Some(Nanos(40_000_000_000)), "what others of the advertiser brought");
    assert_eq!(learning.tables().revenues.expected(AdvertiserId(2), LineItemId(3)), None);
}

#[test]
fn what_is_clicked_more_is_predicted_more() {
    let mut learning = learning();
    for n in 0..20_000u64 {
        let (at_ms, site) = (n as i64 * 500, n % 2);
        let made = bid_with(n, at_ms, |bid| bid.evidence.features = Features::new([100 + site as u32]));
        take(&mut learning, [made, notice(NoticeEvent::Impression, n, at_ms + 100)]);
        // One in ten on the one site, one in a hundred on the other.
        let clicked = if site == 0 { n.is_multiple_of(20) } else { n % 200 == 1 };
        if clicked {
            take(&mut learning, [notice(NoticeEvent::Click, n, at_ms + 200)]);
        }
    }
    learning.advance(START_MS + 20_000 * 500 + 30 * MINUTE);
    let publication = learning.publish_models();
    assert!(publication.click.accepted, "{:?}", publication.click);
    let model = learning.tables().click.unwrap();
    let rate = |site: u32| model.predict_row(&[100 + site], CampaignId(1)).as_f64();
    assert!((0.08..0.12).contains(&rate(0)) && (0.007..0.014).contains(&rate(1)), "{} {}", rate(0), rate(1));
}

#[test]
fn too_many_bids_are_left_out_and_counted() {
    let mut learning = Learning::new(options(), 3).unwrap();
    take(&mut learning, (0..5).map(|n| bid(n, 0)));
    assert_eq!((learning.waiting(), learning.outcomes().left_out), (3, 2));
    take(&mut learning, [bid(9, i64::from(LIFE_S) * 1_000 + 1)]);
    assert_eq!((learning.waiting(), learning.outcomes().bids), (1, 4));
}

#[test]
fn nothing_learned_is_a_plain_price_and_a_first_guess() {
    let tables = Tables::default();
    assert_eq!(price(&tables), 5_000_000);
    let (context, crosses) = (Context::default(), Crosses::default());
    let seen = Seen { context: &context, sums: tables.sums(&context), crosses: &crosses, draw: 0 };
    let predict = |wanted| tables.predict(&seen, &OWNER, wanted);
    assert_eq!(predict(Predicts::Nothing).click_ppb, 0);
    let clicks = predict(Predicts::Clicks);
    assert_eq!((clicks.click_ppb, clicks.conversion_ppb), (1_000_000, 0));
    let conversions = predict(Predicts::Conversions);
    assert_eq!((conversions.conversion_ppb, conversions.revenue), (10_000_000, Nanos(5)));
}

#[test]
fn who_is_new_tries_what_may_be_until_enough_was_seen() {
    let mut learning = learning();
    let shown = |n: u64| {
        let clicked = n.is_multiple_of(20).then(|| notice(NoticeEvent::Click, n, n as i64 * 100 + 60));
        [bid(n, n as i64 * 100), notice(NoticeEvent::Impression, n, n as i64 * 100 + 50)]
            .into_iter()
            .chain(clicked)
    };
    let probabilities = |learning: &mut Learning, until: u64| -> Vec<u32> {
        learning.advance(START_MS + until as i64 * 100 + 30 * MINUTE);
        assert!(learning.publish_models().click.accepted);
        let tables = learning.tables();
        let (context, mut crosses) = (Context::default(), Crosses::default());
        // Nothing of this candidate was ever seen.
        let keys = OfferKeys::new(AdvertiserId(9), CampaignId(9), LineItemId(1), CreativeId(9));
        crosses.fill(&context, &OfferFacts { keys, frequency: None, recency_s: None });
        let sums = tables.sums(&context);
        let draw = |n: u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let seen = |n| Seen { context: &context, sums, crosses: &crosses, draw: draw(n) };
        (0..10_000).map(|n| tables.predict(&seen(n), &OWNER, Predicts::Clicks).click_ppb).collect()
    };
    let usual = |all: &[u32]| {
        let mut sorted = all.to_vec();
        sorted.sort_unstable();
        let middle = sorted[all.len() / 2];
        all.iter().filter(|probability| **probability != middle).count()
    };
    take(&mut learning, (0..1_999).flat_map(shown));
    let tried = usual(&probabilities(&mut learning, 1_999));
    assert!((400..600).contains(&tried), "{tried} of 10,000");
    take(&mut learning, (1_999 + 20_000..2_001 + 20_000).flat_map(shown));
    assert_eq!(usual(&probabilities(&mut learning, 22_001)), 0);
}

/// Some day: bids with whatever becomes of them.
fn events() -> impl Strategy<Value = Vec<Event>> {
    let one = (0u64..60, 0u8..8, 1i64..9_000_000);
    prop::collection::vec(one, 1..200).prop_map(|drawn| {
        let event = |(at, (n, what, price)): (usize, (u64, u8, i64))| {
            let at_ms = at as i64 * 7_000;
            match what {
                0..=2 => bid_with(n, at_ms, |bid| {
                    (bid.price, bid.evidence.base_price) = (Cpm(price), Cpm(price));
                    bid.evidence.features = Features::new([n as u32, price as u32]);
                }),
                3 => notice_with(NoticeEvent::Win(None), n, at_ms, (price % 2 == 0).then_some(price / 2)),
                4 => notice(NoticeEvent::Loss((price % 3 == 0).then_some(102)), n, at_ms),
                5 => notice(NoticeEvent::Impression, n, at_ms),
                6 => notice(NoticeEvent::Click, n, at_ms),
                _ => conversion(1 + (price % 2) as u32, n, at_ms, price),
            }
        };
        drawn.into_iter().enumerate().map(event).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn who_goes_on_from_kept_bytes_does_as_if_never_stopped(events in events(), at in 0usize..200) {
        let mut straight = learning();
        let mut before = learning();
        let at = at.min(events.len());
        take(&mut straight, events[..at].iter().copied());
        take(&mut before, events[..at].iter().copied());
        for learning in [&mut straight, &mut before] {
            learning.reprice(START_MS + at as i64 * 7_000);
            learning.publish_models();
        }
        let mut after = Learning::import(options(), 10_000, &before.export()).unwrap();
        prop_assert_eq!(after.outcomes(), before.outcomes());
        prop_assert_eq!(price(&after.tables()), price(&before.tables()));
        take(&mut straight, events[at..].iter().copied());
        take(&mut after, events[at..].iter().copied());
        prop_assert_eq!(after.outcomes(), straight.outcomes());
        prop_assert_eq!(after.joined(), straight.joined());
        prop_assert_eq!(after.rows(), straight.rows());
        let end = START_MS + 1_500_000;
        let verdict = |learning: &mut Learning| {
            let verdict = learning.publish_models().click;
            (verdict.accepted, verdict.events, verdict.candidate.to_bits())
        };
        prop_assert_eq!(verdict(&mut after), verdict(&mut straight));
        straight.reprice(end);
        after.reprice(end);
        prop_assert_eq!(price(&after.tables()), price(&straight.tables()));
    }

    #[test]
    fn damage_is_named(byte in 0usize..100_000, flip in 1u8..=255) {
        let mut bytes = learning().export();
        let at = byte % bytes.len();
        bytes[at] ^= flip;
        prop_assert!(Learning::import(options(), 10, &bytes).is_err());
        prop_assert!(Learning::import(options(), 10, &bytes[..at]).is_err());
    }
}
