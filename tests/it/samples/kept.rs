//! The files: against a list of what was appended, whatever crashes, is damaged, too much or too old.

use outbid::budget::journal::{Fault, MemoryStorage};
use outbid::model::ids::{ExchangeId, LineItemId, SegmentId, UserKey};
use outbid::model::money::Cpm;
use outbid::model::no_bid::NoBidReason;
use outbid::model::sample::SampledRequest;
use outbid::model::storage::Storage;
use outbid::samples::{Asked, Key, Query, Record, Samples};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

const START_S: i64 = 1_790_000_000 - 1_790_000_000 % 3_600;
const PLENTY: u64 = 1 << 30;

fn open(storage: &MemoryStorage, most_bytes: u64, now_s: i64) -> Samples {
    Samples::open(Box::new(storage.clone()), most_bytes, now_s).unwrap()
}

/// The `nth` record, at a time, of somebody or nobody.
fn record(samples: &Samples, nth: u64, at_s: i64, person: Option<u64>) -> Record {
    let outcome = match nth % 3 {
        0 => Ok(vec![(LineItemId(nth as u32 % 5), Cpm(1_000 + nth as i64))]),
        1 => Err(NoBidReason::Geo),
        _ => Err(NoBidReason::BelowFloor),
    };
    Record {
        request: SampledRequest {
            at_ms: at_s * 1_000 + (nth % 1_000) as i64,
            exchange: ExchangeId(1 + (nth % 2) as u16),
            one_in: 4,
            person: person.map(|person| samples.cover(UserKey(person))),
            permissions: 0x1FF,
            known: nth.is_multiple_of(2),
            segments: vec![SegmentId(nth as u32)],
            refused: vec![SegmentId(7)],
            protobuf: nth.is_multiple_of(5),
            body: format!("{{\"id\":\"r{nth}\"}}").into_bytes(),
            outcome,
        },
        id: format!("r{nth}"),
        place: (!nth.is_multiple_of(4)).then(|| format!("s{}.news.example", nth % 3)),
        number: 0,
    }
}

fn ids(samples: &mut Samples, query: &Query) -> Vec<String> {
    samples.search(query).records.into_iter().map(|(_, record)| record.id).collect()
}

fn all() -> Query {
    Query::all(i64::MIN, i64::MAX)
}

/// Records over some hours, one a minute.
fn filled(samples: &mut Samples, hours: i64) -> Vec<Record> {
    let mut records = Vec::new();
    for nth in 0..hours * 60 {
        let person = (nth % 7 != 0).then_some(nth as u64 % 40);
        records.push(record(samples, nth as u64, START_S + nth * 60, person));
    }
    for batch in records.chunks(9) {
        assert_eq!(samples.append(batch.to_vec()).unwrap(), batch.len() as u64);
    }
    records
}

#[test]
fn what_is_looked_for_is_found_newest_first() {
    let storage = MemoryStorage::new();
    let mut samples = open(&storage, PLENTY, START_S);
    let records = filled(&mut samples, 3);
    let mut check = |query: Query, is_asked: &dyn Fn(&Record) -> bool| {
        let expected: Vec<&str> =
            records.iter().rev().filter(|r| is_asked(r)).map(|r| r.id.as_str()).collect();
        let found = samples.search(&query);
        let found_ids: Vec<&str> = found.records.iter().map(|(_, r)| r.id.as_str()).collect();
        assert_eq!(found_ids, expected[..expected.len().min(query.limit)], "{query:?}");
        assert_eq!(found.more, expected.len() > query.limit, "{query:?}");
        // Page by page it is the same.
        let (mut paged, mut query) = (Vec::new(), Query { limit: 7, ..query });
        loop {
            let page = samples.search(&query);
            paged.extend(page.records.iter().map(|(_, r)| r.id.clone()));
            query.after = page.records.last().map(|(key, _)| *key);
            if !page.more {
                break;
            }
        }
        assert_eq!(paged, expected, "{query:?}");
    };
    check(all(), &|_| true);
    check(Query { limit: 10, ..all() }, &|_| true);
    check(Query { exchange: Some(ExchangeId(2)), ..all() }, &|r| r.request.exchange == ExchangeId(2));
    check(Query { request_id: Some("r77".to_owned()), ..all() }, &|r| r.id == "r77");
    let geo = Some(Asked::NoBid(NoBidReason::Geo));
    check(Query { outcome: geo, ..all() }, &|r| r.request.outcome == Err(NoBidReason::Geo));
    check(Query { outcome: Some(Asked::Bid), ..all() }, &|r| r.request.outcome.is_ok());
    let bids = |r: &Record| r.request.outcome.as_ref().is_ok_and(|bids| bids[0].0 == LineItemId(3));
    check(Query { line_item: Some(LineItemId(3)), ..all() }, &bids);
    let at = |place: &str| Query { place: Some(place.to_owned()), ..all() };
    check(at("S1.news.example"), &|r| r.place.as_deref() == Some("s1.news.example"));
    check(at("news.example"), &|r| r.place.is_some());
    check(at("ews.example"), &|_| false);
    let (from_ms, until_ms) = ((START_S + 3_000) * 1_000, (START_S + 9_000) * 1_000);
    let within = |r: &Record| (from_ms..until_ms).contains(&r.request.at_ms);
    check(Query::all(from_ms, until_ms), &within);
    // A key finds its record.
    for (key, record) in samples.search(&all()).records {
        let part = samples.read(key.start_s()).unwrap();
        assert_eq!(part.newest_first().find(|r| r.number == key.number()), Some(record));
        assert_eq!(key.to_string().parse(), Ok(key));
    }
    for bad in ["", "-", "1", "1-", "-1", "1-x", "1--1", "1-99999999999999999999999", "1-1-1"] {
        assert!(bad.parse::<Key>().is_err(), "{bad}");
    }
}

#[test]
fn after_a_day_an_hour_is_thinner_with_all_requests_of_whoever_stays() {
    let storage = MemoryStorage::new();
    let mut samples = open(&storage, PLENTY, START_S);
    let records: Vec<Record> = (0..6_000u64)
        .map(|nth| record(&samples, nth, START_S + 1, (!nth.is_multiple_of(3)).then_some(nth / 6)))
        .collect();
    assert_eq!(samples.append(records.clone()).unwrap(), 6_000);
    samples.tidy(START_S + 25 * 3_600 - 1).unwrap();
    assert_eq!(ids(&mut samples, &all()).len(), 6_000, "a day is kept in full");
    samples.tidy(START_S + 25 * 3_600).unwrap();
    let thin = samples.search(&all()).records;
    assert!((200..=512).contains(&thin.len()), "{}", thin.len());
    let factor = thin[0].1.request.one_in / 4;
    assert!(factor.is_power_of_two() && factor >= 8, "{factor}");
    assert!(thin.iter().all(|(_, record)| record.request.one_in == 4 * factor));
    // Unbiased, up to chance: of 6,000 each stands for as many as it was thinned by.
    let told = thin.len() as f64 * f64::from(factor);
    assert!((told - 6_000.0).abs() < 2_000.0, "{told}");
    let people: BTreeSet<u64> = thin.iter().filter_map(|(_, record)| record.request.person).collect();
    let is_theirs = |record: &&Record| record.request.person.is_some_and(|person| people.contains(&person));
    let of_people = thin.iter().filter(|(_, record)| record.request.person.is_some()).count();
    assert_eq!(records.iter().filter(is_theirs).count(), of_people, "people stay whole");
    // Nobody joins it any more, and another start changes nothing.
    let late = record(&samples, 9_999, START_S + 2, None);
    assert_eq!(samples.append(vec![late]).unwrap(), 0);
    let again = open(&storage, PLENTY, START_S).search(&all()).records;
    assert_eq!(again, thin);
    samples.tidy(START_S + 7 * 86_400).unwrap();
    assert_eq!((samples.search(&all()).records.len(), samples.room().bytes), (0, 0));
}

#[test]
fn the_oldest_hours_go_where_there_is_no_room_and_one_hour_takes_an_eighth() {
    let storage = MemoryStorage::new();
    let (most, mut samples) = (1 << 16, Samples::none());
    assert_eq!(samples.append(vec![record(&samples, 1, START_S, None)]).unwrap(), 0, "nothing is kept");
    samples = open(&storage, most, START_S);
    let mut kept = Vec::new();
    for hour in 0..20 {
        let records: Vec<Record> = (0..200)
            .map(|nth| record(&samples, hour * 200 + nth, START_S + hour as i64 * 3_600, None))
            .collect();
        kept.push(samples.append(records).unwrap());
        let on_disk: usize = storage
            .list()
            .unwrap()
            .iter()
            .filter(|name| name.starts_with("full-"))
            .map(|name| storage.read(name).unwrap().len())
            .sum();
        assert_eq!(on_disk as u64, samples.room().bytes);
        assert!(on_disk as u64 <= most, "{on_disk}");
    }
    assert!(kept.iter().all(|kept| (50..200).contains(kept)), "{kept:?}");
    let hours = samples.hours(i64::MIN, i64::MAX);
    assert_eq!(hours.first(), Some(&(START_S + 19 * 3_600)));
    assert!((7..=9).contains(&hours.len()), "{hours:?}");
    assert!(hours.windows(2).all(|two| two[0] == two[1] + 3_600), "the newest stay: {hours:?}");
}

#[test]
fn who_is_erased_is_gone_from_every_hour_under_both_keys() {
    let storage = MemoryStorage::new();
    let mut samples = open(&storage, PLENTY, START_S);
    let week = START_S + 6 * 86_400;
    let first = record(&samples, 1, week, Some(7));
    samples
        .append(vec![first.clone(), record(&samples, 2, week, Some(8)), record(&samples, 3, week, None)])
        .unwrap();
    // A day later a new key is used.
    let later = START_S + 7 * 86_400;
    samples.tidy(later).unwrap();
    let second = record(&samples, 4, later, Some(7));
    assert_ne!(first.request.person, second.request.person, "nobody is followed over two weeks");
    samples.append(vec![second, record(&samples, 5, later, Some(8))]).unwrap();
    samples.sync().unwrap();
    let mut samples = open(&storage, PLENTY, later);
    assert_eq!(samples.erase(&[UserKey(99)]).unwrap(), 0);
    assert_eq!(samples.erase(&[UserKey(7), UserKey(6)]).unwrap(), 2);
    assert_eq!(ids(&mut samples, &all()), ["r5", "r3", "r2"]);
    assert_eq!(samples.erase(&[UserKey(7)]).unwrap(), 0);
    samples.append(vec![record(&samples, 6, later, Some(7))]).unwrap();
    assert_eq!(ids(&mut samples, &all()), ["r6", "r5", "r3", "r2"], "who comes again is there again");
    storage.crash(1);
    let mut samples = open(&storage, PLENTY, later);
    assert_eq!(ids(&mut samples, &all()).last().map(String::as_str), Some("r2"), "durably");
    assert!(!ids(&mut samples, &all()).contains(&"r1".to_owned()));
    // Without the keys nobody could be erased: nothing is kept of anybody then.
    storage.remove("keys.v1").unwrap();
    let mut samples = open(&storage, PLENTY, later);
    assert!(ids(&mut samples, &all()).is_empty());
    let mut file = storage.create("keys.v1", 0).unwrap();
    file.write_at(0, b"OUTBIDSK\x01 and rubbish").unwrap();
    samples.append(vec![record(&samples, 1, later, Some(7))]).unwrap();
    assert!(ids(&mut open(&storage, PLENTY, later), &all()).is_empty());
}

#[test]
fn a_torn_end_is_cut_and_damage_costs_its_own_record() {
    let storage = MemoryStorage::new();
    let mut samples = open(&storage, PLENTY, START_S);
    let records: Vec<Record> = (0..20).map(|nth| record(&samples, nth, START_S, Some(nth))).collect();
    samples.append(records).unwrap();
    samples.sync().unwrap();
    let name = storage.list().unwrap().into_iter().find(|name| name.starts_with("full-")).unwrap();
    let whole = storage.read(&name).unwrap();
    let write = |bytes: &[u8]| {
        let mut file = storage.create(&name, 0).unwrap();
        file.write_at(0, bytes).unwrap();
        file.sync().unwrap();
    };
    for at in (0..whole.len()).step_by(7) {
        // Cut there: all records before it, and new ones behind them.
        write(&whole[..at]);
        let mut samples = open(&storage, PLENTY, START_S);
        let before = ids(&mut samples, &all());
        assert!(
            before.len() <= 19 && before.iter().rev().enumerate().all(|(nth, id)| *id == format!("r{nth}"))
        );
        samples.append(vec![record(&samples, 77, START_S, None)]).unwrap();
        let found = samples.search(&all());
        assert_eq!(found.records.len(), before.len() + 1);
        assert_eq!((found.records[0].1.id.as_str(), samples.room().damaged), ("r77", 0), "cut at {at}");
        assert_eq!(found.records[0].0.number(), before.len() as u64);
        // A byte that is another one: all but its record.
        let mut damaged = whole.clone();
        damaged[at] ^= 0x5A;
        write(&damaged);
        let mut samples = open(&storage, PLENTY, START_S);
        let found = ids(&mut samples, &all());
        assert_eq!(found.len(), 19, "damaged at {at}: {found:?}");
        assert_eq!(samples.room().damaged, 1, "damaged at {at}");
    }
}

#[derive(Clone, Debug)]
enum Op {
    Append(u64),
    Wait(i64),
    Sync,
    Tidy,
    Erase(u64),
    Restart,
    Crash(u64),
    Fail(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (1..30u64).prop_map(Op::Append),
        3 => (1..4_000i64).prop_map(Op::Wait),
        1 => (20_000..200_000i64).prop_map(Op::Wait),
        2 => Just(Op::Sync),
        2 => Just(Op::Tidy),
        1 => (0..6u64).prop_map(Op::Erase),
        1 => Just(Op::Restart),
        1 => any::<u64>().prop_map(Op::Crash),
        1 => (1..12u64).prop_map(Op::Fail),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever happens: what is found was appended, once, byte for byte; what was synced is found until it is erased or too
    /// old; the bound holds; and nobody who was erased is found.
    #[test]
    fn what_is_found_is_what_was_appended(ops in prop::collection::vec(op(), 1..40)) {
        let storage = MemoryStorage::new();
        let most = 1 << 20;
        let mut fails_next = None;
        // What a sync failed on lies in the system's cache as if it were written: a later process cannot know, and it is not
        // held against that one.
        let (mut failed, mut doubtful) = (false, false);
        let (mut samples, mut now_s, mut nth) = (open(&storage, most, START_S), START_S, 0u64);
        // By id: the record, and whether it must be there.
        let mut known: BTreeMap<String, (Record, bool)> = BTreeMap::new();
        let mut people: BTreeMap<String, u64> = BTreeMap::new();
        for op in ops {
            if let Some(at) = fails_next.take() {
                storage.fail_at(storage.operations() + at, Fault::Error(io::ErrorKind::StorageFull));
            }
            match op {
                Op::Append(count) => {
                    let batch: Vec<Record> = (0..count).map(|_| {
                        nth += 1;
                        let person = (!nth.is_multiple_of(4)).then_some(nth % 6);
                        let record = record(&samples, nth, now_s, person);
                        people.extend(person.map(|person| (record.id.clone(), person)));
                        known.insert(record.id.clone(), (record.clone(), false));
                        record
                    }).collect();
                    let _refused = samples.append(batch);
                }
                Op::Wait(seconds) => now_s += seconds,
                Op::Sync => {
                    if samples.sync().is_ok() {
                        for id in ids(&mut samples, &all()) {
                            known.get_mut(&id).unwrap().1 = true;
                        }
                    }
                }
                Op::Tidy => drop(samples.tidy(now_s)),
                Op::Erase(person) => {
                    let done = samples.erase(&[UserKey(person)]);
                    if done.is_ok() {
                        known.retain(|id, _| people.get(id) != Some(&person));
                    } else {
                        known.iter_mut().for_each(|(_, (_, must))| *must = false);
                    }
                }
                Op::Restart | Op::Crash(_) => {
                    if let Op::Crash(seed) = op {
                        storage.crash(seed);
                    }
                    storage.clear_faults();
                    doubtful |= failed && matches!(op, Op::Restart);
                    samples = open(&storage, most, now_s);
                }
                Op::Fail(at) => {
                    failed = true;
                    fails_next = Some(at);
                }
            }
            storage.clear_faults();
            prop_assert!(samples.room().bytes <= most);
            let found = samples.search(&all()).records;
            let mut seen = BTreeSet::new();
            for (_, record) in &found {
                prop_assert!(seen.insert(record.id.clone()), "{} twice", record.id);
                let Some((appended, _)) = known.get(&record.id) else {
                    prop_assert!(false, "{} was erased", record.id);
                    continue;
                };
                let thinned = record.request.one_in / appended.request.one_in;
                let mut as_kept = appended.clone();
                (as_kept.request.one_in, as_kept.number) = (record.request.one_in, record.number);
                prop_assert!(*record == as_kept && thinned == 1, "so few are never thinned");
            }
            for (id, (record, must)) in &known {
                let is_young = record.request.at_ms > (now_s - 7 * 86_400 + 3_600) * 1_000;
                prop_assert!(doubtful || !must || !is_young || seen.contains(id), "{id} is lost");
            }
        }
    }
}
