//! Two independent readers as judges, on strings that an encoder of our own writes.
//!
//! What they cannot judge, and what is tested by fixtures alone instead: `lib_tcstring` panics on some strings that are
//! cut and overflows on a range that ends at 65535; `iab_gpp` has no sections 24 to 27, and adds a single id of a header to nothing, where the
//! specification adds it to the one before, so that headers of three single ids or more are read rightly by one of us.

use super::encode::{Tc, Vendors, gpp, us as us_text};
use iab_gpp::sections::Section;
use iab_gpp::sections::us_common::{Consent, OptOut};
use iab_gpp::sections::usnat::Core;
use iab_gpp::v1::GPPString;
use lib_tcstring::{PublisherRestrictionType, TcModelV2};
use outbid::privacy::gpp::{Gpp, us};
use outbid::privacy::tcf::{Restricted, TcString, Vendor};
use proptest::collection::vec;
use proptest::prelude::*;

/// What the other reader makes of a TC string; a panic of it counts as a refusal.
pub(super) fn other_tc(text: &str) -> Result<TcModelV2, ()> {
    std::panic::catch_unwind(|| TcModelV2::try_from(text)).map_err(drop)?.map_err(drop)
}

/// Panics where the two do not say the same of a vendor.
pub(super) fn same_of_vendor(text: &str, vendor: u16, ours: &Vendor, other: &TcModelV2) {
    assert_eq!(ours.consent, other.vendors_consent.contains(&vendor), "{vendor} of {text}");
    assert_eq!(ours.legitimate_interest, other.vendors_li_consent.contains(&vendor), "{vendor} of {text}");
    if let Some(disclosed) = ours.disclosed {
        assert_eq!(disclosed, other.disclosed_vendors.contains(&vendor), "{vendor} of {text}");
    }
    for purpose in 1..=24 {
        let of_vendor = other.publisher_restrictions.iter().filter(|r| r.vendor_list.contains(&vendor));
        let mut kinds: Vec<_> =
            of_vendor.filter(|r| r.purpose_id == purpose).map(|r| &r.restriction_type).collect();
        kinds.dedup();
        let expected = match kinds[..] {
            [] => Restricted::No,
            [PublisherRestrictionType::RequireConsent] => Restricted::ToConsent,
            [PublisherRestrictionType::RequireLegitimateInterest] => Restricted::ToLegitimateInterest,
            _ => Restricted::Forbidden,
        };
        assert_eq!(ours.restrictions.of(purpose), expected, "purpose {purpose} of {vendor} of {text}");
    }
}

/// Opted out, something sensitive refused, a known child, Global Privacy Control: as the other reader has it.
fn of_section(section: &Section) -> Option<(bool, bool, bool, bool)> {
    /// Whether any of the fields, seen as text, is a refusal, or applies at all.
    fn any(fields: &impl std::fmt::Debug, words: &[&str]) -> bool {
        let text = format!("{fields:?}");
        let mut values = text.split([' ', ',', '(', ')', '{', '}', ':']);
        values.any(|value| words.contains(&value))
    }
    const REFUSED: &[&str] = &["NoConsent", "OptedOut"];
    const APPLIES: &[&str] = &["NoConsent", "Consent"];
    let out = |choice: &OptOut| *choice == OptOut::OptedOut;
    macro_rules! state {
        ($it:expr, $gpc:expr) => {
            state!($it, $gpc, targeted_advertising_opt_out)
        };
        ($it:expr, $gpc:expr, $second:ident) => {{
            let core = &$it.core;
            let opted_out = out(&core.sale_opt_out) || out(&core.$second);
            let sensitive = any(&core.sensitive_data_processing, REFUSED);
            let child = any(&core.known_child_sensitive_data_consents, APPLIES);
            Some((opted_out, sensitive, child, $gpc))
        }};
    }
    macro_rules! national {
        ($core:expr, $gpc:expr) => {{
            let core = $core;
            let opted_out = out(&core.sale_opt_out)
                || out(&core.sharing_opt_out)
                || out(&core.targeted_advertising_opt_out);
            let sensitive = any(&core.sensitive_data_processing, REFUSED);
            let child = any(&core.known_child_sensitive_data_consents, APPLIES);
            Some((opted_out, sensitive, child, $gpc))
        }};
    }
    debug_assert_ne!(Consent::Consent, Consent::NoConsent);
    let said = |gpc: Option<bool>| gpc == Some(true);
    match section {
        Section::UsNat(it) => match &it.core {
            Core::V1(core) => national!(core, said(it.gpc)),
            Core::V2(core) => national!(core, said(it.gpc)),
            _ => None,
        },
        Section::UsCa(it) => state!(it, said(it.gpc), sharing_opt_out),
        Section::UsVa(it) => state!(it, false),
        Section::UsCo(it) => state!(it, said(it.gpc)),
        Section::UsUt(it) => state!(it, false),
        Section::UsCt(it) => state!(it, said(it.gpc)),
        Section::UsFl(it) => state!(it, false),
        Section::UsMt(it) => state!(it, said(it.gpc)),
        Section::UsOr(it) => state!(it, said(it.gpc)),
        Section::UsTx(it) => state!(it, said(it.gpc)),
        Section::UsDe(it) => state!(it, said(it.gpc)),
        Section::UsIa(it) => state!(it, said(it.gpc)),
        Section::UsNe(it) => state!(it, said(it.gpc)),
        Section::UsNh(it) => state!(it, said(it.gpc)),
        Section::UsNj(it) => state!(it, said(it.gpc)),
        Section::UsTn(it) => state!(it, said(it.gpc)),
        Section::UsMn(it) => state!(it, said(it.gpc)),
        _ => None,
    }
}

/// Panics where the two do not say the same of a section that the other reader can read.
pub(super) fn same_of_section(id: u16, text: &str, other: &GPPString) -> bool {
    let all = other.decode_all_sections();
    let place = other.section_ids().position(|listed| *listed as u16 == id).unwrap();
    let Ok(section) = &all[place] else { return false };
    let Some(expected) = of_section(section) else { return false };
    let ours = us::read(id, text).unwrap_or_else(|why| panic!("{id} {text}: {why}"));
    let ours = (ours.opted_out, ours.sensitive_refused, ours.child, ours.gpc);
    assert_eq!(ours, expected, "section {id}: {text} is {section:?}");
    true
}

fn ranges() -> impl Strategy<Value = Vec<(u16, u16)>> {
    let range =
        (1u16..1_500, prop_oneof![Just(0u16), 1u16..40]).prop_map(|(first, more)| (first, first + more));
    vec(range, 0..12)
}

fn vendors() -> impl Strategy<Value = Vendors> {
    let bits = (vec(1u16..400, 0..40), 0u16..400).prop_map(|(members, max)| Vendors::Bits(members, max));
    prop_oneof![bits, ranges().prop_map(Vendors::Ranges)]
}

pub(super) fn tc_strings() -> impl Strategy<Value = Tc> {
    let numbers = |most: u16| vec(1..=most, 0..12);
    let head = (any::<bool>(), 0u8..8, 0u64..1 << 36, numbers(12), numbers(24), numbers(24));
    let restriction = (1u8..=24, 0u8..4, ranges());
    let tail = (vendors(), vendors(), vec(restriction, 0..6), proptest::option::of(vendors()), any::<bool>());
    (head, tail).prop_map(|(head, tail)| {
        let (service_specific, policy, created_ds, special_features, consented, interests) = head;
        let (vendor_consents, vendor_interests, restrictions, disclosed, publisher) = tail;
        Tc {
            created_ds,
            policy,
            service_specific,
            special_features,
            consented,
            interests,
            vendor_consents,
            vendor_interests,
            restrictions,
            disclosed,
            publisher,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn tc_strings_are_read_as_they_were_written_and_as_the_other_reader_does(
        tc in tc_strings(),
        vendor in 1u16..1_600,
    ) {
        let text = tc.text();
        let ours = TcString::read(&text).unwrap();
        let of_vendor = ours.vendor(vendor).unwrap();
        prop_assert_eq!(of_vendor.consent, tc.vendor_consents.contains(vendor));
        prop_assert_eq!(of_vendor.legitimate_interest, tc.vendor_interests.contains(vendor));
        prop_assert_eq!(of_vendor.disclosed, tc.disclosed.as_ref().map(|all| all.contains(vendor)));
        let other = TcModelV2::try_from(text.as_str()).unwrap();
        prop_assert_eq!(ours.created_ds() * 100, other.created_at);
        prop_assert_eq!(ours.consented().iter().collect::<Vec<_>>(), other.purposes_consent.clone());
        prop_assert_eq!(ours.legitimate_interests().iter().collect::<Vec<_>>(), other.purposes_li_transparency.clone());
        prop_assert_eq!(ours.special_features().iter().collect::<Vec<_>>(), other.special_feature_opt_ins.clone());
        prop_assert_eq!(ours.is_service_specific(), other.is_service_specific);
        prop_assert_eq!(u16::from(ours.policy_version()), other.tcf_policy_version);
        same_of_vendor(&text, vendor, &of_vendor, &other);
    }

    #[test]
    fn a_tc_string_that_was_cut_is_refused_or_says_the_same(tc in tc_strings(), vendor in 1u16..1_600, cut in 0usize..400) {
        let whole = tc.core().text(true);
        let cut = &whole[..whole.len().saturating_sub(cut)];
        let all = TcString::read(&whole).unwrap().vendor(vendor).unwrap();
        if let Ok(part) = TcString::read(cut).and_then(|tc| tc.vendor(vendor)) {
            prop_assert_eq!(part, all);
        }
    }

    #[test]
    fn sections_of_the_states_are_read_as_the_other_reader_does(
        id in 7u16..=23,
        version in 1u8..=2,
        fields in vec(0u8..=2, 40),
        gpc in proptest::option::of(any::<bool>()),
    ) {
        // Three states have no segment for Global Privacy Control, and the other reader refuses one.
        let gpc = gpc.filter(|_| ![9, 11, 13].contains(&id));
        let version = if id == 7 { version } else { 1 };
        let mut fields = fields;
        fields.truncate(field_count(id, version));
        // The other reader wants the covered transaction to be 1 or 2.
        fields.iter_mut().for_each(|field| *field = if *field == 0 && id % 2 == 0 { 0 } else { *field });
        let covered = fields.len() - 3;
        fields[covered] = fields[covered].max(1);
        let text = us_text(version, &fields, gpc);
        let whole = gpp(&[(id, text.clone())]);
        let other = GPPString::parse_str(&whole).unwrap();
        prop_assert!(same_of_section(id, &text, &other), "the other reader refuses {whole}");
    }

    #[test]
    fn headers_are_read_as_they_were_written(ids in proptest::collection::btree_set(1u16..=40, 0..12)) {
        let sections: Vec<_> = ids.iter().map(|id| (*id, format!("{id}"))).collect();
        let text = gpp(&sections);
        let ours = Gpp::read(&text).unwrap();
        let read: Vec<_> = ours.sections().map(|(id, text)| (id, text.to_owned())).collect();
        prop_assert_eq!(&read, &sections);
        for (id, section) in &sections {
            prop_assert_eq!(ours.section(*id), Some(section.as_str()));
        }
    }
}

/// Fields of two bits after the version, counted from the specifications.
pub(super) fn field_count(id: u16, version: u8) -> usize {
    match (id, version) {
        (7, 1) => 27,
        (7, _) => 32,
        (8, _) => 20,
        (9, _) => 17,
        (10, _) => 16,
        (11, _) => 18,
        (12, _) => 19,
        (13 | 14 | 20, _) => 20,
        (15, _) => 23,
        (16 | 19 | 22 | 23, _) => 18,
        (17, _) => 23,
        (18, _) => 18,
        (21, _) => 24,
        _ => panic!("no state has section {id}"),
    }
}
