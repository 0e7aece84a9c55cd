//! The privacy gate's rules, from the configuration.

use crate::config::{LegalBasis, Privacy, UnscopedGpp, YesNo};
use crate::privacy::{Basis, Policy};
use jiff::tz::TimeZone;

/// What the configuration says about strings of consent.
pub fn privacy_policy(config: &Privacy) -> Policy {
    // A day that cannot be placed on the time line demands the segment of every string.
    let from =
        config.tcf_disclosed_vendors_from.to_zoned(TimeZone::UTC).map(|day| day.timestamp().as_second());
    Policy {
        vendor_id: u16::try_from(config.tcf_vendor_id).ok().filter(|id| *id > 0),
        select_ads: basis(config.tcf_select_ads),
        measure_ads: basis(config.tcf_measure_ads),
        disclosed_vendors_from_ds: from.map_or(0, |unix_s| unix_s.max(0).unsigned_abs() * 10),
        ignore_unscoped_gpp: config.gpp_without_sections == UnscopedGpp::Ignore,
        context_needs_purpose_2: config.contextual_needs_purpose_2 == YesNo::Yes,
    }
}

fn basis(registered: LegalBasis) -> Basis {
    match registered {
        LegalBasis::Consent => Basis::Consent,
        LegalBasis::LegitimateInterest => Basis::LegitimateInterest,
        LegalBasis::FlexibleConsent => Basis::FlexibleConsent,
        LegalBasis::FlexibleLegitimateInterest => Basis::FlexibleLegitimateInterest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::defaults;

    #[test]
    fn the_defaults_grant_the_least() {
        assert_eq!(privacy_policy(&defaults().privacy), Policy::default());
    }

    #[test]
    fn each_option_reaches_the_gate() {
        let config = Privacy {
            tcf_vendor_id: 755,
            tcf_select_ads: LegalBasis::FlexibleConsent,
            tcf_measure_ads: LegalBasis::LegitimateInterest,
            tcf_disclosed_vendors_from: jiff::civil::date(1970, 1, 2),
            gpp_without_sections: UnscopedGpp::Ignore,
            contextual_needs_purpose_2: YesNo::Yes,
        };
        let policy = Policy {
            vendor_id: Some(755),
            select_ads: Basis::FlexibleConsent,
            measure_ads: Basis::LegitimateInterest,
            disclosed_vendors_from_ds: 864_000,
            ignore_unscoped_gpp: true,
            context_needs_purpose_2: true,
        };
        assert_eq!(privacy_policy(&config), policy);
    }
}
