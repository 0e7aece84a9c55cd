//! The audience as it is kept: what was synced is there again, whatever the crash left of the rest.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use super::*;
use outbid::audience::Store;
use std::path::Path;

/// The user's segments, as a bid would see them.
pub(crate) fn segments_of(index: &AudienceIndex, key: UserKey, now_s: i64) -> Vec<SegmentId> {
    look_up(index, &cookies(&[key]), now_s).segments
}

#[derive(Clone, Debug)]
enum Step {
    Add(u64, u32, Option<i64>),
    AddForNow(u64, u32, i64),
    Remove(u64, u32),
    Erase(u64),
    Tie(u64, u64),
    Link(u64, u64),
    Merge,
    Save,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let user = || 0..6_u64;
    let segment = || 70_002..70_010_u32;
    prop_oneof![
        6 => (user(), segment(), prop::option::of(1..100_000_i64)).prop_map(|(u, s, e)| Step::Add(u, s, e)),
        3 => (user(), segment(), 1..5_000_i64).prop_map(|(u, s, e)| Step::AddForNow(u, s, e)),
        2 => (user(), segment()).prop_map(|(u, s)| Step::Remove(u, s)),
        1 => user().prop_map(Step::Erase),
        1 => (user(), 100..103_u64).prop_map(|(u, h)| Step::Tie(u, h)),
        1 => (200..203_u64, user()).prop_map(|(m, u)| Step::Link(m, u)),
        1 => Just(Step::Merge),
        1 => Just(Step::Save),
        1 => Just(Step::Reopen),
    ]
}

fn everything(index: &AudienceIndex) -> Vec<(Vec<SegmentId>, Option<UserKey>)> {
    let mut all = Vec::new();
    for now in [NOW, NOW + 950, NOW + 4_000, NOW + 50_000, NOW + 1_000_000] {
        for user in (0..6).chain(100..103) {
            let found = look_up(index, &cookies(&[UserKey(mix(user))]), now);
            all.push((found.segments, found.primary));
        }
        for matched in 200..203 {
            let mut keys = Keys::default();
            keys.push(UserKey(mix(matched)), IdKind::Matched);
            let found = look_up(index, &keys, now);
            all.push((found.segments, found.primary));
        }
    }
    all
}

/// Who is in what, from a walk over everybody.
fn walked(index: &AudienceIndex) -> BTreeMap<UserKey, Vec<Membership>> {
    let mut found = BTreeMap::new();
    index.for_each_member(None, NOW + 950, |member| {
        let before = found.insert(member.key, member.memberships.to_vec());
        assert_eq!(before, None, "{} twice", member.key);
    });
    for segment in [70_003, 70_005] {
        let mut chosen = Vec::new();
        index.for_each_member(Some(&[SegmentId(segment)]), NOW + 950, |member| chosen.push(member.key));
        chosen.sort_unstable();
        let has = |of: &[Membership]| of.iter().any(|of| of.segment.0 == segment);
        let expected: Vec<UserKey> = found.iter().filter(|(_, of)| has(of)).map(|(key, _)| *key).collect();
        assert_eq!(chosen, expected);
    }
    found
}

fn one_by_one(index: &AudienceIndex) -> BTreeMap<UserKey, Vec<Membership>> {
    let of = (0..6).map(|user| (UserKey(mix(user)), index.memberships(UserKey(mix(user)), NOW + 950)));
    of.filter(|(_, memberships)| !memberships.is_empty()).collect()
}

fn open(dir: &Path) -> Store {
    Store::open(dir, SECRET).expect("an audience that opens").0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Against an index that was never saved or read: adds, removes, erasures, ties, links, merges, saves and restarts.
    #[test]
    fn what_is_kept_tells_the_same_as_what_never_was_on_a_disk(steps in prop::collection::vec(step(), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path());
        let plain = Store::in_memory(AudienceIndex::default(), SECRET);
        let key = |user: u64| UserKey(mix(user));
        for step in steps {
            for store in [&store, &plain] {
                let member = |segment: u32, end: Option<i64>| Membership {
                    expires_s: end.map(|end| NOW + end), ..of(segment)
                };
                store.write(|w| match step {
                    Step::Add(u, s, end) => w.add(key(u), member(s, end)).unwrap(),
                    Step::AddForNow(u, s, end) => w.add_for_now(key(u), member(s, Some(end))).unwrap(),
                    Step::Remove(u, s) => { w.remove(key(u), SegmentId(s)); }
                    Step::Erase(u) => { w.erase(key(u)); }
                    Step::Tie(u, h) => w.tie(key(u), key(h), Some(NOW + 60_000)),
                    Step::Link(m, u) => w.link(key(m), key(u), Some(NOW + 60_000)),
                    _ => {}
                });
            }
            match step {
                Step::Merge => store.index().merge(NOW).unwrap(),
                Step::Save => store.save().unwrap(),
                Step::Reopen => {
                    store.sync().unwrap();
                    drop(store);
                    store = open(dir.path());
                }
                _ => {}
            }
            prop_assert_eq!(everything(store.index()), everything(plain.index()));
            for index in [store.index(), plain.index()] {
                prop_assert_eq!(walked(index), one_by_one(index));
            }
        }
        store.sync().unwrap();
        prop_assert_eq!(everything(&Store::look(dir.path(), &SECRET).unwrap()), everything(plain.index()));
    }
}

/// A crash may leave any beginning of the newest file.
#[test]
fn a_log_that_is_cut_anywhere_gives_back_a_beginning_and_all_of_what_was_synced_before() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let user = |i: u64| UserKey(mix(i));
    let mut synced_at = Vec::new();
    let log = || {
        let names = std::fs::read_dir(dir.path().join("audience")).unwrap().map(|e| e.unwrap().path());
        names.filter(|path| path.to_str().unwrap().contains("changes-")).max().unwrap()
    };
    for i in 0..8 {
        store.write(|w| w.add(user(i), of(70_002))).unwrap();
        store.sync().unwrap();
        synced_at.push(std::fs::metadata(log()).unwrap().len());
    }
    let whole = std::fs::read(log()).unwrap();
    drop(store);
    for cut in (0..=whole.len()).chain([whole.len()]) {
        let copy = tempfile::tempdir().unwrap();
        std::fs::create_dir(copy.path().join("audience")).unwrap();
        std::fs::write(copy.path().join("audience").join(log().file_name().unwrap()), &whole[..cut]).unwrap();
        let (store, opened) = Store::open(copy.path(), SECRET).unwrap();
        let known = |i: &u64| !segments_of(store.index(), user(*i), NOW).is_empty();
        let there: Vec<u64> = (0..8).filter(known).collect();
        let synced = synced_at.iter().filter(|at| **at <= cut as u64).count();
        assert_eq!(there, (0..synced as u64).collect::<Vec<_>>(), "cut at {cut}");
        let is_end = synced_at.contains(&(cut as u64)) || [0, 32].contains(&cut);
        assert_eq!(opened.torn_bytes == 0, is_end, "cut at {cut}: {opened:?}");
        // And it goes on from there, also after another start.
        store.write(|w| w.add(user(50), of(70_003))).unwrap();
        store.sync().unwrap();
        drop(store);
        let (store, opened) = Store::open(copy.path(), SECRET).unwrap();
        assert_eq!((opened.torn_bytes, segments_of(store.index(), user(50), NOW)), (0, segments(&[70_003])));
    }
    // What no crash does is refused.
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir(copy.path().join("audience")).unwrap();
    let first = copy.path().join("audience").join(log().file_name().unwrap());
    std::fs::write(&first, &whole).unwrap();
    drop(Store::open(copy.path(), SECRET).unwrap());
    std::fs::write(&first, &whole[..whole.len() - 3]).unwrap();
    let refused = Store::open(copy.path(), SECRET).map(drop).unwrap_err().to_string();
    assert!(refused.contains("changes-") && refused.contains("not whole"), "{refused}");
    std::fs::write(&first, &whole).unwrap();
    let other = Store::open(copy.path(), IdKey([9; 16])).map(drop).unwrap_err();
    assert!(matches!(other, AudienceError::OtherKey { .. }), "{other}");
}

#[test]
fn who_is_forgotten_is_found_nowhere_before_and_after_everything_that_moves_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let ids = [
        SECRET.cookie("the cookie"),
        SECRET.hashed(IdKind::Email, &[7; 32]),
        SECRET.matched(ExchangeId(3), "theirs"),
    ];
    let [cookie, email, matched] = ids;
    store.write(|w| {
        w.add(cookie, of(70_002)).unwrap();
        w.add(email, of(70_003)).unwrap();
        w.tie(cookie, email, None);
        w.link(matched, cookie, None);
    });
    store.index().merge(NOW).unwrap();
    store.save().unwrap();
    store.write(|w| w.add(cookie, of(70_004))).unwrap();
    let on_disk = |key: UserKey| {
        let files = std::fs::read_dir(dir.path().join("audience")).unwrap().map(|e| e.unwrap().path());
        files.into_iter().any(|path| {
            let bytes = std::fs::read(path).unwrap();
            bytes.windows(8).any(|window| window == key.0.to_le_bytes())
        })
    };
    store.sync().unwrap();
    assert!(on_disk(cookie) && on_disk(email) && on_disk(matched));

    // By any one of the ids.
    let forgotten = store.forget(&[matched], NOW);
    assert_eq!((forgotten.keys, forgotten.erased.memberships, forgotten.erased.links), (3, 3, 2));
    store.sync().unwrap();
    let nobody = |index: &AudienceIndex| {
        let mut keys = cookies(&[cookie, email]);
        keys.push(matched, IdKind::Matched);
        let found = look_up(index, &keys, NOW);
        assert!(!found.known && found.segments.is_empty());
        assert_eq!(
            look_up(
                index,
                &{
                    let mut k = Keys::default();
                    k.push(matched, IdKind::Matched);
                    k
                },
                NOW
            )
            .primary,
            Some(matched)
        );
    };
    nobody(store.index());
    nobody(&Store::look(dir.path(), &SECRET).unwrap());
    assert!(store.wants_save());
    store.index().merge(NOW).unwrap();
    store.save().unwrap();
    nobody(store.index());
    ids.iter().for_each(|key| assert!(!on_disk(*key), "{key} is on the disk"));
    drop(store);
    nobody(open(dir.path()).index());
}

#[test]
fn a_save_that_fails_loses_nothing_and_the_next_one_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let user = |i: u64| UserKey(mix(i));
    store.write(|w| w.add(user(1), of(70_002))).unwrap();
    // Where the file would be written stands a folder.
    let in_the_way = dir.path().join("audience/base.v1.tmp");
    std::fs::create_dir(&in_the_way).unwrap();
    store.save().unwrap_err();
    assert!(store.wants_save());
    store.write(|w| w.add(user(2), of(70_003))).unwrap();
    store.sync().unwrap();
    let there = |index: &AudienceIndex| [1, 2].map(|i| segments_of(index, user(i), NOW).len());
    assert_eq!(there(&Store::look(dir.path(), &SECRET).unwrap()), [1, 1]);
    std::fs::remove_dir(&in_the_way).unwrap();
    store.save().unwrap();
    assert!(!store.wants_save());
    drop(store);
    assert_eq!(there(open(dir.path()).index()), [1, 1]);
}
