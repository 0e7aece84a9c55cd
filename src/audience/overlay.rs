//! What changed since the base was packed: users as a whole, and the match table of exchanges' ids.
//!
//! Invariant: an entry holds everything that is known of its user and replaces the base's record; an empty entry is
//! a user who was erased. Entries are immutable behind an `Arc` and leave only through [`Overlay::forget`], so that
//! a merge can tell by identity whether an entry changed while its shard was being packed.
//!
//! In front of the users stands a [`Filter`], because nearly every lookup is of somebody who has not changed: it says
//! no without a lock.

use super::filter::Filter;
use super::record::Record;
use crate::model::ids::UserKey;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use foldhash::fast::RandomState;
use std::sync::Arc;

/// All memberships of one user, sorted by segment.
pub(super) type Records = Arc<[Record]>;

/// Changed users by key.
#[derive(Default)]
pub(super) struct Overlay {
    users: DashMap<UserKey, Records, RandomState>,
    filter: Filter,
}

impl Overlay {
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
    /// time per user.
    pub(super) fn update<E>(
        &self,
        key: UserKey,
        base: impl FnOnce() -> Vec<Record>,
        change: impl FnOnce(&[Record]) -> Result<Option<Records>, E>,
    ) -> Result<(), E> {
        match self.users.entry(key) {
            Entry::Occupied(mut entry) => {
                if let Some(records) = change(entry.get())? {
                    entry.insert(records);
                }
            }
            Entry::Vacant(entry) => {
                if let Some(records) = change(&base())? {
                    let _guard = entry.insert(records);
                    self.filter.insert(key);
                }
            }
        }
        Ok(())
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
        self.filter.rebuild(|insert| self.users.iter().for_each(|entry| insert(*entry.key())));
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

/// A row of the match table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Link {
    pub(super) cookie: UserKey,
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
        (link.expiry > now).then_some(link.cookie)
    }

    pub(super) fn insert(&self, matched: UserKey, link: Link) {
        self.rows.insert(matched, link);
    }

    /// Drops a row and all rows that lead to it.
    pub(super) fn erase(&self, key: UserKey) {
        self.rows.retain(|matched, link| *matched != key && link.cookie != key);
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
