//! The privacy gate: what signals allow, and that no text in the place of one does harm.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as loudly as the test")]

mod corpus;
mod differential;
pub(crate) mod encode;
mod hostile;
mod table;

use encode::{IN_2025_DS, Tc, Vendors, gpp, us};
use outbid::model::auction::{Auction, Channel, Imp};
use outbid::model::country::Country;
use outbid::model::exchange::GdprDefault;
use outbid::privacy::{Permissions, Policy, Restriction, Rules, Signals, gate, judge};
use serde_json::Value;
use std::path::Path;

const STRICT: GdprDefault = GdprDefault::Applies;

/// Our id in the vendor list, for the tests.
const OUR_VENDOR: u16 = 1_234;

fn policy() -> Policy {
    Policy { vendor_id: Some(OUR_VENDOR), ..Policy::default() }
}

fn judged(signals: &Signals<'_>, policy: Policy) -> Permissions {
    judge(signals, &Rules { gdpr_default: STRICT, policy })
}

/// The lines of a file of real strings; none, and a warning, where the files are not.
fn read_or_skip(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/privacy").join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: {} is not there, so that no real string was read", path.display());
        return Vec::new();
    };
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let lines: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() > 10, "{file} is almost empty");
    lines
}

fn answer(policy: Policy, change: impl FnOnce(&mut Auction<'_>)) -> Permissions {
    let imps = [Imp::default()];
    let mut auction = Auction { imps: &imps, ..Auction::default() };
    auction.device.geo.country = Country::parse("US");
    change(&mut auction);
    let opportunity = auction.opportunities().next().unwrap();
    gate(&opportunity, &Rules { gdpr_default: STRICT, policy })
}

fn check(change: impl FnOnce(&mut Auction<'_>), expected: Option<Restriction>) {
    let permissions = answer(Policy::default(), change);
    assert_eq!(permissions.restriction(), expected);
    let open = expected.is_none();
    assert_eq!(permissions.ids().is_some(), open);
    assert_eq!(permissions.segments().is_some(), open);
    assert_eq!(permissions.profile().is_some(), open);
    assert_eq!(permissions.store().is_some(), open);
    assert_eq!(permissions.measure().is_some(), open);
    assert_eq!(permissions.sensitive(), open);
    assert_eq!(permissions.precise_geo(), open);
    assert!(permissions.context());
}

#[test]
fn each_signal_closes_the_gate_and_the_first_in_order_is_named() {
    check(|_| {}, None);
    check(|a| a.regs.coppa = Some(true), Some(Restriction::Coppa));
    check(|a| (a.device.lmt, a.device.dnt) = (Some(true), Some(true)), Some(Restriction::LimitAdTracking));
    check(|a| a.device.dnt = Some(true), Some(Restriction::DoNotTrack));
    check(|a| a.regs.gpc = true, Some(Restriction::GlobalPrivacyControl));
    check(|a| a.regs.gdpr = Some(true), Some(Restriction::Gdpr));
    check(|a| a.regs.gpp_sid = &[7], Some(Restriction::GppInvalid));
    check(|a| a.regs.us_privacy = Some("1YYN"), Some(Restriction::UsPrivacyOptOut));
    check(|a| a.regs.us_privacy = Some("1---"), None);
    check(|a| a.device.geo.country = Country::parse("DE"), Some(Restriction::PlaceUnderGdpr));
    check(|a| a.device.geo.country = None, Some(Restriction::UnknownPlace));
    check(|a| (a.device.geo.country, a.regs.gdpr) = (Country::parse("DE"), Some(false)), None);
    check(|a| a.channel = Channel::Dooh(Default::default()), Some(Restriction::OutOfHome));
}

/// The permissions as letters: ids, segments, profile, store, measure, geo, sensitive, context.
fn letters(answer: &Permissions) -> String {
    let given = [
        (answer.ids().is_some(), 'i'),
        (answer.segments().is_some(), 's'),
        (answer.profile().is_some(), 'p'),
        (answer.store().is_some(), 'd'),
        (answer.measure().is_some(), 'm'),
        (answer.precise_geo(), 'g'),
        (answer.sensitive(), 'x'),
        (answer.context(), 'c'),
    ];
    given.into_iter().filter(|(given, _)| *given).map(|(_, letter)| letter).collect()
}

/// What a TC string allows where the GDPR applies by signal.
fn check_tc(change: impl FnOnce(&mut Tc), letters_expected: &str, why: Option<Restriction>) {
    let mut tc = Tc::all_for(OUR_VENDOR);
    change(&mut tc);
    let text = tc.text();
    let signals = Signals { gdpr: Some(true), consent: Some(&text), ..Signals::default() };
    let answer = judged(&signals, policy());
    assert_eq!((letters(&answer).as_str(), answer.restriction()), (letters_expected, why), "{tc:?}");
}

#[test]
fn a_tc_string_allows_what_its_purposes_say() {
    use Restriction::{TcfInvalid, TcfNoVendor, TcfPurpose};
    let without = |purpose: u16| move |tc: &mut Tc| tc.consented.retain(|p| *p != purpose);
    check_tc(|_| {}, "ispdmgxc", None);
    check_tc(without(1), "mgc", Some(TcfPurpose));
    check_tc(without(2), "ispdmgxc", None);
    check_tc(without(3), "isdmgxc", None);
    check_tc(without(4), "ipdmgc", Some(TcfPurpose));
    check_tc(without(7), "ispdgxc", None);
    check_tc(|tc| tc.special_features = vec![2], "ispdmxc", None);
    check_tc(|tc| tc.consented.clear(), "gc", Some(TcfPurpose));
    check_tc(|tc| tc.vendor_consents = Vendors::Bits(vec![2], 2_000), "gc", Some(TcfNoVendor));
    check_tc(|tc| tc.vendor_consents = Vendors::Ranges(vec![(7, 7), (1_200, 1_300)]), "ispdmgxc", None);
    check_tc(|tc| tc.restrictions = vec![(4, 0, vec![(1, 2_000)])], "ipdmgc", Some(TcfPurpose));
    check_tc(|tc| tc.restrictions = vec![(4, 0, vec![(1, 9)])], "ispdmgxc", None);
    check_tc(|tc| tc.restrictions = vec![(4, 2, vec![(1, 2_000)])], "ipdmgc", Some(TcfPurpose));
    check_tc(|tc| tc.restrictions = vec![(4, 1, vec![(OUR_VENDOR, OUR_VENDOR)])], "ispdmgxc", None);
    check_tc(|tc| tc.service_specific = false, "c", Some(TcfInvalid));
    check_tc(|tc| tc.policy = 3, "c", Some(TcfInvalid));
    check_tc(|tc| (tc.policy, tc.created_ds, tc.disclosed) = (3, 16_900_000_000, None), "ispdmgxc", None);
    check_tc(|tc| tc.disclosed = None, "c", Some(TcfInvalid));
    check_tc(|tc| tc.disclosed = Some(Vendors::Bits(vec![1], 3)), "c", Some(TcfNoVendor));
    check_tc(|tc| (tc.disclosed, tc.created_ds) = (None, IN_2025_DS), "ispdmgxc", None);
    check_tc(|tc| tc.publisher = true, "ispdmgxc", None);
}

#[test]
fn consent_and_the_section_of_gpp_must_both_allow() {
    let all = Tc::all_for(OUR_VENDOR).text();
    let none = Tc { consented: Vec::new(), ..Tc::all_for(OUR_VENDOR) }.text();
    let check = |consent: Option<&str>, section: Option<&str>, gdpr: Option<bool>, expected: &str| {
        let gpp = section.map(|text| gpp(&[(2, text.to_owned())]));
        let signals = Signals { gdpr, consent, gpp: gpp.as_deref(), gpp_sid: &[2], ..Signals::default() };
        assert_eq!(letters(&judged(&signals, policy())), expected);
    };
    check(Some(&all), Some(&all), None, "ispdmgxc");
    check(None, Some(&all), None, "ispdmgxc");
    check(None, Some(&all), Some(false), "ispdmgxc");
    check(Some(&all), None, None, "ispdmgxc");
    check(Some(&all), Some(&none), None, "gc");
    check(Some(&none), Some(&all), None, "gc");
    check(None, None, None, "c");
    check(Some("CPc"), Some(&all), None, "c");
    // Listed nowhere, the section says nothing.
    let text = gpp(&[(2, all.clone())]);
    let signals = Signals { gdpr: Some(true), gpp: Some(&text), gpp_sid: &[5], ..Signals::default() };
    assert_eq!(judged(&signals, policy()).restriction(), Some(Restriction::Gdpr));
}

#[test]
fn the_rules_of_the_house_change_what_strings_mean() {
    let tc = Tc { consented: Vec::new(), ..Tc::all_for(OUR_VENDOR) };
    let (text, all) = (tc.text(), Tc::all_for(OUR_VENDOR).text());
    let check = |consent: Option<&str>, policy: Policy, expected: &str| {
        let signals = Signals { gdpr: Some(true), consent, ..Signals::default() };
        assert_eq!(letters(&judged(&signals, policy)), expected);
    };
    check(Some(&all), Policy::default(), "c");
    let strict = Policy { context_needs_purpose_2: true, ..policy() };
    check(Some(&all), strict, "ispdmgxc");
    check(Some(&text), strict, "g");
    check(Some("?"), strict, "");
    check(None, strict, "");
    let interest = outbid::privacy::Basis::LegitimateInterest;
    check(Some(&text), Policy { select_ads: interest, measure_ads: interest, ..strict }, "mgc");
    let early = Tc { disclosed: None, created_ds: IN_2025_DS, ..Tc::all_for(OUR_VENDOR) }.text();
    check(Some(&early), Policy { disclosed_vendors_from_ds: IN_2025_DS, ..policy() }, "c");
    check(Some(&early), Policy { disclosed_vendors_from_ds: IN_2025_DS + 1, ..policy() }, "ispdmgxc");
    // Under COPPA a purpose is needed as well.
    let child = Signals { coppa: true, gdpr: Some(true), ..Signals::default() };
    assert_eq!(letters(&judged(&child, strict)), "");
    assert_eq!(letters(&judged(&child, policy())), "c");
}

/// What a GPP string and its list of sections allow in the United States.
fn check_gpp(gpp: &str, gpp_sid: &[i64], expected: &str, why: Option<Restriction>) {
    let signals = Signals { gdpr: Some(false), gpp: Some(gpp), gpp_sid, ..Signals::default() };
    let answer = judged(&signals, policy());
    assert_eq!((letters(&answer).as_str(), answer.restriction()), (expected, why), "{gpp} {gpp_sid:?}");
}

#[test]
fn the_sections_that_are_listed_count_and_no_others() {
    use Restriction::{GppInvalid, GppOptOut, GppUnknown, GppUnscoped, UsPrivacyOptOut};
    let national = |at: usize| {
        let mut fields = [0; 27];
        fields[at] = 1;
        us(1, &fields, None)
    };
    let fine = us(1, &[0; 27], None);
    let out = gpp(&[(6, "1YNN".to_owned()), (7, national(6))]);
    check_gpp(&out, &[7], "c", Some(GppOptOut));
    check_gpp(&out, &[6], "ispdmgxc", None);
    check_gpp(&out, &[6, 7], "c", Some(GppOptOut));
    check_gpp(&out, &[-1], "ispdmgxc", None);
    check_gpp(&out, &[5], "ispdmgxc", None);
    check_gpp(&out, &[], "c", Some(GppUnscoped));
    check_gpp(&out, &[0], "c", Some(GppUnscoped));
    check_gpp(&out, &[6, 8], "c", Some(GppInvalid));
    check_gpp(&out, &[6, 28], "c", Some(GppUnknown));
    check_gpp(&out, &[6, 1_000], "c", Some(GppUnknown));
    check_gpp(&out, &[6, i64::MIN], "c", Some(GppUnknown));
    check_gpp(&gpp(&[(6, "1YYN".to_owned()), (7, fine.clone())]), &[6], "c", Some(UsPrivacyOptOut));
    check_gpp("DBABL~section1~section2", &[7], "c", Some(GppInvalid));
    check_gpp("DBABL~section1~section2", &[5], "ispdmgxc", None);
    check_gpp("DBABLA~", &[7], "c", Some(GppInvalid));
    check_gpp("DBABLA", &[7], "c", Some(GppInvalid));
    check_gpp("", &[7], "c", Some(GppInvalid));
    check_gpp("", &[], "ispdmgxc", None);
    check_gpp(&gpp(&[(7, "AAAA".to_owned())]), &[7], "c", Some(GppInvalid));
    check_gpp(&gpp(&[(7, fine[..6].to_owned())]), &[7], "c", Some(GppInvalid));
    let unscoped = Signals { gdpr: Some(false), gpp: Some(&out), ..Signals::default() };
    assert_eq!(letters(&judged(&unscoped, Policy { ignore_unscoped_gpp: true, ..policy() })), "ispdmgxc");
}

#[test]
fn each_choice_of_a_national_section_takes_away_its_part() {
    use Restriction::{GppChild, GppGpc, GppOptOut};
    let check = |version: u8, at: usize, value: u8, expected: &str, why: Option<Restriction>| {
        let mut fields = vec![0; if version == 1 { 27 } else { 32 }];
        fields[at] = value;
        check_gpp(&gpp(&[(7, us(version, &fields, Some(false)))]), &[7], expected, why);
    };
    let all = "ispdmgxc";
    for version in [1, 2] {
        // Notices, that were given or not.
        (0..6).for_each(|at| check(version, at, 1, all, None));
        for at in 6..9 {
            check(version, at, 1, "c", Some(GppOptOut));
            check(version, at, 2, all, None);
            check(version, at, 3, "c", Some(GppOptOut));
        }
        let sensitive = if version == 1 { 9..21 } else { 9..25 };
        for at in sensitive.clone() {
            check(version, at, 1, if at == 16 { "ispdmc" } else { "ispdmgc" }, None);
            check(version, at, 2, all, None);
        }
        for at in sensitive.end..sensitive.end + if version == 1 { 2 } else { 3 } {
            check(version, at, 1, "c", Some(GppChild));
            check(version, at, 2, "c", Some(GppChild));
        }
    }
    check_gpp(&gpp(&[(7, us(1, &[0; 27], Some(true)))]), &[7], "c", Some(GppGpc));
    check_gpp(&gpp(&[(7, us(1, &[0; 27], None) + ".")]), &[7], all, None);
    check_gpp(&gpp(&[(7, us(1, &[0; 27], None) + ".?")]), &[7], "c", Some(Restriction::GppInvalid));
}

#[test]
fn the_youngest_sections_are_read_with_their_own_header_and_without() {
    use Restriction::{GppChild, GppGpc, GppInvalid, GppOptOut};
    let check = |id: u16, at: Option<usize>, value: u8, expected: &str, why: Option<Restriction>| {
        let mut fields = [0; 9];
        if let Some(at) = at {
            fields[at] = value;
        }
        let core = us(1, &fields, None);
        let mut header = encode::Bits::default();
        header.number(id.into(), 6).number(1, 6).number(1, 12).number(0, 1).fibonacci(1);
        for text in [core.clone(), format!("{}.{core}", header.text(false))] {
            check_gpp(&gpp(&[(id, text)]), &[id.into()], expected, why);
        }
    };
    for id in 24..=27 {
        check(id, None, 0, "ispdmgxc", None);
        check(id, Some(4), 1, "ispdmgxc", None);
        check(id, Some(5), 1, "c", Some(GppOptOut));
        check(id, Some(6), 1, "c", Some(GppOptOut));
        // Maryland asks nothing about children.
        let child = if id == 24 { ("ispdmgxc", None) } else { ("c", Some(GppChild)) };
        check(id, Some(7), 2, child.0, child.1);
        check_gpp(&gpp(&[(id, us(9, &[0; 9], None))]), &[id.into()], "c", Some(GppInvalid));
    }
    check_gpp(&gpp(&[(24, us(1, &[0; 9], Some(true)))]), &[24], "c", Some(GppGpc));
    let sensitive = |at: usize| {
        let mut bits = encode::Bits::default();
        for field in 0..8 {
            bits.number((field == at).into(), 2);
        }
        format!("{}.{}", us(1, &[0; 9], None), bits.text(true))
    };
    check_gpp(&gpp(&[(25, sensitive(2))]), &[25], "ispdmgc", None);
    check_gpp(&gpp(&[(26, sensitive(7))]), &[26], "ispdmc", None);
    check_gpp(&gpp(&[(27, sensitive(0))]), &[27], "ispdmgc", None);
}

#[test]
fn a_us_privacy_string_refuses_by_its_third_character_and_counts_for_nothing_when_it_is_none() {
    let check = |text: &str, expected: &str, ignored: bool| {
        let signals = Signals { gdpr: Some(false), us_privacy: Some(text), ..Signals::default() };
        let answer = judged(&signals, policy());
        assert_eq!((letters(&answer).as_str(), answer.us_privacy_ignored()), (expected, ignored), "{text}");
    };
    let all = "ispdmgxc";
    check("1YYN", "c", false);
    check("1-y-", "c", false);
    check(" 1NYN ", "c", false);
    for open in ["1---", "1YNN", "1N--", "1nnn", "1--Y", ""] {
        check(open, all, false);
    }
    for odd in ["2YYN", "1YY", "1YYNN", "1XYN", "YYYY", "1Y Y", "1é", "null"] {
        check(odd, all, true);
    }
}
