//! The request as a whole, where it comes from and which rules apply: `BidRequest`, `Source`, `SupplyChain`,
//! `SupplyChainNode`, `Regs`, and what the extensions of DSA say.

use super::dice::{Dice, Object};
use super::imp::imps;
use super::people::{device, user};
use super::place::{app, dooh, site};
use serde_json::Value;

/// A section list of US states and the string that has them, from the GPP specification's examples.
const GPP: [(&str, &[i64]); 3] = [
    ("DBABMA~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA", &[2]),
    ("DBABTA~1YNN", &[6]),
    ("DBACNYA~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNN", &[2, 6]),
];

/// A valid request. `now_ms` is the time that `imp.dt` refers to.
pub(super) fn request(dice: &mut Dice, now_ms: i64) -> Value {
    Object::of(dice)
        .must("id", Dice::id)
        .must("imp", |d| imps(d, now_ms))
        .add(92, place)
        .may(85, "device", device)
        .may(75, "user", user)
        .may(30, "test", |d| d.flag_of(30))
        .may(60, "at", |d| if d.chance(5) { d.range(500..=520) } else { d.range(1..=2) })
        // Shorter times are a matter of the machine that answers.
        .may(50, "tmax", |d| d.count(2_000..=10_000))
        .one(16, |o| o.must("wseat", |d| seats(d, true)), |o| o.must("bseat", |d| seats(d, false)))
        .may(20, "allimps", Dice::flag)
        .may(50, "cur", currencies)
        .one(
            14,
            |o| o.must("wlang", |d| languages(d, &["en", "de", "ja", "fr"])),
            |o| o.must("wlangb", |d| languages(d, &["en-US", "en-GB", "pt-BR", "zh-Hant"])),
        )
        .add(25, categories)
        .may(15, "badv", blocked_advertisers)
        .may(10, "bapp", |d| vec![d.range(1..=999_999_999).to_string(), format!("com.{}", d.code(3..=9))])
        .may(45, "source", source)
        .may(45, "regs", regs)
        .ext()
}

fn place(object: Object<'_>) -> Object<'_> {
    match object.dice.below(10) {
        0 => object.must("dooh", dooh),
        1..5 => object.must("app", app),
        _ => object.must("site", site),
    }
}

fn seats(dice: &mut Dice, ours: bool) -> Vec<String> {
    let mut seats: Vec<String> = (0..dice.range(1..=3)).map(|_| dice.code(2..=8)).collect();
    if dice.chance(if ours { 92 } else { 8 }) {
        seats.push("harbour".to_owned());
    }
    seats
}

fn currencies(dice: &mut Dice) -> Vec<&'static str> {
    if dice.chance(3) { vec!["XTS"] } else { dice.some(&["USD", "EUR", "GBP", "JPY", "XTS"], 3) }
}

fn languages(dice: &mut Dice, of: &[&'static str]) -> Vec<&'static str> {
    let mut languages = dice.some(of, 3);
    if dice.chance(80) && !languages.contains(&of[0]) {
        languages.push(of[0]);
    }
    languages
}

/// The lists of categories, one of both, in the taxonomy that is named.
fn categories(object: Object<'_>) -> Object<'_> {
    if object.dice.chance(25) {
        // What our category means there is not known, so that a list of them rules us out.
        return object.may(15, "bcat", Dice::numbered).must("cattax", |d| d.listed(2..=9));
    }
    object
        .one(
            95,
            |o| o.must("bcat", |d| categories_and_ours(d, 8)),
            |o| o.must("acat", |d| categories_and_ours(d, 92)),
        )
        .may(20, "cattax", |_| 1)
}

/// Ours is among them so many times in a hundred.
fn categories_and_ours(dice: &mut Dice, percent: usize) -> Vec<String> {
    let mut list = dice.categories();
    if dice.chance(percent) {
        list.push(dice.pick(&["IAB13", "IAB13-6"]).to_owned());
    }
    list
}

fn blocked_advertisers(dice: &mut Dice) -> Vec<String> {
    let mut domains: Vec<String> = (0..dice.range(1..=6)).map(|_| dice.domain()).collect();
    if dice.chance(8) {
        domains.push(dice.pick(&["harbour-mutual.example", "Harbour-Mutual.example", "example"]).to_owned());
    }
    domains
}

fn source(dice: &mut Dice) -> Value {
    // The chain stands in one of two places, the second that of OpenRTB 2.5.
    let earlier = dice.chance(20);
    Object::of(dice)
        .may(50, "fd", Dice::flag)
        .may(60, "tid", |d| d.hex(32))
        .may(20, "pchain", |d| format!("{}:{}!{}:{}", d.hex(16), d.id(), d.hex(16), d.id()))
        .may(if earlier { 0 } else { 60 }, "schain", supply_chain)
        .ext_of(40, |o| {
            o.may(if earlier { 90 } else { 0 }, "schain", supply_chain)
                .may(40, "omidpn", |d| d.pick(&["MyIntegrationPartner", "Google1"]))
                .may(40, "omidpv", |d| format!("{}.{}.0", d.below(9), d.below(30)))
        })
}

fn supply_chain(dice: &mut Dice) -> Value {
    Object::of(dice)
        .must("complete", |d| d.flag_of(90))
        .must("nodes", |d| d.several(1..=4, supply_chain_node))
        .must("ver", |_| "1.0")
        .ext()
}

fn supply_chain_node(dice: &mut Dice) -> Value {
    Object::of(dice)
        .must("asi", Dice::domain)
        .must("sid", |d| d.code(1..=64))
        .may(40, "rid", |d| d.hex(16))
        .may(30, "name", Dice::text)
        .may(30, "domain", Dice::domain)
        .may(95, "hp", |d| d.flag_of(97))
        .ext()
}

fn regs(dice: &mut Dice) -> Value {
    Object::of(dice)
        .may(40, "coppa", |d| d.flag_of(10))
        .may(60, "gdpr", |d| d.flag_of(25))
        .may(25, "us_privacy", us_privacy)
        .add(15, |o| {
            let mut sections: &[i64] = &[];
            o.must("gpp", |d| {
                let (text, of_text) = d.pick(&GPP);
                sections = of_text;
                text
            })
            .must("gpp_sid", |_| sections.to_vec())
        })
        .ext_of(25, |o| {
            o.may(20, "gdpr", |d| d.flag_of(25))
                .may(20, "us_privacy", us_privacy)
                .may(20, "gpc", |_| "1")
                .may(20, "s22580", Dice::flag)
                .may(40, "dsa", dsa)
        })
}

fn us_privacy(dice: &mut Dice) -> &'static str {
    dice.pick(&["1---", "1YNN", "1YYN", "1NNY", "1YN-"])
}

fn dsa(dice: &mut Dice) -> Value {
    Object::of(dice)
        .must("dsarequired", |d| if d.chance(25) { d.range(2..=3) } else { d.range(0..=1) })
        .may(80, "pubrender", |d| d.range(0..=2))
        .may(80, "datatopub", |d| d.range(0..=2))
        .may(60, "transparency", |d| d.several(1..=2, transparency))
        .done()
}

fn transparency(dice: &mut Dice) -> Value {
    Object::of(dice).must("domain", Dice::domain).must("dsaparams", |d| d.ints(1..=3, 3)).done()
}
