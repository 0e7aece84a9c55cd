//! What a row of a customer list says: who, of which segments, until when, and what was bought.

use super::line::{Cells, Column, Fault, NAMES};
use crate::audience::{IdKey, IdKind, Membership, Origin, Purchases};
use crate::model::ids::{SegmentId, UserKey};
use crate::model::money::Nanos;
use std::collections::HashMap;

/// Longest identifier, in bytes.
const MAX_ID: usize = 512;
/// Longest time that a membership is given, in days.
const MAX_TTL_DAYS: u32 = 3_650;
/// Further segments of one row.
const MAX_SEGMENTS: usize = 32;
const DAY_S: i64 = 86_400;

/// What all rows of a list have in common.
pub(super) struct Batch<'b> {
    pub(super) id_key: &'b IdKey,
    pub(super) segment: SegmentId,
    /// Segments of the account by their keys; `None` stands for one that must not be used, and why.
    pub(super) segments: HashMap<String, Result<SegmentId, &'static str>>,
    pub(super) explicit_consent: bool,
    /// Until when, where a row says nothing.
    pub(super) expires_s: Option<i64>,
    /// Whether it says whose customers these are.
    pub(super) has_advertiser: bool,
    pub(super) now_s: i64,
}

/// Somebody of a list.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Listed {
    pub(super) key: UserKey,
    pub(super) kind: IdKind,
    /// The list's own segment first.
    pub(super) memberships: Vec<Membership>,
    pub(super) purchases: Option<Purchases>,
}

impl Batch<'_> {
    /// Who a row is about, where it says that rightly.
    pub(super) fn who(&self, cells: &Cells<'_>) -> Result<(UserKey, IdKind), Fault> {
        who(self.id_key, cells)
    }

    /// What a row says of somebody.
    pub(super) fn read(&self, (key, kind): (UserKey, IdKind), cells: &Cells<'_>) -> Result<Listed, Fault> {
        let expires_s = self.expiry(cells)?;
        let membership = |segment: SegmentId| Membership {
            segment,
            expires_s,
            explicit_consent: self.explicit_consent,
            origin: Origin::FirstParty,
        };
        let mut memberships = vec![membership(self.segment)];
        let further = &cells[Column::Segments as usize];
        for name in further.split(';').map(str::trim).filter(|name| !name.is_empty()) {
            let segment = match self.segments.get(name) {
                Some(Ok(segment)) => *segment,
                Some(Err(why)) => return Err(Fault::new("segments", "conflict", *why)),
                None => {
                    let message = "names a segment that the account does not have";
                    return Err(Fault::new("segments", "unknown_reference", message));
                }
            };
            if memberships.len() > MAX_SEGMENTS {
                return Err(Fault::new("segments", "out_of_range", "names more than 32 segments"));
            }
            memberships.push(membership(segment));
        }
        Ok(Listed { key, kind, memberships, purchases: self.purchases(cells)? })
    }

    fn expiry(&self, cells: &Cells<'_>) -> Result<Option<i64>, Fault> {
        let (days, at) = (&*cells[Column::TtlDays as usize], &*cells[Column::ExpiresAt as usize]);
        match (days.is_empty(), at.is_empty()) {
            (true, true) => Ok(self.expires_s),
            (false, false) => {
                Err(Fault::new("expires_at", "conflict", "stands beside ttl_days; give one of them"))
            }
            (false, true) => {
                let days = ttl_days(days).ok_or_else(|| {
                    Fault::new("ttl_days", "out_of_range", "is no whole number of 1 to 3650 days")
                })?;
                Ok(Some(self.now_s + days))
            }
            (true, false) => {
                let at = moment("expires_at", at)?;
                if at <= self.now_s {
                    return Err(Fault::new("expires_at", "out_of_range", "is over; leave the row out"));
                }
                Ok(Some(at))
            }
        }
    }

    fn purchases(&self, cells: &Cells<'_>) -> Result<Option<Purchases>, Fault> {
        let cell = |column: Column| Some(&*cells[column as usize]).filter(|text| !text.is_empty());
        let count = cell(Column::Purchases).map(|text| {
            let count = text.parse::<u32>().ok().filter(|count| *count > 0);
            count.ok_or_else(|| Fault::new("purchases", "malformed", "is no whole number above 0"))
        });
        let value = cell(Column::Spend).map(|text| {
            let value = Nanos::parse_decimal(text).filter(|value| value.0 >= 0);
            let message = "is no exact decimal, such as 129.90 in the advertiser's currency";
            value.ok_or_else(|| Fault::new("spend", "malformed", message))
        });
        let at = |column: Column| {
            cell(column).map(|text| {
                let name = NAMES[column as usize];
                let at = moment(name, text)?;
                if (1..=self.now_s).contains(&at) {
                    Ok(at)
                } else {
                    Err(Fault::new(name, "out_of_range", "is to come, or before 1970"))
                }
            })
        };
        let said = Purchases {
            count: count.transpose()?,
            value: value.transpose()?,
            first_s: at(Column::FirstPurchaseAt).transpose()?,
            last_s: at(Column::LastPurchaseAt).transpose()?,
        };
        match (said == Purchases::default(), self.has_advertiser) {
            (true, _) => Ok(None),
            (false, true) => Ok(Some(said)),
            (false, false) => {
                let message = "says what was bought; send advertiser_id with the call, to say where";
                Err(Fault::new("purchases", "conflict", message))
            }
        }
    }
}

/// Who the identifiers of a row stand for; the first six cells are enough.
pub(super) fn who(id_key: &IdKey, cells: &Cells<'_>) -> Result<(UserKey, IdKind), Fault> {
    const IDS: [Column; 5] = [Column::Cookie, Column::Ifa, Column::Email, Column::Phone, Column::Eid];
    let mut given = IDS.into_iter().filter(|column| !cells[*column as usize].is_empty());
    let (Some(column), None) = (given.next(), given.next()) else {
        let message =
            "names nobody, or somebody twice: give one of cookie, ifa, email_sha256, phone_sha256, eid";
        return Err(Fault::new("", "identifier", message));
    };
    let (name, text) = (NAMES[column as usize], &*cells[column as usize]);
    refuse_raw(name, text)?;
    let hashed = |kind| {
        let digest = bytes_of_hex(text).ok_or_else(|| {
            let message = "is no SHA-256 in 64 hex digits, of the address trimmed and in lower case or the number \
                           in E.164";
            Fault::new(name, "malformed", message)
        })?;
        Ok((id_key.hashed(kind, &digest), kind))
    };
    let source = &*cells[Column::EidSource as usize];
    if column != Column::Eid && !source.is_empty() {
        return Err(Fault::new("eid_source", "conflict", "goes with eid; leave it empty"));
    }
    match column {
        Column::Cookie => Ok((id_key.cookie(text), IdKind::Cookie)),
        Column::Ifa if text.bytes().all(|byte| matches!(byte, b'0' | b'-')) => {
            Err(Fault::new(name, "malformed", "is the id of devices that do not want one"))
        }
        Column::Ifa => Ok((id_key.device(text), IdKind::Device)),
        Column::Email => hashed(IdKind::Email),
        Column::Phone => hashed(IdKind::Phone),
        _ if source.is_empty() => {
            Err(Fault::new("eid_source", "missing", "is the domain of who made the eid"))
        }
        _ => Ok((id_key.eid(source, text), IdKind::Eid)),
    }
}

/// So many days, in seconds.
pub(super) fn ttl_days(text: &str) -> Option<i64> {
    let days = text.parse::<u32>().ok().filter(|days| (1..=MAX_TTL_DAYS).contains(days));
    days.map(|days| i64::from(days) * DAY_S)
}

pub(super) fn moment(column: &'static str, text: &str) -> Result<i64, Fault> {
    let moment = text.parse::<jiff::Timestamp>().map(|moment| moment.as_second());
    let message = "is no moment with its offset such as 2026-03-01T00:00:00Z (RFC 3339)";
    moment.map_err(|_| Fault::new(column, "malformed", message))
}

/// Refuses what is somebody's address or number as it is, in whatever column.
pub(super) fn refuse_raw(column: &'static str, text: &str) -> Result<(), Fault> {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let is_dialled = text.bytes().all(|byte| byte.is_ascii_digit() || b" +-()./".contains(&byte));
    // A cookie may well be a number; where a hash belongs, a number is one of a telephone.
    let is_number =
        (7..=15).contains(&digits) && is_dialled && (text.starts_with('+') || column.ends_with("sha256"));
    if text.contains('@') || is_number {
        let message = "is an e-mail address or a telephone number as it is; nothing but its SHA-256 is taken";
        return Err(Fault::new(column, "raw_data", message));
    }
    if text.len() > MAX_ID {
        return Err(Fault::new(column, "out_of_range", "is longer than 512 bytes"));
    }
    Ok(())
}

/// A SHA-256 in hex.
pub(super) fn bytes_of_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = [pair[0], pair[1]].map(|digit| char::from(digit).to_digit(16));
        *byte = (high? << 4 | low?) as u8;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: IdKey = IdKey([6; 16]);

    fn read(said: &[(Column, &str)]) -> Result<Listed, Fault> {
        let mut cells = Cells::default();
        said.iter().for_each(|(column, text)| cells[*column as usize] = (*text).into());
        let segments = [("age.30s", Ok(SegmentId(8))), ("health", Err("is sensitive"))];
        let batch = Batch {
            id_key: &KEY,
            segment: SegmentId(7),
            segments: segments.into_iter().map(|(key, id)| (key.to_owned(), id)).collect(),
            explicit_consent: false,
            expires_s: Some(500),
            has_advertiser: said.iter().any(|(column, _)| *column == Column::Spend),
            now_s: 1_000,
        };
        batch.read(batch.who(&cells)?, &cells)
    }

    /// Key, segments and end; or column and code of what is wrong.
    type Expected<'e> = Result<(UserKey, &'e [u32], Option<i64>), (&'e str, &'e str)>;

    fn check(said: &[(Column, &str)], expected: Expected<'_>) {
        match (read(said), expected) {
            (Ok(listed), Ok((key, segments, expires_s))) => {
                let found: Vec<u32> = listed.memberships.iter().map(|m| m.segment.0).collect();
                let first = listed.memberships[0];
                assert_eq!((listed.key, &found[..], first.expires_s), (key, segments, expires_s), "{said:?}");
            }
            (Err(fault), Err(expected)) => {
                assert_eq!((fault.column, fault.code), expected, "{said:?}");
                for (_, text) in said.iter().filter(|(_, text)| text.len() > 3) {
                    assert!(!fault.message.contains(text), "{fault:?} repeats {text}");
                }
            }
            (found, _) => panic!("{said:?}: {found:?}"),
        }
    }

    #[test]
    fn a_row_says_who_and_until_when_or_is_refused_without_being_repeated() {
        use Column::{
            Cookie, Eid, EidSource, Email, ExpiresAt, Ifa, LastPurchaseAt, Phone, Purchases, Segments, Spend,
            TtlDays,
        };
        let hash = "AB".repeat(32);
        let cookie = KEY.cookie("c");
        check(&[(Cookie, "c")], Ok((cookie, &[7], Some(500))));
        check(&[(Cookie, "c"), (TtlDays, "2")], Ok((cookie, &[7], Some(1_000 + 2 * DAY_S))));
        check(&[(Cookie, "c"), (ExpiresAt, "1970-01-01T01:00:00Z")], Ok((cookie, &[7], Some(3_600))));
        check(&[(Cookie, "c"), (Segments, "age.30s; ")], Ok((cookie, &[7, 8], Some(500))));
        check(&[(Ifa, "AB-1")], Ok((KEY.device("ab-1"), &[7], Some(500))));
        check(&[(Email, &hash)], Ok((KEY.hashed(IdKind::Email, &[0xab; 32]), &[7], Some(500))));
        check(&[(Phone, &hash)], Ok((KEY.hashed(IdKind::Phone, &[0xab; 32]), &[7], Some(500))));
        check(&[(Eid, "x"), (EidSource, "id5.example")], Ok((KEY.eid("id5.example", "x"), &[7], Some(500))));
        check(
            &[(Cookie, "c"), (Spend, "9.99"), (LastPurchaseAt, "1970-01-01T00:01:00Z")],
            Ok((cookie, &[7], Some(500))),
        );
        check(&[], Err(("", "identifier")));
        check(&[(Cookie, "c"), (Ifa, "d")], Err(("", "identifier")));
        check(&[(Email, "someone@example.com")], Err(("email_sha256", "raw_data")));
        check(&[(Phone, "+49 170 1234567")], Err(("phone_sha256", "raw_data")));
        check(&[(Phone, "0170 1234567")], Err(("phone_sha256", "raw_data")));
        check(&[(Cookie, "someone@example.com")], Err(("cookie", "raw_data")));
        check(&[(Email, "abcd")], Err(("email_sha256", "malformed")));
        check(&[(Email, &"ü".repeat(32))], Err(("email_sha256", "malformed")));
        check(&[(Ifa, "00000000-0000-0000-0000-000000000000")], Err(("ifa", "malformed")));
        check(&[(Eid, "x")], Err(("eid_source", "missing")));
        check(&[(Cookie, "c"), (EidSource, "x")], Err(("eid_source", "conflict")));
        check(&[(Cookie, "c"), (TtlDays, "0")], Err(("ttl_days", "out_of_range")));
        check(&[(Cookie, "c"), (ExpiresAt, "1970-01-01T00:00:09Z")], Err(("expires_at", "out_of_range")));
        check(&[(Cookie, "c"), (ExpiresAt, "tomorrow")], Err(("expires_at", "malformed")));
        check(&[(Cookie, "c"), (Segments, "nope")], Err(("segments", "unknown_reference")));
        check(&[(Cookie, "c"), (Segments, "health")], Err(("segments", "conflict")));
        check(&[(Cookie, "c"), (Purchases, "2")], Err(("purchases", "conflict")));
        check(&[(Cookie, "c"), (Spend, "1,5")], Err(("spend", "malformed")));
    }
}
