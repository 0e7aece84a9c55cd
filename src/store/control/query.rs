//! Pages of resources: filters, orders and cursors, and the stream of a whole kind for a start.
//!
//! Invariant: whoever follows the cursors to the end has seen every row that fits and did not change meanwhile, once.
//! A list finds the ids of its page from indexes alone and reads only that page's documents.

use super::cursor::{Cursor, SortKey, fingerprint};
use super::error::ControlError;
use super::resource::{Kind, Row, Status, columns, fold, row};
use super::sql::{self, Statement};
use super::transaction::Read;

/// Which resources, in which order.
#[derive(Clone, Debug)]
pub struct Query {
    /// Of which kind.
    pub kind: Kind,
    /// Of one tenant, or of all.
    pub account: Option<u32>,
    /// Below one parent.
    pub parent: Option<u32>,
    /// In one of these; empty means any.
    pub statuses: Vec<Status>,
    /// Only these, where some are named.
    pub ids: Option<Vec<u32>>,
    /// Only what belongs to these advertisers, for whoever may see no others.
    pub advertisers: Option<Vec<u32>>,
    /// With this in the name, in any case.
    pub name: Option<String>,
    /// With this external id.
    pub external_id: Option<String>,
    /// In which order.
    pub order: Order,
    /// Behind the last row of the page before.
    pub after: Option<Cursor>,
    /// At most so many.
    pub limit: usize,
}

/// An order of a list; rows with an equal key are ordered by their ids, in the same direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Order {
    /// The key.
    pub by: SortBy,
    /// Largest first.
    pub descending: bool,
}

/// What a list can be sorted by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SortBy {
    /// When it was made.
    #[default]
    Created,
    /// When it was changed last.
    Updated,
    /// By the name, whatever its case.
    Name,
    /// By the id.
    Id,
}

impl Query {
    /// All of a kind, oldest first, 50 a page.
    pub fn of(kind: Kind) -> Query {
        Query {
            kind,
            account: None,
            parent: None,
            statuses: Vec::new(),
            ids: None,
            advertisers: None,
            name: None,
            external_id: None,
            order: Order::default(),
            after: None,
            limit: 50,
        }
    }

    /// The cursor behind `row`, the last one of a page of this query.
    pub fn cursor(&self, row: &Row) -> Cursor {
        let at = match self.order.by {
            SortBy::Created => SortKey::Number(row.created_ms),
            SortBy::Updated => SortKey::Number(row.updated_ms),
            SortBy::Name => SortKey::Text(fold(&row.name)),
            SortBy::Id => SortKey::Number(row.id.into()),
        };
        Cursor::new(self.fingerprint(), at, row.id.into())
    }

    /// The same for the same filters and order, whatever the page.
    fn fingerprint(&self) -> [u8; 8] {
        let Query {
            kind,
            account,
            parent,
            statuses,
            ids,
            advertisers,
            name,
            external_id,
            order,
            after: _,
            limit: _,
        } = self;
        fingerprint(&format!(
            "{kind:?} {account:?} {parent:?} {statuses:?} {ids:?} {advertisers:?} {name:?} {external_id:?} {order:?}"
        ))
    }
}

impl Order {
    fn column(self) -> &'static str {
        match self.by {
            SortBy::Created => "created_ms",
            SortBy::Updated => "updated_ms",
            SortBy::Name => "folded",
            SortBy::Id => "id",
        }
    }
}

/// `FROM … WHERE …` of a query's filters, without its page.
///
/// The database keeps no statistics, so that a plan never changes by itself; which index is right is known here
/// instead. A `+` before a column keeps its index out of the plan.
fn filters(query: &Query) -> Statement<'_> {
    let searches = query.name.is_some();
    let named = query.ids.is_some() || query.external_id.is_some();
    let hint = match query.parent {
        _ if searches => " INDEXED BY resource_name",
        Some(_) if !named => " INDEXED BY resource_parent",
        _ => "",
    };
    let mut statement = Statement::new(format!("FROM resource{hint} WHERE 1"));
    statement.and("kind = ?", query.kind);
    let few = query.parent.is_some() || named;
    if let Some(account) = query.account {
        let plain = searches || !few || query.external_id.is_some();
        statement.and(if plain { "account = ?" } else { "+account = ?" }, account);
    }
    if let Some(parent) = query.parent {
        statement.and("parent = ?", parent);
    }
    if let Some(external_id) = &query.external_id {
        statement.and("external_id = ?", external_id);
    }
    if let Some(name) = &query.name {
        statement.and("instr(folded, ?) > 0", fold(name));
    }
    match query.statuses.as_slice() {
        [] => {}
        [one] => statement.and(if few { "+status = ?" } else { "status = ?" }, *one),
        // Several would each need a sort of their own; most rows fit, so the order's index is the better way.
        many => statement.within("+status", many.iter().copied()),
    }
    if let Some(ids) = &query.ids {
        statement.within("id", ids.iter().copied());
    }
    if let Some(advertisers) = &query.advertisers {
        match query.kind {
            Kind::Advertiser => statement.within("id", advertisers.iter().copied()),
            Kind::LineItem => {
                statement.text.push_str(" AND parent IN (SELECT id FROM resource WHERE kind = 'campaign'");
                statement.within("parent", advertisers.iter().copied());
                statement.text.push(')');
            }
            kind if kind.parent() == Some(Kind::Advertiser) => {
                statement.within("parent", advertisers.iter().copied());
            }
            _ => statement.text.push_str(" AND 0"),
        }
    }
    statement
}

impl Read<'_> {
    /// One page of resources. Whoever wants to know whether there is another asks for one row more than it shows.
    pub fn list(&self, query: &Query) -> Result<Vec<Row>, ControlError> {
        let Order { descending, .. } = query.order;
        let column = query.order.column();
        let (direction, behind) = if descending { ("DESC", "<") } else { ("ASC", ">") };
        let mut filters = filters(query);
        if let Some(after) = &query.after {
            after.check(query.fingerprint())?;
            filters.and(&format!("({column}, id) {behind} (?, ?)"), &after.at);
            filters.value(after.id);
        }
        filters.value(i64::try_from(query.limit).unwrap_or(i64::MAX));
        let sql = format!(
            "WITH page AS MATERIALIZED (SELECT rowid AS at, {column} AS key, id AS number {} \
             ORDER BY {column} {direction}, id {direction} LIMIT ?) \
             SELECT {} FROM page CROSS JOIN resource r ON r.rowid = page.at \
             ORDER BY key {direction}, number {direction}",
            filters.text,
            columns!(),
        );
        sql::many(self.connection, "list resources", &sql, filters.params(), row)
    }

    /// How many resources fit, on all pages together.
    pub fn count(&self, query: &Query) -> Result<u64, ControlError> {
        let filters = filters(query);
        let sql = format!("SELECT count(*) {}", filters.text);
        let count: i64 =
            sql::only(self.connection, "count resources", &sql, filters.params(), |row| row.get(0))?;
        Ok(count as u64)
    }

    /// Every resource of a kind, whatever its account and status, in the order of the ids, one at a time.
    pub fn all<E: From<ControlError>>(
        &self,
        kind: Kind,
        mut each: impl FnMut(Row) -> Result<(), E>,
    ) -> Result<(), E> {
        const SQL: &str = concat!("SELECT ", columns!(), " FROM resource r WHERE kind = ?1 ORDER BY id");
        let failed = ControlError::sqlite("read all resources");
        let mut statement = self.connection.prepare_cached(SQL).map_err(&failed)?;
        let mut rows = statement.query([kind]).map_err(&failed)?;
        while let Some(found) = rows.next().map_err(&failed)? {
            each(row(found).map_err(&failed)?)?;
        }
        Ok(())
    }
}
