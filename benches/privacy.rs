//! Cost of the privacy gate, without strings and with them: `cargo bench --bench privacy`.
#![allow(missing_docs, reason = "a bench has no public face")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot set itself up fails")]

#[path = "../tests/it/privacy/encode.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests, which need more of it")]
mod encode;

use divan::{Bencher, black_box};
use encode::{Tc, Vendors, gpp, us};
use outbid::model::country::Country;
use outbid::model::exchange::GdprDefault;
use outbid::privacy::{Policy, Rules, Signals, judge};

fn main() {
    divan::main();
}

const VENDOR: u16 = 755;

/// As long as real ones: about 900 vendors by bits, 300 of them by interest, two restrictions, disclosed vendors.
fn tc_string() -> String {
    let every = |step: usize| (1..=900).step_by(step).chain([VENDOR]).collect();
    let text = Tc {
        vendor_consents: Vendors::Bits(every(2), 900),
        vendor_interests: Vendors::Bits(every(3), 900),
        restrictions: vec![(2, 1, vec![(10, 20), (90, 90)]), (7, 1, vec![(700, 800)])],
        disclosed: Some(Vendors::Bits((1..=900).collect(), 900)),
        publisher: true,
        ..Tc::all_for(VENDOR)
    };
    text.text()
}

/// Vendors as 150 ranges in each list.
fn tc_string_of_ranges() -> String {
    let ranges =
        |from: u16| Vendors::Ranges((0..150).map(|n| (from + n * 6, from + n * 6 + n % 3)).collect());
    let text = Tc {
        vendor_consents: ranges(1),
        vendor_interests: ranges(2),
        disclosed: Some(ranges(1)),
        ..Tc::all_for(VENDOR)
    };
    text.text()
}

fn run(bencher: Bencher<'_, '_>, signals: Signals<'_>) {
    let policy = Policy { vendor_id: Some(VENDOR), ..Policy::default() };
    let rules = Rules { gdpr_default: GdprDefault::Applies, policy };
    bencher.bench_local(|| judge(black_box(&signals), black_box(&rules)));
}

#[divan::bench]
fn a_without_strings(bencher: Bencher<'_, '_>) {
    run(bencher, Signals { country: Country::parse("US"), ..Signals::default() });
}

#[divan::bench]
fn b_us_privacy(bencher: Bencher<'_, '_>) {
    run(bencher, Signals { country: Country::parse("US"), us_privacy: Some("1YNN"), ..Signals::default() });
}

#[divan::bench]
fn c_tc_string(bencher: Bencher<'_, '_>) {
    let text = tc_string();
    run(bencher, Signals { gdpr: Some(true), consent: Some(&text), ..Signals::default() });
}

#[divan::bench]
fn d_tc_string_of_450_ranges(bencher: Bencher<'_, '_>) {
    let text = tc_string_of_ranges();
    run(bencher, Signals { gdpr: Some(true), consent: Some(&text), ..Signals::default() });
}

#[divan::bench]
fn e_gpp_national(bencher: Bencher<'_, '_>) {
    let text = gpp(&[(7, us(1, &[2; 27], Some(false)))]);
    run(bencher, Signals { gdpr: Some(false), gpp: Some(&text), gpp_sid: &[7], ..Signals::default() });
}

#[divan::bench]
fn f_gpp_with_both(bencher: Bencher<'_, '_>) {
    let text = gpp(&[(2, tc_string()), (7, us(1, &[2; 27], Some(false)))]);
    run(bencher, Signals { gpp: Some(&text), gpp_sid: &[2, 7], ..Signals::default() });
}
