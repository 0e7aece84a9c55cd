//! Who has failed too often: passwords by e-mail address, and passwords, invitations and API keys by the address that
//! they came from. Whoever is over the limit is refused before anything is looked up or worked out.
//!
//! Each has a bucket of failures, kept as the moment at which it is empty again. Where the buckets are too many, those
//! with the fewest failures are forgotten. Nobody can shut others out for good: what was right from an address before (a
//! key, an e-mail address) is let through to be looked at there, whatever others have failed at.
//!
//! Deliberately absent: proxies, as in [`super::super::keyring`]; and memory beyond a restart.

use parking_lot::Mutex;
use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};

/// Failures at once, and the time after which one more is forgiven.
struct Limit {
    burst: u64,
    one_ns: u64,
}

const SECOND_NS: u64 = 1_000_000_000;
const OF_EMAIL: Limit = Limit { burst: 5, one_ns: 60 * SECOND_NS };
const OF_ADDRESS: Limit = Limit { burst: 20, one_ns: 10 * SECOND_NS };
/// Buckets, and things that were right before, that are remembered.
const BUCKETS: usize = 1 << 16;
const TRUSTED: usize = 1 << 12;

/// Whose failures are counted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(in crate::admin) enum Of<'a> {
    Address(IpAddr),
    /// In lower case.
    Email(&'a str),
    /// An e-mail address where it was right before: what others fail at elsewhere is not counted against it.
    Known(IpAddr, &'a str),
}

/// See the module.
#[derive(Default)]
pub(in crate::admin) struct Guard {
    hashing: RandomState,
    empty_at_ns: Mutex<HashMap<u64, u64>>,
    trusted: Mutex<HashSet<u64>>,
}

/// The whole network that one customer of a provider has, as one address.
pub(in crate::admin) fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

impl Of<'_> {
    fn limit(self) -> Limit {
        match self {
            Of::Address(_) => OF_ADDRESS,
            Of::Email(_) | Of::Known(..) => OF_EMAIL,
        }
    }
}

impl Guard {
    /// The seconds after which to come again, where there were too many failures.
    pub(in crate::admin) fn blocked(&self, of: Of<'_>, now_ns: u64) -> Option<u64> {
        let Limit { burst, one_ns } = of.limit();
        let empty_at = self.empty_at_ns.lock().get(&self.hashing.hash_one(of)).copied()?;
        let over_ns = (empty_at.saturating_sub(now_ns) + one_ns).saturating_sub(burst * one_ns);
        (over_ns > 0).then(|| over_ns.div_ceil(SECOND_NS))
    }

    /// Counts a failure.
    pub(in crate::admin) fn failed(&self, of: Of<'_>, now_ns: u64) {
        let one_ns = of.limit().one_ns;
        let mut buckets = self.empty_at_ns.lock();
        if buckets.len() >= BUCKETS {
            forget_some(&mut buckets, now_ns);
        }
        let empty_at = buckets.entry(self.hashing.hash_one(of)).or_insert(now_ns);
        // Not capped: only who was let through at the same moment as the last one goes beyond the limit.
        *empty_at = (*empty_at).max(now_ns) + one_ns;
    }

    /// Takes a failure back that was counted before it was known to be none.
    pub(super) fn forgive(&self, of: Of<'_>) {
        let one_ns = of.limit().one_ns;
        if let Some(empty_at) = self.empty_at_ns.lock().get_mut(&self.hashing.hash_one(of)) {
            *empty_at = empty_at.saturating_sub(one_ns);
        }
    }

    /// Notes that `what` (a key, an e-mail address) was right from an address.
    pub(in crate::admin) fn trust(&self, from: IpAddr, what: &[u8]) {
        let pair = self.hashing.hash_one((from, what));
        let mut trusted = self.trusted.lock();
        if trusted.len() >= TRUSTED && !trusted.contains(&pair) {
            trusted.clear();
        }
        trusted.insert(pair);
    }

    /// Whether it was right before, from there.
    pub(in crate::admin) fn trusts(&self, from: IpAddr, what: &[u8]) -> bool {
        self.trusted.lock().contains(&self.hashing.hash_one((from, what)))
    }
}

/// Makes room: empty buckets go, and if that is not enough the emptier half.
fn forget_some(buckets: &mut HashMap<u64, u64>, now_ns: u64) {
    buckets.retain(|_, empty_at| *empty_at > now_ns);
    if buckets.len() < BUCKETS / 2 {
        return;
    }
    let mut moments: Vec<u64> = buckets.values().copied().collect();
    let half = moments.len() / 2;
    let (_, &mut median, _) = moments.select_nth_unstable(half);
    buckets.retain(|_, empty_at| *empty_at > median);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_forgiven_one_by_one_and_only_their_own_bucket_is_full() {
        let guard = Guard::default();
        let (mallory, alice) = (Of::Email("mallory@a.example"), Of::Email("alice@a.example"));
        for _ in 0..5 {
            guard.failed(mallory, SECOND_NS);
        }
        let blocked = |of, at_s: u64| guard.blocked(of, at_s * SECOND_NS);
        assert_eq!((blocked(mallory, 1), blocked(alice, 1)), (Some(60), None));
        assert_eq!((blocked(mallory, 60), blocked(mallory, 61)), (Some(1), None));
        guard.failed(mallory, 61 * SECOND_NS);
        assert_eq!(blocked(mallory, 61), Some(60));
        guard.forgive(mallory);
        assert_eq!(blocked(mallory, 61), None);
        let ip = |text: &str| network(text.parse().unwrap());
        assert_eq!(ip("::ffff:10.0.0.1"), ip("10.0.0.1"));
        assert_eq!(ip("2001:db8::1"), ip("2001:db8::2:3:4:5"));
        assert_ne!(ip("2001:db8::1"), ip("2001:db8:0:1::1"));
        guard.trust(ip("10.0.0.1"), b"key");
        assert!(guard.trusts(ip("10.0.0.1"), b"key") && !guard.trusts(ip("10.0.0.2"), b"key"));
    }

    #[test]
    fn a_flood_of_names_takes_bounded_memory_and_does_not_wash_away_who_failed_most() {
        let guard = Guard::default();
        let worst = Of::Email("worst@a.example");
        (0..5).for_each(|_| guard.failed(worst, SECOND_NS));
        for n in 0..BUCKETS * 2 {
            guard.failed(Of::Email(&format!("{n}@a.example")), SECOND_NS);
        }
        assert!(guard.empty_at_ns.lock().len() <= BUCKETS);
        assert!(guard.blocked(worst, SECOND_NS).is_some());
        (0..TRUSTED * 2).for_each(|n| guard.trust(network([10, 0, 0, 1].into()), &n.to_le_bytes()));
        assert!(guard.trusted.lock().len() <= TRUSTED);
    }
}
