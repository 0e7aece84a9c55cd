//! What stands on lists: of sites, apps, places, addresses. A list is a resource of kind [`Kind::List`]; its items are
//! texts, each once, in the order of their bytes.
//!
//! Invariant: an operation takes items one at a time from its iterator, so that memory stays bounded however many
//! there are; the transaction makes it whole or nothing. The list's own row is left alone: who changes items says so
//! there too, if its version is to tell.

use super::error::ControlError;
use super::resource::Kind;
use super::sql;
use super::transaction::{Read, Write};
use rusqlite::params;

/// Why the items of a list were not changed.
#[derive(Debug, thiserror::Error)]
pub enum ItemsError {
    /// There is no such list.
    #[error("there is no list {list}")]
    Missing {
        /// The list that was named.
        list: u32,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] ControlError),
}

impl Read<'_> {
    /// Every item of a list in order, one at a time.
    pub fn items<E: From<ControlError>>(
        &self,
        list: u32,
        mut each: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        const SQL: &str = "SELECT value FROM list_items WHERE list = ?1 ORDER BY value";
        let failed = ControlError::sqlite("read a list");
        let mut statement = self.connection.prepare_cached(SQL).map_err(&failed)?;
        let mut rows = statement.query([list]).map_err(&failed)?;
        while let Some(row) = rows.next().map_err(&failed)? {
            let value = row.get_ref(0).and_then(|value| Ok(value.as_str()?)).map_err(&failed)?;
            each(value)?;
        }
        Ok(())
    }

    /// The items behind `after`, at most `limit`.
    pub fn items_page(
        &self,
        list: u32,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, ControlError> {
        const SQL: &str =
            "SELECT value FROM list_items WHERE list = ?1 AND value > ?2 ORDER BY value LIMIT ?3";
        const FIRST: &str = "SELECT value FROM list_items WHERE list = ?1 ORDER BY value LIMIT ?2";
        const ACTION: &str = "read a page of a list";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        match after {
            Some(after) => {
                sql::many(self.connection, ACTION, SQL, params![list, after, limit], |row| row.get(0))
            }
            None => sql::many(self.connection, ACTION, FIRST, params![list, limit], |row| row.get(0)),
        }
    }

    /// How many items a list has.
    pub fn items_count(&self, list: u32) -> Result<u64, ControlError> {
        const SQL: &str = "SELECT count(*) FROM list_items WHERE list = ?1";
        let count = sql::only(self.connection, "count a list", SQL, [list], |row| row.get::<_, i64>(0))?;
        Ok(count as u64)
    }

    /// Whether something stands on a list.
    pub fn has_item(&self, list: u32, value: &str) -> Result<bool, ControlError> {
        const SQL: &str = "SELECT 1 FROM list_items WHERE list = ?1 AND value = ?2";
        let found = sql::one(self.connection, "look into a list", SQL, params![list, value], |_| Ok(()))?;
        Ok(found.is_some())
    }
}

impl Write<'_> {
    /// Puts items on a list; how many were not there.
    pub fn add_items<V: AsRef<str>>(
        &mut self,
        list: u32,
        values: impl IntoIterator<Item = V>,
    ) -> Result<u64, ItemsError> {
        self.change_items(list, "INSERT OR IGNORE INTO list_items VALUES (?1, ?2)", values)
    }

    /// Takes items off a list; how many were there.
    pub fn remove_items<V: AsRef<str>>(
        &mut self,
        list: u32,
        values: impl IntoIterator<Item = V>,
    ) -> Result<u64, ItemsError> {
        self.change_items(list, "DELETE FROM list_items WHERE list = ?1 AND value = ?2", values)
    }

    /// Makes these the items of a list; how many there are now.
    pub fn replace_items<V: AsRef<str>>(
        &mut self,
        list: u32,
        values: impl IntoIterator<Item = V>,
    ) -> Result<u64, ItemsError> {
        self.check_list(list)?;
        let gone =
            sql::run(self.connection, "empty a list", "DELETE FROM list_items WHERE list = ?1", [list])?;
        if gone > 0 {
            self.serves();
        }
        self.add_items(list, values)
    }

    fn change_items<V: AsRef<str>>(
        &mut self,
        list: u32,
        sql: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Result<u64, ItemsError> {
        self.check_list(list)?;
        let failed = ControlError::sqlite("change a list");
        let mut changed = 0;
        {
            let mut statement = self.connection.prepare_cached(sql).map_err(&failed)?;
            for value in values {
                changed += statement.execute(params![list, value.as_ref()]).map_err(&failed)? as u64;
            }
        }
        if changed > 0 {
            self.serves();
        }
        Ok(changed)
    }

    fn check_list(&self, list: u32) -> Result<(), ItemsError> {
        if self.get(Kind::List, list)?.is_some() { Ok(()) } else { Err(ItemsError::Missing { list }) }
    }
}
