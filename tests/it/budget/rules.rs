//! Single rules of money.md 2.2 to 2.4 and 2.7.

use super::books::{Ask, Bidder, NOON, accounts, claims, configure, conserved, funding, later, ledger_of};
use outbid::budget::{
    AccountKey, Bill, Books, BudgetDay, Funding, HouseTotals, Ledger, NoLog, Posting, Resolution,
};
use outbid::model::ids::{AdvertiserId, BidId, CampaignId, LeaseId, LineItemId};
use outbid::model::line_item::Budget;
use outbid::model::money::{Cpm, Nanos};
use outbid::model::no_bid::NoBidReason;
use outbid::model::token::Bucket;
use std::sync::Arc;

fn ledger(lines: impl IntoIterator<Item = Funding>) -> Arc<Ledger> {
    ledger_of(2, lines)
}

fn wallet(ledger: &Ledger) -> (i64, i64) {
    let balance = ledger.balance(AccountKey::Wallet(AdvertiserId(1)));
    (balance.posted.0, balance.leased.0)
}

#[test]
fn a_bill_charges_its_price_and_the_rest_is_free_again() {
    let ledger = ledger([funding(1, 10_000_000)]);
    let mut bidder = Bidder::new(0, &ledger);
    let bid = bidder.answer(Ask { fee: 500, platform_ppm: 100_000, ..Ask::of(1, 2_000_000) }, NOON).unwrap();
    assert_eq!(
        ledger.post(&bid, Bill::at(Cpm(1_000_001)), NOON),
        Posting::Accepted { charged: Nanos(1_100_501) }
    );
    assert_eq!(wallet(&ledger).0, 1_100_501);
    assert!(conserved(&ledger).values().all(|held| *held == 0));
    assert_eq!(ledger.post(&bid, Bill::at(Cpm(1)), NOON), Posting::Duplicate);
    assert_eq!(ledger.void(&bid), Resolution::Contradictory);
    assert_eq!(wallet(&ledger).0, 1_100_501);
}

#[test]
fn a_price_above_the_hold_is_the_houses() {
    let ledger = ledger([funding(1, 10_000_000)]);
    let bid = Bidder::new(0, &ledger).answer(Ask::of(1, 2_000_000), NOON).unwrap();
    assert_eq!(
        ledger.post(&bid, Bill::at(Cpm(3_500_000)), NOON),
        Posting::Accepted { charged: Nanos(2_000_000) }
    );
    assert_eq!(ledger.house(), HouseTotals { overprice: Nanos(1_500_000), ..HouseTotals::default() });
}

#[test]
fn a_loss_returns_the_hold_once_and_a_bill_after_it_is_late() {
    let ledger = ledger([funding(1, 10_000_000)]);
    let bid = Bidder::new(0, &ledger).answer(Ask::of(1, 2_000_000), NOON).unwrap();
    let (_, leased) = wallet(&ledger);
    assert_eq!((ledger.void(&bid), ledger.void(&bid)), (Resolution::Voided, Resolution::Duplicate));
    assert_eq!(wallet(&ledger), (0, leased));
    assert!(conserved(&ledger).values().all(|held| *held == 0));
    let late = Posting::Late { charged: Nanos(2_000_000), house: Nanos(0) };
    assert_eq!(ledger.post(&bid, Bill::at(bid.price), NOON), late);
    assert_eq!(ledger.post(&bid, Bill::at(bid.price), NOON), Posting::Duplicate);
    assert_eq!(wallet(&ledger).0, 2_000_000);
}

#[test]
fn expiry_returns_the_money_and_a_later_bill_fits_or_is_the_houses() {
    let ledger = ledger([funding(1, 2_000_000)]);
    let mut bidder = Bidder::new(0, &ledger);
    let first = bidder.answer(Ask::of(1, 2_000_000), NOON).unwrap();
    assert_eq!(bidder.answer(Ask::of(1, 1), later(NOON, 1_000)), Err(NoBidReason::Budget));
    assert_eq!(ledger.tick(later(NOON, 119_000)), 0);
    // The slots are three seconds wide: after 126 seconds the hold's is over in any case.
    let expired = later(NOON, 126_000);
    assert_eq!((ledger.tick(expired), ledger.tick(expired)), (1, 0));
    let second = bidder.answer(Ask::of(1, 1_500_000), expired).unwrap();
    // 500,000 are left, which the late bill does not fit into: the house bears all of it.
    let house = Posting::Late { charged: Nanos(0), house: Nanos(2_000_000) };
    assert_eq!(ledger.post(&first, Bill::at(Cpm(2_000_000)), expired), house);
    assert_eq!(ledger.house().overdelivery, Nanos(2_000_000));
    assert_eq!(ledger.void(&second), Resolution::Voided);
    assert_eq!(
        ledger.post(&second, Bill::at(Cpm(400_000)), expired),
        Posting::Late { charged: Nanos(400_000), house: Nanos(0) }
    );
    assert_eq!(wallet(&ledger).0, 400_000);
    conserved(&ledger);
}

#[test]
fn a_bill_is_charged_to_the_day_of_its_bid() {
    let daily = Budget { lifetime: None, daily: Some(Nanos(1_000_000)) };
    let ledger = ledger([Funding { campaign_budget: daily, ..funding(1, 100_000_000) }]);
    let mut bidder = Bidder::new(0, &ledger);
    let evening = later(NOON, 12 * 3_600_000 - 1);
    let midnight = later(evening, 1);
    let old = bidder.answer(Ask::of(1, 1_000_000), evening).unwrap();
    assert_eq!(bidder.answer(Ask::of(1, 1_000_000), evening), Err(NoBidReason::Budget));
    let new = bidder.answer(Ask::of(1, 1_000_000), midnight).unwrap();
    assert_eq!(new.budget_day, old.budget_day + 1);
    assert_eq!(
        ledger.post(&old, Bill::at(old.price), midnight),
        Posting::Accepted { charged: Nanos(1_000_000) }
    );
    let posted = |claims: &outbid::model::token::TokenClaims| {
        ledger.balance(AccountKey::CampaignDay(CampaignId(1), BudgetDay(claims.budget_day))).posted
    };
    assert_eq!((posted(&old), posted(&new)), (Nanos(1_000_000), Nanos(0)));
    // The lease of the day that is over leaves with its last hold.
    ledger.tick(midnight);
    assert_eq!(ledger.audit().len(), 2, "one for each core");
}

#[test]
fn a_day_that_no_lease_was_opened_on_has_its_limit() {
    let daily = Budget { lifetime: None, daily: Some(Nanos(1_500_000)) };
    let line = Funding { line_item_budget: daily, ..funding(1, 100_000_000) };
    let ledger = ledger([line.clone()]);
    // Bills of a process that ended: its leases are unknown here, its tokens are not.
    let day = BudgetDay(20_579);
    let bill = |sequence| {
        let bid = BidId { epoch: 8, core: 0, sequence };
        let bill = claims(Ask::of(1, 1_000_000), bid, LeaseId(77), Bucket::default(), day, NOON);
        ledger.post(&bill, Bill::at(bill.price), NOON)
    };
    assert_eq!(bill(1), Posting::Late { charged: Nanos(1_000_000), house: Nanos(0) });
    assert_eq!(bill(2), Posting::Late { charged: Nanos(0), house: Nanos(1_000_000) });
    let own_day = accounts(&line, day)[4];
    assert_eq!(ledger.balance(own_day).posted, Nanos(1_000_000));
}

#[test]
fn a_cut_reaches_what_leases_have_ready_and_the_day_under_way() {
    let with = |daily: i64| Funding {
        campaign_budget: Budget { lifetime: None, daily: Some(Nanos(daily)) },
        ..funding(1, 1_000_000_000)
    };
    let ledger = ledger([with(100_000_000)]);
    let mut bidder = Bidder::new(0, &ledger);
    let bid = bidder.answer(Ask::of(1, 1_000_000), NOON).unwrap();
    assert!(wallet(&ledger).1 > 1_000_000);
    configure(&ledger, [with(1_500_000)], NOON);
    assert_eq!(wallet(&ledger).1, 1_000_000);
    assert_eq!(bidder.answer(Ask::of(1, 1_000_000), NOON), Err(NoBidReason::Budget));
    assert!(bidder.answer(Ask::of(1, 500_000), NOON).is_ok());
    // Below what is held: nothing new, but what is held may still be charged.
    configure(&ledger, [with(100)], NOON);
    assert_eq!(bidder.answer(Ask::of(1, 1), later(NOON, 10_000)), Err(NoBidReason::Budget));
    assert_eq!(ledger.post(&bid, Bill::at(bid.price), NOON), Posting::Accepted { charged: Nanos(1_000_000) });
    // A raise serves again, the same day.
    configure(&ledger, [with(3_000_000)], NOON);
    assert!(bidder.answer(Ask::of(1, 1_500_000), later(NOON, 20_000)).is_ok());
    conserved(&ledger);
}

/// An account says a campaign's budget with each of its line items; one that has left the account says nothing any
/// more, least of all what it said last.
#[test]
fn a_cut_of_a_campaign_holds_beside_a_line_item_that_left_the_account() {
    let with = |line_item, daily: i64| Funding {
        campaign_budget: Budget { lifetime: None, daily: Some(Nanos(daily)) },
        ..funding(line_item, 1_000_000_000)
    };
    let ledger = ledger([with(1, 100_000_000), with(2, 100_000_000)]);
    configure(&ledger, [with(1, 1_500_000)], NOON);
    let tomorrow = later(NOON, 86_400_000);
    ledger.tick(tomorrow);
    let days: Vec<_> =
        ledger.balances().into_iter().filter(|(key, _)| matches!(key, AccountKey::CampaignDay(..))).collect();
    assert_eq!(days.len(), 2);
    assert!(days.iter().all(|(_, balance)| balance.budget == Some(Nanos(1_500_000))), "{days:?}");
    // A bill of the line item that is gone, for a day that no lease was opened on.
    let bid = BidId { epoch: 8, core: 0, sequence: 1 };
    let ask = Ask::of(2, 2_000_000);
    let bill = claims(ask, bid, LeaseId(77), Bucket::default(), BudgetDay(20_579), NOON);
    let house = Posting::Late { charged: Nanos(0), house: Nanos(2_000_000) };
    assert_eq!(ledger.post(&bill, Bill::at(bill.price), NOON), house);
}

/// Also where the line item is new, so that only the campaign is known.
#[test]
fn a_campaign_stays_with_its_advertiser() {
    let ledger = ledger([funding(1, 10_000_000)]);
    let moved = Funding { advertiser: AdvertiserId(2), ..funding(5, 10_000_000) };
    let refused = ledger.configure(vec![(moved, Nanos(1))], NOON).unwrap_err();
    assert!(refused.0.contains("campaign 1 belongs to advertiser 1"), "{refused}");
    assert_eq!(ledger.balances().len(), 5);
}

#[test]
fn the_same_budgets_again_leave_the_leases_alone() {
    let ledger = ledger([funding(1, 1_000_000_000)]);
    Bidder::new(0, &ledger).answer(Ask::of(1, 1_000_000), NOON).unwrap();
    let before = ledger.audit();
    configure(&ledger, [funding(1, 1_000_000_000)], NOON);
    configure(&ledger, [funding(1, 2_000_000_000)], NOON);
    assert_eq!(ledger.audit(), before);
}

#[test]
fn what_others_have_ready_is_taken_back_when_it_is_enough_and_left_alone_when_not() {
    let ledger = ledger([funding(1, 1_000_000), funding(2, 1_000_000)]);
    let (mut first, mut second) = (Bidder::new(0, &ledger), Bidder::new(1, &ledger));
    let bid = first.answer(Ask::of(1, 10_000), NOON).unwrap();
    let ready = || ledger.audit().iter().find(|lease| lease.lease == bid.lease).unwrap().free;
    let before = ready();
    assert!(before.0 > 100_000);
    assert_eq!(second.answer(Ask::of(2, 990_001), NOON), Err(NoBidReason::Budget));
    assert_eq!(ready(), before);
    assert!(second.answer(Ask::of(2, 990_000), NOON).is_ok());
    assert_eq!(ready(), Nanos(0));
}

#[test]
fn a_refused_large_bid_does_not_keep_small_ones_waiting() {
    let ledger = ledger([funding(1, 1_000_000)]);
    let mut bidder = Bidder::new(0, &ledger);
    for round in 0..50 {
        let now = later(NOON, round);
        assert_eq!(bidder.answer(Ask::of(1, 2_000_000), now), Err(NoBidReason::Budget));
        assert!(bidder.answer(Ask::of(1, 20_000), now).is_ok(), "round {round}");
    }
    assert_eq!(bidder.answer(Ask::of(1, 1), later(NOON, 50)), Err(NoBidReason::Budget));
}

#[test]
fn money_that_came_back_is_asked_for_again_within_a_second() {
    let ledger = ledger([funding(1, 1_000_000)]);
    let mut bidder = Bidder::new(0, &ledger);
    let bid = bidder.answer(Ask::of(1, 1_000_000), NOON).unwrap();
    for round in 0..2_000 {
        assert_eq!(bidder.answer(Ask::of(1, 1_000_000), later(NOON, round)), Err(NoBidReason::Budget));
    }
    ledger.void(&bid);
    assert!(bidder.answer(Ask::of(1, 1_000_000), later(NOON, 3_000)).is_ok());
}

#[test]
fn a_stale_bill_is_a_memo_of_the_house_and_a_posted_bid_stays_a_duplicate() {
    let ledger = ledger([funding(1, 10_000_000)]);
    let mut bidder = Bidder::new(0, &ledger);
    let [paid, open] = [(); 2].map(|()| bidder.answer(Ask::of(1, 1_000_000), NOON).unwrap());
    ledger.post(&paid, Bill::at(paid.price), NOON);
    let hours = later(NOON, 4 * 3_600_000 + 1_000);
    assert_eq!(ledger.post(&open, Bill::at(open.price), hours), Posting::Stale);
    assert_eq!(ledger.post(&paid, Bill::at(paid.price), hours), Posting::Duplicate);
    // Repeated, by a browser or by somebody who wants the house's limit reached, it is no further cost.
    for minutes in [0, 10, 200] {
        let again = later(hours, minutes * 60_000);
        ledger.tick(again);
        assert_eq!(ledger.post(&open, Bill::at(open.price), again), Posting::Stale);
    }
    assert_eq!(ledger.house().stale, Nanos(1_000_000));
    assert_eq!(wallet(&ledger).0, 1_000_000);
}

#[test]
fn a_line_item_without_funding_or_a_bid_of_nothing_gets_no_money() {
    let ledger = ledger([funding(1, 10_000_000)]);
    let mut bidder = Bidder::new(0, &ledger);
    assert_eq!(bidder.answer(Ask::of(2, 1), NOON), Err(NoBidReason::Budget));
    assert_eq!(bidder.answer(Ask::of(1, 0), NOON), Err(NoBidReason::Budget));
    assert!(ledger.audit().iter().all(|lease| lease.held == Nanos(0)));
}

#[test]
fn days_and_leases_that_no_bill_can_reach_are_forgotten_and_reopen_nothing() {
    let daily = Budget { lifetime: None, daily: Some(Nanos(1_000_000)) };
    let line = Funding { line_item_budget: daily, ..funding(1, 100_000_000) };
    let ledger = ledger([line.clone()]);
    let mut bidder = Bidder::new(0, &ledger);
    let day = |days: u64| later(NOON, days * 86_400_000);
    let mut first = None;
    for days in 0..30 {
        let bid = bidder.answer(Ask::of(1, 1_000_000), day(days)).unwrap();
        first.get_or_insert(bid);
        ledger.post(&bid, Bill::at(bid.price), day(days));
        ledger.tick(day(days));
    }
    let known = ledger.balances().into_keys().filter(|key| key.day().is_some()).count();
    assert_eq!(known, 2 * 8, "today and seven days before, for the campaign and its line item");
    assert_eq!(ledger.audit().len(), 2);
    assert_eq!(wallet(&ledger).0, 30_000_000);
    // A token of the first day that a wrong clock lets through finds no budget of that day again.
    let bid = BidId { epoch: 9, core: 1, sequence: 7 };
    let old = claims(
        Ask::of(1, 10),
        bid,
        LeaseId(77),
        Bucket::default(),
        BudgetDay(first.unwrap().budget_day),
        day(30),
    );
    let house = Posting::Late { charged: Nanos(0), house: Nanos(10) };
    assert_eq!(ledger.post(&old, Bill::at(old.price), day(30)), house);
}

#[test]
fn a_line_item_that_leaves_is_leased_nothing_until_it_returns() {
    let ledger = ledger([funding(1, 1_000_000_000), funding(2, 1_000_000_000)]);
    let mut bidder = Bidder::new(0, &ledger);
    let bid = bidder.answer(Ask::of(2, 1_000_000), NOON).unwrap();
    let of = |ledger: &Ledger, id: u32| -> i64 {
        let own = ledger
            .audit()
            .into_iter()
            .filter(|it| it.accounts[3] == AccountKey::LineItemTotal(LineItemId(id)));
        own.map(|it| it.free.0 + it.held.0 + it.waiting.0).sum()
    };
    let before = of(&ledger, 1);
    ledger.retire(&[LineItemId(2)]);
    assert_eq!((of(&ledger, 1), of(&ledger, 2)), (before, 1_000_000), "only the open bid's hold is left");
    assert_eq!(bidder.answer(Ask::of(2, 1), NOON), Err(NoBidReason::Budget));
    let charged = Posting::Accepted { charged: Nanos(500_000) };
    assert_eq!(ledger.post(&bid, Bill::at(Cpm(500_000)), NOON), charged);
    assert_eq!(of(&ledger, 2), 0, "what a bill leaves goes back to the accounts");
    let tomorrow = later(NOON, 86_400_000);
    ledger.tick(tomorrow);
    assert_eq!((of(&ledger, 1) > 0, of(&ledger, 2)), (true, 0), "a new day leases it nothing");
    configure(&ledger, [funding(2, 1_000_000_000)], tomorrow);
    assert!(bidder.answer(Ask::of(2, 1_000_000), tomorrow).is_ok());
    conserved(&ledger);
}

#[test]
fn a_start_writes_what_is_news_and_leases_nothing_to_who_left_meanwhile() {
    let of = |line_item, version| Funding { version, ..funding(line_item, 1_000_000_000) };
    let first = ledger([of(1, 3), of(2, 3), of(3, 3)]);
    let image = first.inspect(|writer| writer.books().image()).unwrap();
    let books = Books::from_image(&image).unwrap();
    let again = Ledger::inline(books, Box::new(NoLog), first.epoch() + 1, 2, NOON);
    let version = again.newest_version() + 1;
    let largest = Nanos(1_000_000);
    let edited = Funding { wallet: Nanos(7_000_000_000), ..of(3, version) };
    let all = vec![(of(1, version), largest), (edited, largest)];
    again.configure_all(all, NOON).unwrap();
    let known = again.inspect(|writer| writer.books().funding().clone()).unwrap();
    let versions: Vec<u64> = known.values().map(|funding| funding.version).collect();
    assert_eq!((version, versions), (4, vec![4, 3, 4]), "one says the version in any case");
    let leased: Vec<AccountKey> = again.audit().iter().map(|it| it.accounts[3]).collect();
    assert!(!leased.contains(&AccountKey::LineItemTotal(LineItemId(2))), "{leased:?}");
    assert_eq!(leased.len(), 4, "{leased:?}");
    let refused = again
        .edit(vec![(of(1, 5), largest), (Funding { campaign: CampaignId(77), ..of(2, 5) }, largest)], NOON);
    assert_eq!(refused.map_err(|refused| refused.len()), Err(1));
    assert_eq!(again.newest_version(), 4, "nothing of it was done");
}
