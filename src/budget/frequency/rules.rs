//! Caps as the bid path asks for them.

use crate::model::frequency::{Frequency, UnknownUsers};
use crate::model::ids::{AdvertiserId, CampaignId, CreativeId, LineItemId};

/// What impressions are counted for: one advertiser, campaign, line item or creative, as a number that never changes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Scope(u64);

impl Scope {
    const fn new(level: u64, id: u32) -> Scope {
        Scope(level << 32 | id as u64)
    }

    /// As it is kept.
    pub(super) fn bits(self) -> u64 {
        self.0
    }

    /// As it was kept.
    pub(super) fn from_bits(bits: u64) -> Scope {
        Scope(bits)
    }

    /// Which level and id it is, for people: `campaign` and 7.
    pub fn parts(self) -> (&'static str, u32) {
        let level = match self.0 >> 32 {
            1 => "advertiser",
            2 => "campaign",
            3 => "line_item",
            4 => "creative",
            _ => "unknown",
        };
        (level, self.0 as u32)
    }
}

impl From<AdvertiserId> for Scope {
    fn from(id: AdvertiserId) -> Scope {
        Scope::new(1, id.0)
    }
}

impl From<CampaignId> for Scope {
    fn from(id: CampaignId) -> Scope {
        Scope::new(2, id.0)
    }
}

impl From<LineItemId> for Scope {
    fn from(id: LineItemId) -> Scope {
        Scope::new(3, id.0)
    }
}

impl From<CreativeId> for Scope {
    fn from(id: CreativeId) -> Scope {
        Scope::new(4, id.0)
    }
}

/// The caps of one scope.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rules {
    /// Whose they are.
    pub scope: Scope,
    frequency: Frequency,
    /// Times of impressions that must be kept to judge them.
    pub(super) keep: usize,
    /// Seconds after which the last impression does not matter any more.
    pub(super) keep_s: u32,
}

/// Impressions of which no cap will ask after this: without a window a cap would keep people for ever.
const FOR_EVER_S: u32 = 395 * 86_400;

/// Who has not seen the ad for so long is somebody new to it: 30 days.
const COUNTED_S: u32 = 30 * 86_400;

impl Rules {
    /// `None` where nothing is asked.
    pub fn new(scope: impl Into<Scope>, frequency: &Frequency) -> Option<Rules> {
        if frequency.is_empty() {
            return None;
        }
        let windowed = frequency.caps.iter().filter(|cap| cap.within_s.is_some());
        let keep = windowed.map(|cap| usize::from(cap.max)).max().unwrap_or(0).max(1);
        let windows = frequency.caps.iter().map(|cap| cap.within_s.unwrap_or(FOR_EVER_S));
        let keep_s = windows.max().unwrap_or(0).max(frequency.min_gap_s);
        Some(Rules { scope: scope.into(), frequency: frequency.clone(), keep, keep_s })
    }

    /// Nothing is forbidden, and impressions are counted all the same: for prices that differ by how often the ad was seen.
    pub fn counted(scope: impl Into<Scope>) -> Rules {
        let frequency = Frequency { unknown_users: UnknownUsers::Serve, ..Frequency::default() };
        Rules { scope: scope.into(), frequency, keep: 1, keep_s: COUNTED_S }
    }

    /// Whether nothing is forbidden.
    pub(super) fn only_counts(&self) -> bool {
        self.frequency.is_empty()
    }

    /// Whether somebody whom nobody can tell apart may be bid on.
    pub fn serves_unknown(&self) -> bool {
        self.frequency.unknown_users == UnknownUsers::Serve
    }

    /// Whether one more impression at `now_s` stays within every cap. `total` impressions were counted in all, of which
    /// `times` are the last ones in any order; `open` are the times of bids that may still become one.
    pub(super) fn allow(
        &self,
        total: u32,
        times: &[u32],
        open: impl Iterator<Item = u32> + Clone,
        now_s: u32,
    ) -> bool {
        let recent = |within_s: u32| {
            let after = now_s.saturating_sub(within_s);
            // An open bid becomes an impression at some later moment, so no window has left it behind.
            times.iter().filter(|at| **at > after).count() + open.clone().count()
        };
        let within = self.frequency.caps.iter().all(|cap| match cap.within_s {
            Some(within_s) => recent(within_s) < usize::from(cap.max),
            None => total as usize + open.clone().count() < usize::from(cap.max),
        });
        let gap_s = self.frequency.min_gap_s;
        within && (gap_s == 0 || recent(gap_s) == 0)
    }

    /// The first cap that [`Rules::allow`] finds reached.
    pub(super) fn reached(
        &self,
        total: u32,
        times: &[u32],
        open: impl Iterator<Item = u32> + Clone,
        now_s: u32,
    ) -> Option<Reached> {
        let shown = |within_s: Option<u32>| match within_s {
            Some(within_s) => {
                let after = now_s.saturating_sub(within_s);
                times.iter().filter(|at| **at > after).count() as u32
            }
            None => total,
        };
        let gap = Some((1, Some(self.frequency.min_gap_s))).filter(|_| self.frequency.min_gap_s > 0);
        let caps = self.frequency.caps.iter().map(|cap| (cap.max, cap.within_s)).chain(gap);
        let open = open.count() as u32;
        let mut all = caps.map(|(max, within_s)| Reached {
            scope: self.scope,
            max,
            within_s,
            shown: shown(within_s),
            open,
        });
        all.find(|cap| cap.shown + cap.open >= u32::from(cap.max))
    }
}

/// A cap that one person has reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reached {
    /// Whose it is.
    pub scope: Scope,
    /// So many impressions at most …
    pub max: u16,
    /// … within so many seconds; `None` = for ever.
    pub within_s: Option<u32>,
    /// Impressions in that time.
    pub shown: u32,
    /// Bids that may still become one.
    pub open: u32,
}
