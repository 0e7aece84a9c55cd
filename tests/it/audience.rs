//! The audience index through its public face: identity, lookups, writes, merges, files, limits.

mod file;
mod kept;
mod similar;

pub(crate) use kept::segments_of;

use outbid::audience::{
    AudienceError, AudienceIndex, Builder, EXPIRY_UNIT_S, IdKey, IdKind, Keys, Lookup, MAX_KEYS,
    MAX_SEGMENTS, MAX_SEGMENTS_PER_USER, Membership, Origin, keys,
};
use outbid::model::auction::{Auction, Eid, Imp};
use outbid::model::country::Country;
use outbid::model::exchange::{
    BillingEvent, ExchangeAuth, ExchangeProfile, GdprDefault, HoldLives, HouseRules, MissingPrice,
    PriceCodec, PriceUnit,
};
use outbid::model::ids::{ExchangeId, SegmentId, UserKey};
use outbid::model::money::{Cpm, Currency};
use outbid::model::taxonomy::{Segment, Taxonomy};
use outbid::privacy::{Permissions, Policy, Rules, gate};
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

const NOW: i64 = 1_800_000_000;
const SECRET: IdKey = IdKey(*b"an audience test");

fn permissions() -> Permissions {
    let imps = [Imp::default()];
    let mut auction = Auction { imps: &imps, ..Auction::default() };
    auction.device.geo.country = Country::parse("US");
    let opportunity = auction.opportunities().next().expect("one impression");
    gate(&opportunity, &Rules { gdpr_default: GdprDefault::Applies, policy: Policy::default() })
}

/// A forest in which 7, 8 (under 7) and 70,001 (under 8) are sensitive.
fn taxonomy() -> Taxonomy {
    let node = |id: u32, parent: Option<u32>, sensitive| Segment {
        id: SegmentId(id),
        key: id.to_string(),
        name: String::new(),
        parent: parent.map(SegmentId),
        sensitive,
        ..Segment::default()
    };
    Taxonomy::build(&[
        node(1, None, false),
        node(2, Some(1), false),
        node(7, Some(1), true),
        node(8, Some(7), false),
        node(70_001, Some(8), false),
        node(70_002, None, false),
    ])
    .expect("a forest")
}

fn cookies(cookies: &[UserKey]) -> Keys {
    let mut keys = Keys::default();
    cookies.iter().for_each(|key| keys.push(*key, IdKind::Cookie));
    keys
}

/// One for all, over merges and even over indexes, as a core reuses its own: what it holds of a base must not be seen
/// when the base has moved on, and neither may it be seen who was announced.
fn look_up(index: &AudienceIndex, keys: &Keys, now_s: i64) -> Lookup {
    thread_local! {
        static OUT: RefCell<Lookup> = RefCell::default();
    }
    OUT.with_borrow_mut(|out| {
        if keys.as_slice().len() != 2 {
            index.announce(&[keys.clone(), cookies(&[UserKey(7)])], out);
        }
        index.lookup(keys, &taxonomy(), now_s, permissions().segments().expect("permitted"), out);
        out.clone()
    })
}

fn segments(ids: &[u32]) -> Vec<SegmentId> {
    ids.iter().copied().map(SegmentId).collect()
}

fn of(segment: u32) -> Membership {
    Membership::of(SegmentId(segment))
}

/// The same everywhere: splitmix64.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

// Identity.

fn profile(eid_sources: &[&str], match_user_id: bool) -> ExchangeProfile {
    ExchangeProfile {
        id: ExchangeId(29),
        name: "demo".to_owned(),
        auth: ExchangeAuth::LoopbackOnly,
        seat: "seat".to_owned(),
        currency: Currency::USD,
        price_codec: PriceCodec::Plain,
        price_unit: PriceUnit::Cpm,
        billing_event: BillingEvent::Burl,
        burl_in_browser: false,
        missing_price: MissingPrice::Bid,
        default_at: 2,
        default_tmax_ms: 100,
        max_tmax_ms: 1_000,
        network_margin_ms: 10,
        holds: HoldLives::default(),
        max_multiplier_ppm: 1_000_000,
        max_cpm: Cpm::default(),
        max_qps: None,
        max_open_holds: None,
        house: HouseRules::default(),
        max_adm_bytes: 1,
        max_url_bytes: 1,
        send_nbr: false,
        send_lurl: false,
        seller_system: None,
        open_bids: 1,
        eid_sources: eid_sources.iter().map(|source| (*source).to_owned()).collect(),
        match_user_id,
        gdpr_default: GdprDefault::Applies,
        sync_url: None,
        sync_domains: Vec::new(),
    }
}

fn keys_of(auction: &Auction<'_>, profile: &ExchangeProfile) -> Vec<(UserKey, IdKind)> {
    let mut out = Keys::default();
    out.push(UserKey(1), IdKind::Device);
    keys(auction, profile, &SECRET, permissions().ids().expect("permitted"), &mut out);
    out.as_slice().to_vec()
}

#[test]
fn identifiers_come_in_the_order_of_trust() {
    let eid = |source, id, match_method| Eid { source, id, match_method, agent_type: None };
    let eids = [
        eid("later.example", "late", None),
        eid("unlisted.example", "no", Some(3)),
        eid("FIRST.example", "guess", Some(5)),
        eid("FIRST.example", "one", Some(0)),
        eid("first.example", "two", Some(3)),
        eid("first.example", " ", Some(3)),
    ];
    let mut auction = Auction::default();
    auction.user.buyeruid = Some("cookie");
    auction.user.id = Some("theirs");
    auction.user.eids = &eids;
    auction.device.ifa = Some("6D92078A-8246-4BA4-AE5B-76104861E7DC");
    let cookie = (SECRET.cookie("cookie"), IdKind::Cookie);
    let matched = (SECRET.matched(ExchangeId(29), "theirs"), IdKind::Matched);
    let first = ["one", "two"].map(|id| (SECRET.eid("first.example", id), IdKind::Eid));
    let late = (SECRET.eid("later.example", "late"), IdKind::Eid);
    let device = (SECRET.device("6d92078a-8246-4ba4-ae5b-76104861e7dc"), IdKind::Device);

    let sources = ["first.example", "later.example"];
    let expected = [cookie, matched, first[0], first[1], late, device];
    assert_eq!(keys_of(&auction, &profile(&sources, true)), expected);
    assert_eq!(keys_of(&auction, &profile(&[], false)), [cookie, device]);
}

#[test]
fn blank_identifiers_are_none_and_the_least_trusted_are_left_out() {
    let mut auction = Auction::default();
    auction.user.buyeruid = Some("");
    auction.user.id = Some(" ");
    auction.device.ifa = Some("");
    assert_eq!(keys_of(&auction, &profile(&[], true)), []);

    let ids: Vec<String> = (0..20).map(|i| i.to_string()).collect();
    let eids: Vec<Eid<'_>> = ids.iter().map(|id| Eid { source: "s", id, ..Eid::default() }).collect();
    auction.user.eids = &eids;
    let expected: Vec<_> = ids[..MAX_KEYS].iter().map(|id| (SECRET.eid("s", id), IdKind::Eid)).collect();
    assert_eq!(keys_of(&auction, &profile(&["s"], true)), expected);
}

#[test]
fn an_exchanges_id_is_found_through_the_match_table_while_the_link_lasts() {
    let index = AudienceIndex::default();
    let (cookie, matched) = (SECRET.cookie("c"), SECRET.matched(ExchangeId(29), "theirs"));
    index.add(cookie, of(2)).unwrap();
    // What stands under the matched key itself is never read.
    index.add(matched, of(1)).unwrap();
    let mut keys = Keys::default();
    keys.push(matched, IdKind::Matched);

    let unlinked = look_up(&index, &keys, NOW);
    assert_eq!((unlinked.known, unlinked.primary), (false, Some(matched)));
    index.link(matched, cookie, Some(NOW + EXPIRY_UNIT_S));
    let linked = look_up(&index, &keys, NOW);
    assert_eq!((linked.segments, linked.primary), (segments(&[2]), Some(cookie)));
    assert!(!look_up(&index, &keys, NOW + EXPIRY_UNIT_S).known);
    index.merge(NOW + EXPIRY_UNIT_S).unwrap();
    assert_eq!(index.stats().links, 0);

    index.link(matched, cookie, None);
    index.erase(cookie);
    assert_eq!(index.stats().links, 0, "erasing a user leaves no row that leads to them");
}

// Sensitive segments.

#[test]
fn sensitive_segments_count_with_explicit_consent_only() {
    let index = AudienceIndex::default();
    let (one, two) = (SECRET.cookie("one"), SECRET.cookie("two"));
    for segment in [1, 7, 8, 70_001] {
        index.add(one, of(segment)).unwrap();
    }
    for merged in [false, true] {
        if merged {
            index.merge(NOW).unwrap();
        }
        let found = look_up(&index, &cookies(&[one]), NOW);
        assert_eq!(found.segments, segments(&[1]), "merged: {merged}");
        assert_eq!(found.refused, segments(&[7, 8, 70_001]), "what lies under a sensitive node is sensitive");
    }
    // Consent on record for another key of the same user counts, and the segment is then no longer refused.
    index.add(two, Membership { explicit_consent: true, ..of(8) }).unwrap();
    let found = look_up(&index, &cookies(&[one, two]), NOW);
    assert_eq!((found.segments, found.refused), (segments(&[1, 8]), segments(&[7, 70_001])));
}

// Against a naive model.

type Model = BTreeMap<u64, BTreeMap<u32, Membership>>;

#[derive(Clone, Debug)]
enum Step {
    Add(usize, Membership),
    Remove(usize, u32),
    Erase(usize),
    Merge,
    MergeShard(usize),
    Restart,
    Wait(i64),
    Look(Vec<usize>),
}

/// Few keys, some of them in one bucket, some a single bit apart, some at the ends.
fn universe() -> Vec<UserKey> {
    let near = (0..6).map(|i| 0x7123_0000_0000_0000 | i);
    let spread = (0..6).map(mix);
    near.chain(spread).chain([0, 1, u64::MAX]).map(UserKey).collect()
}

fn membership() -> impl Strategy<Value = Membership> {
    let segment = prop_oneof![
        Just(1),
        Just(2),
        Just(7),
        Just(8),
        60_000..70_010_u32,
        Just(MAX_SEGMENTS - 1),
        0..40_u32
    ];
    let expires = prop_oneof![
        2 => Just(None),
        3 => (0..20_i64).prop_map(|quarters| Some(NOW + quarters * 700)),
        1 => (1..3_000_i64).prop_map(|days| Some(NOW + days * 86_400)),
        1 => prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(0)].prop_map(Some),
    ];
    let origin = prop_oneof![Just(Origin::FirstParty), Just(Origin::Inferred)];
    (segment, expires, any::<bool>(), origin).prop_map(|(segment, expires_s, explicit_consent, origin)| {
        Membership { segment: SegmentId(segment), expires_s, explicit_consent, origin }
    })
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..universe().len();
    prop_oneof![
        12 => (key.clone(), membership()).prop_map(|(key, m)| Step::Add(key, m)),
        3 => (key.clone(), membership()).prop_map(|(key, m)| Step::Remove(key, m.segment.0)),
        1 => key.clone().prop_map(Step::Erase),
        2 => Just(Step::Merge),
        1 => (0..16_usize).prop_map(Step::MergeShard),
        1 => Just(Step::Restart),
        2 => (0..4_000_i64).prop_map(Step::Wait),
        6 => prop::collection::vec(key, 1..5).prop_map(Step::Look),
    ]
}

/// What the lookup must answer: segments and refused ones.
fn expected(model: &Model, keys: &[UserKey], now_s: i64) -> (Vec<SegmentId>, Vec<SegmentId>) {
    let sensitive = [7, 8, 70_001];
    let (mut used, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for membership in keys.iter().filter_map(|key| model.get(&key.0)).flat_map(|user| user.values()) {
        let ends = membership.expires_s.map_or(i64::MAX, |end| end - end.max(0) % EXPIRY_UNIT_S);
        if ends <= now_s {
            continue;
        }
        if membership.explicit_consent || !sensitive.contains(&membership.segment.0) {
            used.insert(membership.segment);
        } else {
            refused.insert(membership.segment);
        }
    }
    (used.iter().copied().collect(), refused.difference(&used).copied().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn index_and_naive_model_answer_alike(
        start in prop::collection::vec((0..universe().len(), membership()), 0..60),
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let universe = universe();
        let folder = tempfile::tempdir().unwrap();
        let mut model = Model::new();
        let mut builder = Builder::with_shard_bits(4);
        for (key, membership) in start {
            builder.push(universe[key], [membership]).unwrap();
            model.entry(universe[key].0).or_default().insert(membership.segment.0, membership);
        }
        let mut index = builder.finish().unwrap();
        let mut now_s = NOW;
        for step in steps {
            match step {
                Step::Add(key, membership) => {
                    index.add(universe[key], membership).unwrap();
                    model.entry(universe[key].0).or_default().insert(membership.segment.0, membership);
                }
                Step::Remove(key, segment) => {
                    index.remove(universe[key], SegmentId(segment));
                    model.entry(universe[key].0).or_default().remove(&segment);
                }
                Step::Erase(key) => {
                    index.erase(universe[key]);
                    model.remove(&universe[key].0);
                }
                Step::Merge => index.merge(now_s).unwrap(),
                Step::MergeShard(shard) => index.merge_shard(shard, now_s).unwrap(),
                Step::Restart => {
                    index.save(folder.path(), &SECRET).unwrap();
                    index = AudienceIndex::load(folder.path(), &SECRET).unwrap().unwrap();
                }
                Step::Wait(seconds) => now_s += seconds,
                Step::Look(of) => {
                    let of: Vec<UserKey> = of.iter().map(|key| universe[*key]).collect();
                    let found = look_up(&index, &cookies(&of), now_s);
                    let (used, refused) = expected(&model, &of, now_s);
                    prop_assert_eq!(found.known, !(used.is_empty() && refused.is_empty()));
                    prop_assert_eq!(found.primary, Some(of[0]));
                    prop_assert_eq!((found.segments, found.refused), (used, refused));
                }
            }
        }
        index.merge(now_s).unwrap();
        prop_assert_eq!(index.stats().overlay_users, 0);
        let live = |key: &&UserKey| expected(&model, &[**key], now_s) != (vec![], vec![]);
        prop_assert_eq!(index.stats().base_users as usize, universe.iter().filter(live).count());
        for key in &universe {
            let found = look_up(&index, &cookies(&[*key]), now_s);
            prop_assert_eq!((found.segments, found.refused), expected(&model, &[*key], now_s));
        }
    }
}

// Limits.

#[test]
fn limits_are_errors_and_leave_everything_as_it_was() {
    let key = SECRET.cookie("much");
    let index = AudienceIndex::default();
    let beyond = of(MAX_SEGMENTS);
    assert!(matches!(index.add(key, beyond), Err(AudienceError::SegmentId(id)) if id == beyond.segment));

    let most = 60_000..60_000 + MAX_SEGMENTS_PER_USER as u32;
    most.clone().for_each(|segment| index.add(key, of(segment)).unwrap());
    for merged in [false, true] {
        if merged {
            index.merge(NOW).unwrap();
        }
        assert!(matches!(index.add(key, of(1)), Err(AudienceError::TooManySegments)));
        // Replacing one that is there adds none.
        index.add(key, Membership { explicit_consent: true, ..of(60_000) }).unwrap();
        let found = look_up(&index, &cookies(&[key]), NOW).segments;
        assert_eq!(found, most.clone().map(SegmentId).collect::<Vec<_>>(), "merged: {merged}");
    }
    index.remove(key, SegmentId(60_000));
    index.add(key, of(1)).unwrap();

    let mut builder = Builder::default();
    assert!(matches!(builder.push(key, [of(3), beyond]), Err(AudienceError::SegmentId(_))));
    builder.push(key, [of(4)]).unwrap();
    let built = builder.finish().unwrap();
    assert_eq!(look_up(&built, &cookies(&[key]), NOW).segments, segments(&[4]));
    let mut builder = Builder::default();
    builder.push(key, (0..=MAX_SEGMENTS_PER_USER as u32).map(of)).unwrap();
    assert!(matches!(builder.finish(), Err(AudienceError::TooManySegments)));
}

#[test]
fn keys_that_are_no_hashes_are_refused_by_build_and_merge() {
    let mut builder = Builder::default();
    let index = AudienceIndex::default();
    for key in 0..70_000 {
        builder.push(UserKey(key), [of(1)]).unwrap();
        index.add(UserKey(key), of(1)).unwrap();
    }
    assert!(matches!(builder.finish(), Err(AudienceError::SkewedKeys { shard: 0, count: 70_000 })));
    assert!(matches!(index.merge(NOW), Err(AudienceError::SkewedKeys { .. })));
    let found = look_up(&index, &cookies(&[UserKey(69_999)]), NOW);
    assert_eq!(found.segments, segments(&[1]), "a merge that fails loses nothing");
}

// Unknown cookies.

/// 60,000 users. Fingerprint and bucket together are the whole key, so an unknown cookie matches with n / 2⁶⁴ only:
/// 5.4 × 10⁻¹³ at 10 million users. Random cookies would show that no test run could ever see one; keys that differ
/// from a stored one in a single bit, whichever, show that every bit is compared.
#[test]
fn an_unknown_cookie_never_matches() {
    let users: BTreeSet<u64> = (0..60_000).map(mix).collect();
    let mut builder = Builder::default();
    users.iter().for_each(|key| builder.push(UserKey(*key), [of(1)]).unwrap());
    let index = builder.finish().unwrap();
    let (taxonomy, proof) = (taxonomy(), permissions().segments().unwrap());
    let mut out = Lookup::default();
    let mut known = |key: u64| {
        index.lookup(&cookies(&[UserKey(key)]), &taxonomy, NOW, proof, &mut out);
        out.known
    };
    assert!(users.iter().all(|key| known(*key)));
    let neighbours = users.iter().take(20_000).flat_map(|key| (0..64).map(move |bit| key ^ (1 << bit)));
    let strangers = (1 << 40..(1 << 40) + 1_500_000).map(mix);
    let unknown = neighbours.chain(strangers).filter(|key| !users.contains(key));
    assert_eq!(unknown.filter(|key| known(*key)).count(), 0);
}

// Concurrency.

/// Every user is always in segment 1 and, from some moment on, in 2; one who was seen in 2 stays there, and nobody
/// is ever seen without 1, whatever merges and writers do meanwhile.
#[test]
fn lookups_see_every_write_while_merges_run() {
    let users: Vec<UserKey> = (0..3_000).map(|i| UserKey(mix(i))).collect();
    let mut builder = Builder::with_shard_bits(2);
    users.iter().for_each(|key| builder.push(*key, [of(1)]).unwrap());
    let index = builder.finish().unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let merger = scope.spawn(|| {
            let mut merges = 0;
            while !done.load(Ordering::Acquire) {
                index.merge(NOW).unwrap();
                merges += 1;
            }
            merges
        });
        let reader = scope.spawn(|| {
            let mut seen = BTreeSet::new();
            while !done.load(Ordering::Acquire) {
                for key in &users {
                    let found = look_up(&index, &cookies(&[*key]), NOW).segments;
                    assert_eq!(found[0], SegmentId(1), "a user got lost");
                    if found.contains(&SegmentId(2)) {
                        seen.insert(*key);
                    } else {
                        assert!(!seen.contains(key), "a write got lost");
                    }
                }
            }
        });
        for round in 0..10 {
            for key in &users {
                index.add(*key, of(2)).unwrap();
                index.add(*key, of(100 + round)).unwrap();
                let found = look_up(&index, &cookies(&[*key]), NOW).segments;
                assert!(found.contains(&SegmentId(100 + round)), "a write is not seen by the next lookup");
                index.remove(*key, SegmentId(100 + round));
            }
        }
        done.store(true, Ordering::Release);
        reader.join().unwrap();
        assert!(merger.join().unwrap() > 1, "the merger never ran beside the writer");
    });
    for key in &users {
        assert_eq!(look_up(&index, &cookies(&[*key]), NOW).segments, segments(&[1, 2]));
    }
}

// Allocation.

#[test]
fn a_lookup_allocates_nothing_after_warm_up() {
    let users: Vec<UserKey> = (0..2_000).map(|i| UserKey(mix(i))).collect();
    let mut builder = Builder::default();
    for key in &users {
        builder.push(*key, (0..12).map(|i| of((mix(key.0 + i) % 80_000) as u32))).unwrap();
    }
    let index = builder.finish().unwrap();
    let matched = SECRET.matched(ExchangeId(29), "theirs");
    index.link(matched, users[0], None);
    index.add(users[5], of(7)).unwrap();
    let auction_eids = [Eid { source: "s", id: "e", ..Eid::default() }];
    let mut auction = Auction::default();
    (auction.user.buyeruid, auction.user.id) = (Some("cookie"), Some("theirs"));
    auction.user.eids = &auction_eids;
    let (profile, taxonomy, permissions) = (profile(&["s"], true), taxonomy(), permissions());
    let (mut keys_out, mut out) = (Keys::default(), Lookup::default());
    let mut found = 0;
    let mut run = || {
        for pair in users.windows(5) {
            keys(&auction, &profile, &SECRET, permissions.ids().unwrap(), &mut keys_out);
            pair.iter().for_each(|key| keys_out.push(*key, IdKind::Cookie));
            index.lookup(&keys_out, &taxonomy, NOW, permissions.segments().unwrap(), &mut out);
            found += out.segments.len();
        }
    };
    run();
    assert_eq!(allocation_counter::measure(&mut run).count_total, 0);
    assert!(found > 100_000);
}

// File.

#[test]
fn an_idle_core_lets_go_of_what_a_merge_has_replaced() {
    let index = AudienceIndex::default();
    let key = UserKey(mix(1));
    index.add(key, of(1)).unwrap();
    index.merge(NOW).unwrap();
    let mut out = Lookup::default();
    let look = |out: &mut Lookup| {
        index.lookup(&cookies(&[key]), &taxonomy(), NOW, permissions().segments().unwrap(), out);
        out.segments.clone()
    };
    assert_eq!(look(&mut out), segments(&[1]));
    index.add(key, of(2)).unwrap();
    index.merge(NOW).unwrap();
    assert!(out.lets_go(&index) > 0, "the merge replaced the user's shard");
    assert_eq!(out.lets_go(&index), 0);
    assert_eq!(look(&mut out), segments(&[1, 2]));
}

#[test]
fn bytes_of_every_part_are_counted() {
    let index = AudienceIndex::default();
    assert_eq!(index.stats().base_bytes_per_user(), None);
    index.add(UserKey(mix(1)), of(1)).unwrap();
    index.add(UserKey(mix(1)), of(2)).unwrap();
    let changed = index.stats();
    assert_eq!((changed.overlay_users, changed.overlay_memberships, changed.base_users), (1, 2, 0));
    assert!(changed.overlay_bytes_estimate >= 8 * 2 + 8 + 16);
    // Two planes of 2^20 bits, whatever is in them.
    assert_eq!((changed.filter_bytes, changed.link_bytes_estimate), (2 * (1 << 20) / 8, 0));
    index.link(UserKey(mix(2)), UserKey(mix(1)), None);
    let linked = index.stats();
    assert_eq!(linked.links, 1);
    assert!((8 + 8 + 4..100).contains(&linked.link_bytes_estimate), "{linked:?}");
    index.merge(NOW).unwrap();
    let merged = index.stats();
    assert_eq!((merged.overlay_users, merged.base_users, merged.base_memberships), (0, 1, 2));
    // Count of the bucket, fingerprint, length, flags and count of the group, two ids.
    assert_eq!(merged.blob_bytes, 2 + 6 + 1 + 2 + 2 * 2);
}
