//! Users for measuring the audience index, as many as are asked for: 12 segments each, Zipf over 20,000, one membership
//! in twenty under a sensitive node; and the same users in a `DashMap<u64, Box<[u32]>>`, which the index has to beat.

use dashmap::DashMap;
use foldhash::fast::RandomState;
use outbid::audience::Membership;
use outbid::model::auction::{Auction, Imp};
use outbid::model::country::Country;
use outbid::model::exchange::GdprDefault;
use outbid::model::ids::SegmentId;
use outbid::model::taxonomy::{Segment, Taxonomy};
use outbid::privacy::{Policy, Rules, UseSegments, gate};

const SEGMENTS: u32 = 20_000;
const SEGMENTS_PER_USER: usize = 12;

/// The time of every lookup, Unix seconds.
pub(crate) const NOW: i64 = 1_800_000_000;

/// What the index is compared with: it has neither expiry nor provenance nor consent.
pub(crate) type Map = DashMap<u64, Box<[u32]>, RandomState>;

/// splitmix64.
pub(crate) fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A rank below `count` with probability about 1 / rank.
fn zipf(seed: u64, count: f64) -> u64 {
    let uniform = (mix(seed) >> 11) as f64 / (1_u64 << 53) as f64;
    (count.powf(uniform) as u64).min(count as u64) - 1
}

/// Twelve different segments, ascending.
pub(crate) fn segments_of(user: u64) -> [u32; SEGMENTS_PER_USER] {
    let mut segments = [u32::MAX; SEGMENTS_PER_USER];
    let (mut found, mut draw) = (0, 0);
    while found < SEGMENTS_PER_USER {
        let segment = zipf(mix(user ^ 0x5eed) ^ draw, f64::from(SEGMENTS)) as u32;
        if !segments.contains(&segment) {
            segments[found] = segment;
            found += 1;
        }
        draw += 1;
    }
    segments.sort_unstable();
    segments
}

/// When a user's memberships end.
#[derive(Clone, Copy)]
pub(crate) enum Ends {
    /// All of a user's at one time within ninety days, as a bulk import leaves them.
    Together,
    /// Each at its own time.
    Apart,
    /// Never.
    Never,
}

/// The memberships of a user.
pub(crate) fn memberships(user: u64, ends: Ends) -> impl Iterator<Item = Membership> {
    segments_of(user).into_iter().map(move |segment| {
        let seed = match ends {
            Ends::Together => Some(user),
            Ends::Apart => Some(user ^ u64::from(segment) << 32),
            Ends::Never => None,
        };
        Membership {
            expires_s: seed.map(|seed| NOW + 86_400 + (mix(seed) % (90 * 86_400)) as i64),
            ..Membership::of(SegmentId(segment))
        }
    })
}

/// A flat list of segments, of which one in twenty is sensitive.
pub(crate) fn taxonomy() -> Taxonomy {
    let node = |id: u32| Segment {
        id: SegmentId(id),
        key: id.to_string(),
        name: String::new(),
        parent: None,
        sensitive: id % 20 == 7,
        ..Segment::default()
    };
    Taxonomy::build(&(0..SEGMENTS).map(node).collect::<Vec<_>>()).expect("a list is a forest")
}

/// The permission to look at all.
pub(crate) fn proof() -> UseSegments {
    let imps = [Imp::default()];
    let mut auction = Auction { imps: &imps, ..Auction::default() };
    auction.device.geo.country = Country::parse("US");
    let opportunity = auction.opportunities().next().expect("one impression");
    gate(&opportunity, &Rules { gdpr_default: GdprDefault::Applies, policy: Policy::default() })
        .segments()
        .expect("nothing forbids it")
}

/// Which users are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ask {
    /// All alike: the worst case of the caches.
    Uniform,
    /// Few users often.
    Zipf,
    /// Strangers.
    Unknown,
}

/// Keys to ask for among `users`: so many that they do not stay in the caches.
pub(crate) fn asked(ask: Ask, users: u64) -> Vec<u64> {
    let key = |i: u64| match ask {
        Ask::Uniform => mix(mix(i ^ 0xa5c) % users),
        Ask::Zipf => mix(zipf(i ^ 0xa5c, users as f64).wrapping_mul(0x9e37_79b1) % users),
        Ask::Unknown => mix(users + 1 + i),
    };
    (0..1 << 20).map(key).collect()
}
