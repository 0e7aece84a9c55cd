//! Real strings: what is decoded of them is what others decode, and none does harm.

use super::differential::other_tc;
use super::{OUR_VENDOR, judged, policy, read_or_skip};
use iab_gpp::sections::SectionId;
use iab_gpp::v1::GPPString;
use outbid::privacy::Signals;
use outbid::privacy::gpp::{Gpp, us};
use outbid::privacy::tcf::{Numbers, TcString};
use outbid::privacy::us_privacy::UsPrivacy;
use serde_json::Value;

fn list(numbers: Numbers) -> Vec<u64> {
    numbers.iter().map(u64::from).collect()
}

fn numbers(value: &Value) -> Vec<u64> {
    value.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect()
}

#[test]
fn real_tc_strings_decode_to_what_was_decoded_of_them() {
    for line in read_or_skip("tcf.ndjson") {
        let (text, expected) = (line["value"].as_str().unwrap(), &line["decoded"]);
        let tc = TcString::read(text).unwrap_or_else(|why| panic!("{text}: {why}"));
        let number = |name: &str| expected[name].as_u64().unwrap();
        assert_eq!(tc.created_ds(), number("created_ds"), "{text}");
        assert_eq!(u64::from(tc.cmp_id()), number("cmp"), "{text}");
        assert_eq!(u64::from(tc.vendor_list_version()), number("gvl"), "{text}");
        assert_eq!(u64::from(tc.policy_version()), number("policy"), "{text}");
        assert_eq!(u64::from(tc.is_service_specific()), number("service_specific"), "{text}");
        assert_eq!(list(tc.consented()), numbers(&expected["purposes_consent"]), "{text}");
        assert_eq!(list(tc.legitimate_interests()), numbers(&expected["purposes_li"]), "{text}");
        assert_eq!(u64::from(tc.purpose_one_treatment()), number("p1_treatment"), "{text}");
        assert_eq!(tc.max_vendor_id().map(u64::from), expected["max_vendor"].as_u64(), "{text}");
        assert_eq!(tc.segment_count() as u64, number("segments"), "{text}");
        assert_eq!(tc.has_disclosed_vendors(), expected["has_disclosed"].as_bool().unwrap(), "{text}");
    }
}

#[test]
fn real_tc_strings_say_of_every_vendor_what_the_other_reader_says() {
    let (mut both, mut refused) = (0, 0);
    for line in read_or_skip("tcf.ndjson") {
        let text = line["value"].as_str().unwrap();
        let (Ok(tc), Ok(other)) = (TcString::read(text), other_tc(text)) else { continue };
        for vendor in [1, 2, 6, 8, 12, 32, 52, 76, 91, 115, 755, OUR_VENDOR, 60_000] {
            let Ok(ours) = tc.vendor(vendor) else {
                refused += 1;
                continue;
            };
            both += 1;
            super::differential::same_of_vendor(text, vendor, &ours, &other);
        }
    }
    assert!(both >= 10 * refused, "{refused} refused of {both}");
}

#[test]
fn real_gpp_strings_are_taken_apart_as_the_other_reader_does() {
    for line in read_or_skip("gpp.ndjson") {
        let known = line["decoded"]["gpp_string"].as_str();
        let text = known.or(line["value"].as_str()).unwrap();
        let ours = Gpp::read(text);
        if let Ok(other) = GPPString::parse_str(text) {
            let ours = ours.unwrap_or_else(|why| panic!("{text}: {why}"));
            let sections: Vec<_> = ours.sections().collect();
            let theirs: Vec<_> =
                other.section_ids().map(|id| (*id as u16, other.section(*id).unwrap())).collect();
            assert_eq!(sections, theirs, "{text}");
            for (id, section) in sections.into_iter().filter(|(id, _)| us::is_section(*id)) {
                super::differential::same_of_section(id, section, &other);
            }
            if let Some(tc) = ours.section(SectionId::TcfEuV2 as u16) {
                assert!(TcString::read(tc).is_ok() || other_tc(tc).is_err(), "{tc}");
            }
        }
    }
}

#[test]
fn each_real_string_is_judged_and_an_old_one_opens_nothing() {
    for file in ["tcf.ndjson", "gpp.ndjson", "usprivacy.ndjson"] {
        for line in read_or_skip(file) {
            let text = line["value"].as_str().or(line["decoded"]["gpp_string"].as_str()).unwrap();
            let ids: Vec<i64> = (1..=28).collect();
            for sids in [&[][..], &[2], &[6], &[7], &ids] {
                let signals = Signals {
                    gdpr: Some(file == "tcf.ndjson"),
                    consent: Some(text),
                    gpp: Some(text),
                    gpp_sid: sids,
                    us_privacy: Some(text),
                    ..Signals::default()
                };
                let answer = judged(&signals, policy());
                assert!(answer.context());
                // The strings are years old: none of them has what TCF 2.2 asks for.
                assert!(file != "tcf.ndjson" || answer.segments().is_none(), "{text}");
            }
        }
    }
}

#[test]
fn real_us_privacy_strings_are_read_in_either_case() {
    for line in read_or_skip("usprivacy.ndjson") {
        let text = line["value"].as_str().unwrap();
        let opted_out = text.as_bytes()[2].eq_ignore_ascii_case(&b'y');
        assert_eq!(UsPrivacy::read(text), Some(UsPrivacy { opted_out }), "{text}");
    }
}
