//! What nobody should send and no clock should show: the books neither overflow, nor stop the process, nor charge
//! anybody above a budget.

use super::books::{Ask, Bidder, NOON, configure, conserved, funding, later, ledger_of};
use outbid::budget::{AccountKey, Bill, Posting, Stop};
use outbid::model::clock::Now;
use outbid::model::ids::{AdvertiserId, CampaignId, ExchangeId, LineItemId};
use outbid::model::line_item::Budget;
use outbid::model::money::{Cpm, Nanos};
use outbid::model::token::TokenClaims;
use proptest::prelude::*;

/// The largest hold that a configuration allows.
const LARGEST: i64 = 1_000_000_000_000_000;

#[test]
fn the_largest_amounts_there_are_overflow_nothing() {
    let ledger = ledger_of(2, [funding(1, i64::MAX)]);
    let mut bidder = Bidder::new(0, &ledger);
    let mad = Bill { multiplier_ppm: Some(i64::MAX), ..Bill::at(Cpm(i64::MAX)) };
    let wallet = || ledger.balance(AccountKey::Wallet(AdvertiserId(1))).posted;
    for count in 1..=3 {
        let bid = bidder.answer(Ask::of(1, LARGEST), NOON).unwrap();
        assert_eq!(ledger.post(&bid, mad, NOON), Posting::Accepted { charged: Nanos(LARGEST) });
        assert_eq!(wallet(), Nanos(count * LARGEST));
    }
    assert_eq!(ledger.house().overprice, Nanos(i64::MAX), "the most that the house's books can show");
    let correct =
        |amount| ledger.attempt(move |w| w.adjust(LineItemId(1), Nanos(amount), NOON)).unwrap().unwrap();
    assert_eq!(correct(i64::MIN), None, "more than was ever charged");
    assert_eq!(
        correct(i64::MAX),
        Some(Posting::Late { charged: Nanos(0), house: Nanos(i64::MAX) }),
        "more than there is"
    );
    assert_eq!(wallet(), Nanos(3 * LARGEST));
    conserved(&ledger);
}

/// One thing that happens at a moment of its own.
#[derive(Clone, Debug)]
enum Op {
    Bid { line: u32, price: i64 },
    Bill { bid: usize, price: i64, multiplier: Option<i64> },
    Loss(usize),
    Tick,
    Budgets { wallet: i64, daily: Option<i64>, zone: usize },
    Stop(u8, bool),
    Correct(i64),
}

const ZONES: [&str; 4] = ["UTC", "Pacific/Kiritimati", "Australia/Lord_Howe", "America/Havana"];
const DAY_MS: i64 = 86_400_000;

/// Moments of the wall clock, some of which no calendar has.
fn moment() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => (0..3 * DAY_MS).prop_map(|ms| NOON.unix_ms + ms),
        1 => prop::sample::select(vec![
            i64::MIN, -DAY_MS, -1, 0, 1, 1_000 * i64::from(i32::MAX), 1_000 * i64::from(u32::MAX),
            1_000 * i64::from(u32::MAX) + 1, 253_402_300_800_000, i64::MAX,
        ]),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let amount = || prop_oneof![0i64..5_000, Just(0), Just(i64::MAX), Just(LARGEST)];
    prop_oneof![
        4 => (1u32..4, 1i64..3_000).prop_map(|(line, price)| Op::Bid { line, price }),
        4 => (0usize..40, amount(), prop::option::of(prop_oneof![1i64..5_000_000, Just(i64::MAX)]))
            .prop_map(|(bid, price, multiplier)| Op::Bill { bid, price, multiplier }),
        2 => (0usize..40).prop_map(Op::Loss),
        3 => Just(Op::Tick),
        1 => (amount(), prop::option::of(amount()), 0usize..4)
            .prop_map(|(wallet, daily, zone)| Op::Budgets { wallet, daily, zone }),
        1 => (0u8..4, any::<bool>()).prop_map(|(what, on)| Op::Stop(what, on)),
        1 => prop_oneof![-3_000i64..3_000, Just(i64::MIN), Just(i64::MAX)].prop_map(Op::Correct),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_clock_no_amount_and_no_order_overdraws_a_wallet(ops in prop::collection::vec((moment(), op()), 1..120)) {
        let lines = |wallet: i64, daily: Option<i64>, zone: usize| (1..4).map(move |id| {
            let budget = Budget { lifetime: None, daily: daily.map(Nanos) };
            let time_zone = ZONES[zone].to_owned();
            outbid::budget::Funding { campaign_budget: budget, time_zone, ..funding(id, wallet) }
        });
        let ledger = ledger_of(2, lines(20_000, Some(9_000), 0));
        let mut bidders = [Bidder::new(0, &ledger), Bidder::new(1, &ledger)];
        let mut bids: Vec<TokenClaims> = Vec::new();
        let (mut most, mut mono) = (20_000i64, NOON);
        for (number, (unix_ms, op)) in ops.into_iter().enumerate() {
            mono = later(mono, 700);
            let now = Now { unix_ms, ..mono };
            match op {
                Op::Bid { line, price } => bids.extend(bidders[number % 2].answer(Ask::of(line, price), now)),
                Op::Bill { bid, price, multiplier } => {
                    if let Some(claims) = bids.get(bid) {
                        ledger.post(claims, Bill { multiplier_ppm: multiplier, ..Bill::at(Cpm(price)) }, now);
                    }
                }
                Op::Loss(bid) => { bids.get(bid).map(|claims| ledger.void(claims)); }
                Op::Tick => { ledger.tick(now); }
                Op::Budgets { wallet, daily, zone } => {
                    configure(&ledger, lines(wallet, daily, zone), now);
                    most = most.max(wallet);
                }
                Op::Stop(what, on) => ledger.stop(
                    [
                        Stop::All,
                        Stop::Exchange(ExchangeId(1)),
                        Stop::Advertiser(AdvertiserId(1)),
                        Stop::Campaign(CampaignId(1)),
                    ][usize::from(what)],
                    on,
                ),
                Op::Correct(amount) => {
                    ledger.attempt(move |w| w.adjust(LineItemId(2), Nanos(amount), now)).unwrap();
                }
            }
            let wallet = ledger.balance(AccountKey::Wallet(AdvertiserId(1)));
            prop_assert!(i128::from(wallet.posted.0) + i128::from(wallet.leased.0) <= i128::from(most));
            prop_assert!(wallet.posted.0 >= 0);
        }
        conserved(&ledger);
        ledger.attempt(|writer| { writer.books().check().unwrap(); Ok(()) }).unwrap();
    }
}
