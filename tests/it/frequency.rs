//! Frequency caps: the table against a model that keeps everything, its log over restarts and damage, and from the bid to
//! the bill over HTTP.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod log;
mod served;

use outbid::budget::frequency::{FIRST_GUESS_S, FrequencyTable, Pending, Refused, Rules, Seen, Show};
use outbid::model::frequency::{Cap, Frequency, UnknownUsers};
use outbid::model::ids::{BidId, CampaignId, CreativeId, ExchangeId, LineItemId, UserKey};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

const START_S: u32 = 1_800_000_000;
const HERE: ExchangeId = ExchangeId(1);

fn cap(max: u16, within_s: u32) -> Frequency {
    Frequency { caps: vec![Cap { max, within_s: Some(within_s) }], ..Frequency::default() }
}

fn rules(frequency: &Frequency) -> Rules {
    Rules::new(LineItemId(7), frequency).unwrap()
}

fn bid(sequence: u64) -> BidId {
    BidId { epoch: 1, core: 0, sequence }
}

fn show(user: u64, sequence: u64, at_s: u32) -> Show {
    Show { user: UserKey(user), bid: bid(sequence), exchange: HERE, issued_s: at_s, at_s }
}

/// Begins a bid that is answered.
fn answered(table: &FrequencyTable, rules: &[Rules], user: u64, sequence: u64, now_s: u32) -> bool {
    let begun = table.begin(Some(UserKey(user)), rules.iter(), bid(sequence), now_s, FIRST_GUESS_S);
    let allowed = begun.is_ok();
    begun.into_iter().flatten().for_each(Pending::keep);
    allowed
}

#[test]
fn a_window_slides_and_a_gap_parts() {
    let table = FrequencyTable::in_memory(10);
    let rules = [rules(&Frequency { min_gap_s: 60, ..cap(2, 3_600) })];
    let shown = |sequence, at_s| table.count(&show(1, sequence, at_s), rules.iter());
    assert!(answered(&table, &rules, 1, 1, START_S));
    assert!(!answered(&table, &rules, 1, 2, START_S + 1), "a bid in flight counts");
    shown(1, START_S + 5);
    assert!(!answered(&table, &rules, 1, 3, START_S + 64), "60 s after the impression and not before");
    assert!(answered(&table, &rules, 1, 4, START_S + 65));
    shown(4, START_S + 70);
    assert!(!answered(&table, &rules, 1, 5, START_S + 5 + 3_599), "two within the hour");
    assert!(answered(&table, &rules, 1, 6, START_S + 5 + 3_600));
    assert!(answered(&table, &rules, 2, 7, START_S + 70), "somebody else");
    assert_eq!(table.counts().late, 0);
}

#[test]
fn what_does_not_come_gives_its_place_back() {
    let table = FrequencyTable::in_memory(10);
    let rules = [rules(&cap(1, 3_600))];
    let unanswered = table.begin(Some(UserKey(1)), rules.iter(), bid(1), START_S, 300).unwrap();
    assert!(!answered(&table, &rules, 1, 2, START_S));
    drop(unanswered);
    assert!(answered(&table, &rules, 1, 3, START_S), "the answer never went out");
    table.end(UserKey(1), bid(3));
    assert!(answered(&table, &rules, 1, 4, START_S), "the auction was lost");
    assert!(!answered(&table, &rules, 1, 5, START_S + FIRST_GUESS_S - 1));
    assert!(answered(&table, &rules, 1, 6, START_S + FIRST_GUESS_S), "nobody said what became of it");
    table.count(&show(1, 4, START_S + FIRST_GUESS_S + 1), rules.iter());
    assert_eq!(table.counts().late, 1, "and then it was won: over the cap together with the other");
}

#[test]
fn who_cannot_be_told_apart_is_skipped_unless_somebody_says_otherwise() {
    let table = FrequencyTable::in_memory(10);
    let skip = rules(&cap(1, 60));
    let serve = rules(&Frequency { unknown_users: UnknownUsers::Serve, ..cap(1, 60) });
    let begin = |rules: &[&Rules]| {
        table.begin(None, rules.iter().copied(), bid(1), START_S, 300).map(|pending| pending.is_some())
    };
    assert_eq!(begin(&[&serve]), Ok(false));
    assert_eq!(begin(&[&serve, &skip]), Err(Refused::Capped));
    let mut seen = Seen::default();
    table.look(None, START_S, &mut seen);
    assert!(seen.allows(&serve) && !seen.allows(&skip));
}

#[test]
fn a_full_table_refuses_strangers_and_keeps_who_it_knows() {
    let table = FrequencyTable::in_memory(2);
    let rules = [rules(&cap(5, 3_600))];
    for user in 1..=2 {
        assert!(answered(&table, &rules, user, user, START_S));
    }
    let refused = table.begin(Some(UserKey(3)), rules.iter(), bid(9), START_S, 300).map(drop);
    assert_eq!(refused, Err(Refused::Full));
    assert!(answered(&table, &rules, 2, 10, START_S));
    assert_eq!((table.counts().users, table.counts().full), (2, 1));
    table.expire(START_S + 10_000);
    assert_eq!(table.counts().users, 0);
    assert!(answered(&table, &rules, 3, 11, START_S + 10_000));
}

#[test]
fn bids_at_the_same_moment_never_share_the_last_impression() {
    for max in [1u16, 3, 7] {
        let table = FrequencyTable::in_memory(10);
        let rules = [rules(&cap(max, 86_400)), Rules::new(CampaignId(1), &cap(max + 1, 86_400)).unwrap()];
        let (answers, refusals) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for thread in 0..4u64 {
                let (table, rules, answers, refusals) = (&table, &rules, &answers, &refusals);
                scope.spawn(move || {
                    for n in 0..500 {
                        let sequence = thread << 32 | n;
                        let count =
                            if answered(table, rules, 1, sequence, START_S) { answers } else { refusals };
                        count.fetch_add(1, SeqCst);
                        // Others look, meanwhile.
                        table.look(Some(UserKey(1)), START_S, &mut Seen::default());
                    }
                });
            }
        });
        assert_eq!(
            (answers.load(SeqCst), refusals.load(SeqCst)),
            (usize::from(max), 2_000 - usize::from(max))
        );
    }
}

/// What happens to one of three people.
#[derive(Clone, Debug)]
enum Step {
    /// A bid, answered or not, on one of two creatives.
    Bid {
        user: u64,
        creative: u32,
        is_answered: bool,
    },
    /// The n-th open bid is billed…
    Bill(usize),
    /// … or lost.
    Lose(usize),
    Later(u32),
    Expire,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1u64..=3, 1u32..=2, prop::bool::weighted(0.9))
            .prop_map(|(user, creative, is_answered)| Step::Bid { user, creative, is_answered }),
        4 => (0usize..8).prop_map(Step::Bill),
        1 => (0usize..8).prop_map(Step::Lose),
        3 => (1u32..4_000).prop_map(Step::Later),
        1 => Just(Step::Expire),
    ]
}

fn frequency() -> impl Strategy<Value = Frequency> {
    let cap = (1u16..4, prop_oneof![Just(None), (1u32..9_000).prop_map(Some)])
        .prop_map(|(max, within_s)| Cap { max, within_s });
    (prop::collection::vec(cap, 0..3), prop_oneof![Just(0u32), 1u32..2_000])
        .prop_map(|(caps, min_gap_s)| Frequency { caps, min_gap_s, ..Frequency::default() })
}

/// Everything that ever happened, asked anew each time.
#[derive(Default)]
struct Naive {
    /// By user and scope: 1 is the line item, 2 and 3 its creatives.
    shown: BTreeMap<(u64, u32), Vec<u32>>,
    /// Bid → user, scopes, end of its life.
    open: BTreeMap<u64, (u64, Vec<u32>, u32)>,
}

impl Naive {
    fn allows(&self, user: u64, scope: u32, frequency: &Frequency, now_s: u32) -> bool {
        let none = Vec::new();
        let times = self.shown.get(&(user, scope)).unwrap_or(&none);
        let mine = |(who, scopes, until_s): &&(u64, Vec<u32>, u32)| {
            *who == user && scopes.contains(&scope) && *until_s > now_s
        };
        let open = self.open.values().filter(mine).count();
        let within = |within_s: Option<u32>| {
            times.iter().filter(|at| within_s.is_none_or(|within_s| **at + within_s > now_s)).count() + open
        };
        frequency.caps.iter().all(|cap| within(cap.within_s) < usize::from(cap.max))
            && (frequency.min_gap_s == 0 || within(Some(frequency.min_gap_s)) == 0)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_table_decides_as_one_that_keeps_everything(
        line in frequency(), creatives in [frequency(), frequency()],
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let table = FrequencyTable::in_memory(10);
        let (mut naive, mut now_s, mut sequence) = (Naive::default(), START_S, 0);
        let mut seen = Seen::default();
        let by_creative: Vec<Vec<(u32, &Frequency, Rules)>> = (1u32..=2).map(|creative| {
            let own = &creatives[creative as usize - 1];
            let all = [
                (1, &line, Rules::new(LineItemId(7), &line)),
                (1 + creative, own, Rules::new(CreativeId(creative), own)),
            ];
            all.into_iter().filter_map(|(scope, frequency, rules)| Some((scope, frequency, rules?))).collect()
        }).collect();
        for step in steps {
            match step {
                Step::Bid { user, creative, is_answered } => {
                    sequence += 1;
                    let asked = &by_creative[creative as usize - 1];
                    let expected = asked.iter().all(|(scope, f, _)| naive.allows(user, *scope, f, now_s));
                    table.look(Some(UserKey(user)), now_s, &mut seen);
                    prop_assert_eq!(asked.iter().all(|(.., rules)| seen.allows(rules)), expected);
                    let rules = asked.iter().map(|(.., rules)| rules);
                    let begun = table.begin(Some(UserKey(user)), rules, bid(sequence), now_s, 1_000);
                    prop_assert_eq!(begun.is_ok(), expected);
                    if let (Ok(pending), true) = (begun, is_answered) {
                        pending.into_iter().for_each(Pending::keep);
                        let scopes = asked.iter().map(|(scope, ..)| *scope).chain([creative + 10]).collect();
                        naive.open.insert(sequence, (user, scopes, now_s + 1_000));
                    }
                }
                Step::Bill(nth) | Step::Lose(nth) => {
                    let Some(chosen) = naive.open.keys().nth(nth).copied() else { continue };
                    let (user, scopes, _) = naive.open.remove(&chosen).unwrap();
                    if matches!(step, Step::Lose(_)) {
                        table.end(UserKey(user), bid(chosen));
                        continue;
                    }
                    let creative = scopes.iter().find(|scope| **scope > 10).unwrap() - 10;
                    let rules = by_creative[creative as usize - 1].iter().map(|(.., rules)| rules);
                    table.count(&show(user, chosen, now_s), rules);
                    for scope in scopes {
                        naive.shown.entry((user, scope)).or_default().push(now_s);
                    }
                }
                Step::Later(seconds) => now_s += seconds,
                Step::Expire => table.expire(now_s),
            }
        }
    }
}
