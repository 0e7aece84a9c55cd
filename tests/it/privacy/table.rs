//! The decision table of TCF, whole: purpose × vendor × basis × restriction, against an evaluator that reads the rule
//! aloud (openrtb.md section 4.2).

use super::OUR_VENDOR;
use super::encode::{Tc, Vendors};
use outbid::privacy::Basis;
use outbid::privacy::tcf::TcString;

const BASES: [Basis; 4] =
    [Basis::Consent, Basis::LegitimateInterest, Basis::FlexibleConsent, Basis::FlexibleLegitimateInterest];

/// Which bits are set: purpose by consent, purpose by interest, vendor by consent, vendor by interest.
type Given = [bool; 4];

/// Whether a purpose may be pursued, said slowly. `types` are the restrictions of this purpose for this vendor.
fn expected(
    purpose: u8,
    [purpose_consent, purpose_interest, vendor_consent, vendor_interest]: Given,
    basis: Basis,
    types: &[u8],
) -> bool {
    // "Purposes that only consent can serve": storage, and since TCF 2.2 profiles and personalised ads.
    let interest_possible = !matches!(purpose, 1 | 3 | 4 | 5 | 6) && purpose <= 11;
    let registered_consent = basis != Basis::LegitimateInterest;
    let registered_interest = basis != Basis::Consent;
    let by_default_consent = matches!(basis, Basis::Consent | Basis::FlexibleConsent);
    if types.contains(&0) || types.contains(&3) || (types.contains(&1) && types.contains(&2)) {
        return false;
    }
    let must_consent = types.contains(&1);
    let must_interest = types.contains(&2);
    let uses_consent = must_consent || (!must_interest && by_default_consent);
    if uses_consent {
        registered_consent && purpose_consent && vendor_consent
    } else {
        registered_interest && interest_possible && purpose_interest && vendor_interest
    }
}

#[test]
fn every_row_of_the_decision_table_is_as_the_rule_says() {
    let mut rows = 0;
    for purpose in 1..=24u8 {
        for bits in 0..16u8 {
            let given: Given = std::array::from_fn(|bit| bits >> bit & 1 == 1);
            // No restriction, each type, and each pair of types.
            for types in (0..16u8).filter(|set| set.count_ones() <= 2) {
                let types: Vec<u8> = (0..4).filter(|kind| types >> kind & 1 == 1).collect();
                let tc = tc_string(purpose, given, &types);
                let text = tc.text();
                let read = TcString::read(&text).unwrap();
                let vendor = read.vendor(OUR_VENDOR).unwrap();
                for basis in BASES {
                    let allowed = read.allows(&vendor, purpose, basis);
                    let rule = expected(purpose, given, basis, &types);
                    assert_eq!(allowed, rule, "purpose {purpose}, {given:?}, {basis:?}, {types:?}");
                    rows += 1;
                }
            }
        }
    }
    assert_eq!(rows, 24 * 16 * 11 * 4);
}

/// A string in which everything but what is asked about is turned the other way.
fn tc_string(purpose: u8, given: Given, types: &[u8]) -> Tc {
    let numbers = |own: bool| (1..=24).filter(|p| (*p == u16::from(purpose)) == own).collect();
    let vendors = |own: bool| match own {
        true => Vendors::Bits(vec![OUR_VENDOR], OUR_VENDOR),
        false => Vendors::Ranges(vec![(1, OUR_VENDOR - 1), (OUR_VENDOR + 1, OUR_VENDOR + 5)]),
    };
    let other = if purpose == 24 { 1 } else { purpose + 1 };
    let mut restrictions =
        vec![(other, 0, vec![(OUR_VENDOR, OUR_VENDOR)]), (purpose, 0, vec![(1, OUR_VENDOR - 1)])];
    restrictions.extend(types.iter().map(|kind| (purpose, *kind, vec![(OUR_VENDOR - 1, OUR_VENDOR)])));
    Tc {
        consented: numbers(given[0]),
        interests: numbers(given[1]),
        vendor_consents: vendors(given[2]),
        vendor_interests: vendors(given[3]),
        restrictions,
        ..Tc::all_for(OUR_VENDOR)
    }
}
