//! Privacy signals → [`Permissions`]: what may be done with what is known of the user. The most restrictive signal
//! wins (design: openrtb.md section 4.1).
//!
//! First form, conservative: whatever cannot be read yet counts as a refusal. A request is contextual only under
//! COPPA, `lmt`, `dnt`, Global Privacy Control, `gdpr = 1`, with any GPP or US-privacy string other than the
//! explicitly empty `1---`, or in an EEA/UK/CH or unknown place without a signal. Contextual bids go on.
//!
//! Invariant: the proofs [`UseIds`] and [`UseSegments`] are made here only, so that a look-up without permission
//! does not compile. Deliberately absent: decoding TCF and GPP strings; it comes with the audience issue and can
//! only relax what this gate refuses.

use crate::model::auction::{Auction, Opportunity};
use crate::model::exchange::GdprDefault;

/// Proof that identifiers of the user may be read. Zero-size; only [`Permissions`] hands it out.
#[derive(Clone, Copy, Debug)]
pub struct UseIds(());

/// Proof that audience segments may be looked up and used. Zero-size; only [`Permissions`] hands it out.
#[derive(Clone, Copy, Debug)]
pub struct UseSegments(());

/// The rules that an operator or an exchange's profile sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What a place in the EEA/UK/CH, or an unknown one, means when no signal is there.
    pub gdpr_default: GdprDefault,
}

/// Why the user's data is not used: the first signal in the order of the checks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Restriction {
    /// `regs.coppa = 1`.
    Coppa,
    /// `device.lmt = 1`.
    LimitAdTracking,
    /// `device.dnt = 1`.
    DoNotTrack,
    /// `regs.ext.gpc = "1"`.
    GlobalPrivacyControl,
    /// `regs.gdpr = 1`; the consent string is not decoded yet.
    Gdpr,
    /// A GPP string or section list that is not decoded yet.
    Gpp,
    /// A US-privacy string that is not decoded yet.
    UsPrivacy,
    /// No signal, and the place is in the EEA, the United Kingdom or Switzerland.
    PlaceUnderGdpr,
    /// No signal, and the place is unknown.
    UnknownPlace,
    /// Digital out of home: there is no one user.
    OutOfHome,
}

impl Restriction {
    /// The signal as explain and metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Restriction::Coppa => "coppa",
            Restriction::LimitAdTracking => "lmt",
            Restriction::DoNotTrack => "dnt",
            Restriction::GlobalPrivacyControl => "gpc",
            Restriction::Gdpr => "gdpr",
            Restriction::Gpp => "gpp",
            Restriction::UsPrivacy => "us_privacy",
            Restriction::PlaceUnderGdpr => "place_under_gdpr",
            Restriction::UnknownPlace => "unknown_place",
            Restriction::OutOfHome => "out_of_home",
        }
    }
}

/// What may be done with what is known of the user of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions {
    restriction: Option<Restriction>,
}

impl Permissions {
    /// Permission to read identifiers, if it is given.
    pub fn ids(&self) -> Option<UseIds> {
        self.restriction.is_none().then_some(UseIds(()))
    }

    /// Permission to look up and use segments, if it is given.
    pub fn segments(&self) -> Option<UseSegments> {
        self.restriction.is_none().then_some(UseSegments(()))
    }

    /// Why not, when something is not permitted.
    pub fn restriction(&self) -> Option<Restriction> {
        self.restriction
    }
}

/// Reads the signals of the request that `opportunity` belongs to; every impression of a request gets the same
/// answer. Cost: a few comparisons, no allocation.
pub fn gate(opportunity: &Opportunity<'_>, rules: &Rules) -> Permissions {
    Permissions { restriction: restriction(opportunity.auction, rules) }
}

fn restriction(auction: &Auction<'_>, rules: &Rules) -> Option<Restriction> {
    let (device, regs) = (&auction.device, &auction.regs);
    let signals = [
        (regs.coppa == Some(true), Restriction::Coppa),
        (device.lmt == Some(true), Restriction::LimitAdTracking),
        (device.dnt == Some(true), Restriction::DoNotTrack),
        (regs.gpc, Restriction::GlobalPrivacyControl),
        (regs.gdpr == Some(true), Restriction::Gdpr),
        (regs.gpp.is_some_and(|s| !s.trim().is_empty()) || !regs.gpp_sid.is_empty(), Restriction::Gpp),
        (regs.us_privacy.is_some_and(|s| !matches!(s.trim(), "" | "1---")), Restriction::UsPrivacy),
        (matches!(auction.channel, crate::model::auction::Channel::Dooh(_)), Restriction::OutOfHome),
    ];
    if let Some((_, found)) = signals.into_iter().find(|(set, _)| *set) {
        return Some(found);
    }
    if regs.gdpr == Some(false) {
        return None;
    }
    match auction.device.geo.country.or(auction.user.geo.country) {
        Some(country) if country.is_gdpr_place() => Some(Restriction::PlaceUnderGdpr),
        Some(_) => None,
        None if rules.gdpr_default == GdprDefault::UnknownIsOutside => None,
        None => Some(Restriction::UnknownPlace),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::auction::Imp;
    use crate::model::country::Country;

    fn check(change: impl FnOnce(&mut Auction<'_>), expected: Option<Restriction>) {
        let imps = [Imp::default()];
        let mut auction = Auction { imps: &imps, ..Auction::default() };
        auction.device.geo.country = Country::parse("US");
        change(&mut auction);
        let opportunity = auction.opportunities().next().unwrap();
        let permissions = gate(&opportunity, &Rules { gdpr_default: GdprDefault::Applies });
        assert_eq!(permissions.restriction(), expected);
        assert_eq!(permissions.segments().is_some(), expected.is_none());
        assert_eq!(permissions.ids().is_some(), expected.is_none());
    }

    #[test]
    fn each_signal_closes_the_gate_and_the_first_in_order_is_named() {
        check(|_| {}, None);
        check(|a| a.regs.coppa = Some(true), Some(Restriction::Coppa));
        check(
            |a| (a.device.lmt, a.device.dnt) = (Some(true), Some(true)),
            Some(Restriction::LimitAdTracking),
        );
        check(|a| a.device.dnt = Some(true), Some(Restriction::DoNotTrack));
        check(|a| a.regs.gpc = true, Some(Restriction::GlobalPrivacyControl));
        check(|a| a.regs.gdpr = Some(true), Some(Restriction::Gdpr));
        check(|a| a.regs.gpp = Some("DBABMA~1YNN"), Some(Restriction::Gpp));
        check(|a| a.regs.gpp_sid = &[7], Some(Restriction::Gpp));
        check(|a| a.regs.us_privacy = Some("1YNN"), Some(Restriction::UsPrivacy));
        check(|a| a.regs.us_privacy = Some("1---"), None);
        check(|a| a.device.geo.country = Country::parse("DE"), Some(Restriction::PlaceUnderGdpr));
        check(|a| a.device.geo.country = None, Some(Restriction::UnknownPlace));
        check(|a| (a.device.geo.country, a.regs.gdpr) = (Country::parse("DE"), Some(false)), None);
        check(
            |a| a.channel = crate::model::auction::Channel::Dooh(Default::default()),
            Some(Restriction::OutOfHome),
        );
    }
}
