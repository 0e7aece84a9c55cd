//! Looking at people one by one, and at everybody: for uploads, counts and requests for one's data, never for bids.

use super::index::AudienceIndex;
use super::record::{At, Membership, Record};
use crate::model::ids::{SegmentId, UserKey};
use std::collections::HashSet;

/// Somebody who is in some of the segments that were asked for.
#[derive(Clone, Copy, Debug)]
pub struct Member<'m> {
    /// Who.
    pub key: UserKey,
    /// Whether it has changed since the base was packed.
    pub is_changed: bool,
    /// The live memberships of those segments, by segment.
    pub memberships: &'m [Membership],
}

/// How many identifiers are somebody's together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ties {
    /// Exchanges' ids.
    pub exchange_ids: u64,
    /// Hashed addresses that a browser or a device is tied to.
    pub addresses: u64,
    /// Browsers and devices that exchanges' ids stand for or that are tied to addresses.
    pub devices: u64,
}

impl AudienceIndex {
    /// Calls `f` with everybody who is in any of these segments, or in any at all where none are named, at `now_unix_s`, each once. Walks everybody: about four
    /// million users a second, while lookups, writes and merges go on. Who changes meanwhile is told of as before or as
    /// after.
    pub fn for_each_member(
        &self,
        segments: Option<&[SegmentId]>,
        now_unix_s: i64,
        mut f: impl FnMut(&Member<'_>),
    ) {
        self.while_each_member(segments, now_unix_s, |member| {
            f(member);
            true
        });
    }

    /// The same, which ends as soon as `f` says false.
    pub fn while_each_member(
        &self,
        segments: Option<&[SegmentId]>,
        now_unix_s: i64,
        mut f: impl FnMut(&Member<'_>) -> bool,
    ) {
        let now = At::of(now_unix_s);
        let wanted = segments.map(|segments| {
            let mut wanted: Vec<u32> = segments.iter().map(|segment| segment.0).collect();
            wanted.sort_unstable();
            wanted
        });
        let mut memberships = Vec::new();
        let mut tell = |key: UserKey, is_changed: bool, records: &mut Vec<Record>| {
            memberships.clear();
            records.sort_unstable_by_key(|record| record.segment());
            memberships.extend(records.iter().map(|record| record.membership()));
            records.clear();
            memberships.is_empty() || f(&Member { key, is_changed, memberships: &memberships })
        };
        let is_wanted = |record: &Record| {
            record.expiry() > now.seconds
                && wanted.as_ref().is_none_or(|wanted| wanted.binary_search(&record.segment()).is_ok())
        };
        let mut records = Vec::new();
        let changed = self.overlay.keys(|_| true);
        for key in &changed {
            match self.overlay.get(*key) {
                Some(own) => records.extend(own.iter().copied().filter(is_wanted)),
                // It was merged meanwhile.
                None => records.extend(self.base_records(*key).into_iter().filter(is_wanted)),
            }
            if !tell(*key, true, &mut records) {
                return;
            }
        }
        let mut told = changed.iter().peekable();
        for shard in &self.shards {
            let shard = shard.load_full();
            for (key, user) in shard.users() {
                let key = UserKey(key);
                while told.next_if(|other| **other < key).is_some() {}
                if told.peek() == Some(&&key) {
                    continue;
                }
                let newer = if self.overlay.may_hold(key) { self.overlay.get(key) } else { None };
                match newer {
                    Some(own) => records.extend(own.iter().copied().filter(is_wanted)),
                    None => user.for_each_live(now.units, |record| {
                        if is_wanted(&record) {
                            records.push(record);
                        }
                    }),
                }
                if !tell(key, false, &mut records) {
                    return;
                }
            }
        }
    }

    /// The memberships of one key that are live at `now_unix_s`, by segment. Those of whom it is tied to are not among
    /// them.
    pub fn memberships(&self, key: UserKey, now_unix_s: i64) -> Vec<Membership> {
        let now = At::of(now_unix_s);
        let live = |record: &Record| record.expiry() > now.seconds;
        match self.overlay.get(key) {
            Some(records) => records.iter().copied().filter(live).map(Record::membership).collect(),
            None => self.base_records(key).into_iter().filter(live).map(Record::membership).collect(),
        }
    }

    /// Whether anything is known of a key by itself: a membership or behaviour.
    pub fn is_known(&self, key: UserKey, now_unix_s: i64) -> bool {
        self.traces.contains_key(&key) || !self.memberships(key, now_unix_s).is_empty()
    }

    /// Every browser or device that is tied to a hashed address at `now_unix_s`, and that address.
    pub fn ties(&self, now_unix_s: i64) -> Vec<(UserKey, UserKey)> {
        let now = At::of(now_unix_s);
        let live = self.overlay.all_ties().into_iter().filter(|(_, tie)| tie.expiry > now.units);
        live.map(|(device, tie)| (device, tie.to)).collect()
    }

    /// Every key that links and ties name, in order. Walks both tables.
    pub fn tied_keys(&self) -> Vec<UserKey> {
        let rows = self.links.rows().into_iter().chain(self.overlay.all_ties());
        let mut keys: Vec<UserKey> = rows.flat_map(|(from, link)| [from, link.to]).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// What ties these keys together, which are somebody's: see [`AudienceIndex::kin`]. Walks both tables.
    pub fn ties_among(&self, keys: &[UserKey]) -> Ties {
        let of: HashSet<UserKey> = keys.iter().copied().collect();
        let (mut addresses, mut devices) = (HashSet::new(), HashSet::new());
        let mut ties = Ties::default();
        for (id, link) in self.links.rows() {
            if of.contains(&id) {
                ties.exchange_ids += 1;
                devices.insert(link.to);
            }
        }
        for (device, tie) in self.overlay.all_ties() {
            if of.contains(&device) {
                devices.insert(device);
                addresses.insert(tie.to);
            }
        }
        Ties { addresses: addresses.len() as u64, devices: devices.len() as u64, ..ties }
    }
}
