//! The order of the checks, and what each takes away.

use super::gpp::{Gpp, GppError, us};
use super::permissions::{Permissions, Uses};
use super::rules::{Basis, Policy, Rules};
use super::signals::Signals;
use super::tcf::TcString;
use super::us_privacy::UsPrivacy;
use crate::model::exchange::GdprDefault;
use crate::model::restriction::Restriction;

/// Strings created from here on under policies before version 4 are invalid: 2023-10-01T00:00:00Z.
const TCF_2_2_FROM_DS: u64 = 16_961_184_000;

/// GPP section ids that are read elsewhere than in [`us`].
const TCF_SECTION: u16 = 2;
const US_PRIVACY_SECTION: u16 = 6;

/// What the signals of a request allow. No allocation; without a consent string a few comparisons.
pub fn judge(signals: &Signals<'_>, rules: &Rules) -> Permissions {
    let mut answer = Permissions::OPEN;
    let plain = [
        (signals.coppa, Restriction::Coppa),
        (signals.lmt, Restriction::LimitAdTracking),
        (signals.dnt, Restriction::DoNotTrack),
        (signals.gpc, Restriction::GlobalPrivacyControl),
        (signals.out_of_home, Restriction::OutOfHome),
    ];
    for (_, why) in plain.into_iter().filter(|(set, _)| *set) {
        answer.forbid(Uses::OF_USER, why);
    }
    // Strings could take away no more.
    if answer.is_contextual() && !rules.policy.context_needs_purpose_2 {
        return answer;
    }
    let scope = Scope::of(signals.gpp_sid);
    let gpp_text = given(signals.gpp);
    // Read only where a section of it counts.
    let gpp = gpp_text.filter(|_| scope.has_sections()).map(Gpp::read);
    if let Some(presumed) = gdpr_applies(signals, &scope, rules) {
        under_gdpr(signals, gpp.as_ref(), &scope, presumed, &rules.policy, &mut answer);
    }
    if gpp_text.is_some() && scope.is_unknown && !rules.policy.ignore_unscoped_gpp {
        answer.forbid(Uses::OF_USER, Restriction::GppUnscoped);
    }
    if scope.has_sections() {
        sections_of_the_us(signals, gpp.as_ref(), &scope, &mut answer);
    }
    if let Some(text) = given(signals.us_privacy) {
        us_privacy(text, &mut answer);
    }
    answer
}

/// A text that is there and not blank.
fn given(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

/// The sections that `gpp_sid` lists.
struct Scope {
    /// A bit for each id from 1 to 63.
    ids: u64,
    /// Nothing is listed that says what applies.
    is_unknown: bool,
    /// A section is listed that this version does not know.
    is_foreign: bool,
}

impl Scope {
    /// Ids that are listed and passed over: TCF 1 and Canada.
    const PASSED_OVER: u64 = 1 << 1 | 1 << 5;
    /// Ids that are read: 2 and 6 to 27.
    const READ: u64 = 1 << TCF_SECTION | ((1 << 28) - (1 << US_PRIVACY_SECTION));

    fn of(gpp_sid: &[i64]) -> Scope {
        let mut scope = Scope { ids: 0, is_unknown: true, is_foreign: false };
        for id in gpp_sid {
            match id {
                // −1: no section applies. 0: unknown.
                -1 => scope.is_unknown = false,
                1..64 => {
                    scope.ids |= 1 << id;
                    scope.is_unknown = false;
                }
                0 => {}
                _ => (scope.is_foreign, scope.is_unknown) = (true, false),
            }
        }
        scope.is_foreign |= scope.ids & !(Scope::READ | Scope::PASSED_OVER) != 0;
        scope
    }

    fn has(&self, id: u16) -> bool {
        id < 64 && self.ids >> id & 1 == 1
    }

    /// Whether there is anything to read or to refuse.
    fn has_sections(&self) -> bool {
        self.is_foreign || self.ids & Scope::READ != 0
    }
}

/// Whether the GDPR applies; if so, what is to be said where no consent string is there.
fn gdpr_applies(signals: &Signals<'_>, scope: &Scope, rules: &Rules) -> Option<Restriction> {
    if signals.gdpr == Some(true) || scope.has(TCF_SECTION) {
        return Some(Restriction::Gdpr);
    }
    if signals.gdpr == Some(false) {
        return None;
    }
    match signals.country {
        Some(country) => country.is_gdpr_place().then_some(Restriction::PlaceUnderGdpr),
        None => (rules.gdpr_default == GdprDefault::Applies).then_some(Restriction::UnknownPlace),
    }
}

/// Takes away what the TC string does not allow: that of the user, that of GPP section 2, or, where both are there and
/// differ, either.
fn under_gdpr(
    signals: &Signals<'_>,
    gpp: Option<&Result<Gpp<'_>, GppError>>,
    scope: &Scope,
    presumed: Restriction,
    policy: &Policy,
    answer: &mut Permissions,
) {
    let listed = gpp.filter(|_| scope.has(TCF_SECTION)).and_then(|gpp| gpp.as_ref().ok());
    let section = listed.and_then(|gpp| gpp.section(TCF_SECTION));
    let consent = given(signals.consent);
    let mut any = false;
    for text in [consent, section.filter(|section| consent != Some(section))].into_iter().flatten() {
        let (allowed, why) = by_tc_string(text, policy);
        answer.forbid(allowed.others(), why);
        any = true;
    }
    if !any {
        answer.forbid(by_nothing(policy).others(), presumed);
    }
}

/// What is left under the GDPR without any purpose.
fn by_nothing(policy: &Policy) -> Uses {
    if policy.context_needs_purpose_2 { Uses::NONE } else { Uses::CONTEXT }
}

/// What a TC string allows us, and why not more.
fn by_tc_string(text: &str, policy: &Policy) -> (Uses, Restriction) {
    let nothing = by_nothing(policy);
    let Ok(tc) = TcString::read(text) else { return (nothing, Restriction::TcfInvalid) };
    let is_outdated = tc.policy_version() < 4 && tc.created_ds() >= TCF_2_2_FROM_DS;
    if !tc.is_service_specific() || is_outdated {
        return (nothing, Restriction::TcfInvalid);
    }
    let Some(id) = policy.vendor_id else { return (nothing, Restriction::TcfNoVendor) };
    let Ok(us) = tc.vendor(id) else { return (nothing, Restriction::TcfInvalid) };
    if tc.created_ds() >= policy.disclosed_vendors_from_ds {
        match us.disclosed {
            None => return (nothing, Restriction::TcfInvalid),
            Some(false) => return (nothing, Restriction::TcfNoVendor),
            Some(true) => {}
        }
    }
    let storage = tc.allows(&us, 1, Basis::Consent);
    let context = !policy.context_needs_purpose_2 || tc.allows(&us, 2, policy.select_ads);
    let is_known = us.consent || us.legitimate_interest;
    let allowed = Uses::IDS
        .and(Uses::STORE)
        .only_if(storage)
        .and(Uses::SEGMENTS.and(Uses::SENSITIVE).only_if(storage && tc.allows(&us, 4, Basis::Consent)))
        .and(Uses::PROFILE.only_if(storage && tc.allows(&us, 3, Basis::Consent)))
        .and(Uses::MEASURE.only_if(tc.allows(&us, 7, policy.measure_ads)))
        .and(Uses::PRECISE_GEO.only_if(is_known && tc.special_features().contains(1)))
        .and(Uses::CONTEXT.only_if(context));
    (allowed, if us.consent { Restriction::TcfPurpose } else { Restriction::TcfNoVendor })
}

/// Takes away what the listed sections of the United States refuse. A section that is listed and missing, or that cannot be
/// read, refuses everything.
fn sections_of_the_us(
    signals: &Signals<'_>,
    gpp: Option<&Result<Gpp<'_>, GppError>>,
    scope: &Scope,
    answer: &mut Permissions,
) {
    // Two kinds of string have a place of their own, where exchanges leave them when they list their sections.
    let mut missing = scope.ids & Scope::READ;
    let apart = [(signals.consent, TCF_SECTION), (signals.us_privacy, US_PRIVACY_SECTION)];
    for (_, id) in apart.into_iter().filter(|(text, _)| given(*text).is_some()) {
        missing &= !(1 << id);
    }
    match gpp {
        Some(Ok(gpp)) => {
            for (id, text) in gpp.sections().filter(|(id, _)| scope.has(*id)) {
                missing &= !(1 << id);
                section(id, text, answer);
            }
        }
        Some(Err(_)) => answer.forbid(Uses::OF_USER, Restriction::GppInvalid),
        None => {}
    }
    if missing != 0 {
        answer.forbid(Uses::OF_USER, Restriction::GppInvalid);
    }
    if scope.is_foreign {
        answer.forbid(Uses::OF_USER, Restriction::GppUnknown);
    }
}

/// Takes away what one section refuses; that of TCF has been asked, others than those of the United States say nothing here.
fn section(id: u16, text: &str, answer: &mut Permissions) {
    if id == US_PRIVACY_SECTION {
        return us_privacy(text, answer);
    }
    if !us::is_section(id) {
        return;
    }
    let Ok(choices) = us::read(id, text) else {
        return answer.forbid(Uses::OF_USER, Restriction::GppInvalid);
    };
    let closing = [
        (choices.child, Restriction::GppChild),
        (choices.opted_out, Restriction::GppOptOut),
        (choices.gpc, Restriction::GppGpc),
    ];
    for (_, why) in closing.into_iter().filter(|(set, _)| *set) {
        answer.forbid(Uses::OF_USER, why);
    }
    answer.forbid_more(Uses::SENSITIVE.only_if(choices.sensitive_refused));
    answer.forbid_more(Uses::PRECISE_GEO.only_if(choices.precise_geo_refused));
}

/// Takes away what a US privacy string refuses. One that is none says nothing and is counted (openrtb.md 4.3).
fn us_privacy(text: &str, answer: &mut Permissions) {
    match UsPrivacy::read(text) {
        Some(UsPrivacy { opted_out: true }) => answer.forbid(Uses::OF_USER, Restriction::UsPrivacyOptOut),
        Some(UsPrivacy { opted_out: false }) => {}
        None => answer.ignore_us_privacy(),
    }
}
