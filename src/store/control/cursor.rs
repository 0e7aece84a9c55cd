//! Where a page of a list ended: the sort key and the id of its last row, so that the next page begins behind it
//! whatever was inserted or removed meanwhile.
//!
//! Invariant: a cursor goes on only with the query that it came from; its token carries a fingerprint of that.
//! Deliberately absent: a signature. A forged token begins a page elsewhere in what the query may show anyway.

use super::error::ControlError;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::types::{ToSql, ToSqlOutput};
use sha2::{Digest, Sha256};

/// The first byte of a token.
const VERSION: u8 = 1;

/// The place behind one row of one query's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    of: [u8; 8],
    pub(super) at: SortKey,
    pub(super) id: i64,
}

/// The value that rows are sorted by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SortKey {
    Number(i64),
    Text(String),
}

impl ToSql for SortKey {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            SortKey::Number(number) => number.to_sql(),
            SortKey::Text(text) => text.to_sql(),
        }
    }
}

impl Cursor {
    pub(super) fn new(of: [u8; 8], at: SortKey, id: i64) -> Cursor {
        Cursor { of, at, id }
    }

    /// Refuses the cursor of another query.
    pub(super) fn check(&self, of: [u8; 8]) -> Result<(), ControlError> {
        if self.of == of { Ok(()) } else { Err(ControlError::ForeignCursor) }
    }

    /// The token for clients: letters, digits, `-` and `_`.
    pub fn encode(&self) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(self.of);
        bytes.extend(self.id.to_be_bytes());
        match &self.at {
            SortKey::Number(number) => {
                bytes.push(b'n');
                bytes.extend(number.to_be_bytes());
            }
            SortKey::Text(text) => {
                bytes.push(b't');
                bytes.extend(text.as_bytes());
            }
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a token back; `None` where it is none. Whether it belongs to the query is checked by the list.
    pub fn decode(token: &str) -> Option<Cursor> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let rest = bytes.strip_prefix(&[VERSION])?;
        let (of, rest) = rest.split_first_chunk::<8>()?;
        let (id, rest) = rest.split_first_chunk::<8>()?;
        let at = match rest.split_first()? {
            (b'n', number) => SortKey::Number(i64::from_be_bytes(number.try_into().ok()?)),
            (b't', text) => SortKey::Text(std::str::from_utf8(text).ok()?.to_owned()),
            _ => return None,
        };
        Some(Cursor { of: *of, at, id: i64::from_be_bytes(*id) })
    }
}

/// A stable fingerprint of a query, from a text that names all of it but its page.
pub(super) fn fingerprint(query: &str) -> [u8; 8] {
    let hash = Sha256::digest(query.as_bytes());
    std::array::from_fn(|at| hash[at])
}
