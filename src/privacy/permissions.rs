//! The gate's answer, and the proofs that only it hands out.

use crate::model::restriction::Restriction;

/// Proof that identifiers of the user may be read. Zero-size; only [`Permissions`] hands it out.
#[derive(Clone, Copy, Debug)]
pub struct UseIds(());

/// Proof that audience segments may be looked up and used; only [`Permissions`] hands it out.
///
/// It carries whether sensitive segments are among them, so that no look-up can forget an opt-out. A member's own
/// explicit consent is needed besides: no signal of a request replaces it.
#[derive(Clone, Copy, Debug)]
pub struct UseSegments {
    sensitive: bool,
}

impl UseSegments {
    /// Whether sensitive segments may be used of members who consented explicitly.
    pub fn sensitive(self) -> bool {
        self.sensitive
    }
}

/// Proof that behaviour and interests of the user may be written down. Zero-size; only [`Permissions`] hands it out.
#[derive(Clone, Copy, Debug)]
pub struct WriteProfile(());

/// Proof that a cookie may be set and ids may be synced. Zero-size; only [`Permissions`] hands it out.
#[derive(Clone, Copy, Debug)]
pub struct StoreOnDevice(());

/// Proof that what an ad achieved may be measured by user. Zero-size; only [`Permissions`] hands it out.
#[derive(Clone, Copy, Debug)]
pub struct Measure(());

/// A set of uses of data, as bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Uses(u8);

impl Uses {
    /// No use at all.
    pub(super) const NONE: Uses = Uses(0);
    /// Identifiers.
    pub(super) const IDS: Uses = Uses(1);
    /// Segments.
    pub(super) const SEGMENTS: Uses = Uses(1 << 1);
    /// Writing a profile.
    pub(super) const PROFILE: Uses = Uses(1 << 2);
    /// Cookies.
    pub(super) const STORE: Uses = Uses(1 << 3);
    /// Measurement.
    pub(super) const MEASURE: Uses = Uses(1 << 4);
    /// Precise geography.
    pub(super) const PRECISE_GEO: Uses = Uses(1 << 5);
    /// Sensitive segments.
    pub(super) const SENSITIVE: Uses = Uses(1 << 6);
    /// Bids that look at the context alone.
    pub(super) const CONTEXT: Uses = Uses(1 << 7);
    /// Everything.
    pub(super) const ALL: Uses = Uses(u8::MAX);
    /// Everything that is known of the user.
    pub(super) const OF_USER: Uses = Uses(!Uses::CONTEXT.0);

    /// Either.
    pub(super) const fn and(self, other: Uses) -> Uses {
        Uses(self.0 | other.0)
    }

    /// This one only if `allowed`.
    pub(super) fn only_if(self, allowed: bool) -> Uses {
        if allowed { self } else { Uses::NONE }
    }

    /// What is not in it.
    pub(super) const fn others(self) -> Uses {
        Uses(!self.0)
    }

    /// Whether all of `other` is in it.
    pub(super) const fn has(self, other: Uses) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What may be done with what is known of the user of one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Permissions {
    allowed: Uses,
    restriction: Option<Restriction>,
    us_privacy_ignored: bool,
}

impl Permissions {
    /// Nothing is forbidden.
    pub(super) const OPEN: Permissions =
        Permissions { allowed: Uses::ALL, restriction: None, us_privacy_ignored: false };

    /// As a number, for what is kept of a request for a day or a week; see [`Permissions::of_bits`].
    pub fn bits(&self) -> u16 {
        u16::from(self.allowed.0) | u16::from(self.restriction.map_or(0, |r| r as u8 + 1)) << 8
    }

    /// Those that [`Permissions::bits`] made a number of.
    ///
    /// It is for requests that were judged when they came and whose strings are not kept: whoever reads strings asks
    /// the gate.
    pub fn of_bits(bits: u16) -> Permissions {
        let [restriction, allowed] = bits.to_be_bytes();
        let restriction = Restriction::ALL.get(usize::from(restriction).wrapping_sub(1)).copied();
        Permissions { allowed: Uses(allowed), restriction, us_privacy_ignored: false }
    }

    /// Forbids `uses`, for `why`; the first reason that takes the segments stands.
    pub(super) fn forbid(&mut self, uses: Uses, why: Restriction) {
        self.allowed = Uses(self.allowed.0 & !uses.0);
        if !self.allowed.has(Uses::SEGMENTS) {
            self.restriction = self.restriction.or(Some(why));
        }
    }

    /// Forbids precise geography or sensitive segments, which leaves the other segments in use.
    pub(super) fn forbid_more(&mut self, uses: Uses) {
        debug_assert!(!uses.has(Uses::SEGMENTS), "who closes the audience says why");
        self.allowed = Uses(self.allowed.0 & !uses.0);
    }

    /// Whether nothing of the user may be used.
    pub(super) fn is_contextual(&self) -> bool {
        self.allowed.0 & Uses::OF_USER.0 == 0
    }

    /// Notes a US privacy string that says nothing.
    pub(super) fn ignore_us_privacy(&mut self) {
        self.us_privacy_ignored = true;
    }

    /// Permission to read identifiers, if it is given. Caps by user need it.
    pub fn ids(&self) -> Option<UseIds> {
        self.allowed.has(Uses::IDS).then_some(UseIds(()))
    }

    /// Permission to look up and use segments, if it is given.
    pub fn segments(&self) -> Option<UseSegments> {
        let given = self.allowed.has(Uses::IDS.and(Uses::SEGMENTS));
        given.then_some(UseSegments { sensitive: self.sensitive() })
    }

    /// Permission to write what the user does or likes, if it is given.
    pub fn profile(&self) -> Option<WriteProfile> {
        self.allowed.has(Uses::IDS.and(Uses::PROFILE)).then_some(WriteProfile(()))
    }

    /// Permission to set a cookie and to sync ids, if it is given.
    pub fn store(&self) -> Option<StoreOnDevice> {
        self.allowed.has(Uses::STORE).then_some(StoreOnDevice(()))
    }

    /// Permission to measure by user what an ad achieved, if it is given.
    pub fn measure(&self) -> Option<Measure> {
        self.allowed.has(Uses::MEASURE).then_some(Measure(()))
    }

    /// Whether a place more precise than a city's may be used and handed on.
    pub fn precise_geo(&self) -> bool {
        self.allowed.has(Uses::PRECISE_GEO)
    }

    /// Whether sensitive segments may be used of members who consented explicitly. A signal never grants them; it can
    /// only forbid them.
    pub fn sensitive(&self) -> bool {
        self.allowed.has(Uses::SENSITIVE)
    }

    /// Whether to bid at all, if only by context.
    pub fn context(&self) -> bool {
        self.allowed.has(Uses::CONTEXT)
    }

    /// Why segments are not used: the first reason in the order of the checks.
    pub fn restriction(&self) -> Option<Restriction> {
        self.restriction
    }

    /// A US privacy string was there that says nothing in its own terms, and counts for nothing.
    pub fn us_privacy_ignored(&self) -> bool {
        self.us_privacy_ignored
    }
}
