//! How often one key may call: a bucket of tokens per key, kept as the moment at which it is full again (the generic cell
//! rate algorithm), so that there is one number per key and nothing to fill up.

use hyper::header::HeaderName;
use parking_lot::Mutex;
use std::collections::HashMap;

/// Calls of one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Calls a second in the long run; at least 1.
    pub per_s: u32,
    /// Calls at once after a pause; at least 1.
    pub burst: u32,
}

impl Rate {
    fn sane(self) -> Rate {
        Rate { per_s: self.per_s.max(1), burst: self.burst.max(1) }
    }
}

/// The buckets of all keys that were shown and people who called; a key that is not known gets none, so that their number
/// is bounded.
pub(super) struct Buckets {
    rate: Mutex<Rate>,
    full_at_ns: Mutex<HashMap<u64, u64>>,
}

/// What a call found in its bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Taken {
    /// `None` where the call is let through, else the seconds after which to come again.
    pub(super) retry_after_s: Option<u64>,
    limit: u32,
    remaining: u64,
    reset_s: u64,
}

impl Buckets {
    pub(super) fn new(rate: Rate) -> Buckets {
        Buckets { rate: Mutex::new(rate.sane()), full_at_ns: Mutex::default() }
    }

    /// Fills and empties them at another rate from now on.
    pub(super) fn set(&self, rate: Rate) {
        *self.rate.lock() = rate.sane();
    }

    /// Takes a token of a bucket, see [`super::auth::Actor::bucket`].
    pub(super) fn take(&self, key: u64, now_ns: u64) -> Taken {
        let Rate { per_s, burst } = *self.rate.lock();
        let one_ns = 1_000_000_000 / u64::from(per_s);
        let whole_ns = one_ns * u64::from(burst);
        let mut buckets = self.full_at_ns.lock();
        let full_at = buckets.entry(key).or_insert(now_ns);
        let missing_ns = full_at.saturating_sub(now_ns);
        let is_let = missing_ns + one_ns <= whole_ns;
        let missing_ns = if is_let { missing_ns + one_ns } else { missing_ns };
        *full_at = now_ns + missing_ns;
        let seconds = |ns: u64| ns.div_ceil(1_000_000_000);
        Taken {
            retry_after_s: (!is_let).then(|| seconds(missing_ns + one_ns - whole_ns).max(1)),
            limit: burst,
            remaining: whole_ns.saturating_sub(missing_ns) / one_ns,
            reset_s: seconds(missing_ns),
        }
    }
}

impl Taken {
    /// What every answer says of it: how many calls at once, how many are left now, and the seconds until all are there
    /// again.
    pub(super) fn headers(&self) -> [(HeaderName, String); 3] {
        [
            (HeaderName::from_static("ratelimit-limit"), self.limit.to_string()),
            (HeaderName::from_static("ratelimit-remaining"), self.remaining.to_string()),
            (HeaderName::from_static("ratelimit-reset"), self.reset_s.to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_key_may_call_in_a_burst_and_then_at_its_rate() {
        let buckets = Buckets::new(Rate { per_s: 10, burst: 3 });
        let taken = |key, at_ms: u64| {
            let taken = buckets.take(key, 5_000 * MS + at_ms * MS);
            (taken.retry_after_s, taken.remaining, taken.reset_s)
        };
        assert_eq!(taken(1, 0), (None, 2, 1));
        assert_eq!(taken(1, 0), (None, 1, 1));
        assert_eq!(taken(1, 0), (None, 0, 1));
        assert_eq!(taken(1, 0), (Some(1), 0, 1));
        assert_eq!(taken(2, 0), (None, 2, 1), "another key has a bucket of its own");
        assert_eq!(taken(1, 99), (Some(1), 0, 1), "what was refused costs nothing");
        assert_eq!(taken(1, 100), (None, 0, 1));
        assert_eq!(taken(1, 100), (Some(1), 0, 1));
        assert_eq!(taken(1, 10_000), (None, 2, 1), "no more than the burst gathers");
    }
}
