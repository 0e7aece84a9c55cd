//! What is read of place, person, rules and supply chain beyond the plain fields (OpenRTB 2.6 sections 3.2.2, 3.2.3,
//! 3.2.13 to 3.2.22; openrtb.md 1.8 to 1.11).

use super::fields::{check, shown};
use outbid::model::auction::{Auction, Inventory};

#[test]
fn who_sells_is_read() {
    let seller = |a: &Auction<'_>| {
        let place = a.channel.inventory().unwrap();
        shown((place.publisher_id, place.publisher_domain, place.inventory_partner_domain))
    };
    for channel in ["site", "app", "dooh"] {
        check(
            &format!(
                r#""{channel}":{{"inventorypartnerdomain":"p.example","publisher":{{"domain":"o.example","id":5}}}}"#
            ),
            seller,
            r#"(Some("5"), Some("o.example"), Some("p.example"))"#,
        );
    }
    check(r#""site":{"publisher":[]}"#, seller, "(None, None, None)");
}

#[test]
fn the_kind_of_a_screens_place_has_four_spellings() {
    let venue = |a: &Auction<'_>| {
        let place: &Inventory<'_> = a.channel.inventory().unwrap();
        shown((place.venue_types, place.venue_taxonomy))
    };
    for (fields, expected) in [
        (r#""venuetype":["airports","10602"],"venuetypetax":3"#, r#"(["airports", "10602"], 3)"#),
        (r#""venuetypeid":10602,"venuetax":1"#, r#"(["10602"], 1)"#),
        (r#""venuetypeid":[10602,"5"],"venuetax":"2""#, r#"(["10602", "5"], 2)"#),
        (r#""venuetypeid":1,"venuetype":["2"],"venuetax":3,"venuetypetax":4"#, r#"(["2"], 4)"#),
        (r#""venuetype":[],"venuetypeid":1"#, r#"(["1"], 1)"#),
        (r#""venuetype":{}"#, "([], 1)"),
    ] {
        check(&format!("\"dooh\":{{{fields}}}"), venue, expected);
    }
}

#[test]
fn a_position_is_kept_in_millionths_of_a_degree() {
    let position = |a: &Auction<'_>| (a.device.geo.lat_micro, a.device.geo.lon_micro);
    for (lat, lon, expected) in [
        ("52.5200066", "13.404954", "(Some(52520007), Some(13404954))"),
        ("-33.8688197", "-151.20929550", "(Some(-33868820), Some(-151209296))"),
        ("\"52.52\"", "\" 13.4 \"", "(Some(52520000), Some(13400000))"),
        ("90", "-180", "(Some(90000000), Some(-180000000))"),
        ("90.0001", "180.1", "(None, None)"),
        ("1e400", "\"nan\"", "(None, None)"),
        ("null", "true", "(None, None)"),
    ] {
        check(&format!(r#""device":{{"geo":{{"lat":{lat},"lon":{lon}}}}}"#), position, expected);
    }
    let quality = |a: &Auction<'_>| (a.user.geo.kind, a.user.geo.accuracy_m);
    check(r#""user":{"geo":{"type":3,"accuracy":"20"}}"#, quality, "(Some(3), Some(20))");
}

#[test]
fn segments_of_others_are_read_with_their_provider() {
    let segments = |a: &Auction<'_>| {
        let one = |s: &outbid::model::auction::ProvidedSegment<'_>| {
            let name = s.provider_name.unwrap_or("-");
            format!("{}/{name}/{:?}/{}", s.provider_id.unwrap_or("-"), s.taxonomy, s.id)
        };
        shown(a.user.segments.iter().map(one).collect::<Vec<_>>().join(" "))
    };
    check(
        r#""user":{"data":[{"id":"6","name":"P","segment":[{"id":"12","name":"x"},{"id":7},{"name":"y"},null],"ext":{"segtax":4}},{"segment":[{"id":"z"}]}]}"#,
        segments,
        r#""6/P/Some(4)/12 6/P/Some(4)/7 -/-/None/z""#,
    );
    check(
        r#""user":{"data":[{"ext":{"segtax":"4"},"segment":[{"id":"a"}]},{"ext":{"segtax":"x"},"segment":[{"id":"b"}]},5]}"#,
        segments,
        r#""-/-/Some(4)/a -/-/None/b""#,
    );
    check(r#""user":{"data":{"segment":[{"id":"a"}]}}"#, segments, r#""""#);
}

#[test]
fn what_is_asked_for_about_transparency_is_read() {
    let dsa = |a: &Auction<'_>| {
        let dsa = a.regs.dsa;
        (dsa.required, dsa.publisher_renders, dsa.data_to_publisher)
    };
    check(
        r#""regs":{"ext":{"dsa":{"dsarequired":3,"pubrender":"0","datatopub":2,"transparency":[{}]}}}"#,
        dsa,
        "(Some(3), Some(0), Some(2))",
    );
    check(r#""regs":{"ext":{"dsa":2}}"#, dsa, "(None, None, None)");
}

#[test]
fn the_supply_chain_is_read_to_its_nodes() {
    let source = |a: &Auction<'_>| {
        let nodes: Vec<_> = a.source.schain_nodes.iter().map(|n| (n.asi, n.sid, n.pays)).collect();
        let source = &a.source;
        shown((source.upstream_decides, source.payment_chain, source.schain_version, nodes))
    };
    check(
        r#""source":{"fd":1,"pchain":"abc:1","schain":{"ver":"1.0","complete":1,"nodes":[{"asi":"a","sid":"1","hp":1},{"asi":"b","hp":0},5]}}"#,
        source,
        r#"(Some(true), Some("abc:1"), Some("1.0"), [("a", "1", Some(true)), ("b", "", Some(false)), ("", "", None)])"#,
    );
    check(
        r#""source":{"ext":{"schain":{"ver":1.0,"nodes":[]}}}"#,
        source,
        r#"(None, None, Some("1.0"), [])"#,
    );
}
