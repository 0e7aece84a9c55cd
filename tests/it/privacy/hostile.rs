//! Texts that are no strings of consent: nothing panics, nothing is allocated, and no further signal opens anything.

use super::differential::tc_strings;
use super::encode::{Tc, gpp, us};
use super::{OUR_VENDOR, judged, letters, policy};
use outbid::model::country::Country;
use outbid::privacy::gpp::{Gpp, us as sections};
use outbid::privacy::tcf::TcString;
use outbid::privacy::us_privacy::UsPrivacy;
use outbid::privacy::{Policy, Signals};
use proptest::collection::vec;
use proptest::prelude::*;

/// Has every reader look at a text.
fn read_all(text: &str) {
    if let Ok(tc) = TcString::read(text) {
        for vendor in [0, 1, OUR_VENDOR, u16::MAX] {
            let _ = tc.vendor(vendor);
        }
        assert!(tc.consented().iter().count() <= 24);
        assert_eq!(tc.segment_count() == 1, text.split('.').skip(1).all(str::is_empty));
    }
    if let Ok(gpp) = Gpp::read(text) {
        gpp.sections().for_each(|(id, text)| {
            let _ = sections::read(id, text);
        });
    }
    for id in 0..=30 {
        let _ = sections::read(id, text);
    }
    let _ = UsPrivacy::read(text);
}

/// Texts near to real ones: a string with pieces exchanged, doubled or cut.
fn mutated() -> impl Strategy<Value = String> {
    let seeds = tc_strings().prop_map(|tc| {
        let text = tc.text();
        if tc.publisher { gpp(&[(2, text), (7, us(1, &[1; 27], Some(true)))]) } else { text }
    });
    (seeds, vec((any::<prop::sample::Index>(), "[A-Za-z0-9_.~=é-]{0,3}"), 0..4)).prop_map(
        |(text, changes)| {
            let mut characters: Vec<char> = text.chars().collect();
            for (at, piece) in changes {
                let at = at.index(characters.len() + 1);
                let end = (at + piece.len()).min(characters.len());
                characters.splice(at..end, piece.chars());
            }
            characters.into_iter().collect()
        },
    )
}

fn all_signals<'a>(text: &'a str, sids: &'a [i64], flags: u8) -> Signals<'a> {
    Signals {
        coppa: flags & 1 != 0,
        lmt: flags & 2 != 0,
        dnt: flags & 4 != 0,
        gpc: flags & 8 != 0,
        gdpr: [None, Some(false), Some(true)][usize::from(flags >> 4) % 3],
        consent: Some(text),
        gpp: Some(text),
        gpp_sid: sids,
        us_privacy: Some(text),
        country: Country::parse(["US", "DE", ""][usize::from(flags >> 6) % 3]),
        out_of_home: false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_text_panics(text in ".{0,80}", sids in vec(-2i64..70, 0..6), flags in any::<u8>()) {
        read_all(&text);
        judged(&all_signals(&text, &sids, flags), policy());
    }

    #[test]
    fn no_text_of_the_alphabet_panics(text in "[BCD][A-Za-z0-9_-]{0,300}(\\.[A-Za-z0-9_-]{0,60}|~[A-Za-z0-9_-]{0,60}){0,4}") {
        read_all(&text);
        judged(&all_signals(&text, &[2, 6, 7, 8, 24], 0b10_0000), policy());
    }

    #[test]
    fn no_mutated_string_panics_and_no_further_signal_opens_anything(
        text in mutated(),
        sids in vec(prop_oneof![Just(2i64), Just(7), -1i64..30], 0..4),
        flags in any::<u8>(),
    ) {
        read_all(&text);
        let signals = all_signals(&text, &sids, flags);
        for policy in [policy(), Policy { context_needs_purpose_2: true, ..policy() }] {
            let with = letters(&judged(&signals, policy));
            for further in [
                Signals { coppa: true, ..signals },
                Signals { lmt: true, ..signals },
                Signals { gpc: true, ..signals },
                Signals { us_privacy: Some("1YYY"), ..signals },
            ] {
                let less = letters(&judged(&further, policy));
                prop_assert!(less.chars().all(|letter| with.contains(letter)), "{less} of {with}");
            }
        }
    }
}

#[test]
fn the_gate_allocates_nothing_whatever_it_reads() {
    let tc =
        Tc { restrictions: vec![(4, 1, vec![(1, 2_000)]); 30], publisher: true, ..Tc::all_for(OUR_VENDOR) }
            .text();
    let both = gpp(&[(2, tc.clone()), (7, us(1, &[0; 27], Some(false)))]);
    for text in ["", "1YYN", &tc, &both, "C~~~...", &tc[..100]] {
        let signals = all_signals(text, &[2, 7], 0b10_0000);
        let counted = allocation_counter::measure(|| {
            std::hint::black_box(judged(std::hint::black_box(&signals), policy()));
        });
        assert_eq!(counted.count_total, 0, "{text}");
    }
}

#[test]
fn the_longest_texts_are_refused_before_they_cost_anything() {
    let endless = "C".repeat(1_000_000);
    assert!(TcString::read(&endless).is_err());
    assert!(Gpp::read(&format!("D{endless}")).is_err());
    // Four thousand restrictions of four thousand ranges are announced, and the text ends.
    let mut bits = Tc::all_for(OUR_VENDOR).core();
    bits.0.truncate(bits.0.len() - 12);
    bits.number(4_095, 12);
    for _ in 0..200 {
        bits.number(4, 6).number(1, 2).number(4_095, 12);
    }
    assert!(TcString::read(&bits.text(true)).unwrap().vendor(OUR_VENDOR).is_err());
}
