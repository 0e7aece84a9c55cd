//! What the request says of its user in `user.data`, in names that the account has for its segments.

use super::request::plain;
use super::run::Server;
use super::world::{World, line_item};
use outbid::audience::Membership;
use outbid::model::ids::SegmentId;
use outbid::model::no_bid::NoBidReason;
use outbid::model::targeting::SegmentRule;
use outbid::model::taxonomy::{ExternalSegment, Segment};
use outbid::store::taxonomy_file;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn external(segtax: u32, provider: Option<&str>, id: &str) -> ExternalSegment {
    ExternalSegment { segtax, provider: provider.map(str::to_owned), id: id.to_owned() }
}

/// One line item that wants segment 1, of which 2 and the sensitive 3 are parts. `u0` is stored in 4 alone.
fn world() -> World {
    let account = World::small(|account| {
        account.line_items[0].targeting.segments =
            SegmentRule { any_of: vec![SegmentId(1)], none_of: vec![SegmentId(5)], ..Default::default() };
        account.segments[1].external =
            vec![external(4, None, "607"), external(600, Some("data.example"), "b/2")];
        account.segments[2].external = vec![external(4, None, "163")];
        account.segments[4].external =
            vec![external(4, None, "8"), external(4, Some("other.example"), "607")];
    });
    World::of(account.account, BTreeMap::from([("u0", vec![Membership::of(SegmentId(4))])]))
}

fn data(segtax: Value, id: &str, segments: &[&str]) -> Value {
    let segments: Vec<Value> = segments.iter().map(|id| json!({ "id": id })).collect();
    json!({ "id": id, "name": "named.example", "segment": segments, "ext": { "segtax": segtax } })
}

fn bids(world: &World, data: &[Value]) -> usize {
    let body = plain(|request| request["user"]["data"] = data.into());
    Server::new(world).bids(world, &body).map_or(0, |bids| bids.len())
}

#[test]
fn a_name_that_others_have_puts_the_user_into_the_segment() {
    let world = world();
    let check = |data: &[Value], expected| assert_eq!(bids(&world, data), expected, "{data:?}");
    check(&[], 0);
    check(&[data(json!(4), "x", &["1", "607"])], 1);
    check(&[data(json!(4), "x", &["1"]), data(json!(4), "y", &["607", "607"])], 1);
    // An id means something in its own taxonomy only.
    check(&[data(json!(5), "x", &["607"])], 0);
    check(&[data(Value::Null, "x", &["607"])], 0);
    // A private one only where its provider says it, by its id or by its name.
    check(&[data(json!(600), "data.example", &["b/2"])], 1);
    check(&[data(json!(600), "x", &["b/2"])], 0);
    let mut named = data(json!(600), "x", &["b/2"]);
    named["name"] = "data.example".into();
    check(&[named], 1);
    // What excludes counts as well, and another provider's word for the same id.
    check(&[data(json!(4), "x", &["607", "8"])], 0);
    check(&[data(json!(4), "other.example", &["607"])], 0);
}

#[test]
fn a_strangers_word_is_no_consent_and_counts_only_where_segments_may_be_used() {
    let world = world();
    assert_eq!(bids(&world, &[data(json!(4), "x", &["163"])]), 0);
    let said = [data(json!(4), "x", &["607"])];
    let body = plain(|request| {
        request["user"]["data"] = said.to_vec().into();
        request["regs"] = json!({ "coppa": 1 });
    });
    assert_eq!(Server::new(&world).bids(&world, &body).unwrap_err(), NoBidReason::NoMatch);
    let explanation = Server::new(&world).explain(&world, 1, &body);
    assert!(explanation.segments.is_empty() && explanation.provided.is_empty());
    let body = plain(|request| request["user"]["data"] = said.to_vec().into());
    let explanation = Server::new(&world).explain(&world, 1, &body);
    assert_eq!(explanation.segments, [SegmentId(2), SegmentId(4)]);
    assert_eq!(explanation.provided, [SegmentId(2)]);
}

/// The segments of a published taxonomy, each under the name that it has there.
fn imported(nodes: &[taxonomy_file::Node]) -> Vec<Segment> {
    let number = |id: &str| SegmentId(nodes.iter().position(|node| node.id == id).unwrap() as u32 + 1);
    let segment = |node: &taxonomy_file::Node| Segment {
        id: number(&node.id),
        key: format!("iab4.{}", node.id),
        name: node.name.clone(),
        parent: node.parent.as_deref().map(number),
        external: vec![external(4, None, &node.id)],
        ..Segment::default()
    };
    nodes.iter().map(segment).collect()
}

#[test]
fn a_refined_node_of_an_imported_tree_is_targeted_with_it() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/taxonomies/audience-1.1.tsv");
    let own = "Unique ID\tParent\tName\n206\t\tInterest\n607\t206\tRunning\n752\t\tIntent\n";
    let text = std::fs::read_to_string(file).unwrap_or_else(|why| {
        eprintln!("{file}: {why}; a small tree of the test's own stands in its place");
        own.to_owned()
    });
    let segments = imported(&taxonomy_file::parse(&text, file).unwrap());
    let find = |key: &str| segments.iter().find(|segment| segment.key == key).unwrap().id;
    let (node, other) = (find("iab4.607"), find("iab4.752"));
    let child = SegmentId(segments.len() as u32 + 1);
    let made = World::small(|account| {
        account.segments = segments.clone();
        let refined =
            Segment { id: child, key: "own.trail".into(), parent: Some(node), ..Segment::default() };
        account.segments.push(refined);
        account.line_items[0] = line_item(1, 1, 2_000_000);
        account.line_items[0].targeting.segments.any_of = vec![find("iab4.206")];
    });
    let of = |segment| vec![Membership::of(segment)];
    let world = World::of(made.account, BTreeMap::from([("u0", of(child)), ("u1", of(other))]));
    let by = |user: &str, said: &[Value]| {
        let body = plain(|request| request["user"] = json!({ "buyeruid": user, "data": said }));
        Server::new(&world).bids(&world, &body).map_or(0, |bids| bids.len())
    };
    assert_eq!((by("u0", &[]), by("u1", &[]), by("stranger", &[])), (1, 0, 0));
    assert_eq!(by("stranger", &[data(json!(4), "x", &["607"])]), 1);
    assert_eq!(by("stranger", &[data(json!(4), "x", &["752"])]), 0);
}
