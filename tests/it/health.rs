//! What is said of line items and exchanges that do not do well, and from when on.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use outbid::funnel::{
    Alert, CODES, ExchangeVitals, PacingHealth, Severity, Span, Step, Vitals, Way, exchange_alerts,
    line_item_alerts, pacing_health,
};
use outbid::model::funnel::{After, Counted, Ends, ExchangeEnds, Followed, Loss, Progress};
use outbid::model::ids::ExchangeId;
use outbid::model::line_item::Strategy;
use outbid::model::money::Nanos;
use outbid::model::no_bid::NoBidReason;
use std::collections::BTreeMap;

const DOLLAR: i64 = 1_000_000_000;

fn ends(cells: &[(u8, u64)]) -> Ends {
    let mut ends = Ends::default();
    cells.iter().for_each(|(cell, requests)| assert!(ends.add(*cell, *requests)));
    ends
}

/// Bids, with so many losses by code.
fn way(bids: u64, wins: u64, lost: &[(Option<u16>, u64)]) -> Way {
    let mut after = After { wins, billed: wins, ..After::default() };
    lost.iter().for_each(|(code, losses)| after.lose(Loss::of(*code), *losses));
    Way { ends: ends(&[(Ends::BID, bids)]), after, ..Way::default() }
}

fn vitals(way: &Way) -> Vitals<'_> {
    Vitals {
        status: ("serving", None),
        strategy: Strategy::MaxCpm,
        price: Nanos(DOLLAR),
        progress: None,
        way,
        requests: 10_000,
        refused: None,
        ended_bids: way.ends.bids(),
    }
}

fn codes(alerts: &[Alert]) -> Vec<&'static str> {
    assert!(alerts.is_sorted_by_key(|alert| alert.severity), "the worst first");
    assert!(alerts.iter().all(|alert| CODES.contains(&alert.code) && !alert.advice.is_empty()), "{alerts:?}");
    alerts.iter().map(|alert| alert.code).collect()
}

#[test]
fn a_line_item_has_the_class_of_its_plan_and_of_its_target() {
    let fine = way(500, 100, &[]);
    let spent = |planned: i64, spent: i64| {
        Some(Progress { budget: Nanos(100 * DOLLAR), planned: Nanos(planned), spent: Nanos(spent) })
    };
    let class = |progress| pacing_health(&Vitals { progress, ..vitals(&fine) });
    assert_eq!(class(None), PacingHealth::Unknown);
    assert_eq!(class(spent(0, 0)), PacingHealth::Unknown, "the day has only begun");
    assert_eq!(class(spent(10 * DOLLAR, 9_900_000_000)), PacingHealth::UnderPacing, "at most 99 %");
    assert_eq!(class(spent(10 * DOLLAR, 9_910_000_000)), PacingHealth::OnTrack);
    assert_eq!(class(spent(10 * DOLLAR, 12 * DOLLAR)), PacingHealth::OnTrack);
    let paused = Vitals { status: ("paused", None), progress: spent(10 * DOLLAR, 0), ..vitals(&fine) };
    assert_eq!(pacing_health(&paused), PacingHealth::Inactive);
    assert_eq!(line_item_alerts(&paused), []);
    // Twenty clicks at a target of 1.00: over 1.10 is too much.
    let clicks = |spend: i64, clicks: u64| Way {
        after: After { clicks, spend: Nanos(spend), ..way(500, 100, &[]).after },
        ..way(500, 100, &[])
    };
    let judged = |strategy, way: &Way| {
        let vitals = Vitals { strategy, progress: spent(10 * DOLLAR, 10 * DOLLAR), ..vitals(way) };
        (pacing_health(&vitals), codes(&line_item_alerts(&vitals)))
    };
    let fine = (PacingHealth::OnTrack, Vec::new());
    assert_eq!(judged(Strategy::TargetCpc, &clicks(22 * DOLLAR, 20)), fine);
    assert_eq!(judged(Strategy::TargetCpc, &clicks(30 * DOLLAR, 19)), fine, "too few");
    assert_eq!(judged(Strategy::MaxCpm, &clicks(30 * DOLLAR, 20)), fine, "it has no target");
    let over = (PacingHealth::Underperforming, vec!["over_target"]);
    assert_eq!(judged(Strategy::TargetCpc, &clicks(22 * DOLLAR + 1, 20)), over);
}

#[test]
fn what_is_wrong_is_told_from_where_chance_ends() {
    let of = |way: &Way| codes(&line_item_alerts(&vitals(way)));
    // Who is meant to serve and does not is told why; who should not is left alone.
    let idle = Way::default();
    let stopped = Vitals { status: ("no_budget", Some("its daily budget of 5 is spent")), ..vitals(&idle) };
    let alerts = line_item_alerts(&stopped);
    assert_eq!(codes(&alerts), ["not_serving"]);
    assert!(alerts[0].message.contains("its daily budget of 5 is spent"), "{alerts:?}");
    for status in ["scheduled", "ended", "paused_parent", "draft"] {
        assert_eq!(line_item_alerts(&Vitals { status: (status, None), ..vitals(&idle) }), []);
    }
    // No bid on 1,000 requests: what it met nearest to a bid, else what the sample says.
    let few = Vitals { requests: 999, ..vitals(&idle) };
    assert_eq!(line_item_alerts(&few), []);
    let told = |way: &Way| line_item_alerts(&vitals(way))[0].clone();
    assert_eq!((told(&idle).code, told(&idle).severity), ("no_bids", Severity::Error));
    let missed = ends(&[(Ends::cell(NoBidReason::Geo), 30), (Ends::cell(NoBidReason::Size), 3)]);
    let unfound = Way { missed: missed.clone(), ..Way::default() };
    assert_eq!(told(&unfound).field, "targeting.countries");
    let floor = Way { ends: ends(&[(Ends::cell(NoBidReason::BelowFloor), 7)]), missed, ..Way::default() };
    assert!(told(&floor).advice.contains("raise the bid"), "{:?}", told(&floor));
    // Where most requests were refused whoever would have bid, that is said, and the sample, which has none of them, is not promised.
    let refused = Some((NoBidReason::InvalidRequest, 9_000));
    let all_refused = line_item_alerts(&Vitals { refused, ..vitals(&idle) })[0].clone();
    assert!(all_refused.message.contains("9000 were refused whoever would have bid"), "{all_refused:?}");
    assert!(all_refused.advice.contains("outbid check openrtb"), "{all_refused:?}");
    let some = Some((NoBidReason::InvalidRequest, 5_000));
    let some_refused = line_item_alerts(&Vitals { refused: some, ..vitals(&unfound) })[0].clone();
    assert_eq!(some_refused.field, "targeting.countries");
    // Losses by fault: three, and one in a hundred bids.
    assert_eq!(of(&way(300, 50, &[(Some(203), 2), (Some(102), 200)])), [""; 0]);
    assert_eq!(of(&way(300, 50, &[(Some(203), 3)])), ["creative_rejected"]);
    assert_eq!(of(&way(301, 50, &[(Some(203), 3)])), [""; 0]);
    assert_eq!(of(&way(300, 50, &[(Some(203), 2), (Some(209), 1)])), ["creative_rejected"]);
    assert_eq!(of(&way(300, 50, &[(Some(203), 9), (Some(7), 9)])), ["own_fault", "creative_rejected"]);
    assert_eq!(
        of(&way(300, 50, &[(Some(500), 99), (None, 99), (Some(1), 99)])),
        [""; 0],
        "not of our making"
    );
    let rejected = told(&way(300, 50, &[(Some(203), 2), (Some(209), 4)]));
    assert!(rejected.message.contains("6 of 300") && rejected.message.contains("209"), "{rejected:?}");
    // Bids that never win, wins that are never billed.
    assert_eq!(of(&way(199, 0, &[])), [""; 0]);
    assert_eq!(of(&way(200, 0, &[(Some(102), 150)])), ["no_wins"]);
    let open = way(200, 0, &[]);
    assert_eq!(line_item_alerts(&Vitals { ended_bids: 199, ..vitals(&open) }), [], "they may win yet");
    assert!(told(&way(200, 0, &[(Some(102), 150)])).message.contains("another bid was higher"));
    let mut unbilled = way(200, 50, &[]);
    unbilled.after.billed = 0;
    assert_eq!(of(&unbilled), ["not_billed"]);
    // Spending behind the plan: under 80 %, once the plan asks for 5 % of the budget.
    let fine = way(500, 100, &[]);
    let behind = |planned: i64, spent: i64| {
        let progress =
            Some(Progress { budget: Nanos(100 * DOLLAR), planned: Nanos(planned), spent: Nanos(spent) });
        codes(&line_item_alerts(&Vitals { progress, ..vitals(&fine) }))
    };
    assert_eq!(behind(4 * DOLLAR, 0), [""; 0]);
    assert_eq!(behind(5 * DOLLAR, 4 * DOLLAR), [""; 0]);
    assert_eq!(behind(5 * DOLLAR, 4 * DOLLAR - DOLLAR / 100), ["under_delivering"]);
}

#[test]
fn an_exchange_is_told_of_when_it_falls_silent_or_answers_come_late() {
    let id = ExchangeId(1);
    let span = |whole: &[(u8, u64)], found: &[(u8, u64)], after: After| {
        let mut span = Span::new(Step::Hour, 0);
        let ends = ExchangeEnds { whole: ends(whole), found: ends(found) };
        span.count(&Counted { exchanges: vec![(id, ends)], ..Counted::default() });
        span.follow(&Followed { exchanges: BTreeMap::from([(id, after)]), ..Followed::default() });
        span
    };
    let of = |hour: &Span, now: &Span, stopped| {
        codes(&exchange_alerts(id, &ExchangeVitals { stopped, hour, now, ended: hour }))
    };
    let (none, bid) = (Span::new(Step::Minute, 0), Ends::BID);
    let won = After { wins: 500, billed: 500, ..After::default() };
    let good = span(&[], &[(bid, 1_000)], won.clone());
    assert_eq!(of(&none, &none, false), [""; 0]);
    assert_eq!(of(&good, &good, false), [""; 0]);
    assert_eq!(of(&good, &good, true), ["stopped"]);
    assert_eq!(of(&good, &none, false), ["no_traffic"]);
    let late = Ends::cell(NoBidReason::Deadline);
    let hour = |late_ones: u64| span(&[(late, late_ones)], &[(bid, 2_000 - late_ones)], won.clone());
    assert_eq!(of(&hour(9), &good, false), [""; 0]);
    assert_eq!(of(&hour(10), &good, false), ["timeouts"]);
    let told = |code: u16, losses: u64| {
        let mut after = won.clone();
        after.lose(Loss::of(Some(code)), losses);
        span(&[], &[(bid, 1_000)], after)
    };
    assert_eq!(of(&told(2, 9), &good, false), [""; 0]);
    assert_eq!(of(&told(2, 10), &good, false), ["timeouts"]);
    assert_eq!(of(&told(3, 10), &good, false), ["own_fault"]);
    let invalid = Ends::cell(NoBidReason::InvalidRequest);
    assert_eq!(of(&span(&[(invalid, 50)], &[(bid, 950)], won.clone()), &good, false), ["invalid_requests"]);
    assert_eq!(of(&span(&[(invalid, 50)], &[(bid, 951)], won), &good, false), [""; 0]);
    let unwon = span(&[], &[(bid, 200)], After::default());
    assert_eq!(of(&unwon, &good, false), ["no_wins"]);
    let vitals = ExchangeVitals { stopped: false, hour: &unwon, now: &good, ended: &none };
    assert_eq!(exchange_alerts(id, &vitals), [], "they may win yet");
    // What its gate forbids, of what would have been bid in the last ten minutes.
    let breaker = Ends::cell(NoBidReason::Breaker);
    let gated = |refused: u64, bids: u64| span(&[], &[(bid, bids), (breaker, refused)], After::default());
    assert_eq!(of(&good, &gated(49, 0), false), [""; 0]);
    assert_eq!(of(&good, &gated(50, 50), false), [""; 0]);
    assert_eq!(of(&good, &gated(51, 50), false), ["breaker"]);
    assert_eq!(of(&good, &gated(51, 50), true), ["stopped"]);
}
