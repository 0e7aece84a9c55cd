//! What is read from single fields: odd kinds of values, defaults, and the two places of OpenRTB 2.5 and 2.6.

use super::{read, request, request_with_imp};
use outbid::model::auction::{Auction, Channel, Imp};
use outbid::model::no_bid::NoBidReason;
use std::fmt::Debug;

/// Reads a request with these top-level fields and compares what `get` takes from it, as `Debug` shows it.
#[track_caller]
pub(super) fn check<T: Debug>(fields: &str, get: impl Fn(&Auction<'_>) -> T, expected: &str) {
    let body = request(&format!(",{fields}"));
    let found = read(&body, |auction| format!("{:?}", get(&auction.expect(fields))));
    assert_eq!(found, expected, "{fields}");
}

#[track_caller]
pub(super) fn check_imp<T: Debug>(fields: &str, get: impl Fn(&Imp<'_>) -> T, expected: &str) {
    let body = request_with_imp(&format!(",{fields}"));
    let found = read(&body, |auction| format!("{:?}", get(&auction.expect(fields).imps[0])));
    assert_eq!(found, expected, "{fields}");
}

#[test]
fn absent_is_not_zero() {
    read(&request(""), |auction| {
        let auction = auction.unwrap();
        assert_eq!((auction.at, auction.tmax_ms, auction.cattax, auction.cur_given), (None, None, 1, false));
        assert!(matches!(auction.channel, Channel::Unknown));
        assert_eq!((auction.regs.gdpr, auction.regs.coppa, auction.device.lmt), (None, None, None));
        let imp = &auction.imps[0];
        assert_eq!((imp.secure, imp.exp_s, imp.multiplier_ppm), (None, None, Some(1_000_000)));
        assert_eq!(
            format!("{} {:?} {:?}", imp.bid_floor, imp.bid_floor_cur, imp.fault),
            "0.00 Some(USD) None"
        );
    });
}

#[test]
fn a_flag_is_read_from_whatever_traffic_sends() {
    for (value, expected) in [
        ("1", "Some(true)"),
        ("0", "Some(false)"),
        ("true", "Some(true)"),
        ("false", "Some(false)"),
        ("\"1\"", "Some(true)"),
        ("\"0\"", "Some(false)"),
        ("\"true\"", "Some(true)"),
        ("\" False \"", "Some(false)"),
        ("1.0", "Some(true)"),
        ("\"1.0\"", "Some(true)"),
        ("null", "None"),
        ("2", "None"),
        ("-1", "None"),
        ("\"yes\"", "None"),
        ("\"\"", "None"),
        ("{}", "None"),
        ("[1]", "None"),
        ("1e400", "None"),
    ] {
        check_imp(&format!("\"secure\":{value}"), |imp| imp.secure, expected);
        check(&format!("\"regs\":{{\"gdpr\":{value}}}"), |a| a.regs.gdpr, expected);
        check(&format!("\"regs\":{{\"ext\":{{\"gdpr\":{value}}}}}"), |a| a.regs.gdpr, expected);
        check(&format!("\"device\":{{\"lmt\":{value},\"dnt\":{value}}}"), |a| a.device.lmt, expected);
        let set = (expected == "Some(true)").to_string();
        check(&format!("\"test\":{value}"), |a| a.test, &set);
        check(&format!("\"regs\":{{\"ext\":{{\"gpc\":{value}}}}}"), |a| a.regs.gpc, &set);
        check_imp(&format!("\"pmp\":{{\"private_auction\":{value}}}"), |imp| imp.private_auction, &set);
        check_imp(
            &format!("\"instl\":{value},\"rwdd\":{value}"),
            |imp| imp.interstitial && imp.rewarded,
            &set,
        );
    }
}

#[test]
fn an_integer_is_read_from_whatever_traffic_sends() {
    for (value, expected) in [
        ("3", "Some(3)"),
        ("-7", "Some(-7)"),
        ("3.0", "Some(3)"),
        ("3.9", "Some(3)"),
        ("3e2", "Some(300)"),
        ("\"3\"", "Some(3)"),
        ("\" 3.5 \"", "Some(3)"),
        ("true", "Some(1)"),
        ("999999999999999999", "Some(999999999999999999)"),
        ("9223372036854775807", "Some(9223372036854775807)"),
        ("9223372036854775808", "None"),
        ("1e400", "None"),
        ("\"nan\"", "None"),
        ("\"0x10\"", "None"),
        ("null", "None"),
        ("{\"a\":1}", "None"),
        ("[]", "None"),
    ] {
        check(&format!("\"at\":{value}"), |a| a.at, expected);
        check(&format!("\"device\":{{\"devicetype\":{value}}}"), |a| a.device.device_type, expected);
        check(
            &format!("\"regs\":{{\"ext\":{{\"dsa\":{{\"dsarequired\":{value}}}}}}}"),
            |a| a.regs.dsa_required(),
            expected,
        );
    }
    check(r#""device":{"geo":{"utcoffset":-420}}"#, |a| a.device.geo.utc_offset_min, "Some(-420)");
    check(r#""device":{"geo":{"utcoffset":4294967296}}"#, |a| a.device.geo.utc_offset_min, "None");
    check(r#""cattax":"7""#, |a| a.cattax, "7");
    check(r#""cattax":-1"#, |a| a.cattax, "65535");
    check(r#""cattax":{}"#, |a| a.cattax, "1");
}

#[test]
fn a_time_limit_is_positive_or_absent_and_never_too_large() {
    for (value, expected) in [
        ("100", "Some(100)"),
        ("\"100\"", "Some(100)"),
        ("100.7", "Some(100)"),
        ("0", "None"),
        ("-5", "None"),
        ("0.5", "None"),
        ("4294967296", "Some(4294967295)"),
        ("1e400", "Some(4294967295)"),
        ("-1e400", "None"),
        ("99999999999999999999999", "Some(4294967295)"),
        ("\"inf\"", "None"),
        ("\"soon\"", "None"),
        ("true", "None"),
        ("null", "None"),
        ("{}", "None"),
    ] {
        check(&format!("\"tmax\":{value}"), |a| a.tmax_ms, expected);
        check_imp(&format!("\"exp\":{value}"), |imp| imp.exp_s, expected);
    }
}

#[test]
fn a_floor_is_exact_or_the_impression_is_dropped() {
    for (value, expected) in [
        ("1.25", "1.25 None"),
        ("\"1.25\"", "1.25 None"),
        ("\" 1.25 \"", "1.25 None"),
        ("0.1", "0.10 None"),
        ("0.0000001", "0.000001 None"),
        ("1.0000001", "1.000001 None"),
        ("1e2", "100.00 None"),
        ("1e-400", "0.000001 None"),
        ("-0", "0.00 None"),
        ("-0.0", "0.00 None"),
        ("null", "0.00 None"),
        ("1000000", "1000000.00 None"),
        ("1000000.1", "0.00 Some(InvalidPrice)"),
        ("-0.01", "0.00 Some(InvalidPrice)"),
        ("1e400", "0.00 Some(InvalidPrice)"),
        ("\"NaN\"", "0.00 Some(InvalidPrice)"),
        ("\"Infinity\"", "0.00 Some(InvalidPrice)"),
        ("\"\"", "0.00 Some(InvalidPrice)"),
        ("\"1,25\"", "0.00 Some(InvalidPrice)"),
        ("\"\\ud800\"", "0.00 Some(InvalidPrice)"),
        ("true", "0.00 Some(InvalidPrice)"),
        ("[1]", "0.00 Some(InvalidPrice)"),
        ("{}", "0.00 Some(InvalidPrice)"),
    ] {
        let floor = format!("\"bidfloor\":{value}");
        let get = |imp: &Imp<'_>| Plain(format!("{} {:?}", imp.bid_floor, imp.fault));
        check_imp(&floor, get, expected);
        // A deal with an unreadable floor is not bid on; the impression may be.
        let deal = format!("\"pmp\":{{\"deals\":[{{\"id\":\"d\",{floor}}}]}}");
        let get = |imp: &Imp<'_>| {
            let floor = imp.deals[0].bid_floor.map_or("unreadable".to_owned(), |floor| floor.to_string());
            Plain(format!("{floor} {:?}", imp.fault))
        };
        check_imp(&deal, get, &expected.replace("0.00 Some(InvalidPrice)", "unreadable None"));
    }
    for (value, expected) in [
        ("\"EUR\"", "Some(EUR)"),
        ("\" eur \"", "Some(EUR)"),
        ("null", "Some(USD)"),
        ("\"\"", "None"),
        ("7", "None"),
        ("\"EURO\"", "None"),
    ] {
        check_imp(&format!("\"bidfloorcur\":{value}"), |imp| imp.bid_floor_cur, expected);
        let deal = format!(
            "\"bidfloorcur\":\"GBP\",\"pmp\":{{\"deals\":[{{\"id\":\"d\",\"bidfloorcur\":{value}}}]}}"
        );
        check_imp(&deal, |imp| imp.deals[0].bid_floor_cur, expected);
    }
    check_imp(
        r#""bidfloorcur":"GBP","pmp":{"deals":[{"id":"d"}]}"#,
        |imp| imp.deals[0].bid_floor_cur,
        "Some(USD)",
    );
}

/// A value as it shows itself, free of what it borrows.
pub(super) fn shown(value: impl Debug) -> Plain {
    Plain(format!("{value:?}"))
}

/// Text that shows itself without quotes.
pub(super) struct Plain(pub(super) String);

impl Debug for Plain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[test]
fn a_multiplier_is_exact_or_unusable() {
    for (value, expected) in [
        (r#"{"multiplier":14.2}"#, "Some(14200000)"),
        (r#"{"multiplier":"0.25"}"#, "Some(250000)"),
        (r#"{"multiplier":0.0000001}"#, "Some(1)"),
        (r#"{"multiplier":0}"#, "None"),
        (r#"{"multiplier":-1}"#, "None"),
        (r#"{"multiplier":1e400}"#, "None"),
        (r#"{"multiplier":1e7}"#, "None"),
        (r#"{"multiplier":null}"#, "None"),
        ("{}", "None"),
        ("3", "None"),
        ("null", "Some(1000000)"),
    ] {
        check_imp(&format!("\"qty\":{value}"), |imp| imp.multiplier_ppm, expected);
    }
}

#[test]
fn ids_are_echoed_as_sent() {
    for (sent, expected) in [
        (r#""A-1""#, "A-1"),
        ("5", "5"),
        ("-0.50e1", "-0.50e1"),
        (r#""\u00e9\ud83d\ude00\/\n""#, "é😀/\n"),
        (r#"" x ""#, " x "),
        ("\"日本\"", "日本"),
    ] {
        let body = format!("{{\"id\":{sent},\"imp\":[{{\"id\":{sent},\"banner\":{{}}}}]}}");
        read(&body, |auction| {
            let auction = auction.unwrap();
            assert_eq!((auction.id, auction.imps[0].id), (expected, expected));
            assert_eq!((auction.fault, auction.imps[0].fault), (None, None));
        });
    }
}

#[test]
fn a_list_is_read_from_whatever_traffic_sends() {
    for (value, expected, fault) in [
        (r#"["a","b"]"#, r#"["a", "b"]"#, "None"),
        (r#""a""#, r#"["a"]"#, "None"),
        (r#"" a , ,b""#, r#"["a", "b"]"#, "None"),
        ("7", r#"["7"]"#, "None"),
        (r#"[7,null,"b"]"#, r#"["7", "b"]"#, "None"),
        ("null", "[]", "None"),
        ("[]", "[]", "None"),
        (r#"["a",{}]"#, r#"["a"]"#, "Some(InvalidRequest)"),
        (r#"["a",true]"#, r#"["a"]"#, "Some(InvalidRequest)"),
        (r#"["a","\udfff"]"#, r#"["a"]"#, "Some(InvalidRequest)"),
        (r#"["a",["b"]]"#, r#"["a"]"#, "Some(InvalidRequest)"),
        ("{}", "[]", "Some(InvalidRequest)"),
        ("false", "[]", "Some(InvalidRequest)"),
    ] {
        // A rule that cannot be read in full cannot be obeyed.
        for rule in ["bcat", "badv", "bapp", "acat", "wseat", "bseat", "wlang", "wlangb"] {
            check(&format!("\"{rule}\":{value}"), |a| a.fault, fault);
        }
        check(&format!("\"bcat\":{value}"), |a| shown(a.bcat), expected);
        // What only informs is taken as far as it can be read.
        check(
            &format!("\"site\":{{\"cat\":{value}}}"),
            |a| shown(a.channel.inventory().unwrap().cat),
            expected,
        );
        check(&format!("\"site\":{{\"cat\":{value}}}"), |a| a.fault, "None");
        let deal = format!("\"pmp\":{{\"deals\":[{{\"id\":\"d\",\"wadomain\":{value}}}]}}");
        check_imp(&deal, |imp| shown(imp.deals[0].wadomain), expected);
        check_imp(&deal, |imp| imp.fault, fault);
    }
    for (value, expected, fault) in [
        ("[1,\"2\",3.0]", "[1, 2, 3]", "None"),
        ("\"1,2\"", "[1, 2]", "None"),
        ("4", "[4]", "None"),
        ("[1,\"x\"]", "[1]", "Some(InvalidRequest)"),
        ("[{}]", "[]", "Some(InvalidRequest)"),
    ] {
        let banner = format!("\"banner\":{{\"battr\":{value},\"api\":{value}}}");
        check_imp(&banner, |imp| shown(imp.banner.as_ref().unwrap().battr), expected);
        check_imp(&banner, |imp| shown(imp.banner.as_ref().unwrap().api), expected);
        check_imp(&banner, |imp| imp.fault, fault);
        check(&format!("\"regs\":{{\"gpp_sid\":{value}}}"), |a| shown(a.regs.gpp_sid), expected);
    }
    for (value, expected) in [
        (r#"["usd","EUR"]"#, "([USD, EUR], true)"),
        (r#""EUR""#, "([EUR], true)"),
        (r#"["BITCOIN"]"#, "([], true)"),
        ("[null]", "([], true)"),
        ("{}", "([], true)"),
        ("[]", "([], false)"),
        ("\"\"", "([], false)"),
        ("null", "([], false)"),
    ] {
        check(&format!("\"cur\":{value}"), |a| shown((a.cur, a.cur_given)), expected);
    }
}

#[test]
fn sizes_come_from_formats_else_from_the_banner() {
    for (banner, expected) in [
        (r#"{"format":[{"w":300,"h":250},{"w":"728","h":90.0}],"w":1,"h":1}"#, "300x250 728x90"),
        // A list of ratios alone is a list as well: what stands beside it is not offered.
        (r#"{"format":[{"wratio":16,"hratio":9,"wmin":300}],"w":320,"h":50}"#, ""),
        (r#"{"format":[{"wratio":16}],"w":320,"h":50}"#, "320x50"),
        (r#"{"format":[{"w":0,"h":250},{"w":"wide","h":1},null,5],"w":320,"h":50}"#, "320x50"),
        // A size that no ad has is offered all the same, and the one beside the list is not.
        (r#"{"format":[{"w":70000,"h":1}],"w":320,"h":50}"#, "65535x1"),
        (r#"{"format":{},"w":320,"h":50}"#, "320x50"),
        (r#"{"w":65535,"h":1}"#, "65535x1"),
        (r#"{"w":65536,"h":1}"#, ""),
        (r#"{"w":2147483648,"h":-1}"#, ""),
        (r#"{"w":300}"#, ""),
        ("{}", ""),
    ] {
        let sizes = |imp: &Imp<'_>| {
            let sizes = imp.banner.as_ref().unwrap().sizes;
            Plain(sizes.iter().map(|size| size.to_string()).collect::<Vec<_>>().join(" "))
        };
        check_imp(&format!("\"banner\":{banner}"), sizes, expected);
    }
}

#[test]
fn a_medium_counts_when_it_can_be_filled() {
    for (media, expected) in [
        (r#""video":{"mimes":["video/mp4"]}"#, "(true, false, false)"),
        (r#""video":{"mimes":[]}"#, "(false, false, false)"),
        (r#""video":{}"#, "(false, false, false)"),
        (r#""video":[]"#, "(false, false, false)"),
        (r#""audio":{"mimes":"audio/mpeg"}"#, "(false, true, false)"),
        (r#""native":{"request":"{\"assets\":[{\"id\":1}]}"}"#, "(false, false, true)"),
        (r#""native":{"request":{"assets":[{"id":1}]}}"#, "(false, false, true)"),
        (r#""native":{"request":"{\"assets\":[]}"}"#, "(false, false, false)"),
        (r#""native":{"request":""}"#, "(false, false, false)"),
        (r#""native":{"request":"nothing"}"#, "(false, false, false)"),
        (r#""native":{}"#, "(false, false, false)"),
    ] {
        check_imp(media, |imp| (imp.video.is_some(), imp.audio.is_some(), imp.native.is_some()), expected);
        let fault = if expected.contains("true") { "None" } else { "Some(NoUsableMedium)" };
        check_imp(&format!("\"banner\":null,{media}"), |imp| imp.fault, fault);
    }
}

#[test]
fn deals_without_an_id_are_no_deals() {
    let deals = r#""pmp":{"private_auction":1,"deals":[{"id":"a","at":3,"guar":1,"wseat":["s"]},{"bidfloor":1},null,{"id":""},{"id":7}]}"#;
    check_imp(deals, |imp| imp.deals.iter().map(|d| Plain(d.id.to_owned())).collect::<Vec<_>>(), "[a, 7]");
    check_imp(
        deals,
        |imp| shown((imp.deals[0].at, imp.deals[0].guaranteed, imp.deals[0].wseat)),
        r#"(Some(3), true, ["s"])"#,
    );
    check_imp(deals, |imp| (imp.private_auction, imp.fault), "(true, None)");
}

#[test]
fn both_places_of_a_signal_are_read() {
    let consent = |a: &Auction<'_>| Plain(a.user.consent.unwrap_or("-").to_owned());
    check(r#""user":{"consent":"new"}"#, consent, "new");
    check(r#""user":{"ext":{"consent":"old"}}"#, consent, "old");
    check(r#""user":{"ext":{"consent":"old"},"consent":"new"}"#, consent, "new");
    check(r#""user":{"consent":"","ext":{"consent":"old"}}"#, consent, "old");
    let eids = |a: &Auction<'_>| {
        Plain(a.user.eids.iter().map(|e| format!("{}={}", e.source, e.id)).collect::<Vec<_>>().join(" "))
    };
    let (new, old) = (
        r#""eids":[{"source":"n","uids":[{"id":"1"},{"id":2},{"atype":1}]},{"uids":[{"id":"3"}]},7]"#,
        r#""ext":{"eids":[{"uids":[{"id":"4"}],"mm":3,"source":"o"}]}"#,
    );
    check(&format!("\"user\":{{{new}}}"), eids, "n=1 n=2");
    check(&format!("\"user\":{{{old}}}"), eids, "o=4");
    check(&format!("\"user\":{{{old},{new}}}"), eids, "n=1 n=2 o=4");
    check(&format!("\"user\":{{{old}}}"), |a| a.user.eids[0].match_method, "Some(3)");
    let gdpr = |a: &Auction<'_>| a.regs.gdpr;
    check(r#""regs":{"gdpr":0,"ext":{"gdpr":1}}"#, gdpr, "Some(true)");
    check(r#""regs":{"gdpr":1,"ext":{"gdpr":0}}"#, gdpr, "Some(true)");
    check(r#""regs":{"ext":{"gdpr":0}}"#, gdpr, "Some(false)");
    check(r#""regs":{"gdpr":null,"ext":"malformed"}"#, gdpr, "None");
    let privacy = |a: &Auction<'_>| {
        Plain(format!(
            "{} {} {:?}",
            a.regs.us_privacy.unwrap_or("-"),
            a.regs.gpp.unwrap_or("-"),
            a.regs.gpp_sid
        ))
    };
    check(r#""regs":{"us_privacy":"1YNN","gpp":"D","gpp_sid":[7]}"#, privacy, "1YNN D [7]");
    check(r#""regs":{"ext":{"us_privacy":"1YNN","gpp":"D","gpp_sid":[7]}}"#, privacy, "1YNN D [7]");
    check(
        r#""regs":{"us_privacy":"1---","gpp_sid":[],"ext":{"us_privacy":"1YNN","gpp":"E","gpp_sid":[8]}}"#,
        privacy,
        "1--- E [8]",
    );
    let chain = |a: &Auction<'_>| {
        Plain(format!(
            "{:?} {}",
            a.source.schain_complete,
            a.source
                .schain_nodes
                .iter()
                .map(|n| format!("{}/{}", n.asi, n.sid))
                .collect::<Vec<_>>()
                .join(" ")
        ))
    };
    check(r#""source":{"schain":{"complete":1,"nodes":[{"asi":"a","sid":1}]}}"#, chain, "Some(true) a/1");
    check(
        r#""source":{"ext":{"schain":{"complete":0,"nodes":[{"asi":"o","sid":"2"},null]}}}"#,
        chain,
        "Some(false) o/2 /",
    );
    check(r#""source":{"ext":{"schain":{"complete":0}},"schain":{"complete":1}}"#, chain, "Some(true) ");
    check(r#""source":{"schain":{}}"#, chain, "Some(false) ");
    check(r#""source":{"schain":[]}"#, chain, "None ");
}

#[test]
fn the_place_of_an_impression_is_read() {
    let domain = |a: &Auction<'_>| a.channel.inventory().unwrap().domain.map(|d| Plain(d.to_owned()));
    check(r#""site":{"domain":"A.example","page":"https://b.example/"}"#, domain, "Some(A.example)");
    check(r#""site":{"page":"https://u@b.example:1/x"}"#, domain, "Some(b.example)");
    check(r#""site":{"domain":null,"page":5}"#, domain, "None");
    let cats = |a: &Auction<'_>| shown(a.channel.inventory().unwrap().cat);
    check(
        r#""app":{"content":{"cat":["d"]},"pagecat":["c"],"sectioncat":["b"],"cat":["a"]}"#,
        cats,
        r#"["a", "b", "c", "d"]"#,
    );
    let words = |a: &Auction<'_>| shown(a.channel.inventory().unwrap().keywords);
    check(r#""site":{"keywords":" a,b ,","content":{"kwarray":["c, d"]}}"#, words, r#"["a", "b", "c, d"]"#);
    check(r#""site":{"kwarray":["x"],"keywords":""}"#, words, r#"["x"]"#);
    check(r#""user":{"keywords":5}"#, |a| shown(a.user.keywords), r#"["5"]"#);
    let language = |a: &Auction<'_>| a.channel.inventory().unwrap().content_language.map(str::to_owned);
    check(r#""dooh":{"content":{"langb":"en-GB"}}"#, language, r#"Some("en-GB")"#);
    check(r#""dooh":{"content":{"langb":"en-GB","language":"en"}}"#, language, r#"Some("en")"#);
    check(
        r#""site":{"publisher":{"id":9}}"#,
        |a| a.channel.inventory().unwrap().publisher_id.map(str::to_owned),
        r#"Some("9")"#,
    );
    check(
        r#""site":{},"app":null,"dooh":"x""#,
        |a| (matches!(a.channel, Channel::Site(_)), a.fault),
        "(true, None)",
    );
    check(r#""site":{},"app":{}"#, |a| a.fault, "Some(InvalidRequest)");
}

#[test]
fn the_device_is_read() {
    let browser = |a: &Auction<'_>| a.device.sua_browser.map(|b| Plain(b.to_owned()));
    for (browsers, expected) in [
        (r#"[{"brand":"Not/A)Brand"},{"brand":"Chromium"},{"brand":"Google Chrome"}]"#, "Some(Chromium)"),
        (r#"[{"brand":" Not A;Brand"},{"brand":"Not_A Brand"}]"#, "None"),
        (r#"[{},null,{"brand":"Notable Brand"}]"#, "Some(Notable Brand)"),
        ("{}", "None"),
    ] {
        check(&format!("\"device\":{{\"sua\":{{\"browsers\":{browsers}}}}}"), browser, expected);
    }
    for (ifa, expected) in [
        ("\"\"", "false"),
        ("\"00000000-0000-0000-0000-000000000000\"", "false"),
        ("0", "false"),
        ("\"3b9d4c2e-0000-0000-0000-000000000000\"", "true"),
    ] {
        check(&format!("\"device\":{{\"ifa\":{ifa}}}"), |a| a.device.ifa.is_some(), expected);
    }
    let country = |a: &Auction<'_>| a.device.geo.country;
    check(r#""device":{"geo":{"country":"usa"}}"#, country, "Some(US)");
    check(r#""device":{"geo":{"country":"DE"}}"#, country, "Some(DE)");
    check(r#""device":{"geo":{"country":"Atlantis"}}"#, country, "None");
    check(r#""device":{"geo":"DE"}"#, country, "None");
    let language = |a: &Auction<'_>| a.device.language.map(|l| Plain(l.to_owned()));
    check(r#""device":{"language":"en","langb":"en-GB"}"#, language, "Some(en-GB)");
}

#[test]
fn of_a_repeated_key_the_last_stands_unless_it_is_money_or_identity() {
    check(r#""tmax":5,"tmax":7"#, |a| a.tmax_ms, "Some(7)");
    check(
        r#""device":{"ua":"a","os":"b"},"device":{"ua":"c"}"#,
        |a| (a.device.ua == Some("c"), a.device.os.is_none()),
        "(true, true)",
    );
    check(
        r#""site":{},"app":{},"site":null"#,
        |a| (matches!(a.channel, Channel::App(_)), a.fault),
        "(true, None)",
    );
    check(r#""t\u006dax":9"#, |a| a.tmax_ms, "Some(9)");
    for (body, field) in [
        (r#"{"id":"a","id":"a","imp":[{"id":"1","banner":{}}]}"#, "id"),
        (r#"{"id":"a","\u0069d":null,"imp":[{"id":"1","banner":{}}]}"#, "id"),
        (r#"{"id":"a","imp":[{"id":"1","banner":{}}],"imp":[]}"#, "imp"),
        (r#"{"id":"a","at":1,"at":1,"imp":[{"id":"1","banner":{}}]}"#, "at"),
        (r#"{"id":"a","cur":[],"cur":[],"imp":[{"id":"1","banner":{}}]}"#, "cur"),
        (r#"{"id":"a","imp":[{"id":"1","id":"1","banner":{}}]}"#, "imp.id"),
        (r#"{"id":"a","imp":[{"id":"1","bidfloor":1,"bidfloor":2,"banner":{}}]}"#, "imp.bidfloor"),
        (
            r#"{"id":"a","imp":[{"id":"1","bidfloorcur":"USD","bidfloorcur":"USD","banner":{}}]}"#,
            "imp.bidfloorcur",
        ),
        (r#"{"id":"a","imp":[{"id":"1","pmp":{"deals":[{"id":"d","id":"d"}]}}]}"#, "deal.id"),
        (r#"{"id":"a","imp":[{"id":"1","pmp":{"deals":[{"id":"d","at":1,"at":3}]}}]}"#, "deal.at"),
        (r#"{"id":"a","imp":[{"pmp":{"deals":[{"durfloors":[],"durfloors":null}]}}]}"#, "deal.durfloors"),
        (
            r#"{"id":"a","imp":[{"pmp":{"deals":[{"mincpmpersec":1,"mincpmpersec":1}]}}]}"#,
            "deal.mincpmpersec",
        ),
        (r#"{"id":"a","imp":[{"video":{"mincpmpersec":1,"mincpmpersec":2}}]}"#, "mincpmpersec"),
        (r#"{"id":"a","imp":[{"audio":{"durfloors":[],"durfloors":[]}}]}"#, "durfloors"),
        (r#"{"id":"a","imp":[{"audio":{"durfloors":[{"mindur":1,"mindur":1}]}}]}"#, "durfloors.mindur"),
        (r#"{"id":"a","imp":[{"audio":{"durfloors":[{"maxdur":1,"maxdur":1}]}}]}"#, "durfloors.maxdur"),
        (r#"{"id":"a","imp":[{"video":{"durfloors":[{"bidfloor":1,"bidfloor":1}]}}]}"#, "durfloors.bidfloor"),
    ] {
        read(body, |auction| {
            let error = auction.unwrap_err();
            assert_eq!(error, outbid::exchange::ParseError::DuplicateKey { field }, "{body}");
        });
    }
}

#[test]
fn the_first_fault_in_rank_order_stands() {
    check_imp(r#""bidfloor":-1,"banner":null"#, |imp| imp.fault, "Some(NoUsableMedium)");
    let body = r#"{"id":"a","imp":[{"bidfloor":-1,"banner":null},{"id":"2","bidfloor":-1,"banner":{}},{"id":"3","banner":{}},{"id":"3","banner":{}},5]}"#;
    read(body, |auction| {
        let auction = auction.unwrap();
        let faults: Vec<_> = auction.imps.iter().map(|imp| imp.fault).collect();
        let invalid = Some(NoBidReason::InvalidRequest);
        assert_eq!(faults, [invalid, Some(NoBidReason::InvalidPrice), None, None, invalid]);
        assert_eq!(auction.fault, invalid, "two impressions have one id");
    });
}
