//! Similar users: who is found, how good that is against chance, and who is never looked at.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use super::*;
use outbid::audience::{Expansion, MIN_SEED, Similar, SimilarError};

const SEED: SegmentId = SegmentId(70_010);

/// The search for so many who are like the seed.
fn most_like(seed: SegmentId, size: usize) -> Expansion<'static> {
    Expansion { seed, target: None, among: None, size, now_s: NOW }
}

fn find(index: &AudienceIndex, expansion: &Expansion<'_>) -> Result<Similar, SimilarError> {
    index.similar(&taxonomy(), expansion, &|| false)
}

/// Twenty thousand people: one in ten runs; runners are in segments 100 to 104 four times in five, others one time in ten.
/// A third of the runners are known to be (the seed).
fn world(noise: u64) -> AudienceIndex {
    let mut builder = Builder::default();
    for user in 0..20_000_u64 {
        let runs = user % 10 == 0;
        let dice = |n: u64| mix(user * 31 + n + noise) % 100;
        let share = if runs { 80 } else { 10 };
        let mut all: Vec<Membership> =
            (0..5).filter(|n| dice(*n) < share).map(|n| of(100 + n as u32)).collect();
        // What everybody may be in, and what must not count.
        all.extend((5..10).filter(|n| dice(*n) < 30).map(|n| of(200 + n as u32)));
        if runs {
            all.push(Membership { explicit_consent: true, ..of(8) });
            if dice(20) < 33 {
                all.push(Membership { segment: SEED, ..of(0) });
            }
        }
        builder.push(UserKey(mix(user)), all).unwrap();
    }
    builder.finish().unwrap()
}

#[test]
fn people_like_the_seed_are_found_far_better_than_by_chance() {
    let index = world(0);
    let expansion = most_like(SEED, 2_000);
    let similar = find(&index, &expansion).unwrap();
    assert_eq!(similar.users.len(), 2_000);
    let runs = |key: &UserKey| (0..20_000).step_by(10).any(|user| mix(user) == key.0);
    let runners = similar.users.iter().filter(|key| runs(key)).count();
    // 1,340 or so run and are not in the seed: a random 2,000 of 19,340 have 139.
    assert!(runners > 1_000, "{runners}");
    let members: Vec<UserKey> = similar
        .users
        .iter()
        .copied()
        .filter(|key| look_up(&index, &cookies(&[*key]), NOW).segments.contains(&SEED))
        .collect();
    assert_eq!(members.len() as u64, similar.found, "of the seed, those held back alone");
    assert!((80..220).contains(&similar.held_back), "{}", similar.held_back);
    let (low, high) = similar.lift_interval;
    assert!(low > 6.0 && low < similar.lift && similar.lift < high && high < 11.0, "{similar:?}");
    assert_eq!(find(&index, &expansion).unwrap(), similar, "the same again");
    // A change counts at once, also before it is merged.
    index.add(similar.users[0], of(700)).unwrap();
    assert_eq!(find(&index, &expansion).unwrap().users.len(), 2_000);
}

#[test]
fn a_random_seed_has_no_lift() {
    let index = world(0);
    for user in (0..20_000).filter(|user| mix(user * 7).is_multiple_of(20)) {
        index.add(UserKey(mix(user)), of(70_011)).unwrap();
    }
    let expansion = most_like(SegmentId(70_011), 4_000);
    let similar = find(&index, &expansion).unwrap();
    let (low, high) = similar.lift_interval;
    assert!(low < 1.0 + 0.35 && high > 0.75, "{similar:?}");
}

#[test]
fn what_is_sensitive_is_neither_seed_nor_reason_and_few_are_no_pattern() {
    let index = AudienceIndex::default();
    let add = |user: u64, segment: u32| {
        let membership = Membership { explicit_consent: true, ..of(segment) };
        index.add(UserKey(mix(user)), membership).unwrap();
    };
    // All of the seed and some others are in the sensitive segment 8, and nothing else is known of anybody.
    (0..200).for_each(|user| {
        add(user, 8);
        add(user, SEED.0);
    });
    (200..300).for_each(|user| add(user, 8));
    let expansion = most_like(SEED, 50);
    assert_eq!(find(&index, &expansion).unwrap().users, []);
    let sensitive = Expansion { seed: SegmentId(8), ..expansion };
    assert_eq!(find(&index, &sensitive), Err(SimilarError::Sensitive(SegmentId(8))));
    let few = Expansion { seed: SegmentId(5), ..expansion };
    assert_eq!(find(&index, &few), Err(SimilarError::TooFew(0)));
    (300..300 + MIN_SEED - 1).for_each(|user| add(user, 5));
    assert_eq!(find(&index, &few), Err(SimilarError::TooFew(MIN_SEED - 1)));
}

#[test]
fn a_search_again_finds_the_same_and_only_what_counts_is_a_reason() {
    let index = world(0);
    let expansion = most_like(SEED, 2_000);
    let first = find(&index, &expansion).unwrap();
    let told: Vec<u32> = first.telling.iter().map(|of| of.segment.0).collect();
    assert_eq!(told.iter().filter(|id| (100..105).contains(*id)).count(), 5, "{told:?}");
    let best = first.telling[0];
    assert!(
        (100..105).contains(&best.segment.0) && best.seed_share > 0.7 && best.other_share < 0.25,
        "{best:?}"
    );
    assert!((580..760).contains(&first.seed), "{}", first.seed);
    // Everybody who was found is put somewhere by the model; that is no reason for anything.
    let target = SegmentId(70_012);
    for key in &first.users {
        let found = Membership { segment: target, origin: Origin::Inferred, ..of(0) };
        index.add(*key, found).unwrap();
    }
    assert_eq!(find(&index, &expansion).unwrap(), first);
    // Nor is what stands in the target by a list, if it is named.
    for key in &first.users {
        index.add(*key, Membership { segment: target, ..of(0) }).unwrap();
    }
    let named = Expansion { target: Some(target), ..expansion };
    assert_eq!(find(&index, &named).unwrap(), first);
    assert_ne!(find(&index, &expansion).unwrap(), first);
    // Of an account that has only the segments 100 and the seed, others are not told and nobody else is known.
    let own = [SegmentId(100), SEED];
    let narrow = find(&index, &Expansion { among: Some(&own), ..named }).unwrap();
    assert_eq!(narrow.telling.iter().map(|of| of.segment.0).collect::<Vec<_>>(), [100]);
    assert!(narrow.population < 5_000 && narrow.seed == first.seed, "{narrow:?}");
    let ended = index.similar(&taxonomy(), &expansion, &|| true);
    assert_eq!(ended, Err(SimilarError::Ended));
}
