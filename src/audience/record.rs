//! One membership, as people state it and as eight bytes.

use super::{AudienceError, MAX_SEGMENTS};
use crate::model::ids::SegmentId;

/// Granularity of expiry in the base, in seconds. An expiry is rounded *down* to it, so that nothing is used longer than
/// was granted. What must end to the second, such as what a search of five minutes ago says, stays in the overlay, see
/// [`super::AudienceIndex::add_for_now`].
pub const EXPIRY_UNIT_S: i64 = 900;

/// Where a membership comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
#[repr(u8)]
pub enum Origin {
    /// The advertiser's own list.
    #[default]
    FirstParty = 0,
    /// A data partner's list.
    Partner = 1,
    /// Seen by our own pixels and notices.
    Observed = 2,
    /// Computed by a model.
    Inferred = 3,
}

/// One user's membership of one segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Membership {
    /// The segment; below [`MAX_SEGMENTS`].
    pub segment: SegmentId,
    /// Ends at this time in Unix seconds, rounded down to [`EXPIRY_UNIT_S`]; `None` = never.
    pub expires_s: Option<i64>,
    /// Explicit consent to this very use is on record: the condition for sensitive segments.
    pub explicit_consent: bool,
    /// Where it comes from.
    pub origin: Origin,
}

impl Membership {
    /// A membership from the advertiser's own list, without end and without explicit consent.
    pub fn of(segment: SegmentId) -> Membership {
        Membership { segment, expires_s: None, explicit_consent: false, origin: Origin::FirstParty }
    }
}

impl Membership {
    /// The same as the base keeps it: its end rounded down to [`EXPIRY_UNIT_S`].
    pub fn rounded(&self) -> Membership {
        Record::from_membership(self).map_or(*self, Record::membership)
    }
}

/// A time in units of [`EXPIRY_UNIT_S`] since the Unix epoch, rounded down. Times before 1970 count as 1970.
pub(super) fn units(unix_s: i64) -> u32 {
    let latest = i64::from(NEVER - 1);
    unix_s.div_euclid(EXPIRY_UNIT_S).clamp(0, latest) as u32
}

/// The expiry of what does not expire: later than any time that [`units`] or [`seconds`] gives.
pub(super) const NEVER: u32 = u32::MAX;
/// The last expiry that is a whole number of units: in 2106.
const LAST: u32 = (NEVER - 1) / EXPIRY_UNIT_S as u32 * EXPIRY_UNIT_S as u32;

/// A time in seconds since the Unix epoch; what lies outside 1970 to 2106 counts as the nearer end.
pub(super) fn seconds(unix_s: i64) -> u32 {
    unix_s.clamp(0, i64::from(LAST)) as u32
}

/// A moment as base and overlay count it.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub(super) units: u32,
    pub(super) seconds: u32,
}

impl At {
    pub(super) fn of(unix_s: i64) -> At {
        At { units: units(unix_s), seconds: seconds(unix_s) }
    }
}

/// The expiry in units; see [`NEVER`].
pub(super) fn expiry_units(expires_s: Option<i64>) -> u32 {
    expires_s.map_or(NEVER, units)
}

/// Bits that [`Record::provenance`] takes.
pub(super) const PROVENANCE_BITS: u32 = 3;
const CONSENT: u8 = 1;

/// A membership in eight bytes: segment (24 bits), expiry in seconds (32), provenance (8), from the top, so that sorting
/// the numbers sorts by segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Record(u64);

impl Record {
    /// From the parts that a shard stores; `expiry` in units.
    pub(super) fn packed(segment: u32, expiry: u32, provenance: u8) -> Record {
        let whole = expiry.saturating_mul(EXPIRY_UNIT_S as u32).min(LAST);
        Record::new(segment, if expiry == NEVER { NEVER } else { whole }, provenance)
    }

    /// `expiry` in seconds.
    pub(super) fn new(segment: u32, expiry: u32, provenance: u8) -> Record {
        Record(u64::from(segment) << 40 | u64::from(expiry) << 8 | u64::from(provenance))
    }

    /// Checks the segment against its limit. The expiry is rounded down to a unit.
    pub(super) fn from_membership(membership: &Membership) -> Result<Record, AudienceError> {
        let exact = Record::exact(membership)?;
        Ok(Record::packed(exact.segment(), exact.expiry_units(), exact.provenance()))
    }

    /// The same without rounding.
    pub(super) fn exact(membership: &Membership) -> Result<Record, AudienceError> {
        if membership.segment.0 >= MAX_SEGMENTS {
            return Err(AudienceError::SegmentId(membership.segment));
        }
        let consent = if membership.explicit_consent { CONSENT } else { 0 };
        let provenance = ((membership.origin as u8) << 1) | consent;
        Ok(Record::new(membership.segment.0, membership.expires_s.map_or(NEVER, seconds), provenance))
    }

    /// From a file; `None` when no membership can look like this.
    pub(super) fn from_bits(bits: u64) -> Option<Record> {
        let record = Record(bits);
        (record.segment() < MAX_SEGMENTS && record.provenance() >> PROVENANCE_BITS == 0).then_some(record)
    }

    /// What a file of version 2 says, where expiries were in units.
    pub(super) fn in_seconds(self) -> Record {
        Record::packed(self.segment(), self.expiry(), self.provenance())
    }

    /// The membership that it says; the reverse of [`Record::exact`].
    pub(super) fn membership(self) -> Membership {
        let origin = match self.provenance() >> 1 {
            0 => Origin::FirstParty,
            1 => Origin::Partner,
            2 => Origin::Observed,
            _ => Origin::Inferred,
        };
        Membership {
            segment: SegmentId(self.segment()),
            expires_s: (self.expiry() != NEVER).then(|| i64::from(self.expiry())),
            explicit_consent: self.explicit_consent(),
            origin,
        }
    }

    /// The number, for a file.
    pub(super) fn bits(self) -> u64 {
        self.0
    }

    pub(super) fn segment(self) -> u32 {
        (self.0 >> 40) as u32
    }

    /// In seconds; [`NEVER`] = none.
    pub(super) fn expiry(self) -> u32 {
        (self.0 >> 8) as u32
    }

    /// In units, rounded down; [`NEVER`] = none.
    pub(super) fn expiry_units(self) -> u32 {
        if self.expiry() == NEVER { NEVER } else { self.expiry() / EXPIRY_UNIT_S as u32 }
    }

    /// Whether a shard can hold it without ending it early.
    pub(super) fn is_whole(self) -> bool {
        self.expiry() == NEVER || self.expiry().is_multiple_of(EXPIRY_UNIT_S as u32)
    }

    /// Consent flag and origin in [`PROVENANCE_BITS`] bits.
    pub(super) fn provenance(self) -> u8 {
        self.0 as u8
    }

    pub(super) fn explicit_consent(self) -> bool {
        self.provenance() & CONSENT != 0
    }
}

/// Sorts by segment and keeps the last record of each: what was said later stands.
pub(super) fn normalise(records: &mut Vec<Record>) {
    if records.is_sorted_by(|a, b| a.segment() < b.segment()) {
        return;
    }
    records.sort_by_key(|record| record.segment());
    records.dedup_by(|later, kept| {
        let same = later.segment() == kept.segment();
        if same {
            *kept = *later;
        }
        same
    });
}
