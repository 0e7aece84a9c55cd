//! What the funnel keeps over time: minutes, hours and days add up to what was counted, whatever restarts.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use outbid::budget::journal::MemoryStorage;
use outbid::funnel::{Funnel, Span, SpanError, Step, Whose};
use outbid::model::funnel::{After, Counted, Ends, ExchangeEnds, Followed, Loss, Sample};
use outbid::model::ids::{DealId, ExchangeId, LineItemId};
use outbid::model::no_bid::NoBidReason;
use outbid::model::storage::Storage;
use proptest::prelude::*;
use std::collections::BTreeMap;

const START_S: i64 = 1_790_000_000;

fn ends(cell: u8, requests: u64) -> Ends {
    let mut ends = Ends::default();
    assert!(ends.add(cell, requests));
    ends
}

/// So many requests, for which one line item ended in one cell.
fn counted(line_item: u32, cell: u8, requests: u64) -> Counted {
    let found = ends(cell, requests);
    Counted {
        exchanges: vec![(
            ExchangeId(1),
            ExchangeEnds { whole: ends(Ends::cell(NoBidReason::Crawler), 1), found: found.clone() },
        )],
        line_items: vec![(LineItemId(line_item), found.clone())],
        deals: vec![(DealId(line_item), found)],
    }
}

/// So many wins of a line item, and as many losses for reasons that its number gives.
fn followed(line_item: u32, wins: u64) -> Followed {
    let mut after = After { wins, ..After::default() };
    if wins > 0 {
        after.lose(Loss::of(Some(200 + line_item as u16)), wins);
        after.lose(Loss::UNTOLD, 1);
    }
    Followed {
        exchanges: BTreeMap::from([(ExchangeId(line_item as u16), after.clone())]),
        deals: BTreeMap::from([(DealId(line_item + 1), after.clone())]),
        line_items: BTreeMap::from([(LineItemId(line_item), after)]),
    }
}

#[derive(Clone, Debug)]
enum Op {
    Count { line_item: u32, cell: u8, requests: u64, wins: u64 },
    Sample { line_item: u32, requests: u64 },
    Wait(i64),
    Save,
    Crash,
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (1..4u32, 0..=Ends::BID, 1..9u64, 0..3u64)
            .prop_map(|(line_item, cell, requests, wins)| Op::Count { line_item, cell, requests, wins }),
        2 => (1..4u32, 1..5u64).prop_map(|(line_item, requests)| Op::Sample { line_item, requests }),
        3 => (1..200i64).prop_map(Op::Wait),
        2 => (200..9_000i64).prop_map(Op::Wait),
        1 => (20_000..200_000i64).prop_map(Op::Wait),
        2 => Just(Op::Save),
        1 => Just(Op::Crash),
        1 => Just(Op::Restart),
    ]
}

/// By minute and line item: requests found, wins, samples.
type Told = BTreeMap<(i64, u32), [u64; 3]>;

fn told(spans: &[Span]) -> Told {
    let mut told = Told::new();
    for span in spans {
        for (id, way) in &span.line_items {
            let all = [way.ends.sum(), way.after.wins, way.missed.sum()];
            if all != [0; 3] {
                assert!(told.insert((span.start_s, id.0), all).is_none(), "a span comes once");
            }
        }
    }
    told
}

/// The same in wider spans.
fn folded(told: &Told, step: Step, from_s: i64, until_s: i64) -> Told {
    let mut folded = Told::new();
    for ((at_s, id), counts) in told {
        if (step.start_of(from_s)..until_s).contains(at_s) {
            let row = folded.entry((step.start_of(*at_s), *id)).or_default();
            row.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
    }
    folded
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn spans_are_what_was_counted(ops in prop::collection::vec(op(), 1..80)) {
        let storage = MemoryStorage::new();
        let mut funnel = Funnel::open(Box::new(storage.clone())).unwrap();
        let (mut now_s, mut model, mut kept) = (START_S, Told::new(), Told::new());
        for op in ops {
            let minute = Step::Minute.start_of(now_s);
            match op {
                Op::Count { line_item, cell, requests, wins } => {
                    let after = followed(line_item, wins);
                    funnel.count(now_s, &counted(line_item, cell, requests), &after).unwrap();
                    let row = model.entry((minute, line_item)).or_default();
                    (row[0], row[1]) = (row[0] + requests, row[1] + wins);
                }
                Op::Sample { line_item, requests } => {
                    // A sample belongs to the minute at hand, whoever looks at it.
                    funnel.count(now_s, &Counted::default(), &Followed::default()).unwrap();
                    let missed = vec![(LineItemId(line_item), ends(Ends::cell(NoBidReason::Geo), requests))];
                    funnel.sample(&Sample { requests, missed });
                    model.entry((minute, line_item)).or_default()[2] += requests;
                }
                Op::Wait(seconds) => {
                    now_s += seconds;
                    funnel.count(now_s, &Counted::default(), &Followed::default()).unwrap();
                    // Minutes that are over are on the disk.
                    if Step::Minute.start_of(now_s) != minute {
                        kept = model.clone();
                    }
                }
                Op::Save => {
                    funnel.save().unwrap();
                    kept = model.clone();
                }
                Op::Crash => {
                    storage.crash(1);
                    funnel = Funnel::open(Box::new(storage.clone())).unwrap();
                    model = kept.clone();
                }
                Op::Restart => {
                    funnel.save().unwrap();
                    kept = model.clone();
                    funnel = Funnel::open(Box::new(storage.clone())).unwrap();
                }
            }
            funnel.count(now_s, &Counted::default(), &Followed::default()).unwrap();
        }
        // As far back as each step is kept.
        for step in Step::ALL {
            let oldest_s = step.start_of(now_s) - step.kept_s() / 2;
            for (from_s, until_s) in [(oldest_s, now_s + 1), (step.start_of(now_s - 5_000), now_s + 1)] {
                let spans = funnel.spans(step, from_s, until_s, Whose::Everybody);
                prop_assert!(spans.is_sorted_by_key(|span| span.start_s));
                let (from_s, until_s) = step.whole(from_s, until_s);
                prop_assert_eq!(told(&spans), folded(&model, step, from_s, until_s));
                // Of one of them it is that part, with the requests of all.
                let one = funnel.spans(step, from_s, until_s, Whose::LineItem(LineItemId(2)));
                let expected: Told = (told(&spans).into_iter()).filter(|((_, id), _)| *id == 2).collect();
                prop_assert_eq!(told(&one), expected);
                let requests = |spans: &[Span]| spans.iter().map(|s| s.requests().requests()).sum::<u64>();
                prop_assert_eq!(requests(&one), requests(&spans));
            }
        }
        prop_assert_eq!(funnel.damaged(), 0);
    }

    #[test]
    fn a_span_survives_as_bytes_and_damage_is_named(
        line_items in prop::collection::vec((1..9u32, 0..=Ends::BID, 1..u64::MAX / 64), 0..20),
        byte in 0usize..10_000,
        flip in 1u8..=255,
    ) {
        let mut span = Span::new(Step::Hour, 3_600);
        for (line_item, cell, requests) in line_items {
            span.count(&counted(line_item, cell, requests));
            span.follow(&followed(line_item, requests));
        }
        let bytes = span.to_bytes();
        prop_assert_eq!(Span::from_bytes(&bytes), Ok(span));
        let mut damaged = bytes.clone();
        let at = byte % bytes.len();
        damaged[at] ^= flip;
        prop_assert!(Span::from_bytes(&damaged).is_err());
        prop_assert!(Span::from_bytes(&bytes[..at]).is_err());
    }
}

#[test]
fn what_is_too_old_goes_and_a_damaged_file_costs_its_own_time_only() {
    let storage = MemoryStorage::new();
    let mut funnel = Funnel::open(Box::new(storage.clone())).unwrap();
    let names = |prefix: &str| {
        let names = storage.list().unwrap();
        names.into_iter().filter(|name| name.starts_with(prefix)).collect::<Vec<_>>()
    };
    for minute in 0..3 * 24 * 60 {
        let now_s = START_S + minute * 60;
        funnel.count(now_s, &counted(1, Ends::BID, 1), &Followed::default()).unwrap();
    }
    assert!(names("minute-").len() <= 26 * 60 + 2, "{}", names("minute-").len());
    assert!((70..=72).contains(&names("hour-").len()), "{}", names("hour-").len());
    let day = |funnel: &mut Funnel| {
        let spans = funnel.spans(Step::Hour, START_S, START_S + 3 * 86_400, Whose::LineItem(LineItemId(1)));
        spans.iter().map(|span| span.line_items[&LineItemId(1)].ends.bids()).sum::<u64>()
    };
    assert_eq!(day(&mut funnel), 3 * 24 * 60);
    funnel.save().unwrap();
    let damaged = names("hour-").into_iter().max().unwrap();
    storage.create(&damaged, 0).unwrap().write_at(0, b"nothing").unwrap();
    let mut again = Funnel::open(Box::new(storage.clone())).unwrap();
    // Its minutes are still there, and stand in for it.
    assert_eq!((day(&mut again), again.damaged()), (3 * 24 * 60, 1));
    assert_eq!(Span::from_bytes(b"nothing"), Err(SpanError::Mark));
}
