//! TC strings of the Transparency and Consent Framework, version 2 (IAB Tech Lab, "Consent string and vendor list
//! formats v2"; design: openrtb.md section 4.2).
//!
//! [`TcString`] is a view on the text: it knows the segments and reads a field when it is asked for one. [`TcString::vendor`]
//! passes once over the vendors and the publisher's restrictions and keeps what concerns one vendor.
//!
//! Invariant: a string that ends in the middle of what it announces is refused, because what is cut off might be
//! a restriction. Deliberately absent: the publisher's own purposes and the allowed vendors, which bind nobody here.

use super::bits::{Bits, Cursor, MAX_TEXT};
use super::rules::Basis;

/// Why a TC string is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TcfError {
    /// A character outside base64url, or a text beyond all use.
    #[error("the consent string is no base64url text of at most {MAX_TEXT} characters")]
    Text,
    /// Not version 2.
    #[error("the consent string has version {0}, this program reads version 2")]
    Version(u8),
    /// It ends in the middle.
    #[error("the consent string ends in the middle of what it announces")]
    Truncated,
    /// A range of vendors that ends before it begins.
    #[error("the consent string has a range of vendors from {first} to {last}")]
    Range {
        /// The first vendor.
        first: u16,
        /// The last one, below it.
        last: u16,
    },
}

/// The type of the segment that says which vendors were disclosed.
const DISCLOSED_VENDORS: u64 = 1;

/// Where the fields of the core segment stand: first bit and width.
mod field {
    pub(super) const CREATED: (usize, usize) = (6, 36);
    pub(super) const CMP_ID: (usize, usize) = (78, 12);
    pub(super) const VENDOR_LIST: (usize, usize) = (120, 12);
    pub(super) const POLICY: (usize, usize) = (132, 6);
    pub(super) const SERVICE_SPECIFIC: (usize, usize) = (138, 1);
    pub(super) const SPECIAL_FEATURES: (usize, usize) = (140, 12);
    pub(super) const CONSENT: (usize, usize) = (152, 24);
    pub(super) const LEGITIMATE_INTEREST: (usize, usize) = (176, 24);
    pub(super) const PURPOSE_ONE_TREATMENT: (usize, usize) = (200, 1);
    pub(super) const MAX_VENDOR: (usize, usize) = (213, 16);
    /// The first bit after what every core segment has: the vendors' bits or ranges.
    pub(super) const VENDORS: usize = 213;
    /// The shortest core segment that says anything; without vendors it grants nobody anything.
    pub(super) const SHORTEST: usize = VENDORS;
}

/// A set of purposes or special features, numbered from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Numbers {
    /// Number 1 is the highest of `width` bits.
    bits: u32,
    width: u8,
}

impl Numbers {
    /// Whether `number` is in it.
    pub fn contains(self, number: u8) -> bool {
        (1..=self.width).contains(&number) && self.bits >> (self.width - number) & 1 == 1
    }

    /// All of them, ascending.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (1..=self.width).filter(move |number| self.contains(*number))
    }
}

/// A TC string that is well-formed up to its vendors; cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct TcString<'a> {
    core: Bits<'a>,
    /// The first segment that says which vendors were disclosed.
    disclosed: Option<Bits<'a>>,
    /// The core included.
    segments: usize,
}

impl<'a> TcString<'a> {
    /// Looks at the alphabet, the version and the length of the core segment.
    pub fn read(text: &'a str) -> Result<TcString<'a>, TcfError> {
        let (core, more) = text.split_once('.').unwrap_or((text, ""));
        if text.len() > MAX_TEXT {
            return Err(TcfError::Text);
        }
        let core = Bits::of(core).ok_or(TcfError::Text)?;
        let version = core.get(0, 6).ok_or(TcfError::Truncated)?;
        if version != 2 {
            return Err(TcfError::Version(version as u8));
        }
        if core.len() < field::SHORTEST {
            return Err(TcfError::Truncated);
        }
        let mut tc = TcString { core, disclosed: None, segments: 1 };
        // Empty segments say nothing.
        for text in more.split('.').filter(|text| !text.is_empty()) {
            let segment = Bits::of(text).ok_or(TcfError::Text)?;
            if tc.disclosed.is_none() && segment.get(0, 3) == Some(DISCLOSED_VENDORS) {
                tc.disclosed = Some(segment);
            }
            tc.segments += 1;
        }
        Ok(tc)
    }

    /// When it was created, in tenths of a second since the Unix epoch.
    pub fn created_ds(&self) -> u64 {
        self.field(field::CREATED)
    }

    /// The consent management platform that wrote it.
    pub fn cmp_id(&self) -> u16 {
        self.field(field::CMP_ID) as u16
    }

    /// The version of the Global Vendor List that it was made with.
    pub fn vendor_list_version(&self) -> u16 {
        self.field(field::VENDOR_LIST) as u16
    }

    /// The version of the framework's policies that it was made under.
    pub fn policy_version(&self) -> u8 {
        self.field(field::POLICY) as u8
    }

    /// Whether it speaks for one site or app alone, as it must.
    pub fn is_service_specific(&self) -> bool {
        self.field(field::SERVICE_SPECIFIC) == 1
    }

    /// The special features that the user opted in to.
    pub fn special_features(&self) -> Numbers {
        self.numbers(field::SPECIAL_FEATURES)
    }

    /// The purposes that the user consented to.
    pub fn consented(&self) -> Numbers {
        self.numbers(field::CONSENT)
    }

    /// The purposes whose legitimate interest was disclosed and not objected to.
    pub fn legitimate_interests(&self) -> Numbers {
        self.numbers(field::LEGITIMATE_INTEREST)
    }

    /// Whether purpose 1 was not disclosed at all.
    pub fn purpose_one_treatment(&self) -> bool {
        self.field(field::PURPOSE_ONE_TREATMENT) == 1
    }

    /// The highest vendor id that consent is recorded for; `None` where the string ends before it.
    pub fn max_vendor_id(&self) -> Option<u16> {
        let (at, width) = field::MAX_VENDOR;
        self.core.get(at, width).map(|id| id as u16)
    }

    /// How many segments there are, the core included.
    pub fn segment_count(&self) -> usize {
        self.segments
    }

    /// Whether a segment says which vendors were disclosed.
    pub fn has_disclosed_vendors(&self) -> bool {
        self.disclosed.is_some()
    }

    /// All that the string says of one vendor.
    pub fn vendor(&self, vendor: u16) -> Result<Vendor, TcfError> {
        let mut cursor = self.core.from(field::VENDORS);
        let consent = vendor_in(&mut cursor, vendor)?;
        let legitimate_interest = vendor_in(&mut cursor, vendor)?;
        let restrictions = restrictions(&mut cursor, vendor)?;
        let disclosed = match self.disclosed {
            Some(segment) => Some(vendor_in(&mut segment.from(3), vendor)?),
            None => None,
        };
        Ok(Vendor { consent, legitimate_interest, disclosed, restrictions })
    }

    /// Whether `vendor`, which registered `basis` for `purpose`, may pursue it.
    pub fn allows(&self, vendor: &Vendor, purpose: u8, basis: Basis) -> bool {
        let by_consent = self.consented().contains(purpose) && vendor.consent;
        let by_interest = CAN_BE_INTEREST.contains(&purpose)
            && self.legitimate_interests().contains(purpose)
            && vendor.legitimate_interest;
        match (vendor.restrictions.of(purpose), basis) {
            (Restricted::No, Basis::Consent | Basis::FlexibleConsent) => by_consent,
            (Restricted::No, Basis::LegitimateInterest | Basis::FlexibleLegitimateInterest) => by_interest,
            (Restricted::ToConsent, Basis::LegitimateInterest) => false,
            (Restricted::ToConsent, _) => by_consent,
            (Restricted::ToLegitimateInterest, Basis::Consent) => false,
            (Restricted::ToLegitimateInterest, _) => by_interest,
            (Restricted::Forbidden, _) => false,
        }
    }

    fn field(&self, (at, width): (usize, usize)) -> u64 {
        self.core.get(at, width).expect("the shortest core segment has been asked for")
    }

    fn numbers(&self, place: (usize, usize)) -> Numbers {
        Numbers { bits: self.field(place) as u32, width: place.1 as u8 }
    }
}

/// Purposes that may be pursued on legitimate interest. Storage (1) never was one of them; profiles and personalised
/// ads and content (3 to 6) are none since TCF 2.2.
const CAN_BE_INTEREST: [u8; 6] = [2, 7, 8, 9, 10, 11];

/// What a TC string says of one vendor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vendor {
    /// The user consented to it.
    pub consent: bool,
    /// Its legitimate interest was disclosed and not objected to.
    pub legitimate_interest: bool,
    /// It was disclosed; `None` = the string does not say who was.
    pub disclosed: Option<bool>,
    /// What the publisher restricts it to.
    pub restrictions: Restrictions,
}

/// The publisher's restrictions of one vendor, for each purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Restrictions {
    /// By type, a bit for each purpose.
    by_type: [u32; 4],
}

/// What a publisher allows a vendor for one purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Restricted {
    /// Anything.
    No,
    /// Consent only (type 1).
    ToConsent,
    /// Legitimate interest only (type 2).
    ToLegitimateInterest,
    /// Nothing (type 0), or what cannot be met: an undefined type, or two that contradict each other.
    Forbidden,
}

impl Restrictions {
    /// Adds a restriction of a purpose (1 to 24; others concern nothing that we do).
    fn add(&mut self, purpose: u8, kind: u8) {
        if (1..=24).contains(&purpose) {
            self.by_type[usize::from(kind & 3)] |= 1 << purpose;
        }
    }

    /// What stands for a purpose.
    pub fn of(&self, purpose: u8) -> Restricted {
        let given = self.by_type.map(|purposes| purposes.checked_shr(purpose.into()).unwrap_or(0) & 1 == 1);
        match given {
            [false, false, false, false] => Restricted::No,
            [false, true, false, false] => Restricted::ToConsent,
            [false, false, true, false] => Restricted::ToLegitimateInterest,
            _ => Restricted::Forbidden,
        }
    }
}

/// Reads a set of vendors, as bits or as ranges, and whether `vendor` is among them.
fn vendor_in(cursor: &mut Cursor<'_>, vendor: u16) -> Result<bool, TcfError> {
    let head = cursor.take(17).ok_or(TcfError::Truncated)?;
    if head & 1 == 1 {
        return ranges_have(cursor, vendor);
    }
    let max = (head >> 1) as usize;
    let ahead = usize::from(vendor).checked_sub(1).filter(|ahead| *ahead < max);
    cursor.pick(ahead, max).ok_or(TcfError::Truncated)
}

/// Reads a list of vendors and ranges of them. Each takes 17 bits or more, so that the text's length bounds the work.
fn ranges_have(cursor: &mut Cursor<'_>, vendor: u16) -> Result<bool, TcfError> {
    let entries = cursor.take(12).ok_or(TcfError::Truncated)?;
    let mut has = false;
    for _ in 0..entries {
        // Most entries are ranges or followed by something, so that one read gets all of either.
        let (first, last) = match cursor.peek(33) {
            Some(entry) if entry >> 32 == 1 => {
                cursor.pass(33);
                ((entry >> 16) as u16, entry as u16)
            }
            _ => {
                let entry = cursor.take(17).filter(|entry| entry >> 16 == 0).ok_or(TcfError::Truncated)?;
                (entry as u16, entry as u16)
            }
        };
        if last < first {
            return Err(TcfError::Range { first, last });
        }
        has |= (first..=last).contains(&vendor);
    }
    Ok(has)
}

/// Reads the publisher's restrictions and keeps those of `vendor`.
fn restrictions(cursor: &mut Cursor<'_>, vendor: u16) -> Result<Restrictions, TcfError> {
    let mut found = Restrictions::default();
    let count = cursor.take(12).ok_or(TcfError::Truncated)?;
    for _ in 0..count {
        let head = cursor.take(8).ok_or(TcfError::Truncated)?;
        if ranges_have(cursor, vendor)? {
            found.add((head >> 2) as u8, head as u8 & 3);
        }
    }
    Ok(found)
}
