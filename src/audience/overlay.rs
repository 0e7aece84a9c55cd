//! What changed since the base was packed: users as a whole, and what one identifier says of another: the match table of
//! exchanges' ids, and the hashed addresses that a cookie is tied to.
//!
//! Invariant: an entry holds everything that is known of its user and replaces the base's record; an empty entry is
//! a user who was erased. Entries are immutable behind an `Arc` and leave only through [`Overlay::forget`], so that
//! a merge can tell by identity whether an entry changed while its shard was being packed.
//!
//! In front of the users and the ties stands a [`Filter`], because nearly every lookup is of somebody who has not changed
//! and is tied to nothing: it says no without a lock.

use super::filter::Filter;
use super::record::Record;
use crate::model::ids::UserKey;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use foldhash::fast::RandomState;
use std::sync::Arc;

/// All memberships of one user, sorted by segment.
pub(super) type Records = Arc<[Record]>;

/// Most hashed addresses that one cookie is tied to: people share browsers, but not with many.
pub(super) const MAX_TIES: usize = 4;

/// The keys of the hashed addresses that a cookie is tied to, with their ends.
pub(super) type Ties = Arc<[Link]>;

/// Changed users by key.
#[derive(Default)]
pub(super) struct Overlay {
    users: DashMap<UserKey, Records, RandomState>,
    /// Hashed addresses by cookie, the newest last.
    ties: DashMap<UserKey, Ties, RandomState>,
    filter: Filter,
}

impl Overlay {
    /// Whether anything may be known of the key; false is certain.
    #[inline]
    pub(super) fn may_hold(&self, key: UserKey) -> bool {
        self.filter.may_hold(key)
    }

    /// The hashed addresses that the cookie is tied to.
    pub(super) fn ties(&self, cookie: UserKey) -> Option<Ties> {
        self.ties.get(&cookie).map(|ties| ties.clone())
    }

    /// Ties the cookie to a hashed address; a tie of before is replaced, and of too many the oldest goes.
    pub(super) fn tie(&self, cookie: UserKey, tie: Link) {
        let mut ties = self.ties.entry(cookie).or_default();
        let others = ties.iter().filter(|other| other.to != tie.to).copied();
        let mut all: Vec<Link> = others.chain([tie]).collect();
        all.drain(..all.len().saturating_sub(MAX_TIES));
        *ties = all.into();
        self.filter.insert(cookie);
    }

    /// Drops all ties of a cookie, and all ties to an address.
    pub(super) fn untie(&self, key: UserKey) -> usize {
        let mut gone = self.ties.remove(&key).map_or(0, |(_, ties)| ties.len());
        self.retain_ties(|tie| {
            let goes = tie.to == key;
            gone += usize::from(goes);
            !goes
        });
        gone
    }

    /// Drops the ties that ended.
    pub(super) fn expire_ties(&self, now: u32) {
        self.retain_ties(|tie| tie.expiry > now);
    }

    fn retain_ties(&self, mut stays: impl FnMut(&Link) -> bool) {
        self.ties.retain(|_, ties| {
            let kept: Vec<Link> = ties.iter().filter(|tie| stays(tie)).copied().collect();
            if kept.len() < ties.len() {
                *ties = kept.into();
            }
            !ties.is_empty()
        });
    }

    /// Every tie: cookie, then what it is tied to; in order.
    pub(super) fn all_ties(&self) -> Vec<(UserKey, Link)> {
        let mut all: Vec<(UserKey, Link)> = Vec::new();
        self.ties.iter().for_each(|e| all.extend(e.value().iter().map(|tie| (*e.key(), *tie))));
        // Stable: those of one cookie stay in their order.
        all.sort_by_key(|(cookie, _)| *cookie);
        all
    }

    /// Reads the user's records, if the user changed. `read` must not touch a concurrent map.
    #[inline]
    pub(super) fn with<R>(&self, key: UserKey, read: impl FnOnce(&[Record]) -> R) -> Option<R> {
        if !self.filter.may_hold(key) {
            return None;
        }
        self.users.get(&key).map(|records| read(&records))
    }

    /// The user's records to keep.
    pub(super) fn get(&self, key: UserKey) -> Option<Records> {
        self.users.get(&key).map(|records| records.clone())
    }

    /// Replaces the user's records by `change` of what is there, which for a user who has not changed yet is `base`.
    /// `change` answers `None` to leave everything as it is. Neither may touch a concurrent map. One writer at a
    /// time per user. Answers whether anything changed.
    pub(super) fn update<E>(
        &self,
        key: UserKey,
        base: impl FnOnce() -> Vec<Record>,
        change: impl FnOnce(&[Record]) -> Result<Option<Records>, E>,
    ) -> Result<bool, E> {
        match self.users.entry(key) {
            Entry::Occupied(mut entry) => {
                let Some(records) = change(entry.get())? else { return Ok(false) };
                entry.insert(records);
            }
            Entry::Vacant(entry) => {
                let Some(records) = change(&base())? else { return Ok(false) };
                let _guard = entry.insert(records);
                self.filter.insert(key);
            }
        }
        Ok(true)
    }

    /// Puts an entry as it was saved.
    pub(super) fn restore(&self, key: UserKey, records: Vec<Record>) {
        let _guard = self.users.entry(key).insert(records.into());
        self.filter.insert(key);
    }

    /// Drops the entry if it is still `merged`.
    pub(super) fn forget(&self, key: UserKey, merged: &Records) {
        self.users.remove_if(&key, |_, records| Arc::ptr_eq(records, merged));
    }

    /// Lets the filter forget who has left. One caller at a time.
    pub(super) fn tidy(&self) {
        self.filter.rebuild(|insert| {
            self.users.iter().for_each(|entry| insert(*entry.key()));
            self.ties.iter().for_each(|entry| insert(*entry.key()));
        });
    }

    /// The changed users that `wanted` picks, in order.
    pub(super) fn keys(&self, wanted: impl Fn(UserKey) -> bool) -> Vec<UserKey> {
        let mut keys: Vec<UserKey> = self.users.iter().map(|e| *e.key()).filter(|key| wanted(*key)).collect();
        keys.sort_unstable();
        keys
    }

    /// The bytes of the filter.
    pub(super) fn filter_bytes(&self) -> usize {
        self.filter.bytes()
    }

    /// Changed users and their records together.
    pub(super) fn size(&self) -> (usize, usize) {
        self.users.iter().fold((0, 0), |(users, records), e| (users + 1, records + e.value().len()))
    }
}

/// What an identifier stands for: in the match table a cookie, of a cookie a hashed address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Link {
    pub(super) to: UserKey,
    /// In units; [`super::record::NEVER`] = none.
    pub(super) expiry: u32,
}

/// The match table: key of (exchange, its id of the user) → key of our cookie.
#[derive(Debug, Default)]
pub(super) struct Links {
    rows: DashMap<UserKey, Link, RandomState>,
}

impl Links {
    /// The cookie that the id stands for at `now` (units).
    pub(super) fn cookie(&self, matched: UserKey, now: u32) -> Option<UserKey> {
        let link = self.rows.get(&matched).map(|link| *link)?;
        (link.expiry > now).then_some(link.to)
    }

    pub(super) fn insert(&self, matched: UserKey, link: Link) {
        self.rows.insert(matched, link);
    }

    /// Drops a row and all rows that lead to it; answers how many.
    pub(super) fn erase(&self, key: UserKey) -> usize {
        let mut gone = 0;
        self.rows.retain(|matched, link| {
            let stays = *matched != key && link.to != key;
            gone += usize::from(!stays);
            stays
        });
        gone
    }

    pub(super) fn expire(&self, now: u32) {
        self.rows.retain(|_, link| link.expiry > now);
    }

    /// A copy of all rows, in order.
    pub(super) fn rows(&self) -> Vec<(UserKey, Link)> {
        let mut rows: Vec<_> = self.rows.iter().map(|e| (*e.key(), *e.value())).collect();
        rows.sort_unstable_by_key(|(matched, _)| *matched);
        rows
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }
}
