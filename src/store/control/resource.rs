//! The rows that people configure: one table for all kinds, with a document for what a kind has of its own.
//! [`super::change`] makes and changes them.

use super::error::ControlError;
use super::sql::{self, names};
use super::transaction::Read;
use crate::model::token::Bucket;
use rusqlite::params;

names! {
    /// What a resource is.
    Kind {
        /// Owner of campaigns, creatives and a wallet.
        Advertiser = "advertiser",
        /// Of an advertiser.
        Campaign = "campaign",
        /// Of a campaign.
        LineItem = "line_item",
        /// Of an advertiser.
        Creative = "creative",
        /// An audience segment.
        Segment = "segment",
        /// A list of sites, apps, places, addresses; its items stand in a table of their own.
        List = "list",
        /// A deal.
        Deal = "deal",
        /// An exchange's profile.
        Exchange = "exchange",
        /// What counts as a conversion.
        Conversion = "conversion",
        /// Where events are reported.
        Pixel = "pixel",
        /// The rates of exchange: one row, of the platform.
        Rates = "rates",
        /// What no line item may be bought into: one row, of the platform.
        Safety = "safety",
    }
}

names! {
    /// Whether a resource may serve.
    Status {
        /// Not finished yet.
        Draft = "draft",
        /// May serve.
        Active = "active",
        /// Stopped for now.
        Paused = "paused",
        /// Gone for people, kept for reports.
        Archived = "archived",
    }
}

impl Kind {
    /// What a parent of this kind is, where one can have any. Whether it must have one is the caller's rule.
    pub fn parent(self) -> Option<Kind> {
        match self {
            Kind::LineItem => Some(Kind::Campaign),
            Kind::Campaign | Kind::Creative | Kind::Conversion | Kind::Pixel => Some(Kind::Advertiser),
            Kind::Segment | Kind::List | Kind::Deal => Some(Kind::Advertiser),
            Kind::Advertiser | Kind::Exchange | Kind::Rates | Kind::Safety => None,
        }
    }

    /// Whether there is one row of it, with id 1, for the whole platform.
    pub fn is_singleton(self) -> bool {
        matches!(self, Kind::Rates | Kind::Safety)
    }

    /// The largest id that one can have: audiences and tracking tokens have no room for longer ones.
    pub fn max_id(self) -> u32 {
        match self {
            Kind::Segment => MAX_SEGMENT_ID,
            Kind::Exchange => Bucket::MAX_EXCHANGE.0.into(),
            _ => u32::MAX,
        }
    }
}

/// 24 bits.
const MAX_SEGMENT_ID: u32 = (1 << 24) - 1;

/// A resource as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is.
    pub kind: Kind,
    /// Unique in its kind, for ever.
    pub id: u32,
    /// Its tenant; 0 is the platform.
    pub account: u32,
    /// The id of its parent, of the kind [`Kind::parent`].
    pub parent: Option<u32>,
    /// For people.
    pub name: String,
    /// The customer's own id for it.
    pub external_id: Option<String>,
    /// Whether it may serve.
    pub status: Status,
    /// 1 when it was made, and one more with each change.
    pub version: u64,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// When it was changed last.
    pub updated_ms: i64,
    /// Its JSON document.
    pub doc: String,
}

/// The columns of [`row`], in its order, as part of a statement's text.
macro_rules! columns {
    () => {
        "r.kind, r.id, r.account, r.parent, r.name, r.external_id, r.status, r.version, r.created_ms, \
         r.updated_ms, r.doc"
    };
}
pub(super) use columns;

/// Reads a row of [`columns`].
pub(super) fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        kind: row.get(0)?,
        id: row.get(1)?,
        account: row.get(2)?,
        parent: row.get(3)?,
        name: row.get(4)?,
        external_id: row.get(5)?,
        status: row.get(6)?,
        version: row.get::<_, i64>(7)? as u64,
        created_ms: row.get(8)?,
        updated_ms: row.get(9)?,
        doc: row.get(10)?,
    })
}

/// A text as it is searched and sorted.
pub(super) fn fold(text: &str) -> String {
    text.to_lowercase()
}

impl Read<'_> {
    /// The advertiser that a resource is or belongs to.
    pub fn advertiser_of(&self, of: &Row) -> Result<Option<u32>, ControlError> {
        match (of.kind, of.parent) {
            (Kind::Advertiser, _) => Ok(Some(of.id)),
            (Kind::LineItem, Some(campaign)) => {
                Ok(self.get(Kind::Campaign, campaign)?.and_then(|campaign| campaign.parent))
            }
            (kind, parent) => Ok(parent.filter(|_| kind.parent() == Some(Kind::Advertiser))),
        }
    }

    /// The resource, if there is one, whatever its status.
    pub fn get(&self, kind: Kind, id: u32) -> Result<Option<Row>, ControlError> {
        const SQL: &str = concat!("SELECT ", columns!(), " FROM resource r WHERE kind = ?1 AND id = ?2");
        sql::one(self.connection, "read a resource", SQL, params![kind, id], row)
    }
}
