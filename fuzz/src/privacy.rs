//! Strings of consent, and what is made of them.

use super::parts;
use outbid::model::exchange::GdprDefault;
use outbid::privacy::gpp::{Gpp, us};
use outbid::privacy::tcf::TcString;
use outbid::privacy::us_privacy::UsPrivacy;
use outbid::privacy::{Permissions, Policy, Rules, Signals, judge};

/// Consent, GPP and US privacy strings and the listed sections: all are read or refused, opting out opens nothing, and the
/// sections that are found stand in the text.
pub fn read_consent(data: &[u8]) {
    let [consent, gpp, us_privacy, sections] = parts(data);
    if let Ok(tc) = TcString::read(&consent) {
        for vendor in [0, 1, 755, u16::MAX] {
            let _ = tc.vendor(vendor);
        }
        assert!(tc.consented().iter().all(|purpose| (1..=24).contains(&purpose)));
    }
    if let Ok(sections) = Gpp::read(&gpp) {
        let texts: Vec<&str> = sections.sections().map(|(_, text)| text).collect();
        assert_eq!(texts.join("~"), gpp.split_once('~').unwrap_or_default().1);
        for (id, text) in sections.sections() {
            let _ = us::read(id, text);
        }
    }
    let _ = UsPrivacy::read(&us_privacy);
    let gpp_sid: Vec<i64> = sections.split(',').filter_map(|id| id.trim().parse().ok()).collect();
    let policy = Policy { vendor_id: Some(755), context_needs_purpose_2: true, ..Policy::default() };
    let rules = Rules { gdpr_default: GdprDefault::Applies, policy };
    for gdpr in [None, Some(false), Some(true)] {
        let signals = Signals {
            gdpr,
            consent: Some(&consent),
            gpp: Some(&gpp),
            gpp_sid: &gpp_sid,
            us_privacy: Some(&us_privacy),
            ..Signals::default()
        };
        let given = uses(&judge(&signals, &rules));
        for less in [
            Signals { coppa: true, ..signals },
            Signals { us_privacy: Some("1YYY"), ..signals },
            Signals { gdpr: Some(true), ..signals },
        ] {
            let left = uses(&judge(&less, &rules));
            assert_eq!(left & !given, 0, "{less:?} opens what {signals:?} does not");
        }
    }
}

/// What is permitted, as bits.
fn uses(answer: &Permissions) -> u8 {
    let given = [
        answer.ids().is_some(),
        answer.segments().is_some(),
        answer.profile().is_some(),
        answer.store().is_some(),
        answer.measure().is_some(),
        answer.precise_geo(),
        answer.sensitive(),
        answer.context(),
    ];
    given.into_iter().fold(0, |bits, given| bits << 1 | u8::from(given))
}
